//! What the journal costs a publisher and its own writer, for events of 128 bytes: as fast as it
//! goes, and at some rates.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use event_listener::Listener;
use rustix::time::{clock_gettime, ClockId};

use crate::durability::Durability;
use crate::id::Epoch;
use crate::journal::{Journal, JournalOptions, Record};
use crate::measure::{Failure, Promise, Store};
use crate::segments::Segments;

/// As the order has it: bytes that were encoded before, and that shards have too.
struct Shared<'a> {
    number: u64,
    bytes: &'a [u8],
}

impl Record for Shared<'_> {
    fn number(&self) -> u64 {
        self.number
    }

    fn encode(&self, to: &mut Vec<u8>) -> Option<Bytes> {
        to.extend_from_slice(self.bytes);
        None
    }
}

/// Publishes for a second or two, at a rate or as fast as it goes, and prints a line.
pub(crate) fn measure(
    folder: &Path,
    durability: Durability,
    rate: Option<u64>,
) -> Result<(), Failure> {
    let _ = std::fs::remove_dir_all(folder);
    let options = JournalOptions { durability, ..JournalOptions::default() };
    let journal = Journal::open(folder, options)?.begin(Epoch::random())?;
    let began = Instant::now();
    // A thread has its name a moment after it was started.
    let writer_began = loop {
        match writer_cpu() {
            Ok(time) => break time,
            Err(error) if began.elapsed() > Duration::from_secs(10) => return Err(error),
            Err(_) => std::thread::yield_now(),
        }
    };
    let began = Instant::now();
    let (mut pushed, mut cpu, mut number) = (0, Duration::ZERO, 0);
    // The histories have them, too, so that nothing is made or freed here.
    let bytes: Vec<_> = (0..1000).map(|_| vec![b'x'; 128]).collect();
    while began.elapsed() < Duration::from_secs(2) {
        let before = thread_cpu();
        for bytes in &bytes {
            number += 1;
            journal.push(&Shared { number, bytes });
            journal.note(number);
        }
        cpu += thread_cpu() - before;
        pushed += 1000;
        while let Some(space) = journal.listen_if_full() {
            space.wait();
        }
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64(pushed as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
    }
    let taken = began.elapsed();
    let writer = writer_cpu()? - writer_began;
    if !journal.close(Duration::from_secs(60)) {
        return Err("the journal was not closed in time".into());
    }
    let stats = journal.stats();
    let _ = std::fs::remove_dir_all(folder);
    println!(
        "| {durability:?} | {} | {:.0} | {} | {} | {} | {:.1} | {:.1} |",
        rate.map_or("as fast as it goes".to_owned(), |rate| rate.to_string()),
        pushed as f64 / taken.as_secs_f64(),
        cpu.as_nanos() / pushed as u128,
        writer.as_nanos() / pushed as u128,
        stats.writes,
        stats.sync_time.as_secs_f64() * 1e3 / stats.syncs.max(1) as f64,
        stats.sync_time_max.as_secs_f64() * 1e3,
    );
    Ok(())
}

/// The floor of the writer: records of the size that the journal's have are written from memory, in
/// calls of a mebibyte. Prints what a record costs.
pub(crate) fn floor(folder: &Path) -> Result<(), Failure> {
    const RECORD_BYTES: usize = 17 + 128;
    std::fs::create_dir_all(folder)?;
    let mut file = std::fs::File::create(folder.join("file"))?;
    let buffer = vec![b'x'; 1 << 20];
    let before = thread_cpu();
    for _ in 0..256 {
        file.write_all(&buffer)?;
    }
    let records = (256 * buffer.len() / RECORD_BYTES) as u128;
    let ns = (thread_cpu() - before).as_nanos() / records;
    std::fs::remove_dir_all(folder)?;
    println!("floor: {ns} ns of CPU write {RECORD_BYTES} bytes\n");
    Ok(())
}

/// Prints what it costs to read a million records of 200 bytes back.
pub(crate) fn read_back(folder: &Path) -> Result<(), Failure> {
    let mut store = Segments::open(folder, Promise::Os)?;
    for first in (0..1_000_000).step_by(1000) {
        store.append(first..first + 1000, 0..0)?;
    }
    store.close()?;
    for _ in 0..5 {
        let (began, cpu) = (Instant::now(), thread_cpu());
        let read = Segments::read(folder)?;
        let (taken, cpu) = (began.elapsed(), thread_cpu() - cpu);
        println!("{read} records read in {taken:.3?}, {cpu:.3?} of CPU");
    }
    Ok(std::fs::remove_dir_all(folder)?)
}

pub(crate) fn head() {
    println!(
        "| promise | rate | events/s | push and note, CPU ns | writer, CPU ns/event | writes | \
         sync ms | most ms |\n|---|---|---|---|---|---|---|---|"
    );
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The CPU time of the journal's thread.
fn writer_cpu() -> Result<Duration, Failure> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == "fanfare-journal" {
            let times = std::fs::read_to_string(task.join("schedstat"))?;
            let ns = times.split(' ').next().ok_or("no CPU time")?;
            return Ok(Duration::from_nanos(ns.parse()?));
        }
    }
    Err("the journal has no thread".into())
}
