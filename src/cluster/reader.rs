//! The thread that reads the cluster's stream, and applies it to its node's order.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_channel::Sender;
use event_listener::Listener as _;
use redis::{RedisError, Value};

use super::appender::PAUSES;
use super::entry::{Content, Entry};
use super::joining::{begin_if_due, malformed};
use super::marks::Marks;
use super::progress::{Progress, Step};
use super::scripts::{Keys, ANNOUNCE};
use super::server::{Server, Session};
use super::{Node, Shared, NO_DOUBT};
use crate::id::EventId;
use crate::order::{ClusterItem, Order, Refused};

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
    progress: Progress,
    is_caught_up: bool,
    marks: Marks,
}

/// Reads until the hub ends. Says so once when it has come to a number.
pub(super) fn run(
    shared: &Arc<Shared>,
    mut server: Server,
    node: &Weak<dyn Node>,
    tail: u64,
    caught_up: &Sender<()>,
) {
    let (progress, marks) = (Progress::new(shared.reached()), Marks::default());
    let mut reader = Reader { shared, node, progress, is_caught_up: false, marks };
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
            if self.progress.position().last >= tail {
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
            .arg(self.progress.position().text())
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
        let steps = self.progress.take(&entry, |number| self.shared.life(session, number))?;
        self.wait_for_announcements();
        let mut outcomes = Vec::new();
        for step in steps {
            if step.is_loss() {
                self.lose(node, step);
            } else if let Step::Apply { first } = step {
                if let Content::Batch { time_ms, bytes, .. } = &entry.content {
                    let age = session.age(*time_ms);
                    outcomes = self.apply(node.order(), first, age, bytes)?;
                }
            } else {
                self.note(node.order(), step);
            }
        }
        self.shared.reach(self.progress.position());
        self.note_doubt();
        if let Content::Batch { node: name, serial, items, bytes, .. } = entry.content {
            self.marks.add(entry.id, items, bytes.len());
            if name == self.shared.producer.as_bytes() {
                self.confirm(serial, outcomes);
            }
        }
        Ok(())
    }

    /// Tells publishers what became of a batch of this node.
    fn confirm(&self, serial: u64, outcomes: Vec<Result<Option<EventId>, Refused>>) {
        let mut outcomes = outcomes.into_iter();
        let mut next = 0;
        self.shared.outbox.confirm(serial, |nth| {
            let skipped = (nth - next) as usize;
            next = nth + 1;
            outcomes.nth(skipped).unwrap_or(Ok(None))
        });
    }

    /// From here on clients come again that may lack what this node is to announce.
    fn wait_for_announcements(&self) {
        if let Some(from) = self.progress.doubtful_from() {
            self.shared.doubtful_from.fetch_min(from, Ordering::AcqRel);
        }
    }

    /// Clients of this node miss something.
    fn lose(&self, node: &dyn Node, step: Step) {
        if !self.is_caught_up {
            // It has no clients, and its shards do not run yet.
            return self.note(node.order(), step);
        }
        self.shared.counters.lost_ranges.fetch_add(1, Ordering::Relaxed);
        log::error!(
            "the cluster's stream has lost items that this node has not read; its clients come back and are told"
        );
        // A heartbeat's id must not pass a loss of which its client was not told. So clients with ids come again until
        // all are sent away. Clients whose request was being answered are sent away by the second call.
        self.shared.doubtful_from.store(0, Ordering::Release);
        node.send_clients_away();
        self.note(node.order(), step);
        node.send_clients_away();
        self.note_doubt();
    }

    fn note_doubt(&self) {
        let doubtful_from = self.progress.doubtful_from().unwrap_or(NO_DOUBT);
        self.shared.doubtful_from.store(doubtful_from, Ordering::Release);
    }

    fn note(&self, order: &Order, step: Step) {
        let continuity = &self.shared.continuity;
        match step {
            Step::Begin { epoch, first, lacks, differs } => {
                if differs {
                    // What this node has read before is not what the server has.
                    continuity.note_difference(first);
                }
                order.begin_cluster_life(epoch, first, lacks);
            }
            Step::Doubt { from, to, is_loss } => {
                if is_loss {
                    continuity.note_difference(to);
                }
                order.doubt(from, to);
            }
            Step::Pass { number } => order.pass_over(number),
            Step::Apply { .. } => {}
        }
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

    /// Says to the other nodes how far this one had read of what the server has lost.
    fn announce(&mut self, session: &mut Session, keys: &Keys) -> Result<(), RedisError> {
        for read in self.progress.unsaid() {
            let said: Vec<String> = redis::cmd("EVAL")
                .arg(ANNOUNCE)
                .arg(2)
                .arg(&keys.order)
                .arg(&keys.stream)
                .arg(&session.run)
                .arg(self.progress.position().epoch)
                .arg(read.text())
                .query(&mut session.connection)?;
            match &said[..] {
                [word, number] if word == "ok" => {
                    let number = number.parse().map_err(|_| malformed("a number that is none"))?;
                    self.progress.note_said(read, number);
                }
                // Another life has begun, whose entry is to be read before.
                _ => break,
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_by_their_lengths() {
        let found: Vec<&[u8]> = items_of(b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0c").collect();
        assert_eq!(found, [&b"ab"[..], b"", b"c"]);
        assert_eq!(items_of(b"\x09\0\0\0ab").count(), 0);
    }
}
