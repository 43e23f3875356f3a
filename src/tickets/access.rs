//! The authorizer of tokens and tickets: what a request shows, and what it gets for that.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use super::store::{Lease, Tickets};
use super::ticket::{Digest, Ticket};
use super::ticket_error::{IssueError, TicketError};
use super::token_error::TokenError;
use super::verifier::TokenVerifier;
use crate::authorizer::{
    Admission, Authorizer, Decide, EndStream, Refusal, StreamAsk, StreamLease,
};
use crate::grant::Grant;
use crate::http::field::is_token;
use crate::http::origin::normalise;
use crate::options::chained::chained;
use crate::options::{within, OptionsError};
use crate::seldom::Seldom;

/// Clients can bring these about as often as they like.
static TOKEN_REFUSED: Seldom = Seldom::new();
static TICKET_REFUSED: Seldom = Seldom::new();
static NOT_ISSUED: Seldom = Seldom::new();

chained! {
    /// How clients show tokens and tickets to [`Authorizer::tickets`], and where they get tickets.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::AccessOptions;
    ///
    /// let options = AccessOptions::default().cookie("session").exchange_path("/login/ticket");
    /// assert_eq!(options.check(), Ok(()));
    /// ```
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AccessOptions {
        /// The name of a cookie that has a token, 1 to 256 characters of a token (RFC 6265, section
        /// 4.1.1). It counts for requests of pages of the server's own origin, and of
        /// `cookie_origins`; a request with an `Origin` that is another is refused. Default: none,
        /// so that cookies do not matter.
        pub cookie: Option<String> as (impl Into<String> => Some(cookie.into())),
        /// The other origins whose pages may use the cookie, as browsers write them
        /// (`https://example.com`), at most 64. `ListenOptions::cors` has to have them as well,
        /// with credentials. Default: none.
        pub cookie_origins: Vec<String> as (impl IntoIterator<Item = impl Into<String>>
            => cookie_origins.into_iter().map(Into::into).collect()),
        /// The path at which a client gets a ticket for its token, with `POST`: a path such as
        /// `/tickets`, percent-encoded, at most 1,024 bytes; or empty, for none. Default:
        /// `/tickets`.
        pub exchange_path: String as (impl Into<String> => exchange_path.into()),
    }
}

impl Default for AccessOptions {
    fn default() -> AccessOptions {
        let exchange_path = "/tickets".to_owned();
        AccessOptions { cookie: None, cookie_origins: Vec::new(), exchange_path }
    }
}

impl AccessOptions {
    /// Checks what has bounds, as [`Authorizer::tickets`] does.
    ///
    /// # Errors
    ///
    /// The first option that is out of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::AccessOptions;
    ///
    /// let error = AccessOptions::default().cookie("a b").check().unwrap_err();
    /// assert_eq!(error.option, "cookie");
    /// ```
    pub fn check(&self) -> Result<(), OptionsError> {
        let is_name = |name: &String| name.len() <= NAME_BYTES_MAX && is_token(name);
        let name_fits = self.cookie.as_ref().is_none_or(is_name);
        within(name_fits, "cookie", "1 to 256 characters of a token")?;
        within(self.cookie_origins.len() <= ORIGINS_MAX, "cookie_origins", "at most 64")?;
        let path = &self.exchange_path;
        let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
        let is_path = path.starts_with('/') && path.len() <= PATH_BYTES_MAX && is_plain;
        let path_fits = path.is_empty() || is_path;
        within(path_fits, "exchange_path", "a path such as /tickets, percent-encoded, or empty")
    }

    /// The origins as browsers write them, of options that are all checked.
    pub(crate) fn checked_origins(&self) -> Result<Vec<String>, OptionsError> {
        self.check()?;
        let origins = self.cookie_origins.iter().map(|origin| normalise(origin));
        let wrong =
            |why: &'static str| OptionsError { option: "cookie_origins", bounds: why.into() };
        origins.collect::<Result<_, _>>().map_err(wrong)
    }
}

const NAME_BYTES_MAX: usize = 256;
const ORIGINS_MAX: usize = 64;
const PATH_BYTES_MAX: usize = 1_024;

impl Authorizer {
    /// Gives a client the stream that its token or its ticket is for. A client shows
    ///
    /// - a token in `Authorization: Bearer TOKEN` (RFC 6750, section 2.1), which programs and
    ///   `fetch` can;
    /// - a token in a cookie, if [`AccessOptions::cookie`] says so;
    /// - a ticket in the query, `ticket=...`, which is for an `EventSource`. It gets one with
    ///   `POST` to [`AccessOptions::exchange_path`] and its token, as JSON:
    ///   `{"ticket":"...","expires_at":1900000000}`, in seconds since 1970; or from the host, which
    ///   calls [`Tickets::issue`].
    ///
    /// A token in the query is refused (RFC 9700, section 4.3.2). A request without any of these,
    /// or with one that is not valid (any more), is answered 401; one with a ticket whose stream is
    /// connected, 409; one for topics that are not granted, 403.
    ///
    /// Tokens are checked on the shards' threads. The host replaces keys through its reference to
    /// `verifier`.
    ///
    /// # Errors
    ///
    /// When an option is out of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use fanfare::tickets::{AccessOptions, KeySet, TicketOptions, Tickets};
    /// use fanfare::tickets::{TokenOptions, TokenVerifier};
    /// use fanfare::{Authorizer, Hub, ListenOptions, Options};
    ///
    /// let keys = KeySet::from_key_file(b"a secret of at least 32 bytes, from a random source")?;
    /// let verifier = Arc::new(TokenVerifier::new(keys, TokenOptions::default())?);
    /// let tickets = Tickets::new(TicketOptions::default())?;
    /// let authorizer = Authorizer::tickets(verifier.clone(), tickets, AccessOptions::default())?;
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let options = ListenOptions::default().authorizer(authorizer);
    /// let listener = hub.listen("127.0.0.1:0", options)?;
    /// # let _ = listener;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tickets(
        verifier: Arc<TokenVerifier>,
        tickets: Tickets,
        options: AccessOptions,
    ) -> Result<Authorizer, OptionsError> {
        let options = AccessOptions { cookie_origins: options.checked_origins()?, ..options };
        Ok(Authorizer::at_once(Access { verifier, tickets, options }))
    }
}

/// Decides by tokens and tickets.
pub(super) struct Access {
    pub(super) verifier: Arc<TokenVerifier>,
    pub(super) tickets: Tickets,
    pub(super) options: AccessOptions,
}

/// What a request shows.
#[derive(Debug, PartialEq, Eq)]
enum Shown<'a> {
    Token(String),
    Ticket(&'a str),
}

impl Decide for Access {
    fn decide(&self, ask: &StreamAsk<'_>, now: SystemTime) -> Result<Admission, Refusal> {
        match self.shown(ask)? {
            Shown::Token(token) => Ok(Admission { grant: self.verify(&token, now)?, lease: None }),
            // It would use the ticket up, or take the stream over, for nothing.
            Shown::Ticket(_) if ask.method == "HEAD" => {
                Err(Refusal::new(400).text("a ticket is for a stream; use GET"))
            }
            Shown::Ticket(ticket) => {
                let goes_on = ask.last_event_id.is_some();
                let grant = self.tickets.look_up(ticket, goes_on, now).map_err(ticket_refused)?;
                let lease = TicketLease {
                    tickets: self.tickets.clone(),
                    digest: Ticket::digest_of(ticket)
                        .ok_or(TicketError::Unknown)
                        .map_err(ticket_refused)?,
                    goes_on,
                    held: OnceLock::new(),
                };
                Ok(Admission { grant, lease: Some(Arc::new(lease)) })
            }
        }
    }

    fn exchange_path(&self) -> Option<&str> {
        Some(&*self.options.exchange_path).filter(|path| !path.is_empty())
    }

    fn exchange(&self, ask: &StreamAsk<'_>, now: SystemTime) -> Result<String, Refusal> {
        let Shown::Token(token) = self.shown(ask)? else {
            return Err(Refusal::new(400).text("a ticket gets no ticket; send a token instead"));
        };
        let grant = self.verify(&token, now)?;
        let expires_at =
            grant.expires_at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let ticket = self.tickets.issue(grant, now).map_err(not_issued)?;
        let expires_at = expires_at.unwrap_or_default().as_secs();
        Ok(format!(r#"{{"ticket":"{}","expires_at":{expires_at}}}"#, ticket.as_str()))
    }
}

/// A stream's hold on its ticket, which is used when the stream begins.
struct TicketLease {
    tickets: Tickets,
    digest: Digest,
    goes_on: bool,
    held: OnceLock<Lease>,
}

impl StreamLease for TicketLease {
    fn take(&self, now: SystemTime) -> Result<(), Refusal> {
        let redeemed = self.tickets.take(self.digest, self.goes_on, now);
        let _first = self.held.set(redeemed.map_err(ticket_refused)?.lease);
        Ok(())
    }

    fn begun(&self, end: EndStream) {
        if let Some(lease) = self.held.get() {
            lease.connected(end);
        }
    }
}

impl Access {
    /// What a request shows; one thing, in one way (RFC 6750, section 2).
    fn shown<'a>(&self, ask: &'a StreamAsk<'_>) -> Result<Shown<'a>, Refusal> {
        if ask.query_value("access_token").is_some() {
            let text = "a token does not belong into a URL, which is logged; send it with \
                        Authorization: Bearer TOKEN, or get a ticket for it";
            return Err(Refusal::new(400).text(text));
        }
        let named = |(name, _): &&(std::borrow::Cow<'_, str>, _)| name == "ticket";
        let mut tickets = ask.query_fields.iter().filter(named).map(|(_, value)| &**value);
        let mut authorizations = ask.headers("authorization");
        let (ticket, authorization) = (tickets.next(), authorizations.next());
        let one = tickets.next().is_none() && authorizations.next().is_none();
        match (ticket, authorization) {
            _ if !one => Err(Refusal::new(400).text("show one token or one ticket, once")),
            (Some(_), Some(_)) => Err(Refusal::new(400).text("show a token or a ticket, not both")),
            (Some(ticket), None) => Ok(Shown::Ticket(ticket)),
            (None, Some(authorization)) => match bearer(&authorization) {
                Some(token) => Ok(Shown::Token(token.to_owned())),
                None => Err(unauthorized("Bearer", "send Authorization: Bearer TOKEN")),
            },
            (None, None) => match self.cookie(ask)? {
                Some(token) => Ok(Shown::Token(token)),
                None => {
                    let text = "this needs a token: Authorization: Bearer TOKEN; or a ticket in \
                                the query: ticket=TICKET";
                    Err(unauthorized("Bearer", text))
                }
            },
        }
    }

    /// The token in the request's cookie, which only pages of the right origins may use: a browser
    /// sends it along for every page that it shows.
    fn cookie(&self, ask: &StreamAsk<'_>) -> Result<Option<String>, Refusal> {
        let Some(name) = &self.options.cookie else { return Ok(None) };
        let Some(token) = ask.cookie(name) else { return Ok(None) };
        match self.may_use_cookies(ask) {
            true => Ok(Some(token)),
            false => Err(Refusal::new(403).text("pages of this origin may not use the cookie")),
        }
    }

    fn may_use_cookies(&self, ask: &StreamAsk<'_>) -> bool {
        let mut origins = ask.headers("origin");
        match (origins.next(), origins.next()) {
            (Some(origin), None) => {
                let is_listed = self.options.cookie_origins.iter().any(|listed| *listed == origin);
                let authority = origin.split_once("://").map(|(_, authority)| authority);
                let host = ask.headers("host").next();
                let same = authority.zip(host.as_deref());
                let is_same = same.is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host));
                // A proxy may have written another Host; what no page can write says it too.
                let mut sites = ask.headers("sec-fetch-site");
                let says_same = sites.next().as_deref() == Some("same-origin");
                is_listed || is_same || says_same && sites.next().is_none()
            }
            // A page of this origin, or no page: browsers send Origin with requests of others, but
            // for those whose answers those cannot read.
            (None, _) => {
                let mut sites = ask.headers("sec-fetch-site");
                sites.all(|site| ["same-origin", "none"].contains(&&*site))
            }
            (Some(_), Some(_)) => false,
        }
    }

    fn verify(&self, token: &str, now: SystemTime) -> Result<Grant, Refusal> {
        self.verifier.verify(token, now).map_err(|error| token_refused(&error))
    }
}

/// The token of an `Authorization` field (RFC 6750, section 2.1). The scheme's case is free.
fn bearer(field: &str) -> Option<&str> {
    let (scheme, token) = field.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// The refusal of a request with this status, which says by what it would be authorized.
fn unauthorized(challenge: &str, text: impl Into<String>) -> Refusal {
    Refusal::new(401).header("WWW-Authenticate", challenge).text(text)
}

fn token_refused(error: &TokenError) -> Refusal {
    TOKEN_REFUSED.log(|more| log::warn!("a request's token is refused: {error}{more}"));
    let text = "the token is not valid, or no longer; get a new one";
    unauthorized("Bearer error=\"invalid_token\"", text)
}

fn ticket_refused(error: TicketError) -> Refusal {
    if error == TicketError::Contested {
        TICKET_REFUSED.log(|more| {
            log::warn!("a ticket is revoked, since several clients use it in turn{more}");
        });
    }
    match error.status() {
        401 => unauthorized("Bearer", error.to_string()),
        status => Refusal::new(status).text(error.to_string()),
    }
}

fn not_issued(error: IssueError) -> Refusal {
    NOT_ISSUED.log(|more| log::warn!("a ticket is not issued: {error}{more}"));
    let again = Refusal::new(503).header("Retry-After", "5");
    again.text("there are too many tickets; come again")
}
