package fanfare_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

func topicOf(t *testing.T, hub *fanfare.Hub, name string) *fanfare.Topic {
	t.Helper()
	topic, err := hub.Topic(name)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func TestAHandlePublishesToItsTopicAndFinishesIt(t *testing.T) {
	hub, port := start(t, nil)
	client := subscribe(t, port, "t")
	topic := topicOf(t, hub, "t")
	id, err := topic.Publish(fanfare.Event{Name: "n", Data: "1", Comment: "to nobody"})
	if err != nil || topic.String() != "t" {
		t.Fatal(topic, err)
	}
	if got := client.expect("n", "1"); got.id != id.String() {
		t.Errorf("the id is %q, not %q", got.id, id)
	}
	if _, err := topic.Finish(&fanfare.Event{Data: "the last"}); err != nil {
		t.Fatal(err)
	}
	client.expect("message", "the last")
	client.expectEnd()
	if _, err := topic.Publish(fanfare.Event{}); !errors.Is(err, fanfare.ErrFinished) {
		t.Errorf("publish to a finished topic: %v", err)
	}
	if _, err := hub.Finish("t", nil); !errors.Is(err, fanfare.ErrFinished) {
		t.Errorf("finish it once more: %v", err)
	}
	if _, err := hub.FinishContext(context.Background(), "u", nil); err != nil {
		t.Errorf("finish a topic that nobody knows: %v", err)
	}
	for _, name := range []string{"", "a+", "\xff"} {
		if _, err := hub.Topic(name); !errors.Is(err, fanfare.ErrTopic) {
			t.Errorf("a handle of %q: %v", name, err)
		}
	}
}

func TestOneEventOfSeveralTopicsIsSentOnce(t *testing.T) {
	hub, port := start(t, nil)
	client := subscribe(t, port, "#")
	id, err := hub.PublishTopics([]string{"a", "b", "c/d"}, fanfare.Event{Data: "1"})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, hub, "a", fanfare.Event{Data: "2"})
	if got := client.expect("message", "1"); got.id != id.String() {
		t.Errorf("the id is %q, not %q", got.id, id)
	}
	client.expect("message", "2")
	for _, c := range []struct {
		topics []string
		want   error
	}{{nil, fanfare.ErrArgument}, {[]string{"a", ""}, fanfare.ErrTopic}, {make([]string, 65), fanfare.ErrTooMany}} {
		if _, err := hub.PublishTopics(c.topics, fanfare.Event{}); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, not %v", c.topics, err, c.want)
		}
	}
}

func TestABatchIsPublishedInItsOrderUpToWhatIsRefused(t *testing.T) {
	hub, port := start(t, &fanfare.Options{EventBytesMax: 100_000, TopicBacklogBytesMax: 64 << 20})
	client := subscribe(t, port, "#")
	handle := topicOf(t, hub, "h")
	var batch []fanfare.Publication
	for i := range 300 { // more than are put together at once
		publication := fanfare.Publication{Event: fanfare.Event{
			Name: strings.Repeat("n", i%7), Data: strings.Repeat("d", i), Key: strings.Repeat("k", i%3),
			Comment: strings.Repeat("c", i%5), Retry: time.Duration(i%2) * time.Second,
		}}
		if i%4 == 3 {
			publication.Event.ID = fmt.Sprint("own ", i)
		}
		switch i % 4 {
		case 0:
			publication.Topic = "name"
		case 1:
			publication.To = handle
		case 2:
			publication.Topics = []string{"a", "b"}
		default:
			publication.Topic, publication.To, publication.Topics = "name", handle, []string{"a", "b"}
		}
		batch = append(batch, publication)
	}
	ids, err := hub.PublishBatch(batch)
	if err != nil || len(ids) != len(batch) {
		t.Fatalf("%d ids of %d: %v", len(ids), len(batch), err)
	}
	for i, publication := range batch {
		name, id := publication.Event.Name, ids[i].String()
		if name == "" {
			name = "message"
		}
		if publication.Event.ID != "" {
			id = publication.Event.ID
		}
		if got := client.expect(name, publication.Event.Data); got.id != id {
			t.Fatalf("event %d has the id %q, not %q", i, got.id, id)
		}
	}
	for _, c := range []struct {
		refused fanfare.Publication
		want    error
	}{
		{fanfare.Publication{Topic: "t", Event: fanfare.Event{Data: strings.Repeat("x", 100_001)}}, fanfare.ErrTooLarge},
		{fanfare.Publication{Topic: "a+"}, fanfare.ErrTopic},
		{fanfare.Publication{Topic: strings.Repeat("t", 1<<16)}, fanfare.ErrTopic},
		{fanfare.Publication{}, fanfare.ErrArgument},
		{fanfare.Publication{Topic: "t", Event: fanfare.Event{NoData: true}}, fanfare.ErrEvent},
		{fanfare.Publication{Topic: "t", Event: fanfare.Event{Window: -1}}, fanfare.ErrEvent},
		{fanfare.Publication{Topic: "t", Event: fanfare.Event{Name: strings.Repeat("n", 1<<16)}}, fanfare.ErrEvent},
		{fanfare.Publication{Topics: make([]string, 65)}, fanfare.ErrTooMany},
	} {
		good := fanfare.Publication{Topic: "good", Event: fanfare.Event{Data: "good"}}
		ids, err := hub.PublishBatch([]fanfare.Publication{good, good, c.refused, good})
		if !errors.Is(err, c.want) || len(ids) != 2 {
			t.Errorf("%.60v: %d ids and %v, not %v", c.refused, len(ids), err, c.want)
		}
		client.expect("message", "good")
		client.expect("message", "good")
	}
	if ids, err := hub.PublishBatch(nil); err != nil || len(ids) != 0 {
		t.Errorf("no events: %v, %v", ids, err)
	}
}

// full is a hub whose topic "t" is full for as long as a client does not read.
func full(t *testing.T) (hub *fanfare.Hub, sleeper *client) {
	t.Helper()
	hub, port := start(t, &fanfare.Options{
		Shards: 1, TopicBacklogBytesMax: 1, LagBytesMax: 1, LagGrace: 10 * deadline, LagAgeMax: 10 * deadline,
		LagGracePercent: 100,
	})
	sleeper = subscribe(t, port, "t")
	large := fanfare.Event{Data: strings.Repeat("x", 1<<20)}
	begin, since := time.Now(), time.Now()
	for time.Since(since) < 100*time.Millisecond {
		_, err := hub.Publish("t", large)
		switch {
		case time.Since(begin) > deadline:
			t.Fatal("the topic never stays full")
		case err == nil:
			since = time.Now()
		case !errors.Is(err, fanfare.ErrFull):
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	return hub, sleeper
}

func TestAPublisherWithAContextWaitsForSpaceAndEndsWithIt(t *testing.T) {
	hub, sleeper := full(t)
	topic := topicOf(t, hub, "t")
	event := fanfare.Event{Data: "waited"}
	calls := map[string]func(ctx context.Context) error{
		"name":   func(ctx context.Context) error { _, err := hub.PublishContext(ctx, "t", event); return err },
		"handle": func(ctx context.Context) error { _, err := topic.PublishContext(ctx, event); return err },
		"topics": func(ctx context.Context) error {
			_, err := hub.PublishTopicsContext(ctx, []string{"u", "t"}, event)
			return err
		},
		"batch": func(ctx context.Context) error {
			ids, err := hub.PublishBatchContext(ctx, []fanfare.Publication{
				{Topic: "other", Event: event}, {Topic: "t", Event: event}})
			if err != nil && ctx.Err() == nil || len(ids) > 2 {
				return fmt.Errorf("%d ids: %w", len(ids), err)
			}
			return err
		},
	}
	for name, call := range calls {
		cancelled, cancel := context.WithCancel(context.Background())
		cancel()
		if err := call(cancelled); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that has ended: %v", name, err)
		}
		timed, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		if err := call(timed); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s with a context that ends: %v", name, err)
		}
		cancel()
	}
	waited := make(chan error, len(calls))
	for _, call := range calls {
		go func() { waited <- call(context.Background()) }()
	}
	sleeper.body.Close()
	for range calls {
		if err := <-waited; err != nil {
			t.Errorf("there is space, and %v", err)
		}
	}
}

// What waits is told, and tries nothing meanwhile: each try that finds the backlog full is counted.
func TestWhatWaitsForSpaceTriesOnceAndOnceMoreWhenThereIsSome(t *testing.T) {
	hub, sleeper := full(t)
	topic := topicOf(t, hub, "t")
	fullEvents := func() uint64 {
		metrics, err := hub.Metrics()
		if err != nil {
			t.Fatal(err)
		}
		return metrics.FullEvents
	}
	event := fanfare.Event{Data: "waited"}
	spread := fanfare.Event{Data: "spread", Window: time.Second}
	calls := []func(context.Context) error{
		func(ctx context.Context) error { _, err := hub.PublishContext(ctx, "t", event); return err },
		func(ctx context.Context) error { _, err := hub.PublishContext(ctx, "t", spread); return err },
		func(ctx context.Context) error { _, err := topic.PublishContext(ctx, event); return err },
		func(ctx context.Context) error {
			_, err := hub.PublishTopicsContext(ctx, []string{"t", "u"}, event)
			return err
		},
		func(ctx context.Context) error {
			ids, err := hub.PublishBatchContext(ctx, []fanfare.Publication{{Topic: "u", Event: event}, {To: topic, Event: event}})
			if err != nil && len(ids) != 1 {
				return fmt.Errorf("%d ids: %w", len(ids), err)
			}
			return err
		},
	}
	for i, call := range calls {
		before := fullEvents()
		ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
		if err := call(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("call %d: %v", i, err)
		}
		cancel()
		if tries := fullEvents() - before; tries > 1 {
			t.Errorf("call %d found it full %d times", i, tries)
		}
	}
	before, waited := fullEvents(), make(chan error, 1)
	go func() {
		_, err := hub.FinishContext(context.Background(), "t", &event)
		waited <- err
	}()
	until(t, "the end waits", func() bool { return fullEvents() > before })
	sleeper.body.Close()
	if err := <-waited; err != nil {
		t.Errorf("there is space, and %v", err)
	}
	if tries := fullEvents() - before; tries > 2 {
		t.Errorf("the end found it full %d times", tries)
	}
}

func TestCloseEndsWhatWaitsForSpace(t *testing.T) {
	hub, sleeper := full(t)
	waited := make(chan error, 1)
	go func() {
		_, err := hub.PublishContext(context.Background(), "t", fanfare.Event{})
		waited <- err
	}()
	go hub.Close()
	if err := <-waited; err != nil && !errors.Is(err, fanfare.ErrClosed) {
		t.Errorf("waited: %v", err)
	}
	sleeper.body.Close()
}

func TestDrainTellsClientsAndEndsWithItsContext(t *testing.T) {
	hub, port := start(t, nil)
	client := subscribe(t, port, "t")
	untilConnections(t, hub, 1)
	if _, err := hub.Drain(context.Background(), &fanfare.DrainOptions{Window: 2 * time.Hour}); !errors.Is(err, fanfare.ErrOptions) {
		t.Errorf("an option out of bounds: %v", err)
	}
	var option *fanfare.OptionError
	if _, err := hub.Drain(context.Background(), &fanfare.DrainOptions{Grace: 2 * time.Hour}); !errors.As(err, &option) || option.Option != "Grace" {
		t.Errorf("an option out of bounds: %v", err)
	}
	drained, err := hub.Drain(context.Background(), &fanfare.DrainOptions{Window: 10 * time.Millisecond, Retry: time.Second})
	if err != nil || drained != (fanfare.Drained{Told: 1}) {
		t.Errorf("drained: %+v, %v", drained, err)
	}
	client.expectEnd()
	if _, err := hub.Publish("t", fanfare.Event{}); !errors.Is(err, fanfare.ErrClosed) {
		t.Errorf("publish to a hub that is drained: %v", err)
	}

	hub, port = start(t, nil)
	for range 4 {
		client = subscribe(t, port, "t")
	}
	untilConnections(t, hub, 4)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := hub.Drain(ctx, &fanfare.DrainOptions{Window: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drained: %v", err)
	}
	hub.Close()
	client.expectEnd()
	if drained, err := hub.Drain(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a context that has ended: %v, %v", drained, err)
	}
}

func TestEverythingIsSafeWhileTheHubIsClosed(t *testing.T) {
	for range 5 {
		hub, port := start(t, &fanfare.Options{Shards: 1})
		topic := topicOf(t, hub, "t")
		client := subscribe(t, port, "t")
		var running, begun sync.WaitGroup
		for _, call := range []func() error{
			func() error { _, err := topic.Publish(fanfare.Event{}); return err },
			func() error {
				_, err := hub.PublishBatch([]fanfare.Publication{{To: topic}, {Topic: "u"}})
				return err
			},
			func() error { _, err := hub.PublishContext(context.Background(), "t", fanfare.Event{}); return err },
			func() error { _, err := hub.Connections(fanfare.ConnectionFilter{}); return err },
			func() error { _, err := hub.Subscribers("t"); return err },
			func() error {
				stream, err := hub.Subscribe([]string{"t"}, nil)
				if err == nil {
					_, err = stream.Next(context.Background())
					stream.Close()
				}
				return err
			},
			func() error {
				for _, err := range hub.Notices(context.Background(), &fanfare.NoticesOptions{
					NoConnections: true, Interest: []string{"t"}}) {
					return err
				}
				return fanfare.ErrClosed
			},
		} {
			running.Add(1)
			begun.Add(1)
			go func() {
				defer running.Done()
				var once sync.Once
				for {
					err := call()
					once.Do(begun.Done)
					switch {
					case errors.Is(err, fanfare.ErrClosed) || errors.Is(err, fanfare.ErrEnded):
						return
					case err != nil && !errors.Is(err, fanfare.ErrFull) && !errors.Is(err, fanfare.ErrBusy):
						t.Error(err)
						return
					}
				}
			}()
		}
		begun.Wait()
		hub.Close()
		running.Wait()
		client.expectEnd()
		if _, err := hub.Metrics(); err != nil {
			t.Errorf("the metrics of a closed hub: %v", err)
		}
	}
}
