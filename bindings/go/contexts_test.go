package fanfare_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

// endingSoon is a context that ends at any moment of a call, as a rule before it is over.
func endingSoon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), rand.N(time.Millisecond))
}

func isOfContext(err error) bool {
	return errors.Is(err, context.DeadlineExceeded)
}

func TestWhatIsPublishedIsWhatWasNotCancelledAtWhateverMoment(t *testing.T) {
	const publishers, each = 8, 200
	hub, port := start(t, &fanfare.Options{TopicBacklogBytesMax: 2048, LagBytesMax: 64 << 20})
	client := subscribe(t, port, "t")
	topic := topicOf(t, hub, "t")
	var mu sync.Mutex
	var published []string
	cancelled := 0
	var done sync.WaitGroup
	for p := range publishers {
		done.Add(1)
		go func() {
			defer done.Done()
			for i := range each {
				ctx, cancel := endingSoon()
				events := make([]fanfare.Publication, 3)
				for n := range events {
					data := fmt.Sprintf("%d %d %d %s", p, i, n, strings.Repeat("x", 200))
					events[n] = fanfare.Publication{To: topic, Event: fanfare.Event{Data: data}}
				}
				var ids []fanfare.ID
				var err error
				if i%2 == 0 {
					ids, err = hub.PublishBatchContext(ctx, events)
				} else {
					var id fanfare.ID
					if id, err = topic.PublishContext(ctx, events[0].Event); err == nil {
						ids = []fanfare.ID{id}
					}
				}
				cancel()
				mu.Lock()
				for n := range ids {
					published = append(published, events[n].Event.Data)
				}
				if isOfContext(err) {
					cancelled++
				} else if err != nil {
					t.Error(err)
				}
				mu.Unlock()
			}
		}()
	}
	done.Wait()
	if _, err := hub.FinishContext(withDeadline(t), "t", &fanfare.Event{Data: "the end"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		event, ok := client.next()
		if !ok {
			t.Fatal("the stream has ended before its last event")
		}
		if event.data == "the end" {
			break
		}
		got = append(got, event.data)
	}
	slices.Sort(got)
	slices.Sort(published)
	if !slices.Equal(got, published) {
		t.Errorf("%d events came, and %d were published", len(got), len(published))
	}
	if cancelled == 0 || len(published) == 0 {
		t.Errorf("%d calls were cancelled, and %d events published: this shows nothing", cancelled, len(published))
	}
}

func TestAReaderThatIsCancelledAtWhateverMomentMissesNothing(t *testing.T) {
	const events = 500
	hub := bare(t, &fanfare.Options{Shards: 1, HeartbeatForm: fanfare.HeartbeatComment})
	stream := pulled(t, hub, nil, "t")
	go func() {
		for i := range events {
			publishWhenPossible(t, hub, "t", fanfare.Event{Data: fmt.Sprint(i)})
			time.Sleep(rand.N(200 * time.Microsecond))
		}
	}()
	var all strings.Builder
	cancelled := 0
	for end := time.Now().Add(deadline); !strings.Contains(all.String(), fmt.Sprintf("data: %d\n", events-1)); {
		if time.Now().After(end) {
			t.Fatal("the last event does not come")
		}
		ctx, cancel := endingSoon()
		batch, err := stream.Next(ctx)
		cancel()
		if isOfContext(err) {
			cancelled++
		} else if err != nil {
			t.Fatal(err)
		}
		all.Write(batch)
	}
	next := 0
	for line := range strings.Lines(all.String()) {
		if data, isData := strings.CutPrefix(line, "data: "); isData {
			if data != fmt.Sprintln(next) {
				t.Fatalf("%q came, not %d", data, next)
			}
			next++
		}
	}
	if cancelled == 0 {
		t.Error("no reader was cancelled: this shows nothing")
	}
}

// Clients that leave while the program is asked about them, and notices, streams and drains that are
// given up, at any moment.
func TestWhatIsGivenUpAtWhateverMomentLeavesNothingBehind(t *testing.T) {
	hub := bare(t, &fanfare.Options{Shards: 1, Logger: quiet()})
	slowly := func(ctx context.Context) {
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(time.Millisecond)):
		}
	}
	authorizer, err := fanfare.NewAuthorizer(func(ctx context.Context, _ *fanfare.Request) (fanfare.Grant, error) {
		slowly(ctx)
		if rand.N(4) == 0 {
			panic("it has a defect")
		}
		return fanfare.Grant{AnyTopics: true}, nil
	}, &fanfare.AuthorizerOptions{Logger: quiet(), Timeout: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer authorizer.Close()
	listener, err := hub.Listen("127.0.0.1:0", &fanfare.ListenOptions{Authorizer: authorizer})
	if err != nil {
		t.Fatal(err)
	}
	s := ways[0].serveHandler(t, hub, hub.Handler(func(r *http.Request) (fanfare.Subscription, error) {
		slowly(r.Context())
		return byQuery(r)
	}))
	calls := []func(context.Context){
		func(ctx context.Context) { leave(ctx, listener.Address(), "/events?topic=t") },
		func(ctx context.Context) { leave(ctx, s.Listener.Addr().String(), "/?topic=t") },
		func(ctx context.Context) {
			for range hub.Notices(ctx, &fanfare.NoticesOptions{NoConnections: true, Interest: []string{"t"}}) {
			}
		},
		func(ctx context.Context) { hub.Notices(ctx, nil) }, // and nobody iterates them
		func(ctx context.Context) {
			stream, err := hub.Subscribe([]string{"u"}, nil)
			if err != nil {
				t.Error(err)
				return
			}
			for err == nil {
				_, err = stream.Next(ctx)
			}
			if !isOfContext(err) {
				t.Error(err)
			}
			stream.Close()
		},
		func(ctx context.Context) {
			short, err := fanfare.New(&fanfare.Options{Shards: 1})
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = short.Drain(ctx, &fanfare.DrainOptions{Window: -1, Grace: -1})
			short.Close()
		},
	}
	storm := func(times int) {
		var done sync.WaitGroup
		for _, call := range calls {
			done.Add(1)
			go func() {
				defer done.Done()
				for range times {
					ctx, cancel := endingSoon()
					call(ctx)
					<-ctx.Done()
					cancel()
				}
			}()
		}
		done.Wait()
		untilConnections(t, hub, 0)
	}
	storm(10) // what is made once
	var before used
	until(t, "nothing runs any more", func() bool {
		last := before
		before = inUse(t)
		return last.goroutines == before.goroutines && last.descriptors == before.descriptors
	})
	storm(200)
	var after used
	until(t, "nothing is left", func() bool {
		after = inUse(t)
		return after.descriptors <= before.descriptors && after.goroutines <= before.goroutines
	})
}

// leave asks for a stream, and closes the connection when the context ends.
func leave(ctx context.Context, addr, target string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", target)
	_, _ = io.Copy(io.Discard, conn)
}
