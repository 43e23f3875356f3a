package fanfare_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

func withDeadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func bare(t *testing.T, options *fanfare.Options) *fanfare.Hub {
	t.Helper()
	hub, err := fanfare.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hub.Close() })
	return hub
}

func pulled(t *testing.T, hub *fanfare.Hub, options *fanfare.StreamOptions, topics ...string) *fanfare.Stream {
	t.Helper()
	stream, err := hub.Subscribe(topics, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stream.Close() })
	return stream
}

// readUntil reads a stream until a text has come.
func readUntil(t *testing.T, stream *fanfare.Stream, text string) (all string) {
	t.Helper()
	for !strings.Contains(all, text) {
		batch, err := stream.Next(withDeadline(t))
		if err != nil {
			t.Fatalf("%v instead of %q, after %q", err, text, all)
		}
		all += string(batch)
	}
	return all
}

func TestAStreamHasWhatAClientWouldBeSent(t *testing.T) {
	hub := bare(t, nil)
	first := publish(t, hub, "a", fanfare.Event{Data: "before"})
	stream := pulled(t, hub, &fanfare.StreamOptions{
		LastEventID: first, Tag: "mine", Addr: "192.0.2.7:50000", Policy: fanfare.PolicyDropOldest,
		Envelope: fanfare.EnvelopeJSON, HeartbeatForm: fanfare.HeartbeatComment,
	}, "a", "b/#")
	publish(t, hub, "b/c", fanfare.Event{Data: "after"})
	all := readUntil(t, stream, `"after"`)
	if strings.Contains(all, "before") || !strings.Contains(all, `"b/c"`) {
		t.Errorf("the stream is %q", all)
	}
	connection, err := hub.Connection(stream.ConnectionID())
	if err != nil || connection.Tag != "mine" || connection.Addr != "192.0.2.7:50000" ||
		connection.Policy != fanfare.PolicyDropOldest || len(connection.Subscriptions) != 2 {
		t.Errorf("the connection is %+v, %v", connection, err)
	}
	if _, err := hub.Finish("a", nil); err != nil {
		t.Fatal(err)
	}
	if stream.IsComplete() {
		t.Error("it has a filter, and is complete")
	}
}

func TestAStreamBeginsWhereItIsTold(t *testing.T) {
	for _, c := range []struct {
		start fanfare.Start
		want  []string
		not   []string
	}{
		{fanfare.StartEarliest, []string{"data: 1\n", "data: 2\n", "data: 3\n"}, nil},
		{fanfare.StartLast(2), []string{"data: 2\n", "data: 3\n"}, []string{"data: 1\n"}},
		{fanfare.StartLatest, []string{"data: 3\n"}, []string{"data: 2\n"}},
		{fanfare.StartNow, nil, []string{"data: 3\n"}},
	} {
		hub := bare(t, &fanfare.Options{Shards: 1})
		for _, data := range []string{"1", "2", "3"} {
			publish(t, hub, "a", fanfare.Event{Data: data})
		}
		stream := pulled(t, hub, &fanfare.StreamOptions{Start: c.start}, "a")
		untilConnections(t, hub, 1)
		publish(t, hub, "a", fanfare.Event{Data: "end"})
		all := readUntil(t, stream, "data: end\n")
		for _, want := range c.want {
			if !strings.Contains(all, want) {
				t.Errorf("%v: %q has no %q", c.start, all, want)
			}
		}
		for _, not := range c.not {
			if strings.Contains(all, not) {
				t.Errorf("%v: %q has %q", c.start, all, not)
			}
		}
	}
}

func TestAStreamSaysWhyItHasEnded(t *testing.T) {
	hub := bare(t, nil)
	ends := map[fanfare.DisconnectReason]func(*fanfare.Stream) error{
		fanfare.DisconnectKicked: func(stream *fanfare.Stream) error {
			return hub.Disconnect(stream.ConnectionID(), time.Second)
		},
		fanfare.DisconnectFinished: func(*fanfare.Stream) error { _, err := hub.Finish("a", nil); return err },
		fanfare.DisconnectClosed:   func(*fanfare.Stream) error { return hub.Close() },
	}
	for _, reason := range []fanfare.DisconnectReason{
		fanfare.DisconnectKicked, fanfare.DisconnectFinished, fanfare.DisconnectClosed,
	} {
		topic := map[bool]string{true: "a", false: "b"}[reason == fanfare.DisconnectFinished]
		stream := pulled(t, hub, nil, topic)
		publish(t, hub, topic, fanfare.Event{Data: "x"})
		readUntil(t, stream, "data: x\n")
		if err := ends[reason](stream); err != nil {
			t.Fatal(err)
		}
		var err error
		for err == nil {
			_, err = stream.Next(withDeadline(t))
		}
		var ended *fanfare.EndedError
		if !errors.As(err, &ended) || *ended != (fanfare.EndedError{Reason: reason}) || !errors.Is(err, fanfare.ErrEnded) {
			t.Errorf("%v: %v", reason, err)
		}
	}
	if got := fanfare.DisconnectFinished.String(); got != "finished" {
		t.Errorf("the reason is %q", got)
	}
}

func TestAReaderWaitsEndsWithItsContextAndIsWoken(t *testing.T) {
	hub := bare(t, &fanfare.Options{Heartbeat: -1})
	stream := pulled(t, hub, nil, "a")
	publish(t, hub, "a", fanfare.Event{Data: "1"})
	readUntil(t, stream, "data: 1\n")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := stream.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing comes: %v", err)
	}
	for _, end := range []func(){
		func() { publish(t, hub, "a", fanfare.Event{Data: "2"}) },
		func() { stream.Close() },
	} {
		read := make(chan error, 1)
		go func() {
			_, err := stream.Next(withDeadline(t))
			read <- err
		}()
		time.Sleep(10 * time.Millisecond) // it waits, as a rule
		end()
		if err := <-read; err != nil && !errors.Is(err, fanfare.ErrEnded) {
			t.Error(err)
		}
	}
	if _, err := stream.Next(withDeadline(t)); !errors.Is(err, fanfare.ErrEnded) {
		t.Errorf("a closed stream: %v", err)
	}
	if stream.IsComplete() || stream.ConnectionID() != 0 || stream.Close() != nil {
		t.Error("a closed stream has something")
	}
	untilConnections(t, hub, 0)
}

func TestAStreamOutlivesItsHub(t *testing.T) {
	hub := bare(t, nil)
	waiting, untouched := pulled(t, hub, nil, "a"), pulled(t, hub, nil, "a")
	publish(t, hub, "a", fanfare.Event{Data: "the last"})
	readUntil(t, waiting, "data: the last\n")
	read := make(chan error, 1)
	go func() {
		_, err := waiting.Next(withDeadline(t))
		read <- err
	}()
	hub.Close()
	if err := <-read; !errors.Is(err, fanfare.ErrEnded) {
		t.Errorf("who waited gets %v", err)
	}
	readUntil(t, untouched, "data: the last\n")
	if _, err := untouched.Next(withDeadline(t)); !errors.Is(err, fanfare.ErrEnded) {
		t.Errorf("who comes late gets %v", err)
	}
	if _, err := hub.Subscribe([]string{"a"}, nil); !errors.Is(err, fanfare.ErrClosed) {
		t.Errorf("subscribe to a closed hub: %v", err)
	}
}

func TestWhatIsNoSubscriptionIsRefused(t *testing.T) {
	hub := bare(t, &fanfare.Options{SubscriptionsMax: 2})
	var option *fanfare.OptionError
	_, err := hub.Subscribe([]string{"a"}, &fanfare.StreamOptions{Tag: strings.Repeat("x", 257)})
	if !errors.As(err, &option) || option.Option != "Tag" {
		t.Errorf("a long tag: %v", err)
	}
	for _, c := range []struct {
		topics []string
		want   error
	}{
		{nil, fanfare.ErrSubscription}, {[]string{"a#"}, fanfare.ErrSubscription},
		{[]string{"a", "b", "c"}, fanfare.ErrLimit}, {make([]string, 65_537), fanfare.ErrTooMany},
	} {
		if _, err := hub.Subscribe(c.topics, nil); !errors.Is(err, c.want) {
			t.Errorf("%d topics: %v, not %v", len(c.topics), err, c.want)
		}
	}
}

func TestAStreamIsAskedAndGivenUpWhileAnotherGoroutineReadsIt(t *testing.T) {
	hub := bare(t, &fanfare.Options{Heartbeat: -1})
	stream := pulled(t, hub, nil, "a")
	publish(t, hub, "a", fanfare.Event{Data: "1"})
	readUntil(t, stream, "data: 1\n")
	read := make(chan error, 1)
	go func() {
		_, err := stream.Next(context.Background())
		read <- err
	}()
	asked := make(chan error, 1)
	go func() {
		// One of the two waits for the other one.
		for range 3 {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			defer cancel()
			if _, err := stream.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
				asked <- err
				return
			}
		}
		if stream.ConnectionID() == 0 || stream.IsComplete() {
			asked <- errors.New("it is not the stream that it was")
			return
		}
		asked <- nil
	}()
	select {
	case err := <-asked:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(deadline):
		t.Error("what asks waits for what reads")
	}
	stream.Close()
	if err := <-read; !errors.Is(err, fanfare.ErrEnded) {
		t.Errorf("who reads gets %v", err)
	}
}
