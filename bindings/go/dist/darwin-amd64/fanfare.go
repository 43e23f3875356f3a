// Package dist has fanfare's static library for macOS on Intel processors. Package fanfare imports it.
package dist

// #cgo LDFLAGS: -L${SRCDIR} -L${SRCDIR}/../../../../build/lib -lfanfare
import "C"
