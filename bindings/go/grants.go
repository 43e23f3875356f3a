package fanfare

// #include "native.h"
import "C"

import (
	"fmt"
	"net/http"
	"time"
)

// Grant is what a client may do whose request for a stream is authorized. A request that names topics
// beyond it is answered 403; one that names none is subscribed to all of Topics.
type Grant struct {
	// Topics has the topics and filters that the stream may be subscribed to, at most 1,024.
	Topics []string
	// AnyTopics is whether the request may name any topics and filters.
	AnyTopics bool
	// Header has header fields of the stream's answer, at most 32 and 4 KiB.
	Header http.Header
	// Tag is the label by which the connection is found again, 1 to 256 bytes without control
	// characters; by default the request's own.
	Tag string
	// ExpiresAt is when the stream ends. Default: never.
	ExpiresAt time.Time
	// Policy is what happens when the client reads too slowly, whatever its request says.
	Policy Policy
	// Start is where the stream begins of a client without an id, or whose id is gone, whatever its
	// request says.
	Start Start
}

func (g *Grant) native(memory *memory) C.fanfare_grant {
	made := C.fanfare_grant{size: C.sizeof_fanfare_grant}
	made.topics, made.topics_count = memory.texts(g.Topics)
	made.headers, made.headers_count = memory.headers(g.Header)
	made.tag = memory.field(g.Tag)
	made.expires_at_unix_ms = unixMS(g.ExpiresAt)
	made.any_topics = flag(g.AnyTopics)
	made.policy = C.fanfare_policy(g.Policy)
	made.start, made.start_last = C.fanfare_start(g.Start.kind), C.uint32_t(g.Start.last)
	return made
}

func grantProblem(made *C.fanfare_grant) error {
	return optionProblem(ErrGrant, func(name, bounds *C.fanfare_text) C.fanfare_status {
		return C.fanfare_grant_problem(made, name, bounds)
	})
}

// goGrant is the grant of a token or a ticket.
func goGrant(read *C.fanfare_grant) Grant {
	return Grant{
		Topics:    goTexts(read.topics, read.topics_count),
		AnyTopics: read.any_topics != 0,
		Tag:       goText(read.tag),
		ExpiresAt: fromUnixMS(read.expires_at_unix_ms),
		Policy:    Policy(read.policy),
		Start:     Start{uint32(read.start), uint32(read.start_last)},
	}
}

// Refusal is what a client is told that gets no stream. It is an error, which an authorizer or the
// function of a [Hub.Handler] returns.
type Refusal struct {
	// Status is 204, which an EventSource takes for the end of the stream, or 300 to 599.
	Status int
	// Text is the content: plain text of at most 4 KiB; a 204 has none.
	Text string
	// Header has header fields of the answer, such as WWW-Authenticate, at most 32 and 4 KiB.
	Header http.Header
}

// Error is the status and its text.
func (r *Refusal) Error() string {
	return fmt.Sprintf("fanfare: the client is refused: %d %s", r.Status, http.StatusText(r.Status))
}

func (r *Refusal) native(memory *memory) C.fanfare_refusal {
	made := C.fanfare_refusal{size: C.sizeof_fanfare_refusal, status: C.uint32_t(max(r.Status, 0))}
	made.headers, made.headers_count = memory.headers(r.Header)
	made.text = memory.field(r.Text)
	return made
}

func refusalProblem(made *C.fanfare_refusal) error {
	return optionProblem(ErrGrant, func(name, bounds *C.fanfare_text) C.fanfare_status {
		return C.fanfare_refusal_problem(made, name, bounds)
	})
}
