//! The body of an HTTP/1.1 response, taken out of its transfer coding as its bytes arrive.
//!
//! The decoder owns no buffer: what it yields are slices of what it was given, so a delivery that
//! came in one `recv` is looked at where the kernel put it. RFC 9112, sections 6 and 7.1.

use std::fmt;

/// The longest chunk-size line and the longest trailer that are accepted, in bytes.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// What is still to come of one response body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// `Transfer-Encoding: chunked`.
    Chunked(Chunked),
    /// `Content-Length`: this number of bytes is left.
    Length(u64),
    /// Everything until the server closes.
    UntilClose,
}

/// Where in the chunked coding the next byte is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunked {
    place: Place,
    /// The chunk size read so far, or what is left of the chunk's data, in bytes.
    left: u64,
    /// Length of the size line or trailer so far, in bytes.
    line_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerLine,
    EndLf,
    End,
}

/// The body does not follow its transfer coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// A byte that the chunked coding does not allow there.
    Chunk(u8),
    /// A chunk size of more than 60 bits, or a size line or trailer without an end.
    Overlong,
    /// Bytes after the end of the body.
    AfterEnd,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chunk(byte) => write!(f, "byte {byte:#04x} out of place in the chunked coding"),
            Self::Overlong => f.write_str("chunk size line or trailer too long"),
            Self::AfterEnd => f.write_str("bytes after the end of the body"),
        }
    }
}

impl std::error::Error for BodyError {}

impl Body {
    /// The coding that a response head announces.
    pub(crate) fn of_response(response: &httparse::Response<'_, '_>) -> Self {
        let mut length = None;
        for header in response.headers.iter() {
            if header.name.eq_ignore_ascii_case("transfer-encoding") {
                let codings = header.value.to_ascii_lowercase();
                if codings.ends_with(b"chunked") {
                    return Self::Chunked(Chunked::default());
                }
            } else if header.name.eq_ignore_ascii_case("content-length") {
                length = std::str::from_utf8(header.value)
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
            }
        }
        length.map_or(Self::UntilClose, Self::Length)
    }

    /// Whether the body came to its own end.
    pub(crate) fn is_at_end(&self) -> bool {
        match self {
            Self::Chunked(chunked) => chunked.place == Place::End,
            Self::Length(left) => *left == 0,
            Self::UntilClose => false,
        }
    }

    /// Takes the next run of payload off the front of `input`. An empty run means that `input` is
    /// used up.
    pub(crate) fn take<'a>(&mut self, input: &mut &'a [u8]) -> Result<&'a [u8], BodyError> {
        match self {
            Self::Chunked(chunked) => chunked.take(input),
            Self::Length(left) => {
                if *left == 0 && !input.is_empty() {
                    return Err(BodyError::AfterEnd);
                }
                let run = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= run as u64;
                Ok(split_off(input, run))
            }
            Self::UntilClose => Ok(split_off(input, input.len())),
        }
    }
}

impl Chunked {
    fn take<'a>(&mut self, input: &mut &'a [u8]) -> Result<&'a [u8], BodyError> {
        while let Some((&byte, after)) = input.split_first() {
            if self.place == Place::Data {
                let run = input.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= run as u64;
                if self.left == 0 {
                    self.place = Place::DataCr;
                }
                return Ok(split_off(input, run));
            }
            *input = after;
            self.place = self.step(byte)?;
        }
        Ok(&[])
    }

    /// Where the byte after this byte of the framing is.
    fn step(&mut self, byte: u8) -> Result<Place, BodyError> {
        let after = match (self.place, byte) {
            (Place::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if self.left >> 56 != 0 {
                    return Err(BodyError::Overlong);
                }
                // The pattern admits hexadecimal digits only.
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                self.left = self.left << 4 | u64::from(digit);
                Place::Size
            }
            (Place::Size, b'\r') if self.line_bytes > 0 => Place::SizeLf,
            (Place::Size, b';' | b' ' | b'\t') if self.line_bytes > 0 => Place::Extension,
            (Place::Extension, b'\r') => Place::SizeLf,
            (Place::Extension, _) => Place::Extension,
            (Place::SizeLf, b'\n') if self.left == 0 => Place::TrailerStart,
            (Place::SizeLf, b'\n') => Place::Data,
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Size,
            (Place::TrailerStart, b'\r') => Place::EndLf,
            (Place::TrailerStart, _) => Place::TrailerLine,
            (Place::TrailerLine, b'\n') => Place::TrailerStart,
            (Place::TrailerLine, _) => Place::TrailerLine,
            (Place::EndLf, b'\n') => Place::End,
            (Place::End, _) => return Err(BodyError::AfterEnd),
            (_, byte) => return Err(BodyError::Chunk(byte)),
        };
        self.line_bytes += 1;
        if matches!(after, Place::Data) || self.place == Place::DataLf {
            self.line_bytes = 0;
        } else if self.line_bytes > LINE_BYTES_MAX {
            return Err(BodyError::Overlong);
        }
        Ok(after)
    }
}

fn split_off<'a>(input: &mut &'a [u8], at: usize) -> &'a [u8] {
    let (run, after) = input.split_at(at);
    *input = after;
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODED: &[u8] =
        b"5\r\nhello\r\n1;name=\"a b\"\r\n \r\n0A\r\n0123456789\r\n0\r\nX-T: 1\r\nY: 2\r\n\r\n";

    fn decode(body: &mut Body, pieces: &[&[u8]]) -> Result<Vec<u8>, BodyError> {
        let mut payload = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            loop {
                let run = body.take(&mut input)?;
                if run.is_empty() {
                    break;
                }
                payload.extend_from_slice(run);
            }
            assert!(input.is_empty());
        }
        Ok(payload)
    }

    #[test]
    fn chunks_are_decoded_wherever_they_are_split() {
        for first in 0..=CODED.len() {
            for second in first..=CODED.len() {
                let mut body = Body::Chunked(Chunked::default());
                let pieces = [&CODED[..first], &CODED[first..second], &CODED[second..]];
                assert_eq!(decode(&mut body, &pieces).unwrap(), b"hello 0123456789");
                assert!(body.is_at_end());
            }
        }
        let mut body = Body::Chunked(Chunked::default());
        let bytes: Vec<&[u8]> = CODED.chunks(1).collect();
        assert_eq!(decode(&mut body, &bytes).unwrap(), b"hello 0123456789");
    }

    #[test]
    fn broken_chunks_are_errors() {
        let broken: [(&[u8], BodyError); 6] = [
            (b"\r\n", BodyError::Chunk(b'\r')),
            (b"5\n", BodyError::Chunk(b'\n')),
            (b"2\r\nabc", BodyError::Chunk(b'c')),
            (b"g\r\n", BodyError::Chunk(b'g')),
            (b"11111111111111111\r\n", BodyError::Overlong),
            (b"0\r\n\r\nx", BodyError::AfterEnd),
        ];
        for (bytes, error) in broken {
            let mut body = Body::Chunked(Chunked::default());
            assert_eq!(decode(&mut body, &[bytes]), Err(error));
        }
        let endless = [b"1;".as_slice(), &[b'x'; LINE_BYTES_MAX]].concat();
        let mut body = Body::Chunked(Chunked::default());
        assert_eq!(decode(&mut body, &[&endless]), Err(BodyError::Overlong));
    }

    #[test]
    fn a_body_with_a_length_ends_there_and_one_without_goes_on_until_close() {
        let mut body = Body::Length(4);
        assert_eq!(decode(&mut body, &[b"ab", b"cd"]).unwrap(), b"abcd");
        assert!(body.is_at_end());
        assert_eq!(decode(&mut body, &[b"e"]), Err(BodyError::AfterEnd));
        let mut body = Body::UntilClose;
        assert_eq!(decode(&mut body, &[b"ab", b"cd"]).unwrap(), b"abcd");
        assert!(!body.is_at_end());
    }

    #[test]
    fn the_head_tells_the_coding() {
        let heads: [(&[u8], Body); 3] = [
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
                Body::Chunked(Chunked::default()),
            ),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n", Body::Length(12)),
            (b"HTTP/1.0 200 OK\r\n\r\n", Body::UntilClose),
        ];
        for (bytes, body) in heads {
            let mut headers = [httparse::EMPTY_HEADER; 8];
            let mut response = httparse::Response::new(&mut headers);
            assert!(response.parse(bytes).unwrap().is_complete());
            assert_eq!(Body::of_response(&response), body);
        }
    }
}
