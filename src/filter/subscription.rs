//! What a client may ask for: one topic, or all that match a filter.

use std::fmt;
use std::str::FromStr;

use super::pattern::{Filter, FilterError};
use crate::topic::{Topic, TopicError};

/// One topic, or all topics that match a filter, also those that are first published to later.
///
/// # Examples
///
/// ```
/// use fanfare::{Subscription, Topic};
///
/// let topic = Topic::new("orders/42")?;
/// for text in ["orders/42", "orders/+", "#"] {
///     assert!(Subscription::new(text)?.matches(&topic));
/// }
/// assert_eq!(Subscription::new("orders/42")?, Subscription::Topic(topic));
///
/// let error = Subscription::new("orders/4+").unwrap_err();
/// assert!(error.to_string().starts_with("the filter has '+' beside other characters;"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Subscription {
    /// The topic of this name.
    Topic(Topic),
    /// Every topic that matches.
    Filter(Filter),
}

/// Why a text is not a [`Subscription`].
///
/// # Examples
///
/// ```
/// use fanfare::{FilterError, Subscription, SubscriptionError};
///
/// let error = Subscription::new("a/#/b").unwrap_err();
/// assert_eq!(error, SubscriptionError::Filter(FilterError::NotLast));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// The text has no wildcard, and is not the name of a topic.
    Topic(TopicError),
    /// The text has a wildcard, and is not a filter.
    Filter(FilterError),
}

impl Subscription {
    /// Takes a text with `+` or `#` as a filter, and any other as the name of a topic.
    ///
    /// # Errors
    ///
    /// As [`Filter::new`] or [`Topic::new`].
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Subscription;
    ///
    /// assert!(matches!(Subscription::new("rooms/42"), Ok(Subscription::Topic(_))));
    /// assert!(matches!(Subscription::new("rooms/+"), Ok(Subscription::Filter(_))));
    /// ```
    pub fn new(text: &str) -> Result<Subscription, SubscriptionError> {
        match text.contains(['+', '#']) {
            true => Ok(Subscription::Filter(Filter::new(text)?)),
            false => Ok(Subscription::Topic(Topic::new(text)?)),
        }
    }

    /// Takes a text that comes as bytes.
    ///
    /// # Errors
    ///
    /// As [`Subscription::new`], and when the bytes are not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Subscription;
    ///
    /// assert_eq!(Subscription::from_utf8(b"rooms/+"), Subscription::new("rooms/+"));
    /// assert!(Subscription::from_utf8(b"\xff").is_err());
    /// ```
    pub fn from_utf8(text: &[u8]) -> Result<Subscription, SubscriptionError> {
        Subscription::new(std::str::from_utf8(text).map_err(|_| TopicError::NotUtf8)?)
    }

    /// The topic's name, or the filter's text.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::Subscription;
    /// assert_eq!(Subscription::new("rooms/+")?.as_str(), "rooms/+");
    /// # Ok::<(), fanfare::SubscriptionError>(())
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Subscription::Topic(topic) => topic.as_str(),
            Subscription::Filter(filter) => filter.as_str(),
        }
    }

    /// Whether events of a topic are wanted.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Subscription, Topic};
    ///
    /// let topic = Topic::new("rooms/42")?;
    /// assert!(Subscription::new("rooms/+")?.matches(&topic));
    /// assert!(!Subscription::new("rooms/7")?.matches(&topic));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        match self {
            Subscription::Topic(wanted) => wanted == topic,
            Subscription::Filter(filter) => filter.matches(topic),
        }
    }

    /// Whether there is a topic that both subscriptions want.
    pub(crate) fn overlaps(&self, other: &Subscription) -> bool {
        match (self, other) {
            (Subscription::Topic(topic), other) | (other, Subscription::Topic(topic)) => {
                other.matches(topic)
            }
            (Subscription::Filter(filter), Subscription::Filter(other)) => filter.overlaps(other),
        }
    }
}

impl From<Topic> for Subscription {
    fn from(topic: Topic) -> Subscription {
        Subscription::Topic(topic)
    }
}

/// A filter without a wildcard becomes the topic that it names, so that subscriptions which mean
/// the same are equal.
impl From<Filter> for Subscription {
    fn from(filter: Filter) -> Subscription {
        match Topic::new(filter.as_str()) {
            Ok(topic) => Subscription::Topic(topic),
            Err(_) => Subscription::Filter(filter),
        }
    }
}

impl FromStr for Subscription {
    type Err = SubscriptionError;

    fn from_str(text: &str) -> Result<Subscription, SubscriptionError> {
        Subscription::new(text)
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<TopicError> for SubscriptionError {
    fn from(error: TopicError) -> SubscriptionError {
        SubscriptionError::Topic(error)
    }
}

impl From<FilterError> for SubscriptionError {
    fn from(error: FilterError) -> SubscriptionError {
        SubscriptionError::Filter(error)
    }
}

impl fmt::Display for SubscriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubscriptionError::Topic(error) => error.fmt(f),
            SubscriptionError::Filter(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SubscriptionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SubscriptionError::Topic(error) => std::error::Error::source(error),
            SubscriptionError::Filter(error) => std::error::Error::source(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_a_wildcard_is_a_filter_and_any_other_a_topic() {
        assert!(matches!(Subscription::new("a/b"), Ok(Subscription::Topic(_))));
        for text in ["a/+", "a/#", "+", "#"] {
            let subscription = Subscription::new(text).unwrap();
            assert!(matches!(subscription, Subscription::Filter(_)), "{text}");
            assert_eq!(subscription.to_string(), text);
            assert_eq!(text.parse(), Ok(subscription));
        }
    }

    #[test]
    fn the_error_is_that_of_what_was_meant() {
        let cases: [(&[u8], SubscriptionError); 5] = [
            (b"", TopicError::Empty.into()),
            (b"a\n", TopicError::Forbidden { character: '\n' }.into()),
            (b"\xff+", TopicError::NotUtf8.into()),
            (b"+\n", FilterError::Forbidden { character: '\n' }.into()),
            (b"#/a", FilterError::NotLast.into()),
        ];
        for (text, error) in cases {
            assert_eq!(Subscription::from_utf8(text), Err(error), "{text:?}");
        }
        let long = format!("{}/+", "t".repeat(255));
        assert_eq!(Subscription::new(&long), Err(FilterError::TooLong { bytes: 257 }.into()));
        assert_eq!(
            Subscription::new("a\t").unwrap_err().to_string(),
            TopicError::Forbidden { character: '\t' }.to_string(),
        );
    }

    #[test]
    fn a_topic_and_a_filter_without_wildcards_are_the_same_subscription() {
        let topic = Topic::new("a/b").unwrap();
        let filter = Filter::new("a/b").unwrap();
        assert_eq!(Subscription::from(filter), Subscription::from(topic.clone()));
        let filter = Filter::new("a/+").unwrap();
        assert_eq!(Subscription::from(filter.clone()), Subscription::Filter(filter));
        assert!(Subscription::from(topic.clone()).matches(&topic));
        assert!(!Subscription::new("a/c").unwrap().matches(&topic));
    }
}
