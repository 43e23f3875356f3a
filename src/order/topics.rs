//! The topics that there are: those that a shard has an audience for, and those of which events
//! are kept. What is kept is bounded per topic by count, bytes and age, and in all by bytes.
//!
//! Which topic's events are the oldest is known from a heap with one entry a topic, by the time of
//! an event that is not younger than the topic's oldest: an entry that comes to the top is
//! corrected, or its events are forgotten. So publishing costs nothing for it but a look at the
//! top, and no topic is ever searched for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use super::gone::Gone;
use super::history::{Forgotten, History, Kept};
use super::interest::{Interests, TopicState};
use super::log::{self, EventLog, Of};
use super::names::Names;
use crate::options::Options;
use crate::topic::Topic;

/// What a topic takes besides its events, about.
const TOPIC_BYTES: usize = 512;
/// So many topics of which nothing is kept, and that no shard asks for by name, are known: their
/// rooms and routes stay the same from one event to the next.
const IDLE_MAX: usize = 4 << 10;
/// Topics that are looked at for what is too old when an event is published.
const AGE_LOOKS: usize = 8;

/// The topics of a hub, under its lock.
pub(super) struct Topics {
    retention: Retention,
    backlog_bytes: usize,
    by_name: Names,
    /// The same in the order of their names, for filters that begin with one.
    pub(super) in_order: BTreeMap<Topic, u32>,
    /// Behind pointers: so the table takes little when a crowd of topics has come and gone.
    pub(super) entries: Slab<Box<Entry>>,
    /// All events that are kept.
    pub(super) log: EventLog,
    pub(super) gone: Gone,
    pub(super) interests: Interests,
    /// When the topics' oldest events were published, or an older one; with the topics' indices.
    oldest: BinaryHeap<Reverse<(u64, u32)>>,
    /// Topics of which nothing is kept, or was not once, in the order in which they came here.
    idle: VecDeque<u32>,
    /// What is kept over all topics.
    kept_bytes: usize,
    kept_events: usize,
    /// The last number of any event that is not kept any more, and how many there are of these.
    forgotten_to: u64,
    forgotten_events: u64,
    /// Whether an event ever had an id of its publisher's own.
    have_custom_ids: bool,
}

/// A topic.
pub(super) struct Entry {
    pub(super) state: Arc<TopicState>,
    pub(super) history: History,
    /// How many shards have a subscription to it by its name.
    pub(super) pinned: u32,
    /// Up to which generation of the filters it is known which of them match.
    pub(super) matched: u64,
    /// When its newest event was published.
    newest_ns: u64,
    /// Whether `oldest` names it: it has events.
    in_oldest: bool,
    /// Whether `idle` names it.
    in_idle: bool,
}

/// What an entry of the log stands for.
pub(super) enum Logged<'a> {
    /// An event that is kept, and the number of its topic's next one.
    Kept(&'a Kept, Option<u64>),
    /// The last event that is not kept any more of a topic of which this is known.
    Forgotten(Forgotten),
    Useless,
}

/// How much is kept.
struct Retention {
    events_max: usize,
    bytes_max: usize,
    age_max_ns: u64,
    total_bytes_max: usize,
}

impl Topics {
    pub(super) fn new(options: &Options) -> Topics {
        let age_max_ns =
            options.history_age_max.min(Duration::from_secs(1 << 30)).as_nanos() as u64;
        Topics {
            retention: Retention {
                events_max: options.history_events_max,
                bytes_max: options.history_bytes_max,
                age_max_ns,
                total_bytes_max: options.history_total_bytes_max,
            },
            backlog_bytes: options.topic_backlog_bytes_max,
            by_name: Names::default(),
            in_order: BTreeMap::new(),
            entries: Slab::new(),
            log: EventLog::default(),
            gone: Gone::default(),
            interests: Interests::new(options.shards),
            oldest: BinaryHeap::new(),
            idle: VecDeque::new(),
            kept_bytes: 0,
            kept_events: 0,
            forgotten_to: 0,
            forgotten_events: 0,
            have_custom_ids: false,
        }
    }

    /// Whether events are kept at all.
    pub(super) fn keep_events(&self) -> bool {
        self.retention.events_max > 0
    }

    #[inline]
    pub(super) fn find(&self, topic: &Topic) -> Option<u32> {
        self.by_name.find(topic, |index| &self.entry(index).state.name)
    }

    /// The index of a topic, which is a new one if need be.
    pub(super) fn find_or_create(&mut self, topic: &Topic) -> u32 {
        if let Some(index) = self.find(topic) {
            return index;
        }
        let (forgotten, was_gone) = self.gone.recall(topic);
        let index = self.entries.insert(Box::new(Entry {
            state: Arc::new(TopicState::new(topic.clone(), &self.interests, self.backlog_bytes)),
            history: History::after_forgetting(forgotten),
            pinned: 0,
            matched: 0,
            newest_ns: 0,
            in_oldest: false,
            in_idle: false,
        })) as u32;
        if let Some(gone) = was_gone {
            self.log.repoint(forgotten.to, Of::Gone(gone), Of::Topic(index));
        }
        let Topics { by_name, entries, .. } = self;
        by_name.insert(topic, index, |index| &entries[index as usize].state.name);
        self.in_order.insert(topic.clone(), index);
        index
    }

    pub(super) fn entry(&self, index: u32) -> &Entry {
        &self.entries[index as usize]
    }

    /// The name of the topic that an entry of the log is of, if it still stands for something.
    pub(super) fn name_of(&self, of: Of) -> Option<&Topic> {
        match of {
            Of::Topic(index) => self.entries.get(index as usize).map(|entry| &entry.state.name),
            Of::Gone(index) => self.gone.at(index).map(|topic| &topic.name),
        }
    }

    /// What an entry of the log stands for.
    pub(super) fn look_up(&self, log::Entry { number, of }: log::Entry) -> Logged<'_> {
        let forgotten = match of {
            Of::Topic(index) => match self.entries.get(index as usize) {
                Some(entry) if entry.history.keeps_from(number) => {
                    let found = entry.history.find_number(number);
                    return found.map_or(Logged::Useless, |(kept, next)| Logged::Kept(kept, next));
                }
                entry => entry.map(|entry| entry.history.forgotten()),
            },
            Of::Gone(index) => self.gone.at(index).map(|topic| topic.forgotten),
        };
        match forgotten.filter(|forgotten| forgotten.to == number) {
            Some(forgotten) => Logged::Forgotten(forgotten),
            None => Logged::Useless,
        }
    }

    /// Drops entries of the log that stand for nothing.
    fn tidy_log(&mut self, moves: usize) {
        let Topics { log, entries, gone, .. } = self;
        log.tidy(moves, |log::Entry { number, of }| match of {
            Of::Topic(index) => entries.get(index as usize).is_some_and(|entry| {
                let history = &entry.history;
                history.keeps_from(number) || history.forgotten().to == number
            }),
            Of::Gone(index) => gone.at(index).is_some_and(|topic| topic.forgotten.to == number),
        });
    }

    /// Keeps an event, within the bounds. The newest of a topic is kept however large it is, so that
    /// whatever is published can be resumed from.
    pub(super) fn keep(&mut self, index: u32, kept: Kept) {
        let Retention { events_max, bytes_max, total_bytes_max, .. } = self.retention;
        let (entry, at_ns) = (&mut *self.entries[index as usize], kept.at_ns);
        entry.newest_ns = at_ns;
        if kept.frame.custom_id().is_some() {
            entry.state.note_custom_id();
            self.have_custom_ids |= events_max > 0;
        }
        if events_max == 0 {
            if !entry.in_oldest {
                self.rest(index);
            }
            self.forget_old(at_ns, AGE_LOOKS);
            return;
        }
        self.log.push(kept.sequence, index);
        let history = &mut entry.history;
        self.kept_bytes += history.push(kept);
        self.kept_events += 1;
        if !std::mem::replace(&mut entry.in_oldest, true) {
            self.oldest.push(Reverse((history.oldest_ns().unwrap_or(at_ns), index)));
            self.kept_bytes += TOPIC_BYTES;
        }
        while history.len() > 1 && (history.len() > events_max || history.bytes() > bytes_max) {
            self.kept_bytes -= history.forget_oldest(&mut self.log);
            self.kept_events -= 1;
            self.forgotten_events += 1;
            self.forgotten_to = self.forgotten_to.max(history.forgotten().to);
        }
        self.forget_old(at_ns, AGE_LOOKS);
        while self.kept_bytes > total_bytes_max
            && self.kept_events > 1
            && self.look_at_oldest(u64::MAX)
        {}
        if self.log.is_untidy() {
            self.tidy_log(log::MOVES);
        }
    }

    /// Forgets what is too old, of a bounded number of topics; whether that was all.
    pub(super) fn forget_old(&mut self, now_ns: u64, looks_max: usize) -> bool {
        let before_ns = now_ns.saturating_sub(self.retention.age_max_ns);
        let mut looks = 0;
        while self.look_at_oldest(before_ns) || self.look_at_idle(before_ns) {
            looks += 1;
            if looks >= looks_max {
                return false;
            }
        }
        true
    }

    /// The same while nothing is published, and what else there is to tidy up then.
    pub(super) fn tidy(&mut self, now_ns: u64, looks_max: usize) {
        self.forget_old(now_ns, looks_max);
        self.tidy_log(looks_max);
    }

    /// If the topic on top of the heap seems to have an event from before some time: forgets its
    /// oldest one, or finds that its events are younger. False when there is nothing to do.
    fn look_at_oldest(&mut self, before_ns: u64) -> bool {
        let Some(&Reverse((at_ns, index))) = self.oldest.peek() else { return false };
        if at_ns >= before_ns {
            return false;
        }
        self.oldest.pop();
        let entry = &mut *self.entries[index as usize];
        if entry.history.oldest_ns() == Some(at_ns) {
            self.kept_bytes -= entry.history.forget_oldest(&mut self.log);
            self.kept_events -= 1;
            self.forgotten_events += 1;
            self.forgotten_to = self.forgotten_to.max(entry.history.forgotten().to);
        }
        match entry.history.oldest_ns() {
            Some(at_ns) => self.oldest.push(Reverse((at_ns, index))),
            None => {
                entry.in_oldest = false;
                self.kept_bytes -= TOPIC_BYTES;
                self.rest(index);
            }
        }
        true
    }

    /// Lets a topic of which nothing is kept wait for its end; the one that has waited longest
    /// goes when there are too many.
    fn rest(&mut self, index: u32) {
        if !std::mem::replace(&mut self.entries[index as usize].in_idle, true) {
            self.idle.push_back(index);
        }
        while self.idle.len() > IDLE_MAX {
            self.look_at_idle(u64::MAX);
        }
    }

    /// Ends the waiting of the topic that has waited longest, if nothing was published to it since
    /// some time: a topic is known for as long as an event would be kept. False when there is
    /// nothing to do.
    fn look_at_idle(&mut self, before_ns: u64) -> bool {
        let Some(&index) = self.idle.front() else { return false };
        let entry = &mut self.entries[index as usize];
        if !entry.in_oldest && entry.newest_ns >= before_ns {
            return false;
        }
        self.idle.pop_front();
        entry.in_idle = false;
        self.remove_unneeded(index);
        true
    }

    /// Removes a topic that no shard has asked for by its name and of which nothing is kept.
    pub(super) fn remove_unneeded(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        if entry.in_oldest || entry.in_idle || entry.pinned > 0 {
            return;
        }
        let Entry { state, history, .. } = *self.entries.remove(index as usize);
        self.interests.note_end(&state);
        let Topics { by_name, entries, .. } = self;
        by_name.remove(&state.name, index, |index| &entries[index as usize].state.name);
        self.in_order.remove(&state.name);
        let forgotten = history.forgotten();
        if forgotten.to > 0 {
            let Topics { log, gone, .. } = self;
            match gone.remember(&state.name, forgotten, |_, _| log.release()) {
                Some(gone) => self.log.repoint(forgotten.to, Of::Topic(index), Of::Gone(gone)),
                None => self.log.release(),
            }
        }
        self.shrink_for_few();
    }

    /// Gives memory back after a crowd of topics has gone; rarely, so that it costs nothing.
    fn shrink_for_few(&mut self) {
        if self.entries.capacity() > 1024 && self.entries.len() < self.entries.capacity() / 8 {
            self.shrink();
        }
    }

    /// Gives memory back that is not in use.
    pub(super) fn shrink(&mut self) {
        self.oldest.shrink_to(self.oldest.len() * 2);
        self.idle.shrink_to(self.idle.len() * 2);
        self.entries.shrink_to_fit();
        if self.entries.is_empty() {
            self.entries = Slab::new();
        }
    }

    /// The last number of any event that is not kept any more.
    pub(super) fn forgotten_to(&self) -> u64 {
        self.forgotten_to
    }

    /// How many events are not kept any more.
    pub(super) fn forgotten_events(&self) -> u64 {
        self.forgotten_events
    }

    /// Whether an event ever had an id of its publisher's own.
    pub(super) fn have_custom_ids(&self) -> bool {
        self.have_custom_ids
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<TopicState>> {
        self.entries.iter().map(|(_, entry)| &entry.state)
    }

    pub(super) fn known(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is anything that time puts an end to.
    pub(super) fn have_history(&self) -> bool {
        !self.oldest.is_empty() || !self.idle.is_empty()
    }

    pub(super) fn kept_events(&self) -> usize {
        self.kept_events
    }

    pub(super) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }
}
