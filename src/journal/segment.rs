//! The format of a segment: a header, and records behind it.
//!
//! ```text
//! header:  magic 8 | version u32 | flags u32 | epoch 8 | first u64 | serial u64 | serial_end u64 |
//!          reached u64 | zero u32 | checksum u32                                       = 64 bytes
//! record:  length u32 | checksum u32 | number u64 | kind u8 | payload                  = 17 + length
//! ```
//!
//! Records of data are counted, from the folder's beginning on: that is a record's *serial*, which
//! is not in it. `serial` is that of the segment's first record. So a reader knows what a segment
//! has in common with the one before it, and whether anything between them is missing.
//!
//! A segment that was *sifted* has the records that are left of those from `serial` to `serial_end`.
//!
//! A checksum is that of everything behind it, and begins with the length and the segment's own
//! checksum, so that neither zeros nor a record of another segment pass.

use std::io::{self, ErrorKind, Read};

use super::fields::{is_sealed, seal, Fields};
use crate::id::Epoch;

/// The newest version of the format that is known, and the one that is written.
pub(super) const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 64;
/// What a record has besides its payload.
pub(super) const RECORD_BYTES: usize = 17;

const MAGIC: &[u8; 8] = b"fanfarej";
const SIFTED: u32 = 1;
/// Where in a record the part begins that its checksum is of.
const SUMMED_AT: usize = 8;
/// How much is read at once.
const READ_BYTES: usize = 256 << 10;

/// The beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The life that began the segment, and the first number that it may give.
    pub(super) epoch: Epoch,
    pub(super) first: u64,
    pub(super) serial: u64,
    /// For a segment that was sifted: the serial of the first record behind it.
    pub(super) serial_end: Option<u64>,
    /// The number up to which earlier segments know of all that was given.
    pub(super) reached: u64,
}

/// What a file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    Header(Header, Seed),
    /// It is of a newer version.
    Newer(u32),
    /// Something else, or a part of a header.
    Other,
}

/// What the checksums of a segment's records begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A record that was pushed.
    Data,
    /// All numbers up to this one were given, and what has a record is before this.
    Upto,
    /// As `Upto`, and the life ended here.
    End,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        let flags = if self.serial_end.is_some() { SIFTED } else { 0 };
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(self.epoch.as_bytes());
        for number in [self.first, self.serial, self.serial_end.unwrap_or(0), self.reached] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&[0; 4]);
        seal(&mut bytes);
        debug_assert_eq!(bytes.len(), HEADER_BYTES);
        bytes
    }

    /// What the checksums of the segment's records begin with.
    pub(super) fn seed(&self) -> Seed {
        Seed::of(&self.encode())
    }

    fn decode(bytes: &[u8]) -> Option<Beginning> {
        let mut fields = Fields::new(bytes);
        if fields.bytes::<8>()? != *MAGIC {
            return None;
        }
        // Where the version is stays so in all of them.
        let version = fields.u32()?;
        if version > VERSION {
            return Some(Beginning::Newer(version));
        }
        let bytes = bytes.get(..HEADER_BYTES).filter(|bytes| is_sealed(bytes))?;
        let flags = fields.u32()?;
        let (epoch, first) = (Epoch::from_bytes(fields.bytes()?)?, fields.u64()?);
        let (serial, serial_end, reached) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let serial_end = (flags & SIFTED != 0).then_some(serial_end);
        let header = Header { epoch, first, serial, serial_end, reached };
        Some(Beginning::Header(header, Seed::of(bytes)))
    }
}

impl Seed {
    fn of(header: &[u8]) -> Seed {
        Seed(u32::from_le_bytes(*header.last_chunk().expect("a header is not empty")))
    }

    /// The checksum of a record whose payload has this length.
    #[inline]
    fn sum(self, length: u32, bytes: &[u8]) -> u32 {
        let mut sum = crc32fast::Hasher::new_with_initial(self.0 ^ length);
        sum.update(bytes);
        sum.finalize()
    }

    /// Appends a record of some kind, whose payload is in parts.
    #[inline]
    pub(super) fn append(self, kind: Kind, number: u64, payload: &[&[u8]], to: &mut Vec<u8>) {
        let begin = to.len();
        let mut front = [0; RECORD_BYTES];
        front[SUMMED_AT..SUMMED_AT + 8].copy_from_slice(&number.to_le_bytes());
        front[RECORD_BYTES - 1] = kind.byte();
        to.extend_from_slice(&front);
        payload.iter().for_each(|part| to.extend_from_slice(part));
        let record = &mut to[begin..];
        let length = u32::try_from(record.len() - RECORD_BYTES).expect("a record is below 4 GiB");
        let sum = self.sum(length, &record[SUMMED_AT..]);
        record[..4].copy_from_slice(&length.to_le_bytes());
        record[4..SUMMED_AT].copy_from_slice(&sum.to_le_bytes());
    }
}

impl Kind {
    /// None is zero.
    fn byte(self) -> u8 {
        match self {
            Kind::Data => 1,
            Kind::Upto => 2,
            Kind::End => 3,
        }
    }

    fn of(byte: u8) -> Option<Kind> {
        [Kind::Data, Kind::Upto, Kind::End].into_iter().find(|kind| kind.byte() == byte)
    }
}

/// A segment that is being read, one record after the other, until one is not whole.
pub(super) struct Scan {
    input: Box<dyn Read + Send>,
    seed: Seed,
    /// What was read and not yet handed out.
    buffer: Vec<u8>,
    begin: usize,
    /// The offset in the file at which `begin` is.
    offset: u64,
    file_bytes: u64,
}

/// A whole record.
pub(super) struct Scanned<'a> {
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) payload: &'a [u8],
}

impl Scan {
    /// Reads what a file begins with, and is then at its first record.
    pub(super) fn begin(
        input: Box<dyn Read + Send>,
        file_bytes: u64,
    ) -> io::Result<(Beginning, Scan)> {
        let (buffer, seed) = (Vec::new(), Seed(0));
        let mut scan = Scan { input, seed, buffer, begin: 0, offset: 0, file_bytes };
        let read_bytes = file_bytes.min(HEADER_BYTES as u64) as usize;
        scan.fill(read_bytes, read_bytes)?;
        let beginning = Header::decode(&scan.buffer).unwrap_or(Beginning::Other);
        if let Beginning::Header(_, seed) = beginning {
            scan.seed = seed;
            scan.advance(HEADER_BYTES);
        }
        Ok((beginning, scan))
    }

    /// The next record; `None` where the file ends, or what follows is no whole record.
    pub(super) fn next(&mut self) -> io::Result<Option<Scanned<'_>>> {
        if !self.has(RECORD_BYTES as u64)? {
            return Ok(None);
        }
        let mut fields = Fields::new(&self.buffer[self.begin..]);
        let (Some(length), Some(sum)) = (fields.u32(), fields.u32()) else { return Ok(None) };
        // A length that is not one may be anything; the file's end bounds what is read for it.
        let record_bytes = RECORD_BYTES as u64 + u64::from(length);
        if !self.has(record_bytes)? {
            return Ok(None);
        }
        let record_bytes = record_bytes as usize;
        let begin = self.begin;
        let record = &self.buffer[begin..begin + record_bytes];
        let kind = Kind::of(record[RECORD_BYTES - 1]);
        let (Some(kind), true) = (kind, self.seed.sum(length, &record[SUMMED_AT..]) == sum) else {
            return Ok(None);
        };
        self.advance(record_bytes);
        let record = &self.buffer[begin..begin + record_bytes];
        let (front, payload) = record.split_at(RECORD_BYTES);
        let number = front[SUMMED_AT..].first_chunk().expect("a front has a number");
        Ok(Some(Scanned { kind, number: u64::from_le_bytes(*number), payload }))
    }

    /// The offset behind the last record that was whole.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes of the file are behind that.
    pub(super) fn rest(&self) -> u64 {
        self.file_bytes - self.offset
    }

    fn advance(&mut self, bytes: usize) {
        self.begin += bytes;
        self.offset += bytes as u64;
    }

    /// Whether there are so many bytes more, which are in the buffer then.
    fn has(&mut self, bytes: u64) -> io::Result<bool> {
        if bytes > self.rest() {
            return Ok(false);
        }
        let bytes = bytes as usize;
        if self.buffer.len() - self.begin < bytes {
            let most = READ_BYTES.min(usize::try_from(self.rest()).unwrap_or(READ_BYTES));
            self.fill(bytes, bytes.max(most))?;
        }
        Ok(true)
    }

    /// Reads until the buffer has at least so many bytes, and as much as fits besides.
    fn fill(&mut self, least: usize, most: usize) -> io::Result<()> {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        let mut filled = self.buffer.len();
        self.buffer.resize(most.max(filled), 0);
        while filled < least {
            match self.input.read(&mut self.buffer[filled..]) {
                // It had this size a moment ago.
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }
}
