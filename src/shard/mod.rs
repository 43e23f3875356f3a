//! The hot path.
//!
//! A send of one event to one client is a system call of 7 to 10 microseconds in any program, so
//! one that sends event by event delivers about 100,000 a second, however clever it is.
//! The only way out is to send several events with one call. Waiting for several would cost
//! latency. So a shard never waits, and lets the work itself make time for gathering:
//!
//! > The members of an audience are served in rounds. Each time, a member is sent all that was
//! > published since its last turn, with one call.
//!
//! An idle audience is sent a new event at once, as the frame that the publisher encoded. Under
//! load the events of the time that a round takes become one batch, which slides along the
//! audience's queue: each event is copied into it once for all members, and is sent to the very
//! next member after it came, wherever the round is. So an event reaches every member within one
//! round of its being published, and the batches grow by themselves until the topic's backlog is
//! full; from there on the publisher is made to wait.
//!
//! Four more decisions make the rest:
//!
//! - **A round is cut into slices**, and the slices of all audiences take turns, with accepts and
//!   readiness in between. Audiences with an event for few connections are in an express queue,
//!   which has every other slice (`fanout/scheduler.rs`). So a message to one client does not wait
//!   behind a broadcast to 100,000, nor behind 10,000 audiences of one member.
//! - **A member that takes everything has no position.** Members that were sent the same are
//!   neighbours in their audience's ring, which keeps one position for all of them
//!   (`fanout/ring.rs`). Only a short write makes a laggard, with a position of its own
//!   (`lagging`).
//! - **One owner, no lock.** A shard's connections are its own. The hub's lock is taken when an
//!   audience begins here or a topic loses its last one; the inbox's lock once for all that is in
//!   it.
//! - **Registered once.** A socket is in the poller for both directions, edge-triggered, from its
//!   first moment to its last; no call tells the poller anything in between.
//!
//! Everything here is driven from outside (`drive.rs`) by [`Shard::turn`], which never blocks.

mod admin;
#[cfg(feature = "internals")]
mod checksum;
mod connection;
mod counted;
mod end;
mod entry;
mod fanout;
mod lagging;
mod link;
mod memory;
mod peak;
mod replay;
mod shutdown;
#[cfg(any(test, feature = "internals"))]
pub(crate) mod sinks;
mod spread;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use self::admin::query::RunningQuery;
use self::connection::connections::Connections;
use self::connection::expiries::Expiries;
use self::connection::pulls::Outgoing;
use self::connection::timers::Timers;
use self::fanout::audience::Audience;
use self::fanout::audiences::Audiences;
use self::fanout::scheduler::{Lane, Scheduler, SLICE};
use self::lagging::grace::Grace;
use self::lagging::spill::Spill;
use self::lagging::state::Begun;
use self::peak::Peak;
use self::replay::parts::Parts;
use self::shutdown::Shutdown;
use crate::frame::Wire;
use crate::order::Published;
use crate::sys::{Poller, Readiness, Waker};
use crate::waker::ShardWaker;

pub(crate) use self::admin::drain::Drain;
pub(crate) use self::admin::query::{Answer, Census, Query, QueryRequest};
pub(crate) use self::connection::peer::{Awaited, Peer};
pub(crate) use self::entry::adopted::{Adopted, Refused, Reply};
pub(crate) use self::entry::handshake::{
    Acceptor, Content, ContentStep, Handshake, HandshakeStep, StreamRequest,
};
pub(crate) use self::entry::limits::{
    descriptors_for_connections, ConnectionLimits, Exceeded, SubscriptionLimits,
};
pub(crate) use self::entry::pull_request::{Beyond, PullRequest};
pub(crate) use self::entry::spares::{Spares, SPARES};
pub(crate) use self::entry::told::Told;
pub(crate) use self::link::{Authorizations, Command, Link, Shared};

/// What is sent before the shard looks at its sockets, in units of [`cost_of`].
const TURN: usize = 4 * SLICE;

/// One thread's, or one future's, share of the connections.
pub(crate) struct Shard {
    id: usize,
    shared: Arc<Shared>,
    poller: Poller,
    ready: Vec<Readiness>,
    acceptors: Slab<Arc<Acceptor>>,
    connections: Connections,
    audiences: Audiences,
    scheduler: Scheduler,
    /// How long audiences may still be held for laggards.
    grace: Grace,
    timers: Timers,
    expiries: Expiries,
    peak: Peak,
    /// The last number that was taken from the inbox.
    taken_to: u64,
    /// What was gathered of history lately.
    parts: Parts,
    /// What is kept for laggards outside of their audiences' queues.
    spill: Spill,
    now_ns: u64,
    shutdown: Shutdown,
    /// What the host asks, and is being answered.
    queries: VecDeque<RunningQuery>,
    scratch: Scratch,
}

/// Buffers that are kept from one use to the next, so that their memory is reused.
struct Scratch {
    /// What was in the inbox.
    inbox: Vec<Arc<Published>>,
    /// What a client has sent.
    received: Box<[u8]>,
    /// The bytes of several events, for one connection or for those that replay a part.
    gathered: Vec<u8>,
}

/// When a shard is to have its next turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// At once: there is more to do.
    Now,
    /// When its poller or its inbox has something, or at the latest after this time.
    Wait(Option<Duration>),
    /// Never: the hub is closed and no connection is left.
    Never,
}

impl Scratch {
    fn new() -> Scratch {
        Scratch { inbox: Vec::new(), received: Scratch::receiving(), gathered: Vec::new() }
    }

    /// Space for what a client sends.
    fn receiving() -> Box<[u8]> {
        vec![0; 16 << 10].into_boxed_slice()
    }
}

impl Shard {
    pub(crate) fn new(id: usize, shared: Arc<Shared>, poller: Poller) -> Shard {
        Shard {
            id,
            poller,
            ready: Vec::new(),
            acceptors: Slab::new(),
            connections: Connections::new(),
            audiences: Audiences::new(
                id,
                shared.tuning.ring_runs_max,
                shared.options.batch_bytes_max,
            ),
            scheduler: Scheduler::default(),
            grace: Grace::default(),
            timers: Timers::new(&shared.options),
            expiries: Expiries::default(),
            peak: Peak::new(&shared.tuning),
            taken_to: 0,
            parts: Parts::default(),
            spill: Spill::default(),
            now_ns: 0,
            shutdown: Shutdown::default(),
            queries: VecDeque::new(),
            scratch: Scratch::new(),
            shared,
        }
    }

    /// Does a bounded share of the work that there is, and never blocks.
    pub(crate) fn turn(&mut self) -> io::Result<Next> {
        self.poll(Some(Duration::ZERO))?;
        Ok(self.work())
    }

    /// Waits for something to do, and does a bounded share of it.
    pub(crate) fn turn_after(&mut self, timeout: Option<Duration>) -> io::Result<Next> {
        if self.park() {
            let polled = self.poll(timeout);
            self.unpark();
            polled?;
        }
        Ok(self.work())
    }

    /// Announces that the shard does not look at the inbox until the poller wakes up; false when
    /// there is something to do at once.
    pub(crate) fn park(&self) -> bool {
        let link = self.link();
        let parked = link.inbox.park();
        // Once the shard knows that the hub closes, it sleeps as before, until laggards can be sent
        // more.
        let closes = self.shared.closing.load(Ordering::SeqCst) && !self.shutdown.is_closing();
        let idle = link.orders.is_empty()
            && link.told.is_empty()
            && !closes
            && !self.has_news_of_a_drain();
        if parked && !idle {
            link.inbox.unpark();
        }
        parked && idle
    }

    pub(crate) fn unpark(&self) {
        self.link().inbox.unpark();
    }

    /// What wakes the shard once it is parked.
    pub(crate) fn waker(&self) -> &ShardWaker<Waker> {
        self.link().inbox.waker()
    }

    pub(crate) fn poller(&self) -> &Poller {
        &self.poller
    }

    fn poll(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.poller.wait(timeout, &mut self.ready)
    }

    fn work(&mut self) -> Next {
        self.now_ns = self.shared.order.now_ns();
        self.parts.begin_turn();
        // Looked at before the inbox is: whatever was published before the hub was closed is in it.
        if self.shared.closing.load(Ordering::SeqCst) && !self.shutdown.is_closing() {
            self.shutdown.begin_to_close(self.now_ns);
            self.close_acceptors();
            self.audiences.end_all_spread(&mut self.scheduler);
            self.count_spread();
        }
        if self.has_news_of_a_drain() {
            self.begin_to_drain();
        }
        self.handle_readiness();
        self.handle_commands();
        self.handle_told();
        self.send();
        let spread = self.send_spread();
        let farewells = self.send_away();
        let endings = self.has_ended_some() && (self.end_finished() | self.end_lingerers());
        let queries = self.answer_queries();
        let expiring = self.end_expired();
        self.resume_unfinished();
        self.handle_timers();
        let busy = !self.scheduler.is_idle()
            || self.sweep_is_due()
            || farewells
            || endings
            || queries
            || spread
            || expiring
            || !self.link().told.is_empty();
        match self.shutdown.flush_until_ns() {
            Some(until_ns) => self.next_while_closing(busy, until_ns),
            None if busy => Next::Now,
            None => {
                self.connections.pulls.forget_shared();
                Next::Wait(self.next_timer())
            }
        }
    }

    /// A closed hub still sends what was published to all that take it, for a while.
    fn next_while_closing(&mut self, busy: bool, until_ns: u64) -> Next {
        let counters = &self.link().counters;
        let behind = [&counters.lagging_connections, &counters.replaying_connections];
        let lagging = behind.iter().any(|count| count.value() > 0) || self.scheduler.is_holding();
        match until_ns.checked_sub(self.now_ns) {
            Some(_) if busy => Next::Now,
            Some(left_ns) if lagging => {
                let left = Duration::from_nanos(left_ns);
                Next::Wait(Some(self.next_timer().map_or(left, |timer| timer.min(left))))
            }
            _ => {
                self.close_all();
                Next::Never
            }
        }
    }

    /// Sends slices of rounds, of all audiences in turn, until the turn is over.
    fn send(&mut self) {
        let mut cost = 0;
        while cost < TURN {
            self.take_inbox();
            let Some((audience, lane)) = self.next_audience() else { break };
            let slice = self.send_slice(audience);
            self.scheduler.spend(lane, slice);
            cost += slice;
        }
    }

    /// Empties the inbox into the audiences of each event's topic.
    fn take_inbox(&mut self) {
        let mut taken = std::mem::take(&mut self.scratch.inbox);
        self.link().inbox.take(&mut taken);
        self.taken_to = taken.last().map_or(self.taken_to, |published| published.sequence());
        for published in taken.drain(..) {
            self.audiences.append(&self.shared.order, &published, &mut self.scheduler);
        }
        taken.shrink_to(1024);
        self.scratch.inbox = taken;
    }

    /// The audience that is served next, and the queue that it was in.
    fn next_audience(&mut self) -> Option<(u32, Lane)> {
        loop {
            let (key, lane) = self.scheduler.next()?;
            // It may have ended since, or have been sent all it had from the other queue.
            let Some(audience) = self.audiences.get_mut(key) else { continue };
            audience.queued.leave(lane);
            if audience.has_work() && !audience.held && self.keep_lag_within_bounds(key) {
                return Some((key.index, lane));
            }
        }
    }

    /// Sends the next members of an audience what they have not been sent, and returns what that
    /// cost.
    fn send_slice(&mut self, index: u32) -> usize {
        let (bytes_max, audience) =
            (self.shared.options.batch_bytes_max, &mut self.audiences[index]);
        let (from, to) = match audience.parked_from {
            None => audience.next_batch(bytes_max),
            Some(_) => {
                self.readmit(index);
                self.audiences[index].next_batch(bytes_max)
            }
        };
        let (sends, cost) = self.send_batch(index, from..to, usize::MAX, true);
        self.end_slice(index, to);
        sends.max(1) * cost
    }

    /// Sends the next members of an audience, at most a number of them, a batch that is not before
    /// what any other was sent; whether its time counts as latency is said. Returns how many were
    /// sent it, and what it costs to send it to one.
    #[inline(always)]
    fn send_batch(
        &mut self,
        index: u32,
        Range { start: from, end: to }: Range<u64>,
        count_max: usize,
        is_timed: bool,
    ) -> (usize, usize) {
        let (key, audience) = self.audiences.entry_mut(index);
        debug_assert!(from < to, "an empty chunk would be the end of the stream");
        let begins = audience.begins(to);
        let Audience { queue, ring, wire, .. } = audience;
        let window_bytes = queue.window_bytes();
        let is_shared = *wire == Wire::Plain && !self.connections.pulls.is_empty();
        let (alone, shared) = match is_shared {
            false => (None, None),
            true => (queue.alone(from..to), self.connections.pulls.shared(key, &(from..to))),
        };
        let batch = queue.bytes(from..to);
        let (cost, bytes) = (cost_of(batch), batch.len());
        let mut batch = Outgoing::batch(batch, alone, shared);
        let sends_max = (SLICE / cost).max(1).min(count_max);
        let (mut short, mut broken) = (Vec::new(), Vec::new());
        // After members have come and gone their entries are in no order, and seldom in a cache.
        // Looked at together, the misses overlap instead of each delaying a send of its own.
        for member in ring.upcoming(sends_max) {
            std::hint::black_box(self.connections[member].sink.socket().is_some());
        }
        let sends = ring.serve(to, sends_max, |member, slot| {
            match self.connections.serve(member, slot, &mut batch) {
                Ok(sent) if sent == bytes => {}
                Ok(sent) => short.push((member, sent)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => short.push((member, 0)),
                Err(error) => broken.push((member, error)),
            }
        });
        if is_shared {
            self.connections.pulls.keep_shared(key, from..to, batch.into_shared());
        }
        let window_bytes_now = queue.window_bytes();
        self.audiences.count_window(window_bytes, window_bytes_now);
        self.link().counters.batches.add(u64::from(begins));
        let whole = sends - short.len() - broken.len();
        match is_timed {
            true => self.count_delivered(index, from..to, bytes, whole),
            false => self.link().counters.count_untimed(to - from, bytes, whole as u64),
        }
        let events = (to - from) as usize;
        for (member, sent) in short {
            self.fall_behind(member, from, Begun::batch(events, sent));
        }
        for (member, error) in broken {
            // So that nothing of the batch counts as sent to it.
            self.fall_behind(member, from, Begun::Nothing);
            self.lose(member, &error);
        }
        (sends, cost)
    }

    /// After a slice: its audience rests, or queues for the next one.
    fn end_slice(&mut self, index: u32, to: u64) {
        let now_ms = self.now_ms();
        // With its last member the audience may be gone.
        if self.audiences.at(index).is_none() {
            return;
        }
        let windows_full = self.windows_are_full();
        self.change_queue(index, |audience| {
            if audience.ring.is_empty() {
                audience.queue.advance(to);
            }
            audience.settle();
            if windows_full {
                audience.queue.close_window();
            }
        });
        let (key, audience) = self.audiences.entry_mut(index);
        if audience.has_work() {
            self.scheduler.enqueue(key, &mut audience.queued, Lane::Bulk);
        } else {
            audience.quiet_since_ms = now_ms;
        }
    }

    fn windows_are_full(&self) -> bool {
        self.audiences.window_bytes() > self.shared.tuning.windows_bytes_max
    }

    /// Counts that `connections` connections took a batch, and how long its events took.
    fn count_delivered(
        &mut self,
        audience: u32,
        batch: Range<u64>,
        bytes: usize,
        connections: usize,
    ) {
        let published_at_ns = self.audiences[audience].queue.published_at_ns(batch.start);
        self.now_ns = self.shared.order.now_ns();
        let latency_ns = self.now_ns.saturating_sub(published_at_ns.unwrap_or(self.now_ns));
        let (events, connections) = (batch.end - batch.start, connections as u64);
        self.link().counters.count_delivered(events, bytes, latency_ns, connections);
    }

    fn link(&self) -> &Link {
        &self.shared.links[self.id]
    }

    /// Milliseconds since the hub's start, as entries keep them: they wrap after 49 days, so
    /// that only differences mean something.
    fn now_ms(&self) -> u32 {
        (self.now_ns / 1_000_000) as u32
    }
}

/// What it costs to send `bytes` bytes to one client: the system call costs 1, and so does copying
/// 8 KiB.
fn cost_of(bytes: &[u8]) -> usize {
    1 + bytes.len() / (8 << 10)
}
