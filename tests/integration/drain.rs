//! How a hub ends without a storm.

use std::time::{Duration, Instant};

use fanfare::{DrainOptions, Hub, ListenOptions, Topic};

use crate::support::{close, one_shard, serve, shards, wait_until, Client, DEADLINE};

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// How many of `values` are in each quarter of a range.
fn quarters(values: &[u64], from: u64, to: u64) -> [usize; 4] {
    let mut counts = [0; 4];
    for &value in values {
        assert!((from..=to).contains(&value), "{value} is not in {from}..={to}");
        counts[(4 * (value - from) / (to - from)).min(3) as usize] += 1;
    }
    counts
}

#[test]
fn every_client_is_sent_everything_told_when_to_come_back_and_closed_over_the_window() {
    const CLIENTS: u64 = 400;
    let (hub, listener) = serve(shards(2));
    let addr = listener.local_addr();
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|_| Client::get(addr, "/events?topic=a")).collect();
    hub.publish(&topic("a"), "before").unwrap();
    // So long that the moments in which a busy machine runs others are a small part of it.
    let window = Duration::from_secs(4);
    let options =
        DrainOptions::default().window(window).grace(DEADLINE).retry(Duration::from_secs(10));
    let begun = Instant::now();
    let drain = std::thread::spawn({
        let hub = hub.clone();
        move || (hub.drain(options), begun.elapsed())
    });
    // When each was closed: the metrics are sampled, since clients are read one after another.
    let mut closed_at_ms = Vec::new();
    while (closed_at_ms.len() as u64) < CLIENTS {
        let closed = CLIENTS - hub.metrics().connections;
        let now_ms = begun.elapsed().as_millis() as u64;
        closed_at_ms.resize(closed as usize, now_ms);
        assert!(begun.elapsed() < DEADLINE, "only {closed} are closed");
        std::thread::sleep(Duration::from_millis(5));
    }
    let (drained, elapsed) = drain.join().unwrap();
    assert_eq!((drained.told, drained.cut), (CLIENTS, 0));
    assert!(elapsed < window * 3, "{elapsed:?}");
    let mut retries = Vec::new();
    for client in &mut clients {
        assert_eq!(client.data(), "before");
        assert!(client.ends_cleanly());
        retries.push(client.retry().expect("it is told when to come back"));
    }
    // Evenly: each quarter of both ranges has about a quarter of the clients.
    for counts in [quarters(&retries, 10_000, 20_000), quarters(&closed_at_ms, 0, 4_400)] {
        assert!(counts.iter().all(|&count| count >= CLIENTS as usize / 10), "{counts:?}");
    }
}

#[test]
fn no_client_is_accepted_while_the_remaining_ones_still_get_events() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let mut clients: Vec<Client> = (0..2).map(|_| Client::get(addr, "/events?topic=a")).collect();
    // Between the first and the second there has to be time for all that follows.
    let window = Duration::from_secs(8);
    let drain = std::thread::spawn({
        let hub = hub.clone();
        move || hub.drain(DrainOptions::default().window(window))
    });
    wait_until("the first is closed", || hub.metrics().connections == 1);
    hub.publish(&topic("a"), "meanwhile").unwrap();
    assert!(std::net::TcpStream::connect(addr).is_err(), "the listener is closed");
    let mut got = 0;
    for client in &mut clients {
        // The client that was closed first came to its end without it.
        if !client.ends_cleanly() {
            assert_eq!(client.data(), "meanwhile");
            got += 1;
        }
    }
    assert_eq!(got, 1);
    let drained = drain.join().unwrap();
    assert_eq!((drained.told, drained.cut), (2, 0));
}

#[test]
fn a_client_that_does_not_read_is_cut_by_the_deadline() {
    let (hub, listener) = serve(one_shard().lag_bytes_max(64 << 20));
    let addr = listener.local_addr();
    let mut reader = Client::get(addr, "/events?topic=a");
    let stalled = Client::get(addr, "/events?topic=b");
    let data = "x".repeat(1 << 20);
    let mut sent = 0;
    while hub.metrics().lagging_connections == 0 {
        hub.publish_wait(&topic("b"), &*data, DEADLINE).unwrap();
        sent += 1;
        assert!(sent < 100, "the socket takes everything");
    }
    let options =
        DrainOptions::default().window(Duration::from_millis(100)).grace(Duration::from_secs(3));
    let begun = Instant::now();
    let drained = hub.drain(options);
    assert_eq!((drained.told, drained.cut), (1, 1));
    // With what the hub's close gives them, and what a busy machine takes.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(reader.ends_cleanly());
    // A drain waits for the engine's threads, and not for a shard that an executor drives.
    close(&hub);
    assert_eq!(hub.metrics().connections, 0);
    drop(stalled);
}

#[test]
fn a_hub_that_a_host_drives_is_drained_as_well_and_twice_does_no_harm() {
    let (hub, drivers) = Hub::with_drivers(one_shard()).unwrap();
    let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
    let addr = listener.local_addr();
    let client = std::thread::spawn(move || {
        let mut client = Client::get(addr, "/events?topic=a");
        client.ends_cleanly()
    });
    smol::block_on(async {
        let shards: Vec<_> =
            drivers.into_iter().map(|driver| smol::spawn(driver.drive())).collect();
        while hub.metrics().connections == 0 {
            smol::Timer::after(Duration::from_millis(2)).await;
        }
        let options = DrainOptions::default().window(Duration::ZERO);
        let drained = hub.drain_async(options.clone()).await;
        assert_eq!((drained.told, drained.cut), (1, 0));
        let drained = hub.drain_async(options).await;
        assert_eq!((drained.told, drained.cut), (0, 0));
        for shard in shards {
            shard.await.unwrap();
        }
    });
    assert!(client.join().unwrap());
}
