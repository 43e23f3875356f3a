//! What a shard does every tick: ten times a second while there are connections, or a grace time of
//! topics without subscribers runs.

use std::time::Duration;

use crate::frame::in_chunk;
use crate::metrics::DisconnectReason;
use crate::seldom::Seldom;
use crate::shard::connection::slots::Key;
use crate::shard::connection::timers::{ROUNDS, TICK_MS};
use crate::shard::connection::State;
use crate::shard::Shard;

/// How often a tick comes while there is no connection, but something that may become too old to
/// be kept.
const IDLE_TICK_MS: u32 = 1_000;
/// The number of entries that one turn visits; each may be sent a heartbeat.
const VISITS_MAX: u32 = 256;
/// How long a connection may take for its request's head when the bound on connections is reached
/// and another connection has come.
const SILENCE_MS_MAX: u32 = 1_000;

/// An acceptor is tried again with every tick.
static ACCEPTOR_NOT_POLLED: Seldom = Seldom::new();

impl Shard {
    /// How long the shard may sleep.
    pub(in crate::shard) fn next_timer(&self) -> Option<Duration> {
        let (tick, spread) = (self.next_tick(), self.until_spread());
        tick.into_iter().chain(spread).min()
    }

    fn next_tick(&self) -> Option<Duration> {
        let idle = self.connections.is_empty()
            && !self.timers.is_any_paused()
            && self.parts.is_empty()
            && !self.has_memory_to_release();
        let tick_ms = match idle {
            false => TICK_MS,
            true if self.shared.order.has_graces() => TICK_MS,
            true if self.shared.order.has_history() => IDLE_TICK_MS,
            true => return None,
        };
        let since_ms = self.timers.since_tick_ms(self.now_ms());
        Some(Duration::from_millis(u64::from(tick_ms.saturating_sub(since_ms))))
    }

    pub(in crate::shard) fn handle_timers(&mut self) {
        let now_ms = self.now_ms();
        if self.timers.since_tick_ms(now_ms) < TICK_MS {
            return self.sweep();
        }
        for key in self.scheduler.take_held() {
            self.release(key);
        }
        for acceptor in self.timers.take_paused() {
            self.resume_accepts(acceptor);
        }
        self.shared.spares.are_complete();
        while self.end_a_slow_head(u32::MAX) {}
        self.end_unanswered();
        self.parts.tick();
        self.close_routes();
        self.shared.order.forget_old();
        self.shared.order.end_graces();
        self.release_memory();
        self.timers.begin_tick(now_ms, self.connections.end());
        self.sweep();
    }

    /// Gives a connection some time for its request's head.
    pub(in crate::shard) fn expect_head(&mut self, key: Key, time: Duration) {
        let now_ms = self.now_ms();
        self.timers.expect_head(key, time, now_ms);
    }

    /// Gives an answered connection a moment to close. Where connections are beyond the limit,
    /// answered ones take half of the overflow at most: the other half is for new ones.
    pub(in crate::shard) fn expect_end(&mut self, key: Key) {
        let now_ms = self.now_ms();
        self.timers.expect_end(key, now_ms);
        let limits = &self.shared.connection_limits;
        if limits.is_exceeded() {
            let most = limits.overflow() / (2 * self.shared.links.len());
            while self.timers.lingering() > most.max(1) && self.end_a_lingerer() {}
        }
    }

    /// Lets an acceptor rest until the next tick.
    pub(in crate::shard) fn pause(&mut self, acceptor: usize) {
        let _ = self.poller.remove(std::os::fd::AsFd::as_fd(&self.acceptors[acceptor].socket));
        self.timers.pause(acceptor);
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
                self.timers.pause(index);
            }
            Ok(()) => {}
        }
    }

    /// Tells a client whose request's head has not come in its listener's time, nor within
    /// `silence_ms_max`, that it was too slow; false if there is none.
    fn end_a_slow_head(&mut self, silence_ms_max: u32) -> bool {
        let now_ms = self.now_ms();
        let is_awaited = |key| {
            let connection = self.connections.get_mut(key);
            connection.is_some_and(|connection| connection.state.is_awaited())
        };
        let Some(key) = self.timers.next_slow_head(now_ms, silence_ms_max, is_awaited) else {
            return false;
        };
        if let State::Handshaking(handshaking) = &self.connections[key.index].state {
            let answer = handshaking.acceptor.handshake.too_slow();
            self.answer(key, &answer);
        }
        true
    }

    /// Ends the connection that has had its answer for longest; false if there is none.
    pub(in crate::shard) fn end_a_lingerer(&mut self) -> bool {
        while let Some(key) = self.timers.first_end() {
            if self.connections.get_mut(key).is_some() {
                drop(self.remove(key.index));
                return true;
            }
        }
        false
    }

    /// Ends the connection that has waited for its request's head for longest; false if none has
    /// been silent for long.
    pub(in crate::shard) fn end_a_silent_connection(&mut self) -> bool {
        let is_any = self.end_a_slow_head(SILENCE_MS_MAX);
        if is_any {
            self.end_a_lingerer();
        }
        is_any
    }

    /// Visits entries whose turn came in the time since the last tick; a bounded number, the rest
    /// in the shard's next turns.
    fn sweep(&mut self) {
        let end = self.connections.end();
        // A live connection whose audience has no work has everything up to here.
        let number = if self.timers.has_visits() { self.take_all() } else { 0 };
        for _ in 0..VISITS_MAX {
            let Some(index) = self.timers.next_visit(end) else { return };
            self.visit(index, number);
        }
    }

    /// Whether there are more entries to visit than one turn does.
    pub(in crate::shard) fn sweep_is_due(&self) -> bool {
        self.timers.has_visits()
    }

    fn visit(&mut self, index: u32, number: u64) {
        let Some(connection) = self.connections.at(index) else { return };
        if connection.audience().is_some() && self.retire(index) {
            return;
        }
        match &self.connections[index].state {
            State::Live(membership) => {
                let (now_ms, heartbeat_ms) = (self.now_ms(), self.timers.heartbeat_ms());
                let audience = &self.audiences[membership.audience];
                let quiet_ms = [membership.quiet_since_ms, audience.quiet_since_ms]
                    .map(|since_ms| now_ms.wrapping_sub(since_ms));
                let quiet_ms = quiet_ms[0].min(quiet_ms[1]);
                // The next visit may come a round later, which would be too late.
                let due_ms = heartbeat_ms - heartbeat_ms / ROUNDS;
                if heartbeat_ms > 0 && quiet_ms >= due_ms && !audience.has_work() {
                    // It has yet to be sent what it waits for, if that is spread over a time.
                    let number = match audience.waits_at_gate(membership.slot) {
                        true => {
                            let position = audience.ring.position_of(membership.slot);
                            audience.queue.sequence_at(position) - 1
                        }
                        false => number,
                    };
                    let audience = membership.audience;
                    self.beat(index, audience, number);
                }
            }
            State::Lagging(lagging) if self.is_stalled(lagging.since_ms) => {
                self.disconnect(index, DisconnectReason::Stalled);
            }
            State::Replaying(replaying) if replaying.waits() => {
                if self.is_unanswered(replaying.since_ms) {
                    self.have_come_again(index);
                }
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
        self.timers.is_stalled(since_ms, self.now_ms())
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
        self.send_directly(index, &in_chunk(self.audiences[audience].wire, beat.as_bytes()));
    }
}
