//! One response of one connection: its head, then the events of its body.

use std::fmt;

use crate::clients::body::{Body, BodyError};
use crate::clients::follower::{BlockTooLong, Class, Follower};

/// The longest response head that is accepted, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

/// A response as it comes in.
#[derive(Debug)]
pub(crate) struct Stream {
    state: State,
    follower: Follower,
}

#[derive(Debug)]
enum State {
    /// The head so far.
    Head(Vec<u8>),
    Body(Body),
}

/// Why a response is no event stream.
#[derive(Debug)]
pub(crate) enum StreamError {
    Head(httparse::Error),
    HeadTooLong,
    Status(u16),
    ContentType(String),
    Body(BodyError),
    BlockTooLong,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => write!(f, "malformed response head: {error}"),
            Self::HeadTooLong => write!(f, "response head of more than {HEAD_BYTES_MAX} bytes"),
            Self::Status(status) => write!(f, "answered with status {status} instead of 200"),
            Self::ContentType(found) => write!(f, "content type {found:?}, not text/event-stream"),
            Self::Body(error) => write!(f, "malformed body: {error}"),
            Self::BlockTooLong => f.write_str("an event block without an end"),
        }
    }
}

impl std::error::Error for StreamError {}

impl From<BodyError> for StreamError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<BlockTooLong> for StreamError {
    fn from(BlockTooLong: BlockTooLong) -> Self {
        Self::BlockTooLong
    }
}

impl Stream {
    /// A response of which nothing has arrived.
    pub(crate) fn new(class: &Class) -> Self {
        Self { state: State::Head(Vec::new()), follower: Follower::new(class) }
    }

    /// Whether the whole head has arrived, and was that of an event stream.
    pub(crate) fn has_head(&self) -> bool {
        matches!(self.state, State::Body(_))
    }

    /// Whether the response has come to its end, before the connection has.
    pub(crate) fn is_at_end(&self) -> bool {
        matches!(&self.state, State::Body(body) if body.is_at_end())
    }

    /// The connection is cut off: the next response goes on where this one was.
    pub(crate) fn cut(&mut self) {
        self.state = State::Head(Vec::new());
        self.follower.cut();
    }

    /// What follows its events.
    pub(crate) fn follower(&self) -> &Follower {
        &self.follower
    }

    /// See [`Follower::expect_again`].
    pub(crate) fn expect_again(&mut self, class: &mut Class, now_ns: u64) {
        self.follower.expect_again(class, now_ns);
    }

    /// How many events it has brought.
    pub(crate) fn received(&self) -> u64 {
        self.follower.received()
    }

    /// Takes what arrived at `now_ns` (`CLOCK_MONOTONIC`).
    pub(crate) fn feed(
        &mut self,
        class: &mut Class,
        bytes: &[u8],
        now_ns: u64,
    ) -> Result<(), StreamError> {
        match &mut self.state {
            State::Body(body) => feed_body(body, &mut self.follower, class, bytes, now_ns),
            State::Head(begun) => {
                begun.extend_from_slice(bytes);
                let Some((head_bytes, mut body)) = read_head(begun)? else {
                    return Ok(());
                };
                let rest = begun.split_off(head_bytes);
                feed_body(&mut body, &mut self.follower, class, &rest, now_ns)?;
                self.state = State::Body(body);
                Ok(())
            }
        }
    }

    /// Ends the stream and counts what is missing from it.
    pub(crate) fn finish(&mut self, class: &mut Class) {
        self.follower.finish(class);
    }
}

fn feed_body(
    body: &mut Body,
    follower: &mut Follower,
    class: &mut Class,
    mut bytes: &[u8],
    now_ns: u64,
) -> Result<(), StreamError> {
    loop {
        let run = body.take(&mut bytes)?;
        if run.is_empty() {
            return Ok(());
        }
        follower.feed(class, run, now_ns)?;
    }
}

/// Length of a complete head in bytes, and the coding of the body that follows it.
///
/// # Errors
///
/// When it cannot be the head of an event stream.
pub(crate) fn read_head(bytes: &[u8]) -> Result<Option<(usize, Body)>, StreamError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head_bytes = match response.parse(bytes).map_err(StreamError::Head)? {
        httparse::Status::Complete(head_bytes) => head_bytes,
        httparse::Status::Partial if bytes.len() > HEAD_BYTES_MAX => {
            return Err(StreamError::HeadTooLong);
        }
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or(0);
    if status != 200 {
        return Err(StreamError::Status(status));
    }
    let content_type = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-type"))
        .map_or_else(String::new, |header| String::from_utf8_lossy(header.value).to_lowercase());
    if !content_type.starts_with("text/event-stream") {
        return Err(StreamError::ContentType(content_type));
    }
    Ok(Some((head_bytes, Body::of_response(&response))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::follower::Expected;

    const BODY: &str = "retry: 100\n\ndata: 0 10 xx\n\n: beat\n\ndata: 1 10 xx\n\n";

    fn responses() -> Vec<String> {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n";
        let (a, b) = BODY.split_at(20);
        let (length_a, length_b) = (a.len(), b.len());
        vec![
            format!("{head}\r\n{BODY}"),
            format!("{head}Content-Length: {}\r\n\r\n{BODY}", BODY.len()),
            format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n{length_a:x}\r\n{a}\r\n{length_b:X};x\r\n{b}\r\n0\r\n\r\n"
            ),
        ]
    }

    #[test]
    fn a_response_is_understood_in_every_coding_however_it_is_split() {
        for response in responses() {
            for cut in 0..=response.len() {
                let expected = Expected { first: Some(0), events: Some(2), data_bytes: Some(7) };
                let mut class = Class::new(expected);
                for _ in 0..2 {
                    let mut stream = Stream::new(&class);
                    stream.feed(&mut class, &response.as_bytes()[..cut], 20).unwrap();
                    stream.feed(&mut class, &response.as_bytes()[cut..], 20).unwrap();
                    assert!(stream.has_head());
                    stream.finish(&mut class);
                }
                assert!(class.faults.is_none(), "{response:?} {cut} {:?}", class.faults);
                assert_eq!((class.totals.delivered, class.totals.silent), (4, 4));
            }
        }
    }

    #[test]
    fn what_is_no_event_stream_is_an_error() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(HEAD_BYTES_MAX));
        let wrong = [
            ("HTTP/1.1 503 No\r\n\r\n", "status 503"),
            ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "text/html"),
            ("SSH-2.0-x\r\n", "malformed response head"),
            (&long, "response head of more"),
        ];
        for (response, message) in wrong {
            let mut class = Class::default();
            let error = Stream::new(&class).feed(&mut class, response.as_bytes(), 0).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
