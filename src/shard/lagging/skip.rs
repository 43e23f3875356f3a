//! How laggards that are not disconnected get rid of what waits for them: they skip it, or it is
//! conflated.
//!
//! A laggard that leaves its position in the queue takes the events of the batch that it has begun
//! with it, and if they are conflated all others as well. They are spilled: put in a list, which it
//! shares with the laggards that need the same. A stream that gets other topics takes everything
//! with it that waits for it (`admin/resubscribe.rs`).

use crate::frame::{Frame, StreamId};
use crate::options::Options;
use crate::policy::Policy;
use crate::shard::lagging::laggard::Laggard;
use crate::shard::lagging::spill::{Share, Spill};
use crate::shard::lagging::state::Missing;
use crate::shard::lagging::waiting::{Dropped, Left, PositionKey, Shares, Waiting};

impl Laggard<'_> {
    /// Moves it forward to a position, over everything before that which it has not begun.
    pub(in crate::shard) fn skip_ahead(&mut self, to: u64, shares: &mut Shares) {
        let sent = self.sent();
        if self.has_unsent_spill() {
            // That is older than anything in the queue.
            self.replace_spill(shares, |laggard| {
                let mut waiting = laggard.waiting_in_spill();
                waiting.drop_first(waiting.rest.len());
                waiting
            });
        }
        let position = self.state.position;
        let begun = if self.state.spill.is_some() { 0 } else { self.state.begun_events() as u64 };
        let from = position + begun;
        let to = to.max(from);
        if to > from {
            let last = self.audience.queue.sequence_before(to);
            self.miss(Dropped { count: to - from, to: last });
        }
        if begun > 0 {
            self.replace_spill(shares, |laggard| Waiting {
                begun: laggard.audience.queue.frames(position..from).cloned().collect(),
                ..Waiting::default()
            });
        }
        self.move_to(to);
        self.begin_count(sent);
    }

    /// Spills everything that waits for it, of each key the newest event alone, and moves it to the
    /// queue's end.
    pub(in crate::shard) fn conflate(&mut self, shares: &mut Shares) {
        let sent = self.sent();
        self.spill_up_to(u64::MAX, false, shares);
        self.move_to(self.audience.queue.end());
        self.begin_count(sent);
    }

    /// Spills everything that waits for it up to a sequence number, or else what its policy leaves
    /// of that: of each key the newest event alone, and not more than its audience may keep for it.
    /// It has to be moved then.
    pub(in crate::shard) fn spill_up_to(
        &mut self,
        number: u64,
        keeps_everything: bool,
        shares: &mut Shares,
    ) {
        let policy = self.record.policy;
        self.replace_spill(shares, |laggard| {
            let mut waiting = laggard.waiting(number);
            if keeps_everything || policy == Policy::Disconnect {
                return waiting;
            }
            if policy == Policy::Conflate {
                waiting.conflate();
            }
            if waiting.rest_bytes() > laggard.spill_bytes_max() {
                waiting.drop_oldest(laggard.options.lag_bytes_max / 2);
            }
            waiting
        });
    }

    /// Whether events are spilled for it that it has not begun, and would be too much with
    /// everything else that waits for it up to a number, of which nothing may be dropped.
    pub(in crate::shard) fn has_too_much(&self, number: u64) -> bool {
        self.record.policy == Policy::Disconnect
            && self.has_unsent_spill()
            && self.waiting(number).rest_bytes() > self.spill_bytes_max()
    }

    /// What may be spilled for it: what its audience may keep for it in the queue.
    fn spill_bytes_max(&self) -> usize {
        let &Options { lag_bytes_max, batch_bytes_max, .. } = self.options;
        // The first has no bound of its own.
        lag_bytes_max.saturating_add(batch_bytes_max + self.audience.queue.unsent_bytes())
    }

    /// Drops the older half of what is spilled for it and was not begun; false if that is nothing.
    pub(in crate::shard) fn halve_spill(&mut self, shares: &mut Shares) -> bool {
        let has_any = self.has_unsent_spill();
        if has_any {
            self.replace_spill(shares, |laggard| {
                let mut waiting = laggard.waiting_in_spill();
                waiting.drop_first(waiting.rest.len().div_ceil(2));
                waiting
            });
        }
        has_any
    }

    /// Drops what is spilled for it, was not begun, and was published before a time.
    pub(in crate::shard) fn drop_old_spill(&mut self, before_ns: u64) {
        if self.has_unsent_spill() {
            self.replace_spill(&mut Shares::default(), |laggard| {
                let mut waiting = laggard.waiting_in_spill();
                let is_old = |frame: &&Frame| frame.at_ns() < before_ns;
                let old = waiting.rest.iter().take_while(is_old).count();
                waiting.drop_first(old);
                waiting
            });
        }
    }

    /// Nothing is spilled for it any more.
    pub(in crate::shard) fn release_spill(&mut self) {
        if let Some(share) = self.state.spill.take() {
            self.change_spill(|spill| spill.unref(share.list));
        }
    }

    /// Whether events are spilled for it that it has not begun.
    fn has_unsent_spill(&self) -> bool {
        self.state.spill.is_some()
            && self.state.begun_events() < self.state.spilled(self.spill).len()
    }

    /// Spills what is left of what waits for it, or what was left for another laggard at the same
    /// position. The batch that it has begun stays the first of it.
    fn replace_spill(
        &mut self,
        shares: &mut Shares,
        find_left: impl FnOnce(&Laggard<'_>) -> Waiting,
    ) {
        let key = PositionKey::of(self.state);
        let left = match shares.left.get(&key).copied() {
            Some(left) => {
                left.list.inspect(|&list| self.spill.share(list));
                left
            }
            None => {
                let Waiting { begun, rest, conflated, dropped } = find_left(self);
                debug_assert_eq!(begun.len(), self.state.begun_events());
                let frames: Vec<_> = begun.into_iter().chain(rest).collect();
                let list = (!frames.is_empty()).then(|| self.put_in_spill(frames, shares));
                let left = Left { list, conflated, dropped };
                shares.left.insert(key, left);
                left
            }
        };
        self.counters.conflated_events.add(left.conflated);
        // Before what it has begun is replaced.
        if let Some(dropped) = left.dropped {
            self.miss(dropped);
        }
        self.release_spill();
        self.state.spill = left.list.map(|list| Share { list, from: 0 });
    }

    /// Spills events to a new list, or uses a list that has the same events.
    fn put_in_spill(&mut self, frames: Vec<Frame>, shares: &mut Shares) -> u32 {
        let same = shares.lists.iter().copied().find(|&list| self.spill.has(list, &frames));
        if let Some(list) = same {
            self.spill.share(list);
            return list;
        }
        let list = self.change_spill(|spill| spill.put(frames));
        shares.lists.push(list);
        list
    }

    /// Does something that changes what is spilled, and accounts for it.
    fn change_spill<T>(&mut self, change: impl FnOnce(&mut Spill) -> T) -> T {
        let before = self.spill.bytes();
        let changed = change(self.spill);
        self.counters.lag_bytes.change(before, self.spill.bytes());
        changed
    }

    /// Notes that it will not be sent what comes after everything that it has begun.
    fn miss(&mut self, dropped: Dropped) {
        let Dropped { count, to } = dropped;
        self.counters.dropped_events.add(count);
        let missing = match self.state.missing.take() {
            // It has not begun to be told: then it is told of all at once.
            Some(missing) => Missing { to, count: missing.count + count, ..missing },
            None => Missing { from: self.last_begun(), to, count },
        };
        self.state.missing = Some(missing);
    }

    /// The id of the last event that it was sent, or has begun to be sent.
    fn last_begun(&self) -> Option<StreamId> {
        let begun = self.state.begun_events();
        match begun.checked_sub(1) {
            None => self.state.last.clone(),
            Some(nth) if self.state.spill.is_some() => {
                Some(self.state.spilled(self.spill)[nth].stream_id())
            }
            Some(_) => self.audience.queue.id_before(self.state.position + begun as u64),
        }
    }

    /// Everything that waits for it up to a sequence number, in its audience's queue too.
    fn waiting(&self, number: u64) -> Waiting {
        let queue = &self.audience.queue;
        let mut waiting = self.waiting_in_spill();
        let mut position = self.state.position;
        if self.state.spill.is_none() {
            let from = position;
            position += self.state.begun_events() as u64;
            waiting.begun.extend(queue.frames(from..position).cloned());
        }
        waiting.rest.extend(queue.frames(position..queue.position_after(number)).cloned());
        waiting
    }

    /// What is spilled for it.
    fn waiting_in_spill(&self) -> Waiting {
        let mut waiting = Waiting::default();
        if self.state.spill.is_some() {
            let (begun, rest) = self.state.spilled(self.spill).split_at(self.state.begun_events());
            (waiting.begun, waiting.rest) = (begun.to_vec(), rest.to_vec());
        }
        waiting
    }
}
