//! Which of the hub's topics a client's subscriptions are about.

use std::cell::OnceCell;
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

/// Names that are held against filters for one client, rather than that all topics of these are
/// found once and for all. Less in tests, so that both are done.
pub(super) const NAMES_MAX: usize = if cfg!(test) { 8 } else { 1024 };
/// Topics whose newest events' numbers are looked at in a row, in the time that one takes which is
/// looked for.
const NUMBERS_PER_SEARCH: usize = 16;

/// Some subscriptions' filters: one look at a topic finds out whether any of them matches.
pub(super) struct Matcher<'a> {
    filters: Vec<&'a Filter>,
    /// The same, if there are several and a topic was held against them.
    tree: OnceCell<FilterTree<()>>,
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
        self.find_of(wanted, &Matcher::new(wanted), usize::MAX).expect("it may look at all")
    }

    /// The same, unless it takes a look at more than so many names. Filters that begin with names
    /// concern a range of topics alone.
    fn find_of(
        &self,
        wanted: &[Subscription],
        filters: &Matcher<'_>,
        names_max: usize,
    ) -> Option<Known> {
        let mut topics: Vec<u32> = self.named(wanted).collect();
        let mut names_left = names_max;
        if filters.filters.iter().any(|filter| filter.literal_prefix().is_empty()) {
            // However many they are, it takes one walk over all topics.
            names_left.checked_sub(self.in_order.len())?;
            let matching = self.in_order.iter().filter(|(topic, _)| filters.matches(topic));
            topics.extend(matching.map(|(_, &index)| index));
        } else {
            for filter in &filters.filters {
                let prefix = filter.literal_prefix();
                let from = (Bound::Included(prefix), Bound::Unbounded);
                let range = self.in_order.range::<str, _>(from);
                for (topic, &index) in
                    range.take_while(|(topic, _)| topic.as_str().starts_with(prefix))
                {
                    names_left = names_left.checked_sub(1)?;
                    topics.extend(filter.matches(topic).then_some(index));
                }
            }
        }
        Some(Known { topics: sorted(topics.into_iter()), generation: self.generation })
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

    /// Those topics of subscriptions that had an event after a number, each once. When it is not
    /// known which topics the filters have, and not found out by a look at a few names, what this
    /// costs is bounded by how many topics had an event, whether they are wanted or not; but if
    /// these are many as well, it takes a look at each name that one of the filters may match.
    pub(super) fn since(
        &self,
        number: u64,
        wanted: &[Subscription],
        known: &mut Known,
    ) -> Vec<u32> {
        let filters = Matcher::new(wanted);
        let is_since = |index: &u32| self.entry(*index).history.newest() > number;
        if filters.is_empty() {
            return sorted(self.named(wanted).filter(is_since));
        }
        let with_event = || self.recent.after(number);
        let had_more_than = |topics: usize| with_event().nth(topics).is_some();
        if known.generation != self.generation {
            match self.find_of(wanted, &filters, NAMES_MAX) {
                Some(few) => *known = few,
                None if had_more_than(NAMES_MAX) => *known = self.of(wanted),
                None => {
                    let matches = |index: &u32| filters.matches(&self.entry(*index).state.name);
                    let named = self.named(wanted).filter(is_since);
                    return sorted(named.chain(with_event().filter(matches)));
                }
            }
        }
        let all = &known.topics;
        match had_more_than(all.len() / NUMBERS_PER_SEARCH) {
            true => all.iter().copied().filter(is_since).collect(),
            false => sorted(with_event().filter(|index| all.binary_search(index).is_ok())),
        }
    }
}

/// Each topic once, in the order of their indices.
fn sorted(topics: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut topics: Vec<u32> = topics.collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

impl<'a> Matcher<'a> {
    pub(super) fn new(wanted: &'a [Subscription]) -> Matcher<'a> {
        let filters = wanted.iter().filter_map(|subscription| match subscription {
            Subscription::Topic(_) => None,
            Subscription::Filter(filter) => Some(filter),
        });
        Matcher { filters: filters.collect(), tree: OnceCell::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    pub(super) fn matches(&self, topic: &Topic) -> bool {
        if let [only] = self.filters[..] {
            return only.matches(topic);
        }
        let tree = self.tree.get_or_init(|| {
            let mut tree = FilterTree::default();
            self.filters.iter().for_each(|filter| *tree.get_or_insert_with(filter, || ()));
            tree
        });
        let mut any = false;
        tree.for_each_match(topic, |_, ()| any = true);
        any
    }
}
