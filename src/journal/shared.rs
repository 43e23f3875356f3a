//! What publishers, the writer and the one that sifts share: the queue, how far the writer has come,
//! and the closed segments.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicU8};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use parking::Unparker;

use super::disk::{Disk, Number};
use super::options::JournalOptions;
use super::record::{Keeper, Record};
use super::records::Records;
use crate::id::Epoch;
use crate::sync::{AtomicUsize, Event, Mutex, MutexGuard, Ordering};

pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) options: JournalOptions,
    queue: Mutex<Queue>,
    /// Bytes of records that the promise does not hold for yet: in the queue, changed under its lock,
    /// and behind it, changed by the writer. So neither is added to with a locked instruction.
    queued_bytes: AtomicUsize,
    taken_bytes: AtomicUsize,
    /// Notified when these become fewer than the bound.
    space: Event,
    /// The last number that was given.
    head: Number,
    /// How the writer rests.
    rest: AtomicU8,
    unparker: Unparker,
    /// The number up to which the promise holds.
    kept: AtomicU64,
    /// Notified when that grows, when trouble begins, and when the writer ends.
    progress: Event,
    /// How many records the disk has, and how many it is asked to have whatever the promise is.
    synced: AtomicU64,
    sync_wanted: AtomicU64,
    has_trouble: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
    keeper: Mutex<Option<Weak<dyn Keeper>>>,
    /// The closed segments, in their order.
    segments: Mutex<Vec<Segment>>,
    /// What the segments took together after the last sifting.
    pub(super) sift_floor: AtomicU64,
    closing: Mutex<Closing>,
    is_closing: AtomicBool,
    pub(super) counts: Counts,
}

struct Queue {
    records: Records,
    /// How many records were ever pushed, beginning with those that the folder had.
    pushed: u64,
}

/// A segment that nothing is written to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The number of its file.
    pub(super) file: u64,
    /// The life that began it, and the first number that this may give.
    pub(super) epoch: Epoch,
    pub(super) first: u64,
    /// The records that are its own: those before are in earlier segments, too.
    pub(super) serial: u64,
    pub(super) serial_end: u64,
    /// The number up to which the segments before it know of all that was given.
    pub(super) reached: u64,
    pub(super) bytes: u64,
}

/// The writer cannot write. It goes on trying.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// When it began.
    pub(crate) since: SystemTime,
    /// What does not work, in words.
    pub(crate) what: String,
}

#[derive(Clone, Copy, Debug, Default)]
struct Closing {
    /// When the writer gives up, if it is to end.
    deadline: Option<Instant>,
    /// Whether all was written; known when the writer has ended.
    outcome: Option<bool>,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) records: AtomicU64,
    pub(super) written_bytes: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) sync_ns: AtomicU64,
    pub(super) sync_ns_max: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) open_bytes: AtomicU64,
    pub(super) sifted_segments: AtomicU64,
    pub(super) sifted_bytes: AtomicU64,
}

impl Counts {
    pub(super) fn add(count: &AtomicU64, more: u64) {
        count.fetch_add(more, Ordering::Relaxed);
    }
}

/// The writer runs, and looks at the queue before it rests.
const RUNNING: u8 = 0;
/// It sleeps until it is woken.
const ASLEEP: u8 = 1;

impl Shared {
    /// What begins with so many records in the folder, and with all numbers up to `head` given.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        unparker: Unparker,
        head: Number,
        serial: u64,
        segments: Vec<Segment>,
    ) -> Shared {
        let kept = AtomicU64::new(head.atomic().load(Ordering::Relaxed));
        Shared {
            disk,
            options,
            queue: Mutex::new(Queue { records: Records::default(), pushed: serial }),
            queued_bytes: AtomicUsize::new(0),
            taken_bytes: AtomicUsize::new(0),
            space: Event::new(),
            head,
            rest: AtomicU8::new(RUNNING),
            unparker,
            kept,
            progress: Event::new(),
            synced: AtomicU64::new(serial),
            sync_wanted: AtomicU64::new(0),
            has_trouble: AtomicBool::new(false),
            trouble: Mutex::new(None),
            keeper: Mutex::new(None),
            segments: Mutex::new(segments),
            sift_floor: AtomicU64::new(0),
            closing: Mutex::new(Closing::default()),
            is_closing: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    // What publishers do.

    #[inline]
    pub(super) fn push(&self, record: &impl Record) {
        let mut queue = lock(&self.queue);
        let before = queue.records.bytes();
        queue.records.push(record);
        queue.pushed += 1;
        let bytes = queue.records.bytes();
        self.queued_bytes.store(bytes, Ordering::Relaxed);
        drop(queue);
        let is_half = before < self.half() && bytes >= self.half();
        // The writer says that it sleeps before it looks at the queue for the last time.
        if self.rest.load(Ordering::Relaxed) == ASLEEP || is_half {
            self.wake();
        }
    }

    /// All numbers up to this one were given, and their records pushed.
    #[inline]
    pub(super) fn note(&self, number: u64) {
        // Either the writer sees the number before it sleeps, or this sees that it sleeps.
        self.head.atomic().swap(number, Ordering::SeqCst);
        if self.rest.load(Ordering::SeqCst) == ASLEEP {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        self.rest.store(RUNNING, Ordering::Relaxed);
        self.unparker.unpark();
    }

    /// Has the writer not rest before it has looked at the queue again.
    pub(super) fn hurry(&self) {
        self.unparker.unpark();
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting_bytes() >= self.options.queue_bytes_max
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed) + self.taken_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn space(&self) -> &Event {
        &self.space
    }

    pub(super) fn progress(&self) -> &Event {
        &self.progress
    }

    pub(super) fn kept(&self) -> u64 {
        self.kept.load(Ordering::Acquire)
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        if !self.has_trouble.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.trouble).clone()
    }

    // What the writer does.

    /// Half of what may wait: the writer is woken, and the disk asked, before publishers wait.
    pub(super) fn half(&self) -> usize {
        self.options.queue_bytes_max / 2
    }

    /// Takes what is in the queue, and leaves it these, which are empty.
    pub(super) fn take(&self, records: &mut Records) {
        debug_assert_eq!(records.count(), 0);
        let mut queue = lock(&self.queue);
        std::mem::swap(&mut queue.records, records);
        // First the one, then the other: what is read meanwhile is too much, and never too little.
        self.add_taken(records.bytes());
        self.queued_bytes.store(0, Ordering::Relaxed);
    }

    /// How many records were ever pushed.
    pub(super) fn pushed(&self) -> u64 {
        lock(&self.queue).pushed
    }

    pub(super) fn head(&self) -> u64 {
        self.head.atomic().load(Ordering::SeqCst)
    }

    /// Says that the writer sleeps, unless there is something for it to do beyond this number.
    pub(super) fn may_sleep(&self, number: u64) -> bool {
        self.rest.store(ASLEEP, Ordering::SeqCst);
        let is_idle = lock(&self.queue).records.count() == 0 && self.head() == number;
        if !is_idle {
            self.wakes();
        }
        is_idle
    }

    /// Says that the writer runs.
    pub(super) fn wakes(&self) {
        self.rest.store(RUNNING, Ordering::Relaxed);
    }

    /// The promise holds for all up to this number.
    pub(super) fn keep(&self, number: u64) {
        if self.kept.swap(number, Ordering::AcqRel) != number {
            self.progress.notify(usize::MAX);
        }
    }

    /// So many bytes of records do not wait any more.
    pub(super) fn release(&self, bytes: usize) {
        self.add_taken(0_usize.wrapping_sub(bytes));
        if !self.is_full() {
            self.space.notify(usize::MAX);
        }
    }

    fn add_taken(&self, bytes: usize) {
        let before = self.taken_bytes.load(Ordering::Relaxed);
        self.taken_bytes.store(before.wrapping_add(bytes), Ordering::Relaxed);
    }

    /// The disk has all records before this one.
    pub(super) fn set_synced(&self, serial: u64) {
        self.synced.store(serial, Ordering::Release);
        if self.sync_wanted.load(Ordering::Relaxed) != 0 {
            self.progress.notify(usize::MAX);
        }
    }

    /// Whether somebody waits for the disk to have more than it has.
    pub(super) fn is_sync_wanted(&self) -> bool {
        self.sync_wanted.load(Ordering::Acquire) > self.synced.load(Ordering::Relaxed)
    }

    pub(super) fn set_trouble(&self, what: String) {
        let mut trouble = lock(&self.trouble);
        let since = trouble.as_ref().map_or_else(SystemTime::now, |trouble| trouble.since);
        *trouble = Some(Trouble { since, what });
        drop(trouble);
        self.has_trouble.store(true, Ordering::Release);
        self.progress.notify(usize::MAX);
        // A publisher that waits for space is refused when the trouble has lasted too long.
        self.space.notify(usize::MAX);
    }

    /// How long the trouble was that is over.
    pub(super) fn end_trouble(&self) -> Option<Duration> {
        if !self.has_trouble.load(Ordering::Relaxed) {
            return None;
        }
        self.has_trouble.store(false, Ordering::Release);
        let trouble = lock(&self.trouble).take()?;
        Some(trouble.since.elapsed().unwrap_or_default())
    }

    // What the one that sifts does.

    /// Waits until the disk has all records that were pushed before this call; `false` if the
    /// writer ends before that.
    pub(super) fn wait_synced(&self) -> bool {
        let serial = self.pushed();
        self.sync_wanted.fetch_max(serial, Ordering::Release);
        loop {
            let listener = self.progress.listen();
            if self.synced.load(Ordering::Acquire) >= serial {
                return true;
            }
            if self.is_closing() {
                return false;
            }
            self.hurry();
            event_listener::Listener::wait(listener);
        }
    }

    pub(super) fn keeper(&self) -> Option<Arc<dyn Keeper>> {
        lock(&self.keeper).as_ref()?.upgrade()
    }

    pub(super) fn set_keeper(&self, keeper: Weak<dyn Keeper>) {
        *lock(&self.keeper) = Some(keeper);
    }

    pub(super) fn segments(&self) -> MutexGuard<'_, Vec<Segment>> {
        lock(&self.segments)
    }

    // The end.

    /// Has the writer write everything and end, or give up at the deadline. The first call counts.
    pub(super) fn close(&self, deadline: Instant) {
        lock(&self.closing).deadline.get_or_insert(deadline);
        self.is_closing.store(true, Ordering::Release);
        self.unparker.unpark();
        self.progress.notify(usize::MAX);
    }

    #[inline]
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    pub(super) fn is_past_deadline(&self) -> bool {
        lock(&self.closing).deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// The writer has ended.
    pub(super) fn ended(&self, is_complete: bool) {
        lock(&self.closing).outcome.get_or_insert(is_complete);
        // Nobody frees space any more.
        self.is_closing.store(true, Ordering::Release);
        self.space.notify(usize::MAX);
        self.progress.notify(usize::MAX);
    }

    pub(super) fn outcome(&self) -> Option<bool> {
        lock(&self.closing).outcome
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is locked here is left half-changed by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
