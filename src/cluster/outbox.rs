//! What a node has published and not yet read back from the cluster's stream: batches of items, bounded in bytes.
//! Publishers fill the last batch; the appender sends each; when the reader finds a batch in the stream, what became
//! of its items is known, and its bytes are free again. Until then it is kept, so that it can be sent again.
//!
//! ```text
//!   [ sent, sent | waiting, waiting, open ]
//!     ^ found in the stream        ^ filled
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BufMut;
use event_listener::{Event, EventListener, Listener as _};

use crate::id::EventId;
use crate::order::Refused;

/// Beyond these a batch takes nothing more. An item that is larger is a batch alone.
const BATCH_BYTES_MAX: usize = 128 << 10;
const BATCH_ITEMS_MAX: u32 = 1024;
/// What an item takes besides its bytes.
const ITEM_BYTES: usize = 64;

/// Where a publisher that waits is told what became of its item.
#[derive(Default)]
pub(crate) struct Slot {
    outcome: Mutex<Option<Result<Option<EventId>, Refused>>>,
    done: Event,
}

/// Items that take successive numbers.
pub(super) struct Batch {
    pub(super) serial: u64,
    pub(super) items: u32,
    /// Each item with its length in front.
    pub(super) bytes: Arc<Vec<u8>>,
    /// The rules that its items change, for nodes that come later.
    pub(super) rules: Vec<RuleChange>,
    slots: Vec<(u32, Arc<Slot>)>,
}

/// A rule's subscription, and the rule as an item, or that it is removed.
pub(super) type RuleChange = (String, Option<Vec<u8>>);

/// What the appender sends.
#[derive(Clone)]
pub(super) struct Parcel {
    pub(super) serial: u64,
    pub(super) items: u32,
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) rules: Vec<RuleChange>,
}

pub(super) struct Outbox {
    bytes_max: usize,
    inner: Mutex<Inner>,
    /// Tells the appender of something to send.
    filled: Condvar,
    /// Notified when there is space, and when nobody is to wait any more.
    space: Event,
    /// Notified when the server has more.
    kept: Event,
}

struct Inner {
    batches: VecDeque<Batch>,
    /// How many of them were sent.
    sent: usize,
    bytes: usize,
    next_serial: u64,
    /// The last serial that was ever sent: what the server may have takes nothing more.
    sealed_to: u64,
    /// The serial of the last batch that the server is known to have.
    kept_to: u64,
    is_closed: bool,
    /// Whether an item was refused since there was more space last.
    has_refused: bool,
    appender_waits: bool,
}

impl Outbox {
    pub(super) fn new(bytes_max: usize) -> Outbox {
        let inner = Inner {
            batches: VecDeque::new(),
            sent: 0,
            bytes: 0,
            next_serial: 1,
            sealed_to: 0,
            kept_to: 0,
            is_closed: false,
            has_refused: false,
            appender_waits: false,
        };
        Outbox {
            bytes_max,
            inner: Mutex::new(inner),
            filled: Condvar::new(),
            space: Event::new(),
            kept: Event::new(),
        }
    }

    /// Puts an item into the last batch; a listener for space if there is none, or none if it is closed.
    pub(super) fn put(
        &self,
        item: &[u8],
        rule: Option<RuleChange>,
        slot: Option<Arc<Slot>>,
    ) -> Result<(), Option<EventListener>> {
        self.put_within(self.bytes_max, item, rule, slot)
    }

    /// Puts the end of a topic, which is small: no backlog of events refuses it, but as many ends do.
    pub(super) fn put_end(
        &self,
        item: &[u8],
        slot: Option<Arc<Slot>>,
    ) -> Result<(), Option<EventListener>> {
        self.put_within(self.bytes_max.saturating_mul(2), item, None, slot)
    }

    fn put_within(
        &self,
        bytes_max: usize,
        item: &[u8],
        rule: Option<RuleChange>,
        slot: Option<Arc<Slot>>,
    ) -> Result<(), Option<EventListener>> {
        let mut inner = self.lock();
        let bytes = item.len() + ITEM_BYTES;
        if inner.is_closed {
            return Err(None);
        }
        if inner.bytes > 0 && inner.bytes + bytes > bytes_max {
            inner.has_refused = true;
            return Err(Some(self.space.listen()));
        }
        inner.bytes += bytes;
        let batch = inner.open_batch();
        let filled = Arc::make_mut(&mut batch.bytes);
        // At most `Options::event_bytes_max` and names.
        filled.put_u32_le(item.len() as u32);
        filled.put_slice(item);
        batch.slots.extend(slot.map(|slot| (batch.items, slot)));
        batch.rules.extend(rule);
        batch.items += 1;
        if std::mem::take(&mut inner.appender_waits) {
            drop(inner);
            self.filled.notify_one();
        }
        Ok(())
    }

    /// A listener for more space, if an item was refused since there was more last: whether the next one would be
    /// depends on how large it is.
    #[cfg(feature = "capi")]
    pub(super) fn listen_if_full(&self) -> Option<EventListener> {
        let inner = self.lock();
        (inner.has_refused && !inner.is_closed).then(|| self.space.listen())
    }

    /// The next batches to send, of a number at most; none if there are none for a time.
    pub(super) fn take(&self, within: Duration, batches_max: usize) -> Vec<Parcel> {
        let deadline = Instant::now() + within;
        let mut inner = self.lock();
        while inner.sent == inner.batches.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || inner.is_closed {
                return Vec::new();
            }
            inner.appender_waits = true;
            let waited = self.filled.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.appender_waits = false;
        let from = inner.sent;
        let to = inner.batches.len().min(from + batches_max);
        inner.sent = to;
        let last = inner.batches.range(from..to).next_back().map_or(0, |batch| batch.serial);
        inner.sealed_to = inner.sealed_to.max(last);
        inner.batches.range(from..to).map(Batch::parcel).collect()
    }

    /// Everything is to be sent again, on another connection.
    pub(super) fn rewind(&self) {
        self.lock().sent = 0;
    }

    /// The server has this batch and those before.
    pub(super) fn note_kept(&self, serial: u64) {
        let mut inner = self.lock();
        inner.kept_to = inner.kept_to.max(serial);
        drop(inner);
        self.kept.notify(usize::MAX);
    }

    /// The reader has found a batch in the stream, with what became of its items: a function tells it.
    pub(super) fn confirm(
        &self,
        serial: u64,
        mut outcome_of: impl FnMut(u32) -> Result<Option<EventId>, Refused>,
    ) {
        let (mut done, mut unread) = (Vec::new(), Vec::new());
        let mut inner = self.lock();
        while inner.batches.front().is_some_and(|batch| batch.serial <= serial) {
            let Some(batch) = inner.batches.pop_front() else { break };
            inner.sent = inner.sent.saturating_sub(1);
            inner.bytes -= batch.bytes.len() + batch.items as usize * (ITEM_BYTES - 4);
            match batch.serial == serial {
                true => done = batch.slots,
                // It was in the stream before, and cut from it before this node had read it.
                false => unread.extend(batch.slots),
            }
        }
        inner.kept_to = inner.kept_to.max(serial);
        inner.has_refused = false;
        drop(inner);
        for (_, slot) in unread {
            slot.fill(Ok(None));
        }
        for (nth, slot) in done {
            slot.fill(outcome_of(nth));
        }
        self.kept.notify(usize::MAX);
        self.space.notify(usize::MAX);
    }

    /// Nothing more is taken. Waits until the server has all that was put; false if it has not in time.
    pub(super) fn close(&self, deadline: Instant) -> bool {
        self.lock().is_closed = true;
        self.filled.notify_all();
        self.space.notify(usize::MAX);
        loop {
            let kept = self.kept.listen();
            let is_kept = {
                let inner = self.lock();
                inner.batches.back().is_none_or(|batch| batch.serial <= inner.kept_to)
            };
            if is_kept || kept.wait_deadline(deadline).is_none() {
                return is_kept;
            }
        }
    }

    /// The last serial that anything was put under.
    pub(super) fn last_serial(&self) -> u64 {
        let inner = self.lock();
        inner.batches.back().map_or(0, |batch| batch.serial)
    }

    /// A listener for the moment when the server may have the batches up to a serial; `None` if it has.
    pub(super) fn listen_if_not_kept(&self, serial: u64) -> Option<EventListener> {
        let listener = self.kept.listen();
        (self.lock().kept_to < serial).then_some(listener)
    }

    /// Nobody will be told any more what becomes of items that are not in the stream.
    pub(super) fn abandon(&self) {
        let batches = std::mem::take(&mut self.lock().batches);
        for (_, slot) in batches.into_iter().flat_map(|batch| batch.slots) {
            slot.fill(Err(Refused::Closed));
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Wakes those who wait, who will find that nobody is to wait.
    pub(super) fn wake_publishers(&self) {
        self.kept.notify(usize::MAX);
        self.space.notify(usize::MAX);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The last batch, if it was never sent and is not full, or else a new one.
    fn open_batch(&mut self) -> &mut Batch {
        let sealed_to = self.sealed_to;
        let is_open = |batch: &Batch| {
            let has_space = batch.bytes.len() < BATCH_BYTES_MAX && batch.items < BATCH_ITEMS_MAX;
            has_space && batch.serial > sealed_to
        };
        if !self.batches.back().is_some_and(is_open) {
            let serial = self.next_serial;
            self.next_serial += 1;
            let (bytes, rules, slots) = (Arc::default(), Vec::new(), Vec::new());
            self.batches.push_back(Batch { serial, items: 0, bytes, rules, slots });
        }
        self.batches.back_mut().expect("one was pushed if there was none")
    }
}

impl Batch {
    fn parcel(&self) -> Parcel {
        let Batch { serial, items, bytes, rules, slots: _ } = self;
        Parcel { serial: *serial, items: *items, bytes: bytes.clone(), rules: rules.clone() }
    }
}

impl Slot {
    fn fill(&self, outcome: Result<Option<EventId>, Refused>) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.done.notify(usize::MAX);
    }

    fn take(&self) -> Option<Result<Option<EventId>, Refused>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What became of the item; `None` if that is not known until a deadline.
    pub(crate) fn wait(
        &self,
        deadline: Option<Instant>,
    ) -> Option<Result<Option<EventId>, Refused>> {
        loop {
            let done = self.done.listen();
            if let Some(outcome) = self.take() {
                return Some(outcome);
            }
            match deadline {
                None => done.wait(),
                Some(deadline) => {
                    if done.wait_deadline(deadline).is_none() {
                        return self.take();
                    }
                }
            }
        }
    }

    /// The same for a future, without a deadline.
    pub(crate) async fn when_known(&self) -> Result<Option<EventId>, Refused> {
        loop {
            let done = self.done.listen();
            if let Some(outcome) = self.take() {
                return outcome;
            }
            done.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serials(parcels: &[Parcel]) -> Vec<u64> {
        parcels.iter().map(|parcel| parcel.serial).collect()
    }

    #[test]
    fn what_was_sent_is_sent_again_until_it_was_read_back() {
        let outbox = Outbox::new(1 << 20);
        outbox.put(b"a", None, None).unwrap();
        outbox.put(b"b", None, None).unwrap();
        let first = outbox.take(Duration::ZERO, 4);
        assert_eq!((serials(&first), first[0].items), (vec![1], 2));
        assert_eq!(*first[0].bytes, b"\x01\0\0\0a\x01\0\0\0b");
        outbox.put(b"c", None, None).unwrap();
        assert_eq!(serials(&outbox.take(Duration::ZERO, 4)), [2]);
        assert!(outbox.take(Duration::ZERO, 4).is_empty());
        outbox.rewind();
        assert_eq!(serials(&outbox.take(Duration::ZERO, 4)), [1, 2]);
        outbox.confirm(1, |_| Ok(None));
        outbox.rewind();
        assert_eq!(serials(&outbox.take(Duration::ZERO, 4)), [2]);
        outbox.confirm(2, |_| Ok(None));
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn a_batch_that_was_sent_once_takes_nothing_more_when_it_is_to_be_sent_again() {
        let outbox = Outbox::new(1 << 20);
        let slots: Vec<Arc<Slot>> = (0..2).map(|_| Arc::default()).collect();
        outbox.put(b"a", None, Some(slots[0].clone())).unwrap();
        assert_eq!(serials(&outbox.take(Duration::ZERO, 1)), [1]);
        outbox.rewind();
        outbox.put(b"b", None, Some(slots[1].clone())).unwrap();
        let again = outbox.take(Duration::ZERO, 4);
        assert_eq!((serials(&again), again[0].items), (vec![1, 2], 1));
        // The first was cut from the stream, in which it was, before it was read back.
        outbox.confirm(2, |_| Err(Refused::Closed));
        assert!(matches!(slots[0].wait(Some(Instant::now())), Some(Ok(None))));
        assert!(matches!(slots[1].wait(Some(Instant::now())), Some(Err(Refused::Closed))));
    }

    #[cfg(feature = "capi")]
    #[test]
    fn who_was_refused_listens_until_there_is_more_space() {
        use event_listener::Listener as _;
        let outbox = Outbox::new(100);
        outbox.put(&[b'x'; 500], None, None).unwrap();
        assert!(outbox.listen_if_full().is_none(), "nothing was refused");
        assert!(outbox.put(b"x", None, None).is_err());
        let space = outbox.listen_if_full().expect("an item was refused");
        outbox.confirm(1, |_| Ok(None));
        assert!(space.wait_timeout(Duration::ZERO).is_some(), "it was told");
        assert!(outbox.listen_if_full().is_none());
    }

    #[test]
    fn a_full_outbox_takes_nothing_and_one_item_always_fits() {
        let outbox = Outbox::new(100);
        outbox.put(&[b'x'; 500], None, None).unwrap();
        assert!(outbox.put(b"y", None, None).is_err());
        _ = outbox.take(Duration::ZERO, 4);
        let space = outbox.put(b"y", None, None).unwrap_err().expect("it is full, not closed");
        outbox.confirm(1, |_| Ok(None));
        assert!(space.wait_timeout(Duration::from_secs(60)).is_some());
        outbox.put(b"y", None, None).unwrap();
    }

    #[test]
    fn a_full_outbox_takes_ends_of_topics_up_to_twice_its_bound() {
        let outbox = Outbox::new(200);
        outbox.put(&[b'x'; 130], None, None).unwrap();
        assert!(outbox.put(b"y", None, None).is_err());
        outbox.put_end(b"end", None).unwrap();
        outbox.put_end(b"end", None).unwrap();
        outbox.put_end(b"end", None).unwrap();
        assert!(outbox.put_end(b"end", None).is_err());
    }

    #[test]
    fn each_publisher_is_told_of_its_own_item() {
        let outbox = Outbox::new(1 << 20);
        let slots: Vec<Arc<Slot>> = (0..3).map(|_| Arc::default()).collect();
        for slot in &slots {
            outbox.put(b"x", None, Some(slot.clone())).unwrap();
        }
        _ = outbox.take(Duration::ZERO, 4);
        assert!(slots[0].wait(Some(Instant::now())).is_none());
        outbox.confirm(1, |nth| if nth == 1 { Err(Refused::Closed) } else { Ok(None) });
        assert!(matches!(slots[0].wait(None), Some(Ok(None))));
        assert!(matches!(slots[1].wait(None), Some(Err(Refused::Closed))));
        assert!(matches!(slots[2].wait(None), Some(Ok(None))));
    }

    #[test]
    fn closing_waits_for_the_server_and_not_for_the_stream() {
        let outbox = Outbox::new(1 << 20);
        outbox.put(b"x", None, None).unwrap();
        _ = outbox.take(Duration::ZERO, 4);
        assert!(!outbox.close(Instant::now()));
        outbox.note_kept(1);
        assert!(outbox.close(Instant::now()));
    }
}
