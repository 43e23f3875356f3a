//! How streams end whose time is over, which their grants have set.

use std::time::{Duration, SystemTime};

use crate::metrics::DisconnectReason;
use crate::shard::Shard;

/// The number of streams that one turn ends.
const ENDS_MAX: usize = 256;

impl Shard {
    /// Notes when a stream ends, if it has such a time.
    pub(in crate::shard) fn expect_expiry(&mut self, index: u32, expires_at: Option<SystemTime>) {
        if let Some(expires_at) = expires_at {
            let key = self.connections.key_at(index);
            let connections = &mut self.connections;
            self.expiries.expect(key, expires_at, |key| connections.get_mut(key).is_some());
        }
    }

    /// Ends streams whose time is over, a bounded number; true when there may be more.
    pub(in crate::shard) fn end_expired(&mut self) -> bool {
        if self.expiries.is_empty() {
            return false;
        }
        let now = SystemTime::now();
        for _ in 0..ENDS_MAX {
            let Some(key) = self.expiries.next_due(now) else { return false };
            let connection = self.connections.get_mut(key);
            if connection.is_some_and(|connection| connection.audience().is_some()) {
                // The end of its body, if its socket takes that; what waits for it is not sent.
                let _ = self.say_farewell(key.index, Duration::ZERO);
                self.disconnect(key.index, DisconnectReason::Expired);
            }
        }
        true
    }
}
