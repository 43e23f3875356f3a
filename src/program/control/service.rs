//! One connection of the control side, from its first request to its end.
//!
//! # The handoff
//!
//! A browser that has loaded the page asks for events on the same connection, and so do the
//! connection pools of HTTP clients. So a connection that is here may turn out to be the engine's.
//! The service then answers nothing; the connection is taken from hyper as soon as all earlier
//! answers have gone out, and given to the listener with the request written out again, followed by
//! everything that was read behind it. A POST's content is read first.
//!
//! (hyper 1.12 reads a request only after the answers before it are flushed, unless the content
//! of the one before it still comes in when it is answered. The socket handles that.)

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{pending, poll_fn, Future};
use std::io;
use std::pin::{pin, Pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_channel::Receiver;
use fanfare::{AdmitError, UnhandledRequest};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::Request;
use smol_hyper::rt::{FuturesIo, SmolTimer};

use super::answer::Answer;
use super::auth::Caller;
use super::pool::{AuthState, Slot};
use super::router::Router;
use super::socket::{Socket, Stream};

/// How long a connection may be idle, and its next request's head may take.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// The most bytes of a request's head, unless the engine takes more.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How often a shard is asked to take a connection, should it be too busy.
const ADMIT_TRIES: usize = 4;

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
    X-Content-Type-Options: nosniff\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What all connections of the control side share.
pub(super) struct Server {
    pub(super) router: Rc<Router>,
    /// Never has a message; it is closed when the program ends.
    pub(super) stopped: Receiver<Infallible>,
    pub(super) head_fields_max: usize,
}

impl Server {
    /// Serves a connection to its end, or until it is the engine's.
    pub(super) async fn serve(
        &self,
        socket: Socket,
        caller: Caller,
        slot: Rc<Slot>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let head_bytes_max = socket.read_bytes().max(HEAD_BYTES_MAX);
        let flushed = socket.flushed();
        let handoff = Rc::new(Handoff::default());
        let (router, handoff_to) = (self.router.clone(), handoff.clone());
        let service = ConnectionService { router, handoff: handoff_to, caller, slot };
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
        let is_the_engines = poll_fn(|cx| {
            if !stopping && stopped.as_mut().poll(cx).is_ready() {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            if let Poll::Ready(result) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(result.map(|()| false));
            }
            handoff.poll_unread(cx);
            match handoff.wants_events() && flushed.is() {
                true => Poll::Ready(Ok(true)),
                false => Poll::Pending,
            }
        });
        if is_the_engines.await? {
            let parts = connection.into_parts();
            let (stream, unread) = parts.io.into_inner().into_parts();
            let head = handoff.take_events().unwrap_or_default();
            let read = [&head[..], &parts.read_buf, &unread].concat();
            let mut request = UnhandledRequest::new(stream.into_inner()?, caller.peer, read);
            (request.peer, request.is_proxy) = (caller.connection, caller.is_proxy);
            self.admit(request, caller.listener)?;
        }
        Ok(())
    }

    /// Gives a connection to one of the engine's listeners.
    fn admit(&self, mut request: UnhandledRequest, listener: usize) -> io::Result<()> {
        // Without a listener the program ends, and a closed connection says so.
        let Some(listener) = self.router.streams.listener(listener) else { return Ok(()) };
        for _ in 0..ADMIT_TRIES {
            match listener.admit(request) {
                Ok(()) => return Ok(()),
                Err(AdmitError::Closed(refused)) => {
                    request = refused;
                    break;
                }
                Err(error) => request = error.into_request(),
            }
        }
        turn_away(&Stream::new(request.stream)?);
        Ok(())
    }
}

/// Answers 503 on a connection beyond the bound, if the socket takes it at once.
pub(super) fn turn_away(stream: &Stream) {
    if stream.write(BUSY).is_ok() {
        let _ = stream.shutdown_write();
    }
}

/// What hyper calls for each request of one connection.
struct ConnectionService {
    router: Rc<Router>,
    handoff: Rc<Handoff>,
    caller: Caller,
    slot: Rc<Slot>,
}

/// What the service passes to the connection's future.
#[derive(Default)]
struct Handoff {
    /// A request for events, written out: the connection is the engine's.
    events: RefCell<Option<Vec<u8>>>,
    /// The content of a request that is answered already.
    unread: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (router, handoff, caller) = (self.router.clone(), self.handoff.clone(), self.caller);
        let slot = self.slot.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            slot.begin(match router.auth.is_authorized(caller, &head.headers) {
                true => AuthState::Authorized,
                false => AuthState::Unauthorized,
            });
            let authority = router.authority(&head, caller);
            let is_stream = router.streams.are_at(head.uri.path());
            if let (true, Ok(authority)) = (is_stream, &authority) {
                match router.streams.written_out(&head, *authority, body).await {
                    Ok(request) => {
                        handoff.events.replace(Some(request));
                        return pending().await;
                    }
                    Err(refusal) => {
                        slot.end();
                        return Ok(refusal.into());
                    }
                }
            }
            let (answer, unread) = router.answer(&head, authority, body, caller).await;
            if let Some(pieces) = unread {
                handoff.unread.replace(Some(Box::pin(pieces.discard())));
            }
            slot.end();
            Ok(answer)
        })
    }
}

impl Handoff {
    /// Whether the last request was one for events.
    fn wants_events(&self) -> bool {
        self.events.borrow().is_some()
    }

    /// The request for events.
    fn take_events(&self) -> Option<Vec<u8>> {
        self.events.take()
    }

    /// Goes on reading content of a request that is answered, to throw it away.
    fn poll_unread(&self, cx: &mut Context<'_>) {
        let mut unread = self.unread.borrow_mut();
        if unread.as_mut().is_some_and(|reading| reading.as_mut().poll(cx).is_ready()) {
            *unread = None;
        }
    }
}
