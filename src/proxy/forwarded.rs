//! The header fields in which proxies say who their client is: `X-Forwarded-For`, and `Forwarded`
//! (RFC 7239).
//!
//! Each proxy adds its client behind what it was sent, so the list is read from its end: the last
//! entry is of the proxy that the connection is from, and each earlier one is believed only as long
//! as all behind it are trusted proxies. Nothing that a client writes changes how an entry behind
//! it is read, not even a quotation mark that is left open.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::header::is_a_clients;
use super::networks::Networks;
use crate::excerpt::Excerpt;

/// The most entries that are looked at.
const ENTRIES_MAX: usize = 64;

/// The header field in which trusted proxies say who their client is.
///
/// # Examples
///
/// ```
/// use fanfare::{ForwardedHeader, ListenOptions};
///
/// let options = ListenOptions::default()
///     .trusted_proxies(["10.0.0.0/8"])
///     .forwarded_header(ForwardedHeader::Forwarded);
/// # let _ = options;
/// ```
///
/// By name:
///
/// ```
/// use fanfare::ForwardedHeader;
///
/// assert_eq!("forwarded".parse(), Ok(ForwardedHeader::Forwarded));
/// assert_eq!(ForwardedHeader::XForwardedFor.as_str(), "x-forwarded-for");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: 192.0.2.1, 10.0.0.1`, which most proxies send.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=192.0.2.1, for="[2001:db8::1]:443"` (RFC 7239).
    Forwarded,
}

/// There is no such header field.
///
/// # Examples
///
/// ```
/// use fanfare::{ForwardedHeader, ForwardedHeaderError};
///
/// let error: ForwardedHeaderError = "x-real-ip".parse::<ForwardedHeader>().unwrap_err();
/// assert!(error.to_string().ends_with("give one of x-forwarded-for, forwarded"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedHeaderError {
    name: Excerpt,
}

impl ForwardedHeader {
    const ALL: [ForwardedHeader; 2] = [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded];

    /// Every such field, in an order in which new ones come last.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::ForwardedHeader;
    ///
    /// assert!(ForwardedHeader::all().all(|header| header.as_str().parse() == Ok(header)));
    /// ```
    pub fn all() -> impl Iterator<Item = ForwardedHeader> {
        ForwardedHeader::ALL.into_iter()
    }

    /// The field's name, in lower case.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::ForwardedHeader;
    ///
    /// assert_eq!(ForwardedHeader::Forwarded.as_str(), "forwarded");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        }
    }
}

impl FromStr for ForwardedHeader {
    type Err = ForwardedHeaderError;

    fn from_str(name: &str) -> Result<ForwardedHeader, ForwardedHeaderError> {
        let known = ForwardedHeader::all().find(|header| header.as_str() == name);
        known.ok_or_else(|| ForwardedHeaderError { name: Excerpt::of(name) })
    }
}

impl fmt::Display for ForwardedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ForwardedHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ForwardedHeader::ALL.map(ForwardedHeader::as_str).join(", ");
        write!(
            f,
            "no header field {} is read for the client's address; give one of {names}",
            self.name
        )
    }
}

impl std::error::Error for ForwardedHeaderError {}

/// The client that a trusted proxy has sent a request for, by the values of all fields of the name
/// in their order: the last address that is not a trusted proxy's. If the list ends without one, or
/// has something else in this place, it is the address of the trusted proxy that is farthest from
/// here; `None` if there is none but the one that the connection is from.
pub(crate) fn client_of<'a>(
    header: ForwardedHeader,
    values: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &Networks,
) -> Option<SocketAddr> {
    let mut farthest = None;
    let entries = values.rev().flat_map(Entries::new).filter(|entry| !entry.is_empty());
    for entry in entries.take(ENTRIES_MAX) {
        let node = match header {
            ForwardedHeader::XForwardedFor => std::str::from_utf8(entry).ok().and_then(node),
            ForwardedHeader::Forwarded => for_of(entry),
        };
        let Some(node) = node.filter(is_a_clients) else { break };
        farthest = Some(node);
        if !trusted.has(node.ip()) {
            break;
        }
    }
    farthest
}

/// The entries of a list, the last first, without the white space around them. A comma between
/// quotation marks separates nothing.
struct Entries<'a>(Option<&'a [u8]>);

impl<'a> Entries<'a> {
    fn new(value: &'a [u8]) -> Entries<'a> {
        Entries(Some(value))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let (before, entry) = match last_outside_of_quotes(rest, b',') {
            Some(comma) => (Some(&rest[..comma]), &rest[comma + 1..]),
            None => (None, rest),
        };
        self.0 = before;
        Some(entry.trim_ascii())
    }
}

/// The last place of a byte that is not between quotation marks, seen from the end.
fn last_outside_of_quotes(bytes: &[u8], wanted: u8) -> Option<usize> {
    let mut is_quoted = false;
    for at in (0..bytes.len()).rev() {
        match bytes[at] {
            b'"' => {
                let escapes = bytes[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
                is_quoted ^= !(is_quoted && escapes % 2 == 1);
            }
            byte if byte == wanted && !is_quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// The `for` of an entry of `Forwarded`, which has one at most (RFC 7239, section 4).
fn for_of(mut entry: &[u8]) -> Option<SocketAddr> {
    let mut found = None;
    loop {
        let semicolon = last_outside_of_quotes(entry, b';');
        let pair = semicolon.map_or(entry, |at| &entry[at + 1..]);
        if !pair.is_empty() {
            let pair = std::str::from_utf8(pair).ok()?.trim_matches([' ', '\t']);
            let (name, value) = pair.split_once('=')?;
            if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
                return None;
            }
        }
        match semicolon {
            Some(at) => entry = &entry[..at],
            None => break,
        }
    }
    let value = found?;
    match value.strip_prefix('"') {
        // No address has a character that is written with a backslash.
        Some(quoted) => node(quoted.strip_suffix('"')?),
        // Without quotation marks there is neither a port nor IPv6, but some proxies write them.
        None => node(value),
    }
}

/// An address with or without a port; port 0 stands for none. No name, no `unknown`, and nothing
/// that a proxy has made up (RFC 7239, section 6).
fn node(text: &str) -> Option<SocketAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, 0));
    }
    if let Some(ip) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return ip.parse::<Ipv6Addr>().ok().map(|ip| SocketAddr::new(ip.into(), 0));
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(header: ForwardedHeader, values: &[&str]) -> Option<String> {
        let trusted = Networks::new(&["10.0.0.0/8".into(), "2001:db8::/32".into()]).unwrap();
        let values = values.iter().map(|value| value.as_bytes());
        client_of(header, values, &trusted).map(|addr| addr.to_string())
    }

    fn assert_is(header: ForwardedHeader, values: &[&str], expected: &str) {
        let expected = (!expected.is_empty()).then(|| expected.to_owned());
        assert_eq!(client(header, values), expected, "{values:?}");
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_a_trusted_proxys() {
        for (values, expected) in [
            (&["192.0.2.1"][..], "192.0.2.1:0"),
            (&["1.1.1.1, 192.0.2.1"], "192.0.2.1:0"),
            (&["1.1.1.1,192.0.2.1 ,10.0.0.1,\t10.0.0.2"], "192.0.2.1:0"),
            (&["1.1.1.1", "192.0.2.1, 10.0.0.1"], "192.0.2.1:0"),
            (&["192.0.2.1:4711, 10.0.0.1:80"], "192.0.2.1:4711"),
            (&["2001:db9::1"], "[2001:db9::1]:0"),
            (&["[2001:db9::1]:80, [2001:db8::1]"], "[2001:db9::1]:80"),
            (&["::ffff:192.0.2.1, ::ffff:10.0.0.1"], "[::ffff:192.0.2.1]:0"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3:0"),
            (&["192.0.2.1, , ,"], "192.0.2.1:0"),
            (&[], ""),
            (&["", " , "], ""),
        ] {
            assert_is(ForwardedHeader::XForwardedFor, values, expected);
        }
        for (values, expected) in [
            (&["for=192.0.2.1"][..], "192.0.2.1:0"),
            (&["For=\"192.0.2.1:47\";proto=https;by=10.0.0.1"], "192.0.2.1:47"),
            (&["for=1.1.1.1, proto=http ; for=192.0.2.1, for=10.0.0.1"], "192.0.2.1:0"),
            (&["for=\"[2001:db9::1]:80\", for=\"[2001:db8::1]\""], "[2001:db9::1]:80"),
            (&["for=192.0.2.1;host=\"a,b;for=1.1.1.1\\\"\""], "192.0.2.1:0"),
            (&["for=1.1.1.1", "for=10.0.0.2;;"], "1.1.1.1:0"),
        ] {
            assert_is(ForwardedHeader::Forwarded, values, expected);
        }
    }

    #[test]
    fn what_is_no_address_ends_at_the_trusted_proxy_before_it() {
        for entry in [
            "unknown",
            "_hidden",
            "a.example",
            "192.0.2.1.",
            "192.0.2.01",
            "192.0.2.1:",
            "-",
            "[192.0.2.1]",
            "2001:db9::1%eth0",
            "\"192.0.2.1\"",
            "192.0.2.1 x",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "1\u{e9}",
        ] {
            assert_is(ForwardedHeader::XForwardedFor, &[entry], "");
            let list = format!("1.1.1.1, {entry}, 10.0.0.1");
            assert_is(ForwardedHeader::XForwardedFor, &[&list], "10.0.0.1:0");
        }
        for entry in [
            "192.0.2.1",
            "by=192.0.2.1",
            "for",
            "for=",
            "for=unknown",
            "for=_x;by=192.0.2.1",
            "for=\"192.0.2.1",
            "for=192.0.2.1\"",
            "for=192.0.2.1;for=192.0.2.1",
            "for = 192.0.2.1",
            "for=192.0.2.1;x",
            "for=\"\\192.0.2.1\"",
        ] {
            assert_is(
                ForwardedHeader::Forwarded,
                &[&format!("{entry}, for=10.0.0.1")],
                "10.0.0.1:0",
            );
        }
    }

    #[test]
    fn nothing_that_a_client_writes_hides_what_its_proxy_adds() {
        for begin in
            ["\"", "\\", "for=\"", "for=\"\\", "for=\"a\\\\\"", ";", ",,", "=", "for=1.1.1.1;x=\""]
        {
            for added in ["for=192.0.2.1", "for=\"192.0.2.1:0\"", "by=\"[::1]\";for=192.0.2.1"] {
                let list = format!("{begin}, {added}");
                assert_is(ForwardedHeader::Forwarded, &[&list], "192.0.2.1:0");
                assert_is(ForwardedHeader::Forwarded, &[begin, added], "192.0.2.1:0");
            }
            assert_is(
                ForwardedHeader::XForwardedFor,
                &[&format!("{begin}, 192.0.2.1")],
                "192.0.2.1:0",
            );
        }
    }

    #[test]
    fn a_list_of_proxies_is_followed_for_so_many_entries_and_no_more() {
        let list = |proxies: usize| format!("192.0.2.1{}", ", 10.0.0.1".repeat(proxies));
        assert_is(ForwardedHeader::XForwardedFor, &[&list(63)], "192.0.2.1:0");
        assert_is(ForwardedHeader::XForwardedFor, &[&list(64)], "10.0.0.1:0");
    }

    #[test]
    fn every_header_has_a_name_and_an_unknown_one_is_told_what_there_is() {
        for header in ForwardedHeader::all() {
            assert_eq!(header.to_string().parse(), Ok(header));
        }
        let error = "Forwarded-For".parse::<ForwardedHeader>().unwrap_err().to_string();
        assert!(error.ends_with("give one of x-forwarded-for, forwarded"), "{error}");
    }
}
