//! How a host waits for what the engine puts in a bounded queue.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking::Parker;

use crate::bounded::Receiver;
#[cfg(feature = "capi")]
use crate::bounded::WeakReceiver;

/// The next item of a queue, for which it waits at most `timeout`; `None` when none came in this
/// time, or none will come any more. Blocks the calling thread.
pub(crate) fn wait<T>(receiver: &Receiver<T>, timeout: Duration) -> Option<T> {
    within(timeout, async { receiver.recv().await.ok() })
}

/// What a future gives, if it does so within `timeout`. Blocks the calling thread, and needs no other
/// thread's timer: there is none in the child of a fork.
pub(crate) fn within<T>(timeout: Duration, item: impl Future<Output = Option<T>>) -> Option<T> {
    let deadline = Instant::now().checked_add(timeout);
    let parker = Parker::new();
    let waker = Waker::from(parker.unparker());
    let mut item = pin!(item);
    loop {
        let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if let Poll::Ready(item) = item.as_mut().poll(&mut Context::from_waker(&waker)) {
            return item;
        }
        match deadline {
            _ if is_late => return None,
            Some(deadline) => drop(parker.park_deadline(deadline)),
            None => parker.park(),
        }
    }
}

/// Ends a queue that may be gone: what waits in it is dropped, and nothing more comes.
#[cfg(feature = "capi")]
pub(crate) fn end<T>(queued: &WeakReceiver<T>) {
    if let Some(receiver) = queued.upgrade() {
        receiver.close();
        while receiver.try_recv().is_ok() {}
    }
}
