//! Publishing: at once, or waiting while the backlog is full.

mod several;
mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use self::wait::Wait;
use crate::cluster::Slot;
use crate::event::{Event, EventError};
use crate::excerpt::Excerpt;
use crate::frame::Draft;
use crate::hub::Hub;
use crate::id::EventId;
use crate::options::Options;
use crate::order::{Order, Refused};
use crate::topic::Topic;
#[cfg(feature = "capi")]
use crate::topic_handle::TopicHandle;

/// What a hub says of an event that it has accepted; see [`Hub::publish`](crate::Hub::publish).
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, Options, Published, Topic};
///
/// let hub = Hub::start(Options::default())?;
/// let published: Published = hub.publish(&Topic::new("news")?, "hello")?;
/// match published.id() {
///     Some(id) => println!("published as {id}"),
///     None => println!("published"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Published {
    pub(crate) id: Option<EventId>,
    pub(crate) is_durable: bool,
}

impl Published {
    /// The event's id, where it is known by now. A hub of its own always knows it. A node of a cluster
    /// ([`Options::cluster`]) gets its ids from the cluster's server: there [`Hub::publish`] accepts an event
    /// before its id is known, and this is `None`; the methods that wait know it, unless the timeout was over
    /// before. A program should not depend on it.
    ///
    /// It is the hub's id also of an event that has a custom id
    /// ([`Event::with_id`](crate::Event::with_id)), which clients see instead.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Hub, Options, Topic};
    /// # let (hub, topic) = (Hub::start(Options::default())?, Topic::new("news")?);
    /// let id = hub.publish(&topic, "hello")?.id();
    /// assert!(id.is_some_and(|id| id != hub.publish(&topic, "again").unwrap().id().unwrap()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> Option<EventId> {
        self.id
    }

    /// Whether the event is as safe as [`Options::durability`] promises. Never for a hub without
    /// [`Options::data_dir`], whose events end with the process. The methods that wait
    /// ([`Hub::publish_wait`], [`Hub::publish_async`]) wait for it, and it is false there only if the
    /// timeout was over before, or the journal cannot be written: the event is published all the
    /// same, and is written when that is possible. In a cluster it is true when the cluster's server has the event,
    /// which is then as safe as that server makes it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Hub, Options, Topic};
    /// let folder = std::env::temp_dir().join(format!("fanfare-published-{}", std::process::id()));
    /// let hub = Hub::start(Options::default().data_dir(&folder))?;
    /// let topic = Topic::new("orders")?;
    /// let published = hub.publish_wait(&topic, "7 was paid", Duration::from_secs(5))?;
    /// assert!(published.is_durable());
    /// # hub.close();
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.is_durable
    }
}

/// Why an event was not published. Nothing of it was published anywhere.
///
/// # Examples
///
/// An event that may have to be published again is given by reference, which copies nothing:
///
/// ```
/// use fanfare::{Event, Hub, Options, PublishError, Topic};
///
/// let hub = Hub::start(Options::default())?;
/// let (topic, event) = (Topic::new("news")?, Event::new("hello").with_name("greeting"));
/// let mut attempts_left = 3;
/// while let Err(error) = hub.publish(&topic, &event) {
///     attempts_left -= 1;
///     if error != PublishError::Full || attempts_left == 0 {
///         return Err(error.into());
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The backlog is full: too many bytes wait to be sent, of this topic or in all
    /// ([`Options::topic_backlog_bytes_max`], [`Options::backlog_bytes_max`]). Publish the event
    /// again later, or use [`Hub::publish_wait`] or [`Hub::publish_async`].
    Full,
    /// No client would get the event as it was given.
    Invalid(EventError),
    /// A topic is finished ([`Hub::finish`]): its clients were told that nothing more will come.
    /// Publish to another one, or wait until it is forgotten.
    Finished {
        /// The topic; of several that are finished the first.
        topic: Topic,
    },
    /// The journal of a hub with [`Options::data_dir`] could not be written for ten seconds: the disk is
    /// full, say, or fails. The log says why, and so does [`Hub::journal_trouble`]. Publish again when that is
    /// mended: the hub tries again by itself, and needs no restart.
    Unwritable,
    /// The server of the cluster ([`Options::cluster`]) has not taken events for ten seconds, and no more may wait
    /// for it. The log says why, and so does [`Hub::cluster_trouble`]. Publish again when that is mended: the hub
    /// tries again by itself, and needs no restart. Events that were accepted before are still on their way.
    Unreachable,
    /// No topic was given to [`Hub::publish_to`]. Give one at least.
    NoTopic,
    /// More than [`Event::TOPICS_MAX`] different topics were given to [`Hub::publish_to`]. Give
    /// fewer, or publish to a topic that all of these clients want.
    #[non_exhaustive]
    TooManyTopics {
        /// How many they are.
        topics: usize,
    },
    /// The hub is closed.
    Closed,
}

impl Hub {
    /// Publishes an event to a topic: to every connection that wants it, and in one total order
    /// over all topics. Never blocks.
    ///
    /// When this returns, the event is accepted: it has its position in the order, behind all that
    /// the same thread has published before, and each client that keeps up will be sent it. The
    /// returned value may know the event's id ([`Published::id`]); a hub with ids from a store or a
    /// cluster, should there be one, may return before the id is known.
    ///
    /// # Errors
    ///
    /// [`PublishError::Full`] when too much waits to be sent; [`PublishError::Finished`] as long as
    /// the topic is known to be finished; [`PublishError::Invalid`] and [`PublishError::Closed`]
    /// for good. In all cases nothing was published anywhere.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Event, Hub, Options, PublishError, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// let topic = Topic::new("news")?;
    /// match hub.publish(&topic, Event::new("a").with_name("two\nlines")) {
    ///     Err(PublishError::Invalid(error)) => println!("{error}"),
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish<'a>(
        &self,
        topic: &Topic,
        event: impl Into<Event<'a>>,
    ) -> Result<Published, PublishError> {
        self.publish_now(topic, event.into())
    }

    /// Takes the event by value, though a reference would do: the host's code would drop it then,
    /// without knowing that it only borrows, which costs 60 instructions an event.
    fn publish_now(&self, topic: &Topic, event: Event<'_>) -> Result<Published, PublishError> {
        match self.try_publish(topic, self.encode(topic, &event)?, event.window, false) {
            Ok(accepted) => Ok(self.published(accepted)),
            Err(refused) => Err(refused.into()),
        }
    }

    /// The same to the topic of a handle.
    #[cfg(feature = "capi")]
    pub(crate) fn publish_by_handle(
        &self,
        handle: &TopicHandle,
        event: &Event<'_>,
    ) -> Result<Published, PublishError> {
        if !event.window.is_zero() || self.shared().cluster.is_some() {
            return self.publish(handle.topic(), event);
        }
        let draft = self.encode(handle.topic(), event)?;
        let id = self.counted(self.shared().order.publish_by_handle(handle, draft))?;
        Ok(self.published(Accepted::Numbered(id)))
    }

    /// Publishes an event, waiting for at most `timeout` while the backlog is full, and with
    /// [`Options::data_dir`] until the event is durable ([`Published::is_durable`]). Zero does not
    /// wait, and [`Duration::MAX`], as any time beyond the clock's end, has no bound: then it waits
    /// until the event is published or the hub is closed. Blocks the
    /// calling thread, so it must not be one that drives a shard
    /// ([`Driver::drive`](crate::Driver::drive)): use [`Hub::publish_async`] there.
    ///
    /// # Errors
    ///
    /// As [`Hub::publish`]; [`PublishError::Full`] when it was full for all of this time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Hub, Options, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// hub.publish_wait(&Topic::new("log")?, "a line", Duration::from_secs(5))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_wait<'a>(
        &self,
        topic: &Topic,
        event: impl Into<Event<'a>>,
        timeout: Duration,
    ) -> Result<Published, PublishError> {
        let event = event.into();
        let draft = self.encode(topic, &event)?;
        let (order, topics) = (&self.shared().order, std::slice::from_ref(topic));
        let attempt = |draft| self.try_publish(topic, draft, event.window, true);
        publish_within(order, topics, timeout, draft, attempt)
    }

    /// Publishes an event, waiting while the backlog is full, however long that is, under any
    /// executor. Dropping the future before it is ready publishes nothing; but with
    /// [`Options::data_dir`] it waits until the event is durable as well, and dropping it then
    /// leaves the event published.
    ///
    /// # Errors
    ///
    /// As [`Hub::publish`], but never [`PublishError::Full`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Hub, Options, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// # let topic = Topic::new("log")?;
    /// smol::block_on(hub.publish_async(&topic, "a line"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn publish_async<'a>(
        &self,
        topic: &Topic,
        event: impl Into<Event<'a>>,
    ) -> Result<Published, PublishError> {
        let event = event.into();
        let draft = self.encode(topic, &event)?;
        let (order, topics) = (&self.shared().order, std::slice::from_ref(topic));
        let attempt = |draft| self.try_publish(topic, draft, event.window, true);
        publish_when_possible(order, topics, draft, attempt).await
    }

    /// Always inlined: else each event is moved once more, which costs 14 instructions.
    #[inline(always)]
    pub(crate) fn encode(&self, topic: &Topic, event: &Event<'_>) -> Result<Draft, PublishError> {
        let mut draft = self.encode_unscoped(event)?;
        draft.scope_key(topic);
        Ok(draft)
    }

    /// The same without the topics that its key belongs to.
    #[inline(always)]
    fn encode_unscoped(&self, event: &Event<'_>) -> Result<Draft, PublishError> {
        let Options { event_bytes_max, gap_event, .. } = &self.shared().options;
        event.check_name(gap_event).map_err(PublishError::Invalid)?;
        Draft::encode(event, *event_bytes_max).map_err(PublishError::Invalid)
    }

    fn try_publish(
        &self,
        topic: &Topic,
        draft: Draft,
        window: Duration,
        is_awaited: bool,
    ) -> Result<Accepted, Refused> {
        let (order, window_ns) = (&self.shared().order, window.as_nanos() as u64);
        if let Some(cluster) = &self.shared().cluster {
            let topics = std::slice::from_ref(topic);
            let send = |slot| cluster.publish(order, topics, draft, window_ns, slot);
            return self.counted(Accepted::send(is_awaited, send));
        }
        let published = match window_ns {
            0 => order.publish(topic, draft),
            _ => order.publish_spread(topic, draft, window_ns),
        };
        self.counted(published).map(Accepted::Numbered)
    }

    /// What was published at once: it is on its way into the journal, if there is one.
    #[inline]
    pub(crate) fn published(&self, accepted: Accepted) -> Published {
        match accepted {
            Accepted::Numbered(id) => {
                Published { id: Some(id), is_durable: self.shared().order.is_durable(id) }
            }
            Accepted::Sent(_) => Published { id: None, is_durable: false },
        }
    }

    /// Counts what has found the backlog full.
    #[inline]
    pub(crate) fn counted<T>(&self, result: Result<T, Refused>) -> Result<T, Refused> {
        if let Err(Refused::Full(..)) = &result {
            self.count_full();
        }
        result
    }
}

/// Where something is that was accepted.
pub(crate) enum Accepted {
    /// It has its place in the order.
    Numbered(EventId),
    /// It is on its way to the server of a cluster, and its publisher may wait to be told what became of it.
    Sent(Option<Arc<Slot>>),
}

impl Accepted {
    /// Sends something on its way, with a slot if its publisher is to wait.
    pub(crate) fn send(
        is_awaited: bool,
        send: impl FnOnce(Option<Arc<Slot>>) -> Result<(), Refused>,
    ) -> Result<Accepted, Refused> {
        let slot = is_awaited.then(Arc::default);
        send(slot.clone()).map(|()| Accepted::Sent(slot))
    }

    /// Waits until it is durable, or its id is known, or a deadline.
    fn wait(self, order: &Order, deadline: Option<Instant>) -> Result<Published, PublishError> {
        match self {
            Accepted::Numbered(id) => {
                let is_durable = order.wait_until_durable(id, deadline);
                Ok(Published { id: Some(id), is_durable })
            }
            Accepted::Sent(slot) => match slot.and_then(|slot| slot.wait(deadline)) {
                Some(outcome) => Ok(Published { id: outcome?, is_durable: true }),
                None => Ok(Published { id: None, is_durable: false }),
            },
        }
    }

    /// The same for a future, without a deadline.
    async fn when_known(self, order: &Order) -> Result<Published, PublishError> {
        match self {
            Accepted::Numbered(id) => {
                let is_durable = order.when_durable(id).await;
                Ok(Published { id: Some(id), is_durable })
            }
            Accepted::Sent(Some(slot)) => {
                Ok(Published { id: slot.when_known().await?, is_durable: true })
            }
            Accepted::Sent(None) => Ok(Published { id: None, is_durable: false }),
        }
    }
}

/// Publishes something to topics, waiting for at most `timeout` while the backlog is full, and until it
/// is durable. Each attempt that finds the backlog full gives back what it was to publish.
pub(crate) fn publish_within<D: From<Draft>>(
    order: &Order,
    topics: &[Topic],
    timeout: Duration,
    mut draft: D,
    mut attempt: impl FnMut(D) -> Result<Accepted, Refused>,
) -> Result<Published, PublishError> {
    // A timeout beyond what the clock can express never ends.
    let deadline = Instant::now().checked_add(timeout);
    loop {
        match attempt(draft) {
            Ok(accepted) => return accepted.wait(order, deadline),
            Err(Refused::Full(refused, space)) => {
                draft = refused.into();
                let wait = Wait::new(order, topics, space);
                if wait.is_some_and(|wait| !wait.block(deadline)) {
                    return Err(PublishError::Full);
                }
            }
            Err(refused) => return Err(refused.into()),
        }
    }
}

/// The same, however long it takes.
pub(crate) async fn publish_when_possible<D: From<Draft>>(
    order: &Order,
    topics: &[Topic],
    mut draft: D,
    mut attempt: impl FnMut(D) -> Result<Accepted, Refused>,
) -> Result<Published, PublishError> {
    loop {
        match attempt(draft) {
            Ok(accepted) => return accepted.when_known(order).await,
            Err(Refused::Full(refused, space)) => {
                draft = refused.into();
                if let Some(wait) = Wait::new(order, topics, space) {
                    wait.await;
                }
            }
            Err(refused) => return Err(refused.into()),
        }
    }
}

impl From<Refused> for PublishError {
    fn from(refused: Refused) -> PublishError {
        match refused {
            Refused::Full(..) => PublishError::Full,
            Refused::Finished(topic) => PublishError::Finished { topic },
            Refused::Unwritable => PublishError::Unwritable,
            Refused::Unreachable => PublishError::Unreachable,
            Refused::Closed => PublishError::Closed,
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Full => {
                f.write_str("the backlog is full: too much waits to be sent; publish again later")
            }
            PublishError::Invalid(error) => error.fmt(f),
            PublishError::Finished { topic } => {
                let topic = Excerpt::of(topic.as_str());
                write!(
                    f,
                    "the topic {topic} is finished; publish to another one, or wait until it is \
                     forgotten"
                )
            }
            PublishError::Unreachable => f.write_str(
                "the cluster's server does not take events; look at the hub's log, mend that, and publish \
                 again",
            ),
            PublishError::Unwritable => f.write_str(
                "the journal cannot be written; look at the hub's log, make room on the disk or mend \
                 it, and publish again",
            ),
            PublishError::NoTopic => f.write_str("no topic is given; give one at least"),
            PublishError::TooManyTopics { topics } => {
                let most = Event::TOPICS_MAX;
                write!(f, "the event has {topics} topics; publish it to {most} at most")
            }
            PublishError::Closed => f.write_str("the hub is closed; start another"),
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PublishError::Invalid(error) => std::error::Error::source(error),
            PublishError::Full
            | PublishError::Finished { .. }
            | PublishError::Unreachable
            | PublishError::Unwritable
            | PublishError::NoTopic
            | PublishError::TooManyTopics { .. }
            | PublishError::Closed => None,
        }
    }
}
