//! The engine's handle.

use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::cluster::{Cluster, ClusterError, Node};
use crate::drive::Driver;
use crate::inbox::Inbox;
use crate::journal::{JournalError, Keeper};
use crate::listener::{ListenError, ListenOnError, ListenOptions, Listener};
use crate::metrics::Metrics;
use crate::node;
use crate::notices::NoticeQueue;
use crate::options::{Options, OptionsError};
use crate::order::Order;
use crate::shard::{
    descriptors_for_connections, ConnectionLimits, Link, Shared, Spares, SubscriptionLimits, SPARES,
};
use crate::sys::{self, Poller};
use crate::tuning::Tuning;
use crate::waker::ShardWaker;

/// The engine: what a host publishes to, and what listeners and shards belong to.
///
/// A `Hub` is a handle. All methods may be called from any thread at once. Cloning it counts one
/// more handle, an atomic operation: no state is copied, and all clones are the same hub.
///
/// When the last handle is dropped the hub is closed as by [`Hub::close`], which may block the
/// thread for up to two seconds. In async code close it before that with [`Hub::close_async`]; then
/// the drop finds nothing left to wait for.
///
/// Publishing takes one lock for a moment, and wakes the shards that sleep. A method that blocks
/// for longer says so, and has a twin with a name that ends in `_async`.
///
/// # Examples
///
/// ```
/// use fanfare::{Event, Hub, ListenOptions, Options, Topic};
///
/// let hub = Hub::start(Options::default())?;
/// let listener = hub.listen("127.0.0.1:0", ListenOptions::default())?;
/// println!("curl -N http://{}/events?topic=news", listener.local_addr());
///
/// hub.publish(&Topic::new("news")?, Event::new("hello").with_name("greeting"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "dropping the last handle closes the hub"]
pub struct Hub {
    owner: Arc<Owner>,
}

/// What the handles share; the shards share only what is in `shared`.
struct Owner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    full_events: AtomicU64,
    turns: AtomicUsize,
}

/// How long a hub that closes waits for its journal.
const JOURNAL_CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// Why a hub did not start.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, Options, StartError};
///
/// match Hub::start(Options::default().connections_max(0)) {
///     Err(StartError::Options(error)) => assert_eq!(error.option, "connections_max"),
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An option is out of its bounds.
    Options(OptionsError),
    /// The system gave no poller or no thread.
    System(io::Error),
    /// The journal in [`Options::data_dir`] cannot be opened.
    Journal(JournalError),
    /// The hub could not join the cluster of [`Options::cluster`].
    Cluster(ClusterError),
}

impl Hub {
    /// Starts a hub with its shards on threads of their own.
    ///
    /// # Errors
    ///
    /// When an option is out of bounds, or the system is out of descriptors or threads.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// let hub = Hub::start(Options::default().shards(2))?;
    /// assert_eq!(hub.metrics().living_shards, 2);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    pub fn start(options: Options) -> Result<Hub, StartError> {
        let (hub, drivers) = Hub::with_drivers(options)?;
        for (id, driver) in drivers.into_iter().enumerate() {
            let thread = driver.spawn(id).map_err(StartError::System)?;
            hub.owner.threads().push(thread);
        }
        Ok(hub)
    }

    /// Makes a hub with shards that the host drives: each [`Driver`] on its own task or thread,
    /// under any executor.
    ///
    /// # Errors
    ///
    /// When an option is out of bounds, or the system is out of descriptors.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// let (hub, drivers) = Hub::with_drivers(Options::default().shards(2))?;
    /// for driver in drivers {
    ///     smol::spawn(driver.drive()).detach();
    /// }
    /// smol::block_on(hub.close_async());
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    pub fn with_drivers(options: Options) -> Result<(Hub, Vec<Driver>), StartError> {
        options.check().map_err(StartError::Options)?;
        let pollers: io::Result<Vec<Poller>> = (0..options.shards).map(|_| Poller::new()).collect();
        let pollers = pollers.map_err(StartError::System)?;
        let inboxes: Vec<_> = pollers
            .iter()
            .map(|poller| Arc::new(Inbox::new(ShardWaker::new(poller.waker()))))
            .collect();
        let tuning = Tuning::default();
        let links = inboxes.iter().cloned().map(Link::new).collect();
        let joined = options.cluster.as_ref().map(Cluster::join).transpose();
        let mut joined = joined.map_err(StartError::Cluster)?;
        let inboxes = inboxes.into();
        let order = match (&options.data_dir, &mut joined) {
            (_, Some(joined)) => {
                Order::clustered(inboxes, &options, tuning.order, joined.take_base())
            }
            (Some(folder), None) => Order::restored(inboxes, &options, tuning.order, folder)
                .map_err(StartError::Journal)?,
            (None, None) => Order::new(inboxes, &options, tuning.order, Clock::start()),
        };
        let shared = Arc::new(Shared {
            links,
            order,
            cluster: joined.as_ref().map(Cluster::of),
            tuning: tuning.shard,
            connection_limits: connection_limits(&options),
            subscription_limits: SubscriptionLimits::new(
                options.subscriptions_max,
                options.subscriptions_per_address_max,
            ),
            spares: Spares::new(),
            closing: AtomicBool::new(false),
            drain: OnceLock::new(),
            emptied: event_listener::Event::new(),
            finished_answers: AtomicU64::new(0),
            authorizations: Default::default(),
            notices: NoticeQueue::new(options.shards),
            options,
        });
        if let Some(journal) = shared.order.journal() {
            let keeper = Arc::downgrade(&shared);
            journal.set_keeper(keeper);
        }
        if let (Some(cluster), Some(joined)) = (&shared.cluster, joined) {
            for (subscription, rule) in &joined.rules {
                // One that the options of this node do not allow is left out.
                if let Err(error) = shared.order.set_rule(subscription, rule.clone()) {
                    log::warn!("a rule of the cluster is not applied: {error}");
                }
            }
            let node: Weak<dyn Node> = Arc::downgrade(&(shared.clone() as Arc<dyn Node>));
            cluster.run(&joined, node).map_err(StartError::Cluster)?;
        }
        let drivers = pollers.into_iter().enumerate();
        let drivers = drivers.map(|(id, poller)| Driver::new(id, shared.clone(), poller)).collect();
        let owner = Owner {
            shared,
            threads: Mutex::default(),
            full_events: AtomicU64::new(0),
            turns: AtomicUsize::new(0),
        };
        Ok((Hub { owner: Arc::new(owner) }, drivers))
    }

    /// Accepts clients on an address, on all shards, until the [`Listener`] is dropped. Of the
    /// addresses of a host name it takes the first that can be bound.
    ///
    /// Resolving a host name may block the calling thread for as long as the system's resolver
    /// takes, often some seconds: on a thread that drives a shard, or in async code, give a
    /// [`SocketAddr`](std::net::SocketAddr) or the text of one, which needs no resolver.
    ///
    /// # Errors
    ///
    /// When the address cannot be resolved or bound, an option is out of bounds, the hub is closed,
    /// or a shard has too many commands waiting.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, ListenOptions, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let listener = hub.listen("127.0.0.1:0", ListenOptions::default().path("/stream"))?;
    /// println!("curl -N http://{}/stream?topic=news", listener.local_addr());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listen(
        &self,
        addr: impl ToSocketAddrs,
        options: ListenOptions,
    ) -> Result<Listener, ListenError> {
        Listener::open(self.owner.shared.clone(), addr, options)
    }

    /// Accepts clients at a Unix domain socket, on all shards, until the [`Listener`] is dropped.
    /// The file at the path has the permission bits [`ListenOptions::socket_mode`], takes the place
    /// of one that a dead server has left, and is removed with the listener. On Linux a path that
    /// begins with a NUL byte is an abstract name, which has neither a file nor permissions.
    ///
    /// Clients have no address there: [`ConnectionInfo::addr`](crate::ConnectionInfo) is `None`,
    /// limits per address do not hold, and a request's `Host` is checked only if
    /// [`ListenOptions::hosts`] has names. A proxy in front may say who they are: put `unix` into
    /// [`ListenOptions::proxy_protocol_from`] or [`ListenOptions::trusted_proxies`].
    ///
    /// # Errors
    ///
    /// When another server listens there, the path is that of another file, is too long (107 bytes
    /// on Linux) or cannot be bound, an option is out of bounds, the hub is closed, or a shard has
    /// too many commands waiting.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, ListenOptions, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let path = std::env::temp_dir().join(format!("fanfare-hub-{}.sock", std::process::id()));
    /// let options = ListenOptions::default().socket_mode(0o660);
    /// let listener = hub.listen_unix(&path, options)?;
    /// println!("curl -N --unix-socket {} http://localhost/events?topic=news", path.display());
    /// drop(listener);
    /// assert!(!path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listen_unix(
        &self,
        path: impl AsRef<Path>,
        options: ListenOptions,
    ) -> Result<Listener, ListenError> {
        Listener::open_unix(self.owner.shared.clone(), path.as_ref(), options)
    }

    /// Accepts clients at a socket that listens already, TCP or Unix domain, on all shards, until
    /// the [`Listener`] is dropped: one that the host has bound, or that systemd hands to a service
    /// (socket activation). The socket is made non-blocking and close-on-exec, and gets the
    /// listener's socket options; its backlog and its file stay as they are. When the listener is
    /// dropped the socket is closed but not shut down, and no file is removed, so that another
    /// process that has it goes on to accept. Until then the system takes connections for it, also
    /// when the hub is closed or drained, or its last shard has ended: drop the listener first.
    ///
    /// # Errors
    ///
    /// When the socket is not a TCP or Unix domain socket that listens, an option is out of bounds,
    /// the hub is closed, or a shard has too many commands waiting. The error gives the socket
    /// back, which may be non-blocking by then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use fanfare::{Hub, ListenOptions, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let bound = TcpListener::bind("[::1]:0").or_else(|_| TcpListener::bind("127.0.0.1:0"))?;
    /// let addr = bound.local_addr()?;
    /// let listener = hub.listen_on(bound, ListenOptions::default())?;
    /// assert_eq!(listener.local_addr(), addr);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listen_on(
        &self,
        listener: impl Into<OwnedFd>,
        options: ListenOptions,
    ) -> Result<Listener, ListenOnError> {
        Listener::open_on(self.owner.shared.clone(), listener.into(), options)
    }

    /// What was counted until now. Takes a moment per shard, and no lock that a shard waits for.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// assert_eq!(hub.metrics().connections, 0);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let shared = &self.owner.shared;
        let counts = shared.order.counts();
        let mut metrics = Metrics {
            living_shards: shared.links.iter().filter(|link| link.is_alive()).count() as u64,
            connections_max: shared.connection_limits.max() as u64,
            topics: counts.topics,
            known_topics: counts.known_topics,
            filters: counts.filters,
            finished_topics: counts.finished_topics,
            finished_answers: shared.finished_answers.load(Ordering::Relaxed),
            denied_authorizations: shared.authorizations.denied.load(Ordering::Relaxed),
            failed_authorizations: shared.authorizations.failed.load(Ordering::Relaxed),
            late_authorizations: shared.authorizations.late.load(Ordering::Relaxed),
            subscriptions: shared.subscription_limits.taken() as u64,
            published_events: counts.published_events,
            kept_events: counts.kept_events,
            kept_bytes: counts.kept_bytes,
            full_events: self.owner.full_events.load(Ordering::Relaxed),
            backlog_bytes: shared.order.backlog_bytes() as u64,
            lost_notices: shared.notices.lost_ever(),
            interest_watchers: counts.interest_watchers,
            owed_interest_notices: counts.owed_interest_notices,
            cut_graces: counts.cut_graces,
            ..Metrics::default()
        };
        for link in &shared.links {
            link.counters.add_to(&mut metrics);
        }
        if let Some(journal) = shared.order.journal() {
            let stats = journal.stats();
            metrics.journal_failing = u64::from(journal.trouble().is_some());
            metrics.journal_disk_bytes = stats.segment_bytes;
            metrics.journal_waiting_bytes = stats.waiting_bytes as u64;
            metrics.journal_records = stats.records;
            metrics.journal_syncs = stats.syncs;
            metrics.journal_errors = stats.errors;
        }
        node::add_to(&mut metrics, shared);
        metrics
    }

    /// The options that the hub was started with.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// let hub = Hub::start(Options::default().shards(2))?;
    /// assert_eq!(hub.options().shards, 2);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.owner.shared.options
    }

    pub(crate) fn share(&self) -> Arc<Shared> {
        self.owner.shared.clone()
    }

    /// The next number of those by which streams that the host reads go to one shard after another.
    pub(crate) fn next_turn(&self) -> usize {
        self.owner.turns.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.owner.shared
    }

    /// What does not keep the hub.
    #[cfg(feature = "capi")]
    pub(crate) fn downgrade(&self) -> std::sync::Weak<Shared> {
        Arc::downgrade(&self.owner.shared)
    }

    /// An event has found the backlog full.
    pub(crate) fn count_full(&self) {
        self.owner.full_events.fetch_add(1, Ordering::Relaxed);
    }

    /// Has the shards end, and waits for their threads.
    pub(crate) fn end(&self) {
        self.owner.end();
    }

    /// Writes what waits to be written into the journal, and its end.
    pub(crate) async fn close_journal_async(&self) {
        let Some(journal) = self.owner.shared.order.journal() else { return };
        let closing = journal.clone();
        in_thread(move || _ = closing.close(JOURNAL_CLOSE_TIME_MAX)).await;
    }

    /// Has the shards end.
    pub(crate) fn begin_to_end(&self) {
        self.owner.begin_to_end();
    }
}

/// Does what waits for a disk or a server, which no executor's thread may.
pub(crate) async fn in_thread(work: impl FnOnce() + Send + 'static) {
    let (done, is_done) = async_channel::bounded(1);
    let work = move || {
        work();
        _ = done.try_send(());
    };
    let thread = std::thread::Builder::new().name("fanfare-close".to_owned());
    if thread.spawn(work).is_ok() {
        _ = is_done.recv().await;
    }
}

/// The limits on connections, within what descriptors the process may have now.
fn connection_limits(options: &Options) -> ConnectionLimits {
    let Options { connections_max: wished, connections_per_address_max, shards, .. } = *options;
    let limit = sys::descriptors_max();
    // Some are kept to spare, and each shard on an executor has its poller's twice.
    let open = sys::descriptors_open() + SPARES + shards;
    let descriptors = descriptors_for_connections(limit, open);
    let limits = ConnectionLimits::new(wished, connections_per_address_max, descriptors);
    if let Some(limit) = limit.filter(|_| limits.max() < wished) {
        log::warn!(
            "at most {} connections, and not connections_max, which is {wished}: the process may \
             have no more than {limit} files open; raise that limit (ulimit -n, LimitNOFILE)",
            limits.max()
        );
    }
    limits
}

/// The journal asks the order, without keeping the hub.
impl Keeper for Shared {
    fn kept_bytes(&self) -> u64 {
        self.order.kept_bytes()
    }

    fn sift(&self, records: &mut dyn Iterator<Item = (u64, &[u8])>, needed: &mut Vec<bool>) {
        self.order.sift(records, needed);
    }

    fn summary(&self) -> Vec<u8> {
        self.order.summary()
    }
}

impl Owner {
    fn begin_to_end(&self) {
        self.shared.order.close();
        self.shared.closing.store(true, Ordering::SeqCst);
        for link in &self.shared.links {
            link.inbox.ring();
        }
    }

    fn end(&self) {
        self.leave_cluster();
        self.begin_to_end();
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            if thread.join().is_err() {
                log::error!("a shard's thread has panicked");
            }
        }
        self.close_journal();
    }

    /// Has the cluster's server take what waits for it.
    fn leave_cluster(&self) {
        if let Some(cluster) = &self.shared.cluster {
            node::leave(cluster);
        }
    }

    /// Writes what waits to be written, and the journal's end.
    fn close_journal(&self) {
        if let Some(journal) = self.shared.order.journal() {
            if !journal.close(JOURNAL_CLOSE_TIME_MAX) {
                log::error!(
                    "the journal could not be written to its end: clients will be told what is missing"
                );
            }
        }
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("epoch", &self.owner.shared.order.epoch())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Options(error) => error.fmt(f),
            StartError::Journal(error) => error.fmt(f),
            StartError::Cluster(error) => error.fmt(f),
            StartError::System(_) => f.write_str(
                "the system refuses what a hub needs; raise its limits on open files and threads",
            ),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Options(error) => std::error::Error::source(error),
            StartError::System(error) => Some(error),
            StartError::Journal(error) => std::error::Error::source(error),
            StartError::Cluster(error) => std::error::Error::source(error),
        }
    }
}
