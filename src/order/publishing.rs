//! Publishing to one topic, finishing a topic, and what is forgotten with that.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use super::history::Kept;
use super::published::{Published, TopicState};
use super::topics::Topics;
use super::{unlock, Item, Locked, Order, Refused, ShardInbox};
use crate::frame::Draft;
use crate::id::EventId;
use crate::sync::EventListener;
use crate::topic::Topic;
#[cfg(any(feature = "capi", test))]
use crate::topic_handle::TopicHandle;

/// Events and topics that are checked for their age when an event is published.
const AGE_STEPS_PER_EVENT: usize = 8;

impl Order {
    /// Publishes an event to all shards that want it, or to none.
    pub(crate) fn publish(&self, topic: &Topic, draft: Draft) -> Result<EventId, Refused> {
        self.publish_found(topic, draft, |topics| topics.find_published(topic))
    }

    /// The same to the topic of a handle.
    #[cfg(any(feature = "capi", test))]
    pub(crate) fn publish_by_handle(
        &self,
        handle: &TopicHandle,
        draft: Draft,
    ) -> Result<EventId, Refused> {
        let find = |topics: &mut Topics| topics.find_published_by_handle(handle);
        self.publish_found(handle.topic(), draft, find)
    }

    #[inline(always)]
    fn publish_found(
        &self,
        topic: &Topic,
        draft: Draft,
        find: impl FnOnce(&mut Topics) -> Option<u32>,
    ) -> Result<EventId, Refused> {
        // Before the lock, which is held for less time so.
        let read_ns = self.publishing_ns();
        let mut locked = self.lock();
        if locked.is_closed {
            return Err(Refused::Closed);
        }
        let at_ns = locked.time_of_publishing(read_ns);
        let topics = &mut locked.topics;
        let Some(index) = find(topics) else {
            return Ok(self.end_publishing(self.next_sequence()));
        };
        if topics.is_over(index, at_ns) {
            drop(locked);
            self.forget_over(topic);
            return self.publish(topic, draft);
        }
        let mut asleep = Vec::new();
        let id = self.append(topics, index, draft, None, at_ns, &mut asleep)?;
        if topics.has_due(at_ns) {
            self.forget_due(&mut locked, index, at_ns);
        }
        unlock(locked);
        asleep.into_iter().for_each(|inbox| inbox.wake());
        Ok(id)
    }

    /// Publishes an event to a tracked topic, or refuses it. With `window_ns`, its clients are to
    /// be sent it spread over that time. The shards that are added to `asleep`
    /// are to be woken when the lock is released.
    #[inline(always)]
    fn append<'a>(
        &'a self,
        topics: &mut Topics,
        index: u32,
        draft: Draft,
        window_ns: Option<u64>,
        at_ns: u64,
        asleep: &mut Vec<&'a Arc<ShardInbox>>,
    ) -> Result<EventId, Refused> {
        let entry = topics.entry(index);
        if entry.finished_ns.is_some() {
            return Err(Refused::Finished(entry.state.name.clone()));
        }
        let state = &entry.state;
        let wanted = state.is_wanted();
        let listen_if_full = || match window_ns {
            None => self.listen_if_full(state),
            Some(_) => self.listen_if_spread_full(state),
        };
        if let Some(listener) = wanted.then(listen_if_full).flatten() {
            // The topic may have been created for this event.
            topics.remove_unneeded(index);
            return Err(Refused::Full(draft, listener));
        }
        let is_journaled = self.is_journaled(topics);
        if is_journaled {
            if let Some(refused) = self.refuses_to_write() {
                topics.remove_unneeded(index);
                return Err(refused.of(draft));
            }
        }
        let (sequence, bytes) = (self.next_sequence(), draft.len());
        let frame = draft.stamp(self.epoch(), sequence, at_ns);
        if wanted {
            let (state, hub_backlog) = (state.clone(), self.hub_backlog.clone());
            let event = frame.clone();
            let mut published = match window_ns {
                None => Published::new(event, state, hub_backlog, bytes),
                Some(window_ns) => {
                    let backlogs = (hub_backlog, self.spread_backlog.clone());
                    Published::spread(event, [state].into(), backlogs, window_ns, bytes)
                }
            };
            published.reopens(topics.take_reopens(index));
            let published = Arc::new(published);
            let interested = self.interested(&published.topic);
            asleep.extend(interested.filter(|inbox| inbox.put(published.clone())));
        }
        if is_journaled {
            self.write_event(topics, &[index], &frame);
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
        let (mut locked, at_ns) = self.lock_for(std::slice::from_ref(topic));
        if locked.is_closed {
            return Err(Refused::Closed);
        }
        let topics = &mut locked.topics;
        let Some(index) = topics.find_published(topic) else {
            return Ok(self.end_publishing(self.next_sequence()));
        };
        let mut asleep = Vec::new();
        let id = self.append(topics, index, draft, Some(window_ns), at_ns, &mut asleep)?;
        self.forget_due(&mut locked, index, at_ns);
        unlock(locked);
        asleep.into_iter().for_each(|inbox| inbox.wake());
        Ok(id)
    }

    /// Completes a topic, with a last event if there is one: both or none. Nothing can be published
    /// to it from then on, as long as it is known to be complete. Returns the id of the last event,
    /// or else of the mark that says that the topic is complete.
    pub(crate) fn finish(&self, topic: &Topic, last: Option<Draft>) -> Result<EventId, Refused> {
        let (mut locked, at_ns) = self.lock_for(std::slice::from_ref(topic));
        if locked.is_closed {
            return Err(Refused::Closed);
        }
        let topics = &mut locked.topics;
        topics.find_or_create(topic);
        let Some(index) = topics.find_published(topic) else { return Err(Refused::Closed) };
        if self.is_unwritable() {
            topics.remove_unneeded(index);
            return Err(Refused::Unwritable);
        }
        let mut asleep = Vec::new();
        let last_id = match last {
            Some(draft) => Some(self.append(topics, index, draft, None, at_ns, &mut asleep)?),
            None if topics.entry(index).finished_ns.is_some() => {
                return Err(Refused::Finished(topic.clone()));
            }
            None => None,
        };
        let sequence = self.next_sequence();
        topics.finish(index, sequence, at_ns);
        if self.journal.is_some() {
            self.write(&Item::Finished { topic, number: sequence, at_ns });
        }
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
        unlock(locked);
        asleep.into_iter().for_each(|inbox| inbox.wake());
        self.finishes.notify(topic);
        Ok(last_id.unwrap_or(mark_id))
    }

    /// Forgets what is too old or too much, after something of a topic was published: in a bounded
    /// number of steps, and at least as much as was added.
    #[cold]
    pub(super) fn forget_due(&self, locked: &mut Locked, newest: u32, now_ns: u64) {
        locked.topics.forget_excess(newest);
        locked.topics.forget_old(now_ns, AGE_STEPS_PER_EVENT);
        self.number_reopened(locked);
    }

    /// Forgets a topic if it is finished and the time for which that is known is over, or some of
    /// its events if they are many: true then, and it is to be called again. The lock may be
    /// released before that.
    pub(super) fn forget_some_if_over(
        &self,
        locked: &mut Locked,
        topic: &Topic,
        now_ns: u64,
    ) -> bool {
        let Some(index) = locked.topics.find_finished(topic) else { return false };
        if !locked.topics.is_over(index, now_ns) {
            return false;
        }
        let is_more = !locked.topics.forget_finished(index);
        self.number_reopened(locked);
        is_more
    }

    /// Locks, and has each of these topics forgotten that is finished and whose time is over.
    /// Returns the time as well.
    pub(super) fn lock_for(&self, names: &[Topic]) -> (MutexGuard<'_, Locked>, u64) {
        loop {
            let mut locked = self.lock();
            let at_ns = locked.time_of_publishing(self.publishing_ns());
            let is_more = |name| self.forget_some_if_over(&mut locked, name, at_ns);
            if !names.iter().any(is_more) {
                return (locked, at_ns);
            }
        }
    }

    /// Forgets a topic if it is finished and its time is over, and takes the lock as often as that
    /// needs.
    #[cold]
    pub(super) fn forget_over(&self, topic: &Topic) {
        let now_ns = self.now_ns();
        while self.forget_some_if_over(&mut self.lock(), topic, now_ns) {}
    }

    /// Gives a number to each topic that was finished and is open again. To be called before the
    /// lock is released, and before anything of these topics is published.
    pub(super) fn number_reopened(&self, locked: &mut Locked) {
        while let Some(index) = locked.topics.reopened.pop() {
            let sequence = self.next_own_sequence();
            locked.topics.reopen(index, sequence);
            locked.marks += 1;
            self.end_publishing(sequence);
        }
    }

    /// The number of what is published now. To be called under the lock, and once for each item.
    #[inline]
    pub(super) fn next_sequence(&self) -> u64 {
        self.numbering.next(self.sequence())
    }

    /// A number for a mark that no item is. To be called under the lock.
    pub(super) fn next_own_sequence(&self) -> u64 {
        self.numbering.next_own(self.sequence())
    }

    /// The time of what is published now, on the hub's clock.
    #[inline]
    fn publishing_ns(&self) -> u64 {
        self.numbering.given_ns().unwrap_or_else(|| self.now_ns())
    }

    /// To be called under the lock, when the event is in every inbox that it goes into.
    #[inline]
    pub(super) fn end_publishing(&self, sequence: u64) -> EventId {
        self.sequence.store(sequence, Ordering::Release);
        if let Some(journal) = &self.journal {
            journal.note(sequence);
        }
        self.id_of(sequence)
    }

    /// The inboxes of the shards that want a topic.
    pub(super) fn interested<'a, 't>(
        &'a self,
        topic: &'t TopicState,
    ) -> impl Iterator<Item = &'a Arc<ShardInbox>> + use<'a, 't> {
        self.inboxes.iter().zip(topic.wanted_by()).filter(|(_, wanted)| *wanted).map(|(i, _)| i)
    }

    /// When the topic's backlog or the hub's is full: a listener for the moment when there may be
    /// space.
    pub(super) fn listen_if_full(&self, topic: &TopicState) -> Option<EventListener> {
        topic.backlog.listen_if_full().or_else(|| self.hub_backlog.listen_if_full())
    }

    /// The same of several topics, for a publisher that was refused, and for their ends; `None` when it has
    /// nothing to wait for, be it that this is closed, or that one of them is finished. A topic that is not
    /// tracked has an empty backlog.
    #[cfg(feature = "capi")]
    pub(crate) fn listen_for_space(
        &self,
        topics: &[Topic],
        is_spread: bool,
    ) -> Option<Vec<EventListener>> {
        let mut listeners = self.finishes.listen(topics);
        let locked = self.lock();
        if locked.is_closed || is_any_finished(&locked.topics, topics) {
            return None;
        }
        let of_hub = || match is_spread {
            true => self.spread_backlog.listen_if_full(),
            false => self.hub_backlog.listen_if_full(),
        };
        let of_topic = |index| {
            let state = &locked.topics.entry(index).state;
            match is_spread {
                true => self.listen_if_spread_full(state),
                false => self.listen_if_full(state),
            }
        };
        let mut tracked = topics.iter().filter_map(|topic| locked.topics.find(topic));
        let of_journal = || self.listen_if_journal_full();
        listeners.push(tracked.find_map(of_topic).or_else(of_hub).or_else(of_journal)?);
        Some(listeners)
    }

    /// Listeners for the ends of topics, and for those of some others; `None` when one is finished already.
    pub(crate) fn listen_for_finishes(&self, topics: &[Topic]) -> Option<Vec<EventListener>> {
        let listeners = self.finishes.listen(topics);
        (!is_any_finished(&self.lock().topics, topics)).then_some(listeners)
    }

    /// The same of the backlogs of events that are spread over a time.
    pub(super) fn listen_if_spread_full(&self, topic: &TopicState) -> Option<EventListener> {
        let of_topic = topic.spread_backlog().listen_if_full();
        of_topic.or_else(|| self.spread_backlog.listen_if_full())
    }
}

fn is_any_finished(tracked: &Topics, topics: &[Topic]) -> bool {
    let mut indices = topics.iter().filter_map(|topic| tracked.find(topic));
    indices.any(|index| tracked.entry(index).finished_ns.is_some())
}
