"""What a hub counts."""

from __future__ import annotations

from dataclasses import dataclass

from ._base import Base
from ._convert import struct
from ._names import DisconnectReason, GapReason, disconnect_reason, gap_reason
from ._native import ffi, lib
from .errors import check

#: The fields of the ABI's struct that are read in another form.
_OTHERWISE = {
    "size",
    "disconnects",
    "gap_events",
    "latency_buckets",
    "latency_bounds_us",
    "latency_counts",
}
_FIELDS = [name for name, _ in ffi.typeof("fanfare_metrics").fields or () if name not in _OTHERWISE]


@dataclass(frozen=True)
class Metrics:
    """What a hub has counted since it was made, at one moment.

    Some say how much there is at the moment, such as ``connections``; the others only grow, such
    as ``published_events``.
    """

    #: Shards that serve. Fewer than the option shards when one has failed: restart the program
    #: soon. 0 when the hub is closed.
    living_shards: int
    #: The most connections: the option connections_max, or what the descriptors of the process
    #: allow if that is less.
    connections_max: int
    #: Open event streams.
    connections: int
    #: Open sockets whose request is not answered yet, or that are being closed.
    pending_connections: int
    #: Event streams with a socket that has not taken all events for it.
    lagging_connections: int
    #: Event streams that are being sent what they have missed; they do not count as lagging.
    replaying_connections: int
    #: Events times event streams that wait for them because they are spread over a time
    #: (window_ms). A stream that has ended, or was sent such an event together with a later one,
    #: counts until its turn would have come.
    spread_deliveries: int
    #: Topics that have a subscriber.
    topics: int
    #: Topics that have a subscriber, or events that are kept, or are finished.
    known_topics: int
    #: Filters that have a subscriber, each once however many subscribers it has.
    filters: int
    #: Topics that are finished and not forgotten yet.
    finished_topics: int
    #: Topics and filters that all connections ask for, each counted with each connection.
    subscriptions: int
    #: Events that were published.
    published_events: int
    #: Times that an event found the backlog full. It then waited, or was refused; an event that
    #: waits counts again each time that it finds the backlog full.
    full_events: int
    #: Events times connections that took them.
    delivered_events: int
    #: Bytes of events that sockets took, as each client is sent them, with the chunks around them;
    #: bytes of a replay count when they are handed out.
    delivered_bytes: int
    #: Events times the connections that were sent them because they had missed them. They count as
    #: delivered as well, when they are handed out.
    replayed_events: int
    #: Parts of history that were gathered to be replayed; one part serves all clients that need
    #: the same events.
    gathered_parts: int
    #: Events that are kept for clients that come back. One that is kept in several topics counts
    #: for each.
    kept_events: int
    #: Bytes that the kept events take, see the option history_total_bytes_max.
    kept_bytes: int
    #: Heartbeats: comments, or blocks that fire nothing but move the id to resume from.
    heartbeats: int
    #: Batches that were begun.
    batches: int
    #: Times that a batch waited for connections that lag too far but get on.
    held_batches: int
    #: Bytes that wait to be sent, see the option topic_backlog_bytes_max.
    backlog_bytes: int
    #: Bytes that are kept for connections that lag.
    lag_bytes: int
    #: Events times lagging connections that skipped them, so that they were never sent.
    dropped_events: int
    #: Events times lagging connections that were sent a newer event of the same key instead.
    conflated_events: int
    #: Event streams that were ever opened.
    accepted_connections: int
    #: Sockets that were turned away because of the bounds on connections.
    refused_connections: int
    #: Requests for streams that were answered with the status 204, since all of their topics were
    #: finished and nothing was to be sent.
    finished_answers: int
    #: Connections whose request for a stream was put before the program, and that wait for its
    #: answer. They count as pending connections as well.
    pending_authorizations: int
    #: Requests for streams that were refused, that asked for topics which were not granted, or
    #: whose grant had expired.
    denied_authorizations: int
    #: Requests for streams that were answered 503, since the program had not answered in time, or
    #: too many waited.
    failed_authorizations: int
    #: Answers of the program that came when the connection had ceased to wait.
    late_authorizations: int
    #: Notices of connections that were lost because their queue was full.
    lost_notices: int
    #: Watchers of interest.
    interest_watchers: int
    #: Notices of interest that wait for the program to take them, of all watchers.
    owed_interest_notices: int
    #: Times that a grace time of a watcher ended early, since too many of its subscriptions had
    #: one.
    cut_graces: int
    #: 1 while the journal in ``data_dir`` cannot be written; the log says why.
    journal_failing: int
    #: Bytes that the journal takes on the disk.
    journal_disk_bytes: int
    #: Bytes that wait until the journal holds them as safely as ``durability`` promises.
    journal_waiting_bytes: int
    #: Records that were written into the journal: events, marks and rules.
    journal_records: int
    #: Times that the disk was told to take what was written.
    journal_syncs: int
    #: Writes of the journal, and the like, that failed.
    journal_errors: int
    #: 1 while the server of the cluster in ``cluster_url`` does not serve; the log says why.
    cluster_failing: int
    #: Bytes of this hub's events that are on their way to the cluster's stream and back.
    cluster_backlog_bytes: int
    #: Batches of events that the cluster's server has taken from this hub.
    cluster_batches: int
    #: Events, ends and rules that this hub has read from the cluster's stream.
    cluster_items: int
    #: Of these, those that were refused, by each hub alike: another hub had finished their
    #: topic before.
    cluster_refused_items: int
    #: Times that this hub has connected to append to the cluster's stream.
    cluster_connects: int
    #: Times that items of the cluster's stream were lost or cut off before this hub had read
    #: them; its clients were told.
    cluster_losses: int
    #: The sum of the times that ``latencies_us`` counts, in nanoseconds.
    latency_sum_ns: int
    #: Event streams that ended, by why, such as "client_closed"; without those that are 0.
    disconnects: dict[DisconnectReason, int]
    #: Events by which clients were told that others are missing, by why; without those that are 0.
    gap_events: dict[GapReason, int]
    #: How long events took from being published to a socket's taking them: for each bucket the most
    #: microseconds, and how many took at most as long and longer than the bucket before allows.
    latencies_us: tuple[tuple[int, int], ...]


class Counting(Base):
    """What a hub has counted, also when it is closed. Any thread may ask, several at once."""

    def metrics(self) -> Metrics:
        """Reads the counts.

        :raises ForkedError: The hub was made before a fork.
        """
        read = struct("fanfare_metrics")
        check(lib.fanfare_hub_metrics(self._native, read))
        return Metrics(
            **{name: getattr(read, name) for name in _FIELDS},
            disconnects={
                disconnect_reason(reason): count
                for reason, count in enumerate(read.disconnects)
                if count > 0
            },
            gap_events={
                gap_reason(reason): count
                for reason, count in enumerate(read.gap_events)
                if count > 0
            },
            latencies_us=tuple(
                (read.latency_bounds_us[index], read.latency_counts[index])
                for index in range(read.latency_buckets)
            ),
        )

    def prometheus(self) -> str:
        """The counts as a text for Prometheus, version 0.0.4 of its format.

        Serve it with the content type "text/plain; version=0.0.4; charset=utf-8".

        :raises ForkedError: The hub was made before a fork.
        """
        size, length = 16 * 1024, ffi.new("size_t *")
        while True:
            buffer = ffi.new("char[]", size)
            status = lib.fanfare_hub_prometheus(self._native, buffer, size, length)
            if status != lib.FANFARE_ERR_BUFFER:
                check(status)
                return str(ffi.unpack(buffer, length[0]), "utf-8")
            size = length[0] + 1024
