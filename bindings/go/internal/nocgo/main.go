// Command nocgo makes nocgo.go: the exported names of package fanfare for programs that are built
// without cgo, so that they compile. Each function there returns [fanfare.ErrNoCgo], or zero values.
//
// It is run by `go generate` in the package's folder.
package main

import (
	"fmt"
	"os"
)

func main() {
	folder := "."
	if len(os.Args) > 1 {
		folder = os.Args[1]
	}
	made, err := generate(folder)
	if err == nil {
		err = os.WriteFile(folder+"/nocgo.go", made, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "nocgo:", err)
		os.Exit(1)
	}
}
