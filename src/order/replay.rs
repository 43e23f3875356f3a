//! What a client that comes back has missed: of all its topics, in the hub's order.
//!
//! It is replayed in parts, each gathered under the lock: a search in each topic's history for
//! where to begin, and from there a merge of their heads. Parts end at numbers that are multiples
//! of a stride, wherever a client begins, so that after their first part all who replay the same
//! topics need the same parts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::history::{Forgotten, History};
use super::{Locked, Order, LOOKS_MAX};
use crate::frame::Frame;
use crate::gap::{Gap, GapReason};
use crate::id::EventId;
use crate::resume::{Resume, Start};
use crate::topic::Topic;

/// Parts end at multiples of this number, if not before.
const STRIDE: u64 = 256;

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// It has, or does not want, what is up to this number.
    pub(crate) after: u64,
    /// Up to this number it wants only the newest event of each topic.
    pub(crate) latest_to: u64,
    /// It does not mind if something up to this number is not kept any more.
    pub(crate) forgiven_to: u64,
    /// Nothing that it wants had been published after this when it was looked for.
    pub(crate) is_now: bool,
}

/// A part of what a client has missed.
pub(crate) struct Replay {
    pub(crate) frames: Vec<Frame>,
    /// It has everything up to this number.
    pub(crate) to: u64,
    /// Whether that is all that has been published.
    pub(crate) is_all: bool,
    /// Whether nothing was forgotten since its place, told or forgiven.
    pub(crate) is_whole: bool,
    /// What is missing before it, and the id to tell it with.
    pub(crate) gap: Option<(Gap, EventId)>,
}

impl Order {
    /// Where the stream of a client begins, and what it has to be told first, with which id.
    pub(crate) fn place(
        &self,
        topics: &[Topic],
        resume: &Resume,
    ) -> (Place, Option<(Gap, EventId)>) {
        let mut locked = self.lock();
        locked.topics.forget_old(self.now_ns(), LOOKS_MAX);
        let now = self.sequence();
        let id = match resume {
            Resume::After(id) => id,
            Resume::Start(start) => {
                return (locked.start(topics, *start, now).or_now(&locked, topics, now), None)
            }
        };
        let (after, reason) = self.find(&locked, topics, id, now);
        let place = Place { after, latest_to: 0, forgiven_to: after, is_now: false };
        let expired = self.gap(&locked, topics, place, now);
        let gap = match reason {
            None => expired,
            Some(reason) => {
                let (to, id) = match expired {
                    Some((gap, id)) => (gap.to, id),
                    None => (self.id_of(after), self.id_of(after)),
                };
                Some((Gap { from: None, to, reason, missed: None }, id))
            }
        };
        let gap = gap.map(|(gap, gap_id)| {
            (Gap { from: Some(id.to_string()).filter(|id| !id.is_empty()), ..gap }, gap_id)
        });
        // It is told once.
        let told_to = gap.as_ref().map_or(0, |(gap, _)| gap.to.sequence);
        let place = Place { forgiven_to: place.forgiven_to.max(told_to), ..place };
        (place.or_now(&locked, topics, now), gap)
    }

    /// The number of the event with an id, and what is wrong with the id.
    fn find(
        &self,
        locked: &Locked,
        topics: &[Topic],
        id: &str,
        now: u64,
    ) -> (u64, Option<GapReason>) {
        // The oldest, should several topics have it: then nothing is missed.
        if let Some(own) = locked.histories(topics).filter_map(|history| history.find(id)).min() {
            return (own, None);
        }
        match EventId::parse(id) {
            Some(id) if id.epoch == self.epoch && id.sequence <= now => (id.sequence, None),
            Some(id) if id.epoch != self.epoch => (0, Some(GapReason::Restarted)),
            _ => (now, Some(GapReason::UnknownId)),
        }
    }

    /// The next part for a client that has come to a place, of about so many bytes.
    pub(crate) fn replay(&self, topics: &[Topic], place: Place, bytes_max: usize) -> Replay {
        let locked = self.lock();
        let now = self.sequence();
        let gap = self.gap(&locked, topics, place, now);
        let is_whole =
            topics.iter().all(|topic| !locked.forgotten(topic, now).is_after(place.after));
        let histories: Vec<&History> = locked.histories(topics).collect();
        let mut heads: Vec<_> = histories.iter().map(|history| place.wanted_of(history)).collect();
        let mut order = BinaryHeap::with_capacity(heads.len());
        let head_of = |nth: usize, head: &std::ops::Range<usize>| {
            let kept = head.clone().next().and_then(|at| histories[nth].event(at));
            kept.map(|kept| Reverse((kept.sequence, nth)))
        };
        order.extend(heads.iter().enumerate().filter_map(|(nth, head)| head_of(nth, head)));
        let (mut frames, mut bytes, mut end) = (Vec::new(), 0, u64::MAX);
        while let Some(Reverse((sequence, nth))) = order.pop() {
            let Some(kept) = heads[nth].next().and_then(|at| histories[nth].event(at)) else {
                continue;
            };
            let len = kept.frame.plain().len();
            if frames.is_empty() {
                end = (sequence / STRIDE + 1).saturating_mul(STRIDE);
            } else if sequence >= end || bytes + len > bytes_max {
                return Replay { frames, to: sequence - 1, is_all: false, is_whole, gap };
            }
            bytes += len;
            frames.push(kept.frame.clone());
            order.extend(head_of(nth, &heads[nth]));
        }
        Replay { frames, to: now, is_all: true, is_whole, gap }
    }

    /// What a client at a place has missed for good, and the id to tell it with: not beyond the
    /// first event that it will get, since it may be gone before that.
    fn gap(
        &self,
        locked: &Locked,
        topics: &[Topic],
        place: Place,
        now: u64,
    ) -> Option<(Gap, EventId)> {
        let before = place.after.max(place.forgiven_to);
        let forgotten = || {
            let all = topics.iter().map(|topic| locked.forgotten(topic, now));
            all.filter(move |forgotten| forgotten.is_after(before))
        };
        let to = forgotten().map(|forgotten| forgotten.to).max()?;
        let missed = forgotten().map(|forgotten| forgotten.count_after(before)).sum();
        let firsts = locked.histories(topics).filter_map(|history| {
            history.event(history.after(place.after).start).map(|kept| kept.sequence)
        });
        let id = firsts.min().map_or(now, |first| (first - 1).min(to));
        let (from, to) = (Some(self.id_of(place.after).to_string()), self.id_of(to));
        Some((Gap { from, to, reason: GapReason::Expired, missed }, self.id_of(id)))
    }
}

impl Locked {
    fn histories<'a>(&'a self, topics: &'a [Topic]) -> impl Iterator<Item = &'a History> + 'a {
        let indices = topics.iter().filter_map(|topic| self.topics.find(topic));
        indices.map(|index| &self.topics.entry(index).history)
    }

    fn forgotten(&self, topic: &Topic, now: u64) -> Forgotten {
        match self.topics.keep_events() {
            true => self.topics.forgotten(topic),
            false => Forgotten { to: now, known: None },
        }
    }

    /// Where a client begins that says nothing of what it had.
    fn start(&self, topics: &[Topic], start: Start, now: u64) -> Place {
        match start {
            Start::Now => Place { after: now, latest_to: 0, forgiven_to: now, is_now: false },
            Start::Latest => Place { after: 0, latest_to: now, forgiven_to: now, is_now: false },
            Start::Last(count) => {
                let count = count as usize;
                let mut newest: Vec<u64> = Vec::new();
                for history in self.histories(topics) {
                    let from = history.len().saturating_sub(count);
                    let events = (from..history.len()).filter_map(|nth| history.event(nth));
                    newest.extend(events.map(|kept| kept.sequence));
                }
                newest.sort_unstable_by_key(|&sequence| Reverse(sequence));
                newest.truncate(count);
                let after = newest.last().map_or(now, |&oldest| oldest - 1);
                Place { after, latest_to: 0, forgiven_to: now, is_now: false }
            }
        }
    }
}

impl Place {
    /// The place at the end of what was published, if there is nothing that is wanted before it.
    fn or_now(self, locked: &Locked, topics: &[Topic], now: u64) -> Place {
        let is_now = locked.histories(topics).all(|history| self.wanted_of(history).is_empty());
        Place { after: if is_now { now } else { self.after }, is_now, ..self }
    }

    /// Which of a topic's kept events are wanted.
    fn wanted_of(&self, history: &History) -> std::ops::Range<usize> {
        let wanted = history.after(self.after);
        let latest = match self.latest_to > self.after {
            true => history.after(self.latest_to).start.saturating_sub(1),
            false => 0,
        };
        wanted.start.max(latest)..wanted.end
    }
}
