//! The rules of a hub: which options the topics have that match a filter, or are named.
//!
//! The most specific rule that matches a topic is the topic's: the rule of the topic itself, or of
//! the filters the first when they are compared level by level, a name before `+` before `#`. What
//! a rule leaves open is as in the most specific of the rules that cover it, which are those that
//! match all of its topics; and what they leave open is as in the hub's options. So each rule has
//! one set of options, whichever of its topics it is for, and a topic has the number of its rule.
//!
//! A table of rules is never changed: another one is made for each change, without the hub's lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::totals::NO_RULE;
use crate::filter::tree::FilterTree;
use crate::filter::{Filter, Subscription};
use crate::options::{Options, RuleError, TopicOptions, RULES_MAX};
use crate::policy::Policy;
use crate::topic::Topic;

/// The rules as they are now, for those that have not taken the hub's lock.
pub(super) struct Rulebook {
    rules: Mutex<Arc<Rules>>,
    /// Held until all topics have the rules as they are after a change.
    changing: Mutex<()>,
    /// Whether any rule may say anything of policies.
    has_policies: AtomicBool,
}

/// A table of rules.
pub(super) struct Rules {
    hub: Resolved,
    keeps_events: bool,
    /// By their numbers. The first is none, [`NO_RULE`]; others are no longer, or not yet.
    by_number: Vec<Option<OneRule>>,
    topics: HashMap<Topic, u32>,
    filters: FilterTree<u32>,
}

#[derive(Clone)]
pub(super) struct OneRule {
    pub(super) subscription: Subscription,
    /// As they were set.
    pub(super) options: TopicOptions,
    resolved: Resolved,
}

#[derive(Clone, Copy)]
struct Resolved {
    limits: Limits,
    policy: Policy,
}

/// How much of a topic is kept, and for how long, in nanoseconds.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) events_max: usize,
    pub(super) bytes_max: usize,
    pub(super) age_max_ns: u64,
    pub(super) finished_age_max_ns: u64,
}

impl Rulebook {
    pub(super) fn new(rules: Arc<Rules>) -> Rulebook {
        let (changing, has_policies) = (Mutex::new(()), AtomicBool::new(false));
        Rulebook { rules: Mutex::new(rules), changing, has_policies }
    }

    /// Held while the rules are changed, until all topics have the new ones.
    pub(super) fn begin_change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_rules(&self, rules: Arc<Rules>) {
        self.has_policies.store(rules.has_policies(), Ordering::Relaxed);
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// The policy of a stream whose client chose none, if the rules of all of its subscriptions say
    /// the same.
    pub(super) fn policy_of(&self, wanted: &[Subscription]) -> Option<Policy> {
        if !self.has_policies.load(Ordering::Relaxed) {
            return None;
        }
        let rules = self.rules();
        let mut policies = wanted.iter().map(|subscription| rules.policy_of(subscription));
        let first = policies.next()?;
        policies.all(|policy| policy == first).then_some(first)
    }
}

impl Rules {
    /// No rules: every topic has the hub's options.
    pub(super) fn new(hub: &Options) -> Rules {
        let limits = Limits {
            events_max: hub.history_events_max,
            bytes_max: hub.history_bytes_max,
            age_max_ns: ns(hub.history_age_max),
            finished_age_max_ns: ns(hub.finished_age_max),
        };
        Rules::of(Resolved { limits, policy: hub.policy }, hub.history_events_max > 0, vec![None])
    }

    fn of(hub: Resolved, keeps_events: bool, by_number: Vec<Option<OneRule>>) -> Rules {
        let (mut topics, mut filters) = (HashMap::new(), FilterTree::default());
        for (number, rule) in (0..).zip(&by_number) {
            match rule.as_ref().map(|rule| &rule.subscription) {
                Some(Subscription::Topic(topic)) => _ = topics.insert(topic.clone(), number),
                Some(Subscription::Filter(filter)) => {
                    *filters.get_or_insert_with(filter, || number) = number;
                }
                None => {}
            }
        }
        Rules { hub, keeps_events, by_number, topics, filters }
    }

    /// The rules with one more, or with one changed.
    pub(super) fn with(
        &self,
        subscription: &Subscription,
        options: TopicOptions,
    ) -> Result<Rules, RuleError> {
        options.check().map_err(RuleError::Options)?;
        if !self.keeps_events {
            options.check_without_history().map_err(RuleError::Options)?;
        }
        let number = match self.number_of(subscription) {
            Some(number) => number as usize,
            None if self.iter().count() >= RULES_MAX => return Err(RuleError::TooMany),
            None => {
                let mut free = self.by_number.iter().skip(1).map(Option::is_none);
                free.position(|is_free| is_free).map_or(self.by_number.len(), |nth| nth + 1)
            }
        };
        let mut by_number = self.by_number.clone();
        by_number.resize(by_number.len().max(number + 1), None);
        let (subscription, resolved) = (subscription.clone(), self.hub);
        by_number[number] = Some(OneRule { subscription, options, resolved });
        Ok(self.changed(by_number, number))
    }

    /// The rules without the one of a subscription; `None` if there is none.
    pub(super) fn without(&self, subscription: &Subscription) -> Option<Rules> {
        let number = self.number_of(subscription)? as usize;
        let mut by_number = self.by_number.clone();
        let removed = by_number[number].take();
        let mut rules = self.changed(by_number, number);
        rules.resolve_those_of(&removed?.subscription);
        Some(rules)
    }

    /// A table with other rules, of which the one with a number was changed.
    fn changed(&self, by_number: Vec<Option<OneRule>>, number: usize) -> Rules {
        let mut rules = Rules::of(self.hub, self.keeps_events, by_number);
        if let Some(rule) = rules.by_number[number].clone() {
            rules.resolve_those_of(&rule.subscription);
        }
        rules
    }

    /// Finds the options anew of those rules that a subscription covers.
    fn resolve_those_of(&mut self, subscription: &Subscription) {
        let resolved: Vec<_> = (0..)
            .zip(&self.by_number)
            .filter_map(|(number, rule): (usize, _)| Some((number, rule.as_ref()?)))
            .filter(|(_, rule)| subscription.covers(&rule.subscription))
            .map(|(number, rule)| (number, self.resolve(rule)))
            .collect();
        for (number, resolved) in resolved {
            if let Some(rule) = &mut self.by_number[number] {
                rule.resolved = resolved;
            }
        }
    }

    fn resolve(&self, rule: &OneRule) -> Resolved {
        let mut covering: Vec<(&Filter, &OneRule)> = self.covering(&rule.subscription).collect();
        covering.sort_by(|(a, _), (b, _)| a.compare_breadth(b));
        let options = covering
            .into_iter()
            .fold(rule.options.clone(), |options, (_, rule)| options.or(&rule.options));
        let Resolved { limits: hub, policy } = self.hub;
        let limits = Limits {
            events_max: options.history_events_max.unwrap_or(hub.events_max),
            bytes_max: options.history_bytes_max.unwrap_or(hub.bytes_max),
            age_max_ns: options.history_age_max.map_or(hub.age_max_ns, ns),
            finished_age_max_ns: options.finished_age_max.map_or(hub.finished_age_max_ns, ns),
        };
        Resolved { limits, policy: options.policy.unwrap_or(policy) }
    }

    /// The rules for filters that match all topics of a subscription.
    fn covering<'a>(
        &'a self,
        subscription: &'a Subscription,
    ) -> impl Iterator<Item = (&'a Filter, &'a OneRule)> {
        self.iter().filter_map(move |(_, rule)| match &rule.subscription {
            Subscription::Filter(filter) if rule.subscription.covers(subscription) => {
                Some((filter, rule))
            }
            _ => None,
        })
    }

    /// All rules with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &OneRule)> {
        (0..).zip(&self.by_number).filter_map(|(number, rule)| Some((number, rule.as_ref()?)))
    }

    /// One more than the highest number that any rule has.
    pub(super) fn numbers(&self) -> usize {
        self.by_number.len()
    }

    fn number_of(&self, subscription: &Subscription) -> Option<u32> {
        self.iter().find(|(_, rule)| rule.subscription == *subscription).map(|(number, _)| number)
    }

    /// The number of the rule of a topic.
    pub(super) fn rule_of(&self, topic: &Topic) -> u32 {
        if let Some(&number) = self.topics.get(topic) {
            return number;
        }
        let mut first: Option<(Filter, u32)> = None;
        self.filters.for_each_match(topic, |filter, &number| {
            if first.as_ref().is_none_or(|(first, _)| filter.compare_breadth(first).is_lt()) {
                first = Some((filter.clone(), number));
            }
        });
        first.map_or(NO_RULE, |(_, number)| number)
    }

    /// The limits of topics without a rule.
    pub(super) fn hub_limits(&self) -> Limits {
        self.hub.limits
    }

    /// The limits of a number; `None` if no rule has it.
    pub(super) fn limits(&self, number: u32) -> Option<Limits> {
        match number {
            NO_RULE => Some(self.hub.limits),
            number => Some(self.by_number.get(number as usize)?.as_ref()?.resolved.limits),
        }
    }

    fn has_policies(&self) -> bool {
        self.iter().any(|(_, rule)| rule.options.policy.is_some())
    }

    /// The policy of the rule of a topic, or of the rule that covers a filter.
    fn policy_of(&self, subscription: &Subscription) -> Policy {
        let number = match subscription {
            Subscription::Topic(topic) => Some(self.rule_of(topic)),
            Subscription::Filter(_) => self.number_of(subscription),
        };
        let rule = match number {
            Some(number) => self.by_number[number as usize].as_ref(),
            None => {
                let first =
                    self.covering(subscription).min_by(|(a, _), (b, _)| a.compare_breadth(b));
                first.map(|(_, rule)| rule)
            }
        };
        rule.map_or(self.hub.policy, |rule| rule.resolved.policy)
    }
}

fn ns(time: Duration) -> u64 {
    time.min(Duration::from_secs(1 << 30)).as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(text: &str) -> Subscription {
        Subscription::new(text).unwrap()
    }

    fn events(max: usize) -> TopicOptions {
        TopicOptions::default().history_events_max(max)
    }

    fn rules_of(all: &[(&str, TopicOptions)]) -> Rules {
        all.iter().fold(Rules::new(&Options::default()), |rules, (text, options)| {
            rules.with(&subscription(text), options.clone()).unwrap()
        })
    }

    /// The most events and bytes of a topic.
    fn limits_of(rules: &Rules, topic: &str) -> (usize, usize) {
        let number = rules.rule_of(&Topic::new(topic).unwrap());
        let limits = rules.limits(number).unwrap();
        (limits.events_max, limits.bytes_max)
    }

    #[test]
    fn the_most_specific_rule_applies_and_what_it_leaves_open_is_as_in_those_that_cover_it() {
        let mut all = vec![
            ("#", events(1).history_bytes_max(100)),
            ("run/#", events(2)),
            ("run/+/log", TopicOptions::default().history_bytes_max(300)),
            ("+/7/log", events(4).history_bytes_max(400)),
            ("run/7/log/x", TopicOptions::default()),
        ];
        // In whichever order they are set.
        for _ in 0..all.len() {
            all.rotate_left(1);
            let rules = rules_of(&all);
            assert_eq!(limits_of(&rules, "a"), (1, 100));
            assert_eq!(limits_of(&rules, "run"), (2, 100));
            assert_eq!(limits_of(&rules, "run/7/log"), (2, 300));
            assert_eq!(limits_of(&rules, "b/7/log"), (4, 400));
            assert_eq!(limits_of(&rules, "run/7/log/x"), (2, 100));
            assert_eq!(limits_of(&rules, "$a"), (1_000, 1 << 20));
            let rules = rules.without(&subscription("run/#")).unwrap();
            assert_eq!(limits_of(&rules, "run/7/log"), (1, 300));
            assert_eq!(limits_of(&rules, "run/7/log/x"), (1, 100));
            assert!(rules.without(&subscription("run/#")).is_none());
        }
    }

    #[test]
    fn a_number_is_used_again_and_there_are_no_more_rules_than_the_bound() {
        let mut rules = Rules::new(&Options::default());
        let nth = |n: usize| subscription(&format!("t/{n}"));
        for n in 0..RULES_MAX {
            rules = rules.with(&nth(n), events(n)).unwrap();
        }
        assert_eq!(rules.with(&nth(RULES_MAX), events(1)).err(), Some(RuleError::TooMany));
        rules = rules.with(&nth(7), events(70)).unwrap();
        assert_eq!(limits_of(&rules, "t/7").0, 70);
        rules = rules.without(&nth(7)).unwrap();
        rules = rules.with(&nth(RULES_MAX), events(71)).unwrap();
        assert_eq!((limits_of(&rules, "t/1024").0, limits_of(&rules, "t/7").0), (71, 1_000));
        assert_eq!((rules.numbers(), rules.iter().count()), (RULES_MAX + 1, RULES_MAX));
    }

    #[test]
    fn a_rule_that_keeps_events_needs_a_hub_that_does() {
        let rules = Rules::new(&Options::default().history_events_max(0));
        let Err(RuleError::Options(error)) = rules.with(&subscription("a"), events(1)) else {
            panic!("it is set");
        };
        assert_eq!(error.option, "history_events_max");
        assert!(rules.with(&subscription("a"), events(0).history_bytes_max(7)).is_ok());
    }

    #[test]
    fn a_stream_has_the_policy_of_its_topics_if_they_have_one() {
        let policy = |policy| TopicOptions::default().policy(policy);
        let rules = rules_of(&[
            ("quotes/#", policy(Policy::Conflate)),
            ("quotes/log", policy(Policy::DropOldest)),
            ("quotes/+/x", TopicOptions::default()),
        ]);
        let book = Rulebook::new(Arc::new(Rules::new(&Options::default())));
        let of = |texts: &[&str]| {
            book.policy_of(&texts.iter().map(|text| subscription(text)).collect::<Vec<_>>())
        };
        assert_eq!(of(&["quotes/a"]), None);
        book.set_rules(Arc::new(rules));
        assert_eq!(of(&["quotes/a"]), Some(Policy::Conflate));
        assert_eq!(
            of(&["quotes/a", "quotes/b/x", "quotes/#", "quotes/+/y"]),
            Some(Policy::Conflate)
        );
        assert_eq!(of(&["quotes/log"]), Some(Policy::DropOldest));
        assert_eq!(of(&["quotes/a", "quotes/log"]), None);
        assert_eq!(of(&["quotes/a", "news"]), None);
        assert_eq!(of(&["news", "#"]), Some(Policy::Disconnect));
        assert_eq!(of(&[]), None);
    }
}
