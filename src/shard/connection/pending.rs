//! Bytes that go to a connection before the events of its audience, and how far a flush came.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

use crate::frame::Wire;
use crate::shard::connection::sent::Sent;

/// The bytes that one connection is sent before other connections are served.
pub(in crate::shard) const FLUSH_BYTES_MAX: usize = 64 << 10;
/// Connections with more to send than one flush takes that are flushed before the shard looks at
/// its sockets.
pub(in crate::shard) const FLUSHES_MAX: usize = 32;

/// Bytes for one connection alone, or shared by several that need the same, and how many of them it
/// was sent.
pub(crate) struct Pending {
    pub(in crate::shard) bytes: Arc<[u8]>,
    sent: usize,
    /// Which of them are events, in plain form, and how many events.
    plain: Range<usize>,
    events: u64,
}

/// How far a connection came that lags or replays.
pub(in crate::shard) enum Progress {
    CaughtUp,
    /// It was sent everything, and the end of its stream.
    Finished,
    Blocked,
    /// There is more, and its socket may take it.
    Unfinished,
    /// Too many wait for what it lacks: it is to come again.
    TooMany,
    Broken(io::Error),
}

impl Pending {
    /// Bytes that have no events, and how many of them were sent.
    pub(in crate::shard) fn new(bytes: &[u8], sent: usize) -> Pending {
        Pending { bytes: bytes.into(), sent, plain: 0..0, events: 0 }
    }

    /// Bytes that end with a chunk of `events` events, which begins at `from`.
    pub(in crate::shard) fn of_events(
        wire: Wire,
        bytes: Arc<[u8]>,
        from: usize,
        events: u64,
    ) -> Pending {
        let line_end = memchr::memchr(b'\n', &bytes[from..]);
        let plain = match (wire, line_end) {
            (Wire::Plain, _) => from..bytes.len(),
            (Wire::Chunked, Some(at)) => from + at + 1..bytes.len() - b"\r\n".len(),
            (Wire::Chunked, None) => 0..0,
        };
        Pending { bytes, sent: 0, plain, events }
    }

    /// The bytes that have yet to be sent.
    pub(in crate::shard) fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Notes that a connection was sent some more. Returns all events that it was sent when these
    /// were the last bytes.
    pub(in crate::shard) fn advance(&mut self, sent: usize) -> Option<Sent> {
        self.sent += sent;
        (self.sent == self.bytes.len()).then(|| self.all())
    }

    /// The events that were sent.
    pub(in crate::shard) fn sent(&self) -> Sent {
        self.events_within(self.sent)
    }

    /// The events that have yet to be sent.
    pub(in crate::shard) fn left(&self) -> Sent {
        self.all() - self.sent()
    }

    fn all(&self) -> Sent {
        Sent { events: self.events, bytes: self.plain.len() as u64 }
    }

    fn events_within(&self, sent: usize) -> Sent {
        let Range { start, end } = self.plain;
        let taken = &self.bytes[start..sent.clamp(start, end)];
        let events = match taken.len() == self.plain.len() {
            true => self.events,
            // An event ends with the only empty line in it.
            false => memchr::memmem::find_iter(taken, b"\n\n").count() as u64,
        };
        Sent { events, bytes: taken.len() as u64 }
    }
}

impl Progress {
    /// What it means for a flush that a socket took nothing.
    pub(in crate::shard) fn of(error: io::Error) -> Progress {
        match error.kind() {
            ErrorKind::WouldBlock => Progress::Blocked,
            _ => Progress::Broken(error),
        }
    }
}
