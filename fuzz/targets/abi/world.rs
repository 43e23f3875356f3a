//! The handles of a sequence, each with what the model knows of it.

use std::collections::HashSet;
use std::ptr;

use fanfare::ffi::FanfareStatusCode::*;
use fanfare::ffi::*;

use crate::expect::Expected;
use crate::input::Input;
use crate::notices::Queue;
use crate::streams::Stream;
use crate::tokens::Access;

pub(crate) struct Hub {
    pub(crate) handle: *mut FanfareHub,
    pub(crate) is_closed: bool,
    pub(crate) event_bytes_max: usize,
    pub(crate) finished: HashSet<Vec<u8>>,
    /// Whether a rule may have it forget finished topics sooner.
    pub(crate) forgets_finished: bool,
    /// How often its interest was watched.
    pub(crate) watchers: usize,
    /// Whether it may have connections.
    pub(crate) has_connections: bool,
    /// Whether a stream of all topics gets exactly what is published.
    pub(crate) is_exact: bool,
    pub(crate) listeners: Vec<FanfareListener>,
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
    pub(crate) streams: Vec<Stream>,
    pub(crate) access: Access,
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

    /// Reads the streams, and frees them as a rule: a hub that closes waits for those that are not
    /// read, for up to 2 s.
    pub(crate) fn let_go(&mut self, input: &mut Input<'_>) {
        self.read_exactly();
        if !(input.rarely() && input.is_odd()) {
            self.streams.clear();
        }
    }

    /// Checks that the streams of all topics have what was published.
    pub(crate) fn read_exactly(&mut self) {
        for stream in &mut self.streams {
            let hub = self.hubs.iter().find(|hub| ptr::eq(hub.handle, stream.hub));
            if hub.is_some_and(|hub| hub.is_exact && !hub.is_closed) {
                stream.read_exactly();
            }
        }
    }
}

impl Hub {
    pub(crate) fn new(handle: *mut FanfareHub, event_bytes_max: usize, is_exact: bool) -> Hub {
        Hub {
            handle,
            is_closed: false,
            event_bytes_max,
            finished: HashSet::new(),
            forgets_finished: false,
            watchers: 0,
            has_connections: false,
            is_exact,
            listeners: Vec::new(),
        }
    }

    pub(crate) fn pointer(hub: &Option<&mut Hub>) -> *const FanfareHub {
        hub.as_ref().map_or(ptr::null(), |hub| hub.handle.cast_const())
    }
}

/// Each handle is freed once.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.read_exactly();
        }
        self.streams.clear();
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
