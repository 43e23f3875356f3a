//! LMDB by heed, a B-tree in a mapped file.

use std::ops::Range;
use std::path::Path;

use heed::byteorder::BigEndian;
use heed::types::{Bytes, U64};
use heed::{Database, Env, EnvFlags, EnvOpenOptions, PutFlags};

use crate::measure::{payload, Failure, Promise, Store};

/// How large the file may become.
const MAP_BYTES: usize = 8 << 30;

type Events = Database<U64<BigEndian>, Bytes>;

pub(crate) struct Lmdb {
    env: Env,
    events: Events,
}

impl Store for Lmdb {
    const NAME: &'static str = "LMDB (heed)";

    fn open(folder: &Path, _: Promise) -> Result<Lmdb, Failure> {
        std::fs::create_dir_all(folder)?;
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES);
        // SAFETY: the folder is this run's alone, and nothing but LMDB changes its files. Without a
        // sync at each commit a machine that goes down may leave the file damaged, which nobody
        // opens then.
        let env = unsafe { options.flags(EnvFlags::NO_SYNC).open(folder)? };
        let mut transaction = env.write_txn()?;
        let events = env.create_database(&mut transaction, None)?;
        transaction.commit()?;
        Ok(Lmdb { env, events })
    }

    fn append(&mut self, numbers: Range<u64>, deleted: Range<u64>) -> Result<(), Failure> {
        let mut transaction = self.env.write_txn()?;
        for number in numbers {
            let payload = payload(number);
            self.events.put_with_flags(&mut transaction, PutFlags::APPEND, &number, &payload)?;
        }
        if !deleted.is_empty() {
            self.events.delete_range(&mut transaction, &deleted)?;
        }
        Ok(transaction.commit()?)
    }

    fn sync(&mut self) -> Result<(), Failure> {
        Ok(self.env.force_sync()?)
    }

    fn close(mut self) -> Result<(), Failure> {
        self.sync()?;
        self.env.prepare_for_closing().wait();
        Ok(())
    }

    fn read(folder: &Path) -> Result<u64, Failure> {
        let store = Lmdb::open(folder, Promise::Os)?;
        let transaction = store.env.read_txn()?;
        let mut count = 0;
        for entry in store.events.iter(&transaction)? {
            entry?;
            count += 1;
        }
        drop(transaction);
        store.close()?;
        Ok(count)
    }
}
