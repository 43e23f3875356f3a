//! What all scenarios share: the options of a run, its subjects, and the server that it measures.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::clients::client::Share;
use crate::clients::connect::Target;
use crate::clients::{connections_max, Clients, PROCESSES_MAX};
use crate::clock::{now_ns, pin_to_core, unpin};
use crate::load::Load;
use crate::metric::Measured;
use crate::report::Report;
use crate::scenarios::Part;
use crate::schedule::path_with_topic;
use crate::subject::child::{Cores, Subject, SubjectSpec};
use crate::subject::peers::{self, Manifest, Note, Outcome};
use crate::subject::procfs::{self, Memory};
use crate::subject::{Done, Kind, SubjectArgs};
use crate::Error;

/// What the system is given to settle between one step and the next.
pub(crate) const SETTLE: Duration = Duration::from_millis(300);

/// Options of every scenario.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// NAME=COMMAND: a further subject, see the protocol in subject.rs
    #[arg(long, value_name = "NAME=COMMAND")]
    pub(crate) peer: Vec<String>,
    /// The manifest of the peers [default: benches/peers/peers.json if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) peers: Option<PathBuf>,
    /// Measure a running server instead of subjects; given several times, clients are spread
    #[arg(long, value_name = "URL")]
    pub(crate) attach: Vec<String>,
    /// Process of a running server, for its CPU time and memory
    #[arg(long, requires = "attach")]
    pub(crate) pid: Vec<u32>,
    /// Hold the connections in this number of processes, rather than in as few as can
    #[arg(long, value_name = "N")]
    pub(crate) client_processes: Option<usize>,
    /// The core that subjects run on
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
    /// The core that the client runs on
    #[arg(long, default_value_t = 1)]
    pub(crate) client_core: usize,
    /// The core that the engine's publishers run on; without it the core of its shard. A bare
    /// loop publishes and sends on one thread anyway
    #[arg(long)]
    pub(crate) publisher_core: Option<usize>,
    /// Leave it to the system on which core each process runs
    #[arg(long)]
    pub(crate) unpinned: bool,
    /// The longest that one run may take, in seconds
    #[arg(long, default_value_t = 300)]
    pub(crate) limit_seconds: u64,
    /// Write the results to this file as JSON; to NAME.json in it if it is a directory
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draw the distribution of latencies and the course of the deliveries into this SVG file, or
    /// NAME.svg in this directory; of several parts each into one of its own
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
}

/// One of the subjects of a part, ready to be started.
pub(crate) struct Entrant {
    spec: SubjectSpec,
    /// A peer's outcome; `None` for the bare loops and the engine.
    peer: Option<Note>,
}

/// The server that a run measures.
pub(crate) enum Server {
    /// One that was started for it.
    Subject(Box<Subject>),
    /// Some that run anyway. There is at least one target.
    Attached { targets: Vec<Target>, pids: Vec<u32> },
}

impl RunArgs {
    /// Runs one part of a scenario once for every subject, and reports. A peer of several subjects
    /// that fails is noted, and is none of them any more. `turn` is for people.
    ///
    /// # Errors
    ///
    /// When any other subject fails, or a part's only one.
    pub(crate) fn measure(
        &self,
        part: &Part,
        (turn, of): (usize, usize),
        entrants: &mut Vec<Entrant>,
        report: &mut Report,
        measure: &mut impl FnMut(&mut Server, &Load) -> Result<Measured, Error>,
    ) -> Result<(), Error> {
        let cores = self.cores(part);
        // Those that this thread starts inherit it.
        run_on(cores.client)?;
        if !self.attach.is_empty() {
            let targets = self.attach.iter().map(|url| Target::from_url(url));
            let targets = targets.collect::<Result<_, _>>()?;
            let mut server = Server::Attached { targets, pids: self.pid.clone() };
            report.add("attached", measure(&mut server, &part.load)?);
            return Ok(());
        }
        let title = report.title();
        let are_several = part.subjects.len() > 1 || entrants.len() > 1;
        let mut failed = Vec::new();
        for Entrant { spec, peer } in entrants.iter() {
            if peer.is_some() && part.peer_repeat.is_some_and(|most| turn > most) {
                continue;
            }
            let name = &spec.name;
            eprintln!("{title}: {name}, run {turn} of {of}");
            match (measure_once(spec, cores, measure), peer) {
                (Ok(measured), _) => report.add(name, measured),
                (Err(error), Some(note)) if are_several => {
                    eprintln!("{title}: {name}, run {turn}: {error}");
                    let reason = Some(format!("run {turn}: {error}"));
                    report.note(Note { outcome: Outcome::Failed, reason, ..note.clone() });
                    failed.push(name.clone());
                }
                (Err(error), _) => {
                    return Err(format!("{title}, {name}, run {turn}: {error}").into());
                }
            }
        }
        // One that has failed is not tried again.
        entrants.retain(|entrant| !failed.contains(&entrant.spec.name));
        Ok(())
    }

    /// The subjects of a part; none if servers are measured that run anyway. Peers that cannot be
    /// run and were not named are noted in the report instead.
    ///
    /// # Errors
    ///
    /// When a subject is unknown, a peer was named that cannot be run, or there are more clients
    /// than can be.
    pub(crate) fn entrants(
        &self,
        scenario: &str,
        part: &Part,
        report: &mut Report,
    ) -> Result<Vec<Entrant>, Error> {
        self.check(&part.load)?;
        if !self.attach.is_empty() {
            return Ok(Vec::new());
        }
        let manifest = Manifest::load(self.peers.as_deref())?;
        let scenario = match &part.name {
            Some(part) => format!("{scenario}/{part}"),
            None => scenario.to_owned(),
        };
        let mut entrants = Vec::new();
        for name in &part.subjects {
            if name == peers::ALL {
                for peer in manifest.peers() {
                    match manifest.check(peer, &scenario) {
                        Ok(()) => entrants.push(self.entrant(&peer.name, &manifest, part)?),
                        Err((outcome, reason)) => report.note(peer.note(outcome, Some(reason))),
                    }
                }
                continue;
            }
            if let Some(peer) = manifest.peer(name).filter(|_| self.bare_peer(name).is_none()) {
                manifest
                    .check(peer, &scenario)
                    .map_err(|(_, reason)| format!("{name}: {reason}"))?;
            }
            entrants.push(self.entrant(name, &manifest, part)?);
        }
        if entrants.is_empty() {
            let why = "no subject: none of the peers is installed (see `make bench-peers`), or can";
            return Err(format!("{why} do {scenario}").into());
        }
        for note in entrants.iter().filter_map(|entrant| entrant.peer.clone()) {
            report.note(note);
        }
        Ok(entrants)
    }

    /// The clients of a run, without any connection yet.
    pub(crate) fn spawn_clients(&self, connections: usize) -> Result<Clients, Error> {
        Clients::spawn(connections, self.client_processes)
    }

    /// When a run that begins now must be over, `CLOCK_MONOTONIC`, in nanoseconds.
    pub(crate) fn deadline_ns(&self) -> u64 {
        now_ns() + self.limit_seconds * 1_000_000_000
    }

    fn check(&self, load: &Load) -> Result<(), Error> {
        // A subject is one process, and needs a descriptor for each client as well.
        let processes = if self.attach.is_empty() { 1 } else { PROCESSES_MAX };
        let most = connections_max().saturating_mul(processes);
        let wanted = (load.clients + load.slow).max(load.concurrency);
        if wanted > most {
            return Err(format!("{wanted} clients are more than the {most} there can be").into());
        }
        Ok(())
    }

    fn cores(&self, part: &Part) -> Cores {
        let pinned = |core| (!self.unpinned && !part.unpinned).then_some(core);
        Cores { server: pinned(self.server_core), client: pinned(self.client_core) }
    }

    /// The command given for a subject with --peer.
    fn bare_peer(&self, name: &str) -> Option<&str> {
        let mut peers = self.peer.iter().filter_map(|peer| peer.split_once('='));
        peers.find(|(peer, _)| *peer == name).map(|(_, line)| line)
    }

    fn entrant(&self, name: &str, manifest: &Manifest, part: &Part) -> Result<Entrant, Error> {
        let mut load = part.load.clone();
        let (mut command, mut directory, mut peer) = (None, None, None);
        let kind = if let Some(line) = self.bare_peer(name) {
            command = Some(line.to_owned());
            peer = Some(Note::bare(name));
            Kind::Fanfare
        } else if let Some(known) = manifest.peer(name) {
            command = Some(known.command.clone());
            directory = Some(manifest.root().to_owned());
            peer = Some(known.note(Outcome::Measured, None));
            load.events = known.bounded_events(load.events, load.rate, load.clients);
            Kind::Fanfare
        } else {
            Kind::of_name(name)
                .ok_or_else(|| format!("no subject {name:?}, and no --peer {name}=COMMAND"))?
        };
        let args = SubjectArgs {
            kind,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            load,
            batch: 256,
            publisher_core: self.publisher_core,
        };
        let name = name.to_owned();
        Ok(Entrant { spec: SubjectSpec { name, command, directory, args: bounded(args) }, peer })
    }
}

fn measure_once(
    spec: &SubjectSpec,
    cores: Cores,
    measure: &mut impl FnMut(&mut Server, &Load) -> Result<Measured, Error>,
) -> Result<Measured, Error> {
    let mut server = Server::Subject(Box::new(Subject::start(spec, cores)?));
    let measured = measure(&mut server, &spec.args.load)?;
    server.end()?;
    Ok(measured)
}

/// Keeps this thread on a core, or lets it run on every core that this process may use.
fn run_on(core: Option<usize>) -> Result<(), Error> {
    match core {
        Some(core) => pin_to_core(core)
            .map_err(|error| format!("core {core}: {error} (try --unpinned)").into()),
        None => Ok(unpin()?),
    }
}

/// Floor A without pause sends 110,000 events a second: it gets as many as it can send in some
/// ten seconds. Its figures do not depend on the number.
fn bounded(mut args: SubjectArgs) -> SubjectArgs {
    const DELIVERIES_MAX: u64 = 1_000_000;
    let load = &mut args.load;
    if args.kind == Kind::FloorA && load.rate == 0.0 {
        load.events = load.events.min(DELIVERIES_MAX / load.clients as u64).max(1);
    }
    args
}

impl Server {
    /// The stream that all follow.
    pub(crate) fn target(&self) -> Result<Target, Error> {
        match self {
            Self::Subject(subject) => Ok(Target::new(subject.address(), subject.path())?),
            Self::Attached { targets, .. } => match &targets[..] {
                [target] => Ok(target.clone()),
                _ => Err("this scenario takes one --attach URL".into()),
            },
        }
    }

    /// `clients` connections of one class, spread evenly over the streams there are.
    pub(crate) fn shares(&self, clients: usize, class: usize) -> Result<Vec<Share>, Error> {
        let targets = match self {
            Self::Subject(_) => vec![self.target()?],
            Self::Attached { targets, .. } => targets.clone(),
        };
        let (each, over) = (clients / targets.len(), clients % targets.len());
        let share = |(at, target)| Share { target, class, count: each + usize::from(at < over) };
        Ok(targets.into_iter().enumerate().map(share).collect())
    }

    /// The stream of the topic that all share and of another.
    pub(crate) fn target_with_topic(&self, topic: usize) -> Result<Target, Error> {
        match self {
            Self::Subject(subject) => {
                let path = path_with_topic(subject.path(), topic);
                Ok(Target::new(subject.address(), &path)?)
            }
            Self::Attached { .. } => Err("a running server has no topics for this".into()),
        }
    }

    /// The stream that one client follows.
    pub(crate) fn solo_target(&self) -> Result<Target, Error> {
        match self {
            Self::Subject(subject) => Ok(Target::new(subject.address(), subject.solo_path())?),
            Self::Attached { .. } => Err("a running server has no solo stream".into()),
        }
    }

    /// Tells a subject to publish.
    pub(crate) fn go(&mut self) -> Result<(), Error> {
        match self {
            Self::Subject(subject) => subject.go(),
            Self::Attached { .. } => {
                Err("a running server cannot be told to publish: see `watch`".into())
            }
        }
    }

    /// A subject's report; waits for it up to `timeout`.
    pub(crate) fn done(&mut self, timeout: Duration) -> Result<Done, Error> {
        match self {
            Self::Subject(subject) => subject
                .done(timeout)?
                .ok_or_else(|| format!("{} does not say done", subject.name()).into()),
            Self::Attached { .. } => Err("a running server does not report".into()),
        }
    }

    /// CPU time that the server has used, in nanoseconds; `None` if its process is not known.
    pub(crate) fn cpu_ns(&self) -> Result<Option<u64>, Error> {
        self.figure(procfs::cpu_ns)
    }

    /// Memory of the server; `None` if its process is not known.
    pub(crate) fn memory(&self) -> Result<Option<Memory>, Error> {
        self.figure(procfs::memory)
    }

    /// Has the peak of the server's memory count from now on.
    pub(crate) fn forget_peak(&self) -> Result<(), Error> {
        self.figure(procfs::forget_peak).map(drop)
    }

    /// How many sockets the server holds; `None` if its process is not known.
    pub(crate) fn sockets(&self) -> Result<Option<usize>, Error> {
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
