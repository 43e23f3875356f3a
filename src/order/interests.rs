//! Which shards want which topics: by filter, and how many topics are wanted at all.
//!
//! A shard that has a subscription to a topic by name has a route for the topic from then on. The
//! topics of a filter are not searched for when the filter is added: each topic finds out with its
//! next event which shards have a filter that matches it. So adding a filter costs the same however
//! many topics there are, and what it costs later is a part of sending its clients their events.

use smallvec::{smallvec, SmallVec};

use super::published::{Interest, TopicState};
use crate::filter::tree::FilterTree;
use crate::filter::Filter;

pub(super) struct Interests {
    shards: usize,
    /// For each filter, which shards have it.
    filters: FilterTree<Box<[bool]>>,
    /// Increased whenever a shard gets a filter.
    generation: u64,
    /// How many of the tracked topics a shard wants.
    wanted: usize,
}

impl Interests {
    pub(super) fn new(shards: usize) -> Interests {
        Interests { shards, filters: FilterTree::default(), generation: 0, wanted: 0 }
    }

    pub(super) fn shards(&self) -> usize {
        self.shards
    }

    /// How many different filters the shards have.
    pub(super) fn filters(&self) -> usize {
        self.filters.len()
    }

    /// Another number after each filter that was added.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// How many topics are known to be wanted.
    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    pub(super) fn add_filter(&mut self, shard: usize, filter: &Filter) {
        let none = || vec![false; self.shards].into_boxed_slice();
        if !std::mem::replace(&mut self.filters.get_or_insert_with(filter, none)[shard], true) {
            self.generation += 1;
        }
    }

    /// Removes a filter of a shard. Whether no shard has it any more.
    pub(super) fn remove_filter(&mut self, shard: usize, filter: &Filter) -> bool {
        let Some(shards) = self.filters.get_mut(filter) else { return false };
        shards[shard] = false;
        let is_last = !shards.contains(&true);
        if is_last {
            self.filters.remove(filter);
        }
        is_last
    }

    /// Visits the filters behind one of them, or all, until a visit returns false.
    pub(super) fn for_each_filter_after(
        &self,
        after: Option<&Filter>,
        mut visit: impl FnMut(&Filter) -> bool,
    ) {
        self.filters.for_each_after(after, |filter, _| visit(filter));
    }

    pub(super) fn set(&mut self, topic: &TopicState, shard: usize, interest: Interest) {
        self.change(topic, || topic.set_interest(shard, interest));
    }

    /// Finds out, for each shard that has no route for a topic, whether a filter of it matches.
    pub(super) fn match_filters(&mut self, topic: &TopicState) {
        let mut matched: SmallVec<[bool; 64]> = smallvec![false; self.shards];
        self.filters.for_each_match(&topic.name, |_, shards| {
            matched.iter_mut().zip(shards).for_each(|(matched, has)| *matched |= has);
        });
        self.change(topic, || topic.set_matched(matched));
    }

    /// Does something that changes the interest in a topic, and counts the topics that are wanted.
    fn change(&mut self, topic: &TopicState, change: impl FnOnce()) {
        let was_wanted = topic.is_wanted();
        change();
        if !topic.is_gone() {
            self.wanted -= usize::from(was_wanted);
            self.wanted += usize::from(topic.is_wanted());
        }
    }

    /// Notes that a topic is removed from those that are tracked.
    pub(super) fn remove_topic(&mut self, topic: &TopicState) {
        self.wanted -= usize::from(topic.is_wanted());
        topic.note_gone();
    }
}
