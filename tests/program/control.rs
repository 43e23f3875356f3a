//! What HTTP serves besides the streams: health, metrics, the page, and answers to nonsense.

use std::time::Duration;

use crate::http::{exchange, get, post, publish, Connection};
use crate::process::Server;
use crate::support::Client;

#[test]
fn health_and_metrics_are_answered_and_the_metrics_count() {
    let server = Server::start(&[]);
    let health = get(server.control, "/healthz");
    assert_eq!((health.status, &*health.body), (200, "ok\n"));

    let mut client = Client::get(server.addr, "/events?topic=a");
    assert_eq!(publish(server.control, "?topic=a", "x").status, 200);
    assert_eq!(client.data(), "x");
    let answer = get(server.control, "/metrics");
    assert_eq!(answer.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(server.metric("fanfare_connections"), 1.0);
    assert_eq!(server.metric("fanfare_published_events_total"), 1.0);
    server.wait_for_metric("fanfare_delivered_events_total", 1.0);
    server.wait_for_metric("fanfare_publish_to_socket_seconds_count", 1.0);
    drop(client);
    server.wait_for_metric("fanfare_disconnects_total{reason=\"client_closed\"}", 1.0);
    server.wait_for_metric("fanfare_connections", 0.0);
}

#[test]
fn the_page_may_load_nothing_from_other_hosts() {
    let server = Server::start(&[]);
    let page = get(server.control, "/");
    assert_eq!(page.status, 200);
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.field("referrer-policy"), Some("no-referrer"));
    let policy = page.field("content-security-policy").unwrap();
    for part in ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(page.body.starts_with("<!doctype html>") || page.body.starts_with("<!DOCTYPE html>"));
}

#[test]
fn what_is_not_there_is_said_in_json() {
    let server = Server::start(&[]);
    for (method, path, status, allow) in [
        ("GET", "/nothing", 404, None),
        ("GET", "/events/", 404, None),
        ("POST", "/healthz", 405, Some("GET, HEAD")),
        ("GET", "/publish?topic=a", 405, Some("POST")),
        ("OPTIONS", "/publish", 405, Some("POST")),
        ("DELETE", "/metrics", 405, Some("GET, HEAD")),
        ("POST", "/", 405, Some("GET, HEAD")),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = exchange(server.control, &request);
        assert_eq!((answer.status, answer.field("allow")), (status, allow), "{method} {path}");
        assert!(answer.body.starts_with("{\"error\":\""), "{answer:?}");
        assert_eq!(answer.field("access-control-allow-origin"), None);
    }
}

#[test]
fn head_has_the_length_and_no_content_and_the_connection_goes_on() {
    let server = Server::start(&[]);
    let mut connection = Connection::open(server.control);
    connection
        .send("HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = connection.head();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-length: 3"), "{head}");
    assert_eq!(connection.answer().body, "ok\n");
}

#[test]
fn a_connection_of_http_1_0_is_closed_after_its_answer() {
    let server = Server::start(&[]);
    let mut connection = Connection::open(server.control);
    connection.send("GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(connection.answer().body, "ok\n");
    assert!(connection.is_closed());
}

#[test]
fn a_slow_request_delays_no_other() {
    let server = Server::start(&[]);
    let mut slow = Connection::open(server.control);
    let request = post(server.control, "?topic=a", "", "slow");
    let (first, last) = request.split_at(request.len() - 1);
    for byte in first.as_bytes() {
        slow.send([*byte]);
    }
    assert_eq!(publish(server.control, "?topic=a", "quick").status, 200);
    assert_eq!(server.metric("fanfare_published_events_total"), 1.0);
    slow.send(last);
    assert_eq!(slow.answer().status, 200);
    assert_eq!(server.metric("fanfare_published_events_total"), 2.0);
}

#[test]
fn requests_that_go_on_may_end_when_the_program_does() {
    let mut server = Server::start(&[]);
    let mut connection = Connection::open(server.control);
    let request = post(server.control, "?topic=a", "Expect: 100-continue\r\n", "x");
    let (head, content) = request.split_at(request.len() - 1);
    connection.send(head);
    // From now on the request is being served.
    assert!(connection.head().starts_with("HTTP/1.1 100"));
    server.process.signal("TERM");
    let refused = || std::net::TcpStream::connect_timeout(&server.addr, Duration::from_secs(1));
    crate::support::wait_until("it no longer listens", || refused().is_err());
    connection.send(content);
    assert_eq!(connection.answer().status, 200);
    assert_eq!(server.process.end().code(), Some(0));
}
