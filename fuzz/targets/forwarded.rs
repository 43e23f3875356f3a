//! `X-Forwarded-For` and `Forwarded`, whose values are the lines of the input.
//!
//! - What a trusted proxy adds behind them decides, whatever is before it.
//! - A list that is written as RFC 7239, section 4, has it is read as a reader does that is written
//!   here from that section, and reads it from its beginning.

#![no_main]

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use fanfare::fuzzing::Trusted;
use fanfare::ForwardedHeader;
use libfuzzer_sys::fuzz_target;

/// The most entries that the engine looks at.
const ENTRIES_MAX: usize = 64;

fuzz_target!(|lines: &[u8]| {
    let trusted = Trusted::new(&["10.0.0.0/8", "2001:db8::/32"]).unwrap();
    let values: Vec<&[u8]> = lines.split(|&byte| byte == b'\n').collect();
    for header in ForwardedHeader::all() {
        let client = trusted.client_of(header, &values);
        added(&trusted, header, &values, client);
        let read: Option<Vec<Vec<Entry>>> =
            values.iter().map(|value| read(header, value)).collect();
        if let Some(entries) = read {
            assert_eq!(client, model(&entries.concat()), "{header}");
        }
    }
});

/// Adds an entry, in the last line and in one of its own.
fn added(trusted: &Trusted, header: ForwardedHeader, values: &[&[u8]], before: Option<SocketAddr>) {
    let prefix = if header == ForwardedHeader::Forwarded { "for=" } else { "" };
    let (&last, earlier) = values.split_last().unwrap();
    let with = |added: &str| {
        let added = format!("{prefix}{added}").into_bytes();
        let longer = [last, b", ", &added].concat();
        let same_line = trusted.client_of(header, &[earlier, &[&longer[..]]].concat());
        let own_line = trusted.client_of(header, &[values, &[&added[..]]].concat());
        assert_eq!(same_line, own_line, "{header}");
        own_line
    };
    assert_eq!(with("192.0.2.7"), "192.0.2.7:0".parse().ok());
    assert_eq!(with("unknown"), None);
    if values.len() + lines_commas(values) < ENTRIES_MAX {
        let proxy = "10.9.8.7:0".parse().ok();
        assert_eq!(with("10.9.8.7"), before.or(proxy), "{header}");
    }
}

fn lines_commas(values: &[&[u8]]) -> usize {
    values.iter().map(|value| value.iter().filter(|&&byte| byte == b',').count()).sum()
}

/// What an entry names, if it is an address.
type Entry = Option<SocketAddr>;

/// The client by all entries.
fn model(entries: &[Entry]) -> Option<SocketAddr> {
    let is_trusted = |addr: &SocketAddr| match addr.ip().to_canonical() {
        IpAddr::V4(ip) => ip.octets()[0] == 10,
        IpAddr::V6(ip) => ip.segments()[..2] == [0x2001, 0xdb8],
    };
    let mut client = None;
    for entry in entries.iter().rev().take(ENTRIES_MAX) {
        let Some(addr) = entry else { break };
        client = Some(*addr);
        if !is_trusted(addr) {
            break;
        }
    }
    client
}

/// The entries of a value, if it is well-formed.
fn read(header: ForwardedHeader, value: &[u8]) -> Option<Vec<Entry>> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.is_ascii())?;
    match header {
        ForwardedHeader::XForwardedFor if text.contains('"') => None,
        ForwardedHeader::XForwardedFor => {
            let entries = text.split(',').map(str::trim_ascii).filter(|entry| !entry.is_empty());
            Some(entries.map(node).collect())
        }
        _ => Reader { rest: text }.list(),
    }
}

/// Reads `Forwarded` from its beginning.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn list(&mut self) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        loop {
            self.skip(" \t");
            if !self.rest.starts_with(',') && !self.rest.is_empty() {
                entries.push(self.element()?);
            }
            self.skip(" \t");
            match self.rest.strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None if self.rest.is_empty() => return Some(entries),
                None => return None,
            }
        }
    }

    /// `[ pair ] *( ";" [ pair ] )`, of which `for` may be one.
    fn element(&mut self) -> Option<Entry> {
        let mut named: Vec<Entry> = Vec::new();
        loop {
            if !self.rest.starts_with([';', ',', ' ', '\t']) && !self.rest.is_empty() {
                let name = self.token()?;
                self.rest = self.rest.strip_prefix('=')?;
                let value = match self.rest.starts_with('"') {
                    true => self.quoted()?,
                    false => self.token()?,
                };
                if name.eq_ignore_ascii_case("for") {
                    named.push(node(&value));
                }
            }
            match self.rest.strip_prefix(';') {
                Some(rest) => self.rest = rest,
                None => break,
            }
        }
        match named[..] {
            [one] => Some(one),
            // None, or more than there may be.
            _ => Some(None),
        }
    }

    fn token(&mut self) -> Option<String> {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then(|| token.to_owned())
    }

    /// A quoted string. One with a backslash names no address, whatever is behind it.
    fn quoted(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.rest[1..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 2..];
                    return Some(text);
                }
                '\\' => {
                    text.push(c);
                    text.push(chars.next()?.1);
                }
                '\t' | ' '..='~' => text.push(c),
                _ => return None,
            }
        }
        None
    }

    fn skip(&mut self, chars: &str) {
        self.rest = self.rest.trim_start_matches(|c| chars.contains(c));
    }
}

/// An address of a client, with or without a port.
fn node(text: &str) -> Entry {
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let addr = match bracketed {
        Some(ip) => SocketAddr::new(ip.parse::<Ipv6Addr>().ok()?.into(), 0),
        None => match text.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, 0),
            Err(_) => text.parse().ok()?,
        },
    };
    let ip = addr.ip().to_canonical();
    (!ip.is_unspecified() && !ip.is_multicast()).then_some(addr)
}
