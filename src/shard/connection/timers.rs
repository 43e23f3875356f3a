//! What a shard waits for, without a timer per connection.
//!
//! Deadlines of one length (a request's head and the host's answer, for each length that there is;
//! the end after an answer) are in queues that are in order by themselves. All other deadlines are
//! found by a sweep that goes round the slab, a few entries each tick and a bounded number a turn,
//! several times in the shortest time-out that it checks: so heartbeats are spread over time as the
//! connections are over the slab.
//!
//! A queue can name a connection that has ended since. Times are in milliseconds since the hub's
//! start, in 32 bits, which wrap.

use std::collections::VecDeque;
use std::time::Duration;

use crate::options::Options;
use crate::shard::connection::slots::Key;

/// While there are connections, a tick comes this often.
pub(in crate::shard) const TICK_MS: u32 = 100;
/// How long an answered connection may take to close.
const LINGER_MS: u32 = 1_000;
/// How often the sweep goes round in the shortest time that it watches.
pub(in crate::shard) const ROUNDS: u32 = 4;
/// The sweep goes round at least once in this time.
const ROUND_MS_MAX: u32 = 5_000;

pub(in crate::shard) struct Timers {
    last_tick_ms: u32,
    /// Connections whose request is waited for.
    heads: Deadlines,
    /// Connections that wait for the host.
    asked: Deadlines,
    /// Connections that were answered, and when.
    ends: VecDeque<(Key, u32)>,
    /// Acceptors that accept again at the next tick.
    paused: Vec<usize>,
    sweep: Sweep,
    heartbeat_ms: u32,
    stall_ms_max: u32,
}

/// For each time that something may take, the connections that take it, since when.
#[derive(Default)]
struct Deadlines(Vec<(u32, VecDeque<(Key, u32)>)>);

/// The sweep: visits all entries of the slab, one after another.
struct Sweep {
    /// The next entry.
    at: u32,
    /// Entries whose turn has come.
    due: u32,
    /// The time in which each entry is visited once.
    round_ms: u32,
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
            heads: Deadlines::default(),
            asked: Deadlines::default(),
            ends: VecDeque::new(),
            paused: Vec::new(),
            sweep: Sweep { at: 0, due: 0, round_ms: round_ms.max(1) },
            heartbeat_ms,
            stall_ms_max,
        }
    }

    /// How long a silent stream waits for a heartbeat; zero for none.
    pub(in crate::shard) fn heartbeat_ms(&self) -> u32 {
        self.heartbeat_ms
    }

    /// Whether a socket that took something last at a time has been stalled for too long.
    pub(in crate::shard) fn is_stalled(&self, since_ms: u32, now_ms: u32) -> bool {
        self.stall_ms_max > 0 && now_ms.wrapping_sub(since_ms) >= self.stall_ms_max
    }

    /// How long ago the last tick was.
    pub(in crate::shard) fn since_tick_ms(&self, now_ms: u32) -> u32 {
        now_ms.wrapping_sub(self.last_tick_ms)
    }

    /// A tick begins: of a slab of `end` entries, as many are to be visited as the time since the
    /// last tick is of a round.
    pub(in crate::shard) fn begin_tick(&mut self, now_ms: u32, end: u32) {
        let since_ms = u64::from(self.since_tick_ms(now_ms));
        self.last_tick_ms = now_ms;
        let Sweep { due, round_ms, .. } = &mut self.sweep;
        let end = u64::from(end);
        let share = end * since_ms / u64::from(*round_ms) + 1;
        *due = (u64::from(*due) + share).min(end) as u32;
    }

    /// Whether there are entries to visit.
    pub(in crate::shard) fn has_visits(&self) -> bool {
        self.sweep.due > 0
    }

    /// The next entry to visit, of a slab of `end` entries.
    pub(in crate::shard) fn next_visit(&mut self, end: u32) -> Option<u32> {
        self.sweep.due = self.sweep.due.checked_sub(1)?;
        if self.sweep.at >= end {
            self.sweep.at = 0;
        }
        self.sweep.at += 1;
        Some(self.sweep.at - 1)
    }

    /// Gives a connection some time for its request's head.
    pub(in crate::shard) fn expect_head(&mut self, key: Key, time: Duration, now_ms: u32) {
        self.heads.expect(key, time, now_ms);
    }

    /// Takes out a connection whose head has not come in its time, nor within `silence_ms_max`.
    /// `is_awaited` says whether a head is still waited for.
    pub(in crate::shard) fn next_slow_head(
        &mut self,
        now_ms: u32,
        silence_ms_max: u32,
        is_awaited: impl FnMut(Key) -> bool,
    ) -> Option<Key> {
        self.heads.next_late(now_ms, silence_ms_max, is_awaited)
    }

    /// Gives the host some time to say what becomes of a connection. `waiting` connections wait for
    /// the host, which `is_asked` says of each.
    pub(in crate::shard) fn expect_verdict(
        &mut self,
        key: Key,
        time: Duration,
        now_ms: u32,
        waiting: usize,
        is_asked: impl FnMut(Key) -> bool,
    ) {
        self.asked.expect(key, time, now_ms);
        self.asked.forget_answered(2 * waiting + 1_024, is_asked);
    }

    /// Takes out a connection of which the host has not said in time what becomes of it. `is_asked`
    /// says whether the host's answer is still waited for.
    pub(in crate::shard) fn next_unanswered(
        &mut self,
        now_ms: u32,
        is_asked: impl FnMut(Key) -> bool,
    ) -> Option<Key> {
        self.asked.next_late(now_ms, u32::MAX, is_asked)
    }

    /// Gives an answered connection a moment to close.
    pub(in crate::shard) fn expect_end(&mut self, key: Key, now_ms: u32) {
        self.ends.push_back((key, now_ms));
    }

    /// How many answered connections may still be open.
    pub(in crate::shard) fn lingering(&self) -> usize {
        self.ends.len()
    }

    /// Takes out the connection that was answered first, if its moment is over. `is_open` says
    /// whether it has not ended by itself.
    pub(in crate::shard) fn next_end(
        &mut self,
        now_ms: u32,
        mut is_open: impl FnMut(Key) -> bool,
    ) -> Option<Key> {
        while let Some(&(key, since_ms)) = self.ends.front() {
            let is_open = is_open(key);
            if is_open && now_ms.wrapping_sub(since_ms) < LINGER_MS {
                return None;
            }
            self.ends.pop_front();
            if is_open {
                return Some(key);
            }
        }
        None
    }

    /// Takes out the connection that was answered first, which may have ended.
    pub(in crate::shard) fn first_end(&mut self) -> Option<Key> {
        self.ends.pop_front().map(|(key, _)| key)
    }

    /// Notes that an acceptor rests until the next tick.
    pub(in crate::shard) fn pause(&mut self, acceptor: usize) {
        self.paused.push(acceptor);
    }

    pub(in crate::shard) fn take_paused(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.paused)
    }

    pub(in crate::shard) fn is_any_paused(&self) -> bool {
        !self.paused.is_empty()
    }
}

impl Deadlines {
    fn expect(&mut self, key: Key, time: Duration, now_ms: u32) {
        let time_ms = time.as_millis() as u32;
        match self.0.iter_mut().find(|(time, _)| *time == time_ms) {
            Some((_, waiting)) => waiting.push_back((key, now_ms)),
            None => self.0.push((time_ms, VecDeque::from([(key, now_ms)]))),
        }
    }

    /// Takes out all that do not wait any more when there are more than `most` in all. The time may
    /// be long, and connections that were answered are not to gather until it is over.
    fn forget_answered(&mut self, most: usize, mut is_awaited: impl FnMut(Key) -> bool) {
        if self.0.iter().map(|(_, waiting)| waiting.len()).sum::<usize>() > most {
            self.0.iter_mut().for_each(|(_, waiting)| waiting.retain(|&(key, _)| is_awaited(key)));
        }
    }

    /// Takes out a connection whose time is over, or is longer ago than `ms_max`. `is_awaited` says
    /// whether it still waits.
    fn next_late(
        &mut self,
        now_ms: u32,
        ms_max: u32,
        mut is_awaited: impl FnMut(Key) -> bool,
    ) -> Option<Key> {
        for (time_ms, waiting) in &mut self.0 {
            while let Some(&(key, since_ms)) = waiting.front() {
                if is_awaited(key) {
                    if now_ms.wrapping_sub(since_ms) < ms_max.min(*time_ms) {
                        break;
                    }
                    waiting.pop_front();
                    return Some(key);
                }
                waiting.pop_front();
            }
        }
        self.0.retain(|(_, waiting)| !waiting.is_empty());
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> Key {
        Key { index, generation: 1 }
    }

    #[test]
    fn a_head_is_slow_after_its_listeners_time_or_less_silence_and_across_the_clocks_wrap() {
        let mut timers = Timers::new(&Options::default());
        let start_ms = u32::MAX - 1_000;
        let at = |ms: u32| start_ms.wrapping_add(ms);
        timers.expect_head(key(1), Duration::from_secs(10), at(0));
        timers.expect_head(key(2), Duration::from_secs(3), at(500));
        timers.expect_head(key(3), Duration::from_secs(10), at(600));
        let mut slow = |ms, silence_ms_max, gone: u32| {
            timers.next_slow_head(at(ms), silence_ms_max, |key| key.index != gone)
        };
        assert_eq!(slow(3_499, u32::MAX, 0), None);
        assert_eq!(slow(3_500, u32::MAX, 0), Some(key(2)));
        assert_eq!(slow(3_500, 4_000, 0), None);
        assert_eq!(slow(4_000, 4_000, 0), Some(key(1)));
        assert_eq!(slow(20_000, 0, 3), None, "its head has come");
        assert!(timers.heads.0.is_empty());
    }

    #[test]
    fn the_sweep_visits_each_entry_once_a_round() {
        let options = Options { heartbeat: Duration::from_secs(4), ..Options::default() };
        let mut timers = Timers::new(&options);
        let mut visits = [0; 50];
        for tick in 1..=10 {
            timers.begin_tick(tick * TICK_MS, 50);
            while let Some(index) = timers.next_visit(50) {
                visits[index as usize] += 1;
            }
        }
        assert!(visits.iter().all(|&count| count == 1 || count == 2), "{visits:?}");
    }
}
