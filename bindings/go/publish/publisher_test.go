package publish_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-sse/fanfare/bindings/go/publish"
)

func closeSoon(t *testing.T, publisher *publish.Publisher) {
	t.Helper()
	if err := publisher.Close(soon(t)); err != nil {
		t.Error(err)
	}
}

// lost gathers what a publisher gives up.
type lost struct {
	mu     sync.Mutex
	events []publish.Undelivered
}

func (l *lost) add(events []publish.Undelivered) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, events...)
}

func (l *lost) all() []publish.Undelivered {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]publish.Undelivered(nil), l.events...)
}

func TestGoroutinesPublishAtOnceInTheirOrderAndNothingIsLost(t *testing.T) {
	t.Parallel()
	const publishers, each = 8, 1000
	s := serve(t)
	stream := s.subscribe("t")
	publisher := s.client(nil).Publisher(&publish.PublisherOptions{QueueEventsMax: 500})
	for p := range publishers {
		go func() {
			for n := range each {
				event := publish.Event{Data: fmt.Sprintf("%d %d", p, n)}
				if err := publisher.PublishContext(soon(t), "t", event); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	var next [publishers]int
	for range publishers * each {
		event, ok := stream.next()
		var p, n int
		if _, err := fmt.Sscanf(event.data, "%d %d", &p, &n); err != nil || !ok {
			t.Fatalf("%v: %+v", err, event)
		}
		if n != next[p] {
			t.Fatalf("got %+v, and %d was the next of its publisher", event, next[p])
		}
		next[p]++
	}
	closeSoon(t, publisher)
	if stats := publisher.Stats(); stats.Published != publishers*each || stats.Waiting != 0 || stats.WaitingBytes != 0 {
		t.Errorf("%+v", stats)
	}
	if err := publisher.Publish("t", text(1)); !errors.Is(err, publish.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := publisher.Close(soon(t)); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestWhatTheServerRefusesIsReportedAndTheOthersAreDelivered(t *testing.T) {
	t.Parallel()
	s := serve(t, "--event-bytes-max", "1KiB")
	var lost lost
	publisher := s.client(nil).Publisher(&publish.PublisherOptions{OnUndelivered: lost.add})
	stream := s.subscribe("t")
	large := publish.Event{Data: strings.Repeat("x", 2000), Name: "n", Key: "k", Retry: time.Second}
	for _, event := range []publish.Event{text(1), large, {Name: "fanfare-gap"}, text(2), large} {
		if err := publisher.Publish("t", event); err != nil {
			t.Fatal(err)
		}
	}
	if err := publisher.Finish(soon(t), "t", &publish.Event{Data: "3"}); err != nil {
		t.Fatal(err)
	}
	if err := publisher.Publish("t", text(4)); err != nil {
		t.Fatal(err)
	}
	if err := publisher.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	stream.expect("1")
	stream.expect("2")
	stream.expect("3")
	stream.expectEnd()
	events := lost.all()
	wanted := []error{publish.ErrTooLarge, publish.ErrRefused, publish.ErrTooLarge, publish.ErrFinished}
	if len(events) != len(wanted) || events[0].Event != large || events[0].Topics[0] != "t" {
		t.Fatalf("%d are lost: %+v", len(events), events)
	}
	for n, want := range wanted {
		if !errors.Is(events[n].Err, want) {
			t.Errorf("%v, and not %v", events[n].Err, want)
		}
	}
	closeSoon(t, publisher)
	if stats := publisher.Stats(); stats.Published != 3 || stats.Undelivered != 4 {
		t.Errorf("%+v", stats)
	}
}

func TestAQueueIsFullByEventsAndByBytesAndWaitingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := serve(t)
	stream := s.subscribe("t")
	s.stop() // a server that is slow
	byEvents := s.client(nil).Publisher(&publish.PublisherOptions{QueueEventsMax: 3})
	byBytes := s.client(nil).Publisher(&publish.PublisherOptions{QueueBytesMax: 99})
	for _, publisher := range []*publish.Publisher{byEvents, byBytes} {
		n := 0
		var err error
		for ; err == nil; n++ {
			err = publisher.Publish("t", text(n))
		}
		if !errors.Is(err, publish.ErrFull) || n != 4 {
			t.Errorf("event %d: %v", n, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		err = publisher.PublishContext(ctx, "t", text(0))
		cancel()
		if !errors.Is(err, publish.ErrFull) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	}
	if err := byBytes.Publish("t", publish.Event{Data: strings.Repeat("x", 100)}); !errors.Is(err, publish.ErrTooLarge) {
		t.Errorf("larger than the queue: %v", err)
	}
	waiting := make(chan error)
	go func() { waiting <- byEvents.PublishContext(soon(t), "t", text(3)) }()
	s.goOn()
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	closeSoon(t, byEvents)
	closeSoon(t, byBytes)
	for range 3 + 3 + 1 {
		if _, ok := stream.next(); !ok {
			t.Fatal("the stream has ended")
		}
	}
}

func TestCloseSaysWhatWasNotDelivered(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.stop()
	publisher := s.client(nil).Publisher(&publish.PublisherOptions{BatchEventsMax: 2, FlushAfter: time.Hour})
	for n := range 5 {
		if err := publisher.Publish("t", text(n)); err != nil {
			t.Fatal(err)
		}
	}
	waiting := make(chan error)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := publisher.Flush(ctx); !errors.Is(err, publish.ErrUndelivered) {
		t.Errorf("flush: %v", err)
	}
	go func() { waiting <- publisher.Close(ctx) }()
	err := <-waiting
	var undelivered *publish.UndeliveredError
	if !errors.As(err, &undelivered) || !errors.Is(err, publish.ErrUndelivered) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if len(undelivered.Events) != 5 {
		t.Fatalf("%d are left", len(undelivered.Events))
	}
	for n, event := range undelivered.Events {
		want := publish.ErrClosed
		if n < 2 {
			want = publish.ErrUnknown // in the request that was under way
		}
		if !errors.Is(event.Err, want) || event.Event != text(n) {
			t.Errorf("%d: %+v", n, event)
		}
	}
}

func TestASecondCloseEndsWithItsOwnContextAndEndsTheFirst(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.stop()
	publisher := s.client(nil).Publisher(nil)
	if err := publisher.Publish("t", text(1)); err != nil {
		t.Fatal(err)
	}
	first := make(chan error, 1)
	go func() { first <- publisher.Close(soon(t)) }()
	until(t, "it takes nothing more", func() bool {
		return errors.Is(publisher.Publish("t", text(2)), publish.ErrClosed)
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := publisher.Close(ctx); err != nil {
		t.Errorf("the second call: %v", err)
	}
	var undelivered *publish.UndeliveredError
	if err := <-first; !errors.As(err, &undelivered) || undelivered.Events[0].Event != text(1) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the first call: %v", err)
	}
}

func TestANegativeNumberIsTheDefault(t *testing.T) {
	t.Parallel()
	s := serve(t)
	stream := s.subscribe("t")
	client := s.client(&publish.Options{AnswerTimeMax: -1, ConnectionsMax: -1})
	publisher := client.Publisher(&publish.PublisherOptions{
		QueueEventsMax: -1, QueueBytesMax: -1, BatchEventsMax: -1, BatchBytesMax: -1, FlushAfter: -1,
	})
	if err := publisher.PublishContext(soon(t), "t", text(1)); err != nil {
		t.Fatal(err)
	}
	stream.expect(text(1).Data)
	closeSoon(t, publisher)
}

// published publishes events in steps, with the server killed after the first ones, and returns what
// became of them: what subscribers got before and after, and what was given up.
func acrossARestart(t *testing.T, event func(n int) publish.Event) (got map[string]int, total int, stats publish.Stats, given []publish.Undelivered) {
	const before, after = 300, 500 // fewer than the server keeps of a topic
	s := serve(t)
	first := s.subscribe("t")
	var lost lost
	publisher := s.client(nil).Publisher(&publish.PublisherOptions{BatchEventsMax: 20, OnUndelivered: lost.add})
	got = make(map[string]int)
	for n := range before {
		if err := publisher.PublishContext(soon(t), "t", event(n)); err != nil {
			t.Fatal(err)
		}
	}
	first.expect("0")
	got["0"]++
	s.kill()
	for n := before; n < before+after; n++ {
		if err := publisher.PublishContext(soon(t), "t", event(n)); err != nil {
			t.Fatal(err)
		}
	}
	for {
		event, ok := first.next()
		if !ok {
			break
		}
		got[event.data]++
	}
	again := s.again()
	closeSoon(t, publisher)
	second := again.subscribe("t", "&start=earliest")
	if _, err := again.client(nil).Publish(soon(t), "t", publish.Event{Data: "the end"}); err != nil {
		t.Fatal(err)
	}
	for {
		event, ok := second.next()
		if !ok {
			t.Fatal("the stream has ended")
		}
		if event.data == "the end" {
			return got, before + after, publisher.Stats(), lost.all()
		}
		got[event.data]++
	}
}

func TestWithoutIDsNothingIsDoubledWhenTheServerIsRestartedInTheMiddle(t *testing.T) {
	t.Parallel()
	got, total, stats, given := acrossARestart(t, text)
	for data, times := range got {
		if times > 1 {
			t.Errorf("%s came %d times", data, times)
		}
	}
	for _, event := range given {
		if !errors.Is(event.Err, publish.ErrUnknown) {
			t.Errorf("%+v", event)
		}
	}
	if stats.Published+stats.Undelivered != uint64(total) || int(stats.Undelivered) != len(given) || stats.Repeated != 0 {
		t.Errorf("of %d: %+v", total, stats)
	}
}

func TestEventsWithIDsAreAllDeliveredWhenTheServerIsRestartedInTheMiddle(t *testing.T) {
	t.Parallel()
	_, total, stats, given := acrossARestart(t, func(n int) publish.Event {
		return publish.Event{Data: fmt.Sprint(n), ID: fmt.Sprint("own-", n)}
	})
	if stats.Published != uint64(total) || len(given) != 0 {
		t.Errorf("of %d: %+v, %+v", total, stats, given)
	}
}

// fillBacklog has a topic's backlog full for minutes, until no client waits for the event: each of them is
// sent it at some time of its window, and only the last one's counts.
func fillBacklog(t *testing.T, s *server, client *publish.Client) (event publish.Event, waiting []*stream) {
	t.Helper()
	for range 10 {
		waiting = append(waiting, s.subscribe("t"))
	}
	event = publish.Event{Data: strings.Repeat("x", 2000), Window: 5 * time.Minute}
	if _, err := client.Publish(soon(t), "t", event); err != nil {
		t.Fatal(err)
	}
	return event, waiting
}

func TestAFullBacklogFillsTheQueueAndNothingIsLost(t *testing.T) {
	t.Parallel()
	s := serve(t, "--topic-backlog", "1KiB")
	client := s.client(nil)
	event, waiting := fillBacklog(t, s, client)
	publisher := client.Publisher(&publish.PublisherOptions{QueueEventsMax: 50})
	for range 50 {
		if err := publisher.Publish("t", event); err != nil {
			t.Fatal(err)
		}
	}
	if err := publisher.Publish("t", event); !errors.Is(err, publish.ErrFull) {
		t.Errorf("got %v", err)
	}
	if stats := publisher.Stats(); stats.Published != 0 || stats.Waiting != 50 {
		t.Errorf("%+v", stats)
	}
	for _, stream := range waiting {
		stream.end() // nobody waits for the events any more
	}
	closeSoon(t, publisher)
	if stats := publisher.Stats(); stats.Published != 50 || stats.Undelivered != 0 {
		t.Errorf("%+v", stats)
	}
}

func TestABacklogThatStaysFullIsErrFullAfterHalfAMinute(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes the 30 s that the server waits")
	}
	t.Parallel()
	s := serve(t, "--topic-backlog", "1KiB")
	client := s.client(&publish.Options{Retries: -1})
	event, _ := fillBacklog(t, s, client)
	_, err := client.Publish(soon(t), "t", event)
	var typed *publish.Error
	if !errors.Is(err, publish.ErrFull) || !errors.As(err, &typed) || typed.Status != 503 || typed.Text == "" {
		t.Errorf("got %v", err)
	}
}

func TestAFullBacklogIsToldBeforeTheContextEnds(t *testing.T) {
	t.Parallel()
	s := serve(t, "--topic-backlog", "1KiB")
	client := s.client(&publish.Options{Retries: -1})
	event, _ := fillBacklog(t, s, client)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := client.Publish(ctx, "t", event)
	if !errors.Is(err, publish.ErrFull) || errors.Is(err, publish.ErrUnknown) || ctx.Err() != nil {
		t.Errorf("got %v", err)
	}
	hasty := s.client(&publish.Options{Retries: -1, AnswerTimeMax: 5 * time.Second})
	if _, err := hasty.Publish(soon(t), "t", event); !errors.Is(err, publish.ErrFull) {
		t.Errorf("got %v", err)
	}
	if _, err := hasty.Finish(soon(t), "u", nil); err != nil {
		t.Errorf("another topic has space: %v", err)
	}
}

func TestAServerWithoutAConnectionToSpareHasPublishedNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, "--topic-backlog", "1KiB", "--control-connections-max", "1")
	client := s.client(nil)
	event, waiting := fillBacklog(t, s, client)
	publisher := client.Publisher(nil) // its request waits for the backlog, and so has the connection
	// The server closes a connection that is idle for another one. A request that comes meanwhile is lost,
	// and repeated by its id.
	event.ID = "waits"
	if err := publisher.Publish("t", event); err != nil {
		t.Fatal(err)
	}
	other := s.client(&publish.Options{Retries: -1})
	until(t, "the publisher has the connection", func() bool {
		_, err := other.Publish(soon(t), "u", text(1))
		var typed *publish.Error
		if !errors.Is(err, publish.ErrFull) || !errors.As(err, &typed) || typed.Status != 503 {
			return false
		}
		return true
	})
	for _, stream := range waiting {
		stream.end()
	}
	if err := publisher.Flush(soon(t)); err != nil {
		t.Error(err)
	}
	if stats := publisher.Stats(); stats.Published != 1 {
		t.Errorf("%+v", stats)
	}
	closeSoon(t, publisher)
}

func TestTimesThatNeverEndAreTimesAsOthers(t *testing.T) {
	t.Parallel()
	const endless = time.Duration(math.MaxInt64)
	s := serve(t)
	stream := s.subscribe("t")
	client := s.client(&publish.Options{AnswerTimeMax: endless})
	ctx, cancel := context.WithTimeout(context.Background(), endless)
	defer cancel()
	if _, err := client.Publish(ctx, "t", text(1)); err != nil {
		t.Fatal(err)
	}
	stream.expect("1")
	publisher := client.Publisher(&publish.PublisherOptions{FlushAfter: endless})
	if err := publisher.PublishContext(ctx, "t", text(2)); err != nil {
		t.Fatal(err)
	}
	if err := publisher.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	stream.expect("2")
	closeSoon(t, publisher)
	for _, event := range []publish.Event{{Data: "x", Retry: endless}, {Data: "x", Window: endless}, {Data: "x", Retry: math.MinInt64}} {
		if _, err := client.Publish(ctx, "t", event); !errors.Is(err, publish.ErrEvent) {
			t.Errorf("%+v: %v", event, err)
		}
	}
}
