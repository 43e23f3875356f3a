package publish

import (
	"bytes"
	"encoding/json"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	topicsMax    = 64
	textBytesMax = 256
	windowMax    = 5 * time.Minute
)

// Event is what is published, with the fields of package fanfare's. All texts are UTF-8.
type Event struct {
	// Data is the text; CR, LF and CRLF in it are line breaks. Empty data is data, and a client
	// gets it, unless NoData says that there is none.
	Data string
	// NoData is for an event that has no data, but an ID or Retry: it fires nothing in a client.
	NoData bool
	// Name is the event's type, at most 256 bytes without CR, LF or NUL. Without one, it is a
	// "message".
	Name string
	// ID is a custom id instead of the hub's: at most 256 bytes without control characters, and
	// without a space at either end. An event that has one may be sent again when an answer was
	// lost; see [RepeatWithID].
	ID string
	// Key is what the event is about: of events with one key only the newest matters. At most
	// 256 bytes; it is not sent.
	Key string
	// Retry is the reconnection time that clients are to use from now on, in whole milliseconds
	// (a fraction is rounded up), at most 49 days. Zero changes nothing.
	Retry time.Duration
	// Window is a time over which clients are sent the event evenly, in whole milliseconds, at most
	// 5 minutes. Zero is at once.
	Window time.Duration
}

// line is what the server reads of an event.
type line struct {
	Topic  string   `json:"topic,omitempty"`
	Topics []string `json:"topics,omitempty"`
	Data   *string  `json:"data,omitempty"`
	Event  string   `json:"event,omitempty"`
	ID     string   `json:"id,omitempty"`
	Key    string   `json:"key,omitempty"`
	Retry  uint64   `json:"retry,omitempty"`
	Window uint64   `json:"window,omitempty"`
	Finish bool     `json:"finish,omitempty"`
}

// check says what of it no server would take.
func (e *Event) check() error {
	for _, text := range []string{e.Data, e.Name, e.ID, e.Key} {
		if !utf8.ValidString(text) {
			return &Error{Kind: ErrUTF8}
		}
	}
	switch {
	case e.NoData && e.Data != "":
		return invalid(ErrEvent, "it has data, and NoData")
	case e.NoData && e.ID == "" && e.Retry == 0:
		return invalid(ErrEvent, "it is empty: it has neither data nor an id nor a reconnection time")
	case len(e.Name) > textBytesMax || strings.ContainsAny(e.Name, "\r\n\x00"):
		return invalid(ErrEvent, "a name has at most 256 bytes, without CR, LF and NUL")
	case len(e.ID) > textBytesMax || strings.ContainsFunc(e.ID, unicode.IsControl):
		return invalid(ErrEvent, "an id has at most 256 bytes, without control characters")
	case strings.HasPrefix(e.ID, " ") || strings.HasSuffix(e.ID, " "):
		return invalid(ErrEvent, "an id begins and ends with no space")
	case len(e.Key) > textBytesMax:
		return invalid(ErrEvent, "a key has at most 256 bytes")
	case e.Retry < 0 || wholeMS(e.Retry) > math.MaxUint32:
		return invalid(ErrEvent, "a reconnection time is 0 to 49 days")
	case e.Window < 0 || e.Window > windowMax:
		return invalid(ErrEvent, "a window is 0 to 5 minutes")
	}
	return nil
}

func checkTopics(topics []string) error {
	if len(topics) == 0 {
		return invalid(ErrTopic, "there is none")
	}
	if len(topics) > topicsMax {
		return &Error{Kind: ErrTooMany}
	}
	for _, topic := range topics {
		isForbidden := func(r rune) bool { return r == '+' || r == '#' || unicode.IsControl(r) }
		if topic == "" || len(topic) > textBytesMax || !utf8.ValidString(topic) ||
			strings.ContainsFunc(topic, isForbidden) {
			return &Error{Kind: ErrTopic}
		}
	}
	return nil
}

// lineOf is the event as a line of JSON, with the line break.
func lineOf(topics []string, event *Event, finish bool) ([]byte, error) {
	if err := checkTopics(topics); err != nil {
		return nil, err
	}
	l := line{Topics: topics, Finish: finish}
	if len(topics) == 1 {
		l.Topic, l.Topics = topics[0], nil
	}
	if event != nil {
		if err := event.check(); err != nil {
			return nil, err
		}
		l.Event, l.ID, l.Key = event.Name, event.ID, event.Key
		l.Retry, l.Window = wholeMS(event.Retry), wholeMS(event.Window)
		if !event.NoData {
			l.Data = &event.Data
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(&l); err != nil {
		return nil, &Error{Kind: ErrEvent, Cause: err}
	}
	return text.Bytes(), nil
}

// eventOf is what lineOf was given.
func eventOf(text []byte) (topics []string, event Event, finish bool) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		panic("fanfare: a line of the publisher's own cannot be read: " + err.Error())
	}
	if topics = l.Topics; l.Topic != "" {
		topics = []string{l.Topic}
	}
	event = Event{Name: l.Event, ID: l.ID, Key: l.Key, NoData: l.Data == nil,
		Retry:  time.Duration(l.Retry) * time.Millisecond,
		Window: time.Duration(l.Window) * time.Millisecond}
	if l.Data != nil {
		event.Data = *l.Data
	}
	return topics, event, l.Finish
}

// query is everything of an event but its data.
func query(topics []string, event *Event) url.Values {
	values := url.Values{"topic": topics}
	if event == nil {
		return values
	}
	for name, text := range map[string]string{"event": event.Name, "id": event.ID, "key": event.Key} {
		if text != "" {
			values.Set(name, text)
		}
	}
	for name, d := range map[string]time.Duration{"retry": event.Retry, "window": event.Window} {
		if d > 0 {
			values.Set(name, strconv.FormatUint(wholeMS(d), 10))
		}
	}
	return values
}

// wholeMS rounds up, so that a short time does not become zero, which means something else.
func wholeMS(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	return (uint64(d) + uint64(time.Millisecond) - 1) / uint64(time.Millisecond)
}
