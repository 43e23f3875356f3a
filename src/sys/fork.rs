//! Forks: the child has the parent's memory and descriptors, and none of its threads.
//!
//! A socket that a child has as well stays open when the parent closes it, so that its peer would
//! never know. So once the process has forked, sockets are shut down before they are closed. Only
//! `fork` is seen here, not `_Fork` nor the system call itself. A child that executes another
//! program has the sockets no longer, as they are closed then.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::OnceLock;

use socket2::SockRef;

/// Whether a child of this process may have its sockets.
static HAS_FORKED: AtomicBool = AtomicBool::new(false);
/// Sockets that are being closed at this moment.
static CLOSING: AtomicU32 = AtomicU32::new(0);
/// How often this process came out of a fork as the child.
pub(crate) static FORKS: AtomicU32 = AtomicU32::new(0);

/// How often a fork gives way to threads that are closing a socket. One that does not go on may be
/// the forking thread itself, in a signal's handler.
const YIELDS_MAX: usize = 200;

/// Has forks noticed from now on.
///
/// # Errors
///
/// When the system is out of memory.
pub(crate) fn watch() -> io::Result<()> {
    static WATCHED: OnceLock<libc::c_int> = OnceLock::new();
    // SAFETY: the handlers only use atomics and give way, which may be done around a fork.
    let watch = || unsafe { libc::pthread_atfork(Some(before_fork), None, Some(in_child)) };
    match *WATCHED.get_or_init(watch) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// A socket that is closed after this is shut down first, and what is closed without is closed
/// before the child gets it.
extern "C" fn before_fork() {
    HAS_FORKED.store(true, Ordering::SeqCst);
    for _ in 0..YIELDS_MAX {
        if CLOSING.load(Ordering::SeqCst) == 0 {
            return;
        }
        std::thread::yield_now();
    }
}

/// The child has sockets of its own alone that it may close.
extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    HAS_FORKED.store(false, Ordering::SeqCst);
    CLOSING.store(0, Ordering::SeqCst);
}

/// Closes a socket, so that its peer knows. Only in a process that has forked, or for a socket that
/// may have duplicates in it, does that take a system call more.
pub(super) fn close(socket: OwnedFd, has_duplicates: bool) {
    CLOSING.fetch_add(1, Ordering::SeqCst);
    if has_duplicates || HAS_FORKED.load(Ordering::SeqCst) {
        // An error means that the peer is gone already.
        let _ = SockRef::from(&socket).shutdown(Shutdown::Both);
    }
    drop(socket);
    CLOSING.fetch_sub(1, Ordering::SeqCst);
}
