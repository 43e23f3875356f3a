//! What a client that comes back has missed: of all its topics, in the hub's order.
//!
//! It is replayed in parts, each gathered under the lock. Of a client that has few topics the heads
//! of their histories are merged; of another, the log says what comes next. Parts end at numbers
//! that are multiples of a stride, wherever a client begins, so that after their first part all who
//! replay the same topics need the same parts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::history::{History, Kept};
use super::search::{Cursor, Missing};
use super::topics::Logged;
use super::walk::{Past, Walk};
use super::wanted::{Few, Wanted};
use super::Order;
use crate::filter::Subscription;
use crate::frame::Frame;
use crate::gap::Gap;
use crate::id::EventId;

/// A part of what a client has missed. It may be empty although there is more.
pub(crate) struct Replay {
    pub(crate) frames: Vec<Frame>,
    /// It has everything up to this number.
    pub(crate) to: u64,
    /// Whether that is all that has been published.
    pub(crate) is_all: bool,
    /// What is missing before it, and the id to tell it with.
    pub(crate) gap: Option<(Gap, EventId)>,
}

/// Frames as they are gathered.
struct Part {
    frames: Vec<Frame>,
    bytes: usize,
    bytes_max: usize,
    /// It ends at a multiple of this number, if not before.
    stride: u64,
    /// From this number on no more is taken, once there is a frame.
    end: u64,
}

impl Order {
    /// The next part for a client that has come to a place, of about so many bytes.
    pub(crate) fn replay(
        &self,
        wanted: &[Subscription],
        cursor: Cursor,
        bytes_max: usize,
    ) -> Replay {
        let mut wanted = Wanted::new(wanted);
        wanted.prepare();
        let locked = self.lock();
        let past = self.past(&locked.topics, &wanted);
        let stride = self.tuning.part_stride;
        let part = Part { frames: Vec::new(), bytes: 0, bytes_max, stride, end: u64::MAX };
        // With a few events behind it nobody has few topics: to look for them would take longer.
        let few = match wanted.has_names_alone()
            || locked.topics.log.has_more_after(cursor.after, self.tuning.part_stride as usize)
        {
            true => locked.topics.few(&wanted, self.tuning.named_topics_max),
            false => None,
        };
        match few {
            Some(few) => past.merge(&few, cursor, part),
            None => past.gather(cursor, part),
        }
    }
}

impl Past<'_> {
    /// The next events of few topics after a place.
    fn merge(&self, few: &Few, cursor: Cursor, mut part: Part) -> Replay {
        let histories = few.topics.iter().map(|&index| &self.topics.entry(index).history);
        let mut heads: Vec<Head<'_>> = histories
            .map(|history| Head { history, left: cursor.wanted_of(history) })
            .filter(|head| !head.left.is_empty())
            .collect();
        let firsts = heads.iter().enumerate().filter_map(|(nth, head)| head.first(nth));
        let mut firsts: BinaryHeap<Reverse<(u64, usize)>> = firsts.collect();
        let mut to = None;
        while let Some(Reverse((sequence, nth))) = firsts.pop() {
            let head = &mut heads[nth];
            let Some(kept) = head.left.next().and_then(|at| head.history.event(at)) else {
                continue;
            };
            if !part.take(kept) {
                to = Some(sequence - 1);
                break;
            }
            firsts.extend(head.first(nth));
        }
        let missing = self.missing_of_few(few, cursor.after, cursor.told_to());
        self.end_part(cursor, part, to, missing)
    }

    /// The next events after a place, by the log. If anything was forgotten since the client was
    /// told what is missing, the walk goes on behind the part, as far as it may: so a hole is told
    /// before what comes after it, unless that many events are between.
    fn gather(&self, cursor: Cursor, mut part: Part) -> Replay {
        let (matches, told_to) = (self.wanted.matches(), cursor.told_to());
        let (mut missing, mut is_full) = (self.missing_of_none(told_to), None);
        let looks_ahead = self.topics.forgotten_to() > told_to;
        let walked = Walk::new(self.tuning.walk_steps_max).along_while(
            self,
            &matches,
            cursor.after,
            |entry| {
                match self.topics.look_up(entry) {
                    Logged::Kept(kept, next)
                        if is_full.is_none() && cursor.wants(kept.sequence, next) =>
                    {
                        if matches.wants(self.topics, entry) && !part.take(kept) {
                            is_full = Some(entry.number - 1);
                        }
                    }
                    Logged::Forgotten(forgotten) if entry.number > told_to => {
                        if matches.wants(self.topics, entry) {
                            missing.add(forgotten, told_to);
                        }
                    }
                    Logged::Kept(..) | Logged::Forgotten(_) | Logged::Useless => {}
                }
                is_full.is_none() || looks_ahead
            },
        );
        missing.add(self.topics.gone.unknown(), told_to);
        let to = is_full.or(walked.err());
        let first = part.frames.first().map(Frame::sequence);
        let missing = match first.or(to.map(|to| to + 1)) {
            Some(first) => missing.before(first),
            None => missing,
        };
        self.end_part(cursor, part, to, missing)
    }

    fn end_part(&self, cursor: Cursor, part: Part, to: Option<u64>, missing: Missing) -> Replay {
        Replay {
            frames: part.frames,
            to: to.unwrap_or(self.now),
            is_all: to.is_none(),
            gap: self.gap(cursor.after, missing),
        }
    }
}

impl Part {
    /// Takes the next event, unless it is too much for one part.
    fn take(&mut self, kept: &Kept) -> bool {
        let len = kept.frame.plain().len();
        if self.frames.is_empty() {
            self.end = (kept.sequence / self.stride + 1).saturating_mul(self.stride);
        } else if kept.sequence >= self.end || self.bytes + len > self.bytes_max {
            return false;
        }
        self.bytes += len;
        self.frames.push(kept.frame.clone());
        true
    }
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

impl Cursor {
    /// Which of a topic's kept events are wanted.
    fn wanted_of(&self, history: &History) -> Range<usize> {
        let wanted = history.after(self.after);
        let latest = match self.latest_to > self.after {
            true => history.after(self.latest_to).start.saturating_sub(1),
            false => 0,
        };
        wanted.start.max(latest)..wanted.end
    }

    /// Whether an event after the place is wanted, of whose topic the next one has a number.
    fn wants(&self, number: u64, next: Option<u64>) -> bool {
        number > self.latest_to || next.is_none_or(|next| next > self.latest_to)
    }
}
