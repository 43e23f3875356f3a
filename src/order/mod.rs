//! The hub's total order: which event is the next, who is interested in its topic, whether there
//! is room for it, and what is kept of the past. One short lock, under which nothing is encoded or
//! waited for.
//!
//! ```text
//! backlog -> published          what waits to be sent; the publishers that wait for it to get less
//! history   gone   log        what is kept of one topic; what is known of those that are gone; all
//!                             that is kept, in order
//! names    topics   interest  topics by name; all of them within their bounds; which shards want
//!                             them
//! wanted   walk               a client's topics: a few by name, or many along the log
//! search -> replay            where a client's stream begins; what it has missed
//! mod                         publishing
//! ```

mod backlog;
mod gone;
mod history;
mod interest;
mod log;
mod names;
mod published;
mod replay;
mod search;
#[cfg(test)]
mod tests;
mod topics;
mod walk;
mod wanted;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::backlog::Backlog;
use self::history::Kept;
pub(crate) use self::interest::{Interest, TopicState};
pub(crate) use self::published::{Published, EVENT_BYTES};
pub(crate) use self::search::{Cursor, Search};
use self::topics::Topics;
use crate::clock::Clock;
use crate::filter::Subscription;
use crate::frame::Draft;
use crate::id::{Epoch, EventId};
use crate::inbox::Inbox;
use crate::options::Options;
use crate::sys::Waker;
use crate::topic::Topic;
use crate::tuning::OrderTuning;

/// What publishers fill and one shard empties.
pub(crate) type ShardInbox = Inbox<Arc<Published>, Waker>;

/// The part of the hub that publishers and shards share.
pub(crate) struct Order {
    pub(crate) epoch: Epoch,
    clock: Clock,
    tuning: OrderTuning,
    hub_backlog: Arc<Backlog>,
    inboxes: Box<[Arc<ShardInbox>]>,
    /// The last event's number. Written under the lock, when the event is in all inboxes that it
    /// goes into.
    sequence: AtomicU64,
    has_history: AtomicBool,
    locked: Mutex<Locked>,
}

struct Locked {
    topics: Topics,
    closed: bool,
}

/// Topics that are looked at for what is too old to be kept when a shard's time comes to do so.
const LOOKS_MAX: usize = 1024;
/// Subscriptions that begin, or routes that end, while the lock is held.
const SUBSCRIPTIONS_PER_LOCK: usize = 128;

/// Why an event was not taken.
pub(crate) enum Refused {
    /// There is no room; wait with the listener, which was set up before the room was looked at.
    Full(Draft, event_listener::EventListener),
    Closed,
}

impl Order {
    pub(crate) fn new(
        inboxes: Box<[Arc<ShardInbox>]>,
        options: &Options,
        tuning: OrderTuning,
        clock: Clock,
    ) -> Order {
        Order {
            epoch: Epoch::random(),
            clock,
            tuning,
            hub_backlog: Arc::new(Backlog::new(options.backlog_bytes_max)),
            inboxes,
            sequence: AtomicU64::new(0),
            has_history: AtomicBool::new(false),
            locked: Mutex::new(Locked { topics: Topics::new(options), closed: false }),
        }
    }

    /// Takes an event everywhere or nowhere.
    pub(crate) fn publish(&self, topic: &Topic, draft: Draft) -> Result<EventId, Refused> {
        let mut locked = self.lock();
        if locked.closed {
            return Err(Refused::Closed);
        }
        let topics = &mut locked.topics;
        let index = match topics.find(topic) {
            Some(index) => index,
            None if topics.know_all() => topics.find_or_create(topic),
            None => return Ok(self.end_publishing(self.next_sequence())),
        };
        topics.find_interest(index);
        let state = &topics.entry(index).state;
        let wanted = state.is_wanted();
        if let Some(listener) = wanted.then(|| self.is_full(state)).flatten() {
            // It may have come to be for this event.
            topics.remove_unneeded(index);
            return Err(Refused::Full(draft, listener));
        }
        let (sequence, at_ns, bytes) = (self.next_sequence(), self.now_ns(), draft.len());
        let frame = draft.stamp(self.epoch, sequence);
        let mut asleep = Vec::new();
        if wanted {
            let (state, hub_backlog) = (state.clone(), self.hub_backlog.clone());
            let published = Published::new(frame.clone(), at_ns, state, hub_backlog, bytes);
            let published = Arc::new(published);
            let interested = self.interested(&published.topic);
            asleep.extend(interested.filter(|inbox| inbox.put(published.clone())));
        }
        topics.keep(index, Kept { frame, sequence, at_ns });
        self.has_history.store(true, Ordering::Relaxed);
        let id = self.end_publishing(sequence);
        drop(locked);
        for inbox in asleep {
            inbox.wake();
        }
        Ok(id)
    }

    /// Under the lock.
    fn next_sequence(&self) -> u64 {
        self.sequence() + 1
    }

    /// Under the lock, when the event is wherever it goes.
    fn end_publishing(&self, sequence: u64) -> EventId {
        self.sequence.store(sequence, Ordering::Release);
        self.id_of(sequence)
    }

    pub(crate) fn id_of(&self, sequence: u64) -> EventId {
        EventId { epoch: self.epoch, sequence }
    }

    /// The number of the last event that is in all inboxes it goes into. Who then takes an inbox
    /// has all events up to this one, and perhaps more.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// The inboxes of the shards that have an audience for a topic.
    fn interested<'a, 't>(
        &'a self,
        topic: &'t TopicState,
    ) -> impl Iterator<Item = &'a Arc<ShardInbox>> + use<'a, 't> {
        self.inboxes.iter().zip(topic.wanted_by()).filter(|(_, wanted)| *wanted).map(|(i, _)| i)
    }

    /// When there is no room: a listener for the moment when there may be.
    fn is_full(&self, topic: &TopicState) -> Option<event_listener::EventListener> {
        topic.backlog.is_full().or_else(|| self.hub_backlog.is_full())
    }

    /// Has events of subscriptions come to a shard from now on. `open_route` is told of each topic
    /// that is wanted by its name, and says which route it has in that shard. Returns the last
    /// sequence number before that. Takes the lock for a bounded number of subscriptions at a time.
    pub(crate) fn register(
        &self,
        shard: usize,
        subscriptions: &[Subscription],
        mut open_route: impl FnMut(&Subscription, &Arc<TopicState>) -> u32,
    ) -> u64 {
        for some in subscriptions.chunks(SUBSCRIPTIONS_PER_LOCK) {
            let mut locked = self.lock();
            for what in some {
                locked.topics.subscribe(shard, what, &mut open_route);
            }
        }
        self.sequence()
    }

    /// Notes that a shard has a subscription no longer, nor a route for its topic.
    pub(crate) fn unregister(
        &self,
        shard: usize,
        what: &Subscription,
        closed: Option<&TopicState>,
    ) {
        let mut locked = self.lock();
        if let Some(topic) = closed {
            locked.topics.set_route(topic, shard, None);
        }
        locked.topics.unsubscribe(shard, what);
    }

    /// Whether an event ever had an id of its publisher's own.
    pub(crate) fn has_custom_ids(&self) -> bool {
        self.lock().topics.have_custom_ids()
    }

    /// Notes which route a shard has for a topic that one of its filters matched, or that it has
    /// none.
    pub(crate) fn set_route(&self, shard: usize, topic: &TopicState, route: Option<u32>) {
        self.lock().topics.set_route(topic, shard, route);
    }

    /// Notes that a shard has no routes for some topics any more.
    pub(crate) fn close_routes(&self, shard: usize, closed: &[Arc<TopicState>]) {
        for some in closed.chunks(SUBSCRIPTIONS_PER_LOCK) {
            let mut locked = self.lock();
            some.iter().for_each(|topic| locked.topics.set_route(topic, shard, None));
        }
    }

    /// Notes that a shard has ended.
    pub(crate) fn leave(&self, shard: usize) {
        self.lock().topics.leave(shard);
    }

    /// Forgets some of what is too old to be kept, for a hub that nothing is published to.
    pub(crate) fn forget_old(&self) {
        let mut locked = self.lock();
        locked.topics.tidy(self.now_ns(), LOOKS_MAX);
        self.has_history.store(locked.topics.have_history(), Ordering::Relaxed);
    }

    /// Gives memory back after a crowd of clients has gone.
    pub(crate) fn shrink(&self) {
        self.lock().topics.shrink();
    }

    /// Whether anything may become too old to be kept.
    pub(crate) fn has_history(&self) -> bool {
        self.has_history.load(Ordering::Relaxed)
    }

    /// Refuses every event from now on, and wakes those who wait for room.
    pub(crate) fn close(&self) {
        let mut locked = self.lock();
        locked.closed = true;
        let topics: Vec<_> = locked.topics.iter().cloned().collect();
        // A waker may run what it wakes at once, and that may publish.
        drop(locked);
        for topic in topics {
            topic.backlog.wake_all();
        }
        self.hub_backlog.wake_all();
    }

    /// Bytes over all topics that have yet to be sent.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.hub_backlog.taken_bytes()
    }

    /// What there is at this moment.
    pub(crate) fn counts(&self) -> Counts {
        let locked = self.lock();
        Counts {
            published_events: self.sequence(),
            topics: locked.topics.interests.wanted() as u64,
            known_topics: locked.topics.known() as u64,
            filters: locked.topics.interests.filters() as u64,
            kept_events: locked.topics.kept_events() as u64,
            kept_bytes: locked.topics.kept_bytes() as u64,
        }
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// Nothing that is done under the lock can panic half way, so a poisoned one is still right.
    fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a hub's order holds.
pub(crate) struct Counts {
    pub(crate) published_events: u64,
    /// Topics that have an audience.
    pub(crate) topics: u64,
    /// Topics that have an audience or events that are kept.
    pub(crate) known_topics: u64,
    /// Filters that a shard has an audience for.
    pub(crate) filters: u64,
    pub(crate) kept_events: u64,
    pub(crate) kept_bytes: u64,
}
