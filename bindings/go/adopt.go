package fanfare

// #include "native.h"
import "C"

import (
	"crypto/tls"
	"net"
	"runtime"
	"syscall"
)

// AdoptRequest is a request for a stream that the program's own server has read and authorized, and
// whose connection it hands over.
type AdoptRequest struct {
	// Subscription is what the stream is; its Header is all that the answer has beside the engine's own.
	Subscription
	// Method is GET, or POST whose content was read whole. Default: GET.
	Method string
	// Version is the request's version of HTTP, such as HTTP/1.1 or 1.0. Default: HTTP/1.1.
	Version string
	// ReadAheadBytes is how many bytes behind the request the server has read into a buffer of its own:
	// more than 0 are refused.
	ReadAheadBytes int
	// UnreadContent is whether some of the request's content was not read, which is refused.
	UnreadContent bool
}

// Adopt makes an event stream of a connection that the program's own server has accepted: [Hub.Handler]
// does so for servers on net/http. It is a *[net.TCPConn] or a *[net.UnixConn], or has a SyscallConn of
// such a socket, of plain HTTP/1.1 or HTTP/1.0, with nothing written to it that is not sent and nothing
// that waits to be read. The engine writes the whole answer, its head included. Never blocks.
//
// The connection is closed when this returns without an error, and the engine goes on with a duplicate
// of its descriptor. With an error it is the caller's still, nothing was written to it, and the caller
// answers the request: [ErrSocket], [ErrSocketTLS], [ErrSocketRead], [ErrSocketUnsent]; [ErrRequest] for a
// method, a version or a header field; [ErrBusy]; and as of [Hub.Subscribe].
func (h *Hub) Adopt(conn net.Conn, request AdoptRequest) error {
	if _, encrypted := conn.(*tls.Conn); encrypted {
		return ErrSocketTLS
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return ErrSocket
	}
	fd, err := duplicate(socket)
	if err != nil {
		return err
	}
	var memory memory
	defer memory.release()
	options := (*C.fanfare_stream_options)(memory.take(C.sizeof_fanfare_stream_options))
	*options = C.fanfare_stream_options_defaults()
	request.fill(options, &memory)
	given := C.fanfare_adopt_request{size: C.sizeof_fanfare_adopt_request, options: options}
	given.topics, given.topics_count = memory.texts(request.Topics)
	given.headers, given.headers_count = memory.headers(request.Header)
	given.method = memory.field(request.Method)
	given.version = memory.field(request.Version)
	given.read_ahead_bytes = C.uint64_t(max(request.ReadAheadBytes, 0))
	given.has_unread_content = flag(request.UnreadContent)
	status := C.fanfare_hub_adopt(h.pointer(), fd, &given)
	runtime.KeepAlive(h)
	err = failure(unlessTaken(fd, status))
	if err == ErrOptions {
		return streamProblem(options)
	} else if err != nil {
		return err
	}
	conn.Close()
	return nil
}
