//! Backlog is counted where the backlog is. A [`Published`] event takes its bytes of its topic's room
//! until all members that keep up have been sent it: each audience holds a reference until then,
//! and dropping the last one gives the room back. So a flood on one topic fills that topic, and
//! neither refuses nor delays the publisher of another.

use std::sync::Arc;

use super::backlog::Backlog;
use super::interest::TopicState;
use crate::frame::Frame;

/// What the engine keeps with an event besides its bytes, about: it counts for the hub's room, for
/// lag and for history, so that many tiny events do not take more memory than large ones.
pub(crate) const EVENT_BYTES: usize = 256;

/// A frame on its way to the audiences of its topic.
pub(crate) struct Published {
    pub(crate) frame: Frame,
    /// When it was published, in nanoseconds since the hub started.
    pub(crate) at_ns: u64,
    pub(crate) topic: Arc<TopicState>,
    hub_backlog: Arc<Backlog>,
    backlog_bytes: usize,
    /// How many events' room this one gives back.
    events: usize,
}

impl Published {
    /// Takes its topic's room, and the hub's, for an event of so many bytes.
    pub(super) fn new(
        frame: Frame,
        at_ns: u64,
        topic: Arc<TopicState>,
        hub_backlog: Arc<Backlog>,
        backlog_bytes: usize,
    ) -> Published {
        topic.backlog.take(backlog_bytes);
        hub_backlog.take(backlog_bytes + EVENT_BYTES);
        Published { frame, at_ns, topic, hub_backlog, backlog_bytes, events: 1 }
    }

    /// Its sequence number.
    pub(crate) fn sequence(&self) -> u64 {
        self.frame.sequence()
    }

    /// Releases events that were sent, or never will be. The room of each run of
    /// events of one topic is given back in one go: a publisher that were woken by the first of
    /// them would find little room, fill it, and sleep through the rest.
    pub(crate) fn release(events: impl Iterator<Item = Arc<Published>>) {
        let mut run: Option<Published> = None;
        // Others may hold the event: then they release it.
        for mut event in events.filter_map(Arc::into_inner) {
            match &mut run {
                Some(run) if Arc::ptr_eq(&run.topic, &event.topic) => {
                    run.backlog_bytes += std::mem::take(&mut event.backlog_bytes);
                    run.events += std::mem::take(&mut event.events);
                }
                _ => run = Some(event),
            }
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        if self.events > 0 {
            self.topic.backlog.give_back(self.backlog_bytes);
            self.hub_backlog.give_back(self.backlog_bytes + self.events * EVENT_BYTES);
        }
    }
}
