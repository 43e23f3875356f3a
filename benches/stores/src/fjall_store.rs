//! fjall, a log-structured merge tree with a journal of its own.

use std::ops::Range;
use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::measure::{payload, Failure, Promise, Store};

pub(crate) struct Fjall {
    database: Database,
    events: Keyspace,
}

impl Store for Fjall {
    const NAME: &'static str = "fjall";

    fn open(folder: &Path, _: Promise) -> Result<Fjall, Failure> {
        let database = Database::builder(folder).open()?;
        let events = database.keyspace("events", KeyspaceCreateOptions::default)?;
        Ok(Fjall { database, events })
    }

    fn append(&mut self, numbers: Range<u64>, deleted: Range<u64>) -> Result<(), Failure> {
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        for number in numbers {
            batch.insert(&self.events, number.to_be_bytes(), payload(number));
        }
        for number in deleted {
            batch.remove(&self.events, number.to_be_bytes());
        }
        Ok(batch.commit()?)
    }

    fn sync(&mut self) -> Result<(), Failure> {
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    fn close(mut self) -> Result<(), Failure> {
        self.sync()
    }

    fn read(folder: &Path) -> Result<u64, Failure> {
        let store = Fjall::open(folder, Promise::Os)?;
        let mut count = 0;
        for entry in store.events.iter() {
            entry.into_inner()?;
            count += 1;
        }
        Ok(count)
    }
}
