//! What becomes of a request that was put before the host, and the way of that to the connection
//! that waits for it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::Arc;

use super::decide::Admission;
use super::refusal::Refusal;

/// What becomes of a request for a stream that the host was asked about.
pub(crate) enum Verdict {
    Allow(Box<Admission>),
    Refuse(Refusal),
    /// The host has not answered in time, or has dropped the request.
    Unanswered,
    /// As many wait for an answer as may, and this one was never put before the host.
    TooMany,
}

/// The way of answers to the shard whose connections wait for them.
pub(crate) trait Replies: Send + Sync {
    /// Hands over what becomes of the connection that has a key. Called at most once for each, and
    /// only while it waits.
    fn reply(&self, key: u64, verdict: Verdict);

    /// Counts an answer that came after its connection had ceased to wait.
    fn count_late(&self);
}

/// Whether a connection still waits for the host's answer: the connection and the host's request
/// share it, and only one of them ends the waiting.
#[derive(Default)]
pub(super) struct Wait(AtomicU8);

const WAITS: u8 = 0;
const ANSWERED: u8 = 1;
const GONE: u8 = 2;

impl Wait {
    pub(super) fn is_waiting(&self) -> bool {
        self.0.load(Ordering::Acquire) == WAITS
    }

    /// Notes that the host has answered; false if nothing waits any more.
    pub(super) fn answer(&self) -> bool {
        let answered =
            self.0.compare_exchange(WAITS, ANSWERED, Ordering::AcqRel, Ordering::Acquire);
        answered.is_ok()
    }

    /// Notes that the connection waits no more.
    pub(super) fn leave(&self) {
        self.0.store(GONE, Ordering::Release);
    }
}

/// Whether an answer came while its connection waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InTime {
    Yes,
    No,
}

/// The way of one answer. Dropped unused, it tells the connection that there will be none.
pub(super) struct Reply {
    pub(super) wait: Arc<Wait>,
    pub(super) replies: Arc<dyn Replies>,
    pub(super) key: u64,
}

impl Reply {
    /// Hands the answer over, unless it is too late, which is counted.
    pub(super) fn send(self, verdict: Verdict) -> InTime {
        if self.wait.answer() {
            self.replies.reply(self.key, verdict);
            return InTime::Yes;
        }
        self.replies.count_late();
        InTime::No
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.wait.answer() {
            self.replies.reply(self.key, Verdict::Unanswered);
        }
    }
}
