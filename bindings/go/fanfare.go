// Package fanfare embeds the Server-Sent Events fan-out engine fanfare: publish an event once,
// and every client that subscribed to its topic gets it.
//
//   - [New] starts a [Hub], with [Options] of which the zero value is the default.
//   - [Hub.Listen] accepts clients; they subscribe with GET /events?topic=NAME.
//   - [Hub.Publish] publishes an [Event] to a topic, from any goroutine, and never blocks.
//   - [Hub.Close] sends what is still to be sent, and ends the streams.
//
// The package uses fanfare's C ABI through cgo. It links the static library
// build/lib/libfanfare.a that `make capi` builds, or with the build tag fanfare_shared the shared
// one.
package fanfare

/*
#include <fanfare.h>

typedef struct {
	fanfare_status status;
	fanfare_event_id id;
} fanfare_go_published;

// All that Go lends are strings as arguments, so cgo keeps their bytes where they are until the
// call returns, and the library copies them before: nothing is pinned, allocated or freed.
static fanfare_text fanfare_go_text(_GoString_ given)
{
	return fanfare_text_of(_GoStringPtr(given), _GoStringLen(given));
}

// The text of a field that is empty when an event does not have it.
static fanfare_text fanfare_go_field(_GoString_ given)
{
	return _GoStringLen(given) == 0 ? fanfare_text_of(NULL, 0) : fanfare_go_text(given);
}

static fanfare_status fanfare_go_listen(const fanfare_hub *hub, _GoString_ addr, uint16_t *port_out)
{
	return fanfare_hub_listen(hub, fanfare_go_text(addr), NULL, NULL, port_out);
}

// Puts the event together on C's stack.
static fanfare_go_published fanfare_go_publish(
	const fanfare_hub *hub, _GoString_ topic, _GoString_ data, _GoString_ name, _GoString_ id,
	_GoString_ key, uint32_t retry_ms, int no_data)
{
	fanfare_go_published published = {FANFARE_OK, {0, {0}}};
	// Empty data is data, for which the header wants a pointer that is not NULL.
	fanfare_event event =
		fanfare_event_of(_GoStringLen(data) == 0 ? FANFARE_TEXT("") : fanfare_go_text(data));

	if (no_data) {
		event.data = fanfare_text_of(NULL, 0);
	}
	event.name = fanfare_go_field(name);
	event.id = fanfare_go_field(id);
	event.key = fanfare_go_field(key);
	event.retry_ms = retry_ms;
	published.status = fanfare_hub_publish(hub, fanfare_go_text(topic), &event, &published.id);
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
// closed, or its threads run on; a hub that is unreachable without being closed is closed some time
// later, as a backstop.
type Hub struct {
	// Held for reading by calls that use hub, for writing to take it away from them.
	mu      sync.RWMutex
	hub     *C.fanfare_hub
	close   sync.Once
	cleanup runtime.Cleanup
}

// New starts a hub. nil is the default of every option.
//
// The error is [ErrOptions] when an option is out of its bounds, and says which, [ErrSystem] when the system is
// out of descriptors, threads or memory, and [ErrABI] when the library is of another version than
// this package.
func New(options *Options) (*Hub, error) {
	if err := checkABI(uint32(C.fanfare_abi_version()), C.FANFARE_ABI_VERSION); err != nil {
		return nil, err
	}
	given := C.fanfare_options_defaults()
	if options != nil {
		options.fill(&given)
	}
	var hub *C.fanfare_hub
	if err := failure(C.fanfare_hub_new(&given, &hub)); err == ErrOptions {
		return nil, problem(&given)
	} else if err != nil {
		return nil, err
	}
	h := &Hub{hub: hub}
	// Freeing waits for clients to take what was published; the runtime's cleanups must not.
	h.cleanup = runtime.AddCleanup(h, func(hub *C.fanfare_hub) { go C.fanfare_hub_free(hub) }, hub)
	return h, nil
}

// Listen accepts clients on an address such as "127.0.0.1:8080" or "[::]:8080" until the hub is
// closed, and returns the port: with port 0 the system chooses one. The address needs a host:
// ":8080" is refused. A hub may listen on several addresses.
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
	if err := failure(C.fanfare_go_listen(h.hub, addr, &chosen)); err != nil {
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
	// ID is a custom id instead of the hub's: at most 256 bytes without control
	// characters, and without a space at either end.
	ID string
	// Key is what the event is about: of events with one key only the newest matters. At most
	// 256 bytes; it is not sent.
	Key string
	// Retry is the reconnection time that clients are to use from now on, in whole milliseconds
	// (a fraction is rounded up), at most 49 days. Zero changes nothing.
	Retry time.Duration
}

// Publish publishes an event to a topic, to every client that wants it. It never blocks. A topic is
// 1 to 256 bytes of UTF-8 without control characters, '+' and '#'.
//
// The id is the hub's, also when the event has an ID of the publisher's: an opaque text, which is
// empty when the event is published but its id is not known yet.
//
// The error is [ErrFull] when too many bytes wait to be sent: try again a little later. Otherwise it is
// [ErrTopic], [ErrEvent], [ErrUTF8], [ErrTooLarge], [ErrClosed] or [ErrForked]. In all cases
// nothing was published anywhere.
func (h *Hub) Publish(topic string, event Event) (id string, err error) {
	retryMS := wholeMS(event.Retry)
	if event.Retry < 0 || retryMS > math.MaxUint32 || event.NoData && event.Data != "" {
		return "", ErrEvent
	}
	var noData C.int
	if event.NoData {
		noData = 1
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.hub == nil {
		return "", ErrClosed
	}
	published := C.fanfare_go_publish(h.hub, topic, event.Data, event.Name, event.ID, event.Key,
		C.uint32_t(retryMS), noData)
	if err := failure(published.status); err != nil {
		return "", err
	}
	text := (*[C.FANFARE_EVENT_ID_BYTES_MAX]byte)(unsafe.Pointer(&published.id.text))
	return string(text[:published.id.length]), nil
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
		// No call uses it any more, and none waits for the lock meanwhile.
		C.fanfare_hub_free(hub)
	})
	return nil
}

// wholeMS rounds up, so that a short time does not become zero, which means something else.
func wholeMS(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	return (uint64(d) + uint64(time.Millisecond) - 1) / uint64(time.Millisecond)
}
