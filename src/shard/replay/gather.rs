//! How the parts of what an audience has missed are found in the order's history.

use std::sync::Arc;

use crate::cluster::Recall;
use crate::envelope::Envelope;
use crate::filter::Subscription;
use crate::frame::Frame;
use crate::frame::Wire;
use crate::gap::Gap;
use crate::id::EventId;
use crate::metrics::Counters;
use crate::options::Options;
use crate::order::{Cursor, Order, Search};
use crate::shard::connection::pending::Pending;
use crate::shard::fanout::audiences::Audiences;
use crate::shard::link::Shared;
use crate::shard::replay::parts::{Part, PartId, Parts};
use crate::topic::Topic;
use crate::tuning::ShardTuning;

/// The history of an audience's topics, and the parts of it that were gathered.
pub(in crate::shard) struct Gatherer<'a> {
    audience: u32,
    audiences: &'a Audiences,
    parts: &'a mut Parts,
    order: &'a Order,
    options: &'a Options,
    tuning: &'a ShardTuning,
    counters: &'a Counters,
    scratch: &'a mut Vec<u8>,
}

/// A gap, and the id to tell a client of it with.
type ToldGap = (Gap, EventId);

/// What a client is sent of what is behind its cursor.
pub(in crate::shard) struct Gathered {
    /// A gap event, if something is missing, and events.
    pub(in crate::shard) pending: Option<Pending>,
    /// Where the client is when it was sent that.
    pub(in crate::shard) cursor: Cursor,
    /// Whether nothing had been published after that when it was gathered.
    pub(in crate::shard) is_all: bool,
    /// Whether something behind the cursor is missing that the cluster may have. Then it is all that was found.
    pub(in crate::shard) lacks: bool,
}

impl<'a> Gatherer<'a> {
    /// What a shard has of the history of an audience's topics. The shard lends each of its parts,
    /// so that it can lend a connection besides.
    pub(in crate::shard) fn new(
        audience: u32,
        audiences: &'a Audiences,
        parts: &'a mut Parts,
        (shared, shard): (&'a Shared, usize),
        scratch: &'a mut Vec<u8>,
    ) -> Gatherer<'a> {
        Gatherer {
            audience,
            audiences,
            parts,
            order: &shared.order,
            options: &shared.options,
            tuning: &shared.tuning,
            counters: &shared.links[shard].counters,
            scratch,
        }
    }
}

impl Gatherer<'_> {
    /// Goes on with a search for the cursor at which a client's stream begins, and finds with it
    /// what the client has to be told first.
    pub(in crate::shard) fn search(
        &mut self,
        search: &mut Search,
    ) -> Option<(Cursor, Option<ToldGap>)> {
        // Where nothing is kept it takes no time, and has to be found before anything is published.
        if self.keeps_history() && !self.parts.has_time() {
            return None;
        }
        let subscriptions = self.subscriptions();
        self.timed(|order| order.locate(&subscriptions, search))
    }

    pub(in crate::shard) fn keeps_history(&self) -> bool {
        self.options.history_events_max > 0
    }

    /// The event that tells a client of a gap, counted.
    pub(in crate::shard) fn gap_block(&self, (gap, id): ToldGap) -> Vec<u8> {
        self.counters.count_gap(gap.reason);
        gap.encode(&self.options.gap_event, id, self.wire())
    }

    /// Up to which number a client has everything that concerns it, if nothing is behind its
    /// cursor. The shard has taken everything up to `number`.
    pub(in crate::shard) fn end_of_nothing(&mut self, cursor: Cursor, number: u64) -> Option<u64> {
        if !self.keeps_history() {
            // What was published since the cursor was found is in the queue, and nowhere else.
            return Some(cursor.told_to());
        }
        if cursor.after == number {
            return Some(number);
        }
        let (part, gap) = match self.parts.find(self.part_id(cursor), number) {
            Some(part) => (part, None),
            None => self.gather(cursor),
        };
        (part.is_all && part.bytes.is_empty() && gap.is_none()).then_some(part.cursor.after)
    }

    /// What a client is sent next of what is behind its cursor. The shard has taken everything up
    /// to `number`. `None` if this turn has spent enough on it.
    /// With `may_lack` it is not told of what is missing: the cluster is asked first.
    pub(in crate::shard) fn next_part(
        &mut self,
        cursor: Cursor,
        number: u64,
        may_lack: bool,
    ) -> Option<Gathered> {
        if !self.parts.has_time() {
            return None;
        }
        let shared = match cursor.until {
            0 => self.parts.find(self.part_id(cursor), number),
            _ => None,
        };
        let is_shared = shared.is_some();
        let (part, gap) = shared.map_or_else(|| self.gather(cursor), |part| (part, None));
        // Once it was told of something it is told of more; and one that began with the oldest events had none.
        let has_all_before =
            cursor.after > 0 && cursor.told_to().max(cursor.latest_to) == cursor.after;
        if may_lack && gap.is_some() && has_all_before {
            return Some(Gathered { pending: None, cursor, is_all: false, lacks: true });
        }
        self.counters.replayed_events.add(part.events);
        self.counters.delivered_events.add(part.events);
        self.counters.delivered_bytes.add(part.bytes.len() as u64);
        let (bytes, from): (Arc<[u8]>, usize) = match gap {
            Some(gap) => {
                let block = self.gap_block(gap);
                ([&block, &part.bytes[..]].concat().into(), block.len())
            }
            None => (part.bytes, 0),
        };
        if !is_shared {
            self.parts.watch(&bytes);
        }
        let wire = self.wire();
        let has_any = !bytes.is_empty();
        let pending = has_any.then(|| Pending::of_events(wire, bytes, from, part.events));
        Some(Gathered { pending, cursor: part.cursor, is_all: part.is_all, lacks: false })
    }

    /// What the cluster is asked for a client that had all up to a number.
    pub(in crate::shard) fn recall(&self, after: u64) -> Recall {
        let (wanted, wire, envelope) = (self.subscriptions(), self.wire(), self.envelope());
        Recall { wanted, wire, envelope, after, bytes_max: self.part_bytes_max() }
    }

    /// What a client is sent of what the cluster had, counted.
    pub(in crate::shard) fn recalled(
        &mut self,
        gap: Option<ToldGap>,
        bytes: Arc<[u8]>,
        events: u64,
    ) -> Pending {
        self.counters.replayed_events.add(events);
        self.counters.delivered_events.add(events);
        self.counters.delivered_bytes.add(bytes.len() as u64);
        let gap = gap.map(|gap| self.gap_block(gap)).unwrap_or_default();
        let from = gap.len();
        let bytes = if gap.is_empty() { bytes } else { [&gap, &bytes[..]].concat().into() };
        self.parts.watch(&bytes);
        match events {
            0 => Pending::new(&bytes, 0),
            _ => Pending::of_events(self.wire(), bytes, from, events),
        }
    }

    /// The most bytes of a part, unless a single event is larger.
    fn part_bytes_max(&self) -> usize {
        let Options { lag_total_bytes_max, shards, .. } = self.options;
        match self.parts.alive_bytes() > lag_total_bytes_max / shards / 4 {
            true => self.tuning.small_part_bytes_max,
            false => self.tuning.part_bytes_max,
        }
    }

    /// Gathers a part, and what is missing before it.
    fn gather(&mut self, cursor: Cursor) -> (Part, Option<ToldGap>) {
        let bytes_max = self.part_bytes_max();
        let (subscriptions, envelope) = (self.subscriptions(), self.envelope());
        let replay = self.timed(|order| order.replay(&subscriptions, cursor, bytes_max, envelope));
        let bytes = match (&replay.frames[..], envelope) {
            // An empty chunk would be the end of the stream.
            ([], _) => Arc::default(),
            (frames, Envelope::None) => {
                Frame::gather(frames.iter(), self.wire(), self.scratch).into()
            }
            (frames, Envelope::Json) => self.encode(frames, &replay.topics),
        };
        let events = replay.frames.len() as u64;
        let part = Part { bytes, events, cursor: replay.cursor, is_all: replay.is_all };
        // A gap in it was told to all clients that have its id.
        let is_of_more = part.is_all || part.cursor.after > cursor.after;
        if replay.gap.is_none() && is_of_more && cursor.until == 0 {
            self.parts.keep(self.part_id(cursor), part.clone());
        }
        self.counters.gathered_parts.add(1);
        (part, replay.gap)
    }

    /// Events in JSON envelopes, each with its topic. They are encoded for this part alone, so that
    /// history keeps no event twice.
    fn encode(&mut self, frames: &[Frame], topics: &[Topic]) -> Arc<[u8]> {
        let from_ns = self.order.now_ns();
        let wire = self.wire();
        let bytes = Frame::gather_json(frames.iter().zip(topics), wire, self.scratch).into();
        self.parts.spend(self.order.now_ns().saturating_sub(from_ns));
        bytes
    }

    fn part_id(&self, cursor: Cursor) -> PartId {
        PartId::new(self.audiences.key_at(self.audience), cursor)
    }

    fn subscriptions(&self) -> Vec<Subscription> {
        self.audiences.wanted_by(self.audience)
    }

    fn wire(&self) -> Wire {
        self.audiences[self.audience].wire
    }

    fn envelope(&self) -> Envelope {
        self.audiences[self.audience].envelope
    }

    /// Does something with the order, and counts the time.
    fn timed<T>(&mut self, search: impl FnOnce(&Order) -> T) -> T {
        let from_ns = self.order.now_ns();
        let found = search(self.order);
        self.parts.spend(self.order.now_ns().saturating_sub(from_ns));
        found
    }
}
