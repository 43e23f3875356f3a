package fanfare

import (
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

func benchmarkHub(b *testing.B, options *Options) (*Hub, *Topic) {
	hub, err := New(options)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { hub.Close() })
	topic, err := hub.Topic("t")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return hub, topic
}

// threadCPU is the time that this thread has run, in nanoseconds: on a machine that has other work the
// time on the wall shows that.
func threadCPU() float64 {
	var at syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 3, uintptr(unsafe.Pointer(&at)), 0); errno != 0 {
		return 0
	}
	return float64(at.Nano())
}

// loop measures a function that publishes some events, by the CPU time of its thread for each.
func loop(b *testing.B, events int, publish func() error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun, count := threadCPU(), 0
	for b.Loop() {
		if err := publish(); err != nil {
			b.Fatal(err)
		}
		count += events
	}
	b.ReportMetric((threadCPU()-begun)/float64(count), "cpu-ns/event")
}

var benchmarkEvent = Event{Name: "tick", Data: strings.Repeat("x", 128)}

var noHistory = &Options{HistoryEventsMax: -1}

func BenchmarkPublish(b *testing.B) {
	hub, _ := benchmarkHub(b, nil)
	loop(b, 1, func() error { _, err := hub.Publish("t", benchmarkEvent); return err })
}

func BenchmarkPublishToHandle(b *testing.B) {
	_, topic := benchmarkHub(b, nil)
	loop(b, 1, func() error { _, err := topic.Publish(benchmarkEvent); return err })
}

func BenchmarkPublishToHandleWithoutHistory(b *testing.B) {
	_, topic := benchmarkHub(b, noHistory)
	loop(b, 1, func() error { _, err := topic.Publish(benchmarkEvent); return err })
}

func BenchmarkPublishToHandleParallel(b *testing.B) {
	_, topic := benchmarkHub(b, nil)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := topic.Publish(benchmarkEvent); err != nil {
				b.Error(err)
			}
		}
	})
}

func benchmarkBatch(b *testing.B, options *Options) {
	hub, topic := benchmarkHub(b, options)
	publications := make([]Publication, 256)
	for i := range publications {
		publications[i] = Publication{To: topic, Event: benchmarkEvent}
	}
	ids := make([]ID, 0, len(publications))
	loop(b, len(publications), func() error { _, err := hub.AppendBatch(ids, publications); return err })
}

func BenchmarkPublishBatch(b *testing.B)               { benchmarkBatch(b, nil) }
func BenchmarkPublishBatchWithoutHistory(b *testing.B) { benchmarkBatch(b, noHistory) }

// What a call of C costs that does nothing.
func BenchmarkCallOfC(b *testing.B) {
	hub, _ := benchmarkHub(b, nil)
	loop(b, 1, func() error { hub.callNothing(); return nil })
}

// What C needs for the same events, without Go between them: the engine's own share.
func BenchmarkEngine(b *testing.B)               { benchmarkEngine(b, nil) }
func BenchmarkEngineWithoutHistory(b *testing.B) { benchmarkEngine(b, noHistory) }

func benchmarkEngine(b *testing.B, options *Options) {
	_, topic := benchmarkHub(b, options)
	loop(b, 1000, func() error { return topic.publishInC(benchmarkEvent, 1000) })
}
