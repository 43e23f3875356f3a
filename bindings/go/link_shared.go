//go:build fanfare_shared

package fanfare

// The shared library of the source tree, as `make capi` builds it.

// #cgo CFLAGS: -I${SRCDIR}/../../include
// #cgo LDFLAGS: -L${SRCDIR}/../../build/lib -lfanfare
import "C"
