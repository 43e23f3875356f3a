package fanfare

// #include "native.h"
import "C"

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

// Hub is the engine. All of its methods may be called from any goroutine at once, also while it is
// closed. It has to be closed, or its threads run on; a hub that is unreachable without being closed
// is closed some time later, as a backstop.
type Hub struct {
	native *C.fanfare_hub
	parts  *parts
	logger *slog.Logger
	retry  time.Duration // what clients are told that are too many
	stall  time.Duration // how long a client of a pull stream may take nothing
}

// parts is what ends with a hub. It has no pointer to the Hub, so that a hub which is lost is found
// to be garbage while goroutines work for it.
type parts struct {
	native *C.fanfare_hub
	once   sync.Once
	closed chan struct{}
	// idWaiters has one for each call that waits for the cluster's server; nil without a cluster.
	idWaiters chan struct{}
	mu        sync.Mutex
	bell      *hubBell
	kept      map[C.uint64_t][]any // what the listeners need, by their ids
	unlog     func()               // ends that the hub's logger gets the engine's records
}

// New starts a hub. nil is the default of every option.
//
// The error is an [OptionError] when an option is out of its bounds, [ErrSystem] when the system is
// out of descriptors, threads or memory, [ErrJournal] and [ErrCluster] when what is in [Options.DataDir] or
// the server of [Options.ClusterURL] does not serve, and [ErrABI] when the library is of another version
// than this package.
func New(options *Options) (*Hub, error) {
	if err := checkABI(uint32(C.fanfare_abi_version()), C.FANFARE_ABI_VERSION); err != nil {
		return nil, err
	}
	if options == nil {
		options = &Options{}
	}
	given := C.fanfare_options_defaults()
	var memory memory
	defer memory.release()
	options.fill(&given, &memory)
	logger, from := options.Logger, LevelTrace
	if logger == nil {
		logger, from = slog.Default(), slog.LevelError
	}
	unlog := logTo(logger, from) // before the engine has something to tell of the options
	var native *C.fanfare_hub
	if err := failure(C.fanfare_hub_new(&given, &native)); err != nil {
		unlog()
		if err == ErrOptions {
			err = optionsProblem(&given)
		}
		return nil, err
	}
	own := &parts{native: native, closed: make(chan struct{}), unlog: unlog}
	if options.ClusterURL != "" {
		own.idWaiters = make(chan struct{}, idWaitersMax)
	}
	h := &Hub{
		native: native, parts: own, logger: logger,
		retry: time.Duration(given.retry_ms) * time.Millisecond,
		stall: time.Duration(given.stall_time_max_ms) * time.Millisecond,
	}
	// Closing waits for clients to take what was published; the runtime's cleanups must not.
	runtime.AddCleanup(h, func(parts *parts) {
		go func() {
			parts.close()
			C.fanfare_hub_free(parts.native)
		}()
	}, own)
	return h, nil
}

// pointer is for a call of the library's, behind which runtime.KeepAlive has to follow. What Close
// leaves of a hub is some memory, which the collector frees with the Hub: so no call needs a lock, and
// one that comes late gets ErrClosed from the library.
func (h *Hub) pointer() *C.fanfare_hub {
	native := h.native
	inCall()
	return native
}

// Close ends the hub: nothing more is published or accepted, what was published is sent for at
// most two seconds more, and then every stream is closed. When it returns that is done, whichever
// call of Close began it; closing again does nothing. The error is always nil.
func (h *Hub) Close() error {
	h.parts.close()
	runtime.KeepAlive(h)
	return nil
}

func (p *parts) close() {
	p.once.Do(func() {
		C.fanfare_hub_close(p.native)
		close(p.closed)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.kept = nil
		p.unlog()
		if p.bell != nil {
			p.bell.close()
		}
	})
}

// keep has something live as long as a listener.
func (p *parts) keep(listener C.uint64_t, what ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		return
	default:
	}
	if p.kept == nil {
		p.kept = make(map[C.uint64_t][]any)
	}
	p.kept[listener] = what
}

func (p *parts) drop(listener C.uint64_t) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.kept, listener)
}

// DrainOptions is how a hub is drained. Zero is the default of each, and a negative value is zero
// itself.
type DrainOptions struct {
	// Window: the connections are closed evenly over this time; negative closes all at once.
	// Bounds: at most 1 hour. Default: 3 s.
	Window time.Duration
	// Grace: how much longer a connection that lags may take what waits for it, before it is cut.
	// Bounds: at most 1 hour. Default: 1 s.
	Grace time.Duration
	// Retry: each client is told to come back after a time drawn from this to twice this; negative
	// tells nothing.
	// Bounds: at most 1 day. Default: 2 s.
	Retry time.Duration
}

// Drained is what became of a hub's connections when it was drained.
type Drained struct {
	// Told is connections that were sent everything, told when to come back, and closed.
	Told uint64
	// Cut is connections that were closed without that, since they did not take all in time.
	Cut uint64
}

// Drain ends the hub without a storm of reconnections, and closes it. No client is accepted any
// more, and the connections are closed evenly over a window. Each is first sent everything, and told
// when to come back. It takes at most the window, the grace and the 2 s of a close. nil is the default
// of every option.
//
// When ctx ends first, its error is returned, and the drain goes on by itself; [Hub.Close] ends it at
// once. Otherwise the error is an [OptionError], after which nothing was begun.
func (h *Hub) Drain(ctx context.Context, options *DrainOptions) (Drained, error) {
	given := C.fanfare_drain_options_defaults()
	if options != nil {
		duration(&given.window_ms, options.Window)
		duration(&given.grace_ms, options.Grace)
		duration(&given.retry_ms, options.Retry)
	}
	return untilDone(ctx, func() (Drained, error) {
		read := C.fanfare_drained_empty()
		err := failure(C.fanfare_hub_drain(h.pointer(), &given, &read))
		if err == ErrOptions {
			err = drainProblem(&given)
		} else if err == nil {
			h.parts.close()
		}
		runtime.KeepAlive(h)
		return Drained{uint64(read.told), uint64(read.cut)}, err
	})
}

// untilDone waits for a call of the library's, which cannot be told that the context has ended: it goes on by
// itself then, on the thread that it has.
func untilDone[T any](ctx context.Context, call func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	type outcome struct {
		done T
		err  error
	}
	ended := make(chan outcome, 1)
	go func() {
		done, err := call()
		ended <- outcome{done, err}
	}()
	select {
	case outcome := <-ended:
		return outcome.done, outcome.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// Flush waits until all that was published before is as safe as [Options.Durability] promises, or until the
// context ends, up to 100 ms later: for a program that publishes many events without waiting, and then wants
// to know once. In a cluster it waits until the cluster's server has it. The error is that of the context,
// [ErrJournal] when it cannot be written or the hub has neither [Options.DataDir] nor a cluster, [ErrCluster]
// when the cluster's server cannot be reached, or [ErrForked]; the events are published all the same.
func (h *Hub) Flush(ctx context.Context) error {
	const slice = 100 * time.Millisecond
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		status := C.fanfare_hub_flush(h.pointer(), C.uint64_t(slice.Milliseconds()))
		runtime.KeepAlive(h)
		if status != C.FANFARE_ERR_TIMEOUT {
			return failure(status)
		}
	}
}

func isFull(err error) bool {
	return errors.Is(err, ErrFull)
}
