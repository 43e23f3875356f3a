//! Hosts that watch which subscriptions get their first subscriber and lose their last one.
//!
//! The order knows both under its lock, over all shards. There it notes them in the tables of the
//! watchers that cover the subscription. A table has a lock of its own, which is taken under the
//! hub's, and never the other way round: the host takes notices out without the hub's lock. The
//! hosts that wait are woken when the hub's lock is given back.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::clock::Clock;
use crate::filter::Subscription;
use crate::interest::{InterestNotices, InterestQueue, Moment, Table, Tally};

/// The watchers of a hub, under its lock.
pub(super) struct Watchers {
    all: Vec<Watcher>,
    /// The tables in which notices came to be owed since the hosts were last woken.
    told: Vec<Arc<InterestQueue>>,
    tally: Arc<Tally>,
    clock: Clock,
    has_ended: bool,
}

struct Watcher {
    covered: Subscription,
    queue: Arc<InterestQueue>,
}

impl Watchers {
    pub(super) fn new(clock: Clock) -> Watchers {
        let (all, told, tally) = (Vec::new(), Vec::new(), Arc::default());
        Watchers { all, told, tally, clock, has_ended: false }
    }

    pub(super) fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    pub(super) fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }

    /// Begins to note what a subscription covers; `None` if there are too many watchers.
    pub(super) fn begin(
        &mut self,
        covered: &Subscription,
        grace: Duration,
    ) -> Option<Arc<InterestQueue>> {
        self.remove_left();
        if self.all.len() >= InterestNotices::WATCHERS_MAX {
            return None;
        }
        let table = Table::new(grace, InterestNotices::GRACES_MAX, self.tally());
        let queue = Arc::new(InterestQueue::new(table));
        match self.has_ended {
            true => queue.with(|table| table.end(SystemTime::now())),
            false => self.all.push(Watcher { covered: covered.clone(), queue: queue.clone() }),
        }
        Some(queue)
    }

    /// How many subscriptions may begin while the lock is held, of at most `most`: each is compared
    /// with what each watcher covers.
    #[inline]
    pub(super) fn subscriptions_per_lock(&self, most: usize) -> usize {
        most / (1 + self.all.len() / 8)
    }

    /// Notes that a subscription has a subscriber, as it may have had before, or none any more.
    #[inline]
    pub(super) fn note(&mut self, what: &Subscription, is_subscribed: bool) {
        if !self.all.is_empty() {
            self.note_in_tables(what, is_subscribed);
        }
    }

    #[cold]
    fn note_in_tables(&mut self, what: &Subscription, is_subscribed: bool) {
        let now = Moment { ns: self.clock.now_ns(), at: SystemTime::now() };
        let mut any_left = false;
        for Watcher { queue, .. } in self.all.iter().filter(|w| w.covered.overlaps(what)) {
            let note = |table: &mut Table| {
                any_left |= table.is_left();
                table.note(what, is_subscribed, now)
            };
            let is_owed = queue.with(note);
            if is_owed && !self.told.iter().any(|told| Arc::ptr_eq(told, queue)) {
                self.told.push(queue.clone());
            }
        }
        if any_left {
            self.remove_left();
        }
    }

    /// The tables whose hosts are to be woken, without the hub's lock.
    #[inline]
    pub(super) fn take_told(&mut self) -> Vec<Arc<InterestQueue>> {
        std::mem::take(&mut self.told)
    }

    /// The tables of all watchers.
    pub(super) fn queues(&mut self) -> Vec<Arc<InterestQueue>> {
        self.remove_left();
        self.all.iter().map(|watcher| watcher.queue.clone()).collect()
    }

    /// Ends all watchers that there are and will be. Returns their tables, which have to be ended.
    pub(super) fn end(&mut self) -> Vec<Arc<InterestQueue>> {
        self.has_ended = true;
        self.all.drain(..).map(|watcher| watcher.queue).collect()
    }

    /// How many watchers there are, and how many notices they are owed.
    pub(super) fn count(&self) -> (usize, usize) {
        let tables = self.all.iter().map(|watcher| &watcher.queue);
        let counts = tables.map(|queue| queue.with(|table| (!table.is_left(), table.owed())));
        counts.fold((0, 0), |(all, owed), (is_there, more)| {
            (all + usize::from(is_there), owed + more)
        })
    }

    /// Removes the watchers whose receivers are gone.
    fn remove_left(&mut self) {
        self.all.retain(|watcher| !watcher.queue.with(|table| table.is_left()));
    }
}
