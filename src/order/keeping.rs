//! What the rules say of events that this node may keep no more, but its cluster's stream has.

use std::sync::Arc;

use super::rules::Rules;
use crate::topic::Topic;

/// The rules as they were at a moment.
pub(crate) struct Keeping(Arc<Rules>);

impl Keeping {
    pub(super) fn new(rules: Arc<Rules>) -> Keeping {
        Keeping(rules)
    }

    /// Whether a client may be sent an event of this topic and age that it has missed: not if nothing of the topic is
    /// to be kept, nor if the event is older than anything is to be kept of it. How many events are kept does not
    /// matter.
    pub(crate) fn allows(&self, topic: &Topic, age_ns: u64) -> bool {
        let Keeping(rules) = self;
        let limits = rules.limits(rules.rule_of(topic)).unwrap_or(rules.hub_limits());
        limits.events_max > 0 && age_ns < limits.age_max_ns
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::options::{Options, TopicOptions};

    #[test]
    fn what_is_not_to_be_kept_or_too_old_is_not_sent_whatever_there_is_of_it() {
        let hub = Options { history_age_max: Duration::from_secs(60), ..Options::default() };
        let rule = |options: TopicOptions| {
            move |rules: Rules, name: &str| {
                rules.with(&name.parse().expect("a filter"), options.clone()).expect("a rule")
            }
        };
        let rules = rule(TopicOptions::default().history_events_max(0))(Rules::new(&hub), "none/#");
        let short = TopicOptions::default().history_age_max(Duration::from_secs(10));
        let rules = rule(short)(rules, "short");
        let few = TopicOptions::default().history_events_max(1);
        let keeping = Keeping(Arc::new(rule(few)(rules, "few")));
        let allows = |topic: &str, seconds: u64| {
            keeping.allows(&Topic::new(topic).expect("a topic"), seconds * 1_000_000_000)
        };
        assert!(allows("any", 59) && !allows("any", 60));
        assert!(allows("short", 9) && !allows("short", 10));
        assert!(!allows("none/a", 0));
        assert!(allows("few", 59), "how many are kept is of the memory alone");
    }
}
