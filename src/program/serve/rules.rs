//! `--rule`: options of topics as people write them, `run/#:events=10000,age=1h`.

use std::collections::HashSet;
use std::str::FromStr;

use fanfare::{Hub, OptionsError, RuleError, Subscription, TopicOptions};

use super::super::outcome::Usage;
use super::super::units;

/// One `--rule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuleArg {
    subscription: Subscription,
    options: TopicOptions,
}

/// The keys, and the options that they are for.
const KEYS: [(&str, &str); 5] = [
    ("events", "history_events_max"),
    ("bytes", "history_bytes_max"),
    ("age", "history_age_max"),
    ("after-finish", "finished_age_max"),
    ("policy", "policy"),
];

impl RuleArg {
    /// Sets the rules of a hub, of which the second for one topic or filter would replace the
    /// first.
    pub(super) fn set_all(rules: &[RuleArg], hub: &Hub) -> Result<(), Usage> {
        let mut seen = HashSet::new();
        for rule in rules {
            if !seen.insert(rule.subscription.as_str()) {
                return Err(Usage(format!(
                    "--rule {}: it is there twice; write one rule with all of its keys",
                    rule.subscription
                )));
            }
            rule.set(hub)?;
        }
        // Those of a cluster are not this server's alone.
        if hub.options().cluster.is_some() {
            return Ok(());
        }
        // Those that a journal still has, and that are not there any more.
        for rule in hub.rules() {
            if !seen.contains(rule.subscription.as_str()) {
                hub.remove_rule(&rule.subscription);
            }
        }
        Ok(())
    }

    /// Sets the rule.
    fn set(&self, hub: &Hub) -> Result<(), Usage> {
        hub.set_rule(&self.subscription, self.options.clone()).map_err(|error| {
            let why = match error {
                RuleError::Options(error) => out_of_bounds(&error),
                other => other.to_string(),
            };
            Usage(format!("--rule {}: {why}", self.subscription))
        })
    }
}

impl FromStr for RuleArg {
    type Err = String;

    fn from_str(text: &str) -> Result<RuleArg, String> {
        let (subscription, options) = split(text).ok_or_else(|| {
            format!("write it as FILTER:KEY=VALUE,KEY=VALUE; the keys are {}", keys())
        })?;
        let subscription = Subscription::new(subscription).map_err(|error| error.to_string())?;
        let mut set = TopicOptions::default();
        let mut seen = Vec::new();
        for option in options.split(',') {
            let (key, value) = option
                .split_once('=')
                .ok_or_else(|| format!("{option:?} has no value: write KEY=VALUE"))?;
            if seen.contains(&key) {
                return Err(format!("{key} is given twice; leave one of them out"));
            }
            seen.push(key);
            set = with(set, key, value)?;
        }
        set.check().map_err(|error| out_of_bounds(&error))?;
        Ok(RuleArg { subscription, options: set })
    }
}

/// Divides a text at the last colon that a key and `=` come after: a topic may hold colons too.
fn split(text: &str) -> Option<(&str, &str)> {
    let has_key = |rest: &str| {
        let is_of_key = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        rest.split_once('=').is_some_and(|(key, _)| !key.is_empty() && key.bytes().all(is_of_key))
    };
    let mut colons = text.rmatch_indices(':').map(|(at, _)| (&text[..at], &text[at + 1..]));
    colons.find(|(_, rest)| has_key(rest))
}

fn with(options: TopicOptions, key: &str, value: &str) -> Result<TopicOptions, String> {
    let of_key = |why: String| format!("{key}={value}: {why}");
    Ok(match key {
        "events" => options.history_events_max(
            value.parse().map_err(|_| of_key("write a whole number, such as 1000".to_owned()))?,
        ),
        "bytes" => options.history_bytes_max(units::bytes(value).map_err(of_key)?),
        "age" => options.history_age_max(units::duration(value).map_err(of_key)?),
        "after-finish" => options.finished_age_max(units::duration(value).map_err(of_key)?),
        "policy" => options.policy(value.parse().map_err(|error| of_key(format!("{error}")))?),
        _ => return Err(format!("there is no key {key:?}; the keys are {}", keys())),
    })
}

fn keys() -> String {
    KEYS.map(|(key, _)| key).join(", ")
}

fn out_of_bounds(error: &OptionsError) -> String {
    let key = KEYS.into_iter().find(|(_, option)| *option == error.option);
    let key = key.map_or(error.option, |(key, _)| key);
    format!("{key} is out of bounds: it may be {}", error.bounds)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fanfare::{Options, Policy};

    use super::super::args::tests::parse;
    use super::*;

    fn rule(text: &str) -> Result<RuleArg, String> {
        text.parse()
    }

    #[test]
    fn each_key_sets_its_option() {
        let all = "run/#:events=10000,bytes=1MiB,age=1h,after-finish=10m,policy=conflate";
        let expected = TopicOptions::default()
            .history_events_max(10_000)
            .history_bytes_max(1 << 20)
            .history_age_max(Duration::from_secs(3_600))
            .finished_age_max(Duration::from_secs(600))
            .policy(Policy::Conflate);
        let subscription = Subscription::new("run/#").unwrap();
        assert_eq!(rule(all), Ok(RuleArg { subscription, options: expected }));
    }

    #[test]
    fn a_topic_may_hold_colons_and_what_looks_like_an_option() {
        for (text, subscription) in [
            ("urn:isbn:1:events=7", "urn:isbn:1"),
            ("a:age=1h:events=7", "a:age=1h"),
            ("a:A=1:events=7", "a:A=1"),
            ("::events=7", ":"),
        ] {
            let rule = rule(text).unwrap();
            assert_eq!(
                (rule.subscription.as_str(), rule.options.history_events_max),
                (subscription, Some(7))
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_the_key() {
        for (text, part) in [
            ("run/#", "write it as FILTER:KEY=VALUE"),
            ("run/#:", "the keys are events, bytes, age, after-finish, policy"),
            ("events=7", "write it as FILTER:KEY=VALUE"),
            (":events=7", "the topic is empty"),
            ("a/#/b:events=7", "the filter goes on after '#'"),
            ("a:event=7", "there is no key \"event\"; the keys are events,"),
            ("a:events=many", "events=many: write a whole number"),
            ("a:bytes=1x", "bytes=1x: write it as 4096"),
            ("a:age=5", "age=5: write it as 500ms"),
            ("a:age=8d", "age is out of bounds: it may be at most 7 days"),
            ("a:after-finish=8d", "after-finish is out of bounds: it may be at most 7 days"),
            ("a:policy=fastest", "policy=fastest: there is no policy"),
            ("a:events=7,events=8", "events is given twice"),
            ("a:events=7,age", "\"age\" has no value"),
        ] {
            let error = rule(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = parse(&["--rule", "a:event=7"]).err().unwrap().to_string();
        assert!(error.contains("--rule") && error.contains("there is no key"), "{error}");
    }

    #[test]
    fn a_rule_that_the_hub_refuses_is_named_with_the_flag_and_the_key() {
        let hub = Hub::start(Options::default().shards(1).history_events_max(0)).unwrap();
        let error = rule("run/#:events=7").unwrap().set(&hub).unwrap_err().to_string();
        assert!(error.starts_with("--rule run/#: events is out of bounds: it may be 0"), "{error}");
        assert!(rule("run/#:events=0,age=1h").unwrap().set(&hub).is_ok());
    }
}
