//! The program `fanfare-bench`, which `fanfare bench` runs: measures the engine beside bare loops
//! and other servers, in the same minutes on the same machine.
//!
//! The server under test (the *subject*) is a process of its own on one core; the client, which
//! checks and times every single delivery, runs in this process on another.
//!
//! ```text
//! clock  histogram  timeline  metric          times and figures
//! load -> schedule, phases                    what is published, to which topic, when
//! clients                                     the load client, which checks every stream
//!   body  sse  reference -> follower -> stream    one stream, checked
//!   connect -> client                             thousands of them, in one process
//!   harvest  worker -> workers -> mod             in one process or several
//!   solo  slow                                    one beside them; those that do not read
//!   progress                                      how far it is, on a terminal
//! subject                                     the servers, and how they are told what to do
//!   publisher -> floor, engine                    the bare loops, and fanfare
//!   peers                                         other servers, from their manifest
//!   child  procfs                                 their processes
//! report                                      tables and JSON of all runs
//!   machine  svg -> plot                          where they were made, and drawings
//! scenarios                                   the definitions
//!   run -> session                                and how they are run
//!   streaming -> two_topics, reconnect            what is measured while events flow
//!   connections                                   and while none do
//!   alone -> sinks -> topics, publish_call, restart        the engine by itself
//! ```

mod clients;
mod clock;
mod histogram;
mod load;
mod metric;
mod phases;
mod report;
mod scenarios;
mod schedule;
mod subject;
mod timeline;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use clients::worker;
use load::{Load, Settings};
use metric::Measured;
use scenarios::alone::AloneArgs;
use scenarios::publish_call::{self, PublishCallArgs};
use scenarios::restart;
use scenarios::run::{RunArgs, Server};
use scenarios::sinks::{self, SinksArgs};
use scenarios::topics::{self, TopicsArgs};
use scenarios::{connections, reconnect, session, streaming, two_topics};
use scenarios::{Catalog, Kind, Scenario, Size};
use subject::{engine, floor, peers, SubjectArgs};

type Error = Box<dyn std::error::Error>;

/// Measure the engine beside bare loops and other servers.
#[derive(Parser, Debug)]
#[command(name = "fanfare-bench", bin_name = "fanfare bench", version)]
struct Cli {
    /// What the engine logs to standard error: off, error, warn, info, debug or trace
    #[arg(long, global = true, env = "FANFARE_LOG", value_name = "LEVEL", default_value = "info")]
    log: String,

    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List the scenarios, with what they are run with
    List {
        /// Of which size
        #[arg(long, value_enum, default_value_t)]
        size: Size,
        /// Their names and nothing else
        #[arg(long)]
        names: bool,
        /// Definitions to be used instead of those that are built in
        #[arg(long, value_name = "FILE")]
        scenarios: Option<PathBuf>,
    },
    /// Run scenarios by name; `list` lists them
    Run(Box<NamedArgs>),
    /// A publisher without pause: throughput, latency and memory under flood
    Saturation(Box<OneArgs>),
    /// A steady pace: CPU time and latency per delivery
    Paced(Box<OneArgs>),
    /// One client's messages while all others get a broadcast: paced, then without pause
    Unicast {
        #[command(flatten)]
        one: Box<OneArgs>,
        /// Broadcast events in the part without pause; 0 leaves it out
        #[arg(long, value_name = "EVENTS")]
        flood_events: Option<u64>,
    },
    /// Resident memory per idle client
    IdleMemory(Box<OneArgs>),
    /// Time until all clients are connected and have their head
    Connect(Box<OneArgs>),
    /// Connects and disconnects in turn: what stays behind
    Churn(Box<OneArgs>),
    /// Follow a running server (--attach) and check what it sends
    Watch(Box<WatchArgs>),
    /// What the engine itself costs: deliveries to connections without sockets
    Sinks(sinks::SinksArgs),
    /// Measure one size of `sinks`; that scenario starts this
    #[command(hide = true)]
    SinksMeasure(sinks::MeasureArgs),
    /// What a topic costs the engine, up to a million of them, without sockets
    TopicsSinks(topics::TopicsArgs),
    /// Measure one number of topics; `topics-sinks` starts this
    #[command(hide = true)]
    TopicsSinksMeasure(topics::MeasureArgs),
    /// What a call of `publish` costs when no client listens, from Rust and from C
    PublishCall(publish_call::PublishCallArgs),
    /// Measure Rust's calls; `publish-call` starts this
    #[command(hide = true)]
    PublishCallMeasure(publish_call::MeasureArgs),
    /// How long a hub with many kept events takes to start
    Restart(restart::RestartArgs),
    /// Measure one number of topics; `restart` starts this
    #[command(hide = true)]
    RestartMeasure(restart::MeasureArgs),
    /// Be a server under test; the scenarios start this
    #[command(hide = true)]
    Subject(SubjectArgs),
    /// Hold a share of the connections; the scenarios start this
    #[command(hide = true)]
    ClientWorker,
}

#[derive(clap::Args, Debug)]
struct NamedArgs {
    /// The scenarios, in this order
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// All of it, or as much as a test needs
    #[arg(long, value_enum, default_value_t)]
    size: Size,
    /// Only these of the scenario's parts
    #[arg(long = "part", value_name = "PART")]
    parts: Vec<String>,
    /// Definitions to be used instead of those that are built in
    #[arg(long, value_name = "FILE")]
    scenarios: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    run: RunArgs,
}

/// One scenario, once for each subject unless it is asked for more often.
#[derive(clap::Args, Debug)]
struct OneArgs {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(clap::Args, Debug)]
struct WatchArgs {
    /// How many clients connect
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// Stop when each client has received this number of events
    #[arg(long, required_unless_present = "seconds")]
    events: Option<u64>,
    /// Stop after this number of seconds
    #[arg(long)]
    seconds: Option<u64>,
    /// How often
    #[arg(long, default_value_t = 1)]
    repeat: usize,
    #[command(flatten)]
    run: RunArgs,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    env_logger::Builder::new().parse_filters(&cli.log).format_timestamp_millis().init();
    run(cli.command).unwrap_or_else(|error| {
        eprintln!("fanfare-bench: {error}");
        ExitCode::FAILURE
    })
}

/// Runs scenarios, or is a process that one of them has started.
///
/// # Errors
///
/// When a subject or the system fails, when a run does not come to its end, and when a single
/// event was lost, doubled, out of order or damaged.
fn run(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::List { size, names, scenarios } => {
            list(&Catalog::read(scenarios.as_deref())?, size, names)?;
        }
        Command::Run(args) => run_named(&args)?,
        Command::Saturation(args) => run_one("saturation", &[], *args)?,
        Command::Paced(args) => run_one("paced", &[], *args)?,
        Command::Unicast { one, flood_events } => run_unicast(*one, flood_events)?,
        Command::IdleMemory(args) => run_one("idle-memory", &[], *args)?,
        Command::Connect(args) => run_one("connect-storm", &[], *args)?,
        Command::Churn(args) => run_one("churn", &[], *args)?,
        Command::Watch(args) => watch(&args)?,
        Command::Sinks(args) => sinks::sinks(&args)?,
        Command::SinksMeasure(args) => sinks::measure(&args)?,
        Command::TopicsSinks(args) => topics::topics(&args)?,
        Command::TopicsSinksMeasure(args) => topics::measure(&args)?,
        Command::Restart(args) => restart::restart(&args)?,
        Command::RestartMeasure(args) => restart::measure(&args)?,
        Command::PublishCall(args) => publish_call::publish_call(&args)?,
        Command::PublishCallMeasure(args) => publish_call::measure(&args)?,
        Command::Subject(args) => {
            args.check()?;
            match args.kind {
                subject::Kind::FloorA | subject::Kind::FloorB => floor::serve(&args)?,
                _ => engine::fanfare_subject(&args)?,
            }
        }
        Command::ClientWorker => return Ok(worker::work()),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(catalog: &Catalog, size: Size, names: bool) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    for (about, scenario) in catalog.all(size)? {
        if names {
            writeln!(out, "{}", scenario.name)?;
            continue;
        }
        writeln!(out, "{}: {about}", scenario.name)?;
        for part in &scenario.parts {
            let name = part.name.as_ref().map_or_else(String::new, |name| format!("{name}: "));
            let parameters = part.parameters_line();
            writeln!(out, "    {name}{parameters}  [{}]", part.subjects.join(", "))?;
        }
    }
    Ok(())
}

fn run_named(args: &NamedArgs) -> Result<(), Error> {
    let catalog = Catalog::read(args.scenarios.as_deref())?;
    let mut outputs = args.run.json.iter().chain(&args.run.plot);
    if args.names.len() > 1 && outputs.any(|path| !path.is_dir()) {
        return Err("for several scenarios --json and --plot have to be directories".into());
    }
    let scenario = |name: &String| catalog.scenario(name, args.size, &args.parts, &args.settings);
    // All of them are known to make sense before the first is run.
    let scenarios: Result<Vec<Scenario>, Error> = args.names.iter().map(scenario).collect();
    let mut outcome = Ok(());
    for scenario in &scenarios? {
        // Peers that fail are told when all else was done.
        outcome = outcome.and(peers::put_off(run_scenario(scenario, &args.run))?);
    }
    outcome
}

fn run_one(name: &str, parts: &[String], mut args: OneArgs) -> Result<(), Error> {
    args.settings.repeat.get_or_insert(1);
    let scenario = Catalog::read(None)?.scenario(name, Size::Full, parts, &args.settings)?;
    run_scenario(&scenario, &args.run)
}

/// The paced part and the flood, without what `run` has besides.
fn run_unicast(mut args: OneArgs, flood_events: Option<u64>) -> Result<(), Error> {
    let mut parts = vec!["paced".to_owned()];
    if flood_events != Some(0) {
        parts.push("flood".to_owned());
        args.settings.events = args.settings.events.or(flood_events);
    }
    run_one("unicast-under-broadcast", &parts, args)
}

/// A new kind of scenario is added to [`Kind`] and here.
fn run_scenario(scenario: &Scenario, args: &RunArgs) -> Result<(), Error> {
    if matches!(scenario.kind, Kind::Stream | Kind::Reconnect) && !args.attach.is_empty() {
        return Err("a running server cannot be told to publish: use `bench watch --attach`".into());
    }
    if scenario.kind == Kind::Reconnect {
        reconnect::check(scenario)?;
    }
    if let Kind::Sinks | Kind::TopicsSinks | Kind::PublishCall = scenario.kind {
        return run_alone(scenario, args);
    }
    let measure = |server: &mut Server, load: &Load| -> Result<Measured, Error> {
        match scenario.kind {
            Kind::Stream if load.topics > 0 => two_topics::stream(args, server, load),
            Kind::Stream => streaming::stream(args, server, load),
            Kind::Connect => connections::connect(args, server, load),
            Kind::IdleMemory => connections::idle_memory(args, server, load),
            Kind::Churn => connections::churn(args, server, load),
            Kind::Reconnect => reconnect::reconnect(args, server, load),
            Kind::Sinks | Kind::TopicsSinks | Kind::PublishCall => Err("it has no server".into()),
        }
    };
    session::run(scenario, args, measure)
}

/// Runs a scenario of the engine by itself.
fn run_alone(scenario: &Scenario, args: &RunArgs) -> Result<(), Error> {
    let [part] = &scenario.parts[..] else {
        return Err(format!("{} cannot have parts", scenario.name).into());
    };
    let alone = AloneArgs::of(scenario, part, args)?;
    match scenario.kind {
        Kind::Sinks => sinks::sinks(&SinksArgs::of(part, alone)?),
        Kind::TopicsSinks => topics::topics(&TopicsArgs::of(part, alone)?),
        _ => publish_call::publish_call(&PublishCallArgs::of(part, alone)?),
    }
}

fn watch(args: &WatchArgs) -> Result<(), Error> {
    if args.run.attach.is_empty() {
        return Err("watch needs --attach URL".into());
    }
    let settings =
        Settings { clients: Some(args.clients), repeat: Some(args.repeat), ..Settings::default() };
    let scenario = Scenario::alone("watch", &settings)?;
    session::run(&scenario, &args.run, |server, load| {
        streaming::watch(&args.run, server, load.clients, args.events, args.seconds)
    })
}
