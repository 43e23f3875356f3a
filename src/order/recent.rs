//! The topics in the order of their newest events: what a client missed of very many topics is
//! looked for among those that had an event since, and not among all of them.

use std::collections::BTreeSet;
use std::ops::Bound;

/// The index of a topic, behind the number of its newest event.
type Newest = (u64, u32);

/// Topics by the numbers of their newest events.
#[derive(Default)]
pub(super) struct Recent {
    others: BTreeSet<Newest>,
    /// The topic that had the newest event of all, and so often has the next one as well.
    last: Option<Newest>,
}

impl Recent {
    /// Notes that a topic has had an event, the newest of all, and before that another one.
    pub(super) fn push(&mut self, topic: u32, before: u64, sequence: u64) {
        match &mut self.last {
            Some(last) if last.1 == topic => last.0 = sequence,
            last => {
                self.others.remove(&(before, topic));
                self.others.extend(last.replace((sequence, topic)));
            }
        }
    }

    /// Notes a topic whose newest event, if it ever had one, need not be the newest of all.
    pub(super) fn insert(&mut self, topic: u32, newest: u64) {
        if newest > 0 {
            self.others.insert((newest, topic));
        }
    }

    /// Notes that a topic is none any more.
    pub(super) fn remove(&mut self, topic: u32, newest: u64) {
        match self.last {
            Some(last) if last.1 == topic => self.last = None,
            _ => _ = self.others.remove(&(newest, topic)),
        }
    }

    /// The topics that had an event after a number.
    pub(super) fn after(&self, number: u64) -> impl Iterator<Item = u32> + '_ {
        let after = (Bound::Excluded((number, u32::MAX)), Bound::Unbounded);
        let last = self.last.filter(|last| last.0 > number);
        self.others.range(after).copied().chain(last).map(|(_, topic)| topic)
    }

    /// The least number after which no more than so many topics had an event.
    pub(super) fn before_newest(&self, topics: usize) -> u64 {
        let from_newest = self.last.into_iter().chain(self.others.iter().rev().copied());
        from_newest.skip(topics).map(|(newest, _)| newest).next().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_is_found_by_its_newest_event_alone() {
        let (mut recent, mut newest) = (Recent::default(), [0; 10]);
        let mut random = fastrand::Rng::with_seed(1);
        for sequence in 1..10_000 {
            // One topic is busier than all others together.
            let topic = if random.bool() { 0 } else { random.usize(..10) };
            recent.push(topic as u32, newest[topic], sequence);
            newest[topic] = sequence;
            let other = random.usize(..10);
            if random.u32(..4) == 0 {
                recent.remove(other as u32, newest[other]);
                // It is forgotten, or comes back with what is known of its past.
                newest[other] = if random.bool() { 0 } else { newest[other] };
                recent.insert(other as u32, newest[other]);
            }
            let number = random.u64(..=sequence);
            let since = |&topic: &u32| newest[topic as usize] > number;
            let mut found: Vec<u32> = recent.after(number).collect();
            found.sort_unstable();
            assert_eq!(found, (0..10).filter(since).collect::<Vec<_>>());
            let (count, before) = (random.usize(..12), |count| recent.before_newest(count));
            assert!(recent.after(before(count)).count() <= count);
            assert!(before(count) == 0 || recent.after(before(count) - 1).count() > count);
        }
    }
}
