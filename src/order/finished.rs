//! Whether a client that comes to finished topics would be sent anything.
//!
//! A client that would be sent nothing, ever, is told so by its response's status, since an
//! `EventSource` whose stream merely ends comes back. So this is asked for each request. While no
//! topic is finished the answer costs one atomic load; else topics are looked up until one is found
//! that is not finished, a bounded number each time the lock is taken.

use std::sync::atomic::Ordering;

use super::lives::Known;
use super::topics::{Entry, Topics};
use super::{Order, SUBSCRIPTIONS_PER_LOCK};
use crate::filter::Subscription;
use crate::id::EventId;
use crate::resume::{Resume, StartAt};

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
        let (start, now_ns) = (self.start_of(resume), self.now_ns());
        let mut past = Past::default();
        for some in wanted.chunks(SUBSCRIPTIONS_PER_LOCK) {
            let locked = self.lock();
            for what in some {
                let Subscription::Topic(topic) = what else { return false };
                let Some(index) = locked.topics.find(topic) else { return false };
                if locked.topics.is_over(index, now_ns) {
                    return false;
                }
                if !past.add(&locked.topics, locked.topics.entry(index), &start) {
                    return false;
                }
            }
        }
        match start {
            Start::Now => true,
            Start::Kept => !past.has_kept,
            Start::After(sequence) => past.newest <= sequence,
            Start::AfterCustom(_) => past.found.is_some_and(|found| {
                past.newest <= found && self.lock().lives.lost_after(found).is_none()
            }),
        }
    }

    /// How many topics are finished.
    pub(super) fn count_finished(&self, topics: &Topics) {
        self.finished_topics.store(topics.finished.len() as u64, Ordering::Release);
    }

    fn start_of<'a>(&self, resume: &'a Resume) -> Start<'a> {
        match resume {
            Resume::Start(StartAt::Now | StartAt::Last(0)) => Start::Now,
            Resume::Start(_) => Start::Kept,
            Resume::After(id) | Resume::AfterOr(id, _) => {
                let known =
                    EventId::parse(id).map(|id| self.lock().lives.look_up(id, self.newest_id()));
                match known {
                    Some(Known::Had(had, None)) => Start::After(had),
                    // One that has to be told of what was lost is sent something.
                    _ => Start::AfterCustom(id),
                }
            }
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

#[cfg(test)]
impl Order {
    /// Forgets that a topic is finished, as if its time were over, and not its events: models of
    /// what clients are sent of the past go on with those.
    pub(crate) fn forget_finished(&self, topic: &crate::topic::Topic) {
        let mut locked = self.lock();
        let index = locked.topics.find_finished(topic).expect("it is finished");
        locked.topics.end_finished(index);
        self.number_reopened(&mut locked);
        self.count_finished(&locked.topics);
    }
}
