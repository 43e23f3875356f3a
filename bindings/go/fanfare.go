// Package fanfare embeds the Server-Sent Events fan-out engine fanfare: publish an event once,
// and every client that subscribed to its topic gets it.
//
//   - [New] starts a [Hub], with [Options] of which the zero value is the default.
//   - [Hub.Listen] accepts clients; they subscribe with GET /events?topic=NAME.
//   - [Hub.Publish] publishes an [Event] to a topic, from any goroutine, and never blocks.
//   - [Hub.Close] sends what is still to be sent, and ends the streams.
//
// The package stands on fanfare's C ABI through cgo. It links the static library
// build/lib/libfanfare.a that `make capi` builds, or with the build tag fanfare_shared the shared
// one.
package fanfare

/*
#include <fanfare.h>

typedef struct {
	int32_t code;
	uint64_t sequence;
} fanfare_go_published;

// Puts the event together on C's stack. All pointers from Go are arguments, so cgo keeps what they
// point to where it is until this returns, and the library copies it before: nothing is pinned,
// allocated or freed.
static fanfare_go_published fanfare_go_publish(
	const fanfare_hub *hub, const char *topic, size_t topic_len, const char *data, size_t data_len,
	const char *name, size_t name_len, const char *id, size_t id_len, const char *key,
	size_t key_len, uint32_t retry_ms, int no_data)
{
	fanfare_event event = {0};
	fanfare_go_published published = {0};

	event.size = sizeof event;
	// Empty data is data, for which the header wants a pointer that is not NULL.
	event.data = no_data ? NULL : data_len == 0 ? "" : data;
	event.data_len = data_len;
	event.name = name_len == 0 ? NULL : name;
	event.name_len = name_len;
	event.id = id_len == 0 ? NULL : id;
	event.id_len = id_len;
	event.key = key_len == 0 ? NULL : key;
	event.key_len = key_len;
	event.retry_ms = retry_ms;
	published.code = fanfare_hub_publish(hub, topic, topic_len, &event, &published.sequence);
	return published;
}
*/
import "C"

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// Hub is the engine. All of its methods may be called from any goroutine at once. It has to be
// closed, or its threads run on; one that is lost without is closed some time after, as a
// backstop.
type Hub struct {
	// Held for reading by calls that use hub, for writing to take it away from them.
	mu      sync.RWMutex
	hub     *C.fanfare_hub
	close   sync.Once
	cleanup runtime.Cleanup
}

// New starts a hub. nil is the default of every option.
//
// The error is [ErrOptions] when an option is out of its bounds, [ErrSystem] when the system is
// out of descriptors, threads or memory, and [ErrABI] when the library is of another version than
// this package.
func New(options *Options) (*Hub, error) {
	if err := checkABI(uint32(C.fanfare_abi_version()), C.FANFARE_ABI_VERSION); err != nil {
		return nil, err
	}
	given := C.fanfare_options{size: C.sizeof_fanfare_options}
	if err := failure(C.fanfare_options_init(&given)); err != nil {
		return nil, err
	}
	if options != nil {
		options.fill(&given)
	}
	var hub *C.fanfare_hub
	if err := failure(C.fanfare_hub_new(&given, &hub)); err != nil {
		return nil, err
	}
	h := &Hub{hub: hub}
	// Freeing waits for clients to take what was published; the runtime's cleanups must not.
	h.cleanup = runtime.AddCleanup(h, func(hub *C.fanfare_hub) { go C.fanfare_hub_free(hub) }, hub)
	return h, nil
}

// Listen accepts clients on an address such as "127.0.0.1:8080" or "[::]:8080" until the hub is
// closed, and returns the port: with port 0 the system chooses one. The address needs a host:
// ":8080" is none. A hub may listen on several addresses.
//
// The error is [ErrAddress] when the address is not one, is in use or may not be bound,
// [ErrSystem], [ErrClosed] or [ErrForked].
func (h *Hub) Listen(addr string) (port int, err error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.hub == nil {
		return 0, ErrClosed
	}
	var chosen C.uint16_t
	code := C.fanfare_hub_listen(h.hub, text(addr), C.size_t(len(addr)), &chosen)
	if err := failure(code); err != nil {
		return 0, fmt.Errorf("listen on %q: %w", addr, err)
	}
	return int(chosen), nil
}

// Event is what is published. All texts are UTF-8.
type Event struct {
	// Data is the text; CR, LF and CRLF in it are line breaks. Empty data is data, and a client
	// gets it, unless NoData says that there is none.
	Data string
	// NoData is for an event that has no data, but an ID or Retry: it fires nothing in a client.
	NoData bool
	// Name is the event's type, at most 256 bytes without CR, LF or NUL. Without one, it is a
	// "message".
	Name string
	// ID is an id of the publisher's own instead of the hub's: at most 256 bytes without control
	// characters, and without a space at either end.
	ID string
	// Key is what the event is about: of events with one key only the newest matters. At most
	// 256 bytes; it is not sent.
	Key string
	// Retry is the reconnection time that clients are to use from now on, in whole milliseconds
	// (a fraction is rounded up), at most 49 days. Zero changes nothing.
	Retry time.Duration
}

// Publish publishes an event to a topic, to every client that wants it, and returns its number in
// the hub's total order, from 1. It never blocks. A topic is 1 to 256 bytes of UTF-8 without
// control characters, '+' and '#'.
//
// The error is [ErrFull] when too much waits to be sent: try again a little later. Otherwise it is
// [ErrTopic], [ErrEvent], [ErrUTF8], [ErrTooLarge], [ErrClosed] or [ErrForked]. In all cases
// nothing was published anywhere.
func (h *Hub) Publish(topic string, event Event) (sequence uint64, err error) {
	retryMS := wholeMS(event.Retry)
	if event.Retry < 0 || retryMS > math.MaxUint32 || event.NoData && event.Data != "" {
		return 0, ErrEvent
	}
	var noData C.int
	if event.NoData {
		noData = 1
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.hub == nil {
		return 0, ErrClosed
	}
	published := C.fanfare_go_publish(h.hub,
		text(topic), C.size_t(len(topic)),
		text(event.Data), C.size_t(len(event.Data)),
		text(event.Name), C.size_t(len(event.Name)),
		text(event.ID), C.size_t(len(event.ID)),
		text(event.Key), C.size_t(len(event.Key)),
		C.uint32_t(retryMS), noData)
	if err := failure(published.code); err != nil {
		return 0, err
	}
	return uint64(published.sequence), nil
}

// Close ends the hub: nothing more is published or accepted, what was published is sent for at
// most two seconds more, and then every stream is closed. When it returns that is done, whichever
// call of Close began it; closing again does nothing. The error is always nil.
func (h *Hub) Close() error {
	h.close.Do(func() {
		h.cleanup.Stop()
		h.mu.Lock()
		hub := h.hub
		h.hub = nil
		h.mu.Unlock()
		// Nobody uses it any more, and nobody waits for the lock meanwhile.
		C.fanfare_hub_free(hub)
	})
	return nil
}

// text is a Go string's bytes as C sees them, with no NUL at their end; only valid as an argument.
func text(s string) *C.char {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s)))
}

// wholeMS rounds up, so that a short time does not become zero, which means something else.
func wholeMS(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	return (uint64(d) + uint64(time.Millisecond) - 1) / uint64(time.Millisecond)
}
