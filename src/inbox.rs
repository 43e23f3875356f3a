//! A shard's inbox: publishers put events into it, and the shard takes all of them at once.
//!
//! The shard sleeps in its poller, and waking it costs a system call. So the shard says when it is
//! about to sleep: it *parks*. Whether it is parked and the items are under one lock, so either the
//! shard finds an item and does not park, or the publisher finds it parked and wakes it.
//! `tests/loom` tries all interleavings. In one of them, an atomic flag beside the lock loses a
//! wake.
//!
//! The inbox is bounded by the backlogs (`order/backlog.rs`), to which an event is added before it
//! is put into an inbox. The end of a topic, which comes once, is put into the inbox if a shard is
//! subscribed to the topic by its name.

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

/// Wakes the owner of an inbox, which may be asleep.
pub(crate) trait Wake {
    fn wake(&self);
}

pub(crate) struct Inbox<T, W> {
    locked: Mutex<Locked<T>>,
    /// Whether there may be items: an owner that is awake takes no lock if there are none.
    filled: AtomicBool,
    waker: W,
}

struct Locked<T> {
    items: Vec<T>,
    parked: bool,
}

impl<T, W: Wake> Inbox<T, W> {
    pub(crate) fn new(waker: W) -> Inbox<T, W> {
        let locked = Mutex::new(Locked { items: Vec::new(), parked: false });
        Inbox { locked, filled: AtomicBool::new(false), waker }
    }

    /// Puts an item into the inbox. If it returns true the owner is parked, and the caller has to
    /// call [`Inbox::wake`].
    #[must_use]
    pub(crate) fn put(&self, item: T) -> bool {
        let mut locked = self.lock();
        locked.items.push(item);
        self.filled.store(true, Ordering::Release);
        std::mem::take(&mut locked.parked)
    }

    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// What wakes the owner.
    pub(crate) fn waker(&self) -> &W {
        &self.waker
    }

    /// Wakes the owner if it is parked, for something that is not in the inbox.
    pub(crate) fn ring(&self) {
        let parked = std::mem::take(&mut self.lock().parked);
        if parked {
            self.wake();
        }
    }

    /// Moves all items into `taken`, which has to be empty: the inbox uses its memory from then on.
    pub(crate) fn take(&self, taken: &mut Vec<T>) {
        if self.filled.load(Ordering::Acquire) {
            let mut locked = self.lock();
            self.filled.store(false, Ordering::Release);
            std::mem::swap(&mut locked.items, taken);
        }
    }

    /// Parks the owner, which is about to sleep. False if there are items, and it is not parked.
    #[must_use]
    pub(crate) fn park(&self) -> bool {
        let mut locked = self.lock();
        locked.parked = locked.items.is_empty();
        locked.parked
    }

    /// Notes that the owner is awake.
    pub(crate) fn unpark(&self) {
        self.lock().parked = false;
    }

    /// Nothing that is done under the lock can panic, so the lock is never poisoned.
    fn lock(&self) -> MutexGuard<'_, Locked<T>> {
        self.locked.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
