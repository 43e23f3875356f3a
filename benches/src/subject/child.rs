//! Subjects as child processes of the orchestrator.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{kill_process_group, Pid, Signal};

use crate::clock::pin_to_core;
use crate::subject::{Done, SubjectArgs};
use crate::Error;

/// How long a subject may take to listen, and to end after its stdin was closed.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a subject that is given up may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct SubjectSpec {
    /// What the reports call it.
    pub(crate) name: String,
    /// The shell command of a peer; `None` for this program.
    pub(crate) command: Option<String>,
    /// Where that command runs; `None` for here.
    pub(crate) directory: Option<PathBuf>,
    /// What it is to do.
    pub(crate) args: SubjectArgs,
}

/// The cores that the two sides run on; `None` leaves it to the system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) server: Option<usize>,
    pub(crate) client: Option<usize>,
}

/// A subject that runs. Dropping it ends the process and all others of its process group.
pub(crate) struct Subject {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    /// The processes that are the server.
    pids: Vec<u32>,
    address: SocketAddr,
    path: String,
    solo_path: String,
}

impl Subject {
    /// Starts a subject and waits until it listens.
    pub(crate) fn start(spec: &SubjectSpec, cores: Cores) -> Result<Self, Error> {
        let mut command = match &spec.command {
            None => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(spec.args.command_line());
                command
            }
            Some(line) => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(format!("exec {line}"));
                command
            }
        };
        command.envs(spec.args.environment()).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(directory) = &spec.directory {
            command.current_dir(directory);
        }
        // A group of its own, so that what it starts can be ended with it. However this process
        // ends, the subject's stdin is closed then, and the subject ends by itself.
        command.process_group(0);
        // A child runs where the thread that started it did.
        if let Some(core) = cores.server {
            pin_to_core(core)?;
        }
        let spawned = command.spawn();
        if let Some(core) = cores.client {
            pin_to_core(core)?;
        }
        let mut child = spawned.map_err(|error| format!("{}: {error}", spec.name))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or("a subject without stdout")?;
        let (sender, lines) = mpsc::channel();
        std::thread::Builder::new().name("bench-subject".to_owned()).spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        })?;
        let mut subject = Self {
            name: spec.name.clone(),
            pids: vec![child.id()],
            child,
            stdin,
            lines,
            address: spec.args.listen,
            path: String::new(),
            solo_path: String::new(),
        };
        subject.hear_address()?;
        Ok(subject)
    }

    fn hear_address(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.hear(deadline.saturating_duration_since(Instant::now()))?;
            let line =
                line.ok_or_else(|| format!("{} does not say where it listens", self.name))?;
            let mut words = line.split_whitespace();
            let first = words.next();
            if first == Some("pids") {
                let pids: Result<Vec<u32>, _> = words.map(str::parse).collect();
                self.pids = pids.map_err(|_| format!("not process ids: {line:?}"))?;
            } else if first == Some("listening") {
                let address = words.next().and_then(|word| word.parse().ok());
                self.address = address.ok_or_else(|| format!("not an address: {line:?}"))?;
                self.path = words.next().unwrap_or("/events").to_owned();
                self.solo_path = words.next().unwrap_or("/solo").to_owned();
                return Ok(());
            }
            // Other programs may say other things first.
        }
    }

    /// What the reports call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The processes that are the server, without those that descend from them.
    pub(crate) fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The path of the stream that all follow.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The path of the stream that one client follows.
    pub(crate) fn solo_path(&self) -> &str {
        &self.solo_path
    }

    /// Tells it to publish.
    pub(crate) fn go(&mut self) -> Result<(), Error> {
        let stdin = self.stdin.as_mut().ok_or("the subject was told to end")?;
        stdin.write_all(b"go\n")?;
        Ok(())
    }

    /// Its report, if it comes within `timeout`.
    pub(crate) fn done(&mut self, timeout: Duration) -> Result<Option<Done>, Error> {
        let Some(line) = self.hear(timeout)? else {
            return Ok(None);
        };
        let done = Done::parse(&line);
        done.map(Some).ok_or_else(|| format!("{} says {line:?}, not done", self.name).into())
    }

    /// Asks it to end and waits for that.
    ///
    /// # Errors
    ///
    /// When it does not end by itself, or ends with a failure.
    pub(crate) fn end(mut self) -> Result<(), Error> {
        self.stdin = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                return Err(format!("{} ended with {status}", self.name).into());
            }
            if Instant::now() > deadline {
                return Err(format!("{} does not end", self.name).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The next line; `None` after `timeout`.
    fn hear(&mut self, timeout: Duration) -> Result<Option<String>, Error> {
        match self.lines.recv_timeout(timeout) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait()?;
                Err(format!("{} ended early, with {status}", self.name).into())
            }
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // A subject that still works ends now, and removes what it has made.
        self.stdin = None;
        let deadline = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Both fail only when there is nothing left to end.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
