//! Authorization: which requests may publish, list connections, change their topics and end them,
//! and which may read the metrics.
//!
//! The listener that a request came through decides, since a proxy cannot change that by forwarding
//! the request:
//!
//! - The *public* listener serves streams. Everything else needs the token there, and is not served
//!   at all without one: a reverse proxy on the same machine makes every request look like a local
//!   program's, and need not tell the server that it is one.
//! - The *control* listener is on a loopback address or a Unix socket. Only programs of this
//!   machine reach it, and no token is needed, unless there is one: then requests that change
//!   anything need it. On any other address it is like the public one.
//!
//! Requests that a program of this machine sends on behalf of others are left:
//!
//! - A page of another origin in a browser on this machine. A form can `POST` anywhere without
//!   asking; the browser tells by `Sec-Fetch-Site` and `Origin`.
//! - The same after DNS rebinding: `hosts.rs` refuses its `Host`.
//! - A proxy that was pointed at the control listener. Most proxies add `Forwarded`,
//!   `X-Forwarded-For`, `Via` or `X-Real-IP`. One that adds nothing is not recognised; the check
//!   only makes a mistake show early.

use std::net::SocketAddr;

use hyper::header::{HeaderMap, HeaderName, AUTHORIZATION, ORIGIN};

use crate::program::token::Token;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a listener asks of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerRules {
    /// Only programs of this machine reach it: no token is needed, unless there is one.
    pub(crate) is_local: bool,
    /// The requests' `Host` has to be a name of this server.
    pub(crate) checks_host: bool,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) rules: ListenerRules,
    /// The client's address, as a trusted proxy says it; `None` behind a Unix socket.
    pub(crate) peer: Option<SocketAddr>,
    /// Where the connection is from, which is a trusted proxy if it is not the same.
    pub(crate) connection: Option<SocketAddr>,
    /// Whether it is a trusted proxy that names no client, so that no bound per address holds.
    pub(crate) is_proxy: bool,
    /// Which public listener is given requests for events that come on this connection.
    pub(crate) listener: usize,
}

/// Decides what requests may do.
#[derive(Debug)]
pub(crate) struct Auth {
    token: Option<Token>,
}

/// Why a request may not do what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It shows no token, and has to.
    TokenMissing,
    /// It shows something else than the token.
    TokenWrong,
    /// It would have to show a token, but there is none.
    Forbidden(&'static str),
    /// There is no token, and this listener serves nothing without one.
    NotServed,
}

impl Auth {
    pub(crate) fn new(token: Option<Token>) -> Auth {
        Auth { token }
    }

    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether a request may publish, and see and change connections. `authority` is the host that
    /// the request is for.
    pub(super) fn check_act(
        &self,
        caller: Caller,
        fields: &HeaderMap,
        authority: Option<&str>,
    ) -> Result<(), Denied> {
        match &self.token {
            Some(token) => shows(token, fields),
            None if !caller.rules.is_local => Err(Denied::NotServed),
            None => check_local(caller, fields, authority).map_err(Denied::Forbidden),
        }
    }

    /// Whether a request may read the metrics. Pages of other origins cannot read the answer, since
    /// it has no CORS fields.
    pub(super) fn check_read(&self, caller: Caller, fields: &HeaderMap) -> Result<(), Denied> {
        match &self.token {
            _ if caller.rules.is_local => Ok(()),
            Some(token) => shows(token, fields),
            None => Err(Denied::NotServed),
        }
    }

    /// Whether a request with these header fields comes from a program of this machine, or shows
    /// the token.
    pub(super) fn is_authorized(&self, caller: Caller, fields: &HeaderMap) -> bool {
        let shown = self.token.as_ref().is_some_and(|token| shows(token, fields).is_ok());
        shown || caller.rules.is_local
    }
}

fn shows(token: &Token, fields: &HeaderMap) -> Result<(), Denied> {
    match one(fields, &AUTHORIZATION) {
        Ok(Some(shown)) if bearer(shown).is_some_and(|shown| token.is(shown)) => Ok(()),
        Ok(None) => Err(Denied::TokenMissing),
        _ => Err(Denied::TokenWrong),
    }
}

/// The token of an `Authorization` field: RFC 6750, section 2.1. The scheme's case is free.
fn bearer(field: &str) -> Option<&[u8]> {
    let (scheme, token) = field.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().as_bytes())
}

fn check_local(
    caller: Caller,
    fields: &HeaderMap,
    authority: Option<&str>,
) -> Result<(), &'static str> {
    if caller.peer.is_some_and(|peer| !peer.ip().to_canonical().is_loopback()) {
        return Err("without a token only programs of this machine may do this");
    }
    if fields.keys().any(tells_of_a_proxy) {
        return Err("without a token no forwarded request may do this");
    }
    let once = |name| one(fields, name).map_err(|()| "a field of the request makes no sense");
    let other_origin = "without a token no page of another origin may do this";
    match once(&SEC_FETCH_SITE)? {
        None | Some("same-origin" | "none") => {}
        Some(_) => return Err(other_origin),
    }
    let same = |origin: &str| {
        let origin = origin.split_once("://").map(|(_, authority)| authority);
        origin.zip(authority).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    match once(&ORIGIN)? {
        Some(origin) if !same(origin) => Err(other_origin),
        _ => Ok(()),
    }
}

fn tells_of_a_proxy(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded") || matches!(name, "forwarded" | "via" | "x-real-ip")
}

/// The one field of a name; an error when there are several, or it is not text.
fn one<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = fields.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const LOCAL: ListenerRules = ListenerRules { is_local: true, checks_host: true };
    const PUBLIC: ListenerRules = ListenerRules { is_local: false, checks_host: true };

    fn fields(text: &str) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for line in text.split(" | ").filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            fields.append(name, HeaderValue::from_str(value).unwrap());
        }
        fields
    }

    fn caller(rules: ListenerRules, peer: Option<SocketAddr>) -> Caller {
        Caller { rules, peer, connection: peer, is_proxy: false, listener: 0 }
    }

    fn act(auth: &Auth, rules: ListenerRules, peer: &str, text: &str) -> Result<(), Denied> {
        let peer = (!peer.is_empty()).then(|| format!("{peer}:1").parse().unwrap());
        auth.check_act(caller(rules, peer), &fields(text), Some("localhost:8081"))
    }

    #[test]
    fn without_a_token_only_the_control_listener_lets_programs_of_this_machine_publish() {
        let auth = Auth::new(None);
        for peer in ["127.0.0.1", "127.8.9.1", "[::1]", "[::ffff:127.0.0.1]", ""] {
            assert_eq!(act(&auth, LOCAL, peer, ""), Ok(()), "{peer}");
            assert_eq!(act(&auth, PUBLIC, peer, ""), Err(Denied::NotServed), "{peer}");
        }
        for (peer, text) in [
            ("192.168.1.7", ""),
            ("[::ffff:192.168.1.7]", ""),
            ("127.0.0.1", "Forwarded: for=1.2.3.4"),
            ("127.0.0.1", "X-Forwarded-For: 127.0.0.1"),
            ("127.0.0.1", "X-Forwarded-Proto: https"),
            ("127.0.0.1", "Via: 1.1 proxy"),
            ("127.0.0.1", "X-Real-IP: 1.2.3.4"),
        ] {
            let denied = act(&auth, LOCAL, peer, text);
            assert!(matches!(denied, Err(Denied::Forbidden(_))), "{peer} {text}");
        }
    }

    #[test]
    fn without_a_token_a_page_may_publish_only_to_its_own_origin() {
        let auth = Auth::new(None);
        for (text, expected) in [
            ("Origin: http://localhost:8081 | Sec-Fetch-Site: same-origin", true),
            ("Origin: http://LOCALHOST:8081", true),
            ("Sec-Fetch-Site: none", true),
            ("Sec-Fetch-Site: same-site", false),
            ("Sec-Fetch-Site: cross-site", false),
            ("Sec-Fetch-Site: same-origin | Origin: http://localhost:9090", false),
            ("Origin: http://localhost", false),
            ("Origin: null", false),
            ("Origin: http://evil.example", false),
            ("Origin: http://localhost:8081 | Origin: http://evil.example", false),
            ("Origin: localhost:8081", false),
        ] {
            assert_eq!(act(&auth, LOCAL, "127.0.0.1", text).is_ok(), expected, "{text}");
        }
        let caller = caller(LOCAL, None);
        let origin = fields("Origin: http://localhost");
        assert!(auth.check_act(caller, &origin, None).is_err());
    }

    #[test]
    fn with_a_token_every_request_has_to_show_it() {
        let auth = Auth::new(Some(Token::parse("s3cret").unwrap()));
        for (text, expected) in [
            ("Authorization: Bearer s3cret", Ok(())),
            ("Authorization: bearer s3cret", Ok(())),
            ("Authorization: Bearer s3cret | Via: 1.1 proxy", Ok(())),
            ("", Err(Denied::TokenMissing)),
            ("Authorization: Bearer s3cre", Err(Denied::TokenWrong)),
            ("Authorization: Bearer s3crets", Err(Denied::TokenWrong)),
            ("Authorization: Basic s3cret", Err(Denied::TokenWrong)),
            ("Authorization: s3cret", Err(Denied::TokenWrong)),
            ("Authorization: Bearer", Err(Denied::TokenWrong)),
            ("Authorization: Bearer s3cret | Authorization: Bearer x", Err(Denied::TokenWrong)),
        ] {
            for rules in [LOCAL, PUBLIC] {
                for peer in ["127.0.0.1", "192.168.1.7"] {
                    assert_eq!(act(&auth, rules, peer, text), expected, "{text}");
                }
            }
        }
    }

    #[test]
    fn metrics_are_open_to_this_machine_and_else_to_requests_that_show_the_token() {
        let read = |auth: &Auth, rules, text| auth.check_read(caller(rules, None), &fields(text));
        let without = Auth::new(None);
        assert_eq!(read(&without, LOCAL, ""), Ok(()));
        assert_eq!(read(&without, PUBLIC, ""), Err(Denied::NotServed));
        let with = Auth::new(Some(Token::parse("s3cret").unwrap()));
        assert_eq!(read(&with, LOCAL, ""), Ok(()));
        assert_eq!(read(&with, PUBLIC, ""), Err(Denied::TokenMissing));
        assert_eq!(read(&with, PUBLIC, "Authorization: Bearer s3cret"), Ok(()));
    }
}
