//! What the keeper knows beside the records: it stands for all records that were sifted out.
//!
//! ```text
//! summary:  magic 8 | version u32 | the keeper's bytes | checksum u32
//! ```
//!
//! The file is replaced before segments are, when everything that goes was looked at: so it says of
//! no record that it is forgotten which was needed then, and leaves out none that goes.

use super::disk::Disk;
use super::error::JournalError;
use super::fields::{is_sealed, seal};

/// The file's name.
const SUMMARY: &str = "summary";
const MAGIC: &[u8; 8] = b"fansumma";
/// The newest version of the file's format, and the only one.
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 8 + 4;

/// Replaces the file.
pub(super) fn write(disk: &dyn Disk, keepers: &[u8]) -> Result<(), JournalError> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + keepers.len() + 4);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(keepers);
    seal(&mut bytes);
    disk.replace(SUMMARY, &bytes).map_err(JournalError::io("cannot write", &disk.path(SUMMARY)))
}

/// The keeper's bytes; `None` if nothing was sifted yet.
pub(super) fn read(disk: &dyn Disk) -> Result<Option<Vec<u8>>, JournalError> {
    let path = disk.path(SUMMARY);
    let read = disk.read_small(SUMMARY, u64::MAX);
    let Some(mut bytes) = read.map_err(JournalError::io("cannot read", &path))? else {
        return Ok(None);
    };
    let damaged =
        |what: &str| JournalError::Damaged { path: path.clone(), at: 0, what: what.into() };
    if bytes.len() < HEAD_BYTES + 4 || !bytes.starts_with(MAGIC) {
        return Err(damaged("it is no summary"));
    }
    let version = u32::from_le_bytes(bytes[8..HEAD_BYTES].try_into().unwrap_or_default());
    if version > VERSION {
        return Err(JournalError::Format { path: path.clone(), version, version_max: VERSION });
    }
    if !is_sealed(&bytes) {
        return Err(damaged("its checksum is wrong"));
    }
    bytes.truncate(bytes.len() - 4);
    bytes.drain(..HEAD_BYTES);
    Ok(Some(bytes))
}
