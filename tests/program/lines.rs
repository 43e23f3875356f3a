//! `fanfare publish`: lines of standard input.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::process::{fanfare, publish, publish_all, run, spawn, Server};
use crate::support::Client;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn each_line_is_an_event_in_its_order() {
    let server = Server::start(&[]);
    let mut client = Client::get(server.addr, "/events?topic=log");
    let lines: Vec<String> = (0..3000).map(|number| format!("line \"{number}\"\t✓")).collect();
    let arguments = ["--topic", "log", "--event", "line", "--key", "k"];
    let output = publish_all(&server.url(), &arguments, lines.join("\n").as_bytes());
    assert_eq!(text(&output.stderr), "published 3000 events\n");
    assert_eq!(output.status.code(), Some(0));
    for line in lines {
        let message = client.next();
        assert_eq!((message.name, message.data), ("line".to_owned(), line));
    }
}

#[test]
fn lines_are_spread_over_a_time() {
    let server = Server::start(&[]);
    let mut clients: Vec<Client> =
        (0..20).map(|_| Client::get(server.addr, "/events?topic=log")).collect();
    let begun = Instant::now();
    let output = publish_all(&server.url(), &["--topic", "log", "--window", "1s"], b"one\ntwo");
    assert_eq!(text(&output.stderr), "published 2 events\n");
    for client in &mut clients {
        assert_eq!([client.data(), client.data()], ["one", "two"]);
    }
    assert!(begun.elapsed() > Duration::from_millis(700), "{:?}", begun.elapsed());
    let output = publish_all(&server.url(), &["--topic", "log", "--window", "1h"], b"x");
    assert_eq!(output.status.code(), Some(1));
    let refused = "line 1 is not published: the window is longer than 5 minutes";
    assert!(text(&output.stderr).contains(refused), "{}", text(&output.stderr));
    let arguments = ["publish", &server.url(), "--topic", "log", "--window", "soon"];
    let output = run(&mut fanfare(&arguments));
    assert!(text(&output.stderr).contains("write it as 500ms"), "{}", text(&output.stderr));
}

#[test]
fn each_line_goes_to_all_of_the_topics_that_are_given() {
    let server = Server::start(&[]);
    let mut clients = ["topic=a&topic=b", "topic=b"]
        .map(|query| Client::get(server.addr, &format!("/events?{query}")));
    let output = publish_all(&server.url(), &["--topic", "a", "--topic", "b"], b"1\n2\n");
    assert_eq!((text(&output.stderr), output.status.code()), ("published 2 events\n", Some(0)));
    for client in &mut clients {
        assert_eq!((client.data(), client.data()), ("1".to_owned(), "2".to_owned()));
    }
    assert_eq!(server.metric("fanfare_published_events_total"), 2.0);
    let output = publish_all(&server.url(), &["--topic", "a"].repeat(65), b"1\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--topic: 65 are given; give 64 at most"));
    let output = publish_all(&server.url(), &["--topic", "a", "--topic", "b", "--finish"], b"1\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("topics are finished one by one"));
    let output = publish_all(&server.url(), &[], b"1\n");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_line_shows_at_once_while_the_input_stays_open() {
    let server = Server::start(&[]);
    let mut client = Client::get(server.addr, "/events?topic=log");
    let (process, mut stdin) = publish(&server.url(), &["--topic", "log"]);
    for line in ["one", "", "two\r"] {
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
        assert_eq!(client.data(), line.trim_end());
    }
    // Ctrl-C is an end like any other.
    stdin.write_all(b"three\n").unwrap();
    assert_eq!(client.data(), "three");
    process.signal("INT");
    let output = process.output();
    assert_eq!((text(&output.stderr), output.status.code()), ("published 4 events\n", Some(0)));
    drop(stdin);
}

#[test]
fn a_server_that_restarts_in_the_middle_is_waited_for() {
    // No other test takes a port of this address while nothing listens there.
    let mut server = Server::start(&["--control-listen", "127.0.77.1:0"]);
    let (process, mut stdin) = publish(&server.url(), &["--topic", "log", "--retries", "100"]);
    stdin.write_all(b"before\n").unwrap();
    server.wait_for_metric("fanfare_published_events_total", 1.0);
    let addr = server.control;
    server.process.kill();
    stdin.write_all(b"between\n").unwrap();
    let server = Server::controlled_at(addr);
    stdin.write_all(b"after\n").unwrap();
    let mut client = Client::get(server.addr, "/events?topic=log&start=earliest");
    let mut arrived = vec![client.data()];
    while arrived.last().unwrap() != "after" {
        arrived.push(client.data());
    }
    drop(stdin);
    let output = process.output();
    let said = text(&output.stderr);
    // The first server counts an event before it answers, so it may have ended in between. Then the
    // event is sent again, and that is said.
    if arrived.len() == 3 {
        assert_eq!(arrived.remove(0), "before");
        assert!(said.starts_with("fanfare: 1 events may now be published twice: "), "{said}");
        assert!(said.ends_with("\npublished 3 events\n"), "{said}");
    } else {
        assert_eq!(said, "published 3 events\n");
    }
    assert_eq!(arrived, ["between", "after"]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_was_under_way_when_a_connection_broke_is_sent_again_and_that_is_said() {
    let broken = TcpListener::bind("127.0.77.2:0").unwrap();
    let addr = broken.local_addr().unwrap();
    let (process, mut stdin) =
        publish(&format!("http://{addr}"), &["--topic", "log", "--retries", "100"]);
    stdin.write_all(b"one\n").unwrap();
    // It takes the request, or at least its head, and never answers.
    let mut bytes = [0; 1];
    broken.accept().unwrap().0.read_exact(&mut bytes).unwrap();
    drop(broken);
    let server = Server::controlled_at(addr);
    server.wait_for_metric("fanfare_published_events_total", 1.0);
    drop(stdin);
    let output = process.output();
    let said = text(&output.stderr);
    assert!(said.starts_with("fanfare: 1 events may now be published twice: "), "{said}");
    assert!(said.ends_with("published 1 events\n"), "{said}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    // Nothing listens on the port of tcpmux.
    let arguments = ["--topic", "log", "--retries", "2"];
    let output = publish_all("http://127.0.0.1:1", &arguments, b"one\ntwo\n");
    let said = text(&output.stderr);
    assert!(said.starts_with("fanfare: ending at line 1: "), "{said}");
    assert!(said.ends_with("2 lines were not published\npublished 0 events\n"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_line_that_is_no_event_ends_it_or_is_skipped() {
    let server = Server::start(&["--event-bytes-max", "10"]);
    let mut client = Client::get(server.addr, "/events?topic=log");
    let input = b"one\ntwo\nfar too long for it\nthree\n\xff\nfour\n";
    let output = publish_all(&server.url(), &["--topic", "log"], input);
    let said = text(&output.stderr);
    assert!(said.starts_with("fanfare: line 3 is not published: the event has 19 bytes"), "{said}");
    assert!(said.ends_with("1 lines were not published\npublished 2 events\n"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((client.data(), client.data()), ("one".to_owned(), "two".to_owned()));

    let output = publish_all(&server.url(), &["--topic", "log", "--keep-going"], input);
    let said = text(&output.stderr);
    assert!(said.contains("line 3 is not published: the event has 19 bytes"), "{said}");
    assert!(said.contains("line 5 is not published: it is not UTF-8"), "{said}");
    assert!(said.ends_with("2 lines were not published\npublished 4 events\n"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    for line in ["one", "two", "three", "four"] {
        assert_eq!(client.data(), line);
    }
}

#[test]
fn the_token_is_shown_and_a_wrong_one_ends_it() {
    let server = Server::with_token("s3cret");
    let run = |token: &str| {
        let mut command = fanfare(&["publish", &server.url(), "--topic", "a", "--log", "off"]);
        let mut process = spawn(command.env("FANFARE_PUBLISH_TOKEN", token));
        process.stdin().write_all(b"x\n").unwrap();
        process.output()
    };
    assert_eq!(run("s3cret").status.code(), Some(0));
    let output = run("wrong");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("this needs the token"), "{said}");
    assert_eq!(server.metric("fanfare_published_events_total"), 1.0);
}
