//! Locates the cursor of a client that has just come: after the last event that it had, or where it
//! asked to begin; and finds the gap that it is told of first, if events are missing.
//!
//! The cursor of a client with named topics is found at once. For any other client the event log is
//! walked, for a bounded number of steps each time that the lock is taken: whatever a client asks
//! for, no publisher waits longer because of it.

use super::cursor::Cursor;
use super::event_log::TopicRef;
use super::lives::{Known, Loss};
use super::missing::Missing;
use super::newest::{oldest_of_named, walk_back};
use super::walk::{Past, Walk};
use super::wanted::NamedTopics;
use crate::gap::{Gap, GapReason};
use crate::id::EventId;
use crate::resume::{Resume, StartAt};

/// A moment at which a client asks for a stream. It is sent every event that is published later.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// The sequence number of the last event then.
    pub(crate) number: u64,
    /// How much had been forgotten by then.
    pub(super) forgets_seen: u64,
}

/// A search for a client's cursor, as far as it has come.
#[derive(Debug)]
pub(crate) struct Search {
    resume: Resume,
    asked_at: Moment,
    stage: Stage,
    lack: Option<Lack>,
}

/// What a client lacks for no other reason than that it is not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lack {
    /// The client had all up to this sequence number.
    pub(crate) after: u64,
    /// No event behind this one is missing.
    pub(crate) to: u64,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Events that are too old are forgotten first, since they are not to be replayed.
    Expire,
    /// Looks for the event with an id that a publisher may have given: the oldest that was found in
    /// the walk so far.
    CustomId { walked_to: u64, found: Option<u64> },
    /// Looks for the newest events before a sequence number, `left` of them.
    Last { before: u64, left: usize, lost: Option<Lost> },
    /// Looks for what is missing after the event that the client had last, if its stream begins at
    /// a cursor. If it has lost its place, there is a gap anyway.
    Missing { had: u64, begins: Cursor, lost: Option<Lost>, walked_to: u64, missing: Missing },
}

/// A client that says which event it had last, when that one or events after it are gone.
#[derive(Clone, Copy, Debug)]
struct Lost {
    /// The client had the events up to this sequence number, as far as that is known.
    had: u64,
    reason: GapReason,
    /// What was published and is lost, if that is the reason.
    loss: Option<Loss>,
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
    lack: Option<Lack>,
}

impl Search {
    pub(super) fn new(resume: Resume, asked_at: Moment) -> Search {
        Search { resume, asked_at, stage: Stage::Expire, lack: None }
    }

    /// What the client lacks of what is not kept, when the search has ended.
    pub(crate) fn lack(&self) -> Option<Lack> {
        self.lack
    }

    /// Where the client's stream begins if it lacks events, unless that is with the oldest kept ones.
    pub(crate) fn gap_start(&self) -> Option<StartAt> {
        self.resume.gap_start().filter(|&start| start != StartAt::Earliest)
    }

    /// Whether events that are too old have to be forgotten before it goes on.
    pub(super) fn is_new(&self) -> bool {
        matches!(self.stage, Stage::Expire)
    }

    /// Goes on; `None` if it has to go on later.
    pub(super) fn advance(&mut self, past: Past<'_>) -> Option<Found> {
        let past = Past { now: self.asked_at.number, ..past };
        let (named, walk) = (past.find_named(), past.begin_walk());
        let lack = self.lack;
        let mut searching = Searching { past: &past, resume: &self.resume, named, walk, lack };
        loop {
            let step = searching.step(self.stage);
            self.lack = searching.lack;
            match step {
                Step::Next(stage) => self.stage = stage,
                Step::Later(stage) => {
                    self.stage = stage;
                    return None;
                }
                Step::Found((cursor, gap)) => {
                    let forgets_seen = self.asked_at.forgets_seen;
                    return Some((Cursor { forgets_seen, ..cursor }, gap));
                }
            }
        }
    }
}

impl Searching<'_> {
    fn step(&mut self, stage: Stage) -> Step {
        match stage {
            Stage::Expire => match self.resume {
                Resume::Start(start) => self.begin(*start, None),
                Resume::After(id) | Resume::AfterOr(id, _) => self.begin_with_id(id),
            },
            Stage::CustomId { walked_to, found } => self.find_custom_id(walked_to, found),
            Stage::Last { before, left, lost } => self.find_last(before, left, lost),
            Stage::Missing { had, begins, lost, walked_to, missing } => {
                let of_named = |named| {
                    let missing = Missing::of_named(self.past, named, begins.after, had)?;
                    missing.with_skipped(self.past, named, &begins, had)
                };
                let found = self.named.as_ref().and_then(of_named).map_or_else(
                    || missing.walk_on(self.past, &begins, had, walked_to, &mut self.walk),
                    Ok,
                );
                match found {
                    Ok(missing) => self.end(had, begins, lost, missing),
                    Err((walked_to, missing)) => {
                        Step::Later(Stage::Missing { had, begins, lost, walked_to, missing })
                    }
                }
            }
        }
    }

    /// Begins the stream of a client that gives no id, or of one whose id is gone.
    fn begin(&self, start: StartAt, lost: Option<Lost>) -> Step {
        let (now, had) = (self.past.now, lost.map_or(0, |lost| lost.had));
        let (after, latest_to) = match start {
            StartAt::Now => (now, 0),
            StartAt::Latest => (had, now),
            StartAt::Earliest => (had, 0),
            StartAt::Last(count) => {
                let left = count.min(StartAt::LAST_MAX) as usize;
                return Step::Next(Stage::Last { before: now + 1, left, lost });
            }
        };
        let begins = Cursor { after, latest_to, ..Cursor::default() };
        match (lost, start) {
            (Some(lost), _) => begin_after_gap(begins, lost),
            // It is told of what is forgotten from now on, if that leaves a hole in its stream.
            (None, StartAt::Earliest) => Step::Next(find_missing(had, begins, None)),
            (None, _) => Step::Found((Cursor { gap_told_to: now, ..begins }, None)),
        }
    }

    fn begin_with_id(&self, id: &str) -> Step {
        match self.past.known(id) {
            Known::Had(had, None) => Step::Next(find_missing_after(had)),
            // Of what was lost nobody knows the topics: it may have been for this client.
            Known::Had(had, Some(loss)) | Known::Lost(had, loss) => {
                self.begin_after_loss(had, loss)
            }
            Known::Unknown => Step::Next(Stage::CustomId { walked_to: 0, found: None }),
        }
    }

    fn begin_after_loss(&self, had: u64, loss: Loss) -> Step {
        let gap_start = self.resume.gap_start().unwrap_or(StartAt::Earliest);
        self.begin(gap_start, Some(Lost { had, reason: GapReason::Lost, loss: Some(loss) }))
    }

    /// Finds the event with an id that its publisher gave. If several topics have such an event,
    /// the client goes on after the oldest, since then it misses nothing.
    fn find_custom_id(&mut self, walked_to: u64, mut found: Option<u64>) -> Step {
        let id = self.resume.id().expect("it is a stage of a client with an id");
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
                let mut search = |index: u32, sequence: u64| {
                    // A topic is searched once: at its newest event.
                    let newest = topics.entries.get(index as usize).map(|e| e.history.newest());
                    let wants = || matches.wants(topics, TopicRef::Tracked(index));
                    if newest == Some(sequence) && wants() {
                        found = found.into_iter().chain(find_in(index)).min();
                    }
                };
                let walked =
                    self.walk.forward(past, &matches, walked_to, |entry| match entry.topic {
                        TopicRef::Tracked(index) => search(index, entry.sequence),
                        TopicRef::Gone(_) => {}
                        TopicRef::List(list) => {
                            let lists = topics.lists.get(list).into_iter();
                            let tracked = lists.flat_map(|list| topics.tracked_of(list));
                            tracked.for_each(|(index, _)| search(index, entry.sequence));
                        }
                    });
                if let Err(walked_to) = walked {
                    return Step::Later(Stage::CustomId { walked_to, found });
                }
            }
        }
        if let Some(after) = found {
            return match self.past.lives.lost_after(after) {
                None => Step::Next(find_missing_after(after)),
                Some(loss) => self.begin_after_loss(after, loss),
            };
        }
        let is_of_other_epoch = EventId::parse(id).is_some_and(|id| id.epoch != past.epoch);
        let (reason, start) = match is_of_other_epoch {
            true => (GapReason::Restarted, StartAt::Earliest),
            false => (GapReason::UnknownId, StartAt::Now),
        };
        self.begin(
            self.resume.gap_start().unwrap_or(start),
            Some(Lost { had: 0, reason, loss: None }),
        )
    }

    /// Finds where the newest `left` events begin, counted over all topics.
    fn find_last(&mut self, before: u64, left: usize, lost: Option<Lost>) -> Step {
        let (past, had) = (self.past, lost.map_or(0, |lost| lost.had));
        let oldest = match &self.named {
            Some(named) => Ok(oldest_of_named(past, named, left)),
            None => walk_back(past, (had, before), left, &mut self.walk),
        };
        let after = match oldest {
            Ok(oldest) => (oldest - 1).max(had),
            Err((before, left)) => return Step::Later(Stage::Last { before, left, lost }),
        };
        let begins = Cursor { after, ..Cursor::default() };
        match lost {
            Some(lost) => begin_after_gap(begins, lost),
            None => Step::Found((Cursor { gap_told_to: past.now, ..begins }, None)),
        }
    }

    /// The cursor of a client that had everything up to a sequence number, or is treated as one
    /// that had, and whose stream begins at a cursor.
    fn end(&mut self, had: u64, begins: Cursor, lost: Option<Lost>, missing: Missing) -> Step {
        let reason = lost.map(|lost| lost.reason);
        let loss = lost.and_then(|lost| lost.loss);
        let expired = missing.gap(self.past, had);
        if let (None, Some((gap, _)), Some(_)) = (reason, &expired, self.resume.id()) {
            self.lack = Some(Lack { after: had, to: gap.to.sequence });
        }
        let gap_start = self.resume.gap_start().filter(|_| expired.is_some() && reason.is_none());
        if let Some(start) = gap_start.filter(|&start| start != StartAt::Earliest) {
            let lost = Lost { had, reason: GapReason::Expired, loss: None };
            return self.begin(start, Some(lost));
        }
        let gap = match reason {
            None => expired,
            Some(reason) => {
                let at = self.past.id_of(begins.after);
                let missed = expired.as_ref().and_then(|(gap, _)| gap.missed);
                let (to, id) = expired.map_or((at, at), |(gap, id)| (gap.to, id));
                let lost_to = loss.map_or(0, |loss| loss.to);
                let to = self.past.id_of(to.sequence.max(lost_to));
                let missed = missed.filter(|_| reason == GapReason::Expired);
                Some((Gap { from: None, to, reason, missed }, id))
            }
        };
        // The client is told once; and not at all if it gives no id, unless of what was published
        // since it came.
        let told_to = gap.as_ref().map_or(0, |(gap, _)| gap.to.sequence);
        let told_to = match self.resume {
            Resume::Start(_) => told_to.min(self.past.now),
            Resume::After(_) | Resume::AfterOr(..) => told_to,
        };
        let cursor = Cursor { gap_told_to: begins.after.max(told_to), ..begins };
        let gap = self.resume.id().and_then(|id| {
            // What it lacks may have been published before the event that it had last.
            let says_where = !id.is_empty() && loss.is_none_or(|loss| loss.is_behind);
            let from = says_where.then(|| id.to_owned());
            gap.map(|(gap, id)| (Gap { from, ..gap }, id))
        });
        Step::Found((cursor, gap))
    }
}

/// Finds what is missing for a client that had everything up to a sequence number.
fn find_missing_after(had: u64) -> Stage {
    find_missing(had, Cursor { after: had, ..Cursor::default() }, None)
}

/// Finds what a client is told that has lost its place, and whose stream begins at a cursor.
fn begin_after_gap(begins: Cursor, lost: Lost) -> Step {
    let had = match lost.reason {
        GapReason::Expired => lost.had,
        // How many events are missing is not known, so none before the cursor need be counted.
        _ => begins.after,
    };
    Step::Next(find_missing(had, begins, Some(lost)))
}

fn find_missing(had: u64, begins: Cursor, lost: Option<Lost>) -> Stage {
    let missing = Missing::default();
    Stage::Missing { had, begins, lost, walked_to: had, missing }
}
