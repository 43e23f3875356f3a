//! A worker: a process that holds a share of a crew's connections, for more of them than one
//! process may have descriptors.
//!
//! ```text
//! stdin -> worker    an Order a line, in JSON
//! worker -> stdout   a Word a line, in JSON: one for Connect, Reconnect, Cut, Expect and Harvest, a
//!                    Standing some twenty times a second, and Failed before the worker ends for
//!                    that reason
//! stdin closed       the worker ends
//! ```

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, TryRecvError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::{Client, Connected, Share};
use super::clock::{now_ns, thread_cpu_ns};
use super::connect::Target;
use super::follower::{Class, Expected, Faults, Totals};
use super::harvest::Harvest;
use super::Error;

/// How often a worker says how things stand, in nanoseconds.
const STANDING_NS: u64 = 50_000_000;
/// How long an order may wait for the connections.
const TURN: Duration = Duration::from_millis(20);
/// Orders that may wait for their turn; whoever gives more waits.
const ORDERS_MAX: usize = 16;

/// What a worker is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Add a class.
    Class(Expected),
    /// Open connections, with at most so many waiting for their head at once.
    Connect { shares: Vec<Portion>, in_flight_max: usize },
    /// Cut this share of the connections off, those included that were cut before.
    Cut { nth: usize, of: usize },
    /// Open those again that were cut; `opened` is how many the workers before this one open.
    Reconnect { url: String, opened: usize, in_flight_max: usize },
    /// Expect so many events on each connection of a class from now on.
    Expect { class: usize, events: u64 },
    /// Count what is missing.
    Finish,
    /// Say what was received.
    Harvest,
}

/// A [`Share`] as it is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Portion {
    pub(super) url: String,
    pub(super) class: usize,
    pub(super) count: usize,
    /// How many connections the workers before this one open.
    pub(super) opened: usize,
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Word {
    Standing(Standing),
    Connected(Connected),
    /// It is done; and how many events the connections of the first class have come to.
    Ready {
        reached: Option<(u64, u64)>,
    },
    /// One for each class.
    Harvests(Vec<Harvest>),
    Failed(String),
}

/// How things stand with a worker.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Standing {
    /// How many of the connections that are being opened have their head.
    pub(super) heads: u64,
    /// One for each class.
    pub(super) classes: Vec<(Totals, Faults)>,
    /// How many connections the server has closed.
    pub(super) closed: usize,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub(super) last_bytes_at_ns: u64,
    /// CPU time of the thread that holds the connections, in nanoseconds.
    pub(super) cpu_ns: u64,
}

/// Is a worker, until stdin ends.
pub(super) fn work() -> ExitCode {
    match Worker::new().and_then(|mut worker| worker.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever started this one says it to the people; if nobody listens, nobody is there.
            let _ = say(&Word::Failed(error.to_string()));
            ExitCode::FAILURE
        }
    }
}

struct Worker {
    client: Client,
    classes: usize,
    connections: usize,
    orders: mpsc::Receiver<Result<Order, String>>,
    said_at_ns: u64,
    said_all_complete: bool,
}

impl Worker {
    fn new() -> Result<Self, Error> {
        let (sender, orders) = mpsc::sync_channel(ORDERS_MAX);
        std::thread::Builder::new().name("bench-orders".to_owned()).spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { break };
                let order = serde_json::from_str(&line).map_err(|error| error.to_string());
                if sender.send(order).is_err() {
                    return;
                }
            }
            // Nobody is left to work for, whatever is being done.
            std::process::exit(0);
        })?;
        Ok(Self {
            client: Client::new()?,
            classes: 0,
            connections: 0,
            orders,
            said_at_ns: 0,
            said_all_complete: false,
        })
    }

    fn run(&mut self) -> Result<(), Error> {
        loop {
            match self.orders.try_recv() {
                Ok(order) => self.obey(order?)?,
                Err(TryRecvError::Empty) => {
                    self.client.pump(TURN)?;
                    self.say_standing()?;
                }
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    fn obey(&mut self, order: Order) -> Result<(), Error> {
        match order {
            Order::Class(expected) => {
                self.client.add_class(Class::new(expected));
                self.classes += 1;
                Ok(())
            }
            Order::Connect { shares, in_flight_max } => self.connect(shares, in_flight_max),
            Order::Cut { nth, of } => {
                self.client.cut(share_of(self.connections, nth, of));
                self.say_ready()
            }
            Order::Reconnect { url, opened, in_flight_max } => {
                let mut target = Target::from_url(&url)?;
                target.set_opened(opened);
                let reconnect = |client: &mut Client, look_on: &mut LookOn<'_>| {
                    client.reconnect_all(&target, in_flight_max.max(1), look_on)
                };
                self.connect_telling(reconnect)
            }
            Order::Expect { class, events } => {
                self.check(class)?;
                self.client.expect(class, events);
                self.say_ready()
            }
            Order::Finish => {
                self.client.finish();
                Ok(())
            }
            Order::Harvest => {
                let harvests = (0..self.classes).map(|class| self.client.harvest(class));
                say(&Word::Harvests(harvests.collect()))
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
        let standing = self.standing();
        let connected = connect(&mut self.client, &mut |heads| {
            if now_ns() - said_at_ns >= STANDING_NS {
                said_at_ns = now_ns();
                let (last_bytes_at_ns, cpu_ns) = (said_at_ns, thread_cpu_ns());
                let standing = Standing { heads, last_bytes_at_ns, cpu_ns, ..standing.clone() };
                say(&Word::Standing(standing))?;
            }
            Ok(())
        })?;
        say(&Word::Standing(self.standing()))?;
        say(&Word::Connected(connected))
    }

    /// Says that an order was carried out, and before that how things stand since.
    fn say_ready(&mut self) -> Result<(), Error> {
        self.said_all_complete = false;
        say(&Word::Standing(self.standing()))?;
        let reached = if self.classes > 0 { self.client.reached(0) } else { None };
        say(&Word::Ready { reached })
    }

    fn check(&self, class: usize) -> Result<(), Error> {
        if class >= self.classes {
            return Err(format!("no class {class}").into());
        }
        Ok(())
    }

    /// Says how things stand if it is time to, or if all connections have just become complete.
    fn say_standing(&mut self) -> Result<(), Error> {
        let now_ns = now_ns();
        let complete = (0..self.classes).map(|class| self.client.class(class).totals.complete);
        let all_complete = complete.sum::<usize>() == self.connections;
        if now_ns - self.said_at_ns < STANDING_NS && (!all_complete || self.said_all_complete) {
            return Ok(());
        }
        self.said_at_ns = now_ns;
        self.said_all_complete = all_complete;
        say(&Word::Standing(self.standing()))
    }

    fn standing(&self) -> Standing {
        let classes = (0..self.classes).map(|class| self.client.class(class));
        Standing {
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

/// The `nth` of so many shares of a number, and all before it.
pub(super) fn share_of(all: usize, nth: usize, of: usize) -> usize {
    (all as u128 * nth.min(of) as u128 / of.max(1) as u128) as usize
}

fn say(word: &Word) -> Result<(), Error> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line)?;
    Ok(stdout.flush()?)
}
