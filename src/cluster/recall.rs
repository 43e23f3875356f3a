//! What shards ask of the cluster's stream: events that this node has forgotten, for a client that comes back.
//!
//! ```text
//!   shard --- Recall ---> bounded queue ---> recalling, a thread ---> XRANGE
//!     ^                                          |
//!     +---------------- Recalled ----------------+
//! ```
//!
//! Each question is answered once, with a bounded part of what there is; the shard asks again from where that
//! ends, until its own memory has what follows. Numbers are those of the node's order.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::envelope::Envelope;
use crate::filter::Subscription;
use crate::frame::Wire;

/// Questions that may wait. Beyond that a client comes again later.
const QUESTIONS_MAX: usize = 4096;

/// What is wanted of the stream.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Recall {
    pub(crate) wanted: Vec<Subscription>,
    pub(crate) wire: Wire,
    pub(crate) envelope: Envelope,
    /// The client had all up to this number.
    pub(crate) after: u64,
    /// The most bytes of an answer, unless a single event is larger.
    pub(crate) bytes_max: usize,
}

/// What the stream has of it.
#[derive(Clone)]
pub(crate) enum Recalled {
    Events(RecalledEvents),
    /// The stream has nothing between the client's last number and this one any more, or what it has there is not
    /// what this node has read.
    Gone {
        to: u64,
    },
    /// The server does not answer.
    Unanswered,
    /// The server says no, or has something else than this version writes.
    Refused,
}

/// Events, as the client is sent them.
#[derive(Clone)]
pub(crate) struct RecalledEvents {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) count: u64,
    /// These are all events up to this number.
    pub(crate) to: u64,
    /// Whether the node had read no further when it was asked.
    pub(crate) is_end: bool,
    /// How many the rules keep from the client, and the number of the last one.
    pub(crate) withheld: Option<(u64, u64)>,
}

/// The shard that has asked, and is given the answer.
pub(crate) trait Asker: Send + Sync {
    fn answer(&self, key: u64, recalled: Recalled);
}

pub(super) struct Question {
    pub(super) recall: Recall,
    asker: Arc<dyn Asker>,
    /// The connection of the asker's that waits for the answer.
    key: u64,
    since: Instant,
}

/// The questions that wait.
#[derive(Default)]
pub(super) struct Questions {
    waiting: Mutex<VecDeque<Question>>,
    filled: Condvar,
}

impl Questions {
    /// Takes a question; false if there are too many.
    pub(super) fn put(&self, recall: Recall, asker: Arc<dyn Asker>, key: u64) -> bool {
        let mut waiting = self.lock();
        if waiting.len() >= QUESTIONS_MAX {
            return false;
        }
        waiting.push_back(Question { recall, asker, key, since: Instant::now() });
        drop(waiting);
        self.filled.notify_one();
        true
    }

    /// The question that has waited for longest, with all that are the same: they have one answer. None if no
    /// question comes within a time.
    pub(super) fn take(&self, within: Duration) -> Vec<Question> {
        let until = Instant::now() + within;
        let mut waiting = self.lock();
        while waiting.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Vec::new();
            }
            let woken = self.filled.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut taken: Vec<Question> = waiting.pop_front().into_iter().collect();
        let others = std::mem::take(&mut *waiting);
        for question in others {
            match taken.first().is_some_and(|first| first.recall == question.recall) {
                true => taken.push(question),
                false => waiting.push_back(question),
            }
        }
        taken
    }

    pub(super) fn take_all(&self) -> Vec<Question> {
        std::mem::take(&mut *self.lock()).into()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Question>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question {
    /// How long it has waited.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    pub(super) fn answer(self, recalled: Recalled) {
        self.asker.answer(self.key, recalled);
    }
}

/// Which part of the stream is what this node has read of it, and no other node's history.
#[derive(Default)]
pub(super) struct Continuity(Mutex<Read>);

#[derive(Default)]
struct Read {
    /// Up to here the stream may differ from what the node has read: it read it before the server lost its newest
    /// entries, or had them under other numbers, or has not read it at all.
    differs_to: u64,
    /// The numbers behind that of the items that were refused when they were applied, in their order.
    refused: VecDeque<u64>,
}

impl Continuity {
    /// Refused items that are known.
    const REFUSED_MAX: usize = 64 << 10;

    /// Notes that the stream may differ up to a number of it.
    pub(super) fn note_difference(&self, to: u64) {
        let mut read = self.lock();
        read.differs_to = read.differs_to.max(to);
        while read.refused.front().is_some_and(|&number| number <= to) {
            read.refused.pop_front();
        }
    }

    pub(super) fn note_refused(&self, number: u64) {
        let mut read = self.lock();
        if read.refused.len() == Continuity::REFUSED_MAX {
            // It would be sent to clients.
            let first = read.refused.pop_front().unwrap_or(0);
            read.differs_to = read.differs_to.max(first);
        }
        read.refused.push_back(number);
    }

    pub(super) fn differs_to(&self) -> u64 {
        self.lock().differs_to
    }

    pub(super) fn is_refused(&self, number: u64) -> bool {
        self.lock().refused.binary_search(&number).is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Answers(async_channel::Sender<(u64, bool)>);

    impl Asker for Answers {
        fn answer(&self, key: u64, recalled: Recalled) {
            _ = self.0.try_send((key, matches!(recalled, Recalled::Unanswered)));
        }
    }

    fn recall(topic: &str, after: u64) -> Recall {
        let wanted = vec![topic.parse().expect("a topic")];
        let (wire, envelope) = (Wire::Plain, Envelope::None);
        Recall { wanted, wire, envelope, after, bytes_max: 100 }
    }

    #[test]
    fn the_same_questions_have_one_answer_and_their_number_is_bounded() {
        let (answers, answered) = async_channel::unbounded();
        let (questions, asker) = (Questions::default(), Arc::new(Answers(answers)));
        let put = |recall, key| questions.put(recall, asker.clone(), key);
        assert!(put(recall("a", 1), 1) && put(recall("b", 1), 2) && put(recall("a", 1), 3));
        assert!(put(recall("a", 2), 4));
        let taken = questions.take(Duration::ZERO);
        assert_eq!(taken.iter().map(|question| question.key).collect::<Vec<_>>(), [1, 3]);
        taken.into_iter().for_each(|question| question.answer(Recalled::Unanswered));
        assert_eq!(answered.try_recv(), Ok((1, true)));
        assert_eq!(answered.try_recv(), Ok((3, true)));
        assert_eq!(questions.take(Duration::ZERO)[0].key, 2);
        assert_eq!(questions.take_all().len(), 1);
        assert!(questions.take(Duration::ZERO).is_empty());
        assert!((0..QUESTIONS_MAX as u64).all(|key| put(recall("a", key), key)));
        assert!(!put(recall("a", 0), 0));
    }

    #[test]
    fn what_was_refused_is_known_or_counts_as_different() {
        let continuity = Continuity::default();
        continuity.note_difference(10);
        for number in 0..=Continuity::REFUSED_MAX as u64 {
            continuity.note_refused(20 + 2 * number);
        }
        assert_eq!(continuity.differs_to(), 20, "the first is not known any more");
        assert!(continuity.is_refused(22) && !continuity.is_refused(23));
        continuity.note_difference(22);
        assert!(!continuity.is_refused(22) && continuity.is_refused(24));
    }
}
