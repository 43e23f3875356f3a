//! What shards tell the order of their subscriptions and routes, as changes of the tracked topics.

use std::sync::Arc;

use super::published::{Interest, TopicState};
use super::topics::Topics;
use crate::filter::Subscription;
use crate::topic::Topic;
#[cfg(any(feature = "capi", test))]
use crate::topic_handle::TopicHandle;

/// No generation of filters: the matching ones have to be found again.
const NO_GENERATION: u64 = u64::MAX;

impl Topics {
    /// The index of a topic to which an event is published; `None` if no shard wants it and nothing
    /// of it is to be kept. If filters were added since the topic's last event, finds out which of
    /// them match.
    #[inline(always)]
    pub(super) fn find_published(&mut self, topic: &Topic) -> Option<u32> {
        let found = self.find(topic);
        self.published(topic, found)
    }

    /// The same by the topic's handle, which remembers it.
    #[cfg(any(feature = "capi", test))]
    #[inline(always)]
    pub(super) fn find_published_by_handle(&mut self, handle: &TopicHandle) -> Option<u32> {
        let found = self.find_by_handle(handle);
        let index = self.published(handle.topic(), found)?;
        handle.remember(index);
        Some(index)
    }

    #[inline(always)]
    fn published(&mut self, topic: &Topic, found: Option<u32>) -> Option<u32> {
        let index = match found {
            Some(index) => index,
            None if self.tracks_all() => self.find_or_create(topic),
            None => return None,
        };
        let entry = &mut self.entries[index as usize];
        let generation = self.interests.generation();
        if entry.matched_generation != generation {
            entry.matched_generation = generation;
            self.interests.match_filters(&entry.state);
        }
        Some(index)
    }

    /// Adds a subscription of a shard. For a topic, `open_route` is called with it, and returns the
    /// key of the route that the shard has for it.
    pub(super) fn subscribe(
        &mut self,
        shard: usize,
        subscription: &Subscription,
        open_route: &mut impl FnMut(&Subscription, &Arc<TopicState>) -> u32,
    ) {
        match subscription {
            Subscription::Topic(topic) => {
                let index = self.find_or_create(topic);
                let entry = &mut self.entries[index as usize];
                entry.subscribed += 1;
                let route = open_route(subscription, &entry.state);
                self.interests.set(&entry.state, shard, Interest::Key(route));
                if entry.finished_ns.is_some() {
                    // Nothing is to be produced for it.
                    return;
                }
            }
            Subscription::Filter(filter) => self.interests.add_filter(shard, filter),
        }
        self.watchers.note(subscription, true);
    }

    /// Removes a subscription of a shard.
    pub(super) fn unsubscribe(&mut self, shard: usize, subscription: &Subscription) {
        let is_last = match subscription {
            Subscription::Topic(topic) => {
                let Some(index) = self.find(topic) else { return };
                let entry = &mut self.entries[index as usize];
                entry.subscribed -= 1;
                let is_last = entry.subscribed == 0;
                if is_last {
                    entry.reopens = 0;
                }
                self.remove_unneeded(index);
                is_last
            }
            Subscription::Filter(filter) => self.interests.remove_filter(shard, filter),
        };
        if is_last {
            self.watchers.note(subscription, false);
        }
    }

    /// Notes the key of the route that a shard has for a topic, or that it has none any more.
    pub(super) fn set_route(&mut self, topic: &TopicState, shard: usize, route: Option<u32>) {
        let interest = route.map_or(Interest::None, Interest::Key);
        self.interests.set(topic, shard, interest);
        if let Some(index) = self.find(&topic.name).filter(|_| route.is_none()) {
            // While there was a route, filters that were added were not compared with the topic.
            self.entries[index as usize].matched_generation = NO_GENERATION;
            self.remove_unneeded(index);
        }
    }

    /// Notes that a shard has ended, and wants nothing any more.
    pub(super) fn remove_shard(&mut self, shard: usize) {
        for (_, entry) in &self.entries {
            self.interests.set(&entry.state, shard, Interest::None);
        }
    }
}
