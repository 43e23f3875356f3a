//! All connections of a run: in this process, or spread over several when they are more than one
//! process may have descriptors. The scenarios see no difference.

use std::time::Duration;

use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

use super::client::{Client, Connected, Share, IN_FLIGHT_MAX};
use super::clock::{now_ns, thread_cpu_ns};
use super::connect::Target;
use super::follower::{Class, Expected, Faults, Totals};
use super::harvest::Harvest;
use super::histogram::Histogram;
use super::progress::Progress;
use super::worker::{Order, Portion, Standing, Word};
use super::workers::Workers;
use super::Error;

/// Descriptors that a process needs for itself.
const OWN_DESCRIPTORS: usize = 100;
/// The most processes for the connections of one run.
pub(super) const PROCESSES_MAX: usize = 64;

/// The connections of a run, in classes.
pub(super) struct Crew {
    hands: Hands,
    classes: usize,
    progress: Progress,
}

enum Hands {
    Here(Box<Client>),
    Workers(Workers),
}

/// The most connections that one process may hold. Raises what it may to what it can.
pub(super) fn connections_max() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let most = match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    most.saturating_sub(OWN_DESCRIPTORS).max(1)
}

impl Crew {
    /// A crew for so many connections, without any yet. `processes` forces a number of workers;
    /// otherwise there are none as long as this process may hold all connections.
    pub(super) fn hire(connections: usize, processes: Option<usize>) -> Result<Self, Error> {
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
        let hands = match workers {
            0 => Hands::Here(Box::new(Client::new()?)),
            _ => Hands::Workers(Workers::start(workers)?),
        };
        Ok(Self { hands, classes: 0, progress: Progress::new() })
    }

    /// Adds a class for connections to belong to, and returns its place.
    pub(super) fn add_class(&mut self, expected: Expected) -> Result<usize, Error> {
        match &mut self.hands {
            Hands::Here(client) => {
                client.add_class(Class::new(expected));
            }
            Hands::Workers(workers) => workers.tell_all(&Order::Class(expected))?,
        }
        self.classes += 1;
        Ok(self.classes - 1)
    }

    /// Opens `count` connections, some hundred at a time, and waits until each has its head.
    pub(super) fn connect(
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
    pub(super) fn connect_all(&mut self, shares: Vec<Share>) -> Result<Connected, Error> {
        let wanted: usize = shares.iter().map(|share| share.count).sum();
        let progress = &mut self.progress;
        match &mut self.hands {
            Hands::Here(client) => client.connect_all(shares, IN_FLIGHT_MAX, &mut |heads| {
                progress.connected(heads, wanted as u64);
                Ok(())
            }),
            Hands::Workers(workers) => connect_workers(workers, &shares, &mut |heads| {
                progress.connected(heads, wanted as u64);
            }),
        }
    }

    /// Waits for at most `timeout` until something has arrived, and takes it.
    ///
    /// # Errors
    ///
    /// When what arrived is not an event stream, a worker has failed, or the system refuses.
    pub(super) fn pump(&mut self, timeout: Duration) -> Result<(), Error> {
        match &mut self.hands {
            Hands::Here(client) => client.pump(timeout)?,
            Hands::Workers(workers) => {
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
    pub(super) fn totals(&self, class: usize) -> Totals {
        self.tally(class).0
    }

    /// What was wrong with it.
    pub(super) fn faults(&self, class: usize) -> Faults {
        self.tally(class).1
    }

    /// How many connections the server has closed.
    pub(super) fn closed(&self) -> usize {
        match &self.hands {
            Hands::Here(client) => client.closed(),
            Hands::Workers(workers) => workers.standings().map(|standing| standing.closed).sum(),
        }
    }

    /// When bytes last arrived on any connection, `CLOCK_MONOTONIC`, in nanoseconds.
    pub(super) fn last_bytes_at_ns(&self) -> u64 {
        match &self.hands {
            Hands::Here(client) => client.last_bytes_at_ns(),
            Hands::Workers(workers) => {
                workers.standings().map(|standing| standing.last_bytes_at_ns).max().unwrap_or(0)
            }
        }
    }

    /// CPU time of all threads that hold connections, in nanoseconds.
    pub(super) fn cpu_ns(&self) -> u64 {
        match &self.hands {
            Hands::Here(_) => thread_cpu_ns(),
            Hands::Workers(workers) => workers.standings().map(|standing| standing.cpu_ns).sum(),
        }
    }

    /// Ends all streams and counts what is missing from each. The connections stay open.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        match &mut self.hands {
            Hands::Here(client) => client.finish(),
            Hands::Workers(workers) => workers.tell_all(&Order::Finish)?,
        }
        Ok(())
    }

    /// All that was received so far, one for each class.
    pub(super) fn harvests(&mut self) -> Result<Vec<Harvest>, Error> {
        let classes = self.classes;
        let workers = match &mut self.hands {
            Hands::Here(client) => return Ok((0..classes).map(|at| client.harvest(at)).collect()),
            Hands::Workers(workers) => workers,
        };
        workers.tell_all(&Order::Harvest)?;
        let mut harvests = vec![Harvest::default(); classes];
        for word in workers.answers(|_| ())? {
            let Word::Harvests(parts) = word else {
                return Err("a client worker says something else than what it received".into());
            };
            for (harvest, part) in harvests.iter_mut().zip(&parts) {
                harvest.merge(part);
            }
        }
        Ok(harvests)
    }

    fn tally(&self, class: usize) -> (Totals, Faults) {
        match &self.hands {
            Hands::Here(client) => {
                let class = client.class(class);
                (class.totals, class.faults)
            }
            Hands::Workers(workers) => {
                let (mut totals, mut faults) = Default::default();
                for Standing { classes, .. } in workers.standings() {
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

/// Gives each worker its part of every share, and waits until all connections have their heads.
fn connect_workers(
    workers: &mut Workers,
    shares: &[Share],
    look_on: &mut dyn FnMut(u64),
) -> Result<Connected, Error> {
    let begun_at_ns = now_ns();
    let crew = workers.len();
    for index in 0..crew {
        let portions = shares.iter().map(|share| portion(share, index, crew)).collect();
        let in_flight_max = (IN_FLIGHT_MAX / crew).max(1);
        workers.tell(index, &Order::Connect { shares: portions, in_flight_max })?;
    }
    let answers = workers.answers(|workers| {
        look_on(workers.standings().map(|standing| standing.heads).sum());
    })?;
    let elapsed_ns = now_ns() - begun_at_ns;
    let mut heads = Histogram::default();
    for word in answers {
        let Word::Connected(connected) = word else {
            return Err("a client worker says something else than that it is connected".into());
        };
        heads.merge(&connected.heads);
    }
    Ok(Connected { elapsed_ns, heads })
}

/// The part of a share that worker `index` of `crew` gets: as much as the others, or one less.
fn portion(share: &Share, index: usize, crew: usize) -> Portion {
    let (each, over) = (share.count / crew, share.count % crew);
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
        for (count, crew) in [(0, 3), (1, 3), (10, 3), (12, 4), (19_901, 2)] {
            let share = Share { target: target.clone(), class: 1, count };
            let mut given = 0;
            for index in 0..crew {
                let portion = portion(&share, index, crew);
                assert_eq!(portion.opened, given);
                given += portion.count;
            }
            assert_eq!(given, count);
        }
    }

    #[test]
    fn a_crew_that_cannot_hold_its_connections_is_not_hired() {
        let most = connections_max();
        if let Some(more) = most.checked_mul(PROCESSES_MAX + 1) {
            assert!(Crew::hire(more, None).is_err());
            assert!(Crew::hire(most + 1, Some(1)).is_err());
        }
    }
}
