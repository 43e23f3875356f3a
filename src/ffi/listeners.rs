//! The listeners of a hub that are open, by their ids.

use std::collections::HashMap;

use crate::listener::Listener;

/// The listeners of a hub. An id is never used again.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    open: HashMap<u64, Listener>,
    ids: u64,
}

impl Listeners {
    /// Keeps a listener, and returns its id.
    pub(super) fn add(&mut self, listener: Listener) -> u64 {
        self.ids += 1;
        self.open.insert(self.ids, listener);
        self.ids
    }

    pub(super) fn get(&self, id: u64) -> Option<&Listener> {
        self.open.get(&id)
    }

    /// Gives a listener up; to drop it closes it.
    pub(super) fn remove(&mut self, id: u64) -> Option<Listener> {
        self.open.remove(&id)
    }
}
