//! Descriptors that a hub keeps for the moment when the process can have no more.
//!
//! Clients that cannot be accepted for want of descriptors would wait without an answer. So a few
//! spare descriptors are kept open, and closed when there are no others: each suffices to accept
//! one client, and to tell it to come again. As long as a spare is missing no client may stay, so
//! that the next free descriptor becomes a spare again.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The number of spares.
pub(crate) const SPARES: usize = 8;
/// How many of the spares are for clients that are accepted and turned away at once.
const LAST: usize = 2;

pub(crate) struct Spares {
    files: Mutex<Vec<File>>,
    /// Whether a spare may be missing: without it, each accept would take the lock.
    missing: AtomicBool,
}

impl Spares {
    pub(crate) fn new() -> Spares {
        let spares = Spares { files: Mutex::default(), missing: AtomicBool::new(true) };
        spares.are_complete();
        spares
    }

    /// Opens the missing spares; false when there are no descriptors for that yet.
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

    /// Whether only the spares remain that are for clients that are turned away at once.
    pub(in crate::shard) fn are_low(&self) -> bool {
        self.files().len() <= LAST
    }

    /// Closes a spare, if there is any.
    pub(in crate::shard) fn give_up(&self) {
        let mut files = self.files();
        self.missing.store(true, Ordering::Relaxed);
        drop(files.pop());
    }

    fn files(&self) -> MutexGuard<'_, Vec<File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
