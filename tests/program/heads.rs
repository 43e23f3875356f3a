//! Heads of requests that hyper takes and that are not right all the same, and what answers repeat.

use std::io::Read;

use crate::http::{exchange, get, post, Answer, Connection};
use crate::process::Server;
use crate::support::Client;

/// The answer to a second request on a connection that is kept alive: the first one on the public
/// listener is read by the engine.
fn second(server: &Server, request: &str) -> Answer {
    let mut connection = Connection::open(server.addr);
    connection.send("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(connection.answer().status, 404);
    connection.send(request);
    connection.answer()
}

#[test]
fn every_request_has_one_host() {
    let server = Server::start(&[]);
    for (hosts, status) in [
        ("", 400),
        ("Host: localhost\r\nHost: localhost\r\n", 400),
        ("Host: localhost\r\nHost: evil.example\r\n", 400),
        ("Host: a b\r\n", 400),
        ("Host: user@localhost\r\n", 400),
        ("Host: localhost/x\r\n", 400),
        ("Host: evil.example\r\n", 421),
        ("Host: localhost\r\n", 404),
    ] {
        for path in ["/nothing", "/metrics", "/publish"] {
            let answer = second(&server, &format!("GET {path} HTTP/1.1\r\n{hosts}\r\n"));
            assert_eq!(answer.status, status, "{hosts} {answer:?}");
        }
        if status != 404 {
            // Streams as well, which the connection would be handed over for.
            let answer = second(&server, &format!("GET /events?topic=a HTTP/1.1\r\n{hosts}\r\n"));
            assert_eq!(answer.status, status, "{hosts} {answer:?}");
        }
    }
}

#[test]
fn a_request_may_have_as_many_header_fields_everywhere() {
    let server = Server::start(&["--head-fields-max", "200"]);
    let fields = |count: usize| (1..count).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
    let status = |path: &str, count: usize| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", fields(count));
        exchange(server.control, &request).status
    };
    assert_eq!((status("/metrics", 200), status("/metrics", 201)), (200, 431));
    assert_eq!((status("/nothing", 200), status("/nothing", 201)), (404, 431));
    // Both say what there is too much of.
    for addr in [server.control, server.addr] {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{}\r\n", fields(201));
        let answer = exchange(addr, &request);
        assert!(answer.body.contains("header fields"), "{answer:?}");
    }
    let request = format!("GET /nothing HTTP/1.1\r\nHost: localhost\r\n{}\r\n", fields(200));
    assert_eq!(second(&server, &request).status, 404);
}

#[test]
fn the_authority_of_a_target_in_absolute_form_counts_instead_of_host() {
    let server = Server::start(&[]);
    let ask = |target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        exchange(server.control, &request).status
    };
    assert_eq!(ask("http://localhost/metrics", "evil.example"), 200);
    assert_eq!(ask("http://evil.example/metrics", "localhost"), 421);
    // The text before an @ is a user, and the engine takes none either.
    for target in ["http://evil.example:@127.0.0.1", "http://evil.example@127.0.0.1"] {
        assert_eq!(ask(&format!("{target}/metrics"), "localhost"), 400, "{target}");
        assert_eq!(ask(&format!("{target}/events?topic=a"), "localhost"), 400, "{target}");
    }
    // A page's origin is compared with it, too.
    let publish = |origin: &str| {
        let fields = format!("Origin: {origin}\r\nContent-Length: 1\r\n");
        let target = "http://localhost/publish?topic=a";
        let request = format!("POST {target} HTTP/1.1\r\nHost: evil.example\r\n{fields}\r\nx");
        exchange(server.control, &request).status
    };
    assert_eq!((publish("http://localhost"), publish("http://evil.example")), (200, 403));
    // The engine gets the request with the right host.
    let mut connection = Connection::open(server.control);
    let request = "GET http://localhost/events?topic=a HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    connection.send(request);
    let mut client = Client::of(connection.into_stream());
    assert_eq!(client.status(), 200);
    assert_eq!(crate::http::publish(server.control, "?topic=a", "y").status, 200);
    assert_eq!(client.data(), "y");
}

#[test]
fn content_that_is_coded_is_refused_by_the_codings_name() {
    let server = Server::start(&[]);
    for (fields, status, word) in [
        ("Content-Encoding: gzip\r\n", 415, "gzip"),
        ("Content-Encoding: identity, br\r\n", 415, "br"),
        ("Content-Encoding: identity\r\nContent-Encoding: zstd\r\n", 415, "zstd"),
        ("Content-Encoding: gzip\r\nContent-Type: application/x-ndjson\r\n", 415, "gzip"),
        ("Content-Encoding: identity\r\n", 200, ""),
        ("Content-Encoding: Identity\r\n", 200, ""),
    ] {
        let content = "{\"topic\":\"a\",\"data\":\"x\"}";
        let answer = exchange(server.control, &post(server.control, "?topic=a", fields, content));
        assert_eq!(answer.status, status, "{fields} {answer:?}");
        assert!(answer.body.contains(word), "{answer:?}");
        let accepts = (status == 415).then_some("identity");
        assert_eq!(answer.field("accept-encoding"), accepts, "{answer:?}");
    }
    assert_eq!(server.metric("fanfare_published_events_total"), 2.0);
}

#[test]
fn of_the_transfer_codings_only_chunked_is_undone() {
    let server = Server::start(&[]);
    for (codings, status) in [
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501),
        ("Transfer-Encoding: identity, chunked\r\n", 501),
        ("Transfer-Encoding: chunked, chunked\r\n", 400),
        ("Transfer-Encoding: gzip\r\n", 400),
        ("Transfer-Encoding: chunked, gzip\r\n", 400),
        ("Transfer-Encoding: Chunked\r\n", 200),
    ] {
        let head = "POST /publish?topic=a HTTP/1.1\r\nHost: localhost\r\n";
        let request = format!("{head}{codings}\r\n1\r\nx\r\n0\r\n\r\n");
        let answer = exchange(server.control, &request);
        assert_eq!(answer.status, status, "{codings} {answer:?}");
    }
    assert_eq!(server.metric("fanfare_published_events_total"), 1.0);
}

#[test]
fn an_error_never_repeats_more_than_200_bytes() {
    let server = Server::start(&[]);
    let addr = server.control;
    let long = "xyz".repeat(2000);
    let lines = "Content-Type: application/jsonl\r\n";
    let line = |text: String| post(addr, "", lines, &text);
    let plain = |request: String| format!("{request} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    for request in [
        line(format!("{{\"topic\":\"a\",\"{long}\":1}}")),
        line(format!("{{\"topic\":\"a\",\"retry\":\"{long}\"}}")),
        line(format!("{{\"topic\":\"{long}\",\"data\":\"\"}}")),
        line(long.clone()),
        post(addr, &format!("?topic={long}"), "", "x"),
        post(addr, &format!("?topic=a&retry={long}"), "", "x"),
        post(addr, "?topic=a", &format!("Content-Encoding: {long}\r\n"), "x"),
        post(addr, "?topic=a", &format!("Transfer-Encoding: {long}, chunked\r\n"), "")
            .replace("Content-Length: 0\r\n", "")
            + "0\r\n\r\n",
        plain(format!("GET /connections?topic={long}")),
        plain(format!("GET /connections?topic=%2B{long}")),
        plain(format!("GET /connections?lagging={long}")),
        plain(format!("DELETE /connections?id={long}")),
        plain(format!("GET /topics?limit={long}")),
        plain(format!("GET /{long}")),
        plain(format!("{long} /metrics")),
        format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", &long[..600]),
    ] {
        let answer = exchange(addr, &request);
        assert!(answer.status >= 400, "{answer:?}");
        assert!(answer.body.starts_with("{\"error\":\""), "{answer:?}");
        let repeated = answer.body.matches("xyz").count() * 3;
        assert!(repeated <= 200 && answer.body.len() < 300, "{answer:?}");
    }
}

#[test]
fn no_answer_is_to_be_taken_for_another_type_than_it_says() {
    let server = Server::start(&[]);
    for request in [
        "GET /",
        "GET /page.css",
        "GET /page.js",
        "GET /healthz",
        "GET /metrics",
        "GET /connections",
        "GET /nothing",
        "POST /metrics",
    ] {
        let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = exchange(server.control, &request);
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{request} {answer:?}");
    }
    // What hyper answers by itself.
    for (request, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET /metrics HTTP/1.1\r\nHo st: localhost\r\n\r\n".to_owned(), 400),
        (format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(70_000)), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(66_000)), 414),
    ] {
        let mut connection = Connection::open(server.control);
        connection.send(&request);
        let answer = connection.answer();
        assert!(answer.status == status || answer.status == 431, "{status} {answer:?}");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{answer:?}");
        assert!(answer.body.starts_with("{\"error\":\""), "{answer:?}");
        let mut rest = Vec::new();
        // The client sends more, which the server does not read, so that a reset is an end as well.
        let _ = connection.into_stream().read_to_end(&mut rest);
        assert_eq!(rest, b"");
    }
}

#[test]
fn the_page_allows_nothing_inline() {
    let server = Server::start(&[]);
    let page = get(server.control, "/");
    let policy = page.field("content-security-policy").unwrap();
    assert!(!policy.contains("unsafe") && policy.contains("script-src 'self'"), "{policy}");
    for (path, content_type) in
        [("/page.css", "text/css; charset=utf-8"), ("/page.js", "text/javascript; charset=utf-8")]
    {
        assert!(page.body.contains(&path[1..]), "{path}");
        let part = get(server.control, path);
        assert_eq!((part.status, part.field("content-type")), (200, Some(content_type)));
        assert_eq!(get(server.addr, path).status, 404);
    }
}
