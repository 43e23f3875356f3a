//! Asking all nodes of a cluster. Each question has a thread for its time, so that whoever asks waits no longer than
//! it wants to, whatever the server and the network do.
//!
//! The question goes into a stream that all nodes read ([`answering`](super::answering)); their answers come back
//! in a stream of the question's own, which expires. Who the nodes are is in a hash, where each shows again and
//! again that it is there: so one that is cut off is missed, and not left out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_channel::Sender;
use redis::{RedisError, Value};

use super::found::{Gathering, Question};
use super::joining::{malformed, seed};
use super::question::read_answer;
use super::reader::block;
use super::scripts::{Keys, ASK};
use super::server::{Server, Session};
use super::{Asked, Cluster, ClusterConnections, Node, Shared};
use crate::lifecycle::AdminError;
use crate::receive;

/// Questions that the server keeps for nodes that are slow to read them.
const QUESTIONS_KEPT_MAX: usize = 64;
/// How long it takes until all nodes are known again to a server that has lost what it had: they show themselves each
/// second, and wait no longer to connect anew.
const SETTLE: Duration = Duration::from_secs(2);
/// Answers that are taken at a time, of up to 2 MiB each.
const ANSWERS_AT_ONCE: usize = 4;

impl Cluster {
    /// Asks all nodes, this one among them. What is known after `within` comes back then.
    pub(crate) fn ask(
        &self,
        node: Arc<dyn Node>,
        question: Question,
        within: Duration,
    ) -> Result<Asked, AdminError> {
        let deadline = Instant::now() + within;
        let turn = Turn::take(&self.shared).ok_or(AdminError::TooManyQuestions)?;
        let (found, is_found) = async_channel::bounded(1);
        // It does not keep a hub that is closed meanwhile.
        let node = Arc::downgrade(&node);
        let asking = Asking { turn, node, question, deadline, found };
        let thread = std::thread::Builder::new().name("fanfare-ask".to_owned());
        match thread.spawn(move || asking.run()) {
            Ok(_) => Ok(is_found),
            Err(error) => Err(AdminError::Unreachable { reason: error.to_string() }),
        }
    }
}

/// One of the questions that may be on their way.
struct Turn(Arc<Shared>);

impl Turn {
    fn take(shared: &Arc<Shared>) -> Option<Turn> {
        let more =
            |asking: usize| (asking < AdminError::CLUSTER_QUESTIONS_MAX).then_some(asking + 1);
        let asking: &AtomicUsize = &shared.asking;
        asking.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Turn(shared.clone()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.asking.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Asking {
    turn: Turn,
    node: Weak<dyn Node>,
    question: Question,
    deadline: Instant,
    found: Sender<Result<ClusterConnections, AdminError>>,
}

impl Asking {
    fn run(self) {
        let asked = self.ask();
        let asked = asked.map_err(|error| AdminError::Unreachable { reason: error.to_string() });
        let Asking { turn, found, .. } = self;
        // Who hears the answer may ask again.
        drop(turn);
        // Nobody may wait for it any more.
        _ = found.try_send(asked);
    }

    fn ask(&self) -> Result<ClusterConnections, RedisError> {
        let shared = &self.turn.0;
        let mut server = Server::new(&shared.options).map_err(|error| {
            RedisError::from((redis::ErrorKind::InvalidClientConfig, "", error.to_string()))
        })?;
        server.hurry(self.left().max(ClusterConnections::TIME_MIN));
        let mut session = server.connect()?;
        let (name, age, nodes) = self.put(&mut session)?;
        let whole_at = Instant::now() + SETTLE.saturating_sub(age);
        let own: Arc<str> = shared.producer.as_str().into();
        let nodes = nodes.into_iter().map(Arc::from).chain([own.clone()]);
        let mut gathering = Gathering::new(&self.question, nodes);
        let node = self.node.upgrade();
        let find = |node: &Arc<dyn Node>| receive::within(self.left(), node.find(&self.question));
        if let Some(census) = node.as_ref().and_then(find) {
            gathering.take(&own, census);
        }
        drop(node);
        // What is known is worth something also if the server goes away now: who is missing is told.
        let answers = Keys::answers(&shared.options.prefix, &name);
        if let Err(error) = self.gather(&mut session, &answers, whole_at, &mut gathering) {
            log::warn!("not all answers of the cluster's nodes could be read ({error})");
        }
        Ok(gathering.end())
    }

    /// Puts the question where all nodes read it; its name, for how long nodes are written down there, and the
    /// names of those that are there.
    fn put(&self, session: &mut Session) -> Result<(String, Duration, Vec<String>), RedisError> {
        let shared = &self.turn.0;
        let keys = shared.keys();
        let name = format!("{:016x}", fastrand::Rng::with_seed(seed()).u64(..));
        let left = self.left().max(ClusterConnections::TIME_MIN);
        session.connection.set_read_timeout(Some(left.min(shared.options.answer_timeout)))?;
        let (age_ms, nodes): (u64, Vec<String>) = redis::cmd("EVAL")
            .arg(ASK)
            .arg(2)
            .arg(&keys.nodes)
            .arg(&keys.questions)
            .arg(QUESTIONS_KEPT_MAX)
            .arg(ClusterConnections::NODE_TIME_MAX.as_millis() as u64)
            .arg(&name)
            .arg(&shared.producer)
            .arg(left.as_millis() as u64)
            .arg(self.question.write())
            .query(&mut session.connection)?;
        Ok((name, Duration::from_millis(age_ms), nodes))
    }

    /// Takes answers until all nodes have answered and all are known, the time is over, or nobody waits any more.
    fn gather(
        &self,
        session: &mut Session,
        answers: &str,
        whole_at: Instant,
        gathering: &mut Gathering,
    ) -> Result<(), RedisError> {
        let mut position = b"0".to_vec();
        while !self.found.is_closed() {
            if gathering.is_whole() && Instant::now() >= whole_at {
                break;
            }
            let left = self.left();
            let patience = left + ClusterConnections::TIME_MIN;
            session
                .connection
                .set_read_timeout(Some(patience.min(self.turn.0.options.answer_timeout)))?;
            let mut read = redis::cmd("XREAD");
            read.arg("COUNT").arg(ANSWERS_AT_ONCE);
            if !left.is_zero() {
                // Then it looks whether somebody waits for them; zero milliseconds would be without an end.
                let block = left.min(block(&self.turn.0.options));
                read.arg("BLOCK").arg(block.as_millis().max(1) as u64);
            }
            read.arg("STREAMS").arg(answers).arg(&position);
            let answer: Value = read.query(&mut session.connection)?;
            let entries =
                entries_of(answer).ok_or_else(|| malformed("answers that are no list"))?;
            // What had come in time is taken yet.
            let is_late = Instant::now() >= self.deadline + ClusterConnections::TIME_MIN;
            if left.is_zero() && (entries.is_empty() || is_late) {
                break;
            }
            for (id, fields) in entries {
                position = id;
                let [n, node, b, bytes] = &fields[..] else { continue };
                let (b"n", b"b", Ok(node)) = (&n[..], &b[..], std::str::from_utf8(node)) else {
                    continue;
                };
                match read_answer(bytes) {
                    Ok(census) => gathering.take(&node.into(), census),
                    Err(error) => {
                        log::warn!("node {node} gave an answer that is none: {}", error.0)
                    }
                }
            }
        }
        // They expire by themselves, but not at once.
        () = redis::cmd("EXPIRE")
            .arg(answers)
            .arg(0)
            .query::<i64>(&mut session.connection)
            .map(drop)?;
        Ok(())
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// An entry of a stream whose ids are the server's: its id, and its fields and their values.
pub(super) type PlainEntry = (Vec<u8>, Vec<Vec<u8>>);

/// Reads what `XREAD` answers for one stream; `None` if it is something else.
pub(super) fn entries_of(answer: Value) -> Option<Vec<PlainEntry>> {
    let Value::Array(mut streams) = answer else { return Some(Vec::new()) };
    let Some(Value::Array(mut stream)) = streams.pop() else { return None };
    let Some(Value::Array(entries)) = stream.pop() else { return None };
    let entry = |entry: Value| {
        let Value::Array(mut parts) = entry else { return None };
        let (Some(Value::Array(fields)), Some(Value::BulkString(id))) = (parts.pop(), parts.pop())
        else {
            return None;
        };
        let bytes = |field: Value| match field {
            Value::BulkString(bytes) => Some(bytes),
            _ => None,
        };
        Some((id, fields.into_iter().map(bytes).collect::<Option<Vec<_>>>()?))
    };
    entries.into_iter().map(entry).collect()
}
