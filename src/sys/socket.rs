//! Connected sockets: their options, and the two calls of the hot path, `send` and `recv`.

use std::io;
use std::mem::ManuallyDrop;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::fork;

/// A connected stream socket, TCP or Unix domain. To drop it is to end the connection, also when a
/// child of this process has the socket as well, or when it was handed over and has duplicates
/// elsewhere.
pub(crate) struct Stream(ManuallyDrop<OwnedFd>, HasDuplicates);

/// Whether other code may have a duplicate of a socket's descriptor.
type HasDuplicates = bool;

/// Options of a listening socket, which on Linux what it accepts inherits: no call per connection.
/// Sockets of a Unix domain have the send buffer's alone, and do not inherit it.
#[derive(Clone, Debug)]
pub(crate) struct SocketOptions {
    /// Bytes that may wait in the kernel beyond what is in flight (Linux, macOS).
    pub(crate) notsent_lowat_bytes: u32,
    /// The kernel's send buffer; `None` leaves it to the kernel's own tuning.
    pub(crate) send_buffer_bytes: Option<u32>,
    /// Silence after which the peer is probed, and again every third of it, until it is given up
    /// after twice this; zero for never.
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
        const SLACK: Duration = Duration::from_millis(100);
        let timeout = SockRef::from(self).tcp_user_timeout();
        let (Ok(timeout), Ok(info)) = (timeout, tcp_info(self.as_fd())) else { return false };
        let silence = Duration::from_millis(info.tcpi_last_ack_recv.into());
        info.tcpi_notsent_bytes > 0 && silence < timeout.unwrap_or_default() + SLACK
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn was_answered(&self) -> bool {
        false
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn shutdown_write(&self) {
        // An error means that the peer is gone already.
        let _ = SockRef::from(self).shutdown(Shutdown::Write);
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
    /// Sets them for a socket of TCP, or those that any stream socket has. An option that the socket's
    /// protocol does not know is left out, each by itself.
    pub(super) fn set(&self, fd: BorrowedFd<'_>, is_tcp: bool) -> io::Result<()> {
        let socket = SockRef::from(&fd);
        if let Some(bytes) = self.send_buffer_bytes {
            socket.set_send_buffer_size(clamp(bytes) as usize)?;
        }
        if !is_tcp {
            return Ok(());
        }
        unless_unknown(socket.set_tcp_nodelay(true))?;
        #[cfg(target_os = "linux")]
        unless_unknown(socket.set_tcp_notsent_lowat(clamp(self.notsent_lowat_bytes)))?;
        #[cfg(target_os = "macos")]
        unless_unknown(set_notsent_lowat(fd, clamp(self.notsent_lowat_bytes)))?;
        if !self.keepalive.is_zero() {
            let idle_s = self.keepalive.as_millis().div_ceil(1000);
            let idle_s = u64::try_from(idle_s).unwrap_or(u64::MAX).min(KEEPALIVE_S_MAX);
            let every_s = (idle_s / 3).max(1);
            // As many as fit into the same time once more: at most 5.
            let probes = idle_s.div_ceil(every_s) as u32;
            let keepalive = TcpKeepalive::new()
                .with_time(Duration::from_secs(idle_s))
                .with_interval(Duration::from_secs(every_s))
                .with_retries(probes);
            unless_unknown(socket.set_tcp_keepalive(&keepalive))?;
        }
        #[cfg(target_os = "linux")]
        if !self.user_timeout.is_zero() {
            let timeout = self.user_timeout.min(USER_TIMEOUT_MAX);
            unless_unknown(socket.set_tcp_user_timeout(Some(timeout)))?;
        }
        Ok(())
    }
}

/// What setting an option has done, where one that the socket's protocol does not know is none that
/// it needs: Multipath TCP has no `TCP_USER_TIMEOUT`, and in older kernels none of TCP's options.
pub(super) fn unless_unknown(set: io::Result<()>) -> io::Result<()> {
    match set {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP)) =>
        {
            Ok(())
        }
        set => set,
    }
}

/// The options are an int in C.
const KEEPALIVE_S_MAX: u64 = i32::MAX as u64;
#[cfg(target_os = "linux")]
const USER_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

fn clamp(value: u32) -> u32 {
    value.min(i32::MAX as u32)
}

/// As `socket2` does it on Linux.
#[cfg(target_os = "macos")]
fn set_notsent_lowat(fd: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    /// From the system's `netinet/tcp.h`; the crate `libc` does not have it.
    const TCP_NOTSENT_LOWAT: libc::c_int = 0x201;
    let bytes = bytes as libc::c_int;
    // SAFETY: the value is an int that outlives the call, as this option takes.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            TCP_NOTSENT_LOWAT,
            (&raw const bytes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// What the kernel knows of a connection; fields that it does not know are zero.
#[cfg(target_os = "linux")]
fn tcp_info(fd: BorrowedFd<'_>) -> io::Result<libc::tcp_info> {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    let pointer = info.as_mut_ptr().cast();
    // SAFETY: the value has `length` bytes, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, pointer, &mut length)
    };
    if result == 0 {
        // SAFETY: all bytes are initialised, zero or by the kernel, and all fields are numbers.
        Ok(unsafe { info.assume_init() })
    } else {
        Err(io::Error::last_os_error())
    }
}
