package fanfare

// #include "native.h"
import "C"

import (
	"runtime"
	"time"
)

// ConnectionState is how a connection is doing.
type ConnectionState int32

// The states.
const (
	// ConnectionLive: it takes what it is sent.
	ConnectionLive ConnectionState = C.FANFARE_CONNECTION_LIVE
	// ConnectionLagging: its socket did not take all there was for it.
	ConnectionLagging ConnectionState = C.FANFARE_CONNECTION_LAGGING
	// ConnectionReplaying: it is sent what it has missed.
	ConnectionReplaying ConnectionState = C.FANFARE_CONNECTION_REPLAYING
)

// String is the state's short name, such as "lagging".
func (s ConnectionState) String() string {
	return goText(C.fanfare_connection_state_name(C.fanfare_connection_state(s)))
}

// Connection is a connection, as it was at one moment.
type Connection struct {
	// ID is its id.
	ID ConnectionID
	// Subscriptions is what it is subscribed to, each once, in no order.
	Subscriptions []string
	// Addr is the client's address and port; empty at a Unix domain socket.
	Addr string
	// Tag is what the client calls itself: a label that any client can claim.
	Tag string
	// Since is since when it is an event stream.
	Since time.Time
	// Events is the number of events that its socket took whole.
	Events uint64
	// Bytes is those of events that its socket took, without what HTTP adds.
	Bytes uint64
	// LagEvents is the number of events that it has yet to be sent, with the one that was begun.
	LagEvents uint64
	// LagBytes is their bytes that it has yet to be sent.
	LagBytes uint64
	// LagAge is how long ago the oldest event was published that it has not taken whole.
	LagAge time.Duration
	// State is how it is doing.
	State ConnectionState
	// Policy is what happens to it when it lags too far.
	Policy Policy
	// Node is the name of its node, whose hub alone knows the ID, in a list of [Hub.ClusterConnections]; empty
	// in other lists.
	Node string
}

// ConnectionFilter is which connections are listed. The zero value lists any 1,000.
type ConnectionFilter struct {
	// Subscription: only those with this topic or filter, by its name.
	Subscription string
	// Tag: only those with this tag.
	Tag string
	// Lagging: only those that lag or replay.
	Lagging bool
	// SlowestFirst: those that lag most, and these first; else any, in no order.
	SlowestFirst bool
	// Limit: the most that are listed; negative lists none.
	// Bounds: at most 1,000,000. Default: 1,000.
	Limit int
}

func (f *ConnectionFilter) check() error {
	if f.Limit > 1_000_000 {
		return &OptionError{"Limit", "at most 1,000,000", ErrOptions}
	}
	return nil
}

func (f *ConnectionFilter) native(memory *memory) C.fanfare_connection_filter {
	given := C.fanfare_connection_filter_of_all()
	given.subscription = memory.field(f.Subscription)
	given.tag = memory.field(f.Tag)
	given.limit = C.uint64_t(max(f.Limit, 0)) // 0 is the library's default
	if f.Limit < 0 {
		given.limit = 1 // which the caller drops
	}
	given.lagging = flag(f.Lagging)
	given.slowest_first = flag(f.SlowestFirst)
	return given
}

// Connections lists connections. It asks the engine's threads, as do the methods below, and blocks for
// about a millisecond per 10,000 connections, and at most 10 seconds.
//
// The error is [ErrSubscription], [ErrUTF8] for a tag that is not, [ErrOptions] for a limit out of its
// bounds; [ErrBusy] when 64 such questions wait already, [ErrTimeout], [ErrClosed] or [ErrForked], as
// of the methods below.
func (h *Hub) Connections(filter ConnectionFilter) ([]Connection, error) {
	if err := filter.check(); err != nil {
		return nil, err
	}
	var memory memory
	defer memory.release()
	given := filter.native(&memory)
	var list *C.fanfare_connections
	err := failure(C.fanfare_hub_connections(h.pointer(), &given, &list))
	runtime.KeepAlive(h)
	if err != nil {
		return nil, err
	}
	connections, err := listed(list)
	if filter.Limit < 0 {
		return nil, err
	}
	return connections, err
}

// Connection describes one connection. The error is [ErrStale] when it has ended.
func (h *Hub) Connection(id ConnectionID) (Connection, error) {
	var list *C.fanfare_connections
	err := failure(C.fanfare_hub_connection(h.pointer(), C.fanfare_connection_id(id), &list))
	runtime.KeepAlive(h)
	if err != nil {
		return Connection{}, err
	}
	connections, err := listed(list)
	if err != nil || len(connections) == 0 {
		return Connection{}, err
	}
	return connections[0], nil
}

func listed(list *C.fanfare_connections) ([]Connection, error) {
	defer C.fanfare_connections_free(list)
	count := C.fanfare_connections_count(list)
	connections := make([]Connection, 0, count)
	for i := range count {
		read := C.fanfare_connection{size: C.sizeof_fanfare_connection}
		if err := failure(C.fanfare_connections_get(list, i, &read)); err != nil {
			return nil, err
		}
		connections = append(connections, Connection{
			ID:            ConnectionID(read.id),
			Subscriptions: goTexts(read.subscriptions, read.subscriptions_count),
			Addr:          goText(read.addr),
			Tag:           goText(read.tag),
			Since:         time.UnixMilli(int64(read.since_unix_ms)),
			Events:        uint64(read.events),
			Bytes:         uint64(read.bytes),
			LagEvents:     uint64(read.lag_events),
			LagBytes:      uint64(read.lag_bytes),
			LagAge:        time.Duration(read.lag_age_ms) * time.Millisecond,
			State:         ConnectionState(read.state),
			Policy:        Policy(read.policy),
			Node:          goText(read.node),
		})
	}
	return connections, nil
}

// Subscribers counts the connections that get a topic's events, by its name or by filters, each once.
// The error is [ErrTopic] when the topic is none.
func (h *Hub) Subscribers(topic string) (uint64, error) {
	var memory memory
	defer memory.release()
	var count C.uint64_t
	err := failure(C.fanfare_hub_subscribers(h.pointer(), memory.text(topic), &count))
	runtime.KeepAlive(h)
	return uint64(count), err
}

// SubscriptionCount is a topic or filter and the number of connections that asked for it by this name.
type SubscriptionCount struct {
	// Subscription is the topic or filter.
	Subscription string
	// Subscribers is the number.
	Subscribers uint64
}

// SubscriptionCounts lists the topics and filters with the most subscribers, most first, at most limit.
func (h *Hub) SubscriptionCounts(limit int) ([]SubscriptionCount, error) {
	var list *C.fanfare_subscription_counts
	err := failure(C.fanfare_hub_subscription_counts(h.pointer(), C.size_t(max(limit, 0)), &list))
	runtime.KeepAlive(h)
	if err != nil {
		return nil, err
	}
	defer C.fanfare_subscription_counts_free(list)
	count := C.fanfare_subscription_counts_count(list)
	counts := make([]SubscriptionCount, 0, count)
	for i := range count {
		read := C.fanfare_subscription_count{size: C.sizeof_fanfare_subscription_count}
		if err := failure(C.fanfare_subscription_counts_get(list, i, &read)); err != nil {
			return nil, err
		}
		counts = append(counts, SubscriptionCount{goText(read.subscription), uint64(read.subscribers)})
	}
	return counts, nil
}

// Disconnect ends one connection. Its client is told to come back after a time drawn from retry to twice
// that, at most 1 day; zero tells nothing. An EventSource comes back by itself. The error is [ErrStale]
// when it has ended already.
func (h *Hub) Disconnect(id ConnectionID, retry time.Duration) error {
	err := failure(C.fanfare_hub_disconnect(h.pointer(), C.fanfare_connection_id(id), C.uint64_t(wholeMS(retry))))
	runtime.KeepAlive(h)
	return err
}

// DisconnectTag ends all connections with a tag, as [Hub.Disconnect] does, and tells how many those
// were. The error is [ErrArgument] for a tag that no client can have, or [ErrUTF8].
func (h *Hub) DisconnectTag(tag string, retry time.Duration) (uint64, error) {
	var memory memory
	defer memory.release()
	var count C.uint64_t
	err := failure(C.fanfare_hub_disconnect_tag(h.pointer(), memory.text(tag), C.uint64_t(wholeMS(retry)), &count))
	runtime.KeepAlive(h)
	return uint64(count), err
}

// DisconnectSubscription ends all connections with a topic or filter, by its name, and tells how many
// those were. The error is [ErrSubscription] when it is none.
func (h *Hub) DisconnectSubscription(subscription string, retry time.Duration) (uint64, error) {
	var memory memory
	defer memory.release()
	var count C.uint64_t
	err := failure(C.fanfare_hub_disconnect_subscription(
		h.pointer(), memory.text(subscription), C.uint64_t(wholeMS(retry)), &count))
	runtime.KeepAlive(h)
	return uint64(count), err
}

// DisconnectAll ends all connections, and tells how many those were.
func (h *Hub) DisconnectAll(retry time.Duration) (uint64, error) {
	var count C.uint64_t
	err := failure(C.fanfare_hub_disconnect_all(h.pointer(), C.uint64_t(wholeMS(retry)), &count))
	runtime.KeepAlive(h)
	return uint64(count), err
}

// SetSubscriptions changes what a connection gets to the events of these topics and filters, 1 to
// 65,536. It happens between two events. The client is not told, and asks for the topics of its URL when
// it comes back.
//
// The error is [ErrStale] when the connection has ended, [ErrSubscription], [ErrTooMany], or [ErrBusy],
// also when the client is still being sent what it has missed.
func (h *Hub) SetSubscriptions(id ConnectionID, topics []string) error {
	var memory memory
	defer memory.release()
	array, count := memory.texts(topics)
	err := failure(C.fanfare_hub_set_subscriptions(h.pointer(), C.fanfare_connection_id(id), array, count))
	runtime.KeepAlive(h)
	return err
}
