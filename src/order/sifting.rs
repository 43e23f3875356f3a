//! What the journal may drop: which of its records are still needed, and what the order knows beside the
//! events, which stands for all that is dropped.

use super::gone::{names_after, GoneTopic};
use super::history::ForgottenOfTopic;
use super::item::ReadItem;
use super::summary::Summary;
use super::topics::Topics;
use super::Order;
use crate::topic::Topic;

/// Topics that are looked at while the lock is held.
const TOPICS_PER_LOCK: usize = 256;
/// Records that are looked up while the lock is held.
const RECORDS_PER_LOCK: usize = 64;

impl Order {
    /// About what the records of all that is kept take.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.lock().topics.totals.kept_bytes() as u64
    }

    /// Says of consecutive records, each, whether it is still needed.
    pub(crate) fn sift(
        &self,
        records: &mut dyn Iterator<Item = (u64, &[u8])>,
        needed: &mut Vec<bool>,
    ) {
        loop {
            let some: Vec<(u64, Option<ReadItem<'_>>)> = records
                .take(RECORDS_PER_LOCK)
                .map(|(number, payload)| (number, ReadItem::read(payload).ok()))
                .collect();
            if some.is_empty() {
                return;
            }
            let topics = &self.lock().topics;
            // What cannot be read is left where it is.
            let is_needed = |(number, item): &(u64, Option<ReadItem<'_>>)| {
                item.as_ref().is_none_or(|item| topics.needs(*number, item))
            };
            needed.extend(some.iter().map(is_needed));
        }
    }

    /// What the order knows beside its events.
    pub(crate) fn summary(&self) -> Vec<u8> {
        self.summarize().encode()
    }
}

impl Topics {
    /// Whether the record of an item is needed: of an event that a topic keeps, or of the mark of a
    /// finished topic. All else is in the summary.
    fn needs(&self, number: u64, item: &ReadItem<'_>) -> bool {
        let entry = |topic| self.find(topic).map(|index| self.entry(index));
        match item {
            ReadItem::Event(event) => event.topics.iter().filter_map(entry).any(|entry| {
                let is_kept = entry.history.keeps_from(number);
                is_kept && entry.history.find_sequence(number).is_some()
            }),
            ReadItem::Finished { topic, .. } => {
                entry(topic).is_some_and(|entry| entry.state.finished_at() == Some(number))
            }
            ReadItem::Passed { .. } | ReadItem::Rule { .. } | ReadItem::Time(_) => false,
        }
    }

    /// What was forgotten of the next topics in the order of their names, at most `most` of them, whether they are
    /// tracked or were removed; and the last name that was looked at, unless there are no more.
    fn some_forgotten(
        &self,
        after: Option<&Topic>,
        most: usize,
    ) -> (Vec<(Topic, ForgottenOfTopic)>, Option<Topic>) {
        let mut tracked = names_after(&self.in_order, after).take(most).peekable();
        let mut gone = self.gone.after(after).take(most).peekable();
        let (mut some, mut last) = (Vec::new(), None);
        for looked_at in 1.. {
            let is_tracked = match (tracked.peek(), gone.peek()) {
                (Some((name, _)), Some(other)) => **name < other.name,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => return (some, None),
            };
            let (name, forgotten) = match is_tracked {
                true => {
                    let (name, &index) = tracked.next().expect("it was peeked at");
                    (name, self.entry(index).history.forgotten())
                }
                false => {
                    let GoneTopic { name, forgotten, .. } = gone.next().expect("it was peeked at");
                    (name, *forgotten)
                }
            };
            last = Some(name.clone());
            if forgotten.to() > 0 {
                some.push((name.clone(), forgotten));
            }
            if looked_at == most {
                break;
            }
        }
        (some, last)
    }
}

impl Order {
    /// What the order knows beside its events, gathered in parts.
    fn summarize(&self) -> Summary {
        let mut summary = Summary { times: Some(self.times()), ..Summary::default() };
        {
            let _unchanging = self.rulebook.begin_change();
            summary.rules_to = self.sequence();
            let rules = self.rulebook.rules();
            let all = rules.iter().map(|(_, rule)| (&rule.subscription, &rule.options));
            summary.rules = all.map(|(name, options)| (name.clone(), options.clone())).collect();
        }
        let mut after: Option<Topic> = None;
        loop {
            let locked = self.lock();
            let (some, last) = locked.topics.some_forgotten(after.as_ref(), TOPICS_PER_LOCK);
            summary.topics.extend(some);
            match last {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        let mut next = 0;
        loop {
            let locked = self.lock();
            let lists = &locked.topics.lists;
            if next >= lists.indices_end() {
                // Both only grow, so they hold for what was gathered before.
                summary.others_to = locked.topics.gone.unknown().to;
                summary.lists_to = lists.dropped_to();
                return summary;
            }
            let some = (next..).take(TOPICS_PER_LOCK).filter_map(|index| lists.get(index));
            let known = some.filter(|list| list.gone().to > 0);
            summary.lists.extend(known.map(|list| (list.topics().clone(), list.gone())));
            next += TOPICS_PER_LOCK as u32;
        }
    }
}
