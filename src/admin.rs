//! How a host learns of its connections, and ends them: the hub asks its shards, which answer
//! between their other work.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use async_io::Timer;
use futures_lite::future;

use crate::filter::Subscription;
use crate::hub::Hub;
use crate::lifecycle::{
    AdminError, ConnectionFilter, ConnectionId, ConnectionInfo, ConnectionSelector,
    SubscriptionCount,
};
use crate::notices::Notices;
use crate::receive;
use crate::shard::{Answer, Command, Query, QueryRequest, Shared};
use crate::topic::Topic;

/// The longest time after which a client is told to come back.
const RETRY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Hub {
    /// From now on, a notice of each connection that comes and goes, in a queue of `capacity`
    /// notices, at least 1 and at most 1,048,576. A notice that finds it full is lost; the next one
    /// says how many were, and [`Metrics::lost_notices`](crate::Metrics::lost_notices) counts them.
    /// Connections that exist already are notified of when they end.
    ///
    /// There is one queue: the receiver of an earlier one gets no more notices. Dropping the
    /// receiver ends the notices.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, NoticeKind, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let notices = hub.notices(10_000);
    /// let log = std::thread::spawn(move || {
    ///     for notice in notices {
    ///         match notice.kind {
    ///             NoticeKind::Disconnected { reason, events, .. } => {
    ///                 println!("{} had {events} events, {reason}", notice.id);
    ///             }
    ///             _ => println!("{} wants {:?}", notice.id, notice.subscriptions),
    ///         }
    ///     }
    /// });
    /// hub.close();
    /// log.join().unwrap();
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    pub fn notices(&self, capacity: usize) -> Notices {
        self.shared().notices.open(capacity)
    }

    /// Lists connections. Each shard goes through its own, a few thousand between its other work:
    /// each is described as it is at that moment, and connections that come and go meanwhile may be
    /// listed or not. Blocks the calling thread for about a millisecond per 10,000 connections and
    /// shard, so it must not be one that drives a shard: there use [`Hub::connections_async`].
    ///
    /// # Errors
    ///
    /// When a shard is too busy, or does not answer in time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{ConnectionFilter, Hub, Options, Subscription};
    /// # let hub = Hub::start(Options::default())?;
    /// let in_room_42 = ConnectionFilter::default().subscription(Subscription::new("rooms/42")?);
    /// for client in hub.connections(&in_room_42)? {
    ///     println!("{:?} since {:?}", client.addr, client.since);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connections(
        &self,
        filter: &ConnectionFilter,
    ) -> Result<Vec<ConnectionInfo>, AdminError> {
        waited(self.connections_untimed(filter))
    }

    /// Lists connections as [`Hub::connections`], under any executor.
    ///
    /// # Errors
    ///
    /// When a shard is too busy, or does not answer in time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{ConnectionFilter, Hub, Options};
    /// # let hub = Hub::start(Options::default())?;
    /// let slowest = ConnectionFilter::slowest(10);
    /// assert!(smol::block_on(hub.connections_async(&slowest))?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn connections_async(
        &self,
        filter: &ConnectionFilter,
    ) -> Result<Vec<ConnectionInfo>, AdminError> {
        timed(self.connections_untimed(filter)).await
    }

    /// One connection, as it is now; `None` if it has ended. Blocks as [`Hub::connections`], but for
    /// no longer than a shard's turn.
    ///
    /// # Errors
    ///
    /// When its shard is too busy, or does not answer in time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{ConnectionId, Hub, Options};
    /// # let hub = Hub::start(Options::default())?;
    /// let id = ConnectionId::from_u64(7);
    /// match hub.connection(id)? {
    ///     Some(client) => println!("{id} lags by {:?}", client.lag_age),
    ///     None => println!("{id} has ended"),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connection(&self, id: ConnectionId) -> Result<Option<ConnectionInfo>, AdminError> {
        waited(self.connection_untimed(id))
    }

    /// One connection as by [`Hub::connection`], under any executor.
    ///
    /// # Errors
    ///
    /// When its shard is too busy, or does not answer in time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{ConnectionId, Hub, Options};
    /// # let hub = Hub::start(Options::default())?;
    /// let info = hub.connection_async(ConnectionId::from_u64(7));
    /// assert!(smol::block_on(info)?.is_none(), "there is no such connection");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn connection_async(
        &self,
        id: ConnectionId,
    ) -> Result<Option<ConnectionInfo>, AdminError> {
        timed(self.connection_untimed(id)).await
    }

    /// How many connections get a topic's events, by its name or by filters, each counted once.
    /// Blocks as [`Hub::connections`], but for no longer than a shard's turn.
    ///
    /// # Errors
    ///
    /// When a shard is too busy, or does not answer in time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Hub, Options, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// assert_eq!(hub.subscribers(&Topic::new("rooms/42")?)?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribers(&self, topic: &Topic) -> Result<u64, AdminError> {
        waited(self.subscribers_untimed(topic))
    }

    /// Counts as [`Hub::subscribers`], under any executor.
    ///
    /// # Errors
    ///
    /// When a shard is too busy, or does not answer in time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Hub, Options, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// let topic = Topic::new("rooms/42")?;
    /// assert_eq!(smol::block_on(hub.subscribers_async(&topic))?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn subscribers_async(&self, topic: &Topic) -> Result<u64, AdminError> {
        timed(self.subscribers_untimed(topic)).await
    }

    /// The topics and filters with the most subscribers, most first, at most `limit`. All that have
    /// a subscriber are read and held in memory for a moment. Blocks as [`Hub::connections`].
    ///
    /// # Errors
    ///
    /// When a shard is too busy, or does not answer in time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Hub, Options};
    /// # let hub = Hub::start(Options::default())?;
    /// for count in hub.subscription_counts(10)? {
    ///     println!("{}: {}", count.subscription, count.subscribers);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscription_counts(&self, limit: usize) -> Result<Vec<SubscriptionCount>, AdminError> {
        waited(self.subscription_counts_untimed(limit))
    }

    /// Counts as [`Hub::subscription_counts`], under any executor.
    ///
    /// # Errors
    ///
    /// When a shard is too busy, or does not answer in time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Hub, Options};
    /// # let hub = Hub::start(Options::default())?;
    /// assert!(smol::block_on(hub.subscription_counts_async(10))?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn subscription_counts_async(
        &self,
        limit: usize,
    ) -> Result<Vec<SubscriptionCount>, AdminError> {
        timed(self.subscription_counts_untimed(limit)).await
    }

    /// Ends connections, and returns how many: those that exist when it is called, and none that
    /// has come back meanwhile. Each is told to come back after a random time, from `retry` to
    /// twice that, at most 1 day; zero tells nothing. Then its stream ends: between two events with
    /// the end of the body, or within an event if the connection lags there. Their reason is
    /// [`DisconnectReason::Kicked`](crate::DisconnectReason::Kicked).
    ///
    /// An `EventSource` comes back by itself after its reconnection time, so this alone keeps no
    /// client out. Blocks as [`Hub::connections`].
    ///
    /// # Errors
    ///
    /// When a shard is too busy, or does not answer in time. Some may have been ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{ConnectionSelector, Hub, Options, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// let selector = ConnectionSelector::Subscription(Topic::new("rooms/42")?.into());
    /// let ended = hub.disconnect(&selector, Duration::from_secs(30))?;
    /// println!("room 42 is closed; {ended} connections were in it");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn disconnect(
        &self,
        selector: &ConnectionSelector,
        retry: Duration,
    ) -> Result<u64, AdminError> {
        waited(self.disconnect_untimed(selector, retry))
    }

    /// Ends connections as [`Hub::disconnect`], under any executor. Dropping the future may leave
    /// some of them.
    ///
    /// # Errors
    ///
    /// When a shard is too busy, or does not answer in time. Some may have been ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{ConnectionSelector, Hub, Options};
    /// # let hub = Hub::start(Options::default())?;
    /// let ended = hub.disconnect_async(&ConnectionSelector::All, Duration::from_secs(30));
    /// assert_eq!(smol::block_on(ended)?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn disconnect_async(
        &self,
        selector: &ConnectionSelector,
        retry: Duration,
    ) -> Result<u64, AdminError> {
        timed(self.disconnect_untimed(selector, retry)).await
    }

    /// Changes what a live connection gets to the events of these topics and filters, each of which
    /// counts once. False if it has ended.
    ///
    /// It happens between two events: everything that was published before goes by the old topics,
    /// also if the client has yet to be sent it, and everything after by the new ones. So of a
    /// topic that it keeps nothing is lost, doubled or out of order. Of a new one it gets what is
    /// published from now on and nothing older.
    ///
    /// The client is not told. It keeps its URL: when it reconnects, it asks for what that says,
    /// and is sent what was published to those topics since the last id that it had. A host that
    /// wants other topics to stay changes them again when it is told of the connection by a
    /// [notice](Hub::notices).
    ///
    /// The host decides: what the stream was granted ([`Grant`](crate::Grant)) does not bound this.
    ///
    /// Blocks as [`Hub::connections`], but for no longer than a shard's turn.
    ///
    /// # Errors
    ///
    /// When there are no topics or too many; when the client came back and is still being sent what
    /// it has missed, or is so slow that what waited for it at the last change is too much with
    /// what waits by now; when the shard is too busy, or does not answer in time. Except in the
    /// last case, the connection has the topics that it had.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{ConnectionFilter, Hub, Options, Subscription};
    /// # let hub = Hub::start(Options::default())?;
    /// let wanted = [Subscription::new("rooms/42")?, Subscription::new("users/7/#")?];
    /// for client in hub.connections(&ConnectionFilter::default().tag("7"))? {
    ///     if !hub.set_subscriptions(client.id, &wanted)? {
    ///         println!("{} has ended", client.id);
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_subscriptions(
        &self,
        id: ConnectionId,
        wanted: &[Subscription],
    ) -> Result<bool, AdminError> {
        waited(self.set_subscriptions_untimed(id, wanted))
    }

    /// Changes topics as [`Hub::set_subscriptions`], under any executor. Dropping the future may
    /// leave them as they are.
    ///
    /// # Errors
    ///
    /// As [`Hub::set_subscriptions`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{ConnectionId, Hub, Options, Subscription};
    /// # let hub = Hub::start(Options::default())?;
    /// let (id, wanted) = (ConnectionId::from_u64(7), [Subscription::new("rooms/42")?]);
    /// let changed = hub.set_subscriptions_async(id, &wanted);
    /// assert!(!smol::block_on(changed)?, "there is no such connection");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn set_subscriptions_async(
        &self,
        id: ConnectionId,
        wanted: &[Subscription],
    ) -> Result<bool, AdminError> {
        timed(self.set_subscriptions_untimed(id, wanted)).await
    }

    async fn connections_untimed(
        &self,
        filter: &ConnectionFilter,
    ) -> Result<Vec<ConnectionInfo>, AdminError> {
        let mut all = Vec::new();
        for answer in ask(self.shared(), None, Query::Connections(filter.clone())).await? {
            if let Answer::Connections(some) = answer {
                all.extend(some);
            }
        }
        if filter.slowest_first {
            all.sort_by_key(|info| Reverse((info.lag_age, info.lag_events)));
        }
        all.truncate(filter.limit.min(ConnectionFilter::LIMIT_MAX));
        Ok(all)
    }

    async fn connection_untimed(
        &self,
        id: ConnectionId,
    ) -> Result<Option<ConnectionInfo>, AdminError> {
        let answers = ask(self.shared(), Some(id.shard()), Query::Connection(id)).await?;
        let found = answers.into_iter().find_map(|answer| match answer {
            Answer::Connections(found) => found.into_iter().next(),
            _ => None,
        });
        Ok(found)
    }

    async fn subscribers_untimed(&self, topic: &Topic) -> Result<u64, AdminError> {
        self.ask_for_count(None, Query::Subscribers(topic.clone())).await
    }

    async fn subscription_counts_untimed(
        &self,
        limit: usize,
    ) -> Result<Vec<SubscriptionCount>, AdminError> {
        let mut sums: HashMap<Subscription, u64> = HashMap::new();
        for answer in ask(self.shared(), None, Query::Subscriptions).await? {
            let Answer::Subscriptions(counts) = answer else { continue };
            for SubscriptionCount { subscription, subscribers } in counts {
                *sums.entry(subscription).or_default() += subscribers;
            }
        }
        let counts = sums.into_iter();
        let counts = counts
            .map(|(subscription, subscribers)| SubscriptionCount { subscription, subscribers });
        let mut counts: Vec<SubscriptionCount> = counts.collect();
        let order =
            |count: &SubscriptionCount| (Reverse(count.subscribers), count.subscription.clone());
        if limit < counts.len() {
            counts.select_nth_unstable_by_key(limit, order);
            counts.truncate(limit);
        }
        counts.sort_by_cached_key(order);
        Ok(counts)
    }

    async fn disconnect_untimed(
        &self,
        selector: &ConnectionSelector,
        retry: Duration,
    ) -> Result<u64, AdminError> {
        let shard = match selector {
            ConnectionSelector::One(id) => Some(id.shard()),
            ConnectionSelector::Subscription(_)
            | ConnectionSelector::Tag(_)
            | ConnectionSelector::All => None,
        };
        let query = Query::Disconnect { selector: selector.clone(), retry: retry.min(RETRY_MAX) };
        self.ask_for_count(shard, query).await
    }

    async fn set_subscriptions_untimed(
        &self,
        id: ConnectionId,
        wanted: &[Subscription],
    ) -> Result<bool, AdminError> {
        match wanted.len() {
            0 => return Err(AdminError::NoSubscription),
            1..=AdminError::SUBSCRIPTIONS_AT_ONCE_MAX => {}
            _ => return Err(AdminError::TooManySubscriptions),
        }
        let query = Query::Subscribe { id, subscriptions: wanted.into() };
        Ok(self.ask_for_count(Some(id.shard()), query).await? > 0)
    }

    async fn ask_for_count(&self, shard: Option<usize>, query: Query) -> Result<u64, AdminError> {
        let counts =
            ask(self.shared(), shard, query).await?.into_iter().map(|answer| match answer {
                Answer::Count(count) => count,
                _ => 0,
            });
        Ok(counts.sum())
    }
}

/// Asks one shard, or all. A shard that has ended has no connections, and is not asked.
pub(crate) async fn ask(
    shared: &Shared,
    shard: Option<usize>,
    query: Query,
) -> Result<Vec<Answer>, AdminError> {
    let links = &shared.links;
    let request = match shard {
        Some(nth) => links.get(nth..=nth).unwrap_or_default(),
        None => &links[..],
    };
    let (answer, answers) = async_channel::bounded(links.len());
    for link in request {
        let request = QueryRequest { query: query.clone(), answer: answer.clone() };
        let taken = link.command(Command::Query(Box::new(request)));
        if taken.is_err() && link.is_alive() {
            return Err(AdminError::Busy);
        }
    }
    // From here on there is a sender for each answer that is yet to come.
    drop(answer);
    let all = async {
        let mut all = Vec::with_capacity(request.len());
        while let Ok(answer) = answers.recv().await {
            match answer {
                Answer::Busy => return Err(AdminError::Busy),
                Answer::TooEarly => return Err(AdminError::CatchingUp),
                answer => all.push(answer),
            }
        }
        Ok(all)
    };
    all.await
}

/// An answer, unless the shards take too long, under any executor.
async fn timed<T>(answer: impl Future<Output = Result<T, AdminError>>) -> Result<T, AdminError> {
    let too_late = async {
        Timer::after(AdminError::TIME_MAX).await;
        Err(AdminError::TooLate)
    };
    future::or(answer, too_late).await
}

/// The same; blocks the calling thread, and needs no other thread's timer.
fn waited<T>(answer: impl Future<Output = Result<T, AdminError>>) -> Result<T, AdminError> {
    let answer = async { Some(answer.await) };
    receive::within(AdminError::TIME_MAX, answer).unwrap_or(Err(AdminError::TooLate))
}
