package fanfare

// #include <fanfare.h>
import "C"

import "time"

// Options is how a hub behaves and where its bounds are. Zero is the default of each field, and a
// negative value stands for zero itself, where zero means something else than the default: so -1
// turns Heartbeat off. Times are in whole milliseconds; a fraction is rounded up.
type Options struct {
	// Shards is the number of threads that each own a share of the connections, 1 to 256.
	// Default: the cores.
	Shards int
	// Heartbeat is how long a connection may be silent before it gets a heartbeat, 100 ms to 1 day;
	// negative turns heartbeats off. Default: 15 s.
	Heartbeat time.Duration
	// Retry is the reconnection time that clients are told, each one drawn from this to twice
	// this; at most 1 day, negative tells nothing. Default: 2 s.
	Retry time.Duration
	// EventBytesMax is the most bytes in one event, at most 64 MiB. Default: 1 MiB.
	EventBytesMax int64
	// BatchBytesMax is the most bytes that are gathered into one batch, 1 byte to 16 MiB.
	// Default: 40 KiB.
	BatchBytesMax int64
	// TopicBacklogBytesMax: a topic is full when so many bytes of it wait to be sent.
	// Default: 40 KiB.
	TopicBacklogBytesMax int64
	// BacklogBytesMax: the hub is full when so many bytes wait to be sent.
	// Default: 64 MiB.
	BacklogBytesMax int64
	// LagBytesMax is the most bytes that a connection may lag before it is disconnected, or
	// what the policy does that its query names. Default: 1 MiB.
	LagBytesMax int64
	// LagAgeMax is the longest time that a connection may lag. Default: 30 s.
	LagAgeMax time.Duration
	// LagGrace is how long a connection that lags too far is waited for when the publisher is
	// faster than the network, at most LagAgeMax. Default: 1 s.
	LagGrace time.Duration
	// LagTotalBytesMax is the most bytes kept for all connections that lag. Default: 256 MiB.
	LagTotalBytesMax int64
	// ConnectionsMax is the most connections. Default: 100,000.
	ConnectionsMax int
	// ConnectionsPerAddressMax is the most connections from one address. Default: no bound.
	ConnectionsPerAddressMax int
	// LagGracePercent is the share of the time for which connections that lag too far are waited
	// for, in percent, 1 to 100; beyond it they are disconnected. At 100 all are waited for, however
	// long that is: for a hub whose clients are trusted. Negative is out of bounds. Default: 5.
	LagGracePercent int
	// AnyHost: true has listeners on a loopback address serve requests whatever Host they name,
	// false only those that name an IP address, localhost or a name below it; others get 421. For
	// listeners behind a proxy on the same machine that passes on its clients' Host. It gives up
	// what keeps a web page, whose own name is made to point to 127.0.0.1 (DNS rebinding), from
	// reading streams through a browser on this machine. On other addresses any Host is served.
	// Default: false.
	AnyHost bool
}

// fill changes what differs from the defaults, which given holds.
func (o *Options) fill(given *C.fanfare_options) {
	number(&given.shards, int64(o.Shards))
	duration(&given.heartbeat_ms, o.Heartbeat)
	duration(&given.retry_ms, o.Retry)
	number(&given.event_bytes_max, o.EventBytesMax)
	number(&given.batch_bytes_max, o.BatchBytesMax)
	number(&given.topic_backlog_bytes_max, o.TopicBacklogBytesMax)
	number(&given.backlog_bytes_max, o.BacklogBytesMax)
	number(&given.lag_bytes_max, o.LagBytesMax)
	duration(&given.lag_age_max_ms, o.LagAgeMax)
	duration(&given.lag_grace_ms, o.LagGrace)
	number(&given.lag_total_bytes_max, o.LagTotalBytesMax)
	number(&given.connections_max, int64(o.ConnectionsMax))
	number(&given.connections_per_address_max, int64(o.ConnectionsPerAddressMax))
	// Zero is the default here as it is there, so that a negative number stands for nothing.
	given.lag_grace_percent = C.uint64_t(o.LagGracePercent)
	if o.AnyHost {
		given.any_host = 1
	}
}

func number(option *C.uint64_t, n int64) {
	if n != 0 {
		*option = C.uint64_t(max(n, 0))
	}
}

func duration(option *C.uint64_t, d time.Duration) {
	if d != 0 {
		*option = C.uint64_t(wholeMS(d))
	}
}
