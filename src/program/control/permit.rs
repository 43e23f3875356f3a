//! Who may publish, list connections, change their topics and end them.
//!
//! With a token: who shows it, and nobody else. A page of another origin cannot show one, since
//! the browser asks first (a preflight), and the control side gives no CORS.
//!
//! Without a token: programs of this machine, which is to say, a loopback peer whose request no
//! one made for somebody else. Three kinds of somebody else come from a loopback address:
//!
//! - Clients of a proxy on this machine. Proxies tell by `Forwarded`, `X-Forwarded-For`, `Via`
//!   and the like. One that tells nothing cannot be recognised: behind a proxy, set a token.
//! - Pages of other origins in a browser on this machine. A form can `POST` anywhere without
//!   asking; the browser tells by `Sec-Fetch-Site` and `Origin`.
//! - The same after DNS rebinding: `evil.example` first names the attacker's server, and then
//!   127.0.0.1. To the browser the page is then of the same origin as this server, and only the
//!   `Host` tells. So `Host` must be a name that an attacker's DNS has no say in: an IP address,
//!   `localhost`, or the one that the server was told to listen on.

use std::net::IpAddr;

use hyper::header::{HeaderMap, HeaderName, AUTHORIZATION, HOST, ORIGIN};

use crate::program::token::Token;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who may publish, list connections, change their topics and end them.
#[derive(Debug)]
pub(crate) enum Permit {
    /// Who shows the token.
    Token(Token),
    /// Programs of this machine.
    Local {
        /// The host's name in the address to listen on.
        host: String,
    },
}

/// Why a request may not do what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It has to show the token.
    TokenWanted,
    /// It would have to show a token, but there is none.
    Forbidden(&'static str),
}

impl Permit {
    /// Only the token's holders if there is a token, otherwise only programs of this machine.
    pub(crate) fn new(token: Option<Token>, listen: &str) -> Permit {
        match token {
            Some(token) => Permit::Token(token),
            None => Permit::Local { host: host_name(listen).to_owned() },
        }
    }

    /// Whether a request from a peer, with these header fields, may do so.
    pub(crate) fn check(&self, peer: IpAddr, fields: &HeaderMap) -> Result<(), Denied> {
        match self {
            Permit::Token(token) => match one(fields, &AUTHORIZATION) {
                Ok(Some(shown)) if bearer(shown).is_some_and(|shown| token.is(shown)) => Ok(()),
                _ => Err(Denied::TokenWanted),
            },
            Permit::Local { host } => check_local(host, peer, fields).map_err(Denied::Forbidden),
        }
    }
}

/// The token of an `Authorization` field: RFC 6750, section 2.1. The scheme's case is free.
fn bearer(field: &str) -> Option<&[u8]> {
    let (scheme, token) = field.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().as_bytes())
}

fn check_local(listen_host: &str, peer: IpAddr, fields: &HeaderMap) -> Result<(), &'static str> {
    if !peer.to_canonical().is_loopback() {
        return Err("without a token only programs of this machine may do this");
    }
    if fields.keys().any(tells_of_a_proxy) {
        return Err("without a token no forwarded request may do this");
    }
    let once = |name| one(fields, name).map_err(|()| "a field of the request makes no sense");
    let host = once(&HOST)?;
    // HTTP/1.1 demands a Host, and every browser sends one.
    if host.is_some_and(|host| !is_own_name(host_name(host), listen_host)) {
        return Err("without a token only requests to an IP address or localhost may do this");
    }
    let elsewhere = "without a token no page of another origin may do this";
    match once(&SEC_FETCH_SITE)? {
        None | Some("same-origin" | "none") => {}
        Some(_) => return Err(elsewhere),
    }
    let same = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.zip(host).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    match once(&ORIGIN)? {
        Some(origin) if !same(origin) => Err(elsewhere),
        _ => Ok(()),
    }
}

fn tells_of_a_proxy(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded")
        || matches!(
            name,
            "forwarded"
                | "via"
                | "x-real-ip"
                | "x-client-ip"
                | "true-client-ip"
                | "cf-connecting-ip"
                | "x-cluster-client-ip"
        )
}

/// Whether a host's name means this machine whatever any DNS says.
fn is_own_name(name: &str, listen_host: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let lower = bare.to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok()
        || lower == "localhost"
        || lower.ends_with(".localhost")
        || name.eq_ignore_ascii_case(listen_host)
}

/// The host of `host:port`, with the brackets of an IPv6 address.
fn host_name(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
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

    fn fields(text: &str) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for line in text.split(" | ").filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            fields.append(name, HeaderValue::from_str(value).unwrap());
        }
        fields
    }

    fn may_publish(permit: &Permit, peer: &str, text: &str) -> bool {
        permit.check(peer.parse().unwrap(), &fields(text)).is_ok()
    }

    #[test]
    fn without_a_token_only_unforwarded_requests_of_this_machine_may_publish() {
        let permit = Permit::new(None, "intra.example:8080");
        for (peer, text, expected) in [
            ("127.0.0.1", "Host: 127.0.0.1:8080", true),
            ("127.8.9.1", "Host: localhost", true),
            ("::1", "Host: [::1]:8080", true),
            ("::ffff:127.0.0.1", "Host: a.localhost:1", true),
            ("127.0.0.1", "", true),
            ("127.0.0.1", "Host: intra.example:8080", true),
            ("192.168.1.7", "Host: 127.0.0.1:8080", false),
            ("::ffff:192.168.1.7", "Host: localhost", false),
            ("127.0.0.1", "Host: localhost | Forwarded: for=1.2.3.4", false),
            ("127.0.0.1", "Host: localhost | X-Forwarded-For: 127.0.0.1", false),
            ("127.0.0.1", "Host: localhost | X-Forwarded-Proto: https", false),
            ("127.0.0.1", "Host: localhost | Via: 1.1 proxy", false),
            ("127.0.0.1", "Host: localhost | X-Real-IP: 1.2.3.4", false),
            ("127.0.0.1", "Host: evil.example:8080", false),
            ("127.0.0.1", "Host: localhost.evil.example", false),
            ("127.0.0.1", "Host: 127.0.0.1.evil.example:8080", false),
            ("127.0.0.1", "Host: localhost | Host: evil.example", false),
        ] {
            assert_eq!(may_publish(&permit, peer, text), expected, "{peer} {text}");
        }
    }

    #[test]
    fn without_a_token_a_page_may_publish_only_to_its_own_origin() {
        let permit = Permit::new(None, "127.0.0.1:8080");
        for (text, expected) in [
            ("Origin: http://localhost:8080 | Sec-Fetch-Site: same-origin", true),
            ("Origin: http://LOCALHOST:8080", true),
            ("Sec-Fetch-Site: none", true),
            ("Sec-Fetch-Site: same-site", false),
            ("Sec-Fetch-Site: cross-site", false),
            ("Sec-Fetch-Site: same-origin | Origin: http://localhost:9090", false),
            ("Origin: http://localhost", false),
            ("Origin: null", false),
            ("Origin: http://evil.example", false),
            ("Origin: http://localhost:8080 | Origin: http://evil.example", false),
            ("Origin: localhost:8080", false),
        ] {
            let text = format!("Host: localhost:8080 | {text}");
            assert_eq!(may_publish(&permit, "127.0.0.1", &text), expected, "{text}");
        }
        assert!(!may_publish(&permit, "127.0.0.1", "Origin: http://localhost"));
    }

    #[test]
    fn with_a_token_everyone_has_to_show_it() {
        let directory = std::env::temp_dir().join(format!("fanfare-permit-{}", std::process::id()));
        std::fs::write(&directory, "s3cret\n").unwrap();
        let token = Token::find(Some(&directory)).unwrap();
        std::fs::remove_file(&directory).unwrap();
        let permit = Permit::new(token, "127.0.0.1:8080");
        for (text, expected) in [
            ("Authorization: Bearer s3cret", true),
            ("Authorization: bearer s3cret", true),
            ("Authorization: Bearer s3cret | Via: 1.1 proxy | Host: h", true),
            ("", false),
            ("Host: localhost", false),
            ("Authorization: Bearer s3cre", false),
            ("Authorization: Bearer s3crets", false),
            ("Authorization: Basic s3cret", false),
            ("Authorization: s3cret", false),
            ("Authorization: Bearer", false),
            ("Authorization: Bearer s3cret | Authorization: Bearer x", false),
        ] {
            assert_eq!(may_publish(&permit, "127.0.0.1", text), expected, "{text}");
            assert_eq!(may_publish(&permit, "192.168.1.7", text), expected, "{text}");
        }
    }
}
