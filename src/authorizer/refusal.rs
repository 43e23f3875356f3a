//! What a client is told that gets no stream.

use crate::http::field::Fields;
use crate::options::chained::chained;
use crate::options::{within, OptionsError};

/// The most bytes of a refusal's text.
const TEXT_BYTES_MAX: usize = 4 << 10;

chained! {
    /// What a client is told that does not get the stream that it asks for. An `EventSource` that
    /// gets any status but 200 is closed, and does not come back by itself; a page that uses
    /// `fetch` sees the status, the header fields and the text.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Refusal;
    ///
    /// let refusal = Refusal::new(401)
    ///     .header("WWW-Authenticate", "Bearer")
    ///     .text("send a token with Authorization");
    /// assert_eq!(refusal.check(), Ok(()));
    /// ```
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Refusal {
        /// The status (RFC 9110, section 15): 204, which an `EventSource` takes for the end of the
        /// stream, or 300 to 599. A 401 has to come with `WWW-Authenticate`, and a redirection with
        /// `Location`, among `headers`.
        pub status: u16,
        /// Header fields of the answer, at most 32 and 4 KiB of them: names are tokens, values
        /// visible ASCII, spaces and tabs. What the engine writes itself is refused, such as
        /// `Content-Type`, `Cache-Control`, `Vary` and the fields of CORS; `Retry-After` is not.
        /// Default: none.
        pub headers: Vec<(String, String)>
            as (impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>
            => headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect()),
        /// The content, plain text of at most 4 KiB; a 204 has none. Default: empty.
        pub text: String as (impl Into<String> => text.into()),
    }
}

impl Refusal {
    /// A refusal with a status, and nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Refusal;
    ///
    /// assert_eq!(Refusal::new(403).status, 403);
    /// ```
    #[must_use]
    pub fn new(status: u16) -> Refusal {
        Refusal { status, headers: Vec::new(), text: String::new() }
    }

    /// Adds a header field.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Refusal;
    ///
    /// assert_eq!(Refusal::new(503).header("Retry-After", "60").headers.len(), 1);
    /// ```
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Refusal {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Checks every part against its bounds.
    ///
    /// # Errors
    ///
    /// The first part that is outside of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Refusal;
    ///
    /// assert_eq!(Refusal::new(200).check().unwrap_err().option, "status");
    /// let error = Refusal::new(403).header("A", "b\r\nC: d").check().unwrap_err();
    /// assert_eq!(error.option, "headers");
    /// ```
    pub fn check(&self) -> Result<(), OptionsError> {
        let status = self.status == 204 || (300..=599).contains(&self.status);
        within(status, "status", "204, or 300 to 599")?;
        within(self.text.len() <= TEXT_BYTES_MAX, "text", "at most 4 KiB")?;
        self.fields().map(drop)
    }

    /// Its header fields.
    pub(crate) fn fields(&self) -> Result<Fields, OptionsError> {
        let error = |why: String| OptionsError { option: "headers", bounds: why.into() };
        Fields::of_refusal(&self.headers).map_err(error)
    }

    /// Its status with the reason that the standard has for it.
    pub(crate) fn status_line(&self) -> String {
        format!("{} {}", self.status, reason(self.status))
    }
}

/// The reason phrase of a status, for people who read it (RFC 9110, section 15); empty if it is not
/// among those that refuse.
fn reason(status: u16) -> &'static str {
    match status {
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        410 => "Gone",
        422 => "Unprocessable Content",
        425 => "Too Early",
        429 => "Too Many Requests",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_bounds() {
        for status in [204, 300, 302, 401, 404, 499, 503, 599] {
            assert_eq!(Refusal::new(status).check(), Ok(()), "{status}");
        }
        for status in [0, 100, 101, 199, 200, 203, 205, 299, 600, u16::MAX] {
            assert_eq!(Refusal::new(status).check().unwrap_err().option, "status", "{status}");
        }
        assert_eq!(Refusal::new(403).text("x".repeat(4 << 10)).check(), Ok(()));
        let long = Refusal::new(403).text("x".repeat((4 << 10) + 1));
        assert_eq!(long.check().unwrap_err().option, "text");
    }

    #[test]
    fn a_refusals_fields_end_no_line_and_say_when_to_come_back() {
        let with = |name: &str, value: &str| Refusal::new(401).header(name, value).check();
        for (name, value) in [
            ("WWW-Authenticate", "Bearer realm=\"x\""),
            ("Retry-After", "5"),
            ("Location", "/login"),
            ("Set-Cookie", "a=b"),
        ] {
            assert_eq!(with(name, value), Ok(()), "{name}");
        }
        for (name, value) in [
            ("X", "a\r\nSet-Cookie: b=c"),
            ("X\r\nY", "a"),
            ("Content-Length", "0"),
            ("Access-Control-Allow-Origin", "*"),
            ("Vary", "Cookie"),
        ] {
            assert_eq!(with(name, value).unwrap_err().option, "headers", "{name}");
        }
    }
}
