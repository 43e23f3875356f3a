//! Headers of the PROXY protocol, which the crate `proxy-header` reads as well, and writes.
//!
//! - What the engine takes for a header the other reader does too, with the same length and client.
//!   It is not as strict: it does not look at each byte of a line, and has no bound.
//! - Each beginning of a header is one, and what is no header stays none.
//! - What the other one writes is read as it was.

#![no_main]

use std::net::{IpAddr, SocketAddr};

use fanfare::fuzzing::{parse_proxy_header, ProxyHeader, PROXY_HEADER_BYTES_MAX};
use libfuzzer_sys::fuzz_target;
use proxy_header::{ParseConfig, ProxiedAddress};

/// Where the version's and the family's bytes are in version 2.
const COMMAND: usize = 12;
const FAMILY: usize = 13;
/// The bytes of the addresses of a Unix domain.
const UNIX_BYTES: u16 = 216;

fuzz_target!(|bytes: &[u8]| {
    let parsed = parse_proxy_header(bytes);
    match parsed {
        ProxyHeader::Complete(length, client) => {
            let header = &bytes[..length];
            assert!(length <= PROXY_HEADER_BYTES_MAX);
            assert_eq!(parse_proxy_header(header), parsed);
            for end in 0..length {
                assert_eq!(parse_proxy_header(&header[..end]), ProxyHeader::Partial, "{end}");
            }
            if is_known_to_other(header) {
                let (other, others_length) =
                    proxy_header::ProxyHeader::parse(header, ParseConfig::default()).unwrap();
                let source = other.proxied_address().filter(|one| is_stream(one));
                let source = source.map(|one| one.source).filter(is_a_clients);
                assert_eq!((others_length, source), (length, client));
            }
        }
        ProxyHeader::Partial => assert!(bytes.len() < PROXY_HEADER_BYTES_MAX),
        ProxyHeader::Malformed => {
            for more in [&b"\r\n"[..], b" ", &[0; 200]] {
                assert_eq!(parse_proxy_header(&[bytes, more].concat()), ProxyHeader::Malformed);
            }
        }
    }
    write(bytes);
});

/// Whether the other reader knows all that a header may be: it does not pass over the families that
/// it does not know, as those of the proxy's own connections.
fn is_known_to_other(header: &[u8]) -> bool {
    if header[0] == b'P' {
        return true;
    }
    let length = u16::from_be_bytes([header[14], header[15]]);
    match (header[COMMAND], header[FAMILY]) {
        (_, 0) => true,
        (_, 0x31 | 0x32) => length >= UNIX_BYTES,
        (_, 0x11 | 0x12) => length >= 12,
        (_, 0x21 | 0x22) => length >= 36,
        _ => false,
    }
}

/// Whether it is a stream's: datagrams have no client here.
fn is_stream(address: &ProxiedAddress) -> bool {
    address.protocol == proxy_header::Protocol::Stream
}

fn is_a_clients(addr: &SocketAddr) -> bool {
    let ip = addr.ip().to_canonical();
    !ip.is_unspecified() && !ip.is_multicast()
}

/// Has the other one write a header with addresses made of the input, and reads that.
fn write(bytes: &[u8]) {
    let Some((fields, _)) = bytes.split_first_chunk::<36>() else { return };
    let (from, rest) = fields.split_first_chunk::<16>().unwrap();
    let (to, ports) = rest.split_first_chunk::<16>().unwrap();
    let is_ipv4 = ports[3] % 2 == 0;
    let addr = |ip: &[u8; 16], port: [u8; 2]| {
        let ip = match is_ipv4 {
            true => IpAddr::from([ip[0], ip[1], ip[2], ip[3]]),
            false => IpAddr::from(*ip),
        };
        SocketAddr::new(ip, u16::from_be_bytes(port))
    };
    let (from, to) = (addr(from, [ports[0], ports[1]]), addr(to, [ports[2], ports[3]]));
    let header = proxy_header::ProxyHeader::with_address(ProxiedAddress::stream(from, to));
    let (mut line, mut binary) = (Vec::new(), Vec::new());
    header.encode_v1(&mut line).unwrap();
    header.encode_v2(&mut binary).unwrap();
    for written in [line, binary] {
        let complete = ProxyHeader::Complete(written.len(), Some(from).filter(is_a_clients));
        assert_eq!(parse_proxy_header(&written), complete);
    }
}
