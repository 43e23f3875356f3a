//! Whether a client that comes to finished topics would be sent anything.
//!
//! A client that would be sent nothing, ever, is told so by its response's status, since an
//! `EventSource` whose stream merely ends comes back. So this is asked for each request. While no topic
//! is finished the answer costs one atomic load; else topics are looked up until one is found that is
//! not finished, a bounded number each time the lock is taken.

use std::sync::atomic::Ordering;
#[cfg(test)]
use std::sync::Arc;

use super::topics::{Entry, Topics};
#[cfg(test)]
use super::{Kept, Published, Refused};
use super::{Order, SUBSCRIPTIONS_PER_LOCK};
use crate::filter::Subscription;
#[cfg(test)]
use crate::frame::Draft;
use crate::id::EventId;
use crate::resume::{Resume, StartAt};
#[cfg(test)]
use crate::topic::Topic;

/// Where a client's stream would begin, as far as it matters here.
enum Start<'a> {
    /// With what comes.
    Now,
    /// With something that is kept, if anything is.
    Kept,
    /// Behind the event of this sequence number.
    After(u64),
    /// Behind the event with this id, if its publisher gave it.
    AfterCustom(&'a str),
}

/// What is known of the topics that were looked at, all of which are finished.
#[derive(Default)]
struct Past {
    /// The sequence number of their newest event, or one behind it.
    newest: u64,
    has_kept: bool,
    /// The sequence number of the event with the client's id. If several topics have such an event,
    /// that of the oldest.
    found: Option<u64>,
}

impl Order {
    /// Whether all of these subscriptions are topics that are finished, and a client of them that
    /// begins there would be sent nothing: no event, and no gap.
    pub(crate) fn has_nothing_for(&self, wanted: &[Subscription], resume: &Resume) -> bool {
        let is_topic = |what: &Subscription| matches!(what, Subscription::Topic(_));
        if self.finished_topics.load(Ordering::Acquire) == 0 || !wanted.iter().all(is_topic) {
            return false;
        }
        let start = self.start_of(resume);
        let mut past = Past::default();
        for some in wanted.chunks(SUBSCRIPTIONS_PER_LOCK) {
            let locked = self.lock();
            for what in some {
                let Subscription::Topic(topic) = what else { return false };
                let Some(index) = locked.topics.find(topic) else { return false };
                if !past.add(&locked.topics, locked.topics.entry(index), &start) {
                    return false;
                }
            }
        }
        match start {
            Start::Now => true,
            Start::Kept => !past.has_kept,
            Start::After(sequence) => past.newest <= sequence,
            Start::AfterCustom(_) => past.found.is_some_and(|found| past.newest <= found),
        }
    }

    /// How many topics are finished.
    pub(super) fn count_finished(&self, topics: &Topics) {
        self.finished_topics.store(topics.finished as u64, Ordering::Release);
    }

    fn start_of<'a>(&self, resume: &'a Resume) -> Start<'a> {
        match resume {
            Resume::Start(StartAt::Now | StartAt::Last(0)) => Start::Now,
            Resume::Start(_) => Start::Kept,
            Resume::After(id) => match EventId::parse(id) {
                Some(own) if own.epoch == self.epoch && own.sequence <= self.sequence() => {
                    Start::After(own.sequence)
                }
                _ => Start::AfterCustom(id),
            },
        }
    }
}

impl Past {
    /// Adds what is known of a topic; false if it is not finished.
    fn add(&mut self, topics: &Topics, entry: &Entry, start: &Start<'_>) -> bool {
        let Some(finished_at) = entry.state.finished_at() else { return false };
        let newest = match entry.history.newest() {
            // Where nothing is kept of it, no more is known than that nothing came behind the mark.
            0 if !topics.keeps_events() || entry.newest_ns > 0 => finished_at - 1,
            newest => newest,
        };
        self.newest = self.newest.max(newest);
        self.has_kept |= entry.history.len() > 0;
        if let Start::AfterCustom(id) = start {
            self.found = self.found.into_iter().chain(entry.history.find(id)).min();
        }
        true
    }
}

/// What the order does when the time of a finished topic is over that a shard is subscribed to, as far
/// as shards see it.
#[cfg(test)]
impl Order {
    /// Forgets that a topic is finished, and returns the number that this takes.
    pub(crate) fn forget_finished(&self, topic: &Topic) -> u64 {
        let mut locked = self.lock();
        let topics = &mut locked.topics;
        let index = topics.find(topic).expect("it is finished");
        let entry = &mut topics.entries[index as usize];
        assert!(entry.finished_ns.take().is_some());
        entry.state.set_finished_at(0);
        topics.finished -= 1;
        self.count_finished(topics);
        locked.marks += 1;
        let number = self.next_sequence();
        self.end_publishing(number);
        number
    }

    /// Publishes the first event of another topic of the name, or finishes it at once.
    pub(crate) fn reopen(
        &self,
        topic: &Topic,
        draft: Option<Draft>,
        number: u64,
    ) -> Result<EventId, Refused> {
        let mut locked = self.lock();
        let topics = &mut locked.topics;
        topics.find_or_create(topic);
        let index = topics.find_published(topic).expect("it was created");
        let state = topics.entry(index).state.clone();
        let (sequence, at_ns) = (self.next_sequence(), self.now_ns());
        let backlog = self.hub_backlog.clone();
        let mut published = match draft {
            None => {
                topics.finish(index, sequence, at_ns);
                self.count_finished(topics);
                Published::end_of(state, backlog, sequence, at_ns)
            }
            Some(draft) => {
                if let Some(listener) = self.listen_if_full(&state) {
                    return Err(Refused::Full(draft, listener));
                }
                let bytes = draft.len();
                let frame = draft.stamp(self.epoch, sequence, at_ns);
                topics.keep(index, Kept::new(frame.clone()));
                Published::new(frame, state, backlog, bytes)
            }
        };
        published.extra.get_or_insert_default().reopens = Some(number);
        locked.marks += u64::from(published.frame.plain().is_empty());
        let published = Arc::new(published);
        let interested = self.interested(&published.topic);
        let asleep: Vec<_> = interested.filter(|inbox| inbox.put(published.clone())).collect();
        let id = self.end_publishing(sequence);
        drop(locked);
        asleep.into_iter().for_each(|inbox| inbox.wake());
        Ok(id)
    }
}
