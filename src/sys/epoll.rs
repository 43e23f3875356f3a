//! The poller on Linux: one epoll instance a shard, edge-triggered, and an eventfd that wakes it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::{Readiness, READINESSES_MAX};
use crate::inbox::Wake;

/// Waits for sockets and for its [`Waker`].
pub(crate) struct Poller {
    epoll: OwnedFd,
    waker: Waker,
    events: Vec<libc::epoll_event>,
}

/// Wakes a poller from any thread.
#[derive(Clone)]
pub(crate) struct Waker(Arc<File>);

const WAKER_KEY: u64 = u64::MAX;

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        // SAFETY: takes no pointer, and returns a descriptor of its own or -1.
        let epoll = unsafe { owned(libc::epoll_create1(libc::EPOLL_CLOEXEC)) }?;
        // SAFETY: as above.
        let eventfd = unsafe { owned(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)) }?;
        let poller = Poller {
            epoll,
            waker: Waker(Arc::new(File::from(eventfd))),
            events: Vec::with_capacity(READINESSES_MAX),
        };
        poller.control(poller.waker.0.as_fd(), libc::EPOLL_CTL_ADD, libc::EPOLLIN, WAKER_KEY)?;
        Ok(poller)
    }

    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Registers a stream for both directions, reported at each change.
    pub(crate) fn add_stream(&self, fd: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        let interest = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        self.control(fd, libc::EPOLL_CTL_ADD, interest, key)
    }

    /// Registers a listening socket, reported as long as there is something to accept, to one of
    /// the pollers that it is registered with.
    pub(crate) fn add_listener(&self, fd: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        self.control(fd, libc::EPOLL_CTL_ADD, libc::EPOLLIN | libc::EPOLLEXCLUSIVE, key)
    }

    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(fd, libc::EPOLL_CTL_DEL, 0, 0)
    }

    fn control(
        &self,
        fd: BorrowedFd<'_>,
        operation: libc::c_int,
        interest: libc::c_int,
        key: u64,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest as u32, u64: key };
        // SAFETY: both descriptors are open for the call, and `event` outlives it.
        let result = unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd.as_raw_fd(), &mut event)
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Waits for something to be ready, for the waker, or for the time to pass (`None`: for ever).
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        ready: &mut Vec<Readiness>,
    ) -> io::Result<()> {
        ready.clear();
        self.events.clear();
        let timeout_ms = timeout.map_or(-1, |t| {
            let rounded_up = t.as_nanos().div_ceil(1_000_000);
            libc::c_int::try_from(rounded_up).unwrap_or(libc::c_int::MAX)
        });
        // SAFETY: the buffer has space for READINESSES_MAX events.
        let count = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                READINESSES_MAX as libc::c_int,
                timeout_ms,
            )
        };
        let count = match usize::try_from(count) {
            Ok(count) => count,
            Err(_) => {
                let error = io::Error::last_os_error();
                let interrupted = error.kind() == io::ErrorKind::Interrupted;
                return if interrupted { Ok(()) } else { Err(error) };
            }
        };
        // SAFETY: the kernel has written `count` events, and no more than there is space for.
        unsafe { self.events.set_len(count) };
        for event in &self.events {
            let (key, events) = (event.u64, event.events as libc::c_int);
            if key == WAKER_KEY {
                self.waker.reset();
                continue;
            }
            let ended = libc::EPOLLERR | libc::EPOLLHUP | libc::EPOLLRDHUP;
            ready.push(Readiness {
                key,
                readable: events & (libc::EPOLLIN | ended) != 0,
                writable: events & (libc::EPOLLOUT | libc::EPOLLERR | libc::EPOLLHUP) != 0,
            });
        }
        Ok(())
    }
}

impl AsFd for Poller {
    /// An epoll descriptor is itself readable when it has something to report.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Waker {
    fn reset(&self) {
        let _ = (&*self.0).read(&mut [0; 8]);
    }
}

impl Wake for Waker {
    /// Fails only when the counter is full, and then the poller is awake.
    fn wake(&self) {
        let _ = (&*self.0).write(&1_u64.to_ne_bytes());
    }
}

/// # Safety
///
/// The descriptor has to be open and not owned by other code, or negative with `errno` set.
unsafe fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as the caller promises.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
