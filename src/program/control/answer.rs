//! Answers of the control side: contents of every type, and refusals.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::auth::Denied;
use super::delivered::Delivered;

pub(super) type Answer = Response<Full<Bytes>>;

/// The most bytes of an error's text, so that none repeats more of what was sent.
const ERROR_BYTES_MAX: usize = 200;

/// A request that is not done, or only in part; `{"error":"...","code":"..."}` says why.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    content: Content,
    /// A header field that goes with the status.
    field: Option<(HeaderName, &'static str)>,
}

#[derive(Debug, Serialize)]
struct Content {
    error: String,
    /// The same for programs.
    code: &'static str,
    /// The line that was refused; the first is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// The events of the request that were published before.
    #[serde(flatten)]
    delivered: Option<Box<Delivered>>,
}

/// The refusal of a request that cannot be understood.
pub(super) fn bad_request(error: impl ToString) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, error)
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl ToString) -> Refusal {
        let error = clip(error.to_string(), ERROR_BYTES_MAX);
        let code = code_of(status);
        let content = Content { error, code, line: None, delivered: None };
        let field =
            (status == StatusCode::SERVICE_UNAVAILABLE).then_some((header::RETRY_AFTER, "1"));
        Refusal { status, content, field }
    }

    /// The path has other methods.
    pub(super) fn method(allow: &'static str) -> Refusal {
        let error = format!("the methods of this path are: {allow}");
        let field = Some((header::ALLOW, allow));
        Refusal { field, ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error) }
    }

    pub(super) fn denied(denied: Denied) -> Refusal {
        match denied {
            Denied::TokenMissing | Denied::TokenWrong => {
                let error = "this needs the token: Authorization: Bearer TOKEN";
                let field = (header::WWW_AUTHENTICATE, "Bearer");
                Refusal { field: Some(field), ..Refusal::new(StatusCode::UNAUTHORIZED, error) }
            }
            Denied::Forbidden(why) => {
                let error = format!("{why}; start the server with a publish token");
                Refusal::new(StatusCode::FORBIDDEN, error)
            }
            Denied::NotServed => {
                let error = "without a publish token this is at the control listener alone, whose \
                             address the server prints when it starts";
                Refusal::new(StatusCode::NOT_FOUND, error)
            }
        }
    }

    /// The content is coded in a way that is not undone here.
    pub(super) fn content_coding(coding: &str) -> Refusal {
        let coding = clip(coding.to_owned(), ERROR_BYTES_MAX / 2);
        let error = format!("Content-Encoding {coding} is not undone here; send content as it is");
        let field = Some((header::ACCEPT_ENCODING, "identity"));
        Refusal { field, ..Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error) }
    }

    /// Says by a code of its own why it is refused.
    pub(super) fn coded(mut self, code: &'static str) -> Refusal {
        self.content.code = code;
        self
    }

    /// Says which events of the request were published before.
    pub(super) fn after(mut self, delivered: Delivered) -> Refusal {
        self.content.delivered = Some(Box::new(delivered));
        self
    }

    /// Says which line was refused.
    pub(super) fn at_line(mut self, line: u64) -> Refusal {
        self.content.error = format!("line {line}: {}", self.content.error);
        self.content.line = Some(line);
        self
    }
}

/// The code of a refusal with this status that has none of its own.
fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "invalid",
        StatusCode::UNAUTHORIZED => "token",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method",
        StatusCode::REQUEST_TIMEOUT => "late",
        StatusCode::CONFLICT => "conflict",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "content_type",
        StatusCode::MISDIRECTED_REQUEST => "host",
        StatusCode::NOT_IMPLEMENTED => "transfer_coding",
        _ => "unavailable",
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Answer {
        let mut answer = json(refusal.status, &refusal.content);
        if let Some((name, value)) = refusal.field {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    }
}

/// A text's first bytes, and a sign that there are more.
pub(super) fn clip(mut text: String, bytes_max: usize) -> String {
    const MORE: &str = "...";
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max - MORE.len()));
        text += MORE;
    }
    text
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, content: &impl Serialize) -> Answer {
    // It can fail only for maps with keys that are no strings, and there are none.
    let mut text = serde_json::to_string(content).unwrap_or_default();
    text.push('\n');
    let mut answer = content_of("application/json", text);
    *answer.status_mut() = status;
    answer
}

/// An answer of any type. It is neither stored, nor taken for another type than it is.
pub(super) fn content_of(content_type: &'static str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_repeats_at_most_200_bytes() {
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "x".repeat(10_000));
        assert_eq!(refusal.content.error.len(), 200);
        assert!(refusal.content.error.ends_with("x..."));
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "größe".repeat(40));
        assert!((195..=200).contains(&refusal.content.error.len()), "{refusal:?}");
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "x".repeat(200));
        assert_eq!(refusal.content.error, "x".repeat(200));
        let refusal = Refusal::content_coding(&"x".repeat(10_000));
        assert!(refusal.content.error.ends_with("send content as it is"), "{refusal:?}");
    }
}
