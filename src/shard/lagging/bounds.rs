//! What is kept for laggards is bounded; here is what happens at the bounds.
//!
//! Before a slice that would keep more than `lag_bytes_max` for an audience's furthest laggards, or
//! more than `lag_total_bytes_max` for all, the policy of each of those laggards is applied: it is
//! disconnected, it skips events, or what waits for it is conflated. The same happens when the
//! sweep finds that what waits for a laggard is older than `lag_age_max`.
//!
//! But a publisher without pause can be faster than any network, and then every client lags,
//! however well it reads. No client is to be disconnected for that. So the audience is held, its
//! events stay in their topic's backlog, and the publisher waits, while both is true: what the
//! furthest laggards are being sent is younger than `lag_grace`, and one of them that would be
//! disconnected has taken something in the last tenth of that. A client that does not read at all
//! therefore delays others for that tenth at most, and is then disconnected. For the other policies
//! no publisher waits.
//!
//! A client could read slowly on purpose, and come back whenever it is disconnected. So the time
//! for which audiences are held has a budget (`grace.rs`), and a connection is waited for only when
//! it is old enough to have kept up before.

use std::time::Duration;

use crate::metrics::DisconnectReason;
use crate::policy::Policy;
use crate::shard::connection::slots::Key;
use crate::shard::fanout::audience::Audience;
use crate::shard::fanout::scheduler::Lane;
use crate::shard::lagging::grace::{Grace, GraceBounds};
use crate::shard::lagging::state::Lagging;
use crate::shard::lagging::waiting::Shares;
use crate::shard::Shard;

/// A connection that takes nothing for this share of `lag_grace` is not waited for.
const STALLED_SHARE: u128 = 10;

impl Shard {
    /// Does something that changes what an audience keeps, and accounts for it.
    pub(in crate::shard) fn change_queue(
        &mut self,
        audience: u32,
        change: impl FnOnce(&mut Audience),
    ) {
        let before = self.audiences[audience].queue.lag_bytes();
        self.audiences.change(audience, change);
        let after = self.audiences[audience].queue.lag_bytes();
        self.link().counters.lag_bytes.change(before, after);
    }

    /// What is kept for laggards, in queues or spilled.
    pub(in crate::shard) fn lag_bytes(&self) -> usize {
        self.link().counters.lag_bytes.value() as usize
    }

    /// Makes sure that one more slice keeps no more for laggards than the bounds allow; false when
    /// the audience is held instead.
    pub(in crate::shard) fn keep_lag_within_bounds(&mut self, key: Key) -> bool {
        let options = &self.shared.options;
        let (lag_bytes_max, grace_ns) = (options.lag_bytes_max, options.lag_grace.as_nanos());
        let batch_bytes_max = options.batch_bytes_max;
        let total_max = options.lag_total_bytes_max / options.shards;
        loop {
            let lag_bytes = self.lag_bytes();
            let Some(audience) = self.audiences.get_mut(key) else { break };
            let queue = &audience.queue;
            let total_exceeded = lag_bytes > total_max;
            let within = queue.lag_bytes() <= lag_bytes_max
                || queue.beyond_bytes(batch_bytes_max) <= lag_bytes_max;
            if within && !total_exceeded {
                return audience.has_work();
            }
            let Some(furthest) = queue.furthest() else {
                match self.shrink_spill(key.index) {
                    true => continue,
                    false => break,
                }
            };
            let position = furthest.position;
            let young = u128::from(self.now_ns.saturating_sub(furthest.at_ns)) < grace_ns;
            if young
                && self.is_making_progress(key.index, position, grace_ns / STALLED_SHARE)
                && self.may_be_held(key.index)
            {
                self.hold(key);
                return false;
            }
            if !self.apply_policy(key.index, position) && !self.shrink_spill(key.index) {
                break;
            }
        }
        // Nothing more can be done here: the excess is kept for other audiences, or was dropped
        // with this one.
        self.audiences.get_mut(key).is_some_and(|audience| audience.has_work())
    }

    /// An audience's laggards, and their connections' indices.
    fn laggards(&self, audience: u32) -> impl Iterator<Item = (u32, &Lagging)> {
        let indices = self.audiences[audience].lagging.iter();
        indices.filter_map(|&index| Some((index, self.connections[index].state.lagging()?)))
    }

    /// Whether a laggard at a position, which would be disconnected, has taken something in the
    /// last `lately_ns`.
    fn is_making_progress(&self, audience: u32, position: u64, lately_ns: u128) -> bool {
        self.laggards(audience).any(|(index, lagging)| {
            let since_ms = self.now_ms().wrapping_sub(lagging.since_ms);
            lagging.position == position
                && self.policy_of(index) == Policy::Disconnect
                && u128::from(since_ms) * 1_000_000 <= lately_ns
                && self.has_kept_up(index)
        })
    }

    /// Whether a connection is old enough to be waited for, which it need not be where the time for
    /// which audiences may be held has no bound.
    fn has_kept_up(&self, index: u32) -> bool {
        let is_bounded = self.shared.options.lag_grace_percent < Grace::PERCENT_MAX;
        let age = Duration::from_millis(self.record(index).age_ms(self.now_ns));
        !is_bounded || age >= self.shared.tuning.grace_age_min
    }

    /// Whether the budgets of an audience and of the shard allow that it is held.
    fn may_be_held(&mut self, audience: u32) -> bool {
        let bounds = GraceBounds::of(&self.shared.options);
        let own = self.audiences[audience].grace.has_some(self.now_ns, bounds);
        self.grace.has_some(self.now_ns, bounds) && own
    }

    fn hold(&mut self, key: Key) {
        let audience = &mut self.audiences[key.index];
        (audience.held, audience.held_since_ns) = (true, self.now_ns);
        self.scheduler.hold(key);
        self.link().counters.held_batches.add(1);
    }

    /// Applies its policy to each of an audience's furthest laggards, which are at a position;
    /// false if that leaves everything as it is.
    fn apply_policy(&mut self, audience: u32, position: u64) -> bool {
        let queue = &self.audiences[audience].queue;
        let kept_bytes = queue.lag_bytes().min(self.shared.options.lag_bytes_max);
        let skip_to = queue.newest_within(kept_bytes / 2);
        // What not all members were sent is kept for these as well.
        let costs = position < queue.sent();
        // Each policy separately: the events that are left differ.
        let (mut skips, mut conflations) = (Shares::default(), Shares::default());
        let mut changed = false;
        let mut furthest = self.laggards_at(audience, position);
        if costs && furthest.iter().any(|&index| self.policy_of(index) == Policy::Conflate) {
            // All at once: laggards that are left with the same events share them from then on.
            furthest.extend(self.others_to_conflate(audience, position));
        }
        for index in furthest {
            match self.policy_of(index) {
                Policy::Disconnect => self.disconnect(index, DisconnectReason::Lagging),
                Policy::DropOldest if costs => self.skip_ahead(index, skip_to, &mut skips),
                Policy::Conflate if costs => self.conflate(index, &mut conflations),
                Policy::DropOldest | Policy::Conflate => continue,
            }
            changed = true;
        }
        changed
    }

    fn skip_ahead(&mut self, index: u32, to: u64, shares: &mut Shares) {
        self.change_laggard(index, |laggard| laggard.skip_ahead(to, shares));
    }

    pub(in crate::shard) fn conflate(&mut self, index: u32, shares: &mut Shares) {
        self.change_laggard(index, |laggard| laggard.conflate(shares));
    }

    fn laggards_at(&self, audience: u32, position: u64) -> Vec<u32> {
        let laggards = self.laggards(audience);
        laggards.filter(|(_, lagging)| lagging.position == position).map(|(i, _)| i).collect()
    }

    /// Laggards that are conflated and are further on than a position, but for what not all members
    /// were sent.
    fn others_to_conflate(&self, audience: u32, position: u64) -> Vec<u32> {
        let further = position + 1..self.audiences[audience].queue.sent();
        let is_meant = |&(index, lagging): &(u32, &Lagging)| {
            further.contains(&lagging.position) && self.policy_of(index) == Policy::Conflate
        };
        self.laggards(audience).filter(is_meant).map(|(index, _)| index).collect()
    }

    /// Drops half of what is spilled for an audience's laggards and was not begun. When all was
    /// begun, these laggards are disconnected. False if nothing is spilled here.
    fn shrink_spill(&mut self, audience: u32) -> bool {
        let laggards = self.laggards(audience);
        let holders: Vec<u32> =
            laggards.filter(|(_, lagging)| lagging.spill.is_some()).map(|(i, _)| i).collect();
        let mut shares = Shares::default();
        let mut has_shrunk = false;
        for &index in &holders {
            has_shrunk |= match self.policy_of(index) {
                // It has changed its topics, and is never to miss anything.
                Policy::Disconnect => {
                    self.disconnect(index, DisconnectReason::Lagging);
                    true
                }
                Policy::DropOldest | Policy::Conflate => self
                    .change_laggard(index, |laggard| laggard.halve_spill(&mut shares))
                    .unwrap_or_default(),
            };
        }
        if !has_shrunk {
            holders.iter().for_each(|&index| self.disconnect(index, DisconnectReason::Lagging));
        }
        !holders.is_empty()
    }

    /// Releases an audience that was held for its laggards.
    pub(in crate::shard) fn release(&mut self, key: Key) {
        let Some(audience) = self.audiences.get_mut(key) else { return };
        if !std::mem::take(&mut audience.held) {
            return;
        }
        let held_ns = self.now_ns.saturating_sub(audience.held_since_ns);
        audience.grace.spend(held_ns);
        self.grace.spend(held_ns);
        if audience.has_work() {
            self.scheduler.enqueue(key, &mut audience.queued, Lane::Bulk);
        }
    }

    /// Applies its policy to a laggard for which something has waited for longer than
    /// `lag_age_max`.
    pub(in crate::shard) fn apply_age_limit(&mut self, index: u32) {
        let Some(lagging) = self.connections[index].state.lagging() else { return };
        let (position, since_ms) = (lagging.position, lagging.since_ms);
        let lags_ns = u128::from(self.now_ms().wrapping_sub(lagging.began_ms)) * 1_000_000;
        let queue = &self.audiences[lagging.membership.audience].queue;
        let published_at_ns = lagging.oldest_ns(queue, &self.spill);
        let age_max_ns = self.shared.options.lag_age_max.as_nanos();
        let is_too_old = match published_at_ns {
            Some(at_ns) => u128::from(self.now_ns.saturating_sub(at_ns)).min(lags_ns) > age_max_ns,
            None => self.is_stuck(since_ms),
        };
        if !is_too_old {
            return;
        }
        match self.policy_of(index) {
            Policy::Disconnect => self.disconnect(index, DisconnectReason::Lagging),
            Policy::DropOldest if published_at_ns.is_some() => {
                // Not longer than the hub's age, or nothing would be too old.
                let before_ns = self.now_ns.saturating_sub(age_max_ns as u64);
                let to = queue.published_since(before_ns);
                self.change_laggard(index, |laggard| {
                    laggard.drop_old_spill(before_ns);
                    if to > position {
                        laggard.skip_ahead(to, &mut Shares::default());
                    }
                });
            }
            // What is conflated may be old, and a laggard with nothing to drop takes nothing.
            Policy::DropOldest | Policy::Conflate => {}
        }
    }

    /// Whether a connection that took something last at a time has taken nothing for longer than
    /// `lag_age_max`.
    pub(in crate::shard) fn is_stuck(&self, since_ms: u32) -> bool {
        let stuck_ms = self.now_ms().wrapping_sub(since_ms);
        u128::from(stuck_ms) > self.shared.options.lag_age_max.as_millis()
    }

    pub(in crate::shard) fn policy_of(&self, index: u32) -> Policy {
        self.record(index).policy
    }
}
