//! The writer: what was pushed becomes records of a segment, batch by batch.
//!
//! A turn takes what is in the queue, writes it with as few calls as it fits into, and has the disk
//! have it if the promise says so. Then the writer rests:
//!
//! - While there is something to do now and then it *dozes*, for a moment that publishers do not cut
//!   short: a push costs no system call, and what gathers is written together. Somebody who waits
//!   for the promise hurries it.
//! - When nothing came for a while it *sleeps*, and the next push wakes it.
//!
//! A write or sync that fails says nothing of what the disk has. The writer closes the segment,
//! waits for a while, begins another one, and writes all again that is not safe: what has become of
//! the old segment's end is then of no interest. What is safe depends on the promise: with
//! [`Durability::Os`] what was written, with the others what was synced.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking::Parker;

use super::folder::segment_name;
use super::open_segment::{Failure, Open, Position, Unsynced};
use super::segment::{Header, Kind, HEADER_BYTES};
use super::shared::{Counts, Shared};
use super::sift;
use super::unkept::Unkept;
use crate::durability::Durability;
use crate::id::Epoch;
use crate::seldom::Seldom;

/// About how many bytes are written with one call.
const BATCH_BYTES: usize = 1 << 20;
/// A larger buffer is given back.
const BUFFER_BYTES_MAX: usize = 4 * BATCH_BYTES;
/// How long the writer dozes.
const DOZE: Duration = Duration::from_millis(2);
/// How long nothing comes before it sleeps.
const DOZES_FOR: Duration = Duration::from_millis(100);
/// How long it waits after an error; twice as long after each further one, up to the second.
const BACK_OFF: Duration = Duration::from_millis(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);
/// How long after one sifting the next may begin.
const SIFT_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    shared: Arc<Shared>,
    /// The life that writes, and its first number.
    epoch: Epoch,
    first: u64,
    unkept: Unkept,
    /// What is in segments, as far as the system said so.
    written: Position,
    /// What is never written again.
    safe: Position,
    /// What the disk has.
    synced: Position,
    /// The number up to which the promise holds.
    kept: u64,
    /// The segment that is being written.
    open: Option<Open>,
    /// The number of the next segment's file.
    file_next: u64,
    /// Files whose records the open segment gets again, all of them. They are removed when it has
    /// them.
    superseded: Vec<u64>,
    /// A closed file that the disk may not have all of.
    unsynced: Option<Unsynced>,
    buffer: Vec<u8>,
    /// When the first record was written that was not synced.
    unsynced_since: Option<Instant>,
    failures: u32,
    sifting: Option<JoinHandle<()>>,
    sifted_at: Option<Instant>,
}

impl Writer {
    /// A writer that goes on at a position, with a new segment.
    ///
    /// # Errors
    ///
    /// When that segment cannot be begun.
    pub(super) fn begin(
        shared: Arc<Shared>,
        epoch: Epoch,
        at: Position,
        file_next: u64,
    ) -> Result<Writer, Failure> {
        let kept = shared.kept();
        let mut writer = Writer {
            shared,
            epoch,
            first: kept + 1,
            unkept: Unkept::new(at.serial),
            written: at,
            safe: at,
            synced: at,
            kept,
            open: None,
            file_next,
            superseded: Vec::new(),
            unsynced: None,
            buffer: Vec::new(),
            unsynced_since: None,
            failures: 0,
            sifting: None,
            sifted_at: None,
        };
        writer.begin_segment()?;
        Ok(writer)
    }

    /// Writes until the journal is closed, and lets go of the folder then.
    pub(super) fn run(mut self, parker: &Parker, let_go: impl FnOnce()) {
        let mut busy_at = Instant::now();
        loop {
            // Before the turn: what was pushed before the call to close is written.
            let is_closing = self.shared.is_closing();
            match self.turn(is_closing) {
                Ok(_) if is_closing => return self.end(true, let_go),
                Ok(is_busy) => {
                    if is_busy {
                        busy_at = Instant::now();
                    }
                    self.rest(parker, busy_at);
                }
                Err(failure) => {
                    let pause = self.fail(&failure);
                    if is_closing && self.shared.is_past_deadline() {
                        return self.end(false, let_go);
                    }
                    self.back_off(parker, pause);
                }
            }
        }
    }

    /// Writes what is there, and syncs it if it is time to, or everything if it is the last turn.
    /// Returns whether there was something to do.
    pub(super) fn turn(&mut self, is_last: bool) -> Result<bool, Failure> {
        // All that has a number up to this one was pushed before.
        let head = self.shared.head();
        let shared = &self.shared;
        self.unkept.add(|records| shared.take(records));
        let is_behind = self.written.serial < self.unkept.end() || self.kept != head;
        if is_behind {
            self.write(head)?;
        }
        if is_last || self.is_sync_due() {
            self.sync()?;
        }
        if is_behind {
            self.keep(head);
        }
        if is_last {
            self.write_end()?;
        }
        self.recover();
        let is_large = |open: &Open| open.bytes >= self.shared.options.segment_bytes_max;
        if self.open.as_ref().is_some_and(is_large) {
            self.close_segment()?;
        }
        self.sift_if_due();
        Ok(is_behind)
    }

    /// Writes all records, and the number up to which they are all.
    fn write(&mut self, head: u64) -> Result<(), Failure> {
        while self.written.serial < self.unkept.end() || self.written.number < head {
            if self.open.is_none() {
                self.begin_segment()?;
            }
            let Some(open) = &mut self.open else { break };
            self.buffer.clear();
            let from = self.written.serial;
            let (serial, number) =
                self.unkept.encode(from, BATCH_BYTES, open.seed, &mut self.buffer);
            let mut number = number.max(self.written.number);
            if serial == self.unkept.end() && number < head {
                open.seed.append(Kind::Upto, head, &[], &mut self.buffer);
                number = head;
            }
            open.write(&self.buffer)?;
            Counts::add(&self.shared.counts.records, serial - from);
            self.count_written();
            self.unsynced_since.get_or_insert_with(Instant::now);
            self.written = Position { serial, number };
            if self.shared.options.durability == Durability::Os {
                self.settle(self.written);
            }
        }
        if self.buffer.capacity() > BUFFER_BYTES_MAX {
            self.buffer = Vec::new();
        }
        self.remove_superseded();
        Ok(())
    }

    fn count_written(&self) {
        let counts = &self.shared.counts;
        Counts::add(&counts.writes, 1);
        Counts::add(&counts.written_bytes, self.buffer.len() as u64);
        let open_bytes = self.open.as_ref().map_or(0, |open| open.bytes);
        counts.open_bytes.store(open_bytes, Ordering::Relaxed);
    }

    /// What is before a position is never written again.
    fn settle(&mut self, at: Position) {
        self.safe = at;
        let bytes = self.unkept.release(at.serial);
        if bytes > 0 {
            self.shared.release(bytes);
        }
    }

    /// All is written that has a number up to this one, and synced if that is the promise.
    fn keep(&mut self, head: u64) {
        self.kept = head;
        if let Some(open) = &mut self.open {
            open.is_relied_on = true;
        }
        self.shared.keep(head);
    }

    fn is_sync_due(&self) -> bool {
        let Some(since) = self.unsynced_since else { return false };
        let by_promise = match self.shared.options.durability {
            Durability::Os => false,
            Durability::Interval => {
                since.elapsed() >= self.shared.options.interval
                    || self.unkept.bytes() >= self.shared.half()
            }
            Durability::Always => true,
        };
        by_promise || self.shared.is_sync_wanted()
    }

    /// Has the disk have what was written.
    fn sync(&mut self) -> Result<(), Failure> {
        if self.unsynced_since.is_none() {
            return Ok(());
        }
        if let Some(open) = &mut self.open {
            let began = Instant::now();
            open.sync()?;
            let taken = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let counts = &self.shared.counts;
            Counts::add(&counts.syncs, 1);
            Counts::add(&counts.sync_ns, taken);
            counts.sync_ns_max.fetch_max(taken, Ordering::Relaxed);
        }
        self.unsynced_since = None;
        self.synced = self.written;
        self.settle(self.written);
        self.shared.set_synced(self.synced.serial);
        Ok(())
    }

    /// Says that nothing is missing; all is written and synced.
    fn write_end(&mut self) -> Result<(), Failure> {
        if self.open.is_none() {
            self.begin_segment()?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        self.buffer.clear();
        open.seed.append(Kind::End, self.written.number, &[], &mut self.buffer);
        open.write(&self.buffer)?;
        open.sync()
    }

    /// Begins a segment. Its header and its name are on the disk before it has a record: a header
    /// that is not whole has none behind it.
    fn begin_segment(&mut self) -> Result<(), Failure> {
        if let Some(unsynced) = &mut self.unsynced {
            let name = segment_name(unsynced.file);
            let secured = self.shared.disk.secure(&name, unsynced.bytes, unsynced.is_suspect);
            if let Err(source) = secured {
                unsynced.is_suspect = true;
                return Err(Failure { what: "cannot sync", name, source });
            }
            self.unsynced = None;
        }
        let header = Header {
            epoch: self.epoch,
            first: self.first,
            serial: self.written.serial,
            serial_end: None,
            reached: self.written.number,
        };
        let file = self.file_next;
        let name = segment_name(file);
        self.file_next += 1;
        let begin = || {
            let mut output = self.shared.disk.create(&name)?;
            output.write_all(&header.encode())?;
            output.sync()?;
            self.shared.disk.sync_names()?;
            Ok(output)
        };
        match begin() {
            Ok(output) => {
                let (seed, bytes) = (header.seed(), HEADER_BYTES as u64);
                let (is_relied_on, is_suspect) = (false, false);
                let open = Open { file, output, header, seed, bytes, is_relied_on, is_suspect };
                self.open = Some(open);
                Ok(())
            }
            Err(source) => {
                let _ = self.shared.disk.remove(&name);
                Err(Failure { what: "cannot begin", name, source })
            }
        }
    }

    /// Ends the segment. The disk has it before the next one begins, whatever the promise is: so
    /// what a loss of power takes is the end of the last segment, and never something in between.
    fn close_segment(&mut self) -> Result<(), Failure> {
        self.sync()?;
        if let Some(open) = self.open.take() {
            self.shared.segments().push(open.closed(self.written));
            self.shared.counts.open_bytes.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// After an error: the segment is left as it is, and what is not safe is to be written again.
    /// Returns how long to wait with that.
    pub(super) fn fail(&mut self, failure: &Failure) -> Duration {
        static LINE: Seldom = Seldom::new();
        let pause = BACK_OFF.saturating_mul(1 << self.failures.min(10)).min(BACK_OFF_MAX);
        self.failures += 1;
        Counts::add(&self.shared.counts.errors, 1);
        let path = self.shared.disk.path(&failure.name);
        let what = format!("{} {}: {}", failure.what, path.display(), failure.source);
        LINE.log(|left_out| {
            log::error!("the journal {what}; it goes on trying, and events wait{left_out}");
        });
        self.shared.set_trouble(what);
        if let Some(open) = self.open.take() {
            if open.header.serial < self.safe.serial {
                if self.safe != self.synced {
                    let Open { file, bytes, is_suspect, .. } = open;
                    self.unsynced = Some(Unsynced { file, bytes, is_suspect });
                }
                self.shared.segments().push(open.closed(self.safe));
            } else if open.is_relied_on {
                self.superseded.push(open.file);
            } else {
                let _ = self.shared.disk.remove(&segment_name(open.file));
            }
            self.shared.counts.open_bytes.store(0, Ordering::Relaxed);
        }
        self.written = self.safe;
        self.unsynced_since = None;
        pause
    }

    /// All that the superseded files had is in the open segment.
    fn remove_superseded(&mut self) {
        for file in self.superseded.drain(..) {
            // A reader passes over what it has read already.
            let _ = self.shared.disk.remove(&segment_name(file));
        }
    }

    fn recover(&mut self) {
        static LINE: Seldom = Seldom::new();
        if std::mem::take(&mut self.failures) == 0 {
            return;
        }
        if let Some(time) = self.shared.end_trouble() {
            LINE.log(|left_out| {
                log::warn!("the journal writes again, after {time:.1?}{left_out}");
            });
        }
    }

    /// Rests after a turn, which found something to do at this moment or later.
    fn rest(&mut self, parker: &Parker, busy_at: Instant) {
        let due =
            self.unsynced_since.filter(|_| self.shared.options.durability == Durability::Interval);
        if due.is_some() || busy_at.elapsed() < DOZES_FOR {
            let doze = due.map_or(DOZE, |since| {
                self.shared.options.interval.saturating_sub(since.elapsed()).min(DOZE)
            });
            parker.park_timeout(doze);
        } else if self.shared.may_sleep(self.kept) {
            parker.park();
            self.shared.wakes();
        }
    }

    fn back_off(&self, parker: &Parker, pause: Duration) {
        let (until, was_closing) = (Instant::now() + pause, self.shared.is_closing());
        while Instant::now() < until && self.shared.is_closing() == was_closing {
            parker.park_deadline(until);
        }
    }

    fn sift_if_due(&mut self) {
        if self.sifting.as_ref().is_some_and(|thread| !thread.is_finished())
            || self.sifted_at.is_some_and(|at| at.elapsed() < SIFT_PAUSE)
        {
            return;
        }
        let open_bytes = self.open.as_ref().map_or(0, |open| open.bytes);
        if sift::is_due(&self.shared, open_bytes) {
            self.join_sifting();
            self.sifted_at = Some(Instant::now());
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("fanfare-sift".to_owned());
            // Without a thread it is tried again later.
            self.sifting = thread.spawn(move || sift::sift(&shared)).ok();
        }
    }

    pub(super) fn join_sifting(&mut self) {
        if let Some(thread) = self.sifting.take() {
            if thread.join().is_err() {
                log::error!("the journal's sifting has panicked; the folder grows");
            }
        }
    }

    fn end(mut self, is_complete: bool, let_go: impl FnOnce()) {
        self.join_sifting();
        let shared = Arc::clone(&self.shared);
        drop(self);
        let_go();
        shared.ended(is_complete);
    }
}

#[cfg(test)]
impl Writer {
    pub(super) fn synced(&self) -> Position {
        self.synced
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared
                .set_trouble("has ended by a panic, which is a fault of fanfare's".to_owned());
            self.shared.ended(false);
        }
    }
}
