//! A client's socket, outside of the engine.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::AddressFamily;

/// A client's socket, TCP or Unix domain, with what both have. It is read and written like either,
/// also by reference; for anything else, match it.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// use fanfare::ClientStream;
///
/// let (mut client, server) = UnixStream::pair()?;
/// let mut stream = ClientStream::from(server);
/// stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
/// drop(stream);
///
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.contains("204"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientStream {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A connection of a Unix domain socket.
    Unix(UnixStream),
}

/// The same call for either kind.
macro_rules! either {
    ($stream:expr, $socket:ident => $call:expr) => {
        match $stream {
            ClientStream::Tcp($socket) => $call,
            ClientStream::Unix($socket) => $call,
        }
    };
}

impl ClientStream {
    /// Whether reading and writing returns at once, with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) where it would have to wait.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::set_nonblocking`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::os::unix::net::UnixStream;
    /// # let (_client, server) = UnixStream::pair()?;
    /// fanfare::ClientStream::from(server).set_nonblocking(false)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        either!(self, socket => socket.set_nonblocking(nonblocking))
    }

    /// The longest time that a read waits, once the socket is blocking; `None` for ever.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::set_read_timeout`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::os::unix::net::UnixStream;
    /// # use std::time::Duration;
    /// # let (_client, server) = UnixStream::pair()?;
    /// fanfare::ClientStream::from(server).set_read_timeout(Some(Duration::from_secs(10)))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        either!(self, socket => socket.set_read_timeout(timeout))
    }

    /// The longest time that a write waits, once the socket is blocking; `None` for ever.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::set_write_timeout`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::os::unix::net::UnixStream;
    /// # use std::time::Duration;
    /// # let (_client, server) = UnixStream::pair()?;
    /// fanfare::ClientStream::from(server).set_write_timeout(Some(Duration::from_secs(10)))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        either!(self, socket => socket.set_write_timeout(timeout))
    }

    /// Ends what is read, what is written, or both.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::shutdown`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::net::Shutdown;
    /// # use std::os::unix::net::UnixStream;
    /// # let (_client, server) = UnixStream::pair()?;
    /// fanfare::ClientStream::from(server).shutdown(Shutdown::Write)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        either!(self, socket => socket.shutdown(how))
    }

    /// The same socket once more, with a descriptor of its own.
    ///
    /// # Errors
    ///
    /// When the system gives no descriptor.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::os::unix::net::UnixStream;
    /// # let (_client, server) = UnixStream::pair()?;
    /// let again = fanfare::ClientStream::from(server).try_clone()?;
    /// # let _ = again;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn try_clone(&self) -> io::Result<ClientStream> {
        either!(self, socket => Ok(socket.try_clone()?.into()))
    }

    /// A socket of which the system says what it is.
    ///
    /// # Errors
    ///
    /// When it is neither kind of socket, or none.
    pub(crate) fn of(socket: OwnedFd) -> io::Result<ClientStream> {
        match rustix::net::getsockname(&socket)?.address_family() {
            AddressFamily::UNIX => Ok(ClientStream::Unix(socket.into())),
            AddressFamily::INET | AddressFamily::INET6 => Ok(ClientStream::Tcp(socket.into())),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl From<TcpStream> for ClientStream {
    fn from(stream: TcpStream) -> ClientStream {
        ClientStream::Tcp(stream)
    }
}

impl From<UnixStream> for ClientStream {
    fn from(stream: UnixStream) -> ClientStream {
        ClientStream::Unix(stream)
    }
}

impl From<ClientStream> for OwnedFd {
    fn from(stream: ClientStream) -> OwnedFd {
        either!(stream, socket => socket.into())
    }
}

impl AsFd for ClientStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        either!(self, socket => socket.as_fd())
    }
}

impl Read for &ClientStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(*self, socket => (&mut &*socket).read(buffer))
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        either!(*self, socket => (&mut &*socket).read_vectored(buffers))
    }
}

impl Write for &ClientStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        either!(*self, socket => (&mut &*socket).write(bytes))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(*self, socket => (&mut &*socket).write_vectored(pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for ClientStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

impl Write for ClientStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
