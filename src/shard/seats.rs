//! The bounds on connections, over all shards: in all, and per address.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::connection::Network;

/// Who may sit down. A connection has a seat from its being accepted to its end.
///
/// Whoever comes beyond the bound can still be told so, which takes a connection: there is some
/// standing room for that, and whoever comes beyond it is closed unread.
pub(crate) struct Seats {
    seats_max: usize,
    /// Zero for no bound.
    per_network_max: usize,
    taken: AtomicUsize,
    networks: Mutex<HashMap<Network, usize>>,
}

impl Seats {
    pub(crate) fn new(seats_max: usize, per_network_max: usize) -> Seats {
        let (taken, networks) = (AtomicUsize::new(0), Mutex::default());
        Seats { seats_max, per_network_max, taken, networks }
    }

    /// Takes a seat, or a place to stand; false when there is neither.
    pub(crate) fn take(&self, network: Network) -> bool {
        let standing_room = |seats: usize| seats.saturating_add(seats / 8 + 16);
        if self.taken.fetch_add(1, Ordering::Relaxed) >= standing_room(self.seats_max) {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        if self.per_network_max > 0 {
            let mut networks = self.networks();
            let taken = networks.entry(network).or_insert(0);
            if *taken >= standing_room(self.per_network_max) {
                drop(networks);
                self.taken.fetch_sub(1, Ordering::Relaxed);
                return false;
            }
            *taken += 1;
        }
        true
    }

    /// Whether someone of this network who is here already is beyond the bounds.
    pub(crate) fn is_crowded(&self, network: Network) -> bool {
        self.taken.load(Ordering::Relaxed) > self.seats_max
            || self.per_network_max > 0
                && self.networks().get(&network).is_some_and(|&taken| taken > self.per_network_max)
    }

    pub(crate) fn give_back(&self, network: Network) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        if self.per_network_max > 0 {
            let mut networks = self.networks();
            if let Some(taken) = networks.get_mut(&network) {
                *taken -= 1;
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
    fn whoever_comes_beyond_the_bound_stands_and_beyond_that_is_refused() {
        let seats = Seats::new(8, 0);
        assert!((0..8).all(|n| seats.take(network(n)) && !seats.is_crowded(network(n))));
        assert!((0..17).all(|_| seats.take(network(1)) && seats.is_crowded(network(1))));
        assert!(!seats.take(network(2)));
        (0..18).for_each(|_| seats.give_back(network(1)));
        assert!(seats.take(network(2)) && !seats.is_crowded(network(2)));
    }

    #[test]
    fn one_network_does_not_take_the_seats_of_another() {
        let seats = Seats::new(1000, 2);
        assert!((0..3).all(|_| seats.take(network(1))));
        assert!(seats.is_crowded(network(1)));
        assert!(seats.take(network(2)) && !seats.is_crowded(network(2)));
        (0..3).for_each(|_| seats.give_back(network(1)));
        assert!(!seats.is_crowded(network(1)));
        assert_eq!(seats.networks().len(), 1);
    }
}
