//! `POST /finish`, and lines that finish their topic.

use std::io::Write;
use std::net::SocketAddr;

use crate::http::{exchange, get, publish, publish_lines, Answer};
use crate::process::{publish as publisher, publish_all, Server};
use crate::support::{wait_until, Client};

fn finish(addr: SocketAddr, query: &str, content: &str) -> Answer {
    let length = content.len();
    let head = format!("POST /finish{query} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {length}");
    exchange(addr, &format!("{head}\r\n\r\n{content}"))
}

fn events(server: &Server, query: &str) -> Client {
    Client::get(server.addr, &format!("/events?{query}"))
}

#[test]
fn a_topic_is_finished_with_a_last_event_that_the_query_and_the_content_describe() {
    let server = Server::start(&[]);
    let mut client = events(&server, "topic=run/1");
    publish(server.control, "?topic=run/1", "hello");
    let answer = finish(server.control, "?topic=run/1&event=done&retry=1500", "all of it");
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")));
    assert_eq!(client.data(), "hello");
    let message = client.next();
    assert_eq!((&*message.name, &*message.data), ("done", "all of it"));
    assert_eq!(answer.body, format!("{{\"id\":\"{}\"}}\n", message.last_id));
    assert!(client.ends_cleanly());
    assert_eq!(client.retry(), Some(1500));
    let query = format!("topic=run/1&last-event-id={}", message.last_id);
    assert_eq!(events(&server, &query).status(), 204);
    server.wait_for_metric("fanfare_disconnects_total{reason=\"finished\"}", 1.0);
    server.wait_for_metric("fanfare_finished_topics", 1.0);
    server.wait_for_metric("fanfare_finished_answers_total", 1.0);
}

#[test]
fn a_last_event_is_not_spread_over_a_time() {
    let server = Server::start(&[]);
    let answer = finish(server.control, "?topic=run/1&window=10s", "");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.body.contains("leave out its window"), "{answer:?}");
    assert_eq!(finish(server.control, "?topic=run/1&window=0", "").status, 200);
}

#[test]
fn the_last_event_may_be_its_fields_alone_or_there_is_none() {
    let server = Server::start(&[]);
    let mut client = events(&server, "topic=fields");
    let answer = finish(server.control, "?topic=fields&id=the+end", "");
    assert_eq!((answer.status, &*answer.body), (200, "{\"id\":\"the end\"}\n"));
    let message = client.next();
    assert_eq!((&*message.data, &*message.last_id), ("", "the end"));
    assert!(client.ends_cleanly());

    let mut client = events(&server, "topic=bare");
    let before = server.metric("fanfare_published_events_total");
    let answer = finish(server.control, "?topic=bare", "");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(client.ends_cleanly());
    assert_eq!(server.metric("fanfare_published_events_total"), before);
    // Nobody has heard of this one.
    assert_eq!(finish(server.control, "?topic=unknown", "").status, 200);
    assert_eq!(events(&server, "topic=unknown").status(), 204);
}

#[test]
fn nothing_is_published_to_a_finished_topic_and_it_is_finished_once() {
    let server = Server::start(&[]);
    assert_eq!(finish(server.control, "?topic=a", "last").status, 200);
    let before = server.metric("fanfare_published_events_total");
    for answer in [
        finish(server.control, "?topic=a", "again"),
        finish(server.control, "?topic=a", ""),
        publish(server.control, "?topic=a", "late"),
        publish_lines(server.control, "{\"topic\":\"a\",\"data\":\"late\"}\n"),
        publish_lines(server.control, "{\"topic\":\"a\",\"finish\":true}\n"),
    ] {
        assert_eq!(answer.status, 409, "{answer:?}");
        assert!(
            answer.body.contains("the topic \\\"a\\\" is finished; publish to another"),
            "{answer:?}"
        );
    }
    assert_eq!(server.metric("fanfare_published_events_total"), before);
    assert_eq!(publish(server.control, "?topic=a/b", "another").status, 200);
}

#[test]
fn a_line_finishes_its_topic_with_its_event_or_without() {
    let server = Server::start(&[]);
    let (mut both, mut one) = (events(&server, "topic=a&topic=b"), events(&server, "topic=b"));
    let lines = "{\"topic\":\"a\",\"data\":\"1\",\"finish\":false}\n\
                 {\"topic\":\"a\",\"data\":\"2\",\"event\":\"done\",\"finish\":true}\n\
                 {\"topic\":\"b\",\"data\":\"3\"}\n{\"topic\":\"b\",\"finish\":true}\n\
                 {\"topic\":\"c\",\"data\":\"4\"}";
    let answer = publish_lines(server.control, lines);
    assert_eq!(answer.status, 200);
    assert!(answer.body.starts_with("{\"published\":5,"), "{answer:?}");
    assert_eq!([both.data(), both.data(), both.data()], ["1", "2", "3"]);
    assert!(both.ends_cleanly());
    assert_eq!(one.data(), "3");
    assert!(one.ends_cleanly());
    assert_eq!(server.metric("fanfare_published_events_total"), 4.0);

    let lines = "{\"topic\":\"c\",\"data\":\"5\"}\n{\"topic\":\"a\",\"data\":\"late\"}\n";
    let answer = publish_lines(server.control, lines);
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(
        answer.body.starts_with("{\"error\":\"line 2: the topic \\\"a\\\" is finished"),
        "{answer:?}"
    );
    let more = ",\"code\":\"finished\",\"line\":2,\"published\":1,\"ids\":[";
    assert!(answer.body.contains(more), "{answer:?}");
}

#[test]
fn what_finishes_nothing_is_refused() {
    let server = Server::start(&["--event-bytes-max", "10B"]);
    for (query, content, status) in [
        ("", "x", 400),
        ("?topic=", "", 400),
        ("?topic=a%23", "", 400),
        ("?topic=a&topic=b", "", 400),
        ("?topic=a&retry=soon", "", 400),
        ("?topic=a&event=x%0Ay", "", 400),
        ("?topic=a", "0123456789A", 413),
    ] {
        let answer = finish(server.control, query, content);
        assert_eq!(answer.status, status, "{query} {content} {answer:?}");
        assert!(answer.body.starts_with("{\"error\":\""), "{answer:?}");
    }
    let lines = "POST /finish?topic=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\
                 Content-Type: application/x-ndjson\r\n\r\n{}";
    assert_eq!(exchange(server.control, lines).status, 415);
    assert_eq!(get(server.control, "/finish?topic=a").status, 405);
    let line = "{\"topic\":\"a\",\"finish\":1}\n";
    assert_eq!(publish_lines(server.control, line).status, 400);
    assert_eq!(server.metric("fanfare_finished_topics"), 0.0);
    assert_eq!(publish(server.control, "?topic=a", "it goes on").status, 200);
}

#[test]
fn without_the_token_nothing_is_finished() {
    let server = Server::start(&[]);
    assert_eq!(finish(server.addr, "?topic=a", "").status, 404, "it is at the control listener");
    let mut request = format!("POST /finish?topic=a HTTP/1.1\r\nHost: {}\r\n", server.control);
    request += "Origin: https://evil.example\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(exchange(server.control, &request).status, 403, "a page of another origin");
    let mut client = events(&server, "topic=a");
    wait_until("it is here", || server.metric("fanfare_connections") == 1.0);
    publish(server.control, "?topic=a", "it goes on");
    assert_eq!(client.data(), "it goes on");
}

#[test]
fn a_publisher_finishes_its_topic_when_its_input_has_ended_but_not_when_it_is_interrupted() {
    let server = Server::start(&[]);
    let mut client = events(&server, "topic=log");
    let arguments = ["--topic", "log", "--finish"];
    let (process, mut stdin) = publisher(&server.url(), &arguments);
    stdin.write_all(b"one\n").unwrap();
    assert_eq!(client.data(), "one");
    process.signal("INT");
    assert_eq!(process.output().status.code(), Some(0));
    drop(stdin);
    assert_eq!(server.metric("fanfare_finished_topics"), 0.0);

    let output = publish_all(&server.url(), &arguments, b"two\nthree");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "published 2 events\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!([client.data(), client.data()], ["two", "three"]);
    assert!(client.ends_cleanly());

    let output = publish_all(&server.url(), &arguments, b"");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.starts_with("fanfare: the topic is not finished: the topic \"log\" is fini"),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(1));
    let output = publish_all(&server.url(), &arguments, b"late\n");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.starts_with("fanfare: line 1 is not published: the topic \"log\" is fini"),
        "{error}"
    );
}
