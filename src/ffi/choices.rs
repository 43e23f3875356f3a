//! What is chosen by a number: policies, forms of heartbeats, beginnings of streams, envelopes. Of each
//! 0 is the default.

use super::fields::Field;
use super::options::Refused;
use crate::durability::Durability;
use crate::envelope::Envelope;
use crate::heartbeat::HeartbeatForm;
use crate::policy::Policy;
use crate::resume::StartAt;

/// What happens to a connection that lags too far: one of the constants of `fanfare_policy_code`, or 0
/// for what decides otherwise.
pub type FanfarePolicy = u32;

/// The values of a `fanfare_policy`.
#[repr(C)]
#[allow(non_camel_case_types)] // They are C's names, which are the same in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanfarePolicyCode {
    /// It is disconnected; its client comes back, and is sent what it has missed.
    FANFARE_POLICY_DISCONNECT = 1,
    /// It misses the oldest events that wait for it, and is told of the gap.
    FANFARE_POLICY_DROP_OLDEST = 2,
    /// Of the events that wait for it, it is sent the newest of each key.
    FANFARE_POLICY_CONFLATE = 3,
}

/// What a stream is sent when there is nothing else: one of the constants of `fanfare_heartbeat_code`,
/// or 0 for the hub's.
pub type FanfareHeartbeat = u32;

/// The values of a `fanfare_heartbeat`.
#[repr(C)]
#[allow(non_camel_case_types)] // They are C's names, which are the same in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanfareHeartbeatCode {
    /// An id alone, by which a client that comes back skips more.
    FANFARE_HEARTBEAT_ID = 1,
    /// A comment.
    FANFARE_HEARTBEAT_COMMENT = 2,
    /// An event named "fanfare-heartbeat", which a page sees.
    FANFARE_HEARTBEAT_EVENT = 3,
}

/// Where a stream begins: one of the constants of `fanfare_start_code`, or 0 for what decides
/// otherwise. Beside it is the number of events that FANFARE_START_LAST takes.
pub type FanfareStart = u32;

/// The values of a `fanfare_start`.
#[repr(C)]
#[allow(non_camel_case_types)] // They are C's names, which are the same in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanfareStartCode {
    /// With what is published from now on.
    FANFARE_START_NOW = 1,
    /// With the newest event of each topic that is kept.
    FANFARE_START_LATEST = 2,
    /// With as many of the newest events as the field beside this one says.
    FANFARE_START_LAST = 3,
    /// With all events that are kept.
    FANFARE_START_EARLIEST = 4,
}

/// What is around an event's data in a stream: one of the constants of `fanfare_envelope_code`, or 0,
/// which is FANFARE_ENVELOPE_NONE.
pub type FanfareEnvelope = u32;

/// The values of a `fanfare_envelope`.
#[repr(C)]
#[allow(non_camel_case_types)] // They are C's names, which are the same in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanfareEnvelopeCode {
    /// Nothing.
    FANFARE_ENVELOPE_NONE = 1,
    /// A JSON object that says the event's topic.
    FANFARE_ENVELOPE_JSON = 2,
}

/// What is promised of events that a hub with a data_dir has accepted: one of the constants of
/// `fanfare_durability_code`, or 0 for the default.
pub type FanfareDurability = u32;

/// The values of a `fanfare_durability`. Publishers that wait are answered when it holds.
#[repr(C)]
#[allow(non_camel_case_types)] // They are C's names, which are the same in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanfareDurabilityCode {
    /// Events survive the process, but not a machine that loses its power.
    FANFARE_DURABILITY_OS = 1,
    /// The same; and the disk has each event at most the option sync_interval_ms later.
    FANFARE_DURABILITY_INTERVAL = 2,
    /// The disk has the event.
    FANFARE_DURABILITY_ALWAYS = 3,
}

/// By their numbers, from 1 on.
const DURABILITIES: [Durability; 3] = [Durability::Os, Durability::Interval, Durability::Always];
const POLICIES: [Policy; 3] = [Policy::Disconnect, Policy::DropOldest, Policy::Conflate];
const HEARTBEATS: [HeartbeatForm; 3] =
    [HeartbeatForm::Id, HeartbeatForm::Comment, HeartbeatForm::Event];
const ENVELOPES: [Envelope; 2] = [Envelope::None, Envelope::Json];

pub(super) fn durability(given: FanfareDurability) -> Result<Option<Durability>, Refused> {
    let field = Field { name: "durability", bounds: "0 or one of FANFARE_DURABILITY_..." };
    field.choice(given, &DURABILITIES)
}

pub(super) fn policy(given: FanfarePolicy) -> Result<Option<Policy>, Refused> {
    let field = Field { name: "policy", bounds: "0 or one of FANFARE_POLICY_..." };
    field.choice(given, &POLICIES)
}

/// A policy's number.
pub(super) fn number_of_policy(policy: Policy) -> FanfarePolicy {
    (1..).zip(POLICIES).find(|(_, known)| *known == policy).map_or(0, |(number, _)| number)
}

pub(super) fn heartbeat_form(given: FanfareHeartbeat) -> Result<Option<HeartbeatForm>, Refused> {
    let field = Field { name: "heartbeat_form", bounds: "0 or one of FANFARE_HEARTBEAT_..." };
    field.choice(given, &HEARTBEATS)
}

pub(super) fn envelope(given: FanfareEnvelope) -> Result<Envelope, Refused> {
    let field = Field { name: "envelope", bounds: "0 or one of FANFARE_ENVELOPE_..." };
    field.choice(given, &ENVELOPES).map(Option::unwrap_or_default)
}

/// Where a stream begins, by the name of the field that says it.
pub(super) fn start(
    name: &'static str,
    given: FanfareStart,
    last: u32,
) -> Result<Option<StartAt>, Refused> {
    let field = Field { name, bounds: "0 or one of FANFARE_START_..." };
    field.choice(given, &[StartAt::Now, StartAt::Latest, StartAt::Last(last), StartAt::Earliest])
}

/// A start's number, and how many events it takes.
#[cfg(feature = "tickets")]
pub(super) fn number_of_start(start: Option<StartAt>) -> (FanfareStart, u32) {
    match start {
        None => (0, 0),
        Some(StartAt::Now) => (FanfareStartCode::FANFARE_START_NOW as u32, 0),
        Some(StartAt::Latest) => (FanfareStartCode::FANFARE_START_LATEST as u32, 0),
        Some(StartAt::Last(count)) => (FanfareStartCode::FANFARE_START_LAST as u32, count),
        Some(StartAt::Earliest) => (FanfareStartCode::FANFARE_START_EARLIEST as u32, 0),
    }
}

/// The bit in a set of policies that says that the set is to be taken as it is.
pub const FANFARE_POLICIES_THESE: u32 = 1;

/// A set of policies: the bit of each is `1u << policy`. 0 is the default, and a set without any is
/// `FANFARE_POLICIES_THESE` alone.
pub(super) fn policies(given: u32) -> Result<Option<Vec<Policy>>, Refused> {
    if given >= 1 << (POLICIES.len() + 1) {
        let bounds = "0, or the bits 1u << FANFARE_POLICY_... and FANFARE_POLICIES_THESE";
        return Err(Refused::Option { name: "policies", bounds });
    }
    let numbered = (1..).zip(POLICIES);
    let chosen = numbered.filter(|(number, _)| given & 1 << number != 0).map(|(_, policy)| policy);
    Ok((given != 0).then(|| chosen.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_its_name_and_zero_is_none() {
        use FanfarePolicyCode as Code;
        assert_eq!(policy(0), Ok(None));
        for (code, expected) in [
            (Code::FANFARE_POLICY_DISCONNECT, Policy::Disconnect),
            (Code::FANFARE_POLICY_DROP_OLDEST, Policy::DropOldest),
            (Code::FANFARE_POLICY_CONFLATE, Policy::Conflate),
        ] {
            assert_eq!(policy(code as u32), Ok(Some(expected)));
            #[cfg(feature = "tickets")]
            assert_eq!(number_of_policy(expected), code as u32);
        }
        assert!(policy(4).is_err() && policy(u32::MAX).is_err());
        assert_eq!(POLICIES.len(), Policy::all().count());
        assert_eq!(HEARTBEATS.len(), HeartbeatForm::all().count());
        assert_eq!(ENVELOPES.len(), Envelope::all().count());
        let last = FanfareStartCode::FANFARE_START_LAST as u32;
        assert_eq!(start("start", last, 7), Ok(Some(StartAt::Last(7))));
    }

    #[test]
    fn a_set_of_policies_has_a_bit_for_each() {
        assert_eq!(policies(0), Ok(None));
        assert_eq!(policies(FANFARE_POLICIES_THESE), Ok(Some(vec![])));
        assert_eq!(policies(1 << 3 | 1 << 1), Ok(Some(vec![Policy::Disconnect, Policy::Conflate])));
        assert!(policies(1 << 4).is_err());
    }
}
