//! Which events are kept: bounded for each topic by count, bytes and age. What is too old is
//! forgotten in [`expiry`](super::expiry).
//!
//! Which topic has the event that expires next is known from a set with one entry for each topic
//! with kept events. An entry's time is when the topic's oldest event expires, or one that was
//! forgotten since: so an entry is never too late, and is corrected when its time has come.
//! Publishing reads nothing but the earliest time, and no topic is ever searched for.
//!
//! A topic whose last event was forgotten is *idle*. It is tracked for as long as an event of it
//! would have been kept, so that its backlog and its routes stay the same from one event to the
//! next.

use super::event_log::{EventLog, TopicRef, MOVES_PER_EVENT};
use super::history::{History, Kept, Oldest};
use super::rules::Limits;
use super::topics::{Entry, Topics};
use super::totals::Totals;
use crate::frame::Frame;

/// The most idle topics; beyond it the one that would be removed next is removed.
const IDLE_MAX: usize = 4 << 10;

impl Topics {
    /// Keeps an event, within the bounds of its topic. The newest event of a topic is kept however
    /// large it is, so that a client can resume after any event that was published.
    #[inline(always)]
    pub(super) fn keep(&mut self, index: u32, kept: Kept) {
        if self.bounds.keeps_events {
            self.log.push(kept.sequence(), TopicRef::Tracked(index));
        }
        self.keep_logged(index, kept);
    }

    /// Keeps an event of several topics in each of them that is tracked. `list` is the index of
    /// their list, if events are kept at all.
    #[cold]
    pub(super) fn keep_shared(&mut self, indices: &[u32], list: Option<u32>, frame: &Frame) {
        // Keeping it in one topic may remove another that has been idle for long.
        for &index in indices {
            self.entries[index as usize].subscribed += 1;
        }
        if let Some(list) = list {
            self.log.push(frame.sequence(), TopicRef::List(list));
        }
        for &index in indices {
            self.keep_logged(index, Kept::new(frame.clone()));
        }
        self.lists.end_publishing();
        if let Some(list) = list {
            self.forget_if_gone(list, frame.sequence());
        }
        for &index in indices {
            self.entries[index as usize].subscribed -= 1;
            self.remove_unneeded(index);
        }
    }

    /// Keeps an event that the log has already, unless no events are kept.
    #[inline(always)]
    fn keep_logged(&mut self, index: u32, kept: Kept) {
        let keeps_events = self.bounds.keeps_events;
        let mut entry = &mut *self.entries[index as usize];
        entry.newest_ns = kept.at_ns;
        if kept.frame.custom_id().is_some() {
            entry.state.note_custom_id();
            self.has_custom_ids |= keeps_events;
        }
        if !keeps_events {
            return self.make_idle(index);
        }
        let mut limits = &self.limits[entry.history.rule() as usize];
        entry.history.push(kept, &mut self.totals);
        while limits.is_exceeded_by(&entry.history) {
            let shared = forget_oldest(
                &mut entry.history,
                &mut self.totals,
                &mut self.log,
                &mut self.forgotten,
            );
            self.forgets.push(TopicRef::Tracked(index));
            if let Some(shared) = shared {
                self.note_forgotten_of_list(shared);
                entry = &mut *self.entries[index as usize];
                limits = &self.limits[entry.history.rule() as usize];
            }
        }
        if entry.in_oldest != (entry.history.len() > 0) {
            self.await_expiry(index);
            self.make_idle(index);
        }
        if self.log.has_useless() {
            self.tidy_log(MOVES_PER_EVENT);
        }
    }

    /// Notes when the oldest event of a topic, which may have none, will be too old.
    pub(super) fn await_expiry(&mut self, index: u32) {
        let limits = self.limits_of(index);
        let entry = &mut *self.entries[index as usize];
        if std::mem::take(&mut entry.in_oldest) {
            self.oldest.remove(&(entry.oldest_ns, index));
        }
        if let Some(expires_ns) = entry.expires_ns(limits) {
            (entry.in_oldest, entry.oldest_ns) = (true, expires_ns);
            self.oldest.insert((expires_ns, index));
            self.due_ns = self.due_ns.min(expires_ns);
        }
    }

    /// Forgets a topic's oldest event, if that is due at the time which the topic has in the set,
    /// and corrects that time.
    pub(super) fn expire_oldest(&mut self, index: u32) {
        let limits = self.limits_of(index);
        let entry = self.entry(index);
        if entry.expires_ns(limits) == Some(entry.oldest_ns) {
            self.forget_oldest(index);
        }
        self.await_expiry(index);
        self.make_idle(index);
    }

    /// Forgets the oldest event of a topic, if it has one.
    pub(super) fn forget_oldest(&mut self, index: u32) {
        let history = &mut self.entries[index as usize].history;
        let shared = forget_oldest(history, &mut self.totals, &mut self.log, &mut None);
        self.forgets.push(TopicRef::Tracked(index));
        if let Some(shared) = shared {
            self.note_forgotten_of_list(shared);
        }
    }

    /// Notes that a topic has forgotten an event of several topics.
    #[cold]
    fn note_forgotten_of_list(&mut self, (list, sequence): (u32, u64)) {
        self.forgets.push(TopicRef::List(list));
        // Its other topics may not have it yet.
        if !self.lists.is_under_way(sequence) {
            self.forget_if_gone(list, sequence);
        }
    }

    /// If no topic keeps an event of a list any more: notes that.
    fn forget_if_gone(&mut self, list: u32, sequence: u64) {
        let is_kept = self.lists.get(list).is_some_and(|list| {
            self.tracked_of(list).any(|(_, entry)| entry.history.keeps_from(sequence))
        });
        if !is_kept {
            let useless = self.lists.note_gone(list, sequence);
            self.log.note_useless(useless);
        }
    }

    /// Makes a topic idle, unless it has kept events or is finished.
    pub(super) fn make_idle(&mut self, index: u32) {
        let limits = self.limits_of(index);
        let entry = &mut *self.entries[index as usize];
        if entry.in_idle || entry.in_oldest || entry.finished_ns.is_some() {
            return;
        }
        (entry.in_idle, entry.idle_ns) = (true, entry.idle_to_ns(limits));
        self.idle.insert((entry.idle_ns, index));
        self.due_ns = self.due_ns.min(entry.idle_ns);
        while self.idle.len() > IDLE_MAX {
            let others = self.idle.iter().map(|&(_, other)| other);
            let Some(first) = others.into_iter().find(|&other| other != index) else { return };
            self.end_idleness(first);
        }
    }

    /// Removes a topic that has been idle for long enough. It stays if something was published to
    /// it since it became idle.
    pub(super) fn expire_idle(&mut self, index: u32, now_ns: u64) {
        let entry = self.entry(index);
        if entry.in_oldest || entry.idle_to_ns(self.limits_of(index)) < now_ns {
            return self.end_idleness(index);
        }
        self.leave_idle(index);
        self.make_idle(index);
    }

    /// Makes a topic idle no longer, and removes it unless it is needed.
    fn end_idleness(&mut self, index: u32) {
        self.leave_idle(index);
        self.remove_unneeded(index);
    }

    /// Takes a topic out of those that are idle.
    pub(super) fn leave_idle(&mut self, index: u32) {
        let entry = &mut *self.entries[index as usize];
        if std::mem::take(&mut entry.in_idle) {
            self.idle.remove(&(entry.idle_ns, index));
        }
    }
}

impl Entry {
    /// When the oldest kept event will be too old.
    fn expires_ns(&self, limits: Limits) -> Option<u64> {
        self.history.oldest_ns().map(|at_ns| at_ns.saturating_add(limits.age_max_ns))
    }

    /// When the newest event would be too old.
    fn idle_to_ns(&self, limits: Limits) -> u64 {
        self.newest_ns.saturating_add(limits.age_max_ns)
    }
}

impl Limits {
    /// Whether a history has too much, beside its newest event, which is kept however large it is
    /// unless none is to be kept.
    #[inline]
    pub(super) fn is_exceeded_by(&self, history: &History) -> bool {
        let len = history.len();
        len > self.events_max.min(1) && (len > self.events_max || history.bytes() > self.bytes_max)
    }
}

/// Forgets the oldest event of a topic. The log needs its entry from now on, and no longer that of
/// the event that was forgotten before it. Returns the list and the sequence number of an event of
/// several topics, whose entry is not the topic's; `forgotten` becomes its frame.
#[inline]
fn forget_oldest(
    history: &mut History,
    totals: &mut Totals,
    log: &mut EventLog,
    forgotten: &mut Option<Frame>,
) -> Option<(u32, u64)> {
    let had_forgotten = history.forgotten().own.to > 0;
    let (oldest, frame) = history.forget_oldest(totals)?;
    *forgotten = Some(frame);
    match oldest {
        Oldest::Own => {
            log.note_useless(usize::from(had_forgotten));
            None
        }
        Oldest::Shared(sequence, list) => Some((list, sequence)),
    }
}
