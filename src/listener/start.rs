//! Where a stream begins, as a request's query says.

use std::borrow::Cow;

use crate::http::query::Query;
use crate::http::request::{trim_ows, Request};
use crate::resume::StartAt;

/// Where the stream of a client begins that gives no id: `start=NAME`, or `latest`, or `last=N`.
/// `None` if it asks for none of them.
pub(super) fn start(query: &Query<'_>) -> Result<Option<StartAt>, String> {
    match (named(query, "start")?, query.first("last"), query.first("latest")) {
        (start, None, None) => Ok(start),
        (None, Some(count), None) => match count.parse() {
            Ok(count) => Ok(Some(StartAt::Last(count))),
            Err(_) => Err("last is how many events to begin with: last=10".to_owned()),
        },
        (None, None, Some(_)) => Ok(Some(StartAt::Latest)),
        (None, Some(_), Some(_)) => Err("ask for latest or for last=N, not for both".to_owned()),
        (Some(_), ..) => Err("a stream has one beginning; ask for one of start=NAME, latest and \
                              last=N"
            .to_owned()),
    }
}

/// Where the stream of a client begins whose id is gone: `gap-start=NAME`.
pub(super) fn gap_start(query: &Query<'_>) -> Result<Option<StartAt>, String> {
    named(query, "gap-start")
}

/// The id of the event that a client had last, if it says one.
pub(super) fn last_event_id<'r>(
    request: &Request<'r>,
    query: &'r Query<'_>,
) -> Option<Cow<'r, str>> {
    let trimmed = |id: Cow<'r, str>| match id {
        Cow::Borrowed(id) => Cow::Borrowed(trim_ows(id)),
        Cow::Owned(id) => Cow::Owned(trim_ows(&id).to_owned()),
    };
    let in_query = || query.last_of(["last-event-id", "lastEventId"]).map(Cow::Borrowed);
    let in_field = request.field("last-event-id").filter(|id| !id.is_empty());
    in_field.or_else(in_query).map(trimmed).filter(|id| !id.is_empty())
}

/// The start that a field names, of which a query has at most one.
fn named(query: &Query<'_>, field: &str) -> Result<Option<StartAt>, String> {
    let mut names = query.all(field);
    let start = names.next().map(str::parse::<StartAt>).transpose();
    let start = start.map_err(|error| error.to_string())?;
    match names.next() {
        None => Ok(start),
        Some(_) => Err(format!("one {field} is the most for a stream; send one alone")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start_of(query: &str) -> Result<Option<StartAt>, String> {
        start(&Query::parse(query).unwrap())
    }

    #[test]
    fn a_query_says_once_where_a_stream_begins() {
        for (query, expected) in [
            ("topic=a", None),
            ("start=now", Some(StartAt::Now)),
            ("start=latest", Some(StartAt::Latest)),
            ("latest", Some(StartAt::Latest)),
            ("start=earliest", Some(StartAt::Earliest)),
            ("start=last%3D7", Some(StartAt::Last(7))),
            ("start=last=7", Some(StartAt::Last(7))),
            ("last=7", Some(StartAt::Last(7))),
            ("gap-start=latest", None),
        ] {
            assert_eq!(start_of(query), Ok(expected), "{query}");
        }
        for (query, why) in [
            ("start=", "there is no start \"\""),
            ("start=first", "there is no start \"first\""),
            ("start=now&start=now", "one start is the most"),
            ("start=latest&latest", "ask for one of"),
            ("start=earliest&last=7", "ask for one of"),
            ("last=7&latest", "not for both"),
            ("last=many", "last=10"),
        ] {
            let error = start_of(query).unwrap_err();
            assert!(error.contains(why), "{query}: {error}");
        }
    }

    #[test]
    fn a_query_says_once_where_a_stream_begins_after_a_gap() {
        let gap_start = |query: &str| gap_start(&Query::parse(query).unwrap());
        assert_eq!(gap_start("start=latest&latest"), Ok(None));
        assert_eq!(gap_start("gap-start=last=3"), Ok(Some(StartAt::Last(3))));
        assert_eq!(gap_start("gap-start=earliest&latest"), Ok(Some(StartAt::Earliest)));
        assert!(gap_start("gap-start=first").unwrap_err().contains("there are now, latest"));
        let twice = gap_start("gap-start=now&gap-start=latest").unwrap_err();
        assert!(twice.starts_with("one gap-start is the most"), "{twice}");
    }
}
