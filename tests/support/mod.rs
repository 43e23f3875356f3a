//! What the tests share: a client over a real socket, and an SSE parser written from the standard
//! alone, which knows nothing of the engine's encoder.

#![allow(dead_code, unreachable_pub, reason = "each test uses its share")]

pub mod driver;
pub mod given;
pub mod sse;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use fanfare::{Hub, ListenOptions, Listener, Options};

use self::driver::Executor;
use self::sse::{Message, Parser};

/// How long anything may take that a test waits for. Long, as a machine may be busy: only a test
/// that fails takes it.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// How long a client may receive.
const CLIENT_TIME_MAX: Duration = Duration::from_secs(600);
/// How long a client may lag or take nothing, where a test is not about that: a reader that gets no
/// CPU for a while is not slow.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Waits until a condition holds, and fails when it does not by the deadline.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A hub with one shard and a listener on a free port of the loopback.
pub fn serve(options: Options) -> (Hub, Listener) {
    serve_with(options, ListenOptions::default())
}

pub fn serve_with(options: Options, listen_options: ListenOptions) -> (Hub, Listener) {
    let hub = start(options);
    let listener = hub.listen("127.0.0.1:0", listen_options).expect("a free port");
    (hub, listener)
}

/// A hub that is driven by what `FANFARE_TEST_DRIVER` names; without that by the engine's threads.
pub fn start(options: Options) -> Hub {
    Executor::chosen().start(options).expect("the hub starts")
}

/// Closes a hub, and waits until every shard has ended, whatever drives it.
pub fn close(hub: &Hub) {
    hub.close();
    wait_until("every shard has ended", || hub.metrics().living_shards == 0);
}

/// The options of a hub with `shards` shards, for tests that are not about the bounds of slow
/// clients. A client that takes nothing is waited for, by all publishers to its topics, for a tenth
/// of `lag_grace`: a test with a client that does not read states its own bounds.
pub fn shards(shards: usize) -> Options {
    Options::default()
        .shards(shards)
        .lag_age_max(PATIENCE)
        .lag_grace(PATIENCE)
        .lag_grace_percent(100)
        .stall_time_max(PATIENCE)
}

pub fn one_shard() -> Options {
    shards(1)
}

/// Sends a request and reads all there is until the server closes.
pub fn answer(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut received = String::new();
    stream.read_to_string(&mut received).expect("an answer, and then the end");
    received
}

/// A client of an event stream.
pub struct Client {
    stream: TcpStream,
    /// What was received behind the head and not parsed yet.
    buffer: Vec<u8>,
    pub head: String,
    chunked: bool,
    parser: Parser,
    messages: std::collections::VecDeque<Message>,
    ended: bool,
    since: Instant,
}

impl Client {
    /// Connects and asks for a path, such as `/events?topic=a`.
    pub fn get(addr: SocketAddr, path: &str) -> Client {
        Client::send(addr, &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n"))
    }

    pub fn send(addr: SocketAddr, request: &str) -> Client {
        let mut stream = TcpStream::connect(addr).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
        stream.write_all(request.as_bytes()).expect("a request can be sent");
        Client::of(stream)
    }

    /// Reads the response's head.
    pub fn of(mut stream: TcpStream) -> Client {
        let mut received = Vec::new();
        let end = loop {
            if let Some(at) = received.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            let mut byte = [0; 4096];
            let count = stream.read(&mut byte).expect("a response comes in time");
            assert!(count > 0, "closed before its head: {:?}", String::from_utf8_lossy(&received));
            received.extend_from_slice(&byte[..count]);
        };
        let head = String::from_utf8(received[..end].to_vec()).expect("a head is ASCII");
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        Client {
            stream,
            buffer: received[end..].to_vec(),
            head,
            chunked,
            parser: Parser::default(),
            messages: Default::default(),
            ended: false,
            since: Instant::now(),
        }
    }

    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status")
    }

    /// The next message, in the time that a test has.
    pub fn next(&mut self) -> Message {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return message;
            }
            let more = self.receive() || !self.messages.is_empty();
            assert!(more, "the stream ended before the next message");
        }
    }

    /// The next message, or none when the stream ends before.
    pub fn next_if_any(&mut self) -> Option<Message> {
        while self.messages.is_empty() && self.receive() {}
        self.messages.pop_front()
    }

    /// The data of the next message.
    pub fn data(&mut self) -> String {
        self.next().data
    }

    /// Whether the stream's body ended as the protocol has it, and every byte was understood.
    pub fn ends_cleanly(&mut self) -> bool {
        while self.receive() {}
        self.ended && self.messages.is_empty()
    }

    pub fn retry(&self) -> Option<u64> {
        self.parser.retry
    }

    /// The ids after each block of the stream that has come, also of those that fire nothing.
    pub fn take_ids(&mut self) -> Vec<String> {
        std::mem::take(&mut self.parser.ids)
    }

    pub fn comments(&self) -> usize {
        self.parser.comments
    }

    /// What has come to keep a stream open that began with the hub's id, as it does without a
    /// `Last-Event-ID`: comments, and further blocks with nothing but an id.
    pub fn heartbeats(&self) -> usize {
        self.parser.comments + self.parser.id_blocks.saturating_sub(1)
    }

    /// Receives until there are more heartbeats.
    pub fn wait_for_heartbeat(&mut self) {
        let before = self.heartbeats();
        while self.heartbeats() == before {
            assert!(self.receive(), "the stream ended before the next heartbeat");
        }
    }

    /// Receives until there are more comments.
    pub fn wait_for_comment(&mut self) {
        let before = self.parser.comments;
        while self.parser.comments == before {
            assert!(self.receive(), "the stream ended before the next comment");
        }
    }

    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    pub fn into_socket(self) -> TcpStream {
        self.stream
    }

    /// Receives more; false at the end of the stream. Heartbeats alone do not keep a test waiting.
    pub fn receive(&mut self) -> bool {
        assert!(self.since.elapsed() < CLIENT_TIME_MAX, "what is waited for has not come");
        if !self.buffer.is_empty() && self.decode() {
            return !self.ended;
        }
        if self.ended {
            return false;
        }
        let mut bytes = vec![0; 64 << 10];
        let count = match self.stream.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
            Err(error) => panic!("nothing came in time: {error}"),
        };
        self.buffer.extend_from_slice(&bytes[..count]);
        if count == 0 {
            self.ended = !self.chunked && self.buffer.is_empty();
            return false;
        }
        self.decode();
        !self.ended
    }

    /// Takes whole chunks off the buffer; false when there was none.
    fn decode(&mut self) -> bool {
        if !self.chunked {
            let body = std::mem::take(&mut self.buffer);
            self.parser.feed(&body, &mut self.messages);
            return true;
        }
        let mut any = false;
        loop {
            let Some(line_end) = self.buffer.windows(2).position(|w| w == b"\r\n") else {
                return any;
            };
            let size = std::str::from_utf8(&self.buffer[..line_end]).expect("a chunk has a size");
            let size = usize::from_str_radix(size, 16).expect("a chunk's size is hexadecimal");
            let (start, end) = (line_end + 2, line_end + 2 + size);
            if self.buffer.len() < end + 2 {
                return any;
            }
            assert_eq!(&self.buffer[end..end + 2], b"\r\n", "a chunk ends where it says");
            self.parser.feed(&self.buffer[start..end], &mut self.messages);
            self.buffer.drain(..end + 2);
            any = true;
            if size == 0 {
                self.ended = true;
                return any;
            }
        }
    }
}
