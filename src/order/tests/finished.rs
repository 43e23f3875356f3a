//! Topics that are finished: for how long that is known, and what of them is left then.

use std::collections::BTreeSet;

use super::*;
use crate::order::history::History;

pub(super) const AGE: Duration = Duration::from_millis(100);

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn draft(data: &str) -> Draft {
    Draft::encode(&Event::new(data), 1 << 20).unwrap()
}

fn after(order: &Order, sequence: u64) -> Resume {
    Resume::After(order.id_of(sequence).to_string().into())
}

/// An order with inboxes, the topics of which are known for [`AGE`] after their end.
pub(super) fn order_with(shards: usize, options: Options) -> Order {
    let inbox = |poller: &crate::sys::Poller| Arc::new(Inbox::new(ShardWaker::new(poller.waker())));
    let inboxes = (0..shards).map(|_| inbox(&crate::sys::Poller::new().unwrap())).collect();
    order_of(inboxes, &Options { shards, finished_age_max: AGE, ..options })
}

pub(super) fn taken(order: &Order, shard: usize) -> Vec<Arc<Published>> {
    let mut taken = Vec::new();
    order.inboxes[shard].take(&mut taken);
    taken
}

#[test]
fn a_finished_topic_takes_nothing_for_its_time_and_is_a_new_one_after_that() {
    let order = order_with(1, Options::default());
    let (run, wanted) = (topic("run"), [Subscription::new("run").unwrap()]);
    assert!(order.publish(&run, draft("a")).is_ok());
    let last = order.finish(&run, Some(draft("b"))).ok().unwrap();
    order.clock.advance(AGE);
    assert!(matches!(order.publish(&run, draft("c")), Err(Refused::Finished(_))));
    assert!(matches!(order.finish(&run, None), Err(Refused::Finished(_))));
    assert_eq!(replayed(&order, &wanted, &after(&order, 0)), (vec![1, 2], None));
    order.clock.advance(Duration::from_nanos(1));
    // Its events are forgotten, and a client that had some of them is told so.
    let id = order.publish(&run, draft("c")).ok().unwrap();
    assert_eq!(id.sequence, last.sequence + 2, "the mark has a number of its own");
    assert_eq!(replayed(&order, &wanted, &after(&order, 1)), (vec![4], Some(2)));
    assert_eq!(replayed(&order, &wanted, &after(&order, 2)), (vec![4], None));
    assert_eq!(order.counts().published_events, 3);
    check_totals(&order);
}

#[test]
fn a_topic_whose_time_is_over_is_removed_although_nothing_else_happens() {
    let order = order_with(1, Options::default());
    assert!(order.publish(&topic("run"), draft("a")).is_ok());
    assert!(order.finish(&topic("run"), None).is_ok());
    assert!(order.finish(&topic("never begun"), None).is_ok());
    assert_eq!(order.counts().kept_bytes, 2 * 512 + 256 + 24);
    order.clock.advance(AGE + Duration::from_nanos(1));
    assert!(order.has_history());
    order.forget_old();
    assert!(!order.has_history());
    let counts = order.counts();
    assert_eq!((counts.known_topics, counts.kept_events, counts.kept_bytes), (0, 0, 0));
    check_totals(&order);
}

#[test]
fn a_topic_stays_finished_for_its_time_although_nothing_of_it_is_kept() {
    for options in [
        Options { history_age_max: Duration::ZERO, ..Options::default() },
        Options { history_events_max: 0, ..Options::default() },
    ] {
        let order = order_with(1, options);
        assert!(order.finish(&topic("run"), Some(draft("a"))).is_ok());
        // More idle topics than are tracked.
        for n in 0..5_000 {
            order.clock.advance(Duration::from_micros(10));
            assert!(order.publish(&topic(&n.to_string()), draft("x")).is_ok());
            order.forget_old();
        }
        assert_eq!(order.counts().kept_events.min(1), order.counts().kept_events);
        assert!(matches!(order.publish(&topic("run"), draft("b")), Err(Refused::Finished(_))));
        order.clock.advance(AGE);
        assert!(order.publish(&topic("run"), draft("b")).is_ok());
        check_totals(&order);
    }
}

#[test]
fn a_shard_with_a_subscription_by_name_is_told_with_the_next_event_that_the_topic_is_open_again() {
    for by_mark in [false, true] {
        let order = order_with(2, Options::default());
        let run = topic("run");
        let wanted = [Subscription::new("run").unwrap()];
        order.register(0, &wanted, |_, _| 7);
        assert!(order.finish(&run, Some(draft("a"))).is_ok());
        let items = taken(&order, 0);
        let [event, mark] = &items[..] else { panic!("{} items", items.len()) };
        assert!(event.extra.is_none() && mark.extra.as_ref().unwrap().finishes);
        let state = mark.topic.clone();
        assert_eq!(state.finished_at(), Some(mark.sequence()));
        order.clock.advance(AGE + Duration::from_nanos(1));
        order.forget_old();
        assert_eq!((state.finished_at(), state.is_gone()), (None, false));
        assert_eq!((order.sequence(), order.counts().published_events), (3, 1));
        order.register(1, &wanted, |_, _| 8);
        let next = match by_mark {
            true => order.finish(&run, None),
            false => order.publish(&run, draft("b")),
        };
        assert_eq!(next.ok().unwrap().sequence, 4);
        for shard in 0..2 {
            let items = taken(&order, shard);
            let [item] = &items[..] else { panic!("{} items", items.len()) };
            assert!(Arc::ptr_eq(&item.topic, &state));
            let extra = item.extra.as_ref().unwrap();
            assert_eq!((extra.reopens, extra.finishes), (Some(3), by_mark));
        }
        if !by_mark {
            assert!(order.publish(&run, draft("c")).is_ok());
            assert!(taken(&order, 0)[0].extra.is_none(), "it is told once");
        }
        check_totals(&order);
    }
}

#[test]
fn the_finished_topics_are_bounded_and_the_one_goes_that_would_be_forgotten_first() {
    let options = Options { history_total_bytes_max: usize::MAX, ..Options::default() };
    let order = order_with(1, options);
    for n in 0..expiry::FINISHED_MAX + 10 {
        order.clock.advance(Duration::from_nanos(1));
        assert!(order.finish(&topic(&n.to_string()), None).is_ok());
    }
    assert_eq!(order.lock().topics.finished.len(), expiry::FINISHED_MAX);
    assert!(order.publish(&topic("9"), draft("x")).is_ok());
    assert!(matches!(order.publish(&topic("10"), draft("x")), Err(Refused::Finished(_))));
}

#[test]
fn finished_topics_count_for_the_bound_over_all_topics_and_what_expires_first_goes_first() {
    // An event takes 280 bytes and a topic 512: there is space for six of both, or for nine topics
    // and one event.
    for (history_age_max, events, topics) in [(2 * AGE, 6, 6), (AGE / 2, 1, 9)] {
        let (total, age) = (10 * 512, history_age_max);
        let options = Options { history_total_bytes_max: total, ..Options::default() };
        let order = order_with(1, Options { history_age_max: age, ..options });
        for n in 0..100 {
            order.clock.advance(Duration::from_nanos(1));
            assert!(order.publish(&topic(&n.to_string()), draft("x")).is_ok());
            assert!(order.finish(&topic(&n.to_string()), None).is_ok());
            assert!(order.counts().kept_bytes as usize <= total);
            check_totals(&order);
        }
        assert_eq!(order.lock().topics.finished.len(), topics);
        assert_eq!(order.counts().kept_events, events);
        // An event of a topic that is open is older than all others by now, or newer than them.
        assert!(order.publish(&topic("open"), draft("x")).is_ok());
        order.clock.advance(Duration::from_nanos(1));
        (0..50).for_each(|n| assert!(order.finish(&topic(&format!("other/{n}")), None).is_ok()));
        assert_eq!(order.counts().kept_events > 0, history_age_max > AGE);
        check_totals(&order);
    }
}

#[test]
fn many_events_are_forgotten_at_once_and_dropped_a_few_at_a_time() {
    let order = order_with(1, Options { history_events_max: usize::MAX, ..Options::default() });
    let run = topic("run");
    (0..3_000).for_each(|_| assert!(order.publish(&run, draft("x")).is_ok()));
    assert!(order.finish(&run, None).is_ok());
    order.clock.advance(AGE + Duration::from_nanos(1));
    assert!(order.publish(&run, draft("y")).is_ok());
    assert_eq!(order.counts().kept_events, 1);
    let left = || -> usize { order.lock().topics.discarded.iter().map(|some| some.len()).sum() };
    let first = left();
    assert!((2_000..3_000).contains(&first), "{first} are yet to be dropped");
    assert!(order.publish(&run, draft("y")).is_ok());
    assert!(left() < first && left() > 0);
    (0..60).for_each(|_| assert!(order.publish(&run, draft("y")).is_ok()));
    assert_eq!(left(), 0);
    check_totals(&order);
}

#[test]
fn a_tick_drops_few_events_while_it_holds_the_lock() {
    for names in [&["run"][..], &["other", "run"]] {
        let options = Options { history_events_max: usize::MAX, ..Options::default() };
        let options = Options { history_bytes_max: 1 << 30, ..options };
        let order = order_with(1, Options { history_total_bytes_max: 1 << 30, ..options });
        (0..30_000).for_each(|_| _ = super::publish(&order, names, &Event::new("x")));
        assert!(order.finish(&topic("run"), None).is_ok());
        let left = || {
            let topics = &order.lock().topics;
            let kept = topics.find(&topic("run")).map_or(0, |run| topics.entry(run).history.len());
            kept + topics.discarded.iter().map(History::len).sum::<usize>()
        };
        order.clock.advance(AGE + Duration::from_nanos(1));
        let (mut before, mut ticks) = (left(), 0);
        while before > 0 {
            order.forget_old();
            assert!(before - left() < 10_000, "{} at once", before - left());
            before = left();
            ticks += 1;
            assert!(ticks < 100, "they are not dropped");
        }
    }
}

#[test]
fn many_runs_one_after_another_leave_nothing_behind_and_their_names_are_free() {
    let order = order_with(1, Options::default());
    let (mut entries_max, mut log_max) = (0, 0);
    for n in 0..100_000 {
        let run = topic(&format!("run/{n}"));
        for _ in 0..5 {
            assert!(order.publish(&run, draft("token")).is_ok());
        }
        assert!(order.finish(&run, None).is_ok());
        order.clock.advance(Duration::from_millis(1));
        // As shards do, each 100 ms.
        if n % 100 == 0 {
            order.forget_old();
        }
        if n % 10_000 == 9_999 {
            check_totals(&order);
            let locked = order.lock();
            entries_max = entries_max.max(locked.topics.entries.capacity());
            log_max = log_max.max(locked.topics.log.after(0).count());
        }
    }
    let mut locked = order.lock();
    let topics = &mut locked.topics;
    let sizes = [topics.len(), topics.in_order.len(), topics.oldest.len(), topics.finished.len()];
    // Those of the last 100 ms.
    assert!(sizes.into_iter().all(|size| (100..=102).contains(&size)), "{sizes:?}");
    assert_eq!((topics.idle.len(), topics.discarded.len()), (0, 0));
    assert!(entries_max <= 256, "there was space for {entries_max} topics");
    // Those that are kept, and one of each topic that is remembered.
    assert!(log_max < 100_000, "there were {log_max} entries in the log");
    drop(locked);
    for n in [0, 50_000, 99_000] {
        assert!(order.publish(&topic(&format!("run/{n}")), draft("again")).is_ok());
    }
}

fn state_of(order: &Order, name: &str) -> Arc<TopicState> {
    let topics = &order.lock().topics;
    topics.entry(topics.find(&topic(name)).expect("it is tracked")).state.clone()
}

/// Takes a shard's inbox, and checks that nothing comes of a topic that the shard takes for
/// complete, before it is told that the topic is open again.
fn take<'a>(
    order: &Order,
    shard: usize,
    complete: &mut BTreeMap<&'a str, u64>,
    named: &BTreeSet<&'a str>,
) {
    for item in taken(order, shard) {
        let extra = item.extra.as_deref();
        for &name in item.topics().filter_map(|topic| named.get(topic.name.as_str())) {
            // From before its subscription, and in the inbox for another of the event's topics.
            if complete.get(name).is_some_and(|&mark| item.sequence() < mark) {
                assert!(item.topics().count() > 1);
                continue;
            }
            if let Some(reopens) = extra.and_then(|extra| extra.reopens) {
                let mark = complete.remove(name).unwrap_or_default();
                let numbers = mark + 1..item.sequence();
                assert!(numbers.contains(&reopens), "{name}: {mark}, {reopens}");
            }
            assert_eq!(complete.get(name), None, "{name} is complete");
            if extra.is_some_and(|extra| extra.finishes) {
                complete.insert(name, item.sequence());
            }
        }
    }
}

/// What a model knows of a topic.
#[derive(Default)]
struct Life {
    /// By when it is finished, and the number of the mark.
    finished: Option<(u64, u64)>,
    /// The numbers of the events since it was open last.
    events: Vec<u64>,
}

#[test]
fn topics_are_finished_and_open_again_as_in_a_simple_model() {
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let order = order_with(2, Options::default());
        let names: Vec<String> = (0..6).map(|n| format!("t/{n}")).collect();
        let mut lives: BTreeMap<&str, Life> = BTreeMap::new();
        let mut named: [BTreeSet<&str>; 2] = Default::default();
        // What a shard takes for the state of a topic: the mark that it has, while it has one.
        let mut seen: [BTreeMap<&str, u64>; 2] = Default::default();
        // Each event counts for each of its topics.
        let mut published = 0;
        for _ in 0..4_000 {
            let name = &*names[random.usize(..names.len())];
            let now_ns = order.now_ns();
            let life = lives.entry(name).or_default();
            if life.finished.is_some_and(|(to_ns, _)| to_ns < now_ns) {
                *life = Life::default();
            }
            let shard = random.usize(..2);
            let wanted = [Subscription::new(name).unwrap()];
            match random.u32(..100) {
                0..50 => {
                    let others = [0, 0, 1, 2][random.usize(..4)];
                    let other = |_| &*names[random.usize(..names.len())];
                    let mut topics: Vec<&str> = (0..others).map(other).chain([name]).collect();
                    topics.sort_unstable();
                    topics.dedup();
                    let is_over = |life: &Life| life.finished.is_some_and(|(to, _)| to < now_ns);
                    let is_finished = |life: &Life| life.finished.is_some() && !is_over(life);
                    let mut all = topics.iter().filter_map(|&name| lives.get(name));
                    let refuses = all.any(is_finished);
                    match try_publish(&order, &topics, &Event::new("x")) {
                        Ok(id) => {
                            assert!(!refuses, "one of {topics:?} is finished");
                            for &name in &topics {
                                let life = lives.entry(name).or_default();
                                if is_over(life) {
                                    *life = Life::default();
                                }
                                life.events.push(id.sequence);
                            }
                            published += topics.len() as u64;
                        }
                        Err(Refused::Finished(_)) => assert!(refuses, "none of {topics:?} is"),
                        Err(_) => panic!("there is space, and the hub is open"),
                    }
                }
                50..60 => {
                    let last = random.bool().then(|| draft("last"));
                    let has_last = last.is_some();
                    match order.finish(&topic(name), last) {
                        Ok(id) => {
                            assert!(life.finished.is_none(), "{name} is finished");
                            life.events.extend(has_last.then_some(id.sequence));
                            published += u64::from(has_last);
                            let mark = id.sequence + u64::from(has_last);
                            life.finished = Some((now_ns + AGE.as_nanos() as u64, mark));
                        }
                        Err(Refused::Finished(_)) => assert!(life.finished.is_some()),
                        Err(_) => panic!("there is space, and the hub is open"),
                    }
                }
                60..66 if named[shard].insert(name) => {
                    order.register(shard, &wanted, |_, state| {
                        let finished = life.finished.map(|(_, mark)| mark);
                        assert_eq!(state.finished_at(), finished, "{name}");
                        seen[shard].extend(finished.map(|mark| (name, mark)));
                        0
                    });
                }
                66..70 if named[shard].remove(name) => {
                    // It takes what is in its inbox first, as shards do.
                    take(&order, shard, &mut seen[shard], &named[shard]);
                    let state = state_of(&order, name);
                    order.unregister(shard, &wanted[0], Some(&state));
                    seen[shard].remove(name);
                }
                70..75 => order.forget_old(),
                75..90 => take(&order, shard, &mut seen[shard], &named[shard]),
                90..95 => {
                    let kept = replayed(&order, &wanted, &after(&order, 0)).0;
                    assert_eq!(kept, life.events, "{name}");
                }
                _ => order.clock.advance(Duration::from_millis(random.u64(..60))),
            }
            checks::check_sums(&order.lock().topics, published);
        }
    }
}
