//! The service that hyper calls for each request of one connection, and what it leaves for the
//! connection's own future to do.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{pending, Future};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;

use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::service::Service;
use hyper::{Request, Version};

use super::answer::Answer;
use super::crowd::{Place, Standing};
use super::desk::{Desk, EVENTS};
use super::permit::Caller;

/// Answers one connection's requests.
pub(super) struct Reception {
    pub(super) desk: Rc<Desk>,
    pub(super) errand: Rc<Errand>,
    pub(super) caller: Caller,
    pub(super) place: Rc<Place>,
}

/// What is left to do for a connection.
#[derive(Default)]
pub(super) struct Errand {
    /// The head of a request for events: the connection is the engine's.
    events: RefCell<Option<Vec<u8>>>,
    /// The content of a request that is answered already.
    unread: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
}

impl Service<Request<Incoming>> for Reception {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (desk, errand, caller) = (self.desk.clone(), self.errand.clone(), self.caller);
        let place = self.place.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            place.begin(match desk.permit.is_known(caller, &head.headers) {
                true => Standing::Permitted,
                false => Standing::Stranger,
            });
            let authority = desk.authority(&head, caller);
            // The engine takes no Unix sockets.
            let is_stream = head.uri.path() == EVENTS && caller.peer.is_some();
            if let (true, Ok(authority)) = (is_stream, &authority) {
                errand.events.replace(Some(head_of(&head, *authority)));
                return pending().await;
            }
            let (answer, unread) = desk.answer(&head, authority, body, caller).await;
            if let Some(pieces) = unread {
                errand.unread.replace(Some(Box::pin(pieces.discard())));
            }
            place.end();
            Ok(answer)
        })
    }
}

impl Errand {
    /// Whether the last request was one for events.
    pub(super) fn wants_events(&self) -> bool {
        self.events.borrow().is_some()
    }

    /// The head of the request for events.
    pub(super) fn take_events(&self) -> Option<Vec<u8>> {
        self.events.take()
    }

    /// Goes on reading what nobody wants to know.
    pub(super) fn poll_unread(&self, cx: &mut Context<'_>) {
        let mut unread = self.unread.borrow_mut();
        if unread.as_mut().is_some_and(|reading| reading.as_mut().poll(cx).is_ready()) {
            *unread = None;
        }
    }
}

/// Writes out the head of a request again, as good as it was, and in origin form: the engine takes
/// the host from `Host` alone. Its content, if it has any, is lost in part, but then the engine
/// refuses the request anyway.
fn head_of(request: &Parts, authority: Option<&str>) -> Vec<u8> {
    let version = if request.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let target = request.uri.path_and_query().map_or(EVENTS, |target| target.as_str());
    let mut head = format!("{} {target} {version}\r\n", request.method).into_bytes();
    let host = authority.map(|authority| (HOST.as_str(), authority.as_bytes()));
    let others = request.headers.iter().filter(|(name, _)| **name != HOST);
    let others = others.map(|(name, value)| (name.as_str(), value.as_bytes()));
    for (name, value) in host.into_iter().chain(others) {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}
