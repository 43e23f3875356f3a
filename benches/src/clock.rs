//! Clocks and cores: the one clock of all stamps, CPU time, and which core a thread runs on.

use std::io;
use std::sync::OnceLock;

use rustix::thread::CpuSet;
use rustix::time::{clock_gettime, ClockId, Timespec};

/// The cores that this process was given.
static BEFORE_PINNING: OnceLock<CpuSet> = OnceLock::new();

/// The time on `CLOCK_MONOTONIC`, in nanoseconds: the same in every process of one machine.
pub(crate) fn now_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// CPU time that this thread has used, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ThreadCPUTime))
}

/// CPU time that this process has used, in nanoseconds.
pub(crate) fn process_cpu_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ProcessCPUTime))
}

/// A time span for the calls that want one.
pub(crate) fn timespec(span_ns: u64) -> Timespec {
    const SECOND_NS: u64 = 1_000_000_000;
    Timespec {
        tv_sec: i64::try_from(span_ns / SECOND_NS).unwrap_or(i64::MAX),
        // Below 1,000,000,000.
        tv_nsec: (span_ns % SECOND_NS) as _,
    }
}

/// Keeps the calling thread, and all that it starts from now on, on one core.
pub(crate) fn pin_to_core(core: usize) -> io::Result<()> {
    if BEFORE_PINNING.get().is_none() {
        // Another thread may have been faster, with the same.
        let _ = BEFORE_PINNING.set(rustix::thread::sched_getaffinity(None)?);
    }
    let mut set = CpuSet::new();
    if core >= CpuSet::MAX_CPU {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such core"));
    }
    set.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// Lets the calling thread run on every core that this process was given, if
/// [`pin_to_core`] has said otherwise.
pub(crate) fn unpin() -> io::Result<()> {
    match BEFORE_PINNING.get() {
        Some(set) => Ok(rustix::thread::sched_setaffinity(None, set)?),
        None => Ok(()),
    }
}

fn nanoseconds(time: Timespec) -> u64 {
    // These clocks never show a negative time.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
