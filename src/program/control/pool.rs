//! The open connections of one listener of the control side: how many there may be, and which of
//! them is closed for a new one.
//!
//! A connection that is kept alive takes a slot although nothing is asked on it. When all slots are
//! taken, the connection that was idle longest is closed for the next that comes, as RFC 9112,
//! sections 9.3 and 9.5, allows. So no client keeps others out by opening connections, neither on
//! purpose nor with a connection pool of its own.
//!
//! A connection is *unauthorized* if its request may not publish or administer. Such requests do
//! not take long; if one does, its client is stuck. So an unauthorized connection may be closed for
//! any new one, also while a request of it is served. An authorized one is never interrupted in a
//! request, and is closed only for connections that are not unauthorized.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use smol::Task;

use super::socket::Flushed;
use crate::program::seldom::Seldom;

/// Clients can bring this about as often as they like.
static FULL: Seldom = Seldom::new();

/// What is counted of the connections of all pools.
#[derive(Debug, Default)]
pub(crate) struct PoolCounts {
    pub(super) connections: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) displaced: AtomicU64,
}

/// The connections that came through one listener.
pub(super) struct ConnectionPool {
    connections_max: usize,
    /// The most connections from one network; zero for no bound.
    per_network_max: usize,
    counts: std::sync::Arc<PoolCounts>,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<u64, Entry>,
    networks: HashMap<Network, usize>,
    /// Counts beginnings and ends of requests, to tell which connection was idle longest.
    now: u64,
}

/// One connection.
struct Entry {
    /// Serves the connection; dropping the task closes it.
    task: Option<Task<()>>,
    network: Option<Network>,
    flushed: Flushed,
    auth_state: AuthState,
    is_busy: bool,
    /// When its last request began or ended.
    since: u64,
}

/// What is known of a connection's permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthState {
    /// Its request has no permission.
    Unauthorized,
    /// It has sent no request yet.
    Unknown,
    /// Its request has permission to publish and administer.
    Authorized,
}

/// An address, or one /64 network of IPv6, which as a rule is one client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network(IpAddr);

/// A connection's slot in the pool, until it is dropped.
pub(super) struct Slot {
    pool: Rc<ConnectionPool>,
    id: u64,
}

impl ConnectionPool {
    pub(super) fn new(
        connections_max: usize,
        per_network_max: usize,
        counts: std::sync::Arc<PoolCounts>,
    ) -> Rc<ConnectionPool> {
        Rc::new(ConnectionPool {
            connections_max,
            per_network_max,
            counts,
            inner: RefCell::default(),
        })
    }

    /// Gives a new connection a slot, which may be that of another connection, which is closed;
    /// `None` if none may be closed for it. `is_busy` says that its request is there.
    pub(super) fn add(
        self: &Rc<ConnectionPool>,
        network: Option<Network>,
        auth_state: AuthState,
        is_busy: bool,
        flushed: Flushed,
    ) -> Option<Slot> {
        let inner = &mut *self.inner.borrow_mut();
        let of_network = network.filter(|_| self.per_network_max > 0);
        let count_of = |network| inner.networks.get(&network).copied().unwrap_or(0);
        let of_network = of_network.filter(|&network| count_of(network) >= self.per_network_max);
        if of_network.is_some() || inner.entries.len() >= self.connections_max {
            let Some(victim) = inner.victim(auth_state, of_network) else {
                self.count_refused(inner);
                return None;
            };
            inner.remove(victim);
            self.counts.displaced.fetch_add(1, Ordering::Relaxed);
            self.counts.connections.fetch_sub(1, Ordering::Relaxed);
        }
        inner.now += 1;
        let id = inner.now;
        if let Some(network) = network {
            *inner.networks.entry(network).or_default() += 1;
        }
        let entry = Entry { task: None, network, flushed, auth_state, is_busy, since: id };
        inner.entries.insert(id, entry);
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
        Some(Slot { pool: self.clone(), id })
    }

    /// Notes the task that serves a connection, unless it has ended already.
    pub(super) fn set_task(&self, id: u64, task: Task<()>) {
        match self.inner.borrow_mut().entries.get_mut(&id) {
            Some(entry) => entry.task = Some(task),
            None => task.detach(),
        }
    }

    fn count_refused(&self, inner: &Inner) {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        FULL.log(|more| {
            log::warn!(
                "{} control connections are busy, and one is turned away; \
                 --control-connections-max is how many there may be{more}",
                inner.entries.len()
            );
        });
    }
}

impl Inner {
    /// The connection that is closed for a new one; one of a network, if that has too many.
    fn victim(&self, auth_state: AuthState, network: Option<Network>) -> Option<u64> {
        let entries = self.entries.iter();
        let entries = entries.filter(|(_, entry)| network.is_none() || entry.network == network);
        let ranked = entries
            .filter_map(|(&id, entry)| entry.rank(auth_state).map(|rank| (rank, entry.since, id)));
        ranked.min().map(|(_, _, id)| id)
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        if let Some(network) = entry.network {
            if let Some(count) = self.networks.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    self.networks.remove(&network);
                }
            }
        }
        Some(entry)
    }
}

impl Entry {
    /// The order in which connections are closed for a new one, lowest first; `None` for never.
    fn rank(&self, other: AuthState) -> Option<u8> {
        let is_idle = !self.is_busy && self.flushed.is();
        match (self.auth_state, is_idle) {
            (AuthState::Unauthorized | AuthState::Unknown, true) => Some(0),
            (AuthState::Unauthorized | AuthState::Unknown, false) => Some(1),
            (AuthState::Authorized, true) if other != AuthState::Unauthorized => Some(2),
            (AuthState::Authorized, _) => None,
        }
    }
}

impl Slot {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// A request begins.
    pub(super) fn begin(&self, auth_state: AuthState) {
        self.note(|entry| {
            entry.auth_state = auth_state;
            entry.is_busy = true;
        });
    }

    /// A request has its answer.
    pub(super) fn end(&self) {
        self.note(|entry| entry.is_busy = false);
    }

    fn note(&self, change: impl FnOnce(&mut Entry)) {
        let inner = &mut *self.pool.inner.borrow_mut();
        inner.now += 1;
        if let Some(entry) = inner.entries.get_mut(&self.id) {
            entry.since = inner.now;
            change(entry);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let entry = self.pool.inner.borrow_mut().remove(self.id);
        if let Some(entry) = entry {
            self.pool.counts.connections.fetch_sub(1, Ordering::Relaxed);
            if let Some(task) = entry.task {
                // This very task ends.
                task.detach();
            }
        }
    }
}

impl From<IpAddr> for Network {
    fn from(addr: IpAddr) -> Network {
        match addr.to_canonical() {
            IpAddr::V6(addr) => Network(IpAddr::from((addr.to_bits() >> 64 << 64).to_be_bytes())),
            v4 => Network(v4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool_of(connections_max: usize, per_network_max: usize) -> Rc<ConnectionPool> {
        ConnectionPool::new(connections_max, per_network_max, std::sync::Arc::default())
    }

    fn add(pool: &Rc<ConnectionPool>, addr: &str, auth_state: AuthState) -> Option<Slot> {
        let network = Network::from(addr.parse::<IpAddr>().unwrap());
        pool.add(Some(network), auth_state, true, Flushed::new(true))
    }

    fn is_here(slot: &Slot) -> bool {
        slot.pool.inner.borrow().entries.contains_key(&slot.id)
    }

    #[test]
    fn the_connection_that_is_idle_longest_is_closed_for_a_new_one() {
        let pool = pool_of(3, 0);
        let slots: Vec<Slot> =
            (0..3).filter_map(|_| add(&pool, "192.0.2.1", AuthState::Authorized)).collect();
        for slot in [&slots[1], &slots[0]] {
            slot.end();
        }
        let _fourth = add(&pool, "192.0.2.1", AuthState::Authorized).unwrap();
        assert_eq!(slots.iter().map(is_here).collect::<Vec<_>>(), [true, false, true]);
        let _fifth = add(&pool, "192.0.2.1", AuthState::Unknown).unwrap();
        assert!(!is_here(&slots[0]));
        assert!(add(&pool, "192.0.2.1", AuthState::Authorized).is_some(), "the unknown one");
        assert!(is_here(&slots[2]), "it is busy");
        assert_eq!(pool.counts.displaced.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn an_unauthorized_connection_takes_no_slot_of_an_authorized_one_and_gives_up_its_own() {
        let pool = pool_of(2, 0);
        let stuck = add(&pool, "192.0.2.1", AuthState::Unauthorized).unwrap();
        let idle = add(&pool, "192.0.2.2", AuthState::Authorized).unwrap();
        idle.end();
        let next = add(&pool, "192.0.2.3", AuthState::Unauthorized).unwrap();
        assert!(!is_here(&stuck) && is_here(&idle));
        let second = add(&pool, "192.0.2.4", AuthState::Authorized).unwrap();
        assert!(!is_here(&next) && is_here(&idle) && is_here(&second));
        assert!(add(&pool, "192.0.2.5", AuthState::Unauthorized).is_none());
        assert_eq!(pool.counts.refused.load(Ordering::Relaxed), 1);
        assert_eq!(pool.counts.connections.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn connections_of_a_network_beyond_its_bound_replace_those_of_the_same_network() {
        let pool = pool_of(10, 2);
        let other = add(&pool, "192.0.2.9", AuthState::Unauthorized).unwrap();
        let own: Vec<Slot> = ["2001:db8::1", "2001:db8::2", "2001:db8::3"]
            .iter()
            .filter_map(|addr| add(&pool, addr, AuthState::Unauthorized))
            .collect();
        assert_eq!(own.iter().map(is_here).collect::<Vec<_>>(), [false, true, true]);
        assert!(is_here(&other));
        drop((own, other));
        assert!(pool.inner.borrow().networks.is_empty());
        assert_eq!(pool.counts.connections.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_connection_that_still_reads_its_answer_is_not_idle() {
        let pool = pool_of(1, 0);
        let slow = pool.add(None, AuthState::Authorized, false, Flushed::new(false)).unwrap();
        assert!(pool.add(None, AuthState::Authorized, false, Flushed::new(true)).is_none());
        drop(slow);
        assert!(pool.add(None, AuthState::Authorized, false, Flushed::new(true)).is_some());
    }
}
