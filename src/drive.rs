//! What drives a shard: a thread, or any executor.

use std::fmt;
use std::future::Future as _;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use futures_lite::future;

use crate::shard::{Next, Shard, Shared};
use crate::sys::{self, Poller};

/// A shard that the host drives on an executor of its own choice. Made by
/// [`Hub::with_drivers`](crate::Hub::with_drivers).
///
/// Dropping it, or the future of [`Driver::drive`], ends the shard at any moment: its connections
/// are closed and counted with the reason
/// [`Closed`](crate::DisconnectReason::Closed), what they held of limits and backlogs is given
/// back, and new ones go to the other shards. With the last shard the hub's listeners are closed.
///
/// # Examples
///
/// ```
/// use fanfare::{Driver, Hub, Options};
///
/// let (hub, drivers): (Hub, Vec<Driver>) = Hub::with_drivers(Options::default().shards(2))?;
/// for driver in drivers {
///     std::thread::spawn(|| smol::block_on(driver.drive()));
/// }
/// smol::block_on(hub.close_async());
/// # Ok::<(), fanfare::StartError>(())
/// ```
#[must_use = "a shard that is not driven serves no client"]
pub struct Driver {
    shard: Shard,
}

impl Driver {
    pub(crate) fn new(id: usize, shared: Arc<Shared>, poller: Poller) -> Driver {
        Driver { shard: Shard::new(id, shared, poller) }
    }

    /// Serves the shard's connections until the hub is closed.
    ///
    /// One future drives thousands of sockets, under any executor, of which it needs no timer and
    /// no poller: the shard's poller is itself polled, by the thread of [`async_io`]. Each time
    /// that it is polled it does a bounded share of the work, some milliseconds at most, and never
    /// blocks. Publishers wake it directly.
    ///
    /// # Errors
    ///
    /// When the system's poller fails, which leaves the shard's connections unserved.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// let (hub, drivers) = Hub::with_drivers(Options::default().shards(1))?;
    /// smol::block_on(async {
    ///     let served: Vec<_> = drivers.into_iter().map(|d| smol::spawn(d.drive())).collect();
    ///     hub.close();
    ///     for shard in served {
    ///         shard.await.unwrap();
    ///     }
    /// });
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    pub async fn drive(mut self) -> io::Result<()> {
        let mut rest = Rest::new(self.shard.poller())?;
        loop {
            match self.shard.turn()? {
                Next::Now => future::yield_now().await,
                Next::Never => return Ok(()),
                Next::Wait(time) => rest.until_work(&mut self.shard, time).await?,
            }
        }
    }

    /// The shard, to be driven by hand.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn into_shard(self) -> Shard {
        self.shard
    }

    /// Drives the shard on a thread of its own.
    pub(crate) fn spawn(mut self, id: usize) -> io::Result<JoinHandle<()>> {
        let thread = std::thread::Builder::new().name(format!("fanfare-{id}"));
        let run = move || {
            if let Err(error) = self.run() {
                log::error!("shard {id} has ended, its poller failed: {error}");
            }
        };
        // The host's signal handlers run on the host's threads.
        sys::while_blocked(|| thread.spawn(run))
    }

    fn run(&mut self) -> io::Result<()> {
        let mut next = Next::Now;
        loop {
            next = match next {
                Next::Now => self.shard.turn()?,
                Next::Wait(time) => self.shard.turn_after(time)?,
                Next::Never => return Ok(()),
            }
        }
    }
}

/// How a shard that a future drives waits for something to do: for its poller, through another one,
/// for its timer, or for a thread that fills its inbox, which wakes the future directly.
struct Rest {
    poller: Async<OwnedFd>,
    timer: Timer,
    /// When the timer fires.
    due: Option<Instant>,
}

/// A shard that is parked while this lives.
struct Parked<'a> {
    shard: &'a mut Shard,
    has_begun: bool,
}

/// A timer that is set already is left as it is if it fires no later than this after the time that
/// is wanted: a thread's poller counts in milliseconds as well.
const TIMER_SLACK: Duration = Duration::from_millis(1);

impl Rest {
    fn new(poller: &Poller) -> io::Result<Rest> {
        let poller = Async::new_nonblocking(poller.as_fd().try_clone_to_owned()?)?;
        Ok(Rest { poller, timer: Timer::never(), due: None })
    }

    async fn until_work(&mut self, shard: &mut Shard, time: Option<Duration>) -> io::Result<()> {
        if let Some(due) = time.and_then(|time| Instant::now().checked_add(time)) {
            self.set_timer(due);
        }
        let mut parked = Parked { shard, has_begun: false };
        future::poll_fn(|cx| {
            if parked.has_work(cx) {
                return Poll::Ready(Ok(()));
            }
            if Pin::new(&mut self.timer).poll(cx).is_ready() {
                self.due = None;
                return Poll::Ready(Ok(()));
            }
            self.poller.poll_readable(cx)
        })
        .await
    }

    /// Sets the timer, unless it fires soon enough. One that fires too early costs a turn with
    /// nothing to do, and setting it costs more, each time that the shard parks.
    fn set_timer(&mut self, due: Instant) {
        if self.due.is_none_or(|before| before > due + TIMER_SLACK) {
            self.due = Some(due);
            self.timer.set_at(due);
        }
    }
}

impl Parked<'_> {
    /// Parks the shard; true when there is something in its inbox.
    fn has_work(&mut self, cx: &Context<'_>) -> bool {
        let waker = self.shard.waker();
        if std::mem::replace(&mut self.has_begun, true) {
            return !waker.renew_task(cx.waker());
        }
        // Before it parks: from then on anyone may wake it.
        waker.set_task(cx.waker());
        !self.shard.park()
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.shard.unpark();
        self.shard.waker().forget_task();
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task;

    use super::*;
    use crate::inbox::Wake as _;
    use crate::waker::ShardWaker;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl task::Wake for Counting {
        fn wake(self: Arc<Counting>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_task_that_is_set_is_woken_once_and_without_one_the_poller_is() {
        let mut poller = Poller::new().unwrap();
        let waker = ShardWaker::new(poller.waker());
        let tasks = [Arc::<Counting>::default(), Arc::<Counting>::default()];
        let [first, second] = tasks.clone().map(task::Waker::from);
        let woken = || tasks.each_ref().map(|task| task.0.load(Ordering::SeqCst));
        let references = || tasks.each_ref().map(Arc::strong_count);
        waker.set_task(&first);
        assert!(waker.renew_task(&first) && waker.renew_task(&second));
        assert_eq!(references(), [2, 3], "the first is forgotten");
        waker.wake();
        assert_eq!((woken(), references()), ([0, 1], [2, 2]));
        assert!(!waker.renew_task(&second));

        waker.set_task(&first);
        waker.forget_task();
        waker.wake();
        assert_eq!((woken(), references()), ([0, 1], [2, 2]));
        // Returns, since the poller is awake.
        poller.wait(None, &mut Vec::new()).unwrap();
    }
}
