//! Very many connections are handed over by a small server: each becomes a stream, and nothing of
//! it is left afterwards, no descriptor and no memory. And what a hand-over costs beside an accept
//! of the engine's own. Only in release builds, like `scale_drain.rs`. `HAND_OVERS=1000000` does as
//! many as it says.

#![cfg(not(debug_assertions))]

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fanfare::{
    AdoptRequest, ConnectionSelector, Hub, ListenOptions, Options, StreamOptions, Subscription,
};
use rustix::time::{clock_gettime, ClockId};

/// Hand-overs where nothing else is said.
const HAND_OVERS: u64 = 20_000;
/// How many clients there are at a time.
const CLIENTS: u64 = 4;
/// What memory may be more by, at the end: what the allocator keeps.
const MEMORY_BYTES_MAX: u64 = 4 << 20;
const DEADLINE: Duration = Duration::from_secs(60);

/// Connections of one measurement, and how often it is repeated.
const COST_CONNECTIONS: u64 = 2_000;
const REPEATS: usize = 9;

const GET: &[u8] = b"GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn request() -> AdoptRequest {
    AdoptRequest::new([Subscription::new("a").unwrap()])
}

#[test]
fn nothing_is_left_of_very_many_connections_that_were_handed_over() {
    let _alone = alone();
    let count = std::env::var("HAND_OVERS").map_or(HAND_OVERS, |count| count.parse().unwrap());
    let (hub, host) = Host::start();
    // What grows once: threads' stacks, the allocator's arenas, the slab.
    run(&hub, host.addr, HAND_OVERS / 4);
    let before = (descriptors(), resident_bytes());
    let start = Instant::now();
    run(&hub, host.addr, count);
    let time = start.elapsed();
    let after = (descriptors(), resident_bytes());
    println!(
        "{count} hand-overs in {time:.1?}: {} descriptors before and {} after, {} KiB of memory and {} KiB",
        before.0,
        after.0,
        before.1 >> 10,
        after.1 >> 10
    );
    assert_eq!(before.0, after.0, "descriptors are left");
    let more = after.1.saturating_sub(before.1);
    assert!(more <= MEMORY_BYTES_MAX, "{} KiB of memory are left", more >> 10);
    let metrics = hub.metrics();
    assert_eq!((metrics.connections, metrics.pending_connections), (0, 0));
    assert_eq!((metrics.subscriptions, metrics.topics), (0, 0));
}

/// A small server: it reads each connection's request, and hands it over.
struct Host {
    addr: SocketAddr,
}

impl Host {
    fn start() -> (Hub, Host) {
        let hub = Hub::start(Options::default().shards(1)).unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = server.local_addr().unwrap();
        let serving = hub.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            for client in server.incoming() {
                let mut client = client.unwrap();
                let mut bytes = 0;
                while !buffer[..bytes].ends_with(b"\r\n\r\n") {
                    match client.read(&mut buffer[bytes..]).unwrap() {
                        0 => break,
                        more => bytes += more,
                    }
                }
                serving.adopt(client, request()).unwrap();
            }
        });
        (hub, Host { addr })
    }
}

/// Has some clients connect one after the other, `count` in all, and waits until all have ended.
fn run(hub: &Hub, addr: SocketAddr, count: u64) {
    let taken = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| loop {
                let nth = taken.fetch_add(1, Ordering::Relaxed);
                if nth >= count {
                    break;
                }
                // Both kinds of sockets, each ended by another side.
                match nth % 4 {
                    0 => end_by_the_host(hub, nth),
                    _ => end_by_the_client(TcpStream::connect(addr).unwrap()),
                }
            });
        }
    });
    wait_until_ended(hub);
}

fn wait_until_ended(hub: &Hub) {
    let start = Instant::now();
    loop {
        let metrics = hub.metrics();
        if (metrics.connections, metrics.pending_connections) == (0, 0) {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "streams are left");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A client that reads the beginning of its stream, and goes.
fn end_by_the_client(mut client: TcpStream) {
    client.write_all(GET).unwrap();
    read_beginning(&mut client);
}

/// A stream that the host ends, while a duplicate of its socket is open.
fn end_by_the_host(hub: &Hub, nth: u64) {
    let (mut client, server) = UnixStream::pair().unwrap();
    let duplicate = server.try_clone().unwrap();
    let tag = nth.to_string();
    hub.adopt(server, request().options(StreamOptions::default().tag(&*tag))).unwrap();
    read_beginning(&mut client);
    let selector = ConnectionSelector::Tag(tag.into());
    assert_eq!(hub.disconnect(&selector, Duration::ZERO).unwrap(), 1);
    client.read_to_end(&mut Vec::new()).unwrap();
    drop(duplicate);
}

/// Reads the head and the first block, which come with one send.
fn read_beginning(client: &mut impl Read) {
    let mut buffer = [0; 4096];
    let bytes = client.read(&mut buffer).unwrap();
    assert!(buffer[..bytes].starts_with(b"HTTP/1.1 200 "), "no stream");
}

#[test]
fn what_a_hand_over_costs_beside_an_accept_of_the_engines_own() {
    let _alone = alone();
    let (hub, host) = Host::start();
    let own = Hub::start(Options::default().shards(1)).unwrap();
    let listener = own.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..REPEATS {
        times[0].push(cost(&own, listener.local_addr()));
        times[1].push(cost(&hub, host.addr));
    }
    let [accept, hand_over] = times.map(Repeats::of);
    println!("an accept of the engine's own: {accept}");
    println!("a hand-over by a small server: {hand_over}");
    // Whatever else runs adds to a repeat, and takes nothing from it.
    let (of_medians, of_least) =
        (hand_over.median() / accept.median(), hand_over.least() / accept.least());
    println!("the second costs {of_least:.2} times as much at the least, {of_medians:.2} times by the medians");
    println!(
        "Hub::adopt takes its caller: {}",
        Repeats::of((0..REPEATS).map(|_| call(&hub)).collect())
    );
    assert!(of_least < 3.0, "a hand-over costs {of_least:.2} times as much as an accept");
}

/// Microseconds of each repeat, the smallest first.
struct Repeats(Vec<f64>);

impl Repeats {
    fn of(mut repeats: Vec<f64>) -> Repeats {
        repeats.sort_by(f64::total_cmp);
        Repeats(repeats)
    }

    fn least(&self) -> f64 {
        self.0[0]
    }

    fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }
}

impl fmt::Display for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (self.least(), self.0[self.0.len() - 1]);
        write!(
            f,
            "{:.1} us of CPU, {least:.1} to {most:.1} in {} repeats",
            self.median(),
            self.0.len()
        )
    }
}

/// The CPU that a server takes for a connection which its client ends at once: that of the process,
/// without the client's.
fn cost(hub: &Hub, addr: SocketAddr) -> f64 {
    let (process, client) = (cpu_us(ClockId::ProcessCPUTime), cpu_us(ClockId::ThreadCPUTime));
    for _ in 0..COST_CONNECTIONS {
        end_by_the_client(TcpStream::connect(addr).unwrap());
    }
    let client = cpu_us(ClockId::ThreadCPUTime) - client;
    wait_until_ended(hub);
    (cpu_us(ClockId::ProcessCPUTime) - process - client) / COST_CONNECTIONS as f64
}

/// The CPU that a call of [`Hub::adopt`] takes of the thread that makes it.
fn call(hub: &Hub) -> f64 {
    const CALLS: usize = 200;
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr().unwrap();
    let (clients, sockets): (Vec<_>, Vec<_>) =
        (0..CALLS).map(|_| (TcpStream::connect(addr).unwrap(), server.accept().unwrap().0)).unzip();
    let requests: Vec<_> = (0..CALLS).map(|_| request()).collect();
    let before = cpu_us(ClockId::ThreadCPUTime);
    for (socket, request) in sockets.into_iter().zip(requests) {
        hub.adopt(socket, request).unwrap();
    }
    let time = cpu_us(ClockId::ThreadCPUTime) - before;
    drop(clients);
    wait_until_ended(hub);
    time / CALLS as f64
}

fn cpu_us(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// The tests of this file count what the whole process has, so each is alone.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    // Of 4 KiB, on the systems that this runs on.
    pages << 12
}
