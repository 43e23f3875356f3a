//! What the listener answers to every kind of request (RFC 9110, RFC 9112).

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use fanfare::{
    ConnectionFilter, Cors, DisconnectReason, Hub, ListenError, ListenOptions, Options, Overload,
    Topic,
};

use crate::support::{answer, close, one_shard, serve, serve_with, shards, wait_until, Client};

fn status(addr: SocketAddr, request: &str) -> u16 {
    let answer = answer(addr, request);
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap()
}

fn field<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

#[test]
fn a_stream_has_the_head_that_keeps_it_from_being_stored_or_held_back() {
    let (_hub, listener) = serve(one_shard());
    let client = Client::get(listener.local_addr(), "/events?topic=a");
    assert!(client.head.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(field(&client.head, "content-type"), ["text/event-stream"]);
    assert_eq!(field(&client.head, "cache-control"), ["no-cache, no-store, no-transform"]);
    assert_eq!(field(&client.head, "x-accel-buffering"), ["no"]);
    assert_eq!(field(&client.head, "transfer-encoding"), ["chunked"]);
    assert_eq!(field(&client.head, "date").len(), 1);
    assert!(field(&client.head, "access-control-allow-origin").is_empty());
}

#[test]
fn the_reconnection_time_differs_from_client_to_client() {
    let (hub, listener) = serve(one_shard().retry(Duration::from_secs(3)));
    let mut retries: Vec<u64> = (0..20)
        .map(|_| {
            let mut client = Client::get(listener.local_addr(), "/events?topic=a");
            hub.publish(&Topic::new("a").unwrap(), "x").unwrap();
            client.next();
            client.retry().expect("a retry comes before the first event")
        })
        .collect();
    assert!(retries.iter().all(|ms| (3000..=6000).contains(ms)), "{retries:?}");
    retries.sort_unstable();
    retries.dedup();
    assert!(retries.len() > 10, "{retries:?}");
}

#[test]
fn each_kind_of_wrong_request_gets_its_answer() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let get = |target: &str, fields: &str| {
        status(addr, &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
    };
    assert_eq!(get("/other", ""), 404);
    assert_eq!(get("/eventsx?topic=a", ""), 404);
    assert_eq!(get("/events", ""), 400);
    assert_eq!(get("/events?topic=", ""), 400);
    assert_eq!(get("/events?topic=%FF", ""), 400);
    assert_eq!(get("/events?topic=a%0Ab", ""), 400);
    assert_eq!(get(&format!("/events?topic={}", "t".repeat(257)), ""), 400);
    assert_eq!(get(&format!("/events?{}", "topic=a&".repeat(65)), ""), 400);
    assert_eq!(get("/events?topic=a", "Accept: text/html\r\n"), 406);
    assert_eq!(get("/events?topic=a", "Content-Length: 5\r\n"), 413);
    assert_eq!(get("/events?topic=a", "Transfer-Encoding: chunked\r\n"), 413);
    assert_eq!(status(addr, "GET /events?topic=a HTTP/1.1\r\n\r\n"), 400);
    for host in [
        "Host: a b",
        "Host: u@localhost",
        "Host: localhost:x",
        "Host: [::1",
        "Host: gr\u{f6}\u{df}e",
    ] {
        let request = format!("GET /events?topic=a HTTP/1.1\r\n{host}\r\n\r\n");
        assert_eq!(status(addr, &request), 400, "{host}");
    }
    let two = "GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n";
    assert_eq!(status(addr, two), 400);
    let refused = answer(addr, "GET /events?topic=a&heartbeat=ping HTTP/1.0\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert!(refused.ends_with("\"ping\"; there are id, comment, event\n"), "{refused}");
    assert_eq!(status(addr, "GET /events?topic=a HTTP/2.0\r\nHost: localhost\r\n\r\n"), 400);
    assert_eq!(status(addr, "\x16\x03\x01 hello tls\r\n\r\n"), 400);
    let post = answer(
        addr,
        "POST /events?topic=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
    );
    assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    assert_eq!(field(&post, "allow"), ["GET, HEAD, OPTIONS"]);
    assert_eq!(hub.metrics().accepted_connections, 0);
    wait_until("none is left", || hub.metrics().pending_connections == 0);
}

#[test]
fn targets_in_absolute_form_and_encoded_topics_are_understood() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let request =
        "GET http://localhost/events?x=1&topic=caf%C3%A9+%2F1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut client = Client::send(addr, request);
    hub.publish(&Topic::new("café /1").unwrap(), "x").unwrap();
    assert_eq!(client.data(), "x");
}

#[test]
fn head_gets_the_head_and_options_says_what_may_be_done() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let head = answer(addr, "HEAD /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(field(&head, "content-type"), ["text/event-stream"]);
    // Also when it is a refusal: RFC 9110, section 9.3.2.
    for target in ["/events", "/other", "/events?topic=%FF"] {
        let refused = answer(addr, &format!("HEAD {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert!(refused.starts_with("HTTP/1.1 4") && refused.ends_with("\r\n\r\n"), "{refused}");
    }
    let options = answer(addr, "OPTIONS /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(options.starts_with("HTTP/1.1 204 "), "{options}");
    assert_eq!(field(&options, "allow"), ["GET, HEAD, OPTIONS"]);
    assert_eq!(hub.metrics().accepted_connections, 0);
}

#[test]
fn listed_origins_may_read_and_others_may_not() {
    // As people write it; browsers send `https://a.example`.
    let cors = Cors::default().origins(["HTTPS://A.Example:443"]).credentials(true);
    let (_hub, listener) = serve_with(one_shard(), ListenOptions::default().cors(cors));
    let addr = listener.local_addr();
    let ask = |origin: &str| {
        let request =
            format!("GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\r\n");
        Client::send(addr, &request).head
    };
    let allowed = ask("https://a.example");
    assert_eq!(field(&allowed, "access-control-allow-origin"), ["https://a.example"]);
    assert_eq!(field(&allowed, "access-control-allow-credentials"), ["true"]);
    assert_eq!(field(&allowed, "vary"), ["Origin"]);
    let other = ask("https://b.example");
    assert!(field(&other, "access-control-allow-origin").is_empty(), "{other}");
    assert_eq!(field(&other, "vary"), ["Origin"]);
    let preflight = answer(
        addr,
        "OPTIONS /events?topic=a HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\n\
         Access-Control-Request-Method: GET\r\n\
         Access-Control-Request-Headers: last-event-id\r\n\r\n",
    );
    assert_eq!(field(&preflight, "access-control-allow-origin"), ["https://a.example"]);
    assert!(field(&preflight, "access-control-allow-headers")[0].contains("Last-Event-ID"));
    // A page of an allowed origin sees why it was refused.
    let refused = answer(
        addr,
        "GET /events HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\n\r\n",
    );
    assert_eq!(field(&refused, "access-control-allow-origin"), ["https://a.example"]);
}

#[test]
fn a_head_that_comes_byte_by_byte_is_waited_for() {
    let (hub, listener) = serve(one_shard());
    let mut stream = TcpStream::connect(listener.local_addr()).unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut client = Client::of(stream);
    hub.publish(&Topic::new("a").unwrap(), "x").unwrap();
    assert_eq!(client.data(), "x");
}

#[test]
fn a_head_that_does_not_come_in_time_is_answered_with_408() {
    let head_time_max = Duration::from_millis(300);
    let options = ListenOptions::default().head_time_max(head_time_max);
    let (hub, listener) = serve_with(one_shard(), options);
    let start = Instant::now();
    assert_eq!(status(listener.local_addr(), "GET /events?topic=a HTTP/1.1\r\nHo"), 408);
    // A shard counts whole milliseconds.
    let least = head_time_max - Duration::from_millis(1);
    assert!(start.elapsed() >= least, "{:?}", start.elapsed());
    assert_eq!(status(listener.local_addr(), ""), 408);
    wait_until("none is left", || hub.metrics().pending_connections == 0);
}

#[test]
fn a_head_that_is_too_large_is_answered_with_431() {
    let options = ListenOptions::default().head_bytes_max(1024);
    let (_hub, listener) = serve_with(one_shard(), options);
    let addr = listener.local_addr();
    let long =
        format!("GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(2000));
    assert_eq!(status(addr, &long), 431);
    // Also when it comes whole.
    assert_eq!(status(addr, &format!("{long}\r\n\r\n")), 431);
    let answer = answer(addr, &long);
    assert!(answer.contains("has more than 1024 bytes (head_bytes_max); "), "{answer}");
}

#[test]
fn as_many_header_fields_are_taken_as_the_listener_says_and_more_are_refused_by_name() {
    let ask = |addr, fields: usize| {
        let fields = "baggage: a=b\r\n".repeat(fields - 1);
        format!("{}{fields}\r\n", format_args!("GET /events?topic=a HTTP/1.1\r\nHost: {addr}\r\n"))
    };
    for (options, fields_max) in [
        (ListenOptions::default(), 128),
        (ListenOptions::default().head_fields_max(8), 8),
        (ListenOptions::default().head_fields_max(1_000), 1_000),
    ] {
        let (_hub, listener) = serve_with(one_shard(), options);
        let addr = listener.local_addr();
        assert_eq!(Client::send(addr, &ask(addr, fields_max)).status(), 200);
        let refused = answer(addr, &ask(addr, fields_max + 1));
        assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
        let says = format!("has more than {fields_max} header fields (head_fields_max); ");
        assert!(refused.contains(&says), "{refused}");
    }
}

#[test]
fn a_request_to_a_loopback_listener_by_another_name_is_refused_with_421() {
    let (fallback, requests) = fanfare::fallback(4);
    let hosts = vec!["App.Example".to_owned()];
    let options = ListenOptions::default().fallback(fallback).hosts(hosts);
    let (hub, listener) = serve_with(one_shard(), options);
    let addr = listener.local_addr();
    let port = addr.port();
    let events = "/events?topic=a";
    let evil = format!("Host: evil.example:{port}\r\n");
    for (line, host) in [
        (format!("GET {events} HTTP/1.1"), &*evil),
        (format!("GET {events} HTTP/1.0"), &*evil),
        (format!("OPTIONS {events} HTTP/1.1"), &*evil),
        (format!("GET http://evil.example{events} HTTP/1.1"), "Host: localhost\r\n"),
        ("GET /metrics HTTP/1.1".to_owned(), &*evil),
        ("POST /publish?topic=a HTTP/1.1".to_owned(), "Host: localhost.evil.example\r\n"),
    ] {
        let refused = answer(addr, &format!("{line}\r\n{host}\r\n"));
        assert!(refused.starts_with("HTTP/1.1 421 "), "{line}: {refused}");
        assert!(refused.contains("list the name in hosts"), "{refused}");
    }
    let refused = answer(addr, &format!("HEAD {events} HTTP/1.1\r\n{evil}\r\n"));
    assert!(refused.starts_with("HTTP/1.1 421 ") && refused.ends_with("\r\n\r\n"), "{refused}");
    assert!(requests.try_next().is_none());
    assert!(!listener.is_named("evil.example:80") && !listener.is_named("user@localhost"));
    let right = ["localhost", "Any.LocalHost.", "127.0.0.1", "127.1", "[::1]", "app.example.", ""];
    for host in right {
        assert!(listener.is_named(host), "{host}");
        let host = if host.is_empty() { host.to_owned() } else { format!("{host}:{port}") };
        let request = format!("GET {events} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(Client::send(addr, &request).status(), 200, "{host}");
    }
    assert_eq!(Client::send(addr, "GET /events?topic=a HTTP/1.0\r\n\r\n").status(), 200);
    let absolute = "GET http://app.example/events?topic=a HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(Client::send(addr, absolute).status(), 200, "the target's authority counts");
    let accepted = right.len() as u64 + 2;
    wait_until("all are counted", || hub.metrics().accepted_connections == accepted);
}

#[test]
fn an_answer_repeats_little_of_what_was_sent_and_is_never_sniffed() {
    let (_hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let long = "z".repeat(3_000);
    let wide = "%F4%8F%BF%BF".repeat(300);
    let fields = "Host: localhost\r\nOrigin: https://a.example\r\n";
    for target in [
        format!("/{long}"),
        format!("/events?topic={long}"),
        format!("/events?topic={long}/%23/x"),
        format!("/events?topic=a&policy={long}"),
        format!("/events?topic=a&policy={wide}"),
        format!("/events?topic=a&heartbeat={long}"),
        format!("/events?topic=a&last={long}"),
        format!("/events?topic=a&tag={long}"),
        format!("/events?{long}=%FF"),
        format!("http://{long}.example/events?topic=a"),
        format!("http://{long}@localhost/events?topic=a"),
    ] {
        for method in ["GET", "OPTIONS", &long] {
            let answer = answer(addr, &format!("{method} {target} HTTP/1.1\r\n{fields}\r\n"));
            let content = answer.split_once("\r\n\r\n").expect("a head").1;
            assert!(answer.len() - content.len() < 600 && content.len() < 400, "{answer}");
            assert!(content.matches('z').count() <= 200, "{content}");
            assert_eq!(field(&answer, "x-content-type-options"), ["nosniff"], "{answer}");
        }
    }
    let stream = Client::get(addr, "/events?topic=a");
    assert_eq!(field(&stream.head, "x-content-type-options"), ["nosniff"]);
}

#[test]
fn a_client_that_sends_no_more_but_reads_gets_the_end_of_its_streams_body() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    for close in ["", "Connection: close\r\n"] {
        let request = format!("GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n{close}\r\n");
        let mut client = Client::send(addr, &request);
        assert_eq!(field(&client.head, "connection"), ["close"]);
        hub.publish(&Topic::new("a").unwrap(), "x").unwrap();
        assert_eq!(client.data(), "x");
        client.socket().shutdown(Shutdown::Write).unwrap();
        assert!(client.ends_cleanly(), "the last chunk comes before the end");
    }
    let mut plain = Client::send(addr, "GET /events?topic=a HTTP/1.0\r\n\r\n");
    plain.socket().shutdown(Shutdown::Write).unwrap();
    assert!(plain.ends_cleanly());
    let closed = || hub.metrics().disconnects(DisconnectReason::ClientClosed);
    wait_until("they are counted", || closed() == 3);
}

#[test]
fn beyond_the_bound_a_client_is_told_to_come_again_and_the_connected_ones_stay() {
    let (hub, listener) = serve(one_shard().connections_max(4));
    let addr = listener.local_addr();
    let mut here: Vec<Client> = (0..4).map(|_| Client::get(addr, "/events?topic=a")).collect();
    let told = answer(addr, "GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
    let retry = told.lines().find_map(|line| line.strip_prefix("retry: ")).expect("a retry");
    assert!((10_000..=20_000).contains(&retry.parse::<u64>().unwrap()), "{retry}");
    assert_eq!(hub.metrics().refused_connections, 1);
    drop(here.pop());
    wait_until("a connection has ended", || hub.metrics().connections == 3);
    here.push(Client::get(addr, "/events?topic=a"));
    hub.publish(&Topic::new("a").unwrap(), "x").unwrap();
    for client in &mut here {
        assert_eq!(client.data(), "x");
    }
}

#[test]
fn overload_can_be_answered_with_503() {
    let options = ListenOptions::default().overload(Overload::Unavailable);
    let (_hub, listener) = serve_with(one_shard().connections_max(1), options);
    let addr = listener.local_addr();
    let _here = Client::get(addr, "/events?topic=a");
    assert_eq!(status(addr, "GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n"), 503);
}

#[test]
fn connections_without_a_request_are_closed_unread_beyond_the_bound() {
    let (hub, listener) = serve(one_shard().connections_max(8));
    let silent: Vec<TcpStream> =
        (0..60).map(|_| TcpStream::connect(listener.local_addr()).unwrap()).collect();
    wait_until("they are refused", || hub.metrics().refused_connections == 60 - 25);
    assert_eq!(hub.metrics().pending_connections, 25);
    drop(silent);
    wait_until("none is left", || hub.metrics().pending_connections == 0);
    let client = Client::get(listener.local_addr(), "/events?topic=a");
    assert_eq!(field(&client.head, "transfer-encoding"), ["chunked"]);
}

#[test]
fn one_address_does_not_use_up_the_connections_of_another() {
    let (hub, listener) = serve(one_shard().connections_per_address_max(2));
    let addr = listener.local_addr();
    let _here: Vec<Client> = (0..2).map(|_| Client::get(addr, "/events?topic=a")).collect();
    let request = "GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(answer(addr, request).contains("retry: "));
    assert_eq!(hub.metrics().connections, 2);
}

#[test]
fn beyond_the_bounds_on_subscriptions_a_client_is_told_to_come_again() {
    for (subscriptions_max, subscriptions_per_address_max) in [(10, 0), (1_000, 10)] {
        let bounds = one_shard()
            .subscriptions_max(subscriptions_max)
            .subscriptions_per_address_max(subscriptions_per_address_max);
        let (hub, listener) = serve(bounds);
        let addr = listener.local_addr();
        // What is asked for twice counts once.
        let six = "topic=a&topic=b&topic=c&topic=d&topic=e&topic=%23&topic=a";
        let here = Client::get(addr, &format!("/events?{six}"));
        let request =
            |query: &str| format!("GET /events?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let refused = answer(addr, &request(six));
        assert!(refused.contains("200 OK") && refused.contains("retry: "), "{refused}");
        let _small = Client::get(addr, "/events?topic=a&topic=b&topic=c&topic=d");
        assert!(answer(addr, &request("topic=a")).contains("retry: "));
        let metrics = hub.metrics();
        assert_eq!((metrics.connections, metrics.subscriptions, metrics.filters), (2, 10, 1));
        assert_eq!(metrics.refused_connections, 2);
        // A change counts as well, and what goes is free again.
        let id = hub.connections(&ConnectionFilter::default()).unwrap()[0].id;
        let one = ["a".parse().unwrap()];
        assert!(hub.set_subscriptions(id, &one).unwrap());
        wait_until("it is changed", || hub.metrics().subscriptions < 10);
        drop(here);
        wait_until("its subscriptions are free", || hub.metrics().subscriptions <= 4);
        let _again = Client::get(addr, "/events?topic=a&topic=b&topic=c&topic=d&topic=e&topic=f");
    }
}

#[test]
fn a_request_that_is_not_for_events_goes_to_the_fallback_with_what_was_read() {
    let (fallback, requests) = fanfare::fallback(4);
    let options = ListenOptions::default().fallback(fallback);
    let (hub, listener) = serve_with(one_shard(), options);
    let addr = listener.local_addr();
    let request = format!("POST /x HTTP/1.1\r\nHost: {addr}\r\nContent-Length: 2\r\n\r\nhi");
    let mut asking = TcpStream::connect(addr).unwrap();
    asking.write_all(request.as_bytes()).unwrap();
    let mut unhandled = requests.clone().next().unwrap();
    assert_eq!(String::from_utf8(unhandled.read.clone()).unwrap(), request);
    assert_eq!(unhandled.addr, asking.local_addr().ok());
    unhandled.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    // It stays, asks for events after all, and is admitted.
    let request = format!("GET /events?topic=a HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    unhandled.read = request.into_bytes();
    listener.admit(unhandled).unwrap();
    let answered = Client::of(asking);
    assert!(answered.head.contains("Content-Length: 0"));
    wait_until("it is a stream", || hub.metrics().connections == 1);
    assert_eq!(hub.metrics().pending_connections, 0);
}

#[test]
fn options_out_of_bounds_and_used_addresses_are_errors_that_say_so() {
    let (hub, listener) = serve(one_shard());
    let taken = hub.listen(listener.local_addr(), ListenOptions::default());
    assert!(matches!(taken, Err(ListenError::Bind(_))), "{taken:?}");
    for options in [
        ListenOptions::default().path("events"),
        ListenOptions::default().path("/a b"),
        ListenOptions::default().head_bytes_max(1),
        ListenOptions::default().subscriptions_per_connection_max(0),
        ListenOptions::default().head_fields_max(7),
        ListenOptions::default().head_fields_max(4_097),
        ListenOptions::default().cors(Cors::default().origins(["*"]).credentials(true)),
    ] {
        let refused = hub.listen("127.0.0.1:0", options);
        assert!(matches!(refused, Err(ListenError::Options(_))), "{refused:?}");
    }
    let cors =
        Cors::default().origins(["https://a.example", "https://*.example"]).credentials(false);
    for (options, entry) in [
        (ListenOptions::default().cors(cors), "\"https://*.example\""),
        (ListenOptions::default().hosts(["a.example:80"]), "\"a.example:80\""),
    ] {
        let refused = hub.listen("127.0.0.1:0", options).unwrap_err().to_string();
        assert!(refused.contains(entry), "{refused}");
    }
    assert!(Hub::start(Options::default().batch_bytes_max(0)).is_err());
    close(&hub);
    let closed = hub.listen("127.0.0.1:0", ListenOptions::default());
    assert!(matches!(closed, Err(ListenError::Closed)));
}

#[test]
fn a_listener_that_takes_any_host_serves_whatever_name_it_is_asked_by() {
    let (fallback, requests) = fanfare::fallback(4);
    let hosts = vec!["*".to_owned()];
    let options = ListenOptions::default().fallback(fallback).hosts(hosts);
    let (hub, listener) = serve_with(one_shard(), options);
    let addr = listener.local_addr();
    assert!(addr.ip().is_loopback());
    let named = ["evil.example", "evil.example:80", "LOCALHOST.x", "localhost", "[::1]:80", "*"];
    for host in named {
        assert!(listener.is_named(host), "{host}");
        let request = format!("GET /events?topic=a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(Client::send(addr, &request).status(), 200, "{host}");
    }
    let absolute = "GET http://evil.example/events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(Client::send(addr, absolute).status(), 200);
    wait_until("all are counted", || hub.metrics().accepted_connections == named.len() as u64 + 1);
    // A client that asks for something else comes to the part that serves that.
    let mut other = TcpStream::connect(addr).unwrap();
    other.write_all(b"GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n").unwrap();
    wait_until("the request comes", || requests.waiting() == 1);
    // A text that is no host is refused, and so is a request without a host.
    assert!(!listener.is_named("user@evil.example"));
    for host in ["Host: u@evil.example\r\n", "Host: evil.example\r\nHost: evil.example\r\n", ""] {
        let request = format!("GET /events?topic=a HTTP/1.1\r\n{host}\r\n");
        assert_eq!(status(addr, &request), 400, "{host:?}");
    }
}

#[test]
fn a_short_time_for_heads_is_kept_beside_a_long_one() {
    let (hub, long) = serve(one_shard());
    let head_time_max = Duration::from_millis(200);
    let options = ListenOptions::default().head_time_max(head_time_max);
    let short = hub.listen("127.0.0.1:0", options).unwrap();
    let mut slow = TcpStream::connect(long.local_addr()).unwrap();
    slow.write_all(b"GET /ev").unwrap();
    wait_until("it is accepted", || hub.metrics().pending_connections == 1);
    let start = Instant::now();
    assert_eq!(status(short.local_addr(), "GET /ev"), 408);
    assert!(start.elapsed() < ListenOptions::default().head_time_max, "{:?}", start.elapsed());
}

#[test]
fn a_slow_head_does_not_keep_a_dropped_listener_open() {
    let (hub, listener) = serve(one_shard());
    let addr = listener.local_addr();
    let mut slow = TcpStream::connect(addr).unwrap();
    slow.write_all(b"GET /ev").unwrap();
    wait_until("it is accepted", || hub.metrics().pending_connections == 1);
    drop(listener);
    wait_until("the listener is closed", || TcpStream::connect(addr).is_err());
    // The port is free for the next one.
    drop(hub.listen(addr, ListenOptions::default()).unwrap());
}

#[test]
fn a_closed_hub_does_not_listen() {
    // Whether the shards have opened it yet or not.
    for _ in 0..50 {
        let (hub, listener) = serve(shards(2));
        close(&hub);
        assert!(TcpStream::connect(listener.local_addr()).is_err());
    }
}

#[test]
fn too_many_unhandled_requests_are_answered_with_503() {
    let (fallback, requests) = fanfare::fallback(1);
    let options = ListenOptions::default().fallback(fallback);
    let (_hub, listener) = serve_with(one_shard(), options);
    let mut first = TcpStream::connect(listener.local_addr()).unwrap();
    first.write_all(b"GET /x HTTP/1.0\r\n\r\n").unwrap();
    wait_until("it waits", || requests.waiting() == 1);
    assert_eq!(status(listener.local_addr(), "GET /x HTTP/1.0\r\n\r\n"), 503);
}

#[test]
fn each_unhandled_request_is_answered_when_shards_compete_for_the_last_place() {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 200;
    let (fallback, requests) = fanfare::fallback(1);
    let options = ListenOptions::default().fallback(fallback);
    let (hub, listener) = serve_with(shards(4), options);
    let addr = listener.local_addr();
    let taker = thread::spawn(move || {
        for mut request in requests {
            request.stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        }
    });
    let together = Barrier::new(CLIENTS);
    let ask = || {
        together.wait();
        answer(addr, "GET /x HTTP/1.0\r\n\r\n")
    };
    let answers = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| (0..ROUNDS).map(|_| ask()).collect::<Vec<_>>()))
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    for answer in &answers {
        let is_one = ["HTTP/1.1 200 ", "HTTP/1.1 503 "].iter().any(|one| answer.starts_with(one));
        assert!(is_one, "{answer:?}");
    }
    drop((listener, hub));
    taker.join().unwrap();
}

#[test]
fn a_socket_that_is_admitted_gets_the_listeners_options() {
    let (hub, listener) = serve(one_shard());
    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(own.local_addr().unwrap()).unwrap();
    let (stream, addr) = own.accept().unwrap();
    let same_socket = stream.try_clone().unwrap();
    let read = b"GET /events?topic=a HTTP/1.0\r\n\r\n".to_vec();
    listener.admit(fanfare::UnhandledRequest::new(stream, addr, read)).unwrap();
    assert!(same_socket.nodelay().unwrap());
    drop(same_socket);
    let mut client = Client::of(client);
    hub.publish(&Topic::new("a").unwrap(), "x").unwrap();
    assert_eq!(client.data(), "x");
}
