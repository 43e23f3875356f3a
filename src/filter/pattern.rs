//! A pattern of topics.
//!
//! The rules are those of MQTT 5.0, section 4.7, "Topic Names and Topic Filters". Names are
//! compared byte by byte; nothing is folded or normalized.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::topic::Topic;

pub(super) const ONE_LEVEL: &str = "+";
pub(super) const ALL_BELOW: &str = "#";

/// A pattern of topics, as MQTT 5.0 has it in section 4.7: UTF-8, 1 to [`Filter::BYTES_MAX`] bytes.
///
/// `/` separates levels, which may be empty: `/a` has two, and so has `a/`. In a filter, two levels
/// are wildcards:
///
/// - `+` stands for one level, whatever it is, also an empty one: `sport/+` matches `sport/tennis`
///   and `sport/`, neither `sport` nor `sport/tennis/final`.
/// - `#` is the last level, and stands for any number of levels, also for none: `sport/#` matches
///   `sport`, `sport/tennis` and `sport/tennis/final`. `#` alone matches every topic but those of
///   the next paragraph.
///
/// A filter that begins with a wildcard matches no topic that begins with `$`, so that a host can
/// have topics which no client gets by asking for everything: `#` does not match `$SYS/load`, but
/// `$SYS/#` does.
///
/// A filter without a wildcard matches the one topic of its name.
///
/// A `Filter` that exists is a valid one. Cloning it copies a reference, never the text.
///
/// # Examples
///
/// ```
/// use fanfare::{Filter, FilterError, Topic};
///
/// let filter = Filter::new("orders/+/status")?;
/// assert!(filter.matches(&Topic::new("orders/42/status")?));
/// assert!(!filter.matches(&Topic::new("orders/42")?));
///
/// let error = Filter::new("orders/4+").unwrap_err();
/// assert!(matches!(error, FilterError::NotAlone { wildcard: '+', .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter(Arc<str>);

/// Why a text is not a [`Filter`].
///
/// # Examples
///
/// ```
/// use fanfare::{Filter, FilterError};
///
/// assert_eq!(Filter::new("a/#/b"), Err(FilterError::NotLast));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterError {
    /// The text has no bytes.
    Empty,
    /// The text is longer than [`Filter::BYTES_MAX`] bytes.
    #[non_exhaustive]
    TooLong {
        /// How many bytes the text has.
        bytes: usize,
    },
    /// The text holds a control character.
    #[non_exhaustive]
    Forbidden {
        /// The first such character.
        character: char,
    },
    /// A wildcard shares its level with other characters.
    #[non_exhaustive]
    NotAlone {
        /// `+` or `#`.
        wildcard: char,
    },
    /// A level comes after `#`.
    NotLast,
    /// The bytes are not UTF-8.
    NotUtf8,
}

impl Filter {
    /// The most bytes that a filter may have: as many as a topic.
    pub const BYTES_MAX: usize = Topic::BYTES_MAX;

    /// Checks a text.
    ///
    /// # Errors
    ///
    /// When it is empty, too long or holds a control character, when `+` or `#` is not alone in its
    /// level, or `#` is not the last one.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Filter;
    ///
    /// assert!(Filter::new("rooms/+/#").is_ok());
    /// ```
    pub fn new(text: &str) -> Result<Filter, FilterError> {
        if text.is_empty() {
            return Err(FilterError::Empty);
        }
        if text.len() > Filter::BYTES_MAX {
            return Err(FilterError::TooLong { bytes: text.len() });
        }
        if let Some(character) = text.chars().find(|c| c.is_control()) {
            return Err(FilterError::Forbidden { character });
        }
        let mut levels = Levels::of(text);
        while let Some(level) = levels.next() {
            match level.chars().find(|&c| c == '+' || c == '#') {
                Some(wildcard) if level.len() > 1 => {
                    return Err(FilterError::NotAlone { wildcard });
                }
                Some('#') if !levels.is_empty() => return Err(FilterError::NotLast),
                _ => {}
            }
        }
        Ok(Filter(text.into()))
    }

    /// Checks a text that comes as bytes.
    ///
    /// # Errors
    ///
    /// As [`Filter::new`], and when the bytes are not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Filter, FilterError};
    ///
    /// assert_eq!(Filter::from_utf8(b"rooms/+"), Filter::new("rooms/+"));
    /// assert_eq!(Filter::from_utf8(b"\xff"), Err(FilterError::NotUtf8));
    /// ```
    pub fn from_utf8(text: &[u8]) -> Result<Filter, FilterError> {
        Filter::new(std::str::from_utf8(text).map_err(|_| FilterError::NotUtf8)?)
    }

    /// The text.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Filter;
    /// assert_eq!(Filter::new("rooms/+")?.as_str(), "rooms/+");
    /// # Ok::<(), fanfare::FilterError>(())
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the filter matches a topic.
    ///
    /// Takes time for the levels of the two, and allocates nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Filter, Topic};
    ///
    /// let filter = Filter::new("sport/#")?;
    /// assert!(filter.matches(&Topic::new("sport")?));
    /// assert!(filter.matches(&Topic::new("sport/tennis/final")?));
    /// assert!(!filter.matches(&Topic::new("sports")?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        let by_wildcard = self.0.starts_with(['+', '#']);
        (!by_wildcard || may_begin_with_wildcard(topic))
            && Levels::of(topic.as_str()).past(&self.0).is_some_and(Levels::is_empty)
    }

    /// Whether there is a topic that both filters match.
    ///
    /// Takes time for the levels of the two, and allocates nothing.
    pub(crate) fn overlaps(&self, other: &Filter) -> bool {
        let (mut ours, mut theirs) = (Levels::of(&self.0), Levels::of(&other.0));
        let (mut our, mut their) = (None, None);
        // The bytes of the shortest topic that both match up to here, with a '/' before each level.
        let (mut bytes, mut is_named) = (0, false);
        loop {
            // A `#` stands for as many levels as the other filter has left.
            our = if our == Some(ALL_BELOW) { our } else { ours.next() };
            their = if their == Some(ALL_BELOW) { their } else { theirs.next() };
            let (our, their) = match (our, their) {
                (None | Some(ALL_BELOW), None | Some(ALL_BELOW)) => {
                    // A topic has at least a byte: it is not one level that is named and empty.
                    let is_empty = is_named && bytes == 1 && (our.is_none() || their.is_none());
                    return bytes <= 1 + Topic::BYTES_MAX && !is_empty;
                }
                (Some(our), Some(their)) => (our, their),
                _ => return false,
            };
            let any = [our, their].map(|level| level == ONE_LEVEL || level == ALL_BELOW);
            let level = match any {
                [true, true] => "",
                [true, false] => their,
                [false, _] => our,
            };
            let is_only_named = bytes == 0 && level.starts_with('$') && any != [false, false];
            if is_only_named || (any == [false, false] && our != their) {
                return false;
            }
            is_named |= any != [true, true];
            bytes += 1 + level.len();
        }
    }

    /// The longest text that the name of each matching topic begins with, which may be empty.
    ///
    /// In a set ordered by name all matching topics are among those with this prefix, which are
    /// neighbours. [`Filter::matches`] still has to check each of them: `a/#` gives
    /// `a`, since it matches `a` itself, and `ab` begins with that too.
    pub(crate) fn literal_prefix(&self) -> &str {
        let wildcard = self.0.find(['+', '#']).unwrap_or(self.0.len());
        let (prefix, rest) = self.0.split_at(wildcard);
        match prefix.strip_suffix('/') {
            // The parent that `#` matches too has no slash at its end. None is without a name.
            Some(parent) if rest == ALL_BELOW && !parent.is_empty() => parent,
            _ => prefix,
        }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Filter, FilterError> {
        Filter::new(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterError::Empty => f.write_str("the filter is empty; use '#' for all topics"),
            FilterError::TooLong { bytes } => {
                let most = Filter::BYTES_MAX;
                write!(f, "the filter has {bytes} bytes; shorten it to {most} at most")
            }
            FilterError::Forbidden { character } => {
                write!(f, "the filter holds {character:?}; leave out control characters")
            }
            FilterError::NotAlone { wildcard } => write!(
                f,
                "the filter has '{wildcard}' beside other characters; a wildcard stands for whole \
                 levels, so put '/' between them"
            ),
            FilterError::NotLast => f.write_str(
                "the filter goes on after '#'; end it there, or use '+' for a single level",
            ),
            FilterError::NotUtf8 => f.write_str("the filter is not UTF-8; encode it as such"),
        }
    }
}

impl std::error::Error for FilterError {}

/// Whether filters that begin with a wildcard may match a topic.
pub(super) fn may_begin_with_wildcard(topic: &Topic) -> bool {
    !topic.as_str().starts_with('$')
}

/// The levels of a filter or topic that are still to come.
#[derive(Clone, Copy)]
pub(super) struct Levels<'a>(Option<&'a str>);

impl<'a> Levels<'a> {
    pub(super) fn of(text: &'a str) -> Levels<'a> {
        Levels(Some(text))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_none()
    }

    /// What is left of a topic's levels behind those that a pattern takes; `None` if it does not
    /// match them.
    pub(super) fn past(mut self, pattern: &str) -> Option<Levels<'a>> {
        for level in Levels::of(pattern) {
            if level == ALL_BELOW {
                return Some(Levels(None));
            }
            let name = self.next()?;
            if level != ONE_LEVEL && level != name {
                return None;
            }
        }
        Some(self)
    }
}

impl<'a> Iterator for Levels<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0?;
        let (level, rest) = match text.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (text, None),
        };
        self.0 = rest;
        Some(level)
    }
}
