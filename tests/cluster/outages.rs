//! A server that is gone for a while, and connections that are cut: nothing is lost, doubled or silent.

use std::time::{Duration, Instant};

use fanfare::{Event, Hub, PublishError};

use crate::follower::{cluster, node, options, topic, Follower};
use crate::proxy::Proxy;
use crate::server::Server;
use crate::support::{wait_until, DEADLINE};

#[test]
fn a_full_outbox_is_full_and_a_server_that_is_long_gone_is_unreachable() {
    let server = Server::start();
    let small = cluster(server.url()).backlog_bytes_max(64 << 10);
    let hub = Hub::start(options(small)).unwrap();
    let other = node(server.url());
    let mut client = Follower::of(&hub, &["t"]);
    hub.publish_wait(&topic("t"), "first", DEADLINE).unwrap();
    assert_eq!(hub.cluster_trouble(), None);
    server.stop();
    let stopped = Instant::now();
    let data = |number: usize| format!("{number} {}", "x".repeat(1_000));
    let mut taken = 0;
    let refused = loop {
        match hub.publish(&topic("t"), &*data(taken)) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100, "64 KiB are full");
    };
    assert!(stopped.elapsed() < Duration::from_secs(8), "the machine is too slow for this test");
    assert_eq!(refused, PublishError::Full);
    assert!(taken > 40, "{taken}");
    wait_until("the trouble is told", || hub.cluster_trouble().is_some());
    assert_eq!(hub.metrics().cluster_failing, 1);
    let error = hub.publish_wait(&topic("t"), &*data(0), DEADLINE).unwrap_err();
    assert_eq!(error, PublishError::Unreachable);
    assert!(stopped.elapsed() >= Duration::from_secs(10), "{:?}", stopped.elapsed());
    assert_eq!(hub.publish(&topic("t"), &*data(0)).unwrap_err(), PublishError::Unreachable);
    let ended = hub.finish(&topic("t"), Some(Event::new(data(0)))).unwrap_err();
    assert_eq!(ended, PublishError::Unreachable);
    // Its clients stay, all the while.
    assert!(!client.is_ended);
    server.go_on();
    wait_until("it serves again", || hub.cluster_trouble().is_none());
    hub.publish_wait(&topic("t"), "last", DEADLINE).unwrap();
    let mut at_other = Follower::of(&other, &["t"]);
    for (client, hub) in [(&mut client, &hub), (&mut at_other, &other)] {
        client.wait_for(hub, taken + 2);
        let expected = (0..taken).map(data);
        let expected: Vec<_> =
            ["first".to_owned()].into_iter().chain(expected).chain(["last".to_owned()]).collect();
        assert_eq!(client.data(), expected);
        assert_eq!(client.gaps, [] as [String; 0]);
    }
}

#[test]
fn an_append_whose_answer_was_lost_is_not_doubled() {
    const ROUNDS: usize = 40;
    let server = Server::start();
    let proxy = Proxy::to(server.port);
    let (cut, other) = (node(proxy.url()), node(server.url()));
    let mut client = Follower::of(&other, &["t"]);
    let mut at_cut = Follower::of(&cut, &["t"]);
    let mut count = 0;
    for _ in 0..ROUNDS {
        let before = proxy.lost_answers();
        proxy.lose_answers();
        for _ in 0..fastrand::usize(1..20) {
            cut.publish(&topic("t"), &*count.to_string()).unwrap();
            count += 1;
        }
        wait_until("an answer was lost", || proxy.lost_answers() > before);
        proxy.pass();
        for _ in 0..fastrand::usize(0..3) {
            cut.publish(&topic("t"), &*count.to_string()).unwrap();
            count += 1;
        }
    }
    for (client, hub) in [(&mut client, &other), (&mut at_cut, &cut)] {
        client.wait_for(hub, count);
        assert_eq!(client.numbers(), (0..count as u64).collect::<Vec<_>>());
        assert_eq!(client.gaps, [] as [String; 0]);
    }
    cut.publish_wait(&topic("t"), "end", DEADLINE).unwrap();
    client.wait_for(&other, count + 1);
}

#[test]
fn connections_that_are_cut_and_held_lose_and_double_nothing() {
    let server = Server::start();
    let proxy = Proxy::to(server.port);
    let (cut, other) = (node(proxy.url()), node(server.url()));
    let (mut client, mut at_cut) = (Follower::of(&other, &["t"]), Follower::of(&cut, &["t"]));
    let (mut count, start) = (0, Instant::now());
    for round in 0..30 {
        for nth in 0..20 {
            let hub = if (round + nth) % 3 == 0 { &other } else { &cut };
            hub.publish(&topic("t"), &*count.to_string()).unwrap();
            count += 1;
        }
        match round % 3 {
            0 => proxy.cut(),
            1 => {
                proxy.hold();
                std::thread::sleep(Duration::from_millis(fastrand::u64(1..150)));
                proxy.pass();
            }
            _ => {
                proxy.hold();
                std::thread::sleep(Duration::from_millis(20));
                proxy.cut();
                proxy.pass();
            }
        }
        assert!(start.elapsed() < DEADLINE);
    }
    client.wait_until(&other, |client| client.events.len() >= count);
    at_cut.wait_until(&cut, |client| client.events.len() >= count);
    assert_eq!(client.events, at_cut.events);
    let mut numbers = client.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..count as u64).collect::<Vec<_>>());
    assert_eq!((client.gaps.len(), at_cut.gaps.len()), (0, 0));
}

#[test]
fn nobody_notices_a_server_that_restarts_with_everything() {
    let mut server = Server::start();
    let (a, b) = (node(server.url()), node(server.url()));
    let (mut at_a, mut at_b) = (Follower::of(&a, &["t"]), Follower::of(&b, &["t"]));
    let mut count = 0;
    for round in 0..5 {
        for _ in 0..50 {
            a.publish(&topic("t"), &*count.to_string()).unwrap();
            count += 1;
        }
        if round % 2 == 0 {
            at_a.wait_for(&a, count);
        }
        server.restart();
    }
    a.publish_wait(&topic("t"), &*count.to_string(), DEADLINE).unwrap();
    count += 1;
    for (client, hub) in [(&mut at_a, &a), (&mut at_b, &b)] {
        client.wait_for(hub, count);
        assert_eq!(client.numbers(), (0..count as u64).collect::<Vec<_>>());
        assert!(!client.is_ended, "it stayed");
        assert_eq!(client.gaps, [] as [String; 0]);
        // With the ids of before it goes on at a node that was not there then.
    }
    let late = node(server.url());
    at_a.go_to(&late);
    a.publish(&topic("t"), &*count.to_string()).unwrap();
    at_a.wait_for(&late, count + 1);
    assert_eq!(at_a.gaps, [] as [String; 0]);
    let mut all = Follower::of(&late, &["t"]);
    all.wait_for(&late, count + 1);
    assert_eq!(all.events, at_a.events);
}

#[test]
fn a_node_does_not_notice_that_the_server_stands_still_for_a_moment() {
    let server = Server::start();
    let (a, b) = (node(server.url()), node(server.url()));
    let mut client = Follower::of(&b, &["t"]);
    for number in 0..20 {
        a.publish(&topic("t"), &*number.to_string()).unwrap();
        server.stop();
        std::thread::sleep(Duration::from_millis(if number % 5 == 0 { 700 } else { 20 }));
        server.go_on();
    }
    client.wait_for(&b, 20);
    assert_eq!(client.numbers(), (0..20).collect::<Vec<_>>());
    assert_eq!(client.gaps, [] as [String; 0]);
}
