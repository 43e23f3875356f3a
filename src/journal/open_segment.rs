//! The segment that is being written.

use super::disk::{Disk, Output};
use super::error::JournalError;
use super::folder::segment_name;
use super::segment::{Header, Seed};
use super::shared::Segment;

/// How far something has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// The serial of the next record.
    pub(super) serial: u64,
    /// The number up to which the segments know of what was given.
    pub(super) number: u64,
}

/// A segment that is being written.
pub(super) struct Open {
    pub(super) file: u64,
    pub(super) output: Box<dyn Output>,
    pub(super) header: Header,
    pub(super) seed: Seed,
    pub(super) bytes: u64,
    /// Whether somebody was told that records are kept which only this segment has.
    pub(super) is_relied_on: bool,
    /// Whether a sync has failed: a later one that succeeds says nothing then.
    pub(super) is_suspect: bool,
}

/// A closed segment that is not synced.
#[derive(Clone, Copy)]
pub(super) struct Unsynced {
    pub(super) file: u64,
    pub(super) bytes: u64,
    pub(super) is_suspect: bool,
}

/// What the system refused.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) what: &'static str,
    pub(super) name: String,
    pub(super) source: std::io::Error,
}

impl Open {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.output.write_all(bytes).map_err(|source| self.failure("cannot write", source))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), Failure> {
        let synced = self.output.sync();
        self.is_suspect |= synced.is_err();
        synced.map_err(|source| self.failure("cannot sync", source))
    }

    fn failure(&self, what: &'static str, source: std::io::Error) -> Failure {
        Failure { what, name: segment_name(self.file), source }
    }

    pub(super) fn closed(&self, end: Position) -> Segment {
        let Header { epoch, first, serial, reached, .. } = self.header;
        let (file, serial_end, bytes) = (self.file, end.serial, self.bytes);
        Segment { file, epoch, first, serial, serial_end, reached, bytes }
    }
}

impl Failure {
    /// As the error of a journal that cannot be begun.
    pub(super) fn into_error(self, disk: &dyn Disk) -> JournalError {
        JournalError::io(self.what, &disk.path(&self.name))(self.source)
    }
}
