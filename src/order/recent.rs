//! The topics in the order of their newest events: what a client missed of very many topics is
//! looked for among those that had an event since, and not among all of them.
//!
//! A topic that has an event becomes the last of a list, whose links stand in a row beside the
//! topics. One that came back, of whose past no more than a number is known, has its place in a
//! tree until it has an event.

use std::collections::BTreeSet;
use std::ops::Bound;

const NONE: u32 = u32::MAX;

/// Topics by the numbers of their newest events.
pub(super) struct Recent {
    /// By the topics' indices.
    links: Vec<Link>,
    /// The topic that had the newest event of all.
    newest: u32,
    /// The numbers and indices of topics that came back.
    back: BTreeSet<(u64, u32)>,
}

/// A topic's place in the list.
#[derive(Clone, Copy)]
struct Link {
    /// The number of its newest event; zero if it is not in the list.
    number: u64,
    older: u32,
    newer: u32,
}

impl Default for Recent {
    fn default() -> Recent {
        Recent { links: Vec::new(), newest: NONE, back: BTreeSet::new() }
    }
}

impl Recent {
    /// Notes that a topic has had an event, the newest of all, and before that another one.
    pub(super) fn push(&mut self, topic: u32, before: u64, number: u64) {
        if self.newest == topic {
            self.links[topic as usize].number = number;
            return;
        }
        self.remove(topic, before);
        let at = topic as usize;
        if self.links.len() <= at {
            self.links.resize(at + 1, Link { number: 0, older: NONE, newer: NONE });
        }
        let older = std::mem::replace(&mut self.newest, topic);
        self.links[at] = Link { number, older, newer: NONE };
        if older != NONE {
            self.links[older as usize].newer = topic;
        }
    }

    /// Notes a topic that came back, whose newest event, if it ever had one, is an old one.
    pub(super) fn insert(&mut self, topic: u32, number: u64) {
        if number > 0 {
            self.back.insert((number, topic));
        }
    }

    /// Notes that a topic is none any more.
    pub(super) fn remove(&mut self, topic: u32, number: u64) {
        let Some(link) = self.links.get_mut(topic as usize).filter(|link| link.number > 0) else {
            self.back.remove(&(number, topic));
            return;
        };
        let Link { older, newer, .. } = *link;
        link.number = 0;
        match newer {
            NONE => self.newest = older,
            newer => self.links[newer as usize].older = older,
        }
        if older != NONE {
            self.links[older as usize].newer = newer;
        }
    }

    /// The topics that had an event after a number.
    pub(super) fn after(&self, number: u64) -> impl Iterator<Item = u32> + '_ {
        let behind = (Bound::Excluded((number, u32::MAX)), Bound::Unbounded);
        let back = self.back.range(behind).map(|&(_, topic)| topic);
        self.newest_first().take_while(move |&(its, _)| its > number).map(|(_, t)| t).chain(back)
    }

    /// The least number after which no more than so many topics had an event, but for those that
    /// came back.
    pub(super) fn before_newest(&self, topics: usize) -> u64 {
        self.newest_first().nth(topics).map_or(0, |(number, _)| number)
    }

    /// Gives memory back after a crowd of topics has gone.
    pub(super) fn shrink(&mut self) {
        let in_use = self.links.iter().rposition(|link| link.number > 0).map_or(0, |last| last + 1);
        self.links.truncate(in_use);
        self.links.shrink_to_fit();
    }

    /// The topics of the list with their numbers, in descending order.
    fn newest_first(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        let existing = |topic| (topic != NONE).then_some(topic);
        let topics = std::iter::successors(existing(self.newest), move |&topic| {
            existing(self.links[topic as usize].older)
        });
        topics.map(|topic| (self.links[topic as usize].number, topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_is_found_by_its_newest_event_alone() {
        let (mut recent, mut newest) = (Recent::default(), [0; 10]);
        let mut came_back = [false; 10];
        let mut random = fastrand::Rng::with_seed(1);
        for sequence in 1..20_000 {
            // One topic is busier than all others together.
            let topic = if random.bool() { 0 } else { random.usize(..10) };
            recent.push(topic as u32, newest[topic], sequence);
            (newest[topic], came_back[topic]) = (sequence, false);
            let other = random.usize(..10);
            if random.u32(..4) == 0 {
                recent.remove(other as u32, newest[other]);
                // It is forgotten, or comes back with what is known of its past.
                newest[other] = if random.bool() { 0 } else { newest[other] };
                came_back[other] = newest[other] > 0;
                recent.insert(other as u32, newest[other]);
            }
            if random.u32(..50) == 0 {
                recent.shrink();
            }
            let number = random.u64(..=sequence);
            let since = |&topic: &u32| newest[topic as usize] > number;
            let mut found: Vec<u32> = recent.after(number).collect();
            found.sort_unstable();
            assert_eq!(found, (0..10).filter(since).collect::<Vec<_>>());

            let count = random.usize(..12);
            let before = recent.before_newest(count);
            let since = |number| (0..10).filter(|&t| !came_back[t] && newest[t] > number).count();
            assert!(since(before) <= count && (before == 0 || since(before - 1) > count));
        }
    }
}
