package fanfare

import "errors"

//go:generate go run ./internal/nocgo

// ErrNoCgo is what [New], and each other call that returns an error, returns in a program that was built
// without cgo.
var ErrNoCgo = errors.New("fanfare: this program was built without cgo, and so without the engine; " +
	"build it with CGO_ENABLED=1 and a C compiler, on linux/amd64 or with a library of yours " +
	"(-tags fanfare_system). To publish to a `fanfare serve` elsewhere no cgo is needed: " +
	"import github.com/fanfare-sse/fanfare/bindings/go/publish")
