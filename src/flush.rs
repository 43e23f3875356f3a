//! Waiting until what was published is durable.

use std::fmt;
use std::time::{Duration, Instant};

use event_listener::Listener as _;

use crate::cluster::Cluster;
use crate::hub::Hub;

/// Why what was published is not known to be durable.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use fanfare::{FlushError, Hub, Options};
///
/// let hub = Hub::start(Options::default())?;
/// assert_eq!(hub.flush(Duration::from_secs(1)), Err(FlushError::NoJournal));
/// # Ok::<(), fanfare::StartError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlushError {
    /// The hub has neither [`Options::data_dir`](crate::Options) nor a cluster: its events end with the process.
    NoJournal,
    /// The timeout was over before. The hub goes on to write.
    TimedOut,
    /// The journal could not be written for ten seconds, or the cluster's server not be reached; or the hub
    /// was closed before.
    Unwritable,
}

impl Hub {
    /// Waits until everything that was published before, by any thread, is as safe as
    /// [`Options::durability`](crate::Options) promises: for a host that publishes many events with
    /// [`Hub::publish`], which does not wait, and then wants to know once. Blocks the calling thread
    /// for at most `timeout`; [`Duration::MAX`] has no bound. In a cluster it waits until the cluster's server has
    /// everything that was published here.
    ///
    /// # Errors
    ///
    /// [`FlushError`]; the events are published all the same.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{Durability, Hub, Options, Topic};
    ///
    /// let folder = std::env::temp_dir().join(format!("fanfare-flush-{}", std::process::id()));
    /// let options = Options::default().data_dir(&folder).durability(Durability::Always);
    /// let hub = Hub::start(options)?;
    /// for line in ["one", "two", "three"] {
    ///     hub.publish(&Topic::new("log")?, line)?;
    /// }
    /// hub.flush(Duration::from_secs(10))?;
    /// # hub.close();
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        let (order, deadline) = (&self.shared().order, Instant::now().checked_add(timeout));
        if let Some(cluster) = &self.shared().cluster {
            let serial = cluster.last_serial();
            while let Some(kept) = cluster.listen_if_not_kept(serial) {
                let is_in_time = match deadline {
                    Some(deadline) => kept.wait_deadline(deadline).is_some(),
                    None => {
                        kept.wait();
                        true
                    }
                };
                if !is_in_time {
                    return Err(FlushError::TimedOut);
                }
            }
            return cluster.flushed();
        }
        let Some(journal) = order.journal() else { return Err(FlushError::NoJournal) };
        match order.wait_until_durable(order.newest_id(), deadline) {
            true => Ok(()),
            false if journal.is_given_up() => Err(FlushError::Unwritable),
            false => Err(FlushError::TimedOut),
        }
    }

    /// Why the journal cannot be written at the moment, in words; `None` while all is well, and for a hub
    /// without one.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// assert_eq!(Hub::start(Options::default())?.journal_trouble(), None);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn journal_trouble(&self) -> Option<String> {
        Some(self.shared().order.journal()?.trouble()?.what)
    }

    /// [`Hub::flush`] without a bound in time, under any executor.
    ///
    /// # Errors
    ///
    /// [`FlushError`], but never [`FlushError::TimedOut`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Hub, Options, Topic};
    /// # let folder = std::env::temp_dir().join(format!("fanfare-flush-async-{}", std::process::id()));
    /// let hub = Hub::start(Options::default().data_dir(&folder))?;
    /// hub.publish(&Topic::new("log")?, "a line")?;
    /// smol::block_on(hub.flush_async())?;
    /// # hub.close();
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn flush_async(&self) -> Result<(), FlushError> {
        let order = &self.shared().order;
        if let Some(cluster) = &self.shared().cluster {
            let serial = cluster.last_serial();
            while let Some(kept) = cluster.listen_if_not_kept(serial) {
                kept.await;
            }
            return cluster.flushed();
        }
        if order.journal().is_none() {
            return Err(FlushError::NoJournal);
        }
        let is_durable = order.when_durable(order.newest_id()).await;
        is_durable.then_some(()).ok_or(FlushError::Unwritable)
    }
}

impl Cluster {
    fn flushed(&self) -> Result<(), FlushError> {
        match self.is_given_up() {
            true => Err(FlushError::Unwritable),
            false => Ok(()),
        }
    }
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FlushError::NoJournal => {
                "the hub has no journal; start it with the option data_dir, or as a node of a cluster, to keep \
                 events"
            }
            FlushError::TimedOut => {
                "the journal was not written in time; wait longer, the hub goes on to write"
            }
            FlushError::Unwritable => {
                "the journal cannot be written, or the cluster's server not reached; look at the hub's log, and \
                 mend that"
            }
        })
    }
}

impl std::error::Error for FlushError {}
