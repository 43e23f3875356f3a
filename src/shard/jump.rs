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

use super::aside::{Aside, Item, Share};
use super::conflate::conflate;
use super::connection::{Lagging, State};
use super::Shard;
use crate::frame::{StreamId, Wire};
use crate::gap::{Gap, GapReason};
use crate::id::{Epoch, EventId};
use crate::policy::Policy;

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
pub(super) struct Shares {
    /// Of those who stood at the same place.
    left: HashMap<Stand, Left>,
    /// The lists that were made: who is left with the same events, wherever it stood, shares one.
    lists: Vec<u32>,
}

/// Where a laggard stands: those who stand at the same place need the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Stand {
    /// The list and the first event there that it needs.
    aside: Option<(u32, usize)>,
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
    pub(super) fn jump(&mut self, index: u32, to: u64, shares: &mut Shares) {
        let sent = self.sent_to(index);
        if self.has_rest_aside(index) {
            // That is older than anything in the log.
            self.set_aside(index, shares, |shard, lagging| {
                let mut waiting = shard.waiting_aside(lagging);
                waiting.drop_count(waiting.rest.len());
                waiting
            });
        }
        let lagging = self.laggard(index);
        let (audience, position) = (lagging.place.audience, lagging.batch.start);
        let begun = if lagging.aside.is_some() { 0 } else { lagging.begun() as u64 };
        let log = &self.audiences[audience].log;
        let from = position + begun;
        let to = to.max(from);
        if to > from {
            let dropped = Dropped { count: to - from, to: log.sequence_before(to) };
            self.miss(index, dropped);
        }
        if begun > 0 {
            self.set_aside(index, shares, |shard, _| Waiting {
                begun: shard.audiences[audience].log.items(position..from).collect(),
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
    pub(super) fn conflate(&mut self, index: u32, shares: &mut Shares) {
        let sent = self.sent_to(index);
        self.set_all_aside(index, u64::MAX, false, shares);
        let audience = self.laggard(index).place.audience;
        self.stand_at(index, self.audiences[audience].log.end());
        self.begin_count(index, sent);
    }

    /// Sets everything aside that waits for a laggard up to a number, or else what its policy leaves
    /// of that: of each key the newest event alone, and not more than its audience may keep for it.
    /// It is to stand elsewhere then.
    pub(super) fn set_all_aside(
        &mut self,
        index: u32,
        number: u64,
        everything: bool,
        shares: &mut Shares,
    ) {
        let policy = self.policy_of(index);
        let drops = !everything && policy != Policy::Disconnect;
        self.set_aside(index, shares, |shard, lagging| {
            let mut waiting = shard.waiting(lagging, number);
            if !everything && policy == Policy::Conflate {
                waiting.conflate();
            }
            if drops && bytes_of(&waiting.rest) > shard.aside_bytes_max(lagging) {
                waiting.drop_oldest(shard.shared.options.lag_bytes_max / 2);
            }
            waiting
        });
    }

    /// Whether events are set aside for a laggard that it has not begun, and would be too much with
    /// everything else that waits for it up to a number, of which nothing may be dropped.
    pub(super) fn has_too_much(&self, index: u32, number: u64) -> bool {
        let lagging = self.laggard(index);
        let too_much = || {
            let waiting = self.waiting(lagging, number);
            bytes_of(&waiting.rest) > self.aside_bytes_max(lagging)
        };
        let drops = self.policy_of(index) != Policy::Disconnect;
        !drops && self.has_rest_aside(index) && too_much()
    }

    /// What may be set aside for a laggard: what its audience may keep for it in the log.
    fn aside_bytes_max(&self, lagging: &Lagging) -> usize {
        let options = &self.shared.options;
        let unsent_bytes = self.audiences[lagging.place.audience].log.unsent_bytes();
        options.lag_bytes_max + options.batch_bytes_max + unsent_bytes
    }

    /// Drops the older half of what is set aside for a laggard and was not begun; false if there
    /// is nothing.
    pub(super) fn halve_aside(&mut self, index: u32, shares: &mut Shares) -> bool {
        let has_any = self.has_rest_aside(index);
        if has_any {
            self.set_aside(index, shares, |shard, lagging| {
                let mut waiting = shard.waiting_aside(lagging);
                waiting.drop_count(waiting.rest.len().div_ceil(2));
                waiting
            });
        }
        has_any
    }

    /// Drops what is set aside for a laggard, was not begun, and was published before a time.
    pub(super) fn drop_old_aside(&mut self, index: u32, before_ns: u64) {
        if self.has_rest_aside(index) {
            self.set_aside(index, &mut Shares::default(), |shard, lagging| {
                let mut waiting = shard.waiting_aside(lagging);
                let old = waiting.rest.iter().take_while(|item| item.at_ns < before_ns).count();
                waiting.drop_count(old);
                waiting
            });
        }
    }

    /// Whether events are set aside for a laggard that it has not begun.
    fn has_rest_aside(&self, index: u32) -> bool {
        let lagging = self.laggard(index);
        lagging.aside.as_ref().is_some_and(|share| {
            share.batch.start + lagging.begun() < self.aside.items(share.list).len()
        })
    }

    /// Sets aside for a laggard what is left of what waits for it, or what is left for another
    /// that stood at the same place.
    fn set_aside(
        &mut self,
        index: u32,
        shares: &mut Shares,
        what: impl FnOnce(&Shard, &Lagging) -> Waiting,
    ) {
        let stand = self.laggard(index).stand();
        let left = match shares.left.get(&stand).cloned() {
            Some(left) => {
                left.list.inspect(|&list| self.aside.share(list));
                left
            }
            None => {
                let Waiting { begun, rest, conflated, dropped } = what(self, self.laggard(index));
                let count = begun.len();
                let items: Vec<Item> = begun.into_iter().chain(rest).collect();
                let list = (!items.is_empty()).then(|| self.put_aside(items, shares));
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
        self.let_aside_go(index);
        let share = left.list.map(|list| Share { list, batch: 0..left.begun });
        self.laggard_mut(index).aside = share;
    }

    /// Sets events aside in a list of their own, or in one that has the same.
    fn put_aside(&mut self, items: Vec<Item>, shares: &mut Shares) -> u32 {
        let same = shares.lists.iter().copied().find(|&list| self.aside.has(list, &items));
        if let Some(list) = same {
            self.aside.share(list);
            return list;
        }
        let list = self.change_aside(|aside| aside.put(items));
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
        match &lagging.aside {
            _ if lagging.sent == 0 => lagging.last.clone(),
            Some(share) => {
                Some(self.aside.items(share.list)[share.batch.end - 1].frame.stream_id())
            }
            None => self.audiences[lagging.place.audience].log.id_before(lagging.batch.end),
        }
    }

    /// Everything that waits for a laggard up to a number, in its audience's log too.
    fn waiting(&self, lagging: &Lagging, number: u64) -> Waiting {
        let log = &self.audiences[lagging.place.audience].log;
        let mut waiting = self.waiting_aside(lagging);
        let mut position = lagging.batch.start;
        if lagging.aside.is_none() {
            let from = position;
            position += lagging.begun() as u64;
            waiting.begun.extend(log.items(from..position));
        }
        waiting.rest.extend(log.items(position..log.position_after(number)));
        waiting
    }

    /// What is set aside for a laggard.
    fn waiting_aside(&self, lagging: &Lagging) -> Waiting {
        let (mut begun, mut rest) = (Vec::new(), Vec::new());
        if let Some(share) = &lagging.aside {
            let items = &self.aside.items(share.list)[share.batch.start..];
            let (first, others) = items.split_at(lagging.begun());
            begun.extend_from_slice(first);
            rest.extend_from_slice(others);
        }
        Waiting { begun, rest, conflated: 0, dropped: None }
    }

    /// Nothing is set aside any more for a laggard.
    pub(super) fn let_aside_go(&mut self, index: u32) {
        if let Some(share) = self.laggard_mut(index).aside.take() {
            self.change_aside(|aside| aside.let_go(share.list));
        }
    }

    /// Does something that changes what is set aside, and accounts for it.
    fn change_aside<T>(&mut self, change: impl FnOnce(&mut Aside) -> T) -> T {
        let before = self.aside.bytes();
        let changed = change(&mut self.aside);
        self.count_lag_bytes(before, self.aside.bytes());
        changed
    }

    /// A laggard stands at a position from now on, of which it has begun nothing.
    fn stand_at(&mut self, index: u32, position: u64) {
        let lagging = self.laggard_mut(index);
        let audience = lagging.place.audience;
        let before = std::mem::replace(&mut lagging.batch, position..position).start;
        self.audiences[audience].log.stand_at(position);
        self.leave_position(audience, before);
    }

    pub(super) fn laggard(&self, index: u32) -> &Lagging {
        match &self.connections[index].state {
            State::Lagging(lagging) => lagging,
            _ => unreachable!("only what waits for a laggard is looked at"),
        }
    }

    pub(super) fn laggard_mut(&mut self, index: u32) -> &mut Lagging {
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
        match &self.aside {
            _ if self.sent == 0 => 0,
            Some(share) => share.batch.len(),
            None => (self.batch.end - self.batch.start) as usize,
        }
    }

    fn stand(&self) -> Stand {
        let aside = self.aside.as_ref().map(|share| (share.list, share.batch.start));
        Stand { aside, position: self.batch.start, begun: self.begun() }
    }
}

impl Missing {
    /// The id of the event by which a client is told.
    pub(super) fn id(&self) -> StreamId {
        StreamId::Hub(self.to)
    }

    /// The event by which a client is told.
    pub(super) fn encode(&self, name: &str, epoch: Epoch, wire: Wire) -> Vec<u8> {
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
