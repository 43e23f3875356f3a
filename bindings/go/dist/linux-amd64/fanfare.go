// Package dist has fanfare's static library for Linux with glibc, on x86-64. Package fanfare imports it.
package dist

// #cgo LDFLAGS: -L${SRCDIR} -L${SRCDIR}/../../../../build/lib -l:libfanfare.a -lgcc_s -lutil -lrt -lpthread -lm -ldl
import "C"
