//! Streams that a host opens for a client itself: what its options say, as a request.

use crate::filter::Subscription;
use crate::frame::Wire;
use crate::options::jittered;
use crate::shard::entry::handshake::StreamRequest;
use crate::shard::Shared;
use crate::stream_options::StreamOptions;

impl Shared {
    /// The request for a stream of these subscriptions. What its options leave open is as the hub's
    /// options have it, or the rules of its topics.
    pub(crate) fn stream_request(
        &self,
        wanted: Vec<Subscription>,
        options: StreamOptions,
        wire: Wire,
        head: Vec<u8>,
    ) -> StreamRequest {
        let hub = &self.options;
        let policy = options.policy.or_else(|| self.order.policy_of(&wanted));
        StreamRequest {
            head,
            wire,
            envelope: options.envelope,
            retry: Some(hub.retry).filter(|retry| !retry.is_zero()).map(jittered),
            resume: options.resume(),
            policy: policy.unwrap_or(hub.policy),
            heartbeat_form: options.heartbeat_form.unwrap_or(hub.heartbeat_form),
            tag: options.tag,
            expires_at: options.expires_at,
            lease: None,
            wanted,
        }
    }
}
