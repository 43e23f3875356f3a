//! Clients that come back with ids from before what a node's memory keeps: they are sent what the stream has, and told
//! of the rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fanfare::{Event, Hub, ListenOptions, Options, StreamOptions, Subscription, TopicOptions};

use crate::follower::{cluster, options, topic, Follower};
use crate::server::Server;
use crate::support::{wait_until, Client, DEADLINE};

/// A node whose memory keeps ten events of each topic.
fn forgetful(server: &Server) -> Hub {
    Hub::start(few(options(cluster(server.url())))).expect("the node joins")
}

fn few(options: Options) -> Options {
    options.history_events_max(10)
}

/// Publishes numbers to a topic, and waits until the node has read them back.
fn publish(hub: &Hub, name: &str, numbers: std::ops::Range<u64>) {
    for number in numbers {
        hub.publish(&topic(name), &*number.to_string()).unwrap();
    }
    wait_until("the node has read what it published", || hub.metrics().cluster_backlog_bytes == 0);
}

fn have_read_all(hubs: &[&Hub]) {
    wait_until("all nodes have read the same", || {
        let read: Vec<u64> = hubs.iter().map(|hub| hub.metrics().published_events).collect();
        read.iter().all(|events| *events == read[0])
    });
}

/// A client that had the first events, and is away.
fn gone(hub: &Hub, topics: &[&str], had: usize) -> Follower {
    let mut client = Follower::of(hub, topics);
    client.wait_for(hub, had);
    client.leave();
    client
}

fn all(numbers: std::ops::Range<u64>) -> Vec<u64> {
    numbers.collect()
}

#[test]
fn what_a_node_has_forgotten_comes_from_the_stream_once_in_order_and_with_its_ids() {
    let server = Server::start();
    let (a, b) = (forgetful(&server), forgetful(&server));
    let mut witness = Follower::of(&a, &["t"]);
    publish(&a, "t", 0..10);
    have_read_all(&[&a, &b]);
    let mut away = [
        (&a, gone(&a, &["t"], 10)),
        (&b, gone(&b, &["t"], 10)),
        (&a, gone(&a, &["#"], 10)),
        (&b, gone(&b, &["x", "+"], 10)),
    ];
    // Several parts, of events that came one by one and in batches.
    for number in 10..100 {
        a.publish_wait(&topic("t"), &*number.to_string(), DEADLINE).unwrap();
    }
    publish(&b, "t", 100..6_000);
    have_read_all(&[&a, &b]);
    witness.wait_for(&a, 6_000);
    assert_eq!(witness.gaps, [] as [String; 0]);
    for (hub, client) in &mut away {
        client.go_to(hub);
        client.wait_for(hub, 6_000);
        assert_eq!(client.gaps, [] as [String; 0]);
        assert!(client.events == witness.events, "{:?}", client.topics());
    }
    publish(&a, "t", 6_000..6_010);
    for (hub, client) in &mut away {
        client.wait_for(hub, 6_010);
        assert_eq!(client.numbers(), all(0..6_010));
    }
    // A node that starts later has read all, and forgotten most of it.
    let late = forgetful(&server);
    let mut client = gone(&a, &["t"], 10);
    client.go_back_to(&witness.events[3]);
    client.go_to(&late);
    client.wait_until(&late, |client| client.events.len() >= 10 + 6_006);
    assert!(client.events[10..] == away[0].1.events[4..]);
    assert_eq!(client.gaps, [] as [String; 0]);
}

#[test]
fn a_rare_topic_and_events_of_several_topics_are_found_among_many_others() {
    let server = Server::start();
    let (a, b) = (forgetful(&server), forgetful(&server));
    let mut witness = Follower::of(&a, &["rare", "both/#"]);
    a.publish_wait(&topic("rare"), "first", DEADLINE).unwrap();
    have_read_all(&[&a, &b]);
    let mut client = gone(&b, &["rare", "both/#"], 1);
    for round in 0..15 {
        publish(&a, "other", 0..400);
        a.publish(&topic("rare"), &*format!("rare {round}")).unwrap();
        let both = [topic("both/x"), topic("both/y")];
        a.publish_to(&both, Event::new(format!("both {round}")).with_id(format!("own {round}")))
            .unwrap();
    }
    publish(&a, "other", 0..400);
    have_read_all(&[&a, &b]);
    witness.wait_for(&a, 31);
    client.go_to(&b);
    client.wait_for(&b, 31);
    assert_eq!(client.events, witness.events, "with the ids that publishers gave");
    assert_eq!(client.gaps, [] as [String; 0]);
}

#[test]
fn a_client_of_a_rare_topic_is_told_how_far_it_is_where_nothing_was_for_it() {
    let server = Server::start();
    let hub = forgetful(&server);
    publish(&hub, "rare", 0..2);
    let mut client = gone(&hub, &["rare"], 2);
    // More than is read for one answer.
    let large = "x".repeat(50_000);
    for _ in 0..120 {
        hub.publish(&topic("other"), &*large).unwrap();
    }
    publish(&hub, "rare", 2..40);
    client.go_to(&hub);
    client.wait_for(&hub, 40);
    assert_eq!(client.numbers(), all(0..40));
    assert_eq!(client.gaps, [] as [String; 0]);
    assert!(client.id_blocks() >= 1);
}

#[test]
fn a_connection_that_the_server_has_closed_is_made_anew_when_it_is_needed() {
    let server = Server::start();
    let hub = forgetful(&server);
    publish(&hub, "t", 0..10);
    let mut clients = [(); 2].map(|()| gone(&hub, &["t"], 10));
    publish(&hub, "t", 10..100);
    for client in &mut clients {
        client.go_to(&hub);
        // It does not come again.
        wait_until("it has everything", || {
            client.receive(Duration::from_millis(10));
            client.events.len() == 100 || client.is_ended
        });
        assert_eq!((client.numbers(), client.gaps.len()), (all(0..100), 0));
        server.ask::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
}

#[test]
fn events_that_come_meanwhile_follow_and_are_there_once() {
    let server = Server::start();
    let (a, b) = (forgetful(&server), forgetful(&server));
    publish(&a, "t", 0..10);
    have_read_all(&[&a, &b]);
    let mut clients: Vec<Follower> = (0..8).map(|_| gone(&b, &["t"], 10)).collect();
    publish(&a, "t", 10..3_000);
    have_read_all(&[&a, &b]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 3_000..3_400 {
                a.publish(&topic("t"), &*number.to_string()).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        for client in &mut clients {
            client.go_to(&b);
        }
        for client in &mut clients {
            client.wait_for(&b, 3_400);
        }
    });
    for client in &clients {
        assert_eq!(client.numbers(), all(0..3_400));
        assert_eq!(client.gaps, [] as [String; 0]);
    }
    wait_until("all have caught up", || b.metrics().replaying_connections == 0);
}

#[test]
fn what_was_cut_from_the_stream_is_told_and_what_is_kept_from_before_is_sent() {
    let server = Server::start();
    let (a, b) = (forgetful(&server), forgetful(&server));
    publish(&a, "t", 0..5);
    have_read_all(&[&a, &b]);
    let mut client = gone(&b, &["t", "quiet"], 5);
    let mut told = gone(&b, &["t"], 5);
    told.leave();
    publish(&a, "t", 5..100);
    publish(&a, "quiet", 100..103);
    for number in 103..300 {
        a.publish_wait(&topic("t"), &*number.to_string(), DEADLINE).unwrap();
    }
    have_read_all(&[&a, &b]);
    let cut = Follower::find_id(&a, "t", "299");
    // All but the newest hundred.
    let last: u64 = cut.rsplit_once('-').unwrap().1.parse().unwrap();
    let entries: Vec<(String, Vec<Vec<u8>>)> =
        server.ask(&["XRANGE", "{fanfare}:stream", "-", "+"]);
    let first = format!("-{}", last / 16 - 99);
    let first = entries.iter().find(|(id, _)| id.ends_with(&first)).expect("each has one event");
    server.ask::<i64>(&["XTRIM", "{fanfare}:stream", "MINID", &first.0]);
    client.go_to(&b);
    client.wait_until(&b, |client| client.data().last() == Some(&"299"));
    let expected: Vec<u64> = (0..5).chain(100..103).chain(200..300).collect();
    assert_eq!(client.numbers(), expected);
    assert_eq!(client.gaps.len(), 1, "{:?}", client.gaps);
    assert!(client.gaps[0].contains(r#""reason":"expired""#), "{:?}", client.gaps);
    assert!(
        client.gaps[0].contains(&format!("-{}\"", (last / 16 - 100) * 16)),
        "{:?}",
        client.gaps
    );
    // Of an empty stream there is nothing but what is kept here.
    server.ask::<i64>(&["XTRIM", "{fanfare}:stream", "MAXLEN", "0"]);
    told.go_to(&b);
    told.wait_until(&b, |client| client.data().last() == Some(&"299"));
    assert_eq!(told.numbers(), (0..5).chain(290..300).collect::<Vec<_>>());
    assert_eq!(told.gaps.len(), 1, "{:?}", told.gaps);
}

#[test]
fn rules_say_what_is_not_sent_again_and_that_is_counted() {
    let server = Server::start();
    let (a, b) = (forgetful(&server), forgetful(&server));
    let rule = |name: &str, rule: TopicOptions| a.set_rule(&name.parse().unwrap(), rule).unwrap();
    rule("secret", TopicOptions::default().history_events_max(0));
    rule("short", TopicOptions::default().history_age_max(Duration::from_secs(1)));
    for (nth, name) in ["secret", "short", "t"].into_iter().enumerate() {
        publish(&a, name, nth as u64..nth as u64 + 1);
    }
    have_read_all(&[&a, &b]);
    let mut client = Follower::of(&b, &["secret", "short", "t"]);
    client.wait_until(&b, |client| client.data().last() == Some(&"2"));
    client.leave();
    let had = client.events.len();
    publish(&a, "secret", 10..15);
    publish(&a, "short", 20..40);
    publish(&a, "t", 50..80);
    have_read_all(&[&a, &b]);
    // The age by the server's clock.
    std::thread::sleep(Duration::from_millis(1_100));
    client.go_to(&b);
    client.wait_until(&b, |client| client.data().last() == Some(&"79"));
    assert_eq!(client.numbers()[had..], all(50..80));
    assert_eq!(client.gaps.len(), 1, "{:?}", client.gaps);
    assert!(client.gaps[0].contains(r#""missed":25"#), "{:?}", client.gaps);
    let kept = Subscription::new("t").unwrap();
    assert!(!b.subscribe([kept], StreamOptions::default()).unwrap().is_complete());
}

#[test]
fn what_was_published_behind_the_end_of_a_topic_stays_refused() {
    let server = Server::start();
    let (a, b) = (forgetful(&server), forgetful(&server));
    publish(&a, "run", 0..2);
    publish(&a, "t", 0..2);
    have_read_all(&[&a, &b]);
    let mut client = gone(&b, &["run", "t"], 4);
    // The other node has not read that the topic is finished when it publishes.
    server.stop();
    publish_without_waiting(&a, "run", 2..20);
    a.finish(&topic("run"), Some(Event::new("20"))).unwrap();
    publish_without_waiting(&b, "run", 100..120);
    server.go_on();
    publish(&a, "t", 2..20);
    publish(&b, "t", 20..40);
    have_read_all(&[&a, &b]);
    client.go_to(&b);
    client.wait_until(&b, |client| client.data().last() == Some(&"39"));
    let refused = b.metrics().cluster_refused_items;
    let of_run = client.numbers().iter().filter(|&&number| number >= 100).count();
    assert_eq!(of_run + refused as usize, 20, "each is taken by all, or by nobody");
    assert_eq!(client.gaps, [] as [String; 0]);
}

fn publish_without_waiting(hub: &Hub, name: &str, numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| drop(hub.publish(&topic(name), &*number.to_string()).unwrap()));
}

#[test]
fn while_the_server_is_away_a_client_comes_again_and_gets_all_when_it_is_back() {
    let server = Server::start();
    let hub = forgetful(&server);
    publish(&hub, "t", 0..10);
    let mut client = gone(&hub, &["t"], 10);
    publish(&hub, "t", 10..200);
    server.stop();
    let start = Instant::now();
    client.go_to(&hub);
    while !client.is_ended {
        client.receive(Duration::from_millis(50));
        assert!(start.elapsed() < Duration::from_secs(8), "it waits for a bounded time");
    }
    assert_eq!((client.events.len(), client.gaps.len()), (10, 0));
    client.go_to(&hub);
    server.go_on();
    client.wait_for(&hub, 200);
    assert_eq!(client.numbers(), all(0..200));
    assert_eq!(client.gaps, [] as [String; 0]);
}

#[test]
fn a_server_that_stays_away_has_its_clients_told_what_memory_lacks() {
    let server = Server::start();
    let hub = forgetful(&server);
    publish(&hub, "t", 0..10);
    let mut client = gone(&hub, &["t"], 10);
    publish(&hub, "t", 10..200);
    server.stop();
    client.go_to(&hub);
    client.wait_until(&hub, |client| client.data().last() == Some(&"199"));
    assert_eq!(client.numbers(), (0..10).chain(190..200).collect::<Vec<_>>());
    assert_eq!(client.gaps.len(), 1, "{:?}", client.gaps);
    assert!(client.gaps[0].contains(r#""reason":"expired""#), "{:?}", client.gaps);
}

#[test]
fn a_client_that_leaves_while_it_waits_is_gone_at_once() {
    let server = Server::start();
    let patient = cluster(server.url()).answer_timeout(Duration::from_secs(20));
    let hub = Hub::start(few(options(patient))).unwrap();
    publish(&hub, "t", 0..10);
    let mut clients: Vec<Follower> = (0..5).map(|_| gone(&hub, &["t"], 10)).collect();
    publish(&hub, "t", 10..100);
    wait_until("nobody is there", || hub.metrics().connections == 0);
    server.stop();
    clients.iter_mut().for_each(|client| client.go_to(&hub));
    wait_until("all wait", || hub.metrics().replaying_connections == 5);
    clients.truncate(1);
    wait_until("the others are gone", || {
        let metrics = hub.metrics();
        (metrics.connections, metrics.replaying_connections) == (1, 1)
    });
    server.go_on();
    clients[0].wait_for(&hub, 100);
    assert_eq!(clients[0].numbers(), all(0..100));
    // And a hub that closes has nothing to wait for.
    server.stop();
    let mut last = gone_by_id(&hub, &clients[0].events[3]);
    wait_until("it waits", || hub.metrics().replaying_connections == 1);
    let closer = hub.clone();
    let closing = std::thread::spawn(move || closer.close());
    wait_until("it is closed", || {
        last.receive(Duration::from_millis(10));
        last.is_ended
    });
    server.go_on();
    closing.join().unwrap();
    assert_eq!(hub.metrics().connections, 0);
}

fn gone_by_id(hub: &Hub, had: &(String, String)) -> Follower {
    let mut client = Follower::of(hub, &["t"]);
    client.go_back_to(had);
    client.go_to(hub);
    client
}

#[test]
fn lives_of_which_nothing_was_lost_are_one_stream_for_clients_that_come_back() {
    let mut server = Server::start();
    let (a, b) = (forgetful(&server), forgetful(&server));
    let mut witness = Follower::of(&a, &["t"]);
    publish(&a, "t", 0..10);
    have_read_all(&[&a, &b]);
    let mut client = gone(&b, &["t"], 10);
    publish(&a, "t", 10..200);
    have_read_all(&[&a, &b]);
    let mut between = Follower::of(&b, &["t"]);
    between.wait_until(&b, |client| client.data().last() == Some(&"199"));
    between.leave();
    server.restart();
    a.publish_wait(&topic("t"), "200", DEADLINE).unwrap();
    publish(&a, "t", 201..400);
    have_read_all(&[&a, &b]);
    for (hub, client, first) in [(&b, &mut client, 0), (&a, &mut between, 190)] {
        client.go_to(hub);
        client.wait_until(hub, |client| client.data().last() == Some(&"399"));
        assert_eq!(client.numbers(), all(first..400));
        assert_eq!(client.gaps, [] as [String; 0]);
    }
    witness.wait_for(&a, 400);
    assert!(client.events == witness.events, "with the ids of both lives");
    let late = forgetful(&server);
    let mut client = gone_by_id(&late, &client.events[5]);
    client.wait_until(&late, |client| client.data().last() == Some(&"399"));
    assert!(client.numbers().ends_with(&all(6..400)));
}

#[test]
fn what_the_server_lost_and_a_node_has_forgotten_is_told_and_nothing_comes_twice() {
    let mut server = Server::start();
    let (a, b) = (forgetful(&server), forgetful(&server));
    publish(&a, "t", 0..10);
    have_read_all(&[&a, &b]);
    let mut client = gone(&a, &["t"], 10);
    publish(&a, "t", 10..50);
    let backup = server.backup();
    publish(&a, "t", 50..100);
    have_read_all(&[&a, &b]);
    let mut newer = Follower::of(&b, &["t"]);
    newer.wait_until(&b, |client| client.data().last() == Some(&"99"));
    newer.leave();
    server.restart_from(&backup);
    a.publish_wait(&topic("t"), "100", DEADLINE).unwrap();
    publish(&a, "t", 101..200);
    have_read_all(&[&a, &b]);
    for (hub, client) in [(&a, &mut client), (&b, &mut newer)] {
        client.go_to(hub);
        client.wait_until(hub, |client| client.data().last() == Some(&"199"));
        let numbers = client.numbers();
        assert!(numbers.is_sorted_by(|a, b| a < b), "each once, in order: {numbers:?}");
        assert!(numbers.ends_with(&all(101..200)), "what follows is all there: {numbers:?}");
        let is_whole = numbers.len() as u64 == 200 - numbers[0];
        assert!(is_whole || !client.gaps.is_empty(), "nothing is missing silently: {numbers:?}");
    }
    assert_eq!(client.gaps.len(), 1, "{:?}", client.gaps);
}

#[test]
fn a_queue_of_questions_and_a_publisher_in_a_hurry_lose_nothing() {
    let server = Server::start();
    let (a, b) = (forgetful(&server), forgetful(&server));
    publish(&a, "t", 0..10);
    have_read_all(&[&a, &b]);
    let mut clients: Vec<Follower> = (0..20).map(|_| gone(&b, &["#"], 10)).collect();
    publish(&a, "t", 10..2_000);
    have_read_all(&[&a, &b]);
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for client in &mut clients {
                client.go_to(&b);
                client.wait_until(&b, |client| client.events.len() >= 1_000);
                client.leave();
            }
            ends.store(true, Ordering::Relaxed);
        });
        let mut number = 2_000;
        while !ends.load(Ordering::Relaxed) && number < 20_000 {
            publish(&a, "t", number..number + 10);
            number += 10;
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    publish(&a, "t", 20_000..20_001);
    have_read_all(&[&a, &b]);
    for client in &mut clients {
        client.go_to(&b);
        client.wait_until(&b, |client| client.data().last() == Some(&"20000"));
        let numbers = client.numbers();
        assert_eq!(client.gaps, [] as [String; 0]);
        assert_eq!(numbers, [&all(0..numbers.len() as u64 - 1)[..], &[20_000]].concat());
    }
}

#[test]
fn one_that_came_before_the_first_event_misses_nothing() {
    let server = Server::start();
    let (a, b) = (forgetful(&server), forgetful(&server));
    let mut client = Follower::of(&b, &["t"]);
    client.wait_until(&b, Follower::has_id);
    client.leave();
    publish(&a, "t", 0..100);
    have_read_all(&[&a, &b]);
    client.go_to(&b);
    client.wait_for(&b, 100);
    assert_eq!(client.gaps, [] as [String; 0]);
}

#[test]
fn the_stream_of_a_finished_topic_ends_behind_all_that_was_forgotten() {
    let server = Server::start();
    let (a, b) = (forgetful(&server), forgetful(&server));
    publish(&a, "run", 0..5);
    have_read_all(&[&a, &b]);
    let mut client = gone(&b, &["run"], 5);
    publish(&a, "run", 5..99);
    a.finish(&topic("run"), Some(Event::new("99"))).unwrap();
    wait_until("the end is read", || b.metrics().finished_topics == 1);
    client.go_to(&b);
    client.wait_until(&b, |client| client.events.len() == 100);
    wait_until("the stream ends", || {
        client.receive(Duration::from_millis(10));
        client.is_ended
    });
    assert_eq!(client.numbers(), all(0..100));
    client.go_to(&b);
    assert!(client.is_complete && client.gaps.is_empty(), "{:?}", client.gaps);
}

#[test]
fn clients_of_each_wire_form_and_envelope_see_what_those_of_a_node_with_all_of_it_see() {
    let server = Server::start();
    let whole = Hub::start(options(cluster(server.url()))).unwrap();
    let few = forgetful(&server);
    publish(&whole, "t", 0..5);
    let had = Follower::find_id(&whole, "t", "4");
    for number in 5..1_500 {
        let text = format!("{number} {}", "x".repeat(100));
        match number % 3 {
            0 => whole.publish_to(&[topic("s"), topic("t")], &*text).unwrap(),
            1 => whole.publish(&topic("t/u"), Event::new(text).with_name("n")).unwrap(),
            _ => whole.publish(&topic("t"), &*text).unwrap(),
        };
    }
    whole.flush(DEADLINE).unwrap();
    have_read_all(&[&whole, &few]);
    let listeners =
        [&whole, &few].map(|hub| hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap());
    for version in ["1.0", "1.1"] {
        for query in ["topic=t", "topic=t&envelope=json", "topic=t/%23&topic=s&envelope=json"] {
            let mut seen = listeners.iter().map(|listener| {
                let addr = listener.local_addr();
                let request = format!(
                    "GET /events?{query} HTTP/{version}\r\nHost: {addr}\r\nLast-Event-ID: {had}\r\n\r\n"
                );
                let mut client = Client::send(addr, &request);
                let mut messages = vec![client.next()];
                while !messages.last().unwrap().data.contains("1499 x") {
                    messages.push(client.next());
                }
                messages
            });
            let (of_whole, of_few) = (seen.next().unwrap(), seen.next().unwrap());
            assert!(of_whole.len() > 900 && of_whole == of_few, "{version} {query}");
        }
    }
}
