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
use super::gone::{with_prefix, GoneTopic};
use super::history::{Forgotten, ForgottenOfTopic, Kept};
use super::lists::List;
use super::topics::Topics;
use crate::filter::tree::FilterTree;
use crate::filter::{Filter, Subscription};
use crate::topic::Topic;

/// Names of topics that are compared with another name in about the time of one step.
const NAMES_PER_STEP: usize = 16;
/// Levels of filters that are compared with those of a topic in about the time of one step.
const LEVELS_PER_STEP: usize = 16;

/// Topics of a list that are looked up in about the time of one step.
const TOPICS_PER_STEP: usize = 4;

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
    /// What is known of those that are not tracked any more, each once.
    pub(super) gone: Vec<ForgottenOfTopic>,
    /// What may have been forgotten of others that are not tracked.
    pub(super) unknown: Forgotten,
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
        let (mut tracked, mut gone) = (Vec::new(), Vec::<&GoneTopic>::new());
        let mut unknown = match wanted.has_no_filters() {
            true => Forgotten::default(),
            false => topics.gone.unknown(),
        };
        let mut names_left = if wanted.has_no_filters() { usize::MAX } else { names_max };
        for filter in &wanted.filters {
            let prefix = filter.literal_prefix();
            for (topic, &index) in with_prefix(&topics.in_order, prefix) {
                names_left = names_left.checked_sub(1)?;
                tracked.extend(filter.matches(topic).then_some(index));
            }
            for topic in topics.gone.with_prefix(prefix) {
                names_left = names_left.checked_sub(1)?;
                gone.extend(filter.matches(&topic.name).then_some(topic));
            }
        }
        for topic in wanted.names() {
            names_left = names_left.checked_sub(1)?;
            match topics.find(topic) {
                Some(index) => tracked.push(index),
                None => match topics.gone.find(topic) {
                    Some(topic) => gone.push(topic),
                    None => unknown = topics.gone.unknown(),
                },
            }
        }
        // What two subscriptions match is counted once.
        tracked.sort_unstable();
        tracked.dedup();
        gone.sort_unstable_by_key(|topic| topic.turn);
        gone.dedup_by_key(|topic| topic.turn);
        let gone = gone.into_iter().map(|topic| topic.forgotten).collect();
        Some(NamedTopics { tracked, gone, unknown })
    }

    /// What is known of the events that each of the topics does not keep any more.
    pub(super) fn forgotten<'a>(
        &'a self,
        topics: &'a Topics,
    ) -> impl Iterator<Item = ForgottenOfTopic> + 'a {
        let tracked = self.tracked.iter().map(|&index| topics.entry(index).history.forgotten());
        tracked.chain(self.gone.iter().copied())
    }
}

impl Matches<'_> {
    /// Whether a topic is wanted, or a topic of a list.
    pub(super) fn wants(&self, topics: &Topics, topic: TopicRef) -> bool {
        let find = || match topic {
            TopicRef::List(index) => {
                let names = topics.lists.get(index).into_iter().flat_map(|list| &**list.topics());
                names.into_iter().any(|name| self.matches(name))
            }
            _ => topics.name_of(topic).is_some_and(|name| self.matches(name)),
        };
        *self.found.borrow_mut().entry(topic).or_insert_with(find)
    }

    fn matches(&self, name: &Topic) -> bool {
        let levels = 1 + memchr::memchr_iter(b'/', name.as_str().as_bytes()).count();
        let compared = match self.wanted.has_no_filters() {
            true => self.wanted.subscriptions.len() / NAMES_PER_STEP,
            false => levels * self.wanted.filters.len() / LEVELS_PER_STEP,
        };
        self.add_steps(compared);
        self.wanted.matches_topic(name)
    }

    /// The event of a list of topics as one that is wanted keeps it; `None` if none does. With it
    /// the sequence number of the topic's next event, if there is one; if several topics keep it,
    /// of the one whose next event is the latest.
    pub(super) fn kept_of_list<'t>(
        &self,
        topics: &'t Topics,
        list: &'t List,
        sequence: u64,
    ) -> Option<(&'t Kept, Option<u64>)> {
        self.add_steps(list.topics().len() / TOPICS_PER_STEP);
        let tracked = topics.tracked_of(list);
        let keepers = tracked.filter(|(_, entry)| entry.history.keeps_from(sequence));
        let wanted = keepers.filter(|&(index, _)| self.wants(topics, TopicRef::Tracked(index)));
        let kept = wanted.filter_map(|(_, entry)| entry.history.find_sequence(sequence));
        // No next event is later than any.
        kept.max_by_key(|(_, next)| next.unwrap_or(u64::MAX))
    }

    /// The events of a list of topics that a topic keeps, but none that is wanted, after a sequence
    /// number.
    pub(super) fn missing_of_list(&self, topics: &Topics, list: &List, after: u64) -> Forgotten {
        self.add_steps(list.topics().len() / TOPICS_PER_STEP);
        let tracked = topics.tracked_of(list);
        let wanted = tracked.filter(|&(index, _)| self.wants(topics, TopicRef::Tracked(index)));
        let kept_from = wanted.filter_map(|(_, entry)| entry.history.oldest()).min();
        list.between(after, kept_from.unwrap_or(u64::MAX))
    }

    fn add_steps(&self, steps: usize) {
        self.steps.set(self.steps.get() + steps);
    }

    /// The steps that comparing topics has taken since the last call, besides one for each entry.
    pub(super) fn take_steps(&self) -> usize {
        self.steps.take()
    }
}
