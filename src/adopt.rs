//! Connections that a host's own server has accepted, and hands over when their clients ask for
//! events. `docs/adopt.md` says how each kind of server lets go of them.

mod error;
mod request;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

pub use self::error::{AdoptError, AdoptErrorKind};
pub use self::request::{AdoptRequest, HttpVersion, HttpVersionError};
use crate::cluster::BEHIND_RETRY;
use crate::http::field::Fields;
use crate::http::response;
use crate::hub::Hub;
use crate::listener::SOCKET_OPTIONS;
use crate::options::{jittered, OptionsError};
use crate::shard::{Adopted, Peer, Refused, Reply, Shared};
use crate::sys::{self, Handed, Stream, Unfit};

impl Hub {
    /// Makes an event stream of a connection that the host's own server has accepted, and whose
    /// request it has read and authorized: a connected socket of TCP or a Unix domain socket, of
    /// plain HTTP/1.1 or HTTP/1.0. The engine writes the whole answer, its head included, and owns
    /// the socket from then on.
    ///
    /// The stream is one like a listener's: it is sent what the client has missed, heartbeats and
    /// events; it counts against [`connections_max`](crate::Options) and the other limits, those
    /// per address by the peer's address, or [`StreamOptions::addr`](crate::StreamOptions::addr) if
    /// that is set; it is listed, told of by notices, drained and closed with the others. The shard
    /// with the fewest connections serves it. A TCP socket gets the options that
    /// [`ListenOptions`](crate::ListenOptions) has by default. The answer says `Connection: close`:
    /// what the client sends behind its request is thrown away, and more than 64 KiB at once ends
    /// the stream, as its client's end of the connection does.
    ///
    /// If all topics are finished and the client would be sent nothing, it is answered with the
    /// status 204, so that an `EventSource` stays away.
    ///
    /// When this returns, nothing may have been sent yet; but what is published afterwards is in the
    /// stream. (A hub that keeps no history may tell a gap instead of what was published before the
    /// shard has begun the stream.) It never blocks, and may be called from any thread. A hub that is
    /// closed or drained after this has returned, and before a shard has taken the connection, closes
    /// it without an answer.
    ///
    /// Duplicates of the descriptor may stay open elsewhere: the engine shuts the socket down when
    /// the stream ends, so that its client sees the end. Nobody else may read from the socket,
    /// write to it or shut it down any more. The flag `O_NONBLOCK` is not changed.
    ///
    /// # Errors
    ///
    /// When the engine cannot serve the connection; the [kinds](AdoptErrorKind) say why. Nothing
    /// was written to the socket, which the error gives back ([`AdoptError::into_socket`]): answer
    /// the request, as a rule with 503 or 500. It may have the options already that it was to be
    /// given.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::net::{TcpListener, TcpStream};
    /// use fanfare::{AdoptRequest, Hub, Options, Subscription};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let server = TcpListener::bind("127.0.0.1:0")?;
    /// let mut client = TcpStream::connect(server.local_addr()?)?;
    /// client.write_all(b"GET /mine HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    ///
    /// // The host's server reads the request, and decides what its client gets.
    /// let (mut socket, _) = server.accept()?;
    /// assert!(socket.read(&mut [0; 4096])? > 0);
    /// hub.adopt(socket, AdoptRequest::new([Subscription::new("user/7")?]))?;
    ///
    /// let mut answer = [0; 15];
    /// client.read_exact(&mut answer)?;
    /// assert_eq!(&answer, b"HTTP/1.1 200 OK");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn adopt(
        &self,
        socket: impl Into<OwnedFd>,
        request: AdoptRequest,
    ) -> Result<(), AdoptError> {
        let (shared, socket) = (self.shared(), socket.into());
        let (handed, fields) = match look(&socket, &request) {
            Ok(seen) => seen,
            Err(kind) => return Err(AdoptError::new(kind, socket)),
        };
        if let Err(error) = prepare(&socket, handed) {
            return Err(AdoptError::new(AdoptErrorKind::System(error), socket));
        }
        let addr = match (request.options.addr, handed) {
            (Some(addr), _) | (None, Handed::Tcp(addr)) => Some(addr),
            (None, Handed::Unix) => None,
        };
        let reply = reply(shared, request, &fields);
        let is_answer = matches!(reply, Reply::Answer(_));
        let (stream, peer) = (Stream::handed(socket), Peer::known(addr));
        let adopted = Adopted { stream, peer, reply, asked_at: shared.order.moment() };
        shared
            .place(adopted)
            .map_err(|(stream, refused)| AdoptError::new(refused.into(), stream.into_fd()))?;
        shared.finished_answers.fetch_add(u64::from(is_answer), Ordering::Relaxed);
        Ok(())
    }
}

/// Looks whether a connection can be adopted, and returns what its socket is, and the lines of the
/// host's header fields.
fn look(socket: &OwnedFd, request: &AdoptRequest) -> Result<(Handed, String), AdoptErrorKind> {
    if request.tls {
        return Err(AdoptErrorKind::Tls);
    }
    if !["GET", "POST"].contains(&&*request.method) {
        return Err(AdoptErrorKind::method(&request.method));
    }
    if request.has_unread_content {
        return Err(AdoptErrorKind::UnreadContent);
    }
    if let bytes @ 1.. = request.read_ahead_bytes {
        return Err(AdoptErrorKind::ReadAhead { bytes });
    }
    request.check().map_err(AdoptErrorKind::Request)?;
    let fields = Fields::of_host(&request.headers).map_err(|why| {
        AdoptErrorKind::Request(OptionsError { option: "headers", bounds: why.into() })
    })?;
    let handed = sys::inspect(socket.as_fd())?;
    Ok((handed, fields.lines()))
}

/// Gives a socket the options of a listener's; a Unix domain socket needs none.
fn prepare(socket: &OwnedFd, handed: Handed) -> io::Result<()> {
    match handed {
        Handed::Unix => Ok(()),
        Handed::Tcp(_) => sys::prepare(socket.as_fd(), &SOCKET_OPTIONS),
    }
}

/// What the client is sent: as a rule a stream.
fn reply(shared: &Shared, request: AdoptRequest, fields: &str) -> Reply {
    let wire = request.version.wire();
    let head = response::stream(wire, fields);
    let request = shared.stream_request(request.subscriptions, request.options, wire, head);
    if shared.is_behind(&request.resume) {
        let retry = jittered(BEHIND_RETRY);
        return Reply::Answer(response::come_again(fields, request.heartbeat_form, retry));
    }
    if shared.order.has_nothing_for(&request.wanted, &request.resume) {
        return Reply::Answer(response::nothing_to_come(fields));
    }
    Reply::Stream(request)
}

impl From<Unfit> for AdoptErrorKind {
    fn from(unfit: Unfit) -> AdoptErrorKind {
        match unfit {
            Unfit::NotASocket => AdoptErrorKind::NotASocket,
            Unfit::NotAStream => AdoptErrorKind::NotAStream,
            Unfit::Family => AdoptErrorKind::OtherFamily,
            Unfit::Listening => AdoptErrorKind::Listening,
            Unfit::NotConnected => AdoptErrorKind::NotConnected,
            Unfit::ShutDown => AdoptErrorKind::ShutDown,
            Unfit::Tls => AdoptErrorKind::Tls,
            Unfit::Waiting => AdoptErrorKind::Waiting,
            Unfit::Unsent(bytes) => AdoptErrorKind::Unsent { bytes },
            Unfit::System(error) => AdoptErrorKind::System(error),
        }
    }
}

impl From<Refused> for AdoptErrorKind {
    fn from(refused: Refused) -> AdoptErrorKind {
        match refused {
            Refused::Closed => AdoptErrorKind::Closed,
            Refused::Busy => AdoptErrorKind::Busy,
            Refused::Limit(option) => AdoptErrorKind::Limit { option },
        }
    }
}
