//! All events that are kept, in the hub's order: of each its number and its topic.
//!
//! ```text
//!   compacted                    rest
//!   [ 17 a | 20 b | 21 a ]       [ 24 c | 25 a | 26 a | 30 b | 31 a ]
//!                        ^--------`an entry that is still needed moves over; another is dropped
//! ```
//!
//! A topic's own history finds its events; this finds the topics that come next, however many there
//! are, without a look at any other. Besides the events that are kept it has, for each topic, the
//! last one that is not kept any more: so a walk along the log comes past everything that may be
//! missing.
//!
//! An entry is not searched for when its event is forgotten. Useless entries go when they come to
//! the front; and when they are as many as the others, the log is compacted, a few entries with each
//! event that is published.

use std::collections::VecDeque;

/// Entries that are moved, or dropped, for each event that is published meanwhile.
pub(super) const MOVES: usize = 4;
/// So many useless entries are not worth a compaction.
const USELESS_MIN: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) of: Of,
}

/// The topic of an event, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Of {
    Topic(u32),
    /// A topic that is gone, by its index among those.
    Gone(u32),
}

#[derive(Default)]
pub(super) struct EventLog {
    compacted: VecDeque<Entry>,
    rest: VecDeque<Entry>,
    /// How many entries are not needed any more, at most.
    useless: usize,
    is_compacting: bool,
    /// Those that were needed when the compaction began: it may have passed them before.
    useless_since: usize,
}

impl EventLog {
    /// Takes an event, the newest of all.
    pub(super) fn push(&mut self, number: u64, topic: u32) {
        self.rest.push_back(Entry { number, of: Of::Topic(topic) });
    }

    /// Notes that an entry more is not needed any more.
    pub(super) fn release(&mut self) {
        self.useless += 1;
        self.useless_since += usize::from(self.is_compacting);
    }

    /// Whether there are entries that are not needed any more.
    pub(super) fn is_untidy(&self) -> bool {
        self.useless > 0
    }

    /// Drops useless entries, by a look at a bounded number of entries, at least [`MOVES`] for each
    /// event. `is_needed` says which have to stay.
    pub(super) fn tidy(&mut self, moves: usize, is_needed: impl Fn(Entry) -> bool) {
        for _ in 0..moves {
            let is_compacted = self.compacted.is_empty();
            let first = if is_compacted { &mut self.rest } else { &mut self.compacted };
            match first.front() {
                Some(&entry) if !is_needed(entry) => first.pop_front(),
                _ => break,
            };
            self.useless = self.useless.saturating_sub(1);
        }
        let all = self.compacted.len() + self.rest.len();
        self.is_compacting |= self.useless > USELESS_MIN && self.useless > all / 2;
        if self.is_compacting {
            self.compact(moves, is_needed);
        }
    }

    fn compact(&mut self, moves: usize, is_needed: impl Fn(Entry) -> bool) {
        for _ in 0..moves {
            match self.rest.pop_front() {
                Some(entry) if is_needed(entry) => self.compacted.push_back(entry),
                Some(_) => self.useless = self.useless.saturating_sub(1),
                None => {
                    std::mem::swap(&mut self.compacted, &mut self.rest);
                    self.is_compacting = false;
                    self.useless = std::mem::take(&mut self.useless_since);
                    return self.shrink();
                }
            }
        }
    }

    /// Notes that an event's topic has another index from now on.
    pub(super) fn repoint(&mut self, number: u64, from: Of, to: Of) {
        for entries in [&mut self.compacted, &mut self.rest] {
            let found = entries.binary_search_by_key(&number, |entry| entry.number).ok();
            if let Some(entry) = found.map(|nth| &mut entries[nth]).filter(|e| e.of == from) {
                entry.of = to;
            }
        }
    }

    /// The entries behind a number, in their order.
    pub(super) fn after(&self, number: u64) -> impl Iterator<Item = Entry> + '_ {
        let behind = |entries: &VecDeque<Entry>| entries.partition_point(|e| e.number <= number);
        let compacted = self.compacted.range(behind(&self.compacted)..);
        compacted.chain(self.rest.range(behind(&self.rest)..)).copied()
    }

    /// The entries before a number, the newest first.
    pub(super) fn before(&self, number: u64) -> impl Iterator<Item = Entry> + '_ {
        let before = |entries: &VecDeque<Entry>| entries.partition_point(|e| e.number < number);
        let rest = self.rest.range(..before(&self.rest)).rev();
        rest.chain(self.compacted.range(..before(&self.compacted)).rev()).copied()
    }

    /// Whether there are more than a few entries behind a number.
    pub(super) fn has_more_after(&self, number: u64, few: usize) -> bool {
        self.after(number).nth(few).is_some()
    }

    /// Gives memory back after a crowd of events has gone.
    fn shrink(&mut self) {
        for entries in [&mut self.compacted, &mut self.rest] {
            if entries.capacity() > USELESS_MIN && entries.len() < entries.capacity() / 4 {
                entries.shrink_to(entries.len() * 2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_log_has_what_is_needed_in_order_and_not_much_else() {
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut log = EventLog::default();
            let needed = RefCell::new(BTreeSet::new());
            let mut len_max = 0;
            for number in 1..20_000 {
                log.push(number, number as u32);
                needed.borrow_mut().insert(number);
                // At times the oldest goes, at others any, and at times everything.
                let mut goes = Vec::new();
                match random.u32(..100) {
                    0..40 => goes.extend(needed.borrow().first().copied()),
                    40..90 => {
                        let from = random.u64(..=number);
                        goes.extend(needed.borrow().range(from..).next().copied());
                    }
                    90 if random.u32(..50) == 0 => goes.extend(needed.borrow().iter().copied()),
                    _ => {}
                }
                for gone in goes {
                    needed.borrow_mut().remove(&gone);
                    log.release();
                }
                log.tidy(MOVES, |entry| needed.borrow().contains(&entry.number));
                let len = log.compacted.len() + log.rest.len();
                let is_all = needed.borrow().len();
                // It takes a while until what has gone at once is dropped.
                len_max = (3 * is_all + 3 * USELESS_MIN).max(len_max - MOVES.min(len_max));
                assert!(len <= len_max, "{len} of {is_all}");
                if random.u32(..50) > 0 {
                    continue;
                }
                let after = random.u64(..=number);
                let is_needed = |number: &u64| needed.borrow().contains(number);
                let found = log.after(after).map(|entry| entry.number).filter(is_needed);
                let expected: Vec<u64> = needed.borrow().range(after + 1..).copied().collect();
                assert_eq!(found.collect::<Vec<_>>(), expected);
                let found = log.before(after).map(|entry| entry.number).filter(is_needed);
                let expected: Vec<u64> = needed.borrow().range(..after).rev().copied().collect();
                assert_eq!(found.collect::<Vec<_>>(), expected);
            }
            needed.borrow_mut().clear();
            (0..40_000).for_each(|_| log.tidy(MOVES, |_| false));
            assert_eq!(log.after(0).count(), 0);
        }
    }

    #[test]
    fn an_entry_is_given_another_index_only_if_it_had_the_old_one() {
        let mut log = EventLog::default();
        (1..=4).for_each(|number| log.push(number, 7));
        log.repoint(3, Of::Topic(7), Of::Gone(1));
        log.repoint(2, Of::Topic(8), Of::Gone(2));
        let of: Vec<Of> = log.after(0).map(|entry| entry.of).collect();
        assert_eq!(of, [Of::Topic(7), Of::Topic(7), Of::Gone(1), Of::Topic(7)]);
    }
}
