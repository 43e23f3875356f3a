//! How connections end.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::frame::{in_chunk, Wire, LAST_CHUNK};
use crate::metrics::DisconnectReason;
use crate::options::jittered;
use crate::shard::connection::membership::Membership;
use crate::shard::connection::slots::Key;
use crate::shard::connection::{Connection, State};
use crate::shard::fanout::audience::Audience;
use crate::shard::lagging::state::Begun;
use crate::shard::{Link, Shard};

/// How much a client may send at once after its request's head: nothing is expected of it.
pub(in crate::shard) const UNASKED_BYTES_MAX: usize = 64 << 10;

impl Shard {
    /// Ends an event stream, and counts why.
    pub(in crate::shard) fn disconnect(&mut self, index: u32, reason: DisconnectReason) {
        self.note_end(index, reason);
        drop(self.remove(index));
    }

    /// Counts and tells that an event stream ends, and why.
    pub(in crate::shard) fn note_end(&self, index: u32, reason: DisconnectReason) {
        log::debug!("connection {index} of shard {} ended: {}", self.id, reason.as_str());
        self.tell_of_end(index, reason);
        if let Some(pull) = self.connections.pull(index) {
            pull.end(reason);
        }
        let counters = &self.link().counters;
        counters.count_disconnect(reason);
        counters.connections.sub(1);
        if counters.connections.value() == 0 && self.shared.drain.get().is_some() {
            self.shared.emptied.notify(usize::MAX);
        }
    }

    /// Ends an event stream whose socket has failed, and counts why.
    pub(in crate::shard) fn lose(&mut self, index: u32, error: &io::Error) {
        log::debug!("connection {index} of shard {} has failed: {error}", self.id);
        let reason = match (DisconnectReason::of(error), self.connections[index].sink.socket()) {
            (DisconnectReason::TimedOut, Some(socket)) if socket.was_answered() => {
                DisconnectReason::Stalled
            }
            (reason, _) => reason,
        };
        self.disconnect(index, reason);
    }

    /// Tells a client to come back after `retry`, unless that is zero, and ends its stream's body,
    /// if nothing else has been begun for it. True when its socket took that, and when there is
    /// nothing to tell. A queue that the host reads takes it in any case: of no batch it has a
    /// part. The caller disconnects it in any case.
    pub(in crate::shard) fn say_farewell(
        &mut self,
        index: u32,
        retry: Duration,
    ) -> io::Result<bool> {
        let pull = self.connections.pull(index);
        let audience = match &self.connections[index].state {
            State::Live(membership) => membership.audience,
            State::Lagging(lagging)
                if pull.is_some() || matches!(lagging.begun, Begun::Nothing) =>
            {
                lagging.membership.audience
            }
            State::Replaying(replaying) if pull.is_some() || replaying.pending.is_none() => {
                replaying.audience
            }
            State::Handshaking(_) | State::Lagging(_) | State::Replaying(_) | State::Leaving => {
                return Ok(false)
            }
        };
        let (wire, mut farewell) = (self.audiences[audience].wire, Vec::new());
        if !retry.is_zero() {
            let block = self.record(index).heartbeat_form.last_retry(jittered(retry));
            farewell = in_chunk(wire, block.as_bytes());
        }
        if wire == Wire::Chunked {
            farewell.extend_from_slice(LAST_CHUNK);
        }
        if farewell.is_empty() {
            return Ok(true);
        }
        if let Some(pull) = pull {
            return pull.put_last(&farewell).map(|()| true);
        }
        match self.connections.send(index, &farewell) {
            Ok(bytes) => Ok(bytes == farewell.len()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes a connection out of everything that knows it. To drop it is to close it.
    pub(in crate::shard) fn remove(&mut self, index: u32) -> Connection {
        self.leave_lists(index);
        let (connection, record) = self.connections.remove(index);
        if let Some(socket) = connection.sink.socket().filter(|socket| socket.has_duplicates()) {
            // Closed here it would stay open elsewhere, and in the poller. It may not be there yet.
            let _ = self.poller.remove(socket.as_fd());
        }
        self.shared.subscription_limits.release(record.network(), record.subscriptions());
        self.shared.connection_limits.release(record.network());
        connection
    }

    /// Takes a connection out of its audience, and out of what counts it by its state.
    pub(in crate::shard) fn leave_lists(&mut self, index: u32) {
        match &self.connections[index].state {
            State::Live(membership) => {
                let membership = *membership;
                self.leave_ring(membership);
                self.change_queue(membership.audience, Audience::settle);
                self.leave_audience(membership.audience);
            }
            State::Lagging(lagging) => {
                let (membership, position) = (lagging.membership, lagging.position);
                self.change_laggard(index, |laggard| laggard.release_spill());
                self.unlist_laggard(membership, position);
                self.leave_audience(membership.audience);
            }
            State::Replaying(replaying) => {
                let audience = replaying.audience;
                self.leave_replaying(audience);
                self.leave_audience(audience);
            }
            State::Handshaking(_) | State::Leaving => {
                self.link().counters.pending_connections.sub(1);
                if self.connections[index].state.is_asked() {
                    self.link().counters.pending_authorizations.sub(1);
                }
            }
        }
    }

    /// Takes a connection out of the ring of its audience, which is to be settled then.
    pub(in crate::shard) fn leave_ring(&mut self, membership: Membership) {
        let connections = &mut self.connections;
        let ring = &mut self.audiences[membership.audience].ring;
        ring.leave(membership.slot, |index, slot| connections[index].set_slot(slot));
    }

    /// A connection has left an audience, which ends with its last.
    pub(in crate::shard) fn leave_audience(&mut self, index: u32) {
        self.audiences.uncount_member(index);
        if self.audiences[index].is_empty() {
            self.remove_audience(index);
        }
    }

    /// Ends an audience that has no member.
    pub(in crate::shard) fn remove_audience(&mut self, index: u32) {
        let queue = self.audiences.remove(&self.shared.order, index);
        self.link().counters.lag_bytes.change(queue.lag_bytes(), 0);
        self.count_spread();
    }

    /// Closes the routes of topics that are gone, or that no audience here wants any more.
    pub(in crate::shard) fn close_routes(&mut self) {
        let unneeded = self.audiences.find_unneeded_routes();
        if !unneeded.is_empty() {
            // The topics' last events were put into the inbox before the topics were removed.
            self.take_inbox();
            self.audiences.close_routes(&self.shared.order, unneeded);
        }
    }

    /// The peer of an answered or streaming connection has sent its end, or bytes that were not
    /// asked for.
    pub(in crate::shard) fn listen_to(&mut self, key: Key) {
        // Not the shard's own buffer: that may be in use, for what was asked.
        let mut unasked = [0; 4 << 10];
        let mut unasked_bytes = 0;
        let ended = loop {
            let Some(connection) = self.connections.get_mut(key) else { return };
            let Some(socket) = connection.sink.socket() else { return };
            match socket.recv(&mut unasked) {
                Ok(0) => break Ok(DisconnectReason::ClientClosed),
                Ok(bytes) => unasked_bytes += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => break Err(error),
            }
            if unasked_bytes > UNASKED_BYTES_MAX {
                break Ok(DisconnectReason::Garbage);
            }
        };
        match self.connections[key.index].state {
            State::Live(_) | State::Lagging(_) | State::Replaying(_) => match ended {
                Ok(DisconnectReason::ClientClosed) => {
                    // It may still read. If it does not, this has no effect.
                    let _ = self.say_farewell(key.index, Duration::ZERO);
                    self.disconnect(key.index, DisconnectReason::ClientClosed);
                }
                Ok(reason) => self.disconnect(key.index, reason),
                Err(error) => self.lose(key.index, &error),
            },
            State::Handshaking(_) | State::Leaving => drop(self.remove(key.index)),
        }
    }

    /// Stops accepting connections.
    pub(in crate::shard) fn close_acceptors(&mut self) {
        // The end of the hub closes every acceptor, and so does that of the last shard: without
        // one, clients would wait for an answer that never comes. The end of any other shard does
        // not.
        let close = self.shared.is_ending() || !self.shared.links.iter().any(Link::is_alive);
        for (_, acceptor) in std::mem::take(&mut self.acceptors) {
            let _ = self.poller.remove(acceptor.socket.as_fd());
            if close {
                acceptor.close();
            }
        }
    }

    /// Ends all connections; those that are caught up are sent the end of the body.
    pub(in crate::shard) fn close_all(&mut self) {
        for index in self.connections.indices() {
            match &self.connections[index].state {
                State::Live(membership) => {
                    let audience = &self.audiences[membership.audience];
                    if audience.wire == Wire::Chunked {
                        let _ = self.connections.send(index, LAST_CHUNK);
                    }
                    self.disconnect(index, DisconnectReason::Closed);
                }
                State::Lagging(_) | State::Replaying(_) => {
                    self.disconnect(index, DisconnectReason::Closed)
                }
                State::Handshaking(_) | State::Leaving => drop(self.remove(index)),
            }
        }
    }
}
