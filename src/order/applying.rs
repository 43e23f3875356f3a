//! What the items of a cluster's stream do to the order of a node. Each node applies all items, in the stream's
//! order, with the numbers that the stream gives them; so all nodes give the same ids.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::cluster_item::ClusterItem;
use super::lives::{Life, Lives};
use super::numbering::NUMBERS_PER_ITEM;
use super::restore::Restoring;
use super::summary::Summary;
use super::{Order, Refused, ShardInbox};
use crate::filter::Subscription;
use crate::id::{Epoch, EventId};
use crate::options::{Options, TopicOptions};
use crate::topic::Topic;
use crate::tuning::OrderTuning;

/// What a node's clock says when it starts: more than the greatest age of what is kept, so that what is older
/// than the node has a time as well.
const START_NS: u64 = 8 * 24 * 60 * 60 * 1_000_000_000;

/// Where a node's order begins. Its numbers are those of the cluster's stream.
pub(crate) struct Base {
    pub(crate) epoch: Epoch,
    /// The earlier lives.
    pub(crate) lives: Vec<Life>,
    /// The number of the first item that will be applied. What was before it is not known.
    pub(crate) first: u64,
}

impl Order {
    /// The order of a node that will be given all items from a base on.
    pub(crate) fn clustered(
        inboxes: Box<[Arc<ShardInbox>]>,
        options: &Options,
        mut tuning: OrderTuning,
        base: Base,
    ) -> Order {
        tuning.part_stride *= NUMBERS_PER_ITEM;
        let forgotten_to = own_number(base.first.saturating_sub(1));
        let summary =
            Summary { others_to: forgotten_to, lists_to: forgotten_to, ..Summary::default() };
        let mut order =
            Restoring::new(options, &tuning, summary).end_at(START_NS, inboxes, options, tuning);
        order.begin_life(
            Lives::new(base.lives.into_iter().map(own_life).collect()),
            forgotten_to + 1,
        );
        order.epoch.store(base.epoch.to_bits(), Ordering::Relaxed);
        order.numbering.give_all();
        order
    }

    /// Applies an item of the cluster's stream that was published some time ago. An item that is refused is refused
    /// by each node, but for [`Refused::Full`]: then the node that has no space is to try again.
    pub(crate) fn apply(
        &self,
        number: u64,
        age_ns: u64,
        item: ClusterItem,
    ) -> Result<Option<EventId>, Refused> {
        let at_ns = self.now_ns().saturating_sub(age_ns).max(1);
        self.numbering.give(own_number(number), at_ns);
        let has_event =
            matches!(item, ClusterItem::Event { .. } | ClusterItem::Finished { last: Some(_), .. });
        let applied = self.apply_numbered(item);
        self.numbering.take_back();
        if has_event && applied.is_ok() {
            self.numbering.count_event();
        }
        applied
    }

    fn apply_numbered(&self, item: ClusterItem) -> Result<Option<EventId>, Refused> {
        match item {
            ClusterItem::Event { topics, draft, window_ns } => match (&topics[..], window_ns) {
                ([only], 0) => self.publish(only, draft).map(Some),
                ([only], _) => self.publish_spread(only, draft, window_ns).map(Some),
                (_, 0) => self.publish_to_several(draft, None).map(Some),
                (_, _) => self.publish_to_several(draft, Some(window_ns)).map(Some),
            },
            ClusterItem::Finished { topic, last } => self.finish(&topic, last).map(Some),
            ClusterItem::Rule { subscription, options } => {
                self.apply_rule(&subscription, options);
                Ok(None)
            }
        }
    }

    fn apply_rule(&self, subscription: &Subscription, options: Option<TopicOptions>) {
        let changed = match options {
            // A rule that this node's options do not allow is left out.
            Some(options) => self.set_rule(subscription, options).map_err(|error| {
                log::warn!("a rule of the cluster is not applied: {error}");
            }),
            None => Ok(_ = self.remove_rule(subscription)),
        };
        _ = changed;
        let mut locked = self.lock();
        locked.marks += 1;
        self.end_publishing(self.next_sequence());
    }

    /// Begins another life of the cluster: the stream lost what came behind a number.
    ///
    /// Returns whether clients miss something.
    pub(crate) fn begin_cluster_life(&self, epoch: Epoch, first: u64, lost_to: u64) -> bool {
        let mut locked = self.lock();
        let last = self.sequence();
        // The last item's marks have numbers behind it, as far as there are any.
        let misses = own_number(lost_to) > last;
        let lost_to = own_number(lost_to) + NUMBERS_PER_ITEM - 1;
        let life = Life { epoch: self.epoch(), last, lost_to: misses.then_some(lost_to) };
        locked.lives.add(life);
        self.epoch.store(epoch.to_bits(), Ordering::Relaxed);
        self.end_publishing(own_number(first));
        misses
    }

    /// Notes that the items up to a number are gone, before this node has read them.
    pub(crate) fn note_lost(&self, lost_to: u64) {
        let mut locked = self.lock();
        let last = self.sequence();
        let lost_to = own_number(lost_to) + NUMBERS_PER_ITEM - 1;
        locked.lives.add(Life { epoch: self.epoch(), last, lost_to: Some(lost_to) });
        self.end_publishing(lost_to);
    }

    /// The first of these topics that is finished, so that publishing to it is refused.
    pub(crate) fn finished_of<'a>(&self, topics: &'a [Topic]) -> Option<&'a Topic> {
        if self.finished_topics.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let now_ns = self.now_ns();
        let locked = self.lock();
        topics.iter().find(|topic| {
            let index = locked.topics.find_finished(topic);
            index.is_some_and(|index| !locked.topics.is_over(index, now_ns))
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner).is_closed
    }
}

/// The order's number of a number of the stream.
fn own_number(number: u64) -> u64 {
    number.saturating_mul(NUMBERS_PER_ITEM)
}

fn own_life(life: Life) -> Life {
    let own_last = |number| own_number(number) + NUMBERS_PER_ITEM - 1;
    Life { last: own_last(life.last), lost_to: life.lost_to.map(own_last), ..life }
}
