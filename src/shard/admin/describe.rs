//! What a stream is like at a moment, and what the host is told of its beginning and end.

use std::time::{Duration, SystemTime};

use crate::lifecycle::{ConnectionId, ConnectionInfo, ConnectionState, Subscriptions};
use crate::metrics::DisconnectReason;
use crate::notices::{Notice, NoticeKind};
use crate::shard::connection::record::Sent;
use crate::shard::connection::State;
use crate::shard::fanout::audience::Audience;
use crate::shard::Shard;

impl Shard {
    /// Describes a stream as it is now.
    pub(in crate::shard) fn info_of(&self, index: u32) -> ConnectionInfo {
        let record = self.record(index);
        let (lag_age_ns, lag_events) = self.lag_of(index);
        let Sent { events, bytes } = self.sent_to(index);
        let age = Duration::from_millis(record.age_ms(self.now_ns));
        ConnectionInfo {
            id: self.id_of(index),
            topics: self.subscriptions_of(index),
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
            lag_events,
            lag_bytes: self.lag_bytes_of(index),
            lag_age: Duration::from_nanos(lag_age_ns),
            policy: record.policy,
        }
    }

    /// By what a stream lags: the age of the oldest event that it has not taken whole, in
    /// nanoseconds, and how many there are. One that has bytes of its own to take lags since it
    /// last took any.
    pub(in crate::shard) fn lag_of(&self, index: u32) -> (u64, u64) {
        let (in_log, oldest) = self.queue_lag_of(index);
        let waits_ns = match &self.connections[index].state {
            State::Lagging(lagging) if lagging.pending.is_some() => self.since_ns(lagging.since_ms),
            State::Replaying(replaying) => self.since_ns(replaying.since_ms),
            _ => 0,
        };
        let (apart, oldest_apart) = self.lag_apart_of(index);
        let oldest = oldest_apart.or(oldest);
        let age_ns = oldest.map_or(0, |at_ns| self.now_ns.saturating_sub(at_ns)).max(waits_ns);
        (age_ns, in_log.events + apart.events)
    }

    fn lag_bytes_of(&self, index: u32) -> u64 {
        self.queue_lag_of(index).0.bytes + self.lag_apart_of(index).0.bytes
    }

    /// What a stream has yet to be sent from its audience's log, and when the oldest of that was
    /// published.
    fn queue_lag_of(&self, index: u32) -> (Sent, Option<u64>) {
        let stands = !matches!(self.connections[index].state, State::Replaying(_));
        let Some(audience) = self.audience_at(index).filter(|_| stands) else {
            return (Sent::default(), None);
        };
        let (queue, at) = (&audience.queue, self.sent_before(index));
        let end = Sent { events: queue.end(), bytes: queue.end_bytes() };
        (end - at, queue.published_at_ns(at.events))
    }

    /// What a stream has yet to be sent of events that are for it alone or set aside, and when the
    /// oldest of those that are set aside was published.
    fn lag_apart_of(&self, index: u32) -> (Sent, Option<u64>) {
        let pending = self.pending_of(index);
        let pending = pending.map_or(Sent::default(), |pending| {
            pending.events_sent(usize::MAX) - pending.events_sent(pending.sent)
        });
        let State::Lagging(lagging) = &self.connections[index].state else {
            return (pending, None);
        };
        let Some(share) = &lagging.spill else { return (pending, None) };
        let items = &self.spill.items(share.list)[share.batch.start..];
        let bytes = items.iter().map(|item| item.frame.plain().len() as u64).sum();
        let begun = self.begun_of(lagging);
        let spill = Sent { events: items.len() as u64, bytes } - begun;
        (pending + spill, items.get(begun.events as usize).map(|item| item.at_ns))
    }

    /// How long ago a moment was, on the clock that wraps.
    fn since_ns(&self, since_ms: u32) -> u64 {
        u64::from(self.now_ms().wrapping_sub(since_ms)) * 1_000_000
    }

    fn audience_at(&self, index: u32) -> Option<&Audience> {
        self.connections[index].audience().map(|audience| &self.audiences[audience])
    }

    fn subscriptions_of(&self, index: u32) -> Subscriptions {
        let audience = self.connections[index].audience();
        audience.map_or(Vec::new(), |audience| self.wanted_by(audience))
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
            topics: self.subscriptions_of(index),
            addr: record.addr(),
            tag: record.tag().cloned(),
            at: SystemTime::now(),
            lost_before: 0,
        });
    }
}
