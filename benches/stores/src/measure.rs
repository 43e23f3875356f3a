//! What is done with each store, and what is measured of it.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::time::{clock_gettime, ClockId};

pub(crate) type Failure = Box<dyn std::error::Error>;

pub(crate) const RECORD_BYTES: usize = 200;
/// What a writer finds in its queue when it looks each 2 ms, at 500,000 events a second.
const BATCH: u64 = 1000;
/// How long a run takes at most.
const RUN_MAX: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_millis(50);

/// What is promised of a batch when it is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// It survives the process.
    Os,
    /// As `Os`, and it is on the disk 50 ms later.
    Interval,
    /// It is on the disk.
    Always,
}

/// Something that keeps records by their numbers.
pub(crate) trait Store: Sized {
    const NAME: &'static str;

    fn open(folder: &Path, promise: Promise) -> Result<Self, Failure>;

    /// Appends the records of a batch, and deletes others. It keeps the promise `Os`, where it can.
    fn append(&mut self, numbers: Range<u64>, deleted: Range<u64>) -> Result<(), Failure>;

    /// Has the disk have everything.
    fn sync(&mut self) -> Result<(), Failure>;

    /// Ends it, so that everything is on the disk.
    fn close(self) -> Result<(), Failure>;

    /// Opens it again and reads all records; returns how many.
    fn read(folder: &Path) -> Result<u64, Failure>;
}

/// The payload of a record.
pub(crate) fn payload(number: u64) -> [u8; RECORD_BYTES] {
    let mut payload = [0; RECORD_BYTES];
    // Nothing that a store could compress to nothing.
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for chunk in payload.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes());
    }
    payload
}

pub(crate) struct Plan<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) promise: Promise,
    pub(crate) records: u64,
    /// How many of the newest stay; if all, they are read back.
    pub(crate) kept: u64,
    pub(crate) repeats: u64,
}

#[derive(Default)]
struct Figures {
    events_per_s: Vec<f64>,
    cpu_ns: Vec<f64>,
    disk_mb: Vec<f64>,
    read_s: Vec<f64>,
}

impl Plan<'_> {
    /// Measures a store, and prints its line.
    pub(crate) fn measure<S: Store>(&self) -> Result<(), Failure> {
        let mut figures = Figures::default();
        for _ in 0..self.repeats {
            let _ = std::fs::remove_dir_all(self.folder);
            std::fs::create_dir_all(self.folder)?;
            // What an earlier run has left to be written is not this one's.
            rustix::fs::sync();
            self.run::<S>(&mut figures)?;
        }
        let _ = std::fs::remove_dir_all(self.folder);
        println!(
            "| {} | {:?}{} | {} | {} | {} | {} |",
            S::NAME,
            self.promise,
            if self.keeps_all() { ", all kept" } else { "" },
            spread(&mut figures.events_per_s, 0),
            spread(&mut figures.cpu_ns, 0),
            spread(&mut figures.disk_mb, 0),
            spread(&mut figures.read_s, 3),
        );
        Ok(())
    }

    fn keeps_all(&self) -> bool {
        self.kept >= self.records
    }

    fn run<S: Store>(&self, figures: &mut Figures) -> Result<(), Failure> {
        let folder = self.folder.join("store");
        let mut store = S::open(&folder, self.promise)?;
        let (began, cpu) = (Instant::now(), cpu());
        let (mut number, mut synced) = (0, Instant::now());
        while number < self.records && began.elapsed() < RUN_MAX {
            let numbers = number..number + BATCH;
            let deleted =
                numbers.start.saturating_sub(self.kept)..numbers.end.saturating_sub(self.kept);
            store.append(numbers, deleted)?;
            number += BATCH;
            let is_due = match self.promise {
                Promise::Os => false,
                Promise::Interval => synced.elapsed() >= INTERVAL,
                Promise::Always => true,
            };
            if is_due {
                store.sync()?;
                synced = Instant::now();
            }
        }
        let taken = began.elapsed();
        figures.events_per_s.push(number as f64 / taken.as_secs_f64());
        store.close()?;
        // With what its other threads have to do behind that.
        figures.cpu_ns.push((self::cpu() - cpu) as f64 / number as f64);
        figures.disk_mb.push(disk_bytes(&folder)? as f64 / 1e6);
        if self.keeps_all() {
            let began = Instant::now();
            let read = S::read(&folder)?;
            figures.read_s.push(began.elapsed().as_secs_f64());
            if read != number {
                return Err(format!("{} has {read} of {number} records", S::NAME).into());
            }
        }
        Ok(())
    }
}

/// The CPU time of all threads of this process, in nanoseconds.
fn cpu() -> i64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// What the files of a folder take on the disk.
fn disk_bytes(folder: &Path) -> Result<u64, Failure> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes +=
            if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// The median, with the least and the most beside it.
fn spread(values: &mut [f64], digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let median = values.get(values.len() / 2).copied().unwrap_or_default();
    match values {
        [] => "-".to_owned(),
        [least, .., most] => {
            format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
        }
        [value] => format!("{value:.digits$}"),
    }
}
