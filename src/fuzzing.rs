//! What the fuzz targets in `fuzz/` see of the inside. No stable API, and not for hosts.

use std::borrow::Cow;
use std::net::SocketAddr;

use crate::event::{Event, EventError};
use crate::filter::{tree, Filter};
use crate::frame::{self, Draft, Wire};
use crate::http::host::Host;
use crate::http::{body, query, request, template};
use crate::id::Epoch;
use crate::proxy::{self, forwarded::ForwardedHeader};
use crate::topic::Topic;

/// What a client has sent so far.
#[derive(Debug)]
pub enum Head<'a> {
    /// The beginning of a head.
    Partial,
    /// A head, and its bytes.
    Complete(Request<'a>, usize),
    /// No head, whatever bytes follow.
    Malformed,
    /// More header fields than may be.
    TooManyFields,
}

/// The head of a request.
#[derive(Debug)]
pub struct Request<'a>(request::Request<'a>);

/// Parses what may be a request's head, with at most `fields_max` header fields.
pub fn parse_head(bytes: &[u8], fields_max: usize) -> Head<'_> {
    match request::Head::parse(bytes, fields_max) {
        request::Head::Partial => Head::Partial,
        request::Head::Complete(request, head_bytes) => {
            Head::Complete(Request(request), head_bytes)
        }
        request::Head::Malformed(_) => Head::Malformed,
        request::Head::TooManyFields => Head::TooManyFields,
    }
}

impl<'a> Request<'a> {
    /// Its method.
    pub fn method(&self) -> &'a str {
        self.0.method
    }

    /// The path and the query of its target.
    pub fn target(&self) -> (&'a str, &'a str) {
        (self.0.path, self.0.query)
    }

    /// The minor version of HTTP/1.
    pub fn minor_version(&self) -> u8 {
        self.0.minor_version
    }

    /// The name of the server that it is for; `[` stands for any IPv6 address, and nothing for
    /// none.
    pub fn host(&self) -> &'a str {
        match self.0.host {
            Host::None => "",
            Host::Ipv6 => "[",
            Host::Name(name) => name,
        }
    }

    /// The first header field of a name.
    pub fn field(&self, name: &'static str) -> Option<Cow<'a, str>> {
        self.0.field(name)
    }

    /// Whether there is content behind the head.
    pub fn has_content(&self) -> bool {
        self.0.has_content()
    }

    /// Whether the client takes an event stream.
    pub fn accepts_event_stream(&self) -> bool {
        self.0.accepts_event_stream()
    }
}

/// The content of a request.
#[derive(Debug)]
pub struct Body(body::Body);

/// Why content is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is larger than it may be.
    TooLarge,
    /// It is nothing that HTTP has.
    Malformed,
}

impl Body {
    /// The content that a request's head announces.
    ///
    /// # Errors
    ///
    /// When it is too large, or not certain.
    pub fn of(request: &Request<'_>, bytes_max: usize) -> Result<Body, BodyError> {
        body::Body::of(&request.0, bytes_max).map(Body).map_err(BodyError::from)
    }

    /// Takes what has come, and returns whether that is all.
    ///
    /// # Errors
    ///
    /// When it is too large, or nothing that HTTP has.
    pub fn take(&mut self, bytes: &[u8]) -> Result<bool, BodyError> {
        self.0.take(bytes).map_err(BodyError::from)
    }
}

impl From<body::BodyError> for BodyError {
    fn from(error: body::BodyError) -> BodyError {
        match error {
            body::BodyError::TooLarge => BodyError::TooLarge,
            body::BodyError::Coding | body::BodyError::Malformed(_) => BodyError::Malformed,
        }
    }
}

/// A path with places for values.
#[derive(Debug)]
pub struct Template(template::Template);

impl Template {
    /// Reads a template; `None` if it is none.
    pub fn parse(path: &str) -> Option<Template> {
        template::Template::parse(path).ok().map(Template)
    }

    /// The values of a path as they were sent; `None` if it is another path.
    pub fn matches<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        self.0.matches(path)
    }

    /// Whether there is a path that both match.
    pub fn overlaps(&self, other: &Template) -> bool {
        self.0.overlaps(&other.0)
    }

    /// A text with these values in its places; `None` if the text is none, or a value cannot be
    /// there.
    pub fn fill(&self, text: &str, values: &[&str]) -> Option<String> {
        template::Pattern::parse(text, &self.0).ok()?.fill(values).ok()
    }
}

/// The value that a segment of a path stands for; `None` if it is none.
pub fn decode_value(segment: &str) -> Option<Cow<'_, str>> {
    template::decode_value(segment).ok()
}

/// The query of a request's target.
#[derive(Debug)]
pub struct Query<'a>(query::Query<'a>);

impl<'a> Query<'a> {
    /// Takes a query apart; `None` if it is not UTF-8.
    pub fn parse(query: &'a str) -> Option<Query<'a>> {
        query::Query::parse(query).ok().map(Query)
    }

    /// All fields of a name.
    pub fn all<'q>(&'q self, name: &'q str) -> Vec<&'q str> {
        self.0.all(name).collect()
    }

    /// The first field of a name.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.first(name)
    }

    /// The last field of one of two names that is not empty.
    pub fn last_of(&self, names: [&str; 2]) -> Option<&str> {
        self.0.last_of(names)
    }
}

/// What the names of all topics that a filter matches begin with.
pub fn literal_prefix(filter: &Filter) -> &str {
    filter.literal_prefix()
}

/// Filters by their levels.
#[derive(Default)]
pub struct FilterTree(tree::FilterTree<()>);

impl FilterTree {
    /// How many filters there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// Adds a filter, unless it is there.
    pub fn insert(&mut self, filter: &Filter) {
        self.0.get_or_insert_with(filter, || ());
    }

    /// Removes a filter, and returns whether it was there.
    pub fn remove(&mut self, filter: &Filter) -> bool {
        self.0.remove(filter).is_some()
    }

    /// The filters that match a topic, in no order.
    pub fn matches(&self, topic: &Topic) -> Vec<Filter> {
        let mut matches = Vec::new();
        self.0.for_each_match(topic, |filter, ()| matches.push(filter.clone()));
        matches
    }
}

/// An encoded event.
pub struct Frame(frame::Frame);

impl Frame {
    /// Checks and encodes an event.
    ///
    /// # Errors
    ///
    /// When no client would get it as it is.
    pub fn encode(event: &Event<'_>, sequence: u64) -> Result<Frame, EventError> {
        let draft = Draft::encode(event, 1 << 20)?;
        Ok(Frame(draft.stamp(Epoch::random(), sequence, 0)))
    }

    /// The event in a JSON envelope.
    pub fn in_json(&self, topic: &Topic) -> Frame {
        Frame(self.0.in_json(topic))
    }

    /// The bytes that a connection is sent of some frames.
    pub fn gather(frames: &[Frame], chunked: bool) -> Vec<u8> {
        let wire = if chunked { Wire::Chunked } else { Wire::Plain };
        let mut buffer = Vec::new();
        frame::Frame::gather(frames.iter().map(|frame| &frame.0), wire, &mut buffer).to_vec()
    }
}

impl std::fmt::Debug for FilterTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilterTree").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a connection from a proxy begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The beginning of a header.
    Partial,
    /// A header of so many bytes, and the client's address if it has one.
    Complete(usize, Option<SocketAddr>),
    /// No header, whatever follows.
    Malformed,
}

/// The most bytes of a header of the PROXY protocol.
pub const PROXY_HEADER_BYTES_MAX: usize = proxy::header::HEADER_BYTES_MAX;

/// Parses what may be a header of the PROXY protocol.
pub fn parse_proxy_header(bytes: &[u8]) -> ProxyHeader {
    match proxy::header::ProxyHeader::parse(bytes) {
        proxy::header::ProxyHeader::Partial => ProxyHeader::Partial,
        proxy::header::ProxyHeader::Complete(bytes, client) => ProxyHeader::Complete(bytes, client),
        proxy::header::ProxyHeader::Malformed(_) => ProxyHeader::Malformed,
    }
}

/// Proxies that are trusted.
#[derive(Debug)]
pub struct Trusted(proxy::networks::Networks);

impl Trusted {
    /// The proxies of these networks; `None` if one of them is none.
    pub fn new(networks: &[&str]) -> Option<Trusted> {
        let networks: Vec<String> = networks.iter().copied().map(str::to_owned).collect();
        proxy::networks::Networks::new(&networks).ok().map(Trusted)
    }

    /// The client that these values of a header field name.
    pub fn client_of(&self, header: ForwardedHeader, values: &[&[u8]]) -> Option<SocketAddr> {
        proxy::forwarded::client_of(header, values.iter().copied(), &self.0)
    }
}

/// A token of any header and claims, signed with a key.
#[cfg(feature = "tickets")]
pub fn sign_json(key: &crate::tickets::SigningKey, header: &str, claims: &str) -> Option<String> {
    key.sign_json(header, claims).ok()
}
