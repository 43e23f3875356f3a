//! The records that the writer has taken and may have to write again.

use std::collections::VecDeque;

use super::record::Record;
use super::segment::Seed;

/// Records in their order, by their serials. Records that are safe are dropped.
pub(super) struct Unkept<R> {
    batches: VecDeque<Batch<R>>,
    /// The serial behind the last record.
    end: u64,
    /// An empty vector whose memory is used again.
    spare: Vec<R>,
}

/// What was in the queue at one time.
struct Batch<R> {
    records: Vec<R>,
    /// The serial of the first.
    begin: u64,
    bytes: usize,
}

/// A vector that is larger is not used again, so that a burst's memory is given back.
const SPARE_MAX: usize = 64 << 10;

impl<R: Record> Unkept<R> {
    /// Nothing yet; the first record has this serial.
    pub(super) fn new(serial: u64) -> Unkept<R> {
        Unkept { batches: VecDeque::new(), end: serial, spare: Vec::new() }
    }

    /// The serial behind the last record.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Adds what `take` puts into the empty vector that it gets; it returns the records' bytes.
    pub(super) fn add(&mut self, take: impl FnOnce(&mut Vec<R>) -> usize) {
        let mut records = std::mem::take(&mut self.spare);
        let bytes = take(&mut records);
        if records.is_empty() {
            self.spare = records;
            return;
        }
        let begin = self.end;
        self.end += records.len() as u64;
        self.batches.push_back(Batch { records, begin, bytes });
    }

    /// Encodes records from a serial on, until all are or the buffer has so many bytes. Returns the
    /// serial behind the last one, and the highest number.
    pub(super) fn encode(
        &self,
        from: u64,
        bytes_max: usize,
        seed: Seed,
        to: &mut Vec<u8>,
    ) -> (u64, u64) {
        let (mut serial, mut number) = (from, 0);
        for batch in &self.batches {
            let skipped = serial.saturating_sub(batch.begin) as usize;
            for record in batch.records.iter().skip(skipped) {
                if to.len() >= bytes_max {
                    return (serial, number);
                }
                seed.record(record, to);
                number = number.max(record.number());
                serial += 1;
            }
        }
        (serial, number)
    }

    /// Lets go of batches all of whose records are before a serial. Returns the bytes that do not
    /// wait any more.
    pub(super) fn release(&mut self, serial: u64) -> usize {
        let mut bytes = 0;
        while let Some(batch) = self.batches.front() {
            if batch.begin + batch.records.len() as u64 > serial {
                break;
            }
            let Some(mut batch) = self.batches.pop_front() else { break };
            bytes += batch.bytes;
            batch.records.clear();
            if batch.records.capacity() <= SPARE_MAX {
                self.spare = batch.records;
            }
        }
        bytes
    }

    /// Bytes of the records that it has.
    pub(super) fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.bytes).sum()
    }
}
