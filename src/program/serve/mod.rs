//! `fanfare serve`: the engine and its control side.

mod args;
#[cfg(test)]
mod flags;
mod listen;
mod paths;
mod rules;
mod storage;
mod tickets;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use fanfare::{DrainOptions, Hub, ListenAddr, ListenOptions, Listener, StartError};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

use self::listen::Source;
use self::rules::RuleArg;
use super::control::{
    Auth, Control, ControlAddr, ControlListener, ControlOptions, Counts, HostNames, ListenerRules,
    PublicSource, Router, Streams, EVENTS, OWN_PATHS,
};
use super::outcome::{Outcome, Usage};
use super::signals::Ending;
use super::token::{self, Token};

pub(crate) use self::args::ServeArgs;
pub(in crate::program) use self::tickets::read as read_key_file;

/// The most connections of the control side of each listener unless an option says otherwise, and
/// how many there may be however few descriptors there are.
const CONTROL_CONNECTIONS_MAX: usize = 256;
const CONTROL_CONNECTIONS_LEAST: usize = 4;

/// Serves until a signal to end comes.
pub(crate) fn run(args: &ServeArgs) -> Outcome {
    // Before it is announced that the server serves, after which a signal may come.
    let ending = Ending::expect()?;
    let server = Server::start(args)?;
    server.announce("")?;
    ending.wait();
    server.drain(args.drain_options());
    Ok(ExitCode::SUCCESS)
}

/// A running server.
pub(crate) struct Server {
    hub: Hub,
    listeners: Vec<Arc<Listener>>,
    control: Control,
    /// The control listener's address, if there is one.
    control_addr: Option<ControlAddr>,
    /// The arguments that give `fanfare publish` the token, if there is one.
    shows_token: Option<String>,
}

impl Server {
    pub(crate) fn start(args: &ServeArgs) -> Result<Server, Box<dyn std::error::Error>> {
        token::refuse_on_command_line(args.publish_token.is_some())?;
        let token = Token::find(args.publish_token_file.as_deref())?;
        let shows_token = token.as_ref().map(|_| match &args.publish_token_file {
            Some(path) => format!(" --token-file {}", quoted(&path.display().to_string())),
            None => String::new(),
        });
        if let Some(listen) = &args.control_listen {
            listen.check(token.is_some())?;
        }
        args.paths.check()?;
        let sources = listen::sources(&args.entry.listen)?;
        let started = SystemTime::now();
        args.drain_options().check().map_err(|error| {
            // The drain's reconnection time is the one that streams are told.
            let flag = match error.option {
                "retry" => "--retry".to_owned(),
                option => format!("--drain-{option}"),
            };
            Usage(format!("{flag} is out of bounds: it may be {}", error.bounds))
        })?;
        let descriptors = raise_descriptors();
        let hub = Hub::start(args.options()).map_err(|error| match error {
            StartError::Options(error) => Usage(error.to_string()).into(),
            other => Box::<dyn std::error::Error>::from(other),
        })?;
        RuleArg::set_all(&args.rules, &hub)?;
        let control_connections_max =
            control_connections_within(args.control_connections_max, descriptors)?;
        let authorizer = args.tickets.authorizer(&args.listen_options().cors)?;
        let (mut listeners, mut public) = (Vec::new(), Vec::new());
        // The control listener is beside the first address that there is.
        let mut beside = None;
        for source in sources {
            let port_is_fixed = source.port_is_fixed();
            let names = args.public_names(source.is_loopback());
            let mut options = args.listen_options().hosts(names);
            if let Some(authorizer) = &authorizer {
                options = options.authorizer(authorizer.clone());
            }
            let (listener, source) =
                open_public(source, args, options, &hub, control_connections_max)?;
            if let Some(addr) = listener.addr().tcp() {
                beside.get_or_insert((addr, port_is_fixed));
            }
            listeners.push(Arc::new(listener));
            public.push(source);
        }
        let has_streams_at = |path: &str| listeners[0].has_streams_at(path);
        let taken = OWN_PATHS.iter().find(|path| **path != EVENTS && has_streams_at(path));
        if let Some(taken) = taken {
            return Err(Usage(format!(
                "--route: a request for {taken} is the server's own; give streams another path"
            ))
            .into());
        }
        let control = open_control_listener(args, beside)?;
        let control_addr = control.as_ref().map(|control| match control.addr() {
            Some(addr) => ControlAddr::Tcp(addr.to_string()),
            None => args.control_listen.clone().unwrap_or(ControlAddr::Off),
        });
        let has_names = args.has_names();
        let options = ControlOptions {
            public,
            control: control.map(|control| {
                let rules = control.rules(has_names);
                (control, rules)
            }),
            connections_max: control_connections_max,
            per_address_max: args.connections_per_address_max,
            head_fields_max: args.head_fields_max,
        };
        if control_addr.is_none() && shows_token.is_none() {
            log::warn!("nothing can publish: there is neither a control listener nor a token");
        }
        let hosts =
            HostNames::new(&args.own_names()).map_err(|why| Usage(format!("--host {why}")))?;
        let (auth, counts) = (Auth::new(token), Arc::new(Counts::default()));
        let streams = Streams {
            listeners: listeners.iter().map(Arc::downgrade).collect(),
            body_bytes_max: args.paths.body_bytes_max,
            body_time_max: args.head_time_max,
        };
        let router = Router { hub: hub.clone(), auth, hosts, streams, started, counts };
        let control = Control::start(router, options)?;
        Ok(Server { hub, listeners, control, control_addr, shows_token })
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// A command that reads streams, by the query of their URL.
    pub(crate) fn how_to_read(&self, query: &str) -> String {
        match self.listeners[0].addr() {
            ListenAddr::Unix(addr) => {
                let (option, name) = match addr.as_pathname() {
                    Some(path) => ("--unix-socket", path.display().to_string()),
                    None => ("--abstract-unix-socket", unix_name(self.listeners[0].addr())),
                };
                format!("curl -N {option} {} 'http://localhost{EVENTS}?{query}'", quoted(&name))
            }
            addr => format!("curl -N 'http://{addr}{EVENTS}?{query}'"),
        }
    }

    /// The URL of the page, if a browser can open it.
    pub(crate) fn page(&self) -> Option<String> {
        match &self.control_addr {
            Some(ControlAddr::Tcp(addr)) => Some(format!("http://{addr}/")),
            _ => None,
        }
    }

    /// Writes the addresses of all listeners, how to publish, and `more` to standard output. It is
    /// one write, so that a reader may stop at any line. A thread of its own writes it, since
    /// standard output may be a pipe that is full. If it is closed, the server serves all the same.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(crate) fn announce(&self, more: &str) -> io::Result<()> {
        let mut text = String::new();
        for listener in &self.listeners {
            text += &format!("listening on {}\n", url(listener.addr()));
        }
        if let Some(addr) = &self.control_addr {
            text += &format!("control on {addr}\n");
        }
        if let Some(publish) = self.how_to_publish() {
            text += &format!("publish: {publish}\n");
        }
        text += more;
        let thread = std::thread::Builder::new().name("fanfare-announce".to_owned());
        thread.spawn(move || {
            let mut out = io::stdout().lock();
            if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                log::warn!("standard output does not take where the server listens: {error}");
            }
        })?;
        Ok(())
    }

    /// A command that publishes an event. Where there is a token it is not curl's, whose arguments
    /// the process list would show.
    fn how_to_publish(&self) -> Option<String> {
        let Some(shows_token) = &self.shows_token else {
            return match self.control_addr.as_ref()? {
                ControlAddr::Off => None,
                ControlAddr::Tcp(addr) => {
                    Some(format!("curl -d hello 'http://{addr}/publish?topic=news'"))
                }
                ControlAddr::Unix(path) => Some(format!(
                    "curl -d hello --unix-socket {} 'http://localhost/publish?topic=news'",
                    quoted(&path.display().to_string())
                )),
            };
        };
        let url = match &self.control_addr {
            Some(addr) => quoted(&addr.to_string()),
            None => quoted(&url(self.listeners[0].addr())),
        };
        let program = std::env::args().next().unwrap_or_else(|| "fanfare".to_owned());
        let program = quoted(&program);
        Some(format!("echo hello | {program} publish {url} --topic news{shows_token}"))
    }

    /// Accepts no more clients, and disconnects the connected ones one after another.
    fn drain(self, options: DrainOptions) {
        log::info!("draining");
        drop(self.listeners);
        // Requests that are under way may still publish, to all clients: draining ends when the hub
        // is closed.
        self.control.stop();
        let drained = self.hub.drain(options);
        log::info!("{} clients were told when to come back, {} cut", drained.told, drained.cut);
    }

    /// Accepts no more clients, sends what was published, and closes every connection.
    pub(crate) fn stop(self) {
        log::info!("closing");
        drop(self.listeners);
        self.control.stop();
        self.hub.close();
    }
}

/// Where a listener is, as clients write it.
fn url(addr: &ListenAddr) -> String {
    match addr {
        ListenAddr::Tcp(addr) => format!("http://{addr}"),
        other => other.to_string(),
    }
}

/// The abstract name of a Unix domain socket.
fn unix_name(addr: &ListenAddr) -> String {
    addr.to_string().trim_start_matches("unix:@").to_owned()
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Opens a public listener, of which the control side gets what is not for events.
fn open_public(
    source: Source,
    args: &ServeArgs,
    options: ListenOptions,
    hub: &Hub,
    control_connections_max: usize,
) -> Result<(Listener, PublicSource), Box<dyn std::error::Error>> {
    let (fallback, unhandled) = fanfare::fallback(control_connections_max);
    let listener = source.open(hub, options.fallback(fallback))?;
    let is_local = |addr: SocketAddr| addr.ip().to_canonical().is_loopback();
    let is_loopback = listener.addr().tcp().is_some_and(is_local);
    let checks_host = !args.takes_any_host() && (is_loopback || args.has_names());
    let rules = ListenerRules { is_local: false, checks_host };
    Ok((listener, PublicSource { unhandled, rules }))
}

/// Opens the control listener: beside the first public address, if there is one.
fn open_control_listener(
    args: &ServeArgs,
    public: Option<(SocketAddr, bool)>,
) -> Result<Option<ControlListener>, String> {
    match &args.control_listen {
        Some(listen) => ControlListener::open(listen),
        None => {
            let free = (SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), false);
            let (addr, port_is_fixed) = public.unwrap_or(free);
            ControlListener::beside(addr, port_is_fixed).map(Some)
        }
    }
}

/// Allows the process as many open files as it may have, since each connection is one, and returns
/// how many those are; the engine keeps within that.
fn raise_descriptors() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// The most connections of the control side that each listener may have. They may take a sixteenth
/// of the descriptors, which is within the quarter that the engine leaves.
///
/// # Errors
///
/// When more were asked for than there are descriptors for.
fn control_connections_within(
    asked_max: Option<u32>,
    descriptors: Option<u64>,
) -> Result<usize, Usage> {
    let share =
        descriptors.map_or(usize::MAX, |all| usize::try_from(all / 16).unwrap_or(usize::MAX));
    let share = share.max(CONTROL_CONNECTIONS_LEAST);
    match asked_max.map(|most| most as usize) {
        None => Ok(CONTROL_CONNECTIONS_MAX.min(share)),
        Some(most) if most <= share => Ok(most),
        Some(most) => Err(Usage(format!(
            "--control-connections-max {most}: a sixteenth of the limit of open files is the most, \
             which is {share} here; raise the limit (ulimit -n) to {}, or give at most {share}",
            most * 16
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::args::tests::parse;
    use super::*;

    #[test]
    fn more_control_connections_than_a_sixteenth_of_the_descriptors_are_an_error_if_asked_for() {
        let within = |asked, descriptors| control_connections_within(asked, descriptors).ok();
        assert_eq!(within(None, Some(1 << 20)), Some(256));
        assert_eq!(within(None, Some(1_024)), Some(64));
        assert_eq!(within(Some(64), Some(1_024)), Some(64));
        assert_eq!(within(Some(65), Some(1_024)), None);
        assert_eq!(within(Some(4), Some(8)), Some(4));
        assert_eq!(within(Some(65_536), None), Some(65_536));
        let error = control_connections_within(Some(300), Some(1_024)).unwrap_err().to_string();
        for part in ["--control-connections-max 300", "64 here", "ulimit -n) to 4800"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_token_on_the_command_line_is_refused() {
        for line in [&["--publish-token", "s3cret"][..], &["--publish-token"]] {
            let args = parse(line).unwrap();
            let error = Server::start(&args).err().unwrap().to_string();
            assert!(
                error.contains("FANFARE_PUBLISH_TOKEN") && !error.contains("s3cret"),
                "{error}"
            );
        }
    }
}
