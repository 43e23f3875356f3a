//! A server with a folder that is killed, and started anew.

use std::collections::{BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::http::{exchange, get, publish};
use crate::process::Server;
use crate::support::sse::{Message, Parser};
use crate::support::{wait_until, Client, DEADLINE};

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("fanfare-served-{}-{number}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How often the server is killed; more by hand.
fn kills() -> usize {
    std::env::var("FANFARE_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(9)
}

#[test]
fn a_server_that_was_ended_goes_on_where_it_was() {
    let folder = Folder::new();
    let arguments = ["--data-dir", folder.path(), "--rule", "run/#:events=2"];
    let mut server = Server::start(&arguments);
    let first = publish(server.control, "?topic=news", "one");
    publish(server.control, "?topic=news", "two");
    let finished = exchange(
        server.control,
        "POST /finish?topic=run/7 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!((first.status, finished.status), (200, 200), "{first:?} {finished:?}");
    let id = first.body.split('"').nth(3).unwrap().to_owned();
    server.process.signal("TERM");
    assert!(server.process.end().success());
    drop(server);

    // The rule is not given any more.
    let server = Server::start(&["--data-dir", folder.path()]);
    let mut client = Client::get(server.addr, &format!("/events?topic=news&last-event-id={id}"));
    assert_eq!(client.data(), "two");
    assert_eq!(Client::get(server.addr, "/events?topic=run/7").status(), 204);
    assert_eq!(publish(server.control, "?topic=run/7", "more").status, 409);
    assert!(!get(server.control, "/metrics").body.contains("fanfare_rule_topics{"));
}

#[test]
fn two_servers_do_not_have_one_folder() {
    let folder = Folder::new();
    let server = Server::start(&["--data-dir", folder.path()]);
    let mut second =
        crate::process::fanfare(&["serve", "--listen", "127.0.0.1:0", "--data-dir", folder.path()]);
    let output = crate::process::run(&mut second);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{told}");
    assert!(told.contains("end that one, or give this hub a folder of its own"), "{told}");
    drop(server);
}

/// What a client was sent, over all its connections.
#[derive(Default)]
struct Received {
    numbers: Vec<u64>,
    last_id: String,
    /// How often it was told that events are lost.
    told_lost: usize,
    /// Other gaps that it was told of.
    others: Vec<String>,
}

/// Asks over a connection of its own, and gives that back behind the head of the response, with the response's
/// status and what came of its body; `None` when the server is gone.
fn ask(addr: SocketAddr, request: &str) -> Option<(TcpStream, u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let (mut received, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let status = std::str::from_utf8(&received[9..12]).ok()?.parse().ok()?;
            return Some((stream, status, received.split_off(end + 4)));
        }
        let count = stream.read(&mut bytes).ok().filter(|&count| count > 0)?;
        received.extend_from_slice(&bytes[..count]);
    }
}

/// Comes back again and again to where the server is, until told to stop.
fn read(addr: &Mutex<SocketAddr>, last: &AtomicU64) -> Received {
    let (mut received, begun) = (Received::default(), Instant::now());
    while begun.elapsed() < 5 * DEADLINE {
        let at = *addr.lock().unwrap();
        let begins = match &*received.last_id {
            "" => "start=earliest".to_owned(),
            id => format!("last-event-id={id}"),
        };
        // Without chunks.
        let request = format!("GET /events?topic=t&{begins} HTTP/1.0\r\nHost: {at}\r\n\r\n");
        let Some((mut stream, 200, mut bytes)) = ask(at, &request) else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let (mut parser, mut messages) = (Parser::default(), VecDeque::new());
        loop {
            parser.feed(&bytes, &mut messages);
            messages.drain(..).for_each(|message| received.take(message));
            let target = last.load(Ordering::SeqCst);
            if target > 0 && received.numbers.last() >= Some(&target) {
                return received;
            }
            bytes.resize(64 << 10, 0);
            match stream.read(&mut bytes) {
                Ok(count) if count > 0 => bytes.truncate(count),
                _ => break,
            }
        }
    }
    panic!("the last event did not come: {:?}", received.numbers.last());
}

impl Received {
    fn take(&mut self, message: Message) {
        self.last_id = message.last_id;
        match message.name.as_str() {
            "fanfare-gap" if message.data.contains(r#""reason":"lost""#) => self.told_lost += 1,
            "fanfare-gap" => self.others.push(message.data),
            _ => self.numbers.push(message.data.parse().unwrap()),
        }
    }
}

/// Publishes one number after the other, and says which were answered. One that was not is not
/// published again.
fn publish_numbers(control: &Mutex<SocketAddr>, stop: &AtomicBool) -> BTreeSet<u64> {
    let (mut answered, mut number) = (BTreeSet::new(), 0);
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let (at, data) = (*control.lock().unwrap(), number.to_string());
        let head = format!("POST /publish?topic=t HTTP/1.1\r\nHost: {at}\r\nConnection: close");
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{data}", data.len());
        match ask(at, &request) {
            Some((_, 200, _)) => _ = answered.insert(number),
            _ => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    answered
}

#[test]
fn what_was_answered_survives_a_server_that_is_killed_and_each_client_sees_it_once() {
    for durability in ["os", "interval", "always"] {
        killed_again_and_again(durability, kills().div_ceil(3));
    }
}

fn killed_again_and_again(durability: &str, kills: usize) {
    let folder = Folder::new();
    let arguments = [
        "--data-dir",
        folder.path(),
        "--durability",
        durability,
        "--history-events-max",
        "1000000",
        "--history-bytes-max",
        "1GiB",
        "--history-total-bytes-max",
        "1GiB",
        "--history-age-max",
        "1h",
    ];
    let mut server = Server::start(&arguments);
    let addr = Arc::new(Mutex::new(server.addr));
    let control = Arc::new(Mutex::new(server.control));
    let (stop, last) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (addr, last) = (addr.clone(), last.clone());
            std::thread::spawn(move || read(&addr, &last))
        })
        .collect();
    let publisher = {
        let (control, stop) = (control.clone(), stop.clone());
        std::thread::spawn(move || publish_numbers(&control, &stop))
    };
    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(fastrand::u64(50..250)));
        server.process.kill();
        drop(server);
        server = Server::start(&arguments);
        *addr.lock().unwrap() = server.addr;
        *control.lock().unwrap() = server.control;
    }
    stop.store(true, Ordering::SeqCst);
    let answered = publisher.join().unwrap();
    let end = 1_000_000_000;
    wait_until("the last one is taken", || {
        publish(server.control, "?topic=t", &end.to_string()).status == 200
    });
    last.store(end, Ordering::SeqCst);
    for reader in readers {
        let received = reader.join().unwrap();
        assert_eq!(received.others, [] as [String; 0], "{durability}: nothing else is missing");
        assert!(received.numbers.is_sorted_by(|a, b| a < b), "{durability}: each once, in order");
        let got: BTreeSet<u64> = received.numbers.iter().copied().collect();
        let missing: Vec<_> = answered.difference(&got).collect();
        assert!(missing.is_empty(), "{durability}: {missing:?} were answered");
        assert!(received.told_lost <= kills + 1, "{durability}: {} times", received.told_lost);
    }
}
