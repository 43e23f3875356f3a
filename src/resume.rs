//! Which earlier events a client is sent before those that are published after it came.

use std::fmt;
use std::str::FromStr;

use crate::event::Event;
use crate::excerpt::Excerpt;

/// Where a client's stream begins. A client that says which event it had last (`Last-Event-ID`)
/// is sent everything since; this is for all others, and for a client whose id is gone
/// ([`ListenOptions::gap_start`](crate::ListenOptions::gap_start)).
///
/// # Examples
///
/// Clients begin with the newest ten events of their topics:
///
/// ```
/// use fanfare::{Hub, ListenOptions, Options, StartAt};
///
/// let hub = Hub::start(Options::default())?;
/// let options = ListenOptions::default().start(StartAt::Last(10));
/// let listener = hub.listen("127.0.0.1:0", options)?;
/// # let _ = listener;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// By name, as in a query and in the flags of `fanfare serve`:
///
/// ```
/// use fanfare::StartAt;
///
/// assert_eq!("earliest".parse(), Ok(StartAt::Earliest));
/// assert_eq!("last=10".parse(), Ok(StartAt::Last(10)));
/// assert_eq!(StartAt::Last(10).to_string(), "last=10");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// With what is published from now on.
    #[default]
    Now,
    /// With the newest event of each of its topics.
    Latest,
    /// With the newest events over all of its topics, at most this many; more than
    /// [`StartAt::LAST_MAX`] counts as that.
    Last(u32),
    /// With all events of its topics that are kept, the oldest first. What was forgotten before the
    /// client came is not told to it; an event that is forgotten while the client is sent the ones
    /// before it is told as a gap.
    Earliest,
}

/// There is no start of this name.
///
/// # Examples
///
/// ```
/// use fanfare::{StartAt, StartAtError};
///
/// let error: StartAtError = "first".parse::<StartAt>().unwrap_err();
/// assert!(error.to_string().ends_with("there are now, latest, last=N, earliest"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartAtError {
    name: Excerpt,
}

impl StartAt {
    /// The most events that a stream begins with, if it begins with the newest.
    pub const LAST_MAX: u32 = 10_000;
}

impl FromStr for StartAt {
    type Err = StartAtError;

    fn from_str(name: &str) -> Result<StartAt, StartAtError> {
        let known = match (name, name.strip_prefix("last=")) {
            ("now", _) => Some(StartAt::Now),
            ("latest", _) => Some(StartAt::Latest),
            ("earliest", _) => Some(StartAt::Earliest),
            (_, Some(count)) => count.parse().ok().map(StartAt::Last),
            (_, None) => None,
        };
        known.ok_or_else(|| StartAtError { name: Excerpt::of(name) })
    }
}

impl fmt::Display for StartAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartAt::Now => f.write_str("now"),
            StartAt::Latest => f.write_str("latest"),
            StartAt::Last(count) => write!(f, "last={count}"),
            StartAt::Earliest => f.write_str("earliest"),
        }
    }
}

impl fmt::Display for StartAtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no start {}; there are now, latest, last=N, earliest", self.name)
    }
}

impl std::error::Error for StartAtError {}

/// Where a client asks its stream to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// It gives no id.
    Start(StartAt),
    /// It says that it had every event up to the one with this id. If that is gone, or events after
    /// it are, the reason decides where the stream begins.
    After(Box<str>),
    /// The same, and the stream then begins there.
    AfterOr(Box<str>, StartAt),
}

impl Resume {
    /// After an id, or where to begin if that is gone.
    pub(crate) fn after(id: impl Into<Box<str>>, gap_start: Option<StartAt>) -> Resume {
        match gap_start {
            None => Resume::After(id.into()),
            Some(start) => Resume::AfterOr(id.into(), start),
        }
    }

    /// After the id that a client gives as its last one. One that no event can have is one that is
    /// gone: the gap event says so, and does not repeat it.
    pub(crate) fn last_event_id(id: &str, gap_start: Option<StartAt>) -> Resume {
        let is_possible = id.len() <= Event::FIELD_BYTES_MAX && !id.chars().any(char::is_control);
        Resume::after(if is_possible { id } else { "" }, gap_start)
    }

    /// The id that the client gives.
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Resume::Start(_) => None,
            Resume::After(id) | Resume::AfterOr(id, _) => Some(id),
        }
    }

    /// Where the stream begins of a client whose id is gone, if that does not depend on the reason.
    pub(crate) fn gap_start(&self) -> Option<StartAt> {
        match self {
            Resume::Start(_) | Resume::After(_) => None,
            Resume::AfterOr(_, start) => Some(*start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_has_a_name_and_an_unknown_one_is_told_what_there_is() {
        let starts = [StartAt::Now, StartAt::Latest, StartAt::Earliest];
        for start in starts.into_iter().chain([0, 7, u32::MAX].map(StartAt::Last)) {
            assert_eq!(start.to_string().parse(), Ok(start));
        }
        for name in ["", "Latest", "last", "last=", "last=-1", "last=4294967296", "last=many"] {
            let error = name.parse::<StartAt>().unwrap_err().to_string();
            let expected =
                format!("there is no start {name:?}; there are now, latest, last=N, earliest");
            assert_eq!(error, expected);
        }
    }
}
