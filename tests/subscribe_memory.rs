//! What streams that the host reads itself leave behind: nothing. A process of its own, since it
//! looks at all of the process's memory.

use std::time::{Duration, Instant};

use fanfare::{DisconnectReason, Hub, Options, StreamOptions, Subscription};

const CYCLES: u64 = 100_000;
/// Streams that are there at once.
const AT_ONCE: u64 = 100;
const DEADLINE: Duration = Duration::from_secs(120);

/// The memory that the process has now, in bytes.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux tells it");
    let pages: usize = pages.split(' ').nth(1).expect("the second number").parse().unwrap();
    pages * rustix::param::page_size()
}

#[test]
#[cfg(target_os = "linux")]
fn memory_is_flat_over_a_hundred_thousand_streams_that_come_and_go() {
    let hub = Hub::start(Options::default().shards(2)).unwrap();
    let topic = fanfare::Topic::new("a").unwrap();
    let wanted = Subscription::from(topic.clone());
    let (begun, mut after_a_tenth) = (Instant::now(), 0);
    for cycle in 0..CYCLES / AT_ONCE {
        let subscribe = |_| hub.subscribe([wanted.clone()], StreamOptions::default()).unwrap();
        let mut streams: Vec<_> = (0..AT_ONCE).map(subscribe).collect();
        hub.publish(&topic, "x").unwrap();
        // Some are read from, and some are dropped before a shard has them.
        if cycle % 2 == 0 {
            streams[0].wait(DEADLINE).expect("its beginning").unwrap();
        }
        drop(streams);
        while hub.metrics().backlog_bytes > 0 {
            assert!(begun.elapsed() < DEADLINE);
            std::thread::yield_now();
        }
        if cycle == CYCLES / AT_ONCE / 10 {
            after_a_tenth = resident_bytes();
        }
    }
    while hub.metrics().connections > 0 || hub.metrics().subscriptions > 0 {
        assert!(begun.elapsed() < DEADLINE, "they do not end");
        std::thread::yield_now();
    }
    let ended: u64 = DisconnectReason::all().map(|reason| hub.metrics().disconnects(reason)).sum();
    assert!(ended <= CYCLES);
    let grown = resident_bytes().saturating_sub(after_a_tenth);
    assert!(grown < 8 << 20, "{grown} bytes more after {CYCLES} streams");
}
