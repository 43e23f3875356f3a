//! For how long publishers may be held up for clients that lag: a share of the time, so that
//! clients which read slowly, be it on purpose, cannot slow a hub down to their own speed.
//!
//! The share is saved up while no client is waited for, as far as one burst of lag may take. When a
//! wait took longer than what was left, the excess is saved up again before the next wait.

use crate::options::Options;

/// A burst of waiting is at most this share of `lag_grace`.
const BURST_SHARE: u64 = 5;

/// Time that may still be spent on waiting.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Grace {
    /// Less than nothing after a wait that took longer.
    left_ns: i64,
    refilled_ns: u64,
}

/// How much may be spent.
#[derive(Clone, Copy)]
pub(crate) struct GraceBounds {
    percent: u64,
    burst_ns: i64,
    shards: u64,
}

impl GraceBounds {
    pub(crate) fn of(options: &Options) -> GraceBounds {
        let grace_ns = u64::try_from(options.lag_grace.as_nanos()).unwrap_or(u64::MAX);
        GraceBounds {
            percent: options.lag_grace_percent.into(),
            burst_ns: i64::try_from(grace_ns / BURST_SHARE).unwrap_or(i64::MAX),
            shards: options.shards as u64,
        }
    }
}

impl Grace {
    /// With this much there is no bound.
    pub(crate) const PERCENT_MAX: u8 = 100;

    /// Whether anything is left to be spent.
    pub(crate) fn has_some(&mut self, now_ns: u64, bounds: GraceBounds) -> bool {
        if bounds.percent >= Grace::PERCENT_MAX.into() {
            return true;
        }
        let since_ns = now_ns.saturating_sub(std::mem::replace(&mut self.refilled_ns, now_ns));
        // Shards hold audiences at different times, and a publisher may wait for each of them.
        let earned = u128::from(since_ns) * u128::from(bounds.percent)
            / u128::from(100 * bounds.shards.max(1));
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        self.left_ns = self.left_ns.saturating_add(earned).min(bounds.burst_ns);
        self.left_ns > 0
    }

    pub(crate) fn spend(&mut self, ns: u64) {
        self.left_ns = self.left_ns.saturating_sub(i64::try_from(ns).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    #[test]
    fn waiting_takes_a_share_of_the_time_and_a_burst_that_was_saved_up() {
        let options = Options {
            shards: 1,
            lag_grace: Duration::from_secs(1),
            lag_grace_percent: 5,
            ..Options::default()
        };
        let bounds = GraceBounds::of(&options);
        let mut grace = Grace::default();
        let (mut now_ns, mut waited_ns) = (3_600_000 * MS, 0);
        let from_ns = now_ns;
        // Waits of up to a tick, whenever that is allowed, for a minute.
        let mut random = fastrand::Rng::with_seed(2);
        while now_ns < from_ns + 60_000 * MS {
            let ns = random.u64(..100 * MS);
            if grace.has_some(now_ns, bounds) {
                grace.spend(ns);
                waited_ns += ns;
            }
            now_ns += ns.max(MS);
        }
        let share_ns = 60_000 * MS / 20 + 200 * MS;
        assert!(waited_ns <= share_ns + 100 * MS, "{waited_ns}");
        assert!(waited_ns >= share_ns - 100 * MS, "{waited_ns}");
    }

    #[test]
    fn no_share_is_no_wait_and_the_whole_is_no_bound() {
        let bounds = |percent| {
            GraceBounds::of(&Options { lag_grace_percent: percent, ..Options::default() })
        };
        let mut grace = Grace::default();
        assert!(!grace.has_some(1 << 60, bounds(0)));
        grace.spend(u64::MAX);
        assert!(grace.has_some(1, bounds(100)) && !grace.has_some(2, bounds(99)));
    }
}
