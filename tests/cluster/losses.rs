//! What the server has lost: the clients of those nodes that miss something are told, and nobody else.

use std::time::Duration;

use fanfare::{Hub, StartError};

use crate::follower::{cluster, node, options, topic, Follower};
use crate::proxy::Proxy;
use crate::server::Server;
use crate::support::{wait_until, DEADLINE};

fn publish_each(hub: &Hub, numbers: std::ops::Range<u64>) {
    for number in numbers {
        hub.publish_wait(&topic("t"), &*number.to_string(), DEADLINE).unwrap();
    }
}

#[test]
fn clients_of_nodes_that_had_read_less_than_was_lost_are_told_and_nobody_sees_an_event_twice() {
    let mut server = Server::start();
    let proxy = Proxy::to(server.port);
    // The node `behind` reads through the proxy.
    let (ahead, behind) = (node(server.url()), node(proxy.url()));
    let mut at_ahead = Follower::of(&ahead, &["t"]);
    let mut at_behind = Follower::of(&behind, &["t"]);
    publish_each(&ahead, 0..50);
    at_behind.wait_for(&behind, 50);
    let backup = server.backup();
    proxy.hold();
    // Longer than what the node may have asked for already.
    std::thread::sleep(Duration::from_millis(50));
    publish_each(&ahead, 50..100);
    at_ahead.wait_for(&ahead, 100);
    server.restart_from(&backup);
    ahead.publish_wait(&topic("t"), "100", DEADLINE).unwrap();
    proxy.cut();
    proxy.pass();
    publish_each(&ahead, 101..120);

    at_ahead.wait_for_data(&ahead, "119");
    assert_eq!(at_ahead.numbers(), (0..120).collect::<Vec<_>>());
    assert_eq!(at_ahead.gaps, [] as [String; 0], "its node had read everything");
    assert!(!at_ahead.is_ended);

    at_behind.wait_for_data(&behind, "119");
    assert_eq!(at_behind.numbers(), (0..50).chain(100..120).collect::<Vec<_>>());
    assert!(at_behind.is_told_lost(), "{:?}", at_behind.gaps);
    assert_eq!(at_behind.gaps.len(), 1, "{:?}", at_behind.gaps);
    assert!(behind.metrics().cluster_losses >= 1);
    assert_eq!(ahead.metrics().cluster_losses, 0);

    // Each goes on at the other, and at a node that comes later.
    let late = node(server.url());
    for (client, hubs) in
        [(&mut at_ahead, [&behind, &late, &ahead]), (&mut at_behind, [&ahead, &late, &behind])]
    {
        let count = client.events.len();
        for hub in hubs {
            client.go_to(hub);
            while client.receive(Duration::from_millis(100)) {}
        }
        assert_eq!(client.events.len(), count, "nothing is seen twice");
    }
    publish_each(&late, 120..125);
    at_ahead.wait_for_data(&ahead, "124");
    at_behind.wait_for_data(&behind, "124");
    assert_eq!(at_ahead.numbers(), (0..125).collect::<Vec<_>>());
}

#[test]
fn a_client_with_an_event_that_is_lost_is_told_by_a_node_that_never_had_it() {
    let mut server = Server::start();
    let a = node(server.url());
    let mut client = Follower::of(&a, &["t"]);
    publish_each(&a, 0..10);
    client.wait_for(&a, 10);
    let backup = server.backup();
    publish_each(&a, 10..20);
    let mut halfway = Follower::of(&a, &["t"]);
    client.wait_until(&a, |client| client.events.len() >= 15);
    halfway.wait_until(&a, |client| client.events.len() >= 20);
    a.close();
    server.restart_from(&backup);
    // No node is left that had read it.
    let b = node(server.url());
    publish_each(&b, 20..25);
    for client in [&mut client, &mut halfway] {
        client.go_to(&b);
        client.wait_for_data(&b, "24");
        let numbers = client.numbers();
        assert!(numbers.is_sorted_by(|a, b| a < b), "each once, in order: {numbers:?}");
        assert!(numbers.ends_with(&[20, 21, 22, 23, 24]));
        assert!(!client.gaps.is_empty(), "that it had a lost event is told");
    }
}

#[test]
fn what_was_not_read_back_when_the_server_lost_it_is_sent_again() {
    let mut server = Server::start();
    let proxy = Proxy::to(server.port);
    let (a, b) = (node(proxy.url()), node(server.url()));
    let mut at_b = Follower::of(&b, &["t"]);
    publish_each(&a, 0..10);
    at_b.wait_for(&b, 10);
    let backup = server.backup();
    // The server takes it, the other node reads it, and its publisher hears of neither.
    proxy.lose_answers();
    a.publish(&topic("t"), "10").unwrap();
    at_b.wait_for(&b, 11);
    server.restart_from(&backup);
    proxy.pass();
    a.publish_wait(&topic("t"), "11", DEADLINE).unwrap();
    at_b.wait_for_data(&b, "11");
    let mut at_a = Follower::of(&a, &["t"]);
    at_a.wait_for_data(&a, "11");
    assert_eq!(at_a.numbers(), (0..12).collect::<Vec<_>>());
    assert_eq!(at_b.numbers(), (0..12).collect::<Vec<_>>());
    // Its node has had the event, but a client that came from the other one meanwhile has not.
    assert!(at_b.is_told_lost(), "{:?}", at_b.gaps);
}

#[test]
fn a_server_that_is_emptied_while_all_are_connected_begins_another_life() {
    let server = Server::start();
    let (a, b) = (node(server.url()), node(server.url()));
    let (mut at_a, mut at_b) = (Follower::of(&a, &["t"]), Follower::of(&b, &["t"]));
    publish_each(&a, 0..20);
    at_a.wait_for(&a, 20);
    at_b.wait_for(&b, 20);
    server.ask::<String>(&["FLUSHALL"]);
    publish_each(&b, 20..30);
    publish_each(&a, 30..40);
    for (client, hub) in [(&mut at_a, &a), (&mut at_b, &b)] {
        client.wait_for(hub, 40);
        assert_eq!(client.numbers(), (0..40).collect::<Vec<_>>());
        assert_eq!(client.gaps, [] as [String; 0], "both had read all of it");
    }
    // One that comes later does not have what was before; who had that is told nothing else.
    let late = node(server.url());
    let mut all = Follower::of(&late, &["t"]);
    all.wait_for_data(&late, "39");
    assert_eq!(all.numbers(), (20..40).collect::<Vec<_>>());
    at_a.go_to(&late);
    publish_each(&late, 40..42);
    at_a.wait_for_data(&late, "41");
    assert_eq!(at_a.numbers(), (0..42).collect::<Vec<_>>());
}

#[test]
fn a_server_that_keeps_nothing_restarts_empty_and_its_nodes_go_on() {
    let mut server = Server::with(&["--appendonly", "no"]);
    let hubs = [node(server.url()), node(server.url())];
    let mut clients = hubs.each_ref().map(|hub| Follower::of(hub, &["t"]));
    for round in 0..3 {
        publish_each(&hubs[0], round * 10..round * 10 + 10);
        for (client, hub) in clients.iter_mut().zip(&hubs) {
            client.wait_for(hub, round as usize * 10 + 10);
        }
        server.restart();
    }
    publish_each(&hubs[1], 30..40);
    for (client, hub) in clients.iter_mut().zip(&hubs) {
        client.wait_for(hub, 40);
        assert_eq!(client.numbers(), (0..40).collect::<Vec<_>>());
        assert_eq!(client.gaps, [] as [String; 0]);
    }
}

#[test]
fn a_node_that_was_cut_off_for_longer_than_the_stream_keeps_has_its_clients_told() {
    let server = Server::start();
    let proxy = Proxy::to(server.port);
    let start = |url: String| -> Result<Hub, StartError> {
        Hub::start(options(cluster(url).stream_events_max(1_000)))
    };
    let (there, away) = (start(server.url()).unwrap(), start(proxy.url()).unwrap());
    let mut client = Follower::of(&away, &["t"]);
    publish_each(&there, 0..10);
    client.wait_for(&away, 10);
    proxy.hold();
    std::thread::sleep(Duration::from_millis(50));
    publish_each(&there, 10..3_000);
    let entries = || server.ask::<u64>(&["XLEN", "{fanfare}:stream"]);
    wait_until("the stream was trimmed", || entries() < 2_000);
    proxy.cut();
    proxy.pass();
    publish_each(&there, 3_000..3_010);
    client.wait_for_data(&away, "3009");
    assert!(client.is_told_lost(), "{:?}", client.gaps);
    let numbers = client.numbers();
    assert!(numbers.is_sorted_by(|a, b| a < b), "each once, in order");
    // One gap, and nothing is missing before it or behind it.
    let holes = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert_eq!((holes, client.gaps.len()), (1, 1), "{:?}", client.gaps);
    // The other node has everything, and so has a client that goes there in time.
    let mut other = Follower::of(&there, &["t"]);
    other.wait_for(&there, 3_010);
}

#[test]
fn a_life_that_only_one_node_knew_is_not_mistaken_for_the_next_one() {
    let mut server = Server::start();
    let proxies = [Proxy::to(server.port), Proxy::to(server.port)];
    let [a, b] = proxies.each_ref().map(|proxy| node(proxy.url()));
    let (mut at_a, mut at_b) = (Follower::of(&a, &["t"]), Follower::of(&b, &["t"]));
    publish_each(&a, 0..10);
    at_a.wait_for(&a, 10);
    at_b.wait_for(&b, 10);
    let backup = server.backup();
    // The second life, of which one of them alone hears.
    proxies[1].hold();
    server.restart_from(&backup);
    publish_each(&a, 10..20);
    at_a.wait_for(&a, 20);
    // It is lost as a whole, and the other begins its second life.
    proxies[0].hold();
    server.restart_from(&backup);
    proxies[1].cut();
    proxies[1].pass();
    publish_each(&b, 20..30);
    proxies[0].cut();
    proxies[0].pass();
    publish_each(&a, 30..40);
    publish_each(&b, 40..50);
    at_a.wait_for_data(&a, "49");
    at_b.wait_for_data(&b, "49");
    for client in [&at_a, &at_b] {
        let numbers = client.numbers();
        assert!(numbers.is_sorted_by(|a, b| a < b), "each once, in order: {numbers:?}");
        assert!(numbers.ends_with(&(30..50).collect::<Vec<_>>()), "{numbers:?}");
    }
    // The one that knew the life that is lost reads the next one, and its clients know that there is a break. It tells
    // the other how far it had read, whose clients miss what the server had of that life.
    let missing = (20..30).filter(|number| !at_a.numbers().contains(number)).count();
    assert!(missing == 0 || at_a.is_told_lost(), "{missing} {:?}", at_a.gaps);
    at_b.wait_until(&b, Follower::is_told_lost);
    assert_eq!(at_b.numbers(), (0..10).chain(20..50).collect::<Vec<_>>());
}

#[test]
fn a_client_of_a_life_that_its_next_node_has_not_read_of_yet_is_not_told_that_all_began_anew() {
    let mut server = Server::start();
    let proxy = Proxy::to(server.port);
    let ahead = node(server.url());
    let behind = node(proxy.url());
    let mut client = Follower::of(&ahead, &["t"]);
    publish_each(&ahead, 0..5);
    client.wait_for(&ahead, 5);
    proxy.hold();
    server.restart();
    publish_each(&ahead, 5..10);
    client.wait_for(&ahead, 10);
    for _ in 0..10 {
        client.go_to(&behind);
        client.receive(Duration::from_millis(20));
        assert_eq!((client.events.len(), &*client.gaps), (10, &[][..]));
    }
    proxy.cut();
    proxy.pass();
    publish_each(&ahead, 10..12);
    client.wait_for(&behind, 12);
    assert_eq!(client.gaps, [] as [String; 0]);

    // What is nobody's life is told as such, a moment later.
    let mut stranger = Follower::of(&ahead, &["t"]);
    stranger.come_with("abcdefgh-5");
    stranger.wait_until(&ahead, |client| client.gaps.len() == 1);
    assert!(stranger.gaps[0].contains(r#""from":"abcdefgh-5""#), "{:?}", stranger.gaps);
}
