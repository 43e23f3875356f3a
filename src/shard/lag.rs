//! Connections whose sockets did not take all there was for them.
//!
//! A short write takes a member out of its audience's ring and gives it a position of its own, and
//! a batch with an offset: what was begun in one envelope has to be finished in it. When its socket
//! becomes writable it goes on from there, through the events that its audience's log keeps for
//! laggards, until it has caught up and is a member again. Nobody else waits for it.
//!
//! What is kept is bounded. Before a slice that would keep more than `lag_bytes_max` for an
//! audience's furthest laggards, or more than `lag_total_bytes_max` for all, those laggards have
//! to go. But a publisher without pause can be faster than any network, and then everyone lags
//! who is alive and well. So the audience is held, its events keep their topic's room, and the
//! publisher waits, while both is true: what the furthest laggards are being sent is younger than
//! `lag_grace`, and one of them has taken something in the last tenth of that. Who does not read
//! at all therefore delays others for that tenth at most, and then has to go.

use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;

use super::connection::{Lagging, Place, State};
use super::slots::Key;
use super::Shard;
use crate::metrics::Reason;
use crate::policy::Policy;

/// Bytes that one laggard is sent before others have their turn.
pub(super) const GO_BYTES_MAX: usize = 64 << 10;
/// Laggards with more to send than one go takes that have their turn before the shard looks at
/// its sockets.
const GOES_MAX: usize = 32;
/// Who takes nothing for this share of `lag_grace` is not waited for.
const STALLED_SHARE: u128 = 10;

/// Bytes for one connection alone, or for several that need the same, and how many of them it was
/// sent.
pub(crate) struct Own {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) sent: usize,
    /// Where in them there are events, in plain form, and how many.
    pub(super) plain: Range<usize>,
    pub(super) events: u64,
}

/// How far one came who lags or replays.
pub(super) enum Went {
    CaughtUp,
    Blocked,
    /// There is more, and its socket may take it.
    Unfinished,
    Broken,
}

impl Shard {
    /// Makes a laggard of a member that was sent so many bytes of a batch, and has perhaps bytes of
    /// its own to be sent before. An empty batch stands for what comes at its position.
    pub(super) fn fall_behind(
        &mut self,
        index: u32,
        own: Option<Own>,
        batch: Range<u64>,
        sent: usize,
    ) {
        let State::Live(place) = self.connections[index].state else {
            unreachable!("only a live connection falls behind")
        };
        self.leave_ring(place);
        self.stand_behind(index, place, own, batch, sent, self.now_ms());
    }

    /// Makes a laggard of a connection that stands nowhere in its audience.
    pub(super) fn stand_behind(
        &mut self,
        index: u32,
        place: Place,
        own: Option<Own>,
        batch: Range<u64>,
        sent: usize,
        since_ms: u32,
    ) {
        let audience = &mut self.audiences[place.audience];
        audience.log.stand_at(batch.start);
        audience.lagging.push(index);
        let place = Place { place: audience.lagging.len() as u32 - 1, ..place };
        let lagging = Lagging { place, own, batch, sent, queued: false, since_ms };
        self.connections[index].state = State::Lagging(Box::new(lagging));
        self.link().counters.lagging_connections.add(1);
    }

    /// Goes on with a laggard whose socket takes more.
    pub(super) fn resume(&mut self, key: Key) {
        let index = key.index;
        let went = match self.connections[index].state {
            State::Replaying(_) => self.go_on_replaying(index),
            _ => self.go_on(index),
        };
        match went {
            Went::Blocked => {}
            Went::Unfinished => self.queue_for_another_go(key),
            Went::CaughtUp => self.catch_up(index),
            Went::Broken => self.disconnect(index, Reason::Error),
        }
    }

    /// A change on its socket may have been reported while it queues already.
    fn queue_for_another_go(&mut self, key: Key) {
        if let Some(queued) = self.connections[key.index].state.queued() {
            if !std::mem::replace(queued, true) {
                self.unfinished.push_back(key);
            }
        }
    }

    /// Gives those a turn that had more to send than one go takes.
    pub(super) fn resume_unfinished(&mut self) {
        for _ in 0..self.unfinished.len().min(GOES_MAX) {
            let Some(key) = self.unfinished.pop_front() else { return };
            let connection = self.connections.get_mut(key);
            if let Some(queued) = connection.and_then(|connection| connection.state.queued()) {
                *queued = false;
                self.resume(key);
            }
        }
    }

    pub(super) fn go_on(&mut self, index: u32) -> Went {
        let (mut budget, now_ms) = (GO_BYTES_MAX, self.now_ms());
        let (mut batch_bytes, mut batch_len) = (std::mem::take(&mut self.lag_scratch), 0);
        let went = loop {
            let connection = &mut self.connections[index];
            let State::Lagging(lagging) = &mut connection.state else {
                unreachable!("only a laggard goes on")
            };
            let log = &self.audiences[lagging.place.audience].log;
            let rest = match &lagging.own {
                Some(own) => &own.bytes[own.sent..],
                None if lagging.batch.start == log.end() => break Went::CaughtUp,
                None => {
                    // What has not been begun may as well be more by now.
                    if lagging.sent == 0 {
                        let from = lagging.batch.start;
                        lagging.batch.end = log.reach(from, self.shared.options.batch_bytes_max);
                    }
                    let bytes = log.own_bytes(lagging.batch.clone(), &mut batch_bytes);
                    batch_len = bytes.len();
                    &bytes[lagging.sent..]
                }
            };
            let whole = rest.len();
            let sent = match connection.sink.send(rest) {
                Ok(sent) => {
                    lagging.since_ms = now_ms;
                    sent
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Went::Blocked,
                Err(_) => break Went::Broken,
            };
            match &mut lagging.own {
                Some(own) if sent < whole => own.sent += sent,
                Some(own) => {
                    let events = own.events_sent(usize::MAX);
                    lagging.own = None;
                    self.count_sent(index, events);
                }
                None if sent < whole => lagging.sent += sent,
                None => self.finish_batch(index, batch_len),
            }
            if sent < whole {
                break Went::Blocked;
            }
            budget = budget.saturating_sub(sent);
            if budget == 0 {
                break Went::Unfinished;
            }
        };
        batch_bytes.shrink_to(2 * GO_BYTES_MAX);
        self.lag_scratch = batch_bytes;
        went
    }

    /// A laggard was sent all of its batch, of so many bytes: it stands behind it.
    fn finish_batch(&mut self, index: u32, bytes: usize) {
        let State::Lagging(lagging) = &mut self.connections[index].state else {
            unreachable!("only a laggard goes on")
        };
        let (audience, done) = (lagging.place.audience, lagging.batch.clone());
        lagging.batch = done.end..done.end;
        lagging.sent = 0;
        self.count_delivered(audience, done.clone(), bytes, 1);
        self.audiences[audience].log.stand_at(done.end);
        self.leave_position(audience, done.start);
    }

    /// Nothing is kept any more for this laggard at this position; if its audience was held for
    /// it, it may go on.
    pub(super) fn leave_position(&mut self, audience: u32, position: u64) {
        let before = self.lag_bytes;
        self.change_log(audience, |audience| audience.log.leave_from(position));
        if self.lag_bytes < before {
            self.release(self.audiences.key_at(audience));
        }
    }

    /// A laggard that stands at the end with nothing to send is a member again.
    fn catch_up(&mut self, index: u32) {
        let State::Lagging(lagging) = &self.connections[index].state else {
            unreachable!("only a laggard catches up")
        };
        let (place, position) = (lagging.place, lagging.batch.start);
        self.leave_lagging(place);
        self.leave_position(place.audience, position);
        let end = self.audiences[place.audience].log.end();
        self.stand_in_ring(index, place.audience, end, place.quiet_since_ms);
    }

    pub(super) fn leave_lagging(&mut self, place: Place) {
        let audience = &mut self.audiences[place.audience];
        audience.lagging.swap_remove(place.place as usize);
        if let Some(&moved) = audience.lagging.get(place.place as usize) {
            self.connections[moved].set_place(place.place);
        }
        if audience.lagging.is_empty() {
            audience.lagging = Vec::new();
        }
        self.link().counters.lagging_connections.sub(1);
    }

    /// Sees to it that one more slice keeps no more than the bounds allow; false when the audience
    /// is held instead.
    pub(super) fn make_room_for_a_batch(&mut self, key: Key) -> bool {
        let options = &self.shared.options;
        let (lag_bytes_max, grace_ns) = (options.lag_bytes_max, options.lag_grace.as_nanos());
        let batch_bytes_max = options.batch_bytes_max;
        let total_max = options.lag_total_bytes_max / options.shards;
        while let Some(audience) = self.audiences.get_mut(key) {
            let Some(furthest) = audience.log.furthest() else { return audience.has_work() };
            let within = audience.log.lag_bytes() <= lag_bytes_max
                || audience.log.beyond_bytes(batch_bytes_max) <= lag_bytes_max;
            if within && self.lag_bytes <= total_max {
                return audience.has_work();
            }
            let position = furthest.position;
            let young = u128::from(self.now_ns.saturating_sub(furthest.at_ns)) < grace_ns;
            if young && self.gets_on(key.index, position, grace_ns / STALLED_SHARE) {
                self.audiences[key.index].held = true;
                self.held.push(key);
                self.link().counters.held_batches.add(1);
                return false;
            }
            self.let_go(key.index, position);
        }
        false
    }

    /// Whether a laggard that stands at a position has taken something lately.
    fn gets_on(&self, audience: u32, position: u64, lately_ns: u128) -> bool {
        self.audiences[audience].lagging.iter().any(|&index| {
            let State::Lagging(lagging) = &self.connections[index].state else { return false };
            let since_ms = self.now_ms().wrapping_sub(lagging.since_ms);
            lagging.batch.start == position && u128::from(since_ms) * 1_000_000 <= lately_ns
        })
    }

    /// Applies the policy to all laggards of an audience that stand at a position.
    fn let_go(&mut self, audience: u32, position: u64) {
        let connections = &self.connections;
        let stands_there = |&index: &u32| match &connections[index].state {
            State::Lagging(lagging) => lagging.batch.start == position,
            _ => false,
        };
        let gone: Vec<u32> =
            self.audiences[audience].lagging.iter().copied().filter(stands_there).collect();
        for index in gone {
            match self.shared.options.policy {
                Policy::Disconnect => self.disconnect(index, Reason::Lagging),
            }
        }
    }

    /// Lets an audience go on that was held for its laggards.
    pub(super) fn release(&mut self, key: Key) {
        let Some(audience) = self.audiences.get_mut(key) else { return };
        if std::mem::take(&mut audience.held)
            && audience.has_work()
            && !std::mem::replace(&mut audience.in_bulk, true)
        {
            self.bulk.push_back(key);
        }
    }

    /// Whether a laggard has waited for longer than `lag_age_max`.
    pub(super) fn lags_too_long(&self, lagging: &Lagging) -> bool {
        let log = &self.audiences[lagging.place.audience].log;
        let age_ns = match log.published_at_ns(lagging.batch.start) {
            Some(at_ns) => self.now_ns.saturating_sub(at_ns),
            None => return self.is_stuck(lagging.since_ms),
        };
        u128::from(age_ns) > self.shared.options.lag_age_max.as_nanos()
    }
    /// Whether one that took something last at a time has not done so for longer than
    /// `lag_age_max`.
    pub(super) fn is_stuck(&self, since_ms: u32) -> bool {
        let stuck_ms = self.now_ms().wrapping_sub(since_ms);
        u128::from(stuck_ms) > self.shared.options.lag_age_max.as_millis()
    }
}
