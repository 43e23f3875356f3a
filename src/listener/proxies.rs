//! Whom a listener's connections and requests are from, where proxies it trusts say that.

use std::net::SocketAddr;

use super::options::ListenOptions;
use crate::http::request::Request;
use crate::options::OptionsError;
use crate::proxy::forwarded::{client_of, ForwardedHeader};
use crate::proxy::header::ProxyHeader;
use crate::proxy::networks::Networks;
use crate::shard::{Awaited, HandshakeStep, Peer};

/// The proxies that a listener trusts.
pub(super) struct Proxies {
    /// Those whose connections begin with a header of the PROXY protocol.
    header_from: Networks,
    /// Those whose requests have a field that says whom they are from.
    field_from: Networks,
    field: ForwardedHeader,
}

impl Proxies {
    pub(super) fn new(options: &ListenOptions) -> Result<Proxies, OptionsError> {
        let networks = |option, entries| {
            let networks = Networks::new(entries);
            networks.map_err(|why| OptionsError { option, bounds: why.into() })
        };
        Ok(Proxies {
            header_from: networks("proxy_protocol_from", &options.proxy_protocol_from)?,
            field_from: networks("trusted_proxies", &options.trusted_proxies)?,
            field: options.forwarded_header,
        })
    }

    /// The peer of a new connection from an address, or from the other end of a Unix domain socket.
    pub(super) fn accepted(&self, addr: Option<SocketAddr>) -> Peer {
        match is_in(&self.header_from, addr) {
            true => Peer { awaited: Awaited::Preface, is_proxy: true, ..Peer::known(addr) },
            false => self.behind_header(addr),
        }
    }

    /// The peer of a connection in front of whose requests nothing more comes. `addr` is `None` for
    /// the other end of a Unix domain socket.
    pub(super) fn behind_header(&self, addr: Option<SocketAddr>) -> Peer {
        match is_in(&self.field_from, addr) {
            true => Peer { awaited: Awaited::Request, is_proxy: true, ..Peer::known(addr) },
            false => Peer::known(addr),
        }
    }

    /// Reads the PROXY header that a connection begins with.
    ///
    /// # Errors
    ///
    /// When it begins with something else: what to tell the proxy.
    pub(super) fn read_header(&self, bytes: &[u8], peer: &Peer) -> Result<HandshakeStep, String> {
        match ProxyHeader::parse(bytes) {
            ProxyHeader::Partial => Ok(HandshakeStep::More),
            ProxyHeader::Complete(skip, Some(client)) => {
                let peer = self.behind_header(Some(client));
                Ok(HandshakeStep::Peer { skip, peer })
            }
            // It is the proxy's own, or it speaks for clients that it cannot name.
            ProxyHeader::Complete(skip, None) => {
                let peer = Peer { is_proxy: true, ..self.behind_header(peer.connection) };
                Ok(HandshakeStep::Peer { skip, peer })
            }
            ProxyHeader::Malformed(why) => Err(format!(
                "{why}: this address is in proxy_protocol_from (fanfare serve \
                 --proxy-protocol-from); have the proxy send the header, or take it off the list"
            )),
        }
    }

    /// Whom a trusted proxy says that a request is from.
    pub(super) fn client_of(&self, request: &Request<'_>, peer: &Peer) -> Peer {
        let values: Vec<_> = request.values(self.field.as_str()).collect();
        let client = client_of(self.field, values.into_iter(), &self.field_from);
        let is_proxy = client.is_none_or(|client| self.field_from.has(client.ip()));
        let client = client.or(peer.client);
        Peer { client, is_proxy, awaited: Awaited::Nothing, ..*peer }
    }
}

fn is_in(networks: &Networks, addr: Option<SocketAddr>) -> bool {
    addr.map_or(networks.has_unix(), |addr| networks.has(addr.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::Head;

    fn proxies(header_from: &[&str], field_from: &[&str]) -> Proxies {
        let options = ListenOptions::default()
            .proxy_protocol_from(header_from.iter().copied())
            .trusted_proxies(field_from.iter().copied());
        Proxies::new(&options).unwrap()
    }

    fn addr(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    fn asked(proxies: &Proxies, peer: &Peer, fields: &str) -> Peer {
        let head = format!("GET / HTTP/1.0\r\n{fields}\r\n");
        let Head::Complete(request, _) = Head::parse(head.as_bytes(), 64) else { panic!("{head}") };
        proxies.client_of(&request, peer)
    }

    #[test]
    fn a_peer_that_nobody_trusts_is_the_client() {
        let proxies = proxies(&["10.0.0.1"], &["10.0.0.2"]);
        for addr in [addr("192.0.2.1:1"), None] {
            assert_eq!(proxies.accepted(addr), Peer::known(addr));
        }
    }

    #[test]
    fn a_header_and_then_a_field_may_name_the_client() {
        let proxies = proxies(&["unix"], &["10.0.0.0/8"]);
        let peer = proxies.accepted(None);
        assert!(peer.awaited == Awaited::Preface && peer.is_proxy);
        let line = b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n";
        let Ok(HandshakeStep::Peer { skip, peer }) = proxies.read_header(line, &peer) else {
            panic!("it is a header");
        };
        assert_eq!((skip, peer.client, peer.awaited), (34, addr("10.0.0.1:1"), Awaited::Request));
        let named = asked(&proxies, &peer, "X-Forwarded-For: 192.0.2.1\r\n");
        let client = addr("192.0.2.1:0");
        assert_eq!(named, Peer { connection: addr("10.0.0.1:1"), ..Peer::known(client) });
    }

    #[test]
    fn a_proxy_that_names_no_client_is_not_limited_as_one() {
        let proxies = proxies(&["10.0.0.1"], &["10.0.0.2", "10.0.0.3"]);
        let peer = proxies.accepted(addr("10.0.0.1:1"));
        let local = b"PROXY UNKNOWN\r\n";
        let Ok(HandshakeStep::Peer { peer, .. }) = proxies.read_header(local, &peer) else {
            panic!("it is a header");
        };
        assert!(peer.is_proxy && peer.awaited == Awaited::Nothing);
        assert_eq!(peer.client, addr("10.0.0.1:1"));
        let peer = proxies.accepted(addr("10.0.0.2:1"));
        for (fields, client) in [
            ("", "10.0.0.2:1"),
            ("X-Forwarded-For: unknown\r\n", "10.0.0.2:1"),
            ("X-Forwarded-For: 192.0.2.1, x, 10.0.0.3\r\n", "10.0.0.3:0"),
            ("Forwarded: for=192.0.2.1\r\n", "10.0.0.2:1"),
        ] {
            let named = asked(&proxies, &peer, fields);
            assert_eq!((named.client, named.is_proxy), (addr(client), true), "{fields}");
            assert_eq!(named.awaited, Awaited::Nothing);
        }
    }

    #[test]
    fn what_is_no_header_is_an_error_that_says_what_to_do() {
        let proxies = proxies(&["10.0.0.1"], &[]);
        let peer = proxies.accepted(addr("10.0.0.1:1"));
        let Err(why) = proxies.read_header(b"GET / HTTP/1.1\r\n", &peer) else {
            panic!("it is no header");
        };
        assert!(why.contains("--proxy-protocol-from") && why.contains("off the list"), "{why}");
    }

    #[test]
    fn an_entry_that_is_no_network_names_its_option() {
        let options = ListenOptions::default().trusted_proxies(["10.0.0.0/33"]);
        assert_eq!(Proxies::new(&options).err().unwrap().option, "trusted_proxies");
        let options = ListenOptions::default().proxy_protocol_from(["localhost"]);
        assert_eq!(Proxies::new(&options).err().unwrap().option, "proxy_protocol_from");
    }
}
