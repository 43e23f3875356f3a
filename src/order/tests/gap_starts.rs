//! Where the stream of a client begins whose id is gone, and what it is told before: each start
//! with each reason.

use super::*;
use crate::gap::GapReason;
use crate::gap::GapReason::{Expired, Restarted, UnknownId};

/// What a client is told first: the reason, up to which number events are missing, how many, and
/// with which number; and the numbers of the events that it is then sent.
type Begun = (Option<(GapReason, u64, Option<u64>, u64)>, Vec<u64>);

fn publish(order: &Order, topic: &str, event: Event<'_>) {
    let draft = Draft::encode(&event, 1_000).unwrap();
    assert!(order.publish(&Topic::new(topic).unwrap(), draft).is_ok());
}

/// An order in which three events of each topic are kept.
///
/// ```text
///          1  2  3  4  5  6  7  8  9  10   ... 30
///   a/t    x  x     x     +        +  +
///   b/t          +     +
///   other                    +  +          + + +     more topics than are found by name
/// ```
fn order_of_two_topics() -> Order {
    let options = Options { history_events_max: 3, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    for (nth, topic) in ["a", "a", "b", "a", "b", "a", "o", "o", "a", "a"].iter().enumerate() {
        let topic = topic.replace('o', "o/o");
        let topic = if topic.len() > 1 { topic } else { format!("{topic}/t") };
        publish(&order, &topic, Event::new("x").with_id(format!("row-{}", nth + 1)));
    }
    (0..20).for_each(|n| publish(&order, &format!("o/{n}"), Event::new("x")));
    order
}

fn begun(order: &Order, wanted: &[&str], id: &str, start: Option<StartAt>) -> Begun {
    let wanted: Vec<_> = wanted.iter().map(|text| Subscription::new(text).unwrap()).collect();
    let resume = Resume::after(id, start);
    let gap = search(order, &wanted, &resume).1;
    let told = gap.map(|(gap, id)| {
        assert_eq!(gap.from.as_deref(), resume.id());
        (gap.reason, gap.to.sequence, gap.missed, id.sequence)
    });
    (told, replayed(order, &wanted, &resume).0)
}

#[test]
fn a_client_whose_id_is_gone_begins_as_it_asks_and_is_told_of_all_that_it_is_not_sent() {
    let order = order_of_two_topics();
    let own = |number: u64| order.id_of(number).to_string();
    let everything = &[3, 5, 6, 9, 10][..];
    let some = |start| Some(start);
    // The start; up to where an event is missing, how many are, if it had none, with which number
    // it is told; what it is sent.
    let expired = [
        (None, (4, 3, 2), everything),
        (some(StartAt::Earliest), (4, 3, 2), everything),
        (some(StartAt::Latest), (9, 6, 4), &[5, 10]),
        (some(StartAt::Last(2)), (6, 6, 6), &[9, 10]),
        (some(StartAt::Last(0)), (10, 8, 10), &[]),
        (some(StartAt::Last(9)), (4, 3, 2), everything),
        (some(StartAt::Now), (10, 8, 10), &[]),
    ];
    // How many are missing is not known.
    let restarted = [
        (None, (4, 2), everything),
        (some(StartAt::Earliest), (4, 2), everything),
        (some(StartAt::Latest), (9, 4), &[5, 10]),
        (some(StartAt::Last(2)), (8, 8), &[9, 10]),
        (some(StartAt::Last(0)), (30, 30), &[]),
        (some(StartAt::Last(9)), (4, 2), everything),
        (some(StartAt::Now), (30, 30), &[]),
    ];
    // The first ones are found by name, the second by a walk along the log.
    for wanted in [&["a/t", "b/t"][..], &["+/t"], &["+/t", "a/#"]] {
        for (start, (to, missed, with), sent) in expired {
            let told = Some((Expired, to, Some(missed), with));
            assert_eq!(begun(&order, wanted, &own(0), start), (told, sent.to_vec()), "{start:?}");
            // It had two of the three.
            let told = Some((Expired, to, None, with));
            assert_eq!(begun(&order, wanted, &own(2), start), (told, sent.to_vec()), "{start:?}");
            // Nothing is missing, so it does not begin anywhere else.
            assert_eq!(begun(&order, wanted, &own(4), start), (None, vec![5, 6, 9, 10]));
            assert_eq!(begun(&order, wanted, "row-5", start), (None, vec![6, 9, 10]));
        }
        for (start, (to, with), sent) in restarted {
            let told = |reason| Some((reason, to, None, with));
            let begun = |id| begun(&order, wanted, id, start);
            assert_eq!(begun("00000000-7"), (told(Restarted), sent.to_vec()), "{start:?}");
            if start.is_some() {
                for id in ["row-1", "never heard of", &own(31)] {
                    assert_eq!(begun(id), (told(UnknownId), sent.to_vec()), "{start:?} {id}");
                }
            }
        }
        let told = Some((UnknownId, 30, None, 30));
        assert_eq!(begun(&order, wanted, "row-1", None), (told, vec![]));
    }
}

#[test]
fn a_client_is_not_sent_again_what_it_had_when_it_begins_with_the_newest() {
    let options = Options { history_events_max: 2, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    // Of `a` the second is gone, and nothing was published to `b` since.
    ["a", "b", "a", "a", "a"].iter().for_each(|topic| publish(&order, topic, Event::new("x")));
    let own = order.id_of(2).to_string();
    for (start, to, sent) in [
        (StartAt::Earliest, 3, vec![4, 5]),
        (StartAt::Latest, 4, vec![5]),
        (StartAt::Last(3), 3, vec![4, 5]),
    ] {
        let (told, numbers) = begun(&order, &["a", "b"], &own, Some(start));
        assert_eq!((told.map(|told| told.1), numbers), (Some(to), sent), "{start:?}");
    }
}

#[test]
fn where_nothing_is_kept_a_client_whose_id_is_gone_begins_now_however_it_asks() {
    let options = Options { history_events_max: 0, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    // More topics than are found by name, which are known because of a shard that wants them.
    order.register(0, &[Subscription::new("#").unwrap()], |_, _| 0);
    (0..20).for_each(|n| publish(&order, &format!("o/{n}"), Event::new("x")));
    assert_eq!(order.counts().known_topics, 20);
    (0..5).for_each(|n| publish(&order, "a", Event::new("x").with_id(format!("row-{n}"))));
    let own = order.id_of(2).to_string();
    let starts = [StartAt::Earliest, StartAt::Latest, StartAt::Last(2), StartAt::Now];
    for start in starts.map(Some).into_iter().chain([None]) {
        for wanted in [["a"], ["#"]] {
            for (id, reason) in [(&*own, Expired), ("row-1", UnknownId), ("00000000-7", Restarted)]
            {
                let told = Some((reason, 25, None, 25));
                assert_eq!(begun(&order, &wanted, id, start), (told, vec![]), "{start:?} {id}");
                let resume = Resume::after(id, start);
                let wanted = wanted.map(|text| Subscription::new(text).unwrap());
                assert_eq!(search(&order, &wanted, &resume).0.told_to(), 25);
            }
        }
    }
}

#[test]
fn a_stream_that_begins_with_the_earliest_is_told_of_no_event_that_was_gone_before() {
    let order = order_of_two_topics();
    for wanted in [&["a/t", "b/t"][..], &["+/t"]] {
        let wanted: Vec<_> = wanted.iter().map(|text| Subscription::new(text).unwrap()).collect();
        let resume = Resume::Start(StartAt::Earliest);
        assert_eq!(replayed(&order, &wanted, &resume), (vec![3, 5, 6, 9, 10], None));
    }
}

#[test]
fn a_stream_that_begins_with_the_earliest_is_told_of_an_event_that_is_gone_before_it_is_sent() {
    for wanted in ["run", "+"] {
        let options = Options { history_events_max: 20, shards: 1, ..Options::default() };
        let order = order_of(Box::new([]), &options);
        // More topics than are found by name.
        (0..20).for_each(|n| publish(&order, &format!("o{n}/o"), Event::new("x")));
        (0..25).for_each(|_| publish(&order, "run", Event::new("x")));
        let wanted = [Subscription::new(wanted).unwrap()];
        let (cursor, gap) = search(&order, &wanted, &Resume::Start(StartAt::Earliest));
        assert!(gap.is_none());
        let first = order.replay(&wanted, cursor, 1, Envelope::None);
        assert_eq!(first.frames.iter().map(Frame::sequence).collect::<Vec<_>>(), [26]);
        assert!(first.gap.is_none(), "the first five were gone before");
        // The next three are forgotten: 26, which it was sent, 27 and 28.
        (0..3).for_each(|_| publish(&order, "run", Event::new("x")));
        let mut cursor = first.cursor;
        let (gap, sent) = loop {
            let part = order.replay(&wanted, cursor, 1, Envelope::None);
            if !part.frames.is_empty() {
                break (part.gap, part.frames[0].sequence());
            }
            assert!(part.gap.is_none() && !part.is_all);
            cursor = part.cursor;
        };
        assert_eq!((gap.expect("it is told").0.to.sequence, sent), (28, 29));
    }
}
