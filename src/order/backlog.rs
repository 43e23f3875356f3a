//! How a publisher waits for room, and how it is woken.
//!
//! Nothing is locked between a publisher that finds no room and a shard that gives room back, so the
//! publisher looks twice: it looks, says that it listens, and looks again. Either the second look
//! finds what was given back, or whatever is given back later finds the listener. `tests/loom` tries
//! all interleavings, which is why this file uses nothing but [`crate::sync`].

use crate::sync::{AtomicUsize, Event, EventListener, Ordering};

/// Bytes that have yet to be sent, and the publishers that wait for them to get fewer.
pub(super) struct Backlog {
    bytes_max: usize,
    taken_bytes: AtomicUsize,
    given_back: Event,
}

impl Backlog {
    pub(super) fn new(bytes_max: usize) -> Backlog {
        Backlog { bytes_max, taken_bytes: AtomicUsize::new(0), given_back: Event::default() }
    }

    pub(super) fn taken_bytes(&self) -> usize {
        self.taken_bytes.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn take(&self, bytes: usize) {
        self.taken_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Wakes the publishers that wait when an eighth of the room is free, and not for every event's
    /// worth: a publisher that shares its core with the shard is then switched to eight times a round.
    #[inline]
    pub(super) fn give_back(&self, bytes: usize) {
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
    pub(super) fn is_full(&self) -> Option<EventListener> {
        if self.taken_bytes.load(Ordering::SeqCst) < self.bytes_max {
            return None;
        }
        let listener = self.given_back.listen();
        (self.taken_bytes.load(Ordering::SeqCst) >= self.bytes_max).then_some(listener)
    }
}
