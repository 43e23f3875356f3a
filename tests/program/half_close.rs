//! Clients that send their request and then say that nothing more comes, as nc, socat and busybox
//! do (RFC 9112, section 9.6): they wait for the answer all the same.

use std::io::Read;
use std::net::{Shutdown, SocketAddr};

use crate::http::{post, Connection, NDJSON};
use crate::process::Server;
use crate::support::Client;

/// How often each request is made: what is lost is lost to a race.
const TIMES: usize = 40;

/// Sends requests, closes that half, and reads all that is answered.
fn half_closed(addr: SocketAddr, requests: &str) -> String {
    let mut connection = Connection::open(addr);
    connection.send(requests);
    connection.stream.shutdown(Shutdown::Write).unwrap();
    let mut answers = String::new();
    connection.into_stream().read_to_string(&mut answers).unwrap();
    answers
}

#[test]
fn a_half_closed_request_is_served_and_answered_whatever_it_is() {
    let server = Server::start(&[]);
    let addr = server.control;
    let plain = |request: &str| format!("{request} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    let requests = [
        (post(addr, "?topic=a", "", "x"), "200"),
        (post(addr, "", NDJSON, "{\"topic\":\"a\",\"data\":\"y\"}\n"), "200"),
        (post(addr, "", NDJSON, "{\"topic\":\"a\",\"data\":\"z\"}"), "200"),
        (post(addr, "", "", "x"), "400"),
        (plain("GET /connections"), "200"),
        (plain("PUT /connections?id=1&topic=b"), "200"),
        (plain("DELETE /connections?tag=none"), "200"),
        (plain("GET /topics"), "200"),
        (plain("GET /metrics"), "200"),
        (plain("GET /healthz"), "200"),
        (plain("HEAD /healthz"), "200"),
        (plain("GET /"), "200"),
        (plain("GET /nothing"), "404"),
        (plain("GET /events"), "400"),
        (plain("HEAD /events?topic=a"), "200"),
    ];
    for (request, status) in &requests {
        for time in 0..TIMES {
            let answer = half_closed(addr, request);
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{time}: {request} {answer}"
            );
        }
    }
    assert_eq!(server.metric("fanfare_published_events_total"), 3.0 * TIMES as f64);
}

#[test]
fn a_half_closed_unhandled_request_to_the_public_listener_is_answered() {
    let server = Server::with_token("s3cret");
    let shown = "Authorization: Bearer s3cret\r\n";
    for time in 0..TIMES {
        let answer = half_closed(server.addr, &post(server.addr, "?topic=a", shown, "x"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{time}: {answer}");
        let answer = half_closed(server.addr, &post(server.addr, "?topic=a", "", "x"));
        assert!(answer.starts_with("HTTP/1.1 401"), "{time}: {answer}");
    }
    assert_eq!(server.metric("fanfare_published_events_total"), TIMES as f64);
}

#[test]
fn all_half_closed_requests_of_a_connection_are_answered_and_a_stream_ends_with_its_client() {
    let server = Server::start(&[]);
    let addr = server.control;
    for time in 0..TIMES {
        let publish = post(addr, "?topic=a", "", "x");
        let answers = half_closed(addr, &publish.repeat(3));
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{time}: {answers}");
        // A client that says that it is done gets no stream that goes on.
        let events = format!("GET /events?topic=a HTTP/1.1\r\nHost: {addr}\r\n\r\n");
        let answers = half_closed(addr, &format!("{publish}{events}"));
        assert!(answers.starts_with("HTTP/1.1 200"), "{time}: {answers}");
    }
    server.wait_for_metric("fanfare_connections", 0.0);
    assert_eq!(server.metric("fanfare_published_events_total"), 4.0 * TIMES as f64);
}

#[test]
fn a_request_that_breaks_off_before_its_end_publishes_nothing() {
    let server = Server::start(&[]);
    let mut client = Client::get(server.addr, "/events?topic=a");
    let whole = post(server.addr, "?topic=a", "", "whole");
    for end in [10, whole.len() - 5, whole.len() - 1] {
        half_closed(server.control, &whole[..end]);
    }
    let chunked = "POST /publish?topic=a HTTP/1.1\r\nHost: localhost\r\n\
                   Transfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n";
    half_closed(server.control, chunked);
    half_closed(server.control, &whole.replace("whole", "right"));
    assert_eq!(client.data(), "right");
    assert_eq!(server.metric("fanfare_published_events_total"), 1.0);
}
