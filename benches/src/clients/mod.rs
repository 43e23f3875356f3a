//! All connections of a run: in this process, or spread over several processes when there are more
//! connections than one process may have descriptors. The scenarios see no difference.

pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod connect;
pub(crate) mod follower;
pub(crate) mod harvest;
pub(crate) mod progress;
pub(crate) mod reference;
pub(crate) mod slow;
pub(crate) mod solo;
pub(crate) mod sse;
pub(crate) mod stream;
pub(crate) mod worker;
pub(crate) mod workers;

use std::time::Duration;

use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

use crate::clients::client::{Client, Connected, Share, IN_FLIGHT_MAX};
use crate::clients::connect::Target;
use crate::clients::follower::{Class, Expected, Faults, Totals};
use crate::clients::harvest::Harvest;
use crate::clients::progress::Progress;
use crate::clients::worker::{share_of, Portion, Reply, Status, Task};
use crate::clients::workers::Workers;
use crate::clock::{now_ns, thread_cpu_ns};
use crate::histogram::Histogram;
use crate::Error;

/// Descriptors that a process needs for itself.
const OWN_DESCRIPTORS: usize = 100;
/// The most processes for the connections of one run.
pub(crate) const PROCESSES_MAX: usize = 64;

/// The connections of a run, in classes.
pub(crate) struct Clients {
    backend: Backend,
    connections: usize,
    in_flight_max: usize,
    classes: usize,
    progress: Progress,
}

enum Backend {
    Local(Box<Client>),
    Workers(Workers),
}

/// The most connections that one process may hold. Raises the soft limit to the hard one.
pub(crate) fn connections_max() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    most.saturating_sub(OWN_DESCRIPTORS).max(1)
}

impl Clients {
    /// Prepares for `connections` connections, and opens none yet. `processes` sets the number of
    /// worker processes; without it there are none as long as this process may hold all
    /// connections.
    pub(crate) fn spawn(connections: usize, processes: Option<usize>) -> Result<Self, Error> {
        let each = connections_max();
        let needed = connections.div_ceil(each);
        let workers = processes.unwrap_or(if needed > 1 { needed } else { 0 });
        if workers > PROCESSES_MAX || workers > 0 && needed > workers {
            return Err(format!(
                "{connections} connections need {needed} client processes of {each} each; \
                 {workers} were asked for, {PROCESSES_MAX} are the most"
            )
            .into());
        }
        let backend = match workers {
            0 => Backend::Local(Box::new(Client::new()?)),
            _ => Backend::Workers(Workers::start(workers)?),
        };
        let (in_flight_max, progress) = (IN_FLIGHT_MAX, Progress::new());
        Ok(Self { backend, connections: 0, in_flight_max, classes: 0, progress })
    }

    /// Sets how many connections wait for their heads at once, in all processes together.
    pub(crate) fn set_in_flight_max(&mut self, in_flight_max: usize) {
        self.in_flight_max = in_flight_max;
    }

    /// Adds a class for connections to belong to, and returns its index.
    pub(crate) fn add_class(&mut self, expected: Expected) -> Result<usize, Error> {
        match &mut self.backend {
            Backend::Local(client) => {
                client.add_class(Class::new(expected));
            }
            Backend::Workers(workers) => workers.tell_all(&Task::Class(expected))?,
        }
        self.classes += 1;
        Ok(self.classes - 1)
    }

    /// Opens `count` connections, some hundred at a time, and waits until each has its head.
    pub(crate) fn connect(
        &mut self,
        target: &Target,
        class: usize,
        count: usize,
    ) -> Result<Connected, Error> {
        self.connect_all(vec![Share { target: target.clone(), class, count }])
    }

    /// The same for several targets in turn.
    ///
    /// # Errors
    ///
    /// When one is refused, closed or answered with anything but an event stream, or when for 15
    /// seconds no head arrives.
    pub(crate) fn connect_all(&mut self, shares: Vec<Share>) -> Result<Connected, Error> {
        let wanted: usize = shares.iter().map(|share| share.count).sum();
        self.connections += wanted;
        let (progress, in_flight_max) = (&mut self.progress, self.in_flight_max);
        match &mut self.backend {
            Backend::Local(client) => client.connect_all(shares, in_flight_max, &mut |heads| {
                progress.connected(heads, wanted as u64);
                Ok(())
            }),
            Backend::Workers(workers) => {
                let begun_at_ns = now_ns();
                let count = workers.len();
                for index in 0..count {
                    let shares = shares.iter().map(|share| portion(share, index, count)).collect();
                    let in_flight_max = (in_flight_max / count).max(1);
                    workers.tell(index, &Task::Connect { shares, in_flight_max })?;
                }
                let look_on = &mut |heads| progress.connected(heads, wanted as u64);
                await_heads(workers, begun_at_ns, look_on)
            }
        }
    }

    /// Cuts off the first `nth` of `of` equal shares of all connections. Those that were cut off
    /// before stay so.
    pub(crate) fn cut(&mut self, nth: usize, of: usize) -> Result<(), Error> {
        match &mut self.backend {
            Backend::Local(client) => client.cut(share_of(self.connections, nth, of)),
            Backend::Workers(workers) => {
                workers.tell_all(&Task::Cut { nth, of })?;
                await_ready(workers)?;
            }
        }
        Ok(())
    }

    /// Opens all connections again that were cut off, each with the id of the last event that it
    /// had, and waits until each has its head.
    pub(crate) fn reconnect(&mut self, target: &Target) -> Result<Connected, Error> {
        let (wanted, progress) = (self.connections as u64, &mut self.progress);
        let mut look_on = |heads| progress.connected(heads, wanted);
        match &mut self.backend {
            Backend::Local(client) => {
                client.reconnect_all(target, self.in_flight_max, &mut |heads| {
                    look_on(heads);
                    Ok(())
                })
            }
            Backend::Workers(workers) => {
                let begun_at_ns = now_ns();
                let count = workers.len();
                for index in 0..count {
                    let (url, opened) = (target.url(), self.connections / count * index);
                    let in_flight_max = (self.in_flight_max / count).max(1);
                    workers.tell(index, &Task::Reconnect { url, opened, in_flight_max })?;
                }
                await_heads(workers, begun_at_ns, &mut look_on)
            }
        }
    }

    /// Sets how many events are expected on each connection of a class from now on.
    pub(crate) fn expect(&mut self, class: usize, events: u64) -> Result<(), Error> {
        match &mut self.backend {
            Backend::Local(client) => client.expect(class, events),
            Backend::Workers(workers) => {
                workers.tell_all(&Task::Expect { class, events })?;
                await_ready(workers)?;
            }
        }
        Ok(())
    }

    /// Cuts off the connections that are left. Returns how many events two connections of the first
    /// class have reached: the one with the fewest, and the one with the most.
    pub(crate) fn cut_all(&mut self) -> Result<(u64, u64), Error> {
        let reached = match &mut self.backend {
            Backend::Local(client) => {
                client.cut(self.connections);
                client.reached(0)
            }
            Backend::Workers(workers) => {
                workers.tell_all(&Task::Cut { nth: 1, of: 1 })?;
                await_ready(workers)?
            }
        };
        Ok(reached.ok_or("there are no connections to cut off")?)
    }

    /// Waits for at most `timeout` until something has arrived, and takes it.
    ///
    /// # Errors
    ///
    /// When what arrived is not an event stream, a worker has failed, or the system refuses.
    pub(crate) fn pump(&mut self, timeout: Duration) -> Result<(), Error> {
        match &mut self.backend {
            Backend::Local(client) => client.pump(timeout)?,
            Backend::Workers(workers) => {
                workers.hear(timeout)?;
            }
        }
        if self.progress.is_due() {
            let received = (0..self.classes).map(|class| self.totals(class).received()).sum();
            self.progress.delivered(received);
        }
        Ok(())
    }

    /// What the connections of a class have received so far.
    pub(crate) fn totals(&self, class: usize) -> Totals {
        self.counts(class).0
    }

    /// What was wrong with it.
    pub(crate) fn faults(&self, class: usize) -> Faults {
        self.counts(class).1
    }

    /// How many connections the server has closed.
    pub(crate) fn closed(&self) -> usize {
        match &self.backend {
            Backend::Local(client) => client.closed(),
            Backend::Workers(workers) => workers.statuses().map(|status| status.closed).sum(),
        }
    }

    /// When bytes last arrived on any connection, `CLOCK_MONOTONIC`, in nanoseconds.
    pub(crate) fn last_bytes_at_ns(&self) -> u64 {
        match &self.backend {
            Backend::Local(client) => client.last_bytes_at_ns(),
            Backend::Workers(workers) => {
                workers.statuses().map(|status| status.last_bytes_at_ns).max().unwrap_or(0)
            }
        }
    }

    /// CPU time of all threads that hold connections, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> u64 {
        match &self.backend {
            Backend::Local(_) => thread_cpu_ns(),
            Backend::Workers(workers) => workers.statuses().map(|status| status.cpu_ns).sum(),
        }
    }

    /// Ends all streams and counts what is missing from each. The connections stay open.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        match &mut self.backend {
            Backend::Local(client) => client.finish(),
            Backend::Workers(workers) => workers.tell_all(&Task::Finish)?,
        }
        Ok(())
    }

    /// All that was received so far, one for each class.
    pub(crate) fn harvests(&mut self) -> Result<Vec<Harvest>, Error> {
        let classes = self.classes;
        let workers = match &mut self.backend {
            Backend::Local(client) => {
                return Ok((0..classes).map(|at| client.harvest(at)).collect())
            }
            Backend::Workers(workers) => workers,
        };
        workers.tell_all(&Task::Harvest)?;
        let mut harvests = vec![Harvest::default(); classes];
        for reply in workers.answers(|_| ())? {
            let Reply::Harvests(parts) = reply else {
                return Err("a client worker says something else than what it received".into());
            };
            for (harvest, part) in harvests.iter_mut().zip(&parts) {
                harvest.merge(part);
            }
        }
        Ok(harvests)
    }

    fn counts(&self, class: usize) -> (Totals, Faults) {
        match &self.backend {
            Backend::Local(client) => {
                let class = client.class(class);
                (class.totals, class.faults)
            }
            Backend::Workers(workers) => {
                let (mut totals, mut faults) = Default::default();
                for Status { classes, .. } in workers.statuses() {
                    // A worker that has said nothing yet has received nothing.
                    if let Some((of_worker, wrong)) = classes.get(class) {
                        Totals::merge(&mut totals, of_worker);
                        Faults::merge(&mut faults, wrong);
                    }
                }
                (totals, faults)
            }
        }
    }
}

/// Waits until every worker's connections have their heads.
fn await_heads(
    workers: &mut Workers,
    begun_at_ns: u64,
    look_on: &mut dyn FnMut(u64),
) -> Result<Connected, Error> {
    let answers = workers.answers(|workers| {
        look_on(workers.statuses().map(|status| status.heads).sum());
    })?;
    let elapsed_ns = now_ns() - begun_at_ns;
    let mut heads = Histogram::default();
    for reply in answers {
        let Reply::Connected(connected) = reply else {
            return Err("a client worker says something else than that it is connected".into());
        };
        heads.merge(&connected.heads);
    }
    Ok(Connected { elapsed_ns, heads })
}

/// Waits until every worker has carried out its task. Returns how far their connections have come.
fn await_ready(workers: &mut Workers) -> Result<Option<(u64, u64)>, Error> {
    let mut all: Option<(u64, u64)> = None;
    for reply in workers.answers(|_| ())? {
        let Reply::Ready { reached } = reply else {
            return Err("a client worker says something else than that it is ready".into());
        };
        all = match (all, reached) {
            (Some((fewest, most)), Some((few, many))) => Some((fewest.min(few), most.max(many))),
            (one, other) => one.or(other),
        };
    }
    Ok(all)
}

/// The part of a share that worker `index` of `workers` gets: as much as the others, or one less.
fn portion(share: &Share, index: usize, workers: usize) -> Portion {
    let (each, over) = (share.count / workers, share.count % workers);
    Portion {
        url: share.target.url(),
        class: share.class,
        count: each + usize::from(index < over),
        opened: index * each + index.min(over),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_given_out_whole_and_source_addresses_go_on_from_worker_to_worker() {
        let target = Target::from_url("http://127.0.0.1:1/").unwrap();
        for (count, workers) in [(0, 3), (1, 3), (10, 3), (12, 4), (19_901, 2)] {
            let share = Share { target: target.clone(), class: 1, count };
            let mut given = 0;
            for index in 0..workers {
                let portion = portion(&share, index, workers);
                assert_eq!(portion.opened, given);
                given += portion.count;
            }
            assert_eq!(given, count);
        }
    }

    #[test]
    fn more_connections_than_the_processes_can_hold_are_refused() {
        let most = connections_max();
        if let Some(more) = most.checked_mul(PROCESSES_MAX + 1) {
            assert!(Clients::spawn(more, None).is_err());
            assert!(Clients::spawn(most + 1, Some(1)).is_err());
        }
    }
}
