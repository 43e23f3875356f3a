//! Which server a request is for, and whether that is this one.
//!
//! DNS rebinding is why it matters: `evil.example` first names the attacker's server, and then
//! 127.0.0.1. To a browser on this machine the attacker's page is then of the same origin as this
//! server, may read everything, and only `Host` tells. So on a loopback address `Host` has to be a
//! name that an attacker's DNS has no say in: an IP address, `localhost`, or a name that was given
//! to the server. The engine's own listener reads and compares hosts with the same code.

use std::net::{Ipv4Addr, SocketAddr};

use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{StatusCode, Version};

use super::answer::Refusal;
pub(crate) use super::host::ANY;
use super::host::{Host, Hosts};

/// The names by which the control side may be addressed.
#[derive(Debug)]
pub(crate) struct HostNames(Hosts);

impl HostNames {
    /// [`ANY`] is left out: the control listener asks for no token, and only `Host` keeps a page
    /// with a rebound name from publishing there.
    ///
    /// # Errors
    ///
    /// Says what is wrong with which name.
    pub(crate) fn new(names: &[String]) -> Result<HostNames, String> {
        let names: Vec<String> = names.iter().filter(|name| *name != ANY).cloned().collect();
        // Without names the check is the one of a loopback address, whatever the address is.
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(HostNames(Hosts::new(&names)?.on(Some(loopback))))
    }

    /// Whether a request for `authority` is for this server. One that names no host was not made by
    /// a browser.
    pub(super) fn check(&self, authority: Option<&str>) -> Result<(), Refusal> {
        match authority.map(Host::parse) {
            None => Ok(()),
            Some(Some(host)) if self.0.has(host) => Ok(()),
            Some(_) => {
                let error = "the request's Host is no name of this server; if it is, start the \
                             server with --host NAME";
                Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, error))
            }
        }
    }
}

/// The name in `name:port`, or an IPv4 address there; `None` for an IPv6 address, and for what is
/// neither.
pub(crate) fn name_of(authority: &str) -> Option<&str> {
    match Host::parse(authority) {
        Some(Host::Name(name)) => Some(name),
        Some(Host::Ipv6 | Host::None) | None => None,
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
    let is_host = |text: &str| Host::parse(text).is_some();
    let host = match host.map(|host| host.to_str().ok().filter(|host| is_host(host))) {
        None => None,
        Some(Some(host)) => Some(host),
        Some(None) => return bad("the request's Host is not a host with a port"),
    };
    match head.uri.authority().map(Authority::as_str) {
        Some(authority) if !is_host(authority) => {
            bad("the target's authority is not a host with a port")
        }
        authority => Ok(authority.or(host)),
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    #[test]
    fn names_of_the_server_are_right_and_an_asterisk_is_none_of_them() {
        let names = |names: &[&str]| {
            let names: Vec<_> = names.iter().copied().map(str::to_owned).collect();
            HostNames::new(&names).unwrap()
        };
        let given = names(&["*", "intra.example"]);
        for authority in ["Intra.Example:8080", "localhost.:1", "[::1]:8080", "127.1:80", ""] {
            assert!(given.check(Some(authority)).is_ok(), "{authority}");
        }
        assert!(given.check(None).is_ok());
        for hosts in [&given, &names(&["*"]), &names(&[])] {
            for authority in ["evil.example:8080", "*", "*:80", "x.intra.example", "u@localhost"] {
                let refusal = hosts.check(Some(authority)).unwrap_err();
                assert_eq!(refusal.status, StatusCode::MISDIRECTED_REQUEST, "{authority}");
            }
        }
        assert!(HostNames::new(&["a.example:80".to_owned()]).is_err());
    }

    #[test]
    fn a_name_is_what_comes_before_the_port() {
        assert_eq!(name_of("a.example:80"), Some("a.example"));
        assert_eq!(name_of("127.0.0.1:80"), Some("127.0.0.1"));
        for authority in ["[::1]:80", "[fe80::1%2]:80", ":80", "a b:80"] {
            assert_eq!(name_of(authority), None, "{authority}");
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
