//! How connections end that their clients or the network end, each with its reason counted. What
//! takes a network that goes silent is in `tests/network.rs`.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use fanfare::{DisconnectReason, Hub, ListenError, ListenOptions, Options, Topic};
use rustix::net::sockopt::set_socket_linger;

use crate::support::{one_shard, serve, serve_with, start, wait_until, Client, DEADLINE};

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// The connections that have ended, by reason.
fn ended(hub: &Hub) -> Vec<(DisconnectReason, u64)> {
    let metrics = hub.metrics();
    let all = DisconnectReason::all().map(|reason| (reason, metrics.disconnects(reason)));
    all.filter(|(_, count)| *count > 0).collect()
}

/// Waits until a connection has ended, and checks that it was for this reason alone.
fn wait_for_end(hub: &Hub, reason: DisconnectReason) {
    wait_until("a connection ends", || !ended(hub).is_empty());
    assert_eq!(ended(hub), [(reason, 1)]);
}

/// Closes a socket with a reset.
fn reset(socket: TcpStream) {
    set_socket_linger(&socket, Some(Duration::ZERO)).unwrap();
    drop(socket);
}

/// Bounds that let a client lag by much.
fn patient() -> Options {
    one_shard().lag_bytes_max(64 << 20).stall_time_max(Duration::ZERO)
}

/// Publishes until more waits for a client than the kernel would take, and returns how much.
fn make_a_laggard(hub: &Hub, to: &str) -> usize {
    let data = "x".repeat(64 << 10);
    let before = hub.metrics().lag_bytes;
    let mut published = 0;
    while hub.metrics().lag_bytes < before + (16 << 20) {
        hub.publish_wait(&topic(to), &*data, DEADLINE).unwrap();
        published += 1;
        assert!(published < 1000, "the socket takes everything");
    }
    published
}

#[test]
fn a_reset_is_seen_at_once_without_any_event() {
    let (hub, listener) = serve(one_shard());
    let client = Client::get(listener.local_addr(), "/events?topic=a");
    reset(client.into_socket());
    wait_for_end(&hub, DisconnectReason::Reset);
}

#[test]
fn a_close_with_something_unread_is_a_reset() {
    let (hub, listener) = serve(one_shard());
    let client = Client::get(listener.local_addr(), "/events?topic=a");
    hub.publish(&topic("a"), "unread").unwrap();
    wait_until("it has come", || client.socket().peek(&mut [0]).is_ok_and(|n| n > 0));
    drop(client);
    wait_for_end(&hub, DisconnectReason::Reset);
}

#[test]
fn a_half_close_is_a_close_whatever_is_being_sent() {
    let (hub, listener) = serve(one_shard());
    let mut client = Client::get(listener.local_addr(), "/events?topic=a");
    hub.publish(&topic("a"), "before").unwrap();
    wait_until("it is sent", || hub.metrics().delivered_events == 1);
    client.socket().shutdown(Shutdown::Write).unwrap();
    wait_for_end(&hub, DisconnectReason::ClientClosed);
    assert_eq!(client.data(), "before");
}

#[test]
fn a_half_close_of_a_lagging_connection_is_a_close() {
    let (hub, listener) = serve(patient());
    let client = Client::get(listener.local_addr(), "/events?topic=a");
    make_a_laggard(&hub, "a");
    client.socket().shutdown(Shutdown::Write).unwrap();
    wait_for_end(&hub, DisconnectReason::ClientClosed);
    wait_until("nothing is kept any more", || hub.metrics().lag_bytes == 0);
}

#[test]
fn a_client_that_vanishes_while_it_lags_leaves_nothing_behind_and_disturbs_no_other() {
    let (hub, listener) = serve(patient());
    let mut other = Client::get(listener.local_addr(), "/events?topic=b");
    let client = Client::get(listener.local_addr(), "/events?topic=a");
    make_a_laggard(&hub, "a");
    drop(client);
    wait_for_end(&hub, DisconnectReason::Reset);
    wait_until("its topic is gone", || hub.metrics().topics == 1);
    let metrics = hub.metrics();
    assert_eq!((metrics.lagging_connections, metrics.lag_bytes), (0, 0));
    hub.publish(&topic("b"), "still here").unwrap();
    assert_eq!(other.data(), "still here");
}

#[test]
fn a_client_that_sends_much_after_its_head_is_cut_and_one_that_sends_a_little_is_not() {
    let (hub, listener) = serve(one_shard());
    let client = Client::get(listener.local_addr(), "/events?topic=a");
    let mut polite = Client::get(listener.local_addr(), "/events?topic=a");
    polite.socket().write_all(b"something small").unwrap();
    let garbage = vec![b'x'; 1 << 20];
    let start = Instant::now();
    while client.socket().write_all(&garbage).is_ok() && start.elapsed() < DEADLINE {}
    wait_for_end(&hub, DisconnectReason::Garbage);
    hub.publish(&topic("a"), "still here").unwrap();
    assert_eq!(polite.data(), "still here");
}

#[test]
fn a_client_that_takes_nothing_is_stalled_and_one_that_takes_a_little_is_not() {
    // On a busy machine this thread may not read for a while.
    let stall_time_max = Duration::from_secs(3);
    let (hub, listener) = serve(patient().stall_time_max(stall_time_max));
    let _stalled = Client::get(listener.local_addr(), "/events?topic=a");
    make_a_laggard(&hub, "a");
    let since = Instant::now();
    let mut slow = Client::get(listener.local_addr(), "/events?topic=b");
    let published = make_a_laggard(&hub, "b");
    // Reads so evenly that it needs three times as long as one may take nothing.
    let mut read = 0;
    while read < published {
        let due = since.elapsed().as_secs_f64() / (3.0 * stall_time_max.as_secs_f64());
        while read < published && (read as f64) < due * published as f64 {
            let _ = slow.next();
            read += 1;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(hub.metrics().connections, 1);
    wait_for_end(&hub, DisconnectReason::Stalled);
}

#[test]
fn a_client_that_comes_back_and_takes_nothing_is_stalled() {
    let options = patient()
        .stall_time_max(Duration::from_secs(1))
        .history_bytes_max(64 << 20)
        .history_total_bytes_max(64 << 20);
    let (hub, listener) = serve(options);
    let data = "x".repeat(64 << 10);
    let publish = |_| hub.publish_wait(&topic("a"), &*data, DEADLINE).unwrap().id().unwrap();
    let ids: Vec<_> = (0..500).map(publish).collect();
    let path = format!("/events?topic=a&last-event-id={}", ids[0]);
    let _stalled = Client::get(listener.local_addr(), &path);
    wait_for_end(&hub, DisconnectReason::Stalled);
    assert_eq!(hub.metrics().lagging_connections, 0);
}

#[test]
#[cfg(target_os = "linux")]
fn the_kernels_own_end_of_a_shut_window_is_no_silent_network() {
    // So long that the client's system answers within it, however busy the machine is.
    let user_timeout = Duration::from_secs(3);
    let listen_options =
        ListenOptions::default().user_timeout(user_timeout).keepalive(Duration::ZERO);
    let (hub, listener) = serve_with(patient(), listen_options);
    let _stalled = Client::get(listener.local_addr(), "/events?topic=a");
    make_a_laggard(&hub, "a");
    wait_for_end(&hub, DisconnectReason::Stalled);
}

#[test]
fn the_options_of_sockets_have_bounds() {
    let hub = start(one_shard());
    let refused = |options: ListenOptions| match hub.listen("127.0.0.1:0", options) {
        Err(ListenError::Options(error)) => error.option,
        other => panic!("{other:?}"),
    };
    let none = ListenOptions::default;
    assert_eq!(refused(none().notsent_lowat_bytes(u32::MAX)), "notsent_lowat_bytes");
    assert_eq!(refused(none().send_buffer_bytes(0)), "send_buffer_bytes");
    for keepalive in [Duration::from_millis(999), Duration::from_secs(10 * 3600)] {
        assert_eq!(refused(none().keepalive(keepalive)), "keepalive");
    }
    for user_timeout in [Duration::from_millis(999), none().keepalive, Duration::from_secs(1 << 20)]
    {
        assert_eq!(refused(none().user_timeout(user_timeout)), "user_timeout");
    }
    let off = none()
        .notsent_lowat_bytes(0)
        .send_buffer_bytes(64 << 10)
        .keepalive(Duration::ZERO)
        .user_timeout(Duration::ZERO);
    assert!(hub.listen("127.0.0.1:0", off).is_ok());
}
