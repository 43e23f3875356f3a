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

/// Where a node's order begins. Its numbers are those of the cluster's stream.
#[cfg_attr(not(feature = "cluster"), allow(dead_code, reason = "a cluster's nodes alone use it"))]
pub(crate) struct Base {
    pub(crate) epoch: Epoch,
    /// The earlier lives.
    pub(crate) lives: Vec<Life>,
    /// The number of the first item that will be applied. What was before it is not known.
    pub(crate) first: u64,
    /// Clients with a number before this one may lack what other nodes had.
    pub(crate) doubtful_to: u64,
}

/// What a node of a cluster lacks of earlier lives, when another one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "cluster"), allow(dead_code, reason = "a cluster's nodes alone use it"))]
pub(crate) enum Lacks {
    Nothing,
    /// Items behind the last one that it has, up to a number.
    Behind {
        to: u64,
    },
    /// Perhaps items between those that it has.
    Anything,
}

/// The earlier lives that are known, in their order: none, if the hub has no journal.
#[derive(Debug, Default)]
pub(super) struct Lives {
    earlier: Vec<Life>,
    doubts: Vec<Doubt>,
    /// How far a number may be behind the newest one and yet say no more than that: in a cluster each node has
    /// numbers of its own between two items.
    slack: u64,
}

/// Numbers of which an id does not say that its client had everything before it: of a cluster's nodes some lacked
/// what others had, and clients of the former may have come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Doubt {
    /// The first of them, and the first behind them.
    from: u64,
    to: u64,
}

/// What a client may lack that was published and is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// The last number that was lost, as far as it is known.
    pub(super) to: u64,
    /// Whether nothing is lost that was before the client's number.
    pub(super) is_behind: bool,
}

/// What the id of a client that comes back says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The client had all up to this number, but for what is lost.
    Had(u64, Option<Loss>),
    /// The event is lost. The client goes on after the number.
    Lost(u64, Loss),
    /// It is no id of a life that is known.
    Unknown,
}

impl Lives {
    pub(super) fn new(mut earlier: Vec<Life>) -> Lives {
        let excess = earlier.len().saturating_sub(LIVES_MAX);
        earlier.drain(..excess);
        Lives { earlier, ..Lives::default() }
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

    /// Notes that clients with numbers from the first one on, and before the second, may lack something.
    #[cfg_attr(
        not(feature = "cluster"),
        allow(dead_code, reason = "a cluster's nodes alone use it")
    )]
    pub(super) fn doubt(&mut self, from: u64, to: u64) {
        if self.doubts.len() == LIVES_MAX {
            // The two oldest become one: some are told who lack nothing.
            let first = self.doubts.remove(0);
            let second = &mut self.doubts[0];
            let (from, to) = (first.from.min(second.from), first.to.max(second.to));
            *second = Doubt { from, to };
        }
        self.doubts.push(Doubt { from, to });
    }

    /// What an id says, when `newest` is the newest one of this life.
    pub(super) fn look_up(&self, id: EventId, newest: EventId) -> Known {
        let is_of_this_life = id.epoch == newest.epoch;
        let last = match self.earlier.iter().rfind(|life| life.epoch == id.epoch) {
            _ if is_of_this_life => newest.sequence | self.slack,
            Some(life) => life.last,
            None => return Known::Unknown,
        };
        match id.sequence <= last {
            true => {
                let had = id.sequence.min(newest.sequence);
                Known::Had(had, self.lost_after(had))
            }
            // This life has lost nothing: an id beyond its last number is an invention.
            false if is_of_this_life => Known::Unknown,
            false => {
                let nothing = Loss { to: last, is_behind: true };
                Known::Lost(last, self.lost_after(last).unwrap_or(nothing))
            }
        }
    }

    /// What a client may lack that had all up to a number.
    pub(super) fn lost_after(&self, number: u64) -> Option<Loss> {
        // Another node of a cluster may have had more of a life than this one.
        let is_within = |life: &Life| self.slack > 0 && life.lost_to > Some(number);
        let ended = self.earlier.iter().filter(|life| life.last >= number || is_within(life));
        let behind = ended.filter_map(|life| life.lost_to).max();
        let doubts = self.doubts.iter().filter(|doubt| (doubt.from..doubt.to).contains(&number));
        let doubtful = doubts.map(|doubt| doubt.to).max();
        let to = behind.max(doubtful)?;
        Some(Loss { to, is_behind: doubtful.is_none() })
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
        let behind = |to| Loss { to, is_behind: true };
        assert_eq!(known(a, 700), Known::Had(700, Some(behind(905))));
        assert_eq!(known(a, 900), Known::Had(900, Some(behind(905))));
        assert_eq!(known(a, 903), Known::Lost(900, behind(905)));
        assert_eq!(known(b, 903), Known::Had(903, None), "it was told of the hole");
        assert_eq!(
            known(b, 1_001),
            Known::Lost(1_000, behind(1_000)),
            "more than is known was lost"
        );
        assert_eq!(known(c, 1_200), Known::Had(1_200, None));
        assert_eq!(
            known(c, 800),
            Known::Had(800, Some(behind(905))),
            "a heartbeat may have said so"
        );
        assert_eq!(known(c, 1_201), Known::Unknown);
        assert_eq!(known(Epoch::random(), 5), Known::Unknown);
    }
    #[test]
    fn a_client_that_had_more_of_a_life_than_this_node_is_told_in_the_next_one_as_well() {
        let [a, b] = [(); 2].map(|()| Epoch::random());
        let ended = Life { epoch: a, last: 900, lost_to: Some(960) };
        let lives = Lives::of_cluster(vec![ended], 16);
        let newest = EventId { epoch: b, sequence: 5_000 };
        let known = |sequence| lives.look_up(EventId { epoch: b, sequence }, newest);
        let loss = Some(Loss { to: 960, is_behind: true });
        // It was sent an id of this life for a number of the life before, by a gap event.
        assert_eq!([known(900), known(912)], [Known::Had(900, loss), Known::Had(912, loss)]);
        assert_eq!(known(960), Known::Had(960, None), "it had all of it");
    }

    #[test]
    fn numbers_of_which_a_client_may_have_had_less_are_told_and_their_number_is_bounded() {
        let newest = EventId { epoch: Epoch::random(), sequence: 10_000_000 };
        let mut lives = Lives::default();
        lives.doubt(10, 20);
        let known = |lives: &Lives, sequence| lives.look_up(EventId { sequence, ..newest }, newest);
        assert_eq!(known(&lives, 9), Known::Had(9, None));
        let doubt = Loss { to: 20, is_behind: false };
        assert_eq!(known(&lives, 10), Known::Had(10, Some(doubt)));
        assert_eq!(known(&lives, 19), Known::Had(19, Some(doubt)));
        assert_eq!(known(&lives, 20), Known::Had(20, None));
        lives.doubt(0, 15);
        assert_eq!(known(&lives, 5), Known::Had(5, Some(Loss { to: 15, is_behind: false })));
        assert_eq!(known(&lives, 12), Known::Had(12, Some(doubt)));
        for number in 0..LIVES_MAX as u64 {
            lives.doubt(1_000 + 10 * number, 1_005 + 10 * number);
        }
        assert_eq!(lives.doubts.len(), LIVES_MAX);
        let told = |number| matches!(known(&lives, number), Known::Had(_, Some(_)));
        assert!(told(0) && told(19) && told(1_000), "what was in doubt stays so");
        assert!(told(1_014) && !told(1_015), "and of what is younger no more");
    }
}
