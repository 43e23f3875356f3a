//! Which audiences an event of a topic goes to.
//!
//! ```text
//!   topic   -> route -> subscriptions -> audiences
//!   "a/b"               "a/b"            3, 7
//!                       "a/#"            5
//! ```
//!
//! A topic's route is found once and kept: the subscription to the topic itself, and the filters
//! that match it. So an event costs no matching, and a topic that nobody has heard of yet reaches
//! those who want it by a filter with its first event.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use slab::Slab;

use crate::filter::tree::FilterTree;
use crate::filter::{Filter, Subscription};
use crate::order::{Interest, Order, TopicState};
use crate::topic::Topic;

/// The share of the routes that are looked at each tick for topics that are gone, and how many at
/// least.
const LOOKS_SHARE: usize = 10;
const LOOKS_MIN: usize = 256;

/// One shard's subscriptions and routes.
pub(super) struct Routes {
    shard: usize,
    subscriptions: Slab<Subscribed>,
    keys: HashMap<Subscription, u32>,
    filters: FilterTree<u32>,
    routes: Slab<Route>,
    /// Where the search for topics that are gone goes on.
    looked_at: usize,
}

/// A subscription that this shard has an audience for.
pub(super) struct Subscribed {
    pub(super) what: Subscription,
    pub(super) audiences: Vec<u32>,
    /// Connections over all of its audiences.
    pub(super) crowd: usize,
    /// Whether an event of it ever had an id of its publisher's own.
    pub(super) own_ids: bool,
    /// The routes that it is in.
    routes: HashSet<u32>,
}

/// Where a topic's events go: at least one subscription.
struct Route {
    state: Arc<TopicState>,
    subscriptions: Vec<u32>,
}

impl Routes {
    pub(super) fn new(shard: usize) -> Routes {
        Routes {
            shard,
            subscriptions: Slab::new(),
            keys: HashMap::new(),
            filters: FilterTree::default(),
            routes: Slab::new(),
            looked_at: 0,
        }
    }

    pub(super) fn find(&self, what: &Subscription) -> Option<u32> {
        self.keys.get(what).copied()
    }

    /// Above every key there is.
    pub(super) fn keys_end(&self) -> u32 {
        self.subscriptions.capacity() as u32
    }

    /// The subscription of a key, if there is one.
    pub(super) fn at(&self, key: u32) -> Option<&Subscribed> {
        self.subscriptions.get(key as usize)
    }

    /// The keys of all subscriptions that a topic's events go to.
    pub(super) fn matching(&self, topic: &Topic) -> Vec<u32> {
        let mut keys: Vec<u32> = self.find(&topic.clone().into()).into_iter().collect();
        self.filters.for_each_match(topic, |_, &key| keys.push(key));
        keys
    }

    pub(super) fn subscribed(&self, key: u32) -> &Subscribed {
        &self.subscriptions[key as usize]
    }

    pub(super) fn subscribed_mut(&mut self, key: u32) -> &mut Subscribed {
        &mut self.subscriptions[key as usize]
    }

    /// Has the events of new subscriptions come to this shard, and adds their keys. Returns the
    /// last sequence number before that.
    pub(super) fn begin(
        &mut self,
        order: &Order,
        new: Vec<Subscription>,
        keys: &mut Vec<u32>,
    ) -> u64 {
        for what in &new {
            let key = self.subscriptions.insert(Subscribed {
                what: what.clone(),
                audiences: Vec::new(),
                crowd: 0,
                own_ids: false,
                routes: HashSet::new(),
            }) as u32;
            self.keys.insert(what.clone(), key);
            if let Subscription::Filter(filter) = what {
                self.filters.get_or_insert_with(filter, || key);
            }
            keys.push(key);
        }
        order.register(self.shard, &new, |what, state| {
            let key = self.keys[what];
            self.subscriptions[key as usize].own_ids |= state.has_own_ids();
            match (state.interest_of(self.shard), what) {
                (Interest::Key(route), _) => self.extend_route(route, key),
                (_, Subscription::Topic(_)) => return Some(self.open_route(state, Some(key))),
                // It is found when the topic has its next event.
                (_, Subscription::Filter(_)) => {}
            }
            None
        })
    }

    /// Ends a subscription that no audience here has any more.
    pub(super) fn end(&mut self, order: &Order, key: u32) {
        let Subscribed { what, routes, .. } = self.subscriptions.remove(key as usize);
        self.keys.remove(&what);
        if let Subscription::Filter(filter) = &what {
            self.filters.remove(filter);
        }
        let mut closed = Vec::new();
        for index in routes {
            let route = &mut self.routes[index as usize];
            route.subscriptions.retain(|&other| other != key);
            if route.subscriptions.is_empty() {
                closed.push(self.routes.remove(index as usize).state);
            }
        }
        order.unregister(self.shard, &what, &closed);
        if self.keys.is_empty() {
            *self = Routes::new(self.shard);
        }
    }

    /// The route that a topic's events take, if anyone here wants them.
    pub(super) fn find_route(&mut self, order: &Order, topic: &Arc<TopicState>) -> Option<u32> {
        match topic.interest_of(self.shard) {
            Interest::Key(route) => Some(route),
            // All subscriptions have ended since the event was put.
            Interest::None => None,
            Interest::Matched => {
                let mut any = false;
                self.filters.for_each_match(&topic.name, |_, _| any = true);
                let route = any.then(|| self.open_route(topic, None));
                order.set_route(self.shard, topic, route);
                route
            }
        }
    }

    /// The subscriptions of a route.
    pub(super) fn along(&mut self, route: u32, mut visit: impl FnMut(&mut Subscribed)) {
        for &key in &self.routes[route as usize].subscriptions {
            visit(&mut self.subscriptions[key as usize]);
        }
    }

    /// Whether there are topics whose routes are to be closed, since the topics are gone. Looks at
    /// a share of them.
    pub(super) fn find_gone(&mut self) -> Vec<u32> {
        let end = self.routes.capacity();
        let looks = (end / LOOKS_SHARE).max(LOOKS_MIN).min(end);
        let from = if self.looked_at < end { self.looked_at } else { 0 };
        let looked_at = from..(from + looks).min(end);
        self.looked_at = looked_at.end;
        let is_gone = |&nth: &usize| self.routes.get(nth).is_some_and(|r| r.state.is_gone());
        looked_at.filter(is_gone).map(|nth| nth as u32).collect()
    }

    /// Closes the routes of topics that are gone, when the last events of these have been taken.
    pub(super) fn close(&mut self, order: &Order, gone: &[u32]) {
        for &index in gone {
            let route = self.routes.remove(index as usize);
            for key in route.subscriptions {
                self.subscriptions[key as usize].routes.remove(&index);
            }
            order.set_route(self.shard, &route.state, None);
        }
    }

    /// Takes back all interest, for a shard that ends without order.
    pub(super) fn abandon(&mut self, order: &Order) {
        for key in self.keys.values().copied().collect::<Vec<_>>() {
            self.end(order, key);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.subscriptions.is_empty() && self.routes.is_empty()
    }

    /// Opens a topic's route, to its own subscription and to all filters that match it.
    fn open_route(&mut self, state: &Arc<TopicState>, own: Option<u32>) -> u32 {
        let mut subscriptions: Vec<u32> = own.into_iter().collect();
        self.filters.for_each_match(&state.name, |_: &Filter, &key| subscriptions.push(key));
        let route = Route { state: state.clone(), subscriptions: subscriptions.clone() };
        let index = self.routes.insert(route) as u32;
        for key in subscriptions {
            let subscribed = &mut self.subscriptions[key as usize];
            subscribed.routes.insert(index);
            subscribed.own_ids |= state.has_own_ids();
        }
        index
    }

    fn extend_route(&mut self, index: u32, key: u32) {
        if self.subscriptions[key as usize].routes.insert(index) {
            self.routes[index as usize].subscriptions.push(key);
        }
    }
}
