//! Descriptors that this process was started with. The program has this file as a module, and the
//! library does not: a host has its own way to get them.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes over a descriptor that the process was started with, and makes it close-on-exec. Each is
/// taken once.
///
/// # Errors
///
/// When there is no such descriptor, or it was opened since: everything in this process opens
/// descriptors as close-on-exec, which one that came through an `exec` cannot be.
pub(crate) fn take(fd: RawFd) -> io::Result<OwnedFd> {
    let not_inherited = "the process was not started with this descriptor, or it is taken twice";
    let not_inherited = || io::Error::new(io::ErrorKind::NotFound, not_inherited);
    // SAFETY: takes no pointer, and an unknown descriptor is an error.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    if flags < 0 || flags & libc::FD_CLOEXEC != 0 {
        return Err(not_inherited());
    }
    // SAFETY: takes no pointer.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, flags | libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and nothing in this process has opened it, or has it: else it would be
    // close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
