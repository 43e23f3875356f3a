//! The memory of many connections goes back to the system when they have ended.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::process::Server;

/// The program's own memory that is resident, in KiB.
fn resident_kib(server: &Server) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server.process.id().as_raw_nonzero()))
            .unwrap();
    let line =
        status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}

/// `count` connections, each with 64 topics or filters of its own.
fn connect(server: &Server, count: usize) -> Vec<TcpStream> {
    let connect = |n: usize| {
        let kind = if n.is_multiple_of(2) { "t" } else { "t/%2B/" };
        let wanted: Vec<_> = (0..64).map(|nth| format!("topic={kind}{n}-{nth}")).collect();
        let mut stream = TcpStream::connect(server.addr).unwrap();
        let request =
            format!("GET /events?{} HTTP/1.1\r\nHost: {}\r\n\r\n", wanted.join("&"), server.addr);
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let mut all: Vec<TcpStream> = (0..count).map(connect).collect();
    for stream in &mut all {
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
    }
    all
}

#[test]
fn a_minute_after_many_connections_have_ended_their_memory_is_given_back() {
    let server = Server::start(&["--shards", "2"]);
    drop(connect(&server, 10));
    let before = resident_kib(&server);
    let connections = connect(&server, 1_500);
    let peak = resident_kib(&server);
    assert!(peak > 10 * before, "{before} KiB before, {peak} with many connections");
    drop(connections);
    let start = Instant::now();
    while resident_kib(&server) > 2 * before {
        let now = resident_kib(&server);
        let in_time = start.elapsed() < Duration::from_secs(60);
        assert!(in_time, "{before} KiB before, {peak} with many connections, {now} a minute after");
        std::thread::sleep(Duration::from_millis(100));
    }
}
