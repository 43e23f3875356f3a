//! How connections begin: taken over when they are counted, handshaking, and joined to an audience.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::authorizer::Verdict;
use crate::bounded::Place;
use crate::envelope::Envelope;
use crate::fallback::{Fallback, UnhandledRequest};
use crate::filter::Subscription;
use crate::frame::Wire;
use crate::metrics::DisconnectReason;
use crate::order::Moment;
use crate::resume::{Resume, StartAt};
use crate::seldom::Seldom;
use crate::shard::connection::member::welcome;
use crate::shard::connection::peer::Peer;
use crate::shard::connection::record::Record;
use crate::shard::connection::slots::Key;
use crate::shard::connection::{Connection, Handshaking, Progress, Sink, State};
use crate::shard::entry::accept::{fall_back, ACCEPTS_MAX};
use crate::shard::entry::handshake::{
    Acceptor, ContentStep, Handshake, HandshakeStep, StreamRequest,
};
use crate::shard::{Command, Shard};
use crate::sys::Stream;

/// Log lines that clients can cause as often as they like.
static NOT_POLLED: Seldom = Seldom::new();

impl Shard {
    /// Takes what the poller has brought.
    pub(in crate::shard) fn handle_readiness(&mut self) {
        let mut ready = std::mem::take(&mut self.ready);
        for readiness in ready.drain(..) {
            let Some(key) = Key::from_u64(readiness.key) else {
                self.accept(readiness.key as usize);
                continue;
            };
            // A stale key: the connection ended since the poller saw it.
            let Some(connection) = self.connections.get_mut(key) else { continue };
            match connection.state {
                State::Handshaking(_) if readiness.readable => self.read_head(key),
                State::Handshaking(_) => {}
                State::Lagging(_) | State::Replaying(_) if readiness.writable => self.resume(key),
                State::Live(_) | State::Lagging(_) | State::Replaying(_) | State::Leaving => {}
            }
            let now_streaming = self
                .connections
                .get_mut(key)
                .is_some_and(|connection| !matches!(connection.state, State::Handshaking(_)));
            if readiness.readable && now_streaming {
                self.listen_to(key);
            }
        }
        self.ready = ready;
    }

    pub(in crate::shard) fn handle_commands(&mut self) {
        for _ in 0..ACCEPTS_MAX {
            let Ok(command) = self.link().orders.try_recv() else { return };
            match command {
                Command::Query(request) => self.take_query(*request),
                #[cfg(test)]
                Command::Try(attempt) => attempt(self),
                refused if self.shutdown.has_begun() => {
                    self.refuse(refused);
                }
                Command::Accept(acceptor) => {
                    let entry = self.acceptors.vacant_entry();
                    let key = entry.key() as u64;
                    match self.poller.add_listener(acceptor.socket.as_fd(), key) {
                        Ok(()) => drop(entry.insert(acceptor)),
                        Err(error) => log::error!("shard {} cannot listen: {error}", self.id),
                    }
                }
                Command::RemoveClosed => self.remove_closed_acceptors(),
                // From now on it has a tick as long as there is one.
                Command::EndGraces => {}
                Command::Serve { stream, read, peer, acceptor, counted } => {
                    if counted || self.count_connection(peer.network()) {
                        self.serve(stream, &read, peer, &acceptor);
                    } else {
                        self.turn_away(stream, &read, peer, &acceptor, true);
                    }
                }
                Command::Adopt(adopted) => self.adopt(*adopted),
            }
        }
    }

    /// Does away with a command that came too late. An acceptor that no shard has opened yet is
    /// closed with the hub, or with the last shard, all the same.
    pub(in crate::shard) fn refuse(&self, command: Command) {
        match command {
            Command::Accept(acceptor) if !self.shared.is_served() => acceptor.close(),
            Command::Serve { peer, counted: true, .. } => {
                self.shared.connection_limits.release(peer.network());
            }
            Command::Adopt(adopted) => self.refuse_adopted(&adopted),
            Command::Accept(_)
            | Command::RemoveClosed
            | Command::EndGraces
            | Command::Serve { .. }
            | Command::Query(_) => {}
            #[cfg(test)]
            Command::Try(_) => {}
        }
    }

    /// Stops polling the acceptors that are closed, and drops them.
    pub(in crate::shard) fn remove_closed_acceptors(&mut self) {
        let poller = &self.poller;
        self.acceptors.retain(|_, acceptor| {
            if acceptor.is_closed() {
                let _ = poller.remove(acceptor.socket.as_fd());
            }
            !acceptor.is_closed()
        });
    }

    /// Takes a connection, which is counted already, into the slab, and reads and answers its
    /// request if it is there.
    pub(in crate::shard) fn serve(
        &mut self,
        stream: Stream,
        read: &[u8],
        peer: Peer,
        acceptor: &Arc<Acceptor>,
    ) {
        let handshaking = Handshaking {
            acceptor: acceptor.clone(),
            peer,
            head: Vec::new(),
            progress: Progress::Head,
        };
        let connection = Connection {
            sink: Sink::Socket(stream),
            state: State::Handshaking(Box::new(handshaking)),
        };
        let key = self.connections.insert(connection, Record::new(&peer));
        self.link().counters.pending_connections.add(1);
        if read.is_empty() {
            self.read_head(key);
        } else {
            self.continue_handshake(key, read);
        }
        self.begin_to_poll(key);
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.state.is_awaited() {
            self.expect_head(key, acceptor.handshake.head_time_max());
        }
    }

    /// Has the poller tell of a connection, unless that has ended already.
    pub(in crate::shard) fn begin_to_poll(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let socket = connection.sink.socket().expect("it came as a socket");
        if let Err(error) = self.poller.add_stream(socket.as_fd(), key.to_u64()) {
            NOT_POLLED.log(|more| {
                log::error!("a connection cannot be polled and is closed: {error}{more}");
            });
            self.give_up(key);
        }
    }

    /// Reads more of a request's head.
    fn read_head(&mut self, key: Key) {
        loop {
            let Some(connection) = self.connections.get_mut(key) else { return };
            let State::Handshaking(_) = connection.state else { return };
            let socket = connection.sink.socket().expect("it came as a socket");
            let mut scratch = std::mem::take(&mut self.scratch.received);
            let received = socket.recv(&mut scratch);
            match received {
                Ok(0) => drop(self.remove(key.index)),
                Ok(bytes) if connection.state.is_asked() => self.take_unasked(key, bytes),
                Ok(bytes) => self.continue_handshake(key, &scratch[..bytes]),
                Err(ref error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => drop(self.remove(key.index)),
            }
            self.scratch.received = scratch;
            if received.is_err() {
                return;
            }
        }
    }

    /// Shows the protocol what has come, and does what it says.
    fn continue_handshake(&mut self, key: Key, bytes: &[u8]) {
        let State::Handshaking(handshaking) = &mut self.connections[key.index].state else {
            return;
        };
        let mut kept = None;
        if let Progress::Content(content) = &mut handshaking.progress {
            match content.take(bytes) {
                ContentStep::More => return,
                ContentStep::Answer(answer) => return self.answer(key, &answer),
                ContentStep::Complete => {}
            }
            if let Progress::Content(content) =
                std::mem::replace(&mut handshaking.progress, Progress::Head)
            {
                kept = Some(content.into_kept());
            }
        }
        // Most heads come in one piece, and are then never copied.
        let mut head = std::mem::take(&mut handshaking.head);
        if let Some(content) = kept {
            return self.decide(key, Cow::Owned(head), |protocol, head, peer, beyond_bounds| {
                protocol.after_content(head, &content, peer, beyond_bounds)
            });
        }
        let head = match head.is_empty() {
            true => Cow::Borrowed(bytes),
            false => {
                head.extend_from_slice(bytes);
                Cow::Owned(head)
            }
        };
        self.decide(key, head, |protocol, head, peer, beyond_bounds| {
            protocol.step(head, peer, beyond_bounds)
        });
    }

    /// Has the protocol look at a request's head, at what it has beyond it, and at the bounds, and
    /// does what it says.
    pub(in crate::shard) fn decide(
        &mut self,
        key: Key,
        mut head: Cow<'_, [u8]>,
        look: impl Fn(&dyn Handshake, &[u8], &Peer, bool) -> HandshakeStep,
    ) {
        loop {
            let Some((step, beyond_bounds)) = self.look(key, &head, &look) else { return };
            // More becomes known of whom it is from twice at most: before its first request, and by
            // it.
            let HandshakeStep::Peer { skip, peer } = step else {
                return self.take_step(key, head, step, beyond_bounds);
            };
            head = match head {
                Cow::Borrowed(head) => Cow::Borrowed(&head[skip..]),
                Cow::Owned(mut head) => {
                    head.drain(..skip);
                    Cow::Owned(head)
                }
            };
            if !self.is_from(key, peer) {
                return self.turn_away_after_all(key, &head);
            }
        }
    }

    /// What the protocol says, and whether it says so of a connection beyond the bounds.
    fn look(
        &mut self,
        key: Key,
        head: &[u8],
        look: &impl Fn(&dyn Handshake, &[u8], &Peer, bool) -> HandshakeStep,
    ) -> Option<(HandshakeStep, bool)> {
        let (connection, record) = self.connections.both_mut(key.index);
        let State::Handshaking(handshaking) = &mut connection.state else { return None };
        let network = record.network();
        // A client that is here on a spare descriptor cannot stay.
        let mut beyond_bounds = self.shared.connection_limits.is_exceeded_for(network)
            || !self.shared.spares.are_complete();
        let (protocol, peer) = (&*handshaking.acceptor.handshake, &handshaking.peer);
        let mut step = look(protocol, head, peer, beyond_bounds);
        if let HandshakeStep::Join(request) = &step {
            let (limits, count) = (&self.shared.subscription_limits, request.wanted.len());
            if limits.reserve(network, count).is_err() {
                beyond_bounds = true;
                step = look(protocol, head, peer, beyond_bounds);
            } else if let Err(refusal) = request.take_lease() {
                limits.release(network, count);
                let verdict = Verdict::Refuse(refusal);
                step = protocol.after_verdict(head, &verdict, peer, beyond_bounds);
            } else {
                record.set_subscriptions(count);
            }
        }
        if let HandshakeStep::Ask { head_bytes, question } = step {
            handshaking.head = head[..head_bytes].to_vec();
            if self.ask_host(key, *question) {
                return None;
            }
            let State::Handshaking(handshaking) = &self.connections[key.index].state else {
                return None;
            };
            let (protocol, peer) = (&*handshaking.acceptor.handshake, &handshaking.peer);
            step = protocol.after_verdict(head, &Verdict::TooMany, peer, beyond_bounds);
        }
        Some((step, beyond_bounds))
    }

    /// Notes whom a connection is from; false if the limits of that do not have it.
    fn is_from(&mut self, key: Key, peer: Peer) -> bool {
        let State::Handshaking(handshaking) = &mut self.connections[key.index].state else {
            return true;
        };
        handshaking.peer = peer;
        let from = self.record(key.index).network();
        if !self.recount_connection(from, peer.network()) {
            return false;
        }
        self.connections.record_mut(key.index).set_peer(&peer);
        true
    }

    /// Turns a connection away that was counted by another network until now.
    fn turn_away_after_all(&mut self, key: Key, read: &[u8]) {
        let Connection { sink, state } = self.remove(key.index);
        let (Sink::Socket(stream), State::Handshaking(handshaking)) = (sink, state) else { return };
        // It is registered only if its head came in several pieces.
        let _ = self.poller.remove(stream.as_fd());
        let Handshaking { acceptor, peer, .. } = *handshaking;
        self.turn_away(stream, read, peer, &acceptor, true);
    }

    fn take_step(
        &mut self,
        key: Key,
        head: Cow<'_, [u8]>,
        step: HandshakeStep,
        beyond_bounds: bool,
    ) {
        let State::Handshaking(handshaking) = &mut self.connections[key.index].state else {
            return;
        };
        match step {
            HandshakeStep::More => handshaking.head = head.into_owned(),
            HandshakeStep::Content { head_bytes, content, interim } => {
                handshaking.head = head[..head_bytes].to_vec();
                handshaking.progress = Progress::Content(content);
                self.send_interim(key, interim);
            }
            // It is asked once, and whom it is from is known.
            HandshakeStep::Ask { .. } | HandshakeStep::Peer { .. } => drop(self.remove(key.index)),
            HandshakeStep::Join(request) => self.join(key.index, &request),
            HandshakeStep::Answer(answer) => {
                if beyond_bounds {
                    self.link().counters.refused_connections.add(1);
                }
                self.answer(key, &answer);
            }
            HandshakeStep::Unhandled => {
                let acceptor = handshaking.acceptor.clone();
                let read = head.into_owned();
                let place = acceptor.fallback.as_ref().and_then(Fallback::reserve);
                match place {
                    Some(place) => self.send_to_fallback(key, read, place),
                    None => {
                        self.link().counters.refused_connections.add(1);
                        self.answer(key, &acceptor.handshake.fallback_is_full());
                    }
                }
            }
        }
    }

    /// Sends what comes before an answer, if there is anything.
    fn send_interim(&mut self, key: Key, interim: &[u8]) {
        if interim.is_empty() {
            return;
        }
        // It is smaller than any send buffer.
        let sent = self.connections.send(key.index, interim);
        if !sent.is_ok_and(|sent| sent == interim.len()) {
            self.give_up(key);
        }
    }

    /// Sends an answer and the end of the stream, and then waits a little for the peer's end: to
    /// close with something unread would be a reset, which could overtake the answer.
    pub(in crate::shard) fn answer(&mut self, key: Key, answer: &[u8]) {
        // An answer is smaller than any send buffer.
        let sent = self.connections.send(key.index, answer);
        if !sent.is_ok_and(|sent| sent == answer.len()) {
            return self.give_up(key);
        }
        let connection = &mut self.connections[key.index];
        if let Some(socket) = connection.sink.socket() {
            socket.shutdown_write();
        }
        connection.state = State::Leaving;
        self.expect_end(key);
        self.listen_to(key);
    }

    /// Hands a connection to the part of the program that serves what is not an event stream.
    fn send_to_fallback(&mut self, key: Key, read: Vec<u8>, place: Place<'_, UnhandledRequest>) {
        let Connection { sink, state } = self.remove(key.index);
        let (Sink::Socket(stream), State::Handshaking(handshaking)) = (sink, state) else { return };
        // It is registered only if its head came in several pieces.
        let _ = self.poller.remove(stream.as_fd());
        if !fall_back(place, stream, read, &handshaking.peer) {
            self.link().counters.refused_connections.add(1);
        }
    }

    /// Makes an event stream of a connection: from now on it gets what is published to its topics.
    pub(in crate::shard) fn join(&mut self, index: u32, request: &StreamRequest) {
        self.join_as_of(index, request, None);
    }

    /// The same; if a moment is given, "from now on" is from then on. The host that hands a connection
    /// over or reads a stream itself does not wait for the shard, and may publish meanwhile: a stream
    /// that wants nothing of the past is then one that comes back with the id of that moment.
    pub(in crate::shard) fn join_as_of(
        &mut self,
        index: u32,
        request: &StreamRequest,
        asked_at: Option<Moment>,
    ) {
        let audience = self.audience_of(&request.wanted, (request.wire, request.envelope));
        // What it asked for twice it has once.
        let count = self.audiences[audience].wanted.len();
        let record = self.connections.record_mut(index);
        let twice = record.subscriptions().saturating_sub(count);
        record.set_subscriptions(count);
        self.shared.subscription_limits.release(record.network(), twice);
        let now_ns = self.now_ns;
        // A connection that joins now is never at that position: it has what comes before.
        let joined_at = (self.audiences[audience].queue.end() as u32).wrapping_sub(1);
        let record = self.connections.record_mut(index);
        record.begin(request.policy, now_ns, joined_at);
        record.set_label(request.tag.as_ref(), request.lease.as_ref());
        record.heartbeat_form = request.heartbeat_form;
        self.expect_expiry(index, request.expires_at);
        self.begin_lease(index, request.lease.as_ref());
        self.link().counters.pending_connections.sub(1);
        self.link().counters.connections.add(1);
        self.link().counters.accepted_connections.add(1);
        self.audiences.count_member(audience);
        let keeps_history = self.gatherer(audience).keeps_history();
        let begins_now = match request.resume {
            Resume::Start(start) => start == StartAt::Now || !keeps_history,
            Resume::After(_) | Resume::AfterOr(..) => false,
        };
        if !begins_now {
            // Where nothing is kept, what was published meanwhile is missing too, and told.
            let moment = asked_at.filter(|_| keeps_history);
            let moment = moment.unwrap_or_else(|| self.shared.order.moment());
            return self.begin_replay(index, audience, request, (&request.resume, moment));
        }
        let number = self.take_all();
        if let Some(asked_at) = asked_at.filter(|asked_at| asked_at.number < number) {
            let id = self.shared.order.id_of(asked_at.number).to_string();
            let (resume, now) = (Resume::After(id.into()), self.shared.order.moment());
            return self.begin_replay(index, audience, request, (&resume, now));
        }
        let first = self.first_block(audience, request.heartbeat_form, number);
        let position = self.join_ring(index, audience, number);
        self.connections.record_mut(index).joined_at = position as u32;
        self.begin(index, &welcome(request, first.as_deref()));
    }

    /// The audience of a set of subscriptions, of which there is at least one, in a form; a new one
    /// if there is none yet.
    pub(in crate::shard) fn audience_of(
        &mut self,
        wanted: &[Subscription],
        form: (Wire, Envelope),
    ) -> u32 {
        let now_ms = self.now_ms();
        self.audiences.find_or_begin(&self.shared.order, wanted, form, now_ms)
    }

    /// Closes a connection that cannot be served, whatever it was.
    fn give_up(&mut self, key: Key) {
        match self.connections[key.index].state {
            State::Live(_) | State::Lagging(_) | State::Replaying(_) => {
                self.disconnect(key.index, DisconnectReason::Error);
            }
            State::Handshaking(_) | State::Leaving => drop(self.remove(key.index)),
        }
    }
}
