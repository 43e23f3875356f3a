//! Options of topics: what a rule says of one topic, or of all that match a filter.

use std::fmt;
use std::time::Duration;

use super::chained::chained;
use super::{within, OptionsError, DAY};
use crate::filter::Subscription;
use crate::policy::Policy;

chained! {
    /// What a rule says of its topics ([`Hub::set_rule`](crate::Hub::set_rule)). An option that is
    /// `None` is that of the next rule which matches all of the same topics, or else the hub's.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{Policy, TopicOptions};
    ///
    /// let options = TopicOptions::default()
    ///     .history_events_max(10_000)
    ///     .finished_age_max(Duration::from_secs(600))
    ///     .policy(Policy::Conflate);
    /// assert_eq!(options.history_events_max, Some(10_000));
    /// assert_eq!(options.history_bytes_max, None);
    /// ```
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct TopicOptions {
        /// The most events of a topic that are kept for clients that come back, any number. Zero
        /// keeps nothing: a client that comes back is told how many events it has missed. In a hub
        /// whose own `history_events_max` is zero it has to be `None` or zero. Default: none.
        pub history_events_max: Option<usize> as (usize => Some(history_events_max)),
        /// The most bytes of a topic's events that are kept, each event with 256 bytes more for
        /// what the engine keeps with it; any number. The newest event of a topic is kept however
        /// large it is. Default: none.
        pub history_bytes_max: Option<usize> as (usize => Some(history_bytes_max)),
        /// How long an event is kept, at most 7 days. Default: none.
        pub history_age_max: Option<Duration> as (Duration => Some(history_age_max)),
        /// How long a topic that was [finished](crate::Hub::finish) is known, at most 7 days.
        /// Default: none.
        pub finished_age_max: Option<Duration> as (Duration => Some(finished_age_max)),
        /// What happens to a connection that lags too far, if its client chose no policy and all
        /// of its subscriptions have the same one by their rules. Default: none.
        pub policy: Option<Policy> as (Policy => Some(policy)),
    }
}

/// A rule of a hub, and what its topics hold at the moment: those of which no rule is more
/// specific.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, Options, Subscription, Topic, TopicOptions};
///
/// let hub = Hub::start(Options::default())?;
/// let runs = Subscription::new("run/#")?;
/// hub.set_rule(&runs, TopicOptions::default().history_events_max(2))?;
/// for word in ["one", "two", "three"] {
///     hub.publish(&Topic::new("run/7")?, word)?;
/// }
/// let rules = hub.rules();
/// assert_eq!((&rules[0].subscription, rules[0].topics, rules[0].kept_events), (&runs, 1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// Its topic, or the filter that its topics match.
    pub subscription: Subscription,
    /// Its options as they were set.
    pub options: TopicOptions,
    /// Topics that have a subscriber, or events that are kept, or are finished.
    pub topics: u64,
    /// Topics that are finished.
    pub finished_topics: u64,
    /// Events that are kept.
    pub kept_events: u64,
    /// What they take: their bytes, 256 more for each of them, and 512 for each topic that has such
    /// or is finished.
    pub kept_bytes: u64,
}

/// Why a rule was not set.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use fanfare::{Hub, Options, RuleError, Subscription, TopicOptions};
///
/// let hub = Hub::start(Options::default())?;
/// let options = TopicOptions::default().history_age_max(Duration::from_secs(8 * 86_400));
/// match hub.set_rule(&Subscription::new("run/#")?, options) {
///     Err(RuleError::Options(error)) => assert_eq!(error.option, "history_age_max"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleError {
    /// An option is out of its bounds.
    Options(OptionsError),
    /// The hub has [`Hub::RULES_MAX`](crate::Hub::RULES_MAX) other rules.
    TooMany,
}

/// The most rules of a hub.
pub(crate) const RULES_MAX: usize = 1024;

impl TopicOptions {
    /// Checks every option against its bounds, as [`Hub::set_rule`](crate::Hub::set_rule) does.
    ///
    /// # Errors
    ///
    /// The first option that is outside of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::TopicOptions;
    ///
    /// assert_eq!(TopicOptions::default().check(), Ok(()));
    /// let week = Duration::from_secs(7 * 86_400);
    /// let error = TopicOptions::default().finished_age_max(2 * week).check().unwrap_err();
    /// assert_eq!((error.option, &*error.bounds), ("finished_age_max", "at most 7 days"));
    /// ```
    pub fn check(&self) -> Result<(), OptionsError> {
        let is_week = |age: Option<Duration>| age.is_none_or(|age| age <= 7 * DAY);
        within(is_week(self.history_age_max), "history_age_max", "at most 7 days")?;
        within(is_week(self.finished_age_max), "finished_age_max", "at most 7 days")
    }

    /// The same in a hub that keeps no events.
    pub(crate) fn check_without_history(&self) -> Result<(), OptionsError> {
        let bounds = "0 in a hub whose own history_events_max is 0; to keep events of some topics \
                      alone, start the hub with 1 or more, and set a rule with 0 for the others";
        within(self.history_events_max.is_none_or(|max| max == 0), "history_events_max", bounds)
    }

    /// These options, with those of other ones where these have none.
    pub(crate) fn or(self, others: &TopicOptions) -> TopicOptions {
        TopicOptions {
            history_events_max: self.history_events_max.or(others.history_events_max),
            history_bytes_max: self.history_bytes_max.or(others.history_bytes_max),
            history_age_max: self.history_age_max.or(others.history_age_max),
            finished_age_max: self.finished_age_max.or(others.finished_age_max),
            policy: self.policy.or(others.policy),
        }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleError::Options(error) => error.fmt(f),
            RuleError::TooMany => write!(
                f,
                "{RULES_MAX} rules are the most of a hub; remove one, or write several as a filter"
            ),
        }
    }
}

impl std::error::Error for RuleError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RuleError::Options(error) => Some(error),
            RuleError::TooMany => None,
        }
    }
}
