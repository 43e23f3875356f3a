//! How a host watches which topics have subscribers.

use std::time::Duration;

use crate::filter::Subscription;
use crate::hub::Hub;
use crate::interest::{InterestError, InterestNotices};

impl Hub {
    /// From now on, a notice when a topic gets its first subscriber and when the last one has been
    /// gone for the grace time: so that a host produces only what is watched. `subscription` says
    /// which topics: one, or all of a filter.
    ///
    /// - **What is told.** The topics that clients ask for by name, and the clients' filters that
    ///   could match a topic of `subscription`, as they are: a filter names no topics, so that the
    ///   host compares its own topics with it. First of all, what has a subscriber already.
    ///   A subscriber is an open event stream on any shard, also one that lags or is still sent
    ///   what it has missed; a request that is not answered yet is none.
    /// - **Grace.** From zero to [`InterestNotices::GRACE_MAX`]. A client that comes back within
    ///   it, as after a reload of its page, or another client, changes nothing, and nothing is
    ///   told. It ends at most 0.2 s late, or later where thousands end at once. A stream that is
    ///   given other topics ([`Hub::set_subscriptions`]) keeps those that it had before without a
    ///   moment between.
    /// - **Exact.** For each topic and filter the two kinds of notices alternate, beginning with
    ///   [`InterestKind::Subscribed`](crate::InterestKind::Subscribed). None is lost: a host that
    ///   takes notices slowly is told how it is now, and not of what came and went meanwhile. So no
    ///   more notices wait than there are topics and filters with subscribers, or were when the
    ///   host was told.
    /// - **The end.** Dropping the receiver ends the watcher. When the hub is closed every grace
    ///   time ends, all that was told as subscribed is told as unsubscribed, and then the receiver
    ///   ends.
    ///
    /// A stream that closes is no order to stop: its page may be reloaded, its network may change.
    /// A user who wants a run to stop says so in a request to the host, which then stops it at
    /// once.
    ///
    /// The calling thread visits all topics that begin as `subscription` does, and all filters, for
    /// some 6 ms per 10,000. It takes the hub's lock for 256 of them at a time.
    ///
    /// # Errors
    ///
    /// When the grace time is too long, or the hub has [`InterestNotices::WATCHERS_MAX`] watchers.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{Hub, InterestKind, Options, Subscription};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let sensors = Subscription::new("sensor/#")?;
    /// let interest = hub.watch_interest(&sensors, Duration::from_secs(10))?;
    /// let producer = std::thread::spawn(move || {
    ///     for notice in interest {
    ///         match notice.kind {
    ///             InterestKind::Subscribed => println!("start {}", notice.subscription),
    ///             _ => println!("stop {}", notice.subscription),
    ///         }
    ///     }
    /// });
    /// hub.close();
    /// producer.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watch_interest(
        &self,
        subscription: &Subscription,
        grace: Duration,
    ) -> Result<InterestNotices, InterestError> {
        if grace > InterestNotices::GRACE_MAX {
            return Err(InterestError::GraceTooLong);
        }
        let queue = self.shared().order.watch(subscription, grace);
        queue.map(InterestNotices::new).ok_or(InterestError::TooManyWatchers)
    }
}
