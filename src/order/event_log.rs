//! The sequence numbers of all events that are kept, in order, each with its topic, or with the
//! list of its topics: no two entries have the same number.
//!
//! ```text
//!   compacted                    rest
//!   [ 17 a | 20 b | 21 a ]       [ 24 c | 25 a | 26 a | 30 b | 31 a ]
//!                        ^--------`an entry that is still needed moves over; another is dropped
//! ```
//!
//! A topic's own history finds the events of that topic. The log finds the topics whose events come
//! next, however many topics there are, without reading any other topic. Besides the events that
//! are kept it has, for each topic and each list, the last event that was forgotten: so a walk
//! along the log passes everything that a client may have missed.
//!
//! When an event is forgotten, its entry is not searched for: the entry becomes useless where it
//! is. Useless entries are dropped when they reach the front. When half of the entries are useless,
//! the log is compacted, a few entries with each event that is published.

use std::collections::VecDeque;

/// Entries that are moved or dropped with each event that is published.
pub(super) const MOVES_PER_EVENT: usize = 4;
/// Fewer useless entries than this are not worth a compaction.
const USELESS_MIN: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogEntry {
    pub(super) sequence: u64,
    pub(super) topic: TopicRef,
}

/// The topic or the topics of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TopicRef {
    /// A topic that is tracked, by its index in [`Topics`](super::topics::Topics).
    Tracked(u32),
    /// A topic that was removed, by its index in [`Gone`](super::gone::Gone).
    Gone(u32),
    /// Several topics, by the index of their list in [`Lists`](super::lists::Lists).
    List(u32),
}

#[derive(Default)]
pub(super) struct EventLog {
    compacted: VecDeque<LogEntry>,
    rest: VecDeque<LogEntry>,
    /// At most this many entries are useless.
    useless: usize,
    is_compacting: bool,
    /// Entries that became useless after the compaction began, which may have passed them by then.
    useless_since_start: usize,
}

impl EventLog {
    /// Appends an event, the newest of all.
    #[inline]
    pub(super) fn push(&mut self, sequence: u64, topic: TopicRef) {
        self.rest.push_back(LogEntry { sequence, topic });
    }

    /// Notes that `count` more entries are useless.
    #[inline]
    pub(super) fn note_useless(&mut self, count: usize) {
        self.useless += count;
        self.useless_since_start += if self.is_compacting { count } else { 0 };
    }

    pub(super) fn has_useless(&self) -> bool {
        self.useless > 0
    }

    /// Drops useless entries. Reads a bounded number of entries, for which `moves` has to be at
    /// least [`MOVES_PER_EVENT`] for each event that was pushed. `is_needed` tells which entries
    /// have to stay.
    pub(super) fn tidy(&mut self, moves: usize, is_needed: impl Fn(LogEntry) -> bool) {
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

    fn compact(&mut self, moves: usize, is_needed: impl Fn(LogEntry) -> bool) {
        for _ in 0..moves {
            match self.rest.pop_front() {
                Some(entry) if is_needed(entry) => self.compacted.push_back(entry),
                Some(_) => self.useless = self.useless.saturating_sub(1),
                None => {
                    std::mem::swap(&mut self.compacted, &mut self.rest);
                    self.is_compacting = false;
                    self.useless = std::mem::take(&mut self.useless_since_start);
                    return self.shrink();
                }
            }
        }
    }

    /// Gives the entry of an event another topic, if it has the one that is named `from`.
    pub(super) fn repoint(&mut self, sequence: u64, from: TopicRef, to: TopicRef) {
        for entries in [&mut self.compacted, &mut self.rest] {
            let found = entries.binary_search_by_key(&sequence, |entry| entry.sequence).ok();
            if let Some(entry) = found.map(|nth| &mut entries[nth]).filter(|e| e.topic == from) {
                entry.topic = to;
            }
        }
    }

    /// The entries after a sequence number, the oldest first.
    pub(super) fn after(&self, sequence: u64) -> impl Iterator<Item = LogEntry> + '_ {
        let start = |entries: &VecDeque<LogEntry>| {
            entries.partition_point(|entry| entry.sequence <= sequence)
        };
        let compacted = self.compacted.range(start(&self.compacted)..);
        compacted.chain(self.rest.range(start(&self.rest)..)).copied()
    }

    /// The entries before a sequence number, the newest first.
    pub(super) fn before(&self, sequence: u64) -> impl Iterator<Item = LogEntry> + '_ {
        let end = |entries: &VecDeque<LogEntry>| {
            entries.partition_point(|entry| entry.sequence < sequence)
        };
        let rest = self.rest.range(..end(&self.rest)).rev();
        rest.chain(self.compacted.range(..end(&self.compacted)).rev()).copied()
    }

    /// Whether there are more than `count` entries after a sequence number.
    pub(super) fn has_more_after(&self, sequence: u64, count: usize) -> bool {
        self.after(sequence).nth(count).is_some()
    }

    /// Gives memory back after many entries were dropped.
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
    fn the_log_has_every_needed_entry_in_order_and_few_others() {
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut log = EventLog::default();
            let needed = RefCell::new(BTreeSet::new());
            let mut len_max = 0;
            for sequence in 1..20_000 {
                log.push(sequence, TopicRef::Tracked(sequence as u32));
                needed.borrow_mut().insert(sequence);
                // Sometimes the oldest event is forgotten, sometimes any other, and sometimes all.
                let mut forgotten = Vec::new();
                match random.u32(..100) {
                    0..40 => forgotten.extend(needed.borrow().first().copied()),
                    40..90 => {
                        let from = random.u64(..=sequence);
                        forgotten.extend(needed.borrow().range(from..).next().copied());
                    }
                    90 if random.u32(..50) == 0 => {
                        forgotten.extend(needed.borrow().iter().copied())
                    }
                    _ => {}
                }
                for sequence in forgotten {
                    needed.borrow_mut().remove(&sequence);
                    log.note_useless(1);
                }
                log.tidy(MOVES_PER_EVENT, |entry| needed.borrow().contains(&entry.sequence));
                let len = log.compacted.len() + log.rest.len();
                let needed_len = needed.borrow().len();
                // Entries that became useless all at once are dropped over a longer time.
                len_max =
                    (3 * needed_len + 3 * USELESS_MIN).max(len_max - MOVES_PER_EVENT.min(len_max));
                assert!(len <= len_max, "{len} entries, {needed_len} of them needed");
                if random.u32(..50) > 0 {
                    continue;
                }
                let after = random.u64(..=sequence);
                let is_needed = |sequence: &u64| needed.borrow().contains(sequence);
                let found = log.after(after).map(|entry| entry.sequence).filter(is_needed);
                let expected: Vec<u64> = needed.borrow().range(after + 1..).copied().collect();
                assert_eq!(found.collect::<Vec<_>>(), expected);
                let found = log.before(after).map(|entry| entry.sequence).filter(is_needed);
                let expected: Vec<u64> = needed.borrow().range(..after).rev().copied().collect();
                assert_eq!(found.collect::<Vec<_>>(), expected);
            }
            needed.borrow_mut().clear();
            (0..40_000).for_each(|_| log.tidy(MOVES_PER_EVENT, |_| false));
            assert_eq!(log.after(0).count(), 0);
        }
    }

    #[test]
    fn an_entry_gets_another_topic_only_if_it_had_the_named_one() {
        let mut log = EventLog::default();
        (1..=4).for_each(|sequence| log.push(sequence, TopicRef::Tracked(7)));
        log.repoint(3, TopicRef::Tracked(7), TopicRef::Gone(1));
        log.repoint(2, TopicRef::Tracked(8), TopicRef::Gone(2));
        let topics: Vec<TopicRef> = log.after(0).map(|entry| entry.topic).collect();
        assert_eq!(
            topics,
            [TopicRef::Tracked(7), TopicRef::Tracked(7), TopicRef::Gone(1), TopicRef::Tracked(7)]
        );
    }
}
