//! Which of the hub's topics a client's subscriptions are about.

use std::ops::Bound;

use super::topics::Topics;
use crate::filter::tree::FilterTree;
use crate::filter::{Filter, Subscription};
use crate::topic::Topic;

/// The topics of some subscriptions, as they were when there were these topics.
#[derive(Default)]
pub(crate) struct Known {
    /// Each once.
    pub(super) topics: Vec<u32>,
    /// [`Topics::generation`] at that time.
    generation: u64,
}

/// Topics that are held against filters by their names, rather than that all topics of these are
/// found once and for all. Less in tests, so that both are done.
pub(super) const LOOKS_MAX: usize = if cfg!(test) { 8 } else { 1024 };

/// Some subscriptions' filters: one look at a topic finds out whether any of them matches.
pub(super) struct Matcher<'a> {
    /// Those that begin with names, and so concern a range of topics alone.
    with_prefix: Vec<&'a Filter>,
    others: FilterTree<()>,
}

impl Known {
    /// How many topics they are: none if that was not found out.
    pub(crate) fn count(&self) -> usize {
        self.topics.len()
    }
}

impl Topics {
    /// The topics of subscriptions.
    pub(super) fn of(&self, wanted: &[Subscription]) -> Known {
        let mut topics: Vec<u32> = self.named(wanted).collect();
        let filters = Matcher::new(wanted);
        for filter in &filters.with_prefix {
            let prefix = filter.literal_prefix();
            let from = (Bound::Included(prefix), Bound::Unbounded);
            let range = self.in_order.range::<str, _>(from);
            let range = range.take_while(|(topic, _)| topic.as_str().starts_with(prefix));
            topics
                .extend(range.filter(|(topic, _)| filter.matches(topic)).map(|(_, &index)| index));
        }
        // However many there are, it takes one walk over all topics.
        if !filters.others.is_empty() {
            let matching = self.in_order.iter().filter(|(topic, _)| filters.others_match(topic));
            topics.extend(matching.map(|(_, &index)| index));
        }
        topics.sort_unstable();
        topics.dedup();
        Known { topics, generation: self.generation }
    }

    /// The topics that subscriptions name, as far as there are such.
    fn named<'a>(&'a self, wanted: &'a [Subscription]) -> impl Iterator<Item = u32> + 'a {
        wanted.iter().filter_map(|subscription| match subscription {
            Subscription::Topic(topic) => self.find(topic),
            Subscription::Filter(_) => None,
        })
    }

    /// The topics of subscriptions, found anew if any topic has come or gone since.
    pub(super) fn all<'a>(&self, wanted: &[Subscription], known: &'a mut Known) -> &'a [u32] {
        if known.generation != self.generation {
            *known = self.of(wanted);
        }
        &known.topics
    }

    /// Those topics of subscriptions that had an event after a number, each once. What that costs
    /// is bounded by how many topics had one, whether they are wanted or not, unless these are
    /// many; then it is by how many are wanted.
    pub(super) fn since(
        &self,
        number: u64,
        wanted: &[Subscription],
        known: &mut Known,
    ) -> Vec<u32> {
        let filters = Matcher::new(wanted);
        let is_since = |index: &u32| self.entry(*index).history.newest() > number;
        let with_event = || self.recent.after(number);
        let are_many = |than: usize| with_event().nth(than).is_some();
        let is_known = known.generation == self.generation;
        let mut topics: Vec<u32> = if filters.is_empty() {
            self.named(wanted).filter(is_since).collect()
        } else if !is_known && !are_many(LOOKS_MAX) {
            let matches = |index: &u32| filters.matches(&self.entry(*index).state.name);
            self.named(wanted).filter(is_since).chain(with_event().filter(matches)).collect()
        } else {
            let all = self.all(wanted, known);
            match are_many(all.len()) {
                true => all.iter().copied().filter(is_since).collect(),
                false => with_event().filter(|index| all.binary_search(index).is_ok()).collect(),
            }
        };
        topics.sort_unstable();
        topics.dedup();
        topics
    }
}

impl<'a> Matcher<'a> {
    pub(super) fn new(wanted: &'a [Subscription]) -> Matcher<'a> {
        let mut matcher = Matcher { with_prefix: Vec::new(), others: FilterTree::default() };
        for subscription in wanted {
            match subscription {
                Subscription::Topic(_) => {}
                Subscription::Filter(filter) if filter.literal_prefix().is_empty() => {
                    matcher.others.get_or_insert_with(filter, || ());
                }
                Subscription::Filter(filter) => matcher.with_prefix.push(filter),
            }
        }
        matcher
    }

    pub(super) fn is_empty(&self) -> bool {
        self.with_prefix.is_empty() && self.others.is_empty()
    }

    pub(super) fn matches(&self, topic: &Topic) -> bool {
        self.with_prefix.iter().any(|filter| filter.matches(topic)) || self.others_match(topic)
    }

    fn others_match(&self, topic: &Topic) -> bool {
        let mut any = false;
        self.others.for_each_match(topic, |_, ()| any = true);
        any
    }
}
