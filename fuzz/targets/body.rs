//! Chunked content. It is read by the engine and by a reader that is written here from RFC 9112,
//! section 7.1, line by line.
//!
//! - Both say of the same content that it is complete, and neither reads beyond its end.
//! - What the engine refuses is never complete, whatever follows.
//! - Content that comes in parts is read like content that comes whole.

#![no_main]

use fanfare::fuzzing::{parse_head, Body, BodyError, Head};
use libfuzzer_sys::fuzz_target;

const BYTES_MAX: usize = 64;
const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

fuzz_target!(|bytes: &[u8]| {
    let whole = body().take(bytes);
    match (read(bytes), whole) {
        (Some(Reading { end, content_bytes }), Ok(true)) => {
            assert!(content_bytes <= BYTES_MAX);
            // It is complete with its last byte, and not before.
            assert_eq!(body().take(&bytes[..end]), Ok(true));
            assert_eq!(body().take(&bytes[..end - 1]), Ok(false));
        }
        (Some(Reading { content_bytes, .. }), Err(BodyError::TooLarge)) => {
            assert!(content_bytes > BYTES_MAX);
        }
        (None, Ok(false) | Err(_)) => {}
        (reading, taken) => panic!("{:?} {taken:?}", reading.map(|reading| reading.end)),
    }
    for part_bytes in [1, 2, 7] {
        let (mut parts, mut taken) = (body(), Ok(false));
        for part in bytes.chunks(part_bytes) {
            if taken == Ok(false) {
                taken = parts.take(part);
            }
        }
        assert_eq!(taken, whole, "in parts of {part_bytes}");
    }
});

fn body() -> Body {
    match parse_head(HEAD, 8) {
        Head::Complete(request, _) => Body::of(&request, BYTES_MAX).expect("it is chunked"),
        other => panic!("{other:?}"),
    }
}

/// Complete content.
struct Reading {
    end: usize,
    content_bytes: usize,
}

/// Reads content; `None` if it is not complete, or is none.
fn read(bytes: &[u8]) -> Option<Reading> {
    let (mut at, mut content_bytes) = (0, 0_usize);
    loop {
        let line = line(bytes, &mut at)?;
        let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
        let (digits, extensions) = line.split_at(digits);
        if !(1..=16).contains(&digits.len()) || !is_extensions(extensions) {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        let size = usize::try_from(size).ok()?;
        if size == 0 {
            break;
        }
        content_bytes = content_bytes.checked_add(size)?;
        let chunk_end = at.checked_add(size)?;
        if bytes.get(chunk_end..chunk_end.checked_add(2)?)? != b"\r\n" {
            return None;
        }
        at = chunk_end + 2;
    }
    while !line(bytes, &mut at)?.is_empty() {}
    Some(Reading { end: at, content_bytes })
}

/// The next line of text, without its end.
fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = bytes.get(*at..)?;
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let line = &rest[..end];
    let is_text = line.iter().all(|&byte| byte == b'\t' || byte > 0x1f && byte != 0x7f);
    *at += end + 2;
    is_text.then_some(line)
}

/// Nothing, or white space and then a semicolon, behind which is anything.
fn is_extensions(text: &[u8]) -> bool {
    let first = text.iter().find(|&&byte| byte != b' ' && byte != b'\t');
    text.is_empty() || first == Some(&b';')
}
