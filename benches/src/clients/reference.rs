//! The reference log: the event blocks of one topic, byte for byte, as they were really parsed
//! once, so that every other connection that receives the same bytes can be checked by comparing
//! instead of parsing.
//!
//! ```text
//! bytes   | block of event 40 | block of event 41      | block of event 42 |
//! ends                        ^                        ^                   ^
//! stamps    stamp 40            stamp 41                 stamp 42
//! ```
//!
//! Only whole blocks of events whose numbers follow one another are taken in. A connection
//! whose bytes equal the log from one event boundary to another has therefore received just those
//! events, in order, each once and undamaged. Comments, `retry` and foreign events are never part
//! of it.

/// How long the log may grow, in bytes. Events beyond are parsed on every connection.
const BYTES_MAX: usize = 256 << 20;

/// The blocks of consecutive events and their publish stamps.
#[derive(Debug)]
pub(crate) struct Reference {
    bytes: Vec<u8>,
    /// Where in `bytes` each event's block ends.
    ends: Vec<usize>,
    /// When each event was published, `CLOCK_MONOTONIC`, in nanoseconds.
    stamps_ns: Vec<u64>,
    /// Number of the first event.
    first: u64,
    /// Whether no stamp is earlier than the one before it.
    ascending: bool,
}

impl Default for Reference {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            stamps_ns: Vec::new(),
            first: 0,
            ascending: true,
        }
    }
}

impl Reference {
    /// How many events the log holds.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes from `offset` on.
    pub(crate) fn bytes_from(&self, offset: usize) -> &[u8] {
        &self.bytes[offset..]
    }

    /// Where the block of the event at `index` begins: for `index == len()`, the end of the log.
    pub(crate) fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// The block of the event with this number, if the log has it.
    pub(crate) fn block(&self, number: u64) -> Option<&[u8]> {
        let index = self.index_of(number).filter(|index| *index < self.len())?;
        Some(&self.bytes[self.start(index)..self.ends[index]])
    }

    /// How many events end at or before `offset`, which is not before the event at `from` begins.
    pub(crate) fn index_at(&self, from: usize, offset: usize) -> usize {
        from + self.ends[from..].partition_point(|end| *end <= offset)
    }

    /// Number of the event at `index`, whether or not it has arrived.
    pub(crate) fn number(&self, index: usize) -> u64 {
        self.first + index as u64
    }

    /// The index of the event with this number: at most `len()`, which is the index of the next
    /// one. `None` for one that is further off, or was before the log began.
    pub(crate) fn index_of(&self, number: u64) -> Option<usize> {
        if self.ends.is_empty() {
            return None;
        }
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (index <= self.len()).then_some(index)
    }

    /// The publish stamps of a range of events, and whether they are in ascending order.
    pub(crate) fn stamps_ns(&self, range: std::ops::Range<usize>) -> (&[u64], bool) {
        (&self.stamps_ns[range], self.ascending)
    }

    /// The stamp of the first event, in nanoseconds.
    pub(crate) fn first_stamp_ns(&self) -> Option<u64> {
        self.stamps_ns.first().copied()
    }

    /// Takes in the block of event `number` if it is the next one and the log is not full. The
    /// first event ever decides where the log begins.
    pub(crate) fn push(&mut self, number: u64, stamp_ns: u64, block: &[u8]) {
        if self.ends.is_empty() {
            self.first = number;
        }
        if number != self.number(self.len()) || self.bytes.len() + block.len() > BYTES_MAX {
            return;
        }
        self.ascending &= self.stamps_ns.last().is_none_or(|before| *before <= stamp_ns);
        self.bytes.extend_from_slice(block);
        self.ends.push(self.bytes.len());
        self.stamps_ns.push(stamp_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_consecutive_events_are_taken_in() {
        let mut log = Reference::default();
        assert_eq!(log.index_of(40), None);
        for (number, stamp_ns) in [(40, 1), (41, 2), (43, 9), (41, 9), (42, 3)] {
            log.push(number, stamp_ns, format!("[{number}]").as_bytes());
        }
        assert_eq!(log.bytes_from(0), b"[40][41][42]");
        assert_eq!(log.stamps_ns(0..3), (&[1, 2, 3][..], true));
        assert_eq!(log.first_stamp_ns(), Some(1));
        assert_eq!([39, 40, 43, 44].map(|n| log.index_of(n)), [None, Some(0), Some(3), None]);
        assert_eq!([39, 41, 43].map(|n| log.block(n)), [None, Some(&b"[41]"[..]), None]);
        log.push(43, 2, b"[43]");
        assert!(!log.stamps_ns(0..0).1);
    }

    #[test]
    fn an_offset_inside_a_block_counts_the_events_before_it() {
        let mut log = Reference::default();
        for number in 0..100 {
            log.push(number, number, b"abcd");
        }
        for from in [0, 7, 50] {
            for offset in from * 4..=400 {
                assert_eq!(log.index_at(from, offset), offset / 4);
            }
        }
        assert_eq!((log.start(0), log.start(3), log.start(100)), (0, 12, 400));
    }
}
