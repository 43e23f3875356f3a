//! Streams that the host reads itself: how they are asked for.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use crate::event_stream::EventStream;
use crate::filter::Subscription;
use crate::frame::Wire;
use crate::hub::Hub;
use crate::metrics::DisconnectReason;
use crate::options::OptionsError;
use crate::pull::Pull;
use crate::shard::{Beyond, Exceeded, Peer, PullRequest, Told};
use crate::stream_options::StreamOptions;

impl Hub {
    /// Subscribes the host itself: what a socket would be sent, without a response's head, comes
    /// out of an [`EventStream`], so that any server can send it to its client, over any protocol:
    /// HTTP/2, TLS, a connection of its own. What is published after this call is in the stream, if
    /// it is of these topics and filters, of which there may be 1 to 65,536. (A hub that keeps no
    /// history may tell a gap instead of what was published before the shard has begun the stream.)
    ///
    /// The stream is a connection of the hub: it is in the same audiences as sockets without
    /// chunks, so that its batches are made once for all of them; the same bounds, policies,
    /// heartbeats and notices hold for it, and the host finds, changes and ends it as any other. It
    /// counts towards [`Options::connections_max`](crate::Options::connections_max), but takes no
    /// file descriptor.
    ///
    /// Takes a lock for a moment, and waits for no shard: it can be called from async code, and
    /// from a thread that drives a shard.
    ///
    /// # Errors
    ///
    /// When an option is out of bounds, there are no subscriptions or too many, a bound of the hub
    /// is reached, or the hub is closed or being drained.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{Event, Hub, Options, StreamOptions, Subscription, Topic};
    ///
    /// let hub = Hub::start(Options::default().retry(Duration::ZERO))?;
    /// let mut stream = hub.subscribe([Subscription::new("news")?], StreamOptions::default())?;
    /// hub.publish(&Topic::new("news")?, Event::new("hello"))?;
    ///
    /// let mut received = Vec::new();
    /// while !received.ends_with(b"data: hello\n\n") {
    ///     let batch = stream.wait(Duration::from_secs(10)).expect("it comes at once");
    ///     received.extend_from_slice(&batch?);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribe(
        &self,
        subscriptions: impl IntoIterator<Item = Subscription>,
        options: StreamOptions,
    ) -> Result<EventStream, SubscribeError> {
        let shared = self.share();
        options.check().map_err(SubscribeError::Options)?;
        let most = SubscribeError::SUBSCRIPTIONS_AT_ONCE_MAX;
        let wanted: Vec<Subscription> = subscriptions.into_iter().take(most + 1).collect();
        match wanted.len() {
            0 => return Err(SubscribeError::NoSubscription),
            count if count > most => return Err(SubscribeError::TooManySubscriptions),
            _ => {}
        }
        if shared.is_ending() {
            return Err(SubscribeError::Closed);
        }
        let bytes_max = options.queue_bytes_max.unwrap_or(StreamOptions::QUEUE_BYTES);
        let peer = Peer::known(options.addr);
        let request = shared.stream_request(wanted, options, Wire::Plain, Vec::new());
        if shared.is_behind(&request.resume) {
            let pull = Arc::new(Pull::ended(DisconnectReason::Drained));
            return Ok(EventStream::new(pull, shared, false));
        }
        if shared.order.has_nothing_for(&request.wanted, &request.resume) {
            shared.finished_answers.fetch_add(1, Ordering::Relaxed);
            let pull = Arc::new(Pull::ended(DisconnectReason::Finished));
            return Ok(EventStream::new(pull, shared, true));
        }
        let pull = Arc::new(Pull::new(bytes_max));
        let asked_at = shared.order.moment();
        let reserved =
            PullRequest::reserve(shared.limits(), asked_at, pull.clone(), request, peer)?;
        let (mut told, links) = (Told::Begins(Box::new(reserved)), &shared.links);
        let first = self.next_turn();
        for nth in 0..links.len() {
            match links[first.wrapping_add(nth) % links.len()].tell(told) {
                Ok(()) => return Ok(EventStream::new(pull, shared, false)),
                Err(back) => told = back,
            }
        }
        if let Told::Begins(request) = told {
            request.refuse(shared.limits(), DisconnectReason::Closed);
        }
        Err(SubscribeError::Closed)
    }
}

/// Why the host was not subscribed.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, Options, StreamOptions, SubscribeError};
///
/// let hub = Hub::start(Options::default())?;
/// let error = hub.subscribe([], StreamOptions::default()).unwrap_err();
/// assert!(matches!(error, SubscribeError::NoSubscription));
/// # Ok::<(), fanfare::StartError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// An option is out of its bounds.
    Options(OptionsError),
    /// There is nothing to subscribe to.
    NoSubscription,
    /// There are more than 65,536 topics and filters; or all connections, or those of this address,
    /// have as many as the hub's options allow.
    TooManySubscriptions,
    /// There are as many connections as the hub's options allow, in all or of this address.
    TooManyConnections,
    /// The hub is closed or being drained, or has no shard left.
    Closed,
}

impl SubscribeError {
    /// The most topics and filters that one stream may be subscribed to.
    const SUBSCRIPTIONS_AT_ONCE_MAX: usize = 65_536;

    /// How long a client should be told to wait before it comes again, as a value of `Retry-After`
    /// (RFC 9110, section 10.2.3); `None` where another try would fail as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::SubscribeError;
    ///
    /// assert_eq!(SubscribeError::NoSubscription.retry_after(), None);
    /// assert!(SubscribeError::TooManyConnections.retry_after().is_some());
    /// ```
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            SubscribeError::Options(_) | SubscribeError::NoSubscription => None,
            SubscribeError::TooManySubscriptions
            | SubscribeError::TooManyConnections
            | SubscribeError::Closed => Some(Duration::from_secs(5)),
        }
    }
}

impl From<Beyond> for SubscribeError {
    fn from(beyond: Beyond) -> SubscribeError {
        match beyond {
            Beyond::Connections(Exceeded::Total | Exceeded::Address) => {
                SubscribeError::TooManyConnections
            }
            Beyond::Subscriptions(Exceeded::Total | Exceeded::Address) => {
                SubscribeError::TooManySubscriptions
            }
        }
    }
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubscribeError::Options(error) => error.fmt(f),
            SubscribeError::NoSubscription => {
                f.write_str("there is nothing to subscribe to; name a topic or a filter")
            }
            SubscribeError::TooManySubscriptions => f.write_str(
                "too many topics and filters; name fewer, or raise subscriptions_max or \
                 subscriptions_per_address_max",
            ),
            SubscribeError::TooManyConnections => f.write_str(
                "too many connections; come again, or raise connections_max or \
                 connections_per_address_max",
            ),
            SubscribeError::Closed => {
                f.write_str("the hub is closed, being drained, or without a shard")
            }
        }
    }
}

impl std::error::Error for SubscribeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SubscribeError::Options(error) => std::error::Error::source(error),
            SubscribeError::NoSubscription
            | SubscribeError::TooManySubscriptions
            | SubscribeError::TooManyConnections
            | SubscribeError::Closed => None,
        }
    }
}
