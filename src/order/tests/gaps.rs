//! The gaps that clients are told of: which, when, and how many events are missing.

use super::*;

#[test]
fn clients_with_filters_are_told_that_events_of_unknown_topics_may_be_missing() {
    let options =
        Options { history_events_max: 1, history_total_bytes_max: 2_000, ..Options::default() };
    let order = order_of(Box::new([]), &Options { shards: 1, ..options });
    // The first ten are no longer remembered, because of topics that these filters do not match.
    let names = (0..10).map(|n| format!("{n}/old"));
    for name in names.chain((0..(32 << 10)).map(|n| format!("g/{n}"))) {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let _ = order.publish(&Topic::new(&name).unwrap(), draft);
    }
    for filter in ["+/old", "5/#"] {
        let wanted = [Subscription::new(filter).unwrap()];
        let resume = Resume::After(order.id_of(1).to_string().into());
        let gap = search(&order, &wanted, &resume).1.expect("events may be missing").0;
        assert!(gap.to.sequence >= 10 && gap.missed.is_none(), "{filter}: {gap:?}");
        // The same for a client that was not told before its part.
        let cursor = Cursor { after: 1, gap_told_to: 1, ..Cursor::default() };
        let gaps = gaps_before_events(&order, &wanted, cursor);
        let [(to, None)] = gaps[..] else { panic!("{filter}: {gaps:?}") };
        assert!(to >= 10, "{filter}: {to}");
    }
}

/// The gaps that a client is told of before it is sent an event, or has come to the end: up to
/// which sequence number, and how many events are missing.
pub(super) fn gaps_before_events(
    order: &Order,
    wanted: &[Subscription],
    mut cursor: Cursor,
) -> Vec<(u64, Option<u64>)> {
    let mut gaps = Vec::new();
    loop {
        let part = order.replay(wanted, cursor, 1_000, Envelope::None);
        gaps.extend(part.gap.map(|(gap, _)| (gap.to.sequence, gap.missed)));
        if part.is_all || !part.frames.is_empty() {
            return gaps;
        }
        assert_ne!(part.cursor, cursor, "the cursor moves on");
        cursor = part.cursor;
    }
}

#[test]
fn a_gap_that_takes_several_steps_to_find_is_told_once_and_without_a_count_of_some_of_it() {
    let options = Options { history_events_max: 1, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    // Two events of each topic are forgotten: more than are remembered, and than one step looks at.
    for name in (0..900).map(|n| format!("t/{}", n % 300)) {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        assert!(order.publish(&Topic::new(&name).unwrap(), draft).is_ok());
    }
    let wanted = [Subscription::new("t/#").unwrap()];
    let gaps = gaps_before_events(&order, &wanted, Cursor::default());
    assert_eq!(gaps, [(600, None)]);
}

#[test]
fn a_gap_is_told_before_the_first_part_with_later_events() {
    let options = Options { history_events_max: 2, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    // More than the names of a client with named topics; of `b` the first and fourth event are
    // forgotten.
    let others = (0..20).map(|n| format!("z/{n}"));
    for name in ["b", "a", "a", "b", "b", "b"].map(String::from).into_iter().chain(others) {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        assert!(order.publish(&Topic::new(&name).unwrap(), draft).is_ok());
    }
    let wanted = [Subscription::new("#").unwrap()];
    let cursor = Cursor::default();
    let part = order.replay(&wanted, cursor, 1, Envelope::None);
    assert_eq!(part.frames.iter().map(Frame::sequence).collect::<Vec<_>>(), [2]);
    let (gap, id) = part.gap.expect("the gap is told before the second event");
    assert_eq!((gap.to.sequence, gap.missed, id.sequence), (4, Some(2), 1));
}

#[test]
fn clients_are_told_once_of_the_forgotten_events_of_a_topic_that_is_tracked_again() {
    let order = order_of(Box::new([]), &Options { shards: 1, ..Options::default() });
    for topic in ["was/before", "is/gone", "is/kept", "is/kept"] {
        let draft = Draft::encode(&Event::new("x"), 1_000).unwrap();
        let id = order.publish(&Topic::new(topic).unwrap(), draft).ok().unwrap();
        if id.sequence == 2 {
            order.lock().topics.forget_old(u64::MAX, usize::MAX);
        }
    }
    assert_eq!(order.counts().known_topics, 1);
    let gone = [Subscription::new("is/gone").unwrap()];
    // The second time the same topic, forgotten up to the same event, gets the same index.
    for _ in 0..2 {
        order.register(0, &gone, |_, _| 0);
        order.unregister(0, &gone[0], None);
    }
    order.register(0, &gone, |_, _| 0);
    assert_eq!(order.counts().known_topics, 2);
    let filter = [Subscription::new("is/+").unwrap()];
    let resume = Resume::After(order.id_of(1).to_string().into());
    // Without a subscription the topic is removed. Its event counts once, also for a client that
    // wants the topic twice.
    order.unregister(0, &gone[0], None);
    let twice = ["is/gone", "is/+"].map(|text| Subscription::new(text).unwrap());
    let gap = search(&order, &twice, &resume).1;
    assert_eq!(gap.expect("its event is missing").0.missed, Some(1));
    order.register(0, &gone, |_, _| 0);
    let (cursor, gap) = search(&order, &filter, &resume);
    let gap = gap.expect("its event is missing").0;
    assert_eq!((gap.to.sequence, gap.missed), (2, Some(1)));
    let replay = order.replay(&filter, cursor, 10_000, Envelope::None);
    assert_eq!((replay.frames.len(), replay.is_all), (2, true));
}

#[test]
fn subscribing_to_removed_topics_gives_no_client_a_gap() {
    let options = Options { history_age_max: Duration::ZERO, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    // Nearly as many removed topics as are remembered.
    for n in 0..16_000 {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let _ = order.publish(&Topic::new(&format!("gone/{n}")).unwrap(), draft);
    }
    order.lock().topics.forget_old(u64::MAX, usize::MAX);
    assert_eq!(order.counts().known_topics, 0);
    let some: Vec<_> =
        (15_900..15_964).map(|n| Subscription::new(&format!("gone/{n}")).unwrap()).collect();
    for _ in 0..300 {
        order.register(0, &some, |_, _| 0);
        some.iter().for_each(|what| order.unregister(0, what, None));
    }
    let quiet = [Subscription::new("quiet").unwrap()];
    let resume = Resume::After(order.id_of(1).to_string().into());
    assert!(
        search(&order, &quiet, &resume).1.is_none(),
        "the client is told of a gap that does not exist"
    );
    let gap = search(&order, &some, &resume).1.expect("their events are missing").0;
    assert_eq!(gap.missed, Some(64));
}

/// Publishes some events of a topic.
fn publish_some(order: &Order, topic: &str, count: usize) {
    for _ in 0..count {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        assert!(order.publish(&Topic::new(topic).unwrap(), draft).is_ok());
    }
}

/// The cursor of a client from which nothing is missing, of more topics than are found by name, and
/// more events than a walk passes under the lock. Two events of each topic are kept; the first of
/// all is of `b`.
fn far_from_its_end() -> (Order, [Subscription; 2], Cursor) {
    let options = Options { history_events_max: 2, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    publish_some(&order, "b", 1);
    (0..300).for_each(|n| publish_some(&order, &format!("z/{n}"), 1));
    publish_some(&order, "b", 1);
    let wanted = ["b", "z/#"].map(|text| Subscription::new(text).unwrap());
    let resume = Resume::After(order.id_of(0).to_string().into());
    let (cursor, gap) = search(&order, &wanted, &resume);
    assert!(gap.is_none(), "everything is kept");
    (order, wanted, cursor)
}

/// Gathers parts until there are events, and returns the gaps that the client is told of until
/// then: up to which number, how many events, and with which number. `between` is called before
/// each part.
fn told_before_events(
    order: &Order,
    wanted: &[Subscription],
    mut cursor: Cursor,
    mut between: impl FnMut(),
) -> Vec<(u64, Option<u64>, u64)> {
    let mut told = Vec::new();
    for _ in 0..20 {
        between();
        let part = order.replay(wanted, cursor, 10_000, Envelope::None);
        told.extend(part.gap.map(|(gap, id)| (gap.to.sequence, gap.missed, id.sequence)));
        if let Some(first) = part.frames.first() {
            assert_eq!(first.sequence(), 2, "the first one that is kept");
            return told;
        }
        assert!(!part.is_all && part.cursor != cursor, "it goes on");
        cursor = part.cursor;
    }
    panic!("it comes to no end: {told:?}");
}

#[test]
fn a_gap_that_comes_to_be_is_told_in_its_place_however_far_away_its_end_is() {
    let (order, wanted, cursor) = far_from_its_end();
    publish_some(&order, "b", 2);
    assert_eq!(told_before_events(&order, &wanted, cursor, || ()), [(302, Some(2), 1)]);
}

#[test]
fn a_gap_is_told_in_its_place_although_more_was_forgotten_than_is_remembered() {
    let (order, wanted, cursor) = far_from_its_end();
    let many = Tuning::small().order.forgets_max as u64 + 1;
    publish_some(&order, "b", many as usize);
    let told = told_before_events(&order, &wanted, cursor, || ());
    assert_eq!(told, [(300 + many, Some(many), 1)]);
}

#[test]
fn a_client_is_told_that_events_may_be_missing_when_too_many_are_forgotten_to_find_out() {
    let (order, wanted, cursor) = far_from_its_end();
    publish_some(&order, "b", 2);
    let many = Tuning::small().order.forgets_max + 3;
    // Of a topic that it does not want, always more than are remembered.
    let told = told_before_events(&order, &wanted, cursor, || publish_some(&order, "other", many));
    let forgotten_to = order.lock().topics.totals.forgotten_to();
    assert_eq!(told, [(forgotten_to, None, 1)]);
}
