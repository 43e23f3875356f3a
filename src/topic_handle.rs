//! A topic that is published to often: it remembers where the hub has it.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::topic::Topic;

/// A topic, and its place in the table of the hub that it was published to last. A name is found there
/// without its hash; what is found is compared with the name, so that a place of another hub, or of an
/// earlier time, does no harm.
#[derive(Debug)]
pub(crate) struct TopicHandle {
    topic: Topic,
    place: AtomicU32,
}

impl TopicHandle {
    pub(crate) fn new(topic: Topic) -> TopicHandle {
        TopicHandle { topic, place: AtomicU32::new(u32::MAX) }
    }

    pub(crate) fn topic(&self) -> &Topic {
        &self.topic
    }

    pub(crate) fn place(&self) -> u32 {
        self.place.load(Ordering::Relaxed)
    }

    /// Remembers a place. Written only if it is another one, as threads that share the handle read it.
    pub(crate) fn remember(&self, place: u32) {
        if self.place() != place {
            self.place.store(place, Ordering::Relaxed);
        }
    }
}
