//! How a client that comes back is sent what it has missed, and then joins those who are live,
//! with nothing lost, doubled or out of order at the seam.
//!
//! ```text
//!    history, merged            |  the audience's log
//!   [ part | part | last part ] n  n+1  n+2 ...
//!                               `everything up to here is in the log, or before it
//! ```
//!
//! The shard knows a number `n` up to which it has taken all events that concern it. History has
//! everything up to `n` as well. So a client is sent the parts of history one after another, and
//! with the one that reaches `n` it takes its place in its audience's log just behind `n`: as a
//! laggard, which then goes on like any other.
//!
//! Until then it is in nobody's way: its audience's log keeps nothing for it, and the shard one
//! part, which is shared by all who replay the same topics from the same place.

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::sync::{Arc, Weak};

use crate::filter::Subscription;
use crate::frame::{Frame, StreamId};
use crate::gap::Gap;
use crate::id::EventId;
use crate::options::Options;
use crate::order::{Cursor, Order, Search};
use crate::shard::connection::record::Sent;
use crate::shard::connection::{Membership, State};
use crate::shard::entry::join::welcome;
use crate::shard::lagging::{Pending, Progress, FLUSH_BYTES_MAX};
use crate::shard::{Shard, StreamRequest};

/// What a part has at most, unless a single event is larger; and when much is replayed at once.
/// Less in tests, so that there are many.
pub(crate) const PART_BYTES_MAX: usize = if cfg!(test) { 700 } else { 64 << 10 };
const SMALL_PART_BYTES_MAX: usize = if cfg!(test) { 300 } else { 4 << 10 };
/// Parts that are kept for others who need the same, their bytes unless it is one, and for how many
/// ticks.
const SHARED_PARTS_MAX: usize = 256;
const SHARED_BYTES_MAX: usize = 4 << 20;
const SHARED_TICKS: u8 = 10;
/// What a turn may spend on looking for what clients have missed: beyond that they go on in the
/// next.
const SEARCH_NS_MAX: u64 = 2_000_000;

/// How far a client is that is sent what it has missed.
pub(crate) struct Replaying {
    pub(in crate::shard) audience: u32,
    /// What it is being sent.
    pub(in crate::shard) pending: Option<Pending>,
    /// Where it is then.
    at: At,
    /// Whether it queues for another go.
    pub(in crate::shard) queued: bool,
    /// When it began or last took something, in milliseconds since the hub's start.
    pub(in crate::shard) since_ms: u32,
}

/// Where a client is that is sent what it has missed.
enum At {
    /// It is looked for where its stream begins.
    Searching(Option<Box<Search>>),
    Cursor(Cursor),
}

/// A part of what an audience has missed, as its members are sent it.
#[derive(Clone)]
struct Part {
    bytes: Arc<[u8]>,
    events: u64,
    /// It has everything up to this number.
    to: u64,
    /// Whether nothing had been published after that when it was gathered.
    is_all: bool,
}

/// The parts that were gathered lately.
#[derive(Default)]
pub(in crate::shard) struct Parts {
    shared: HashMap<PartId, Part>,
    shared_bytes: usize,
    /// Which were gathered first, and how many ticks ago.
    in_order: VecDeque<(PartId, u8)>,
    /// Those that someone may still be sent, and what they took when that was last looked at.
    alive: Vec<Weak<[u8]>>,
    alive_bytes: usize,
    /// What this turn has spent on looking for what clients have missed.
    searched_ns: u64,
}

/// The audience, the place that a part begins at, up to where it has only the latest, and up to
/// where something may be missing.
type PartId = (u64, u64, u64, u64);

impl Shard {
    /// Sees to it that everything up to a number is in the audiences' logs, and returns it.
    pub(in crate::shard) fn take_all(&mut self) -> u64 {
        let number = self.shared.order.sequence().max(self.taken_to);
        self.take_inbox();
        number
    }

    /// Begins the stream of a client that wants something of the past, or has to be told that it
    /// is gone.
    pub(in crate::shard) fn begin_replay(
        &mut self,
        index: u32,
        audience: u32,
        request: &StreamRequest,
    ) {
        let mut search = self.shared.order.begin_search(request.resume.clone());
        let (at, first) = match self.search(audience, &mut search) {
            None => (At::Searching(Some(Box::new(search))), None),
            Some((cursor, gap)) => {
                let gap = gap.map(|gap| self.tell_of_gap(audience, gap));
                let may_be_live = gap.is_none() || !self.keeps_history();
                let live_at = may_be_live.then(|| self.is_live_at(audience, cursor)).flatten();
                if let Some(number) = live_at {
                    let form = request.heartbeat_form;
                    let first = gap.or_else(|| self.first_block(audience, form, number));
                    self.join_ring(index, audience, number);
                    return self.begin(index, &welcome(request, first.as_deref()));
                }
                (At::Cursor(cursor), gap)
            }
        };
        self.audiences[audience].replaying += 1;
        self.link().counters.replaying_connections.add(1);
        let pending = Some(Pending::new(&welcome(request, first.as_deref()), 0));
        let replaying = Replaying { audience, pending, at, queued: false, since_ms: self.now_ms() };
        self.connections[index].state = State::Replaying(Box::new(replaying));
        self.begin_count(index, Sent::default());
        self.tell_of_beginning(index);
        self.resume(self.connections.key_at(index));
    }

    /// Goes on with a search for the place where a client's stream begins.
    fn search(
        &mut self,
        audience: u32,
        search: &mut Search,
    ) -> Option<(Cursor, Option<(Gap, EventId)>)> {
        // Where nothing is kept it takes no time, and has to be found before anything is published.
        if self.keeps_history() && !self.has_time_to_search() {
            return None;
        }
        let wanted = self.wanted_by(audience);
        self.timed(|order| order.locate(&wanted, search))
    }

    fn keeps_history(&self) -> bool {
        self.shared.options.history_events_max > 0
    }

    fn has_time_to_search(&self) -> bool {
        self.parts.searched_ns < SEARCH_NS_MAX
    }

    fn timed<T>(&mut self, search: impl FnOnce(&Order) -> T) -> T {
        let from_ns = self.shared.order.now_ns();
        let found = search(&self.shared.order);
        self.parts.searched_ns += self.shared.order.now_ns().saturating_sub(from_ns);
        found
    }

    /// A turn begins.
    pub(in crate::shard) fn begin_to_search(&mut self) {
        self.parts.searched_ns = 0;
    }

    /// The event that tells a client of a gap, counted.
    fn tell_of_gap(&self, audience: u32, (gap, id): (Gap, EventId)) -> Vec<u8> {
        self.link().counters.count_gap(gap.reason);
        gap.encode(&self.shared.options.gap_event, id, self.audiences[audience].wire)
    }

    /// Whether nothing is to be sent to a client at a place that was just found before it is live, and
    /// then up to which number; all of that is in the log.
    fn is_live_at(&mut self, audience: u32, cursor: Cursor) -> Option<u64> {
        let number = self.take_all();
        if !self.keeps_history() {
            // What was published since the place was found is in the log, and nowhere else.
            return Some(cursor.told_to());
        }
        if cursor.after == number {
            return Some(number);
        }
        let (part, gap) = match self.shared_part(audience, cursor, number) {
            Some(part) => (part, None),
            None => self.gather(audience, cursor),
        };
        let is_live = part.is_all && part.bytes.is_empty() && gap.is_none();
        // What was published meanwhile.
        self.take_inbox();
        is_live.then_some(part.to)
    }

    /// Sends a client more of what it has missed. When that is all, it is a laggard, and goes on
    /// as such.
    pub(in crate::shard) fn flush_replay(&mut self, index: u32) -> Progress {
        let (mut budget, now_ms) = (FLUSH_BYTES_MAX, self.now_ms());
        loop {
            let connection = &mut self.connections[index];
            let State::Replaying(replaying) = &mut connection.state else {
                unreachable!("only one that replays flushes on with it")
            };
            let Some(pending) = &mut replaying.pending else {
                match self.find_next(index) {
                    Next::Pending => continue,
                    Next::Later => return Progress::Unfinished,
                    Next::Lagging => return self.flush(index),
                }
            };
            match connection.sink.send(&pending.bytes[pending.sent..]) {
                Ok(sent) => {
                    pending.sent += sent;
                    replaying.since_ms = now_ms;
                    budget = budget.saturating_sub(sent);
                    if pending.sent < pending.bytes.len() {
                        return Progress::Blocked;
                    }
                    let events = pending.events_sent(usize::MAX);
                    replaying.pending = None;
                    self.count_sent(index, events);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Blocked,
                Err(error) => return Progress::Broken(error),
            }
            if budget == 0 {
                return Progress::Unfinished;
            }
        }
    }

    /// Finds what a client that replays is sent next.
    fn find_next(&mut self, index: u32) -> Next {
        let State::Replaying(replaying) = &mut self.connections[index].state else {
            unreachable!("only one that replays flushes on with it")
        };
        let audience = replaying.audience;
        let cursor = match &mut replaying.at {
            At::Cursor(cursor) => *cursor,
            At::Searching(search) => {
                let mut search = search.take().expect("it is put back until it has found a cursor");
                let found = self.search(audience, &mut search);
                let gap = found.as_ref().and_then(|(_, gap)| gap.clone());
                let gap = gap.map(|gap| Pending::new(&self.tell_of_gap(audience, gap), 0));
                let is_found = found.is_some();
                self.replaying_mut(index).at = match found {
                    Some((cursor, _)) => At::Cursor(cursor),
                    None => At::Searching(Some(search)),
                };
                self.replaying_mut(index).pending = gap;
                return if is_found { Next::Pending } else { Next::Later };
            }
        };
        self.next_part(index, audience, cursor)
    }

    /// Gives a client that replays its next part. With the last it has become a laggard that is to
    /// be sent this part first.
    fn next_part(&mut self, index: u32, audience: u32, cursor: Cursor) -> Next {
        if !self.has_time_to_search() {
            return Next::Later;
        }
        let number = self.take_all();
        let shared = self.shared_part(audience, cursor, number);
        let is_shared = shared.is_some();
        let (part, gap) = shared.map_or_else(|| self.gather(audience, cursor), |part| (part, None));
        let counters = &self.link().counters;
        counters.replayed_events.add(part.events);
        counters.delivered_events.add(part.events);
        counters.delivered_bytes.add(part.bytes.len() as u64);
        let (bytes, from, told_to): (Arc<[u8]>, usize, u64) = match gap {
            Some((gap, id)) => {
                let to = gap.to.sequence;
                let block = self.tell_of_gap(audience, (gap, id));
                ([&block, &part.bytes[..]].concat().into(), block.len(), to)
            }
            None => (part.bytes, 0, 0),
        };
        if !is_shared {
            self.parts.watch(&bytes);
        }
        let wire = self.audiences[audience].wire;
        let mut pending =
            (!bytes.is_empty()).then(|| Pending::of_events(wire, bytes, from, part.events));
        if part.is_all {
            // A stream that begins with no event begins with an id.
            if pending.is_none() {
                let form = self.record(index).heartbeat_form;
                let first = self.first_block(audience, form, part.to);
                pending = first.map(|block| Pending::new(&block, 0));
            }
            // What was published while the part was gathered is in the log, behind its end.
            self.take_inbox();
            self.end_replay(index, pending, part.to);
            return Next::Lagging;
        }
        let next = if pending.is_some() { Next::Pending } else { Next::Later };
        let replaying = self.replaying_mut(index);
        replaying.pending = pending;
        // A gap is told once.
        let gap_told_to = cursor.gap_told_to.max(told_to);
        replaying.at = At::Cursor(Cursor { after: part.to, gap_told_to, ..cursor });
        next
    }

    fn replaying_mut(&mut self, index: u32) -> &mut Replaying {
        match &mut self.connections[index].state {
            State::Replaying(replaying) => replaying,
            _ => unreachable!("only one that replays flushes on with it"),
        }
    }

    /// Makes a laggard of a client that has missed nothing any more but what it is sent next.
    fn end_replay(&mut self, index: u32, pending: Option<Pending>, number: u64) {
        let replaying = self.replaying_mut(index);
        let (audience, since_ms) = (replaying.audience, replaying.since_ms);
        let sent = self.sent_to(index);
        let queue = &self.audiences[audience].queue;
        let position = queue.position_after(number);
        self.leave_replaying(audience);
        let quiet_since_ms = self.now_ms();
        let membership = Membership { audience, slot: 0, quiet_since_ms };
        self.stand_behind(index, membership, pending, position..position, 0, since_ms);
        self.laggard_mut(index).last.get_or_insert(StreamId::Hub(number));
        self.begin_count(index, sent);
    }

    /// One connection less of an audience replays.
    pub(in crate::shard) fn leave_replaying(&mut self, audience: u32) {
        self.audiences[audience].replaying -= 1;
        self.link().counters.replaying_connections.sub(1);
    }

    /// A part that was gathered for someone else, and is not outdated: a last part is, when
    /// something was published since.
    fn shared_part(&self, audience: u32, cursor: Cursor, number: u64) -> Option<Part> {
        let id = self.part_id(audience, cursor);
        let part = self.parts.shared.get(&id).filter(|part| !part.is_all || part.to == number);
        part.cloned()
    }

    /// Gathers a part, and what is missing before it, with the id to tell it with.
    fn gather(&mut self, audience: u32, cursor: Cursor) -> (Part, Option<(Gap, EventId)>) {
        let wire = self.audiences[audience].wire;
        let Options { lag_total_bytes_max, shards, .. } = self.shared.options;
        let crowded = self.parts.alive_bytes > lag_total_bytes_max / shards / 4;
        let bytes_max = if crowded { SMALL_PART_BYTES_MAX } else { PART_BYTES_MAX };
        let wanted = self.wanted_by(audience);
        let replay = self.timed(|order| order.replay(&wanted, cursor, bytes_max));
        let bytes = match &replay.frames[..] {
            // An empty chunk would be the end of the stream.
            [] => Arc::default(),
            frames => Frame::gather(frames.iter(), wire, &mut self.lag_scratch).into(),
        };
        let part = Part {
            bytes,
            events: replay.frames.len() as u64,
            to: replay.to,
            is_all: replay.is_all,
        };
        // What is missing from it is forgiven by all who have its id.
        if replay.gap.is_none() {
            let id = self.part_id(audience, cursor);
            self.parts.keep(id, part.clone());
        }
        self.link().counters.gathered_parts.add(1);
        (part, replay.gap)
    }

    fn part_id(&self, audience: u32, cursor: Cursor) -> PartId {
        let latest_to = if cursor.latest_to > cursor.after { cursor.latest_to } else { 0 };
        let gap_told_to = cursor.gap_told_to.max(cursor.after);
        (self.audiences.key_at(audience).to_u64(), cursor.after, latest_to, gap_told_to)
    }

    /// An audience's subscriptions.
    pub(in crate::shard) fn wanted_by(&self, audience: u32) -> Vec<Subscription> {
        self.audiences.wanted_by(audience)
    }

    /// Lets go of parts that were gathered a while ago.
    pub(in crate::shard) fn forget_parts(&mut self) {
        self.parts.tick();
    }
}

/// What a client that replays does next.
enum Next {
    /// It is sent what it has got.
    Pending,
    /// There is more to be found, when others have had their turn.
    Later,
    /// It has become a laggard.
    Lagging,
}

impl Parts {
    /// Takes bytes into account that someone is sent.
    fn watch(&mut self, bytes: &Arc<[u8]>) {
        self.alive.push(Arc::downgrade(bytes));
        self.alive_bytes += bytes.len();
    }

    fn keep(&mut self, id: PartId, part: Part) {
        self.shared_bytes += part.bytes.len();
        // A last part may take the place of another, which is outdated.
        match self.shared.insert(id, part) {
            Some(outdated) => self.shared_bytes -= outdated.bytes.len(),
            None => self.in_order.push_back((id, 0)),
        }
        let is_too_much = |parts: &Parts| {
            parts.in_order.len() > SHARED_PARTS_MAX || parts.shared_bytes > SHARED_BYTES_MAX
        };
        while is_too_much(self) && self.in_order.len() > 1 {
            self.forget_first();
        }
    }

    fn tick(&mut self) {
        self.in_order.iter_mut().for_each(|(_, ticks)| *ticks += 1);
        while self.in_order.front().is_some_and(|&(_, ticks)| ticks > SHARED_TICKS) {
            self.forget_first();
        }
        // A part's memory is given back only with the last that knows of it.
        self.alive.retain(|part| part.strong_count() > 0);
        let alive = self.alive.iter().filter_map(Weak::upgrade);
        self.alive_bytes = alive.map(|bytes| bytes.len()).sum();
        if self.is_empty() {
            *self = Parts::default();
        }
    }

    #[cfg(test)]
    pub(in crate::shard) fn alive_bytes(&self) -> usize {
        self.alive_bytes
    }

    /// Whether nothing is kept, nor anyone known to be sent anything.
    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.in_order.is_empty() && self.alive.is_empty()
    }

    fn forget_first(&mut self) {
        if let Some((id, _)) = self.in_order.pop_front() {
            let part = self.shared.remove(&id);
            self.shared_bytes -= part.map_or(0, |part| part.bytes.len());
        }
    }
}
