package publish

import (
	"errors"
	"strconv"
	"strings"
)

// What can go wrong, to be compared by [errors.Is]. Names that package fanfare has too mean the same.
var (
	// ErrFull: the queue of a [Publisher] is full, or the server's backlog is; nothing was published,
	// try again a little later.
	ErrFull = errors.New("too much waits to be sent; try again later")
	// ErrClosed: the [Publisher] is closed.
	ErrClosed = errors.New("the publisher is closed")
	// ErrTopic: the topic is empty, longer than 256 bytes, not UTF-8, or has a forbidden character.
	ErrTopic = errors.New("a topic is 1 to 256 bytes of UTF-8 without control characters, '+' and '#'")
	// ErrTooMany: the event has more than 64 topics.
	ErrTooMany = errors.New("an event has at most 64 topics")
	// ErrEvent: the event is empty, or a field of it is too long or has a character that no client
	// gets back.
	ErrEvent = errors.New("the event is invalid")
	// ErrUTF8: the event's text is not UTF-8.
	ErrUTF8 = errors.New("the event is not UTF-8")
	// ErrTooLarge: the event is larger than the server's --event-bytes-max, or than the whole queue.
	ErrTooLarge = errors.New("the event is too large")
	// ErrFinished: the topic is finished; publish to another one.
	ErrFinished = errors.New("the topic is finished")
	// ErrToken: the server wants another token.
	ErrToken = errors.New("the token is missing or wrong")
	// ErrRefused: the server will never take this, and the error's text says why.
	ErrRefused = errors.New("refused")
	// ErrUnreached: the server was not reached; nothing was published.
	ErrUnreached = errors.New("the server was not reached")
	// ErrTimeout: the content of a request came too slowly; nothing was published, try again.
	ErrTimeout = errors.New("the events came too slowly")
	// ErrJournal: the server's journal cannot be written, and its log says why; nothing was published.
	ErrJournal = errors.New("the server's journal cannot be written")
	// ErrCluster: the server of the server's cluster takes no events, and the log says why; nothing was
	// published.
	ErrCluster = errors.New("the cluster's server takes no events")
	// ErrUnavailable: the server ends, or a part of it has failed; nothing was published.
	ErrUnavailable = errors.New("the server is not available")
	// ErrUnknown: the request was sent and its answer was lost; the event is published or not.
	ErrUnknown = errors.New("the answer was lost: the event may be published or not")
	// ErrUnanswered is an [ErrUnknown]: the cluster's server has not answered the server in time, and the
	// event is on its way as a rule.
	ErrUnanswered error = unanswered{}
	// ErrUndelivered: [Publisher.Close] or [Publisher.Flush] has left events behind.
	ErrUndelivered = errors.New("not all events were delivered")
	// ErrURL: the server's URL or the token cannot be used.
	ErrURL = errors.New("the URL or the token cannot be used")
)

// unanswered is the type of [ErrUnanswered].
type unanswered struct{}

func (unanswered) Error() string {
	return "the cluster has not answered: the event may be published yet"
}

func (unanswered) Is(target error) bool { return target == ErrUnknown }

// Error says what has become of a request. [errors.Is] finds its Kind and its Cause.
type Error struct {
	// Kind is one of the errors of this package.
	Kind error
	// Status is the HTTP status of the answer, or zero if there was none.
	Status int
	// Text is what the server says.
	Text string
	// Cause is the error of the network or of the context, if there is one.
	Cause error
}

// Error has the kind, and what the server or the network says.
func (e *Error) Error() string {
	parts := []string{"fanfare: " + e.Kind.Error()}
	if e.Text != "" {
		parts = append(parts, e.Text)
	}
	if e.Status != 0 {
		parts = append(parts, "status "+strconv.Itoa(e.Status))
	}
	if e.Cause != nil {
		parts = append(parts, e.Cause.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap is for [errors.Is] and [errors.As].
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

func invalid(kind error, text string) error { return &Error{Kind: kind, Text: text} }
