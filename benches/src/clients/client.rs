//! The load client: one thread that holds thousands of connections and checks all that arrives.
//!
//! It must cost less than the server that it measures. So: one edge-triggered epoll, one `recv`
//! per readiness into one buffer that stays in the cache, one reading of the clock per `recv`,
//! and no copy of what was received (see [`follower`](crate::clients::follower)).

use std::io;
use std::time::Duration;

use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{recv, RecvFlags};
use serde::{Deserialize, Serialize};

use crate::clients::connect::Target;
use crate::clients::follower::Class;
use crate::clients::harvest::Harvest;
use crate::clients::stream::Stream;
use crate::clock::{now_ns, timespec};
use crate::histogram::Histogram;
use crate::Error;

/// The most that one `recv` takes, in bytes: fits the second-level cache.
const BUFFER_BYTES: usize = 256 * 1024;
/// The most readiness notices taken at once.
const NOTICES: usize = 1024;
/// How many connections may wait for their head at once: below any listener's backlog.
pub(crate) const IN_FLIGHT_MAX: usize = 256;
/// How long opening may go without a single head, in nanoseconds.
const HEAD_STALL_NS_MAX: u64 = 15_000_000_000;

/// Connections to one server, in classes.
pub(crate) struct Client {
    epoll: OwnedFd,
    classes: Vec<Class>,
    connections: Vec<Connection>,
    in_flight: usize,
    /// From `connect` to the whole head, of all connections.
    heads: Histogram,
    closed: usize,
    last_bytes_at_ns: u64,
    buffer: Vec<u8>,
    notices: Vec<epoll::Event>,
}

struct Connection {
    /// `None` after the server closed it.
    socket: Option<OwnedFd>,
    stream: Stream,
    class: usize,
    opened_at_ns: u64,
    /// What to ask for, as long as it has not been sent.
    target: Option<Box<Target>>,
}

/// Some connections to open.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) target: Target,
    /// The class that they belong to, by its index.
    pub(crate) class: usize,
    pub(crate) count: usize,
}

/// How the opening of connections went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Connected {
    /// From the first `connect` until every connection has its head, in nanoseconds.
    pub(crate) elapsed_ns: u64,
    /// From a connection's `connect` to its head.
    pub(crate) heads: Histogram,
}

impl Client {
    /// A client without connections.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            classes: Vec::new(),
            connections: Vec::new(),
            in_flight: 0,
            heads: Histogram::default(),
            closed: 0,
            last_bytes_at_ns: now_ns(),
            buffer: vec![0; BUFFER_BYTES],
            notices: Vec::with_capacity(NOTICES),
        })
    }

    /// Adds a class for connections to belong to, and returns its index.
    pub(crate) fn add_class(&mut self, class: Class) -> usize {
        self.classes.push(class);
        self.classes.len() - 1
    }

    /// A class, by its index.
    pub(crate) fn class(&self, class: usize) -> &Class {
        &self.classes[class]
    }

    /// A class, by its index.
    pub(crate) fn class_mut(&mut self, class: usize) -> &mut Class {
        &mut self.classes[class]
    }

    /// How many connections the server has closed.
    pub(crate) fn closed(&self) -> usize {
        self.closed
    }

    /// When bytes last arrived on any connection, `CLOCK_MONOTONIC`, in nanoseconds.
    pub(crate) fn last_bytes_at_ns(&self) -> u64 {
        self.last_bytes_at_ns
    }

    /// Opens connections, to several targets in turn, and waits until each has its head. At most
    /// `in_flight_max` wait for theirs at once; `look_on` is called after every step, with how
    /// many have it.
    ///
    /// # Errors
    ///
    /// When one is refused, closed or answered with anything but an event stream, or when for 15
    /// seconds no head arrives; and those of `look_on`.
    pub(crate) fn connect_all(
        &mut self,
        mut shares: Vec<Share>,
        in_flight_max: usize,
        look_on: &mut dyn FnMut(u64) -> Result<(), Error>,
    ) -> Result<Connected, Error> {
        let count: usize = shares.iter().map(|share| share.count).sum();
        let mut turn = 0;
        let mut open_next = |client: &mut Self| loop {
            let turns = shares.len();
            let share = &mut shares[turn % turns];
            turn += 1;
            // As long as connections are wanted, some share has them.
            if let Some(left) = share.count.checked_sub(1) {
                share.count = left;
                return client.open(&mut share.target, share.class);
            }
        };
        self.open_all(count, in_flight_max, &mut open_next, look_on)
    }

    /// Opens those connections again that were cut off, in no order, and waits until each has its
    /// head. Each asks for what came after the last event that it had.
    ///
    /// # Errors
    ///
    /// As [`connect_all`](Self::connect_all); and when one had no event with an id.
    pub(crate) fn reconnect_all(
        &mut self,
        target: &Target,
        in_flight_max: usize,
        look_on: &mut dyn FnMut(u64) -> Result<(), Error>,
    ) -> Result<Connected, Error> {
        let is_cut = |key: &usize| self.connections[*key].socket.is_none();
        let mut cut: Vec<usize> = (0..self.connections.len()).filter(is_cut).collect();
        fastrand::Rng::with_seed(7).shuffle(&mut cut);
        let count = cut.len();
        let mut opened = target.opened();
        let mut open_next = |client: &mut Self| {
            let key = cut.pop().ok_or("none is left to be opened")?;
            let Connection { stream, class, .. } = &client.connections[key];
            let id = stream.follower().last_id(&client.classes[*class]);
            let mut target = target.after(id.ok_or("it had no event with an id")?);
            target.set_opened(opened);
            opened += 1;
            client.reopen(key, target)
        };
        self.open_all(count, in_flight_max, &mut open_next, look_on)
    }

    /// Cuts off the first `connections` of all connections. Those that were cut before stay so.
    pub(crate) fn cut(&mut self, connections: usize) {
        for connection in self.connections.iter_mut().take(connections) {
            if connection.socket.take().is_some() {
                connection.stream.cut();
            }
        }
    }

    /// Sets how many events are expected on each connection of a class from now on.
    pub(crate) fn expect(&mut self, class: usize, events: u64) {
        let now_ns = now_ns();
        self.classes[class].expected.events = Some(events);
        self.classes[class].totals.complete = 0;
        for connection in self.connections.iter_mut().filter(|one| one.class == class) {
            connection.stream.expect_again(&mut self.classes[class], now_ns);
        }
    }

    /// How many events the connections of a class have each come to, that with the fewest and that
    /// with the most.
    pub(crate) fn reached(&self, class: usize) -> Option<(u64, u64)> {
        let own = self.connections.iter().filter(|connection| connection.class == class);
        let mut each = own.map(|one| one.stream.follower().reached(&self.classes[class]));
        let first = each.next()?;
        Some(each.fold((first, first), |(fewest, most), one| (fewest.min(one), most.max(one))))
    }

    fn open_all(
        &mut self,
        count: usize,
        in_flight_max: usize,
        open_next: &mut dyn FnMut(&mut Self) -> Result<(), Error>,
        look_on: &mut dyn FnMut(u64) -> Result<(), Error>,
    ) -> Result<Connected, Error> {
        let begun_at_ns = now_ns();
        let closed = self.closed;
        let mut heard_at_ns = begun_at_ns;
        let mut left = count;
        self.heads = Histogram::default();
        while left > 0 || self.in_flight > 0 {
            while left > 0 && self.in_flight < in_flight_max {
                left -= 1;
                open_next(self)?;
            }
            let heads = self.heads.total();
            self.pump(Duration::from_millis(100))?;
            if self.closed > closed {
                return Err("the server closed a connection while others were opened".into());
            }
            let now_ns = now_ns();
            if self.heads.total() > heads {
                heard_at_ns = now_ns;
            } else if now_ns - heard_at_ns > HEAD_STALL_NS_MAX {
                let message = format!("no response: {heads} of {count} connections have a head");
                return Err(message.into());
            }
            look_on(self.heads.total())?;
        }
        let heads = std::mem::take(&mut self.heads);
        Ok(Connected { elapsed_ns: now_ns() - begun_at_ns, heads })
    }

    fn open(&mut self, target: &mut Target, class: usize) -> Result<(), Error> {
        let opened_at_ns = now_ns();
        let key = self.connections.len();
        let (socket, is_waiting) = target
            .open(&self.epoll, key as u64)
            .map_err(|error| format!("connection {key}: {error}"))?;
        self.in_flight += 1;
        self.connections.push(Connection {
            socket: Some(socket),
            stream: Stream::new(&self.classes[class]),
            class,
            opened_at_ns,
            target: is_waiting.then(|| Box::new(target.clone())),
        });
        Ok(())
    }

    fn reopen(&mut self, key: usize, mut target: Target) -> Result<(), Error> {
        let connection = &mut self.connections[key];
        connection.opened_at_ns = now_ns();
        let (socket, is_waiting) = target
            .open(&self.epoll, key as u64)
            .map_err(|error| format!("connection {key}: {error}"))?;
        connection.socket = Some(socket);
        connection.target = is_waiting.then(|| Box::new(target));
        self.in_flight += 1;
        Ok(())
    }

    /// Waits for at most `timeout`, and takes what has arrived.
    ///
    /// # Errors
    ///
    /// When what arrived is not an event stream, or the system refuses.
    pub(crate) fn pump(&mut self, timeout: Duration) -> Result<(), Error> {
        let mut notices = std::mem::take(&mut self.notices);
        notices.clear();
        let timeout = timespec(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        let waited =
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut notices), Some(&timeout));
        match waited {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for notice in &notices {
            let key = notice.data.u64() as usize;
            self.attend(key, notice.flags).map_err(|error| format!("connection {key}: {error}"))?;
        }
        self.notices = notices;
        Ok(())
    }

    fn attend(&mut self, key: usize, flags: epoll::EventFlags) -> Result<(), Error> {
        let connection = &mut self.connections[key];
        let Some(socket) = &connection.socket else {
            return Ok(());
        };
        if let Some(target) = &connection.target {
            if flags.contains(epoll::EventFlags::OUT) && target.request(socket)? {
                connection.target = None;
            }
        }
        let is_ending = flags
            .intersects(epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR);
        loop {
            let received = match recv(socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((received, _)) => received,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(Errno::CONNRESET) if connection.stream.has_head() => 0,
                Err(error) => return Err(error.into()),
            };
            let now_ns = now_ns();
            if received == 0 {
                self.in_flight -= usize::from(!connection.stream.has_head());
                self.closed += 1;
                connection.socket = None;
                return Ok(());
            }
            self.last_bytes_at_ns = now_ns;
            let had_head = connection.stream.has_head();
            let class = &mut self.classes[connection.class];
            let events = class.totals.received();
            class.totals.bytes += received as u64;
            connection.stream.feed(class, &self.buffer[..received], now_ns)?;
            class.timeline.add(now_ns, class.totals.received() - events);
            if !had_head && connection.stream.has_head() {
                self.in_flight -= 1;
                self.heads.record(now_ns - connection.opened_at_ns);
            }
            if connection.stream.is_at_end() {
                self.closed += 1;
                connection.socket = None;
                return Ok(());
            }
            // What comes after this is announced by a new edge.
            if received < BUFFER_BYTES && !is_ending {
                return Ok(());
            }
        }
    }

    /// Ends all streams and counts what is missing from each. The connections stay open.
    pub(crate) fn finish(&mut self) {
        for connection in &mut self.connections {
            connection.stream.finish(&mut self.classes[connection.class]);
        }
    }

    /// All that a class has received so far.
    pub(crate) fn harvest(&self, class: usize) -> Harvest {
        let own = self.connections.iter().filter(|connection| connection.class == class);
        Harvest::of(&self.classes[class], own.map(|connection| connection.stream.received()))
    }
}
