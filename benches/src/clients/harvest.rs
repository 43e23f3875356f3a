//! What one class of connections received, in one process or in several together.

use serde::{Deserialize, Serialize};

use crate::clients::follower::{Class, Faults, Totals};
use crate::histogram::Histogram;
use crate::timeline::Timeline;

/// All that is known of a class when a run is over.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Harvest {
    pub(crate) totals: Totals,
    pub(crate) faults: Faults,
    /// Publish to receive, every delivery.
    pub(crate) latency: Histogram,
    /// When the events arrived.
    pub(crate) timeline: Timeline,
    /// When the first event was published, `CLOCK_MONOTONIC`, in nanoseconds.
    pub(crate) first_stamp_ns: Option<u64>,
    /// How many events each connection received; `None` without connections.
    pub(crate) received: Option<Received>,
}

/// How many events single connections received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Received {
    /// What the connection with the fewest received.
    pub(crate) fewest: u64,
    /// What the connection with the most received.
    pub(crate) most: u64,
}

impl Harvest {
    /// What the class's connections received, of which `each` gives the events of every single one.
    pub(crate) fn of(class: &Class, each: impl Iterator<Item = u64>) -> Self {
        let ones = each.map(|events| Received { fewest: events, most: events });
        Self {
            totals: class.totals,
            faults: class.faults,
            latency: class.latency.clone(),
            timeline: class.timeline.clone(),
            first_stamp_ns: class.first_stamp_ns(),
            received: ones.reduce(Received::join),
        }
    }

    /// Adds what another process, or another class, received.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.totals.merge(&other.totals);
        self.faults.merge(&other.faults);
        self.latency.merge(&other.latency);
        self.timeline.merge(&other.timeline);
        self.first_stamp_ns = self.first_stamp_ns.into_iter().chain(other.first_stamp_ns).min();
        self.received = self.received.into_iter().chain(other.received).reduce(Received::join);
    }
}

impl Received {
    fn join(self, other: Self) -> Self {
        Self { fewest: self.fewest.min(other.fewest), most: self.most.max(other.most) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harvests_of_several_processes_add_up() {
        let mut class = Class::default();
        class.totals.delivered = 10;
        class.faults.lost = 1;
        class.latency.record(500);
        class.timeline.add(1_000_000, 10);
        let mut all = Harvest::of(&class, [4, 6].into_iter());
        class.latency.record(90_000);
        all.merge(&Harvest::of(&class, [3].into_iter()));
        all.merge(&Harvest::default());
        assert_eq!((all.totals.delivered, all.faults.lost, all.latency.total()), (20, 2, 3));
        assert_eq!(all.received, Some(Received { fewest: 3, most: 6 }));
        assert_eq!(all.first_stamp_ns, None);
        let text = serde_json::to_string(&all).unwrap();
        let read: Harvest = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{read:?}"), format!("{all:?}"));
    }
}
