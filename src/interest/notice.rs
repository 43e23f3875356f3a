//! One notice of interest.

use std::time::SystemTime;

use crate::filter::Subscription;

/// A topic or a filter got its first subscriber, or has lost its last one; see
/// [`Hub::watch_interest`](crate::Hub::watch_interest).
///
/// # Examples
///
/// ```
/// use std::collections::HashSet;
/// use fanfare::{InterestKind, InterestNotice, Subscription, Topic};
///
/// /// What has a subscriber, as far as the host was told.
/// #[derive(Default)]
/// struct Wanted(HashSet<Subscription>);
///
/// impl Wanted {
///     fn note(&mut self, notice: InterestNotice) {
///         match notice.kind {
///             InterestKind::Subscribed => self.0.insert(notice.subscription),
///             _ => self.0.remove(&notice.subscription),
///         };
///     }
///
///     /// Whether it is worth while to produce events of a topic.
///     fn is_wanted(&self, topic: &Topic) -> bool {
///         self.0.iter().any(|subscription| subscription.matches(topic))
///     }
/// }
/// # assert!(!Wanted::default().is_wanted(&Topic::new("a").unwrap()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterestNotice {
    /// What happened.
    pub kind: InterestKind,
    /// The topic, or a client's filter that may match a topic of the watcher. A filter names no
    /// topics, so the host compares the topics that it could produce with it
    /// ([`Subscription::matches`]).
    pub subscription: Subscription,
    /// When the first subscriber came, or the last one went: the grace time began then. Of what had
    /// a subscriber when the watcher began: when that was.
    pub at: SystemTime,
}

/// What an [`InterestNotice`] is about. For each subscription the two alternate, and
/// [`InterestKind::Subscribed`] comes first.
///
/// # Examples
///
/// ```
/// use fanfare::InterestKind;
///
/// let verb = |kind: InterestKind| match kind {
///     InterestKind::Subscribed => "start",
///     _ => "stop",
/// };
/// assert_eq!(verb(InterestKind::Unsubscribed), "stop");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InterestKind {
    /// It has a subscriber, and had none before.
    Subscribed,
    /// It has no subscriber, and had none for the grace time.
    Unsubscribed,
}
