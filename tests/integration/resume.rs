//! Coming back: what a client gets that says what it had last.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use fanfare::{Event, EventId, GapReason, Hub, ListenOptions, Options, StartAt, Topic};

use crate::support::sse::Message;
use crate::support::{one_shard, serve, serve_with, shards, start, wait_until, Client, DEADLINE};

pub(crate) fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

pub(crate) fn publish(hub: &Hub, name: &str, data: &str) -> EventId {
    hub.publish_wait(&topic(name), data, DEADLINE).unwrap().id().unwrap()
}

/// Gap events of which at least one was sent.
pub(crate) fn gaps(hub: &Hub) -> Vec<(GapReason, u64)> {
    let metrics = hub.metrics();
    let all = GapReason::all().map(|reason| (reason, metrics.gap_events(reason)));
    all.filter(|(_, count)| *count > 0).collect()
}

pub(crate) fn get_after(addr: SocketAddr, path: &str, id: &str) -> Client {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nLast-Event-ID: {id}\r\n\r\n");
    Client::send(addr, &request)
}

fn get_after_bytes(addr: SocketAddr, path: &str, id: &[u8]) -> Client {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nLast-Event-ID: ");
    stream.write_all(&[head.as_bytes(), id, b"\r\n\r\n"].concat()).unwrap();
    Client::of(stream)
}

/// The fields of a gap event: from, to, reason, missed.
pub(crate) fn gap(message: &Message) -> [String; 4] {
    assert_eq!(message.name, "fanfare-gap", "{message:?}");
    let json: serde_json::Value = serde_json::from_str(&message.data).unwrap();
    ["from", "to", "reason", "missed"].map(|field| match &json[field] {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

#[test]
fn everything_since_the_id_comes_first_over_all_topics_and_then_what_is_published() {
    let (hub, listener) = serve(one_shard());
    let ids = ["a", "b", "c", "a", "b"].map(|name| publish(&hub, name, name));
    let addr = listener.local_addr();
    for path in [
        format!("/events?topic=a&topic=b&last-event-id={}", ids[0]),
        format!("/events?topic=b&topic=a&lastEventId={}", ids[0]),
        // As the package reconnecting-eventsource adds it to an address that has one.
        format!("/events?topic=a&topic=b&last-event-id=older&lastEventId={}", ids[0]),
        format!("/events?topic=a&topic=b&lastEventId=older&lastEventId={}", ids[0]),
    ] {
        let mut client = Client::get(addr, &path);
        assert_eq!([client.data(), client.data(), client.data()], ["b", "a", "b"]);
    }
    let mut client =
        get_after(addr, "/events?topic=a&topic=b&last-event-id=older", &ids[0].to_string());
    let got = [client.next(), client.next(), client.next()];
    assert_eq!(got.clone().map(|message| message.data), ["b", "a", "b"]);
    assert_eq!(
        got.map(|message| message.last_id),
        [ids[1], ids[3], ids[4]].map(|id| id.to_string())
    );
    let live = publish(&hub, "b", "live");
    let message = client.next();
    assert_eq!((message.data, message.last_id), ("live".to_owned(), live.to_string()));
}

#[test]
fn a_client_without_events_comes_back_to_everything_since_it_came() {
    let (hub, listener) = serve(one_shard());
    publish(&hub, "a", "before");
    let mut client = Client::get(listener.local_addr(), "/events?topic=a");
    wait_until("it is here", || hub.metrics().connections == 1);
    let id = loop {
        if let Some(id) = client.take_ids().pop() {
            break id;
        }
        assert!(client.receive());
    };
    drop(client);
    publish(&hub, "a", "while it was away");
    let mut client = get_after(listener.local_addr(), "/events?topic=a", &id);
    assert_eq!(client.data(), "while it was away");
}

#[test]
fn without_an_id_a_stream_begins_with_nothing_old_or_as_asked() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    for (name, data) in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4"), ("b", "5"), ("c", "6")] {
        publish(&hub, name, data);
    }
    let begins = |query: &str, expected: &[&str]| {
        let before = hub.metrics().accepted_connections;
        let mut client = Client::get(addr, &format!("/events?topic=a&topic=b{query}"));
        wait_until("it is here", || hub.metrics().accepted_connections > before);
        let got: Vec<String> = expected.iter().map(|_| client.data()).collect();
        assert_eq!(got, expected, "{query}");
        client
    };
    let mut clients = [
        begins("", &[]),
        begins("&latest", &["4", "5"]),
        begins("&last=3", &["3", "4", "5"]),
        begins("&last=0", &[]),
        begins("&last=99", &["1", "2", "3", "4", "5"]),
        begins("&last-event-id=&latest=1", &["4", "5"]),
        begins("&start=now", &[]),
        begins("&start=latest&gap-start=earliest", &["4", "5"]),
        begins("&start=last%3D3", &["3", "4", "5"]),
        begins("&start=earliest&gap-start=now", &["1", "2", "3", "4", "5"]),
    ];
    wait_until("all are here", || hub.metrics().connections == clients.len() as u64);
    publish(&hub, "a", "live");
    for client in &mut clients {
        assert_eq!(client.data(), "live");
    }
    for query in [
        "&last=many",
        "&last=-1",
        "&last=1&latest",
        "&start=first",
        "&start=earliest&start=earliest",
        "&start=latest&latest",
        "&start=now&last=1",
        "&gap-start=none",
        "&gap-start=now&gap-start=now",
    ] {
        let client = Client::get(addr, &format!("/events?topic=a{query}"));
        assert_eq!(client.status(), 400, "{query}");
    }
}

#[test]
fn a_listener_says_where_streams_begin() {
    let options = ListenOptions::default().start(StartAt::Last(1));
    let (hub, listener) = serve_with(one_shard(), options);
    publish(&hub, "a", "1");
    publish(&hub, "a", "2");
    assert_eq!(Client::get(listener.local_addr(), "/events?topic=a").data(), "2");
}

#[test]
fn what_is_not_kept_any_more_is_told_before_anything_else() {
    let (hub, listener) = serve(one_shard().history_events_max(3));
    let ids: Vec<EventId> = (0..10).map(|n| publish(&hub, "a", &n.to_string())).collect();
    let addr = listener.local_addr();
    let mut client = get_after(addr, "/events?topic=a", &ids[2].to_string());
    let told = client.next();
    let (from, to) = (ids[2].to_string(), ids[6].to_string());
    assert_eq!(gap(&told), [from, to.clone(), "expired".to_owned(), "null".to_owned()]);
    assert_eq!(told.last_id, to, "a client that comes back from here is told of nothing");
    assert_eq!([client.data(), client.data(), client.data()], ["7", "8", "9"]);
    let mut client = get_after(addr, "/events?topic=a", &told.last_id);
    assert_eq!(client.data(), "7");
    // A client that had none of the topic's events is told how many are gone.
    let first = ids[0].to_string().replace("-1", "-0");
    let mut client = get_after(addr, "/events?topic=a", &first);
    let [from, _, reason, missed] = gap(&client.next());
    assert_eq!([from, reason, missed], [first, "expired".to_owned(), "7".to_owned()]);
    assert_eq!(gaps(&hub), [(GapReason::Expired, 2)]);
}

#[test]
fn an_id_of_another_life_is_told_so_and_gets_all_of_this_one() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    publish(&hub, "a", "since the restart");
    let mut client = get_after(addr, "/events?topic=a", "0000aaaa-4711");
    let told = client.next();
    let [from, to, reason, missed] = gap(&told);
    assert_eq!([&*from, &*reason, &*missed], ["0000aaaa-4711", "restarted", "null"]);
    assert!(to.ends_with("-0") && told.last_id == to, "{to} {}", told.last_id);
    assert_eq!(client.data(), "since the restart");
    assert_eq!(gaps(&hub), [(GapReason::Restarted, 1)]);
}

#[test]
fn a_client_with_an_unknown_id_is_told_so_and_gets_nothing_old() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let id = publish(&hub, "a", "old");
    let future = id.to_string().replace("-1", "-2");
    let long = "x".repeat(300);
    for (given, from) in
        [("what?", "what?"), (&*future, &*future), (&*long, "null"), ("\u{e9}\"", "é\"")]
    {
        let mut client = get_after(addr, "/events?topic=a", given);
        let told = client.next();
        let [told_from, to, reason, missed] = gap(&told);
        assert_eq!(
            [&*told_from, &*to, &*reason, &*missed],
            [from, &*id.to_string(), "unknown_id", "null"]
        );
        assert_eq!(told.last_id, to);
    }
    assert_eq!(gaps(&hub), [(GapReason::UnknownId, 4)]);
    wait_until("they have gone", || hub.metrics().connections == 0);
}

#[test]
fn custom_ids_are_found_and_left_alone() {
    let (hub, listener) = serve(one_shard().heartbeat(Duration::from_millis(100)));
    let addr = listener.local_addr();
    for n in 0..5 {
        hub.publish(&topic("a"), Event::new(n.to_string()).with_id(format!("row {n}"))).unwrap();
    }
    let mut client = get_after(addr, "/events?topic=a", "row 2");
    assert_eq!([client.next().last_id, client.next().last_id], ["row 3", "row 4"]);
    client.wait_for_comment();
    assert_eq!(
        client.take_ids().last().map(String::as_str),
        Some("row 4"),
        "no heartbeat moves it"
    );
    let mut client = get_after(addr, "/events?topic=a", "row 9");
    assert_eq!(gap(&client.next())[2], "unknown_id");
}

#[test]
fn an_id_comes_back_as_clients_send_it_in_utf8_or_in_latin_1_and_whatever_space_it_has() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    for id in ["caf\u{e9}", "\u{a0}a\u{a0}", "a\u{2000}", "\u{3000}", "a b", "\u{65e5}\u{672c}"] {
        publish(&hub, "a", "before");
        hub.publish(&topic("a"), Event::new("it").with_id(id)).unwrap();
        publish(&hub, "a", "missed");
        assert_eq!(get_after(addr, "/events?topic=a", id).data(), "missed", "{id:?}");
        assert_eq!(get_after(addr, "/events?topic=a", &format!(" \t{id}\t ")).data(), "missed");
        if let Some(latin) = id.chars().map(|c| u8::try_from(c).ok()).collect::<Option<Vec<u8>>>() {
            assert_eq!(get_after_bytes(addr, "/events?topic=a", &latin).data(), "missed", "{id:?}");
        }
    }
    // An unknown id is told so, and is never taken for none.
    for unknown in [&b"caf\xe8"[..], b"\xff\xfe", b"\x80"] {
        let mut client = get_after_bytes(addr, "/events?topic=a", unknown);
        assert_eq!(gap(&client.next())[2], "unknown_id", "{unknown:?}");
    }
    for padded in [" a", "a "] {
        let refused = hub.publish(&topic("a"), Event::new("x").with_id(padded));
        let error = refused.expect_err("it would not come back").to_string();
        assert!(error.contains("begins or ends with a space"), "{error}");
    }
}

#[test]
fn a_silent_stream_is_kept_open_with_the_id_to_come_back_with() {
    let (hub, listener) = serve(one_shard().heartbeat(Duration::from_millis(100)));
    let mut client = Client::get(listener.local_addr(), "/events?topic=quiet");
    let all: Vec<_> = (0..100).map(|n| publish(&hub, "busy", &n.to_string())).collect();
    let last = all[99];
    while client.take_ids().last() != Some(&last.to_string()) {
        assert!(client.receive());
    }
    publish(&hub, "quiet", "at last");
    assert_eq!(client.data(), "at last", "and nothing was fired before");
}

#[test]
fn what_is_kept_is_bounded_by_count_by_bytes_by_age_and_in_all() {
    let data = "x".repeat(1_000);
    let kept = |options: Options| {
        let hub = start(options.shards(1));
        for n in 0..100 {
            publish(&hub, ["a", "b"][n % 2], &data);
        }
        (hub.metrics().kept_events, hub.metrics().kept_bytes, hub)
    };
    let (events, bytes, _) = kept(Options::default().history_events_max(7));
    assert_eq!(events, 14);
    assert!((14 * 1_256..14 * 1_400 + 2_000).contains(&bytes), "{bytes}");
    let (events, bytes, _) = kept(Options::default().history_bytes_max(10_000));
    assert!(events == 14 && bytes < 22_000, "{events} events, {bytes} bytes");
    let (events, bytes, _) = kept(Options::default().history_total_bytes_max(10_000));
    assert!((5..=7).contains(&events) && bytes <= 10_000, "{events} events, {bytes} bytes");
    let (events, bytes, _) = kept(Options::default().history_events_max(0));
    assert_eq!((events, bytes), (0, 0));
    // By age also when nothing more is published. A shard's clock ticks while a client is
    // connected.
    let age = Options::default().history_age_max(Duration::from_millis(50));
    let (_, _, hub) = kept(age);
    let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
    let _client = Client::get(listener.local_addr(), "/events?topic=c");
    wait_until("all is forgotten", || {
        hub.metrics().kept_bytes == 0 && hub.metrics().kept_events == 0
    });
}

#[test]
fn a_hub_that_keeps_nothing_says_that_something_may_be_missing() {
    let (hub, listener) = serve(one_shard().history_events_max(0));
    let id = publish(&hub, "a", "1");
    publish(&hub, "a", "2");
    let mut client = get_after(listener.local_addr(), "/events?topic=a", &id.to_string());
    assert_eq!(gap(&client.next())[2..], ["expired", "null"]);
    publish(&hub, "a", "3");
    assert_eq!(client.data(), "3");
}

#[test]
fn a_long_replay_meets_what_is_published_meanwhile() {
    const OLD: usize = 3_000;
    const NEW: usize = 3_000;
    let (hub, listener) = serve(shards(2).history_events_max(10_000).history_bytes_max(16 << 20));
    let addr = listener.local_addr();
    let data = |n: usize| format!("{n}:{}", "x".repeat(n % 500));
    let first = publish(&hub, "a", "first").to_string();
    (0..OLD).for_each(|n| _ = publish(&hub, ["a", "b"][n % 2], &data(n)));
    let publisher = std::thread::spawn({
        let hub = hub.clone();
        move || (OLD..OLD + NEW).for_each(|n| _ = publish(&hub, ["a", "b"][n % 2], &data(n)))
    });
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let first = first.clone();
            std::thread::spawn(move || {
                let mut client = get_after(addr, "/events?topic=a&topic=b", &first);
                for n in 0..OLD + NEW {
                    assert_eq!(client.data(), data(n));
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    publisher.join().unwrap();
    let metrics = hub.metrics();
    assert!(metrics.replayed_events >= 20 * OLD as u64, "{metrics:?}");
    assert_eq!(gaps(&hub), []);
}

#[test]
fn a_client_that_is_sent_what_it_missed_counts_as_replaying_and_not_as_lagging() {
    let (hub, listener) =
        serve(one_shard().history_bytes_max(64 << 20).history_total_bytes_max(64 << 20));
    let data = "x".repeat(64 << 10);
    let ids: Vec<_> = (0..500).map(|_| publish(&hub, "a", &data).to_string()).collect();
    // More than what the sockets' buffers take, and the clients do not read yet.
    let mut client = get_after(listener.local_addr(), "/events?topic=a", &ids[0]);
    let counts = || {
        let metrics = hub.metrics();
        (metrics.connections, metrics.replaying_connections, metrics.lagging_connections)
    };
    wait_until("it replays", || counts() == (1, 1, 0));
    ids[1..].iter().for_each(|id| assert_eq!(&client.next().last_id, id));
    wait_until("it has caught up", || counts() == (1, 0, 0));
    let metrics = hub.metrics();
    assert_eq!((metrics.replayed_events, metrics.delivered_events), (499, 499));
    assert!((499 / 256..=499).contains(&metrics.gathered_parts), "{metrics:?}");
}
