//! The instructions that the hot functions take, counted by valgrind: unlike time they do not
//! depend on what else the machine does. Run with `make bench-instructions`, which holds them
//! against `instructions.json`.

// What the macros make has no documentation.
#![allow(missing_docs, unreachable_pub)]

mod fixture;

use std::hint::black_box;

use fanfare::internals::{Audience, Cursor, Events, Frame, Slots, Workbench};
use fanfare::EventId;
use gungraun::prelude::*;

use fixture::{Missing, Publishing, HEAD};

/// How often a function is called that is over quickly.
const CALLS: u64 = 100;

#[library_benchmark]
#[bench::event(args = (fixture::data(), fixture::id()), teardown = check_encoded)]
fn encode(data: String, id: EventId) -> (Frame, String, EventId) {
    (fixture::encode(&data, id), data, id)
}

fn check_encoded((frame, data, id): (Frame, String, EventId)) {
    fixture::check_encoded(&frame, &data, id);
}

fn warm(interested: usize) -> Publishing {
    warmed(Publishing::new(interested))
}

/// The first events of a hub allocate the memory of inboxes and tables.
fn warmed(mut publishing: Publishing) -> Publishing {
    for _ in 0..2 {
        publishing.publish(CALLS);
        publishing.deliver();
    }
    publishing
}

#[library_benchmark]
#[bench::to_nobody(args = (0), setup = warm, teardown = check_published)]
#[bench::to_1_shard(args = (1), setup = warm, teardown = check_published)]
#[bench::to_8_shards(args = (8), setup = warm, teardown = check_published)]
fn publish_100(mut publishing: Publishing) -> Publishing {
    publishing.publish(CALLS);
    publishing
}

/// The same before events of two topics.
fn warm_for_two(interested: usize) -> Publishing {
    let mut publishing = Publishing::new(interested);
    for _ in 0..2 {
        publishing.publish_to_two(CALLS);
        publishing.deliver();
    }
    publishing
}

#[library_benchmark]
#[bench::to_nobody(args = (0), setup = warm_for_two, teardown = check_published)]
#[bench::to_1_shard(args = (1), setup = warm_for_two, teardown = check_published)]
fn publish_to_two_topics_100(mut publishing: Publishing) -> Publishing {
    publishing.publish_to_two(CALLS);
    publishing
}

fn check_published(mut publishing: Publishing) {
    publishing.check();
}

#[library_benchmark]
#[bench::to_1_connection(args = (1), setup = published, teardown = check_published)]
#[bench::to_1_connection_in_json(args = (1), setup = published_in_json, teardown = check_published)]
fn deliver_100(mut publishing: Publishing) -> Publishing {
    publishing.deliver();
    publishing
}

fn published(interested: usize) -> Publishing {
    let mut publishing = warm(interested);
    publishing.publish(CALLS);
    publishing
}

fn published_in_json(interested: usize) -> Publishing {
    let mut publishing = warmed(Publishing::in_json(interested));
    publishing.publish(CALLS);
    publishing
}

type Appending = (Workbench, Events, Audience);

fn appending() -> Appending {
    let (workbench, events) = fixture::events();
    (workbench, events, fixture::audience())
}

#[library_benchmark]
#[bench::to_an_audience(setup = appending, teardown = check_appended)]
#[bench::to_an_audience_in_json(setup = appending_in_json, teardown = check_appended_in_json)]
fn append_128((workbench, events, mut audience): Appending) -> Appending {
    audience.append(black_box(&events));
    (workbench, events, audience)
}

/// Each event is encoded once more: the first audience that needs its topic pays for all.
fn appending_in_json() -> Appending {
    let (workbench, events) = fixture::events();
    (workbench, events, fixture::audience_in_json())
}

fn check_appended_in_json((_workbench, _events, audience): Appending) {
    fixture::check_appended_in_json(audience);
}

fn check_appended((_workbench, _events, audience): Appending) {
    fixture::check_appended(audience);
}

#[library_benchmark]
#[bench::into_a_batch(setup = fixture::appended, teardown = check_appended)]
fn gather_128((workbench, events, mut audience): Appending) -> Appending {
    black_box(audience.batch(usize::MAX));
    (workbench, events, audience)
}

#[library_benchmark]
#[bench::in_1000(args = (1_000, 333), setup = Missing::of, teardown = check_sought)]
#[bench::in_100000(args = (100_000, 33_333), setup = Missing::of, teardown = check_sought)]
fn seek_100(missing: Missing) -> (Missing, Cursor) {
    let mut place = missing.seek();
    for _ in 1..CALLS {
        place = missing.seek();
    }
    (missing, place)
}

fn check_sought((missing, place): (Missing, Cursor)) {
    missing.check_cursor(place);
}

#[library_benchmark]
#[bench::of_1000(args = (1_000, 1_000), setup = Missing::of, teardown = check_replayed)]
#[bench::of_1000_in_json(
    args = (1_000, 1_000), setup = Missing::of_json, teardown = check_replayed
)]
#[bench::among_1000(args = (1_000, 100), setup = Missing::among, teardown = check_replayed)]
#[bench::among_50000(args = (50_000, 100), setup = Missing::among, teardown = check_replayed)]
#[bench::of_64_filters(args = (50_000, 1_000), setup = Missing::narrow, teardown = check_replayed)]
fn replay(missing: Missing) -> (Missing, (usize, usize)) {
    let replayed = missing.replay();
    (missing, replayed)
}

fn check_replayed((missing, replayed): (Missing, (usize, usize))) {
    missing.check_replay(replayed);
}

#[library_benchmark]
#[bench::of_a_slab(setup = fixture::slots, teardown = check_replaced)]
fn replace_100((mut slots, first): (Slots, u64)) -> (Slots, u64, u64) {
    let mut key = first;
    for _ in 0..CALLS {
        key = fixture::replace(&mut slots, key);
    }
    (slots, key, first)
}

fn check_replaced((mut slots, key, first): (Slots, u64, u64)) {
    fixture::check_replaced(&mut slots, key, first, CALLS);
}

#[library_benchmark]
#[bench::of_a_request(args = (HEAD), teardown = fixture::check_parsed)]
fn parse(head: &'static [u8]) -> (&'static str, &'static str) {
    fixture::parse(head)
}

library_benchmark_group!(
    name = hot,
    benchmarks = [
        encode,
        publish_100,
        publish_to_two_topics_100,
        deliver_100,
        append_128,
        gather_128,
        seek_100,
        replay,
        replace_100,
        parse
    ]
);

main!(library_benchmark_groups = hot);
