//! A topic with 10,000 clients is finished: each client has every event and the end of its stream,
//! comes back once, as an `EventSource` does, and is told that nothing is to come; then none comes
//! back. Only in release builds, like `scale_drain.rs`.

#![cfg(not(debug_assertions))]

use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::lock::Semaphore;
use smol::{Async, Timer};

const CLIENTS: usize = 10_000;
/// Clients that connect at the same time: fewer than a listener's queue takes.
const CONNECTING_MAX: usize = 512;
/// The server tells each client a time between this and twice as much.
const RETRY: Duration = Duration::from_secs(1);
/// How long anything may take that the test waits for.
const DEADLINE: Duration = Duration::from_secs(240);

/// The server, which is killed when the test fails.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What an `EventSource` knows.
#[derive(Default)]
struct EventSource {
    last_id: String,
    retry: Duration,
    data: Vec<String>,
    /// Responses that were streams.
    streams: usize,
    /// When its first stream ended.
    ended_at: Option<Instant>,
}

#[test]
fn ten_thousand_clients_of_a_finished_topic_have_everything_and_come_back_once() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let (_server, addr, control) = start();
    let connecting = Arc::new(Semaphore::new(CONNECTING_MAX));
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| smol::spawn(run(addr, connecting.clone()))).collect();
    let all = CLIENTS as f64;
    wait_until("all are connected", || metric(control, "fanfare_connections") == all);
    for data in ["1", "2", "3"] {
        post(control, "/publish?topic=run", data);
    }
    let begun = Instant::now();
    post(control, "/finish?topic=run&event=done", "last");
    let sources = smol::block_on(within(async {
        let mut sources = Vec::with_capacity(CLIENTS);
        for client in clients {
            sources.push(client.await);
        }
        sources
    }));
    let ends = sources.iter().map(|source| source.ended_at.expect("it had a stream") - begun);
    let last_end = ends.max().unwrap();
    for EventSource { data, streams, retry, .. } in &sources {
        assert_eq!(*data, ["1", "2", "3", "last"]);
        assert_eq!(*streams, 1);
        assert!((RETRY..=2 * RETRY).contains(retry), "{retry:?}");
    }
    let counts = || {
        ["accepted_connections", "finished_answers", "disconnects", "refused_connections"]
            .map(|name| metric(control, &format!("fanfare_{name}_total")))
    };
    let finished = format!("fanfare_disconnects_total{{reason=\"finished\"}}");
    assert_eq!(metric(control, &finished), all);
    let after = counts();
    assert_eq!([after[0], after[1], after[3]], [all, all, 0.0]);
    // The longest time that a client was told, three times: none comes back.
    let until = Instant::now() + 3 * 2 * RETRY;
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(counts(), after, "a client has come back");
    }
    wait_until("nothing is left of them", || {
        ["connections", "pending_connections", "lagging_connections", "lag_bytes", "backlog_bytes"]
            .iter()
            .all(|name| metric(control, &format!("fanfare_{name}")) == 0.0)
    });
    println!("{CLIENTS} streams ended within {last_end:.2?} of the end of their topic");
    println!("{CLIENTS} clients came back once and were answered with 204; none came again");
}

/// An `EventSource`, until it is closed for good.
async fn run(addr: SocketAddr, connecting: Arc<Semaphore>) -> EventSource {
    let mut source = EventSource::default();
    loop {
        let permit = connecting.acquire().await;
        let mut stream = Async::<TcpStream>::connect(addr).await.unwrap();
        let id = match &*source.last_id {
            "" => String::new(),
            id => format!("Last-Event-ID: {id}\r\n"),
        };
        let request = format!("GET /events?topic=run HTTP/1.1\r\nHost: {addr}\r\n{id}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            head.push(byte[0]);
        }
        drop(permit);
        let mut body = String::new();
        stream.read_to_string(&mut body).await.unwrap();
        if head.starts_with(b"HTTP/1.1 204 ") {
            assert_eq!(body, "");
            return source;
        }
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
        assert!(body.ends_with("\r\n0\r\n\r\n"), "the body has no end: {body}");
        source.ended_at.get_or_insert_with(Instant::now);
        source.streams += 1;
        for line in body.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => source.last_id = id.to_owned(),
                Some(("data", data)) => source.data.push(data.to_owned()),
                Some(("retry", ms)) => source.retry = Duration::from_millis(ms.parse().unwrap()),
                _ => {}
            }
        }
        drop(stream);
        Timer::after(source.retry).await;
    }
}

/// Starts the program on free ports of the loopback: for its clients, and for control.
fn start() -> (Server, SocketAddr, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", "warn"]);
    command.args(["--retry", &format!("{}ms", RETRY.as_millis())]);
    let mut server = Server(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.as_mut().unwrap()).lines();
    let mut address = |start: &str| {
        let line = lines.next().unwrap().unwrap();
        line.strip_prefix(start).unwrap_or_else(|| panic!("{line}")).parse().unwrap()
    };
    let addr = address("listening on http://");
    let control = address("control on http://");
    (server, addr, control)
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(DEADLINE).await;
        panic!("it takes more than {DEADLINE:?}");
    };
    smol::future::or(work, late).await
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn post(addr: SocketAddr, target: &str, data: &str) {
    let length = data.len();
    let answer =
        exchange(addr, &format!("POST {target}"), &format!("Content-Length: {length}"), data);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

fn metric(addr: SocketAddr, name: &str) -> f64 {
    let answer = exchange(addr, "GET /metrics", "Accept: */*", "");
    let of_name = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    // A counter with reasons is the sum of them.
    let of_reason = |line: &str| {
        let labels = line.strip_prefix(name)?.strip_prefix("{reason=")?;
        labels.rsplit_once(' ')?.1.parse::<f64>().ok()
    };
    answer.lines().find_map(of_name).unwrap_or_else(|| answer.lines().filter_map(of_reason).sum())
}

fn exchange(addr: SocketAddr, start: &str, field: &str, content: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = format!("{start} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n{field}");
    write!(stream, "{head}\r\n\r\n{content}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
