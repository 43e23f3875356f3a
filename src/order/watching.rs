//! Hosts begin to watch interest, and grace times end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::existing::Existing;
use super::Order;
use crate::filter::Subscription;
use crate::interest::{InterestQueue, Table};

/// Times that a watcher's lock is taken in a tick to end grace times, over all watchers, and how
/// many are ended each time.
const GRACE_LOCKS_PER_TICK: usize = 16;
const GRACES_PER_LOCK: usize = 256;

impl Order {
    /// Has a host be told of the first and the last subscriber of each topic that a subscription
    /// covers, beginning with those that have a subscriber. `None` if there are too many watchers.
    /// Takes the lock for a bounded number of topics at a time.
    pub(crate) fn watch(
        &self,
        covered: &Subscription,
        grace: Duration,
    ) -> Option<Arc<InterestQueue>> {
        let queue = self.lock().topics.watchers.begin(covered, grace)?;
        let mut existing = Existing::of(covered);
        while existing.note_some(&self.lock().topics, &queue) {}
        Some(queue)
    }

    /// Whether [`Order::end_graces`] will have anything to do.
    pub(crate) fn has_graces(&self) -> bool {
        self.interest.has_graces()
    }

    /// Tells watchers of what has had no subscriber for the grace time, in a bounded number of
    /// steps.
    pub(crate) fn end_graces(&self) {
        if !self.has_graces() {
            return;
        }
        let queues = self.lock().topics.watchers.queues();
        let now_ns = self.now_ns();
        let locks_max = (GRACE_LOCKS_PER_TICK / queues.len().max(1)).max(1);
        for queue in queues {
            let mut any_owed = false;
            for _ in 0..locks_max {
                let end_some = |table: &mut Table| table.end_graces(now_ns, GRACES_PER_LOCK);
                let (owed, is_all) = queue.with(end_some);
                any_owed |= owed;
                if is_all {
                    break;
                }
            }
            if any_owed {
                queue.notify();
            }
        }
    }

    /// Notes that all shards have ended: watchers are told that nothing has a subscriber any more,
    /// and nothing after that.
    pub(crate) fn end_watchers(&self) {
        let queues = self.lock().topics.watchers.end();
        for queue in queues {
            queue.with(|table| table.end(SystemTime::now()));
            queue.notify();
        }
    }
}
