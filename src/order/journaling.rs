//! What the order writes into its journal: each event that is kept, each mark, each change of a rule. The
//! journal takes them into a bounded queue, in the order of their numbers, and writes them by a thread
//! of its own; what a shard does with an event does not depend on that.

use std::time::{Instant, SystemTime};

use event_listener::Listener as _;

use super::item::{Item, Times};
use super::topics::Topics;
use super::{Order, Refused};
use crate::filter::Subscription;
use crate::frame::{Draft, Frame};
use crate::id::EventId;
use crate::journal::Journal;
use crate::options::TopicOptions;
use crate::sync::EventListener;

/// Why the journal takes nothing at the moment.
pub(super) enum Unwritten {
    Full(EventListener),
    Unwritable,
}

impl Unwritten {
    pub(super) fn of(self, draft: Draft) -> Refused {
        match self {
            Unwritten::Full(listener) => Refused::Full(draft, listener),
            Unwritten::Unwritable => Refused::Unwritable,
        }
    }
}

impl Order {
    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// Whether what is published goes into a journal.
    #[inline]
    pub(super) fn is_journaled(&self, topics: &Topics) -> bool {
        self.journal.is_some() && topics.keeps_events()
    }

    /// Puts an event of tracked topics into the journal's queue.
    pub(super) fn write_event(&self, topics: &Topics, indices: &[u32], frame: &Frame) {
        let keeps = |&index: &u32| topics.limits_of(index).events_max > 0;
        let Some(&first) = indices.first() else { return };
        let topic = &topics.entry(first).state.name;
        self.write(&match indices.iter().any(keeps) {
            true => Item::Event { topic, frame },
            false => Item::Passed {
                topics: frame.topics().map_or(std::slice::from_ref(topic), |several| several),
                number: frame.sequence(),
                at_ns: frame.at_ns(),
            },
        });
    }

    /// Why the journal takes nothing, if it does not.
    #[inline]
    pub(super) fn refuses_to_write(&self) -> Option<Unwritten> {
        let listener = self.journal.as_ref()?.listen_if_full()?;
        Some(self.why_full(listener))
    }

    /// A listener for the moment when the journal takes more, if it is full; `None` also when nobody is to wait
    /// for that.
    #[cfg(feature = "capi")]
    pub(super) fn listen_if_journal_full(&self) -> Option<EventListener> {
        match self.refuses_to_write()? {
            Unwritten::Full(listener) => Some(listener),
            Unwritten::Unwritable => None,
        }
    }

    #[cold]
    fn why_full(&self, listener: EventListener) -> Unwritten {
        match self.is_unwritable() {
            true => Unwritten::Unwritable,
            false => Unwritten::Full(listener),
        }
    }

    /// Whether the journal could not be written for so long that nobody is to wait for it. Marks, which
    /// are small, are taken until then.
    pub(super) fn is_unwritable(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::is_given_up)
    }

    /// Whether the journal cannot be written at the moment.
    pub(crate) fn has_trouble(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.trouble().is_some())
    }

    /// Whether an event is as safe as the journal promises.
    #[inline]
    pub(crate) fn is_durable(&self, id: EventId) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.kept_to() >= id.sequence)
    }

    /// Waits until an event is durable; false if it is not until a deadline, or cannot become so.
    pub(crate) fn wait_until_durable(&self, id: EventId, deadline: Option<Instant>) -> bool {
        while let Some(progress) = self.listen_if_not_durable(id) {
            let is_in_time = match deadline {
                Some(deadline) => progress.wait_deadline(deadline).is_some(),
                None => {
                    progress.wait();
                    true
                }
            };
            if !is_in_time {
                break;
            }
        }
        self.is_durable(id)
    }

    /// The same for a future, without a deadline.
    pub(crate) async fn when_durable(&self, id: EventId) -> bool {
        while let Some(progress) = self.listen_if_not_durable(id) {
            progress.await;
        }
        self.is_durable(id)
    }

    /// A listener for the moment when an event may be durable; `None` if it is, or cannot become so in
    /// a time that anybody may be asked to wait.
    fn listen_if_not_durable(&self, id: EventId) -> Option<EventListener> {
        let journal = self.journal.as_ref().filter(|_| !self.is_durable(id))?;
        let progress = journal.listen();
        journal.hurry();
        let may_become_so = !journal.is_given_up() && !self.is_durable(id);
        may_become_so.then_some(progress)
    }

    /// Puts an item into the journal's queue. To be called under the lock, before the item's number is
    /// the order's.
    #[inline]
    pub(super) fn write(&self, item: &Item<'_>) {
        if let Some(journal) = &self.journal {
            journal.push(item);
        }
    }

    /// Writes that a rule was set or removed, which takes a number.
    pub(super) fn write_rule(&self, subscription: &Subscription, options: Option<&TopicOptions>) {
        if self.journal.is_none() {
            return;
        }
        let mut locked = self.lock();
        let number = self.next_sequence();
        self.write(&Item::Rule { number, subscription, options });
        locked.marks += 1;
        self.end_publishing(number);
    }

    /// Writes what the clocks say now, which takes a number.
    pub(super) fn write_times(&self) {
        let mut locked = self.lock();
        let (number, times) = (self.next_sequence(), self.times());
        self.write(&Item::Time { number, times });
        locked.marks += 1;
        self.end_publishing(number);
    }

    pub(super) fn times(&self) -> Times {
        Times { at_ns: self.now_ns(), unix_ns: unix_ns() }
    }
}

/// The time of day, in nanoseconds since 1970; zero if it is before that.
pub(super) fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
