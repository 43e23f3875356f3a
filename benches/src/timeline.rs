//! How many events arrived when: counts per span of time, of bounded length.
//!
//! Spans begin at multiples of their width on `CLOCK_MONOTONIC`, so that what several processes
//! counted can be added up. A run that is too long for the spans doubles their width.

use serde::{Deserialize, Serialize};

/// How long a span is at first, in nanoseconds.
const WIDTH_NS: u64 = 10_000_000;
/// The most spans that are kept.
const SPANS_MAX: usize = 1024;

/// Counts per span of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timeline {
    width_ns: u64,
    /// Number of the first span: it begins at `first * width_ns`.
    first: u64,
    counts: Vec<u64>,
}

/// Counts per span of time since something began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    /// Length of a span, in nanoseconds.
    pub(crate) width_ns: u64,
    /// When the first span begins, in nanoseconds; negative if that is before the beginning.
    pub(crate) from_ns: i64,
    pub(crate) counts: Vec<u64>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { width_ns: WIDTH_NS, first: 0, counts: Vec::new() }
    }
}

impl Timeline {
    /// Counts `count` events that arrived at `now_ns`, `CLOCK_MONOTONIC`.
    pub(crate) fn add(&mut self, now_ns: u64, count: u64) {
        if count == 0 {
            return;
        }
        let span = now_ns / self.width_ns;
        if let Some(counted) =
            span.checked_sub(self.first).and_then(|at| self.counts.get_mut(at as usize))
        {
            *counted += count;
            return;
        }
        self.cover(span, span);
        // `cover` has extended the vector to the span, whatever the width is now.
        self.counts[(now_ns / self.width_ns - self.first) as usize] += count;
    }

    /// Adds all that `other` has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (at, count) in other.counts.iter().enumerate() {
            // A span of the narrower one lies within one span of the wider.
            self.add((other.first + at as u64) * other.width_ns, *count);
        }
    }

    /// The same with times counted from `begun_at_ns`.
    pub(crate) fn since(&self, begun_at_ns: u64) -> Course {
        let from_ns = (self.first * self.width_ns) as i64 - begun_at_ns as i64;
        Course { width_ns: self.width_ns, from_ns, counts: self.counts.clone() }
    }

    /// Extends the vector to the spans `least..=greatest`, which are numbers of the present width.
    fn cover(&mut self, mut least: u64, mut greatest: u64) {
        if self.counts.is_empty() {
            self.first = least;
        }
        least = least.min(self.first);
        greatest = greatest.max(self.first + (self.counts.len() as u64).saturating_sub(1));
        while greatest - least >= SPANS_MAX as u64 {
            self.widen();
            (least, greatest) = (least / 2, greatest / 2);
        }
        let before = (self.first - least) as usize;
        self.counts.splice(0..0, std::iter::repeat_n(0, before));
        self.first = least;
        self.counts.resize((greatest - least + 1) as usize, 0);
    }

    fn widen(&mut self) {
        let mut counts = Vec::with_capacity(self.counts.len() / 2 + 1);
        for (at, count) in self.counts.iter().enumerate() {
            let wide = ((self.first + at as u64) / 2 - self.first / 2) as usize;
            counts.resize(counts.len().max(wide + 1), 0);
            counts[wide] += count;
        }
        self.first /= 2;
        self.width_ns *= 2;
        self.counts = counts;
    }
}

impl Course {
    /// The same with spans of `factor` times the length.
    pub(crate) fn coarser(&self, factor: usize) -> Self {
        let factor = factor.max(1);
        Self {
            width_ns: self.width_ns * factor as u64,
            from_ns: self.from_ns,
            counts: self.counts.chunks(factor).map(|counts| counts.iter().sum()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_is_counted_in_its_span_however_long_the_run_is() {
        let mut timeline = Timeline::default();
        let begun_at_ns = 77 * WIDTH_NS + 5;
        for step in 0..100_000u64 {
            timeline.add(begun_at_ns + step * 3_000_000, 2);
        }
        assert!(timeline.counts.len() <= SPANS_MAX);
        assert_eq!(timeline.counts.iter().sum::<u64>(), 200_000);
        // 300 s in at most 1024 spans of 10 ms times a power of two.
        assert_eq!(timeline.width_ns, 320_000_000);
        let each = timeline.counts[1..timeline.counts.len() - 1].iter();
        assert!(each.clone().all(|count| (212..=216).contains(count)), "{timeline:?}");
        let course = timeline.since(begun_at_ns);
        assert!(course.from_ns <= 0 && course.from_ns > -(course.width_ns as i64));
    }

    #[test]
    fn the_counts_of_two_processes_add_up_whichever_began_first_and_whatever_their_widths() {
        let (mut early, mut late) = (Timeline::default(), Timeline::default());
        early.add(WIDTH_NS, 1);
        for span in 5_000..9_000 {
            late.add(span * WIDTH_NS, 1);
        }
        let mut one = early.clone();
        one.merge(&late);
        let mut other = late.clone();
        other.merge(&early);
        assert_eq!(one, other);
        assert_eq!(one.counts.iter().sum::<u64>(), 4_001);
        assert_eq!(one.counts[0], 1);
        one.merge(&Timeline::default());
        assert_eq!(one, other);
    }

    #[test]
    fn coarser_spans_hold_the_same_events() {
        let course = Course { width_ns: 10, from_ns: -3, counts: vec![1, 2, 3, 4, 5] };
        let coarse = Course { width_ns: 20, from_ns: -3, counts: vec![3, 7, 5] };
        assert_eq!(course.coarser(2), coarse);
    }
}
