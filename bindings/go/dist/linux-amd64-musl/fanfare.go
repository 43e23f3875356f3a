// Package dist has fanfare's static library for Linux with musl, on x86-64. Package fanfare imports it.
package dist

// #cgo LDFLAGS: -L${SRCDIR} -L${SRCDIR}/../../../../build/go-dist/linux-amd64-musl -l:libfanfare.a
import "C"
