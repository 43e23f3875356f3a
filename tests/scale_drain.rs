//! A server with 10,000 clients is told to end: each client is sent everything, told when to come
//! back, and closed over the window. Only in release builds, like `scale.rs`.

#![cfg(not(debug_assertions))]

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::lock::Semaphore;
use smol::Async;

const CLIENTS: usize = 10_000;
/// Clients that connect at the same time: fewer than a listener's queue takes.
const CONNECTING_MAX: usize = 512;
const WINDOW: Duration = Duration::from_secs(6);
const PATIENCE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(5);
/// How long anything may take that the test waits for.
const DEADLINE: Duration = Duration::from_secs(240);
const BINS: usize = 10;

/// What became of a client: the reconnection times that it was told, and when it was closed.
struct Farewell {
    body: String,
    closed_at: Instant,
}

/// The server, which is killed when the test fails.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn ten_thousand_clients_are_told_when_to_come_back_and_closed_over_the_window() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let (mut server, addr, control) = start();
    let limit = Arc::new(Semaphore::new(CONNECTING_MAX));
    let clients = smol::block_on(within(async {
        let connecting: Vec<_> =
            (0..CLIENTS).map(|_| smol::spawn(connect(addr, limit.clone()))).collect();
        let mut clients = Vec::with_capacity(CLIENTS);
        for client in connecting {
            clients.push(client.await);
        }
        clients
    }));
    publish(control, "last");

    let leaving: Vec<_> = clients.into_iter().map(|client| smol::spawn(leave(client))).collect();
    let begun = Instant::now();
    signal(&server.0, "TERM");
    let farewells = smol::block_on(within(async {
        let mut farewells = Vec::with_capacity(CLIENTS);
        for leaving in leaving {
            farewells.push(leaving.await);
        }
        farewells
    }));
    let status = loop {
        if let Some(status) = server.0.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < DEADLINE, "the server does not end");
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = begun.elapsed();

    assert_eq!(status.code(), Some(0));
    // A busy machine adds to what the options allow.
    assert!(took < WINDOW + PATIENCE + Duration::from_secs(5), "{took:?}");
    let retries: Vec<Duration> = farewells.iter().map(told).collect();
    let closed: Vec<Duration> =
        farewells.iter().map(|farewell| farewell.closed_at - begun).collect();
    check("told to come back after", &retries, RETRY, 2 * RETRY);
    check("closed after", &closed, Duration::ZERO, WINDOW);
    println!("the server ended after {took:.2?} with code 0");
}

/// Starts the program on free ports of the loopback: for its clients, and for control.
fn start() -> (Server, SocketAddr, SocketAddr) {
    let ms = |time: Duration| format!("{}ms", time.as_millis());
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", "warn"]);
    command.args(["--drain-window", &ms(WINDOW), "--drain-grace", &ms(PATIENCE)]);
    command.args(["--retry", &ms(RETRY)]);
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
        smol::Timer::after(DEADLINE).await;
        panic!("it takes more than {DEADLINE:?}");
    };
    smol::future::or(work, late).await
}

/// Connects, and reads the response's head.
async fn connect(addr: SocketAddr, limit: Arc<Semaphore>) -> Async<TcpStream> {
    let _permit = limit.acquire().await;
    let mut stream = Async::<TcpStream>::connect(addr).await.unwrap();
    let request = format!("GET /events?topic=a HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Reads to the end.
async fn leave(mut stream: Async<TcpStream>) -> Farewell {
    let mut body = String::new();
    stream.read_to_string(&mut body).await.unwrap();
    Farewell { body, closed_at: Instant::now() }
}

/// Checks that a client was sent everything in its order, and says when it was told to come back
/// at last.
fn told(farewell: &Farewell) -> Duration {
    let body = &farewell.body;
    let last =
        body.find("data: last\n\n").unwrap_or_else(|| panic!("the event is missing: {body}"));
    let told = body.rfind("retry: ").filter(|&told| told > last);
    let told = told.unwrap_or_else(|| panic!("it was not told when to come back: {body}"));
    assert!(body.ends_with("\r\n0\r\n\r\n"), "the body has no end: {body}");
    let ms = body[told..].lines().next().and_then(|line| line.strip_prefix("retry: "));
    Duration::from_millis(ms.unwrap().parse().unwrap())
}

/// Prints how times are spread over a range, and checks that they are evenly: no fifth of the range
/// has less than half or more than twice its share.
fn check(what: &str, times: &[Duration], from: Duration, to: Duration) {
    let mut counts = [0_usize; BINS];
    for &time in times {
        // A client that is seen late counts in the last fifth; the process's end is bounded
        // separately.
        let share = time.saturating_sub(from).as_secs_f64() / (to - from).as_secs_f64();
        counts[((BINS as f64 * share) as usize).min(BINS - 1)] += 1;
    }
    println!("{} clients {what}", times.len());
    for (nth, count) in counts.iter().enumerate() {
        let bound = from + (to - from) * nth as u32 / BINS as u32;
        println!("  {:>6.2} s {:>6} {}", bound.as_secs_f64(), count, "#".repeat(count / 50));
    }
    assert_eq!(times.len(), CLIENTS);
    assert!(times.iter().all(|&time| time >= from), "{what}: earlier than {from:?}");
    let share = CLIENTS / (BINS / 2);
    let mut fifths = counts.chunks(2).map(|pair| pair.iter().sum::<usize>());
    assert!(fifths.all(|count| (share / 2..=2 * share).contains(&count)), "{counts:?}");
}

fn publish(addr: SocketAddr, data: &str) {
    use std::io::{Read, Write};
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = format!("POST /publish?topic=a HTTP/1.1\r\nHost: {addr}\r\nConnection: close");
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{data}", data.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

fn signal(process: &Child, name: &str) {
    let kill = Command::new("kill").args(["-s", name, &process.id().to_string()]).status();
    assert!(kill.unwrap().success());
}
