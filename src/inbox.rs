//! A shard's inbox: publishers put into it, the shard empties it in one go.
//!
//! The shard sleeps in its poller, and waking it costs a system call, so it announces its sleep:
//! it sets `parked`, looks into the inbox once more, and only then sleeps. A publisher puts first
//! and looks at `parked` afterwards. Both go through the queue's lock in between, so one of them
//! sees the other: either the shard finds the item, or the publisher finds it parked and rings.
//! `tests/loom.rs` tries all interleavings.
//!
//! The queue is bounded by the room of the topics (`order.rs`), which is taken before an item is
//! put.

use std::sync::PoisonError;

use crate::sync::{AtomicBool, Mutex, Ordering};

/// What wakes the sleeping owner of an inbox.
pub(crate) trait Wake {
    fn wake(&self);
}

pub(crate) struct Inbox<T, W> {
    queue: Mutex<Vec<T>>,
    /// Whether there may be something in the queue: spares the shard the lock when there is not.
    filled: AtomicBool,
    parked: AtomicBool,
    waker: W,
}

impl<T, W: Wake> Inbox<T, W> {
    pub(crate) fn new(waker: W) -> Inbox<T, W> {
        Inbox {
            queue: Mutex::new(Vec::new()),
            filled: AtomicBool::new(false),
            parked: AtomicBool::new(false),
            waker,
        }
    }

    /// Puts an item. The caller rings afterwards, outside of its own lock.
    pub(crate) fn put(&self, item: T) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push(item);
        self.filled.store(true, Ordering::Release);
    }

    /// Wakes the owner if it sleeps, or is about to.
    pub(crate) fn ring(&self) {
        if self.parked.load(Ordering::SeqCst) && self.parked.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// Moves everything into `taken`, which has to be empty: its memory becomes the queue's.
    pub(crate) fn take(&self, taken: &mut Vec<T>) {
        if self.filled.load(Ordering::Acquire) {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            self.filled.store(false, Ordering::Release);
            std::mem::swap(&mut *queue, taken);
        }
    }

    /// Announces that the owner is going to sleep. When it returns false there is something to
    /// do, and nothing was announced.
    pub(crate) fn park(&self) -> bool {
        self.parked.store(true, Ordering::SeqCst);
        let empty = self.queue.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if !empty {
            self.unpark();
        }
        empty
    }

    /// Takes the announcement back, after the sleep.
    pub(crate) fn unpark(&self) {
        self.parked.store(false, Ordering::SeqCst);
    }
}
