//! What the engine counts. Each shard writes its own counters, once a slice; a reader adds them up.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::gap::GapReason;
use crate::histogram::{bucket, Histogram, BUCKETS};

/// Why a connection ended.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, Options, DisconnectReason};
///
/// let hub = Hub::start(Options::default())?;
/// let metrics = hub.metrics();
/// for reason in DisconnectReason::all() {
///     println!("{reason}: {}", metrics.disconnects(reason));
/// }
/// # Ok::<(), fanfare::StartError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client closed it, or its half of it.
    ClientClosed,
    /// The system reported an error that none of the other reasons is for, or the engine itself has
    /// failed: a shard has panicked ([`Metrics::living_shards`]).
    Error,
    /// It lagged by more than the bounds.
    Lagging,
    /// The client sent more than 64 KiB at once after its request, which no client of an event
    /// stream does.
    Garbage,
    /// The hub was closed, or the host has dropped the [`Driver`](crate::Driver) that served it.
    Closed,
    /// The hub was drained: it had been sent everything, and was told when to come back.
    Drained,
    /// The network went silent: for the time that the listener's options allow, neither sent data
    /// nor a probe was answered, or routers reported that there is no route.
    TimedOut,
    /// The client or something on the way reset it, as a program's end or a close with something
    /// unread does.
    Reset,
    /// The client's system answered, but took nothing for longer than
    /// [`Options::stall_time_max`](crate::Options::stall_time_max) or
    /// [`ListenOptions::user_timeout`](crate::ListenOptions::user_timeout), though there was
    /// something to send.
    Stalled,
    /// The host ended it ([`Hub::disconnect`](crate::Hub::disconnect)).
    Kicked,
    /// It was older than [`Options::connection_age_max`](crate::Options), and its client was told
    /// when to come back.
    Aged,
    /// All of its topics were finished ([`Hub::finish`](crate::Hub::finish)), and it was sent
    /// everything.
    Finished,
    /// Its time was over, which its grant has set ([`Grant::expires_at`](crate::Grant)).
    Expired,
}

impl DisconnectReason {
    pub(crate) const ALL: [DisconnectReason; 13] = [
        DisconnectReason::ClientClosed,
        DisconnectReason::Error,
        DisconnectReason::Lagging,
        DisconnectReason::Garbage,
        DisconnectReason::Closed,
        DisconnectReason::Drained,
        DisconnectReason::TimedOut,
        DisconnectReason::Reset,
        DisconnectReason::Stalled,
        DisconnectReason::Kicked,
        DisconnectReason::Aged,
        DisconnectReason::Finished,
        DisconnectReason::Expired,
    ];

    /// Every reason, in an order in which new ones come last.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::DisconnectReason;
    ///
    /// let names: Vec<_> = DisconnectReason::all().map(DisconnectReason::as_str).collect();
    /// assert_eq!(names[..2], ["client_closed", "error"]);
    /// ```
    pub fn all() -> impl Iterator<Item = DisconnectReason> {
        DisconnectReason::ALL.into_iter()
    }

    /// A short name for logs and metrics.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::DisconnectReason;
    ///
    /// assert_eq!(DisconnectReason::TimedOut.as_str(), "timed_out");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DisconnectReason::ClientClosed => "client_closed",
            DisconnectReason::Error => "error",
            DisconnectReason::Lagging => "lagging",
            DisconnectReason::Garbage => "garbage",
            DisconnectReason::Closed => "closed",
            DisconnectReason::Drained => "drained",
            DisconnectReason::TimedOut => "timed_out",
            DisconnectReason::Reset => "reset",
            DisconnectReason::Stalled => "stalled",
            DisconnectReason::Kicked => "kicked",
            DisconnectReason::Aged => "aged",
            DisconnectReason::Finished => "finished",
            DisconnectReason::Expired => "expired",
        }
    }

    /// What an error of a connected socket means.
    pub(crate) fn of(error: &io::Error) -> DisconnectReason {
        match error.kind() {
            // A router's or a firewall's report does not end a connection, as the failure may pass;
            // but when the time is over, the error is reported instead of a time-out.
            ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::ConnectionRefused
            | ErrorKind::PermissionDenied => DisconnectReason::TimedOut,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => DisconnectReason::Reset,
            // The client closed its half, and the reset that came since tells that it is gone.
            ErrorKind::BrokenPipe => DisconnectReason::ClientClosed,
            _ => DisconnectReason::Error,
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the engine counted since it started, at one moment.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, Options, Topic};
///
/// let hub = Hub::start(Options::default())?;
/// hub.publish(&Topic::new("news")?, "no subscriber")?;
/// let metrics = hub.metrics();
/// assert_eq!((metrics.published_events, metrics.delivered_events), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// The number of shards that serve. It is less than [`Options::shards`](crate::Options) when a
    /// shard has panicked, its poller has failed, or the host has dropped it; then restart the
    /// program soon. It is zero when the hub is closed.
    pub living_shards: u64,
    /// The most connections: [`Options::connections_max`](crate::Options), or what the descriptors
    /// of the process allow if that is less.
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
    /// ([`Event::with_window`](crate::Event::with_window)). A stream that has ended, or was sent
    /// such an event together with a later one, counts until its turn would have come.
    pub spread_deliveries: u64,
    /// Topics that have a subscriber.
    pub topics: u64,
    /// Topics that have a subscriber, or events that are kept, or are finished.
    pub known_topics: u64,
    /// Filters that have a subscriber, each once however many subscribers it has.
    pub filters: u64,
    /// Topics that are finished ([`Hub::finish`](crate::Hub::finish)) and not forgotten yet.
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
    /// See [`Metrics::gap_events`].
    pub(crate) gap_events: [u64; GapReason::ALL.len()],
    /// Events that are kept for clients that come back. One that is kept in several topics counts
    /// for each.
    pub kept_events: u64,
    /// Bytes that the kept events take, see [`Options::history_total_bytes_max`](crate::Options).
    pub kept_bytes: u64,
    /// Heartbeats: comments, or blocks that fire nothing but move the id to resume from.
    pub heartbeats: u64,
    /// Batches that were begun.
    pub batches: u64,
    /// Times that a batch waited for connections that lag too far but get on.
    pub held_batches: u64,
    /// Bytes that wait to be sent, see [`Options::topic_backlog_bytes_max`](crate::Options).
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
    /// Connections whose request for a stream was put before the host, and that wait for its answer
    /// ([`Authorizer::ask`](crate::Authorizer::ask)). They count as pending connections as well.
    pub pending_authorizations: u64,
    /// Requests for streams that the [`Authorizer`](crate::Authorizer) has refused, that asked for
    /// topics which were not granted, or whose grant had expired.
    pub denied_authorizations: u64,
    /// Requests for streams that were told to come again, since the host had not answered in time,
    /// had dropped them, or too many waited ([`AskOptions`](crate::AskOptions)).
    pub failed_authorizations: u64,
    /// Answers of the host that came when the connection had ceased to wait.
    pub late_authorizations: u64,
    /// Notices of connections that were lost because their queue was full, see
    /// [`Hub::notices`](crate::Hub::notices).
    pub lost_notices: u64,
    /// Watchers of interest, see [`Hub::watch_interest`](crate::Hub::watch_interest).
    pub interest_watchers: u64,
    /// Notices of interest that wait for the host to take them, of all watchers.
    pub owed_interest_notices: u64,
    /// Times that a grace time of a watcher ended early, since more than
    /// [`InterestNotices::GRACES_MAX`](crate::InterestNotices::GRACES_MAX) of its subscriptions had
    /// one.
    pub cut_graces: u64,
    /// 1 while the journal ([`Options::data_dir`](crate::Options)) cannot be written; the log says
    /// why.
    pub journal_failing: u64,
    /// Bytes that the journal takes on the disk.
    pub journal_disk_bytes: u64,
    /// Bytes that wait until the journal holds them as safely as
    /// [`Options::durability`](crate::Options) promises.
    pub journal_waiting_bytes: u64,
    /// Records that were written into the journal: events, marks and rules. What was written again
    /// after an error counts again.
    pub journal_records: u64,
    /// Times that the disk was told to take what was written.
    pub journal_syncs: u64,
    /// Writes and the like that failed.
    pub journal_errors: u64,
    /// 1 while the server of the cluster ([`Options::cluster`](crate::Options)) does not serve; the log says why.
    pub cluster_failing: u64,
    /// Bytes of this node's events that are on their way to the cluster's stream and back.
    pub cluster_backlog_bytes: u64,
    /// Batches of events that the cluster's server has taken from this node.
    pub cluster_batches: u64,
    /// Events, ends and rules that this node has read from the cluster's stream.
    pub cluster_items: u64,
    /// Of these, those that were refused, by each node alike: their topic was finished by another node before.
    pub cluster_refused_items: u64,
    /// Times that this node has connected to append to the cluster's stream.
    pub cluster_connects: u64,
    /// Times that items of the cluster's stream were lost or cut off before this node had read them; its clients were
    /// told.
    pub cluster_losses: u64,
    /// See [`Metrics::disconnects`].
    pub(crate) disconnects: [u64; DisconnectReason::ALL.len()],
    /// How long events took from being published to a socket's taking them. All events of a batch
    /// are counted with the age of its oldest, when the slice that the socket is in is done. An
    /// event that is spread over a time does not count when it is sent in its turn.
    pub latency: Histogram,
}

impl Metrics {
    /// Event streams that ended for a reason.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{DisconnectReason, Hub, Options};
    ///
    /// let metrics = Hub::start(Options::default())?.metrics();
    /// assert_eq!(metrics.disconnects(DisconnectReason::Lagging), 0);
    /// let ended: u64 = DisconnectReason::all().map(|reason| metrics.disconnects(reason)).sum();
    /// assert_eq!(ended, 0);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn disconnects(&self, reason: DisconnectReason) -> u64 {
        self.disconnects[nth(&DisconnectReason::ALL, reason)]
    }

    /// Gap events, by which clients are told that events are missing from their streams, for a
    /// reason.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{GapReason, Hub, Options};
    ///
    /// let metrics = Hub::start(Options::default())?.metrics();
    /// assert_eq!(metrics.gap_events(GapReason::Slow), 0);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn gap_events(&self, reason: GapReason) -> u64 {
        self.gap_events[nth(&GapReason::ALL, reason)]
    }
}

fn nth<R: PartialEq>(all: &[R], reason: R) -> usize {
    all.iter().position(|other| *other == reason).expect("ALL has every reason")
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One shard's counters. One thread writes, so an addition is a load and a store.
        #[derive(Default)]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $name: Counter,)*
            pub(crate) disconnects: [Counter; DisconnectReason::ALL.len()],
            pub(crate) gap_events: [Counter; GapReason::ALL.len()],
            latency: [Counter; BUCKETS],
            latency_sum_ns: Counter,
        }

        impl Counters {
            pub(crate) fn add_to(&self, metrics: &mut Metrics) {
                $(metrics.$name += self.$name.value();)*
                for (sum, counter) in metrics.disconnects.iter_mut().zip(&self.disconnects) {
                    *sum += counter.value();
                }
                for (sum, counter) in metrics.gap_events.iter_mut().zip(&self.gap_events) {
                    *sum += counter.value();
                }
                for (sum, counter) in metrics.latency.counts.iter_mut().zip(&self.latency) {
                    *sum += counter.value();
                }
                metrics.latency.sum_ns += self.latency_sum_ns.value();
            }
        }
    };
}

counters! {
    connections,
    pending_connections,
    lagging_connections,
    replaying_connections,
    spread_deliveries,
    delivered_events,
    delivered_bytes,
    replayed_events,
    gathered_parts,
    heartbeats,
    batches,
    held_batches,
    lag_bytes,
    dropped_events,
    conflated_events,
    accepted_connections,
    refused_connections,
    pending_authorizations,
}

impl Counters {
    pub(crate) fn count_disconnect(&self, reason: DisconnectReason) {
        self.count_disconnects(reason, 1);
    }

    pub(crate) fn count_disconnects(&self, reason: DisconnectReason, connections: u64) {
        self.disconnects[nth(&DisconnectReason::ALL, reason)].add(connections);
    }

    pub(crate) fn count_gap(&self, reason: GapReason) {
        self.gap_events[nth(&GapReason::ALL, reason)].add(1);
    }

    /// Counts that `connections` took the same events, in one chunk of `bytes` bytes.
    pub(crate) fn count_delivered(
        &self,
        events: u64,
        bytes: usize,
        latency_ns: u64,
        connections: u64,
    ) {
        self.delivered_events.add(events * connections);
        self.delivered_bytes.add(bytes as u64 * connections);
        self.count_latency(latency_ns, events * connections);
    }

    /// The same, where the time that it took says nothing.
    pub(crate) fn count_untimed(&self, events: u64, bytes: usize, connections: u64) {
        self.delivered_events.add(events * connections);
        self.delivered_bytes.add(bytes as u64 * connections);
    }

    /// Counts deliveries that took a time.
    fn count_latency(&self, ns: u64, deliveries: u64) {
        self.latency[bucket(ns)].add(deliveries);
        self.latency_sum_ns.add(ns.saturating_mul(deliveries));
    }
}

/// A number that one thread writes and any thread reads.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.value().wrapping_add(n), Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, n: u64) {
        self.0.store(self.value().wrapping_sub(n), Ordering::Relaxed);
    }

    /// A part of what it adds up has changed.
    pub(crate) fn change(&self, before: usize, after: usize) {
        self.add((after as u64).wrapping_sub(before as u64));
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_error_of_a_socket_is_a_reason() {
        for (number, reason) in [
            (libc::ETIMEDOUT, DisconnectReason::TimedOut),
            (libc::EHOSTUNREACH, DisconnectReason::TimedOut),
            (libc::ENETUNREACH, DisconnectReason::TimedOut),
            (libc::ECONNREFUSED, DisconnectReason::TimedOut),
            (libc::ECONNRESET, DisconnectReason::Reset),
            (libc::ECONNABORTED, DisconnectReason::Reset),
            (libc::EPIPE, DisconnectReason::ClientClosed),
            (libc::EIO, DisconnectReason::Error),
        ] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(DisconnectReason::of(&error), reason, "{error}");
        }
    }

    #[test]
    fn each_reason_has_its_own_count() {
        let counters = Counters::default();
        for (times, reason) in GapReason::all().enumerate() {
            (0..times).for_each(|_| counters.count_gap(reason));
        }
        for (times, reason) in DisconnectReason::all().enumerate() {
            counters.count_disconnects(reason, times as u64);
        }
        let mut metrics = Metrics::default();
        counters.add_to(&mut metrics);
        for (times, reason) in GapReason::all().enumerate() {
            assert_eq!(metrics.gap_events(reason), times as u64, "{reason}");
        }
        for (times, reason) in DisconnectReason::all().enumerate() {
            assert_eq!(metrics.disconnects(reason), times as u64, "{reason}");
        }
    }

    #[test]
    fn a_latency_is_counted_within_its_bound() {
        let counters = Counters::default();
        counters.count_latency(100_000, 98);
        counters.count_latency(100_001, 1);
        counters.count_latency(u64::MAX, 1);
        let mut metrics = Metrics::default();
        counters.add_to(&mut metrics);
        let counts: Vec<_> = metrics.latency.buckets().map(|(_, count)| count).collect();
        assert_eq!((&counts[..3], counts.last()), (&[98, 1, 0][..], Some(&1)));
        assert_eq!(metrics.latency.quantile(0.5), Some(Duration::from_micros(100)));
        assert_eq!(metrics.latency.quantile(0.99), Some(Duration::from_micros(250)));
        assert_eq!(metrics.latency.quantile(1.0), None);
    }
}
