//! The header of the PROXY protocol, versions 1 and 2, in front of a connection's first request
//! (HAProxy, "The PROXY protocol", sections 2.1 and 2.2).
//!
//! It is read as the text has it and nothing looser, since what comes behind it is taken for a
//! request: one line of known words in version 1, and in version 2 a length that says where it
//! ends. What version 2 adds behind the addresses (TLVs) is passed over, a checksum too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The most bytes of a header of version 1, with its line end.
const LINE_BYTES_MAX: usize = 107;

/// What a header of version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and protocol, and the length of what follows.
const FIXED_BYTES: usize = 16;
/// The most bytes of a header of version 2. It could say 65,551; proxies send less than 1,000, also
/// with a client's certificate.
pub(crate) const HEADER_BYTES_MAX: usize = 4 << 10;

/// What the bytes are that a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyHeader {
    /// The beginning of a header.
    Partial,
    /// A header of so many bytes. The client's address is `None` if the connection is the proxy's
    /// own, or the proxy cannot say whose it is.
    Complete(usize, Option<SocketAddr>),
    /// No header, whatever follows.
    Malformed(&'static str),
}

const NONE: &str = "a header of the PROXY protocol, version 1 or 2, has to come first";

impl ProxyHeader {
    /// Reads what a connection begins with.
    pub(crate) fn parse(bytes: &[u8]) -> ProxyHeader {
        let is_begin = |of: &[u8]| bytes.iter().zip(of).all(|(byte, wanted)| byte == wanted);
        if is_begin(SIGNATURE) {
            binary(bytes)
        } else if is_begin(b"PROXY ") {
            line(bytes)
        } else {
            ProxyHeader::Malformed(NONE)
        }
    }
}

/// Version 1.
fn line(bytes: &[u8]) -> ProxyHeader {
    let within = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', within) else {
        return match bytes.len() < LINE_BYTES_MAX {
            true => ProxyHeader::Partial,
            false => ProxyHeader::Malformed("the PROXY line has more than 107 bytes"),
        };
    };
    let wrong = "the PROXY line is not: PROXY TCP4 or TCP6, two addresses and two ports; or \
                 PROXY UNKNOWN";
    // A lone CR is no line end, and no part of a line.
    let line = within[..end].strip_suffix(b"\r").filter(|line| !line.contains(&b'\r'));
    match line.and_then(client_of) {
        Some(client) => ProxyHeader::Complete(end + 1, client.filter(is_a_clients)),
        None => ProxyHeader::Malformed(wrong),
    }
}

/// The client that a line names, without its end; `None` if it is no such line.
fn client_of(line: &[u8]) -> Option<Option<SocketAddr>> {
    let line = line.strip_prefix(b"PROXY ")?;
    // What follows this is to be ignored.
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Some(None);
    }
    let words = std::str::from_utf8(line).ok()?.split(' ');
    let [family, from, to, from_port, to_port] = words.collect::<Vec<_>>().try_into().ok()?;
    let ip = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            _ => None,
        }
    };
    let (from, _) = (ip(from)?, ip(to)?);
    let (from_port, _) = (port(from_port)?, port(to_port)?);
    Some(Some(SocketAddr::new(from, from_port)))
}

/// A port in decimal, without a sign or zeros in front.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = text == "0" || !text.starts_with('0');
    (is_plain && is_short).then(|| text.parse().ok()).flatten()
}

/// Version 2.
fn binary(bytes: &[u8]) -> ProxyHeader {
    // What is wrong early is told early: the rest may never come.
    let command = match bytes.get(12) {
        None => return ProxyHeader::Partial,
        Some(command @ 0x20..=0x21) => *command,
        Some(_) => {
            return ProxyHeader::Malformed("the PROXY header is not of version 2, LOCAL or PROXY");
        }
    };
    let Some(fixed) = bytes.get(..FIXED_BYTES) else { return ProxyHeader::Partial };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let end = FIXED_BYTES + length;
    if end > HEADER_BYTES_MAX {
        return ProxyHeader::Malformed("the PROXY header has more than 4,096 bytes");
    }
    // A stream over IPv4 or IPv6; datagrams and Unix domain sockets have no address of use here.
    let (is_local, family) = (command == 0x20, fixed[13]);
    let addresses_bytes = match family {
        _ if is_local => 0,
        0x11 => 12,
        0x21 => 36,
        0x00..=0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30..=0x32 => 0,
        _ => return ProxyHeader::Malformed("the PROXY header is of no known address family"),
    };
    if length < addresses_bytes {
        return ProxyHeader::Malformed("the PROXY header is too short for its addresses");
    }
    let Some(whole) = bytes.get(..end) else { return ProxyHeader::Partial };
    let client = match &whole[FIXED_BYTES..][..addresses_bytes] {
        &[a, b, c, d, _, _, _, _, high, low, _, _] => {
            let ip = Ipv4Addr::new(a, b, c, d);
            Some(SocketAddr::from((ip, u16::from_be_bytes([high, low]))))
        }
        addresses => addresses.first_chunk::<16>().map(|ip| {
            let port = u16::from_be_bytes([addresses[32], addresses[33]]);
            SocketAddr::from((Ipv6Addr::from(*ip), port))
        }),
    };
    ProxyHeader::Complete(end, client.filter(is_a_clients))
}

/// Whether an address can be that of a client.
pub(crate) fn is_a_clients(addr: &SocketAddr) -> bool {
    let ip = addr.ip().to_canonical();
    !ip.is_unspecified() && !ip.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::ProxyHeader::{Complete, Malformed, Partial};
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0, 80];

    fn addr(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    /// Every beginning of a header is one, and what is behind it does not matter.
    fn assert_reads(header: &[u8], client: Option<SocketAddr>) {
        let text = header.escape_ascii();
        for end in 0..header.len() {
            assert_eq!(ProxyHeader::parse(&header[..end]), Partial, "{end} of {text}");
        }
        let complete = Complete(header.len(), client);
        assert_eq!(ProxyHeader::parse(header), complete, "{text}");
        let followed = [header, b"GET / HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(ProxyHeader::parse(&followed), complete, "{text}");
    }

    #[test]
    fn both_versions_name_the_client_or_say_that_they_cannot() {
        for (line, client) in [
            ("TCP4 192.0.2.1 10.0.0.1 12345 80", addr("192.0.2.1:12345")),
            ("TCP4 255.255.255.254 255.255.255.255 65535 0", addr("255.255.255.254:65535")),
            ("TCP6 2001:db8::1 ::1 1 2", addr("[2001:db8::1]:1")),
            ("UNKNOWN", None),
            ("UNKNOWN ffff::1 what ever 65535", None),
            ("TCP4 0.0.0.0 10.0.0.1 1 2", None),
            ("TCP6 :: ::1 1 2", None),
            ("TCP6 ff02::1 ::1 1 2", None),
        ] {
            assert_reads(format!("PROXY {line}\r\n").as_bytes(), client);
        }
        let mut ipv6 = [0; 36];
        ipv6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        ipv6[15] = 1;
        ipv6[32..34].copy_from_slice(&[1, 0]);
        let with_tlv = [&IPV4[..], &[4, 0, 3, 0, 0, 0]].concat();
        for (header, client) in [
            (v2(0x21, 0x11, &IPV4), addr("192.0.2.1:12345")),
            (v2(0x21, 0x11, &with_tlv), addr("192.0.2.1:12345")),
            (v2(0x21, 0x21, &ipv6), addr("[2001:db8::1]:256")),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &IPV4), None),
            (v2(0x20, 0xff, &[1, 2, 3]), None),
            (v2(0x21, 0x00, &with_tlv), None),
            (v2(0x21, 0x31, &[0; 216]), None),
            (v2(0x21, 0x12, &IPV4), None),
        ] {
            assert_reads(&header, client);
        }
    }

    #[test]
    fn what_is_no_header_is_told_as_soon_as_it_is_seen() {
        let malformed = |bytes: &[u8]| {
            let parsed = ProxyHeader::parse(bytes);
            assert!(matches!(parsed, Malformed(_)), "{parsed:?}: {}", bytes.escape_ascii());
        };
        for bytes in
            [&b"G"[..], b"\n", b"\r\n\r\n\0\r\nQUIT\r", b"PROXX", b"PRI * HTTP/2.0", b"proxy "]
        {
            malformed(bytes);
        }
        for line in [
            "",
            "TCP4",
            "UNKNOWNS",
            "TCP4 192.0.2.1 10.0.0.1 1",
            "TCP4 192.0.2.1 10.0.0.1 1 2 3",
            "TCP4  192.0.2.1 10.0.0.1 1 2",
            "TCP4 192.0.2.1 10.0.0.1 1 2 ",
            "TCP4 192.0.2.1 10.0.0.1 +1 2",
            "TCP4 192.0.2.1 10.0.0.1 01 2",
            "TCP4 192.0.2.1 10.0.0.1 1 65536",
            "TCP4 2001:db8::1 ::1 1 2",
            "TCP6 192.0.2.1 10.0.0.1 1 2",
            "TCP4 192.0.2.01 10.0.0.1 1 2",
            "UDP4 192.0.2.1 10.0.0.1 1 2",
            "tcp4 192.0.2.1 10.0.0.1 1 2",
            "TCP4 192.0.2.1 10.0.0.1 1 2\r",
            "UNKNOWN a\rb",
        ] {
            malformed(format!("PROXY {line}\r\n").as_bytes());
        }
        malformed(b"PROXY UNKNOWN\n");
        malformed(&v2(0x22, 0x11, &IPV4)[..13]);
        malformed(&v2(0x11, 0x11, &IPV4)[..13]);
        malformed(&v2(0x21, 0x41, &IPV4)[..16]);
        malformed(&v2(0x21, 0x11, &IPV4[..11])[..16]);
        malformed(&v2(0x21, 0x21, &IPV4)[..16]);
    }

    #[test]
    fn a_header_has_a_bound_in_each_version() {
        let fill = |bytes: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(bytes - 16));
        assert_reads(fill(LINE_BYTES_MAX).as_bytes(), None);
        let long = fill(LINE_BYTES_MAX + 1).into_bytes();
        assert_eq!(ProxyHeader::parse(&long[..106]), Partial);
        assert!(matches!(ProxyHeader::parse(&long[..107]), Malformed(_)));
        assert!(matches!(ProxyHeader::parse(&long), Malformed(_)));
        assert_reads(&v2(0x21, 0x00, &vec![0; HEADER_BYTES_MAX - 16]), None);
        let long = v2(0x21, 0x00, &vec![0; HEADER_BYTES_MAX - 15]);
        assert!(matches!(ProxyHeader::parse(&long[..16]), Malformed(_)));
    }
}
