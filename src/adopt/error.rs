//! Why a connection was not adopted.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use crate::excerpt::Excerpt;
use crate::options::OptionsError;

/// Why [`Hub::adopt`](crate::Hub::adopt) did not take a connection. It has the socket, to which
/// nothing was written, so that the host answers the request itself.
///
/// # Examples
///
/// ```
/// use std::io::{self, Write};
/// use std::net::TcpStream;
/// use fanfare::{AdoptErrorKind, AdoptRequest, Hub};
///
/// fn stream(hub: &Hub, socket: TcpStream, request: AdoptRequest) -> io::Result<()> {
///     let Err(error) = hub.adopt(socket, request) else { return Ok(()) };
///     let status = match error.kind() {
///         AdoptErrorKind::Busy | AdoptErrorKind::Limit { .. } => "503 Service Unavailable",
///         _ => "500 Internal Server Error",
///     };
///     eprintln!("no stream: {error}");
///     let mut socket = TcpStream::from(error.into_socket());
///     write!(socket, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
/// }
/// # let _ = stream;
/// ```
#[derive(Debug)]
pub struct AdoptError {
    kind: AdoptErrorKind,
    socket: OwnedFd,
}

/// What is wrong with a connection that was not adopted.
///
/// # Examples
///
/// ```
/// use std::net::UdpSocket;
/// use fanfare::{AdoptErrorKind, AdoptRequest, Hub, Options, Subscription};
///
/// let hub = Hub::start(Options::default())?;
/// let request = AdoptRequest::new([Subscription::new("news")?]);
/// let error = hub.adopt(UdpSocket::bind("127.0.0.1:0")?, request).unwrap_err();
/// assert!(matches!(error.kind(), AdoptErrorKind::NotAStream));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum AdoptErrorKind {
    /// The descriptor is not that of a socket.
    NotASocket,
    /// The socket is one of datagrams or packets.
    NotAStream,
    /// The socket is neither TCP nor a Unix domain socket.
    OtherFamily,
    /// The socket listens: hand over what it accepts.
    Listening,
    /// The socket is not connected, or its client has broken the connection off.
    NotConnected,
    /// The socket was shut down for sending.
    ShutDown,
    /// The connection is encrypted: the host said so, or a record of TLS waits to be read.
    Tls,
    /// The request has content that was not read, as the host said.
    UnreadContent,
    /// The host's server has read bytes behind the request: so many, as the host said.
    #[non_exhaustive]
    ReadAhead {
        /// How many.
        bytes: usize,
    },
    /// Bytes wait in the socket to be read: content of the request, or another request.
    Waiting,
    /// The socket has not sent all that was written to it (seen of TCP, on Linux).
    #[non_exhaustive]
    Unsent {
        /// How many bytes it has yet to send.
        bytes: usize,
    },
    /// The request's method opens no stream.
    #[non_exhaustive]
    Method {
        /// Its first bytes, quoted: at most 200.
        method: String,
    },
    /// The subscriptions, the tag or the header fields are not within their bounds.
    Request(OptionsError),
    /// The limit is reached that this option of the hub sets.
    #[non_exhaustive]
    Limit {
        /// The option's name, such as `connections_max`.
        option: &'static str,
    },
    /// Each shard has too many commands waiting.
    Busy,
    /// The hub is closed or is being drained, or none of its shards is left.
    Closed,
    /// The system refused something.
    System(io::Error),
}

impl AdoptError {
    pub(super) fn new(kind: AdoptErrorKind, socket: OwnedFd) -> AdoptError {
        AdoptError { kind, socket }
    }

    /// What is wrong.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{AdoptError, AdoptErrorKind};
    ///
    /// fn may_be_tried_again(error: &AdoptError) -> bool {
    ///     matches!(error.kind(), AdoptErrorKind::Busy | AdoptErrorKind::Limit { .. })
    /// }
    /// # let _ = may_be_tried_again;
    /// ```
    #[must_use]
    pub fn kind(&self) -> &AdoptErrorKind {
        &self.kind
    }

    /// The socket that was to be adopted: the same descriptor.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::TcpStream;
    /// use fanfare::AdoptError;
    ///
    /// fn give_back(error: AdoptError) -> TcpStream {
    ///     TcpStream::from(error.into_socket())
    /// }
    /// # let _ = give_back;
    /// ```
    #[must_use]
    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }
}

impl AdoptErrorKind {
    pub(super) fn method(method: &str) -> AdoptErrorKind {
        AdoptErrorKind::Method { method: Excerpt::of(method).to_string() }
    }
}

impl fmt::Display for AdoptErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AdoptErrorKind::NotASocket => {
                "the descriptor is not a socket's; hand over the one that was accepted"
            }
            AdoptErrorKind::NotAStream => {
                "the socket is one of datagrams or packets; hand over one of the type SOCK_STREAM"
            }
            AdoptErrorKind::OtherFamily => {
                "the socket is neither TCP nor a Unix domain socket; subscribe to the hub, and send \
                 the stream yourself"
            }
            AdoptErrorKind::Listening => "the socket listens; hand over what it accepts",
            AdoptErrorKind::NotConnected => {
                "the socket is not connected, or its client is gone; close it"
            }
            AdoptErrorKind::ShutDown => {
                "the socket was shut down for sending; hand it over before that is done, and close \
                 duplicates of it without"
            }
            AdoptErrorKind::Tls => {
                "the connection is encrypted, and the engine writes plain text; have a proxy end \
                 TLS in front of the server, or subscribe to the hub and send the stream yourself"
            }
            AdoptErrorKind::UnreadContent => {
                "the request has content that was not read; read it first"
            }
            AdoptErrorKind::ReadAhead { bytes } => {
                return write!(
                    f,
                    "{bytes} bytes behind the request were read, and the request that they begin \
                     would get no answer; serve this connection yourself"
                )
            }
            AdoptErrorKind::Waiting => {
                "bytes wait to be read; read the request's content first, and serve the connection \
                 yourself if they begin another request"
            }
            AdoptErrorKind::Unsent { bytes } => {
                return write!(
                    f,
                    "{bytes} bytes that were written were not sent yet; wait until the answer \
                     before this one is sent"
                )
            }
            AdoptErrorKind::Method { method } => {
                return write!(
                    f,
                    "{method} opens no stream, GET and POST do; answer HEAD with a head, and \
                     others with 405"
                )
            }
            AdoptErrorKind::Request(error) => return error.fmt(f),
            AdoptErrorKind::Limit { option } => {
                return write!(f, "the limit {option} is reached; answer 503, or raise it")
            }
            AdoptErrorKind::Busy => "each shard has too much to do; try again, or answer 503",
            AdoptErrorKind::Closed => "the hub is closed; close the connection, or answer 503",
            AdoptErrorKind::System(_) => {
                "the system does not let the engine take the socket; answer 500"
            }
        })
    }
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for AdoptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            AdoptErrorKind::System(error) => Some(error),
            AdoptErrorKind::Request(error) => std::error::Error::source(error),
            _ => None,
        }
    }
}
