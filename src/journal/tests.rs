//! What the tests of the journal share.

mod faults;
mod folder;
mod killed;
mod memory_disk;
mod running;
mod sifting;

use std::time::Duration;

use bytes::Bytes;

use super::{JournalOptions, Record};
use crate::durability::Durability;
use crate::journal::head::Boot;

/// How long anything is waited for.
const TIME_MAX: Duration = Duration::from_secs(60);

const BOOT: Boot = Some([b'b'; 36]);
const OTHER_BOOT: Boot = Some([b'c'; 36]);

/// A record of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    number: u64,
    payload: Vec<u8>,
}

impl Item {
    /// The record of a number, with a payload of so many bytes that says which one it is.
    fn of(number: u64, bytes: usize) -> Item {
        let mut random = fastrand::Rng::with_seed(number);
        Item { number, payload: (0..bytes).map(|_| random.u8(..)).collect() }
    }
}

impl Record for Item {
    fn number(&self) -> u64 {
        self.number
    }

    /// Every second one as the half of it, and the rest.
    fn encode(&self, payload: &mut Vec<u8>) -> Option<Bytes> {
        let (front, tail) = self.payload.split_at(self.payload.len() / 2);
        payload.extend_from_slice(front);
        if self.number.is_multiple_of(2) {
            return Some(Bytes::copy_from_slice(tail));
        }
        payload.extend_from_slice(tail);
        None
    }
}

fn options(durability: Durability) -> JournalOptions {
    JournalOptions { durability, ..JournalOptions::default() }
}

/// A folder that is removed at the end.
struct TestFolder(std::path::PathBuf);

impl TestFolder {
    fn new(name: &str) -> TestFolder {
        let path = std::env::temp_dir();
        let path = path.join(format!("fanfare-journal-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        TestFolder(path)
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
