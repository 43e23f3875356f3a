//! How streams end all of whose topics are finished: each when its client was sent everything, with
//! the end of the body, and without a reset that could overtake what was sent.
//!
//! The members of a complete audience are ended some each turn, so that other work goes on between.
//! A laggard is ended when it has caught up (`lagging/laggard.rs`), and so is a client that
//! replays, which is a laggard by then.

use std::io::ErrorKind;

use crate::frame::{Wire, LAST_CHUNK};
use crate::metrics::DisconnectReason;
use crate::shard::connection::State;
use crate::shard::fanout::audience::Audience;
use crate::shard::lagging::state::Begun;
use crate::shard::Shard;

/// The number of streams that one turn ends, of complete audiences that it looks at for that, and
/// of ended connections that it closes.
const ENDS_MAX: usize = 256;

impl Shard {
    /// Whether there are complete audiences, or connections that were ended and not yet closed.
    #[inline]
    pub(in crate::shard) fn has_ended_some(&self) -> bool {
        self.scheduler.complete() > 0 || self.timers.lingering() > 0
    }

    /// Ends members of complete audiences that have been sent everything, a bounded number; true
    /// when there may be more.
    pub(in crate::shard) fn end_finished(&mut self) -> bool {
        let before = self.scheduler.complete();
        let (mut looks, mut ends) = (before.min(ENDS_MAX), 0);
        while looks > 0 && ends < ENDS_MAX {
            let Some(key) = self.scheduler.next_complete() else { break };
            looks -= 1;
            let Some(audience) = self.audiences.get_mut(key) else { continue };
            audience.queued.leave_complete();
            if !audience.has_work() {
                let members: Vec<u32> = audience.ring.upcoming(ENDS_MAX - ends).collect();
                ends += members.len();
                members.into_iter().for_each(|member| self.finish_member(member));
            }
            // While it has work, its slices are sent first.
            if let Some(audience) = self.audiences.get_mut(key) {
                if !audience.ring.is_empty() {
                    self.scheduler.enqueue_complete(key, &mut audience.queued);
                }
            }
        }
        // Those that are left may be ended by now, unless it has looked at all and each waits.
        let left = self.scheduler.complete();
        left > 0 && (ends > 0 || left < before)
    }

    /// Ends a member that was sent everything.
    fn finish_member(&mut self, index: u32) {
        let State::Live(membership) = self.connections[index].state else {
            return debug_assert!(false, "only a member is in a ring");
        };
        let audience = &self.audiences[membership.audience];
        let (wire, position) = (audience.wire, audience.queue.end());
        let sent = match wire {
            Wire::Plain => Ok(LAST_CHUNK.len()),
            Wire::Chunked => self.connections.send(index, LAST_CHUNK),
        };
        let sent = match sent {
            Ok(sent) if sent == LAST_CHUNK.len() => return self.end_gracefully(index),
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return self.lose(index, &error),
        };
        self.fall_behind(index, position, Begun::end(sent));
        self.change_queue(membership.audience, Audience::settle);
    }

    /// Ends a stream that was sent everything and the end of its body, and waits a little for the
    /// peer's end: to close with something unread would be a reset.
    pub(in crate::shard) fn end_gracefully(&mut self, index: u32) {
        self.note_end(index, DisconnectReason::Finished);
        self.leave_lists(index);
        let record = self.connections.record_mut(index);
        let (network, subscriptions) = (record.network(), record.subscriptions());
        record.set_subscriptions(0);
        record.set_label(None, None);
        self.shared.subscription_limits.release(network, subscriptions);
        let connection = &mut self.connections[index];
        connection.state = State::Leaving;
        let socket = connection.sink.socket().inspect(|socket| socket.shutdown_write());
        let lingers = socket.is_some();
        self.link().counters.pending_connections.add(1);
        match lingers {
            true => self.expect_end(self.connections.key_at(index)),
            false => drop(self.remove(index)),
        }
    }

    /// Closes connections that were answered or ended and had their moment to close, a bounded
    /// number; true when there may be more.
    pub(in crate::shard) fn end_lingerers(&mut self) -> bool {
        let now_ms = self.now_ms();
        for _ in 0..ENDS_MAX {
            let connections = &mut self.connections;
            let is_open = |key| connections.get_mut(key).is_some();
            let Some(key) = self.timers.next_end(now_ms, is_open) else { return false };
            drop(self.remove(key.index));
        }
        true
    }
}
