//! Shards on threads of their own, against what each client is to get, while topics, filters and
//! clients come and go.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::*;
use crate::hub::Hub;

const SHARDS: usize = 2;
const TOPICS: usize = 12;

struct Stream {
    shard: usize,
    key: Key,
    wanted: Vec<Subscription>,
    envelope: Envelope,
    received: Arc<Mutex<Vec<u8>>>,
}

fn name(nth: usize) -> Topic {
    Topic::new(&format!("{}/{}", ["a", "b", "c"][nth % 3], nth / 3)).unwrap()
}

fn wanted(random: &mut fastrand::Rng) -> Vec<Subscription> {
    let texts = ["#", "+/1", "a/#", "a/+", "b/1", "a/1", "c/2", "b/+", "+/+", "c/0", "d/#"];
    let some = (0..random.usize(1..4)).map(|_| texts[random.usize(..texts.len())]);
    some.map(|text| Subscription::new(text).unwrap()).collect()
}

/// Does something on a shard's thread.
pub(super) fn on<T: Send + 'static>(
    hub: &Hub,
    shard: usize,
    what: impl FnOnce(&mut Shard) -> T + Send + 'static,
) -> T {
    let (give, take) = std::sync::mpsc::channel();
    let mut command = Command::Try(Box::new(move |shard| drop(give.send(what(shard)))));
    while let Err(back) = hub.shared().links[shard].command(command) {
        command = back;
        std::thread::yield_now();
    }
    take.recv_timeout(Duration::from_secs(20)).expect("the shard lives")
}

fn join(hub: &Hub, random: &mut fastrand::Rng) -> Stream {
    let (shard, wanted) = (random.usize(..SHARDS), wanted(random));
    let received = Arc::new(Mutex::new(Vec::new()));
    let far = received.clone();
    let envelope = EACH_ENVELOPE[random.usize(..2)];
    let request = StreamRequest {
        wanted: wanted.clone(),
        envelope,
        ..StreamRequest::new(vec![], vec![], Wire::Plain)
    };
    let key = on(hub, shard, move |shard| {
        let sink = Sink::Scripted(Box::new(move |bytes| {
            far.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }));
        shard.join_sink(sink, &request).expect("there is space for it")
    });
    Stream { shard, key, wanted, envelope, received }
}

/// The numbers of the events that a stream got, and the one that it began behind.
fn numbers(stream: &Stream) -> (u64, Vec<u64>) {
    let text = String::from_utf8(stream.received.lock().unwrap().clone()).unwrap();
    let mut ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
    let mut next = || ids.next().map(|id| EventId::parse(id).unwrap().sequence);
    let first = next().expect("it begins with an id");
    (first, std::iter::from_fn(next).collect())
}

/// The topics of the events that a stream got, as its envelope tells them.
fn told_topics(stream: &Stream) -> Vec<Vec<Topic>> {
    let text = String::from_utf8(stream.received.lock().unwrap().clone()).unwrap();
    let objects = text.lines().filter_map(|line| line.strip_prefix("data: {\"topic\":\""));
    let names = objects.map(|rest| match rest.split_once("\",\"topics\":[\"") {
        Some((first, rest)) => {
            let all: Vec<&str> = rest.split_once("\"]").unwrap().0.split("\",\"").collect();
            assert!(all.len() > 1 && all[0] == first);
            all
        }
        None => vec![rest.split_once('"').unwrap().0],
    });
    let topic = |name: &str| Topic::new(name).unwrap();
    names.map(|names| names.into_iter().map(topic).collect()).collect()
}

#[test]
fn each_client_gets_exactly_its_topics_events_whatever_comes_and_goes_on_other_threads() {
    let given = std::env::var("FANFARE_SECONDS").ok().map(|seconds| seconds.parse().unwrap());
    let time = given.map_or(Duration::from_millis(1_500), Duration::from_secs);
    for age in [Duration::ZERO, Duration::from_millis(20)] {
        let options = Options {
            shards: SHARDS,
            history_age_max: age,
            heartbeat: Duration::from_secs(3_600),
            ..without_lag_bounds()
        };
        let hub = Hub::start(options).unwrap();
        let is_over = AtomicBool::new(false);
        let published: Mutex<HashMap<u64, Vec<Topic>>> = Mutex::default();
        let mut random = fastrand::Rng::with_seed(5);
        let (mut streams, mut left) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            for seed in 0..2 {
                let (hub, is_over, published) = (&hub, &is_over, &published);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    while !is_over.load(Ordering::Relaxed) {
                        let count = [1, 1, 2, 5][random.usize(..4)];
                        let mut topics: Vec<Topic> =
                            (0..count).map(|_| name(random.usize(..TOPICS))).collect();
                        let wait = Duration::from_secs(20);
                        let id = hub.publish_to_wait(&topics, "x", wait).unwrap().id;
                        topics.sort_unstable();
                        topics.dedup();
                        published.lock().unwrap().insert(id.unwrap().sequence, topics);
                        if random.u32(..50) == 0 {
                            std::thread::sleep(Duration::from_micros(random.u64(..3_000)));
                        }
                    }
                });
            }
            let start = Instant::now();
            while start.elapsed() < time {
                if streams.len() < 12 && random.bool() {
                    streams.push(join(&hub, &mut random));
                } else if !streams.is_empty() {
                    let stream = streams.swap_remove(random.usize(..streams.len()));
                    let key = stream.key;
                    on(&hub, stream.shard, move |shard| drop(shard.remove(key.index)));
                    left.push(stream);
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let start = Instant::now();
        while hub.metrics().backlog_bytes > 0 {
            assert!(start.elapsed() < Duration::from_secs(20));
            std::thread::yield_now();
        }
        assert_eq!(hub.shared().order.topics_backlog_bytes(), 0);
        let published = published.into_inner().unwrap();
        let mut all: Vec<(u64, Vec<Topic>)> = published.into_iter().collect();
        all.sort_unstable();
        let is_left = left.len();
        for (nth, stream) in left.iter().chain(&streams).enumerate() {
            let (first, got) = numbers(stream);
            let end = if nth < is_left { got.last().copied().unwrap_or(0) } else { u64::MAX };
            let from = all.partition_point(|(number, _)| *number <= first);
            let wants = |topic: &Topic| stream.wanted.iter().any(|wanted| wanted.matches(topic));
            let expected: Vec<u64> = all[from..]
                .iter()
                .take_while(|(number, _)| *number <= end)
                .filter(|(_, topics)| topics.iter().any(&wants))
                .map(|(number, _)| *number)
                .collect();
            let same = got.iter().zip(&expected).take_while(|(a, b)| a == b).count();
            assert_eq!(got.get(same), expected.get(same), "of {:?}", stream.wanted);
            let topic_of = |number: &u64| all.binary_search_by_key(number, |(n, _)| *n).unwrap();
            let topics: Vec<Vec<Topic>> = match stream.envelope {
                Envelope::None => Vec::new(),
                Envelope::Json => got.iter().map(|n| all[topic_of(n)].1.clone()).collect(),
            };
            assert_eq!(told_topics(stream), topics);
        }
        for stream in streams {
            on(&hub, stream.shard, move |shard| drop(shard.remove(stream.key.index)));
        }
        assert_eq!((hub.metrics().subscriptions, hub.metrics().filters), (0, 0));
    }
}

#[test]
fn where_nothing_is_kept_a_client_that_asks_for_the_latest_is_told_of_no_gap() {
    let options = Options { shards: 1, history_events_max: 0, ..without_lag_bounds() };
    let hub = Hub::start(options).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                hub.publish_wait(&name(0), "x", Duration::from_secs(20)).unwrap();
            }
        });
        let mut told = 0;
        for _ in 0..300 {
            let received = Arc::new(Mutex::new(Vec::new()));
            let far = received.clone();
            let resume = Resume::Start(StartAt::Latest);
            let request =
                StreamRequest { resume, ..StreamRequest::new(vec![], vec![name(1)], Wire::Plain) };
            on(&hub, 0, move |shard| {
                let sink = Sink::Scripted(Box::new(move |bytes| {
                    far.lock().unwrap().extend_from_slice(bytes);
                    Ok(bytes.len())
                }));
                let key = shard.join_sink(sink, &request).expect("there is space for it");
                drop(shard.remove(key.index));
            });
            let text = String::from_utf8(received.lock().unwrap().clone()).unwrap();
            told += usize::from(text.contains("fanfare-gap"));
        }
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(told, 0, "of 300 are told of a gap that is none");
    });
}

#[test]
fn where_nothing_is_kept_a_client_that_comes_back_is_told_so_once_and_gets_everything_from_then_on()
{
    let mut world = World::new(Options { history_events_max: 0, ..without_lag_bounds() });
    assert!(world.publish(0, "1") && world.publish(0, "2"));
    let id: Box<str> = world.shared.order.id_of(1).to_string().into();
    world.join_from(vec![0], Wire::Plain, 10, Resume::After(id));
    assert!(world.publish(0, "3"));
    while world.shard.turn().unwrap() == Next::Now {}
    world.give_capacity(1, usize::MAX / 2);
    while world.shard.turn().unwrap() == Next::Now {}
    let text = String::from_utf8(world.clients[&1].far.lock().unwrap().received.clone()).unwrap();
    assert_eq!(text.matches("fanfare-gap").count(), 1, "{text}");
    assert!(text.ends_with("data: 3\n\n"), "{text}");
}

#[test]
fn a_client_that_comes_while_its_topics_are_finished_has_everything_since_and_the_end() {
    const RUNS: usize = 300;
    let hub = Hub::start(Options { shards: SHARDS, ..without_lag_bounds() }).unwrap();
    let run = |nth: usize, half: usize| Topic::new(&format!("run/{nth}/{half}")).unwrap();
    let begun = std::sync::atomic::AtomicUsize::new(0);
    let published: Mutex<Vec<Vec<u64>>> = Mutex::default();
    let mut streams: Vec<(usize, Stream)> = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = fastrand::Rng::with_seed(1);
            for nth in 0..RUNS {
                while begun.load(Ordering::Acquire) <= nth {
                    std::hint::spin_loop();
                }
                let mut numbers = Vec::new();
                for _ in 0..random.usize(..6) {
                    let topic = run(nth, random.usize(..2));
                    numbers.push(hub.publish(&topic, "x").unwrap().id.unwrap().sequence);
                }
                numbers
                    .push(hub.finish(&run(nth, 0), Some("x".into())).unwrap().id.unwrap().sequence);
                numbers
                    .push(hub.finish(&run(nth, 1), Some("x".into())).unwrap().id.unwrap().sequence);
                published.lock().unwrap().push(numbers);
            }
        });
        for nth in 0..RUNS {
            begun.store(nth + 1, Ordering::Release);
            for shard in [0, 1, 0, 1] {
                let received = Arc::new(Mutex::new(Vec::new()));
                let far = received.clone();
                let wanted: Vec<Subscription> = vec![run(nth, 0).into(), run(nth, 1).into()];
                let request = StreamRequest {
                    wanted: wanted.clone(),
                    ..StreamRequest::new(vec![], vec![], Wire::Plain)
                };
                let key = on(&hub, shard, move |shard| {
                    let sink = Sink::Scripted(Box::new(move |bytes| {
                        far.lock().unwrap().extend_from_slice(bytes);
                        Ok(bytes.len())
                    }));
                    shard.join_sink(sink, &request).expect("there is space for it")
                });
                let envelope = Envelope::None;
                streams.push((nth, Stream { shard, key, wanted, envelope, received }));
            }
        }
    });
    let start = Instant::now();
    while hub.metrics().connections > 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "streams have not ended");
        std::thread::yield_now();
    }
    let ended = hub.metrics().disconnects(DisconnectReason::Finished);
    assert_eq!(ended, streams.len() as u64);
    let published = published.into_inner().unwrap();
    for (nth, stream) in &streams {
        let (first, got) = numbers(stream);
        let expected: Vec<u64> =
            published[*nth].iter().copied().filter(|&number| number > first).collect();
        assert_eq!(got, expected, "run {nth}");
    }
    assert_eq!((hub.metrics().subscriptions, hub.metrics().backlog_bytes), (0, 0));
}
