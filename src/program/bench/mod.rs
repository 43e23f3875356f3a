//! `fanfare bench`: measures the engine beside bare loops and other servers, in the same minutes
//! on the same machine.
//!
//! The server under test (the *subject*) is a process of its own on one core; the client, which
//! checks and times every single delivery, runs in this process on another.
//!
//! ```text
//! clock  histogram  body  sse                 the values at the bottom
//! reference -> follower -> stream             one stream, checked
//! connect -> client                           thousands of them
//! load -> schedule                            what is published, to which topic, when
//! subject <- publisher <- floor, engine       the servers, and how they are told what to do
//! child  procfs                               their processes
//! metric -> report                            figures, tables, JSON
//! streaming <- slow, two_topics connections    what is measured
//! scenarios -> run -> session                 the scenarios' definitions, and their runs
//! ```

mod body;
mod child;
mod client;
mod clock;
mod connect;
mod connections;
mod engine;
mod floor;
mod follower;
mod histogram;
mod load;
mod metric;
mod procfs;
mod publisher;
mod reference;
mod report;
mod run;
mod scenarios;
mod schedule;
mod session;
mod slow;
mod sse;
mod stream;
mod streaming;
mod subject;
mod two_topics;

use std::path::PathBuf;
use std::process::ExitCode;

use load::{Load, Settings};
use metric::Measured;
use run::{RunArgs, Server};
use scenarios::{Catalog, Kind, Scenario, Size};
use subject::SubjectArgs;

type Error = Box<dyn std::error::Error>;

/// Measure the engine beside bare loops and other servers.
#[derive(clap::Args, Debug)]
pub(super) struct BenchArgs {
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
    /// One person's messages while all others get a broadcast: paced, then without pause
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
    /// Be a server under test; the scenarios start this
    #[command(hide = true)]
    Subject(SubjectArgs),
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
    /// Stop when each client has received so many events
    #[arg(long, required_unless_present = "seconds")]
    events: Option<u64>,
    /// Stop after so many seconds
    #[arg(long)]
    seconds: Option<u64>,
    /// How often
    #[arg(long, default_value_t = 1)]
    repeat: usize,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs scenarios.
///
/// # Errors
///
/// When a subject or the system fails, when a run does not come to its end, and when a single
/// event was lost, doubled, out of order or damaged.
pub(super) fn run(args: BenchArgs) -> Result<ExitCode, Error> {
    match args.command {
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
        Command::Subject(args) => {
            args.check()?;
            match args.kind {
                subject::Kind::FloorA | subject::Kind::FloorB => floor::serve(&args)?,
                subject::Kind::Fanfare => engine::fanfare_subject(&args)?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(catalog: &Catalog, size: Size, names: bool) -> Result<(), Error> {
    for (about, scenario) in catalog.all(size)? {
        if names {
            println!("{}", scenario.name);
            continue;
        }
        println!("{}: {about}", scenario.name);
        for part in &scenario.parts {
            let name = part.name.as_ref().map_or_else(String::new, |name| format!("{name}: "));
            println!("    {name}{}  [{}]", part.parameters_line(), part.subjects.join(", "));
        }
    }
    Ok(())
}

fn run_named(args: &NamedArgs) -> Result<(), Error> {
    let catalog = Catalog::read(args.scenarios.as_deref())?;
    if args.names.len() > 1 && args.run.json.as_ref().is_some_and(|path| !path.is_dir()) {
        return Err("for several scenarios --json has to be a directory".into());
    }
    let scenario = |name: &String| catalog.scenario(name, args.size, &args.parts, &args.settings);
    // All of them are known to make sense before the first is run.
    let scenarios: Result<Vec<Scenario>, Error> = args.names.iter().map(scenario).collect();
    scenarios?.iter().try_for_each(|scenario| run_scenario(scenario, &args.run))
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

/// A further kind of scenario has its place in [`Kind`] and here.
fn run_scenario(scenario: &Scenario, args: &RunArgs) -> Result<(), Error> {
    if scenario.kind == Kind::Stream && args.attach.is_some() {
        return Err("a running server cannot be told to publish: use `bench watch --attach`".into());
    }
    let measure = |server: &mut Server, load: &Load| -> Result<Measured, Error> {
        match scenario.kind {
            Kind::Stream if load.topics > 0 => two_topics::stream(args, server, load),
            Kind::Stream => streaming::stream(args, server, load),
            Kind::Connect => connections::connect(server, load),
            Kind::IdleMemory => connections::idle_memory(server, load),
            Kind::Churn => connections::churn(args, server, load),
        }
    };
    session::run(scenario, args, measure)
}

fn watch(args: &WatchArgs) -> Result<(), Error> {
    if args.run.attach.is_none() {
        return Err("watch needs --attach URL".into());
    }
    let settings =
        Settings { clients: Some(args.clients), repeat: Some(args.repeat), ..Settings::default() };
    let scenario = Scenario::alone("watch", &settings)?;
    session::run(&scenario, &args.run, |server, load| {
        streaming::watch(&args.run, server, load.clients, args.events, args.seconds)
    })
}
