package fanfare

// #include "native.h"
import "C"

import (
	"errors"
	"fmt"
	"strings"
)

// Error is a code of the C ABI. Compare with the values below, by [errors.Is]: an error may be
// wrapped to say more.
type Error int32

// What can go wrong. The comments say what to do about it.
const (
	// ErrPanic: the library has a defect and panicked; please report it.
	ErrPanic Error = C.FANFARE_ERR_PANIC
	// ErrArgument: this package has passed something impossible; please report it.
	ErrArgument Error = C.FANFARE_ERR_ARGUMENT
	// ErrForked: the hub was made before a fork; make a new one in the child.
	ErrForked Error = C.FANFARE_ERR_FORKED
	// ErrClosed: the hub is closed.
	ErrClosed Error = C.FANFARE_ERR_CLOSED
	// ErrFull: too many bytes wait to be sent; nothing was published, try again a little later.
	ErrFull Error = C.FANFARE_ERR_FULL
	// ErrTopic: the topic is empty, longer than 256 bytes, not UTF-8, or has a forbidden character.
	ErrTopic Error = C.FANFARE_ERR_TOPIC
	// ErrEvent: the event is empty, or a field of it is too long or has a character that no client
	// gets back.
	ErrEvent Error = C.FANFARE_ERR_EVENT
	// ErrUTF8: the event's text is not UTF-8.
	ErrUTF8 Error = C.FANFARE_ERR_UTF8
	// ErrTooLarge: the event is larger than Options.EventBytesMax.
	ErrTooLarge Error = C.FANFARE_ERR_TOO_LARGE
	// ErrOptions: an option is out of its bounds; the error is an OptionError, which names both.
	ErrOptions Error = C.FANFARE_ERR_OPTIONS
	// ErrAddress: the address cannot be read, is in use, or may not be bound.
	ErrAddress Error = C.FANFARE_ERR_ADDRESS
	// ErrSystem: the system is out of descriptors, threads or memory.
	ErrSystem Error = C.FANFARE_ERR_SYSTEM
	// ErrFinished: the topic is finished; publish to another one.
	ErrFinished Error = C.FANFARE_ERR_FINISHED
	// ErrTimeout: what was waited for did not happen within the time; wait again, or do without it.
	ErrTimeout Error = C.FANFARE_ERR_TIMEOUT
	// ErrSubscription: a topic or filter to subscribe to is none.
	ErrSubscription Error = C.FANFARE_ERR_SUBSCRIPTION
	// ErrTooMany: a list has more entries than it may have; give fewer.
	ErrTooMany Error = C.FANFARE_ERR_TOO_MANY
	// ErrBuffer: the caller's buffer is too small; give a larger one.
	ErrBuffer Error = C.FANFARE_ERR_BUFFER
	// ErrStale: what an id names is not there any more; there is nothing to do.
	ErrStale Error = C.FANFARE_ERR_STALE
	// ErrLimit: there are as many as the options allow; raise the option, or try again later.
	ErrLimit Error = C.FANFARE_ERR_LIMIT
	// ErrBusy: the engine is asked for more at once than it keeps a queue for; try again a little later.
	ErrBusy Error = C.FANFARE_ERR_BUSY
	// ErrSocket: the descriptor is no connected stream socket.
	ErrSocket Error = C.FANFARE_ERR_SOCKET
	// ErrSocketTLS: the socket speaks TLS, which the engine cannot.
	ErrSocketTLS Error = C.FANFARE_ERR_SOCKET_TLS
	// ErrSocketRead: the client has sent bytes behind the request, or a body that was not read.
	ErrSocketRead Error = C.FANFARE_ERR_SOCKET_READ
	// ErrSocketUnsent: bytes that the host has written are not sent yet; wait until they are.
	ErrSocketUnsent Error = C.FANFARE_ERR_SOCKET_UNSENT
	// ErrRequest: the request is none that a stream can answer.
	ErrRequest Error = C.FANFARE_ERR_REQUEST
	// ErrGrant: a grant or a refusal is beyond its bounds; the error is an OptionError.
	ErrGrant Error = C.FANFARE_ERR_GRANT
	// ErrKey: a key cannot be read, is too weak, or is of no algorithm that is taken.
	ErrKey Error = C.FANFARE_ERR_KEY
	// ErrEnded: the stream has ended; free it.
	ErrEnded Error = C.FANFARE_ERR_ENDED
	// ErrLogger: the program has set a logger of its own; take the library's records from that.
	ErrLogger Error = C.FANFARE_ERR_LOGGER
	// ErrToken: the token or ticket is not valid, or no longer; answer its client 401.
	ErrToken Error = C.FANFARE_ERR_TOKEN
)

// ErrABI is that the library which is loaded is of another version than this package.
var ErrABI = errors.New("fanfare: wrong version of the library")

// Error says what is wrong and what to do.
func (e Error) Error() string {
	return "fanfare: " + C.GoString(C.fanfare_strerror(C.fanfare_status(e)))
}

func failure(status C.fanfare_status) error {
	if status == C.FANFARE_OK {
		return nil
	}
	return Error(status)
}

func checkABI(library, header uint32) error {
	if library == header {
		return nil
	}
	return fmt.Errorf("%w: it has ABI %d, and this package is built for %d; "+
		"build both from the same release (make capi) and build again with go build -a",
		ErrABI, library, header)
}

// OptionError says which option, or which part of a grant or a refusal, is out of its bounds. It is an
// [ErrOptions] or an [ErrGrant].
type OptionError struct {
	// Option is its name in the struct, such as Heartbeat.
	Option string
	// Bounds is what it may be, such as "1 to 256".
	Bounds string

	code Error
}

// Error says what the option may be.
func (e *OptionError) Error() string {
	return "fanfare: the option " + e.Option + " is out of bounds: it may be " + e.Bounds
}

// Unwrap is [ErrOptions] or [ErrGrant].
func (e *OptionError) Unwrap() error { return e.code }

// optionProblem is the error for a struct that the library has refused with a code, by what a function
// of the library's tells of it.
func optionProblem(code Error, find func(name, bounds *C.fanfare_text) C.fanfare_status) error {
	var name, bounds C.fanfare_text
	if err := failure(find(&name, &bounds)); err != nil {
		return err
	}
	if name.data == nil {
		return code
	}
	return &OptionError{goName(goText(name)), goText(bounds), code}
}

func optionsProblem(given *C.fanfare_options) error {
	return optionProblem(ErrOptions, func(name, bounds *C.fanfare_text) C.fanfare_status {
		return C.fanfare_options_problem(given, name, bounds)
	})
}

func drainProblem(given *C.fanfare_drain_options) error {
	return optionProblem(ErrOptions, func(name, bounds *C.fanfare_text) C.fanfare_status {
		return C.fanfare_drain_options_problem(given, name, bounds)
	})
}

// goName is the name here of a field of a C struct: LagGrace for lag_grace_ms.
func goName(field string) string {
	var name strings.Builder
	for _, word := range strings.Split(strings.TrimSuffix(strings.TrimSuffix(field, "_ms"), "_unix"), "_") {
		switch word {
		case "":
		case "id", "cors":
			name.WriteString(strings.ToUpper(word))
		default:
			name.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return name.String()
}
