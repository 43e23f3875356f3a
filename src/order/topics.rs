//! The topics that there are: those that a shard has an audience for, and those of which events
//! are kept. What is kept is bounded per topic by count, bytes and age, and in all by bytes.
//!
//! Which topic's events are the oldest is known from a heap with one entry a topic, by the time of
//! an event that is not younger than the topic's oldest: an entry that comes to the top is
//! corrected, or its events are forgotten. So publishing costs nothing for it but a look at the
//! top, and no topic is ever searched for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use super::gone::Gone;
use super::history::{Forgotten, History, Kept};
use super::matching::Matcher;
use super::recent::Recent;
use super::room::Room;
use crate::filter::tree::FilterTree;
use crate::filter::Subscription;
use crate::options::Options;
use crate::topic::Topic;

/// What a topic takes besides its events, about.
const TOPIC_BYTES: usize = 512;
/// So many topics of which nothing is kept, and that no shard asks for by name, are known: their
/// rooms and routes stay the same from one event to the next.
const IDLE_MAX: usize = 4 << 10;
/// Topics that are looked at for what is too old when an event is published.
const LOOKS_MAX: usize = 8;

/// What publishers, shards and history have in common of a topic.
pub(crate) struct TopicState {
    pub(crate) name: Topic,
    /// For each shard the key of its route for the topic, or [`NO_INTEREST`], or [`MATCHED`].
    /// Written under the lock: by the shard itself, and when the topic comes to be.
    interest: Box<[AtomicU32]>,
    /// Whether an event ever had an id of its publisher's own.
    own_ids: AtomicBool,
    /// Whether it is no longer one of the hub's topics; another one may have its name.
    gone: AtomicBool,
    pub(super) room: Room,
}

const NO_INTEREST: u32 = u32::MAX;
/// A filter of the shard matches, which has no route for the topic yet.
const MATCHED: u32 = u32::MAX - 1;

/// What a shard has to do with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    None,
    /// One of its filters matches, and it has yet to find out which.
    Matched,
    /// The shard's own key of its route.
    Key(u32),
}

/// The topics of a hub, under its lock.
pub(super) struct Topics {
    retention: Retention,
    shards: usize,
    room_bytes: usize,
    by_name: HashMap<Topic, u32>,
    /// The same in the order of their names, for filters that begin with one.
    pub(super) in_order: BTreeMap<Topic, u32>,
    entries: Slab<Entry>,
    /// Another number whenever a topic comes or goes.
    pub(super) generation: u64,
    /// For each filter which shards have it.
    filters: FilterTree<Box<[bool]>>,
    /// When the topics' oldest events were published, or an older one; with the topics' indices.
    oldest: BinaryHeap<Reverse<(u64, u32)>>,
    /// The topics by their newest events, if any are kept.
    pub(super) recent: Recent,
    /// Topics of which nothing is kept, or was not once, in the order in which they came here.
    idle: VecDeque<u32>,
    /// How many topics have an audience.
    wanted: usize,
    /// What is kept over all topics.
    kept_bytes: usize,
    kept_events: usize,
    /// The last number of any event that is not kept any more.
    forgotten_to: u64,
    /// Whether an event ever had an id of its publisher's own.
    pub(super) have_own_ids: bool,
    gone: Gone,
}

/// A topic.
pub(super) struct Entry {
    pub(super) state: Arc<TopicState>,
    pub(super) history: History,
    /// How many shards have a subscription to it by its name.
    pinned: u32,
    /// When its newest event was published.
    newest_ns: u64,
    /// Whether `oldest` names it: it has events.
    in_oldest: bool,
    /// Whether `idle` names it.
    in_idle: bool,
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
            shards: options.shards,
            room_bytes: options.topic_room_bytes,
            by_name: HashMap::new(),
            in_order: BTreeMap::new(),
            entries: Slab::new(),
            generation: 0,
            filters: FilterTree::default(),
            oldest: BinaryHeap::new(),
            recent: Recent::default(),
            idle: VecDeque::new(),
            wanted: 0,
            kept_bytes: 0,
            kept_events: 0,
            forgotten_to: 0,
            have_own_ids: false,
            gone: Gone::default(),
        }
    }

    /// Whether events are kept at all.
    pub(super) fn keep_events(&self) -> bool {
        self.retention.events_max > 0
    }

    pub(super) fn find(&self, topic: &Topic) -> Option<u32> {
        self.by_name.get(topic).copied()
    }

    /// The index of a topic, which is a new one if need be.
    pub(super) fn find_or_create(&mut self, topic: &Topic) -> u32 {
        if let Some(index) = self.find(topic) {
            return index;
        }
        let state = Arc::new(TopicState {
            name: topic.clone(),
            interest: (0..self.shards).map(|_| AtomicU32::new(NO_INTEREST)).collect(),
            own_ids: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            room: Room::new(self.room_bytes),
        });
        self.filters.for_each_match(topic, |_, shards| {
            let with_it = shards.iter().enumerate().filter(|(_, &has_it)| has_it);
            with_it.for_each(|(shard, _)| state.interest[shard].store(MATCHED, Ordering::Relaxed));
        });
        self.wanted += usize::from(state.is_wanted());
        let history = History::after_forgetting(self.gone.recall(topic));
        let newest = history.newest();
        let entry =
            Entry { state, history, pinned: 0, newest_ns: 0, in_oldest: false, in_idle: false };
        let index = self.entries.insert(entry) as u32;
        self.recent.insert(index, newest);
        self.generation += 1;
        self.by_name.insert(topic.clone(), index);
        self.in_order.insert(topic.clone(), index);
        index
    }

    /// Whether topics are known that no shard has asked for by their names.
    pub(super) fn know_all(&self) -> bool {
        self.keep_events() || !self.filters.is_empty()
    }

    /// Notes that a shard has a subscription from now on. `route_of` is told of each topic of it,
    /// and says which route the topic has there now, if it was given one.
    pub(super) fn subscribe(
        &mut self,
        shard: usize,
        what: &Subscription,
        route_of: &mut impl FnMut(&Subscription, &Arc<TopicState>) -> Option<u32>,
    ) {
        match what {
            Subscription::Topic(topic) => {
                let index = self.find_or_create(topic);
                self.entries[index as usize].pinned += 1;
                let state = self.entry(index).state.clone();
                if let Some(route) = route_of(what, &state) {
                    self.set_route(&state, shard, Some(route));
                }
            }
            Subscription::Filter(filter) => {
                let none = || vec![false; self.shards].into_boxed_slice();
                self.filters.get_or_insert_with(filter, none)[shard] = true;
                for index in self.of(std::slice::from_ref(what)).topics {
                    let state = self.entry(index).state.clone();
                    route_of(what, &state);
                    if state.interest_of(shard) == Interest::None {
                        self.set_interest(&state, shard, MATCHED);
                    }
                }
            }
        }
    }

    /// A shard has ended: it wants nothing any more.
    pub(super) fn leave(&mut self, shard: usize) {
        for state in self.iter().cloned().collect::<Vec<_>>() {
            self.set_interest(&state, shard, NO_INTEREST);
        }
    }

    /// Notes that a shard has a subscription no longer.
    pub(super) fn unsubscribe(&mut self, shard: usize, what: &Subscription) {
        match what {
            Subscription::Topic(topic) => {
                if let Some(index) = self.find(topic) {
                    self.entries[index as usize].pinned -= 1;
                    self.remove_unneeded(index);
                }
            }
            Subscription::Filter(filter) => {
                let Some(shards) = self.filters.get_mut(filter) else { return };
                shards[shard] = false;
                if !shards.contains(&true) {
                    self.filters.remove(filter);
                }
            }
        }
    }

    pub(super) fn entry(&self, index: u32) -> &Entry {
        &self.entries[index as usize]
    }

    /// Notes which route a shard has for a topic, or that it has none any more.
    pub(super) fn set_route(&mut self, topic: &TopicState, shard: usize, route: Option<u32>) {
        self.set_interest(topic, shard, route.unwrap_or(NO_INTEREST));
        if let Some(index) = self.find(&topic.name).filter(|_| route.is_none()) {
            self.remove_unneeded(index);
        }
    }

    fn set_interest(&mut self, topic: &TopicState, shard: usize, interest: u32) {
        let was_wanted = topic.is_wanted();
        topic.interest[shard].store(interest, Ordering::Relaxed);
        if !topic.is_gone() {
            self.wanted -= usize::from(was_wanted);
            self.wanted += usize::from(topic.is_wanted());
        }
    }

    /// Keeps an event, within the bounds.
    pub(super) fn keep(&mut self, index: u32, kept: Kept) {
        let Retention { events_max, bytes_max, total_bytes_max, .. } = self.retention;
        let (entry, at_ns) = (&mut self.entries[index as usize], kept.at_ns);
        entry.newest_ns = at_ns;
        if kept.frame.own_id().is_some() {
            entry.state.own_ids.store(true, Ordering::Relaxed);
            self.have_own_ids |= events_max > 0;
        }
        if events_max > 0 {
            self.recent.push(index, entry.history.newest(), kept.sequence);
            let (bytes_before, len_before) = (entry.history.bytes(), entry.history.len());
            entry.history.push(kept);
            while entry.history.len() > events_max || entry.history.bytes() > bytes_max {
                entry.history.forget_oldest();
            }
            self.forgotten_to = self.forgotten_to.max(entry.history.forgotten().to);
            self.kept_bytes = self.kept_bytes + entry.history.bytes() - bytes_before;
            self.kept_events = self.kept_events + entry.history.len() - len_before;
        }
        match entry.history.oldest_ns() {
            None if entry.in_oldest => {}
            None => self.rest(index),
            Some(oldest_ns) => {
                if !std::mem::replace(&mut entry.in_oldest, true) {
                    self.oldest.push(Reverse((oldest_ns, index)));
                    self.kept_bytes += TOPIC_BYTES;
                }
            }
        }
        self.forget_old(at_ns, LOOKS_MAX);
        while self.kept_bytes > total_bytes_max && self.look_at_oldest(u64::MAX) {}
    }

    /// Forgets what is too old, of a bounded number of topics.
    pub(super) fn forget_old(&mut self, now_ns: u64, looks_max: usize) {
        let before_ns = now_ns.saturating_sub(self.retention.age_max_ns);
        let mut looks = 0;
        while looks < looks_max && (self.look_at_oldest(before_ns) || self.look_at_idle(before_ns))
        {
            looks += 1;
        }
    }

    /// If the topic on top of the heap seems to have an event from before some time: forgets its
    /// oldest one, or finds that its events are younger. False when there is nothing to do.
    fn look_at_oldest(&mut self, before_ns: u64) -> bool {
        let Some(&Reverse((at_ns, index))) = self.oldest.peek() else { return false };
        if at_ns >= before_ns {
            return false;
        }
        self.oldest.pop();
        let entry = &mut self.entries[index as usize];
        if entry.history.oldest_ns() == Some(at_ns) {
            self.kept_bytes -= entry.history.forget_oldest();
            self.kept_events -= 1;
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
        let entry = self.entries.remove(index as usize);
        self.wanted -= usize::from(entry.state.is_wanted());
        entry.state.gone.store(true, Ordering::Release);
        self.generation += 1;
        self.by_name.remove(&entry.state.name);
        self.in_order.remove(&entry.state.name);
        self.recent.remove(index, entry.history.newest());
        if self.keep_events() {
            self.gone.remember(&entry.state.name, entry.history.forgotten());
        }
        self.shrink();
    }

    /// Gives memory back after a crowd of topics has gone; rarely, so that it costs nothing.
    fn shrink(&mut self) {
        let few = self.by_name.len();
        if self.by_name.capacity() > 1024 && few < self.by_name.capacity() / 8 {
            self.by_name.shrink_to(few * 2);
            self.oldest.shrink_to(few * 2);
            self.idle.shrink_to(few * 2);
            self.entries.shrink_to_fit();
            self.recent.shrink();
        }
    }

    /// What is known of the events of topics that are gone, of subscriptions, as far as they were
    /// published after a number.
    pub(super) fn gone_after<'a>(
        &'a self,
        number: u64,
        subscriptions: &'a [Subscription],
        filters: &'a Matcher<'a>,
    ) -> impl Iterator<Item = Forgotten> + 'a {
        // What a filter matches as well is counted with that.
        let named = subscriptions.iter().filter_map(move |subscription| match subscription {
            Subscription::Topic(topic) if self.find(topic).is_none() && !filters.matches(topic) => {
                Some(self.gone.find(topic))
            }
            _ => None,
        });
        let matching = (!filters.is_empty()).then(|| self.gone.find_all(filters, number));
        let all = named.chain(matching.into_iter().flatten());
        all.filter(move |forgotten| forgotten.is_after(number))
    }

    /// The last number of any event that is not kept any more.
    pub(super) fn forgotten_to(&self) -> u64 {
        self.forgotten_to
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<TopicState>> {
        self.entries.iter().map(|(_, entry)| &entry.state)
    }

    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    pub(super) fn known(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn filters(&self) -> usize {
        self.filters.len()
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

impl TopicState {
    pub(crate) fn interest_of(&self, shard: usize) -> Interest {
        match self.interest[shard].load(Ordering::Relaxed) {
            NO_INTEREST => Interest::None,
            MATCHED => Interest::Matched,
            route => Interest::Key(route),
        }
    }

    /// Whether it is no longer one of the hub's topics: what was published to it is in the
    /// inboxes by then.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Whether each shard, in their order, has an audience for it.
    pub(super) fn wanted_by(&self) -> impl Iterator<Item = bool> + '_ {
        self.interest.iter().map(|key| key.load(Ordering::Relaxed) != NO_INTEREST)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted_by().any(|wanted| wanted)
    }

    /// Whether an event of it ever had an id of its publisher's own.
    pub(crate) fn has_own_ids(&self) -> bool {
        self.own_ids.load(Ordering::Relaxed)
    }
}
