//! The parts of history that were gathered lately, for other clients that need the same.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use crate::order::Cursor;
use crate::shard::connection::slots::Key;

/// Parts that are kept for other clients that need the same, their bytes unless it is one part, and
/// for how many ticks.
const SHARED_PARTS_MAX: usize = 256;
const SHARED_BYTES_MAX: usize = 4 << 20;
const SHARED_TICKS: u8 = 10;
/// What a turn may spend on searching and gathering: beyond that, clients continue in the next
/// turn.
const SEARCH_NS_MAX: u64 = 2_000_000;

/// A part of what an audience has missed, as its members are sent it.
#[derive(Clone)]
pub(in crate::shard) struct Part {
    pub(in crate::shard) bytes: Arc<[u8]>,
    pub(in crate::shard) events: u64,
    /// How far a client is with it.
    pub(in crate::shard) cursor: Cursor,
    /// Whether nothing had been published after that when it was gathered.
    pub(in crate::shard) is_all: bool,
}

/// What a part is of: clients with the same id need the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::shard) struct PartId {
    audience: Key,
    /// What is up to here is not in the part.
    after: u64,
    /// Up to here it has only each topic's latest event.
    latest_to: u64,
    /// Up to here something may be missing.
    gap_told_to: u64,
}

#[derive(Default)]
pub(in crate::shard) struct Parts {
    shared: HashMap<PartId, Part>,
    /// In the order in which they were gathered, and how many ticks ago.
    in_order: VecDeque<(PartId, u8)>,
    /// Those that some client may still be sent, and what they took when that was last looked at.
    alive: Vec<Weak<[u8]>>,
    alive_bytes: usize,
    /// What this turn has spent on searching and gathering.
    searched_ns: u64,
}

impl PartId {
    pub(in crate::shard) fn new(audience: Key, cursor: Cursor) -> PartId {
        let latest_to = if cursor.latest_to > cursor.after { cursor.latest_to } else { 0 };
        let gap_told_to = cursor.gap_told_to.max(cursor.after);
        PartId { audience, after: cursor.after, latest_to, gap_told_to }
    }
}

impl Parts {
    /// A turn begins.
    pub(in crate::shard) fn begin_turn(&mut self) {
        self.searched_ns = 0;
    }

    /// Whether this turn may spend more on searching and gathering.
    pub(in crate::shard) fn has_time(&self) -> bool {
        self.searched_ns < SEARCH_NS_MAX
    }

    pub(in crate::shard) fn spend(&mut self, ns: u64) {
        self.searched_ns += ns;
    }

    /// A part that was gathered for another client and is not outdated, where the shard has taken
    /// everything up to a number: a last part is when something was published since.
    pub(in crate::shard) fn find(&self, id: PartId, number: u64) -> Option<Part> {
        self.shared.get(&id).filter(|part| !part.is_all || part.cursor.after == number).cloned()
    }

    /// Keeps a part for other clients.
    pub(in crate::shard) fn keep(&mut self, id: PartId, part: Part) {
        // A last part may replace another, which is outdated.
        if self.shared.insert(id, part).is_none() {
            self.in_order.push_back((id, 0));
        }
        let mut bytes: usize = self.shared.values().map(|part| part.bytes.len()).sum();
        while self.in_order.len() > 1
            && (self.in_order.len() > SHARED_PARTS_MAX || bytes > SHARED_BYTES_MAX)
        {
            bytes -= self.forget_first();
        }
    }

    /// Takes bytes into account that a client is sent.
    pub(in crate::shard) fn watch(&mut self, bytes: &Arc<[u8]>) {
        self.alive.push(Arc::downgrade(bytes));
        self.alive_bytes += bytes.len();
    }

    /// Forgets parts that were gathered a while ago.
    pub(in crate::shard) fn tick(&mut self) {
        self.in_order.iter_mut().for_each(|(_, ticks)| *ticks += 1);
        while self.in_order.front().is_some_and(|&(_, ticks)| ticks > SHARED_TICKS) {
            self.forget_first();
        }
        // A part's memory is given back only with the last that knows of it.
        self.alive.retain(|part| part.strong_count() > 0);
        let alive = self.alive.iter().filter_map(Weak::upgrade);
        self.alive_bytes = alive.map(|bytes| bytes.len()).sum();
        if self.is_empty() {
            *self = Parts { searched_ns: self.searched_ns, ..Parts::default() };
        }
    }

    /// What clients are sent, when that was last looked at.
    pub(in crate::shard) fn alive_bytes(&self) -> usize {
        self.alive_bytes
    }

    /// Whether no part is kept, nor any client known to be sent one.
    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.in_order.is_empty() && self.alive.is_empty()
    }

    /// Forgets the part that was gathered first, and returns its bytes.
    fn forget_first(&mut self) -> usize {
        let first = self.in_order.pop_front();
        let part = first.and_then(|(id, _)| self.shared.remove(&id));
        part.map_or(0, |part| part.bytes.len())
    }
}
