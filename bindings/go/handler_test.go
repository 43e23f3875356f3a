package fanfare_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

func TestAHandlerSendsEventsAsTheyWerePublished(t *testing.T) {
	onEachWay(t, func(t *testing.T, way way) {
		s := way.start(t)
		client := s.subscribe(t, "a", "b/#")
		large := strings.Repeat("x", 1<<20)
		for i, event := range []fanfare.Event{
			{Data: "hello"}, {Name: "sale", Data: "12\n13"}, {Data: large}, {Name: "größe", Data: "🎺"},
		} {
			topic := []string{"a", "b/c"}[i%2]
			id := publish(t, s.hub, topic, event)
			name := event.Name
			if name == "" {
				name = "message"
			}
			if got := client.expect(name, event.Data); got.id != id {
				t.Errorf("the id is %q, and the client has %q", id, got.id)
			}
		}
		client.body.Close()
		untilConnections(t, s.hub, 0)
	})
}

func TestTheHeadIsTheSameOnEachWay(t *testing.T) {
	onEachWay(t, func(t *testing.T, way way) {
		s := way.start(t)
		for _, method := range []string{"GET", "POST", "HEAD"} {
			response := s.ask(t, method, "topic=a", nil, "")
			header := response.Header.Clone()
			for _, name := range []string{"Date", "Connection"} { // those of HTTP itself
				header.Del(name)
			}
			want := fanfare.StreamHeader()
			want.Del("Connection")
			want.Set("X-Of-A-Middleware", "yes")
			want.Set("X-Of-The-Stream", "yes")
			want["Vary"] = append([]string{"Origin"}, want["Vary"]...)
			for name, values := range want {
				if !slices.Equal(header[name], values) {
					t.Errorf("%s: %s is %q, not %q", method, name, header[name], values)
				}
				delete(header, name)
			}
			if len(header) > 0 || response.StatusCode != http.StatusOK {
				t.Errorf("%s: %s, and also %v", method, response.Status, header)
			}
		}
	})
}

func TestAClientGoesOnBehindItsLastEvent(t *testing.T) {
	onEachWay(t, func(t *testing.T, way way) {
		s := way.start(t)
		id := publish(t, s.hub, "a", fanfare.Event{Data: "1"})
		publish(t, s.hub, "a", fanfare.Event{Data: "2"})
		response := s.ask(t, "GET", "topic=a", http.Header{"Last-Event-Id": {id}}, "")
		clientOf(t, response).expect("message", "2")
		gone := clientOf(t, s.ask(t, "GET", "topic=a", http.Header{"Last-Event-Id": {"none"}}, ""))
		if event, ok := gone.next(); !ok || event.name != "fanfare-gap" {
			t.Errorf("a client with an unknown id gets %+v", event)
		}
	})
}

func TestAFinishedTopicEndsItsStreamsAndIsAnswered204(t *testing.T) {
	onEachWay(t, func(t *testing.T, way way) {
		s := way.start(t)
		client := s.subscribe(t, "a")
		id, err := s.hub.Finish("a", &fanfare.Event{Data: "the last"})
		if err != nil {
			t.Fatal(err)
		}
		if got := client.expect("message", "the last"); got.id != id.String() {
			t.Errorf("the id is %q, not %q", got.id, id)
		}
		client.expectEnd()
		if client.err != io.EOF {
			t.Errorf("the stream ends with %v", client.err)
		}
		response := s.ask(t, "GET", "topic=a", http.Header{"Last-Event-Id": {client.lastID}}, "")
		if response.StatusCode != http.StatusNoContent {
			t.Errorf("who has everything is answered %s", response.Status)
		}
	})
}

func TestWhatIsNoStreamIsRefusedTheSameOnEachWay(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	onEachWay(t, func(t *testing.T, way way) {
		s := way.start(t)
		for _, c := range []struct {
			method, query, content string
			status                 int
			field, text            string
		}{
			{"PUT", "topic=a", "", 405, "Allow", "GET, HEAD, POST"},
			{"GET", "fail=refuse", "", 403, "X-Why", "because"},
			{"GET", "fail=error", "", 500, "X-Of-A-Middleware", "yes"},
			{"GET", "topic=a%2B", "", 400, "X-Of-A-Middleware", "yes"},
			{"GET", "", "", 400, "X-Of-A-Middleware", "yes"},
			{"POST", "topic=a", long + "x", 413, "X-Of-A-Middleware", "yes"},
		} {
			response := s.ask(t, c.method, c.query, nil, c.content)
			if response.StatusCode != c.status || response.Header.Get(c.field) != c.text {
				t.Errorf("%s %s: %s %v", c.method, c.query, response.Status, response.Header)
			}
		}
		posted := clientOf(t, s.ask(t, "POST", "topic=a", nil, long))
		publish(t, s.hub, "a", fanfare.Event{Data: "to who has posted"})
		posted.expect("message", "to who has posted")
		s.hub.Close()
		if response := s.ask(t, "GET", "topic=a", nil, ""); response.StatusCode != 503 {
			t.Errorf("a closed hub answers %s", response.Status)
		}
	})
}

func TestAClientThatIsTooManyIsToldToComeAgain(t *testing.T) {
	onEachWay(t, func(t *testing.T, way way) {
		s := way.startWith(t, &fanfare.Options{Shards: 1, ConnectionsMax: 1}, byQuery)
		s.subscribe(t, "a")
		untilConnections(t, s.hub, 1)
		response := s.ask(t, "GET", "topic=a", http.Header{"Accept": {"text/event-stream"}}, "")
		content, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != 200 || !strings.HasPrefix(string(content), "retry: 1") {
			t.Errorf("an EventSource gets %s, %q, %v", response.Status, content, err)
		}
		response = s.ask(t, "GET", "topic=a", nil, "")
		if response.StatusCode != 503 || response.Header.Get("Retry-After") != "5" {
			t.Errorf("another client gets %s, %v", response.Status, response.Header)
		}
	})
}

func TestAClientThatDoesNotReadIsCut(t *testing.T) {
	onEachWay(t, func(t *testing.T, way way) {
		if way.name != "wrapped without Hijack" { // where it takes a panic
			wrap := way.wrap
			way.wrap = func(next http.Handler) http.Handler {
				if wrap != nil {
					next = wrap(next)
				}
				return recovering(next)
			}
		}
		s := way.startWith(t, &fanfare.Options{
			Shards: 1, LagBytesMax: 1, LagGrace: -1, TopicBacklogBytesMax: 16 << 20, HistoryEventsMax: -1,
		}, byQuery)
		sleeper := s.subscribe(t, "a")
		untilConnections(t, s.hub, 1)
		data := strings.Repeat("x", 1<<20)
		until(t, "the sleeper is cut", func() bool {
			if _, err := s.hub.Publish("a", fanfare.Event{Data: data}); err != nil && !errors.Is(err, fanfare.ErrFull) {
				t.Fatal(err)
			}
			metrics, err := s.hub.Metrics()
			return err == nil && metrics.Disconnects[fanfare.DisconnectLagging] == 1
		})
		sleeper.expectEnd()
		if sleeper.err == io.EOF {
			t.Error("the stream that was cut looks complete")
		}
		untilConnections(t, s.hub, 0)
	})
}

// recovering is a middleware that knows nothing of http.ErrAbortHandler.
func recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { _ = recover() }()
		next.ServeHTTP(w, r)
	})
}

func TestNoGoroutineStaysForAClientThatWasHandedOver(t *testing.T) {
	s := ways[0].start(t)
	count := func(clients int) int {
		conns := make([]net.Conn, clients)
		for i := range conns {
			conns[i] = rawSubscribe(t, s.Listener.Addr(), "a")
			defer conns[i].Close()
		}
		untilConnections(t, s.hub, uint64(clients))
		goroutines := runtime.NumGoroutine()
		until(t, "the goroutines are as few as they get", func() bool {
			before := goroutines
			time.Sleep(5 * time.Millisecond)
			goroutines = runtime.NumGoroutine()
			return goroutines == before
		})
		for _, conn := range conns {
			conn.Close()
		}
		untilConnections(t, s.hub, 0)
		return goroutines
	}
	few, many := count(1), count(200)
	if many > few+5 {
		t.Errorf("%d goroutines with 1 client, %d with 200", few, many)
	}
}

// rawSubscribe sends a request, and reads the head of its answer.
func rawSubscribe(t testing.TB, addr net.Addr, topic string) net.Conn {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(deadline))
	fmt.Fprintf(conn, "GET /?topic=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", topic)
	reader := bufio.NewReader(conn)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			return conn
		}
	}
}

func TestAClientThatHasSentMoreThanItsRequestIsServedAllTheSame(t *testing.T) {
	for _, more := range []string{"", "\r\n", "GET / HTTP/1.1\r\n", "x"} {
		t.Run(fmt.Sprintf("%q", more), func(t *testing.T) {
			t.Parallel()
			s := ways[0].start(t)
			for _, version := range []string{"1.0", "1.1"} {
				conn, err := net.Dial("tcp", s.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(deadline))
				fmt.Fprintf(conn, "GET /?topic=a HTTP/%s\r\nHost: localhost\r\n\r\n%s", version, more)
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				client := clientOf(t, response)
				publish(t, s.hub, "a", fanfare.Event{Data: "x"})
				client.expect("message", "x")
				conn.Close()
				untilConnections(t, s.hub, 0)
			}
		})
	}
}

func TestAUnixSocketIsHandedOver(t *testing.T) {
	hub, err := fanfare.New(&fanfare.Options{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	listener, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: hub.Handler(byQuery)}
	go server.Serve(listener)
	defer server.Close()
	conn := rawSubscribe(t, listener.Addr(), "a")
	defer conn.Close()
	untilConnections(t, hub, 1)
	connections, err := hub.Connections(fanfare.ConnectionFilter{})
	if err != nil || len(connections) != 1 || connections[0].Addr != "" {
		t.Errorf("the connections are %+v, %v", connections, err)
	}
}

func TestShutdownEndsWhatTheHandlerSendsAndLeavesWhatWasHandedOver(t *testing.T) {
	onEachWay(t, func(t *testing.T, way way) {
		s := way.start(t)
		client := s.subscribe(t, "a")
		publish(t, s.hub, "a", fanfare.Event{Data: "1"})
		client.expect("message", "1")
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := s.Config.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(way.name, "handed over") {
			publish(t, s.hub, "a", fanfare.Event{Data: "2"})
			client.expect("message", "2")
			s.hub.Close()
		}
		client.expectEnd()
		if client.err != io.EOF {
			t.Errorf("the stream ends with %v", client.err)
		}
		untilConnections(t, s.hub, 0)
	})
}

// What the handler has registered with the server was too late to be called.
func TestTheFirstStreamOfAServerEndsThatIsShutDownBeforeItBegins(t *testing.T) {
	for _, way := range ways[2:] {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			hub := bare(t, &fanfare.Options{Shards: 1, Logger: quiet()})
			begun, called := make(chan struct{}), make(chan struct{})
			s := way.serveHandler(t, hub, hub.Handler(func(r *http.Request) (fanfare.Subscription, error) {
				close(begun)
				<-called
				return byQuery(r)
			}))
			s.Config.RegisterOnShutdown(func() { close(called) })
			ctx := withDeadline(t)
			request, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/?topic=a", nil)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				response, err := s.Client().Do(request)
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
				ended <- err
			}()
			<-begun
			if err := s.Config.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
				s.CloseClientConnections()
			}
			if err := <-ended; err != nil {
				t.Errorf("the stream ends with %v", err)
			}
		})
	}
}

func TestTheServersTimeoutsDoNotEndAStream(t *testing.T) {
	const timeout = 100 * time.Millisecond
	onEachWay(t, func(t *testing.T, way way) {
		if way.name == "wrapped without Hijack" {
			t.Skip("a writer without Unwrap has no deadlines that could be moved")
		}
		way.timeout = timeout
		s := way.start(t)
		client := s.subscribe(t, "a")
		for i := range 3 {
			time.Sleep(timeout) // it is what passes
			publish(t, s.hub, "a", fanfare.Event{Data: fmt.Sprint(i)})
			client.expect("message", fmt.Sprint(i))
		}
	})
}

func TestCloseEndsStreamsOnEachWay(t *testing.T) {
	onEachWay(t, func(t *testing.T, way way) {
		s := way.start(t)
		client := s.subscribe(t, "a")
		publish(t, s.hub, "a", fanfare.Event{Data: "the last one"})
		s.hub.Close()
		client.expect("message", "the last one")
		client.expectEnd()
		if client.err != io.EOF {
			t.Errorf("the stream ends with %v", client.err)
		}
	})
}

func TestAWriterThatCannotStreamIsToldOf(t *testing.T) {
	var log lockedBuffer
	hub, err := fanfare.New(&fanfare.Options{Shards: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	server := httptest.NewServer(http.TimeoutHandler(hub.Handler(byQuery), deadline, "too late"))
	defer server.Close()
	response, err := http.Get(server.URL + "/?topic=a")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if !strings.Contains(log.String(), "cannot stream") {
		t.Errorf("the log is %q", log.String())
	}
	untilConnections(t, hub, 0)
}

type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
