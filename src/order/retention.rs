//! Which events are kept, and for how long: bounded for each topic by count, bytes and age, and
//! over all topics by bytes.
//!
//! Which topic has the oldest event is known from a heap with one entry for each topic with kept
//! events. An entry's time is that of the topic's oldest event, or of one that was forgotten since:
//! so an entry is never too young, and is corrected when it reaches the top. Publishing reads
//! nothing but the top, and no topic is ever searched for.
//!
//! A topic whose last event was forgotten is *idle*. It is tracked for as long as an event of it
//! would have been kept, so that its backlog and its routes stay the same from one event to the
//! next.

use std::cmp::Reverse;

use super::event_log::{EventLog, TopicRef, MOVES_PER_EVENT};
use super::history::{History, Kept, Totals};
use super::topics::{Bounds, Topics};

/// The most idle topics; beyond it the topic that has been idle longest is removed.
const IDLE_MAX: usize = 4 << 10;
/// Events and topics that are checked for their age when an event is published.
const AGE_STEPS_PER_EVENT: usize = 8;

impl Topics {
    /// Keeps an event, within the bounds. The newest event of a topic is kept however large it is,
    /// so that a client can resume after any event that was published.
    #[inline]
    pub(super) fn keep(&mut self, index: u32, kept: Kept) {
        let Bounds { events_max, bytes_max, total_bytes_max, .. } = self.bounds;
        let (entry, at_ns) = (&mut *self.entries[index as usize], kept.at_ns);
        entry.newest_ns = at_ns;
        if kept.frame.custom_id().is_some() {
            entry.state.note_custom_id();
            self.has_custom_ids |= events_max > 0;
        }
        if events_max == 0 {
            if !entry.in_oldest {
                self.make_idle(index);
            }
            self.forget_old(at_ns, AGE_STEPS_PER_EVENT);
            return;
        }
        self.log.push(kept.sequence(), index);
        let history = &mut entry.history;
        history.push(kept, &mut self.totals);
        if !std::mem::replace(&mut entry.in_oldest, true) {
            self.oldest.push(Reverse((history.oldest_ns().unwrap_or(at_ns), index)));
        }
        while history.len() > 1 && (history.len() > events_max || history.bytes() > bytes_max) {
            forget_oldest(history, &mut self.totals, &mut self.log);
            self.forgets.push(TopicRef::Tracked(index));
        }
        self.forget_old(at_ns, AGE_STEPS_PER_EVENT);
        while self.totals.kept_bytes() > total_bytes_max
            && self.totals.kept_events() > 1
            && self.check_oldest(u64::MAX)
        {}
        if self.log.has_useless() {
            self.tidy_log(MOVES_PER_EVENT);
        }
    }

    /// Notes that a topic is complete with the mark of a sequence number.
    pub(super) fn finish(&mut self, index: u32, sequence: u64, at_ns: u64) {
        let entry = &mut *self.entries[index as usize];
        entry.finished_ns = Some(at_ns);
        self.finished += 1;
        entry.state.set_finished_at(sequence);
    }

    /// Forgets events and removes idle topics that are too old, in a bounded number of steps.
    /// Returns whether these were all.
    #[inline]
    pub(super) fn forget_old(&mut self, now_ns: u64, steps_max: usize) -> bool {
        let before_ns = now_ns.saturating_sub(self.bounds.age_max_ns);
        let mut steps = 0;
        while self.check_oldest(before_ns) || self.check_idle(before_ns) {
            steps += 1;
            if steps >= steps_max {
                return false;
            }
        }
        true
    }

    /// Forgets what is too old while nothing is published, and drops useless entries of the log.
    pub(super) fn tidy(&mut self, now_ns: u64, steps_max: usize) {
        self.forget_old(now_ns, steps_max);
        self.tidy_log(steps_max);
    }

    /// If the entry on top of the heap is from before a time: forgets that topic's oldest event if
    /// it has the entry's time, and corrects the entry. False when there is nothing to do.
    #[inline]
    fn check_oldest(&mut self, before_ns: u64) -> bool {
        match self.oldest.peek() {
            Some(&Reverse((at_ns, index))) if at_ns < before_ns => {
                self.expire_oldest(at_ns, index);
                true
            }
            _ => false,
        }
    }

    /// Does so for the entry on top of the heap, which has this time and topic.
    fn expire_oldest(&mut self, at_ns: u64, index: u32) {
        self.oldest.pop();
        let entry = &mut *self.entries[index as usize];
        if entry.history.oldest_ns() == Some(at_ns) {
            forget_oldest(&mut entry.history, &mut self.totals, &mut self.log);
            self.forgets.push(TopicRef::Tracked(index));
        }
        match entry.history.oldest_ns() {
            Some(at_ns) => self.oldest.push(Reverse((at_ns, index))),
            None => {
                entry.in_oldest = false;
                self.make_idle(index);
            }
        }
    }

    /// Makes a topic without kept events idle.
    fn make_idle(&mut self, index: u32) {
        if !std::mem::replace(&mut self.entries[index as usize].in_idle, true) {
            self.idle.push_back(index);
        }
        while self.idle.len() > IDLE_MAX {
            self.check_idle(u64::MAX);
        }
    }

    /// If nothing was published since a time to the topic that has been idle longest: makes it idle
    /// no longer, and removes it unless it is needed. False when there is nothing to do.
    #[inline]
    fn check_idle(&mut self, before_ns: u64) -> bool {
        let Some(&index) = self.idle.front() else { return false };
        let entry = &mut self.entries[index as usize];
        if !entry.in_oldest && entry.newest_ns >= before_ns {
            return false;
        }
        self.idle.pop_front();
        entry.in_idle = false;
        self.remove_unneeded(index);
        true
    }

    /// Whether anything will become too old.
    pub(super) fn has_history(&self) -> bool {
        !self.oldest.is_empty() || !self.idle.is_empty()
    }
}

/// Forgets the oldest event of a topic. The log needs its entry from now on, and no longer that of
/// the event that was forgotten before it.
fn forget_oldest(history: &mut History, totals: &mut Totals, log: &mut EventLog) {
    let had_forgotten = history.forgotten().to > 0;
    if history.forget_oldest(totals) && had_forgotten {
        log.note_useless();
    }
}
