//! The engine's handle.

use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event_listener::Listener as _;

use crate::clock::Clock;
use crate::drive::Driver;
use crate::event::{Event, EventError};
use crate::frame::Draft;
use crate::id::{EventId, Published};
use crate::inbox::Inbox;
use crate::listener::{ListenError, ListenOptions, Listener};
use crate::metrics::Metrics;
use crate::notices::NoticeQueue;
use crate::options::{Options, OptionsError};
use crate::order::{Order, Refused};
use crate::shard::{descriptors_for_connections, Link, Quota, Seats, Shared, Spares, SPARES};
use crate::sys::{self, Poller};
use crate::topic::Topic;
use crate::tuning::Tuning;

/// The engine: what a host publishes to, and what listeners and shards belong to.
///
/// A `Hub` is a handle. All methods may be called from any thread at once. To clone it is to count one
/// more handle, an atomic operation: no state is copied, and all clones are the same hub.
///
/// When the last handle is dropped the hub is closed as by [`Hub::close`], which may block the thread
/// for up to two seconds. In async code close it before that with [`Hub::close_async`]; then the drop
/// finds nothing left to wait for.
///
/// Publishing takes one lock for a moment, and wakes the shards that sleep. What blocks for longer
/// says so, and has a twin whose name ends in `_async`.
///
/// # Examples
///
/// ```
/// use fanfare::{Event, Hub, ListenOptions, Options, Topic};
///
/// let hub = Hub::start(Options::default())?;
/// let listener = hub.listen("127.0.0.1:0", ListenOptions::default())?;
/// println!("curl -N http://{}/events?topic=news", listener.local_addr());
///
/// hub.publish(&Topic::new("news")?, Event::new("hello").with_name("greeting"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "dropping the last handle closes the hub"]
pub struct Hub {
    owner: Arc<Owner>,
}

/// What the handles share; the shards share only what is in `shared`.
struct Owner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    full_events: AtomicU64,
}

/// Why a hub did not start.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, Options, StartError};
///
/// match Hub::start(Options::default().connections_max(0)) {
///     Err(StartError::Options(error)) => assert_eq!(error.option, "connections_max"),
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An option is out of its bounds.
    Options(OptionsError),
    /// The system gave no poller or no thread.
    System(io::Error),
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
    /// The hub is closed.
    Closed,
}

impl Hub {
    /// Starts a hub whose shards run on threads of their own.
    ///
    /// # Errors
    ///
    /// When an option is out of bounds, or the system is out of descriptors or threads.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// let hub = Hub::start(Options::default().shards(2))?;
    /// assert_eq!(hub.metrics().living_shards, 2);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    pub fn start(options: Options) -> Result<Hub, StartError> {
        let (hub, drivers) = Hub::with_drivers(options)?;
        for (id, driver) in drivers.into_iter().enumerate() {
            let thread = driver.spawn(id).map_err(StartError::System)?;
            hub.owner.threads().push(thread);
        }
        Ok(hub)
    }

    /// Makes a hub whose shards the host drives: each [`Driver`] on a task or thread of its own,
    /// under any executor.
    ///
    /// # Errors
    ///
    /// When an option is out of bounds, or the system is out of descriptors.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// let (hub, drivers) = Hub::with_drivers(Options::default().shards(2))?;
    /// for driver in drivers {
    ///     smol::spawn(driver.drive()).detach();
    /// }
    /// smol::block_on(hub.close_async());
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    pub fn with_drivers(options: Options) -> Result<(Hub, Vec<Driver>), StartError> {
        options.check().map_err(StartError::Options)?;
        let pollers: io::Result<Vec<Poller>> = (0..options.shards).map(|_| Poller::new()).collect();
        let pollers = pollers.map_err(StartError::System)?;
        let inboxes: Vec<_> =
            pollers.iter().map(|poller| Arc::new(Inbox::new(poller.waker()))).collect();
        let tuning = Tuning::default();
        let shared = Arc::new(Shared {
            links: inboxes.iter().cloned().map(Link::new).collect(),
            order: Order::new(inboxes.into(), &options, tuning.order, Clock::start()),
            tuning: tuning.shard,
            seats: seats(&options),
            subscriptions: Quota::new(
                options.subscriptions_max,
                options.subscriptions_per_address_max,
            ),
            spares: Spares::new(),
            closing: AtomicBool::new(false),
            drain: OnceLock::new(),
            emptied: event_listener::Event::new(),
            notices: NoticeQueue::new(options.shards),
            options,
        });
        let drivers = pollers.into_iter().enumerate();
        let drivers = drivers.map(|(id, poller)| Driver::new(id, shared.clone(), poller)).collect();
        let owner = Owner { shared, threads: Mutex::default(), full_events: AtomicU64::new(0) };
        Ok((Hub { owner: Arc::new(owner) }, drivers))
    }

    /// Accepts clients on an address, on all shards, until the [`Listener`] is dropped.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound, an option is out of bounds, or the hub is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, ListenOptions, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let listener = hub.listen("127.0.0.1:0", ListenOptions::default().path("/stream"))?;
    /// println!("curl -N http://{}/stream?topic=news", listener.local_addr());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listen(
        &self,
        addr: impl ToSocketAddrs,
        options: ListenOptions,
    ) -> Result<Listener, ListenError> {
        Listener::open(self.owner.shared.clone(), addr, options)
    }

    /// Publishes an event to a topic: to every connection that wants it, and in one total order
    /// over all topics. Never blocks.
    ///
    /// When this returns, the event is accepted: it has its place in the order, behind all that the
    /// same thread has published before, and each client that keeps up will be sent it. What is
    /// returned may know the event's id ([`Published::id`]); a hub whose ids come from a store or a
    /// cluster, should there be one, may return before it has one.
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
            Err(Refused::Closed) => Err(PublishError::Closed),
        }
    }

    /// Publishes an event, waiting for at most `timeout` while the backlog is full. Blocks the
    /// calling thread, so it must not be one that drives a shard ([`Driver::drive`]): use
    /// [`Hub::publish_async`] there.
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
        // A timeout beyond what the clock can express is for ever.
        let deadline = Instant::now().checked_add(timeout);
        loop {
            match self.try_publish(topic, draft) {
                Ok(id) => return Ok(Published { id }),
                Err(Refused::Closed) => return Err(PublishError::Closed),
                Err(Refused::Full(refused, room)) => {
                    draft = refused;
                    let in_time = match deadline {
                        Some(deadline) => room.wait_deadline(deadline).is_some(),
                        None => {
                            room.wait();
                            true
                        }
                    };
                    if !in_time {
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
                Err(Refused::Closed) => return Err(PublishError::Closed),
                Err(Refused::Full(refused, room)) => {
                    draft = refused;
                    room.await;
                }
            }
        }
    }

    /// Always inlined: else each event is moved once more, which costs 14 instructions.
    #[inline(always)]
    fn encode(&self, topic: &Topic, event: &Event<'_>) -> Result<Draft, PublishError> {
        let Options { event_bytes_max, gap_event, .. } = &self.owner.shared.options;
        event.check_name(gap_event).map_err(PublishError::Invalid)?;
        let mut draft = Draft::encode(event, *event_bytes_max).map_err(PublishError::Invalid)?;
        draft.scope_key(topic);
        Ok(draft)
    }

    fn try_publish(&self, topic: &Topic, draft: Draft) -> Result<EventId, Refused> {
        let result = self.owner.shared.order.publish(topic, draft);
        if let Err(Refused::Full(..)) = &result {
            self.owner.full_events.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// What was counted until now. Takes a moment per shard, and no lock that a shard waits for.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// assert_eq!(hub.metrics().connections, 0);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let shared = &self.owner.shared;
        let counts = shared.order.counts();
        let mut metrics = Metrics {
            living_shards: shared.links.iter().filter(|link| link.is_alive()).count() as u64,
            connections_max: shared.seats.max() as u64,
            topics: counts.topics,
            known_topics: counts.known_topics,
            filters: counts.filters,
            subscriptions: shared.subscriptions.taken() as u64,
            published_events: counts.published_events,
            kept_events: counts.kept_events,
            kept_bytes: counts.kept_bytes,
            full_events: self.owner.full_events.load(Ordering::Relaxed),
            backlog_bytes: shared.order.backlog_bytes() as u64,
            lost_notices: shared.notices.lost_ever(),
            ..Metrics::default()
        };
        for link in &shared.links {
            link.counters.add_to(&mut metrics);
        }
        metrics
    }

    /// The options that the hub was started with.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// let hub = Hub::start(Options::default().shards(2))?;
    /// assert_eq!(hub.options().shards, 2);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.owner.shared.options
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.owner.shared
    }

    /// Has the shards end, and waits for their threads.
    pub(crate) fn end(&self) {
        self.owner.end();
    }

    /// Has the shards end.
    pub(crate) fn begin_to_end(&self) {
        self.owner.begin_to_end();
    }
}

/// The bounds on connections, within what descriptors the process may have now.
fn seats(options: &Options) -> Seats {
    let Options { connections_max: wished, connections_per_address_max, shards, .. } = *options;
    let limit = sys::descriptors_max();
    // Some are kept to spare, and each shard on an executor has its poller's twice.
    let open = sys::descriptors_open() + SPARES + shards;
    let descriptors = descriptors_for_connections(limit, open);
    let seats = Seats::new(wished, connections_per_address_max, descriptors);
    if let Some(limit) = limit.filter(|_| seats.max() < wished) {
        log::warn!(
            "at most {} connections, and not connections_max, which is {wished}: the process may \
             have no more than {limit} files open; raise that limit (ulimit -n, LimitNOFILE)",
            seats.max()
        );
    }
    seats
}

impl Owner {
    fn begin_to_end(&self) {
        self.shared.order.close();
        self.shared.closing.store(true, Ordering::SeqCst);
        for link in &self.shared.links {
            link.inbox.ring();
        }
    }

    fn end(&self) {
        self.begin_to_end();
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            if thread.join().is_err() {
                log::error!("a shard's thread has panicked");
            }
        }
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("epoch", &self.owner.shared.order.epoch).finish_non_exhaustive()
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Options(error) => error.fmt(f),
            StartError::System(error) => write!(
                f,
                "the system refuses what a hub needs ({error}); raise its limits on open files and \
                 threads"
            ),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Options(error) => Some(error),
            StartError::System(error) => Some(error),
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
            PublishError::Closed => f.write_str("the hub is closed; start another"),
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PublishError::Invalid(error) => Some(error),
            PublishError::Full | PublishError::Closed => None,
        }
    }
}
