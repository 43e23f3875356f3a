//! What a stream is like at a moment, and what the host is told of its beginning and end.

use std::time::{Duration, SystemTime};

use crate::filter::Subscription;
use crate::lifecycle::{ConnectionId, ConnectionInfo, ConnectionState};
use crate::metrics::DisconnectReason;
use crate::notices::{Notice, NoticeKind};
use crate::shard::connection::membership::Membership;
use crate::shard::connection::sent::Sent;
use crate::shard::connection::State;
use crate::shard::fanout::audience::Audience;
use crate::shard::lagging::state::Lag;
use crate::shard::Shard;

impl Shard {
    /// Describes a stream as it is now.
    pub(in crate::shard) fn info_of(&self, index: u32) -> ConnectionInfo {
        let record = self.record(index);
        let lag = self.lag_of(index);
        let Sent { events, bytes } = self.sent_to(index);
        let age = Duration::from_millis(record.age_ms(self.now_ns));
        ConnectionInfo {
            id: self.id_of(index),
            subscriptions: self.subscriptions_of(index),
            addr: record.addr(),
            tag: record.tag().cloned(),
            since: SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH),
            events,
            bytes,
            state: match self.connections[index].state {
                State::Lagging(_) => ConnectionState::Lagging,
                State::Replaying(_) => ConnectionState::Replaying,
                _ => ConnectionState::Live,
            },
            lag_events: lag.events,
            lag_bytes: lag.bytes,
            lag_age: Duration::from_nanos(lag.age_ns),
            policy: record.policy,
        }
    }

    /// By what a stream lags: one that has pending bytes to take, at least since it last took any.
    pub(in crate::shard) fn lag_of(&self, index: u32) -> Lag {
        let state = &self.connections[index].state;
        let (left, oldest_ns, since_ms) = match state {
            State::Live(Membership { audience, slot, .. }) => {
                let Audience { queue, ring, .. } = &self.audiences[*audience];
                let position = ring.position_of(*slot);
                // What it waits for because that is spread over a time does not count.
                let end = queue.gate().max(position);
                let left = queue.sent_before(end) - queue.sent_before(position);
                let oldest_ns = queue.published_at_ns(position).filter(|_| position < end);
                (left, oldest_ns, None)
            }
            State::Lagging(lagging) => {
                let audience = &self.audiences[lagging.membership.audience];
                let (left, oldest_ns) = lagging.left(audience, &self.spill);
                (left, oldest_ns, lagging.pending().map(|_| lagging.since_ms))
            }
            State::Replaying(replaying) => (replaying.left(), None, Some(replaying.since_ms)),
            State::Handshaking(_) | State::Leaving => (Sent::default(), None, None),
        };
        let oldest_ns = oldest_ns.map_or(0, |at_ns| self.now_ns.saturating_sub(at_ns));
        let waits_ns = since_ms.map_or(0, |since_ms| self.since_ns(since_ms));
        Lag { age_ns: oldest_ns.max(waits_ns), events: left.events, bytes: left.bytes }
    }

    /// How long ago a moment was, on the clock that wraps.
    fn since_ns(&self, since_ms: u32) -> u64 {
        u64::from(self.now_ms().wrapping_sub(since_ms)) * 1_000_000
    }

    fn subscriptions_of(&self, index: u32) -> Vec<Subscription> {
        let Some(audience) = self.connections[index].audience() else { return Vec::new() };
        self.audiences.wanted_by(audience)
    }

    /// The id of the stream at an index.
    pub(in crate::shard) fn id_of(&self, index: u32) -> ConnectionId {
        let key = self.connections.key_at(index);
        ConnectionId::new(key.generation, self.id, key.index)
    }

    /// Tells the host of a stream that has just begun, if it wants to know.
    pub(in crate::shard) fn tell_of_beginning(&self, index: u32) {
        if self.shared.notices.is_wanted() {
            self.tell(index, NoticeKind::Connected);
        }
    }

    /// Tells the host of a stream that is about to end, if it wants to know.
    pub(in crate::shard) fn tell_of_end(&self, index: u32, reason: DisconnectReason) {
        if self.shared.notices.is_wanted() {
            let lasted = Duration::from_millis(self.record(index).age_ms(self.now_ns));
            let Sent { events, bytes } = self.sent_to(index);
            self.tell(index, NoticeKind::Disconnected { lasted, events, bytes, reason });
        }
    }

    fn tell(&self, index: u32, kind: NoticeKind) {
        let record = self.record(index);
        self.shared.notices.put(Notice {
            kind,
            id: self.id_of(index),
            subscriptions: self.subscriptions_of(index),
            addr: record.addr(),
            tag: record.tag().cloned(),
            at: SystemTime::now(),
            lost_before: 0,
        });
    }
}
