//! The bound on subscriptions, over all shards: in all, and per address. A connection takes little
//! memory; each topic that it alone asks for takes several times as much.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::shard::connection::Network;

/// Topics and filters that all connections ask for, each counted with each connection.
pub(crate) struct Quota {
    max: usize,
    /// Zero for no bound.
    per_network_max: usize,
    taken: AtomicUsize,
    networks: Mutex<HashMap<Network, usize>>,
}

impl Quota {
    pub(crate) fn new(max: usize, per_network_max: usize) -> Quota {
        Quota { max, per_network_max, taken: AtomicUsize::new(0), networks: Mutex::default() }
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes all of so many, or none of them.
    pub(crate) fn take(&self, network: Network, count: usize) -> bool {
        if self.taken.fetch_add(count, Ordering::Relaxed) + count > self.max {
            self.taken.fetch_sub(count, Ordering::Relaxed);
            return false;
        }
        if self.per_network_max > 0 {
            let mut networks = self.networks();
            let before = networks.get(&network).copied().unwrap_or(0);
            if before + count > self.per_network_max {
                drop(networks);
                self.taken.fetch_sub(count, Ordering::Relaxed);
                return false;
            }
            networks.insert(network, before + count);
        }
        true
    }

    /// Takes so many whatever the bounds are: what the host asks for.
    pub(crate) fn take_anyway(&self, network: Network, count: usize) {
        self.taken.fetch_add(count, Ordering::Relaxed);
        if self.per_network_max > 0 {
            *self.networks().entry(network).or_default() += count;
        }
    }

    pub(crate) fn give_back(&self, network: Network, count: usize) {
        self.taken.fetch_sub(count, Ordering::Relaxed);
        if self.per_network_max > 0 {
            let mut networks = self.networks();
            if let Some(taken) = networks.get_mut(&network) {
                *taken -= count;
                if *taken == 0 {
                    networks.remove(&network);
                }
            }
        }
    }

    fn networks(&self) -> MutexGuard<'_, HashMap<Network, usize>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn network(last: u8) -> Network {
        SocketAddr::from(([192, 0, 2, last], 1)).into()
    }

    #[test]
    fn all_of_a_connections_subscriptions_are_taken_or_none() {
        let quota = Quota::new(100, 70);
        assert!(quota.take(network(1), 64) && !quota.take(network(1), 7));
        assert!(quota.take(network(2), 36) && !quota.take(network(3), 1));
        quota.give_back(network(1), 64);
        assert!(quota.take(network(1), 6) && quota.taken() == 42);
        quota.take_anyway(network(2), 100);
        assert!(!quota.take(network(1), 1));
        quota.give_back(network(2), 136);
        quota.give_back(network(1), 6);
        assert!(quota.taken() == 0 && quota.networks().is_empty());
    }
}
