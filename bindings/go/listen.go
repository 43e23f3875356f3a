package fanfare

// #include "native.h"
import "C"

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// Route is a path of a listener with streams of its own. In Path, such as /runs/{id}/events, {name} is
// the place of a value, which goes where a subscription has the same {name}.
type Route struct {
	// Path is the path, at most 1,024 bytes, percent-encoded and without a query.
	Path string
	// Subscriptions is what every stream of this path subscribes to, such as run/{id}. None: what the
	// query names.
	Subscriptions []string
	// Header has header fields of the streams' answers, which replace the listener's of their names.
	Header http.Header
	// Post is whether POST opens a stream as well.
	Post bool
	// QueryTopics is whether a request's query may name topics beside Subscriptions. Default: only if
	// there are none.
	QueryTopics QueryTopics
}

// QueryTopics is whether a request's query may name topics. The zero value is the default.
type QueryTopics uint32

// What a query may name.
const (
	// QueryTopicsNone: it may name no topics; one that does is answered 403.
	QueryTopicsNone QueryTopics = C.FANFARE_QUERY_TOPICS_NONE
	// QueryTopicsAny: it may name topics beside those of the route.
	QueryTopicsAny QueryTopics = C.FANFARE_QUERY_TOPICS_ANY
)

// Overload is what clients are told that are too many. The zero value is the default.
type Overload uint32

// What clients are told.
const (
	// OverloadComeAgain: to come again, with status 200, which an EventSource does. This is the default.
	OverloadComeAgain Overload = C.FANFARE_OVERLOAD_COME_AGAIN
	// OverloadUnavailable: 503.
	OverloadUnavailable Overload = C.FANFARE_OVERLOAD_UNAVAILABLE
)

// ForwardedHeader is the field in which trusted proxies say who their client is. The zero value is the
// default.
type ForwardedHeader uint32

// The fields.
const (
	// XForwardedFor: "X-Forwarded-For: 192.0.2.1, 10.0.0.1". This is the default.
	XForwardedFor ForwardedHeader = C.FANFARE_FORWARDED_X_FORWARDED_FOR
	// Forwarded: "Forwarded: for=192.0.2.1" (RFC 7239).
	Forwarded ForwardedHeader = C.FANFARE_FORWARDED_FORWARDED
)

// ListenOptions is how a listener speaks to its clients, and its bounds. Zero is the default of each
// field, and a negative value stands for zero itself.
type ListenOptions struct {
	// Path: the path of the streams whose topics the query names. Default: /events, unless NoPath.
	Path string
	// NoPath: there is no such path, but there are routes.
	NoPath bool
	// HealthPath: a path whose GET is answered 200 while all shards live and else 503. Default: none.
	HealthPath string
	// Routes: more paths that have streams, at most 256.
	Routes []Route
	// Header: header fields of all streams' answers, at most 32 and 4 KiB in an answer.
	Header http.Header
	// CORSOrigins: the other origins whose pages may read the streams: https://example.com, * or null.
	CORSOrigins []string
	// CORSRequestHeaders: the header fields that a page's fetch may set; empty but not nil for none.
	// Default: Last-Event-ID, Authorization, Cache-Control and Content-Type.
	CORSRequestHeaders []string
	// CORSExposedHeaders: the header fields of an answer that a page may read. Default: none.
	CORSExposedHeaders []string
	// CORSCredentials: pages of the origins may send cookies along; not with * or null.
	CORSCredentials bool
	// CORSMaxAge: how long a browser may remember what it was told of CORS.
	// Bounds: at most 1 day. Default: 10 min.
	CORSMaxAge time.Duration
	// Hosts: the names by which the listener may be addressed, besides IP addresses and localhost; *
	// for any. On a loopback address it is always checked. Default: none, or * if Options.AnyHost.
	Hosts []string
	// ProxyProtocolFrom: the proxies whose connections begin with a header of the PROXY protocol:
	// addresses, networks such as 10.0.0.0/8, and unix; at most 256.
	ProxyProtocolFrom []string
	// TrustedProxies: the proxies that are believed about their clients in the field that
	// ForwardedHeader names, at most 256.
	TrustedProxies []string
	// ForwardedHeader: that field. Default: XForwardedFor.
	ForwardedHeader ForwardedHeader
	// Authorizer: what decides which client gets which stream. nil: every client gets what it asks for.
	Authorizer *Authorizer
	// Fallback: where connections go whose requests are for paths without streams. nil: they are
	// answered 404.
	Fallback *Fallback
	// SocketMode: the permission bits of the file of a Unix domain socket.
	// Bounds: at most 0o777. Default: 0o600.
	SocketMode uint32
	// Overload: what clients are told that are too many. Default: OverloadComeAgain.
	Overload Overload
	// Start: where the stream of a client begins that says no id and no beginning. Default: now.
	Start Start
	// GapStart: where the stream of a client begins whose id is gone. Default: by the gap's reason.
	GapStart Start
	// Policies: which policies a client may choose; empty but not nil for none. Default: those that
	// cost others no more than the hub's.
	Policies []Policy
	// Envelope: what is around an event's data for a client that does not say it. Default: none.
	Envelope Envelope
	// HeadBytesMax: the most bytes of a request's head.
	// Bounds: 64 bytes to 1 MiB. Default: 16 KiB.
	HeadBytesMax int64
	// HeadFieldsMax: the most header fields of a request.
	// Bounds: 8 to 4,096. Default: 128.
	HeadFieldsMax int
	// BodyBytesMax: the most bytes of the content of a POST.
	// Bounds: at most 1 MiB. Default: 64 KiB.
	BodyBytesMax int64
	// HeadTimeMax: the longest time that a client may take for its request's head.
	// Bounds: 1 ms to 1 hour. Default: 10 s.
	HeadTimeMax time.Duration
	// SubscriptionsPerConnectionMax: the most topics and filters that one connection may want.
	// Bounds: 1 to 65,536. Default: 64.
	SubscriptionsPerConnectionMax int
	// WideFiltersMax: the most filters of one connection that begin with a wildcard.
	// Bounds: at most 65,536. Default: 4.
	WideFiltersMax int
	// NotsentLowatBytes: how many bytes may wait in the kernel for a connection; negative leaves it to
	// the system.
	// Bounds: at most 1 GiB. Default: 16 KiB.
	NotsentLowatBytes int64
	// SendBufferBytes: the kernel's send buffer of a connection. Default: the system's.
	// Bounds: 0, or 1 KiB to 1 GiB. Default: 0.
	SendBufferBytes int64
	// Keepalive: for how long nothing may have come from a client before it is probed; negative never
	// probes.
	// Bounds: 0, or 1 s to 9 hours. Default: 15 s.
	Keepalive time.Duration
	// UserTimeout: for how long what was sent may stay without acknowledgement; negative leaves it to
	// the system.
	// Bounds: 0, or 1 s to 1 day, and at least twice Keepalive. Default: 30 s.
	UserTimeout time.Duration
}

func (o *ListenOptions) fill(given *C.fanfare_listen_options, memory *memory) {
	given.path = memory.field(o.Path)
	if o.NoPath {
		given.path = memory.text("")
	}
	given.health_path = memory.field(o.HealthPath)
	if len(o.Routes) > 0 {
		var element C.fanfare_route
		given.routes = (*C.fanfare_route)(memory.take(len(o.Routes) * int(unsafe.Sizeof(element))))
		given.routes_count = C.size_t(len(o.Routes))
		for i, made := range unsafe.Slice(given.routes, len(o.Routes)) {
			o.Routes[i].fill(&made, memory)
			unsafe.Slice(given.routes, len(o.Routes))[i] = made
		}
	}
	given.headers, given.headers_count = memory.headers(o.Header)
	given.cors_origins, given.cors_origins_count = memory.texts(o.CORSOrigins)
	given.cors_request_headers, given.cors_request_headers_count = memory.texts(o.CORSRequestHeaders)
	given.cors_exposed_headers, given.cors_exposed_headers_count = memory.texts(o.CORSExposedHeaders)
	given.hosts, given.hosts_count = memory.texts(o.Hosts)
	given.proxy_protocol_from, given.proxy_protocol_from_count = memory.texts(o.ProxyProtocolFrom)
	given.trusted_proxies, given.trusted_proxies_count = memory.texts(o.TrustedProxies)
	if o.Authorizer != nil {
		given.authorizer = o.Authorizer.native
	}
	if o.Fallback != nil {
		given.fallback = o.Fallback.taking.native
	}
	given.cors_credentials = flag(o.CORSCredentials)
	number(&given.forwarded_header, int64(o.ForwardedHeader))
	number(&given.socket_mode, int64(o.SocketMode))
	number(&given.overload, int64(o.Overload))
	given.start, given.start_last = C.fanfare_start(o.Start.kind), C.uint32_t(o.Start.last)
	given.gap_start, given.gap_start_last = C.fanfare_start(o.GapStart.kind), C.uint32_t(o.GapStart.last)
	if o.Policies != nil {
		given.policies = C.FANFARE_POLICIES_THESE
		for _, policy := range o.Policies {
			given.policies |= 1 << min(policy, 31) // what is none is refused
		}
	}
	given.envelope = C.fanfare_envelope(o.Envelope)
	duration(&given.cors_max_age_ms, o.CORSMaxAge)
	number(&given.head_bytes_max, o.HeadBytesMax)
	number(&given.head_fields_max, int64(o.HeadFieldsMax))
	number(&given.body_bytes_max, o.BodyBytesMax)
	duration(&given.head_time_max_ms, o.HeadTimeMax)
	number(&given.subscriptions_per_connection_max, int64(o.SubscriptionsPerConnectionMax))
	number(&given.wide_filters_max, int64(o.WideFiltersMax))
	number(&given.notsent_lowat_bytes, o.NotsentLowatBytes)
	number(&given.send_buffer_bytes, o.SendBufferBytes)
	duration(&given.keepalive_ms, o.Keepalive)
	duration(&given.user_timeout_ms, o.UserTimeout)
}

func (r *Route) fill(made *C.fanfare_route, memory *memory) {
	made.size = C.sizeof_fanfare_route
	made.path = memory.text(r.Path)
	made.subscriptions, made.subscriptions_count = memory.texts(r.Subscriptions)
	made.headers, made.headers_count = memory.headers(r.Header)
	made.post = flag(r.Post)
	made.query_topics = C.uint32_t(r.QueryTopics)
}

func listenProblem(given *C.fanfare_listen_options) error {
	return optionProblem(ErrOptions, func(name, bounds *C.fanfare_text) C.fanfare_status {
		return C.fanfare_listen_options_problem(given, name, bounds)
	})
}

// Listen accepts clients at an address until the listener or the hub is closed: an IP address and a
// port such as "127.0.0.1:8080" or "[::]:8080", where the system chooses port 0; "unix:/run/app.sock", a
// Unix domain socket; or on Linux "unix:@name", an abstract name. ":8080" is refused. Streams have the
// path /events?topic=NAME, unless the options say otherwise. A hub may have several listeners. nil is
// the default of every option.
//
// The error is [ErrAddress] when the address is not one, is in use or may not be bound, an
// [OptionError], [ErrSystem], [ErrClosed], [ErrBusy] or [ErrForked].
func (h *Hub) Listen(addr string, options *ListenOptions) (*Listener, error) {
	l, err := h.listen(options, func(memory *memory, given *C.fanfare_listen_options, l *Listener, port *C.uint16_t) C.fanfare_status {
		return C.fanfare_hub_listen(h.pointer(), memory.text(addr), given, &l.native, port)
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	return l, nil
}

// ListenOn accepts clients at a socket that listens already: a *[net.TCPListener] or a
// *[net.UnixListener], or anything with a SyscallConn of such a socket. The listener that is passed is
// closed when this returns without an error, and the engine goes on with a duplicate of its descriptor.
//
// On Linux net.Listen makes a socket of Multipath TCP, for whose clients ListenOptions.UserTimeout does
// not hold: the kernel has none for them. A [net.ListenConfig] makes one of TCP.
//
// The error is [ErrAddress] when it is no socket that listens, and as of [Hub.Listen].
func (h *Hub) ListenOn(listener net.Listener, options *ListenOptions) (*Listener, error) {
	socket, ok := listener.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("listen on %v: %w", listener.Addr(), ErrAddress)
	}
	fd, err := duplicate(socket)
	if err != nil {
		return nil, fmt.Errorf("listen on %v: %w", listener.Addr(), err)
	}
	l, err := h.listen(options, func(_ *memory, given *C.fanfare_listen_options, l *Listener, port *C.uint16_t) C.fanfare_status {
		return unlessTaken(fd, C.fanfare_hub_listen_on(h.pointer(), fd, given, &l.native, port))
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %v: %w", listener.Addr(), err)
	}
	if unix, ok := listener.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
	listener.Close()
	return l, nil
}

func (h *Hub) listen(
	options *ListenOptions, function func(*memory, *C.fanfare_listen_options, *Listener, *C.uint16_t) C.fanfare_status,
) (*Listener, error) {
	var memory memory
	defer memory.release()
	if options == nil {
		options = &ListenOptions{}
	}
	if options.Fallback != nil {
		taking := options.Fallback.taking
		taking.mu.RLock()
		defer taking.mu.RUnlock()
		if taking.native == nil {
			return nil, ErrClosed
		}
	}
	given := C.fanfare_listen_options_defaults()
	options.fill(&given, &memory)
	inCall()
	l := &Listener{hub: h}
	var port C.uint16_t
	err := failure(function(&memory, &given, l, &port))
	if err == ErrOptions {
		err = listenProblem(&given)
	}
	runtime.KeepAlive(h)
	runtime.KeepAlive(options)
	if err != nil {
		return nil, err
	}
	l.port = int(port)
	l.address = l.read()
	h.parts.keep(l.native.id, options.Authorizer, options.Fallback)
	return l, nil
}

// duplicate is a descriptor of a socket that is the caller's to close. Getting it as an os.File would
// make the socket blocking, which all duplicates share.
func duplicate(socket syscall.Conn) (C.int, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1, ErrSocket
	}
	fd := C.int(-1)
	if err := raw.Control(func(own uintptr) { fd = C.fanfare_go_duplicate(C.int(own)) }); err != nil {
		return -1, ErrSocket
	}
	if fd < 0 {
		return -1, ErrSystem
	}
	return fd, nil
}

// unlessTaken closes a descriptor that the hub has not taken. After a panic it may be either's.
func unlessTaken(fd C.int, status C.fanfare_status) C.fanfare_status {
	if status != C.FANFARE_OK && status != C.FANFARE_ERR_PANIC {
		C.close(fd)
	}
	return status
}
