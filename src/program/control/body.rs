//! The content of a request, piece by piece, within bounds of time.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};
use hyper::StatusCode;
use smol::future::FutureExt;
use smol::Timer;

use super::answer::Refusal;

/// The longest time between two pieces of a request's content.
const PIECE_TIME_MAX: Duration = Duration::from_secs(30);
/// The longest time that a request may go on. It is long, since a publisher may keep a request open
/// to send lines as they appear.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// How much of a refused request is still taken, and for how long, so that the client gets to
/// read the refusal: to close with something unread is a reset, which may overtake it.
const REST_BYTES_MAX: usize = 16 << 20;
const REST_TIME_MAX: Duration = Duration::from_secs(5);

/// A request's content that is read piece by piece.
pub(super) struct Pieces {
    body: Incoming,
    deadline: Instant,
}

impl Pieces {
    pub(super) fn new(body: Incoming) -> Pieces {
        Pieces::within(body, REQUEST_TIME_MAX)
    }

    /// Content that has to come in a time.
    pub(super) fn within(body: Incoming, time_max: Duration) -> Pieces {
        Pieces { body, deadline: Instant::now() + time_max }
    }

    /// Whether the request does not say how long its content is, which may come as it appears.
    pub(super) fn is_open_ended(&self) -> bool {
        self.body.size_hint().exact().is_none()
    }

    /// The next piece; `None` at the end. What the client broke off is an error, not an end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let deadline = self.deadline.min(Instant::now() + PIECE_TIME_MAX);
        let too_slow = async {
            Timer::at(deadline).await;
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the content did not come in time"))
        };
        let body = &mut self.body;
        let next = async {
            loop {
                match body.frame().await {
                    None => return Ok(None),
                    // Trailers are no content.
                    Some(Ok(frame)) => {
                        if let Ok(piece) = frame.into_data() {
                            return Ok(Some(piece));
                        }
                    }
                    Some(Err(error)) => {
                        let error = format!("the content broke off: {error}");
                        return Err(Refusal::new(StatusCode::BAD_REQUEST, error));
                    }
                }
            }
        };
        next.or(too_slow).await
    }

    /// All of it, if it is not too large.
    pub(super) async fn all(&mut self, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
        let too_large = || {
            let error = format!("the event is larger than {bytes_max} bytes");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error)
        };
        // Known before anything is sent, if the client waits for `100 Continue`.
        if self.body.size_hint().lower() > bytes_max as u64 {
            return Err(too_large());
        }
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            if all.len() + piece.len() > bytes_max {
                return Err(too_large());
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    /// All of it, or as much as shows that it has more than `bytes_max` bytes.
    pub(super) async fn up_to(&mut self, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            let room = bytes_max + 1 - all.len();
            all.extend_from_slice(&piece[..piece.len().min(room)]);
            if all.len() > bytes_max {
                break;
            }
        }
        Ok(all)
    }

    /// Reads what still comes, within bounds, and throws it away.
    pub(super) async fn discard(mut self) {
        self.deadline = Instant::now() + REST_TIME_MAX;
        let mut bytes = 0;
        while let Ok(Some(piece)) = self.next().await {
            bytes += piece.len();
            if bytes > REST_BYTES_MAX {
                return;
            }
        }
    }
}
