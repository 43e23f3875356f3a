//! What is kept, and what is said of what is not, whatever is published to however many topics.

mod steps;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::*;
use crate::event::Event;
use crate::frame::Frame;
use crate::resume::{Resume, StartAt};
use crate::tuning::Tuning;

/// An order whose walks are short, so that a test has many steps.
fn order_of(inboxes: Box<[Arc<ShardInbox>]>, options: &Options) -> Order {
    Order::new(inboxes, options, Tuning::small().order, Clock::manual())
}

/// Where a client's stream begins, and what it is told first, however many steps it takes.
fn search(order: &Order, wanted: &[Subscription], resume: &Resume) -> search::Found {
    let mut search = order.begin_search(resume.clone());
    loop {
        if let Some(found) = order.locate(wanted, &mut search) {
            return found;
        }
    }
}

/// Everything that a client of subscriptions gets: the numbers, and up to where it was told that
/// something is missing.
fn replayed(order: &Order, wanted: &[Subscription], resume: &Resume) -> (Vec<u64>, Option<u64>) {
    let (mut cursor, gap) = search(order, wanted, resume);
    let mut numbers = Vec::new();
    loop {
        let part = order.replay(wanted, cursor, 2_000);
        assert!(part.gap.is_none(), "it was told already");
        numbers.extend(part.frames.iter().map(|frame| frame.sequence()));
        if part.is_all {
            return (numbers, gap.map(|(gap, _)| gap.to.sequence));
        }
        assert!(part.to > cursor.after, "it gets on");
        cursor.after = part.to;
    }
}

/// Whether clients that say nothing of what they had get the newest of all that is kept: so many
/// events, or one of each topic.
fn check_starts<'a>(
    order: &Order,
    wanted: &[Subscription],
    count: usize,
    topic_of: impl Fn(u64) -> &'a String,
) {
    let start = |start| replayed(order, wanted, &Resume::Start(start)).0;
    let kept = start(StartAt::Last(StartAt::LAST_MAX));
    assert_eq!(start(StartAt::Last(count as u32)), kept[kept.len().saturating_sub(count)..]);
    let newest: BTreeMap<_, _> = kept.iter().map(|&number| (topic_of(number), number)).collect();
    let mut newest: Vec<u64> = newest.into_values().collect();
    newest.sort_unstable();
    assert_eq!(start(StartAt::Latest), newest);
    assert_eq!(start(StartAt::Now), []);
}

#[test]
fn what_is_kept_is_the_newest_within_the_bounds_and_the_rest_is_never_forgotten_silently() {
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let total = 60_000;
        let options = Options {
            history_events_max: 20,
            history_bytes_max: 8_000,
            history_total_bytes_max: total,
            ..Options::default()
        };
        let order = order_of(Box::new([]), &Options { shards: 1, ..options });
        let mut published: BTreeMap<u64, String> = BTreeMap::new();
        let mut clients = VecDeque::new();
        for step in 0..2_000 {
            // Some topics are busy, most are seldom heard of.
            let topic = match random.bool() {
                true => format!("busy/{}", random.u32(..4)),
                false => format!("quiet/{}", random.u32(..200)),
            };
            let data = "x".repeat(random.usize(..600));
            let draft = Draft::encode(&Event::new(data), 1 << 20).unwrap();
            let Ok(id) = order.publish(&Topic::new(&topic).unwrap(), draft) else {
                unreachable!("there is room for what nobody wants")
            };
            published.insert(id.sequence, topic.clone());
            // Clients come and go, also those that want what is gone by now.
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
            if random.u32(..8) == 0 {
                // Time goes by, and everything is too old; its topics go with it.
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
            let (numbers, told_to) = replayed(&order, &wanted, &resume);
            let matches = |topic: &str| {
                wanted.iter().any(|wanted| wanted.matches(&Topic::new(topic).unwrap()))
            };
            let all: Vec<u64> = published
                .range(after + 1..)
                .filter(|(_, topic)| matches(topic))
                .map(|(&number, _)| number)
                .collect();
            assert!(numbers.is_sorted() && numbers.iter().all(|number| all.contains(number)));
            let missing = all.iter().filter(|number| !numbers.contains(number)).max();
            assert_eq!(told_to, missing.copied(), "after {after} of {wanted:?}");
            let topic_of = |number| &published[&number];
            check_starts(&order, &wanted, random.usize(..30), topic_of);
        }
    }
}

#[test]
fn what_was_forgotten_of_a_topic_that_came_back_is_told_of_once() {
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
    // The second time it is the same topic, with the same number, at the same index.
    for _ in 0..2 {
        order.register(0, &gone, |_, _| 0);
        order.unregister(0, &gone[0], None);
    }
    order.register(0, &gone, |_, _| 0);
    assert_eq!(order.counts().known_topics, 2);
    let filter = [Subscription::new("is/+").unwrap()];
    let resume = Resume::After(order.id_of(1).to_string().into());
    // Gone, as far as there is no subscription to it: once more, also for who wants it twice.
    order.unregister(0, &gone[0], None);
    let twice = ["is/gone", "is/+"].map(|text| Subscription::new(text).unwrap());
    let gap = search(&order, &twice, &resume).1;
    assert_eq!(gap.expect("its event is missing").0.missed, Some(1));
    order.register(0, &gone, |_, _| 0);
    let (cursor, gap) = search(&order, &filter, &resume);
    let gap = gap.expect("its event is missing").0;
    assert_eq!((gap.to.sequence, gap.missed), (2, Some(1)));
    let replay = order.replay(&filter, cursor, 10_000);
    assert_eq!((replay.frames.len(), replay.is_all), (2, true));
}

#[test]
fn an_id_of_this_life_is_a_place_in_the_order_whoever_uses_it_again() {
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
    let place_of = |id: &str| {
        let wanted = [Subscription::new("#").unwrap()];
        let resume = Resume::After(id.into());
        let (cursor, gap) = search(&order, &wanted, &resume);
        (cursor.after, gap.map(|(gap, _)| gap.reason))
    };
    assert_eq!(place_of(&first), (1, None));
    assert_eq!(place_of("row-17"), (4, None));
    // The oldest, where topics have the same: so nothing is missed.
    let draft = Draft::encode(&Event::new("z").with_id("row-17"), 1_000).unwrap();
    assert!(order.publish(&Topic::new("b").unwrap(), draft).is_ok());
    assert_eq!(place_of("row-17"), (4, None));
    assert_eq!(place_of("row-18"), (6, Some(crate::gap::GapReason::UnknownId)));
    let yet_to_come = order.id_of(7).to_string();
    assert_eq!(place_of(&yet_to_come), (6, Some(crate::gap::GapReason::UnknownId)));
}

#[test]
fn what_is_too_old_goes_although_nothing_is_published() {
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
    // Each takes a bounded number of steps.
    (0..20).for_each(|_| order.forget_old());
    assert!(!order.has_history(), "it is kept");
    assert_eq!((order.counts().kept_events, order.counts().kept_bytes), (0, 0));
    assert!(order.lock().topics.iter().next().is_none(), "its topics are gone");
}

#[test]
fn a_refused_event_leaves_no_topic_behind() {
    let options = Options { backlog_bytes_max: 1, shards: 1, ..Options::default() };
    let poller = crate::sys::Poller::new().unwrap();
    let order = order_of(Box::new([Arc::new(Inbox::new(poller.waker()))]), &options);
    let all = [Subscription::new("#").unwrap()];
    order.register(0, &all, |_, _| 0);
    let mut refused = 0;
    for n in 0..10_000 {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let topic = Topic::new(&n.to_string()).unwrap();
        refused += usize::from(order.publish(&topic, draft).is_err());
    }
    assert!(refused > 9_000);
    // All that was published goes.
    order.lock().topics.forget_old(u64::MAX, usize::MAX);
    assert_eq!(order.counts().kept_bytes, 0);
    assert!(order.counts().known_topics <= 1, "{}", order.counts().known_topics);
}

#[test]
fn made_up_names_do_not_make_us_forget_what_was_forgotten() {
    let options =
        Options { history_events_max: 1, history_total_bytes_max: 2_000, ..Options::default() };
    let order = order_of(Box::new([]), &Options { shards: 1, ..options });
    // One more topic than are remembered, so that `beyond` is not zero.
    for n in 0..(16 << 10) + 10 {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let _ = order.publish(&Topic::new(&n.to_string()).unwrap(), draft);
    }
    let after = order.sequence() / 2;
    let quiet = [Subscription::new("never heard of").unwrap()];
    let id = || Resume::After(order.id_of(after).to_string().into());
    assert!(search(&order, &quiet, &id()).1.is_none(), "nothing of it is gone");
    // Clients come and go with names that they make up.
    for n in 0..(16 << 10) + 10 {
        let wanted = [Subscription::new(&format!("made up {n}")).unwrap()];
        order.register(0, &wanted, |_, _| 0);
        order.unregister(0, &wanted[0], None);
    }
    assert!(search(&order, &quiet, &id()).1.is_none(), "told of a gap that is none");
}

#[test]
fn a_topics_room_is_bounded_whatever_is_kept() {
    for total in [64 << 20, 700, 0] {
        let options = Options {
            topic_backlog_bytes_max: 1_000,
            history_total_bytes_max: total,
            shards: 1,
            ..Options::default()
        };
        let poller = crate::sys::Poller::new().unwrap();
        let order = order_of(Box::new([Arc::new(Inbox::new(poller.waker()))]), &options);
        order.register(0, &[Subscription::new("#").unwrap()], |_, _| 0);
        let topic = Topic::new("a").unwrap();
        let publish = |_: &i32| {
            let draft = Draft::encode(&Event::new("x".repeat(100)), 1_000).unwrap();
            order.publish(&topic, draft).is_ok()
        };
        let taken = (0..10_000).take_while(publish).count();
        assert!(taken < 20, "{taken} events are in a room of 1,000 bytes, {total}");
    }
}

/// The processor time that something takes, the least of some tries: other programs of the machine
/// do not count.
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
    tries.min().expect("there were some")
}

/// A hub with an event of each of so many topics.
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
fn what_a_filter_costs_does_not_depend_on_how_many_topics_there_are() {
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
fn to_resume_costs_no_more_for_each_event_when_there_are_many_topics() {
    let resumes = |wanted: &[&str], topics: usize| {
        let order = order_of_topics(topics);
        let wanted: Vec<_> = wanted.iter().map(|text| Subscription::new(text).unwrap()).collect();
        let everything = [
            Resume::Start(StartAt::Latest),
            Resume::Start(StartAt::Last(StartAt::LAST_MAX)),
            Resume::After("00000000-7".into()),
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
fn subscribing_to_what_is_gone_makes_nobody_miss_anything() {
    let options = Options { history_age_max: Duration::ZERO, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    // Nearly as many topics as are remembered, which are all gone.
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
    assert!(search(&order, &quiet, &resume).1.is_none(), "told of a gap that is none");
    let gap = search(&order, &some, &resume).1.expect("those are missing").0;
    assert_eq!(gap.missed, Some(64));
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
    // Encoded they take more than the topic's history, and more than all histories, may.
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
fn a_shard_that_looks_while_interest_is_found_anew_sees_it_all_the_time() {
    let options = Options { shards: 1, ..Options::default() };
    let poller = crate::sys::Poller::new().unwrap();
    let order = order_of(Box::new([Arc::new(Inbox::new(poller.waker()))]), &options);
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
            // What was put in the inbox for it would be lost.
            assert_eq!(topic.interest_of(0), Interest::Matched);
        }
    });
}

#[test]
fn clients_of_filters_are_told_that_topics_may_be_missing_of_which_nothing_is_known() {
    let options =
        Options { history_events_max: 1, history_total_bytes_max: 2_000, ..Options::default() };
    let order = order_of(Box::new([]), &Options { shards: 1, ..options });
    // The first ten are driven out of what is remembered, by topics that these filters do not
    // match.
    let names = (0..10).map(|n| format!("{n}/old"));
    for name in names.chain((0..(32 << 10)).map(|n| format!("g/{n}"))) {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        let _ = order.publish(&Topic::new(&name).unwrap(), draft);
    }
    for walked_or_few in ["+/old", "5/#"] {
        let wanted = [Subscription::new(walked_or_few).unwrap()];
        let resume = Resume::After(order.id_of(1).to_string().into());
        let gap = search(&order, &wanted, &resume).1.expect("some may be missing").0;
        assert!(gap.to.sequence >= 10 && gap.missed.is_none(), "{walked_or_few}: {gap:?}");
        // The same for one that has not been told when it gets there.
        let cursor = Cursor { after: 1, latest_to: 0, gap_told_to: 1 };
        let gap = order.replay(&wanted, cursor, 1_000).gap.expect("some may be missing").0;
        assert!(gap.to.sequence >= 10 && gap.missed.is_none(), "{walked_or_few}: {gap:?}");
    }
}

#[test]
fn what_is_missing_is_told_before_the_first_part_that_comes_after_it() {
    let options = Options { history_events_max: 2, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    // So many that nobody has few topics; `b` has forgotten the first event and the fourth.
    let others = (0..20).map(|n| format!("z/{n}"));
    for name in ["b", "a", "a", "b", "b", "b"].map(String::from).into_iter().chain(others) {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        assert!(order.publish(&Topic::new(&name).unwrap(), draft).is_ok());
    }
    let wanted = [Subscription::new("#").unwrap()];
    let cursor = Cursor { after: 0, latest_to: 0, gap_told_to: 0 };
    let part = order.replay(&wanted, cursor, 1);
    assert_eq!(part.frames.iter().map(Frame::sequence).collect::<Vec<_>>(), [2]);
    let (gap, id) = part.gap.expect("it is told before the second event");
    assert_eq!((gap.to.sequence, gap.missed, id.sequence), (4, Some(2), 1));
}

#[test]
fn what_has_become_too_old_is_not_replayed_although_nobody_has_looked_since() {
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
