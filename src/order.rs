//! The hub's total order: which event is the next, who is interested in its topic, and whether
//! there is room for it. One short lock, under which nothing is encoded, copied or waited for.
//!
//! Room is counted where the backlog is. A [`Published`] event takes its bytes of its topic's room
//! until all members that keep up have been sent it: each audience holds a reference until then,
//! and dropping the last one gives the room back. So a flood on one topic fills that topic, and
//! neither refuses nor delays the publisher of another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::frame::{Draft, Frame};
use crate::id::{Epoch, EventId};
use crate::inbox::Inbox;
use crate::sys::Waker;
use crate::topic::Topic;

/// What publishers fill and one shard empties.
pub(crate) type ShardInbox = Inbox<Arc<Published>, Waker>;

/// The part of the hub that publishers and shards share.
pub(crate) struct Order {
    pub(crate) epoch: Epoch,
    started: Instant,
    topic_room_bytes: usize,
    hub_room: Arc<Room>,
    inboxes: Box<[Arc<ShardInbox>]>,
    locked: Mutex<Locked>,
}

struct Locked {
    sequence: u64,
    topics: HashMap<Topic, Arc<TopicState>>,
    closed: bool,
}

/// A topic that at least one shard has an audience for.
pub(crate) struct TopicState {
    pub(crate) name: Topic,
    /// For each shard its own key of the topic, or [`NO_INTEREST`]. Written under the lock, by
    /// the shard itself alone.
    interest: Box<[AtomicU32]>,
    room: Room,
}

const NO_INTEREST: u32 = u32::MAX;

/// Bytes that have yet to be sent, and those who wait for them to get fewer.
struct Room {
    bytes_max: usize,
    taken_bytes: AtomicUsize,
    given_back: event_listener::Event,
}

/// A frame on its way to the audiences of its topic.
pub(crate) struct Published {
    pub(crate) frame: Frame,
    pub(crate) sequence: u64,
    /// When it was published, in nanoseconds since the hub started.
    pub(crate) at_ns: u64,
    pub(crate) topic: Arc<TopicState>,
    hub_room: Arc<Room>,
    room_bytes: usize,
    /// How many events' room this one gives back.
    events: usize,
}

/// What the engine keeps with an event besides its bytes, about: it counts for the hub's room and
/// for lag, so that many tiny events do not take more memory than large ones.
pub(crate) const EVENT_BYTES: usize = 256;

/// Why an event was not taken.
pub(crate) enum Refused {
    /// There is no room; wait with the listener, which was set up before the room was looked at.
    Full(Draft, event_listener::EventListener),
    Closed,
}

impl Order {
    pub(crate) fn new(
        inboxes: Box<[Arc<ShardInbox>]>,
        topic_room_bytes: usize,
        hub_room_bytes: usize,
    ) -> Order {
        let locked = Locked { sequence: 0, topics: HashMap::new(), closed: false };
        Order {
            epoch: Epoch::random(),
            started: Instant::now(),
            topic_room_bytes,
            hub_room: Arc::new(Room::new(hub_room_bytes)),
            inboxes,
            locked: Mutex::new(locked),
        }
    }

    /// Takes an event everywhere or nowhere.
    pub(crate) fn publish(&self, topic: &Topic, draft: Draft) -> Result<EventId, Refused> {
        let mut locked = self.lock();
        if locked.closed {
            return Err(Refused::Closed);
        }
        let Some(state) = locked.topics.get(topic) else {
            return Ok(self.next_id(&mut locked));
        };
        if let Some(listener) = self.is_full(state) {
            return Err(Refused::Full(draft, listener));
        }
        let state = state.clone();
        let id = self.next_id(&mut locked);
        let room_bytes = draft.len();
        state.room.take(room_bytes);
        self.hub_room.take(room_bytes + EVENT_BYTES);
        let published = Arc::new(Published {
            frame: draft.stamp(self.epoch, id.sequence),
            sequence: id.sequence,
            at_ns: self.now_ns(),
            topic: state,
            hub_room: self.hub_room.clone(),
            room_bytes,
            events: 1,
        });
        let interested = self.interested(&published.topic);
        let asleep: Vec<_> = interested.filter(|inbox| inbox.put(published.clone())).collect();
        drop(locked);
        for inbox in asleep {
            inbox.wake();
        }
        Ok(id)
    }

    fn next_id(&self, locked: &mut Locked) -> EventId {
        locked.sequence += 1;
        EventId { epoch: self.epoch, sequence: locked.sequence }
    }

    fn interested<'a>(
        &'a self,
        topic: &'a TopicState,
    ) -> impl Iterator<Item = &'a Arc<ShardInbox>> {
        let interest = topic.interest.iter().map(|i| i.load(Ordering::Relaxed) != NO_INTEREST);
        self.inboxes.iter().zip(interest).filter(|(_, wanted)| *wanted).map(|(inbox, _)| inbox)
    }

    /// When there is no room: a listener for the moment when there may be.
    fn is_full(&self, topic: &TopicState) -> Option<event_listener::EventListener> {
        topic.room.is_full().or_else(|| self.hub_room.is_full())
    }

    /// Has events of topics come to a shard from now on; `key_of` gives the shard's own key of
    /// each. Returns the last sequence number before that.
    pub(crate) fn register(
        &self,
        shard: usize,
        topics: Vec<Topic>,
        mut key_of: impl FnMut(&Arc<TopicState>) -> u32,
    ) -> u64 {
        let mut locked = self.lock();
        for topic in topics {
            let state = locked.topics.entry(topic).or_insert_with_key(|name| {
                let interest = self.inboxes.iter().map(|_| AtomicU32::new(NO_INTEREST)).collect();
                let room = Room::new(self.topic_room_bytes);
                Arc::new(TopicState { name: name.clone(), interest, room })
            });
            state.interest[shard].store(key_of(state), Ordering::Relaxed);
        }
        locked.sequence
    }

    /// Notes that a shard has no audience for a topic any more.
    pub(crate) fn unregister(&self, shard: usize, topic: &TopicState) {
        let mut locked = self.lock();
        topic.interest[shard].store(NO_INTEREST, Ordering::Relaxed);
        if topic.interest.iter().all(|i| i.load(Ordering::Relaxed) == NO_INTEREST) {
            locked.topics.remove(&topic.name);
            locked.shrink();
        }
    }

    /// Refuses every event from now on, and wakes those who wait for room.
    pub(crate) fn close(&self) {
        let mut locked = self.lock();
        locked.closed = true;
        let topics: Vec<_> = locked.topics.values().cloned().collect();
        // A waker may run what it wakes at once, and that may publish.
        drop(locked);
        for topic in topics {
            topic.room.given_back.notify(usize::MAX);
        }
        self.hub_room.given_back.notify(usize::MAX);
    }

    /// Bytes over all topics that have yet to be sent.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.hub_room.taken_bytes.load(Ordering::Relaxed)
    }

    /// Events that were published, and topics that have an audience.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let locked = self.lock();
        (locked.sequence, locked.topics.len() as u64)
    }

    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Nothing that is done under the lock can panic half way, so a poisoned one is still right.
    fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Locked {
    /// Gives memory back after a crowd of topics has gone; rarely, so that it costs nothing.
    fn shrink(&mut self) {
        if self.topics.capacity() > 1024 && self.topics.len() < self.topics.capacity() / 8 {
            self.topics.shrink_to(self.topics.len() * 2);
        }
    }
}

impl TopicState {
    /// The shard's own key of the topic, as registered by that shard.
    pub(crate) fn key_of(&self, shard: usize) -> Option<u32> {
        Some(self.interest[shard].load(Ordering::Relaxed)).filter(|&key| key != NO_INTEREST)
    }
}

impl Room {
    fn new(bytes_max: usize) -> Room {
        Room { bytes_max, taken_bytes: AtomicUsize::new(0), given_back: Default::default() }
    }

    fn take(&self, bytes: usize) {
        self.taken_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Wakes the waiting when an eighth of the room is free, and not for every event's worth: a
    /// publisher that shares its core with the shard is then switched to eight times a round.
    fn give_back(&self, bytes: usize) {
        let before = self.taken_bytes.fetch_sub(bytes, Ordering::SeqCst);
        let enough = self.bytes_max - self.bytes_max / 8;
        if before >= enough && before - bytes < enough {
            self.given_back.notify(usize::MAX);
        }
    }

    /// The listener is made before the second look, so that room which is given back in between
    /// is not missed.
    fn is_full(&self) -> Option<event_listener::EventListener> {
        if self.taken_bytes.load(Ordering::SeqCst) < self.bytes_max {
            return None;
        }
        let listener = self.given_back.listen();
        (self.taken_bytes.load(Ordering::SeqCst) >= self.bytes_max).then_some(listener)
    }
}

impl Published {
    /// Lets go of events that were sent, or never will be. The room of each run of
    /// events of one topic is given back in one go: a publisher that were woken by the first of
    /// them would find little room, fill it, and sleep through the rest.
    pub(crate) fn let_go(events: impl Iterator<Item = Arc<Published>>) {
        let mut run: Option<Published> = None;
        // Others may hold the event: then it is theirs to let go.
        for mut event in events.filter_map(Arc::into_inner) {
            match &mut run {
                Some(run) if Arc::ptr_eq(&run.topic, &event.topic) => {
                    run.room_bytes += std::mem::take(&mut event.room_bytes);
                    run.events += std::mem::take(&mut event.events);
                }
                _ => run = Some(event),
            }
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        if self.events > 0 {
            self.topic.room.give_back(self.room_bytes);
            self.hub_room.give_back(self.room_bytes + self.events * EVENT_BYTES);
        }
    }
}
