//! Sockets: listening, accepting, and the two calls of the hot path, `send` and `recv`.

use std::io::{self, ErrorKind};
use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::fork;

/// A connected stream socket. To drop it is to end the connection, also when a child of this process
/// has the socket as well, or when it was handed over and has duplicates elsewhere.
pub(crate) struct Stream(ManuallyDrop<OwnedFd>, HasDuplicates);

/// Whether other code may have a duplicate of a socket's descriptor.
type HasDuplicates = bool;

/// A listening, non-blocking TCP socket.
pub(crate) struct ListenSocket(TcpListener, SocketOptions);

/// Options of a listening socket, which what it accepts inherits: no call per connection.
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

/// Why nothing was accepted.
pub(crate) enum AcceptError {
    /// No client is waiting.
    NoneWaiting,
    /// The client that was waiting is gone; try the next.
    Gone,
    /// The process or the system is out of descriptors or memory.
    Exhausted(io::Error),
}

impl ListenSocket {
    /// Binds and listens, with the largest backlog that the system gives.
    pub(crate) fn bind(addr: SocketAddr, options: &SocketOptions) -> io::Result<ListenSocket> {
        fork::watch()?;
        // The standard library sets SO_REUSEADDR and close-on-exec, but a short backlog: a second
        // `listen` enlarges it.
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        let fd = listener.as_raw_fd();
        // SAFETY: takes no pointer; the descriptor is open.
        if unsafe { libc::listen(fd, 4096) } != 0 {
            return Err(io::Error::last_os_error());
        }
        options.set(listener.as_fd())?;
        Ok(ListenSocket(listener, options.clone()))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Ends the listening, while the descriptor stays open.
    pub(crate) fn shutdown(&self) {
        // SAFETY: takes no pointer. An error means that it does not listen any more.
        unsafe { libc::shutdown(self.0.as_raw_fd(), libc::SHUT_RDWR) };
    }

    /// Gives a socket that was accepted by other code the options of this listener's sockets.
    pub(crate) fn adopt(&self, stream: &Stream) -> io::Result<()> {
        self.1.set(stream.as_fd())
    }

    /// Accepts a connection, which has the listening socket's options already.
    pub(crate) fn accept(&self) -> Result<(Stream, Option<SocketAddr>), AcceptError> {
        accept(&self.0).map(|(stream, addr)| (stream, Some(addr))).map_err(|error| {
            match error.kind() {
                ErrorKind::WouldBlock => AcceptError::NoneWaiting,
                ErrorKind::Interrupted | ErrorKind::ConnectionAborted => AcceptError::Gone,
                _ => match error.raw_os_error() {
                    Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                        AcceptError::Exhausted(error)
                    }
                    _ => AcceptError::Gone,
                },
            }
        })
    }
}

impl AsFd for ListenSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(target_os = "linux")]
fn accept(listener: &TcpListener) -> io::Result<(Stream, SocketAddr)> {
    use std::mem::{size_of, MaybeUninit};
    use std::net::{Ipv4Addr, Ipv6Addr};

    let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: `storage` has `length` bytes, and both outlive the call.
    let fd = unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            storage.as_mut_ptr().cast(),
            &mut length,
            libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    let stream = Stream::new(unsafe { OwnedFd::from_raw_fd(fd) });
    // SAFETY: all bytes are initialised, zero or by the kernel, and every bit pattern is valid.
    let storage = unsafe { storage.assume_init() };
    let addr = match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: of this family, the storage holds a sockaddr_in, which is smaller.
            let inet = unsafe { &*(&raw const storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(inet.sin_addr.s_addr));
            SocketAddr::from((ip, u16::from_be(inet.sin_port)))
        }
        _ => {
            // SAFETY: TCP listeners are of the one family or the other.
            let inet = unsafe { &*(&raw const storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(inet.sin6_addr.s6_addr);
            SocketAddr::from((ip, u16::from_be(inet.sin6_port)))
        }
    };
    Ok((stream, addr))
}

#[cfg(not(target_os = "linux"))]
fn accept(listener: &TcpListener) -> io::Result<(Stream, SocketAddr)> {
    let (stream, addr) = listener.accept()?;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok((Stream::new(stream.into()), addr))
}

impl Stream {
    fn new(socket: OwnedFd) -> Stream {
        Stream(ManuallyDrop::new(socket), false)
    }

    /// A socket that other code hands over, which may have duplicates of its descriptor.
    pub(crate) fn handed(socket: OwnedFd) -> Stream {
        Stream(ManuallyDrop::new(socket), true)
    }

    /// Whether other code may have a duplicate of its descriptor: then a poller knows it until it is
    /// removed, also if it is closed here.
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

    /// Leaves the socket to the standard library, still non-blocking.
    pub(crate) fn into_std(self) -> TcpStream {
        TcpStream::from(self.into_fd())
    }

    /// Takes a socket over and makes it non-blocking.
    pub(crate) fn from_std(stream: TcpStream) -> io::Result<Stream> {
        stream.set_nonblocking(true)?;
        Ok(Stream::new(stream.into()))
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
    pub(super) fn set(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        set(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
        if let Some(bytes) = self.send_buffer_bytes {
            set(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, clamp(u128::from(bytes)))?;
        }
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
