//! Who is told that a topic is finished: publishers that wait for space of it.
//!
//! They wait for a backlog, which may be that of the hub, or of another of their topics. So whoever finishes a
//! topic tells them beside that. A name has one of a fixed number of places: no table of names has to be kept,
//! and of those that wait for the hub, a few of other names are woken.

use std::hash::BuildHasher;

use rustc_hash::FxBuildHasher;

use crate::sync::{Event, EventListener};
use crate::topic::Topic;

/// The places, so many that one bit of a number stands for each.
const PLACES: usize = u64::BITS as usize;

pub(super) struct Finishes([Event; PLACES]);

impl Finishes {
    pub(super) fn new() -> Finishes {
        Finishes([const { Event::new() }; PLACES])
    }

    /// Listeners for the ends of topics, and for those of some others. Whether one is finished is to be asked
    /// after this call.
    pub(super) fn listen(&self, topics: &[Topic]) -> Vec<EventListener> {
        let mut places = topics.iter().fold(0_u64, |places, topic| places | 1 << place(topic));
        let mut listeners = Vec::with_capacity(places.count_ones() as usize);
        while places != 0 {
            listeners.push(self.0[places.trailing_zeros() as usize].listen());
            places &= places - 1;
        }
        listeners
    }

    pub(super) fn notify(&self, topic: &Topic) {
        self.0[place(topic)].notify(usize::MAX);
    }
}

fn place(topic: &Topic) -> usize {
    FxBuildHasher.hash_one(topic.as_str()) as usize % PLACES
}
