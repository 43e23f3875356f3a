//! A walk along the log, in steps: the walking thread holds the hub's lock, so a step is short, and
//! the walk goes on later from where it came to. Its length is counted in looks, of which an entry takes one, and
//! several when its topic is held against many filters or has many levels: some 50 ns each.

use super::log::Entry;
use super::topics::Topics;
use super::wanted::{Matches, Wanted};
use super::Order;
use crate::id::Epoch;
use crate::tuning::OrderTuning;

/// The past of a client's topics, under the lock.
pub(super) struct Past<'a> {
    pub(super) topics: &'a Topics,
    pub(super) wanted: &'a Wanted<'a>,
    /// The number of the last event.
    pub(super) now: u64,
    pub(super) epoch: Epoch,
    pub(super) tuning: OrderTuning,
}

/// What may still be looked at in one go.
pub(super) struct Walk {
    looks_left: usize,
}

impl Order {
    pub(super) fn past<'a>(&self, topics: &'a Topics, wanted: &'a Wanted<'a>) -> Past<'a> {
        Past { topics, wanted, now: self.sequence(), epoch: self.epoch, tuning: self.tuning }
    }
}

impl Walk {
    pub(super) fn new(looks_max: usize) -> Walk {
        Walk { looks_left: looks_max }
    }

    /// Visits the entries behind a number. The error is the number that it came to, if it has to go
    /// on later.
    pub(super) fn along(
        &mut self,
        past: &Past<'_>,
        matches: &Matches<'_>,
        after: u64,
        mut visit: impl FnMut(Entry),
    ) -> Result<(), u64> {
        self.along_while(past, matches, after, |entry| {
            visit(entry);
            true
        })
    }

    /// The same until a visit says that it is the last.
    pub(super) fn along_while(
        &mut self,
        past: &Past<'_>,
        matches: &Matches<'_>,
        after: u64,
        visit: impl FnMut(Entry) -> bool,
    ) -> Result<(), u64> {
        self.visit(past.topics.log.after(after), matches, after, visit)
    }

    /// Visits the entries before a number, the newest first, until a visit says that it is the last.
    pub(super) fn back(
        &mut self,
        past: &Past<'_>,
        matches: &Matches<'_>,
        before: u64,
        visit: impl FnMut(Entry) -> bool,
    ) -> Result<(), u64> {
        self.visit(past.topics.log.before(before), matches, before, visit)
    }

    fn visit(
        &mut self,
        entries: impl Iterator<Item = Entry>,
        matches: &Matches<'_>,
        mut came_to: u64,
        mut visit: impl FnMut(Entry) -> bool,
    ) -> Result<(), u64> {
        for entry in entries {
            if self.looks_left == 0 {
                return Err(came_to);
            }
            if !visit(entry) {
                return Ok(());
            }
            self.looks_left = self.looks_left.saturating_sub(1 + matches.take_looks());
            came_to = entry.number;
        }
        Ok(())
    }
}
