//! The thread that reads the cluster's stream once more, for clients that lack what this node has forgotten.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisError, ServerErrorKind, Value};

use super::appender::PAUSES;
use super::entry::{Content, Entry, EntryId, NewLife};
use super::joining::{lives, malformed};
use super::reader::items_of;
use super::recall::{Question, Recall, Recalled, RecalledEvents};
use super::server::{is_passing, Server, Session};
use super::{Node, Shared, PATIENCE};
use crate::envelope::Envelope;
use crate::filter::tree::FilterTree;
use crate::filter::Subscription;
use crate::frame::{Draft, Frame};
use crate::order::{ClusterItem, Keeping, NUMBERS_PER_ITEM};
use crate::seldom::Seldom;
use crate::topic::Topic;

/// How long it waits for a question before it looks whether the node ends.
const IDLE: Duration = Duration::from_millis(250);
/// Entries that are read for one answer, and their bytes, when few of their events are wanted: a client of a rare
/// topic takes turns with the others.
const SCAN_ENTRIES_MAX: usize = 4096;
const SCAN_BYTES_MAX: usize = 4 << 20;
/// Entries that are asked for at a time: as many more as those of the last time were small.
const ENTRIES_MIN: usize = 8;
const ENTRIES_MAX: usize = 64;
/// An answer with fewer bytes was small.
const FEW_BYTES: usize = 128 << 10;

/// Log lines whose rate clients decide.
static NOT_RECALLED: Seldom = Seldom::new();

/// Answers questions until the hub ends.
pub(super) fn run(shared: &Arc<Shared>, mut server: Server, node: &Weak<dyn Node>) {
    let mut session = None;
    let mut fails = 0;
    while !shared.is_ending() {
        let questions = shared.questions.take(IDLE);
        let Some(first) = questions.first() else { continue };
        if first.age() >= PATIENCE {
            answer_all(questions, &Recalled::Unanswered);
            continue;
        }
        let Some(node) = node.upgrade() else { return };
        let mut ask = || {
            let answer = answer(shared, &mut server, &mut session, &*node, &first.recall);
            let was_cut = answer.as_ref().is_err_and(|error| !error.is_timeout());
            if answer.is_err() {
                session = None;
            }
            (answer, was_cut)
        };
        let answer = match ask() {
            // The server may have closed the connection long ago: nothing is heard of that until it is used.
            (Err(error), true) if !is_final(&error) => ask().0,
            (answer, _) => answer,
        };
        if let Err(error) = &answer {
            NOT_RECALLED.log(|more| {
                log::warn!("older events were not read from the cluster's stream: {error}{more}");
            });
        }
        match answer {
            Ok(recalled) => {
                fails = 0;
                answer_all(questions, &recalled);
            }
            Err(error) if is_final(&error) => answer_all(questions, &Recalled::Refused),
            // Those that wait would wait as long again, each.
            Err(_) => {
                answer_all(questions, &Recalled::Unanswered);
                answer_all(shared.questions.take_all(), &Recalled::Unanswered);
                shared.pause(PAUSES[fails.min(PAUSES.len() - 1)]);
                fails += 1;
            }
        }
    }
}

fn answer_all(questions: Vec<Question>, recalled: &Recalled) {
    questions.into_iter().for_each(|question| question.answer(recalled.clone()));
}

/// Whether the server has answered, and would answer the same again.
fn is_final(error: &RedisError) -> bool {
    let says_no =
        matches!(error.kind(), ErrorKind::Server(kind) if kind != ServerErrorKind::ReadOnly);
    let is_malformed = matches!(error.kind(), ErrorKind::UnexpectedReturnType);
    (says_no || is_malformed) && !is_passing(error)
}

fn answer(
    shared: &Shared,
    server: &mut Server,
    session: &mut Option<Session>,
    node: &dyn Node,
    recall: &Recall,
) -> Result<Recalled, RedisError> {
    // In this order: the reader notes a life, and how the stream differs, before it says how far it has come.
    let end = shared.reached();
    let after = recall.after / NUMBERS_PER_ITEM;
    let differs_to = shared.continuity.differs_to();
    if after < differs_to {
        return Ok(Recalled::Gone { to: differs_to * NUMBERS_PER_ITEM });
    }
    let session = match session {
        Some(session) => session,
        None => session.insert(server.connect()?),
    };
    let keys = shared.keys();
    let order: (Option<String>, Option<u64>) = redis::cmd("HMGET")
        .arg(&keys.order)
        .arg("server")
        .arg("epoch")
        .query(&mut session.connection)?;
    if order.0.as_ref() != Some(&session.run) || order.1 < Some(end.epoch) {
        let what = "another life of the stream has begun, or is about to begin";
        return Err((ErrorKind::Server(ServerErrorKind::TryAgain), what).into());
    }
    let lives = lives(session, &keys)?;
    let scan = Scan {
        shared,
        recall,
        wanted: Wanted::new(&recall.wanted),
        keeping: node.order().keeping(),
        lives,
        end,
        at: after,
        frames: Vec::new(),
        topics: Vec::new(),
        bytes: 0,
        withheld: None,
    };
    scan.run(session, &keys.stream)
}

/// One way along the stream, from behind the client's number.
struct Scan<'a> {
    shared: &'a Shared,
    recall: &'a Recall,
    wanted: Wanted<'a>,
    keeping: Keeping,
    lives: Vec<NewLife>,
    /// What the node has read.
    end: EntryId,
    /// The number in the stream up to which everything that is wanted is here.
    at: u64,
    frames: Vec<Frame>,
    /// A topic of each frame.
    topics: Vec<Topic>,
    bytes: usize,
    withheld: Option<(u64, u64)>,
}

/// How a scan goes on behind an entry.
enum Next {
    More,
    /// The answer is large enough.
    Full,
    /// Items between the last entry and this one are not there any more, up to this number.
    Hole(u64),
}

impl Scan<'_> {
    fn run(mut self, session: &mut Session, stream: &str) -> Result<Recalled, RedisError> {
        let (mut count, mut left, mut bytes_left) = (ENTRIES_MIN, SCAN_ENTRIES_MAX, SCAN_BYTES_MAX);
        let (first, until) = (self.at, Instant::now() + self.shared.options.answer_timeout);
        let has_more = |scan: &Scan<'_>| scan.at < scan.end.last;
        while has_more(&self) && left > 0 && bytes_left > 0 && Instant::now() < until {
            let entries: Value = redis::cmd("XRANGE")
                .arg(stream)
                .arg(self.start().text())
                .arg(self.end.text())
                .arg("COUNT")
                .arg(count.min(left))
                .query(&mut session.connection)?;
            let entries = Entry::read_all(entries).map_err(malformed)?;
            if entries.is_empty() {
                let end = self.end.last;
                return Ok(self.end_before_hole(first, end));
            }
            left -= entries.len().min(left);
            let mut bytes = 0;
            for entry in entries {
                bytes += entry.bytes();
                match self.take(session, entry).map_err(malformed)? {
                    Next::More => {}
                    Next::Full => return Ok(self.events()),
                    Next::Hole(to) => return Ok(self.end_before_hole(first, to)),
                }
            }
            bytes_left = bytes_left.saturating_sub(bytes);
            count = match bytes < FEW_BYTES {
                true => (count * 2).min(ENTRIES_MAX),
                false => (count / 2).max(ENTRIES_MIN),
            };
        }
        Ok(self.events())
    }

    /// Where the entry is, or would be, that has the next item.
    fn start(&self) -> EntryId {
        let next = self.at + 1;
        let life = self.lives.iter().rfind(|life| life.first < next);
        match life {
            Some(life) => EntryId { epoch: life.number, last: next },
            // It is of a life that is not listed any more, and the stream's oldest entry is behind it.
            None => EntryId { epoch: 0, last: 0 },
        }
    }

    /// What was found before a hole; if that is nothing, how far the hole goes.
    fn end_before_hole(self, first: u64, to: u64) -> Recalled {
        match self.at > first {
            true => self.events(),
            false => Recalled::Gone { to: to * NUMBERS_PER_ITEM },
        }
    }

    fn take(&mut self, session: &Session, entry: Entry) -> Result<Next, &'static str> {
        let EntryId { epoch, last } = entry.id;
        match entry.content {
            Content::Life(life) if life.before_last <= self.at => self.at = last,
            Content::Life(_) => return Ok(Next::Hole(last)),
            Content::Reached(_) if last <= self.at + 1 => self.at = last.max(self.at),
            Content::Reached(_) => return Ok(Next::Hole(last)),
            Content::Batch { items, time_ms, bytes, .. } => {
                let first = (last + 1).saturating_sub(u64::from(items));
                if first > self.at + 1 {
                    return Ok(Next::Hole(first - 1));
                }
                let life = self.lives.iter().rfind(|life| life.number == epoch);
                let life = *life.ok_or("an entry of a life that is not listed")?;
                let age = u64::try_from(session.age(time_ms).as_nanos()).unwrap_or(u64::MAX);
                for (number, item) in (first..).zip(items_of(&bytes)) {
                    if number <= self.at {
                        continue;
                    }
                    if !self.take_item(&life, number, age, item) {
                        return Ok(Next::Full);
                    }
                    self.at = number;
                }
                self.at = last;
            }
        }
        Ok(Next::More)
    }

    /// Takes the item of a number; false if the answer is full without it.
    fn take_item(&mut self, life: &NewLife, number: u64, age_ns: u64, item: &[u8]) -> bool {
        let (topics, draft): (Arc<[Topic]>, Draft) = match ClusterItem::read(item) {
            Ok(ClusterItem::Event { topics, draft, .. }) => (topics, draft),
            Ok(ClusterItem::Finished { topic, last: Some(last) }) => ([topic].into(), last),
            // The reader has said that it does not know it.
            Ok(ClusterItem::Finished { .. } | ClusterItem::Rule { .. }) | Err(_) => return true,
        };
        let mut wanted = topics.iter().filter(|topic| self.wanted.has(topic)).peekable();
        if wanted.peek().is_none() || self.shared.continuity.is_refused(number) {
            return true;
        }
        let Some(topic) = wanted.find(|topic| self.keeping.allows(topic, age_ns)) else {
            let before = self.withheld.map_or(0, |(count, _)| count);
            self.withheld = Some((before + 1, number));
            return true;
        };
        let (is_first, len) = (self.frames.is_empty(), draft.len());
        if !is_first && self.bytes + len > self.recall.bytes_max {
            return false;
        }
        self.bytes += len;
        self.topics.push(topic.clone());
        self.frames.push(draft.stamp(life.epoch, number * NUMBERS_PER_ITEM, 0));
        true
    }

    fn events(self) -> Recalled {
        let Scan { recall: Recall { wire, envelope, .. }, frames, topics, .. } = &self;
        let mut buffer = Vec::new();
        let bytes = match (&frames[..], envelope) {
            // An empty chunk would be the end of the stream.
            ([], _) => &[],
            (frames, Envelope::None) => Frame::gather(frames.iter(), *wire, &mut buffer),
            (frames, Envelope::Json) => {
                Frame::gather_json(frames.iter().zip(topics), *wire, &mut buffer)
            }
        };
        Recalled::Events(RecalledEvents {
            bytes: bytes.into(),
            count: frames.len() as u64,
            to: self.at * NUMBERS_PER_ITEM,
            is_end: self.at >= self.end.last,
            withheld: self.withheld.map(|(count, last)| (count, last * NUMBERS_PER_ITEM)),
        })
    }
}

/// What a client is subscribed to, to be looked up.
struct Wanted<'a> {
    names: HashSet<&'a Topic>,
    filters: FilterTree<()>,
}

impl Wanted<'_> {
    fn new(subscriptions: &[Subscription]) -> Wanted<'_> {
        let mut wanted = Wanted { names: HashSet::new(), filters: FilterTree::default() };
        for subscription in subscriptions {
            match subscription {
                Subscription::Topic(topic) => _ = wanted.names.insert(topic),
                Subscription::Filter(filter) => {
                    _ = wanted.filters.get_or_insert_with(filter, || ())
                }
            }
        }
        wanted
    }

    fn has(&self, topic: &Topic) -> bool {
        let mut is_any = self.names.contains(topic);
        if !is_any {
            self.filters.for_each_match(topic, |_, ()| is_any = true);
        }
        is_any
    }
}
