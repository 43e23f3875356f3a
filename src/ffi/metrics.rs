//! What the hub counts, across the border: as a struct, and as a text.

use std::ffi::c_char;
use std::mem::offset_of;

use super::answer;
use super::fields::{init, write_text};
use super::hub::{live, FanfareHub};
use super::reason::{self, gap_number_of};
use super::status::FanfareStatus;
use crate::gap::GapReason;
use crate::metrics::{DisconnectReason, Metrics};

/// How many reasons a `fanfare_metrics` has room for, and how many buckets.
pub const FANFARE_METRICS_REASONS_MAX: usize = 32;

/// What a hub has counted since it was made, at one moment. `fanfare_metrics_empty` makes one to be
/// filled. Some say how much there is at the moment, such as `connections`; the others only grow, such as
/// `published_events`.
///
/// The struct grows at its end only. What the library does not know of it is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareMetrics {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// Shards that serve. Fewer than the option shards when one has failed: restart the program
    /// soon. 0 when the hub is closed.
    pub living_shards: u64,
    /// The most connections: the option connections_max, or what the descriptors of the process
    /// allow if that is less.
    pub connections_max: u64,
    /// Open event streams.
    pub connections: u64,
    /// Open sockets whose request is not answered yet, or that are being closed.
    pub pending_connections: u64,
    /// Event streams with a socket that has not taken all events for it.
    pub lagging_connections: u64,
    /// Event streams that are being sent what they have missed; they do not count as lagging.
    pub replaying_connections: u64,
    /// Events times event streams that wait for them because they are spread over a time
    /// (window_ms). A stream that has ended, or was sent such an event together with a later one,
    /// counts until its turn would have come.
    pub spread_deliveries: u64,
    /// Topics that have a subscriber.
    pub topics: u64,
    /// Topics that have a subscriber, or events that are kept, or are finished.
    pub known_topics: u64,
    /// Filters that have a subscriber, each once however many subscribers it has.
    pub filters: u64,
    /// Topics that are finished and not forgotten yet.
    pub finished_topics: u64,
    /// Topics and filters that all connections ask for, each counted with each connection.
    pub subscriptions: u64,
    /// Events that were published.
    pub published_events: u64,
    /// Times that an event found the backlog full. It then waited, or was refused; an event that
    /// waits counts again each time that it finds the backlog full.
    pub full_events: u64,
    /// Events times connections that took them.
    pub delivered_events: u64,
    /// Bytes of events that sockets took, as each client is sent them, with the chunks around them;
    /// bytes of a replay count when they are handed out.
    pub delivered_bytes: u64,
    /// Events times the connections that were sent them because they had missed them. They count as
    /// delivered as well, when they are handed out.
    pub replayed_events: u64,
    /// Parts of history that were gathered to be replayed; one part serves all clients that need
    /// the same events.
    pub gathered_parts: u64,
    /// Events that are kept for clients that come back. One that is kept in several topics counts
    /// for each.
    pub kept_events: u64,
    /// Bytes that the kept events take, see the option history_total_bytes_max.
    pub kept_bytes: u64,
    /// Heartbeats: comments, or blocks that fire nothing but move the id to resume from.
    pub heartbeats: u64,
    /// Batches that were begun.
    pub batches: u64,
    /// Times that a batch waited for connections that lag too far but get on.
    pub held_batches: u64,
    /// Bytes that wait to be sent, see the option topic_backlog_bytes_max.
    pub backlog_bytes: u64,
    /// Bytes that are kept for connections that lag.
    pub lag_bytes: u64,
    /// Events times lagging connections that skipped them, so that they were never sent.
    pub dropped_events: u64,
    /// Events times lagging connections that were sent a newer event of the same key instead.
    pub conflated_events: u64,
    /// Event streams that were ever opened.
    pub accepted_connections: u64,
    /// Sockets that were turned away because of the bounds on connections.
    pub refused_connections: u64,
    /// Requests for streams that were answered with the status 204, since all of their topics were
    /// finished and nothing was to be sent.
    pub finished_answers: u64,
    /// Connections whose request for a stream was put before the program, and that wait for its
    /// answer. They count as pending connections as well.
    pub pending_authorizations: u64,
    /// Requests for streams that were refused, that asked for topics which were not granted, or
    /// whose grant had expired.
    pub denied_authorizations: u64,
    /// Requests for streams that were answered 503, since the program had not answered in time, or
    /// too many waited.
    pub failed_authorizations: u64,
    /// Answers of the program that came when the connection had ceased to wait.
    pub late_authorizations: u64,
    /// Notices of connections that were lost because their queue was full.
    pub lost_notices: u64,
    /// Watchers of interest.
    pub interest_watchers: u64,
    /// Notices of interest that wait for the program to take them, of all watchers.
    pub owed_interest_notices: u64,
    /// Times that a grace time of a watcher ended early, since too many of its subscriptions had
    /// one.
    pub cut_graces: u64,
    /// Event streams that ended, by why: at the index of a `fanfare_disconnect_reason_code`.
    pub disconnects: [u64; FANFARE_METRICS_REASONS_MAX],
    /// Events by which clients were told that others are missing from their streams, by why: at the
    /// index of a `fanfare_gap_reason_code`.
    pub gap_events: [u64; FANFARE_METRICS_REASONS_MAX],
    /// How many of the buckets are used, by which it is counted how long events took from being
    /// published to a socket's taking them.
    pub latency_buckets: u64,
    /// The most microseconds of each bucket, rising; `UINT64_MAX` for the last one that is used.
    pub latency_bounds_us: [u64; FANFARE_METRICS_REASONS_MAX],
    /// How many took at most as long, and longer than the bucket before allows.
    pub latency_counts: [u64; FANFARE_METRICS_REASONS_MAX],
    /// The sum of all these times, in nanoseconds.
    pub latency_sum_ns: u64,
    /// 1 while the journal in the option data_dir cannot be written; the log says why.
    pub journal_failing: u64,
    /// Bytes that the journal takes on the disk.
    pub journal_disk_bytes: u64,
    /// Bytes that wait until the journal holds them as safely as the option durability promises.
    pub journal_waiting_bytes: u64,
    /// Records that were written into the journal: events, marks and rules.
    pub journal_records: u64,
    /// Times that the disk was told to take what was written.
    pub journal_syncs: u64,
    /// Writes of the journal, and the like, that failed.
    pub journal_errors: u64,
    /// 1 while the server of the cluster in the option cluster_url does not serve; the log says why.
    pub cluster_failing: u64,
    /// Bytes of this hub's events that are on their way to the cluster's stream and back.
    pub cluster_backlog_bytes: u64,
    /// Batches of events that the cluster's server has taken from this hub.
    pub cluster_batches: u64,
    /// Events, ends and rules that this hub has read from the cluster's stream.
    pub cluster_items: u64,
    /// Of these, those that were refused, by each hub alike: another hub had finished their topic before.
    pub cluster_refused_items: u64,
    /// Times that this hub has connected to append to the cluster's stream.
    pub cluster_connects: u64,
    /// Times that items of the cluster's stream were lost or cut off before this hub had read them; its
    /// clients were told.
    pub cluster_losses: u64,
}

/// The size that the struct had in the ABI's first version.
const SIZE_MIN: usize = offset_of!(FanfareMetrics, latency_sum_ns) + size_of::<u64>();

/// Reads what a hub has counted, also when it is closed. `metrics_out->size` has to be set before, as
/// `fanfare_metrics_empty` does, and stays as it is. It takes a moment for each shard, and no lock that a
/// shard waits for.
///
/// Threads: any, several at once. Ownership: the struct stays the caller's. Errors:
/// `FANFARE_ERR_ARGUMENT`, also when the size is that of no version, or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `hub` has to be NULL or a live hub, and `metrics_out` NULL or `metrics_out->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_metrics(
    hub: *const FanfareHub,
    metrics_out: *mut FanfareMetrics,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let metrics = unsafe { live(hub) }?.hub.metrics();
        // SAFETY: as the caller promises.
        unsafe { init(metrics_out, SIZE_MIN, FanfareMetrics::from(&metrics)) }
    })
}

/// Writes what a hub has counted, also when it is closed, as a text for Prometheus, version 0.0.4 of its
/// format, and what the topics of each rule hold. Serve it with the content type "text/plain;
/// version=0.0.4; charset=utf-8". The text has no NUL at its end. `*length_out` is its length, also with
/// `FANFARE_ERR_BUFFER`, when it is the size that the buffer has to have. As the counts grow the text may
/// be some bytes longer the next time: so make the buffer a little larger. 16 KiB are enough without
/// rules.
///
/// Threads: any, several at once. Ownership: the buffer stays the caller's. Errors: `FANFARE_ERR_BUFFER`
/// when the buffer is too small, which may be NULL if its size is 0; `FANFARE_ERR_ARGUMENT` or
/// `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `hub` has to be NULL or a live hub, `buffer` NULL or `buffer_size` writable bytes, and `length_out`
/// NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_prometheus(
    hub: *const FanfareHub,
    buffer: *mut c_char,
    buffer_size: usize,
    length_out: *mut usize,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { &live(hub)?.hub };
        let mut text = String::with_capacity(16 << 10);
        let written = hub.metrics().write_prometheus(&hub.rules(), &mut text);
        written.expect("a string takes whatever is written to it");
        // SAFETY: as the caller promises.
        unsafe { write_text(&text, buffer, buffer_size, length_out) }
    })
}

impl From<&Metrics> for FanfareMetrics {
    fn from(metrics: &Metrics) -> FanfareMetrics {
        let mut disconnects = [0; FANFARE_METRICS_REASONS_MAX];
        for reason in DisconnectReason::all() {
            disconnects[reason::number_of(reason) as usize] = metrics.disconnects(reason);
        }
        let mut gap_events = [0; FANFARE_METRICS_REASONS_MAX];
        for reason in GapReason::all() {
            gap_events[gap_number_of(reason) as usize] = metrics.gap_events(reason);
        }
        let mut latency_bounds_us = [0; FANFARE_METRICS_REASONS_MAX];
        let mut latency_counts = [0; FANFARE_METRICS_REASONS_MAX];
        let mut latency_buckets = 0;
        for (index, (bound, count)) in metrics.latency.buckets().enumerate() {
            latency_bounds_us[index] = bound.map_or(u64::MAX, |bound| bound.as_micros() as u64);
            latency_counts[index] = count;
            latency_buckets += 1;
        }
        let latency_sum_ns = u64::try_from(metrics.latency.sum().as_nanos()).unwrap_or(u64::MAX);
        // Without `..`, so that what is counted anew is not forgotten here.
        #[rustfmt::skip]
        let &Metrics {
            living_shards, connections_max, connections, pending_connections,
            lagging_connections, replaying_connections, spread_deliveries, topics, known_topics,
            filters, finished_topics, subscriptions, published_events, full_events,
            delivered_events, delivered_bytes, replayed_events, gathered_parts, kept_events,
            kept_bytes, heartbeats, batches, held_batches, backlog_bytes, lag_bytes,
            dropped_events, conflated_events, accepted_connections, refused_connections,
            finished_answers, pending_authorizations, denied_authorizations,
            failed_authorizations, late_authorizations, lost_notices, interest_watchers,
            owed_interest_notices, cut_graces, journal_failing, journal_disk_bytes,
            journal_waiting_bytes, journal_records, journal_syncs, journal_errors,
            cluster_failing, cluster_backlog_bytes, cluster_batches, cluster_items,
            cluster_refused_items, cluster_connects, cluster_losses,
            disconnects: _, gap_events: _, latency: _,
        } = metrics;
        #[rustfmt::skip]
        let all = FanfareMetrics {
            size: size_of::<FanfareMetrics>(),
            living_shards, connections_max, connections, pending_connections,
            lagging_connections, replaying_connections, spread_deliveries, topics, known_topics,
            filters, finished_topics, subscriptions, published_events, full_events,
            delivered_events, delivered_bytes, replayed_events, gathered_parts, kept_events,
            kept_bytes, heartbeats, batches, held_batches, backlog_bytes, lag_bytes,
            dropped_events, conflated_events, accepted_connections, refused_connections,
            finished_answers, pending_authorizations, denied_authorizations,
            failed_authorizations, late_authorizations, lost_notices, interest_watchers,
            owed_interest_notices, cut_graces,
            disconnects, gap_events, latency_buckets, latency_bounds_us, latency_counts, latency_sum_ns,
            journal_failing, journal_disk_bytes, journal_waiting_bytes, journal_records,
            journal_syncs, journal_errors, cluster_failing, cluster_backlog_bytes,
            cluster_batches, cluster_items, cluster_refused_items, cluster_connects, cluster_losses,
        };
        all
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_count_is_in_its_field_and_each_bucket_has_its_bound() {
        let mut metrics = Metrics { connections: 3, cut_graces: 4, ..Metrics::default() };
        metrics.disconnects[2] = 5;
        metrics.gap_events[3] = 6;
        metrics.latency.record(Duration::from_micros(100), 7);
        metrics.latency.record(Duration::from_secs(60), 8);
        let all = FanfareMetrics::from(&metrics);
        assert_eq!((all.connections, all.cut_graces), (3, 4));
        let lagging = reason::FanfareDisconnectReasonCode::FANFARE_DISCONNECT_LAGGING as usize;
        assert_eq!((all.disconnects[lagging], all.disconnects.iter().sum::<u64>()), (5, 5));
        let slow = reason::FanfareGapReasonCode::FANFARE_GAP_SLOW as usize;
        assert_eq!((all.gap_events[slow], all.gap_events.iter().sum::<u64>()), (6, 6));
        let last = all.latency_buckets as usize - 1;
        assert_eq!((all.latency_bounds_us[0], all.latency_counts[0]), (100, 7));
        assert_eq!((all.latency_bounds_us[last], all.latency_counts[last]), (u64::MAX, 8));
        assert_eq!(all.latency_sum_ns, 7 * 100_000 + 8 * 60_000_000_000);
    }
}
