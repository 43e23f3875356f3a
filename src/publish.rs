//! Publishing: at once, or waiting while the backlog is full.

mod several;

use std::fmt;
use std::time::{Duration, Instant};

use event_listener::{EventListener, Listener as _};

use crate::event::{Event, EventError};
use crate::frame::Draft;
use crate::hub::Hub;
use crate::id::EventId;
use crate::options::Options;
use crate::order::Refused;
use crate::topic::Topic;

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
    pub(crate) id: EventId,
}

impl Published {
    /// The event's id, where it is known by now. A hub that makes its ids by itself, as each hub
    /// does today, always knows it. A hub that gets its ids from a store or a cluster may accept an
    /// event before its id is known, and then this is `None`: a program should not depend on it.
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
        Some(self.id)
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
    /// The topic is finished ([`Hub::finish`]): its clients were told that nothing more will come.
    /// Publish to another one, or wait until it is forgotten.
    Finished,
    /// The time over which the event was to be spread is longer than [`Hub::WINDOW_MAX`]. Give a
    /// shorter one.
    WindowTooLong,
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
    /// [`PublishError::Full`] when too much waits to be sent; [`PublishError::Invalid`] and
    /// [`PublishError::Closed`] for good. In all cases nothing was published anywhere.
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
        match self.try_publish(topic, self.encode(topic, &event)?) {
            Ok(id) => Ok(Published { id }),
            Err(Refused::Full(..)) => Err(PublishError::Full),
            Err(Refused::Finished) => Err(PublishError::Finished),
            Err(Refused::Closed) => Err(PublishError::Closed),
        }
    }

    /// Publishes an event, waiting for at most `timeout` while the backlog is full. Zero does not
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
        let mut draft = self.encode(topic, &event.into())?;
        // A timeout beyond what the clock can express never ends.
        let deadline = Instant::now().checked_add(timeout);
        loop {
            match self.try_publish(topic, draft) {
                Ok(id) => return Ok(Published { id }),
                Err(Refused::Finished) => return Err(PublishError::Finished),
                Err(Refused::Closed) => return Err(PublishError::Closed),
                Err(Refused::Full(refused, wait)) => {
                    draft = refused;
                    if !wait_until(wait, deadline) {
                        return Err(PublishError::Full);
                    }
                }
            }
        }
    }

    /// Publishes an event, waiting while the backlog is full, however long that is, under any
    /// executor. Dropping the future before it is ready publishes nothing.
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
        let mut draft = self.encode(topic, &event.into())?;
        loop {
            match self.try_publish(topic, draft) {
                Ok(id) => return Ok(Published { id }),
                Err(Refused::Finished) => return Err(PublishError::Finished),
                Err(Refused::Closed) => return Err(PublishError::Closed),
                Err(Refused::Full(refused, wait)) => {
                    draft = refused;
                    wait.await;
                }
            }
        }
    }

    /// Publishes an event that the streams which are there are sent evenly over a time, for what a
    /// crowd of clients acts on, as "fetch the new configuration": each client once, and in its
    /// place in its stream's order. Never blocks. A window of zero publishes as [`Hub::publish`]
    /// does; it may be up to [`Hub::WINDOW_MAX`].
    ///
    /// Nothing waits behind such an event. A later event for a stream that has yet to be sent this
    /// one takes it along at once; so does a change of the stream's topics, a drain, or the hub's
    /// end. So it is sent over the window at the latest, and evenly if streams are quiet meanwhile:
    /// publish it to a topic for which clients have a connection without other events. A client
    /// that joins, comes back or catches up meanwhile gets it, in its place, without waiting. Of
    /// several such events that wait for the same streams, the one whose window is over first says
    /// when, and each stream gets all that it waits for. With several shards each shard is even in itself.
    ///
    /// # Errors
    ///
    /// As [`Hub::publish`]; and [`PublishError::WindowTooLong`]. Events that are spread wait in
    /// backlogs of their own: [`PublishError::Full`] says that
    /// [`Options::topic_backlog_bytes_max`] bytes of them wait for the topic's clients, or a quarter
    /// of [`Options::backlog_bytes_max`] in all. They do not keep [`Hub::publish`] from publishing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Event, Hub, Options, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// let event = Event::new("").with_name("fetch-configuration");
    /// hub.publish_spread(&Topic::new("devices")?, event, Duration::from_secs(30))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_spread<'a>(
        &self,
        topic: &Topic,
        event: impl Into<Event<'a>>,
        window: Duration,
    ) -> Result<Published, PublishError> {
        let draft = self.encode_spread(topic, &event.into(), window)?;
        match self.try_publish_spread(topic, draft, window) {
            Ok(id) => Ok(Published { id }),
            Err(Refused::Full(..)) => Err(PublishError::Full),
            Err(Refused::Finished) => Err(PublishError::Finished),
            Err(Refused::Closed) => Err(PublishError::Closed),
        }
    }

    /// The longest time over which [`Hub::publish_spread`] spreads an event.
    pub const WINDOW_MAX: Duration = Duration::from_secs(300);

    /// Publishes an event that is sent evenly over a time, waiting for at most `timeout` while the
    /// backlog is full: [`Hub::publish_spread`] as [`Hub::publish_wait`].
    ///
    /// # Errors
    ///
    /// As [`Hub::publish_spread`]; [`PublishError::Full`] when it was full for all of this time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Hub, Options, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// let (window, timeout) = (Duration::from_secs(30), Duration::from_secs(5));
    /// hub.publish_spread_wait(&Topic::new("devices")?, "new rules", window, timeout)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_spread_wait<'a>(
        &self,
        topic: &Topic,
        event: impl Into<Event<'a>>,
        window: Duration,
        timeout: Duration,
    ) -> Result<Published, PublishError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut draft = self.encode_spread(topic, &event.into(), window)?;
        loop {
            match self.try_publish_spread(topic, draft, window) {
                Ok(id) => return Ok(Published { id }),
                Err(Refused::Finished) => return Err(PublishError::Finished),
                Err(Refused::Closed) => return Err(PublishError::Closed),
                Err(Refused::Full(refused, wait)) => {
                    draft = refused;
                    if !wait_until(wait, deadline) {
                        return Err(PublishError::Full);
                    }
                }
            }
        }
    }

    /// Publishes an event that is sent evenly over a time, waiting while the backlog is full:
    /// [`Hub::publish_spread`] as [`Hub::publish_async`].
    ///
    /// # Errors
    ///
    /// As [`Hub::publish_spread`], but never [`PublishError::Full`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Hub, Options, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// # let topic = Topic::new("devices")?;
    /// smol::block_on(hub.publish_spread_async(&topic, "new rules", Duration::from_secs(30)))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn publish_spread_async<'a>(
        &self,
        topic: &Topic,
        event: impl Into<Event<'a>>,
        window: Duration,
    ) -> Result<Published, PublishError> {
        let mut draft = self.encode_spread(topic, &event.into(), window)?;
        loop {
            match self.try_publish_spread(topic, draft, window) {
                Ok(id) => return Ok(Published { id }),
                Err(Refused::Finished) => return Err(PublishError::Finished),
                Err(Refused::Closed) => return Err(PublishError::Closed),
                Err(Refused::Full(refused, wait)) => {
                    draft = refused;
                    wait.await;
                }
            }
        }
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

    fn encode_spread(
        &self,
        topic: &Topic,
        event: &Event<'_>,
        window: Duration,
    ) -> Result<Draft, PublishError> {
        match window <= Hub::WINDOW_MAX {
            true => self.encode(topic, event),
            false => Err(PublishError::WindowTooLong),
        }
    }

    fn try_publish_spread(
        &self,
        topic: &Topic,
        draft: Draft,
        window: Duration,
    ) -> Result<EventId, Refused> {
        if window.is_zero() {
            return self.try_publish(topic, draft);
        }
        let result = self.shared().order.publish_spread(topic, draft, window.as_nanos() as u64);
        if let Err(Refused::Full(..)) = &result {
            self.count_full();
        }
        result
    }

    fn try_publish(&self, topic: &Topic, draft: Draft) -> Result<EventId, Refused> {
        let result = self.shared().order.publish(topic, draft);
        if let Err(Refused::Full(..)) = &result {
            self.count_full();
        }
        result
    }
}

/// Waits for space; false if there is none until a deadline.
fn wait_until(space: EventListener, deadline: Option<Instant>) -> bool {
    match deadline {
        Some(deadline) => space.wait_deadline(deadline).is_some(),
        None => {
            space.wait();
            true
        }
    }
}

/// The error of an event that was refused.
fn map_refused(refused: Refused) -> PublishError {
    match refused {
        Refused::Full(..) => PublishError::Full,
        Refused::Finished => PublishError::Finished,
        Refused::Closed => PublishError::Closed,
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Full => {
                f.write_str("the backlog is full: too much waits to be sent; publish again later")
            }
            PublishError::Invalid(error) => error.fmt(f),
            PublishError::Finished => f.write_str(
                "the topic is finished; publish to another one, or wait until it is forgotten",
            ),
            PublishError::WindowTooLong => f.write_str(
                "the window is longer than 5 minutes; give a shorter one to spread the event over",
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
            | PublishError::Finished
            | PublishError::WindowTooLong
            | PublishError::NoTopic
            | PublishError::TooManyTopics { .. }
            | PublishError::Closed => None,
        }
    }
}
