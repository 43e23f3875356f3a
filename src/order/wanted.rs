//! Which of the hub's topics a client's subscriptions are about.
//!
//! A client that names its topics, or whose filters may match few names, has *few* topics: they are
//! found by name. The topics of any other client are found along the log, in the order of their
//! events, however many they are.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use rustc_hash::FxHashMap;

use super::gone::with_prefix;
use super::history::Forgotten;
use super::log::{Entry, Of};
use super::topics::Topics;
use crate::filter::tree::FilterTree;
use crate::filter::{Filter, Subscription};
use crate::topic::Topic;

/// Levels of filters that are held against those of a topic in the time of one look.
const LEVELS_PER_LOOK: usize = 16;

/// What a client wants.
pub(super) struct Wanted<'a> {
    subscriptions: &'a [Subscription],
    filters: Vec<&'a Filter>,
    /// The same, and the topics that are wanted by name, if topics of the log are held against them.
    all: Option<All<'a>>,
}

struct All<'a> {
    names: HashSet<&'a Topic>,
    tree: FilterTree<()>,
}

/// The topics of a client that has few.
pub(super) struct Few {
    /// By their indices, each once.
    pub(super) topics: Vec<u32>,
    /// What is known of those that are gone, or never were.
    pub(super) gone: Vec<Forgotten>,
}

/// Which topics of the log are wanted, as far as that was found out.
pub(super) struct Matches<'a> {
    wanted: &'a Wanted<'a>,
    known: RefCell<FxHashMap<Of, bool>>,
    looks: Cell<usize>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(subscriptions: &'a [Subscription]) -> Wanted<'a> {
        let filters = subscriptions.iter().filter_map(|subscription| match subscription {
            Subscription::Topic(_) => None,
            Subscription::Filter(filter) => Some(filter),
        });
        Wanted { subscriptions, filters: filters.collect(), all: None }
    }

    /// Prepares for topics that are found along the log. Takes no lock.
    pub(super) fn prepare(&mut self) {
        if self.filters.is_empty() || self.all.is_some() {
            return;
        }
        let mut tree = FilterTree::default();
        self.filters.iter().for_each(|filter| *tree.get_or_insert_with(filter, || ()));
        self.all = Some(All { names: self.named().collect(), tree });
    }

    /// Whether all topics are wanted by their names.
    pub(super) fn has_names_alone(&self) -> bool {
        self.filters.is_empty()
    }

    pub(super) fn matches(&'a self) -> Matches<'a> {
        Matches { wanted: self, known: RefCell::default(), looks: Cell::default() }
    }

    fn named(&self) -> impl Iterator<Item = &'a Topic> {
        let subscriptions = self.subscriptions;
        subscriptions.iter().filter_map(|subscription| match subscription {
            Subscription::Topic(topic) => Some(topic),
            Subscription::Filter(_) => None,
        })
    }

    fn matches_filter(&self, topic: &Topic) -> bool {
        match (&self.filters[..], &self.all) {
            ([only], _) => only.matches(topic),
            (filters, None) => filters.iter().any(|filter| filter.matches(topic)),
            (_, Some(all)) => {
                let mut any = false;
                all.tree.for_each_match(topic, |_, ()| any = true);
                any
            }
        }
    }

    /// Whether a client wants a topic.
    fn is_wanted(&self, topic: &Topic) -> bool {
        let is_named = match &self.all {
            Some(all) => all.names.contains(topic),
            None => self.named().any(|name| name == topic),
        };
        is_named || self.matches_filter(topic)
    }
}

impl Topics {
    /// The topics of a client, if they can be found by a look at few names.
    pub(super) fn few(&self, wanted: &Wanted<'_>, names_max: usize) -> Option<Few> {
        let mut few = Few { topics: Vec::new(), gone: Vec::new() };
        let mut names_left = if wanted.filters.is_empty() { usize::MAX } else { names_max };
        for filter in &wanted.filters {
            let prefix = filter.literal_prefix();
            for (topic, &index) in with_prefix(&self.in_order, prefix) {
                names_left = names_left.checked_sub(1)?;
                few.topics.extend(filter.matches(topic).then_some(index));
            }
            for topic in self.gone.with_prefix(prefix) {
                names_left = names_left.checked_sub(1)?;
                few.gone.extend(filter.matches(&topic.name).then_some(topic.forgotten));
            }
        }
        for topic in wanted.named() {
            names_left = names_left.checked_sub(1)?;
            match self.find(topic) {
                Some(index) => few.topics.push(index),
                // What a filter matches as well is counted with that.
                None if wanted.matches_filter(topic) => {}
                None => few.gone.push(self.gone.find(topic)),
            }
        }
        if !wanted.filters.is_empty() {
            few.gone.push(self.gone.unknown());
        }
        few.topics.sort_unstable();
        few.topics.dedup();
        // What two filters match is counted once. No two topics have an event in common.
        few.gone.sort_unstable_by_key(|forgotten| forgotten.to);
        few.gone.dedup_by_key(|forgotten| forgotten.to);
        Some(few)
    }
}

impl Matches<'_> {
    /// Whether the topic of an entry is wanted.
    pub(super) fn wants(&self, topics: &Topics, entry: Entry) -> bool {
        let find = || {
            let Some(name) = topics.name_of(entry.of) else { return false };
            let levels = 1 + memchr::memchr_iter(b'/', name.as_str().as_bytes()).count();
            let looks = levels * self.wanted.filters.len() / LEVELS_PER_LOOK;
            self.looks.set(self.looks.get() + looks);
            self.wanted.is_wanted(name)
        };
        *self.known.borrow_mut().entry(entry.of).or_insert_with(find)
    }

    /// What was looked at since this was asked last, besides entries.
    pub(super) fn take_looks(&self) -> usize {
        self.looks.take()
    }
}
