//! Which host a request is for, and whether that is this server.
//!
//! DNS rebinding is why it matters: `evil.example` first names the attacker's server, and then
//! 127.0.0.1. To a browser on this machine the attacker's page is then of the same origin as this
//! server, may read everything, and only `Host` tells. So on a loopback address `Host` has to be a
//! name that an attacker's DNS has no say in: an IP address, `localhost`, or one that the server was
//! told is its own.

use std::net::{IpAddr, Ipv6Addr};

use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{StatusCode, Version};

use super::answer::Refusal;

/// What stands for any host at the public listener.
pub(crate) const ANY: &str = "*";

/// The names of this server.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    /// [`ANY`] is none of them: the control listener asks for no token, and only `Host` keeps a page
    /// with a rebound name from publishing there.
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Hosts {
        Hosts { names: names.into_iter().filter(|name| name != ANY).collect() }
    }

    /// Whether a request for `authority` is for this server. One that names no host was not made by
    /// a browser.
    pub(super) fn check(&self, authority: Option<&str>) -> Result<(), Refusal> {
        match authority.map(host_name) {
            Some(name) if !name.is_empty() && !self.is_own(name) => {
                let error = "the request's Host is no name of this server; if it is, start the \
                             server with --host NAME";
                Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, error))
            }
            _ => Ok(()),
        }
    }

    /// Whether a host's name means this machine whatever any DNS says.
    fn is_own(&self, name: &str) -> bool {
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let bare = bare.strip_suffix('.').unwrap_or(bare);
        let lower = bare.to_ascii_lowercase();
        let last_label = lower.rsplit('.').next().unwrap_or("");
        // No name ends in a number (WHATWG URL, "Host parsing"), but short forms of addresses do.
        let is_number =
            !last_label.is_empty() && last_label.bytes().all(|byte| byte.is_ascii_digit());
        is_number
            || bare.parse::<IpAddr>().is_ok()
            || lower == "localhost"
            || lower.ends_with(".localhost")
            || self.names.iter().any(|own| own.eq_ignore_ascii_case(bare))
    }
}

/// The host of `host:port`, with the brackets of an IPv6 address.
pub(crate) fn host_name(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// The host and port that a request is for: those of its target in absolute form, or else of its
/// `Host`, of which there has to be one, or none with HTTP/1.0 (RFC 9112, section 3.2).
pub(super) fn authority_of(head: &Parts) -> Result<Option<&str>, Refusal> {
    let bad = |error| Err(Refusal::new(StatusCode::BAD_REQUEST, error));
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return bad("the request has more than one Host"),
        (None, _) if head.version == Version::HTTP_11 => return bad("the request has no Host"),
        (host, _) => host,
    };
    let host = match host.map(|host| host.to_str().ok().filter(|host| is_host(host))) {
        None => None,
        Some(Some(host)) => Some(host),
        Some(None) => return bad("the request's Host is not a host"),
    };
    match head.uri.authority().map(Authority::as_str) {
        // As the engine has it, which may read the same request.
        Some(authority) if !is_host(authority) => bad("the target's authority is not a host"),
        authority => Ok(authority.or(host)),
    }
}

/// Whether a text is nothing, or a host and perhaps a port, and has no user.
fn is_host(text: &str) -> bool {
    // What is left of the port is a name or an address in brackets.
    let name = host_name(text);
    let is_plain = match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|it| it.parse::<Ipv6Addr>().is_ok()),
        None => !name.contains([':', '@']),
    };
    text.is_empty() || is_plain && text.parse::<Authority>().is_ok()
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    #[test]
    fn addresses_loopback_names_and_names_of_ones_own_are_right() {
        let hosts = Hosts::new(["intra.example".to_owned()]);
        for authority in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "localhost",
            "LocalHost:1",
            "localhost.:8080",
            "a.localhost:1",
            "[::1]:8080",
            "[::1]",
            "127.1:80",
            "",
            "192.168.1.7:80",
            "Intra.Example:8080",
        ] {
            assert!(hosts.check(Some(authority)).is_ok(), "{authority}");
        }
        assert!(hosts.check(None).is_ok());
        for authority in [
            "evil.example:8080",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8080",
            "x.intra.example",
            "evillocalhost",
            "1.2.3.4.x",
        ] {
            let refusal = hosts.check(Some(authority)).unwrap_err();
            assert_eq!(refusal.status, StatusCode::MISDIRECTED_REQUEST, "{authority}");
        }
    }

    #[test]
    fn what_stands_for_any_host_elsewhere_is_no_name_here() {
        let hosts = Hosts::new(["*".to_owned(), "intra.example".to_owned()]);
        for authority in ["evil.example:8080", "*", "*:80", "x.intra.example"] {
            let refusal = hosts.check(Some(authority)).unwrap_err();
            assert_eq!(refusal.status, StatusCode::MISDIRECTED_REQUEST, "{authority}");
        }
        for authority in ["intra.example", "localhost:8080", "[::1]"] {
            assert!(hosts.check(Some(authority)).is_ok(), "{authority}");
        }
    }

    #[test]
    fn the_target_comes_before_the_one_host_that_there_has_to_be() {
        let authority = |target: &str, version, hosts: &[&str]| {
            let mut request = Request::builder().uri(target).version(version);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            authority_of(&head).map(|authority| authority.map(str::to_owned)).map_err(|r| r.status)
        };
        const V1: Version = Version::HTTP_11;
        assert_eq!(authority("/a", V1, &["h:1"]), Ok(Some("h:1".to_owned())));
        assert_eq!(authority("http://b:2/a", V1, &["h:1"]), Ok(Some("b:2".to_owned())));
        assert_eq!(authority("/a", Version::HTTP_10, &[]), Ok(None));
        let bad = Err(StatusCode::BAD_REQUEST);
        for hosts in [&[][..], &["a", "b"], &["a", "a"], &["a b"], &["a/b"], &["u@h"], &["h:x"]] {
            assert_eq!(authority("/a", V1, hosts), bad, "{hosts:?}");
        }
        assert_eq!(authority("http://b/", V1, &["a", "b"]), bad);
        for target in ["http://u@b/", "http://evil.example:@127.0.0.1/", "http://[::1]x/"] {
            assert_eq!(authority(target, V1, &["a"]), bad, "{target}");
        }
        for host in ["[::1]x", "[evil.example]", "[x]@1"] {
            assert_eq!(authority("/", V1, &[host]), bad, "{host}");
        }
        assert_eq!(authority("http://[::1]:2/", V1, &["a"]), Ok(Some("[::1]:2".to_owned())));
    }
}
