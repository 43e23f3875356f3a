//! Which events are kept, and what clients are told of those that are not, for any number of
//! topics.

mod checks;
mod clustered;
mod finished;
mod gap_starts;
mod gaps;
mod handles;
mod nothing;
mod restored;
mod rules;
mod several;
mod several_finished;
mod steps;
mod watchers;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use self::checks::{
    check_all, check_gap_starts, check_starts, check_totals, dropped_to, keepers, PublishedTopics,
};
use super::*;
use crate::event::Event;
use crate::frame::Frame;
use crate::resume::{Resume, StartAt};
use crate::topic::Topic;
use crate::tuning::Tuning;

/// An order with short walks and parts, so that a test of few events has many of them.
fn order_of(inboxes: Box<[Arc<ShardInbox>]>, options: &Options) -> Order {
    Order::new(inboxes, options, Tuning::small().order, Clock::manual())
}

/// For a model test: an order with short walks and parts for every second seed, and one with the
/// tuning that hubs run with for the others.
fn model_order(options: &Options, seed: u64) -> Order {
    let tuning = if seed.is_multiple_of(2) { Tuning::small() } else { Tuning::default() };
    Order::new(Box::new([]), options, tuning.order, Clock::manual())
}

/// Publishes an event to one topic or several, none of which has a subscriber or is finished.
fn publish(order: &Order, topics: &[impl AsRef<str>], event: &Event<'_>) -> EventId {
    let published = try_publish(order, topics, event);
    published.ok().expect("a topic without subscribers has no backlog")
}

fn try_publish(
    order: &Order,
    topics: &[impl AsRef<str>],
    event: &Event<'_>,
) -> Result<EventId, Refused> {
    let mut topics: Vec<Topic> =
        topics.iter().map(|name| Topic::new(name.as_ref()).unwrap()).collect();
    topics.sort_unstable();
    topics.dedup();
    let mut draft = Draft::encode(event, 1 << 20).unwrap();
    match &topics[..] {
        [only] => order.publish(only, draft),
        _ => {
            draft.set_topics(topics.into());
            order.publish_to_several(draft, None)
        }
    }
}

/// A client's cursor and the gap that it is told of first, after as many steps as that takes.
fn search(order: &Order, wanted: &[Subscription], resume: &Resume) -> search::Found {
    let mut search = order.begin_search(resume.clone(), order.moment());
    loop {
        if let Some(found) = order.locate(wanted, &mut search) {
            return found;
        }
    }
}

/// The sequence numbers of all events that a client is sent, and that up to which it was told that
/// events are missing.
fn replayed(order: &Order, wanted: &[Subscription], resume: &Resume) -> (Vec<u64>, Option<u64>) {
    let (numbers, gap) = replayed_with_gap(order, wanted, resume);
    (numbers, gap.map(|gap| gap.to.sequence))
}

fn replayed_with_gap(
    order: &Order,
    wanted: &[Subscription],
    resume: &Resume,
) -> (Vec<u64>, Option<crate::gap::Gap>) {
    let (mut cursor, gap) = search(order, wanted, resume);
    let mut numbers = Vec::new();
    loop {
        let part = order.replay(wanted, cursor, 2_000, Envelope::None);
        assert!(part.gap.is_none() && part.topics.is_empty(), "the client was told already");
        numbers.extend(part.frames.iter().map(|frame| frame.sequence()));
        if part.is_all {
            return (numbers, gap.map(|(gap, _)| gap));
        }
        assert_ne!(part.cursor, cursor, "the cursor moves on");
        cursor = part.cursor;
    }
}

/// The seeds of random tests that compare all that is kept again and again, which takes a minute for a few of
/// them without optimisation. A release build, the suite `random` of `tests/run`, has more of them.
fn seeds() -> std::ops::Range<u64> {
    0..if cfg!(debug_assertions) { 2 } else { 16 }
}

#[test]
fn the_newest_events_within_the_bounds_are_kept_and_clients_are_told_of_all_others() {
    let mut exact = 0;
    for seed in seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        let total = 60_000;
        let options = Options {
            history_events_max: 20,
            history_bytes_max: 8_000,
            history_total_bytes_max: total,
            ..Options::default()
        };
        let order = model_order(&Options { shards: 1, ..options }, seed);
        let mut published = PublishedTopics::new();
        let mut clients = VecDeque::new();
        let mut exact_starts = 0;
        for step in 0..2_000 {
            // Few topics have many events, most have few.
            let topic = |random: &mut fastrand::Rng| match random.bool() {
                true => format!("busy/{}", random.u32(..4)),
                false => format!("quiet/{}", random.u32(..200)),
            };
            // Every third event has several topics: few of them come again and again, most do not.
            let mut topics: Vec<String> = match random.u32(..6) {
                0 => ["busy/0", "busy/1", "quiet/1"][random.usize(..2)..]
                    .iter()
                    .map(|name| name.to_string())
                    .collect(),
                1 => (0..random.usize(2..5)).map(|_| topic(&mut random)).collect(),
                _ => vec![topic(&mut random)],
            };
            topics.sort_unstable();
            topics.dedup();
            let topic = topics[random.usize(..topics.len())].clone();
            let data = "x".repeat(random.usize(..600));
            let id = publish(&order, &topics, &Event::new(data));
            published.insert(id.sequence, topics);
            // Clients come and go, some of which want topics that were removed.
            if random.u32(..4) == 0 {
                let name = Subscription::new(&format!("quiet/{}", random.u32(..200))).unwrap();
                order.register(0, std::slice::from_ref(&name), |_, _| 0);
                clients.push_back(name);
            }
            if clients.len() > 20 {
                order.unregister(0, &clients.pop_front().unwrap(), None);
            }
            let counts = order.counts();
            assert!(counts.kept_bytes <= total as u64, "{}", counts.kept_bytes);
            if step % 10 > 0 {
                continue;
            }
            check_all(&order, &published);
            if random.u32(..8) == 0 {
                // All events are too old, and their topics are removed with them.
                order.lock().topics.forget_old(u64::MAX, random.usize(..400));
            }
            let topics = |texts: &[&str]| -> Vec<Subscription> {
                texts.iter().map(|text| Subscription::new(text).unwrap()).collect()
            };
            let of_now = [&*format!("quiet/{}", random.u32(..200)), "busy/2"];
            let wanted = match random.usize(..6) {
                0 => topics(&["#"]),
                1 => topics(&["quiet/+", "busy/1"]),
                2 => topics(&["+/1", "quiet/#", "quiet/1"]),
                3 => topics(&["busy/+"]),
                4 => topics(&of_now),
                _ => topics(&[&topic]),
            };
            let after = random.u64(..=id.sequence);
            let resume = Resume::After(order.id_of(after).to_string().into());
            let (numbers, gap) = replayed_with_gap(&order, &wanted, &resume);
            let matches = |topic: &str| {
                wanted.iter().any(|wanted| wanted.matches(&Topic::new(topic).unwrap()))
            };
            let all: Vec<u64> = published
                .range(after + 1..)
                .filter(|(_, topics)| topics.iter().any(|topic| matches(topic)))
                .map(|(&number, _)| number)
                .collect();
            assert!(numbers.is_sorted_by(|a, b| a < b));
            assert!(numbers.iter().all(|number| all.contains(number)));
            let missing: Vec<u64> =
                all.into_iter().filter(|number| numbers.binary_search(number).is_err()).collect();
            let told_to = gap.as_ref().map(|gap| gap.to.sequence);
            let missed = gap.and_then(|gap| gap.missed);
            if missed.is_none() && told_to <= Some(dropped_to(&order)) {
                // Events may be missing of lists that were dropped.
                assert!(told_to >= missing.last().copied(), "after {after} of {wanted:?}");
            } else {
                assert_eq!(told_to, missing.last().copied(), "after {after} of {wanted:?}");
            }
            if let Some(missed) = missed {
                assert_eq!(missed, missing.len() as u64, "after {after} of {wanted:?}");
                exact += 1;
            }
            let is_kept =
                |number: &&u64| !keepers(&order, &published, &wanted, **number).is_empty();
            assert_eq!(missing.iter().find(is_kept), None, "it is kept, and not sent");
            check_starts(&order, &published, &wanted, random.usize(..30));
            let all =
                published.iter().filter(|(_, topics)| topics.iter().any(|name| matches(name)));
            let all: Vec<u64> = all.map(|(&number, _)| number).collect();
            // Of a client that had none of them it is often known how many are missing.
            let had = if random.bool() { after } else { 0 };
            let client = (had, &all[..], random.usize(..30));
            exact_starts += check_gap_starts(&order, &published, &wanted, client);
        }
        assert!(exact_starts > 20, "{exact_starts} clients were told how many events are missing");
    }
    assert!(exact > 4 * seeds().end, "the count is known {exact} times");
}

#[test]
fn an_id_of_this_epoch_names_its_own_event_although_a_publisher_gives_it_again() {
    let order = order_of(Box::new([]), &Options { shards: 1, ..Options::default() });
    let topic = Topic::new("a").unwrap();
    let publish = |event: Event<'_>| {
        let draft = Draft::encode(&event, 1_000).unwrap();
        order.publish(&topic, draft).ok().unwrap().to_string()
    };
    let first = publish(Event::new("x"));
    publish(Event::new("y"));
    publish(Event::new("x once more").with_id(&first));
    publish(Event::new("z").with_id("row-17"));
    publish(Event::new("last"));
    let locate = |id: &str| {
        let wanted = [Subscription::new("#").unwrap()];
        let resume = Resume::After(id.into());
        let (cursor, gap) = search(&order, &wanted, &resume);
        (cursor.after, gap.map(|(gap, _)| gap.reason))
    };
    assert_eq!(locate(&first), (1, None));
    assert_eq!(locate("row-17"), (4, None));
    // The oldest of those with the id in any topic: so the client misses nothing.
    let draft = Draft::encode(&Event::new("z").with_id("row-17"), 1_000).unwrap();
    assert!(order.publish(&Topic::new("b").unwrap(), draft).is_ok());
    assert_eq!(locate("row-17"), (4, None));
    assert_eq!(locate("row-18"), (6, Some(crate::gap::GapReason::UnknownId)));
    let yet_to_come = order.id_of(7).to_string();
    assert_eq!(locate(&yet_to_come), (6, Some(crate::gap::GapReason::UnknownId)));
}

#[test]
fn events_that_are_too_old_are_forgotten_although_nothing_is_published() {
    let options = Options { history_age_max: Duration::from_millis(20), ..Options::default() };
    let order = order_of(Box::new([]), &Options { shards: 1, ..options });
    for n in 0..5_000 {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let _ = order.publish(&Topic::new(&n.to_string()).unwrap(), draft);
    }
    order.clock.advance(Duration::from_millis(20));
    order.forget_old();
    assert_eq!(order.counts().kept_events, 5_000, "none is older than 20 ms");
    order.clock.advance(Duration::from_nanos(1));
    // Each call takes a bounded number of steps.
    (0..20).for_each(|_| order.forget_old());
    assert!(!order.has_history(), "events or topics are left");
    assert_eq!((order.counts().kept_events, order.counts().kept_bytes), (0, 0));
    assert!(order.lock().topics.iter().next().is_none(), "the topics are removed");
}

#[test]
fn a_refused_event_leaves_no_topic_behind() {
    let options = Options { backlog_bytes_max: 1, shards: 1, ..Options::default() };
    let poller = crate::sys::Poller::new().unwrap();
    let order =
        order_of(Box::new([Arc::new(Inbox::new(ShardWaker::new(poller.waker())))]), &options);
    let all = [Subscription::new("#").unwrap()];
    order.register(0, &all, |_, _| 0);
    let mut refused = 0;
    for n in 0..10_000 {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let topic = Topic::new(&n.to_string()).unwrap();
        refused += usize::from(order.publish(&topic, draft).is_err());
    }
    assert!(refused > 9_000);
    // Everything that was published is forgotten.
    order.lock().topics.forget_old(u64::MAX, usize::MAX);
    assert_eq!(order.counts().kept_bytes, 0);
    assert!(order.counts().known_topics <= 1, "{}", order.counts().known_topics);
}

#[test]
fn names_that_clients_make_up_do_not_drive_out_what_is_known_of_removed_topics() {
    let options =
        Options { history_events_max: 1, history_total_bytes_max: 2_000, ..Options::default() };
    let order = order_of(Box::new([]), &Options { shards: 1, ..options });
    // More topics than are remembered, so that some are known by a common bound alone.
    for n in 0..(16 << 10) + 10 {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let _ = order.publish(&Topic::new(&n.to_string()).unwrap(), draft);
    }
    let after = order.sequence() / 2;
    let quiet = [Subscription::new("never heard of").unwrap()];
    let id = || Resume::After(order.id_of(after).to_string().into());
    assert!(search(&order, &quiet, &id()).1.is_none(), "no event of it is missing");
    // Clients come and go with names that they make up.
    for n in 0..(16 << 10) + 10 {
        let wanted = [Subscription::new(&format!("made up {n}")).unwrap()];
        order.register(0, &wanted, |_, _| 0);
        order.unregister(0, &wanted[0], None);
    }
    assert!(
        search(&order, &quiet, &id()).1.is_none(),
        "the client is told of a gap that does not exist"
    );
}

#[test]
fn a_topics_backlog_is_bounded_however_much_is_kept() {
    for total in [64 << 20, 700, 0] {
        let options = Options {
            topic_backlog_bytes_max: 1_000,
            history_total_bytes_max: total,
            shards: 1,
            ..Options::default()
        };
        let poller = crate::sys::Poller::new().unwrap();
        let order =
            order_of(Box::new([Arc::new(Inbox::new(ShardWaker::new(poller.waker())))]), &options);
        order.register(0, &[Subscription::new("#").unwrap()], |_, _| 0);
        let topic = Topic::new("a").unwrap();
        let publish = |_: &i32| {
            let draft = Draft::encode(&Event::new("x".repeat(100)), 1_000).unwrap();
            order.publish(&topic, draft).is_ok()
        };
        let taken = (0..10_000).take_while(publish).count();
        assert!(taken < 20, "{taken} events are in a backlog of 1,000 bytes, {total}");
    }
}

#[test]
fn a_publisher_that_waits_is_notified_when_an_eighth_of_the_backlog_is_free() {
    use event_listener::Listener as _;

    let backlog = Backlog::new(800);
    backlog.add(799);
    assert!(backlog.listen_if_full().is_none(), "there is space for one more event");
    backlog.add(50);
    let listener = backlog.listen_if_full().expect("it is full");
    backlog.remove(150);
    assert_eq!((backlog.bytes(), backlog.listen_if_full().is_none()), (699, true));
    assert!(listener.wait_timeout(Duration::ZERO).is_some(), "more than an eighth is free");
    backlog.add(101);
    let listener = backlog.listen_if_full().expect("it is full again");
    backlog.remove(100);
    assert!(listener.wait_timeout(Duration::ZERO).is_none(), "no more than an eighth is free");
}

/// The processor time that some work takes: the least of five tries, so that other programs of the
/// machine do not count.
fn cpu_time(mut work: impl FnMut()) -> Duration {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let tries = (0..5).map(|_| {
        let from = now();
        work();
        now() - from
    });
    tries.min().expect("there were tries")
}

/// An order with one event of each of `count` topics.
fn order_of_topics(count: usize) -> Order {
    let options = Options { history_total_bytes_max: 1 << 30, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    for n in 0..count {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let topic = Topic::new(&format!("p/{n}/x")).unwrap();
        assert!(order.publish(&topic, draft).is_ok());
    }
    order
}

fn filters(count: usize) -> Vec<Subscription> {
    (0..count).map(|n| Subscription::new(&format!("p/+/x{n}")).unwrap()).collect()
}

#[test]
fn the_cost_of_a_filter_does_not_depend_on_the_number_of_topics() {
    let cost = |topics| {
        let order = order_of_topics(topics);
        cpu_time(|| {
            let wanted = filters(64);
            order.register(0, &wanted, |_, _| 0);
            wanted.iter().for_each(|what| order.unregister(0, what, None));
        })
    };
    let (few, many) = (cost(500), cost(20_000));
    assert!(many < few * 8, "{few:?} with 500 topics, {many:?} with 20,000");
}

#[test]
fn the_cost_of_resuming_for_each_event_does_not_depend_on_the_number_of_topics() {
    let resumes = |wanted: &[&str], topics: usize| {
        let order = order_of_topics(topics);
        let wanted: Vec<_> = wanted.iter().map(|text| Subscription::new(text).unwrap()).collect();
        let everything = [
            Resume::Start(StartAt::Latest),
            Resume::Start(StartAt::Last(StartAt::LAST_MAX)),
            Resume::Start(StartAt::Earliest),
            Resume::After("00000000-7".into()),
            Resume::AfterOr("unknown".into(), StartAt::Latest),
            Resume::AfterOr("unknown".into(), StartAt::Last(StartAt::LAST_MAX)),
            Resume::After(order.id_of(0).to_string().into()),
        ];
        cpu_time(|| everything.iter().for_each(|resume| drop(replayed(&order, &wanted, resume))))
    };
    for wanted in [&["#", "random"][..], &["p/+/x", "p/1/#", "+/1/+"], &["p/+/none"]] {
        let (few, many) = (resumes(wanted, 1_000), resumes(wanted, 16_000));
        assert!(many < few * 48, "{wanted:?}: {few:?} for 1,000 topics, {many:?} for 16,000");
    }
}

#[test]
fn the_newest_event_of_a_topic_is_kept_however_large_it_is() {
    let options = Options { history_total_bytes_max: 2 << 20, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    let publish = |topic: &str, data: &str| {
        let draft = Draft::encode(&Event::new(data), 1 << 20).unwrap();
        order.publish(&Topic::new(topic).unwrap(), draft).ok().unwrap()
    };
    let before = publish("a", "small");
    // Encoded they are larger than the bound of the topic's history, and of all histories.
    for lines in ["\n".repeat(160 << 10), "x".repeat(1 << 20), "\n".repeat(1 << 20)] {
        let large = publish("a", &lines);
        let resume = Resume::After(order.id_of(large.sequence - 1).to_string().into());
        for wanted in ["a", "#"] {
            let wanted = [Subscription::new(wanted).unwrap()];
            assert_eq!(replayed(&order, &wanted, &resume), (vec![large.sequence], None));
        }
        assert_eq!(order.counts().kept_events, 1);
    }
    let wanted = [Subscription::new("a").unwrap()];
    let resume = Resume::After(before.to_string().into());
    assert_eq!(replayed(&order, &wanted, &resume), (vec![4], Some(3)));
}

#[test]
fn a_shard_that_reads_its_interest_while_filters_are_matched_anew_always_finds_it() {
    let options = Options { shards: 1, ..Options::default() };
    let poller = crate::sys::Poller::new().unwrap();
    let order =
        order_of(Box::new([Arc::new(Inbox::new(ShardWaker::new(poller.waker())))]), &options);
    let publish = || {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let _ = order.publish(&Topic::new("a/b").unwrap(), draft);
    };
    let all = ["a/#", "+/b", "#", "a/+"].map(|text| Subscription::new(text).unwrap());
    order.register(0, &all, |_, _| 0);
    publish();
    let topic = order.lock().topics.iter().next().unwrap().clone();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let other = [Subscription::new("other/#").unwrap()];
            for _ in 0..20_000 {
                order.register(0, &other, |_, _| 0);
                publish();
                order.unregister(0, &other[0], None);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        while !is_over.load(Ordering::Relaxed) {
            // Otherwise an event that was put into its inbox would be lost.
            assert_eq!(topic.interest_of(0), Interest::Matched);
        }
    });
}

#[test]
fn events_that_have_become_too_old_are_not_replayed_although_none_was_forgotten_since() {
    let options = Options { history_age_max: Duration::ZERO, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    for wanted in ["a", "#"] {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        assert!(order.publish(&Topic::new("a").unwrap(), draft).is_ok());
        assert_eq!(order.counts().kept_events, 1);
        order.clock.advance(Duration::from_nanos(1));
        let wanted = [Subscription::new(wanted).unwrap()];
        assert_eq!(replayed(&order, &wanted, &Resume::Start(StartAt::Latest)), (vec![], None));
    }
}
