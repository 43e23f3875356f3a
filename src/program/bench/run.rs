//! What all scenarios share: the options, the server that is measured, and the repeats.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::child::{Cores, Subject, SubjectSpec};
use super::client::Share;
use super::clock::{now_ns, pin_to_core};
use super::connect::Target;
use super::crew::{connections_max, Crew, PROCESSES_MAX};
use super::metric::Measured;
use super::peers::{self, Manifest, Note, Outcome, PeersFailed};
use super::procfs::{self, Memory};
use super::report::Report;
use super::subject::{Done, Kind, SubjectArgs};
use super::Error;

/// What the system is given to settle between one step and the next.
pub(super) const SETTLE: Duration = Duration::from_millis(300);

/// Options of every scenario.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct RunArgs {
    /// How many clients connect
    #[arg(long, default_value_t = 10_000)]
    pub(super) clients: usize,
    /// Length of an event's data, in bytes
    #[arg(long, default_value_t = 128)]
    pub(super) bytes: usize,
    /// What to measure, in this order: floor-a, floor-b, fanfare, peers (see --peers), all-peers,
    /// or names given with --peer
    #[arg(long, value_delimiter = ',')]
    pub(super) subjects: Vec<String>,
    /// NAME=COMMAND: a further subject, see the protocol in subject.rs
    #[arg(long, value_name = "NAME=COMMAND")]
    pub(super) peer: Vec<String>,
    /// The manifest of the peers [default: benches/peers/peers.json if it is there]
    #[arg(long, value_name = "FILE")]
    pub(super) peers: Option<PathBuf>,
    /// How often to run each subject; they take turns
    #[arg(long, default_value_t = 1)]
    pub(super) repeat: usize,
    /// Measure a running server instead of subjects; given several times, clients are spread
    #[arg(long, value_name = "URL")]
    pub(super) attach: Vec<String>,
    /// Process of a running server, for its CPU time and memory
    #[arg(long, requires = "attach")]
    pub(super) pid: Vec<u32>,
    /// Hold the connections in so many processes, rather than in as few as can
    #[arg(long, value_name = "N")]
    pub(super) client_processes: Option<usize>,
    /// The core that subjects run on
    #[arg(long, default_value_t = 0)]
    pub(super) server_core: usize,
    /// The core that the client runs on
    #[arg(long, default_value_t = 1)]
    pub(super) client_core: usize,
    /// Leave it to the system who runs where
    #[arg(long)]
    pub(super) unpinned: bool,
    /// The longest that one run may take, in seconds
    #[arg(long, default_value_t = 300)]
    pub(super) limit_seconds: u64,
    /// Write the results to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Draw the distribution of latencies and the course of the deliveries into this SVG file
    #[arg(long, value_name = "FILE")]
    pub(super) plot: Option<PathBuf>,
}

/// What a subject is to publish.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// How many events, to all.
    pub(super) events: u64,
    /// Events per second; 0 is no pause.
    pub(super) rate: f64,
    /// Milliseconds from one solo event to the next; 0 is never.
    pub(super) solo_interval_ms: u64,
}

/// The server that a run measures.
pub(super) enum Server {
    /// One that was started for it.
    Subject(Box<Subject>),
    /// Some that run anyway. There is at least one target.
    Attached { targets: Vec<Target>, pids: Vec<u32> },
}

impl RunArgs {
    /// Runs a scenario for every subject, `repeat` times in turn, and reports.
    pub(super) fn repeat(
        &self,
        scenario: &str,
        parameters: Value,
        default_subjects: &[&str],
        load: Load,
        mut measure: impl FnMut(&mut Server, &Load) -> Result<Measured, Error>,
    ) -> Result<(), Error> {
        self.check()?;
        let cores = self.cores();
        if let Some(core) = cores.client {
            pin_to_core(core).map_err(|error| format!("core {core}: {error} (try --unpinned)"))?;
        }
        let mut report = Report::new(scenario, parameters);
        if !self.attach.is_empty() {
            for _ in 0..self.repeat {
                let targets = self.attach.iter().map(|url| Target::from_url(url));
                let targets = targets.collect::<Result<_, _>>()?;
                let mut server = Server::Attached { targets, pids: self.pid.clone() };
                report.add("attached", measure(&mut server, &load)?);
            }
        } else {
            let mut subjects = self.subjects(scenario, default_subjects, load, &mut report)?;
            let are_several = subjects.len() > 1;
            for turn in 1..=self.repeat {
                let mut failed = Vec::new();
                for (spec, peer) in &subjects {
                    eprintln!("{scenario}: {}, run {turn} of {}", spec.name, self.repeat);
                    let measured = measure_once(spec, cores, &mut measure);
                    match (measured, peer) {
                        (Ok(measured), _) => report.add(&spec.name, measured),
                        (Err(error), Some(note)) if are_several => {
                            let reason = Some(format!("run {turn}: {error}"));
                            eprintln!("{scenario}: {}, run {turn}: {error}", spec.name);
                            report.note(Note { outcome: Outcome::Failed, reason, ..note.clone() });
                            failed.push(spec.name.clone());
                        }
                        (Err(error), _) => {
                            let name = &spec.name;
                            return Err(format!("{scenario}, {name}, run {turn}: {error}").into());
                        }
                    }
                }
                // One that has failed is not tried again.
                subjects.retain(|(spec, _)| !failed.contains(&spec.name));
            }
        }
        report.print();
        if let Some(path) = &self.plot {
            report.write_plot(path)?;
        }
        self.json.as_ref().map_or(Ok(()), |path| report.write_json(path))?;
        match report.failed() {
            failed if failed.is_empty() => Ok(()),
            failed => Err(PeersFailed(failed).into()),
        }
    }

    /// Whoever holds the connections of a run, so many of them.
    pub(super) fn hire(&self, connections: usize) -> Result<Crew, Error> {
        Crew::hire(connections, self.client_processes)
    }

    fn check(&self) -> Result<(), Error> {
        // A subject is one process, and needs a descriptor for each client as well.
        let processes = if self.attach.is_empty() { 1 } else { PROCESSES_MAX };
        let most = connections_max().saturating_mul(processes);
        if self.clients == 0 || self.clients > most || self.repeat == 0 {
            return Err(format!("--clients must be 1 to {most}, --repeat at least 1").into());
        }
        Ok(())
    }

    /// When a run that begins now must be over, `CLOCK_MONOTONIC`, in nanoseconds.
    pub(super) fn deadline_ns(&self) -> u64 {
        now_ns() + self.limit_seconds * 1_000_000_000
    }

    fn cores(&self) -> Cores {
        let pinned = |core| (!self.unpinned).then_some(core);
        Cores { server: pinned(self.server_core), client: pinned(self.client_core) }
    }

    /// The subjects to run, peers with a note. Those that cannot be run and were not named are
    /// noted in the report instead.
    fn subjects(
        &self,
        scenario: &str,
        default_subjects: &[&str],
        load: Load,
        report: &mut Report,
    ) -> Result<Vec<(SubjectSpec, Option<Note>)>, Error> {
        let manifest = Manifest::load(self.peers.as_deref())?;
        let mut names: Vec<&str> = self.subjects.iter().map(String::as_str).collect();
        if names.is_empty() {
            names = default_subjects.to_vec();
        }
        let mut subjects = Vec::new();
        for name in names {
            if name == peers::ALL {
                for peer in manifest.peers() {
                    match manifest.check(peer, scenario) {
                        Ok(()) => subjects.push(self.subject(&peer.name, &manifest, load)?),
                        Err((outcome, reason)) => report.note(peer.note(outcome, Some(reason))),
                    }
                }
                continue;
            }
            if let Some(peer) = manifest.peer(name).filter(|_| self.bare_peer(name).is_none()) {
                manifest
                    .check(peer, scenario)
                    .map_err(|(_, reason)| format!("{name}: {reason}"))?;
            }
            subjects.push(self.subject(name, &manifest, load)?);
        }
        if subjects.is_empty() {
            return Err("none of the peers is installed: see `make bench-peers`".into());
        }
        for note in subjects.iter().filter_map(|(_, note)| note.clone()) {
            report.note(note);
        }
        Ok(subjects)
    }

    /// The command given for a subject with --peer.
    fn bare_peer(&self, name: &str) -> Option<&str> {
        let mut peers = self.peer.iter().filter_map(|peer| peer.split_once('='));
        peers.find(|(peer, _)| *peer == name).map(|(_, line)| line)
    }

    fn subject(
        &self,
        name: &str,
        manifest: &Manifest,
        mut load: Load,
    ) -> Result<(SubjectSpec, Option<Note>), Error> {
        let mut command = None;
        let mut directory = None;
        let mut note = None;
        let kind = if let Some(line) = self.bare_peer(name) {
            command = Some(line.to_owned());
            note = Some(Note::bare(name));
            Kind::Fanfare
        } else if let Some(peer) = manifest.peer(name) {
            command = Some(peer.command.clone());
            directory = Some(manifest.root().to_owned());
            note = Some(peer.note(Outcome::Measured, None));
            load.events = peer.bounded_events(load.events, load.rate, self.clients);
            Kind::Fanfare
        } else {
            match name {
                "floor-a" => Kind::FloorA,
                "floor-b" => Kind::FloorB,
                "fanfare" => Kind::Fanfare,
                _ => {
                    return Err(format!("no subject {name:?}, and no --peer {name}=COMMAND").into())
                }
            }
        };
        let args = SubjectArgs {
            kind,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            clients: self.clients,
            events: load.events,
            bytes: self.bytes,
            rate: load.rate,
            solo_interval_ms: load.solo_interval_ms,
            batch: 256,
        };
        let args = bounded(args);
        Ok((SubjectSpec { name: name.to_owned(), command, directory, args }, note))
    }
}

fn measure_once(
    spec: &SubjectSpec,
    cores: Cores,
    measure: &mut impl FnMut(&mut Server, &Load) -> Result<Measured, Error>,
) -> Result<Measured, Error> {
    let mut server = Server::Subject(Box::new(Subject::start(spec, cores)?));
    let measured = measure(&mut server, &load_of(&spec.args))?;
    server.end()?;
    Ok(measured)
}

/// Floor A without pause sends 110,000 events a second: it gets as many as it can send in some
/// ten seconds. Its figures do not depend on the number.
fn bounded(mut args: SubjectArgs) -> SubjectArgs {
    const DELIVERIES_MAX: u64 = 1_000_000;
    if args.kind == Kind::FloorA && args.rate == 0.0 {
        args.events = args.events.min(DELIVERIES_MAX / args.clients as u64).max(1);
    }
    args
}

fn load_of(args: &SubjectArgs) -> Load {
    Load { events: args.events, rate: args.rate, solo_interval_ms: args.solo_interval_ms }
}

impl Server {
    /// The stream that all follow.
    pub(super) fn target(&self) -> Result<Target, Error> {
        match self {
            Self::Subject(subject) => Ok(Target::new(subject.address(), subject.path())?),
            Self::Attached { targets, .. } => match &targets[..] {
                [target] => Ok(target.clone()),
                _ => Err("this scenario takes one --attach URL".into()),
            },
        }
    }

    /// So many clients of one class, spread evenly over the streams there are.
    pub(super) fn shares(&self, clients: usize, class: usize) -> Result<Vec<Share>, Error> {
        let targets = match self {
            Self::Subject(_) => vec![self.target()?],
            Self::Attached { targets, .. } => targets.clone(),
        };
        let (each, over) = (clients / targets.len(), clients % targets.len());
        let share = |(at, target)| Share { target, class, count: each + usize::from(at < over) };
        Ok(targets.into_iter().enumerate().map(share).collect())
    }

    /// The stream that one client follows.
    pub(super) fn solo_target(&self) -> Result<Target, Error> {
        match self {
            Self::Subject(subject) => Ok(Target::new(subject.address(), subject.solo_path())?),
            Self::Attached { .. } => Err("a running server has no solo stream".into()),
        }
    }

    /// Tells a subject to publish.
    pub(super) fn go(&mut self) -> Result<(), Error> {
        match self {
            Self::Subject(subject) => subject.go(),
            Self::Attached { .. } => {
                Err("a running server cannot be told to publish: see `watch`".into())
            }
        }
    }

    /// A subject's report; waits for it up to `timeout`.
    pub(super) fn done(&mut self, timeout: Duration) -> Result<Done, Error> {
        match self {
            Self::Subject(subject) => subject
                .done(timeout)?
                .ok_or_else(|| format!("{} does not say done", subject.name()).into()),
            Self::Attached { .. } => Err("a running server does not report".into()),
        }
    }

    /// CPU time that the server has used, in nanoseconds; `None` if its process is not known.
    pub(super) fn cpu_ns(&self) -> Result<Option<u64>, Error> {
        self.figure(procfs::cpu_ns)
    }

    /// Memory of the server; `None` if its process is not known.
    pub(super) fn memory(&self) -> Result<Option<Memory>, Error> {
        self.figure(procfs::memory)
    }

    /// How many sockets the server holds; `None` if its process is not known.
    pub(super) fn sockets(&self) -> Result<Option<usize>, Error> {
        self.figure(procfs::sockets)
    }

    fn figure<T>(&self, of: fn(&[u32]) -> Result<T, Error>) -> Result<Option<T>, Error> {
        match self {
            Self::Subject(subject) => of(subject.pids()).map(Some),
            Self::Attached { pids, .. } if pids.is_empty() => Ok(None),
            Self::Attached { pids, .. } => of(pids).map(Some),
        }
    }

    fn end(self) -> Result<(), Error> {
        match self {
            Self::Subject(subject) => subject.end(),
            Self::Attached { .. } => Ok(()),
        }
    }
}
