//! The hub's total order: which event comes next, which shards want its topic, whether there is
//! space for it in the backlog, and which events are kept. One lock protects it. The lock is held
//! for a short and bounded time; nothing is encoded or waited for under it.
//!
//! Each file uses only files below it:
//!
//! ```text
//! mod                                 Order: its lock, and looking back
//! restore    sifting    applying       an order as its journal has it; what the journal may drop; what a
//!                                     cluster's items do to it
//! publishing several                  to one topic, and to several at once
//! registering watching   rulebook     what shards and hosts say: subscriptions, watchers, rules
//! finished   existing                 whether a client of finished topics would be sent anything; what a
//!                                     watcher is told first
//! journaling summary                  what the journal is given; what stands for all that it drops
//! search     replay                   where a client's stream begins; what it is sent first
//! missing    newest                   what a client is told that it will not get; its newest events
//! walk                                along the event log, a bounded number of steps at a time
//! wanted     expiry    ruling         the topics of a client; what is forgotten; topics get rules
//! retention  subscriptions  keeping   what is kept; what shards want; what a cluster's node may send of what
//!                                     it has forgotten
//! topics                              all topics that are tracked
//! cursor     gone      interests      how far a client has come; removed topics; filters of shards
//! watchers   lists                    what hosts are told of the first and the last subscriber; the
//!                                     events of several topics
//! published  history   rules          an event on its way; the kept events of a topic; all rules
//! backlog    totals    event_log      what waits to be sent; sums of what is kept; all kept events
//! finishes                            who waits for space, and is told that a topic is finished
//! names      forgets    numbering     topics by name; what was forgotten; how items get their numbers
//! item       lives      cluster_item  what the journal and a cluster have, in bytes; the lives of the hub
//! ```
//!
//! The files of the first lines below `mod` are parts of [`Order`].
//!
//! `topics` has the data that `expiry`, `ruling`, `retention` and `subscriptions` change. `walk`
//! has the data from which `missing`, `search` and `replay` read.

#[cfg_attr(not(feature = "cluster"), allow(dead_code, reason = "a cluster's nodes alone use it"))]
mod applying;
mod backlog;
#[cfg_attr(not(feature = "cluster"), allow(dead_code, reason = "a cluster's nodes alone use it"))]
mod cluster_item;
mod cursor;
mod event_log;
mod existing;
mod expiry;
mod finished;
mod finishes;
mod forgets;
mod gone;
mod history;
mod interests;
mod item;
mod journaling;
#[cfg_attr(not(feature = "cluster"), allow(dead_code, reason = "a cluster's nodes alone use it"))]
mod keeping;
mod lists;
mod lives;
mod missing;
mod names;
mod newest;
#[cfg_attr(not(feature = "cluster"), allow(dead_code, reason = "a cluster's nodes alone use it"))]
mod numbering;
mod published;
mod publishing;
mod registering;
mod replay;
mod restore;
mod retention;
mod rulebook;
mod rules;
mod ruling;
mod search;
mod several;
mod sifting;
mod subscriptions;
mod summary;
#[cfg(test)]
mod tests;
mod topics;
mod totals;
mod walk;
mod wanted;
mod watchers;
mod watching;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::backlog::Backlog;
pub(crate) use self::cluster_item::ClusterItem;
pub(crate) use self::cursor::Cursor;
use self::finishes::Finishes;
pub(crate) use self::item::Item;
#[cfg(feature = "cluster")]
pub(crate) use self::item::{put_optional, put_text, Fields, Malformed};
#[cfg(feature = "cluster")]
pub(crate) use self::keeping::Keeping;
pub(crate) use self::lives::Base;
#[cfg(feature = "cluster")]
pub(crate) use self::lives::Lacks;
#[cfg(feature = "cluster")]
pub(crate) use self::lives::Life;
use self::lives::Lives;
use self::numbering::Numbering;
#[cfg(feature = "cluster")]
pub(crate) use self::numbering::NUMBERS_PER_ITEM;
pub(crate) use self::published::{Interest, Published, TopicState, EVENT_BYTES};
use self::replay::Replay;
use self::rules::{Rulebook, Rules};
use self::search::Found;
pub(crate) use self::search::{Lack, Moment, Search};
use self::topics::Topics;
use self::walk::Past;
use self::wanted::Wanted;
use crate::clock::Clock;
use crate::envelope::Envelope;
use crate::filter::Subscription;
use crate::frame::Draft;
use crate::id::{Epoch, EventId};
use crate::inbox::Inbox;
use crate::interest::Tally;
use crate::journal::Journal;
use crate::options::Options;
use crate::resume::Resume;
use crate::sync::EventListener;
use crate::sys::Waker;
use crate::topic::Topic;
use crate::tuning::OrderTuning;
use crate::waker::ShardWaker;

/// Filled by publishers, emptied by one shard.
pub(crate) type ShardInbox = Inbox<Arc<Published>, ShardWaker<Waker>>;

/// The part of the hub that publishers and shards share.
pub(crate) struct Order {
    /// Of this life, as [`Epoch::to_bits`] has it. A node of a cluster gets another one when the cluster begins a
    /// life: written under the lock.
    epoch: AtomicU64,
    /// Where the order is kept beside the memory, if the host wants that.
    journal: Option<Journal>,
    clock: Clock,
    tuning: OrderTuning,
    hub_backlog: Arc<Backlog>,
    /// Of events that are spread over a time.
    spread_backlog: Arc<Backlog>,
    finishes: Finishes,
    inboxes: Box<[Arc<ShardInbox>]>,
    /// The sequence number of the last event. Written under the lock, when the event is in every
    /// inbox that it goes into.
    sequence: AtomicU64,
    /// How the items that are published get their numbers and times.
    numbering: Numbering,
    has_history: AtomicBool,
    /// How many topics are finished, or more for a moment after some were forgotten.
    finished_topics: AtomicU64,
    /// What all watchers of interest have in common.
    interest: Arc<Tally>,
    rulebook: Rulebook,
    locked: Mutex<Locked>,
}

struct Locked {
    topics: Topics,
    lives: Lives,
    is_closed: bool,
    /// Marks that have taken a number.
    marks: u64,
    /// When the newest event was published.
    newest_ns: u64,
}

impl Locked {
    /// The time at which what is published now is, with what the clock said a moment before: the
    /// events' times never go back, although threads may come here in another order.
    #[inline]
    fn time_of_publishing(&mut self, read_ns: u64) -> u64 {
        self.newest_ns = self.newest_ns.max(read_ns);
        self.newest_ns
    }
}

/// Events and topics that are checked for their age when a shard does so, in an idle moment.
const AGE_STEPS_PER_TICK: usize = 1024;
/// The same when a search begins.
const AGE_STEPS_PER_SEARCH: usize = 256;
/// What share of the hub's backlog there may be besides of events that are spread over a time.
const SPREAD_SHARE: usize = 4;
/// Subscriptions that are added, or routes that are closed, while the lock is held.
const SUBSCRIPTIONS_PER_LOCK: usize = 128;

/// Why an event was not published.
pub(crate) enum Refused {
    /// A backlog is full. Wait with the listener, then try again.
    Full(Draft, EventListener),
    /// This topic is complete.
    Finished(Topic),
    /// The journal could not be written for some time, and takes nothing more.
    Unwritable,
    /// The cluster's server does not serve for some time.
    Unreachable,
    Closed,
}

/// What a hub's order holds.
pub(crate) struct Counts {
    pub(crate) published_events: u64,
    /// Topics that have an audience.
    pub(crate) topics: u64,
    /// Topics that are tracked: with an audience, with kept events, or idle.
    pub(crate) known_topics: u64,
    /// Filters that a shard has an audience for.
    pub(crate) filters: u64,
    /// Topics that are finished and not forgotten yet.
    pub(crate) finished_topics: u64,
    pub(crate) kept_events: u64,
    pub(crate) kept_bytes: u64,
    /// Watchers of interest, the notices that wait for their hosts, and the grace times that ended
    /// early.
    pub(crate) interest_watchers: u64,
    pub(crate) owed_interest_notices: u64,
    pub(crate) cut_graces: u64,
}

impl Order {
    pub(crate) fn new(
        inboxes: Box<[Arc<ShardInbox>]>,
        options: &Options,
        tuning: OrderTuning,
        clock: Clock,
    ) -> Order {
        let rules = Arc::new(Rules::new(options));
        let topics = Topics::new(options, rules.clone(), &tuning, clock.clone());
        Order::of(inboxes, options, tuning, clock, topics, rules)
    }

    /// An order that begins with these topics.
    fn of(
        inboxes: Box<[Arc<ShardInbox>]>,
        options: &Options,
        tuning: OrderTuning,
        clock: Clock,
        topics: Topics,
        rules: Arc<Rules>,
    ) -> Order {
        Order {
            epoch: AtomicU64::new(Epoch::random().to_bits()),
            journal: None,
            clock,
            tuning,
            hub_backlog: Arc::new(Backlog::new(options.backlog_bytes_max)),
            spread_backlog: Arc::new(Backlog::new(
                options.backlog_bytes_max.div_ceil(SPREAD_SHARE),
            )),
            finishes: Finishes::new(),
            inboxes,
            sequence: AtomicU64::new(0),
            numbering: Numbering::default(),
            has_history: AtomicBool::new(false),
            finished_topics: AtomicU64::new(0),
            interest: topics.watchers.tally(),
            rulebook: Rulebook::new(rules),
            locked: Mutex::new(Locked {
                topics,
                lives: Lives::default(),
                is_closed: false,
                marks: 0,
                newest_ns: 0,
            }),
        }
    }

    /// The epoch of this life.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch::from_bits(self.epoch.load(Ordering::Relaxed))
    }

    pub(crate) fn id_of(&self, sequence: u64) -> EventId {
        EventId { epoch: self.epoch(), sequence }
    }

    /// The id of the last event, or mark.
    pub(crate) fn newest_id(&self) -> EventId {
        self.id_of(self.sequence())
    }

    /// The sequence number of the last event that is in every inbox it goes into. A shard that
    /// takes its inbox after this call has all events up to that one, and perhaps more.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// Whether any event ever had an id that its publisher gave.
    pub(crate) fn has_custom_ids(&self) -> bool {
        self.lock().topics.has_custom_ids
    }

    /// This moment.
    pub(crate) fn moment(&self) -> Moment {
        let locked = self.lock();
        Moment { number: self.sequence(), forgets_seen: locked.topics.forgets.count() }
    }

    /// Begins to search for the cursor of a client that has asked at some moment.
    pub(crate) fn begin_search(&self, resume: Resume, asked_at: Moment) -> Search {
        Search::new(resume, asked_at)
    }

    /// Goes on with a search for the cursor of a client with these subscriptions, for a bounded
    /// time; `None` if the search has to go on later.
    pub(crate) fn locate(
        &self,
        subscriptions: &[Subscription],
        search: &mut Search,
    ) -> Option<Found> {
        let wanted = Wanted::new(subscriptions);
        let mut locked = self.lock();
        if search.is_new() {
            let is_all = locked.topics.forget_old(self.now_ns(), AGE_STEPS_PER_SEARCH);
            self.number_reopened(&mut locked);
            if !is_all {
                return None;
            }
        }
        search.advance(self.past(&locked, &wanted))
    }

    /// Gathers the next part for a client that has come to a cursor, of at most `bytes_max` bytes
    /// without envelopes, but at least one event; with the events' topics, if its envelope names
    /// them.
    pub(crate) fn replay(
        &self,
        subscriptions: &[Subscription],
        cursor: Cursor,
        bytes_max: usize,
        envelope: Envelope,
    ) -> Replay {
        let wanted = Wanted::new(subscriptions);
        let locked = self.lock();
        Replay::gather(&self.past(&locked, &wanted), cursor, bytes_max, envelope)
    }

    fn past<'a>(&self, locked: &'a Locked, wanted: &'a Wanted<'a>) -> Past<'a> {
        let Locked { topics, lives, .. } = locked;
        let (now, epoch, tuning) = (self.sequence(), self.epoch(), self.tuning);
        Past { topics, wanted, now, epoch, lives, tuning }
    }

    /// Forgets events that are too old, in a bounded number of steps, while nothing is published.
    pub(crate) fn forget_old(&self) {
        let mut locked = self.lock();
        locked.topics.tidy(self.now_ns(), AGE_STEPS_PER_TICK);
        self.number_reopened(&mut locked);
        self.count_finished(&locked.topics);
        self.has_history.store(locked.topics.has_history(), Ordering::Relaxed);
        tell_watchers(locked);
    }

    /// Whether [`Order::forget_old`] will have anything to do.
    pub(crate) fn has_history(&self) -> bool {
        self.has_history.load(Ordering::Relaxed)
    }

    /// Gives memory back after many clients have left.
    pub(crate) fn shrink(&self) {
        self.lock().topics.shrink();
    }

    /// Refuses every event from now on, and wakes the publishers that wait for space.
    pub(crate) fn close(&self) {
        let mut locked = self.lock();
        locked.is_closed = true;
        let topics: Vec<_> = locked.topics.iter().cloned().collect();
        // What a notification wakes may run at once, and publish.
        drop(locked);
        for topic in topics {
            topic.notify_all();
        }
        self.hub_backlog.notify_all();
        self.spread_backlog.notify_all();
    }

    /// The bytes of all topics that wait to be sent.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.hub_backlog.bytes() + self.spread_backlog.bytes()
    }

    /// The same of each topic, added up.
    #[cfg(test)]
    pub(crate) fn topics_backlog_bytes(&self) -> usize {
        self.lock().topics.iter().map(|topic| topic.backlog.bytes()).sum()
    }

    pub(crate) fn counts(&self) -> Counts {
        let locked = self.lock();
        let topics = &locked.topics;
        let (interest_watchers, owed_interest_notices) = topics.watchers.count();
        Counts {
            published_events: self
                .numbering
                .applied_events()
                .unwrap_or(self.sequence() - locked.marks),
            topics: topics.interests.wanted() as u64,
            known_topics: topics.len() as u64,
            filters: topics.interests.filters() as u64,
            finished_topics: topics.finished.len() as u64,
            kept_events: topics.totals.kept_events() as u64,
            kept_bytes: topics.totals.kept_bytes() as u64,
            interest_watchers: interest_watchers as u64,
            owed_interest_notices: owed_interest_notices as u64,
            cut_graces: self.interest.cut_graces(),
        }
    }

    /// Nanoseconds since the hub's start.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// Nothing that is done under the lock can panic half way, so the data of a poisoned lock is
    /// right.
    fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Unlocks after an event was published, and drops then what was forgotten for it.
#[inline(always)]
fn unlock(mut locked: MutexGuard<'_, Locked>) {
    let forgotten = locked.topics.forgotten.take();
    drop(locked);
    drop(forgotten);
}

/// Unlocks, and wakes the watchers that are owed a notice: what that wakes may run at once, and
/// publish.
fn tell_watchers(mut locked: MutexGuard<'_, Locked>) {
    let told = locked.topics.watchers.take_told();
    drop(locked);
    told.iter().for_each(|queue| queue.notify());
}
