//! Descriptors that a hub keeps for the moment when the process can have no more.
//!
//! A listening socket whose clients cannot be accepted lets them wait without an answer. So a few
//! descriptors are kept open for nothing, and closed when there are no others: each is enough to
//! accept one client, and to tell it to come again. As long as one of them is missing nobody may
//! stay, so that the next descriptor which is free becomes a spare one again.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many are kept.
pub(crate) const SPARES: usize = 8;
/// Of these, how many are for those who are accepted and turned away within a moment.
const LAST: usize = 2;

pub(crate) struct Spares {
    files: Mutex<Vec<File>>,
    /// Spares those the lock who come while there are descriptors.
    missing: AtomicBool,
}

impl Spares {
    pub(crate) fn new() -> Spares {
        let spares = Spares { files: Mutex::default(), missing: AtomicBool::new(true) };
        spares.are_complete();
        spares
    }

    /// Opens those that are missing; false when there are no descriptors for that yet.
    pub(in crate::shard) fn are_complete(&self) -> bool {
        if !self.missing.load(Ordering::Relaxed) {
            return true;
        }
        let mut files = self.files();
        while files.len() < SPARES {
            match File::open("/dev/null") {
                Ok(file) => files.push(file),
                Err(_) => return false,
            }
        }
        self.missing.store(false, Ordering::Relaxed);
        true
    }

    /// Whether only those are left that are to be free again within a moment.
    pub(in crate::shard) fn are_low(&self) -> bool {
        self.files().len() <= LAST
    }

    /// Closes one, if there is any.
    pub(in crate::shard) fn give_up(&self) {
        let mut files = self.files();
        self.missing.store(true, Ordering::Relaxed);
        drop(files.pop());
    }

    fn files(&self) -> MutexGuard<'_, Vec<File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
