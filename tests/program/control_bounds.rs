//! More connections than the control side may have.

use std::net::SocketAddr;

use crate::http::{exchange, get, post, publish, Answer, Connection};
use crate::process::{fanfare, Server};
use crate::support::Client;

/// The number of connections that each listener may have by default.
const SLOTS: usize = 256;

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Connections on which a request was answered, and that are kept alive.
fn idle(addr: SocketAddr, path: &str, status: u16, count: usize) -> Vec<Connection> {
    let open = |_| {
        let mut connection = Connection::open(addr);
        connection.send(request(path));
        assert_eq!(connection.answer().status, status);
        connection
    };
    (0..count).map(open).collect()
}

/// A connection on which a request to publish is being served, and waits for its content.
fn busy(addr: SocketAddr) -> Connection {
    let mut connection = Connection::open(addr);
    let request = post(addr, "?topic=a", "Expect: 100-continue\r\n", "x");
    connection.send(&request[..request.len() - 1]);
    assert!(connection.head().starts_with("HTTP/1.1 100"));
    connection
}

#[test]
fn the_connections_that_are_idle_longest_are_closed_for_new_ones() {
    const MORE: usize = 50;
    let server = Server::start(&[]);
    let mut connections = idle(server.control, "/healthz", 200, SLOTS);
    let mut newcomers = idle(server.control, "/healthz", 200, MORE);
    assert!(connections[..MORE].iter_mut().all(Connection::is_closed));
    for connection in connections[MORE..].iter_mut().chain(&mut newcomers) {
        connection.send(request("/healthz"));
        assert_eq!(connection.answer().status, 200);
    }
    let displaced = server.metric("fanfare_displaced_control_connections_total");
    assert!(displaced >= MORE as f64, "{displaced}");
    assert_eq!(server.metric("fanfare_refused_control_connections_total"), 0.0);
    let open = server.metric("fanfare_control_connections");
    assert!(open <= SLOTS as f64, "{open}");
}

#[test]
fn a_flood_of_public_connections_keeps_no_client_out() {
    let server = Server::start(&[]);
    let mut connections = idle(server.addr, "/metrics", 404, SLOTS + 50);
    assert!(connections[0].is_closed());
    assert_eq!(get(server.addr, "/healthz").body, "ok\n");
    assert_eq!(get(server.addr, "/nothing").status, 404);
    assert_eq!(publish(server.control, "?topic=a", "x").status, 200);
    assert_eq!(Client::get(server.addr, "/events?topic=a").status(), 200);
    assert_eq!(server.metric("fanfare_refused_control_connections_total"), 0.0);
}

#[test]
fn connections_without_the_token_are_closed_for_those_with_it_and_never_the_reverse() {
    const SHOWN: &str = "Authorization: Bearer s3cret\r\n";
    let ask = |connection: &mut Connection, addr| -> Answer {
        connection.send(post(addr, "?topic=a", SHOWN, "x"));
        connection.answer()
    };
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
    command.args(["--control-connections-max", "8"]).env("FANFARE_PUBLISH_TOKEN", "s3cret");
    let server = Server::of(&mut command);
    let mut unauthorized = idle(server.addr, "/metrics", 401, 8);
    let mut pool: Vec<Connection> = (0..8).map(|_| Connection::open(server.addr)).collect();
    for publisher in &mut pool {
        assert_eq!(ask(publisher, server.addr).status, 200);
    }
    assert!(unauthorized.iter_mut().all(Connection::is_closed));
    // New connections without the token are refused, and publishers keep theirs.
    for _ in 0..3 {
        assert_eq!(get(server.addr, "/metrics").status, 503);
    }
    assert_eq!(get(server.addr, "/healthz").status, 200);
    for publisher in &mut pool {
        assert_eq!(ask(publisher, server.addr).status, 200);
    }
    // For a new publisher the one that is idle longest is closed.
    assert_eq!(exchange(server.addr, &post(server.addr, "?topic=a", SHOWN, "x")).status, 200);
    assert!(pool[0].is_closed());
    assert_eq!(server.metric("fanfare_published_events_total"), 17.0);
    assert_eq!(server.metric("fanfare_refused_control_connections_total"), 3.0);
}

#[test]
fn a_client_that_comes_when_all_are_busy_is_turned_away_and_counted() {
    let server = Server::start(&["--control-connections-max", "3"]);
    let mut publishers: Vec<Connection> = (0..3).map(|_| busy(server.control)).collect();
    for _ in 0..2 {
        let refused = get(server.control, "/metrics");
        assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
        assert_eq!(refused.field("x-content-type-options"), Some("nosniff"));
    }
    // The shards answer for themselves.
    assert_eq!(get(server.addr, "/healthz").status, 200);
    assert_eq!(Client::get(server.addr, "/events?topic=a").status(), 200);
    for publisher in &mut publishers {
        publisher.send("x");
        assert_eq!(publisher.answer().status, 200);
    }
    assert_eq!(server.metric("fanfare_refused_control_connections_total"), 2.0);
    assert_eq!(server.metric("fanfare_published_events_total"), 3.0);
}

#[test]
fn unhandled_requests_count_against_the_bound_for_their_address() {
    let server = Server::start(&["--connections-per-address-max", "4"]);
    let mut requests = idle(server.addr, "/nothing", 404, 6);
    assert!(requests[..2].iter_mut().all(Connection::is_closed));
    for connection in &mut requests[2..] {
        connection.send(request("/nothing"));
        assert_eq!(connection.answer().status, 404);
    }
    assert_eq!(server.metric("fanfare_displaced_control_connections_total"), 2.0);
}

#[test]
fn a_trusted_proxy_that_names_no_client_is_bounded_by_no_address() {
    for (flag, header) in [("--trusted-proxy", ""), ("--proxy-protocol-from", "PROXY UNKNOWN\r\n")]
    {
        let server = Server::start(&["--connections-per-address-max=1", flag, "127.0.0.1"]);
        let open = || {
            let mut connection = Connection::open(server.addr);
            connection.send(format!("{header}{}", request("/nothing")));
            assert_eq!(connection.answer().status, 404);
            connection
        };
        let mut kept: Vec<_> = (0..8).map(|_| open()).collect();
        for connection in &mut kept {
            connection.send(request("/nothing"));
            assert_eq!(connection.answer().status, 404, "{flag}");
        }
        assert_eq!(server.metric("fanfare_displaced_control_connections_total"), 0.0);
        // Nor when they become streams.
        let streams: Vec<_> = { kept.into_iter() }
            .map(|mut connection| {
                connection.send(request("/events?topic=a"));
                Client::of(connection.into_stream())
            })
            .collect();
        assert_eq!(server.metric("fanfare_connections"), 8.0, "{flag}");
        assert!(streams.iter().all(|stream| stream.status() == 200));
    }
}

#[test]
fn the_public_listener_says_that_it_is_well_as_other_servers_do() {
    let server = Server::start(&[]);
    let ask = |request: &str| {
        let mut connection = Connection::open(server.addr);
        connection.send(request);
        connection
    };
    let mut connection = ask(&request("/healthz"));
    let answer = connection.answer();
    assert_eq!((answer.status, &*answer.body), (200, "ok\n"));
    assert!(connection.is_closed());
    let mut connection = ask("HEAD /healthz HTTP/1.0\r\n\r\n");
    assert!(connection.head().starts_with("HTTP/1.1 200"));
    assert!(connection.is_closed());
    let answer =
        ask("POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").answer();
    assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD")));
}
