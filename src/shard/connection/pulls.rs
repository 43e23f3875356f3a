//! The streams of a shard that their hosts read themselves, and batches in the form in which these
//! share them.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use slab::Slab;

use crate::frame::Frame;
use crate::metrics::DisconnectReason;
use crate::pull::{Pull, Put};
use crate::shard::connection::slots::Key;
use crate::shard::counted::WithoutDescriptor;

/// The queues by which hosts read, each named by a connection's sink.
#[derive(Default)]
pub(in crate::shard) struct Pulls {
    entries: Slab<PullEnd>,
    /// What members of an audience were sent last, so that the next ones share it.
    last: Option<SharedBatch>,
}

/// A shard's end of a queue. To drop it is to end the stream.
pub(crate) struct PullEnd {
    pull: Arc<Pull<DisconnectReason>>,
    _counted: WithoutDescriptor,
}

/// What a connection is sent: bytes, which streams that hosts read share as soon as the first of
/// them needs that.
pub(crate) struct Outgoing<'a> {
    pub(crate) bytes: &'a [u8],
    /// The event whose bytes these are, if it is one alone.
    alone: Option<Frame>,
    shared: Option<Bytes>,
}

struct SharedBatch {
    audience: Key,
    events: Range<u64>,
    bytes: Bytes,
}

/// The plain bytes of an event.
struct PlainBytes(Frame);

impl AsRef<[u8]> for PlainBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.plain()
    }
}

impl PullEnd {
    pub(crate) fn new(pull: Arc<Pull<DisconnectReason>>, counted: WithoutDescriptor) -> PullEnd {
        PullEnd { pull, _counted: counted }
    }

    /// The shard has the stream, as the connection of this id. False if nobody reads it any more.
    pub(in crate::shard) fn begin(&self, id: u64) -> bool {
        self.pull.begin(id)
    }

    /// Looks at what the reader tells. True if nobody reads the stream any more.
    pub(in crate::shard) fn look(&self) -> bool {
        self.pull.look()
    }

    /// Ends the stream for a reason, which its reader is told when it has read everything.
    pub(in crate::shard) fn end(&self, reason: DisconnectReason) {
        self.pull.end(reason);
    }

    /// Puts what its reader is told last into the queue, also if that is full.
    pub(in crate::shard) fn put_last(&self, bytes: &[u8]) -> io::Result<()> {
        match self.pull.put_last(Bytes::copy_from_slice(bytes)) {
            true => Ok(()),
            false => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn put(&self, outgoing: &mut Outgoing<'_>) -> io::Result<usize> {
        let bytes = outgoing.bytes.len();
        if bytes == 0 {
            return Ok(0);
        }
        match self.pull.put(bytes, || outgoing.share()) {
            Put::Taken => Ok(bytes),
            Put::Full => Err(ErrorKind::WouldBlock.into()),
            Put::Abandoned => Err(ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Drop for PullEnd {
    /// However it ends: after a panic of the shard it has no other reason.
    fn drop(&mut self) {
        self.pull.end(DisconnectReason::Error);
    }
}

impl Pulls {
    pub(in crate::shard) fn insert(&mut self, end: PullEnd) -> u32 {
        let index = self.entries.insert(end);
        u32::try_from(index).expect("there are no more of them than connections")
    }

    pub(in crate::shard) fn remove(&mut self, index: u32) {
        drop(self.entries.try_remove(index as usize));
        if self.entries.is_empty() {
            *self = Pulls::default();
        }
    }

    pub(in crate::shard) fn at(&self, index: u32) -> Option<&PullEnd> {
        self.entries.get(index as usize)
    }

    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts bytes into a queue, all of them or none.
    pub(in crate::shard) fn put(
        &self,
        index: u32,
        outgoing: &mut Outgoing<'_>,
    ) -> io::Result<usize> {
        match self.at(index) {
            Some(end) => end.put(outgoing),
            None => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    /// What members of an audience were sent of its events last, if it was just that.
    pub(in crate::shard) fn shared(&self, audience: Key, events: &Range<u64>) -> Option<Bytes> {
        let last = self.last.as_ref()?;
        (last.audience == audience && last.events == *events).then(|| last.bytes.clone())
    }

    /// Keeps what members of an audience were sent of its events, for the next members.
    pub(in crate::shard) fn keep_shared(
        &mut self,
        audience: Key,
        events: Range<u64>,
        bytes: Option<Bytes>,
    ) {
        self.last = bytes.map(|bytes| SharedBatch { audience, events, bytes });
    }

    /// Lets go of what members were sent last.
    pub(in crate::shard) fn forget_shared(&mut self) {
        self.last = None;
    }
}

impl<'a> Outgoing<'a> {
    pub(in crate::shard) fn new(bytes: &'a [u8]) -> Outgoing<'a> {
        Outgoing { bytes, alone: None, shared: None }
    }

    /// The bytes of a batch, the event that it is if it is one alone, and what is shared of it
    /// already.
    pub(in crate::shard) fn batch(
        bytes: &'a [u8],
        alone: Option<Frame>,
        shared: Option<Bytes>,
    ) -> Outgoing<'a> {
        Outgoing { bytes, alone, shared }
    }

    /// What is shared of it, if anything is.
    pub(in crate::shard) fn into_shared(self) -> Option<Bytes> {
        self.shared
    }

    /// The bytes, shared: an event's own, or a copy for all that are sent them.
    fn share(&mut self) -> Bytes {
        let Outgoing { bytes, alone, shared } = self;
        let shared = shared.get_or_insert_with(|| match alone.take() {
            Some(frame) => Bytes::from_owner(PlainBytes(frame)),
            None => Bytes::copy_from_slice(bytes),
        });
        shared.clone()
    }
}
