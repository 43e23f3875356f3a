package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
	"github.com/launchdarkly/eventsource"
	r3labs "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"
)

// event is one as a client's library gives it.
type event struct{ id, name, data string }

// clients have each library tell of the events of a stream, until the context ends. Each comes back by
// itself when its stream ends.
var clients = map[string]func(ctx context.Context, url string, told chan<- event){
	"tmaxmax": func(ctx context.Context, url string, told chan<- event) {
		client := tmaxmax.Client{
			HTTPClient: http.DefaultClient, Backoff: tmaxmax.Backoff{InitialInterval: time.Millisecond},
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			panic(err)
		}
		connection := client.NewConnection(request)
		connection.Buffer(nil, 4<<20)
		connection.SubscribeToAll(func(got tmaxmax.Event) { told <- event{got.LastEventID, got.Type, got.Data} })
		_ = connection.Connect() // until the context ends
	},
	"launchdarkly": func(ctx context.Context, url string, told chan<- event) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			panic(err)
		}
		stream, err := eventsource.SubscribeWithRequestAndOptions(request,
			eventsource.StreamOptionInitialRetry(time.Millisecond), eventsource.StreamOptionLogger(log.New(io.Discard, "", 0)))
		if err != nil {
			return // the context has ended
		}
		defer stream.Close()
		for {
			select {
			case got, ok := <-stream.Events:
				if !ok {
					return
				}
				told <- event{got.Id(), got.Event(), got.Data()}
			case <-stream.Errors:
			case <-ctx.Done():
				return
			}
		}
	},
	"r3labs": func(ctx context.Context, url string, told chan<- event) {
		client := r3labs.NewClient(url, r3labs.ClientMaxBufferSize(4<<20))
		_ = client.SubscribeRawWithContext(ctx, func(got *r3labs.Event) {
			told <- event{string(got.ID), string(got.Event), string(got.Data)}
		})
	},
}

// servers have streams of a hub at /events?topic=..., each in its way.
var servers = map[string]func(*testing.T, *fanfare.Hub) string{
	"listener": func(t *testing.T, hub *fanfare.Hub) string {
		listener, err := hub.Listen("127.0.0.1:0", nil)
		if err != nil {
			t.Fatal(err)
		}
		return "http://" + listener.Address()
	},
	"handed over": func(t *testing.T, hub *fanfare.Hub) string { return handled(t, byQuery(hub)) },
	"pulled": func(t *testing.T, hub *fanfare.Hub) string {
		return handled(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			byQuery(hub).ServeHTTP(struct {
				http.ResponseWriter
				http.Flusher
			}{w, w.(http.Flusher)}, r)
		}))
	},
}

func byQuery(hub *fanfare.Hub) http.Handler {
	return hub.Handler(func(r *http.Request) (fanfare.Subscription, error) {
		return fanfare.Subscription{Topics: r.URL.Query()["topic"]}, nil
	})
}

func handled(t *testing.T, handler http.Handler) string {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return server.URL
}

// sample is a case that all bindings' tests share.
type sample struct {
	What    string  `json:"what"`
	Event   string  `json:"event"`
	Data    string  `json:"data"`
	Arrives *string `json:"arrives"`
	Times   int     `json:"times"`
}

func samples(t *testing.T) (all []sample) {
	t.Helper()
	text, err := os.ReadFile("../../../tests/conformance/texts.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil || len(all) == 0 {
		t.Fatalf("%d cases, %v", len(all), err)
	}
	for i := range all {
		if all[i].Arrives == nil {
			arrives := all[i].Data
			all[i].Arrives = &arrives
		}
		if times := all[i].Times; times > 0 {
			arrives := strings.Repeat(*all[i].Arrives, times)
			all[i].Data, all[i].Arrives = strings.Repeat(all[i].Data, times), &arrives
		}
	}
	return all
}

// follow starts a client, and gives what it tells but for what has no data.
func follow(t *testing.T, client func(context.Context, string, chan<- event), url string) func() event {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	told, done := make(chan event, 16), make(chan struct{})
	go func() {
		defer close(done)
		client(ctx, url, told)
	}()
	t.Cleanup(func() {
		cancel()
		for {
			select {
			case <-told:
			case <-done:
				return
			}
		}
	})
	return func() event {
		t.Helper()
		select {
		case got := <-told:
			return got
		case <-ctx.Done():
			t.Fatal("waited for an event")
			return event{}
		}
	}
}

func publish(t *testing.T, hub *fanfare.Hub, topic string, event fanfare.Event) string {
	t.Helper()
	id, err := hub.PublishContext(context.Background(), topic, event)
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

func untilSubscribed(t *testing.T, hub *fanfare.Hub, topic string) {
	t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(time.Millisecond) {
		count, err := hub.Subscribers(topic)
		if err == nil && count > 0 {
			return
		}
		if err != nil && !errors.Is(err, fanfare.ErrBusy) || time.Now().After(end) {
			t.Fatalf("%s has %d subscribers, %v", topic, count, err)
		}
	}
}

// What a library itself gets wrong, by its name and the case. Others' streams show the same.
var faults = map[string]func(sample) bool{
	// It strips what is around the data, and ends at the first blank line or at U+0085.
	"r3labs": func(c sample) bool {
		return strings.TrimSpace(c.Data) != c.Data || c.Data == "" || strings.ContainsAny(*c.Arrives, "\n\r")
	},
}

func TestOthersClientsGetTheSharedCases(t *testing.T) {
	all := samples(t)
	for way, serve := range servers {
		for library, client := range clients {
			t.Run(library+" "+way, func(t *testing.T) {
				t.Parallel()
				hub := newHub(t)
				next := follow(t, client, serve(t, hub)+"/events?topic=t")
				untilSubscribed(t, hub, "t")
				shown := 0
				for _, c := range all {
					if fault := faults[library]; fault != nil && fault(c) {
						continue
					}
					id := publish(t, hub, "t", fanfare.Event{Name: c.Event, Data: c.Data})
					got := next()
					for got.data == "" && got.id != id { // a heartbeat's id alone
						got = next()
					}
					if got.name == "message" {
						got.name = ""
					}
					if got != (event{id, c.Event, *c.Arrives}) {
						t.Errorf("%s: %.200q, not %.200q", c.What, fmt.Sprint(got), fmt.Sprint(event{id, c.Event, *c.Arrives}))
					}
					shown++
				}
				if shown < 8 {
					t.Errorf("only %d cases", shown)
				}
			})
		}
	}
}

func TestOthersClientsComeBackAndMissNothing(t *testing.T) {
	for way, serve := range servers {
		for _, library := range []string{"tmaxmax", "launchdarkly"} {
			t.Run(library+" "+way, func(t *testing.T) {
				t.Parallel()
				hub, err := fanfare.New(&fanfare.Options{Shards: 1, Retry: time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { hub.Close() })
				next := follow(t, clients[library], serve(t, hub)+"/events?topic=t")
				untilSubscribed(t, hub, "t")
				for i := range 20 {
					publish(t, hub, "t", fanfare.Event{Data: fmt.Sprint(i, " first")})
					if _, err := hub.DisconnectAll(time.Millisecond); err != nil {
						t.Fatal(err)
					}
					publish(t, hub, "t", fanfare.Event{Data: fmt.Sprint(i, " second")})
					for _, want := range []string{" first", " second"} {
						got := next()
						for got.data == "" {
							got = next()
						}
						if got.data != fmt.Sprint(i, want) {
							t.Fatalf("%q, not %q", got.data, fmt.Sprint(i, want))
						}
					}
				}
			})
		}
	}
}
