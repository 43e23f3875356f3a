//! The topics that a hub tracks: those that a shard has an audience for, those of which events are
//! kept, and for a while those of which none are kept any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use slab::Slab;

use super::event_log::{EventLog, LogEntry, TopicRef};
use super::forgets::Forgets;
use super::gone::{Gone, GoneTopic};
use super::history::{Forgotten, ForgottenOfTopic, History, Kept};
use super::interests::Interests;
use super::lists::{List, Lists};
use super::names::Names;
use super::published::TopicState;
use super::rules::{Limits, Rules};
use super::totals::Totals;
use super::watchers::Watchers;
use crate::clock::Clock;
use crate::frame::Frame;
use crate::options::Options;
use crate::topic::Topic;
#[cfg(any(feature = "capi", test))]
use crate::topic_handle::TopicHandle;
use crate::tuning::OrderTuning;

/// A table of topics with more capacity is made smaller when few topics are left.
const CAPACITY_MIN: usize = 1024;

/// Topics in the order of a time of each, in nanoseconds since the hub's start: when something is
/// to be done about it.
pub(super) type ByTime = BTreeSet<(u64, u32)>;

/// The topics of a hub, under its lock. What is kept of them is bounded in
/// [`retention`](super::retention) and [`expiry`](super::expiry).
pub(super) struct Topics {
    pub(super) bounds: Bounds,
    by_name: Names,
    /// The same indices in the order of the names, for filters that begin with a name.
    pub(super) in_order: BTreeMap<Topic, u32>,
    /// Behind pointers, so that the table is small when many topics were added and removed.
    pub(super) entries: Slab<Box<Entry>>,
    /// All events that are kept.
    pub(super) log: EventLog,
    pub(super) forgets: Forgets,
    pub(super) gone: Gone,
    /// The lists of the topics of events that have several.
    pub(super) lists: Lists,
    pub(super) interests: Interests,
    pub(super) watchers: Watchers,
    /// The topics with kept events: by when the oldest of them is too old, or an older one that was
    /// forgotten since.
    pub(super) oldest: ByTime,
    /// Topics that had no kept events when they were put here: by when one of their newest event
    /// then would have been too old.
    pub(super) idle: ByTime,
    /// The topics that are finished: by when that is forgotten.
    pub(super) finished: ByTime,
    /// No time in these is earlier than this one.
    pub(super) due_ns: u64,
    /// Events that were forgotten all at once, and are yet to be dropped.
    pub(super) discarded: Vec<History>,
    /// The frame that was forgotten for the newest one, which is dropped when the lock is released.
    pub(super) forgotten: Option<Frame>,
    /// Topics with subscriptions of shards that were finished and are open again, until each of
    /// them has a number for that.
    pub(super) reopened: Vec<u32>,
    /// What is kept and what was forgotten of all topics.
    pub(super) totals: Totals,
    /// The rules, by which each topic that is new gets its own.
    pub(super) rules: Arc<Rules>,
    /// By the numbers of the rules, also of those that are no longer.
    pub(super) limits: Vec<Limits>,
    /// Whether any event had an id that its publisher gave.
    pub(super) has_custom_ids: bool,
}

/// A topic.
pub(super) struct Entry {
    pub(super) state: Arc<TopicState>,
    pub(super) history: History,
    /// How many shards have a subscription to it by its name.
    pub(super) subscribed: u32,
    /// The generation of filters up to which it is known which of them match.
    pub(super) matched_generation: u64,
    /// When its newest event was published.
    pub(super) newest_ns: u64,
    /// Whether it is in [`Topics::oldest`], which is while it has kept events, and its time there.
    pub(super) in_oldest: bool,
    pub(super) oldest_ns: u64,
    /// Whether it is in [`Topics::idle`], and its time there.
    pub(super) in_idle: bool,
    pub(super) idle_ns: u64,
    /// When it was finished, in nanoseconds since the hub's start, and its time in
    /// [`Topics::finished`].
    pub(super) finished_ns: Option<u64>,
    pub(super) finished_to_ns: u64,
    /// The number with which it was opened again after it was finished, until shards were told;
    /// zero if there is none.
    pub(super) reopens: u64,
}

/// What an entry of the event log stands for.
pub(super) enum Logged<'a> {
    /// A kept event, and the sequence number of its topic's next one.
    Kept(&'a Kept, Option<u64>),
    /// An event that some topic of this list keeps.
    OfList(&'a List),
    /// The newest forgotten event of a topic, or the newest of a list that no topic keeps, of which
    /// this is known.
    Forgotten(Forgotten),
    /// Nothing any more.
    Useless,
}

/// How much of a topic may wait to be sent, and how much may be kept of all.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    backlog_bytes_max: usize,
    pub(super) keeps_events: bool,
    pub(super) total_bytes_max: usize,
}

impl Bounds {
    fn new(options: &Options) -> Bounds {
        Bounds {
            backlog_bytes_max: options.topic_backlog_bytes_max,
            keeps_events: options.history_events_max > 0,
            total_bytes_max: options.history_total_bytes_max,
        }
    }
}

impl Topics {
    pub(super) fn new(
        options: &Options,
        rules: Arc<Rules>,
        tuning: &OrderTuning,
        clock: Clock,
    ) -> Topics {
        let mut topics = Topics {
            bounds: Bounds::new(options),
            by_name: Names::default(),
            in_order: BTreeMap::new(),
            entries: Slab::new(),
            log: EventLog::default(),
            forgets: Forgets::new(tuning.forgets_max),
            gone: Gone::default(),
            lists: Lists::new(tuning.idle_list_topics_max),
            interests: Interests::new(options.shards),
            watchers: Watchers::new(clock),
            oldest: ByTime::new(),
            idle: ByTime::new(),
            finished: ByTime::new(),
            due_ns: u64::MAX,
            discarded: Vec::new(),
            forgotten: None,
            reopened: Vec::new(),
            totals: Totals::default(),
            rules: rules.clone(),
            limits: Vec::new(),
            has_custom_ids: false,
        };
        topics.set_rules(rules);
        topics
    }

    /// Whether events are kept at all.
    pub(super) fn keeps_events(&self) -> bool {
        self.bounds.keeps_events
    }

    /// Whether a topic is tracked even if no shard has a subscription to it by name.
    pub(super) fn tracks_all(&self) -> bool {
        self.keeps_events() || self.interests.filters() > 0
    }

    /// The index of a topic, if it is tracked.
    #[inline]
    pub(super) fn find(&self, topic: &Topic) -> Option<u32> {
        self.by_name.find(topic, |index| &self.entry(index).state.name)
    }

    /// The index of a topic by its handle, if it is tracked.
    #[cfg(any(feature = "capi", test))]
    #[inline]
    pub(super) fn find_by_handle(&self, handle: &TopicHandle) -> Option<u32> {
        let place = handle.place();
        match self.entries.get(place as usize) {
            Some(entry) if entry.state.name == *handle.topic() => Some(place),
            _ => self.find(handle.topic()),
        }
    }

    /// The index of a topic, which is tracked from then on.
    pub(super) fn find_or_create(&mut self, topic: &Topic) -> u32 {
        if let Some(index) = self.find(topic) {
            return index;
        }
        let (forgotten, gone_index) = self.gone.recall(topic);
        let mut history = History::after_forgetting(forgotten);
        self.begin_rule(topic, &mut history);
        let (shards, backlog_bytes_max) = (self.interests.shards(), self.bounds.backlog_bytes_max);
        let index = self.entries.insert(Box::new(Entry {
            state: Arc::new(TopicState::new(topic.clone(), shards, backlog_bytes_max)),
            history,
            subscribed: 0,
            matched_generation: 0,
            newest_ns: 0,
            in_oldest: false,
            oldest_ns: 0,
            in_idle: false,
            idle_ns: 0,
            finished_ns: None,
            finished_to_ns: 0,
            reopens: 0,
        })) as u32;
        if let Some(gone) = gone_index {
            self.log.repoint(forgotten.own.to, TopicRef::Gone(gone), TopicRef::Tracked(index));
            self.forgets.push(TopicRef::Tracked(index));
        }
        let Topics { by_name, entries, .. } = self;
        by_name.insert(topic, index, |index| &entries[index as usize].state.name);
        self.in_order.insert(topic.clone(), index);
        index
    }

    /// The limits of a topic.
    #[inline]
    pub(super) fn limits_of(&self, index: u32) -> Limits {
        self.limits[self.entry(index).history.rule() as usize]
    }

    pub(super) fn entry(&self, index: u32) -> &Entry {
        &self.entries[index as usize]
    }

    /// The topic of a log entry, if the entry is not useless for want of it.
    pub(super) fn name_of(&self, topic: TopicRef) -> Option<&Topic> {
        match topic {
            TopicRef::Tracked(index) => {
                self.entries.get(index as usize).map(|entry| &entry.state.name)
            }
            TopicRef::Gone(index) => self.gone.get(index).map(|topic| &topic.name),
            TopicRef::List(_) => None,
        }
    }

    /// What was forgotten of a topic's own events, as far as that is known of it alone, or of the
    /// events of a list that no topic keeps.
    pub(super) fn forgotten(&self, topic: TopicRef) -> Forgotten {
        let forgotten = match topic {
            TopicRef::Tracked(index) => {
                self.entries.get(index as usize).map(|entry| entry.history.forgotten().own)
            }
            TopicRef::Gone(index) => self.gone.get(index).map(|topic| topic.forgotten.own),
            TopicRef::List(index) => self.lists.get(index).map(List::gone),
        };
        forgotten.unwrap_or_default()
    }

    /// The topics of a list that are tracked. One that was removed and came to be again since the
    /// list's last event may be missing: it keeps no event of the list.
    pub(super) fn tracked_of<'a>(
        &'a self,
        list: &'a List,
    ) -> impl Iterator<Item = (u32, &'a Entry)> + 'a {
        list.indexed().filter_map(|(name, index)| {
            let entry = self.entries.get(index as usize)?;
            (entry.state.name == *name).then_some((index, &**entry))
        })
    }

    /// What an entry of the log stands for.
    pub(super) fn look_up(&self, LogEntry { sequence, topic }: LogEntry) -> Logged<'_> {
        if let TopicRef::Tracked(index) = topic {
            let history = self.entries.get(index as usize).map(|entry| &entry.history);
            if let Some(history) = history.filter(|history| history.keeps_from(sequence)) {
                let found = history.find_sequence(sequence);
                return found.map_or(Logged::Useless, |(kept, next)| Logged::Kept(kept, next));
            }
        }
        if let TopicRef::List(index) = topic {
            if let Some(list) = self.lists.get(index).filter(|list| list.keeps(sequence)) {
                return Logged::OfList(list);
            }
        }
        match self.forgotten(topic) {
            forgotten if forgotten.to == sequence => Logged::Forgotten(forgotten),
            _ => Logged::Useless,
        }
    }

    /// Drops useless entries of the log.
    pub(super) fn tidy_log(&mut self, moves: usize) {
        let Topics { log, entries, gone, lists, .. } = self;
        log.tidy(moves, |LogEntry { sequence, topic }| match topic {
            TopicRef::Tracked(index) => entries.get(index as usize).is_some_and(|entry| {
                let history = &entry.history;
                history.keeps_from(sequence) || history.forgotten().own.to == sequence
            }),
            TopicRef::Gone(index) => {
                gone.get(index).is_some_and(|topic| topic.forgotten.own.to == sequence)
            }
            TopicRef::List(index) => lists
                .get(index)
                .is_some_and(|list| list.keeps(sequence) || list.gone().to == sequence),
        });
    }

    /// Notes what was forgotten of a topic in earlier lives, which has no events yet. The event log gets
    /// its entry, so nothing after it may have been logged.
    pub(super) fn restore_forgotten(&mut self, index: u32, forgotten: ForgottenOfTopic) {
        let history = &mut self.entries[index as usize].history;
        history.restore_forgotten(forgotten);
        self.totals.forget(0, forgotten.to());
        if forgotten.own.to > 0 {
            self.log.push(forgotten.own.to, TopicRef::Tracked(index));
        }
    }

    /// The same of a list of topics, whose events none of them keeps.
    pub(super) fn restore_list(&mut self, names: &Arc<[Topic]>, gone: Forgotten) {
        if self.keeps_events() {
            let (index, useless) = self.lists.restore(names, gone);
            self.totals.forget(0, gone.to);
            self.log.push(gone.to, TopicRef::List(index));
            self.log.note_useless(useless);
        }
    }

    /// Removes a topic that was tracked because events of it were forgotten, unless it is needed.
    pub(super) fn release(&mut self, index: u32) {
        if self.entries.contains(index as usize) {
            self.remove_unneeded(index);
        }
    }

    /// Removes a topic, unless a shard has a subscription to it by name, or events of it are kept,
    /// or it is idle or finished.
    pub(super) fn remove_unneeded(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        if entry.in_oldest || entry.in_idle || entry.subscribed > 0 || entry.finished_ns.is_some() {
            return;
        }
        let Entry { state, history, .. } = *self.entries.remove(index as usize);
        self.totals.change(history.rule(), |usage| usage.topics -= 1);
        self.interests.remove_topic(&state);
        let Topics { by_name, entries, .. } = self;
        by_name.remove(&state.name, index, |index| &entries[index as usize].state.name);
        self.in_order.remove(&state.name);
        let forgotten = history.forgotten();
        if forgotten.to() > 0 {
            // The log has an entry for what was forgotten of a topic's own events.
            let entries_of = |forgotten: ForgottenOfTopic| usize::from(forgotten.own.to > 0);
            let Topics { log, gone, .. } = self;
            let dropped = |_, topic: GoneTopic| log.note_useless(entries_of(topic.forgotten));
            match gone.remember(&state.name, forgotten, dropped) {
                Some(gone) => {
                    let (from, to) = (TopicRef::Tracked(index), TopicRef::Gone(gone));
                    self.log.repoint(forgotten.own.to, from, to);
                    self.forgets.push(to);
                }
                None => self.log.note_useless(entries_of(forgotten)),
            }
        }
        if self.entries.capacity() > CAPACITY_MIN && self.len() < self.entries.capacity() / 8 {
            self.shrink();
        }
    }

    /// Gives memory back that is not in use.
    pub(super) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        if self.entries.is_empty() {
            self.entries = Slab::new();
        }
    }

    /// How many topics are tracked.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<TopicState>> {
        self.entries.iter().map(|(_, entry)| &entry.state)
    }
}
