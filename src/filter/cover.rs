//! Which of two subscriptions is for more topics. They are compared level by level, as their texts
//! are, and not by the topics that there are.

use std::cmp::Ordering;

use super::pattern::{Filter, Levels, ALL_BELOW, ONE_LEVEL};
use super::subscription::Subscription;

impl Subscription {
    /// Whether each topic that the other one matches is matched by this one too. (`+/#` and `#`
    /// match the same topics, but `+/#` is not taken to cover `#`.)
    pub(crate) fn covers(&self, other: &Subscription) -> bool {
        match (self, other) {
            (Subscription::Topic(this), other) => this.as_str() == other.as_str(),
            (Subscription::Filter(this), Subscription::Topic(topic)) => this.matches(topic),
            (Subscription::Filter(this), Subscription::Filter(other)) => this.covers(other),
        }
    }
}

impl Filter {
    fn covers(&self, other: &Filter) -> bool {
        let by_wildcard = self.as_str().starts_with(['+', '#']);
        if by_wildcard && other.as_str().starts_with('$') {
            return false;
        }
        let mut others = Levels::of(other.as_str());
        for level in Levels::of(self.as_str()) {
            if level == ALL_BELOW {
                return true;
            }
            let fits = |other| other != ALL_BELOW && (level == ONE_LEVEL || level == other);
            if !others.next().is_some_and(fits) {
                return false;
            }
        }
        others.is_empty()
    }

    /// Whether this filter is more specific than another one (`Less`), level by level: a name is
    /// more specific than `+`, and that more than `#`. No two filters that match one topic, or
    /// cover one filter, are equally specific.
    pub(crate) fn compare_breadth(&self, other: &Filter) -> Ordering {
        let breadth = |level: &str| match level {
            ALL_BELOW => 2,
            ONE_LEVEL => 1,
            _ => 0,
        };
        let [this, other] = [self, other].map(|filter| Levels::of(filter.as_str()).map(breadth));
        this.cmp(other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{texts_of, CASES};
    use super::*;
    use crate::topic::Topic;

    fn subscription(text: &str) -> Subscription {
        Subscription::new(text).unwrap()
    }

    #[test]
    fn a_filter_covers_those_that_match_no_other_topics() {
        for (this, other, covers) in [
            ("#", "a/#", true),
            ("#", "+", true),
            ("a/#", "a", true),
            ("a/#", "a/+/c", true),
            ("a/+", "a/b", true),
            ("a/+", "a/+", true),
            ("a", "a", true),
            ("a/+", "a/#", false),
            ("a/+/#", "a/#", false),
            ("a/+", "a/+/c", false),
            ("a/+/c", "a/+", false),
            ("a/b", "a/+", false),
            ("#", "$a", false),
            ("#", "$a/#", false),
            ("+/#", "$a/#", false),
            ("$a/#", "$a/+", true),
        ] {
            assert_eq!(subscription(this).covers(&subscription(other)), covers, "{this}, {other}");
        }
    }

    #[test]
    fn filters_are_ordered_from_names_to_wildcards_level_by_level() {
        let filters = ["a/b/+", "a/b/#", "a/+", "a/+/c", "a/+/#", "a/#", "+/b/c", "+/b/#", "#"];
        let mut sorted = filters.map(|text| Filter::new(text).unwrap());
        sorted.reverse();
        sorted.sort_by(Filter::compare_breadth);
        assert_eq!(sorted.each_ref().map(Filter::as_str), filters);
    }

    fn filters() -> impl Strategy<Value = String> {
        texts_of("\\+|#|a|b|\\$|")
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: CASES,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn what_covers_a_filter_matches_each_of_its_topics_and_differs_in_breadth(
            [this, that, other] in [filters(), filters(), filters()],
            topic in texts_of("a|b|\\$|"),
        ) {
            let topic = Topic::new(&topic).unwrap();
            let of = [&this, &that, &other].map(|text| Filter::new(text).unwrap());
            let [this, that, other] = of.each_ref().map(|f| Subscription::from(f.clone()));
            if this.covers(&other) && other.matches(&topic) {
                prop_assert!(this.matches(&topic), "{this} covers {other}, {topic}");
            }
            let both_match = this.matches(&topic) && that.matches(&topic);
            let both_cover = this.covers(&other) && that.covers(&other);
            if (both_match || both_cover) && this != that {
                prop_assert_ne!(of[0].compare_breadth(&of[1]), Ordering::Equal);
            }
            if this.covers(&that) && this != that {
                prop_assert_eq!(of[0].compare_breadth(&of[1]), Ordering::Greater);
            }
        }
    }
}
