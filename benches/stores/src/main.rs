//! Measures what the journal could be kept in, beside a bare loop of writes: how fast records are
//! appended while old ones are deleted, and how fast all are read back.
//!
//! ```text
//! cargo run --release --manifest-path benches/stores/Cargo.toml -- FOLDER [RECORDS [REPEATS] | writer]
//! ```
//!
//! FOLDER is on the disk that is measured; it is made, and emptied for each run. A run appends
//! RECORDS records of 200 bytes (a million) in batches of 1,000, and deletes so many that the newest
//! 100,000 stay, or ends after some seconds. A last run deletes nothing, and is read back. Each line
//! is the median of REPEATS runs (3), with the least and the most beside it. With `writer` instead of
//! RECORDS it says what the journal costs a publisher and its writer.

mod bare;
mod fjall_store;
mod lmdb;
mod measure;
mod redb_store;
mod segments;
mod writer;

// The journal itself, with what it uses of the library.
#[path = "../../../src/durability.rs"]
#[allow(dead_code, reason = "the journal uses a part of it")]
mod durability;
#[path = "../../../src/excerpt.rs"]
#[allow(dead_code, reason = "the journal uses a part of it")]
mod excerpt;
#[path = "../../../src/id.rs"]
#[allow(dead_code, reason = "the journal uses a part of it")]
mod id;
#[path = "../../../src/journal/mod.rs"]
#[allow(dead_code, unused_imports, reason = "this measures a part of it")]
mod journal;
#[path = "../../../src/seldom.rs"]
mod seldom;
#[path = "../../../src/sync.rs"]
#[allow(unused_imports, reason = "the journal uses a part of it")]
mod sync;
mod sys;

use std::path::PathBuf;

use durability::Durability;
use measure::{Failure, Plan, Promise};

/// A million records are read back by whatever a start is to rebuild.
const RECORDS: u64 = 1_000_000;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        return Err("name a folder on the disk that is to be measured".into());
    };
    let mut arguments = arguments.peekable();
    if arguments.peek().is_some_and(|argument| argument == "writer") {
        return costs(&folder);
    }
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (records, repeats) = (number(RECORDS)?, number(3)?);
    println!("{records} records of {} bytes, {repeats} runs\n", measure::RECORD_BYTES);
    println!("| store | promise | events/s | CPU ns/event | MB on disk | read back s |");
    println!("|---|---|---|---|---|---|");
    for promise in [Promise::Os, Promise::Interval, Promise::Always] {
        let plan = Plan { folder: &folder, promise, records, kept: 100_000, repeats };
        all(&plan)?;
    }
    // What a start reads.
    all(&Plan { folder: &folder, promise: Promise::Os, records, kept: records, repeats })
}

fn costs(folder: &std::path::Path) -> Result<(), Failure> {
    writer::floor(folder)?;
    writer::head();
    for durability in [Durability::Os, Durability::Interval, Durability::Always] {
        for rate in [None, Some(500_000), Some(100_000), Some(10_000)] {
            writer::measure(folder, durability, rate)?;
        }
    }
    println!();
    writer::read_back(folder)
}

fn all(plan: &Plan<'_>) -> Result<(), Failure> {
    plan.measure::<bare::Bare>()?;
    plan.measure::<segments::Segments>()?;
    plan.measure::<fjall_store::Fjall>()?;
    plan.measure::<redb_store::Redb>()?;
    plan.measure::<lmdb::Lmdb>()
}
