//! Who is connected anywhere: any node says it of all nodes, within its time, and says who has not answered.

use std::time::{Duration, Instant};

use fanfare::{
    AdminError, ClusterConnections, ConnectionFilter, EventStream, Hub, StreamOptions, Subscription,
};
use rustix::process::Signal;
use serde_json::{json, Value};

use crate::follower::{cluster, node, options, topic};
use crate::program::{ask, Node, EVERYTHING};
use crate::proxy::Proxy;
use crate::server::Server;
use crate::support::{wait_until, Client, DEADLINE};

fn client(hub: &Hub, subscription: &str, tag: &str) -> EventStream {
    let subscription: Subscription = subscription.parse().unwrap();
    hub.subscribe([subscription], StreamOptions::default().tag(tag)).unwrap()
}

fn all_of(hub: &Hub) -> ClusterConnections {
    hub.cluster_connections(&ConnectionFilter::default(), DEADLINE).unwrap()
}

/// How many nodes there are, how many answered, and how many connections they have.
fn sums(found: &ClusterConnections) -> (usize, usize, u64) {
    assert_eq!(found.nodes, found.answered + found.missing.len());
    (found.nodes, found.answered, found.count)
}

/// Waits until all nodes answer, as they do a moment after they have come.
fn wait_for_nodes(hub: &Hub, nodes: usize) {
    wait_until("all nodes answer", || {
        let found = all_of(hub);
        (found.nodes, found.answered) == (nodes, nodes)
    });
}

/// An answer that comes too late is taken by nobody. It is gone soon.
fn all_answers_expire(server: &Server) {
    let keys: Vec<String> = server.ask(&["KEYS", "{fanfare}:answers:*"]);
    for key in keys {
        let seconds: i64 = server.ask(&["TTL", &key]);
        // -2 is of one that has just gone.
        assert!(seconds == -2 || (0..=15).contains(&seconds), "{key} {seconds}");
    }
}

#[test]
fn each_node_counts_and_lists_the_connections_of_all() {
    let server = Server::start();
    let hubs = [(); 3].map(|()| node(server.url()));
    let mut clients = Vec::new();
    for (nth, hub) in hubs.iter().enumerate() {
        clients.extend((0..=nth).map(|_| client(hub, "rooms/1", "ann")));
        clients.push(client(hub, "rooms/#", "bob"));
        clients.push(client(hub, "other", "ann"));
    }
    let names: Vec<&str> = hubs.iter().map(|hub| hub.cluster_node().unwrap()).collect();
    let filter = ConnectionFilter::default;
    let room: Subscription = "rooms/1".parse().unwrap();
    let rooms: Subscription = "rooms/#".parse().unwrap();
    for hub in &hubs {
        wait_for_nodes(hub, 3);
        for (filter, expected) in [
            (filter(), 12),
            (filter().subscription(room.clone()), 6),
            (filter().subscription(rooms.clone()), 3),
            (filter().tag("ann"), 9),
            (filter().tag("ann").subscription(room.clone()), 6),
            (filter().tag("nobody"), 0),
            (filter().tag("x".repeat(10_000)), 0),
            (filter().lagging(true), 0),
        ] {
            let found = hub.cluster_connections(&filter, DEADLINE).unwrap();
            assert_eq!(sums(&found), (3, 3, expected), "{filter:?}");
            assert_eq!(found.connections.len() as u64, expected);
            for one in &found.connections {
                assert!(filter
                    .tag
                    .as_ref()
                    .is_none_or(|tag| one.connection.tag.as_ref() == Some(tag)));
                let wanted = &one.connection.subscriptions;
                assert!(filter.subscription.as_ref().is_none_or(|one| wanted.contains(one)));
            }
        }
        // As its own node describes it.
        let found = all_of(hub);
        for (nth, (name, at)) in names.iter().zip(&hubs).enumerate() {
            let there = found.connections.iter().filter(|one| &*one.node == *name);
            let mut there: Vec<_> = there.map(|one| one.connection.clone()).collect();
            let mut own = at.connections(&filter()).unwrap();
            assert_eq!(own.len(), nth + 3);
            for list in [&mut there, &mut own] {
                list.sort_by_key(|info| info.id.to_u64());
            }
            for (one, other) in there.iter().zip(&own) {
                assert_eq!((one.id, &one.subscriptions), (other.id, &other.subscriptions));
                assert_eq!((&one.tag, one.addr, one.state), (&other.tag, other.addr, other.state));
                // It is reckoned from an age in milliseconds.
                let since = other.since.duration_since(one.since).unwrap_or_else(|e| e.duration());
                assert!(since < Duration::from_secs(1), "{since:?}");
            }
        }
        let found = hub.cluster_subscribers(&topic("rooms/1"), DEADLINE).unwrap();
        assert_eq!((sums(&found), found.connections.len()), ((3, 3, 9), 0));
        let found = smol::block_on(hub.cluster_subscribers_async(&topic("rooms/2"), DEADLINE));
        assert_eq!(sums(&found.unwrap()), (3, 3, 3));
        // A bound on what is listed is none on what is counted.
        for (limit, slowest_first) in [(0, false), (5, false), (5, true), (usize::MAX, true)] {
            let filter = filter().limit(limit).slowest_first(slowest_first);
            let found = smol::block_on(hub.cluster_connections_async(&filter, DEADLINE)).unwrap();
            assert_eq!((sums(&found), found.connections.len()), ((3, 3, 12), limit.min(12)));
        }
    }
    // One that ends in order is not missed.
    let [a, b, c] = hubs;
    c.close();
    assert_eq!(sums(&all_of(&a)), (2, 2, 7));
    drop(clients);
    wait_until("none is there", || all_of(&b).count == 0);
    let keys: Vec<String> = server.ask(&["KEYS", "{fanfare}:answers:*"]);
    assert_eq!(keys, [] as [String; 0], "answers that were taken are gone");
    let seconds: i64 = server.ask(&["TTL", "{fanfare}:questions"]);
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[test]
fn a_hub_in_no_cluster_says_so() {
    let hub = Hub::start(fanfare::Options::default()).unwrap();
    let found = hub.cluster_connections(&ConnectionFilter::default(), DEADLINE);
    assert_eq!(found, Err(AdminError::NoCluster));
}

/// What a node answers over HTTP.
fn http(node: &Node, query: &str, wait: &str) -> (u16, Value) {
    let request =
        format!("GET {query} HTTP/1.0\r\nHost: {}\r\nPrefer: wait={wait}\r\n\r\n", node.control);
    let (status, answer) = ask(node.control, &request, DEADLINE).expect("it answers");
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).unwrap())
}

#[test]
fn a_node_that_stands_still_is_missed_and_one_that_is_dead_is_forgotten() {
    let server = Server::start();
    let [a, mut b, c] = [(); 3].map(|()| Node::start(&server.url(), EVERYTHING));
    let clients: Vec<_> =
        [&a, &b, &b, &c].map(|node| Client::get(node.addr, "/events?topic=t&tag=x")).into();
    let all = |wait: &str| {
        let (status, found) = http(&a, "/connections?cluster=1&tag=x", wait);
        assert_eq!(status, 200, "{found}");
        let number = |name: &str| found[name].as_u64().unwrap();
        assert_eq!(
            number("nodes") - number("answered"),
            found["missing"].as_array().unwrap().len() as u64
        );
        assert_eq!(number("count"), found["connections"].as_array().unwrap().len() as u64);
        (number("nodes"), number("answered"), number("count"))
    };
    wait_until("all nodes answer", || all("10") == (3, 3, 4));
    let (_, found) = http(&c, "/connections?cluster=1&topic=t&limit=3", "10");
    assert_eq!((&found["count"], found["connections"].as_array().unwrap().len()), (&json!(4), 3));
    let one = &found["connections"][0];
    assert_eq!((&one["topics"], one["node"].as_str().unwrap().len()), (&json!(["t"]), 16));
    let (_, found) = http(&b, "/topics?topic=t&cluster=1", "10");
    let expected = json!({ "nodes": 3, "answered": 3, "missing": [],
                           "topics": [{ "topic": "t", "subscribers": 4 }] });
    assert_eq!(found, expected);
    for (query, text) in [
        ("/connections?cluster=2", "cluster is 0 or 1"),
        ("/connections?cluster=1&cluster=1", "say cluster once"),
        ("/connections?cluster=1&limit=10001", "limit is at most 10000"),
        ("/connections?cluster=1&topic=a%2F%23%2Fb", "#"),
        ("/topics?cluster=1", "say which topic"),
        ("/topics?cluster=1&topic=a%2F%23", "#"),
    ] {
        let (status, refused) = http(&a, query, "10");
        assert_eq!((status, &refused["code"]), (400, &json!("invalid")), "{query}");
        assert!(refused["error"].as_str().unwrap().contains(text), "{refused}");
    }
    b.signal(Signal::STOP);
    let start = Instant::now();
    assert_eq!(all("1"), (3, 2, 2));
    let took = start.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&took), "{took:?}");
    b.signal(Signal::CONT);
    wait_until("it answers again", || all("10") == (3, 3, 4));
    b.kill();
    let killed = Instant::now();
    let (nodes, answered, count) = all("0");
    assert_eq!(nodes, 3, "it is missed for a while");
    assert!((1..=2).contains(&answered) && count == answered, "{answered} {count}");
    wait_until("it is forgotten", || all("1") == (2, 2, 2));
    let took = killed.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(20)).contains(&took), "{took:?}");
    drop(clients);
}

#[test]
fn a_server_that_is_away_is_told_within_the_time() {
    let mut server = Server::start();
    let (a, b) = (node(server.url()), node(server.url()));
    let _client = client(&b, "t", "x");
    wait_for_nodes(&a, 2);
    let refused = || {
        let start = Instant::now();
        let found = a.cluster_connections(&ConnectionFilter::default(), Duration::from_secs(1));
        assert!(matches!(found, Err(AdminError::Unreachable { .. })), "{found:?}");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        found.unwrap_err().to_string()
    };
    server.stop();
    refused();
    server.go_on();
    server.kill();
    let told = refused();
    assert!(told.contains("refused"), "{told}");
    server.launch();
    wait_until("the nodes are there again", || sums(&all_of(&a)) == (2, 2, 1));
}

#[test]
fn a_server_that_has_forgotten_the_nodes_knows_them_before_a_question_is_answered() {
    // It keeps nothing.
    let mut server = Server::with(&[]);
    let (a, b) = (node(server.url()), node(server.url()));
    let _client = client(&b, "t", "x");
    assert_eq!(sums(&all_of(&a)), (2, 2, 1));
    for round in 0..2 {
        match round {
            0 => server.ask::<String>(&["FLUSHALL"]).clear(),
            _ => server.restart(),
        }
        let mut found = None;
        wait_until("the question is answered", || {
            found = a.cluster_connections(&ConnectionFilter::default(), DEADLINE).ok();
            found.is_some()
        });
        assert_eq!(sums(&found.unwrap()), (2, 2, 1), "{round}");
    }
}

#[test]
fn questions_at_once_are_bounded_and_the_others_are_answered() {
    const ASKERS: usize = 3 * AdminError::CLUSTER_QUESTIONS_MAX;
    let server = Server::start();
    let (a, b) = (node(server.url()), node(server.url()));
    let _client = client(&b, "t", "x");
    wait_for_nodes(&a, 2);
    // While the server stands still no question is over.
    server.stop();
    let barrier = std::sync::Barrier::new(ASKERS + 1);
    let refused = std::thread::scope(|scope| {
        let ask = || {
            let found = a.cluster_connections(&ConnectionFilter::default(), DEADLINE);
            barrier.wait();
            found
        };
        let first: Vec<_> = (0..ASKERS).map(|_| scope.spawn(ask)).collect();
        barrier.wait();
        let all = first.into_iter().map(|asked| asked.join().unwrap());
        all.filter(|asked| *asked == Err(AdminError::TooManyQuestions)).count()
    });
    assert_eq!(refused, ASKERS - AdminError::CLUSTER_QUESTIONS_MAX);
    server.go_on();
    wait_for_nodes(&a, 2);
    // As many as may be are all answered, by both nodes.
    std::thread::scope(|scope| {
        let hubs = [&a, &b].into_iter().cycle().take(2 * AdminError::CLUSTER_QUESTIONS_MAX);
        let asked: Vec<_> = hubs.map(|hub| scope.spawn(|| all_of(hub))).collect();
        for found in asked {
            assert_eq!(sums(&found.join().unwrap()), (2, 2, 1));
        }
    });
    all_answers_expire(&server);
}

#[test]
fn a_node_whose_connections_are_cut_or_held_is_missed_and_comes_back() {
    let server = Server::start();
    let proxy = Proxy::to(server.port);
    let a = node(server.url());
    let patient = cluster(proxy.url()).answer_timeout(Duration::from_secs(5));
    let b = Hub::start(options(patient)).unwrap();
    let _client = client(&b, "t", "x");
    wait_for_nodes(&a, 2);
    for _ in 0..5 {
        proxy.cut();
        // It is asked while it is away, and answers when it is back.
        assert_eq!(sums(&all_of(&a)), (2, 2, 1));
    }
    proxy.hold();
    let found = a.cluster_connections(&ConnectionFilter::default(), Duration::from_millis(300));
    let found = found.unwrap();
    assert_eq!(sums(&found), (2, 1, 0));
    assert_eq!(&*found.missing[0], b.cluster_node().unwrap());
    proxy.pass();
    assert_eq!(sums(&all_of(&a)), (2, 2, 1));
    assert_eq!(sums(&all_of(&b)), (2, 2, 1));
    all_answers_expire(&server);
}

#[test]
fn a_short_answer_timeout_is_no_trouble() {
    let server = Server::start();
    let hasty = || cluster(server.url()).answer_timeout(Duration::from_millis(100));
    let hubs = [(); 2].map(|()| Hub::start(options(hasty())).unwrap());
    let _client = client(&hubs[1], "t", "x");
    wait_until("both answer", || {
        let found = hubs[0].cluster_connections(&ConnectionFilter::default(), DEADLINE);
        found.is_ok_and(|found| sums(&found) == (2, 2, 1))
    });
}
