//! An event encoded to the bytes of an event stream: once, for all connections that are sent it.
//!
//! ```text
//!  reserve           | id line              | fields                       | end
//!  .......... 9 e CR LF  i d : _ e p o c h - 7 LF  d a t a : _ h e l l o LF LF  CR LF
//!             ^chunked   ^plain                                             ^plain_end
//! ```
//!
//! The sequence number is only known under the hub's lock. So the fields are encoded first, after a
//! reserve, and [`Draft::stamp`] writes the id line and then the chunk's size *backwards* into the
//! reserve: a few stores, and nothing is moved. Thus one buffer has both wire forms (RFC 9112,
//! section 7.1, defines the chunked one), and a single frame is sent as it is.
//!
//! An event in a JSON envelope (`envelope.rs`) is a frame of its own, made of the event's frame.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::envelope::{json_bytes, put_json};
use crate::event::{Event, EventError};
use crate::id::{Epoch, EventId};
use crate::topic::Topic;

/// How a connection's bytes are framed. All members of an audience have the same wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wire {
    /// `Transfer-Encoding: chunked`, for HTTP/1.1.
    Chunked,
    /// The event stream alone, which ends when the connection is closed, for HTTP/1.0.
    Plain,
}

/// An encoded event: immutable, and shared by reference.
#[derive(Clone)]
pub(crate) struct Frame(Arc<Encoded>);

/// An encoded event without a sequence number.
pub(crate) struct Draft(Encoded);

struct Encoded {
    bytes: Vec<u8>,
    /// The position in `bytes` where the chunked form begins; it ends where `bytes` ends.
    chunked: usize,
    /// Where the plain form begins, and where it ends.
    plain: usize,
    plain_end: usize,
    /// The custom id, if the publisher gave one; it is then one of the fields.
    custom_id: Option<Arc<str>>,
    /// What the event is about, if the publisher gave a key.
    key: Option<Box<str>>,
    /// Only for an event of several topics.
    several: Option<Box<Several>>,
    /// Its number in the hub's order, and when it was published, in nanoseconds since the hub's
    /// start; both zero in a draft.
    sequence: u64,
    at_ns: u64,
}

/// The topics of an event that has several.
struct Several {
    /// In the order of their names, each once.
    topics: Arc<[Topic]>,
    /// The index of their list in the hub's [order](crate::order), if the event is kept there.
    list: Option<u32>,
}

/// The id of an event in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamId {
    /// The hub's id, with this sequence number.
    Hub(u64),
    /// The id that the publisher gave.
    Custom(Arc<str>),
}

/// Room for the size of a chunk: eight hexadecimal digits, CR, LF.
const CHUNK_HEAD_BYTES_MAX: usize = 10;
/// Room for the id line: `id: `, the id, LF.
const ID_LINE_BYTES_MAX: usize = 4 + EventId::OWN_BYTES_MAX + 1;
const RESERVE_BYTES: usize = CHUNK_HEAD_BYTES_MAX + ID_LINE_BYTES_MAX;
const CHUNK_TAIL: &[u8] = b"\r\n";
/// The end of a chunked stream.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Draft {
    /// Checks and encodes an event, which may have at most `bytes_max` bytes. This is all of the
    /// work that needs no lock.
    pub(crate) fn encode(event: &Event<'_>, bytes_max: usize) -> Result<Draft, EventError> {
        event.check(bytes_max)?;
        let Event { data, name, id, retry, key, comment, window: _ } = event;
        let text = data.as_ref().map_or(0, |d| d.len()) + comment.as_ref().map_or(0, |c| c.len());
        let mut bytes = Vec::with_capacity(RESERVE_BYTES + text + 64);
        bytes.resize(RESERVE_BYTES, 0);
        if let Some(comment) = comment {
            put_lines(&mut bytes, b": ", comment);
        }
        if let Some(id) = id {
            put(&mut bytes, b"id: ", id.as_bytes());
        }
        if let Some(name) = name {
            put(&mut bytes, b"event: ", name.as_bytes());
        }
        if let Some(retry) = retry {
            put(&mut bytes, b"retry: ", retry.as_millis().to_string().as_bytes());
        }
        if let Some(data) = data {
            put_lines(&mut bytes, b"data: ", data);
        }
        bytes.push(b'\n');
        let plain_end = bytes.len();
        bytes.extend_from_slice(CHUNK_TAIL);
        let (chunked, plain) = (RESERVE_BYTES, RESERVE_BYTES);
        let (custom_id, key) = (id.as_deref().map(Arc::from), key.as_deref().map(Box::from));
        Ok(Draft(Encoded {
            bytes,
            chunked,
            plain,
            plain_end,
            custom_id,
            key,
            several: None,
            sequence: 0,
            at_ns: 0,
        }))
    }

    /// Makes its key differ from the same key in another topic.
    pub(crate) fn scope_key(&mut self, topic: &Topic) {
        if let Some(key) = &mut self.0.key {
            // No topic contains a NUL.
            *key = format!("{topic}\0{key}").into();
        }
    }

    /// Makes it an event of several topics, which are in the order of their names, each once; and
    /// its key differ from the same key in any other topics.
    pub(crate) fn set_topics(&mut self, topics: Arc<[Topic]>) {
        if let Some(key) = &mut self.0.key {
            // No topic contains a NUL, and the key of an event of one topic begins with that. So
            // two keys are the same only if the topics are.
            let names: String = topics.iter().flat_map(|topic| ["\0", topic.as_str()]).collect();
            *key = format!("{names}\0\0{key}").into();
        }
        self.0.several = Some(Box::new(Several { topics, list: None }));
    }

    /// Its topics, if these are several.
    pub(crate) fn topics(&self) -> Option<&Arc<[Topic]>> {
        self.0.several.as_ref().map(|several| &several.topics)
    }

    /// Notes the index of the list of its topics, whose names it shares from then on with all other
    /// events of that list.
    pub(crate) fn set_list(&mut self, list: u32, topics: Arc<[Topic]>) {
        self.0.several = Some(Box::new(Several { topics, list: Some(list) }));
    }

    /// The encoded fields, up to the blank line that ends the event: what another process needs of it to make
    /// the same draft.
    pub(crate) fn fields(&self) -> &[u8] {
        &self.0.bytes[RESERVE_BYTES..self.0.plain_end]
    }

    pub(crate) fn custom_id(&self) -> Option<&Arc<str>> {
        self.0.custom_id.as_ref()
    }

    /// The key with the topics that it belongs to.
    pub(crate) fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// The draft of which these are the parts.
    #[cfg_attr(
        not(feature = "cluster"),
        allow(dead_code, reason = "a cluster's nodes alone use it")
    )]
    pub(crate) fn of_parts(
        fields: &[u8],
        custom_id: Option<&str>,
        key: Option<&str>,
        topics: Option<Arc<[Topic]>>,
    ) -> Draft {
        let mut bytes = Vec::with_capacity(RESERVE_BYTES + fields.len() + CHUNK_TAIL.len());
        bytes.resize(RESERVE_BYTES, 0);
        bytes.extend_from_slice(fields);
        let plain_end = bytes.len();
        bytes.extend_from_slice(CHUNK_TAIL);
        Draft(Encoded {
            bytes,
            chunked: RESERVE_BYTES,
            plain: RESERVE_BYTES,
            plain_end,
            custom_id: custom_id.map(Arc::from),
            key: key.map(Box::from),
            several: topics.map(|topics| Box::new(Several { topics, list: None })),
            sequence: 0,
            at_ns: 0,
        })
    }

    /// The bytes that it adds to a topic's backlog.
    pub(crate) fn len(&self) -> usize {
        self.0.bytes.len() - RESERVE_BYTES
    }

    /// Gives the event its number in the order and its time, and so completes the frame.
    pub(crate) fn stamp(self, epoch: Epoch, sequence: u64, at_ns: u64) -> Frame {
        let mut encoded = self.0;
        (encoded.sequence, encoded.at_ns) = (sequence, at_ns);
        let mut at = encoded.plain;
        if encoded.custom_id.is_none() {
            at = put_back(&mut encoded.bytes, at, b"\n");
            at = put_number_back(&mut encoded.bytes, at, sequence, 10);
            at = put_back(&mut encoded.bytes, at, b"-");
            at = put_back(&mut encoded.bytes, at, epoch.as_bytes());
            at = put_back(&mut encoded.bytes, at, b"id: ");
        }
        encoded.plain = at;
        let chunk_bytes = encoded.plain_end - encoded.plain;
        encoded.chunked = put_chunk_head_back(&mut encoded.bytes, at, chunk_bytes);
        Frame(Arc::new(encoded))
    }
}

impl Frame {
    /// What takes a number in the order, and has no bytes: it is no event, and never sent.
    pub(crate) fn mark(sequence: u64, at_ns: u64) -> Frame {
        let (bytes, chunked, plain, plain_end) = (Vec::new(), 0, 0, 0);
        let (custom_id, key) = (None, None);
        Frame(Arc::new(Encoded {
            bytes,
            chunked,
            plain,
            plain_end,
            custom_id,
            key,
            several: None,
            sequence,
            at_ns,
        }))
    }

    /// An event of an earlier life of the hub, with the bytes that [`Frame::plain`] had then, and with the
    /// index of the list of its topics if they are several.
    pub(crate) fn restored(
        plain: &[u8],
        custom_id: Option<&str>,
        key: Option<&str>,
        list: Option<(u32, Arc<[Topic]>)>,
        sequence: u64,
        at_ns: u64,
    ) -> Frame {
        let mut bytes = Vec::with_capacity(CHUNK_HEAD_BYTES_MAX + plain.len() + CHUNK_TAIL.len());
        bytes.resize(CHUNK_HEAD_BYTES_MAX, 0);
        bytes.extend_from_slice(plain);
        let (plain, plain_end) = (CHUNK_HEAD_BYTES_MAX, bytes.len());
        let chunked = put_chunk_head_back(&mut bytes, plain, plain_end - plain);
        bytes.extend_from_slice(CHUNK_TAIL);
        let several = list.map(|(list, topics)| Box::new(Several { topics, list: Some(list) }));
        Frame(Arc::new(Encoded {
            bytes,
            chunked,
            plain,
            plain_end,
            custom_id: custom_id.map(Arc::from),
            key: key.map(Box::from),
            several,
            sequence,
            at_ns,
        }))
    }

    /// The bytes that a connection of this wire form is sent for this frame alone.
    pub(crate) fn wire(&self, wire: Wire) -> &[u8] {
        match wire {
            Wire::Chunked => &self.0.bytes[self.0.chunked..],
            Wire::Plain => self.plain(),
        }
    }

    /// The event stream's bytes without any framing, to be gathered with those of other frames.
    pub(crate) fn plain(&self) -> &[u8] {
        &self.0.bytes[self.0.plain..self.0.plain_end]
    }

    /// The custom id, if the publisher gave one.
    pub(crate) fn custom_id(&self) -> Option<&Arc<str>> {
        self.0.custom_id.as_ref()
    }

    /// Its topics in the order of their names, if these are several.
    pub(crate) fn topics(&self) -> Option<&Arc<[Topic]>> {
        self.0.several.as_ref().map(|several| &several.topics)
    }

    /// The index of the list of its topics, if it was kept as an event of several.
    #[inline]
    pub(crate) fn list(&self) -> Option<u32> {
        self.0.several.as_ref().and_then(|several| several.list)
    }

    /// The event's key, with its topic or topics: of the events with one key only the newest
    /// matters.
    pub(crate) fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// Its number in the hub's order.
    pub(crate) fn sequence(&self) -> u64 {
        self.0.sequence
    }

    /// When it was published, in nanoseconds since the hub's start.
    pub(crate) fn at_ns(&self) -> u64 {
        self.0.at_ns
    }

    /// The id that a client knows it by.
    pub(crate) fn stream_id(&self) -> StreamId {
        match self.custom_id() {
            Some(id) => StreamId::Custom(id.clone()),
            None => StreamId::Hub(self.0.sequence),
        }
    }

    /// The same event in a JSON envelope, which names its topics; the frame itself if the event has
    /// no data. `topic` is one that it was published to.
    pub(crate) fn in_json(&self, topic: &Topic) -> Frame {
        let (event, names) = (self.plain(), &*names(self, topic));
        let mut bytes = Vec::with_capacity(CHUNK_HEAD_BYTES_MAX + json_bytes(event, names));
        bytes.resize(CHUNK_HEAD_BYTES_MAX, 0);
        if !put_json(&mut bytes, event, names) {
            return self.clone();
        }
        let (plain, plain_end) = (CHUNK_HEAD_BYTES_MAX, bytes.len());
        let chunked = put_chunk_head_back(&mut bytes, plain, plain_end - plain);
        bytes.extend_from_slice(CHUNK_TAIL);
        let Encoded { custom_id, key, sequence, at_ns, .. } = &*self.0;
        Frame(Arc::new(Encoded {
            bytes,
            chunked,
            plain,
            plain_end,
            custom_id: custom_id.clone(),
            key: key.clone(),
            several: None,
            sequence: *sequence,
            at_ns: *at_ns,
        }))
    }

    /// Which frame it is: clones are the same one, and the same event in an envelope is another.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// The bytes that a connection of this wire form is sent for several frames at once, written
    /// into `buffer`. Those of a single frame are not copied.
    pub(crate) fn gather<'a>(
        frames: impl ExactSizeIterator<Item = &'a Frame> + Clone,
        wire: Wire,
        buffer: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        if let (1, Some(frame)) = (frames.len(), frames.clone().next()) {
            return frame.wire(wire);
        }
        let bytes = frames.clone().map(|frame| frame.plain().len()).sum();
        let chunk = Chunk::new(wire, bytes);
        buffer.clear();
        buffer.reserve(chunk.head().len() + bytes + chunk.tail().len());
        buffer.extend_from_slice(chunk.head());
        frames.for_each(|frame| buffer.extend_from_slice(frame.plain()));
        buffer.extend_from_slice(chunk.tail());
        buffer
    }

    /// The same of events in JSON envelopes, each with a topic that it was published to. Nothing of
    /// what is written is kept in the frames.
    pub(crate) fn gather_json<'a>(
        events: impl Iterator<Item = (&'a Frame, &'a Topic)>,
        wire: Wire,
        buffer: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        const BEGIN: usize = Chunk::HEAD_BYTES_MAX;
        buffer.clear();
        buffer.resize(BEGIN, 0);
        for (frame, topic) in events {
            if !put_json(buffer, frame.plain(), &names(frame, topic)) {
                buffer.extend_from_slice(frame.plain());
            }
        }
        let chunk = Chunk::new(wire, buffer.len() - BEGIN);
        let from = put_back(buffer, BEGIN, chunk.head());
        buffer.extend_from_slice(chunk.tail());
        &buffer[from..]
    }
}

/// The names of an event's topics, as its JSON envelope tells them; the first is the `topic`. The
/// given topic is the only one, or one of several.
fn names<'a>(frame: &'a Frame, topic: &'a Topic) -> SmallVec<[&'a str; 1]> {
    match frame.topics() {
        None => [topic.as_str()].into(),
        Some(topics) => topics.iter().map(Topic::as_str).collect(),
    }
}

impl StreamId {
    /// The id as the client is sent it, by a hub of this epoch.
    pub(crate) fn text(&self, epoch: Epoch) -> String {
        match self {
            StreamId::Hub(sequence) => EventId { epoch, sequence: *sequence }.to_string(),
            StreamId::Custom(id) => id.to_string(),
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:?})", String::from_utf8_lossy(self.plain()))
    }
}

/// What is sent before and after bytes that are sent at once: a chunk's head and tail, or nothing.
pub(crate) struct Chunk {
    head: [u8; Chunk::HEAD_BYTES_MAX],
    /// The position in `head` where the head begins.
    from: usize,
    tail: &'static [u8],
}

impl Chunk {
    /// Sixteen hexadecimal digits, CR, LF.
    pub(crate) const HEAD_BYTES_MAX: usize = 18;

    /// The head and tail of a chunk of `bytes` bytes.
    pub(crate) fn new(wire: Wire, bytes: usize) -> Chunk {
        let mut head = [0; Chunk::HEAD_BYTES_MAX];
        let end = head.len();
        match wire {
            Wire::Plain => Chunk { head, from: end, tail: b"" },
            Wire::Chunked => {
                let from = put_chunk_head_back(&mut head, end, bytes);
                Chunk { head, from, tail: CHUNK_TAIL }
            }
        }
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head[self.from..]
    }

    pub(crate) fn tail(&self) -> &'static [u8] {
        self.tail
    }
}

/// Bytes of an event stream, as a connection of a wire form is sent them.
pub(crate) fn in_chunk(wire: Wire, bytes: &[u8]) -> Vec<u8> {
    let chunk = Chunk::new(wire, bytes.len());
    [chunk.head(), bytes, chunk.tail()].concat()
}

/// Wraps bytes as one chunk.
#[cfg(test)]
pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    in_chunk(Wire::Chunked, bytes)
}

/// Writes a field for each line of a text. CR, LF and CRLF end a line. A text that ends with one of
/// them has an empty last line, since the client's parser joins lines with LF.
fn put_lines(bytes: &mut Vec<u8>, field: &[u8], text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr2(b'\r', b'\n', rest) {
        put(bytes, field, &rest[..at]);
        let crlf = rest[at..].starts_with(b"\r\n");
        rest = &rest[at + 1 + usize::from(crlf)..];
    }
    put(bytes, field, rest);
}

fn put(bytes: &mut Vec<u8>, field: &[u8], value: &[u8]) {
    bytes.extend_from_slice(field);
    bytes.extend_from_slice(value);
    bytes.push(b'\n');
}

/// Writes a text that ends at `end`; returns the position where it begins.
fn put_back(bytes: &mut [u8], end: usize, text: &[u8]) -> usize {
    bytes[end - text.len()..end].copy_from_slice(text);
    end - text.len()
}

fn put_chunk_head_back(bytes: &mut [u8], end: usize, chunk_bytes: usize) -> usize {
    let at = put_back(bytes, end, b"\r\n");
    put_number_back(bytes, at, chunk_bytes as u64, 16)
}

fn put_number_back(bytes: &mut [u8], end: usize, mut number: u64, base: u64) -> usize {
    let mut at = end;
    loop {
        at -= 1;
        bytes[at] = b"0123456789abcdef"[(number % base) as usize];
        number /= base;
        if number == 0 {
            return at;
        }
    }
}
