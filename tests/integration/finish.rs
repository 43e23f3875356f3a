//! Topics that have an end: how streams of them end, and what a client gets that comes later.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use fanfare::{
    ConnectionFilter, ConnectionState, Cors, DisconnectReason, Event, EventId, Hub, ListenOptions,
    NoticeKind, PublishError, StartAt, Subscription, Topic,
};

use smol::future::FutureExt;

use crate::support::{close, one_shard, serve, serve_with, shards, wait_until, Client, DEADLINE};

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn publish(hub: &Hub, name: &str, data: &str) -> EventId {
    hub.publish_wait(&topic(name), data, DEADLINE).unwrap().id().unwrap()
}

fn finish(hub: &Hub, name: &str, data: &str) -> EventId {
    hub.finish_wait(&topic(name), Some(data.into()), DEADLINE).unwrap().id().unwrap()
}

fn get(addr: SocketAddr, query: &str) -> Client {
    Client::get(addr, &format!("/events?{query}"))
}

fn get_after(addr: SocketAddr, query: &str, id: &str) -> Client {
    let request =
        format!("GET /events?{query} HTTP/1.1\r\nHost: {addr}\r\nLast-Event-ID: {id}\r\n\r\n");
    Client::send(addr, &request)
}

/// What a stream has from here on to its end, which has to be a proper one.
fn rest(client: &mut Client) -> Vec<String> {
    assert_eq!(client.status(), 200, "{}", client.head);
    let mut all = Vec::new();
    while !client.ends_cleanly() {
        all.push(client.data());
    }
    all
}

/// Whether an answer tells an `EventSource` to stay away.
fn is_no_content(mut client: Client) -> bool {
    if client.status() != 204 {
        return false;
    }
    let head = client.head.to_ascii_lowercase();
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert!(client.ends_cleanly(), "it has a body");
    true
}

fn finished(hub: &Hub) -> u64 {
    hub.metrics().disconnects(DisconnectReason::Finished)
}

#[test]
fn the_clients_of_a_finished_topic_get_the_last_event_and_then_the_end() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let notices = hub.notices(100);
    let mut clients = [get(addr, "topic=run"), get(addr, "topic=run&policy=disconnect")];
    let http10 = format!("GET /events?topic=run HTTP/1.0\r\nHost: {addr}\r\n\r\n");
    let mut old = Client::send(addr, &http10);
    publish(&hub, "run", "1");
    finish(&hub, "run", "2");
    for client in clients.iter_mut().chain([&mut old]) {
        assert_eq!(rest(client), ["1", "2"]);
    }
    wait_until("all are counted", || finished(&hub) == 3);
    wait_until("all are closed", || {
        let metrics = hub.metrics();
        (metrics.connections, metrics.subscriptions) == (0, 0)
    });
    drop((clients, old));
    wait_until("nothing is left of them", || hub.metrics().pending_connections == 0);
    assert_eq!((hub.metrics().published_events, hub.metrics().finished_topics), (2, 1));
    let mut told = 0;
    while let Some(notice) = notices.try_next() {
        if let NoticeKind::Disconnected { reason, events, .. } = notice.kind {
            assert_eq!((reason, events), (DisconnectReason::Finished, 2));
            told += 1;
        }
    }
    assert_eq!(told, 3);
}

#[test]
fn a_stream_of_several_topics_ends_with_the_last_of_them_and_one_with_a_filter_goes_on() {
    let (hub, listener) = serve(shards(2));
    let addr = listener.local_addr();
    let mut both: Vec<Client> = (0..10).map(|_| get(addr, "topic=run/1&topic=run/2")).collect();
    let mut filtered = get(addr, "topic=run/1&topic=run/%2B");
    finish(&hub, "run/1", "1");
    publish(&hub, "run/2", "2");
    for client in both.iter_mut().chain([&mut filtered]) {
        assert_eq!([client.data(), client.data()], ["1", "2"]);
    }
    assert_eq!(finished(&hub), 0);
    finish(&hub, "run/2", "3");
    for client in &mut both {
        assert_eq!(rest(client), ["3"]);
    }
    publish(&hub, "run/3", "4");
    assert_eq!([filtered.data(), filtered.data()], ["3", "4"]);
    wait_until("all are counted", || finished(&hub) == 10);
}

#[test]
fn a_client_that_lags_is_sent_everything_before_the_end() {
    let (hub, listener) = serve(one_shard().lag_bytes_max(256 << 20).history_events_max(10_000));
    let addr = listener.local_addr();
    let mut slow = [get(addr, "topic=run"), get(addr, "topic=run&topic=other")];
    let mut fast = get(addr, "topic=run");
    let reader = std::thread::spawn(move || rest(&mut fast).len());
    let data = "x".repeat(100_000);
    let mut count = 0;
    // They lag by more than the kernel takes when it makes the sockets' buffers larger.
    while hub.metrics().lag_bytes < 32 << 20 {
        publish(&hub, "run", &data);
        count += 1;
        assert!(count < 1_000, "the sockets take everything");
    }
    finish(&hub, "other", "of the other");
    finish(&hub, "run", "last");
    assert_eq!(reader.join().unwrap(), count + 1);
    wait_until("only they lag", || hub.metrics().lagging_connections == 2);
    let all = slow.each_mut().map(rest);
    assert_eq!(all.each_ref().map(Vec::len), [count + 1, count + 2]);
    assert!(all.iter().all(|all| all.last().is_some_and(|last| last == "last")));
    wait_until("all are counted", || finished(&hub) == 3);
    assert_eq!(hub.metrics().lag_bytes, 0);
}

#[test]
fn a_client_that_replays_is_sent_everything_before_the_end() {
    let (hub, listener) =
        serve(one_shard().history_bytes_max(64 << 20).history_total_bytes_max(256 << 20));
    let data = "x".repeat(100_000);
    let first = publish(&hub, "run", &data);
    for _ in 0..300 {
        publish(&hub, "run", &data);
    }
    // It does not read, so that it replays when the topic is finished.
    let mut client = get_after(listener.local_addr(), "topic=run", &first.to_string());
    wait_until("it replays", || hub.metrics().replaying_connections == 1);
    let last = finish(&hub, "run", "last");
    assert_eq!(hub.metrics().replaying_connections, 1);
    let all = rest(&mut client);
    assert_eq!((all.len(), all.last().map(String::as_str)), (301, Some("last")));
    assert!(is_no_content(get_after(listener.local_addr(), "topic=run", &last.to_string())));
}

#[test]
fn what_was_sent_arrives_though_the_client_reads_it_after_its_connection_was_closed() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let mut client = get(addr, "topic=run");
    // Nobody asked for that. Left unread it would be a reset.
    client.socket().write_all(b"more").unwrap();
    publish(&hub, "run", &"x".repeat(20_000));
    finish(&hub, "run", "last");
    wait_until("it is closed", || {
        let metrics = hub.metrics();
        finished(&hub) == 1 && metrics.pending_connections == 0
    });
    let all = rest(&mut client);
    assert_eq!((all.len(), &*all[1]), (2, "last"));
}

#[test]
fn a_client_that_comes_later_is_sent_what_it_asks_for_and_then_the_end() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let ids = ["1", "2"].map(|data| publish(&hub, "run", data));
    publish(&hub, "other", "of the other");
    let last = finish(&hub, "run", "3");
    for (query, expected) in [
        ("topic=run&latest", &["3"][..]),
        ("topic=run&last=2", &["2", "3"]),
        ("topic=run&last=9&policy=disconnect", &["1", "2", "3"]),
    ] {
        assert_eq!(rest(&mut get(addr, query)), expected, "{query}");
    }
    assert_eq!(rest(&mut get_after(addr, "topic=run", &ids[0].to_string())), ["2", "3"]);
    let http10 = format!(
        "GET /events?topic=run HTTP/1.0\r\nHost: {addr}\r\nLast-Event-ID: {}\r\n\r\n",
        ids[1]
    );
    assert_eq!(rest(&mut Client::send(addr, &http10)), ["3"]);
    // Nothing is left for these.
    for (query, id) in [
        ("topic=run", String::new()),
        ("topic=run&topic=run", last.to_string()),
        ("topic=run&last=0", String::new()),
        ("topic=run&latest", last.to_string()),
    ] {
        assert!(is_no_content(get_after(addr, query, &id)), "{query} {id}");
    }
    // The other topic goes on.
    let mut both = get_after(addr, "topic=run&topic=other", &last.to_string());
    let mut filtered = get_after(addr, "topic=run&topic=run/%23", &last.to_string());
    wait_until("both are here", || hub.metrics().connections == 2);
    publish(&hub, "other", "more");
    publish(&hub, "run/2", "matched");
    assert_eq!([both.data(), filtered.data()], ["more", "matched"]);
    finish(&hub, "other", "the end");
    assert_eq!(rest(&mut both), ["the end"]);
    assert_eq!(hub.metrics().finished_answers, 4);
    wait_until("all are counted", || finished(&hub) == 6);
}

#[test]
fn a_client_whose_id_is_gone_is_told_so_once_and_then_stays_away() {
    let (hub, listener) = serve(one_shard().history_events_max(2));
    let addr = listener.local_addr();
    let first = publish(&hub, "run", "1");
    for n in 2..6 {
        publish(&hub, "run", &n.to_string());
    }
    finish(&hub, "run", "6");
    for (id, expected) in [
        (&*first.to_string(), &["5", "6"][..]),
        ("0000aaaa-4711", &["5", "6"]),
        ("unknown", &[]),
        (&*"x".repeat(300), &[]),
    ] {
        let mut client = get_after(addr, "topic=run", id);
        let gap = client.next();
        assert_eq!(gap.name, "fanfare-gap", "{id}");
        assert_eq!(rest(&mut client), expected, "{id}");
        let last_id = client.take_ids().pop().unwrap();
        assert!(is_no_content(get_after(addr, "topic=run", &last_id)), "{id} {last_id}");
    }
}

#[test]
fn ids_of_the_publishers_are_found_of_all_topics() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    for (name, id) in [("a", "row 1"), ("b", "row 2"), ("a", "row 3")] {
        hub.publish(&topic(name), Event::new(id).with_id(id)).unwrap();
    }
    hub.finish(&topic("a"), None).unwrap();
    hub.finish(&topic("b"), Some(Event::new("row 4").with_id("row 4"))).unwrap();
    for (query, id, expected) in [
        ("topic=a", "row 1", Some(&["row 3"][..])),
        ("topic=a", "row 3", None),
        ("topic=b", "row 4", None),
        ("topic=a&topic=b", "row 3", Some(&["row 4"])),
        ("topic=a&topic=b", "row 4", None),
        ("topic=a&topic=b", "row 2", Some(&["row 3", "row 4"])),
    ] {
        let mut client = get_after(addr, query, id);
        match expected {
            Some(expected) => assert_eq!(rest(&mut client), expected, "{query} {id}"),
            None => assert!(is_no_content(client), "{query} {id}"),
        }
    }
}

#[test]
fn where_nothing_is_kept_a_client_stays_away_that_came_after_the_last_event() {
    let (hub, listener) = serve(one_shard().history_events_max(0));
    let addr = listener.local_addr();
    let first = publish(&hub, "run", "1");
    let mut live = get(addr, "topic=run");
    let last = finish(&hub, "run", "2");
    assert_eq!(rest(&mut live), ["2"]);
    let after = publish(&hub, "other", "behind it");
    for id in [last, after] {
        assert!(is_no_content(get_after(addr, "topic=run", &id.to_string())), "{id}");
    }
    let mut client = get_after(addr, "topic=run", &first.to_string());
    assert_eq!(client.next().name, "fanfare-gap");
    assert_eq!(rest(&mut client), [""; 0]);
    let last_id = client.take_ids().pop().unwrap();
    assert!(is_no_content(get_after(addr, "topic=run", &last_id)));
    for query in ["topic=run", "topic=run&latest", "topic=run&last=5"] {
        assert!(is_no_content(get(addr, query)), "{query}");
    }
}

#[test]
fn a_page_of_another_origin_may_read_that_nothing_is_to_come_and_head_gets_what_get_would() {
    let cors = Cors::default().origins(["https://a.example"]);
    let (hub, listener) = serve_with(one_shard(), ListenOptions::default().cors(cors));
    let addr = listener.local_addr();
    hub.finish(&topic("run"), None).unwrap();
    for method in ["GET", "HEAD"] {
        let origin = "Origin: https://a.example";
        let request =
            format!("{method} /events?topic=run HTTP/1.1\r\nHost: {addr}\r\n{origin}\r\n\r\n");
        let client = Client::send(addr, &request);
        let allowed = "\r\nAccess-Control-Allow-Origin: https://a.example\r\n";
        assert!(client.head.contains(allowed), "{}", client.head);
        assert!(client.head.contains("\r\nCache-Control: no-store\r\n"), "{}", client.head);
        assert!(is_no_content(client), "{method}");
    }
    // What is wrong with a request is said all the same.
    assert_eq!(get(addr, "topic=run&policy=none").status(), 400);
    assert_eq!(hub.metrics().finished_answers, 2);
}

#[test]
fn a_listener_whose_streams_begin_with_what_is_kept_serves_that_and_the_end() {
    let options = ListenOptions::default().start(StartAt::Latest);
    let (hub, listener) = serve_with(one_shard(), options);
    let addr = listener.local_addr();
    let last = finish(&hub, "run", "1");
    hub.finish(&topic("silent"), None).unwrap();
    assert_eq!(rest(&mut get(addr, "topic=run&topic=silent")), ["1"]);
    assert!(is_no_content(get_after(addr, "topic=run&topic=silent", &last.to_string())));
    assert!(is_no_content(get(addr, "topic=silent")));
}

#[test]
fn nothing_can_be_published_to_a_finished_topic_and_it_is_finished_once() {
    let (hub, _listener) = serve(one_shard());
    let run = topic("run");
    let id = hub.finish(&run, None).unwrap().id().unwrap();
    let finished = |result: Result<_, PublishError>| {
        assert_eq!(
            result.map(|_: fanfare::Published| ()),
            Err(PublishError::Finished { topic: topic("run") })
        );
    };
    finished(hub.publish(&run, "late"));
    finished(hub.publish_wait(&run, "late", DEADLINE));
    finished(smol::block_on(hub.publish_async(&run, "late")));
    finished(hub.finish(&run, Some("late".into())));
    finished(hub.finish_wait(&run, None, DEADLINE));
    finished(smol::block_on(hub.finish_async(&run, Some("late".into()))));
    // What no client would get as it was given is invalid before that.
    let invalid = Event::new("x").with_name("two\nlines");
    assert!(matches!(hub.finish(&run, Some(invalid.clone())), Err(PublishError::Invalid(_))));
    assert!(matches!(hub.finish(&topic("b"), Some(invalid)), Err(PublishError::Invalid(_))));
    assert_ne!(hub.publish(&topic("b"), "it goes on").unwrap().id().unwrap(), id);
    assert_eq!((hub.metrics().published_events, hub.metrics().finished_topics), (1, 1));
    close(&hub);
    assert_eq!(hub.finish(&topic("c"), None).unwrap_err(), PublishError::Closed);
}

#[test]
fn a_last_event_waits_for_space_and_until_then_the_topic_goes_on() {
    let options = one_shard().topic_backlog_bytes_max(10_000).lag_bytes_max(0);
    let (hub, listener) = serve(options);
    let mut client = get(listener.local_addr(), "topic=run");
    let (run, data) = (topic("run"), "x".repeat(5_000));
    // The client does not read, and is waited for.
    let mut sent = 0;
    while hub.publish_wait(&run, &*data, Duration::from_millis(200)).is_ok() {
        sent += 1;
        assert!(sent < 100_000, "the backlog does not fill");
    }
    let last = || Some(Event::new("last"));
    let full = hub.metrics().full_events;
    assert_eq!(hub.finish(&run, last()).unwrap_err(), PublishError::Full);
    let short = Duration::from_millis(20);
    assert_eq!(hub.finish_wait(&run, last(), short).unwrap_err(), PublishError::Full);
    assert!(hub.metrics().full_events >= full + 2);
    assert_eq!(hub.metrics().finished_topics, 0);
    let finishing = std::thread::spawn({
        let (hub, run) = (hub.clone(), run.clone());
        move || smol::block_on(hub.finish_async(&run, Some("last".into()))).unwrap()
    });
    let publishing = std::thread::spawn({
        let hub = hub.clone();
        // It may be in time or not.
        move || hub.publish_wait(&run, "perhaps", DEADLINE).map(|_| ())
    });
    let all = rest(&mut client);
    finishing.join().unwrap();
    let is_in_time = match publishing.join().unwrap() {
        Ok(()) => true,
        Err(error) => {
            assert!(matches!(error, PublishError::Finished { .. }), "{error:?}");
            false
        }
    };
    assert_eq!(all.len(), sent + 1 + usize::from(is_in_time));
    assert_eq!(all.last().unwrap(), "last");
}

#[test]
fn publishers_that_wait_for_space_are_told_that_the_topic_is_finished() {
    // The topic is full, and then the hub.
    for (of_topic, of_hub) in [(10_000, 64 << 20), (64 << 20, 10_000)] {
        let options = one_shard().topic_backlog_bytes_max(of_topic).backlog_bytes_max(of_hub);
        let options = options.lag_bytes_max(0).stall_time_max(Duration::ZERO);
        let (hub, listener) = serve(options);
        let client = get(listener.local_addr(), "topic=run");
        let (run, data) = (topic("run"), "x".repeat(5_000));
        // The client does not read, and is waited for.
        let mut sent = 0;
        while hub.publish_wait(&run, &*data, Duration::from_millis(200)).is_ok() {
            sent += 1;
            assert!(sent < 100_000, "the backlog does not fill");
        }
        let full = hub.metrics().full_events;
        let waiting = [0, 1, 2].map(|how| {
            let (hub, run) = (hub.clone(), run.clone());
            let last = Some(Event::new("last"));
            let too_long = async {
                smol::Timer::after(DEADLINE).await;
                Err(PublishError::Full)
            };
            std::thread::spawn(move || match how {
                0 => hub.publish_wait(&run, "x", DEADLINE),
                1 => smol::block_on(hub.publish_async(&run, "x").or(too_long)),
                _ => hub.finish_wait(&run, last, DEADLINE),
            })
        });
        wait_until("all wait", || hub.metrics().full_events >= full + 3);
        hub.finish(&run, None).unwrap();
        for waiting in waiting {
            let told = waiting.join().unwrap().map(drop);
            assert_eq!(told, Err(PublishError::Finished { topic: run.clone() }));
        }
        // If it were cut off, there would be space.
        assert_eq!(hub.metrics().connections, 1);
        drop(client);
    }
}

#[test]
fn a_stream_that_is_given_finished_topics_ends_and_one_that_leaves_them_goes_on() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let (mut to, mut from) = (get(addr, "topic=a&tag=to"), get(addr, "topic=run&topic=b&tag=from"));
    wait_until("both are here", || hub.metrics().connections == 2);
    let id = |tag: &str| {
        let found = hub.connections(&ConnectionFilter::default().tag(tag)).unwrap();
        assert_eq!(found[0].state, ConnectionState::Live);
        found[0].id
    };
    let wanted = |name: &str| [Subscription::Topic(topic(name))];
    publish(&hub, "a", "1");
    finish(&hub, "run", "2");
    assert!(hub.set_subscriptions(id("to"), &wanted("run")).unwrap());
    assert_eq!(rest(&mut to), ["1"]);
    assert!(hub.set_subscriptions(id("from"), &wanted("a")).unwrap());
    finish(&hub, "b", "not for it any more");
    publish(&hub, "a", "3");
    assert_eq!([from.data(), from.data()], ["2", "3"]);
    finish(&hub, "a", "4");
    assert_eq!(rest(&mut from), ["4"]);
}

#[test]
fn a_client_that_is_cut_off_has_its_rest_and_the_end_from_another_shard() {
    let (hub, listener) = serve(shards(2));
    let addr = listener.local_addr();
    let mut clients: Vec<Client> = (0..20).map(|_| get(addr, "topic=run")).collect();
    publish(&hub, "run", "1");
    let ids: Vec<String> = clients.iter_mut().map(|client| client.next().last_id).collect();
    drop(clients);
    publish(&hub, "run", "2");
    let last = finish(&hub, "run", "3").to_string();
    for id in ids {
        let mut client = get_after(addr, "topic=run", &id);
        assert_eq!([client.next().data, client.next().data], ["2", "3"]);
        assert!(client.ends_cleanly());
        let last_id = client.take_ids().pop().unwrap();
        assert_eq!(last_id, last);
        assert!(is_no_content(get_after(addr, "topic=run", &last_id)));
    }
}
