//! The thread that reads the cluster's stream, and applies it to its node's order.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_channel::Sender;
use event_listener::Listener as _;
use redis::{RedisError, Value};

use super::appender::PAUSES;
use super::entry::{Content, Entry, EntryId, NewLife, Reached};
use super::joining::{begin_if_due, lives, malformed};
use super::scripts::{Keys, ANNOUNCE};
use super::server::{Server, Session};
use super::{Node, Shared};
use crate::id::EventId;
use crate::order::{ClusterItem, Order, Refused};

/// The lives before which it knows how far it had read.
const LIVES_MAX: usize = 64;
/// How long the server waits for a new entry, at most, before it answers that there is none. Then the reader looks
/// whether its life is still the stream's.
const BLOCK_MAX: Duration = Duration::from_millis(250);
/// Entries of one answer: some MiB at most.
const ENTRIES_MAX: usize = 16;
/// How long it waits for space in this node's backlog before it looks whether the node ends.
const FULL_WAIT: Duration = Duration::from_millis(50);
/// Items that are older by the server's clock have their own time, others that at which they are read.
const AGE_MIN: Duration = Duration::from_secs(1);

/// How long the server waits for new entries of a stream: well less than a node waits for its answer.
pub(super) fn block(options: &super::ClusterOptions) -> Duration {
    BLOCK_MAX.min(options.answer_timeout / 2)
}

/// Why it stops to read.
enum Stop {
    /// The hub is closed or gone.
    Ended,
    Failed(RedisError),
}

impl From<RedisError> for Stop {
    fn from(error: RedisError) -> Stop {
        Stop::Failed(error)
    }
}

struct Reader<'a> {
    shared: &'a Shared,
    node: &'a Weak<dyn Node>,
    /// Behind which entry it goes on.
    position: EntryId,
    is_caught_up: bool,
    /// How far it had read before the newest lives began.
    before: VecDeque<Reached>,
    /// What it has to tell the other nodes of that.
    announcements: Vec<Reached>,
    marks: Marks,
    taken: Taken,
}

/// Reads until the hub ends. Says so once when it has come to a number.
pub(super) fn run(
    shared: &Arc<Shared>,
    mut server: Server,
    node: &Weak<dyn Node>,
    tail: u64,
    caught_up: &Sender<()>,
) {
    let (epoch, last) =
        (shared.life.load(Ordering::Relaxed), shared.reached.load(Ordering::Relaxed));
    let position = EntryId { epoch, last };
    let (marks, taken) = (Marks::default(), Taken::default());
    let mut reader = Reader {
        shared,
        node,
        position,
        marks,
        taken,
        is_caught_up: false,
        before: VecDeque::new(),
        announcements: Vec::new(),
    };
    let mut fails = 0;
    while !shared.is_ending() {
        match reader.read_by_one_connection(&mut server, tail, caught_up, &mut fails) {
            Stop::Ended => return,
            Stop::Failed(error) => {
                shared.note_trouble(&shared.reading, "read", &error);
                shared.pause(PAUSES[fails.min(PAUSES.len() - 1)]);
                fails += 1;
            }
        }
    }
}

impl Reader<'_> {
    fn read_by_one_connection(
        &mut self,
        server: &mut Server,
        tail: u64,
        caught_up: &Sender<()>,
        fails: &mut usize,
    ) -> Stop {
        let mut session = match server.connect() {
            Ok(session) => session,
            Err(error) => return Stop::Failed(error),
        };
        loop {
            match self.read_some(&mut session) {
                Ok(()) => {
                    *fails = 0;
                    self.shared.note_well(&self.shared.reading, "read");
                }
                Err(stop) => return stop,
            }
            if self.position.last >= tail {
                self.is_caught_up = true;
                _ = caught_up.try_send(());
            }
            if self.shared.is_ending() {
                return Stop::Ended;
            }
        }
    }

    /// Waits for new entries for a bounded time, and applies them.
    fn read_some(&mut self, session: &mut Session) -> Result<(), Stop> {
        let keys = self.shared.keys();
        self.announce(session, &keys)?;
        let asked = Instant::now();
        let answer: Value = redis::cmd("XREAD")
            .arg("BLOCK")
            .arg(block(&self.shared.options).as_millis() as u64)
            .arg("COUNT")
            .arg(ENTRIES_MAX)
            .arg("STREAMS")
            .arg(&keys.stream)
            .arg(self.position.text())
            .query(&mut session.connection)?;
        let entries = Entry::read_new(answer).map_err(malformed)?;
        if entries.is_empty() {
            begin_if_due(session, self.shared)?;
            self.shared.strangers.note_end(asked);
            return Ok(());
        }
        let is_end = entries.len() < ENTRIES_MAX;
        for entry in entries {
            let node = self.node.upgrade().ok_or(Stop::Ended)?;
            self.take(session, &*node, entry)?;
        }
        if is_end {
            self.shared.strangers.note_end(asked);
        }
        if let Some(id) = self.marks.excess(&self.shared.options) {
            () = redis::cmd("XTRIM")
                .arg(&keys.stream)
                .arg("MINID")
                .arg("~")
                .arg(id.text())
                .query::<i64>(&mut session.connection)
                .map(drop)?;
        }
        Ok(())
    }

    fn take(&mut self, session: &mut Session, node: &dyn Node, entry: Entry) -> Result<(), Stop> {
        match entry.content {
            Content::Life(life) => self.begin_life(node, &life),
            Content::Reached(reached) => self.compare(node, reached, entry.id),
            Content::Batch { node: name, serial, items, time_ms, bytes } => {
                let first = (entry.id.last + 1).saturating_sub(u64::from(items));
                if entry.id.epoch != self.position.epoch {
                    // The entry with which its life began is gone already.
                    let lives = lives(session, &self.shared.keys())?;
                    let life = lives.iter().rfind(|life| life.number == entry.id.epoch);
                    let life =
                        life.ok_or_else(|| malformed("an entry of a life that is not listed"))?;
                    self.begin_life(node, life);
                }
                if first > self.position.last + 1 {
                    self.lose(node, first - 1);
                }
                self.marks.add(entry.id, items, bytes.len());
                let age = session.age(time_ms);
                let outcomes = match self.taken.has(&name, serial) {
                    // The server had lost it, and was given it again: here it has its number. A client that has come
                    // from a node without it, with an id in between, would not get it.
                    true => {
                        self.shared.continuity.note_difference(entry.id.last);
                        self.lose(node, entry.id.last);
                        Vec::new()
                    }
                    false => self.apply(node.order(), first, age, &bytes)?,
                };
                self.taken.note(&name, serial, entry.id.last);
                if name == self.shared.producer.as_bytes() {
                    let mut outcomes = outcomes.into_iter();
                    let mut next = 0;
                    self.shared.outbox.confirm(serial, |nth| {
                        let skipped = (nth - next) as usize;
                        next = nth + 1;
                        outcomes.nth(skipped).unwrap_or(Ok(None))
                    });
                }
            }
        }
        self.reach(entry.id);
        Ok(())
    }

    fn reach(&mut self, id: EntryId) {
        self.position = id;
        self.shared.life.store(id.epoch, Ordering::Relaxed);
        self.shared.reached.store(id.last, Ordering::Release);
    }

    /// Applies a batch's items, and says what became of each.
    fn apply(
        &self,
        order: &Order,
        first: u64,
        age: Duration,
        bytes: &[u8],
    ) -> Result<Vec<Result<Option<EventId>, Refused>>, Stop> {
        let age_ns = match age < AGE_MIN {
            true => 0,
            false => u64::try_from(age.as_nanos()).unwrap_or(u64::MAX),
        };
        let mut outcomes = Vec::new();
        for (number, item) in (first..).zip(items_of(bytes)) {
            let counters = &self.shared.counters;
            let outcome = loop {
                let item = match ClusterItem::read(item) {
                    Ok(item) => item,
                    Err(error) => {
                        log::error!("an item of the cluster's stream is left out: {}", error.0);
                        break Ok(None);
                    }
                };
                match order.apply(number, age_ns, item) {
                    // Every node waits for its own shards alone.
                    Err(Refused::Full(_, space)) => {
                        if self.shared.is_ending() {
                            return Err(Stop::Ended);
                        }
                        _ = space.wait_timeout(FULL_WAIT);
                    }
                    Err(Refused::Closed) => return Err(Stop::Ended),
                    outcome => break outcome,
                }
            };
            counters.read_items.fetch_add(1, Ordering::Relaxed);
            if outcome.is_err() {
                counters.refused_items.fetch_add(1, Ordering::Relaxed);
                self.shared.continuity.note_refused(number);
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    fn begin_life(&mut self, node: &dyn Node, life: &NewLife) {
        // Of a life that it did not see begin, a node cannot know what it has missed.
        let lost_to = match life.before == self.position.epoch {
            true => life.reached.max(life.before_last),
            false => life.first - 1,
        };
        let had = self.position.last;
        if had > life.reached.max(life.before_last) && self.announcements.len() < LIVES_MAX {
            self.announcements.push(Reached { life: life.number, last: had });
        }
        if self.before.len() == LIVES_MAX {
            self.before.pop_front();
        }
        self.before.push_back(Reached { life: life.number, last: had });
        let misses = lost_to > had;
        if misses || had != life.before_last {
            // What this node has read before is not what the server has.
            self.shared.continuity.note_difference(life.first);
        }
        if misses {
            self.note_lost();
            self.send_clients_away(node);
        }
        node.order().begin_cluster_life(life.epoch, life.first, lost_to);
        self.reach(EntryId { epoch: life.number, last: life.first });
        if misses {
            self.send_clients_away(node);
        }
    }

    /// Says to the other nodes how far this one had read of what the server has lost: the node that began the
    /// life may have read less.
    fn announce(&mut self, session: &mut Session, keys: &Keys) -> Result<(), RedisError> {
        while let Some(reached) = self.announcements.last() {
            let said: Vec<String> = redis::cmd("EVAL")
                .arg(ANNOUNCE)
                .arg(2)
                .arg(&keys.order)
                .arg(&keys.stream)
                .arg(&session.run)
                .arg(self.position.epoch)
                .arg(reached.text())
                .query(&mut session.connection)?;
            if said.first().is_none_or(|word| word != "ok") {
                break;
            }
            self.announcements.pop();
        }
        Ok(())
    }

    /// Compares how far another node had read before a life began with how far this one had.
    fn compare(&mut self, node: &dyn Node, reached: Reached, at: EntryId) {
        let before = self.before.iter_mut().find(|before| before.life == reached.life);
        // One that has joined since has read none of it.
        let misses = before.as_ref().is_none_or(|before| reached.last > before.last);
        if let Some(before) = before {
            before.last = before.last.max(reached.last);
        }
        match misses {
            true => self.lose(node, at.last),
            false => node.order().pass_over(at.last),
        }
    }

    /// The server does not have what comes next any more.
    fn lose(&mut self, node: &dyn Node, lost_to: u64) {
        self.note_lost();
        self.shared.continuity.note_difference(lost_to);
        // Those that came in between are sent away again: nobody is told by a heartbeat of a number that is
        // behind what it misses.
        self.send_clients_away(node);
        node.order().note_lost(lost_to);
        self.send_clients_away(node);
    }

    /// A node that joins has no clients, and its shards do not run yet.
    fn send_clients_away(&self, node: &dyn Node) {
        if self.is_caught_up {
            node.send_clients_away();
        }
    }

    fn note_lost(&self) {
        self.shared.counters.lost_ranges.fetch_add(1, Ordering::Relaxed);
        log::error!(
            "the cluster's stream has lost items that this node has not read; its clients come back and are told"
        );
    }
}

/// The items of a batch, each with its length in front.
pub(super) fn items_of(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (item, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        bytes = rest;
        Some(item)
    })
}

/// The last batch that was taken of each node.
#[derive(Default)]
struct Taken(HashMap<Vec<u8>, TakenBatch>);

struct TakenBatch {
    serial: u64,
    /// The number of its last item.
    number: u64,
}

impl Taken {
    /// The most nodes that are known: each start of a node is another one.
    const NODES_MAX: usize = 1024;

    fn has(&self, node: &[u8], serial: u64) -> bool {
        self.0.get(node).is_some_and(|taken| serial <= taken.serial)
    }

    fn note(&mut self, node: &[u8], serial: u64, number: u64) {
        if let Some(taken) = self.0.get_mut(node) {
            *taken = TakenBatch { serial: serial.max(taken.serial), number };
            return;
        }
        if self.0.len() == Taken::NODES_MAX {
            // The one that has been silent for longest.
            let oldest = self.0.iter().min_by_key(|(_, taken)| taken.number);
            let oldest = oldest.map(|(node, _)| node.clone());
            oldest.and_then(|node| self.0.remove(&node));
        }
        self.0.insert(node.to_vec(), TakenBatch { serial, number });
    }
}

/// How much the stream has, at some of its entries, so that it can be cut.
#[derive(Default)]
struct Marks {
    marks: VecDeque<Mark>,
    items: u64,
    bytes: u64,
}

struct Mark {
    id: EntryId,
    /// What was read up to it.
    items: u64,
    bytes: u64,
}

impl Marks {
    /// Marks in all that is kept.
    const STEPS: u64 = 64;

    fn add(&mut self, id: EntryId, items: u32, bytes: usize) {
        self.items += u64::from(items);
        self.bytes += bytes as u64;
        self.marks.push_back(Mark { id, items: self.items, bytes: self.bytes });
    }

    /// From which entry on the stream is to be kept, if it has too much by a step.
    fn excess(&mut self, options: &super::ClusterOptions) -> Option<EntryId> {
        let (events_max, bytes_max) = (options.stream_events_max, options.stream_bytes_max);
        let oldest = self.marks.front()?;
        let items = self.items - oldest.items;
        let bytes = self.bytes - oldest.bytes;
        let is_due = items > events_max + events_max / Marks::STEPS
            || bytes > bytes_max + bytes_max / Marks::STEPS;
        if !is_due {
            return None;
        }
        let (all_items, all_bytes) = (self.items, self.bytes);
        let is_excess = |mark: &Mark| {
            all_items - mark.items >= events_max || all_bytes - mark.bytes >= bytes_max
        };
        while self.marks.front().is_some_and(is_excess) {
            self.marks.pop_front();
        }
        self.marks.front().map(|mark| mark.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterOptions;

    #[test]
    fn the_stream_is_cut_by_steps_and_keeps_what_it_has_to() {
        let options = ClusterOptions::new("redis://host").stream_events_max(1_000);
        let mut marks = Marks::default();
        let mut cuts = Vec::new();
        for last in (10..=3_000).step_by(10) {
            marks.add(EntryId { epoch: 1, last }, 10, 100);
            cuts.extend(marks.excess(&options).map(|id| (last, id.last)));
        }
        assert!((50..200).contains(&cuts.len()), "{}", cuts.len());
        for (last, cut) in cuts {
            // The entry of the cut is kept as well.
            assert!((1_000..=1_010).contains(&(last - (cut - 10))), "{last} {cut}");
        }
        assert!(marks.marks.len() <= 103, "{}", marks.marks.len());
    }

    #[test]
    fn a_batch_that_was_taken_is_known_and_the_nodes_are_bounded() {
        let mut taken = Taken::default();
        taken.note(b"a", 2, 10);
        assert!(taken.has(b"a", 1) && taken.has(b"a", 2));
        assert!(!taken.has(b"a", 3) && !taken.has(b"b", 1));
        for number in 0..Taken::NODES_MAX as u64 {
            taken.note(&number.to_le_bytes(), 1, 11 + number);
        }
        assert_eq!(taken.0.len(), Taken::NODES_MAX);
        assert!(!taken.has(b"a", 1), "it was silent for longest");
    }

    #[test]
    fn items_are_found_by_their_lengths() {
        let found: Vec<&[u8]> = items_of(b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0c").collect();
        assert_eq!(found, [&b"ab"[..], b"", b"c"]);
        assert_eq!(items_of(b"\x09\0\0\0ab").count(), 0);
    }
}
