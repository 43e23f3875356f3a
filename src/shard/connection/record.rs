//! What is known of a connection besides what the hot path needs. It stands in a row of its own,
//! beside the slab, so that entries stay small.
//!
//! Nothing is written here for an event. How much a stream was sent follows from where it stands
//! in its audience's log, which knows how many events, and bytes of them, were ever before each
//! position: the record has the difference. What moves a connection other than by sending it what
//! is between, from one audience to another, or past events that were dropped for it, has to ask
//! [`Shard::sent_to`] before, and to [`Shard::begin_count`] afterwards; what sends it events from
//! fallback does so in an [`Own`] that says how many.

use std::net::{Ipv6Addr, SocketAddr};
use std::ops::{Add, Range, Sub};
use std::sync::Arc;

use crate::frame::{Envelope, Wire};
use crate::heartbeat::HeartbeatForm;
use crate::policy::Policy;
use crate::shard::connection::{Lagging, Membership, Network, State};
use crate::shard::fanout::audience::Audience;
use crate::shard::lagging::spill::Share;
use crate::shard::lagging::Pending;
use crate::shard::Shard;

#[derive(Default)]
pub(in crate::shard) struct Record {
    /// The peer's address, an IPv4 one as its mapping in IPv6.
    ip: [u8; 16],
    port: u16,
    /// What happens to it when it lags too far.
    pub(in crate::shard) policy: Policy,
    /// What its heartbeats are.
    pub(in crate::shard) heartbeat_form: HeartbeatForm,
    /// The position in its audience's log, in 32 bits, before which it has been sent no event, nor
    /// has any from an earlier connection; one at which it never stands if there is none.
    pub(in crate::shard) joined_at: u32,
    /// When it became a stream, in milliseconds since the hub's start: 40 bits.
    since_ms: u32,
    since_ms_high: u8,
    /// What its audience's log is to be added to for what it was sent.
    base: Sent,
    /// What it calls itself. Few have one, so it is behind one more pointer.
    tag: Option<Box<Arc<str>>>,
}

/// Events that a connection was sent, and their bytes in plain form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::shard) struct Sent {
    pub(in crate::shard) events: u64,
    pub(in crate::shard) bytes: u64,
}

/// Each connection has one, idle or not.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Record>() == 56);

impl Record {
    /// That of a connection of which nothing but its peer is known yet.
    pub(in crate::shard) fn new(peer: SocketAddr) -> Record {
        let ip = match peer {
            SocketAddr::V4(peer) => peer.ip().to_ipv6_mapped(),
            SocketAddr::V6(peer) => *peer.ip(),
        };
        Record { ip: ip.octets(), port: peer.port(), ..Record::default() }
    }

    /// Notes that it is a stream from now on.
    pub(in crate::shard) fn begin(
        &mut self,
        policy: Policy,
        tag: Option<&Arc<str>>,
        now_ns: u64,
        joined_at: u32,
    ) {
        self.joined_at = joined_at;
        let now_ms = now_ns / 1_000_000;
        self.policy = policy;
        self.tag = tag.cloned().map(Box::new);
        (self.since_ms, self.since_ms_high) = (now_ms as u32, (now_ms >> 32) as u8);
    }

    /// The peer's address, as it is written in IPv4 if it can be.
    pub(in crate::shard) fn addr(&self) -> SocketAddr {
        SocketAddr::new(Ipv6Addr::from(self.ip).to_canonical(), self.port)
    }

    pub(in crate::shard) fn network(&self) -> Network {
        Network::from(self.addr())
    }

    pub(in crate::shard) fn tag(&self) -> Option<&Arc<str>> {
        self.tag.as_deref()
    }

    /// When it became a stream, in milliseconds since the hub's start.
    pub(in crate::shard) fn since_ms(&self) -> u64 {
        u64::from(self.since_ms_high) << 32 | u64::from(self.since_ms)
    }

    /// For how long it has been a stream, in milliseconds.
    pub(in crate::shard) fn age_ms(&self, now_ns: u64) -> u64 {
        (now_ns / 1_000_000).saturating_sub(self.since_ms())
    }
}

impl Shard {
    pub(in crate::shard) fn record(&self, index: u32) -> &Record {
        self.connections.record(index)
    }

    /// What a laggard was sent of the batch that it has begun, wherever that is.
    pub(in crate::shard) fn begun_of(&self, lagging: &Lagging) -> Sent {
        let Audience { queue, wire, .. } = &self.audiences[lagging.membership.audience];
        match &lagging.spill {
            _ if lagging.sent == 0 => Sent::default(),
            Some(Share { list, batch }) => {
                let items = self.spill.items(*list)[batch.clone()].iter();
                Sent::within(*wire, items.map(|item| item.frame.plain().len()), lagging.sent)
            }
            None => Sent::within(*wire, queue.each_bytes(lagging.batch.clone()), lagging.sent),
        }
    }

    /// What a stream was sent since it began: events that its socket took whole, and all bytes of
    /// events that it took, without envelopes, heads, heartbeats, gaps and the like.
    pub(in crate::shard) fn sent_to(&self, index: u32) -> Sent {
        let pending = self
            .pending_of(index)
            .map_or(Sent::default(), |pending| pending.events_sent(pending.sent));
        let spill = match &self.connections[index].state {
            State::Lagging(lagging) if lagging.spill.is_some() => self.begun_of(lagging),
            _ => Sent::default(),
        };
        self.record(index).base + self.sent_before(index) + spill + pending
    }

    /// Says that a stream, where it stands now, was sent so much.
    pub(in crate::shard) fn begin_count(&mut self, index: u32, sent: Sent) {
        let base = &mut self.connections.record_mut(index).base;
        *base = Sent::default();
        let before = self.sent_to(index);
        self.connections.record_mut(index).base = sent - before;
    }

    /// Counts what a stream was sent otherwise than from its audience's log.
    pub(in crate::shard) fn count_sent(&mut self, index: u32, sent: Sent) {
        let base = &mut self.connections.record_mut(index).base;
        *base = *base + sent;
    }

    /// All that ever was in the log of a stream's audience before the place where the stream stands.
    /// Nothing for what does not stand there.
    pub(in crate::shard) fn sent_before(&self, index: u32) -> Sent {
        match &self.connections[index].state {
            State::Live(Membership { audience, slot, .. }) => {
                let audience = &self.audiences[*audience];
                let events = audience.ring.position_of(*slot);
                Sent { events, bytes: audience.queue.bytes_before(events) }
            }
            State::Lagging(lagging) => {
                let queue = &self.audiences[lagging.membership.audience].queue;
                let position = lagging.batch.start;
                let stand = Sent { events: position, bytes: queue.bytes_before(position) };
                match &lagging.spill {
                    Some(_) => stand,
                    None => stand + self.begun_of(lagging),
                }
            }
            State::Handshaking(_) | State::Replaying(_) | State::Leaving => Sent::default(),
        }
    }

    /// The bytes of its own that a stream is being sent.
    pub(in crate::shard) fn pending_of(&self, index: u32) -> Option<&Pending> {
        match &self.connections[index].state {
            State::Lagging(lagging) => lagging.pending.as_ref(),
            State::Replaying(replaying) => replaying.pending.as_ref(),
            State::Handshaking(_) | State::Live(_) | State::Leaving => None,
        }
    }
}

impl Pending {
    /// Bytes of which none are events, and how many of them were sent.
    pub(in crate::shard) fn new(bytes: &[u8], sent: usize) -> Pending {
        Pending { bytes: bytes.into(), sent, plain: 0..0, events: 0 }
    }

    /// Bytes that have so many events from a place on, in one envelope.
    pub(in crate::shard) fn of_events(
        wire: Wire,
        bytes: Arc<[u8]>,
        from: usize,
        events: u64,
    ) -> Pending {
        let line_end = memchr::memchr(b'\n', &bytes[from..]);
        let plain = match (wire, line_end) {
            (Wire::Plain, _) => from..bytes.len(),
            (Wire::Chunked, Some(at)) => from + at + 1..bytes.len() - b"\r\n".len(),
            (Wire::Chunked, None) => 0..0,
        };
        Pending { bytes, sent: 0, plain, events }
    }

    /// What there is of events in so many of its bytes.
    pub(in crate::shard) fn events_sent(&self, sent: usize) -> Sent {
        let Range { start, end } = self.plain;
        let taken = &self.bytes[start..sent.clamp(start, end)];
        let events = match taken.len() == self.plain.len() {
            true => self.events,
            // An event ends with the only empty line in it.
            false => memchr::memmem::find_iter(taken, b"\n\n").count() as u64,
        };
        Sent { events, bytes: taken.len() as u64 }
    }
}

impl Sent {
    /// What there is of events in so many bytes of the envelope that they are sent in; each is so
    /// long.
    fn within(wire: Wire, lengths: impl Iterator<Item = usize> + Clone, sent: usize) -> Sent {
        let all = lengths.clone().sum();
        let taken = sent.saturating_sub(Envelope::new(wire, all).head().len()).min(all);
        let mut left = taken;
        let whole = |&length: &usize| {
            let rest = left.checked_sub(length);
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        Sent { events: lengths.take_while(whole).count() as u64, bytes: taken as u64 }
    }
}

/// On numbers that wrap, as a base may be less than nothing.
impl Add for Sent {
    type Output = Sent;

    fn add(self, more: Sent) -> Sent {
        let (events, bytes) = (more.events, more.bytes);
        Sent { events: self.events.wrapping_add(events), bytes: self.bytes.wrapping_add(bytes) }
    }
}

impl Sub for Sent {
    type Output = Sent;

    fn sub(self, less: Sent) -> Sent {
        let (events, bytes) = (less.events, less.bytes);
        Sent { events: self.events.wrapping_sub(events), bytes: self.bytes.wrapping_sub(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_addresses_of_both_families_and_times_of_years() {
        for addr in ["192.0.2.1:65535", "[2001:db8::1]:1"] {
            let addr: SocketAddr = addr.parse().unwrap();
            assert_eq!(Record::new(addr).addr(), addr);
        }
        let mut record = Record::new("[::ffff:192.0.2.1]:80".parse().unwrap());
        assert_eq!(record.addr(), "192.0.2.1:80".parse().unwrap());
        let year_ns = 365 * 24 * 60 * 60 * 1_000_000_000;
        record.begin(Policy::default(), Some(&Arc::from("tag")), 10 * year_ns, 0);
        assert_eq!(record.age_ms(10 * year_ns + 7_000_000), 7);
        assert_eq!(record.tag().map(|tag| &**tag), Some("tag"));
    }
}
