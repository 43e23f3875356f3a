//! The order of a cluster's node, which is given its items with their numbers.

use super::*;
use crate::filter::Subscription;
use crate::gap::GapReason;
use crate::id::Epoch;
use crate::order::lives::Lacks;
use crate::order::numbering::NUMBERS_PER_ITEM;
use crate::order::{Base, ClusterItem};

fn node() -> Order {
    let base = Base { epoch: Epoch::random(), lives: Vec::new(), first: 1, doubtful_to: 0 };
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
    let order = node();
    let ids: Vec<EventId> = (1..=3).map(|number| event(&order, number)).collect();
    order.begin_cluster_life(Epoch::random(), 1_000, Lacks::Nothing);
    event(&order, 1_001);
    assert_eq!(answer(&order, ids[0]), (vec![2, 3, 1_001], None));
    assert_eq!(answer(&order, ids[2]), (vec![1_001], None));
}

#[test]
fn a_life_that_has_lost_what_a_node_has_not_read_is_a_gap_for_its_clients() {
    let order = node();
    let ids: Vec<EventId> = (1..=3).map(|number| event(&order, number)).collect();
    order.begin_cluster_life(Epoch::random(), 1_000, Lacks::Behind { to: 4 });
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

#[test]
fn what_is_kept_is_replayed_up_to_a_number_and_no_further() {
    let order = node();
    let topic = |number: u64| Topic::new(&format!("t/{}", number % 20)).unwrap();
    for number in 1..=60 {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let item = ClusterItem::Event { topics: [topic(number)].into(), draft, window_ns: 0 };
        assert!(order.apply(number, 0, item).is_ok());
    }
    let named: Vec<_> = (0..20).map(|number| Subscription::Topic(topic(number))).collect();
    for wanted in [named, vec![Subscription::new("#").unwrap()]] {
        // Also where no event has that number.
        for until in [30 * NUMBERS_PER_ITEM, 30 * NUMBERS_PER_ITEM + 3, 70 * NUMBERS_PER_ITEM] {
            let mut cursor = Cursor { after: NUMBERS_PER_ITEM, until, ..Cursor::default() };
            cursor.gap_told_to = u64::MAX;
            let mut numbers = Vec::new();
            while cursor.after < until {
                let part = order.replay(&wanted, cursor, 200, Envelope::None);
                assert!(!part.is_all && part.gap.is_none());
                numbers.extend(part.frames.iter().map(Frame::sequence));
                cursor = part.cursor;
            }
            assert_eq!(cursor.after, until);
            let last = (until / NUMBERS_PER_ITEM).min(60);
            let expected: Vec<u64> = (2..=last).map(|number| number * NUMBERS_PER_ITEM).collect();
            assert_eq!(numbers, expected, "{wanted:?} {until}");
        }
    }
}

#[test]
fn a_search_says_what_a_client_lacks_for_no_other_reason_than_that_it_is_forgotten() {
    let base = Base { epoch: Epoch::random(), lives: Vec::new(), first: 1, doubtful_to: 0 };
    let options = Options { history_events_max: 2, ..Options::default() };
    let order = Order::clustered(Box::new([]), &options, Tuning::small().order, base);
    let ids: Vec<EventId> = (1..=9).map(|number| event(&order, number)).collect();
    for wanted in ["news", "#"].map(|name| [Subscription::new(name).unwrap()]) {
        let lack = |resume: Resume| {
            let mut search = order.begin_search(resume, order.moment());
            while order.locate(&wanted, &mut search).is_none() {}
            search.lack().map(|lack| (lack.after, lack.to))
        };
        let after = |id: EventId| Resume::After(id.to_string().into());
        let (second, seventh) = (ids[1].sequence, ids[6].sequence);
        assert_eq!(lack(after(ids[1])), Some((second, seventh)));
        let or_latest = Resume::AfterOr(ids[1].to_string().into(), StartAt::Latest);
        assert_eq!(lack(or_latest), Some((second, seventh)));
        assert_eq!(lack(after(ids[6])), None);
        assert_eq!(lack(Resume::Start(StartAt::Earliest)), None);
        assert_eq!(lack(Resume::After("unknown".into())), None);
    }
    // What is lost is lost.
    order.begin_cluster_life(Epoch::random(), 1_000, Lacks::Behind { to: 12 });
    let mut search = order.begin_search(Resume::After(ids[1].to_string().into()), order.moment());
    let wanted = [Subscription::new("news").unwrap()];
    while order.locate(&wanted, &mut search).is_none() {}
    assert!(search.lack().is_none());
}

#[test]
fn a_client_with_an_id_of_its_publishers_is_told_of_what_was_lost_after_its_event() {
    let order = node();
    let wanted = [Subscription::new("news").unwrap()];
    let topics: Arc<[Topic]> = [Topic::new("news").unwrap()].into();
    let item = |id: &str| {
        let draft = Draft::encode(&Event::new("x").with_id(id), 100).unwrap();
        ClusterItem::Event { topics: topics.clone(), draft, window_ns: 0 }
    };
    assert!(order.apply(1, 0, item("before")).is_ok());
    order.begin_cluster_life(Epoch::random(), 1_000, Lacks::Behind { to: 4 });
    assert!(order.apply(1_001, 0, item("after")).is_ok());
    let told = |id: &str| {
        let (numbers, gap) = replayed_with_gap(&order, &wanted, &Resume::After(id.into()));
        let items: Vec<u64> = numbers.into_iter().map(|number| number / NUMBERS_PER_ITEM).collect();
        (items, gap.map(|gap| (gap.reason, gap.from)))
    };
    let from_before = Some((GapReason::Lost, Some("before".to_owned())));
    assert_eq!(told("before"), (vec![1_001], from_before));
    assert_eq!(told("after"), (vec![], None));
    // What was lost may have been before its id, as other nodes had read more of it.
    order.doubt(0, 1_500);
    assert_eq!(told("after"), (vec![], Some((GapReason::Lost, None))));
    finish(&order, 1_501, "news", None);
    let is_over = |id: &str| order.has_nothing_for(&wanted, &Resume::After(id.into()));
    assert!(!is_over("after"), "it is told before it is told that nothing comes");
    assert!(order.apply(1_502, 0, item("late")).is_err());
}
