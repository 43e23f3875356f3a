//go:build fanfare_system

package fanfare

// The library that is installed, as pkg-config finds it.

// #cgo pkg-config: fanfare
import "C"
