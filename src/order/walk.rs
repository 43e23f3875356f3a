//! A walk along the log, in steps: whoever walks holds the hub's lock, so a step is short, and goes
//! on later from where it came to.

use std::time::{Duration, Instant};

use super::log::Entry;
use super::topics::Topics;
use super::wanted::Wanted;
use super::Order;
use crate::id::Epoch;

/// Entries that are looked at while the lock is held. Less in tests, so that there are many steps.
const ENTRIES_MAX: usize = if cfg!(test) { 100 } else { 4096 };
/// How long that may take, looked at from time to time.
const TIME_MAX: Duration = Duration::from_micros(250);
const ENTRIES_PER_LOOK: usize = 32;

/// The past of a client's topics, under the lock.
pub(super) struct Past<'a> {
    pub(super) topics: &'a Topics,
    pub(super) wanted: &'a Wanted<'a>,
    /// The number of the last event.
    pub(super) now: u64,
    pub(super) epoch: Epoch,
}

/// What may still be looked at in one go.
pub(super) struct Walk {
    entries_left: usize,
    until: Option<Instant>,
}

impl Order {
    pub(super) fn past<'a>(&self, topics: &'a Topics, wanted: &'a Wanted<'a>) -> Past<'a> {
        Past { topics, wanted, now: self.sequence(), epoch: self.epoch }
    }
}

impl Walk {
    pub(super) fn new() -> Walk {
        Walk { entries_left: ENTRIES_MAX, until: None }
    }

    /// Whether one more entry may be looked at.
    fn goes_on(&mut self) -> bool {
        if self.entries_left == 0 {
            return false;
        }
        self.entries_left -= 1;
        if !self.entries_left.is_multiple_of(ENTRIES_PER_LOOK) {
            return true;
        }
        let now = Instant::now();
        now < *self.until.get_or_insert(now + TIME_MAX)
    }

    /// Visits the entries behind a number. The error is the number that it came to, if it has to go
    /// on later.
    pub(super) fn along(
        &mut self,
        past: &Past<'_>,
        after: u64,
        mut visit: impl FnMut(Entry),
    ) -> Result<(), u64> {
        self.along_while(past, after, |entry| {
            visit(entry);
            true
        })
    }

    /// The same until a visit says that it is the last.
    pub(super) fn along_while(
        &mut self,
        past: &Past<'_>,
        mut after: u64,
        mut visit: impl FnMut(Entry) -> bool,
    ) -> Result<(), u64> {
        for entry in past.topics.log.after(after) {
            if !self.goes_on() {
                return Err(after);
            }
            if !visit(entry) {
                return Ok(());
            }
            after = entry.number;
        }
        Ok(())
    }

    /// Visits the entries before a number, the newest first, until a visit says that it is the last.
    pub(super) fn back(
        &mut self,
        past: &Past<'_>,
        mut before: u64,
        mut visit: impl FnMut(Entry) -> bool,
    ) -> Result<(), u64> {
        for entry in past.topics.log.before(before) {
            if !self.goes_on() {
                return Err(before);
            }
            if !visit(entry) {
                return Ok(());
            }
            before = entry.number;
        }
        Ok(())
    }
}
