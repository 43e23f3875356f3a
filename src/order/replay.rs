//! What a client that comes back has missed: of all its topics, in the hub's order.
//!
//! It is replayed in parts, each gathered under the lock: a search in each topic's history for
//! where to begin, and from there a merge of their heads. Parts end at numbers that are multiples
//! of a stride, wherever a client begins, so that after their first part all who replay the same
//! topics need the same parts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::history::{Forgotten, History};
use super::matching::{Known, Matcher, NAMES_MAX};
use super::topics::Topics;
use super::Order;
use crate::filter::Subscription;
use crate::frame::Frame;
use crate::gap::{Gap, GapReason};
use crate::id::{Epoch, EventId};
use crate::resume::{Resume, Start};

/// Parts end at multiples of this number, if not before. Less in tests, so that there are many.
const STRIDE: u64 = if cfg!(test) { 8 } else { 256 };

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
    /// What is missing before it, and the id to tell it with.
    pub(crate) gap: Option<(Gap, EventId)>,
}

impl Order {
    /// Where the stream of a client begins, and what it has to be told first, with which id.
    /// `known` is what is known of its topics from an earlier time, and from now on.
    pub(crate) fn place(
        &self,
        wanted: &[Subscription],
        known: &mut Known,
        resume: &Resume,
    ) -> (Place, Option<(Gap, EventId)>) {
        let mut locked = self.lock();
        // All that is too old: it is not to be replayed.
        locked.topics.forget_old(self.now_ns(), usize::MAX);
        let mut past = self.past(&locked.topics, wanted, known);
        let id = match resume {
            Resume::After(id) => id,
            Resume::Start(start) => {
                let place = past.start(*start);
                let since = past.since(place.after);
                return (past.or_now(place, &since), None);
            }
        };
        let (after, reason) = past.find(id);
        let place = Place { after, latest_to: 0, forgiven_to: after, is_now: false };
        let since = past.since(after);
        let expired = past.gap(place, &since);
        let gap = match reason {
            None => expired,
            Some(reason) => {
                let at = self.id_of(after);
                let (to, id) = expired.map_or((at, at), |(gap, id)| (gap.to, id));
                Some((Gap { from: None, to, reason, missed: None }, id))
            }
        };
        let from = Some(id.to_string()).filter(|id| !id.is_empty());
        let gap = gap.map(|(gap, id)| (Gap { from, ..gap }, id));
        // It is told once.
        let told_to = gap.as_ref().map_or(0, |(gap, _)| gap.to.sequence);
        let place = Place { forgiven_to: place.forgiven_to.max(told_to), ..place };
        (past.or_now(place, &since), gap)
    }

    /// The next part for a client that has come to a place, of about so many bytes.
    pub(crate) fn replay(
        &self,
        wanted: &[Subscription],
        known: &mut Known,
        place: Place,
        bytes_max: usize,
    ) -> Replay {
        let locked = self.lock();
        let mut past = self.past(&locked.topics, wanted, known);
        let since = past.since(place.after);
        let (frames, to) = merge(place, &since, bytes_max);
        let (is_all, to) = (to.is_none(), to.unwrap_or(past.now));
        Replay { frames, to, is_all, gap: past.gap(place, &since) }
    }

    fn past<'a>(
        &self,
        topics: &'a Topics,
        wanted: &'a [Subscription],
        known: &'a mut Known,
    ) -> Past<'a> {
        Past { topics, wanted, known, now: self.sequence(), epoch: self.epoch }
    }
}

/// The past of a client's topics, under the lock.
struct Past<'a> {
    topics: &'a Topics,
    wanted: &'a [Subscription],
    known: &'a mut Known,
    /// The number of the last event.
    now: u64,
    epoch: Epoch,
}

impl<'a> Past<'a> {
    /// What is kept of the topics that had an event after a number.
    fn since(&mut self, number: u64) -> Vec<&'a History> {
        let Past { topics, wanted, .. } = *self;
        let since = topics.since(number, wanted, self.known);
        since.into_iter().map(|index| &topics.entry(index).history).collect()
    }

    /// What is not kept any more of what was published after a number, with the topics that had an
    /// event since.
    fn forgotten_after(&self, number: u64, since: &[&History]) -> Vec<Forgotten> {
        if !self.topics.keep_events() {
            let all = Forgotten { to: self.now, known: None };
            return Some(all).filter(|all| all.is_after(number)).into_iter().collect();
        }
        if self.topics.forgotten_to() <= number {
            return Vec::new();
        }
        let (filters, forgotten) =
            (Matcher::new(self.wanted), since.iter().map(|history| history.forgotten()));
        let gone = self.topics.gone_after(number, self.wanted, &filters);
        forgotten.filter(|forgotten| forgotten.is_after(number)).chain(gone).collect()
    }

    /// The number of the event with an id, and what is wrong with the id.
    fn find(&mut self, id: &str) -> (u64, Option<GapReason>) {
        let hubs = EventId::parse(id);
        if let Some(EventId { sequence, .. }) = hubs.filter(|id| id.epoch == self.epoch) {
            if sequence <= self.now {
                return (sequence, None);
            }
        }
        match (self.find_own(id), hubs) {
            (Some(sequence), _) => (sequence, None),
            (None, Some(id)) if id.epoch != self.epoch => (0, Some(GapReason::Restarted)),
            (None, _) => (self.now, Some(GapReason::UnknownId)),
        }
    }

    /// The number of the event with an id that its publisher gave it: the oldest, should several
    /// topics have it, since then nothing is missed.
    fn find_own(&mut self, id: &str) -> Option<u64> {
        if !self.topics.have_own_ids {
            return None;
        }
        let all = self.topics.all(self.wanted, self.known).iter();
        all.filter_map(|&index| self.topics.entry(index).history.find(id)).min()
    }

    /// Where a client begins that says nothing of what it had.
    fn start(&mut self, start: Start) -> Place {
        let forgiven_to = self.now;
        let (after, latest_to) = match start {
            Start::Now => (self.now, 0),
            Start::Latest => (0, self.now),
            Start::Last(count) => (self.before_last(count.min(Start::LAST_MAX) as usize), 0),
        };
        Place { after, latest_to, forgiven_to, is_now: false }
    }

    /// The number before the newest events, so many over all topics. Most often these are events
    /// of a few topics.
    fn before_last(&mut self, count: usize) -> u64 {
        let recently = self.topics.recent.before_newest(NAMES_MAX);
        let newest = match self.newest_after(recently, count) {
            newest if newest.len() < count && recently > 0 => self.newest_after(0, count),
            newest => newest,
        };
        newest.last().map_or(self.now, |&oldest| oldest - 1)
    }

    /// The numbers of the newest events after a number, so many at most, from the newest on.
    fn newest_after(&mut self, number: u64, count: usize) -> Vec<u64> {
        let mut newest: Vec<u64> = Vec::new();
        for history in self.since(number) {
            let after = history.after(number);
            let from = after.start.max(after.end.saturating_sub(count));
            let events = (from..after.end).filter_map(|nth| history.event(nth));
            newest.extend(events.map(|kept| kept.sequence));
        }
        newest.sort_unstable_by_key(|&sequence| Reverse(sequence));
        newest.truncate(count);
        newest
    }

    /// The place, or the end of what was published if there is nothing that is wanted before it.
    fn or_now(&self, place: Place, since: &[&History]) -> Place {
        let is_now = since.iter().all(|history| place.wanted_of(history).is_empty());
        Place { after: if is_now { self.now } else { place.after }, is_now, ..place }
    }

    /// What a client at a place has missed for good, and the id to tell it with: not beyond the
    /// first event that it will get, since it may be gone before that.
    fn gap(&self, place: Place, since: &[&History]) -> Option<(Gap, EventId)> {
        let id_of = |sequence| EventId { epoch: self.epoch, sequence };
        let before = place.after.max(place.forgiven_to);
        let forgotten = self.forgotten_after(before, since);
        let to = forgotten.iter().map(|forgotten| forgotten.to).max()?;
        let missed = forgotten.iter().map(|forgotten| forgotten.count_after(before)).sum();
        let firsts = since.iter().filter_map(|history| {
            history.event(history.after(place.after).start).map(|kept| kept.sequence)
        });
        let id = firsts.min().map_or(self.now, |first| (first - 1).min(to));
        let from = Some(id_of(place.after).to_string());
        Some((Gap { from, to: id_of(to), reason: GapReason::Expired, missed }, id_of(id)))
    }
}

/// The next events after a place, in order, of about so many bytes; and up to which number
/// they are all, if there are more.
fn merge(place: Place, since: &[&History], bytes_max: usize) -> (Vec<Frame>, Option<u64>) {
    let mut heads: Vec<Head<'_>> = since
        .iter()
        .map(|history| Head { history, left: place.wanted_of(history) })
        .filter(|head| !head.left.is_empty())
        .collect();
    let firsts = heads.iter().enumerate().filter_map(|(nth, head)| head.first(nth));
    let mut firsts: BinaryHeap<Reverse<(u64, usize)>> = firsts.collect();
    let (mut frames, mut bytes, mut end) = (Vec::new(), 0, u64::MAX);
    while let Some(Reverse((sequence, nth))) = firsts.pop() {
        let head = &mut heads[nth];
        let Some(kept) = head.left.next().and_then(|at| head.history.event(at)) else {
            continue;
        };
        let len = kept.frame.plain().len();
        if frames.is_empty() {
            end = (sequence / STRIDE + 1).saturating_mul(STRIDE);
        } else if sequence >= end || bytes + len > bytes_max {
            return (frames, Some(sequence - 1));
        }
        bytes += len;
        frames.push(kept.frame.clone());
        firsts.extend(head.first(nth));
    }
    (frames, None)
}

/// What of a topic's history is still to be merged.
struct Head<'a> {
    history: &'a History,
    left: Range<usize>,
}

impl Head<'_> {
    fn first(&self, nth: usize) -> Option<Reverse<(u64, usize)>> {
        let kept = self.history.event(self.left.start).filter(|_| !self.left.is_empty())?;
        Some(Reverse((kept.sequence, nth)))
    }
}

impl Place {
    /// Which of a topic's kept events are wanted.
    fn wanted_of(&self, history: &History) -> Range<usize> {
        let wanted = history.after(self.after);
        let latest = match self.latest_to > self.after {
            true => history.after(self.latest_to).start.saturating_sub(1),
            false => 0,
        };
        wanted.start.max(latest)..wanted.end
    }
}
