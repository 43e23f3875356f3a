//! Events of several topics: kept in each, sent once, and missing only if no topic keeps them.

use super::gaps::gaps_before_events;
use super::*;
use crate::gap::GapReason;

fn order_keeping(events: usize) -> Order {
    order_of(Box::new([]), &Options { history_events_max: events, shards: 1, ..Options::default() })
}

pub(super) fn wanted(texts: &[&str]) -> Vec<Subscription> {
    texts.iter().map(|text| Subscription::new(text).unwrap()).collect()
}

pub(super) fn after(order: &Order, number: u64) -> Resume {
    Resume::After(order.id_of(number).to_string().into())
}

/// What a client is sent, and the gap that it is told of: up to which number, and how many events.
pub(super) fn resumed(
    order: &Order,
    texts: &[&str],
    number: u64,
) -> (Vec<u64>, Option<(u64, Option<u64>)>) {
    let (numbers, gap) = replayed_with_gap(order, &wanted(texts), &after(order, number));
    (numbers, gap.map(|gap| (gap.to.sequence, gap.missed)))
}

#[test]
fn an_event_is_missing_once_and_only_if_no_topic_of_the_client_keeps_it() {
    let order = order_keeping(2);
    let publish = |topics: &[&str]| publish(&order, topics, &Event::new("x")).sequence;
    assert_eq!(publish(&["a", "b"]), 1);
    assert_eq!(publish(&["a", "b", "quiet"]), 2);
    assert_eq!(publish(&["a"]), 3);
    (4..=6).for_each(|number| assert_eq!(publish(&["a", "b"]), number));
    // The topics a and b have forgotten the first two; `quiet` keeps the second.
    for both in [&["a", "b"][..], &["a", "+/none", "b"]] {
        assert_eq!(resumed(&order, both, 0), (vec![5, 6], Some((4, Some(4)))), "{both:?}");
        // The client had some of what was forgotten: how many of the others these are is not known.
        assert_eq!(resumed(&order, both, 3), (vec![5, 6], Some((4, None))), "{both:?}");
        assert_eq!(resumed(&order, both, 4), (vec![5, 6], None), "{both:?}");
    }
    for all in [&["a", "b", "quiet"][..], &["#"], &["+", "#", "a"]] {
        assert_eq!(resumed(&order, all, 0), (vec![2, 5, 6], Some((4, Some(3)))), "{all:?}");
    }
    assert_eq!(resumed(&order, &["a"], 0), (vec![5, 6], Some((4, Some(4)))));
    assert_eq!(resumed(&order, &["b"], 0), (vec![5, 6], Some((4, Some(3)))));
    assert_eq!(resumed(&order, &["quiet"], 1), (vec![2], None));
    assert_eq!(resumed(&order, &["b", "quiet"], 0), (vec![2, 5, 6], Some((4, Some(2)))));
}

#[test]
fn an_event_that_another_topic_of_the_client_keeps_is_no_gap() {
    let order = order_keeping(10);
    for _ in 0..10 {
        publish(&order, &["busy", "quiet"], &Event::new("x"));
    }
    (0..10).for_each(|_| _ = publish(&order, &["busy"], &Event::new("x")));
    let all: Vec<u64> = (1..=20).collect();
    for texts in [&["busy", "quiet"][..], &["#"], &["busy", "+"]] {
        assert_eq!(resumed(&order, texts, 0), (all.clone(), None), "{texts:?}");
    }
    assert_eq!(resumed(&order, &["busy"], 0), ((11..=20).collect(), Some((10, Some(10)))));
}

#[test]
fn an_event_is_the_latest_if_it_is_that_of_one_topic_and_counts_once_among_the_last() {
    let order = order_keeping(10);
    let publish = |topics: &[&str]| publish(&order, topics, &Event::new("x"));
    publish(&["a", "b"]);
    publish(&["a", "b", "c"]);
    publish(&["b"]);
    publish(&["a", "d"]);
    publish(&["d"]);
    for texts in [&["a", "b", "c"][..], &["a", "b", "c", "x/#"]] {
        let start = |start| replayed(&order, &wanted(texts), &Resume::Start(start)).0;
        assert_eq!(start(StartAt::Latest), [2, 3, 4], "{texts:?}");
        assert_eq!(start(StartAt::Last(2)), [3, 4], "{texts:?}");
        assert_eq!(start(StartAt::Last(3)), [2, 3, 4], "{texts:?}");
        assert_eq!(start(StartAt::Last(4)), [1, 2, 3, 4], "{texts:?}");
        assert_eq!(start(StartAt::Last(5)), [1, 2, 3, 4], "{texts:?}");
    }
    let all = replayed(&order, &wanted(&["#"]), &Resume::Start(StartAt::Latest)).0;
    assert_eq!(all, [2, 3, 4, 5]);
}

#[test]
fn a_custom_id_is_found_in_each_topic_of_its_event() {
    let order = order_keeping(10);
    publish(&order, &["z", "y"], &Event::new("x"));
    // More topics than are found by their names.
    (0..20).for_each(|n| _ = publish(&order, &[format!("n/{n}")], &Event::new("x")));
    let mine = publish(&order, &["a", "b"], &Event::new("x").with_id("mine"));
    // First it is the newest of both topics, then of one.
    for later in ["z", "b"] {
        publish(&order, &[later], &Event::new("x"));
        for texts in [&["a"][..], &["b"], &["a", "b"], &["#"], &["#", "a"]] {
            let resume = Resume::After("mine".into());
            let (cursor, gap) = search(&order, &wanted(texts), &resume);
            assert_eq!((cursor.after, gap.is_none()), (mine.sequence, true), "{texts:?}");
        }
    }
    let (_, gap) = search(&order, &wanted(&["y", "z"]), &Resume::After("mine".into()));
    assert_eq!(gap.map(|(gap, _)| gap.reason), Some(GapReason::UnknownId));
}

#[test]
fn an_event_that_the_last_topic_forgets_while_a_client_replays_is_told_in_its_place() {
    for texts in [&["a", "b"][..], &["#"]] {
        let order = order_keeping(2);
        publish(&order, &["a", "b"], &Event::new("x"));
        (0..2).for_each(|_| _ = publish(&order, &["a"], &Event::new("x")));
        let (cursor, gap) = search(&order, &wanted(texts), &after(&order, 0));
        assert!(gap.is_none(), "the topic b keeps the first");
        (0..2).for_each(|_| _ = publish(&order, &["b"], &Event::new("x")));
        let gaps = gaps_before_events(&order, &wanted(texts), cursor);
        assert_eq!(gaps, [(1, Some(1))], "{texts:?}");
    }
}

#[test]
fn what_is_missing_is_exact_however_many_lists_there_are() {
    let order = order_keeping(3);
    // More topics in lists than are looked at by name, and far more than a walk passes at once.
    for n in 0..400 {
        publish(&order, &["all".to_owned(), format!("run/{n}")], &Event::new("x"));
    }
    let runs = ["run/0", "run/100", "run/398"];
    assert_eq!(resumed(&order, &runs, 0), (vec![1, 101, 399], None));
    let with_all = ["run/0", "all", "run/100", "run/398"];
    let sent = vec![1, 101, 398, 399, 400];
    assert_eq!(resumed(&order, &with_all, 0), (sent, Some((397, Some(395)))));
    let (numbers, gap) = resumed(&order, &["#"], 0);
    assert_eq!((numbers, gap), ((1..=400).collect(), None));
}

#[test]
fn a_topic_that_is_removed_or_comes_again_has_its_events_of_several_topics_counted_once() {
    let options = Options { history_age_max: Duration::from_millis(20), ..Options::default() };
    let order = order_of(Box::new([]), &Options { shards: 1, ..options });
    publish(&order, &["a", "b"], &Event::new("x"));
    publish(&order, &["a"], &Event::new("x"));
    order.clock.advance(Duration::from_millis(21));
    publish(&order, &["b", "c"], &Event::new("x"));
    order.forget_old();
    order.clock.advance(Duration::from_millis(10));
    // The topic a is gone, and then it is not.
    for has_come in [false, true] {
        if has_come {
            publish(&order, &["a", "b"], &Event::new("x"));
        }
        assert_eq!(order.lock().topics.find(&Topic::new("a").unwrap()).is_some(), has_come);
        for texts in [&["a", "b"][..], &["#"], &["a", "+"]] {
            let gap = resumed(&order, texts, 0).1;
            assert_eq!(gap, Some((2, Some(2))), "{texts:?}");
            let gap = resumed(&order, texts, 1).1;
            assert_eq!(gap, Some((2, Some(1))), "{texts:?}");
        }
        assert_eq!(resumed(&order, &["a", "c"], 0).1, Some((2, Some(2))));
    }
}

#[test]
fn lists_that_were_dropped_leave_a_count_that_is_not_known() {
    let order = order_keeping(1);
    // Each list has one event, which both of its topics have forgotten: more than are remembered.
    let runs = Tuning::small().order.idle_list_topics_max;
    for n in 0..runs {
        publish(&order, &["all".to_owned(), format!("run/{n}")], &Event::new("x"));
        order.lock().topics.forget_old(u64::MAX, usize::MAX);
        if n == runs / 2 + 3 {
            publish(&order, &["other"], &Event::new("x"));
        }
    }
    let dropped_to = dropped_to(&order);
    let end = order.sequence();
    assert!(dropped_to >= end / 2 - 5 && dropped_to < end / 2 + 5, "{dropped_to}");
    // Of what is remembered the count is known.
    for texts in [&["all", "run/3"][..], &["#"], &["all", "+/none"]] {
        assert_eq!(resumed(&order, texts, 0), (vec![], Some((end, None))), "{texts:?}");
        let gap = resumed(&order, texts, end - 10).1;
        assert_eq!(gap, Some((end, Some(10))), "{texts:?}");
    }
    assert_eq!(resumed(&order, &["all"], 0).1, Some((end, Some(runs as u64))));
    // A client of two runs misses these, and nobody knows whether more.
    assert_eq!(resumed(&order, &["run/1", "run/2"], 0).1, Some((3, None)));
    assert_eq!(
        resumed(&order, &["run/1", "other"], 3).1.map(|gap| gap.0),
        Some(runs as u64 / 2 + 5)
    );
}

#[test]
fn a_refused_event_of_several_topics_is_published_to_none_and_leaves_no_topic_behind() {
    let options = Options { topic_backlog_bytes_max: 1, shards: 1, ..Options::default() };
    let poller = crate::sys::Poller::new().unwrap();
    let order =
        order_of(Box::new([Arc::new(Inbox::new(ShardWaker::new(poller.waker())))]), &options);
    order.register(0, &wanted(&["full"]), |_, _| 0);
    publish(&order, &["full"], &Event::new("x"));
    let before = order.sequence();
    for n in 0..100 {
        let mut draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let names = ["a".to_owned(), "full".to_owned(), format!("new/{n}")];
        draft.set_topics(names.iter().map(|name| Topic::new(name).unwrap()).collect());
        let refused = order.publish_to_several(draft, None);
        assert!(matches!(refused, Err(Refused::Full(..))));
    }
    let counts = order.counts();
    assert_eq!((order.sequence(), counts.known_topics, counts.kept_events), (before, 1, 1));
    // The same for a topic that is finished.
    assert!(order.finish(&Topic::new("done").unwrap(), None).is_ok());
    let mut draft = Draft::encode(&Event::new("x"), 100).unwrap();
    draft.set_topics(["a", "done"].map(|name| Topic::new(name).unwrap()).into());
    assert!(matches!(order.publish_to_several(draft, None), Err(Refused::Finished(_))));
    assert_eq!((order.counts().known_topics, order.counts().kept_events), (2, 1));
}

#[test]
fn topics_that_become_idle_while_their_event_is_kept_stay_until_each_has_kept_it() {
    // Nothing is kept for any time, and the whole hub keeps the newest event alone.
    for total in [0, 1_000_000] {
        let options = Options {
            history_age_max: Duration::ZERO,
            history_total_bytes_max: total,
            shards: 1,
            ..Options::default()
        };
        let order = order_of(Box::new([]), &options);
        let mut random = fastrand::Rng::with_seed(7);
        let mut published = PublishedTopics::new();
        for step in 0..5_000 {
            order.clock.advance(Duration::from_nanos(random.u64(1..4)));
            let mut topics: Vec<String> =
                (0..random.usize(1..6)).map(|_| format!("t/{}", random.u32(..20))).collect();
            topics.sort_unstable();
            topics.dedup();
            let id = publish(&order, &topics, &Event::new("x"));
            published.insert(id.sequence, topics);
            if step % 32 == 0 {
                check_all(&order, &published);
            }
            let number = id.sequence;
            let keepers = keepers(&order, &published, &wanted(&["#"]), number);
            assert!(!keepers.is_empty(), "the newest is kept");
        }
    }
}

#[test]
fn the_names_of_an_events_topics_count_for_the_hubs_backlog() {
    for window_ns in [None, Some(1_000_000)] {
        let options = Options {
            backlog_bytes_max: 1 << 20,
            topic_backlog_bytes_max: 1 << 20,
            shards: 1,
            ..Options::default()
        };
        let poller = crate::sys::Poller::new().unwrap();
        let inbox = Arc::new(Inbox::new(ShardWaker::new(poller.waker())));
        let order = order_of(Box::new([inbox.clone()]), &options);
        order.register(0, &wanted(&["#"]), |_, _| 0);
        let name = |nth: usize| Topic::new(&format!("{nth:02}/{}", "x".repeat(253))).unwrap();
        let topics: Arc<[Topic]> = (0..Event::TOPICS_MAX).map(name).collect();
        let publish = |_: &usize| {
            let mut draft = Draft::encode(&Event::new("x"), 100).unwrap();
            draft.set_topics(topics.clone());
            order.publish_to_several(draft, window_ns).is_ok()
        };
        let taken = (0..10_000).take_while(publish).count();
        assert!((15..=65).contains(&taken), "{taken} events with 16 KiB of names, in 1 MiB");
        let mut events = Vec::new();
        inbox.take(&mut events);
        assert_eq!(events.len(), taken);
        Published::release(events.into_iter());
        assert_eq!(order.backlog_bytes(), 0);
    }
}
