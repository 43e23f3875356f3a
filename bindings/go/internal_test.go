package fanfare

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

// What of the header is not used, with what there is in its place.
var unusedFunctions = map[string]string{
	"fanfare_hub_publish_wait": "Hub.PublishContext, which waits in Go",
	"fanfare_log_set":          "fanfare_log_watch: a callback would enter Go from the engine's threads",
}

func TestEachFunctionOfTheHeaderIsUsed(t *testing.T) {
	header, err := os.ReadFile("include/fanfare.h")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var here strings.Builder
	for _, file := range append(files, "native.h") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, "_test.go") {
			here.Write(text)
		}
	}
	isUsed := make(map[string]bool)
	for _, name := range regexp.MustCompile(`fanfare_\w+`).FindAllString(here.String(), -1) {
		isUsed[name] = true
	}
	// Declarations begin their line with a type. Of a struct's _init there is an inline _defaults, which is
	// used; the other inline functions are for programs in C.
	declared := regexp.MustCompile(`(?m)^[a-z]\w*(?: \w+)* \*{0,2}(fanfare_\w+)\(`).FindAllSubmatch(header, -1)
	if len(declared) < 100 {
		t.Fatalf("the header has %d functions", len(declared))
	}
	for _, match := range declared {
		name := string(match[1])
		isInline := strings.HasPrefix(string(match[0]), "static inline")
		base, isInit := strings.CutSuffix(name, "_init")
		isUsedSo := isUsed[name] || isInit && isUsed[base+"_defaults"]
		if !isInline && !isUsedSo && unusedFunctions[name] == "" {
			t.Errorf("%s is not used", name)
		}
		if isUsedSo && unusedFunctions[name] != "" {
			t.Errorf("%s is used", name)
		}
	}
}

func TestReasonsAndStatesHaveNames(t *testing.T) {
	for want, named := range map[string]fmt.Stringer{
		"expired": GapExpired, "lagging": ConnectionLagging, "client_closed": DisconnectClientClosed,
		"unknown": GapReason(1000),
	} {
		if got := named.String(); got != want {
			t.Errorf("%#v is named %q, not %q", named, got, want)
		}
	}
}
