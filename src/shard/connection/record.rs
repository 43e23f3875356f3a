//! What the hot path does not need of a connection. Records are in a vector of their own, beside
//! the slab, so that entries stay small.
//!
//! Nothing is written here for an event. How much a stream was sent follows from its position in
//! its audience's queue, which knows how many events, and bytes of them, were ever before each
//! position: the record has the difference. A step that moves a connection other than by sending it
//! what is between, from one audience to another, or past events that were dropped for it, has to
//! ask `Shard::sent_to` before, and to `Shard::begin_count` afterwards (`count.rs`). A step that
//! sends it events that are not in the queue counts them with [`Record::count_sent`].

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::authorizer::Lease;
use crate::heartbeat::HeartbeatForm;
use crate::policy::Policy;
use crate::shard::connection::peer::{Network, Peer};
use crate::shard::connection::sent::Sent;

#[derive(Default)]
pub(in crate::shard) struct Record {
    /// The peer's address, an IPv4 one as its mapping in IPv6; the unspecified one if it has none.
    ip: [u8; 16],
    port: u16,
    /// What happens to it when it lags too far.
    pub(in crate::shard) policy: Policy,
    /// What its heartbeats are.
    pub(in crate::shard) heartbeat_form: HeartbeatForm,
    /// The position in its audience's queue, in 32 bits, before which it has been sent no event,
    /// and has none from an earlier connection; a position that it never reaches if there is none.
    pub(in crate::shard) joined_at: u32,
    /// When it became a stream, in milliseconds since the hub's start: 40 bits.
    since_ms: u32,
    since_ms_high: u8,
    /// How many subscriptions are reserved for it, in 23 bits, and [`PROXY`].
    subscriptions: [u8; 3],
    /// What it was sent, less what follows from its position.
    base: Sent,
    /// What few connections have, and is behind one more pointer.
    label: Option<Box<Label>>,
}

/// What few connections have.
struct Label {
    tag: Option<Arc<str>>,
    /// Is dropped with the record, when the connection has ended.
    _lease: Option<Lease>,
}

/// Each connection has a record, idle or not.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Record>() == 56);

/// Set where the peer is a proxy, for which no limit per address holds.
const PROXY: u8 = 1 << 7;

impl Record {
    /// That of a connection of which nothing but its peer is known yet.
    pub(in crate::shard) fn new(peer: &Peer) -> Record {
        let mut record = Record::default();
        record.set_peer(peer);
        record
    }

    /// Notes that more is known of whom the connection is from.
    pub(in crate::shard) fn set_peer(&mut self, peer: &Peer) {
        let ip = match peer.client {
            Some(SocketAddr::V4(client)) => client.ip().to_ipv6_mapped(),
            Some(SocketAddr::V6(client)) => *client.ip(),
            None => Ipv6Addr::UNSPECIFIED,
        };
        self.ip = ip.octets();
        self.port = peer.client.map_or(0, |client| client.port());
        self.subscriptions[2] &= !PROXY;
        self.subscriptions[2] |= if peer.is_proxy { PROXY } else { 0 };
    }

    /// Notes that it is a stream from now on.
    pub(in crate::shard) fn begin(&mut self, policy: Policy, now_ns: u64, joined_at: u32) {
        self.joined_at = joined_at;
        let now_ms = now_ns / 1_000_000;
        self.policy = policy;
        (self.since_ms, self.since_ms_high) = (now_ms as u32, (now_ms >> 32) as u8);
    }

    /// Notes its tag, and what its authorizer has of it.
    pub(in crate::shard) fn set_label(&mut self, tag: Option<&Arc<str>>, lease: Option<&Lease>) {
        let label = || Box::new(Label { tag: tag.cloned(), _lease: lease.cloned() });
        self.label = (tag.is_some() || lease.is_some()).then(label);
    }

    /// The peer's address, as it is written in IPv4 if it can be.
    pub(in crate::shard) fn addr(&self) -> Option<SocketAddr> {
        let ip = Ipv6Addr::from(self.ip);
        (!ip.is_unspecified()).then(|| SocketAddr::new(ip.to_canonical(), self.port))
    }

    pub(in crate::shard) fn network(&self) -> Network {
        match self.subscriptions[2] & PROXY {
            0 => Network::from(self.addr()),
            _ => Network::NONE,
        }
    }

    /// How many subscriptions are reserved for it, which are released when it ends.
    pub(in crate::shard) fn subscriptions(&self) -> usize {
        let [low, middle, high] = self.subscriptions;
        u32::from_le_bytes([low, middle, high & !PROXY, 0]) as usize
    }

    pub(in crate::shard) fn set_subscriptions(&mut self, count: usize) {
        debug_assert!(count < 1 << 23, "a connection has 65,536 subscriptions at most");
        let [low, middle, high, _] = (count as u32).to_le_bytes();
        self.subscriptions = [low, middle, high | self.subscriptions[2] & PROXY];
    }

    pub(in crate::shard) fn tag(&self) -> Option<&Arc<str>> {
        self.label.as_ref()?.tag.as_ref()
    }

    /// When it became a stream, in milliseconds since the hub's start.
    pub(in crate::shard) fn since_ms(&self) -> u64 {
        u64::from(self.since_ms_high) << 32 | u64::from(self.since_ms)
    }

    /// For how long it has been a stream, in milliseconds.
    pub(in crate::shard) fn age_ms(&self, now_ns: u64) -> u64 {
        (now_ns / 1_000_000).saturating_sub(self.since_ms())
    }

    /// What it was sent, less what follows from its position.
    pub(in crate::shard) fn base(&self) -> Sent {
        self.base
    }

    pub(in crate::shard) fn set_base(&mut self, base: Sent) {
        self.base = base;
    }

    /// Counts what it was sent otherwise than from its audience's queue.
    pub(in crate::shard) fn count_sent(&mut self, sent: Sent) {
        self.base = self.base + sent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_addresses_of_both_families_and_times_of_years() {
        for addr in ["192.0.2.1:65535", "[2001:db8::1]:1"] {
            let addr: SocketAddr = addr.parse().unwrap();
            assert_eq!(Record::new(&Peer::known(Some(addr))).addr(), Some(addr));
        }
        assert_eq!(Record::new(&Peer::known(None)).addr(), None);
        let mut record = Record::new(&Peer::known("[::ffff:192.0.2.1]:80".parse().ok()));
        assert_eq!(record.addr(), "192.0.2.1:80".parse().ok());
        record.set_subscriptions(65_536);
        assert_eq!(record.subscriptions(), 65_536);
        let year_ns = 365 * 24 * 60 * 60 * 1_000_000_000;
        record.begin(Policy::default(), 10 * year_ns, 0);
        record.set_label(Some(&Arc::from("tag")), None);
        assert_eq!(record.age_ms(10 * year_ns + 7_000_000), 7);
        assert_eq!(record.tag().map(|tag| &**tag), Some("tag"));
    }

    #[test]
    fn a_proxy_is_counted_by_no_address_until_its_client_is_known() {
        let proxy = Peer { is_proxy: true, ..Peer::known("192.0.2.1:80".parse().ok()) };
        let mut record = Record::new(&proxy);
        record.set_subscriptions(65_536);
        assert!(record.network() == Network::NONE && record.subscriptions() == 65_536);
        assert_eq!(record.addr(), proxy.client);
        let client = Peer::known("192.0.2.2:1".parse().ok());
        record.set_peer(&client);
        assert!(record.network() == client.network() && record.subscriptions() == 65_536);
        assert_eq!(record.addr(), client.client);
    }
}
