//! The poller on systems other than Linux, and in tests: the `polling` crate in its edge-triggered
//! mode where the system has one (kqueue, epoll).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use polling::{Event, Events, PollMode};

use super::{Readiness, READINESSES_MAX};
use crate::inbox::Wake;

/// Waits for sockets and for its [`Waker`].
pub(crate) struct Poller {
    poller: Arc<polling::Poller>,
    events: Events,
}

/// Wakes a poller from any thread.
#[derive(Clone)]
pub(crate) struct Waker(Arc<polling::Poller>);

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        let poller = Arc::new(polling::Poller::new()?);
        let events = Events::with_capacity(READINESSES_MAX.try_into().expect("is not zero"));
        Ok(Poller { poller, events })
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker(self.poller.clone())
    }

    /// Registers a stream for both directions, reported at each change.
    pub(crate) fn add_stream(&self, fd: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        self.add(fd, Event::all(key as usize), PollMode::Edge)
    }

    /// Registers a listening socket, reported as long as there is something to accept.
    pub(crate) fn add_listener(&self, fd: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        self.add(fd, Event::readable(key as usize), PollMode::Level)
    }

    fn add(&self, fd: BorrowedFd<'_>, interest: Event, mode: PollMode) -> io::Result<()> {
        // SAFETY: a stream is closed, and with it its registration, only by its owner, who holds
        // this poller; a listening socket, and a stream of which there are duplicates, is removed
        // before it is closed.
        unsafe { self.poller.add_with_mode(fd.as_raw_fd(), interest, mode) }
    }

    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.poller.delete(fd)
    }

    /// Waits for something to be ready, for the waker, or for the time to pass (`None`: for ever).
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Vec<Readiness>,
    ) -> io::Result<()> {
        ready.clear();
        self.events.clear();
        self.poller.wait(&mut self.events, timeout)?;
        ready.extend(self.events.iter().map(|event| Readiness {
            key: event.key as u64,
            readable: event.readable,
            writable: event.writable,
        }));
        Ok(())
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        (*self.poller).as_fd()
    }
}

impl Wake for Waker {
    /// Fails only when the system is out of resources, and then the next timer wakes the poller.
    fn wake(&self) {
        let _ = self.0.notify();
    }
}
