package fanfare_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

var _ io.Closer = (*fanfare.Hub)(nil)

// start starts a hub that listens, and closes it when the test ends.
func start(t *testing.T, options *fanfare.Options) (hub *fanfare.Hub, port int) {
	t.Helper()
	hub, err := fanfare.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hub.Close() })
	listener, err := hub.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	return hub, listener.Port()
}

func publish(t *testing.T, hub *fanfare.Hub, topic string, event fanfare.Event) (id string) {
	t.Helper()
	published, err := hub.Publish(topic, event)
	if err != nil {
		t.Fatalf("publish %+v to %q: %v", event, topic, err)
	}
	return published.String()
}

func TestAnEventArrivesAsItWasPublished(t *testing.T) {
	hub, port := start(t, nil)
	client := subscribe(t, port, "orders/Zürich")
	cases := []struct {
		event      fanfare.Event
		name, data string
	}{
		{fanfare.Event{Data: "hello"}, "message", "hello"},
		{fanfare.Event{Name: "sale", Data: "12"}, "sale", "12"},
		{fanfare.Event{Name: "größe", Data: "Grüße € 🎺"}, "größe", "Grüße € 🎺"},
		{fanfare.Event{Data: "a\nb\r\nc\rd\n"}, "message", "a\nb\nc\nd\n"},
		{fanfare.Event{Data: "x\n\ndata: y\nid: 7"}, "message", "x\n\ndata: y\nid: 7"},
		{fanfare.Event{Data: " a space"}, "message", " a space"},
		{fanfare.Event{Data: ""}, "message", ""},
		{fanfare.Event{Name: "empty"}, "empty", ""},
		{fanfare.Event{Data: strings.Repeat("x", 1<<20)}, "message", strings.Repeat("x", 1<<20)},
	}
	for _, c := range cases {
		id := publish(t, hub, "orders/Zürich", c.event)
		if got := client.expect(c.name, c.data); got.id != id || id == "" || len(id) > 64 {
			t.Errorf("the id is %q, and the client has %q", id, got.id)
		}
	}
}

func TestAnEventMayHaveAnIDRetryAndKeyOfItsOwn(t *testing.T) {
	hub, port := start(t, nil)
	client := subscribe(t, port, "t")
	publish(t, hub, "t", fanfare.Event{Data: "a", ID: "my own", Key: "k", Retry: 1500 * time.Microsecond})
	if got := client.expect("message", "a"); got.id != "my own" || client.retry != "2" {
		t.Errorf("the id is %q and the retry %q", got.id, client.retry)
	}
	publish(t, hub, "t", fanfare.Event{NoData: true, ID: "checkpoint"})
	publish(t, hub, "t", fanfare.Event{NoData: true, Retry: math.MaxUint32 * time.Millisecond})
	publish(t, hub, "u", fanfare.Event{Data: "another topic's"})
	publish(t, hub, "t", fanfare.Event{Data: "b"})
	client.expect("message", "b")
	if client.retry != "4294967295" {
		t.Errorf("the retry is %q", client.retry)
	}
}

func TestWhatNoClientWouldGetIsRefused(t *testing.T) {
	hub, port := start(t, &fanfare.Options{EventBytesMax: 8})
	client := subscribe(t, port, "t")
	long := strings.Repeat("x", 257)
	cases := []struct {
		topic string
		event fanfare.Event
		want  error
	}{
		{"", fanfare.Event{}, fanfare.ErrTopic},
		{long, fanfare.Event{}, fanfare.ErrTopic},
		{"a+b", fanfare.Event{}, fanfare.ErrTopic},
		{"a\x00b", fanfare.Event{}, fanfare.ErrTopic},
		{"\xff", fanfare.Event{}, fanfare.ErrTopic},
		{"t", fanfare.Event{NoData: true}, fanfare.ErrEvent},
		{"t", fanfare.Event{NoData: true, Data: "x"}, fanfare.ErrEvent},
		{"t", fanfare.Event{NoData: true, Name: "n", Key: "k"}, fanfare.ErrEvent},
		{"t", fanfare.Event{Name: "a\nb"}, fanfare.ErrEvent},
		{"t", fanfare.Event{Name: long}, fanfare.ErrEvent},
		{"t", fanfare.Event{ID: " a"}, fanfare.ErrEvent},
		{"t", fanfare.Event{Key: long}, fanfare.ErrEvent},
		{"t", fanfare.Event{Retry: -1}, fanfare.ErrEvent},
		{"t", fanfare.Event{Retry: math.MaxInt64}, fanfare.ErrEvent},
		{"t", fanfare.Event{Data: "\xff"}, fanfare.ErrUTF8},
		{"t", fanfare.Event{Name: "\xff"}, fanfare.ErrUTF8},
		{"t", fanfare.Event{Data: "123456789"}, fanfare.ErrTooLarge},
	}
	for _, c := range cases {
		id, err := hub.Publish(c.topic, c.event)
		if !errors.Is(err, c.want) || !id.IsZero() {
			t.Errorf("publish %+v to %q: %q, %v; not %v", c.event, c.topic, id, err, c.want)
		}
	}
	publish(t, hub, "t", fanfare.Event{Data: "12345678"})
	client.expect("message", "12345678")
}

func TestAnErrorSaysWhatToDo(t *testing.T) {
	hub, _ := start(t, nil)
	_, err := hub.Publish("", fanfare.Event{})
	if err == nil || !strings.Contains(err.Error(), "1 to 256 bytes of UTF-8") {
		t.Errorf("the error is %v", err)
	}
	var code fanfare.Error
	if !errors.As(err, &code) || code != -6 {
		t.Errorf("the code is %d", code)
	}
}

func TestOptionsOutOfBoundsAreRefusedAndOnTheBoundsTaken(t *testing.T) {
	for _, options := range []fanfare.Options{
		{Shards: -1},
		{Shards: 257},
		{Heartbeat: 99 * time.Millisecond},
		{Retry: 25 * time.Hour},
		{EventBytesMax: 64<<20 + 1},
		{BatchBytesMax: -1},
		{TopicBacklogBytesMax: -1},
		{BacklogBytesMax: -1},
		{LagGrace: 31 * time.Second},
		{LagTotalBytesMax: -1},
		{ConnectionsMax: -1},
		{LagGracePercent: 101},
	} {
		if hub, err := fanfare.New(&options); !errors.Is(err, fanfare.ErrOptions) || hub != nil {
			t.Errorf("%+v: %v", options, err)
		}
	}
	for _, options := range []fanfare.Options{
		{},
		{Shards: 1, Heartbeat: -1, Retry: -1, LagGrace: -1},
		{Heartbeat: 100 * time.Millisecond, Retry: 24 * time.Hour, EventBytesMax: 64 << 20},
		{LagAgeMax: time.Minute, LagGrace: time.Minute, ConnectionsPerAddressMax: 1},
		{LagGracePercent: -1},
		{LagGracePercent: 1},
		{LagGracePercent: 100, AnyHost: true},
	} {
		hub, err := fanfare.New(&options)
		if err != nil {
			t.Errorf("%+v: %v", options, err)
			continue
		}
		hub.Close()
	}
}

func TestARequestByAnotherNameIsRefusedUnlessAnyHostIsServed(t *testing.T) {
	for _, anyHost := range []bool{false, true} {
		want := http.StatusMisdirectedRequest
		if anyHost {
			want = http.StatusOK
		}
		_, port := start(t, &fanfare.Options{Shards: 1, AnyHost: anyHost})
		if got := statusOf(t, port, "localhost"); got != http.StatusOK {
			t.Errorf("AnyHost %t: localhost gets %d", anyHost, got)
		}
		if got := statusOf(t, port, "app.example"); got != want {
			t.Errorf("AnyHost %t: another name gets %d, not %d", anyHost, got, want)
		}
	}
}

func TestANegativeRetryTellsClientsNothing(t *testing.T) {
	told, port := start(t, nil)
	client := subscribe(t, port, "t")
	publish(t, told, "t", fanfare.Event{})
	if client.expect("message", ""); client.retry == "" {
		t.Error("by default no retry is told")
	}
	silent, port := start(t, &fanfare.Options{Retry: -1})
	client = subscribe(t, port, "t")
	publish(t, silent, "t", fanfare.Event{})
	if client.expect("message", ""); client.retry != "" {
		t.Errorf("the retry %q is told", client.retry)
	}
}

func TestAnAddressThatCannotBeBoundIsRefusedAndNamed(t *testing.T) {
	hub, port := start(t, nil)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	own := fmt.Sprintf("127.0.0.1:%d", port)
	for _, addr := range []string{"", ":0", "nowhere", "127.0.0.1", "127.0.0.1:65536", "\xff:1",
		"192.0.2.1:0", taken.Addr().String(), own} {
		_, err := hub.Listen(addr, nil)
		if !errors.Is(err, fanfare.ErrAddress) || !strings.Contains(err.Error(), fmt.Sprintf("%q", addr)) {
			t.Errorf("listen on %q: %v", addr, err)
		}
	}
	if another, err := hub.Listen("127.0.0.1:0", nil); err != nil || another.Port() == port {
		t.Errorf("listen once more: %v, %v", another, err)
	}
}

func TestATopicIsFullWhileAClientDoesNotReadAndOtherTopicsAreNot(t *testing.T) {
	hub, port := start(t, &fanfare.Options{
		TopicBacklogBytesMax: 1, LagBytesMax: 1, LagGrace: 10 * deadline, LagAgeMax: 10 * deadline,
		LagGracePercent: 100, // at less, a connection that has just come is not waited for
	})
	sleeper, other := subscribe(t, port, "flood"), subscribe(t, port, "quiet")
	large := fanfare.Event{Data: strings.Repeat("x", 1<<20)}
	end := time.Now().Add(deadline)
	for since := time.Now(); time.Since(since) < time.Second/2; {
		_, err := hub.Publish("flood", large)
		switch {
		case time.Now().After(end):
			t.Fatal("the topic never stays full")
		case err == nil:
			since = time.Now()
		case errors.Is(err, fanfare.ErrFull):
			time.Sleep(time.Millisecond)
		default:
			t.Fatal(err)
		}
	}
	publish(t, hub, "quiet", fanfare.Event{Data: "not full"})
	other.expect("message", "not full")

	sleeper.body.Close()
	publishWhenPossible(t, hub, "flood", fanfare.Event{Data: "released"})
}

// publishWhenPossible tries again while the backlog is full.
func publishWhenPossible(t *testing.T, hub *fanfare.Hub, topic string, event fanfare.Event) {
	end := time.Now().Add(deadline)
	for {
		_, err := hub.Publish(topic, event)
		if err == nil {
			return
		}
		if !errors.Is(err, fanfare.ErrFull) || time.Now().After(end) {
			t.Errorf("publish: %v", err)
			return
		}
		time.Sleep(200 * time.Microsecond)
	}
}

func TestGoroutinesPublishAtOnceInTheirOrderAndNothingIsLost(t *testing.T) {
	const publishers, each = 8, 500
	hub, port := start(t, &fanfare.Options{TopicBacklogBytesMax: 4096, LagBytesMax: 64 << 20})
	client := subscribe(t, port, "t")
	var done sync.WaitGroup
	for p := range publishers {
		done.Add(1)
		go func() {
			defer done.Done()
			for i := range each {
				publishWhenPossible(t, hub, "t", fanfare.Event{Data: fmt.Sprintf("%d %d", p, i)})
			}
		}()
	}
	var next [publishers]int
	ids := make(map[string]bool)
	for i := range publishers * each {
		event, ok := client.next()
		if !ok {
			t.Fatal("the stream has ended")
		}
		var p, n int
		if _, err := fmt.Sscanf(event.data, "%d %d", &p, &n); err != nil {
			t.Fatal(err)
		}
		if n != next[p] || ids[event.id] {
			t.Fatalf("event %d is %+v, and %d was the next of its publisher", i+1, event, next[p])
		}
		ids[event.id] = true
		next[p]++
	}
	done.Wait()
}

func TestCloseSendsWhatWasPublishedAndEndsTheStreams(t *testing.T) {
	hub, port := start(t, nil)
	client := subscribe(t, port, "t")
	publish(t, hub, "t", fanfare.Event{Data: "the last one"})
	if err := hub.Close(); err != nil {
		t.Error(err)
	}
	client.expect("message", "the last one")
	client.expectEnd()
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		t.Error("the port is still open")
	}
}

func TestAClosedHubRefusesEverythingAndIsClosedAgain(t *testing.T) {
	hub, _ := start(t, nil)
	for range 3 {
		if err := hub.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := hub.Publish("t", fanfare.Event{}); !errors.Is(err, fanfare.ErrClosed) {
		t.Errorf("publish: %v", err)
	}
	if _, err := hub.Listen("127.0.0.1:0", nil); !errors.Is(err, fanfare.ErrClosed) {
		t.Errorf("listen: %v", err)
	}
}

func TestCloseIsSafeWhileOthersPublishAndClose(t *testing.T) {
	for range 20 {
		hub, port := start(t, &fanfare.Options{Shards: 1})
		client := subscribe(t, port, "t")
		var publishing, done sync.WaitGroup
		for range 4 {
			publishing.Add(1)
			done.Add(1)
			go func() {
				defer done.Done()
				var once sync.Once
				for {
					_, err := hub.Publish("t", fanfare.Event{Data: "x"})
					once.Do(publishing.Done)
					if errors.Is(err, fanfare.ErrClosed) {
						return
					}
					if err != nil && !errors.Is(err, fanfare.ErrFull) {
						t.Error(err)
						return
					}
				}
			}()
		}
		publishing.Wait()
		for range 2 {
			done.Add(1)
			go func() {
				defer done.Done()
				if err := hub.Close(); err != nil {
					t.Error(err)
				}
			}()
		}
		client.expectEnd()
		done.Wait()
	}
}
