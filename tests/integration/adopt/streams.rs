//! An adopted connection's stream is one like a listener's.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use fanfare::{
    ConnectionFilter, ConnectionSelector, DisconnectReason, DrainOptions, Envelope, HeartbeatForm,
    HttpVersion, Hub, NoticeKind, Notices, Options, Policy, StartAt, StreamOptions, Subscription,
};

use super::{adopted, ask, asked, connected, topic, wants};
use crate::support::{close, one_shard, shards, start, wait_until, Client, DEADLINE};

fn end(notices: &Notices) -> DisconnectReason {
    loop {
        let notice = notices.wait(DEADLINE).expect("a notice comes in time");
        if let NoticeKind::Disconnected { reason, .. } = notice.kind {
            return reason;
        }
    }
}

#[test]
fn the_engine_writes_the_whole_head_and_then_every_event_in_order() {
    let hub = start(one_shard().retry(Duration::from_secs(3)));
    let request = wants("a").header("X-Served-By", "host").header("Set-Cookie", "seen=1");
    let mut client = adopted(&hub, request);
    let head = client.head.clone();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nDate: "), "{head}");
    for line in [
        "Content-Type: text/event-stream",
        "Cache-Control: no-cache, no-store, no-transform",
        "X-Accel-Buffering: no",
        "X-Served-By: host",
        "Set-Cookie: seen=1",
        "Transfer-Encoding: chunked",
        "Connection: close",
    ] {
        assert_eq!(head.lines().filter(|other| *other == line).count(), 1, "{line}: {head}");
    }
    for number in 0..1_000 {
        hub.publish_wait(&topic("a"), number.to_string(), DEADLINE).unwrap();
    }
    assert!((0..1_000).all(|number| client.data() == number.to_string()));
    assert!((3_000..=6_000).contains(&client.retry().unwrap()));
    close(&hub);
    assert!(client.ends_cleanly());
}

#[test]
fn what_is_published_right_after_the_hand_over_is_in_the_stream() {
    let hub = start(one_shard());
    for number in 0..200 {
        let (client, server) = asked();
        // The shard has something else to do meanwhile.
        hub.publish_wait(&topic("other"), "x", DEADLINE).unwrap();
        hub.adopt(server, wants("a")).unwrap();
        hub.publish_wait(&topic("a"), number.to_string(), DEADLINE).unwrap();
        assert_eq!(Client::of(client).data(), number.to_string());
    }
    close(&hub);
}

#[test]
fn the_end_of_an_http_1_0_stream_is_that_of_the_connection() {
    let hub = start(one_shard());
    let mut client = adopted(&hub, wants("a").version(HttpVersion::Http10));
    assert!(!client.head.to_ascii_lowercase().contains("transfer-encoding"), "{}", client.head);
    hub.publish(&topic("a"), "x").unwrap();
    assert_eq!(client.data(), "x");
    close(&hub);
    assert!(client.ends_cleanly());
}

#[test]
fn a_post_whose_content_was_read_becomes_a_stream() {
    let hub = start(one_shard());
    // The line break behind the content is one that old clients send, and stands for nothing.
    for behind in ["", "\r\n"] {
        let (client, server) = connected();
        let request = b"POST /mine HTTP/1.1\r\nContent-Length: 6\r\n\r\nprompt";
        ask(&client, &server, request);
        (&client).write_all(behind.as_bytes()).unwrap();
        hub.adopt(server, wants("a").method("POST")).unwrap();
        let mut client = Client::of(client);
        hub.publish(&topic("a"), "answer").unwrap();
        assert_eq!(client.data(), "answer");
    }
}

#[test]
fn a_client_that_comes_back_is_sent_what_it_has_missed() {
    let hub = start(one_shard());
    let published: Vec<_> =
        ["1", "2", "3"].iter().map(|data| hub.publish(&topic("a"), *data).unwrap()).collect();
    let first = published[0].id().unwrap().to_string();
    let with = |options| wants("a").options(options);
    let mut back = adopted(&hub, with(StreamOptions::default().last_event_id(first)));
    let mut all = adopted(&hub, with(StreamOptions::default().start(StartAt::Earliest)));
    let mut new = adopted(&hub, wants("a"));
    let unknown = StreamOptions::default().last_event_id("0-7").gap_start(StartAt::Latest);
    let mut unknown = adopted(&hub, with(unknown));
    hub.publish(&topic("a"), "4").unwrap();
    assert_eq!([(); 3].map(|()| back.data()), ["2", "3", "4"]);
    assert_eq!([(); 4].map(|()| all.data()), ["1", "2", "3", "4"]);
    assert_eq!(new.data(), "4");
    assert_eq!(unknown.next().name, "fanfare-gap");
    assert_eq!([(); 2].map(|()| unknown.data()), ["3", "4"]);
}

#[test]
fn what_the_host_says_of_the_stream_holds() {
    let hub = start(one_shard().heartbeat(Duration::from_millis(100)));
    let options = StreamOptions::default()
        .policy(Policy::Conflate)
        .envelope(Envelope::Json)
        .heartbeat_form(HeartbeatForm::Comment)
        .tag("user 7")
        .addr("192.0.2.1:80".parse().unwrap());
    let twice = ["b/+", "a", "a"].map(|name| Subscription::new(name).unwrap());
    let mut client = adopted(&hub, wants("a").subscriptions(twice).options(options));
    client.wait_for_comment();
    hub.publish(&topic("b/c"), "x").unwrap();
    let data: serde_json::Value = serde_json::from_str(&client.data()).unwrap();
    assert_eq!((&data["topic"], &data["data"]), (&"b/c".into(), &"x".into()));
    let found = hub.connections(&ConnectionFilter::default().tag("user 7")).unwrap();
    assert_eq!((found.len(), found[0].policy), (1, Policy::Conflate));
    assert_eq!(found[0].addr, "192.0.2.1:80".parse().ok());
    let mut subscriptions: Vec<_> =
        found[0].subscriptions.iter().map(ToString::to_string).collect();
    subscriptions.sort();
    assert_eq!(subscriptions, ["a", "b/+"]);
    assert_eq!(hub.metrics().subscriptions, 2);
}

#[test]
fn a_client_of_finished_topics_with_nothing_to_come_is_answered_204() {
    let hub = start(one_shard());
    hub.publish(&topic("a"), "x").unwrap();
    hub.finish(&topic("a"), None).unwrap();
    let (client, server) = asked();
    hub.adopt(server, wants("a").header("Access-Control-Allow-Origin", "*")).unwrap();
    let mut client = Client::of(client);
    assert_eq!(client.status(), 204);
    assert!(client.head.contains("\r\nAccess-Control-Allow-Origin: *\r\n"), "{}", client.head);
    assert!(client.ends_cleanly());
    assert_eq!(hub.metrics().finished_answers, 1);
    // What is kept is still sent, and then the end.
    let earliest = StreamOptions::default().start(StartAt::Earliest);
    let mut client = adopted(&hub, wants("a").options(earliest));
    assert_eq!((client.status(), client.data()), (200, "x".to_owned()));
    assert!(client.ends_cleanly());
    wait_until("both are closed", || hub.metrics().pending_connections == 0);
}

#[test]
fn a_stream_ends_with_its_topics() {
    let hub = start(one_shard());
    let notices = hub.notices(100);
    let mut client = adopted(&hub, wants("a"));
    hub.finish(&topic("a"), Some("last".into())).unwrap();
    assert_eq!(client.data(), "last");
    assert!(client.ends_cleanly());
    assert_eq!(end(&notices), DisconnectReason::Finished);
}

#[test]
fn a_host_is_told_of_its_clients_that_come_and_go() {
    let hub = start(one_shard());
    let notices = hub.notices(100);
    let (client, server) = asked();
    let addr = client.local_addr().ok();
    hub.adopt(server, wants("a")).unwrap();
    let notice = notices.wait(DEADLINE).unwrap();
    assert_eq!((notice.kind, notice.addr), (NoticeKind::Connected, addr));
    drop(Client::of(client));
    assert_eq!(end(&notices), DisconnectReason::ClientClosed);

    let mut client = adopted(&hub, wants("a"));
    hub.disconnect(&ConnectionSelector::All, Duration::from_secs(7)).unwrap();
    assert!(client.ends_cleanly() && client.retry().unwrap() >= 7_000);
    assert_eq!(end(&notices), DisconnectReason::Kicked);
}

#[test]
fn what_a_client_sends_behind_its_request_is_thrown_away() {
    let hub = start(one_shard());
    let mut client = adopted(&hub, wants("a"));
    client.socket().write_all(super::GET).unwrap();
    hub.publish(&topic("a"), "x").unwrap();
    assert_eq!(client.data(), "x");
    close(&hub);
    assert!(client.ends_cleanly());
}

#[test]
fn a_client_that_is_gone_already_is_adopted_and_ends_at_once() {
    let hub = start(one_shard());
    let notices = hub.notices(100);
    let (client, server) = asked();
    client.shutdown(Shutdown::Write).unwrap();
    wait_until_readable(&server);
    hub.adopt(server, wants("a")).unwrap();
    assert_eq!(end(&notices), DisconnectReason::ClientClosed);
    // It may still read, so it is told that the stream has ended.
    assert!(Client::of(client).ends_cleanly());

    let (client, server) = asked();
    drop(client);
    wait_until_readable(&server);
    hub.adopt(server, wants("a")).unwrap();
    assert!([DisconnectReason::ClientClosed, DisconnectReason::Reset].contains(&end(&notices)));
    wait_until("none is left", || hub.metrics().connections == 0);
}

fn wait_until_readable(socket: &std::net::TcpStream) {
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(socket.peek(&mut [0]).unwrap(), 0);
}

#[test]
fn a_client_that_does_not_read_lags_and_is_disconnected_by_its_policy() {
    let hub = start(Options::default().shards(1).lag_bytes_max(1 << 20));
    let notices = hub.notices(100);
    let (client, server) = asked();
    hub.adopt(server, wants("a")).unwrap();
    wait_until("it is a stream", || hub.metrics().connections == 1);
    let data = "x".repeat(1 << 19);
    for _ in 0..100 {
        if hub.metrics().connections == 0 {
            break;
        }
        hub.publish_wait(&topic("a"), &*data, DEADLINE).unwrap();
    }
    assert_eq!(end(&notices), DisconnectReason::Lagging);
    drop(client);
}

#[test]
fn a_drain_tells_adopted_clients_when_to_come_back() {
    let hub = start(shards(2));
    let mut clients: Vec<_> = (0..20).map(|_| adopted(&hub, wants("a"))).collect();
    let options = DrainOptions::default().window(Duration::from_millis(200));
    let drained = std::thread::scope(|scope| {
        let drained = scope.spawn(|| hub.drain(options));
        assert!(clients.iter_mut().all(|client| client.ends_cleanly() && client.retry().is_some()));
        drained.join().unwrap()
    });
    assert_eq!((drained.told, drained.cut), (20, 0));
}

#[test]
fn hand_overs_from_many_threads_all_become_streams() {
    let hub = start(shards(2));
    let mut clients = std::thread::scope(|scope| {
        let hub = &hub;
        let some = || (0..50).map(|_| adopted(hub, wants("a"))).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(some)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    hub.publish(&topic("a"), "x").unwrap();
    assert!(clients.iter_mut().all(|client| client.data() == "x"));
    assert_eq!(hub.metrics().accepted_connections, 200);
}

#[test]
fn a_hub_that_is_closed_with_connections_on_their_way_closes_them() {
    let (hub, drivers) = Hub::with_drivers(shards(1)).unwrap();
    let clients = [(); 3].map(|()| {
        let (client, server) = asked();
        hub.adopt(server, wants("a")).unwrap();
        client
    });
    drop(drivers);
    for mut client in clients {
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"");
    }
    assert_eq!(hub.metrics().subscriptions, 0);
}
