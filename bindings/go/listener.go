package fanfare

// #include "native.h"
import "C"

import (
	"net"
	"runtime"
	"syscall"
	"unsafe"
)

// Listener is where a hub accepts clients, until it or the hub is closed.
type Listener struct {
	hub     *Hub
	native  C.fanfare_listener
	port    int
	address string
}

// Port is the port, which the system has chosen if it was 0; 0 for a Unix domain socket.
func (l *Listener) Port() int { return l.port }

// Address is where it listens, as [Hub.Listen] takes it: 127.0.0.1:4711, unix:/run/app.sock.
func (l *Listener) Address() string { return l.address }

// String is the address.
func (l *Listener) String() string { return l.address }

// Close accepts no more clients, and frees the address. Streams that are open stay open. Closing again
// does nothing. The error is [ErrForked] or nil.
func (l *Listener) Close() error {
	err := failure(C.fanfare_listener_close(l.hub.pointer(), l.native))
	runtime.KeepAlive(l.hub)
	l.hub.parts.drop(l.native.id)
	if err == ErrStale || err == ErrClosed {
		return nil
	}
	return err
}

// AdmitRequest is what is known of a connection that [Listener.Admit] gives to a listener. The zero value
// is right for one of which nothing was read.
type AdmitRequest struct {
	// Read is what was read of it and not answered: the beginning of a request, or all of one; at most
	// 4 MiB.
	Read []byte
	// Addr is the client's address and port. Default: the socket's peer, or for a connection of a
	// [Fallback] what its listener knows of it.
	Addr string
	// Peer is where the connection is from, if that is another address: a proxy that is one of
	// ListenOptions.TrustedProxies, whose header field says anew with each request who the client is.
	// Default: Addr, or for a connection of a [Fallback] what its listener knows of it.
	Peer string
	// IsProxy is whether the connection is from a proxy that speaks for clients which it does not name:
	// no bound per address holds for it.
	IsProxy bool
}

// Admit serves a connection that the program has accepted as if the listener had accepted it: the
// listener reads the request, asks its authorizer, and answers. Never blocks. The connection is closed
// when this returns without an error, and the engine goes on with a duplicate of its descriptor; with an
// error it is the caller's still.
//
// The connection is a *[net.TCPConn] or a *[net.UnixConn], or has a SyscallConn of such a socket, or is
// one of a [Fallback]; and nothing has been read of it beyond request.Read. The error is [ErrStale] when
// the listener is closed, [ErrSocket] when it is no such connection, [ErrTooLarge] for more than 4 MiB,
// [ErrAddress], [ErrBusy], [ErrClosed], [ErrForked] or [ErrSystem].
func (l *Listener) Admit(conn net.Conn, request AdmitRequest) error {
	taken, isTaken := conn.(*readConn)
	socket, ok := conn.(syscall.Conn)
	if isTaken {
		request = taken.from.with(request)
		request.Read = append(request.Read[:len(request.Read):len(request.Read)], taken.rest()...)
		socket, ok = taken.Conn.(syscall.Conn)
	}
	if !ok {
		return ErrSocket
	}
	fd, err := duplicate(socket)
	if err != nil {
		return err
	}
	var memory memory
	defer memory.release()
	given := C.fanfare_admit_request{size: C.sizeof_fanfare_admit_request}
	given.read = memory.text(string(request.Read))
	given.addr, given.peer = memory.field(request.Addr), memory.field(request.Peer)
	given.is_proxy = flag(request.IsProxy)
	status := C.fanfare_listener_admit(l.hub.pointer(), l.native, fd, &given)
	runtime.KeepAlive(l.hub)
	if err := failure(unlessTaken(fd, status)); err != nil {
		return err
	}
	conn.Close()
	return nil
}

// HasStreamsAt tells whether it has streams at a path, percent-encoded and without a query. Requests
// for such a path, with any method, are for [Listener.Admit]. The error is [ErrStale] when the listener
// is closed, or [ErrForked].
func (l *Listener) HasStreamsAt(path string) (bool, error) {
	var memory memory
	defer memory.release()
	var has C.uint32_t
	err := failure(C.fanfare_listener_has_streams_at(l.hub.pointer(), l.native, memory.text(path), &has))
	runtime.KeepAlive(l.hub)
	return has != 0, err
}

// IsNamed tells whether a request with this Host is for it, as ListenOptions.Hosts says. The error is as
// of [Listener.HasStreamsAt].
func (l *Listener) IsNamed(host string) (bool, error) {
	var memory memory
	defer memory.release()
	var is C.uint32_t
	err := failure(C.fanfare_listener_is_named(l.hub.pointer(), l.native, memory.text(host), &is))
	runtime.KeepAlive(l.hub)
	return is != 0, err
}

func (l *Listener) read() string {
	var buffer [512]byte
	var length C.size_t
	status := C.fanfare_listener_address(l.hub.pointer(), l.native, (*C.char)(unsafe.Pointer(&buffer)),
		C.size_t(len(buffer)), &length)
	runtime.KeepAlive(l.hub)
	if status != C.FANFARE_OK { // the hub was closed meanwhile
		return "closed"
	}
	return string(buffer[:length])
}
