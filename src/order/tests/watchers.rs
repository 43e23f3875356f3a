//! Watchers of interest against a model, while subscriptions of several shards begin and end, hosts
//! take their notices now and then, and time passes.

use std::collections::BTreeSet;

use super::*;
use crate::filter::Filter;
use crate::interest::{InterestKind, InterestNotices};
use crate::order::existing::Existing;

const AT_ONCE: Duration = Duration::ZERO;
const SHARDS: usize = 3;
/// What clients ask for.
const ASKED: [&str; 12] =
    ["a/0", "a/1", "a/2", "b/0", "b/1", "c", "a/#", "a/+", "+/1", "#", "b/+", "c/+/d"];
/// What watchers cover.
const COVERED: [&str; 8] = ["a/#", "a/1", "#", "+/+", "b/0", "c/#", "+/1/#", "none"];
const GRACES_MS: [u64; 4] = [0, 5, 40, 3_600_000];

/// Which shards have a subscription, and since when none has.
#[derive(Default)]
struct Truth {
    shards: BTreeSet<usize>,
    left_ns: Option<u64>,
}

/// A watcher, and what its host was told last of each subscription.
struct Host {
    covered: Subscription,
    grace_ns: u64,
    began_ns: u64,
    interest: InterestNotices,
    told: BTreeMap<Subscription, InterestKind>,
}

struct World {
    order: Order,
    random: fastrand::Rng,
    truth: BTreeMap<Subscription, Truth>,
    hosts: Vec<Host>,
    /// When grace times that are over were ended last.
    ended_ns: u64,
    notices: usize,
}

fn steps() -> usize {
    let given = std::env::var("FANFARE_STEPS").ok().map(|steps| steps.parse().unwrap());
    given.unwrap_or(if cfg!(debug_assertions) { 60_000 } else { 1_000_000 })
}

fn subscription(text: &str) -> Subscription {
    Subscription::new(text).unwrap()
}

/// An order of several shards, whose time passes when the test says so.
fn order() -> Order {
    order_of(Box::new([]), &Options { shards: SHARDS, ..Options::default() })
}

fn register(order: &Order, shard: usize, what: &[Subscription]) {
    order.register(shard, what, |_, _| 0);
}

fn unregister(order: &Order, shard: usize, what: &Subscription) {
    order.unregister(shard, what, None);
}

impl World {
    fn some(&mut self) -> Subscription {
        subscription(ASKED[self.random.usize(..ASKED.len())])
    }

    /// Some subscriptions begin on a shard, all of them before the next step.
    fn subscribe(&mut self, shard: usize) {
        let count = self.random.usize(1..4);
        let mut new: Vec<Subscription> = (0..count).map(|_| self.some()).collect();
        new.sort_unstable();
        new.dedup();
        let has = |truth: &Truth| truth.shards.contains(&shard);
        new.retain(|what| !self.truth.get(what).is_some_and(has));
        register(&self.order, shard, &new);
        for what in new {
            self.truth.entry(what).or_default().shards.insert(shard);
        }
    }

    fn unsubscribe(&mut self, shard: usize) {
        let what = self.some();
        let Some(truth) = self.truth.get_mut(&what) else { return };
        if !truth.shards.remove(&shard) {
            return;
        }
        if truth.shards.is_empty() {
            truth.left_ns = Some(self.order.now_ns());
        }
        unregister(&self.order, shard, &what);
    }

    fn watch(&mut self) {
        let covered = subscription(COVERED[self.random.usize(..COVERED.len())]);
        let grace = Duration::from_millis(GRACES_MS[self.random.usize(..GRACES_MS.len())]);
        let queue = self.order.watch(&covered, grace).expect("there are few watchers");
        let (grace_ns, began_ns) = (grace.as_nanos() as u64, self.order.now_ns());
        let (interest, told) = (InterestNotices::new(queue), BTreeMap::new());
        self.hosts.push(Host { covered, grace_ns, began_ns, interest, told });
    }

    /// Whether a host should take a subscription for one of interest. Exact: grace times that are
    /// over end when they are looked at.
    fn is_of_interest(&self, host: &Host, what: &Subscription) -> bool {
        let Some(truth) = self.truth.get(what) else { return false };
        let is_kept = |left_ns: u64| {
            let ends_ns = left_ns + host.grace_ns;
            host.grace_ns > 0 && left_ns >= host.began_ns && ends_ns > self.ended_ns
        };
        !truth.shards.is_empty() || truth.left_ns.is_some_and(is_kept)
    }

    /// A host takes some of its notices: each has to be the other kind than the one before of its
    /// subscription, and has to be true.
    fn take(&mut self, nth: usize, most: usize) {
        for _ in 0..most {
            let host = &self.hosts[nth];
            let Some(notice) = host.interest.try_next() else { return };
            let what = notice.subscription;
            assert!(host.covered.overlaps(&what), "{} does not cover {what}", host.covered);
            let is_interest = notice.kind == InterestKind::Subscribed;
            // At the same moment another subscriber may have come and gone before the watcher
            // began.
            let is_sure = self.truth[&what].left_ns != Some(host.began_ns);
            if is_sure {
                assert_eq!(self.is_of_interest(host, &what), is_interest, "{what}");
            }
            let host = &mut self.hosts[nth];
            let before = host.told.insert(what.clone(), notice.kind);
            assert_ne!(before.unwrap_or(InterestKind::Unsubscribed), notice.kind, "{what}");
            self.notices += 1;
        }
    }

    /// Each host that has taken all its notices knows what is true.
    fn check(&mut self) {
        for nth in 0..self.hosts.len() {
            self.take(nth, usize::MAX);
            let host = &self.hosts[nth];
            assert_eq!(host.interest.waiting(), 0);
            for text in ASKED {
                let what = subscription(text);
                let is_told = host.told.get(&what) == Some(&InterestKind::Subscribed);
                let of_interest = host.covered.overlaps(&what) && self.is_of_interest(host, &what);
                let left_ns = self.truth.get(&what).and_then(|truth| truth.left_ns);
                if left_ns != Some(host.began_ns) {
                    assert_eq!(is_told, of_interest, "{what}, for {}", host.covered);
                }
            }
        }
    }

    fn step(&mut self) {
        let shard = self.random.usize(..SHARDS);
        match self.random.u32(..100) {
            0..25 => self.subscribe(shard),
            25..55 => self.unsubscribe(shard),
            55..65 => self.order.clock.advance(Duration::from_micros(self.random.u64(..20_000))),
            65..75 => {
                self.order.end_graces();
                self.ended_ns = self.order.now_ns();
            }
            75..77 if self.hosts.len() < 6 => self.watch(),
            77 if self.hosts.len() > 2 => {
                drop(self.hosts.swap_remove(self.random.usize(..self.hosts.len())));
            }
            78 => self.check(),
            // Topics come and go for other reasons than their subscribers.
            79..82 => {
                let name = Topic::new(ASKED[self.random.usize(..6)]).unwrap();
                let draft = Draft::encode(&Event::new("x"), 100).unwrap();
                assert!(self.order.publish(&name, draft).is_ok());
                self.order.lock().topics.forget_old(u64::MAX, self.random.usize(..4));
            }
            _ if !self.hosts.is_empty() => {
                let (nth, most) = (self.random.usize(..self.hosts.len()), self.random.usize(..5));
                self.take(nth, most);
            }
            _ => {}
        }
    }
}

#[test]
fn the_two_kinds_of_notices_alternate_and_are_true_whatever_comes_and_goes() {
    let steps = steps();
    for seed in 0..8 {
        let mut world = World {
            order: order(),
            random: fastrand::Rng::with_seed(seed),
            truth: BTreeMap::new(),
            hosts: Vec::new(),
            ended_ns: 0,
            notices: 0,
        };
        (0..steps / 8).for_each(|_| world.step());
        assert!(world.notices > steps / 200, "{} notices", world.notices);
        // When all have gone for longer than any grace time, every host knows.
        for (what, truth) in std::mem::take(&mut world.truth) {
            truth.shards.iter().for_each(|&shard| unregister(&world.order, shard, &what));
            world.truth.insert(what, Truth { shards: BTreeSet::new(), left_ns: Some(0) });
        }
        world.order.clock.advance(InterestNotices::GRACE_MAX);
        while world.order.has_graces() {
            world.order.end_graces();
        }
        world.ended_ns = u64::MAX;
        world.check();
        for host in &world.hosts {
            assert!(host.told.values().all(|kind| *kind == InterestKind::Unsubscribed));
        }
        let counts = world.order.counts();
        assert_eq!(counts.interest_watchers, world.hosts.len() as u64);
        assert_eq!((counts.owed_interest_notices, counts.cut_graces), (0, 0));
        world.hosts.clear();
        assert_eq!(world.order.counts().interest_watchers, 0);
    }
}

/// The subscriptions of all notices that wait, of which each has to be of this kind.
fn take_all(interest: &InterestNotices, kind: InterestKind) -> Vec<Subscription> {
    let notices = std::iter::from_fn(|| interest.try_next());
    notices
        .map(|notice| {
            assert_eq!(notice.kind, kind, "{}", notice.subscription);
            notice.subscription
        })
        .collect()
}

#[test]
fn a_watcher_is_first_told_of_what_has_subscribers_also_of_more_than_is_looked_at_at_once() {
    let order = order();
    let topics: Vec<Subscription> =
        (0..1_000).map(|nth| subscription(&format!("{}/{nth}", ["a", "b"][nth % 2]))).collect();
    let filters: Vec<Subscription> =
        (0..600).map(|nth| subscription(&format!("a/{nth}/+"))).collect();
    register(&order, 0, &topics);
    register(&order, 1, &filters);
    for (covered, expected) in [
        ("#", [&topics[..], &filters[..]].concat()),
        ("b/#", topics.iter().skip(1).step_by(2).cloned().collect()),
        ("a/7/#", vec![subscription("a/7/+")]),
        ("a/8/1", vec![subscription("a/8/+")]),
        ("b/7", vec![subscription("b/7")]),
        ("b/8", vec![]),
        ("c/#", vec![]),
    ] {
        let queue = order.watch(&subscription(covered), Duration::ZERO).unwrap();
        let mut told = take_all(&InterestNotices::new(queue), InterestKind::Subscribed);
        let mut expected = expected;
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected, "{covered}");
    }
}

#[test]
fn what_changes_while_a_watcher_looks_at_what_there_is_is_told_as_it_is_in_the_end() {
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..20 {
        let order = order();
        let all: Vec<Subscription> = (0..1_500)
            .map(|nth| match nth % 3 {
                0 => subscription(&format!("f/{nth}/+")),
                _ => subscription(&format!("t/{nth}")),
            })
            .collect();
        let mut has: BTreeSet<usize> = (0..all.len()).filter(|_| random.bool()).collect();
        has.iter().for_each(|&nth| register(&order, 0, std::slice::from_ref(&all[nth])));
        let covered = subscription("#");
        let queue = order.lock().topics.watchers.begin(&covered, Duration::ZERO).unwrap();
        let interest = InterestNotices::new(queue.clone());
        let mut existing = Existing::of(&covered);
        let mut told: BTreeMap<Subscription, InterestKind> = BTreeMap::new();
        let mut take = |interest: &InterestNotices| {
            while let Some(notice) = interest.try_next() {
                let before = told.insert(notice.subscription, notice.kind);
                assert_ne!(before.unwrap_or(InterestKind::Unsubscribed), notice.kind);
            }
        };
        loop {
            let is_more = existing.note_some(&order.lock().topics, &queue);
            if round % 2 == 0 {
                take(&interest);
            }
            if !is_more {
                break;
            }
            for _ in 0..100 {
                let nth = random.usize(..all.len());
                match has.remove(&nth) {
                    true => unregister(&order, 0, &all[nth]),
                    false => {
                        register(&order, 0, std::slice::from_ref(&all[nth]));
                        has.insert(nth);
                    }
                }
            }
        }
        take(&interest);
        for (nth, what) in all.iter().enumerate() {
            let is_told = told.get(what) == Some(&InterestKind::Subscribed);
            assert_eq!(is_told, has.contains(&nth), "{what}");
        }
    }
}

#[test]
fn a_client_that_comes_back_within_the_grace_time_is_not_told_nor_one_that_changes_its_shard() {
    let order = order();
    let grace = Duration::from_secs(10);
    let queue = order.watch(&subscription("a/#"), grace).unwrap();
    let interest = InterestNotices::new(queue);
    let topic = subscription("a/1");
    register(&order, 0, std::slice::from_ref(&topic));
    assert_eq!(take_all(&interest, InterestKind::Subscribed), std::slice::from_ref(&topic));
    unregister(&order, 0, &topic);
    order.clock.advance(grace - Duration::from_nanos(1));
    order.end_graces();
    register(&order, 2, std::slice::from_ref(&topic));
    order.clock.advance(grace * 2);
    order.end_graces();
    assert!(!order.has_graces() && interest.try_next().is_none());
    // It begins anew with each subscriber that goes.
    unregister(&order, 2, &topic);
    order.clock.advance(grace - Duration::from_nanos(1));
    order.end_graces();
    assert!(order.has_graces() && interest.try_next().is_none());
    order.clock.advance(Duration::from_nanos(1));
    order.end_graces();
    assert!(!order.has_graces());
    assert_eq!(take_all(&interest, InterestKind::Unsubscribed), [topic]);
}

#[test]
fn there_are_64_watchers_at_most_and_one_that_is_dropped_makes_room() {
    let order = order();
    let begin = || order.watch(&subscription("a"), Duration::ZERO).map(InterestNotices::new);
    let mut all: Vec<InterestNotices> =
        (0..InterestNotices::WATCHERS_MAX).map(|_| begin().unwrap()).collect();
    assert!(begin().is_none());
    let clone = all[3].clone();
    drop(all.swap_remove(3));
    assert!(begin().is_none(), "a clone has its queue still");
    drop(clone);
    all.push(begin().unwrap());
    assert_eq!(order.counts().interest_watchers, 64);
    // With so many watchers fewer subscriptions begin at a time, and none is left out.
    let many: Vec<Subscription> = (0..300)
        .map(|nth| subscription(&format!("t/{nth}")))
        .chain([subscription("a"), Subscription::Filter(Filter::new("+").unwrap())])
        .collect();
    register(&order, 0, &many);
    assert_eq!(order.counts().topics, 301);
    for interest in &all {
        let told = take_all(interest, InterestKind::Subscribed);
        assert_eq!(told, [subscription("a"), subscription("+")]);
    }
    drop(all);
    unregister(&order, 0, &subscription("a"));
    assert_eq!(order.lock().topics.watchers.queues().len(), 0);
}

#[test]
fn at_the_end_all_grace_times_end_and_nothing_is_watched_any_more() {
    let order = order();
    let queue = order.watch(&subscription("#"), InterestNotices::GRACE_MAX).unwrap();
    let mut interest = InterestNotices::new(queue);
    let all = ["a", "b", "c"].map(subscription);
    register(&order, 0, &all);
    assert_eq!(take_all(&interest, InterestKind::Subscribed), all);
    unregister(&order, 0, &all[1]);
    order.end_watchers();
    assert!(!interest.is_ended() && !order.has_graces());
    assert_eq!(take_all(&interest, InterestKind::Unsubscribed), ["b", "a", "c"].map(subscription));
    assert!(interest.is_ended() && interest.next().is_none());
    let queue = order.watch(&subscription("#"), Duration::ZERO).unwrap();
    assert!(InterestNotices::new(queue).is_ended());
    assert_eq!(order.counts().interest_watchers, 0);
}

#[test]
fn a_client_of_a_finished_topic_is_told_only_when_the_name_is_free_again() {
    let order = order();
    let run = subscription("run/1");
    let topic = Topic::new("run/1").unwrap();
    let watch = || InterestNotices::new(order.watch(&subscription("run/#"), AT_ONCE).unwrap());
    let interest = watch();
    register(&order, 0, std::slice::from_ref(&run));
    assert_eq!(take_all(&interest, InterestKind::Subscribed), std::slice::from_ref(&run));
    assert!(order.finish(&topic, None).is_ok());
    assert!(interest.try_next().is_none());
    unregister(&order, 0, &run);
    assert_eq!(take_all(&interest, InterestKind::Unsubscribed), std::slice::from_ref(&run));
    // Readers of what is kept want nothing produced.
    register(&order, 1, std::slice::from_ref(&run));
    let late = watch();
    assert!(interest.try_next().is_none() && late.try_next().is_none());
    let known_for = Options::default().finished_age_max;
    order.clock.advance(known_for + Duration::from_nanos(1));
    order.forget_old();
    for interest in [&interest, &late] {
        assert_eq!(take_all(interest, InterestKind::Subscribed), std::slice::from_ref(&run));
    }
    unregister(&order, 1, &run);
    assert_eq!(take_all(&interest, InterestKind::Unsubscribed), std::slice::from_ref(&run));
}
