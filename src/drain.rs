//! How a hub ends: at once, or without a storm of reconnections, with its clients sent away evenly.

use std::time::{Duration, Instant};

use async_io::Timer;
use event_listener::Listener as _;
use futures_lite::future;

use crate::hub::Hub;
use crate::metrics::{DisconnectReason, Metrics};
use crate::options::chained::chained;
use crate::options::{within, OptionsError};
use crate::shard::Drain;

chained! {
    /// How a hub is drained, see [`Hub::drain`](crate::Hub::drain).
    ///
    /// With the defaults everything has ended after 6 s: the window, the grace, and the two seconds
    /// of a close. Docker kills a container 10 s after it was told to stop.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{DrainOptions, Hub, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let drained = hub.drain(DrainOptions::default().window(Duration::from_millis(100)));
    /// assert_eq!((drained.told, drained.cut), (0, 0));
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct DrainOptions {
        /// The connections are closed evenly over this time, at most 1 hour. Zero closes all at
        /// once. Default: 3 s.
        pub window: Duration,
        /// How much longer after the window a connection that lags may take what waits for it,
        /// at most 1 hour; then the hub is closed, which gives it two seconds more, and it is cut.
        /// Default: 1 s.
        pub grace: Duration,
        /// Each client is told to come back after a time drawn from this to twice this, at most 1
        /// day, so that clients do not come back in the same moment. Zero tells nothing. Default: 2
        /// s.
        pub retry: Duration,
    }
}

impl Default for DrainOptions {
    fn default() -> DrainOptions {
        let [window, grace, retry] = [3, 1, 2].map(Duration::from_secs);
        DrainOptions { window, grace, retry }
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl DrainOptions {
    /// Checks every option against its bounds. [`Hub::drain`](crate::Hub::drain) does not refuse
    /// what is beyond them, since it has to end, and takes the bound instead; a host that reads its
    /// options from somewhere tells its user at the start.
    ///
    /// # Errors
    ///
    /// The first option that is outside of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::DrainOptions;
    ///
    /// let options = DrainOptions::default().window(Duration::from_secs(24 * 60 * 60));
    /// let error = options.check().unwrap_err();
    /// assert_eq!((error.option, &*error.bounds), ("window", "at most 1 hour"));
    /// ```
    pub fn check(&self) -> Result<(), OptionsError> {
        within(self.window <= HOUR, "window", "at most 1 hour")?;
        within(self.grace <= HOUR, "grace", "at most 1 hour")?;
        within(self.retry <= DAY, "retry", "at most 1 day")
    }

    /// The options within their bounds.
    pub(crate) fn bounded(self) -> DrainOptions {
        DrainOptions {
            window: self.window.min(HOUR),
            grace: self.grace.min(HOUR),
            retry: self.retry.min(DAY),
        }
    }
}

/// What became of a hub's connections when it was drained.
///
/// # Examples
///
/// ```
/// use fanfare::{DrainOptions, Drained, Hub, Options};
///
/// let hub = Hub::start(Options::default())?;
/// let drained: Drained = hub.drain(DrainOptions::default());
/// if drained.cut > 0 {
///     println!("{} clients were too slow to be told when to come back", drained.cut);
/// }
/// # Ok::<(), fanfare::StartError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that were sent everything, told when to come back, and closed.
    pub told: u64,
    /// Connections that were closed without that, since they did not take what there was for them
    /// in time.
    pub cut: u64,
}

impl Hub {
    /// Closes the hub: nothing more is published or accepted, what was published is sent for at
    /// most two seconds more, and then every connection is closed. Closing twice does nothing.
    ///
    /// Blocks the calling thread until the shards' threads have ended, up to two seconds if a
    /// client reads slowly, so in async code use [`Hub::close_async`]. Shards that the host drives
    /// ([`Hub::with_drivers`]) end by themselves, and are not waited for.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options, PublishError, Topic};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// hub.close();
    /// let refused = hub.publish(&Topic::new("news")?, "too late");
    /// assert_eq!(refused.unwrap_err(), PublishError::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) {
        self.end();
    }

    /// Closes the hub as [`Hub::close`], without blocking, under any executor. It is ready when
    /// every shard has sent what it could and has ended, also shards that the host drives: so a
    /// [`Driver`](crate::Driver) has to be driven, or dropped; and when the journal is written, if
    /// there is one, for which it waits at most two seconds. To drop the last handle afterwards
    /// does not block. Dropping the future leaves the shards ending by themselves, once it was
    /// polled.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// smol::block_on(hub.close_async());
    /// assert_eq!(hub.metrics().living_shards, 0);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    pub async fn close_async(&self) {
        self.leave_cluster_async().await;
        self.begin_to_end();
        let shared = self.shared();
        while shared.notices.has_shards() {
            let ended = shared.emptied.listen();
            if shared.notices.has_shards() {
                ended.await;
            }
        }
        self.close_journal_async().await;
    }

    /// Ends the hub without a storm of reconnections, and blocks until that is done: no client is
    /// accepted any more, and the connections are closed evenly over a window. Each is first sent
    /// everything, and told a random time after which to come back. What is published meanwhile
    /// goes to the connections that are left. Then the hub is closed, as by [`Hub::close`].
    ///
    /// Takes at most the window and the grace of the options, and the two seconds of a close.
    /// The options of the first call count; a second call waits for its own deadline at most.
    /// It must not be called on a thread that drives a shard: there use [`Hub::drain_async`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{DrainOptions, Hub, Options};
    /// # let hub = Hub::start(Options::default())?;
    /// let drained = hub.drain(DrainOptions::default().window(Duration::from_secs(10)));
    /// println!("{} were told when to come back, {} cut", drained.told, drained.cut);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    pub fn drain(&self, options: DrainOptions) -> Drained {
        let (deadline, before) = self.begin_to_drain(options);
        while self.has_connections() {
            let emptied = self.shared().emptied.listen();
            if !self.has_connections() || emptied.wait_deadline(deadline).is_none() {
                break;
            }
        }
        let cut = self.metrics().connections;
        self.close();
        self.drained(&before, cut)
    }

    /// Drains as [`Hub::drain`], without blocking, under any executor. Dropping the future leaves
    /// the hub draining, and open until it is closed. It is ready when every shard has ended, as
    /// [`Hub::close_async`] is.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{DrainOptions, Hub, Options};
    /// # let hub = Hub::start(Options::default())?;
    /// let drained = smol::block_on(hub.drain_async(DrainOptions::default()));
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    pub async fn drain_async(&self, options: DrainOptions) -> Drained {
        let (deadline, before) = self.begin_to_drain(options);
        while self.has_connections() {
            let emptied = self.shared().emptied.listen();
            let expired = async {
                Timer::at(deadline).await;
                false
            };
            let emptied = async {
                emptied.await;
                true
            };
            if !self.has_connections() || !future::or(emptied, expired).await {
                break;
            }
        }
        let cut = self.metrics().connections;
        self.close_async().await;
        self.drained(&before, cut)
    }

    fn begin_to_drain(&self, options: DrainOptions) -> (Instant, Metrics) {
        let shared = self.shared();
        let before = self.metrics();
        let DrainOptions { window, grace, retry } = options.bounded();
        // At most an hour, which the clock can express.
        let window_ns = window.as_nanos() as u64;
        let _ = shared.drain.set(Drain { from_ns: shared.order.now_ns(), window_ns, retry });
        for link in &shared.links {
            link.inbox.ring();
        }
        (Instant::now() + window + grace, before)
    }

    fn has_connections(&self) -> bool {
        let shards = self.shared().links.iter();
        shards.filter(|link| link.is_alive()).any(|link| link.counters.connections.value() > 0)
    }

    fn drained(&self, before: &Metrics, cut: u64) -> Drained {
        let told = |metrics: &Metrics| metrics.disconnects(DisconnectReason::Drained);
        Drained { told: told(&self.metrics()) - told(before), cut }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use futures_lite::future::{block_on, poll_once};

    use super::*;
    use crate::listener::ListenOptions;
    use crate::options::Options;
    use crate::topic::Topic;

    /// Longer than anything here takes, on the slowest machine.
    const DEADLINE: Duration = Duration::from_secs(60);

    fn in_time<T>(future: impl std::future::Future<Output = T>) -> T {
        let too_late = async {
            Timer::after(DEADLINE).await;
            panic!("it is not ready in time")
        };
        block_on(future::or(future, too_late))
    }

    #[test]
    fn an_asynchronous_close_ends_when_all_was_sent_and_every_shard_has_ended() {
        let hub = Hub::start(Options::default().shards(3)).unwrap();
        let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
        let mut client = TcpStream::connect(listener.local_addr()).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client.write_all(b"GET /events?topic=a HTTP/1.0\r\n\r\n").unwrap();
        let topic = Topic::new("a").unwrap();
        let deadline = Instant::now() + DEADLINE;
        while hub.metrics().topics == 0 {
            assert!(Instant::now() < deadline, "the client is not served");
            std::thread::yield_now();
        }
        hub.publish(&topic, "the last").unwrap();
        in_time(hub.close_async());
        assert_eq!(hub.metrics().living_shards, 0);
        assert_eq!(hub.metrics().disconnects(DisconnectReason::Closed), 1);
        let mut all = String::new();
        client.read_to_string(&mut all).unwrap();
        assert!(all.ends_with("data: the last\n\n"), "{all}");
        in_time(hub.close_async());
    }

    #[test]
    fn an_asynchronous_close_waits_for_shards_that_the_host_drives() {
        let (hub, mut drivers) = Hub::with_drivers(Options::default().shards(2)).unwrap();
        let dropped = drivers.pop().unwrap();
        let driven = drivers.pop().unwrap();
        let mut close = Box::pin(hub.close_async());
        assert_eq!(block_on(poll_once(&mut close)), None, "neither shard has ended");
        drop(dropped);
        assert_eq!(block_on(poll_once(&mut close)), None, "one shard has not ended");
        in_time(driven.drive()).unwrap();
        in_time(close);
    }

    #[test]
    fn an_asynchronous_drain_ends_when_every_shard_has_ended() {
        let hub = Hub::start(Options::default().shards(2)).unwrap();
        let drained = in_time(hub.drain_async(DrainOptions::default()));
        assert_eq!((drained.told, drained.cut, hub.metrics().living_shards), (0, 0, 0));
    }
}
