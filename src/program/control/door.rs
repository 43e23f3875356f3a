//! The control listener: a TCP or Unix socket of the control side's own.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::Mode;
use rustix::process::umask;
use smol::Async;

use super::hosts::host_name;
use super::permit::Entrance;
use super::socket::Stream;
use crate::program::Usage;

/// Where `--control-listen` wants the control listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ControlListen {
    /// Nowhere.
    Off,
    /// At an address and port.
    Tcp(String),
    /// At a path.
    Unix(PathBuf),
}

/// The control listener.
#[derive(Debug)]
pub(crate) enum Door {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, SocketFile),
}

/// The control listener, as its thread waits for those who come.
pub(super) enum Entry {
    Tcp(Async<TcpListener>),
    Unix { listener: Async<UnixListener>, _file: SocketFile },
}

/// A Unix socket's file, removed when the listener is.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Which file it is: another server may have put its own there.
    id: (u64, u64),
}

impl FromStr for ControlListen {
    type Err = String;

    fn from_str(text: &str) -> Result<ControlListen, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("a Unix socket needs a path: unix:/run/fanfare.sock".to_owned()),
            Some(path) => Ok(ControlListen::Unix(path.into())),
            None if text == "off" => Ok(ControlListen::Off),
            None if text.contains(':') => Ok(ControlListen::Tcp(text.to_owned())),
            None => Err("write it as HOST:PORT, unix:/PATH or off".to_owned()),
        }
    }
}

/// As a URL, or as `--control-listen` has it.
impl fmt::Display for ControlListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlListen::Off => f.write_str("off"),
            ControlListen::Tcp(addr) => write!(f, "http://{addr}"),
            ControlListen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl ControlListen {
    /// Refuses an address that others than this machine's programs can reach, unless they have to
    /// show a token.
    pub(crate) fn check(&self, has_token: bool) -> Result<(), Usage> {
        let ControlListen::Tcp(addr) = self else { return Ok(()) };
        let addrs = addr.to_socket_addrs();
        let mut addrs =
            addrs.map_err(|error| Usage(format!("--control-listen {addr}: {error}")))?;
        if has_token || addrs.all(|addr| addr.ip().is_loopback()) {
            return Ok(());
        }
        Err(Usage(format!(
            "--control-listen {addr}: others than this machine's programs reach this address, so \
             that it needs a publish token: set FANFARE_PUBLISH_TOKEN or give \
             --publish-token-file PATH; or listen on a loopback address or unix:/PATH"
        )))
    }

    /// Its host, if that is a name.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            ControlListen::Tcp(addr) => Some(host_name(addr)),
            ControlListen::Off | ControlListen::Unix(_) => None,
        }
    }
}

impl Door {
    /// Opens the control listener where it is wanted.
    pub(crate) fn open(listen: &ControlListen) -> Result<Option<Door>, String> {
        let failed = |error: io::Error| format!("{error}; --control-listen says where else");
        match listen {
            ControlListen::Off => Ok(None),
            ControlListen::Tcp(addr) => {
                let door = Door::tcp(addr.as_str());
                let why = |error| format!("cannot listen for control on {addr}: {}", failed(error));
                door.map(Some).map_err(why)
            }
            ControlListen::Unix(path) => {
                let why = |error| {
                    format!("cannot listen for control on {}: {}", path.display(), failed(error))
                };
                Door::unix(path).map(Some).map_err(why)
            }
        }
    }

    /// Opens the control listener where it is by default: on the port after the public listener's,
    /// of a loopback address. If that port is taken, or the public one was the system's choice,
    /// then on a free one.
    pub(crate) fn beside(public: SocketAddr, port_is_fixed: bool) -> Result<Door, String> {
        let ip = match public.ip() {
            ip if ip.is_loopback() => ip,
            _ => IpAddr::from(Ipv4Addr::LOCALHOST),
        };
        if let Some(port) = public.port().checked_add(1).filter(|_| port_is_fixed) {
            match Door::tcp((ip, port)) {
                Ok(door) => return Ok(door),
                Err(error) => {
                    log::warn!("port {port} is not to be had for control, another one is: {error}");
                }
            }
        }
        Door::tcp((ip, 0)).map_err(|error| {
            format!("cannot listen for control on {ip}: {error}; --control-listen says where else")
        })
    }

    fn tcp(addr: impl ToSocketAddrs) -> io::Result<Door> {
        let listener = TcpListener::bind(addr)?;
        let addr = listener.local_addr()?;
        Ok(Door::Tcp(listener, addr))
    }

    /// Listens at a path, for this user's programs alone. What a server has left there that is gone
    /// is replaced.
    fn unix(path: &Path) -> io::Result<Door> {
        let bind = || {
            let before = umask(Mode::from_raw_mode(0o177));
            let listener = UnixListener::bind(path);
            umask(before);
            listener
        };
        let listener = match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path)?;
                bind()
            }
            bound => bound,
        }?;
        let file = std::fs::symlink_metadata(path)?;
        let id = (file.dev(), file.ino());
        Ok(Door::Unix(listener, SocketFile { path: path.to_owned(), id }))
    }

    /// Its address, if it has one.
    pub(crate) fn addr(&self) -> Option<SocketAddr> {
        match self {
            Door::Tcp(_, addr) => Some(*addr),
            Door::Unix(..) => None,
        }
    }

    /// What it asks of those who come: their `Host` where a browser can be made to come by another
    /// name, or where names are given.
    pub(crate) fn entrance(&self, has_names: bool) -> Entrance {
        match self {
            Door::Tcp(_, addr) => {
                let is_local = addr.ip().is_loopback();
                Entrance { is_local, checks_host: is_local || has_names }
            }
            Door::Unix(..) => Entrance { is_local: true, checks_host: false },
        }
    }

    pub(super) fn into_entry(self) -> io::Result<Entry> {
        Ok(match self {
            Door::Tcp(listener, _) => Entry::Tcp(Async::new(listener)?),
            Door::Unix(listener, _file) => Entry::Unix { listener: Async::new(listener)?, _file },
        })
    }
}

impl Entry {
    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Entry::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                // It fails for a client that has left already, which is seen soon enough.
                let _ = stream.get_ref().set_nodelay(true);
                Ok((Stream::Tcp(stream), Some(addr)))
            }
            Entry::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), None))
            }
        }
    }
}

/// Removes a Unix socket that no server listens on any more.
fn remove_stale(path: &Path) -> io::Result<()> {
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        let error = "there is a file of this name that is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, error));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another server listens there")),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|file| (file.dev(), file.ino()) == self.id);
        if is_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_a_path_or_off() {
        let tcp = |addr: &str| ControlListen::Tcp(addr.to_owned());
        assert_eq!("127.0.0.1:8081".parse(), Ok(tcp("127.0.0.1:8081")));
        assert_eq!("[::1]:0".parse(), Ok(tcp("[::1]:0")));
        assert_eq!("off".parse(), Ok(ControlListen::Off));
        assert_eq!("unix:/run/x".parse(), Ok(ControlListen::Unix("/run/x".into())));
        for text in ["", "unix:", "8081", "on"] {
            assert!(text.parse::<ControlListen>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_others_reach_needs_a_token() {
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
            let listen: ControlListen = text.parse().unwrap();
            assert_eq!(listen.check(false).is_err(), needs_token, "{text}");
            assert!(listen.check(true).is_ok(), "{text}");
        }
    }

    #[test]
    fn by_default_it_is_beside_the_public_one_or_where_there_is_room() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        let before = SocketAddr::from(([0, 0, 0, 0], addr.port() - 1));
        let door = Door::beside(before, true).unwrap();
        assert!(door.addr().unwrap().ip().is_loopback());
        assert_ne!(door.addr(), Some(addr));
        assert!(door.entrance(false).is_local);
        drop(taken);
        let last = SocketAddr::from(([127, 0, 0, 1], u16::MAX));
        assert!(Door::beside(last, true).is_ok());
    }

    #[test]
    fn a_dead_servers_socket_is_replaced_and_a_live_ones_is_not() {
        let path = std::env::temp_dir().join(format!("fanfare-door-{}", std::process::id()));
        let listen = ControlListen::Unix(path.clone());
        let dead = UnixListener::bind(&path).unwrap();
        drop(dead);
        let door = Door::open(&listen).unwrap().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(Door::open(&listen).unwrap_err().contains("another server listens there"));
        drop(door);
        assert!(!path.exists());

        std::fs::write(&path, "something of a user's").unwrap();
        assert!(Door::open(&listen).unwrap_err().contains("no socket"));
        assert!(path.exists());
        std::fs::remove_file(&path).unwrap();
    }
}
