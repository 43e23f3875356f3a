//! How a stream gets other topics, with no event of the topics that it keeps lost, doubled or out
//! of order.
//!
//! ```text
//!   the audience that it leaves   [ ... 17 | 20 | 21 | 23 ] n   25 ...  not for it any more
//!                                             `-- spilled: it is sent these first
//!   the one that it comes to      [ ... 20 | 22 | 23 ] n  24 | 25 ...
//!                                                      `its position
//! ```
//!
//! The shard knows a number `n` up to which it has taken all events that concern it. What waits for
//! the stream up to there is of its old topics, and goes with it, spilled as for any laggard that
//! leaves its position in a queue. Then its position is behind `n` in the queue of its new
//! audience, as if it joined now. A member that keeps up is a laggard for as long as this takes:
//! usually it is a member again at once.

use crate::filter::Subscription;
use crate::policy::Policy;
use crate::shard::connection::membership::Membership;
use crate::shard::connection::pending::{Progress, FLUSHES_MAX};
use crate::shard::connection::slots::Key;
use crate::shard::connection::State;
use crate::shard::fanout::audience::Audience;
use crate::shard::lagging::state::Begun;
use crate::shard::lagging::waiting::Shares;
use crate::shard::Shard;

/// Bytes that can be moved at the cost of looking at one entry, when a query's cost is counted.
const BYTES_PER_COST: usize = 512;

/// What became of the wish to change a stream's topics.
pub(in crate::shard) enum Resubscribed {
    /// It has them; this was the cost, in the units of what queries cost.
    Done { cost: usize },
    /// It has too much to take before.
    TooEarly,
    /// It has ended.
    Gone,
}

impl Shard {
    /// Changes the subscriptions of a stream, from now on, to others, of which there is at least
    /// one.
    pub(in crate::shard) fn resubscribe(
        &mut self,
        key: Key,
        subscriptions: &[Subscription],
    ) -> Resubscribed {
        let index = key.index;
        let state = match self.connections.get_mut(key) {
            Some(connection) => &connection.state,
            None => return Resubscribed::Gone,
        };
        let (from, member) = match state {
            State::Live(membership) => (membership.audience, Some(*membership)),
            // It has ended, but for some bytes.
            State::Lagging(lagging) if matches!(lagging.begun, Begun::End(_)) => {
                return Resubscribed::Gone
            }
            State::Lagging(lagging) => (lagging.membership.audience, None),
            State::Replaying(_) => return Resubscribed::TooEarly,
            State::Handshaking(_) | State::Leaving => return Resubscribed::Gone,
        };
        let keeps_up = member.is_some();
        // Where it is known already that the change comes too early, no audience begins, of which a
        // host that watches interest would be told.
        if !keeps_up && self.has_too_much(index, self.taken_to) {
            return Resubscribed::TooEarly;
        }
        // Before the number is known: so nothing behind it is missed that was not subscribed to
        // before.
        let Audience { wire, envelope, .. } = self.audiences[from];
        let to = self.audience_of(subscriptions, (wire, envelope));
        if to == from {
            return Resubscribed::Done { cost: subscriptions.len() };
        }
        let number = self.take_all();
        if !keeps_up && self.has_too_much(index, number) {
            if self.audiences[to].is_empty() {
                self.remove_audience(to);
            }
            return Resubscribed::TooEarly;
        }
        if let Some(membership) = member {
            self.fall_behind_as_it_is(index, membership);
        }
        let moved_bytes = self.change_audience(index, to, number, keeps_up);
        let cost = subscriptions.len() + moved_bytes / BYTES_PER_COST;
        self.flush_at_once(key, keeps_up);
        match self.connections.get_mut(key) {
            Some(_) => Resubscribed::Done { cost },
            None => Resubscribed::Gone,
        }
    }

    fn has_too_much(&mut self, index: u32, number: u64) -> bool {
        self.laggard(index).is_some_and(|laggard| laggard.has_too_much(number))
    }

    /// Moves a laggard from one audience to another. It is sent the old audience's events up to a
    /// number, and the new audience's events behind that. Returns the bytes of the old one's events
    /// that wait for it.
    fn change_audience(&mut self, index: u32, to: u32, number: u64, kept_up: bool) -> usize {
        let Some(mut laggard) = self.laggard(index) else { return 0 };
        let sent = laggard.sent();
        // A member that kept up has no holes.
        laggard.spill_up_to(number, kept_up, &mut Shares::default());
        let spilled = laggard.state.spilled(laggard.spill).iter();
        let bytes = spilled.map(|frame| frame.plain().len()).sum();
        let (from, left) = (laggard.state.membership, laggard.state.position);
        self.unlist_laggard(from, left);
        let position = self.audiences[to].queue.position_after(number);
        let slot = self.list_laggard(index, to, position);
        self.audiences.count_member(to);
        if let Some(laggard) = self.laggard(index) {
            laggard.state.membership = Membership { audience: to, slot, ..from };
            laggard.state.position = position;
            // The old position was one of the old audience's queue, and the laggard has events from
            // before the new one.
            laggard.record.joined_at = (position as u32).wrapping_sub(1);
        }
        self.begin_count(index, sent);
        let network = self.record(index).network();
        let count = |audience: u32| self.audiences[audience].wanted.len();
        self.shared.subscription_limits.reserve_anyway(network, count(to));
        self.shared.subscription_limits.release(network, count(from.audience));
        let subscriptions = count(to);
        self.connections.record_mut(index).set_subscriptions(subscriptions);
        // Last, since the topics that both have are not to be without an audience between.
        self.leave_audience(from.audience);
        bytes
    }

    /// Sends a laggard what waits for it. A member that kept up may be sent enough of it at once
    /// that it need not lag for it.
    pub(in crate::shard) fn flush_at_once(&mut self, key: Key, kept_up: bool) {
        let mut progress = self.flush_laggard(key.index);
        let mut flushes = if kept_up { FLUSHES_MAX } else { 1 };
        while matches!(progress, Progress::Unfinished) && flushes > 1 {
            progress = self.flush_laggard(key.index);
            flushes -= 1;
        }
        let lags = matches!(progress, Progress::Blocked | Progress::Unfinished);
        self.after_flush(key, progress);
        if lags && kept_up && self.policy_of(key.index) == Policy::Conflate {
            self.conflate(key.index, &mut Shares::default());
        }
    }
}
