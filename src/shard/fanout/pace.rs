//! How many of those that wait for a spread event are to be sent it by now.
//!
//! What is left is spread evenly over what is left of the time. So connections that leave, or that
//! are sent the event with a later one, make the others no faster. A shard that comes late, as it
//! usually does by a millisecond, makes up for that; if it comes much later than usual, what it has
//! missed is spread over the rest of the time, for else it would be sent in one burst.

/// What a shard may always make up for.
const LATE_NS_MAX: u64 = 10_000_000;
/// The same as a multiple of how late it was lately.
const LATE_FACTOR: u64 = 2;
/// The share that one more time has in how late it was lately.
const LATE_SHARE: u64 = 4;

#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Pace {
    /// When the next is due.
    next_ns: u64,
    /// When all are.
    until_ns: u64,
    /// How late the shard was lately.
    late_ns: u64,
}

impl Pace {
    /// From a time on, within a window. `phase`, from 0 to 1, says where in its share of the window
    /// the first one is due: if it is random, events for few connections each do not all begin at
    /// once, nor do shards.
    pub(in crate::shard) fn new(from_ns: u64, window_ns: u64, count: u64, phase: f64) -> Pace {
        let share_ns = window_ns as f64 / count.max(1) as f64;
        let next_ns = from_ns.saturating_add((share_ns * phase) as u64);
        let until_ns = from_ns.saturating_add(window_ns);
        Pace { next_ns: next_ns.min(until_ns), until_ns, late_ns: 0 }
    }

    /// When the next is due.
    pub(in crate::shard) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// When all are due.
    pub(in crate::shard) fn until_ns(&self) -> u64 {
        self.until_ns
    }

    /// Whether all are due.
    pub(in crate::shard) fn is_over(&self, now_ns: u64) -> bool {
        now_ns >= self.until_ns
    }

    /// How many of `left` are due by now, at most `count_max` of them. The others remain due.
    pub(in crate::shard) fn take_due(&mut self, now_ns: u64, left: u64, count_max: u64) -> u64 {
        let left = left.max(1);
        let Some(late_ns) = now_ns.checked_sub(self.next_ns) else { return 0 };
        if self.is_over(now_ns) {
            return left.min(count_max);
        }
        let made_up_ns = late_ns.min(LATE_NS_MAX.max(LATE_FACTOR * self.late_ns));
        self.late_ns = self.late_ns - self.late_ns / LATE_SHARE + late_ns / LATE_SHARE;
        let from_ns = now_ns - made_up_ns;
        let left_ns = self.until_ns - from_ns;
        let interval_ns = (left_ns / left).max(1);
        let count = (1 + made_up_ns / interval_ns).min(left).min(count_max);
        // Not a multiple of the rounded interval, which may be a few nanoseconds.
        let share_ns = u128::from(left_ns) * u128::from(count) / u128::from(left);
        self.next_ns = from_ns + share_ns as u64;
        count
    }

    /// Has the next one due not before a time, and none for the time until then.
    pub(in crate::shard) fn postpone(&mut self, to_ns: u64) {
        self.next_ns = self.next_ns.max(to_ns).min(self.until_ns);
    }

    /// Has the next one due at once.
    pub(in crate::shard) fn hurry(&mut self, now_ns: u64) {
        self.next_ns = self.next_ns.min(now_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// When each of `count` is served by a shard that looks at random times, of which `gap_ns` says
    /// the next.
    fn served(count: u64, window_ns: u64, mut gap_ns: impl FnMut(u64) -> u64) -> Vec<u64> {
        let (mut now_ns, mut served) = (5 * MS, Vec::new());
        let from_ns = now_ns;
        let mut pace = Pace::new(from_ns, window_ns, count, 0.5);
        while (served.len() as u64) < count {
            let due = pace.take_due(now_ns, count - served.len() as u64, u64::MAX);
            served.extend((0..due).map(|_| now_ns - from_ns));
            now_ns = (now_ns + gap_ns(now_ns)).max(pace.next_ns());
        }
        served
    }

    /// How many there are in the fullest tenth of a second, by the mean of all that are in the
    /// window.
    fn fullest(served: &[u64], window_ns: u64) -> f64 {
        let bins = (window_ns / (100 * MS)) as usize;
        let mut counts = vec![0; bins + 1];
        served.iter().for_each(|at_ns| counts[(at_ns / (100 * MS)) as usize] += 1);
        let most = counts.iter().max().copied().unwrap_or(0);
        f64::from(most) * bins as f64 / served.len() as f64
    }

    #[test]
    fn each_has_its_turn_in_the_window_and_none_at_once_with_many() {
        let mut random = fastrand::Rng::with_seed(3);
        for (count, window_ms) in [(1_000, 10_000), (100_000, 10_000), (100_000, 1_000)] {
            let served = served(count, window_ms * MS, |_| random.u64(MS / 2..3 * MS));
            assert!(served.last().is_some_and(|&at| at <= (window_ms + 3) * MS));
            let fullest = fullest(&served, window_ms * MS);
            assert!(fullest < 1.06, "{count} over {window_ms} ms: {fullest}");
        }
        assert_eq!(served(3, 9_000 * MS, |_| MS), [1_500 * MS, 4_000 * MS, 6_500 * MS]);
    }

    #[test]
    fn what_one_long_pause_has_missed_is_spread_over_the_rest() {
        let pause = |now_ns: u64| match now_ns / MS {
            2_000..2_005 => 700 * MS,
            _ => 2 * MS,
        };
        let served = served(10_000, 10_000 * MS, pause);
        assert!(served.last().is_some_and(|&at| at <= 10_002 * MS));
        let fullest = fullest(&served, 10_000 * MS);
        assert!(fullest < 1.2, "{fullest}");
    }

    #[test]
    fn a_shard_that_is_always_late_is_in_time_all_the_same() {
        let mut random = fastrand::Rng::with_seed(4);
        let served = served(10_000, 10_000 * MS, |_| random.u64(20 * MS..90 * MS));
        assert!(served.last().is_some_and(|&at| at <= 10_100 * MS));
        let fullest = fullest(&served, 10_000 * MS);
        assert!(fullest < 2.2, "{fullest}");
    }

    #[test]
    fn all_are_due_at_the_end_and_a_part_of_them_remains_due() {
        let mut pace = Pace::new(0, 1_000 * MS, 100, 0.0);
        assert_eq!([pace.take_due(999 * MS, 100, 3), pace.take_due(999 * MS, 97, 3)], [3, 3]);
        assert!(!pace.is_over(999 * MS) && pace.is_over(1_000 * MS));
        assert_eq!(pace.take_due(1_000 * MS, 94, 4), 4);
        assert_eq!(pace.take_due(1_000 * MS, 90, u64::MAX), 90);
        let mut pace = Pace::new(0, 1_000 * MS, 0, 1.0);
        assert_eq!((pace.take_due(0, 0, 9), pace.next_ns()), (0, 1_000 * MS));
    }
}
