//go:build fanfare_gc

package fanfare

import "runtime"

// inCall collects garbage, so that an object which a call does not keep alive is freed under it. The
// tests are run with the tag fanfare_gc to show that there is none.
func inCall() {
	runtime.GC()
	for range 10 {
		runtime.Gosched() // the cleanups' goroutines
	}
}
