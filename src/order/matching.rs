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

/// Some subscriptions' filters: one look at a topic finds out whether any of them matches.
pub(super) struct Matcher<'a> {
    /// Those that begin with names, and so concern a range of topics alone.
    with_prefix: Vec<&'a Filter>,
    others: FilterTree<()>,
}

impl Topics {
    /// The topics of subscriptions.
    pub(super) fn of(&self, wanted: &[Subscription]) -> Known {
        let mut topics: Vec<u32> = Vec::with_capacity(wanted.len());
        topics.extend(wanted.iter().filter_map(|subscription| match subscription {
            Subscription::Topic(topic) => self.find(topic),
            Subscription::Filter(_) => None,
        }));
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

    /// Finds the topics of subscriptions anew if any topic has come or gone since.
    pub(super) fn renew(&self, known: &mut Known, wanted: &[Subscription]) {
        if known.generation != self.generation {
            *known = self.of(wanted);
        }
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
