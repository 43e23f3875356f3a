//! Scenarios without server and client: the engine by itself on one core. Each measurement is a
//! process of its own, so that nothing of the one before is in the allocator or the caches.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::clock::pin_to_core;
use crate::metric::{Measured, Unit};
use crate::report::Report;
use crate::scenarios::run::RunArgs;
use crate::scenarios::session::file_in;
use crate::scenarios::{Part, Scenario};
use crate::subject::procfs;
use crate::Error;

/// The most that a measuring process says, in bytes; less than a pipe holds.
const ANSWER_BYTES_MAX: u64 = 32 << 10;

/// Options of every such scenario.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct AloneArgs {
    /// How often to measure each; they take turns
    #[arg(long, default_value_t = 5)]
    repeat: usize,
    /// The core to measure on
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// Leave it to the system what runs where
    #[arg(long)]
    unpinned: bool,
    /// The longest that one measurement may take, in seconds
    #[arg(long, default_value_t = 300)]
    limit_seconds: u64,
    /// Write the results to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A figure that a measuring process tells: its key, its name for people, its unit. All subjects of a scenario
/// have its first figure; others may be without sense for some.
pub(crate) type Figure = (&'static str, &'static str, Unit);

/// One measurement of several that are made in turn.
pub(crate) struct Subject {
    /// What the report calls it.
    pub(crate) name: String,
    /// What to start: it prints one JSON object of figures, and ends.
    pub(crate) program: PathBuf,
    pub(crate) words: Vec<String>,
}

impl AloneArgs {
    /// What a scenario that was asked for by its name is run with.
    pub(crate) fn of(scenario: &Scenario, part: &Part, args: &RunArgs) -> Result<Self, Error> {
        if !args.attach.is_empty() || args.plot.is_some() {
            let name = &scenario.name;
            return Err(format!("{name} has no server to attach to, and nothing to plot").into());
        }
        Ok(Self {
            repeat: scenario.repeat,
            server_core: args.server_core,
            unpinned: args.unpinned || part.unpinned,
            limit_seconds: args.limit_seconds,
            json: args.json.as_ref().map(|path| file_in(path, &scenario.name, "json")),
        })
    }

    /// Measures every subject, `repeat` times in turn, and reports. `complete` gets what was
    /// measured of all subjects so far in a turn, and may add figures to the last.
    pub(crate) fn repeat(
        &self,
        scenario: &str,
        mut parameters: Value,
        subjects: &[Subject],
        figures: &[Figure],
        complete: impl Fn(&mut [Measured]),
    ) -> Result<(), Error> {
        if self.repeat == 0 {
            return Err("--repeat must be at least 1".into());
        }
        if !self.unpinned {
            let core = self.server_core;
            pin_to_core(core).map_err(|error| format!("core {core}: {error} (try --unpinned)"))?;
        }
        parameters["repeat"] = self.repeat.into();
        let mut report = Report::new(scenario, None, parameters);
        for turn in 1..=self.repeat {
            let mut measured = Vec::new();
            for subject in subjects {
                let name = &subject.name;
                eprintln!("{scenario}: {name}, run {turn} of {}", self.repeat);
                let answer = self
                    .ask(subject)
                    .map_err(|error| format!("{scenario}, {name}, run {turn}: {error}"))?;
                measured.push(read_figures(&answer, figures)?);
                complete(&mut measured);
            }
            for (subject, measured) in subjects.iter().zip(measured) {
                report.add(&subject.name, measured);
            }
        }
        report.print();
        self.json.as_ref().map_or(Ok(()), |path| report.write_json(path))
    }

    /// Starts a process, which runs on the core that this one is on, and returns what it says.
    fn ask(&self, subject: &Subject) -> Result<Map<String, Value>, Error> {
        let mut command = Command::new(&subject.program);
        command.args(&subject.words).stdin(Stdio::null()).stdout(Stdio::piped());
        let program = subject.program.display();
        let mut process = Process(command.spawn().map_err(|error| format!("{program}: {error}"))?);
        process.end(Duration::from_secs(self.limit_seconds))?;
        let mut text = String::new();
        let stdout = process.0.stdout.take().ok_or("a process without stdout")?;
        stdout.take(ANSWER_BYTES_MAX).read_to_string(&mut text)?;
        serde_json::from_str(&text)
            .map_err(|error| format!("{program} says {text:?}: {error}").into())
    }
}

impl Subject {
    /// A subcommand of this program that measures in a process of its own.
    pub(crate) fn this_program(
        name: &str,
        subcommand: &str,
        options: &[(&str, usize)],
    ) -> Result<Subject, Error> {
        let mut words = vec![subcommand.to_owned()];
        for (option, value) in options {
            words.extend([(*option).to_owned(), value.to_string()]);
        }
        Ok(Subject { name: name.to_owned(), program: std::env::current_exe()?, words })
    }
}

/// How flat it is: in the same turn, the last size's delivery beside the first one's.
pub(crate) fn compare_with_first(measured: &mut [Measured]) {
    let of = |measured: &Measured| measured.metrics.first().map_or(1.0, |metric| metric.value);
    let (Some(first), Some(last)) = (measured.first().map(of), measured.last_mut()) else { return };
    let ratio = of(last) / first;
    last.add("ratio_to_first", "first row / that of the first column", Unit::Count, ratio);
}

/// The numbers that subjects without sockets are named after.
pub(crate) fn sizes(subjects: &[String]) -> Result<Vec<usize>, Error> {
    let size = |subject: &String| match subject.parse() {
        Ok(size) => Ok(size),
        Err(_) => Err(format!("subjects are numbers here, not {subject:?}").into()),
    };
    subjects.iter().map(size).collect()
}

/// Memory of this process that is resident and its own.
pub(crate) fn resident_bytes() -> Result<u64, Error> {
    Ok(procfs::memory(&[std::process::id()])?.rss_anon_bytes)
}

fn read_figures(answer: &Map<String, Value>, figures: &[Figure]) -> Result<Measured, Error> {
    let mut measured = Measured::default();
    for (index, &(key, label, unit)) in figures.iter().enumerate() {
        match answer.get(key).and_then(Value::as_f64) {
            Some(value) => measured.add(key, label, unit, value),
            None if index == 0 => return Err(format!("the answer has no number {key:?}").into()),
            None => {}
        }
    }
    Ok(measured)
}

/// A folder for a journal, below the working directory, that is removed with the measurement.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Result<Folder, Error> {
        std::fs::create_dir_all("build")?;
        Ok(Folder(Path::new("build").join(format!("{name}-{}", std::process::id()))))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that is killed when it is dropped.
struct Process(Child);

impl Process {
    /// Waits for its end, which has to be a success.
    fn end(&mut self, patience: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + patience;
        loop {
            match self.0.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("it ended with {status}").into()),
                None if Instant::now() > deadline => {
                    return Err("not within --limit-seconds".into())
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
