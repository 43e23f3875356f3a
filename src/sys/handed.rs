//! Sockets that other code has accepted and hands over: what they are, and whether a stream can be
//! written to them.
//!
//! All of it looks at the socket and changes nothing, but for [`prepare`], which sets options. The
//! flag `O_NONBLOCK`, which a socket shares with all duplicates of its descriptor, is left as it
//! is: `send` and `recv` do not block here in any case.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

#[cfg(target_os = "linux")]
use super::socket::set;
use super::socket::{get, SocketOptions};

/// Why a stream cannot be written to a socket.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// The descriptor is none of a socket.
    NotASocket,
    /// It is a socket for datagrams, or for packets.
    NotAStream,
    /// It is neither TCP nor a Unix domain socket.
    Family,
    Listening,
    NotConnected,
    /// It was shut down for sending.
    ShutDown,
    /// What waits to be read is TLS.
    Tls,
    /// Something waits to be read.
    Waiting,
    /// So many bytes were written and not sent yet.
    Unsent(usize),
    System(io::Error),
}

/// What a connected stream socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handed {
    /// TCP, with the peer's address.
    Tcp(SocketAddr),
    /// A Unix domain socket, whose peer has no address.
    Unix,
}

/// As many of the bytes that wait as are looked at.
const PEEK_BYTES: usize = 16;
/// Line breaks behind a request that mean nothing, which some old clients send after its content
/// (RFC 9112, section 2.2).
const BLANK_BYTES_MAX: usize = 4;

/// Looks at a socket. What it finds may be true no longer when it returns: then the stream ends as
/// any other whose client is gone, or sends what it was not asked for.
pub(crate) fn inspect(socket: BorrowedFd<'_>) -> Result<Handed, Unfit> {
    let kind = option(socket, libc::SO_TYPE).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOTSOCK | libc::EBADF) => Unfit::NotASocket,
        _ => Unfit::System(error),
    })?;
    if kind != libc::SOCK_STREAM {
        return Err(Unfit::NotAStream);
    }
    let handed = peer(socket)?;
    check_waiting(socket)?;
    check_sending(socket)?;
    match (handed, unsent_bytes(socket)) {
        (Handed::Tcp(_), unsent @ 1..) => Err(Unfit::Unsent(unsent)),
        // What is written to a Unix domain socket is with its peer at once.
        _ => Ok(handed),
    }
}

/// Gives a TCP socket the options of a listener's, and takes from it what would hold back what is
/// sent, or block when it is closed.
pub(crate) fn prepare(socket: BorrowedFd<'_>, options: &SocketOptions) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 0, l_linger: 0 };
    // SAFETY: a linger, which outlives the call, is what this option takes.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    #[cfg(target_os = "linux")]
    set(socket, libc::IPPROTO_TCP, libc::TCP_CORK, 0).or_else(unless_known)?;
    options.set(socket, true).or_else(unless_known)
}

/// An option that a socket's protocol does not know, as some are unknown to Multipath TCP, is none
/// that it needs.
fn unless_known(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP) => Ok(()),
        _ => Err(error),
    }
}

/// An option of a socket that is an int.
fn option(socket: BorrowedFd<'_>, name: libc::c_int) -> io::Result<libc::c_int> {
    // SAFETY: it is a plain number.
    unsafe { get::<libc::c_int>(socket, libc::SOL_SOCKET, name) }
}

/// What a stream socket is connected to.
fn peer(socket: BorrowedFd<'_>) -> Result<Handed, Unfit> {
    if option(socket, libc::SO_ACCEPTCONN).is_ok_and(|listens| listens != 0) {
        return Err(Unfit::Listening);
    }
    // SAFETY: every bit pattern is valid.
    let mut storage = unsafe { std::mem::zeroed::<libc::sockaddr_storage>() };
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: `storage` has `length` bytes, and both outlive the call.
    let result = unsafe {
        libc::getpeername(socket.as_raw_fd(), (&raw mut storage).cast(), &raw mut length)
    };
    if result != 0 {
        let error = io::Error::last_os_error();
        return Err(match error.raw_os_error() {
            // The second is of other systems than Linux, when the peer is gone.
            Some(libc::ENOTCONN | libc::EINVAL) => Unfit::NotConnected,
            // Such as AF_ALG, which has no peers at all.
            Some(libc::EOPNOTSUPP) => Unfit::Family,
            _ => Unfit::System(error),
        });
    }
    match libc::c_int::from(storage.ss_family) {
        libc::AF_UNIX => Ok(Handed::Unix),
        libc::AF_INET if is_tcp(socket) => {
            // SAFETY: of this family, the storage holds a sockaddr_in, which is smaller.
            let inet = unsafe { &*(&raw const storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(inet.sin_addr.s_addr));
            Ok(Handed::Tcp(SocketAddr::from((ip, u16::from_be(inet.sin_port)))))
        }
        libc::AF_INET6 if is_tcp(socket) => {
            // SAFETY: of this family, the storage holds a sockaddr_in6, which is smaller.
            let inet = unsafe { &*(&raw const storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(inet.sin6_addr.s6_addr);
            Ok(Handed::Tcp(SocketAddr::from((ip, u16::from_be(inet.sin6_port)))))
        }
        _ => Err(Unfit::Family),
    }
}

/// Whether a stream socket of the internet is TCP: there is SCTP as well.
#[cfg(target_os = "linux")]
fn is_tcp(socket: BorrowedFd<'_>) -> bool {
    let protocol = option(socket, libc::SO_PROTOCOL);
    protocol.is_ok_and(|protocol| [libc::IPPROTO_TCP, libc::IPPROTO_MPTCP].contains(&protocol))
}

#[cfg(not(target_os = "linux"))]
fn is_tcp(_: BorrowedFd<'_>) -> bool {
    true
}

/// Looks at what the peer has sent and nobody has read. Its end is none of that: a client may end
/// what it sends and still read, and one that is gone is noticed with the first readiness.
fn check_waiting(socket: BorrowedFd<'_>) -> Result<(), Unfit> {
    let mut bytes = [0_u8; PEEK_BYTES];
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: the pointer and length are those of a buffer that outlives the call.
    let count =
        unsafe { libc::recv(socket.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), flags) };
    let Ok(count) = usize::try_from(count) else {
        let error = io::Error::last_os_error();
        return match error.kind() {
            ErrorKind::WouldBlock => Ok(()),
            _ => Err(Unfit::NotConnected),
        };
    };
    match &bytes[..count] {
        // A record of TLS: its type, of which there are five, and its version's first byte (RFC
        // 8446, section 5.1).
        [0x14..=0x18, 3, ..] => Err(Unfit::Tls),
        blank if blank.len() <= BLANK_BYTES_MAX && blank.iter().all(|b| b"\r\n".contains(b)) => {
            Ok(())
        }
        _ => Err(Unfit::Waiting),
    }
}

/// Looks whether the socket is open for sending, by sending nothing.
fn check_sending(socket: BorrowedFd<'_>) -> Result<(), Unfit> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: no byte is read from the pointer.
    let sent = unsafe { libc::send(socket.as_raw_fd(), std::ptr::null(), 0, flags) };
    if sent >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.kind() {
        ErrorKind::WouldBlock => Ok(()),
        ErrorKind::BrokenPipe => Err(Unfit::ShutDown),
        _ => Err(Unfit::NotConnected),
    }
}

/// How much was written to a TCP socket that it has not sent once, be it that the peer does not
/// take it. What was sent and not acknowledged yet is none of it.
#[cfg(target_os = "linux")]
fn unsent_bytes(socket: BorrowedFd<'_>) -> usize {
    /// From the kernel's `linux/sockios.h`.
    const SIOCOUTQNSD: u32 = 0x894b;
    let mut unsent: libc::c_int = 0;
    // SAFETY: this request writes an int, which outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCOUTQNSD as _, &raw mut unsent) };
    match result {
        0 => usize::try_from(unsent).unwrap_or(0),
        // Not known of this protocol.
        _ => 0,
    }
}

#[cfg(not(target_os = "linux"))]
fn unsent_bytes(_: BorrowedFd<'_>) -> usize {
    0
}
