//! What is forgotten, and when: events and topics whose time has come, a bounded number of steps at
//! a time, and what is too much over all topics.
//!
//! A topic that is finished is known for a time; no shard or publisher has to do anything for that.
//! When the time is over, the topic and its events are forgotten at once, and its name is free:
//! that takes the same time however many events there are, which are dropped later, some at a time.
//! Only events that were published to other topics too are forgotten one by one, some while the
//! lock is held, since clients of those may still be sent them.

use super::event_log::TopicRef;
use super::topics::{ByTime, Topics};
use crate::filter::Subscription;
use crate::topic::Topic;

/// The most finished topics that are known; beyond it the one goes that would be forgotten next.
pub(super) const FINISHED_MAX: usize = 64 << 10;
/// Events of one topic that are forgotten or dropped in one step, in about the time of any other.
const DROPS_PER_STEP: usize = 8;
/// Events that are forgotten in one step of a finished topic with events of several topics: for
/// each of these it is looked up whether another topic keeps it.
const SHARED_PER_STEP: usize = 2;

impl Topics {
    /// Opens a finished topic again, to which a shard may have a subscription by name, with its
    /// events.
    #[cfg(test)]
    pub(super) fn end_finished(&mut self, index: u32) {
        let entry = &mut *self.entries[index as usize];
        self.finished.remove(&(entry.finished_to_ns, index));
        entry.finished_ns = None;
        entry.state.set_finished_at(0);
        entry.history.hold(false, &mut self.totals);
        if entry.subscribed > 0 {
            self.reopened.push(index);
        }
        self.await_expiry(index);
        self.make_idle(index);
    }

    /// Notes that a topic is complete with the mark of a sequence number.
    pub(super) fn finish(&mut self, index: u32, sequence: u64, at_ns: u64) {
        let entry = &mut *self.entries[index as usize];
        entry.finished_ns = Some(at_ns);
        entry.state.set_finished_at(sequence);
        entry.history.hold(true, &mut self.totals);
        self.totals.change(entry.history.rule(), |usage| usage.finished_topics += 1);
        self.await_end(index);
    }

    /// Notes until when a finished topic is known.
    pub(super) fn await_end(&mut self, index: u32) {
        let limits = self.limits_of(index);
        let entry = &mut *self.entries[index as usize];
        let Some(at_ns) = entry.finished_ns else { return };
        self.finished.remove(&(entry.finished_to_ns, index));
        entry.finished_to_ns = at_ns.saturating_add(limits.finished_age_max_ns);
        self.finished.insert((entry.finished_to_ns, index));
        self.due_ns = self.due_ns.min(entry.finished_to_ns);
    }

    /// Whether a topic is finished, and has to be forgotten now.
    #[inline]
    pub(super) fn is_over(&self, index: u32, now_ns: u64) -> bool {
        let entry = self.entry(index);
        entry.finished_ns.is_some() && entry.finished_to_ns < now_ns
    }

    /// Forgets a finished topic with its events. If a shard has a subscription to it by name, the
    /// topic is open and empty from then on. False if it has many events that were published to
    /// other topics too: some of these are forgotten, and the topic will be in a later call, which
    /// is due at once.
    pub(super) fn forget_finished(&mut self, index: u32) -> bool {
        if !self.forget_shared(index) {
            return false;
        }
        let entry = &mut *self.entries[index as usize];
        self.finished.remove(&(entry.finished_to_ns, index));
        entry.finished_ns = None;
        entry.state.set_finished_at(0);
        let had_forgotten = entry.history.forgotten().own.to > 0;
        let discarded = entry.history.forget_all(&mut self.totals);
        entry.history.hold(false, &mut self.totals);
        self.totals.change(entry.history.rule(), |usage| usage.finished_topics -= 1);
        let is_subscribed = entry.subscribed > 0;
        if let Some(discarded) = discarded {
            // The log needs the entry of the newest event alone.
            self.log.note_useless(discarded.len() - 1 + usize::from(had_forgotten));
            self.forgets.push(TopicRef::Tracked(index));
            if discarded.len() > DROPS_PER_STEP {
                self.discarded.push(discarded);
                self.due_ns = 0;
            }
        }
        self.await_expiry(index);
        self.leave_idle(index);
        match is_subscribed {
            true => self.reopened.push(index),
            false => self.remove_unneeded(index),
        }
        true
    }

    /// Forgets the oldest events of a finished topic until none is left that was published to other
    /// topics too: the lists of these are told of each. False if there are more than may be
    /// forgotten at once.
    fn forget_shared(&mut self, index: u32) -> bool {
        let mut steps_left = SHARED_PER_STEP;
        while self.entry(index).history.shared() > 0 {
            if steps_left == 0 {
                let entry = &mut *self.entries[index as usize];
                self.finished.remove(&(entry.finished_to_ns, index));
                entry.finished_to_ns = 0;
                self.finished.insert((0, index));
                self.due_ns = 0;
                self.await_expiry(index);
                return false;
            }
            steps_left -= 1;
            self.forget_oldest(index);
        }
        true
    }

    /// Gives a topic that was finished and is open again its number for that.
    pub(super) fn reopen(&mut self, index: u32, sequence: u64) {
        if let Some(entry) = self.entries.get_mut(index as usize) {
            entry.reopens = sequence;
            // Clients that came while it was finished wait for it from now on.
            self.watchers.note(&Subscription::Topic(entry.state.name.clone()), true);
        }
    }

    /// The number with which a topic was opened again, if shards are yet to be told; or else zero.
    #[inline]
    pub(super) fn take_reopens(&mut self, index: u32) -> u64 {
        std::mem::take(&mut self.entries[index as usize].reopens)
    }

    /// The index of a topic, if it is finished.
    pub(super) fn find_finished(&self, topic: &Topic) -> Option<u32> {
        match self.finished.is_empty() {
            true => None,
            false => self.find(topic).filter(|&index| self.entry(index).finished_ns.is_some()),
        }
    }

    /// Whether [`Topics::forget_old`] or [`Topics::forget_excess`] may have anything to do.
    #[inline]
    pub(super) fn has_due(&self, now_ns: u64) -> bool {
        self.due_ns < now_ns || self.totals.kept_bytes() > self.bounds.total_bytes_max
    }

    /// Forgets events and finished topics that are too old, and removes idle ones, in a bounded
    /// number of steps. Returns whether these were all.
    pub(super) fn forget_old(&mut self, now_ns: u64, steps_max: usize) -> bool {
        if self.due_ns >= now_ns {
            return true;
        }
        let mut steps = 0;
        while self.forget_next(now_ns) {
            steps += 1;
            if steps >= steps_max {
                return false;
            }
        }
        let firsts = [&self.finished, &self.oldest, &self.idle].map(first);
        self.due_ns =
            firsts.into_iter().flatten().map(|(at_ns, _)| at_ns).min().unwrap_or(u64::MAX);
        true
    }

    /// Takes one step; false when there is nothing to do.
    fn forget_next(&mut self, now_ns: u64) -> bool {
        let due = |times: &ByTime| {
            first(times).filter(|&(at_ns, _)| at_ns < now_ns).map(|(_, index)| index)
        };
        if let Some(index) = due(&self.finished) {
            _ = self.forget_finished(index);
        } else if let Some(index) = due(&self.oldest) {
            self.expire_oldest(index);
        } else if let Some(index) = due(&self.idle) {
            self.expire_idle(index, now_ns);
        } else {
            return self.drop_discarded();
        }
        true
    }

    /// Drops some of the events that were forgotten all at once; false if there are none.
    fn drop_discarded(&mut self) -> bool {
        let Some(discarded) = self.discarded.last_mut() else { return false };
        let dropped = std::iter::from_fn(|| discarded.drop_oldest()).take(DROPS_PER_STEP);
        if dropped.count() < DROPS_PER_STEP {
            self.discarded.pop();
        }
        true
    }

    /// Forgets what is too much over all topics: first what would be forgotten next. The newest
    /// event stays, which is of the topic `newest`, and so does that topic.
    pub(super) fn forget_excess(&mut self, newest: u32) {
        let finished =
            |topics: &Topics| topics.finished.iter().copied().find(|&(_, index)| index != newest);
        while self.finished.len() > FINISHED_MAX {
            let Some((_, index)) = finished(self) else { break };
            // The rest of it is due.
            if !self.forget_finished(index) {
                break;
            }
        }
        while self.totals.kept_bytes() > self.bounds.total_bytes_max {
            let has_others = |index: u32| index != newest || self.entry(index).history.len() > 1;
            let event = self.oldest.iter().copied().find(|&(_, index)| has_others(index));
            match (event, finished(self)) {
                (event, Some(topic)) if event.is_none_or(|event| topic < event) => {
                    self.forget_some_of_finished(topic.1);
                }
                (Some((_, index)), _) => self.expire_oldest(index),
                (None, _) => return,
            }
        }
    }

    /// Forgets the oldest event of a finished topic, or the topic if it has no events.
    fn forget_some_of_finished(&mut self, index: u32) {
        match self.entry(index).in_oldest {
            true => self.expire_oldest(index),
            false => _ = self.forget_finished(index),
        }
    }

    /// Forgets what is too old while nothing is published, and drops useless entries of the log.
    pub(super) fn tidy(&mut self, now_ns: u64, steps_max: usize) {
        self.forget_old(now_ns, steps_max);
        self.tidy_log(steps_max);
    }

    /// Whether anything will become too old.
    pub(super) fn has_history(&self) -> bool {
        let times = [&self.finished, &self.oldest, &self.idle];
        !times.into_iter().all(ByTime::is_empty) || !self.discarded.is_empty()
    }
}

/// The topic whose time comes first.
fn first(times: &ByTime) -> Option<(u64, u32)> {
    times.first().copied()
}
