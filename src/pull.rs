//! The hand-over of a stream that the host reads itself: a bounded queue of shared batches, between
//! a shard, which fills it and never waits, and the host's reader.
//!
//! The reader leaves its waker when it finds nothing, and is woken with the next batch; the shard
//! notes when it finds the queue full, and is told when half of it is free. Each of both is told
//! once, until it has looked again. All this is under one lock, which is held for some
//! instructions: no waker is called under it, nor any other code of a host. `tests/loom` tries all
//! interleavings.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::sync::{Mutex, MutexGuard};

/// What each batch counts for beside its bytes: what is kept with it.
const BATCH_BYTES: usize = 64;

/// A queue from a shard to a reader. `R` is why a stream ended.
pub(crate) struct Pull<R> {
    bytes_max: usize,
    locked: Mutex<Locked<R>>,
}

struct Locked<R> {
    batches: VecDeque<Bytes>,
    /// What they count for.
    bytes: usize,
    /// The reader's waker, when it waits.
    reader: Option<Waker>,
    /// Whether the shard has found it full, and is to be told when there is room.
    is_full: bool,
    /// Whether the shard is being told something already.
    is_telling: bool,
    /// What the shard is told to find the stream again, once it has it.
    id: Option<u64>,
    is_abandoned: bool,
    end: Option<R>,
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Taken,
    /// It was not taken: the shard is told when there is room.
    Full,
    /// Nobody reads any more.
    Abandoned,
}

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read<R> {
    /// The next batch; and, if the shard is to be told that there is room, the stream's id.
    Batch(Bytes, Option<u64>),
    /// The stream has ended, and everything was read.
    End(R),
    Nothing,
}

impl<R: Copy> Pull<R> {
    /// A queue of at most this many bytes, each batch with [`BATCH_BYTES`] more; or of one batch,
    /// if that alone is more.
    pub(crate) fn new(bytes_max: usize) -> Pull<R> {
        let locked = Mutex::new(Locked {
            batches: VecDeque::new(),
            bytes: 0,
            reader: None,
            is_full: false,
            is_telling: false,
            id: None,
            is_abandoned: false,
            end: None,
        });
        Pull { bytes_max, locked }
    }

    /// A queue that nothing is put into any more.
    pub(crate) fn ended(reason: R) -> Pull<R> {
        let pull = Pull::new(0);
        pull.lock().end = Some(reason);
        pull
    }

    /// The shard has the stream, under an id. False if nobody reads it any more.
    pub(crate) fn begin(&self, id: u64) -> bool {
        let mut locked = self.lock();
        locked.id = Some(id);
        !locked.is_abandoned
    }

    /// Puts a batch of `bytes` bytes into the queue, which is made if it is taken, and wakes the
    /// reader.
    pub(crate) fn put(&self, bytes: usize, batch: impl FnOnce() -> Bytes) -> Put {
        let kept_bytes = bytes + BATCH_BYTES;
        let mut locked = self.lock();
        if locked.is_abandoned {
            return Put::Abandoned;
        }
        if !locked.batches.is_empty() && locked.bytes + kept_bytes > self.bytes_max {
            locked.is_full = true;
            return Put::Full;
        }
        locked.bytes += kept_bytes;
        locked.batches.push_back(batch());
        wake(locked);
        Put::Taken
    }

    /// Ends the stream, if it has not ended, and wakes the reader.
    pub(crate) fn end(&self, reason: R) {
        let mut locked = self.lock();
        locked.end.get_or_insert(reason);
        wake(locked);
    }

    /// The shard looks at what it is told. True if nobody reads the stream any more.
    pub(crate) fn look(&self) -> bool {
        let mut locked = self.lock();
        locked.is_telling = false;
        locked.is_abandoned
    }

    /// The next batch, if there is one.
    pub(crate) fn read(&self) -> Read<R> {
        self.lock().read(self.bytes_max / 2)
    }

    /// The next batch; if there is none, the reader is woken when there is.
    pub(crate) fn poll_read(&self, context: &mut Context<'_>) -> Poll<Read<R>> {
        let mut locked = self.lock();
        let read = locked.read(self.bytes_max / 2);
        if read_nothing(&read) {
            let waker = context.waker();
            if locked.reader.as_ref().is_some_and(|reader| reader.will_wake(waker)) {
                return Poll::Pending;
            }
            let before = locked.reader.replace(waker.clone());
            drop(locked);
            // To drop a waker is to run code of its executor.
            drop(before);
            return Poll::Pending;
        }
        Poll::Ready(read)
    }

    /// Nobody reads the stream any more. Returns its id if the shard is to be told so.
    pub(crate) fn abandon(&self) -> Option<u64> {
        let mut locked = self.lock();
        locked.is_abandoned = true;
        let left = (std::mem::take(&mut locked.batches), locked.reader.take());
        let id = if locked.end.is_none() { locked.tell() } else { None };
        drop(locked);
        drop(left);
        id
    }

    /// Why the stream has ended, once everything was read.
    pub(crate) fn end_reason(&self) -> Option<R> {
        let locked = self.lock();
        locked.end.filter(|_| locked.batches.is_empty())
    }

    /// The id, once the shard has the stream.
    pub(crate) fn id(&self) -> Option<u64> {
        self.lock().id
    }

    /// What waits to be read.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> Vec<u8> {
        self.lock().batches.iter().flatten().copied().collect()
    }

    /// Nothing that is done under the lock can panic but for want of memory, so that a lock which is
    /// poisoned is as good as any other.
    fn lock(&self) -> MutexGuard<'_, Locked<R>> {
        self.locked.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<R: Copy> Locked<R> {
    fn read(&mut self, room_bytes: usize) -> Read<R> {
        let Some(batch) = self.batches.pop_front() else {
            return self.end.map_or(Read::Nothing, Read::End);
        };
        self.bytes -= batch.len() + BATCH_BYTES;
        if self.batches.is_empty() {
            self.batches.shrink_to(16);
        }
        let has_room = self.bytes <= room_bytes || self.batches.is_empty();
        let id = match has_room && std::mem::take(&mut self.is_full) {
            true => self.tell(),
            false => None,
        };
        Read::Batch(batch, id)
    }

    /// The id, if the shard has the stream and is not being told something already.
    fn tell(&mut self) -> Option<u64> {
        let id = self.id?;
        (!std::mem::replace(&mut self.is_telling, true)).then_some(id)
    }
}

fn read_nothing<R>(read: &Read<R>) -> bool {
    matches!(read, Read::Nothing)
}

/// Wakes the reader, if it waits, without the lock.
fn wake<R>(mut locked: MutexGuard<'_, Locked<R>>) {
    let reader = locked.reader.take();
    drop(locked);
    if let Some(reader) = reader {
        reader.wake();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;
    use std::task::Wake;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn put(pull: &Pull<u8>, bytes: usize) -> Put {
        pull.put(bytes, || Bytes::from(vec![b'x'; bytes]))
    }

    fn read(pull: &Pull<u8>) -> Option<(usize, Option<u64>)> {
        match pull.read() {
            Read::Batch(batch, id) => Some((batch.len(), id)),
            Read::End(_) | Read::Nothing => None,
        }
    }

    #[test]
    fn it_takes_batches_up_to_its_bound_or_one_that_is_larger() {
        let pull = Pull::new(1_000);
        assert_eq!(put(&pull, 5_000), Put::Taken);
        assert_eq!(put(&pull, 0), Put::Full);
        assert_eq!(read(&pull), Some((5_000, None)), "the shard does not have it yet");
        let each = 250 - BATCH_BYTES;
        assert!((0..4).all(|_| put(&pull, each) == Put::Taken));
        assert_eq!(put(&pull, 0), Put::Full);
    }

    #[test]
    fn a_shard_that_found_it_full_is_told_once_when_half_of_it_is_free() {
        let pull = Pull::new(1_000);
        assert!(pull.begin(7));
        let each = 250 - BATCH_BYTES;
        (0..4).for_each(|_| assert_eq!(put(&pull, each), Put::Taken));
        assert_eq!(put(&pull, each), Put::Full);
        let told: Vec<_> = std::iter::from_fn(|| read(&pull)).map(|(_, id)| id).collect();
        assert_eq!(told, [None, Some(7), None, None]);
        // It has not looked yet.
        (0..5).for_each(|_| _ = put(&pull, each));
        assert!((0..4).all(|_| read(&pull) == Some((each, None))));
        assert!(!pull.look());
        assert_eq!(put(&pull, 2_000), Put::Taken);
        assert_eq!(put(&pull, 2_000), Put::Full);
        assert_eq!(read(&pull), Some((2_000, Some(7))));
    }

    #[test]
    fn a_reader_that_waits_is_woken_once_and_the_last_that_polled() {
        let pull = Pull::new(1_000);
        let (first, second) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
        for wakes in [&first, &second, &second] {
            let waker = wakes.clone().into();
            assert!(pull.poll_read(&mut Context::from_waker(&waker)).is_pending());
        }
        (0..3).for_each(|_| assert_eq!(put(&pull, 1), Put::Taken));
        pull.end(1);
        let count = |wakes: &Wakes| wakes.0.load(Ordering::SeqCst);
        assert_eq!((count(&first), count(&second)), (0, 1));
    }

    #[test]
    fn what_was_taken_is_read_before_the_end_and_the_first_reason_counts() {
        let pull = Pull::new(1_000);
        put(&pull, 1);
        pull.end(1);
        pull.end(2);
        assert_eq!(pull.end_reason(), None);
        assert_eq!(read(&pull), Some((1, None)));
        assert_eq!((pull.read(), pull.end_reason()), (Read::End(1), Some(1)));
    }

    #[test]
    fn an_abandoned_one_takes_nothing_and_the_shard_is_told_unless_it_has_ended_it() {
        let pull = Pull::<u8>::new(1_000);
        pull.begin(7);
        put(&pull, 1);
        assert_eq!(pull.abandon(), Some(7));
        assert_eq!(put(&pull, 1), Put::Abandoned);
        assert!(pull.look() && pull.waiting().is_empty());
        let early = Pull::<u8>::new(1_000);
        assert_eq!(early.abandon(), None);
        assert!(!early.begin(7));
        assert_eq!(Pull::ended(1).abandon(), None);
    }
}
