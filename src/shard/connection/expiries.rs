//! The streams that have an end, by its time.
//!
//! Only these are in the heap, so that the others cost nothing. A stream that ends earlier stays
//! there until its time, or until the heap has more such streams than others.
//!
//! An end is a time of the system's clock, and follows it when it is set.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::shard::connection::slots::Key;

/// How many streams that have ended stay in the heap in any case.
const GONE_MAX: usize = 1_024;

/// The streams that have an end, the next one first.
#[derive(Default)]
pub(in crate::shard) struct Expiries {
    /// Milliseconds since the Unix epoch, and the connection by its key as a number.
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    /// How many there may be before those that are gone are taken out.
    most: usize,
}

impl Expiries {
    /// Notes when a stream ends. `is_open` says which streams have not ended.
    pub(in crate::shard) fn expect(
        &mut self,
        key: Key,
        expires_at: SystemTime,
        mut is_open: impl FnMut(Key) -> bool,
    ) {
        if self.heap.len() >= self.most.max(GONE_MAX) {
            self.heap.retain(|Reverse((_, key))| Key::from_u64(*key).is_some_and(&mut is_open));
            self.most = 2 * self.heap.len() + GONE_MAX;
        }
        // Rounded up: no stream ends early.
        let ms = since_epoch(expires_at).as_nanos().div_ceil(1_000_000);
        self.heap.push(Reverse((u64::try_from(ms).unwrap_or(u64::MAX), key.to_u64())));
    }

    /// Takes out a stream whose time is over. It may have ended already.
    pub(in crate::shard) fn next_due(&mut self, now: SystemTime) -> Option<Key> {
        let &Reverse((ms, key)) = self.heap.peek()?;
        if u128::from(ms) > since_epoch(now).as_millis() {
            return None;
        }
        self.heap.pop();
        Key::from_u64(key)
    }

    /// Whether there is none, so that nobody need look at the clock.
    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> Key {
        Key { index, generation: 1 }
    }

    fn at(ms: u64, ns: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(ms) + Duration::from_nanos(ns)
    }

    #[test]
    fn the_next_one_ends_first_and_none_ends_early() {
        let mut expiries = Expiries::default();
        for (index, ms, ns) in [(1, 3_000, 0), (2, 1_000, 1), (3, 2_000, 999_999)] {
            expiries.expect(key(index), at(ms, ns), |_| true);
        }
        assert_eq!(expiries.next_due(at(1_000, 999_999)), None);
        assert_eq!(expiries.next_due(at(1_001, 0)), Some(key(2)));
        assert_eq!(expiries.next_due(at(2_000, 999_999)), None);
        assert_eq!(expiries.next_due(at(9_000, 0)), Some(key(3)));
        assert_eq!(expiries.next_due(at(9_000, 0)), Some(key(1)));
        assert!(expiries.is_empty());
    }

    #[test]
    fn a_time_that_is_out_of_every_range_is_kept_as_the_last_or_the_first() {
        let mut expiries = Expiries::default();
        expiries.expect(key(1), UNIX_EPOCH - Duration::from_secs(1), |_| true);
        expiries.expect(key(2), at(u64::MAX / 1_000, 0), |_| true);
        assert_eq!(expiries.next_due(at(0, 0)), Some(key(1)));
        assert_eq!(expiries.next_due(at(1 << 50, 0)), None);
    }

    #[test]
    fn streams_that_have_ended_take_bounded_memory() {
        let mut expiries = Expiries::default();
        let is_open = |key: Key| key.index.is_multiple_of(1_000);
        for index in 0..1_000_000 {
            expiries.expect(key(index), at(u64::from(index), 0), is_open);
        }
        let open = 1_000;
        assert!(expiries.heap.len() <= 2 * open + 2 * GONE_MAX, "{}", expiries.heap.len());
        let left =
            expiries.heap.iter().filter(|Reverse((_, key))| is_open(Key::from_u64(*key).unwrap()));
        assert_eq!(left.count(), open);
    }
}
