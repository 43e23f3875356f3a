//! Listening sockets, bound here or elsewhere, and accepting.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::net::{sockopt, AddressFamily, SocketType};

use super::fork;
use super::socket::{SocketOptions, Stream};
use crate::listen_addr::ListenAddr;
use crate::socket_file::SocketFile;

/// A listening, non-blocking socket.
pub(crate) struct ListenSocket {
    /// Whose socket it is. The file is dropped before the socket.
    origin: Origin,
    socket: Socket,
    options: SocketOptions,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Origin {
    /// Bound here, with its file if it has one.
    Own(Option<SocketFile>),
    /// Bound elsewhere, where it may go on to listen.
    Lent,
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
        // The standard library sets SO_REUSEADDR and close-on-exec, but a short backlog: a second
        // `listen` enlarges it.
        let listener = TcpListener::bind(addr)?;
        rustix::net::listen(&listener, 4096)?;
        ListenSocket::new(Socket::Tcp(listener), options, Origin::Own(None))
    }

    /// The same at a Unix domain socket: at a path, whose file gets these permission bits, or, on
    /// Linux, by an abstract name, which is what begins with a NUL.
    pub(crate) fn bind_unix(
        path: &Path,
        mode: u32,
        options: &SocketOptions,
    ) -> io::Result<ListenSocket> {
        if let Some(name) = path.as_os_str().as_bytes().strip_prefix(b"\0") {
            let listener = bind_abstract(name)?;
            return ListenSocket::new(Socket::Unix(listener), options, Origin::Own(None));
        }
        let (file, listener) = SocketFile::listen(path, mode)?;
        ListenSocket::new(Socket::Unix(listener), options, Origin::Own(Some(file)))
    }

    /// Takes over a socket that listens already, for connections of TCP or of a Unix domain.
    pub(crate) fn lent(socket: OwnedFd, options: &SocketOptions) -> io::Result<ListenSocket> {
        let wrong = |why: &str| io::Error::new(ErrorKind::InvalidInput, why);
        let kind = sockopt::socket_type(&socket).map_err(|_| wrong("it is not a socket"))?;
        if kind != SocketType::STREAM {
            return Err(wrong("it is not a stream socket"));
        }
        #[cfg(any(target_os = "linux", target_os = "freebsd"))]
        if !sockopt::socket_acceptconn(&socket)? {
            return Err(wrong("it does not listen; call listen on it"));
        }
        let socket = match rustix::net::getsockname(&socket)?.address_family() {
            AddressFamily::UNIX => Socket::Unix(socket.into()),
            AddressFamily::INET | AddressFamily::INET6 => Socket::Tcp(socket.into()),
            _ => return Err(wrong("it is neither a TCP nor a Unix domain socket")),
        };
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        ListenSocket::new(socket, options, Origin::Lent)
    }

    fn new(socket: Socket, options: &SocketOptions, origin: Origin) -> io::Result<ListenSocket> {
        fork::watch()?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        let listening = ListenSocket { socket, options: options.clone(), origin };
        options.set(listening.as_fd(), listening.is_tcp())?;
        Ok(listening)
    }

    pub(crate) fn local_addr(&self) -> io::Result<ListenAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().map(ListenAddr::Tcp),
            Socket::Unix(listener) => listener.local_addr().map(ListenAddr::Unix),
        }
    }

    fn is_tcp(&self) -> bool {
        matches!(self.socket, Socket::Tcp(_))
    }

    /// Ends the listening, while the descriptor stays open. A socket that was bound elsewhere goes
    /// on to listen there.
    pub(crate) fn shutdown(&self) {
        let Origin::Own(file) = &self.origin else { return };
        // Before another server may take a socket for dead that does not listen.
        if let Some(file) = file {
            file.remove();
        }
        // SAFETY: takes no pointer. An error means that it does not listen any more.
        unsafe { libc::shutdown(self.as_fd().as_raw_fd(), libc::SHUT_RDWR) };
    }

    /// Gives a socket that was accepted by other code the options of this listener's sockets.
    pub(crate) fn adopt(&self, stream: &Stream, is_tcp: bool) -> io::Result<()> {
        self.options.set(stream.as_fd(), is_tcp)
    }

    /// Accepts a connection, which has the listening socket's options already, and says where it is
    /// from, if that has an address.
    pub(crate) fn accept(&self) -> Result<(Stream, Option<SocketAddr>), AcceptError> {
        let accepted = accept(self.as_fd(), self.is_tcp()).and_then(|accepted| {
            if !self.is_tcp() && self.options.send_buffer_bytes.is_some() {
                self.adopt(&accepted.0, false)?;
            }
            Ok(accepted)
        });
        accepted.map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => AcceptError::NoneWaiting,
            ErrorKind::Interrupted | ErrorKind::ConnectionAborted => AcceptError::Gone,
            _ => match error.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                    AcceptError::Exhausted(error)
                }
                _ => AcceptError::Gone,
            },
        })
    }
}

impl AsFd for ListenSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(listener) => listener.as_fd(),
            Socket::Unix(listener) => listener.as_fd(),
        }
    }
}

#[cfg(target_os = "linux")]
fn bind_abstract(name: &[u8]) -> io::Result<UnixListener> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    rustix::net::listen(&listener, 4096)?;
    Ok(listener)
}

#[cfg(not(target_os = "linux"))]
fn bind_abstract(_: &[u8]) -> io::Result<UnixListener> {
    let why = "only Linux has abstract names; give a path";
    Err(io::Error::new(ErrorKind::Unsupported, why))
}

fn accept(listener: BorrowedFd<'_>, is_tcp: bool) -> io::Result<(Stream, Option<SocketAddr>)> {
    use std::mem::{size_of, MaybeUninit};

    let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    let addr = storage.as_mut_ptr().cast();
    #[cfg(target_os = "linux")]
    // SAFETY: `storage` has `length` bytes, and both outlive the call.
    let fd = unsafe {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        libc::accept4(listener.as_raw_fd(), addr, &mut length, flags)
    };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: `storage` has `length` bytes, and both outlive the call.
    let fd = unsafe { libc::accept(listener.as_raw_fd(), addr, &mut length) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    let stream = Stream::new(unsafe { OwnedFd::from_raw_fd(fd) });
    #[cfg(not(target_os = "linux"))]
    {
        rustix::io::fcntl_setfd(&stream, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&stream, true)?;
        if is_tcp {
            sockopt::set_tcp_nodelay(&stream, true)?;
        }
    }
    if !is_tcp {
        return Ok((stream, None));
    }
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
    Ok((stream, Some(addr)))
}
