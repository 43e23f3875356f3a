//! How many connections the control side has, and which of them makes room for another.
//!
//! A connection that is kept alive costs a place although nothing is asked on it. When all places are
//! taken, the one that was idle longest is closed for the next that comes, as RFC 9112, sections 9.3
//! and 9.5, allows. So nobody keeps others out by opening connections, neither on purpose nor with a
//! pool of them.
//!
//! *Strangers* have shown no permission: with what they may ask, no request takes long, and one that
//! does is stuck in the client. They make room for all others, whatever they are at. Those who have
//! permission are never interrupted in a request, and make room only for their like.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use smol::Task;

use super::socket::Flushed;
use crate::program::seldom::Seldom;

/// That connections are turned away.
static CROWDED: Seldom = Seldom::new();

/// What is counted of the control side's connections.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(super) connections: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) displaced: AtomicU64,
}

/// The connections that came through one listener.
pub(super) struct Crowd {
    connections_max: usize,
    /// Zero for no bound.
    per_network_max: usize,
    counts: std::sync::Arc<Counts>,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    members: HashMap<u64, Member>,
    networks: HashMap<Network, usize>,
    /// Counts what members do, to tell which one did nothing for longest.
    now: u64,
}

struct Member {
    /// Serves it; dropping it closes the connection.
    task: Option<Task<()>>,
    network: Option<Network>,
    flushed: Flushed,
    standing: Standing,
    is_busy: bool,
    /// When it began or ended its last request.
    since: u64,
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its request shows no permission.
    Stranger,
    /// It has asked nothing yet.
    Unknown,
    /// It has permission to do what it asks.
    Permitted,
}

/// An address, or one /64 network of IPv6, which as a rule is one client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network(IpAddr);

/// A connection's place in the crowd, until it is dropped.
pub(super) struct Place {
    crowd: Rc<Crowd>,
    id: u64,
}

impl Crowd {
    pub(super) fn new(
        connections_max: usize,
        per_network_max: usize,
        counts: std::sync::Arc<Counts>,
    ) -> Rc<Crowd> {
        Rc::new(Crowd { connections_max, per_network_max, counts, inner: RefCell::default() })
    }

    /// Gives a new connection a place, that of another one if need be; `None` if all others are
    /// busy, or have permission and this one has none. `is_busy` says that its request is there.
    pub(super) fn enter(
        self: &Rc<Crowd>,
        network: Option<Network>,
        standing: Standing,
        is_busy: bool,
        flushed: Flushed,
    ) -> Option<Place> {
        let inner = &mut *self.inner.borrow_mut();
        let of_network = network.filter(|_| self.per_network_max > 0);
        let is_crowd = |network| inner.networks.get(&network).copied().unwrap_or(0);
        let of_network = of_network.filter(|&network| is_crowd(network) >= self.per_network_max);
        if of_network.is_some() || inner.members.len() >= self.connections_max {
            let Some(victim) = inner.victim(standing, of_network) else {
                self.refused(inner);
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
        let member = Member { task: None, network, flushed, standing, is_busy, since: id };
        inner.members.insert(id, member);
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
        Some(Place { crowd: self.clone(), id })
    }

    /// Keeps what serves a member, unless it has ended already.
    pub(super) fn keep(&self, id: u64, task: Task<()>) {
        match self.inner.borrow_mut().members.get_mut(&id) {
            Some(member) => member.task = Some(task),
            None => task.detach(),
        }
    }

    fn refused(&self, inner: &Inner) {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        CROWDED.log(|more| {
            log::warn!(
                "{} control connections are busy, and one is turned away; \
                 --control-connections-max is how many there may be{more}",
                inner.members.len()
            );
        });
    }
}

impl Inner {
    /// Who makes room for a connection; only one of a network, if it has too many.
    fn victim(&self, standing: Standing, network: Option<Network>) -> Option<u64> {
        let members = self.members.iter();
        let members = members.filter(|(_, member)| network.is_none() || member.network == network);
        let ranked = members
            .filter_map(|(&id, member)| member.rank(standing).map(|rank| (rank, member.since, id)));
        ranked.min().map(|(_, _, id)| id)
    }

    fn remove(&mut self, id: u64) -> Option<Member> {
        let member = self.members.remove(&id)?;
        if let Some(network) = member.network {
            if let Some(count) = self.networks.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    self.networks.remove(&network);
                }
            }
        }
        Some(member)
    }
}

impl Member {
    /// How early it makes room for another one; `None` for never.
    fn rank(&self, other: Standing) -> Option<u8> {
        let is_idle = !self.is_busy && self.flushed.is();
        match (self.standing, is_idle) {
            (Standing::Stranger | Standing::Unknown, true) => Some(0),
            (Standing::Stranger | Standing::Unknown, false) => Some(1),
            (Standing::Permitted, true) if other != Standing::Stranger => Some(2),
            (Standing::Permitted, _) => None,
        }
    }
}

impl Place {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// A request begins.
    pub(super) fn begin(&self, standing: Standing) {
        self.note(|member| {
            member.standing = standing;
            member.is_busy = true;
        });
    }

    /// A request has its answer.
    pub(super) fn end(&self) {
        self.note(|member| member.is_busy = false);
    }

    fn note(&self, change: impl FnOnce(&mut Member)) {
        let inner = &mut *self.crowd.inner.borrow_mut();
        inner.now += 1;
        if let Some(member) = inner.members.get_mut(&self.id) {
            member.since = inner.now;
            change(member);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let member = self.crowd.inner.borrow_mut().remove(self.id);
        if let Some(member) = member {
            self.crowd.counts.connections.fetch_sub(1, Ordering::Relaxed);
            if let Some(task) = member.task {
                // It is this very task that ends.
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

    fn crowd(connections_max: usize, per_network_max: usize) -> Rc<Crowd> {
        Crowd::new(connections_max, per_network_max, std::sync::Arc::default())
    }

    fn enter(crowd: &Rc<Crowd>, addr: &str, standing: Standing) -> Option<Place> {
        let network = Network::from(addr.parse::<IpAddr>().unwrap());
        crowd.enter(Some(network), standing, true, Flushed::new(true))
    }

    fn is_here(place: &Place) -> bool {
        place.crowd.inner.borrow().members.contains_key(&place.id)
    }

    #[test]
    fn the_one_that_is_idle_longest_makes_room() {
        let crowd = crowd(3, 0);
        let places: Vec<Place> =
            (0..3).filter_map(|_| enter(&crowd, "192.0.2.1", Standing::Permitted)).collect();
        for place in [&places[1], &places[0]] {
            place.end();
        }
        let _fourth = enter(&crowd, "192.0.2.1", Standing::Permitted).unwrap();
        assert_eq!(places.iter().map(is_here).collect::<Vec<_>>(), [true, false, true]);
        let _fifth = enter(&crowd, "192.0.2.1", Standing::Unknown).unwrap();
        assert!(!is_here(&places[0]));
        assert!(enter(&crowd, "192.0.2.1", Standing::Permitted).is_some(), "the unknown one");
        assert!(is_here(&places[2]), "it is busy");
        assert_eq!(crowd.counts.displaced.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn strangers_take_no_place_of_those_with_permission_and_give_them_theirs() {
        let crowd = crowd(2, 0);
        let stuck = enter(&crowd, "192.0.2.1", Standing::Stranger).unwrap();
        let pool = enter(&crowd, "192.0.2.2", Standing::Permitted).unwrap();
        pool.end();
        let next = enter(&crowd, "192.0.2.3", Standing::Stranger).unwrap();
        assert!(!is_here(&stuck) && is_here(&pool));
        let second = enter(&crowd, "192.0.2.4", Standing::Permitted).unwrap();
        assert!(!is_here(&next) && is_here(&pool) && is_here(&second));
        assert!(enter(&crowd, "192.0.2.5", Standing::Stranger).is_none());
        assert_eq!(crowd.counts.refused.load(Ordering::Relaxed), 1);
        assert_eq!(crowd.counts.connections.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn one_network_has_its_bound_and_makes_room_for_itself() {
        let crowd = crowd(10, 2);
        let other = enter(&crowd, "192.0.2.9", Standing::Stranger).unwrap();
        let own: Vec<Place> = ["2001:db8::1", "2001:db8::2", "2001:db8::3"]
            .iter()
            .filter_map(|addr| enter(&crowd, addr, Standing::Stranger))
            .collect();
        assert_eq!(own.iter().map(is_here).collect::<Vec<_>>(), [false, true, true]);
        assert!(is_here(&other));
        drop((own, other));
        assert!(crowd.inner.borrow().networks.is_empty());
        assert_eq!(crowd.counts.connections.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_still_reads_its_answer_is_not_idle() {
        let crowd = crowd(1, 0);
        let slow = crowd.enter(None, Standing::Permitted, false, Flushed::new(false)).unwrap();
        assert!(crowd.enter(None, Standing::Permitted, false, Flushed::new(true)).is_none());
        drop(slow);
        assert!(crowd.enter(None, Standing::Permitted, false, Flushed::new(true)).is_some());
    }
}
