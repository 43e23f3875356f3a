//! A worker: a process that holds a share of a run's connections, when there are more of them than
//! one process may have descriptors.
//!
//! ```text
//! stdin -> worker    a Task a line, in JSON
//! worker -> stdout   a Reply a line, in JSON: one for Connect, Reconnect, Cut, Expect and Harvest, a
//!                    Status some twenty times a second, and Failed before the worker ends for
//!                    that reason
//! stdin closed       the worker ends
//! ```

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, TryRecvError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clients::client::{Client, Connected, Share};
use crate::clients::connect::Target;
use crate::clients::follower::{Class, Expected, Faults, Totals};
use crate::clients::harvest::Harvest;
use crate::clock::{now_ns, thread_cpu_ns};
use crate::Error;

/// How often a worker reports its status, in nanoseconds.
const STATUS_NS: u64 = 50_000_000;
/// How long a task may wait for the connections.
const TURN: Duration = Duration::from_millis(20);
/// Tasks that may wait for their turn; a sender of more blocks.
const TASKS_MAX: usize = 16;

/// What a worker is told to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Add a class.
    Class(Expected),
    /// Open connections, with at most `in_flight_max` waiting for their head at once.
    Connect { shares: Vec<Portion>, in_flight_max: usize },
    /// Cut this share of the connections off, those included that were cut before.
    Cut { nth: usize, of: usize },
    /// Open those again that were cut; `opened` is how many the workers before this one open.
    Reconnect { url: String, opened: usize, in_flight_max: usize },
    /// Expect this number of events on each connection of a class from now on.
    Expect { class: usize, events: u64 },
    /// Count what is missing.
    Finish,
    /// Say what was received.
    Harvest,
}

/// A [`Share`] as it is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Portion {
    pub(crate) url: String,
    pub(crate) class: usize,
    pub(crate) count: usize,
    /// How many connections the workers before this one open.
    pub(crate) opened: usize,
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Status(Status),
    Connected(Connected),
    /// It is done; and how many events the connections of the first class have come to.
    Ready {
        reached: Option<(u64, u64)>,
    },
    /// One for each class.
    Harvests(Vec<Harvest>),
    Failed(String),
}

/// How far a worker has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    /// How many of the connections that are being opened have their head.
    pub(crate) heads: u64,
    /// One for each class.
    pub(crate) classes: Vec<(Totals, Faults)>,
    /// How many connections the server has closed.
    pub(crate) closed: usize,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub(crate) last_bytes_at_ns: u64,
    /// CPU time of the thread that holds the connections, in nanoseconds.
    pub(crate) cpu_ns: u64,
}

/// Is a worker, until stdin ends.
pub(crate) fn work() -> ExitCode {
    match Worker::new().and_then(|mut worker| worker.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The process that started this one shows the error; without it there is no reader.
            let _ = say(&Reply::Failed(error.to_string()));
            ExitCode::FAILURE
        }
    }
}

struct Worker {
    client: Client,
    classes: usize,
    connections: usize,
    tasks: mpsc::Receiver<Result<Task, String>>,
    said_at_ns: u64,
    said_all_complete: bool,
}

impl Worker {
    fn new() -> Result<Self, Error> {
        let (sender, tasks) = mpsc::sync_channel(TASKS_MAX);
        std::thread::Builder::new().name("bench-tasks".to_owned()).spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { break };
                let task = serde_json::from_str(&line).map_err(|error| error.to_string());
                if sender.send(task).is_err() {
                    return;
                }
            }
            // The process that started this one has ended: so does this, whatever it is doing.
            std::process::exit(0);
        })?;
        Ok(Self {
            client: Client::new()?,
            classes: 0,
            connections: 0,
            tasks,
            said_at_ns: 0,
            said_all_complete: false,
        })
    }

    fn run(&mut self) -> Result<(), Error> {
        loop {
            match self.tasks.try_recv() {
                Ok(task) => self.execute(task?)?,
                Err(TryRecvError::Empty) => {
                    self.client.pump(TURN)?;
                    self.say_status()?;
                }
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    fn execute(&mut self, task: Task) -> Result<(), Error> {
        match task {
            Task::Class(expected) => {
                self.client.add_class(Class::new(expected));
                self.classes += 1;
                Ok(())
            }
            Task::Connect { shares, in_flight_max } => self.connect(shares, in_flight_max),
            Task::Cut { nth, of } => {
                self.client.cut(share_of(self.connections, nth, of));
                self.say_ready()
            }
            Task::Reconnect { url, opened, in_flight_max } => {
                let mut target = Target::from_url(&url)?;
                target.set_opened(opened);
                let reconnect = |client: &mut Client, look_on: &mut LookOn<'_>| {
                    client.reconnect_all(&target, in_flight_max.max(1), look_on)
                };
                self.connect_telling(reconnect)
            }
            Task::Expect { class, events } => {
                self.check(class)?;
                self.client.expect(class, events);
                self.say_ready()
            }
            Task::Finish => {
                self.client.finish();
                Ok(())
            }
            Task::Harvest => {
                let harvests = (0..self.classes).map(|class| self.client.harvest(class));
                say(&Reply::Harvests(harvests.collect()))
            }
        }
    }

    fn connect(&mut self, shares: Vec<Portion>, in_flight_max: usize) -> Result<(), Error> {
        let mut wanted = Vec::with_capacity(shares.len());
        for portion in shares {
            self.check(portion.class)?;
            self.connections += portion.count;
            let mut target = Target::from_url(&portion.url)?;
            target.set_opened(portion.opened);
            wanted.push(Share { target, class: portion.class, count: portion.count });
        }
        self.connect_telling(|client, look_on| {
            client.connect_all(wanted, in_flight_max.max(1), look_on)
        })
    }

    /// Opens connections, and says how that goes.
    fn connect_telling(
        &mut self,
        connect: impl FnOnce(&mut Client, &mut LookOn<'_>) -> Result<Connected, Error>,
    ) -> Result<(), Error> {
        let mut said_at_ns = 0;
        let status = self.status();
        let connected = connect(&mut self.client, &mut |heads| {
            if now_ns() - said_at_ns >= STATUS_NS {
                said_at_ns = now_ns();
                let (last_bytes_at_ns, cpu_ns) = (said_at_ns, thread_cpu_ns());
                let status = Status { heads, last_bytes_at_ns, cpu_ns, ..status.clone() };
                say(&Reply::Status(status))?;
            }
            Ok(())
        })?;
        say(&Reply::Status(self.status()))?;
        say(&Reply::Connected(connected))
    }

    /// Says that a task was carried out, and before that how the worker is doing since.
    fn say_ready(&mut self) -> Result<(), Error> {
        self.said_all_complete = false;
        say(&Reply::Status(self.status()))?;
        let reached = if self.classes > 0 { self.client.reached(0) } else { None };
        say(&Reply::Ready { reached })
    }

    fn check(&self, class: usize) -> Result<(), Error> {
        if class >= self.classes {
            return Err(format!("no class {class}").into());
        }
        Ok(())
    }

    /// Reports the status if it is time to, or if all connections have just become complete.
    fn say_status(&mut self) -> Result<(), Error> {
        let now_ns = now_ns();
        let complete = (0..self.classes).map(|class| self.client.class(class).totals.complete);
        let all_complete = complete.sum::<usize>() == self.connections;
        if now_ns - self.said_at_ns < STATUS_NS && (!all_complete || self.said_all_complete) {
            return Ok(());
        }
        self.said_at_ns = now_ns;
        self.said_all_complete = all_complete;
        say(&Reply::Status(self.status()))
    }

    fn status(&self) -> Status {
        let classes = (0..self.classes).map(|class| self.client.class(class));
        Status {
            heads: 0,
            classes: classes.map(|class| (class.totals, class.faults)).collect(),
            closed: self.client.closed(),
            last_bytes_at_ns: self.client.last_bytes_at_ns(),
            cpu_ns: thread_cpu_ns(),
        }
    }
}

/// What is called while connections are opened, with how many have their head.
type LookOn<'a> = dyn FnMut(u64) -> Result<(), Error> + 'a;

/// The first `nth` of `of` equal shares of a number, together.
pub(crate) fn share_of(all: usize, nth: usize, of: usize) -> usize {
    (all as u128 * nth.min(of) as u128 / of.max(1) as u128) as usize
}

fn say(reply: &Reply) -> Result<(), Error> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line)?;
    Ok(stdout.flush()?)
}
