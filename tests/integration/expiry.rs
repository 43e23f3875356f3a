//! Grants that expire end their streams in time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use fanfare::{
    AdoptRequest, AskOptions, AuthorizationRequests, Authorizer, DisconnectReason, Grant, Hub,
    ListenOptions, Listener, NoticeKind, Options, Policy, StreamOptions, Subscription, Topic,
};

use crate::support::{one_shard, serve_with, shards, wait_until, Client, DEADLINE};

/// How long a stream may outlive its grant.
const LATE_MAX: Duration = Duration::from_secs(1);

fn grant(name: &str) -> Grant {
    Grant::new([Subscription::new(name).unwrap()])
}

fn publish(hub: &Hub, name: &str, data: &str) {
    hub.publish_wait(&Topic::new(name).unwrap(), data, DEADLINE).unwrap();
}

fn asking(options: Options) -> (Hub, Listener, AuthorizationRequests) {
    let (authorizer, requests) = Authorizer::ask(AskOptions::default().timeout(DEADLINE)).unwrap();
    let (hub, listener) = serve_with(options, ListenOptions::default().authorizer(authorizer));
    (hub, listener, requests)
}

fn send(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream
}

fn open(addr: SocketAddr, requests: &AuthorizationRequests, grant: Grant) -> Client {
    let stream = send(addr);
    requests.wait(DEADLINE).unwrap().allow(grant).unwrap();
    Client::of(stream)
}

fn expired(hub: &Hub) -> u64 {
    hub.metrics().disconnects(DisconnectReason::Expired)
}

/// How late the first of all streams that end does, or how early. A machine that runs others at
/// that moment makes it later, so a test takes the best of several.
fn lateness(hub: &Hub, expires_at: SystemTime) -> Duration {
    let before = expired(hub);
    while expired(hub) == before {
        assert!(SystemTime::now() < expires_at + DEADLINE, "it does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
    SystemTime::now().duration_since(expires_at).expect("it does not end early")
}

#[test]
fn a_stream_ends_when_its_grant_expires_and_tells_why_and_others_stay() {
    let (hub, listener, requests) = asking(one_shard());
    let addr = listener.local_addr();
    let notices = hub.notices(100);
    let mut stays = open(addr, &requests, grant("a"));
    let mut best = Duration::MAX;
    for nth in 0..5 {
        let expires_at = SystemTime::now() + Duration::from_millis(400);
        let mut client = open(addr, &requests, grant("a").expires_at(expires_at));
        publish(&hub, "a", &nth.to_string());
        assert_eq!((client.data(), stays.data()), (nth.to_string(), nth.to_string()));
        best = best.min(lateness(&hub, expires_at));
        assert!(client.ends_cleanly());
        assert_eq!(client.retry(), Some(client.retry().unwrap()), "none beside the first");
        assert_eq!(expired(&hub), nth + 1);
    }
    assert!(best < LATE_MAX, "{best:?}");
    publish(&hub, "a", "still");
    assert_eq!(stays.data(), "still");
    let reasons =
        std::iter::from_fn(|| notices.try_next()).filter_map(|notice| match notice.kind {
            NoticeKind::Disconnected { reason, .. } => Some(reason),
            _ => None,
        });
    assert_eq!(reasons.collect::<Vec<_>>(), [DisconnectReason::Expired; 5]);
    assert_eq!(DisconnectReason::Expired.to_string(), "expired");
    drop(stays);
    wait_until("nothing is left", || {
        let metrics = hub.metrics();
        [metrics.connections, metrics.pending_connections, metrics.subscriptions] == [0; 3]
    });
}

#[test]
fn a_grant_that_has_expired_opens_no_stream() {
    let (hub, listener, requests) = asking(one_shard());
    let now = SystemTime::now();
    for expires_at in [now, now - Duration::from_secs(3_600), SystemTime::UNIX_EPOCH] {
        let mut stream = send(listener.local_addr());
        requests.wait(DEADLINE).unwrap().allow(grant("a").expires_at(expires_at)).unwrap();
        let mut refused = String::new();
        stream.read_to_string(&mut refused).unwrap();
        assert!(refused.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{refused}");
        assert!(refused.ends_with("has expired; get a new grant\n"), "{refused}");
    }
    let metrics = hub.metrics();
    assert_eq!((metrics.denied_authorizations, metrics.accepted_connections), (3, 0));
    assert_eq!(expired(&hub), 0);
}

#[test]
fn a_thousand_streams_that_expire_at_once_all_end_in_time() {
    const CLIENTS: u64 = 1_000;
    let (hub, listener, requests) = asking(shards(2));
    // So late that all are there by then.
    let expires_at = SystemTime::now() + Duration::from_secs(8);
    let streams: Vec<_> = (0..CLIENTS).map(|_| send(listener.local_addr())).collect();
    for _ in 0..CLIENTS {
        requests.wait(DEADLINE).unwrap().allow(grant("a").expires_at(expires_at)).unwrap();
    }
    wait_until("all are streams", || hub.metrics().connections == CLIENTS);
    assert!(SystemTime::now() < expires_at, "the machine is too busy for this test");
    wait_until("all have ended", || hub.metrics().connections == 0);
    let late = SystemTime::now().duration_since(expires_at).expect("none ends early");
    assert!(late < LATE_MAX, "{late:?}");
    assert_eq!(expired(&hub), CLIENTS);
    for stream in streams {
        assert!(Client::of(stream).ends_cleanly());
    }
}

#[test]
fn a_client_that_takes_nothing_and_one_that_is_sent_what_it_missed_expire_too() {
    let (hub, listener, requests) = asking(one_shard().topic_backlog_bytes_max(8 << 20));
    let addr = listener.local_addr();
    let event = "x".repeat(64 << 10);
    (0..8).for_each(|_| publish(&hub, "old", &event));
    let expires_at = SystemTime::now() + Duration::from_secs(2);
    let small = |start| grant("a").policy(Policy::DropOldest).start(start).expires_at(expires_at);
    let lags = open(addr, &requests, small(fanfare::StartAt::Now));
    let replays = {
        let old = grant("old").start(fanfare::StartAt::Earliest).expires_at(expires_at);
        open(addr, &requests, old)
    };
    let begun = Instant::now();
    while hub.metrics().lagging_connections == 0 {
        hub.publish_wait(&Topic::new("a").unwrap(), &*event, DEADLINE).unwrap();
        assert!(begun.elapsed() < DEADLINE, "it takes everything");
    }
    let late = lateness(&hub, expires_at);
    assert!(late < DEADLINE, "{late:?}");
    wait_until("both have expired", || expired(&hub) == 2);
    drop((lags, replays));
    wait_until("nothing is left", || {
        let metrics = hub.metrics();
        [metrics.connections, metrics.pending_connections, metrics.lag_bytes] == [0; 3]
            && metrics.backlog_bytes == 0
    });
}

#[test]
fn a_client_comes_back_with_a_new_grant_and_misses_nothing() {
    let (hub, listener, requests) = asking(one_shard());
    let addr = listener.local_addr();
    let expires_at = SystemTime::now() + Duration::from_millis(300);
    let mut client = open(addr, &requests, grant("a").expires_at(expires_at));
    publish(&hub, "a", "1");
    let first = client.next();
    assert!(client.ends_cleanly());
    publish(&hub, "a", "2");
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!(
        "GET /events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {}\r\n\r\n",
        first.last_id
    );
    stream.write_all(request.as_bytes()).unwrap();
    let later = SystemTime::now() + Duration::from_secs(3_600);
    requests.wait(DEADLINE).unwrap().allow(grant("a").expires_at(later)).unwrap();
    assert_eq!(Client::of(stream).data(), "2");
}

#[test]
fn a_stream_that_the_host_opened_ends_at_the_time_that_it_says() {
    let (hub, _listener) = serve_with(one_shard(), ListenOptions::default());
    let expires_at = SystemTime::now() + Duration::from_secs(2);
    let options = || StreamOptions::default().expires_at(expires_at);
    let wanted = || [Subscription::new("a").unwrap()];
    let mut pulled = hub.subscribe(wanted(), options()).unwrap();
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = AdoptRequest::new(wanted()).options(options());
    hub.adopt(server.accept().unwrap().0, request).unwrap();
    let mut adopted = Client::of(client);
    publish(&hub, "a", "before");
    assert_eq!(adopted.data(), "before");
    assert!(adopted.ends_cleanly());
    // An end in order, and no error.
    let mut text = Vec::new();
    while let Some(batch) = pulled.wait(DEADLINE) {
        text.extend_from_slice(&batch.unwrap());
    }
    assert!(String::from_utf8(text).unwrap().contains("data: before\n"));
    assert!(SystemTime::now() >= expires_at);
    assert_eq!(pulled.end_reason(), Some(DisconnectReason::Expired));
    wait_until("both are counted", || expired(&hub) == 2);
}
