//! Subscriptions to topics by filters.

use fanfare::{Hub, Topic};

use crate::support::{one_shard, serve, shards, wait_until, Client, DEADLINE};

fn publish(hub: &Hub, name: &str) {
    hub.publish_wait(&Topic::new(name).unwrap(), name, DEADLINE).unwrap();
}

/// Clients of subscriptions, all of them here.
fn clients<const N: usize>(
    hub: &Hub,
    addr: std::net::SocketAddr,
    queries: [&str; N],
) -> [Client; N] {
    let before = hub.metrics().connections;
    let clients = queries.map(|query| Client::get(addr, &format!("/events?{query}")));
    wait_until("all are here", || hub.metrics().connections == before + N as u64);
    clients
}

#[test]
fn a_filter_gets_the_first_event_of_topics_that_are_new() {
    for history_events_max in [0, 1_000] {
        let (hub, listener) = serve(shards(2).history_events_max(history_events_max));
        let queries =
            ["topic=sport/%23", "topic=%2B/tennis", "topic=%23", "topic=sport/%2B/a&topic=news"];
        let mut clients = clients(&hub, listener.local_addr(), queries);
        let expected: [&[&str]; 4] = [
            &["sport", "sport/tennis", "sport/tennis/a", "sport/golf/a"],
            &["sport/tennis", "art/tennis"],
            &[
                "sport",
                "sport/tennis",
                "sport/tennis/a",
                "art/tennis",
                "sport/golf/a",
                "news",
                "end",
            ],
            &["sport/tennis/a", "sport/golf/a", "news"],
        ];
        for name in [
            "sport",
            "sport/tennis",
            "sport/tennis/a",
            "art/tennis",
            "sport/golf/a",
            "$sys/a",
            "news",
            "end",
        ] {
            publish(&hub, name);
        }
        for (client, expected) in clients.iter_mut().zip(expected) {
            let got: Vec<String> = expected.iter().map(|_| client.data()).collect();
            assert_eq!(got, expected);
        }
    }
}

#[test]
fn a_client_that_names_a_topic_twice_gets_its_events_once() {
    let (hub, listener) = serve(one_shard());
    let [mut client] =
        clients(&hub, listener.local_addr(), ["topic=a/b&topic=a/%2B&topic=%23&topic=a/b"]);
    publish(&hub, "a/b");
    publish(&hub, "a/c");
    assert_eq!([client.data(), client.data()], ["a/b", "a/c"]);
}

#[test]
fn topics_come_to_filters_that_were_there_before_them_and_filters_to_topics() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let [mut by_name] = clients(&hub, addr, ["topic=a/b"]);
    publish(&hub, "a/b");
    let [mut by_filter] = clients(&hub, addr, ["topic=a/%23"]);
    publish(&hub, "a/b");
    publish(&hub, "a/c");
    let [mut later] = clients(&hub, addr, ["topic=a/c"]);
    publish(&hub, "a/c");
    assert_eq!([by_filter.data(), by_filter.data(), by_filter.data()], ["a/b", "a/c", "a/c"]);
    drop(by_filter);
    wait_until("the filter has ended", || hub.metrics().connections == 2);
    publish(&hub, "a/b");
    publish(&hub, "a/c");
    assert_eq!([by_name.data(), by_name.data(), by_name.data()], ["a/b", "a/b", "a/b"]);
    assert_eq!([later.data(), later.data()], ["a/c", "a/c"]);
}

#[test]
fn a_filter_resumes_over_all_of_its_topics() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    publish(&hub, "a/1");
    let first = hub.publish(&Topic::new("a/2").unwrap(), "a/2").unwrap().id().unwrap();
    for name in ["a/3", "b/1", "a/1", "a/4", "a"] {
        publish(&hub, name);
    }
    let path = format!("topic=a/%23&topic=a/1&last-event-id={first}");
    let [mut client] = clients(&hub, addr, [&path]);
    let got = [client.data(), client.data(), client.data(), client.data()];
    assert_eq!(got, ["a/3", "a/1", "a/4", "a"]);
    publish(&hub, "a/5");
    assert_eq!(client.data(), "a/5");
    let [mut latest] = clients(&hub, addr, ["topic=a/%2B&latest"]);
    let got: Vec<String> = (0..5).map(|_| latest.data()).collect();
    assert_eq!(got, ["a/2", "a/3", "a/1", "a/4", "a/5"]);
}

#[test]
fn a_filter_is_told_of_a_gap_also_when_the_topic_itself_is_gone() {
    let options = one_shard().history_total_bytes_max(10_000);
    let (hub, listener) = serve(options);
    let addr = listener.local_addr();
    let first = hub.publish(&Topic::new("x/0").unwrap(), "x").unwrap().id().unwrap();
    let second = hub.publish(&Topic::new("a/gone").unwrap(), "gone").unwrap().id().unwrap();
    (0..50).for_each(|n| publish(&hub, &format!("x/{n}")));
    let path = format!("topic=a/%23&last-event-id={first}");
    let mut client = Client::get(addr, &format!("/events?{path}"));
    let told = client.next();
    assert_eq!(told.name, "fanfare-gap");
    assert!(told.data.contains(&format!("\"to\":\"{second}\"")), "{}", told.data);
    assert!(told.data.contains("\"missed\":1}"), "{}", told.data);
    // Nothing is missing after it.
    let path = format!("topic=a/%23&last-event-id={second}");
    let [mut client] = clients(&hub, addr, [&path]);
    publish(&hub, "a/new");
    assert_eq!(client.data(), "a/new");
}

#[test]
fn a_filter_that_is_none_is_refused_with_what_to_do() {
    let (_hub, listener) = serve(one_shard());
    for query in ["topic=a/%23/b", "topic=a%23", "topic=a%2B/b"] {
        let client = Client::get(listener.local_addr(), &format!("/events?{query}"));
        assert_eq!(client.status(), 400, "{query}");
    }
}

#[test]
fn filters_that_concern_every_topic_are_few() {
    let (_hub, listener) = serve(one_shard());
    let path = |count: usize| {
        let filters: Vec<String> = (0..count).map(|n| format!("topic=%2B/{n}")).collect();
        format!("/events?topic=a/%23&{}", filters.join("&"))
    };
    assert_eq!(Client::get(listener.local_addr(), &path(4)).status(), 200);
    assert_eq!(Client::get(listener.local_addr(), &path(5)).status(), 400);
}

/// New topics without end, as in a hub with one for each request: nothing is left of them.
#[test]
fn topics_that_are_gone_leave_nothing_behind() {
    let options = one_shard().history_total_bytes_max(100_000).history_events_max(2);
    let (hub, listener) = serve(options);
    let [mut client] = clients(&hub, listener.local_addr(), ["topic=job/%23"]);
    for n in 0..6_000 {
        let name = format!("job/{n}");
        publish(&hub, &name);
        assert_eq!(client.data(), name);
    }
    let metrics = hub.metrics();
    assert!(metrics.kept_bytes <= 100_000, "{metrics:?}");
    // Topics without kept events are known for a while, up to a bound.
    assert!(metrics.topics < 4_096 + 200, "{metrics:?}");
}

#[test]
fn filters_are_counted_once_and_topics_as_long_as_they_are_known() {
    let (hub, listener) = serve(shards(2));
    let counts = || {
        let metrics = hub.metrics();
        (metrics.filters, metrics.topics, metrics.known_topics)
    };
    publish(&hub, "b");
    assert_eq!(counts(), (0, 0, 1));
    let queries = ["topic=a/%23", "topic=a/%23&topic=a/%2B", "topic=a/1"];
    let clients = clients(&hub, listener.local_addr(), queries);
    assert_eq!(counts(), (2, 1, 2));
    publish(&hub, "a/2");
    assert_eq!(counts(), (2, 2, 3));
    drop(clients);
    wait_until("there is no subscription", || counts() == (0, 0, 2));
}
