//! A connection that a host hands over, on its way to a shard.

use crate::order::Moment;
use crate::shard::connection::peer::Peer;
use crate::shard::entry::handshake::StreamRequest;
use crate::sys::Stream;

/// A connection that the limits count already, with its subscriptions.
pub(crate) struct Adopted {
    pub(crate) stream: Stream,
    pub(crate) peer: Peer,
    pub(crate) reply: Reply,
    /// When the host handed it over.
    pub(crate) asked_at: Moment,
}

/// What the client of an adopted connection is sent.
pub(crate) enum Reply {
    Stream(StreamRequest),
    /// Something whole, after which the connection is closed.
    Answer(Vec<u8>),
}

/// Why no shard has taken a connection.
pub(crate) enum Refused {
    /// No client is accepted any more, or no shard is left.
    Closed,
    /// Each shard has too many commands waiting.
    Busy,
    /// The option whose limit is reached.
    Limit(&'static str),
}

impl Reply {
    /// How many subscriptions the connection has.
    pub(in crate::shard) fn subscriptions(&self) -> usize {
        match self {
            Reply::Stream(request) => request.wanted.len(),
            Reply::Answer(_) => 0,
        }
    }
}
