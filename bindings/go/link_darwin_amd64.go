//go:build cgo && darwin && amd64 && !fanfare_shared && !fanfare_system && !fanfare_tree

package fanfare

import _ "github.com/fanfare-sse/fanfare/bindings/go/dist/darwin-amd64" // the library
