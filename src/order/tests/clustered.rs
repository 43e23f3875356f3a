//! The order of a cluster's node, which is given its items with their numbers.

use super::*;
use crate::filter::Subscription;
use crate::gap::GapReason;
use crate::id::Epoch;
use crate::order::numbering::NUMBERS_PER_ITEM;
use crate::order::{Base, ClusterItem};

fn node() -> Order {
    let base = Base { epoch: Epoch::random(), lives: Vec::new(), first: 1 };
    Order::clustered(Box::new([]), &Options::default(), Tuning::small().order, base)
}

fn event(order: &Order, number: u64) -> EventId {
    let draft = Draft::encode(&Event::new("x"), 100).unwrap();
    let topics = [Topic::new("news").unwrap()].into();
    let applied = order.apply(number, 0, ClusterItem::Event { topics, draft, window_ns: 0 });
    applied.ok().flatten().expect("nothing is finished, and nobody has a backlog")
}

fn finish(order: &Order, number: u64, name: &str, last: Option<&str>) {
    let topic = Topic::new(name).unwrap();
    let last = last.map(|data| Draft::encode(&Event::new(data), 100).unwrap());
    assert!(order.apply(number, 0, ClusterItem::Finished { topic, last }).is_ok());
}

/// The numbers of the items that a client is sent, and why it is told that something is missing.
fn answer(order: &Order, id: EventId) -> (Vec<u64>, Option<GapReason>) {
    let wanted = [Subscription::new("news").unwrap()];
    let (numbers, gap) = replayed_with_gap(order, &wanted, &Resume::After(id.to_string().into()));
    let items = numbers.into_iter().map(|number| number / NUMBERS_PER_ITEM).collect();
    (items, gap.map(|gap| gap.reason))
}

#[test]
fn a_life_that_has_lost_nothing_of_what_a_node_has_read_is_no_gap_for_its_clients() {
    for reached in 1..=3 {
        let order = node();
        let ids: Vec<EventId> = (1..=3).map(|number| event(&order, number)).collect();
        assert!(!order.begin_cluster_life(Epoch::random(), 1_000, reached), "{reached}");
        event(&order, 1_001);
        assert_eq!(answer(&order, ids[0]), (vec![2, 3, 1_001], None), "{reached}");
        assert_eq!(answer(&order, ids[2]), (vec![1_001], None), "{reached}");
    }
}

#[test]
fn a_life_that_has_lost_what_a_node_has_not_read_is_a_gap_for_its_clients() {
    let order = node();
    let ids: Vec<EventId> = (1..=3).map(|number| event(&order, number)).collect();
    assert!(order.begin_cluster_life(Epoch::random(), 1_000, 4));
    event(&order, 1_001);
    for (id, items) in [(ids[0], vec![2, 3, 1_001]), (ids[2], vec![1_001])] {
        assert_eq!(answer(&order, id), (items, Some(GapReason::Lost)));
    }
}

#[test]
fn ends_without_an_event_are_not_counted_as_events() {
    let order = node();
    event(&order, 1);
    finish(&order, 2, "silent", None);
    finish(&order, 3, "told", Some("the end"));
    assert_eq!(order.counts().published_events, 2);
}
