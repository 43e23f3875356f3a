//! What is still known of topics that were removed: up to which sequence number their events were
//! forgotten. A client that had a topic's events, and comes back after the topic was removed, is
//! told so what it has missed.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use slab::Slab;

use super::history::{Forgotten, ForgottenOfTopic};
use crate::topic::Topic;

/// The most removed topics that are remembered.
const GONE_MAX: usize = 16 << 10;

/// The removed topics that are remembered, and a bound for all others.
#[derive(Default)]
pub(super) struct Gone {
    topics: Slab<GoneTopic>,
    /// Their indices in the order of their names.
    by_name: BTreeMap<Topic, u32>,
    /// Their indices and turns in the order in which they are dropped. When a topic is recalled its
    /// entry stays here, and is stale from then on.
    in_order: VecDeque<(u32, u64)>,
    /// The turn of the last topic that was remembered.
    turn: u64,
    /// No forgotten event of any other topic has a higher sequence number.
    others_to: u64,
}

pub(super) struct GoneTopic {
    pub(super) name: Topic,
    pub(super) forgotten: ForgottenOfTopic,
    /// No two have the same.
    pub(super) turn: u64,
}

impl Gone {
    /// Remembers a removed topic, and returns its index here; `None` if [`Gone::unknown`] says as
    /// much of it. If another topic has to be dropped for it, `dropped` is called with that topic.
    pub(super) fn remember(
        &mut self,
        topic: &Topic,
        forgotten: ForgottenOfTopic,
        dropped: impl FnOnce(u32, GoneTopic),
    ) -> Option<u32> {
        if forgotten.to() <= self.others_to {
            return None;
        }
        self.turn += 1;
        let gone = GoneTopic { name: topic.clone(), forgotten, turn: self.turn };
        let index = self.topics.insert(gone) as u32;
        self.by_name.insert(topic.clone(), index);
        self.in_order.push_back((index, self.turn));
        if self.topics.len() > GONE_MAX {
            if let Some((index, topic)) = self.drop_first() {
                self.others_to = self.others_to.max(topic.forgotten.to());
                dropped(index, topic);
            }
        }
        Some(index)
    }

    /// Drops the topic that has been remembered longest.
    fn drop_first(&mut self) -> Option<(u32, GoneTopic)> {
        while let Some((index, turn)) = self.in_order.pop_front() {
            if self.topics.get(index as usize).is_some_and(|topic| topic.turn == turn) {
                let topic = self.topics.remove(index as usize);
                self.by_name.remove(&topic.name);
                return Some((index, topic));
            }
        }
        None
    }

    /// What is known of a topic that is tracked again, and the index that it had here.
    pub(super) fn recall(&mut self, topic: &Topic) -> (ForgottenOfTopic, Option<u32>) {
        let Some(index) = self.by_name.remove(topic) else {
            let own = self.unknown();
            return (ForgottenOfTopic { own, ..ForgottenOfTopic::default() }, None);
        };
        let forgotten = self.topics.remove(index as usize).forgotten;
        // Stale entries are dropped when there are as many of them as there may be others.
        if self.in_order.len() > 2 * GONE_MAX {
            let topics = &self.topics;
            self.in_order.retain(|&(index, turn)| {
                topics.get(index as usize).is_some_and(|topic| topic.turn == turn)
            });
        }
        (forgotten, Some(index))
    }

    /// The topic of an index, if there is one.
    pub(super) fn get(&self, index: u32) -> Option<&GoneTopic> {
        self.topics.get(index as usize)
    }

    /// A topic by its name, if it is remembered.
    pub(super) fn find(&self, topic: &Topic) -> Option<&GoneTopic> {
        self.by_name.get(topic).map(|&index| &self.topics[index as usize])
    }

    /// What is known of a topic that is neither tracked nor remembered.
    pub(super) fn unknown(&self) -> Forgotten {
        Forgotten { to: self.others_to, known: None }
    }

    /// The remembered topics after a name, or all, in the order of their names.
    pub(super) fn after<'a>(
        &'a self,
        name: Option<&Topic>,
    ) -> impl Iterator<Item = &'a GoneTopic> + use<'a> {
        names_after(&self.by_name, name).map(|(_, &index)| &self.topics[index as usize])
    }

    /// Notes that events of topics that are neither tracked nor remembered were forgotten up to a number.
    pub(super) fn restore_others(&mut self, to: u64) {
        self.others_to = self.others_to.max(to);
    }

    /// The remembered topics whose names begin with a text, in the order of their names.
    pub(super) fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = &'a GoneTopic> + 'a {
        with_prefix(&self.by_name, prefix).map(|(_, &index)| &self.topics[index as usize])
    }
}

/// The entries of a map after a name, or all.
pub(super) fn names_after<'a>(
    by_name: &'a BTreeMap<Topic, u32>,
    name: Option<&Topic>,
) -> impl Iterator<Item = (&'a Topic, &'a u32)> + use<'a> {
    let from = name.map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
    by_name.range::<str, _>((from, Bound::Unbounded))
}

/// The entries of a map whose names begin with a text.
pub(super) fn with_prefix<'a>(
    by_name: &'a BTreeMap<Topic, u32>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a Topic, &'a u32)> + 'a {
    let from = (Bound::Included(prefix), Bound::Unbounded);
    let rest = by_name.range::<str, _>(from);
    rest.take_while(move |(name, _)| name.as_str().starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(n: usize) -> Topic {
        Topic::new(&format!("t/{n}")).unwrap()
    }

    fn forgotten(to: u64) -> ForgottenOfTopic {
        ForgottenOfTopic { own: Forgotten::one(to), ..ForgottenOfTopic::default() }
    }

    #[test]
    fn topics_that_are_recalled_and_removed_again_do_not_drive_others_out() {
        let mut gone = Gone::default();
        let dropped = |_, topic: GoneTopic| panic!("{} is dropped", topic.name);
        for n in 0..100 {
            gone.remember(&topic(n), forgotten(n as u64 + 1), dropped);
        }
        for _ in 0..1_000 {
            for n in 50..100 {
                let (recalled, index) = gone.recall(&topic(n));
                assert_eq!((recalled, index.is_some()), (forgotten(n as u64 + 1), true));
                gone.remember(&topic(n), recalled, dropped);
            }
        }
        assert!(gone.in_order.len() <= 2 * GONE_MAX + 1);
        let found = |n| gone.find(&topic(n)).map(|topic| topic.forgotten);
        assert!((0..100).all(|n| found(n) == Some(forgotten(n as u64 + 1))));
        assert_eq!((found(100), gone.unknown()), (None, Forgotten::default()));
    }

    #[test]
    fn the_topic_that_was_remembered_longest_is_dropped_first() {
        let mut gone = Gone::default();
        let mut all_dropped = Vec::new();
        for n in 0..GONE_MAX + 2 {
            let to = n as u64 + 1;
            gone.remember(&topic(n), forgotten(to), |_, topic| all_dropped.push(topic.name));
            if n == 1 {
                // So it was remembered later than the second one.
                let (recalled, _) = gone.recall(&topic(0));
                gone.remember(&topic(0), recalled, |_, _| panic!("the memory is not full"));
            }
        }
        assert_eq!(all_dropped, [topic(1), topic(0)]);
        assert!(gone.find(&topic(1)).is_none());
        assert_eq!(gone.unknown(), Forgotten { to: 2, known: None });
        assert_eq!(gone.remember(&topic(0), forgotten(2), |_, _| {}), None, "it is known");
        let numbers = (0..GONE_MAX + 2).filter(|n| n.to_string().starts_with("1638"));
        assert_eq!(gone.with_prefix("t/1638").count(), numbers.count());
    }
}
