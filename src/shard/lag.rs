//! Connections whose sockets did not take all there was for them.
//!
//! A short write takes a member out of its audience's ring and gives it a position of its own, and
//! a batch with an offset: what was begun in one envelope has to be finished in it. When its socket
//! becomes writable it goes on from there, through the events that its audience's log keeps for
//! laggards, until it has caught up and is a member again. Nobody else waits for it.
//!
//! What is kept is bounded (`bounds.rs`). At a bound a laggard may jump forward or have what waits for
//! it conflated, and then has more than a position (`jump.rs`).

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

use super::aside::Share;
use super::audience::Audience;
use super::connection::{Lagging, Place, State};
use super::jump::Shares;
use super::record::Sent;
use super::slots::Key;
use super::Shard;
use crate::gap::GapReason;
use crate::policy::Policy;

/// Bytes that one laggard is sent before others have their turn.
pub(super) const GO_BYTES_MAX: usize = 64 << 10;
/// Laggards with more to send than one go takes that have their turn before the shard looks at
/// its sockets.
pub(super) const GOES_MAX: usize = 32;

/// Bytes for one connection alone, or for several that need the same, and how many of them it was
/// sent.
pub(crate) struct Own {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) sent: usize,
    /// Where in them there are events, in plain form, and how many.
    pub(super) plain: Range<usize>,
    pub(super) events: u64,
}

/// Where what a laggard is to be sent next is.
#[derive(Clone, Copy)]
enum Source {
    Own,
    Missing,
    Aside,
    Log,
}

/// How far one came who lags or replays.
pub(super) enum Went {
    CaughtUp,
    Blocked,
    /// There is more, and its socket may take it.
    Unfinished,
    Broken(io::Error),
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

    /// Makes a laggard of a member that has begun nothing of what waits for it.
    pub(super) fn fall_behind_as_it_is(&mut self, index: u32) {
        let State::Live(Place { audience, place, .. }) = self.connections[index].state else {
            unreachable!("only a live connection falls behind")
        };
        let position = self.audiences[audience].ring.position_of(place);
        self.fall_behind(index, None, position..position, 0);
        self.change_log(audience, Audience::settle);
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
        // Who has joined here has no event from before.
        let has_any = batch.start as u32 != self.records[index as usize].joined_at;
        let log = &self.audiences[place.audience].log;
        let last = has_any.then(|| log.id_before(batch.start)).flatten();
        let among = self.stand_among_lagging(index, place.audience, batch.start);
        let place = Place { place: among, ..place };
        let lagging = Lagging {
            place,
            own,
            missing: None,
            aside: None,
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
    pub(super) fn stand_among_lagging(&mut self, index: u32, audience: u32, position: u64) -> u32 {
        let audience = &mut self.audiences[audience];
        audience.log.stand_at(position);
        audience.lagging.push(index);
        let place = audience.lagging.len() as u32 - 1;
        self.link().counters.lagging_connections.add(1);
        place
    }

    /// Goes on with a laggard whose socket takes more.
    pub(super) fn resume(&mut self, key: Key) {
        let went = match self.connections[key.index].state {
            State::Replaying(_) => self.go_on_replaying(key.index),
            _ => self.go_on(key.index),
        };
        self.after_going_on(key, went);
    }

    pub(super) fn after_going_on(&mut self, key: Key, went: Went) {
        match went {
            Went::Blocked => {}
            Went::Unfinished => self.queue_for_another_go(key),
            Went::CaughtUp => self.catch_up(key.index),
            Went::Broken(error) => self.lose(key.index, &error),
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
        let mut buffer = std::mem::take(&mut self.lag_scratch);
        let went = loop {
            let Some(source) = self.source_of(index) else { break Went::CaughtUp };
            let connection = &mut self.connections[index];
            let State::Lagging(lagging) = &mut connection.state else {
                unreachable!("only a laggard goes on")
            };
            let Audience { log, wire, .. } = &self.audiences[lagging.place.audience];
            let rest = match (source, &lagging.own, &lagging.missing, &lagging.aside) {
                (Source::Own, Some(own), ..) => &own.bytes[own.sent..],
                (Source::Missing, _, Some(missing), _) => {
                    let name = &self.shared.options.gap_event;
                    buffer = missing.encode(name, self.shared.order.epoch, *wire);
                    &buffer
                }
                (Source::Aside, .., Some(share)) => {
                    &self.aside.batch_bytes(share, *wire, &mut buffer)[lagging.sent..]
                }
                _ => &log.own_bytes(lagging.batch.clone(), &mut buffer)[lagging.sent..],
            };
            let whole = rest.len();
            let sent = match connection.sink.send(rest) {
                Ok(sent) => sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Went::Blocked,
                Err(error) => break Went::Broken(error),
            };
            lagging.since_ms = now_ms;
            match source {
                Source::Own => self.take_own(index, sent),
                Source::Missing if sent > 0 => self.begin_to_tell(index, &buffer, sent),
                Source::Missing => {}
                Source::Aside | Source::Log if sent < whole => lagging.sent += sent,
                Source::Aside => self.finish_aside(index, whole),
                Source::Log => self.finish_batch(index, whole),
            }
            if sent < whole {
                break Went::Blocked;
            }
            budget = budget.saturating_sub(sent);
            if budget == 0 {
                break Went::Unfinished;
            }
        };
        buffer.shrink_to(2 * GO_BYTES_MAX);
        self.lag_scratch = buffer;
        went
    }

    /// What a laggard is to be sent next, with its batch if that is one; `None` when it has caught
    /// up.
    fn source_of(&mut self, index: u32) -> Option<Source> {
        let lagging = self.laggard(index);
        match lagging {
            Lagging { own: Some(_), .. } => return Some(Source::Own),
            Lagging { sent: 0, .. } => {}
            Lagging { aside: Some(_), .. } => return Some(Source::Aside),
            Lagging { aside: None, .. } => return Some(Source::Log),
        }
        // What has not been begun may as well be more by now, or less.
        let waiting = self.audiences[lagging.place.audience].log.end() - lagging.batch.start;
        let alone = u64::from(lagging.aside.is_none());
        if waiting > alone && self.policy_of(index) == Policy::Conflate {
            self.conflate(index, &mut Shares::default());
        }
        let bytes_max = self.shared.options.batch_bytes_max;
        let lagging = self.laggard(index);
        if lagging.missing.is_some() {
            return Some(Source::Missing);
        }
        let Some((list, from)) = lagging.aside.as_ref().map(|s| (s.list, s.batch.start)) else {
            let from = lagging.batch.start;
            let log = &self.audiences[lagging.place.audience].log;
            let to = log.reach(from, bytes_max);
            self.laggard_mut(index).batch.end = to;
            return (from < to).then_some(Source::Log);
        };
        let batch = from..self.aside.reach(list, from, bytes_max);
        self.laggard_mut(index).aside = Some(Share { list, batch });
        Some(Source::Aside)
    }

    /// A laggard was sent so many of its own bytes.
    fn take_own(&mut self, index: u32, sent: usize) {
        let Some(own) = &mut self.laggard_mut(index).own else { return };
        own.sent += sent;
        if own.sent == own.bytes.len() {
            let events = own.events_sent(usize::MAX);
            self.laggard_mut(index).own = None;
            self.count_sent(index, events);
        }
    }

    /// A laggard was sent so many bytes of the event that tells it what it missed, which is to be
    /// finished then.
    fn begin_to_tell(&mut self, index: u32, bytes: &[u8], sent: usize) {
        let lagging = self.laggard_mut(index);
        lagging.last = lagging.missing.take().map(|missing| missing.id());
        lagging.own = (sent < bytes.len()).then(|| Own::new(bytes, sent));
        self.link().counters.count_gap(GapReason::Slow);
    }

    /// A laggard was sent the rest, of so many bytes, of the batch that was set aside for it.
    fn finish_aside(&mut self, index: u32, rest: usize) {
        let Some(Share { list, batch }) = self.laggard(index).aside.clone() else { return };
        let items = self.aside.items(list);
        let (at_ns, last) = (items[batch.start].at_ns, items[batch.end - 1].frame.stream_id());
        let is_all = batch.end == items.len();
        let plain = items[batch.clone()].iter().map(|item| item.frame.plain().len() as u64).sum();
        let lagging = self.laggard_mut(index);
        let bytes = std::mem::take(&mut lagging.sent) + rest;
        lagging.last = Some(last);
        lagging.aside = Some(Share { list, batch: batch.end..batch.end });
        self.count_taken(batch.len() as u64, Some(at_ns), bytes, 1);
        self.count_sent(index, Sent { events: batch.len() as u64, bytes: plain });
        if is_all {
            self.let_aside_go(index);
        }
    }

    /// A laggard was sent the rest, of so many bytes, of its batch: it stands behind it.
    fn finish_batch(&mut self, index: u32, rest: usize) {
        let lagging = self.laggard_mut(index);
        let (audience, done) = (lagging.place.audience, lagging.batch.clone());
        let bytes = std::mem::take(&mut lagging.sent) + rest;
        lagging.batch = done.end..done.end;
        self.count_delivered(audience, done.clone(), bytes, 1);
        let log = &mut self.audiences[audience].log;
        log.stand_at(done.end);
        let last = log.id_before(done.end);
        self.laggard_mut(index).last = last;
        self.leave_position(audience, done.start);
    }

    /// Nothing is kept any more for this laggard at this position; if its audience was held for
    /// it, it may go on.
    pub(super) fn leave_position(&mut self, audience: u32, position: u64) {
        let before = self.lag_bytes;
        self.change_log(audience, |audience| audience.log.leave_from(position));
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
        let (place, position) = (lagging.place, lagging.batch.start);
        if lagging.last != self.audiences[place.audience].log.id_before(position) {
            // Its client knows that event, if at all, by the id of the gap event that ended there.
            self.records[index as usize].joined_at = position as u32;
        }
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
}
