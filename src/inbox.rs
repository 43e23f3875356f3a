//! A shard's inbox: publishers put into it, the shard empties it in one go.
//!
//! The shard sleeps in its poller, and to wake it costs a system call, so it says when it is going
//! to sleep: it parks. That and the items are under one lock, so one of the two sees the other:
//! the shard finds an item and does not park, or the publisher finds it parked and rings.
//! `tests/loom` tries all interleavings.
//!
//! The queue is bounded by the room of the topics (`order/room.rs`), which is taken before an item
//! is put.

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

/// What wakes the sleeping owner of an inbox.
pub(crate) trait Wake {
    fn wake(&self);
}

pub(crate) struct Inbox<T, W> {
    locked: Mutex<Locked<T>>,
    /// Whether there may be something: spares the awake owner the lock when there is not.
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

    /// Puts an item. When it returns true the owner sleeps, and the caller has to wake it.
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

    /// Wakes the owner if it sleeps, for something that is not in the inbox.
    pub(crate) fn ring(&self) {
        let parked = std::mem::take(&mut self.lock().parked);
        if parked {
            self.wake();
        }
    }

    /// Moves everything into `taken`, which has to be empty: its memory becomes the inbox's.
    pub(crate) fn take(&self, taken: &mut Vec<T>) {
        if self.filled.load(Ordering::Acquire) {
            let mut locked = self.lock();
            self.filled.store(false, Ordering::Release);
            std::mem::swap(&mut locked.items, taken);
        }
    }

    /// Says that the owner is going to sleep. False when there is something to do instead.
    #[must_use]
    pub(crate) fn park(&self) -> bool {
        let mut locked = self.lock();
        locked.parked = locked.items.is_empty();
        locked.parked
    }

    /// Says that the owner is awake.
    pub(crate) fn unpark(&self) {
        self.lock().parked = false;
    }

    /// Nothing that is done under the lock can panic, so it is never poisoned.
    fn lock(&self) -> MutexGuard<'_, Locked<T>> {
        self.locked.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
