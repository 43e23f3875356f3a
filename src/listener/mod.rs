//! The engine's own listener: it speaks HTTP to clients, and makes event streams of them.

mod authorize;
mod content;
mod error;
mod exchange;
mod finished;
mod handshake;
mod options;
mod proxies;
mod refusal;
mod route;
mod routes;
mod start;
mod wishes;

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

pub use self::error::{AdmitError, ListenError, ListenOnError};
use self::handshake::HttpHandshake;
pub(crate) use self::options::SOCKET_OPTIONS;
pub use self::options::{ListenOptions, Overload, OverloadError};
use self::proxies::Proxies;
pub use self::route::Route;
use self::routes::Routes;
use crate::client_stream::ClientStream;
use crate::fallback::UnhandledRequest;
use crate::http::host::{Host, Hosts};
use crate::listen_addr::ListenAddr;
use crate::shard::{Acceptor, Command, Peer, Shared};
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
    addr: ListenAddr,
    hosts: Arc<Hosts>,
    routes: Arc<Routes>,
    proxies: Arc<Proxies>,
}

impl Listener {
    /// Opens it at the first of some addresses that can be bound.
    pub(crate) fn open(
        shared: Arc<Shared>,
        addr: impl ToSocketAddrs,
        options: ListenOptions,
    ) -> Result<Listener, ListenError> {
        Listener::with(shared, options, |options| {
            let why = "no address to listen on";
            let mut bound = Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            for addr in addr.to_socket_addrs()? {
                bound = ListenSocket::bind(addr, options);
                if bound.is_ok() {
                    break;
                }
            }
            bound
        })
    }

    /// Opens it at a Unix domain socket.
    pub(crate) fn open_unix(
        shared: Arc<Shared>,
        path: &Path,
        options: ListenOptions,
    ) -> Result<Listener, ListenError> {
        let mode = options.socket_mode;
        Listener::with(shared, options, |options| ListenSocket::bind_unix(path, mode, options))
    }

    /// Opens it on a socket that listens already.
    pub(crate) fn open_on(
        shared: Arc<Shared>,
        socket: OwnedFd,
        options: ListenOptions,
    ) -> Result<Listener, ListenOnError> {
        let own = match socket.try_clone() {
            Ok(own) => own,
            Err(error) => return Err(ListenOnError { error: ListenError::Bind(error), socket }),
        };
        let opened = Listener::with(shared, options, |options| ListenSocket::lent(own, options));
        opened.map_err(|error| ListenOnError { error, socket })
    }

    fn with(
        shared: Arc<Shared>,
        options: ListenOptions,
        bind: impl FnOnce(&SocketOptions) -> io::Result<ListenSocket>,
    ) -> Result<Listener, ListenError> {
        options.check().map_err(ListenError::Options)?;
        let socket_options = options.socket_options();
        let fallback = options.fallback.clone();
        let handshake = HttpHandshake::new(options, shared.clone())?;
        let socket = bind(&socket_options).map_err(ListenError::Bind)?;
        let addr = socket.local_addr().map_err(ListenError::Bind)?;
        let handshake = handshake.on(addr.tcp());
        let (hosts, routes) = (handshake.hosts.clone(), handshake.routes.clone());
        let proxies = handshake.proxies.clone();
        let acceptor = Arc::new(Acceptor::new(socket, Box::new(handshake), fallback));
        // From here on, dropping it takes the acceptor from those shards that have it already.
        let listener = Listener { acceptor, shared, addr, hosts, routes, proxies };
        listener.open_acceptor()?;
        Ok(listener)
    }

    /// Has every shard accept through the acceptor.
    fn open_acceptor(&self) -> Result<(), ListenError> {
        let is_served = || match self.shared.is_served() {
            true => Ok(()),
            false => Err(ListenError::Closed),
        };
        is_served()?;
        for link in &self.shared.links {
            match link.command(Command::Accept(self.acceptor.clone())) {
                // A shard that a host has dropped needs no acceptor.
                Err(_) if !link.is_alive() => {}
                opened => opened.map_err(|_| ListenError::Busy)?,
            }
        }
        // The hub may have been closed or drained meanwhile, or its last shard dropped, by another
        // thread.
        is_served()
    }

    /// Where it listens: an address with the port that the system chose if none was given, or a
    /// Unix domain socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, ListenOptions, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let path = std::env::temp_dir().join(format!("fanfare-doc-{}.sock", std::process::id()));
    /// let listener = hub.listen_unix(&path, ListenOptions::default())?;
    /// assert_eq!(listener.addr().to_string(), format!("unix:{}", path.display()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn addr(&self) -> &ListenAddr {
        &self.addr
    }

    /// The address that it listens on, with the port that the system chose if none was given.
    ///
    /// # Panics
    ///
    /// When it listens at a Unix domain socket, which has no such address: there ask
    /// [`Listener::addr`].
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
        let addr = self.addr.tcp();
        addr.expect("a listener at a Unix domain socket has no address and port; ask addr()")
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
    /// [`ListenOptions::routes`]; or the tickets of its authorizer. It has none at its
    /// [`ListenOptions::health_path`], also if a route matches that. The path is the one of a
    /// request's target, percent-encoded and without the query. A server of [`UnhandledRequest`]s
    /// gives later requests for such a path to [`Listener::admit`], with any method: the listener
    /// refuses those that the path has not.
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
        self.routes.have_streams_at(path)
    }

    /// Serves a connection, of which `request.read` was read so far, as if this listener had just
    /// accepted it. It is meant for a client that asks for events on a connection that the fallback
    /// keeps alive, or that another listener has accepted. Never blocks, and may be called from any
    /// thread. A header of the PROXY protocol is not expected any more; who the client is that a
    /// trusted proxy's request is from, its header field says anew, if `request.peer` is one of
    /// [`ListenOptions::trusted_proxies`]; otherwise `request.is_proxy` says whether it is a proxy
    /// that speaks for clients it does not name.
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
        let UnhandledRequest { stream, read, addr, peer: from, is_proxy } = request;
        let is_unix = matches!(stream, ClientStream::Unix(_));
        let own = match stream.try_clone().and_then(|own| Stream::from_fd(own.into())) {
            Ok(own) => own,
            Err(error) => {
                let request = UnhandledRequest { stream, read, addr, peer: from, is_proxy };
                return Err(AdmitError::System { request, error });
            }
        };
        if let Err(error) = self.acceptor.socket.adopt(&own, !is_unix) {
            // To drop it as it is could end the connection, which is handed back.
            drop(own.into_fd());
            let request = UnhandledRequest { stream, read, addr, peer: from, is_proxy };
            return Err(AdmitError::System { request, error });
        }
        let known = match from {
            None if !is_unix => Peer::known(addr),
            from => self.proxies.behind_header(from),
        };
        let peer = Peer { is_proxy: is_proxy || known.is_proxy, ..known };
        let mut serve = Command::Serve {
            stream: own,
            read,
            peer,
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
        let Command::Serve { stream: own, read, .. } = serve else {
            unreachable!("it was not this command")
        };
        drop(own.into_fd());
        let request = UnhandledRequest { stream, read, addr, peer: from, is_proxy };
        let is_closed = self.shared.is_ending() || !links.iter().any(|link| link.is_alive());
        Err(if is_closed { AdmitError::Closed(request) } else { AdmitError::Busy(request) })
    }
}

/// Checks the entries of options that [`ListenOptions::check`] leaves out.
///
/// # Errors
///
/// The first option that has a wrong one.
#[cfg(feature = "capi")]
pub(crate) fn check_entries(options: &ListenOptions) -> Result<(), crate::options::OptionsError> {
    handshake::Entries::new(options).map(drop)
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
