//! How much a stream was sent, which follows from its position and its record.

use crate::shard::connection::membership::Membership;
use crate::shard::connection::record::Record;
use crate::shard::connection::sent::Sent;
use crate::shard::connection::State;
use crate::shard::Shard;

impl Shard {
    pub(in crate::shard) fn record(&self, index: u32) -> &Record {
        self.connections.record(index)
    }

    /// What a stream was sent since it began: events that its socket took whole, and all bytes of
    /// events that it took, without chunks' sizes, heads, heartbeats, gaps and the like.
    pub(in crate::shard) fn sent_to(&self, index: u32) -> Sent {
        let sent = match &self.connections[index].state {
            State::Live(Membership { audience, slot, .. }) => {
                let audience = &self.audiences[*audience];
                audience.queue.sent_before(audience.ring.position_of(*slot))
            }
            State::Lagging(lagging) => {
                lagging.sent(&self.audiences[lagging.membership.audience], &self.spill)
            }
            State::Replaying(replaying) => replaying.sent(),
            State::Handshaking(_) | State::Leaving => Sent::default(),
        };
        self.record(index).base() + sent
    }

    /// Notes what a stream was sent since it began, after it was moved.
    pub(in crate::shard) fn begin_count(&mut self, index: u32, sent: Sent) {
        let moved = self.sent_to(index) - self.record(index).base();
        self.connections.record_mut(index).set_base(sent - moved);
    }
}
