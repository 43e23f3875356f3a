//! Hubs that have one order of events: a cluster. Its order is a stream of a Redis server, to which each node
//! appends what its host publishes, and which each node reads.
//!
//! ```text
//!   publish ---> outbox ---> appender ==> the server's stream ==> reader ---> Order::apply ---> shards
//!                  ^                                                |
//!                  +------------- what became of it ----------------+
//! ```
//!
//! 1. [`Cluster::publish`] puts an event into the [`outbox`], a bounded queue of batches. It does not wait.
//! 2. The [`appender`], a thread, gives batches to the server, with a [script](scripts) that takes a batch as a
//!    whole, gives its items their numbers, and knows the batches of each node that it has: one whose answer was
//!    lost is sent again and not doubled.
//! 3. The [`reader`], a thread of each node, takes entries from the stream and applies them to the node's order.
//!    From there on everything is as in a hub of its own.
//! 4. When it finds a batch of its own node, it tells the publishers that wait, and frees the space.
//! 5. A client may come back that lacks events which this node has forgotten, and the stream still has: a shard
//!    [asks](recall) for them, and a thread of their own reads them once more.
//!
//! **Questions.** A node that wants to know who is connected anywhere [asks](asking) by a second stream, which a fourth
//! thread of each node [reads and answers](answering).
//!
//! **Lives.** The numbers of a stream are right as long as the server has what it has said it has. A server that
//! was restarted, or another one that took its place, may lack the newest entries. So an append says for which
//! run of the server the present life was begun; in another run the script refuses it, and the first node that hears
//! that begins a life: an entry with an epoch of its own, numbers far above all that any node can have seen,
//! and how far the stream and that node had come. What follows from it at each node, and for the clients that go from
//! one to another, is in [`progress`].

mod address;
mod error;
mod found;
mod options;
mod outbox;
mod recall;
mod strangers;

#[cfg(feature = "cluster")]
mod answering;
#[cfg(feature = "cluster")]
mod appender;
#[cfg(feature = "cluster")]
mod asking;
#[cfg(feature = "cluster")]
mod entry;
#[cfg(feature = "cluster")]
mod joining;
#[cfg(feature = "cluster")]
mod marks;
#[cfg(feature = "cluster")]
mod progress;
#[cfg(feature = "cluster")]
mod question;
#[cfg(feature = "cluster")]
mod reader;
#[cfg(feature = "cluster")]
mod recalling;
#[cfg(feature = "cluster")]
mod scripts;
#[cfg(feature = "cluster")]
mod server;
#[cfg(all(test, feature = "cluster"))]
mod simulation;
#[cfg(feature = "cluster")]
mod taken;
#[cfg(feature = "cluster")]
mod tls;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
#[cfg(not(feature = "cluster"))]
use std::sync::Weak;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_channel::Receiver;

pub use self::error::ClusterError;
pub(crate) use self::found::Question;
pub use self::found::{ClusterConnection, ClusterConnections};
pub use self::options::ClusterOptions;
use self::outbox::Outbox;
pub(crate) use self::outbox::Slot;
pub(crate) use self::recall::{Asker, Recall, Recalled, RecalledEvents};
use self::recall::{Continuity, Questions};
use self::strangers::Strangers;
use crate::filter::Subscription;
use crate::frame::Draft;
use crate::lifecycle::AdminError;
use crate::options::TopicOptions;
use crate::order::{Base, ClusterItem, Order, Refused};
use crate::resume::Resume;
use crate::shard::Census;
use crate::sync::EventListener;
use crate::topic::Topic;

/// How long the server may not serve before publishers are told so, instead of that the hub is full.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a node that ends waits for its threads, which may be waiting for the server's answer.
const END_TIME_MAX: Duration = Duration::from_secs(1);

/// After which time a client comes again that was at a node which has read more. It is a moment, as a rule.
pub(crate) const BEHIND_RETRY: Duration = Duration::from_millis(100);

/// The number that no client comes with: nobody may lack what this node is about to announce.
const NO_DOUBT: u64 = u64::MAX;

/// What the reader needs of the hub.
pub(crate) trait Node: Send + Sync {
    fn order(&self) -> &Order;
    /// Ends all streams, so that clients come back with the ids that they have.
    fn send_clients_away(&self);
    /// What a question to all nodes is about; `None` if a shard has too much to do.
    fn find<'a>(&'a self, question: &'a Question) -> Finding<'a>;
}

/// What comes of a question, once.
pub(crate) type Asked = Receiver<Result<ClusterConnections, AdminError>>;

pub(crate) type Finding<'a> = Pin<Box<dyn Future<Output = Option<Census>> + Send + 'a>>;

/// A node's membership of its cluster.
pub(crate) struct Cluster {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the node's threads and its publishers share.
struct Shared {
    options: ClusterOptions,
    /// The node's name in the stream: drawn at random for each start.
    producer: String,
    outbox: Outbox,
    ends: AtomicBool,
    appending: Health,
    reading: Health,
    counters: Counters,
    /// The stream's life, and the last number that the reader has taken.
    reached: Mutex<(u64, u64)>,
    /// Clients that come with this number or a later one, or with an id of a publisher's, may lack what this node is
    /// about to announce.
    doubtful_from: AtomicU64,
    strangers: Strangers,
    /// What clients lack that this node has forgotten.
    questions: Questions,
    continuity: Continuity,
    /// Questions of this node that are on their way.
    asking: AtomicUsize,
}

/// What a cluster's node has counted.
#[derive(Default)]
struct Counters {
    appended_batches: AtomicU64,
    read_items: AtomicU64,
    refused_items: AtomicU64,
    reconnects: AtomicU64,
    lost_ranges: AtomicU64,
}

/// Whether one of the two connections serves.
#[derive(Default)]
struct Health(Mutex<Option<Trouble>>);

/// Why the server does not serve.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    since: Instant,
    pub(crate) what: String,
}

/// What a node says of its cluster.
pub(crate) struct ClusterStats {
    pub(crate) backlog_bytes: usize,
    pub(crate) appended_batches: u64,
    pub(crate) read_items: u64,
    pub(crate) refused_items: u64,
    pub(crate) reconnects: u64,
    pub(crate) lost_ranges: u64,
}

/// A node that has joined, before its hub is there.
pub(crate) struct Joined {
    pub(crate) base: Base,
    pub(crate) rules: Vec<(Subscription, TopicOptions)>,
    shared: Arc<Shared>,
    /// Up to which number the node reads before its hub has started.
    tail: u64,
}

impl Joined {
    /// Where the order begins. To be called once.
    pub(crate) fn take_base(&mut self) -> Base {
        Base { lives: std::mem::take(&mut self.base.lives), ..self.base }
    }
}

impl Cluster {
    /// Finds the cluster's stream, or begins it.
    #[cfg(not(feature = "cluster"))]
    pub(crate) fn join(_: &ClusterOptions) -> Result<Joined, ClusterError> {
        Err(ClusterError::NotBuilt)
    }

    /// Begins to append and to read, when the hub is there. Returns when the node has read what the stream had
    /// when it joined.
    #[cfg(not(feature = "cluster"))]
    pub(crate) fn run(&self, _: &Joined, _: Weak<dyn Node>) -> Result<(), ClusterError> {
        Err(ClusterError::NotBuilt)
    }

    /// Asks all nodes.
    #[cfg(not(feature = "cluster"))]
    pub(crate) fn ask(
        &self,
        _: Arc<dyn Node>,
        _: Question,
        _: Duration,
    ) -> Result<Asked, AdminError> {
        Err(AdminError::NoCluster)
    }

    /// The node's name.
    pub(crate) fn node(&self) -> &str {
        &self.shared.producer
    }

    pub(crate) fn of(joined: &Joined) -> Cluster {
        Cluster { shared: joined.shared.clone(), threads: Mutex::default() }
    }

    /// Sends an event on its way: what becomes of it is known when it is read back, and told to the slot.
    pub(crate) fn publish(
        &self,
        order: &Order,
        topics: &[Topic],
        draft: Draft,
        window_ns: u64,
        slot: Option<Arc<Slot>>,
    ) -> Result<(), Refused> {
        check_open(order, topics)?;
        let mut item = Vec::with_capacity(draft.fields().len() + 128);
        ClusterItem::put_event(&mut item, topics, &draft, window_ns);
        match self.shared.outbox.put(&item, None, slot) {
            Ok(()) => Ok(()),
            Err(Some(space)) => Err(self.no_space(Some(draft), space)),
            Err(None) => Err(Refused::Closed),
        }
    }

    /// Sends on its way that a topic is finished, with a last event if there is one.
    pub(crate) fn finish(
        &self,
        order: &Order,
        topic: &Topic,
        last: Option<Draft>,
        slot: Option<Arc<Slot>>,
    ) -> Result<(), Refused> {
        check_open(order, std::slice::from_ref(topic))?;
        let mut item = Vec::new();
        ClusterItem::put_finished(&mut item, topic, last.as_ref());
        let put = match last {
            Some(_) => self.shared.outbox.put(&item, None, slot),
            None => self.shared.outbox.put_end(&item, slot),
        };
        match put {
            Ok(()) => Ok(()),
            Err(Some(space)) => Err(self.no_space(last, space)),
            Err(None) => Err(Refused::Closed),
        }
    }

    /// Sends a rule on its way, or that it is removed; waits for a bounded time until it holds here.
    pub(crate) fn set_rule(&self, subscription: &Subscription, options: Option<&TopicOptions>) {
        let mut item = Vec::new();
        ClusterItem::put_rule(&mut item, subscription, options);
        let kept = options.map(|_| item.clone());
        let deadline = Instant::now() + self.shared.options.answer_timeout;
        let slot = Arc::new(Slot::default());
        loop {
            let change = (subscription.as_str().to_owned(), kept.clone());
            match self.shared.outbox.put(&item, Some(change), Some(slot.clone())) {
                Ok(()) => break,
                Err(Some(space)) => {
                    use event_listener::Listener as _;
                    if space.wait_deadline(deadline).is_none() {
                        log::error!("a rule was not set: too much waits for the cluster's server");
                        return;
                    }
                }
                Err(None) => return,
            }
        }
        if slot.wait(Some(deadline)).is_none() {
            log::warn!("a rule is on its way to the cluster's server and does not hold yet");
        }
    }

    fn no_space(&self, draft: Option<Draft>, space: EventListener) -> Refused {
        match (self.is_given_up(), draft) {
            (false, Some(draft)) => Refused::Full(draft, space),
            (true, _) => Refused::Unreachable,
            // As much again as may wait are ends of topics alone.
            (false, None) => Refused::Unreachable,
        }
    }

    /// A listener for the moment when more may be on its way to the server, if too much is; `None` also when nobody
    /// is to wait for that.
    #[cfg(feature = "capi")]
    pub(crate) fn listen_if_full(&self) -> Option<EventListener> {
        self.shared.outbox.listen_if_full().filter(|_| !self.is_given_up())
    }

    /// What was published up to now.
    pub(crate) fn last_serial(&self) -> u64 {
        self.shared.outbox.last_serial()
    }

    /// A listener for the moment when the server may have all up to a serial; `None` if it has, and when nobody is
    /// to wait for that.
    pub(crate) fn listen_if_not_kept(&self, serial: u64) -> Option<EventListener> {
        self.shared.outbox.listen_if_not_kept(serial).filter(|_| !self.is_given_up())
    }

    /// Why the server does not serve at the moment, if it does not.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let Shared { appending, reading, .. } = &*self.shared;
        let both = [appending.trouble(), reading.trouble()].into_iter().flatten();
        both.min_by_key(|trouble| trouble.since)
    }

    /// Whether a client has to come back later, or to another node: it was at one that has read more than this
    /// one, or at one that had read less of what the server has lost.
    pub(crate) fn is_behind(&self, order: &Order, resume: &Resume) -> bool {
        if order.is_behind(resume) {
            return true;
        }
        if let Some(epoch) = order.unknown_epoch(resume) {
            let is_cut_off = self.shared.reading.trouble().is_some();
            return is_cut_off || self.shared.strangers.may_become_known(epoch);
        }
        // At last: the reader notes the doubt before the order knows of the life that it is about.
        let doubtful_from = self.shared.doubtful_from.load(Ordering::Acquire);
        doubtful_from != NO_DOUBT && order.may_have_come_to(doubtful_from, resume)
    }

    /// Asks for what a client lacks; false if too many wait for that already. The answer comes to the asker, once, with
    /// the client's key.
    pub(crate) fn recall(&self, recall: Recall, asker: Arc<dyn Asker>, key: u64) -> bool {
        self.shared.questions.put(recall, asker, key)
    }

    /// Whether the server did not serve for so long that nobody is to wait for it.
    pub(crate) fn is_given_up(&self) -> bool {
        self.trouble().is_some_and(|trouble| trouble.since.elapsed() >= PATIENCE)
    }

    pub(crate) fn stats(&self) -> ClusterStats {
        let Shared { outbox, counters, .. } = &*self.shared;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ClusterStats {
            backlog_bytes: outbox.bytes(),
            appended_batches: count(&counters.appended_batches),
            read_items: count(&counters.read_items),
            refused_items: count(&counters.refused_items),
            reconnects: count(&counters.reconnects),
            lost_ranges: count(&counters.lost_ranges),
        }
    }

    /// Appends what waits, and ends the node's threads; false if the server did not take all in time.
    pub(crate) fn close(&self, within: Duration) -> bool {
        let is_kept = self.shared.outbox.close(Instant::now() + within);
        self.shared.ends.store(true, Ordering::Release);
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let deadline = Instant::now() + END_TIME_MAX;
        for thread in threads {
            // The reader may be what drops the last handle.
            if thread.thread().id() == std::thread::current().id() {
                continue;
            }
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            // One that waits for a server which does not answer ends by itself a moment later.
            if thread.is_finished() && thread.join().is_err() {
                log::error!("a thread of the cluster has panicked");
            }
        }
        self.shared.outbox.abandon();
        is_kept
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
    }
}

fn check_open(order: &Order, topics: &[Topic]) -> Result<(), Refused> {
    if order.is_closed() {
        return Err(Refused::Closed);
    }
    order.finished_of(topics).map_or(Ok(()), |topic| Err(Refused::Finished(topic.clone())))
}

impl Health {
    fn trouble(&self) -> Option<Trouble> {
        self.lock().clone()
    }

    /// Notes what is wrong; true if all was well before.
    fn note(&self, what: String) -> bool {
        let mut trouble = self.lock();
        match &mut *trouble {
            Some(known) => {
                known.what = what;
                false
            }
            None => {
                *trouble = Some(Trouble { since: Instant::now(), what });
                true
            }
        }
    }

    /// Notes that all is well; for how long it was not, if it was not.
    fn note_well(&self) -> Option<Duration> {
        self.lock().take().map(|trouble| trouble.since.elapsed())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
