//! How a connection becomes a laggard, and a member of its audience's ring again.

use crate::frame::StreamId;
use crate::shard::connection::membership::Membership;
use crate::shard::connection::pending::Progress;
use crate::shard::connection::State;
use crate::shard::fanout::audience::Audience;
use crate::shard::lagging::laggard::Laggard;
use crate::shard::lagging::state::{Begun, Lagging};
use crate::shard::Shard;

impl Shard {
    /// Makes a laggard of a member that needs what its audience's queue has from a position on, and
    /// has begun something of it, or other bytes. The audience has to be settled then.
    pub(in crate::shard) fn fall_behind(&mut self, index: u32, position: u64, begun: Begun) {
        let State::Live(membership) = self.connections[index].state else {
            return debug_assert!(false, "only a member falls behind");
        };
        self.leave_ring(membership);
        let last = self.last_id_before(index, membership.audience, position);
        let since_ms = self.now_ms();
        self.add_laggard(index, Lagging::new(membership, position, begun, last, since_ms));
    }

    /// The id that a connection has of the last event before a position of its audience's queue.
    pub(in crate::shard) fn last_id_before(
        &self,
        index: u32,
        audience: u32,
        position: u64,
    ) -> Option<StreamId> {
        // A connection that joined there has no event from before.
        let has_any = position as u32 != self.record(index).joined_at;
        has_any.then(|| self.audiences[audience].queue.id_before(position)).flatten()
    }

    /// Makes a laggard of a connection that is not in its audience's lists.
    pub(in crate::shard) fn add_laggard(&mut self, index: u32, mut lagging: Lagging) {
        lagging.membership.slot =
            self.list_laggard(index, lagging.membership.audience, lagging.position);
        self.connections[index].state = State::Lagging(Box::new(lagging));
    }

    /// Enters a connection among an audience's laggards, at a position of its queue, and returns
    /// its slot there.
    pub(in crate::shard) fn list_laggard(
        &mut self,
        index: u32,
        audience: u32,
        position: u64,
    ) -> u32 {
        let audience = &mut self.audiences[audience];
        audience.queue.add_laggard(position);
        audience.lagging.push(index);
        let slot = audience.lagging.len() as u32 - 1;
        self.link().counters.lagging_connections.add(1);
        slot
    }

    /// Takes a connection out of its audience's laggards. What was kept for it at its position is
    /// kept no longer.
    pub(in crate::shard) fn unlist_laggard(&mut self, membership: Membership, position: u64) {
        let audience = &mut self.audiences[membership.audience];
        audience.lagging.swap_remove(membership.slot as usize);
        if let Some(&moved) = audience.lagging.get(membership.slot as usize) {
            self.connections[moved].set_slot(membership.slot);
        }
        if audience.lagging.is_empty() {
            audience.lagging = Vec::new();
        }
        self.link().counters.lagging_connections.sub(1);
        let before = self.lag_bytes();
        self.change_queue(membership.audience, |audience| audience.queue.remove_laggard(position));
        // What is kept in all may be too much for other audiences' sake.
        if self.lag_bytes() < before || self.audiences[membership.audience].lagging.is_empty() {
            self.release(self.audiences.key_at(membership.audience));
        }
    }

    /// The laggard at an index, with what it needs of the shard; `None` for another connection.
    pub(in crate::shard) fn laggard(&mut self, index: u32) -> Option<Laggard<'_>> {
        let (sink, state, record) = self.connections.parts_mut(index);
        let State::Lagging(state) = state else { return None };
        Some(Laggard {
            audience: &mut self.audiences[state.membership.audience],
            state,
            sink,
            record,
            spill: &mut self.spill,
            order: &self.shared.order,
            options: &self.shared.options,
            counters: &self.shared.links[self.id].counters,
            now_ns: &mut self.now_ns,
            scratch: &mut self.scratch.gathered,
            has_freed: false,
        })
    }

    /// Does something with the laggard at an index, if it is one. An audience that was held because
    /// of events that are dropped now is released.
    pub(in crate::shard) fn change_laggard<T>(
        &mut self,
        index: u32,
        change: impl FnOnce(&mut Laggard<'_>) -> T,
    ) -> Option<T> {
        let mut laggard = self.laggard(index)?;
        let changed = change(&mut laggard);
        let (has_freed, audience) = (laggard.has_freed, laggard.state.membership.audience);
        if has_freed {
            self.release(self.audiences.key_at(audience));
        }
        Some(changed)
    }

    /// Sends a laggard what waits for it. Any other connection has nothing that waits.
    pub(in crate::shard) fn flush_laggard(&mut self, index: u32) -> Progress {
        self.change_laggard(index, |laggard| laggard.flush()).unwrap_or(Progress::Blocked)
    }

    /// Makes a member of a laggard that was sent everything, unless it is parked.
    pub(in crate::shard) fn catch_up(&mut self, index: u32) {
        if !self.park_at_gate(index) {
            self.become_member(index);
        }
    }

    /// Makes a member of a laggard that was sent everything before its position.
    pub(in crate::shard) fn become_member(&mut self, index: u32) {
        let Some(Laggard { state, audience, record, .. }) = self.laggard(index) else {
            return debug_assert!(false, "only a laggard catches up");
        };
        let (membership, position) = (state.membership, state.position);
        if state.last != audience.queue.id_before(position) {
            // Its client knows that event, if at all, by the id of the gap event that ended there.
            record.joined_at = position as u32;
        }
        self.unlist_laggard(membership, position);
        self.add_to_ring(index, membership.audience, position, membership.quiet_since_ms);
    }

    /// Makes a laggard of a member that has begun nothing of what waits for it.
    pub(in crate::shard) fn fall_behind_as_it_is(&mut self, index: u32, membership: Membership) {
        let Membership { audience, slot, .. } = membership;
        let position = self.audiences[audience].ring.position_of(slot);
        self.fall_behind(index, position, Begun::Nothing);
        self.change_queue(audience, Audience::settle);
    }
}
