//! What a host says of a request whose connection it hands over.

use std::fmt;
use std::str::FromStr;

use crate::excerpt::Excerpt;
use crate::filter::Subscription;
use crate::frame::Wire;
use crate::lifecycle::AdminError;
use crate::options::chained::chained;
use crate::options::{within, OptionsError};
use crate::stream_options::StreamOptions;

chained! {
    /// A request for a stream, which a host's own server has read, and whose connection
    /// [`Hub::adopt`](crate::Hub::adopt) takes.
    ///
    /// The host has authorized the request already: what is said here is what the client gets.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{AdoptRequest, HttpVersion, StreamOptions, Subscription};
    ///
    /// let request = AdoptRequest::new([Subscription::new("user/7/#")?])
    ///     .options(StreamOptions::default().tag("user 7").last_event_id("0-17"))
    ///     .version(HttpVersion::Http10)
    ///     .header("Access-Control-Allow-Origin", "https://app.example");
    /// assert_eq!(request.method, "GET");
    /// # Ok::<(), fanfare::SubscriptionError>(())
    /// ```
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AdoptRequest {
        /// The topics and filters that the stream is subscribed to, 1 to 65,536; one that is there
        /// twice counts once.
        pub subscriptions: Vec<Subscription> as (impl IntoIterator<Item = Subscription>
            => subscriptions.into_iter().collect()),
        /// Where the stream begins, and how it is served. Default: as a listener serves a client
        /// whose request says nothing of it.
        pub options: StreamOptions,
        /// The request's method: `GET`, or `POST` whose content was read whole. The answer to
        /// `HEAD` is a head alone, which the host sends itself. Default: `GET`.
        pub method: String as (impl Into<String> => method.into()),
        /// The request's version of HTTP. Default: HTTP/1.1.
        pub version: HttpVersion,
        /// Header fields of the answer, beside the engine's own: names and values, at most 32, and
        /// 4 KiB of them. The host gives those of CORS (`Access-Control-Allow-Origin` and so on)
        /// and `Vary` here as well. A field that the engine writes itself, such as `Content-Type`,
        /// and one that is not a field's syntax (RFC 9110, section 5) are errors. Default: none.
        pub headers: Vec<(String, String)>
            as (impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>
            => headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect()),
        /// Whether the connection is encrypted by the host's server: then the engine cannot write
        /// to the socket, and refuses it. Default: no.
        pub tls: bool,
        /// Whether some of the request's content was not read from the socket: then the connection
        /// is refused. What waits in the socket to be read is seen by the engine; say this where
        /// the rest of the content is yet to come. Default: no.
        pub has_unread_content: bool,
        /// How many bytes the host's server has read from the socket behind the request, which are
        /// in a buffer of its own: they begin another request, which nobody would answer, so more
        /// than zero are refused. Default: none.
        pub read_ahead_bytes: usize,
    }
}

impl Default for AdoptRequest {
    fn default() -> AdoptRequest {
        AdoptRequest {
            subscriptions: Vec::new(),
            options: StreamOptions::default(),
            method: "GET".to_owned(),
            version: HttpVersion::default(),
            headers: Vec::new(),
            tls: false,
            has_unread_content: false,
            read_ahead_bytes: 0,
        }
    }
}

impl AdoptRequest {
    /// A `GET` of HTTP/1.1 for these topics and filters.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{AdoptRequest, HttpVersion, Subscription};
    ///
    /// let request = AdoptRequest::new([Subscription::new("news")?]);
    /// assert_eq!((&*request.method, request.version), ("GET", HttpVersion::Http11));
    /// # Ok::<(), fanfare::SubscriptionError>(())
    /// ```
    #[must_use]
    pub fn new(subscriptions: impl IntoIterator<Item = Subscription>) -> AdoptRequest {
        AdoptRequest::default().subscriptions(subscriptions)
    }

    /// Adds a header field to `headers`.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{AdoptRequest, Subscription};
    ///
    /// let request = AdoptRequest::new([Subscription::new("news")?]).header("Vary", "Origin");
    /// assert_eq!(request.headers, [("Vary".to_owned(), "Origin".to_owned())]);
    /// # Ok::<(), fanfare::SubscriptionError>(())
    /// ```
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> AdoptRequest {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Checks what has bounds, but for the header fields.
    pub(super) fn check(&self) -> Result<(), OptionsError> {
        const MAX: usize = AdminError::SUBSCRIPTIONS_AT_ONCE_MAX;
        let fits = (1..=MAX).contains(&self.subscriptions.len());
        within(fits, "subscriptions", "1 to 65,536 topics and filters")?;
        self.options.check()
    }
}

/// A version of HTTP in which a stream can be written to a socket of its own.
///
/// # Examples
///
/// As servers name it:
///
/// ```
/// use fanfare::HttpVersion;
///
/// assert_eq!("HTTP/1.1".parse(), Ok(HttpVersion::Http11));
/// assert_eq!("1.0".parse(), Ok(HttpVersion::Http10));
/// assert!("HTTP/2.0".parse::<HttpVersion>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.0: the stream's end is that of the connection.
    Http10,
    /// HTTP/1.1: the stream is sent in chunks (RFC 9112, section 7.1).
    #[default]
    Http11,
}

/// A text names no version of HTTP in which a stream can be written to a socket of its own.
///
/// # Examples
///
/// ```
/// use fanfare::{HttpVersion, HttpVersionError};
///
/// let error: HttpVersionError = "HTTP/2.0".parse::<HttpVersion>().unwrap_err();
/// assert!(error.to_string().starts_with("\"HTTP/2.0\" cannot be adopted"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpVersionError {
    text: Excerpt,
}

impl HttpVersion {
    pub(super) fn wire(self) -> Wire {
        match self {
            HttpVersion::Http10 => Wire::Plain,
            HttpVersion::Http11 => Wire::Chunked,
        }
    }
}

impl FromStr for HttpVersion {
    type Err = HttpVersionError;

    fn from_str(text: &str) -> Result<HttpVersion, HttpVersionError> {
        match text.strip_prefix("HTTP/").unwrap_or(text) {
            "1.0" => Ok(HttpVersion::Http10),
            "1.1" => Ok(HttpVersion::Http11),
            _ => Err(HttpVersionError { text: Excerpt::of(text) }),
        }
    }
}

impl fmt::Display for HttpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HttpVersion::Http10 => "HTTP/1.0",
            HttpVersion::Http11 => "HTTP/1.1",
        })
    }
}

impl fmt::Display for HttpVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cannot be adopted, HTTP/1.1 and HTTP/1.0 can: in later versions several requests \
             share a connection",
            self.text
        )
    }
}

impl std::error::Error for HttpVersionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_a_name_and_no_other_is_adopted() {
        for version in [HttpVersion::Http10, HttpVersion::Http11] {
            let name = version.to_string();
            assert_eq!(name.parse(), Ok(version));
            assert_eq!(name["HTTP/".len()..].parse(), Ok(version));
        }
        for name in ["", "HTTP/", "HTTP/2", "HTTP/2.0", "2", "h2", "HTTP/0.9", "http/1.1", "1.10"] {
            let error = name.parse::<HttpVersion>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name:?} cannot be adopted")), "{error}");
        }
    }

    #[test]
    fn subscriptions_and_tag_have_bounds() {
        let topic = Subscription::new("a").unwrap();
        let of = |count| AdoptRequest::new(std::iter::repeat_n(topic.clone(), count));
        assert!(of(1).check().is_ok() && of(65_536).check().is_ok());
        for count in [0, 65_537] {
            assert_eq!(of(count).check().unwrap_err().option, "subscriptions");
        }
        let tagged = of(1).options(StreamOptions::default().tag("a\nb"));
        assert_eq!(tagged.check().unwrap_err().option, "tag");
    }
}
