//! Connections whose sockets take more: those that lag or replay go on.

use crate::shard::connection::pending::{Progress, FLUSHES_MAX};
use crate::shard::connection::slots::Key;
use crate::shard::connection::State;
use crate::shard::Shard;

impl Shard {
    /// Sends a connection more whose socket takes more.
    pub(in crate::shard) fn resume(&mut self, key: Key) {
        let progress = match self.connections[key.index].state {
            State::Replaying(_) => self.flush_replay(key.index),
            _ => self.flush_laggard(key.index),
        };
        self.after_flush(key, progress);
    }

    pub(in crate::shard) fn after_flush(&mut self, key: Key, progress: Progress) {
        match progress {
            Progress::Blocked => {}
            Progress::Unfinished => self.queue_for_another_flush(key),
            Progress::CaughtUp => self.catch_up(key.index),
            Progress::Finished => self.end_gracefully(key.index),
            Progress::TooMany => self.have_come_again(key.index),
            Progress::Broken(error) => self.lose(key.index, &error),
        }
    }

    /// A change on its socket may have been reported while it queues already.
    fn queue_for_another_flush(&mut self, key: Key) {
        if let Some(queued) = self.connections[key.index].state.queued() {
            self.scheduler.enqueue_flush(key, queued);
        }
    }

    /// Flushes connections that had more to send than one flush takes.
    pub(in crate::shard) fn resume_unfinished(&mut self) {
        for _ in 0..self.scheduler.unfinished().min(FLUSHES_MAX) {
            let Some(key) = self.scheduler.next_unfinished() else { return };
            let connection = self.connections.get_mut(key);
            if let Some(queued) = connection.and_then(|connection| connection.state.queued()) {
                *queued = false;
                self.resume(key);
            }
        }
    }
}
