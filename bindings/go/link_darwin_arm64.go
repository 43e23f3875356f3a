//go:build cgo && darwin && arm64 && !fanfare_shared && !fanfare_system && !fanfare_tree

package fanfare

import _ "github.com/fanfare-sse/fanfare/bindings/go/dist/darwin-arm64" // the library
