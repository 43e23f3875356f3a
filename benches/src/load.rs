//! What a run is made of: its parameters as a definition or a command line gives them
//! ([`Settings`]), and as a run uses them, complete and within their bounds ([`Load`]).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;

/// The most clients of a run, in all processes; what this machine can hold is another matter.
const CLIENTS_MAX: usize = 1_000_000;
/// Data shorter than this, in bytes, may be too short for number and stamp.
pub(crate) const DATA_BYTES_MIN: usize = 40;
const DATA_BYTES_MAX: usize = 64 * 1024;
const EVENTS_MAX: u64 = 10_000_000;
const RATE_MAX: f64 = 100_000.0;
const SECONDS_MAX: u64 = 3_600;
const SOLO_INTERVAL_MS_MAX: u64 = 60_000;
/// The most topics that clients of a run have for themselves.
pub(crate) const TOPICS_MAX: usize = 1 << 20;
/// What a history is to hold.
const AWAY_MAX: u64 = 100_000;
const SPREAD_SECONDS_MAX: u64 = 60;
const SINGLES_MAX: u64 = 100_000;
const SHARDS_MAX: usize = 256;
const COUNT_MAX: u64 = 100_000_000;
const REPEAT_MAX: usize = 1_000;
/// The engine's own default.
const LAG_GRACE_PERCENT: u8 = 5;

/// Parameters of a part of a scenario, by name. What is absent has its default.
#[derive(clap::Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// How many clients connect and read
    #[arg(long)]
    pub(crate) clients: Option<usize>,
    /// How many events to publish to all
    #[arg(long)]
    pub(crate) events: Option<u64>,
    /// Events to all per second
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// For how long to publish at that rate, in seconds
    #[arg(long)]
    pub(crate) seconds: Option<u64>,
    /// Length of an event's data, in bytes
    #[arg(long)]
    pub(crate) bytes: Option<usize>,
    /// From one message for one client to the next, in milliseconds
    #[arg(long)]
    pub(crate) solo_interval_ms: Option<u64>,
    /// From when these messages are timed
    #[arg(long)]
    pub(crate) solo_stamp: Option<SoloStamp>,
    /// How many topics the clients have beside the one they share; client i has i modulo these
    #[arg(long)]
    pub(crate) topics: Option<usize>,
    /// Events to such topics, in turn, for each event to all
    #[arg(long)]
    pub(crate) singles: Option<u64>,
    /// How many further clients connect and then read nothing
    #[arg(long)]
    pub(crate) slow: Option<usize>,
    /// What these ask to happen to them when they lag too far
    #[arg(long)]
    pub(crate) slow_policy: Option<SlowPolicy>,
    /// How many keys the events to all have, in turn
    #[arg(long)]
    pub(crate) keys: Option<u64>,
    /// Events that are published while all clients are cut off
    #[arg(long)]
    pub(crate) away: Option<u64>,
    /// Over how many seconds they are cut off, one after another, while these events are published;
    /// without it all at once, before
    #[arg(long)]
    pub(crate) spread_seconds: Option<u64>,
    /// Events that are published, at the rate, from when they come back on
    #[arg(long)]
    pub(crate) live: Option<u64>,
    /// How many shards the engine has
    #[arg(long)]
    pub(crate) shards: Option<usize>,
    /// The share of the time, in percent, for which publishers may be held for clients that lag
    #[arg(long)]
    pub(crate) lag_grace_percent: Option<u8>,
    /// How many connections, one after another
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// How many of them at once
    #[arg(long)]
    pub(crate) concurrency: Option<usize>,
    /// Without sockets: events that are published before one pass
    #[arg(long)]
    pub(crate) batch: Option<usize>,
    /// Without sockets: deliveries that each measurement makes, about
    #[arg(long)]
    pub(crate) deliveries: Option<usize>,
    /// Without sockets: how many calls of publish
    #[arg(long)]
    pub(crate) calls: Option<usize>,
    /// How often to run each subject; they take turns
    #[arg(long)]
    pub(crate) repeat: Option<usize>,
    /// How often to run each peer, if that is less often
    #[arg(long)]
    pub(crate) peer_repeat: Option<usize>,
    /// What to measure, in this order: floor-a, floor-b, fanfare (or fanfare-smol, fanfare-tokio,
    /// fanfare-tokio-multi, fanfare-block-on: what drives it), peers (see --peers), all-peers, or
    /// names given with --peer; without sockets: how many connections or topics, rust, c
    #[arg(long, value_delimiter = ',')]
    pub(crate) subjects: Option<Vec<String>>,
    /// Leave it to the system on which core each process runs (on a command line: --unpinned)
    #[arg(skip)]
    pub(crate) unpinned: Option<bool>,
}

/// What clients and subject do in one run; subjects are given the same.
#[derive(clap::Args, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Load {
    /// Clients that read.
    #[arg(long, default_value_t = 1)]
    pub(crate) clients: usize,
    /// Events to all of them.
    #[arg(long, default_value_t = 0)]
    pub(crate) events: u64,
    /// Events to all per second; 0 is no pause.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) rate: f64,
    /// Length of an event's data.
    #[arg(long, default_value_t = 128)]
    pub(crate) bytes: usize,
    /// Milliseconds from one solo event to the next; 0 is never.
    #[arg(long, default_value_t = 0)]
    pub(crate) solo_interval_ms: u64,
    /// The time that is in a solo event.
    #[arg(long, value_enum, default_value_t = SoloStamp::Due)]
    pub(crate) solo_stamp: SoloStamp,
    /// Topics beside the shared one; 0 is none.
    #[arg(long, default_value_t = 0)]
    pub(crate) topics: usize,
    /// Events to these for each event to all.
    #[arg(long, default_value_t = 0)]
    pub(crate) singles: u64,
    /// Clients that do not read.
    #[arg(long, default_value_t = 0)]
    pub(crate) slow: usize,
    /// What these ask to happen to them.
    #[arg(long, value_enum, default_value_t = SlowPolicy::Disconnect)]
    pub(crate) slow_policy: SlowPolicy,
    /// Keys of the events to all, in turn; 0 is none.
    #[arg(long, default_value_t = 0)]
    pub(crate) keys: u64,
    /// Events while clients are cut off; 0 is a run in which no client is.
    #[arg(long, default_value_t = 0)]
    pub(crate) away: u64,
    /// Seconds over which they are cut off; 0 is at once.
    #[arg(long, default_value_t = 0)]
    pub(crate) spread_seconds: u64,
    /// Events from when they come back on.
    #[arg(long, default_value_t = 0)]
    pub(crate) live: u64,
    /// Shards of the engine.
    #[arg(long, default_value_t = 1)]
    pub(crate) shards: usize,
    /// Percent of the time for which the engine's publishers may be held for clients that lag.
    #[arg(long, default_value_t = LAG_GRACE_PERCENT)]
    pub(crate) lag_grace_percent: u8,
    /// Connections of the churn.
    #[arg(long, default_value_t = 0)]
    pub(crate) count: u64,
    /// How many of these at once.
    #[arg(long, default_value_t = 1)]
    pub(crate) concurrency: usize,
}

/// From when a solo event is timed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SoloStamp {
    /// When it was to be published: what its reader waits for.
    #[default]
    Due,
    /// When it was published: without what its publisher came too late.
    Call,
}

/// What is done to a client that lags too far.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SlowPolicy {
    /// It is closed.
    #[default]
    Disconnect,
    /// It skips events, and is told so.
    DropOldest,
    /// Of the events with one key it gets the newest.
    Conflate,
}

impl Settings {
    /// What is set, by name.
    pub(crate) fn to_map(&self) -> Map<String, Value> {
        let Ok(Value::Object(mut map)) = serde_json::to_value(self) else {
            unreachable!("a struct with plain fields is a JSON object")
        };
        map.retain(|_, value| !value.is_null());
        map
    }

    /// The settings of these names.
    ///
    /// # Errors
    ///
    /// When a name is unknown or a value of the wrong type.
    pub(crate) fn from_map(map: Map<String, Value>) -> Result<Self, Error> {
        Ok(serde_json::from_value(Value::Object(map))?)
    }

    /// The load that these settings make.
    ///
    /// # Errors
    ///
    /// The first setting that is out of its bounds, or does not go with another.
    pub(crate) fn load(&self) -> Result<Load, Error> {
        self.check()?;
        let events = match (self.rate, self.seconds, self.events) {
            (_, Some(_), Some(_)) => return Err("events and seconds exclude each other".into()),
            (Some(rate), Some(seconds), None) => (rate * seconds as f64).ceil().max(1.0) as u64,
            (None, Some(_), None) => return Err("seconds needs rate".into()),
            (_, None, events) => events.unwrap_or(0),
        };
        let load = Load {
            clients: self.clients.unwrap_or(1),
            events,
            rate: self.rate.unwrap_or(0.0),
            bytes: self.bytes.unwrap_or(128),
            solo_interval_ms: self.solo_interval_ms.unwrap_or(0),
            solo_stamp: self.solo_stamp.unwrap_or_default(),
            topics: self.topics.unwrap_or(0),
            singles: self.singles.unwrap_or(0),
            slow: self.slow.unwrap_or(0),
            slow_policy: self.slow_policy.unwrap_or_default(),
            keys: self.keys.unwrap_or(0),
            away: self.away.unwrap_or(0),
            spread_seconds: self.spread_seconds.unwrap_or(0),
            live: self.live.unwrap_or(0),
            shards: self.shards.unwrap_or(1),
            lag_grace_percent: self.lag_grace_percent.unwrap_or(LAG_GRACE_PERCENT),
            count: self.count.unwrap_or(0),
            concurrency: self.concurrency.unwrap_or(1),
        };
        load.check()?;
        Ok(load)
    }

    fn check(&self) -> Result<(), Error> {
        within("clients", self.clients, 1, CLIENTS_MAX)?;
        within("events", self.events, 1, EVENTS_MAX)?;
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate <= RATE_MAX)) {
            return Err(format!("rate must be more than 0 and at most {RATE_MAX}").into());
        }
        within("seconds", self.seconds, 1, SECONDS_MAX)?;
        within("bytes", self.bytes, DATA_BYTES_MIN, DATA_BYTES_MAX)?;
        within("solo_interval_ms", self.solo_interval_ms, 1, SOLO_INTERVAL_MS_MAX)?;
        within("topics", self.topics, 1, TOPICS_MAX)?;
        within("singles", self.singles, 1, SINGLES_MAX)?;
        within("slow", self.slow, 0, CLIENTS_MAX)?;
        within("keys", self.keys, 1, EVENTS_MAX)?;
        within("away", self.away, 1, AWAY_MAX)?;
        within("spread_seconds", self.spread_seconds, 1, SPREAD_SECONDS_MAX)?;
        within("live", self.live, 1, AWAY_MAX)?;
        within("shards", self.shards, 1, SHARDS_MAX)?;
        within("lag_grace_percent", self.lag_grace_percent, 0, 100)?;
        within("count", self.count, 1, COUNT_MAX)?;
        within("concurrency", self.concurrency, 1, CLIENTS_MAX)?;
        within("repeat", self.repeat, 1, REPEAT_MAX)?;
        within("peer_repeat", self.peer_repeat, 1, REPEAT_MAX)
    }
}

impl Load {
    /// Whether this is something that can be done; if not, why.
    pub(crate) fn check(&self) -> Result<(), Error> {
        within("bytes", Some(self.bytes), DATA_BYTES_MIN, DATA_BYTES_MAX)?;
        within("clients and slow together", Some(self.clients + self.slow), 1, CLIENTS_MAX)?;
        if !self.rate.is_finite() || self.rate < 0.0 {
            return Err("rate must be a number from 0 on".into());
        }
        if (self.topics > 0) != (self.singles > 0) {
            return Err("topics and singles need each other".into());
        }
        if self.topics > 0 && (self.solo_interval_ms > 0 || self.slow > 0) {
            return Err("topics goes neither with solo_interval_ms nor with slow".into());
        }
        if self.slow == 0 && self.slow_policy != SlowPolicy::Disconnect {
            return Err("slow_policy needs slow".into());
        }
        if self.away == 0 && (self.live > 0 || self.spread_seconds > 0) {
            return Err("live and spread_seconds need away".into());
        }
        if self.live > 0 && self.rate == 0.0 {
            return Err("live needs rate".into());
        }
        if self.away > 0 && self.events == 0 {
            return Err("away needs events, so that there is an id to come back with".into());
        }
        if self.away > 0 && (self.topics > 0 || self.slow > 0 || self.solo_interval_ms > 0) {
            return Err("away goes with none of topics, slow and solo_interval_ms".into());
        }
        let published = self.events.checked_mul(self.singles + 1);
        within("events, with singles,", Some(published.unwrap_or(u64::MAX)), 0, EVENTS_MAX)
    }

    /// Name and value of every parameter, as words.
    pub(crate) fn words(&self) -> Vec<(String, String)> {
        let Ok(Value::Object(map)) = serde_json::to_value(self) else {
            unreachable!("a struct with plain fields is a JSON object")
        };
        let word = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        map.into_iter().map(|(name, value)| (name, word(value))).collect()
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    name: &str,
    value: Option<T>,
    least: T,
    most: T,
) -> Result<(), Error> {
    match value {
        Some(value) if value < least || value > most => {
            Err(format!("{name} must be {least} to {most}, and is {value}").into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_of(text: &str) -> Result<Load, String> {
        let map = serde_json::from_str(text).unwrap();
        let settings = Settings::from_map(map).map_err(|error| error.to_string())?;
        settings.load().map_err(|error| error.to_string())
    }

    #[test]
    fn a_rate_and_seconds_make_a_number_of_events() {
        let load = load_of(r#"{"clients": 7, "rate": 2.5, "seconds": 3}"#).unwrap();
        assert_eq!((load.clients, load.events, load.rate, load.bytes), (7, 8, 2.5, 128));
    }

    #[test]
    fn what_cannot_be_is_said_with_its_name() {
        for (text, message) in [
            (r#"{"clinets": 1}"#, "unknown field `clinets`"),
            (r#"{"clients": "many"}"#, "invalid type"),
            (r#"{"clients": 0}"#, "clients must be 1 to 1000000, and is 0"),
            (r#"{"clients": 1000000, "slow": 1}"#, "clients and slow together must be"),
            (r#"{"bytes": 39}"#, "bytes must be 40 to 65536"),
            (r#"{"rate": 0}"#, "rate must be more than 0"),
            (r#"{"seconds": 1}"#, "seconds needs rate"),
            (r#"{"rate": 1, "seconds": 1, "events": 1}"#, "exclude each other"),
            (r#"{"topics": 5}"#, "topics and singles"),
            (r#"{"topics": 5, "singles": 1, "slow": 1}"#, "neither with"),
            (r#"{"slow_policy": "conflate"}"#, "needs slow"),
            (r#"{"slow": 1, "slow_policy": "wait"}"#, "unknown variant"),
            (r#"{"keys": 0}"#, "keys must be"),
            (r#"{"topics": 5, "singles": 100, "events": 1000000}"#, "events, with singles,"),
            (r#"{"events": 1, "live": 1, "rate": 1}"#, "need away"),
            (r#"{"events": 1, "away": 1, "live": 1}"#, "live needs rate"),
            (r#"{"away": 1}"#, "away needs events"),
            (r#"{"events": 1, "away": 1, "slow": 1}"#, "away goes with none"),
            (r#"{"solo_stamp": "never"}"#, "unknown variant"),
        ] {
            let error = load_of(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn settings_survive_being_a_map() {
        let map: Map<String, Value> =
            serde_json::from_str(r#"{"events": 3, "subjects": ["a", "b"], "unpinned": true}"#)
                .unwrap();
        assert_eq!(Settings::from_map(map.clone()).unwrap().to_map(), map);
    }
}
