//! What happens to a connection that lags too far.

use std::fmt;
use std::str::FromStr;

use crate::excerpt::Excerpt;

/// The fate of a connection that lags by more than `lag_bytes_max` or `lag_age_max`.
///
/// A client that keeps up gets every event under each policy, and no other client is delayed by one
/// that lags. An event that was begun is always sent whole. Where events are missing from a stream,
/// its client is told so in their place, by one event named `gap_event` with JSON as data:
/// `{"from":"7k2m...-41","to":"7k2m...-97","reason":"slow","missed":56}`.
///
/// - `from` is the id of the last event that the client was sent before, `null` if it was sent
///   none, or none since its topics were [changed](crate::Hub::set_subscriptions);
/// - `to` is the hub's id of the last event that is missing. It is the id of the gap event as well,
///   so a client that reconnects goes on behind it;
/// - `missed` is how many events were dropped.
///
/// # Examples
///
/// For all connections of a hub; a client may ask its listener for another one, with
/// `/events?topic=quotes&policy=disconnect` ([`ListenOptions::policies`]):
///
/// ```
/// use fanfare::{Event, Hub, Options, Policy, Topic};
///
/// let hub = Hub::start(Options::default().policy(Policy::Conflate))?;
/// // A client that is slow gets the newest price of each share, and not each price.
/// hub.publish(&Topic::new("quotes")?, Event::new("12.50").with_key("ACME"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// By name:
///
/// ```
/// use fanfare::Policy;
///
/// assert_eq!("drop-oldest".parse(), Ok(Policy::DropOldest));
/// assert_eq!(Policy::Conflate.as_str(), "conflate");
/// ```
///
/// [`ListenOptions::policies`]: crate::ListenOptions::policies
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// It is closed. An `EventSource` then reconnects by itself, and says which event it had last.
    /// Under a publisher without pause it may be waited for a little first, see `lag_grace` and
    /// `lag_grace_percent`.
    #[default]
    Disconnect,
    /// It skips events: the oldest that wait for it are dropped, until the rest takes at
    /// most half of `lag_bytes_max`, and is not older than `lag_age_max`. No publisher
    /// waits for it.
    DropOldest,
    /// Of the events with one [`key`](crate::Event::with_key) it is sent the newest alone, in the
    /// order of their last updates; events without a key are all kept. This holds for all events
    /// that were not begun when its socket takes more, also within the bounds.
    ///
    /// The events that are left are kept however old they are. If they have more than
    /// `lag_bytes_max` bytes, because there are too many keys or events without one, the oldest are
    /// dropped until half of that is left; these, and not events that a newer one has replaced, are
    /// `missed` in the gap event. Beside the events that were conflated, the same amount of bytes
    /// may wait in the order in which the events were published.
    Conflate,
}

/// There is no policy of this name.
///
/// # Examples
///
/// ```
/// use fanfare::{Policy, PolicyError};
///
/// let error: PolicyError = "fastest".parse::<Policy>().unwrap_err();
/// assert!(error.to_string().ends_with("there are disconnect, drop-oldest, conflate"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    name: Excerpt,
}

impl Policy {
    pub(crate) const ALL: [Policy; 3] = [Policy::Disconnect, Policy::DropOldest, Policy::Conflate];

    /// Every policy, in an order in which new ones come last.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Policy;
    ///
    /// assert!(Policy::all().all(|policy| policy.as_str().parse() == Ok(policy)));
    /// ```
    pub fn all() -> impl Iterator<Item = Policy> {
        Policy::ALL.into_iter()
    }

    /// The policies that cost others no more than this one does: publishers may wait for a
    /// connection that is to be disconnected, and never for a connection that drops or conflates
    /// events.
    pub(crate) fn no_laxer(self) -> &'static [Policy] {
        match self {
            Policy::Disconnect => &Policy::ALL,
            Policy::DropOldest | Policy::Conflate => &[Policy::DropOldest, Policy::Conflate],
        }
    }

    /// Its name in queries, options and logs.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Policy;
    ///
    /// assert_eq!(Policy::DropOldest.as_str(), "drop-oldest");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::Disconnect => "disconnect",
            Policy::DropOldest => "drop-oldest",
            Policy::Conflate => "conflate",
        }
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(name: &str) -> Result<Policy, PolicyError> {
        let known = Policy::ALL.into_iter().find(|policy| policy.as_str() == name);
        known.ok_or_else(|| PolicyError { name: Excerpt::of(name) })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Policy::ALL.map(Policy::as_str).join(", ");
        write!(f, "there is no policy {}; there are {names}", self.name)
    }
}

impl std::error::Error for PolicyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_has_a_name_and_an_unknown_one_is_told_what_there_is() {
        for policy in Policy::ALL {
            assert_eq!(policy.as_str().parse(), Ok(policy));
        }
        let error = "Conflate".parse::<Policy>().unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no policy \"Conflate\"; there are disconnect, drop-oldest, conflate"
        );
    }
}
