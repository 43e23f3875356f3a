//! `POST /publish`: what is published, what is refused, and the token.

use std::time::{Duration, Instant};

use crate::http::{exchange, post, publish, publish_lines, Connection, NDJSON};
use crate::process::{fanfare, Server};
use crate::support::Client;

#[test]
fn an_event_arrives_with_all_that_the_query_says_and_its_id_is_answered() {
    let server = Server::start(&[]);
    let mut client = Client::get(server.addr, "/events?topic=a/b%20c");
    let answer = publish(server.control, "?topic=a/b%20c&event=tick&key=k&retry=1500", "one\ntwo");
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")));
    let message = client.next();
    assert_eq!((&*message.name, &*message.data), ("tick", "one\ntwo"));
    assert_eq!(answer.body, format!("{{\"id\":\"{}\"}}\n", message.last_id));
    assert_eq!(client.retry(), Some(1500));

    let answer = publish(server.control, "?topic=a/b+c&id=my+%22id%22", "");
    assert_eq!(answer.body, "{\"id\":\"my \\\"id\\\"\"}\n");
    let message = client.next();
    assert_eq!((&*message.data, &*message.last_id), ("", "my \"id\""));
}

#[test]
fn lines_are_published_in_their_order_and_their_ids_are_answered() {
    let server = Server::start(&[]);
    let mut client = Client::get(server.addr, "/events?topic=a&topic=b");
    let lines = "{\"topic\":\"a\",\"data\":\"1\",\"event\":\"e\"}\r\n\n\
                 {\"topic\":\"b\",\"data\":\"2\",\"id\":\"x\"}\n{\"data\":\"3\",\"topic\":\"a\"}";
    let answer = publish_lines(server.control, lines);
    let messages = [client.next(), client.next(), client.next()];
    assert_eq!(messages.each_ref().map(|m| &*m.data), ["1", "2", "3"]);
    assert_eq!((&*messages[0].name, &*messages[1].last_id), ("e", "x"));
    let [first, _, third] = messages.each_ref().map(|m| &*m.last_id);
    let expected = format!("{{\"published\":3,\"ids\":[\"{first}\",\"x\",\"{third}\"]}}\n");
    assert_eq!((answer.status, answer.body), (200, expected));
}

#[test]
fn of_many_lines_the_first_and_the_last_id_are_answered() {
    let server = Server::start(&[]);
    let lines: String =
        (0..3000).map(|n| format!("{{\"topic\":\"a\",\"data\":\"x\",\"id\":\"{n}\"}}\n")).collect();
    let answer = publish_lines(server.control, &lines);
    let expected = "{\"published\":3000,\"first_id\":\"0\",\"last_id\":\"2999\"}\n";
    assert_eq!((answer.status, &*answer.body), (200, expected));
}

/// A server, of which the topic `full` has no space for minutes for what is spread over a time.
fn full() -> (Server, Vec<Client>) {
    let server = Server::start(&["--topic-backlog", "1KiB"]);
    let clients =
        (0..10).map(|_| Client::get(server.addr, "/events?topic=full")).collect::<Vec<_>>();
    // Each client is sent it at some time of its window, and only then it has been sent.
    let data = "x".repeat(2000);
    assert_eq!(publish(server.control, "?topic=full&window=5m", &data).status, 200);
    (server, clients)
}

#[test]
fn a_client_that_does_not_wait_is_told_at_once_that_nothing_was_published() {
    const AT_ONCE: &str = "Prefer: respond-async, wait=0\r\n";
    let (server, clients) = full();
    let request = post(server.control, "?topic=full&window=5m", AT_ONCE, "x");
    let answer = exchange(server.control, &request);
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")), "{answer:?}");
    assert!(answer.body.ends_with(",\"code\":\"full\"}\n"), "{answer:?}");

    let good = "{\"topic\":\"a\",\"data\":\"x\",\"id\":\"own\"}\n";
    let full = "{\"topic\":\"full\",\"data\":\"x\",\"window\":\"5m\"}\n";
    let lines = format!("{good}\n{full}{good}");
    let request = post(server.control, "", &format!("{AT_ONCE}{NDJSON}"), &lines);
    let answer = exchange(server.control, &request);
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")), "{answer:?}");
    let more = "\"code\":\"full\",\"line\":3,\"published\":1,\"ids\":[\"own\"]}\n";
    assert!(answer.body.ends_with(more), "{answer:?}");
    assert_eq!(server.metric("fanfare_published_events_total"), 2.0);
    drop(clients);
}

#[test]
fn an_event_waits_for_space_for_as_long_as_its_client_says() {
    let (server, clients) = full();
    let begun = Instant::now();
    let request = post(server.control, "?topic=full&window=5m", "Prefer: wait=1\r\n", "x");
    let answer = exchange(server.control, &request);
    assert_eq!(answer.status, 503, "{answer:?}");
    let waited = begun.elapsed();
    assert!((1..25).contains(&waited.as_secs()), "{waited:?}");
    // When nobody waits for the event, there is space.
    let mut connection = Connection::open(server.control);
    connection.send(post(server.control, "?topic=full&window=5m", "Prefer: wait=30\r\n", "x"));
    drop(clients);
    assert_eq!(connection.answer().status, 200);
}

#[test]
fn streams_begin_where_the_flags_say_also_after_a_gap() {
    let server =
        Server::start(&["--start=earliest", "--gap-start=latest", "--history-events-max=3"]);
    let lines: String = (0..5).map(|n| format!("{{\"topic\":\"a\",\"data\":\"{n}\"}}\n")).collect();
    assert_eq!(publish_lines(server.control, &lines).status, 200);
    for addr in [server.addr, server.control] {
        let mut client = Client::get(addr, "/events?topic=a");
        assert_eq!([client.data(), client.data(), client.data()], ["2", "3", "4"]);
        let mut client = Client::get(addr, "/events?topic=a&last-event-id=none");
        assert_eq!((&*client.next().name, &*client.data()), ("fanfare-gap", "4"));
        let mut client = Client::get(addr, "/events?topic=a&last-event-id=none&gap-start=last=2");
        assert_eq!(client.next().name, "fanfare-gap");
        assert_eq!([client.data(), client.data()], ["3", "4"]);
    }
}

#[test]
fn at_a_bad_line_it_stops_and_says_which_why_and_how_many_came_before() {
    let server = Server::start(&[]);
    let good = "{\"topic\":\"a\",\"data\":\"x\"}\n";
    for (bad, status, why) in [
        ("nonsense", 400, "an event is a JSON object"),
        ("{\"topic\":\"a\",\"data\":\"x\",\"event\":\"a\\nb\"}", 400, "which no client"),
        ("{\"topic\":\"a#\",\"data\":\"x\"}", 400, "the topic holds '#'"),
        ("{\"topic\":", 400, "EOF while parsing a value"),
    ] {
        let before = server.metric("fanfare_published_events_total");
        let answer = publish_lines(server.control, &format!("{good}{good}\n{bad}\n{good}{good}"));
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.starts_with("{\"error\":\"line 4: "), "{answer:?}");
        assert!(answer.body.contains(why), "{answer:?}");
        let more = ",\"code\":\"invalid\",\"line\":4,\"published\":2,\"ids\":[";
        assert!(answer.body.contains(more), "{answer:?}");
        assert_eq!(server.metric("fanfare_published_events_total"), before + 2.0);
    }
}

#[test]
fn lines_are_published_as_they_come_and_a_broken_off_line_is_not() {
    let server = Server::start(&[]);
    let mut client = Client::get(server.addr, "/events?topic=a");
    let mut connection = Connection::open(server.control);
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    connection.send(format!(
        "POST /publish HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n{NDJSON}\r\n",
        server.control
    ));
    connection.send(chunk("{\"topic\":\"a\",\"data\":\"1\"}\n{\"topic\":\"a\","));
    assert_eq!(client.data(), "1");
    connection.send(chunk("\"data\":\"2\"}\n{\"topic\":\"a\",\"data\":\"3\"}"));
    assert_eq!(client.data(), "2");
    drop(connection);
    assert_eq!(publish(server.control, "?topic=a", "4").status, 200);
    assert_eq!(client.data(), "4");
}

#[test]
fn an_event_with_a_window_comes_to_the_clients_over_that_time() {
    let server = Server::start(&[]);
    let begin = || -> Vec<Client> {
        (0..20).map(|_| Client::get(server.addr, "/events?topic=a")).collect()
    };
    let line = |window: &str| format!("{{\"topic\":\"a\",\"data\":\"x\",\"window\":{window}}}");
    for publish_over_a_second in [
        || ("?topic=a&window=1s".to_owned(), "x".to_owned()),
        || ("?topic=a&window=1000".to_owned(), "x".to_owned()),
        || (String::new(), "\"1s\"".to_owned()),
        || (String::new(), "1000".to_owned()),
    ] {
        let mut clients = begin();
        let (query, content) = publish_over_a_second();
        let begun = Instant::now();
        let answer = match query.is_empty() {
            true => publish_lines(server.control, &line(&content)),
            false => publish(server.control, &query, &content),
        };
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(clients.iter_mut().all(|client| client.data() == "x"));
        // The last one's turn is in the last shares of its shard.
        assert!(begun.elapsed() > Duration::from_millis(700), "{:?}", begun.elapsed());
    }
    for (query, why) in [
        ("?topic=a&window=soon", "window: write it as 500ms, 15s"),
        ("?topic=a&window=-1", "or in milliseconds"),
        ("?topic=a&window=5m1s", "window: write it"),
        ("?topic=a&window=301s", "longer than 5 minutes"),
    ] {
        let answer = publish(server.control, query, "x");
        assert_eq!(answer.status, 400, "{query} {answer:?}");
        assert!(answer.body.contains(why), "{query} {answer:?}");
    }
    let mut client = Client::get(server.addr, "/events?topic=b");
    assert_eq!(publish(server.control, "?topic=b&window=5m", "in minutes").status, 200);
    assert_eq!(publish(server.control, "?topic=b&window=0", "now").status, 200);
    assert_eq!([client.data(), client.data()], ["in minutes", "now"]);
}

#[test]
fn what_is_no_event_is_refused() {
    let server = Server::start(&["--event-bytes-max", "10B"]);
    for (query, content, status) in [
        ("", "x", 400),
        ("?topic=", "x", 400),
        ("", "x", 400),
        ("?topic=a&topic=b%23", "x", 400),
        ("?topic=%FF", "x", 400),
        ("?topic=a&event=x%0Ay", "x", 400),
        ("?topic=a&id=%00", "x", 400),
        ("?topic=a&retry=soon", "x", 400),
        ("?topic=a&retry=4294967296", "x", 400),
        ("?topic=a", "0123456789A", 413),
        ("?topic=a", "0123456789", 200),
    ] {
        let answer = publish(server.control, query, content);
        assert_eq!(answer.status, status, "{query} {content} {answer:?}");
        assert_eq!(answer.body.starts_with("{\"error\":\""), status != 200, "{answer:?}");
    }
    let mut connection = Connection::open(server.control);
    connection.send(post(server.control, "?topic=a", "", "12"));
    assert_eq!(connection.answer().status, 200);
    let not_text = post(server.control, "?topic=a", "", "ab");
    connection.send([&not_text.as_bytes()[..not_text.len() - 1], b"\xff"].concat());
    let answer = connection.answer();
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("not UTF-8 from byte 1 on"), "{answer:?}");
    assert_eq!(server.metric("fanfare_published_events_total"), 2.0);
}

#[test]
fn an_event_that_is_too_large_is_refused_before_or_while_it_comes() {
    let server = Server::start(&["--event-bytes-max", "1KiB"]);
    let addr = server.control;
    // The client learns beforehand that the content is not wanted.
    let mut connection = Connection::open(addr);
    connection.send(format!(
        "POST /publish?topic=a HTTP/1.1\r\nHost: {addr}\r\nContent-Length: 1025\r\n\
         Expect: 100-continue\r\n\r\n"
    ));
    assert!(connection.head().starts_with("HTTP/1.1 413"));
    // Told as it comes; what comes behind it does not keep the answer from arriving.
    let mut connection = Connection::open(addr);
    connection.send(format!(
        "POST /publish?topic=a HTTP/1.1\r\nHost: {addr}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
    for _ in 0..256 {
        connection.send(format!("1000\r\n{}\r\n", "x".repeat(0x1000)));
    }
    assert_eq!(connection.answer().status, 413);
    // A line.
    let line = format!("{{\"topic\":\"a\",\"data\":\"{}\"}}\n", "x".repeat(100_000));
    let answer = publish_lines(addr, &format!("{{\"topic\":\"a\",\"data\":\"x\"}}\n{line}"));
    assert_eq!(answer.status, 413);
    let more = ",\"code\":\"too_large\",\"line\":2,\"published\":1,\"ids\":[";
    assert!(answer.body.contains(more), "{answer:?}");
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let server = Server::start(&[]);
    let mut connection = Connection::open(server.control);
    let request = post(server.control, "?topic=a", "Expect: 100-continue\r\n", "data");
    connection.send(&request[..request.len() - 4]);
    assert!(connection.head().starts_with("HTTP/1.1 100 Continue"));
    connection.send("data");
    assert_eq!(connection.answer().status, 200);
}

#[test]
fn without_a_token_pages_and_proxies_may_not_publish() {
    let server = Server::start(&[]);
    let addr = server.control;
    let port = addr.port();
    for (fields, status) in [
        (String::new(), 200),
        (format!("Origin: http://{addr}\r\nSec-Fetch-Site: same-origin\r\n"), 200),
        ("Sec-Fetch-Site: cross-site\r\n".to_owned(), 403),
        ("Sec-Fetch-Site: same-site\r\n".to_owned(), 403),
        (format!("Origin: http://localhost:{port}\r\n"), 403),
        ("Origin: null\r\n".to_owned(), 403),
        ("Forwarded: for=192.0.2.1\r\n".to_owned(), 403),
        ("X-Forwarded-For: 192.0.2.1\r\n".to_owned(), 403),
        ("Via: 1.1 proxy\r\n".to_owned(), 403),
        ("Content-Type: text/plain\r\nOrigin: https://evil.example\r\n".to_owned(), 403),
    ] {
        let answer = exchange(addr, &post(addr, "?topic=a", &fields, "x"));
        assert_eq!(answer.status, status, "{fields} {answer:?}");
        let lines = format!("{fields}{NDJSON}");
        if !fields.contains("Content-Type") {
            let answer = exchange(addr, &post(addr, "", &lines, ""));
            assert_eq!(answer.status, status, "{lines} {answer:?}");
        }
    }
    // A name that was rebound to this machine.
    let rebound = post(addr, "?topic=a", "", "x");
    let rebound = rebound.replace(&format!("Host: {addr}"), &format!("Host: evil.example:{port}"));
    assert_eq!(exchange(addr, &rebound).status, 421);
    assert_eq!(server.metric("fanfare_published_events_total"), 2.0);
}

#[test]
fn with_a_token_every_client_has_to_show_it() {
    let server = Server::with_token("s3cret");
    let addr = server.control;
    for (fields, status) in [
        ("", 401),
        ("Authorization: Bearer wrong\r\n", 401),
        ("Authorization: Basic s3cret\r\n", 401),
        ("Authorization: Bearer s3cret\r\n", 200),
        ("Authorization: Bearer s3cret\r\nX-Forwarded-For: 192.0.2.1\r\n", 200),
    ] {
        let answer = exchange(addr, &post(addr, "?topic=a", fields, "x"));
        assert_eq!(answer.status, status, "{fields} {answer:?}");
        assert_eq!(answer.field("www-authenticate").is_some(), status == 401, "{answer:?}");
    }
    assert_eq!(server.metric("fanfare_published_events_total"), 2.0);
}

#[test]
fn the_token_may_come_from_a_file() {
    let path = std::env::temp_dir().join(format!("fanfare-token-{}", std::process::id()));
    std::fs::write(&path, "from-a-file\n").unwrap();
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
    let server = Server::of(command.arg("--publish-token-file").arg(&path));
    std::fs::remove_file(&path).unwrap();
    let fields = "Authorization: Bearer from-a-file\r\n";
    assert_eq!(
        exchange(server.control, &post(server.control, "?topic=a", fields, "x")).status,
        200
    );
    assert_eq!(publish(server.control, "?topic=a", "x").status, 401);
}

#[test]
fn an_event_of_several_topics_comes_once_with_one_id() {
    let server = Server::start(&[]);
    let paths = ["/events?topic=a&topic=b", "/events?topic=%23", "/events?topic=b"];
    let mut clients = paths.map(|path| Client::get(server.addr, path));
    let answer = publish(server.control, "?topic=a&topic=b&topic=a&event=tick", "both");
    assert_eq!(answer.status, 200, "{answer:?}");
    let lines =
        "{\"topics\":[\"b\",\"c\",\"a\"],\"data\":\"three\"}\n{\"topic\":\"b\",\"data\":\"one\"}";
    let answer_to_lines = publish_lines(server.control, lines);
    assert!(answer_to_lines.body.starts_with("{\"published\":2,"), "{answer_to_lines:?}");
    for client in &mut clients {
        let first = client.next();
        assert_eq!((&*first.name, &*first.data), ("tick", "both"));
        assert_eq!(answer.body, format!("{{\"id\":\"{}\"}}\n", first.last_id));
        assert_eq!((client.data(), client.data()), ("three".to_owned(), "one".to_owned()));
    }
    let lines = "{\"topics\":[\"a\",\"b\"],\"data\":\"spread\",\"window\":50}";
    let answer = publish_lines(server.control, lines);
    assert!(answer.body.starts_with("{\"published\":1,"), "{answer:?}");
    let answer = publish(server.control, "?topic=a&topic=b&window=50ms", "also");
    assert_eq!(answer.status, 200, "{answer:?}");
    for client in &mut clients {
        assert_eq!((client.data(), client.data()), ("spread".to_owned(), "also".to_owned()));
    }
    let answer = publish_lines(server.control, "{\"topics\":[\"a\",\"b\"],\"finish\":true}");
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("topics are finished one by one"), "{answer:?}");
    let most: Vec<String> = (0..64)
        .map(|nth| format!("topic={}", "é".repeat(100 + nth % 2) + &nth.to_string()))
        .collect();
    let query = format!("?{}", most.join("&"));
    assert_eq!(publish(server.control, &query, "x").status, 200);
    let answer = publish(server.control, &format!("{query}&topic=more"), "x");
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.contains("the event has 65 topics; publish it to 64 at most"),
        "{answer:?}"
    );
}
