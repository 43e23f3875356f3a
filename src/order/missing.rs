//! What is not kept any more of what a client wants, and the gap that the client is told of.

use rustc_hash::FxHashSet;

use super::cursor::Cursor;
use super::event_log::TopicRef;
use super::history::Forgotten;
use super::topics::Logged;
use super::walk::{Past, Walk};
use super::wanted::{Matches, NamedTopics};
use crate::gap::{Gap, GapReason};
use crate::id::EventId;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Missing {
    /// The highest sequence number of a missing event; zero if none is missing.
    to: u64,
    /// How many events are missing, if that is known.
    count: Option<u64>,
    /// The sequence number of the first event that the client will get.
    first: Option<u64>,
    /// How many events of all topics were forgotten when a walk was last gone on with.
    forgotten_events: Option<u64>,
    /// Whether events were forgotten during the walk: some may be counted twice, or not at all.
    is_inexact: bool,
}

impl Missing {
    /// What is missing if no events are kept: perhaps everything. Nothing if events are kept.
    /// Events up to `told_to` do not count, here and below.
    pub(super) fn of_unkept(past: &Past<'_>, told_to: u64) -> Missing {
        let mut missing = Missing::default();
        if !past.topics.keeps_events() {
            missing.add(Forgotten { to: past.now, known: None }, told_to);
        }
        missing
    }

    /// What is missing of named topics for a client that has the events up to `after`. `None` if it
    /// has to be found by a walk: there are many lists of topics, and events of some may be
    /// missing.
    pub(super) fn of_named(
        past: &Past<'_>,
        named: &NamedTopics,
        after: u64,
        told_to: u64,
    ) -> Option<Missing> {
        let topics = past.topics;
        let mut missing = Missing::of_unkept(past, told_to);
        if topics.totals.forgotten_to() > told_to {
            missing.add_own(past, named, told_to);
            let shared_to = named.forgotten(topics).map(|forgotten| forgotten.shared.to).max();
            if shared_to > Some(told_to) {
                if named.tracked.len() + named.gone.len() == 1 {
                    let only = named.forgotten(topics);
                    only.for_each(|forgotten| missing.add(forgotten.shared, told_to));
                } else if topics.lists.topics() <= past.tuning.named_topics_max {
                    missing.add_lists(past, told_to);
                    missing.add_dropped(past, shared_to, told_to);
                } else {
                    return None;
                }
            }
        }
        if missing.to > 0 {
            let histories = named.tracked.iter().map(|&index| &topics.entry(index).history);
            let firsts = histories.filter_map(|history| {
                history.event(history.after(after).start).map(|kept| kept.sequence())
            });
            missing.first = firsts.min();
        }
        Some(missing)
    }

    /// Adds what is kept of named topics after `told_to` and skipped by a stream that begins at a
    /// cursor. `None` if it has to be found by a walk: events that several of the topics keep would
    /// be counted more than once.
    pub(super) fn with_skipped(
        mut self,
        past: &Past<'_>,
        named: &NamedTopics,
        begins: &Cursor,
        told_to: u64,
    ) -> Option<Missing> {
        if !begins.skips_after(told_to) {
            return Some(self);
        }
        let histories = || named.tracked.iter().map(|&index| &past.topics.entry(index).history);
        if histories().filter(|history| history.shared() > 0).nth(1).is_some() {
            return None;
        }
        self.first = None;
        for history in histories() {
            let (all, sent) = (history.after(told_to).start, begins.wanted_of(history).start);
            let number_at = |position| history.event(position).map(|kept| kept.sequence());
            if let (true, Some(to)) = (sent > all, sent.checked_sub(1).and_then(number_at)) {
                self.add_skipped((sent - all) as u64, to);
            }
            self.first = self.first.into_iter().chain(number_at(sent)).min();
        }
        Some(self)
    }

    /// Finds what is missing after `told_to` for a client whose stream begins at a cursor: what is
    /// not kept, and what is kept and skipped. It is found by a walk from `walked_to` on. The error
    /// is up to where the walk came, and what it has found so far.
    pub(super) fn walk_on(
        mut self,
        past: &Past<'_>,
        begins: &Cursor,
        told_to: u64,
        walked_to: u64,
        walk: &mut Walk,
    ) -> Result<Missing, (u64, Missing)> {
        let totals = &past.topics.totals;
        let may_skip = begins.skips_after(told_to) && past.topics.keeps_events();
        if totals.forgotten_to() <= told_to && !may_skip {
            return Ok(Missing::of_unkept(past, told_to));
        }
        let forgotten_events = totals.forgotten_events();
        self.is_inexact |= self.forgotten_events.is_some_and(|before| before != forgotten_events);
        self.forgotten_events = Some(forgotten_events);
        let matches = past.wanted.matches();
        let walked =
            walk.forward(past, &matches, walked_to, |entry| match past.topics.look_up(entry) {
                Logged::Kept(kept, next) => {
                    let is_skipped = begins.skips(kept.sequence(), next);
                    let matters = is_skipped || self.first.is_none();
                    match matters && matches.wants(past.topics, entry.topic) {
                        true if is_skipped => self.add_skipped(1, kept.sequence()),
                        true => self.first = Some(kept.sequence()),
                        false => {}
                    }
                }
                Logged::OfList(list) => {
                    let kept = matches.kept_of_list(past.topics, list, entry.sequence);
                    match kept.map(|(kept, next)| begins.skips(kept.sequence(), next)) {
                        Some(true) => self.add_skipped(1, entry.sequence),
                        Some(false) => self.first = self.first.or(Some(entry.sequence)),
                        None if matches.wants(past.topics, entry.topic) => {
                            self.add(Forgotten::one(entry.sequence), told_to);
                        }
                        None => {}
                    }
                }
                Logged::Forgotten(forgotten)
                    if is_walked(past, entry.topic) && matches.wants(past.topics, entry.topic) =>
                {
                    self.add(forgotten, told_to);
                }
                Logged::Forgotten(_) | Logged::Useless => {}
            });
        match walked {
            Ok(()) => {
                self.add_unwalked(past, told_to);
                Ok(self)
            }
            Err(walked_to) => Err((walked_to, self)),
        }
    }

    /// Finds by a walk what is missing for a client that it was not told of yet. `None`
    /// if there may be more, which is to be found from the cursor on, as it is then: only all of it
    /// is told. Found in several calls, it has no exact count, since a topic may have been found in
    /// each of them.
    pub(super) fn find_untold(
        past: &Past<'_>,
        matches: &Matches<'_>,
        cursor: &mut Cursor,
    ) -> Option<Missing> {
        let (topics, forgets, told_to) = (past.topics, &past.topics.forgets, cursor.told_to());
        let mut missing = Missing::of_unkept(past, told_to);
        if topics.totals.forgotten_to() <= told_to {
            (cursor.forgets_seen, cursor.looked_to) = (forgets.count(), None);
            cursor.untold_to = 0;
            return Some(missing);
        }
        let (mut walk, mut added) = (past.begin_walk(), FxHashSet::default());
        let mut add = |missing: &mut Missing, topic: TopicRef| {
            if is_walked(past, topic) && added.insert(topic) && matches.wants(topics, topic) {
                missing.add(topics.forgotten(topic), told_to);
                if let TopicRef::List(index) = topic {
                    let list = topics.lists.get(index);
                    let more = list.map(|list| matches.missing_of_list(topics, list, told_to));
                    missing.add(more.unwrap_or_default(), told_to);
                }
            }
        };
        match (forgets.since(cursor.forgets_seen), cursor.looked_to) {
            (Some(since), _) => {
                for topic in since {
                    if !walk.has_steps() {
                        cursor.untold_to = cursor.untold_to.max(missing.to);
                        return None;
                    }
                    cursor.forgets_seen += 1;
                    add(&mut missing, topic);
                    walk.take_steps(matches);
                }
            }
            (None, None) => {
                (cursor.forgets_seen, cursor.looked_to) = (forgets.count(), Some(told_to));
            }
            // More is forgotten while it looks than is remembered: it does not look again.
            (None, Some(_)) => {
                (cursor.forgets_seen, cursor.looked_to) = (forgets.count(), None);
                missing.add(Forgotten { to: topics.totals.forgotten_to(), known: None }, told_to);
            }
        }
        if let Some(looked_to) = cursor.looked_to {
            let looked = walk.forward(past, matches, looked_to, |entry| {
                if let Logged::Forgotten(_) | Logged::OfList(_) = topics.look_up(entry) {
                    add(&mut missing, entry.topic);
                }
            });
            cursor.looked_to = looked.err();
            if cursor.looked_to.is_some() {
                cursor.untold_to = cursor.untold_to.max(missing.to);
                return None;
            }
        }
        let untold = Forgotten { to: std::mem::take(&mut cursor.untold_to), known: None };
        missing.add(untold, told_to);
        missing.add_unwalked(past, told_to);
        Some(missing)
    }

    /// Adds what was forgotten of the own events of named topics.
    fn add_own(&mut self, past: &Past<'_>, named: &NamedTopics, told_to: u64) {
        named.forgotten(past.topics).for_each(|forgotten| self.add(forgotten.own, told_to));
        self.add(named.unknown, told_to);
    }

    /// Adds what is missing of the events of several topics.
    fn add_lists(&mut self, past: &Past<'_>, told_to: u64) {
        let (topics, matches) = (past.topics, past.wanted.matches());
        for (index, list) in topics.lists.iter() {
            if matches.wants(topics, TopicRef::List(index)) {
                self.add(list.gone(), told_to);
                self.add(matches.missing_of_list(topics, list, told_to), told_to);
            }
        }
    }

    /// Adds what a walk along the log does not find: of topics that are wanted by name their own
    /// events, of others that something may be missing of topics that are not known; and the same
    /// of lists that were dropped.
    fn add_unwalked(&mut self, past: &Past<'_>, told_to: u64) {
        let topics = past.topics;
        match past.wanted.has_no_filters().then(|| past.find_named()).flatten() {
            Some(named) => {
                self.add_own(past, &named, told_to);
                let shared_to = named.forgotten(topics).map(|forgotten| forgotten.shared.to).max();
                self.add_dropped(past, shared_to, told_to);
            }
            None => {
                self.add(topics.gone.unknown(), told_to);
                self.add_dropped(past, Some(u64::MAX), told_to);
            }
        }
    }

    /// Adds what may be missing of lists that were dropped, which is at most up to an event.
    fn add_dropped(&mut self, past: &Past<'_>, to: Option<u64>, told_to: u64) {
        let to = to.unwrap_or(0).min(past.topics.lists.dropped_to());
        self.add(Forgotten { to, known: None }, told_to);
    }

    /// Adds what was forgotten of one more topic or list.
    pub(super) fn add(&mut self, forgotten: Forgotten, told_to: u64) {
        if !forgotten.is_after(told_to) {
            return;
        }
        let more = forgotten.count_after(told_to);
        self.count = match self.to {
            0 => more,
            _ => self.count.zip(more).map(|(count, more)| count + more),
        };
        self.to = self.to.max(forgotten.to);
    }

    /// Adds kept events that the client will not get, and the sequence number of the newest one.
    fn add_skipped(&mut self, events: u64, to: u64) {
        self.count = match self.to {
            0 => Some(events),
            _ => self.count.map(|count| count + events),
        };
        self.to = self.to.max(to);
    }

    /// Sets the sequence number of the first event that the client will get.
    pub(super) fn before(self, first: Option<u64>) -> Missing {
        Missing { first: first.or(self.first), ..self }
    }

    /// The gap that a client with the events up to `after` is told of, and the id to tell it with.
    /// The id is that of no later event than the one before the first that the client will get: the
    /// client may be cut off before it gets that event.
    pub(super) fn gap(self, past: &Past<'_>, after: u64) -> Option<(Gap, EventId)> {
        let Missing { to, count, first, is_inexact, .. } = self;
        if to == 0 {
            return None;
        }
        let id = first.map_or(past.now, |first| first - 1).min(to);
        let gap = Gap {
            from: Some(past.id_of(after).to_string()),
            to: past.id_of(to),
            reason: GapReason::Expired,
            missed: count.filter(|_| !is_inexact),
        };
        Some((gap, past.id_of(id)))
    }
}

/// Whether a walk along the log finds what was forgotten of a topic, and not [`NamedTopics`].
fn is_walked(past: &Past<'_>, topic: TopicRef) -> bool {
    matches!(topic, TopicRef::List(_)) || !past.wanted.has_no_filters()
}
