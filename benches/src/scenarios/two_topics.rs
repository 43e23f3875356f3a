//! Clients that follow two topics each: one that all share, and one of many others.
//!
//! No two topics' clients receive the same bytes, so nothing can be compared with a log: every
//! event is parsed, and its number tells its topic and its position in the order of all events.

use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{recv, RecvFlags};

use crate::clients::body::Body;
use crate::clients::sse::{block_len, numbered_lines, read_block, Block, Numbered};
use crate::clients::stream::read_head;
use crate::clock::{now_ns, thread_cpu_ns, timespec};
use crate::histogram::Histogram;
use crate::load::Load;
use crate::metric::Measured;
use crate::scenarios::run::{RunArgs, Server, SETTLE};
use crate::scenarios::streaming::{
    add_counts, add_deliveries, add_memory, check_published, Flow, Moment, LINGER, REPORT_PATIENCE,
    STALL_NS_MAX,
};
use crate::schedule::{first_of, is_own, Positions, Schedule};
use crate::timeline::Timeline;
use crate::Error;

/// The longest block that is accepted, in bytes.
const BLOCK_BYTES_MAX: usize = 1 << 20;
const BUFFER_BYTES: usize = 256 * 1024;
/// How many connections may wait for their head at once: below any listener's backlog.
const IN_FLIGHT_MAX: usize = 256;
/// How long opening may go without a single head, in nanoseconds.
const HEAD_STALL_NS_MAX: u64 = 15_000_000_000;
const TURN_NS: u64 = 100_000_000;
const NOTICES: usize = 1024;

/// Connects all clients, has the subject publish to all topics, and checks every delivery.
pub(crate) fn stream(args: &RunArgs, server: &mut Server, load: &Load) -> Result<Measured, Error> {
    let deadline_ns = args.deadline_ns();
    let schedule = Schedule::new(load);
    let mut clients = Clients::new(schedule, load.bytes)?;
    let connect_ns = clients.connect(server, load)?;
    clients.pump_for(SETTLE.as_nanos() as u64)?;

    let before = Moment::now(server, thread_cpu_ns(), clients.bytes)?;
    server.go()?;
    while clients.complete < load.clients {
        clients.pump(TURN_NS)?;
        clients.check_on(before.at_ns, deadline_ns)?;
    }
    let after = Moment::now(server, thread_cpu_ns(), clients.bytes)?;
    let done = server.done(REPORT_PATIENCE)?;
    check_published(&done, load)?;
    clients.pump_for(LINGER.as_nanos() as u64)?;
    if !clients.faults.is_none() || clients.closed > 0 {
        return Err(clients.said("wrong deliveries").into());
    }

    let mut latency = clients.shared.clone();
    latency.merge(&clients.own);
    let delivered = latency.total();
    let flow = Flow {
        received: delivered,
        parsed: delivered,
        other: 0,
        first_stamp_ns: clients.first_stamp_ns,
        last_at_ns: clients.last_at_ns,
        each: None,
        latency: &latency,
        timeline: &clients.timeline,
    };
    let mut measured = Measured::default();
    add_deliveries(&mut measured, &flow, &before, &after);
    add_own(&mut measured, &clients);
    measured.add_ns("publish_elapsed_ns", "publishing took", done.elapsed_ns);
    let published = done.published.max(1) as f64;
    let each_ns = done.cpu_ns as f64 / published;
    measured.add_count("events_published", "events published", published);
    measured.add(
        "server_cpu_per_event_ns",
        "server CPU/published event",
        crate::metric::Unit::Nanoseconds,
        each_ns,
    );
    add_memory(&mut measured, server)?;
    measured.add_ns("connect_ns", "all have their head", connect_ns);
    add_counts(&mut measured, &done);
    Ok(measured)
}

fn add_own(measured: &mut Measured, clients: &Clients) {
    let (shared, own) = (&clients.shared, &clients.own);
    measured.add_count("own_deliveries", "own topic: deliveries", own.total() as f64);
    measured.add_ns("own_latency_p50_ns", "own topic: latency p50", own.percentile_ns(50.0));
    measured.add_ns("own_latency_p99_ns", "own topic: latency p99", own.percentile_ns(99.0));
    measured.add_ns("own_latency_max_ns", "own topic: latency max", own.max_ns());
    let p50_ns = shared.percentile_ns(50.0);
    measured.add_ns("shared_latency_p50_ns", "shared topic: latency p50", p50_ns);
    let p99_ns = shared.percentile_ns(99.0);
    measured.add_ns("shared_latency_p99_ns", "shared topic: latency p99", p99_ns);
    measured.pooled.push(("own topic's latency", own.clone()));
    measured.pooled.push(("shared topic's latency", shared.clone()));
}

/// All clients, and what they received.
struct Clients {
    epoll: OwnedFd,
    followers: Vec<Follower>,
    positions: Positions,
    /// How many events come to each topic, and to the shared one.
    own_events: Vec<u64>,
    shared_events: u64,
    data_bytes: usize,
    /// Publish to receive, of events to the shared topic and to others.
    shared: Histogram,
    own: Histogram,
    faults: Faults,
    heads: usize,
    complete: usize,
    closed: usize,
    first_stamp_ns: Option<u64>,
    last_at_ns: u64,
    bytes: u64,
    /// When the events arrived.
    timeline: Timeline,
    buffer: Vec<u8>,
}

/// One client.
struct Follower {
    /// `None` after the server closed it.
    socket: Option<OwnedFd>,
    /// What to send when the socket is writable, if it was not sent at once.
    request: Option<crate::clients::connect::Target>,
    head: Vec<u8>,
    body: Option<Body>,
    /// The beginning of a block.
    tail: Vec<u8>,
    place: Place,
}

/// How far one client has come.
#[derive(Clone, Copy, Debug)]
struct Place {
    topic: usize,
    next_shared: u64,
    next_own: u64,
    /// Of the next event, at least, in the order of all.
    next: u64,
}

/// Counts of what must not happen, over all clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Faults {
    lost: u64,
    /// Came again, or after a later event of its topic.
    doubled: u64,
    /// Came after an event that was published later, to the other topic.
    reordered: u64,
    malformed: u64,
    /// Of a topic that the client did not ask for, or not the benchmark's at all.
    misdirected: u64,
}

impl Faults {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Place {
    fn new(topic: usize) -> Self {
        Self { topic, next_shared: 0, next_own: first_of(topic), next: 0 }
    }

    /// Judges the number of an event that came next; whether it counts as delivered.
    fn take(&mut self, number: u64, positions: &Positions, faults: &mut Faults) -> bool {
        let Some((topic, place)) = positions.find(number) else {
            faults.misdirected += 1;
            return false;
        };
        if topic.is_some_and(|topic| topic != self.topic) {
            faults.misdirected += 1;
            return false;
        }
        let next = if topic.is_some() { &mut self.next_own } else { &mut self.next_shared };
        if number < *next {
            faults.doubled += 1;
            return false;
        }
        faults.lost += number - *next;
        *next = number + 1;
        if place < self.next {
            faults.reordered += 1;
        }
        self.next = self.next.max(place + 1);
        true
    }
}

impl Clients {
    fn new(schedule: Schedule, data_bytes: usize) -> Result<Self, Error> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            followers: Vec::new(),
            positions: Positions::new(schedule),
            own_events: schedule.by_topic(),
            shared_events: schedule.shared(),
            data_bytes,
            shared: Histogram::default(),
            own: Histogram::default(),
            faults: Faults::default(),
            heads: 0,
            complete: 0,
            closed: 0,
            first_stamp_ns: None,
            last_at_ns: 0,
            bytes: 0,
            timeline: Timeline::default(),
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Opens all connections and waits until each has its head; how long that took, in
    /// nanoseconds.
    fn connect(&mut self, server: &Server, load: &Load) -> Result<u64, Error> {
        let begun_at_ns = now_ns();
        let mut heard_at_ns = begun_at_ns;
        let mut opener = server.target_with_topic(0)?;
        while self.heads < load.clients {
            while self.followers.len() < load.clients
                && self.followers.len() - self.heads < IN_FLIGHT_MAX
            {
                let client = self.followers.len();
                let topic = client % load.topics;
                opener = opener.asking_like(&server.target_with_topic(topic)?);
                let (socket, is_waiting) = opener.open(&self.epoll, client as u64)?;
                self.followers.push(Follower {
                    socket: Some(socket),
                    request: is_waiting.then(|| opener.clone()),
                    head: Vec::new(),
                    body: None,
                    tail: Vec::new(),
                    place: Place::new(topic),
                });
            }
            let heads = self.heads;
            self.pump(TURN_NS)?;
            if self.closed > 0 {
                return Err("the server closed a connection while others were opened".into());
            }
            if self.heads > heads {
                heard_at_ns = now_ns();
            } else if now_ns() - heard_at_ns > HEAD_STALL_NS_MAX {
                let of = load.clients;
                return Err(format!("no response: {heads} of {of} connections have a head").into());
            }
        }
        Ok(now_ns() - begun_at_ns)
    }

    fn pump_for(&mut self, span_ns: u64) -> Result<(), Error> {
        let end_ns = now_ns() + span_ns;
        loop {
            let left_ns = end_ns.saturating_sub(now_ns());
            if left_ns == 0 {
                return Ok(());
            }
            self.pump(left_ns)?;
        }
    }

    /// Waits for at most `timeout_ns`, and takes what has arrived.
    fn pump(&mut self, timeout_ns: u64) -> Result<(), Error> {
        let mut notices: Vec<epoll::Event> = Vec::with_capacity(NOTICES);
        let buffer = rustix::buffer::spare_capacity(&mut notices);
        match epoll::wait(&self.epoll, buffer, Some(&timespec(timeout_ns))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for notice in &notices {
            let client = notice.data.u64() as usize;
            self.attend(client, notice.flags)
                .map_err(|error| format!("connection {client}: {error}"))?;
        }
        Ok(())
    }

    fn attend(&mut self, client: usize, flags: epoll::EventFlags) -> Result<(), Error> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = self.receive(client, flags, &mut buffer);
        self.buffer = buffer;
        outcome
    }

    fn receive(
        &mut self,
        client: usize,
        flags: epoll::EventFlags,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        loop {
            let follower = &mut self.followers[client];
            let Some(socket) = &follower.socket else { return Ok(()) };
            if let Some(target) = &follower.request {
                if flags.contains(epoll::EventFlags::OUT) && target.request(socket)? {
                    follower.request = None;
                }
            }
            let received = match recv(socket, &mut *buffer, RecvFlags::empty()) {
                Ok((received, _)) => received,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(Errno::CONNRESET) if follower.body.is_some() => 0,
                Err(error) => return Err(error.into()),
            };
            if received == 0 {
                self.closed += 1;
                follower.socket = None;
                return Ok(());
            }
            self.bytes += received as u64;
            self.feed(client, &buffer[..received])?;
        }
    }

    fn feed(&mut self, client: usize, bytes: &[u8]) -> Result<(), Error> {
        let now_ns = now_ns();
        let follower = &mut self.followers[client];
        if let Some(body) = follower.body.take() {
            return self.feed_body(client, body, bytes, now_ns);
        }
        follower.head.extend_from_slice(bytes);
        let Some((head_bytes, body)) = read_head(&follower.head)? else { return Ok(()) };
        let head = std::mem::take(&mut follower.head);
        self.heads += 1;
        self.feed_body(client, body, &head[head_bytes..], now_ns)
    }

    fn feed_body(
        &mut self,
        client: usize,
        mut body: Body,
        mut bytes: &[u8],
        now_ns: u64,
    ) -> Result<(), Error> {
        let mut tail = std::mem::take(&mut self.followers[client].tail);
        loop {
            let run = body.take(&mut bytes)?;
            if run.is_empty() {
                break;
            }
            if tail.is_empty() {
                tail = self.walk(client, run, now_ns)?.to_vec();
            } else {
                tail.extend_from_slice(run);
                let rest = self.walk(client, &tail, now_ns)?.len();
                tail.drain(..tail.len() - rest);
            }
        }
        let follower = &mut self.followers[client];
        follower.tail = tail;
        follower.body = Some(body);
        Ok(())
    }

    /// Judges all whole blocks, and returns what is left.
    fn walk<'a>(
        &mut self,
        client: usize,
        mut bytes: &'a [u8],
        now_ns: u64,
    ) -> Result<&'a [u8], Error> {
        while let Some(block_bytes) = block_len(bytes) {
            let (block, rest) = bytes.split_at(block_bytes);
            bytes = rest;
            match read_block(block, now_ns) {
                Block::Silent => {}
                Block::Other => self.faults.misdirected += 1,
                Block::Numbered(event) => self.judge(client, event, now_ns),
                Block::Joined => {
                    for event in numbered_lines(block, now_ns) {
                        self.judge(client, event, now_ns);
                    }
                }
            }
        }
        if bytes.len() > BLOCK_BYTES_MAX {
            return Err("an event block without an end".into());
        }
        Ok(bytes)
    }

    fn judge(&mut self, client: usize, event: Numbered, now_ns: u64) {
        let place = &mut self.followers[client].place;
        if !place.take(event.number, &self.positions, &mut self.faults) {
            return;
        }
        let is_complete = place.next_shared == self.shared_events
            && place.next_own == first_of(place.topic) + self.own_events[place.topic];
        self.complete += usize::from(is_complete);
        if event.data_bytes != self.data_bytes || !event.padding_is_whole {
            self.faults.malformed += 1;
        }
        let latency = if is_own(event.number) { &mut self.own } else { &mut self.shared };
        latency.record(now_ns.saturating_sub(event.stamp_ns));
        let first_ns = self.first_stamp_ns.get_or_insert(event.stamp_ns);
        *first_ns = event.stamp_ns.min(*first_ns);
        self.last_at_ns = now_ns;
        self.timeline.add(now_ns, 1);
    }

    /// Fails a run that cannot succeed any more, or takes too long.
    fn check_on(&self, begun_at_ns: u64, deadline_ns: u64) -> Result<(), Error> {
        let now_ns = now_ns();
        let silent_ns = now_ns.saturating_sub(self.last_at_ns.max(begun_at_ns));
        let what = if self.closed > 0 {
            format!("the server closed {} connections", self.closed)
        } else if silent_ns > STALL_NS_MAX {
            format!("nothing arrived for {} s", silent_ns / 1_000_000_000)
        } else if now_ns > deadline_ns {
            "the run took too long (--limit-seconds)".to_owned()
        } else {
            return Ok(());
        };
        Err(self.said(&what).into())
    }

    fn said(&self, what: &str) -> String {
        let delivered = self.shared.total() + self.own.total();
        let (complete, faults, closed) = (self.complete, self.faults, self.closed);
        format!(
            "{what}; {delivered} events delivered, {complete} clients complete, {closed} closed, \
             {faults:?}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Settings;

    fn positions() -> Positions {
        let settings =
            Settings { events: Some(4), topics: Some(2), singles: Some(2), ..Settings::default() };
        Positions::new(Schedule::new(&settings.load().unwrap()))
    }

    fn judge(numbers: &[u64]) -> (Place, Faults) {
        let (mut place, mut faults) = (Place::new(1), Faults::default());
        for number in numbers {
            place.take(*number, &positions(), &mut faults);
        }
        (place, faults)
    }

    #[test]
    fn a_client_of_two_topics_is_held_to_the_order_of_both() {
        let own = first_of(1);
        let (place, faults) = judge(&[0, own, 1, own + 1, 2, own + 2, 3, own + 3]);
        assert!(faults.is_none(), "{faults:?}");
        assert_eq!((place.next_shared, place.next_own), (4, own + 4));
        let none = Faults::default();
        for (numbers, faults) in [
            (&[0, own, 2][..], Faults { lost: 1, ..none }),
            (&[0, own + 1], Faults { lost: 1, ..none }),
            (&[0, own, own], Faults { doubled: 1, ..none }),
            (&[0, 1, 1], Faults { doubled: 1, ..none }),
            (&[0, 1, own], Faults { reordered: 1, ..none }),
            (&[first_of(0)], Faults { misdirected: 1, ..none }),
            (&[77], Faults { misdirected: 1, ..none }),
        ] {
            assert_eq!(judge(numbers).1, faults, "{numbers:?}");
        }
    }
}
