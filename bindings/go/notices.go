package fanfare

// #include "native.h"
import "C"

import (
	"context"
	"iter"
	"runtime"
	"sync"
	"time"
)

// ConnectionID names one connection of a hub for as long as it lives, and nothing afterwards. 0 is the
// id of none.
type ConnectionID uint64

// DisconnectReason is why a connection ended. A newer library may have reasons that are not below.
type DisconnectReason int32

// The reasons.
const (
	// DisconnectClientClosed: the client closed it, or its half of it.
	DisconnectClientClosed DisconnectReason = C.FANFARE_DISCONNECT_CLIENT_CLOSED
	// DisconnectError: the system reported an error that none of the other reasons is for.
	DisconnectError DisconnectReason = C.FANFARE_DISCONNECT_ERROR
	// DisconnectLagging: it lagged by more than the bounds.
	DisconnectLagging DisconnectReason = C.FANFARE_DISCONNECT_LAGGING
	// DisconnectGarbage: the client sent more than 64 KiB at once after its request.
	DisconnectGarbage DisconnectReason = C.FANFARE_DISCONNECT_GARBAGE
	// DisconnectClosed: the hub was closed.
	DisconnectClosed DisconnectReason = C.FANFARE_DISCONNECT_CLOSED
	// DisconnectDrained: the hub was drained.
	DisconnectDrained DisconnectReason = C.FANFARE_DISCONNECT_DRAINED
	// DisconnectTimedOut: the network went silent.
	DisconnectTimedOut DisconnectReason = C.FANFARE_DISCONNECT_TIMED_OUT
	// DisconnectReset: the client or something on the way reset it.
	DisconnectReset DisconnectReason = C.FANFARE_DISCONNECT_RESET
	// DisconnectStalled: the client's system answered, but took nothing for too long.
	DisconnectStalled DisconnectReason = C.FANFARE_DISCONNECT_STALLED
	// DisconnectKicked: the program ended it.
	DisconnectKicked DisconnectReason = C.FANFARE_DISCONNECT_KICKED
	// DisconnectAged: it was older than Options.ConnectionAgeMax.
	DisconnectAged DisconnectReason = C.FANFARE_DISCONNECT_AGED
	// DisconnectFinished: all of its topics were finished, and it was sent everything.
	DisconnectFinished DisconnectReason = C.FANFARE_DISCONNECT_FINISHED
	// DisconnectExpired: its time was over, which its grant has set.
	DisconnectExpired DisconnectReason = C.FANFARE_DISCONNECT_EXPIRED
)

// String is the reason's short name, such as "client_closed".
func (r DisconnectReason) String() string {
	return goText(C.fanfare_disconnect_reason_name(C.fanfare_disconnect_reason(r)))
}

// NoticeKind is what a notice is about.
type NoticeKind int32

// The kinds of notices.
const (
	// NoticeConnected: a connection became an event stream.
	NoticeConnected NoticeKind = C.FANFARE_NOTICE_CONNECTED
	// NoticeDisconnected: a connection ended.
	NoticeDisconnected NoticeKind = C.FANFARE_NOTICE_DISCONNECTED
	// NoticeWanted: a topic or filter got its first subscriber.
	NoticeWanted NoticeKind = C.FANFARE_NOTICE_WANTED
	// NoticeUnwanted: a topic or filter has had no subscriber for the grace time.
	NoticeUnwanted NoticeKind = C.FANFARE_NOTICE_UNWANTED
)

// Notice is something that happened; Kind says which of the fields are set.
type Notice struct {
	// Kind is what happened.
	Kind NoticeKind
	// At is when.
	At time.Time
	// Lost is the notices that were lost since the one before, because the queue was full.
	Lost uint64
	// Subscriptions is what a connection is, or was, subscribed to, each once, in no order; or the one
	// topic or filter that is wanted or unwanted.
	Subscriptions []string

	// ConnectionID is the connection's id.
	ConnectionID ConnectionID
	// Tag is what the client calls itself: a label that any client can claim.
	Tag string
	// Addr is the client's address and port; empty at a Unix domain socket.
	Addr string

	// Reason is why a connection ended.
	Reason DisconnectReason
	// Lasted is for how long it was an event stream.
	Lasted time.Duration
	// Events is the number of events that its socket took whole.
	Events uint64
	// Bytes is those of events that its socket took, without what HTTP adds.
	Bytes uint64
}

// NoticesOptions is what a hub tells. The zero value is notices of connections.
type NoticesOptions struct {
	// NoConnections: whether it tells nothing of connections that begin and end.
	NoConnections bool
	// Capacity is how many notices of connections may wait; the next one counts those that were lost.
	// Bounds: 1 to 1,048,576. Default: 10,000.
	Capacity int
	// Interest has topics and filters: it tells when a topic that matches gets its first subscriber, or
	// has lost its last. First comes what has one already. None is lost.
	Interest []string
	// Grace is how long a topic has to be without subscribers before that is told.
	// Bounds: at most 1 hour. Default: 0.
	Grace time.Duration
}

// Notices tells from now on of what happens. The notices wait in a bounded queue until the program
// takes them; no thread of the engine waits for the program.
//
//	for notice, err := range hub.Notices(ctx, nil) {
//		if err != nil {
//			return err
//		}
//		...
//	}
//
// It ends when ctx does, when the loop is left, when the hub is closed, or when the connections'
// notices go to another call, since a hub tells one queue of them. It is iterated once, by one
// goroutine, which waits in the runtime's poller. One that is not iterated takes two descriptors until
// ctx ends. nil is the default of every option.
//
// The error comes once, and first: [ErrSubscription], [ErrArgument] for an option out of its bounds,
// [ErrLimit] when the hub tells of 64 interests already, [ErrClosed], [ErrForked] or [ErrSystem].
func (h *Hub) Notices(ctx context.Context, options *NoticesOptions) iter.Seq2[Notice, error] {
	if options == nil {
		options = &NoticesOptions{}
	}
	own, sources, err := h.watch(options)
	if err != nil {
		return func(yield func(Notice, error) bool) { yield(Notice{}, err) }
	}
	w := &watching{bell: own}
	runtime.AddCleanup(w, freeBell, own)
	stop := context.AfterFunc(ctx, w.end)
	return func(yield func(Notice, error) bool) {
		if !w.begin() {
			return
		}
		defer stop()
		defer runtime.KeepAlive(w) // or its cleanup would free the bell
		defer own.free()
		own.notices(ctx, sources, yield)
	}
}

// watching is notices before they are iterated.
type watching struct {
	bell *bell
	mu   sync.Mutex
	used bool
}

func (w *watching) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	used := w.used
	w.used = true
	return !used
}

func (w *watching) end() {
	if w.begin() {
		w.bell.free()
	} else {
		w.bell.ring()
	}
}

// watch makes a bell of some sources.
func (h *Hub) watch(options *NoticesOptions) (*bell, int, error) {
	if options.Capacity < 0 || options.Capacity > 1<<20 || options.Grace < 0 || options.Grace > time.Hour {
		return nil, 0, ErrArgument
	}
	bell, err := newBell()
	if err != nil {
		return nil, 0, err
	}
	var memory memory
	defer memory.release()
	sources := 0
	for _, subscription := range options.Interest {
		status := C.fanfare_hub_watch_interest(h.pointer(), bell.native, C.uint64_t(2+sources),
			memory.text(subscription), C.uint64_t(wholeMS(options.Grace)))
		if err = failure(status); err != nil {
			break
		}
		sources++
	}
	if err == nil && !options.NoConnections {
		err = failure(C.fanfare_hub_watch_connections(h.pointer(), bell.native, 1, C.size_t(options.Capacity)))
		sources++
	}
	runtime.KeepAlive(h)
	if err != nil {
		bell.free()
		return nil, 0, err
	}
	return bell, sources, nil
}

// notices gives notices to a loop until all sources have ended, or the loop or ctx has.
func (b *bell) notices(ctx context.Context, sources int, yield func(Notice, error) bool) {
	if ctx.Err() != nil {
		return
	}
	var taken []Notice
	for sources > 0 {
		count := b.drain(noticesAtOnce, func(notice *C.fanfare_notice) {
			if notice.kind == C.FANFARE_NOTICE_ENDED {
				sources--
				return
			}
			taken = append(taken, goNotice(notice))
		})
		for _, notice := range taken {
			if ctx.Err() != nil || !yield(notice, nil) {
				return
			}
		}
		taken = taken[:0]
		if count < noticesAtOnce && sources > 0 && !b.wait() {
			return
		}
	}
}

func goNotice(notice *C.fanfare_notice) Notice {
	return Notice{
		Kind:          NoticeKind(notice.kind),
		At:            time.UnixMilli(int64(notice.at_unix_ms)),
		Lost:          uint64(notice.lost),
		Subscriptions: goTexts(notice.subscriptions, notice.subscriptions_count),
		ConnectionID:  ConnectionID(notice.id),
		Tag:           goText(notice.tag),
		Addr:          goText(notice.addr),
		Reason:        DisconnectReason(notice.reason),
		Lasted:        time.Duration(notice.lasted_ms) * time.Millisecond,
		Events:        uint64(notice.events),
		Bytes:         uint64(notice.bytes),
	}
}
