//! What is promised of a record, and how much the journal may take.

use std::time::Duration;

use crate::durability::Durability;

/// The journal's promise and bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JournalOptions {
    pub(crate) durability: Durability,
    /// How long a record of [`Durability::Interval`] is on its way to the disk at most, plus the
    /// time that the disk takes.
    pub(crate) interval: Duration,
    /// A segment that is larger is closed, and the next one begun.
    pub(crate) segment_bytes_max: u64,
    /// How many bytes of records may wait until the promise holds for them. At least one record is
    /// taken however large it is.
    pub(crate) queue_bytes_max: usize,
}

impl Default for JournalOptions {
    fn default() -> JournalOptions {
        JournalOptions {
            durability: Durability::default(),
            interval: Duration::from_millis(50),
            segment_bytes_max: 64 << 20,
            queue_bytes_max: 16 << 20,
        }
    }
}
