//! An audience: the connections of one shard that want the same topics in the same wire form, and
//! the batches that all of them share.
//!
//! ```text
//!   pending   frames that were taken from the inbox and not begun; they hold their topic's room
//!      | begin(): gathered, once
//!      v
//!   begun     the same frames, which hold the room until the pass is nearly over
//!
//!   batches   [ 17 | 18 | 19 ]   the last one is being sent, or was; the others are kept for
//!               ^    ^           laggards, each of which stands at one of them
//! ```
//!
//! A member that took every batch whole has no state: it is where its audience is. Only a laggard
//! has a position, and each batch counts the laggards that stand at it, so that a batch goes when
//! nobody needs it any more. A laggard can stand at the end, behind the last batch, when it has
//! bytes of its own to send first.

use std::collections::VecDeque;
use std::sync::Arc;

use super::members::Members;
use crate::frame::{gather, Frame, Wire};
use crate::order::Published;

pub(crate) struct Audience {
    /// The shard's keys of its topics, in ascending order.
    pub(crate) topics: Box<[u32]>,
    /// Where it stands in each of these topics' list of audiences.
    pub(crate) places: Vec<u32>,
    pub(crate) wire: Wire,
    /// Events up to this sequence number were published before the audience came to be.
    from_sequence: u64,
    pending: VecDeque<Arc<Published>>,
    /// The events of the current pass, as long as they hold their room.
    begun: Vec<Arc<Published>>,
    batches: VecDeque<Batch>,
    /// The number of the first batch that is kept.
    first: u64,
    /// How many laggards stand behind the last batch.
    at_end: u32,
    /// Whether the last batch is being sent to the members.
    sending: bool,
    pub(crate) members: Members,
    /// Slab indices of the connections that lag, in no order.
    pub(crate) lagging: Vec<u32>,
    /// When the last pass ended, in milliseconds since the hub's start.
    pub(crate) quiet_since_ms: u32,
    pub(crate) in_express: bool,
    pub(crate) in_bulk: bool,
    pub(crate) held: bool,
}

/// What one pass sends.
pub(crate) struct Batch {
    content: Content,
    pub(crate) events: u64,
    /// When the oldest of its events was published.
    pub(crate) published_at_ns: u64,
    pub(crate) begun_at_ns: u64,
    /// Its first byte's place in the bytes of all batches since there was none.
    start: u64,
    /// How many laggards stand at it.
    laggards: u32,
}

enum Content {
    /// A lone frame, as it is, in the audience's wire form.
    One(Frame, Wire),
    /// Several frames, gathered.
    Gathered(Box<[u8]>),
}

impl Audience {
    pub(crate) fn new(topics: Box<[u32]>, wire: Wire, from_sequence: u64) -> Audience {
        Audience {
            places: Vec::with_capacity(topics.len()),
            topics,
            wire,
            from_sequence,
            pending: VecDeque::new(),
            begun: Vec::new(),
            batches: VecDeque::new(),
            first: 0,
            at_end: 0,
            sending: false,
            members: Members::default(),
            lagging: Vec::new(),
            quiet_since_ms: 0,
            in_express: false,
            in_bulk: false,
            held: false,
        }
    }

    /// Takes an event that has to be sent.
    pub(crate) fn append(&mut self, published: &Arc<Published>) {
        if published.sequence > self.from_sequence {
            self.pending.push_back(published.clone());
        }
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn pending_frames(&self) -> impl Iterator<Item = &Frame> {
        self.pending.iter().map(|published| &published.frame)
    }

    pub(crate) fn is_sending(&self) -> bool {
        self.sending
    }

    /// Begins a pass: makes a batch of what is pending, up to `bytes_max`. Returns how many bytes
    /// the batch has.
    pub(crate) fn begin(&mut self, bytes_max: usize, now_ns: u64) -> usize {
        debug_assert!(!self.sending && self.has_pending());
        let mut bytes = self.pending[0].frame.plain().len();
        let mut count = 1;
        while let Some(next) = self.pending.get(count) {
            bytes += next.frame.plain().len();
            if bytes > bytes_max {
                break;
            }
            count += 1;
        }
        let published_at_ns = self.pending[0].at_ns;
        let content = match count {
            1 => Content::One(self.pending[0].frame.clone(), self.wire),
            _ => {
                let frames = self.pending.range(..count).map(|published| &published.frame);
                Content::Gathered(gather(self.wire, frames).into_boxed_slice())
            }
        };
        self.begun.extend(self.pending.drain(..count));
        if self.pending.is_empty() {
            self.pending.shrink_to(32);
        }
        let batch = Batch {
            content,
            events: count as u64,
            published_at_ns,
            begun_at_ns: now_ns,
            start: self.end_byte(),
            laggards: std::mem::take(&mut self.at_end),
        };
        let batch_bytes = batch.bytes().len();
        self.batches.push_back(batch);
        self.sending = true;
        self.members.begin();
        batch_bytes
    }

    /// The batch that is being sent, its number, and the members it is sent to.
    pub(crate) fn pass(&mut self) -> (u64, &Batch, &mut Members) {
        let number = self.end() - 1;
        let batch = self.batches.back().expect("a pass has a batch");
        (number, batch, &mut self.members)
    }

    /// Gives the room of the pass's events back once the pass is nearly over: when a quarter of
    /// the members are left, or no more than `few`. A publisher that waits for it has the time
    /// that these take to fill the next batch. Had it any more, its events would only wait here.
    pub(crate) fn give_room_back(&mut self, few: usize) {
        let left = self.members.left();
        if !self.begun.is_empty() && (left <= few || left <= self.members.len() / 4) {
            Published::let_go(self.begun.drain(..));
            self.begun.shrink_to(1024);
        }
    }

    /// Ends the pass; returns how many bytes are not kept any more.
    pub(crate) fn finish(&mut self, now_ms: u32) -> usize {
        self.give_room_back(0);
        self.sending = false;
        self.quiet_since_ms = now_ms;
        self.trim()
    }

    /// The number of the batch that comes next.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.batches.len() as u64
    }

    /// Where a caught-up member stands that has or has not had the current batch.
    pub(crate) fn position_of(&self, place: u32) -> u64 {
        let needs_current = self.sending && !self.members.has_had(place);
        self.end() - u64::from(needs_current)
    }

    pub(crate) fn batch(&self, number: u64) -> &Batch {
        &self.batches[(number - self.first) as usize]
    }

    /// A laggard now stands at this batch, or at the end.
    pub(crate) fn stand_at(&mut self, number: u64) {
        *self.laggards_at(number) += 1;
    }

    /// A laggard stands there no longer; returns how many bytes are not kept any more.
    pub(crate) fn leave_from(&mut self, number: u64) -> usize {
        *self.laggards_at(number) -= 1;
        self.trim()
    }

    fn laggards_at(&mut self, number: u64) -> &mut u32 {
        match self.batches.get_mut((number - self.first) as usize) {
            Some(batch) => &mut batch.laggards,
            None => &mut self.at_end,
        }
    }

    /// The batch that the furthest laggards stand at, and by how many bytes they lag beyond it.
    pub(crate) fn furthest(&self) -> Option<(u64, &Batch, usize)> {
        let front = self.batches.front().filter(|batch| batch.laggards > 0)?;
        let beyond = self.end_byte() - front.start - front.bytes().len() as u64;
        Some((self.first, front, beyond as usize))
    }

    /// Bytes that are kept, for the current pass or for laggards.
    pub(crate) fn kept_bytes(&self) -> usize {
        let start = self.batches.front().map_or(0, |batch| batch.start);
        self.batches.back().map_or(0, |_| (self.end_byte() - start) as usize)
    }

    /// Nobody is here: no member, no laggard.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.lagging.is_empty()
    }

    fn trim(&mut self) -> usize {
        let keep = usize::from(self.sending);
        let mut bytes = 0;
        while self.batches.len() > keep && self.batches[0].laggards == 0 {
            bytes += self.batches[0].bytes().len();
            self.first += 1;
            self.batches.pop_front();
        }
        bytes
    }

    fn end_byte(&self) -> u64 {
        self.batches.back().map_or(0, |batch| batch.start + batch.bytes().len() as u64)
    }
}

impl Batch {
    /// The bytes as they go on the wire.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::One(frame, wire) => frame.wire(*wire),
            Content::Gathered(bytes) => bytes,
        }
    }
}
