//! Room is counted where the backlog is. A [`Published`] event takes its bytes of its topic's room
//! until all members that keep up have been sent it: each audience holds a reference until then,
//! and dropping the last one gives the room back. So a flood on one topic fills that topic, and
//! neither refuses nor delays the publisher of another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use super::interest::TopicState;
use crate::frame::Frame;

/// What the engine keeps with an event besides its bytes, about: it counts for the hub's room, for
/// lag and for history, so that many tiny events do not take more memory than large ones.
pub(crate) const EVENT_BYTES: usize = 256;

/// Bytes that have yet to be sent, and those who wait for them to get fewer.
pub(super) struct Backlog {
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
    hub_backlog: Arc<Backlog>,
    backlog_bytes: usize,
    /// How many events' room this one gives back.
    events: usize,
}

impl Backlog {
    pub(super) fn new(bytes_max: usize) -> Backlog {
        Backlog { bytes_max, taken_bytes: AtomicUsize::new(0), given_back: Default::default() }
    }

    pub(super) fn taken_bytes(&self) -> usize {
        self.taken_bytes.load(Ordering::Relaxed)
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
            self.wake_all();
        }
    }

    pub(super) fn wake_all(&self) {
        self.given_back.notify(usize::MAX);
    }

    /// When there is no room: a listener for the moment when there may be. It is made before the
    /// second look, so that room which is given back in between is not missed.
    pub(super) fn is_full(&self) -> Option<event_listener::EventListener> {
        if self.taken_bytes.load(Ordering::SeqCst) < self.bytes_max {
            return None;
        }
        let listener = self.given_back.listen();
        (self.taken_bytes.load(Ordering::SeqCst) >= self.bytes_max).then_some(listener)
    }
}

impl Published {
    /// Takes its topic's room, and the hub's, for an event of so many bytes.
    pub(super) fn new(
        frame: Frame,
        (sequence, at_ns): (u64, u64),
        topic: Arc<TopicState>,
        hub_backlog: Arc<Backlog>,
        backlog_bytes: usize,
    ) -> Published {
        topic.backlog.take(backlog_bytes);
        hub_backlog.take(backlog_bytes + EVENT_BYTES);
        Published { frame, sequence, at_ns, topic, hub_backlog, backlog_bytes, events: 1 }
    }

    /// Lets go of events that were sent, or never will be. The room of each run of
    /// events of one topic is given back in one go: a publisher that were woken by the first of
    /// them would find little room, fill it, and sleep through the rest.
    pub(crate) fn let_go(events: impl Iterator<Item = Arc<Published>>) {
        let mut run: Option<Published> = None;
        // Others may hold the event: then it is theirs to let go.
        for mut event in events.filter_map(Arc::into_inner) {
            match &mut run {
                Some(run) if Arc::ptr_eq(&run.topic, &event.topic) => {
                    run.backlog_bytes += std::mem::take(&mut event.backlog_bytes);
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
            self.topic.backlog.give_back(self.backlog_bytes);
            self.hub_backlog.give_back(self.backlog_bytes + self.events * EVENT_BYTES);
        }
    }
}
