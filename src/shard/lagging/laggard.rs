//! A connection that lags, with all that its steps need of the shard: how it is sent what waits for
//! it, batch by batch.
//!
//! A [`Laggard`] is made where a connection is found to lag, and lent to what is done with it. It
//! reaches no other connection, and no audience but that connection's. When its audience's queue
//! keeps less afterwards, the shard releases the audience (`transitions.rs`).

use crate::frame::{Frame, Wire, LAST_CHUNK};
use crate::gap::GapReason;
use crate::metrics::Counters;
use crate::options::Options;
use crate::order::Order;
use crate::policy::Policy;
use crate::shard::connection::pending::{Pending, Progress, FLUSH_BYTES_MAX};
use crate::shard::connection::record::Record;
use crate::shard::connection::sent::Sent;
use crate::shard::connection::Outlet;
use crate::shard::fanout::audience::Audience;
use crate::shard::lagging::spill::{Share, Spill};
use crate::shard::lagging::state::{Batch, Begun, Lagging, Missing};
use crate::shard::lagging::waiting::Shares;

pub(in crate::shard) struct Laggard<'a> {
    pub(in crate::shard) state: &'a mut Lagging,
    pub(in crate::shard) sink: Outlet<'a>,
    pub(in crate::shard) record: &'a mut Record,
    pub(in crate::shard) audience: &'a mut Audience,
    pub(in crate::shard) spill: &'a mut Spill,
    pub(in crate::shard) order: &'a Order,
    pub(in crate::shard) options: &'a Options,
    pub(in crate::shard) counters: &'a Counters,
    pub(in crate::shard) now_ns: &'a mut u64,
    pub(in crate::shard) scratch: &'a mut Vec<u8>,
    /// Whether its audience's queue keeps less than before.
    pub(in crate::shard) has_freed: bool,
}

/// What a laggard that has begun nothing is sent next.
enum Next {
    /// The event that tells it what it has missed.
    Gap(Missing),
    /// The number of events, at least one.
    Batch(usize),
    /// The end of its stream: it was sent everything, and all of its topics are finished.
    End,
}

impl Laggard<'_> {
    /// Sends what waits for it, until its socket takes no more or another connection is to be
    /// served.
    pub(in crate::shard) fn flush(&mut self) -> Progress {
        let mut budget = FLUSH_BYTES_MAX;
        let progress = loop {
            if budget == 0 {
                break Progress::Unfinished;
            }
            let sent = match self.state.begun {
                Begun::Pending(_) => self.send_pending(),
                Begun::Batch(batch) => self.send_batch(batch),
                Begun::End(sent) => self.send_end(sent),
                Begun::Nothing => match self.choose_next() {
                    Some(Next::Gap(missing)) => self.send_gap(missing),
                    Some(Next::Batch(events)) => self.send_batch(Batch { events, sent: 0 }),
                    Some(Next::End) => self.send_end(0),
                    None => break Progress::CaughtUp,
                },
            };
            match sent {
                Ok(bytes) => budget = budget.saturating_sub(bytes),
                Err(stopped) => break stopped,
            }
        };
        self.scratch.shrink_to(2 * FLUSH_BYTES_MAX);
        if matches!(progress, Progress::Blocked) {
            self.state.parked = false;
        }
        progress
    }

    /// Sends bytes that go before all events. Returns how many there were, if they were the last.
    fn send_pending(&mut self) -> Result<usize, Progress> {
        let Begun::Pending(pending) = &mut self.state.begun else { return Ok(0) };
        let sent = self.sink.send(pending.rest()).map_err(Progress::of)?;
        self.state.since_ms = ms(*self.now_ns);
        let Some(events) = pending.advance(sent) else { return Err(Progress::Blocked) };
        self.state.begun = Begun::Nothing;
        self.record.count_sent(events);
        Ok(sent)
    }

    /// Begins to tell it what it has missed.
    fn send_gap(&mut self, missing: Missing) -> Result<usize, Progress> {
        let (name, epoch) = (&self.options.gap_event, self.order.epoch());
        let block = missing.encode(name, epoch, self.audience.wire);
        let sent = match self.sink.send(&block) {
            Ok(sent) => sent,
            Err(error) => {
                self.state.missing = Some(missing);
                return Err(Progress::of(error));
            }
        };
        self.state.since_ms = ms(*self.now_ns);
        if sent == 0 {
            // It has not begun to be told, so that more may be added.
            self.state.missing = Some(missing);
            return Err(Progress::Blocked);
        }
        self.state.last = Some(missing.id());
        self.counters.count_gap(GapReason::Slow);
        if sent < block.len() {
            self.state.begun = Begun::Pending(Pending::new(&block, sent));
            return Err(Progress::Blocked);
        }
        Ok(sent)
    }

    /// Sends the rest of a batch, of which some bytes may have been sent. Returns how many there
    /// were, if they were the last.
    fn send_batch(&mut self, batch: Batch) -> Result<usize, Progress> {
        let Batch { events, sent: before } = batch;
        let Audience { queue, wire, .. } = &*self.audience;
        let bytes = match self.state.spill {
            Some(Share { list, from }) => {
                let frames = self.spill.frames(list)[from..from + events].iter();
                Frame::gather(frames, *wire, self.scratch)
            }
            None => {
                let from = self.state.position;
                queue.copy_for_laggard(from..from + events as u64, self.scratch)
            }
        };
        let whole = bytes.len();
        let sent = self.sink.send(&bytes[before..]).map_err(Progress::of)?;
        self.state.since_ms = ms(*self.now_ns);
        if before + sent < whole {
            self.state.begun = Begun::batch(events, before + sent);
            return Err(Progress::Blocked);
        }
        self.state.begun = Begun::Nothing;
        match self.state.spill {
            Some(share) => self.finish_spilled(share, events, whole),
            None => self.finish_queued(events, whole),
        }
        Ok(sent)
    }

    /// Sends the rest of the end of its stream, of which some bytes may have been sent.
    fn send_end(&mut self, before: usize) -> Result<usize, Progress> {
        if self.audience.wire == Wire::Plain {
            return Err(Progress::Finished);
        }
        let sent = self.sink.send(&LAST_CHUNK[before..]).map_err(Progress::of)?;
        self.state.since_ms = ms(*self.now_ns);
        self.state.begun = Begun::end(before + sent);
        match before + sent == LAST_CHUNK.len() {
            true => Err(Progress::Finished),
            false => Err(Progress::Blocked),
        }
    }

    /// What it is sent next; `None` when it has caught up. What has not been begun may as well be
    /// more by now, or less.
    fn choose_next(&mut self) -> Option<Next> {
        let waiting = self.audience.queue.end() - self.state.position;
        let alone = u64::from(self.state.spill.is_none());
        if waiting > alone && self.record.policy == Policy::Conflate && !self.state.parked {
            self.conflate(&mut Shares::default());
        }
        if let Some(missing) = self.state.missing.take() {
            return Some(Next::Gap(missing));
        }
        let bytes_max = self.options.batch_bytes_max;
        if let Some(share) = self.state.spill {
            return Some(Next::Batch(self.spill.batch_events(share, bytes_max)));
        }
        let from = self.state.position;
        let events = (self.audience.queue.reach(from, bytes_max) - from) as usize;
        match events {
            0 => self.audience.is_complete().then_some(Next::End),
            _ => Some(Next::Batch(events)),
        }
    }

    /// It was sent a whole batch of the spill, of `bytes` bytes with its chunk's head and tail.
    fn finish_spilled(&mut self, share: Share, events: usize, bytes: usize) {
        let spilled = &self.spill.frames(share.list)[share.from..];
        let batch = &spilled[..events];
        let (at_ns, last) = (batch.first().map(Frame::at_ns), batch.last().map(Frame::stream_id));
        let plain = batch.iter().map(|frame| frame.plain().len() as u64).sum();
        let is_all = events == spilled.len();
        self.state.last = last;
        self.state.spill = Some(Share { from: share.from + events, ..share });
        self.count_delivered(events, at_ns, bytes);
        self.record.count_sent(Sent { events: events as u64, bytes: plain });
        if is_all {
            self.release_spill();
        }
    }

    /// It was sent a whole batch of the queue, of `bytes` bytes with its chunk's head and tail.
    fn finish_queued(&mut self, events: usize, bytes: usize) {
        let (from, to) = (self.state.position, self.state.position + events as u64);
        let at_ns = self.audience.queue.published_at_ns(from);
        self.count_delivered(events, at_ns, bytes);
        self.state.last = self.audience.queue.id_before(to);
        self.move_to(to);
    }

    fn count_delivered(&mut self, events: usize, published_at_ns: Option<u64>, bytes: usize) {
        *self.now_ns = self.order.now_ns();
        let latency_ns = self.now_ns.saturating_sub(published_at_ns.unwrap_or(*self.now_ns));
        self.counters.count_delivered(events as u64, bytes, latency_ns, 1);
    }

    /// It needs what its audience's queue has from a position on, and has begun nothing of that.
    pub(in crate::shard) fn move_to(&mut self, position: u64) {
        let left = std::mem::replace(&mut self.state.position, position);
        let queue = &mut self.audience.queue;
        let before = queue.lag_bytes();
        queue.add_laggard(position);
        queue.remove_laggard(left);
        let after = queue.lag_bytes();
        self.counters.lag_bytes.change(before, after);
        self.has_freed |= after < before;
    }

    /// What it was sent since its stream began.
    pub(in crate::shard) fn sent(&self) -> Sent {
        self.record.base() + self.state.sent(self.audience, self.spill)
    }

    /// Notes what it was sent since its stream began, after it was moved.
    pub(in crate::shard) fn begin_count(&mut self, sent: Sent) {
        let moved = self.state.sent(self.audience, self.spill);
        self.record.set_base(sent - moved);
    }
}

/// Milliseconds, as entries keep them: they wrap.
fn ms(ns: u64) -> u32 {
    (ns / 1_000_000) as u32
}
