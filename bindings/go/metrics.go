package fanfare

// #include "native.h"
import "C"

import (
	"runtime"
	"time"
	"unsafe"
)

// Metrics is what a hub has counted since it was made, at one moment. Some say how much there is at the
// moment, such as Connections; the others only grow, such as PublishedEvents.
type Metrics struct {
	// LivingShards: shards that serve. Fewer than Options.Shards when one has failed: restart the
	// program soon. 0 when the hub is closed.
	LivingShards uint64
	// ConnectionsMax: the most connections: Options.ConnectionsMax, or what the descriptors of the
	// process allow if that is less.
	ConnectionsMax uint64
	// Connections: open event streams.
	Connections uint64
	// PendingConnections: open sockets whose request is not answered yet, or that are being closed.
	PendingConnections uint64
	// LaggingConnections: event streams with a socket that has not taken all events for it.
	LaggingConnections uint64
	// ReplayingConnections: event streams that are being sent what they have missed; they do not count
	// as lagging.
	ReplayingConnections uint64
	// SpreadDeliveries: events times event streams that wait for them because they are spread over a
	// time (Event.Window). A stream that has ended, or was sent such an event together with a later one,
	// counts until its turn would have come.
	SpreadDeliveries uint64
	// Topics: topics that have a subscriber.
	Topics uint64
	// KnownTopics: topics that have a subscriber, or events that are kept, or are finished.
	KnownTopics uint64
	// Filters: filters that have a subscriber, each once however many subscribers it has.
	Filters uint64
	// FinishedTopics: topics that are finished and not forgotten yet.
	FinishedTopics uint64
	// Subscriptions: topics and filters that all connections ask for, each counted with each connection.
	Subscriptions uint64
	// PublishedEvents: events that were published.
	PublishedEvents uint64
	// FullEvents: times that an event found the backlog full. It then waited, or was refused; an event
	// that waits counts again each time that it finds the backlog full.
	FullEvents uint64
	// DeliveredEvents: events times connections that took them.
	DeliveredEvents uint64
	// DeliveredBytes: bytes of events that sockets took, as each client is sent them, with the chunks
	// around them; bytes of a replay count when they are handed out.
	DeliveredBytes uint64
	// ReplayedEvents: events times the connections that were sent them because they had missed them.
	// They count as delivered as well, when they are handed out.
	ReplayedEvents uint64
	// GatheredParts: parts of history that were gathered to be replayed; one part serves all clients
	// that need the same events.
	GatheredParts uint64
	// KeptEvents: events that are kept for clients that come back. One that is kept in several topics
	// counts for each.
	KeptEvents uint64
	// KeptBytes: bytes that the kept events take, see Options.HistoryTotalBytesMax.
	KeptBytes uint64
	// Heartbeats: heartbeats: comments, or blocks that fire nothing but move the id to resume from.
	Heartbeats uint64
	// Batches: batches that were begun.
	Batches uint64
	// HeldBatches: times that a batch waited for connections that lag too far but get on.
	HeldBatches uint64
	// BacklogBytes: bytes that wait to be sent, see Options.TopicBacklogBytesMax.
	BacklogBytes uint64
	// LagBytes: bytes that are kept for connections that lag.
	LagBytes uint64
	// DroppedEvents: events times lagging connections that skipped them, so that they were never sent.
	DroppedEvents uint64
	// ConflatedEvents: events times lagging connections that were sent a newer event of the same key
	// instead.
	ConflatedEvents uint64
	// AcceptedConnections: event streams that were ever opened.
	AcceptedConnections uint64
	// RefusedConnections: sockets that were turned away because of the bounds on connections.
	RefusedConnections uint64
	// FinishedAnswers: requests for streams that were answered with the status 204, since all of their
	// topics were finished and nothing was to be sent.
	FinishedAnswers uint64
	// PendingAuthorizations: connections whose request for a stream was put before the program, and that
	// wait for its answer. They count as pending connections as well.
	PendingAuthorizations uint64
	// DeniedAuthorizations: requests for streams that were refused, that asked for topics which were not
	// granted, or whose grant had expired.
	DeniedAuthorizations uint64
	// FailedAuthorizations: requests for streams that were answered 503, since the program had not
	// answered in time, or too many waited.
	FailedAuthorizations uint64
	// LateAuthorizations: answers of the program that came when the connection had ceased to wait.
	LateAuthorizations uint64
	// LostNotices: notices of connections that were lost because their queue was full.
	LostNotices uint64
	// InterestWatchers: watchers of interest.
	InterestWatchers uint64
	// OwedInterestNotices: notices of interest that wait for the program to take them, of all watchers.
	OwedInterestNotices uint64
	// CutGraces: times that a grace time of a watcher ended early, since too many of its subscriptions
	// had one.
	CutGraces uint64
	// JournalFailing: 1 while the journal in [Options.DataDir] cannot be written; the log says why.
	JournalFailing uint64
	// JournalDiskBytes: bytes that the journal takes on the disk.
	JournalDiskBytes uint64
	// JournalWaitingBytes: bytes that wait until the journal holds them as safely as the durability
	// promises.
	JournalWaitingBytes uint64
	// JournalRecords: records that were written into the journal: events, marks and rules.
	JournalRecords uint64
	// JournalSyncs: times that the disk was told to take what was written.
	JournalSyncs uint64
	// JournalErrors: writes of the journal, and the like, that failed.
	JournalErrors uint64
	// ClusterFailing: 1 while the server of the cluster in [Options.ClusterURL] does not serve; the log says why.
	ClusterFailing uint64
	// ClusterBacklogBytes: bytes of this hub's events that are on their way to the cluster's stream and back.
	ClusterBacklogBytes uint64
	// ClusterBatches: batches of events that the cluster's server has taken from this hub.
	ClusterBatches uint64
	// ClusterItems: events, ends and rules that this hub has read from the cluster's stream.
	ClusterItems uint64
	// ClusterRefusedItems: of these, those that were refused, by each hub alike: another hub had finished their
	// topic before.
	ClusterRefusedItems uint64
	// ClusterConnects: times that this hub has connected to append to the cluster's stream.
	ClusterConnects uint64
	// ClusterLosses: times that items of the cluster's stream were lost or cut off before this hub had read them;
	// its clients were told.
	ClusterLosses uint64
	// Disconnects: event streams that ended, by why; without those that are 0.
	Disconnects map[DisconnectReason]uint64
	// GapEvents: events by which clients were told that others are missing from their streams, by why;
	// without those that are 0.
	GapEvents map[GapReason]uint64
	// Latencies: how long events took from being published to a socket's taking them, in buckets.
	Latencies []LatencyBucket
	// LatencySum: the sum of all these times.
	LatencySum time.Duration
}

// LatencyBucket is how many took at most as long as Most, and longer than the bucket before allows.
type LatencyBucket struct {
	// Most is the longest time of the bucket; negative for the last one, which has no bound.
	Most time.Duration
	// Count is how many.
	Count uint64
}

// GapReason is why events are missing from a stream. A newer library may have reasons that are not
// below.
type GapReason int32

// The reasons of gaps.
const (
	// GapExpired: the events after the client's last one are not kept any more.
	GapExpired GapReason = C.FANFARE_GAP_EXPIRED
	// GapRestarted: the id was given by the hub before it was restarted.
	GapRestarted GapReason = C.FANFARE_GAP_RESTARTED
	// GapUnknownID: the id is none that the hub knows.
	GapUnknownID GapReason = C.FANFARE_GAP_UNKNOWN_ID
	// GapSlow: the client read too slowly, and events were dropped for it.
	GapSlow GapReason = C.FANFARE_GAP_SLOW
	// GapLost: events were published, and lost with the hub's process or machine before its journal had
	// them as safely as the option durability promises; or lost with the cluster's server, or cut off its stream
	// before the hub had read them.
	GapLost GapReason = C.FANFARE_GAP_LOST
)

// String is the reason's short name, as gap events have it, such as "expired".
func (r GapReason) String() string {
	return goText(C.fanfare_gap_reason_name(C.fanfare_gap_reason(r)))
}

// Metrics reads what the hub has counted, also when it is closed. The error is [ErrForked].
func (h *Hub) Metrics() (Metrics, error) {
	read := C.fanfare_metrics_empty()
	err := failure(C.fanfare_hub_metrics(h.pointer(), &read))
	runtime.KeepAlive(h)
	if err != nil {
		return Metrics{}, err
	}
	metrics := Metrics{
		LivingShards:          uint64(read.living_shards),
		ConnectionsMax:        uint64(read.connections_max),
		Connections:           uint64(read.connections),
		PendingConnections:    uint64(read.pending_connections),
		LaggingConnections:    uint64(read.lagging_connections),
		ReplayingConnections:  uint64(read.replaying_connections),
		SpreadDeliveries:      uint64(read.spread_deliveries),
		Topics:                uint64(read.topics),
		KnownTopics:           uint64(read.known_topics),
		Filters:               uint64(read.filters),
		FinishedTopics:        uint64(read.finished_topics),
		Subscriptions:         uint64(read.subscriptions),
		PublishedEvents:       uint64(read.published_events),
		FullEvents:            uint64(read.full_events),
		DeliveredEvents:       uint64(read.delivered_events),
		DeliveredBytes:        uint64(read.delivered_bytes),
		ReplayedEvents:        uint64(read.replayed_events),
		GatheredParts:         uint64(read.gathered_parts),
		KeptEvents:            uint64(read.kept_events),
		KeptBytes:             uint64(read.kept_bytes),
		Heartbeats:            uint64(read.heartbeats),
		Batches:               uint64(read.batches),
		HeldBatches:           uint64(read.held_batches),
		BacklogBytes:          uint64(read.backlog_bytes),
		LagBytes:              uint64(read.lag_bytes),
		DroppedEvents:         uint64(read.dropped_events),
		ConflatedEvents:       uint64(read.conflated_events),
		AcceptedConnections:   uint64(read.accepted_connections),
		RefusedConnections:    uint64(read.refused_connections),
		FinishedAnswers:       uint64(read.finished_answers),
		PendingAuthorizations: uint64(read.pending_authorizations),
		DeniedAuthorizations:  uint64(read.denied_authorizations),
		FailedAuthorizations:  uint64(read.failed_authorizations),
		LateAuthorizations:    uint64(read.late_authorizations),
		LostNotices:           uint64(read.lost_notices),
		InterestWatchers:      uint64(read.interest_watchers),
		OwedInterestNotices:   uint64(read.owed_interest_notices),
		CutGraces:             uint64(read.cut_graces),
		JournalFailing:        uint64(read.journal_failing),
		JournalDiskBytes:      uint64(read.journal_disk_bytes),
		JournalWaitingBytes:   uint64(read.journal_waiting_bytes),
		JournalRecords:        uint64(read.journal_records),
		JournalSyncs:          uint64(read.journal_syncs),
		JournalErrors:         uint64(read.journal_errors),
		ClusterFailing:        uint64(read.cluster_failing),
		ClusterBacklogBytes:   uint64(read.cluster_backlog_bytes),
		ClusterBatches:        uint64(read.cluster_batches),
		ClusterItems:          uint64(read.cluster_items),
		ClusterRefusedItems:   uint64(read.cluster_refused_items),
		ClusterConnects:       uint64(read.cluster_connects),
		ClusterLosses:         uint64(read.cluster_losses),
		Disconnects:           make(map[DisconnectReason]uint64),
		GapEvents:             make(map[GapReason]uint64),
		LatencySum:            time.Duration(read.latency_sum_ns),
	}
	for reason, count := range read.disconnects {
		if count > 0 {
			metrics.Disconnects[DisconnectReason(reason)] = uint64(count)
		}
	}
	for reason, count := range read.gap_events {
		if count > 0 {
			metrics.GapEvents[GapReason(reason)] = uint64(count)
		}
	}
	for i := range min(int(read.latency_buckets), len(read.latency_counts)) {
		most := time.Duration(-1)
		if us := uint64(read.latency_bounds_us[i]); us <= 1<<40 {
			most = time.Duration(us) * time.Microsecond
		}
		metrics.Latencies = append(metrics.Latencies, LatencyBucket{most, uint64(read.latency_counts[i])})
	}
	return metrics, nil
}

// PrometheusContentType is the content type of [Hub.AppendPrometheus]'s text.
const PrometheusContentType = "text/plain; version=0.0.4; charset=utf-8"

// AppendPrometheus appends what the hub has counted, also when it is closed, as a text for Prometheus,
// version 0.0.4 of its format, and what the topics of each rule hold. The error is [ErrForked].
func (h *Hub) AppendPrometheus(text []byte) ([]byte, error) {
	size := 16 * 1024
	for {
		buffer := make([]byte, size)
		var length C.size_t
		status := C.fanfare_hub_prometheus(h.pointer(), (*C.char)(unsafe.Pointer(unsafe.SliceData(buffer))),
			C.size_t(size), &length)
		runtime.KeepAlive(h)
		if status != C.FANFARE_ERR_BUFFER {
			if err := failure(status); err != nil {
				return text, err
			}
			return append(text, buffer[:length]...), nil
		}
		size = int(length) + 1024
	}
}
