//! Why a listener did not open, or did not take a connection.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use crate::fallback::UnhandledRequest;
use crate::options::OptionsError;

/// Why a listener did not open.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, ListenError, ListenOptions, Options};
///
/// let hub = Hub::start(Options::default())?;
/// match hub.listen("127.0.0.1:0", ListenOptions::default().wide_filters_max(100_000)) {
///     Err(ListenError::Options(error)) => assert_eq!(error.option, "wide_filters_max"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), fanfare::StartError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// The address cannot be resolved or bound, or the socket cannot be listened on.
    Bind(io::Error),
    /// An option is out of its bounds.
    Options(OptionsError),
    /// The hub is closed or being drained, or has no shard left.
    Closed,
    /// A shard has too many commands waiting; try again.
    Busy,
}

/// Why a listener did not open on a socket, which is given back.
///
/// # Examples
///
/// ```
/// use std::net::UdpSocket;
/// use fanfare::{Hub, ListenOptions, Options};
///
/// let hub = Hub::start(Options::default())?;
/// let datagrams = UdpSocket::bind("127.0.0.1:0")?;
/// let addr = datagrams.local_addr()?;
/// let error = hub.listen_on(datagrams, ListenOptions::default()).unwrap_err();
/// assert_eq!(UdpSocket::from(error.socket).local_addr()?, addr);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ListenOnError {
    /// Why: a [`ListenError::Bind`] if the socket is none that can be listened on.
    pub error: ListenError,
    /// The socket.
    pub socket: OwnedFd,
}

impl fmt::Display for ListenOnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            ListenError::Bind(_) => f.write_str(
                "cannot listen on this socket; give a TCP or Unix domain socket that listens",
            ),
            error => error.fmt(f),
        }
    }
}

impl std::error::Error for ListenOnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenError::Bind(_) => {
                f.write_str("cannot listen on this address; free it, or give another")
            }
            ListenError::Options(error) => error.fmt(f),
            ListenError::Closed => f.write_str("the hub is closed; start another"),
            ListenError::Busy => f.write_str("a shard has too much to do; try again"),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ListenError::Bind(error) => Some(error),
            ListenError::Options(error) => std::error::Error::source(error),
            ListenError::Closed | ListenError::Busy => None,
        }
    }
}

/// Why [`Listener::admit`](crate::Listener::admit) did not take a connection. It gives the
/// connection back.
///
/// # Examples
///
/// ```
/// use std::io::{self, Write};
/// use fanfare::{AdmitError, Listener, UnhandledRequest};
///
/// fn admit(listener: &Listener, request: UnhandledRequest) -> io::Result<()> {
///     let Err(error) = listener.admit(request) else { return Ok(()) };
///     if let AdmitError::System { error, .. } = &error {
///         eprintln!("there is no descriptor: {error}");
///     }
///     let mut stream = error.into_request().stream;
///     stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
/// }
/// # let _ = admit;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum AdmitError {
    /// The hub is closed.
    Closed(UnhandledRequest),
    /// Each shard has too many commands waiting; try again.
    Busy(UnhandledRequest),
    /// The system gave no descriptor, or refused an option of the listener's for the socket.
    #[non_exhaustive]
    System {
        /// The connection.
        request: UnhandledRequest,
        /// What the system said.
        error: io::Error,
    },
}

impl AdmitError {
    /// The connection, with everything that was read from it.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{AdmitError, Listener, UnhandledRequest};
    ///
    /// fn try_twice(listener: &Listener, request: UnhandledRequest) -> Result<(), AdmitError> {
    ///     listener.admit(request).or_else(|error| listener.admit(error.into_request()))
    /// }
    /// # let _ = try_twice;
    /// ```
    #[must_use]
    pub fn into_request(self) -> UnhandledRequest {
        match self {
            AdmitError::Closed(request)
            | AdmitError::Busy(request)
            | AdmitError::System { request, .. } => request,
        }
    }
}

impl fmt::Display for AdmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AdmitError::Closed(_) => "the hub is closed; close the connection, or answer 503",
            AdmitError::Busy(_) => "each shard has too much to do; try again, or answer 503",
            AdmitError::System { .. } => {
                "the system does not let the listener take the connection; raise the limit on \
                 open files, and answer 503"
            }
        })
    }
}

impl std::error::Error for AdmitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AdmitError::System { error, .. } => Some(error),
            AdmitError::Closed(_) | AdmitError::Busy(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::shard::Command;
    use crate::{Hub, ListenOptions, Listener, Options};

    fn hub() -> (Hub, Vec<crate::Driver>, Listener) {
        let (hub, drivers) = Hub::with_drivers(Options::default().shards(2)).unwrap();
        let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
        (hub, drivers, listener)
    }

    /// A connection that some other server has accepted, and its client.
    fn request() -> (TcpStream, UnhandledRequest) {
        let own = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(own.local_addr().unwrap()).unwrap();
        let (stream, addr) = own.accept().unwrap();
        (client, UnhandledRequest::new(stream, addr, b"read".to_vec()))
    }

    /// The connection that an error gives back is the one that the client has.
    fn assert_given_back(client: &TcpStream, error: AdmitError) {
        let request = error.into_request();
        assert_eq!((request.addr, &*request.read), (client.local_addr().ok(), &b"read"[..]));
        (&request.stream).write_all(b"x").unwrap();
        drop(request);
        assert_eq!(io::read_to_string(client).unwrap(), "x");
    }

    #[test]
    fn shards_that_are_too_busy_give_the_connection_back() {
        let (hub, _not_driven, listener) = hub();
        for link in &hub.shared().links {
            while link.command(Command::RemoveClosed).is_ok() {}
        }
        let (client, request) = request();
        let error = listener.admit(request).unwrap_err();
        assert!(matches!(error, AdmitError::Busy(_)), "{error:?}");
        assert_given_back(&client, error);
    }

    #[test]
    fn a_closed_hub_gives_the_connection_back() {
        let (_hub, drivers, listener) = hub();
        drop(drivers);
        let (client, request) = request();
        let error = listener.admit(request).unwrap_err();
        assert!(matches!(error, AdmitError::Closed(_)), "{error:?}");
        assert_given_back(&client, error);
    }

    #[test]
    fn what_the_system_says_is_the_source() {
        let (client, request) = request();
        let error = io::Error::from_raw_os_error(libc::EMFILE);
        let text = error.to_string();
        let error = AdmitError::System { request, error };
        assert_eq!(error.source().unwrap().to_string(), text);
        assert!(!error.to_string().contains(&text), "{error}");
        assert_given_back(&client, error);
    }
}
