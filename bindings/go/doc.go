// Package fanfare embeds the Server-Sent Events fan-out engine fanfare: publish an event once,
// and every client that subscribed to its topic gets it.
//
//   - [New] starts a [Hub].
//   - Clients come by a listener of the engine's own ([Hub.Listen]), or by a server of the program's:
//     [Hub.Handler] is an [net/http.Handler].
//   - [Hub.Publish] publishes an [Event] to a topic, from any goroutine, and never blocks;
//     [Topic.Publish] is faster, and [Hub.PublishBatch] publishes many events with one call.
//   - [Hub.Close] sends what is still to be sent, and ends the streams.
//
// # Options
//
// Options are structs, of which the zero value is the default of everything, as in net/http and
// log/slog: all options of a call stand together in its documentation, a program keeps and copies them
// as data, and a configuration file is decoded into them. Functions that set options would say the same
// with a hundred more names. Where zero itself differs from the default, a negative value stands for it.
// A pointer to options may be nil.
//
// # Goroutines
//
// Everything may be called from any goroutine, several at once, unless its documentation says otherwise,
// and while the hub is closed: such a call gets [ErrClosed]. Threads of the engine never enter Go. A
// client costs no goroutine, unless it is served over TLS or HTTP/2.
//
// # Errors
//
// An error of the library is an [Error], such as [ErrFull], for [errors.Is]. An [OptionError] says which
// option is out of its bounds, and an [EndedError] why a stream has ended; [errors.As] finds them.
//
// # Building
//
// The package uses fanfare's C ABI through cgo. It links the static library of the platform's module,
// which it imports. Build tags choose another one: musl, fanfare_system, fanfare_tree, fanfare_shared;
// the table in docs/installing.md says what each links. With CGO_ENABLED=0 it compiles, and [New]
// returns [ErrNoCgo]. With the tag fanfare_gc, for tests, it collects garbage inside of every call.
package fanfare
