//! What a start costs a hub whose folder has many events: until all of them are there, for clients that come
//! back. Beside it the time in which the same files are read.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use fanfare::{Durability, Hub, Options, Topic};
use serde_json::json;

use crate::load::DATA_BYTES_MIN;
use crate::metric::Unit;
use crate::scenarios::alone::{AloneArgs, Figure, Folder, Subject};
use crate::subject::write_data;
use crate::Error;

const BYTES_MAX: usize = 4096;
const EVENTS_MAX: usize = 10_000_000;
/// How long a publisher waits for the journal, and the hub for its end.
const TIME_MAX: Duration = Duration::from_secs(60);

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RestartArgs {
    /// How many topics have the events; several numbers are measured in turn
    #[arg(long, value_delimiter = ',', default_values_t = [1, 1_000, 100_000])]
    topics: Vec<usize>,
    #[command(flatten)]
    load: RestartLoad,
    #[command(flatten)]
    alone: AloneArgs,
}

/// What the folder has.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RestartLoad {
    /// Events that are kept
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    /// Length of an event's data, in bytes
    #[arg(long, default_value_t = 128)]
    bytes: usize,
}

/// One measurement; the scenario starts this.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct MeasureArgs {
    #[arg(long)]
    topics: usize,
    #[command(flatten)]
    load: RestartLoad,
}

const FIGURES: [Figure; 4] = [
    ("start_ns", "start, until all events are there", Unit::Nanoseconds),
    ("floor_ns", "the same files, read", Unit::Nanoseconds),
    ("folder_bytes", "size of the files", Unit::Bytes),
    ("events", "events, all there", Unit::Count),
];

/// Measures each number of topics in turn.
pub(crate) fn restart(args: &RestartArgs) -> Result<(), Error> {
    let &RestartLoad { events, bytes } = &args.load;
    let subjects = args.topics.iter().map(|&topics| {
        check(topics, &args.load)?;
        let options = [("--topics", topics), ("--events", events), ("--bytes", bytes)];
        Subject::this_program(&topics.to_string(), "restart-measure", &options)
    });
    let subjects: Vec<Subject> = subjects.collect::<Result<_, _>>()?;
    let parameters = json!({"topics": args.topics, "events": events, "bytes": bytes});
    args.alone.repeat("restart", parameters, &subjects, &FIGURES, |_| {})
}

fn check(topics: usize, load: &RestartLoad) -> Result<(), Error> {
    if !(1..=EVENTS_MAX).contains(&load.events) || !(1..=load.events).contains(&topics) {
        return Err(format!("--events must be 1 to {EVENTS_MAX}, and --topics no more").into());
    }
    if !(DATA_BYTES_MIN..=BYTES_MAX).contains(&load.bytes) {
        return Err(format!("--bytes must be {DATA_BYTES_MIN} to {BYTES_MAX}").into());
    }
    Ok(())
}

/// Measures one number of topics, and prints the figures.
pub(crate) fn measure(args: &MeasureArgs) -> Result<(), Error> {
    let (topics, load) = (args.topics, &args.load);
    check(topics, load)?;
    let folder = Folder::new("restart")?;
    let options = || {
        // All that there is to keep.
        let bytes_max = load.events * (load.bytes + 1024);
        Options::default()
            .shards(1)
            .history_events_max(load.events)
            .history_bytes_max(bytes_max)
            .history_total_bytes_max(bytes_max)
            .data_dir(&folder.0)
            .durability(Durability::Os)
    };
    let hub = Hub::start(options())?;
    let names: Vec<Topic> =
        (0..topics).map(|n| Topic::new(&format!("topic/{n}"))).collect::<Result<_, _>>()?;
    let mut data = String::new();
    write_data(&mut data, 0, 0, load.bytes);
    for n in 0..load.events {
        let topic = &names[n % topics];
        if hub.publish(topic, data.as_str()).is_err() {
            hub.publish_wait(topic, data.as_str(), TIME_MAX)?;
        }
    }
    hub.close();
    drop(hub);

    let begun = Instant::now();
    let folder_bytes = read_all(&folder.0)?;
    let floor = begun.elapsed();
    let begun = Instant::now();
    let hub = Hub::start(options())?;
    let start = begun.elapsed();
    let kept = hub.metrics().kept_events;
    if kept != load.events as u64 {
        return Err(format!("{kept} events of {} are there", load.events).into());
    }
    let ns = |time: Duration| time.as_nanos() as u64;
    let figures = json!({
        "start_ns": ns(start),
        "floor_ns": ns(floor),
        "folder_bytes": folder_bytes,
        "events": kept,
    });
    println!("{figures}");
    Ok(())
}

/// Reads all segments of a folder; returns how many bytes they have.
fn read_all(folder: &Path) -> Result<u64, Error> {
    let (mut buffer, mut bytes) = (vec![0; 256 << 10], 0);
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let mut file = std::fs::File::open(path)?;
            while let count @ 1.. = file.read(&mut buffer)? {
                bytes += count as u64;
            }
        }
    }
    Ok(bytes)
}
