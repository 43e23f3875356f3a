//! A walk along the event log, in parts: the thread that walks holds the hub's lock, so a part is
//! short, and the walk goes on later from where it stopped.
//!
//! A walk's length is counted in steps of about 50 ns. An entry takes one step, and more when its
//! topic is compared with many filters or has many levels.

use super::event_log::LogEntry;
use super::lives::{Known, Lives};
use super::topics::Topics;
use super::wanted::{Matches, NamedTopics, Wanted};
use crate::id::{Epoch, EventId};
use crate::tuning::OrderTuning;

/// What is kept and known of the topics, under the hub's lock, and what one client wants of them.
pub(super) struct Past<'a> {
    pub(super) topics: &'a Topics,
    pub(super) wanted: &'a Wanted<'a>,
    /// The sequence number of the last event that concerns the client.
    pub(super) now: u64,
    pub(super) epoch: Epoch,
    pub(super) lives: &'a Lives,
    pub(super) tuning: OrderTuning,
}

/// The steps that are left while the lock is held.
pub(super) struct Walk {
    steps_left: usize,
}

impl Past<'_> {
    pub(super) fn begin_walk(&self) -> Walk {
        Walk { steps_left: self.tuning.walk_steps_max }
    }

    /// The client's topics, if they can be found by few names.
    pub(super) fn find_named(&self) -> Option<NamedTopics> {
        NamedTopics::find(self.topics, self.wanted, self.tuning.named_topics_max)
    }

    pub(super) fn id_of(&self, sequence: u64) -> EventId {
        EventId { epoch: self.epoch, sequence }
    }

    /// What an id says of what its client had.
    pub(super) fn known(&self, id: &str) -> Known {
        let id = EventId::parse(id);
        id.map_or(Known::Unknown, |id| self.lives.look_up(id, self.id_of(self.now)))
    }
}

impl Walk {
    /// Visits the entries after a sequence number. The error is the sequence number up to which it
    /// came, if no steps are left.
    pub(super) fn forward(
        &mut self,
        past: &Past<'_>,
        matches: &Matches<'_>,
        after: u64,
        mut visit: impl FnMut(LogEntry),
    ) -> Result<(), u64> {
        self.forward_while(past, matches, after, |entry| {
            visit(entry);
            true
        })
    }

    /// The same until a visit returns false.
    pub(super) fn forward_while(
        &mut self,
        past: &Past<'_>,
        matches: &Matches<'_>,
        after: u64,
        visit: impl FnMut(LogEntry) -> bool,
    ) -> Result<(), u64> {
        self.visit(past.topics.log.after(after), matches, after, visit)
    }

    /// Visits the entries before a sequence number, the newest first, until a visit returns false.
    pub(super) fn back_while(
        &mut self,
        past: &Past<'_>,
        matches: &Matches<'_>,
        before: u64,
        visit: impl FnMut(LogEntry) -> bool,
    ) -> Result<(), u64> {
        self.visit(past.topics.log.before(before), matches, before, visit)
    }

    pub(super) fn has_steps(&self) -> bool {
        self.steps_left > 0
    }

    /// Counts one entry, and the comparisons that it has taken.
    pub(super) fn take_steps(&mut self, matches: &Matches<'_>) {
        self.steps_left = self.steps_left.saturating_sub(1 + matches.take_steps());
    }

    fn visit(
        &mut self,
        entries: impl Iterator<Item = LogEntry>,
        matches: &Matches<'_>,
        mut walked_to: u64,
        mut visit: impl FnMut(LogEntry) -> bool,
    ) -> Result<(), u64> {
        for entry in entries {
            if self.steps_left == 0 {
                return Err(walked_to);
            }
            if !visit(entry) {
                return Ok(());
            }
            self.take_steps(matches);
            walked_to = entry.sequence;
        }
        Ok(())
    }
}
