//! Server-Sent Events as a client sees them: blocks of lines, each block ended by an empty line.
//!
//! WHATWG HTML, section "Server-sent events", "Interpreting an event stream": LF, CR and CRLF end
//! a line, a line that begins with a colon is a comment, one space after a field's colon is not
//! part of the value, unknown fields are passed over, and a block without `data` is no event.

use memchr::{memchr, memchr2};

/// The longest time an event may have been under way, in nanoseconds, for its stamp to be believed.
const AGE_NS_MAX: u64 = 3_600_000_000_000;

/// Numbers from here on are not of the benchmark.
const NUMBER_MAX: u64 = 1 << 53;

/// What one block means to the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// No event: comments, `retry`, an id alone, an empty line.
    Silent,
    /// An event that is not one of the benchmark's own.
    Other,
    /// An event of the benchmark's own.
    Numbered(Numbered),
    /// Several of the benchmark's own, a data line each: see [`numbered_lines`].
    Joined,
}

/// An event whose data is `<number> <stamp> <padding>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    /// Its position in the stream of its topic.
    pub(crate) number: u64,
    /// When it was published: `CLOCK_MONOTONIC`, in nanoseconds.
    pub(crate) stamp_ns: u64,
    /// Length of the data, in bytes.
    pub(crate) data_bytes: usize,
    /// Whether the padding is made of `x` and nothing else.
    pub(crate) padding_is_whole: bool,
}

/// Length in bytes of the first block of `bytes`, its empty line included, or `None` if the block
/// is not complete. A CR at the very end is not taken for a line end yet: an LF may follow it.
pub(crate) fn block_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line_bytes = memchr2(b'\n', b'\r', &bytes[at..])?;
        let mut after = at + line_bytes + 1;
        if bytes[after - 1] == b'\r' {
            after += usize::from(*bytes.get(after)? == b'\n');
        }
        if line_bytes == 0 {
            return Some(after);
        }
        at = after;
    }
}

/// Reads one block. `now_ns` is the time of its arrival: data whose second number is not a time
/// of the last hour on that clock is not of the benchmark.
pub(crate) fn read_block(block: &[u8], now_ns: u64) -> Block {
    let block = block.strip_prefix("\u{feff}".as_bytes()).unwrap_or(block);
    let mut lines = data_lines(block);
    let Some(data) = lines.next() else {
        return Block::Silent;
    };
    let Some(first) = read_data(data, now_ns) else {
        return Block::Other;
    };
    let mut are_several = false;
    for line in lines {
        match read_data(line, now_ns) {
            Some(_) => are_several = true,
            // The line feed of the last of them begins one more line.
            None if line.is_empty() => {}
            None => return Block::Other,
        }
    }
    if are_several {
        Block::Joined
    } else {
        Block::Numbered(first)
    }
}

/// The events of a block whose every data line is an event of the benchmark's own: a server of
/// byte streams sends as one event what was appended since a reader's last.
pub(crate) fn numbered_lines(block: &[u8], now_ns: u64) -> impl Iterator<Item = Numbered> + '_ {
    data_lines(block).filter_map(move |line| read_data(line, now_ns))
}

/// The id that a block has: what a client would come back with.
pub(crate) fn block_id(block: &[u8]) -> Option<&str> {
    std::str::from_utf8(values(block, b"id").last()?).ok()
}

/// The values of a block's `data` lines.
fn data_lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    values(block, b"data")
}

/// The values of a block's lines whose field has this name.
fn values<'a>(mut block: &'a [u8], name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    std::iter::from_fn(move || {
        while !block.is_empty() {
            let line_bytes = memchr2(b'\n', b'\r', block).unwrap_or(block.len());
            let (line, after) = block.split_at(line_bytes);
            block = after.get(1..).unwrap_or_default();
            if let Some(value) = field(line, name) {
                return Some(value);
            }
        }
        None
    })
}

/// The value of a line whose field has this name.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let after = line.strip_prefix(name)?;
    match after.split_first() {
        None => Some(after),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

fn read_data(data: &[u8], now_ns: u64) -> Option<Numbered> {
    let (number, after) = read_number(data)?;
    let (stamp_ns, padding) = read_number(after)?;
    let age_ns = now_ns.checked_sub(stamp_ns)?;
    let believable = age_ns <= AGE_NS_MAX && number < NUMBER_MAX;
    believable.then(|| Numbered {
        number,
        stamp_ns,
        data_bytes: data.len(),
        padding_is_whole: padding.iter().all(|byte| *byte == b'x'),
    })
}

/// A decimal number and what follows the space behind it.
fn read_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = memchr(b' ', text)?;
    let (number, after) = text.split_at(digits);
    if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((number, &after[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_NS: u64 = 1_000_000;

    fn numbered(number: u64, data_bytes: usize) -> Block {
        Block::Numbered(Numbered { number, stamp_ns: 999, data_bytes, padding_is_whole: true })
    }

    #[test]
    fn every_line_end_ends_a_block() {
        for end in ["\n", "\r\n", "\r"] {
            let block = format!("data: a{end}id: 1{end}{end}");
            let next = format!("{block}data: b");
            assert_eq!(block_len(next.as_bytes()), Some(block.len()), "{end:?}");
            for cut in 0..block.len() {
                assert_eq!(block_len(&block.as_bytes()[..cut]), None, "{end:?} {cut}");
            }
        }
        assert_eq!(block_len(b"\ndata: a\n\n"), Some(1));
        assert_eq!(block_len(b"data: a\r\n\r"), None);
        assert_eq!(block_len(b"data: a\r\n\r\n"), Some(11));
    }

    #[test]
    fn the_id_of_a_block_is_its_last_one() {
        assert_eq!(block_id(b"id: a-1\ndata: x\n\n"), Some("a-1"));
        assert_eq!(block_id(b"id:a\r\nid: b\r\nidx: c\r\n\r\n"), Some("b"));
        assert_eq!(block_id(b"data: id\n\n"), None);
    }

    #[test]
    fn fields_are_read_in_any_order_and_form() {
        let blocks = [
            "data: 7 999 xxx\n\n",
            "data:7 999 xxx\n\n",
            "id: 4-5\nevent: tick\ndata: 7 999 xxx\n\n",
            "data: 7 999 xxx\r\nid: 4-5\r\n\r\n",
            "data: 7 999 xxx\rid\r\r",
            ": comment\nretry: 1000\ndatas: 1\ndata: 7 999 xxx\n\n",
            "\u{feff}data: 7 999 xxx\n\n",
        ];
        for block in blocks {
            assert_eq!(read_block(block.as_bytes(), NOW_NS), numbered(7, 9), "{block:?}");
        }
    }

    #[test]
    fn what_is_no_event_of_ours_is_told_apart() {
        for block in [": heartbeat\n\n", "retry: 2000\n\n", "id: 3\n\n", "\n", "Data: 1 2 x\n\n"] {
            assert_eq!(read_block(block.as_bytes(), NOW_NS), Block::Silent, "{block:?}");
        }
        let others = [
            "data: hello\n\n",
            "data\n\n",
            "data: 7\n\n",
            "data: 7 999\n\n",
            "data: 7 2000000 x\n\n",
            "data: -7 999 x\n\n",
            "data: 99999999999999999999999 999 x\n\n",
            "data: 7 999 x\ndata: hello\n\n",
            "data\ndata: 7 999 x\n\n",
        ];
        for block in others {
            assert_eq!(read_block(block.as_bytes(), NOW_NS), Block::Other, "{block:?}");
        }
    }

    #[test]
    fn events_that_were_joined_are_told_apart_line_by_line() {
        let block = b"event: data\ndata:7 999 xxx\ndata:8 999 xxxx\ndata:\n\n";
        assert_eq!(read_block(block, NOW_NS), Block::Joined);
        let read: Vec<_> = numbered_lines(block, NOW_NS).map(Block::Numbered).collect();
        assert_eq!(read, [numbered(7, 9), numbered(8, 10)]);
        assert_eq!(read_block(b"data:7 999 xxx\ndata:\n\n", NOW_NS), numbered(7, 9));
    }

    #[test]
    fn damaged_padding_shows() {
        let Block::Numbered(event) = read_block(b"data: 7 999 xxyx\n\n", NOW_NS) else {
            panic!("not numbered");
        };
        assert!(!event.padding_is_whole);
    }
}
