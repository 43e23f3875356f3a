//! Events of several topics, some of which are finished, forgotten and open again, or which are
//! spread over a time.

use super::finished::{order_with, taken, AGE};
use super::several::{resumed, wanted};
use super::*;

/// How many events are published to `a`; every third to it alone, the others to `b` as well.
const EVENTS: u64 = 1_000;

fn draft(topics: &[&str], data: &str) -> Draft {
    let mut draft = Draft::encode(&Event::new(data), 1 << 20).unwrap();
    draft.set_topics(topics.iter().map(|name| Topic::new(name).unwrap()).collect());
    draft
}

fn plain() -> Draft {
    Draft::encode(&Event::new("x"), 1 << 20).unwrap()
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// What a client is sent that replays everything, and the first gap that it is told of.
fn replayed_all(order: &Order, texts: &[&str]) -> (Vec<u64>, Option<(u64, Option<u64>)>) {
    let (mut cursor, mut numbers, mut told) = (Cursor::default(), Vec::new(), None);
    loop {
        let part = order.replay(&wanted(texts), cursor, 1 << 20, Envelope::None);
        numbers.extend(part.frames.iter().map(|frame| frame.sequence()));
        told = told.or(part.gap.map(|(gap, _)| (gap.to.sequence, gap.missed)));
        if part.is_all {
            return (numbers, told);
        }
        cursor = part.cursor;
    }
}

/// How many events a topic keeps; `None` if it is not tracked.
fn kept_of(order: &Order, name: &str) -> Option<usize> {
    let locked = order.lock();
    let index = locked.topics.find(&topic(name))?;
    Some(locked.topics.entry(index).history.len())
}

/// An order in which the topic `a` was finished, and its time is over.
fn order_with_over(shards: usize) -> (Order, PublishedTopics) {
    let options = Options { history_events_max: 2_000, ..Options::default() };
    let (order, mut published) = (order_with(shards, options), PublishedTopics::new());
    for n in 0..EVENTS {
        let topics = if n % 3 == 0 { &["a"][..] } else { &["a", "b"] };
        let id = publish(&order, topics, &Event::new("x"));
        published.insert(id.sequence, topics.iter().map(|name| name.to_string()).collect());
    }
    assert!(order.finish(&topic("a"), None).is_ok());
    order.clock.advance(AGE + Duration::from_nanos(1));
    (order, published)
}

#[test]
fn a_finished_topic_forgets_many_events_of_several_topics_some_at_a_time() {
    let (order, published) = order_with_over(1);
    let own = |number: u64| published[&number].len() == 1;
    let (mut kept, mut steps) = (EVENTS as usize, 0);
    while kept > 0 {
        let now_ns = order.now_ns();
        let mut locked = order.lock();
        locked.topics.forget_old(now_ns, 1);
        order.number_reopened(&mut locked);
        drop(locked);
        let left = kept_of(&order, "a").unwrap_or(0);
        // When the last of several topics is forgotten, the others are at once.
        assert!(left < kept && kept - left <= 16 + 1, "{} at once", kept - left);
        (kept, steps) = (left, steps + 1);
        check_all(&order, &published);
        let gone = EVENTS - left as u64;
        let all = || 1..=EVENTS;
        // The search of a client that comes would forget the rest first: these are replaying.
        let missing = Some((gone, Some(gone)));
        assert_eq!(replayed_all(&order, &["a"]), ((gone + 1..=EVENTS).collect(), missing));
        let shared: Vec<u64> = all().filter(|&number| !own(number)).collect();
        assert_eq!(replayed_all(&order, &["b"]), (shared, None));
        let sent: Vec<u64> = all().filter(|&number| number > gone || !own(number)).collect();
        let lost: Vec<u64> = all().filter(|number| !sent.contains(number)).collect();
        let missing = lost.last().map(|&to| (to, Some(lost.len() as u64)));
        for both in [&["a", "b"][..], &["#"], &["b", "+"]] {
            let (numbers, told) = replayed_all(&order, both);
            assert_eq!(numbers, sent, "{both:?}");
            let exact = told.map(|(to, missed)| (to, missed.or(Some(lost.len() as u64))));
            assert_eq!(exact, missing, "{both:?}");
        }
    }
    let all_gone = (vec![], Some((EVENTS, Some(EVENTS))));
    assert_eq!(resumed(&order, &["a"], 0), all_gone);
    assert!(steps >= EVENTS / 16, "{steps}");
    assert_eq!((kept_of(&order, "a"), order.counts().finished_topics), (None, 0));
}

#[test]
fn each_use_of_the_name_of_a_topic_whose_time_is_over_finds_an_empty_one() {
    type Use = fn(&Order);
    let uses: [(Use, usize); 5] = [
        (|order| assert!(order.publish(&topic("a"), plain()).is_ok()), 1),
        (|order| assert!(order.publish_spread(&topic("a"), plain(), 1).is_ok()), 1),
        (|order| assert!(order.publish_to_several(draft(&["a", "b"], "x"), None).is_ok()), 1),
        (|order| assert!(order.finish(&topic("a"), None).is_ok()), 0),
        (|order| _ = order.register(0, &wanted(&["a"]), |_, _| 7), 0),
    ];
    for (nth, (use_name, kept)) in uses.into_iter().enumerate() {
        for some_steps in [0, 3] {
            let (order, _) = order_with_over(1);
            // It may be forgotten in part already.
            (0..some_steps).for_each(|_| _ = order.lock().topics.forget_old(order.now_ns(), 1));
            use_name(&order);
            assert_eq!(kept_of(&order, "a"), Some(kept), "use {nth}");
            let finished = order.counts().finished_topics;
            assert_eq!(finished, u64::from(nth == 3), "use {nth}");
            let shared = (EVENTS - EVENTS.div_ceil(3)) as usize;
            assert_eq!(kept_of(&order, "b"), Some(shared + usize::from(nth == 2)), "use {nth}");
        }
    }
}

#[test]
fn finished_topics_beyond_the_most_are_forgotten_although_their_events_are_of_several() {
    let options = Options { history_events_max: 2_000, ..Options::default() };
    let order = order_with(1, options);
    for n in 0..200 {
        publish(&order, &["first".to_owned(), format!("t/{n}")], &Event::new("x"));
    }
    assert!(order.finish(&topic("first"), None).is_ok());
    order.clock.advance(Duration::from_nanos(1));
    for n in 0..expiry::FINISHED_MAX + 16 {
        assert!(order.finish(&topic(&n.to_string()), None).is_ok());
    }
    assert_eq!(kept_of(&order, "first"), None);
    assert!(order.counts().finished_topics <= expiry::FINISHED_MAX as u64);
}

#[test]
fn an_event_of_several_topics_opens_each_of_them_again_or_is_refused_by_one_that_is_finished() {
    let order = order_with(1, Options::default());
    order.register(0, &wanted(&["a", "b", "c"]), |_, _| 7);
    for name in ["a", "b"] {
        assert!(order.finish(&topic(name), None).is_ok());
    }
    order.clock.advance(AGE);
    assert!(order.finish(&topic("c"), None).is_ok());
    let marks = taken(&order, 0);
    let states: Vec<_> = marks.iter().map(|mark| mark.topic.clone()).collect();
    assert_eq!(states.len(), 3);
    order.clock.advance(Duration::from_nanos(1));
    // The time of two of them is over, and that of the third is not.
    let refused = order.publish_to_several(draft(&["a", "b", "c"], "x"), None);
    assert!(matches!(refused, Err(Refused::Finished(_))));
    assert!(taken(&order, 0).is_empty());
    for window_ns in [None, Some(1_000)] {
        assert!(order.publish_to_several(draft(&["a", "b", "new"], "x"), window_ns).is_ok());
        let items = taken(&order, 0);
        let [event] = &items[..] else { panic!("{} items", items.len()) };
        let extra = event.extra.as_ref().expect("it has several topics");
        assert_eq!(extra.reopens.is_some(), window_ns.is_none(), "only the first one does");
        let names: Vec<&str> = event.topics().map(|topic| topic.name.as_str()).collect();
        assert_eq!(names, ["a", "b"], "the others are wanted by nobody");
    }
    let finished: Vec<bool> = states.iter().map(|state| state.finished_at().is_some()).collect();
    assert_eq!(finished, [false, false, true]);
}

#[test]
fn a_spread_event_of_several_topics_is_in_the_spread_backlog_of_each() {
    let options = Options { topic_backlog_bytes_max: 1_000, ..Options::default() };
    let order = order_with(1, options);
    order.register(0, &wanted(&["a", "b"]), |_, _| 7);
    let data = "x".repeat(600);
    let spread = |topics: &[&str]| order.publish_to_several(draft(topics, &data), Some(1_000));
    assert!(spread(&["a", "b"]).is_ok() && spread(&["a", "none"]).is_ok());
    assert!(matches!(spread(&["a", "b"]), Err(Refused::Full(..))), "that of a is full");
    assert!(spread(&["b", "none"]).is_ok());
    assert!(matches!(spread(&["b", "none"]), Err(Refused::Full(..))), "that of b is full");
    assert!(order.publish_to_several(draft(&["a", "b"], &data), None).is_ok(), "the other is not");
    assert!(order.backlog_bytes() > 0);
    assert_eq!(taken(&order, 0).len(), 4);
    assert_eq!(order.backlog_bytes(), 0);
    assert!(spread(&["a", "b"]).is_ok());
}
