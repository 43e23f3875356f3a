//! The doorbell: a pair of connected sockets, one end of which a host waits at.
//!
//! Any event loop takes a socket: `poll`, `epoll` and `select`, and also runtimes that read what
//! they wait at, as Node.js does. Those take an eventfd not so well.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{recv, send, RecvFlags, SendFlags};

use super::ready::Wire;

/// A host that has shut its end down gets no SIGPIPE.
#[cfg(not(target_vendor = "apple"))]
const SILENT: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SILENT: SendFlags = SendFlags::empty();

/// A pair of sockets. Neither end ever blocks, whatever the host sets.
pub(super) struct Doorbell {
    /// The end that the engine's threads write to.
    engine: OwnedFd,
    /// The end that the host waits at.
    host: OwnedFd,
}

impl Doorbell {
    pub(super) fn new() -> io::Result<Doorbell> {
        let (engine, host) = UnixStream::pair()?;
        host.set_nonblocking(true)?;
        engine.set_nonblocking(true)?;
        // There is no such flag of a send there.
        #[cfg(target_vendor = "apple")]
        rustix::net::sockopt::set_socket_nosigpipe(&engine, true)?;
        Ok(Doorbell { engine: engine.into(), host: host.into() })
    }

    /// The descriptor that the host waits at.
    pub(super) fn host_fd(&self) -> libc::c_int {
        self.host.as_raw_fd()
    }
}

impl Wire for Doorbell {
    fn send(&self) -> bool {
        match send(&self.engine, b"!", SILENT | SendFlags::DONTWAIT) {
            Ok(_) => true,
            // It is full of bytes that were not read, so it is readable.
            Err(error) => error == Errno::AGAIN,
        }
    }

    fn empty(&self) {
        // One byte at most is there. None is when the host has read it, which is as good.
        let _ = recv(&self.host, &mut [0; 16][..], RecvFlags::DONTWAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_readable(doorbell: &Doorbell) -> bool {
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        recv(&doorbell.host, &mut [0; 1][..], flags).is_ok_and(|(_, count)| count == 1)
    }

    #[test]
    fn the_hosts_end_is_readable_until_it_is_emptied() {
        let doorbell = Doorbell::new().unwrap();
        assert!(!is_readable(&doorbell));
        assert!(doorbell.send());
        assert!(is_readable(&doorbell) && is_readable(&doorbell));
        doorbell.empty();
        assert!(!is_readable(&doorbell));
        doorbell.empty();
    }

    #[test]
    fn a_doorbell_that_nobody_reads_never_blocks_and_stays_readable() {
        let doorbell = Doorbell::new().unwrap();
        // Also if something has made the descriptors blocking.
        rustix::io::ioctl_fionbio(&doorbell.host, false).unwrap();
        rustix::io::ioctl_fionbio(&doorbell.engine, false).unwrap();
        assert!((0..100_000).all(|_| doorbell.send()));
        assert!(is_readable(&doorbell));
        (0..100_000).for_each(|_| doorbell.empty());
        assert!(!is_readable(&doorbell));
    }

    #[test]
    fn a_host_that_has_closed_its_end_is_no_signal_and_no_error() {
        let Doorbell { engine, host } = Doorbell::new().unwrap();
        rustix::net::shutdown(&host, rustix::net::Shutdown::Both).unwrap();
        assert!(!Doorbell { engine, host }.send());
    }
}
