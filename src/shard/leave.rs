//! How connections end.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::Duration;

use super::audience::Audience;
use super::connection::{Connection, Place, State};
use super::slots::Key;
use super::Shard;
use crate::frame::{enveloped, Wire, LAST_CHUNK};
use crate::metrics::DisconnectReason;
use crate::options::jittered;

/// How much a client may send at once after its request's head: nothing is expected of it.
const UNASKED_BYTES_MAX: usize = 64 << 10;

impl Shard {
    /// Ends an event stream, and counts why.
    pub(super) fn disconnect(&mut self, index: u32, reason: DisconnectReason) {
        log::debug!("connection {index} of shard {} ended: {}", self.id, reason.as_str());
        self.tell_of_end(index, reason);
        let counters = &self.link().counters;
        counters.count_disconnect(reason);
        counters.connections.sub(1);
        if counters.connections.value() == 0 && self.shared.drain.get().is_some() {
            self.shared.emptied.notify(usize::MAX);
        }
        drop(self.remove(index));
    }

    /// Ends an event stream whose socket has failed, and counts why.
    pub(super) fn lose(&mut self, index: u32, error: &io::Error) {
        log::debug!("connection {index} of shard {} has failed: {error}", self.id);
        let reason = match (DisconnectReason::of(error), self.connections[index].sink.socket()) {
            (DisconnectReason::TimedOut, Some(socket)) if socket.was_answered() => {
                DisconnectReason::Stalled
            }
            (reason, _) => reason,
        };
        self.disconnect(index, reason);
    }

    /// Tells a stream to come back after a time of its own, unless that is zero, and ends its body,
    /// if nothing else has been begun for it. True when its socket took that, and when there is
    /// nothing to be said; it is to be disconnected in any case.
    pub(super) fn say_farewell(&mut self, index: u32, retry: Duration) -> io::Result<bool> {
        let audience = match &self.connections[index].state {
            State::Live(place) => place.audience,
            State::Lagging(lagging) if lagging.own.is_none() && lagging.sent == 0 => {
                lagging.place.audience
            }
            State::Replaying(replaying) if replaying.own.is_none() => replaying.audience,
            State::Greeting(_) | State::Lagging(_) | State::Replaying(_) | State::Leaving => {
                return Ok(false)
            }
        };
        let (wire, mut farewell) = (self.audiences[audience].wire, Vec::new());
        if !retry.is_zero() {
            let block = self.record(index).heartbeat_form.last_retry(jittered(retry));
            farewell = enveloped(wire, block.as_bytes());
        }
        if wire == Wire::Chunked {
            farewell.extend_from_slice(LAST_CHUNK);
        }
        if farewell.is_empty() {
            return Ok(true);
        }
        match self.connections[index].sink.send(&farewell) {
            Ok(bytes) => Ok(bytes == farewell.len()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes a connection out of everything that knows it. To drop it is to close it.
    pub(super) fn remove(&mut self, index: u32) -> Connection {
        let audience = self.connections[index].audience();
        let subscriptions = audience.map(|audience| self.audiences[audience].wanted.len());
        match &self.connections[index].state {
            State::Live(place) => {
                let place = *place;
                self.leave_ring(place);
                self.change_log(place.audience, Audience::settle);
                self.leave_audience(place.audience);
            }
            State::Lagging(lagging) => {
                let (place, position) = (lagging.place, lagging.batch.start);
                self.let_aside_go(index);
                self.leave_lagging(place);
                self.leave_position(place.audience, position);
                self.leave_audience(place.audience);
            }
            State::Replaying(replaying) => {
                let audience = replaying.audience;
                self.leave_replaying(audience);
                self.leave_audience(audience);
            }
            State::Greeting(_) | State::Leaving => self.link().counters.pending_connections.sub(1),
        }
        if let Some(count) = subscriptions {
            self.shared.subscriptions.give_back(self.record(index).network(), count);
        }
        let connection = self.connections.remove(index);
        let record = std::mem::take(&mut self.records[index as usize]);
        self.shared.seats.give_back(record.network());
        self.connections.shrink();
        if self.connections.is_empty() {
            self.records = Vec::new();
        }
        connection
    }

    /// Takes a connection out of the ring of its audience, which is to be settled then.
    pub(super) fn leave_ring(&mut self, place: Place) {
        let connections = &mut self.connections;
        let ring = &mut self.audiences[place.audience].ring;
        ring.leave(place.place, |index, place| connections[index].set_place(place));
    }

    /// One connection less is in an audience, and in the crowd of each of its topics.
    pub(super) fn leave_audience(&mut self, index: u32) {
        for &key in &self.audiences[index].wanted {
            self.routes.subscribed_mut(key).crowd -= 1;
        }
        if self.audiences[index].is_empty() {
            self.remove_audience(index);
        }
    }

    /// Ends an audience that nobody is in, and the subscriptions that it was the last for. What it
    /// had pending gives its room back.
    pub(super) fn remove_audience(&mut self, index: u32) {
        let audience = self.audiences.remove(index);
        self.window_bytes -= audience.log.window_bytes();
        self.lag_bytes -= audience.log.lag_bytes();
        self.link().counters.lag_bytes.sub(audience.log.lag_bytes() as u64);
        for (&key, &place) in audience.wanted.iter().zip(&audience.places) {
            let audiences = &mut self.routes.subscribed_mut(key).audiences;
            audiences.swap_remove(place as usize);
            if let Some(&moved) = audiences.get(place as usize) {
                let moved = &mut self.audiences[moved];
                let nth = moved.wanted.binary_search(&key).expect("it stood in this list");
                moved.places[nth] = place;
            } else if audiences.is_empty() {
                self.routes.end(&self.shared.order, key);
            }
        }
        self.audience_of.remove(&(audience.wanted, audience.wire));
        self.audiences.shrink();
    }

    /// Closes the routes of topics that are gone, or that nobody here wants any more.
    pub(super) fn close_routes(&mut self) {
        let unneeded = self.routes.find_unneeded();
        if !unneeded.is_empty() {
            // The last events of the topics were put before they went.
            self.take_inbox();
            self.routes.close(&self.shared.order, unneeded);
        }
    }

    /// The peer of an answered or streaming connection has sent something: its end, or what
    /// nobody asked for.
    pub(super) fn listen_to(&mut self, key: Key) {
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
                    // It may still read. Where it does not, this is as good as nothing.
                    let _ = self.say_farewell(key.index, Duration::ZERO);
                    self.disconnect(key.index, DisconnectReason::ClientClosed);
                }
                Ok(reason) => self.disconnect(key.index, reason),
                Err(error) => self.lose(key.index, &error),
            },
            State::Greeting(_) | State::Leaving => drop(self.remove(key.index)),
        }
    }

    /// Accepts nobody any more.
    pub(super) fn close_doors(&mut self) {
        for (_, door) in std::mem::take(&mut self.doors) {
            let _ = self.poller.remove(door.socket.as_fd());
            // The hub's end is every door's; that of one shard, which a host drives, is not.
            if self.shared.is_ending() {
                door.close();
            }
        }
    }

    /// Ends everything, with the end of the body for those that are caught up.
    pub(super) fn close_all(&mut self) {
        for index in self.connections.indices() {
            match &self.connections[index].state {
                State::Live(place) => {
                    let audience = &self.audiences[place.audience];
                    if audience.wire == Wire::Chunked {
                        let _ = self.connections[index].sink.send(LAST_CHUNK);
                    }
                    self.disconnect(index, DisconnectReason::Closed);
                }
                State::Lagging(_) | State::Replaying(_) => {
                    self.disconnect(index, DisconnectReason::Closed)
                }
                State::Greeting(_) | State::Leaving => drop(self.remove(index)),
            }
        }
    }
}
