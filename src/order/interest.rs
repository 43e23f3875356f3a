//! Which shards want the events of a topic.
//!
//! ```text
//!   shard       0           1          2
//!   "a/b"    route 17    matched     none
//! ```
//!
//! A shard that has a topic by its name has a route for it from then on. The topics of a filter are
//! not looked for when the filter comes: each finds out with its next event whether a filter of a
//! shard matches. So a filter costs the same however many topics there are, and what it costs
//! afterwards is a part of what its clients are sent.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::Arc;

use smallvec::{smallvec, SmallVec};

use super::backlog::Backlog;
use super::topics::Topics;
use crate::filter::tree::FilterTree;
use crate::filter::{Filter, Subscription};
use crate::topic::Topic;

/// What publishers, shards and history have in common of a topic.
pub(crate) struct TopicState {
    pub(crate) name: Topic,
    /// For each shard the key of its route for the topic, or [`NO_INTEREST`], or [`MATCHED`].
    /// Written under the lock: by the shard itself, and when a filter is found to match.
    interest: Box<[AtomicU32]>,
    /// Whether an event ever had an id of its publisher's own.
    custom_ids: AtomicBool,
    /// Whether it is no longer one of the hub's topics; another one may have its name.
    gone: AtomicBool,
    pub(super) backlog: Backlog,
}

const NO_INTEREST: u32 = u32::MAX;
/// A filter of the shard matches, which has no route for the topic yet.
const MATCHED: u32 = u32::MAX - 1;

/// What a shard has to do with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    None,
    /// One of its filters matches, and it has yet to find out which.
    Matched,
    /// The shard's own key of its route.
    Key(u32),
}

/// The filters of all shards, and how many topics are wanted.
pub(super) struct Interests {
    shards: usize,
    /// For each filter which shards have it.
    filters: FilterTree<Box<[bool]>>,
    /// Another number whenever a shard gets a filter.
    generation: u64,
    /// How many topics a shard wants.
    wanted: usize,
}

impl Interests {
    pub(super) fn new(shards: usize) -> Interests {
        Interests { shards, filters: FilterTree::default(), generation: 0, wanted: 0 }
    }

    /// How many filters there are.
    pub(super) fn filters(&self) -> usize {
        self.filters.len()
    }

    /// How many topics are known to be wanted.
    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    fn begin(&mut self, shard: usize, filter: &Filter) {
        let none = || vec![false; self.shards].into_boxed_slice();
        if !std::mem::replace(&mut self.filters.get_or_insert_with(filter, none)[shard], true) {
            self.generation += 1;
        }
    }

    fn end(&mut self, shard: usize, filter: &Filter) {
        let Some(shards) = self.filters.get_mut(filter) else { return };
        shards[shard] = false;
        if !shards.contains(&true) {
            self.filters.remove(filter);
        }
    }

    fn set(&mut self, topic: &TopicState, shard: usize, interest: u32) {
        self.change(topic, || topic.interest[shard].store(interest, Ordering::Relaxed));
    }

    /// Finds out for the shards that have no route for a topic whether a filter of theirs matches.
    ///
    /// Shards look at their interest without the lock, when they take an event that was put for it:
    /// so it is never written but when it changes.
    fn find_matches(&mut self, topic: &TopicState) {
        let mut matched: SmallVec<[bool; 64]> = smallvec![false; self.shards];
        self.filters.for_each_match(&topic.name, |_, shards| {
            matched.iter_mut().zip(shards).for_each(|(matched, has)| *matched |= has);
        });
        self.change(topic, || {
            for (interest, matched) in topic.interest.iter().zip(matched) {
                let (from, to) = match matched {
                    true => (NO_INTEREST, MATCHED),
                    false => (MATCHED, NO_INTEREST),
                };
                let _ = interest.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
            }
        });
    }

    /// Does something that changes the interest in a topic, and counts whether it is wanted.
    fn change(&mut self, topic: &TopicState, change: impl FnOnce()) {
        let was_wanted = topic.is_wanted();
        change();
        if !topic.is_gone() {
            self.wanted -= usize::from(was_wanted);
            self.wanted += usize::from(topic.is_wanted());
        }
    }

    /// Notes that a topic is none of the hub's any more.
    pub(super) fn note_end(&mut self, topic: &TopicState) {
        self.wanted -= usize::from(topic.is_wanted());
        topic.gone.store(true, Ordering::Release);
    }
}

impl Topics {
    /// Whether topics are known that no shard has asked for by their names.
    pub(super) fn know_all(&self) -> bool {
        self.keep_events() || self.interests.filters() > 0
    }

    /// Finds out which shards' filters match a topic, if a filter has come since that was found out.
    pub(super) fn find_interest(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        let generation = self.interests.generation;
        if entry.matched != generation {
            entry.matched = generation;
            self.interests.find_matches(&entry.state);
        }
    }

    /// Notes that a shard has a subscription from now on. `open_route` is told of a topic that is
    /// wanted by its name, and says which route it has there now.
    pub(super) fn subscribe(
        &mut self,
        shard: usize,
        what: &Subscription,
        open_route: &mut impl FnMut(&Subscription, &Arc<TopicState>) -> u32,
    ) {
        match what {
            Subscription::Topic(topic) => {
                let index = self.find_or_create(topic);
                let entry = &mut self.entries[index as usize];
                entry.pinned += 1;
                let route = open_route(what, &entry.state);
                self.interests.set(&entry.state, shard, route);
            }
            Subscription::Filter(filter) => self.interests.begin(shard, filter),
        }
    }

    /// Notes that a shard has a subscription no longer.
    pub(super) fn unsubscribe(&mut self, shard: usize, what: &Subscription) {
        match what {
            Subscription::Topic(topic) => {
                if let Some(index) = self.find(topic) {
                    self.entries[index as usize].pinned -= 1;
                    self.remove_unneeded(index);
                }
            }
            Subscription::Filter(filter) => self.interests.end(shard, filter),
        }
    }

    /// Notes which route a shard has for a topic, or that it has none any more.
    pub(super) fn set_route(&mut self, topic: &TopicState, shard: usize, route: Option<u32>) {
        self.interests.set(topic, shard, route.unwrap_or(NO_INTEREST));
        if let Some(index) = self.find(&topic.name).filter(|_| route.is_none()) {
            // A filter may have come that was not looked for, since there was a route.
            self.entries[index as usize].matched = u64::MAX;
            self.remove_unneeded(index);
        }
    }

    /// A shard has ended: it wants nothing any more.
    pub(super) fn leave(&mut self, shard: usize) {
        for (_, entry) in &self.entries {
            self.interests.set(&entry.state, shard, NO_INTEREST);
        }
    }
}

impl TopicState {
    /// A topic that no shard is known to want.
    pub(super) fn new(name: Topic, interests: &Interests, backlog_bytes: usize) -> TopicState {
        let none = || AtomicU32::new(NO_INTEREST);
        TopicState {
            name,
            interest: std::iter::repeat_with(none).take(interests.shards).collect(),
            custom_ids: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            backlog: Backlog::new(backlog_bytes),
        }
    }

    pub(crate) fn interest_of(&self, shard: usize) -> Interest {
        match self.interest[shard].load(Ordering::Relaxed) {
            NO_INTEREST => Interest::None,
            MATCHED => Interest::Matched,
            route => Interest::Key(route),
        }
    }

    /// Whether it is no longer one of the hub's topics: what was published to it is in the
    /// inboxes by then.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Whether each shard, in their order, is known to want it.
    pub(super) fn wanted_by(&self) -> impl Iterator<Item = bool> + '_ {
        self.interest.iter().map(|key| key.load(Ordering::Relaxed) != NO_INTEREST)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted_by().any(|wanted| wanted)
    }

    /// Notes that an event has an id of its publisher's own.
    pub(super) fn note_custom_id(&self) {
        self.custom_ids.store(true, Ordering::Relaxed);
    }

    /// Whether an event of it ever had an id of its publisher's own.
    pub(crate) fn has_custom_ids(&self) -> bool {
        self.custom_ids.load(Ordering::Relaxed)
    }
}
