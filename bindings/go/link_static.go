//go:build !fanfare_shared

package fanfare

// #cgo CFLAGS: -I${SRCDIR}/../../include
// #cgo LDFLAGS: -L${SRCDIR}/../../build/lib -l:libfanfare.a -lgcc_s -lutil -lrt -lpthread -lm -ldl
import "C"
