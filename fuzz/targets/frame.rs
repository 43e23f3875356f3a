//! Events of any content, encoded, and read by the parser that is written from WHATWG HTML alone.
//!
//! - An event that is accepted arrives exactly, in both wire forms, also beside others.
//! - An event is accepted if and only if it survives the way to a client and back.
//!
//! An input is events with a [`NEXT_EVENT`] between them; an event is fields with a [`NEXT_FIELD`]
//! between them, which begin with the letter of what they are.

#![no_main]

use std::collections::VecDeque;

use fanfare::fuzzing::Frame;
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

/// Checks what a client reads of frames that are sent together.
fn check_stream(frames: &[Frame], given: &[(usize, &Given)]) {
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
        expected.extend(given.message(&id));
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
