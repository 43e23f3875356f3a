//! The head of a request.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use httparse::Status;

use super::host::Host;

/// The number of header fields that fit on the stack. A request with more is parsed
/// again in memory from the heap; nearly all requests have fewer.
const FIELDS_ON_STACK: usize = 64;

/// The parts of a complete request's head that the engine reads.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// The target's path, still percent-encoded.
    pub(crate) path: &'a str,
    /// The target's query, without its `?`.
    pub(crate) query: &'a str,
    /// 0 or 1: the minor version of HTTP/1.
    pub(crate) minor_version: u8,
    /// The server that the request is for.
    pub(crate) host: Host<'a>,
    fields: Vec<(&'a str, &'a [u8])>,
}

/// What the bytes are that a client has sent so far.
#[derive(Debug)]
pub(crate) enum Head<'a> {
    Partial,
    /// A request, and the bytes of its head.
    Complete(Request<'a>, usize),
    /// The bytes are no request that can be answered, and will not become one.
    Malformed(&'static str),
    TooManyFields,
}

impl<'a> Head<'a> {
    /// Parses a request's head of at most `fields_max` header fields.
    pub(crate) fn parse(bytes: &'a [u8], fields_max: usize) -> Head<'a> {
        let mut few = [const { MaybeUninit::uninit() }; FIELDS_ON_STACK];
        let head = Head::parse_with(bytes, &mut few[..fields_max.min(FIELDS_ON_STACK)]);
        if !matches!(head, Head::TooManyFields) || fields_max <= FIELDS_ON_STACK {
            return head;
        }
        let mut many = Vec::new();
        many.resize_with(fields_max, MaybeUninit::uninit);
        Head::parse_with(bytes, &mut many)
    }

    fn parse_with<'f>(
        bytes: &'a [u8],
        fields: &'f mut [MaybeUninit<httparse::Header<'a>>],
    ) -> Head<'a>
    where
        'a: 'f,
    {
        let mut parsed = httparse::Request::new(&mut []);
        let head_bytes = match parsed.parse_with_uninit_headers(bytes, fields) {
            Ok(Status::Partial) => return Head::Partial,
            Ok(Status::Complete(head_bytes)) => head_bytes,
            Err(httparse::Error::TooManyHeaders) => return Head::TooManyFields,
            Err(httparse::Error::Version) => {
                return Head::Malformed(
                    "only HTTP/1.0 and HTTP/1.1 are spoken here; use one of them",
                )
            }
            Err(_) => return Head::Malformed("the request is not HTTP; send one of HTTP/1.1"),
        };
        let (Some(method), Some(target), Some(minor_version)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return Head::Malformed("the request is not HTTP; send one of HTTP/1.1");
        };
        // No form of a target has one (RFC 9112, section 3.2), and servers differ in what they make
        // of it.
        if memchr::memchr(b'#', target.as_bytes()).is_some() {
            return Head::Malformed("the request's target has a #; in a query it is written %23");
        }
        let (authority, path, query) = split_target(target);
        let fields = parsed.headers.iter().map(|field| (field.name, field.value)).collect();
        let request = Request { method, path, query, minor_version, host: Host::None, fields };
        match request.find_host(authority) {
            Ok(host) => Head::Complete(Request { host, ..request }, head_bytes),
            Err(why) => Head::Malformed(why),
        }
    }
}

/// The authority, the path and the query of a target in origin form or absolute form (RFC 9112,
/// section 3.2).
fn split_target(target: &str) -> (Option<&str>, &str, &str) {
    let (authority, target) = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') && !scheme.contains('?') => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, target) = rest.split_at(end);
            (Some(authority), if target.is_empty() { "/" } else { target })
        }
        _ => (None, target),
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (authority, path, query)
}

impl<'a> Request<'a> {
    /// The server that the request is for: the target's authority, or else `Host`, of which there
    /// has to be a valid one in either case (RFC 9112, section 3.2).
    fn find_host(&self, authority: Option<&'a str>) -> Result<Host<'a>, &'static str> {
        let mut hosts = self.values("host");
        let host = match (hosts.next(), hosts.next()) {
            (None, _) if self.minor_version == 1 => return Err("the request has no Host"),
            (None, _) => Host::None,
            (Some(_), Some(_)) => return Err("the request has more than one Host"),
            (Some(value), None) => std::str::from_utf8(value)
                .ok()
                .and_then(Host::parse)
                .ok_or("the request's Host is not a host with a port")?,
        };
        match authority {
            None => Ok(host),
            Some(authority) => {
                Host::parse(authority).ok_or("the target's authority is not a host with a port")
            }
        }
    }

    /// The first header field of a name. A value that is not UTF-8 is read as ISO-8859-1, which
    /// clients send that take a field's value for characters: so it is never mistaken for none.
    pub(crate) fn field(&self, name: &'static str) -> Option<Cow<'a, str>> {
        self.values(name).next().map(text_of)
    }

    /// The names and values of all header fields, in their order, without the white space around
    /// the values.
    pub(crate) fn all_fields(&self) -> &[(&'a str, &'a [u8])] {
        &self.fields
    }

    /// All header fields of a name.
    fn fields(&self, name: &'static str) -> impl Iterator<Item = Cow<'a, str>> + '_ {
        self.values(name).map(text_of)
    }

    /// The values of all header fields of a name, without the white space around them.
    pub(crate) fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + '_ {
        let named = self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|&(_, value)| value)
    }

    /// Whether there is content behind the head (RFC 9112, section 6.3).
    pub(crate) fn has_content(&self) -> bool {
        self.field("transfer-encoding").is_some()
            || self.fields("content-length").any(|length| trim_ows(&length) != "0")
    }

    /// Whether it may be the request of an `EventSource`: a `GET` that names the type of an event
    /// stream, as the HTML standard has it. Libraries that replace one send the same.
    pub(crate) fn is_of_an_event_source(&self) -> bool {
        let is_named = |accept: Cow<'_, str>| {
            let mut types = accept.split(',').filter_map(|range| range.split(';').next());
            types.any(|name| trim_ows(name).eq_ignore_ascii_case("text/event-stream"))
        };
        self.method == "GET" && self.fields("accept").any(is_named)
    }

    /// Whether the client takes an event stream (RFC 9110, section 12.5.1): the most specific
    /// range that covers it decides.
    pub(crate) fn accepts_event_stream(&self) -> bool {
        let mut best: Option<(u8, bool)> = None;
        let values: Vec<_> = self.fields("accept").collect();
        if values.is_empty() {
            return true;
        }
        for range in values.iter().flat_map(|value| value.split(',')) {
            let mut parameters = range.split(';').map(trim_ows);
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

fn text_of(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.iter().copied().map(char::from).collect()),
    }
}

/// Takes off the optional white space around a field's value: spaces and tabs, and no other
/// characters (RFC 9110, sections 5.5 and 5.6.3).
pub(crate) fn trim_ows(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS_MAX: usize = 128;

    fn parse(head: &[u8]) -> Head<'_> {
        Head::parse(head, FIELDS_MAX)
    }

    fn complete(head: &[u8]) -> Request<'_> {
        match parse(head) {
            Head::Complete(request, _) => request,
            other => panic!("{other:?}"),
        }
    }

    fn accepts(accept: &str) -> bool {
        let head = format!("GET / HTTP/1.0\r\nAccept: {accept}\r\n\r\n");
        complete(head.as_bytes()).accepts_event_stream()
    }

    #[test]
    fn the_most_specific_range_decides_what_is_accepted() {
        for accept in [
            "text/event-stream",
            "text/html, Text/Event-Stream",
            "*/*",
            "text/*;q=0.1",
            "*/*;q=0, text/event-stream;q=0.5",
            "text/caf\u{e9}, \ttext/event-stream ; q=1",
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
        assert!(complete(without).accepts_event_stream());
        // A field that is not UTF-8 is one all the same.
        let latin = b"GET / HTTP/1.0\r\nAccept: text/event-stream;a=\xe9\r\n\r\n";
        assert!(complete(latin).accepts_event_stream());
    }

    #[test]
    fn an_event_source_names_the_type_of_an_event_stream() {
        let is_one = |line: &str, accept: &str| {
            let head = format!("{line} / HTTP/1.1\r\nHost: a\r\n{accept}\r\n");
            complete(head.as_bytes()).is_of_an_event_source()
        };
        assert!(is_one("GET", "Accept: text/event-stream\r\n"));
        assert!(is_one("GET", "Accept: */*\r\naccept: a/b, \tText/Event-Stream ;q=0.5\r\n"));
        assert!(!is_one("GET", "") && !is_one("GET", "Accept: */*, text/*\r\n"));
        assert!(!is_one("POST", "Accept: text/event-stream\r\n"));
    }

    #[test]
    fn a_field_that_is_not_utf8_is_read_as_latin_1_and_only_spaces_and_tabs_are_taken_off() {
        let head = b"GET / HTTP/1.0\r\nA: caf\xe9\r\nB: caf\xc3\xa9\r\nC: \t \xc2\xa0x\xe3\x80\x80\t\r\n\r\n";
        let request = complete(head);
        let field = |name| request.field(name).map(|value| trim_ows(&value).to_owned());
        assert_eq!(field("a").as_deref(), Some("caf\u{e9}"));
        assert_eq!(field("b").as_deref(), Some("caf\u{e9}"));
        assert_eq!(field("c").as_deref(), Some("\u{a0}x\u{3000}"));
        assert_eq!(field("d"), None);
    }

    #[test]
    fn targets_are_taken_apart_in_both_forms() {
        assert_eq!(split_target("/a/b?c=d?e"), (None, "/a/b", "c=d?e"));
        assert_eq!(split_target("http://h:80/a?b"), (Some("h:80"), "/a", "b"));
        assert_eq!(split_target("http://h"), (Some("h"), "/", ""));
        assert_eq!(split_target("http://h?b"), (Some("h"), "", "b"));
        assert_eq!(split_target("/a?u=http://x/y"), (None, "/a", "u=http://x/y"));
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_is_partial_until_it_is_complete() {
        let head = b"GET /events?topic=a HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n";
        for end in 0..head.len() {
            assert!(matches!(parse(&head[..end]), Head::Partial), "{end}");
        }
        assert!(matches!(parse(head), Head::Complete(..)));
    }

    #[test]
    fn hosts_are_counted_and_nonsense_is_malformed() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "\x16\x03\x01\x02\x00",
            "GET / HTTP/1.1\r\nHo st: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: größe\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a/b\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a:b\r\n\r\n",
            "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /events#x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /events?topic=a/# HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/#x HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert!(matches!(parse(head.as_bytes()), Head::Malformed(_)), "{head:?}");
        }
    }

    #[test]
    fn the_targets_authority_counts_instead_of_the_host() {
        let host = |head: &'static str| complete(head.as_bytes()).host;
        assert_eq!(host("GET / HTTP/1.1\r\nHost: a:80\r\n\r\n"), Host::Name("a"));
        assert_eq!(host("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"), Host::Name("b"));
        assert_eq!(host("GET http://b/ HTTP/1.0\r\n\r\n"), Host::Name("b"));
        assert_eq!(host("GET / HTTP/1.0\r\n\r\n"), Host::None);
    }

    #[test]
    fn as_many_fields_are_taken_as_the_bound_says() {
        let head = |fields| format!("GET / HTTP/1.0\r\n{}\r\n", "A: b\r\n".repeat(fields));
        for most in [1, FIELDS_ON_STACK - 1, FIELDS_ON_STACK, FIELDS_ON_STACK + 1, 1_000] {
            let (fits, is_over) = (head(most), head(most + 1));
            assert!(matches!(Head::parse(fits.as_bytes(), most), Head::Complete(..)), "{most}");
            let over = Head::parse(is_over.as_bytes(), most);
            assert!(matches!(over, Head::TooManyFields), "{most}");
        }
    }
}
