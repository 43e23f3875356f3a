package fanfare

// #include "native.h"
// #cgo nocallback fanfare_go_stream_next
import "C"

import (
	"bytes"
	"context"
	"net/http"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// StreamOptions is how a stream begins, and how it is served, that the program opens for a client
// itself. The zero value is the default of each.
type StreamOptions struct {
	// LastEventID is the client's Last-Event-ID: its stream begins behind that event. At most 4 KiB;
	// one that no event can have is one that is gone.
	LastEventID string
	// Tag is a label by which the connection is found again, 1 to 256 bytes without control characters.
	Tag string
	// Addr is the client's address, which counts against limits per address: an IP address, with or
	// without a port. Of a socket that is handed over the default is its peer's.
	Addr string
	// Start is where the stream of a client without an id begins. Default: now.
	Start Start
	// GapStart is where it begins if the id is gone. Default: by the gap's reason.
	GapStart Start
	// Policy is what happens when it lags too far. Default: that of the rules of its topics, or the
	// hub's.
	Policy Policy
	// HeartbeatForm is the form of heartbeats. Default: the hub's.
	HeartbeatForm HeartbeatForm
	// Envelope is what is around the data of events. Default: nothing.
	Envelope Envelope
	// ExpiresAt is when the stream ends. Default: never.
	ExpiresAt time.Time
	// QueueBytesMax is the most bytes that wait to be read of a [Stream].
	// Bounds: 1 byte to 16 MiB. Default: 128 KiB.
	QueueBytesMax int64
}

func (o *StreamOptions) fill(given *C.fanfare_stream_options, memory *memory) {
	given.last_event_id = memory.field(o.LastEventID)
	given.tag = memory.field(o.Tag)
	given.addr = memory.field(o.Addr)
	given.start, given.start_last = C.fanfare_start(o.Start.kind), C.uint32_t(o.Start.last)
	given.gap_start, given.gap_start_last = C.fanfare_start(o.GapStart.kind), C.uint32_t(o.GapStart.last)
	given.policy = C.fanfare_policy(o.Policy)
	given.heartbeat_form = C.fanfare_heartbeat(o.HeartbeatForm)
	given.envelope = C.fanfare_envelope(o.Envelope)
	given.expires_at_unix_ms = unixMS(o.ExpiresAt)
	number(&given.queue_bytes_max, o.QueueBytesMax)
}

func streamProblem(given *C.fanfare_stream_options) error {
	return optionProblem(ErrOptions, func(name, bounds *C.fanfare_text) C.fanfare_status {
		return C.fanfare_stream_options_problem(given, name, bounds)
	})
}

// Stream is the event stream of one client, which the program sends to it by its own server. It counts
// as a connection of the hub. It has to be closed; one that is unreachable without being closed is
// closed some time later, as a backstop. It may outlive its hub, and ends then.
type Stream struct {
	hub     *Hub
	cleanup runtime.Cleanup
	closed  chan struct{}
	once    sync.Once

	mu     sync.RWMutex // for reading by what uses native, for writing to free it
	native *C.fanfare_stream

	reading  chan struct{} // has something in it while a goroutine reads, whose the rest is
	bell     *hubBell      // nil until it has waited
	token    uint64
	readable chan struct{}
}

// Subscribe subscribes the program itself to topics and filters, 1 to 65,536, for a client that its own
// server sends the stream to: [Hub.Handler] does so. What a client's connection would be sent comes
// out of the stream, without the head of a response ([StreamHeader] has its fields). It waits for
// nothing. nil is the default of every option.
//
// The error is [ErrSubscription], [ErrTooMany], [ErrLimit] when the hub has as many connections or
// subscriptions as its options allow, an [OptionError], [ErrClosed], [ErrForked] or [ErrSystem].
func (h *Hub) Subscribe(topics []string, options *StreamOptions) (*Stream, error) {
	var memory memory
	defer memory.release()
	given := C.fanfare_stream_options_defaults()
	if options != nil {
		options.fill(&given, &memory)
	}
	array, count := memory.texts(topics)
	var native *C.fanfare_stream
	err := failure(C.fanfare_hub_subscribe(h.pointer(), array, count, &given, &native))
	runtime.KeepAlive(h)
	if err == ErrOptions {
		return nil, streamProblem(&given)
	} else if err != nil {
		return nil, err
	}
	s := &Stream{hub: h, native: native, closed: make(chan struct{}), reading: make(chan struct{}, 1)}
	s.cleanup = runtime.AddCleanup(s, func(native *C.fanfare_stream) { go C.fanfare_stream_free(native) }, native)
	return s, nil
}

// Next waits for the next batch: the bytes of some whole events, as they are to be sent. No thread is
// held while it waits. One goroutine reads at a time; another one that reads waits for it. The methods
// beside it wait for none of them.
//
// The error is an [EndedError] when the stream has ended, and says why, or that of ctx, after which
// nothing was taken.
func (s *Stream) Next(ctx context.Context) ([]byte, error) {
	if err := s.beginReading(ctx); err != nil {
		return nil, err
	}
	defer s.endReading()
	batch, err := s.next(ctx)
	return bytes.Clone(batch), err
}

// beginReading waits until no other goroutine reads.
func (s *Stream) beginReading(ctx context.Context) error {
	select {
	case s.reading <- struct{}{}:
		return nil
	default:
	}
	select {
	case s.reading <- struct{}{}:
		return nil
	case <-s.closed:
		return &EndedError{Reason: DisconnectClosed}
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Stream) endReading() { <-s.reading }

// next is as Next, for one that reads; the batch is the library's, and is there until the next call.
func (s *Stream) next(ctx context.Context) ([]byte, error) {
	for {
		batch, err := s.take()
		if err != ErrTimeout {
			return batch, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.listen(); err != nil {
			return nil, err
		}
		select {
		case <-s.readable:
		case <-s.closed:
		case <-s.bell.done:
			// The hub is closed, and so everything that the stream has stands in its queue.
			if batch, err := s.take(); err != ErrTimeout {
				return batch, err
			}
			return nil, &EndedError{Reason: DisconnectClosed}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take is a batch that is there, or ErrTimeout.
func (s *Stream) take() ([]byte, error) {
	if s.isClosed() {
		return nil, &EndedError{Reason: DisconnectClosed}
	}
	batch := C.fanfare_go_stream_next(s.pointer())
	runtime.KeepAlive(s)
	switch batch.status {
	case C.FANFARE_OK:
		return goBytes(batch.text), nil
	case C.FANFARE_ERR_ENDED:
		return nil, s.ended()
	}
	return nil, failure(batch.status)
}

func (s *Stream) ended() error {
	var reason C.fanfare_disconnect_reason
	var isCut C.uint32_t
	if err := failure(C.fanfare_stream_end(s.pointer(), &reason, &isCut)); err != nil {
		return err
	}
	runtime.KeepAlive(s)
	return &EndedError{Reason: DisconnectReason(reason), Cut: isCut != 0}
}

// listen has the hub's bell tell of the stream.
func (s *Stream) listen() error {
	if s.bell != nil {
		return nil
	}
	bell, err := s.hub.parts.ownBell()
	if err == ErrClosed {
		if _, ended := s.take(); ended != nil && ended != ErrTimeout {
			return ended
		}
		return &EndedError{Reason: DisconnectClosed}
	} else if err != nil {
		return err
	}
	token, readable := bell.add()
	native := s.pointer()
	err = bell.use(func(notices *C.fanfare_notices) C.fanfare_status {
		return C.fanfare_stream_notify(native, notices, C.uint64_t(token))
	})
	runtime.KeepAlive(s)
	if err == ErrClosed {
		err = &EndedError{Reason: DisconnectClosed}
	}
	if err != nil {
		bell.drop(token)
		return err
	}
	// One that is lost leaves its place as well.
	runtime.AddCleanup(s, func(token uint64) { bell.drop(token) }, token)
	s.bell, s.token, s.readable = bell, token, readable
	return nil
}

func (s *Stream) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

func (s *Stream) pointer() *C.fanfare_stream {
	native := s.native
	inCall()
	return native
}

// Close ends the stream: its client is gone. What reads it gets an [EndedError]. Closing again does
// nothing. The error is always nil.
func (s *Stream) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.reading <- struct{}{} // what reads it leaves
		defer s.endReading()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cleanup.Stop()
		C.fanfare_stream_free(s.pointer())
		s.native = nil
		if s.bell != nil {
			s.bell.drop(s.token)
		}
	})
	runtime.KeepAlive(s)
	return nil
}

// IsComplete tells whether it is empty, and always was: all topics were finished, and its client has
// everything. A server answers the request with the status 204, after which an EventSource does not
// come back.
func (s *Stream) IsComplete() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var is C.uint32_t
	if native := s.pointer(); native != nil {
		C.fanfare_stream_is_complete(native, &is)
	}
	runtime.KeepAlive(s)
	return is != 0
}

// ConnectionID is its id among the hub's connections; 0 until its first batch has come, and when it is
// closed.
func (s *Stream) ConnectionID() ConnectionID {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var id C.fanfare_connection_id
	if native := s.pointer(); native != nil {
		C.fanfare_stream_id(native, &id)
	}
	runtime.KeepAlive(s)
	return ConnectionID(id)
}

// EndedError is that a stream has ended. It is an [ErrEnded].
type EndedError struct {
	// Reason is why.
	Reason DisconnectReason
	// Cut is whether something may be missing at the end, which a server passes on as a broken
	// response.
	Cut bool
}

// Error says why.
func (e *EndedError) Error() string {
	if e.Cut {
		return "fanfare: the stream was cut: " + e.Reason.String()
	}
	return "fanfare: the stream has ended: " + e.Reason.String()
}

// Unwrap is [ErrEnded].
func (e *EndedError) Unwrap() error { return ErrEnded }

// StreamHeader has the header fields of a response whose body is a [Stream]: its type, which browsers are
// not to guess, and what keeps proxies and caches from storing, compressing or holding back the events. It
// is the caller's.
func StreamHeader() http.Header {
	var fields *C.fanfare_header
	var count C.size_t
	header := make(http.Header)
	if C.fanfare_stream_headers(&fields, &count) == C.FANFARE_OK {
		for _, field := range unsafe.Slice(fields, int(count)) {
			header.Add(goText(field.name), goText(field.value))
		}
	}
	return header
}
