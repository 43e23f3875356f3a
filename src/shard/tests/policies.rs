//! Laggards under each policy against a model, which judges what they have received by what was
//! published: what is missing has to be explained, and everything else has to be there.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::order::EVENT_BYTES;

/// An event as a client gets it.
struct Sent {
    sequence: u64,
    id: String,
    key: Option<String>,
    text: String,
}

/// What is known of a client that the world has.
struct Subscriber {
    policy: Policy,
    /// It takes everything at once.
    is_fast: bool,
    published: Vec<Sent>,
    /// How much had been published for it when its topics were changed.
    changed: Vec<usize>,
}

/// What came of all clients' streams.
#[derive(Default)]
struct Findings {
    gaps: u64,
    missed: u64,
    conflated: u64,
}

struct Model {
    world: World,
    subscribers: BTreeMap<u32, Subscriber>,
    next_id: u64,
    /// Over which the next events are spread.
    window: Duration,
}

impl Model {
    fn of(world: World) -> Model {
        Model { world, subscribers: BTreeMap::new(), next_id: 0, window: Duration::ZERO }
    }

    fn new(options: Options) -> Model {
        Model::of(World::new(options))
    }

    fn join(&mut self, topics: Vec<usize>, wire: Wire, capacity: usize, policy: Policy) -> u32 {
        self.world.join_with(topics, wire, capacity, Resume::Start(StartAt::Now), policy);
        let is_fast = capacity > 1 << 40;
        let number = self.world.joined;
        let (published, changed) = (Vec::new(), Vec::new());
        self.subscribers.insert(number, Subscriber { policy, is_fast, published, changed });
        number
    }

    /// Gives a client other topics. Only a client that is never to miss anything may have to wait
    /// for that.
    fn change_topics(&mut self, number: u32, topics: Vec<usize>, by_filters: bool) {
        let is_done = self.world.change_topics(number, topics, by_filters);
        let subscriber = self.subscribers.get_mut(&number).unwrap();
        assert!(is_done || subscriber.policy == Policy::Disconnect);
        subscriber.changed.push(subscriber.published.len());
    }

    /// Publishes an event with a key and a custom id, if these are given.
    fn publish(
        &mut self,
        topics: &[usize],
        data: &str,
        key: Option<&str>,
        custom_id: bool,
    ) -> bool {
        let mut event = Event::new(data);
        self.next_id += 1;
        let custom_id = custom_id.then(|| format!("custom \"{}\"", self.next_id));
        if let Some(key) = key {
            event = event.with_key(key);
        }
        if let Some(id) = &custom_id {
            event = event.with_id(&**id);
        }
        let published = self.world.publish_event(topics, &event, self.window);
        let Some(event_id) = published else { return false };
        let id = custom_id.unwrap_or_else(|| event_id.to_string());
        for (number, client) in &self.world.clients {
            if is_for(topics, &client.topics) && client.complete_at.is_none() {
                let text = client.shown(topics, &format!("id: {id}\ndata: {data}"));
                self.subscribers.get_mut(number).unwrap().published.push(Sent {
                    sequence: event_id.sequence,
                    id: id.clone(),
                    // A key belongs to the list of topics.
                    key: key.map(|key| match topics {
                        [_] => key.to_owned(),
                        _ => format!("{topics:?} {key}"),
                    }),
                    text,
                });
            }
        }
        true
    }

    /// What a client has received until now, without its head.
    fn stream(client: &TestClient) -> String {
        let received = body(&client.received(), client.wire);
        let text = String::from_utf8(received).unwrap();
        match text.strip_prefix("head\n") {
            Some(rest) => rest.to_owned(),
            None => {
                assert!("head\n".starts_with(&text));
                String::new()
            }
        }
    }

    /// Judges what all clients have received, when nothing is under way any more.
    fn check(&self) -> Findings {
        let mut findings = Findings::default();
        let epoch = self.world.shared.order.epoch();
        for (number, client) in &self.world.clients {
            self.subscribers[number].check(&Model::stream(client), epoch, true, &mut findings);
        }
        findings
    }

    fn check_accounts(&self) {
        let shard = &self.world.shard;
        let audiences = shard.audiences.indices().into_iter();
        let in_logs: usize = audiences.map(|index| shard.audiences[index].queue.lag_bytes()).sum();
        assert_eq!(shard.lag_bytes(), in_logs + shard.spill.bytes());
    }

    fn counter(&self, of: impl Fn(&crate::metrics::Counters) -> u64) -> u64 {
        of(&self.world.shard.link().counters)
    }

    /// Ends the run: all clients take everything, are judged, and leave nothing behind.
    fn finish(mut self) -> Findings {
        self.world.settle();
        let mut findings = Findings::default();
        self.judge_finished(&mut findings);
        for client in self.world.clients.values() {
            assert!(client.has(self.world.shard.sent_to(client.key.index)));
        }
        self.check_accounts();
        let of_others = self.check();
        findings.gaps += of_others.gaps;
        findings.missed += of_others.missed;
        findings.conflated += of_others.conflated;
        assert_eq!(self.counter(|c| c.lag_bytes.value()), 0);
        self.world.check_empty();
        assert_eq!(self.world.shard.spill.bytes(), 0);
        findings
    }
}

impl Subscriber {
    /// Judges a stream of which the end may be missing, unless it is to be complete.
    fn check(
        &self,
        stream: &str,
        epoch: crate::id::Epoch,
        is_complete: bool,
        findings: &mut Findings,
    ) {
        let by_id: HashMap<&str, usize> =
            self.published.iter().enumerate().map(|(nth, sent)| (&*sent.id, nth)).collect();
        let mut blocks: Vec<&str> = stream.split("\n\n").collect();
        let torn = blocks.pop().unwrap();
        // The next event that may come; the client's last id; what came; where gaps ended.
        let (mut next, mut last_id) = (0, None::<String>);
        let mut has_come = vec![false; self.published.len()];
        // For each gap: the events that it spans, and how many of them it says are missed.
        let mut gaps: Vec<(Range<usize>, u64)> = Vec::new();
        for block in blocks {
            if let Some(gap) = block.split_once("\nevent: fanfare-gap\ndata: ") {
                let (to, json) = (gap.0.strip_prefix("id: ").unwrap(), gap.1);
                let missed = json.rsplit_once(':').unwrap().1.strip_suffix('}').unwrap();
                let from = last_id.as_ref().map_or_else(
                    || "null".to_owned(),
                    |id| format!("\"{}\"", id.replace('"', "\\\"")),
                );
                let expected =
                    format!(r#"{{"from":{from},"to":"{to}","reason":"slow","missed":{missed}}}"#);
                // A client that caught up right behind a gap has no id of an event of the
                // publisher's.
                let unknown = expected.replacen(&from, "null", 1);
                let after_gap = gaps.last().is_some_and(|(span, _)| span.end == next);
                let to_sequence: u64 =
                    to.strip_prefix(&format!("{}-", epoch.as_str())).unwrap().parse().unwrap();
                let of = |sent: &Sent| sent.sequence.cmp(&to_sequence);
                let nth = self.published.binary_search_by(of).expect("`to` was published");
                assert!(nth >= next, "a gap has an event in it");
                // Nor has one that has had no event since its topics were changed.
                let after_change = self.changed.iter().any(|at| (next..=nth).contains(at));
                let may_be_unknown = after_gap || after_change;
                assert!(json == expected || may_be_unknown && json == unknown, "{json} {expected}");
                gaps.push((next..nth + 1, missed.parse().unwrap()));
                (next, last_id) = (nth + 1, Some(to.to_owned()));
                continue;
            }
            let id = block.strip_prefix("id: ").and_then(|block| block.lines().next());
            if id.is_some_and(|id| block.len() == "id: ".len() + id.len()) {
                // No event, but what the client is to come back with.
                continue;
            }
            let nth = by_id[id.expect("each event has an id")];
            assert_eq!(self.published[nth].text, block, "an event comes whole");
            assert!(nth >= next, "doubled or out of order: {block}");
            has_come[nth] = true;
            (next, last_id) = (nth + 1, Some(self.published[nth].id.clone()));
        }
        if is_complete {
            assert_eq!(torn, "");
            next = self.published.len();
        }
        let is_next = |sent: &Sent| format!("{}\n\n", sent.text).starts_with(torn);
        let of_gap = "id: ".starts_with(torn) || torn.starts_with("id: ");
        assert!(self.published[next..].iter().any(is_next) || torn.is_empty() || of_gap, "{torn}");
        self.explain(&has_come[..next], &gaps, findings);
    }

    /// Whether all is explained that has not come.
    fn explain(&self, has_come: &[bool], gaps: &[(Range<usize>, u64)], findings: &mut Findings) {
        let all = has_come.iter().filter(|come| !**come).count() as u64;
        findings.gaps += gaps.len() as u64;
        findings.missed += gaps.iter().map(|gap| gap.1).sum::<u64>();
        let lost = has_come.iter().position(|come| !come).map(|nth| &self.published[nth].text);
        assert!(all == 0 || !self.is_fast, "a member that keeps up gets everything: {lost:?}");
        assert!(gaps.is_empty() || self.policy != Policy::Disconnect);
        let is_in_gap = |nth: usize| gaps.iter().any(|gap| gap.0.contains(&nth));
        // The newest event of each key, and the newest that has come, was counted or may yet come.
        let (mut newest, mut newest_known) = (HashMap::new(), HashMap::new());
        for (nth, sent) in self.published.iter().enumerate() {
            let Some(key) = sent.key.as_deref() else { continue };
            newest.insert(key, nth);
            if has_come.get(nth).is_none_or(|come| *come) || is_in_gap(nth) {
                newest_known.insert(key, nth);
            }
        }
        let has_newer = |nth: usize, newest: &HashMap<&str, usize>| {
            let key = self.published[nth].key.as_deref();
            self.policy == Policy::Conflate
                && key.and_then(|key| newest.get(key)).is_some_and(|&newer| newer > nth)
        };
        let missing: Vec<usize> = (0..has_come.len()).filter(|&nth| !has_come[nth]).collect();
        for (span, count) in gaps {
            let here: Vec<usize> =
                missing.iter().copied().filter(|nth| span.contains(nth)).collect();
            // An event with a newer one may have been replaced, or dropped before it came.
            let least = here.iter().filter(|&&nth| !has_newer(nth, &newest)).count();
            assert!((least as u64..=here.len() as u64).contains(count), "{count} of {here:?}");
        }
        for nth in missing.into_iter().filter(|&nth| !is_in_gap(nth)) {
            let text = &self.published[nth].text;
            assert!(has_newer(nth, &newest_known), "nothing tells why {text} is missing");
            findings.conflated += 1;
        }
    }
}

/// How the publisher's events are.
#[derive(Clone, Copy)]
struct Kind {
    keys: usize,
    custom_ids: bool,
}

/// One run of random steps with clients of some policies.
fn run(seed: u64, steps: usize, options: Options, policies: &[Policy], kind: Kind) -> Findings {
    let mut random = fastrand::Rng::with_seed(seed);
    let is_roomy = options.lag_total_bytes_max > 1 << 20;
    let total_max = options.lag_total_bytes_max;
    let mut model = Model::of(World::of_seed(seed, options));
    let mut findings = Findings::default();
    for step in 0..steps {
        let nth = random.usize(..model.world.clients.len().max(1));
        let picked = model.world.clients.keys().nth(nth).copied();
        match (random.u32(..100), picked) {
            (0..8, _) if model.world.clients.len() < 40 => {
                let topics: Vec<usize> = (0..2).filter(|_| random.bool()).collect();
                let topics = if topics.is_empty() { vec![0] } else { topics };
                let wire = if random.bool() { Wire::Chunked } else { Wire::Plain };
                let capacity =
                    if random.u32(..4) == 0 { usize::MAX / 2 } else { random.usize(..300) };
                model.join(topics, wire, capacity, policies[random.usize(..policies.len())]);
            }
            (8..10, Some(number)) => {
                let client = model.world.clients.remove(&number).unwrap();
                assert!(client.has(model.world.shard.sent_to(client.key.index)));
                drop(model.world.shard.remove(client.key.index));
                model.judge_ended(number, &client);
            }
            (10, Some(number)) => model.world.clients[&number].far.lock().unwrap().broken = true,
            (11..35, Some(number)) => model.world.give_capacity(number, random.usize(..500)),
            (35..37, Some(number)) => {
                let client = &model.world.clients[&number];
                let index = client.key.index;
                model.world.shard.now_ns = model.world.shared.order.now_ns();
                model.world.shard.apply_age_limit(index);
            }
            (37..41, Some(number)) => {
                let topics: Vec<usize> = (0..2).filter(|_| random.bool()).collect();
                let topics = if topics.is_empty() { vec![0] } else { topics };
                model.change_topics(number, topics, random.bool());
            }
            (41, _) => model.world.end_or_begin_without_event(random.usize(..2)),
            (42..75, _) => {
                let data = step.to_string().repeat(random.usize(1..20));
                let key = (kind.keys > 0 && random.u32(..10) > 0)
                    .then(|| format!("key-{}", random.usize(..kind.keys)));
                let custom_id = kind.custom_ids && random.bool();
                model.window = some_window(&mut random);
                let topics = random_topics(&mut random, 2);
                model.publish(&topics, &data, key.as_deref(), custom_id);
            }
            _ => drop(model.world.shard.turn().unwrap()),
        }
        model.world.note_ended();
        model.judge_finished(&mut findings);
        for client in std::mem::take(&mut model.world.left) {
            let number = *model
                .subscribers
                .keys()
                .find(|number| !model.world.clients.contains_key(number))
                .unwrap();
            let is_broken = client.far.lock().unwrap().broken;
            let may_be_cut = model.subscribers[&number].policy == Policy::Disconnect;
            assert!(is_broken || may_be_cut || !is_roomy, "only a few are ever cut");
            model.judge_ended(number, &client);
        }
        if step % 64 == 0 {
            model.check_accounts();
            // A batch for each audience and what is in the backlog may come on top.
            let audiences = model.world.shard.audiences.indices().len();
            let slack = audiences * (2 * 2_000 + 8 * (700 + 20 * EVENT_BYTES));
            assert!(model.world.shard.lag_bytes() <= total_max.saturating_add(slack));
        }
    }
    let found = model.finish();
    Findings {
        gaps: findings.gaps + found.gaps,
        missed: findings.missed + found.missed,
        conflated: findings.conflated + found.conflated,
    }
}

impl Model {
    /// Judges the streams that have ended since their topics are finished: nothing of them is
    /// missing.
    fn judge_finished(&mut self, findings: &mut Findings) {
        let epoch = self.world.shared.order.epoch();
        for (number, client) in std::mem::take(&mut self.world.ended) {
            let subscriber = self.subscribers.remove(&number).unwrap();
            subscriber.check(&Model::stream(&client), epoch, true, findings);
        }
    }

    fn judge_ended(&mut self, number: u32, client: &TestClient) {
        let subscriber = self.subscribers.remove(&number).unwrap();
        let epoch = self.world.shared.order.epoch();
        subscriber.check(&Model::stream(client), epoch, false, &mut Findings::default());
    }
}

/// Runs with bounds of all sizes, none of which are large.
fn runs(first_seed: u64, policies: &[Policy], kinds: &[Kind]) -> Findings {
    let mut all = Findings::default();
    let seeds = 40;
    for seed in 0..seeds {
        let mut random = fastrand::Rng::with_seed(first_seed + seed);
        let options = Options {
            batch_bytes_max: [1, 200, 700][random.usize(..3)],
            topic_backlog_bytes_max: 2_000,
            lag_bytes_max: [0, 600, 3_000, 10_000][random.usize(..4)],
            lag_grace: Duration::from_millis([0, 1_000][random.usize(..2)]),
            lag_age_max: Duration::from_micros([20, 100_000_000][random.usize(..2)]),
            lag_total_bytes_max: [6_000, 1 << 30, 1 << 30][random.usize(..3)],
            ..Options::default()
        };
        let kind = kinds[random.usize(..kinds.len())];
        let found = run(first_seed + seed, steps() / seeds as usize, options, policies, kind);
        all.gaps += found.gaps;
        all.missed += found.missed;
        all.conflated += found.conflated;
    }
    all
}

const UNKEYED: [Kind; 2] =
    [Kind { keys: 0, custom_ids: false }, Kind { keys: 0, custom_ids: true }];
const KEYED: [Kind; 3] = [
    Kind { keys: 3, custom_ids: false },
    Kind { keys: 30, custom_ids: true },
    Kind { keys: 1_000, custom_ids: true },
];

#[test]
fn a_client_that_drops_the_oldest_is_told_of_each_hole_with_its_exact_count() {
    let found = runs(10_000, &[Policy::DropOldest], &UNKEYED);
    assert!(found.gaps > 100 && found.missed > 500, "{} {}", found.gaps, found.missed);
}

#[test]
fn a_conflated_client_misses_nothing_but_what_a_newer_event_of_its_key_replaced_or_a_gap_counted() {
    let found = runs(20_000, &[Policy::Conflate], &KEYED);
    assert!(found.gaps > 20 && found.conflated > 500, "{} {}", found.gaps, found.conflated);
}

#[test]
fn without_keys_a_conflated_client_drops_the_oldest() {
    let found = runs(30_000, &[Policy::Conflate], &UNKEYED);
    assert!(found.gaps > 50 && found.conflated == 0, "{} {}", found.gaps, found.conflated);
}

#[test]
fn policies_in_one_audience_do_not_touch_each_other() {
    let found = runs(40_000, &Policy::ALL, &[UNKEYED[1], KEYED[0], KEYED[1]]);
    assert!(found.gaps > 50 && found.conflated > 100, "{} {}", found.gaps, found.conflated);
}

fn small_bounds() -> Options {
    Options {
        batch_bytes_max: 1_000,
        lag_bytes_max: 5_000,
        lag_grace: Duration::from_secs(1_000),
        lag_age_max: Duration::from_secs(1_000),
        ..Options::default()
    }
}

impl Model {
    /// Publishes `count` events, each of which is sent before the next.
    fn publish_many(&mut self, count: usize, key: impl Fn(usize) -> Option<String>) {
        for nth in 0..count {
            assert!(self.publish(&[0], &"x".repeat(100), key(nth).as_deref(), false));
            self.world.shard.turn().unwrap();
        }
    }

    fn gaps_of(&self, number: u32) -> usize {
        Model::stream(&self.world.clients[&number]).matches("event: fanfare-gap\n").count()
    }
}

#[test]
fn a_laggard_that_skips_again_before_it_was_told_is_told_once_of_everything() {
    let mut model = Model::new(small_bounds());
    // It takes its head and a part of the first event.
    let number = model.join(vec![0], Wire::Chunked, 50, Policy::DropOldest);
    model.join(vec![0], Wire::Plain, usize::MAX / 2, Policy::DropOldest);
    model.publish_many(200, |_| None);
    assert_eq!(model.counter(|c| c.held_batches.value()), 0, "no publisher waits for it");
    let dropped = model.counter(|c| c.dropped_events.value());
    assert!(dropped > 150, "{dropped}");
    let kept = model.world.shard.lag_bytes();
    assert!(kept < 5_000 + 1_000 + 20 * EVENT_BYTES, "{kept}");
    // The gap event has begun when the client has taken the first event and a little more.
    model.world.give_capacity(number, 200);
    assert_eq!(model.counter(|c| c.gap_events[3].value()), 1);
    model.publish_many(200, |_| None);
    model.world.settle();
    assert_eq!(model.gaps_of(number), 2);
    let dropped = model.counter(|c| c.dropped_events.value());
    let found = model.finish();
    assert_eq!((found.gaps, found.missed), (2, dropped));
}

#[test]
fn a_conflating_client_that_wakes_up_gets_the_newest_event_of_each_key() {
    let mut model = Model::new(small_bounds());
    let number = model.join(vec![0], Wire::Plain, 50, Policy::Conflate);
    let fast = model.join(vec![0], Wire::Plain, usize::MAX / 2, Policy::Conflate);
    // The first ten are within the bound, the others are not.
    for count in [10, 200] {
        let before = Model::stream(&model.world.clients[&number]).len();
        model.publish_many(count, |nth| Some(format!("key-{}", nth % 3)));
        model.world.give_capacity(number, 1 << 20);
        let woken = Model::stream(&model.world.clients[&number]);
        let published = &model.subscribers[&number].published;
        let newest = published[published.len() - 3..].iter().map(|sent| &*sent.text);
        let expected = newest.collect::<Vec<_>>().join("\n\n") + "\n\n";
        assert!(woken.ends_with(&expected));
        // Besides them it got at most what it had begun, a batch of three events.
        let got = woken[before..].matches("data: ").count();
        assert!((3..=3 + 3).contains(&got), "{got}");
        model.world.clients[&number].far.lock().unwrap().capacity = 50;
        assert_eq!(model.world.shard.lag_bytes(), 0);
    }
    assert_eq!(model.counter(|c| c.held_batches.value()), 0, "no publisher waits for it");
    assert_eq!(model.gaps_of(number), 0);
    assert_eq!(model.subscribers[&fast].published.len(), 210);
    assert!(model.counter(|c| c.conflated_events.value()) > 180);
    model.finish();
}

#[test]
fn laggards_that_need_the_same_share_it() {
    let mut kept = Vec::new();
    for count in [1, 300] {
        let mut model = Model::new(small_bounds());
        for nth in 0..count {
            let policy = [Policy::Conflate, Policy::DropOldest][nth % 2];
            model.join(vec![0], Wire::Chunked, 50, policy);
        }
        model.join(vec![0], Wire::Plain, usize::MAX / 2, Policy::Conflate);
        model.publish_many(100, |nth| Some(format!("key-{}", nth % 10)));
        assert_eq!(model.counter(|c| c.lagging_connections.value()), count as u64);
        kept.push(model.world.shard.lag_bytes());
        model.finish();
    }
    // One that is conflated keeps its list, those that skip what they have begun and half of the
    // bound; more of them keep no more.
    assert!(kept[1] < kept[0] + 6_000, "{kept:?}");
}

#[test]
fn spilled_events_count_for_the_total_bound() {
    let options = Options { lag_total_bytes_max: 20_000, shards: 1, ..small_bounds() };
    let mut model = Model::new(Options { lag_bytes_max: 1 << 20, ..options });
    for round in 0..30 {
        model.join(vec![0], Wire::Plain, 20 + 90 * (round % 3), Policy::Conflate);
        model.publish_many(10, |_| None);
        let kept = model.world.shard.lag_bytes();
        assert!(kept <= 20_000 + 4 * (1_000 + 10 * EVENT_BYTES), "{kept}");
        model.check_accounts();
    }
    assert_eq!(model.world.clients.len(), 30, "it is enough to drop the oldest");
    let found = model.finish();
    assert!(found.gaps > 10 && found.missed > 100, "{} {}", found.gaps, found.missed);
}

#[test]
fn a_client_that_drops_the_oldest_keeps_nothing_that_is_older_than_allowed() {
    let options = Options { lag_age_max: Duration::from_millis(150), ..small_bounds() };
    let options = Options { lag_grace: Duration::ZERO, ..options };
    let mut model = Model::of(World::with_manual_clock(options));
    let dropping = model.join(vec![0], Wire::Plain, 50, Policy::DropOldest);
    let conflating = model.join(vec![0], Wire::Plain, 50, Policy::Conflate);
    model.publish_many(5, |_| None);
    let mut ticks = 0;
    while model.counter(|c| c.dropped_events.value()) < 4 {
        model.world.clock.advance(Duration::from_millis(10));
        model.world.shard.turn().unwrap();
        ticks += 1;
        assert!(ticks < 500, "nothing becomes too old");
    }
    assert!(ticks > 15, "they are not too old yet");
    model.publish_many(1, |_| None);
    model.world.settle();
    assert_eq!((model.gaps_of(dropping), model.gaps_of(conflating)), (1, 0));
    assert_eq!(model.counter(|c| c.dropped_events.value()), 4);
    model.finish();
}
