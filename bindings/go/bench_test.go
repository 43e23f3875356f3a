package fanfare

import (
	"strings"
	"testing"
)

func benchmarkHub(b *testing.B) (*Hub, *Topic) {
	hub, err := New(nil)
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

var benchmarkEvent = Event{Name: "tick", Data: strings.Repeat("x", 128)}

func BenchmarkPublish(b *testing.B) {
	hub, _ := benchmarkHub(b)
	for b.Loop() {
		if _, err := hub.Publish("t", benchmarkEvent); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublishToHandle(b *testing.B) {
	_, topic := benchmarkHub(b)
	for b.Loop() {
		if _, err := topic.Publish(benchmarkEvent); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublishToHandleParallel(b *testing.B) {
	_, topic := benchmarkHub(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := topic.Publish(benchmarkEvent); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What is reported is the time of one event.
func BenchmarkPublishBatch(b *testing.B) {
	hub, topic := benchmarkHub(b)
	publications := make([]Publication, 256)
	for i := range publications {
		publications[i] = Publication{To: topic, Event: benchmarkEvent}
	}
	ids := make([]ID, 0, len(publications))
	events := 0
	for b.Loop() {
		if _, err := hub.AppendBatch(ids, publications); err != nil {
			b.Fatal(err)
		}
		events += len(publications)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
}

// What a call of C costs that does nothing.
func BenchmarkCallOfC(b *testing.B) {
	hub, _ := benchmarkHub(b)
	for b.Loop() {
		hub.callNothing()
	}
}
