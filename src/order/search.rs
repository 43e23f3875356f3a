//! Where the stream of a client begins: behind the last event that it had, or where it asks to; and
//! what it has to be told first, since it will never get it.
//!
//! That is found by name for a client that has few topics, at once. For another it is a walk along
//! the log, of a bounded number of steps each time that the lock is taken: whatever a client asks
//! for, no publisher waits longer for it.

use std::collections::BinaryHeap;

use super::history::Forgotten;
use super::log::Of;
use super::topics::Logged;
use super::walk::{Past, Walk};
use super::wanted::{Few, Wanted};
use super::Order;
use crate::filter::Subscription;
use crate::gap::{Gap, GapReason};
use crate::id::EventId;
use crate::resume::{Resume, StartAt};

/// Topics whose events are looked at for what is too old, each time that the lock is taken.
const AGE_LOOKS: usize = 256;

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cursor {
    /// It has, or does not want, what is up to this number.
    pub(crate) after: u64,
    /// Up to this number it wants only the newest event of each topic.
    pub(crate) latest_to: u64,
    /// It does not mind if something up to this number is not kept any more.
    pub(crate) gap_told_to: u64,
}

/// A search for the place where a client's stream begins.
#[derive(Debug)]
pub(crate) struct Search {
    resume: Resume,
    /// The number of the last event when the client came: it gets what is published from then on.
    came_at: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// What is too old is forgotten first, since it is not to be replayed.
    Age,
    /// The id may be one that a publisher gave: the oldest event that has it, as far as was walked.
    Id { walked_to: u64, found: Option<u64> },
    /// So many of the newest events have yet to be found before a number.
    Last { before: u64, left: usize },
    /// What is missing behind a number.
    Missing { after: u64, reason: Option<GapReason>, walked_to: u64, missing: Missing },
}

/// What is not kept any more of what a client wants.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Missing {
    /// The last number; zero if nothing is missing.
    pub(super) to: u64,
    /// How many events are missing, if that is known.
    count: Option<u64>,
    /// The first event that the client will get.
    first: Option<u64>,
    /// How many events of any topic were forgotten when a walk came so far.
    forgotten_events: Option<u64>,
    /// Whether more was forgotten while this was found out: some may be counted twice, or not at all.
    is_unsure: bool,
}

/// Where a stream begins, and what it begins with being told, with an id.
pub(crate) type Found = (Cursor, Option<(Gap, EventId)>);

impl Order {
    /// Begins to search for the place of a client that has just come.
    pub(crate) fn begin_search(&self, resume: Resume) -> Search {
        Search { resume, came_at: self.sequence(), stage: Stage::Age }
    }

    /// Goes on with a search; `None` if it has to go on later.
    pub(crate) fn locate(&self, wanted: &[Subscription], search: &mut Search) -> Option<Found> {
        let mut wanted = Wanted::new(wanted);
        wanted.prepare();
        let mut locked = self.lock();
        if let Stage::Age = search.stage {
            let is_all = locked.topics.forget_old(self.now_ns(), AGE_LOOKS);
            if !is_all && locked.topics.keep_events() {
                return None;
            }
        }
        let past = Past { now: search.came_at, ..self.past(&locked.topics, &wanted) };
        let few = locked.topics.few(&wanted, self.tuning.named_topics_max);
        let mut walk = Walk::new(self.tuning.walk_steps_max);
        loop {
            search.stage = match past.step(&search.resume, search.stage, few.as_ref(), &mut walk) {
                Step::Later(stage) => {
                    search.stage = stage;
                    return None;
                }
                Step::Next(stage) => stage,
                Step::Found(found) => return Some(found),
            };
        }
    }
}

enum Step {
    Next(Stage),
    Later(Stage),
    Found(Found),
}

impl Past<'_> {
    fn step(&self, resume: &Resume, stage: Stage, few: Option<&Few>, walk: &mut Walk) -> Step {
        match (stage, resume) {
            (Stage::Age, Resume::Start(start)) => self.start(*start),
            (Stage::Age, Resume::After(id)) => self.begin_with_id(id),
            (Stage::Id { walked_to, found }, Resume::After(id)) => {
                self.find_custom_id(id, (walked_to, found), few, walk)
            }
            (Stage::Last { before, left }, _) => self.find_last(before, left, few, walk),
            (Stage::Missing { after, reason, walked_to, missing }, resume) => {
                let found = match few {
                    Some(few) => Ok(self.missing_of_few(few, after, after)),
                    None => self.walk_past_missing(after, walked_to, missing, walk),
                };
                match found {
                    Ok(missing) => Step::Found(self.after_id(resume, after, reason, missing)),
                    Err((walked_to, missing)) => {
                        Step::Later(Stage::Missing { after, reason, walked_to, missing })
                    }
                }
            }
            (Stage::Id { .. }, Resume::Start(_)) => unreachable!("there is no id to be found"),
        }
    }

    /// Where a client begins that says nothing of what it had.
    fn start(&self, start: StartAt) -> Step {
        let gap_told_to = self.now;
        let (after, latest_to) = match start {
            StartAt::Now => (self.now, 0),
            StartAt::Latest => (0, self.now),
            StartAt::Last(count) => {
                let left = count.min(StartAt::LAST_MAX) as usize;
                return Step::Next(Stage::Last { before: self.now + 1, left });
            }
        };
        Step::Found((Cursor { after, latest_to, gap_told_to }, None))
    }

    fn begin_with_id(&self, id: &str) -> Step {
        match self.find_hubs(id) {
            Some(after) => Step::Next(self.missing_after(after, None)),
            None => Step::Next(Stage::Id { walked_to: 0, found: None }),
        }
    }

    /// The number of the event with an id of this hub's life.
    fn find_hubs(&self, id: &str) -> Option<u64> {
        let id = EventId::parse(id).filter(|id| id.epoch == self.epoch)?;
        (id.sequence <= self.now).then_some(id.sequence)
    }

    /// The number of the event with an id that its publisher gave it: the oldest, should several
    /// topics have it, since then nothing is missed.
    fn find_custom_id(
        &self,
        id: &str,
        (walked_to, mut found): (u64, Option<u64>),
        few: Option<&Few>,
        walk: &mut Walk,
    ) -> Step {
        // What has the id since the client came is for it.
        let number_in = |index: u32| {
            self.topics.entry(index).history.find(id).filter(|&number| number <= self.now)
        };
        let older = |found: Option<u64>, number| found.into_iter().chain(number).min();
        match few {
            _ if !self.topics.have_custom_ids() => {}
            Some(few) => found = few.topics.iter().filter_map(|&index| number_in(index)).min(),
            None => {
                let matches = self.wanted.matches();
                let walked = walk.along(self, &matches, walked_to, |entry| match entry.of {
                    // Once for each topic.
                    Of::Topic(index)
                        if self.is_newest(index, entry.number)
                            && matches.wants(self.topics, entry) =>
                    {
                        found = older(found, number_in(index));
                    }
                    _ => {}
                });
                if let Err(walked_to) = walked {
                    return Step::Later(Stage::Id { walked_to, found });
                }
            }
        }
        let is_others = EventId::parse(id).is_some_and(|id| id.epoch != self.epoch);
        Step::Next(match found {
            Some(after) => self.missing_after(after, None),
            None if is_others => self.missing_after(0, Some(GapReason::Restarted)),
            None => self.missing_after(self.now, Some(GapReason::UnknownId)),
        })
    }

    fn is_newest(&self, index: u32, number: u64) -> bool {
        let entry = self.topics.entries.get(index as usize);
        entry.is_some_and(|entry| entry.history.newest() == number)
    }

    fn missing_after(&self, after: u64, reason: Option<GapReason>) -> Stage {
        Stage::Missing { after, reason, walked_to: after, missing: Missing::default() }
    }

    /// The number before the newest events, so many over all topics.
    fn find_last(&self, before: u64, mut left: usize, few: Option<&Few>, walk: &mut Walk) -> Step {
        let mut oldest = before;
        let walked = match few {
            Some(few) => {
                oldest = self.last_of_few(few, left);
                Ok(())
            }
            None if left == 0 => Ok(()),
            None => {
                let matches = self.wanted.matches();
                walk.back(self, &matches, before, |entry| {
                    let is_kept = matches!(self.topics.look_up(entry), Logged::Kept(..));
                    if is_kept && matches.wants(self.topics, entry) {
                        (oldest, left) = (entry.number, left - 1);
                    }
                    left > 0
                })
            }
        };
        if let Err(before) = walked {
            return Step::Later(Stage::Last { before, left });
        }
        let cursor = Cursor { after: oldest - 1, latest_to: 0, gap_told_to: self.now };
        Step::Found((cursor, None))
    }

    /// The number of the oldest of the newest events of few topics.
    fn last_of_few(&self, few: &Few, count: usize) -> u64 {
        let histories: Vec<_> =
            few.topics.iter().map(|&index| &self.topics.entry(index).history).collect();
        // The last of the first `left` events of a history.
        let last = |nth: usize, left: usize| {
            let kept = histories[nth].event(left.checked_sub(1)?)?;
            Some((kept.sequence, nth, left))
        };
        let before = |nth: usize| histories[nth].after(self.now).start;
        let mut newest: BinaryHeap<_> =
            (0..histories.len()).filter_map(|nth| last(nth, before(nth))).collect();
        let mut oldest = self.now + 1;
        for _ in 0..count {
            let Some((number, nth, left)) = newest.pop() else { break };
            oldest = number;
            newest.extend(last(nth, left - 1));
        }
        oldest
    }

    /// What is missing where no events are kept: perhaps everything.
    pub(super) fn missing_of_none(&self, before: u64) -> Missing {
        let mut missing = Missing::default();
        if !self.topics.keep_events() {
            missing.add(Forgotten { to: self.now, known: None }, before);
        }
        missing
    }

    /// What is missing for a client of few topics, behind a number, and of what it is not told yet.
    pub(super) fn missing_of_few(&self, few: &Few, after: u64, before: u64) -> Missing {
        let mut missing = self.missing_of_none(before);
        if self.topics.forgotten_to() > before {
            let topics = few.topics.iter().map(|&i| self.topics.entry(i).history.forgotten());
            let all = topics.chain(few.gone.iter().copied());
            all.for_each(|forgotten| missing.add(forgotten, before));
        }
        if missing.to > 0 {
            let firsts = few.topics.iter().filter_map(|&index| {
                let history = &self.topics.entry(index).history;
                history.event(history.after(after).start).map(|kept| kept.sequence)
            });
            missing.first = firsts.min();
        }
        missing
    }

    /// What is missing for a client that has not few topics, behind a number; or how far that is
    /// known by now.
    fn walk_past_missing(
        &self,
        after: u64,
        walked_to: u64,
        mut missing: Missing,
        walk: &mut Walk,
    ) -> Result<Missing, (u64, Missing)> {
        if self.topics.forgotten_to() <= after {
            return Ok(self.missing_of_none(after));
        }
        let forgotten_events = self.topics.forgotten_events();
        missing.is_unsure |= missing.forgotten_events.is_some_and(|then| then != forgotten_events);
        missing.forgotten_events = Some(forgotten_events);
        let matches = self.wanted.matches();
        let walked =
            walk.along(self, &matches, walked_to, |entry| match self.topics.look_up(entry) {
                Logged::Kept(kept, _) if missing.first.is_none() => {
                    let wants = matches.wants(self.topics, entry);
                    missing.first = wants.then_some(kept.sequence);
                }
                Logged::Forgotten(forgotten) if matches.wants(self.topics, entry) => {
                    missing.add(forgotten, after);
                }
                Logged::Kept(..) | Logged::Forgotten(_) | Logged::Useless => {}
            });
        match walked {
            Ok(()) => {
                missing.add(self.topics.gone.unknown(), after);
                Ok(missing)
            }
            Err(walked_to) => Err((walked_to, missing)),
        }
    }

    /// The place of a client that had everything up to a number, or is taken for one that had.
    fn after_id(
        &self,
        resume: &Resume,
        after: u64,
        reason: Option<GapReason>,
        missing: Missing,
    ) -> Found {
        let expired = self.gap(after, missing);
        let gap = match reason {
            None => expired,
            Some(reason) => {
                let at = self.id_of(after);
                let (to, id) = expired.map_or((at, at), |(gap, id)| (gap.to, id));
                Some((Gap { from: None, to, reason, missed: None }, id))
            }
        };
        let from = match resume {
            Resume::After(id) if !id.is_empty() => Some(id.to_string()),
            _ => None,
        };
        let gap = gap.map(|(gap, id)| (Gap { from, ..gap }, id));
        // It is told once.
        let told_to = gap.as_ref().map_or(0, |(gap, _)| gap.to.sequence);
        (Cursor { after, latest_to: 0, gap_told_to: after.max(told_to) }, gap)
    }

    /// What a client behind a number is told of what it has missed for good, and the id to tell it
    /// with: not beyond the first event that it will get, since it may be gone before that.
    pub(super) fn gap(&self, after: u64, missing: Missing) -> Option<(Gap, EventId)> {
        let Missing { to, count, first, is_unsure, .. } = missing;
        let id = first.map_or(self.now, |first| first - 1).min(to);
        let gap = Gap {
            from: Some(self.id_of(after).to_string()),
            to: self.id_of(to),
            reason: GapReason::Expired,
            missed: count.filter(|_| !is_unsure),
        };
        (to > 0).then(|| (gap, self.id_of(id)))
    }

    fn id_of(&self, sequence: u64) -> EventId {
        EventId { epoch: self.epoch, sequence }
    }
}

impl Missing {
    /// What is forgotten of one more topic, behind a number.
    pub(super) fn add(&mut self, forgotten: Forgotten, before: u64) {
        if !forgotten.is_after(before) {
            return;
        }
        let more = forgotten.count_after(before);
        self.count = match self.to {
            0 => more,
            _ => self.count.zip(more).map(|(count, more)| count + more),
        };
        self.to = self.to.max(forgotten.to);
    }

    /// Notes the first event that the client will get.
    pub(super) fn before(self, first: u64) -> Missing {
        Missing { first: Some(first), ..self }
    }
}

impl Cursor {
    /// Up to here nothing is told of what is not kept.
    pub(crate) fn told_to(&self) -> u64 {
        self.after.max(self.gap_told_to)
    }
}
