//! All audiences of a shard: by key, by the set of subscriptions that each has, and by the routes
//! that lead to them.

use std::collections::HashMap;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use crate::envelope::Envelope;
use crate::filter::Subscription;
use crate::frame::Wire;
use crate::order::{Order, Published, TopicState};
use crate::shard::connection::slots::{Key, Slots};
use crate::shard::fanout::audience::{Audience, Lead};
use crate::shard::fanout::queue::Queue;
use crate::shard::fanout::routes::{Routes, Unneeded};
use crate::shard::fanout::scheduler::{Lane, Scheduler};
use crate::shard::fanout::spread::{Job, Spread, Waiting};

pub(in crate::shard) struct Audiences {
    pub(super) entries: Slots<Audience>,
    pub(super) by_set: HashMap<Set, u32>,
    pub(super) routes: Routes,
    /// What all windows take.
    window_bytes: usize,
    /// For the rings of new audiences.
    ring_runs_max: usize,
    /// Events that are delivered spread over a time.
    pub(in crate::shard) spread: Spread,
    batch_bytes_max: usize,
}

/// What an audience's members have in common: the keys of their subscriptions in ascending order,
/// the wire form, and the envelope.
pub(super) type Set = (Box<[u32]>, Wire, Envelope);

impl Audiences {
    /// Those of a shard, which has none yet.
    pub(in crate::shard) fn new(
        shard: usize,
        ring_runs_max: usize,
        batch_bytes_max: usize,
    ) -> Audiences {
        let (entries, by_set, routes) = (Slots::new(), HashMap::new(), Routes::new(shard));
        let spread = Spread::default();
        let window_bytes = 0;
        Audiences { entries, by_set, routes, window_bytes, ring_runs_max, spread, batch_bytes_max }
    }

    /// Appends an event to the queue of each audience that wants its topic, and has these audiences
    /// sent it: soon, if it is for few connections.
    #[inline]
    pub(in crate::shard) fn append(
        &mut self,
        order: &Order,
        published: &Arc<Published>,
        scheduler: &mut Scheduler,
    ) {
        if published.extra.is_some() {
            return self.append_special(order, published, scheduler);
        }
        self.append_to(order, &published.topic, published, scheduler);
    }

    /// Does what is to be done with an event of several topics, or with a mark.
    #[cold]
    fn append_special(
        &mut self,
        order: &Order,
        published: &Arc<Published>,
        scheduler: &mut Scheduler,
    ) {
        let Some(extra) = &published.extra else { return };
        if extra.reopens.is_some() {
            let topics = std::iter::once(&published.topic).chain(&extra.others);
            topics.for_each(|topic| self.reopen(topic, published.sequence()));
        }
        if extra.finishes {
            return self.finish(&published.topic, published.sequence(), scheduler);
        }
        if let Some(spread) = &extra.spread {
            if !self.spread.is_over {
                return self.append_spread(order, published, spread.window_ns, scheduler);
            }
        }
        for topic in std::iter::once(&published.topic).chain(&extra.others) {
            self.append_to(order, topic, published, scheduler);
        }
    }

    /// Appends an event to the queue of each audience that wants it, and has their members sent it
    /// spread over a time that began when it was published.
    fn append_spread(
        &mut self,
        order: &Order,
        published: &Arc<Published>,
        window_ns: u64,
        scheduler: &mut Scheduler,
    ) {
        let others = published.extra.iter().flat_map(|extra| extra.others.iter());
        let until_ns = published.frame.at_ns().saturating_add(window_ns);
        let (mut waiting, mut led) = (Vec::new(), Vec::new());
        for topic in std::iter::once(&published.topic).chain(others) {
            let Some(route) = self.routes.find_route(order, topic) else { continue };
            let (audiences, batch_bytes_max) = (&mut self.entries, self.batch_bytes_max);
            self.routes.along(route, |subscribed| {
                subscribed.custom_ids |= published.frame.custom_id().is_some();
                for &index in &subscribed.audiences {
                    let (audience, to) = audiences.entry_mut(index);
                    if let Some(members) = to.append_gated(published, batch_bytes_max) {
                        let behind = to.queue.end();
                        // Those that are sent it with another event are not counted.
                        match to.is_led_by(Lead { until_ns, behind }) {
                            true => waiting.push(Waiting { audience, members, behind }),
                            false => led.push(Waiting { audience, members: 0, behind }),
                        }
                    }
                    if to.has_work() {
                        scheduler.enqueue(audience, &mut to.queued, Lane::of(subscribed.members));
                    }
                }
            });
        }
        waiting.append(&mut led);
        if !waiting.is_empty() {
            let at_ns = published.frame.at_ns();
            self.spread.put(Job::new(at_ns, window_ns, fastrand::f64(), waiting));
        }
        while self.spread.has_too_many(self.entries.len()) {
            self.end_next_spread(scheduler);
        }
    }

    /// Has everything sent at once that is spread, now and from now on.
    pub(in crate::shard) fn end_all_spread(&mut self, scheduler: &mut Scheduler) {
        self.spread.is_over = true;
        while self.end_next_spread(scheduler) {}
    }

    /// Has one event sent at once that is spread; false if there is none.
    fn end_next_spread(&mut self, scheduler: &mut Scheduler) -> bool {
        let Some(job) = self.spread.take() else { return false };
        job.waiting.iter().for_each(|waiting| self.open_gate(waiting, scheduler));
        true
    }

    /// Has an audience sent at once what its members wait for.
    pub(in crate::shard) fn open_gate(&mut self, waiting: &Waiting, scheduler: &mut Scheduler) {
        let Some(audience) = self.entries.get_mut(waiting.audience) else { return };
        audience.queue.open_gate(waiting.behind);
        if audience.has_work() {
            let lane = Lane::of(audience.ring.len());
            scheduler.enqueue(waiting.audience, &mut audience.queued, lane);
        }
    }

    /// Appends an event to the queue of each audience that wants one of its topics.
    #[inline(always)]
    fn append_to(
        &mut self,
        order: &Order,
        topic: &Arc<TopicState>,
        published: &Arc<Published>,
        scheduler: &mut Scheduler,
    ) {
        let Some(route) = self.routes.find_route(order, topic) else { return };
        let audiences = &mut self.entries;
        self.routes.along(route, |subscribed| {
            subscribed.custom_ids |= published.frame.custom_id().is_some();
            let lane = Lane::of(subscribed.members);
            for &index in &subscribed.audiences {
                let (key, audience) = audiences.entry_mut(index);
                audience.append(published);
                scheduler.enqueue(key, &mut audience.queued, lane);
            }
        });
    }

    /// The audience of a set of subscriptions, of which there is at least one; a new one, which is
    /// quiet since a time, if there is none yet. The hub's lock is taken for a new one alone.
    pub(in crate::shard) fn find_or_begin(
        &mut self,
        order: &Order,
        wanted: &[Subscription],
        (wire, envelope): (Wire, Envelope),
        now_ms: u32,
    ) -> u32 {
        let mut keys = Vec::with_capacity(wanted.len());
        let mut new = Vec::new();
        for what in wanted {
            match self.routes.find(what) {
                Some(key) => keys.push(key),
                None => new.push(what.clone()),
            }
        }
        new.sort_unstable();
        new.dedup();
        keys.sort_unstable();
        keys.dedup();
        let mut set = (keys.into_boxed_slice(), wire, envelope);
        if new.is_empty() {
            match self.by_set.get(&set).copied() {
                Some(audience) if self.is_outdated(audience) => self.unlist(audience),
                Some(audience) => return audience,
                None => {}
            }
        }
        let mut keys = set.0.into_vec();
        let number = self.routes.begin(order, new, &mut keys);
        keys.sort_unstable();
        set = (keys.into_boxed_slice(), wire, envelope);
        let mut audience = Audience::new(set.0.clone(), wire, envelope, number, self.ring_runs_max);
        audience.quiet_since_ms = now_ms;
        let index = self.entries.insert(audience).index;
        for &key in &set.0 {
            let subscribed = self.routes.subscribed_mut(key);
            self.entries[index].slots.push(subscribed.audiences.len() as u32);
            subscribed.audiences.push(index);
        }
        self.count_finished(index, number);
        self.by_set.insert(set, index);
        index
    }

    /// Ends an audience that has no member, and the subscriptions that it was the last for. Returns
    /// its queue, with which what was still to be sent gives its backlog back.
    pub(in crate::shard) fn remove(&mut self, order: &Order, index: u32) -> Queue {
        let Audience { wanted, wire, envelope, slots, queue, is_listed, .. } =
            self.entries.remove(index);
        self.window_bytes -= queue.window_bytes();
        for (&key, &slot) in wanted.iter().zip(&slots) {
            let audiences = &mut self.routes.subscribed_mut(key).audiences;
            audiences.swap_remove(slot as usize);
            if let Some(&moved) = audiences.get(slot as usize) {
                let moved = &mut self.entries[moved];
                let nth = moved.wanted.binary_search(&key).expect("it was in this list");
                moved.slots[nth] = slot;
            } else if audiences.is_empty() {
                self.routes.end(order, key);
            }
        }
        if is_listed {
            self.by_set.remove(&(wanted, wire, envelope));
        }
        self.entries.shrink();
        if self.entries.is_empty() {
            self.spread.clear();
        }
        queue
    }

    /// Changes an audience, and adds up anew what the windows take.
    #[inline]
    pub(in crate::shard) fn change(&mut self, index: u32, change: impl FnOnce(&mut Audience)) {
        let audience = &mut self.entries[index];
        let before = audience.queue.window_bytes();
        change(audience);
        let after = audience.queue.window_bytes();
        self.count_window(before, after);
    }

    /// Notes that an audience's window takes more or less than before.
    #[inline]
    pub(in crate::shard) fn count_window(&mut self, before: usize, after: usize) {
        self.window_bytes = self.window_bytes + after - before;
    }

    /// What all windows take.
    #[inline]
    pub(in crate::shard) fn window_bytes(&self) -> usize {
        self.window_bytes
    }

    /// Counts a new member of an audience with each of its subscriptions.
    pub(in crate::shard) fn count_member(&mut self, index: u32) {
        for &key in &self.entries[index].wanted {
            self.routes.subscribed_mut(key).members += 1;
        }
    }

    /// Counts a member less.
    pub(in crate::shard) fn uncount_member(&mut self, index: u32) {
        for &key in &self.entries[index].wanted {
            self.routes.subscribed_mut(key).members -= 1;
        }
    }

    /// Whether an event for an audience ever had a custom id.
    pub(in crate::shard) fn has_custom_ids(&self, index: u32) -> bool {
        let mut wanted = self.entries[index].wanted.iter();
        wanted.any(|&key| self.routes.subscribed(key).custom_ids)
    }

    /// An audience's subscriptions.
    pub(in crate::shard) fn wanted_by(&self, index: u32) -> Vec<Subscription> {
        let keys = self.entries[index].wanted.iter();
        keys.map(|&key| self.routes.subscribed(key).what.clone()).collect()
    }

    /// What the audiences are subscribed to.
    pub(in crate::shard) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Routes that may be closed when the inbox has been emptied; looks at a share of all.
    pub(in crate::shard) fn find_unneeded_routes(&mut self) -> Vec<Unneeded> {
        self.routes.find_unneeded()
    }

    /// Closes routes that were found to be unneeded before the inbox was emptied.
    pub(in crate::shard) fn close_routes(&mut self, order: &Order, unneeded: Vec<Unneeded>) {
        self.routes.close(order, unneeded);
    }

    /// Takes all subscriptions back for a shard that has panicked, of which the order knows already
    /// that no topic has a route there.
    pub(in crate::shard) fn abandon(&mut self, order: &Order) {
        self.routes.abandon(order);
    }

    /// Gives memory back that is not in use.
    pub(in crate::shard) fn release_memory(&mut self) {
        self.by_set.shrink_to(self.by_set.len() * 2);
        self.routes.shrink();
    }

    /// The audience, unless the key is stale.
    #[inline]
    pub(in crate::shard) fn get_mut(&mut self, key: Key) -> Option<&mut Audience> {
        self.entries.get_mut(key)
    }

    /// The audience at an index, which has to be there, and its key.
    #[inline]
    pub(in crate::shard) fn entry_mut(&mut self, index: u32) -> (Key, &mut Audience) {
        self.entries.entry_mut(index)
    }

    /// The audience that is at an index now.
    #[inline]
    pub(in crate::shard) fn at(&self, index: u32) -> Option<&Audience> {
        self.entries.at(index)
    }

    /// The key of the audience at an index, which has to be there.
    pub(in crate::shard) fn key_at(&self, index: u32) -> Key {
        self.entries.key_at(index)
    }
}

impl Index<u32> for Audiences {
    type Output = Audience;

    #[inline]
    fn index(&self, index: u32) -> &Audience {
        &self.entries[index]
    }
}

impl IndexMut<u32> for Audiences {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut Audience {
        &mut self.entries[index]
    }
}

#[cfg(test)]
impl Audiences {
    pub(in crate::shard) fn indices(&self) -> Vec<u32> {
        self.entries.indices()
    }

    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.by_set.is_empty() && self.routes.is_empty()
    }

    /// Loses all audiences, but neither their routes nor their subscriptions, as a panic may.
    pub(in crate::shard) fn lose_entries(&mut self) {
        self.entries = Slots::new();
    }

    /// Panics unless each audience is in the lists of all its subscriptions, which count its
    /// members, and is found by its set.
    pub(in crate::shard) fn check(&self) {
        for index in self.indices() {
            let audience = &self.entries[index];
            for (&key, &slot) in audience.wanted.iter().zip(&audience.slots) {
                assert_eq!(self.routes.subscribed(key).audiences[slot as usize], index);
            }
            if audience.is_listed {
                let Audience { wanted, wire, envelope, .. } = audience;
                assert_eq!(self.by_set[&(wanted.clone(), *wire, *envelope)], index);
            }
        }
        let listed = self.indices().into_iter().filter(|&index| self.entries[index].is_listed);
        assert_eq!(self.by_set.len(), listed.count());
        for key in 0..self.routes.keys_end() {
            let Some(subscribed) = self.routes.at(key) else { continue };
            let audiences = subscribed.audiences.iter();
            let members: usize = audiences.map(|&index| self.entries[index].len()).sum();
            assert_eq!(subscribed.members, members, "{}", subscribed.what);
            assert!(members > 0, "no client wants {}", subscribed.what);
        }
        let windows =
            self.indices().into_iter().map(|index| self.entries[index].queue.window_bytes());
        assert_eq!(self.window_bytes, windows.sum::<usize>());
    }
}
