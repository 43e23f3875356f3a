//! The bounds on connections, over all shards: in all, and per address.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::shard::connection::Network;

/// Who may sit down. A connection has a seat from its being accepted to its end.
///
/// A client that comes beyond the bound can still be told so, which takes a connection: there is some
/// standing room for that, and a client that comes beyond it is turned away at once.
pub(crate) struct Seats {
    seats_max: usize,
    /// Seats and standing room.
    places_max: usize,
    /// Zero for no bound.
    per_network_max: usize,
    taken: AtomicUsize,
    networks: Mutex<HashMap<Network, usize>>,
}

impl Seats {
    /// Of so many descriptors none is left when all seats and all standing room are taken.
    pub(crate) fn new(wished_max: usize, per_network_max: usize, descriptors: usize) -> Seats {
        let (taken, networks) = (AtomicUsize::new(0), Mutex::default());
        let seats_max = wished_max.min(seats_within(descriptors));
        let places_max = with_standing_room(seats_max).min(descriptors.max(seats_max + 1));
        Seats { seats_max, places_max, per_network_max, taken, networks }
    }

    /// The bound in force.
    pub(crate) fn max(&self) -> usize {
        self.seats_max
    }

    /// How much standing room there is.
    pub(crate) fn standing_room(&self) -> usize {
        self.places_max - self.seats_max
    }

    /// Whether all seats are taken, so that some stand.
    pub(crate) fn are_taken(&self) -> bool {
        self.taken.load(Ordering::Relaxed) > self.seats_max
    }

    /// Takes a seat, or a place to stand; false when there is neither.
    pub(crate) fn take(&self, network: Network) -> bool {
        self.take_of(self.places_max, network)
    }

    /// The same for what has no descriptor.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn take_without_descriptor(&self, wished_max: usize, network: Network) -> bool {
        self.take_of(with_standing_room(wished_max), network)
    }

    fn take_of(&self, places_max: usize, network: Network) -> bool {
        if self.taken.fetch_add(1, Ordering::Relaxed) >= places_max {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        if self.per_network_max > 0 {
            let mut networks = self.networks();
            let taken = networks.entry(network).or_insert(0);
            if *taken >= with_standing_room(self.per_network_max) {
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
        self.are_taken()
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

fn with_standing_room(seats: usize) -> usize {
    seats.saturating_add(seats / 8 + 16)
}

/// Where descriptors are the bound, no more of them than this are standing room, and 16.
const STANDING_MAX: usize = 240;
/// The most descriptors that are left for whatever else a process does.
const RESERVE_MAX: usize = 640;

/// The most seats that, with their standing room, take no more than so many descriptors; where
/// these are few, half of them.
fn seats_within(descriptors: usize) -> usize {
    let most = descriptors.saturating_sub(16);
    (most - most.div_ceil(9).min(STANDING_MAX)).max(descriptors / 2).max(1)
}

/// How many of the process's descriptors may be connections: not those that are open already, and
/// not a quarter of all, at most [`RESERVE_MAX`], which is for whatever else the process does.
pub(crate) fn descriptors_for_connections(limit: Option<usize>, open: usize) -> usize {
    let Some(limit) = limit else { return usize::MAX };
    limit.saturating_sub(open).saturating_sub((limit / 4).clamp(16, RESERVE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn network(last: u8) -> Network {
        SocketAddr::from(([192, 0, 2, last], 1)).into()
    }

    #[test]
    fn a_client_beyond_the_bound_stands_and_beyond_that_is_refused() {
        let seats = Seats::new(8, 0, usize::MAX);
        assert!((0..8).all(|n| seats.take(network(n)) && !seats.is_crowded(network(n))));
        assert!((0..17).all(|_| seats.take(network(1)) && seats.is_crowded(network(1))));
        assert!(!seats.take(network(2)));
        (0..18).for_each(|_| seats.give_back(network(1)));
        assert!(seats.take(network(2)) && !seats.is_crowded(network(2)));
    }

    #[test]
    fn one_network_does_not_take_the_seats_of_another() {
        let seats = Seats::new(1000, 2, usize::MAX);
        assert!((0..3).all(|_| seats.take(network(1))));
        assert!(seats.is_crowded(network(1)));
        assert!(seats.take(network(2)) && !seats.is_crowded(network(2)));
        (0..3).for_each(|_| seats.give_back(network(1)));
        assert!(!seats.is_crowded(network(1)));
        assert_eq!(seats.networks().len(), 1);
    }

    #[test]
    fn seats_and_standing_room_are_within_the_descriptors_and_otherwise_as_wished() {
        for descriptors in (0..2000).chain([20_000, 1 << 20, usize::MAX]) {
            let seats = Seats::new(100_000, 0, descriptors);
            assert!(seats.seats_max >= 1 && seats.places_max > seats.seats_max);
            assert!(seats.places_max <= descriptors.max(2), "{descriptors}");
            assert!(seats.seats_max >= (descriptors / 2).min(100_000));
        }
        assert_eq!(Seats::new(100_000, 0, 100_256).max(), 100_000);
        assert_eq!(Seats::new(100_000, 0, 100_255).max(), 99_999);
        assert!(
            Seats::new(100_000, 0, descriptors_for_connections(Some(20_000), 40)).max() > 19_000
        );
    }

    #[test]
    fn what_is_open_and_a_reserve_are_not_for_connections() {
        assert_eq!(descriptors_for_connections(None, 10), usize::MAX);
        assert_eq!(descriptors_for_connections(Some(1024), 24), 744);
        assert_eq!(descriptors_for_connections(Some(1 << 20), 24), (1 << 20) - 24 - 640);
        assert_eq!(descriptors_for_connections(Some(20), 24), 0);
    }
}
