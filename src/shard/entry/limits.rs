//! The limits that all shards of a hub share: on connections, and on subscriptions, each in all and
//! per address.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::shard::connection::Network;
use crate::shard::counted::WithoutDescriptor;

/// How many connections there may be. A connection counts from its being accepted to its end.
///
/// A client that comes beyond the limit can still be told so, which takes a connection: the
/// overflow is for that. A client that comes beyond the overflow is turned away at once.
pub(crate) struct ConnectionLimits {
    /// That of connections with a descriptor and without.
    wished_max: usize,
    max: usize,
    /// With the overflow.
    accepted_max: usize,
    taken: Taken,
    /// How many of them have no descriptor.
    without_descriptor: Arc<AtomicUsize>,
}

/// How many topics and filters all connections may ask for, each counted with each connection. A
/// connection takes little memory; each topic that it alone asks for takes several times as much.
pub(crate) struct SubscriptionLimits {
    max: usize,
    taken: Taken,
}

/// What limit a connection is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// That of all connections.
    Total,
    /// That of its address.
    Address,
}

/// What is taken of a limit, in all and by each network. [`Network::NONE`] has no limit of its own.
struct Taken {
    total: AtomicUsize,
    /// Zero for no limit.
    per_network_max: usize,
    networks: Mutex<HashMap<Network, usize>>,
}

impl ConnectionLimits {
    /// With the limit and its overflow, no more are taken than this many descriptors.
    pub(crate) fn new(wished_max: usize, per_network_max: usize, descriptors: usize) -> Self {
        let max = wished_max.min(max_within(descriptors));
        let accepted_max = with_overflow(max).min(descriptors.max(max + 1));
        let taken = Taken::new(per_network_max);
        ConnectionLimits {
            wished_max,
            max,
            accepted_max,
            taken,
            without_descriptor: Arc::default(),
        }
    }

    /// The limit in force, with the connections beside it that need no descriptor.
    fn max_with_all(&self) -> usize {
        let without = self.without_descriptor.load(Ordering::Relaxed);
        self.max.saturating_add(without).min(self.wished_max)
    }

    /// The limit in force for those that need a descriptor.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// How many more are accepted, to be told that the limit is reached.
    pub(crate) fn overflow(&self) -> usize {
        self.accepted_max - self.max
    }

    /// Whether some connections are beyond the limit.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.taken.total() > self.max_with_all()
    }

    /// Whether a connection of this network, which is counted already, is beyond a limit.
    pub(crate) fn is_exceeded_for(&self, network: Network) -> bool {
        let per_network_max = self.taken.per_network_max;
        self.is_exceeded()
            || per_network_max > 0 && self.taken.by_network(network) > per_network_max
    }

    /// Counts a connection, unless it is beyond the overflow as well.
    pub(crate) fn reserve(&self, network: Network) -> Result<(), Exceeded> {
        let without = self.without_descriptor.load(Ordering::Relaxed);
        let accepted_max = self.accepted_max.saturating_add(without);
        self.reserve_of(accepted_max.min(with_overflow(self.wished_max)), network)
    }

    /// Counts a connection, unless it is beyond a limit.
    pub(crate) fn reserve_within(&self, network: Network) -> Result<(), Exceeded> {
        self.taken.reserve(network, 1, self.max_with_all(), self.taken.per_network_max)
    }

    /// Counts a connection that needs no descriptor, unless it is beyond a limit.
    pub(crate) fn reserve_pull(&self, network: Network) -> Result<WithoutDescriptor, Exceeded> {
        self.taken.reserve(network, 1, self.wished_max, self.taken.per_network_max)?;
        Ok(WithoutDescriptor::new(&self.without_descriptor))
    }

    /// The same for a sink of a benchmark or a test, whose end the overflow takes as well.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn reserve_without_descriptor(
        &self,
        wished_max: usize,
        network: Network,
    ) -> Result<(), Exceeded> {
        self.reserve_of(with_overflow(wished_max), network)
    }

    fn reserve_of(&self, accepted_max: usize, network: Network) -> Result<(), Exceeded> {
        self.taken.reserve(network, 1, accepted_max, with_overflow(self.taken.per_network_max))
    }

    /// Counts a connection, which is counted by the network `from`, by another, unless that one is
    /// beyond the overflow.
    pub(crate) fn change(&self, from: Network, to: Network) -> Result<(), Exceeded> {
        self.taken.change(from, to, with_overflow(self.taken.per_network_max))
    }

    /// A connection that was counted has ended.
    pub(crate) fn release(&self, network: Network) {
        self.taken.release(network, 1);
    }
}

impl SubscriptionLimits {
    pub(crate) fn new(max: usize, per_network_max: usize) -> Self {
        SubscriptionLimits { max, taken: Taken::new(per_network_max) }
    }

    /// How many subscriptions are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.total()
    }

    /// Takes all subscriptions of a connection or, at a limit, none of them.
    pub(crate) fn reserve(&self, network: Network, count: usize) -> Result<(), Exceeded> {
        self.taken.reserve(network, count, self.max, self.taken.per_network_max)
    }

    /// Takes all subscriptions whatever the limits are: what the host asks for.
    pub(crate) fn reserve_anyway(&self, network: Network, count: usize) {
        self.taken.reserve_anyway(network, count);
    }

    pub(crate) fn release(&self, network: Network, count: usize) {
        self.taken.release(network, count);
    }
}

impl Taken {
    fn new(per_network_max: usize) -> Taken {
        Taken { total: AtomicUsize::new(0), per_network_max, networks: Mutex::default() }
    }

    fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    fn by_network(&self, network: Network) -> usize {
        self.networks().get(&network).copied().unwrap_or(0)
    }

    /// Takes all of `count`, or nothing where that would be more than a maximum.
    fn reserve(
        &self,
        network: Network,
        count: usize,
        max: usize,
        per_network_max: usize,
    ) -> Result<(), Exceeded> {
        if self.total.fetch_add(count, Ordering::Relaxed) + count > max {
            self.total.fetch_sub(count, Ordering::Relaxed);
            return Err(Exceeded::Total);
        }
        if self.is_limited(network) {
            let mut networks = self.networks();
            let before = networks.get(&network).copied().unwrap_or(0);
            if before + count > per_network_max {
                drop(networks);
                self.total.fetch_sub(count, Ordering::Relaxed);
                return Err(Exceeded::Address);
            }
            networks.insert(network, before + count);
        }
        Ok(())
    }

    fn reserve_anyway(&self, network: Network, count: usize) {
        self.total.fetch_add(count, Ordering::Relaxed);
        if self.is_limited(network) {
            *self.networks().entry(network).or_default() += count;
        }
    }

    /// Takes one of one network less and one of another more, or nothing where that would be more
    /// than the maximum.
    fn change(&self, from: Network, to: Network, per_network_max: usize) -> Result<(), Exceeded> {
        if from == to || self.per_network_max == 0 {
            return Ok(());
        }
        let mut networks = self.networks();
        if self.is_limited(to) {
            let before = networks.get(&to).copied().unwrap_or(0);
            if before + 1 > per_network_max {
                return Err(Exceeded::Address);
            }
            networks.insert(to, before + 1);
        }
        if self.is_limited(from) {
            give_back(&mut networks, from, 1);
        }
        Ok(())
    }

    fn release(&self, network: Network, count: usize) {
        self.total.fetch_sub(count, Ordering::Relaxed);
        if self.is_limited(network) {
            give_back(&mut self.networks(), network, count);
        }
    }

    fn is_limited(&self, network: Network) -> bool {
        self.per_network_max > 0 && network != Network::NONE
    }

    fn networks(&self) -> MutexGuard<'_, HashMap<Network, usize>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn give_back(networks: &mut HashMap<Network, usize>, network: Network, count: usize) {
    if let Some(taken) = networks.get_mut(&network) {
        *taken -= count;
        if *taken == 0 {
            networks.remove(&network);
        }
    }
}

fn with_overflow(max: usize) -> usize {
    max.saturating_add(max / 8 + 16)
}

/// Where descriptors are the limit, no more of them than this are overflow, and 16.
const OVERFLOW_MAX: usize = 240;
/// The most descriptors that are left for whatever else a process does.
const RESERVE_MAX: usize = 640;

/// The most connections that, with their overflow, take no more than this many descriptors; where
/// these are few, half of them.
fn max_within(descriptors: usize) -> usize {
    let most = descriptors.saturating_sub(16);
    (most - most.div_ceil(9).min(OVERFLOW_MAX)).max(descriptors / 2).max(1)
}

/// How many of the process's descriptors may be connections: not those that are open already, and
/// not a quarter of all, at most [`RESERVE_MAX`], which is for everything else that the process
/// does.
pub(crate) fn descriptors_for_connections(limit: Option<usize>, open: usize) -> usize {
    let Some(limit) = limit else { return usize::MAX };
    limit.saturating_sub(open).saturating_sub((limit / 4).clamp(16, RESERVE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn network(last: u8) -> Network {
        Some(SocketAddr::from(([192, 0, 2, last], 1))).into()
    }

    #[test]
    fn a_connection_beyond_the_limit_is_in_the_overflow_and_beyond_that_is_refused() {
        let limits = ConnectionLimits::new(8, 0, usize::MAX);
        let takes = |n| limits.reserve(network(n)).is_ok();
        assert!((0..8).all(|n| takes(n) && !limits.is_exceeded_for(network(n))));
        assert!((0..17).all(|_| takes(1) && limits.is_exceeded_for(network(1))));
        assert_eq!(limits.reserve(network(2)), Err(Exceeded::Total));
        (0..18).for_each(|_| limits.release(network(1)));
        assert!(takes(2) && !limits.is_exceeded_for(network(2)));
    }

    #[test]
    fn a_connection_that_would_be_in_the_overflow_is_not_counted_within_the_limits() {
        let limits = ConnectionLimits::new(3, 2, usize::MAX);
        let within = |n| limits.reserve_within(network(n));
        assert!(within(1).is_ok() && within(1).is_ok());
        assert_eq!(within(1), Err(Exceeded::Address));
        assert!(within(2).is_ok() && !limits.is_exceeded());
        assert_eq!(within(3), Err(Exceeded::Total));
        limits.release(network(1));
        assert!(within(3).is_ok());
        assert!(limits.reserve(network(4)).is_ok() && limits.is_exceeded());
    }

    #[test]
    fn one_network_does_not_take_the_connections_of_another() {
        let limits = ConnectionLimits::new(1000, 2, usize::MAX);
        let takes = |n| limits.reserve(network(n)).is_ok();
        assert!((0..3).all(|_| takes(1)));
        assert!(limits.is_exceeded_for(network(1)));
        assert!(takes(2) && !limits.is_exceeded_for(network(2)));
        assert!((0..15).all(|_| takes(1)));
        assert_eq!(limits.reserve(network(1)), Err(Exceeded::Address));
        (0..18).for_each(|_| limits.release(network(1)));
        assert!(!limits.is_exceeded_for(network(1)));
        assert_eq!(limits.taken.networks().len(), 1);
    }

    #[test]
    fn peers_without_an_address_are_counted_in_all_alone() {
        let limits = ConnectionLimits::new(100, 2, usize::MAX);
        assert!((0..100).all(|_| limits.reserve(Network::NONE).is_ok()));
        assert!(!limits.is_exceeded_for(Network::NONE));
        assert!((0..28).all(|_| limits.reserve(Network::NONE).is_ok()));
        assert_eq!(limits.reserve(Network::NONE), Err(Exceeded::Total));
        (0..128).for_each(|_| limits.release(Network::NONE));
        let subscriptions = SubscriptionLimits::new(100, 1);
        assert!(subscriptions.reserve(Network::NONE, 100).is_ok());
        assert_eq!(subscriptions.reserve(Network::NONE, 1), Err(Exceeded::Total));
        subscriptions.release(Network::NONE, 100);
        assert_eq!(subscriptions.taken(), 0);
    }

    #[test]
    fn a_connection_is_counted_by_one_network_at_a_time_also_when_another_refuses_it() {
        let limits = ConnectionLimits::new(1000, 1, usize::MAX);
        // The overflow is 16.
        let (client, other) = (network(1), network(2));
        for _ in 0..17 {
            limits.reserve(Network::NONE).unwrap();
            limits.change(Network::NONE, client).unwrap();
        }
        limits.reserve(Network::NONE).unwrap();
        assert_eq!(limits.change(Network::NONE, client), Err(Exceeded::Address));
        limits.change(Network::NONE, other).unwrap();
        limits.change(client, Network::NONE).unwrap();
        limits.change(other, client).unwrap();
        assert_eq!(limits.change(client, client), Ok(()));
        assert_eq!((limits.taken.total(), limits.taken.by_network(client)), (18, 17));
        limits.release(Network::NONE);
        (0..17).for_each(|_| limits.release(client));
        assert!(limits.taken.total() == 0 && limits.taken.networks().is_empty());
    }

    #[test]
    fn connections_without_a_descriptor_are_beside_those_that_descriptors_limit() {
        let limits = ConnectionLimits::new(100, 0, 20);
        let sockets = limits.max();
        assert!(sockets < 20);
        let held: Vec<_> = (0..80).map(|_| limits.reserve_pull(network(1)).ok().unwrap()).collect();
        (0..sockets).for_each(|_| assert!(limits.reserve_within(network(2)).is_ok()));
        assert!(!limits.is_exceeded() && limits.reserve_within(network(2)).is_err());
        assert!(limits.reserve(network(2)).is_ok() && limits.is_exceeded());
        (0..80).for_each(|_| limits.release(network(1)));
        drop(held);
        assert!(limits.is_exceeded(), "one more than there are descriptors for");
        (0..=sockets).for_each(|_| limits.release(network(2)));
        let held: Vec<_> = (0..100).map(|_| limits.reserve_pull(network(1))).collect();
        assert!(held.iter().all(Result::is_ok) && limits.reserve_pull(network(1)).is_err());
    }

    #[test]
    fn limit_and_overflow_are_within_the_descriptors_and_otherwise_as_wished() {
        for descriptors in (0..2000).chain([20_000, 1 << 20, usize::MAX]) {
            let limits = ConnectionLimits::new(100_000, 0, descriptors);
            assert!(limits.max() >= 1 && limits.overflow() > 0);
            assert!(limits.accepted_max <= descriptors.max(2), "{descriptors}");
            assert!(limits.max() >= (descriptors / 2).min(100_000));
        }
        let max = |descriptors| ConnectionLimits::new(100_000, 0, descriptors).max();
        assert_eq!((max(100_256), max(100_255)), (100_000, 99_999));
        assert!(max(descriptors_for_connections(Some(20_000), 40)) > 19_000);
    }

    #[test]
    fn what_is_open_and_a_reserve_are_not_for_connections() {
        assert_eq!(descriptors_for_connections(None, 10), usize::MAX);
        assert_eq!(descriptors_for_connections(Some(1024), 24), 744);
        assert_eq!(descriptors_for_connections(Some(1 << 20), 24), (1 << 20) - 24 - 640);
        assert_eq!(descriptors_for_connections(Some(20), 24), 0);
    }

    #[test]
    fn all_of_a_connections_subscriptions_are_taken_or_none() {
        let limits = SubscriptionLimits::new(100, 70);
        let takes = |n, count| limits.reserve(network(n), count).is_ok();
        assert!(takes(1, 64) && !takes(1, 7));
        assert!(takes(2, 36) && !takes(3, 1));
        limits.release(network(1), 64);
        assert!(takes(1, 6) && limits.taken() == 42);
        limits.reserve_anyway(network(2), 100);
        assert!(!takes(1, 1));
        limits.release(network(2), 136);
        limits.release(network(1), 6);
        assert!(limits.taken() == 0 && limits.taken.networks().is_empty());
    }
}
