//! The lives of the hubs that had the folder, and the file that lists them.
//!
//! ```text
//! lives:  magic 8 | version u32 | count u32 | count x life | checksum u32
//! life:   epoch 8 | first u64 | last u64 | ended u8 | head u64
//! ```
//!
//! The file is replaced when a life begins. It then says how the earlier ones ended, for good: what
//! is compacted later takes nothing away from that.

use super::error::JournalError;
use super::fields::{is_sealed, seal, Fields};
use crate::id::Epoch;

/// The file's name.
pub(super) const LIVES: &str = "lives";
/// How many lives are remembered: 33 KB of them.
const LIVES_MAX: usize = 1000;
/// More than the file ever has.
pub(super) const LIVES_BYTES_MAX: u64 = 64 << 10;

const MAGIC: &[u8; 8] = b"fanlives";
/// The newest version of the file's format, and the only one.
const VERSION: u32 = 1;
const LIFE_BYTES: usize = Epoch::BYTES + 8 + 8 + 1 + 8;

/// One life of a hub: from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) epoch: Epoch,
    /// The first number that it may have given.
    pub(crate) first: u64,
    /// The last number that the segments know of; one less than `first` if they know of none.
    pub(crate) last: u64,
    pub(crate) ended: Ended,
}

/// How a life ended, and so what is missing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything that it gave a number is there.
    Clean,
    /// The process was killed. The numbers from the one after `last` to `head` are missing, which
    /// may be none of them.
    Killed { head: u64 },
    /// The machine went down, or the folder comes from another one: numbers above `last` may have
    /// been given.
    Unknown,
}

impl Life {
    /// The highest number that it is known to have given.
    pub(crate) fn reached(&self) -> u64 {
        match self.ended {
            Ended::Killed { head } => head.max(self.last),
            Ended::Clean | Ended::Unknown => self.last,
        }
    }
}

/// The file's contents. The oldest lives are left out if there are too many.
pub(super) fn encode(lives: &[Life]) -> Vec<u8> {
    let lives = &lives[lives.len().saturating_sub(LIVES_MAX)..];
    let mut bytes = Vec::with_capacity(20 + lives.len() * LIFE_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(lives.len() as u32).to_le_bytes());
    for life in lives {
        let (ended, head) = match life.ended {
            Ended::Clean => (0, 0),
            Ended::Killed { head } => (1, head),
            Ended::Unknown => (2, 0),
        };
        bytes.extend_from_slice(life.epoch.as_bytes());
        bytes.extend_from_slice(&life.first.to_le_bytes());
        bytes.extend_from_slice(&life.last.to_le_bytes());
        bytes.push(ended);
        bytes.extend_from_slice(&u64::to_le_bytes(head));
    }
    seal(&mut bytes);
    bytes
}

/// Reads the file's contents.
pub(super) fn decode(bytes: &[u8], path: &std::path::Path) -> Result<Vec<Life>, JournalError> {
    let damaged = |what: &str| JournalError::Damaged {
        path: path.to_owned(),
        at: 0,
        what: format!("{what} in the list of the hub's lives"),
    };
    let mut fields = Fields::new(bytes);
    if fields.bytes::<8>().as_ref() != Some(MAGIC) {
        return Err(damaged("there is something else"));
    }
    let version = fields.u32().ok_or_else(|| damaged("the end is missing"))?;
    if version > VERSION {
        let path = path.to_owned();
        return Err(JournalError::Format { path, version, version_max: VERSION });
    }
    if !is_sealed(bytes) {
        return Err(damaged("the checksum is wrong"));
    }
    let lives = |fields: &mut Fields<'_>| -> Option<Vec<Life>> {
        let count = fields.u32()? as usize;
        let mut lives = Vec::with_capacity(count.min(LIVES_MAX));
        for _ in 0..count {
            let epoch = Epoch::from_bytes(fields.bytes()?)?;
            let (first, last) = (fields.u64()?, fields.u64()?);
            let ended = match (fields.u8()?, fields.u64()?) {
                (0, _) => Ended::Clean,
                (1, head) => Ended::Killed { head },
                (2, _) => Ended::Unknown,
                _ => return None,
            };
            lives.push(Life { epoch, first, last, ended });
        }
        Some(lives)
    };
    lives(&mut fields).ok_or_else(|| damaged("a life is not one"))
}
