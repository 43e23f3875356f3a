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
use super::event_log::TopicRef;
use super::history::Kept;
use super::missing::Missing;
use super::topics::{Entry, Logged};
use super::walk::Past;
use super::wanted::NamedTopics;
use crate::envelope::Envelope;
use crate::frame::Frame;
use crate::gap::Gap;
use crate::id::EventId;
use crate::topic::Topic;

/// A part of what a client has missed. It may have no frames although there is more.
pub(crate) struct Replay {
    pub(crate) frames: Vec<Frame>,
    /// The topic of each frame, if the client's envelope names it; else empty.
    pub(crate) topics: Vec<Topic>,
    /// How far the client is with it.
    pub(crate) cursor: Cursor,
    /// Whether that is everything that has been published.
    pub(crate) is_all: bool,
    /// What is missing before it, and the id to tell the client with.
    pub(crate) gap: Option<(Gap, EventId)>,
}

/// The frames of a part that is being gathered.
struct Part {
    frames: Vec<Frame>,
    /// The topics of the frames, for a client whose envelope names them.
    topics: Option<Vec<Topic>>,
    bytes: usize,
    bytes_max: usize,
    /// It ends at a multiple of this sequence number, if not before.
    stride: u64,
    /// From this sequence number on no event is added, once there is a frame.
    end: u64,
    /// Behind this sequence number no event is added at all.
    until: u64,
}

/// The events of one topic that are still to be merged.
struct Head<'a> {
    topic: &'a Entry,
    left: Range<usize>,
}

impl Replay {
    /// Gathers the part after a cursor, of at most `bytes_max` bytes, but at least one event.
    pub(super) fn gather(
        past: &Past<'_>,
        cursor: Cursor,
        bytes_max: usize,
        envelope: Envelope,
    ) -> Replay {
        let stride = past.tuning.part_stride;
        let topics = match envelope {
            Envelope::None => None,
            Envelope::Json => Some(Vec::new()),
        };
        let frames = Vec::new();
        let until = if cursor.until > 0 { cursor.until } else { u64::MAX };
        let part = Part { frames, topics, bytes: 0, bytes_max, stride, end: u64::MAX, until };
        // When few events are left, walking past them is quicker than finding topics by name.
        let are_many_left = || past.topics.log.has_more_after(cursor.after, stride as usize);
        let find_named = past.wanted.has_no_filters() || are_many_left();
        let named = find_named.then(|| past.find_named()).flatten();
        let (after, told_to) = (cursor.after, cursor.told_to());
        let with_missing = named.and_then(|named| {
            let missing = Missing::of_named(past, &named, after, told_to)?;
            Some((named, missing))
        });
        match with_missing {
            Some((named, missing)) => merge(past, &named, cursor, part, missing),
            None => walk(past, cursor, part),
        }
    }
}

/// Gathers the next events of named topics.
fn merge(
    past: &Past<'_>,
    named: &NamedTopics,
    cursor: Cursor,
    mut part: Part,
    missing: Missing,
) -> Replay {
    let topics = named.tracked.iter().map(|&index| past.topics.entry(index));
    let mut heads: Vec<Head<'_>> = topics
        .map(|topic| Head { topic, left: cursor.wanted_of(&topic.history) })
        .filter(|head| !head.left.is_empty())
        .collect();
    let firsts = heads.iter().enumerate().filter_map(|(nth, head)| head.first(nth));
    let mut firsts: BinaryHeap<Reverse<(u64, usize)>> = firsts.collect();
    let (mut to, mut last) = (None, 0);
    while let Some(Reverse((sequence, nth))) = firsts.pop() {
        let head = &mut heads[nth];
        let history = &head.topic.history;
        let Some(kept) = head.left.next().and_then(|position| history.event(position)) else {
            continue;
        };
        // An event of several topics is in the history of each of them.
        if sequence != last && !part.add(kept, || &head.topic.state.name) {
            to = Some(sequence - 1);
            break;
        }
        last = sequence;
        firsts.extend(head.first(nth));
    }
    let forgets_seen = past.topics.forgets.count();
    part.end(past, Cursor { forgets_seen, looked_to: None, untold_to: 0, ..cursor }, to, missing)
}

/// Gathers the next events by a walk along the log. What was forgotten since the client was told
/// what is missing is found first: so a gap is told before the events that come after it.
fn walk(past: &Past<'_>, mut cursor: Cursor, mut part: Part) -> Replay {
    let (topics, matches) = (past.topics, past.wanted.matches());
    let Some(missing) = Missing::find_untold(past, &matches, &mut cursor) else {
        // Nothing is sent before all of it is found.
        let after = cursor.after;
        return part.end(past, cursor, Some(after), Missing::default());
    };
    let mut full_at = None;
    let walked = past.begin_walk().forward_while(past, &matches, cursor.after, |entry| {
        let kept = match (topics.look_up(entry), entry.topic) {
            (Logged::Kept(kept, next), TopicRef::Tracked(index)) => Some((kept, next))
                .filter(|_| cursor.wants(kept.sequence(), next))
                .filter(|_| matches.wants(topics, entry.topic))
                .map(|(kept, _)| (kept, &topics.entry(index).state.name)),
            (Logged::OfList(list), _) => matches
                .kept_of_list(topics, list, entry.sequence)
                .filter(|&(kept, next)| cursor.wants(kept.sequence(), next))
                .and_then(|(kept, _)| Some((kept, list.topics().first()?))),
            _ => None,
        };
        if kept.is_some_and(|(kept, topic)| !part.add(kept, || topic)) {
            full_at = Some(entry.sequence - 1);
        }
        full_at.is_none()
    });
    let to = full_at.or(walked.err());
    let first = part.frames.first().map(Frame::sequence).or(to.map(|to| to + 1));
    part.end(past, cursor, to, missing.before(first))
}

impl Part {
    /// Adds the next event, unless it is too much for one part.
    fn add<'t>(&mut self, kept: &Kept, topic: impl FnOnce() -> &'t Topic) -> bool {
        let len = kept.frame.plain().len();
        if kept.sequence() > self.until {
            return false;
        }
        if self.frames.is_empty() {
            self.end = (kept.sequence() / self.stride + 1).saturating_mul(self.stride);
        } else if kept.sequence() >= self.end || self.bytes + len > self.bytes_max {
            return false;
        }
        self.bytes += len;
        self.frames.push(kept.frame.clone());
        if let Some(topics) = &mut self.topics {
            topics.push(topic().clone());
        }
        true
    }

    /// The part, which covers the events up to `to`, or all.
    fn end(self, past: &Past<'_>, cursor: Cursor, to: Option<u64>, missing: Missing) -> Replay {
        let gap = missing.gap(past, cursor.after);
        let told_to = gap.as_ref().map_or(0, |(gap, _)| gap.to.sequence);
        let gap_told_to = cursor.gap_told_to.max(told_to);
        let to = match self.until {
            u64::MAX => to,
            until => Some(to.unwrap_or(until).min(until)),
        };
        let cursor = Cursor { after: to.unwrap_or(past.now), gap_told_to, ..cursor };
        let topics = self.topics.unwrap_or_default();
        Replay { frames: self.frames, topics, cursor, is_all: to.is_none(), gap }
    }
}

impl Head<'_> {
    /// The sequence number of its first event, with the head's position.
    fn first(&self, nth: usize) -> Option<Reverse<(u64, usize)>> {
        let history = &self.topic.history;
        let kept = history.event(self.left.start).filter(|_| !self.left.is_empty())?;
        Some(Reverse((kept.sequence(), nth)))
    }
}
