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
	"net/url"
	"strings"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

// way is a way on which a handler sends a stream.
type way struct {
	name string
	// wrap wraps the handler, serve the listener.
	wrap  func(http.Handler) http.Handler
	serve func(net.Listener) net.Listener
	tls   bool
	http2 bool
	// timeout is the server's for reading a request and for writing an answer.
	timeout time.Duration
}

var ways = []way{
	{name: "handed over"},
	{name: "handed over through a wrapped writer", wrap: wrapped(func(w http.ResponseWriter) http.ResponseWriter {
		return unwrapping{w}
	})},
	{name: "wrapped without Hijack", wrap: wrapped(func(w http.ResponseWriter) http.ResponseWriter {
		return flushing{w, w.(http.Flusher)}
	})},
	{name: "wrapped connection", serve: func(l net.Listener) net.Listener { return wrappedListener{l} }},
	{name: "TLS", tls: true},
	{name: "HTTP/2", tls: true, http2: true},
}

type unwrapping struct{ http.ResponseWriter }

func (w unwrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type flushing struct {
	http.ResponseWriter
	http.Flusher
}

func wrapped(wrap func(http.ResponseWriter) http.ResponseWriter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(wrap(w), r) })
	}
}

type wrappedListener struct{ net.Listener }

type wrappedConn struct{ net.Conn }

func (l wrappedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return wrappedConn{conn}, nil
}

// served is a server with a handler of a hub, for one way.
type served struct {
	*httptest.Server
	hub *fanfare.Hub
}

func (way way) serveHandler(t *testing.T, hub *fanfare.Hub, handler http.Handler) served {
	t.Helper()
	if way.wrap != nil {
		handler = way.wrap(handler)
	}
	server := httptest.NewUnstartedServer(handler)
	if way.serve != nil {
		server.Listener = way.serve(server.Listener)
	}
	server.EnableHTTP2 = way.http2
	server.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	server.Config.ReadTimeout = way.timeout
	server.Config.WriteTimeout = way.timeout
	if way.tls {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		hub.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return served{server, hub}
}

// byQuery subscribes to the topics that the query names, and refuses what it says.
func byQuery(r *http.Request) (fanfare.Subscription, error) {
	query := r.URL.Query()
	switch query.Get("fail") {
	case "refuse":
		return fanfare.Subscription{}, &fanfare.Refusal{
			Status: 403, Text: "not for you", Header: http.Header{"X-Why": {"because"}}}
	case "error":
		return fanfare.Subscription{}, errors.New("the database is down")
	}
	return fanfare.Subscription{
		Topics: query["topic"],
		Header: http.Header{"X-Of-The-Stream": {"yes"}},
	}, nil
}

func (way way) start(t *testing.T) served {
	t.Helper()
	return way.startWith(t, &fanfare.Options{Shards: 1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}, byQuery)
}

func (way way) startWith(t *testing.T, options *fanfare.Options, open func(*http.Request) (fanfare.Subscription, error)) served {
	t.Helper()
	hub, err := fanfare.New(options)
	if err != nil {
		t.Fatal(err)
	}
	handler := hub.Handler(open)
	return way.serveHandler(t, hub, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Of-A-Middleware", "yes")
		w.Header().Set("Content-Type", "text/html") // which is the engine's to say
		w.Header().Add("Vary", "Origin")
		handler.ServeHTTP(w, r)
	}))
}

// ask sends a request whose answer is closed when the test ends.
func (s served) ask(t *testing.T, method, query string, header http.Header, content string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, method, s.URL+"/?"+query, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	response, err := s.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func (s served) subscribe(t *testing.T, topics ...string) *client {
	t.Helper()
	response := s.ask(t, "GET", url.Values{"topic": topics}.Encode(), nil, "")
	return clientOf(t, response)
}

func clientOf(t *testing.T, response *http.Response) *client {
	t.Helper()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("subscribe: %s", response.Status)
	}
	return &client{t: t, lines: bufio.NewReader(response.Body), body: response.Body}
}

// onEachWay runs a test on each way, all at once.
func onEachWay(t *testing.T, test func(t *testing.T, way way)) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			test(t, way)
		})
	}
}

// untilConnections waits until a hub has as many.
func untilConnections(t *testing.T, hub *fanfare.Hub, want uint64) {
	t.Helper()
	until(t, fmt.Sprintf("there are %d connections", want), func() bool {
		metrics, err := hub.Metrics()
		if err != nil {
			t.Fatal(err)
		}
		return metrics.Connections == want
	})
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited until %s", what)
		}
	}
}
