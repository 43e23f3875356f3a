//! What all scenarios share: the options of a run, and the server that it measures.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::child::{Cores, Subject, SubjectSpec};
use super::clock::{now_ns, pin_to_core, unpin};
use super::connect::Target;
use super::load::Load;
use super::metric::Measured;
use super::procfs::{self, Memory};
use super::report::Report;
use super::scenarios::Part;
use super::schedule::path_with_topic;
use super::subject::{Done, Kind, SubjectArgs};
use super::Error;

/// What the system is given to settle between one step and the next.
pub(super) const SETTLE: Duration = Duration::from_millis(300);

/// Options of every scenario.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct RunArgs {
    /// NAME=COMMAND: a further subject, see the protocol in subject.rs
    #[arg(long, value_name = "NAME=COMMAND")]
    pub(super) peer: Vec<String>,
    /// Measure a running server instead of subjects
    #[arg(long, value_name = "URL")]
    pub(super) attach: Option<String>,
    /// Process of the running server, for its CPU time and memory
    #[arg(long, requires = "attach")]
    pub(super) pid: Option<u32>,
    /// The core that subjects run on
    #[arg(long, default_value_t = 0)]
    pub(super) server_core: usize,
    /// The core that the client runs on
    #[arg(long, default_value_t = 1)]
    pub(super) client_core: usize,
    /// The core that the engine's publishers run on; without it the core of its shard. A bare
    /// loop publishes and sends on one thread anyway
    #[arg(long)]
    pub(super) publisher_core: Option<usize>,
    /// Leave it to the system who runs where
    #[arg(long)]
    pub(super) unpinned: bool,
    /// The longest that one run may take, in seconds
    #[arg(long, default_value_t = 300)]
    pub(super) limit_seconds: u64,
    /// Write the results to this file as JSON; to NAME.json in it if it is a directory
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

/// The server that a run measures.
pub(super) enum Server {
    /// One that was started for it.
    Subject(Box<Subject>),
    /// One that runs anyway.
    Attached { address: SocketAddr, path: String, pid: Option<u32> },
}

impl RunArgs {
    /// Runs one part of a scenario once for every subject, and reports. `title` and `turn` are for
    /// people.
    pub(super) fn measure(
        &self,
        part: &Part,
        (title, turn): (&str, &str),
        report: &mut Report,
        measure: &mut impl FnMut(&mut Server, &Load) -> Result<Measured, Error>,
    ) -> Result<(), Error> {
        let cores = self.cores(part);
        // Those that this thread starts inherit it.
        run_on(cores.client)?;
        if let Some(url) = &self.attach {
            let (address, path) = Target::parse_url(url)?;
            let mut server = Server::Attached { address, path, pid: self.pid };
            report.add("attached", measure(&mut server, &part.load)?);
            return Ok(());
        }
        for name in &part.subjects {
            let spec = self.spec(name, part)?;
            eprintln!("{title}: {name}, run {turn}");
            let mut server = Server::Subject(Box::new(Subject::start(&spec, cores)?));
            let measured = measure(&mut server, &spec.args.load)
                .map_err(|error| format!("{title}, {name}, run {turn}: {error}"))?;
            report.add(name, measured);
            server.end()?;
        }
        Ok(())
    }

    /// When a run that begins now must be over, `CLOCK_MONOTONIC`, in nanoseconds.
    pub(super) fn deadline_ns(&self) -> u64 {
        now_ns() + self.limit_seconds * 1_000_000_000
    }

    fn cores(&self, part: &Part) -> Cores {
        let pinned = |core| (!self.unpinned && !part.unpinned).then_some(core);
        Cores { server: pinned(self.server_core), client: pinned(self.client_core) }
    }

    fn spec(&self, name: &str, part: &Part) -> Result<SubjectSpec, Error> {
        let peers = self.peer.iter().filter_map(|peer| peer.split_once('='));
        let command =
            peers.clone().find(|(peer, _)| *peer == name).map(|(_, line)| line.to_owned());
        let kind = match (name, &command) {
            ("floor-a", None) => Kind::FloorA,
            ("floor-b", None) => Kind::FloorB,
            ("fanfare", None) | (_, Some(_)) => Kind::Fanfare,
            _ => return Err(format!("no subject {name:?}, and no --peer {name}=COMMAND").into()),
        };
        let args = SubjectArgs {
            kind,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            load: part.load.clone(),
            batch: 256,
            publisher_core: self.publisher_core,
        };
        Ok(SubjectSpec { name: name.to_owned(), command, args: bounded(args) })
    }
}

/// Keeps this thread on a core, or lets it go wherever this process was started.
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
    pub(super) fn target(&self) -> Result<Target, Error> {
        let (address, path) = match self {
            Self::Subject(subject) => (subject.address(), subject.path()),
            Self::Attached { address, path, .. } => (*address, path.as_str()),
        };
        Ok(Target::new(address, path)?)
    }

    /// The stream of the topic that all share and of another.
    pub(super) fn target_with_topic(&self, topic: usize) -> Result<Target, Error> {
        match self {
            Self::Subject(subject) => {
                let path = path_with_topic(subject.path(), topic);
                Ok(Target::new(subject.address(), &path)?)
            }
            Self::Attached { .. } => Err("a running server has no topics for this".into()),
        }
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
        self.pid().map(procfs::cpu_ns).transpose()
    }

    /// Memory of the server; `None` if its process is not known.
    pub(super) fn memory(&self) -> Result<Option<Memory>, Error> {
        self.pid().map(procfs::memory).transpose()
    }

    /// How many sockets the server holds; `None` if its process is not known.
    pub(super) fn sockets(&self) -> Result<Option<usize>, Error> {
        self.pid().map(procfs::sockets).transpose()
    }

    fn pid(&self) -> Option<u32> {
        match self {
            Self::Subject(subject) => Some(subject.pid()),
            Self::Attached { pid, .. } => *pid,
        }
    }

    fn end(self) -> Result<(), Error> {
        match self {
            Self::Subject(subject) => subject.end(),
            Self::Attached { .. } => Ok(()),
        }
    }
}
