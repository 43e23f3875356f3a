//! Topics that have an end: how streams of them end, and what a client gets that comes later.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use fanfare::{
    ConnectionFilter, ConnectionState, Cors, DisconnectReason, Event, EventId, Hub, ListenOptions,
    NoticeKind, PublishError, StartAt, Subscription, Topic,
};

use crate::support::{one_shard, serve, serve_with, shards, wait_until, Client, DEADLINE};

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
