//! Clients that ask for the stream, take its head, and then read nothing more.
//!
//! They have small receive buffers, so that the server notices soon. At the end of a run each is
//! read once more: whether the server has cut it, and whether what it was sent was right as far
//! as it came.

use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{recv, RecvFlags};

use crate::clients::connect::Target;
use crate::clients::follower::{Class, Expected, Faults};
use crate::clients::stream::Stream;
use crate::clock::{now_ns, timespec};
use crate::Error;

/// What the system is asked for; the kernel makes it twice as much.
const RECEIVE_BUFFER_BYTES: usize = 4096;
/// What one `recv` takes before the head is there: less than makes the first window grow.
const HEAD_BUFFER_BYTES: usize = 1024;
const BUFFER_BYTES: usize = 64 * 1024;
/// More than the kernel holds for a connection that was cut: one that receives more was not cut.
const DRAIN_BYTES_MAX: usize = 512 * 1024;
/// How many may wait for their head at once: below any listener's backlog.
const IN_FLIGHT_MAX: usize = 128;
/// How long opening may go without a head, and draining without a byte, in nanoseconds.
const HEAD_STALL_NS_MAX: u64 = 15_000_000_000;
const DRAIN_STALL_NS_MAX: u64 = 1_000_000_000;
const DRAIN_NS_MAX: u64 = 20_000_000_000;
const TURN_NS: u64 = 50_000_000;
const NOTICES: usize = 256;

/// Clients that do not read.
pub(crate) struct Sleepers {
    epoll: OwnedFd,
    class: Class,
    sleepers: Vec<Sleeper>,
    buffer: Vec<u8>,
}

struct Sleeper {
    /// `None` once it is known what became of it.
    socket: Option<OwnedFd>,
    stream: Stream,
    /// Whether the request is still to be sent.
    is_waiting: bool,
    drained_bytes: usize,
}

/// What became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slept {
    /// The server ended these.
    pub(crate) cut: usize,
    /// Events that came whole to their sockets until then, of all together.
    pub(crate) delivered: u64,
    /// Events that are not the benchmark's own, such as those that tell of others.
    pub(crate) other: u64,
    pub(crate) faults: Faults,
}

impl Sleepers {
    /// Connects `count` clients and waits until each has its head. `data_bytes` is the length of
    /// the events' data.
    ///
    /// # Errors
    ///
    /// When one is refused, or none gets its head for 15 seconds.
    pub(crate) fn open(target: Target, count: usize, data_bytes: usize) -> Result<Self, Error> {
        let expected = Expected { first: Some(0), events: None, data_bytes: Some(data_bytes) };
        let mut all = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            class: Class::new(expected),
            sleepers: Vec::with_capacity(count),
            buffer: vec![0; BUFFER_BYTES],
        };
        let mut target = target.with_receive_buffer(RECEIVE_BUFFER_BYTES);
        let mut heads = 0;
        let mut heard_at_ns = now_ns();
        while heads < count {
            while all.sleepers.len() < count && all.sleepers.len() - heads < IN_FLIGHT_MAX {
                let key = all.sleepers.len() as u64;
                let (socket, is_waiting) = target.open(&all.epoll, key)?;
                let stream = Stream::new(&all.class);
                let socket = Some(socket);
                all.sleepers.push(Sleeper { socket, stream, is_waiting, drained_bytes: 0 });
            }
            for (key, flags) in all.wait()? {
                if all.hear_head(key, flags, &target)? {
                    heads += 1;
                    heard_at_ns = now_ns();
                }
            }
            if now_ns() - heard_at_ns > HEAD_STALL_NS_MAX {
                return Err(format!("{heads} of {count} slow clients have a head").into());
            }
        }
        Ok(all)
    }

    /// True when this one has its head now, and had not before.
    fn hear_head(
        &mut self,
        key: usize,
        flags: epoll::EventFlags,
        target: &Target,
    ) -> Result<bool, Error> {
        let sleeper = &mut self.sleepers[key];
        let Some(socket) = sleeper.socket.as_ref().filter(|_| !sleeper.stream.has_head()) else {
            return Ok(false);
        };
        if sleeper.is_waiting && flags.contains(epoll::EventFlags::OUT) {
            sleeper.is_waiting = !target.request(socket)?;
        }
        while !sleeper.stream.has_head() {
            let buffer = &mut self.buffer[..HEAD_BUFFER_BYTES];
            match recv(socket, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => return Err("the server closed a slow client before its head".into()),
                Ok((received, _)) => {
                    sleeper.stream.feed(&mut self.class, &buffer[..received], now_ns())?;
                }
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Reads what is there for each, and tells what became of them.
    pub(crate) fn wake(mut self) -> Result<Slept, Error> {
        let mut slept = Slept { cut: 0, delivered: 0, other: 0, faults: Faults::default() };
        let begun_at_ns = now_ns();
        let mut heard_at_ns = begun_at_ns;
        for key in 0..self.sleepers.len() {
            slept.cut += usize::from(self.drain(key)?);
        }
        // What the kernel still has for those that were cut comes as they take what was before.
        while self.sleepers.iter().any(|sleeper| sleeper.socket.is_some()) {
            let notices = self.wait()?;
            if !notices.is_empty() {
                heard_at_ns = now_ns();
            }
            for (key, _) in notices {
                slept.cut += usize::from(self.drain(key)?);
            }
            let now_ns = now_ns();
            if now_ns - heard_at_ns > DRAIN_STALL_NS_MAX || now_ns - begun_at_ns > DRAIN_NS_MAX {
                break;
            }
        }
        slept.delivered = self.class.totals.delivered;
        slept.other = self.class.totals.other;
        slept.faults = self.class.faults;
        Ok(slept)
    }

    /// Takes what has arrived for one; true if the server has ended it.
    fn drain(&mut self, key: usize) -> Result<bool, Error> {
        let sleeper = &mut self.sleepers[key];
        loop {
            let Some(socket) = &sleeper.socket else { return Ok(false) };
            let received = match recv(socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((received, _)) => received,
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => continue,
                Err(Errno::CONNRESET | Errno::TIMEDOUT | Errno::PIPE) => 0,
                Err(error) => return Err(error.into()),
            };
            if received == 0 {
                sleeper.socket = None;
                return Ok(true);
            }
            sleeper.stream.feed(&mut self.class, &self.buffer[..received], now_ns())?;
            sleeper.drained_bytes += received;
            if sleeper.drained_bytes > DRAIN_BYTES_MAX {
                sleeper.socket = None;
            }
        }
    }

    fn wait(&self) -> Result<Vec<(usize, epoll::EventFlags)>, Error> {
        let mut notices: Vec<epoll::Event> = Vec::with_capacity(NOTICES);
        let buffer = rustix::buffer::spare_capacity(&mut notices);
        match epoll::wait(&self.epoll, buffer, Some(&timespec(TURN_NS))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(notices.iter().map(|notice| (notice.data.u64() as usize, notice.flags)).collect())
    }
}
