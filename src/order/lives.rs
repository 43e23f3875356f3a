//! The lives of a hub whose events outlive its process. Each start begins a life with an epoch of its own, and
//! with numbers above all those of earlier lives. So an id of an earlier life says which event it
//! was, unless the event was lost with the end of that life.
//!
//! ```text
//!   life a                                  life b
//!   1 ... 900 | 901 ... 905 are lost        906 ... now
//!          `last      `lost_to
//!
//!   a-700    the client had all up to 700: it is sent what is kept behind it, and told of the hole
//!   a-903    the client had an event that is lost: it is told so, and goes on with 906
//! ```

use crate::id::{Epoch, EventId};

/// The most earlier lives that are known. An id of one before them is that of a hub that was restarted.
const LIVES_MAX: usize = 1024;

/// An earlier life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) epoch: Epoch,
    /// Its last number that is not lost.
    pub(crate) last: u64,
    /// If what came after it was lost: the last number of that, as far as it is known.
    pub(crate) lost_to: Option<u64>,
}

/// The earlier lives that are known, in their order: none, if the hub has no journal.
#[derive(Debug, Default)]
pub(super) struct Lives {
    earlier: Vec<Life>,
    /// How far a number may be behind the newest one and yet say no more than that: in a cluster each node has
    /// numbers of its own between two items.
    slack: u64,
}

/// What the id of a client that comes back says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The client had all up to this number; the second is the last that was lost after it, if any was.
    Had(u64, Option<u64>),
    /// The event is lost. The client goes on after the first number; the second is the last that was
    /// lost.
    Lost(u64, u64),
    /// It is no id of a life that is known.
    Unknown,
}

impl Lives {
    pub(super) fn new(mut earlier: Vec<Life>) -> Lives {
        let excess = earlier.len().saturating_sub(LIVES_MAX);
        earlier.drain(..excess);
        Lives { earlier, slack: 0 }
    }

    /// Those of an order whose items are so many numbers apart.
    pub(super) fn of_cluster(earlier: Vec<Life>, numbers_per_item: u64) -> Lives {
        Lives { slack: numbers_per_item - 1, ..Lives::new(earlier) }
    }

    /// Adds a life that has ended, or a part of this one behind which something is lost.
    #[cfg_attr(
        not(feature = "cluster"),
        allow(dead_code, reason = "a cluster's nodes alone use it")
    )]
    pub(super) fn add(&mut self, life: Life) {
        if self.earlier.len() == LIVES_MAX {
            self.earlier.remove(0);
        }
        self.earlier.push(life);
    }

    /// What an id says, when `newest` is the newest one of this life.
    pub(super) fn look_up(&self, id: EventId, newest: EventId) -> Known {
        let is_of_this_life = id.epoch == newest.epoch;
        let last = match self.earlier.iter().rfind(|life| life.epoch == id.epoch) {
            _ if is_of_this_life => newest.sequence | self.slack,
            Some(life) => life.last,
            None => return Known::Unknown,
        };
        let lost_after = |number: u64| {
            let lost = self.earlier.iter().filter(|life| life.last >= number);
            lost.filter_map(|life| life.lost_to).max()
        };
        match id.sequence <= last {
            true => {
                let had = id.sequence.min(newest.sequence);
                Known::Had(had, lost_after(had))
            }
            // This life has lost nothing: an id beyond its last number is an invention.
            false if is_of_this_life => Known::Unknown,
            false => Known::Lost(last, lost_after(last).unwrap_or(last)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_each_life_says_what_its_client_had() {
        let [a, b, c] = [(); 3].map(|()| Epoch::random());
        let life = |epoch, last, lost_to| Life { epoch, last, lost_to };
        let lives = Lives::new(vec![life(a, 900, Some(905)), life(b, 1_000, None)]);
        let newest = EventId { epoch: c, sequence: 1_200 };
        let known = |epoch, sequence| lives.look_up(EventId { epoch, sequence }, newest);
        assert_eq!(known(a, 700), Known::Had(700, Some(905)));
        assert_eq!(known(a, 900), Known::Had(900, Some(905)));
        assert_eq!(known(a, 903), Known::Lost(900, 905));
        assert_eq!(known(b, 903), Known::Had(903, None), "it was told of the hole");
        assert_eq!(known(b, 1_001), Known::Lost(1_000, 1_000), "more than is known was lost");
        assert_eq!(known(c, 1_200), Known::Had(1_200, None));
        assert_eq!(known(c, 800), Known::Had(800, Some(905)), "a heartbeat may have said so");
        assert_eq!(known(c, 1_201), Known::Unknown);
        assert_eq!(known(Epoch::random(), 5), Known::Unknown);
    }
}
