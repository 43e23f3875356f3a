//! Events on their way to clients over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use fanfare::{DisconnectReason, Event, PublishError, Topic};

use crate::support::{close, one_shard, serve, shards, wait_until, Client, DEADLINE};

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

#[test]
fn every_client_of_a_topic_gets_each_event_once_and_in_order() {
    let (hub, listener) = serve(shards(3));
    let mut clients: Vec<Client> =
        (0..50).map(|_| Client::get(listener.local_addr(), "/events?topic=a")).collect();
    for number in 0..200 {
        hub.publish_wait(&topic("a"), number.to_string(), DEADLINE).unwrap();
    }
    for client in &mut clients {
        for number in 0..200 {
            assert_eq!(client.data(), number.to_string());
        }
    }
    assert_eq!(hub.metrics().connections, 50);
    wait_until("all is counted", || hub.metrics().delivered_events == 50 * 200);
}

#[test]
fn a_client_gets_the_topics_that_it_asked_for_in_the_hubs_order() {
    let (hub, listener) = serve(one_shard());
    let mut both = Client::get(listener.local_addr(), "/events?topic=a&topic=b&topic=a");
    let mut only_b = Client::get(listener.local_addr(), "/events?topic=b");
    for number in 0..100 {
        hub.publish(&topic(["a", "b", "c"][number % 3]), number.to_string()).unwrap();
    }
    for number in (0..100).filter(|n| n % 3 < 2) {
        let message = both.next();
        assert_eq!(message.data, number.to_string());
        assert!(message.last_id.ends_with(&format!("-{}", number + 1)), "{message:?}");
    }
    for number in (0..100).filter(|n| n % 3 == 1) {
        assert_eq!(only_b.data(), number.to_string());
    }
}

#[test]
fn a_client_that_has_its_head_misses_nothing_that_is_published_afterwards() {
    let (hub, listener) = serve(shards(2));
    for number in 0..200 {
        let mut client = Client::get(listener.local_addr(), "/events?topic=a");
        hub.publish_wait(&topic("a"), number.to_string(), DEADLINE).unwrap();
        assert_eq!(client.data(), number.to_string());
    }
}

#[test]
fn all_of_an_event_reaches_the_client() {
    let (hub, listener) = serve(one_shard());
    let mut client = Client::get(listener.local_addr(), "/events?topic=a");
    let retry = Duration::from_millis(1234);
    let event = Event::new("é\n🎺\r\n  x")
        .with_name("full")
        .with_id("custom id")
        .with_retry(retry)
        .with_comment("c");
    hub.publish(&topic("a"), event).unwrap();
    let message = client.next();
    assert_eq!(
        (&*message.name, &*message.data, &*message.last_id),
        ("full", "é\n🎺\n  x", "custom id")
    );
    assert_eq!((client.retry(), client.comments()), (Some(1234), 1));
}

#[test]
fn an_event_of_a_megabyte_arrives_whole_while_small_ones_go_round_it() {
    let (hub, listener) = serve(one_shard());
    let mut large = Client::get(listener.local_addr(), "/events?topic=large");
    let mut small = Client::get(listener.local_addr(), "/events?topic=small");
    let data = "0123456789abcde\n".repeat((1 << 20) / 16);
    for _ in 0..3 {
        hub.publish_wait(&topic("large"), &*data, DEADLINE).unwrap();
    }
    hub.publish(&topic("small"), "quick").unwrap();
    assert_eq!(small.data(), "quick");
    for _ in 0..3 {
        assert_eq!(large.data(), data);
    }
}

#[test]
fn http_1_0_gets_the_bare_stream_and_1_1_gets_chunks_of_the_same_events() {
    let (hub, listener) = serve(one_shard());
    let mut old = Client::send(listener.local_addr(), "GET /events?topic=a HTTP/1.0\r\n\r\n");
    let mut new = Client::get(listener.local_addr(), "/events?topic=a");
    assert!(!old.head.contains("chunked") && new.head.contains("Transfer-Encoding: chunked"));
    for number in 0..10 {
        hub.publish(&topic("a"), number.to_string()).unwrap();
    }
    for _ in 0..10 {
        assert_eq!(old.next(), new.next());
    }
    close(&hub);
    assert!(old.ends_cleanly() && new.ends_cleanly());
}

#[test]
fn a_publisher_without_pause_is_made_to_wait_and_no_client_is_disconnected() {
    let (hub, listener) = serve(one_shard());
    let mut clients: Vec<Client> =
        (0..100).map(|_| Client::get(listener.local_addr(), "/events?topic=a")).collect();
    let publisher = std::thread::spawn({
        let hub = hub.clone();
        move || {
            for number in 0..20_000 {
                let data = format!("{number:0>128}");
                hub.publish_wait(&topic("a"), data, DEADLINE).unwrap();
            }
        }
    });
    let readers: Vec<_> = clients
        .drain(..)
        .map(|mut client| {
            std::thread::spawn(move || {
                for number in 0..20_000 {
                    assert_eq!(client.data(), format!("{number:0>128}"));
                }
                client
            })
        })
        .collect();
    publisher.join().unwrap();
    let clients: Vec<Client> = readers.into_iter().map(|r| r.join().unwrap()).collect();
    let metrics = hub.metrics();
    assert!(metrics.full_events > 0, "the publisher never had to wait");
    assert_eq!(metrics.connections as usize, clients.len());
    assert!(metrics.batches < 20_000, "events were gathered");
}

#[test]
fn publishing_without_waiting_refuses_events_beyond_the_backlog_which_can_be_published_again() {
    let (hub, listener) = serve(one_shard());
    let mut client = Client::get(listener.local_addr(), "/events?topic=a");
    let mut taken = 0;
    let start = Instant::now();
    let refused = loop {
        assert!(start.elapsed() < DEADLINE, "the backlog was never full");
        let event = Event::new(format!("{taken:0>10000}")).with_name("n");
        match hub.publish(&topic("a"), &event) {
            Ok(_) => taken += 1,
            Err(PublishError::Full) => break event,
            Err(error) => panic!("{error}"),
        }
    };
    // Another topic has a backlog of its own.
    hub.publish(&topic("b"), "not refused").unwrap();
    for number in 0..taken {
        assert_eq!(client.data(), format!("{number:0>10000}"));
    }
    hub.publish_wait(&topic("a"), refused, DEADLINE).unwrap();
    assert_eq!(client.data(), format!("{taken:0>10000}"));
}

#[test]
fn publish_wait_gives_up_in_time_and_publish_async_waits() {
    let (hub, listener) = serve(one_shard().topic_backlog_bytes_max(1));
    let mut client = Client::get(listener.local_addr(), "/events?topic=a");
    let data = "x".repeat(1 << 20);
    let mut taken = 0;
    let timeout = Duration::from_millis(200);
    // The client does not read: sooner or later the backlog is full.
    while hub.publish_wait(&topic("a"), &*data, timeout).is_ok() {
        taken += 1;
    }
    let waiting = std::thread::spawn({
        let (hub, data) = (hub.clone(), data.clone());
        move || smol::block_on(hub.publish_async(&topic("a"), data)).map(drop).map_err(|_| ())
    });
    for _ in 0..=taken {
        assert_eq!(client.data(), data);
    }
    assert_eq!(waiting.join().unwrap(), Ok(()));
}

#[test]
fn a_client_that_stops_reading_costs_bounded_memory_and_delays_no_other() {
    let options = one_shard().lag_grace(Duration::ZERO);
    let lag_bytes_max = options.lag_bytes_max as u64;
    let (hub, listener) = serve(options);
    let stopped = Client::get(listener.local_addr(), "/events?topic=a");
    let mut reader = Client::get(listener.local_addr(), "/events?topic=a");
    let data = "x".repeat(10_000);
    let mut kept_bytes = 0;
    let mut lagged = false;
    for _ in 0..20_000 {
        hub.publish_wait(&topic("a"), &*data, DEADLINE).unwrap();
        assert_eq!(reader.data(), data);
        let metrics = hub.metrics();
        kept_bytes = kept_bytes.max(metrics.lag_bytes);
        lagged |= metrics.lagging_connections == 1;
        if metrics.connections == 1 {
            break;
        }
    }
    let metrics = hub.metrics();
    assert_eq!(metrics.disconnects(DisconnectReason::Lagging), 1, "{metrics:?}");
    assert!(lagged && kept_bytes > lag_bytes_max / 2, "{kept_bytes}");
    assert!(kept_bytes < lag_bytes_max + 3 * 33_000, "{kept_bytes}");
    assert_eq!((metrics.connections, metrics.lagging_connections), (1, 0));
    wait_until("nothing is kept any more", || hub.metrics().lag_bytes == 0);
    drop(stopped);
}

#[test]
fn a_client_that_pauses_goes_on_where_it_was() {
    let options = one_shard().lag_bytes_max(64 << 20);
    let (hub, listener) = serve(options);
    let mut paused = Client::get(listener.local_addr(), "/events?topic=a");
    let mut reader = Client::get(listener.local_addr(), "/events?topic=a");
    let event = |number: usize| format!("{number}").repeat(2_000);
    for number in 0..4_000 {
        hub.publish_wait(&topic("a"), event(number), DEADLINE).unwrap();
        assert_eq!(reader.data(), event(number));
    }
    wait_until("it lags", || hub.metrics().lagging_connections == 1);
    for number in 0..4_000 {
        assert_eq!(paused.data(), event(number));
    }
    wait_until("it has caught up", || hub.metrics().lagging_connections == 0);
    wait_until("nothing is kept any more", || hub.metrics().lag_bytes == 0);
    hub.publish(&topic("a"), "live").unwrap();
    assert_eq!((paused.data(), reader.data()), ("live".into(), "live".into()));
}

#[test]
fn a_client_that_lags_for_too_long_is_disconnected() {
    let age = Duration::from_millis(400);
    let (hub, listener) = serve(one_shard().lag_age_max(age).lag_grace(age));
    let _stopped = Client::get(listener.local_addr(), "/events?topic=a");
    let data = "x".repeat(1 << 20);
    // On a busy machine it may have lagged for too long before this is seen.
    while hub.metrics().lagging_connections == 0 && hub.metrics().connections == 1 {
        hub.publish_wait(&topic("a"), &*data, DEADLINE).unwrap();
    }
    wait_until("it is gone", || hub.metrics().connections == 0);
    assert_eq!(hub.metrics().disconnects(DisconnectReason::Lagging), 1);
}

#[test]
fn a_close_by_the_client_is_seen_at_once_without_any_event() {
    let (hub, listener) = serve(one_shard());
    for _ in 0..3 {
        let clients: Vec<Client> =
            (0..20).map(|_| Client::get(listener.local_addr(), "/events?topic=a")).collect();
        assert_eq!(hub.metrics().connections, 20);
        drop(clients);
        wait_until("they are gone", || hub.metrics().connections == 0);
        assert_eq!(hub.metrics().topics, 0);
    }
    assert_eq!(hub.metrics().disconnects(DisconnectReason::ClientClosed), 60);
}

#[test]
fn a_silent_stream_gets_heartbeats_and_a_busy_one_does_not() {
    let heartbeat = Duration::from_millis(300);
    let (hub, listener) = serve(one_shard().heartbeat(heartbeat));
    let mut silent = Client::get(listener.local_addr(), "/events?topic=silent");
    let mut busy = Client::get(listener.local_addr(), "/events?topic=busy");
    let mut old = Client::send(listener.local_addr(), "GET /events?topic=silent HTTP/1.0\r\n\r\n");
    let start = Instant::now();
    let mut gaps = Vec::new();
    while gaps.len() < 4 {
        let before = Instant::now();
        silent.wait_for_heartbeat();
        gaps.push(before.elapsed());
        old.wait_for_heartbeat();
    }
    assert!(start.elapsed() >= heartbeat * 2, "heartbeats come too often: {gaps:?}");
    hub.publish(&topic("busy"), "b").unwrap();
    assert_eq!(busy.data(), "b");
    // On a busy machine either side may not run for a while, so that the stream is silent after
    // all: not in every stretch of three heartbeats' length.
    wait_until("a busy stream gets no heartbeat", || {
        let (start, before) = (Instant::now(), busy.heartbeats());
        while start.elapsed() < heartbeat * 3 {
            hub.publish(&topic("busy"), "b").unwrap();
            assert_eq!(busy.data(), "b");
            std::thread::sleep(Duration::from_millis(5));
        }
        busy.heartbeats() == before
    });
    assert!(hub.metrics().heartbeats > 8);
}

#[test]
fn closing_the_hub_sends_what_was_published_and_ends_every_stream() {
    let (hub, listener) = serve(shards(2));
    let mut clients: Vec<Client> =
        (0..200).map(|_| Client::get(listener.local_addr(), "/events?topic=a")).collect();
    for number in 0..100 {
        hub.publish_wait(&topic("a"), number.to_string(), DEADLINE).unwrap();
    }
    close(&hub);
    assert!(matches!(hub.publish(&topic("a"), "late"), Err(PublishError::Closed)));
    for client in &mut clients {
        for number in 0..100 {
            assert_eq!(client.data(), number.to_string());
        }
        assert!(client.ends_cleanly());
    }
    drop(listener);
}

#[test]
fn dropping_the_listener_refuses_new_clients_and_keeps_the_others() {
    let (hub, listener) = serve(shards(2));
    let addr = listener.local_addr();
    let mut client = Client::get(addr, "/events?topic=a");
    drop(listener);
    wait_until("the listener is closed", || TcpStream::connect(addr).is_err());
    hub.publish(&topic("a"), "still here").unwrap();
    assert_eq!(client.data(), "still here");
}

#[test]
fn clients_are_spread_over_the_shards() {
    let (hub, listener) = serve(shards(4));
    let clients: Vec<Client> =
        (0..400).map(|_| Client::get(listener.local_addr(), "/events?topic=a")).collect();
    assert_eq!(hub.metrics().connections, 400);
    let batches = hub.metrics().batches;
    hub.publish(&topic("a"), "x").unwrap();
    wait_until("all have it", || hub.metrics().delivered_events == 400);
    assert_eq!(hub.metrics().batches - batches, 4, "every shard has a share");
    drop(clients);
}

#[test]
fn shards_can_be_driven_as_futures_on_any_executor() {
    let (hub, drivers) = fanfare::Hub::with_drivers(shards(2)).unwrap();
    let listener = hub.listen("127.0.0.1:0", Default::default()).unwrap();
    let served: Vec<_> = drivers.into_iter().map(|d| smol::spawn(d.drive())).collect();
    let mut clients: Vec<Client> =
        (0..20).map(|_| Client::get(listener.local_addr(), "/events?topic=a")).collect();
    for number in 0..500 {
        hub.publish_wait(&topic("a"), number.to_string(), DEADLINE).unwrap();
    }
    for client in &mut clients {
        for number in 0..500 {
            assert_eq!(client.data(), number.to_string());
        }
    }
    close(&hub);
    for shard in served {
        smol::block_on(shard).unwrap();
    }
    assert!(clients.iter_mut().all(Client::ends_cleanly));
}

#[test]
fn a_raw_stream_is_byte_for_byte_what_it_should_be() {
    let (hub, listener) = serve(one_shard().retry(Duration::ZERO));
    let before = hub.publish(&topic("b"), "it is not there yet").unwrap().id().unwrap();
    let mut stream = TcpStream::connect(listener.local_addr()).unwrap();
    stream.write_all(b"GET /events?topic=a HTTP/1.0\r\n\r\n").unwrap();
    wait_until("it is connected", || hub.metrics().connections == 1);
    let published = hub.publish(&topic("a"), Event::new("1\n2").with_name("n")).unwrap();
    let id = published.id().unwrap();
    close(&hub);
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    let (_, body) = received.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, format!("id: {before}\n\nid: {id}\nevent: n\ndata: 1\ndata: 2\n\n"));
}

#[test]
fn closing_the_hub_waits_for_a_client_that_has_yet_to_take_what_was_published() {
    let options = one_shard().event_bytes_max(16 << 20);
    let (hub, listener) = serve(options);
    let mut client = Client::get(listener.local_addr(), "/events?topic=a");
    let data = "x".repeat(8 << 20);
    hub.publish(&topic("a"), &*data).unwrap();
    let reader = std::thread::spawn(move || {
        let received = client.data();
        assert!(client.ends_cleanly());
        received
    });
    close(&hub);
    assert!(reader.join().unwrap() == data);
}

#[test]
fn a_driver_that_is_dropped_ends_no_connection_of_other_shards() {
    let options = shards(2);
    let (hub, mut drivers) = fanfare::Hub::with_drivers(options).unwrap();
    drop(drivers.pop());
    let driven = smol::spawn(drivers.pop().unwrap().drive());
    let listener = hub.listen("127.0.0.1:0", Default::default()).unwrap();
    let mut clients: Vec<Client> =
        (0..40).map(|_| Client::get(listener.local_addr(), "/events?topic=a")).collect();
    hub.publish(&topic("a"), "x").unwrap();
    assert!(clients.iter_mut().all(|client| client.data() == "x"));
    close(&hub);
    smol::block_on(driven).unwrap();
}

#[test]
fn a_shard_with_a_dropped_future_leaves_nothing_behind() {
    let (hub, mut drivers) = fanfare::Hub::with_drivers(one_shard()).unwrap();
    let listener = hub.listen("127.0.0.1:0", Default::default()).unwrap();
    let driven = smol::spawn(drivers.pop().unwrap().drive());
    let mut client = Client::get(listener.local_addr(), "/events?topic=a");
    assert_eq!(hub.metrics().connections, 1);
    smol::block_on(driven.cancel());
    assert!(client.ends_cleanly());
    let metrics = hub.metrics();
    assert_eq!((metrics.connections, metrics.topics, metrics.backlog_bytes), (0, 0, 0));
    // There is no subscriber, so the backlog stays empty.
    for _ in 0..10 {
        hub.publish(&topic("a"), "x".repeat(10_000)).unwrap();
    }
}

#[test]
fn a_client_that_never_reads_delays_others_for_a_part_of_the_grace_only_and_is_cut() {
    // A part is a tenth, for which the reader may well get no CPU on a busy machine.
    let lag_grace = Duration::from_secs(20);
    let (hub, listener) = serve(one_shard().lag_grace(lag_grace));
    let mut reader = Client::get(listener.local_addr(), "/events?topic=a");
    let _stopped = Client::get(listener.local_addr(), "/events?topic=a");
    let read = std::thread::spawn(move || while reader.next().name != "last" {});
    let (start, mut worst) = (Instant::now(), Duration::ZERO);
    let data = "x".repeat(10_000);
    while hub.metrics().connections == 2 {
        let before = Instant::now();
        hub.publish_wait(&topic("a"), &*data, DEADLINE).unwrap();
        worst = worst.max(before.elapsed());
        assert!(start.elapsed() < DEADLINE, "it is never cut");
    }
    hub.publish_wait(&topic("a"), Event::new("").with_name("last"), DEADLINE).unwrap();
    read.join().unwrap();
    // A tick more, and what a busy machine adds to it.
    assert!(worst < lag_grace / 2, "{worst:?}");
}
