//! The newest events of one topic, which are kept for clients that come back.
//!
//! ```text
//!    forgotten          kept, in order
//!   ............ [ 17 | 21 | 22 | 30 | 31 ]
//!          `to               `after(21): a binary search
//! ```

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::published::EVENT_BYTES;
use super::totals::Totals;
use crate::frame::Frame;

/// About what a topic with kept events takes besides these, or one that is held without any.
const TOPIC_BYTES: usize = 512;

/// The events of one topic that are kept, in the order of their sequence numbers.
#[derive(Default)]
pub(super) struct History {
    events: VecDeque<Kept>,
    bytes: usize,
    /// Whether the topic counts also without kept events.
    is_held: bool,
    /// The number of the topic's rule.
    rule: u32,
    /// How many of the events are of several topics.
    shared: usize,
    forgotten: ForgottenOfTopic,
    /// Only for a topic with custom ids.
    custom_ids: Option<Box<CustomIds>>,
}

/// An event that is kept.
pub(super) struct Kept {
    pub(super) frame: Frame,
    /// The frame's, copied: a search in a history then reads no frame, each of which is likely not
    /// to be in the processor's cache.
    sequence: u64,
    /// When it was published, in nanoseconds since the hub's start.
    pub(super) at_ns: u64,
    /// Copied as well, so that it can be forgotten without a look at the frame: another processor may
    /// have that in its cache.
    bytes: u32,
    /// The index of its list if it is of several topics, or [`NO_LIST`].
    list: u32,
}

/// The list of an event of one topic.
const NO_LIST: u32 = u32::MAX;

/// What is known of the events of a topic that it does not keep any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ForgottenOfTopic {
    /// The events of this topic alone. No two topics have such an event in common.
    pub(super) own: Forgotten,
    /// The events that were published to other topics too, which these may keep.
    pub(super) shared: Forgotten,
}

/// What is known of events of one kind that are not kept any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forgotten {
    /// The sequence number of the newest of them; zero if there are none.
    pub(super) to: u64,
    /// The sequence number of the oldest of them and how many they are; `None` if that is not
    /// known.
    pub(super) known: Option<(u64, u64)>,
}

/// An event that was forgotten.
pub(super) enum Oldest {
    /// Of the topic alone.
    Own,
    /// Of several topics, with its sequence number and the index of its list.
    Shared(u64, u32),
}

/// Finds events by the ids that their publishers gave.
#[derive(Default)]
struct CustomIds {
    /// The sequence number of the newest event of each id.
    sequences: HashMap<Arc<str>, u64>,
    /// The ids in the order of their events.
    ids: VecDeque<(u64, Arc<str>)>,
}

impl History {
    /// The history of a topic of which nothing is kept, and this is known.
    pub(super) fn after_forgetting(forgotten: ForgottenOfTopic) -> History {
        History { forgotten, ..History::default() }
    }

    /// Notes what was forgotten before all events of this history.
    pub(super) fn restore_forgotten(&mut self, forgotten: ForgottenOfTopic) {
        debug_assert!(self.events.is_empty(), "these come first");
        self.forgotten = forgotten;
    }

    /// Appends an event, the newest of all.
    #[inline(always)]
    pub(super) fn push(&mut self, kept: Kept, totals: &mut Totals) {
        let bytes = kept.bytes();
        self.bytes += bytes;
        totals.add(self.rule, 1, bytes + usize::from(!self.counts()) * TOPIC_BYTES);
        self.shared += usize::from(kept.list != NO_LIST);
        if let Some(id) = kept.frame.custom_id() {
            self.custom_ids.get_or_insert_default().push(id, kept.sequence);
        }
        self.events.push_back(kept);
    }

    /// Forgets the oldest event, and returns its frame as well; `None` if there is no event.
    pub(super) fn forget_oldest(&mut self, totals: &mut Totals) -> Option<(Oldest, Frame)> {
        let oldest = self.drop_oldest()?;
        let list = Some(oldest.list).filter(|&list| list != NO_LIST);
        let forgotten = match list {
            None => &mut self.forgotten.own,
            Some(_) => &mut self.forgotten.shared,
        };
        forgotten.note(oldest.sequence);
        self.shared -= usize::from(list.is_some());
        let bytes = oldest.bytes();
        self.bytes -= bytes;
        totals.subtract(self.rule, 1, bytes + usize::from(!self.counts()) * TOPIC_BYTES);
        totals.forget(1, oldest.sequence);
        let forgotten = match list {
            None => Oldest::Own,
            Some(list) => Oldest::Shared(oldest.sequence, list),
        };
        Some((forgotten, oldest.frame))
    }

    /// Forgets all events at once, however many there are, and returns a history that has them: it
    /// counts nowhere, and is dropped event by event with [`History::drop_oldest`]. `None` if there
    /// are no events. None of them may be of several topics: these are forgotten one by one.
    pub(super) fn forget_all(&mut self, totals: &mut Totals) -> Option<History> {
        debug_assert_eq!(self.shared, 0, "their lists have to know");
        let (count, newest) = (self.events.len(), self.newest());
        let first = self.events.front()?.sequence;
        let mut forgotten = self.forgotten;
        forgotten.own.add(first, count as u64, newest);
        let topic_bytes = usize::from(!self.is_held) * TOPIC_BYTES;
        totals.subtract(self.rule, count, self.bytes + topic_bytes);
        totals.forget(count as u64, newest);
        let History { is_held, rule, .. } = *self;
        let empty = History { is_held, rule, ..History::after_forgetting(forgotten) };
        Some(std::mem::replace(self, empty))
    }

    /// Takes the oldest event, without a count of it.
    #[inline]
    pub(super) fn drop_oldest(&mut self) -> Option<Kept> {
        let oldest = self.events.pop_front()?;
        if let Some(custom_ids) = &mut self.custom_ids {
            custom_ids.forget_to(oldest.sequence);
        }
        if self.events.capacity() > 64 && self.events.len() < self.events.capacity() / 4 {
            self.events.shrink_to(self.events.len() * 2);
        }
        Some(oldest)
    }

    /// Has the topic count although none of its events may be kept, or no longer.
    pub(super) fn hold(&mut self, is_held: bool, totals: &mut Totals) {
        let counted = self.counts();
        self.is_held = is_held;
        match (counted, self.counts()) {
            (false, true) => totals.add(self.rule, 0, TOPIC_BYTES),
            (true, false) => totals.subtract(self.rule, 0, TOPIC_BYTES),
            _ => {}
        }
    }

    /// The number of the topic's rule.
    #[inline]
    pub(super) fn rule(&self) -> u32 {
        self.rule
    }

    /// Gives the topic another rule.
    pub(super) fn set_rule(&mut self, rule: u32, totals: &mut Totals) {
        let bytes = self.bytes + usize::from(self.counts()) * TOPIC_BYTES;
        totals.subtract(self.rule, self.events.len(), bytes);
        totals.add(rule, self.events.len(), bytes);
        self.rule = rule;
    }

    /// Whether the topic counts with [`TOPIC_BYTES`].
    fn counts(&self) -> bool {
        self.is_held || !self.events.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// How many of the kept events are of several topics.
    #[inline]
    pub(super) fn shared(&self) -> usize {
        self.shared
    }

    /// What keeping the events takes: their bytes, and [`EVENT_BYTES`] for each.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn forgotten(&self) -> ForgottenOfTopic {
        self.forgotten
    }

    /// The sequence number of the newest event, kept or forgotten; zero if there was none.
    pub(super) fn newest(&self) -> u64 {
        self.events.back().map_or_else(|| self.forgotten.to(), |newest| newest.sequence)
    }

    /// The sequence number of the oldest kept event.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.events.front().map(|oldest| oldest.sequence)
    }

    /// When the oldest of the kept events was published, in nanoseconds since the hub's start.
    pub(super) fn oldest_ns(&self) -> Option<u64> {
        self.events.front().map(|kept| kept.at_ns)
    }

    /// The kept events after a sequence number, by their positions counted from the oldest.
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

    /// The kept event of a sequence number, and the sequence number of the topic's next event, if
    /// there is one. Usually the event is the oldest or the newest, which are not searched for.
    pub(super) fn find_sequence(&self, sequence: u64) -> Option<(&Kept, Option<u64>)> {
        let is_first = self.events.front().is_some_and(|kept| kept.sequence == sequence);
        let nth = match is_first {
            true => 0,
            false if self.newest() == sequence => self.events.len().checked_sub(1)?,
            false => self.events.binary_search_by_key(&sequence, |kept| kept.sequence).ok()?,
        };
        Some((&self.events[nth], self.events.get(nth + 1).map(|next| next.sequence)))
    }

    /// Whether the oldest kept event has this sequence number or a lower one: then no event from it
    /// on was forgotten.
    pub(super) fn keeps_from(&self, sequence: u64) -> bool {
        self.events.front().is_some_and(|oldest| oldest.sequence <= sequence)
    }

    /// The sequence number of the newest event with an id that its publisher gave.
    pub(super) fn find(&self, custom_id: &str) -> Option<u64> {
        self.custom_ids.as_ref()?.sequences.get(custom_id).copied()
    }
}

impl Kept {
    pub(super) fn new(frame: Frame) -> Kept {
        let (sequence, at_ns) = (frame.sequence(), frame.at_ns());
        // A frame's size is within 32 bits (`EVENT_BYTES_MAX`).
        let (bytes, list) = (frame.plain().len() as u32, frame.list().unwrap_or(NO_LIST));
        Kept { frame, sequence, at_ns, bytes, list }
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    fn bytes(&self) -> usize {
        self.bytes as usize + EVENT_BYTES
    }
}

impl ForgottenOfTopic {
    /// The sequence number of the newest of them; zero if there are none.
    pub(super) fn to(&self) -> u64 {
        self.own.to.max(self.shared.to)
    }
}

impl Forgotten {
    /// One event.
    pub(super) fn one(sequence: u64) -> Forgotten {
        Forgotten { to: sequence, known: Some((sequence, 1)) }
    }

    /// Adds an event, the newest of them.
    #[inline]
    pub(super) fn note(&mut self, sequence: u64) {
        self.add(sequence, 1, sequence);
    }

    /// Adds the oldest events that are kept: `count` of them, with the first and the last of these
    /// sequence numbers.
    #[inline]
    fn add(&mut self, first: u64, count: u64, last: u64) {
        let (oldest, before) = self.known.unwrap_or((first, 0));
        if self.to == 0 || self.known.is_some() {
            self.known = Some((oldest, before + count));
        }
        self.to = last;
    }

    /// Whether one of them has a higher sequence number than this one.
    pub(super) fn is_after(&self, sequence: u64) -> bool {
        self.to > sequence
    }

    /// How many of them have a higher sequence number than this one, if that is known.
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
        while let Some((oldest, id)) = self.ids.front().filter(|(first, _)| *first <= sequence) {
            // A newer event may have the same id.
            if self.sequences.get(id) == Some(oldest) {
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
        Kept::new(draft.stamp(Epoch::random(), sequence, sequence * 10))
    }

    #[test]
    fn positions_are_found_between_events_and_before_what_is_forgotten() {
        let (mut history, mut totals) = (History::default(), Totals::default());
        [17, 21, 22, 30]
            .into_iter()
            .for_each(|sequence| history.push(kept(sequence, None), &mut totals));
        assert_eq!(history.after(0), 0..4);
        assert_eq!(history.after(20), 1..4);
        assert_eq!(history.after(21), 2..4);
        assert_eq!(history.after(30), 4..4);
        _ = history.forget_oldest(&mut totals);
        assert_eq!((history.after(0), history.oldest_ns()), (0..3, Some(210)));
        (0..3).for_each(|_| _ = history.forget_oldest(&mut totals));
        assert_eq!((history.newest(), history.after(0)), (30, 0..0));
    }

    #[test]
    fn all_events_are_forgotten_at_once_as_one_after_another() {
        for already in 0..4 {
            let [mut at_once, mut in_turn] = [(); 2].map(|()| {
                let (mut history, mut totals) = (History::default(), Totals::default());
                for sequence in [17, 21, 22, 30] {
                    history.push(kept(sequence, Some("id")), &mut totals);
                }
                (0..already).for_each(|_| _ = history.forget_oldest(&mut totals));
                (history, totals)
            });
            while in_turn.0.forget_oldest(&mut in_turn.1).is_some() {}
            let mut forgotten = at_once.0.forget_all(&mut at_once.1).expect("some are kept");
            assert_eq!((at_once.0.len(), at_once.0.bytes(), at_once.0.find("id")), (0, 0, None));
            assert_eq!((at_once.0.forgotten(), at_once.1), (in_turn.0.forgotten(), in_turn.1));
            assert_eq!(std::iter::from_fn(|| forgotten.drop_oldest()).count(), 4 - already);
            assert!(at_once.0.forget_all(&mut Totals::default()).is_none());
        }
    }

    #[test]
    fn a_topic_that_is_held_counts_once_with_and_without_events() {
        let (mut history, mut totals) = (History::default(), Totals::default());
        history.hold(true, &mut totals);
        history.push(kept(1, None), &mut totals);
        assert_eq!(totals.kept_bytes(), TOPIC_BYTES + history.bytes());
        history.forget_oldest(&mut totals);
        assert_eq!(totals.kept_bytes(), TOPIC_BYTES);
        history.push(kept(2, None), &mut totals);
        history.hold(false, &mut totals);
        assert_eq!(totals.kept_bytes(), TOPIC_BYTES + history.bytes());
        history.hold(true, &mut totals);
        drop(history.forget_all(&mut totals));
        history.hold(false, &mut totals);
        assert_eq!((totals.kept_bytes(), totals.kept_events()), (0, 0));
    }

    #[test]
    fn the_number_of_missing_events_is_known_for_a_client_that_had_none_or_all_of_them() {
        let (mut history, mut totals) = (History::default(), Totals::default());
        [17, 21, 22, 30]
            .into_iter()
            .for_each(|sequence| history.push(kept(sequence, None), &mut totals));
        (0..3).for_each(|_| _ = history.forget_oldest(&mut totals));
        let forgotten = history.forgotten().own;
        assert_eq!((forgotten.count_after(16), forgotten.count_after(0)), (Some(3), Some(3)));
        assert_eq!((forgotten.count_after(17), forgotten.count_after(22)), (None, Some(0)));
        assert!(forgotten.is_after(21) && !forgotten.is_after(22));
        // Once the oldest is not known, the count is not known for any later event either.
        let own = Forgotten { to: 5, known: None };
        let unknown = ForgottenOfTopic { own, ..ForgottenOfTopic::default() };
        let mut history = History::after_forgetting(unknown);
        history.push(kept(40, None), &mut totals);
        history.forget_oldest(&mut totals);
        assert_eq!(history.forgotten().own, Forgotten { to: 40, known: None });
    }

    #[test]
    fn custom_ids_name_the_newest_of_their_events_until_it_is_forgotten() {
        let (mut history, mut totals) = (History::default(), Totals::default());
        history.push(kept(1, Some("a")), &mut totals);
        history.push(kept(2, None), &mut totals);
        history.push(kept(3, Some("b")), &mut totals);
        history.push(kept(4, Some("a")), &mut totals);
        assert_eq!(
            (history.find("a"), history.find("b"), history.find("c")),
            (Some(4), Some(3), None)
        );
        history.forget_oldest(&mut totals);
        assert_eq!(history.find("a"), Some(4));
        (0..3).for_each(|_| _ = history.forget_oldest(&mut totals));
        assert_eq!((history.find("a"), history.find("b")), (None, None));
        assert_eq!((history.len(), history.bytes()), (0, 0));
        assert!(history.custom_ids.unwrap().ids.is_empty());
    }
}
