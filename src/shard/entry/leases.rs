//! Streams that their authorizers end, from any thread.

use std::sync::Arc;
use std::time::Duration;

use crate::authorizer::Lease;
use crate::shard::connection::slots::Key;
use crate::shard::{Shard, Told};

impl Shard {
    /// Tells a stream's lease, if it has one, that the stream has begun, and how to end it.
    pub(in crate::shard) fn begin_lease(&self, index: u32, lease: Option<&Lease>) {
        let Some(lease) = lease else { return };
        // An authorizer may keep the lease for longer than the hub lives.
        let (shared, id) = (Arc::downgrade(&self.shared), self.id);
        let key = self.connections.key_at(index);
        lease.begun(Box::new(move || {
            if let Some(shared) = shared.upgrade() {
                // Without a shard it has ended.
                let _ = shared.links[id].tell(Told::Ends(key));
            }
        }));
    }

    /// Ends a stream as its lease says, if it has not ended meanwhile.
    pub(in crate::shard) fn end_by_lease(&mut self, key: Key) {
        let connection = self.connections.get_mut(key);
        if connection.is_some_and(|connection| connection.audience().is_some()) {
            self.kick(key.index, Duration::ZERO);
        }
    }
}
