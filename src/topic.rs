//! What an event is published to and a client subscribes to.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a stream of events: UTF-8, 1 to [`Topic::BYTES_MAX`] bytes.
///
/// A `Topic` that exists is a valid one. Cloning it copies a reference, never the name. No name
/// has a meaning to the engine, but to a [`Filter`](crate::Filter): `/` separates levels, `+` and
/// `#` stand for some of them and can therefore not be in a name, and a first `$` keeps a topic
/// out of filters that begin with one of the two. Control characters are refused because a topic
/// shows up in logs.
///
/// # Examples
///
/// ```
/// use fanfare::{Topic, TopicError};
///
/// let topic = Topic::new("orders/42")?;
/// assert_eq!(topic.as_str(), "orders/42");
/// assert_eq!(Topic::new(""), Err(TopicError::Empty));
/// # Ok::<(), TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

/// Why a name is not a [`Topic`].
///
/// # Examples
///
/// ```
/// use fanfare::{Topic, TopicError};
///
/// let error = Topic::new("rooms/+").unwrap_err();
/// assert!(matches!(error, TopicError::Forbidden { character: '+', .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicError {
    /// The name has no bytes.
    Empty,
    /// The name is longer than [`Topic::BYTES_MAX`] bytes.
    #[non_exhaustive]
    TooLong {
        /// How many bytes the name has.
        bytes: usize,
    },
    /// The name holds a character that no topic may hold.
    #[non_exhaustive]
    Forbidden {
        /// The first such character.
        character: char,
    },
    /// The bytes are not UTF-8.
    NotUtf8,
}

impl Topic {
    /// The most bytes that a topic's name may have.
    pub const BYTES_MAX: usize = 256;

    /// Checks a name.
    ///
    /// # Errors
    ///
    /// When it is empty, too long, or holds a control character, `+` or `#`.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Topic;
    ///
    /// assert!(Topic::new("größe/✓ 1").is_ok());
    /// assert!(Topic::new("two\nlines").is_err());
    /// ```
    pub fn new(name: &str) -> Result<Topic, TopicError> {
        if name.is_empty() {
            return Err(TopicError::Empty);
        }
        if name.len() > Topic::BYTES_MAX {
            return Err(TopicError::TooLong { bytes: name.len() });
        }
        match name.chars().find(|&c| c.is_control() || c == '+' || c == '#') {
            Some(character) => Err(TopicError::Forbidden { character }),
            None => Ok(Topic(name.into())),
        }
    }

    /// Checks a name that comes as bytes.
    ///
    /// # Errors
    ///
    /// As [`Topic::new`], and when the bytes are not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Topic, TopicError};
    ///
    /// assert_eq!(Topic::from_utf8(b"news"), Topic::new("news"));
    /// assert_eq!(Topic::from_utf8(b"\xff"), Err(TopicError::NotUtf8));
    /// ```
    pub fn from_utf8(name: &[u8]) -> Result<Topic, TopicError> {
        Topic::new(std::str::from_utf8(name).map_err(|_| TopicError::NotUtf8)?)
    }

    /// The name.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Topic;
    /// assert_eq!(Topic::new("news")?.as_str(), "news");
    /// # Ok::<(), fanfare::TopicError>(())
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A set or map of topics can be searched by name: a topic is ordered, equal and hashed as this is.
impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(name: &str) -> Result<Topic, TopicError> {
        Topic::new(name)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicError::Empty => f.write_str("the topic is empty; give it a name"),
            TopicError::TooLong { bytes } => {
                let most = Topic::BYTES_MAX;
                write!(f, "the topic has {bytes} bytes; shorten it to {most} at most")
            }
            TopicError::Forbidden { character } => write!(
                f,
                "the topic holds {character:?}; leave out control characters, '+' and '#'"
            ),
            TopicError::NotUtf8 => f.write_str("the topic is not UTF-8; encode it as such"),
        }
    }
}

impl std::error::Error for TopicError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_of_256_bytes_is_the_longest() {
        assert!(Topic::new(&"t".repeat(256)).is_ok());
        assert_eq!(Topic::new(&"t".repeat(257)), Err(TopicError::TooLong { bytes: 257 }));
    }

    #[test]
    fn control_characters_and_wildcards_are_refused() {
        for name in ["a\nb", "a\0b", "a\u{85}b", "a/+", "#"] {
            assert!(matches!(Topic::new(name), Err(TopicError::Forbidden { .. })), "{name:?}");
        }
        assert!(Topic::new("größe/✓ 1").is_ok());
        assert_eq!(Topic::from_utf8(b"\xff"), Err(TopicError::NotUtf8));
    }
}
