//! One client: an entry in its shard's slab. Idle, this entry is all there is of it.

pub(in crate::shard) mod age;
pub(in crate::shard) mod connections;
pub(in crate::shard) mod leave;
pub(in crate::shard) mod record;
pub(in crate::shard) mod slots;
pub(in crate::shard) mod timer;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use crate::frame::StreamId;
#[cfg(feature = "internals")]
use crate::shard::checksum::Checksum;
use crate::shard::entry::handshake::Acceptor;
use crate::shard::lagging::skip::Missing;
use crate::shard::lagging::spill::Share;
use crate::shard::lagging::Pending;
use crate::shard::replay::Replaying;
use crate::sys::Stream;

pub(crate) struct Connection {
    pub(crate) sink: Sink,
    pub(crate) state: State,
}

/// Where a connection's bytes go.
pub(crate) enum Sink {
    Socket(Stream),
    /// A sink without a socket that takes everything, and remembers what in four bytes.
    #[cfg(feature = "internals")]
    Counting(Checksum),
    /// A sink that does what a test tells it to.
    #[cfg(test)]
    Scripted(Script),
}

#[cfg(test)]
pub(crate) type Script = Box<dyn FnMut(&[u8]) -> io::Result<usize> + Send>;

pub(crate) enum State {
    /// Its request's head is not complete yet.
    Handshaking(Box<Handshaking>),
    /// It is sent what it has missed.
    Replaying(Box<Replaying>),
    /// It is caught up with its audience.
    Live(Membership),
    /// Its socket did not take all there was for it.
    Lagging(Box<Lagging>),
    /// It was answered and is being closed; what it still sends is thrown away.
    Leaving,
}

/// What has come of a request's head so far, and through which acceptor.
pub(crate) struct Handshaking {
    pub(crate) acceptor: Arc<Acceptor>,
    pub(crate) addr: SocketAddr,
    pub(crate) head: Vec<u8>,
}

/// Where a connection stands in its audience.
#[derive(Clone, Copy)]
pub(crate) struct Membership {
    pub(crate) audience: u32,
    /// Its place in the audience's ring, or for a laggard its index in `lagging`.
    pub(crate) slot: u32,
    /// When it joined or was last sent a heartbeat, in milliseconds since the hub's start. Here
    /// and not in the entry, since here it fits in beside a tag.
    pub(crate) quiet_since_ms: u32,
}

/// How far a laggard is.
pub(crate) struct Lagging {
    pub(crate) membership: Membership,
    /// Bytes that go before anything else.
    pub(crate) pending: Option<Pending>,
    /// What it missed, which it is told when what it has begun is finished.
    pub(crate) missing: Option<Missing>,
    /// Events that go before those of the log.
    pub(crate) spill: Option<Share>,
    /// The events of the log that it is being sent in one envelope; it stands at the first.
    pub(crate) batch: Range<u64>,
    /// How many bytes were sent of the batch that is set aside, or else of the log's, the
    /// envelope's included.
    pub(crate) sent: usize,
    /// The id that its client has by now, if it has one.
    pub(crate) last: Option<StreamId>,
    /// Whether it queues for another go.
    pub(crate) queued: bool,
    /// When it fell behind or last took something, in milliseconds since the hub's start.
    pub(crate) since_ms: u32,
}

/// What a limit per address counts by: the address in IPv4, the /64 network in IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(u64);

/// The entry of an idle connection, with what the slab adds. What is known of it besides is in its
/// record. A test's own sink makes it larger.
#[cfg(all(not(test), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Option<(u32, Connection)>>() == 32);

impl Connection {
    /// The audience that it is in, if it is an event stream.
    pub(crate) fn audience(&self) -> Option<u32> {
        match &self.state {
            State::Live(membership) => Some(membership.audience),
            State::Lagging(lagging) => Some(lagging.membership.audience),
            State::Replaying(replaying) => Some(replaying.audience),
            State::Handshaking(_) | State::Leaving => None,
        }
    }

    /// Notes that its place in its audience has changed.
    pub(crate) fn set_slot(&mut self, to: u32) {
        match &mut self.state {
            State::Live(membership) => membership.slot = to,
            State::Lagging(lagging) => lagging.membership.slot = to,
            State::Handshaking(_) | State::Replaying(_) | State::Leaving => {
                unreachable!("it stands nowhere in an audience")
            }
        }
    }
}

impl State {
    /// Whether one that lags or replays queues for another go.
    pub(crate) fn queued(&mut self) -> Option<&mut bool> {
        match self {
            State::Lagging(lagging) => Some(&mut lagging.queued),
            State::Replaying(replaying) => Some(&mut replaying.queued),
            State::Handshaking(_) | State::Live(_) | State::Leaving => None,
        }
    }
}

impl Sink {
    /// Sends as much as it takes at once.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Socket(stream) => stream.send(bytes),
            #[cfg(feature = "internals")]
            Sink::Counting(checksum) => {
                checksum.add(bytes);
                Ok(bytes.len())
            }
            #[cfg(test)]
            Sink::Scripted(send) => send(bytes),
        }
    }

    pub(crate) fn socket(&self) -> Option<&Stream> {
        match self {
            Sink::Socket(stream) => Some(stream),
            #[cfg(feature = "internals")]
            Sink::Counting(_) => None,
            #[cfg(test)]
            Sink::Scripted(_) => None,
        }
    }
}

impl From<SocketAddr> for Network {
    fn from(addr: SocketAddr) -> Network {
        match addr.ip().to_canonical() {
            // No IPv6 network in use begins with 32 zero bits.
            IpAddr::V4(ip) => Network(u64::from(u32::from(ip))),
            IpAddr::V6(ip) => Network((u128::from(ip) >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_an_entry_of_at_most_48_bytes() {
        assert!(size_of::<(u32, Connection)>() <= 48, "{}", size_of::<(u32, Connection)>());
    }

    #[test]
    fn a_host_has_one_network_in_both_families() {
        let network = |addr: &str| Network::from(addr.parse::<SocketAddr>().unwrap()).0;
        assert_eq!(network("192.0.2.1:1"), network("[::ffff:192.0.2.1]:2"));
        assert_eq!(network("[2001:db8::1]:1"), network("[2001:db8::ff:2]:2"));
        assert_ne!(network("[2001:db8::1]:1"), network("[2001:db8:0:1::1]:1"));
        assert_ne!(network("192.0.2.1:1"), network("192.0.2.2:1"));
    }
}
