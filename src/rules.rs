//! Rules: options of one topic, or of all topics that match a filter.

use crate::filter::Subscription;
use crate::hub::Hub;
use crate::options::{Rule, RuleError, TopicOptions, RULES_MAX};

impl Hub {
    /// The most rules of a hub.
    pub const RULES_MAX: usize = RULES_MAX;

    /// Sets the rule of a topic, or of all topics that match a filter: how much of each is kept,
    /// for how long, and the policy of its streams. Options that were set before for the same
    /// subscription are replaced, all of them. The topics need not exist; where they do, what the
    /// rule allows no longer is forgotten before the call returns.
    ///
    /// The most specific rule that matches a topic applies to it: the topic's own before those of
    /// filters; of filters, compared level by level, one with a name before one with `+`, and that
    /// before one with `#`. An option that it leaves open is as in the most specific one of the
    /// rules that match all of its topics and have this option, and otherwise as in the hub's
    /// options. The hub's bounds over all topics hold beside those of the rules.
    ///
    /// A policy holds for streams that are opened later and whose client chose none; if the rules
    /// of a stream's subscriptions say different ones, it has the hub's. The rule of a filter that
    /// is subscribed to is the one of the same filter, or the most specific one that matches all of
    /// its topics.
    ///
    /// Takes time for the topics that there are whose names begin as the filter does. Publishers
    /// are held up for a moment at most.
    ///
    /// # Errors
    ///
    /// When an option is out of its bounds, or the hub has [`Hub::RULES_MAX`] other rules. Then
    /// nothing has changed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{Hub, Options, Policy, Subscription, TopicOptions};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let minutes = |count: u64| Duration::from_secs(60 * count);
    /// let runs = TopicOptions::default().history_events_max(10_000).history_age_max(minutes(60));
    /// hub.set_rule(&Subscription::new("run/#")?, runs.finished_age_max(minutes(10)))?;
    /// let quotes = TopicOptions::default().history_events_max(1).policy(Policy::Conflate);
    /// hub.set_rule(&Subscription::new("quotes/+")?, quotes)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_rule(
        &self,
        subscription: &Subscription,
        options: TopicOptions,
    ) -> Result<(), RuleError> {
        let (shared, subscription) = (self.shared(), plain(subscription));
        if let Some(cluster) = &shared.cluster {
            shared.order.check_rule(&subscription, &options)?;
            cluster.set_rule(&subscription, Some(&options));
            return Ok(());
        }
        shared.order.set_rule(&subscription, options)
    }

    /// Removes the rule of a topic or filter, and returns whether there was one. Its topics have
    /// the next rule that matches them from then on, or the hub's options.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options, Subscription, TopicOptions};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let runs = Subscription::new("run/#")?;
    /// hub.set_rule(&runs, TopicOptions::default().history_events_max(10_000))?;
    /// assert!(hub.remove_rule(&runs));
    /// assert!(!hub.remove_rule(&runs));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_rule(&self, subscription: &Subscription) -> bool {
        let (shared, subscription) = (self.shared(), plain(subscription));
        if let Some(cluster) = &shared.cluster {
            let is_there = shared.order.has_rule(&subscription);
            if is_there {
                cluster.set_rule(&subscription, None);
            }
            return is_there;
        }
        shared.order.remove_rule(&subscription)
    }

    /// The rules, in no order, and what the topics of each hold at the moment. A topic counts with
    /// its most specific rule alone.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options, Subscription, TopicOptions};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// // A rule without options changes nothing, and counts.
    /// hub.set_rule(&Subscription::new("run/#")?, TopicOptions::default())?;
    /// for rule in hub.rules() {
    ///     println!("{} keeps {} bytes", rule.subscription, rule.kept_bytes);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        self.shared().order.rules()
    }
}

/// The same subscription, and a topic if it is a filter without a wildcard.
fn plain(subscription: &Subscription) -> Subscription {
    match subscription {
        Subscription::Filter(filter) => filter.clone().into(),
        topic @ Subscription::Topic(_) => topic.clone(),
    }
}
