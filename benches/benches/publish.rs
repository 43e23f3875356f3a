//! What a call of `publish` costs its caller when no client listens: checking, encoding, the
//! order's lock. Run with `cargo bench -p fanfare-bench --bench publish`.

use std::hint::black_box;

use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion, Throughput};
use fanfare::{Event, Hub, Options, Topic};

fn publish(c: &mut Criterion) {
    let hub = Hub::start(Options::default().shards(1)).expect("a hub starts");
    let topic = Topic::new("prices/ACME").expect("a valid topic");
    let mut group = c.benchmark_group("publish without subscriber");
    for bytes in [16, 128, 1024, 65_536] {
        let data = "x".repeat(bytes);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_with_input(BenchmarkId::from_parameter(bytes), &data, |b, data| {
            b.iter(|| {
                hub.publish(&topic, Event::new(black_box(&**data)).with_name("quote")).unwrap()
            });
        });
    }
    group.finish();
    let before = hub.metrics().published_events;
    hub.publish(&topic, "one more").unwrap();
    assert_eq!(hub.metrics().published_events, before + 1, "every call was a real one");
}

/// The same, of 128 bytes, to topics one after another.
fn publish_in_turn(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish in turn to topics");
    let data = "x".repeat(128);
    for count in [1, 2, 1_000, 50_000] {
        let hub = Hub::start(Options::default().shards(1)).expect("a hub starts");
        let topics = (0..count).map(|n| Topic::new(&format!("room/{n}")).expect("a valid topic"));
        let topics: Vec<Topic> = topics.collect();
        let mut next = topics.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| hub.publish(next.next().unwrap(), Event::new(black_box(&*data))).unwrap());
        });
    }
    group.finish();
}

/// One event of 128 bytes to several topics at once.
fn publish_to_several(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish to topics at once");
    let data = "x".repeat(128);
    for count in [1, 2, 8, 64] {
        let hub = Hub::start(Options::default().shards(1)).expect("a hub starts");
        let topics = (0..count).map(|n| Topic::new(&format!("room/{n}")).expect("a valid topic"));
        let topics: Vec<Topic> = topics.collect();
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| hub.publish_to(&topics, Event::new(black_box(&*data))).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, publish, publish_in_turn, publish_to_several);
criterion_main!(benches);
