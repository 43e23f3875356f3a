//! What a client may do whose request for a stream was authorized.

use std::sync::Arc;
use std::time::SystemTime;

use crate::filter::Subscription;
use crate::http::field::Fields;
use crate::options::chained::chained;
use crate::options::{within, OptionsError};
use crate::policy::Policy;
use crate::resume::StartAt;
use crate::stream_options::StreamOptions;

chained! {
    /// What a client may do whose request for a stream was authorized: what its stream may be
    /// subscribed to, how it is served, and until when.
    ///
    /// A request that names topics and filters has to stay within `subscriptions`: each of them is
    /// one of these, or is covered by a filter of these. Otherwise the request is refused as a
    /// whole; nothing is left out silently. A request that names none is subscribed to all of
    /// `subscriptions`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use fanfare::{Grant, Subscription};
    ///
    /// let grant = Grant::new([Subscription::new("user/7/#")?])
    ///     .tag("user 7")
    ///     .expires_at(SystemTime::now() + Duration::from_secs(300));
    /// assert!(grant.covers(&Subscription::new("user/7/mail")?));
    /// assert!(!grant.covers(&Subscription::new("user/8/mail")?));
    /// # Ok::<(), fanfare::SubscriptionError>(())
    /// ```
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Grant {
        /// The topics and filters that the stream may be subscribed to, at most 1,024.
        pub subscriptions: Vec<Subscription> as (impl IntoIterator<Item = Subscription>
            => subscriptions.into_iter().collect()),
        /// Whether the request may name topics and filters beside `subscriptions`, without bounds.
        /// Default: no.
        pub any_topics: bool,
        /// Where the stream begins of a client without an id, and of one whose id is gone, whatever
        /// its request says. A client with an id that is kept goes on behind it. Default: none, so
        /// that the request and the listener decide.
        pub start: Option<StartAt> as (StartAt => Some(start)),
        /// What happens to the connection when it lags too far, whatever its request says.
        /// Default: none, so that the request and the hub decide.
        pub policy: Option<Policy> as (Policy => Some(policy)),
        /// The label by which the connection is found again, 1 to 256 bytes without control
        /// characters; it takes the place of one that the request has. Default: none.
        pub tag: Option<Arc<str>> as (impl Into<Arc<str>> => Some(tag.into())),
        /// Header fields of the stream's answer, beside the listener's and its route's, of which
        /// they replace those of their names. Default: none.
        pub headers: Vec<(String, String)>
            as (impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>
            => headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect()),
        /// When the stream ends, whatever happens meanwhile. Default: none, which is never.
        pub expires_at: Option<SystemTime> as (SystemTime => Some(expires_at)),
    }
}

impl Grant {
    /// A grant for these topics and filters, without an end.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Grant, Subscription};
    ///
    /// let grant = Grant::new([Subscription::new("news")?]);
    /// assert_eq!((grant.subscriptions.len(), grant.expires_at), (1, None));
    /// # Ok::<(), fanfare::SubscriptionError>(())
    /// ```
    #[must_use]
    pub fn new(subscriptions: impl IntoIterator<Item = Subscription>) -> Grant {
        Grant::default().subscriptions(subscriptions)
    }

    /// Adds a header field to the stream's answer.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Grant;
    ///
    /// assert_eq!(Grant::default().header("X-Plan", "free").headers.len(), 1);
    /// ```
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Grant {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Whether a stream may be subscribed to this: everything that it matches is granted.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Grant, Subscription};
    ///
    /// let grant = Grant::new([Subscription::new("news/+")?]);
    /// assert!(grant.covers(&Subscription::new("news/+")?));
    /// assert!(!grant.covers(&Subscription::new("news/#")?));
    /// # Ok::<(), fanfare::SubscriptionError>(())
    /// ```
    #[must_use]
    pub fn covers(&self, asked: &Subscription) -> bool {
        self.any_topics || self.subscriptions.iter().any(|granted| granted.covers(asked))
    }

    /// Checks every part against its bounds, as
    /// [`AuthorizationRequest::allow`](crate::AuthorizationRequest::allow) does. A time that has
    /// passed is no error: such a grant allows nothing.
    ///
    /// # Errors
    ///
    /// The first part that is outside of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Grant;
    ///
    /// assert_eq!(Grant::default().tag("user 7").check(), Ok(()));
    /// assert_eq!(Grant::default().tag("").check().unwrap_err().option, "tag");
    /// ```
    pub fn check(&self) -> Result<(), OptionsError> {
        let subscriptions = self.subscriptions.len() <= SUBSCRIPTIONS_MAX;
        within(subscriptions, "subscriptions", "at most 1,024")?;
        StreamOptions::check_tag(self.tag.as_ref())?;
        let error = |why: String| OptionsError { option: "headers", bounds: why.into() };
        Fields::new(&self.headers, &Fields::default()).map_err(error).map(drop)
    }
}

/// The most topics and filters of a grant. Each of a request's is held against all of them.
const SUBSCRIPTIONS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_covers_what_one_of_its_filters_covers_whole() {
        let of = |text: &str| Subscription::new(text).unwrap();
        let grant = Grant::new([of("a"), of("b/+"), of("c/#")]);
        for covered in ["a", "b/x", "b/+", "c", "c/x/y", "c/+/y", "c/#"] {
            assert!(grant.covers(&of(covered)), "{covered}");
        }
        for other in ["b", "b/x/y", "b/#", "+", "#", "d", "a/x", "+/x", "$SYS/a"] {
            assert!(!grant.covers(&of(other)), "{other}");
        }
        assert!(!Grant::default().covers(&of("a")));
        assert!(Grant::default().any_topics(true).covers(&of("#")));
    }

    #[test]
    fn a_grant_has_bounds() {
        let of = |count| Grant::new(vec![Subscription::new("a").unwrap(); count]);
        assert_eq!(of(1_024).header("X-A", "1").check(), Ok(()));
        for (wrong, part) in [
            (of(1_025), "subscriptions"),
            (of(1).tag("a\n"), "tag"),
            (of(1).header("X-A", "a\r\nX-B: b"), "headers"),
            (of(1).header("Cache-Control", "public"), "headers"),
        ] {
            assert_eq!(wrong.check().unwrap_err().option, part);
        }
    }
}
