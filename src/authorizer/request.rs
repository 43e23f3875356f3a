//! A request for a stream as the host gets it.

use std::fmt;
use std::net::SocketAddr;

use super::decide::{cookie_in, text_of, Admission, StreamAsk};
use super::refusal::Refusal;
use super::verdict::{InTime, Reply, Verdict};
use crate::filter::Subscription;
use crate::grant::Grant;
use crate::options::OptionsError;

/// What a request for a stream says, as the host's own.
#[derive(Clone, Default)]
pub(crate) struct Asked {
    method: String,
    path: String,
    path_values: Vec<(String, String)>,
    query: String,
    query_fields: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    addr: Option<SocketAddr>,
    content: Vec<u8>,
    subscriptions: Vec<Subscription>,
    last_event_id: Option<String>,
}

impl From<&StreamAsk<'_>> for Asked {
    fn from(ask: &StreamAsk<'_>) -> Asked {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let path_values = ask.path_values.iter().map(|(name, value)| owned((name, value)));
        let query_fields = ask.query_fields.iter().map(|(name, value)| owned((name, value)));
        let headers = ask.fields.iter().map(|(name, value)| owned((name, &text_of(value))));
        Asked {
            method: ask.method.to_owned(),
            path: ask.path.to_owned(),
            path_values: path_values.collect(),
            query: ask.query.to_owned(),
            query_fields: query_fields.collect(),
            headers: headers.collect(),
            addr: ask.addr,
            content: ask.content.to_owned(),
            subscriptions: ask.subscriptions.to_owned(),
            last_event_id: ask.last_event_id.map(str::to_owned),
        }
    }
}

/// A request for a stream, whose connection waits for the host's answer: [`allow`] or [`refuse`].
/// One that is dropped unanswered is answered 503 at once. It may be sent to any thread, and kept:
/// an answer that comes after [`AskOptions::timeout`](crate::AskOptions::timeout), or after the
/// client has left, has no effect, and is counted in
/// [`Metrics::late_authorizations`](crate::Metrics).
///
/// [`allow`]: AuthorizationRequest::allow
/// [`refuse`]: AuthorizationRequest::refuse
///
/// # Examples
///
/// ```
/// use fanfare::{AnswerError, AuthorizationRequest, Grant, Refusal};
///
/// fn answer(request: AuthorizationRequest) -> Result<(), AnswerError> {
///     match request.header("authorization") {
///         Some("Bearer secret") => {
///             let asked = request.subscriptions().to_vec();
///             request.allow(Grant::new(asked))
///         }
///         _ => request.refuse(Refusal::new(401).header("WWW-Authenticate", "Bearer")),
///     }
/// }
/// # let _ = answer;
/// ```
#[must_use = "a request that is dropped is refused"]
pub struct AuthorizationRequest {
    asked: Asked,
    reply: Reply,
}

impl AuthorizationRequest {
    pub(super) fn new(asked: Asked, reply: Reply) -> AuthorizationRequest {
        AuthorizationRequest { asked, reply }
    }

    /// Lets the client have a stream within a grant. A request for topics that the grant does not
    /// cover is refused with 403, and so is one whose grant has expired. Never blocks.
    ///
    /// # Errors
    ///
    /// When a part of the grant is out of its bounds. The error gives the request back, whose
    /// connection still waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{AuthorizationRequest, Grant, Refusal, Subscription};
    ///
    /// fn allow(request: AuthorizationRequest, tag: String) {
    ///     let news = Subscription::new("news/#").expect("it is a filter");
    ///     if let Err(error) = request.allow(Grant::new([news]).tag(tag)) {
    ///         eprintln!("{error}");
    ///         let _ = error.into_request().refuse(Refusal::new(500));
    ///     }
    /// }
    /// # let _ = allow;
    /// ```
    pub fn allow(self, grant: Grant) -> Result<(), AnswerError> {
        self.allow_in_time(grant).map(drop)
    }

    /// [`AuthorizationRequest::allow`], which says whether it was in time.
    pub(crate) fn allow_in_time(self, grant: Grant) -> Result<InTime, AnswerError> {
        match grant.check() {
            Ok(()) => {
                let admission = Admission { grant, lease: None };
                Ok(self.reply.send(Verdict::Allow(Box::new(admission))))
            }
            Err(error) => Err(AnswerError { request: Box::new(self), error }),
        }
    }

    /// Refuses the client a stream. Never blocks.
    ///
    /// # Errors
    ///
    /// When a part of the refusal is out of its bounds. The error gives the request back, whose
    /// connection still waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{AnswerError, AuthorizationRequest, Refusal};
    ///
    /// fn refuse(request: AuthorizationRequest) -> Result<(), AnswerError> {
    ///     request.refuse(Refusal::new(403).text("this account has ended"))
    /// }
    /// # let _ = refuse;
    /// ```
    pub fn refuse(self, refusal: Refusal) -> Result<(), AnswerError> {
        self.refuse_in_time(refusal).map(drop)
    }

    /// [`AuthorizationRequest::refuse`], which says whether it was in time.
    pub(crate) fn refuse_in_time(self, refusal: Refusal) -> Result<InTime, AnswerError> {
        match refusal.check() {
            Ok(()) => Ok(self.reply.send(Verdict::Refuse(refusal))),
            Err(error) => Err(AnswerError { request: Box::new(self), error }),
        }
    }

    /// Whether the connection still waits: the time is not over, and the client has not left.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::AuthorizationRequest;
    ///
    /// fn still_waiting(requests: Vec<AuthorizationRequest>) -> Vec<AuthorizationRequest> {
    ///     requests.into_iter().filter(AuthorizationRequest::is_waiting).collect()
    /// }
    /// # let _ = still_waiting;
    /// ```
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.reply.wait.is_waiting()
    }

    /// The method: `GET`, `HEAD`, or `POST` where the route has it.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn answer(request: fanfare::AuthorizationRequest) {
    /// println!("{} {}", request.method(), request.path());
    /// # }
    /// ```
    #[must_use]
    pub fn method(&self) -> &str {
        &self.asked.method
    }

    /// The path of the target, percent-encoded.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn answer(request: fanfare::AuthorizationRequest) {
    /// let is_plain = request.path() == "/events";
    /// # }
    /// ```
    #[must_use]
    pub fn path(&self) -> &str {
        &self.asked.path
    }

    /// The decoded value of a place in the path of the [`Route`](crate::Route), by the place's
    /// name.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn answer(request: fanfare::AuthorizationRequest) {
    /// // Of a route /runs/{id}/events.
    /// let run = request.path_value("id");
    /// # }
    /// ```
    #[must_use]
    pub fn path_value(&self, name: &str) -> Option<&str> {
        first(&self.asked.path_values, |place| place == name)
    }

    /// The query of the target as it was sent, without its `?`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn answer(request: fanfare::AuthorizationRequest) {
    /// let is_empty = request.query().is_empty();
    /// # }
    /// ```
    #[must_use]
    pub fn query(&self) -> &str {
        &self.asked.query
    }

    /// The names and values of the query, decoded, in their order.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn answer(request: fanfare::AuthorizationRequest) {
    /// let room = request.query_fields().find(|(name, _)| *name == "room");
    /// # }
    /// ```
    pub fn query_fields(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.asked.query_fields)
    }

    /// The value of the first header field of a name, in capitals or not. One that is not UTF-8 is
    /// read as ISO-8859-1.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn answer(request: fanfare::AuthorizationRequest) {
    /// let origin = request.header("Origin");
    /// # }
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.asked.headers, |field| field.eq_ignore_ascii_case(name))
    }

    /// The names and values of all header fields, in their order.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn answer(request: fanfare::AuthorizationRequest) {
    /// let names: Vec<_> = request.headers().map(|(name, _)| name).collect();
    /// # }
    /// ```
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.asked.headers)
    }

    /// The value of the first cookie of a name (RFC 6265), without quotes around it.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn answer(request: fanfare::AuthorizationRequest) {
    /// let session = request.cookie("session");
    /// # }
    /// ```
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let fields = pairs(&self.asked.headers);
        let mut cookies = fields.filter(|(field, _)| field.eq_ignore_ascii_case("cookie"));
        cookies.find_map(|(_, value)| cookie_in(value, name))
    }

    /// The client's address; `None` if it has none, as at a Unix domain socket.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn answer(request: fanfare::AuthorizationRequest) {
    /// let is_local = request.addr().is_some_and(|addr| addr.ip().is_loopback());
    /// # }
    /// ```
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        self.asked.addr
    }

    /// The content of a `POST`, at most
    /// [`ListenOptions::body_bytes_max`](crate::ListenOptions::body_bytes_max); empty for `GET`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn answer(request: fanfare::AuthorizationRequest) {
    /// let text = std::str::from_utf8(request.content());
    /// # }
    /// ```
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.asked.content
    }

    /// The topics and filters that the stream would be subscribed to: those of the route and of the
    /// query. None if the client leaves it to the grant.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn answer(request: fanfare::AuthorizationRequest) {
    /// let asked = request.subscriptions();
    /// let public = asked.iter().all(|what| what.as_str().starts_with("public/"));
    /// # }
    /// ```
    #[must_use]
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.asked.subscriptions
    }

    /// The id of the last event that the client had, if it comes back (WHATWG HTML, section
    /// "Server-sent events"). It is what the client says, and opens nothing: what is sent again is
    /// of the topics that the grant covers.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn answer(request: fanfare::AuthorizationRequest) {
    /// let comes_back = request.last_event_id().is_some();
    /// # }
    /// ```
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.asked.last_event_id.as_deref()
    }
}

fn pairs(fields: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    fields.iter().map(|(name, value)| (&**name, &**value))
}

fn first(fields: &[(String, String)], is_it: impl Fn(&str) -> bool) -> Option<&str> {
    pairs(fields).find(|(name, _)| is_it(name)).map(|(_, value)| value)
}

/// Without header fields, query and content, which may have what no log may show.
impl fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("AuthorizationRequest");
        shown.field("method", &self.asked.method).field("path", &self.asked.path);
        shown.field("addr", &self.asked.addr).finish_non_exhaustive()
    }
}

/// A part of an answer is out of its bounds. It gives the request back, whose connection still
/// waits.
///
/// # Examples
///
/// ```
/// use fanfare::{AnswerError, AuthorizationRequest, Refusal};
///
/// fn refuse_otherwise(error: AnswerError) {
///     let request: AuthorizationRequest = error.into_request();
///     request.refuse(Refusal::new(500)).expect("a status alone fits");
/// }
/// # let _ = refuse_otherwise;
/// ```
#[derive(Debug)]
pub struct AnswerError {
    request: Box<AuthorizationRequest>,
    error: OptionsError,
}

impl AnswerError {
    /// The request.
    ///
    /// # Examples
    ///
    /// ```
    /// fn path(error: fanfare::AnswerError) -> String {
    ///     error.into_request().path().to_owned()
    /// }
    /// # let _ = path;
    /// ```
    pub fn into_request(self) -> AuthorizationRequest {
        *self.request
    }

    /// Which part is wrong, and what it may be.
    ///
    /// # Examples
    ///
    /// ```
    /// fn is_the_tag(error: &fanfare::AnswerError) -> bool {
    ///     error.error().option == "tag"
    /// }
    /// # let _ = is_the_tag;
    /// ```
    #[must_use]
    pub fn error(&self) -> &OptionsError {
        &self.error
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OptionsError { option, bounds } = &self.error;
        write!(f, "the answer to a request for a stream has a wrong {option}: {bounds}")
    }
}

impl std::error::Error for AnswerError {}
