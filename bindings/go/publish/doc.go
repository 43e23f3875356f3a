// Package publish publishes events to a `fanfare serve` elsewhere, over HTTP or a Unix domain
// socket. It needs neither cgo nor a C compiler nor any other module.
//
//   - [New] makes a [Client] for a server's URL.
//   - [Client.Publish] publishes one [Event], waits for the answer and returns the event's id.
//   - [Client.Publisher] makes a [Publisher], which gathers events in a bounded queue and sends many
//     with each request.
//
// # When an answer is lost
//
// A request that did not reach the server, or that the server has refused, published nothing of what
// is left of it, and is tried again after a pause if that may help. But when a connection breaks
// after a request was sent, and when an answer does not come in time, nobody can say whether the
// server has published the events: it knows no event twice, and publishes a repeated one as a new
// one. [Options.Repeat] says what is done then:
//
//   - [RepeatWithID], the default, sends again those events that have an [Event.ID], by which a
//     subscriber can tell that it has got the same event twice. Other events are not repeated: they
//     are reported with [ErrUnknown], and each was delivered once or not at all.
//   - [RepeatAlways] sends all of them again: each is delivered once or several times, and none is
//     lost as long as the server comes back.
//   - [RepeatNever] sends none again.
//
// To finish a topic is repeated under [RepeatWithID] and [RepeatAlways]: a topic ends once.
//
// A server that is a node of a cluster and whose cluster's server does not answer in time says so
// ([ErrUnanswered]). That counts as a lost answer too, but of one event alone: those before it are published, and
// those behind it are sent again.
//
// A proxy that answers 500, 502 or 504, or 503 in other words than fanfare's, may have handed the
// request on before. Such an answer counts as a lost one. One of 429 does not.
package publish
