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
	// ErrArgument: an argument is NULL, or a length or struct size is impossible; correct the call.
	ErrArgument Error = C.FANFARE_ERR_ARGUMENT
	// ErrForked: the hub, or what else the call is for, was made before a fork; make a new one in the
	// child.
	ErrForked Error = C.FANFARE_ERR_FORKED
	// ErrClosed: the hub is closed, or is being drained and takes no more clients; make a new one.
	ErrClosed Error = C.FANFARE_ERR_CLOSED
	// ErrFull: too many bytes wait to be sent; try again a little later.
	ErrFull Error = C.FANFARE_ERR_FULL
	// ErrTopic: the topic must be 1 to 256 bytes of UTF-8 without control characters, '+' and '#'.
	ErrTopic Error = C.FANFARE_ERR_TOPIC
	// ErrEvent: the event is empty, or its name, id or key is empty, longer than 256 bytes, has a
	// forbidden character or is reserved, or its window is too long, or a field is set that only a
	// newer library knows; correct the event.
	ErrEvent Error = C.FANFARE_ERR_EVENT
	// ErrUTF8: a text is not UTF-8; encode it as UTF-8.
	ErrUTF8 Error = C.FANFARE_ERR_UTF8
	// ErrTooLarge: the event is larger than the option event_bytes_max, or more than 4 MiB were read
	// of a connection, or a token would have more than 8 KiB; publish less data or raise the option,
	// read less, or grant fewer topics.
	ErrTooLarge Error = C.FANFARE_ERR_TOO_LARGE
	// ErrOptions: an option is out of its bounds, or one is set that only a newer library knows; the error is an OptionError, which names both.
	ErrOptions Error = C.FANFARE_ERR_OPTIONS
	// ErrAddress: the address must be an IP address and a port such as 127.0.0.1:8080, or unix: and a
	// path, which is not in use and may be bound.
	ErrAddress Error = C.FANFARE_ERR_ADDRESS
	// ErrSystem: the system is out of descriptors, threads or memory; raise its limits or use less.
	ErrSystem Error = C.FANFARE_ERR_SYSTEM
	// ErrFinished: the topic is finished; publish to another one.
	ErrFinished Error = C.FANFARE_ERR_FINISHED
	// ErrTimeout: it did not happen within the time; wait again, or do without it.
	ErrTimeout Error = C.FANFARE_ERR_TIMEOUT
	// ErrSubscription: a subscription must be a topic, or a filter with '+' as a whole level or '#'
	// as the last one; correct it.
	ErrSubscription Error = C.FANFARE_ERR_SUBSCRIPTION
	// ErrTooMany: a list has more entries than it may have; give fewer.
	ErrTooMany Error = C.FANFARE_ERR_TOO_MANY
	// ErrBuffer: the buffer is too small; give one of the size that was written.
	ErrBuffer Error = C.FANFARE_ERR_BUFFER
	// ErrStale: what the id, the listener or the token names is not there any more: it has ended, was
	// closed, or was answered; there is nothing to do.
	ErrStale Error = C.FANFARE_ERR_STALE
	// ErrLimit: there are as many connections, subscriptions, rules, tickets or sources of notices as
	// are allowed; raise the option, or try again later.
	ErrLimit Error = C.FANFARE_ERR_LIMIT
	// ErrBusy: the engine is asked for more at once than it keeps a queue for, or the stream or the
	// ticket is in use, or the call is in the log's callback; try again a little later.
	ErrBusy Error = C.FANFARE_ERR_BUSY
	// ErrSocket: the descriptor must be a connected stream socket of TCP or of a Unix domain; hand
	// such a one over.
	ErrSocket Error = C.FANFARE_ERR_SOCKET
	// ErrSocketTLS: the socket speaks TLS, which the engine cannot; use a pull stream instead.
	ErrSocketTLS Error = C.FANFARE_ERR_SOCKET_TLS
	// ErrSocketRead: the client has sent bytes behind the request, or a body that was not read; read
	// the request whole before handing the socket over.
	ErrSocketRead Error = C.FANFARE_ERR_SOCKET_READ
	// ErrSocketUnsent: bytes that the host has written are not sent yet; write nothing before handing
	// the socket over.
	ErrSocketUnsent Error = C.FANFARE_ERR_SOCKET_UNSENT
	// ErrRequest: the request is none that a stream can answer, by its method, query, header or
	// version; answer the client in another way.
	ErrRequest Error = C.FANFARE_ERR_REQUEST
	// ErrGrant: a grant or refusal is beyond its bounds, or a stream wants what is not granted; the error
	// is an OptionError.
	ErrGrant Error = C.FANFARE_ERR_GRANT
	// ErrKey: a key cannot be read, is too weak, or is of no algorithm that is taken; give another.
	ErrKey Error = C.FANFARE_ERR_KEY
	// ErrEnded: the stream has ended and nothing more will come; free it.
	ErrEnded Error = C.FANFARE_ERR_ENDED
	// ErrLogger: the program has set a logger of its own; take the library's records from that.
	ErrLogger Error = C.FANFARE_ERR_LOGGER
	// ErrToken: the token or ticket is not valid, or no longer; answer its client 401.
	ErrToken Error = C.FANFARE_ERR_TOKEN
	// ErrJournal: the journal in the option data_dir cannot be opened or written; the log says why, mend
	// that and try again.
	ErrJournal Error = C.FANFARE_ERR_JOURNAL
	// ErrCluster: the server of the cluster in the option cluster_url does not serve, or passes no question
	// on, or the hub is in no cluster, or the library has none; the log says why, mend that and try again.
	ErrCluster Error = C.FANFARE_ERR_CLUSTER
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
	if field == "headers" {
		return "Header" // as of net/http
	}
	var name strings.Builder
	for _, word := range strings.Split(strings.TrimSuffix(strings.TrimSuffix(field, "_ms"), "_unix"), "_") {
		switch word {
		case "":
		case "id", "cors", "url", "ca":
			name.WriteString(strings.ToUpper(word))
		default:
			name.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return name.String()
}
