//! Paths with streams of their own: templates, methods, content, and header fields of the host's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use fanfare::{
    DisconnectReason, Hub, ListenError, ListenOptions, Listener, Overload, Route, Topic,
};

use crate::support::{answer, one_shard, serve_with, start, wait_until, Client, DEADLINE};

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// A hub with these routes beside `/events`.
fn serve_routes(routes: impl IntoIterator<Item = Route>) -> (Hub, Listener) {
    serve_with(one_shard(), ListenOptions::default().routes(routes))
}

fn run() -> Route {
    Route::new("/runs/{id}/events").subscriptions(["run/{id}"]).post(true)
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn get(addr: SocketAddr, target: &str) -> String {
    answer(addr, &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
}

/// A `POST` with these header fields and this content.
fn post(target: &str, fields: &str, content: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{content}")
}

#[test]
fn a_value_of_the_path_says_which_topic_a_stream_has() {
    let (hub, listener) = serve_routes([run()]);
    let addr = listener.local_addr();
    let mut one = Client::get(addr, "/runs/1/events");
    let mut cafe = Client::get(addr, "/runs/caf%C3%A9%20%3F/events?last=0");
    for (name, data) in [("run/2", "two"), ("run/1", "one"), ("run/café ?", "café")] {
        hub.publish(&topic(name), data).unwrap();
    }
    assert_eq!((one.data(), cafe.data()), ("one".to_owned(), "café".to_owned()));
    // The plain path has the topics that its query names.
    let mut plain = Client::get(addr, "/events?topic=run/2&last=1");
    assert_eq!(plain.data(), "two");
}

#[test]
fn a_stream_of_a_route_is_resumed_like_any_other() {
    let (hub, listener) = serve_routes([run()]);
    let addr = listener.local_addr();
    let ids: Vec<_> = ["a", "b", "c"]
        .map(|data| hub.publish(&topic("run/1"), data).unwrap().id().unwrap().to_string())
        .into();
    for request in [
        format!("GET /runs/1/events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: {}\r\n\r\n", ids[0]),
        format!("GET /runs/1/events?last-event-id={} HTTP/1.0\r\n\r\n", ids[0]),
        post(
            "/runs/1/events",
            &format!("Last-Event-ID: {}\r\nContent-Length: 2\r\n", ids[0]),
            "{}",
        ),
    ] {
        let request = request.replace("Host: h\r\n", "Host: localhost\r\n");
        let mut client = Client::send(addr, &request);
        assert_eq!((client.data(), client.data()), ("b".to_owned(), "c".to_owned()), "{request}");
    }
}

#[test]
fn a_value_never_widens_a_subscription_or_adds_a_level() {
    let wide = Route::new("/below/{name}").subscriptions(["{name}/#"]);
    let (hub, listener) = serve_routes([run(), wide]);
    let addr = listener.local_addr();
    for segment in [
        "a%2Fb", "a%2fb", "+", "%2B", "%23", "%0A", "%00", "%C2%85", "..", ".", "%2e%2E", "%FF",
        "%", "%4", "%zz", "a+b",
    ] {
        for target in [format!("/runs/{segment}/events"), format!("/below/{segment}")] {
            let refused = get(addr, &target);
            assert_status(&refused, 400);
            assert!(
                refused.contains("of the path") || refused.contains("of this path"),
                "{refused}"
            );
        }
    }
    let long = get(addr, &format!("/runs/{}/events", "x".repeat(253)));
    assert_status(&long, 400);
    assert!(long.contains("to 256 at most"), "{long}");
    // Topics that begin with $ are not among those that a wildcard gives.
    for target in ["/below/$SYS", "/below/%24SYS", "/below/$"] {
        let hidden = get(addr, target);
        assert_status(&hidden, 400);
        assert!(hidden.contains("begins with $"), "{hidden}");
    }
    for target in ["/runs//events", "/runs/1/2/events", "/runs/1/events/", "/below/", "/below/a/b"]
    {
        assert_status(&get(addr, target), 404);
    }
    assert_eq!(hub.metrics().accepted_connections, 0);
    let mut below = Client::get(addr, "/below/a");
    for name in ["b/a", "a/b"] {
        hub.publish(&topic(name), name).unwrap();
    }
    assert_eq!(below.data(), "a/b");
}

#[test]
fn a_query_names_topics_only_where_it_may() {
    let fixed = Route::new("/fixed").subscriptions(["a", "b/#"]);
    let more = Route::new("/more").subscriptions(["a"]).query_topics(true);
    let (hub, listener) = serve_routes([fixed, more, Route::new("/named")]);
    let addr = listener.local_addr();
    for target in ["/fixed?topic=c", "/fixed?topic=a", "/fixed?latest&topic=", "/fixed?topic=%23"] {
        let refused = get(addr, target);
        assert_status(&refused, 403);
        assert!(refused.ends_with("what this path's streams have is fixed; leave out topic\n"));
    }
    let none = get(addr, "/named");
    assert_status(&none, 400);
    assert!(none.ends_with("say what you want: /named?topic=NAME\n"), "{none}");
    let mut fixed = Client::get(addr, "/fixed?tag=x&policy=drop-oldest&heartbeat=comment");
    let mut more = Client::get(addr, "/more?topic=c");
    for name in ["a", "b/1", "c"] {
        hub.publish(&topic(name), name).unwrap();
    }
    assert_eq!((fixed.data(), fixed.data()), ("a".to_owned(), "b/1".to_owned()));
    assert_eq!((more.data(), more.data()), ("a".to_owned(), "c".to_owned()));
    // What a route has counts with what the query names.
    assert_status(&get(addr, &format!("/more?{}", "topic=x&".repeat(64))), 400);
    assert_eq!(Client::get(addr, &format!("/more?{}", "topic=x&".repeat(63))).status(), 200);
}

#[test]
fn a_route_has_its_methods_and_says_which_they_are() {
    let (hub, listener) = serve_routes([run(), Route::new("/read").subscriptions(["a"])]);
    let addr = listener.local_addr();
    for (target, allow, use_) in [
        ("/runs/1/events", "GET, HEAD, POST, OPTIONS", "use GET or POST"),
        ("/read", "GET, HEAD, OPTIONS", "use GET to"),
        ("/events?topic=a", "GET, HEAD, OPTIONS", "use GET to"),
    ] {
        let ask = |method: &str| {
            answer(addr, &format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        };
        let options = ask("OPTIONS");
        assert_status(&options, 204);
        assert!(options.contains(&format!("\r\nAllow: {allow}\r\n")), "{options}");
        for method in ["PUT", "DELETE", "PATCH", "post", "TRACE"] {
            let refused = ask(method);
            assert_status(&refused, 405);
            assert!(refused.contains(&format!("\r\nAllow: {allow}\r\n")), "{refused}");
            assert!(refused.contains(use_), "{refused}");
        }
        let head = ask("HEAD");
        assert_status(&head, 200);
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    }
    for target in ["/read", "/events?topic=a"] {
        assert_status(&answer(addr, &post(target, "Content-Length: 1\r\n", "x")), 405);
    }
    // GET has no content, also where POST has.
    let get = post("/runs/1/events", "Content-Length: 1\r\n", "x").replace("POST", "GET");
    assert_status(&answer(addr, &get), 413);
    assert_eq!(hub.metrics().accepted_connections, 0);
}

#[test]
fn content_of_either_framing_is_read_before_the_stream_whole_or_in_pieces() {
    let (hub, listener) = serve_routes([run()]);
    let addr = listener.local_addr();
    for (fields, content) in [
        ("", ""),
        ("Content-Length: 0\r\n", ""),
        ("Content-Length: 5\r\nContent-Type: application/json\r\n", "[1,2]"),
        ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5;a=b\r\n[1,2]\r\n0\r\nTrailer: x\r\n\r\n"),
    ] {
        let request = post("/runs/1/events", fields, content);
        let whole = Client::send(addr, &request);
        let mut stream = connect(addr);
        for byte in request.as_bytes() {
            stream.write_all(&[*byte]).unwrap();
        }
        for mut client in [whole, Client::of(stream)] {
            assert_eq!(client.status(), 200, "{request}");
            hub.publish(&topic("run/1"), "x").unwrap();
            assert_eq!(client.data(), "x");
        }
    }
    assert_eq!(hub.metrics().accepted_connections, 10);
    wait_until("none is left", || hub.metrics().pending_connections == 0);
}

#[test]
fn a_client_that_waits_is_told_to_send_its_content() {
    let (hub, listener) = serve_routes([run()]);
    let addr = listener.local_addr();
    let expecting = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    let mut stream = connect(addr);
    stream.write_all(post("/runs/1/events", expecting, "").as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").unwrap();
    let mut client = Client::of(stream);
    assert_eq!(client.status(), 200);
    hub.publish(&topic("run/1"), "x").unwrap();
    assert_eq!(client.data(), "x");
    // Not if the content comes at once, nor with HTTP/1.0, which has no interim answers.
    for request in [
        post("/runs/1/events", expecting, "hello"),
        post("/runs/1/events", expecting, "hello").replace("HTTP/1.1", "HTTP/1.0"),
    ] {
        assert_eq!(Client::send(addr, &request).status(), 200);
    }
    let old = post("/runs/1/events", expecting, "").replace("HTTP/1.1", "HTTP/1.0");
    let mut stream = connect(addr);
    stream.write_all(old.as_bytes()).unwrap();
    wait_until("it is accepted", || hub.metrics().pending_connections == 1);
    stream.write_all(b"hello").unwrap();
    assert_eq!(Client::of(stream).status(), 200);
    // A client is not told to send what would be refused.
    let too_large = "Expect: 100-continue\r\nContent-Length: 65537\r\n";
    assert_status(&answer(addr, &post("/runs/1/events", too_large, "")), 413);
    assert_status(&answer(addr, &post("/runs/a%2Fb/events", expecting, "")), 400);
}

#[test]
fn content_that_is_too_large_or_malformed_is_refused_as_soon_as_that_is_known() {
    let options = ListenOptions::default().routes([run()]).body_bytes_max(10);
    let (hub, listener) = serve_with(one_shard(), options);
    let addr = listener.local_addr();
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (fields, content, status, says) in [
        ("Content-Length: 11\r\n", "", 413, "more than 10 bytes (body_bytes_max)"),
        (chunked, "b\r\n", 413, "more than 10 bytes (body_bytes_max)"),
        (chunked, "a\r\n0123456789\r\n1", 413, "more than 10 bytes"),
        (chunked, "1\nx", 400, "not chunked as HTTP/1.1 has it"),
        (chunked, "x\r\n", 400, "not chunked"),
        (chunked, "1\r\nxy", 400, "not chunked"),
        ("Content-Length: x\r\n", "", 400, "not a number"),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", "x", 400, "more than once"),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", 400, "more than once"),
        ("Transfer-Encoding: gzip, chunked\r\n", "", 501, "only chunked"),
    ] {
        let request = post("/runs/1/events", fields, content);
        let (head, _) = request.split_at(request.len() - content.len());
        // At once, and when the head has been read before.
        let whole = answer(addr, &request);
        let mut stream = connect(addr);
        stream.write_all(head.as_bytes()).unwrap();
        wait_until("it is accepted", || hub.metrics().pending_connections >= 1);
        let _ = stream.write_all(content.as_bytes());
        let mut later = String::new();
        stream.read_to_string(&mut later).unwrap();
        drop(stream);
        for refused in [whole, later] {
            assert_status(&refused, status);
            assert!(refused.contains(says), "{request:?}: {refused}");
        }
        wait_until("none is left", || hub.metrics().pending_connections == 0);
    }
    let fits = post("/runs/1/events", chunked, "a\r\n0123456789\r\n0\r\n\r\n");
    assert_eq!(Client::send(addr, &fits).status(), 200);
    assert_eq!(hub.metrics().accepted_connections, 1);
}

#[test]
fn content_has_to_come_in_the_time_of_the_head() {
    let head_time_max = Duration::from_millis(300);
    let options = ListenOptions::default().routes([run()]).head_time_max(head_time_max);
    let (hub, listener) = serve_with(one_shard(), options);
    let start = Instant::now();
    let late = post("/runs/1/events", "Content-Length: 3\r\n", "ab");
    let refused = answer(listener.local_addr(), &late);
    assert_status(&refused, 408);
    assert!(refused.contains("or its content, did not come in time"), "{refused}");
    // A shard counts whole milliseconds.
    let least = head_time_max - Duration::from_millis(1);
    assert!(start.elapsed() >= least, "{:?}", start.elapsed());
    wait_until("none is left", || hub.metrics().pending_connections == 0);
    // A client that gives up is not answered.
    let mut gone = connect(listener.local_addr());
    gone.write_all(late.as_bytes()).unwrap();
    wait_until("it is accepted", || hub.metrics().pending_connections == 1);
    drop(gone);
    wait_until("none is left", || hub.metrics().pending_connections == 0);
}

#[test]
fn what_comes_behind_the_content_was_not_asked_for() {
    let (hub, listener) = serve_routes([run()]);
    let request = post("/runs/1/events", "Content-Length: 2\r\n", "abGET / HTTP/1.1\r\n");
    let mut client = Client::send(listener.local_addr(), &request);
    hub.publish(&topic("run/1"), "x").unwrap();
    assert_eq!(client.data(), "x");
    // As on any other stream, a little of it is ignored, and much of it ends the stream.
    let (garbage, start) = (vec![b'x'; 1 << 20], Instant::now());
    while client.socket().write_all(&garbage).is_ok() && start.elapsed() < DEADLINE {}
    wait_until("it is ended", || hub.metrics().disconnects(DisconnectReason::Garbage) == 1);
}

#[test]
fn beyond_the_bounds_a_post_is_answered_without_its_content() {
    for overload in Overload::all() {
        let options = ListenOptions::default().routes([run()]).overload(overload);
        let (hub, listener) = serve_with(one_shard().connections_max(1), options);
        let addr = listener.local_addr();
        let here = Client::get(addr, "/runs/1/events");
        let waiting = "Expect: 100-continue\r\nContent-Length: 5\r\n";
        let told = answer(addr, &post("/runs/1/events", waiting, ""));
        match overload {
            Overload::Unavailable => assert_status(&told, 503),
            _ => assert!(told.starts_with("HTTP/1.1 200 ") && told.contains("retry: "), "{told}"),
        }
        drop(here);
        wait_until("it has ended", || hub.metrics().connections == 0);
        // A slot that is taken while the content comes is not there any more.
        let mut slow = connect(addr);
        slow.write_all(post("/runs/1/events", "Content-Length: 2\r\n", "a").as_bytes()).unwrap();
        wait_until("it is accepted", || hub.metrics().pending_connections == 1);
        let _here = Client::get(addr, "/runs/1/events");
        slow.write_all(b"b").unwrap();
        let mut told = String::new();
        slow.read_to_string(&mut told).unwrap();
        assert!(told.contains("retry: ") || told.starts_with("HTTP/1.1 503 "), "{told}");
    }
}

#[test]
fn streams_have_the_hosts_header_fields_and_other_answers_have_not() {
    let route = run().header("X-Run", "yes").header("x-served-by", "route");
    let options = ListenOptions::default()
        .routes([route])
        .headers([("X-Served-By", "listener"), ("Link", "</a.css>; rel=preload, </b>")])
        .health_path("/well");
    let (_hub, listener) = serve_with(one_shard().connections_max(3), options);
    let addr = listener.local_addr();
    let ask = |line: &str| answer(addr, &format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let link = "\r\nLink: </a.css>; rel=preload, </b>\r\n";
    let has_route = |head: &str| {
        head.contains("\r\nX-Run: yes\r\nx-served-by: route\r\n")
            && head.contains(link)
            && !head.contains("listener")
    };
    let has_listeners = |head: &str| {
        head.contains("\r\nX-Served-By: listener\r\n")
            && head.contains(link)
            && !head.contains("X-Run")
    };
    let got = Client::get(addr, "/runs/1/events");
    let posted = Client::send(addr, &post("/runs/1/events", "Content-Length: 1\r\n", "x"));
    for head in [&got.head, &posted.head, &ask("HEAD /runs/1/events")] {
        assert!(has_route(head), "{head}");
    }
    let plain = Client::get(addr, "/events?topic=a");
    for head in [&plain.head, &ask("HEAD /events?topic=a")] {
        assert!(has_listeners(head), "{head}");
    }
    // A client that is told to come again has a stream, too.
    let told = ask("GET /runs/1/events");
    assert!(has_route(&told) && told.contains("retry: "), "{told}");
    for line in ["GET /events", "OPTIONS /events", "PUT /events", "GET /other", "GET /well", "x"] {
        let other = ask(line);
        assert!(!["X-Served-By", "X-Run", "Link"].iter().any(|own| other.contains(own)), "{other}");
    }
}

#[test]
fn there_are_no_streams_at_the_health_path_also_if_a_route_matches_it() {
    let route = Route::new("/{id}").subscriptions(["run/{id}"]);
    let options = ListenOptions::default().routes([route]).health_path("/well");
    let (_hub, listener) = serve_with(one_shard(), options);
    assert!(!listener.has_streams_at("/well"));
    let well = answer(listener.local_addr(), "GET /well HTTP/1.0\r\n\r\n");
    assert!(well.starts_with("HTTP/1.1 200 ") && well.ends_with("ok\n"), "{well}");
    // As they are compared: what is written otherwise is another path.
    for path in ["/events", "/wel%6C", "/well2"] {
        assert!(listener.has_streams_at(path), "{path}");
    }
    let request = "GET /wel%6C HTTP/1.0\r\n\r\n";
    assert_eq!(Client::send(listener.local_addr(), request).status(), 200);
}

#[test]
fn a_listener_knows_its_paths_and_is_given_connections_for_them() {
    let (fallback, requests) = fanfare::fallback(4);
    let options = ListenOptions::default().routes([run()]).path("").fallback(fallback);
    let (hub, listener) = serve_with(one_shard(), options);
    let addr = listener.local_addr();
    for (path, has) in [
        ("/runs/1/events", true),
        ("/runs/a%2Fb/events", true),
        ("/runs//events", false),
        ("/events", false),
        ("", false),
    ] {
        assert_eq!(listener.has_streams_at(path), has, "{path}");
    }
    // What is for another path goes to the fallback, also a POST with its content.
    let mut asking = connect(addr);
    let other = post("/events?topic=a", "Content-Length: 2\r\n", "hi");
    asking.write_all(other.as_bytes()).unwrap();
    let mut unhandled = requests.wait(DEADLINE).expect("it comes");
    assert_eq!(String::from_utf8_lossy(&unhandled.read), other);
    unhandled.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    // It stays, and asks for a run's events. Only a part of the request's content is here.
    unhandled.read = post("/runs/7/events", "Content-Length: 2\r\n", "{").into_bytes();
    listener.admit(unhandled).unwrap();
    wait_until("it is taken", || hub.metrics().pending_connections == 1);
    asking.write_all(b"}").unwrap();
    let mut answered = [0; 38];
    asking.read_exact(&mut answered).unwrap();
    assert!(answered.ends_with(b"Content-Length: 0\r\n\r\n"));
    let mut client = Client::of(asking);
    hub.publish(&topic("run/7"), "x").unwrap();
    assert_eq!(client.data(), "x");
}

#[test]
fn routes_that_cannot_be_are_errors_when_the_listener_opens() {
    let hub = start(one_shard());
    for (options, option, says) in [
        (
            ListenOptions::default().routes([Route::new("/{a}"), Route::new("/{b}")]),
            "routes",
            "/{a}",
        ),
        (ListenOptions::default().routes([run().header("Date", "x")]), "routes", "\"Date\": "),
        (ListenOptions::default().headers([("X", "a\nb")]), "headers", "\"X\": "),
        (ListenOptions::default().path(""), "path", "or empty, where there are routes"),
        (ListenOptions::default().body_bytes_max((1 << 20) + 1), "body_bytes_max", "1 MiB"),
    ] {
        match hub.listen("127.0.0.1:0", options) {
            Err(ListenError::Options(error)) => {
                assert_eq!(error.option, option);
                assert!(error.to_string().contains(says), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}
