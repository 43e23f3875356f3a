//go:build fanfare_shared

package fanfare

// #cgo CFLAGS: -I${SRCDIR}/../../include
// #cgo LDFLAGS: -L${SRCDIR}/../../build/lib -lfanfare
import "C"
