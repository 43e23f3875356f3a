//! Streams that their authorizers end, from any thread.

use std::sync::Arc;
use std::time::Duration;

use crate::authorizer::Lease;
use crate::shard::Shard;

/// The number of streams that one turn ends.
const ENDS_MAX: usize = 64;

impl Shard {
    /// Tells a stream's lease, if it has one, that the stream has begun, and how to end it.
    pub(in crate::shard) fn begin_lease(&self, index: u32, lease: Option<&Lease>) {
        let Some(lease) = lease else { return };
        // Whoever has the lease may have it for longer than the hub lives.
        let (shared, id) = (Arc::downgrade(&self.shared), self.id);
        let key = self.connections.key_at(index);
        lease.begun(Box::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.links[id].end(key);
            }
        }));
    }

    /// Ends streams as their leases say; those that have ended meanwhile are gone.
    pub(in crate::shard) fn end_by_leases(&mut self) {
        for _ in 0..ENDS_MAX {
            let Ok(key) = self.link().ended.try_recv() else { return };
            let connection = self.connections.get_mut(key);
            if connection.is_some_and(|connection| connection.audience().is_some()) {
                self.kick(key.index, Duration::ZERO);
            }
        }
    }
}
