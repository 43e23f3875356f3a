//! How much of the events a connection was sent.

use std::ops::{Add, Sub};

use crate::frame::{Chunk, Wire};

/// Events that a connection was sent, and their bytes in plain form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::shard) struct Sent {
    pub(in crate::shard) events: u64,
    pub(in crate::shard) bytes: u64,
}

impl Sent {
    /// The events, and bytes of events, in the first `sent` bytes of a chunk. `lengths` are
    /// those of the events' plain bytes.
    pub(in crate::shard) fn within(
        wire: Wire,
        lengths: impl Iterator<Item = usize> + Clone,
        sent: usize,
    ) -> Sent {
        let all = lengths.clone().sum();
        let taken = sent.saturating_sub(Chunk::new(wire, all).head().len()).min(all);
        let mut left = taken;
        let whole = |&length: &usize| {
            let rest = left.checked_sub(length);
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        Sent { events: lengths.take_while(whole).count() as u64, bytes: taken as u64 }
    }
}

/// On numbers that wrap, as a base may be less than nothing.
impl Add for Sent {
    type Output = Sent;

    fn add(self, more: Sent) -> Sent {
        let (events, bytes) = (more.events, more.bytes);
        Sent { events: self.events.wrapping_add(events), bytes: self.bytes.wrapping_add(bytes) }
    }
}

impl Sub for Sent {
    type Output = Sent;

    fn sub(self, less: Sent) -> Sent {
        let (events, bytes) = (less.events, less.bytes);
        Sent { events: self.events.wrapping_sub(events), bytes: self.bytes.wrapping_sub(bytes) }
    }
}
