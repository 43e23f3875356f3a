//! Several events in one buffer, as an audience's members are sent them: each is copied into it
//! once, however many members there are, and however far apart these are.
//!
//! ```text
//!   .......1f40 CR LF id: ... LF LF id: ... LF LF CR LF
//!   `slid  `chunk's   `from                      `to
//!     over    head
//! ```
//!
//! The window slides over the log: what the members have been sent falls out at its beginning, what
//! was published since comes in at its end, and the chunk's head and tail are written around what
//! is shown.

use std::ops::Range;

use crate::frame::{Chunk, Frame, Wire};

#[derive(Default)]
pub(in crate::shard) struct Window {
    buffer: Vec<u8>,
    /// The events' range in `buffer`, without the chunk's head and tail, and their positions.
    bytes: Range<usize>,
    events: Range<u64>,
}

/// The window is moved to the beginning of its buffer when more than this was slid over.
const SLID_BYTES_MAX: usize = 64 << 10;

impl Window {
    /// Shows a range of events, with the sum of their frames' plain bytes. What it has in common
    /// with the range before is not copied again, unless it ends before that one did, which happens
    /// when the members furthest ahead are gone.
    pub(in crate::shard) fn show<'a>(
        &mut self,
        wire: Wire,
        events: Range<u64>,
        shown: usize,
        frames: impl Iterator<Item = &'a Frame>,
    ) -> &[u8] {
        if !self.events.contains(&events.start) || events.end < self.events.end {
            self.buffer.clear();
            self.buffer.resize(Chunk::HEAD_BYTES_MAX, 0);
            self.bytes = self.buffer.len()..self.buffer.len();
            self.events = events.start..events.start;
        }
        // Without the last chunk's tail.
        self.buffer.truncate(self.bytes.end);
        let known = (self.events.end - events.start) as usize;
        frames.skip(known).for_each(|new| self.buffer.extend_from_slice(new.plain()));
        self.bytes = self.buffer.len() - shown..self.buffer.len();
        self.events = events;
        if self.bytes.start > SLID_BYTES_MAX {
            self.move_to_the_beginning();
        }
        let chunk = Chunk::new(wire, shown);
        let start = self.bytes.start - chunk.head().len();
        self.buffer[start..self.bytes.start].copy_from_slice(chunk.head());
        self.buffer.extend_from_slice(chunk.tail());
        &self.buffer[start..]
    }

    /// The memory that it takes.
    pub(in crate::shard) fn memory_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    fn move_to_the_beginning(&mut self) {
        let to = Chunk::HEAD_BYTES_MAX;
        self.buffer.copy_within(self.bytes.clone(), to);
        self.bytes = to..to + self.bytes.len();
        self.buffer.truncate(self.bytes.end);
    }
}
