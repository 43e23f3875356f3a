//! Checking one connection's events against the stream that all connections of its class receive.
//!
//! # How 20 million events a second are checked on one core
//!
//! A follower holds a position in the class's [`Reference`]. Received bytes are compared with the
//! log from that position on: one `memcmp` for a whole `recv`. When bytes differ, or the log ends,
//! the follower goes back to the last event boundary and parses one block for real. An event parsed
//! in this way is judged by its number, extends the log if it is the log's next one, and puts the
//! follower back on the log at the position behind it. So a heartbeat costs one parsed block, a
//! server that sends other bytes to each connection costs a parse per event, and nothing is ever
//! assumed: an event counts when its own bytes, on this connection, were compared or parsed.
//!
//! How events are counted: a number beyond the next one makes the events between *lost*; a lost
//! event that comes after all is *reordered* instead; any other earlier number is *doubled*.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::clients::reference::Reference;
use crate::clients::sse::{block_id, block_len, numbered_lines, read_block, Block, Numbered};
use crate::histogram::Histogram;
use crate::timeline::Timeline;

/// The longest block that is accepted, in bytes.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// How many separate gaps one connection remembers to tell reordered events from doubled ones.
const GAPS_MAX: usize = 256;

/// Connections that receive the same stream, and what arrived on them.
#[derive(Debug, Default)]
pub(crate) struct Class {
    /// What the stream should be.
    pub(crate) expected: Expected,
    /// Publish to receive, every delivery.
    pub(crate) latency: Histogram,
    /// When the events arrived.
    pub(crate) timeline: Timeline,
    /// What was received on all connections together.
    pub(crate) totals: Totals,
    /// What was wrong on all connections together.
    pub(crate) faults: Faults,
    reference: Reference,
}

/// What is known beforehand about a class's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Expected {
    /// Number of the first event; `None` accepts whatever a connection receives first.
    pub(crate) first: Option<u64>,
    /// How many events each connection is to receive.
    pub(crate) events: Option<u64>,
    /// Length of each event's data, in bytes; `None` accepts any length.
    pub(crate) data_bytes: Option<usize>,
}

/// Counts over all connections of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// All that arrived, with heads and framing, in bytes.
    pub(crate) bytes: u64,
    /// Events of the benchmark's own, each number once per connection.
    pub(crate) delivered: u64,
    /// How many of these were checked by parsing rather than by comparing.
    pub(crate) parsed: u64,
    /// Events that are not the benchmark's own.
    pub(crate) other: u64,
    /// Comments, `retry` and the like.
    pub(crate) silent: u64,
    /// Connections that have received all that was expected.
    pub(crate) complete: usize,
    /// When the last of these had received it, `CLOCK_MONOTONIC`, in nanoseconds.
    pub(crate) complete_at_ns: u64,
    /// When the last event arrived, `CLOCK_MONOTONIC`, in nanoseconds.
    pub(crate) last_at_ns: u64,
}

/// Counts of what must not happen, over all connections of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Faults {
    /// Events that never came.
    pub(crate) lost: u64,
    /// Events that came again.
    pub(crate) doubled: u64,
    /// Events that came after a later one.
    pub(crate) reordered: u64,
    /// Events whose data had another length or content than was published.
    pub(crate) malformed: u64,
}

impl Totals {
    /// How many events, the benchmark's own and others.
    pub(crate) fn received(&self) -> u64 {
        self.delivered + self.other
    }

    /// Adds what another process received.
    pub(crate) fn merge(&mut self, more: &Self) {
        self.bytes += more.bytes;
        self.delivered += more.delivered;
        self.parsed += more.parsed;
        self.other += more.other;
        self.silent += more.silent;
        self.complete += more.complete;
        self.complete_at_ns = self.complete_at_ns.max(more.complete_at_ns);
        self.last_at_ns = self.last_at_ns.max(more.last_at_ns);
    }
}

impl Faults {
    /// Adds the faults of another process.
    pub(crate) fn merge(&mut self, more: &Self) {
        self.lost += more.lost;
        self.doubled += more.doubled;
        self.reordered += more.reordered;
        self.malformed += more.malformed;
    }

    /// Whether nothing was wrong.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A block grew beyond [`BLOCK_BYTES_MAX`] without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockTooLong;

/// One connection's position in its class's stream.
#[derive(Debug)]
pub(crate) struct Follower {
    /// Whether `index` and `offset` are a position on the log; otherwise the next byte belongs to
    /// a block that has to be parsed, of which `tail` holds the beginning.
    aligned: bool,
    is_complete: bool,
    /// How many events of the log lie before `offset`.
    index: usize,
    /// Place in the log's bytes, maybe inside a block.
    offset: usize,
    /// Number of the next event; `None` before the first.
    next: Option<u64>,
    delivered: u64,
    other: u64,
    tail: Vec<u8>,
    /// How many numbers were passed over and have not come since.
    missing: u64,
    /// Where these are.
    gaps: Vec<Range<u64>>,
}

/// How far a run of bytes agreed with the log.
enum Agreed {
    /// To its end.
    Whole,
    /// Up to an event boundary, at this offset in bytes.
    Until(usize),
    /// Not to the end of the block that had begun before it: the block's bytes before it.
    InsideBlock(Vec<u8>),
}

impl Class {
    /// A class of which `expected` is known.
    pub(crate) fn new(expected: Expected) -> Self {
        Self { expected, ..Self::default() }
    }

    /// When the first event was published, `CLOCK_MONOTONIC`, in nanoseconds.
    pub(crate) fn first_stamp_ns(&self) -> Option<u64> {
        self.reference.first_stamp_ns()
    }

    fn deliver(&mut self, range: Range<usize>, now_ns: u64) {
        if range.is_empty() {
            return;
        }
        self.totals.delivered += range.len() as u64;
        self.totals.last_at_ns = now_ns;
        match self.reference.stamps_ns(range) {
            (stamps_ns, true) => self.latency.record_since_ascending(stamps_ns, now_ns),
            (stamps_ns, false) => self.latency.record_since(stamps_ns, now_ns),
        }
    }
}

impl Follower {
    /// A connection of `class` that has received nothing.
    pub(crate) fn new(class: &Class) -> Self {
        Self {
            aligned: false,
            is_complete: false,
            index: 0,
            offset: 0,
            next: class.expected.first,
            delivered: 0,
            other: 0,
            tail: Vec::new(),
            missing: 0,
            gaps: Vec::new(),
        }
    }

    /// How many events this connection received, the benchmark's own and others.
    pub(crate) fn received(&self) -> u64 {
        self.delivered + self.other
    }

    /// Checks the next bytes of the body, which arrived at `now_ns` (`CLOCK_MONOTONIC`).
    pub(crate) fn feed(
        &mut self,
        class: &mut Class,
        body: &[u8],
        now_ns: u64,
    ) -> Result<(), BlockTooLong> {
        let outcome = if self.tail.is_empty() {
            if !self.aligned {
                self.align(class);
            }
            self.walk(class, body, now_ns)
        } else {
            let mut joined = std::mem::take(&mut self.tail);
            joined.extend_from_slice(body);
            self.walk(class, &joined, now_ns)
        };
        self.note_completion(class, now_ns);
        outcome
    }

    /// The id of the last event that came whole, which a client that was cut off comes back with.
    /// `None` if none came, or it had no id.
    pub(crate) fn last_id<'a>(&self, class: &'a Class) -> Option<&'a str> {
        block_id(class.reference.block(self.next?.checked_sub(1)?)?)
    }

    /// How many events were received in order, counted from the first of the stream.
    pub(crate) fn reached(&self, class: &Class) -> u64 {
        self.next.unwrap_or(0) - class.expected.first.unwrap_or(0)
    }

    /// The connection is cut off, and another will go on with the stream: what came of a block
    /// that did not come whole is forgotten.
    pub(crate) fn cut(&mut self) {
        self.aligned = false;
        self.tail = Vec::new();
    }

    /// Looks again whether all has come, now that something else is expected.
    pub(crate) fn expect_again(&mut self, class: &mut Class, now_ns: u64) {
        self.is_complete = false;
        self.note_completion(class, now_ns);
    }

    /// Ends the stream: counts the events that were expected and never came as lost.
    pub(crate) fn finish(&mut self, class: &mut Class) {
        let Expected { first, events, .. } = class.expected;
        let Some(events) = events.filter(|_| self.delivered > 0 || first.is_some()) else {
            return;
        };
        // The missing ones have been counted as lost when their gap was found.
        class.faults.lost += events.saturating_sub(self.delivered + self.missing);
    }

    /// Goes through bytes that begin at the follower's position: on the log, or at the beginning
    /// of a block.
    fn walk(
        &mut self,
        class: &mut Class,
        mut rest: &[u8],
        now_ns: u64,
    ) -> Result<(), BlockTooLong> {
        while !rest.is_empty() {
            if self.aligned {
                match self.compare(class, rest, now_ns) {
                    Agreed::Whole => return Ok(()),
                    Agreed::Until(boundary) => rest = &rest[boundary..],
                    Agreed::InsideBlock(mut joined) => {
                        self.aligned = false;
                        joined.extend_from_slice(rest);
                        // Begins at a block's beginning, so it cannot come here again.
                        return self.walk(class, &joined, now_ns);
                    }
                }
                self.aligned = false;
            }
            let Some(block_bytes) = block_len(rest) else {
                if rest.len() > BLOCK_BYTES_MAX {
                    return Err(BlockTooLong);
                }
                self.tail = rest.to_vec();
                return Ok(());
            };
            let (block, after) = rest.split_at(block_bytes);
            self.judge(class, block, now_ns);
            self.align(class);
            rest = after;
        }
        Ok(())
    }

    /// Compares with the log, counts the events that agree, and moves behind them.
    fn compare(&mut self, class: &mut Class, rest: &[u8], now_ns: u64) -> Agreed {
        let known = class.reference.bytes_from(self.offset);
        let compared = known.len().min(rest.len());
        let same = if rest[..compared] == known[..compared] {
            compared
        } else {
            common_prefix(rest, known)
        };
        let begun = self.offset;
        let index = class.reference.index_at(self.index, begun + same);
        let range = self.index..index;
        self.delivered += range.len() as u64;
        self.next = Some(class.reference.number(index));
        self.index = index;
        class.deliver(range, now_ns);
        if same == rest.len() {
            self.offset = begun + same;
            return Agreed::Whole;
        }
        self.offset = class.reference.start(index);
        match self.offset.checked_sub(begun) {
            Some(boundary) => Agreed::Until(boundary),
            None => {
                let block = class.reference.bytes_from(self.offset);
                Agreed::InsideBlock(block[..begun - self.offset].to_vec())
            }
        }
    }

    /// Stands on the log before the next event, if the log reaches that far.
    fn align(&mut self, class: &Class) {
        if let Some(index) = self.next.and_then(|next| class.reference.index_of(next)) {
            self.aligned = true;
            self.index = index;
            self.offset = class.reference.start(index);
        }
    }

    /// Parses one block and counts it as what it is.
    fn judge(&mut self, class: &mut Class, block: &[u8], now_ns: u64) {
        match read_block(block, now_ns) {
            Block::Silent => class.totals.silent += 1,
            Block::Other => {
                class.totals.other += 1;
                class.totals.last_at_ns = now_ns;
                self.other += 1;
            }
            Block::Numbered(event) => self.judge_event(class, Some(block), event, now_ns),
            Block::Joined => {
                for event in numbered_lines(block, now_ns) {
                    self.judge_event(class, None, event, now_ns);
                }
            }
        }
    }

    /// Counts one event; `block` is all that it came in, if it came alone.
    fn judge_event(
        &mut self,
        class: &mut Class,
        block: Option<&[u8]>,
        event: Numbered,
        now_ns: u64,
    ) {
        let next = *self.next.get_or_insert(event.number);
        if event.number < next && !self.fill_gap(event.number) {
            class.faults.doubled += 1;
            return;
        }
        if event.number < next {
            class.faults.reordered += 1;
            class.faults.lost -= 1;
            self.missing -= 1;
        } else {
            if event.number > next {
                class.faults.lost += event.number - next;
                self.missing += event.number - next;
                self.open_gap(next..event.number);
            }
            self.next = Some(event.number + 1);
        }
        let length_is_right =
            class.expected.data_bytes.is_none_or(|bytes| bytes == event.data_bytes);
        if !length_is_right || !event.padding_is_whole {
            class.faults.malformed += 1;
        } else if let Some(block) = block {
            class.reference.push(event.number, event.stamp_ns, block);
        }
        self.delivered += 1;
        class.totals.delivered += 1;
        class.totals.parsed += 1;
        class.totals.last_at_ns = now_ns;
        class.latency.record(now_ns.saturating_sub(event.stamp_ns));
    }

    fn open_gap(&mut self, gap: Range<u64>) {
        if self.gaps.len() == GAPS_MAX {
            // Late events of the oldest gap will pass for doubled ones.
            self.gaps.remove(0);
        }
        self.gaps.push(gap);
    }

    /// Takes a number out of the gaps; false if it is in none.
    fn fill_gap(&mut self, number: u64) -> bool {
        let Some(at) = self.gaps.iter().position(|gap| gap.contains(&number)) else {
            return false;
        };
        let gap = self.gaps.remove(at);
        for part in [number + 1..gap.end, gap.start..number] {
            if !part.is_empty() {
                self.gaps.insert(at, part);
            }
        }
        true
    }

    fn note_completion(&mut self, class: &mut Class, now_ns: u64) {
        let Some(events) = class.expected.events.filter(|_| !self.is_complete) else {
            return;
        };
        let is_complete = match (class.expected.first, self.next) {
            (Some(first), Some(next)) => next >= first + events,
            _ => self.received() >= events,
        };
        if is_complete {
            self.is_complete = true;
            class.totals.complete += 1;
            class.totals.complete_at_ns = now_ns;
        }
    }
}

/// How many bytes two slices have in common from their beginning.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const STEP: usize = 64;
    let whole = a.chunks_exact(STEP).zip(b.chunks_exact(STEP)).take_while(|(a, b)| a == b).count();
    let at = whole * STEP;
    at + a[at..].iter().zip(&b[at..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
#[path = "follower_tests.rs"]
mod tests;
