//! How a shard serves the members that wait for an event which is spread over a time
//! (`fanout/spread.rs`).

use std::time::Duration;

use crate::shard::connection::slots::Key;
use crate::shard::connection::State;
use crate::shard::fanout::audience::Lead;
use crate::shard::fanout::spread::Job;
use crate::shard::{Shard, TURN};

/// Audiences that are looked at in one turn.
const VISITS_MAX: usize = 1024;
/// Audiences that cannot be served that are passed over before the others are to wait as well.
const PASSES_MAX: usize = 64;
/// The shortest time from one look at what is due to the next, if nothing else is to be done.
const SLEEP: Duration = Duration::from_millis(1);
const SLEEP_NS: u64 = SLEEP.as_nanos() as u64;

/// What one turn may still do.
struct Budget {
    sends: usize,
    visits: usize,
}

/// What became of the wish to serve members of an audience.
enum Served {
    Members {
        waiting: usize,
        members: usize,
    },
    /// None waits there any more.
    Over,
    /// They have to be sent something else first, wait for a laggard, or are served at another
    /// event's pace.
    NotYet,
}

impl Shard {
    /// How long the shard may sleep before something is due of an event that is spread.
    pub(in crate::shard) fn until_spread(&self) -> Option<Duration> {
        let next_ns = self.audiences.spread.next_ns()?;
        Some(Duration::from_nanos(next_ns.saturating_sub(self.now_ns)).max(SLEEP))
    }

    /// Serves those whose turn has come, a bounded number; true when there may be more.
    #[inline]
    pub(in crate::shard) fn send_spread(&mut self) -> bool {
        match self.audiences.spread.is_idle() {
            true => false,
            false => self.send_due(),
        }
    }

    #[cold]
    fn send_due(&mut self) -> bool {
        self.readmit_all();
        let mut budget = Budget { sends: TURN, visits: VISITS_MAX };
        while budget.sends > 0 && budget.visits > 0 {
            let Some(mut job) = self.audiences.spread.take_due(self.now_ns) else { break };
            if job.pace.is_over(self.now_ns) {
                self.end_job(&mut job, &mut budget);
            } else {
                self.go_on(&mut job, &mut budget);
            }
            if !job.waiting.is_empty() {
                self.audiences.spread.put(job);
            }
        }
        self.count_spread();
        let now_ns = self.now_ns;
        self.audiences.spread.next_ns().is_some_and(|next_ns| next_ns <= now_ns)
    }

    /// Notes how many wait, as far as is known.
    pub(in crate::shard) fn count_spread(&self) {
        let (count, left) = (&self.link().counters.spread_deliveries, self.audiences.spread.left());
        count.change(count.value() as usize, left as usize);
    }

    /// Has all members that still wait sent at once when the time is over.
    fn end_job(&mut self, job: &mut Job, budget: &mut Budget) {
        while budget.visits > 0 {
            let Some(waiting) = job.waiting.front() else { break };
            self.audiences.open_gate(waiting, &mut self.scheduler);
            job.drop_first();
            budget.visits -= 1;
        }
    }

    /// Serves as many as are due, going along the audiences.
    fn go_on(&mut self, job: &mut Job, budget: &mut Budget) {
        if job.left == 0 {
            self.recount(job);
            if job.left == 0 {
                return job.pace.postpone(self.now_ns + SLEEP_NS);
            }
        }
        let mut due = job.pace.take_due(self.now_ns, job.left, budget.sends as u64) as usize;
        let mut passes = 0;
        while due > 0 && budget.visits > 0 {
            let Some(&waiting) = job.waiting.front() else { return };
            budget.visits -= 1;
            match self.serve_waiting(waiting.audience, job.event_at(&waiting), due) {
                Served::Members { waiting, members } => {
                    job.count_first(waiting);
                    job.count_served(members);
                    due = due.saturating_sub(members);
                    budget.sends = budget.sends.saturating_sub(members);
                }
                Served::Over => job.drop_first(),
                Served::NotYet => {
                    passes += 1;
                    if passes > PASSES_MAX.min(job.waiting.len() - 1) {
                        return job.pace.postpone(self.now_ns + SLEEP_NS);
                    }
                    job.waiting.rotate_left(1);
                }
            }
        }
        if due > 0 {
            job.pace.hurry(self.now_ns);
        }
    }

    /// Counts the members that wait where this event sets the pace by now, after another one did.
    fn recount(&mut self, job: &mut Job) {
        for _ in 0..job.waiting.len().min(PASSES_MAX) {
            let Some(&waiting) = job.waiting.front() else { return };
            let event = job.event_at(&waiting);
            match self.audiences.get_mut(waiting.audience) {
                Some(audience) if !audience.is_past(event.behind) => {
                    let members = match audience.is_led_by(event) {
                        true => audience.ring.count_before(event.behind),
                        false => 0,
                    };
                    job.count_first(members);
                    job.waiting.rotate_left(1);
                }
                _ => job.drop_first(),
            }
        }
    }

    /// Serves the next members of an audience that wait for an event at its gate, at most a number
    /// of them.
    fn serve_waiting(&mut self, key: Key, event: Lead, count_max: usize) -> Served {
        let Some(audience) = self.audiences.get_mut(key) else { return Served::Over };
        if audience.is_past(event.behind) {
            if !audience.has_work() {
                self.change_queue(key.index, |audience| audience.settle_behind_gate());
            }
            return Served::Over;
        }
        if audience.held || audience.has_work() || !audience.is_led_by(event) {
            return Served::NotYet;
        }
        self.keep_lag_within_bounds(key);
        let Some(audience) = self.audiences.get_mut(key) else { return Served::Over };
        let (Some(from), false) = (audience.ring.front(), audience.held) else {
            return Served::NotYet;
        };
        let (to, waiting) = (audience.queue.end(), audience.ring.count_before(event.behind));
        let (sends, _) = self.send_batch(key.index, from..to, count_max, false);
        if self.audiences.get_mut(key).is_some() {
            let windows_full = self.windows_are_full();
            self.change_queue(key.index, |audience| {
                audience.settle_behind_gate();
                if windows_full {
                    audience.queue.close_window();
                }
            });
        }
        Served::Members { waiting, members: sends }
    }

    /// Sends a member at once what it waits for at its audience's gate. It may lag then, or be
    /// gone.
    pub(in crate::shard) fn send_waiting(&mut self, index: u32) {
        let State::Live(membership) = self.connections[index].state else { return };
        if !self.audiences[membership.audience].waits_at_gate(membership.slot) {
            return;
        }
        let key = self.connections.key_at(index);
        self.fall_behind_as_it_is(index, membership);
        self.flush_at_once(key, true);
    }

    /// Keeps a laggard that could be a member a laggard while its audience gathers the members at
    /// the gate; false if it may be one.
    pub(in crate::shard) fn park_at_gate(&mut self, index: u32) -> bool {
        let State::Lagging(lagging) = &mut self.connections[index].state else { return false };
        let position = lagging.position;
        let (key, audience) = self.audiences.entry_mut(lagging.membership.audience);
        if position <= audience.admits_to() {
            return false;
        }
        lagging.parked = true;
        match &mut audience.parked_from {
            Some(from) => *from = position.min(*from),
            from @ None => {
                *from = Some(position);
                self.audiences.spread.park(key);
            }
        }
        true
    }

    /// Readmits the connections that are parked where that is possible.
    fn readmit_all(&mut self) {
        for key in self.audiences.spread.take_parked() {
            if self.audiences.get_mut(key).is_some() {
                self.readmit(key.index);
            }
            if self.audiences.get_mut(key).is_some_and(|audience| audience.parked_from.is_some()) {
                self.audiences.spread.park(key);
            }
        }
    }

    /// Makes members of the connections of an audience that are parked, but for those that are
    /// behind the gate while it still gathers its members there. To be done before any member is
    /// sent more than they were.
    #[cold]
    pub(in crate::shard) fn readmit(&mut self, index: u32) {
        let audience = &mut self.audiences[index];
        let to = audience.admits_to();
        if audience.parked_from.is_none_or(|from| from > to) {
            return;
        }
        let connections = &self.connections;
        let lagging = |&index: &u32| Some((index, connections[index].state.lagging()?));
        let parked = audience.lagging.iter().filter_map(lagging);
        let parked = parked.filter(|(_, lagging)| lagging.is_parked());
        let parked = parked.map(|(index, lagging)| (lagging.position, index));
        let (mut admitted, rest): (Vec<(u64, u32)>, Vec<_>) =
            parked.partition(|&(position, _)| position <= to);
        audience.parked_from = rest.iter().map(|&(position, _)| position).min();
        admitted.sort_unstable();
        for (_, member) in admitted {
            self.become_member(member);
        }
    }
}
