//! The folder of a journal: made if it is missing, and one hub's alone.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{flock, FlockOperation};
use rustix::io::Errno;

use super::disk::Folder;
use super::error::JournalError;

const LOCK: &str = "lock";
const SEGMENT: &str = ".log";
/// Digits of a segment's number in its name.
const DIGITS: usize = 12;

/// The lock of a folder. The system lets go of it when the process ends, however that is, and so have
/// its children that have not executed another program.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    process: u32,
}

#[cfg(test)]
impl Lock {
    pub(super) fn duplicate(&self) -> File {
        self.file.try_clone().unwrap()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A child that was just forked has the file, too: closing it here would not be enough. In
        // such a child the lock is the parent's.
        if self.process == std::process::id() {
            let _ = flock(&self.file, FlockOperation::Unlock);
        }
    }
}

/// Makes the folder if there is none, and locks it.
pub(super) fn open(path: &Path) -> Result<(Folder, Lock), JournalError> {
    // What is kept of events is nobody's but this user's.
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(JournalError::io("cannot make the folder", path)(error));
        }
        _ => {}
    }
    let lock = lock(path)?;
    let folder = Folder::open(path).map_err(JournalError::io("cannot open", path))?;
    Ok((folder, lock))
}

fn lock(folder: &Path) -> Result<Lock, JournalError> {
    let path = folder.join(LOCK);
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(JournalError::io("cannot open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut process = String::new();
            let _ = file.take(20).read_to_string(&mut process);
            let process = process.trim().parse().ok();
            let process = process.filter(|it| *it != std::process::id());
            return Err(JournalError::InUse { folder: folder.to_owned(), process });
        }
        Err(error) => return Err(JournalError::io("cannot lock", &path)(error.into())),
    }
    // The error of a second hub names this process. A full disk does not prevent the start.
    let _ = file.set_len(0).and_then(|()| file.rewind());
    let process = std::process::id();
    let _ = writeln!(file, "{process}");
    Ok(Lock { file, process })
}

/// The name of a segment: segments are numbered as they are begun.
pub(super) fn segment_name(number: u64) -> String {
    format!("{number:0DIGITS$}{SEGMENT}")
}

/// Which segment a name is of.
pub(super) fn segment_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT)?;
    let is_plain = digits.len() >= DIGITS && digits.bytes().all(|it| it.is_ascii_digit());
    digits.parse().ok().filter(|number| is_plain && segment_name(*number) == name)
}
