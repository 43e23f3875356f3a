//! The topics whose events were forgotten last, in that order.
//!
//! A client that is sent what it has missed remembers how many events had been forgotten when it
//! was last told what is missing. What was forgotten since is found here, however many topics the
//! hub has and however far apart their events are, without a walk along the event log.

use std::collections::VecDeque;

use super::event_log::TopicRef;

/// The latest topics of which an event was forgotten: one entry for each event, and one where what
/// is known of a topic moves to or from the removed topics.
pub(super) struct Forgets {
    /// The oldest entry is dropped when there are more than this.
    max: usize,
    latest: VecDeque<TopicRef>,
    /// How many entries there were in all.
    count: u64,
}

impl Forgets {
    pub(super) fn new(max: usize) -> Forgets {
        Forgets { max, latest: VecDeque::new(), count: 0 }
    }

    /// Notes a topic.
    #[inline]
    pub(super) fn push(&mut self, topic: TopicRef) {
        if self.latest.len() >= self.max {
            self.latest.pop_front();
        }
        self.latest.push_back(topic);
        self.count += 1;
    }

    /// How many entries there were so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The entries since there were `count`; `None` if some of them were dropped.
    pub(super) fn since(&self, count: u64) -> Option<impl Iterator<Item = TopicRef> + '_> {
        let new = (self.count - count) as usize;
        let start = self.latest.len().checked_sub(new)?;
        Some(self.latest.range(start..).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_forgotten_since_is_known_unless_it_is_too_much() {
        let mut forgets = Forgets::new(4);
        assert_eq!(forgets.since(0).map(Iterator::count), Some(0));
        (0..10).for_each(|n| forgets.push(TopicRef::Tracked(n)));
        assert_eq!(forgets.count(), 10);
        let since = |count| forgets.since(count).map(Iterator::collect::<Vec<_>>);
        assert_eq!(since(10), Some(vec![]));
        assert_eq!(since(8), Some(vec![TopicRef::Tracked(8), TopicRef::Tracked(9)]));
        assert_eq!(since(6).map(|entries| entries.len()), Some(4));
        assert_eq!(since(5), None, "an entry was dropped");
    }
}
