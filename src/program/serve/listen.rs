//! Where the public listeners are: `--listen`, and the sockets that the process was started with.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use fanfare::{ForwardedHeader, Hub, ListenError, ListenOnError, ListenOptions, Listener};

use super::super::control::name_of;
use super::super::inherited;
use super::super::outcome::Usage;

/// The first descriptor that systemd passes (sd_listen_fds(3)).
const FIRST: RawFd = 3;
/// The most descriptors that are taken from systemd.
const DESCRIPTORS_MAX: usize = 256;

const FORMS: &str = "write it as HOST:PORT, unix:/PATH, unix:@NAME, fd:N, systemd or systemd:NAME";

/// The options of where the public listeners are, and of the proxies before them.
#[derive(Args, Debug)]
pub(super) struct ListenArgs {
    /// Where to listen: HOST:PORT (port 0 takes a free one), unix:/PATH, unix:@NAME (an abstract
    /// name of Linux), fd:N (a socket that the process was started with), systemd (all sockets that
    /// systemd passes) or systemd:NAME (those of a FileDescriptorName=). May be repeated, or
    /// separated by commas
    #[arg(
        long,
        env = "FANFARE_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080",
        value_delimiter = ','
    )]
    pub(super) listen: Vec<ListenArg>,

    /// The permissions of the files of --listen unix:/PATH, in octal: who may write to it may
    /// connect
    #[arg(long, env = "FANFARE_SOCKET_MODE", value_name = "MODE", default_value = "600",
          value_parser = mode)]
    socket_mode: u32,

    /// Proxies whose connections begin with a header of the PROXY protocol, which says who their
    /// client is: addresses, networks such as 10.0.0.0/8, or unix for --listen unix:/PATH; may be
    /// repeated, or separated by commas. From these the header is required, and from others it is
    /// an error
    #[arg(
        long,
        env = "FANFARE_PROXY_PROTOCOL_FROM",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    proxy_protocol_from: Vec<String>,

    /// Proxies that are believed about their clients in --forwarded-header, so that bounds per
    /// address, lists and logs see the client: as --proxy-protocol-from
    #[arg(long, env = "FANFARE_TRUSTED_PROXY", value_name = "NETWORK", value_delimiter = ',')]
    trusted_proxy: Vec<String>,

    /// The header field in which trusted proxies say who their client is: x-forwarded-for or
    /// forwarded
    #[arg(long, env = "FANFARE_FORWARDED_HEADER", value_name = "NAME",
          default_value_t = ForwardedHeader::XForwardedFor)]
    forwarded_header: ForwardedHeader,
}

/// Where to listen, as `--listen` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenArg {
    /// `HOST:PORT`.
    Tcp(String),
    /// `unix:/PATH`, or `unix:@NAME` for an abstract name, which begins with a NUL here.
    Unix(PathBuf),
    /// `fd:N`: a descriptor that the process was started with.
    Descriptor(RawFd),
    /// `systemd`, or `systemd:NAME` for sockets of one name.
    Systemd(Option<String>),
}

/// What one listener listens at.
pub(super) struct Source {
    place: Place,
    /// As the user knows it.
    label: String,
}

enum Place {
    Tcp(String),
    Unix(PathBuf),
    Socket(OwnedFd),
}

/// What systemd says in the environment that it passes.
struct Passed {
    pid: Option<String>,
    count: Option<String>,
    names: Option<String>,
}

impl ListenArgs {
    /// Adds what a listener of the engine takes of them.
    pub(super) fn add_to(&self, options: ListenOptions) -> ListenOptions {
        options
            .proxy_protocol_from(self.proxy_protocol_from.clone())
            .trusted_proxies(self.trusted_proxy.clone())
            .forwarded_header(self.forwarded_header)
            .socket_mode(self.socket_mode)
    }
}

/// Permission bits, which are written in octal.
fn mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8).map_err(|_| "write permissions in octal, such as 660".to_owned())
}

impl FromStr for ListenArg {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenArg, String> {
        let forms = || FORMS.to_owned();
        match text.split_once(':') {
            Some(("unix", "" | "@")) => {
                Err("a Unix socket needs a path: unix:/run/x.sock".to_owned())
            }
            Some(("unix", path)) => Ok(ListenArg::Unix(match path.strip_prefix('@') {
                Some(name) => {
                    std::ffi::OsString::from_vec([b"\0", name.as_bytes()].concat()).into()
                }
                None => path.into(),
            })),
            Some(("fd", number)) => match number.parse() {
                // Standard output and standard error are for other things.
                Ok(fd) if fd == 0 || fd >= FIRST => Ok(ListenArg::Descriptor(fd)),
                _ => Err("write a descriptor as fd:N, with 0 or a number from 3".to_owned()),
            },
            Some(("systemd", "")) => Err(forms()),
            Some(("systemd", name)) => Ok(ListenArg::Systemd(Some(name.to_owned()))),
            Some(_) => Ok(ListenArg::Tcp(text.to_owned())),
            None if text == "systemd" => Ok(ListenArg::Systemd(None)),
            None => Err(forms()),
        }
    }
}

impl ListenArg {
    /// Its host, if that is a name.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            ListenArg::Tcp(addr) => name_of(addr),
            ListenArg::Unix(_) | ListenArg::Descriptor(_) | ListenArg::Systemd(_) => None,
        }
    }
}

impl fmt::Display for ListenArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenArg::Tcp(addr) => f.write_str(addr),
            ListenArg::Unix(path) => match path.to_string_lossy().strip_prefix('\0') {
                Some(name) => write!(f, "unix:@{name}"),
                None => write!(f, "unix:{}", path.display()),
            },
            ListenArg::Descriptor(fd) => write!(f, "fd:{fd}"),
            ListenArg::Systemd(None) => f.write_str("systemd"),
            ListenArg::Systemd(Some(name)) => write!(f, "systemd:{name}"),
        }
    }
}

/// Takes over the sockets that the process was started with, of all that is to be listened at.
///
/// # Errors
///
/// When one is not there.
pub(super) fn sources(args: &[ListenArg]) -> Result<Vec<Source>, Usage> {
    let mut sources = Vec::new();
    for arg in args {
        let label = arg.to_string();
        match arg {
            ListenArg::Tcp(addr) => sources.push(Source { place: Place::Tcp(addr.clone()), label }),
            ListenArg::Unix(path) => {
                sources.push(Source { place: Place::Unix(path.clone()), label });
            }
            ListenArg::Descriptor(fd) => sources.push(inherited(*fd, label)?),
            ListenArg::Systemd(name) => {
                let descriptors = Passed::by_environment().descriptors(name.as_deref());
                let descriptors =
                    descriptors.map_err(|why| Usage(format!("--listen {label}: {why}")))?;
                for fd in descriptors {
                    sources.push(inherited(fd, format!("fd:{fd} of systemd"))?);
                }
            }
        }
    }
    Ok(sources)
}

fn inherited(fd: RawFd, label: String) -> Result<Source, Usage> {
    match inherited::take(fd) {
        Ok(socket) => Ok(Source { place: Place::Socket(socket), label }),
        Err(error) => Err(Usage(format!("--listen {label}: {error}"))),
    }
}

impl Passed {
    fn by_environment() -> Passed {
        let variable = |name| std::env::var(name).ok();
        Passed {
            pid: variable("LISTEN_PID"),
            count: variable("LISTEN_FDS"),
            names: variable("LISTEN_FDNAMES"),
        }
    }

    /// The descriptors that are passed to this process, all or those of a name.
    fn descriptors(&self, name: Option<&str>) -> Result<Vec<RawFd>, String> {
        let is_ours =
            self.pid.as_deref().and_then(|pid| pid.parse().ok()) == Some(std::process::id());
        let count = self.count.as_deref().and_then(|count| count.parse::<usize>().ok());
        let count = match (is_ours, count) {
            (true, Some(count @ 1..=DESCRIPTORS_MAX)) => count,
            (true, Some(count)) if count > DESCRIPTORS_MAX => {
                return Err(format!("LISTEN_FDS is {count}, and {DESCRIPTORS_MAX} is the most"));
            }
            _ => {
                return Err("systemd has passed no socket to this process (LISTEN_PID and \
                            LISTEN_FDS say so); start it by a .socket unit"
                    .to_owned())
            }
        };
        let names: Vec<_> = self.names.as_deref().unwrap_or("").split(':').collect();
        let is_wanted = |nth: &usize| name.is_none_or(|name| names.get(*nth) == Some(&name));
        let wanted: Vec<_> = (0..count).filter(is_wanted).map(|nth| FIRST + nth as RawFd).collect();
        match (wanted.is_empty(), name) {
            (true, Some(name)) => Err(format!(
                "no socket of the name {name} was passed; there are {} (FileDescriptorName=)",
                names.join(", ")
            )),
            _ => Ok(wanted),
        }
    }
}

impl Source {
    /// Whether only programs of this machine can reach its address. False for what has none.
    pub(super) fn is_loopback(&self) -> bool {
        let all_loopback = |mut addrs: std::vec::IntoIter<SocketAddr>| {
            addrs.len() > 0 && addrs.all(|addr| addr.ip().to_canonical().is_loopback())
        };
        match &self.place {
            Place::Tcp(addr) => {
                let addrs = addr.to_socket_addrs().map(|addrs| addrs.collect::<Vec<_>>());
                addrs.is_ok_and(|addrs| all_loopback(addrs.into_iter()))
            }
            Place::Unix(_) => false,
            Place::Socket(socket) => rustix::net::getsockname(socket)
                .ok()
                .and_then(|addr| SocketAddr::try_from(addr).ok())
                .is_some_and(|addr| all_loopback(vec![addr].into_iter())),
        }
    }

    /// Whether the port, if it has one, is of the user's choice.
    pub(super) fn port_is_fixed(&self) -> bool {
        match &self.place {
            Place::Tcp(addr) => {
                addr.rsplit_once(':').is_some_and(|(_, port)| port.parse() != Ok(0_u16))
            }
            Place::Unix(_) | Place::Socket(_) => true,
        }
    }

    /// Opens a listener there.
    pub(super) fn open(
        self,
        hub: &Hub,
        options: ListenOptions,
    ) -> Result<Listener, Box<dyn std::error::Error>> {
        let label = self.label;
        let opened = match self.place {
            Place::Tcp(addr) => hub.listen(&*addr, options),
            Place::Unix(path) => hub.listen_unix(path, options),
            Place::Socket(socket) => {
                hub.listen_on(socket, options).map_err(|ListenOnError { error, .. }| error)
            }
        };
        opened.map_err(|error| match error {
            ListenError::Options(_) => Usage(error.to_string()).into(),
            ListenError::Bind(error) => format!("cannot listen on {label}: {error}").into(),
            other => Box::<dyn std::error::Error>::from(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::tests::parse;
    use super::*;

    #[test]
    fn what_to_listen_at_is_written_as_it_is_read() {
        for text in [
            "127.0.0.1:8080",
            "[::1]:0",
            "localhost:80",
            "unix:/run/x.sock",
            "unix:@x",
            "fd:3",
            "fd:0",
            "systemd",
            "systemd:events",
        ] {
            assert_eq!(text.parse::<ListenArg>().map(|arg| arg.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("unix:@x".parse(), Ok(ListenArg::Unix("\0x".into())));
        for text in ["", "8080", "unix:", "unix:@", "fd:", "fd:1", "fd:2", "fd:-1", "systemd:"] {
            assert!(text.parse::<ListenArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn places_and_proxies_may_be_repeated_or_separated_by_commas() {
        let line = [
            "--listen=unix:/run/x,[::1]:80",
            "--listen=fd:3",
            "--trusted-proxy=10.0.0.0/8,unix",
            "--proxy-protocol-from=::1",
            "--forwarded-header=forwarded",
            "--socket-mode=660",
        ];
        let args = parse(&line).unwrap();
        let listen: Vec<_> = args.entry.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["unix:/run/x", "[::1]:80", "fd:3"]);
        let options = args.listen_options();
        assert_eq!(options.trusted_proxies, ["10.0.0.0/8", "unix"]);
        assert_eq!(options.proxy_protocol_from, ["::1"]);
        assert_eq!(options.forwarded_header, ForwardedHeader::Forwarded);
        assert_eq!(options.socket_mode, 0o660);
        assert!(parse(&["--socket-mode=999"]).is_err());
        let error = parse(&["--forwarded-header=via"]).err().unwrap().to_string();
        assert!(error.contains("x-forwarded-for, forwarded"), "{error}");
    }

    #[test]
    fn systemd_passes_sockets_to_one_process_and_with_names() {
        let passed = |pid: u32, count: &str, names: Option<&str>| Passed {
            pid: Some(pid.to_string()),
            count: Some(count.to_owned()),
            names: names.map(str::to_owned),
        };
        let own = std::process::id();
        let three = passed(own, "3", Some("public:admin:public"));
        assert_eq!(three.descriptors(None), Ok(vec![3, 4, 5]));
        assert_eq!(three.descriptors(Some("public")), Ok(vec![3, 5]));
        let error = three.descriptors(Some("other")).unwrap_err();
        assert!(error.contains("there are public, admin, public"), "{error}");
        assert_eq!(passed(own, "1", None).descriptors(None), Ok(vec![3]));
        for none in [passed(own + 1, "1", None), passed(own, "0", None), passed(own, "x", None)] {
            assert!(none.descriptors(None).unwrap_err().contains("by a .socket unit"));
        }
        assert!(passed(own, "257", None).descriptors(None).unwrap_err().contains("256"));
    }

    #[test]
    fn a_descriptor_that_was_opened_since_is_not_taken() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&listener);
        assert!(sources(&[ListenArg::Descriptor(fd)]).is_err());
        assert!(listener.local_addr().is_ok());
        assert!(sources(&[ListenArg::Descriptor(RawFd::MAX)]).is_err());
    }
}
