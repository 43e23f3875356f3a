//! How a stream gets other topics, with nothing lost, doubled or out of order of those that it
//! keeps.
//!
//! ```text
//!   the audience that it leaves   [ ... 17 | 20 | 21 | 23 ] n   25 ...  not for it any more
//!                                             `-- set aside: it is sent these first
//!   the one that it comes to      [ ... 20 | 22 | 23 ] n  24 | 25 ...
//!                                                      `it stands here
//! ```
//!
//! The shard knows a number `n` up to which it has taken all events that concern it. What waits for
//! the stream up to there is of its old topics, and goes with it, set aside as for any laggard that
//! leaves its place in a log. Then it stands behind `n` in the log of its new audience, as if it
//! joined now. Who keeps up is a laggard for as long as this takes: usually it is a member again at
//! once.

use crate::filter::Subscription;
use crate::policy::Policy;
use crate::shard::connection::slots::Key;
use crate::shard::connection::{Membership, State};
use crate::shard::lagging::skip::Shares;
use crate::shard::lagging::{Progress, FLUSHES_MAX};
use crate::shard::Shard;

/// Bytes whose moving costs what looking at an entry does, when a question's cost is counted.
const BYTES_PER_COST: usize = 512;

/// What became of the wish to change a stream's topics.
pub(in crate::shard) enum Resubscribed {
    /// It has them; this was the cost, in the units of what questions cost.
    Done { cost: usize },
    /// It has too much to take before.
    TooEarly,
    /// It has ended.
    Gone,
}

impl Shard {
    /// Has a stream get what is published to other subscriptions from now on, of which there is at
    /// least one.
    pub(in crate::shard) fn resubscribe(
        &mut self,
        key: Key,
        wanted: &[Subscription],
    ) -> Resubscribed {
        let index = key.index;
        let (from, keeps_up) = match self.connections.get_mut(key).map(|c| &c.state) {
            Some(State::Live(membership)) => (membership.audience, true),
            Some(State::Lagging(lagging)) => (lagging.membership.audience, false),
            Some(State::Replaying(_)) => return Resubscribed::TooEarly,
            Some(State::Handshaking(_) | State::Leaving) | None => return Resubscribed::Gone,
        };
        // Before the number is known: so nothing behind it is missed that was not wanted before.
        let to = self.audience_of(wanted, self.audiences[from].wire);
        if to == from {
            return Resubscribed::Done { cost: wanted.len() };
        }
        let number = self.take_all();
        if !keeps_up && self.has_too_much(index, number) {
            if self.audiences[to].is_empty() {
                self.remove_audience(to);
            }
            return Resubscribed::TooEarly;
        }
        if keeps_up {
            self.fall_behind_as_it_is(index);
        }
        self.change_audience(index, to, number, keeps_up);
        let cost = wanted.len() + self.spilled_bytes(index) / BYTES_PER_COST;
        self.flush_after_change(key, keeps_up);
        match self.connections.get_mut(key) {
            Some(_) => Resubscribed::Done { cost },
            None => Resubscribed::Gone,
        }
    }

    /// Makes a laggard of one audience a laggard of another, which is sent what waits for it of the
    /// one up to a number, and of the other what is behind that.
    fn change_audience(&mut self, index: u32, to: u32, number: u64, kept_up: bool) {
        let sent = self.sent_to(index);
        // Who keeps up has no holes.
        self.spill_all(index, number, kept_up, &mut Shares::default());
        let lagging = self.laggard(index);
        let (from, left) = (lagging.membership, lagging.batch.start);
        self.leave_lagging(from);
        let position = self.audiences[to].queue.position_after(number);
        let slot = self.stand_among_lagging(index, to, position);
        let lagging = self.laggard_mut(index);
        lagging.membership = Membership { audience: to, slot, ..from };
        lagging.batch = position..position;
        self.audiences.count_member(to);
        // That one was of the other log, and nobody stands at this one who stands here.
        self.connections.record_mut(index).joined_at = (position as u32).wrapping_sub(1);
        self.begin_count(index, sent);
        let network = self.record(index).network();
        let wanted = |audience: u32| self.audiences[audience].wanted.len();
        self.shared.subscriptions.take_anyway(network, wanted(to));
        self.shared.subscriptions.give_back(network, wanted(from.audience));
        // Last, since the topics that both have are not to be without an audience between.
        self.leave_position(from.audience, left);
        self.leave_audience(from.audience);
    }

    /// Sends what was set aside. Who kept up may be sent so much of it at once that it need not
    /// lag for it.
    fn flush_after_change(&mut self, key: Key, kept_up: bool) {
        let mut progress = self.flush(key.index);
        let mut flushes = if kept_up { FLUSHES_MAX } else { 1 };
        while matches!(progress, Progress::Unfinished) && flushes > 1 {
            progress = self.flush(key.index);
            flushes -= 1;
        }
        let lags = matches!(progress, Progress::Blocked | Progress::Unfinished);
        self.after_flush(key, progress);
        if lags && kept_up && self.policy_of(key.index) == Policy::Conflate {
            self.conflate(key.index, &mut Shares::default());
        }
    }

    fn spilled_bytes(&self, index: u32) -> usize {
        let share = self.laggard(index).spill.as_ref();
        let items =
            share.map_or(&[][..], |share| &self.spill.items(share.list)[share.batch.start..]);
        items.iter().map(|item| item.frame.plain().len()).sum()
    }
}
