//! The options of `fanfare serve`, which are the engine's, as people write them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use fanfare::{
    DrainOptions, Envelope, HeartbeatForm, ListenOptions, Options, Overload, Policy, PolicyError,
    StartAt,
};

use super::super::control::{ControlAddr, ANY, EVENTS, HEALTH};
use super::super::units;
use super::listen::{ListenArg, ListenArgs};
use super::paths::PathArgs;
use super::rules::RuleArg;
use super::storage::StorageArgs;
use super::tickets::TicketArgs;

/// Serve event streams, and take events to publish.
///
/// There are two listeners. The public one (--listen) is for clients, which read
/// GET /events?topic=NAME. The control listener (--control-listen) is for this machine's programs:
/// POST /publish?topic=NAME publishes; GET / is a page to try it; GET /metrics is for Prometheus;
/// GET /connections lists streams, with lagging=1 the slow ones; PUT /connections gives one other
/// topics, and DELETE ends streams; GET /topics counts them. It serves streams as well. Both answer
/// GET /healthz with 200, or 503 when a part of the server has failed. --route adds paths that have
/// streams.
///
/// The control listener needs no token, since only programs of this machine get there. It refuses
/// pages of other origins. Never let a proxy forward to it.
/// With a token in the environment (FANFARE_PUBLISH_TOKEN) or a file, publishing and what concerns
/// connections need it: Authorization: Bearer TOKEN. Then they are at the public listener as well,
/// and so is /metrics.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(super) entry: ListenArgs,

    /// Where publishing, connections, topics, metrics and the page are: HOST:PORT, unix:/PATH or
    /// off. An address that is not a loopback one needs a publish token [default: the port after
    /// the first --listen's on a loopback address, or a free one if that is taken]
    #[arg(long, env = "FANFARE_CONTROL_LISTEN", value_name = "ADDR")]
    pub(super) control_listen: Option<ControlAddr>,

    /// A name of this server that requests may have as their Host, besides addresses and localhost;
    /// may be repeated, or separated by commas. Host is checked where it is given, and always on a
    /// loopback address. '*' has --listen's address take any, so that DNS rebinding can read its
    /// streams; control stays as it is without
    #[arg(long = "host", env = "FANFARE_HOST", value_name = "NAME", value_delimiter = ',',
          value_parser = host)]
    pub(super) hosts: Vec<String>,

    /// Threads that send to clients [default: one for each core]
    #[arg(long, env = "FANFARE_SHARDS", value_name = "N")]
    shards: Option<usize>,

    /// A file, best of mode 0600, that holds the token which publishers have to show; or set
    /// FANFARE_PUBLISH_TOKEN
    #[arg(long, env = "FANFARE_PUBLISH_TOKEN_FILE", value_name = "PATH")]
    pub(super) publish_token_file: Option<PathBuf>,

    /// Refused, with the reason.
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "")]
    pub(super) publish_token: Option<String>,

    /// How long a stream may be silent before its client gets a heartbeat; 0 for never
    #[arg(long, env = "FANFARE_HEARTBEAT", value_name = "TIME", default_value = "15s",
          value_parser = units::duration)]
    heartbeat: Duration,

    /// What a heartbeat is, and the first block of a stream: id (a block that fires no event),
    /// comment, or event (one named fanfare-heartbeat); docs/resuming.md says which client needs
    /// which. A client may ask for another with heartbeat=NAME in its query
    #[arg(long, env = "FANFARE_HEARTBEAT_FORM", value_name = "NAME",
          default_value_t = HeartbeatForm::Id)]
    heartbeat_form: HeartbeatForm,

    /// The reconnection time that clients are told, each one between this and twice this; 0 tells
    /// nothing
    #[arg(long, env = "FANFARE_RETRY", value_name = "TIME", default_value = "2s",
          value_parser = units::duration)]
    retry: Duration,

    /// The most connections; less if the limit of open files is too small for them
    #[arg(long, env = "FANFARE_CONNECTIONS_MAX", value_name = "N", default_value = "100000")]
    pub(super) connections_max: usize,

    /// The most connections from one address (IPv6: one /64 network); 0 for no bound
    #[arg(
        long,
        env = "FANFARE_CONNECTIONS_PER_ADDRESS_MAX",
        value_name = "N",
        default_value = "0"
    )]
    pub(super) connections_per_address_max: usize,

    /// The most connections of each listener whose requests are not for events, 1 to 65536, and at
    /// most a sixteenth of the limit of open files. When there are more, the one that is idle
    /// longest is closed. From one address the public listener takes at most
    /// --connections-per-address-max of them [default: 256, or that sixteenth if it is less]
    #[arg(long, env = "FANFARE_CONTROL_CONNECTIONS_MAX", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(super) control_connections_max: Option<u32>,

    /// The most topics and filters that all connections may ask for together
    #[arg(long, env = "FANFARE_SUBSCRIPTIONS_MAX", value_name = "N", default_value = "1000000")]
    subscriptions_max: usize,

    /// The same for the connections from one address (IPv6: one /64 network); 0 for no bound
    #[arg(
        long,
        env = "FANFARE_SUBSCRIPTIONS_PER_ADDRESS_MAX",
        value_name = "N",
        default_value = "0"
    )]
    subscriptions_per_address_max: usize,

    /// How old a connection may get, and up to a quarter more; then its client is told to come
    /// back; 0 for any age
    #[arg(long, env = "FANFARE_CONNECTION_AGE_MAX", value_name = "TIME", default_value = "0",
          value_parser = units::duration)]
    connection_age_max: Duration,

    /// What is around the data of events: none, or json, an object that tells each event's topic; a
    /// client may ask for another with envelope=NAME in its query
    #[arg(long, env = "FANFARE_ENVELOPE", value_name = "NAME", default_value_t = Envelope::None)]
    envelope: Envelope,

    /// What a client is told when the most connections are open: come-again (200 and when to come
    /// again, as anything else stops a browser's EventSource for good) or unavailable (503, for
    /// clients and balancers that know what to do with it)
    #[arg(long, env = "FANFARE_OVERLOAD", value_name = "NAME", default_value_t = Overload::ComeAgain)]
    overload: Overload,

    /// The most topics and filters of one stream
    #[arg(
        long,
        env = "FANFARE_SUBSCRIPTIONS_PER_CONNECTION_MAX",
        value_name = "N",
        default_value = "64"
    )]
    subscriptions_per_connection_max: usize,

    /// The most filters of one stream that begin with a wildcard
    #[arg(long, env = "FANFARE_WIDE_FILTERS_MAX", value_name = "N", default_value = "4")]
    wide_filters_max: usize,

    /// The most bytes of an event's data
    #[arg(long, env = "FANFARE_EVENT_BYTES_MAX", value_name = "SIZE", default_value = "1MiB",
          value_parser = units::bytes)]
    event_bytes_max: usize,

    /// A topic takes no more events while this much of it waits to be sent
    #[arg(long, env = "FANFARE_TOPIC_BACKLOG", value_name = "SIZE", default_value = "40KiB",
          value_parser = units::bytes)]
    topic_backlog: usize,

    /// Nothing more is taken while this much of all topics waits to be sent
    #[arg(long, env = "FANFARE_BACKLOG", value_name = "SIZE", default_value = "64MiB",
          value_parser = units::bytes)]
    backlog: usize,

    /// The most bytes that are sent to a client at once; more is more throughput and more latency
    #[arg(long, env = "FANFARE_BATCH_BYTES_MAX", value_name = "SIZE", default_value = "40KiB",
          value_parser = units::bytes)]
    batch_bytes_max: usize,

    /// The most events of each topic that are kept for clients that come back; 0 keeps nothing
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

    /// How long a topic that was finished is known: it takes no events, and a client that comes
    /// late is sent what is kept, and the end. Then its name is free
    #[arg(long, env = "FANFARE_FINISHED_AGE_MAX", value_name = "TIME", default_value = "5m",
          value_parser = units::duration)]
    finished_age_max: Duration,

    /// Options of one topic, or of all that match a filter, for which the flags of these names
    /// stand otherwise: run/#:events=10000,bytes=1MiB,age=1h,after-finish=10m,policy=conflate. Each
    /// may be left out. The most specific rule that matches a topic applies; may be repeated (in
    /// the environment one a line), at most 1024 times
    #[arg(
        long = "rule",
        env = "FANFARE_RULE",
        value_name = "FILTER:KEY=VALUE,...",
        value_delimiter = '\n'
    )]
    pub(super) rules: Vec<RuleArg>,

    /// The name of the event that tells a client that events are missing before it; not message,
    /// open or error
    #[arg(long, env = "FANFARE_GAP_EVENT", value_name = "NAME", default_value = "fanfare-gap")]
    gap_event: String,

    /// Where the stream of a client begins that does not say which event it had last: now, latest
    /// (the newest event of each topic), last=N (the newest N over all its topics) or earliest (all
    /// that is kept). A client may ask for another with start=NAME in its query
    #[arg(long, env = "FANFARE_START", value_name = "NAME", default_value_t = StartAt::Now)]
    start: StartAt,

    /// Where the stream of a client begins when the event that it had last is gone, or events after
    /// it are; it is told of the gap first. As --start; a client may ask for another with
    /// gap-start=NAME in its query [default: earliest, or now if its id is unknown]
    #[arg(long, env = "FANFARE_GAP_START", value_name = "NAME")]
    gap_start: Option<StartAt>,

    /// Told to end (by SIGTERM, SIGINT, SIGQUIT or SIGHUP), the server closes its streams evenly
    /// over this time, at most 1h, each with a time of its own after which to come back; a second
    /// signal ends it at once. In all the end takes at most this, --drain-grace and 3s: 7s by
    /// default
    #[arg(long, env = "FANFARE_DRAIN_WINDOW", value_name = "TIME", default_value = "3s",
          value_parser = units::duration)]
    drain_window: Duration,

    /// How much longer a client that lags may then take what there is for it, at most 1h
    #[arg(long, env = "FANFARE_DRAIN_GRACE", value_name = "TIME", default_value = "1s",
          value_parser = units::duration)]
    drain_grace: Duration,

    /// The most bytes of a request's head
    #[arg(long, env = "FANFARE_HEAD_BYTES_MAX", value_name = "SIZE", default_value = "16KiB",
          value_parser = units::bytes)]
    head_bytes_max: usize,

    /// The most header fields of a request
    #[arg(long, env = "FANFARE_HEAD_FIELDS_MAX", value_name = "N", default_value = "128")]
    pub(super) head_fields_max: usize,

    /// How long a client may take for its request: the head, and the content if there is any
    #[arg(long, env = "FANFARE_HEAD_TIME_MAX", value_name = "TIME", default_value = "10s",
          value_parser = units::duration)]
    pub(super) head_time_max: Duration,

    #[command(flatten)]
    pub(super) paths: PathArgs,

    #[command(flatten)]
    pub(super) tickets: TicketArgs,

    #[command(flatten)]
    storage: StorageArgs,

    #[command(flatten)]
    slow: SlowArgs,

    #[command(flatten)]
    sockets: SocketArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Clients that are slow")]
struct SlowArgs {
    /// What happens to a client that lags too far: disconnect, drop-oldest (it skips events, and
    /// is told so) or conflate (of events with one key it gets the newest); a client may ask for
    /// another with policy=NAME in its query
    #[arg(long, env = "FANFARE_POLICY", value_name = "NAME", default_value_t = Policy::Disconnect)]
    policy: Policy,

    /// How far a client may lag behind before its policy is applied
    #[arg(long, env = "FANFARE_LAG_BYTES_MAX", value_name = "SIZE", default_value = "1MiB",
          value_parser = units::bytes)]
    lag_bytes_max: usize,

    /// How long a client may lag behind before its policy is applied
    #[arg(long, env = "FANFARE_LAG_AGE_MAX", value_name = "TIME", default_value = "30s",
          value_parser = units::duration)]
    lag_age_max: Duration,

    /// How long publishers wait for a client that lags too far but gets on; 0 never waits
    /// [default: 1s, or --lag-age-max if that is less]
    #[arg(long, env = "FANFARE_LAG_GRACE", value_name = "TIME", value_parser = units::duration)]
    lag_grace: Option<Duration>,

    /// The share of the time for which publishers wait for such clients, in percent; beyond that
    /// they are disconnected, so that clients which read slowly do not slow publishers down. 100:
    /// no bound
    #[arg(long, env = "FANFARE_LAG_GRACE_PERCENT", value_name = "N", default_value = "5")]
    lag_grace_percent: u8,

    /// The policies that a client may ask for in its query, separated by commas; or none [default:
    /// those that cost others no more than --policy, which are all if that is disconnect, and
    /// otherwise drop-oldest and conflate]
    #[arg(long, env = "FANFARE_POLICIES", value_name = "NAMES", value_parser = policies)]
    policies: Option<PolicyList>,

    /// The most bytes that are kept for all clients that lag
    #[arg(long, env = "FANFARE_LAG_TOTAL_BYTES_MAX", value_name = "SIZE",
          default_value = "256MiB", value_parser = units::bytes)]
    lag_total_bytes_max: usize,

    /// How long a client may take nothing of what there is for it before it is disconnected; 0 for
    /// no bound
    #[arg(long, env = "FANFARE_STALL_TIME_MAX", value_name = "TIME", default_value = "30s",
          value_parser = units::duration)]
    stall_time_max: Duration,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Sockets, and networks that go silent")]
struct SocketArgs {
    /// How long a client may be silent before it is probed, again and again until it is given up
    /// after twice this; 0 never probes
    #[arg(long, env = "FANFARE_KEEPALIVE", value_name = "TIME", default_value = "15s",
          value_parser = units::duration)]
    keepalive: Duration,

    /// How long what was sent may stay without acknowledgement, at least twice --keepalive; 0
    /// leaves it to the kernel [default: 30s, or twice --keepalive if that is more]
    #[arg(long, env = "FANFARE_USER_TIMEOUT", value_name = "TIME",
          value_parser = units::duration)]
    user_timeout: Option<Duration>,

    /// How much may wait in the kernel for a client before it counts as slow; 0 leaves it to the
    /// kernel
    #[arg(long, env = "FANFARE_NOTSENT_LOWAT", value_name = "SIZE", default_value = "16KiB",
          value_parser = units::bytes)]
    notsent_lowat: usize,

    /// The kernel's send buffer of a connection [default: the kernel's own tuning]
    #[arg(long, env = "FANFARE_SEND_BUFFER", value_name = "SIZE", value_parser = units::bytes)]
    send_buffer: Option<usize>,
}

/// Policies that a client may choose.
#[derive(Clone, Debug)]
struct PolicyList(Vec<Policy>);

fn policies(names: &str) -> Result<PolicyList, PolicyError> {
    match names {
        "none" => Ok(PolicyList(Vec::new())),
        names => names.split(',').map(str::parse).collect::<Result<_, _>>().map(PolicyList),
    }
}

/// A host's name without a port, as it is compared.
fn host(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match text == ANY || !text.is_empty() && text.bytes().all(is_name) {
        true => Ok(text.to_ascii_lowercase()),
        false => {
            Err("write a name alone, without a port: events.example.com; or * for any".to_owned())
        }
    }
}

impl ServeArgs {
    /// The names of a public listener: those that were given, those of what is listened on, if its
    /// own is a loopback address, and that of the control listener, whose page asks for streams.
    /// Elsewhere a name has to be given for `Host` to be checked.
    pub(super) fn public_names(&self, is_loopback: bool) -> Vec<String> {
        match is_loopback || !self.hosts.is_empty() {
            true => self.own_names(),
            false => Vec::new(),
        }
    }

    /// The names of all listeners.
    pub(super) fn own_names(&self) -> Vec<String> {
        let control = self.control_listen.as_ref().and_then(ControlAddr::name);
        let listened_on = self.entry.listen.iter().filter_map(ListenArg::name).chain(control);
        self.hosts.iter().cloned().chain(listened_on.map(str::to_owned)).collect()
    }

    /// Whether names of the server were given.
    pub(super) fn has_names(&self) -> bool {
        self.hosts.iter().any(|name| name != ANY)
    }

    /// Whether the public listeners serve requests whatever host they name.
    pub(super) fn takes_any_host(&self) -> bool {
        self.hosts.iter().any(|name| name == ANY)
    }

    pub(super) fn options(&self) -> Options {
        let defaults = Options::default();
        self.storage
            .set(Options::default())
            .shards(self.shards.unwrap_or(defaults.shards))
            .heartbeat(self.heartbeat)
            .heartbeat_form(self.heartbeat_form)
            .retry(self.retry)
            .event_bytes_max(self.event_bytes_max)
            .batch_bytes_max(self.batch_bytes_max)
            .topic_backlog_bytes_max(self.topic_backlog)
            .backlog_bytes_max(self.backlog)
            .history_events_max(self.history_events_max)
            .history_bytes_max(self.history_bytes_max)
            .history_age_max(self.history_age_max)
            .history_total_bytes_max(self.history_total_bytes_max)
            .gap_event(self.gap_event.clone())
            .policy(self.slow.policy)
            .lag_bytes_max(self.slow.lag_bytes_max)
            .lag_age_max(self.slow.lag_age_max)
            .lag_grace(self.slow.lag_grace.unwrap_or(defaults.lag_grace.min(self.slow.lag_age_max)))
            .lag_grace_percent(self.slow.lag_grace_percent)
            .lag_total_bytes_max(self.slow.lag_total_bytes_max)
            .stall_time_max(self.slow.stall_time_max)
            .connections_max(self.connections_max)
            .connections_per_address_max(self.connections_per_address_max)
            .subscriptions_max(self.subscriptions_max)
            .subscriptions_per_address_max(self.subscriptions_per_address_max)
            .connection_age_max(self.connection_age_max)
            .finished_age_max(self.finished_age_max)
    }

    pub(super) fn drain_options(&self) -> DrainOptions {
        DrainOptions::default().window(self.drain_window).grace(self.drain_grace).retry(self.retry)
    }

    /// The options of the public listeners, but for their names.
    pub(super) fn listen_options(&self) -> ListenOptions {
        let default_timeout = ListenOptions::default().user_timeout;
        // What does not fit is out of bounds as well.
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let SocketArgs { keepalive, user_timeout, notsent_lowat, send_buffer } = self.sockets;
        let mut options = ListenOptions::default()
            .path(EVENTS)
            .health_path(HEALTH)
            .head_bytes_max(self.head_bytes_max)
            .head_fields_max(self.head_fields_max)
            .head_time_max(self.head_time_max)
            .subscriptions_per_connection_max(self.subscriptions_per_connection_max)
            .wide_filters_max(self.wide_filters_max)
            .envelope(self.envelope)
            .start(self.start)
            .overload(self.overload)
            .notsent_lowat_bytes(size(notsent_lowat))
            .keepalive(keepalive)
            .user_timeout(user_timeout.unwrap_or(default_timeout.max(2 * keepalive)));
        options = self.entry.add_to(self.paths.add_to(options));
        options.gap_start = self.gap_start;
        options.policies = self.slow.policies.clone().map(|PolicyList(policies)| policies);
        options.send_buffer_bytes = send_buffer.map(size);
        options
    }
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    pub(in super::super) struct Line {
        #[command(flatten)]
        args: ServeArgs,
    }

    pub(in super::super) fn parse(line: &[&str]) -> Result<ServeArgs, clap::Error> {
        let line = ["serve"].iter().chain(line);
        Line::try_parse_from(line).map(|line| line.args)
    }

    #[test]
    fn the_defaults_are_those_of_the_engine() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.options(), Options::default());
        assert_eq!(args.entry.listen, ["127.0.0.1:8080".parse().unwrap()]);
        assert_eq!(args.public_names(true), ["127.0.0.1"]);
        let theirs = ListenOptions::default().health_path("/healthz");
        let theirs = format!("{theirs:?}");
        assert_eq!(format!("{:?}", args.listen_options()), theirs);
    }

    #[test]
    fn any_host_is_for_the_public_listener_and_no_name_of_the_server() {
        let args = parse(&["--host=*,A.example", "--host=b.example"]).unwrap();
        assert_eq!(args.public_names(false), ["*", "a.example", "b.example", "127.0.0.1"]);
        assert!(args.takes_any_host() && args.has_names());
        let args = parse(&["--host", "*"]).unwrap();
        assert!(args.takes_any_host() && !args.has_names());
        let args = parse(&["--host", "a.example"]).unwrap();
        assert!(!args.takes_any_host() && args.has_names());
        for part in ["*.a.example", "**", "*:80", ""] {
            assert!(parse(&["--host", part]).is_err(), "{part}");
        }
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
        let args = parse(&["--keepalive=1m", "--send-buffer=64KiB", "--lag-grace=0"]).unwrap();
        assert_eq!(args.options().lag_grace, Duration::ZERO);
        let options = args.listen_options();
        assert_eq!(options.user_timeout, Duration::from_secs(120));
        assert_eq!(options.send_buffer_bytes, Some(64 << 10));
        let kept = ["--history-events-max=0", "--history-age-max=1d", "--gap-event", "größe"];
        let options = parse(&kept).unwrap().options();
        assert_eq!((options.history_events_max, &*options.gap_event), (0, "größe"));
        assert_eq!(options.history_age_max, Duration::from_secs(86_400));
        assert_eq!(parse(&["--policy=conflate"]).unwrap().options().policy, Policy::Conflate);
        let policies = |text: &str| parse(&["--policies", text]).unwrap().listen_options().policies;
        assert_eq!(policies("none"), Some(Vec::new()));
        assert_eq!(
            policies("conflate,disconnect"),
            Some(vec![Policy::Conflate, Policy::Disconnect])
        );
        assert!(parse(&["--policies=fastest"]).is_err());
        let line = ["--heartbeat-form=event", "--head-fields-max=200"];
        let args = parse(&line).unwrap();
        assert_eq!(args.options().heartbeat_form, HeartbeatForm::Event);
        assert_eq!(args.listen_options().head_fields_max, 200);
        let args = parse(&["--envelope=json"]).unwrap();
        assert_eq!(args.listen_options().envelope, Envelope::Json);
        let error = parse(&["--envelope=xml"]).err().unwrap().to_string();
        assert!(error.contains("there are none, json"), "{error}");
        let args = parse(&["--start=earliest", "--gap-start", "last=10"]).unwrap();
        let options = args.listen_options();
        assert_eq!(options.start, StartAt::Earliest);
        assert_eq!(options.gap_start, Some(StartAt::Last(10)));
        let error = parse(&["--gap-start=first"]).err().unwrap().to_string();
        assert!(error.contains("there are now, latest, last=N, earliest"), "{error}");
        let error = parse(&["--heartbeat-form=ping"]).err().unwrap().to_string();
        assert!(error.contains("there are id, comment, event"), "{error}");
        let error = parse(&["--policy=fastest"]).err().unwrap().to_string();
        assert!(error.contains("there are disconnect, drop-oldest, conflate"), "{error}");
    }
}
