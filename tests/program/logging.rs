//! What the program says on standard error and standard output, and that it never waits for a
//! reader of either.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{fcntl_getfl, fcntl_setfl, OFlags};
use rustix::process::{getrlimit, prlimit, Resource, Rlimit};

use crate::http::{exchange, get, post, publish, Connection};
use crate::process::{fanfare, Running, Server};
use crate::support::{wait_until, Client};

/// A pipe that takes nothing more. Its reader has to be kept, and not to be read.
pub fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

/// A server whose standard error is read to its end.
fn with_log(arguments: &[&str]) -> (Server, JoinHandle<Vec<String>>) {
    let (writer, log) = read_lines();
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--drain-window", "0"]);
    (Server::of(command.args(arguments).stderr(writer)), log)
}

/// A pipe, and all lines that are written to it until no process has it open any more.
pub fn read_lines() -> (PipeWriter, JoinHandle<Vec<String>>) {
    let (reader, writer) = std::io::pipe().unwrap();
    let read = || BufReader::new(reader).lines().map(Result::unwrap).collect();
    (writer, std::thread::spawn(read))
}

#[test]
fn a_standard_error_that_is_not_read_stops_neither_requests_nor_the_end() {
    let (mut reader, writer) = full_pipe();
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--log", "trace"]);
    command.args(["--drain-window", "0"]);
    let mut server = Server::of(command.stderr(writer));
    drop(command);
    // Each is logged by a shard, or by the control side, and they are more than the queue takes.
    let mut refused = 0;
    wait_until("lines of the log are lost", || {
        for _ in 0..50 {
            assert_eq!(publish(server.control, "", "no topic").status, 400);
            drop(Client::get(server.addr, "/events?topic=a"));
        }
        refused += 50;
        server.metric("fanfare_lost_log_lines_total") > 0.0
    });
    assert!(refused > 500, "the pipe or the queue takes too little: {refused}");
    let mut client = Client::get(server.addr, "/events?topic=a");
    assert_eq!(publish(server.control, "?topic=a", "heard").status, 200);
    assert_eq!(client.data(), "heard");
    let begun = Instant::now();
    server.process.signal("TERM");
    assert_eq!(server.process.end().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(rest.iter().all(|&byte| byte == b'x'), "the pipe was full all the time");
}

#[test]
fn why_the_program_could_not_start_is_said_to_a_reader_that_comes_late() {
    let (mut reader, writer) = full_pipe();
    let nowhere = ["serve", "--listen", "127.0.0.1:0", "--control-listen", "unix:/nonexistent/x"];
    let mut command = fanfare(&nowhere);
    let mut process = Running::of(command.stderr(writer));
    drop(command);
    // Several times what it waits for its last lines when it is told to end.
    std::thread::sleep(Duration::from_secs(1));
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(process.end().code(), Some(1));
    assert!(said.contains("cannot listen for control"), "{}", said.trim_start_matches('x'));
}

#[test]
fn lines_that_were_lost_are_counted_in_the_log_once_it_moves_again() {
    let (mut reader, writer) = full_pipe();
    let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--log", "debug"]);
    command.args(["--drain-window", "0"]);
    let mut server = Server::of(command.stderr(writer));
    drop(command);
    wait_until("lines of the log are lost", || {
        (0..50).for_each(|_| drop(publish(server.control, "", "no topic")));
        server.metric("fanfare_lost_log_lines_total") > 0.0
    });
    let read = std::thread::spawn(move || {
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        rest
    });
    // The first line that fits again tells. Until the queue has moved, lines may still be lost.
    wait_until("the log moves again", || {
        let lost = server.metric("fanfare_lost_log_lines_total");
        publish(server.control, "", "no topic");
        server.metric("fanfare_lost_log_lines_total") == lost
    });
    server.process.signal("TERM");
    assert_eq!(server.process.end().code(), Some(0));
    let rest = read.join().unwrap();
    assert!(rest.contains(" lines are missing here"), "{}", &rest[rest.len() - 500..]);
    let last = rest.lines().last().unwrap();
    assert!(last.contains("clients were told"), "the last line gets out as well: {last}");
}

#[test]
fn a_standard_output_that_is_full_or_closed_stops_neither_requests_nor_the_end() {
    for closed in [false, true] {
        let (reader, writer) = full_pipe();
        let reader = (!closed).then_some(reader);
        // What would tell the port is not read.
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = fanfare(&["serve", "--listen", &addr.to_string(), "--log", "off"]);
        let mut process = Running::of(command.stdout(writer));
        drop(command);
        wait_until("it listens", || TcpStream::connect(addr).is_ok());
        assert_eq!(get(addr, "/healthz").status, 200);
        let begun = Instant::now();
        process.signal("TERM");
        assert_eq!(process.end().code(), Some(0), "closed: {closed}");
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        drop(reader);
    }
}

#[test]
fn a_thousand_refused_requests_are_a_few_lines() {
    let (mut server, log) = with_log(&["--log", "info", "--control-connections-max", "1"]);
    let mut busy = Connection::open(server.control);
    let request = post(server.control, "?topic=a", "Expect: 100-continue\r\n", "x");
    busy.send(&request[..request.len() - 1]);
    assert!(busy.head().starts_with("HTTP/1.1 100"));
    for _ in 0..1000 {
        assert_eq!(get(server.control, "/metrics").status, 503);
    }
    drop(busy);
    server.process.signal("TERM");
    assert_eq!(server.process.end().code(), Some(0));
    let lines = log.join().unwrap();
    assert!(lines.len() < 12, "{} lines: {lines:#?}", lines.len());
}

#[test]
fn a_hundred_wrong_tokens_are_a_line_that_names_the_address_and_no_token() {
    let path = std::env::temp_dir().join(format!("fanfare-wrong-tokens-{}", std::process::id()));
    std::fs::write(&path, "s3cret\n").unwrap();
    let file = path.to_str().unwrap();
    let (mut server, log) = with_log(&["--log", "info", "--publish-token-file", file]);
    for _ in 0..100 {
        let wrong = post(server.addr, "?topic=a", "Authorization: Bearer gu3ss\r\n", "x");
        assert_eq!(exchange(server.addr, &wrong).status, 401);
    }
    server.process.signal("TERM");
    assert_eq!(server.process.end().code(), Some(0));
    std::fs::remove_file(&path).unwrap();
    let lines = log.join().unwrap();
    let told: Vec<_> = lines.iter().filter(|line| line.contains("wrong token")).collect();
    // One in 10 s, and the requests take less.
    assert!((1..=2).contains(&told.len()), "{lines:#?}");
    assert!(told[0].contains("WARN") && told[0].contains("127.0.0.1"), "{told:?}");
    assert!(!lines.iter().any(|line| line.contains("gu3ss") || line.contains("s3cret")));
}

#[test]
fn out_of_descriptors_for_two_seconds_is_a_few_lines() {
    let (mut server, log) = with_log(&["--log", "info", "--shards", "2"]);
    let clients: Vec<Client> =
        (0..10).map(|_| Client::get(server.addr, "/events?topic=a")).collect();
    let before = limit_descriptors(&server.process, Some(16));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        let refused = TcpStream::connect(server.addr);
        std::thread::sleep(Duration::from_millis(5));
        drop(refused);
    }
    limit_descriptors(&server.process, before);
    let mut late = Client::get(server.addr, "/events?topic=a");
    assert_eq!(publish(server.control, "?topic=a", "still here").status, 200);
    assert_eq!(late.data(), "still here");
    drop(clients);
    server.process.signal("TERM");
    assert_eq!(server.process.end().code(), Some(0));
    let lines = log.join().unwrap();
    let warnings: Vec<_> = lines.iter().filter(|line| line.contains("WARN")).collect();
    assert!((1..=3).contains(&warnings.len()), "{lines:#?}");
}

/// Sets how many descriptors a process may have, and returns how many it might before.
pub fn limit_descriptors(process: &Running, most: Option<u64>) -> Option<u64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: most, maximum };
    prlimit(Some(process.id()), Resource::Nofile, limit).unwrap().current
}
