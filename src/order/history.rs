//! What is kept of one topic's past, for clients that come back.
//!
//! ```text
//!    forgotten          kept, in order
//!   ............ [ 17 | 21 | 22 | 30 | 31 ]
//!          `to               `after(21): a binary search
//! ```

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::log::EventLog;
use super::published::EVENT_BYTES;
use crate::frame::Frame;

/// One topic's events, as far as they are kept, by their place in the hub's order.
#[derive(Default)]
pub(super) struct History {
    events: VecDeque<Kept>,
    bytes: usize,
    forgotten: Forgotten,
    /// Only where publishers give ids of their own.
    custom_ids: Option<Box<CustomIds>>,
}

/// An event that is kept.
pub(super) struct Kept {
    pub(super) frame: Frame,
    pub(super) sequence: u64,
    /// When it was published, in nanoseconds since the hub's start.
    pub(super) at_ns: u64,
}

/// What is known of the events that are kept no longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forgotten {
    /// The sequence number of the last of them; zero when there is none.
    pub(super) to: u64,
    /// The first of them and how many there are, unless that is forgotten as well.
    pub(super) known: Option<(u64, u64)>,
}

/// Where to find events by the ids that their publishers gave them.
#[derive(Default)]
struct CustomIds {
    /// The newest event of each id.
    sequences: HashMap<Arc<str>, u64>,
    /// The ids in the order of their events.
    ids: VecDeque<(u64, Arc<str>)>,
}

impl History {
    /// The history of a topic of which only this is known.
    pub(super) fn after_forgetting(forgotten: Forgotten) -> History {
        History { forgotten, ..History::default() }
    }

    /// Takes the newest event, and returns the bytes that it takes.
    pub(super) fn push(&mut self, kept: Kept) -> usize {
        let bytes = kept.bytes();
        self.bytes += bytes;
        if let Some(id) = kept.frame.custom_id() {
            self.custom_ids.get_or_insert_default().push(id, kept.sequence);
        }
        self.events.push_back(kept);
        bytes
    }

    /// Keeps the oldest event no longer, and returns the bytes that it took. The hub's log keeps its
    /// entry, and no longer that of the event before.
    pub(super) fn forget_oldest(&mut self, log: &mut EventLog) -> usize {
        let Some(oldest) = self.events.pop_front() else { return 0 };
        if self.forgotten.to > 0 {
            log.release();
        }
        let (first, count) = self.forgotten.known.unwrap_or((oldest.sequence, 0));
        if self.forgotten.to == 0 || self.forgotten.known.is_some() {
            self.forgotten.known = Some((first, count + 1));
        }
        self.forgotten.to = oldest.sequence;
        if let Some(custom_ids) = &mut self.custom_ids {
            custom_ids.forget_to(oldest.sequence);
        }
        if self.events.capacity() > 64 && self.events.len() < self.events.capacity() / 4 {
            self.events.shrink_to(self.events.len() * 2);
        }
        self.bytes -= oldest.bytes();
        oldest.bytes()
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// What the events take, each with [`EVENT_BYTES`].
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn forgotten(&self) -> Forgotten {
        self.forgotten
    }

    /// The number of the newest event, whether it is kept or not; zero if there was none.
    pub(super) fn newest(&self) -> u64 {
        self.events.back().map_or(self.forgotten.to, |newest| newest.sequence)
    }

    /// When the oldest event that is kept was published.
    pub(super) fn oldest_ns(&self) -> Option<u64> {
        self.events.front().map(|kept| kept.at_ns)
    }

    /// Which of the kept events, counted from the oldest, come after a sequence number.
    pub(super) fn after(&self, sequence: u64) -> Range<usize> {
        let end = self.events.len();
        match self.newest() > sequence {
            true => self.events.partition_point(|kept| kept.sequence <= sequence)..end,
            false => end..end,
        }
    }

    pub(super) fn event(&self, nth: usize) -> Option<&Kept> {
        self.events.get(nth)
    }

    /// The event of a number, and the number of the next one, if that is kept. One of the two ends
    /// as a rule, where it is not searched for.
    pub(super) fn find_number(&self, number: u64) -> Option<(&Kept, Option<u64>)> {
        let is_first = self.events.front().is_some_and(|kept| kept.sequence == number);
        let nth = match is_first {
            true => 0,
            false if self.newest() == number => self.events.len().checked_sub(1)?,
            false => self.events.binary_search_by_key(&number, |kept| kept.sequence).ok()?,
        };
        Some((&self.events[nth], self.events.get(nth + 1).map(|next| next.sequence)))
    }

    /// Whether events from a number on are kept, as far as there are such.
    pub(super) fn keeps_from(&self, number: u64) -> bool {
        self.events.front().is_some_and(|oldest| oldest.sequence <= number)
    }

    /// The sequence number of the newest event with an id that its publisher gave it.
    pub(super) fn find(&self, custom_id: &str) -> Option<u64> {
        self.custom_ids.as_ref()?.sequences.get(custom_id).copied()
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        self.frame.plain().len() + EVENT_BYTES
    }
}

impl Forgotten {
    /// Whether an event after a sequence number is among them.
    pub(super) fn is_after(&self, sequence: u64) -> bool {
        self.to > sequence
    }

    /// How many of them come after a sequence number, as far as that is known.
    pub(super) fn count_after(&self, sequence: u64) -> Option<u64> {
        match self.known {
            _ if self.to <= sequence => Some(0),
            Some((first, count)) if sequence < first => Some(count),
            _ => None,
        }
    }
}

impl CustomIds {
    fn push(&mut self, id: &Arc<str>, sequence: u64) {
        self.sequences.insert(id.clone(), sequence);
        self.ids.push_back((sequence, id.clone()));
    }

    fn forget_to(&mut self, sequence: u64) {
        while let Some((own, id)) = self.ids.front().filter(|(own, _)| *own <= sequence) {
            // The id may be a newer event's by now.
            if self.sequences.get(id) == Some(own) {
                self.sequences.remove(id);
            }
            self.ids.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::frame::Draft;
    use crate::id::Epoch;

    fn kept(sequence: u64, custom_id: Option<&str>) -> Kept {
        let event = Event::new("x");
        let event = match custom_id {
            Some(id) => event.with_id(id),
            None => event,
        };
        let draft = Draft::encode(&event, 100).unwrap();
        Kept { frame: draft.stamp(Epoch::random(), sequence), sequence, at_ns: sequence * 10 }
    }

    #[test]
    fn a_place_is_found_between_events_and_before_what_is_forgotten() {
        let mut history = History::default();
        [17, 21, 22, 30].into_iter().for_each(|sequence| _ = history.push(kept(sequence, None)));
        assert_eq!(history.after(0), 0..4);
        assert_eq!(history.after(20), 1..4);
        assert_eq!(history.after(21), 2..4);
        assert_eq!(history.after(30), 4..4);
        history.forget_oldest(&mut EventLog::default());
        assert_eq!((history.after(0), history.oldest_ns()), (0..3, Some(210)));
        (0..3).for_each(|_| _ = history.forget_oldest(&mut EventLog::default()));
        assert_eq!((history.newest(), history.after(0)), (30, 0..0));
    }

    #[test]
    fn how_many_are_missing_is_known_to_who_had_none_and_to_who_had_all() {
        let mut history = History::default();
        [17, 21, 22, 30].into_iter().for_each(|sequence| _ = history.push(kept(sequence, None)));
        (0..3).for_each(|_| _ = history.forget_oldest(&mut EventLog::default()));
        let forgotten = history.forgotten();
        assert_eq!((forgotten.count_after(16), forgotten.count_after(0)), (Some(3), Some(3)));
        assert_eq!((forgotten.count_after(17), forgotten.count_after(22)), (None, Some(0)));
        assert!(forgotten.is_after(21) && !forgotten.is_after(22));
        // Of a topic whose beginnings are forgotten nothing is ever known again.
        let mut history = History::after_forgetting(Forgotten { to: 5, known: None });
        history.push(kept(40, None));
        history.forget_oldest(&mut EventLog::default());
        assert_eq!(history.forgotten(), Forgotten { to: 40, known: None });
    }

    #[test]
    fn custom_ids_name_the_newest_of_their_events_until_it_is_forgotten() {
        let mut history = History::default();
        history.push(kept(1, Some("a")));
        history.push(kept(2, None));
        history.push(kept(3, Some("b")));
        history.push(kept(4, Some("a")));
        assert_eq!(
            (history.find("a"), history.find("b"), history.find("c")),
            (Some(4), Some(3), None)
        );
        history.forget_oldest(&mut EventLog::default());
        assert_eq!(history.find("a"), Some(4));
        (0..3).for_each(|_| _ = history.forget_oldest(&mut EventLog::default()));
        assert_eq!((history.find("a"), history.find("b")), (None, None));
        assert_eq!((history.len(), history.bytes()), (0, 0));
        assert!(history.custom_ids.unwrap().ids.is_empty());
    }
}
