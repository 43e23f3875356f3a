//! An input as a sequence of choices. When its bytes are used up, every choice is the first one.

#[derive(Debug)]
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
}

/// Texts that matter somewhere: as topics, filters, names, addresses, or as none of these.
const TEXTS: &[&[u8]] = &[
    b"a",
    b"a/b",
    b"b",
    b"",
    b"#",
    b"a/+",
    b"+",
    b"a#",
    b"x y",
    b" x",
    b"\n",
    b"a\r\nb",
    b"\0",
    b"\xff",
    "\u{e9}".as_bytes(),
    b"{}",
    b"fanfare-gap",
    b"127.0.0.1:0",
    b"[::1]:0",
    b"localhost:1",
    b"*",
    b"GET",
    b"/events?topic=a",
    b"/events",
];

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { bytes }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((&first, rest)) => {
                self.bytes = rest;
                first
            }
            None => 0,
        }
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    pub(crate) fn is_odd(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// For what would end most sequences early if it were as likely as anything else.
    pub(crate) fn rarely(&mut self) -> bool {
        self.byte() % 16 == 15
    }

    /// Any number, more often one where something begins or ends.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() % 8 {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => u64::from(u32::MAX) + 1,
            4 => u64::from(u32::MAX),
            5 => 1 << self.below(64),
            _ => u64::from(u16::from_le_bytes([self.byte(), self.byte()])),
        }
    }

    /// A time to wait, in milliseconds: never one that makes a sequence slow.
    pub(crate) fn timeout(&mut self) -> u64 {
        self.below(3) as u64
    }

    /// A text, which may be anything.
    pub(crate) fn text(&mut self) -> Vec<u8> {
        match self.byte() {
            0..=15 => {
                let length = self.below(24);
                let (text, rest) = self.bytes.split_at(length.min(self.bytes.len()));
                self.bytes = rest;
                text.to_owned()
            }
            // At and beyond the bounds of names, and of an event.
            16 => vec![b'x'; 256],
            17 => vec![b'x'; 257],
            18 => vec![b'x'; 5000],
            other => TEXTS[usize::from(other) % TEXTS.len()].to_owned(),
        }
    }

    /// A topic that the sequence meets again, or any text.
    pub(crate) fn topic(&mut self) -> Vec<u8> {
        match self.byte() % 8 {
            0..=3 => b"a".to_vec(),
            4 => b"a/b".to_vec(),
            5 | 6 => b"b".to_vec(),
            _ => self.text(),
        }
    }
}
