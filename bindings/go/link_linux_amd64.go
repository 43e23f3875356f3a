//go:build cgo && linux && amd64 && !musl && !fanfare_shared && !fanfare_system && !fanfare_tree

package fanfare

import _ "github.com/fanfare-sse/fanfare/bindings/go/dist/linux-amd64" // the library
