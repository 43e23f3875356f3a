//! Which audiences are complete: all of their topics are finished, so that nothing comes any more.
//!
//! ```text
//!   topic "a"     1   2   3   m        m: the mark that says that it is finished
//!   topic "b"   4   5             n
//!   audience of "a" and "b"       `complete: it has taken 1 to 5
//! ```
//!
//! The marks are in the hub's order and come with the events, through the inbox. An audience that
//! begins at a number counts the topics that were finished up to that number; the marks of the
//! others come later. So each mark is counted once. A filter is never finished.
//!
//! A finished topic is forgotten some day, and its name is free. The first event of another topic
//! of this name says that it *reopens* the name, to audiences that count the old one as finished.
//! An audience that was complete by then never gets anything of it: its members are being ended.
//! They keep their audience, and connections that come while the topic is not finished get another
//! one.

use std::sync::Arc;

use crate::filter::Subscription;
use crate::order::TopicState;
use crate::shard::connection::slots::Key;
use crate::shard::fanout::audience::Audience;
use crate::shard::fanout::audiences::Audiences;
use crate::shard::fanout::scheduler::{Lane, Scheduler};

impl Audience {
    /// Whether all of its topics are finished, and it has everything that was published to them.
    pub(in crate::shard) fn is_complete(&self) -> bool {
        self.open == 0
    }

    /// Counts one of its subscriptions as finished.
    fn count_finished(&mut self, nth: usize) {
        if self.counts_finished(nth) {
            return debug_assert!(false, "a topic is finished once");
        }
        self.finished.resize(self.wanted.len().div_ceil(64), 0);
        self.finished[nth / 64] |= 1 << (nth % 64);
        self.open -= 1;
        if self.open == 0 {
            self.taken_to = u64::MAX;
        }
    }

    /// Counts one of its subscriptions as open again, if it counts as finished.
    fn count_open(&mut self, nth: usize) {
        if self.counts_finished(nth) {
            self.finished[nth / 64] &= !(1 << (nth % 64));
            self.open += 1;
        }
    }

    fn counts_finished(&self, nth: usize) -> bool {
        self.finished.get(nth / 64).is_some_and(|bits| bits >> (nth % 64) & 1 == 1)
    }
}

impl Audiences {
    /// Counts the topics that were finished up to a number for an audience that begins there.
    pub(super) fn count_finished(&mut self, index: u32, number: u64) {
        let audience = &mut self.entries[index];
        for nth in 0..audience.wanted.len() {
            let finished_at = self.routes.finished_at(audience.wanted[nth]);
            if finished_at.is_some_and(|finished_at| finished_at <= number) {
                audience.count_finished(nth);
            }
        }
    }

    /// Takes the mark of a topic, and has the members of audiences that it completes ended.
    pub(super) fn finish(
        &mut self,
        topic: &Arc<TopicState>,
        sequence: u64,
        scheduler: &mut Scheduler,
    ) {
        for (key, nth) in self.of_topic(topic) {
            let audience = &mut self.entries[key.index];
            if sequence > audience.taken_to {
                audience.taken_to = sequence;
                audience.count_finished(nth);
                if audience.is_complete() {
                    // What is spread over a time goes with the end.
                    audience.queue.open_gate(audience.queue.end());
                    if audience.has_work() {
                        let lane = Lane::of(audience.ring.len());
                        scheduler.enqueue(key, &mut audience.queued, lane);
                    }
                    scheduler.enqueue_complete(key, &mut audience.queued);
                }
            }
        }
    }

    /// Takes the first event of a topic whose name had a finished topic before.
    pub(super) fn reopen(&mut self, topic: &Arc<TopicState>, sequence: u64) {
        for (key, nth) in self.of_topic(topic) {
            let audience = &mut self.entries[key.index];
            // Which is never so for one that is complete.
            if sequence > audience.taken_to {
                audience.count_open(nth);
            }
        }
    }

    /// Whether an audience counts a topic as finished that is not, or not any more. Connections
    /// that come are not to end, or to go on, with such an audience's members.
    pub(super) fn is_outdated(&self, index: u32) -> bool {
        let audience = &self.entries[index];
        let mut finished = audience.wanted.iter().enumerate();
        !audience.finished.is_empty()
            && finished.any(|(nth, &key)| {
                audience.counts_finished(nth) && self.routes.finished_at(key).is_none()
            })
    }

    /// Leads no more connections to an audience.
    pub(super) fn unlist(&mut self, index: u32) {
        let audience = &mut self.entries[index];
        if std::mem::take(&mut audience.is_listed) {
            let Audience { wanted, wire, envelope, .. } = audience;
            self.by_set.remove(&(wanted.clone(), *wire, *envelope));
        }
    }

    /// The audiences that want a topic by its name, and the topic's place among their
    /// subscriptions.
    fn of_topic(&self, topic: &Arc<TopicState>) -> Vec<(Key, usize)> {
        let by_name = self.routes.find(&Subscription::Topic(topic.name.clone()));
        let Some(subscription) = by_name else { return Vec::new() };
        let audiences = self.routes.subscribed(subscription).audiences.iter();
        let place = |&index: &u32| {
            let wanted = &self.entries[index].wanted;
            let nth = wanted.binary_search(&subscription).expect("it is among its audiences");
            (self.entries.key_at(index), nth)
        };
        audiences.map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::envelope::Envelope;
    use crate::frame::Wire;
    use crate::inbox::Inbox;
    use crate::options::Options;
    use crate::order::Order;
    use crate::sys::Poller;
    use crate::topic::Topic;
    use crate::tuning::Tuning;
    use crate::waker::ShardWaker;

    #[test]
    fn an_end_that_comes_while_an_audience_begins_is_counted_once() {
        let poller = Poller::new().unwrap();
        let inbox = Arc::new(Inbox::new(ShardWaker::new(poller.waker())));
        let options = Options { shards: 1, ..Options::default() };
        let (tuning, clock) = (Tuning::default().order, Clock::manual());
        let order = Order::new(Box::new([inbox.clone()]), &options, tuning, clock);
        let (mut audiences, mut scheduler) = (Audiences::new(0, 4, 1 << 16), Scheduler::default());
        let topics = ["a", "b"].map(|name| Topic::new(name).unwrap());
        let wanted = topics.each_ref().map(|topic| topic.clone().into());
        assert!(order.finish(&topics[0], None).is_ok());
        let audience = audiences.find_or_begin(&order, &wanted, (Wire::Plain, Envelope::None), 0);
        assert_eq!(audiences[audience].open, 1);
        let number = order.sequence();
        assert!(order.finish(&topics[1], None).is_ok());
        // As if this had come after the number was read, and before the topics are looked at.
        audiences[audience].finished.clear();
        audiences[audience].open = 2;
        audiences.count_finished(audience, number);
        assert_eq!(audiences[audience].open, 1);
        let mut taken = Vec::new();
        inbox.take(&mut taken);
        assert_eq!(taken.len(), 1);
        taken.iter().for_each(|mark| audiences.append(&order, mark, &mut scheduler));
        assert!(audiences[audience].is_complete());
        assert_eq!(scheduler.complete(), 1);
        let again = audiences.find_or_begin(&order, &wanted, (Wire::Plain, Envelope::None), 0);
        assert_eq!(again, audience, "connections that come are ended with the others");
    }
}
