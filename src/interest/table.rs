//! What one watcher has told its host of each subscription, and what it has yet to tell.
//!
//! A subscription is *of interest* from its first subscriber on until its last one has been gone
//! for the grace time. The host takes notices when it likes, so no notice is kept for it: the table
//! has what the host was told last and what is true now. Where these differ, a notice is *owed*.
//!
//! ```text
//!                                  of interest            not of interest
//!   the host was not told of it    Subscribed is owed     there is no entry
//!   the host was told of it        nothing is owed        Unsubscribed is owed
//! ```
//!
//! So for each subscription the two kinds of notices alternate, however slow the host is. What is
//! remembered is bounded by the subscriptions that are of interest and those of which the host was
//! told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::notice::{InterestKind, InterestNotice};
use crate::filter::Subscription;

/// One watcher's table. Its maps grow a little at a time: a hash table that grows would move all of
/// its entries, while publishers wait for the hub's lock.
pub(crate) struct Table {
    grace_ns: u64,
    graces_max: usize,
    entries: BTreeMap<Subscription, Entry>,
    /// Subscriptions of which a notice is owed, in the order in which they came to be.
    owed: BTreeMap<u64, Subscription>,
    /// Subscriptions without a subscriber whose grace time runs, in the order of its end.
    graces: BTreeMap<u64, Grace>,
    /// The last ticket, by which those two are in order.
    ticket: u64,
    tally: Arc<Tally>,
    /// Whether nothing more will change, as the hub has ended.
    is_ended: bool,
    /// Whether no receiver is left.
    is_left: bool,
}

/// A subscription that is of interest, or of which the end of it is owed.
struct Entry {
    is_subscribed: bool,
    /// Whether the host's last notice was of the first subscriber.
    is_told: bool,
    /// When that happened of which a notice is owed.
    at: SystemTime,
    /// Its ticket in [`Table::owed`].
    owed: Option<u64>,
    /// Its ticket in [`Table::graces`].
    grace: Option<u64>,
}

struct Grace {
    ends_ns: u64,
    /// When the last subscriber went.
    left_at: SystemTime,
    what: Subscription,
}

/// What all watchers of a hub have in common.
#[derive(Default)]
pub(crate) struct Tally {
    graces: AtomicUsize,
    cut_graces: AtomicU64,
}

/// A moment, by the hub's clock and by that of the calendar.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) ns: u64,
    pub(crate) at: SystemTime,
}

impl Tally {
    /// Whether any grace time runs.
    pub(crate) fn has_graces(&self) -> bool {
        self.graces.load(Ordering::Relaxed) > 0
    }

    /// How many grace times ended early, since too many ran.
    pub(crate) fn cut_graces(&self) -> u64 {
        self.cut_graces.load(Ordering::Relaxed)
    }
}

impl Table {
    pub(crate) fn new(grace: Duration, graces_max: usize, tally: Arc<Tally>) -> Table {
        Table {
            grace_ns: grace.as_nanos() as u64,
            graces_max,
            entries: BTreeMap::new(),
            owed: BTreeMap::new(),
            graces: BTreeMap::new(),
            ticket: 0,
            tally,
            is_ended: false,
            is_left: false,
        }
    }

    /// Notes that a subscription has a subscriber, as it may have had before, or that it has none.
    /// Whether a notice came to be owed by that.
    pub(crate) fn note(&mut self, what: &Subscription, is_subscribed: bool, now: Moment) -> bool {
        match is_subscribed {
            _ if self.is_left || self.is_ended => false,
            true => self.note_subscribed(what, now.at),
            false => self.note_unsubscribed(what, now),
        }
    }

    fn note_subscribed(&mut self, what: &Subscription, at: SystemTime) -> bool {
        let Some(entry) = self.entries.get_mut(what) else {
            let owed = Some(owe(&mut self.owed, &mut self.ticket, what));
            let entry = Entry { is_subscribed: true, is_told: false, at, owed, grace: None };
            self.entries.insert(what.clone(), entry);
            return true;
        };
        if std::mem::replace(&mut entry.is_subscribed, true) {
            return false;
        }
        if let Some(ticket) = entry.grace.take() {
            self.graces.remove(&ticket);
            self.tally.graces.fetch_sub(1, Ordering::Relaxed);
        } else if let Some(ticket) = entry.owed.take() {
            // The host still takes it for subscribed.
            self.owed.remove(&ticket);
        }
        false
    }

    fn note_unsubscribed(&mut self, what: &Subscription, now: Moment) -> bool {
        let Some(entry) = self.entries.get_mut(what).filter(|entry| entry.is_subscribed) else {
            return false;
        };
        entry.is_subscribed = false;
        if self.grace_ns == 0 {
            return self.end_interest(what, now.at);
        }
        self.ticket += 1;
        entry.grace = Some(self.ticket);
        let ends_ns = now.ns.saturating_add(self.grace_ns);
        self.graces.insert(self.ticket, Grace { ends_ns, left_at: now.at, what: what.clone() });
        self.tally.graces.fetch_add(1, Ordering::Relaxed);
        if self.graces.len() <= self.graces_max {
            return false;
        }
        self.tally.cut_graces.fetch_add(1, Ordering::Relaxed);
        self.end_first_grace()
    }

    /// Ends grace times that are over, in a bounded number of steps. Whether notices came to be
    /// owed by that, and whether these were all that are over.
    pub(crate) fn end_graces(&mut self, now_ns: u64, steps_max: usize) -> (bool, bool) {
        let mut any_owed = false;
        for _ in 0..steps_max {
            match self.graces.first_key_value() {
                Some((_, grace)) if grace.ends_ns <= now_ns => any_owed |= self.end_first_grace(),
                _ => return (any_owed, true),
            }
        }
        (any_owed, false)
    }

    fn end_first_grace(&mut self) -> bool {
        let Some((_, Grace { left_at, what, .. })) = self.graces.pop_first() else { return false };
        self.tally.graces.fetch_sub(1, Ordering::Relaxed);
        self.end_interest(&what, left_at)
    }

    /// A subscription is not of interest any more. Whether a notice came to be owed by that.
    fn end_interest(&mut self, what: &Subscription, left_at: SystemTime) -> bool {
        let Some(entry) = self.entries.get_mut(what) else { return false };
        entry.grace = None;
        if !entry.is_told {
            // The host never knew.
            if let Some(ticket) = entry.owed {
                self.owed.remove(&ticket);
            }
            self.entries.remove(what);
            return false;
        }
        entry.at = left_at;
        entry.owed = Some(owe(&mut self.owed, &mut self.ticket, what));
        true
    }

    /// The hub has ended: nothing has a subscriber any more, and no grace time runs on.
    pub(crate) fn end(&mut self, at: SystemTime) {
        while !self.graces.is_empty() {
            self.end_first_grace();
        }
        let subscribed = self.entries.iter().filter(|(_, entry)| entry.is_subscribed);
        let subscribed: Vec<_> = subscribed.map(|(what, _)| what.clone()).collect();
        for what in subscribed {
            if let Some(entry) = self.entries.get_mut(&what) {
                entry.is_subscribed = false;
            }
            self.end_interest(&what, at);
        }
        self.is_ended = true;
    }

    /// The next notice that is owed, of which the host is told now.
    pub(crate) fn next(&mut self) -> Option<InterestNotice> {
        let (_, subscription) = self.owed.pop_first()?;
        let entry = self.entries.get_mut(&subscription)?;
        entry.owed = None;
        let at = entry.at;
        let kind = match std::mem::replace(&mut entry.is_told, true) {
            false => InterestKind::Subscribed,
            true => {
                self.entries.remove(&subscription);
                InterestKind::Unsubscribed
            }
        };
        Some(InterestNotice { kind, subscription, at })
    }

    /// The same, or that there will be none any more; `None` while neither is so.
    pub(crate) fn next_or_end(&mut self) -> Option<Option<InterestNotice>> {
        match self.next() {
            None if !self.is_ended => None,
            next => Some(next),
        }
    }

    /// How many notices are owed.
    pub(crate) fn owed(&self) -> usize {
        self.owed.len()
    }

    /// Whether there will be no notice any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_ended && self.owed.is_empty()
    }

    /// The last receiver is gone. Returns what was remembered for it, to be dropped without the
    /// lock.
    pub(crate) fn leave(&mut self) -> Table {
        let empty = Table::new(Duration::ZERO, 0, self.tally.clone());
        let left = std::mem::replace(self, Table { is_left: true, ..empty });
        self.tally.graces.fetch_sub(left.graces.len(), Ordering::Relaxed);
        left
    }

    /// Whether no receiver is left.
    pub(crate) fn is_left(&self) -> bool {
        self.is_left
    }
}

/// Owes a notice of a subscription, as the last one. Returns its ticket.
fn owe(owed: &mut BTreeMap<u64, Subscription>, ticket: &mut u64, what: &Subscription) -> u64 {
    *ticket += 1;
    owed.insert(*ticket, what.clone());
    *ticket
}
