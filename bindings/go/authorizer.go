package fanfare

// #include "native.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
	"unsafe"
)

// Request is a client's request for a stream, which waits to be answered.
type Request struct {
	// Method is GET, HEAD, or POST where the route has it.
	Method string
	// Path is that of the target, percent-encoded.
	Path string
	// Query is that of the target as it was sent, without its '?'.
	Query string
	// Header has all header fields.
	Header http.Header
	// Content is that of a POST; empty for others.
	Content []byte
	// LastEventID is the id of the last event that the client had, if it comes back. It is what the
	// client says.
	LastEventID string
	// Addr is the client's address and port; empty at a Unix domain socket.
	Addr string
	// Topics is what the stream would be subscribed to; nothing if the client leaves it to the grant.
	Topics []string
}

// Authorizer is what decides which client gets which stream. Several listeners may have the same one.
type Authorizer struct {
	native *C.fanfare_authorizer
	asking *asking // nil for one of tickets
}

// AuthorizerOptions bounds the requests that the program is asked about. The zero value is the default
// of each.
type AuthorizerOptions struct {
	// WaitingMax is the most requests that wait at once; one beyond them is told to come again.
	// Bounds: 1 to 65,536. Default: 1,024.
	WaitingMax int
	// Timeout is the longest time that a request waits; then its client is told to come again.
	// Bounds: 10 ms to 10 min. Default: 5 s.
	Timeout time.Duration
	// Goroutines is how many call the function at once, at most.
	// Bounds: at least 1. Default: 64.
	Goroutines int
	// Logger is told of a function that fails. nil is slog.Default().
	Logger *slog.Logger
}

// NewAuthorizer has a function decide on each request for a stream of the listeners that have it.
//
// It is called by several goroutines at once, with a context that ends when it has run for
// AuthorizerOptions.Timeout, or the authorizer is closed; not when the client leaves, of which the engine
// does not tell. It returns a [Grant]; or a [Refusal] as its error. When it panics or returns another
// error that is logged, and the client is told to come again. nil is the default of every option.
//
// Close it when its listeners are closed. Its function lives until then, and so does what that refers to: a
// hub that it uses is not collected without being closed. The error is an [OptionError] or [ErrSystem].
func NewAuthorizer(decide func(context.Context, *Request) (Grant, error), options *AuthorizerOptions) (*Authorizer, error) {
	if options == nil {
		options = &AuthorizerOptions{}
	}
	a := &asking{decide: decide, logger: options.Logger, ended: make(chan struct{})}
	if a.logger == nil {
		a.logger = slog.Default()
	}
	goroutines := 64
	if options.Goroutines < 0 {
		return nil, &OptionError{"Goroutines", "at least 1", ErrOptions}
	} else if options.Goroutines > 0 {
		goroutines = options.Goroutines
	}
	given := C.fanfare_ask_options_defaults()
	number(&given.waiting_max, int64(options.WaitingMax))
	duration(&given.timeout_ms, options.Timeout)
	var err error
	if a.bell, err = newBell(); err != nil {
		return nil, err
	}
	err = failure(C.fanfare_authorizer_new_ask(a.bell.native, 1, &given, &a.native))
	if err == ErrOptions {
		err = optionProblem(ErrOptions, func(name, bounds *C.fanfare_text) C.fanfare_status {
			return C.fanfare_ask_options_problem(&given, name, bounds)
		})
	}
	if err != nil {
		a.bell.free()
		return nil, err
	}
	a.free = make(chan struct{}, goroutines)
	a.timeout = time.Duration(given.timeout_ms) * time.Millisecond
	a.ctx, a.cancel = context.WithCancel(context.Background())
	authorizer := &Authorizer{native: a.native, asking: a}
	runtime.AddCleanup(authorizer, func(a *asking) {
		a.close()
		go func() {
			<-a.ended
			C.fanfare_authorizer_free(a.native)
		}()
	}, a)
	go a.run()
	return authorizer, nil
}

// Close asks no more: clients that come to its listeners are told to come again, and the contexts of
// functions that run are cancelled. One of tickets and tokens goes on. The error is always nil.
func (a *Authorizer) Close() error {
	if a.asking != nil {
		a.asking.close()
	}
	runtime.KeepAlive(a)
	return nil
}

// asking calls the function. It has no pointer to the Authorizer, so that one which is lost ends.
type asking struct {
	bell    *bell
	native  *C.fanfare_authorizer
	decide  func(context.Context, *Request) (Grant, error)
	logger  *slog.Logger
	timeout time.Duration
	ctx     context.Context
	cancel  context.CancelFunc
	free    chan struct{} // as many as there may be goroutines
	running sync.WaitGroup
	ended   chan struct{}
}

func (a *asking) close() {
	a.cancel()
	a.bell.remove(1)
	a.bell.ring()
}

// run takes a request out of the queue when there is a goroutine for it: the others wait there, where
// they are bounded and their time is counted.
func (a *asking) run() {
	for a.bell.wait() {
		for a.next() {
		}
	}
	a.running.Wait()
	a.bell.free()
	close(a.ended)
}

func (a *asking) next() bool {
	select {
	case a.free <- struct{}{}:
	case <-a.ctx.Done():
		return false
	}
	begun := false
	a.bell.drain(1, func(notice *C.fanfare_notice) {
		if notice.kind != C.FANFARE_NOTICE_AUTHORIZATION {
			return
		}
		begun = true
		a.running.Add(1)
		go a.answer(notice.id, goRequest(notice))
	})
	if !begun {
		<-a.free
	}
	return begun
}

func (a *asking) answer(id C.uint64_t, request *Request) {
	answered := false
	defer func() {
		if !answered {
			// It has panicked, or ended its goroutine.
			a.failed(id, fmt.Errorf("it panicked: %v", recover()), slog.String("stack", string(debug.Stack())))
		}
		<-a.free
		a.running.Done()
	}()
	ctx, cancel := context.WithTimeout(a.ctx, a.timeout)
	defer cancel()
	grant, err := a.decide(ctx, request)
	answered = true
	if err := a.give(id, &grant, err); err != nil {
		a.failed(id, err)
	}
}

// give answers a request by what the function has returned. The error is that of the function, or what is
// wrong with what it returned.
func (a *asking) give(id C.uint64_t, grant *Grant, decided error) error {
	var memory memory
	defer memory.release()
	var refusal *Refusal
	var err error
	switch {
	case decided == nil:
		made := grant.native(&memory)
		err = failure(C.fanfare_authorizer_allow(a.native, id, &made))
		if err == ErrGrant {
			return grantProblem(&made)
		}
	case errors.As(decided, &refusal):
		made := refusal.native(&memory)
		err = failure(C.fanfare_authorizer_refuse(a.native, id, &made))
		if err == ErrGrant {
			return refusalProblem(&made)
		}
	default:
		return decided
	}
	if err == ErrStale {
		return nil // it has waited for too long, or its client has left
	}
	return err
}

// failed logs what went wrong, and has the client come again.
func (a *asking) failed(id C.uint64_t, err error, more ...any) {
	if status := C.fanfare_authorizer_give_up(a.native, id); status == C.FANFARE_ERR_STALE && errors.Is(err, context.Canceled) {
		return // the authorizer is closed
	}
	a.logger.Error("the authorizer has failed, and the client was told to come again",
		append([]any{slog.Any("error", err)}, more...)...)
}

func goRequest(notice *C.fanfare_notice) *Request {
	request := &Request{
		Addr:   goText(notice.addr),
		Topics: goTexts(notice.subscriptions, notice.subscriptions_count),
		Header: make(http.Header),
	}
	if read := notice.request; read != nil {
		request.Method = goText(read.method)
		request.Path = goText(read.path)
		request.Query = goText(read.query)
		request.Content = append([]byte(nil), goBytes(read.content)...)
		request.LastEventID = goText(read.last_event_id)
		for _, field := range unsafe.Slice(read.headers, int(read.headers_count)) {
			request.Header.Add(goText(field.name), goText(field.value))
		}
	}
	return request
}
