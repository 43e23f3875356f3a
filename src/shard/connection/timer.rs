//! Time in a shard, without a timer per connection.
//!
//! While there are connections, a tick comes every 100 ms. Deadlines of one length (a request's
//! head, for each length that a listener has; the end after an answer) stand in queues that are in
//! order by themselves. All else is found by a sweep that goes round the slab, a few entries each
//! tick and a bounded number a turn, several times in the shortest time that it has to find out
//! about: so heartbeats are spread over time as the connections are over the slab.

use std::collections::VecDeque;
use std::time::Duration;

use crate::frame::enveloped;
use crate::metrics::DisconnectReason;
use crate::options::Options;
use crate::seldom::Seldom;
use crate::shard::connection::slots::Key;
use crate::shard::connection::State;
use crate::shard::Shard;

const TICK_MS: u32 = 100;
/// The same while nobody is here, and there is only something that may become too old to be kept.
const IDLE_TICK_MS: u32 = 1_000;
/// How long an answered connection may take to close.
const LINGER: Duration = Duration::from_secs(1);
/// How often the sweep goes round in the shortest time that it watches.
const ROUNDS: u32 = 4;
/// The sweep goes round at least so often.
const ROUND_MS_MAX: u32 = 5_000;
/// Entries that one turn visits; each may be sent a heartbeat.
const VISITS_MAX: u32 = 256;

/// A acceptor is tried again with every tick.
static ACCEPTOR_NOT_POLLED: Seldom = Seldom::new();

pub(in crate::shard) struct Timers {
    last_tick_ms: u32,
    /// For each time that a request's head may take, those who take it.
    heads: Vec<(u32, VecDeque<(Key, u32)>)>,
    ends: VecDeque<(Key, u32)>,
    /// Doors that accept again at the next tick.
    paused: Vec<usize>,
    sweep_at: u32,
    visits_due: u32,
    round_ms: u32,
    heartbeat_ms: u32,
    stall_ms_max: u32,
}

impl Timers {
    pub(in crate::shard) fn new(options: &Options) -> Timers {
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let heartbeat_ms = ms(options.heartbeat);
        let stall_ms_max = ms(options.stall_time_max);
        let watched =
            [heartbeat_ms, stall_ms_max, ms(options.lag_age_max), ms(options.connection_age_max)];
        let shortest = watched.into_iter().filter(|&ms| ms > 0);
        let round_ms = shortest.min().map_or(ROUND_MS_MAX, |ms| (ms / ROUNDS).min(ROUND_MS_MAX));
        Timers {
            last_tick_ms: 0,
            heads: Vec::new(),
            ends: VecDeque::new(),
            paused: Vec::new(),
            sweep_at: 0,
            visits_due: 0,
            round_ms,
            heartbeat_ms,
            stall_ms_max,
        }
    }
}

impl Shard {
    /// How long the shard may sleep.
    pub(in crate::shard) fn next_timer(&self) -> Option<Duration> {
        let idle = self.connections.is_empty()
            && self.timers.paused.is_empty()
            && self.parts.is_empty()
            && !self.has_memory_to_release();
        let tick_ms = match idle {
            false => TICK_MS,
            true if self.shared.order.has_history() => IDLE_TICK_MS,
            true => return None,
        };
        let since_ms = self.now_ms().wrapping_sub(self.timers.last_tick_ms);
        Some(Duration::from_millis(u64::from(tick_ms.saturating_sub(since_ms))))
    }

    pub(in crate::shard) fn handle_timers(&mut self) {
        let since_ms = self.now_ms().wrapping_sub(self.timers.last_tick_ms);
        if since_ms < TICK_MS {
            return self.sweep();
        }
        self.timers.last_tick_ms = self.now_ms();
        for key in self.scheduler.take_held() {
            self.release(key);
        }
        for acceptor in std::mem::take(&mut self.timers.paused) {
            self.resume_accepts(acceptor);
        }
        self.shared.spares.are_complete();
        self.end_slow_heads();
        self.end_lingerers();
        self.parts.tick();
        self.close_routes();
        self.shared.order.forget_old();
        self.release_memory();
        let end = u64::from(self.connections.end());
        let share = end * u64::from(since_ms) / u64::from(self.timers.round_ms.max(1)) + 1;
        self.timers.visits_due = (u64::from(self.timers.visits_due) + share).min(end) as u32;
        self.sweep();
    }

    /// Gives a connection so long for its request's head.
    pub(in crate::shard) fn expect_head(&mut self, key: Key, time: Duration) {
        let time_ms = time.as_millis() as u32;
        let entry = (key, self.now_ms().wrapping_add(time_ms));
        match self.timers.heads.iter_mut().find(|(time, _)| *time == time_ms) {
            Some((_, heads)) => heads.push_back(entry),
            None => self.timers.heads.push((time_ms, VecDeque::from([entry]))),
        }
    }

    /// Gives an answered connection a moment to close. Where some stand already, not all of these
    /// may be such as have been answered: half of the standing room is for those who come.
    pub(in crate::shard) fn expect_end(&mut self, key: Key) {
        let deadline = self.now_ms().wrapping_add(LINGER.as_millis() as u32);
        self.timers.ends.push_back((key, deadline));
        let seats = &self.shared.seats;
        if seats.are_taken() {
            let most = seats.standing_room() / (2 * self.shared.links.len());
            while self.timers.ends.len() > most.max(1) && self.end_a_lingerer() {}
        }
    }

    /// Lets an acceptor rest until the next tick.
    pub(in crate::shard) fn pause(&mut self, acceptor: usize) {
        let _ = self.poller.remove(std::os::fd::AsFd::as_fd(&self.acceptors[acceptor].socket));
        self.timers.paused.push(acceptor);
    }

    fn resume_accepts(&mut self, index: usize) {
        let Some(acceptor) = self.acceptors.get(index) else { return };
        let fd = std::os::fd::AsFd::as_fd(&acceptor.socket);
        match self.poller.add_listener(fd, index as u64) {
            // It is another acceptor by now, which was never paused.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                ACCEPTOR_NOT_POLLED.log(|more| {
                    log::error!("an acceptor cannot be polled, and is tried again: {error}{more}");
                });
                self.timers.paused.push(index);
            }
            Ok(()) => {}
        }
    }

    fn end_slow_heads(&mut self) {
        let mut all = std::mem::take(&mut self.timers.heads);
        for (_, heads) in &mut all {
            while heads.front().is_some_and(|&(key, deadline)| self.head_is_over(key, deadline)) {
                heads.pop_front();
            }
        }
        all.retain(|(_, heads)| !heads.is_empty());
        self.timers.heads = all;
    }

    /// Whether nothing is to be waited for any more; whoever was too slow is told so.
    fn head_is_over(&mut self, key: Key, deadline: u32) -> bool {
        let over = has_passed(deadline, self.now_ms());
        match self.connections.get_mut(key).map(|connection| &connection.state) {
            Some(State::Handshaking(handshaking)) if over => {
                let answer = handshaking.acceptor.handshake.too_slow();
                self.answer(key, &answer);
                true
            }
            Some(State::Handshaking(_)) => false,
            _ => true,
        }
    }

    fn end_lingerers(&mut self) {
        let now_ms = self.now_ms();
        while let Some(&(key, deadline)) = self.timers.ends.front() {
            if self.connections.get_mut(key).is_some() {
                if !has_passed(deadline, now_ms) {
                    return;
                }
                drop(self.remove(key.index));
            }
            self.timers.ends.pop_front();
        }
    }

    /// Ends the connection that has had its answer for longest; false if there is none.
    pub(in crate::shard) fn end_a_lingerer(&mut self) -> bool {
        while let Some((key, _)) = self.timers.ends.pop_front() {
            if self.connections.get_mut(key).is_some() {
                drop(self.remove(key.index));
                return true;
            }
        }
        false
    }

    /// Visits entries whose turn came in the time since the last tick; a bounded number, the rest
    /// in the shard's next turns.
    fn sweep(&mut self) {
        let end = self.connections.end();
        // Whoever is live and has no work has everything up to here.
        let number = if self.timers.visits_due > 0 { self.take_all() } else { 0 };
        for _ in 0..self.timers.visits_due.min(VISITS_MAX) {
            if self.timers.sweep_at >= end {
                self.timers.sweep_at = 0;
            }
            self.hand_over(self.timers.sweep_at, number);
            self.timers.sweep_at += 1;
        }
        self.timers.visits_due = self.timers.visits_due.saturating_sub(VISITS_MAX);
    }

    /// Whether there are more entries to hand_over than one turn does.
    pub(in crate::shard) fn sweep_is_due(&self) -> bool {
        self.timers.visits_due > 0
    }

    fn hand_over(&mut self, index: u32, number: u64) {
        let Some(connection) = self.connections.at(index) else { return };
        if connection.audience().is_some() && self.retire(index) {
            return;
        }
        match &self.connections[index].state {
            State::Live(membership) => {
                let (now_ms, heartbeat_ms) = (self.now_ms(), self.timers.heartbeat_ms);
                let audience = &self.audiences[membership.audience];
                let quiet_ms = [membership.quiet_since_ms, audience.quiet_since_ms]
                    .map(|since_ms| now_ms.wrapping_sub(since_ms));
                let quiet_ms = quiet_ms[0].min(quiet_ms[1]);
                // The next hand_over may come a round later, which would be too late.
                let due_ms = heartbeat_ms - heartbeat_ms / ROUNDS;
                if heartbeat_ms > 0 && quiet_ms >= due_ms && !audience.has_work() {
                    let audience = membership.audience;
                    self.beat(index, audience, number);
                }
            }
            State::Lagging(lagging) if self.is_stalled(lagging.since_ms) => {
                self.disconnect(index, DisconnectReason::Stalled);
            }
            State::Replaying(replaying) if self.is_stalled(replaying.since_ms) => {
                self.disconnect(index, DisconnectReason::Stalled);
            }
            State::Lagging(_) => self.apply_age_limit(index),
            State::Replaying(replaying) if self.is_stuck(replaying.since_ms) => {
                self.disconnect(index, DisconnectReason::Lagging);
            }
            State::Replaying(_) | State::Handshaking(_) | State::Leaving => {}
        }
    }

    /// Whether a socket that took something last at a time has been stalled for too long.
    fn is_stalled(&self, since_ms: u32) -> bool {
        let stalled_ms = self.now_ms().wrapping_sub(since_ms);
        self.timers.stall_ms_max > 0 && stalled_ms >= self.timers.stall_ms_max
    }

    /// Keeps a silent stream open, in the form that its client wants: if it can be with the id to
    /// come back with, since that moves on with every event of the hub.
    fn beat(&mut self, index: u32, audience: u32, number: u64) {
        let now_ms = self.now_ms();
        if let State::Live(membership) = &mut self.connections[index].state {
            membership.quiet_since_ms = now_ms;
        }
        self.link().counters.heartbeats.add(1);
        let beat = self.record(index).heartbeat_form.beat(self.id_to_tell(audience, number));
        self.send_directly(index, &enveloped(self.audiences[audience].wire, beat.as_bytes()));
    }
}

/// Whether a deadline has passed, on a clock that wraps.
fn has_passed(deadline_ms: u32, now_ms: u32) -> bool {
    now_ms.wrapping_sub(deadline_ms) < u32::MAX / 2
}
