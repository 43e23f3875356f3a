//! Events of any content, encoded, and read by the parser that is written from WHATWG HTML alone.
//!
//! - An event that is accepted arrives exactly, in both wire forms, also beside others; and so does
//!   its JSON envelope.
//! - An event is accepted if and only if it survives the way to a client and back.
//!
//! An input is events with a [`NEXT_EVENT`] between them; an event is fields with a [`NEXT_FIELD`]
//! between them, which begin with the letter of what they are.

#![no_main]

use std::collections::VecDeque;

use fanfare::fuzzing::Frame;
use fanfare::Topic;
use libfuzzer_sys::fuzz_target;

use given::Given;
use sse::{Message, Parser};

#[path = "../../tests/support/given.rs"]
mod given;
#[allow(dead_code, reason = "it is what tests of streams need as well")]
#[path = "../../tests/support/sse.rs"]
mod sse;

const NEXT_EVENT: char = '\u{1d}';
const NEXT_FIELD: char = '\u{1c}';

fuzz_target!(|input: &str| {
    let mut frames = Vec::new();
    let mut accepted = Vec::new();
    for (number, event) in input.split(NEXT_EVENT).enumerate() {
        let given = event_of(event);
        let frame = Frame::encode(&given.event(), number as u64 + 1);
        assert_eq!(frame.is_ok(), given.survives(), "{given:?} {frame:?}");
        if let Ok(frame) = frame {
            check_stream(std::slice::from_ref(&frame), &[(number, &given)]);
            frames.push(frame);
            accepted.push((number, given));
        }
    }
    if !frames.is_empty() {
        let accepted: Vec<_> = accepted.iter().map(|(number, given)| (*number, given)).collect();
        check_stream(&frames, &accepted);
    }
});

fn event_of(text: &str) -> Given {
    let mut given = Given::default();
    for field in text.split(NEXT_FIELD) {
        let mut rest = field.chars();
        let kind = rest.next();
        let value = rest.as_str().to_owned();
        match kind {
            Some('d') => given.data = Some(value),
            Some('n') => given.name = Some(value),
            Some('i') => given.id = Some(value),
            Some('k') => given.key = Some(value),
            Some('c') => given.comment = Some(value),
            Some('r') => given.retry = value.parse().ok(),
            _ => {}
        }
    }
    given
}

/// Checks what clients read of frames that are sent together, without an envelope and in it.
fn check_stream(frames: &[Frame], given: &[(usize, &Given)]) {
    let topic = Topic::new("a/\"\\é").expect("a valid topic");
    let in_json: Vec<Frame> = frames.iter().map(|frame| frame.in_json(&topic)).collect();
    check_form(frames, given, |_, message| message);
    check_form(&in_json, given, |given, Message { data, last_id, .. }| {
        let event = given.name.as_ref();
        let event = event.map_or(String::new(), |name| format!(",\"event\":{}", json(name)));
        let (topic, id, data) = (json(topic.as_str()), json(&last_id), json(&data));
        let data = format!("{{\"topic\":{topic}{event},\"id\":{id},\"data\":{data}}}");
        Message { name: "message".to_owned(), data, last_id }
    });
}

/// A JSON string, character by character.
fn json(text: &str) -> String {
    let escaped = |character| match character {
        '"' | '\\' => format!("\\{character}"),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        '\0'..' ' => format!("\\u{:04x}", u32::from(character)),
        other => other.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

/// Checks what a client reads that is to get messages in some form.
fn check_form(
    frames: &[Frame],
    given: &[(usize, &Given)],
    form: impl Fn(&Given, Message) -> Message,
) {
    let plain = Frame::gather(frames, false);
    assert_eq!(chunk_of(&Frame::gather(frames, true)), plain);
    let (mut parser, mut messages) = (Parser::default(), VecDeque::new());
    parser.feed(&plain, &mut messages);

    let ids = std::mem::take(&mut parser.ids);
    assert_eq!(ids.len(), given.len());
    let mut expected = Vec::new();
    for ((number, given), id) in given.iter().zip(ids) {
        match &given.id {
            Some(own) => assert_eq!(id, *own),
            None => assert!(id.ends_with(&format!("-{}", number + 1)), "{id}"),
        }
        expected.extend(given.message(&id).map(|message| form(given, message)));
    }
    assert_eq!(Vec::from(messages), expected as Vec<Message>);
    let retry = given.iter().filter_map(|(_, given)| given.retry).next_back();
    assert_eq!(parser.retry, retry);
}

/// The content of bytes that are one chunk (RFC 9112, section 7.1).
fn chunk_of(bytes: &[u8]) -> &[u8] {
    let head = bytes.iter().position(|&byte| byte == b'\r').expect("a chunk has a head");
    let size = std::str::from_utf8(&bytes[..head]).expect("a size is ASCII");
    let size = usize::from_str_radix(size, 16).expect("a size is hexadecimal");
    let content = &bytes[head + 2..][..size];
    assert_eq!(&bytes[head..head + 2], b"\r\n");
    assert_eq!(&bytes[head + 2 + size..], b"\r\n");
    content
}
