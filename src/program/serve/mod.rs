//! `fanfare serve`: the engine and its control side.

mod args;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use fanfare::{DrainOptions, Hub, ListenError, Listener, StartError};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

use super::control::{
    Arrivals, Control, ControlListen, Counts, Desk, Door, Entrance, Hosts, Permit,
};
use super::signals::Ending;
use super::token::{self, Token};
use super::{Outcome, Usage};

pub(crate) use self::args::ServeArgs;

/// Serves until a signal to end comes.
pub(crate) fn run(args: &ServeArgs) -> Outcome {
    // Before anyone can know that it serves, and send one.
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
    listener: Arc<Listener>,
    control: Control,
    /// Where the control listener is, if there is one.
    way: Option<ControlListen>,
    /// How `fanfare publish` is told of the token, if there is one.
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
        let started = SystemTime::now();
        args.drain_options().check().map_err(|error| {
            Usage(format!("--drain-{} is out of bounds: {}", error.option, error.bounds))
        })?;
        let descriptors = raise_descriptors();
        let hub = Hub::start(args.options()).map_err(|error| match error {
            StartError::Options(error) => Usage(error.to_string()).into(),
            other => Box::<dyn std::error::Error>::from(other),
        })?;
        let visitors_max = visitors_within(args.control_connections_max(), descriptors);
        let (fallback, visitors) = fanfare::fallback(visitors_max);
        let options = args.listen_options().fallback(fallback);
        let listener = hub.listen(&*args.listen, options).map_err(|error| match error {
            ListenError::Options(_) => Usage(error.to_string()).into(),
            ListenError::Bind(error) => format!("cannot listen on {}: {error}", args.listen).into(),
            other => Box::<dyn std::error::Error>::from(other),
        })?;
        let listener = Arc::new(listener);
        let public = listener.local_addr();
        let door = open_door(args, public)?;
        let way = door.as_ref().map(|door| match door.addr() {
            Some(addr) => ControlListen::Tcp(addr.to_string()),
            None => args.control_listen.clone().unwrap_or(ControlListen::Off),
        });
        let has_names = args.has_names();
        let checks_host = !args.takes_any_host() && (public.ip().is_loopback() || has_names);
        let arrivals = Arrivals {
            visitors,
            public: Entrance { is_local: false, checks_host },
            door: door.map(|door| {
                let entrance = door.entrance(has_names);
                (door, entrance)
            }),
            listener: Arc::downgrade(&listener),
            connections_max: visitors_max,
            per_address_max: args.connections_per_address_max,
            head_fields_max: args.head_fields_max,
        };
        if way.is_none() && shows_token.is_none() {
            log::warn!("nobody can publish: there is neither a control listener nor a token");
        }
        let hosts = Hosts::new(args.own_names());
        let (permit, counts) = (Permit::new(token), Arc::new(Counts::default()));
        let desk = Desk { hub: hub.clone(), permit, hosts, started, counts };
        let control = Control::start(desk, arrivals)?;
        Ok(Server { hub, listener, control, way, shows_token })
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Where the page is, if there is one that a browser can be told to open.
    pub(crate) fn page(&self) -> Option<String> {
        match &self.way {
            Some(ControlListen::Tcp(addr)) => Some(format!("http://{addr}/")),
            _ => None,
        }
    }

    /// Says on standard output that clients may come, where the control listener is, how to publish,
    /// and something more. It is one write, so that a reader may stop at any line. A thread of its
    /// own says it, since standard output may be a pipe that is full, and that a reader has closed
    /// it is no reason not to serve.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(crate) fn announce(&self, more: &str) -> io::Result<()> {
        let mut text = format!("listening on http://{}\n", self.addr());
        if let Some(way) = &self.way {
            text += &format!("control on {way}\n");
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
            return match self.way.as_ref()? {
                ControlListen::Off => None,
                ControlListen::Tcp(addr) => {
                    Some(format!("curl -d hello 'http://{addr}/publish?topic=news'"))
                }
                ControlListen::Unix(path) => Some(format!(
                    "curl -d hello --unix-socket {} 'http://localhost/publish?topic=news'",
                    quoted(&path.display().to_string())
                )),
            };
        };
        let url = match &self.way {
            Some(way) => quoted(&way.to_string()),
            None => format!("http://{}", self.addr()),
        };
        let program = std::env::args().next().unwrap_or_else(|| "fanfare".to_owned());
        let program = quoted(&program);
        Some(format!("echo hello | {program} publish {url} --topic news{shows_token}"))
    }

    /// Lets nobody in any more, and sends those who are here away, one after another.
    fn drain(self, options: DrainOptions) {
        log::info!("draining");
        drop(self.listener);
        // Requests that go on may still publish, and to everyone: draining ends with the hub's close.
        self.control.stop();
        let drained = self.hub.drain(options);
        log::info!("{} clients were told when to come back, {} cut", drained.told, drained.cut);
    }

    /// Lets nobody in any more, sends what was published, and closes every connection.
    pub(crate) fn stop(self) {
        log::info!("closing");
        drop(self.listener);
        self.control.stop();
        self.hub.close();
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Opens the control listener.
fn open_door(args: &ServeArgs, public: SocketAddr) -> Result<Option<Door>, String> {
    match &args.control_listen {
        Some(listen) => Door::open(listen),
        None => Door::beside(public, args.port_is_fixed()).map(Some),
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

/// How many connections of the control side there may be of each listener, and wait: where
/// descriptors are few, a sixteenth of them each, which is within the quarter that the engine
/// leaves.
fn visitors_within(wished_max: usize, descriptors: Option<u64>) -> usize {
    let share =
        descriptors.map_or(usize::MAX, |all| usize::try_from(all / 16).unwrap_or(usize::MAX));
    wished_max.min(share.max(4))
}

#[cfg(test)]
mod tests {
    use super::args::tests::parse;
    use super::*;

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
