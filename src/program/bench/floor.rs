//! The floors: bare loops that do what every server has to do, and nothing else. What a subject
//! with an engine needs more than these is what the engine costs.
//!
//! One thread, one edge-triggered epoll, non-blocking sockets. A connection is a descriptor; its
//! head is answered with as many bytes as the engine's. Events are encoded once and have the
//! chunk envelope made once, like the engine's.
//!
//! - Floor A sends every event to every socket with a `send` of its own.
//! - Floor B gathers 256 events into one buffer and sends that to every socket.
//!
//! When a socket does not take all, the loop waits for it with `poll` and finishes it before it
//! goes on. That is correct and simple, and wrong for a server: one slow client holds all others
//! up. The number of such waits is reported as `short_writes`; it should be near zero.

use std::collections::BTreeMap;
use std::io;

use rustix::event::{epoll, poll, PollFd, PollFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    accept_with, bind, getsockname, listen, recv, send, socket_with, sockopt, AddressFamily,
    RecvFlags, SendFlags, SocketFlags, SocketType,
};

use super::clock::{now_ns, process_cpu_ns, timespec};
use super::subject::{due_ns, say, write_data, Done, Kind, SubjectArgs};
use super::Error;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Cache-Control: no-cache, no-store, no-transform\r\nX-Accel-Buffering: no\r\n\
    Vary: Accept-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n";
const BACKLOG: i32 = 4096;
const NOTICES: usize = 256;
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// How long one socket may take nothing, in nanoseconds.
const WRITE_STALL_NS_MAX: u64 = 10_000_000_000;

const LISTENER: u64 = u64::MAX;
const STDIN: u64 = u64::MAX - 1;

struct Floor<'a> {
    args: &'a SubjectArgs,
    epoll: OwnedFd,
    listener: OwnedFd,
    members: Vec<Option<Member>>,
    /// Places in `members` that are free.
    free: Vec<usize>,
}

struct Member {
    socket: OwnedFd,
    /// The request as long as it is incomplete.
    request: Vec<u8>,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Has not had its head.
    New,
    Broadcast,
    Solo,
}

/// Is a floor, until stdin ends.
pub(super) fn serve(args: &SubjectArgs) -> Result<(), Error> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let listener = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    // Accepted sockets inherit this.
    sockopt::set_tcp_nodelay(&listener, true)?;
    bind(&listener, &args.listen)?;
    listen(&listener, BACKLOG)?;
    let address = std::net::SocketAddr::try_from(getsockname(&listener)?)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let level = epoll::EventFlags::IN;
    epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), level)?;
    epoll::add(&epoll, rustix::stdio::stdin(), epoll::EventData::new_u64(STDIN), level)?;
    let members = Vec::with_capacity(args.clients);
    say(&format!("listening {address}"))?;
    Floor { args, epoll, listener, members, free: Vec::new() }.run()
}

impl Floor<'_> {
    fn run(&mut self) -> Result<(), Error> {
        let mut notices: Vec<epoll::Event> = Vec::with_capacity(NOTICES);
        loop {
            notices.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut notices), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let mut freed = Vec::new();
            for notice in &notices {
                match notice.data.u64() {
                    LISTENER => self.accept()?,
                    STDIN => {
                        if !self.obey()? {
                            return Ok(());
                        }
                    }
                    key => self.attend(key as usize, &mut freed)?,
                }
            }
            // Only now: a notice of this turn may still have meant the old one.
            self.free.append(&mut freed);
        }
    }

    fn accept(&mut self) -> Result<(), Error> {
        loop {
            let socket =
                match accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                    Ok(socket) => socket,
                    Err(Errno::AGAIN) => return Ok(()),
                    Err(Errno::INTR | Errno::CONNABORTED) => continue,
                    Err(error) => return Err(error.into()),
                };
            let key = self.free.pop().unwrap_or(self.members.len());
            let interest = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
            epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(key as u64), interest)?;
            let member = Member { socket, request: Vec::new(), role: Role::New };
            if key == self.members.len() {
                self.members.push(Some(member));
            } else {
                self.members[key] = Some(member);
            }
        }
    }

    fn attend(&mut self, key: usize, freed: &mut Vec<usize>) -> Result<(), Error> {
        let Some(member) = &mut self.members[key] else {
            return Ok(());
        };
        let mut buffer = [0; REQUEST_BYTES_MAX];
        let is_open = match recv(&member.socket, &mut buffer, RecvFlags::empty()) {
            Ok((received, _)) => received > 0 && member.hear(&buffer[..received]),
            Err(Errno::AGAIN | Errno::INTR) => true,
            Err(_) => false,
        };
        if !is_open {
            self.members[key] = None;
            freed.push(key);
        }
        Ok(())
    }

    /// Reads commands; false when stdin has ended.
    fn obey(&mut self) -> Result<bool, Error> {
        let mut buffer = [0; 64];
        let read = rustix::io::read(rustix::stdio::stdin(), &mut buffer)?;
        match &buffer[..read] {
            b"" => return Ok(false),
            b"go\n" => say(&self.publish()?.to_line())?,
            other => {
                return Err(format!("unknown command {:?}", other.escape_ascii().to_string()).into())
            }
        }
        Ok(true)
    }

    fn sockets(&self, role: Role) -> Vec<&OwnedFd> {
        let members = self.members.iter().flatten();
        members.filter(|member| member.role == role).map(|member| &member.socket).collect()
    }

    fn publish(&self) -> Result<Done, Error> {
        let sockets = self.sockets(Role::Broadcast);
        let mut passes = Passes::new(self.args, self.sockets(Role::Solo));
        let cpu_before_ns = process_cpu_ns();
        let batch = if self.args.kind == Kind::FloorB { self.args.batch as u64 } else { 1 };
        let begun_at_ns = passes.begun_at_ns;
        let mut number = 0;
        while number < self.args.events {
            passes.wait_until(due_ns(begun_at_ns, self.args.rate, number))?;
            passes.gather(&mut number, batch);
            for socket in &sockets {
                passes.short_writes += send_all(socket, &passes.chunk)
                    .map_err(|error| format!("a client left or stopped reading: {error}"))?;
            }
            passes.send_due_solos()?;
        }
        let more = BTreeMap::from([
            ("short_writes".to_owned(), passes.short_writes),
            ("solo".to_owned(), passes.solos),
        ]);
        let cpu_ns = process_cpu_ns() - cpu_before_ns;
        Ok(Done { published: number, elapsed_ns: now_ns() - begun_at_ns, cpu_ns, more })
    }
}

impl Member {
    /// Takes a part of the request and answers it when it is whole; false to close.
    fn hear(&mut self, bytes: &[u8]) -> bool {
        if self.role != Role::New {
            return true;
        }
        let mut request = bytes;
        if !self.request.is_empty() || !bytes.ends_with(b"\r\n\r\n") {
            self.request.extend_from_slice(bytes);
            request = &self.request;
        }
        if !request.ends_with(b"\r\n\r\n") {
            return self.request.len() < REQUEST_BYTES_MAX;
        }
        self.role = if request.starts_with(b"GET /solo") { Role::Solo } else { Role::Broadcast };
        self.request = Vec::new();
        send(&self.socket, HEAD, SendFlags::NOSIGNAL) == Ok(HEAD.len())
    }
}

/// What the passes of one run share.
struct Passes<'a> {
    args: &'a SubjectArgs,
    solo_sockets: Vec<&'a OwnedFd>,
    begun_at_ns: u64,
    /// The chunk of this pass: envelope and events.
    chunk: Vec<u8>,
    frames: Vec<u8>,
    data: String,
    short_writes: u64,
    /// Solo events sent.
    solos: u64,
}

impl<'a> Passes<'a> {
    fn new(args: &'a SubjectArgs, solo_sockets: Vec<&'a OwnedFd>) -> Self {
        Self {
            args,
            solo_sockets,
            begun_at_ns: now_ns(),
            chunk: Vec::new(),
            frames: Vec::new(),
            data: String::new(),
            short_writes: 0,
            solos: 0,
        }
    }

    /// Publishes what is due, at most `batch` events from `number` on, and makes their chunk.
    fn gather(&mut self, number: &mut u64, batch: u64) {
        self.frames.clear();
        let end = self.args.events.min(*number + batch);
        while *number < end {
            let stamp_ns = now_ns();
            if !self.frames.is_empty()
                && due_ns(self.begun_at_ns, self.args.rate, *number) > stamp_ns
            {
                break;
            }
            self.encode(*number, stamp_ns);
            *number += 1;
        }
        self.envelop();
    }

    fn encode(&mut self, number: u64, stamp_ns: u64) {
        write_data(&mut self.data, number, stamp_ns, self.args.bytes);
        self.frames.extend_from_slice(format!("id: 5f3a9c1e-{number}\ndata: ").as_bytes());
        self.frames.extend_from_slice(self.data.as_bytes());
        self.frames.extend_from_slice(b"\n\n");
    }

    fn envelop(&mut self) {
        self.chunk.clear();
        self.chunk.extend_from_slice(format!("{:x}\r\n", self.frames.len()).as_bytes());
        self.chunk.extend_from_slice(&self.frames);
        self.chunk.extend_from_slice(b"\r\n");
    }

    /// Waits, and sends the solo events that are due before.
    fn wait_until(&mut self, due_at_ns: u64) -> Result<(), Error> {
        loop {
            let now_ns = now_ns();
            if now_ns >= due_at_ns {
                return Ok(());
            }
            let next_ns = self.next_solo_ns().map_or(due_at_ns, |solo_ns| solo_ns.min(due_at_ns));
            if next_ns > now_ns {
                std::thread::sleep(std::time::Duration::from_nanos(next_ns - now_ns));
            }
            self.send_due_solos()?;
        }
    }

    fn send_due_solos(&mut self) -> Result<(), Error> {
        while let Some(solo_ns) = self.next_solo_ns().filter(|solo_ns| *solo_ns <= now_ns()) {
            self.frames.clear();
            self.encode(self.solos, solo_ns);
            self.envelop();
            for socket in &self.solo_sockets {
                self.short_writes += send_all(socket, &self.chunk)?;
            }
            self.solos += 1;
        }
        Ok(())
    }

    fn next_solo_ns(&self) -> Option<u64> {
        let interval_ns = self.args.solo_interval_ms * 1_000_000;
        (interval_ns > 0).then(|| self.begun_at_ns + interval_ns * (self.solos + 1))
    }
}

/// Sends everything, and returns how often it had to wait for room.
fn send_all(socket: &OwnedFd, mut bytes: &[u8]) -> io::Result<u64> {
    let mut waits = 0;
    loop {
        match send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) if sent == bytes.len() => return Ok(waits),
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        waits += 1;
        let mut polled = [PollFd::new(socket, PollFlags::OUT)];
        match poll(&mut polled, Some(&timespec(WRITE_STALL_NS_MAX))) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "a client reads nothing")),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
