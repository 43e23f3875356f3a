//! How the items of an order get their numbers and times. As a rule the next number is the last one's
//! successor, and the time is now. A node of a cluster is given both with each item, since all nodes have the
//! same order. Between two items of a cluster there is space for some numbers of a node's own: for the marks
//! that each node makes by itself when it forgets that a topic was finished.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Numbers of the order for each number of a cluster's stream: the item's own, and those of the marks that may
/// follow it.
pub(crate) const NUMBERS_PER_ITEM: u64 = 16;

/// Zero stands for none. Written by the one thread that applies a cluster's items.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    is_given: AtomicBool,
    /// The number of the item that is applied next.
    number: AtomicU64,
    /// When that was published, on the hub's clock.
    at_ns: AtomicU64,
    applied_events: AtomicU64,
}

impl Numbering {
    /// From now on each item is given its number.
    pub(super) fn give_all(&self) {
        self.is_given.store(true, Ordering::Relaxed);
    }

    pub(super) fn give(&self, number: u64, at_ns: u64) {
        self.at_ns.store(at_ns, Ordering::Relaxed);
        self.number.store(number, Ordering::Relaxed);
    }

    pub(super) fn take_back(&self) {
        self.give(0, 0);
    }

    pub(super) fn count_event(&self) {
        self.applied_events.fetch_add(1, Ordering::Relaxed);
    }

    /// How many events were applied, if items are given their numbers.
    pub(super) fn applied_events(&self) -> Option<u64> {
        let is_given = self.is_given.load(Ordering::Relaxed);
        is_given.then(|| self.applied_events.load(Ordering::Relaxed))
    }

    /// The number of the item that is published now, if it was given one; else the one behind `last`. To be called
    /// once: what an item needs besides, such as the mark after a last event, gets the numbers behind it.
    #[inline]
    pub(super) fn next(&self, last: u64) -> u64 {
        match self.number.load(Ordering::Relaxed) {
            0 => last + 1,
            given => {
                self.number.store(0, Ordering::Relaxed);
                given
            }
        }
    }

    /// A number behind `last` for a mark that no item of a cluster is.
    pub(super) fn next_own(&self, last: u64) -> u64 {
        // Marks that find no number have that of the mark before.
        let is_items = (last + 1) % NUMBERS_PER_ITEM == 0;
        match is_items && self.is_given.load(Ordering::Relaxed) {
            true => last,
            false => last + 1,
        }
    }

    /// When what is published now was published, if that is given.
    #[inline]
    pub(super) fn given_ns(&self) -> Option<u64> {
        Some(self.at_ns.load(Ordering::Relaxed)).filter(|&at_ns| at_ns > 0)
    }
}
