//! A shard that panics: what its clients, the other shards, publishers and the host see of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::*;
use crate::hub::Hub;
use crate::listener::{ListenOptions, Listener, Overload};
use crate::metrics::Metrics;

const DEADLINE: Duration = Duration::from_secs(20);
/// In all and from one address: no more than there are clients, so that the connections that have
/// ended must not count any more.
const CLIENTS: usize = 40;

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn start(options: Options) -> (Hub, Listener) {
    let options = Options {
        shards: 2,
        connections_max: CLIENTS + 10,
        connections_per_address_max: CLIENTS + 10,
        ..options
    };
    let hub = Hub::start(options).unwrap();
    let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
    (hub, listener)
}

/// A client that has its response's head.
fn client(addr: SocketAddr, query: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET /events?{query} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.extend_from_slice(&byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Reads until an event's data comes; false when the stream ends before.
fn gets(stream: &mut TcpStream, data: &str) -> bool {
    let mut text = Vec::new();
    let mut bytes = [0; 4096];
    while !String::from_utf8_lossy(&text).contains(data) {
        match stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(count) => {
                let old = text.len().saturating_sub(data.len());
                text.drain(..old);
                text.extend_from_slice(&bytes[..count]);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
            Err(error) => panic!("{error}"),
        }
    }
    true
}

fn command(hub: &Hub, shard: usize, attempt: impl FnOnce(&mut Shard) + Send + 'static) {
    let given = hub.shared().links[shard].command(Command::Try(Box::new(attempt)));
    assert!(given.is_ok());
}

fn of_shard(hub: &Hub, shard: usize) -> Metrics {
    let mut metrics = Metrics::default();
    hub.shared().links[shard].counters.add_to(&mut metrics);
    metrics
}

fn errors(metrics: &Metrics) -> u64 {
    metrics.disconnects
        [DisconnectReason::ALL.iter().position(|&r| r == DisconnectReason::Error).unwrap()]
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

#[test]
fn when_a_shard_has_panicked_its_clients_are_counted_and_closed_and_the_others_serve_on() {
    let (hub, listener) = start(Options::default());
    let addr = listener.local_addr();
    let notices = hub.notices(1000);
    let mut clients: Vec<TcpStream> = (0..CLIENTS)
        .map(|nth| client(addr, if nth % 2 == 0 { "topic=a&topic=wide" } else { "topic=%23" }))
        .collect();
    // Whichever shard is faster accepts them, until the other has far fewer.
    let mut silent = Vec::new();
    while of_shard(&hub, 0).pending_connections == 0 {
        silent.push(TcpStream::connect(addr).unwrap());
        wait_until("it is accepted", || hub.metrics().pending_connections == silent.len() as u64);
        assert!(silent.len() < 30, "one shard has them all");
    }
    wait_until("one lags", || {
        hub.publish_wait(&topic("wide"), &*"x".repeat(500_000), DEADLINE).unwrap();
        of_shard(&hub, 0).lagging_connections > 0
    });
    let (before, both) = (of_shard(&hub, 0), hub.metrics());
    assert_eq!(both.living_shards, 2);
    assert!(before.connections > 5 && both.connections > before.connections + 5, "{both:?}");
    command(&hub, 0, |_| panic!("a test's"));
    wait_until("it is dead", || hub.metrics().living_shards == 1);
    wait_until("its clients are counted", || {
        let metrics = of_shard(&hub, 0);
        let gauges = [
            metrics.connections,
            metrics.pending_connections,
            metrics.lagging_connections,
            metrics.replaying_connections,
            metrics.lag_bytes,
        ];
        gauges == [0; 5] && errors(&metrics) == before.connections
    });
    wait_until("nothing waits for it", || hub.metrics().backlog_bytes == 0);
    // More than the backlog takes, if the dead shard's inbox took any.
    for nth in 0..200 {
        let name = format!("new/{nth}");
        hub.publish_wait(&topic(&name), &*"y".repeat(500), DEADLINE).unwrap();
        hub.publish_wait(&topic("a"), &*"y".repeat(500), DEADLINE).unwrap();
    }
    for name in ["a", "b"] {
        hub.publish_wait(&topic(name), "the last one", DEADLINE).unwrap();
    }
    let served = clients.iter_mut().filter_map(|c| gets(c, "the last one").then_some(())).count();
    assert_eq!(served as u64, both.connections - before.connections);
    drop((clients, silent));
    wait_until("all are gone", || {
        let metrics = hub.metrics();
        metrics.connections + metrics.pending_connections == 0
    });
    // Those of the dead shard's clients too; a connection is counted as gone a moment before.
    wait_until("their subscriptions are given back", || hub.metrics().subscriptions == 0);
    let mut ended = 0;
    while let Some(notice) = notices.try_next() {
        ended += u64::from(matches!(notice.kind, NoticeKind::Disconnected { .. }));
    }
    assert_eq!(ended, both.connections);
    // No connection is counted any more, and all clients that come are served by the other shard.
    let mut late: Vec<_> = (0..CLIENTS).map(|_| client(addr, "topic=a")).collect();
    hub.publish_wait(&topic("a"), "to late ones", DEADLINE).unwrap();
    assert!(late.iter_mut().all(|client| gets(client, "to late ones")));
    hub.close();
    assert_eq!(hub.metrics().living_shards, 0);
}

/// A value that panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("once more");
    }
}

#[test]
fn a_second_panic_while_a_shard_unwinds_neither_aborts_the_process_nor_keeps_anything() {
    let (hub, listener) = start(Options::default());
    let mut other = client(listener.local_addr(), "topic=a");
    wait_until("it is there", || hub.metrics().connections == 1);
    let shard = usize::from(of_shard(&hub, 0).connections == 1);
    let _notices = hub.notices(10);
    command(&hub, shard, |shard| {
        let bomb = Bomb;
        let send: connection::Script = Box::new(move |bytes| {
            let _ = &bomb;
            Ok(bytes.len())
        });
        let request = StreamRequest::new(Vec::new(), vec![topic("a"), topic("b")], Wire::Plain);
        shard.join_sink(Sink::Scripted(send), &request).unwrap();
        // What is told of its streams cannot be read, nor can its subscriptions be ended in order.
        shard.audiences.lose_entries();
        shard.connections.lose_records();
        panic!("a test's");
    });
    wait_until("it is dead", || hub.metrics().living_shards == 1);
    for _ in 0..200 {
        hub.publish_wait(&topic("a"), &*"y".repeat(1_000), DEADLINE).unwrap();
    }
    assert!(gets(&mut other, "yyyy"));
    hub.publish_wait(&topic("a"), "still here", DEADLINE).unwrap();
    assert!(gets(&mut other, "still here"));
    wait_until("the dead one's are counted", || errors(&of_shard(&hub, shard)) == 1);
    hub.close();
}

#[test]
fn a_panic_gives_back_what_is_spread_and_leaves_topics_that_can_be_finished() {
    let (hub, listener) = start(Options::default());
    let addr = listener.local_addr();
    let mut clients: Vec<TcpStream> =
        (0..CLIENTS).map(|_| client(addr, "topic=a&topic=b")).collect();
    wait_until("they are there", || hub.metrics().connections == CLIENTS as u64);
    let shard = usize::from(of_shard(&hub, 0).connections == 0);
    let on_shard = of_shard(&hub, shard).connections;
    let (both, window) = ([topic("a"), topic("b")], Duration::from_secs(300));
    hub.publish_to(&both, Event::new("spread").with_window(window)).unwrap();
    wait_until("some wait", || of_shard(&hub, shard).spread_deliveries > 0);
    hub.finish(&both[0], None).unwrap();
    command(&hub, shard, |_| panic!("a test's"));
    wait_until("it is dead", || hub.metrics().living_shards == 1);
    wait_until("its clients are counted", || of_shard(&hub, shard).connections == 0);
    assert_eq!(of_shard(&hub, shard).spread_deliveries, 0);
    hub.finish(&both[1], Some("the last one".into())).unwrap();
    wait_until("the other shard's clients have their ends", || hub.metrics().connections == 0);
    wait_until("nothing waits", || hub.metrics().backlog_bytes == 0);
    wait_until("no subscription is left", || hub.metrics().subscriptions == 0);
    let served = clients.iter_mut().filter_map(|c| gets(c, "the last one").then_some(())).count();
    assert_eq!(served as u64, CLIENTS as u64 - on_shard);
    hub.close();
}

#[test]
fn a_panic_while_a_connection_joins_gives_its_subscriptions_back() {
    let (hub, listener) = start(Options::default());
    let mut other = client(listener.local_addr(), "topic=a");
    wait_until("it is there", || hub.metrics().connections == 1);
    let shard = usize::from(of_shard(&hub, 0).connections == 1);
    command(&hub, shard, |shard| {
        let send: connection::Script = Box::new(|bytes| Ok(bytes.len()));
        let topics = vec![topic("a"), topic("b")];
        let request = StreamRequest::new(Vec::new(), topics, Wire::Plain);
        shard.join_sink(Sink::Scripted(send), &request).unwrap();
        // The next client that wants the same topics looks for an audience that does not exist.
        shard.audiences.lose_entries();
        let send: connection::Script = Box::new(|bytes| Ok(bytes.len()));
        shard.join_sink(Sink::Scripted(send), &request);
    });
    wait_until("it is dead", || hub.metrics().living_shards == 1);
    wait_until("the other client's is left", || hub.metrics().subscriptions == 1);
    assert_eq!(hub.metrics().connections, 1);
    hub.publish_wait(&topic("a"), "still here", DEADLINE).unwrap();
    assert!(gets(&mut other, "still here"));
}

#[test]
fn when_silent_connections_fill_the_bound_a_client_with_a_request_is_told_to_come_again() {
    const MAX: usize = 4;
    let options = Options { shards: 2, connections_max: MAX, ..Options::default() };
    let hub = Hub::start(options).unwrap();
    // No client is ended for being slow before the test's deadline.
    let options = ListenOptions {
        head_time_max: 3 * DEADLINE,
        overload: Overload::Unavailable,
        ..ListenOptions::default()
    };
    let listener = hub.listen("127.0.0.1:0", options).unwrap();
    let all = MAX + hub.shared().connection_limits.overflow();
    let silent: Vec<_> =
        (0..all).map(|_| TcpStream::connect(listener.local_addr()).unwrap()).collect();
    wait_until("all are accepted", || hub.metrics().pending_connections == all as u64);
    wait_until("a client that is slow to ask is answered", || {
        let mut stream = TcpStream::connect(listener.local_addr()).unwrap();
        // Beyond the overflow it is turned away at once.
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let waits = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
        if !stream.read(&mut [0]).is_err_and(|error| waits(error.kind())) {
            return false;
        }
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut answer = String::new();
        write!(stream, "GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        true
    });
    drop(silent);
}
