//! The handles of a sequence, each with what the model knows of it.

use std::collections::HashSet;
use std::ptr;

use fanfare::ffi::*;
use FanfareStatusCode::*;

use crate::expect::Expected;
use crate::input::Input;
use crate::notices::Queue;

pub(crate) struct Hub {
    pub(crate) handle: *mut FanfareHub,
    pub(crate) is_closed: bool,
    pub(crate) event_bytes_max: usize,
    pub(crate) finished: HashSet<Vec<u8>>,
    /// How often its interest was watched.
    pub(crate) watchers: usize,
}

pub(crate) struct Topic {
    pub(crate) handle: *mut FanfareTopic,
    pub(crate) name: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) hubs: Vec<Hub>,
    pub(crate) topics: Vec<Topic>,
    pub(crate) queues: Vec<Queue>,
}

impl World {
    /// A hub of the sequence, or rarely NULL; and what a call with it has to meet in any case.
    pub(crate) fn hub(&mut self, input: &mut Input<'_>) -> (Option<&mut Hub>, Expected) {
        let at = input.below(self.hubs.len());
        if self.hubs.is_empty() || input.rarely() {
            return (None, Expected::default().fault(FANFARE_ERR_ARGUMENT));
        }
        let hub = &mut self.hubs[at];
        let expected = Expected::default().fault_if(hub.is_closed, FANFARE_ERR_CLOSED);
        (Some(hub), expected)
    }

    /// A topic's handle and name, or rarely NULL.
    pub(crate) fn topic(&self, input: &mut Input<'_>) -> (*const FanfareTopic, Option<Vec<u8>>) {
        let at = input.below(self.topics.len());
        match self.topics.get(at) {
            Some(topic) if !input.rarely() => (topic.handle, Some(topic.name.clone())),
            _ => (ptr::null(), None),
        }
    }
}

impl Hub {
    pub(crate) fn pointer(hub: &Option<&mut Hub>) -> *const FanfareHub {
        hub.as_ref().map_or(ptr::null(), |hub| hub.handle.cast_const())
    }
}

/// Each handle is freed once, in the order of the world's fields, or in that of the sequence.
impl Drop for World {
    fn drop(&mut self) {
        for hub in self.hubs.drain(..) {
            // SAFETY: the hub is live, and nothing uses it any more.
            unsafe { fanfare_hub_free(hub.handle) };
        }
        for topic in self.topics.drain(..) {
            // SAFETY: the topic is live, and nothing uses it any more.
            unsafe { fanfare_topic_free(topic.handle) };
        }
        for queue in self.queues.drain(..) {
            // SAFETY: the queue is live, and nothing uses it any more.
            unsafe { fanfare_notices_free(queue.handle) };
        }
    }
}
