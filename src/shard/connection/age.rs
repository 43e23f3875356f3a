//! How connections end that are too old: so that clients spread anew over servers that have come or
//! gone, a few at a time.
//!
//! The age that a connection may reach is derived from its id, so that nothing is kept for it, and
//! connections that were made at once do not end at once. The sweep finds a connection that is too
//! old. It is disconnected when it has been sent everything, and after a quarter of
//! `connection_age_max` more in any case.

use crate::lifecycle::ConnectionId;
use crate::metrics::DisconnectReason;
use crate::shard::connection::State;
use crate::shard::Shard;

/// By what share of `connection_age_max` connections get older than that, at most.
const SPREAD: f64 = 0.25;

impl Shard {
    /// Sends a stream away that is too old; false if it may stay, and is there.
    pub(in crate::shard) fn retire(&mut self, index: u32) -> bool {
        let connection_age_max = self.shared.options.connection_age_max;
        if connection_age_max.is_zero() || self.shutdown.draining().is_some() {
            return false;
        }
        let age_max_ms = connection_age_max.as_millis() as u64;
        let age_ms = self.record(index).age_ms(self.now_ns);
        if age_ms < age_max_ms {
            return false;
        }
        let overdue_ms = age_ms.checked_sub(lifetime_ms(self.id_of(index), age_max_ms));
        let may_wait = overdue_ms.is_some_and(|ms| ms <= age_max_ms / 4);
        let flushes = match &self.connections[index].state {
            // It ends by itself, and its client is not to come back.
            State::Live(membership) if self.audiences[membership.audience].is_complete() => false,
            State::Live(membership) if may_wait => {
                let audience = &self.audiences[membership.audience];
                audience.ring.position_of(membership.slot) == audience.queue.end()
            }
            State::Live(membership)
                if overdue_ms.is_some()
                    && self.audiences[membership.audience].waits_at_gate(membership.slot) =>
            {
                // The next visit finds it without anything that waits.
                self.send_waiting(index);
                return true;
            }
            State::Live(_) => overdue_ms.is_some(),
            State::Lagging(_) | State::Replaying(_) => overdue_ms.is_some() && !may_wait,
            State::Handshaking(_) | State::Leaving => false,
        };
        if flushes {
            let retry = self.shared.options.retry;
            let _ = self.say_farewell(index, retry);
            self.disconnect(index, DisconnectReason::Aged);
        }
        flushes
    }
}

/// How old a connection gets.
fn lifetime_ms(id: ConnectionId, age_max_ms: u64) -> u64 {
    let share = fastrand::Rng::with_seed(id.to_u64()).f64() * SPREAD;
    age_max_ms + (age_max_ms as f64 * share) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_come_at_once_get_differently_old() {
        let mut quarters = [0; 4];
        for nth in 0..1_000 {
            let lifetime_ms = lifetime_ms(ConnectionId::new(1 + nth, 0, nth), 1_000_000);
            assert!((1_000_000..1_250_000).contains(&lifetime_ms), "{lifetime_ms}");
            quarters[(lifetime_ms - 1_000_000) as usize * 4 / 250_000] += 1;
        }
        assert!(quarters.iter().all(|&count| (200..300).contains(&count)), "{quarters:?}");
    }
}
