//! What watchers of interest are told while streams come and go on shards' own threads.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::threads::on;
use super::*;
use crate::hub::Hub;
use crate::interest::{InterestKind, InterestNotices};

const SHARDS: usize = 2;
const ASKED: [&str; 8] = ["a/1", "a/2", "b/1", "a/#", "+/1", "#", "b/+", "c"];
const COVERED: [&str; 5] = ["#", "a/#", "b/1", "a/+", "c"];

/// How long a test of threads runs: `FANFARE_SECONDS=60`, or a moment.
fn time() -> Duration {
    let given = std::env::var("FANFARE_SECONDS").ok().map(|seconds| seconds.parse().unwrap());
    given.map_or(Duration::from_millis(1_500), Duration::from_secs)
}

fn subscription(text: &str) -> Subscription {
    Subscription::new(text).unwrap()
}

fn some(random: &mut fastrand::Rng) -> Vec<Subscription> {
    (0..random.usize(1..4)).map(|_| subscription(ASKED[random.usize(..ASKED.len())])).collect()
}

fn join(hub: &Hub, random: &mut fastrand::Rng) -> (usize, Key) {
    let (shard, wanted) = (random.usize(..SHARDS), some(random));
    let request = StreamRequest { wanted, ..StreamRequest::new(vec![], vec![], Wire::Plain) };
    let key = on(hub, shard, move |shard| {
        let sink = Sink::Scripted(Box::new(|bytes| Ok(bytes.len())));
        shard.join_sink(sink, &request).expect("there is space for it")
    });
    (shard, key)
}

/// Streams come, go and change their topics for a while. Returns those that are left.
fn churn(hub: &Hub, seed: u64) -> Vec<(usize, Key)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut streams = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time() {
        match random.u32(..10) {
            0..4 if streams.len() < 6 => streams.push(join(hub, &mut random)),
            4..7 if !streams.is_empty() => {
                let (shard, key): (usize, Key) = streams.swap_remove(random.usize(..streams.len()));
                on(hub, shard, move |shard| drop(shard.remove(key.index)));
            }
            7.. if !streams.is_empty() => {
                let (shard, key) = streams[random.usize(..streams.len())];
                let wanted = some(&mut random);
                let done = on(hub, shard, move |shard| shard.resubscribe(key, &wanted));
                assert!(matches!(done, Resubscribed::Done { .. } | Resubscribed::TooEarly));
            }
            _ => {}
        }
    }
    streams
}

/// What a host was told last of each subscription.
#[derive(Default)]
struct Told(HashMap<Subscription, InterestKind>, usize);

impl Told {
    fn note(&mut self, notice: crate::InterestNotice) {
        let before = self.0.insert(notice.subscription, notice.kind);
        assert_ne!(before.unwrap_or(InterestKind::Unsubscribed), notice.kind, "they alternate");
        self.1 += 1;
    }

    fn subscribed(&self) -> Vec<&Subscription> {
        let all = self.0.iter().filter(|(_, kind)| **kind == InterestKind::Subscribed);
        let mut all: Vec<&Subscription> = all.map(|(what, _)| what).collect();
        all.sort_unstable();
        all
    }
}

#[test]
fn hosts_are_told_what_is_true_in_the_end_and_the_kinds_alternate_on_the_way() {
    let hub = Hub::start(Options { shards: SHARDS, ..without_lag_bounds() }).unwrap();
    let graces = [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(150)];
    let hosts: Vec<(Subscription, InterestNotices)> = COVERED
        .iter()
        .flat_map(|covered| graces.map(|grace| (subscription(covered), grace)))
        .map(|(covered, grace)| {
            let interest = hub.watch_interest(&covered, grace).unwrap();
            (covered, interest)
        })
        .collect();
    let is_over = AtomicBool::new(false);
    let mut left = Vec::new();
    let mut told: Vec<Told> = Vec::new();
    std::thread::scope(|scope| {
        let (hub, is_over) = (&hub, &is_over);
        let takers: Vec<_> = hosts
            .iter()
            .enumerate()
            .map(|(nth, (_, interest))| {
                scope.spawn(move || {
                    let (mut told, mut random) =
                        (Told::default(), fastrand::Rng::with_seed(nth as u64));
                    while !is_over.load(Ordering::Relaxed) {
                        if let Some(notice) = interest.wait(Duration::from_millis(20)) {
                            told.note(notice);
                        }
                        // Some hosts are slow.
                        if nth % 2 == 1 {
                            std::thread::sleep(Duration::from_micros(random.u64(..5_000)));
                        }
                    }
                    told
                })
            })
            .collect();
        // Watchers that come and go meanwhile.
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let brief = hub.watch_interest(&subscription("#"), Duration::from_secs(9)).unwrap();
                let mut told = Told::default();
                while let Some(notice) = brief.try_next() {
                    told.note(notice);
                }
            }
        });
        let churning = [1, 2].map(|seed| scope.spawn(move || churn(hub, seed)));
        left.extend(churning.into_iter().flat_map(|one| one.join().unwrap()));
        is_over.store(true, Ordering::Relaxed);
        told.extend(takers.into_iter().map(|taker| taker.join().unwrap()));
    });
    let start = Instant::now();
    while hub.shared().order.has_graces() {
        assert!(start.elapsed() < Duration::from_secs(20), "every grace time ends by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    let counts = hub.subscription_counts(usize::MAX).unwrap();
    let true_now: Vec<Subscription> = counts.into_iter().map(|count| count.subscription).collect();
    for ((covered, interest), told) in hosts.iter().zip(&mut told) {
        while let Some(notice) = interest.try_next() {
            told.note(notice);
        }
        let mut expected: Vec<&Subscription> =
            true_now.iter().filter(|what| covered.overlaps(what)).collect();
        expected.sort_unstable();
        assert_eq!(told.subscribed(), expected, "for {covered}");
        assert!(told.1 > 0, "no notice for {covered}");
    }
    for (shard, key) in left {
        on(&hub, shard, move |shard| drop(shard.remove(key.index)));
    }
    hub.close();
    for ((covered, interest), told) in hosts.into_iter().zip(&mut told) {
        interest.for_each(|notice| told.note(notice));
        assert_eq!(told.subscribed(), Vec::<&Subscription>::new(), "for {covered}");
    }
}

#[test]
fn a_grace_time_ends_although_the_shard_that_began_it_has_failed_and_the_others_sleep() {
    let hub = Hub::start(Options { shards: SHARDS, ..without_lag_bounds() }).unwrap();
    let interest = hub.watch_interest(&subscription("a"), Duration::from_millis(300)).unwrap();
    let wanted = vec![subscription("a"), subscription("b"), subscription("c")];
    let request = StreamRequest { wanted, ..StreamRequest::new(vec![], vec![], Wire::Plain) };
    on(&hub, 0, move |shard| {
        let sink = Sink::Scripted(Box::new(|bytes| Ok(bytes.len())));
        shard.join_sink(sink, &request).expect("there is space for it");
    });
    let kind = |time| interest.wait(time).map(|notice| notice.kind);
    assert_eq!(kind(Duration::from_secs(20)), Some(InterestKind::Subscribed));
    let mut command = Command::Try(Box::new(|_| panic!("a shard fails, as the test wants")));
    while let Err(back) = hub.shared().links[0].command(command) {
        command = back;
    }
    assert_eq!(kind(Duration::from_secs(20)), Some(InterestKind::Unsubscribed));
    assert_eq!(hub.metrics().living_shards, 1);
}

#[test]
fn a_shard_that_is_about_to_sleep_when_another_one_ends_sees_to_its_grace_times() {
    let options = Options { shards: SHARDS, history_events_max: 0, ..without_lag_bounds() };
    let (hub, drivers) = Hub::with_drivers(options).unwrap();
    let mut shards: Vec<Shard> = drivers.into_iter().map(|driver| driver.into_shard()).collect();
    let interest = hub.watch_interest(&subscription("a"), Duration::from_millis(1)).unwrap();
    let (mut sleepy, mut ending) = (shards.remove(0), shards.remove(0));
    let wanted = vec![subscription("a")];
    let request = StreamRequest { wanted, ..StreamRequest::new(vec![], vec![], Wire::Plain) };
    let sink = Sink::Scripted(Box::new(|bytes| Ok(bytes.len())));
    ending.join_sink(sink, &request).expect("there is space for it");
    let kind = || interest.try_next().map(|notice| notice.kind);
    assert_eq!(kind(), Some(InterestKind::Subscribed));
    while sleepy.turn().unwrap() != Next::Wait(None) {}
    drop(ending);
    assert!(!sleepy.park(), "it looks at its commands before it sleeps");
    let start = Instant::now();
    while kind() != Some(InterestKind::Unsubscribed) {
        let next = sleepy.turn_after(Some(Duration::from_millis(100))).unwrap();
        assert!(matches!(next, Next::Now | Next::Wait(_)));
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    while sleepy.turn().unwrap() != Next::Wait(None) {
        assert!(start.elapsed() < Duration::from_secs(20), "it need not tick any more");
    }
}

#[test]
fn a_change_of_topics_that_comes_too_early_is_told_to_no_watcher() {
    let mut world = World::new(Options { lag_bytes_max: 100, ..without_lag_bounds() });
    let order = &world.shared.order;
    // With a grace time it is told of a subscriber that was there for a moment alone.
    let queue = order.watch(&subscription("b"), InterestNotices::GRACE_MAX).expect("the first");
    let interest = InterestNotices::new(queue);
    world.join(vec![0], Wire::Plain, 20);
    let key = world.clients[&1].key;
    let change = |world: &mut World, to: &str| world.shard.resubscribe(key, &[subscription(to)]);
    // It has events to take of the topic that it had, and more of the next one.
    let mut refused = false;
    for nth in 0..200 {
        world.publish(nth % 2, &"x".repeat(200));
        while world.shard.turn().unwrap() == Next::Now {}
        match change(&mut world, ["a", "a/x"][(nth + 1) % 2]) {
            Resubscribed::Done { .. } => {}
            Resubscribed::TooEarly => {
                refused = true;
                break;
            }
            Resubscribed::Gone => panic!("it has no bounds to be cut at"),
        }
    }
    assert!(refused, "it has too much to take at last");
    assert!(matches!(change(&mut world, "b"), Resubscribed::TooEarly));
    assert_eq!(interest.try_next(), None);
}
