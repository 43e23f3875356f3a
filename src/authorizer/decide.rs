//! The seam for authorizers that decide at once, on a shard's thread.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::refusal::Refusal;
use crate::filter::Subscription;
use crate::grant::Grant;

/// Decides on requests for streams at once. It is called on the shards' threads, of several at the
/// same time, once for each request, when the bounds on connections allow its stream and its
/// content has come. It must not block, and does no more than bounded work.
pub(crate) trait Decide: Send + Sync {
    /// Decides on a request. A grant that has expired, or does not cover what the request asks for,
    /// is refused by the caller. So a decision uses nothing up ([`StreamLease::take`]).
    fn decide(&self, ask: &StreamAsk<'_>, now: SystemTime) -> Result<Admission, Refusal>;

    /// Whether it looks at a request's content. Otherwise [`StreamAsk::content`] is empty.
    fn reads_content(&self) -> bool {
        false
    }

    /// The path at which a client may exchange what it shows, with `POST`, for something that it
    /// can show in a query. The listener answers it, and not with a stream.
    fn exchange_path(&self) -> Option<&str> {
        None
    }

    /// The JSON that a client gets there for what it shows.
    fn exchange(&self, _ask: &StreamAsk<'_>, _now: SystemTime) -> Result<String, Refusal> {
        Err(Refusal::new(404))
    }
}

/// A stream that a client may have.
#[derive(Clone, Default)]
pub(crate) struct Admission {
    pub(crate) grant: Grant,
    /// Is dropped when the stream has ended that is opened with it, or when none is opened.
    pub(crate) lease: Option<Lease>,
}

/// What an authorizer has of a stream that it has allowed: its last reference is dropped with the
/// stream, on the shard's thread.
pub(crate) type Lease = Arc<dyn StreamLease>;

/// What a [`Lease`] is.
pub(crate) trait StreamLease: Send + Sync {
    /// The stream is about to begin: the request is within the grant, and the bounds have room.
    /// What can be used up is used up here, and not by a decision, behind which a request may still
    /// be refused. Called once at most. It must not block.
    fn take(&self, _now: SystemTime) -> Result<(), Refusal> {
        Ok(())
    }

    /// The stream has begun. Calling `end` from any thread ends it, soon after.
    fn begun(&self, end: EndStream) {
        drop(end);
    }
}

/// Ends one stream. It does not block.
pub(crate) type EndStream = Box<dyn FnOnce() + Send>;

/// A request for a stream, of which nothing has been decided yet.
pub(crate) struct StreamAsk<'a> {
    /// `GET`, `HEAD` or `POST`.
    pub(crate) method: &'a str,
    /// The target's path, still percent-encoded.
    pub(crate) path: &'a str,
    /// The values of the places in the route's path, decoded, with the places' names.
    pub(crate) path_values: Vec<(&'a str, Cow<'a, str>)>,
    /// The target's query, without its `?`, as it was sent.
    pub(crate) query: &'a str,
    /// The fields of the query, decoded.
    pub(crate) query_fields: &'a [(Cow<'a, str>, Cow<'a, str>)],
    /// The request's header fields, in their order.
    pub(crate) fields: &'a [(&'a str, &'a [u8])],
    /// The client's address, if it has one.
    pub(crate) addr: Option<SocketAddr>,
    /// The content of a `POST`, without what chunks add.
    pub(crate) content: &'a [u8],
    /// The topics and filters of the route and of the query; none if the client leaves it to the
    /// grant.
    pub(crate) subscriptions: &'a [Subscription],
    /// The id of the event that the client had last.
    pub(crate) last_event_id: Option<&'a str>,
}

impl StreamAsk<'_> {
    /// The values of all header fields of a name. One that is not UTF-8 is read as ISO-8859-1.
    #[cfg_attr(not(feature = "tickets"), allow(dead_code))]
    pub(crate) fn headers<'s>(&'s self, name: &'s str) -> impl Iterator<Item = Cow<'s, str>> + 's {
        let named = self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|&(_, value)| text_of(value))
    }

    /// The value of the first cookie of a name.
    #[cfg_attr(not(feature = "tickets"), allow(dead_code))]
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.headers("cookie").find_map(|value| cookie_in(&value, name).map(str::to_owned))
    }

    /// The value of the first field of a name in the query.
    #[cfg_attr(not(feature = "tickets"), allow(dead_code))]
    pub(crate) fn query_value(&self, name: &str) -> Option<&str> {
        let mut fields = self.query_fields.iter();
        fields.find(|(field, _)| field == name).map(|(_, value)| &**value)
    }
}

/// A header field's value as text: UTF-8, or else ISO-8859-1.
pub(super) fn text_of(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.iter().copied().map(char::from).collect()),
    }
}

/// The value of the first cookie of a name in a `Cookie` field (RFC 6265, section 4.2.1), without
/// the quotes that may be around it.
pub(super) fn cookie_in<'v>(field: &'v str, name: &str) -> Option<&'v str> {
    let pairs = field.split(';').filter_map(|pair| pair.trim_matches([' ', '\t']).split_once('='));
    let (_, value) = { pairs }.find(|(key, _)| *key == name)?;
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    Some(unquoted.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let field = "a=1; session=x=y;b=\"quoted\" ; A=2; empty=";
        for (name, value) in [
            ("a", Some("1")),
            ("A", Some("2")),
            ("session", Some("x=y")),
            ("b", Some("quoted")),
            ("empty", Some("")),
            ("ession", None),
            ("sess", None),
            ("", None),
        ] {
            assert_eq!(cookie_in(field, name), value, "{name}");
        }
    }

    #[test]
    fn a_request_says_its_header_fields_cookies_and_query() {
        let fields: [(&str, &[u8]); 4] =
            [("X-A", b"1"), ("x-a", b"\xe9"), ("Cookie", b"a=1"), ("cookie", b"b=2")];
        let query_fields = [("k".into(), "v".into()), ("k".into(), "w".into())];
        let ask = StreamAsk {
            method: "GET",
            path: "/events",
            path_values: Vec::new(),
            query: "k=v&k=w",
            query_fields: &query_fields,
            fields: &fields,
            addr: None,
            content: b"",
            subscriptions: &[],
            last_event_id: None,
        };
        assert_eq!(ask.headers("X-a").collect::<Vec<_>>(), ["1", "\u{e9}"]);
        assert_eq!((ask.cookie("b").as_deref(), ask.cookie("c")), (Some("2"), None));
        assert_eq!((ask.query_value("k"), ask.query_value("K")), (Some("v"), None));
    }
}
