//! Every option of the engine, with its bounds and default. `docs/options.md` lists them in one
//! table.

pub(crate) mod chained;
#[cfg(test)]
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod tests;
mod topic;

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use self::chained::chained;
pub(crate) use self::topic::RULES_MAX;
pub use self::topic::{Rule, RuleError, TopicOptions};
use crate::cluster::ClusterOptions;
use crate::durability::Durability;
use crate::event::Event;
use crate::heartbeat::HeartbeatForm;
use crate::lifecycle::ConnectionId;
use crate::policy::Policy;

chained! {
    /// How a [`Hub`](crate::Hub) behaves and where its bounds are. Each option has a default, a
    /// field to read it, and a setter of the field's name.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{Hub, Options};
    ///
    /// let options = Options::default().shards(1).heartbeat(Duration::from_secs(30));
    /// let hub = Hub::start(options)?;
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub struct Options {
        /// Shards, 1 to 256. Each owns its share of the connections. Default: one for each core.
        pub shards: usize,
        /// How long a connection may be silent before it is sent a heartbeat, 100 ms to 1 day; zero
        /// turns heartbeats off. Default: 15 s.
        pub heartbeat: Duration,
        /// What a heartbeat is, and the first block of a stream; a client may choose another form,
        /// with `heartbeat=NAME` in the query. Default: a block that fires no event, with the id to
        /// come back with, or a comment where there is none.
        pub heartbeat_form: HeartbeatForm,
        /// The reconnection time that a client is told when it connects, at most 1 day; each client
        /// gets one drawn from this to twice this, so that clients do not come back in the same
        /// moment. Zero tells nothing. Default: 2 s.
        pub retry: Duration,
        /// The most bytes of data and comment in one event, at most 64 MiB. Default: 1 MiB.
        pub event_bytes_max: usize,
        /// The most bytes that are gathered into one batch, 1 byte to 16 MiB; a batch always holds
        /// at least one event, and a client is sent at least as far as the clients before it in the
        /// round were. Larger batches (with a backlog as large) give more throughput and more
        /// latency. Default: 40 KiB.
        pub batch_bytes_max: usize,
        /// A topic is full when this many bytes of its events wait to be sent, at least 1 byte. An
        /// event waits until all clients that want it and keep up have been sent it. Default: 40
        /// KiB.
        pub topic_backlog_bytes_max: usize,
        /// The hub is full when this many bytes over all topics wait to be sent, at least 1 byte,
        /// each event with 256 bytes more for what the engine keeps with it. Default: 64 MiB.
        pub backlog_bytes_max: usize,
        /// The most events of a topic that are kept for clients that come back, any number. Zero
        /// keeps nothing: then a client that comes back is told that it may have missed something.
        /// Default: 1,000.
        pub history_events_max: usize,
        /// The most bytes of a topic's events that are kept, each event with 256 bytes more for
        /// what the engine keeps with it; any number. The newest event of a topic is kept however
        /// large it is. Default: 1 MiB.
        pub history_bytes_max: usize,
        /// How long an event is kept, at most 7 days. Default: 5 min.
        pub history_age_max: Duration,
        /// The most bytes that are kept over all topics, each topic that has events or is finished
        /// with 512 bytes more; the events go first that would be the first to be too old, and the
        /// newest one stays. Any number. Default: 64 MiB.
        pub history_total_bytes_max: usize,
        /// The name of the event by which a client is told that events are missing from its stream:
        /// 1 to 256 bytes without CR, LF or NUL, and none of `message`, `open` and `error`, which
        /// an `EventSource` has other events for. No event of this name can be published. Default:
        /// `fanfare-gap`.
        pub gap_event: String as (impl Into<String> => gap_event.into()),
        /// What happens to a connection that lags by more than the next two options allow; a client
        /// may choose another policy, see
        /// [`ListenOptions::policies`](crate::ListenOptions::policies). Default: disconnect.
        pub policy: Policy,
        /// The most bytes that a connection may lag behind its audience, beyond one batch, each
        /// event with 256 bytes more for what the engine keeps with it. Any number; at zero a
        /// connection may lag by one batch. Default: 1 MiB.
        pub lag_bytes_max: usize,
        /// The longest time for which a connection may lag, at least `lag_grace`. Default: 30 s.
        pub lag_age_max: Duration,
        /// How old what a connection is being sent may get while publishers wait for it, at most
        /// `lag_age_max`. It concerns a connection that lags by too many bytes and would be
        /// disconnected for that: publishers wait for it as long as it takes something at least
        /// every tenth of this time, within the share of the time that `lag_grace_percent` allows.
        /// So a burst of a publisher does not cut clients that take `lag_bytes_max` in this time.
        /// Zero waits for no connection. Default: 1 s.
        pub lag_grace: Duration,
        /// The share of the time for which publishers wait for such connections, in percent, 0 to
        /// 100: beyond that they are disconnected, so that clients which read slowly, be it on
        /// purpose, do not slow publishers down. It holds for each audience, and over all; a fifth
        /// of `lag_grace` may be saved up. A connection is waited for when it is at least 2 s old.
        /// At 100 all are waited for, however long that is: for a hub whose clients are trusted.
        /// Default: 5.
        pub lag_grace_percent: u8,
        /// The most bytes that all audiences together keep for connections that lag, at least 1
        /// byte, and one batch an audience beyond that. When it is reached, an audience that is to
        /// grow first applies the policies of the connections that need its oldest events; if that
        /// is not enough, it disconnects the connections with events that are kept outside of its
        /// own queue. Default: 256 MiB.
        pub lag_total_bytes_max: usize,
        /// How long the socket of a connection that there is something to send to may take nothing,
        /// 100 ms to 1 day; then the connection is ended, whatever its policy, at most a quarter of
        /// this time later. Zero is no bound. `lag_age_max` may come first: what waits is as a rule
        /// older than what the socket took last. Default: 30 s.
        pub stall_time_max: Duration,
        /// The most connections, 1 to 10,000,000. An eighth and 16 more sockets may be open for a
        /// moment, of clients that have not sent their request, or are told that there are too many
        /// (at most 256 where descriptors are the bound). When the hub starts, the bound is
        /// lowered, and a warning logged, if all of these do not fit into the files that the
        /// process may have open (`RLIMIT_NOFILE`), less those that are open and a quarter, at most
        /// 640, for everything else; [`Metrics::connections_max`](crate::Metrics) is the bound in
        /// force. Default: 100,000.
        pub connections_max: usize,
        /// The most connections from one address (from one /64 network in IPv6). Zero is no bound,
        /// since behind a proxy that is not
        /// [trusted](crate::ListenOptions::trusted_proxies) all clients have the proxy's address.
        /// Default: zero.
        pub connections_per_address_max: usize,
        /// The most topics and filters that all connections may ask for together, each counted with
        /// each connection, 1 to 100,000,000. A connection that asks for more is refused, and told
        /// that there are too many. A topic that no other connection has takes some 600 bytes.
        /// Default: 1,000,000.
        pub subscriptions_max: usize,
        /// The same for the connections from one address (from one /64 network in IPv6). Zero is no
        /// bound, since behind a proxy that is not
        /// [trusted](crate::ListenOptions::trusted_proxies) all clients have the proxy's address.
        /// Default: zero.
        pub subscriptions_per_address_max: usize,
        /// How old a connection may get, 1 s to 30 days; zero is any age. One that is older, by up
        /// to a quarter of this which is drawn for each, is sent everything, told a reconnection
        /// time as when it came, and closed: so clients spread anew over servers that have come or
        /// gone, and not all at once. One that still lags then is closed after another quarter.
        /// Default: zero.
        pub connection_age_max: Duration,
        /// How long a topic that was [finished](crate::Hub::finish) is known, at most 7 days: for
        /// this time nothing can be published to it, and a client that comes late is sent what is
        /// kept, and the end. Then the topic is forgotten with its events, and its name is free.
        /// Its events may be forgotten earlier, within the bounds above; of more than 65,536
        /// finished topics the one is forgotten whose time is over first. Default: 5 min.
        pub finished_age_max: Duration,
        /// A folder in which the hub keeps what it keeps in memory as well: the events of the topics'
        /// histories, finished topics and rules. After a restart with the same folder the hub has
        /// them, clients come back with the ids that they had and miss nothing, and numbers go on.
        /// The folder is made if it is missing, and belongs to one hub at a time. Default: none.
        pub data_dir: Option<PathBuf> as (impl Into<PathBuf> => Some(data_dir.into())),
        /// What is promised of an event that was accepted, if there is a `data_dir`. Default:
        /// interval.
        pub durability: Durability,
        /// How long an event may be with the operating system alone before the disk is told to
        /// take it, 1 ms to 1 min, if the durability is `interval`. Default: 50 ms.
        pub sync_interval: Duration,
        /// A publisher finds the hub full when this many bytes wait to be written into the `data_dir`, at
        /// least 1 byte. Default: 16 MiB.
        pub journal_backlog_bytes_max: usize,
        /// The cluster that the hub is a node of: its hubs have one order of events, in a stream of a Redis or
        /// Valkey server. Not together with `data_dir`. Default: none.
        pub cluster: Option<ClusterOptions> as (ClusterOptions => Some(cluster)),
    }
}

/// The largest `shards`.
const SHARDS_MAX: usize = 256;
/// The largest `event_bytes_max`: a frame's size stays within 32 bits, even if every byte of the
/// data is a line break.
const EVENT_BYTES_MAX: usize = 64 << 20;
const BATCH_BYTES_MAX: usize = 16 << 20;
/// The shortest `heartbeat` and `stall_time_max`: what the shard's clock can tell.
const TICK: Duration = Duration::from_millis(100);
/// The largest `connections_max`: with an eighth more for connections that are turned away, all may
/// be in one shard, where an entry has a number of 24 bits.
const CONNECTIONS_MAX: usize = 10_000_000;
const _: () = assert!(CONNECTIONS_MAX + CONNECTIONS_MAX / 8 + 16 < ConnectionId::INDICES_MAX);
/// The largest `subscriptions_max`: their keys have 32 bits.
const SUBSCRIPTIONS_MAX: usize = 100_000_000;
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Options {
    fn default() -> Options {
        Options {
            shards: cores().min(SHARDS_MAX),
            heartbeat: Duration::from_secs(15),
            heartbeat_form: HeartbeatForm::Id,
            retry: Duration::from_secs(2),
            event_bytes_max: 1 << 20,
            batch_bytes_max: 40 << 10,
            topic_backlog_bytes_max: 40 << 10,
            backlog_bytes_max: 64 << 20,
            history_events_max: 1_000,
            history_bytes_max: 1 << 20,
            history_age_max: Duration::from_secs(5 * 60),
            history_total_bytes_max: 64 << 20,
            gap_event: "fanfare-gap".to_owned(),
            policy: Policy::Disconnect,
            lag_bytes_max: 1 << 20,
            lag_age_max: Duration::from_secs(30),
            lag_grace: Duration::from_secs(1),
            lag_grace_percent: 5,
            lag_total_bytes_max: 256 << 20,
            stall_time_max: Duration::from_secs(30),
            connections_max: 100_000,
            connections_per_address_max: 0,
            subscriptions_max: 1_000_000,
            subscriptions_per_address_max: 0,
            connection_age_max: Duration::ZERO,
            finished_age_max: Duration::from_secs(5 * 60),
            data_dir: None,
            durability: Durability::Interval,
            sync_interval: Duration::from_millis(50),
            journal_backlog_bytes_max: 16 << 20,
            cluster: None,
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Draws from a time to twice that time, so that clients do not come back in the same moment.
pub(crate) fn jittered(time: Duration) -> Duration {
    time.mul_f64(1.0 + fastrand::f64())
}

/// An option outside its bounds, of a hub, a listener or a drain.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, Options, StartError};
///
/// let Err(StartError::Options(error)) = Hub::start(Options::default().shards(0)) else {
///     panic!("a hub has at least one shard");
/// };
/// assert_eq!((error.option, &*error.bounds), ("shards", "1 to 256"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionsError {
    /// The option's name.
    pub option: &'static str,
    /// What it may be, as `docs/options.md` says; for an option with several entries, also which of
    /// them is wrong.
    pub bounds: Cow<'static, str>,
}

/// Names of events that an `EventSource` fires already: for events without a name, and for changes
/// of its connection (WHATWG HTML, section "Server-sent events").
const EVENT_SOURCES_OWN: [&str; 3] = ["message", "open", "error"];

impl Options {
    /// Checks every option against its bounds, as [`Hub::start`](crate::Hub::start) does.
    ///
    /// # Errors
    ///
    /// The first option that is outside of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Options;
    ///
    /// assert_eq!(Options::default().check(), Ok(()));
    /// let error = Options::default().lag_grace_percent(101).check().unwrap_err();
    /// assert_eq!(error.option, "lag_grace_percent");
    /// ```
    pub fn check(&self) -> Result<(), OptionsError> {
        let zero_or_ticks = |time: Duration| time.is_zero() || (TICK..=DAY).contains(&time);
        within((1..=SHARDS_MAX).contains(&self.shards), "shards", "1 to 256")?;
        within(zero_or_ticks(self.heartbeat), "heartbeat", "0, or 100 ms to 1 day")?;
        within(self.retry <= DAY, "retry", "at most 1 day")?;
        within(self.event_bytes_max <= EVENT_BYTES_MAX, "event_bytes_max", "at most 64 MiB")?;
        within(
            (1..=BATCH_BYTES_MAX).contains(&self.batch_bytes_max),
            "batch_bytes_max",
            "1 byte to 16 MiB",
        )?;
        within(self.topic_backlog_bytes_max > 0, "topic_backlog_bytes_max", "at least 1 byte")?;
        within(self.backlog_bytes_max > 0, "backlog_bytes_max", "at least 1 byte")?;
        within(self.lag_total_bytes_max > 0, "lag_total_bytes_max", "at least 1 byte")?;
        within(zero_or_ticks(self.stall_time_max), "stall_time_max", "0, or 100 ms to 1 day")?;
        within(
            (1..=CONNECTIONS_MAX).contains(&self.connections_max),
            "connections_max",
            "1 to 10,000,000",
        )?;
        within(
            (1..=SUBSCRIPTIONS_MAX).contains(&self.subscriptions_max),
            "subscriptions_max",
            "1 to 100,000,000",
        )?;
        let age = self.connection_age_max;
        let age_is_right = age.is_zero() || (SECOND..=30 * DAY).contains(&age);
        within(age_is_right, "connection_age_max", "0, or 1 s to 30 days")?;
        within(self.lag_age_max >= self.lag_grace, "lag_age_max", "at least lag_grace")?;
        within(self.lag_grace_percent <= 100, "lag_grace_percent", "0 to 100")?;
        within(self.history_age_max <= 7 * DAY, "history_age_max", "at most 7 days")?;
        within(self.finished_age_max <= 7 * DAY, "finished_age_max", "at most 7 days")?;
        let path = self.data_dir.as_ref().map(|folder| folder.as_os_str().as_encoded_bytes());
        within(
            path.is_none_or(|path| !path.is_empty() && !path.contains(&0)),
            "data_dir",
            "a folder that can be written, or that can be made",
        )?;
        let interval_is_right = (MILLISECOND..=60 * SECOND).contains(&self.sync_interval);
        within(interval_is_right, "sync_interval", "1 ms to 1 min")?;
        within(self.journal_backlog_bytes_max > 0, "journal_backlog_bytes_max", "at least 1 byte")?;
        if let Some(cluster) = &self.cluster {
            cluster.check()?;
            within(self.data_dir.is_none(), "cluster", "given without data_dir")?;
        }
        within(
            is_name_of_gaps(&self.gap_event),
            "gap_event",
            "1 to 256 bytes without CR, LF or NUL, and none of message, open, error and \
             fanfare-heartbeat",
        )
    }
}

fn is_name_of_gaps(name: &str) -> bool {
    let is_plain = Event::empty().with_retry(DAY).with_name(name).check(0).is_ok();
    is_plain && name != HeartbeatForm::EVENT_NAME && !EVENT_SOURCES_OWN.contains(&name)
}

/// An error where an option is not within its bounds.
pub(crate) fn within(
    ok: bool,
    option: &'static str,
    bounds: &'static str,
) -> Result<(), OptionsError> {
    match ok {
        true => Ok(()),
        false => Err(OptionsError { option, bounds: bounds.into() }),
    }
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OptionsError { option, bounds } = self;
        match *option {
            // Their bounds say which of several entries is wrong, and why.
            "authorizer" | "cluster" | "cluster_url" | "cors" | "headers" | "hosts" | "routes" => {
                write!(f, "the option {option} is wrong: {bounds}")
            }
            _ => write!(f, "the option {option} is out of bounds: it may be {bounds}"),
        }
    }
}

impl std::error::Error for OptionsError {}
