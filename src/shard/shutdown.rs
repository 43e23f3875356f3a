//! How far a shard is with its end: neither begun, draining, or sending what is left.

use crate::shard::admin::drain::Draining;

/// How long a closed hub goes on sending what was published before.
const FLUSH_NS_MAX: u64 = 2_000_000_000;

#[derive(Default)]
pub(in crate::shard) struct Shutdown {
    /// Once the hub is closed: until when events are still sent.
    flush_until_ns: Option<u64>,
    /// Once the hub is drained: how far that is.
    draining: Option<Draining>,
}

impl Shutdown {
    /// Whether no client is accepted any more.
    pub(in crate::shard) fn has_begun(&self) -> bool {
        self.is_closing() || self.draining.is_some()
    }

    /// The hub is closed: what was published before is sent for a while.
    pub(in crate::shard) fn begin_to_close(&mut self, now_ns: u64) {
        self.flush_until_ns = Some(now_ns.saturating_add(FLUSH_NS_MAX));
    }

    pub(in crate::shard) fn is_closing(&self) -> bool {
        self.flush_until_ns.is_some()
    }

    /// Until when a closed hub's events are still sent.
    pub(in crate::shard) fn flush_until_ns(&self) -> Option<u64> {
        self.flush_until_ns
    }

    /// Notes how far the shard is with the drain of its hub, which begins with the first call.
    pub(in crate::shard) fn set_draining(&mut self, draining: Draining) {
        self.draining = Some(draining);
    }

    /// How far the shard is with the drain of its hub, if that has begun.
    pub(in crate::shard) fn draining(&self) -> Option<Draining> {
        self.draining
    }
}
