//! The records that the writer has taken and may have to write again.

use std::collections::VecDeque;

use super::records::{Place, Records};
use super::segment::{Kind, Seed};

/// Records in their order, by their serials. Records that are safe are dropped.
pub(super) struct Unkept {
    chunks: VecDeque<Chunk>,
    /// The serial behind the last record.
    end: u64,
    /// What the queue gets when its records are taken: empty, with memory that is used again.
    spare: Records,
    /// The same for the next chunk.
    spare_chunk: Records,
}

/// What was in the queue at one time, or at several.
struct Chunk {
    records: Records,
    /// The serial of the first.
    begin: u64,
    /// Where it was encoded up to.
    encoded: Place,
}

/// What was in the queue becomes a chunk of its own if it is larger, and is else moved behind what the last chunk
/// has: so the queue's memory is used again, and in the publishers' cache.
const MOVED_BYTES_MAX: usize = 1 << 20;
/// Memory that is larger is not used again, so that a burst's is given back.
const SPARE_BYTES_MAX: usize = 2 << 20;

impl Unkept {
    /// Nothing yet; the first record has this serial.
    pub(super) fn new(serial: u64) -> Unkept {
        let (spare, spare_chunk) = (Records::default(), Records::default());
        Unkept { chunks: VecDeque::new(), end: serial, spare, spare_chunk }
    }

    /// The serial behind the last record.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Adds what `take` puts in place of the empty records that it gets.
    pub(super) fn add(&mut self, take: impl FnOnce(&mut Records)) {
        let mut taken = std::mem::take(&mut self.spare);
        take(&mut taken);
        let begin = self.end;
        self.end += taken.count();
        if taken.bytes() > MOVED_BYTES_MAX {
            self.chunks.push_back(Chunk { records: taken, begin, encoded: Place::default() });
            return;
        }
        if taken.count() > 0 {
            self.chunk_with_room(begin).append(&mut taken);
        }
        self.spare = taken;
    }

    /// The last chunk, or a new one if there is none or it is large.
    fn chunk_with_room(&mut self, begin: u64) -> &mut Records {
        let has_room = |chunk: &Chunk| chunk.records.bytes() < SPARE_BYTES_MAX - MOVED_BYTES_MAX;
        if !self.chunks.back().is_some_and(has_room) {
            let records = std::mem::take(&mut self.spare_chunk);
            self.chunks.push_back(Chunk { records, begin, encoded: Place::default() });
        }
        &mut self.chunks.back_mut().expect("there is one").records
    }

    /// Encodes records from a serial on, until all are or the buffer has so many bytes. Returns the
    /// serial behind the last one, and the highest number.
    pub(super) fn encode(
        &mut self,
        from: u64,
        bytes_max: usize,
        seed: Seed,
        to: &mut Vec<u8>,
    ) -> (u64, u64) {
        let (mut serial, mut number) = (from, 0);
        for chunk in &mut self.chunks {
            if chunk.begin + chunk.records.count() <= serial {
                continue;
            }
            let mut place = chunk.place_of(serial);
            while to.len() < bytes_max {
                let Some(record) = chunk.records.next(&mut place) else { break };
                seed.append(Kind::Data, record.number, &record.payload, to);
                number = number.max(record.number);
                serial += 1;
            }
            chunk.encoded = place;
            if to.len() >= bytes_max {
                break;
            }
        }
        (serial, number)
    }

    /// Lets go of chunks all of whose records are before a serial. Returns the bytes that do not
    /// wait any more.
    pub(super) fn release(&mut self, serial: u64) -> usize {
        let mut bytes = 0;
        while let Some(chunk) = self.chunks.front() {
            if chunk.begin + chunk.records.count() > serial {
                break;
            }
            let Some(Chunk { mut records, .. }) = self.chunks.pop_front() else { break };
            bytes += records.bytes();
            records.clear();
            let capacity = records.capacity();
            if capacity <= SPARE_BYTES_MAX && capacity > self.spare_chunk.capacity() {
                self.spare_chunk = records;
            }
        }
        bytes
    }

    /// Bytes of the records that it has.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.records.bytes()).sum()
    }
}

impl Chunk {
    /// The place in front of the record of a serial, found from where it was encoded up to, or from the beginning
    /// if that is behind it.
    fn place_of(&self, serial: u64) -> Place {
        let before = serial.saturating_sub(self.begin);
        let mut place = if self.encoded.count <= before { self.encoded } else { Place::default() };
        while place.count < before && self.records.next(&mut place).is_some() {}
        place
    }
}
