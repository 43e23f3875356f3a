//! Raw HTTP, so that a test says byte by byte what it sends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::DEADLINE;

/// An answer with a length.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// A header field's value.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A connection that is kept alive.
pub struct Connection {
    pub stream: TcpStream,
    /// What was received and is not part of an answer yet.
    received: Vec<u8>,
}

impl Connection {
    pub fn open(addr: SocketAddr) -> Connection {
        let stream = TcpStream::connect(addr).expect("it listens");
        Connection::of(stream)
    }

    pub fn of(stream: TcpStream) -> Connection {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Connection { stream, received: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// The head of the next answer, or of an interim one such as `100 Continue`.
    pub fn head(&mut self) -> String {
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.receive() > 0, "closed before an answer's head");
        };
        String::from_utf8(self.received.drain(..end).collect()).unwrap()
    }

    /// The next answer.
    pub fn answer(&mut self) -> Answer {
        let head = self.head();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.field("content-length").expect("a length").parse().unwrap();
        while self.received.len() < length {
            assert!(self.receive() > 0, "closed within an answer");
        }
        answer.body = String::from_utf8(self.received.drain(..length).collect()).unwrap();
        answer
    }

    /// Whether the server closes it and sends nothing more.
    pub fn is_closed(&mut self) -> bool {
        self.received.is_empty() && self.receive() == 0
    }

    /// The socket, of which nothing was received that is not part of an answer.
    pub fn into_stream(self) -> TcpStream {
        assert_eq!(String::from_utf8_lossy(&self.received), "");
        self.stream
    }

    /// As [`Connection::answer`], but takes no byte too many from the socket.
    pub fn exact_answer(&mut self) -> Answer {
        let mut byte = [0];
        while !self.received.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte).unwrap();
            self.received.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&self.received).to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1).expect("a length");
        let length = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        self.received.extend_from_slice(&body);
        self.answer()
    }

    fn receive(&mut self) -> usize {
        let mut bytes = [0; 16 << 10];
        let count = self.stream.read(&mut bytes).expect("something comes in time");
        self.received.extend_from_slice(&bytes[..count]);
        count
    }
}

pub fn get(addr: SocketAddr, path: &str) -> Answer {
    exchange(addr, &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n"))
}

/// Sends a request, and receives its answer.
pub fn exchange(addr: SocketAddr, request: &str) -> Answer {
    let mut connection = Connection::open(addr);
    connection.send(request);
    connection.answer()
}

/// A request to publish, with more header fields, each with its line break.
pub fn post(addr: SocketAddr, query: &str, fields: &str, content: &str) -> String {
    let length = content.len();
    format!(
        "POST /publish{query} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {length}\r\n\
         {fields}\r\n{content}"
    )
}

pub const NDJSON: &str = "Content-Type: application/x-ndjson\r\n";

/// Publishes one event.
pub fn publish(addr: SocketAddr, query: &str, content: &str) -> Answer {
    exchange(addr, &post(addr, query, "", content))
}

/// Publishes an event a line.
pub fn publish_lines(addr: SocketAddr, lines: &str) -> Answer {
    exchange(addr, &post(addr, "", NDJSON, lines))
}
