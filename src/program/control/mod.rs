//! The control side: whatever HTTP serves besides the event streams. It takes the connections
//! whose request the engine has no answer for, and those that come to a listener of its own, and
//! serves them with hyper, all on one thread.
//!
//! ```text
//! permit  hosts  answer  body  metrics     who may, what is said, what comes in
//! socket  door                             what it goes through
//! publish connections -> desk -> reception which request gets which answer
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
mod desk;
mod door;
mod hosts;
mod metrics;
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
use fanfare::{Listener, Visitor};
use hyper::server::conn::http1;
use smol::future::FutureExt;
use smol::{Async, LocalExecutor, Timer};
use smol_hyper::rt::{FuturesIo, SmolTimer};

pub(crate) use self::desk::{Desk, EVENTS};
use self::door::Entry;
pub(crate) use self::door::{ControlListen, Door};
pub(crate) use self::hosts::{host_name, Hosts};
use self::permit::Caller;
pub(crate) use self::permit::{Entrance, Permit};
use self::reception::{Errand, Reception};
use self::socket::{Socket, Stream};
use super::seldom::Seldom;

/// The most connections at one time; one more gets a 503. As many may wait to be one of them. The
/// channel that they come through has the bound in force.
pub(crate) const CONNECTIONS_MAX: usize = 256;
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
static CROWDED: Seldom = Seldom::new();
static PANICKED: Seldom = Seldom::new();
static UNACCEPTED: Seldom = Seldom::new();

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
    Content-Length: 0\r\nConnection: close\r\n\r\n";

/// The control side's thread.
pub(crate) struct Control {
    stop: Sender<Infallible>,
    thread: JoinHandle<()>,
}

/// What comes to the control side.
pub(crate) struct Arrivals {
    /// The public listener's visitors, and what it asks of them.
    pub(crate) visitors: Receiver<Visitor>,
    pub(crate) public: Entrance,
    /// The control listener, and what it asks of those who come.
    pub(crate) door: Option<(Door, Entrance)>,
    /// Who takes those who want event streams after all.
    pub(crate) listener: Weak<Listener>,
}

impl Control {
    /// Serves what arrives, until it is told to stop.
    pub(crate) fn start(desk: Desk, arrivals: Arrivals) -> io::Result<Control> {
        let (stop, stopped) = async_channel::bounded(1);
        let Arrivals { visitors, public, door, listener } = arrivals;
        let door = match door {
            Some((door, entrance)) => Some((door.into_entry()?, entrance)),
            None => None,
        };
        let thread = std::thread::Builder::new().name("fanfare-control".to_owned());
        let thread = thread.spawn(move || {
            let executor = LocalExecutor::new();
            let host = Rc::new(Host { desk: Rc::new(desk), listener, stopped });
            let ways = Ways { visitors, public, door };
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
    visitors: Receiver<Visitor>,
    public: Entrance,
    door: Option<(Entry, Entrance)>,
}

/// A connection that has come to the control side.
struct Arrival {
    stream: Stream,
    /// What was read from it.
    read: Vec<u8>,
    caller: Caller,
}

impl Ways {
    /// The next connection; `None` when there will be no more. Those that come to the control
    /// listener come first, so that a crowd at the public one keeps nobody out.
    async fn next(&self) -> Option<Arrival> {
        let control = async {
            match &self.door {
                Some((entry, entrance)) => Some(Ways::accept(entry, *entrance).await),
                None => pending().await,
            }
        };
        let public = async {
            loop {
                let Visitor { stream, read, addr } = self.visitors.recv().await.ok()?;
                let caller = Caller { entrance: self.public, peer: Some(addr) };
                match Async::new(stream) {
                    Ok(stream) => {
                        return Some(Arrival { stream: Stream::Tcp(stream), read, caller })
                    }
                    Err(error) => UNACCEPTED.log(|more| {
                        log::warn!("a connection cannot be polled: {error}{more}");
                    }),
                }
            }
        };
        control.or(public).await
    }

    async fn accept(entry: &Entry, entrance: Entrance) -> Arrival {
        loop {
            match entry.accept().await {
                Ok((stream, peer)) => {
                    return Arrival { stream, read: Vec::new(), caller: Caller { entrance, peer } };
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
}

impl Host {
    async fn receive(self: Rc<Self>, executor: &LocalExecutor<'_>, ways: Ways) {
        // Each connection has a sender, so that the receiver knows when there is none any more.
        let (connection, ended) = async_channel::bounded::<Infallible>(1);
        let stopped = || async { self.stopped.recv().await.ok().map(|never| match never {}) };
        while let Some(arrival) = stopped().or(ways.next()).await {
            let peer = arrival.caller.peer;
            let connections_max = ways.visitors.capacity().unwrap_or(CONNECTIONS_MAX);
            if connection.sender_count() > connections_max {
                CROWDED.log(|more| {
                    log::warn!(
                        "{connections_max} control connections are open; {peer:?} must wait{more}"
                    );
                });
                turn_away(&arrival.stream);
                continue;
            }
            let (host, connection) = (self.clone(), connection.clone());
            let serving = async move {
                match AssertUnwindSafe(host.serve(arrival)).catch_unwind().await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => log::debug!("{peer:?}: {error}"),
                    Err(_) => PANICKED.log(|more| {
                        log::error!("{peer:?}: the answer to a request has panicked{more}");
                    }),
                }
                drop(connection);
            };
            executor.spawn(serving).detach();
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
    async fn serve(&self, arrival: Arrival) -> Result<(), Box<dyn std::error::Error>> {
        let Arrival { stream, read, caller } = arrival;
        let head_bytes_max = read.len().max(HEAD_BYTES_MAX);
        let socket = Socket::new(stream, read);
        let flushed = socket.flushed();
        let errand = Rc::new(Errand::default());
        let service = Reception { desk: self.desk.clone(), errand: errand.clone(), caller };
        let mut connection = http1::Builder::new()
            .timer(SmolTimer::new())
            .header_read_timeout(IDLE_TIME_MAX)
            .max_buf_size(head_bytes_max)
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
        let mut visitor = Visitor { stream, read, addr };
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
