//! `fanfare bench`: measures the engine beside bare loops and other servers, in the same minutes
//! on the same machine.
//!
//! The server under test (the *subject*) is a process of its own on one core; the client, which
//! checks and times every single delivery, runs in this process on another.
//!
//! ```text
//! clock  histogram  body  sse                 the values at the bottom
//! reference -> follower -> stream             one stream, checked
//! connect -> client                           thousands of them, in one process
//! harvest  worker -> workers -> crew           in one process or several
//! progress                                    how it gets on, on a terminal
//! subject <- floor, engine                    the servers, and how they are told what to do
//! child  procfs                               their processes
//! peers                                       other servers, from their manifest
//! timeline  metric                            figures of a run
//! svg -> plot, machine -> report              tables, JSON, drawings of all runs
//! run <- streaming, connections               the scenarios
//! alone <- sinks <- topics, publish_call      those of the engine by itself
//! ```

mod alone;
mod body;
mod child;
mod client;
mod clock;
mod connect;
mod connections;
mod crew;
mod engine;
mod floor;
mod follower;
mod harvest;
mod histogram;
mod machine;
mod metric;
mod peers;
mod plot;
mod procfs;
mod progress;
mod publish_call;
mod reference;
mod report;
mod run;
mod sinks;
mod solo;
mod sse;
mod stream;
mod streaming;
mod subject;
mod svg;
mod timeline;
mod topics;
mod worker;
mod workers;

use std::process::ExitCode;

use serde_json::json;

use run::{Load, RunArgs};
use subject::{Kind, SubjectArgs};

type Error = Box<dyn std::error::Error>;

/// Measure the engine beside bare loops and other servers.
#[derive(clap::Args, Debug)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(clap::Subcommand, Debug)]
enum Scenario {
    /// A publisher without pause: throughput, latency and memory under flood
    Saturation {
        #[command(flatten)]
        run: RunArgs,
        /// How many events to publish
        #[arg(long, default_value_t = 2_000)]
        events: u64,
    },
    /// A steady pace: CPU time and latency per delivery
    Paced {
        #[command(flatten)]
        run: RunArgs,
        /// Events per second
        #[arg(long, default_value_t = 4.0)]
        rate: f64,
        /// For how long, in seconds
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// One person's messages while all others get a broadcast: paced, then without pause
    Unicast {
        #[command(flatten)]
        run: RunArgs,
        /// Broadcast events per second in the paced part
        #[arg(long, default_value_t = 4.0)]
        rate: f64,
        /// Length of the paced part, in seconds
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Broadcast events in the part without pause; 0 leaves it out
        #[arg(long, default_value_t = 4_000)]
        flood_events: u64,
        /// From one message to the next, in milliseconds
        #[arg(long, default_value_t = 10)]
        solo_interval_ms: u64,
    },
    /// Resident memory per idle client
    IdleMemory {
        #[command(flatten)]
        run: RunArgs,
    },
    /// Time until all clients are connected and have their head
    Connect {
        #[command(flatten)]
        run: RunArgs,
    },
    /// Connects and disconnects in turn: what stays behind
    Churn {
        #[command(flatten)]
        run: RunArgs,
        /// How many connections, one after another
        #[arg(long, default_value_t = 100_000)]
        count: u64,
        /// How many of them at once
        #[arg(long, default_value_t = 100)]
        concurrency: usize,
    },
    /// Follow a running server (--attach) and check what it sends
    Watch {
        #[command(flatten)]
        run: RunArgs,
        /// Stop when each client has received so many events
        #[arg(long, required_unless_present = "seconds")]
        events: Option<u64>,
        /// Stop after so many seconds
        #[arg(long)]
        seconds: Option<u64>,
    },
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
    /// What a call of `publish` costs when nobody listens, from Rust and from C
    PublishCall(publish_call::PublishCallArgs),
    /// Measure Rust's calls; `publish-call` starts this
    #[command(hide = true)]
    PublishCallMeasure(publish_call::MeasureArgs),
    /// Be a server under test; the other scenarios start this
    #[command(hide = true)]
    Subject(SubjectArgs),
    /// Hold a share of the connections; the other scenarios start this
    #[command(hide = true)]
    ClientWorker,
}

/// Runs one scenario.
///
/// # Errors
///
/// When a subject or the system fails, when a run does not come to its end, and when a single
/// event was lost, doubled, out of order or damaged.
pub(super) fn run(args: BenchArgs) -> Result<ExitCode, Error> {
    match args.scenario {
        Scenario::Saturation { run, events } => {
            let load = Load { events, ..Load::default() };
            broadcast("saturation", &["floor-b", "fanfare"], &run, load)?;
        }
        Scenario::Paced { run, rate, seconds } => {
            broadcast("paced", &["floor-a", "fanfare"], &run, paced_load(rate, seconds)?)?;
        }
        Scenario::Unicast { run, rate, seconds, flood_events, solo_interval_ms } => {
            let solo = |load| Load { solo_interval_ms: solo_interval_ms.max(1), ..load };
            let subjects = ["floor-a", "fanfare"];
            let paced = solo(paced_load(rate, seconds)?);
            let paced = peers::put_off(broadcast("unicast-paced", &subjects, &run, paced))?;
            if flood_events > 0 {
                let flood = solo(Load { events: flood_events, ..Load::default() });
                broadcast("unicast-flood", &["floor-b", "fanfare"], &run, flood)?;
            }
            paced?;
        }
        Scenario::IdleMemory { run } => {
            let parameters = json!({"clients": run.clients, "repeat": run.repeat});
            run.repeat(
                "idle-memory",
                parameters,
                &["floor-a", "fanfare"],
                Load::default(),
                |server, _| connections::idle_memory(&run, server),
            )?;
        }
        Scenario::Connect { run } => {
            let parameters = json!({"clients": run.clients, "repeat": run.repeat});
            run.repeat(
                "connect",
                parameters,
                &["floor-a", "fanfare"],
                Load::default(),
                |server, _| connections::connect(&run, server),
            )?;
        }
        Scenario::Churn { run, count, concurrency } => {
            let parameters =
                json!({"count": count, "concurrency": concurrency, "repeat": run.repeat});
            run.repeat(
                "churn",
                parameters,
                &["floor-a", "fanfare"],
                Load::default(),
                |server, _| connections::churn(&run, server, count, concurrency.max(1)),
            )?;
        }
        Scenario::Watch { run, events, seconds } => {
            if run.attach.is_empty() {
                return Err("watch needs --attach URL".into());
            }
            let parameters = json!({"clients": run.clients, "events": events, "seconds": seconds});
            run.repeat("watch", parameters, &[], Load::default(), |server, _| {
                streaming::watch(&run, server, events, seconds)
            })?;
        }
        Scenario::Sinks(args) => sinks::sinks(&args)?,
        Scenario::SinksMeasure(args) => sinks::measure(&args)?,
        Scenario::TopicsSinks(args) => topics::topics(&args)?,
        Scenario::TopicsSinksMeasure(args) => topics::measure(&args)?,
        Scenario::PublishCall(args) => publish_call::publish_call(&args)?,
        Scenario::PublishCallMeasure(args) => publish_call::measure(&args)?,
        Scenario::Subject(args) => {
            args.check()?;
            match args.kind {
                Kind::FloorA | Kind::FloorB => floor::serve(&args)?,
                Kind::Fanfare => engine::fanfare_subject(&args)?,
            }
        }
        Scenario::ClientWorker => return Ok(worker::work()),
    }
    Ok(ExitCode::SUCCESS)
}

fn paced_load(rate: f64, seconds: u64) -> Result<Load, Error> {
    if !rate.is_finite() || rate <= 0.0 {
        return Err("--rate must be more than 0".into());
    }
    let events = (rate * seconds as f64).ceil().max(1.0) as u64;
    Ok(Load { events, rate, ..Load::default() })
}

fn broadcast(name: &str, subjects: &[&str], run: &RunArgs, load: Load) -> Result<(), Error> {
    if !run.attach.is_empty() {
        return Err("a running server cannot be told to publish: use `bench watch --attach`".into());
    }
    let parameters = json!({
        "clients": run.clients,
        "events": load.events,
        "bytes": run.bytes,
        "rate": load.rate,
        "solo_interval_ms": load.solo_interval_ms,
        "repeat": run.repeat,
    });
    run.repeat(name, parameters, subjects, load, |server, load| {
        streaming::stream(run, server, load)
    })
}
