//! Entries of the cluster's stream, as they are read.

use redis::Value;

use crate::id::Epoch;
use crate::order::Life;

/// An entry's id: the number of its life, and of its last item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryId {
    pub(super) epoch: u64,
    pub(super) last: u64,
}

pub(super) struct Entry {
    pub(super) id: EntryId,
    pub(super) content: Content,
}

pub(super) enum Content {
    Batch {
        node: Vec<u8>,
        serial: u64,
        items: u32,
        time_ms: u64,
        bytes: Vec<u8>,
    },
    Life(NewLife),
    /// How far a node had read what the server has lost.
    Reached(EntryId),
}

/// The beginning of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewLife {
    pub(super) number: u64,
    pub(super) epoch: Epoch,
    pub(super) first: u64,
    /// The number of the life before, and the last number that the stream had of it.
    pub(super) before: u64,
    pub(super) before_last: u64,
    /// How far the node that began this life had read: a life, and a number in it. If that is further than the server
    /// had come, something was lost.
    pub(super) known: u64,
    pub(super) reached: u64,
}

/// Why an entry is none that this version has written.
pub(super) type Malformed = &'static str;

impl NewLife {
    pub(super) fn read(text: &[u8]) -> Result<NewLife, Malformed> {
        const WRONG: Malformed = "the beginning of a life that is not of this version";
        let text = std::str::from_utf8(text).map_err(|_| WRONG)?;
        let fields: Vec<&str> = text.split(' ').collect();
        let &[number, token, first, before, before_last, known, reached] = &fields[..] else {
            return Err(WRONG);
        };
        let number_of = |text: &str| text.parse::<u64>().map_err(|_| WRONG);
        let token = token.as_bytes().try_into().map_err(|_| WRONG)?;
        Ok(NewLife {
            number: number_of(number)?,
            epoch: Epoch::from_bytes(token).ok_or(WRONG)?,
            first: number_of(first)?,
            before: number_of(before)?,
            before_last: number_of(before_last)?,
            known: number_of(known)?,
            reached: number_of(reached)?,
        })
    }

    /// The lives that a node which joins knows, and what its own one begins with, from all lives in their order.
    pub(super) fn earlier(lives: &[NewLife]) -> Vec<Life> {
        let ended = lives.iter().zip(lives.iter().skip(1));
        let life = |(life, next): (&NewLife, &NewLife)| Life {
            epoch: life.epoch,
            last: next.before_last,
            lost_to: Some(next.reached).filter(|&reached| reached > next.before_last),
        };
        ended.map(life).collect()
    }
}

impl EntryId {
    fn read(text: &[u8]) -> Option<EntryId> {
        let (epoch, last) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(EntryId { epoch: epoch.parse().ok()?, last: last.parse().ok()? })
    }

    pub(super) fn text(self) -> String {
        format!("{}-{}", self.epoch, self.last)
    }
}

impl Entry {
    /// Reads what `XRANGE` answers.
    pub(super) fn read_all(entries: Value) -> Result<Vec<Entry>, Malformed> {
        match entries {
            Value::Array(entries) => entries.into_iter().map(Entry::read).collect(),
            Value::Nil => Ok(Vec::new()),
            _ => Err("an answer that is no list of entries"),
        }
    }

    /// Reads what `XREAD` answers for one stream.
    pub(super) fn read_new(streams: Value) -> Result<Vec<Entry>, Malformed> {
        let Value::Array(mut streams) = streams else { return Ok(Vec::new()) };
        match streams.pop() {
            Some(Value::Array(mut stream)) if stream.len() == 2 => {
                Entry::read_all(stream.pop().unwrap_or(Value::Nil))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// How many bytes its items take.
    pub(super) fn bytes(&self) -> usize {
        match &self.content {
            Content::Batch { bytes, .. } => bytes.len(),
            Content::Life(_) | Content::Reached(_) => 0,
        }
    }

    fn read(entry: Value) -> Result<Entry, Malformed> {
        const WRONG: Malformed = "an entry that is not of this version";
        let Value::Array(mut parts) = entry else { return Err(WRONG) };
        let (Some(Value::Array(fields)), Some(Value::BulkString(id))) = (parts.pop(), parts.pop())
        else {
            return Err(WRONG);
        };
        let id = EntryId::read(&id).ok_or(WRONG)?;
        let mut values = Vec::with_capacity(fields.len());
        for field in fields {
            let Value::BulkString(bytes) = field else { return Err(WRONG) };
            values.push(bytes);
        }
        let number_of = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).ok();
            text.and_then(|text| text.parse::<u64>().ok()).ok_or(WRONG)
        };
        let content = match &mut values[..] {
            [reached, text] if reached == b"reached" => {
                Content::Reached(EntryId::read(text).ok_or(WRONG)?)
            }
            [life, text] if life == b"life" => Content::Life(NewLife::read(text)?),
            [n, node, s, serial, i, items, t, time_ms, b, bytes]
                if [&**n, s, i, t, b] == [b"n", b"s", b"i", b"t", b"b"] =>
            {
                Content::Batch {
                    node: std::mem::take(node),
                    serial: number_of(serial)?,
                    items: u32::try_from(number_of(items)?).map_err(|_| WRONG)?,
                    time_ms: number_of(time_ms)?,
                    bytes: std::mem::take(bytes),
                }
            }
            _ => return Err(WRONG),
        };
        Ok(Entry { id, content })
    }
}
