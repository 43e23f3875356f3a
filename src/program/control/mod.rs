//! The control side: all that HTTP serves besides the event streams. It takes the connections with
//! requests that the engine does not answer, and those of a separate listener, and serves them with
//! hyper, all on one thread.
//!
//! ```text
//! delivered  host  patience           what is published of a batch, a host's name, how long events wait
//! answer  hosts  socket               what is said, which server is meant, what it goes through
//! auth  body  codings  pool  listener what a request may do, its content, and the connections
//! publish finish  connections  metrics page  what is done and shown
//! streams                             which requests are the engine's, and what it is given
//!   -> router                         which request gets which answer
//!   -> service                        one connection, from its first request to its end
//! mod                                 the thread, and where connections come from
//! ```

mod answer;
mod auth;
mod body;
mod codings;
mod connections;
mod delivered;
mod finish;
#[path = "../../http/host.rs"]
mod host;
mod hosts;
mod listener;
mod metrics;
mod page;
mod patience;
mod pool;
mod publish;
mod router;
mod service;
mod socket;
mod streams;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{pending, poll_fn, Future};
use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use async_channel::Sender;
use fanfare::{UnhandledRequest, UnhandledRequests};
use smol::future::{self, FutureExt};
use smol::{LocalExecutor, Timer};

use self::auth::Caller;
pub(crate) use self::auth::{Auth, ListenerRules};
pub(crate) use self::hosts::{name_of, HostNames, ANY};
use self::listener::ControlAcceptor;
pub(crate) use self::listener::{ControlAddr, ControlListener};
pub(crate) use self::metrics::Counts;
use self::pool::{ConnectionPool, Network};
pub(crate) use self::router::{Router, HEALTH, OWN_PATHS};
use self::service::{turn_away, Server};
use self::socket::{Socket, Stream};
pub(crate) use self::streams::{Streams, EVENTS};
use super::seldom::Seldom;

/// How long requests may go on when the program ends.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);
/// How long accepting rests when the system has no descriptor for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Clients can bring these about as often as they like.
static PANICKED: Seldom = Seldom::new();
static UNACCEPTED: Seldom = Seldom::new();

/// The control side's thread.
pub(crate) struct Control {
    stop: Sender<Infallible>,
    thread: JoinHandle<()>,
}

/// A public listener's connections with requests that are not for events, and its rules.
pub(crate) struct PublicSource {
    pub(crate) unhandled: UnhandledRequests,
    pub(crate) rules: ListenerRules,
}

/// Where the control side's connections come from, and their bounds.
pub(crate) struct ControlOptions {
    /// The public listeners, in the order of [`Streams::listeners`].
    pub(crate) public: Vec<PublicSource>,
    /// The control listener, and its rules.
    pub(crate) control: Option<(ControlListener, ListenerRules)>,
    /// The most connections of the public listeners, and of the control listener.
    pub(crate) connections_max: usize,
    /// The most connections of the public listeners from one address; zero for no bound.
    pub(crate) per_address_max: usize,
    /// The most header fields of a request.
    pub(crate) head_fields_max: usize,
}

impl Control {
    /// Serves connections until [`Control::stop`] is called.
    pub(crate) fn start(router: Router, options: ControlOptions) -> io::Result<Control> {
        let (stop, stopped) = async_channel::bounded(1);
        let ControlOptions { public, control, .. } = options;
        let ControlOptions { connections_max, per_address_max, head_fields_max, .. } = options;
        let control = match control {
            Some((control, rules)) => Some((control.into_acceptor()?, rules)),
            None => None,
        };
        let counts = router.counts.clone();
        let thread = std::thread::Builder::new().name("fanfare-control".to_owned());
        let thread = thread.spawn(move || {
            let executor = LocalExecutor::new();
            let router = Rc::new(router);
            let server = Rc::new(Server { router, stopped, head_fields_max });
            // The control listener has a pool of its own, so that a full public one leaves it free.
            let pool = |per_network_max| {
                let counts = counts.pool.clone();
                ConnectionPool::new(connections_max, per_network_max, counts)
            };
            let sources = Sources {
                public,
                public_next: Cell::new(0),
                public_pool: pool(per_address_max),
                control,
                control_pool: pool(0),
            };
            smol::block_on(executor.run(serve_all(&executor, server, sources)));
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

/// Where connections come from.
struct Sources {
    public: Vec<PublicSource>,
    /// The public listener that is asked first.
    public_next: Cell<usize>,
    public_pool: Rc<ConnectionPool>,
    control: Option<(ControlAcceptor, ListenerRules)>,
    control_pool: Rc<ConnectionPool>,
}

/// A connection that has just come.
struct NewConnection {
    stream: Stream,
    /// What was read from it.
    read: Vec<u8>,
    caller: Caller,
    pool: Rc<ConnectionPool>,
}

impl Sources {
    /// The next connection; `None` when there will be no more. Connections of the control listener
    /// come first, so that many at the public one do not delay them.
    async fn next(&self) -> Option<NewConnection> {
        let control = async {
            match &self.control {
                Some((acceptor, rules)) => Some(self.accept(acceptor, *rules).await),
                None => pending().await,
            }
        };
        let public = async {
            loop {
                let (listener, request) = self.next_public().await?;
                let UnhandledRequest { stream, read, addr, peer, is_proxy, .. } = request;
                let rules = self.public[listener].rules;
                let caller = Caller { rules, peer: addr, connection: peer, is_proxy, listener };
                match Stream::new(stream) {
                    Ok(stream) => {
                        let pool = self.public_pool.clone();
                        return Some(NewConnection { stream, read, caller, pool });
                    }
                    Err(error) => UNACCEPTED.log(|more| {
                        log::warn!("a connection cannot be polled: {error}{more}");
                    }),
                }
            }
        };
        control.or(public).await
    }

    /// The next connection of a public listener, and which listener that is; each has its turn.
    /// `None` when there will be no more.
    async fn next_public(&self) -> Option<(usize, UnhandledRequest)> {
        let mut waits: Vec<_> = self
            .public
            .iter()
            .map(|source| Some(Box::pin(source.unhandled.next_async())))
            .collect();
        poll_fn(|cx| {
            let first = self.public_next.get();
            for nth in (first..waits.len()).chain(0..first) {
                let Some(wait) = &mut waits[nth] else { continue };
                match wait.as_mut().poll(cx) {
                    Poll::Ready(Some(request)) => {
                        self.public_next.set((nth + 1) % waits.len());
                        return Poll::Ready(Some((nth, request)));
                    }
                    Poll::Ready(None) => waits[nth] = None,
                    Poll::Pending => {}
                }
            }
            match waits.iter().all(Option::is_none) {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        })
        .await
    }

    async fn accept(&self, acceptor: &ControlAcceptor, rules: ListenerRules) -> NewConnection {
        loop {
            match acceptor.accept().await {
                Ok((stream, peer)) => {
                    let (connection, is_proxy) = (peer, false);
                    let caller = Caller { rules, peer, connection, is_proxy, listener: 0 };
                    let pool = self.control_pool.clone();
                    return NewConnection { stream, read: Vec::new(), caller, pool };
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

/// Serves all connections, each as a task, until the program ends.
async fn serve_all(executor: &LocalExecutor<'_>, server: Rc<Server>, sources: Sources) {
    // Each connection has a sender, so that the receiver knows when there is none any more.
    let (connection, ended) = async_channel::bounded::<Infallible>(1);
    let stopped = || async { server.stopped.recv().await.ok().map(|never| match never {}) };
    while let Some(new) = stopped().or(sources.next()).await {
        let NewConnection { stream, read, caller, pool } = new;
        let auth_state = server.router.auth_state(caller, &read);
        let client = caller.peer.filter(|_| !caller.is_proxy);
        let network = client.map(|client| Network::from(client.ip()));
        let socket = Socket::new(stream, read);
        let is_busy = socket.read_bytes() > 0;
        let Some(slot) = pool.add(network, auth_state, is_busy, socket.flushed()) else {
            turn_away(&socket.into_parts().0);
            continue;
        };
        let id = slot.id();
        let (server, connection) = (server.clone(), connection.clone());
        let serving = async move {
            let peer = caller.peer;
            let serving = server.serve(socket, caller, Rc::new(slot));
            match AssertUnwindSafe(serving).catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => log::debug!("{peer:?}: {error}"),
                Err(_) => PANICKED.log(|more| {
                    log::error!("{peer:?}: the answer to a request has panicked{more}");
                }),
            }
            drop(connection);
        };
        pool.set_task(id, executor.spawn(serving));
        // What has come is served before the next connection may take its slot.
        future::yield_now().await;
    }
    drop(sources);
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
