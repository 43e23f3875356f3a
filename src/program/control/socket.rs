//! A connection's socket, as hyper reads and writes it.
//!
//! Four things are added to it: what the engine has read already comes first; a write that does
//! not get on is given up; it tells whether all that was written has gone out, which decides when
//! the connection may be taken over; and hyper's own answers to what it cannot read, which have no
//! content and no fields of ours, become answers like the others.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use fanfare::ClientStream;
use smol::io::{AsyncRead, AsyncWrite};
use smol::{Async, Timer};

/// The longest time that a client may take nothing of what there is for it.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);

/// A connected socket of either kind.
pub(super) enum Stream {
    Tcp(Async<TcpStream>),
    Unix(Async<UnixStream>),
}

/// See the module.
pub(super) struct Socket {
    stream: Stream,
    /// What was read before; `at` says how much of it was read again.
    read: Vec<u8>,
    at: usize,
    /// Set while a write waits.
    write_deadline: Option<Timer>,
    flushed: Flushed,
}

/// Whether hyper has handed all its output to the socket, and the socket to the kernel.
#[derive(Clone)]
pub(super) struct Flushed(Rc<Cell<bool>>);

impl Flushed {
    pub(super) fn new(is: bool) -> Flushed {
        Flushed(Rc::new(Cell::new(is)))
    }

    pub(super) fn is(&self) -> bool {
        self.0.get()
    }
}

impl Socket {
    /// A socket that has sent `read` already.
    pub(super) fn new(stream: Stream, read: Vec<u8>) -> Socket {
        let flushed = Flushed::new(true);
        Socket { stream, read, at: 0, write_deadline: None, flushed }
    }

    pub(super) fn flushed(&self) -> Flushed {
        self.flushed.clone()
    }

    /// How much was read before and is not read again yet.
    pub(super) fn read_bytes(&self) -> usize {
        self.read.len() - self.at
    }

    /// The stream, and what of `read` was not read again.
    pub(super) fn into_parts(mut self) -> (Stream, Vec<u8>) {
        let rest = self.read.split_off(self.at);
        (self.stream, rest)
    }

    /// Writes without waiting, until it would have to wait longer than a client may take.
    fn poll_writing(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        write: impl Fn(&Stream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        // What comes after a flush is the beginning of an answer.
        let begins = self.flushed.0.replace(false);
        if let Some(answer) = begins.then(|| unreadable(first)).flatten() {
            // It is the last one, and smaller than any socket's buffer.
            return Poll::Ready(match self.stream.write(&answer)? {
                written if written == answer.len() => Ok(first.len()),
                _ => Err(io::ErrorKind::WriteZero.into()),
            });
        }
        loop {
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                written => {
                    self.write_deadline = None;
                    return Poll::Ready(written);
                }
            }
            let deadline = self.write_deadline.get_or_insert_with(|| Timer::after(WRITE_TIME_MAX));
            if Pin::new(deadline).poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            ready!(self.stream.poll_writable(cx))?;
        }
    }
}

impl Stream {
    /// A client's socket, polled.
    pub(super) fn new(stream: ClientStream) -> io::Result<Stream> {
        Ok(match stream {
            ClientStream::Tcp(stream) => Stream::Tcp(Async::new(stream)?),
            ClientStream::Unix(stream) => Stream::Unix(Async::new(stream)?),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        })
    }

    /// The socket, not polled any more.
    pub(super) fn into_inner(self) -> io::Result<ClientStream> {
        match self {
            Stream::Tcp(stream) => Ok(stream.into_inner()?.into()),
            Stream::Unix(stream) => Ok(stream.into_inner()?.into()),
        }
    }

    /// Writes what the socket takes at once.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.get_ref().write(bytes),
            Stream::Unix(stream) => stream.get_ref().write(bytes),
        }
    }

    fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.get_ref().write_vectored(pieces),
            Stream::Unix(stream) => stream.get_ref().write_vectored(pieces),
        }
    }

    /// Says that nothing more comes.
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.get_ref().shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.get_ref().shutdown(Shutdown::Write),
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(stream) => stream.poll_writable(cx),
            Stream::Unix(stream) => stream.poll_writable(cx),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.at < self.read.len() {
            let count = (&self.read[self.at..]).read(buffer)?;
            self.at += count;
            return Poll::Ready(Ok(count));
        }
        self.read = Vec::new();
        self.at = 0;
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, bytes, |stream| stream.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = pieces.first().map_or(&[][..], |piece| piece);
        self.poll_writing(cx, first, |stream| stream.write_vectored(pieces))
    }

    /// hyper flushes only when it has written all that it had.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed.0.set(true);
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_close(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_close(cx),
        }
    }
}

/// The answer instead of one of hyper's own, which it gives to bytes that are no request.
fn unreadable(written: &[u8]) -> Option<Vec<u8>> {
    let (status, error) = [
        ("400 Bad Request", "the request is not HTTP/1.1 as it may be written"),
        ("414 URI Too Long", "the request's target is too long"),
        (
            "431 Request Header Fields Too Large",
            "the request's head or Content-Length is too large, or it has more header fields than \
             --head-fields-max",
        ),
    ]
    .into_iter()
    .find(|(status, _)| {
        let rest = written.strip_prefix(b"HTTP/1.1 ");
        rest.is_some_and(|rest| rest.starts_with(status.as_bytes()))
    })?;
    let is_ours = written.windows(NOSNIFF.len()).any(|bytes| bytes == NOSNIFF);
    let content = format!("{{\"error\":\"{error}\"}}\n");
    let length = content.len();
    (!is_ours).then(|| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{content}"
        )
        .into_bytes()
    })
}

/// What every answer of the control side has, as hyper writes it.
const NOSNIFF: &[u8] = b"x-content-type-options: nosniff";
