//! The operating system: a poller and sockets. Besides `ffi/` the only module with `unsafe`.
//!
//! The poller is Linux's epoll, and on other systems (or with `--cfg fanfare_portable`, for tests)
//! the `polling` crate. Both report edges: a socket is registered once, for reading and writing,
//! and reported again only when something has changed.

#![allow(unsafe_code)]

#[cfg(all(target_os = "linux", not(fanfare_portable)))]
mod epoll;
pub(crate) mod fork;
mod handed;
mod limits;
mod listening;
mod memory;
mod page;
#[cfg(not(all(target_os = "linux", not(fanfare_portable))))]
#[path = "polling.rs"]
mod portable;
mod signals;
mod socket;

#[cfg(all(target_os = "linux", not(fanfare_portable)))]
pub(crate) use epoll::{Poller, Waker};
pub(crate) use handed::{inspect, prepare, Handed, Unfit};
pub(crate) use limits::{descriptors_max, descriptors_open};
pub(crate) use listening::{AcceptError, ListenSocket};
pub(crate) use memory::release_memory;
pub(crate) use page::MappedNumber;
#[cfg(not(all(target_os = "linux", not(fanfare_portable))))]
pub(crate) use portable::{Poller, Waker};
pub(crate) use signals::while_blocked;
pub(crate) use socket::{SocketOptions, Stream};

/// What happened to something that was registered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    /// What it was registered under.
    pub(crate) key: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// How many readinesses one look at the poller brings at most.
const READINESSES_MAX: usize = 512;
