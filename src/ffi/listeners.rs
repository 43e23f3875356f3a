//! The listeners of a hub that are open, by their ids.

use std::collections::{HashMap, HashSet};

use crate::listener::Listener;

/// The listeners of a hub. An id is never used again.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    open: HashMap<u64, Listener>,
    /// Those whose sockets the program has lent.
    lent: HashSet<u64>,
    ids: u64,
}

impl Listeners {
    /// Keeps a listener, and returns its id.
    pub(super) fn add(&mut self, listener: Listener) -> u64 {
        self.ids += 1;
        self.open.insert(self.ids, listener);
        self.ids
    }

    /// Keeps a listener whose socket the program has lent, and returns its id.
    pub(super) fn add_lent(&mut self, listener: Listener) -> u64 {
        let id = self.add(listener);
        self.lent.insert(id);
        id
    }

    /// Gives those up whose sockets the program has lent.
    pub(super) fn take_lent(&mut self) -> Vec<Listener> {
        let lent = std::mem::take(&mut self.lent);
        lent.iter().filter_map(|id| self.open.remove(id)).collect()
    }

    pub(super) fn get(&self, id: u64) -> Option<&Listener> {
        self.open.get(&id)
    }

    /// Gives a listener up; to drop it closes it.
    pub(super) fn remove(&mut self, id: u64) -> Option<Listener> {
        self.lent.remove(&id);
        self.open.remove(&id)
    }
}
