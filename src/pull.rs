//! The hand-over of a stream that the host reads itself: a bounded queue of shared batches, between
//! a shard, which fills it and never waits, and the host's reader.
//!
//! The reader leaves its waker when it finds nothing, and is woken with the next batch; the shard
//! notes when it finds the queue full, and is told when half of it is free. Each of both is told
//! once, until it has looked again. All this is under one lock, which is held for some
//! instructions. No waker is woken under it; one is cloned under it, so the clone of a host's own
//! waker must not read the same stream. `tests/loom` tries all interleavings.

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

    /// Puts a stream's last bytes into the queue however full that is, and wakes the reader: they
    /// are few, and nothing comes behind them. False if nobody reads any more.
    pub(crate) fn put_last(&self, batch: Bytes) -> bool {
        let mut locked = self.lock();
        if locked.is_abandoned {
            return false;
        }
        locked.bytes += batch.len() + BATCH_BYTES;
        locked.batches.push_back(batch);
        wake(locked);
        true
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

    /// Nothing that is done under the lock can panic but for want of memory, so that a lock which
    /// is poisoned is as good as any other.
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
