//! Listening sockets, bound here or elsewhere, and accepting.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::{Domain, SockRef, Type};

use super::fork;
use super::socket::{SocketOptions, Stream};
use crate::listen_addr::ListenAddr;
use crate::socket_file::SocketFile;

/// How many connections may wait to be accepted; the system has a bound of its own.
const BACKLOG: i32 = 4096;

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
        SockRef::from(&listener).listen(BACKLOG)?;
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
        let known = SockRef::from(&socket);
        if known.r#type().map_err(|_| wrong("it is not a socket"))? != Type::STREAM {
            return Err(wrong("it is not a stream socket"));
        }
        #[cfg(any(target_os = "linux", target_os = "freebsd"))]
        if !known.is_listener()? {
            return Err(wrong("it does not listen; call listen on it"));
        }
        let socket = match known.local_addr()?.domain() {
            Domain::UNIX => Socket::Unix(socket.into()),
            Domain::IPV4 | Domain::IPV6 => Socket::Tcp(socket.into()),
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
        // An error means that it does not listen any more.
        let _ = SockRef::from(self).shutdown(Shutdown::Both);
    }

    /// Gives a socket that was accepted by other code the options of this listener's sockets.
    pub(crate) fn adopt(&self, stream: &Stream, is_tcp: bool) -> io::Result<()> {
        self.options.set(stream.as_fd(), is_tcp)
    }

    /// Accepts a connection, gives it the options that it has not inherited, and says where it is
    /// from, if that has an address.
    pub(crate) fn accept(&self) -> Result<(Stream, Option<SocketAddr>), AcceptError> {
        let inherits = cfg!(target_os = "linux") && self.is_tcp();
        let accepted = accept(self.as_fd()).and_then(|(stream, addr)| {
            if !inherits {
                self.adopt(&stream, self.is_tcp())?;
            }
            Ok((stream, addr))
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
    SockRef::from(&listener).listen(BACKLOG)?;
    Ok(listener)
}

#[cfg(not(target_os = "linux"))]
fn bind_abstract(_: &[u8]) -> io::Result<UnixListener> {
    let why = "only Linux has abstract names; give a path";
    Err(io::Error::new(ErrorKind::Unsupported, why))
}

fn accept(listener: BorrowedFd<'_>) -> io::Result<(Stream, Option<SocketAddr>)> {
    let listener = SockRef::from(&listener);
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    let (socket, addr) = listener.accept4(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)?;
    #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
    let (socket, addr) = listener.accept().and_then(|accepted| {
        accepted.0.set_nonblocking(true)?;
        Ok(accepted)
    })?;
    Ok((Stream::new(socket.into()), addr.as_socket()))
}
