//! Joining a cluster: where its stream is, and what a node has to know before it reads it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::{RedisError, Value};

use super::answering;
use super::appender;
use super::entry::{Content, Entry, EntryId, NewLife};
use super::reader;
use super::recalling;
use super::scripts::{Keys, BEGIN};
use super::server::{Server, Session};
use super::{Cluster, ClusterError, ClusterOptions, Counters, Health, Joined, Node, Shared};
use crate::filter::Subscription;
use crate::id::Epoch;
use crate::options::TopicOptions;
use crate::order::{Base, ClusterItem};

/// Between tries to reach the server.
const RETRY: Duration = Duration::from_millis(200);
/// How long a node may read before it is with the others.
const CATCH_UP_MAX: Duration = Duration::from_secs(600);

impl Cluster {
    /// Finds the cluster's stream, or begins it.
    pub(crate) fn join(options: &ClusterOptions) -> Result<Joined, ClusterError> {
        let deadline = Instant::now() + options.connect_timeout;
        let mut server = Server::new(options)?;
        let producer = format!("{:016x}", fastrand::Rng::with_seed(seed()).u64(..));
        let shared = Arc::new(Shared::new(options.clone(), producer));
        loop {
            let reason = match try_to_join(&mut server, &shared) {
                Ok(joined) => return joined,
                Err(error) => error.to_string(),
            };
            if Instant::now() + RETRY > deadline {
                return Err(ClusterError::Unreachable { server: server.name, reason });
            }
            std::thread::sleep(RETRY);
        }
    }

    /// Begins to append and to read, when the hub is there. Returns when the node has read what the stream had
    /// when it joined.
    pub(crate) fn run(&self, joined: &Joined, node: Weak<dyn Node>) -> Result<(), ClusterError> {
        let unreachable = |reason: String| ClusterError::Unreachable {
            server: String::from("that this node has joined"),
            reason,
        };
        let server = || Server::new(&self.shared.options);
        let (caught_up, is_caught_up) = async_channel::bounded(1);
        let (shared, recalling_from, of) = (self.shared.clone(), server()?, node.clone());
        let recall = move || recalling::run(&shared, recalling_from, &of);
        let (shared, reading_from) = (self.shared.clone(), server()?);
        let tail = joined.tail;
        let (answering_for, answering_at) = (node.clone(), server()?);
        let read = move || reader::run(&shared, reading_from, &node, tail, &caught_up);
        let (shared, appending_to) = (self.shared.clone(), server()?);
        let append = move || appender::run(&shared, appending_to);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let spawned = thread("fanfare-read").spawn(read).and_then(|reader| {
            self.keep(reader);
            self.keep(thread("fanfare-append").spawn(append)?);
            thread("fanfare-recall").spawn(recall)
        });
        self.keep(spawned.map_err(|error| unreachable(error.to_string()))?);
        let deadline = Instant::now() + CATCH_UP_MAX;
        loop {
            let caught_up = async { is_caught_up.recv().await.ok() };
            if crate::receive::within(RETRY, caught_up).is_some() {
                // Before that it has no clients.
                let shared = self.shared.clone();
                let answer = move || answering::run(&shared, answering_at, &answering_for);
                let spawned = thread("fanfare-answer").spawn(answer);
                self.keep(spawned.map_err(|error| unreachable(error.to_string()))?);
                return Ok(());
            }
            let trouble = self.shared.reading.trouble();
            let reason = match trouble {
                Some(trouble) if trouble.since.elapsed() >= self.shared.options.connect_timeout => {
                    trouble.what
                }
                _ if Instant::now() < deadline => continue,
                _ => "the stream was not read to its end in 10 minutes".to_owned(),
            };
            self.close(Duration::ZERO);
            return Err(unreachable(reason));
        }
    }

    fn keep(&self, thread: std::thread::JoinHandle<()>) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }
}

impl Shared {
    fn new(options: ClusterOptions, producer: String) -> Shared {
        Shared {
            outbox: super::Outbox::new(options.backlog_bytes_max),
            options,
            producer,
            ends: Default::default(),
            appending: Health::default(),
            reading: Health::default(),
            counters: Counters::default(),
            reached: Default::default(),
            doubtful_from: super::NO_DOUBT.into(),
            strangers: Default::default(),
            questions: Default::default(),
            continuity: Default::default(),
            asking: Default::default(),
        }
    }

    pub(super) fn keys(&self) -> Keys {
        Keys::new(&self.options.prefix, &self.producer)
    }

    /// How far the reader has come.
    pub(super) fn reached(&self) -> EntryId {
        let (epoch, last) = *self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        EntryId { epoch, last }
    }

    pub(super) fn reach(&self, EntryId { epoch, last }: EntryId) {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = (epoch, last);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ends.load(Ordering::Acquire)
    }
}

/// What differs between processes, also those of one `fork`.
pub(super) fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one((std::process::id(), std::time::SystemTime::now()))
}

/// Begins a life if the server's present run has none, or has less than this node knows. The number of the present life.
pub(super) fn begin_if_due(session: &mut Session, shared: &Shared) -> Result<u64, RedisError> {
    let keys = shared.keys();
    let reached = shared.reached();
    let (run, epoch, last): (Option<String>, Option<u64>, Option<u64>) = redis::cmd("HMGET")
        .arg(&keys.order)
        .arg("server")
        .arg("epoch")
        .arg("last")
        .query(&mut session.connection)?;
    if let (Some(run), Some(epoch), Some(last)) = (run, epoch, last) {
        if run == session.run && (EntryId { epoch, last }) >= reached {
            return Ok(epoch);
        }
    }
    let token = Epoch::random();
    let life: u64 = redis::cmd("EVAL")
        .arg(BEGIN)
        .arg(3)
        .arg(&keys.order)
        .arg(&keys.stream)
        .arg(&keys.lives)
        .arg(&session.run)
        .arg(token.as_str())
        .arg(reached.epoch)
        .arg(reached.last)
        .query(&mut session.connection)?;
    log::info!("the cluster's life on run {} of its server has the number {life}", session.run);
    Ok(life)
}

/// The lives that the server knows, oldest first.
pub(super) fn lives(session: &mut Session, keys: &Keys) -> Result<Vec<NewLife>, RedisError> {
    let texts: Vec<Vec<u8>> =
        redis::cmd("LRANGE").arg(&keys.lives).arg(0).arg(-1).query(&mut session.connection)?;
    let lives = texts.iter().map(|text| NewLife::read(text)).collect::<Result<Vec<_>, _>>();
    lives.map_err(malformed)
}

impl Shared {
    /// A life that the server knows.
    pub(super) fn life(&self, session: &mut Session, number: u64) -> Result<NewLife, RedisError> {
        let life = lives(session, &self.keys())?.into_iter().rfind(|life| life.number == number);
        life.ok_or_else(|| malformed("an entry of a life that is not listed"))
    }
}

/// What the client library says of an answer that it could read.
pub(super) fn malformed(what: &'static str) -> RedisError {
    (redis::ErrorKind::UnexpectedReturnType, what).into()
}

fn try_to_join(
    server: &mut Server,
    shared: &Arc<Shared>,
) -> Result<Result<Joined, ClusterError>, RedisError> {
    let mut session = server.connect()?;
    begin_if_due(&mut session, shared)?;
    let keys = shared.keys();
    let connection = &mut session.connection;
    let rules: Vec<(String, Vec<u8>)> = redis::cmd("HGETALL").arg(&keys.rules).query(connection)?;
    let (last, announced): (u64, Option<u64>) =
        redis::cmd("HMGET").arg(&keys.order).arg("last").arg("announced").query(connection)?;
    let oldest: Value = redis::cmd("XRANGE")
        .arg(&keys.stream)
        .arg("-")
        .arg("+")
        .arg("COUNT")
        .arg(1)
        .query(connection)?;
    let lives = lives(&mut session, &keys)?;
    let begins =
        Entry::read_all(oldest).and_then(|oldest| Begin::find(oldest.first(), &lives, last));
    let begins = match begins {
        Ok(begins) => begins,
        Err(reason) => return Ok(Err(ClusterError::Malformed { reason: reason.to_owned() })),
    };
    shared.reach(EntryId { epoch: begins.life.number, last: begins.reached });
    shared.continuity.note_difference(begins.first.saturating_sub(1));
    let earlier: Vec<NewLife> =
        lives.iter().copied().filter(|life| life.number <= begins.life.number).collect();
    let base = Base {
        epoch: begins.life.epoch,
        lives: NewLife::earlier(&earlier),
        first: begins.first,
        doubtful_to: announced.unwrap_or(0),
    };
    let rules = rules.iter().filter_map(|(_, item)| rule_of(item)).collect();
    Ok(Ok(Joined { base, rules, shared: shared.clone(), tail: last }))
}

fn rule_of(item: &[u8]) -> Option<(Subscription, TopicOptions)> {
    match ClusterItem::read(item) {
        Ok(ClusterItem::Rule { subscription, options: Some(options) }) => {
            Some((subscription, options))
        }
        _ => {
            log::warn!("a rule of the cluster is not of this version, and is left out");
            None
        }
    }
}

/// Where a node begins to read.
pub(super) struct Begin {
    pub(super) life: NewLife,
    /// The number of the first item that it gets.
    pub(super) first: u64,
    /// The number after which it reads.
    pub(super) reached: u64,
}

impl Begin {
    /// From the stream's oldest entry, if it has any, the lives that are listed, and the last number that was given.
    pub(super) fn find(
        oldest: Option<&Entry>,
        lives: &[NewLife],
        last: u64,
    ) -> Result<Begin, &'static str> {
        let of_number = |number: u64| {
            let life = lives.iter().rfind(|life| life.number == number);
            life.copied().ok_or("an entry of a life that is not listed")
        };
        match oldest {
            Some(Entry { content: Content::Life(life), .. }) => {
                Ok(Begin { life: *life, first: life.first, reached: life.first })
            }
            Some(Entry { id, content }) => {
                let items = match content {
                    Content::Batch { items, .. } => *items,
                    Content::Life(_) | Content::Reached(_) => 1,
                };
                let first = (id.last + 1).saturating_sub(u64::from(items));
                Ok(Begin { life: of_number(id.epoch)?, first, reached: first.saturating_sub(1) })
            }
            None => {
                let life = lives.last().copied().ok_or("a cluster without a life")?;
                let reached = life.first.max(last);
                Ok(Begin { life, first: reached, reached })
            }
        }
    }
}
