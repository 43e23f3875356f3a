//! The thread that answers questions to all nodes, and shows that its node is there. It has a connection of its own,
//! so that neither a question nor what its user may not do concerns the streams.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use redis::{RedisError, Value};

use super::appender::PAUSES;
use super::asking::{entries_of, PlainEntry};
use super::found::Question;
use super::joining::malformed;
use super::question::write_answer;
use super::reader::block;
use super::scripts::{Keys, ANSWER, ENROL};
use super::server::{Server, Session};
use super::{ClusterConnections, Node, Shared};
use crate::receive;

/// How often a node shows that it is there.
const SHOW: Duration = Duration::from_secs(1);
/// How long it waits for the shards before it looks whether it has to show that the node is there.
const LOOK: Duration = Duration::from_millis(250);
/// Questions of one answer; each is about 1 KiB at most.
const QUESTIONS_AT_ONCE: usize = 8;
/// After which time answers that nobody has taken are gone.
const ANSWERS_KEPT: Duration = Duration::from_secs(15);

/// A question as it is asked.
struct Asked {
    name: String,
    question: Question,
    /// Until when an answer is waited for.
    deadline: Instant,
}

/// Answers until the hub ends.
pub(super) fn run(shared: &Arc<Shared>, mut server: Server, node: &Weak<dyn Node>) {
    let (mut fails, mut is_told) = (0, false);
    while !shared.is_ending() {
        let mut answerer = Answerer { shared, node, is_told };
        let Err(error) = answerer.serve(&mut server, &mut fails) else { return };
        is_told = answerer.is_told;
        if fails == 0 {
            log::info!(
                "this node does not answer the cluster's questions ({error}); it tries again"
            );
        }
        shared.pause(PAUSES[fails.min(PAUSES.len() - 1)]);
        fails += 1;
    }
}

struct Answerer<'a> {
    shared: &'a Shared,
    node: &'a Weak<dyn Node>,
    /// Whether the log has that the server refuses what a node needs for this.
    is_told: bool,
}

impl Answerer<'_> {
    /// Answers by one connection; ends in order when the hub does.
    fn serve(&mut self, server: &mut Server, fails: &mut usize) -> Result<(), RedisError> {
        let mut session = server.connect()?;
        let keys = self.shared.keys();
        // Questions that were asked while there was no connection are answered yet; who asked takes an answer once.
        let since = ClusterConnections::TIME_MAX.as_millis() as u64;
        let mut position = session.now_ms().saturating_sub(since).to_string().into_bytes();
        let mut shown = self.show(&mut session, &keys)?;
        let block = block(&self.shared.options);
        loop {
            if self.shared.is_ending() {
                return self.sign_off(&mut session, &keys);
            }
            if shown.elapsed() >= SHOW {
                shown = self.show(&mut session, &keys)?;
            }
            let answer: Value = redis::cmd("XREAD")
                .arg("BLOCK")
                .arg(block.as_millis() as u64)
                .arg("COUNT")
                .arg(QUESTIONS_AT_ONCE)
                .arg("STREAMS")
                .arg(&keys.questions)
                .arg(&position)
                .query(&mut session.connection)?;
            *fails = 0;
            let entries =
                entries_of(answer).ok_or_else(|| malformed("questions that are no list"))?;
            for entry in entries {
                let asked = self.read(&session, &entry);
                position = entry.0;
                let Some(asked) = asked else { continue };
                let Some(node) = self.node.upgrade() else { return Ok(()) };
                self.answer(&mut session, &keys, &*node, &asked, &mut shown)?;
            }
        }
    }

    /// Shows that the node is there.
    fn show(&self, session: &mut Session, keys: &Keys) -> Result<Instant, RedisError> {
        let time_ms: u64 = redis::cmd("EVAL")
            .arg(ENROL)
            .arg(1)
            .arg(&keys.nodes)
            .arg(&self.shared.producer)
            .arg(ClusterConnections::NODE_TIME_MAX.as_millis() as u64)
            .query(&mut session.connection)?;
        session.set_time(time_ms);
        Ok(Instant::now())
    }

    /// Says that the node is no more one of the cluster's.
    fn sign_off(&self, session: &mut Session, keys: &Keys) -> Result<(), RedisError> {
        redis::cmd("HDEL")
            .arg(&keys.nodes)
            .arg(&self.shared.producer)
            .query::<i64>(&mut session.connection)
            .map(drop)
    }

    /// A question that this node has to answer, and in time.
    fn read(&self, session: &Session, (id, fields): &PlainEntry) -> Option<Asked> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let [q, name, n, asker, w, wait_ms, b, bytes] = &fields[..] else { return None };
        if [&**q, n, w, b] != [b"q", b"n", b"w", b"b"] || *asker == self.shared.producer.as_bytes()
        {
            return None;
        }
        let name = text(name)
            .filter(|name| name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let asked_ms: u64 = text(id)?.split('-').next()?.parse().ok()?;
        let wait = Duration::from_millis(text(wait_ms)?.parse().ok()?);
        let left = wait.min(ClusterConnections::TIME_MAX).checked_sub(session.age(asked_ms))?;
        match Question::read(bytes) {
            Ok(question) => {
                let deadline = Instant::now() + left;
                Some(Asked { name: name.to_owned(), question, deadline })
            }
            Err(error) => {
                log::info!("a question to the cluster's nodes is left out: {}", error.0);
                None
            }
        }
    }

    /// Answers a question, unless the node's shards take too long.
    fn answer(
        &mut self,
        session: &mut Session,
        keys: &Keys,
        node: &dyn Node,
        asked: &Asked,
        shown: &mut Instant,
    ) -> Result<(), RedisError> {
        let mut census = pin!(async { Some(node.find(&asked.question).await) });
        let census = loop {
            let left = asked.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.shared.is_ending() {
                return Ok(());
            }
            match receive::within(left.min(LOOK), census.as_mut()) {
                Some(Some(census)) => break census,
                Some(None) => return Ok(()),
                None if shown.elapsed() >= SHOW => *shown = self.show(session, keys)?,
                None => {}
            }
        };
        let answered = redis::cmd("EVAL")
            .arg(ANSWER)
            .arg(1)
            .arg(Keys::answers(&self.shared.options.prefix, &asked.name))
            .arg(ANSWERS_KEPT.as_secs())
            .arg(&self.shared.producer)
            .arg(write_answer(&census))
            .query::<Vec<String>>(&mut session.connection);
        match answered {
            // The connection serves on; who asked is told that an answer is missing.
            Err(error) if !error.is_io_error() => {
                if !std::mem::replace(&mut self.is_told, true) {
                    log::warn!(
                        "this node may not answer the cluster's questions ({error}); docs/cluster.md \
                         lists what its user has to be allowed"
                    );
                }
                Ok(())
            }
            answered => answered.map(drop),
        }
    }
}
