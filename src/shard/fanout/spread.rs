//! Events that are delivered evenly over a time, so that a crowd that acts on one does not act at
//! once.
//!
//! ```text
//!   queue:   ... 40 | 41 | 42        42 is the event, behind the gate
//!   ring:    [ 7  2  9 | 4 8 1 3 ]   7, 2 and 9 wait at the gate; the others have been served
//! ```
//!
//! Such an event is in its audiences' queues as any other, but behind a gate (`queue.rs`): their
//! members wait there, and are not work for the scheduler. A *job* goes along the event's audiences
//! and serves the next members of one after the other, evenly over the time, so that it does not
//! matter how the members are divided into audiences. The next event of another kind that is
//! appended to a queue opens its gate: members that wait get both at once. Several spread events
//! may wait at the same gate: the job of the one whose time is over first serves the members, and
//! each gets all that it waits for.
//!
//! Before an audience's members wait at the gate they have to be sent what comes before it. While
//! the audience gathers them there, a connection that has the event already, or came after it,
//! cannot become a member: it is *parked*, which is to say that it remains a laggard for this time.

use std::collections::{BTreeMap, VecDeque};

use crate::shard::connection::slots::Key;
use crate::shard::fanout::audience::Lead;
use crate::shard::fanout::pace::Pace;

/// For each audience there may be some such events, beyond this number in all.
const ENTRIES_MIN: usize = 1024;
const ENTRIES_PER_AUDIENCE: usize = 16;

/// One shard's spread events.
#[derive(Default)]
pub(in crate::shard) struct Spread {
    /// By the time at which each is to serve members next, and a number of its own.
    jobs: BTreeMap<(u64, u64), Job>,
    next_number: u64,
    /// Those of all jobs.
    entries: usize,
    left: u64,
    /// Audiences with connections that are parked.
    parked: Vec<Key>,
    /// Whether nothing is spread any more.
    pub(in crate::shard) is_over: bool,
}

/// One event that is spread.
pub(in crate::shard) struct Job {
    pub(in crate::shard) pace: Pace,
    pub(in crate::shard) waiting: VecDeque<Waiting>,
    /// Members that wait in all audiences and are served at this event's pace, as far as is known:
    /// those of the audiences that come later have been counted when it began.
    pub(in crate::shard) left: u64,
}

/// An audience whose members wait for an event.
#[derive(Clone, Copy)]
pub(in crate::shard) struct Waiting {
    pub(in crate::shard) audience: Key,
    /// How many of them have yet to be served.
    pub(in crate::shard) members: u32,
    /// The position behind the event.
    pub(in crate::shard) behind: u64,
}

impl Job {
    /// For an event that was published at a time.
    pub(in crate::shard) fn new(
        from_ns: u64,
        window_ns: u64,
        phase: f64,
        waiting: Vec<Waiting>,
    ) -> Job {
        let left = waiting.iter().map(|waiting| u64::from(waiting.members)).sum();
        // If none is served at its own pace yet, it looks at once when that changes.
        let phase = if left > 0 { phase } else { 0.0 };
        Job { pace: Pace::new(from_ns, window_ns, left, phase), waiting: waiting.into(), left }
    }

    /// What it is in an audience.
    pub(in crate::shard) fn event_at(&self, waiting: &Waiting) -> Lead {
        Lead { until_ns: self.pace.until_ns(), behind: waiting.behind }
    }

    /// Notes how many wait in the first audience by now.
    pub(in crate::shard) fn count_first(&mut self, members: usize) {
        let Some(first) = self.waiting.front_mut() else { return };
        self.left -= u64::from(first.members);
        first.members = members as u32;
        self.left += u64::from(first.members);
    }

    /// Notes that members of the first audience have been served.
    pub(in crate::shard) fn count_served(&mut self, members: usize) {
        let Some(first) = self.waiting.front_mut() else { return };
        let members = first.members.min(members as u32);
        first.members -= members;
        self.left -= u64::from(members);
    }

    /// Takes the first audience out, in which no member waits any more.
    pub(in crate::shard) fn drop_first(&mut self) {
        let first = self.waiting.pop_front();
        self.left -= first.map_or(0, |first| u64::from(first.members));
    }
}

impl Spread {
    pub(in crate::shard) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.parked.is_empty()
    }

    /// Forgets all jobs, when there is no audience any more.
    pub(in crate::shard) fn clear(&mut self) {
        *self = Spread { is_over: self.is_over, ..Spread::default() };
    }

    /// Begins or goes on with a job.
    pub(in crate::shard) fn put(&mut self, job: Job) {
        self.entries += job.waiting.len();
        self.left += job.left;
        self.next_number += 1;
        self.jobs.insert((job.pace.next_ns(), self.next_number), job);
    }

    /// Takes a job out that has something due by a time.
    pub(in crate::shard) fn take_due(&mut self, now_ns: u64) -> Option<Job> {
        let is_due = self.next_ns().is_some_and(|next_ns| next_ns <= now_ns);
        is_due.then(|| self.take()).flatten()
    }

    /// Takes the job out that has something due next.
    pub(in crate::shard) fn take(&mut self) -> Option<Job> {
        let (_, job) = self.jobs.pop_first()?;
        self.entries -= job.waiting.len();
        self.left -= job.left;
        Some(job)
    }

    /// When a job has something due next.
    pub(in crate::shard) fn next_ns(&self) -> Option<u64> {
        self.jobs.first_key_value().map(|(&(next_ns, _), _)| next_ns)
    }

    /// Whether more is remembered than is reasonable for a number of audiences.
    pub(in crate::shard) fn has_too_many(&self, audiences: usize) -> bool {
        self.entries > ENTRIES_MIN + ENTRIES_PER_AUDIENCE * audiences
    }

    /// Members that wait, each for each event that it waits for, as far as is known.
    pub(in crate::shard) fn left(&self) -> u64 {
        self.left
    }

    /// Notes that an audience has connections that are parked.
    pub(in crate::shard) fn park(&mut self, audience: Key) {
        self.parked.push(audience);
    }

    /// Takes all audiences that have parked connections.
    pub(in crate::shard) fn take_parked(&mut self) -> Vec<Key> {
        let mut parked = std::mem::take(&mut self.parked);
        parked.sort_unstable_by_key(|key| key.to_u64());
        parked.dedup();
        parked
    }
}
