package fanfare

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestALibraryOfAnotherVersionIsRefusedWithWhatToDo(t *testing.T) {
	if err := checkABI(1, 1); err != nil {
		t.Errorf("the same version: %v", err)
	}
	err := checkABI(2, 1)
	if !errors.Is(err, ErrABI) || !strings.Contains(err.Error(), "ABI 2") ||
		!strings.Contains(err.Error(), "make capi") {
		t.Errorf("another version: %v", err)
	}
}

func TestTimesAreRoundedUpToWholeMilliseconds(t *testing.T) {
	for d, want := range map[time.Duration]uint64{
		-time.Hour: 0, 0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Second: 1000,
	} {
		if got := wholeMS(d); got != want {
			t.Errorf("%v is %d ms, not %d", d, got, want)
		}
	}
}

// The backstop: a hub that is lost gives its port back.
func TestALostHubIsClosedByTheRuntime(t *testing.T) {
	lose := func() (port int) {
		hub, err := New(&Options{Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		listener, err := hub.Listen("127.0.0.1:0", nil)
		if err != nil {
			t.Fatal(err)
		}
		return listener.Port()
	}
	addr := fmt.Sprintf("127.0.0.1:%d", lose())
	other, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		_, err := other.Listen(addr, nil)
		if err == nil {
			return
		}
		if !errors.Is(err, ErrAddress) || time.Now().After(end) {
			t.Fatalf("the port does not come back: %v", err)
		}
	}
}
