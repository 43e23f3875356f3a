//! The time of single steps of an event's way. Run with `make bench-micro`.

mod fixture;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{criterion_group, criterion_main, BatchSize, BenchmarkId, Criterion, Throughput};
use fanfare::internals;

use fixture::{Publishing, EVENTS, HEAD};

/// Events between two deliveries; a topic's backlog holds more.
const PUBLISHES: u64 = 100;

fn encode(c: &mut Criterion) {
    let (data, id) = (fixture::data(), fixture::id());
    fixture::check_encoded(&fixture::encode(&data, id), &data, id);
    c.bench_function("encode and stamp", |b| b.iter(|| fixture::encode(&data, id)));
}

fn publish(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish, interested shards");
    for interested in [0, 1, 8] {
        let mut publishing = Publishing::new(interested);
        group.bench_function(BenchmarkId::from_parameter(interested), |b| {
            b.iter_custom(|iterations| {
                let (mut left, mut elapsed) = (iterations, Duration::ZERO);
                while left > 0 {
                    let count = left.min(PUBLISHES);
                    let begun = Instant::now();
                    publishing.publish(count);
                    elapsed += begun.elapsed();
                    publishing.deliver();
                    left -= count;
                }
                elapsed
            });
        });
        publishing.check();
    }
    group.finish();
}

fn audience(c: &mut Criterion) {
    let (_workbench, events) = fixture::events();
    fixture::check_appended(fixture::appended().2);

    let mut group = c.benchmark_group("128 events");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("append to an audience", |b| {
        let append = |audience: &mut internals::Audience| audience.append(black_box(&events));
        b.iter_batched_ref(fixture::audience, append, BatchSize::SmallInput);
    });
    group.bench_function("gather", |b| {
        let gather =
            |(_, _, audience): &mut (_, _, internals::Audience)| audience.batch(usize::MAX).len();
        b.iter_batched_ref(fixture::appended, gather, BatchSize::SmallInput);
    });
    group.finish();
}

/// To find where a client was that comes back takes no longer in a history a hundred times as long,
/// and to gather what it has missed takes no longer among many more topics.
fn replay(c: &mut Criterion) {
    let mut group = c.benchmark_group("seek, events kept");
    for kept in [1_000, 100_000] {
        let missing = fixture::Missing::of(kept, kept / 3);
        missing.check_cursor(missing.seek());
        group.bench_function(BenchmarkId::from_parameter(kept), |b| b.iter(|| missing.seek()));
    }
    group.finish();
    let missing = fixture::Missing::of(1_000, 1_000);
    missing.check_replay(missing.replay());
    let mut group = c.benchmark_group("1,000 events");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("seek and gather", |b| b.iter(|| missing.replay()));
    group.finish();
    let mut group = c.benchmark_group("100 events of other topics, topics known");
    for topics in [1_000, 50_000] {
        let missing = fixture::Missing::among(topics, 100);
        missing.check_replay(missing.replay());
        group.bench_function(BenchmarkId::from_parameter(topics), |b| b.iter(|| missing.replay()));
    }
    let missing = fixture::Missing::narrow(50_000, 1_000);
    missing.check_replay(missing.replay());
    group.bench_function("64 of 1,000 by 64 filters/50000", |b| b.iter(|| missing.replay()));
    group.finish();
}

fn slots(c: &mut Criterion) {
    let (mut slots, first) = fixture::slots();
    let (mut key, mut times) = (first, 0);
    c.bench_function("an entry of the slab goes and another comes", |b| {
        b.iter(|| {
            key = fixture::replace(&mut slots, key);
            times += 1;
        });
    });
    if times > 0 {
        fixture::check_replaced(&mut slots, key, first, times);
    }
}

fn head(c: &mut Criterion) {
    fixture::check_parsed(fixture::parse(HEAD));
    c.bench_function("parse a request's head", |b| b.iter(|| fixture::parse(HEAD)));
}

criterion_group!(benches, encode, publish, audience, replay, slots, head);
criterion_main!(benches);
