//! What is around an event's data in a stream: nothing, or a JSON object that names the event's
//! topics.
//!
//! ```text
//!   without                   with
//!   id: _epoch-7              id: _epoch-7
//!   event: tick               data: {"topic":"a/b","event":"tick","id":"_epoch-7","data":"hello"}
//!   data: hello
//! ```
//!
//! The object is written from the event as it is in a stream without: so it has exactly what a
//! client's parser would have made of that.

use std::fmt;
use std::str::FromStr;

use crate::excerpt::Excerpt;

/// What is around an event's data in a stream.
///
/// An event in a stream does not say to which topic it was published. A client of several topics,
/// or of a filter, asks for the envelope [`Envelope::Json`] to learn it.
///
/// # Examples
///
/// For all connections of a listener; a client may ask for another, with
/// `/events?topic=sensors/%23&envelope=json`:
///
/// ```
/// use fanfare::{Envelope, ListenOptions};
///
/// let options = ListenOptions::default().envelope(Envelope::Json);
/// assert_eq!(options.envelope, Envelope::Json);
/// ```
///
/// By name:
///
/// ```
/// use fanfare::Envelope;
///
/// assert_eq!("json".parse(), Ok(Envelope::Json));
/// assert_eq!(Envelope::None.as_str(), "none");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Envelope {
    /// Nothing: an event's name and data are sent as they were published.
    #[default]
    None,
    /// The data of an event is one JSON object: its `topic`, and where it was published to
    /// several the list of their `topics`, of which `topic` is the first by name; its name as
    /// `event`, if it has one; its `id`; and its `data`, as a string. The object takes the place of
    /// the name, so that the event comes to a page's `onmessage`. An event without data is sent as
    /// it was published, and gap events and heartbeats are the same as without an envelope.
    Json,
}

/// There is no envelope of this name.
///
/// # Examples
///
/// ```
/// use fanfare::{Envelope, EnvelopeError};
///
/// let error: EnvelopeError = "xml".parse::<Envelope>().unwrap_err();
/// assert!(error.to_string().ends_with("there are none, json"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeError {
    name: Excerpt,
}

impl Envelope {
    const ALL: [Envelope; 2] = [Envelope::None, Envelope::Json];

    /// Every envelope, in an order in which new ones come last.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Envelope;
    ///
    /// assert!(Envelope::all().all(|envelope| envelope.as_str().parse() == Ok(envelope)));
    /// ```
    pub fn all() -> impl Iterator<Item = Envelope> {
        Envelope::ALL.into_iter()
    }

    /// Its name in queries and options.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Envelope;
    ///
    /// assert_eq!(Envelope::Json.as_str(), "json");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Envelope::None => "none",
            Envelope::Json => "json",
        }
    }
}

impl FromStr for Envelope {
    type Err = EnvelopeError;

    fn from_str(name: &str) -> Result<Envelope, EnvelopeError> {
        let known = Envelope::all().find(|envelope| envelope.as_str() == name);
        known.ok_or_else(|| EnvelopeError { name: Excerpt::of(name) })
    }
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Envelope::ALL.map(Envelope::as_str).join(", ");
        write!(f, "there is no envelope {}; there are {names}", self.name)
    }
}

impl std::error::Error for EnvelopeError {}

/// Appends an event in its JSON envelope. `event` are its bytes as they are in a stream without
/// one: comments, an id and a reconnection time stay, the name and the lines of data become the
/// object. `topics` are those that it was published to, one at least. False if the event has no
/// data, and nothing was appended.
pub(crate) fn put_json(out: &mut Vec<u8>, event: &[u8], topics: &[&str]) -> bool {
    let begin = out.len();
    out.reserve(json_bytes(event, topics));
    let (mut name, mut id, mut rest) = (None, &b""[..], event);
    // The data comes last, and every line before it begins with another field's name.
    while !rest.starts_with(DATA) {
        let (line, after) = split_line(rest);
        if line.is_empty() {
            out.truncate(begin);
            return false;
        }
        rest = after;
        if let Some(value) = line.strip_prefix(b"event: ") {
            name = Some(value);
            continue;
        }
        id = line.strip_prefix(b"id: ").unwrap_or(id);
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: {\"topic\":");
    put_json_string(out, topics[0].as_bytes());
    if topics.len() > 1 {
        for (nth, topic) in topics.iter().enumerate() {
            out.extend_from_slice(if nth == 0 { b",\"topics\":[" } else { b"," });
            put_json_string(out, topic.as_bytes());
        }
        out.push(b']');
    }
    if let Some(name) = name {
        out.extend_from_slice(b",\"event\":");
        put_json_string(out, name);
    }
    out.extend_from_slice(b",\"id\":");
    put_json_string(out, id);
    out.extend_from_slice(b",\"data\":\"");
    let mut is_first = true;
    while let Some(line) = rest.strip_prefix(DATA) {
        out.extend_from_slice(if is_first { b"" } else { b"\\n" });
        let (line, after) = split_line(line);
        put_escaped(out, line);
        (is_first, rest) = (false, after);
    }
    out.extend_from_slice(b"\"}\n\n");
    true
}

/// About how many bytes an event has in its JSON envelope, if little of it has to be escaped.
pub(crate) fn json_bytes(event: &[u8], topics: &[&str]) -> usize {
    let names: usize = topics.iter().map(|topic| topic.len()).sum();
    event.len() + event.len() / 16 + 2 * names + 96
}

const DATA: &[u8] = b"data: ";

/// The first line, without its end, and what is behind that.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    (&text[..end], text.get(end + 1..).unwrap_or_default())
}

/// Appends a JSON string (RFC 8259, section 7), of text that is UTF-8. Control characters are
/// escaped, so it has no line break.
pub(crate) fn put_json_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    put_escaped(out, text);
    out.push(b'"');
}

fn put_escaped(out: &mut Vec<u8>, mut text: &[u8]) {
    loop {
        let (plain, rest) = text.split_at(plain_bytes(text));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = rest.split_first() else { return };
        text = after;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
                let digits = [digit(control >> 4), digit(control & 15)];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
        }
    }
}

/// How many bytes at a text's beginning are the same in a JSON string.
fn plain_bytes(text: &[u8]) -> usize {
    let is_escaped = |&byte: &u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // No branch within sixteen bytes: the compiler then compares them all at once.
    let is_plain = |some: &&[u8]| !some.iter().fold(false, |any, byte| any | is_escaped(byte));
    let plain = 16 * text.chunks_exact(16).take_while(is_plain).count();
    plain + text[plain..].iter().take_while(|byte| !is_escaped(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(event: &str, topics: &[&str]) -> Option<String> {
        let mut out = Vec::new();
        let has_data = put_json(&mut out, event.as_bytes(), topics);
        has_data.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_envelope_has_a_name_and_an_unknown_one_is_told_what_there_is() {
        for envelope in Envelope::all() {
            assert_eq!(envelope.to_string().parse(), Ok(envelope));
        }
        let error = "Json".parse::<Envelope>().unwrap_err().to_string();
        assert_eq!(error, "there is no envelope \"Json\"; there are none, json");
    }

    #[test]
    fn the_name_and_the_lines_of_data_become_one_object() {
        let event = ": c\n: event: x\nid: e-7\nevent: tick\nretry: 5\ndata: a\ndata: \ndata: b\n\n";
        let expected = ": c\n: event: x\nid: e-7\nretry: 5\n\
            data: {\"topic\":\"a/b\",\"event\":\"tick\",\"id\":\"e-7\",\"data\":\"a\\n\\nb\"}\n\n";
        assert_eq!(json(event, &["a/b"]).unwrap(), expected);
        let expected = "id: 1\ndata: {\"topic\":\"t\",\"id\":\"1\",\"data\":\"\"}\n\n";
        assert_eq!(json("id: 1\ndata: \n\n", &["t"]).unwrap(), expected);
    }

    #[test]
    fn all_topics_are_listed_if_there_are_several() {
        let expected = "id: 1\ndata: {\"topic\":\"a\",\"topics\":[\"a\",\"b\\\"\",\"c\"],\
            \"id\":\"1\",\"data\":\"x\"}\n\n";
        assert_eq!(json("id: 1\ndata: x\n\n", &["a", "b\"", "c"]).unwrap(), expected);
    }

    #[test]
    fn an_event_without_data_has_no_envelope() {
        for event in ["id: 1\n\n", "id: 1\nevent: x\n\n", ": data: y\nid: data: \n\n"] {
            assert_eq!(json(event, &["t"]), None, "{event:?}");
        }
    }

    #[test]
    fn what_has_to_be_escaped_is_wherever_it_is_in_a_string_and_nothing_else_is() {
        let all: String = (0..=0x2fff_u32).filter_map(char::from_u32).collect();
        let mut texts = vec![String::new(), all];
        for at in 0..40 {
            for special in ["\0", "\u{1f}", " ", "\"", "\\", "\t", "\u{7f}", "é", "\u{2028}"] {
                texts.push(format!("{}{special}{}", "x".repeat(at), "y".repeat(40 - at)));
            }
        }
        for text in texts {
            let mut out = Vec::new();
            put_json_string(&mut out, text.as_bytes());
            let escaped = |character| match character {
                '"' | '\\' => format!("\\{character}"),
                '\t' => "\\t".to_owned(),
                '\0'..' ' => format!("\\u{:04x}", u32::from(character)),
                other => other.to_string(),
            };
            let expected: String = text.chars().map(escaped).collect();
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{expected}\""));
        }
    }
}
