//! Connections whose sockets did not take all there was for them.
//!
//! A short write takes a member out of its audience's ring and gives it a position of its own, and
//! a batch with an offset: what was begun in one envelope has to be finished in it. When its socket
//! becomes writable it goes on from there, through the events that its audience's log keeps for
//! laggards, until it has caught up and is a member again. Nobody else waits for it.
//!
//! What is kept is bounded (`bounds.rs`). At a bound a laggard may jump forward or have what waits for
//! it conflated, and then has more than a position (`jump.rs`).

pub(in crate::shard) mod bounds;
pub(in crate::shard) mod conflate;
pub(in crate::shard) mod grace;
pub(in crate::shard) mod skip;
pub(in crate::shard) mod spill;

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

use crate::gap::GapReason;
use crate::policy::Policy;
use crate::shard::connection::record::Sent;
use crate::shard::connection::slots::Key;
use crate::shard::connection::{Lagging, Membership, State};
use crate::shard::fanout::audience::Audience;
use crate::shard::lagging::skip::Shares;
use crate::shard::lagging::spill::Share;
use crate::shard::Shard;

/// Bytes that one laggard is sent before others have their turn.
pub(in crate::shard) const FLUSH_BYTES_MAX: usize = 64 << 10;
/// Laggards with more to send than one go takes that have their turn before the shard looks at
/// its sockets.
pub(in crate::shard) const FLUSHES_MAX: usize = 32;

/// Bytes for one connection alone, or for several that need the same, and how many of them it was
/// sent.
pub(crate) struct Pending {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) sent: usize,
    /// Where in them there are events, in plain form, and how many.
    pub(in crate::shard) plain: Range<usize>,
    pub(in crate::shard) events: u64,
}

/// Where what a laggard is to be sent next is.
#[derive(Clone, Copy)]
enum Source {
    Pending,
    Missing,
    Spill,
    Queue,
}

/// How far one came who lags or replays.
pub(in crate::shard) enum Progress {
    CaughtUp,
    Blocked,
    /// There is more, and its socket may take it.
    Unfinished,
    Broken(io::Error),
}

impl Shard {
    /// Makes a laggard of a member that was sent so many bytes of a batch, and has perhaps bytes of
    /// its own to be sent before. An empty batch stands for what comes at its position.
    pub(in crate::shard) fn fall_behind(
        &mut self,
        index: u32,
        pending: Option<Pending>,
        batch: Range<u64>,
        sent: usize,
    ) {
        let State::Live(membership) = self.connections[index].state else {
            unreachable!("only a live connection falls behind")
        };
        self.leave_ring(membership);
        self.stand_behind(index, membership, pending, batch, sent, self.now_ms());
    }

    /// Makes a laggard of a member that has begun nothing of what waits for it.
    pub(in crate::shard) fn fall_behind_as_it_is(&mut self, index: u32) {
        let State::Live(Membership { audience, slot, .. }) = self.connections[index].state else {
            unreachable!("only a live connection falls behind")
        };
        let position = self.audiences[audience].ring.position_of(slot);
        self.fall_behind(index, None, position..position, 0);
        self.change_queue(audience, Audience::settle);
    }

    /// Makes a laggard of a connection that stands nowhere in its audience.
    pub(in crate::shard) fn stand_behind(
        &mut self,
        index: u32,
        membership: Membership,
        pending: Option<Pending>,
        batch: Range<u64>,
        sent: usize,
        since_ms: u32,
    ) {
        // Who has joined here has no event from before.
        let has_any = batch.start as u32 != self.record(index).joined_at;
        let queue = &self.audiences[membership.audience].queue;
        let last = has_any.then(|| queue.id_before(batch.start)).flatten();
        let slot = self.stand_among_lagging(index, membership.audience, batch.start);
        let membership = Membership { slot, ..membership };
        let lagging = Lagging {
            membership,
            pending,
            missing: None,
            spill: None,
            batch,
            sent,
            last,
            queued: false,
            since_ms,
        };
        self.connections[index].state = State::Lagging(Box::new(lagging));
    }

    /// Takes a connection among an audience's laggards, at a position of its log, and returns its
    /// place there.
    pub(in crate::shard) fn stand_among_lagging(
        &mut self,
        index: u32,
        audience: u32,
        position: u64,
    ) -> u32 {
        let audience = &mut self.audiences[audience];
        audience.queue.stand_at(position);
        audience.lagging.push(index);
        let slot = audience.lagging.len() as u32 - 1;
        self.link().counters.lagging_connections.add(1);
        slot
    }

    /// Goes on with a laggard whose socket takes more.
    pub(in crate::shard) fn resume(&mut self, key: Key) {
        let progress = match self.connections[key.index].state {
            State::Replaying(_) => self.flush_replay(key.index),
            _ => self.flush(key.index),
        };
        self.after_flush(key, progress);
    }

    pub(in crate::shard) fn after_flush(&mut self, key: Key, progress: Progress) {
        match progress {
            Progress::Blocked => {}
            Progress::Unfinished => self.queue_for_another_flush(key),
            Progress::CaughtUp => self.catch_up(key.index),
            Progress::Broken(error) => self.lose(key.index, &error),
        }
    }

    /// A change on its socket may have been reported while it queues already.
    fn queue_for_another_flush(&mut self, key: Key) {
        if let Some(queued) = self.connections[key.index].state.queued() {
            self.scheduler.enqueue_flush(key, queued);
        }
    }

    /// Gives those a turn that had more to send than one go takes.
    pub(in crate::shard) fn resume_unfinished(&mut self) {
        for _ in 0..self.scheduler.unfinished().min(FLUSHES_MAX) {
            let Some(key) = self.scheduler.next_unfinished() else { return };
            let connection = self.connections.get_mut(key);
            if let Some(queued) = connection.and_then(|connection| connection.state.queued()) {
                *queued = false;
                self.resume(key);
            }
        }
    }

    pub(in crate::shard) fn flush(&mut self, index: u32) -> Progress {
        let (mut budget, now_ms) = (FLUSH_BYTES_MAX, self.now_ms());
        let mut buffer = std::mem::take(&mut self.lag_scratch);
        let progress = loop {
            let Some(source) = self.source_of(index) else { break Progress::CaughtUp };
            let connection = &mut self.connections[index];
            let State::Lagging(lagging) = &mut connection.state else {
                unreachable!("only a laggard flushes on")
            };
            let Audience { queue, wire, .. } = &self.audiences[lagging.membership.audience];
            let rest = match (source, &lagging.pending, &lagging.missing, &lagging.spill) {
                (Source::Pending, Some(pending), ..) => &pending.bytes[pending.sent..],
                (Source::Missing, _, Some(missing), _) => {
                    let name = &self.shared.options.gap_event;
                    buffer = missing.encode(name, self.shared.order.epoch, *wire);
                    &buffer
                }
                (Source::Spill, .., Some(share)) => {
                    &self.spill.batch_bytes(share, *wire, &mut buffer)[lagging.sent..]
                }
                _ => &queue.copy_for_laggard(lagging.batch.clone(), &mut buffer)[lagging.sent..],
            };
            let whole = rest.len();
            let sent = match connection.sink.send(rest) {
                Ok(sent) => sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Progress::Blocked,
                Err(error) => break Progress::Broken(error),
            };
            lagging.since_ms = now_ms;
            match source {
                Source::Pending => self.advance_pending(index, sent),
                Source::Missing if sent > 0 => self.begin_to_tell(index, &buffer, sent),
                Source::Missing => {}
                Source::Spill | Source::Queue if sent < whole => lagging.sent += sent,
                Source::Spill => self.finish_spilled(index, whole),
                Source::Queue => self.finish_batch(index, whole),
            }
            if sent < whole {
                break Progress::Blocked;
            }
            budget = budget.saturating_sub(sent);
            if budget == 0 {
                break Progress::Unfinished;
            }
        };
        buffer.shrink_to(2 * FLUSH_BYTES_MAX);
        self.lag_scratch = buffer;
        progress
    }

    /// What a laggard is to be sent next, with its batch if that is one; `None` when it has caught
    /// up.
    fn source_of(&mut self, index: u32) -> Option<Source> {
        let lagging = self.laggard(index);
        match lagging {
            Lagging { pending: Some(_), .. } => return Some(Source::Pending),
            Lagging { sent: 0, .. } => {}
            Lagging { spill: Some(_), .. } => return Some(Source::Spill),
            Lagging { spill: None, .. } => return Some(Source::Queue),
        }
        // What has not been begun may as well be more by now, or less.
        let waiting = self.audiences[lagging.membership.audience].queue.end() - lagging.batch.start;
        let alone = u64::from(lagging.spill.is_none());
        if waiting > alone && self.policy_of(index) == Policy::Conflate {
            self.conflate(index, &mut Shares::default());
        }
        let bytes_max = self.shared.options.batch_bytes_max;
        let lagging = self.laggard(index);
        if lagging.missing.is_some() {
            return Some(Source::Missing);
        }
        let Some((list, from)) = lagging.spill.as_ref().map(|s| (s.list, s.batch.start)) else {
            let from = lagging.batch.start;
            let queue = &self.audiences[lagging.membership.audience].queue;
            let to = queue.reach(from, bytes_max);
            self.laggard_mut(index).batch.end = to;
            return (from < to).then_some(Source::Queue);
        };
        let batch = from..self.spill.reach(list, from, bytes_max);
        self.laggard_mut(index).spill = Some(Share { list, batch });
        Some(Source::Spill)
    }

    /// A laggard was sent so many of its own bytes.
    fn advance_pending(&mut self, index: u32, sent: usize) {
        let Some(pending) = &mut self.laggard_mut(index).pending else { return };
        pending.sent += sent;
        if pending.sent == pending.bytes.len() {
            let events = pending.events_sent(usize::MAX);
            self.laggard_mut(index).pending = None;
            self.count_sent(index, events);
        }
    }

    /// A laggard was sent so many bytes of the event that tells it what it missed, which is to be
    /// finished then.
    fn begin_to_tell(&mut self, index: u32, bytes: &[u8], sent: usize) {
        let lagging = self.laggard_mut(index);
        lagging.last = lagging.missing.take().map(|missing| missing.id());
        lagging.pending = (sent < bytes.len()).then(|| Pending::new(bytes, sent));
        self.link().counters.count_gap(GapReason::Slow);
    }

    /// A laggard was sent the rest, of so many bytes, of the batch that was set aside for it.
    fn finish_spilled(&mut self, index: u32, rest: usize) {
        let Some(Share { list, batch }) = self.laggard(index).spill.clone() else { return };
        let items = self.spill.items(list);
        let (at_ns, last) = (items[batch.start].at_ns, items[batch.end - 1].frame.stream_id());
        let is_all = batch.end == items.len();
        let plain = items[batch.clone()].iter().map(|item| item.frame.plain().len() as u64).sum();
        let lagging = self.laggard_mut(index);
        let bytes = std::mem::take(&mut lagging.sent) + rest;
        lagging.last = Some(last);
        lagging.spill = Some(Share { list, batch: batch.end..batch.end });
        self.count_taken(batch.len() as u64, Some(at_ns), bytes, 1);
        self.count_sent(index, Sent { events: batch.len() as u64, bytes: plain });
        if is_all {
            self.release_spill(index);
        }
    }

    /// A laggard was sent the rest, of so many bytes, of its batch: it stands behind it.
    fn finish_batch(&mut self, index: u32, rest: usize) {
        let lagging = self.laggard_mut(index);
        let (audience, done) = (lagging.membership.audience, lagging.batch.clone());
        let bytes = std::mem::take(&mut lagging.sent) + rest;
        lagging.batch = done.end..done.end;
        self.count_delivered(audience, done.clone(), bytes, 1);
        let queue = &mut self.audiences[audience].queue;
        queue.stand_at(done.end);
        let last = queue.id_before(done.end);
        self.laggard_mut(index).last = last;
        self.leave_position(audience, done.start);
    }

    /// Nothing is kept any more for this laggard at this position; if its audience was held for
    /// it, it may go on.
    pub(in crate::shard) fn leave_position(&mut self, audience: u32, position: u64) {
        let before = self.lag_bytes;
        self.change_queue(audience, |audience| audience.queue.leave_from(position));
        // What is kept in all may be too much for other audiences' sake.
        if self.lag_bytes < before || self.audiences[audience].lagging.is_empty() {
            self.release(self.audiences.key_at(audience));
        }
    }

    /// A laggard that stands at the end with nothing to send is a member again.
    fn catch_up(&mut self, index: u32) {
        let State::Lagging(lagging) = &self.connections[index].state else {
            unreachable!("only a laggard catches up")
        };
        let (membership, position) = (lagging.membership, lagging.batch.start);
        if lagging.last != self.audiences[membership.audience].queue.id_before(position) {
            // Its client knows that event, if at all, by the id of the gap event that ended there.
            self.connections.record_mut(index).joined_at = position as u32;
        }
        self.leave_lagging(membership);
        self.leave_position(membership.audience, position);
        let end = self.audiences[membership.audience].queue.end();
        self.stand_in_ring(index, membership.audience, end, membership.quiet_since_ms);
    }

    pub(in crate::shard) fn leave_lagging(&mut self, membership: Membership) {
        let audience = &mut self.audiences[membership.audience];
        audience.lagging.swap_remove(membership.slot as usize);
        if let Some(&moved) = audience.lagging.get(membership.slot as usize) {
            self.connections[moved].set_slot(membership.slot);
        }
        if audience.lagging.is_empty() {
            audience.lagging = Vec::new();
        }
        self.link().counters.lagging_connections.sub(1);
    }
}
