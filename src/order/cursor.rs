//! How far a client has come in the hub's order, and which events are its next ones.

use std::ops::Range;

use super::history::History;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Cursor {
    /// The client has, or does not want, the events up to this sequence number.
    pub(crate) after: u64,
    /// Up to this sequence number it wants only the newest event of each topic.
    pub(crate) latest_to: u64,
    /// Of events up to this sequence number that are not kept any more it was told, or need not be.
    pub(crate) gap_told_to: u64,
    /// Up to this entry of [`Forgets`](super::forgets::Forgets) it was told what is not kept.
    pub(crate) forgets_seen: u64,
    /// If more was forgotten than is remembered there, what is missing is looked for along the
    /// event log: so far up to this sequence number.
    pub(crate) looked_to: Option<u64>,
    /// What was found of that and not told yet ends at this sequence number; zero for nothing.
    pub(crate) untold_to: u64,
    /// If not zero: what is kept is replayed up to this sequence number, and then it is looked for anew what
    /// is missing.
    pub(crate) until: u64,
}

impl Cursor {
    /// Up to this sequence number the client is not told of events that are not kept.
    pub(crate) fn told_to(&self) -> u64 {
        self.after.max(self.gap_told_to)
    }

    /// The kept events of a topic that the client wants, by their positions in the history.
    pub(super) fn wanted_of(&self, history: &History) -> Range<usize> {
        let wanted = history.after(self.after);
        let latest = match self.latest_to > self.after {
            true => history.after(self.latest_to).start.saturating_sub(1),
            false => 0,
        };
        wanted.start.max(latest)..wanted.end
    }

    /// Whether events that are kept after a sequence number may be skipped by a stream that begins
    /// here.
    pub(super) fn skips_after(&self, sequence: u64) -> bool {
        self.after.max(self.latest_to) > sequence
    }

    /// Whether a stream that begins here skips a kept event of a topic that its client wants.
    /// `next` is as below.
    pub(super) fn skips(&self, sequence: u64, next: Option<u64>) -> bool {
        sequence <= self.after || !self.wants(sequence, next)
    }

    /// Whether the client wants an event after the cursor, of a topic that it wants. `next` is the
    /// sequence number of that topic's next event.
    pub(super) fn wants(&self, sequence: u64, next: Option<u64>) -> bool {
        sequence > self.latest_to || next.is_none_or(|next| next > self.latest_to)
    }
}
