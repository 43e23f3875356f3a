//! The handle of an open journal.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use event_listener::Listener;

use super::record::{Keeper, Record};
use super::shared::{Shared, Trouble};
use crate::sync::{EventListener, Ordering};

/// An open journal. Clones are the same journal. When the last one is dropped, the writer writes
/// what it has, and ends; [`Journal::close`] waits for that.
pub(crate) struct Journal {
    owner: Arc<Owner>,
}

/// Ends the writer when nobody has the journal any more.
struct Owner(Arc<Shared>);

/// How long a writer that nobody waits for tries to write what it has.
const UNWATCHED_MAX: Duration = Duration::from_secs(5);

/// How long publishers wait for a journal that cannot be written.
const TROUBLE_MAX: Duration = Duration::from_secs(10);

/// What a journal has done and what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JournalStats {
    /// Records and bytes that were written; those that were written again count again.
    pub(crate) records: u64,
    pub(crate) written_bytes: u64,
    /// Calls that wrote them.
    pub(crate) writes: u64,
    /// How often the disk was asked to have what was written, and how long that took.
    pub(crate) syncs: u64,
    pub(crate) sync_time: Duration,
    pub(crate) sync_time_max: Duration,
    /// Writes, syncs and the like that failed.
    pub(crate) errors: u64,
    /// Segments, and what they take on the disk.
    pub(crate) segments: usize,
    pub(crate) segment_bytes: u64,
    /// Bytes of records that the promise does not hold for yet.
    pub(crate) waiting_bytes: usize,
    /// Segments that were sifted, and the bytes that this took off the disk.
    pub(crate) sifted_segments: u64,
    pub(crate) sifted_bytes: u64,
}

impl Journal {
    pub(super) fn new(shared: Arc<Shared>) -> Journal {
        Journal { owner: Arc::new(Owner(shared)) }
    }

    fn shared(&self) -> &Shared {
        &self.owner.0
    }

    /// Hands a record over. It never waits, not even if the journal is full: see
    /// [`Journal::listen_if_full`]. Calls are in the order of the records' numbers.
    #[inline]
    pub(crate) fn push(&self, record: &impl Record) {
        self.shared().push(record);
    }

    /// Says that all numbers up to this one were given, and that those of them that have a record
    /// were pushed. The promise is kept for numbers that were noted.
    #[inline]
    pub(crate) fn note(&self, number: u64) {
        self.shared().note(number);
    }

    /// If as much waits as may, a listener that is notified when there is space, or when the journal
    /// has ended.
    #[inline]
    pub(crate) fn listen_if_full(&self) -> Option<EventListener> {
        if !self.shared().is_full() {
            return None;
        }
        let listener = self.shared().space().listen();
        self.shared().is_full().then_some(listener)
    }

    /// The number up to which the promise holds.
    #[inline]
    pub(crate) fn kept_to(&self) -> u64 {
        self.shared().kept()
    }

    /// A listener that is notified when [`Journal::kept_to`] grows, when there is trouble, and when
    /// the journal has ended.
    pub(crate) fn listen(&self) -> EventListener {
        self.shared().progress().listen()
    }

    /// Has what was noted so far written at once. Without it that takes some milliseconds.
    pub(crate) fn hurry(&self) {
        self.shared().hurry();
    }

    /// What keeps the journal from writing.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.shared().trouble()
    }

    /// Whether there has been trouble for so long that nobody is to wait for its end.
    pub(crate) fn is_given_up(&self) -> bool {
        let lasts = |trouble: Trouble| trouble.since.elapsed().unwrap_or_default();
        self.shared().trouble().is_some_and(|trouble| lasts(trouble) >= TROUBLE_MAX)
    }

    pub(crate) fn stats(&self) -> JournalStats {
        let shared = self.shared();
        let counts = &shared.counts;
        let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let segments = shared.segments();
        let closed_bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let open_bytes = count(&counts.open_bytes);
        JournalStats {
            records: count(&counts.records),
            written_bytes: count(&counts.written_bytes),
            writes: count(&counts.writes),
            syncs: count(&counts.syncs),
            sync_time: Duration::from_nanos(count(&counts.sync_ns)),
            sync_time_max: Duration::from_nanos(count(&counts.sync_ns_max)),
            errors: count(&counts.errors),
            segments: segments.len() + usize::from(open_bytes > 0),
            segment_bytes: closed_bytes + open_bytes,
            waiting_bytes: shared.waiting_bytes(),
            sifted_segments: count(&counts.sifted_segments),
            sifted_bytes: count(&counts.sifted_bytes),
        }
    }

    /// Writes everything that was pushed before, has the disk have it, and says in the folder that
    /// nothing is missing. Nothing that is pushed or noted later is kept. Returns whether that was
    /// done in time; it goes on until then, and no longer.
    pub(crate) fn close(&self, within: Duration) -> bool {
        let now = Instant::now();
        // So far away that nobody sees the difference.
        let deadline = now.checked_add(within).unwrap_or(now + Duration::from_secs(1 << 30));
        self.shared().close(deadline);
        loop {
            let listener = self.listen();
            if let Some(is_complete) = self.shared().outcome() {
                return is_complete;
            }
            if Instant::now() >= deadline {
                return false;
            }
            let _ = listener.wait_deadline(deadline);
        }
    }

    /// Names who knows which records are still needed. Without it all are.
    pub(crate) fn set_keeper(&self, keeper: Weak<dyn Keeper>) {
        self.shared().set_keeper(keeper);
    }
}

impl Clone for Journal {
    fn clone(&self) -> Journal {
        Journal { owner: Arc::clone(&self.owner) }
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("kept_to", &self.kept_to()).finish_non_exhaustive()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close(Instant::now() + UNWATCHED_MAX);
    }
}
