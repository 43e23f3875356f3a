//! What threads of the engine put under a lock, and a host takes out of it, waiting if there is
//! nothing.
//!
//! A thread that has put something notifies after it has given all locks back: to notify a host
//! that waits runs the waker of its task. A host that finds nothing listens, and looks again before
//! it waits. `tests/loom` tries all interleavings, which is why this file uses nothing but
//! [`crate::sync`].

use crate::sync::{Event, Mutex, MutexGuard};

pub(crate) struct Queue<T> {
    locked: Mutex<T>,
    /// Notified when there may be something to take.
    news: Event,
}

impl<T> Queue<T> {
    pub(crate) fn new(table: T) -> Queue<T> {
        Queue { locked: Mutex::new(table), news: Event::default() }
    }

    /// Does something under the lock, which may not block.
    pub(crate) fn with<R>(&self, what: impl FnOnce(&mut T) -> R) -> R {
        what(&mut self.lock())
    }

    /// Wakes all that wait. To be called without any lock.
    pub(crate) fn notify(&self) {
        self.news.notify(usize::MAX);
    }

    /// Waits until `take` takes something.
    pub(crate) async fn take<R>(&self, mut take: impl FnMut(&mut T) -> Option<R>) -> R {
        loop {
            if let Some(taken) = self.with(&mut take) {
                return taken;
            }
            let listener = self.news.listen();
            if let Some(taken) = self.with(&mut take) {
                return taken;
            }
            listener.await;
        }
    }

    /// Nothing that is done under the lock can panic half way, so the data of a poisoned lock is
    /// right.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.locked.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
