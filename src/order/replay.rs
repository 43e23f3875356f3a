//! What a client that comes back has missed, of all its topics, in the hub's order.
//!
//! It is replayed in parts, each gathered under the lock. The histories of named topics are merged;
//! for a client without named topics the event log tells which event comes next. Parts end at
//! multiples of a stride of sequence numbers, wherever a client begins. So from their second part
//! on, all clients that replay the same topics need the same parts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::cursor::Cursor;
use super::history::{History, Kept};
use super::missing::Missing;
use super::topics::Logged;
use super::walk::Past;
use super::wanted::NamedTopics;
use crate::frame::Frame;
use crate::gap::Gap;
use crate::id::EventId;

/// A part of what a client has missed. It may have no frames although there is more.
pub(crate) struct Replay {
    pub(crate) frames: Vec<Frame>,
    /// It covers everything up to this sequence number.
    pub(crate) to: u64,
    /// Whether that is everything that has been published.
    pub(crate) is_all: bool,
    /// What is missing before it, and the id to tell the client with.
    pub(crate) gap: Option<(Gap, EventId)>,
}

/// The frames of a part that is being gathered.
struct Part {
    frames: Vec<Frame>,
    bytes: usize,
    bytes_max: usize,
    /// It ends at a multiple of this sequence number, if not before.
    stride: u64,
    /// From this sequence number on no event is added, once there is a frame.
    end: u64,
}

/// The events of one topic that are still to be merged.
struct Head<'a> {
    history: &'a History,
    left: Range<usize>,
}

impl Replay {
    /// Gathers the part after a cursor, of at most `bytes_max` bytes, but at least one event.
    pub(super) fn gather(past: &Past<'_>, cursor: Cursor, bytes_max: usize) -> Replay {
        let stride = past.tuning.part_stride;
        let part = Part { frames: Vec::new(), bytes: 0, bytes_max, stride, end: u64::MAX };
        // When few events are left, walking past them is quicker than finding topics by name.
        let are_many_left = || past.topics.log.has_more_after(cursor.after, stride as usize);
        let find_named = past.wanted.has_no_filters() || are_many_left();
        match find_named.then(|| past.find_named()).flatten() {
            Some(named) => merge(past, &named, cursor, part),
            None => walk(past, cursor, part),
        }
    }
}

/// Gathers the next events of named topics.
fn merge(past: &Past<'_>, named: &NamedTopics, cursor: Cursor, mut part: Part) -> Replay {
    let histories = named.tracked.iter().map(|&index| &past.topics.entry(index).history);
    let mut heads: Vec<Head<'_>> = histories
        .map(|history| Head { history, left: cursor.wanted_of(history) })
        .filter(|head| !head.left.is_empty())
        .collect();
    let firsts = heads.iter().enumerate().filter_map(|(nth, head)| head.first(nth));
    let mut firsts: BinaryHeap<Reverse<(u64, usize)>> = firsts.collect();
    let mut to = None;
    while let Some(Reverse((sequence, nth))) = firsts.pop() {
        let head = &mut heads[nth];
        let Some(kept) = head.left.next().and_then(|position| head.history.event(position)) else {
            continue;
        };
        if !part.add(kept) {
            to = Some(sequence - 1);
            break;
        }
        firsts.extend(head.first(nth));
    }
    let missing = Missing::of_named(past, named, cursor.after, cursor.told_to());
    part.end(past, cursor, to, missing)
}

/// Gathers the next events by a walk along the log. If events were forgotten since the client was
/// told what is missing, the walk goes on after the part is full, as far as it may: so a gap is
/// told before the events that come after it, unless very many events are between.
fn walk(past: &Past<'_>, cursor: Cursor, mut part: Part) -> Replay {
    let (topics, matches, told_to) = (past.topics, past.wanted.matches(), cursor.told_to());
    let (mut missing, mut full_at) = (Missing::of_unkept(past, told_to), None);
    let looks_ahead = topics.totals.forgotten_to() > told_to;
    let walked = past.begin_walk().forward_while(past, &matches, cursor.after, |entry| {
        match topics.look_up(entry) {
            Logged::Kept(kept, next)
                if full_at.is_none() && cursor.wants(kept.sequence(), next) =>
            {
                if matches.wants(topics, entry) && !part.add(kept) {
                    full_at = Some(entry.sequence - 1);
                }
            }
            Logged::Forgotten(forgotten) if entry.sequence > told_to => {
                if matches.wants(topics, entry) {
                    missing.add(forgotten, told_to);
                }
            }
            Logged::Kept(..) | Logged::Forgotten(_) | Logged::Useless => {}
        }
        full_at.is_none() || looks_ahead
    });
    missing.add(topics.gone.unknown(), told_to);
    let to = full_at.or(walked.err());
    let first = part.frames.first().map(Frame::sequence).or(to.map(|to| to + 1));
    part.end(past, cursor, to, missing.before(first))
}

impl Part {
    /// Adds the next event, unless it is too much for one part.
    fn add(&mut self, kept: &Kept) -> bool {
        let len = kept.frame.plain().len();
        if self.frames.is_empty() {
            self.end = (kept.sequence() / self.stride + 1).saturating_mul(self.stride);
        } else if kept.sequence() >= self.end || self.bytes + len > self.bytes_max {
            return false;
        }
        self.bytes += len;
        self.frames.push(kept.frame.clone());
        true
    }

    /// The part, which covers the events up to `to`, or all.
    fn end(self, past: &Past<'_>, cursor: Cursor, to: Option<u64>, missing: Missing) -> Replay {
        Replay {
            frames: self.frames,
            to: to.unwrap_or(past.now),
            is_all: to.is_none(),
            gap: missing.gap(past, cursor.after),
        }
    }
}

impl Head<'_> {
    /// The sequence number of its first event, with the head's position.
    fn first(&self, nth: usize) -> Option<Reverse<(u64, usize)>> {
        let kept = self.history.event(self.left.start).filter(|_| !self.left.is_empty())?;
        Some(Reverse((kept.sequence(), nth)))
    }
}
