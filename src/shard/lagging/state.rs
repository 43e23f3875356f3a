//! The state of a laggard: what waits for it, and how much of that it was sent.
//!
//! ```text
//!   begun: pending bytes, or a batch | gap event | rest of the spill | queue from its position on | end
//! ```
//!
//! This is the order in which a laggard is sent what waits for it. What it has begun is finished
//! before anything else is sent. A batch is the first events of what waits: of the spill if it has
//! a share in that, or else of the queue.

use crate::frame::{Frame, StreamId, Wire};
use crate::gap::{Gap, GapReason};
use crate::id::{Epoch, EventId};
use crate::shard::connection::membership::Membership;
use crate::shard::connection::pending::Pending;
use crate::shard::connection::sent::Sent;
use crate::shard::fanout::audience::Audience;
use crate::shard::fanout::queue::Queue;
use crate::shard::lagging::spill::{Share, Spill};

pub(crate) struct Lagging {
    pub(in crate::shard) membership: Membership,
    pub(in crate::shard) begun: Begun,
    /// Events that were dropped for it.
    pub(in crate::shard) missing: Option<Missing>,
    /// Events that go before those of the queue.
    pub(in crate::shard) spill: Option<Share>,
    /// It has yet to be sent what the queue has from this position on.
    pub(in crate::shard) position: u64,
    /// The id that its client has by now, if it has one.
    pub(in crate::shard) last: Option<StreamId>,
    /// Whether it queues for another flush.
    pub(in crate::shard) queued: bool,
    /// Whether it only lags because it cannot be a member yet (`fanout/spread.rs`).
    pub(in crate::shard) parked: bool,
    /// When it fell behind or last took something, in milliseconds since the hub's start.
    pub(in crate::shard) since_ms: u32,
    /// When it fell behind. What waits for it is not older than that: an event that is spread over
    /// a time may be old when its turn comes.
    pub(in crate::shard) began_ms: u32,
}

/// What a laggard has begun to be sent.
pub(in crate::shard) enum Begun {
    Nothing,
    /// Bytes for it alone, such as the rest of a gap event; it is possible that none of them was
    /// sent.
    Pending(Pending),
    /// Events in one chunk.
    Batch(Batch),
    /// The end of its stream, of which this number of bytes was sent, at least one.
    End(usize),
}

/// Events in one chunk that a laggard was sent some bytes of.
#[derive(Clone, Copy)]
pub(in crate::shard) struct Batch {
    pub(in crate::shard) events: usize,
    /// How many bytes were sent, the chunk's head included.
    pub(in crate::shard) sent: usize,
}

/// By what a stream lags; compared by what matters more first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::shard) struct Lag {
    /// The age of the oldest event that it was not sent whole.
    pub(in crate::shard) age_ns: u64,
    pub(in crate::shard) events: u64,
    pub(in crate::shard) bytes: u64,
}

/// Events that were dropped for a laggard, of which it has not begun to be told.
pub(in crate::shard) struct Missing {
    /// The id of the last event that it is sent before them.
    pub(in crate::shard) from: Option<StreamId>,
    /// The sequence number of the last one.
    pub(in crate::shard) to: u64,
    pub(in crate::shard) count: u64,
}

impl Begun {
    /// A batch of `events` events of which `sent` bytes were sent: nothing is begun if that is
    /// none.
    pub(in crate::shard) fn batch(events: usize, sent: usize) -> Begun {
        match sent {
            0 => Begun::Nothing,
            _ => Begun::Batch(Batch { events, sent }),
        }
    }

    /// The end of a stream of which `sent` bytes were sent: nothing is begun if that is none.
    pub(in crate::shard) fn end(sent: usize) -> Begun {
        match sent {
            0 => Begun::Nothing,
            _ => Begun::End(sent),
        }
    }
}

impl Lagging {
    pub(in crate::shard) fn new(
        membership: Membership,
        position: u64,
        begun: Begun,
        last: Option<StreamId>,
        since_ms: u32,
    ) -> Lagging {
        Lagging {
            membership,
            begun,
            missing: None,
            spill: None,
            position,
            last,
            queued: false,
            parked: false,
            since_ms,
            began_ms: since_ms,
        }
    }

    /// Whether it only lags because it cannot be a member yet: it has been sent everything that is
    /// before its position.
    pub(in crate::shard) fn is_parked(&self) -> bool {
        let is_done = self.missing.is_none() && self.spill.is_none();
        self.parked && is_done && matches!(self.begun, Begun::Nothing)
    }

    /// How many events are in the batch that it has begun.
    pub(in crate::shard) fn begun_events(&self) -> usize {
        match self.begun {
            Begun::Batch(Batch { events, .. }) => events,
            Begun::Nothing | Begun::Pending(_) | Begun::End(_) => 0,
        }
    }

    /// The bytes that it is sent before any event.
    pub(in crate::shard) fn pending(&self) -> Option<&Pending> {
        match &self.begun {
            Begun::Pending(pending) => Some(pending),
            Begun::Nothing | Begun::Batch(_) | Begun::End(_) => None,
        }
    }

    /// The events that are spilled for it.
    pub(in crate::shard) fn spilled<'a>(&self, spill: &'a Spill) -> &'a [Frame] {
        self.spill.as_ref().map_or(&[], |share| &spill.frames(share.list)[share.from..])
    }

    /// What it was sent of the audience's queue, and of what it has begun.
    pub(in crate::shard) fn sent(&self, audience: &Audience, spill: &Spill) -> Sent {
        let pending = self.pending().map_or(Sent::default(), Pending::sent);
        audience.queue.sent_before(self.position) + self.sent_of_batch(audience, spill) + pending
    }

    /// What it has yet to be sent, and when the oldest event was published that it was not sent
    /// whole; pending bytes do not count.
    pub(in crate::shard) fn left(&self, audience: &Audience, spill: &Spill) -> (Sent, Option<u64>) {
        let pending = self.pending().map_or(Sent::default(), Pending::left);
        let begun = self.sent_of_batch(audience, spill);
        let spilled = self.spilled(spill);
        let bytes = spilled.iter().map(|frame| frame.plain().len() as u64).sum();
        let in_spill = Sent { events: spilled.len() as u64, bytes };
        let queue = &audience.queue;
        let in_queue = queue.sent_before(queue.end()) - queue.sent_before(self.position);
        let whole_of_queue = if self.spill.is_none() { begun.events } else { 0 };
        let oldest_ns = spilled
            .get(begun.events as usize)
            .map(Frame::at_ns)
            .or_else(|| queue.published_at_ns(self.position + whole_of_queue));
        (pending + in_spill + in_queue - begun, oldest_ns)
    }

    /// When the oldest event was published that waits for it; an event that was begun is among
    /// those.
    pub(in crate::shard) fn oldest_ns(&self, queue: &Queue, spill: &Spill) -> Option<u64> {
        let spilled = self.spilled(spill).first().map(Frame::at_ns);
        spilled.or_else(|| queue.published_at_ns(self.position))
    }

    /// What it was sent of the batch that it has begun.
    fn sent_of_batch(&self, audience: &Audience, spill: &Spill) -> Sent {
        let Begun::Batch(Batch { events, sent }) = self.begun else { return Sent::default() };
        let Audience { queue, wire, .. } = audience;
        match &self.spill {
            Some(_) => {
                let frames = self.spilled(spill)[..events].iter();
                Sent::within(*wire, frames.map(|frame| frame.plain().len()), sent)
            }
            None => {
                let batch = self.position..self.position + events as u64;
                Sent::within(*wire, queue.each_bytes(batch), sent)
            }
        }
    }
}

impl Missing {
    /// The id of the event by which a client is told.
    pub(in crate::shard) fn id(&self) -> StreamId {
        StreamId::Hub(self.to)
    }

    /// The event by which a client is told.
    pub(in crate::shard) fn encode(&self, name: &str, epoch: Epoch, wire: Wire) -> Vec<u8> {
        let gap = Gap {
            from: self.from.as_ref().map(|id| id.text(epoch)),
            to: EventId { epoch, sequence: self.to },
            reason: GapReason::Slow,
            missed: Some(self.count),
        };
        gap.encode(name, gap.to, wire)
    }
}
