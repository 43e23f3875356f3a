//! The service that hyper calls for each request of one connection, and what it leaves for the
//! connection's own future to do.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{pending, Future};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;

use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Version};

use super::answer::Answer;
use super::desk::{Desk, EVENTS};

/// Answers one connection's requests.
pub(super) struct Reception {
    pub(super) desk: Rc<Desk>,
    pub(super) errand: Rc<Errand>,
    pub(super) peer: SocketAddr,
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
        let (desk, errand, peer) = (self.desk.clone(), self.errand.clone(), self.peer);
        Box::pin(async move {
            if request.uri().path() == EVENTS {
                errand.events.replace(Some(head_of(&request)));
                return pending().await;
            }
            let (answer, unread) = desk.answer(request, peer).await;
            if let Some(pieces) = unread {
                errand.unread.replace(Some(Box::pin(pieces.discard())));
            }
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

/// Writes out the head of a request again, as good as it was. Its content, if it has any, is lost
/// in part, but then the engine refuses the request anyway.
fn head_of(request: &Request<Incoming>) -> Vec<u8> {
    let version = if request.version() == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut head = format!("{} {} {version}\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}
