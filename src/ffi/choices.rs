//! What is chosen by a number: policies, forms of heartbeats. Of each 0 is the default.

use super::fields::Field;
use super::options::Refused;
use crate::heartbeat::HeartbeatForm;
use crate::policy::Policy;

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

/// By their numbers, from 1 on.
const POLICIES: [Policy; 3] = [Policy::Disconnect, Policy::DropOldest, Policy::Conflate];
const HEARTBEATS: [HeartbeatForm; 3] =
    [HeartbeatForm::Id, HeartbeatForm::Comment, HeartbeatForm::Event];

pub(super) fn policy(given: FanfarePolicy) -> Result<Option<Policy>, Refused> {
    let field = Field { name: "policy", bounds: "0 or one of FANFARE_POLICY_..." };
    field.choice(given, &POLICIES)
}

pub(super) fn heartbeat_form(given: FanfareHeartbeat) -> Result<Option<HeartbeatForm>, Refused> {
    let field = Field { name: "heartbeat_form", bounds: "0 or one of FANFARE_HEARTBEAT_..." };
    field.choice(given, &HEARTBEATS)
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
        }
        assert!(policy(4).is_err() && policy(u32::MAX).is_err());
        assert_eq!(POLICIES.len(), Policy::all().count());
        assert_eq!(HEARTBEATS.len(), HeartbeatForm::all().count());
    }
}
