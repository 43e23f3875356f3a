//! How many bytes wait to be sent, of one topic or of the whole hub, and which publishers wait
//! until there are fewer.
//!
//! There is no lock between a publisher that finds a full backlog and a shard that removes bytes
//! from it. So the publisher reads the bytes, listens, and reads them again: either the second read
//! finds what was removed, or a shard that removes bytes later finds the listener. `tests/loom`
//! tries all interleavings, which is why this file uses nothing but [`crate::sync`].

use crate::sync::{AtomicUsize, Event, EventListener, Ordering};

/// A counter of bytes with a bound. An event is added if the bytes are below the bound, however
/// large the event is: so the bound may be exceeded by one event.
pub(super) struct Backlog {
    bytes_max: usize,
    bytes: AtomicUsize,
    /// Notified when there is space again.
    space: Event,
}

impl Backlog {
    pub(super) fn new(bytes_max: usize) -> Backlog {
        Backlog { bytes_max, bytes: AtomicUsize::new(0), space: Event::default() }
    }

    #[allow(dead_code, reason = "tests/loom does without")]
    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notifies the publishers that wait when an eighth of the bound is free, and not after each
    /// event: a publisher that shares its core with the shard is then switched to eight times as a
    /// full backlog is emptied.
    #[inline]
    pub(super) fn remove(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        let enough = self.bytes_max - self.bytes_max / 8;
        if before >= enough && before - bytes < enough {
            self.notify_all();
        }
    }

    pub(super) fn notify_all(&self) {
        self.space.notify(usize::MAX);
    }

    /// If the backlog is full: a listener for the moment when there may be space. It is made before
    /// the bytes are read again, so that a removal in between is not missed.
    pub(super) fn listen_if_full(&self) -> Option<EventListener> {
        if self.bytes.load(Ordering::SeqCst) < self.bytes_max {
            return None;
        }
        let listener = self.space.listen();
        (self.bytes.load(Ordering::SeqCst) >= self.bytes_max).then_some(listener)
    }
}
