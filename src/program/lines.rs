//! Lines out of bytes that come in pieces, with a bound on their length.

/// Takes lines out of pieces. Only a line that spans pieces is copied.
pub(crate) struct Lines {
    /// The most bytes of a line, without its line feed.
    bytes_max: usize,
    /// The begun line, or the whole one that was handed out last.
    partial: Vec<u8>,
    handed_out: bool,
    /// The rest of a line that is too long is thrown away.
    skipping: bool,
    number: u64,
}

/// A line and its number; the first is 1.
pub(crate) type Line<'a> = (u64, &'a [u8]);

/// The line of this number has more bytes than are taken; it is skipped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong(pub(crate) u64);

impl Lines {
    pub(crate) fn new(bytes_max: usize) -> Lines {
        Lines { bytes_max, partial: Vec::new(), handed_out: false, skipping: false, number: 0 }
    }

    /// Takes a line, without its line feed, off what is kept and the `rest` of a piece. `None`
    /// when all of the piece is taken.
    pub(crate) fn take<'a, 'piece: 'a>(
        &'a mut self,
        rest: &mut &'piece [u8],
    ) -> Result<Option<Line<'a>>, TooLong> {
        if std::mem::take(&mut self.handed_out) {
            self.partial.clear();
        }
        if self.skipping {
            self.skipping = cut(rest).1.is_none();
        }
        if rest.is_empty() {
            return Ok(None);
        }
        let (piece, end) = cut(rest);
        if self.partial.len() + piece.len() > self.bytes_max {
            self.partial = Vec::new();
            self.skipping = end.is_none();
            self.number += 1;
            return Err(TooLong(self.number));
        }
        if end.is_none() {
            self.partial.extend_from_slice(piece);
            return Ok(None);
        }
        self.number += 1;
        if self.partial.is_empty() {
            return Ok(Some((self.number, piece)));
        }
        self.partial.extend_from_slice(piece);
        self.handed_out = true;
        Ok(Some((self.number, &self.partial)))
    }

    /// The last line, if the input ended without a line feed.
    pub(crate) fn last(&mut self) -> Option<Line<'_>> {
        if self.handed_out || self.partial.is_empty() {
            return None;
        }
        self.number += 1;
        self.handed_out = true;
        Some((self.number, &self.partial))
    }
}

/// Takes what comes before a line feed, and the line feed, if there is one.
fn cut<'a>(rest: &mut &'a [u8]) -> (&'a [u8], Option<usize>) {
    let all = *rest;
    let end = memchr::memchr(b'\n', all);
    *rest = end.map_or(&[], |end| &all[end + 1..]);
    (&all[..end.unwrap_or(all.len())], end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines of the pieces, with their numbers; `None` for one that is too long.
    fn lines_of(pieces: &[&str], bytes_max: usize) -> Vec<(u64, Option<String>)> {
        let mut lines = Lines::new(bytes_max);
        let mut found = Vec::new();
        for piece in pieces {
            let mut rest = piece.as_bytes();
            loop {
                found.push(match lines.take(&mut rest) {
                    Ok(None) => break,
                    Ok(Some((number, line))) => (number, Some(text(line))),
                    Err(TooLong(number)) => (number, None),
                });
            }
        }
        found.extend(lines.last().map(|(number, line)| (number, Some(text(line)))));
        found
    }

    fn text(line: &[u8]) -> String {
        String::from_utf8(line.to_vec()).unwrap()
    }

    #[test]
    fn lines_are_the_same_however_the_input_is_cut() {
        let text = "one\n\ntwo three\nfour";
        let whole = lines_of(&[text], 100);
        let expected = [(1, "one"), (2, ""), (3, "two three"), (4, "four")];
        assert_eq!(whole, expected.map(|(number, line)| (number, Some(line.to_owned()))));
        for cut in 0..=text.len() {
            assert_eq!(lines_of(&[&text[..cut], &text[cut..]], 100), whole, "{cut}");
        }
        let bytes: Vec<String> = text.chars().map(String::from).collect();
        let bytes: Vec<&str> = bytes.iter().map(|byte| &**byte).collect();
        assert_eq!(lines_of(&bytes, 9), whole);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_once_and_counted() {
        let expected =
            vec![(1, Some("a".to_owned())), (2, None), (3, Some("b".to_owned())), (4, None)];
        assert_eq!(lines_of(&["a\n12345\nb\n1234", "5"], 4), expected);
        assert_eq!(lines_of(&["a\n123", "45", "6", "7\nb\n", "12345"], 4), expected);
        assert_eq!(lines_of(&["a\n123", "45\n", "b\n123", "45678"], 4), expected);
    }

    #[test]
    fn an_input_that_ends_with_a_line_feed_has_no_more_lines() {
        assert_eq!(lines_of(&["a\n"], 9), [(1, Some("a".to_owned()))]);
        assert_eq!(lines_of(&["a", "\n"], 9), [(1, Some("a".to_owned()))]);
        assert_eq!(lines_of(&[""], 9), []);
    }
}
