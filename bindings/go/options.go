package fanfare

// #include "native.h"
import "C"

import (
	"log/slog"
	"reflect"
	"time"
)

// Options is how a hub behaves and where its bounds are. Zero is the default of each field, and a
// negative value stands for zero itself, where zero means something else than the default: so -1
// turns Heartbeat off. Times are in whole milliseconds; a fraction is rounded up.
type Options struct {
	// Shards: threads that each own a share of the connections.
	// Bounds: 1 to 256. Default: one for each core.
	Shards int
	// Heartbeat: how long a connection may be silent before it gets a heartbeat; negative turns
	// heartbeats off.
	// Bounds: 0, or 100 ms to 1 day. Default: 15 s.
	Heartbeat time.Duration
	// Retry: the reconnection time that a client is told when it connects, drawn for each from
	// this to twice this; negative tells nothing.
	// Bounds: at most 1 day. Default: 2 s.
	Retry time.Duration
	// EventBytesMax: the most bytes of data in one event.
	// Bounds: at most 64 MiB. Default: 1 MiB.
	EventBytesMax int64
	// BatchBytesMax: the most bytes that are gathered into one batch.
	// Bounds: 1 byte to 16 MiB. Default: 40 KiB.
	BatchBytesMax int64
	// TopicBacklogBytesMax: a topic is full when this many bytes of its events wait to be sent.
	// Bounds: at least 1 byte. Default: 40 KiB.
	TopicBacklogBytesMax int64
	// BacklogBytesMax: the hub is full when this many bytes over all topics wait to be sent.
	// Bounds: at least 1 byte. Default: 64 MiB.
	BacklogBytesMax int64
	// HistoryEventsMax: the most events of a topic that are kept for clients that come back;
	// negative keeps none.
	// Bounds: any. Default: 1,000.
	HistoryEventsMax int
	// HistoryBytesMax: the most bytes of a topic's events that are kept.
	// Bounds: any. Default: 1 MiB.
	HistoryBytesMax int64
	// HistoryAgeMax: how long an event is kept.
	// Bounds: at most 7 days. Default: 5 min.
	HistoryAgeMax time.Duration
	// HistoryTotalBytesMax: the most bytes of events that are kept over all topics.
	// Bounds: any. Default: 64 MiB.
	HistoryTotalBytesMax int64
	// LagBytesMax: the most bytes that a connection may lag before its policy is applied, which is
	// to disconnect unless its query names another one.
	// Bounds: any. Default: 1 MiB.
	LagBytesMax int64
	// LagAgeMax: the longest time that a connection may lag.
	// Bounds: at least LagGrace. Default: 30 s.
	LagAgeMax time.Duration
	// LagGrace: how long a connection that lags too far is waited for when the publisher is faster
	// than the network; negative waits for none.
	// Bounds: at most LagAgeMax. Default: 1 s.
	LagGrace time.Duration
	// LagGracePercent: the share of the time for which such connections are waited for, in
	// percent; beyond it they are disconnected. At 100 all are waited for, however long that is:
	// for a hub whose clients are trusted.
	// Bounds: 0 to 100. Default: 5.
	LagGracePercent int
	// LagTotalBytesMax: the most bytes that are kept for all connections that lag.
	// Bounds: at least 1 byte. Default: 256 MiB.
	LagTotalBytesMax int64
	// StallTimeMax: how long a connection's socket may take nothing while there is something to
	// send to it, before the connection is disconnected; negative for no bound.
	// Bounds: 0, or 100 ms to 1 day. Default: 30 s.
	StallTimeMax time.Duration
	// ConnectionsMax: the most connections.
	// Bounds: 1 to 10,000,000. Default: 100,000.
	ConnectionsMax int
	// ConnectionsPerAddressMax: the most connections from one address (from one /64 network in
	// IPv6); negative for no bound.
	// Bounds: any. Default: 0.
	ConnectionsPerAddressMax int
	// SubscriptionsMax: the most topics and filters that all connections may ask for together.
	// Bounds: 1 to 100,000,000. Default: 1,000,000.
	SubscriptionsMax int
	// SubscriptionsPerAddressMax: the same for the connections from one address; negative for no
	// bound.
	// Bounds: any. Default: 0.
	SubscriptionsPerAddressMax int
	// ConnectionAgeMax: how old a connection may get before it is closed, to come back; negative
	// for any age.
	// Bounds: 0, or 1 s to 30 days. Default: 0.
	ConnectionAgeMax time.Duration
	// FinishedAgeMax: how long a topic that was finished is known: nothing can be published to it,
	// and a client that comes late is sent what is kept, and the end. Then its name is free.
	// Negative for no time.
	// Bounds: at most 7 days. Default: 5 min.
	FinishedAgeMax time.Duration
	// AnyHost: true, listeners on a loopback address serve requests whatever Host they name.
	// False, only those that name an IP address, localhost or a name below it; others get 421. For
	// listeners behind a proxy on the same machine that passes on its clients' Host. It gives up
	// what keeps a web page, whose own name is made to point to 127.0.0.1 (DNS rebinding), from
	// reading streams through a browser on this machine. On other addresses any Host is served.
	// Bounds: true or false. Default: false.
	AnyHost bool
	// HeartbeatForm: what a connection is sent when it has been silent for Heartbeat, and what its
	// stream begins with, unless its query names another form.
	// Bounds: id, comment or event. Default: id.
	HeartbeatForm HeartbeatForm
	// Policy: what happens to a connection that lags by more than LagBytesMax or LagAgeMax, unless
	// its query or a rule names another policy.
	// Bounds: disconnect, drop-oldest or conflate. Default: disconnect.
	Policy Policy
	// GapEvent: the name of the event by which a client is told that events are missing from its
	// stream; no event of this name can be published.
	// Bounds: 1 to 256 bytes without CR, LF or NUL, and none of message, open, error and
	// fanfare-heartbeat. Default: fanfare-gap.
	GapEvent string

	// DataDir: a folder in which the hub keeps what it keeps in memory as well, so that a hub which is
	// started with it later has the same events, finished topics and rules, and clients come back with the
	// ids that they had. It is made if it is missing, and belongs to one hub at a time.
	// Bounds: a folder that can be written, or that can be made. Default: none.
	DataDir string
	// Durability: what is promised of events that were accepted, if there is a DataDir; [Hub.Flush] waits
	// until it holds. Bounds: os, interval or always. Default: interval.
	Durability Durability
	// SyncInterval: how long an event may be with the operating system alone before the disk is told to
	// take it, if the durability is interval. Bounds: 1 ms to 1 min. Default: 50 ms.
	SyncInterval time.Duration
	// JournalBacklogBytesMax: a publisher finds the hub full when this many bytes wait to be written into
	// the DataDir. Bounds: at least 1 byte. Default: 16 MiB.
	JournalBacklogBytesMax int64

	// ClusterURL: where the Redis or Valkey server of a cluster is, version 6.2 or later. Hubs that have the
	// same server and the same ClusterPrefix have one order of events, and what is published at one of them
	// reaches the clients of all. redis://[[user]:password@]host[:port][/db], redis+unix:///path, or by
	// Sentinels redis+sentinel://[[user]:password@]host[:port][,host[:port]]/service[/db]; the library has no
	// TLS to it. [New] waits for at most 10 s for the server. Not together with DataDir.
	// Bounds: such a URL, of at most 4,096 bytes. Default: none.
	ClusterURL string
	// ClusterPrefix: what the names of all keys begin with, in braces, on the cluster's server.
	// Bounds: 1 to 128 letters, digits and -_.:. Default: fanfare.
	ClusterPrefix string
	// ClusterCAFile: a file with the certificates, in PEM, of those who may vouch for the server's
	// certificate, for a library with TLS. Bounds: the path of a file. Default: none.
	ClusterCAFile string
	// ClusterStreamEventsMax: how many events the cluster's stream keeps at least, for hubs that come late.
	// Bounds: 1,000 to 1,000,000,000. Default: 1,000,000.
	ClusterStreamEventsMax int64
	// ClusterStreamBytesMax: after how many bytes the cluster's stream is cut all the same, without what the
	// server adds. Bounds: at least 1 MiB. Default: 1 GiB.
	ClusterStreamBytesMax int64
	// ClusterBacklogBytesMax: a publisher finds the hub full when this many bytes of its events are on their
	// way through the cluster's server. Bounds: at least 64 KiB. Default: 16 MiB.
	ClusterBacklogBytesMax int64
	// Logger is told what this package does by itself and cannot return: a function that fails or
	// panics, a client that is refused for a fault of the program's. nil is slog.Default().
	//
	// It gets the engine's records too, from the least level on that it has enabled when the hub is made,
	// down to LevelTrace; where it is nil, errors alone. They are those of all hubs of the process, of which
	// none names its hub, and each logger gets them once, however many hubs have it. Their attributes are
	// target, the part of the engine, and cut, where the message was too long. One goroutine calls the
	// handlers, and no thread of the engine waits for it: at most 1,000 records wait, and a warning says how
	// many were lost.
	Logger *slog.Logger
}

// Policy is what happens to a connection that lags too far. The zero value leaves it to what decides
// otherwise.
type Policy uint32

// The policies.
const (
	// PolicyDisconnect: it is disconnected; its client comes back, and is sent what it has missed.
	PolicyDisconnect Policy = C.FANFARE_POLICY_DISCONNECT
	// PolicyDropOldest: it misses the oldest events that wait for it, and is told of the gap.
	PolicyDropOldest Policy = C.FANFARE_POLICY_DROP_OLDEST
	// PolicyConflate: of the events that wait for it, it is sent the newest of each key.
	PolicyConflate Policy = C.FANFARE_POLICY_CONFLATE
)

// Durability is what is promised of events that a hub with [Options.DataDir] has accepted. The zero value
// is the default.
type Durability uint32

// The promises.
const (
	// DurabilityOS: events survive the process, but not a machine that loses its power.
	DurabilityOS Durability = C.FANFARE_DURABILITY_OS
	// DurabilityInterval: the same; and the disk has each event at most [Options.SyncInterval] later.
	DurabilityInterval Durability = C.FANFARE_DURABILITY_INTERVAL
	// DurabilityAlways: the disk has the event.
	DurabilityAlways Durability = C.FANFARE_DURABILITY_ALWAYS
)

// HeartbeatForm is what a stream is sent when there is nothing else. The zero value is the hub's.
type HeartbeatForm uint32

// The forms of heartbeats.
const (
	// HeartbeatID: an id alone, by which a client that comes back skips more.
	HeartbeatID HeartbeatForm = C.FANFARE_HEARTBEAT_ID
	// HeartbeatComment: a comment.
	HeartbeatComment HeartbeatForm = C.FANFARE_HEARTBEAT_COMMENT
	// HeartbeatEvent: an event named "fanfare-heartbeat", which a page sees.
	HeartbeatEvent HeartbeatForm = C.FANFARE_HEARTBEAT_EVENT
)

// Envelope is what is around an event's data in a stream. The zero value is nothing.
type Envelope uint32

// The envelopes.
const (
	// EnvelopeNone: nothing.
	EnvelopeNone Envelope = C.FANFARE_ENVELOPE_NONE
	// EnvelopeJSON: a JSON object that says the event's topic.
	EnvelopeJSON Envelope = C.FANFARE_ENVELOPE_JSON
)

// Start is where a stream begins. The zero value leaves it to what decides otherwise.
type Start struct {
	kind, last uint32
}

// Where a stream may begin.
var (
	// StartNow: with what is published from now on.
	StartNow = Start{kind: C.FANFARE_START_NOW}
	// StartLatest: with the newest event of each topic that is kept.
	StartLatest = Start{kind: C.FANFARE_START_LATEST}
	// StartEarliest: with all events that are kept.
	StartEarliest = Start{kind: C.FANFARE_START_EARLIEST}
)

// StartLast begins with as many of the newest events.
func StartLast(events uint32) Start {
	return Start{C.FANFARE_START_LAST, events}
}

// fill changes what differs from the defaults, which given holds.
func (o *Options) fill(given *C.fanfare_options, memory *memory) {
	number(&given.shards, int64(o.Shards))
	duration(&given.heartbeat_ms, o.Heartbeat)
	duration(&given.retry_ms, o.Retry)
	number(&given.event_bytes_max, o.EventBytesMax)
	number(&given.batch_bytes_max, o.BatchBytesMax)
	number(&given.topic_backlog_bytes_max, o.TopicBacklogBytesMax)
	number(&given.backlog_bytes_max, o.BacklogBytesMax)
	number(&given.history_events_max, int64(o.HistoryEventsMax))
	number(&given.history_bytes_max, o.HistoryBytesMax)
	duration(&given.history_age_max_ms, o.HistoryAgeMax)
	number(&given.history_total_bytes_max, o.HistoryTotalBytesMax)
	number(&given.lag_bytes_max, o.LagBytesMax)
	duration(&given.lag_age_max_ms, o.LagAgeMax)
	duration(&given.lag_grace_ms, o.LagGrace)
	number(&given.lag_grace_percent, int64(o.LagGracePercent))
	number(&given.lag_total_bytes_max, o.LagTotalBytesMax)
	duration(&given.stall_time_max_ms, o.StallTimeMax)
	number(&given.connections_max, int64(o.ConnectionsMax))
	number(&given.connections_per_address_max, int64(o.ConnectionsPerAddressMax))
	number(&given.subscriptions_max, int64(o.SubscriptionsMax))
	number(&given.subscriptions_per_address_max, int64(o.SubscriptionsPerAddressMax))
	duration(&given.connection_age_max_ms, o.ConnectionAgeMax)
	duration(&given.finished_age_max_ms, o.FinishedAgeMax)
	if o.AnyHost {
		given.any_host = 1
	}
	given.heartbeat_form = C.fanfare_heartbeat(o.HeartbeatForm)
	given.policy = C.fanfare_policy(o.Policy)
	given.gap_event = memory.field(o.GapEvent)
	given.data_dir = memory.field(o.DataDir)
	given.durability = C.fanfare_durability(o.Durability)
	duration(&given.sync_interval_ms, o.SyncInterval)
	number(&given.journal_backlog_bytes_max, o.JournalBacklogBytesMax)
	given.cluster_url = memory.field(o.ClusterURL)
	given.cluster_prefix = memory.field(o.ClusterPrefix)
	given.cluster_ca_file = memory.field(o.ClusterCAFile)
	number(&given.cluster_stream_events_max, o.ClusterStreamEventsMax)
	number(&given.cluster_stream_bytes_max, o.ClusterStreamBytesMax)
	number(&given.cluster_backlog_bytes_max, o.ClusterBacklogBytesMax)
}

// asC has the numbers of the options as they are given to the library, by their names in C; nil are its
// defaults.
// It is for tests, which may not use cgo.
func (o *Options) asC() map[string]uint64 {
	given := C.fanfare_options_defaults()
	var memory memory
	defer memory.release()
	if o != nil {
		o.fill(&given, &memory)
	}
	fields := make(map[string]uint64)
	for i, value := 0, reflect.ValueOf(given); i < value.NumField(); i++ {
		// The others are no numbers.
		if name := value.Type().Field(i).Name; name != "size" && value.Field(i).Kind() == reflect.Uint64 {
			fields[name] = value.Field(i).Uint()
		}
	}
	return fields
}
