//! What the items of a cluster's stream do to the order of a node. Each node applies all items, in the stream's
//! order, with the numbers that the stream gives them; so all nodes give the same ids.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::cluster_item::ClusterItem;
use super::lives::{Base, Known, Lacks, Life, Lives};
use super::numbering::NUMBERS_PER_ITEM;
use super::restore::Restoring;
use super::summary::Summary;
use super::{Order, Refused, ShardInbox};
use crate::filter::Subscription;
use crate::id::{Epoch, EventId};
use crate::options::{Options, TopicOptions};
use crate::resume::Resume;
use crate::topic::Topic;
use crate::tuning::OrderTuning;

/// What a node's clock says when it starts: more than the greatest age of what is kept, so that what is older
/// than the node has a time as well.
const START_NS: u64 = 8 * 24 * 60 * 60 * 1_000_000_000;

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
        let lives = base.lives.into_iter().map(own_life).collect();
        let mut lives = Lives::of_cluster(lives, NUMBERS_PER_ITEM);
        if base.doubtful_to > 0 {
            lives.doubt(0, own_number(base.doubtful_to));
        }
        order.begin_life(lives, forgotten_to + 1);
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

    /// Begins another life of the cluster.
    pub(crate) fn begin_cluster_life(&self, epoch: Epoch, first: u64, lacks: Lacks) {
        let mut locked = self.lock();
        // The last item's marks have numbers behind it, as far as there are any.
        let last = end_of_item(self.sequence());
        let lost_to = match lacks {
            Lacks::Behind { to } => Some(end_of_item(own_number(to)).max(last)),
            Lacks::Nothing | Lacks::Anything => None,
        };
        locked.lives.add(Life { epoch: self.epoch(), last, lost_to });
        if lacks == Lacks::Anything {
            locked.lives.doubt(0, own_number(first));
        }
        self.epoch.store(epoch.to_bits(), Ordering::Relaxed);
        self.end_publishing(own_number(first));
    }

    /// Goes on with a number that no event has. Clients that come with a number from `from` on, and before it, may lack
    /// what others have had.
    pub(crate) fn doubt(&self, from: u64, number: u64) {
        let mut locked = self.lock();
        locked.lives.doubt(own_number(from), own_number(number));
        self.end_publishing(own_number(number));
    }

    /// Goes on behind a number, up to which no event came.
    pub(crate) fn pass_over(&self, number: u64) {
        let _locked = self.lock();
        self.end_publishing(own_number(number));
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

    /// Whether a client has come from a node that has read more of the cluster's stream than this one, by a
    /// moment as a rule. Then this one cannot say yet what the client misses.
    pub(crate) fn is_behind(&self, resume: &Resume) -> bool {
        let id = resume.id().and_then(EventId::parse);
        id.is_some_and(|id| {
            id.epoch == self.epoch()
                && id.sequence / NUMBERS_PER_ITEM > self.sequence() / NUMBERS_PER_ITEM
        })
    }

    /// Whether a client has had an item with this number or a later one, as far as its id says what it has had.
    pub(crate) fn may_have_come_to(&self, number: u64, resume: &Resume) -> bool {
        let id = resume.id().filter(|id| !id.is_empty());
        id.is_some_and(|id| EventId::parse(id).is_none_or(|id| id.sequence >= own_number(number)))
    }

    /// The life of a client's id, if this node does not know it; perhaps it will, when it has read on.
    pub(crate) fn unknown_epoch(&self, resume: &Resume) -> Option<Epoch> {
        let id = resume.id().and_then(EventId::parse)?;
        let known = self.lock().lives.look_up(id, self.newest_id());
        (known == Known::Unknown).then_some(id.epoch)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner).is_closed
    }
}

/// The order's number of a number of the stream.
fn own_number(number: u64) -> u64 {
    number.saturating_mul(NUMBERS_PER_ITEM)
}

/// The last of the numbers that an item, and the marks behind it, may have.
fn end_of_item(number: u64) -> u64 {
    number | (NUMBERS_PER_ITEM - 1)
}

fn own_life(life: Life) -> Life {
    let own_last = |number| end_of_item(own_number(number));
    Life { last: own_last(life.last), lost_to: life.lost_to.map(own_last), ..life }
}

#[cfg(test)]
impl Order {
    /// What a client has to be sent that comes with an id: what is behind a number, and first that something is lost up
    /// to another one, perhaps only behind the id. `None` if the id is unknown.
    pub(crate) fn known(&self, id: EventId) -> Option<(u64, Option<(u64, bool)>)> {
        let told = |loss: super::lives::Loss| (loss.to, loss.is_behind);
        match self.lock().lives.look_up(id, self.newest_id()) {
            Known::Had(after, loss) => Some((after, loss.map(told))),
            Known::Lost(after, loss) => Some((after, Some(told(loss)))),
            Known::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lives::Loss;
    use super::*;
    use crate::event::Event;
    use crate::frame::Draft;

    fn clustered(first: u64, lives: Vec<Life>) -> Order {
        let base = Base { epoch: Epoch::random(), lives, first, doubtful_to: 0 };
        Order::clustered(Box::new([]), &Options::default(), OrderTuning::default(), base)
    }

    fn event(topic: &str) -> ClusterItem {
        let topics = [Topic::new(topic).unwrap()].into();
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        ClusterItem::Event { topics, draft, window_ns: 0 }
    }

    fn resume(id: EventId) -> Resume {
        Resume::After(id.to_string().into())
    }

    #[test]
    fn two_nodes_give_the_same_ids_whatever_marks_one_of_them_makes() {
        let (one, other) = (clustered(1, vec![]), clustered(1, vec![]));
        other.epoch.store(one.epoch().to_bits(), Ordering::Relaxed);
        for number in [1, 2, 5] {
            let topic = Topic::new(&format!("t{number}")).unwrap();
            let of =
                |order: &Order| order.apply(3 * number, 0, event(topic.as_str())).ok().flatten();
            let id = of(&one);
            assert_eq!(id.map(|id| id.sequence), Some(3 * number * NUMBERS_PER_ITEM));
            assert_eq!(id, of(&other));
            let end = |order: &Order| {
                let last = ClusterItem::Finished { topic: topic.clone(), last: None };
                order.apply(3 * number + 1, 0, last).ok().flatten()
            };
            assert_eq!(end(&one), end(&other));
            // One of them alone forgets something, and says so by a mark.
            let mut locked = one.lock();
            locked.marks += 1;
            one.end_publishing(one.next_own_sequence());
            assert!(one.sequence() > other.sequence());
        }
        assert_eq!(one.counts().published_events, 3);
    }

    #[test]
    fn a_node_that_has_read_less_than_a_client_has_it_come_again() {
        let order = clustered(1, vec![]);
        assert!(order.apply(3, 0, event("a")).is_ok());
        let id = |number, more| order.id_of(number * NUMBERS_PER_ITEM + more);
        assert!(!order.is_behind(&resume(id(3, 0))));
        // Another node's own mark behind the same item.
        assert!(!order.is_behind(&resume(id(3, 7))));
        assert_eq!(order.lock().lives.look_up(id(3, 7), order.newest_id()), Known::Had(48, None));
        assert!(order.is_behind(&resume(id(4, 0))));
        assert!(order.apply(4, 0, event("a")).is_ok());
        assert!(!order.is_behind(&resume(id(4, 0))));
        let other = EventId { epoch: Epoch::random(), sequence: 1 << 60 };
        assert!(!order.is_behind(&resume(other)));
        assert!(order.unknown_epoch(&resume(other)).is_some());
        assert!(!order.is_behind(&Resume::After("custom".into())));
    }

    #[test]
    fn the_marks_of_a_node_never_take_the_number_of_an_item() {
        let order = clustered(1, vec![]);
        assert!(order.apply(1, 0, event("a")).is_ok());
        for nth in 1..40 {
            let mut locked = order.lock();
            locked.marks += 1;
            let number = order.next_own_sequence();
            order.end_publishing(number);
            assert_eq!(number, NUMBERS_PER_ITEM + nth.min(NUMBERS_PER_ITEM - 1));
        }
        let published = order.apply(2, 0, event("a")).ok().flatten();
        assert_eq!(published, Some(order.id_of(2 * NUMBERS_PER_ITEM)));
    }

    #[test]
    fn another_life_loses_nothing_or_says_what() {
        let order = clustered(1, vec![]);
        let before = order.epoch();
        assert!(order.apply(2, 0, event("a")).is_ok());
        let next = Epoch::random();
        order.begin_cluster_life(next, 1_000, Lacks::Nothing);
        assert_eq!(order.epoch(), next);
        let known = |epoch, number: u64| {
            let id = EventId { epoch, sequence: number * NUMBERS_PER_ITEM };
            order.lock().lives.look_up(id, order.newest_id())
        };
        assert_eq!(known(before, 2), Known::Had(32, None));
        order.begin_cluster_life(Epoch::random(), 2_000, Lacks::Behind { to: 1_500 });
        let behind = |number: u64| Some(Loss { to: number * 16 + 15, is_behind: true });
        assert_eq!(known(before, 2), Known::Had(32, behind(1_500)));
        assert!(matches!(known(next, 1_400), Known::Lost(16_015, _)));
        order.doubt(0, 2_100);
        let of_this = |number| known(order.epoch(), number);
        let behind_item = Some(Loss { to: 2_100 * 16, is_behind: false });
        assert_eq!(of_this(2_000), Known::Had(2_000 * 16, behind_item));
        assert_eq!(of_this(2_050), Known::Had(2_050 * 16, behind_item), "it was at another node");
        assert_eq!(of_this(2_100), Known::Had(2_100 * 16, None));
        order.doubt(2_110, 2_200);
        let loss = Loss { to: 2_200 * 16, is_behind: false };
        assert_eq!(of_this(2_105), Known::Had(2_105 * 16, None));
        assert_eq!(of_this(2_199), Known::Had(2_199 * 16, Some(loss)));
        assert_eq!(of_this(2_200), Known::Had(2_200 * 16, None));
        order.begin_cluster_life(Epoch::random(), 3_000, Lacks::Anything);
        let loss = Loss { to: 3_000 * 16, is_behind: false };
        assert_eq!(known(next, 1_000), Known::Had(1_000 * 16, Some(loss)));
    }
}
