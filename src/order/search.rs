//! Locates the cursor of a client that has just come: after the last event that it had, or where it
//! asked to begin; and finds the gap that it is told of first, if events are missing.
//!
//! The cursor of a client with named topics is found at once. For any other client the event log is
//! walked, for a bounded number of steps each time that the lock is taken: whatever a client asks
//! for, no publisher waits longer because of it.

use std::collections::BinaryHeap;

use super::cursor::Cursor;
use super::event_log::TopicRef;
use super::missing::Missing;
use super::topics::Logged;
use super::walk::{Past, Walk};
use super::wanted::NamedTopics;
use crate::gap::{Gap, GapReason};
use crate::id::EventId;
use crate::resume::{Resume, StartAt};

/// A search for a client's cursor, as far as it has come.
#[derive(Debug)]
pub(crate) struct Search {
    resume: Resume,
    /// The sequence number of the last event when the client came. The client gets every later
    /// event as it is published.
    joined_at: u64,
    /// What had been forgotten by then.
    forgets_seen: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Events that are too old are forgotten first, since they are not to be replayed.
    Expire,
    /// Looks for the event with an id that a publisher may have given: the oldest that was found in
    /// the walk so far.
    CustomId { walked_to: u64, found: Option<u64> },
    /// Looks for the newest events before a sequence number, `left` of them.
    Last { before: u64, left: usize },
    /// Looks for what is missing after a sequence number. The reason is that of a gap which is
    /// there anyway.
    Missing { after: u64, reason: Option<GapReason>, walked_to: u64, missing: Missing },
}

/// Where a client's stream begins, and what it is told first, with the id to tell it with.
pub(crate) type Found = (Cursor, Option<(Gap, EventId)>);

enum Step {
    Next(Stage),
    /// No steps are left while the lock is held.
    Later(Stage),
    Found(Found),
}

/// What a search needs while the lock is held.
struct Searching<'a> {
    past: &'a Past<'a>,
    resume: &'a Resume,
    /// The client's topics, if it has named topics.
    named: Option<NamedTopics>,
    walk: Walk,
}

impl Search {
    pub(super) fn new(resume: Resume, joined_at: u64, forgets_seen: u64) -> Search {
        Search { resume, joined_at, forgets_seen, stage: Stage::Expire }
    }

    /// Whether events that are too old have to be forgotten before it goes on.
    pub(super) fn is_new(&self) -> bool {
        matches!(self.stage, Stage::Expire)
    }

    /// Goes on; `None` if it has to go on later.
    pub(super) fn advance(&mut self, past: Past<'_>) -> Option<Found> {
        let past = Past { now: self.joined_at, ..past };
        let (named, walk) = (past.find_named(), past.begin_walk());
        let mut searching = Searching { past: &past, resume: &self.resume, named, walk };
        loop {
            match searching.step(self.stage) {
                Step::Next(stage) => self.stage = stage,
                Step::Later(stage) => {
                    self.stage = stage;
                    return None;
                }
                Step::Found((cursor, gap)) => {
                    return Some((Cursor { forgets_seen: self.forgets_seen, ..cursor }, gap));
                }
            }
        }
    }
}

impl Searching<'_> {
    fn step(&mut self, stage: Stage) -> Step {
        match stage {
            Stage::Expire => match self.resume {
                Resume::Start(start) => self.start(*start),
                Resume::After(id) => Step::Next(self.begin_with_id(id)),
            },
            Stage::CustomId { walked_to, found } => self.find_custom_id(walked_to, found),
            Stage::Last { before, left } => self.find_last(before, left),
            Stage::Missing { after, reason, walked_to, missing } => {
                let found = match &self.named {
                    Some(named) => Ok(Missing::of_named(self.past, named, after, after)),
                    None => missing.walk_on(self.past, after, walked_to, &mut self.walk),
                };
                match found {
                    Ok(missing) => Step::Found(self.end(after, reason, missing)),
                    Err((walked_to, missing)) => {
                        Step::Later(Stage::Missing { after, reason, walked_to, missing })
                    }
                }
            }
        }
    }

    /// Where the stream of a client begins that gives no id.
    fn start(&self, start: StartAt) -> Step {
        let now = self.past.now;
        let (after, latest_to) = match start {
            StartAt::Now => (now, 0),
            StartAt::Latest => (0, now),
            StartAt::Last(count) => {
                let left = count.min(StartAt::LAST_MAX) as usize;
                return Step::Next(Stage::Last { before: now + 1, left });
            }
        };
        Step::Found((Cursor { after, latest_to, gap_told_to: now, ..Cursor::default() }, None))
    }

    fn begin_with_id(&self, id: &str) -> Stage {
        let own = EventId::parse(id).filter(|id| id.epoch == self.past.epoch);
        match own.filter(|id| id.sequence <= self.past.now) {
            Some(id) => find_missing(id.sequence, None),
            None => Stage::CustomId { walked_to: 0, found: None },
        }
    }

    /// Finds the event with an id that its publisher gave. If several topics have such an event,
    /// the client goes on after the oldest, since then it misses nothing.
    fn find_custom_id(&mut self, walked_to: u64, mut found: Option<u64>) -> Step {
        let Resume::After(id) = self.resume else { unreachable!("a stage of a client with an id") };
        let (past, topics) = (self.past, self.past.topics);
        // An event that was published since the client came is sent to it anyway.
        let find_in = |index: u32| {
            topics.entry(index).history.find(id).filter(|&sequence| sequence <= past.now)
        };
        match &self.named {
            _ if !topics.has_custom_ids => {}
            Some(named) => {
                found = named.tracked.iter().filter_map(|&index| find_in(index)).min();
            }
            None => {
                let matches = past.wanted.matches();
                let walked = self.walk.forward(past, &matches, walked_to, |entry| {
                    let TopicRef::Tracked(index) = entry.topic else { return };
                    // A topic is searched once: at its newest event.
                    let newest = topics.entries.get(index as usize).map(|e| e.history.newest());
                    if newest == Some(entry.sequence) && matches.wants(topics, entry.topic) {
                        found = found.into_iter().chain(find_in(index)).min();
                    }
                });
                if let Err(walked_to) = walked {
                    return Step::Later(Stage::CustomId { walked_to, found });
                }
            }
        }
        let is_of_other_epoch = EventId::parse(id).is_some_and(|id| id.epoch != past.epoch);
        Step::Next(match found {
            Some(after) => find_missing(after, None),
            None if is_of_other_epoch => find_missing(0, Some(GapReason::Restarted)),
            None => find_missing(past.now, Some(GapReason::UnknownId)),
        })
    }

    /// Finds where the newest `left` events begin, counted over all topics.
    fn find_last(&mut self, before: u64, mut left: usize) -> Step {
        let (past, mut oldest) = (self.past, before);
        let walked = match &self.named {
            Some(named) => {
                oldest = oldest_of_last(past, named, left);
                Ok(())
            }
            None if left == 0 => Ok(()),
            None => {
                let matches = past.wanted.matches();
                self.walk.back_while(past, &matches, before, |entry| {
                    let is_kept = matches!(past.topics.look_up(entry), Logged::Kept(..));
                    if is_kept && matches.wants(past.topics, entry.topic) {
                        (oldest, left) = (entry.sequence, left - 1);
                    }
                    left > 0
                })
            }
        };
        if let Err(before) = walked {
            return Step::Later(Stage::Last { before, left });
        }
        let (after, gap_told_to) = (oldest - 1, past.now);
        Step::Found((Cursor { after, gap_told_to, ..Cursor::default() }, None))
    }

    /// The cursor of a client that had everything up to a sequence number, or is treated as one
    /// that had.
    fn end(&self, after: u64, reason: Option<GapReason>, missing: Missing) -> Found {
        let expired = missing.gap(self.past, after);
        let gap = match reason {
            None => expired,
            Some(reason) => {
                let at = self.past.id_of(after);
                let (to, id) = expired.map_or((at, at), |(gap, id)| (gap.to, id));
                Some((Gap { from: None, to, reason, missed: None }, id))
            }
        };
        let from = match self.resume {
            Resume::After(id) if !id.is_empty() => Some(id.to_string()),
            _ => None,
        };
        let gap = gap.map(|(gap, id)| (Gap { from, ..gap }, id));
        // The client is told once.
        let told_to = gap.as_ref().map_or(0, |(gap, _)| gap.to.sequence);
        (Cursor { after, gap_told_to: after.max(told_to), ..Cursor::default() }, gap)
    }
}

fn find_missing(after: u64, reason: Option<GapReason>) -> Stage {
    Stage::Missing { after, reason, walked_to: after, missing: Missing::default() }
}

/// The sequence number of the oldest of the newest `count` events of named topics.
fn oldest_of_last(past: &Past<'_>, named: &NamedTopics, count: usize) -> u64 {
    let histories: Vec<_> =
        named.tracked.iter().map(|&index| &past.topics.entry(index).history).collect();
    // The newest of the first `left` events of a history.
    let last = |nth: usize, left: usize| {
        let kept = histories[nth].event(left.checked_sub(1)?)?;
        Some((kept.sequence(), nth, left))
    };
    let before = |nth: usize| histories[nth].after(past.now).start;
    let mut newest: BinaryHeap<_> =
        (0..histories.len()).filter_map(|nth| last(nth, before(nth))).collect();
    let mut oldest = past.now + 1;
    for _ in 0..count {
        let Some((sequence, nth, left)) = newest.pop() else { break };
        oldest = sequence;
        newest.extend(last(nth, left - 1));
    }
    oldest
}
