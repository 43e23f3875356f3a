//! One client: an entry in its shard's slab. Idle, this entry is all there is of it.

pub(in crate::shard) mod age;
pub(in crate::shard) mod connections;
pub(in crate::shard) mod count;
pub(in crate::shard) mod expiries;
pub(in crate::shard) mod expiry;
pub(in crate::shard) mod finish;
pub(in crate::shard) mod leave;
pub(in crate::shard) mod member;
pub(in crate::shard) mod membership;
pub(in crate::shard) mod peer;
pub(in crate::shard) mod pending;
pub(in crate::shard) mod pulls;
pub(in crate::shard) mod record;
pub(in crate::shard) mod resume;
pub(in crate::shard) mod sent;
pub(in crate::shard) mod slots;
pub(in crate::shard) mod tick;
pub(in crate::shard) mod timers;

use std::io;
use std::sync::Arc;

use crate::authorizer::Waiting;
#[cfg(feature = "internals")]
use crate::shard::checksum::Checksum;
use crate::shard::connection::membership::Membership;
pub(crate) use crate::shard::connection::peer::{Network, Peer};
use crate::shard::connection::pulls::{Outgoing, Pulls};
use crate::shard::entry::handshake::{Acceptor, Content};
use crate::shard::lagging::state::Lagging;
use crate::shard::replay::state::Replaying;
use crate::sys::Stream;

pub(crate) struct Connection {
    pub(crate) sink: Sink,
    pub(crate) state: State,
}

/// Where a connection's bytes go.
pub(crate) enum Sink {
    Socket(Stream),
    /// A queue that the host reads: its index among the shard's.
    Pull(u32),
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
    /// Its request is not complete yet.
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

/// What has come of a request so far, and through which acceptor.
pub(crate) struct Handshaking {
    pub(crate) acceptor: Arc<Acceptor>,
    pub(crate) peer: Peer,
    pub(crate) head: Vec<u8>,
    pub(crate) progress: Progress,
}

/// How far a request is.
pub(crate) enum Progress {
    /// Its head is not complete.
    Head,
    /// Its head is complete, and more of its content is to come.
    Content(Box<dyn Content>),
    /// The host was asked whether it may become a stream.
    Asked(Waiting),
}

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

    /// Notes that its slot in its audience has changed.
    pub(crate) fn set_slot(&mut self, to: u32) {
        match &mut self.state {
            State::Live(membership) => membership.slot = to,
            State::Lagging(lagging) => lagging.membership.slot = to,
            // It is in none of its audience's lists.
            State::Handshaking(_) | State::Replaying(_) | State::Leaving => {}
        }
    }
}

impl State {
    pub(in crate::shard) fn lagging(&self) -> Option<&Lagging> {
        match self {
            State::Lagging(lagging) => Some(lagging),
            _ => None,
        }
    }

    /// Whether more of its request is waited for.
    pub(in crate::shard) fn is_awaited(&self) -> bool {
        matches!(self, State::Handshaking(_)) && !self.is_asked()
    }

    /// Whether it waits for the host.
    pub(in crate::shard) fn is_asked(&self) -> bool {
        match self {
            State::Handshaking(handshaking) => matches!(handshaking.progress, Progress::Asked(_)),
            _ => false,
        }
    }

    /// Whether a connection that lags or replays queues for another flush.
    pub(crate) fn queued(&mut self) -> Option<&mut bool> {
        match self {
            State::Lagging(lagging) => Some(&mut lagging.queued),
            State::Replaying(replaying) => Some(&mut replaying.queued),
            State::Handshaking(_) | State::Live(_) | State::Leaving => None,
        }
    }
}

/// Where a connection's bytes go, with what that needs of the shard.
pub(in crate::shard) struct Outlet<'a> {
    sink: &'a mut Sink,
    pulls: &'a Pulls,
}

impl Outlet<'_> {
    /// Sends as much as it takes at once.
    pub(in crate::shard) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.sink {
            Sink::Socket(stream) => stream.send(bytes),
            sink => sink.send(&mut Outgoing::new(bytes), self.pulls),
        }
    }
}

impl Sink {
    /// Sends as much as it takes at once. A queue of `pulls` takes everything or nothing.
    #[inline]
    fn send(&mut self, outgoing: &mut Outgoing<'_>, pulls: &Pulls) -> io::Result<usize> {
        match self {
            Sink::Socket(stream) => stream.send(outgoing.bytes),
            Sink::Pull(index) => pulls.put(*index, outgoing),
            #[cfg(feature = "internals")]
            Sink::Counting(checksum) => {
                checksum.add(outgoing.bytes);
                Ok(outgoing.bytes.len())
            }
            #[cfg(test)]
            Sink::Scripted(send) => send(outgoing.bytes),
        }
    }

    pub(crate) fn socket(&self) -> Option<&Stream> {
        match self {
            Sink::Socket(stream) => Some(stream),
            Sink::Pull(_) => None,
            #[cfg(feature = "internals")]
            Sink::Counting(_) => None,
            #[cfg(test)]
            Sink::Scripted(_) => None,
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
}
