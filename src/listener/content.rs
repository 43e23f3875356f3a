//! The content of a request that opens a stream: it is waited for, and kept if the authorizer reads
//! it.

use super::refusal::Refusal;
use crate::http::body::{Body, BodyError};
use crate::http::request::Request;
use crate::shard::{Content, ContentStep, HandshakeStep};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Content that is on its way.
struct Awaited {
    body: Body,
    bytes_max: usize,
    /// The lines of CORS for an answer to its request.
    cors: String,
}

/// A request's content.
pub(super) enum Arrival {
    /// It is here, and this was kept of it.
    Complete(Vec<u8>),
    /// It is not here yet; this is to be done before the request is answered.
    Awaited(HandshakeStep),
}

/// The content of a request, as far as it is here: within `behind`, what came behind the head of
/// `head_bytes` bytes. It is kept if `keeps` says so.
pub(super) fn await_content(
    request: &Request<'_>,
    (head_bytes, behind): (usize, &[u8]),
    (bytes_max, keeps): (usize, bool),
    cors: &str,
) -> Result<Arrival, Refusal> {
    let refused = |why| refusal(why, bytes_max);
    let mut body = Body::of(request, bytes_max).map_err(refused)?;
    if keeps {
        body = body.keeping();
    }
    if body.take(behind).map_err(refused)? {
        return Ok(Arrival::Complete(body.into_kept()));
    }
    let interim = match behind.is_empty() && request.expects_continue() {
        true => CONTINUE,
        false => b"",
    };
    let content = Box::new(Awaited { body, bytes_max, cors: cors.to_owned() });
    Ok(Arrival::Awaited(HandshakeStep::Content { head_bytes, content, interim }))
}

fn refusal(why: BodyError, bytes_max: usize) -> Refusal {
    match why {
        BodyError::TooLarge => Refusal::new(
            "413 Content Too Large",
            format!(
                "the request's content has more than {bytes_max} bytes (body_bytes_max); send less"
            ),
        ),
        BodyError::Coding => Refusal::new(
            "501 Not Implemented",
            "only chunked is known here of the transfer codings; send the content with it, or with \
             its Content-Length",
        ),
        BodyError::Malformed(why) => Refusal::bad_request(why),
    }
}

impl Content for Awaited {
    fn take(&mut self, bytes: &[u8]) -> ContentStep {
        match self.body.take(bytes) {
            Ok(true) => ContentStep::Complete,
            Ok(false) => ContentStep::More,
            Err(why) => ContentStep::Answer(refusal(why, self.bytes_max).answer(&self.cors)),
        }
    }

    fn into_kept(self: Box<Self>) -> Vec<u8> {
        self.body.into_kept()
    }
}
