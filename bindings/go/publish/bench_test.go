package publish_test

import (
	"os"
	"testing"

	"github.com/fanfare-sse/fanfare/bindings/go/publish"
)

// What an event costs that is queued, sent and acknowledged, with nobody subscribed.
func BenchmarkPublisher(b *testing.B) {
	client, err := publish.New(benchmarkServer(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	publisher := client.Publisher(nil)
	event := publish.Event{Name: "tick", Data: "a hundred bytes or so, as an event may have that says what has changed, and by how much, in JSON"}
	b.ReportAllocs()
	for b.Loop() {
		if err := publisher.PublishContext(b.Context(), "t", event); err != nil {
			b.Fatal(err)
		}
	}
	if err := publisher.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// One event with each request, one after the other.
func BenchmarkClient(b *testing.B) {
	client, err := publish.New(benchmarkServer(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Publish(b.Context(), "t", publish.Event{Data: "x"}); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkServer(b *testing.B) string {
	b.Helper()
	at := os.Getenv("FANFARE_URL")
	if at == "" {
		b.Skip("FANFARE_URL is the control listener of a fanfare serve")
	}
	return at
}
