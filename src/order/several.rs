//! Publishing an event to several topics: with one number, and to all of them or to none.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use super::published::{Interest, Published, TopicState};
use super::topics::Topics;
use super::{unlock, Order, Refused, ShardInbox};
use crate::frame::Draft;
use crate::id::EventId;
use crate::sync::EventListener;
use crate::topic::Topic;

impl Order {
    /// Publishes an event of several topics ([`Draft::set_topics`]) to all shards that want one of
    /// them, or to none. A shard that wants several of them gets it once. With a window, its
    /// clients are to be sent it spread over that time.
    #[cold]
    pub(crate) fn publish_to_several(
        &self,
        mut draft: Draft,
        window_ns: Option<u64>,
    ) -> Result<EventId, Refused> {
        let names = draft.topics().cloned().expect("it has several topics");
        let (mut locked, at_ns) = self.lock_for(&names);
        if locked.is_closed {
            return Err(Refused::Closed);
        }
        let topics = &mut locked.topics;
        // A topic that is not tracked is wanted by nobody, and nothing of it is kept.
        let found: Box<[u32]> =
            names.iter().map(|topic| topics.find_published(topic).unwrap_or(u32::MAX)).collect();
        let indices: Vec<u32> = found.iter().copied().filter(|&index| index != u32::MAX).collect();
        let is_wanted = |index: &u32| topics.entry(*index).state.is_wanted();
        let wanted: Vec<u32> = indices.iter().copied().filter(is_wanted).collect();
        let states: Box<[_]> =
            wanted.iter().map(|&index| topics.entry(index).state.clone()).collect();
        if let Some(why) = self.refuses(topics, &indices, &states, window_ns.is_some()) {
            // Topics may have been created for this event.
            indices.iter().for_each(|&index| topics.remove_unneeded(index));
            return Err(match why {
                Refusal::Finished(topic) => Refused::Finished(topic),
                Refusal::Full(listener) => Refused::Full(draft, listener),
            });
        }
        let is_journaled = self.is_journaled(topics);
        if is_journaled {
            if let Some(refused) = self.refuses_to_write() {
                indices.iter().for_each(|&index| topics.remove_unneeded(index));
                return Err(refused.of(draft));
            }
        }
        let (sequence, bytes) = (self.next_sequence(), draft.len());
        let list = topics.keeps_events().then(|| topics.lists.publish(&names, found, sequence));
        if let Some((index, list)) = list.and_then(|index| Some((index, topics.lists.get(index)?)))
        {
            draft.set_list(index, list.topics().clone());
        }
        let frame = draft.stamp(self.epoch(), sequence, at_ns);
        let mut asleep = Vec::new();
        if !wanted.is_empty() {
            let (frame, hub_backlog) = (frame.clone(), self.hub_backlog.clone());
            let mut published = match window_ns {
                None => Published::of_several(frame, states, hub_backlog, bytes),
                Some(window_ns) => {
                    let backlogs = (hub_backlog, self.spread_backlog.clone());
                    Published::spread(frame, states, backlogs, window_ns, bytes)
                }
            };
            // A shard opens each of the topics again that it has complete.
            wanted.iter().for_each(|&index| published.reopens(topics.take_reopens(index)));
            self.put_to_several(&Arc::new(published), &mut asleep);
        }
        if is_journaled {
            self.write_event(topics, &indices, &frame);
        }
        topics.keep_shared(&indices, list, &frame);
        let id = self.end_publishing(sequence);
        if let Some(&newest) = indices.last() {
            self.has_history.store(true, Ordering::Relaxed);
            if topics.has_due(at_ns) {
                self.forget_due(&mut locked, newest, at_ns);
            }
        }
        unlock(locked);
        asleep.into_iter().for_each(|inbox| inbox.wake());
        Ok(id)
    }

    /// Puts an event into the inbox of each shard that wants one of its topics.
    fn put_to_several<'a>(
        &'a self,
        published: &Arc<Published>,
        asleep: &mut Vec<&'a Arc<ShardInbox>>,
    ) {
        for (shard, inbox) in self.inboxes.iter().enumerate() {
            let is_wanted = |topic: &Arc<TopicState>| topic.interest_of(shard) != Interest::None;
            if published.topics().any(is_wanted) && inbox.put(published.clone()) {
                asleep.push(inbox);
            }
        }
    }

    /// Why an event may not be published to all of these topics.
    fn refuses(
        &self,
        topics: &Topics,
        indices: &[u32],
        wanted: &[Arc<TopicState>],
        is_spread: bool,
    ) -> Option<Refusal> {
        let mut entries = indices.iter().map(|&index| topics.entry(index));
        if let Some(finished) = entries.find(|entry| entry.finished_ns.is_some()) {
            return Some(Refusal::Finished(finished.state.name.clone()));
        }
        let mut full = wanted.iter().filter_map(|topic| match is_spread {
            true => self.listen_if_spread_full(topic),
            false => self.listen_if_full(topic),
        });
        full.next().map(Refusal::Full)
    }
}

enum Refusal {
    Finished(Topic),
    Full(EventListener),
}
