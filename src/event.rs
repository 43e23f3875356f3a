//! What a host publishes.

mod error;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

pub use self::error::EventError;
use crate::heartbeat::HeartbeatForm;

/// One event, before it is encoded: data, and optionally a name, an id, a reconnection time, a
/// key and a comment, as WHATWG HTML, section "Server-sent events", has them.
///
/// An `Event` borrows or owns its texts; publishing copies them once, into the frame that all
/// connections share. As with [`Path`](std::path::Path), `with_name` gives an event a name, and
/// `name` reads it. CR, LF and CRLF in data and comment each are a line break. Everything that
/// would not reach a client as it was given is an [`EventError`] to the publisher.
///
/// # Examples
///
/// ```
/// use fanfare::Event;
///
/// let plain = Event::new("hello");
/// let named = Event::new(r#"{"price":12.5}"#).with_name("quote").with_key("ACME");
/// let only_an_id = Event::empty().with_id("checkpoint-7");
/// # let _ = (plain, named, only_an_id);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event<'a> {
    /// The text; `None` has no `data` field at all and fires no event in the client.
    pub(crate) data: Option<Cow<'a, str>>,
    /// The event's type; without it a client sees a `message`.
    pub(crate) name: Option<Cow<'a, str>>,
    /// A custom id, instead of the hub's.
    pub(crate) id: Option<Cow<'a, str>>,
    /// The reconnection time that the client is to use from now on.
    pub(crate) retry: Option<Duration>,
    /// What the event is about: of the events with one key only the newest matters.
    pub(crate) key: Option<Cow<'a, str>>,
    /// A text that clients ignore.
    pub(crate) comment: Option<Cow<'a, str>>,
    /// Over which time its clients are sent it; zero is at once.
    pub(crate) window: Duration,
}

impl<'a> Event<'a> {
    /// The most bytes that a name, an id or a key may have.
    pub const FIELD_BYTES_MAX: usize = 256;

    /// The longest window of an event ([`Event::with_window`]).
    pub const WINDOW_MAX: Duration = Duration::from_secs(300);

    /// The most topics that an event may be published to at once
    /// ([`Hub::publish_to`](crate::Hub::publish_to)).
    pub const TOPICS_MAX: usize = 64;

    /// An event with data. Empty data is data: the client gets an event with an empty text.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Event;
    /// assert_eq!(Event::new("hello").data(), Some("hello"));
    /// ```
    #[must_use]
    pub fn new(data: impl Into<Cow<'a, str>>) -> Event<'a> {
        Event { data: Some(data.into()), ..Event::default() }
    }

    /// An event without data, to be given an id, a reconnection time or a comment. It fires
    /// nothing in the client, but moves the id that the client resumes from.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Event;
    /// let checkpoint = Event::empty().with_id("checkpoint-7");
    /// assert_eq!(checkpoint.data(), None);
    /// ```
    #[must_use]
    pub fn empty() -> Event<'a> {
        Event::default()
    }

    /// An event with data that is given as bytes.
    ///
    /// # Errors
    ///
    /// [`EventError::NotUtf8`], as an event stream is always UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Event, EventError};
    /// assert_eq!(Event::from_utf8(b"hello")?, Event::new("hello"));
    /// let error = Event::from_utf8(b"h\xff").unwrap_err();
    /// assert!(matches!(error, EventError::NotUtf8 { valid_up_to: 1, .. }));
    /// # Ok::<(), EventError>(())
    /// ```
    pub fn from_utf8(data: &'a [u8]) -> Result<Event<'a>, EventError> {
        match std::str::from_utf8(data) {
            Ok(text) => Ok(Event::new(text)),
            Err(e) => Err(EventError::NotUtf8 { valid_up_to: e.valid_up_to() }),
        }
    }

    /// Sets the event's type, which the client listens to: 1 to 256 bytes without CR, LF or NUL.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Event;
    /// assert_eq!(Event::new("12.50").with_name("quote").name(), Some("quote"));
    /// ```
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Cow<'a, str>>) -> Event<'a> {
        self.name = Some(name.into());
        self
    }

    /// Sets a custom id: 1 to 256 bytes, without control characters and without
    /// a space at either end, since a client sends it back in the header `Last-Event-ID`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Event;
    /// assert_eq!(Event::new("12.50").with_id("row 17").id(), Some("row 17"));
    /// ```
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Cow<'a, str>>) -> Event<'a> {
        self.id = Some(id.into());
        self
    }

    /// Sets the time that the client is told to wait before it reconnects, in whole milliseconds,
    /// at most 4,294,967,295 ms (49 days).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::Event;
    /// let event = Event::empty().with_retry(Duration::from_secs(30));
    /// assert_eq!(event.retry(), Some(Duration::from_secs(30)));
    /// ```
    #[must_use]
    pub fn with_retry(mut self, retry: Duration) -> Event<'a> {
        self.retry = Some(retry);
        self
    }

    /// Says what the event is about: of a topic's events with one key only the newest matters,
    /// which is all that a slow client with the policy conflate gets
    /// ([`Policy::Conflate`](crate::Policy)). 1 to 256 bytes; it is not sent to the client.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Event;
    /// assert_eq!(Event::new("12.50").with_key("ACME").key(), Some("ACME"));
    /// ```
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Cow<'a, str>>) -> Event<'a> {
        self.key = Some(key.into());
        self
    }

    /// Adds a text that clients ignore. Each of its lines is sent as a comment. It has no bound of
    /// its own: data and comment together may have
    /// [`Options::event_bytes_max`](crate::Options::event_bytes_max) bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Event;
    /// let event = Event::new("12.50").with_comment("from the backup feed");
    /// assert_eq!(event.comment(), Some("from the backup feed"));
    /// ```
    #[must_use]
    pub fn with_comment(mut self, comment: impl Into<Cow<'a, str>>) -> Event<'a> {
        self.comment = Some(comment.into());
        self
    }

    /// Has the streams that are there when it is published sent it evenly over a time, for what a
    /// crowd of clients acts on, as "fetch the new configuration": each client once, and in its
    /// place in its stream's order. Zero, the default, is at once; at most [`Event::WINDOW_MAX`].
    ///
    /// Nothing waits behind such an event. A later event for a stream that has yet to be sent this
    /// one takes it along at once; so does a change of the stream's topics, a drain, the end of the
    /// topic or of the hub. So it is sent over the window at the latest, and evenly if streams are
    /// quiet meanwhile: publish it to a topic for which clients have a connection without other
    /// events. A client that joins, comes back or catches up meanwhile gets it, in its place,
    /// without waiting. Of several such events that wait for the same streams, the one whose window
    /// is over first says when, and each stream gets all that it waits for. With several shards
    /// each shard is even in itself.
    ///
    /// Such events wait in backlogs of their own: a publisher of them finds the backlog full
    /// ([`PublishError::Full`](crate::PublishError::Full)) when
    /// [`Options::topic_backlog_bytes_max`](crate::Options::topic_backlog_bytes_max) bytes of them
    /// wait for the topic's clients, or a quarter of
    /// [`Options::backlog_bytes_max`](crate::Options::backlog_bytes_max) in all. They do not keep
    /// other events from being published.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Event, Hub, Options, Topic};
    /// # let hub = Hub::start(Options::default())?;
    /// let event = Event::new("").with_name("fetch-configuration");
    /// hub.publish(&Topic::new("devices")?, event.with_window(Duration::from_secs(30)))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_window(mut self, window: Duration) -> Event<'a> {
        self.window = window;
        self
    }

    /// Over which time its clients are sent it; zero is at once.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::Event;
    /// assert_eq!(Event::new("x").window(), Duration::ZERO);
    /// ```
    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }

    /// The text; `None` if the event has no data at all.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Event;
    /// assert_eq!((Event::new("").data(), Event::empty().data()), (Some(""), None));
    /// ```
    #[must_use]
    pub fn data(&self) -> Option<&str> {
        self.data.as_deref()
    }

    /// The event's type; without one a client sees a `message`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Event;
    /// assert_eq!(Event::new("12.50").name(), None);
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The publisher's custom id, where the event has one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Event;
    /// assert_eq!(Event::new("12.50").id(), None);
    /// ```
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The reconnection time that the client is told, where the event has one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Event;
    /// assert_eq!(Event::new("12.50").retry(), None);
    /// ```
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// What the event is about, where that was said.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Event;
    /// assert_eq!(Event::new("12.50").key(), None);
    /// ```
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The text that clients ignore, where the event has one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Event;
    /// assert_eq!(Event::new("12.50").comment(), None);
    /// ```
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// Checks that its name is not that of the engine's own events.
    pub(crate) fn check_name(&self, gap_event: &str) -> Result<(), EventError> {
        match self.name.as_deref().is_some_and(|name| is_reserved(name, gap_event)) {
            true => Err(EventError::ReservedName),
            false => Ok(()),
        }
    }

    /// Checks everything that the type does not.
    pub(crate) fn check(&self, bytes_max: usize) -> Result<(), EventError> {
        let Event { data, name, id, retry, key, comment, window } = self;
        if data.is_none() && id.is_none() && retry.is_none() && comment.is_none() {
            return Err(EventError::Empty);
        }
        let bytes = data.as_ref().map_or(0, |d| d.len()) + comment.as_ref().map_or(0, |c| c.len());
        if bytes > bytes_max {
            return Err(EventError::TooLarge { bytes, bytes_max });
        }
        if retry.is_some_and(|r| r.as_millis() > u128::from(u32::MAX)) {
            return Err(EventError::RetryTooLong);
        }
        if *window > Event::WINDOW_MAX {
            return Err(EventError::WindowTooLong);
        }
        check_field("name", name.as_deref(), |c| matches!(c, '\r' | '\n' | '\0'))?;
        check_field("id", id.as_deref(), char::is_control)?;
        check_field("key", key.as_deref(), |_| false)?;
        match id.as_deref() {
            // Tabs are control characters. Other space is a part of a header field's value.
            Some(id) if id.starts_with(' ') || id.ends_with(' ') => Err(EventError::IdPadded),
            _ => Ok(()),
        }
    }
}

/// A separate function: inlined into `publish`, it made the compiler optimise that less, which cost
/// 20 instructions more for each event.
#[inline(never)]
fn is_reserved(name: &str, gap_event: &str) -> bool {
    name == gap_event || name == HeartbeatForm::EVENT_NAME
}

fn check_field(
    field: &'static str,
    text: Option<&str>,
    forbidden: impl Fn(char) -> bool,
) -> Result<(), EventError> {
    match text {
        None => Ok(()),
        Some("") => Err(EventError::FieldEmpty { field }),
        Some(text) if text.len() > Event::FIELD_BYTES_MAX => {
            Err(EventError::FieldTooLong { field, bytes: text.len() })
        }
        Some(text) => match text.chars().find(|&c| forbidden(c)) {
            Some(character) => Err(EventError::FieldForbidden { field, character }),
            None => Ok(()),
        },
    }
}

impl<'a> From<&'a str> for Event<'a> {
    fn from(data: &'a str) -> Event<'a> {
        Event::new(data)
    }
}

/// Borrows the texts of an event that stays the caller's, to be published again if need be.
impl<'a> From<&'a Event<'_>> for Event<'a> {
    fn from(event: &'a Event<'_>) -> Event<'a> {
        let Event { data, name, id, retry, key, comment, window } = event;
        let [data, name, id, key, comment] =
            [data, name, id, key, comment].map(|text| text.as_deref().map(Cow::Borrowed));
        Event { data, name, id, retry: *retry, key, comment, window: *window }
    }
}

impl From<String> for Event<'_> {
    fn from(data: String) -> Self {
        Event::new(data)
    }
}
