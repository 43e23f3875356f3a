//! Who a connection is from. At first that is the other end of its socket; a proxy may say later
//! whose the connection is, or whose the request.

use std::net::{IpAddr, SocketAddr};

/// Who a connection is from, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Where the connection is from; `None` if that has no address. Behind a proxy that says it
    /// before the first request, it is that proxy's client.
    pub(crate) connection: Option<SocketAddr>,
    /// Whom its request is from: the same, unless the request says another.
    pub(crate) client: Option<SocketAddr>,
    pub(crate) awaited: Awaited,
    /// Whether it is a proxy that speaks for any number of clients, so that no limit per address
    /// holds for it.
    pub(crate) is_proxy: bool,
}

/// What may still say who a connection is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// What comes before its first request.
    Preface,
    /// Its request.
    Request,
    Nothing,
}

/// What a limit per address counts by: the address in IPv4, the /64 network in IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(u64);

impl Peer {
    /// One of which nothing more will be said.
    pub(crate) fn known(addr: Option<SocketAddr>) -> Peer {
        Peer { connection: addr, client: addr, awaited: Awaited::Nothing, is_proxy: false }
    }

    /// What it is counted by.
    pub(crate) fn network(&self) -> Network {
        match self.is_proxy {
            true => Network::NONE,
            false => Network::from(self.client),
        }
    }
}

impl Network {
    /// That of peers whose number per address is not limited: those without an address, and
    /// proxies. No peer's network is all ones: those are multicast.
    pub(crate) const NONE: Network = Network(u64::MAX);
}

impl From<Option<SocketAddr>> for Network {
    fn from(addr: Option<SocketAddr>) -> Network {
        // The unspecified address is that of no peer, and a record does not keep it.
        let ip = addr.map(|addr| addr.ip().to_canonical()).filter(|ip| !ip.is_unspecified());
        match ip {
            None => Network::NONE,
            // No IPv6 network in use begins with 32 zero bits.
            Some(IpAddr::V4(ip)) => Network(u64::from(u32::from(ip))),
            Some(IpAddr::V6(ip)) => Network((u128::from(ip) >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_network_in_both_families() {
        let network = |addr: &str| Network::from(addr.parse::<SocketAddr>().ok()).0;
        assert_eq!(network("192.0.2.1:1"), network("[::ffff:192.0.2.1]:2"));
        assert_eq!(network("[2001:db8::1]:1"), network("[2001:db8::ff:2]:2"));
        assert_ne!(network("[2001:db8::1]:1"), network("[2001:db8:0:1::1]:1"));
        assert_ne!(network("192.0.2.1:1"), network("192.0.2.2:1"));
        for unspecified in ["[::]:1", "0.0.0.0:1", "[::ffff:0.0.0.0]:1"] {
            assert_eq!(network(unspecified), Network::NONE.0, "{unspecified}");
        }
    }

    #[test]
    fn a_proxy_is_counted_by_no_address() {
        let addr = "192.0.2.1:1".parse().ok();
        let client = Peer::known(addr);
        assert!(client.network() == Network::from(addr));
        assert!(Peer { is_proxy: true, ..client }.network() == Network::NONE);
        assert!(Peer::known(None).network() == Network::NONE);
    }
}
