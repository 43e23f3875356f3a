//go:build fanfare_tree

package fanfare

// The static library of the source tree, as `make capi` builds it.

// #cgo CFLAGS: -I${SRCDIR}/../../include
// #cgo linux LDFLAGS: -L${SRCDIR}/../../build/lib -l:libfanfare.a -lgcc_s -lutil -lrt -lpthread -lm -ldl
// #cgo darwin LDFLAGS: ${SRCDIR}/../../build/lib/libfanfare.a
import "C"
