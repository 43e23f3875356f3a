//! The control side: whatever HTTP serves besides the event streams. It takes the connections
//! whose request the engine has no answer for, and those that come to a listener of its own, and
//! serves them with hyper, all on one thread.
//!
//! ```text
//! permit  hosts  answer  body  metrics     who may, what is said, what comes in
//! socket  door  crowd                      what it goes through, and how many may
//! publish connections page                what is done and shown
//!   -> desk -> reception                   which request gets which answer
//! mod                                      the thread, the connections, and the takeover
//! ```
//!
//! # The takeover
//!
//! A browser that has loaded the page asks for events on the same connection, and so do the
//! connection pools of HTTP clients. So a connection that is here may turn out to be the engine's.
//! The service then answers nothing; the connection is taken out of hyper's hands as soon as all
//! earlier answers have gone out, and given to the listener with the request written out again,
//! followed by everything that was read behind it.
//!
//! (hyper 1.12 reads a request only after the answers before it are flushed, unless the content
//! of the one before it still comes in when it is answered. That is its affair; the socket tells.)

mod answer;
mod body;
mod connections;
mod crowd;
mod desk;
mod door;
mod hosts;
mod metrics;
mod page;
mod permit;
mod publish;
mod reception;
mod socket;

use std::convert::Infallible;
use std::future::{pending, poll_fn, Future};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::panic::AssertUnwindSafe;
use std::pin::{pin, Pin};
use std::rc::Rc;
use std::sync::Weak;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use fanfare::{Listener, UnhandledRequest, UnhandledRequests};
use hyper::server::conn::http1;
use smol::future::{self, FutureExt};
use smol::{Async, LocalExecutor, Timer};
use smol_hyper::rt::{FuturesIo, SmolTimer};

pub(crate) use self::crowd::Counts;
use self::crowd::{Crowd, Network, Place};
pub(crate) use self::desk::{Desk, EVENTS, HEALTH};
use self::door::Entry;
pub(crate) use self::door::{ControlListen, Door};
pub(crate) use self::hosts::{host_name, Hosts, ANY};
use self::permit::Caller;
pub(crate) use self::permit::{Entrance, Permit};
use self::reception::{Errand, Reception};
use self::socket::{Socket, Stream};
use super::seldom::Seldom;

/// How long a connection may be idle, and its next request's head may take.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// The most bytes of a request's head, unless the engine takes more.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long requests may go on when the program ends.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);
/// How often a shard is asked to take a connection, should it be too busy.
const ADMIT_TRIES: usize = 4;
/// How long accepting rests when the system has no descriptor for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What clients can bring about as often as they like.
static PANICKED: Seldom = Seldom::new();
static UNACCEPTED: Seldom = Seldom::new();

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
    X-Content-Type-Options: nosniff\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The control side's thread.
pub(crate) struct Control {
    stop: Sender<Infallible>,
    thread: JoinHandle<()>,
}

/// What comes to the control side.
pub(crate) struct Arrivals {
    /// The public listener's visitors, and what it asks of them.
    pub(crate) visitors: UnhandledRequests,
    pub(crate) public: Entrance,
    /// The control listener, and what it asks of those who come.
    pub(crate) door: Option<(Door, Entrance)>,
    /// The listener that takes connections which ask for an event stream after all.
    pub(crate) listener: Weak<Listener>,
    /// The most connections of each listener.
    pub(crate) connections_max: usize,
    /// The most visitors from one address; zero for no bound.
    pub(crate) per_address_max: usize,
    /// The most header fields of a request.
    pub(crate) head_fields_max: usize,
}

impl Control {
    /// Serves what arrives, until it is told to stop.
    pub(crate) fn start(desk: Desk, arrivals: Arrivals) -> io::Result<Control> {
        let (stop, stopped) = async_channel::bounded(1);
        let Arrivals { visitors, public, door, listener, .. } = arrivals;
        let Arrivals { connections_max, per_address_max, head_fields_max, .. } = arrivals;
        let door = match door {
            Some((door, entrance)) => Some((door.into_entry()?, entrance)),
            None => None,
        };
        let counts = desk.counts.clone();
        let thread = std::thread::Builder::new().name("fanfare-control".to_owned());
        let thread = thread.spawn(move || {
            let executor = LocalExecutor::new();
            let desk = Rc::new(desk);
            let host = Rc::new(Host { desk, listener, stopped, head_fields_max });
            // Each listener has its own places: a crowd at the one keeps nobody out of the other.
            let crowd =
                |per_network_max| Crowd::new(connections_max, per_network_max, counts.clone());
            let ways = Ways {
                visitors,
                public,
                public_crowd: crowd(per_address_max),
                door,
                control_crowd: crowd(0),
            };
            smol::block_on(executor.run(host.receive(&executor, ways)));
        })?;
        Ok(Control { stop, thread })
    }

    /// Takes no more connections, and gives the requests that are being served a moment to end.
    pub(crate) fn stop(self) {
        self.stop.close();
        if self.thread.join().is_err() {
            log::error!("the control side's thread has panicked");
        }
    }
}

/// The ways to the control side.
struct Ways {
    visitors: UnhandledRequests,
    public: Entrance,
    public_crowd: Rc<Crowd>,
    door: Option<(Entry, Entrance)>,
    control_crowd: Rc<Crowd>,
}

/// A connection that has come to the control side.
struct Arrival {
    stream: Stream,
    /// What was read from it.
    read: Vec<u8>,
    caller: Caller,
    crowd: Rc<Crowd>,
}

impl Ways {
    /// The next connection; `None` when there will be no more. Those that come to the control
    /// listener come first, so that a crowd at the public one keeps nobody out.
    async fn next(&self) -> Option<Arrival> {
        let control = async {
            match &self.door {
                Some((entry, entrance)) => Some(self.accept(entry, *entrance).await),
                None => pending().await,
            }
        };
        let public = async {
            loop {
                let UnhandledRequest { stream, read, addr, .. } =
                    self.visitors.next_async().await?;
                let caller = Caller { entrance: self.public, peer: Some(addr) };
                match Async::new(stream) {
                    Ok(stream) => {
                        let (stream, crowd) = (Stream::Tcp(stream), self.public_crowd.clone());
                        return Some(Arrival { stream, read, caller, crowd });
                    }
                    Err(error) => UNACCEPTED.log(|more| {
                        log::warn!("a connection cannot be polled: {error}{more}");
                    }),
                }
            }
        };
        control.or(public).await
    }

    async fn accept(&self, entry: &Entry, entrance: Entrance) -> Arrival {
        loop {
            match entry.accept().await {
                Ok((stream, peer)) => {
                    let (caller, crowd) = (Caller { entrance, peer }, self.control_crowd.clone());
                    return Arrival { stream, read: Vec::new(), caller, crowd };
                }
                // The next one may be there still.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    UNACCEPTED.log(|more| {
                        log::warn!("no connection was accepted for control: {error}{more}");
                    });
                    Timer::after(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// What all connections of the control side share.
struct Host {
    desk: Rc<Desk>,
    listener: Weak<Listener>,
    /// Never has a message; it is closed when the program ends.
    stopped: Receiver<Infallible>,
    head_fields_max: usize,
}

impl Host {
    async fn receive(self: Rc<Self>, executor: &LocalExecutor<'_>, ways: Ways) {
        // Each connection has a sender, so that the receiver knows when there is none any more.
        let (connection, ended) = async_channel::bounded::<Infallible>(1);
        let stopped = || async { self.stopped.recv().await.ok().map(|never| match never {}) };
        while let Some(arrival) = stopped().or(ways.next()).await {
            let Arrival { stream, read, caller, crowd } = arrival;
            let standing = self.desk.standing(caller, &read);
            let network = caller.peer.map(|peer| Network::from(peer.ip()));
            let socket = Socket::new(stream, read);
            let is_busy = socket.read_bytes() > 0;
            let Some(place) = crowd.enter(network, standing, is_busy, socket.flushed()) else {
                turn_away(&socket.into_parts().0);
                continue;
            };
            let id = place.id();
            let (host, connection) = (self.clone(), connection.clone());
            let serving = async move {
                let peer = caller.peer;
                let serving = host.serve(socket, caller, Rc::new(place));
                match AssertUnwindSafe(serving).catch_unwind().await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => log::debug!("{peer:?}: {error}"),
                    Err(_) => PANICKED.log(|more| {
                        log::error!("{peer:?}: the answer to a request has panicked{more}");
                    }),
                }
                drop(connection);
            };
            crowd.keep(id, executor.spawn(serving));
            // What has come is served before the next may take its place.
            future::yield_now().await;
        }
        drop(ways);
        drop(connection);
        let all_ended = async { ended.recv().await.is_err() };
        let too_slow = async {
            Timer::after(DRAIN_TIME_MAX).await;
            false
        };
        if !all_ended.or(too_slow).await {
            log::warn!("requests that go on are broken off");
        }
    }

    /// Serves a connection to its end, or until it is the engine's.
    async fn serve(
        &self,
        socket: Socket,
        caller: Caller,
        place: Rc<Place>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let head_bytes_max = socket.read_bytes().max(HEAD_BYTES_MAX);
        let flushed = socket.flushed();
        let errand = Rc::new(Errand::default());
        let service = Reception { desk: self.desk.clone(), errand: errand.clone(), caller, place };
        let mut connection = http1::Builder::new()
            .timer(SmolTimer::new())
            // A client that sends no more waits for its answer all the same.
            .half_close(true)
            .header_read_timeout(IDLE_TIME_MAX)
            .max_buf_size(head_bytes_max)
            .max_headers(self.head_fields_max)
            .serve_connection(FuturesIo::new(socket), service);

        let mut stopped = pin!(self.stopped.recv());
        let mut stopping = false;
        let taken_over = poll_fn(|cx| {
            if !stopping && stopped.as_mut().poll(cx).is_ready() {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            if let Poll::Ready(result) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(result.map(|()| false));
            }
            errand.poll_unread(cx);
            match errand.wants_events() && flushed.is() {
                true => Poll::Ready(Ok(true)),
                false => Poll::Pending,
            }
        });
        if taken_over.await? {
            let parts = connection.into_parts();
            let (stream, unread) = parts.io.into_inner().into_parts();
            let head = errand.take_events().unwrap_or_default();
            let read = [&head[..], &parts.read_buf, &unread].concat();
            if let (Stream::Tcp(stream), Some(addr)) = (stream, caller.peer) {
                self.admit(stream.into_inner()?, read, addr)?;
            }
        }
        Ok(())
    }

    /// Gives a connection to the engine.
    fn admit(&self, stream: TcpStream, read: Vec<u8>, addr: SocketAddr) -> io::Result<()> {
        // Without a listener the program ends, and a closed connection says so.
        let Some(listener) = self.listener.upgrade() else { return Ok(()) };
        let mut visitor = UnhandledRequest::new(stream, addr, read);
        for _ in 0..ADMIT_TRIES {
            match listener.admit(visitor) {
                Ok(()) => return Ok(()),
                Err(refused) => visitor = refused,
            }
        }
        turn_away(&Stream::Tcp(Async::new(visitor.stream)?));
        Ok(())
    }
}

/// Answers 503 on a connection that nobody has time for, if the socket takes it at once.
fn turn_away(stream: &Stream) {
    if stream.write(BUSY).is_ok() {
        let _ = stream.shutdown_write();
    }
}
