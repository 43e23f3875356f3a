//! One event of several topics: once for each client, in its place, to all of its topics or to
//! none.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use fanfare::{Event, Hub, ListenOptions, PublishError, Topic};
use smol::future::{self, FutureExt};

use crate::support::sse::Message;
use crate::support::{close, one_shard, serve, shards, wait_until, Client, DEADLINE};

fn topics(names: &[&str]) -> Vec<Topic> {
    names.iter().map(|name| Topic::new(name).unwrap()).collect()
}

fn publish(hub: &Hub, names: &[&str], data: &str) -> String {
    let published = hub.publish_to_wait(&topics(names), data, DEADLINE).unwrap();
    published.id().unwrap().to_string()
}

fn get_after(addr: SocketAddr, path: &str, id: &str) -> Client {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nLast-Event-ID: {id}\r\n\r\n");
    Client::send(addr, &request)
}

fn data(client: &mut Client, count: usize) -> Vec<String> {
    (0..count).map(|_| client.next().data).collect()
}

/// The fields `to` and `missed` of a gap event.
fn gap(message: &Message) -> (String, Option<u64>) {
    assert_eq!(message.name, "fanfare-gap", "{message:?}");
    let json: serde_json::Value = serde_json::from_str(&message.data).unwrap();
    (json["to"].as_str().unwrap().to_owned(), json["missed"].as_u64())
}

/// Queries of clients that want the topics a and b, by their names, by filters, and by both.
const OF_BOTH: [&str; 4] =
    ["topic=a&topic=b", "topic=%2B", "topic=%23&topic=a", "topic=b&topic=a/%23&topic=%2B"];

#[test]
fn a_client_gets_an_event_once_however_many_of_its_topics_it_wants() {
    // With two shards, some of the clients are of another shard than the others.
    let (hub, listener) = serve(shards(2));
    let addr = listener.local_addr();
    let connect = |query: &&str| Client::get(addr, &format!("/events?{query}"));
    let mut of_both: Vec<Client> = OF_BOTH.iter().chain(&OF_BOTH).map(connect).collect();
    let [mut of_a, mut of_b, mut of_other] =
        ["topic=a", "topic=b/%23", "topic=c"].each_ref().map(connect);
    wait_until("all are here", || hub.metrics().connections == 11);
    for nth in 0..100 {
        publish(&hub, &["a", "b"], &format!("{nth} both"));
        publish(&hub, &["a"], &format!("{nth} a"));
        publish(&hub, &["b", "unheard of", "b"], &format!("{nth} b"));
    }
    let last = publish(&hub, &["c", "b", "a"], "last");
    let expected: Vec<String> =
        (0..100).flat_map(|nth| ["both", "a", "b"].map(|of| format!("{nth} {of}"))).collect();
    for client in &mut of_both {
        assert_eq!(data(client, 300), expected);
    }
    let without = |other: &str| -> Vec<String> {
        expected.iter().filter(|data| !data.ends_with(other)).cloned().collect()
    };
    assert_eq!(data(&mut of_a, 200), without(" b"));
    assert_eq!(data(&mut of_b, 200), without(" a"));
    // It is one event: all know it by the same id.
    for client in of_both.iter_mut().chain([&mut of_a, &mut of_b, &mut of_other]) {
        let message = client.next();
        assert_eq!((message.data, message.last_id), ("last".to_owned(), last.clone()));
    }
    let metrics = hub.metrics();
    assert_eq!(metrics.published_events, 301);
    assert_eq!(metrics.delivered_events, 8 * 301 + 2 * 201 + 1);
}

#[test]
fn a_client_that_comes_back_gets_what_it_missed_once_and_in_order() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let first = publish(&hub, &["a", "b"], "0");
    let lists: [&[&str]; 4] = [&["a", "b"], &["b"], &["c", "a"], &["a", "b", "c"]];
    for nth in 1..=40 {
        publish(&hub, lists[nth % lists.len()], &nth.to_string());
    }
    let expected: Vec<String> = (1..=40).map(|nth: usize| nth.to_string()).collect();
    for query in OF_BOTH {
        let path = format!("/events?{query}");
        let mut client = get_after(addr, &path, &first);
        assert_eq!(data(&mut client, 40), expected, "{query}");
        let mut client = Client::get(addr, &format!("{path}&last=5"));
        assert_eq!(data(&mut client, 5), expected[35..], "{query}");
    }
    // The newest event of a is that of b as well; that of c is an older one.
    publish(&hub, &["a", "b"], "41");
    for (query, expected) in [
        ("topic=a&topic=b", &["41"][..]),
        ("topic=c&topic=b", &["39", "41"]),
        ("topic=%23", &["39", "41"]),
    ] {
        let mut client = Client::get(addr, &format!("/events?{query}&latest"));
        assert_eq!(data(&mut client, expected.len()), expected, "{query}");
        publish(&hub, &["b"], "next");
        assert_eq!(client.data(), "next", "{query}: nothing else is its newest");
        publish(&hub, &["a", "b"], "41");
    }
}

#[test]
fn an_event_is_missing_once_and_not_at_all_while_a_topic_of_the_client_keeps_it() {
    let (hub, listener) = serve(one_shard().history_events_max(5));
    let addr = listener.local_addr();
    let before = publish(&hub, &["other"], "before");
    publish(&hub, &["busy", "quiet"], "kept by quiet");
    let ids: Vec<String> =
        (0..20).map(|nth| publish(&hub, &["busy", "loud"], &nth.to_string())).collect();
    let newest: Vec<String> = (15..20).map(|nth: usize| nth.to_string()).collect();
    for query in ["topic=busy&topic=loud", "topic=busy&topic=loud&topic=l/%23"] {
        let mut client = get_after(addr, &format!("/events?{query}"), &before);
        assert_eq!(gap(&client.next()), (ids[14].clone(), Some(16)), "{query}");
        assert_eq!(data(&mut client, 5), newest, "{query}");
    }
    for query in ["topic=busy&topic=loud&topic=quiet", "topic=%23", "topic=busy&topic=%2B"] {
        let mut client = get_after(addr, &format!("/events?{query}"), &before);
        assert_eq!(gap(&client.next()), (ids[14].clone(), Some(15)), "{query}");
        assert_eq!(client.data(), "kept by quiet", "{query}");
        assert_eq!(data(&mut client, 5), newest, "{query}");
    }
    let mut client = get_after(addr, "/events?topic=quiet&topic=busy", &ids[14]);
    assert_eq!(data(&mut client, 5), newest, "nothing is missing behind that");
}

#[test]
fn a_key_replaces_only_events_of_the_same_topics() {
    let options = one_shard().lag_bytes_max(256 << 10).policy(fanfare::Policy::Conflate);
    let (hub, listener) = serve(options);
    let mut client = Client::get(listener.local_addr(), "/events?topic=a&topic=b");
    wait_until("it is here", || hub.metrics().connections == 1);
    let filler = "x".repeat(64 << 10);
    let fill = || {
        let event = Event::new(&*filler).with_key("filler");
        hub.publish_wait(&topics(&["a"])[0], event, DEADLINE).unwrap();
    };
    // More than the kernel takes for a client that does not read.
    wait_until("it lags", || {
        fill();
        hub.metrics().lagging_connections == 1
    });
    let lists: [&[&str]; 4] = [&["a"], &["b"], &["a", "b"], &["b", "a", "c"]];
    for round in ["old", "new"] {
        for list in lists {
            let event = Event::new(format!("{round} {list:?}")).with_key("key");
            hub.publish_to_wait(&topics(list), event, DEADLINE).unwrap();
        }
    }
    let before = hub.metrics().conflated_events;
    wait_until("all that waits for it is conflated", || {
        fill();
        hub.metrics().conflated_events > before + 20
    });
    publish(&hub, &["a"], "end");
    let mut got = Vec::new();
    while got.last().is_none_or(|data| data != "end") {
        got.push(client.next().data);
    }
    got.retain(|data| data.starts_with("new") || data.starts_with("old"));
    assert_eq!(got, lists.map(|list| format!("new {list:?}")));
    assert_eq!(hub.metrics().dropped_events, 0);
}

/// A hub whose shard is driven only when a test says so.
struct Driven {
    hub: Hub,
    drive: Pin<Box<dyn Future<Output = std::io::Result<()>>>>,
}

impl Driven {
    fn until<T>(&mut self, what: impl Future<Output = T>) -> T {
        let drive = async {
            self.drive.as_mut().await.expect("the shard is driven");
            panic!("the hub is closed")
        };
        let too_long = async {
            smol::Timer::after(DEADLINE).await;
            panic!("waited in vain")
        };
        future::block_on(what.or(drive).or(too_long))
    }
}

/// The topic a is full and the topic b is not, and a client wants both.
fn with_a_full_topic() -> (Driven, fanfare::Listener, Client, usize) {
    let options = one_shard().topic_backlog_bytes_max(10_000);
    let (hub, mut drivers) = Hub::with_drivers(options).unwrap();
    let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
    let addr = listener.local_addr();
    let drive = Box::pin(drivers.pop().unwrap().drive());
    let mut driven = Driven { hub, drive };
    let connecting = smol::unblock(move || Client::get(addr, "/events?topic=a&topic=b"));
    let client = driven.until(connecting);
    let mut count = 0;
    while driven.hub.publish(&topics(&["a"])[0], "x".repeat(1_000)).is_ok() {
        count += 1;
        assert!(count < 20, "the topic is never full");
    }
    (driven, listener, client, count)
}

#[test]
fn while_one_of_its_topics_is_full_an_event_is_published_to_none() {
    let (mut driven, _listener, client, count) = with_a_full_topic();
    let hub = driven.hub.clone();
    let both = topics(&["b", "a"]);
    let before = hub.metrics();
    assert_eq!(hub.publish_to(&both, "refused").unwrap_err(), PublishError::Full);
    let wait = Duration::from_millis(20);
    assert_eq!(hub.publish_to_wait(&both, "refused", wait).unwrap_err(), PublishError::Full);
    let after = hub.metrics();
    assert_eq!(
        (after.published_events, after.backlog_bytes, after.kept_events),
        (before.published_events, before.backlog_bytes, before.kept_events)
    );
    assert_eq!(after.full_events, before.full_events + 2);
    assert!(hub.publish(&both[0], "only b").is_ok(), "the other topic has space");
    let reading = smol::unblock(move || {
        let mut client = client;
        let all = data(&mut client, count + 1);
        (client, all)
    });
    let (client, all) = driven.until(reading);
    assert_eq!(all.last().map(String::as_str), Some("only b"));
    assert!(hub.publish_to(&both, "now it has space").is_ok());
    let mut client = client;
    assert_eq!(driven.until(smol::unblock(move || client.data())), "now it has space");
    driven.until(async {
        while hub.metrics().backlog_bytes > 0 {
            future::yield_now().await;
        }
    });
}

#[test]
fn a_publisher_that_waits_goes_on_when_the_full_topic_has_space() {
    let (mut driven, _listener, mut client, count) = with_a_full_topic();
    let hub = driven.hub.clone();
    let waiting = std::thread::spawn(move || {
        let both = topics(&["a", "b"]);
        hub.publish_to_wait(&both, "from a thread", DEADLINE).unwrap().id().unwrap().to_string()
    });
    let hub = driven.hub.clone();
    wait_until("the thread waits", || hub.metrics().full_events >= 2);
    let both = topics(&["a", "b"]);
    let mut in_a_future = Box::pin(hub.publish_to_async(&both, "from a future"));
    assert!(future::block_on(future::poll_once(&mut in_a_future)).is_none(), "it waits");
    // The client's system takes all of it although the client does not read yet.
    let id = driven.until(in_a_future).unwrap().id().unwrap().to_string();
    let id_of_thread = driven.until(smol::unblock(|| waiting.join().unwrap()));
    let got = driven.until(smol::unblock(move || {
        data(&mut client, count);
        [client.next(), client.next()]
    }));
    let mut got = got.map(|message| (message.data, message.last_id));
    got.sort_unstable();
    let expected = [("from a future".to_owned(), id), ("from a thread".to_owned(), id_of_thread)];
    assert_eq!(got, expected);
}

#[test]
fn a_publisher_that_waits_is_told_that_another_of_its_topics_is_finished() {
    let (driven, _listener, client, _) = with_a_full_topic();
    let [a, b] = ["a", "b"].map(|name| Topic::new(name).unwrap());
    let full = driven.hub.metrics().full_events;
    let (hub, both) = (driven.hub.clone(), [a, b.clone()]);
    let waiting = std::thread::spawn(move || hub.publish_to_wait(&both, "x", DEADLINE));
    wait_until("it waits", || driven.hub.metrics().full_events > full);
    driven.hub.finish(&b, None).unwrap();
    let told = waiting.join().unwrap().map(drop);
    assert_eq!(told, Err(PublishError::Finished { topic: b }));
    drop(client);
}

#[test]
fn no_topic_and_too_many_are_errors_and_one_that_is_given_twice_counts_once() {
    let (hub, _listener) = serve(one_shard());
    let names: Vec<Topic> =
        (0..=Event::TOPICS_MAX).map(|n| Topic::new(&n.to_string()).unwrap()).collect();
    let twice = [&names[1..], &names[1..]].concat();
    assert_eq!(hub.publish_to(&[], "x").unwrap_err(), PublishError::NoTopic);
    let refused = [
        hub.publish_to(&names, "x"),
        hub.publish_to_wait(&names, "x", DEADLINE),
        future::block_on(hub.publish_to_async(&names, "x")),
    ];
    for refused in refused {
        let error = refused.unwrap_err();
        assert!(matches!(error, PublishError::TooManyTopics { topics: 65, .. }));
        assert_eq!(error.to_string(), "the event has 65 topics; publish it to 64 at most");
    }
    assert_eq!(hub.metrics().published_events, 0);
    hub.publish_to(&twice, "x").unwrap();
    assert_eq!((hub.metrics().published_events, hub.metrics().kept_events), (1, 64));
    hub.finish(&names[3], None).unwrap();
    let error = hub.publish_to(&names[2..5], "x").unwrap_err();
    assert_eq!(error, PublishError::Finished { topic: names[3].clone() });
    close(&hub);
    assert_eq!(hub.publish_to(&names[4..6], "x").unwrap_err(), PublishError::Closed);
}

/// The next message's object in a JSON envelope, with its data.
fn object(client: &mut Client) -> serde_json::Value {
    serde_json::from_str(&client.next().data).expect("its data is JSON")
}

#[test]
fn an_envelope_names_all_of_the_topics_as_it_comes_and_to_those_that_come_back() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let paths = OF_BOTH.map(|query| format!("/events?{query}&envelope=json"));
    let mut live = paths.each_ref().map(|path| Client::get(addr, path));
    wait_until("all are here", || hub.metrics().connections == 4);
    let first = publish(&hub, &["a"], "one");
    let second = publish(&hub, &["b", "a", "a/x"], "three");
    let window = Duration::from_millis(50);
    let third = hub.publish_to_wait(
        &topics(&["b", "z"]),
        Event::new("spread").with_window(window),
        DEADLINE,
    );
    let third = third.unwrap().id().unwrap().to_string();
    let expected = [
        serde_json::json!({"topic": "a", "id": first, "data": "one"}),
        serde_json::json!(
            {"topic": "a", "topics": ["a", "a/x", "b"], "id": second, "data": "three"}
        ),
        serde_json::json!({"topic": "b", "topics": ["b", "z"], "id": third, "data": "spread"}),
    ];
    for client in &mut live {
        assert_eq!([(); 3].map(|()| object(client)), expected);
    }
    for path in &paths {
        let mut back = get_after(addr, path, &first);
        assert_eq!([(); 2].map(|()| object(&mut back)), expected[1..]);
    }
}

#[test]
fn topics_of_an_event_that_are_finished_refuse_it_and_end_their_streams() {
    let (hub, listener) = serve(shards(2));
    let addr = listener.local_addr();
    let mut of_a = Client::get(addr, "/events?topic=a");
    let mut of_both = Client::get(addr, "/events?topic=a&topic=b");
    wait_until("both are here", || hub.metrics().connections == 2);
    publish(&hub, &["a", "b"], "both");
    let finished = Topic::new("a").unwrap();
    hub.finish(&finished, Some("the last of a".into())).unwrap();
    for timeout in [Duration::ZERO, DEADLINE] {
        let refused = hub.publish_to_wait(&topics(&["a", "b"]), "refused", timeout);
        assert_eq!(refused.unwrap_err(), PublishError::Finished { topic: finished.clone() });
    }
    let window = Duration::from_secs(1);
    let refused = hub.publish_to(&topics(&["b", "a"]), Event::new("refused").with_window(window));
    assert_eq!(refused.unwrap_err(), PublishError::Finished { topic: finished });
    publish(&hub, &["b", "c"], "after it");
    assert_eq!(data(&mut of_a, 2), ["both", "the last of a"]);
    assert!(of_a.ends_cleanly());
    assert_eq!(data(&mut of_both, 3), ["both", "the last of a", "after it"]);
    hub.finish(&Topic::new("b").unwrap(), None).unwrap();
    assert!(of_both.ends_cleanly());
}
