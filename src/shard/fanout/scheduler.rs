//! Which audience is sent its next slice, and which laggard has its next turn.
//!
//! ```text
//!   express   audiences with an event for few connections      a slice's worth of sends, then
//!   bulk      audiences with more to send than one slice       one slice
//!   held      audiences that wait for a laggard                not before they are released
//!   unfinished  connections that lag or replay, and have more to send than one turn takes
//!   complete  audiences whose topics are finished      their members are ended, some each turn
//! ```
//!
//! An audience is at most once in each of the first two queues, and may be in both. A queue can
//! name an audience or a connection that has ended since: its key is stale then, and finds nothing.

use std::collections::VecDeque;

use crate::shard::connection::slots::Key;

/// What one audience is sent in one turn, in units of the cost of one send: less than a
/// millisecond's work.
pub(in crate::shard) const SLICE: usize = 64;

#[derive(Default)]
pub(in crate::shard) struct Scheduler {
    express: VecDeque<Key>,
    bulk: VecDeque<Key>,
    /// What was sent from the express queue since the bulk queue had its slice.
    express_cost: usize,
    held: Vec<Key>,
    unfinished: VecDeque<Key>,
    complete: VecDeque<Key>,
}

/// One of the two queues of audiences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Lane {
    Express,
    Bulk,
}

/// In which queues an audience is.
#[derive(Default)]
pub(crate) struct Queued {
    express: bool,
    bulk: bool,
    complete: bool,
}

impl Lane {
    /// The queue for an event that this many connections are to be sent.
    #[inline]
    pub(in crate::shard) fn of(members: usize) -> Lane {
        match members <= SLICE {
            true => Lane::Express,
            false => Lane::Bulk,
        }
    }
}

impl Queued {
    #[inline]
    fn at(&mut self, lane: Lane) -> &mut bool {
        match lane {
            Lane::Express => &mut self.express,
            Lane::Bulk => &mut self.bulk,
        }
    }

    /// Notes that the audience was taken from a queue.
    #[inline]
    pub(in crate::shard) fn leave(&mut self, lane: Lane) {
        *self.at(lane) = false;
    }

    /// Notes that the audience was taken from those whose members are ended.
    pub(in crate::shard) fn leave_complete(&mut self) {
        self.complete = false;
    }
}

impl Scheduler {
    /// Puts an audience at the end of a queue, unless it is in there already.
    #[inline]
    pub(in crate::shard) fn enqueue(&mut self, key: Key, queued: &mut Queued, lane: Lane) {
        if !std::mem::replace(queued.at(lane), true) {
            match lane {
                Lane::Express => self.express.push_back(key),
                Lane::Bulk => self.bulk.push_back(key),
            }
        }
    }

    /// Takes the audience that is served next out of its queue: the express queue has a slice's
    /// worth of sends, and then the bulk queue has one slice.
    #[inline]
    pub(in crate::shard) fn next(&mut self) -> Option<(Key, Lane)> {
        let lane = match (self.express.is_empty(), self.bulk.is_empty()) {
            (true, true) => return None,
            (false, false) if self.express_cost < SLICE => Lane::Express,
            (false, true) => Lane::Express,
            (_, false) => Lane::Bulk,
        };
        let key = match lane {
            Lane::Express => self.express.pop_front(),
            Lane::Bulk => {
                self.express_cost = 0;
                self.bulk.pop_front()
            }
        };
        key.map(|key| (key, lane))
    }

    /// Counts what an audience of a queue was sent.
    #[inline]
    pub(in crate::shard) fn spend(&mut self, lane: Lane, cost: usize) {
        if lane == Lane::Express {
            self.express_cost += cost;
        }
    }

    /// Whether there is nothing to send: no audience waits for its slice, no laggard for its turn.
    pub(in crate::shard) fn is_idle(&self) -> bool {
        self.express.is_empty() && self.bulk.is_empty() && self.unfinished.is_empty()
    }

    /// Notes that an audience waits for a laggard.
    pub(in crate::shard) fn hold(&mut self, key: Key) {
        self.held.push(key);
    }

    /// Takes all audiences that have been held since this was last asked.
    pub(in crate::shard) fn take_held(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.held)
    }

    /// Whether an audience may still wait for a laggard.
    pub(in crate::shard) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Gives a connection that lags or replays another turn, after the others that wait for one.
    /// `queued` says whether it waits for one already.
    pub(in crate::shard) fn enqueue_flush(&mut self, key: Key, queued: &mut bool) {
        if !std::mem::replace(queued, true) {
            self.unfinished.push_back(key);
        }
    }

    /// How many connections wait for another turn.
    pub(in crate::shard) fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    /// Takes the connection that waits longest for another turn.
    pub(in crate::shard) fn next_unfinished(&mut self) -> Option<Key> {
        self.unfinished.pop_front()
    }

    /// Has the members of a complete audience ended when they have been sent everything.
    pub(in crate::shard) fn enqueue_complete(&mut self, key: Key, queued: &mut Queued) {
        if !std::mem::replace(&mut queued.complete, true) {
            self.complete.push_back(key);
        }
    }

    /// How many complete audiences have members.
    pub(in crate::shard) fn complete(&self) -> usize {
        self.complete.len()
    }

    /// Takes the complete audience whose members are ended next.
    pub(in crate::shard) fn next_complete(&mut self) -> Option<Key> {
        self.complete.pop_front()
    }

    /// Gives memory back that is not in use.
    pub(in crate::shard) fn release_memory(&mut self) {
        let Scheduler { express, bulk, unfinished, complete, .. } = self;
        for queue in [express, bulk, unfinished, complete] {
            queue.shrink_to(queue.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> Key {
        Key { index, generation: 1 }
    }

    #[test]
    fn an_audience_is_in_a_queue_once_however_often_it_gets_an_event() {
        let (mut scheduler, mut queued) = (Scheduler::default(), Queued::default());
        for _ in 0..3 {
            scheduler.enqueue(key(7), &mut queued, Lane::Express);
            scheduler.enqueue(key(7), &mut queued, Lane::Bulk);
        }
        assert_eq!(scheduler.next(), Some((key(7), Lane::Express)));
        assert_eq!(scheduler.next(), Some((key(7), Lane::Bulk)));
        assert_eq!(scheduler.next(), None);
        queued.leave(Lane::Bulk);
        scheduler.enqueue(key(7), &mut queued, Lane::Express);
        scheduler.enqueue(key(7), &mut queued, Lane::Bulk);
        assert_eq!(scheduler.next(), Some((key(7), Lane::Bulk)));
        assert!(scheduler.next().is_none() && scheduler.is_idle());
    }

    #[test]
    fn the_bulk_queue_has_a_slice_after_a_slices_worth_of_express_sends() {
        let mut scheduler = Scheduler::default();
        for index in 0..4 * SLICE as u32 {
            scheduler.enqueue(key(index), &mut Queued::default(), Lane::Express);
            scheduler.enqueue(key(index), &mut Queued::default(), Lane::Bulk);
        }
        let mut lanes = Vec::new();
        while lanes.len() < 2 * (SLICE + 1) {
            let (_, lane) = scheduler.next().expect("both queues have more");
            scheduler.spend(lane, 1);
            lanes.push(lane);
        }
        for round in lanes.chunks(SLICE + 1) {
            let (bulk, express) = round.split_last().expect("it has one of each");
            assert_eq!(*bulk, Lane::Bulk);
            assert!(express.iter().all(|&lane| lane == Lane::Express));
        }
    }
}
