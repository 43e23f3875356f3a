//! Requests for event streams on connections that the control side serves: which those are, and
//! what the engine is given of them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use fanfare::Listener;
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderName, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Method, Version};

use super::answer::Refusal;
use super::body::Pieces;
use super::codings::check_transfer_coding;

/// The path of streams that is always there. The engine serves it, and not the control side.
pub(crate) const EVENTS: &str = "/events";

/// The engine's listeners, which serve the same streams.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) listeners: Vec<Weak<Listener>>,
    /// The most content of a request that opens a stream, and the time in which it has to come.
    pub(crate) body_bytes_max: usize,
    pub(crate) body_time_max: Duration,
}

impl Streams {
    /// One of the listeners; `None` when the program ends.
    pub(super) fn listener(&self, nth: usize) -> Option<Arc<Listener>> {
        self.listeners.get(nth).and_then(Weak::upgrade)
    }

    /// Whether there are streams at a path, so that the engine answers what is asked there.
    pub(super) fn are_at(&self, path: &str) -> bool {
        match self.listener(0) {
            Some(listener) => listener.has_streams_at(path),
            // The program ends.
            None => path == EVENTS,
        }
    }

    /// A request as the engine is given it, with its content if it is a POST. The engine refuses
    /// content of any other request, and content that is too long, by the head alone.
    pub(super) async fn written_out(
        &self,
        head: &Parts,
        authority: Option<&str>,
        body: Incoming,
    ) -> Result<Vec<u8>, Refusal> {
        if head.method != Method::POST {
            return Ok(head_of(head, authority, None));
        }
        check_transfer_coding(&head.headers)?;
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > self.body_bytes_max {
            return Ok(head_of(head, authority, Some(announced)));
        }
        let mut pieces = Pieces::within(body, self.body_time_max);
        let content = pieces.up_to(self.body_bytes_max).await?;
        let mut request = head_of(head, authority, Some(content.len()));
        request.extend_from_slice(&content);
        Ok(request)
    }
}

/// Writes out the head of a request again, with the same meaning and in origin form: the engine
/// takes the host from `Host` alone. With `content_bytes`, the content that follows has that
/// length, and is all there unless it is too long.
fn head_of(request: &Parts, authority: Option<&str>, content_bytes: Option<usize>) -> Vec<u8> {
    let version = if request.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let target = request.uri.path_and_query().map_or(EVENTS, |target| target.as_str());
    let mut head = format!("{} {target} {version}\r\n", request.method).into_bytes();
    let host = authority.map(|authority| (HOST.as_str(), authority.as_bytes()));
    let is_replaced = |name: &HeaderName| {
        *name == HOST
            || content_bytes.is_some() && [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT].contains(name)
    };
    let others = request.headers.iter().filter(|(name, _)| !is_replaced(name));
    let others = others.map(|(name, value)| (name.as_str(), value.as_bytes()));
    for (name, value) in host.into_iter().chain(others) {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    if let Some(bytes) = content_bytes {
        head.extend_from_slice(format!("Content-Length: {bytes}\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}
