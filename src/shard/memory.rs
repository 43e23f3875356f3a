//! Memory goes back to the system after many connections have ended ([`peak`](super::peak)).

use crate::shard::Shard;
use crate::sys;

impl Shard {
    /// Gives memory back if a peak is over.
    pub(in crate::shard) fn release_memory(&mut self) {
        if !self.peak.is_due(self.connections.len(), self.now_ns) {
            return;
        }
        self.audiences.release_memory();
        self.scheduler.release_memory();
        self.shared.order.shrink();
        sys::release_memory();
    }

    /// Whether memory is to be given back although no connection is left.
    pub(in crate::shard) fn has_memory_to_release(&self) -> bool {
        self.peak.is_over(self.connections.len())
    }
}
