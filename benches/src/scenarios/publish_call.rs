//! What a call of `publish` costs its caller when no client listens: the event is checked, encoded
//! and kept, under the hub's lock. It is measured from Rust, from Rust on a hub that keeps nothing, on hubs with
//! a journal, and through the C ABI if there is a C program to measure: to a topic by handle, by name, and from four
//! threads at once, beside four threads of Rust.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fanfare::{internals, Durability, EventId, Hub, Options, PublishError, Topic};
use serde_json::json;

use crate::load::DATA_BYTES_MIN;
use crate::metric::Unit;
use crate::scenarios::alone::{AloneArgs, Figure, Folder, Subject};
use crate::scenarios::Part;
use crate::subject::write_data;
use crate::Error;

/// What `make bench-c` builds, relative to the working directory.
const C_PROGRAM: &str = "build/bench/publish";
const CALLS_MAX: usize = 1_000_000_000;
const BYTES_MAX: usize = 64 << 10;
/// The longest time that the journal's disk may take.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(60);
/// The threads that publish at once, where it is several.
const THREADS: usize = 4;
/// The calls between two pauses, where so many calls a second are made.
const CALLS_TOGETHER: usize = 200;

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PublishCallArgs {
    #[command(flatten)]
    load: Calls,
    /// Measure this C program as well: `make bench-c` builds build/bench/publish
    #[arg(long, value_name = "FILE")]
    c_program: Option<PathBuf>,
    #[command(flatten)]
    alone: AloneArgs,
}

/// One measurement; the scenario starts this.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct MeasureArgs {
    #[command(flatten)]
    load: Calls,
    /// Events of the topic that are kept; by default as many as a hub keeps by default
    #[arg(long)]
    history_events_max: Option<usize>,
    /// Threads that share the calls
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Give the hub a journal, in a new folder below the working directory, that promises this
    #[arg(long)]
    durability: Option<Durability>,
}

/// What is called.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Calls {
    /// How many calls
    #[arg(long, default_value_t = 2_000_000)]
    calls: usize,
    /// Length of an event's data, in bytes
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// How many calls a second, in groups; 0 is as fast as they go. One thread of Rust alone keeps to it
    #[arg(long, default_value_t = 0)]
    per_second: usize,
}

impl PublishCallArgs {
    /// What the scenario is run with when it is asked for by its name.
    ///
    /// # Errors
    ///
    /// When the C program is to be measured and is not there.
    pub(crate) fn of(part: &Part, alone: AloneArgs) -> Result<Self, Error> {
        let subjects: Vec<&str> = part.subjects.iter().map(String::as_str).collect();
        let c_program = match subjects[..] {
            ["rust", "rust-no-history"] => None,
            ["rust", "rust-no-history", "c"] if Path::new(C_PROGRAM).exists() => {
                Some(PathBuf::from(C_PROGRAM))
            }
            ["rust", "rust-no-history", "c"] => {
                let how =
                    "`make bench-c` builds it, and `--subjects rust,rust-no-history` goes without";
                return Err(format!("{C_PROGRAM} is not there: {how}").into());
            }
            _ => return Err("the subjects here are rust,rust-no-history, or these and c".into()),
        };
        let calls = part.settings.calls.unwrap_or(2_000_000);
        Ok(Self { load: Calls { calls, bytes: part.load.bytes, per_second: 0 }, c_program, alone })
    }
}

const FIGURES: [Figure; 5] = [
    ("publish_ns", "call of publish", Unit::Nanoseconds),
    ("calls", "calls, all verified", Unit::Count),
    ("cpu_ns", "CPU of the caller, a call", Unit::Nanoseconds),
    ("writer_ns", "CPU of the journal's writer, a call", Unit::Nanoseconds),
    ("full_events", "calls that waited for the journal", Unit::Count),
];

/// Measures Rust and C in turn.
pub(crate) fn publish_call(args: &PublishCallArgs) -> Result<(), Error> {
    let &Calls { calls, bytes, per_second } = &args.load;
    check(&args.load)?;
    let options = [("--calls", calls), ("--bytes", bytes), ("--per-second", per_second)];
    let forgetful = [&options[..], &[("--history-events-max", 0)]].concat();
    let shared = [&options[..], &[("--threads", THREADS)]].concat();
    let mut subjects = vec![
        Subject::this_program("rust", "publish-call-measure", &options)?,
        Subject::this_program("rust-no-history", "publish-call-measure", &forgetful)?,
    ];
    for (name, durability) in [("rust-os", "os"), ("rust-interval", "interval")] {
        let mut subject = Subject::this_program(name, "publish-call-measure", &options)?;
        subject.words.extend(["--durability", durability].map(str::to_owned));
        subjects.push(subject);
    }
    if let Some(program) = &args.c_program {
        let threads = THREADS.to_string();
        for (name, more) in
            [("c", &["handle"][..]), ("c-by-name", &["name"]), ("c-threads", &["handle", &threads])]
        {
            let mut words = vec![calls.to_string(), bytes.to_string()];
            words.extend(more.iter().map(|&word| word.to_owned()));
            subjects.push(Subject { name: name.to_owned(), program: program.clone(), words });
        }
        subjects.push(Subject::this_program("rust-threads", "publish-call-measure", &shared)?);
    }
    let parameters = json!({"calls": calls, "bytes": bytes, "per_second": per_second});
    args.alone.repeat("publish-call", parameters, &subjects, &FIGURES, |_| {})
}

fn check(args: &Calls) -> Result<(), Error> {
    if !(1..=CALLS_MAX).contains(&args.calls) {
        return Err(format!("--calls must be 1 to {CALLS_MAX}").into());
    }
    if args.per_second > 0 && args.calls / args.per_second > 3600 {
        return Err("--calls take more than an hour at --per-second".into());
    }
    if !args.calls.is_multiple_of(THREADS) {
        return Err(format!("--calls must be a multiple of {THREADS}").into());
    }
    if !(DATA_BYTES_MIN..=BYTES_MAX).contains(&args.bytes) {
        return Err(format!("--bytes must be {DATA_BYTES_MIN} to {BYTES_MAX}").into());
    }
    Ok(())
}

/// Measures Rust, and prints the figures.
pub(crate) fn measure(args: &MeasureArgs) -> Result<(), Error> {
    let (durability, threads) = (args.durability, args.threads);
    let (args, history_events_max) = (&args.load, args.history_events_max);
    check(args)?;
    if threads != 1 && threads != THREADS {
        return Err(format!("--threads must be 1 or {THREADS}").into());
    }
    let mut data = String::new();
    write_data(&mut data, 0, 0, args.bytes);
    let default = Options::default();
    let history_events_max = history_events_max.unwrap_or(default.history_events_max);
    let folder = durability.map(|_| Folder::new("publish-call")).transpose()?;
    let mut options = default.shards(1).history_events_max(history_events_max);
    if let (Some(durability), Some(folder)) = (durability, &folder) {
        options = options.durability(durability).data_dir(&folder.0);
    }
    let hub = Hub::start(options)?;
    let topic = Topic::new("prices/ACME")?;
    let (begun, cpu_begun) = (Instant::now(), cpu_of("/proc/thread-self")?);
    match threads {
        1 => publish_in_order(&hub, &topic, &data, args)?,
        _ => publish_from_threads(&hub, &topic, &data, args.calls)?,
    }
    let (elapsed, cpu) = (begun.elapsed(), cpu_of("/proc/thread-self")? - cpu_begun);
    let published = hub.metrics().published_events;
    if published != args.calls as u64 {
        return Err(format!("{published} events of {} calls", args.calls).into());
    }
    // Of the newest, as many are kept as there may be.
    let kept = hub.metrics().kept_events;
    if kept > 0 && history_events_max == 0 || kept == 0 && history_events_max > 0 {
        return Err(format!("{kept} events are kept").into());
    }
    let per_call = |time: Duration| time.as_nanos() as f64 / args.calls as f64;
    let mut figures = json!({"publish_ns": per_call(elapsed), "calls": args.calls});
    if threads == 1 {
        figures["cpu_ns"] = per_call(cpu).into();
    }
    if durability.is_some() {
        hub.flush(FLUSH_TIME_MAX)?;
        figures["writer_ns"] = per_call(cpu_of_thread("fanfare-journal")?).into();
        figures["full_events"] = hub.metrics().full_events.into();
    }
    println!("{figures}");
    Ok(())
}

fn publish_in_order(hub: &Hub, topic: &Topic, data: &str, load: &Calls) -> Result<(), Error> {
    let (begun, mut last) = (Instant::now(), 0);
    for call in 1..=load.calls {
        let id = publish_one(hub, topic, data)?;
        let number = internals::sequence(id);
        // A hub with a journal begins with a number of its own.
        if number != last + 1 && call > 1 {
            return Err(format!("call {call} is event {id}").into());
        }
        last = number;
        if load.per_second > 0 && call % CALLS_TOGETHER == 0 {
            let due = Duration::from_secs_f64(call as f64 / load.per_second as f64);
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
    }
    Ok(())
}

/// Publishes an event; one that finds a journal's queue full waits.
fn publish_one(hub: &Hub, topic: &Topic, data: &str) -> Result<EventId, Error> {
    let published = match hub.publish(topic, data) {
        Err(PublishError::Full) => hub.publish_wait(topic, data, FLUSH_TIME_MAX)?,
        result => result?,
    };
    Ok(published.id().expect("the hub makes its ids"))
}

/// The processor time that the thread of this name has taken.
fn cpu_of_thread(name: &str) -> Result<Duration, Error> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        // The system keeps 15 bytes of a name.
        if std::fs::read_to_string(task.join("comm"))?.trim_end() == &name[..name.len().min(15)] {
            return cpu_of(task);
        }
    }
    Err(format!("there is no thread {name}").into())
}

/// The processor time that a thread has taken, of which this is the folder.
fn cpu_of(thread: impl AsRef<Path>) -> Result<Duration, Error> {
    let times = std::fs::read_to_string(thread.as_ref().join("schedstat"))?;
    let on_cpu = times.split(' ').next().map(str::parse).transpose()?.unwrap_or(0);
    Ok(Duration::from_nanos(on_cpu))
}

fn publish_from_threads(hub: &Hub, topic: &Topic, data: &str, calls: usize) -> Result<(), Error> {
    let publish = || (0..calls / THREADS).try_for_each(|_| hub.publish(topic, data).map(drop));
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(publish)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a publisher ends")).collect()
    });
    results.into_iter().collect::<Result<(), _>>().map_err(Into::into)
}
