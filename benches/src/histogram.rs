//! A log-linear histogram of nanoseconds: cheap enough to record every delivery of a load run.
//!
//! Values below 256 ns have a bucket each; above that every power of two is cut into 128 buckets,
//! so that a reported percentile is at most 0.8 % above the value that was recorded. The table is
//! 58 KiB, of which a run touches a few cache lines.

use serde::{Deserialize, Serialize};

/// Buckets per power of two, as a power of two.
const SUB_BITS: u32 = 7;
const SUB: u64 = 1 << SUB_BITS;
/// Enough buckets for every `u64`.
const BUCKETS: usize = ((64 - SUB_BITS as usize) + 1) * SUB as usize;
/// Ranges of at most this many stamps are recorded one by one.
const RANGE_SMALL: usize = 4;
/// The number of buckets that make one step of a curve: 16 steps per power of two, 4.4 % each.
const STEP_BUCKETS: usize = 8;

/// Counts of values in nanoseconds, with the exact least and greatest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "Sparse", try_from = "Sparse")]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    min_ns: u64,
    max_ns: u64,
}

/// The form between processes: only the buckets that are not empty.
#[derive(Serialize, Deserialize)]
struct Sparse {
    counts: Vec<(usize, u64)>,
    min_ns: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, min_ns: u64::MAX, max_ns: 0 }
    }
}

impl Histogram {
    /// Records one value in nanoseconds.
    pub(crate) fn record(&mut self, value_ns: u64) {
        self.counts[bucket(value_ns)] += 1;
        self.total += 1;
        self.min_ns = self.min_ns.min(value_ns);
        self.max_ns = self.max_ns.max(value_ns);
    }

    /// Records `now_ns - stamp` for every stamp. A stamp later than `now_ns` counts as 0 ns.
    pub(crate) fn record_since(&mut self, stamps_ns: &[u64], now_ns: u64) {
        for stamp_ns in stamps_ns {
            self.record(now_ns.saturating_sub(*stamp_ns));
        }
    }

    /// The same as [`record_since`](Self::record_since) for stamps that never go backwards.
    ///
    /// A range whose first and last value share a bucket is one addition, whatever its length:
    /// this is what makes it possible to record 20 million deliveries a second.
    pub(crate) fn record_since_ascending(&mut self, stamps_ns: &[u64], now_ns: u64) {
        let (Some(first), Some(last)) = (stamps_ns.first(), stamps_ns.last()) else {
            return;
        };
        debug_assert!(stamps_ns.is_sorted());
        self.total += stamps_ns.len() as u64;
        self.max_ns = self.max_ns.max(now_ns.saturating_sub(*first));
        self.min_ns = self.min_ns.min(now_ns.saturating_sub(*last));
        self.count_ascending(stamps_ns, now_ns);
    }

    fn count_ascending(&mut self, stamps_ns: &[u64], now_ns: u64) {
        let greatest = bucket(now_ns.saturating_sub(stamps_ns[0]));
        let least = bucket(now_ns.saturating_sub(stamps_ns[stamps_ns.len() - 1]));
        if greatest == least {
            self.counts[greatest] += stamps_ns.len() as u64;
        } else if stamps_ns.len() <= RANGE_SMALL {
            for stamp_ns in stamps_ns {
                self.counts[bucket(now_ns.saturating_sub(*stamp_ns))] += 1;
            }
        } else {
            let (older, newer) = stamps_ns.split_at(stamps_ns.len() / 2);
            self.count_ascending(older, now_ns);
            self.count_ascending(newer, now_ns);
        }
    }

    /// Adds all that `other` has recorded.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many values were recorded.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The greatest value in nanoseconds, exact; 0 when nothing was recorded.
    pub(crate) fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The least value in nanoseconds, exact; 0 when nothing was recorded.
    pub(crate) fn min_ns(&self) -> u64 {
        self.min_ns.min(self.max_ns)
    }

    /// The distribution to be drawn: values in nanoseconds and how many records do not exceed
    /// each, from the exact least to the exact greatest. At most a thousand points.
    pub(crate) fn curve(&self) -> Vec<(u64, u64)> {
        let mut points = Vec::new();
        if self.total > 0 {
            points.push((self.min_ns, 0));
        }
        let mut seen = 0;
        for (step, counts) in self.counts.chunks(STEP_BUCKETS).enumerate() {
            let count: u64 = counts.iter().sum();
            let begin = (step * STEP_BUCKETS).checked_sub(1).map_or(0, bucket_end);
            if count > 0 && begin > points.last().map_or(0, |(value_ns, _)| *value_ns) {
                // Flat up to here.
                points.push((begin, seen));
            }
            seen += count;
            if count > 0 {
                let end = bucket_end((step + 1) * STEP_BUCKETS - 1);
                points.push((end.min(self.max_ns), seen));
            }
        }
        points
    }

    /// The value in nanoseconds that `percent` of the records do not exceed: the upper end of its
    /// bucket, and never more than the greatest value. 0 when nothing was recorded.
    pub(crate) fn percentile_ns(&self, percent: f64) -> u64 {
        let wanted =
            ((percent / 100.0 * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return bucket_end(index).min(self.max_ns);
            }
        }
        0
    }
}

impl From<Histogram> for Sparse {
    fn from(histogram: Histogram) -> Self {
        let counts = histogram.counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
        Self { counts: counts.collect(), min_ns: histogram.min_ns, max_ns: histogram.max_ns }
    }
}

impl TryFrom<Sparse> for Histogram {
    type Error = String;

    fn try_from(sparse: Sparse) -> Result<Self, String> {
        let mut histogram =
            Self { min_ns: sparse.min_ns, max_ns: sparse.max_ns, ..Self::default() };
        for (index, count) in sparse.counts {
            let counted = histogram.counts.get_mut(index);
            *counted.ok_or_else(|| format!("a histogram has no bucket {index}"))? += count;
            histogram.total += count;
        }
        Ok(histogram)
    }
}

/// The bucket that a value belongs to.
fn bucket(value: u64) -> usize {
    let shift = (63 - SUB_BITS).saturating_sub((value | 1).leading_zeros());
    (u64::from(shift) * SUB + (value >> shift)) as usize
}

/// The greatest value that a bucket holds.
fn bucket_end(index: usize) -> u64 {
    let index = index as u64;
    let shift = (index / SUB).saturating_sub(1);
    let sub = index - shift * SUB;
    (((u128::from(sub) + 1) << shift) - 1).min(u128::from(u64::MAX)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_end_belongs_to_its_bucket_and_the_next_value_does_not() {
        for index in 0..BUCKETS {
            let end = bucket_end(index);
            assert_eq!(bucket(end), index);
            if end < u64::MAX {
                assert_eq!(bucket(end + 1), index + 1);
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_percentile_is_within_a_hundredth_of_the_exact_one() {
        let mut histogram = Histogram::default();
        let mut values: Vec<u64> = (0..20_000u64).map(|i| i * i * 37 % 900_000_007).collect();
        for value in &values {
            histogram.record(*value);
        }
        values.sort_unstable();
        for percent in [0.1, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
            let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
            let exact = values[rank - 1] as f64;
            let found = histogram.percentile_ns(percent) as f64;
            assert!(found >= exact && found <= exact * 1.01, "{percent}: {found} {exact}");
        }
        assert_eq!(histogram.max_ns(), values[values.len() - 1]);
    }

    #[test]
    fn a_range_is_recorded_as_its_values_one_by_one_are() {
        let mut stamps = vec![0, 0, 5, 1_000, 1_001];
        stamps.extend((0..3_000u64).map(|i| 2_000 + i * i / 3));
        for now_ns in [1_000, 3_002_000, 90_000_000_000] {
            let mut by_range = Histogram::default();
            let mut one_by_one = Histogram::default();
            by_range.record_since_ascending(&stamps, now_ns);
            one_by_one.record_since(&stamps, now_ns);
            assert_eq!(by_range.counts, one_by_one.counts);
            assert_eq!(by_range.total(), stamps.len() as u64);
            assert_eq!(by_range.max_ns, one_by_one.max_ns);
            assert_eq!(by_range.min_ns, one_by_one.min_ns);
        }
    }

    #[test]
    fn a_histogram_is_read_as_it_was_written_and_a_damaged_one_is_refused() {
        let mut histogram = Histogram::default();
        for value in [0, 300, 301, 5_000_000, u64::MAX] {
            histogram.record(value);
        }
        let text = serde_json::to_string(&histogram).unwrap();
        let read: Histogram = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{read:?}"), format!("{histogram:?}"));
        assert!(serde_json::from_str::<Histogram>(&text.replace("[[0,", "[[99999,")).is_err());
    }

    #[test]
    fn a_curve_rises_from_the_least_to_the_greatest_and_agrees_with_the_percentiles() {
        let mut histogram = Histogram::default();
        assert!(histogram.curve().is_empty());
        for value in (0..10_000u64).map(|i| 700 + i * i) {
            histogram.record(value);
        }
        let curve = histogram.curve();
        assert_eq!((curve[0], curve[curve.len() - 1]), ((700, 0), (700 + 9_999 * 9_999, 10_000)));
        assert!(curve.is_sorted() && curve.is_sorted_by_key(|(_, seen)| *seen));
        for (value_ns, seen) in &curve[1..] {
            // A little less, as dividing may have made it a little more.
            let percentile = histogram.percentile_ns((*seen as f64 - 0.5) / 100.0);
            assert!(percentile <= *value_ns, "{percentile} {value_ns}");
        }
        assert!(curve.len() < 300, "{}", curve.len());
    }

    #[test]
    fn an_empty_histogram_reports_zero_and_merging_adds() {
        let mut a = Histogram::default();
        assert_eq!((a.percentile_ns(99.0), a.max_ns(), a.total()), (0, 0, 0));
        a.record_since_ascending(&[], 5);
        let mut b = Histogram::default();
        b.record(1_000);
        a.record(10);
        a.merge(&b);
        assert_eq!((a.total(), a.max_ns(), a.percentile_ns(50.0)), (2, 1_000, 10));
    }
}
