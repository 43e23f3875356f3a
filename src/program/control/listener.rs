//! The control listener: a TCP or Unix socket of the control side's own.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use smol::Async;

use super::auth::ListenerRules;
use super::hosts::name_of;
use super::socket::Stream;
use crate::program::outcome::Usage;
use crate::program::socket_file::SocketFile;

/// The address of the control listener, as `--control-listen` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ControlAddr {
    /// There is no control listener.
    Off,
    /// At an address and port.
    Tcp(String),
    /// At a path.
    Unix(PathBuf),
}

/// The control listener.
#[derive(Debug)]
pub(crate) enum ControlListener {
    Tcp(TcpListener, SocketAddr),
    Unix(SocketFile, UnixListener),
}

/// The control listener, as the control side's thread accepts its connections.
pub(super) enum ControlAcceptor {
    Tcp(Async<TcpListener>),
    Unix { _file: SocketFile, listener: Async<UnixListener> },
}

impl FromStr for ControlAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<ControlAddr, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("a Unix socket needs a path: unix:/run/fanfare.sock".to_owned()),
            Some(path) => Ok(ControlAddr::Unix(path.into())),
            None if text == "off" => Ok(ControlAddr::Off),
            None if text.contains(':') => Ok(ControlAddr::Tcp(text.to_owned())),
            None => Err("write it as HOST:PORT, unix:/PATH or off".to_owned()),
        }
    }
}

/// As a URL, or as `--control-listen` has it.
impl fmt::Display for ControlAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlAddr::Off => f.write_str("off"),
            ControlAddr::Tcp(addr) => write!(f, "http://{addr}"),
            ControlAddr::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl ControlAddr {
    /// Refuses an address that programs of other machines can reach, unless there is a token.
    pub(crate) fn check(&self, has_token: bool) -> Result<(), Usage> {
        let ControlAddr::Tcp(addr) = self else { return Ok(()) };
        let addrs = addr.to_socket_addrs();
        let mut addrs =
            addrs.map_err(|error| Usage(format!("--control-listen {addr}: {error}")))?;
        if has_token || addrs.all(|addr| addr.ip().is_loopback()) {
            return Ok(());
        }
        Err(Usage(format!(
            "--control-listen {addr}: programs of other machines reach this address, so it needs a \
             publish token: set FANFARE_PUBLISH_TOKEN or give \
             --publish-token-file PATH; or listen on a loopback address or unix:/PATH"
        )))
    }

    /// Its host, if that is a name.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            ControlAddr::Tcp(addr) => name_of(addr),
            ControlAddr::Off | ControlAddr::Unix(_) => None,
        }
    }
}

impl ControlListener {
    /// Opens the control listener at an address.
    pub(crate) fn open(listen: &ControlAddr) -> Result<Option<ControlListener>, String> {
        let failed = |error: io::Error| format!("{error}; --control-listen says where else");
        match listen {
            ControlAddr::Off => Ok(None),
            ControlAddr::Tcp(addr) => {
                let listener = ControlListener::tcp(addr.as_str());
                let why = |error| format!("cannot listen for control on {addr}: {}", failed(error));
                listener.map(Some).map_err(why)
            }
            ControlAddr::Unix(path) => {
                let why = |error| {
                    format!("cannot listen for control on {}: {}", path.display(), failed(error))
                };
                ControlListener::unix(path).map(Some).map_err(why)
            }
        }
    }

    /// Opens the control listener where it is by default: on the port after the public listener's,
    /// of a loopback address. If that port is taken, or the public one was the system's choice,
    /// then on a free one.
    pub(crate) fn beside(
        public: SocketAddr,
        port_is_fixed: bool,
    ) -> Result<ControlListener, String> {
        let ip = match public.ip() {
            ip if ip.is_loopback() => ip,
            _ => IpAddr::from(Ipv4Addr::LOCALHOST),
        };
        if let Some(port) = public.port().checked_add(1).filter(|_| port_is_fixed) {
            match ControlListener::tcp((ip, port)) {
                Ok(listener) => return Ok(listener),
                Err(error) => {
                    log::warn!(
                        "port {port} is not free for control, and another one is taken: {error}"
                    );
                }
            }
        }
        ControlListener::tcp((ip, 0)).map_err(|error| {
            format!("cannot listen for control on {ip}: {error}; --control-listen says where else")
        })
    }

    fn tcp(addr: impl ToSocketAddrs) -> io::Result<ControlListener> {
        let listener = TcpListener::bind(addr)?;
        let addr = listener.local_addr()?;
        Ok(ControlListener::Tcp(listener, addr))
    }

    /// Listens at a path, for this user's programs alone. The file of a server that has ended is
    /// replaced.
    fn unix(path: &Path) -> io::Result<ControlListener> {
        let (file, listener) = SocketFile::listen(path, 0o600)?;
        Ok(ControlListener::Unix(file, listener))
    }

    /// Its address, if it has one.
    pub(crate) fn addr(&self) -> Option<SocketAddr> {
        match self {
            ControlListener::Tcp(_, addr) => Some(*addr),
            ControlListener::Unix(..) => None,
        }
    }

    /// Its rules. `Host` is checked where a browser can be made to use another name, or where names
    /// are given.
    pub(crate) fn rules(&self, has_names: bool) -> ListenerRules {
        match self {
            ControlListener::Tcp(_, addr) => {
                let is_local = addr.ip().is_loopback();
                ListenerRules { is_local, checks_host: is_local || has_names }
            }
            ControlListener::Unix(..) => ListenerRules { is_local: true, checks_host: false },
        }
    }

    pub(super) fn into_acceptor(self) -> io::Result<ControlAcceptor> {
        Ok(match self {
            ControlListener::Tcp(listener, _) => ControlAcceptor::Tcp(Async::new(listener)?),
            ControlListener::Unix(_file, listener) => {
                ControlAcceptor::Unix { _file, listener: Async::new(listener)? }
            }
        })
    }
}

impl ControlAcceptor {
    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            ControlAcceptor::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                // It fails for a client that has left already, which is seen soon enough.
                let _ = stream.get_ref().set_nodelay(true);
                Ok((Stream::Tcp(stream), Some(addr)))
            }
            ControlAcceptor::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_address_has_a_port_or_is_a_path_or_off() {
        let tcp = |addr: &str| ControlAddr::Tcp(addr.to_owned());
        assert_eq!("127.0.0.1:8081".parse(), Ok(tcp("127.0.0.1:8081")));
        assert_eq!("[::1]:0".parse(), Ok(tcp("[::1]:0")));
        assert_eq!("off".parse(), Ok(ControlAddr::Off));
        assert_eq!("unix:/run/x".parse(), Ok(ControlAddr::Unix("/run/x".into())));
        for text in ["", "unix:", "8081", "on"] {
            assert!(text.parse::<ControlAddr>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_that_other_machines_reach_needs_a_token() {
        for (text, needs_token) in [
            ("127.0.0.1:0", false),
            ("[::1]:0", false),
            ("localhost:0", false),
            ("unix:/run/x", false),
            ("off", false),
            ("0.0.0.0:0", true),
            ("192.0.2.1:80", true),
            ("[::]:0", true),
        ] {
            let listen: ControlAddr = text.parse().unwrap();
            assert_eq!(listen.check(false).is_err(), needs_token, "{text}");
            assert!(listen.check(true).is_ok(), "{text}");
        }
    }

    #[test]
    fn by_default_its_port_is_next_to_the_public_one_or_a_free_one() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        let before = SocketAddr::from(([0, 0, 0, 0], addr.port() - 1));
        let listener = ControlListener::beside(before, true).unwrap();
        assert!(listener.addr().unwrap().ip().is_loopback());
        assert_ne!(listener.addr(), Some(addr));
        assert!(listener.rules(false).is_local);
        drop(taken);
        let last = SocketAddr::from(([127, 0, 0, 1], u16::MAX));
        assert!(ControlListener::beside(last, true).is_ok());
    }

    #[test]
    fn a_live_servers_socket_is_left_alone_and_the_file_goes_with_the_listener() {
        let path = std::env::temp_dir().join(format!("fanfare-control-{}", std::process::id()));
        let listen = ControlAddr::Unix(path.clone());
        let listener = ControlListener::open(&listen).unwrap().unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(ControlListener::open(&listen)
            .unwrap_err()
            .contains("another server listens there"));
        drop(listener);
        assert!(!path.exists());
    }
}
