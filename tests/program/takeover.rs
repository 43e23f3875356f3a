//! A connection that was kept alive, and then asks for events.

use crate::http::{post, Connection};
use crate::process::Server;
use crate::support::Client;

const GET_EVENTS: &str = "GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn publish_to(server: &Server, data: &str) {
    let answer = crate::http::publish(server.control, "?topic=a", data);
    assert_eq!(answer.status, 200);
}

#[test]
fn a_connection_that_loaded_the_page_becomes_a_stream() {
    let server = Server::start(&[]);
    let mut connection = Connection::open(server.control);
    connection.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(connection.answer().status, 200);
    connection.send(GET_EVENTS);
    let mut client = Client::of(connection.into_stream());
    assert_eq!(client.status(), 200);
    publish_to(&server, "hello");
    assert_eq!(client.data(), "hello");
    assert_eq!(server.metric("fanfare_connections"), 1.0);
}

#[test]
fn a_connection_that_has_published_becomes_a_stream() {
    let server = Server::start(&[]);
    let mut connection = Connection::open(server.control);
    for _ in 0..3 {
        connection.send(post(server.control, "?topic=a", "", "before"));
        assert_eq!(connection.answer().status, 200);
    }
    connection.send(GET_EVENTS);
    let mut client = Client::of(connection.into_stream());
    publish_to(&server, "after");
    assert_eq!(client.data(), "after");
}

#[test]
fn a_request_for_events_may_come_in_one_packet_with_those_before_it() {
    let server = Server::start(&[]);
    let mut connection = Connection::open(server.control);
    let health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let publish = post(server.control, "?topic=a", "", "x");
    connection.send(format!("{publish}{health}{GET_EVENTS}"));
    assert!(connection.exact_answer().body.starts_with("{\"id\":"));
    assert_eq!(connection.exact_answer().body, "ok\n");
    let mut client = Client::of(connection.into_stream());
    publish_to(&server, "after");
    assert_eq!(client.data(), "after");
}

#[test]
fn a_request_for_events_may_come_byte_by_byte() {
    let server = Server::start(&[]);
    let mut connection = Connection::open(server.control);
    connection.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(connection.answer().body, "ok\n");
    connection.stream.set_nodelay(true).unwrap();
    for byte in GET_EVENTS.as_bytes() {
        connection.send([*byte]);
    }
    let mut client = Client::of(connection.into_stream());
    publish_to(&server, "after");
    assert_eq!(client.data(), "after");
}

/// More answers than the sockets' buffers hold are under way when the request for events is read.
#[test]
fn all_earlier_answers_arrive_whole_before_the_stream() {
    const ANSWERS: usize = 1000;
    let server = Server::start(&[]);
    let mut connection = Connection::open(server.control);
    // The requests fit the buffers, and the answers, of some kilobytes each, do not.
    connection.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(ANSWERS));
    connection.send(GET_EVENTS);
    for _ in 0..ANSWERS {
        let answer = connection.exact_answer();
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("\nprocess_start_time_seconds "), "{}", answer.body);
    }
    let mut client = Client::of(connection.into_stream());
    assert_eq!(client.status(), 200);
    publish_to(&server, "after");
    assert_eq!(client.data(), "after");
}

#[test]
fn the_engine_answers_also_what_is_no_good_request_for_events() {
    let server = Server::start(&["--cors", "https://a.example"]);
    for (request, status) in [
        ("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n", "400"),
        ("POST /events?topic=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab", "405"),
        ("GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n", "406"),
        ("OPTIONS /events HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\n\r\n", "204"),
    ] {
        let mut connection = Connection::open(server.control);
        connection.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(connection.answer().status, 200);
        connection.send(request);
        let head = connection.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request} {head}");
        // That is how the engine writes it, and hyper does not.
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
    }
}

#[test]
fn header_fields_survive_the_takeover() {
    let server = Server::start(&["--cors", "https://a.example"]);
    let mut connection = Connection::open(server.control);
    connection.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(connection.answer().status, 200);
    connection.send(
        "GET /events?topic=caf%C3%A9&topic=a+b HTTP/1.1\r\nHost: localhost\r\n\
         Origin: https://a.example\r\nAccept: text/event-stream\r\nX-Latin: caf\u{e9}\r\n\r\n",
    );
    let mut client = Client::of(connection.into_stream());
    assert!(
        client.head.contains("Access-Control-Allow-Origin: https://a.example"),
        "{}",
        client.head
    );
    assert_eq!(crate::http::publish(server.control, "?topic=caf%C3%A9", "1").status, 200);
    assert_eq!(crate::http::publish(server.control, "?topic=a%20b", "2").status, 200);
    assert_eq!((client.data(), client.data()), ("1".to_owned(), "2".to_owned()));
}
