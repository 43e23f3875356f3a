//! How a host waits for what the engine puts in a bounded queue.

use std::future::Future;
use std::time::Duration;

use async_channel::Receiver;
use async_io::Timer;
use futures_lite::future;

/// The next item of a queue, for which it waits at most `timeout`; `None` when none came in this
/// time, or none will come any more. Blocks the calling thread.
pub(crate) fn wait<T>(receiver: &Receiver<T>, timeout: Duration) -> Option<T> {
    within(timeout, async { receiver.recv().await.ok() })
}

/// What a future gives, if it does so within `timeout`. Blocks the calling thread.
pub(crate) fn within<T>(timeout: Duration, item: impl Future<Output = Option<T>>) -> Option<T> {
    let too_late = async {
        Timer::after(timeout).await;
        None
    };
    future::block_on(future::or(item, too_late))
}
