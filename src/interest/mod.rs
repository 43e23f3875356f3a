//! Interest: what a host is told about topics that get their first subscriber and lose their last.
//!
//! The truth is in the hub's order (`order/watchers.rs`), which notes in each watcher's
//! [`table`] what has a subscriber and what has none any more. The host takes out of the table what
//! it was not told yet; [`queue`] has it wait while there is nothing.

mod notice;
mod queue;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

pub use self::notice::{InterestKind, InterestNotice};
use self::queue::Queue;
pub(crate) use self::table::{Moment, Table, Tally};
use crate::receive;

/// One watcher's table, shared by the hub and the receivers.
pub(crate) type InterestQueue = Queue<Table>;

/// Why a hub does not watch interest.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use fanfare::{Hub, InterestError, Options, Subscription};
///
/// let hub = Hub::start(Options::default())?;
/// let too_long = hub.watch_interest(&Subscription::new("#")?, Duration::from_secs(3_601));
/// assert_eq!(too_long.unwrap_err(), InterestError::GraceTooLong);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InterestError {
    /// The hub has [`InterestNotices::WATCHERS_MAX`] watchers.
    TooManyWatchers,
    /// The grace time is longer than [`InterestNotices::GRACE_MAX`].
    GraceTooLong,
}

/// Where a host receives [`InterestNotice`]s, see
/// [`Hub::watch_interest`](crate::Hub::watch_interest). An iterator over it blocks for the next
/// one, and ends with the hub. Clones share one queue: each notice goes to one of them.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use fanfare::{Hub, Options, Subscription};
///
/// let hub = Hub::start(Options::default())?;
/// let mut interest = hub.watch_interest(&Subscription::new("#")?, Duration::ZERO)?;
/// hub.close();
/// assert_eq!(interest.next(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "dropping the receiver ends the watcher"]
pub struct InterestNotices {
    receivers: Arc<Receivers>,
}

/// What the clones of a receiver share.
struct Receivers {
    queue: Arc<InterestQueue>,
}

impl InterestNotices {
    /// The longest grace time.
    pub const GRACE_MAX: Duration = Duration::from_secs(60 * 60);
    /// The most watchers that a hub has at once.
    pub const WATCHERS_MAX: usize = 64;
    /// The most subscriptions of a watcher whose grace time runs at once. When there are more, the
    /// grace time that began first ends early
    /// ([`Metrics::cut_graces`](crate::Metrics::cut_graces)).
    pub const GRACES_MAX: usize = 65_536;

    pub(crate) fn new(queue: Arc<InterestQueue>) -> InterestNotices {
        InterestNotices { receivers: Arc::new(Receivers { queue }) }
    }

    /// The next notice, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Hub, Options, Subscription};
    /// # let hub = Hub::start(Options::default())?;
    /// let interest = hub.watch_interest(&Subscription::new("sensor/#")?, Duration::ZERO)?;
    /// assert_eq!(interest.try_next(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn try_next(&self) -> Option<InterestNotice> {
        self.queue().with(Table::next)
    }

    /// The next notice, for which it waits at most `timeout`; `None` when none came, or when no
    /// more will come. Blocks the calling thread, so it must not be one that drives a shard: there
    /// use [`InterestNotices::next_async`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Hub, Options, Subscription};
    /// # let hub = Hub::start(Options::default())?;
    /// let interest = hub.watch_interest(&Subscription::new("sensor/#")?, Duration::ZERO)?;
    /// assert_eq!(interest.wait(Duration::from_millis(10)), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> Option<InterestNotice> {
        receive::within(timeout, self.next_async())
    }

    /// The next notice, under any executor; `None` when none will come any more. Dropping the
    /// future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Hub, Options, Subscription};
    /// # let hub = Hub::start(Options::default())?;
    /// let interest = hub.watch_interest(&Subscription::new("sensor/#")?, Duration::ZERO)?;
    /// smol::block_on(hub.close_async());
    /// assert_eq!(smol::block_on(interest.next_async()), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn next_async(&self) -> Option<InterestNotice> {
        self.queue().take(Table::next_or_end).await
    }

    /// The number of notices that wait to be received.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Hub, Options, Subscription};
    /// # let hub = Hub::start(Options::default())?;
    /// let interest = hub.watch_interest(&Subscription::new("sensor/#")?, Duration::ZERO)?;
    /// assert_eq!(interest.waiting(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue().with(|table| table.owed())
    }

    /// Whether none will come any more: the hub's shards have ended, and all notices were received.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Hub, Options, Subscription};
    /// # let hub = Hub::start(Options::default())?;
    /// let interest = hub.watch_interest(&Subscription::new("sensor/#")?, Duration::ZERO)?;
    /// assert!(!interest.is_ended());
    /// hub.close();
    /// assert!(interest.is_ended());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.queue().with(|table| table.is_over())
    }

    fn queue(&self) -> &InterestQueue {
        &self.receivers.queue
    }
}

impl Iterator for InterestNotices {
    type Item = InterestNotice;

    fn next(&mut self) -> Option<InterestNotice> {
        future::block_on(self.next_async())
    }
}

impl fmt::Debug for InterestNotices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterestNotices").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        drop(self.queue.with(Table::leave));
    }
}

impl fmt::Display for InterestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InterestError::TooManyWatchers => {
                let most = InterestNotices::WATCHERS_MAX;
                write!(f, "the hub has {most} watchers of interest; drop one, or watch a filter")
            }
            InterestError::GraceTooLong => {
                let most = InterestNotices::GRACE_MAX.as_secs();
                write!(f, "the grace time is longer than {most} s; give a shorter one")
            }
        }
    }
}

impl std::error::Error for InterestError {}
