//! An audience: the connections of one shard that want the same topics in the same wire form, and
//! in the same envelope.
//!
//! Events that are published to its topics are appended to its queue. The members that keep up are
//! in its ring, and are served in rounds: each member is sent all that was published since its last
//! turn. A member whose socket takes less becomes a laggard, and has a position of its own.

use std::sync::Arc;

use crate::envelope::Envelope;
use crate::frame::Wire;
use crate::order::Published;
use crate::shard::fanout::queue::Queue;
use crate::shard::fanout::ring::Ring;
use crate::shard::fanout::scheduler::Queued;
use crate::shard::lagging::grace::Grace;

pub(crate) struct Audience {
    /// The shard's keys of its subscriptions, in ascending order.
    pub(crate) wanted: Box<[u32]>,
    /// The audience's index in each of these subscriptions' list of audiences.
    pub(crate) slots: Vec<u32>,
    pub(crate) wire: Wire,
    pub(crate) envelope: Envelope,
    /// Events up to this number were published before the audience came to be, or it has them.
    /// A complete audience takes no event: this is the highest number there is.
    pub(super) taken_to: u64,
    /// How many of its subscriptions may still get something: filters, and topics that are not
    /// finished.
    pub(super) open: u32,
    /// A bit for each of its subscriptions: whether it is a topic that counts as finished. Empty
    /// while none does.
    pub(super) finished: Vec<u64>,
    /// Whether connections that come are led to it.
    pub(super) is_listed: bool,
    pub(crate) queue: Queue,
    pub(crate) ring: Ring,
    /// Slab indices of the connections that lag, in no order.
    pub(crate) lagging: Vec<u32>,
    /// How many connections are still sent what they have missed.
    pub(crate) replaying: u32,
    /// How far any member was ever sent.
    begun: u64,
    /// When all members were last sent everything, in milliseconds since the hub's start.
    pub(crate) quiet_since_ms: u32,
    /// In which of its shard's queues it is.
    pub(crate) queued: Queued,
    /// Whether it waits for a laggard, since when, and how long it still may.
    pub(crate) held: bool,
    pub(crate) held_since_ns: u64,
    pub(crate) grace: Grace,
    /// The first position of a connection that waits to become a member, see
    /// [`Audience::is_gathering`].
    pub(crate) parked_from: Option<u64>,
    /// Of the events that wait at the gate, the one whose time is over first, until it is sent.
    lead: Lead,
}

/// An event that waits at a gate: when its time is over, and the position behind it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lead {
    pub(crate) until_ns: u64,
    pub(crate) behind: u64,
}

impl Audience {
    pub(crate) fn new(
        wanted: Box<[u32]>,
        wire: Wire,
        envelope: Envelope,
        taken_to: u64,
        ring_runs_max: usize,
    ) -> Audience {
        Audience {
            slots: Vec::with_capacity(wanted.len()),
            open: wanted.len() as u32,
            finished: Vec::new(),
            is_listed: true,
            wanted,
            wire,
            envelope,
            taken_to,
            queue: Queue::new(wire, envelope),
            ring: Ring::new(ring_runs_max),
            lagging: Vec::new(),
            replaying: 0,
            begun: 0,
            quiet_since_ms: 0,
            queued: Queued::default(),
            held: false,
            held_since_ns: 0,
            grace: Grace::default(),
            parked_from: None,
            lead: Lead::default(),
        }
    }

    /// Takes an event that has to be sent, unless it has it already: it may want it by its topic's
    /// name and by a filter.
    #[inline(always)]
    pub(crate) fn append(&mut self, published: &Arc<Published>) {
        if published.sequence() > self.taken_to {
            self.taken_to = published.sequence();
            self.queue.append(published);
        }
    }

    /// Takes an event that its members are to be sent spread over a time, and returns for how many
    /// it waits. `None` if it waits for none: then it is there already, or is to be sent at once.
    pub(crate) fn append_gated(
        &mut self,
        published: &Arc<Published>,
        batch_bytes_max: usize,
    ) -> Option<u32> {
        if published.sequence() <= self.taken_to {
            return None;
        }
        if self.ring.is_empty() {
            self.append(published);
            return None;
        }
        self.taken_to = published.sequence();
        self.queue.append_gated(published, batch_bytes_max);
        Some(self.ring.len() as u32)
    }

    /// Whether a member has not been sent everything, but for what is behind the gate.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        self.queue.has_work()
    }

    /// Whether its members are still to be sent events from before the gate. Until they are, no
    /// connection becomes a member behind the gate: the ring's positions ascend, so that all others
    /// would have to be sent everything at once.
    pub(crate) fn is_gathering(&self) -> bool {
        self.queue.is_gated() && self.has_work()
    }

    /// Up to which position connections can become members.
    pub(crate) fn admits_to(&self) -> u64 {
        if self.is_gathering() {
            self.queue.gate()
        } else {
            self.queue.end()
        }
    }

    /// Whether members wait for no event up to a position any more.
    pub(crate) fn is_past(&self, behind: u64) -> bool {
        self.queue.gate() >= behind || self.ring.front().is_none_or(|front| front >= behind)
    }

    /// Whether an event sets the pace at which members are served: the one whose time is over
    /// first. With it they are sent the others that wait.
    pub(crate) fn is_led_by(&mut self, event: Lead) -> bool {
        if event.until_ns < self.lead.until_ns || self.is_past(self.lead.behind) {
            self.lead = event;
        }
        self.lead == event
    }

    /// Whether the member at a slot waits for what is behind the gate, and for nothing else.
    pub(crate) fn waits_at_gate(&self, slot: u32) -> bool {
        let is_open = !self.queue.is_gated() || self.has_work();
        !is_open && self.ring.position_of(slot) < self.queue.end()
    }

    /// The range that the members furthest behind are sent next: a batch of at most `bytes_max`
    /// bytes, or more when another member has been sent more already.
    pub(crate) fn next_batch(&self, bytes_max: usize) -> (u64, u64) {
        let from = self.ring.front().unwrap_or(self.queue.sent());
        let back = self.ring.back().unwrap_or(from);
        match self.ring.has_many_runs() && back > from {
            true => (from, back),
            false => (from, self.queue.reach(from, bytes_max).min(self.queue.gate()).max(back)),
        }
    }

    /// Notes that a member is sent what is before a position, and whether it is the first.
    pub(crate) fn begins(&mut self, to: u64) -> bool {
        let first = to > self.begun;
        self.begun = self.begun.max(to);
        first
    }

    /// Gives up what all members have been sent.
    pub(crate) fn settle(&mut self) {
        if let Some(front) = self.ring.front() {
            self.queue.advance(front);
        }
    }

    /// The same, where members were sent what is behind the gate.
    pub(crate) fn settle_behind_gate(&mut self) {
        let front = self.ring.front().unwrap_or(self.queue.end());
        self.queue.advance(front);
        self.queue.open_gate(front);
    }

    /// How many connections are in it.
    pub(crate) fn len(&self) -> usize {
        self.ring.len() + self.lagging.len() + self.replaying as usize
    }

    /// Whether it has no connection: no member, no laggard, and none that replays.
    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty() && self.lagging.is_empty() && self.replaying == 0
    }
}
