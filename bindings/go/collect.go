//go:build cgo && !fanfare_gc

package fanfare

// inCall is where the tag fanfare_gc collects garbage: when a call has read the library's pointer
// out of an object of this package, and before it uses it.
func inCall() {}
