//! Sums over the histories of all topics, and over those of the topics of each rule.

/// The number of no rule: the hub's own options hold.
pub(super) const NO_RULE: u32 = 0;

/// The sums. Only [`History`](super::history::History) changes those of events, with its own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    kept_events: usize,
    kept_bytes: usize,
    forgotten_events: u64,
    forgotten_to: u64,
    /// By the numbers of the rules, for those that there were so far.
    rules: Vec<Usage>,
}

/// What the topics of one rule hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) topics: usize,
    pub(super) finished_topics: usize,
    pub(super) kept_events: usize,
    pub(super) kept_bytes: usize,
}

impl Totals {
    /// How many events are kept.
    pub(super) fn kept_events(&self) -> usize {
        self.kept_events
    }

    /// What keeping them takes, with 512 bytes for each topic that has such or is finished.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// How many events were forgotten.
    pub(super) fn forgotten_events(&self) -> u64 {
        self.forgotten_events
    }

    /// The highest sequence number of any event that was forgotten; zero if there is none.
    pub(super) fn forgotten_to(&self) -> u64 {
        self.forgotten_to
    }

    /// What the topics of each rule hold, by the numbers of the rules.
    pub(super) fn usages(&self) -> Vec<Usage> {
        self.rules.clone()
    }

    /// Makes space for rules with numbers below `count`.
    pub(super) fn resize(&mut self, count: usize) {
        self.rules.resize(self.rules.len().max(count), Usage::default());
    }

    /// Adds what is kept of a topic with a rule.
    #[inline]
    pub(super) fn add(&mut self, rule: u32, events: usize, bytes: usize) {
        self.kept_events += events;
        self.kept_bytes += bytes;
        self.change(rule, |usage| {
            usage.kept_events += events;
            usage.kept_bytes += bytes;
        });
    }

    /// Subtracts what is kept no longer.
    #[inline]
    pub(super) fn subtract(&mut self, rule: u32, events: usize, bytes: usize) {
        self.kept_events -= events;
        self.kept_bytes -= bytes;
        self.change(rule, |usage| {
            usage.kept_events -= events;
            usage.kept_bytes -= bytes;
        });
    }

    /// Counts events that were forgotten, up to a sequence number.
    #[inline]
    pub(super) fn forget(&mut self, events: u64, to: u64) {
        self.forgotten_events += events;
        self.forgotten_to = self.forgotten_to.max(to);
    }

    /// Changes what the topics of a rule hold, if it is one.
    #[inline]
    pub(super) fn change(&mut self, rule: u32, change: impl FnOnce(&mut Usage)) {
        if rule != NO_RULE {
            change(&mut self.rules[rule as usize]);
        }
    }
}
