package interop

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
)

const deadline = 30 * time.Second

func newHub(t testing.TB) *fanfare.Hub {
	t.Helper()
	hub, err := fanfare.New(&fanfare.Options{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hub.Close() })
	return hub
}

// run is what each router serves at /runs/{id}/events: it reads the id as the router has it.
func run(id func(*http.Request) string) func(*http.Request) (fanfare.Subscription, error) {
	return func(r *http.Request) (fanfare.Subscription, error) {
		if id(r) == "secret" {
			return fanfare.Subscription{}, &fanfare.Refusal{Status: http.StatusForbidden, Text: "not for you"}
		}
		return fanfare.Subscription{Topics: []string{"run/" + id(r)}}, nil
	}
}

// routers make the same server with each router, and with middleware that wraps the writer.
var routers = map[string]func(*fanfare.Hub) http.Handler{
	"net/http": func(hub *fanfare.Hub) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/runs/{id}/events", hub.Handler(run(func(r *http.Request) string { return r.PathValue("id") })))
		return mux
	},
	"chi": func(hub *fanfare.Hub) http.Handler {
		router := chi.NewRouter()
		router.Use(middleware.RequestLogger(&middleware.DefaultLogFormatter{Logger: discard{}}),
			middleware.Recoverer, middleware.Compress(5), middleware.RequestID)
		router.Handle("/runs/{id}/events", hub.Handler(run(func(r *http.Request) string { return chi.URLParam(r, "id") })))
		return router
	},
	"gin": func(hub *fanfare.Hub) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		router := gin.New()
		router.Use(gin.LoggerWithWriter(io.Discard), gin.RecoveryWithWriter(io.Discard))
		events := hub.Handler(run(func(r *http.Request) string { return r.PathValue("id") }))
		router.Any("/runs/:id/events", func(c *gin.Context) {
			c.Request.SetPathValue("id", c.Param("id"))
			events.ServeHTTP(c.Writer, c.Request)
		})
		return router
	},
	"echo": func(hub *fanfare.Hub) http.Handler {
		router := echo.New()
		router.Use(echomiddleware.LoggerWithConfig(echomiddleware.LoggerConfig{Output: io.Discard}),
			echomiddleware.Recover(), echomiddleware.GzipWithConfig(echomiddleware.GzipConfig{
				Skipper: func(c echo.Context) bool { return strings.HasSuffix(c.Path(), "/events") }}))
		events := hub.Handler(run(func(r *http.Request) string { return r.PathValue("id") }))
		router.Any("/runs/:id/events", func(c echo.Context) error {
			c.Request().SetPathValue("id", c.Param("id"))
			events.ServeHTTP(c.Response(), c.Request())
			return nil
		})
		return router
	},
}

type discard struct{}

func (discard) Print(...any) {}

func ask(t *testing.T, server *httptest.Server, method, path string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, method, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Accept-Encoding", "gzip")
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func TestStreamsGoThroughRoutersAndTheirMiddleware(t *testing.T) {
	for name, router := range routers {
		for _, way := range []string{"HTTP/1.1", "TLS", "HTTP/2"} {
			t.Run(name+" over "+way, func(t *testing.T) {
				hub := newHub(t)
				server := httptest.NewUnstartedServer(router(hub))
				server.EnableHTTP2 = way == "HTTP/2"
				if way == "HTTP/1.1" {
					server.Start()
				} else {
					server.StartTLS()
				}
				defer server.Close()
				defer server.CloseClientConnections()
				for _, method := range []string{"GET", "POST"} {
					before := runtime.NumGoroutine()
					response := ask(t, server, method, "/runs/7/events")
					if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" ||
						response.Header.Get("Content-Encoding") != "" {
						t.Fatalf("%s: %s %v", method, response.Status, response.Header)
					}
					if way == "HTTP/2" != (response.ProtoMajor == 2) {
						t.Fatalf("it is %s", response.Proto)
					}
					if _, err := hub.Publish("run/7", fanfare.Event{Data: "hello"}); err != nil {
						t.Fatal(err)
					}
					expectLine(t, response.Body, "data: hello\n")
					// Only the client's two goroutines are there.
					if grown := runtime.NumGoroutine() - before; way == "HTTP/1.1" && grown > 3 {
						t.Errorf("%d more goroutines for one client", grown)
					}
					response.Body.Close()
				}
				if got := ask(t, server, "GET", "/runs/secret/events"); got.StatusCode != 403 {
					t.Errorf("refused with %s", got.Status)
				}
				if got := ask(t, server, "PUT", "/runs/7/events"); got.StatusCode != 405 {
					t.Errorf("PUT is answered %s", got.Status)
				}
				if _, err := hub.Finish("run/8", nil); err != nil {
					t.Fatal(err)
				}
				if got := ask(t, server, "GET", "/runs/8/events"); got.StatusCode != 204 {
					t.Errorf("a finished topic is answered %s", got.Status)
				}
			})
		}
	}
}

// expectLine reads lines until one comes.
func expectLine(t *testing.T, from io.Reader, want string) {
	t.Helper()
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%v instead of %q", err, want)
		}
		if strings.TrimRight(line, "\r\n") == strings.TrimRight(want, "\n") {
			return
		}
	}
}
