//! redb, a B-tree that is copied on write. A commit that is not synced does not survive the
//! process, so it has no promise like `Os`.

use std::ops::Range;
use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::measure::{payload, Failure, Promise, Store};

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

pub(crate) struct Redb {
    database: Database,
    promise: Promise,
}

impl Redb {
    fn write(
        &mut self,
        durability: Durability,
        numbers: Range<u64>,
        deleted: Range<u64>,
    ) -> Result<(), Failure> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(durability)?;
        {
            let mut events = transaction.open_table(EVENTS)?;
            for number in numbers {
                events.insert(number, &payload(number)[..])?;
            }
            if !deleted.is_empty() {
                events.retain_in(deleted, |_, _| false)?;
            }
        }
        Ok(transaction.commit()?)
    }
}

impl Store for Redb {
    const NAME: &'static str = "redb";

    fn open(folder: &Path, promise: Promise) -> Result<Redb, Failure> {
        std::fs::create_dir_all(folder)?;
        Ok(Redb { database: Database::create(folder.join("file"))?, promise })
    }

    fn append(&mut self, numbers: Range<u64>, deleted: Range<u64>) -> Result<(), Failure> {
        let durability = match self.promise {
            Promise::Os | Promise::Interval => Durability::None,
            Promise::Always => Durability::Immediate,
        };
        self.write(durability, numbers, deleted)
    }

    fn sync(&mut self) -> Result<(), Failure> {
        match self.promise {
            // The batch was synced with its commit.
            Promise::Always => Ok(()),
            Promise::Os | Promise::Interval => self.write(Durability::Immediate, 0..0, 0..0),
        }
    }

    fn close(mut self) -> Result<(), Failure> {
        self.write(Durability::Immediate, 0..0, 0..0)
    }

    fn read(folder: &Path) -> Result<u64, Failure> {
        let store = Redb::open(folder, Promise::Os)?;
        let mut count = 0;
        for entry in store.database.begin_read()?.open_table(EVENTS)?.iter()? {
            entry?;
            count += 1;
        }
        Ok(count)
    }
}
