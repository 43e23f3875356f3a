//! Where a listener listens.

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::net;

/// Where a [`Listener`](crate::Listener) listens. It is written as `fanfare serve --listen` takes
/// it: `127.0.0.1:8080`, `unix:/run/app.sock`, `unix:@name` for an abstract name, or `unix:` for a
/// socket without a name.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, ListenAddr, ListenOptions, Options};
///
/// let hub = Hub::start(Options::default())?;
/// let listener = hub.listen("127.0.0.1:0", ListenOptions::default())?;
/// match listener.addr() {
///     ListenAddr::Tcp(addr) => println!("http://{addr}/events?topic=NAME"),
///     ListenAddr::Unix(addr) => println!("curl --unix-socket {:?} ...", addr.as_pathname()),
///     other => println!("{other}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ListenAddr {
    /// An address and port, IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A Unix domain socket.
    Unix(net::SocketAddr),
}

impl ListenAddr {
    /// As [`fmt::Display`] writes it, but with the bytes of a path or a name as they are.
    #[cfg(feature = "capi")]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;

        let ListenAddr::Unix(addr) = self else { return self.to_string().into_bytes() };
        if let Some(path) = addr.as_pathname() {
            return [b"unix:", path.as_os_str().as_bytes()].concat();
        }
        #[cfg(target_os = "linux")]
        if let Some(name) = std::os::linux::net::SocketAddrExt::as_abstract_name(addr) {
            return [b"unix:@", name].concat();
        }
        b"unix:".to_vec()
    }

    /// The address and port; `None` at a Unix domain socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::ListenAddr;
    ///
    /// let addr = "127.0.0.1:8080".parse().unwrap();
    /// assert_eq!(ListenAddr::Tcp(addr).tcp(), Some(addr));
    /// ```
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            ListenAddr::Tcp(addr) => Some(*addr),
            ListenAddr::Unix(_) => None,
        }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addr = match self {
            ListenAddr::Tcp(addr) => return addr.fmt(f),
            ListenAddr::Unix(addr) => addr,
        };
        f.write_str("unix:")?;
        if let Some(path) = addr.as_pathname() {
            return path.display().fmt(f);
        }
        #[cfg(target_os = "linux")]
        if let Some(name) = std::os::linux::net::SocketAddrExt::as_abstract_name(addr) {
            return write!(f, "@{}", name.escape_ascii());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_the_program_takes_it() {
        let unix = |addr| ListenAddr::Unix(addr).to_string();
        assert_eq!(ListenAddr::Tcp("[::1]:80".parse().unwrap()).to_string(), "[::1]:80");
        assert_eq!(
            unix(net::SocketAddr::from_pathname("/run/a.sock").unwrap()),
            "unix:/run/a.sock"
        );
        let unnamed = net::UnixDatagram::unbound().unwrap().local_addr().unwrap();
        assert_eq!(unix(unnamed), "unix:");
        #[cfg(target_os = "linux")]
        {
            use std::os::linux::net::SocketAddrExt;
            let named = net::SocketAddr::from_abstract_name("a\nb").unwrap();
            assert_eq!(unix(named), "unix:@a\\nb");
        }
    }
}
