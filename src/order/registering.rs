//! What shards tell the order: their subscriptions and routes, and that they have ended.

use std::sync::Arc;

use super::published::TopicState;
use super::{tell_watchers, Locked, Order, SUBSCRIPTIONS_PER_LOCK};
use crate::filter::Subscription;

impl Order {
    /// Adds subscriptions of a shard, which gets their events from then on. For each topic that is
    /// wanted by name `open_route` is called, and returns the key of the route that the shard has
    /// for it. Returns a sequence number: the shard gets every later event. Takes the lock for a
    /// bounded number of subscriptions at a time.
    pub(crate) fn register(
        &self,
        shard: usize,
        subscriptions: &[Subscription],
        mut open_route: impl FnMut(&Subscription, &Arc<TopicState>) -> u32,
    ) -> u64 {
        let mut rest = subscriptions;
        while !rest.is_empty() {
            let mut locked = self.lock();
            let most = locked.topics.watchers.subscriptions_per_lock(SUBSCRIPTIONS_PER_LOCK);
            let (some, others) = rest.split_at(most.min(rest.len()));
            rest = others;
            for subscription in some {
                // A client that comes now finds such a topic open, and empty.
                while self.forget_some_of(&mut locked, subscription) {
                    drop(locked);
                    locked = self.lock();
                }
                locked.topics.subscribe(shard, subscription, &mut open_route);
            }
            tell_watchers(locked);
        }
        self.sequence()
    }

    /// Forgets the topic of a subscription, if it is finished and its time is over; true if there
    /// is more of it to be forgotten.
    fn forget_some_of(&self, locked: &mut Locked, subscription: &Subscription) -> bool {
        match subscription {
            Subscription::Topic(topic) => self.forget_some_if_over(locked, topic, self.now_ns()),
            Subscription::Filter(_) => false,
        }
    }

    /// Removes a subscription of a shard, and the route for its topic if that was closed.
    pub(crate) fn unregister(
        &self,
        shard: usize,
        subscription: &Subscription,
        closed: Option<&TopicState>,
    ) {
        let mut locked = self.lock();
        if let Some(topic) = closed {
            locked.topics.set_route(topic, shard, None);
        }
        locked.topics.unsubscribe(shard, subscription);
        tell_watchers(locked);
    }

    /// Removes subscriptions of a shard that has no routes any more. Watchers are told at the end,
    /// since to wake one runs code of the host's, which may panic.
    pub(crate) fn unregister_all(&self, shard: usize, subscriptions: &[Subscription]) {
        for some in subscriptions.chunks(SUBSCRIPTIONS_PER_LOCK) {
            let mut locked = self.lock();
            some.iter().for_each(|subscription| locked.topics.unsubscribe(shard, subscription));
        }
        tell_watchers(self.lock());
    }

    /// Notes the key of the route that a shard has for a topic because of a filter, or that it has
    /// none.
    pub(crate) fn set_route(&self, shard: usize, topic: &TopicState, route: Option<u32>) {
        self.lock().topics.set_route(topic, shard, route);
    }

    /// Notes that a shard has no routes for these topics any more.
    pub(crate) fn close_routes(&self, shard: usize, closed: &[Arc<TopicState>]) {
        for some in closed.chunks(SUBSCRIPTIONS_PER_LOCK) {
            let mut locked = self.lock();
            some.iter().for_each(|topic| locked.topics.set_route(topic, shard, None));
        }
    }

    /// Notes that a shard has ended.
    pub(crate) fn leave(&self, shard: usize) {
        self.lock().topics.remove_shard(shard);
    }
}
