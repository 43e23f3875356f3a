//! The parts of the engine that fanfare-bench uses: shards that are driven by hand, with
//! connections that have no sockets, and the single steps of an event's way. This is no stable API,
//! and not for hosts.

use std::fmt;
use std::hint::black_box;
use std::io;
use std::sync::Arc;

use crate::envelope::Envelope;
use crate::event::{Event, EventError};
use crate::filter::Subscription;
use crate::frame::{self, Wire};
use crate::http::request::Head;
use crate::http::response;
use crate::hub::{Hub, StartError};
use crate::id::EventId;
use crate::options::Options;
use crate::order::{self, Published};
use crate::resume::Resume;
use crate::shard::{sinks, Next, Shard, StreamRequest};
use crate::topic::Topic;

/// Turns that a shard may need until it rests. A round of 1,000,000 members takes 4,000.
const TURNS_MAX: u64 = 10_000_000;

/// A hub with shards that do nothing until they are told to.
pub struct Workbench {
    hub: Hub,
    shards: Vec<Shard>,
    wire: Wire,
    envelope: Envelope,
    head: Vec<u8>,
}

/// The number that an event has in its hub's total order; the first is 1.
pub fn sequence(id: EventId) -> u64 {
    id.sequence
}

/// A checksum of what a sink was sent: of the bytes, of how they were cut into sends, and of their
/// order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum(sinks::Checksum);

impl Workbench {
    /// Makes a hub, and its shards. Their connections are sent the chunked form, or the bare one.
    ///
    /// # Errors
    ///
    /// As [`Hub::with_drivers`].
    pub fn new(options: Options, chunked: bool) -> Result<Workbench, StartError> {
        let (hub, drivers) = Hub::with_drivers(options)?;
        let wire = if chunked { Wire::Chunked } else { Wire::Plain };
        let shards = drivers.into_iter().map(crate::Driver::into_shard).collect();
        let (envelope, head) = (Envelope::None, response::stream(wire, ""));
        Ok(Workbench { hub, shards, wire, envelope, head })
    }

    /// The same with connections that are sent their events in an envelope.
    #[must_use]
    pub fn in_envelope(self, envelope: Envelope) -> Workbench {
        Workbench { envelope, ..self }
    }

    /// What to publish with.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The head of a connection's response. Behind it, in the same send, comes a block with the
    /// last event's id, unless the hub keeps no history.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Has a connection without a socket join a shard, and returns its key. `None` when the
    /// hub's bound on connections is reached.
    pub fn join(&mut self, shard: usize, topics: &[Topic]) -> Option<u64> {
        let sink = sinks::Sink::Counting(sinks::Checksum::default());
        let request = StreamRequest {
            envelope: self.envelope,
            ..StreamRequest::new(self.head.clone(), topics.to_vec(), self.wire)
        };
        let key = self.shards[shard].join_sink(sink, &request)?;
        Some(key.to_u64())
    }

    /// Ends a connection, as if its client had closed it.
    pub fn leave(&mut self, shard: usize, key: u64) {
        if let Some(key) = sinks::Key::from_u64(key) {
            self.shards[shard].end_sink(key);
        }
    }

    /// The checksum of what a connection was sent, its head included; `None` when it has ended.
    pub fn checksum(&mut self, shard: usize, key: u64) -> Option<Checksum> {
        self.shards[shard].checksum(sinks::Key::from_u64(key)?).map(Checksum)
    }

    /// Has every shard do what there is to do, and returns how many turns that took.
    ///
    /// # Errors
    ///
    /// When a poller fails, or a shard does not come to rest.
    pub fn settle(&mut self) -> io::Result<u64> {
        let mut turns = 0;
        for shard in &mut self.shards {
            turns += 1;
            while shard.turn()? == Next::Now {
                turns += 1;
                if turns > TURNS_MAX {
                    return Err(io::Error::other("a shard does not come to rest"));
                }
            }
        }
        Ok(turns)
    }

    /// Publishes `count` events to a topic that the first shard has an audience for, and takes
    /// them out of its inbox.
    ///
    /// # Panics
    ///
    /// When the backlog is full.
    pub fn events(&mut self, topic: &Topic, data: &str, count: usize) -> Events {
        for _ in 0..count {
            self.hub.publish(topic, data).expect("the backlog is not full");
        }
        Events(self.shards[0].take_published())
    }
}

impl Checksum {
    /// Takes one send into account.
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.add(bytes);
    }
}

/// A client that comes back, as far as the hub's order is concerned with it.
pub struct Comeback {
    wanted: Vec<Subscription>,
    resume: Resume,
}

impl Comeback {
    /// One that had everything of some subscriptions up to an event.
    pub fn new(wanted: Vec<Subscription>, id: EventId) -> Comeback {
        Comeback { wanted, resume: Resume::After(id.to_string().into()) }
    }

    /// Locates its cursor in the history: what every client that comes back costs.
    pub fn seek(&self, workbench: &Workbench) -> Cursor {
        let order = &workbench.hub.shared().order;
        let mut search = order.begin_search(self.resume.clone(), order.moment());
        loop {
            let found = order.locate(&self.wanted, &mut search);
            if let Some((cursor, _)) = found {
                return Cursor(cursor);
            }
        }
    }

    /// Gathers all that it has missed, part by part: what all that had the same cost together.
    /// Returns how many events and parts that is.
    pub fn gather(&self, workbench: &Workbench, from: Cursor) -> (usize, usize) {
        let (mut cursor, mut events, mut parts) = (from.0, 0, 0);
        let shared = workbench.hub.shared();
        let (order, bytes_max) = (&shared.order, shared.tuning.part_bytes_max);
        let mut buffer = Vec::new();
        loop {
            let Workbench { wire, envelope, .. } = *workbench;
            let replay = order.replay(&self.wanted, cursor, bytes_max, envelope);
            let frames = replay.frames.iter();
            black_box(match envelope {
                Envelope::None => frame::Frame::gather(frames, wire, &mut buffer),
                Envelope::Json => {
                    let events = frames.zip(&replay.topics);
                    frame::Frame::gather_json(events, wire, &mut buffer)
                }
            });
            (events, parts) = (events + replay.frames.len(), parts + 1);
            if replay.is_all {
                return (events, parts);
            }
            cursor = replay.cursor;
        }
    }
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(order::Cursor);

impl Cursor {
    /// The number of the last event that it had.
    pub fn after(self) -> u64 {
        self.0.after
    }
}

/// Events that wait for their audiences.
pub struct Events(Vec<Arc<Published>>);

/// An audience by itself.
pub struct Audience(sinks::Audience);

impl Events {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl Audience {
    /// An audience without members.
    pub fn new(chunked: bool, envelope: Envelope) -> Audience {
        let wire = if chunked { Wire::Chunked } else { Wire::Plain };
        Audience(sinks::audience(wire, envelope))
    }

    /// Takes events that have to be sent.
    pub fn append(&mut self, events: &Events) {
        for event in &events.0 {
            self.0.append(event);
        }
    }

    /// The bytes that the members are sent next, in a chunk; empty when nothing is to be
    /// sent.
    pub fn batch(&mut self, bytes_max: usize) -> &[u8] {
        let (from, to) = self.0.next_batch(bytes_max);
        if from == to {
            return &[];
        }
        self.0.queue.bytes(from..to)
    }

    /// Marks every event as sent to every member.
    pub fn rest(&mut self) {
        self.0.queue.advance(self.0.queue.end());
    }
}

/// An encoded event that has no sequence number yet.
pub struct Draft(frame::Draft);

/// An encoded event.
pub struct Frame(frame::Frame);

/// Checks and encodes an event.
///
/// # Errors
///
/// When no client would get it as it is.
pub fn encode(event: &Event<'_>) -> Result<Draft, EventError> {
    frame::Draft::encode(event, 1 << 20).map(Draft)
}

impl Draft {
    /// Gives it a sequence number.
    pub fn stamp(self, id: EventId) -> Frame {
        Frame(self.0.stamp(id.epoch, id.sequence, 0))
    }
}

impl Frame {
    /// The bytes that a connection is sent.
    pub fn wire(&self, chunked: bool) -> &[u8] {
        self.0.wire(if chunked { Wire::Chunked } else { Wire::Plain })
    }
}

/// A slab with entries as large as a connection's.
pub struct Slots(sinks::Slots<[u64; 3]>);

impl Default for Slots {
    fn default() -> Slots {
        Slots(sinks::Slots::new())
    }
}

impl Slots {
    /// Inserts an entry, and returns its key.
    pub fn insert(&mut self, value: [u64; 3]) -> u64 {
        self.0.insert(value).to_u64()
    }

    /// The entry, unless the key is stale.
    pub fn get(&mut self, key: u64) -> Option<[u64; 3]> {
        self.0.get_mut(sinks::Key::from_u64(key)?).copied()
    }

    /// Removes an entry, unless the key is stale.
    pub fn remove(&mut self, key: u64) -> Option<[u64; 3]> {
        let key = sinks::Key::from_u64(key)?;
        self.0.get_mut(key)?;
        Some(self.0.remove(key.index))
    }
}

/// The path and the query of a request's head; `None` if it is not a complete one.
pub fn parse_head(bytes: &[u8]) -> Option<(&str, &str)> {
    match Head::parse(bytes, 128) {
        Head::Complete(request, _) => Some((request.path, request.query)),
        _ => None,
    }
}

macro_rules! opaque {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

opaque!(Workbench Comeback Events Audience Draft Frame Slots);
