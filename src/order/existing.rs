//! What has a subscriber when a watcher begins, found in parts: the lock is given back after a
//! bounded number of topics and filters.
//!
//! The watcher is told of all that changes from its beginning on. So what changes before the walk
//! comes by is right in its table already, and what the walk finds there it changes nothing about.

use std::ops::Bound;
use std::time::SystemTime;

use super::topics::Topics;
use crate::filter::{Filter, Subscription};
use crate::interest::{InterestQueue, Moment};
use crate::topic::Topic;

/// Topics or filters that are looked at while the lock is held.
const STEPS_PER_LOCK: usize = 256;

/// A walk along what a watcher covers.
pub(super) struct Existing<'a> {
    covered: &'a Subscription,
    at: SystemTime,
    walked: Walked,
}

/// How far the walk has come.
enum Walked {
    /// The topic by which it goes on, or none at the beginning.
    Topics(Option<Topic>),
    Filters(Option<Filter>),
}

impl Existing<'_> {
    pub(super) fn of(covered: &Subscription) -> Existing<'_> {
        Existing { covered, at: SystemTime::now(), walked: Walked::Topics(None) }
    }

    /// Notes some of what has a subscriber in a watcher's table. False when that was the last.
    pub(super) fn note_some(&mut self, topics: &Topics, queue: &InterestQueue) -> bool {
        // The time of the hub's clock is needed only where something loses its last subscriber.
        let now = Moment { ns: 0, at: self.at };
        let note = |what: &Subscription| {
            if self.covered.overlaps(what) {
                queue.with(|table| table.note(what, true, now));
            }
        };
        self.walked = match &self.walked {
            Walked::Topics(after) => {
                match walk_topics(topics, self.covered, after.as_ref(), note) {
                    Some(last) => Walked::Topics(Some(last)),
                    None => Walked::Filters(None),
                }
            }
            Walked::Filters(after) => match walk_filters(topics, after.as_ref(), note) {
                Some(last) => Walked::Filters(Some(last)),
                None => return false,
            },
        };
        true
    }
}

/// Visits topics that have a subscriber, among which are all that are covered. Returns the last one
/// that was looked at, unless there are no more.
fn walk_topics(
    topics: &Topics,
    covered: &Subscription,
    after: Option<&Topic>,
    visit: impl Fn(&Subscription),
) -> Option<Topic> {
    let is_subscribed = |index| {
        let entry = topics.entry(index);
        entry.subscribed > 0 && entry.finished_ns.is_none()
    };
    let filter = match covered {
        Subscription::Filter(filter) => filter,
        Subscription::Topic(topic) => {
            if topics.find(topic).is_some_and(is_subscribed) {
                visit(covered);
            }
            return None;
        }
    };
    let prefix = filter.literal_prefix();
    let from = match after {
        Some(after) => Bound::Excluded(after.as_str()),
        None => Bound::Included(prefix),
    };
    let names = topics.in_order.range::<str, _>((from, Bound::Unbounded));
    let names = names.take_while(|(name, _)| name.as_str().starts_with(prefix));
    for (nth, (name, &index)) in names.enumerate() {
        if is_subscribed(index) {
            visit(&Subscription::Topic(name.clone()));
        }
        if nth + 1 == STEPS_PER_LOCK {
            return Some(name.clone());
        }
    }
    None
}

/// Visits filters that have a subscriber. Returns the last one that was looked at, unless there are
/// no more.
fn walk_filters(
    topics: &Topics,
    after: Option<&Filter>,
    visit: impl Fn(&Subscription),
) -> Option<Filter> {
    let (mut steps_left, mut last) = (STEPS_PER_LOCK, None);
    topics.interests.for_each_filter_after(after, |filter| {
        visit(&Subscription::Filter(filter.clone()));
        steps_left -= 1;
        if steps_left == 0 {
            last = Some(filter.clone());
        }
        steps_left > 0
    });
    last
}
