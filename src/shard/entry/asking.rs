//! Connections that wait until the host has said whether they may become streams.
//!
//! The host's answer comes to the shard with the connection's key, through a queue of its own: as
//! many connections wait as their authorizers allow, and each gets one answer at most. A connection
//! that has ended, or has waited too long, gives up its place, from when on the host's answer goes
//! nowhere.

use std::borrow::Cow;
use std::sync::{Arc, Weak};

use crate::authorizer::{Question, Replies, Verdict, Waiting};
use crate::shard::connection::leave::UNASKED_BYTES_MAX;
use crate::shard::connection::slots::Key;
use crate::shard::connection::{Progress, State};
use crate::shard::{Shard, Shared, Told};

/// The way of the host's answers to a shard.
struct ToShard {
    /// A host may keep requests for longer than the hub lives.
    shared: Weak<Shared>,
    id: usize,
}

impl Replies for ToShard {
    fn reply(&self, key: u64, verdict: Verdict) {
        if let (Some(shared), Some(key)) = (self.shared.upgrade(), Key::from_u64(key)) {
            // Without a shard there is no connection.
            let _ = shared.links[self.id].tell(Told::Answered(key, verdict));
        }
    }

    fn count_late(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.authorizations.late.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

impl Shard {
    /// Puts a request before the host, for which its connection waits from now on; false when it
    /// cannot be.
    pub(in crate::shard) fn ask_host(&mut self, key: Key, question: Question) -> bool {
        let to_shard = ToShard { shared: Arc::downgrade(&self.shared), id: self.id };
        // Before the host knows of it.
        self.link().counters.pending_authorizations.add(1);
        let Some(waiting) = question.put(Arc::new(to_shard), key.to_u64()) else {
            self.link().counters.pending_authorizations.sub(1);
            return false;
        };
        let timeout = waiting.timeout();
        let State::Handshaking(handshaking) = &mut self.connections[key.index].state else {
            return false;
        };
        handshaking.progress = Progress::Asked(waiting);
        let now_ms = self.now_ms();
        let waiting = self.link().counters.pending_authorizations.value() as usize;
        let connections = &mut self.connections;
        let is_asked = |key| connections.get_mut(key).is_some_and(|c| c.state.is_asked());
        self.timers.expect_verdict(key, timeout, now_ms, waiting, is_asked);
        true
    }

    /// Refuses connections for which the host has not answered in time.
    pub(in crate::shard) fn end_unanswered(&mut self) {
        let now_ms = self.now_ms();
        loop {
            let connections = &mut self.connections;
            let is_asked = |key| connections.get_mut(key).is_some_and(|c| c.state.is_asked());
            let Some(key) = self.timers.next_unanswered(now_ms, is_asked) else { return };
            self.take_verdict(key, &Verdict::Unanswered);
        }
    }

    /// Goes on with a connection that has waited for the host, if it is still there.
    pub(in crate::shard) fn take_verdict(&mut self, key: Key, verdict: &Verdict) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let State::Handshaking(handshaking) = &mut connection.state else { return };
        let Progress::Asked(_) = handshaking.progress else { return };
        handshaking.progress = Progress::Head;
        let head = std::mem::take(&mut handshaking.head);
        self.link().counters.pending_authorizations.sub(1);
        self.decide(key, Cow::Owned(head), |protocol, head, peer, beyond_bounds| {
            protocol.after_verdict(head, verdict, peer, beyond_bounds)
        });
    }

    /// Counts what a client sends while it waits for the host, which is thrown away. It is ended
    /// when that is too much.
    pub(in crate::shard) fn take_unasked(&mut self, key: Key, bytes: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let State::Handshaking(handshaking) = &mut connection.state else { return };
        let Progress::Asked(Waiting { unasked_bytes, .. }) = &mut handshaking.progress else {
            return;
        };
        *unasked_bytes += bytes;
        if *unasked_bytes > UNASKED_BYTES_MAX {
            drop(self.remove(key.index));
        }
    }
}
