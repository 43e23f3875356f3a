//! How clients come through an acceptor: accepted within the limits, served here or by another
//! shard, or refused.
//!
//! All shards poll one listening socket, and a shard that has far more connections than another
//! hands a new one on. With `SO_REUSEPORT` the kernel would spread them, but a second server could
//! be started on the same port without an error. `TCP_DEFER_ACCEPT` would save a system call for
//! each connection, but clients that connect and say nothing would fill the kernel's queue of
//! half-open connections, which the engine cannot bound.

use std::sync::Arc;

use crate::bounded::Place;
use crate::client_stream::ClientStream;
use crate::fallback::{Fallback, UnhandledRequest};
use crate::seldom::Seldom;
use crate::shard::connection::peer::{Network, Peer};
use crate::shard::entry::handshake::{Acceptor, HandshakeStep};
use crate::shard::entry::limits::Exceeded;
use crate::shard::{Command, Scratch, Shard};
use crate::sys::{AcceptError, Stream};

/// Connections that are accepted before the shard turns to its other work.
pub(in crate::shard) const ACCEPTS_MAX: usize = 32;

/// Log lines that clients can cause as often as they like.
static EXHAUSTED: Seldom = Seldom::new();

impl Shard {
    /// Accepts some of the connections that wait at an acceptor.
    pub(in crate::shard) fn accept(&mut self, index: usize) {
        let Some(acceptor) = self.acceptors.get(index).cloned() else { return };
        if acceptor.is_closed() {
            return self.remove_closed_acceptors();
        }
        for _ in 0..ACCEPTS_MAX {
            match acceptor.socket.accept() {
                Ok((stream, addr)) => {
                    self.assign(stream, acceptor.handshake.accepted(addr), &acceptor);
                }
                Err(AcceptError::Gone) => {}
                Err(AcceptError::NoneWaiting) => return,
                Err(AcceptError::Exhausted(error)) => {
                    EXHAUSTED.log(|more| {
                        log::warn!(
                            "clients are turned away: {error}; raise the limit of open files{more}"
                        );
                    });
                    match self.accept_with_spare(&acceptor) {
                        Ok(()) | Err(AcceptError::Gone) => {}
                        Err(AcceptError::NoneWaiting) => return,
                        Err(AcceptError::Exhausted(_)) => return self.pause(index),
                    }
                }
            }
        }
    }

    /// Accepts a client when there are no descriptors, with a spare one, so that the client does
    /// not wait without an answer. When its request comes, the client is told to come again. With
    /// the last spare descriptors the request has to be there already, or else the connection is
    /// closed.
    fn accept_with_spare(&mut self, acceptor: &Arc<Acceptor>) -> Result<(), AcceptError> {
        if self.shared.spares.are_low() && self.end_a_lingerer() {
            self.shared.spares.are_complete();
        }
        let last = self.shared.spares.are_low();
        self.shared.spares.give_up();
        let accepted = acceptor.socket.accept();
        // There may be some again meanwhile.
        let exhausted = !self.shared.spares.are_complete();
        let (stream, addr) = accepted?;
        let peer = acceptor.handshake.accepted(addr);
        if exhausted && (last || !self.count_connection(peer.network())) {
            self.turn_away(stream, &[], peer, acceptor, false);
        } else if exhausted {
            self.serve(stream, &[], peer, acceptor);
        } else {
            self.assign(stream, peer, acceptor);
        }
        Ok(())
    }

    /// Answers a client that is beyond the overflow too, if its request is there already, and
    /// closes its connection. A request that is not for events may still go to the fallback.
    pub(in crate::shard) fn turn_away(
        &mut self,
        stream: Stream,
        read: &[u8],
        mut peer: Peer,
        acceptor: &Acceptor,
        may_fall_back: bool,
    ) {
        let mut scratch = std::mem::take(&mut self.scratch.received);
        let mut head = match read {
            [] => {
                // It is in use where a connection is turned away after something of it was read.
                if scratch.is_empty() {
                    scratch = Scratch::receiving();
                }
                let bytes = stream.recv(&mut scratch).unwrap_or(0);
                &scratch[..bytes]
            }
            read => read,
        };
        let refuse = |answer: Vec<u8>| {
            let _ = stream.send(&answer);
            stream.shutdown_write();
            self.link().counters.refused_connections.add(1);
        };
        let mut step = acceptor.handshake.step(head, &peer, true);
        while let HandshakeStep::Peer { skip, peer: known } = step {
            (head, peer) = (&head[skip..], known);
            step = acceptor.handshake.step(head, &peer, true);
        }
        match step {
            HandshakeStep::Unhandled => {
                let fallback = acceptor.fallback.as_ref().filter(|_| may_fall_back);
                match fallback.and_then(Fallback::reserve) {
                    Some(place) => {
                        if !fall_back(place, stream, head.to_vec(), &peer) {
                            self.link().counters.refused_connections.add(1);
                        }
                    }
                    None => refuse(acceptor.handshake.fallback_is_full()),
                }
            }
            HandshakeStep::Answer(answer) => refuse(answer),
            // Nothing that could be said would be right for whatever it is about to ask.
            HandshakeStep::More
            | HandshakeStep::Peer { .. }
            | HandshakeStep::Content { .. }
            | HandshakeStep::Ask { .. }
            | HandshakeStep::Join(_) => self.link().counters.refused_connections.add(1),
        }
        self.scratch.received = scratch;
    }

    /// Serves a new connection here, or has it served by a shard that has far fewer. The connection
    /// is counted before, so that connections that are passed on are within the bounds too.
    fn assign(&mut self, stream: Stream, peer: Peer, acceptor: &Arc<Acceptor>) {
        if !self.count_connection(peer.network()) {
            return self.turn_away(stream, &[], peer, acceptor, true);
        }
        let connections = |id: usize| {
            let counters = &self.shared.links[id].counters;
            counters.connections.value() + counters.pending_connections.value()
        };
        let here = connections(self.id);
        let (least, other) =
            self.living_shards().map(|id| (connections(id), id)).min().unwrap_or((here, self.id));
        if here <= least + least / 8 + 8 {
            return self.serve(stream, &[], peer, acceptor);
        }
        let acceptor = acceptor.clone();
        let serve = Command::Serve { stream, read: Vec::new(), peer, acceptor, counted: true };
        if let Err(Command::Serve { stream, acceptor, .. }) =
            self.shared.links[other].command(serve)
        {
            self.serve(stream, &[], peer, &acceptor);
        }
    }

    fn living_shards(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.shared.links.len()).filter(|&id| self.shared.links[id].is_alive())
    }

    /// Counts a new connection; false when the overflow is full too. An answered connection is
    /// closed for it, or else one without a request: so a client that sends a request can be told
    /// to come again.
    pub(in crate::shard) fn count_connection(&mut self, network: Network) -> bool {
        let Err(exceeded) = self.shared.connection_limits.reserve(network) else { return true };
        let was_replaced =
            self.end_a_lingerer() || exceeded == Exceeded::Total && self.end_a_silent_connection();
        was_replaced && self.shared.connection_limits.reserve(network).is_ok()
    }

    /// Counts a connection, which is counted by one network, by another; false when that one has
    /// too many, and then nothing has changed. An answered connection is closed for it.
    pub(in crate::shard) fn recount_connection(&mut self, from: Network, to: Network) -> bool {
        let recount = |shard: &Shard| shard.shared.connection_limits.change(from, to).is_ok();
        recount(self) || self.end_a_lingerer() && recount(self)
    }
}

/// Hands a connection to the part of the program that serves what is not an event stream. False
/// when it was reset meanwhile.
pub(in crate::shard) fn fall_back(
    place: Place<'_, UnhandledRequest>,
    stream: Stream,
    read: Vec<u8>,
    peer: &Peer,
) -> bool {
    match ClientStream::of(stream.into_fd()) {
        Ok(stream) => {
            let Peer { connection: peer, client: addr, is_proxy, .. } = *peer;
            place.fill(UnhandledRequest { stream, read, addr, peer, is_proxy });
            true
        }
        // Some systems do not say what kind a socket is that its peer has reset.
        Err(_) => false,
    }
}
