//! The content of a request that opens a stream: it is waited for, and nothing else is made of it.

use super::refusal::Refusal;
use crate::http::body::{Body, BodyError};
use crate::http::request::Request;
use crate::http::response;
use crate::shard::{Content, ContentStep, HandshakeStep};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Content that is on its way.
struct Awaited {
    body: Body,
    bytes_max: usize,
    /// The lines of CORS for an answer to its request.
    cors: String,
}

/// What is to be done before a request is answered whose content is not here yet; `None` if it is,
/// within `behind`, what came behind the head of `head_bytes` bytes.
pub(super) fn await_content(
    request: &Request<'_>,
    head_bytes: usize,
    behind: &[u8],
    bytes_max: usize,
    cors: &str,
) -> Result<Option<HandshakeStep>, Refusal> {
    let refused = |why| refusal(why, bytes_max);
    let mut body = Body::of(request, bytes_max).map_err(refused)?;
    if body.take(behind).map_err(refused)? {
        return Ok(None);
    }
    let interim = match behind.is_empty() && request.expects_continue() {
        true => CONTINUE,
        false => b"",
    };
    let content = Box::new(Awaited { body, bytes_max, cors: cors.to_owned() });
    Ok(Some(HandshakeStep::Content { head_bytes, content, interim }))
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
            Err(why) => {
                let Refusal { status, fields, text } = refusal(why, self.bytes_max);
                let fields = format!("{}{fields}", self.cors);
                ContentStep::Answer(response::refusal(status, &fields, &text))
            }
        }
    }
}
