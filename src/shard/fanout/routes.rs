//! Which audiences an event of a topic goes to.
//!
//! ```text
//!   topic   -> route -> subscriptions -> audiences
//!   "a/b"               "a/b"            3, 7
//!                       "a/#"            5
//! ```
//!
//! A topic's route is found with its first event and kept: the subscription to the topic itself,
//! and the filters that match it. When a filter has begun since, it is found anew with the next
//! event. So an event costs no matching as a rule, and a subscription costs the same however
//! many topics there are.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;
use smallvec::SmallVec;

use crate::filter::tree::FilterTree;
use crate::filter::{Filter, Subscription};
use crate::order::{Interest, Order, TopicState};
use crate::shard::connection::slots::{Key, Slots};
use crate::topic::Topic;

/// The share of the routes that is looked at each tick for unneeded ones, and the least number of
/// them.
const LOOKS_SHARE: usize = 10;
const LOOKS_MIN: usize = 256;

/// One shard's subscriptions and routes.
pub(in crate::shard) struct Routes {
    shard: usize,
    subscriptions: Slots<Subscribed>,
    keys: HashMap<Subscription, u32>,
    filters: FilterTree<u32>,
    routes: Slab<Route>,
    /// Another number whenever a filter begins.
    generation: u64,
    /// Where the search for unneeded routes goes on.
    looked_at: usize,
}

/// A subscription that this shard has an audience for.
pub(in crate::shard) struct Subscribed {
    pub(in crate::shard) what: Subscription,
    /// Most subscriptions have one audience or two.
    pub(in crate::shard) audiences: SmallVec<[u32; 4]>,
    /// Members of all its audiences.
    pub(in crate::shard) members: usize,
    /// Whether an event of it ever had a custom id.
    pub(in crate::shard) custom_ids: bool,
    /// The route of the topic, if the subscription is a topic.
    route: u32,
}

/// Where a topic's events go.
struct Route {
    state: Arc<TopicState>,
    /// Those that have ended since are still among them.
    subscriptions: SmallVec<[Key; 2]>,
    /// When they were found.
    generation: u64,
}

/// A route to be closed, when the last events of its topic have been taken.
pub(in crate::shard) struct Unneeded {
    route: u32,
    /// Its topic, if that was gone by then: no event has been put for it since.
    gone: Option<Arc<TopicState>>,
}

const NO_ROUTE: u32 = u32::MAX;

impl Routes {
    pub(in crate::shard) fn new(shard: usize) -> Routes {
        Routes {
            shard,
            subscriptions: Slots::new(),
            keys: HashMap::new(),
            filters: FilterTree::default(),
            routes: Slab::new(),
            generation: 0,
            looked_at: 0,
        }
    }

    pub(in crate::shard) fn find(&self, what: &Subscription) -> Option<u32> {
        self.keys.get(what).copied()
    }

    /// Above every key there is.
    pub(in crate::shard) fn keys_end(&self) -> u32 {
        self.subscriptions.end()
    }

    /// The subscription of a key, if there is one.
    pub(in crate::shard) fn at(&self, key: u32) -> Option<&Subscribed> {
        self.subscriptions.at(key)
    }

    /// The keys of all subscriptions that a topic's events go to.
    pub(in crate::shard) fn matching(&self, topic: &Topic) -> Vec<u32> {
        let mut keys: Vec<u32> = self.find(&topic.clone().into()).into_iter().collect();
        self.filters.for_each_match(topic, |_, &key| keys.push(key));
        keys
    }

    /// The number of the mark with which the topic of a subscription was finished, if it is a topic
    /// and is finished now.
    pub(in crate::shard) fn finished_at(&self, key: u32) -> Option<u64> {
        let route = self.subscriptions[key].route;
        (route != NO_ROUTE).then(|| self.routes[route as usize].state.finished_at()).flatten()
    }

    pub(in crate::shard) fn subscribed(&self, key: u32) -> &Subscribed {
        &self.subscriptions[key]
    }

    pub(in crate::shard) fn subscribed_mut(&mut self, key: u32) -> &mut Subscribed {
        &mut self.subscriptions[key]
    }

    /// Has the events of new subscriptions come to this shard, and adds their keys. Returns the
    /// last sequence number before that.
    pub(in crate::shard) fn begin(
        &mut self,
        order: &Order,
        new: Vec<Subscription>,
        keys: &mut Vec<u32>,
    ) -> u64 {
        let is_filter = |what: &Subscription| matches!(what, Subscription::Filter(_));
        let any_filter = new.iter().any(is_filter);
        // A topic of a filter may have such events, and is known only when it has its next.
        let custom_ids = any_filter && order.has_custom_ids();
        for what in &new {
            let key = self.subscriptions.insert(Subscribed {
                what: what.clone(),
                audiences: SmallVec::new(),
                members: 0,
                custom_ids: custom_ids && is_filter(what),
                route: NO_ROUTE,
            });
            self.keys.insert(what.clone(), key.index);
            if let Subscription::Filter(filter) = what {
                self.filters.get_or_insert_with(filter, || key.index);
            }
            keys.push(key.index);
        }
        self.generation += u64::from(any_filter);
        order.register(self.shard, &new, |what, state| {
            let route = match state.interest_of(self.shard) {
                Interest::Key(route) => {
                    // A filter had it before.
                    self.find_subscriptions(route);
                    route
                }
                Interest::None | Interest::Matched => self.open_route(state),
            };
            let topics = &mut self.subscriptions[self.keys[what]];
            topics.custom_ids |= state.has_custom_ids();
            topics.route = route;
            route
        })
    }

    /// Ends a subscription that no audience here has any more.
    pub(in crate::shard) fn end(&mut self, order: &Order, key: u32) {
        let Subscribed { what, route, .. } = self.subscriptions.remove(key);
        self.keys.remove(&what);
        if let Subscription::Filter(filter) = &what {
            self.filters.remove(filter);
        }
        // The routes of a filter's topics are found when they are looked at.
        let closed =
            (route != NO_ROUTE && !self.find_subscriptions(route)).then(|| self.take(route));
        order.unregister(self.shard, &what, closed.as_deref());
        if self.keys.is_empty() {
            self.close_all(order);
            *self = Routes::new(self.shard);
        }
    }

    /// The route that a topic's events take, if an audience of this shard wants them.
    #[inline]
    pub(in crate::shard) fn find_route(
        &mut self,
        order: &Order,
        topic: &Arc<TopicState>,
    ) -> Option<u32> {
        match topic.interest_of(self.shard) {
            Interest::Key(route) if self.routes[route as usize].generation == self.generation => {
                Some(route)
            }
            interest => self.find_route_anew(order, topic, interest),
        }
    }

    #[cold]
    fn find_route_anew(
        &mut self,
        order: &Order,
        topic: &Arc<TopicState>,
        interest: Interest,
    ) -> Option<u32> {
        match interest {
            Interest::Key(route) if self.find_subscriptions(route) => Some(route),
            Interest::Key(route) => {
                self.take(route);
                order.set_route(self.shard, topic, None);
                None
            }
            // All subscriptions have ended since the event was put.
            Interest::None => None,
            Interest::Matched => {
                let mut any = false;
                self.filters.for_each_match(&topic.name, |_, _| any = true);
                let route = any.then(|| self.open_route(topic));
                order.set_route(self.shard, topic, route);
                route
            }
        }
    }

    /// The subscriptions of a route.
    #[inline(always)]
    pub(in crate::shard) fn along(&mut self, route: u32, mut visit: impl FnMut(&mut Subscribed)) {
        for &key in &self.routes[route as usize].subscriptions {
            if let Some(subscribed) = self.subscriptions.get_mut(key) {
                visit(subscribed);
            }
        }
    }

    /// Whether there are routes to be closed, since their topics are gone or no audience of this
    /// shard wants them. Looks at a share of them.
    pub(in crate::shard) fn find_unneeded(&mut self) -> Vec<Unneeded> {
        let end = self.routes.capacity();
        let looks = (end / LOOKS_SHARE).max(LOOKS_MIN).min(end);
        let from = if self.looked_at < end { self.looked_at } else { 0 };
        let looked_at = from..(from + looks).min(end);
        self.looked_at = looked_at.end;
        let mut unneeded = Vec::new();
        for nth in looked_at {
            let Some(route) = self.routes.get(nth) else { continue };
            let lives = |&key: &Key| self.subscriptions.get(key).is_some();
            let gone = route.state.is_gone().then(|| route.state.clone());
            if gone.is_some() || !route.subscriptions.iter().any(lives) {
                unneeded.push(Unneeded { route: nth as u32, gone });
            }
        }
        unneeded
    }

    /// Closes unneeded routes, when the last events of their topics have been taken.
    pub(in crate::shard) fn close(&mut self, order: &Order, unneeded: Vec<Unneeded>) {
        let mut closed = Vec::new();
        for Unneeded { route, gone } in unneeded {
            // The last events may have closed it, and its index may be another route's.
            let Some(Route { state, .. }) = self.routes.get(route as usize) else { continue };
            let was_gone = gone.is_some_and(|gone| Arc::ptr_eq(&gone, state));
            if was_gone || !self.find_subscriptions(route) {
                closed.push(self.take(route));
            }
        }
        order.close_routes(self.shard, &closed);
        if self.routes.is_empty() {
            self.routes = Slab::new();
        }
    }

    fn close_all(&mut self, order: &Order) {
        let routes = std::mem::take(&mut self.routes);
        let closed: Vec<_> = routes.into_iter().map(|(_, route)| route.state).collect();
        order.close_routes(self.shard, &closed);
    }

    /// Takes back all subscriptions, for a shard that ends without order: what else it has of them
    /// is not looked at. The order knows already that no topic has a route here.
    pub(in crate::shard) fn abandon(&mut self, order: &Order) {
        let all: Vec<Subscription> = std::mem::take(&mut self.keys).into_keys().collect();
        order.unregister_all(self.shard, &all);
    }

    /// Gives memory back that is not in use.
    pub(in crate::shard) fn shrink(&mut self) {
        self.keys.shrink_to(self.keys.len() * 2);
        self.subscriptions.shrink();
        self.routes.shrink_to_fit();
    }

    #[cfg(test)]
    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.subscriptions.is_empty() && self.routes.is_empty()
    }

    /// Opens a topic's route.
    fn open_route(&mut self, state: &Arc<TopicState>) -> u32 {
        let (state, subscriptions) = (state.clone(), SmallVec::new());
        let route = self.routes.insert(Route { state, subscriptions, generation: 0 }) as u32;
        self.find_subscriptions(route);
        route
    }

    /// Finds a route's subscriptions anew: the topic's own, and all filters that match it. Whether
    /// there are any.
    fn find_subscriptions(&mut self, route: u32) -> bool {
        let Route { state, subscriptions, generation } = &mut self.routes[route as usize];
        *generation = self.generation;
        subscriptions.clear();
        let name = Subscription::Topic(state.name.clone());
        let by_name = self.keys.get(&name).copied();
        subscriptions.extend(by_name.map(|key| self.subscriptions.key_at(key)));
        self.filters.for_each_match(&state.name, |_: &Filter, &key| {
            let subscribed = &mut self.subscriptions[key];
            subscribed.custom_ids |= state.has_custom_ids();
            subscriptions.push(self.subscriptions.key_at(key));
        });
        !subscriptions.is_empty()
    }

    fn take(&mut self, route: u32) -> Arc<TopicState> {
        self.routes.remove(route as usize).state
    }
}
