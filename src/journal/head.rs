//! The head page: the last number that was given, also when the process was killed.
//!
//! ```text
//! head:  magic 8 | version u32 | zero u32 | epoch 8 | boot id 36 | checksum u32 | number u64 | zeros
//!        0         8             12         16        24           60             64           72..4096
//! ```
//!
//! The number is mapped, and stored for each event. What a killed process has stored is in the
//! system's cache, so that the next one reads it. A machine that goes down may lose it, or keep an
//! older number; so the page has the id of the machine's boot, and with another one it says no more
//! than that at least so many numbers were given.

use std::sync::atomic::AtomicU64;
use std::sync::Arc;

use super::disk::{Disk, Number};
use super::error::JournalError;
use super::fields::{is_sealed, seal, Fields};
use crate::id::Epoch;
use crate::sys::MappedNumber;

/// The file's name.
pub(super) const HEAD: &str = "head";

const MAGIC: &[u8; 8] = b"fanhead\n";
const VERSION: u32 = 1;
const BOOT_BYTES: usize = 36;
const NUMBER_AT: usize = 64;

/// What the page of an earlier life says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The life that it is of.
    pub(super) epoch: Epoch,
    pub(super) number: u64,
    /// Whether the number is the last one that was given, and not an older one.
    pub(super) is_exact: bool,
}

/// What identifies the machine's boot, where the system says so.
pub(super) type Boot = Option<[u8; BOOT_BYTES]>;

pub(super) fn boot() -> Boot {
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    id.get(..BOOT_BYTES)?.try_into().ok()
}

/// Reads the page of the last life; `None` if there is none that can be relied on.
pub(super) fn read(disk: &dyn Disk, boot: Boot) -> Result<Option<Head>, JournalError> {
    let bytes = disk.read_small(HEAD, MappedNumber::FILE_BYTES as u64);
    let bytes = bytes.map_err(JournalError::io("cannot read", &disk.path(HEAD)))?;
    Ok(bytes.and_then(|bytes| decode(&bytes, boot)))
}

fn decode(bytes: &[u8], boot: Boot) -> Option<Head> {
    let (described, rest) = bytes.split_at_checked(NUMBER_AT)?;
    let number = u64::from_ne_bytes(*rest.first_chunk()?);
    let mut fields = Fields::new(described);
    let is_known = fields.bytes::<8>()? == *MAGIC && fields.u32()? == VERSION;
    if !is_known || !is_sealed(described) {
        return None;
    }
    fields.u32()?;
    let epoch = Epoch::from_bytes(fields.bytes()?)?;
    let of = fields.bytes::<BOOT_BYTES>()?;
    Some(Head { epoch, number, is_exact: boot == Some(of) })
}

/// Begins a page for a life. Without a boot's id, or where nothing can be mapped, the number is in
/// memory alone.
pub(super) fn begin(
    disk: &dyn Disk,
    boot: Boot,
    epoch: Epoch,
    number: u64,
) -> Result<Number, JournalError> {
    let mut bytes = Vec::with_capacity(MappedNumber::FILE_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(epoch.as_bytes());
    bytes.extend_from_slice(&boot.unwrap_or([0; BOOT_BYTES]));
    seal(&mut bytes);
    debug_assert_eq!(bytes.len(), NUMBER_AT);
    bytes.extend_from_slice(&number.to_ne_bytes());
    // All of the page is on the disk from now on: storing to it needs no space.
    bytes.resize(MappedNumber::FILE_BYTES, 0);
    let written = disk.replace(HEAD, &bytes);
    written.map_err(JournalError::io("cannot write", &disk.path(HEAD)))?;
    if boot.is_some() {
        match disk.map(HEAD, NUMBER_AT) {
            Ok(number) => return Ok(number),
            Err(error) => log::info!(
                "{} cannot be mapped: {error}; after this process is killed it is not known how \
                 many events the disk has not",
                disk.path(HEAD).display()
            ),
        }
    }
    // A page that nobody stores to would say that nothing is missing.
    let removed = disk.remove(HEAD).and_then(|()| disk.sync_names());
    removed.map_err(JournalError::io("cannot remove", &disk.path(HEAD)))?;
    Ok(Number::Own(Arc::new(AtomicU64::new(number))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_exact_for_its_boot_alone_and_a_damaged_one_says_nothing() {
        let epoch = Epoch::random();
        let mut bytes = Vec::from(*MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(epoch.as_bytes());
        bytes.extend_from_slice(&[b'b'; BOOT_BYTES]);
        seal(&mut bytes);
        bytes.extend_from_slice(&7_u64.to_ne_bytes());
        let exact = Head { epoch, number: 7, is_exact: true };
        assert_eq!(decode(&bytes, Some([b'b'; BOOT_BYTES])), Some(exact));
        let other = Head { is_exact: false, ..exact };
        assert_eq!(decode(&bytes, Some([b'c'; BOOT_BYTES])), Some(other));
        assert_eq!(decode(&bytes, None), Some(other));
        for at in 0..NUMBER_AT {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert_eq!(decode(&bytes, None), None, "{at}");
        }
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length], None), None, "{length}");
        }
    }
}
