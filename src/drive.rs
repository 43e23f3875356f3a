//! What drives a shard: a thread, or any executor.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_io::{Async, Timer};
use futures_lite::future;

use crate::shard::{Next, Shard, Shared};
use crate::sys::{self, Poller};

/// A shard that the host drives on an executor of its own choice. Made by
/// [`Hub::with_drivers`](crate::Hub::with_drivers).
///
/// Dropping it, or the future of [`Driver::drive`], ends the shard: its connections are closed, and
/// new ones go to the other shards. Without any shard left, clients are not answered any more.
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
    /// One future drives thousands of sockets: the shard's poller is itself polled, through
    /// [`async_io`], whose own thread does so under any executor. Between bounded turns it yields.
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
        let poller = Async::new_nonblocking(self.shard.poller().as_fd().try_clone_to_owned()?)?;
        loop {
            match self.shard.turn()? {
                Next::Now => future::yield_now().await,
                Next::Never => return Ok(()),
                Next::Wait(time) => {
                    if self.shard.park() {
                        let timer = time.map_or_else(Timer::never, Timer::after);
                        let expired = async {
                            timer.await;
                            Ok(())
                        };
                        let woken = future::or(poller.readable(), expired).await;
                        self.shard.unpark();
                        woken?;
                    }
                }
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

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}
