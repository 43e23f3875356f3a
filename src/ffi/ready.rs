//! Which sources of a queue of notices may have something, and whether its host has been told so.
//!
//! Threads of the engine put a source here; a host that drains the queue takes it out, and asks it.
//! All is under one lock, which is held for some instructions and at most a system call that does
//! not wait. `tests/loom` tries all interleavings, which is why this file uses nothing but
//! [`crate::sync`].

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

/// What a host waits at: something that is readable from a byte's being sent until it is emptied.
pub(crate) trait Wire {
    /// Sends a byte; false when it could not, and is to be tried again with the next one.
    fn send(&self) -> bool;

    /// Takes out what was sent and not read.
    fn empty(&self);
}

/// One source's place in the line.
pub(crate) struct Place {
    /// The source's key.
    pub(crate) key: u64,
    /// Whether it is in the line.
    is_ready: AtomicBool,
}

impl Place {
    pub(crate) fn new(key: u64) -> Place {
        Place { key, is_ready: AtomicBool::new(false) }
    }
}

/// Places of sources that are gone, and are not looked for.
const LINE_SPARE: usize = 64;

/// The line of sources that are to be asked, each at most once.
pub(crate) struct Ready<W> {
    locked: Mutex<Locked<W>>,
}

struct Locked<W> {
    /// `None` once the queue is freed.
    wire: Option<W>,
    /// Whether the host knows that it is to drain, or is draining.
    is_rung: bool,
    line: VecDeque<Arc<Place>>,
}

impl<W: Wire> Ready<W> {
    pub(crate) fn new(wire: W) -> Ready<W> {
        let locked = Locked { wire: Some(wire), is_rung: false, line: VecDeque::new() };
        Ready { locked: Mutex::new(locked) }
    }

    /// A source may have something from now on, and the host is told unless it was already. Never
    /// waits for the host.
    pub(crate) fn call(&self, place: &Arc<Place>) {
        // What the source has was put into it before. If it is in the line already, it is asked
        // after the exchange in `take`, which comes after this one and so sees what was put.
        if place.is_ready.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut locked = self.lock();
        if locked.wire.is_some() {
            locked.line.push_back(place.clone());
            locked.ring();
        }
    }

    /// The host begins to drain: it is not told of anything until [`Drain`] is dropped.
    pub(crate) fn drain(&self) -> Drain<'_, W> {
        let mut locked = self.lock();
        if let Some(wire) = &locked.wire {
            wire.empty();
        }
        locked.is_rung = true;
        let places = locked.line.len();
        drop(locked);
        Drain { ready: self, places }
    }

    /// What the host waits at, unless the queue is freed.
    pub(crate) fn with_wire<R>(&self, what: impl FnOnce(&W) -> R) -> Option<R> {
        self.lock().wire.as_ref().map(what)
    }

    /// Sources of other keys are gone, and leave the line: only once most of it may be theirs, so
    /// that this costs nothing on average.
    pub(crate) fn retain(&self, sources: usize, is_there: impl Fn(u64) -> bool) {
        let mut locked = self.lock();
        if locked.line.len() > 2 * sources + LINE_SPARE {
            locked.line.retain(|place| is_there(place.key));
        }
    }

    /// Nothing is told from now on, and the wire is closed.
    pub(crate) fn close(&self) {
        let mut locked = self.lock();
        let left = (locked.wire.take(), std::mem::take(&mut locked.line));
        drop(locked);
        drop(left);
    }

    /// Nothing under the lock panics but for want of memory, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Locked<W>> {
        self.locked.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<W: Wire> Locked<W> {
    fn ring(&mut self) {
        if !self.is_rung {
            self.is_rung = self.wire.as_ref().is_some_and(Wire::send);
        }
    }
}

/// A host that drains. When it is done and something is left, it is told again.
pub(crate) struct Drain<'a, W: Wire> {
    ready: &'a Ready<W>,
    places: usize,
}

impl<W: Wire> Drain<'_, W> {
    /// How many were in the line when it began.
    pub(crate) fn places(&self) -> usize {
        self.places
    }

    /// The key of the next source to ask. It is in the line again when it is called after this.
    pub(crate) fn take(&self) -> Option<Arc<Place>> {
        let place = self.ready.lock().line.pop_front()?;
        place.is_ready.swap(false, Ordering::AcqRel);
        Some(place)
    }
}

impl<W: Wire> Drop for Drain<'_, W> {
    fn drop(&mut self) {
        let mut locked = self.ready.lock();
        locked.is_rung = false;
        if !locked.line.is_empty() {
            locked.ring();
        }
    }
}
