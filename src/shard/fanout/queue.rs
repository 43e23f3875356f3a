//! What an audience is being sent: the events of its topics, in the hub's order, as long as a
//! connection of the audience needs them.
//!
//! ```text
//!        laggards are here            members are here and further on
//!           v          v                    v
//!   [ 17 | 18 | 19 | 20 | 21 | 22 | 23 | 24 | 25 | 26 ]
//!     `----------- lag_bytes -------------'  `-- unsent, in their topics' backlog
//! ```
//!
//! Positions are consecutive numbers; position `n` is just before event `n`. Every laggard is
//! counted at its position, so that an event is dropped when no connection needs it any more. A
//! laggard can be at the end, behind the last event, when it has bytes of its own to send first.
//!
//! The last events may be behind a *gate*: members are sent them spread over a time
//! ([`spread`](super::spread)), and laggards when they come to them. The next event of another kind
//! opens the gate, so that nothing ever waits behind what is behind it.
//!
//! What is published at once, one event or several, is in one chunk.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::envelope::Envelope;
use crate::frame::{Frame, StreamId, Wire};
use crate::order::{Published, EVENT_BYTES};
use crate::shard::connection::sent::Sent;
use crate::shard::fanout::window::Window;

pub(crate) struct Queue {
    wire: Wire,
    /// What its entries' frames are in.
    envelope: Envelope,
    entries: VecDeque<Entry>,
    /// The position of the first.
    first: u64,
    /// The id of the event before that, if there was one.
    before_first: Option<StreamId>,
    /// The plain bytes of all events that ever were before the first, and before the end.
    first_bytes: u64,
    end_bytes: u64,
    /// The last entries as they were published: they stay in their topics' backlog until all
    /// members that keep up have been sent them.
    unsent: VecDeque<Arc<Published>>,
    /// The number of laggards at the end.
    at_end: u32,
    /// How many of the last events are behind the gate: the members are sent them spread over a
    /// time.
    gated: u32,
    /// What the entries take that only laggards need.
    lag_bytes: usize,
    window: Window,
}

struct Entry {
    frame: Frame,
    /// The length of the frame's plain bytes: here, so that adding them up reads no frame.
    bytes: u32,
    /// The number of laggards at this event.
    laggards: u32,
}

/// How many events can be behind the gate.
const GATED_MAX: u32 = 16;

/// The event that the furthest laggards are at.
pub(crate) struct Furthest {
    pub(crate) position: u64,
    pub(crate) at_ns: u64,
}

impl Queue {
    pub(crate) fn new(wire: Wire, envelope: Envelope) -> Queue {
        Queue {
            wire,
            envelope,
            entries: VecDeque::new(),
            first: 0,
            before_first: None,
            first_bytes: 0,
            end_bytes: 0,
            unsent: VecDeque::new(),
            at_end: 0,
            gated: 0,
            lag_bytes: 0,
            window: Window::default(),
        }
    }

    /// Takes an event that the members are sent at once, and with it whatever was behind the gate.
    #[inline(always)]
    pub(crate) fn append(&mut self, published: &Arc<Published>) {
        let frame = published.frame_in(self.envelope);
        let bytes = frame.plain().len() as u32;
        self.end_bytes += u64::from(bytes);
        self.entries.push_back(Entry {
            frame: frame.clone(),
            bytes,
            laggards: std::mem::take(&mut self.at_end),
        });
        self.unsent.push_back(published.clone());
        self.gated = 0;
    }

    /// Takes an event that waits behind the gate. What waits there already goes on waiting, unless
    /// it is too much for one batch with this event: then that is sent at once.
    pub(crate) fn append_gated(&mut self, published: &Arc<Published>, batch_bytes_max: usize) {
        // Some of them may have been sent by now: to all that have not left.
        let gated = (self.gated as usize).min(self.unsent.len()) as u32 + 1;
        self.append(published);
        let waiting = self.entries.range(self.index(self.end() - u64::from(gated))..);
        let is_too_much = gated > GATED_MAX || bytes_of(waiting) > batch_bytes_max;
        self.gated = if is_too_much { 1 } else { gated };
    }

    /// The position behind the last event that is not behind the gate.
    #[inline]
    pub(crate) fn gate(&self) -> u64 {
        self.end() - u64::from(self.gated)
    }

    /// Whether anything is behind the gate.
    pub(crate) fn is_gated(&self) -> bool {
        self.gated > 0
    }

    /// Moves the gate on to a position, if it is not there yet.
    pub(crate) fn open_gate(&mut self, position: u64) {
        self.gated = self.gated.min(self.end().saturating_sub(position) as u32);
    }

    /// Whether a member has not been sent everything that is before the gate.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        self.unsent.len() > self.gated as usize
    }

    /// The position behind the last event.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The position behind the last event up to a number; of the later ones none has been sent.
    pub(crate) fn position_after(&self, number: u64) -> u64 {
        let later = self.unsent.iter().rev().take_while(|published| published.sequence() > number);
        self.end() - later.count() as u64
    }

    /// All members were sent what is before this position.
    pub(crate) fn sent(&self) -> u64 {
        self.end() - self.unsent.len() as u64
    }

    /// All members have now been sent what is before a position: its events leave the backlog, and
    /// are dropped unless a laggard needs them.
    pub(crate) fn advance(&mut self, sent: u64) {
        let count = sent.saturating_sub(self.sent()) as usize;
        if count == 0 {
            return;
        }
        let newly_sent = (self.sent() - self.first) as usize;
        self.lag_bytes += kept_by(self.entries.range(newly_sent..newly_sent + count));
        Published::release(self.unsent.drain(..count));
        self.trim();
        if self.unsent.is_empty() {
            self.close_window();
            self.unsent.shrink_to(4);
        }
    }

    /// The position that `bytes_max` bytes of events reach from another position, with one event at
    /// least, if there is one.
    pub(crate) fn reach(&self, from: u64, bytes_max: usize) -> u64 {
        let mut bytes = 0;
        let within = |entry: &&Entry| {
            bytes += entry.bytes as usize;
            bytes <= bytes_max
        };
        let count = self.entries.range(self.index(from)..).take_while(within).count();
        (from + count.max(1) as u64).min(self.end())
    }

    /// The bytes for members, in a chunk: a lone event's own, or several in the window.
    #[inline(always)]
    pub(crate) fn bytes(&mut self, range: Range<u64>) -> &[u8] {
        let (from, to) = (self.index(range.start), self.index(range.end));
        if to - from == 1 {
            return self.entries[from].frame.wire(self.wire);
        }
        let entries = self.entries.range(from..to);
        let bytes = bytes_of(entries.clone());
        self.window.show(self.wire, range, bytes, entries.map(|entry| &entry.frame))
    }

    /// The event of a range, if it is one alone.
    pub(crate) fn alone(&self, range: Range<u64>) -> Option<Frame> {
        let alone = range.end - range.start == 1;
        alone.then(|| self.entries[self.index(range.start)].frame.clone())
    }

    /// The same bytes for a laggard, which needs others than everybody: several events are written
    /// into a buffer.
    pub(crate) fn copy_for_laggard<'a>(
        &'a self,
        range: Range<u64>,
        buffer: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        let entries = self.entries.range(self.index(range.start)..self.index(range.end));
        Frame::gather(entries.map(|entry| &entry.frame), self.wire, buffer)
    }

    /// The events of a range.
    pub(crate) fn frames(&self, range: Range<u64>) -> impl Iterator<Item = &Frame> + '_ {
        let entries = self.entries.range(self.index(range.start)..self.index(range.end));
        entries.map(|entry| &entry.frame)
    }

    /// The id of the event before a position; `None` if there never was one.
    pub(crate) fn id_before(&self, position: u64) -> Option<StreamId> {
        match self.index(position).checked_sub(1) {
            Some(before) => Some(self.entries[before].frame.stream_id()),
            None => self.before_first.clone(),
        }
    }

    /// The sequence number of the event behind a position, which is not the end.
    pub(crate) fn sequence_at(&self, position: u64) -> u64 {
        self.entries[self.index(position)].frame.sequence()
    }

    /// The sequence number of the event before a position, which is not the first.
    pub(crate) fn sequence_before(&self, position: u64) -> u64 {
        self.entries[self.index(position) - 1].frame.sequence()
    }

    /// The position from which the events that all members were sent take at most `bytes_max`
    /// bytes.
    pub(crate) fn newest_within(&self, bytes_max: usize) -> u64 {
        let mut bytes = 0;
        let sent = (self.sent() - self.first) as usize;
        let within = |&nth: &usize| {
            bytes += kept_by(self.entries.range(nth..=nth));
            bytes <= bytes_max
        };
        self.sent() - (0..sent).rev().take_while(within).count() as u64
    }

    /// The position of the first event that was published at a time or later.
    pub(crate) fn published_since(&self, at_ns: u64) -> u64 {
        self.first + self.entries.partition_point(|entry| entry.frame.at_ns() < at_ns) as u64
    }

    /// What the events take that not all members were sent.
    pub(crate) fn unsent_bytes(&self) -> usize {
        kept_by(self.entries.range((self.sent() - self.first) as usize..))
    }

    /// Lets the window go, which is filled anew when it is needed.
    pub(crate) fn close_window(&mut self) {
        self.window = Window::default();
    }

    pub(crate) fn window_bytes(&self) -> usize {
        self.window.memory_bytes()
    }

    /// When the event behind a position was published.
    pub(crate) fn published_at_ns(&self, position: u64) -> Option<u64> {
        self.entries.get(self.index(position)).map(|entry| entry.frame.at_ns())
    }

    /// All events that ever were before a position.
    pub(in crate::shard) fn sent_before(&self, position: u64) -> Sent {
        let nth = self.index(position);
        let bytes = match nth <= self.entries.len() / 2 {
            true => self.first_bytes + bytes_of(self.entries.range(..nth)) as u64,
            false => self.end_bytes - bytes_of(self.entries.range(nth..)) as u64,
        };
        Sent { events: position, bytes }
    }

    /// The plain bytes of each event of a range.
    pub(crate) fn each_bytes(&self, range: Range<u64>) -> impl Iterator<Item = usize> + Clone + '_ {
        let entries = self.entries.range(self.index(range.start)..self.index(range.end));
        entries.map(|entry| entry.bytes as usize)
    }

    /// A laggard needs what is behind this position from now on.
    pub(crate) fn add_laggard(&mut self, position: u64) {
        *self.laggards_at(position) += 1;
    }

    /// A laggard needs what is behind this position no longer.
    pub(crate) fn remove_laggard(&mut self, position: u64) {
        *self.laggards_at(position) -= 1;
        self.trim();
    }

    pub(crate) fn furthest(&self) -> Option<Furthest> {
        let entry = self.entries.front().filter(|entry| entry.laggards > 0)?;
        Some(Furthest { position: self.first, at_ns: entry.frame.at_ns() })
    }

    /// What is kept for the furthest laggards beyond one batch.
    pub(crate) fn beyond_bytes(&self, batch_bytes_max: usize) -> usize {
        let batch = self.reach(self.first, batch_bytes_max).min(self.sent());
        self.lag_bytes - kept_by(self.entries.range(..self.index(batch)))
    }

    /// What is kept for laggards alone, each event with [`EVENT_BYTES`] more.
    pub(crate) fn lag_bytes(&self) -> usize {
        self.lag_bytes
    }

    fn index(&self, position: u64) -> usize {
        (position - self.first) as usize
    }

    fn laggards_at(&mut self, position: u64) -> &mut u32 {
        match self.entries.get_mut((position - self.first) as usize) {
            Some(entry) => &mut entry.laggards,
            None => &mut self.at_end,
        }
    }

    fn trim(&mut self) {
        let mut last = None;
        while self.first < self.sent() && self.entries[0].laggards == 0 {
            self.lag_bytes -= kept_by(self.entries.range(..1));
            self.first_bytes += u64::from(self.entries[0].bytes);
            self.first += 1;
            last = self.entries.pop_front();
        }
        if let Some(last) = last {
            self.before_first = Some(last.frame.stream_id());
        }
        if self.entries.is_empty() {
            self.entries.shrink_to(4);
        }
    }
}

/// The plain bytes of events.
fn bytes_of<'a>(entries: impl Iterator<Item = &'a Entry>) -> usize {
    entries.map(|entry| entry.bytes as usize).sum()
}

/// What events take while they are kept.
fn kept_by<'a>(entries: impl Iterator<Item = &'a Entry>) -> usize {
    entries.map(|entry| entry.bytes as usize + EVENT_BYTES).sum()
}
