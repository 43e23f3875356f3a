//! Connected sockets: their options, and the two calls of the hot path, `send` and `recv`.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::fork;

/// A connected stream socket, TCP or Unix domain. To drop it is to end the connection, also when a
/// child of this process has the socket as well, or when it was handed over and has duplicates
/// elsewhere.
pub(crate) struct Stream(ManuallyDrop<OwnedFd>, HasDuplicates);

/// Whether other code may have a duplicate of a socket's descriptor.
type HasDuplicates = bool;

/// Options of a listening socket, which what it accepts inherits: no call per connection. Sockets
/// of a Unix domain have the send buffer's alone, and do not inherit it.
#[derive(Clone, Debug)]
pub(crate) struct SocketOptions {
    /// Bytes that may wait in the kernel beyond what is in flight (Linux, macOS).
    pub(crate) notsent_lowat_bytes: u32,
    /// The kernel's send buffer; `None` leaves it to the kernel's own tuning.
    pub(crate) send_buffer_bytes: Option<u32>,
    /// Silence after which the peer is probed, and again every third of it, until it is given up
    /// after twice this (Linux); zero for never.
    pub(crate) keepalive: Duration,
    /// How long sent bytes may stay unacknowledged (Linux); zero for the kernel's own bound. When
    /// it is set it also decides, instead of the number of probes, when a silent peer is given up:
    /// with the first probe that is due after it.
    pub(crate) user_timeout: Duration,
}

impl Stream {
    /// A socket that is non-blocking already.
    pub(super) fn new(socket: OwnedFd) -> Stream {
        Stream(ManuallyDrop::new(socket), false)
    }

    /// A socket that other code hands over, which may have duplicates of its descriptor.
    pub(crate) fn handed(socket: OwnedFd) -> Stream {
        Stream(ManuallyDrop::new(socket), true)
    }

    /// Whether other code may have a duplicate of its descriptor: then a poller knows it until it
    /// is removed, also if it is closed here.
    pub(crate) fn has_duplicates(&self) -> bool {
        self.1
    }

    /// Gives the socket back as it is.
    pub(crate) fn into_fd(self) -> OwnedFd {
        let mut stream = ManuallyDrop::new(self);
        // SAFETY: it is taken once, since `stream` is not dropped.
        unsafe { ManuallyDrop::take(&mut stream.0) }
    }

    /// Sends as much as the socket takes at once.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        // SAFETY: the pointer and length are those of a slice that outlives the call.
        let sent =
            unsafe { libc::send(self.0.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Receives what is there; 0 is the end of what the peer sends.
    pub(crate) fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the pointer and length are those of a slice that outlives the call.
        let received = unsafe {
            libc::recv(
                self.0.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(received).map_err(|_| io::Error::last_os_error())
    }

    /// Whether the peer of a connection that has timed out was there all the time, and kept its
    /// receive window shut, which Linux ends after the user timeout like a silence.
    ///
    /// Then there are bytes that were never sent, and the peer has answered the first of the
    /// window's probes, when that timeout began: a bit less than the timeout ago. A silent peer has
    /// answered nothing for the timeout and for the time before it, which is at least 200 ms, the
    /// shortest time after which bytes are sent again.
    #[cfg(target_os = "linux")]
    pub(crate) fn was_answered(&self) -> bool {
        const SLACK_MS: u32 = 100;
        // SAFETY: both are plain numbers.
        let (timeout_ms, info) = unsafe {
            let timeout_ms = get::<u32>(self.0.as_fd(), libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT);
            let info = get::<libc::tcp_info>(self.0.as_fd(), libc::IPPROTO_TCP, libc::TCP_INFO);
            (timeout_ms, info)
        };
        let (Ok(timeout_ms), Ok(info)) = (timeout_ms, info) else { return false };
        info.tcpi_notsent_bytes > 0 && info.tcpi_last_ack_recv < timeout_ms.saturating_add(SLACK_MS)
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn was_answered(&self) -> bool {
        false
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn shutdown_write(&self) {
        // SAFETY: takes no pointer. An error means that the peer is gone already.
        unsafe { libc::shutdown(self.0.as_raw_fd(), libc::SHUT_WR) };
    }

    /// Takes a socket over and makes it non-blocking.
    pub(crate) fn from_fd(socket: OwnedFd) -> io::Result<Stream> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Stream::new(socket))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: it is taken once, since this is the end of the one that had it.
        fork::close(unsafe { ManuallyDrop::take(&mut self.0) }, self.1);
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl SocketOptions {
    /// Sets them for a socket of TCP, or those that any stream socket has.
    pub(super) fn set(&self, fd: BorrowedFd<'_>, is_tcp: bool) -> io::Result<()> {
        if let Some(bytes) = self.send_buffer_bytes {
            set(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, clamp(u128::from(bytes)))?;
        }
        if !is_tcp {
            return Ok(());
        }
        set(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        {
            let lowat = clamp(u128::from(self.notsent_lowat_bytes));
            set(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, lowat)?;
        }
        if !self.keepalive.is_zero() {
            set(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
            #[cfg(target_os = "linux")]
            {
                let idle_s = clamp(self.keepalive.as_millis().div_ceil(1000));
                let every_s = (idle_s / 3).max(1);
                // As many as fit into the same time once more.
                let probes = (idle_s + every_s - 1) / every_s;
                set(fd, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, idle_s)?;
                set(fd, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, every_s)?;
                set(fd, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, probes)?;
            }
        }
        #[cfg(target_os = "linux")]
        if !self.user_timeout.is_zero() {
            let timeout_ms = clamp(self.user_timeout.as_millis());
            set(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, timeout_ms)?;
        }
        Ok(())
    }
}

fn clamp(value: u128) -> libc::c_int {
    libc::c_int::try_from(value).unwrap_or(libc::c_int::MAX)
}

pub(super) fn set(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the value is an int that outlives the call, as all of these options take.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Reads an option; what the system does not know of it is zero.
///
/// # Safety
///
/// Every bit pattern has to be a valid `T`.
pub(super) unsafe fn get<T: Copy>(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<T> {
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the value has `length` bytes, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &mut length)
    };
    match result {
        // SAFETY: all bytes are initialised, zero or by the kernel, and the caller promises the
        // rest.
        0 => Ok(unsafe { value.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}
