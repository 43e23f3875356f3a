//! Connections whose sockets did not take all there was for them.
//!
//! A short write takes a member off its audience's fast path and gives it a position: a batch and
//! an offset. When its socket becomes writable it goes on from there, through the batches that its
//! audience keeps for its laggards, until it has caught up and is a member again. Nobody else
//! waits for it, and nothing is copied for it.
//!
//! What is kept is bounded. Before a pass begins that would keep more than `lag_bytes_max` for an
//! audience's furthest laggards, or more than `lag_total_bytes_max` for all, those laggards have
//! to go. But a publisher without pause can be faster than any network, and then everyone lags
//! who is alive and well. So the pass is held, its events keep their topic's room, and the
//! publisher waits, while both is true: what the furthest laggards are being sent is younger than
//! `lag_grace`, and one of them has taken something in the last tenth of that. Who does not read
//! at all therefore delays others for that tenth at most, and then has to go.

use std::io::ErrorKind;

use super::connection::{Lagging, Place, State};
use super::slots::Key;
use super::Shard;
use crate::metrics::Reason;
use crate::policy::Policy;

/// Bytes that one laggard is sent before others have their turn.
const GO_BYTES_MAX: usize = 64 << 10;
/// Laggards with more to send than one go takes that have their turn before the shard looks at
/// its sockets.
const GOES_MAX: usize = 32;
/// Who takes nothing for this share of `lag_grace` is not waited for.
const STALLED_SHARE: u128 = 10;

/// Bytes for one connection alone, and how many of them were sent.
pub(super) type Own = (Box<[u8]>, usize);

/// How far a laggard came.
enum Went {
    CaughtUp,
    Blocked,
    /// There is more, and its socket may take it.
    Unfinished,
    Broken,
}

impl Shard {
    /// Makes a laggard of a member, which stands at a batch (or at the end) with so many bytes of
    /// it sent, and perhaps with bytes of its own to be sent before.
    pub(super) fn fall_behind(&mut self, index: u32, own: Option<Own>, batch: u64, sent: usize) {
        let since_ms = self.now_ms();
        let State::Live(place) = self.connections[index].state else {
            unreachable!("only a live connection falls behind")
        };
        self.leave_members(place);
        let audience = &mut self.audiences[place.audience];
        audience.stand_at(batch);
        audience.lagging.push(index);
        let place = Place { place: audience.lagging.len() as u32 - 1, ..place };
        let lagging = Lagging { place, own, batch, sent, queued: false, since_ms };
        self.connections[index].state = State::Lagging(Box::new(lagging));
        self.link().counters.lagging_connections.add(1);
    }

    /// Goes on with a laggard whose socket takes more.
    pub(super) fn resume(&mut self, key: Key) {
        let index = key.index;
        match self.go_on(index) {
            Went::Blocked => {}
            Went::Unfinished => self.queue_for_another_go(key),
            Went::CaughtUp => self.catch_up(index),
            Went::Broken => self.disconnect(index, Reason::Error),
        }
    }

    /// A change on its socket may have been reported while it queues already.
    fn queue_for_another_go(&mut self, key: Key) {
        if let State::Lagging(lagging) = &mut self.connections[key.index].state {
            if !std::mem::replace(&mut lagging.queued, true) {
                self.unfinished.push_back(key);
            }
        }
    }

    /// Gives those a turn that had more to send than one go takes.
    pub(super) fn resume_unfinished(&mut self) {
        for _ in 0..self.unfinished.len().min(GOES_MAX) {
            let Some(key) = self.unfinished.pop_front() else { return };
            let state = self.connections.get_mut(key).map(|connection| &mut connection.state);
            if let Some(State::Lagging(lagging)) = state {
                lagging.queued = false;
                self.resume(key);
            }
        }
    }

    fn go_on(&mut self, index: u32) -> Went {
        let (mut budget, now_ms) = (GO_BYTES_MAX, self.now_ms());
        loop {
            let connection = &mut self.connections[index];
            let State::Lagging(lagging) = &mut connection.state else {
                unreachable!("only a laggard goes on")
            };
            let audience = &self.audiences[lagging.place.audience];
            let rest = match &lagging.own {
                Some((bytes, sent)) => &bytes[*sent..],
                None if lagging.batch == audience.end() => return Went::CaughtUp,
                None => &audience.batch(lagging.batch).bytes()[lagging.sent..],
            };
            let whole = rest.len();
            let sent = match connection.sink.send(rest) {
                Ok(sent) => {
                    lagging.since_ms = now_ms;
                    sent
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Went::Blocked,
                Err(_) => return Went::Broken,
            };
            match &mut lagging.own {
                Some((_, own_sent)) if sent < whole => *own_sent += sent,
                Some(_) => lagging.own = None,
                None if sent < whole => lagging.sent += sent,
                None => self.next_batch(index),
            }
            if sent < whole {
                return Went::Blocked;
            }
            budget = budget.saturating_sub(sent);
            if budget == 0 {
                return Went::Unfinished;
            }
        }
    }

    /// A laggard was sent all of its batch: it stands at the next.
    fn next_batch(&mut self, index: u32) {
        let State::Lagging(lagging) = &mut self.connections[index].state else {
            unreachable!("only a laggard goes on")
        };
        let (place, done) = (lagging.place, lagging.batch);
        lagging.batch += 1;
        lagging.sent = 0;
        self.count_delivered(place.audience, done, 1);
        self.audiences[place.audience].stand_at(done + 1);
        self.leave_batch(place.audience, done);
    }

    /// Nothing is kept any more for this laggard at this batch; if its audience was held for it,
    /// it may go on.
    pub(super) fn leave_batch(&mut self, audience: u32, batch: u64) {
        let bytes = self.audiences[audience].leave_from(batch);
        self.keep_no_longer(bytes);
        if bytes > 0 {
            self.release(self.audiences.key_at(audience));
        }
    }

    /// A laggard that stands at the end with nothing to send is a member again.
    fn catch_up(&mut self, index: u32) {
        let State::Lagging(lagging) = &self.connections[index].state else {
            unreachable!("only a laggard catches up")
        };
        let (place, batch) = (lagging.place, lagging.batch);
        self.leave_lagging(place);
        self.leave_batch(place.audience, batch);
        self.join_members(index, place.audience, place.quiet_since_ms);
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

    /// Sees to it that one more pass keeps no more than the bounds allow; false when the pass is
    /// held instead.
    pub(super) fn make_room_for_a_pass(&mut self, key: Key) -> bool {
        let options = &self.shared.options;
        let (lag_bytes_max, grace_ns) = (options.lag_bytes_max, options.lag_grace.as_nanos());
        let total_max = options.lag_total_bytes_max / options.shards;
        while let Some(audience) = self.audiences.get_mut(key) {
            let Some((batch, furthest, lag_bytes)) = audience.furthest() else { return true };
            if lag_bytes <= lag_bytes_max && self.kept_bytes <= total_max {
                return true;
            }
            let young = u128::from(self.now_ns.saturating_sub(furthest.begun_at_ns)) < grace_ns;
            if young && self.gets_on(key.index, batch, grace_ns / STALLED_SHARE) {
                self.audiences[key.index].held = true;
                self.held.push(key);
                self.link().counters.held_passes.add(1);
                return false;
            }
            self.let_go(key.index, batch);
        }
        false
    }

    /// Whether a laggard that stands at a batch has taken something lately.
    fn gets_on(&self, audience: u32, batch: u64, lately_ns: u128) -> bool {
        self.audiences[audience].lagging.iter().any(|&index| {
            let State::Lagging(lagging) = &self.connections[index].state else { return false };
            let since_ms = self.now_ms().wrapping_sub(lagging.since_ms);
            lagging.batch == batch && u128::from(since_ms) * 1_000_000 <= lately_ns
        })
    }

    /// Applies the policy to all laggards of an audience that stand at a batch.
    fn let_go(&mut self, audience: u32, batch: u64) {
        let connections = &self.connections;
        let stands_there = |&index: &u32| match &connections[index].state {
            State::Lagging(lagging) => lagging.batch == batch,
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
            && audience.has_pending()
            && !std::mem::replace(&mut audience.in_bulk, true)
        {
            self.bulk.push_back(key);
        }
    }

    /// Whether a laggard has waited for longer than `lag_age_max`.
    pub(super) fn lags_too_long(&self, lagging: &Lagging) -> bool {
        let audience = &self.audiences[lagging.place.audience];
        let age_ns = match lagging.batch == audience.end() {
            true => u64::from(self.now_ms().wrapping_sub(lagging.since_ms)) * 1_000_000,
            false => self.now_ns.saturating_sub(audience.batch(lagging.batch).begun_at_ns),
        };
        u128::from(age_ns) > self.shared.options.lag_age_max.as_nanos()
    }
}
