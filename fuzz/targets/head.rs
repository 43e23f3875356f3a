//! Request heads. Each is read twice, by the engine and by a reader that is written here from
//! RFC 9112, line by line.
//!
//! - What the strict reader accepts the engine accepts, and both read the same.
//! - What the engine accepts is what a lenient reader reads: lines may end with LF alone, empty
//!   ones may come first, and any UTF-8 may be in the target.
//! - A head that comes in parts is partial until it is complete, and an error stays one.

#![no_main]

use std::net::Ipv6Addr;

use fanfare::fuzzing::{parse_head, Head, Request};
use libfuzzer_sys::fuzz_target;

const FIELDS_MAX: usize = 12;
/// The names that the engine asks for, and one that it does not ask for.
const NAMES: [&str; 9] = [
    "host",
    "accept",
    "last-event-id",
    "origin",
    "content-length",
    "transfer-encoding",
    "access-control-request-method",
    "authorization",
    "x",
];

fuzz_target!(|bytes: &[u8]| {
    let head = parse_head(bytes, FIELDS_MAX);
    check_parts(bytes, &head);
    match &head {
        Head::Complete(request, head_bytes) => {
            let reading = Reading::of(&bytes[..*head_bytes], false).expect("a head that is one");
            reading.check(request);
        }
        Head::TooManyFields => {
            assert!(bytes.iter().filter(|byte| **byte == b'\n').count() > FIELDS_MAX);
            let again = parse_head(bytes, bytes.len());
            assert!(!matches!(again, Head::TooManyFields));
        }
        Head::Partial => assert_eq!(Reading::end(bytes), None),
        Head::Malformed => {}
    }
    let end = Reading::end(bytes).unwrap_or(bytes.len());
    if let Some(reading) = Reading::of(&bytes[..end], true) {
        match (reading.fields.len() > FIELDS_MAX, reading.host().is_ok(), &head) {
            (true, _, Head::TooManyFields) | (false, false, Head::Malformed) => {}
            (false, true, Head::Complete(_, head_bytes)) => assert_eq!(*head_bytes, end),
            (_, _, head) => panic!("{head:?}"),
        }
    }
});

/// What the engine says of the beginnings of a head.
fn check_parts(bytes: &[u8], head: &Head<'_>) {
    let steps = bytes.len() / 16 + 1;
    for end in (0..bytes.len()).step_by(steps) {
        let agrees = match (parse_head(&bytes[..end], FIELDS_MAX), head) {
            (Head::Partial, Head::Complete(_, head_bytes)) => end < *head_bytes,
            (Head::Partial, _) => true,
            (Head::Complete(_, part), Head::Complete(_, whole)) => part == *whole,
            (Head::Malformed, Head::Malformed) | (Head::TooManyFields, Head::TooManyFields) => true,
            _ => false,
        };
        assert!(agrees, "the first {end} bytes");
    }
}

/// A head, as this reader has it.
struct Reading<'a> {
    method: &'a [u8],
    target: &'a str,
    minor_version: u8,
    fields: Vec<(Vec<u8>, &'a [u8])>,
}

impl<'a> Reading<'a> {
    /// Where a head ends: behind its first empty line that is not at its beginning.
    fn end(bytes: &[u8]) -> Option<usize> {
        let (mut at, mut begun) = (0, false);
        while let Some(length) = bytes[at..].iter().position(|byte| *byte == b'\n') {
            let line = &bytes[at..at + length];
            at += length + 1;
            match line {
                b"" | b"\r" if begun => return Some(at),
                b"" | b"\r" => {}
                _ => begun = true,
            }
        }
        None
    }

    /// Reads the bytes of a whole head: with nothing but what a sender may send, or with what a
    /// recipient may accept as well.
    fn of(bytes: &'a [u8], strictly: bool) -> Option<Reading<'a>> {
        let mut lines = Vec::new();
        for line in bytes.strip_suffix(b"\n")?.split(|byte| *byte == b'\n') {
            lines.push(match line.strip_suffix(b"\r") {
                Some(line) => line,
                None if strictly => return None,
                None => line,
            });
        }
        while !strictly && lines.first()?.is_empty() {
            lines.remove(0);
        }
        if lines.len() < 2 || !lines.pop()?.is_empty() {
            return None;
        }
        let mut words = lines[0].split(|byte| *byte == b' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let minor_version = match (version, words.next()) {
            (b"HTTP/1.0", None) => 0,
            (b"HTTP/1.1", None) => 1,
            _ => return None,
        };
        // A fragment is never sent (RFC 9112, section 3.2).
        let in_target = |byte: &u8| match byte {
            b'#' => false,
            byte => byte.is_ascii_graphic() || (!strictly && !byte.is_ascii()),
        };
        if !is_token(method) || target.is_empty() || !target.iter().all(in_target) {
            return None;
        }
        let fields = lines[1..].iter().map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
            let is_value = value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control());
            (is_token(name) && is_value).then(|| (name.to_ascii_lowercase(), value))
        });
        let fields = fields.collect::<Option<Vec<_>>>()?;
        Some(Reading { method, target: std::str::from_utf8(target).ok()?, minor_version, fields })
    }

    fn values<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + 'n {
        let named = self.fields.iter().filter(move |(field, _)| field == name.as_bytes());
        named.map(|(_, value)| *value)
    }

    /// The authority, the path and the query of the target.
    fn target(&self) -> (Option<&'a str>, &'a str, &'a str) {
        let (before, query) = match self.target.find('?') {
            Some(at) => (&self.target[..at], &self.target[at + 1..]),
            None => (self.target, ""),
        };
        let authority_and_path = match before.split_once("://") {
            Some((scheme, rest)) if !scheme.contains('/') => rest,
            _ => return (None, before, query),
        };
        match authority_and_path.find('/') {
            Some(at) => (Some(&authority_and_path[..at]), &authority_and_path[at..], query),
            // An empty path is the root's, if there is no query.
            None if before.len() == self.target.len() => (Some(authority_and_path), "/", query),
            None => (Some(authority_and_path), "", query),
        }
    }

    /// The name of the server that the request is for, as [`Request::host`] has it.
    fn host(&self) -> Result<&'a str, ()> {
        let hosts: Vec<_> = self.values("host").collect();
        let named = match hosts[..] {
            [] if self.minor_version == 1 => return Err(()),
            [] => "",
            [host] => host_of(std::str::from_utf8(host).map_err(drop)?)?,
            _ => return Err(()),
        };
        self.target().0.map_or(Ok(named), host_of)
    }

    /// Checks that the engine reads the same.
    fn check(&self, request: &Request<'_>) {
        assert_eq!(request.method().as_bytes(), self.method);
        assert_eq!(request.minor_version(), self.minor_version);
        let (_, path, query) = self.target();
        assert_eq!(request.target(), (path, query));
        assert_eq!(Ok(request.host()), self.host());
        assert!(self.fields.len() <= FIELDS_MAX);
        for name in NAMES {
            let value = self.values(name).next().map(|value| match std::str::from_utf8(value) {
                Ok(text) => text.to_owned(),
                Err(_) => value.iter().copied().map(char::from).collect(),
            });
            assert_eq!(request.field(name).as_deref(), value.as_deref(), "{name}");
        }
        let has_length = self.values("content-length").any(|length| length != b"0");
        let has_content = has_length || self.values("transfer-encoding").next().is_some();
        assert_eq!(request.has_content(), has_content);
        // One that names no media type takes any.
        assert!(request.accepts_event_stream() || self.values("accept").next().is_some());
    }
}

/// The host of `uri-host [":" port]`, RFC 3986, section 3.2.2.
fn host_of(authority: &str) -> Result<&str, ()> {
    let colon = match authority.rfind(']') {
        Some(bracket) => authority[bracket..].find(':').map(|at| bracket + at),
        None => authority.find(':'),
    };
    let (host, port) = authority.split_at(colon.unwrap_or(authority.len()));
    if !port.chars().skip(1).all(|digit| digit.is_ascii_digit()) {
        return Err(());
    }
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().map(|_| "[").map_err(drop);
    }
    let mut parts = host.split('%');
    let plain = |text: &str| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=".contains(c))
    };
    let escaped = |text: &str| {
        text.len() >= 2 && text.bytes().take(2).all(|b| b.is_ascii_hexdigit()) && plain(text)
    };
    match parts.next().is_some_and(plain) && parts.all(escaped) {
        true => Ok(host),
        false => Err(()),
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &[u8]) -> bool {
    let is_tchar = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !text.is_empty() && text.iter().all(is_tchar)
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
