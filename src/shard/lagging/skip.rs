//! How laggards that are not disconnected get rid of what waits for them: they jump over it, or it
//! is conflated.
//!
//! ```text
//!   own bytes | begun batch | gap event | rest of what was set aside | log from its position on
//! ```
//!
//! This is the order in which a laggard is sent what there is for it. Whatever was begun is
//! finished. A laggard that leaves the place where it stood in the log takes with it the events of
//! the batch that it has begun, and if they are conflated all others as well: they are set aside, in
//! a list that it shares with those who need the same. Only laggards come here. So does everything
//! that waits for one which changes its audience (`resubscribe.rs`).

use std::collections::HashMap;

use crate::frame::{StreamId, Wire};
use crate::gap::{Gap, GapReason};
use crate::id::{Epoch, EventId};
use crate::policy::Policy;
use crate::shard::connection::{Lagging, State};
use crate::shard::lagging::conflate::conflate;
use crate::shard::lagging::spill::{Item, Share, Spill};
use crate::shard::Shard;

/// Events that were dropped for a laggard, of which it has not begun to be told.
pub(crate) struct Missing {
    /// What it is sent last before them.
    from: Option<StreamId>,
    /// The sequence number of the last one.
    to: u64,
    count: u64,
}

/// What laggards share, while the same is done to all of them.
#[derive(Default)]
pub(in crate::shard) struct Shares {
    /// Of those who stood at the same place.
    left: HashMap<Stand, Left>,
    /// The lists that were made: who is left with the same events, wherever it stood, shares one.
    lists: Vec<u32>,
}

/// Where a laggard stands: those who stand at the same place need the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Stand {
    /// The list and the first event there that it needs.
    spill: Option<(u32, usize)>,
    position: u64,
    /// How many events it has begun, in the list if it has one, or else in the log.
    begun: usize,
}

/// What is left for a laggard, set aside.
#[derive(Clone)]
struct Left {
    list: Option<u32>,
    /// How many of the list's events it had begun.
    begun: usize,
    conflated: u64,
    dropped: Option<Dropped>,
}

/// So many events, the last of which had this sequence number.
#[derive(Clone, Copy)]
struct Dropped {
    count: u64,
    to: u64,
}

/// What waits for a laggard.
struct Waiting {
    begun: Vec<Item>,
    rest: Vec<Item>,
    conflated: u64,
    dropped: Option<Dropped>,
}

impl Shard {
    /// Has a laggard jump to a position, over everything before it that it has not begun.
    pub(in crate::shard) fn skip_ahead(&mut self, index: u32, to: u64, shares: &mut Shares) {
        let sent = self.sent_to(index);
        if self.has_unsent_spill(index) {
            // That is older than anything in the log.
            self.spill_for(index, shares, |shard, lagging| {
                let mut waiting = shard.waiting_in_spill(lagging);
                waiting.drop_count(waiting.rest.len());
                waiting
            });
        }
        let lagging = self.laggard(index);
        let (audience, position) = (lagging.membership.audience, lagging.batch.start);
        let begun = if lagging.spill.is_some() { 0 } else { lagging.begun() as u64 };
        let queue = &self.audiences[audience].queue;
        let from = position + begun;
        let to = to.max(from);
        if to > from {
            let dropped = Dropped { count: to - from, to: queue.sequence_before(to) };
            self.miss(index, dropped);
        }
        if begun > 0 {
            self.spill_for(index, shares, |shard, _| Waiting {
                begun: shard.audiences[audience].queue.items(position..from).collect(),
                rest: Vec::new(),
                conflated: 0,
                dropped: None,
            });
        }
        self.stand_at(index, to);
        self.begin_count(index, sent);
    }

    /// Sets everything aside that waits for a laggard, of each key the newest event alone; it then
    /// stands at the log's end.
    pub(in crate::shard) fn conflate(&mut self, index: u32, shares: &mut Shares) {
        let sent = self.sent_to(index);
        self.spill_all(index, u64::MAX, false, shares);
        let audience = self.laggard(index).membership.audience;
        self.stand_at(index, self.audiences[audience].queue.end());
        self.begin_count(index, sent);
    }

    /// Sets everything aside that waits for a laggard up to a number, or else what its policy leaves
    /// of that: of each key the newest event alone, and not more than its audience may keep for it.
    /// It is to stand elsewhere then.
    pub(in crate::shard) fn spill_all(
        &mut self,
        index: u32,
        number: u64,
        everything: bool,
        shares: &mut Shares,
    ) {
        let policy = self.policy_of(index);
        let drops = !everything && policy != Policy::Disconnect;
        self.spill_for(index, shares, |shard, lagging| {
            let mut waiting = shard.waiting(lagging, number);
            if !everything && policy == Policy::Conflate {
                waiting.conflate();
            }
            if drops && bytes_of(&waiting.rest) > shard.spill_bytes_max(lagging) {
                waiting.drop_oldest(shard.shared.options.lag_bytes_max / 2);
            }
            waiting
        });
    }

    /// Whether events are set aside for a laggard that it has not begun, and would be too much with
    /// everything else that waits for it up to a number, of which nothing may be dropped.
    pub(in crate::shard) fn has_too_much(&self, index: u32, number: u64) -> bool {
        let lagging = self.laggard(index);
        let too_much = || {
            let waiting = self.waiting(lagging, number);
            bytes_of(&waiting.rest) > self.spill_bytes_max(lagging)
        };
        let drops = self.policy_of(index) != Policy::Disconnect;
        !drops && self.has_unsent_spill(index) && too_much()
    }

    /// What may be set aside for a laggard: what its audience may keep for it in the log.
    fn spill_bytes_max(&self, lagging: &Lagging) -> usize {
        let options = &self.shared.options;
        let unsent_bytes = self.audiences[lagging.membership.audience].queue.unsent_bytes();
        options.lag_bytes_max + options.batch_bytes_max + unsent_bytes
    }

    /// Drops the older half of what is set aside for a laggard and was not begun; false if there
    /// is nothing.
    pub(in crate::shard) fn halve_spill(&mut self, index: u32, shares: &mut Shares) -> bool {
        let has_any = self.has_unsent_spill(index);
        if has_any {
            self.spill_for(index, shares, |shard, lagging| {
                let mut waiting = shard.waiting_in_spill(lagging);
                waiting.drop_count(waiting.rest.len().div_ceil(2));
                waiting
            });
        }
        has_any
    }

    /// Drops what is set aside for a laggard, was not begun, and was published before a time.
    pub(in crate::shard) fn drop_old_spill(&mut self, index: u32, before_ns: u64) {
        if self.has_unsent_spill(index) {
            self.spill_for(index, &mut Shares::default(), |shard, lagging| {
                let mut waiting = shard.waiting_in_spill(lagging);
                let old = waiting.rest.iter().take_while(|item| item.at_ns < before_ns).count();
                waiting.drop_count(old);
                waiting
            });
        }
    }

    /// Whether events are set aside for a laggard that it has not begun.
    fn has_unsent_spill(&self, index: u32) -> bool {
        let lagging = self.laggard(index);
        lagging.spill.as_ref().is_some_and(|share| {
            share.batch.start + lagging.begun() < self.spill.items(share.list).len()
        })
    }

    /// Sets aside for a laggard what is left of what waits for it, or what is left for another
    /// that stood at the same place.
    fn spill_for(
        &mut self,
        index: u32,
        shares: &mut Shares,
        what: impl FnOnce(&Shard, &Lagging) -> Waiting,
    ) {
        let stand = self.laggard(index).stand();
        let left = match shares.left.get(&stand).cloned() {
            Some(left) => {
                left.list.inspect(|&list| self.spill.share(list));
                left
            }
            None => {
                let Waiting { begun, rest, conflated, dropped } = what(self, self.laggard(index));
                let count = begun.len();
                let items: Vec<Item> = begun.into_iter().chain(rest).collect();
                let list = (!items.is_empty()).then(|| self.put_in_spill(items, shares));
                let left = Left { list, begun: count, conflated, dropped };
                shares.left.insert(stand, left.clone());
                left
            }
        };
        self.link().counters.conflated_events.add(left.conflated);
        // Before what it has begun is replaced.
        if let Some(dropped) = left.dropped {
            self.miss(index, dropped);
        }
        self.release_spill(index);
        let share = left.list.map(|list| Share { list, batch: 0..left.begun });
        self.laggard_mut(index).spill = share;
    }

    /// Sets events aside in a list of their own, or in one that has the same.
    fn put_in_spill(&mut self, items: Vec<Item>, shares: &mut Shares) -> u32 {
        let same = shares.lists.iter().copied().find(|&list| self.spill.has(list, &items));
        if let Some(list) = same {
            self.spill.share(list);
            return list;
        }
        let list = self.change_spill(|spill| spill.put(items));
        shares.lists.push(list);
        list
    }

    /// Notes that a laggard will not be sent what comes after everything that it has begun.
    fn miss(&mut self, index: u32, dropped: Dropped) {
        let from = self.last_begun(index);
        let Dropped { count, to } = dropped;
        self.link().counters.dropped_events.add(count);
        match &mut self.laggard_mut(index).missing {
            // It has not begun to be told: then it is told of all at once.
            Some(missing) => (missing.to, missing.count) = (to, missing.count + count),
            missing => *missing = Some(Missing { from, to, count }),
        }
    }

    /// The id of the last event that a laggard was sent, or has begun to be sent.
    fn last_begun(&self, index: u32) -> Option<StreamId> {
        let lagging = self.laggard(index);
        match &lagging.spill {
            _ if lagging.sent == 0 => lagging.last.clone(),
            Some(share) => {
                Some(self.spill.items(share.list)[share.batch.end - 1].frame.stream_id())
            }
            None => self.audiences[lagging.membership.audience].queue.id_before(lagging.batch.end),
        }
    }

    /// Everything that waits for a laggard up to a number, in its audience's log too.
    fn waiting(&self, lagging: &Lagging, number: u64) -> Waiting {
        let queue = &self.audiences[lagging.membership.audience].queue;
        let mut waiting = self.waiting_in_spill(lagging);
        let mut position = lagging.batch.start;
        if lagging.spill.is_none() {
            let from = position;
            position += lagging.begun() as u64;
            waiting.begun.extend(queue.items(from..position));
        }
        waiting.rest.extend(queue.items(position..queue.position_after(number)));
        waiting
    }

    /// What is set aside for a laggard.
    fn waiting_in_spill(&self, lagging: &Lagging) -> Waiting {
        let (mut begun, mut rest) = (Vec::new(), Vec::new());
        if let Some(share) = &lagging.spill {
            let items = &self.spill.items(share.list)[share.batch.start..];
            let (first, others) = items.split_at(lagging.begun());
            begun.extend_from_slice(first);
            rest.extend_from_slice(others);
        }
        Waiting { begun, rest, conflated: 0, dropped: None }
    }

    /// Nothing is set aside any more for a laggard.
    pub(in crate::shard) fn release_spill(&mut self, index: u32) {
        if let Some(share) = self.laggard_mut(index).spill.take() {
            self.change_spill(|spill| spill.unref(share.list));
        }
    }

    /// Does something that changes what is set aside, and accounts for it.
    fn change_spill<T>(&mut self, change: impl FnOnce(&mut Spill) -> T) -> T {
        let before = self.spill.bytes();
        let changed = change(&mut self.spill);
        self.count_lag_bytes(before, self.spill.bytes());
        changed
    }

    /// A laggard stands at a position from now on, of which it has begun nothing.
    fn stand_at(&mut self, index: u32, position: u64) {
        let lagging = self.laggard_mut(index);
        let audience = lagging.membership.audience;
        let before = std::mem::replace(&mut lagging.batch, position..position).start;
        self.audiences[audience].queue.stand_at(position);
        self.leave_position(audience, before);
    }

    pub(in crate::shard) fn laggard(&self, index: u32) -> &Lagging {
        match &self.connections[index].state {
            State::Lagging(lagging) => lagging,
            _ => unreachable!("only what waits for a laggard is looked at"),
        }
    }

    pub(in crate::shard) fn laggard_mut(&mut self, index: u32) -> &mut Lagging {
        match &mut self.connections[index].state {
            State::Lagging(lagging) => lagging,
            _ => unreachable!("only what waits for a laggard is changed"),
        }
    }
}

impl Waiting {
    fn conflate(&mut self) {
        let left = conflate(self.rest.iter().map(|item| item.frame.key()));
        self.conflated += (self.rest.len() - left.len()) as u64;
        if left.len() < self.rest.len() {
            self.rest = left.into_iter().map(|nth| self.rest[nth].clone()).collect();
        }
    }

    /// Leaves at most so many bytes of the newest, and one event at least.
    fn drop_oldest(&mut self, bytes_max: usize) {
        let mut bytes = 0;
        let within = |item: &&Item| {
            bytes += item.bytes();
            bytes <= bytes_max
        };
        let left = self.rest.iter().rev().take_while(within).count().max(1);
        self.drop_count(self.rest.len() - left);
    }

    fn drop_count(&mut self, count: usize) {
        if let Some(last) = self.rest.drain(..count).next_back() {
            self.dropped = Some(Dropped { count: count as u64, to: last.frame.sequence() });
        }
    }
}

impl Lagging {
    /// How many events it has begun.
    fn begun(&self) -> usize {
        match &self.spill {
            _ if self.sent == 0 => 0,
            Some(share) => share.batch.len(),
            None => (self.batch.end - self.batch.start) as usize,
        }
    }

    fn stand(&self) -> Stand {
        let spill = self.spill.as_ref().map(|share| (share.list, share.batch.start));
        Stand { spill, position: self.batch.start, begun: self.begun() }
    }
}

impl Missing {
    /// The id of the event by which a client is told.
    pub(in crate::shard) fn id(&self) -> StreamId {
        StreamId::Hub(self.to)
    }

    /// The event by which a client is told.
    pub(in crate::shard) fn encode(&self, name: &str, epoch: Epoch, wire: Wire) -> Vec<u8> {
        let gap = Gap {
            from: self.from.as_ref().map(|id| id.text(epoch)),
            to: EventId { epoch, sequence: self.to },
            reason: GapReason::Slow,
            missed: Some(self.count),
        };
        gap.encode(name, gap.to, wire)
    }
}

fn bytes_of(items: &[Item]) -> usize {
    items.iter().map(Item::bytes).sum()
}
