package fanfare

// #include "native.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"weak"
)

// Subscription is what the stream of a [Hub.Handler] is.
type Subscription struct {
	// Topics has the topics and filters that it is subscribed to, 1 to 65,536.
	Topics []string
	// Header has header fields of the answer beside those that the ResponseWriter has already, whose
	// names it replaces.
	Header http.Header
	// StreamOptions: of these LastEventID is the request's, and Addr its RemoteAddr, unless they are set.
	StreamOptions
}

// handlerContentMax is the most bytes of the content of a POST that are read and ignored.
const handlerContentMax = 64 << 10

// Handler serves streams by a server of the program's own: it works with net/http, and with what is
// built on it. The function says what a client gets; it has the request, and so the program's sessions,
// routes and middleware. When it returns a [Refusal] as its error the client is answered so, with an error
// of the library as if [Hub.Subscribe] had returned it, and with another error it is answered 500, which is
// logged.
//
//	mux.Handle("/runs/{id}/events", hub.Handler(func(r *http.Request) (fanfare.Subscription, error) {
//		return fanfare.Subscription{Topics: []string{"run/" + r.PathValue("id")}}, nil
//	}))
//
// A GET is answered with a stream, and so is a POST, whose content, of at most 64 KiB, may be read by
// the function; a HEAD with the head of one, and other methods 405. A client that has had everything of
// topics that are finished is answered 204. One that is too many is told to come again.
//
// On plain HTTP/1.1 and 1.0 the handler takes the connection over ([http.Hijacker]) and hands its socket
// to the engine: it returns at once, and no goroutine and no buffer of the server's stays for the
// client. On HTTP/2 and TLS, where the ResponseWriter cannot be hijacked, or the connection is no plain
// socket, it sends the stream itself, in the request's goroutine, until the stream or the client ends:
// with a deadline for each write (Options.StallTimeMax), which holds instead of the server's
// WriteTimeout. What the client gets is the same. Middleware may wrap the ResponseWriter: its header
// fields are sent along, but for those that the engine writes itself, and it has to have Hijack or
// Unwrap; with Flush alone the server's timeouts hold.
//
// [http.Server.Shutdown] waits for no stream that was handed over: close or drain the hub as well. It
// ends those that the handler sends itself, whose clients come back; but it misses one whose request is
// the first of its server and comes while Shutdown begins, where the server has a BaseContext.
func (h *Hub) Handler(open func(*http.Request) (Subscription, error)) http.Handler {
	return &handler{hub: h, open: open, servers: make(map[weak.Pointer[http.Server]]context.Context)}
}

type handler struct {
	hub  *Hub
	open func(*http.Request) (Subscription, error)

	mu      sync.Mutex
	servers map[weak.Pointer[http.Server]]context.Context // which end when the server is shut down
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		answer{status: http.StatusMethodNotAllowed, header: http.Header{"Allow": {"GET, HEAD, POST"}}}.write(w)
		return
	}
	wanted, err := h.open(r)
	if err != nil {
		h.refused(r, err).write(w)
		return
	}
	if r.Method == http.MethodHead {
		h.prepare(w, &wanted)
		w.WriteHeader(http.StatusOK)
		return
	}
	if answer, ok := ignoreContent(w, r); !ok {
		answer.write(w)
		return
	}
	if wanted.LastEventID == "" {
		wanted.LastEventID = r.Header.Get("Last-Event-ID")
	}
	if wanted.Addr == "" && r.RemoteAddr != "@" {
		wanted.Addr = r.RemoteAddr
	}
	if r.TLS == nil && r.ProtoMajor == 1 {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err == nil {
			h.handOver(conn, buffered, w, r, &wanted)
			return
		}
		if !errors.Is(err, http.ErrNotSupported) {
			h.hub.logger.Error("a connection cannot be handed over", slog.Any("error", err))
			return
		}
	}
	h.pull(w, r, &wanted)
}

// ignoreContent reads what the function has left of a request's content.
func ignoreContent(w http.ResponseWriter, r *http.Request) (answer, bool) {
	read, err := io.Copy(io.Discard, io.LimitReader(r.Body, handlerContentMax+1))
	switch {
	case err != nil:
		return answer{status: http.StatusBadRequest, text: "the content of the request cannot be read\n"}, false
	case read > handlerContentMax:
		return answer{status: http.StatusRequestEntityTooLarge, text: "the content of the request is too long\n"}, false
	}
	return answer{}, true
}

// ownFields are header fields that the engine writes itself, or that would be untrue of a stream.
var ownFields = map[string]bool{
	"Allow": true, "Cache-Control": true, "Connection": true, "Content-Encoding": true, "Content-Length": true,
	"Content-Range": true, "Content-Type": true, "Date": true, "Http2-Settings": true, "Keep-Alive": true,
	"Proxy-Connection": true, "Retry-After": true, "Te": true, "Trailer": true, "Transfer-Encoding": true,
	"Upgrade": true, "X-Accel-Buffering": true, "X-Content-Type-Options": true,
}

// fields are the header fields of a stream's answer beside the engine's own.
func fields(of http.Header, wanted *Subscription) http.Header {
	header := make(http.Header, len(of)+len(wanted.Header))
	for name, values := range of {
		if !ownFields[name] && !strings.HasPrefix(name, http.TrailerPrefix) {
			header[name] = values
		}
	}
	for name, values := range wanted.Header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	return header
}

// prepare puts the whole head of a stream's answer into a ResponseWriter.
func (h *handler) prepare(w http.ResponseWriter, wanted *Subscription) {
	header := w.Header()
	more := fields(header, wanted)
	clear(header)
	for name, values := range more {
		header[name] = values
	}
	for name, values := range streamHeader() {
		if name == "Connection" || name == "Transfer-Encoding" {
			continue
		}
		if name == "Vary" {
			header[name] = append(header[name], values...)
			continue
		}
		header[name] = values
	}
}

// streamHeader has what the engine writes as the head of a stream.
var streamHeader = sync.OnceValue(StreamHeader)

// answer is the answer to a client that gets no stream, on whichever way.
type answer struct {
	status int
	text   string
	header http.Header
}

func (a answer) write(w http.ResponseWriter) {
	for name, values := range a.fields() {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	if a.status != http.StatusNoContent {
		_, _ = io.WriteString(w, a.text) // its client has left
	}
}

func (a answer) fields() http.Header {
	header := make(http.Header)
	if a.text != "" {
		header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	if a.status != http.StatusNoContent {
		header.Set("Content-Length", strconv.Itoa(len(a.text)))
	}
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	for name, values := range a.header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	return header
}

// refused is the answer to an error of the program's function, or of the library.
func (h *handler) refused(r *http.Request, err error) answer {
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		if refusal.Status == http.StatusNoContent || refusal.Status >= 300 && refusal.Status <= 599 {
			return answer{refusal.Status, refusal.Text, refusal.Header}
		}
		err = fmt.Errorf("%w: a refusal has the status 204, or 300 to 599", err)
	case errors.Is(err, ErrSubscription):
		return answer{status: http.StatusBadRequest, text: "a topic or filter of the request is none\n"}
	case errors.Is(err, ErrLimit), errors.Is(err, ErrBusy):
		return h.comeAgain(r)
	case errors.Is(err, ErrClosed):
		return answer{status: http.StatusServiceUnavailable, header: http.Header{"Retry-After": {"5"}}}
	}
	h.hub.logger.Error("a request for a stream is answered 500", slog.Any("error", err), slog.String("path", r.URL.Path))
	return answer{status: http.StatusInternalServerError, text: "the stream cannot be opened\n"}
}

// comeAgain is what a listener answers as well: a 503 would keep an EventSource away for good.
func (h *handler) comeAgain(r *http.Request) answer {
	isStream := strings.Contains(strings.ToLower(r.Header.Get("Accept")), "text/event-stream")
	if r.Method != http.MethodGet || !isStream {
		return answer{status: http.StatusServiceUnavailable, header: http.Header{"Retry-After": {"5"}}}
	}
	retry := max(h.hub.retry, time.Second)
	retry = 5*retry + rand.N(5*retry)
	return answer{
		status: http.StatusOK, text: fmt.Sprintf("retry: %d\n\n", retry.Milliseconds()),
		header: http.Header{"Content-Type": {"text/event-stream"}},
	}
}

// untilShutdown is a context of a request that also ends when its server is shut down.
func (h *handler) untilShutdown(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return ctx, cancel
	}
	key := weak.Make(server)
	h.mu.Lock()
	shutdown, known := h.servers[key]
	if !known {
		for server := range h.servers {
			if server.Value() == nil {
				delete(h.servers, server)
			}
		}
		var begin context.CancelFunc
		shutdown, begin = context.WithCancel(context.Background())
		h.servers[key] = shutdown
		server.RegisterOnShutdown(begin)
		if isShutDown(server) { // and it has called what was registered already
			begin()
		}
	}
	h.mu.Unlock()
	stop := context.AfterFunc(shutdown, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// isShutDown tells whether a server's Shutdown has begun, which net/http tells by refusing to serve one more
// listener, and by nothing else. A server with a BaseContext is not asked: that would be called as well, and
// may do anything.
func isShutDown(server *http.Server) bool {
	return server.BaseContext == nil && errors.Is(server.Serve(noListener{}), http.ErrServerClosed)
}

// noListener is a listener that ends at once.
type noListener struct{}

func (noListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (noListener) Close() error              { return nil }
func (noListener) Addr() net.Addr            { return &net.TCPAddr{} }
