//! Rules are set and removed, and asked for.

use std::sync::Arc;

use super::keeping::Keeping;
use super::rules::Rules;
use super::{Order, AGE_STEPS_PER_SEARCH};
use crate::filter::Subscription;
use crate::options::{Rule, RuleError, TopicOptions};
use crate::policy::Policy;

impl Order {
    /// Sets a rule, and has the topics that there are keep what it allows.
    pub(crate) fn set_rule(
        &self,
        subscription: &Subscription,
        options: TopicOptions,
    ) -> Result<(), RuleError> {
        let _changing = self.rulebook.begin_change();
        let rules = self.rulebook.rules().with(subscription, options.clone())?;
        self.write_rule(subscription, Some(&options));
        self.apply_rules(rules, subscription);
        Ok(())
    }

    /// Removes a rule; false if there is none.
    pub(crate) fn remove_rule(&self, subscription: &Subscription) -> bool {
        let _changing = self.rulebook.begin_change();
        let Some(rules) = self.rulebook.rules().without(subscription) else { return false };
        self.write_rule(subscription, None);
        self.apply_rules(rules, subscription);
        true
    }

    /// Whether a rule could be set.
    pub(crate) fn check_rule(
        &self,
        subscription: &Subscription,
        options: &TopicOptions,
    ) -> Result<(), RuleError> {
        self.rulebook.rules().with(subscription, options.clone()).map(drop)
    }

    pub(crate) fn has_rule(&self, subscription: &Subscription) -> bool {
        self.rulebook.rules().without(subscription).is_some()
    }

    /// Has rules hold of which one, that of a subscription, differs from what it was. Takes the
    /// lock for a bounded number of topics and events at a time.
    fn apply_rules(&self, rules: Rules, subscription: &Subscription) {
        let rules = Arc::new(rules);
        self.rulebook.set_rules(rules.clone());
        self.lock().topics.set_rules(rules);
        let (mut done, mut is_all, now_ns) = (None, false, self.now_ns());
        while !is_all {
            let mut locked = self.lock();
            is_all = locked.topics.apply_rules(subscription, &mut done);
            is_all &= locked.topics.forget_old(now_ns, AGE_STEPS_PER_SEARCH);
            self.number_reopened(&mut locked);
            drop(locked);
            std::thread::yield_now();
        }
    }

    /// What the rules say now of events that may not be kept here any more.
    #[cfg_attr(
        not(feature = "cluster"),
        allow(dead_code, reason = "a cluster's nodes alone use it")
    )]
    pub(crate) fn keeping(&self) -> Keeping {
        Keeping::new(self.rulebook.rules())
    }

    /// The rules, and what their topics hold.
    pub(crate) fn rules(&self) -> Vec<Rule> {
        let locked = self.lock();
        let (rules, usages) = (locked.topics.rules.clone(), locked.topics.totals.usages());
        drop(locked);
        let all = rules.iter().map(|(number, rule)| {
            let usage = usages[number as usize];
            Rule {
                subscription: rule.subscription.clone(),
                options: rule.options.clone(),
                topics: usage.topics as u64,
                finished_topics: usage.finished_topics as u64,
                kept_events: usage.kept_events as u64,
                kept_bytes: usage.kept_bytes as u64,
            }
        });
        all.collect()
    }

    /// The policy of a stream whose client chose none, if the rules of its subscriptions say so.
    pub(crate) fn policy_of(&self, wanted: &[Subscription]) -> Option<Policy> {
        self.rulebook.policy_of(wanted)
    }
}
