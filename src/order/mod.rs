//! The hub's total order: which event comes next, which shards want its topic, whether there is
//! space for it in the backlog, and which events are kept. One lock protects it. The lock is held
//! for a short and bounded time; nothing is encoded or waited for under it.
//!
//! Each file uses only files below it:
//!
//! ```text
//! mod                                 Order: publishing, registering, looking back
//! several                             publishing to several topics at once
//! finished   existing                 whether a client of finished topics would be sent anything; what a
//!                                     watcher is told first
//! search     replay                   where a client's stream begins; what it is sent first
//! missing    newest                   what a client is told that it will not get; its newest events
//! walk                                along the event log, a bounded number of steps at a time
//! wanted     expiry    ruling         the topics of a client; what is forgotten; topics get rules
//! retention  subscriptions            what is kept; what shards want
//! topics                              all topics that are tracked
//! cursor     gone      interests      how far a client has come; removed topics; filters of shards
//! watchers   lists                    what hosts are told of the first and the last subscriber; the
//!                                     events of several topics
//! published  history   rules          an event on its way; the kept events of a topic; all rules
//! backlog    totals    event_log      what waits to be sent; sums of what is kept; all kept events
//! names      forgets                  topics by name; what was forgotten
//! ```
//!
//! `topics` has the data that `expiry`, `ruling`, `retention` and `subscriptions` change. `walk` has the data from
//! which `missing`, `search` and `replay` read.

mod backlog;
mod cursor;
mod event_log;
mod existing;
mod expiry;
mod finished;
mod forgets;
mod gone;
mod history;
mod interests;
mod lists;
mod missing;
mod names;
mod newest;
mod published;
mod replay;
mod retention;
mod rules;
mod ruling;
mod search;
mod several;
mod subscriptions;
#[cfg(test)]
mod tests;
mod topics;
mod totals;
mod walk;
mod wanted;
mod watchers;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use self::backlog::Backlog;
pub(crate) use self::cursor::Cursor;
use self::existing::Existing;
use self::history::Kept;
pub(crate) use self::published::{Interest, Published, TopicState, EVENT_BYTES};
use self::replay::Replay;
use self::rules::{Rulebook, Rules};
use self::search::Found;
pub(crate) use self::search::Search;
use self::topics::Topics;
use self::walk::Past;
use self::wanted::Wanted;
use crate::clock::Clock;
use crate::envelope::Envelope;
use crate::filter::Subscription;
use crate::frame::Draft;
use crate::id::{Epoch, EventId};
use crate::inbox::Inbox;
use crate::interest::{InterestQueue, Table, Tally};
use crate::options::{Options, Rule, RuleError, TopicOptions};
use crate::policy::Policy;
use crate::resume::Resume;
use crate::sync::EventListener;
use crate::sys::Waker;
use crate::topic::Topic;
use crate::tuning::OrderTuning;

/// Filled by publishers, emptied by one shard.
pub(crate) type ShardInbox = Inbox<Arc<Published>, Waker>;

/// The part of the hub that publishers and shards share.
pub(crate) struct Order {
    pub(crate) epoch: Epoch,
    clock: Clock,
    tuning: OrderTuning,
    hub_backlog: Arc<Backlog>,
    /// Of events that are spread over a time.
    spread_backlog: Arc<Backlog>,
    inboxes: Box<[Arc<ShardInbox>]>,
    /// The sequence number of the last event. Written under the lock, when the event is in every
    /// inbox that it goes into.
    sequence: AtomicU64,
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
    is_closed: bool,
    /// Marks that have taken a number.
    marks: u64,
}

/// Events and topics that are checked for their age when an event is published.
const AGE_STEPS_PER_EVENT: usize = 8;
/// The same when a shard does so, in an idle moment.
const AGE_STEPS_PER_TICK: usize = 1024;
/// The same when a search begins.
const AGE_STEPS_PER_SEARCH: usize = 256;
/// What share of the hub's backlog there may be besides of events that are spread over a time.
const SPREAD_SHARE: usize = 4;
/// Subscriptions that are added, or routes that are closed, while the lock is held.
const SUBSCRIPTIONS_PER_LOCK: usize = 128;
/// Times that a watcher's lock is taken in a tick to end grace times, over all watchers, and how
/// many are ended each time.
const GRACE_LOCKS_PER_TICK: usize = 16;
const GRACES_PER_LOCK: usize = 256;

/// Why an event was not published.
pub(crate) enum Refused {
    /// A backlog is full. Wait with the listener, then try again.
    Full(Draft, EventListener),
    /// The topic is complete.
    Finished,
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
        Order {
            epoch: Epoch::random(),
            clock,
            tuning,
            hub_backlog: Arc::new(Backlog::new(options.backlog_bytes_max)),
            spread_backlog: Arc::new(Backlog::new(
                options.backlog_bytes_max.div_ceil(SPREAD_SHARE),
            )),
            inboxes,
            sequence: AtomicU64::new(0),
            has_history: AtomicBool::new(false),
            finished_topics: AtomicU64::new(0),
            interest: topics.watchers.tally(),
            rulebook: Rulebook::new(rules),
            locked: Mutex::new(Locked { topics, is_closed: false, marks: 0 }),
        }
    }

    /// Publishes an event to all shards that want it, or to none.
    pub(crate) fn publish(&self, topic: &Topic, draft: Draft) -> Result<EventId, Refused> {
        let mut locked = self.lock();
        if locked.is_closed {
            return Err(Refused::Closed);
        }
        let topics = &mut locked.topics;
        let Some(index) = topics.find_published(topic) else {
            return Ok(self.end_publishing(self.next_sequence()));
        };
        let at_ns = self.now_ns();
        if topics.is_over(index, at_ns) {
            drop(locked);
            self.forget_over(topic);
            return self.publish(topic, draft);
        }
        let mut asleep = Vec::new();
        let id = self.append(topics, index, draft, at_ns, &mut asleep)?;
        if topics.has_due(at_ns) {
            self.forget_due(&mut locked, index, at_ns);
        }
        drop(locked);
        asleep.into_iter().for_each(|inbox| inbox.wake());
        Ok(id)
    }

    /// Publishes an event to a tracked topic, or refuses it. The shards that are added to `asleep`
    /// are to be woken when the lock is released.
    #[inline]
    fn append<'a>(
        &'a self,
        topics: &mut Topics,
        index: u32,
        draft: Draft,
        at_ns: u64,
        asleep: &mut Vec<&'a Arc<ShardInbox>>,
    ) -> Result<EventId, Refused> {
        let entry = topics.entry(index);
        if entry.finished_ns.is_some() {
            return Err(Refused::Finished);
        }
        let state = &entry.state;
        let wanted = state.is_wanted();
        if let Some(listener) = wanted.then(|| self.listen_if_full(state)).flatten() {
            // The topic may have been created for this event.
            topics.remove_unneeded(index);
            return Err(Refused::Full(draft, listener));
        }
        let (sequence, bytes) = (self.next_sequence(), draft.len());
        let frame = draft.stamp(self.epoch, sequence, at_ns);
        if wanted {
            let (state, hub_backlog) = (state.clone(), self.hub_backlog.clone());
            let mut published = Published::new(frame.clone(), state, hub_backlog, bytes);
            published.reopens(topics.take_reopens(index));
            let published = Arc::new(published);
            let interested = self.interested(&published.topic);
            asleep.extend(interested.filter(|inbox| inbox.put(published.clone())));
        }
        topics.keep(index, Kept::new(frame));
        self.has_history.store(true, Ordering::Relaxed);
        Ok(self.end_publishing(sequence))
    }

    /// Publishes an event that its clients are to be sent spread over a time, or refuses it.
    #[cold]
    pub(crate) fn publish_spread(
        &self,
        topic: &Topic,
        draft: Draft,
        window_ns: u64,
    ) -> Result<EventId, Refused> {
        let mut locked = self.lock();
        if locked.is_closed {
            return Err(Refused::Closed);
        }
        let topics = &mut locked.topics;
        let Some(index) = topics.find_published(topic) else {
            return Ok(self.end_publishing(self.next_sequence()));
        };
        let at_ns = self.now_ns();
        if topics.is_over(index, at_ns) {
            drop(locked);
            self.forget_over(topic);
            return self.publish_spread(topic, draft, window_ns);
        }
        if topics.entry(index).finished_ns.is_some() {
            return Err(Refused::Finished);
        }
        let state = topics.entry(index).state.clone();
        let wanted = state.is_wanted();
        if let Some(listener) = wanted.then(|| self.listen_if_spread_full(&state)).flatten() {
            topics.remove_unneeded(index);
            return Err(Refused::Full(draft, listener));
        }
        let (sequence, bytes) = (self.next_sequence(), draft.len());
        let frame = draft.stamp(self.epoch, sequence, at_ns);
        let mut asleep = Vec::new();
        if wanted {
            let backlogs = (self.hub_backlog.clone(), self.spread_backlog.clone());
            let (event, states) = (frame.clone(), [state].into());
            let mut published = Published::spread(event, states, backlogs, window_ns, bytes);
            published.reopens(topics.take_reopens(index));
            let published = Arc::new(published);
            let interested = self.interested(&published.topic);
            asleep.extend(interested.filter(|inbox| inbox.put(published.clone())));
        }
        topics.keep(index, Kept::new(frame));
        self.has_history.store(true, Ordering::Relaxed);
        let id = self.end_publishing(sequence);
        if topics.has_due(at_ns) {
            self.forget_due(&mut locked, index, at_ns);
        }
        drop(locked);
        asleep.into_iter().for_each(|inbox| inbox.wake());
        Ok(id)
    }

    /// Completes a topic, with a last event if there is one: both or none. Nothing can be published
    /// to it from then on, as long as it is known to be complete. Returns the id of the last event,
    /// or else of the mark that says that the topic is complete.
    pub(crate) fn finish(&self, topic: &Topic, last: Option<Draft>) -> Result<EventId, Refused> {
        let mut locked = self.lock();
        if locked.is_closed {
            return Err(Refused::Closed);
        }
        let at_ns = self.now_ns();
        while self.forget_some_if_over(&mut locked, topic, at_ns) {
            drop(locked);
            locked = self.lock();
        }
        let topics = &mut locked.topics;
        topics.find_or_create(topic);
        let Some(index) = topics.find_published(topic) else { return Err(Refused::Closed) };
        let mut asleep = Vec::new();
        let last_id = match last {
            Some(draft) => Some(self.append(topics, index, draft, at_ns, &mut asleep)?),
            None if topics.entry(index).finished_ns.is_some() => return Err(Refused::Finished),
            None => None,
        };
        let sequence = self.next_sequence();
        topics.finish(index, sequence, at_ns);
        let reopens = topics.take_reopens(index);
        let entry = topics.entry(index);
        // For a filter it means nothing.
        if entry.subscribed > 0 {
            let (state, hub_backlog) = (entry.state.clone(), self.hub_backlog.clone());
            let mut mark = Published::end_of(state, hub_backlog, sequence, at_ns);
            mark.reopens(reopens);
            let mark = Arc::new(mark);
            let interested = self.interested(&mark.topic);
            asleep.extend(interested.filter(|inbox| inbox.put(mark.clone())));
        }
        self.count_finished(topics);
        locked.marks += 1;
        self.has_history.store(true, Ordering::Relaxed);
        let mark_id = self.end_publishing(sequence);
        self.forget_due(&mut locked, index, at_ns);
        drop(locked);
        asleep.into_iter().for_each(|inbox| inbox.wake());
        Ok(last_id.unwrap_or(mark_id))
    }

    /// Forgets what is too old or too much, after something of a topic was published: in a bounded
    /// number of steps, and at least as much as was added.
    #[cold]
    fn forget_due(&self, locked: &mut Locked, newest: u32, now_ns: u64) {
        locked.topics.forget_excess(newest);
        locked.topics.forget_old(now_ns, AGE_STEPS_PER_EVENT);
        self.number_reopened(locked);
    }

    /// Forgets a topic if it is finished and the time for which that is known is over, or some of its
    /// events if they are many: true then, and it is to be called again. The lock may be released
    /// before that.
    fn forget_some_if_over(&self, locked: &mut Locked, topic: &Topic, now_ns: u64) -> bool {
        let Some(index) = locked.topics.find_finished(topic) else { return false };
        if !locked.topics.is_over(index, now_ns) {
            return false;
        }
        let is_more = !locked.topics.forget_finished(index);
        self.number_reopened(locked);
        is_more
    }

    /// Forgets a topic if it is finished and its time is over, and takes the lock as often as that
    /// needs.
    #[cold]
    fn forget_over(&self, topic: &Topic) {
        let now_ns = self.now_ns();
        while self.forget_some_if_over(&mut self.lock(), topic, now_ns) {}
    }

    /// Gives a number to each topic that was finished and is open again. To be called before the
    /// lock is released, and before anything of these topics is published.
    fn number_reopened(&self, locked: &mut Locked) {
        while let Some(index) = locked.topics.reopened.pop() {
            let sequence = self.next_sequence();
            locked.topics.reopen(index, sequence);
            locked.marks += 1;
            self.end_publishing(sequence);
        }
    }

    /// To be called under the lock.
    fn next_sequence(&self) -> u64 {
        self.sequence() + 1
    }

    /// To be called under the lock, when the event is in every inbox that it goes into.
    fn end_publishing(&self, sequence: u64) -> EventId {
        self.sequence.store(sequence, Ordering::Release);
        self.id_of(sequence)
    }

    pub(crate) fn id_of(&self, sequence: u64) -> EventId {
        EventId { epoch: self.epoch, sequence }
    }

    /// The sequence number of the last event that is in every inbox it goes into. A shard that
    /// takes its inbox after this call has all events up to that one, and perhaps more.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// The inboxes of the shards that want a topic.
    fn interested<'a, 't>(
        &'a self,
        topic: &'t TopicState,
    ) -> impl Iterator<Item = &'a Arc<ShardInbox>> + use<'a, 't> {
        self.inboxes.iter().zip(topic.wanted_by()).filter(|(_, wanted)| *wanted).map(|(i, _)| i)
    }

    /// When the topic's backlog or the hub's is full: a listener for the moment when there may be
    /// space.
    fn listen_if_full(&self, topic: &TopicState) -> Option<EventListener> {
        topic.backlog.listen_if_full().or_else(|| self.hub_backlog.listen_if_full())
    }

    /// The same of the backlogs of events that are spread over a time.
    fn listen_if_spread_full(&self, topic: &TopicState) -> Option<EventListener> {
        let of_topic = topic.spread_backlog().listen_if_full();
        of_topic.or_else(|| self.spread_backlog.listen_if_full())
    }

    /// Adds subscriptions of a shard, which gets their events from then on. For each topic that is
    /// wanted by name `open_route` is called, and returns the key of the route that the shard has
    /// for it. Returns a sequence number: the shard gets every later event. Takes the lock for a
    /// bounded number of subscriptions at a time.
    pub(crate) fn register(
        &self,
        shard: usize,
        subscriptions: &[Subscription],
        mut open_route: impl FnMut(&Subscription, &Arc<TopicState>) -> u32,
    ) -> u64 {
        let mut rest = subscriptions;
        while !rest.is_empty() {
            let mut locked = self.lock();
            let most = locked.topics.watchers.subscriptions_per_lock(SUBSCRIPTIONS_PER_LOCK);
            let (some, others) = rest.split_at(most.min(rest.len()));
            rest = others;
            for subscription in some {
                // A client that comes now finds such a topic open, and empty.
                while self.forget_some_of(&mut locked, subscription) {
                    drop(locked);
                    locked = self.lock();
                }
                locked.topics.subscribe(shard, subscription, &mut open_route);
            }
            tell_watchers(locked);
        }
        self.sequence()
    }

    /// Forgets the topic of a subscription, if it is finished and its time is over; true if there is
    /// more of it to be forgotten.
    fn forget_some_of(&self, locked: &mut Locked, subscription: &Subscription) -> bool {
        match subscription {
            Subscription::Topic(topic) => self.forget_some_if_over(locked, topic, self.now_ns()),
            Subscription::Filter(_) => false,
        }
    }

    /// Removes a subscription of a shard, and the route for its topic if that was closed.
    pub(crate) fn unregister(
        &self,
        shard: usize,
        subscription: &Subscription,
        closed: Option<&TopicState>,
    ) {
        let mut locked = self.lock();
        if let Some(topic) = closed {
            locked.topics.set_route(topic, shard, None);
        }
        locked.topics.unsubscribe(shard, subscription);
        tell_watchers(locked);
    }

    /// Removes subscriptions of a shard that has no routes any more. Watchers are told at the end,
    /// since to wake one runs code of the host's, which may panic.
    pub(crate) fn unregister_all(&self, shard: usize, subscriptions: &[Subscription]) {
        for some in subscriptions.chunks(SUBSCRIPTIONS_PER_LOCK) {
            let mut locked = self.lock();
            some.iter().for_each(|subscription| locked.topics.unsubscribe(shard, subscription));
        }
        tell_watchers(self.lock());
    }

    /// Notes the key of the route that a shard has for a topic because of a filter, or that it has
    /// none.
    pub(crate) fn set_route(&self, shard: usize, topic: &TopicState, route: Option<u32>) {
        self.lock().topics.set_route(topic, shard, route);
    }

    /// Notes that a shard has no routes for these topics any more.
    pub(crate) fn close_routes(&self, shard: usize, closed: &[Arc<TopicState>]) {
        for some in closed.chunks(SUBSCRIPTIONS_PER_LOCK) {
            let mut locked = self.lock();
            some.iter().for_each(|topic| locked.topics.set_route(topic, shard, None));
        }
    }

    /// Has a host be told of the first and the last subscriber of each topic that a subscription
    /// covers, beginning with those that have a subscriber. `None` if there are too many watchers.
    /// Takes the lock for a bounded number of topics at a time.
    pub(crate) fn watch(
        &self,
        covered: &Subscription,
        grace: Duration,
    ) -> Option<Arc<InterestQueue>> {
        let queue = self.lock().topics.watchers.begin(covered, grace)?;
        let mut existing = Existing::of(covered);
        while existing.note_some(&self.lock().topics, &queue) {}
        Some(queue)
    }

    /// Whether [`Order::end_graces`] will have anything to do.
    pub(crate) fn has_graces(&self) -> bool {
        self.interest.has_graces()
    }

    /// Tells watchers of what has had no subscriber for the grace time, in a bounded number of
    /// steps.
    pub(crate) fn end_graces(&self) {
        if !self.has_graces() {
            return;
        }
        let queues = self.lock().topics.watchers.queues();
        let now_ns = self.now_ns();
        let locks_max = (GRACE_LOCKS_PER_TICK / queues.len().max(1)).max(1);
        for queue in queues {
            let mut any_owed = false;
            for _ in 0..locks_max {
                let end_some = |table: &mut Table| table.end_graces(now_ns, GRACES_PER_LOCK);
                let (owed, is_all) = queue.with(end_some);
                any_owed |= owed;
                if is_all {
                    break;
                }
            }
            if any_owed {
                queue.notify();
            }
        }
    }

    /// Notes that all shards have ended: watchers are told that nothing has a subscriber any more,
    /// and nothing after that.
    pub(crate) fn end_watchers(&self) {
        let queues = self.lock().topics.watchers.end();
        for queue in queues {
            queue.with(|table| table.end(SystemTime::now()));
            queue.notify();
        }
    }

    /// Notes that a shard has ended.
    pub(crate) fn leave(&self, shard: usize) {
        self.lock().topics.remove_shard(shard);
    }

    /// Sets a rule, and has the topics that there are keep what it allows.
    pub(crate) fn set_rule(
        &self,
        subscription: &Subscription,
        options: TopicOptions,
    ) -> Result<(), RuleError> {
        let _changing = self.rulebook.begin_change();
        let rules = self.rulebook.rules().with(subscription, options)?;
        self.apply_rules(rules, subscription);
        Ok(())
    }

    /// Removes a rule; false if there is none.
    pub(crate) fn remove_rule(&self, subscription: &Subscription) -> bool {
        let _changing = self.rulebook.begin_change();
        let Some(rules) = self.rulebook.rules().without(subscription) else { return false };
        self.apply_rules(rules, subscription);
        true
    }

    /// Has rules hold of which one, that of a subscription, differs from what it was. Takes the lock
    /// for a bounded number of topics and events at a time.
    fn apply_rules(&self, rules: Rules, subscription: &Subscription) {
        let rules = Arc::new(rules);
        self.rulebook.set_rules(rules.clone());
        self.lock().topics.set_rules(rules);
        let (mut done, mut is_all, now_ns) = (None, false, self.now_ns());
        while !is_all {
            let mut locked = self.lock();
            is_all = locked.topics.apply_rules(subscription, &mut done);
            is_all &= locked.topics.forget_old(now_ns, AGE_STEPS_PER_SEARCH);
            self.number_reopened(&mut locked);
            drop(locked);
            std::thread::yield_now();
        }
    }

    /// The rules, and what their topics hold.
    pub(crate) fn rules(&self) -> Vec<Rule> {
        let locked = self.lock();
        let (rules, usages) = (locked.topics.rules.clone(), locked.topics.totals.usages());
        drop(locked);
        let all = rules.iter().map(|(number, rule)| {
            let usage = usages[number as usize];
            Rule {
                subscription: rule.subscription.clone(),
                options: rule.options.clone(),
                topics: usage.topics as u64,
                finished_topics: usage.finished_topics as u64,
                kept_events: usage.kept_events as u64,
                kept_bytes: usage.kept_bytes as u64,
            }
        });
        all.collect()
    }

    /// The policy of a stream whose client chose none, if the rules of its subscriptions say so.
    pub(crate) fn policy_of(&self, wanted: &[Subscription]) -> Option<Policy> {
        self.rulebook.policy_of(wanted)
    }

    /// Whether any event ever had an id that its publisher gave.
    pub(crate) fn has_custom_ids(&self) -> bool {
        self.lock().topics.has_custom_ids
    }

    /// Begins to search for the cursor of a client that has just come.
    pub(crate) fn begin_search(&self, resume: Resume) -> Search {
        let locked = self.lock();
        Search::new(resume, self.sequence(), locked.topics.forgets.count())
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
        search.advance(self.past(&locked.topics, &wanted))
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
        Replay::gather(&self.past(&locked.topics, &wanted), cursor, bytes_max, envelope)
    }

    fn past<'a>(&self, topics: &'a Topics, wanted: &'a Wanted<'a>) -> Past<'a> {
        Past { topics, wanted, now: self.sequence(), epoch: self.epoch, tuning: self.tuning }
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

    pub(crate) fn counts(&self) -> Counts {
        let locked = self.lock();
        let topics = &locked.topics;
        let (interest_watchers, owed_interest_notices) = topics.watchers.count();
        Counts {
            published_events: self.sequence() - locked.marks,
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

/// Unlocks, and wakes the watchers that are owed a notice: what that wakes may run at once, and
/// publish.
fn tell_watchers(mut locked: MutexGuard<'_, Locked>) {
    let told = locked.topics.watchers.take_told();
    drop(locked);
    told.iter().for_each(|queue| queue.notify());
}
