//! What a host sees of its connections: their ids, and what can be asked about them.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::excerpt::Excerpt;
use crate::filter::Subscription;
use crate::options::chained::chained;
use crate::policy::Policy;

/// Names one event stream of a hub for as long as it lives, and nothing afterwards: the id of a
/// stream that has ended finds nothing, also when another stream has its entry by then. Ids have no
/// order.
///
/// # Examples
///
/// ```
/// use fanfare::ConnectionId;
///
/// let id = ConnectionId::from_u64(1 << 32);
/// assert_eq!(id.to_string(), "4294967296");
/// assert_eq!("4294967296".parse(), Ok(id));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(u64);

/// A text is not the id of a connection: it is no whole number of 64 bits.
///
/// # Examples
///
/// ```
/// use fanfare::{ConnectionId, ConnectionIdError};
///
/// let error: ConnectionIdError = "first".parse::<ConnectionId>().unwrap_err();
/// assert!(error.to_string().starts_with("\"first\" is no connection's id;"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionIdError {
    text: Excerpt,
}

impl ConnectionId {
    /// Entries that a shard may have: an index has 24 bits.
    pub(crate) const INDICES_MAX: usize = 1 << 24;

    /// The id as a number, as it is written out.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::ConnectionId;
    ///
    /// assert_eq!(ConnectionId::from_u64(7).to_u64(), 7);
    /// ```
    #[must_use]
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// The id that is written as a number. Any number is an id; most find nothing. A text is read
    /// with [`str::parse`].
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::ConnectionId;
    ///
    /// let id = ConnectionId::from_u64(4_294_967_296);
    /// assert_eq!(id.to_string(), "4294967296");
    /// ```
    #[must_use]
    pub fn from_u64(number: u64) -> ConnectionId {
        ConnectionId(number)
    }

    /// An entry's generation, which is never zero, its shard, and its index there.
    pub(crate) fn new(generation: u32, shard: usize, index: u32) -> ConnectionId {
        debug_assert!(shard < 256 && (index as usize) < ConnectionId::INDICES_MAX);
        ConnectionId(u64::from(generation) << 32 | (shard as u64) << 24 | u64::from(index))
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn shard(self) -> usize {
        (self.0 >> 24 & 0xff) as usize
    }

    pub(crate) fn index(self) -> u32 {
        self.0 as u32 & (ConnectionId::INDICES_MAX as u32 - 1)
    }
}

impl FromStr for ConnectionId {
    type Err = ConnectionIdError;

    fn from_str(text: &str) -> Result<ConnectionId, ConnectionIdError> {
        let number = text.parse().map_err(|_| ConnectionIdError { text: Excerpt::of(text) })?;
        Ok(ConnectionId(number))
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({self})")
    }
}

impl fmt::Display for ConnectionIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no connection's id; give one as a hub has listed it", self.text)
    }
}

impl std::error::Error for ConnectionIdError {}

/// How a connection is doing.
///
/// # Examples
///
/// ```
/// use fanfare::{ConnectionFilter, ConnectionState, Hub, Options};
///
/// let hub = Hub::start(Options::default())?;
/// let all = hub.connections(&ConnectionFilter::default())?;
/// let replaying = all.iter().filter(|client| client.state == ConnectionState::Replaying);
/// assert_eq!(replaying.count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// It takes what it is sent.
    Live,
    /// Its socket did not take all there was for it.
    Lagging,
    /// It is sent what it has missed.
    Replaying,
}

impl ConnectionState {
    /// A short name for logs and listings.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::ConnectionState;
    ///
    /// assert_eq!(ConnectionState::Lagging.as_str(), "lagging");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ConnectionState::Live => "live",
            ConnectionState::Lagging => "lagging",
            ConnectionState::Replaying => "replaying",
        }
    }
}

/// A connection, as it was at one moment; see [`Hub::connections`](crate::Hub::connections).
///
/// # Examples
///
/// ```
/// use fanfare::{ConnectionFilter, ConnectionInfo, Hub, Options};
///
/// let hub = Hub::start(Options::default())?;
/// let all: Vec<ConnectionInfo> = hub.connections(&ConnectionFilter::default())?;
/// for ConnectionInfo { id, addr, events, .. } in all {
///     println!("{id} at {addr:?} was sent {events} events");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its id.
    pub id: ConnectionId,
    /// What it is subscribed to, each once, in no order.
    pub subscriptions: Vec<Subscription>,
    /// The client's address, as a trusted proxy says it; `None` if it has none, as at a Unix
    /// domain socket.
    pub addr: Option<SocketAddr>,
    /// What the client calls itself. A label that any client can claim, see
    /// [`ListenOptions`](crate::ListenOptions).
    pub tag: Option<Arc<str>>,
    /// Since when it is an event stream.
    pub since: SystemTime,
    /// The number of events that its socket took whole.
    pub events: u64,
    /// Bytes of events that its socket took, in the envelope that its client asked for: of the bare
    /// event stream, without the sizes and ends of chunks, the response's head, reconnection times
    /// and heartbeats.
    pub bytes: u64,
    /// How it is doing.
    pub state: ConnectionState,
    /// The number of events that it has yet to be sent, with the one that was begun. While it
    /// replays, only the events that were gathered for it are known.
    pub lag_events: u64,
    /// Their bytes that it has yet to be sent, in the same form as `bytes`.
    pub lag_bytes: u64,
    /// How long ago the oldest event was published that it has not taken whole; zero when there is
    /// none. While it has something to take that is for it alone, as when it replays, at least how
    /// long ago it last took something.
    pub lag_age: Duration,
    /// What happens to it when it lags too far.
    pub policy: Policy,
}

chained! {
    /// Which connections are listed, and how many at most; see
    /// [`Hub::connections`](crate::Hub::connections).
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{ConnectionFilter, Hub, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// // Which client is slow?
    /// for client in hub.connections(&ConnectionFilter::slowest(10))? {
    ///     println!("{} at {:?} lags by {:?}", client.id, client.addr, client.lag_age);
    /// }
    /// let of_user_7 = ConnectionFilter::default().tag("7").limit(100);
    /// println!("{} streams of user 7", hub.connections(&of_user_7)?.len());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ConnectionFilter {
        /// Only connections with this subscription: a connection that gets a topic by a filter is
        /// found by the filter. Default: all.
        pub subscription: Option<Subscription>
            as (impl Into<Subscription> => Some(subscription.into())),
        /// Only connections with this tag. Default: all.
        pub tag: Option<Arc<str>> as (impl Into<Arc<str>> => Some(tag.into())),
        /// Only connections that lag or replay. Default: all.
        pub lagging: bool,
        /// Lists the connections that lag most first, by age and then by events; of more than
        /// `limit` it lists those. Otherwise the list has no order, and of more than `limit`
        /// connections any are listed. Default: no.
        pub slowest_first: bool,
        /// The most that are listed, at most [`ConnectionFilter::LIMIT_MAX`]. Default: 1,000.
        pub limit: usize,
    }
}

impl ConnectionFilter {
    /// The largest `limit`; a larger one counts as this.
    pub const LIMIT_MAX: usize = 1_000_000;

    /// The connections that lag, at most `limit`, the ones that lag most first.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::ConnectionFilter;
    ///
    /// let filter = ConnectionFilter::slowest(10);
    /// assert!(filter.lagging && filter.slowest_first);
    /// ```
    #[must_use]
    pub fn slowest(limit: usize) -> ConnectionFilter {
        let lagging = true;
        ConnectionFilter { lagging, slowest_first: true, limit, ..ConnectionFilter::default() }
    }
}

impl Default for ConnectionFilter {
    fn default() -> ConnectionFilter {
        ConnectionFilter {
            subscription: None,
            tag: None,
            lagging: false,
            slowest_first: false,
            limit: 1_000,
        }
    }
}

/// A topic or filter that has subscribers, and how many; see
/// [`Hub::subscription_counts`](crate::Hub::subscription_counts).
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, Options, SubscriptionCount};
///
/// let hub = Hub::start(Options::default())?;
/// for SubscriptionCount { subscription, subscribers, .. } in hub.subscription_counts(10)? {
///     println!("{subscription} has {subscribers} subscribers");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionCount {
    /// The topic, or the filter.
    pub subscription: Subscription,
    /// The number of connections that asked for it by this name: a connection that gets a topic by
    /// a filter counts for the filter.
    pub subscribers: u64,
}

/// Which connections are disconnected, see [`Hub::disconnect`](crate::Hub::disconnect).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use fanfare::{ConnectionSelector, Hub, Options};
///
/// let hub = Hub::start(Options::default())?;
/// let of_user_7 = ConnectionSelector::Tag("7".into());
/// assert_eq!(hub.disconnect(&of_user_7, Duration::ZERO)?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionSelector {
    /// The connection of this id, if it has not ended yet.
    One(ConnectionId),
    /// All that have this subscription. A connection that gets a topic by a filter is meant by that
    /// filter, and not by the topic.
    Subscription(Subscription),
    /// All with this tag.
    Tag(Arc<str>),
    /// All.
    All,
}

/// Why a hub could not say or do something about its connections, or not about all of them.
///
/// # Examples
///
/// ```
/// use fanfare::{AdminError, ConnectionId, Hub, Options};
///
/// let hub = Hub::start(Options::default())?;
/// let refused = hub.set_subscriptions(ConnectionId::from_u64(7), &[]);
/// assert_eq!(refused, Err(AdminError::NoSubscription));
/// # Ok::<(), fanfare::StartError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdminError {
    /// A shard has too many commands or questions waiting; try again.
    Busy,
    /// A shard did not answer within [`AdminError::TIME_MAX`]: its thread has no processor, or the
    /// host does not drive it.
    TooLate,
    /// There is no topic: to have a connection get nothing any more, disconnect it.
    NoSubscription,
    /// There are more than [`AdminError::SUBSCRIPTIONS_AT_ONCE_MAX`] topics and filters.
    TooManySubscriptions,
    /// The connection is still being sent what it has missed, or what waited for it when its topics
    /// were changed the last time; try again when it has taken some of that.
    CatchingUp,
    /// The hub is in no cluster, so that there are no other nodes to ask.
    NoCluster,
    /// [`AdminError::CLUSTER_QUESTIONS_MAX`] questions of this hub to its cluster are on their way; try again.
    TooManyQuestions,
    /// The server of the hub's cluster did not pass a question on to the other nodes.
    #[non_exhaustive]
    Unreachable {
        /// What it, or the system, said.
        reason: String,
    },
}

impl AdminError {
    /// How long shards are waited for.
    pub const TIME_MAX: Duration = Duration::from_secs(10);
    /// How many questions of a hub to its cluster may be on their way at once.
    pub const CLUSTER_QUESTIONS_MAX: usize = 16;
    /// The most topics and filters that a connection is given at once, by
    /// [`Hub::set_subscriptions`](crate::Hub::set_subscriptions).
    pub const SUBSCRIPTIONS_AT_ONCE_MAX: usize = 65_536;
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            AdminError::Busy => "a shard has too much to do; try again",
            AdminError::TooLate => "a shard did not answer in time; see that it runs",
            AdminError::NoSubscription => {
                "there is no topic; give one, or disconnect the connection"
            }
            AdminError::TooManySubscriptions => {
                let most = AdminError::SUBSCRIPTIONS_AT_ONCE_MAX;
                return write!(f, "there are more than {most} topics and filters; give fewer");
            }
            AdminError::CatchingUp => {
                "the connection has yet to be sent what it has missed; try again"
            }
            AdminError::NoCluster => "the hub is in no cluster; start it with one, or ask it alone",
            AdminError::TooManyQuestions => {
                let most = AdminError::CLUSTER_QUESTIONS_MAX;
                return write!(f, "{most} questions to the cluster are on their way; try again");
            }
            AdminError::Unreachable { reason } => {
                return write!(
                    f,
                    "the cluster's server did not pass the question on ({reason}); see that it serves, and \
                     what its user may do (docs/cluster.md lists the commands)"
                );
            }
        };
        f.write_str(text)
    }
}

impl std::error::Error for AdminError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_holds_generation_shard_and_index() {
        let id = ConnectionId::new(u32::MAX, 255, (1 << 24) - 1);
        assert_eq!(id.to_u64(), u64::MAX);
        assert_eq!((id.generation(), id.shard(), id.index()), (u32::MAX, 255, (1 << 24) - 1));
        let id = ConnectionId::new(1, 2, 3);
        assert_eq!((id.generation(), id.shard(), id.index()), (1, 2, 3));
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "-1", "1.5", "18446744073709551616"] {
            assert!(text.parse::<ConnectionId>().is_err(), "{text}");
        }
    }
}
