//! The journal itself, with its queue and its thread, and what it sifts.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use event_listener::Listener;

use crate::durability::Durability;
use crate::id::Epoch;
use crate::journal::{Journal, JournalOptions, Keeper, Record};
use crate::measure::{payload, Failure, Promise, Store, RECORD_BYTES};

pub(crate) struct Segments {
    journal: Journal,
    newest: Arc<Newest>,
    last: u64,
}

/// A record that makes its payload when it is pushed.
struct Item(u64);

impl Record for Item {
    fn number(&self) -> u64 {
        self.0
    }

    fn encode(&self, to: &mut Vec<u8>) -> Option<Bytes> {
        to.extend_from_slice(&payload(self.0));
        None
    }
}

/// Needs the records from a number on.
#[derive(Default)]
struct Newest {
    first: AtomicU64,
    end: AtomicU64,
}

impl Keeper for Newest {
    fn kept_bytes(&self) -> u64 {
        let first = self.first.load(Ordering::Relaxed);
        self.end.load(Ordering::Relaxed).saturating_sub(first) * RECORD_BYTES as u64
    }

    fn sift(&self, records: &mut dyn Iterator<Item = (u64, &[u8])>, needed: &mut Vec<bool>) {
        let first = self.first.load(Ordering::Relaxed);
        needed.extend(records.map(|(number, _)| number >= first));
    }

    fn summary(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl Segments {
    fn wait(&self, is_there: impl Fn(&Journal) -> bool) -> Result<(), Failure> {
        loop {
            let listener = self.journal.listen();
            if is_there(&self.journal) {
                return Ok(());
            }
            if let Some(trouble) = self.journal.trouble() {
                return Err(trouble.what.into());
            }
            self.journal.hurry();
            listener.wait();
        }
    }
}

impl Store for Segments {
    const NAME: &'static str = "segments";

    fn open(folder: &Path, promise: Promise) -> Result<Segments, Failure> {
        let durability = match promise {
            Promise::Os => Durability::Os,
            Promise::Interval => Durability::Interval,
            Promise::Always => Durability::Always,
        };
        // Small ones, so that a run of some seconds has them sifted several times.
        let options =
            JournalOptions { durability, segment_bytes_max: 8 << 20, ..JournalOptions::default() };
        let mut opened = Journal::open(folder, options)?;
        opened.read(|_, _| ())?;
        let last = opened.next() - 1;
        let journal = opened.begin(Epoch::random())?;
        let newest = Arc::new(Newest::default());
        let keeper: Weak<Newest> = Arc::downgrade(&newest);
        journal.set_keeper(keeper);
        Ok(Segments { journal, newest, last })
    }

    fn append(&mut self, numbers: Range<u64>, deleted: Range<u64>) -> Result<(), Failure> {
        for number in numbers {
            self.last = number + 1;
            self.journal.push(&Item(self.last));
            self.journal.note(self.last);
        }
        self.newest.end.store(self.last, Ordering::Relaxed);
        self.newest.first.store(deleted.end + 1, Ordering::Relaxed);
        while let Some(space) = self.journal.listen_if_full() {
            space.wait();
        }
        Ok(())
    }

    /// The journal syncs by itself as it has promised; `Always` waits for that.
    fn sync(&mut self) -> Result<(), Failure> {
        let last = self.last;
        self.wait(|journal| journal.kept_to() >= last)
    }

    fn close(self) -> Result<(), Failure> {
        match self.journal.close(Duration::from_secs(60)) {
            true => Ok(()),
            false => Err("the journal was not closed in time".into()),
        }
    }

    fn read(folder: &Path) -> Result<u64, Failure> {
        let mut opened = Journal::open(folder, JournalOptions::default())?;
        let mut count = 0;
        opened.read(|_, _| count += 1)?;
        Ok(count)
    }
}
