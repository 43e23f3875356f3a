//! Sockets that other code has accepted and hands over: what they are, and whether a stream can be
//! written to them.
//!
//! All of it looks at the socket and changes nothing, but for [`prepare`], which sets options. The
//! flag `O_NONBLOCK`, which a socket shares with all duplicates of its descriptor, is left as it
//! is: `send` and `recv` do not block here in any case.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

#[cfg(target_os = "linux")]
use socket2::Protocol;
use socket2::{SockRef, Type};

#[cfg(target_os = "linux")]
use super::socket::unless_unknown;
use super::socket::SocketOptions;

/// Why a stream cannot be written to a socket.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// The descriptor is none of a socket.
    NotASocket,
    /// It is a socket for datagrams, or for packets.
    NotAStream,
    /// It is neither TCP nor a Unix domain socket.
    Family,
    /// Other systems say of such a socket that it is not connected.
    #[cfg_attr(not(any(target_os = "linux", target_os = "freebsd")), allow(dead_code))]
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
    let kind = SockRef::from(&socket).r#type().map_err(|error| match error.raw_os_error() {
        Some(libc::ENOTSOCK | libc::EBADF) => Unfit::NotASocket,
        _ => Unfit::System(error),
    })?;
    if kind != Type::STREAM {
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
    let known = SockRef::from(&socket);
    known.set_linger(None)?;
    #[cfg(target_os = "linux")]
    unless_unknown(known.set_tcp_cork(false))?;
    options.set(socket, true)
}

/// What a stream socket is connected to.
fn peer(socket: BorrowedFd<'_>) -> Result<Handed, Unfit> {
    let known = SockRef::from(&socket);
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    if known.is_listener().is_ok_and(|listens| listens) {
        return Err(Unfit::Listening);
    }
    let addr = known.peer_addr().map_err(|error| match error.raw_os_error() {
        // The second is of other systems than Linux, when the peer is gone.
        Some(libc::ENOTCONN | libc::EINVAL) => Unfit::NotConnected,
        // Such as AF_ALG, which has no peers at all.
        Some(libc::EOPNOTSUPP) => Unfit::Family,
        _ => Unfit::System(error),
    })?;
    match addr.as_socket() {
        Some(addr) if is_tcp(&known) => Ok(Handed::Tcp(addr)),
        None if addr.is_unix() => Ok(Handed::Unix),
        _ => Err(Unfit::Family),
    }
}

/// Whether a stream socket of the internet is TCP: there is SCTP as well.
#[cfg(target_os = "linux")]
fn is_tcp(socket: &SockRef<'_>) -> bool {
    let protocol = socket.protocol().ok().flatten();
    protocol.is_some_and(|protocol| [Protocol::TCP, Protocol::MPTCP].contains(&protocol))
}

#[cfg(not(target_os = "linux"))]
fn is_tcp(_: &SockRef<'_>) -> bool {
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
