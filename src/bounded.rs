//! A bounded queue from the engine to a host, whose memory grows with what waits in it. A channel that is bounded by
//! its buffer has all of that from the beginning, however little ever waits.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use async_channel::{RecvError, TryRecvError, TrySendError};

/// A queue in which at most `capacity` items wait.
pub(crate) fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = async_channel::unbounded();
    let places = Arc::new(Places { capacity, taken: AtomicUsize::new(0) });
    (Sender { items: sender, places: places.clone() }, Receiver { items: receiver, places })
}

/// Those that items take from before they are put until after they were received. So what waits is never more.
struct Places {
    capacity: usize,
    taken: AtomicUsize,
}

impl Places {
    fn take(&self) -> bool {
        let more = |taken| (taken < self.capacity).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

pub(crate) struct Sender<T> {
    items: async_channel::Sender<T>,
    places: Arc<Places>,
}

impl<T> Sender<T> {
    pub(crate) fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        if self.is_closed() {
            return Err(TrySendError::Closed(item));
        }
        if !self.places.take() {
            return Err(TrySendError::Full(item));
        }
        self.items.try_send(item).inspect_err(|_| self.places.give_back())
    }

    /// A place for one item, which no other sender takes meanwhile; `None` when the queue is full or closed.
    pub(crate) fn reserve(&self) -> Option<Place<'_, T>> {
        let is_taken = !self.is_closed() && self.places.take();
        is_taken.then(|| Place { sender: self })
    }

    #[cfg(test)]
    pub(crate) fn is_full(&self) -> bool {
        self.places.taken.load(Ordering::Acquire) >= self.places.capacity
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.items.is_closed()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.places.capacity
    }

    pub(crate) fn same_channel(&self, other: &Sender<T>) -> bool {
        self.items.same_channel(&other.items)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender { items: self.items.clone(), places: self.places.clone() }
    }
}

/// A place in a queue for one item. It is given back when it is dropped.
pub(crate) struct Place<'a, T> {
    sender: &'a Sender<T>,
}

impl<T> Place<'_, T> {
    /// Puts the item there. One that comes when the queue was closed meanwhile is dropped, as those that wait are.
    pub(crate) fn fill(self, item: T) {
        if self.sender.items.try_send(item).is_ok() {
            std::mem::forget(self);
        }
    }
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        self.sender.places.give_back();
    }
}

pub(crate) struct Receiver<T> {
    items: async_channel::Receiver<T>,
    places: Arc<Places>,
}

impl<T> Receiver<T> {
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        self.items.try_recv().inspect(|_| self.places.give_back())
    }

    pub(crate) fn recv_blocking(&self) -> Result<T, RecvError> {
        self.items.recv_blocking().inspect(|_| self.places.give_back())
    }

    /// Dropping the future loses nothing.
    pub(crate) async fn recv(&self) -> Result<T, RecvError> {
        self.items.recv().await.inspect(|_| self.places.give_back())
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.items.is_closed()
    }

    pub(crate) fn close(&self) {
        self.items.close();
    }

    pub(crate) fn receiver_count(&self) -> usize {
        self.items.receiver_count()
    }

    pub(crate) fn downgrade(&self) -> WeakReceiver<T> {
        WeakReceiver { items: self.items.downgrade(), places: self.places.clone() }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver { items: self.items.clone(), places: self.places.clone() }
    }
}

/// A receiver that does not keep the queue.
pub(crate) struct WeakReceiver<T> {
    items: async_channel::WeakReceiver<T>,
    places: Arc<Places>,
}

impl<T> fmt::Debug for WeakReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.items.fmt(f)
    }
}

impl<T> WeakReceiver<T> {
    pub(crate) fn upgrade(&self) -> Option<Receiver<T>> {
        Some(Receiver { items: self.items.upgrade()?, places: self.places.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_wait_as_may_and_each_that_is_received_makes_place_for_one() {
        let (sender, receiver) = bounded(2);
        assert_eq!([1, 2, 3].map(|n| sender.try_send(n).is_ok()), [true, true, false]);
        assert!(sender.is_full() && sender.len() == 2);
        assert!(matches!(sender.try_send(4), Err(TrySendError::Full(4))));
        assert_eq!(receiver.try_recv(), Ok(1));
        assert!(!sender.is_full());
        sender.try_send(5).unwrap();
        let waits = smol::block_on(receiver.recv());
        assert_eq!((waits, receiver.recv_blocking(), receiver.len()), (Ok(2), Ok(5), 0));
        receiver.close();
        assert!(matches!(sender.try_send(6), Err(TrySendError::Closed(6))));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    }

    #[test]
    fn a_place_is_nobody_elses_until_it_is_filled_or_given_back() {
        let (sender, receiver) = bounded(1);
        let place = sender.reserve().unwrap();
        assert!(sender.reserve().is_none() && sender.try_send(1).is_err());
        place.fill(2);
        assert!(sender.reserve().is_none() && sender.len() == 1);
        assert_eq!(receiver.try_recv(), Ok(2));
        drop(sender.reserve().unwrap());
        let late = sender.reserve().unwrap();
        receiver.close();
        late.fill(3);
        assert!(sender.reserve().is_none() && !sender.is_full());
    }

    #[test]
    fn never_do_more_wait_whoever_puts_them() {
        const CAPACITY: usize = 3;
        let (sender, receiver) = bounded(CAPACITY);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..20_000 {
                        let _ = sender.try_send(n);
                    }
                });
            }
            for _ in 0..20_000 {
                assert!(receiver.len() <= CAPACITY);
                let _ = receiver.try_recv();
            }
        });
        while receiver.try_recv().is_ok() {}
        assert!((0..CAPACITY).all(|n| sender.try_send(n).is_ok()) && sender.is_full());
    }

    #[test]
    fn a_large_capacity_takes_no_memory_until_something_waits() {
        // At once it would be 16 GiB.
        let (sender, receiver) = bounded::<[u8; 16 << 10]>(1 << 20);
        sender.try_send([7; 16 << 10]).unwrap();
        assert!(receiver.try_recv().is_ok_and(|item| item[0] == 7));
    }
}
