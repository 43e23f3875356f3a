//! Nodes that all is well with: each has what the others have, in one order.

use std::time::Duration;

use fanfare::{Event, Policy, PublishError, Subscription, TopicOptions};

use crate::follower::{cluster, node, options, topic, Follower};
use crate::server::Server;
use crate::support::{wait_until, DEADLINE};

#[test]
fn an_event_of_one_node_reaches_the_clients_of_the_other_with_its_id() {
    let server = Server::start();
    let (a, b) = (node(server.url()), node(server.url()));
    let mut clients = [Follower::of(&a, &["news"]), Follower::of(&b, &["news"])];
    let waited = a.publish_wait(&topic("news"), "1", DEADLINE).unwrap();
    let id = waited.id().expect("who waits knows the id").to_string();
    assert!(waited.is_durable());
    let awaited = smol::block_on(b.publish_async(&topic("news"), "2")).unwrap();
    let other = awaited.id().expect("who awaits knows the id").to_string();
    assert!(a.publish(&topic("news"), "3").unwrap().id().is_none(), "it does not wait");
    for (client, hub) in clients.iter_mut().zip([&a, &b]) {
        client.wait_for(hub, 3);
        assert_eq!(client.data(), ["1", "2", "3"]);
        assert_eq!((&client.events[0].0, &client.events[1].0), (&id, &other));
    }
    assert_eq!(clients[0].events, clients[1].events);
}

#[test]
fn publishing_does_not_wait_for_the_server() {
    let server = Server::start();
    let hub = node(server.url());
    server.stop();
    let start = std::time::Instant::now();
    for number in 0..100 {
        hub.publish(&topic("t"), &*number.to_string()).unwrap();
    }
    // The server would have to answer to anyone who waits.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let late = hub.publish_wait(&topic("t"), "100", Duration::from_millis(200)).unwrap();
    assert_eq!((late.id(), late.is_durable()), (None, false));
    server.go_on();
    let mut client = Follower::of(&hub, &["t"]);
    client.wait_for(&hub, 101);
    assert_eq!(client.numbers(), (0..=100).collect::<Vec<_>>());
}

#[test]
fn all_nodes_have_one_order_of_what_many_publish_at_once() {
    const EVENTS: usize = 500;
    let server = Server::start();
    let hubs = [(); 3].map(|()| node(server.url()));
    let mut clients: Vec<_> = hubs.iter().map(|hub| Follower::of(hub, &["#"])).collect();
    std::thread::scope(|scope| {
        for (publisher, hub) in hubs.iter().chain(&hubs).enumerate() {
            scope.spawn(move || {
                for number in 0..EVENTS {
                    let topic = topic(&format!("t/{}", number % 3));
                    hub.publish(&topic, &*format!("{publisher} {number}")).unwrap();
                }
            });
        }
    });
    for (client, hub) in clients.iter_mut().zip(&hubs) {
        client.wait_for(hub, 6 * EVENTS);
    }
    assert_eq!(clients[0].events, clients[1].events);
    assert_eq!(clients[0].events, clients[2].events);
    for publisher in 0..6 {
        let prefix = format!("{publisher} ");
        let of_it = clients[0].data().into_iter().filter_map(|data| data.strip_prefix(&prefix));
        let numbers: Vec<usize> = of_it.map(|number| number.parse().unwrap()).collect();
        assert_eq!(
            numbers,
            (0..EVENTS).collect::<Vec<_>>(),
            "in the order of publisher {publisher}"
        );
    }
}

#[test]
fn an_event_of_several_topics_is_one_event_at_each_node() {
    let server = Server::start();
    let (a, b) = (node(server.url()), node(server.url()));
    a.publish_to(&[topic("x"), topic("y")], "both").unwrap();
    a.publish(&topic("y"), "y alone").unwrap();
    let mut client = Follower::of(&b, &["x", "y"]);
    client.wait_for(&b, 2);
    assert_eq!(client.data(), ["both", "y alone"]);
    let mut client = Follower::of(&b, &["x"]);
    client.wait_for(&b, 1);
    assert_eq!(client.data(), ["both"]);
}

#[test]
fn keys_conflate_alike_at_each_node() {
    let server = Server::start();
    let hubs = [node(server.url()), node(server.url())];
    let latest = TopicOptions::default().policy(Policy::Conflate);
    hubs[0].set_rule(&"quotes/#".parse().unwrap(), latest).unwrap();
    wait_until("the rule holds at the other node", || hubs[1].rules().len() == 1);
    for price in 1..=9 {
        for name in ["one", "two"] {
            let data = format!("{name} {price}");
            let event = Event::new(data).with_key(name);
            hubs[price % 2].publish_wait(&topic("quotes/all"), event, DEADLINE).unwrap();
        }
    }
    hubs[0].publish_wait(&topic("quotes/all"), "end", DEADLINE).unwrap();
    let mut seen = Vec::new();
    for hub in &hubs {
        let mut client = Follower::of(hub, &["quotes/all"]);
        client.wait_for_data(hub, "end");
        seen.push(client.events);
    }
    assert_eq!(seen[0], seen[1]);
    let data: Vec<_> = seen[0].iter().map(|(_, data)| &**data).collect();
    assert!(data.ends_with(&["one 9", "two 9", "end"]), "{data:?}");
}

#[test]
fn a_window_is_kept_by_each_node() {
    let server = Server::start();
    let (a, b) = (node(server.url()), node(server.url()));
    let mut client = Follower::of(&b, &["t"]);
    let event = Event::new("spread").with_window(Duration::from_millis(100));
    let id = a.publish_wait(&topic("t"), event, DEADLINE).unwrap().id().unwrap();
    client.wait_for(&b, 1);
    assert_eq!(client.events[0], (id.to_string(), "spread".to_owned()));
}

#[test]
fn a_topic_that_is_finished_at_one_node_is_finished_at_all() {
    let server = Server::start();
    let (a, b) = (node(server.url()), node(server.url()));
    let run = topic("run/7");
    let mut client = Follower::of(&b, &["run/7"]);
    a.publish(&run, "1").unwrap();
    a.finish(&run, Some(Event::new("the end"))).unwrap();
    client.wait_until(&b, |client| client.events.len() == 2);
    let finished = |hub: &fanfare::Hub| {
        let error = hub.publish(&run, "more").err();
        error == Some(PublishError::Finished { topic: run.clone() })
    };
    wait_until("the topic is finished at both", || finished(&a) && finished(&b));
    // A client that has everything is told that nothing comes, by 204.
    client.go_to(&b);
    assert!(client.is_complete);
    client.go_to(&a);
    assert!(client.is_complete);
    let late = node(server.url());
    assert!(finished(&late));
    client.go_to(&late);
    assert!(client.is_complete);
    assert_eq!(client.data(), ["1", "the end"]);
}

#[test]
fn what_is_published_while_a_topic_is_finished_is_taken_by_all_nodes_or_by_none() {
    const RUNS: usize = 40;
    let server = Server::start();
    let hubs = [node(server.url()), node(server.url()), node(server.url())];
    let mut refused = 0;
    for run in 0..RUNS {
        let run = topic(&format!("run/{run}"));
        let outcomes = std::thread::scope(|scope| {
            let publishers = [0, 1].map(|nth| {
                let (hub, run) = (&hubs[nth], run.clone());
                scope.spawn(move || {
                    (0..20)
                        .map(|number| {
                            let data = format!("{nth} {number}");
                            (data.clone(), hub.publish_wait(&run, &*data, DEADLINE))
                        })
                        .collect::<Vec<_>>()
                })
            });
            std::thread::sleep(Duration::from_micros(fastrand::u64(0..4_000)));
            hubs[2].finish_wait(&run, Some(Event::new("end")), DEADLINE).unwrap();
            publishers.map(|publisher| publisher.join().unwrap())
        });
        let mut taken: Vec<String> = Vec::new();
        for (data, outcome) in outcomes.into_iter().flatten() {
            match outcome {
                Ok(published) => {
                    assert!(published.id().is_some());
                    taken.push(data);
                }
                Err(PublishError::Finished { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let mut seen = Vec::new();
        for hub in &hubs {
            let mut client = Follower::of(hub, &[run.as_str()]);
            client.wait_until(hub, |client| {
                client.events.last().is_some_and(|(_, data)| data == "end")
            });
            seen.push(client.events);
        }
        assert!(seen[0] == seen[1] && seen[0] == seen[2], "{seen:?}");
        let mut got: Vec<_> = seen[0].iter().map(|(_, data)| data.clone()).collect();
        assert_eq!(got.pop().as_deref(), Some("end"), "nothing comes behind the end");
        got.sort();
        taken.sort();
        assert_eq!(got, taken, "what was answered with an id is there, and nothing else");
    }
    assert!(refused > 0, "publishers and the end met");
}

#[test]
fn a_rule_holds_at_all_nodes_and_at_one_that_joins_when_the_stream_was_trimmed() {
    let server = Server::start();
    let small = || cluster(server.url()).stream_events_max(1_000);
    let start = || fanfare::Hub::start(options(small())).unwrap();
    let (a, b) = (start(), start());
    let filter: Subscription = "run/#".parse().unwrap();
    let gone: Subscription = "gone/#".parse().unwrap();
    a.set_rule(&filter, TopicOptions::default().history_events_max(3)).unwrap();
    a.set_rule(&gone, TopicOptions::default().history_events_max(3)).unwrap();
    wait_until("the rules hold at the other node", || b.rules().len() == 2);
    assert!(b.remove_rule(&gone));
    wait_until("the rule is gone at the other node", || a.rules().len() == 1);
    // One by one, so that each is an entry: the server cuts its stream in steps of some 100.
    for number in 0..2_500 {
        b.publish(&topic("run/1"), &*number.to_string()).unwrap();
        if number % 4 == 0 {
            b.publish_wait(&topic("run/other"), "x", DEADLINE).unwrap();
        }
    }
    b.publish_wait(&topic("run/1"), "last", DEADLINE).unwrap();
    let entries = || server.ask::<u64>(&["XLEN", "{fanfare}:stream"]);
    wait_until("the stream was trimmed", || entries() < 600);
    let late = start();
    for hub in [&a, &b, &late] {
        assert_eq!(hub.rules().len(), 1);
        assert_eq!(hub.rules()[0].subscription, filter);
        let mut client = Follower::of(hub, &["run/1"]);
        client.wait_for_data(hub, "last");
        assert_eq!(client.data(), ["2498", "2499", "last"]);
    }
}

#[test]
fn a_client_resumes_at_another_node_without_a_loss() {
    let server = Server::start();
    let hubs = [(); 3].map(|()| node(server.url()));
    let mut client = Follower::of(&hubs[0], &["t"]);
    std::thread::scope(|scope| {
        let publishing = &hubs[1];
        scope.spawn(move || {
            for number in 0..2_000 {
                publishing.publish(&topic("t"), &*number.to_string()).unwrap();
                if number % 20 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let mut hops = 0;
        while client.events.len() < 2_000 {
            hops += 1;
            assert!(hops < 20_000, "{} events", client.events.len());
            client.go_to(&hubs[hops % 3]);
            for _ in 0..fastrand::usize(0..4) {
                client.receive(Duration::from_millis(5));
            }
        }
    });
    assert_eq!(client.numbers(), (0..2_000).collect::<Vec<_>>());
    assert_eq!(client.gaps, [] as [String; 0]);
}

#[test]
fn a_node_that_joins_late_has_the_history_and_gives_the_same_ids() {
    let server = Server::start();
    let a = node(server.url());
    for number in 0..1_500 {
        a.publish(&topic("t"), &*number.to_string()).unwrap();
    }
    a.publish_wait(&topic("t"), "1500", DEADLINE).unwrap();
    let b = node(server.url());
    let mut at_a = Follower::of(&a, &["t"]);
    let mut at_b = Follower::of(&b, &["t"]);
    at_a.wait_for(&a, 1_501);
    at_b.wait_for(&b, 1_501);
    assert_eq!(at_a.events, at_b.events);
    let id = b.publish_wait(&topic("t"), "1501", DEADLINE).unwrap().id().unwrap().to_string();
    at_a.wait_for(&a, 1_502);
    assert_eq!(at_a.events[1_501].0, id);
    // One that is closed has given all that it had taken.
    b.publish(&topic("t"), "the last of b").unwrap();
    b.close();
    at_a.wait_for_data(&a, "the last of b");
    // An id that no node ever gave is told to be unknown, when the node has looked for it in the stream.
    let mut stranger = Follower::of(&a, &["t"]);
    stranger.come_with("abcdefgh-5");
    stranger.wait_until(&a, |client| client.gaps.len() == 1);
    let gap = &stranger.gaps[0];
    assert!(gap.contains("unknown_id") || gap.contains("restarted"), "{gap}");
}

#[test]
fn a_client_with_an_id_of_its_publishers_goes_on_at_another_node() {
    let server = Server::start();
    let (a, b) = (node(server.url()), node(server.url()));
    let publish = |number: u64| {
        let (data, id) = (number.to_string(), format!("row-{number}"));
        a.publish_wait(&topic("t"), Event::new(&*data).with_id(&*id), DEADLINE).unwrap();
    };
    let mut client = Follower::of(&a, &["t"]);
    (0..5).for_each(publish);
    client.wait_for(&a, 5);
    client.leave();
    (5..10).for_each(publish);
    assert_eq!(client.events[4].0, "row-4");
    client.come_with("row-4");
    client.wait_for(&b, 10);
    assert_eq!(client.numbers(), (0..10).collect::<Vec<_>>());
    assert_eq!(client.gaps, [] as [String; 0]);
    client.come_with("nobody's");
    client.wait_until(&b, |client| !client.gaps.is_empty());
    assert!(client.gaps[0].contains("unknown_id"), "{:?}", client.gaps);
}
