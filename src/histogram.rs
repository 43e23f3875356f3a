//! How long things took: durations, counted within fixed bounds.

use std::time::Duration;

/// The upper bounds of a histogram's buckets, inclusive, in nanoseconds: 100 µs to 10 s.
const BOUNDS_NS: [u64; 16] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// How many buckets a histogram has: one more than it has bounds.
pub(crate) const BUCKETS: usize = BOUNDS_NS.len() + 1;

/// How many durations were within each of some bounds, from 100 µs to 10 s.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use fanfare::Histogram;
///
/// let mut latency = Histogram::default();
/// latency.record(Duration::from_micros(80), 99);
/// latency.record(Duration::from_micros(700), 1);
/// assert_eq!(latency.quantile(0.5), Some(Duration::from_micros(100)));
/// assert_eq!(latency.quantile(1.0), Some(Duration::from_millis(1)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// How many were within each bound and above the one before; the last is above all bounds.
    pub(crate) counts: [u64; BUCKETS],
    pub(crate) sum_ns: u64,
}

impl Histogram {
    /// Counts a duration, a number of times. Counts and sum stay at the largest number that 64 bits
    /// hold when they reach it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::Histogram;
    /// let mut latency = Histogram::default();
    /// latency.record(Duration::from_millis(2), 3);
    /// assert_eq!((latency.count(), latency.sum()), (3, Duration::from_millis(6)));
    /// ```
    pub fn record(&mut self, duration: Duration, times: u64) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let count = &mut self.counts[bucket(ns)];
        *count = count.saturating_add(times);
        self.sum_ns = self.sum_ns.saturating_add(ns.saturating_mul(times));
    }

    /// The buckets, from the least: the upper bound, inclusive, and how many durations were within
    /// it and above the bound before. The last bucket has no bound.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::Histogram;
    /// let mut latency = Histogram::default();
    /// latency.record(Duration::from_secs(3600), 1);
    /// assert_eq!(latency.buckets().next(), Some((Some(Duration::from_micros(100)), 0)));
    /// assert_eq!(latency.buckets().last(), Some((None, 1)));
    /// ```
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bounds = BOUNDS_NS.into_iter().map(|ns| Some(Duration::from_nanos(ns)));
        bounds.chain([None]).zip(self.counts)
    }

    /// How many durations were counted, at most what 64 bits hold.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(fanfare::Histogram::default().count(), 0);
    /// ```
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// The sum of all durations, at most some 584 years.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// assert_eq!(fanfare::Histogram::default().sum(), Duration::ZERO);
    /// ```
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// The bound within which a share of the durations were, 0 to 1; `None` when there were none,
    /// or the answer is above all bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// let latency = Hub::start(Options::default())?.metrics().latency;
    /// assert_eq!(latency.quantile(0.99), None);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0_u64;
        let (bound, _) = self.buckets().find(|&(_, count)| {
            seen = seen.saturating_add(count);
            seen >= wanted
        })?;
        bound
    }
}

/// The bucket that a duration is counted in.
pub(crate) fn bucket(ns: u64) -> usize {
    BOUNDS_NS.partition_point(|&bound| bound < ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_overflows() {
        let mut histogram = Histogram::default();
        for duration in [Duration::ZERO, Duration::ZERO, Duration::MAX] {
            histogram.record(duration, u64::MAX);
        }
        assert_eq!(histogram.count(), u64::MAX);
        assert_eq!(histogram.sum(), Duration::from_nanos(u64::MAX));
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_micros(100)));
    }
}
