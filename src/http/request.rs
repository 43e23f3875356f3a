//! The head of a request.

use httparse::Status;

/// The most header fields that a request may have.
const FIELDS_MAX: usize = 64;

/// A complete request's head, as far as anyone asks for it.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// The target's path, still percent-encoded.
    pub(crate) path: &'a str,
    /// The target's query, without its `?`.
    pub(crate) query: &'a str,
    /// 0 or 1: the minor version of HTTP/1.
    pub(crate) minor_version: u8,
    fields: Vec<(&'a str, &'a [u8])>,
}

/// What a client has sent so far.
#[derive(Debug)]
pub(crate) enum Head<'a> {
    Partial,
    /// A request, and the bytes of its head.
    Complete(Request<'a>, usize),
    /// It is not, and will not become, a request that anyone could answer.
    Malformed(&'static str),
    TooManyFields,
}

impl<'a> Head<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Head<'a> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut parsed = httparse::Request::new(&mut fields);
        let head_bytes = match parsed.parse(bytes) {
            Ok(Status::Partial) => return Head::Partial,
            Ok(Status::Complete(head_bytes)) => head_bytes,
            Err(httparse::Error::TooManyHeaders) => return Head::TooManyFields,
            Err(httparse::Error::Version) => {
                return Head::Malformed("only HTTP/1.0 and HTTP/1.1 are spoken here")
            }
            Err(_) => return Head::Malformed("the request is not HTTP"),
        };
        let (Some(method), Some(target), Some(minor_version)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return Head::Malformed("the request is not HTTP");
        };
        let (path, query) = split_target(target);
        let fields = parsed.headers.iter().map(|field| (field.name, field.value)).collect();
        let request = Request { method, path, query, minor_version, fields };
        match request.fields("host").count() {
            0 if minor_version == 1 => Head::Malformed("the request has no Host"),
            0 | 1 => Head::Complete(request, head_bytes),
            _ => Head::Malformed("the request has more than one Host"),
        }
    }
}

/// The path and the query of a target in origin form or absolute form (RFC 9112, section 3.2).
fn split_target(target: &str) -> (&str, &str) {
    let target = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') && !scheme.contains('?') => {
            rest.find(['/', '?']).map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    target.split_once('?').unwrap_or((target, ""))
}

impl Request<'_> {
    /// The first header field of a name, if it is text.
    pub(crate) fn field(&self, name: &'static str) -> Option<&str> {
        self.fields(name).next()
    }

    fn fields(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let named = self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| std::str::from_utf8(value).unwrap_or(""))
    }

    /// Whether there is content behind the head (RFC 9112, section 6.3).
    pub(crate) fn has_content(&self) -> bool {
        self.field("transfer-encoding").is_some()
            || self.fields("content-length").any(|length| length.trim() != "0")
    }

    /// Whether the client takes an event stream (RFC 9110, section 12.5.1): the most specific
    /// range that covers it decides.
    pub(crate) fn accepts_event_stream(&self) -> bool {
        let mut best: Option<(u8, bool)> = None;
        let mut ranges = self.fields("accept").flat_map(|value| value.split(',')).peekable();
        if ranges.peek().is_none() {
            return true;
        }
        for range in ranges {
            let mut parameters = range.split(';').map(str::trim);
            let specific = match parameters.next().unwrap_or("").to_ascii_lowercase().as_str() {
                "text/event-stream" => 2,
                "text/*" => 1,
                "*/*" => 0,
                _ => continue,
            };
            let quality = parameters.find_map(|p| p.strip_prefix("q=").or(p.strip_prefix("Q=")));
            let wanted = quality.is_none_or(|q| q.parse::<f32>().is_ok_and(|q| q > 0.0));
            if best.is_none_or(|(known, _)| specific > known) {
                best = Some((specific, wanted));
            }
        }
        best.is_some_and(|(_, wanted)| wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(accept: &str) -> bool {
        let head = format!("GET / HTTP/1.0\r\nAccept: {accept}\r\n\r\n");
        match Head::parse(head.as_bytes()) {
            Head::Complete(request, _) => request.accepts_event_stream(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_most_specific_range_decides_what_is_accepted() {
        for accept in [
            "text/event-stream",
            "text/html, Text/Event-Stream",
            "*/*",
            "text/*;q=0.1",
            "*/*;q=0, text/event-stream;q=0.5",
        ] {
            assert!(accepts(accept), "{accept}");
        }
        for accept in [
            "text/html",
            "application/*",
            "*/*;q=0",
            "*/*, text/event-stream; q=0",
            "text/*;q=0, */*",
        ] {
            assert!(!accepts(accept), "{accept}");
        }
        let without = b"GET / HTTP/1.0\r\n\r\n";
        assert!(matches!(Head::parse(without), Head::Complete(r, _) if r.accepts_event_stream()));
    }

    #[test]
    fn targets_are_taken_apart_in_both_forms() {
        assert_eq!(split_target("/a/b?c=d?e"), ("/a/b", "c=d?e"));
        assert_eq!(split_target("http://h:80/a?b"), ("/a", "b"));
        assert_eq!(split_target("http://h"), ("/", ""));
        assert_eq!(split_target("http://h?b"), ("", "b"));
        assert_eq!(split_target("/a?u=http://x/y"), ("/a", "u=http://x/y"));
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_is_partial_until_it_is_complete() {
        let head = b"GET /events?topic=a HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n";
        for end in 0..head.len() {
            assert!(matches!(Head::parse(&head[..end]), Head::Partial), "{end}");
        }
        assert!(matches!(Head::parse(head), Head::Complete(..)));
    }

    #[test]
    fn hosts_are_counted_and_nonsense_is_malformed() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "\x16\x03\x01\x02\x00",
            "GET / HTTP/1.1\r\nHo st: a\r\n\r\n",
        ] {
            assert!(matches!(Head::parse(head.as_bytes()), Head::Malformed(_)), "{head:?}");
        }
        let many = format!("GET / HTTP/1.0\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX + 1));
        assert!(matches!(Head::parse(many.as_bytes()), Head::TooManyFields));
    }
}
