//go:build cgo && fanfare_gc

package fanfare

import (
	"runtime"
	"time"
)

// collectPause is how long a call waits for the cleanups of what was collected in it.
var collectPause time.Duration

// inCall collects garbage, so that an object which a call does not keep alive is freed under it. The
// tests are run with the tag fanfare_gc to show that there is none.
func inCall() {
	runtime.GC()
	if collectPause > 0 {
		time.Sleep(collectPause)
	}
}
