//! The fallback: a bounded queue of connections with requests that are not for events, from a
//! listener to the part of the program that answers them on the same port.
//!
//! A shard never waits for the receiver: a connection that finds the queue full is answered 503.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

#[cfg(feature = "capi")]
use crate::bounded::WeakReceiver;
use crate::bounded::{bounded, Place, Receiver, Sender};
use crate::client_stream::ClientStream;
use crate::receive;
use crate::seldom::Seldom;

/// The largest capacity of a fallback.
const CAPACITY_MAX: usize = 1 << 16;

/// Clients can bring this about as often as they like.
static FULL: Seldom = Seldom::new();

/// Makes a [`Fallback`] for [`ListenOptions::fallback`](crate::ListenOptions::fallback), and the
/// receiver of the requests that come through it.
///
/// `capacity` is how many requests may wait to be received, 1 to 65,536; a number outside of these
/// bounds counts as the nearer bound. A request that comes when the queue is full is answered 503
/// with `Retry-After: 5`, and counted in [`Metrics::refused_connections`](crate::Metrics). So are
/// all requests that come once the receiver and its clones are dropped.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
/// use std::time::Duration;
/// use fanfare::{Hub, ListenOptions, Options};
///
/// let hub = Hub::start(Options::default())?;
/// let (fallback, requests) = fanfare::fallback(64);
/// let listener = hub.listen("127.0.0.1:0", ListenOptions::default().fallback(fallback))?;
///
/// let mut client = TcpStream::connect(listener.local_addr())?;
/// client.write_all(b"GET /hello HTTP/1.0\r\n\r\n")?;
///
/// // Usually on a separate thread: `for request in requests { ... }`.
/// let mut request = requests.wait(Duration::from_secs(10)).expect("the client asks at once");
/// assert!(request.read.starts_with(b"GET /hello "));
/// request.stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello\n")?;
/// drop(request);
///
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.ends_with("hello\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn fallback(capacity: usize) -> (Fallback, UnhandledRequests) {
    let (sender, receiver) = bounded(capacity.clamp(1, CAPACITY_MAX));
    (Fallback { sender }, UnhandledRequests { receiver })
}

/// A connection with a request that is not for events.
///
/// [`fallback`] makes the queue that these come through;
/// [`Listener::admit`](crate::Listener::admit) takes them back.
///
/// # Examples
///
/// ```
/// use std::io::{self, Write};
/// use fanfare::UnhandledRequest;
///
/// fn refuse(mut request: UnhandledRequest) -> io::Result<()> {
///     request.stream.set_nonblocking(false)?;
///     request.stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
/// }
/// # let _ = refuse;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct UnhandledRequest {
    /// The socket, non-blocking.
    pub stream: ClientStream,
    /// What was read from the socket: at least the request's head. A header of the PROXY protocol
    /// is not a part of it.
    pub read: Vec<u8>,
    /// The client's address; `None` if it has none, as at a Unix domain socket. Behind a proxy of
    /// [`ListenOptions::proxy_protocol_from`](crate::ListenOptions::proxy_protocol_from) or
    /// [`ListenOptions::trusted_proxies`](crate::ListenOptions::trusted_proxies) it is what the
    /// proxy says, with port 0 if it says none.
    pub addr: Option<SocketAddr>,
    /// Where the connection is from: the same, unless a header field of this request has said
    /// `addr`. Then the connection is a proxy's, and a later request on it may be another client's.
    pub peer: Option<SocketAddr>,
    /// Whether `addr` is that of a trusted proxy which names no client, neither in the PROXY header
    /// nor in this request. No bound per address holds for it, neither here nor once
    /// [`Listener::admit`](crate::Listener::admit) has it again.
    pub is_proxy: bool,
}

impl UnhandledRequest {
    /// A connection from `addr`, a [`TcpStream`](std::net::TcpStream) or a
    /// [`UnixStream`](std::os::unix::net::UnixStream), of which `read` was read so far, for
    /// [`Listener::admit`](crate::Listener::admit).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use fanfare::UnhandledRequest;
    ///
    /// let server = TcpListener::bind("127.0.0.1:0")?;
    /// let _client = TcpStream::connect(server.local_addr()?)?;
    /// let (stream, addr) = server.accept()?;
    /// let request = UnhandledRequest::new(stream, addr, Vec::new());
    /// assert_eq!(request.addr, Some(addr));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn new(
        stream: impl Into<ClientStream>,
        addr: impl Into<Option<SocketAddr>>,
        read: Vec<u8>,
    ) -> UnhandledRequest {
        let addr = addr.into();
        UnhandledRequest { stream: stream.into(), read, addr, peer: addr, is_proxy: false }
    }
}

/// The listener's end of the queue that [`fallback`] makes, for
/// [`ListenOptions::fallback`](crate::ListenOptions::fallback). Clones share the queue, so that
/// several listeners may have the same.
///
/// # Examples
///
/// ```
/// use fanfare::ListenOptions;
///
/// let (fallback, _requests) = fanfare::fallback(64);
/// let public = ListenOptions::default().fallback(fallback.clone());
/// let local = ListenOptions::default().fallback(fallback);
/// # let _ = (public, local);
/// ```
#[derive(Clone)]
pub struct Fallback {
    sender: Sender<UnhandledRequest>,
}

impl Fallback {
    /// A place for a request in the queue, which no other shard takes meanwhile; `None` when it is full or closed.
    pub(crate) fn reserve(&self) -> Option<Place<'_, UnhandledRequest>> {
        let place = self.sender.reserve();
        if place.is_none() && !self.sender.is_closed() {
            FULL.log(|more| {
                log::warn!(
                    "the fallback is full, and a client is answered 503; give it a larger \
                     capacity{more}"
                );
            });
        }
        place
    }
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").field("waiting", &self.sender.len()).finish_non_exhaustive()
    }
}

/// The receiver of [`UnhandledRequest`]s; [`fallback`] makes it.
///
/// An iterator over it blocks for the next request, and ends when all listeners that have the
/// [`Fallback`] are dropped. It may be used from any thread. Clones share one queue: each request
/// goes to one of them.
///
/// # Examples
///
/// ```no_run
/// # let (_fallback, requests) = fanfare::fallback(64);
/// std::thread::spawn(move || {
///     for request in requests {
///         println!("{:?} asks for something else than events", request.addr);
///     }
/// });
/// ```
#[derive(Clone)]
pub struct UnhandledRequests {
    receiver: Receiver<UnhandledRequest>,
}

impl UnhandledRequests {
    /// The next request, if one waits. Never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let (_fallback, requests) = fanfare::fallback(64);
    /// assert!(requests.try_next().is_none());
    /// ```
    #[must_use]
    pub fn try_next(&self) -> Option<UnhandledRequest> {
        self.receiver.try_recv().ok()
    }

    /// The next request, for which it waits at most `timeout`; `None` when none came in this time,
    /// or none will come any more. Blocks the calling thread, so it must not be one that drives a
    /// shard: there use [`UnhandledRequests::next_async`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (_fallback, requests) = fanfare::fallback(64);
    /// assert!(requests.wait(Duration::from_millis(1)).is_none());
    /// ```
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> Option<UnhandledRequest> {
        receive::wait(&self.receiver, timeout)
    }

    /// The next request, under any executor; `None` when none will come any more. Dropping the
    /// future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// let (fallback, requests) = fanfare::fallback(64);
    /// drop(fallback);
    /// assert!(futures_lite::future::block_on(requests.next_async()).is_none());
    /// ```
    pub async fn next_async(&self) -> Option<UnhandledRequest> {
        self.receiver.recv().await.ok()
    }

    /// The number of requests that wait to be received.
    ///
    /// # Examples
    ///
    /// ```
    /// let (_fallback, requests) = fanfare::fallback(64);
    /// assert_eq!(requests.waiting(), 0);
    /// ```
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.receiver.len()
    }

    /// What [`receive::end`] ends them by, and which does not keep them.
    #[cfg(feature = "capi")]
    pub(crate) fn ending(&self) -> WeakReceiver<UnhandledRequest> {
        self.receiver.downgrade()
    }

    /// Whether no request waits, and none will come any more: the [`Fallback`] and its clones are
    /// dropped, with the listeners that have them.
    ///
    /// # Examples
    ///
    /// ```
    /// let (fallback, requests) = fanfare::fallback(64);
    /// assert!(!requests.is_ended());
    /// drop(fallback);
    /// assert!(requests.is_ended());
    /// ```
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.receiver.is_closed() && self.receiver.is_empty()
    }
}

impl Iterator for UnhandledRequests {
    type Item = UnhandledRequest;

    fn next(&mut self) -> Option<UnhandledRequest> {
        self.receiver.recv_blocking().ok()
    }
}

impl fmt::Debug for UnhandledRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting();
        f.debug_struct("UnhandledRequests").field("waiting", &waiting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::{Hub, ListenOptions, Listener, Options};
    use futures_lite::future;

    const TIME_MAX: Duration = Duration::from_secs(20);

    fn serve(fallback: Fallback) -> (Hub, Listener) {
        let hub = Hub::start(Options { shards: 1, ..Options::default() }).unwrap();
        let options = ListenOptions { fallback: Some(fallback), ..ListenOptions::default() };
        let listener = hub.listen("127.0.0.1:0", options).unwrap();
        (hub, listener)
    }

    fn ask(listener: &Listener) -> TcpStream {
        let mut client = TcpStream::connect(listener.local_addr()).unwrap();
        client.set_read_timeout(Some(TIME_MAX)).unwrap();
        client.write_all(b"GET /x HTTP/1.0\r\n\r\n").unwrap();
        client
    }

    fn answer(mut client: TcpStream) -> String {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn requests_wait_in_their_order_and_end_with_the_listener() {
        let (fallback, requests) = fallback(8);
        let (hub, listener) = serve(fallback);
        assert!(requests.try_next().is_none() && !requests.is_ended());
        let clients = [ask(&listener), ask(&listener)];
        let first = requests.wait(TIME_MAX).unwrap();
        let second = future::block_on(requests.next_async()).unwrap();
        let of = |client: &TcpStream| client.local_addr().unwrap();
        assert_eq!([first.addr, second.addr], clients.each_ref().map(of).map(Some));
        let _last = ask(&listener);
        let last = requests.clone().next().unwrap();
        assert_eq!(last.read, b"GET /x HTTP/1.0\r\n\r\n");
        drop(listener);
        hub.close();
        assert_eq!(requests.clone().count(), 0);
        assert!(requests.is_ended() && requests.wait(TIME_MAX).is_none());
    }

    #[test]
    fn a_full_fallback_and_one_without_a_receiver_answer_503() {
        // A capacity of zero counts as 1.
        let (fallback, requests) = fallback(0);
        let (hub, listener) = serve(fallback);
        let _waits = ask(&listener);
        let deadline = std::time::Instant::now() + TIME_MAX;
        while requests.waiting() == 0 {
            assert!(std::time::Instant::now() < deadline, "the request does not come");
            std::thread::yield_now();
        }
        let refused = answer(ask(&listener));
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        assert!(refused.contains("\r\nRetry-After: 5\r\n"), "{refused}");
        drop(requests);
        let refused = answer(ask(&listener));
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        assert_eq!(hub.metrics().refused_connections, 2);
    }

    #[test]
    fn the_capacity_is_bounded() {
        let (fallback, _requests) = fallback(usize::MAX);
        assert_eq!(fallback.sender.capacity(), CAPACITY_MAX);
    }
}
