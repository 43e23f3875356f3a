//! The events of several topics, by the list of topics that each was published to.
//!
//! An event of several topics is kept in the history of each of them, and forgotten there when that
//! topic's bounds say so. It is *gone* when none of them keeps it any more. Until then a client
//! misses it only if none of the topics that the client wants keeps it.
//!
//! ```text
//!   list [a, b]        gone            kept: by a or by b
//!                 ............... [ 31 | 34 | 40 | 41 ]
//!   history of a                            [ 40 | 41 | 42 ]
//!   history of b                  [ 31 | 34 | 40 | 41 ]
//! ```
//!
//! Each such event belongs to one list, and each topic forgets its events in their order. So the
//! events of a list are gone in their order too, and they are counted once, however many of their
//! topics a client wants. In the [event log](super::event_log) such an event has one entry, which
//! names its list.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use slab::Slab;

use super::history::Forgotten;
use crate::topic::Topic;

/// All lists that an event is kept of, and those whose events were gone last.
pub(super) struct Lists {
    lists: Slab<List>,
    by_topics: BTreeMap<Arc<[Topic]>, u32>,
    /// The topics of all lists.
    topics: usize,
    /// The lists without kept events and their turns, in the order in which they are dropped. A
    /// list that has a kept event again stays here, and is stale from then on.
    idle: VecDeque<(u32, u64)>,
    /// The topics of all lists without kept events.
    idle_topics: usize,
    /// If these are more, the list is dropped that has been idle longest.
    idle_topics_max: usize,
    turn: u64,
    /// No event of a list that was dropped has a higher sequence number.
    dropped_to: u64,
    /// The sequence number of the event that is being put into its topics' histories.
    under_way: Option<u64>,
}

/// A list of topics, of which there are at least two, in the order of their names.
pub(super) struct List {
    topics: Arc<[Topic]>,
    /// The topics' indices in [`Topics`](super::topics::Topics) when the last event was published.
    indices: Box<[u32]>,
    /// The sequence numbers of the events that a topic keeps.
    kept: VecDeque<u64>,
    gone: Forgotten,
    /// Its turn if it has no kept event, and zero otherwise.
    idle_turn: u64,
}

impl Lists {
    pub(super) fn new(idle_topics_max: usize) -> Lists {
        Lists {
            lists: Slab::new(),
            by_topics: BTreeMap::new(),
            topics: 0,
            idle: VecDeque::new(),
            idle_topics: 0,
            idle_topics_max,
            turn: 0,
            dropped_to: 0,
            under_way: None,
        }
    }

    /// Notes a new event, the newest of all, of topics that have these indices, in both cases in
    /// the order of the topics' names. Returns the list's index, which stays the same as long as an
    /// event of the list is kept.
    pub(super) fn publish(
        &mut self,
        topics: &Arc<[Topic]>,
        indices: Box<[u32]>,
        sequence: u64,
    ) -> u32 {
        let index = match self.by_topics.get(topics) {
            Some(&index) => index,
            None => {
                let list = List {
                    topics: topics.clone(),
                    indices: Box::default(),
                    kept: VecDeque::new(),
                    gone: Forgotten::default(),
                    idle_turn: 0,
                };
                let index = self.lists.insert(list) as u32;
                self.by_topics.insert(topics.clone(), index);
                self.topics += topics.len();
                index
            }
        };
        let list = &mut self.lists[index as usize];
        list.indices = indices;
        list.kept.push_back(sequence);
        if std::mem::take(&mut list.idle_turn) > 0 {
            self.idle_topics -= list.topics.len();
        }
        self.under_way = Some(sequence);
        index
    }

    /// Notes that the event that was published last was put into its topics' histories.
    pub(super) fn end_publishing(&mut self) {
        self.under_way = None;
    }

    /// Whether this is the event that is being put into its topics' histories.
    pub(super) fn is_under_way(&self, sequence: u64) -> bool {
        self.under_way == Some(sequence)
    }

    /// Notes that no topic keeps an event of a list any more, nor an older one. Returns how many
    /// entries of the event log became useless.
    pub(super) fn note_gone(&mut self, index: u32, sequence: u64) -> usize {
        let Some(list) = self.lists.get_mut(index as usize) else { return 0 };
        let mut useless = 0;
        while let Some(&number) = list.kept.front().filter(|number| **number <= sequence) {
            list.kept.pop_front();
            useless += usize::from(list.gone.to > 0);
            list.gone.note(number);
        }
        if list.kept.capacity() > 64 && list.kept.len() < list.kept.capacity() / 4 {
            list.kept.shrink_to(list.kept.len() * 2);
        }
        if list.kept.is_empty() && list.idle_turn == 0 {
            self.turn += 1;
            list.idle_turn = self.turn;
            self.idle_topics += list.topics.len();
            self.idle.push_back((index, self.turn));
            useless += self.drop_idle();
        }
        useless
    }

    /// Drops lists that have had no kept event for long, within the bound.
    fn drop_idle(&mut self) -> usize {
        let mut dropped = 0;
        while self.idle_topics > self.idle_topics_max {
            let Some((index, turn)) = self.idle.pop_front() else { break };
            if self.is_stale(index, turn) {
                continue;
            }
            let list = self.lists.remove(index as usize);
            self.by_topics.remove(&list.topics);
            self.topics -= list.topics.len();
            self.idle_topics -= list.topics.len();
            self.dropped_to = self.dropped_to.max(list.gone.to);
            dropped += 1;
        }
        // Stale entries are dropped when there are as many of them as there may be others.
        if self.idle.len() > self.idle_topics_max {
            let mut idle = std::mem::take(&mut self.idle);
            idle.retain(|&(index, turn)| !self.is_stale(index, turn));
            self.idle = idle;
        }
        dropped
    }

    fn is_stale(&self, index: u32, turn: u64) -> bool {
        self.lists.get(index as usize).is_none_or(|list| list.idle_turn != turn)
    }

    /// The list of an index, if there is one.
    pub(super) fn get(&self, index: u32) -> Option<&List> {
        self.lists.get(index as usize)
    }

    /// No list has this index, nor a higher one.
    pub(super) fn indices_end(&self) -> u32 {
        self.lists.capacity() as u32
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &List)> {
        self.lists.iter().map(|(index, list)| (index as u32, list))
    }

    /// How many topics all lists have together.
    pub(super) fn topics(&self) -> usize {
        self.topics
    }

    /// No event of a list that was dropped has a higher sequence number.
    pub(super) fn dropped_to(&self) -> u64 {
        self.dropped_to
    }

    /// Notes that lists were dropped whose events have numbers up to this one.
    pub(super) fn restore_dropped(&mut self, to: u64) {
        self.dropped_to = self.dropped_to.max(to);
    }

    /// Notes what is known of the events of a list that no topic kept in earlier lives, before any
    /// other event of the list. Returns the list's index, and how many entries of the event log became
    /// useless.
    pub(super) fn restore(&mut self, topics: &Arc<[Topic]>, gone: Forgotten) -> (u32, usize) {
        let index = self.publish(topics, Box::default(), gone.to);
        self.end_publishing();
        let useless = self.note_gone(index, gone.to);
        if let Some(list) = self.lists.get_mut(index as usize) {
            list.gone = gone;
        }
        (index, useless)
    }
}

impl List {
    pub(super) fn topics(&self) -> &Arc<[Topic]> {
        &self.topics
    }

    /// Its topics, each with the index that it had when the last event was published.
    pub(super) fn indexed(&self) -> impl Iterator<Item = (&Topic, u32)> {
        self.topics.iter().zip(self.indices.iter().copied())
    }

    /// What is known of the events that no topic keeps any more.
    pub(super) fn gone(&self) -> Forgotten {
        self.gone
    }

    /// Whether a topic keeps its event of this sequence number.
    pub(super) fn keeps(&self, sequence: u64) -> bool {
        self.kept.front().is_some_and(|oldest| *oldest <= sequence)
    }

    /// The kept events after a sequence number and before another, as if they were forgotten.
    pub(super) fn between(&self, after: u64, before: u64) -> Forgotten {
        let from = self.kept.partition_point(|&number| number <= after);
        let end = self.kept.partition_point(|&number| number < before);
        match end.checked_sub(from) {
            None | Some(0) => Forgotten::default(),
            Some(count) => {
                Forgotten { to: self.kept[end - 1], known: Some((self.kept[from], count as u64)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(nth: usize) -> Arc<[Topic]> {
        ["a".to_owned(), format!("b/{nth}")].map(|name| Topic::new(&name).unwrap()).into()
    }

    fn publish(lists: &mut Lists, nth: usize, sequence: u64) -> u32 {
        let index = lists.publish(&topics(nth), Box::new([0, 1]), sequence);
        lists.end_publishing();
        index
    }

    #[test]
    fn the_events_of_a_list_are_gone_in_their_order() {
        let mut lists = Lists::new(100);
        let list = publish(&mut lists, 0, 3);
        for sequence in [5, 8, 9] {
            assert_eq!(publish(&mut lists, 0, sequence), list);
        }
        assert_eq!(lists.note_gone(list, 3), 0, "the entry of the last that is gone is needed");
        assert_eq!(lists.note_gone(list, 5), 1);
        let found = lists.get(list).unwrap();
        assert_eq!(found.gone(), Forgotten { to: 5, known: Some((3, 2)) });
        assert!(found.keeps(8) && !found.keeps(5));
        assert_eq!(found.between(5, 9), Forgotten { to: 8, known: Some((8, 1)) });
        assert_eq!(found.between(0, 10), Forgotten { to: 9, known: Some((8, 2)) });
        assert_eq!(found.between(8, 9), Forgotten::default());
        assert_eq!(found.between(9, 3), Forgotten::default());
    }

    #[test]
    fn lists_without_kept_events_are_dropped_beyond_a_bound_the_first_one_first() {
        const MAX: usize = 2_000;
        let mut lists = Lists::new(MAX);
        let kept = publish(&mut lists, usize::MAX, 1);
        let mut sequence = 1;
        for nth in 0..MAX {
            sequence += 1;
            let list = publish(&mut lists, nth, sequence);
            lists.note_gone(list, sequence);
            if nth % 100 == 0 {
                // So it is dropped later than those that come right after it.
                sequence += 1;
                assert_eq!(publish(&mut lists, nth, sequence), list);
                lists.note_gone(list, sequence);
            }
        }
        assert_eq!(lists.topics(), MAX + 2);
        assert!(lists.get(kept).is_some_and(|list| list.keeps(1)));
        assert!(lists.dropped_to() > MAX as u64 / 3, "{}", lists.dropped_to());
        let oldest = lists.iter().map(|(_, list)| list.gone().to).filter(|&to| to > 0).min();
        assert!(oldest > Some(lists.dropped_to()), "{oldest:?}");
        assert_eq!(lists.iter().count(), lists.by_topics.len());
        assert!(lists.idle.len() <= MAX);
    }
}
