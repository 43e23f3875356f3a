//! Records in memory: what was pushed, as the bytes that are written.

use bytes::Bytes;

use super::record::Record;

/// What stands in front of a record's payload: its number, and how many bytes of the payload follow.
const FRONT_BYTES: usize = 12;

/// Encoded records, one behind the other.
///
/// Their payloads are copied, so that nothing is shared between the threads that push and the one that writes:
/// a counter that both change, and memory that one takes and the other frees, cost a publisher more than the
/// copy. The large end of a payload is shared instead.
#[derive(Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    /// The ends of payloads that were not copied, each with the offset in `bytes` behind its record.
    tails: Vec<(usize, Bytes)>,
    tail_bytes: usize,
    count: u64,
}

/// A place between two records.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// How many records are before it.
    pub(super) count: u64,
    at: usize,
    tail: usize,
}

/// A record, whose payload is in two parts.
pub(super) struct Encoded<'a> {
    pub(super) number: u64,
    pub(super) payload: [&'a [u8]; 2],
}

impl Records {
    #[inline]
    pub(super) fn push(&mut self, record: &impl Record) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&record.number().to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        let tail = record.encode(&mut self.bytes);
        let end = self.bytes.len();
        let length = u32::try_from(end - begin - FRONT_BYTES).expect("a record is below 4 GiB");
        self.bytes[begin + 8..begin + FRONT_BYTES].copy_from_slice(&length.to_le_bytes());
        if let Some(tail) = tail {
            self.tail_bytes += tail.len();
            self.tails.push((end, tail));
        }
        self.count += 1;
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// What they take in memory.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.tail_bytes
    }

    /// How many bytes it takes without a further allocation.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The record behind a place, which moves behind that.
    pub(super) fn next(&self, place: &mut Place) -> Option<Encoded<'_>> {
        let (front, rest) = self.bytes[place.at..].split_at_checked(FRONT_BYTES)?;
        let (number, length) = front.split_at(8);
        let number = u64::from_le_bytes(number.try_into().ok()?);
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        place.at += FRONT_BYTES + length;
        place.count += 1;
        let tail = self.tails.get(place.tail).filter(|(at, _)| *at == place.at);
        place.tail += usize::from(tail.is_some());
        let tail = tail.map_or(&[][..], |(_, tail)| tail);
        Some(Encoded { number, payload: [&rest[..length], tail] })
    }

    /// Moves the records of another one behind its own.
    pub(super) fn append(&mut self, other: &mut Records) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.tails.extend(other.tails.drain(..).map(|(at, tail)| (begin + at, tail)));
        self.tail_bytes += other.tail_bytes;
        self.count += other.count;
        other.clear();
    }

    /// Lets go of all records, and keeps the memory for others.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.tails.clear();
        self.tail_bytes = 0;
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two(u64, &'static [u8], Option<&'static [u8]>);

    impl Record for Two {
        fn number(&self) -> u64 {
            self.0
        }

        fn encode(&self, payload: &mut Vec<u8>) -> Option<Bytes> {
            payload.extend_from_slice(self.1);
            self.2.map(Bytes::from_static)
        }
    }

    fn read(records: &Records, mut place: Place) -> Vec<(u64, Vec<u8>)> {
        let mut read = Vec::new();
        while let Some(record) = records.next(&mut place) {
            read.push((record.number, record.payload.concat()));
        }
        assert_eq!(place.count, records.count());
        read
    }

    #[test]
    fn records_are_read_as_they_were_pushed_from_each_place_with_and_without_tails() {
        let all = [
            Two(1, b"one", None),
            Two(1, b"", None),
            Two(2, b"", Some(b"tail")),
            Two(7, b"front ", Some(b"and tail")),
            Two(9, b"", Some(b"")),
            Two(10, b"last", None),
        ];
        let expected: Vec<(u64, Vec<u8>)> =
            all.iter().map(|it| (it.0, [it.1, it.2.unwrap_or_default()].concat())).collect();
        for split in 0..=all.len() {
            let [mut records, mut others] = [Records::default(), Records::default()];
            all[..split].iter().for_each(|record| records.push(record));
            all[split..].iter().for_each(|record| others.push(record));
            let bytes = records.bytes() + others.bytes();
            records.append(&mut others);
            assert_eq!((records.bytes(), records.count()), (bytes, 6));
            assert_eq!((others.bytes(), others.count()), (0, 0));
            assert!(others.next(&mut Place::default()).is_none());
            let mut place = Place::default();
            for from in 0..expected.len() {
                assert_eq!(read(&records, place), expected[from..]);
                records.next(&mut place);
            }
            assert_eq!(read(&records, place), []);
        }
    }
}
