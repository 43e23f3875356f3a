//! The events that wait for a laggard, while it is decided which of them it is sent.

use std::collections::HashMap;

use crate::frame::Frame;
use crate::shard::lagging::conflate::conflate;
use crate::shard::lagging::spill::kept_bytes;
use crate::shard::lagging::state::Lagging;

#[derive(Default)]
pub(in crate::shard) struct Waiting {
    /// Those of the batch that it has begun, which it is sent in any case.
    pub(in crate::shard) begun: Vec<Frame>,
    pub(in crate::shard) rest: Vec<Frame>,
    /// How many events a newer one of the same key has replaced.
    pub(in crate::shard) conflated: u64,
    pub(in crate::shard) dropped: Option<Dropped>,
}

/// Events that were dropped: how many, and the sequence number of the last.
#[derive(Clone, Copy)]
pub(in crate::shard) struct Dropped {
    pub(in crate::shard) count: u64,
    pub(in crate::shard) to: u64,
}

/// What laggards share, while the same is done to all of them.
#[derive(Default)]
pub(in crate::shard) struct Shares {
    /// The events that are left for laggards that were at the same position.
    pub(in crate::shard) left: HashMap<PositionKey, Left>,
    /// The lists that were made: laggards that are left with the same events share one, wherever
    /// they were before.
    pub(in crate::shard) lists: Vec<u32>,
}

/// The state of a laggard: laggards with the same key need the same events.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(in crate::shard) struct PositionKey {
    /// The list and the first event there that it needs.
    spill: Option<(u32, usize)>,
    position: u64,
    /// How many events it has begun, of the list if it has one, or else of the queue.
    begun: usize,
}

/// What is left for a laggard, spilled.
#[derive(Clone, Copy)]
pub(in crate::shard) struct Left {
    pub(in crate::shard) list: Option<u32>,
    pub(in crate::shard) conflated: u64,
    pub(in crate::shard) dropped: Option<Dropped>,
}

impl PositionKey {
    pub(in crate::shard) fn of(state: &Lagging) -> PositionKey {
        let spill = state.spill.map(|share| (share.list, share.from));
        PositionKey { spill, position: state.position, begun: state.begun_events() }
    }
}

impl Waiting {
    /// What the events take that were not begun.
    pub(in crate::shard) fn rest_bytes(&self) -> usize {
        self.rest.iter().map(kept_bytes).sum()
    }

    /// Leaves the newest event of each key.
    pub(in crate::shard) fn conflate(&mut self) {
        let left = conflate(self.rest.iter().map(Frame::key));
        self.conflated += (self.rest.len() - left.len()) as u64;
        if left.len() < self.rest.len() {
            self.rest = left.into_iter().map(|nth| self.rest[nth].clone()).collect();
        }
    }

    /// Leaves at most `bytes_max` bytes of the newest events, and one event at least.
    pub(in crate::shard) fn drop_oldest(&mut self, bytes_max: usize) {
        let mut bytes = 0;
        let within = |frame: &&Frame| {
            bytes += kept_bytes(frame);
            bytes <= bytes_max
        };
        let left = self.rest.iter().rev().take_while(within).count().max(1);
        self.drop_first(self.rest.len() - left);
    }

    /// Drops the first `count` events.
    pub(in crate::shard) fn drop_first(&mut self, count: usize) {
        if let Some(last) = self.rest.drain(..count).next_back() {
            self.dropped = Some(Dropped { count: count as u64, to: last.sequence() });
        }
    }
}
