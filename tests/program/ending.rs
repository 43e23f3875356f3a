//! How the program ends when it is told to, and how long that takes at most.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::http::{post, publish, Connection};
use crate::logging::full_pipe;
use crate::process::{fanfare, Server};
use crate::support::{wait_until, Client};

#[test]
fn by_default_everything_ends_within_8_seconds_although_a_client_does_not_read() {
    let (_reader, writer) = full_pipe();
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--log", "trace"]);
    // So that clients that read nothing are not cut before.
    command.args(["--lag-grace", "0", "--lag-bytes-max", "64MiB", "--shards", "2"]);
    let mut server = Server::of(command.stderr(writer));
    drop(command);
    let mut reader = Client::get(server.addr, "/events?topic=a");
    let stalled = Client::get(server.addr, "/events?topic=a&topic=b");
    let data = "x".repeat(500_000);
    wait_until("one lags", || {
        assert_eq!(publish(server.control, "?topic=b", &data).status, 200);
        server.metric("fanfare_lagging_connections") > 0.0
    });
    // One that reads now and then, and never has everything.
    let slow = Client::get(server.addr, "/events?topic=b&last=1000");
    assert_eq!(publish(server.control, "?topic=a", "last").status, 200);
    // A request with content that does not come.
    let mut going_on = Connection::open(server.control);
    let request = post(server.control, "?topic=a", "Expect: 100-continue\r\n", "x");
    going_on.send(&request[..request.len() - 1]);
    assert!(going_on.head().starts_with("HTTP/1.1 100"));
    let begun = Instant::now();
    server.process.signal("TERM");
    assert_eq!(server.process.end().code(), Some(0));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert!(took > Duration::from_secs(4), "it waited for clients that lag: {took:?}");
    assert_eq!(reader.data(), "last");
    drop((stalled, slow));
}

#[test]
fn signals_of_terminals_end_it_as_well() {
    for signal in ["HUP", "QUIT"] {
        let mut command = Command::new("env");
        // However this test was started.
        command.arg("--default-signal=HUP,QUIT").arg(fanfare(&[]).get_program());
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
        let mut server = Server::of(&mut command);
        let mut client = Client::get(server.addr, "/events?topic=a");
        server.process.signal(signal);
        assert!(client.ends_cleanly());
        assert!(client.retry().is_some(), "it was drained");
        assert_eq!(server.process.end().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_hangup_that_was_ignored_at_the_start_stays_so() {
    let mut command = Command::new("env");
    command.arg("--ignore-signal=HUP").arg(fanfare(&[]).get_program());
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", "off"]);
    let mut server = Server::of(&mut command);
    let mut client = Client::get(server.addr, "/events?topic=a");
    // Twice: a second signal would end it at once.
    server.process.signal("HUP");
    server.process.signal("HUP");
    assert_eq!(publish(server.control, "?topic=a", "still here").status, 200);
    assert_eq!(client.data(), "still here");
    server.process.signal("TERM");
    assert!(client.ends_cleanly());
    assert_eq!(server.process.end().code(), Some(0));
}
