package fanfare

// #include "native.h"
import "C"

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
)

// Fallback is where a listener's connections go whose requests are for paths without streams: a
// [net.Listener], for a server of the program's own on the same port.
//
//	fallback, err := fanfare.NewFallback(0)
//	listener, err := hub.Listen("127.0.0.1:8080", &fanfare.ListenOptions{Fallback: fallback})
//	err = http.Serve(fallback, mux)
//
// A client that asks for events later on such a connection is answered by that server: with
// [Hub.Handler], or by [Listener.Admit].
type Fallback struct {
	taking *taking
}

// taking takes connections out of the queue. It has no pointer to the Fallback, so that one which is
// lost ends.
type taking struct {
	bell   *bell
	mu     sync.RWMutex // for reading by what uses native, for writing to free it
	native *C.fanfare_fallback
	conns  chan net.Conn
	done   chan struct{}
	once   sync.Once
}

// NewFallback makes a fallback, at which as many connections may wait to be accepted: 1 to 65,536, or 0
// for 1,024. Requests beyond them are answered 503. The error is [ErrOptions] or [ErrSystem].
func NewFallback(capacity int) (*Fallback, error) {
	if capacity == 0 {
		capacity = 1024
	}
	bell, err := newBell()
	if err != nil {
		return nil, err
	}
	t := &taking{bell: bell, conns: make(chan net.Conn), done: make(chan struct{})}
	if err := failure(C.fanfare_fallback_new(bell.native, 1, C.size_t(max(capacity, 0)), &t.native)); err != nil {
		bell.free()
		return nil, err
	}
	f := &Fallback{t}
	runtime.AddCleanup(f, func(t *taking) { t.close() }, t)
	go t.run()
	return f, nil
}

// Accept waits for the next connection. The error is [net.ErrClosed] when the fallback is closed.
func (f *Fallback) Accept() (net.Conn, error) {
	defer runtime.KeepAlive(f)
	select {
	case <-f.taking.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case conn := <-f.taking.conns:
		return conn, nil
	case <-f.taking.done:
		return nil, net.ErrClosed
	}
}

// Close closes the connections that wait to be accepted; requests that come afterwards are answered
// 503. The error is always nil.
func (f *Fallback) Close() error {
	f.taking.close()
	runtime.KeepAlive(f)
	return nil
}

// Addr is a name: a fallback has as many addresses as listeners have it.
func (f *Fallback) Addr() net.Addr { return fallbackAddr{} }

type fallbackAddr struct{}

func (fallbackAddr) Network() string { return "fanfare" }
func (fallbackAddr) String() string  { return "fallback" }

func (t *taking) close() {
	t.once.Do(func() {
		close(t.done)
		t.bell.ring()
	})
}

// run takes a connection out of the queue when that before is accepted: the others wait there, where they
// are bounded.
func (t *taking) run() {
	for t.bell.wait() {
		for t.next() {
		}
	}
	t.mu.Lock()
	C.fanfare_fallback_free(t.native)
	t.native = nil
	t.mu.Unlock()
	t.bell.free()
}

func (t *taking) next() bool {
	var taken net.Conn
	count := t.bell.drain(1, func(notice *C.fanfare_notice) {
		if notice.kind != C.FANFARE_NOTICE_UNHANDLED || notice.request == nil {
			return
		}
		read := append([]byte(nil), goBytes(notice.request.content)...)
		from := origin{goText(notice.addr), goText(notice.peer), notice.is_proxy != 0}
		if conn, err := t.take(notice.id, read, from); err == nil {
			taken = conn
		}
	})
	if taken != nil {
		select {
		case t.conns <- taken:
		case <-t.done:
			taken.Close()
			return false // those that wait are closed with the queue
		}
	}
	return count > 0
}

func (t *taking) take(id C.uint64_t, read []byte, from origin) (net.Conn, error) {
	var fd C.int
	if err := failure(C.fanfare_fallback_take(t.native, id, &fd)); err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "fanfare-fallback")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, errors.Join(ErrSystem, err)
	}
	return &readConn{Conn: conn, from: from, read: bytes.NewReader(read)}, nil
}

// origin is what a listener knows of who sends a connection.
type origin struct {
	addr, peer string
	isProxy    bool
}

// with is a request to admit the connection, where that says nothing else.
func (o origin) with(request AdmitRequest) AdmitRequest {
	if request.Addr == "" && request.Peer == "" && !request.IsProxy {
		request.Addr, request.Peer, request.IsProxy = o.addr, o.peer, o.isProxy
	}
	return request
}

// readConn is a connection of which something was read before.
type readConn struct {
	net.Conn
	from origin
	read *bytes.Reader
}

// RemoteAddr is where the connection is from, also behind a proxy that speaks the PROXY protocol.
func (c *readConn) RemoteAddr() net.Addr {
	if peer, err := netip.ParseAddrPort(c.from.peer); err == nil {
		return net.TCPAddrFromAddrPort(peer)
	}
	return c.Conn.RemoteAddr()
}

// rest is what was read before and is not taken yet; it stays to be read.
func (c *readConn) rest() []byte {
	rest := make([]byte, c.read.Len())
	_, _ = c.read.ReadAt(rest, c.read.Size()-int64(len(rest)))
	return rest
}

func (c *readConn) Read(into []byte) (int, error) {
	if c.read.Len() > 0 {
		return c.read.Read(into)
	}
	return c.Conn.Read(into)
}

// WriteTo copies without a buffer of the caller's.
func (c *readConn) WriteTo(to io.Writer) (int64, error) {
	before, err := c.read.WriteTo(to)
	if err != nil {
		return before, err
	}
	after, err := io.Copy(to, c.Conn)
	return before + after, err
}

// under is the connection itself, once nothing that was read before is left.
func (c *readConn) under() net.Conn {
	if c.read.Len() > 0 {
		return c
	}
	return c.Conn
}
