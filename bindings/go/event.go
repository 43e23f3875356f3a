package fanfare

// #include "native.h"
import "C"

import (
	"math"
	"time"
	"unsafe"
)

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
	// Comment is a text that clients ignore.
	Comment string
	// Retry is the reconnection time that clients are to use from now on, in whole milliseconds
	// (a fraction is rounded up), at most 49 days. Zero changes nothing.
	Retry time.Duration
	// Window: the clients that are there are sent the event evenly over this time, at most 5
	// minutes; zero is at once.
	Window time.Duration
}

// numbers are the event's parts that are no texts, as the library takes them.
func (e *Event) numbers() (retryMS uint32, windowMS uint64, noData bool, err error) {
	retry := wholeMS(e.Retry)
	if e.Retry < 0 || e.Window < 0 || retry > math.MaxUint32 || e.NoData && e.Data != "" {
		return 0, 0, false, ErrEvent
	}
	return uint32(retry), wholeMS(e.Window), e.NoData, nil
}

// ID is the hub's id of an event: an opaque text, which clients send back as Last-Event-ID. Ids are
// equal if they are of the same event, and have no order. It is a value, for which nothing is
// allocated; the zero ID is that of none, or of an event that is published but whose id is not known
// yet: in a cluster ids come from the cluster's server, and those methods know them that have a context.
type ID struct {
	length uint8
	text   [C.FANFARE_EVENT_ID_BYTES_MAX]byte
}

// The library writes the ids of a batch where Go has them.
var _ = [1]struct{}{}[unsafe.Sizeof(ID{})-C.sizeof_fanfare_event_id]

// String is the text, of at most 64 bytes of printable ASCII without comma or space.
func (id ID) String() string { return string(id.text[:id.length]) }

// IsZero tells whether it is the id of none.
func (id ID) IsZero() bool { return id.length == 0 }

// MarshalText is the text.
func (id ID) MarshalText() ([]byte, error) { return append([]byte(nil), id.text[:id.length]...), nil }

func goID(id *C.fanfare_event_id) ID { return *(*ID)(unsafe.Pointer(id)) }
