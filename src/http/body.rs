//! The content of a request (RFC 9112, sections 6 and 7), which is counted, and kept if it is
//! wanted.

use super::request::{trim_ows, Request};

/// The most digits of a chunk's size.
const SIZE_DIGITS_MAX: u32 = 16;
/// What chunked content may have beside the content itself, in bytes, besides as much as its bound:
/// chunk sizes, extensions, line ends and trailer fields.
const ASIDE_BYTES: u64 = 4 << 10;

/// A request's content, of which more may come.
#[derive(Debug)]
pub(crate) struct Body {
    part: Part,
    /// How much the content may still have.
    left_max: u64,
    /// How much of other bytes there may still be.
    aside_left: u64,
    /// The content so far, without what chunks add, if it is to be kept.
    kept: Option<Vec<u8>>,
}

/// The part of the content that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Content without chunks, of this number of bytes.
    Content(u64),
    /// A chunk's size so far, and how many digits of it there were.
    Size(u64, u32),
    /// White space behind a chunk's size, before an extension.
    Space(u64),
    Extension(u64),
    /// The end of the line with a chunk's size.
    SizeEnd(u64),
    /// The rest of a chunk, of this number of bytes.
    Chunk(u64),
    ChunkReturn,
    ChunkEnd,
    /// The beginning of a line behind the last chunk: a trailer field's, or the empty one.
    Line,
    Trailer,
    TrailerEnd,
    LastEnd,
    /// Nothing: it is complete.
    End,
}

/// Why a request's content is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It has more bytes than it may have.
    TooLarge,
    /// It is in a coding that is not known here.
    Coding,
    /// It is not clear where it ends, or not what HTTP has there.
    Malformed(&'static str),
}

impl Body {
    /// The content that a request's head announces, of at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// When it is too large, and when it is not certain how long it is: a proxy may then have taken
    /// it for another length.
    pub(crate) fn of(request: &Request<'_>, bytes_max: usize) -> Result<Body, BodyError> {
        let malformed = |why| Err(BodyError::Malformed(why));
        let mut lengths = request.values("content-length");
        let mut codings = request.values("transfer-encoding");
        let (length, coding) = (lengths.next(), codings.next());
        if lengths.next().is_some()
            || codings.next().is_some()
            || length.is_some() && coding.is_some()
        {
            return malformed("the request says more than once how long its content is");
        }
        let bytes_max = bytes_max as u64;
        let part = match (length, coding) {
            (_, Some(_)) if request.minor_version == 0 => {
                return malformed("HTTP/1.0 has no Transfer-Encoding; send Content-Length");
            }
            (_, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Part::Size(0, 0),
            (_, Some(_)) => return Err(BodyError::Coding),
            (Some(length), None) => match std::str::from_utf8(length).map(number) {
                Ok(Some(length)) if length > bytes_max => return Err(BodyError::TooLarge),
                Ok(Some(length)) => Part::content(length),
                _ => return malformed("the request's Content-Length is not a number"),
            },
            (None, None) => Part::End,
        };
        Ok(Body { part, left_max: bytes_max, aside_left: bytes_max + ASIDE_BYTES, kept: None })
    }

    /// The same, which keeps what comes.
    pub(crate) fn keeping(self) -> Body {
        Body { kept: Some(Vec::new()), ..self }
    }

    /// What it has kept.
    pub(crate) fn into_kept(self) -> Vec<u8> {
        self.kept.unwrap_or_default()
    }

    /// Takes what has come, and returns whether that is all of the content.
    ///
    /// # Errors
    ///
    /// When it is too large, or not what HTTP has there.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<bool, BodyError> {
        while self.part != Part::End {
            match self.part {
                Part::Content(left) => {
                    let taken = self.take_up_to(&mut bytes, left);
                    if left > 0 && taken == 0 {
                        return Ok(false);
                    }
                    self.part = Part::content(left - taken);
                }
                Part::Chunk(left) => {
                    let taken = self.take_up_to(&mut bytes, left);
                    if taken == 0 {
                        return Ok(false);
                    }
                    self.part = match left - taken {
                        0 => Part::ChunkReturn,
                        left => Part::Chunk(left),
                    };
                }
                _ => {
                    let Some((&byte, rest)) = bytes.split_first() else { return Ok(false) };
                    bytes = rest;
                    self.aside_left = self.aside_left.checked_sub(1).ok_or(TOO_MANY)?;
                    self.part = self.behind(byte)?;
                }
            }
        }
        Ok(true)
    }

    /// Takes the first bytes off, at most `most` of them, and returns how many they were.
    fn take_up_to(&mut self, bytes: &mut &[u8], most: u64) -> u64 {
        let taken = bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let (content, rest) = bytes.split_at(taken);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(content);
        }
        *bytes = rest;
        taken as u64
    }

    /// The part behind a byte that is not content.
    fn behind(&mut self, byte: u8) -> Result<Part, BodyError> {
        let is_text = byte == b'\t' || byte >= b' ' && byte != 0x7f;
        match (self.part, byte) {
            (Part::Size(size, digits), _) if byte.is_ascii_hexdigit() => {
                let digit = u64::from(char::from(byte).to_digit(16).unwrap_or(0));
                let size = size.saturating_mul(16).saturating_add(digit);
                match size > self.left_max {
                    true => Err(BodyError::TooLarge),
                    false if digits == SIZE_DIGITS_MAX => Err(MALFORMED),
                    false => Ok(Part::Size(size, digits + 1)),
                }
            }
            (Part::Size(_, 0), _) => Err(MALFORMED),
            (Part::Size(size, _) | Part::Extension(size), b'\r') => Ok(Part::SizeEnd(size)),
            (Part::Size(size, _) | Part::Space(size), b';') => Ok(Part::Extension(size)),
            (Part::Size(size, _) | Part::Space(size), b' ' | b'\t') => Ok(Part::Space(size)),
            (Part::Extension(size), _) if is_text => Ok(Part::Extension(size)),
            (Part::SizeEnd(0), b'\n') => Ok(Part::Line),
            (Part::SizeEnd(size), b'\n') => {
                self.left_max -= size;
                Ok(Part::Chunk(size))
            }
            (Part::ChunkReturn, b'\r') => Ok(Part::ChunkEnd),
            (Part::ChunkEnd, b'\n') => Ok(Part::Size(0, 0)),
            (Part::Line, b'\r') => Ok(Part::LastEnd),
            (Part::Trailer, b'\r') => Ok(Part::TrailerEnd),
            (Part::Line | Part::Trailer, _) if is_text => Ok(Part::Trailer),
            (Part::TrailerEnd, b'\n') => Ok(Part::Line),
            (Part::LastEnd, b'\n') => Ok(Part::End),
            _ => Err(MALFORMED),
        }
    }
}

const TOO_MANY: BodyError = BodyError::Malformed(
    "the content has too many chunks, chunk extensions or trailer fields; send fewer",
);
const MALFORMED: BodyError = BodyError::Malformed("the content is not chunked as HTTP/1.1 has it");

impl Part {
    fn content(left: u64) -> Part {
        match left {
            0 => Part::End,
            left => Part::Content(left),
        }
    }
}

/// A number of decimal digits alone; one that is too large for its type is the largest.
fn number(text: &str) -> Option<u64> {
    let text = trim_ows(text);
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

impl<'a> Request<'a> {
    /// Whether the client waits for `100 Continue` before it sends its content (RFC 9110, section
    /// 10.1.1).
    pub(crate) fn expects_continue(&self) -> bool {
        let is_continue = |value: &str| trim_ows(value).eq_ignore_ascii_case("100-continue");
        self.minor_version > 0 && self.field("expect").is_some_and(|value| is_continue(&value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::Head;
    use super::*;

    const BYTES_MAX: usize = 100;

    fn body(fields: &str) -> Result<Body, BodyError> {
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        match Head::parse(head.as_bytes(), 16) {
            Head::Complete(request, _) => Body::of(&request, BYTES_MAX),
            other => panic!("{other:?}"),
        }
    }

    /// What comes of chunked content, whole and byte by byte.
    fn chunked(content: &[u8]) -> Result<bool, BodyError> {
        let mut whole = body("Transfer-Encoding: chunked\r\n").unwrap();
        let mut parts = body("Transfer-Encoding: Chunked\r\n").unwrap();
        let taken = whole.take(content);
        let mut by_byte = Ok(false);
        for byte in content {
            if by_byte == Ok(false) {
                by_byte = parts.take(&[*byte]);
            }
        }
        assert_eq!(taken, by_byte, "{:?}", String::from_utf8_lossy(content));
        taken
    }

    #[test]
    fn the_head_says_how_long_the_content_is_and_once_only() {
        let complete = |fields: &str, content: &[u8]| body(fields)?.take(content);
        assert_eq!(complete("", b""), Ok(true));
        assert_eq!(complete("Content-Length: 0\r\n", b""), Ok(true));
        assert_eq!(complete("Content-Length: 3\r\n", b"ab"), Ok(false));
        assert_eq!(complete("Content-Length: 003\r\n", b"abc"), Ok(true));
        assert_eq!(
            complete("Content-Length: 3\r\n", b"abcd"),
            Ok(true),
            "what is behind is not it"
        );
        assert_eq!(complete("Content-Length: 100\r\n", b""), Ok(false));
        for fields in ["Content-Length: 101\r\n", "Content-Length: 99999999999999999999999\r\n"] {
            assert_eq!(complete(fields, b""), Err(BodyError::TooLarge), "{fields}");
        }
        for fields in [
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length: \r\n",
            "Content-Length: \u{661}\r\n",
        ] {
            let error = complete(fields, b"").unwrap_err();
            assert!(matches!(error, BodyError::Malformed(_)), "{fields}: {error:?}");
        }
        for coding in ["gzip, chunked", "chunked, chunked", "identity", ""] {
            let fields = format!("Transfer-Encoding: {coding}\r\n");
            assert_eq!(complete(&fields, b""), Err(BodyError::Coding), "{coding}");
        }
    }

    #[test]
    fn chunked_content_is_complete_with_its_last_empty_line() {
        for content in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "a\r\n0123456789\r\n0003\r\n\r\n\r\r\n0\r\n\r\n",
            "1;a=b;c=\"d e\"\r\nx\r\n1 ; q\r\ny\r\n0;x\r\nA: b\r\nC: d\r\n\r\n",
            &format!("64\r\n{}\r\n000\r\n\r\n", "0".repeat(100)),
        ] {
            assert_eq!(chunked(content.as_bytes()), Ok(true), "{content:?}");
            for end in 0..content.len() {
                assert_eq!(chunked(&content.as_bytes()[..end]), Ok(false), "{content:?} {end}");
            }
            assert_eq!(chunked(format!("{content}POST / HTTP").as_bytes()), Ok(true));
        }
    }

    #[test]
    fn content_that_is_not_chunked_as_it_has_to_be_is_malformed() {
        for content in [
            "\r\n",
            "x\r\n",
            " 1\r\n",
            "-1\r\n",
            "0x1\r\n",
            "1\n",
            "1\r\r\n",
            "1\r\nab",
            "1\r\na\n",
            "1\r\na\r\r",
            "1 \r\n",
            "1 2\r\n",
            "1;a\n",
            "1;\0\r\n",
            "0\r\n\n",
            "0\r\n\0",
            "0\r\nA\n",
            "0\r\n\r\r",
            "00000000000000001\r\n",
            ";\r\n",
            "g\r\n",
        ] {
            let error = chunked(content.as_bytes()).unwrap_err();
            assert!(matches!(error, BodyError::Malformed(_)), "{content:?}: {error:?}");
        }
    }

    #[test]
    fn chunks_are_bounded_together_and_so_is_what_is_beside_them() {
        let chunk = |bytes: usize| format!("{bytes:x}\r\n{}\r\n", "x".repeat(bytes));
        let fits = format!("{}{}{}0\r\n\r\n", chunk(60), chunk(39), chunk(1));
        assert_eq!(chunked(fits.as_bytes()), Ok(true));
        for more in [format!("{}{}", chunk(60), chunk(41)), "65".to_owned(), "f".repeat(16)] {
            assert_eq!(chunked(more.as_bytes()), Err(BodyError::TooLarge), "{more}");
        }
        // All but the extension of this content are six bytes.
        let extension = |bytes: usize| format!("0;{}\r\n\r\n", "e".repeat(bytes));
        let aside_max = BYTES_MAX + ASIDE_BYTES as usize;
        assert_eq!(chunked(extension(aside_max - 6).as_bytes()), Ok(true));
        let trailers = format!("0\r\n{}", "A: b\r\n".repeat(aside_max));
        for content in [extension(aside_max - 5), trailers] {
            assert_eq!(chunked(content.as_bytes()), Err(TOO_MANY));
        }
        // Each of these chunks has five bytes besides its content.
        let mut body = body("Transfer-Encoding: chunked\r\n").unwrap();
        (body.left_max, body.aside_left) = (1_000, 500);
        assert_eq!(body.take(chunk(1).repeat(100).as_bytes()), Ok(false));
        assert_eq!(body.take(b"1"), Err(TOO_MANY));
    }

    #[test]
    fn a_client_of_http_1_1_may_wait_to_be_told_to_go_on() {
        let expects = |version: &str, value: &str| {
            let head = format!("POST / HTTP/{version}\r\nHost: h\r\nExpect: {value}\r\n\r\n");
            match Head::parse(head.as_bytes(), 16) {
                Head::Complete(request, _) => request.expects_continue(),
                other => panic!("{other:?}"),
            }
        };
        assert!(expects("1.1", "100-continue") && expects("1.1", " 100-Continue "));
        assert!(!expects("1.0", "100-continue") && !expects("1.1", "200-ok"));
    }
}
