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
//! their descendants count, and the program that publishes does not. Whoever publishes inside the
//! server is a part of it. All of them run on the server's core.
//!
//! Any program that speaks these lines can be measured (`--peer`, or see `peers`). It finds what it is to do in
//! its environment, see [`SubjectArgs::environment`]. The data of event number `n` is
//! `"{n} {stamp} "`, filled up with `x`, where the stamp is `CLOCK_MONOTONIC` in nanoseconds,
//! taken just before the event is published; a solo event has the time at which it was due.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::clock::{now_ns, process_cpu_ns};
use super::histogram::Histogram;
use super::Error;

/// Data shorter than this, in bytes, may have no room for number and stamp.
pub(super) const DATA_BYTES_MIN: usize = 40;
const DATA_BYTES_MAX: usize = 64 * 1024;

/// What a subject is to be and to do.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct SubjectArgs {
    /// Which server
    #[arg(long)]
    pub(super) kind: Kind,
    /// Where to listen; port 0 takes any
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,
    /// How many clients will come
    #[arg(long, default_value_t = 10_000)]
    pub(super) clients: usize,
    /// How many events to publish
    #[arg(long, default_value_t = 2_000)]
    pub(super) events: u64,
    /// Length of an event's data, in bytes
    #[arg(long, default_value_t = 128)]
    pub(super) bytes: usize,
    /// Events per second; 0 is no pause
    #[arg(long, default_value_t = 0.0)]
    pub(super) rate: f64,
    /// Publish to the solo topic every so many milliseconds; 0 is never
    #[arg(long, default_value_t = 0)]
    pub(super) solo_interval_ms: u64,
    /// floor-b: how many events go into one send
    #[arg(long, default_value_t = 256)]
    pub(super) batch: usize,
}

/// The servers that are built in.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bare loop: one send per event and socket
    FloorA,
    /// Bare loop: one send per batch of events and socket
    FloorB,
    /// The engine
    Fanfare,
}

/// What a subject reports when it has published everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Events published to the topic that all follow.
    pub(super) published: u64,
    /// From the first publish to the end of the last, in nanoseconds.
    pub(super) elapsed_ns: u64,
    /// CPU time of the whole process in that time, in nanoseconds.
    pub(super) cpu_ns: u64,
    /// Further counts, by name. `solo`: events published to the solo topic; `solo_late_p99_ns`:
    /// how much later than due; `short_writes`: sends that did not take all.
    pub(super) more: BTreeMap<String, u64>,
}

impl SubjectArgs {
    /// The same as environment variables, for subjects that are other programs.
    pub(super) fn environment(&self) -> [(&'static str, String); 6] {
        [
            ("FANFARE_BENCH_LISTEN", self.listen.to_string()),
            ("FANFARE_BENCH_CLIENTS", self.clients.to_string()),
            ("FANFARE_BENCH_EVENTS", self.events.to_string()),
            ("FANFARE_BENCH_BYTES", self.bytes.to_string()),
            ("FANFARE_BENCH_RATE", self.rate.to_string()),
            ("FANFARE_BENCH_SOLO_INTERVAL_MS", self.solo_interval_ms.to_string()),
        ]
    }

    /// Whether this is something a subject can do; if not, why.
    pub(super) fn check(&self) -> Result<(), Error> {
        if !(DATA_BYTES_MIN..=DATA_BYTES_MAX).contains(&self.bytes) {
            return Err(format!("--bytes must be {DATA_BYTES_MIN} to {DATA_BYTES_MAX}").into());
        }
        if !self.rate.is_finite() || self.rate < 0.0 || self.batch == 0 {
            return Err("--rate must be a number from 0 on, --batch from 1 on".into());
        }
        Ok(())
    }

    /// The command line that makes this program the subject.
    pub(super) fn command_line(&self) -> Vec<String> {
        let kind = match self.kind {
            Kind::FloorA => "floor-a",
            Kind::FloorB => "floor-b",
            Kind::Fanfare => "fanfare",
        };
        let mut words = vec!["bench".to_owned(), "subject".to_owned()];
        for (name, value) in [
            ("--kind", kind.to_owned()),
            ("--listen", self.listen.to_string()),
            ("--clients", self.clients.to_string()),
            ("--events", self.events.to_string()),
            ("--bytes", self.bytes.to_string()),
            ("--rate", self.rate.to_string()),
            ("--solo-interval-ms", self.solo_interval_ms.to_string()),
            ("--batch", self.batch.to_string()),
        ] {
            words.extend([name.to_owned(), value]);
        }
        words
    }
}

/// Speaks the protocol for a server that has threads of its own: tells its address and the two
/// paths, calls `publish` for every `go`, and returns when stdin ends. If it ends during `publish`, the
/// process exits at once.
pub(super) fn serve_commands(
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

/// Publishes all events of a run from the calling thread, and the solo events from a second one.
/// Both closures get the data of one event and return when it was accepted.
pub(super) fn publish_all(
    args: &SubjectArgs,
    mut publish: impl FnMut(&str) -> Result<(), Error>,
    publish_solo: impl FnMut(&str) -> Result<(), Error> + Send,
) -> Result<Done, Error> {
    let is_over = AtomicBool::new(false);
    let begun_at_ns = now_ns();
    let cpu_before_ns = process_cpu_ns();
    std::thread::scope(|scope| {
        let interval_ns = args.solo_interval_ms * 1_000_000;
        let solo = (interval_ns > 0).then(|| {
            let is_over = &is_over;
            scope.spawn(move || publish_solos(args.bytes, interval_ns, is_over, publish_solo))
        });
        let published = publish_paced(args, begun_at_ns, &mut publish);
        let elapsed_ns = now_ns() - begun_at_ns;
        let cpu_ns = process_cpu_ns() - cpu_before_ns;
        is_over.store(true, Ordering::Relaxed);
        let mut done = Done { published: published?, elapsed_ns, cpu_ns, ..Done::default() };
        if let Some(solo) = solo {
            let (count, late) = solo.join().map_err(|_| "the solo publisher panicked")??;
            done.more.insert("solo".to_owned(), count);
            done.more.insert("solo_late_p99_ns".to_owned(), late.percentile_ns(99.0));
        }
        Ok(done)
    })
}

fn publish_paced(
    args: &SubjectArgs,
    begun_at_ns: u64,
    publish: &mut impl FnMut(&str) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut data = String::with_capacity(args.bytes);
    for number in 0..args.events {
        sleep_until(due_ns(begun_at_ns, args.rate, number));
        write_data(&mut data, number, now_ns(), args.bytes);
        publish(&data)?;
    }
    Ok(args.events)
}

/// Publishes until `is_over`. How many, and how much later than due.
fn publish_solos(
    bytes: usize,
    interval_ns: u64,
    is_over: &AtomicBool,
    mut publish: impl FnMut(&str) -> Result<(), Error>,
) -> Result<(u64, Histogram), String> {
    let mut data = String::with_capacity(bytes);
    let mut late = Histogram::default();
    let mut number = 0;
    let mut due_ns = now_ns() + interval_ns;
    loop {
        sleep_until(due_ns);
        if is_over.load(Ordering::Relaxed) {
            return Ok((number, late));
        }
        // From when it was due: a publisher that comes late because the machine is busy is part
        // of what its reader waits for.
        late.record(now_ns().saturating_sub(due_ns));
        write_data(&mut data, number, due_ns, bytes);
        publish(&data).map_err(|error| error.to_string())?;
        number += 1;
        due_ns += interval_ns;
    }
}

/// When event `number` is to be published: at once if there is no rate.
pub(super) fn due_ns(begun_at_ns: u64, rate: f64, number: u64) -> u64 {
    if rate > 0.0 {
        begun_at_ns + (number as f64 * 1e9 / rate) as u64
    } else {
        begun_at_ns
    }
}

/// Writes an event's data: number, stamp, and padding up to `bytes`.
pub(super) fn write_data(data: &mut String, number: u64, stamp_ns: u64, bytes: usize) {
    use std::fmt::Write as _;
    data.clear();
    // Writing to a String cannot fail.
    let _ = write!(data, "{number} {stamp_ns} ");
    data.extend(std::iter::repeat_n('x', bytes.saturating_sub(data.len())));
}

/// Writes a line to the orchestrator.
pub(super) fn say(line: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

fn sleep_until(due_ns: u64) {
    let now_ns = now_ns();
    if due_ns > now_ns {
        std::thread::sleep(Duration::from_nanos(due_ns - now_ns));
    }
}

impl Done {
    /// The line of the protocol.
    pub(super) fn to_line(&self) -> String {
        let mut line = format!("done {} {} {}", self.published, self.elapsed_ns, self.cpu_ns);
        for (name, number) in &self.more {
            line += &format!(" {name}={number}");
        }
        line
    }

    /// Reads the line of the protocol; `None` if it is none.
    pub(super) fn parse(line: &str) -> Option<Self> {
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
    fn data_has_its_exact_length_even_with_the_longest_numbers() {
        let mut data = String::new();
        write_data(&mut data, 7, 1_000, 128);
        assert!(data.starts_with("7 1000 xxx") && data.len() == 128);
        write_data(&mut data, 10_000_000_000, 99_999_999_999_999_999, DATA_BYTES_MIN);
        assert_eq!(data.len(), DATA_BYTES_MIN);
    }

    #[test]
    fn everything_is_published_once_in_order_and_the_solo_topic_beside_it() {
        let args = SubjectArgs {
            kind: Kind::Fanfare,
            listen: "127.0.0.1:0".parse().unwrap(),
            clients: 1,
            events: 20,
            bytes: 64,
            rate: 400.0,
            solo_interval_ms: 5,
            batch: 1,
        };
        let mut numbers = Vec::new();
        let solos = std::sync::Mutex::new(0);
        let begun_at_ns = now_ns();
        let done = publish_all(
            &args,
            |data| {
                numbers.push(data.split(' ').next().unwrap().parse::<u64>().unwrap());
                Ok(())
            },
            |_| {
                *solos.lock().unwrap() += 1;
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
        assert_eq!((done.published, done.more["solo"]), (20, *solos.lock().unwrap()));
        assert!(now_ns() - begun_at_ns >= 19 * 2_500_000);
    }
}
