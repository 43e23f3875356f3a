//! `serve --route`, `--header` and the flags of CORS; and connections that are kept alive and then
//! ask for a route's streams.

use crate::http::{exchange, get, post, Connection};
use crate::process::{fanfare, run, Server};
use crate::support::Client;

const RUN: &str = "/runs/{id}/events:topic=run/{id},methods=GET+POST,header=X-Run: a\\, b";

fn publish(server: &Server, topic: &str, data: &str) {
    let answer = crate::http::publish(server.control, &format!("?topic={topic}"), data);
    assert_eq!(answer.status, 200);
}

/// A `POST` that opens a stream, with these header fields and this content.
fn open(target: &str, fields: &str, content: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{content}")
}

#[test]
fn routes_and_header_fields_are_given_by_flags_and_by_the_environment() {
    let by_flags = ["--route", RUN, "--route=/news:topic=news/#", "--header=X-Served-By: me"];
    let by_flags = Server::start(&by_flags);
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
    command.env("FANFARE_ROUTE", format!("{RUN}\n/news:topic=news/#"));
    let by_environment = Server::of(command.env("FANFARE_HEADER", "X-Served-By: me"));
    for server in [by_flags, by_environment] {
        let addr = server.addr;
        let mut run = Client::get(addr, "/runs/7/events");
        let posted = open("/runs/7/events", "Content-Length: 2\r\n", "{}");
        let mut posted = Client::send(addr, &posted);
        let mut news = Client::get(addr, "/news");
        let mut plain = Client::get(addr, "/events?topic=run/7");
        for (topic, data) in [("run/8", "8"), ("news/a", "n"), ("run/7", "7")] {
            publish(&server, topic, data);
        }
        for client in [&mut run, &mut posted] {
            assert!(
                client.head.contains("\r\nX-Run: a, b\r\nX-Served-By: me\r\n"),
                "{}",
                client.head
            );
            assert_eq!(client.data(), "7");
        }
        assert_eq!((news.data(), plain.data()), ("n".to_owned(), "7".to_owned()));
        assert_eq!(get(addr, "/news?topic=a").status, 403);
        assert_eq!(get(addr, "/runs/a%2Fb/events").status, 400);
    }
}

#[test]
fn a_route_that_cannot_be_ends_the_server_at_its_start() {
    for (arguments, says) in [
        (&["--route", "runs"][..], "routes"),
        (&["--route", "/a:topik=a"], "there is no key \"topik\""),
        (&["--route", "/{a}:topic={b}"], "the path has no place {b}"),
        (&["--route", "/{a}", "--route", "/{b}"], "that \"/{a}\" matches as well"),
        (&["--route", "/a:topic=a,header=Vary: x"], "\"Vary\": the engine writes"),
        (&["--header", "Date: x"], "\"Date\": the engine writes"),
        (&["--route", "/healthz:topic=a"], "health_path"),
        (&["--route", "/metrics:topic=a"], "a request for /metrics is the server's own"),
        (&["--route", "/finish:topic=a"], "a request for /finish is the server's own"),
        (&["--route", "/{x}:topic={x}"], "is the server's own"),
        (&["--route", "/:topic=a"], "a request for / is the server's own"),
        (&["--cors=*", "--cors-headers", "a b"], "\"a b\": a header field's name is wanted"),
        (&["--cors=*", "--cors-max-age", "2d"], "max_age is at most 1 day"),
        (&["--cors-headers", "traceparent"], "name those origins too, with --cors"),
        (&["--cors-credentials"], "name those origins too, with --cors"),
        (&["--body-bytes-max", "2MiB"], "at most 1 MiB"),
    ] {
        let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0"]);
        let output = run(command.args(arguments));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
}

#[test]
fn preflights_are_told_what_the_flags_say() {
    let server = Server::start(&[
        "--route",
        RUN,
        "--cors=https://a.example",
        "--cors-credentials",
        "--cors-headers=*",
        "--cors-expose=X-Run,X-More",
        "--cors-max-age=1h",
    ]);
    let origin = "Host: localhost\r\nOrigin: https://a.example\r\n";
    let asked = "Access-Control-Request-Method: POST\r\n\
                 Access-Control-Request-Headers: authorization,traceparent\r\n";
    for (path, methods) in [("/events", "GET, HEAD"), ("/runs/7/events", "GET, HEAD, POST")] {
        // On a new connection, and on one that is kept alive.
        for keeps_alive in [false, true] {
            let mut connection = Connection::open(server.control);
            if keeps_alive {
                connection.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
                assert_eq!(connection.answer().status, 200);
            } else {
                connection = Connection::open(server.addr);
            }
            connection.send(format!("OPTIONS {path} HTTP/1.1\r\n{origin}{asked}\r\n"));
            let head = connection.head();
            for line in [
                "HTTP/1.1 204 No Content",
                "Vary: Origin, Access-Control-Request-Headers",
                "Access-Control-Allow-Origin: https://a.example",
                "Access-Control-Allow-Credentials: true",
                &format!("Access-Control-Allow-Methods: {methods}"),
                "Access-Control-Allow-Headers: authorization, traceparent",
                "Access-Control-Max-Age: 3600",
            ] {
                assert!(head.lines().any(|found| found == line), "{line}: {head}");
            }
        }
    }
    let request = format!("GET /runs/7/events HTTP/1.1\r\n{origin}\r\n");
    let client = Client::send(server.addr, &request);
    let exposed = "\r\nAccess-Control-Expose-Headers: X-Run, X-More\r\n";
    assert!(client.head.contains(exposed), "{}", client.head);
}

#[test]
fn a_connection_that_has_published_opens_a_routes_stream_by_either_method() {
    let server = Server::start(&["--route", RUN]);
    for (fields, content) in [
        ("", ""),
        ("Content-Length: 5\r\n", "[1,2]"),
        ("Transfer-Encoding: chunked\r\n", "3\r\n[1,\r\n2;x=y\r\n2]\r\n0\r\nA: b\r\n\r\n"),
    ] {
        for by_byte in [false, true] {
            let mut connection = Connection::open(server.control);
            connection.send(post(server.control, "?topic=a", "", "before"));
            assert_eq!(connection.answer().status, 200);
            let request = open("/runs/7/events", fields, content);
            if by_byte {
                connection.stream.set_nodelay(true).unwrap();
                for byte in request.as_bytes() {
                    connection.send([*byte]);
                }
            } else {
                connection.send(&request);
            }
            let mut client = Client::of(connection.into_stream());
            assert_eq!(client.status(), 200, "{request}: {}", client.head);
            publish(&server, "run/7", "after");
            assert_eq!(client.data(), "after");
        }
    }
    // In one packet with the request before it.
    let mut connection = Connection::open(server.control);
    let publish_first = post(server.control, "?topic=a", "", "before");
    let request = open("/runs/7/events", "Content-Length: 2\r\n", "{}");
    connection.send(format!("{publish_first}{request}"));
    assert_eq!(connection.exact_answer().status, 200);
    let mut client = Client::of(connection.into_stream());
    publish(&server, "run/7", "after");
    assert_eq!(client.data(), "after");
    let mut get = Connection::open(server.control);
    get.send("GET /runs/7/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(Client::of(get.into_stream()).status(), 200);
}

#[test]
fn a_client_that_waits_is_told_to_send_also_on_a_connection_that_was_kept_alive() {
    let server = Server::start(&["--route", RUN]);
    for addr in [server.addr, server.control] {
        let mut connection = Connection::open(addr);
        connection.send(open(
            "/runs/7/events",
            "Expect: 100-continue\r\nContent-Length: 2\r\n",
            "",
        ));
        assert!(connection.head().starts_with("HTTP/1.1 100 "));
        connection.send("{}");
        let mut client = Client::of(connection.into_stream());
        assert_eq!(client.status(), 200);
        publish(&server, "run/7", "after");
        assert_eq!(client.data(), "after");
    }
}

#[test]
fn content_beyond_its_bound_is_refused_by_the_engine_on_either_listener() {
    let server = Server::start(&["--route", RUN, "--body-bytes-max=10"]);
    for addr in [server.addr, server.control] {
        for (fields, content) in [
            ("Content-Length: 11\r\n", "01234567890"),
            ("Transfer-Encoding: chunked\r\n", "b\r\n01234567890\r\n0\r\n\r\n"),
        ] {
            let refused = exchange(addr, &open("/runs/7/events", fields, content));
            assert_eq!(refused.status, 413, "{refused:?}");
            assert!(refused.body.contains("more than 10 bytes (body_bytes_max)"), "{refused:?}");
        }
        // By the head alone, before the content is waited for or asked for.
        for fields in ["Content-Length: 11\r\n", "Expect: 100-continue\r\nContent-Length: 11\r\n"] {
            let refused = exchange(addr, &open("/runs/7/events", fields, ""));
            assert_eq!(refused.status, 413, "{refused:?}");
        }
        let fits = open("/runs/7/events", "Content-Length: 10\r\n", "0123456789");
        assert_eq!(Client::send(addr, &fits).status(), 200);
    }
    let gzip = open("/runs/7/events", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n");
    for addr in [server.addr, server.control] {
        assert_eq!(exchange(addr, &gzip).status, 501);
    }
}

#[test]
fn a_route_may_take_the_place_of_the_path_of_plain_streams() {
    let server = Server::start(&["--route", "/events:methods=GET+POST,query=yes"]);
    let request = open("/events?topic=a", "Content-Length: 2\r\n", "{}");
    for addr in [server.addr, server.control] {
        let mut client = Client::send(addr, &request);
        publish(&server, "a", "x");
        assert_eq!(client.data(), "x");
    }
}
