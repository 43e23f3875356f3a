//! Members of audiences: connections that are sent each event with the others.

use crate::shard::Shard;

impl Shard {
    /// Takes care that everything up to a number is in the audiences' queues, and returns the number.
    pub(in crate::shard) fn take_all(&mut self) -> u64 {
        let number = self.shared.order.sequence().max(self.taken_to);
        self.take_inbox();
        number
    }
}
