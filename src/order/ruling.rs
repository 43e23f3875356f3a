//! Which rule each topic has: a topic that is new gets its rule at once, and all others when the
//! rules change, some of them at a time.

use std::ops::Bound;
use std::sync::Arc;

use super::history::History;
use super::rules::Rules;
use super::topics::Topics;
use crate::filter::Subscription;
use crate::topic::Topic;

/// Names that are looked at, and events that are forgotten, while the lock is held.
const NAMES_PER_LOCK: usize = 128;
const EVENTS_PER_LOCK: usize = 1024;

impl Topics {
    /// Has these rules hold for topics that are new. The others have them when they were looked at.
    pub(super) fn set_rules(&mut self, rules: Arc<Rules>) {
        self.totals.resize(rules.numbers());
        for number in 0..rules.numbers() {
            let limits = rules.limits(number as u32);
            match self.limits.get_mut(number) {
                // A topic may still have a rule that is no longer.
                Some(known) => *known = limits.unwrap_or(*known),
                None => self.limits.push(limits.unwrap_or(rules.hub_limits())),
            }
        }
        self.rules = rules;
    }

    /// Gives a topic that is new its rule.
    pub(super) fn begin_rule(&mut self, topic: &Topic, history: &mut History) {
        let rule = self.rules.rule_of(topic);
        history.set_rule(rule, &mut self.totals);
        self.totals.change(rule, |usage| usage.topics += 1);
    }

    /// Looks at some of the topics that a subscription may match, in the order of their names after
    /// `done`, and has each keep what its rule allows. Returns whether these were all.
    pub(super) fn apply_rules(
        &mut self,
        subscription: &Subscription,
        done: &mut Option<Topic>,
    ) -> bool {
        let prefix = match subscription {
            Subscription::Topic(topic) => topic.as_str(),
            Subscription::Filter(filter) => filter.literal_prefix(),
        };
        let from = match &done {
            Some(name) => Bound::Excluded(name.as_str()),
            None => Bound::Included(prefix),
        };
        let names = self.in_order.range::<str, _>((from, Bound::Unbounded)).map(|(name, _)| name);
        let names = names.take_while(|name| name.as_str().starts_with(prefix));
        let some: Vec<Topic> = names.take(NAMES_PER_LOCK).cloned().collect();
        let (is_all, mut events_left) = (some.len() < NAMES_PER_LOCK, EVENTS_PER_LOCK);
        for name in some {
            // One that was idle may be removed for another.
            if let Some(index) = self.find(&name).filter(|_| subscription.matches(&name)) {
                if !self.apply_rule(index, &mut events_left) {
                    return false;
                }
            }
            *done = Some(name);
        }
        is_all
    }

    /// Gives a topic the rule that it has now, and forgets what this allows no longer; false if
    /// there is more of that than may be forgotten at once.
    fn apply_rule(&mut self, index: u32, events_left: &mut usize) -> bool {
        let entry = &mut *self.entries[index as usize];
        let (before, rule) = (entry.history.rule(), self.rules.rule_of(&entry.state.name));
        let may_be_idle = entry.in_idle || entry.in_oldest;
        if rule != before {
            entry.history.set_rule(rule, &mut self.totals);
            let finished = usize::from(entry.finished_ns.is_some());
            self.totals.change(before, |usage| {
                usage.topics -= 1;
                usage.finished_topics -= finished;
            });
            self.totals.change(rule, |usage| {
                usage.topics += 1;
                usage.finished_topics += finished;
            });
        }
        let limits = self.limits[rule as usize];
        while limits.is_exceeded_by(&self.entry(index).history) && *events_left > 0 {
            self.forget_oldest(index);
            *events_left -= 1;
        }
        let is_done = !limits.is_exceeded_by(&self.entry(index).history);
        self.await_expiry(index);
        self.await_end(index);
        self.leave_idle(index);
        if may_be_idle {
            self.make_idle(index);
        }
        is_done
    }
}
