//! Which of the tracked topics a client's subscriptions match.
//!
//! The topics of a client are found in one of two ways. A client that names its topics, or whose
//! filters can match few names, has *named topics*: they are found by their names, all at once. The
//! topics of any other client are found along the event log, in the order of their events, however
//! many topics there are.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use rustc_hash::FxHashMap;

use super::event_log::TopicRef;
use super::gone::with_prefix;
use super::history::Forgotten;
use super::topics::Topics;
use crate::filter::tree::FilterTree;
use crate::filter::{Filter, Subscription};
use crate::topic::Topic;

/// Levels of filters that are compared with those of a topic in about the time of one step.
const LEVELS_PER_STEP: usize = 16;

/// A client's subscriptions.
pub(super) struct Wanted<'a> {
    subscriptions: &'a [Subscription],
    filters: Vec<&'a Filter>,
    /// The same subscriptions, to be looked up. Only for a client with filters.
    lookup: Option<Lookup<'a>>,
}

struct Lookup<'a> {
    names: HashSet<&'a Topic>,
    filters: FilterTree<()>,
}

/// The topics of a client, found by their names.
pub(super) struct NamedTopics {
    /// The indices of those that are tracked, each once.
    pub(super) tracked: Vec<u32>,
    /// What is known of those that are not tracked, gone or never seen.
    pub(super) untracked: Vec<Forgotten>,
}

/// Which topics of the event log a client wants, remembered as far as it was found out.
pub(super) struct Matches<'a> {
    wanted: &'a Wanted<'a>,
    found: RefCell<FxHashMap<TopicRef, bool>>,
    steps: Cell<usize>,
}

impl<'a> Wanted<'a> {
    /// Prepares subscriptions to be compared with topics. To be done without the hub's lock: it
    /// takes time for all of the filters.
    pub(super) fn new(subscriptions: &'a [Subscription]) -> Wanted<'a> {
        let filters = subscriptions.iter().filter_map(|subscription| match subscription {
            Subscription::Topic(_) => None,
            Subscription::Filter(filter) => Some(filter),
        });
        let mut wanted = Wanted { subscriptions, filters: filters.collect(), lookup: None };
        if !wanted.filters.is_empty() {
            let mut filters = FilterTree::default();
            wanted.filters.iter().for_each(|filter| *filters.get_or_insert_with(filter, || ()));
            wanted.lookup = Some(Lookup { names: wanted.names().collect(), filters });
        }
        wanted
    }

    /// Whether all topics are wanted by their names.
    pub(super) fn has_no_filters(&self) -> bool {
        self.filters.is_empty()
    }

    pub(super) fn matches(&'a self) -> Matches<'a> {
        Matches { wanted: self, found: RefCell::default(), steps: Cell::default() }
    }

    /// The topics that are wanted by name.
    fn names(&self) -> impl Iterator<Item = &'a Topic> + use<'a> {
        self.subscriptions.iter().filter_map(|subscription| match subscription {
            Subscription::Topic(topic) => Some(topic),
            Subscription::Filter(_) => None,
        })
    }

    fn matches_filter(&self, topic: &Topic) -> bool {
        match (&self.filters[..], &self.lookup) {
            ([only], _) => only.matches(topic),
            (_, None) => false,
            (_, Some(lookup)) => {
                let mut any = false;
                lookup.filters.for_each_match(topic, |_, ()| any = true);
                any
            }
        }
    }

    fn matches_topic(&self, topic: &Topic) -> bool {
        let is_named = match &self.lookup {
            Some(lookup) => lookup.names.contains(topic),
            None => self.names().any(|name| name == topic),
        };
        is_named || self.matches_filter(topic)
    }
}

impl NamedTopics {
    /// The topics of a client, if they can be found by comparing at most `names_max` names with its
    /// filters.
    pub(super) fn find(
        topics: &Topics,
        wanted: &Wanted<'_>,
        names_max: usize,
    ) -> Option<NamedTopics> {
        let (mut tracked, mut untracked) = (Vec::new(), Vec::new());
        let mut names_left = if wanted.has_no_filters() { usize::MAX } else { names_max };
        for filter in &wanted.filters {
            let prefix = filter.literal_prefix();
            for (topic, &index) in with_prefix(&topics.in_order, prefix) {
                names_left = names_left.checked_sub(1)?;
                tracked.extend(filter.matches(topic).then_some(index));
            }
            for topic in topics.gone.with_prefix(prefix) {
                names_left = names_left.checked_sub(1)?;
                untracked.extend(filter.matches(&topic.name).then_some(topic.forgotten));
            }
        }
        for topic in wanted.names() {
            names_left = names_left.checked_sub(1)?;
            match topics.find(topic) {
                Some(index) => tracked.push(index),
                // A filter has found it already.
                None if wanted.matches_filter(topic) => {}
                None => untracked.push(topics.gone.find(topic)),
            }
        }
        if !wanted.has_no_filters() {
            untracked.push(topics.gone.unknown());
        }
        tracked.sort_unstable();
        tracked.dedup();
        // What two filters match is counted once. No two topics have an event in common.
        untracked.sort_unstable_by_key(|forgotten| forgotten.to);
        untracked.dedup_by_key(|forgotten| forgotten.to);
        Some(NamedTopics { tracked, untracked })
    }
}

impl Matches<'_> {
    /// Whether a topic is wanted.
    pub(super) fn wants(&self, topics: &Topics, topic: TopicRef) -> bool {
        let find = || {
            let Some(name) = topics.name_of(topic) else { return false };
            let levels = 1 + memchr::memchr_iter(b'/', name.as_str().as_bytes()).count();
            let steps = levels * self.wanted.filters.len() / LEVELS_PER_STEP;
            self.steps.set(self.steps.get() + steps);
            self.wanted.matches_topic(name)
        };
        *self.found.borrow_mut().entry(topic).or_insert_with(find)
    }

    /// The steps that comparing topics has taken since the last call, besides one for each entry.
    pub(super) fn take_steps(&self) -> usize {
        self.steps.take()
    }
}
