//! Rules that are set and removed while topics live: what is kept of each topic is what the rules
//! allow, no less and no more.

use std::collections::BTreeSet;

use super::*;
use crate::options::TopicOptions;

const FILTERS: [&str; 9] = ["#", "a/#", "a/+", "+/b", "a/b", "a/+/c", "+/b/#", "b/#", "b/c"];

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn subscription(text: &str) -> Subscription {
    Subscription::new(text).unwrap()
}

fn draft(data: &str) -> Draft {
    Draft::encode(&Event::new(data), 1 << 20).unwrap()
}

fn events(max: usize) -> TopicOptions {
    TopicOptions::default().history_events_max(max)
}

/// All topics of at most three levels of these names.
fn names() -> Vec<String> {
    let levels = ["a", "b", "c"];
    let two = levels.iter().flat_map(|a| levels.iter().map(move |b| format!("{a}/{b}")));
    let two: Vec<_> = two.collect();
    let three = two.iter().flat_map(|ab| levels.iter().map(move |c| format!("{ab}/{c}")));
    levels.iter().map(|name| name.to_string()).chain(two.clone()).chain(three).collect()
}

/// The rules, found by comparing every filter with every topic that there may be.
#[derive(Default)]
struct Naive {
    rules: BTreeMap<&'static str, TopicOptions>,
    /// Those of each topic.
    options: BTreeMap<String, TopicOptions>,
}

impl Naive {
    /// What matches a topic, the most specific first.
    fn matching(&self, name: &str) -> Vec<&'static str> {
        let name = topic(name);
        let mut all: Vec<_> = self.rules.keys().copied().collect();
        all.retain(|rule| subscription(rule).matches(&name));
        let breadth =
            |level: &str| ["#", "+"].iter().rev().position(|w| *w == level).map(|n| n + 1);
        all.sort_by_key(|rule| {
            rule.split('/').map(|level| breadth(level).unwrap_or(0)).collect::<Vec<_>>()
        });
        all
    }

    /// Finds the options of all topics, after a change.
    fn resolve(&mut self, names: &[String]) {
        let of = |name: &String| (name.clone(), self.options_of(name, names));
        self.options = names.iter().map(of).collect();
    }

    /// The options of a topic, of which some may be left open.
    fn options_of(&self, name: &str, names: &[String]) -> TopicOptions {
        let matching = self.matching(name);
        let Some(own) = matching.first() else { return TopicOptions::default() };
        let of_own = |name: &&String| subscription(own).matches(&topic(name));
        let covers = |rule: &&&str| {
            names.iter().filter(of_own).all(|name| subscription(rule).matches(&topic(name)))
        };
        let chain = matching.iter().filter(covers).map(|rule| &self.rules[rule]);
        chain.fold(TopicOptions::default(), |options, others| options.or(others))
    }
}

/// An event in the model: its number, when it was published, and what it takes.
type Event3 = (u64, u64, usize);

/// A topic in the model.
#[derive(Default)]
struct Life {
    kept: Vec<Event3>,
    finished_ns: Option<u64>,
}

struct Model {
    options: Options,
    naive: Naive,
    names: Vec<String>,
    lives: BTreeMap<String, Life>,
}

impl Model {
    /// Forgets what the rules do not allow any more.
    fn trim(&mut self, now_ns: u64) {
        let Model { options, naive, lives, .. } = self;
        for (name, life) in lives {
            let none = TopicOptions::default();
            let own = naive.options.get(name).unwrap_or(&none);
            let ns = |own: Option<Duration>, hub: Duration| own.unwrap_or(hub).as_nanos() as u64;
            let finished_age = ns(own.finished_age_max, options.finished_age_max);
            if life.finished_ns.is_some_and(|at_ns| at_ns + finished_age < now_ns) {
                *life = Life::default();
            }
            let age = ns(own.history_age_max, options.history_age_max);
            let events_max = own.history_events_max.unwrap_or(options.history_events_max);
            let bytes_max = own.history_bytes_max.unwrap_or(options.history_bytes_max);
            let kept = &mut life.kept;
            kept.retain(|(_, at_ns, _)| at_ns + age >= now_ns);
            let bytes = |kept: &[Event3]| kept.iter().map(|(_, _, bytes)| bytes).sum::<usize>();
            while kept.len() > events_max || kept.len() > 1 && bytes(kept) > bytes_max {
                kept.remove(0);
            }
        }
    }

    /// What clients with these subscriptions are sent.
    fn kept(&self, wanted: &[Subscription]) -> Vec<u64> {
        let matches = |name: &str| wanted.iter().any(|wanted| wanted.matches(&topic(name)));
        let of = self.lives.iter().filter(|(name, _)| matches(name));
        let mut all: Vec<u64> = of.flat_map(|(_, l)| l.kept.iter().map(|(n, ..)| *n)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn random_options(random: &mut fastrand::Rng) -> TopicOptions {
    let mut options = TopicOptions::default();
    if random.bool() {
        options = options.history_events_max([0, 1, 3, 20][random.usize(..4)]);
    }
    if random.u32(..3) == 0 {
        options = options.history_bytes_max([0, 1_500, 9_000][random.usize(..3)]);
    }
    if random.u32(..3) == 0 {
        options =
            options.history_age_max(Duration::from_millis([0, 5, 60, 900][random.usize(..4)]));
    }
    if random.u32(..3) == 0 {
        let age = Duration::from_millis([0, 3, 40, 500][random.usize(..4)]);
        options = options.finished_age_max(age);
    }
    options
}

#[test]
fn what_is_kept_is_what_the_rules_allow_however_they_change() {
    for seed in seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        let options = Options {
            history_events_max: 8,
            history_bytes_max: 4_000,
            history_age_max: Duration::from_millis(200),
            finished_age_max: Duration::from_millis(100),
            history_total_bytes_max: usize::MAX,
            shards: 1,
            ..Options::default()
        };
        let order = model_order(&options, seed);
        let (naive, lives) = (Naive::default(), BTreeMap::new());
        let mut model = Model { options, naive, names: names(), lives };
        let (mut named, mut published) = (BTreeSet::new(), PublishedTopics::new());
        for step in 0..3_000 {
            let now_ns = order.now_ns();
            let mut locked = order.lock();
            locked.topics.forget_old(now_ns, usize::MAX);
            order.number_reopened(&mut locked);
            drop(locked);
            model.trim(now_ns);
            let name = model.names[random.usize(..model.names.len())].clone();
            let filter = FILTERS[random.usize(..FILTERS.len())];
            match random.u32(..100) {
                0..50 => {
                    let data = "x".repeat(random.usize(..900));
                    let others = [0, 0, random.usize(1..5)][random.usize(..3)];
                    let other = |_| model.names[random.usize(..model.names.len())].clone();
                    let mut topics: Vec<String> = (0..others).map(other).chain([name]).collect();
                    topics.sort_unstable();
                    topics.dedup();
                    let result = try_publish(&order, &topics, &Event::new(&*data));
                    let lives = &mut model.lives;
                    let mut all = topics.iter().filter_map(|name| lives.get(name));
                    let is_finished = all.any(|life| life.finished_ns.is_some());
                    assert_eq!(result.is_err(), is_finished, "{topics:?}");
                    if let Ok(id) = result {
                        let bytes = id.to_string().len() + data.len() + 13 + 256;
                        for name in &topics {
                            let life = lives.entry(name.clone()).or_default();
                            life.kept.push((id.sequence, now_ns, bytes));
                        }
                        published.insert(id.sequence, topics);
                    }
                }
                50..55 => {
                    let result = order.finish(&topic(&name), None);
                    let life = model.lives.entry(name.clone()).or_default();
                    assert_eq!(result.is_err(), life.finished_ns.is_some(), "{name}");
                    life.finished_ns = life.finished_ns.or(Some(now_ns));
                }
                55..62 => {
                    let options = random_options(&mut random);
                    order.set_rule(&subscription(filter), options.clone()).unwrap();
                    model.naive.rules.insert(filter, options);
                    model.naive.resolve(&model.names);
                }
                62..66 => {
                    let was_set = model.naive.rules.remove(filter).is_some();
                    assert_eq!(order.remove_rule(&subscription(filter)), was_set);
                    model.naive.resolve(&model.names);
                }
                66..70 => {
                    let wanted = [subscription(&name)];
                    match named.remove(&name) {
                        true => order.unregister(0, &wanted[0], None),
                        false => {
                            order.register(0, &wanted, |_, _| 0);
                            named.insert(name.clone());
                        }
                    }
                }
                70..90 => order.clock.advance(Duration::from_micros(random.u64(..8_000))),
                _ => {
                    model.trim(now_ns);
                    let wanted = [subscription(filter), subscription(&name)];
                    let resume = Resume::After(order.id_of(0).to_string().into());
                    assert_eq!(replayed(&order, &wanted, &resume).0, model.kept(&wanted));
                }
            }
            model.trim(now_ns);
            if step % 5 == 0 {
                let now_ns = order.now_ns();
                let mut locked = order.lock();
                locked.topics.forget_old(now_ns, usize::MAX);
                order.number_reopened(&mut locked);
                drop(locked);
                model.trim(now_ns);
                check_all(&order, &published);
                let events: usize = model.lives.values().map(|life| life.kept.len()).sum();
                let finished = model.lives.values().filter(|life| life.finished_ns.is_some());
                let held = order.lock().topics.finished.len();
                assert_eq!((order.counts().kept_events, held), (events as u64, finished.count()));
            }
        }
    }
}

#[test]
fn a_rule_holds_for_the_topics_that_there_are_when_it_is_set_and_when_it_is_removed() {
    let order = order_of(Box::new([]), &Options { shards: 1, ..Options::default() });
    let publish = |name: &str, count| {
        (0..count).for_each(|_| assert!(order.publish(&topic(name), draft("x")).is_ok()));
    };
    // More topics than are looked at with one lock, and more events than are forgotten with one.
    (0..500).for_each(|n| publish(&format!("run/{n}"), 20));
    publish("run/long", 1_000);
    publish("other", 20);
    assert_eq!(order.counts().kept_events, 11_020);
    order.set_rule(&subscription("run/#"), events(2)).unwrap();
    assert_eq!(order.counts().kept_events, 501 * 2 + 20);
    check_totals(&order);
    let [rule] = &order.rules()[..] else { panic!("there is one rule") };
    assert_eq!((rule.topics, rule.kept_events), (501, 1_002));
    // The same rule again, with other options.
    order.set_rule(&subscription("run/#"), events(1)).unwrap();
    assert_eq!(order.counts().kept_events, 501 + 20);
    assert!(order.remove_rule(&subscription("run/#")));
    publish("run/7", 20);
    assert_eq!(order.counts().kept_events, 500 + 21 + 20);
    check_totals(&order);
}

#[test]
fn an_age_that_a_rule_changes_counts_from_when_events_were_published_and_topics_finished() {
    let order = order_of(Box::new([]), &Options { shards: 1, ..Options::default() });
    for name in ["a", "b"] {
        assert!(order.publish(&topic(name), draft("x")).is_ok());
    }
    assert!(order.finish(&topic("b"), None).is_ok());
    let seconds = Duration::from_secs;
    let ages = |age| TopicOptions::default().history_age_max(age).finished_age_max(age);
    order.set_rule(&subscription("#"), ages(seconds(3_600))).unwrap();
    order.clock.advance(seconds(1_800));
    order.forget_old();
    assert_eq!((order.counts().kept_events, order.counts().known_topics), (2, 2));
    order.set_rule(&subscription("#"), ages(seconds(1_799))).unwrap();
    assert_eq!((order.counts().kept_events, order.counts().known_topics), (0, 0));
    assert!(order.publish(&topic("b"), draft("x")).is_ok());
    check_totals(&order);
}

#[test]
fn a_client_of_a_topic_of_which_nothing_is_kept_is_told_how_many_events_it_has_missed() {
    let order = order_of(Box::new([]), &Options { shards: 1, ..Options::default() });
    order.set_rule(&subscription("tick/#"), events(0)).unwrap();
    for _ in 0..3 {
        assert!(order.publish(&topic("tick/1"), draft("x")).is_ok());
        assert!(order.publish(&topic("kept"), draft("x")).is_ok());
    }
    assert_eq!(order.counts().kept_events, 3);
    for texts in [&["tick/1"][..], &["#"], &["tick/1", "kept"]] {
        let wanted: Vec<_> = texts.iter().map(|text| subscription(text)).collect();
        let told = |after: u64| {
            let resume = Resume::After(order.id_of(after).to_string().into());
            search(&order, &wanted, &resume).1.map(|(gap, _)| (gap.to.sequence, gap.missed))
        };
        assert_eq!(told(0), Some((5, Some(3))), "{texts:?}");
        // How many of them came after one in the middle is not known.
        assert_eq!(told(4), Some((5, None)), "{texts:?}");
        assert_eq!(told(5), None, "{texts:?}");
    }
    check_totals(&order);
}

#[test]
fn what_expires_first_goes_first_when_there_is_too_much_and_the_newest_event_stays() {
    // With the two digits of their numbers.
    let total = 20 * (512 + 282);
    let options = Options { history_total_bytes_max: total, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    let age = |ms| TopicOptions::default().history_age_max(Duration::from_millis(ms));
    order.set_rule(&subscription("short/#"), age(1_000)).unwrap();
    for n in 0..15 {
        order.clock.advance(Duration::from_millis(1));
        for name in [format!("long/{n}"), format!("short/{n}")] {
            assert!(order.publish(&topic(&name), draft("x")).is_ok());
        }
        check_totals(&order);
    }
    let kept = |filter: &str| {
        let resume = Resume::After(order.id_of(0).to_string().into());
        replayed(&order, &[subscription(filter)], &resume).0.len()
    };
    assert_eq!((kept("long/#"), kept("short/#")), (15, 5));
    for n in 15..40 {
        assert!(order.publish(&topic(&format!("long/{n}")), draft("x")).is_ok());
    }
    assert_eq!((kept("long/#"), kept("short/#")), (20, 0));
    assert!(order.publish(&topic("short/1"), draft("x")).is_ok());
    assert_eq!((kept("long/#"), kept("short/#")), (19, 1), "the newest event stays");
    assert!(order.publish(&topic("long/1"), draft("x")).is_ok());
    assert_eq!(kept("short/#"), 0);
}

#[test]
fn rules_may_be_set_while_events_are_published_and_topics_finished() {
    let options = Options { finished_age_max: Duration::ZERO, shards: 1, ..Options::default() };
    let order = order_of(Box::new([]), &options);
    let of = |n: usize| topic(&format!("t/{}/{}", n % 7, n % 60));
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let order = &order;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                for _ in 0..6_000 {
                    let _ = match random.u32(..20) {
                        0 => order.finish(&of(random.usize(..420)), None),
                        _ => order.publish(&of(random.usize(..420)), draft("x")),
                    };
                    order.clock.advance(Duration::from_micros(10));
                }
            });
        }
        for thread in 2..4 {
            let order = &order;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                for _ in 0..400 {
                    let filter = subscription(["#", "t/1/#", "t/+/3", "t/2/2"][random.usize(..4)]);
                    match random.bool() {
                        true => order.set_rule(&filter, random_options(&mut random)).unwrap(),
                        false => _ = order.remove_rule(&filter),
                    }
                }
            });
        }
    });
    check_totals(&order);
    let rules = order.rules();
    rules.iter().for_each(|rule| assert!(order.remove_rule(&rule.subscription)));
    check_totals(&order);
    assert!(order.lock().topics.totals.usages()[1..]
        .iter()
        .all(|u| *u == totals::Usage::default()));
}
