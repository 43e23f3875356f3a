//! Gap events, which tell a client that events are missing from its stream.

use std::fmt;
use std::io::Write;

use crate::envelope::put_json_string;
use crate::frame::{in_chunk, Wire};
use crate::id::EventId;

/// Events that a client would have been sent, and never will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The last id that the client had, as it gave it; `None` if it is not to be repeated.
    pub(crate) from: Option<String>,
    /// No event after this one is missing.
    pub(crate) to: EventId,
    pub(crate) reason: GapReason,
    /// How many events are missing, if that is known.
    pub(crate) missed: Option<u64>,
}

/// Why events are missing from a stream, as a gap event tells its client; the event's name is
/// [`Options::gap_event`](crate::Options).
///
/// # Examples
///
/// ```
/// use fanfare::{GapReason, Hub, Options};
///
/// let hub = Hub::start(Options::default())?;
/// let metrics = hub.metrics();
/// for reason in GapReason::all() {
///     println!("{reason}: {}", metrics.gap_events(reason));
/// }
/// # Ok::<(), fanfare::StartError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// The events after the client's last one are not kept any more.
    Expired,
    /// The id was given by the hub before it was restarted.
    Restarted,
    /// The id is none that the hub knows.
    UnknownId,
    /// The client read too slowly, and events were dropped for it.
    Slow,
    /// Events were published, and lost with the hub's process or machine before its journal had them as
    /// safely as [`Durability`](crate::Durability) promises; or they were lost with the cluster's server, or cut off
    /// its stream before the hub had read them.
    Lost,
}

impl GapReason {
    pub(crate) const ALL: [GapReason; 5] = [
        GapReason::Expired,
        GapReason::Restarted,
        GapReason::UnknownId,
        GapReason::Slow,
        GapReason::Lost,
    ];

    /// Every reason, in an order in which new ones come last.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::GapReason;
    ///
    /// assert_eq!(GapReason::all().next(), Some(GapReason::Expired));
    /// ```
    pub fn all() -> impl Iterator<Item = GapReason> {
        GapReason::ALL.into_iter()
    }

    /// Its name in gap events and metrics.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::GapReason;
    ///
    /// assert_eq!(GapReason::UnknownId.as_str(), "unknown_id");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            GapReason::Expired => "expired",
            GapReason::Restarted => "restarted",
            GapReason::UnknownId => "unknown_id",
            GapReason::Slow => "slow",
            GapReason::Lost => "lost",
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Gap {
    /// The gap as an event with this name; its data is a JSON object with `from`, `to`, `reason`
    /// and `missed`. A client that comes back with the event's `id` misses no later event, and is
    /// told of the gap again only if it has to be.
    pub(crate) fn encode(&self, name: &str, id: EventId, wire: Wire) -> Vec<u8> {
        let Gap { from, to, reason, missed } = self;
        let mut block = format!("id: {id}\nevent: {name}\ndata: {{\"from\":").into_bytes();
        match from {
            Some(from) => put_json_string(&mut block, from.as_bytes()),
            None => block.extend_from_slice(b"null"),
        }
        let missed = missed.map_or_else(|| "null".to_owned(), |missed| missed.to_string());
        let reason = reason.as_str();
        // Writing to a vector never fails.
        let _ = write!(block, ",\"to\":\"{to}\",\"reason\":\"{reason}\",\"missed\":{missed}}}\n\n");
        in_chunk(wire, &block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::chunk;
    use crate::id::Epoch;

    #[test]
    fn a_gap_is_an_event_that_says_what_is_missing() {
        let to = EventId { epoch: Epoch::random(), sequence: 7 };
        let gap = Gap {
            from: Some("a\"b\\c\u{1}é".to_owned()),
            to,
            reason: GapReason::Expired,
            missed: Some(3),
        };
        let json =
            format!(r#"{{"from":"a\"b\\c\u0001é","to":"{to}","reason":"expired","missed":3}}"#);
        let block = format!("id: {to}\nevent: fanfare-gap\ndata: {json}\n\n");
        assert_eq!(gap.encode("fanfare-gap", to, Wire::Plain), block.as_bytes());
        assert_eq!(gap.encode("fanfare-gap", to, Wire::Chunked), chunk(block.as_bytes()));
        let unknown = Gap { from: None, reason: GapReason::Slow, missed: None, ..gap };
        let text = String::from_utf8(unknown.encode("g", to, Wire::Plain)).unwrap();
        assert!(text.contains(r#"{"from":null,"#) && text.ends_with("\"missed\":null}\n\n"));
    }
}
