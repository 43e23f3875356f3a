//! The library's log as notices, for programs whose threads the engine's must not enter.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::SystemTime;

use log::LevelFilter;

use super::answer;
use super::kept::Kept;
use super::log::{filter_of, unwatch, watch};
use super::log_record::{FanfareLogLevel, FanfareLogRecord};
use super::notice::{FanfareNotice, Kind};
use super::notices::{live, FanfareNotices};
use super::queue::{Next, Source};
use super::status::{FanfareStatus, Status};
use super::watch::unix_ms;

/// The records that wait at most where the program does not say how many.
const CAPACITY: usize = 1_000;
/// The most that it may say.
const CAPACITY_MAX: usize = 65_536;

/// From now on, a notice `FANFARE_NOTICE_LOG` with `token` of each record of the library's log up to a
/// level, from `FANFARE_LOG_ERROR` to `FANFARE_LOG_TRACE`, of all hubs: for a program that no thread of the
/// engine may enter, such as an interpreter. The notice's `log` is the record, and `at_unix_ms` when it was
/// made. At most `capacity` records wait, up to 65,536; 0 is 1,000. One that finds as many waiting is lost;
/// the next one has in `lost` how many were. What the program's own callback (`fanfare_log_set`) gets does
/// not depend on this. `fanfare_notices_remove` ends it.
///
/// Threads: any, several at once; waits for callbacks that run, and for a drain of the queue that is under
/// way. Ownership: the queue stays the caller's. Errors: `FANFARE_ERR_ARGUMENT`, also when the level is
/// none of these or the capacity is too large; `FANFARE_ERR_LIMIT` when 16 queues get the log, or the queue
/// has 1,048,576 sources; `FANFARE_ERR_BUSY` in a callback of the log; `FANFARE_ERR_LOGGER` as of
/// `fanfare_log_set`; `FANFARE_ERR_FORKED`.
///
/// The child of a fork has no such notices, and may ask for its own with a queue of its own.
///
/// # Safety
///
/// `notices` has to be a live queue.
#[no_mangle]
pub unsafe extern "C" fn fanfare_log_watch(
    notices: *const FanfareNotices,
    token: u64,
    level: FanfareLogLevel,
    capacity: usize,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let queue = unsafe { live(notices) }?;
        let level = filter_of(level).filter(|level| *level > LevelFilter::Off);
        let level = level.ok_or(Status::FANFARE_ERR_ARGUMENT)?;
        let capacity = match capacity {
            0 => CAPACITY,
            1..=CAPACITY_MAX => capacity,
            _ => return Err(Status::FANFARE_ERR_ARGUMENT),
        };
        let watcher = Arc::new(Watcher { level, capacity, waiting: Mutex::default() });
        watch(&watcher)?;
        // If the queue has no room, this is dropped, and the watch has ended.
        queue.add(token, Box::new(Watched(watcher)))
    })
}

/// A queue that gets records.
pub(super) struct Watcher {
    pub(super) level: LevelFilter,
    capacity: usize,
    waiting: Mutex<Waiting>,
}

/// The records that wait to be told of.
#[derive(Default)]
struct Waiting {
    records: VecDeque<Waits>,
    /// How many were lost since the last that is among them.
    lost: u64,
    /// What wakes the source.
    source: Option<Waker>,
}

/// A copy of a record.
struct Waits {
    target: Box<str>,
    message: Box<[u8]>,
    level: FanfareLogLevel,
    is_cut: u32,
    at: SystemTime,
    lost: u64,
}

impl Watcher {
    /// Puts a copy of a record into the queue, if there is room.
    pub(super) fn put(&self, target: &str, message: &[u8], record: &FanfareLogRecord) {
        let mut waiting = self.waiting();
        if waiting.records.len() >= self.capacity {
            waiting.lost = waiting.lost.saturating_add(1);
            return;
        }
        let lost = std::mem::take(&mut waiting.lost);
        waiting.records.push_back(Waits {
            target: target.into(),
            message: message.into(),
            level: record.level,
            is_cut: record.is_cut,
            at: SystemTime::now(),
            lost,
        });
        let source = waiting.source.take();
        drop(waiting);
        if let Some(source) = source {
            source.wake();
        }
    }

    /// Nothing that is done under the lock panics but for want of memory.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The source of records. Dropping it ends the watch.
struct Watched(Arc<Watcher>);

impl Source for Watched {
    fn next(&mut self, waker: &Waker, kept: &mut Kept) -> Next {
        let mut waiting = self.0.waiting();
        let Some(record) = waiting.records.pop_front() else {
            waiting.source = Some(waker.clone());
            return Next::Nothing;
        };
        drop(waiting);
        let log = FanfareLogRecord {
            size: size_of::<FanfareLogRecord>(),
            target: kept.text(&record.target),
            message: kept.bytes(&record.message),
            level: record.level,
            is_cut: record.is_cut,
        };
        Next::Notice(FanfareNotice {
            at_unix_ms: unix_ms(record.at),
            lost: record.lost,
            log: kept.record(log),
            ..FanfareNotice::of(Kind::FANFARE_NOTICE_LOG)
        })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        unwatch(&self.0);
    }
}
