//! Members of audiences: connections that keep up, and are sent each event with the others.

use std::io::ErrorKind;

use crate::frame::in_chunk;
use crate::heartbeat::HeartbeatForm;
use crate::id::EventId;
use crate::shard::connection::membership::Membership;
use crate::shard::connection::pending::Pending;
use crate::shard::connection::sent::Sent;
use crate::shard::connection::State;
use crate::shard::fanout::audience::Audience;
use crate::shard::lagging::state::{Begun, Lagging};
use crate::shard::{Shard, StreamRequest};

impl Shard {
    /// Takes care that everything up to a number is in the audiences' queues, and returns the
    /// number.
    pub(in crate::shard) fn take_all(&mut self) -> u64 {
        let number = self.shared.order.sequence().max(self.taken_to);
        self.take_inbox();
        number
    }

    /// Begins the stream of a connection that has just become a member, or is parked.
    pub(in crate::shard) fn begin(&mut self, index: u32, welcome: &[u8]) {
        self.begin_count(index, Sent::default());
        self.tell_of_beginning(index);
        if let State::Lagging(lagging) = &mut self.connections[index].state {
            lagging.begun = Begun::Pending(Pending::new(welcome, 0));
            let progress = self.flush_laggard(index);
            return self.after_flush(self.connections.key_at(index), progress);
        }
        self.send_directly(index, welcome);
    }

    /// The block that tells a client, before there is an event, the id of a number up to which it
    /// has all that it wants; `None` where there is no such id, or the client wants no such block.
    pub(in crate::shard) fn first_block(
        &self,
        audience: u32,
        form: HeartbeatForm,
        number: u64,
    ) -> Option<Vec<u8>> {
        let block = form.first_block(self.id_to_tell(audience, number)?)?;
        Some(in_chunk(self.audiences[audience].wire, block.as_bytes()))
    }

    /// The id to come back with for a client that has all that it wants up to a number; `None` if
    /// that would replace a custom id, or be of no use.
    pub(in crate::shard) fn id_to_tell(&self, audience: u32, number: u64) -> Option<EventId> {
        let of_use =
            !self.audiences.has_custom_ids(audience) && self.shared.options.history_events_max > 0;
        of_use.then(|| self.shared.order.id_of(number))
    }

    /// Makes a member of a connection that is to get what comes after a number, up to which
    /// everything is in the queues, and behind which no member was sent anything yet. Returns its
    /// position. It is a laggard for a while if it has to be parked.
    pub(in crate::shard) fn join_ring(&mut self, index: u32, audience: u32, number: u64) -> u64 {
        let (now_ms, to) = (self.now_ms(), &self.audiences[audience]);
        let position = to.queue.position_after(number);
        if position > to.admits_to() {
            let membership = Membership { audience, slot: 0, quiet_since_ms: now_ms };
            let lagging = Lagging::new(membership, position, Begun::Nothing, None, now_ms);
            self.add_laggard(index, lagging);
            self.park_at_gate(index);
        } else {
            self.add_to_ring(index, audience, position, now_ms);
        }
        position
    }

    /// Makes a member of a connection that was sent what is before a position.
    pub(in crate::shard) fn add_to_ring(
        &mut self,
        index: u32,
        audience: u32,
        position: u64,
        quiet_since_ms: u32,
    ) {
        if self.audiences[audience].parked_from.is_some() {
            self.readmit(audience);
        }
        let slot = self.audiences[audience].ring.put(index, position);
        self.connections[index].state = State::Live(Membership { audience, slot, quiet_since_ms });
        self.change_queue(audience, Audience::settle);
        let (key, audience) = self.audiences.entry_mut(audience);
        if audience.is_complete() {
            self.scheduler.enqueue_complete(key, &mut audience.queued);
        }
    }

    /// Sends a live connection something that is for it alone, before what its audience is sent.
    pub(in crate::shard) fn send_directly(&mut self, index: u32, bytes: &[u8]) {
        let State::Live(Membership { audience, slot, .. }) = self.connections[index].state else {
            return;
        };
        let sent = match self.connections.send(index, bytes) {
            Ok(sent) if sent == bytes.len() => return,
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return self.lose(index, &error),
        };
        let position = self.audiences[audience].ring.position_of(slot);
        self.fall_behind(index, position, Begun::Pending(Pending::new(bytes, sent)));
        self.change_queue(audience, Audience::settle);
    }
}

/// The first bytes that a client is sent: the response's head, its reconnection time, and what it
/// has to be told first.
pub(in crate::shard) fn welcome(request: &StreamRequest, first: Option<&[u8]>) -> Vec<u8> {
    let retry = request.retry.map(|retry| request.heartbeat_form.first_retry(retry));
    let first = first.unwrap_or_default();
    let mut welcome = Vec::with_capacity(request.head.len() + first.len() + 64);
    welcome.extend_from_slice(&request.head);
    if let Some(block) = retry {
        welcome.extend(in_chunk(request.wire, block.as_bytes()));
    }
    welcome.extend_from_slice(first);
    welcome
}
