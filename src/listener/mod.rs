//! The engine's own listener: it speaks HTTP to clients, and makes event streams of them.

mod authorize;
mod content;
mod error;
mod exchange;
mod finished;
mod handshake;
mod options;
mod refusal;
mod route;
mod routes;
mod start;
mod wishes;

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

pub use self::error::{AdmitError, ListenError};
use self::handshake::HttpHandshake;
pub use self::options::{ListenOptions, Overload, OverloadError};
pub use self::route::Route;
use self::routes::Routes;
use crate::fallback::UnhandledRequest;
use crate::http::host::{Host, Hosts};
use crate::shard::{Acceptor, Command, Shared};
use crate::sys::{ListenSocket, SocketOptions, Stream};

/// Accepts clients until it is dropped. Connections that are open then stay open.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, ListenOptions, Listener, Options};
///
/// let hub = Hub::start(Options::default())?;
/// let listener: Listener = hub.listen("127.0.0.1:0", ListenOptions::default())?;
/// println!("streams are at http://{}/events?topic=NAME", listener.local_addr());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the listener stops it"]
pub struct Listener {
    acceptor: Arc<Acceptor>,
    shared: Arc<Shared>,
    addr: SocketAddr,
    hosts: Arc<Hosts>,
    routes: Arc<Routes>,
}

impl Listener {
    pub(crate) fn open(
        shared: Arc<Shared>,
        addr: impl ToSocketAddrs,
        options: ListenOptions,
    ) -> Result<Listener, ListenError> {
        options.check().map_err(ListenError::Options)?;
        let socket_options = SocketOptions {
            notsent_lowat_bytes: options.notsent_lowat_bytes,
            send_buffer_bytes: options.send_buffer_bytes,
            keepalive: options.keepalive,
            user_timeout: options.user_timeout,
        };
        let fallback = options.fallback.clone();
        let handshake = HttpHandshake::new(options, shared.clone())?;
        let mut bound = Err(io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on"));
        for addr in addr.to_socket_addrs().map_err(ListenError::Bind)? {
            bound = ListenSocket::bind(addr, &socket_options);
            if bound.is_ok() {
                break;
            }
        }
        let socket = bound.map_err(ListenError::Bind)?;
        let addr = socket.local_addr().map_err(ListenError::Bind)?;
        let handshake = handshake.on(addr);
        let (hosts, routes) = (handshake.hosts.clone(), handshake.routes.clone());
        let acceptor = Arc::new(Acceptor::new(socket, Box::new(handshake), fallback));
        // From here on, dropping it takes the acceptor from those shards that have it already.
        let listener = Listener { acceptor, shared, addr, hosts, routes };
        listener.open_acceptor()?;
        Ok(listener)
    }

    /// Has every shard accept through the acceptor.
    fn open_acceptor(&self) -> Result<(), ListenError> {
        let closed = || match self.shared.is_ending() {
            true => Err(ListenError::Closed),
            false => Ok(()),
        };
        closed()?;
        for link in &self.shared.links {
            match link.command(Command::Accept(self.acceptor.clone())) {
                // A shard that a host has dropped needs no acceptor.
                Err(_) if !link.is_alive() => {}
                opened => opened.map_err(|_| ListenError::Busy)?,
            }
        }
        // The hub may have been closed or drained meanwhile, by another thread.
        closed()
    }

    /// The address that it listens on, with the port that the system chose if none was given.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, ListenOptions, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let listener = hub.listen("127.0.0.1:0", ListenOptions::default())?;
    /// assert_ne!(listener.local_addr().port(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether a request with this `Host`, or this authority of a target in absolute form, is for
    /// this listener, as [`ListenOptions::hosts`] says. A server of [`UnhandledRequest`]s has to
    /// ask this about each later request on a connection that is kept alive, since the listener
    /// does not see those. False for what is no host with or without a port.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, ListenOptions, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let listener = hub.listen("127.0.0.1:0", ListenOptions::default())?;
    /// assert!(listener.is_named("localhost:8080") && listener.is_named("[::1]"));
    /// assert!(!listener.is_named("evil.example"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_named(&self, authority: &str) -> bool {
        Host::parse(authority).is_some_and(|host| self.hosts.has(host))
    }

    /// Whether this listener has streams at a path: that of [`ListenOptions::path`], or one of
    /// [`ListenOptions::routes`]; or the tickets of its authorizer. The path is the one of a request's target, percent-encoded and
    /// without the query. A server of [`UnhandledRequest`]s gives later requests for such a path
    /// to [`Listener::admit`], with any method: the listener refuses those that the path has not.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, ListenOptions, Options, Route};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let run = Route::new("/runs/{id}").subscriptions(["run/{id}"]);
    /// let listener = hub.listen("127.0.0.1:0", ListenOptions::default().routes([run]))?;
    /// assert!(listener.has_streams_at("/events") && listener.has_streams_at("/runs/42"));
    /// assert!(!listener.has_streams_at("/runs"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn has_streams_at(&self, path: &str) -> bool {
        self.routes.exchanges_at(path) || self.routes.find(path).is_some()
    }

    /// Serves a connection, of which `request.read` was read so far, as if this listener had just
    /// accepted it. It is meant for a client that asks for events on a connection that the fallback
    /// keeps alive, or that another listener has accepted. Never blocks, and may be called from any
    /// thread.
    ///
    /// # Errors
    ///
    /// When the hub is closed, no shard takes another command, or the system gives no descriptor.
    /// The error holds the connection ([`AdmitError::into_request`]): try again, or answer 503.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use fanfare::{Hub, ListenOptions, Options, UnhandledRequest};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let listener = hub.listen("127.0.0.1:0", ListenOptions::default())?;
    ///
    /// // A server of your own has accepted a connection and read the request from it.
    /// let own = TcpListener::bind("127.0.0.1:0")?;
    /// let client = TcpStream::connect(own.local_addr()?)?;
    /// let (stream, addr) = own.accept()?;
    /// let read = b"GET /events?topic=news HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    /// listener.admit(UnhandledRequest::new(stream, addr, read))?;
    /// # drop(client);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn admit(&self, request: UnhandledRequest) -> Result<(), AdmitError> {
        let UnhandledRequest { stream, read, addr } = request;
        let own = match stream.try_clone().and_then(Stream::from_std) {
            Ok(own) => own,
            Err(error) => {
                let request = UnhandledRequest { stream, read, addr };
                return Err(AdmitError::System { request, error });
            }
        };
        if let Err(error) = self.acceptor.socket.adopt(&own) {
            // To drop it as it is could end the connection, which is handed back.
            let request = UnhandledRequest { stream: own.into_std(), read, addr };
            return Err(AdmitError::System { request, error });
        }
        let mut serve = Command::Serve {
            stream: own,
            read,
            addr,
            acceptor: self.acceptor.clone(),
            counted: false,
        };
        // Any shard will do, except one that the host has dropped.
        let links = &self.shared.links;
        let first = fastrand::usize(..links.len());
        for link in links[first..].iter().chain(&links[..first]) {
            match link.command(serve) {
                Ok(()) => return Ok(()),
                Err(refused) => serve = refused,
            }
        }
        let Command::Serve { stream, read, addr, .. } = serve else {
            unreachable!("it was not this command")
        };
        let request = UnhandledRequest { stream: stream.into_std(), read, addr };
        let is_closed = self.shared.is_ending() || !links.iter().any(|link| link.is_alive());
        Err(if is_closed { AdmitError::Closed(request) } else { AdmitError::Busy(request) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.acceptor.close();
        for link in &self.shared.links {
            // A shard with a thousand commands waiting finds out when the poller reports the
            // acceptor.
            let _ = link.command(Command::RemoveClosed);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("addr", &self.addr).finish_non_exhaustive()
    }
}
