//! Lists of networks whose hosts are trusted to say who their clients are.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::excerpt::Excerpt;

/// The entry of a list for peers at Unix domain sockets, which have no address.
const UNIX: &str = "unix";

/// The most entries of a list. Each new connection is held against all of them.
const ENTRIES_MAX: usize = 256;

/// Networks, and perhaps the peers at a Unix domain socket.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    networks: Vec<IpNet>,
    has_unix: bool,
}

impl Networks {
    /// Those of a list, whose entries are addresses, networks, and `unix`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with which entry.
    pub(crate) fn new(entries: &[String]) -> Result<Networks, String> {
        if entries.len() > ENTRIES_MAX {
            return Err(format!("at most {ENTRIES_MAX} entries; give networks of more addresses"));
        }
        let mut all = Networks::default();
        for entry in entries {
            match entry.as_str() {
                UNIX => all.has_unix = true,
                entry => {
                    let network = parse(entry);
                    all.networks
                        .push(network.map_err(|why| format!("{}: {why}", Excerpt::of(entry)))?);
                }
            }
        }
        Ok(all)
    }

    /// Whether an address is in one of the networks, an IPv4 one also as its mapping in IPv6.
    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.networks.iter().any(|network| network.contains(&ip))
    }

    /// Whether the peers at a Unix domain socket are trusted.
    pub(crate) fn has_unix(&self) -> bool {
        self.has_unix
    }
}

fn parse(entry: &str) -> Result<IpNet, String> {
    let wanted = "write an address (192.0.2.1), a network (10.0.0.0/8, 2001:db8::/32), or unix";
    let network = match entry.parse::<IpAddr>() {
        Ok(ip) => IpNet::from(ip.to_canonical()),
        Err(_) => entry.parse::<IpNet>().map_err(|_| wanted.to_owned())?,
    };
    if network.trunc() != network {
        return Err(format!("the address has bits beyond the prefix; write {}", network.trunc()));
    }
    let mapped = match network {
        IpNet::V6(v6) => v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    Ok(match mapped {
        Some((ip, prefix)) => IpNet::V4(Ipv4Net::new(ip, prefix).map_err(|_| wanted.to_owned())?),
        None => network,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(entries: &[&str]) -> Result<Networks, String> {
        Networks::new(&entries.iter().copied().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn an_address_is_in_a_network_of_its_family_in_either_form() {
        let all = networks(&["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::ffff:172.16.0.0/108"]);
        let all = all.unwrap();
        for ip in ["10.255.0.1", "::ffff:10.0.0.1", "192.0.2.1", "2001:db8:1::1", "172.16.9.9"] {
            assert!(all.has(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["11.0.0.1", "192.0.2.2", "2001:db9::1", "::1", "172.32.0.1", "::10.0.0.1"] {
            assert!(!all.has(ip.parse().unwrap()), "{ip}");
        }
        assert!(!all.has_unix() && networks(&["unix"]).unwrap().has_unix());
    }

    #[test]
    fn all_addresses_are_a_network_of_each_family() {
        let v4 = networks(&["0.0.0.0/0"]).unwrap();
        assert!(v4.has("192.0.2.1".parse().unwrap()) && !v4.has("2001:db8::1".parse().unwrap()));
        let v6 = networks(&["::/0"]).unwrap();
        assert!(!v6.has("192.0.2.1".parse().unwrap()) && v6.has("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_an_error_that_names_it_and_says_what_to_write() {
        for entry in ["", "localhost", "10.0.0.0/33", "10.0.0/8", "10.0.0.1:80", "*", "Unix"] {
            let error = networks(&["10.0.0.0/8", entry]).unwrap_err();
            assert!(error.starts_with(&Excerpt::of(entry).to_string()), "{error}");
            assert!(error.contains("10.0.0.0/8"), "{error}");
        }
        let error = networks(&["10.1.2.3/8"]).unwrap_err();
        assert!(error.ends_with("write 10.0.0.0/8"), "{error}");
        let many: Vec<_> = (0..=256).map(|_| "unix").collect();
        assert!(networks(&many).unwrap_err().contains("at most 256"));
    }
}
