//! What is still known of topics that are gone.

use std::collections::{HashMap, VecDeque};

use super::history::Forgotten;
use super::matching::Matcher;
use crate::topic::Topic;

/// So many topics that are gone are still known by what was forgotten of them.
const GONE_MAX: usize = 16 << 10;

/// What was forgotten of topics that are gone themselves.
#[derive(Default)]
pub(super) struct Gone {
    forgotten: HashMap<Topic, Forgotten>,
    in_order: VecDeque<(Topic, u64)>,
    /// For topics that are not in `forgotten`: a number that no event of theirs is beyond.
    beyond: u64,
    /// The last number that was forgotten of any.
    newest: u64,
}

impl Gone {
    pub(super) fn remember(&mut self, topic: &Topic, forgotten: Forgotten) {
        // Of what is not remembered, no more than this is known anyway.
        if forgotten.to <= self.beyond {
            return;
        }
        self.newest = self.newest.max(forgotten.to);
        self.forgotten.insert(topic.clone(), forgotten);
        self.in_order.push_back((topic.clone(), forgotten.to));
        while self.in_order.len() > GONE_MAX {
            let Some((topic, to)) = self.in_order.pop_front() else { return };
            // It may have come back, and gone again, since.
            if self.forgotten.get(&topic).is_some_and(|forgotten| forgotten.to == to) {
                self.forgotten.remove(&topic);
                self.beyond = self.beyond.max(to);
            }
        }
    }

    pub(super) fn find(&self, topic: &Topic) -> Forgotten {
        let unknown = Forgotten { to: self.beyond, known: None };
        self.forgotten.get(topic).copied().unwrap_or(unknown)
    }

    /// What is known of the events, after a number, of those topics that one of some filters matches.
    pub(super) fn find_all<'a>(
        &'a self,
        filters: &'a Matcher<'a>,
        after: u64,
    ) -> impl Iterator<Item = Forgotten> + 'a {
        let remembered = (self.newest > after).then_some(&self.forgotten).into_iter().flatten();
        let matching = remembered.filter(|(topic, _)| filters.matches(topic));
        let unknown = Forgotten { to: self.beyond, known: None };
        matching.map(|(_, forgotten)| *forgotten).chain([unknown])
    }

    pub(super) fn recall(&mut self, topic: &Topic) -> Forgotten {
        let forgotten = self.find(topic);
        self.forgotten.remove(topic);
        forgotten
    }
}
