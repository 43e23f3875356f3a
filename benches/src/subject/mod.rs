//! A subject: the process that publishes, as the orchestrator sees it.
//!
//! ```text
//! subject -> stdout   [pids PID...]
//! subject -> stdout   listening ADDRESS [PATH [SOLO_PATH]]
//! stdin -> subject    go
//! subject -> stdout   done PUBLISHED ELAPSED_NS CPU_NS [NAME=NUMBER ...]
//! stdin closed        the subject ends
//! ```
//!
//! CPU time and memory of a subject are those of its process and all that descend from it. A server
//! that is published to from outside, over HTTP, names its own processes as `pids`: then these and
//! their descendants count, and the program that publishes does not. Code that publishes inside the
//! server is a part of it. All of them run on the server's core.
//!
//! Any program that speaks these lines can be measured (`--peer`, or see [`peers`]). It finds what
//! it is to do in its environment, see [`SubjectArgs::environment`]. The data of event number `n`
//! is `"{n} {stamp} "`, filled up with `x`, where the stamp is `CLOCK_MONOTONIC` in nanoseconds,
//! taken just before the event is published; a solo event has the time at which it was due, unless
//! [`SoloStamp`](crate::load::SoloStamp) says otherwise. A client that has a topic of its own adds
//! `topic=t{number}` to the query of PATH; which events there are then says
//! [`schedule`](crate::schedule).

pub(crate) mod child;
pub(crate) mod drivers;
pub(crate) mod engine;
pub(crate) mod floor;
pub(crate) mod peers;
pub(crate) mod procfs;
pub(crate) mod publisher;

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use clap::ValueEnum as _;

use crate::load::Load;
use crate::Error;

/// What a subject is to be and to do.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct SubjectArgs {
    /// Which server
    #[arg(long)]
    pub(crate) kind: Kind,
    /// Where to listen; port 0 takes any
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) load: Load,
    /// floor-b: how many events go into one send
    #[arg(long, default_value_t = 256)]
    pub(crate) batch: usize,
    /// fanfare: the core that publishes; without it that of the shard
    #[arg(long)]
    pub(crate) publisher_core: Option<usize>,
}

/// The servers that are built in.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bare loop: one send per event and socket
    FloorA,
    /// Bare loop: one send per batch of events and socket
    FloorB,
    /// The engine, its shards on threads of its own
    Fanfare,
    /// The engine, its shards as futures on smol's global executor
    FanfareSmol,
    /// The engine, its shards as futures on tokio's current-thread runtime
    FanfareTokio,
    /// The engine, its shards as futures on tokio's multi-thread runtime
    FanfareTokioMulti,
    /// The engine, each shard as a future in a bare `block_on`
    FanfareBlockOn,
}

impl Kind {
    /// The kind that a subject's name stands for; `None` for no server that is built in.
    pub(crate) fn of_name(name: &str) -> Option<Kind> {
        Kind::from_str(name, false).ok()
    }

    /// The name of a subject of this kind.
    fn name(self) -> &'static str {
        match self {
            Kind::FloorA => "floor-a",
            Kind::FloorB => "floor-b",
            Kind::Fanfare => "fanfare",
            Kind::FanfareSmol => "fanfare-smol",
            Kind::FanfareTokio => "fanfare-tokio",
            Kind::FanfareTokioMulti => "fanfare-tokio-multi",
            Kind::FanfareBlockOn => "fanfare-block-on",
        }
    }
}

/// What a subject reports when it has published everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// Events published, but for solo ones.
    pub(crate) published: u64,
    /// From the first publish to the end of the last, in nanoseconds.
    pub(crate) elapsed_ns: u64,
    /// CPU time of the whole process in that time, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Further counts, by name. `solo`: events published to the solo topic; `short_writes`: sends
    /// that did not take all; others as in [`publisher`] and
    /// [`engine`].
    pub(crate) more: BTreeMap<String, u64>,
}

impl SubjectArgs {
    /// The same as environment variables, for subjects that are other programs:
    /// `FANFARE_BENCH_LISTEN`, and one for every parameter of the load, such as
    /// `FANFARE_BENCH_CLIENTS`, `_EVENTS`, `_RATE`, `_BYTES`, `_SOLO_INTERVAL_MS`, `_TOPICS`.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let load = self.load.words().into_iter();
        std::iter::once(("listen".to_owned(), self.listen.to_string()))
            .chain(load)
            .map(|(name, value)| (format!("FANFARE_BENCH_{}", name.to_uppercase()), value))
            .collect()
    }

    /// Whether this is something a subject can do; if not, why.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.batch == 0 {
            return Err("--batch must be from 1 on".into());
        }
        self.load.check()
    }

    /// The command line that makes this program the subject.
    pub(crate) fn command_line(&self) -> Vec<String> {
        let mut words: Vec<String> =
            ["subject", "--kind", self.kind.name(), "--listen"].map(str::to_owned).into();
        words.extend([self.listen.to_string(), "--batch".to_owned(), self.batch.to_string()]);
        if let Some(core) = self.publisher_core {
            words.extend(["--publisher-core".to_owned(), core.to_string()]);
        }
        for (name, value) in self.load.words() {
            words.extend([format!("--{}", name.replace('_', "-")), value]);
        }
        words
    }
}

/// Speaks the protocol for a server that has threads of its own: tells its address and the two
/// paths, calls `publish` for every `go`, and returns when stdin ends. If it ends during `publish`,
/// the process exits at once.
pub(crate) fn serve_commands(
    listening: SocketAddr,
    [path, solo_path]: [&str; 2],
    mut publish: impl FnMut() -> Result<Done, Error>,
) -> Result<(), Error> {
    let (commands, received) = mpsc::channel();
    let is_publishing = std::sync::Arc::new(AtomicBool::new(false));
    let seen = is_publishing.clone();
    std::thread::Builder::new().name("bench-stdin".to_owned()).spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if commands.send(line).is_err() {
                return;
            }
        }
        if seen.load(Ordering::SeqCst) {
            std::process::exit(3);
        }
    })?;
    say(&format!("listening {listening} {path} {solo_path}"))?;
    for line in received {
        if line.trim() != "go" {
            return Err(format!("unknown command {line:?}").into());
        }
        is_publishing.store(true, Ordering::SeqCst);
        let done = publish()?;
        is_publishing.store(false, Ordering::SeqCst);
        say(&done.to_line())?;
    }
    Ok(())
}

/// Writes an event's data: number, stamp, and padding up to `bytes`.
pub(crate) fn write_data(data: &mut String, number: u64, stamp_ns: u64, bytes: usize) {
    use std::fmt::Write as _;
    data.clear();
    // Writing to a String cannot fail.
    let _ = write!(data, "{number} {stamp_ns} ");
    data.extend(std::iter::repeat_n('x', bytes.saturating_sub(data.len())));
}

/// Writes a line to the orchestrator.
pub(crate) fn say(line: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

impl Done {
    /// The line of the protocol.
    pub(crate) fn to_line(&self) -> String {
        let mut line = format!("done {} {} {}", self.published, self.elapsed_ns, self.cpu_ns);
        for (name, number) in &self.more {
            line += &format!(" {name}={number}");
        }
        line
    }

    /// Reads the line of the protocol; `None` if it is none.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        if words.next()? != "done" {
            return None;
        }
        let mut number = || words.next()?.parse().ok();
        let (published, elapsed_ns, cpu_ns) = (number()?, number()?, number()?);
        let more = words
            .filter_map(|word| word.split_once('='))
            .filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?)))
            .collect();
        Some(Self { published, elapsed_ns, cpu_ns, more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_done_line_is_read_as_it_was_written() {
        let more = [("solo".to_owned(), 7), ("short_writes".to_owned(), 0)].into();
        let done = Done { published: 3, elapsed_ns: 4, cpu_ns: 5, more };
        assert_eq!(done.to_line(), "done 3 4 5 short_writes=0 solo=7");
        assert_eq!(Done::parse(&done.to_line()), Some(done));
        assert_eq!(Done::parse("done 3 4"), None);
        assert_eq!(Done::parse("listening 127.0.0.1:1"), None);
    }

    #[test]
    fn every_kind_has_the_name_that_it_is_asked_for_with() {
        for kind in Kind::value_variants() {
            assert_eq!(Kind::of_name(kind.name()), Some(*kind));
        }
        assert_eq!(Kind::of_name("axum"), None);
    }

    #[test]
    fn data_has_its_exact_length_even_with_the_longest_numbers() {
        use crate::load::DATA_BYTES_MIN;
        let mut data = String::new();
        write_data(&mut data, 7, 1_000, 128);
        assert!(data.starts_with("7 1000 xxx") && data.len() == 128);
        write_data(&mut data, 10_000_000_000, 99_999_999_999_999_999, DATA_BYTES_MIN);
        assert_eq!(data.len(), DATA_BYTES_MIN);
    }

    #[test]
    fn a_subject_is_told_all_of_the_load_on_its_command_line_and_in_its_environment() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            subject: SubjectArgs,
        }
        let map = serde_json::from_str(
            r#"{"clients": 7, "rate": 2.5, "seconds": 3, "topics": 5, "singles": 2, "shards": 2}"#,
        );
        let settings = crate::load::Settings::from_map(map.unwrap()).unwrap();
        let args = SubjectArgs {
            kind: Kind::FloorB,
            listen: "127.0.0.1:0".parse().unwrap(),
            load: settings.load().unwrap(),
            batch: 16,
            publisher_core: Some(1),
        };
        let words = args.command_line();
        assert_eq!(words[0], "subject");
        let read: Cli = clap::Parser::try_parse_from(&words).unwrap();
        assert_eq!(read.subject.load, args.load);
        assert_eq!((read.subject.batch, read.subject.publisher_core), (16, Some(1)));
        let environment = args.environment();
        for (name, value) in [("TOPICS", "5"), ("SOLO_STAMP", "due"), ("LISTEN", "127.0.0.1:0")] {
            let name = format!("FANFARE_BENCH_{name}");
            assert!(environment.contains(&(name, value.to_owned())), "{environment:?}");
        }
    }
}
