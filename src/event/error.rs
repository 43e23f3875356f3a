//! Why an event is refused.

use std::fmt;

use super::Event;
use crate::heartbeat::HeartbeatForm;

/// Why an [`Event`] cannot be published.
///
/// # Examples
///
/// ```
/// use fanfare::{Event, EventError, Hub, Options, PublishError, Topic};
///
/// let hub = Hub::start(Options::default())?;
/// let refused = hub.publish(&Topic::new("news")?, Event::empty());
/// assert_eq!(refused.unwrap_err(), PublishError::Invalid(EventError::Empty));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventError {
    /// There is nothing in it: no data, id, reconnection time or comment.
    Empty,
    /// The data is not UTF-8.
    #[non_exhaustive]
    NotUtf8 {
        /// How many bytes from the start are.
        valid_up_to: usize,
    },
    /// A field is there but has no characters.
    #[non_exhaustive]
    FieldEmpty {
        /// `name`, `id` or `key`.
        field: &'static str,
    },
    /// A field is longer than [`Event::FIELD_BYTES_MAX`] bytes.
    #[non_exhaustive]
    FieldTooLong {
        /// `name`, `id` or `key`.
        field: &'static str,
        /// How many bytes it has.
        bytes: usize,
    },
    /// A field holds a character that would not survive the way to the client and back.
    #[non_exhaustive]
    FieldForbidden {
        /// `name`, `id` or `key`.
        field: &'static str,
        /// The first such character.
        character: char,
    },
    /// The id has a space at its beginning or end, which a header field does not keep.
    IdPadded,
    /// Its name is one of the engine's own events: the hub's `gap_event`, by which clients are told
    /// what they miss, or [`HeartbeatForm::EVENT_NAME`].
    ReservedName,
    /// The reconnection time has more milliseconds than 32 bits hold (49 days).
    RetryTooLong,
    /// The window is longer than [`Event::WINDOW_MAX`].
    WindowTooLong,
    /// The last event of a topic has a window ([`Hub::finish`](crate::Hub::finish)).
    WindowOfLast,
    /// Data and comment together are larger than the hub's `event_bytes_max`.
    #[non_exhaustive]
    TooLarge {
        /// How many bytes they have.
        bytes: usize,
        /// How many the hub takes.
        bytes_max: usize,
    },
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            EventError::Empty => f.write_str("the event is empty; give it data, an id or a retry"),
            EventError::NotUtf8 { valid_up_to } => {
                write!(f, "the data is not UTF-8 from byte {valid_up_to} on; encode it as such")
            }
            EventError::FieldEmpty { field } => {
                write!(f, "the event's {field} is empty; leave it out")
            }
            EventError::FieldTooLong { field, bytes } => {
                let most = Event::FIELD_BYTES_MAX;
                write!(f, "the event's {field} has {bytes} bytes; shorten it to {most} at most")
            }
            EventError::FieldForbidden { field, character } => {
                write!(
                    f,
                    "the event's {field} holds {character:?}, which no client would get back; \
                     leave it out"
                )
            }
            EventError::IdPadded => f.write_str(
                "the event's id begins or ends with a space, which no client would send back; \
                 leave it out",
            ),
            EventError::ReservedName => {
                let heartbeat = HeartbeatForm::EVENT_NAME;
                write!(f, "the event's name is the hub's gap_event or {heartbeat}; give it another")
            }
            EventError::WindowTooLong => f.write_str(
                "the window is longer than 5 minutes; give a shorter one to spread the event over",
            ),
            EventError::WindowOfLast => f.write_str(
                "the last event of a topic is sent at once, with the end; leave out its window",
            ),
            EventError::RetryTooLong => {
                f.write_str("the event's retry is longer than 49 days; shorten it")
            }
            EventError::TooLarge { bytes, bytes_max } => {
                write!(
                    f,
                    "the event has {bytes} bytes, and the hub's event_bytes_max is {bytes_max}; \
                     send less, or raise it"
                )
            }
        }
    }
}

impl std::error::Error for EventError {}
