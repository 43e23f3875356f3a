package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const folder = "../.."

func TestTheStubsAreCurrent(t *testing.T) {
	made, err := generate(folder)
	if err != nil {
		t.Fatal(err)
	}
	there, err := os.ReadFile(folder + "/nocgo.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, there) {
		t.Error("nocgo.go is not what the package has: run go generate in bindings/go")
	}
}

func TestTheHeaderIsTheLibrarys(t *testing.T) {
	header, err := os.ReadFile(folder + "/../../include/fanfare.h")
	if err != nil {
		t.Skip("this is not the library's source tree")
	}
	copied, err := os.ReadFile(folder + "/include/fanfare.h")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(header, copied) {
		t.Error("include/fanfare.h is another than the library's: run make header")
	}
}

// What go doc says of the package with cgo and without it, but for comments.
func TestWithoutCgoThePackageHasTheSameNames(t *testing.T) {
	exported := func(cgo string) []string {
		command := exec.Command("go", "doc", "-short", ".")
		command.Dir = folder
		command.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var names []string
		for _, line := range strings.Split(string(out), "\n") {
			words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" (=[", r) })
			if len(words) > 1 {
				names = append(names, words[0]+" "+words[1])
			}
		}
		return names
	}
	with, without := exported("1"), exported("0")
	if strings.Join(with, "\n") != strings.Join(without, "\n") || len(with) < 3 {
		t.Errorf("with cgo:\n%s\nwithout:\n%s", strings.Join(with, "\n"), strings.Join(without, "\n"))
	}
}
