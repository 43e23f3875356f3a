//! The request for a stream that the host reads itself.

use std::sync::Arc;

use crate::metrics::DisconnectReason;
use crate::order::Moment;
use crate::pull::Pull;
use crate::shard::connection::peer::Peer;
use crate::shard::connection::pulls::PullEnd;
use crate::shard::entry::handshake::StreamRequest;
use crate::shard::entry::limits::{ConnectionLimits, Exceeded, SubscriptionLimits};

/// A stream that the host reads itself and that is to begin. All limits count it already.
pub(crate) struct PullRequest {
    pub(in crate::shard) end: PullEnd,
    pub(in crate::shard) peer: Peer,
    pub(in crate::shard) request: StreamRequest,
    /// When the host asked for it.
    pub(in crate::shard) asked_at: Moment,
}

/// What limit a stream that is to begin is beyond.
pub(crate) enum Beyond {
    Connections(Exceeded),
    Subscriptions(Exceeded),
}

impl PullRequest {
    /// Counts a stream that the host reads from a queue, unless it is beyond a limit.
    pub(crate) fn reserve(
        (connections, subscriptions): (&ConnectionLimits, &SubscriptionLimits),
        asked_at: Moment,
        pull: Arc<Pull<DisconnectReason>>,
        request: StreamRequest,
        peer: Peer,
    ) -> Result<PullRequest, Beyond> {
        let network = peer.network();
        let counted = connections.reserve_pull(network).map_err(Beyond::Connections)?;
        let reserved = subscriptions.reserve(network, request.wanted.len());
        reserved.map_err(|exceeded| {
            connections.release(network);
            Beyond::Subscriptions(exceeded)
        })?;
        Ok(PullRequest { end: PullEnd::new(pull, counted), peer, request, asked_at })
    }

    /// Gives back what it counts for, and ends it.
    pub(crate) fn refuse(
        self,
        (connections, subscriptions): (&ConnectionLimits, &SubscriptionLimits),
        reason: DisconnectReason,
    ) {
        let network = self.peer.network();
        connections.release(network);
        subscriptions.release(network, self.request.wanted.len());
        self.end.end(reason);
    }
}
