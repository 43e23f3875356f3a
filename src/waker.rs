//! How a shard that sleeps is woken: a thread through its poller, a future through its task.
//!
//! To wake a future through its poller, which another poller polls, takes a system call of the
//! publisher, two of the thread that polls, and a switch to it, before the task is woken at last.
//! So a future that parks leaves its task's waker here, and a thread that wakes the shard wakes
//! that.

use std::sync::PoisonError;
use std::task;

use crate::inbox::Wake;
use crate::sync::{Mutex, MutexGuard};

/// Wakes one shard from any thread. `W` wakes its poller.
pub(crate) struct ShardWaker<W> {
    poller: W,
    /// Of the future that is parked. `None` when a thread drives the shard, when the future is not
    /// parked, and when it was woken.
    task: Mutex<Option<task::Waker>>,
}

impl<W: Wake> ShardWaker<W> {
    pub(crate) fn new(poller: W) -> ShardWaker<W> {
        ShardWaker { poller, task: Mutex::new(None) }
    }

    /// Has a task woken, instead of the poller. It is to be called before the shard parks.
    pub(crate) fn set_task(&self, waker: &task::Waker) {
        let before = self.lock().replace(waker.clone());
        // It may be the last reference to a task, and what that drops is foreign code.
        drop(before);
    }

    /// The task that was set is polled again, and may have another waker by now. False when it was
    /// woken since, or is being woken: then there is none any more.
    #[must_use]
    pub(crate) fn renew_task(&self, waker: &task::Waker) -> bool {
        let mut locked = self.lock();
        let Some(set) = &mut *locked else { return false };
        let before = (!set.will_wake(waker)).then(|| std::mem::replace(set, waker.clone()));
        drop(locked);
        drop(before);
        true
    }

    /// Forgets the task.
    pub(crate) fn forget_task(&self) {
        let before = self.lock().take();
        drop(before);
    }

    /// To clone a waker is the only foreign code under the lock, and a panic in it leaves what was
    /// there.
    fn lock(&self) -> MutexGuard<'_, Option<task::Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Wake> Wake for ShardWaker<W> {
    fn wake(&self) {
        let task = self.lock().take();
        match task {
            Some(task) => task.wake(),
            // One that comes too late for a future finds none, and its poller is awake for nothing.
            None => self.poller.wake(),
        }
    }
}
