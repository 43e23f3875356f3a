//! The server that a request is for: `Host`, or the authority of a target in absolute form (RFC
//! 9110, section 7.2; RFC 9112, section 3.2); and the names by which a listener may be addressed.

use std::net::{Ipv6Addr, SocketAddr};

// The program's control side compiles this file as well, so the path is relative.
use super::super::excerpt::Excerpt;

/// The host of an authority, without its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host<'a> {
    /// None is named: the field is empty, or there is none, as HTTP/1.0 allows.
    None,
    /// An IPv6 address.
    Ipv6,
    /// A name, or an IPv4 address, as it was written.
    Name(&'a str),
}

impl<'a> Host<'a> {
    /// Reads `uri-host [":" port]` (RFC 3986, section 3.2.2); `None` for anything else, such as
    /// what has a user.
    pub(crate) fn parse(authority: &'a str) -> Option<Host<'a>> {
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (address, port) = bracketed.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (Host::Ipv6, if port.is_empty() { port } else { port.strip_prefix(':')? })
            }
            None => {
                let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
                (Host::of_name(name)?, port)
            }
        };
        port.bytes().all(|byte| byte.is_ascii_digit()).then_some(host)
    }

    fn of_name(name: &'a str) -> Option<Host<'a>> {
        let mut bytes = name.bytes();
        while let Some(byte) = bytes.next() {
            let mut is_digit = || bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit());
            let fits = match byte {
                b'%' => is_digit() && is_digit(),
                b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' => true,
                b'*' | b'+' | b',' | b';' | b'=' => true,
                _ => byte.is_ascii_alphanumeric(),
            };
            if !fits {
                return None;
            }
        }
        Some(if name.is_empty() { Host::None } else { Host::Name(name) })
    }
}

/// Whether a host's last label is a number. Then it is an IPv4 address, or a short form that some
/// clients take for one, such as `127.1`, and not a name, since no top-level domain is a number
/// (WHATWG URL, section "Host parsing").
pub(super) fn ends_in_a_number(host: &str) -> bool {
    let last = without_last_dot(host).rsplit('.').next().unwrap_or("");
    let hexadecimal = last.strip_prefix("0x").or(last.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|digit| digit.is_ascii_digit()),
    }
}

/// The entry of a list that allows any host.
pub(crate) const ANY: &str = "*";

/// The names by which a listener may be addressed: any, unless some are listed, or its address is
/// one of this machine alone and [`ANY`] is not listed.
#[derive(Debug)]
pub(crate) struct Hosts {
    names: Vec<String>,
    others: Others,
}

/// Whether names that are not listed are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Wrong,
    /// Since no names are listed.
    RightOffLoopback,
    Right,
}

impl Hosts {
    /// The names of a list.
    ///
    /// # Errors
    ///
    /// Says what is wrong with which name.
    pub(crate) fn new(names: &[String]) -> Result<Hosts, String> {
        let wrong = |name: &str, why: &str| format!("{}: {why}", Excerpt::of(name));
        let mut known = Vec::new();
        for name in names.iter().filter(|name| *name != ANY) {
            if !name.is_ascii() {
                return Err(wrong(name, "write it as DNS has it, in punycode (xn--...)"));
            }
            match Host::parse(name) {
                // Addresses are right in any case.
                Some(Host::Ipv6) => {}
                Some(Host::Name(plain)) if ends_in_a_number(plain) && plain == name => {}
                Some(Host::Name(plain)) if plain == name && !name.contains(['*', '%']) => {
                    known.push(without_last_dot(name).to_ascii_lowercase());
                }
                _ => {
                    let why =
                        "a name is wanted, without scheme, port or wildcard, or `*` alone for \
                               any";
                    return Err(wrong(name, why));
                }
            }
        }
        let others = match names {
            [] => Others::RightOffLoopback,
            names if names.iter().any(|name| name == ANY) => Others::Right,
            _ => Others::Wrong,
        };
        Ok(Hosts { names: known, others })
    }

    /// The names that are right on an address; `None` is that of a Unix domain socket, where no
    /// page gets.
    pub(crate) fn on(&self, local: Option<SocketAddr>) -> Hosts {
        let is_loopback = local.is_some_and(|local| local.ip().to_canonical().is_loopback());
        let others = match self.others {
            Others::RightOffLoopback if is_loopback => Others::Wrong,
            Others::RightOffLoopback => Others::Right,
            others => others,
        };
        Hosts { names: self.names.clone(), others }
    }

    /// Whether a request for this host is for this listener. An attacker can point nothing but a
    /// name at the listener, so addresses are right, and so is no host at all.
    pub(crate) fn has(&self, host: Host<'_>) -> bool {
        let Host::Name(name) = host else { return true };
        if self.others == Others::Right || ends_in_a_number(name) {
            return true;
        }
        let name = without_last_dot(name);
        let last_label = name.rsplit('.').next().unwrap_or("");
        last_label.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|known| name.eq_ignore_ascii_case(known))
    }
}

fn without_last_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_has_a_host_and_perhaps_a_port_and_nothing_else() {
        for (authority, host) in [
            ("", Host::None),
            (":80", Host::None),
            ("127.0.0.1:8080", Host::Name("127.0.0.1")),
            ("[::1]", Host::Ipv6),
            ("[::ffff:127.0.0.1]:80", Host::Ipv6),
            ("a.example.:80", Host::Name("a.example.")),
            ("a_b%2d:", Host::Name("a_b%2d")),
        ] {
            assert_eq!(Host::parse(authority), Some(host), "{authority:?}");
        }
        for authority in
            ["a:b", "a:1:2", "user@a", "a b", "a/b", "[::1", "[::1]80", "[a]", "::1", "a%2", "é"]
        {
            assert_eq!(Host::parse(authority), None, "{authority:?}");
        }
    }

    #[test]
    fn on_a_loopback_address_or_with_a_list_only_names_that_are_known_are_right() {
        let has = |hosts: &Hosts, host| hosts.has(Host::parse(host).unwrap());
        for local in ["127.0.0.1:80", "127.8.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            let hosts = Hosts::new(&["App.Example.".into()]).unwrap().on(local.parse().ok());
            for host in [
                "localhost",
                "LOCALHOST.:1",
                "a.localhost",
                "app.example:8080",
                "APP.example.",
                "127.0.0.1",
                "[::1]:8080",
                "192.0.2.1",
                "127.1",
                "0x7f000001",
                "",
            ] {
                assert!(has(&hosts, host), "{host}");
            }
            for host in ["evil.example", "notlocalhost", "localhost.evil.example", "x.app.example"]
            {
                assert!(!has(&hosts, host), "{host}");
            }
        }
        let public = "192.0.2.1:80".parse().ok();
        assert!(has(&Hosts::new(&[]).unwrap().on(public), "evil.example"));
        assert!(!has(&Hosts::new(&[]).unwrap().on("[::1]:80".parse().ok()), "evil.example"));
        assert!(has(&Hosts::new(&[]).unwrap().on(None), "evil.example"));
        let listed = Hosts::new(&["a.example".into()]).unwrap();
        assert!(!has(&listed.on(None), "evil.example"));
        let listed = listed.on(public);
        assert!(!has(&listed, "evil.example") && has(&listed, "a.example"));
    }

    #[test]
    fn an_asterisk_in_the_list_allows_any_host_also_on_a_loopback_address() {
        for names in [&["*"][..], &["*", "a.example"], &["a.example", "127.0.0.1", "*"]] {
            let names: Vec<_> = names.iter().copied().map(str::to_owned).collect();
            let listed = Hosts::new(&names).unwrap();
            for local in ["127.0.0.1:80", "[::1]:80", "192.0.2.1:80"] {
                let hosts = listed.on(local.parse().ok());
                for host in ["evil.example", "a.example:80", "localhost", "[::1]", "*", ""] {
                    assert!(hosts.has(Host::parse(host).unwrap()), "{names:?} {local} {host}");
                }
            }
        }
    }

    #[test]
    fn a_name_that_no_request_could_have_is_an_error_that_names_it() {
        for name in [
            "",
            "a.example:80",
            "https://a.example",
            "*.a.example",
            "**",
            "*:80",
            " *",
            "a@b",
            "größe.de",
        ] {
            // Also beside an entry that makes the check needless: it is a mistake in any case.
            for names in [vec![name.to_owned()], vec!["*".to_owned(), name.to_owned()]] {
                let error = Hosts::new(&names).unwrap_err();
                assert!(error.starts_with(&format!("\"{name}\": ")), "{error}");
            }
        }
    }
}
