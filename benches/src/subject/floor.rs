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
//! With topics of their own each socket is sent the events of its two topics only: A goes through
//! the sockets of a topic, B makes a buffer for each topic that has events among the 256.
//!
//! When a socket does not take all, the loop waits for it with `poll` and finishes it before it
//! goes on. That is correct and simple, and wrong for a server: one slow client holds all others
//! up. The number of such waits is reported as `short_writes`; it should be near zero.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use rustix::event::{epoll, poll, PollFd, PollFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    accept_with, bind, getsockname, listen, recv, send, socket_with, sockopt, AddressFamily,
    RecvFlags, SendFlags, SocketFlags, SocketType,
};

use crate::clock::{now_ns, process_cpu_ns, timespec};
use crate::load::SoloStamp;
use crate::schedule::Schedule;
use crate::subject::{say, write_data, Done, Kind, SubjectArgs};
use crate::Error;

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
    /// Indices of `members` that are free.
    free: Vec<usize>,
}

struct Member {
    socket: OwnedFd,
    /// The request as long as it is incomplete.
    request: Vec<u8>,
    role: Role,
    /// Its topic beside the one that all share.
    topic: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Has not had its head.
    New,
    Broadcast,
    Solo,
}

/// Is a floor, until stdin ends.
pub(crate) fn serve(args: &SubjectArgs) -> Result<(), Error> {
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
    let members = Vec::with_capacity(args.load.clients);
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
            let member = Member { socket, request: Vec::new(), role: Role::New, topic: None };
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

    fn with_role(&self, role: Role) -> impl Iterator<Item = &Member> {
        self.members.iter().flatten().filter(move |member| member.role == role)
    }

    fn publish(&self) -> Result<Done, Error> {
        let members = Members::new(self.with_role(Role::Broadcast), self.args.load.topics);
        let solo_sockets = self.with_role(Role::Solo).map(|member| &member.socket).collect();
        let mut passes = Passes::new(self.args, solo_sockets);
        let schedule = passes.schedule;
        let cpu_before_ns = process_cpu_ns();
        let batch = if self.args.kind == Kind::FloorB { self.args.batch as u64 } else { 1 };
        let begun_at_ns = passes.begun_at_ns;
        let mut place = 0;
        while place < schedule.len() {
            passes.wait_until(schedule.due_ns(begun_at_ns, place))?;
            passes.gather(&mut place, batch);
            passes
                .send(&members)
                .map_err(|error| format!("a client left or stopped reading: {error}"))?;
            passes.send_due_solos()?;
        }
        let more = BTreeMap::from([
            ("short_writes".to_owned(), passes.short_writes),
            ("solo".to_owned(), passes.solos),
        ]);
        let cpu_ns = process_cpu_ns() - cpu_before_ns;
        Ok(Done { published: place, elapsed_ns: now_ns() - begun_at_ns, cpu_ns, more })
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
        self.topic = topic_of(request);
        self.request = Vec::new();
        send(&self.socket, HEAD, SendFlags::NOSIGNAL) == Ok(HEAD.len())
    }
}

/// The topic that a request names: `?topic=t17` is 17.
fn topic_of(request: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(request).ok()?.lines().next()?;
    let (_, after) = line.split_once("topic=t")?;
    after.split(' ').next()?.parse().ok()
}

/// The members that are sent the broadcast.
struct Members<'a> {
    /// Each with its own topic.
    all: Vec<(&'a OwnedFd, Option<usize>)>,
    by_topic: Vec<Vec<&'a OwnedFd>>,
}

impl<'a> Members<'a> {
    fn new(members: impl Iterator<Item = &'a Member>, topics: usize) -> Self {
        let mut grouped = Self { all: Vec::new(), by_topic: vec![Vec::new(); topics] };
        for member in members {
            grouped.all.push((&member.socket, member.topic));
            if let Some(of_topic) = member.topic.and_then(|topic| grouped.by_topic.get_mut(topic)) {
                of_topic.push(&member.socket);
            }
        }
        grouped
    }
}

/// What the passes of one run share.
struct Passes<'a> {
    args: &'a SubjectArgs,
    schedule: Schedule,
    solo_sockets: Vec<&'a OwnedFd>,
    begun_at_ns: u64,
    /// The encoded events of this pass.
    frames: Vec<u8>,
    /// To which sockets, and where in `frames`.
    pieces: Vec<(Option<usize>, Range<usize>)>,
    data: String,
    short_writes: u64,
    /// Solo events sent.
    solos: u64,
}

impl<'a> Passes<'a> {
    fn new(args: &'a SubjectArgs, solo_sockets: Vec<&'a OwnedFd>) -> Self {
        Self {
            args,
            schedule: Schedule::new(&args.load),
            solo_sockets,
            begun_at_ns: now_ns(),
            frames: Vec::new(),
            pieces: Vec::new(),
            data: String::new(),
            short_writes: 0,
            solos: 0,
        }
    }

    /// Publishes what is due, at most `batch` events from `place` on.
    fn gather(&mut self, place: &mut u64, batch: u64) {
        self.frames.clear();
        self.pieces.clear();
        let end = self.schedule.len().min(*place + batch);
        while *place < end {
            let stamp_ns = now_ns();
            if !self.frames.is_empty() && self.schedule.due_ns(self.begun_at_ns, *place) > stamp_ns
            {
                break;
            }
            let planned = self.schedule.planned(*place);
            let begin = self.frames.len();
            self.encode(planned.number, stamp_ns);
            self.pieces.push((planned.topic, begin..self.frames.len()));
            *place += 1;
        }
    }

    /// Sends the gathered events to the sockets that they are for.
    fn send(&mut self, members: &Members) -> io::Result<()> {
        let shared: Vec<_> = self.pieces.iter().filter(|(topic, _)| topic.is_none()).collect();
        let mut chunks: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        for topic in self.pieces.iter().filter_map(|(topic, _)| *topic) {
            // One that was made for an earlier piece holds this one, too.
            chunks.entry(topic).or_insert_with(|| {
                let wanted = |to: &Option<usize>| to.is_none_or(|to| to == topic);
                self.chunk_of(self.pieces.iter().filter(|(to, _)| wanted(to)))
            });
        }
        if shared.is_empty() {
            for (topic, chunk) in &chunks {
                for socket in &members.by_topic[*topic] {
                    self.short_writes += send_all(socket, chunk)?;
                }
            }
            return Ok(());
        }
        let chunk = self.chunk_of(shared.into_iter());
        for (socket, topic) in &members.all {
            let own = topic.and_then(|topic| chunks.get(&topic));
            self.short_writes += send_all(socket, own.unwrap_or(&chunk))?;
        }
        Ok(())
    }

    /// Envelope and events.
    fn chunk_of<'b>(
        &'b self,
        pieces: impl Iterator<Item = &'b (Option<usize>, Range<usize>)> + Clone,
    ) -> Vec<u8> {
        let bytes: usize = pieces.clone().map(|(_, range)| range.len()).sum();
        let mut chunk = format!("{bytes:x}\r\n").into_bytes();
        for (_, range) in pieces {
            chunk.extend_from_slice(&self.frames[range.clone()]);
        }
        chunk.extend_from_slice(b"\r\n");
        chunk
    }

    fn encode(&mut self, number: u64, stamp_ns: u64) {
        write_data(&mut self.data, number, stamp_ns, self.args.load.bytes);
        self.frames.extend_from_slice(format!("id: 5f3a9c1e-{number}\ndata: ").as_bytes());
        self.frames.extend_from_slice(self.data.as_bytes());
        self.frames.extend_from_slice(b"\n\n");
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
            let stamp_ns = match self.args.load.solo_stamp {
                SoloStamp::Due => solo_ns,
                SoloStamp::Call => now_ns(),
            };
            self.frames.clear();
            self.pieces.clear();
            self.encode(self.solos, stamp_ns);
            self.pieces.push((None, 0..self.frames.len()));
            let chunk = self.chunk_of(self.pieces.iter());
            for socket in &self.solo_sockets {
                self.short_writes += send_all(socket, &chunk)?;
            }
            self.solos += 1;
        }
        Ok(())
    }

    fn next_solo_ns(&self) -> Option<u64> {
        let interval_ns = self.args.load.solo_interval_ms * 1_000_000;
        (interval_ns > 0).then(|| self.begun_at_ns + interval_ns * (self.solos + 1))
    }
}

/// Sends everything, and returns how often it had to wait for the socket.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_topic_or_none() {
        assert_eq!(topic_of(b"GET /events?topic=t17 HTTP/1.1\r\nHost: a\r\n\r\n"), Some(17));
        assert_eq!(topic_of(b"GET /events HTTP/1.1\r\nX: topic=t3\r\n\r\n"), None);
    }
}
