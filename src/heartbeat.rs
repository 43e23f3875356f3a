//! What a stream carries besides events: heartbeats, the id at its beginning, reconnection times.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::excerpt::Excerpt;
use crate::id::EventId;

/// What a heartbeat is, and with it the first block of a stream, by which the engine tells a client
/// the id to come back with before there is an event.
///
/// The standard has a block that holds nothing but an id fire no event and move the id on. Many
/// client libraries do otherwise: some show their program an event without data, and some do not
/// remember the id, so that a client which is cut off before its first event loses what is
/// published until it is back. `docs/resuming.md` has a table of libraries, and which form suits
/// each.
///
/// # Examples
///
/// For all connections of a hub; a client may ask its listener for another form, with
/// `/events?topic=news&heartbeat=comment`:
///
/// ```
/// use fanfare::{HeartbeatForm, Hub, Options};
///
/// let hub = Hub::start(Options::default().heartbeat_form(HeartbeatForm::Event))?;
/// # Ok::<(), fanfare::StartError>(())
/// ```
///
/// By name:
///
/// ```
/// use fanfare::HeartbeatForm;
///
/// assert_eq!("comment".parse(), Ok(HeartbeatForm::Comment));
/// assert_eq!(HeartbeatForm::Id.as_str(), "id");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeartbeatForm {
    /// A block that holds nothing but the id. Right by the standard, and for browsers.
    #[default]
    Id,
    /// A comment, for clients that show an event for each block. No block of the stream is without
    /// data, except that the last block of a stream may be a reconnection time alone. A client that
    /// is cut off before its first event comes back without an id.
    Comment,
    /// An event named [`HeartbeatForm::EVENT_NAME`] with the id, and `{}` as data: every client
    /// remembers the id, and one that dispatches events by name shows nothing to its program unless
    /// this listens for the name.
    Event,
}

/// There is no form of heartbeats of this name.
///
/// # Examples
///
/// ```
/// use fanfare::{HeartbeatForm, HeartbeatFormError};
///
/// let error: HeartbeatFormError = "ping".parse::<HeartbeatForm>().unwrap_err();
/// assert!(error.to_string().ends_with("there are id, comment, event"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatFormError {
    name: Excerpt,
}

impl HeartbeatForm {
    pub(crate) const ALL: [HeartbeatForm; 3] =
        [HeartbeatForm::Id, HeartbeatForm::Comment, HeartbeatForm::Event];

    /// Every form, in an order in which new ones come last.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::HeartbeatForm;
    ///
    /// assert!(HeartbeatForm::all().any(|form| form == HeartbeatForm::Comment));
    /// ```
    pub fn all() -> impl Iterator<Item = HeartbeatForm> {
        HeartbeatForm::ALL.into_iter()
    }

    /// The name of the event that a heartbeat is in the form [`HeartbeatForm::Event`]. No event of
    /// this name can be published.
    pub const EVENT_NAME: &'static str = "fanfare-heartbeat";

    /// Its name in queries and options.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::HeartbeatForm;
    ///
    /// assert_eq!(HeartbeatForm::Comment.as_str(), "comment");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HeartbeatForm::Id => "id",
            HeartbeatForm::Comment => "comment",
            HeartbeatForm::Event => "event",
        }
    }

    /// The first block of a stream, which tells its client an id; `None` for comments.
    pub(crate) fn first_block(self, id: EventId) -> Option<Cow<'static, str>> {
        match self {
            HeartbeatForm::Id | HeartbeatForm::Event => Some(self.beat(Some(id))),
            HeartbeatForm::Comment => None,
        }
    }

    /// A heartbeat, with the id that its client is to come back with, if there is one to be told.
    pub(crate) fn beat(self, id: Option<EventId>) -> Cow<'static, str> {
        let id_line = id.map_or_else(String::new, |id| format!("id: {id}\n"));
        match self {
            HeartbeatForm::Id if id.is_some() => (id_line + "\n").into(),
            HeartbeatForm::Id => ":\n\n".into(),
            // Without an empty line: that would end a block, which some clients show.
            HeartbeatForm::Comment => ":\n".into(),
            HeartbeatForm::Event => {
                format!("{id_line}event: {}\ndata: {{}}\n\n", HeartbeatForm::EVENT_NAME).into()
            }
        }
    }

    /// The reconnection time that a client is told when it joins. A separate block would have no
    /// data, so where such blocks are not wanted it is a line of the block that comes next.
    pub(crate) fn first_retry(self, retry: Duration) -> String {
        let line = format!("retry: {}\n", retry.as_millis());
        match self {
            HeartbeatForm::Id => line + "\n",
            HeartbeatForm::Comment | HeartbeatForm::Event => line,
        }
    }

    /// The reconnection time that a client is told at the end of its stream, as a complete block,
    /// since some clients read whole blocks only.
    pub(crate) fn last_retry(self, retry: Duration) -> String {
        let block = match self {
            HeartbeatForm::Id | HeartbeatForm::Comment => "\n".into(),
            HeartbeatForm::Event => self.beat(None),
        };
        format!("retry: {}\n{block}", retry.as_millis())
    }
}

impl FromStr for HeartbeatForm {
    type Err = HeartbeatFormError;

    fn from_str(name: &str) -> Result<HeartbeatForm, HeartbeatFormError> {
        let known = HeartbeatForm::ALL.into_iter().find(|form| form.as_str() == name);
        known.ok_or_else(|| HeartbeatFormError { name: Excerpt::of(name) })
    }
}

impl fmt::Display for HeartbeatForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for HeartbeatFormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = HeartbeatForm::ALL.map(HeartbeatForm::as_str).join(", ");
        write!(f, "heartbeats have no form {}; there are {names}", self.name)
    }
}

impl std::error::Error for HeartbeatFormError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Epoch;

    #[test]
    fn every_form_has_a_name_and_an_unknown_one_is_told_what_there_is() {
        for form in HeartbeatForm::ALL {
            assert_eq!(form.as_str().parse(), Ok(form));
        }
        let error = "ids".parse::<HeartbeatForm>().unwrap_err().to_string();
        assert_eq!(error, "heartbeats have no form \"ids\"; there are id, comment, event");
    }

    #[test]
    fn each_form_tells_an_id_and_a_reconnection_time_in_its_way() {
        let id = EventId { epoch: Epoch::random(), sequence: 7 };
        let [by_id, comment, event] = HeartbeatForm::ALL.map(|form| form.beat(Some(id)));
        assert_eq!(by_id, format!("id: {id}\n\n"));
        assert_eq!(comment, ":\n");
        assert_eq!(event, format!("id: {id}\nevent: fanfare-heartbeat\ndata: {{}}\n\n"));
        let without_id = HeartbeatForm::ALL.map(|form| form.beat(None));
        assert_eq!(without_id, [":\n\n", ":\n", "event: fanfare-heartbeat\ndata: {}\n\n"]);
        assert_eq!(HeartbeatForm::Comment.first_block(id), None);
        assert_eq!(HeartbeatForm::Event.first_block(id), Some(event));
        let retry = Duration::from_secs(1);
        let first = HeartbeatForm::ALL.map(|form| form.first_retry(retry));
        assert_eq!(first, ["retry: 1000\n\n", "retry: 1000\n", "retry: 1000\n"]);
        let last = HeartbeatForm::ALL.map(|form| form.last_retry(retry));
        assert_eq!(last[0], "retry: 1000\n\n");
        assert_eq!(last[2], "retry: 1000\nevent: fanfare-heartbeat\ndata: {}\n\n");
    }
}
