//! Which event is published when, and to which topic: the same for every subject, and known to
//! the client that checks.
//!
//! Without topics of their own all clients get every event. With topics a round is one event to
//! the topic that all share, and then `singles` events to topics of the others: each has its turn
//! once in as many events as there are topics, in a scattered order.

use crate::load::Load;

/// Event numbers of a topic that is not shared begin here, so that they differ from those of the
/// shared one, and those of every topic from each other's.
const OWN: u64 = 1 << 52;
/// Numbers of one topic, as a power of two: more than the events of a run.
const TOPIC_BITS: u32 = 24;

/// The events of a run, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    rounds: u64,
    singles: u64,
    topics: u64,
    /// From one topic to the next: has no divisor in common with `topics`.
    stride: u64,
    /// Nanoseconds from one event to the next; 0 is no pause.
    interval_ns: f64,
}

/// One event that is to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// To this topic; `None` is the shared one.
    pub(crate) topic: Option<usize>,
    /// The number in its data.
    pub(crate) number: u64,
}

impl Schedule {
    /// The schedule of a load.
    pub(crate) fn new(load: &Load) -> Self {
        let (singles, topics) = (load.singles, load.topics as u64);
        let interval_ns =
            if load.rate > 0.0 { 1e9 / (load.rate * (singles + 1) as f64) } else { 0.0 };
        Self { rounds: load.events, singles, topics, stride: stride(topics), interval_ns }
    }

    /// How many events there are, to all topics.
    pub(crate) fn len(&self) -> u64 {
        self.rounds * (self.singles + 1)
    }

    /// How many events come to the topic that all share.
    pub(crate) fn shared(&self) -> u64 {
        self.rounds
    }

    /// The event at a position of the order.
    pub(crate) fn planned(&self, place: u64) -> Planned {
        let (round, in_round) = (place / (self.singles + 1), place % (self.singles + 1));
        match in_round.checked_sub(1) {
            None => Planned { topic: None, number: round },
            Some(single) => {
                let turn = round * self.singles + single;
                let topic = self.topic_of(turn);
                Planned { topic: Some(topic), number: first_of(topic) + turn / self.topics }
            }
        }
    }

    fn topic_of(&self, turn: u64) -> usize {
        (turn % self.topics * self.stride % self.topics) as usize
    }

    /// When the event at a position is to be published: at once if there is no pace.
    pub(crate) fn due_ns(&self, begun_at_ns: u64, place: u64) -> u64 {
        begun_at_ns + (place as f64 * self.interval_ns) as u64
    }

    /// How many events come to each topic that is not shared.
    pub(crate) fn by_topic(&self) -> Vec<u64> {
        let mut counts = vec![0; self.topics as usize];
        for turn in 0..self.rounds * self.singles {
            counts[self.topic_of(turn)] += 1;
        }
        counts
    }
}

/// Finds the position of an event in the order of all by its number.
#[derive(Debug)]
pub(crate) struct Positions {
    schedule: Schedule,
    /// For each topic, in which turn of a cycle through all topics it comes.
    turns: Vec<u64>,
}

impl Positions {
    /// Those of a schedule with topics.
    pub(crate) fn new(schedule: Schedule) -> Self {
        let mut turns = vec![0; schedule.topics as usize];
        for turn in 0..schedule.topics {
            turns[schedule.topic_of(turn)] = turn;
        }
        Self { schedule, turns }
    }

    /// Topic (`None` is the shared one) and position of the event with a number; `None` if there is
    /// no such event.
    pub(crate) fn find(&self, number: u64) -> Option<(Option<usize>, u64)> {
        let Schedule { rounds, singles, topics, .. } = self.schedule;
        let Some(own) = number.checked_sub(OWN) else {
            return (number < rounds).then(|| (None, number * (singles + 1)));
        };
        let topic = (own >> TOPIC_BITS) as usize;
        let cycle = own & ((1 << TOPIC_BITS) - 1);
        let turn = cycle * topics + self.turns.get(topic)?;
        let place = turn / singles * (singles + 1) + 1 + turn % singles;
        (turn < rounds * singles).then_some((Some(topic), place))
    }
}

/// Number of the first event of a topic that is not shared.
pub(crate) fn first_of(topic: usize) -> u64 {
    OWN + ((topic as u64) << TOPIC_BITS)
}

/// Whether a number is one of a topic that is not shared.
pub(crate) fn is_own(number: u64) -> bool {
    number >= OWN
}

/// The path of the stream of the shared topic and of another, made of that of the shared one.
pub(crate) fn path_with_topic(path: &str, topic: usize) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}topic={}", topic_name(topic))
}

/// The name of a topic that is not shared.
pub(crate) fn topic_name(topic: usize) -> String {
    format!("t{topic}")
}

/// A step that comes by every topic before it comes by one again.
fn stride(topics: u64) -> u64 {
    let golden = (topics as f64 * 0.618) as u64;
    // 1 has no divisor in common with any number, so this ends.
    (1..=golden).rev().find(|stride| gcd(*stride, topics) == 1).unwrap_or(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::load::{Settings, TOPICS_MAX};

    fn schedule(text: &str) -> Schedule {
        let settings = Settings::from_map(serde_json::from_str(text).unwrap()).unwrap();
        Schedule::new(&settings.load().unwrap())
    }

    #[test]
    fn every_topic_has_its_turn_and_its_numbers_follow_one_another() {
        for topics in [1, 2, 7, 10, 12, 100] {
            let schedule =
                schedule(&format!(r#"{{"events": 30, "topics": {topics}, "singles": 11}}"#));
            let positions = Positions::new(schedule);
            let mut next: HashMap<Option<usize>, u64> = HashMap::new();
            for place in 0..schedule.len() {
                let Planned { topic, number } = schedule.planned(place);
                assert_eq!(positions.find(number), Some((topic, place)));
                let next = next.entry(topic).or_insert(topic.map_or(0, first_of));
                assert_eq!((number, topic.is_some()), (*next, is_own(number)));
                *next += 1;
            }
            assert_eq!(next[&None], schedule.shared());
            assert_eq!(positions.find(next[&None]), None);
            assert_eq!(positions.find(first_of(topics as usize)), None);
            assert_eq!(positions.find(next[&Some(0)]), None);
            let counts = schedule.by_topic();
            assert_eq!(counts.iter().sum::<u64>(), 330);
            for (topic, count) in counts.into_iter().enumerate() {
                assert_eq!(next.get(&Some(topic)).map_or(0, |n| n - first_of(topic)), count);
                assert!(count.abs_diff(330 / topics) <= 1);
            }
        }
    }

    #[test]
    fn without_topics_of_their_own_all_get_all_at_the_rate() {
        let schedule = schedule(r#"{"events": 5, "rate": 4}"#);
        let numbers: Vec<_> = (0..schedule.len()).map(|place| schedule.planned(place)).collect();
        assert_eq!(numbers[4], Planned { topic: None, number: 4 });
        assert_eq!((numbers.len(), schedule.due_ns(7, 4)), (5, 1_000_000_007));
    }

    #[test]
    fn the_greatest_number_is_one_that_the_client_believes() {
        assert!(first_of(TOPICS_MAX) < 1 << 53);
        assert_eq!(path_with_topic("/e?topic=all", 3), "/e?topic=all&topic=t3");
        assert_eq!(path_with_topic("/e", 3), "/e?topic=t3");
    }
}
