//! Connections without sockets: for benchmarks, which ask what the engine itself costs, and for
//! tests.

use std::net::{Ipv4Addr, SocketAddr};
#[cfg(feature = "internals")]
use std::sync::Arc;

#[cfg(feature = "internals")]
use crate::envelope::Envelope;
#[cfg(feature = "internals")]
use crate::frame::Wire;
#[cfg(feature = "internals")]
use crate::order::Published;
use crate::shard::connection::peer::Peer;
use crate::shard::connection::record::Record;
use crate::shard::connection::{Connection, State};
use crate::shard::{Shard, StreamRequest};
#[cfg(feature = "internals")]
use crate::tuning::ShardTuning;

pub(crate) use crate::shard::connection::slots::Key;
pub(crate) use crate::shard::connection::Sink;
#[cfg(feature = "internals")]
pub(crate) use crate::shard::{
    checksum::Checksum, connection::slots::Slots, fanout::audience::Audience,
};

impl Shard {
    /// Has a sink join as a connection does when its request has been read. `None` when there
    /// are too many connections.
    pub(crate) fn join_sink(&mut self, sink: Sink, request: &StreamRequest) -> Option<Key> {
        let peer = Peer::known(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 1))));
        let (limits, wished_max) =
            (&self.shared.connection_limits, self.shared.options.connections_max);
        limits.reserve_without_descriptor(wished_max, peer.network()).ok()?;
        let connection = Connection { sink, state: State::Leaving };
        let mut record = Record::new(&peer);
        record.set_subscriptions(request.wanted.len());
        let key = self.connections.insert(connection, record);
        self.link().counters.pending_connections.add(1);
        self.shared.subscription_limits.reserve_anyway(peer.network(), request.wanted.len());
        self.join(key.index, request);
        Some(key)
    }
}

/// An audience without members, of a shard that has no other.
#[cfg(feature = "internals")]
pub(crate) fn audience(wire: Wire, envelope: Envelope) -> Audience {
    Audience::new(Box::new([0]), wire, envelope, 0, ShardTuning::default().ring_runs_max)
}

#[cfg(feature = "internals")]
impl Shard {
    /// What a counting sink was sent; `None` for what is none, or has ended.
    pub(crate) fn checksum(&mut self, key: Key) -> Option<Checksum> {
        match self.connections.get_mut(key)?.sink {
            Sink::Counting(checksum) => Some(checksum),
            _ => None,
        }
    }

    /// Takes out of the inbox what was published, so that it is never sent.
    pub(crate) fn take_published(&mut self) -> Vec<Arc<Published>> {
        let mut published = Vec::new();
        self.link().inbox.take(&mut published);
        published
    }

    /// Ends a connection, if it has not ended yet, as when its client has closed it.
    pub(crate) fn end_sink(&mut self, key: Key) {
        if self.connections.get_mut(key).is_some() {
            self.disconnect(key.index, crate::metrics::DisconnectReason::ClientClosed);
        }
    }
}
