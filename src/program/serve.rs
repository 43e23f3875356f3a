//! `fanfare serve`: the engine and its control side, on one port.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use fanfare::{
    Cors, DrainOptions, Hub, ListenError, ListenOptions, Listener, Options, Overload, StartError,
};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

use super::control::{Control, Desk, Permit, CONNECTIONS_MAX, EVENTS};
use super::signals::Ending;
use super::token::{self, Token};
use super::{units, Outcome, Usage};

/// Serve event streams, and take events to publish.
///
/// Clients read GET /events?topic=NAME; publishers POST /publish?topic=NAME; GET / is a page to
/// try it; GET /metrics is for Prometheus; GET /healthz answers 200.
///
/// Publishing: without a token it is open to programs of this machine alone, and not to requests
/// that a proxy forwarded or that a page of another origin sent. With a token in the environment
/// (FANFARE_PUBLISH_TOKEN) or a file, everyone has to show it: Authorization: Bearer TOKEN.
/// Behind a proxy on the same machine, always set a token.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ServeArgs {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "FANFARE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,

    /// Threads that send to clients [default: one for each core]
    #[arg(long, env = "FANFARE_SHARDS", value_name = "N")]
    shards: Option<usize>,

    /// A file that holds the token publishers have to show; or set FANFARE_PUBLISH_TOKEN
    #[arg(long, env = "FANFARE_PUBLISH_TOKEN_FILE", value_name = "PATH")]
    publish_token_file: Option<PathBuf>,

    /// Refused, with the reason.
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "")]
    publish_token: Option<String>,

    /// An origin whose pages may read streams, such as https://example.com, or * for all; may be
    /// repeated, or separated by commas
    #[arg(long, env = "FANFARE_CORS", value_name = "ORIGIN", value_delimiter = ',')]
    cors: Vec<String>,

    /// Let those pages send cookies and other credentials along
    #[arg(long, env = "FANFARE_CORS_CREDENTIALS")]
    cors_credentials: bool,

    /// How long a stream may be silent before its client gets a comment; 0 for never
    #[arg(long, env = "FANFARE_HEARTBEAT", value_name = "TIME", default_value = "15s",
          value_parser = units::duration)]
    heartbeat: Duration,

    /// The reconnection time that clients are told, each one between this and twice this; 0 tells
    /// nothing
    #[arg(long, env = "FANFARE_RETRY", value_name = "TIME", default_value = "2s",
          value_parser = units::duration)]
    retry: Duration,

    /// The most connections
    #[arg(long, env = "FANFARE_CONNECTIONS_MAX", value_name = "N", default_value = "100000")]
    connections_max: usize,

    /// The most connections from one address (IPv6: one /64 network); 0 for no bound
    #[arg(
        long,
        env = "FANFARE_CONNECTIONS_PER_ADDRESS_MAX",
        value_name = "N",
        default_value = "0"
    )]
    connections_per_address_max: usize,

    /// What a client is told for whom there is no room
    #[arg(long, env = "FANFARE_OVERLOAD", value_enum, default_value = "come-again")]
    overload: OverloadArg,

    /// The most topics of one stream
    #[arg(long, env = "FANFARE_TOPICS_MAX", value_name = "N", default_value = "64")]
    topics_max: usize,

    /// The most bytes of an event's data
    #[arg(long, env = "FANFARE_EVENT_BYTES_MAX", value_name = "SIZE", default_value = "1MiB",
          value_parser = units::bytes)]
    event_bytes_max: usize,

    /// A topic takes no more events while this much of it waits to be sent
    #[arg(long, env = "FANFARE_TOPIC_ROOM", value_name = "SIZE", default_value = "40KiB",
          value_parser = units::bytes)]
    topic_room: usize,

    /// The most bytes that are sent to a client at once; more is more throughput and more latency
    #[arg(long, env = "FANFARE_BATCH_BYTES_MAX", value_name = "SIZE", default_value = "40KiB",
          value_parser = units::bytes)]
    batch_bytes_max: usize,

    /// How far a client may lag behind before it is disconnected
    #[arg(long, env = "FANFARE_LAG_BYTES_MAX", value_name = "SIZE", default_value = "1MiB",
          value_parser = units::bytes)]
    lag_bytes_max: usize,

    /// How long a client may lag behind before it is disconnected
    #[arg(long, env = "FANFARE_LAG_AGE_MAX", value_name = "TIME", default_value = "30s",
          value_parser = units::duration)]
    lag_age_max: Duration,

    /// For clients that come back, so many of each topic's newest events are kept; 0 keeps nothing
    #[arg(long, env = "FANFARE_HISTORY_EVENTS_MAX", value_name = "N", default_value = "1000")]
    history_events_max: usize,

    /// The most bytes that are kept of each topic, with 256 for each event besides its own
    #[arg(long, env = "FANFARE_HISTORY_BYTES_MAX", value_name = "SIZE", default_value = "1MiB",
          value_parser = units::bytes)]
    history_bytes_max: usize,

    /// How long an event is kept
    #[arg(long, env = "FANFARE_HISTORY_AGE_MAX", value_name = "TIME", default_value = "5m",
          value_parser = units::duration)]
    history_age_max: Duration,

    /// The most bytes that are kept over all topics
    #[arg(long, env = "FANFARE_HISTORY_TOTAL_BYTES_MAX", value_name = "SIZE",
          default_value = "64MiB", value_parser = units::bytes)]
    history_total_bytes_max: usize,

    /// The name of the event that tells a client that events are missing before it
    #[arg(long, env = "FANFARE_GAP_EVENT", value_name = "NAME", default_value = "fanfare-gap")]
    gap_event: String,

    /// Told to end, the server closes its streams evenly over this time, each with a time of its
    /// own after which to come back; a second signal ends it at once
    #[arg(long, env = "FANFARE_DRAIN_WINDOW", value_name = "TIME", default_value = "5s",
          value_parser = units::duration)]
    drain_window: Duration,

    /// How much longer a client that lags may then take what there is for it
    #[arg(long, env = "FANFARE_DRAIN_PATIENCE", value_name = "TIME", default_value = "5s",
          value_parser = units::duration)]
    drain_patience: Duration,

    /// The most bytes of a request's head
    #[arg(long, env = "FANFARE_HEAD_BYTES_MAX", value_name = "SIZE", default_value = "16KiB",
          value_parser = units::bytes)]
    head_bytes_max: usize,

    /// How long a client may take for its request's head
    #[arg(long, env = "FANFARE_HEAD_TIME_MAX", value_name = "TIME", default_value = "10s",
          value_parser = units::duration)]
    head_time_max: Duration,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OverloadArg {
    /// 200 and when to come again: anything else stops a browser's EventSource for good
    ComeAgain,
    /// 503, for clients and balancers that know what to do with it
    Unavailable,
}

impl ServeArgs {
    fn options(&self) -> Options {
        let defaults = Options::default();
        Options {
            shards: self.shards.unwrap_or(defaults.shards),
            heartbeat: self.heartbeat,
            retry: self.retry,
            event_bytes_max: self.event_bytes_max,
            batch_bytes_max: self.batch_bytes_max,
            topic_room_bytes: self.topic_room,
            lag_bytes_max: self.lag_bytes_max,
            lag_age_max: self.lag_age_max,
            lag_grace: defaults.lag_grace.min(self.lag_age_max),
            connections_max: self.connections_max,
            connections_per_address_max: self.connections_per_address_max,
            history_events_max: self.history_events_max,
            history_bytes_max: self.history_bytes_max,
            history_age_max: self.history_age_max,
            history_total_bytes_max: self.history_total_bytes_max,
            gap_event: self.gap_event.clone(),
            ..defaults
        }
    }

    fn drain_options(&self) -> DrainOptions {
        DrainOptions { window: self.drain_window, patience: self.drain_patience, retry: self.retry }
    }

    fn listen_options(&self) -> ListenOptions {
        ListenOptions {
            path: EVENTS.to_owned(),
            cors: Cors { origins: self.cors.clone(), credentials: self.cors_credentials },
            head_bytes_max: self.head_bytes_max,
            head_time_max: self.head_time_max,
            topics_max: self.topics_max,
            overload: match self.overload {
                OverloadArg::ComeAgain => Overload::ComeAgain,
                OverloadArg::Unavailable => Overload::Unavailable,
            },
            ..ListenOptions::default()
        }
    }
}

/// Serves until a signal to end comes.
pub(crate) fn run(args: &ServeArgs) -> Outcome {
    // Before anyone can know that it serves, and send one.
    let ending = Ending::expect()?;
    let server = Server::start(args)?;
    server.announce()?;
    ending.wait();
    server.drain(args.drain_options());
    Ok(ExitCode::SUCCESS)
}

/// A running server.
pub(crate) struct Server {
    hub: Hub,
    listener: Arc<Listener>,
    control: Control,
}

impl Server {
    pub(crate) fn start(args: &ServeArgs) -> Result<Server, Box<dyn std::error::Error>> {
        token::refuse_on_command_line(args.publish_token.is_some())?;
        let token = Token::find(args.publish_token_file.as_deref())?;
        let started = SystemTime::now();
        raise_descriptors(args.connections_max);
        let hub = Hub::start(args.options()).map_err(|error| match error {
            StartError::Options(error) => Usage(error.to_string()).into(),
            other => Box::<dyn std::error::Error>::from(other),
        })?;
        let (elsewhere, visitors) = async_channel::bounded(CONNECTIONS_MAX);
        let options = ListenOptions { elsewhere: Some(elsewhere), ..args.listen_options() };
        let listener = hub.listen(&*args.listen, options).map_err(|error| match error {
            ListenError::Options { .. } => Usage(error.to_string()).into(),
            ListenError::Bind(error) => format!("cannot listen on {}: {error}", args.listen).into(),
            other => Box::<dyn std::error::Error>::from(other),
        })?;
        let listener = Arc::new(listener);
        let permit = Permit::new(token, &args.listen);
        log::info!(
            "publishing is open to {}",
            match permit {
                Permit::Token(_) => "those who show the token",
                Permit::Local { .. } => "programs of this machine, since there is no token",
            }
        );
        let desk = Desk { hub: hub.clone(), permit, started };
        let control = Control::start(desk, Arc::downgrade(&listener), visitors)?;
        Ok(Server { hub, listener, control })
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Says on standard output, for whoever waits for it, that clients may come.
    pub(crate) fn announce(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "listening on http://{}", self.addr())?;
        out.flush()
    }

    /// Lets nobody in any more, and sends those who are here away, one after another.
    fn drain(self, options: DrainOptions) {
        log::info!("draining");
        drop(self.listener);
        // Requests that go on may still publish; draining ends with the hub's close.
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

/// Allows the process as many open files as it may have, since each connection is one.
fn raise_descriptors(connections_max: usize) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let most = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    if let Some(most) = most.filter(|&most| most < connections_max as u64) {
        log::info!("only {most} files may be open, which is less than --connections-max");
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn parse(line: &[&str]) -> Result<ServeArgs, clap::Error> {
        let line = ["serve"].iter().chain(line);
        Line::try_parse_from(line).map(|line| line.args)
    }

    #[test]
    fn the_defaults_are_those_of_the_engine() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.options(), Options::default());
        let theirs = format!("{:?}", ListenOptions::default());
        assert_eq!(format!("{:?}", args.listen_options()), theirs);
    }

    #[test]
    fn options_are_taken_as_people_write_them() {
        let args =
            parse(&["--heartbeat", "500ms", "--lag-age-max=100ms", "--cors=https://a.example,*"]);
        let args = args.unwrap();
        assert_eq!(args.options().heartbeat, Duration::from_millis(500));
        assert_eq!(args.options().check(), Ok(()));
        assert_eq!(args.listen_options().cors.origins, ["https://a.example", "*"]);
        assert!(parse(&["--heartbeat", "15"]).is_err());
        let kept = ["--history-events-max=0", "--history-age-max=1d", "--gap-event", "größe"];
        let options = parse(&kept).unwrap().options();
        assert_eq!((options.history_events_max, &*options.gap_event), (0, "größe"));
        assert_eq!(options.history_age_max, Duration::from_secs(86_400));
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
