//! The thread that gives a node's batches to the server, in their order, each until the server has it.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{RedisError, Value};

use super::joining::{begin_if_due, malformed};
use super::outbox::Parcel;
use super::scripts::{Keys, APPEND};
use super::server::{is_passing, Server, Session};
use super::{Shared, PATIENCE};

/// How long it waits for something to send before it looks whether the server is there.
const IDLE: Duration = Duration::from_millis(250);
/// Between tries, of the reader as well.
pub(super) const PAUSES: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
];

/// What the server has said of a batch.
enum Answer {
    Kept,
    Stale,
    Gap,
}

pub(super) fn run(shared: &Arc<Shared>, mut server: Server) {
    let mut fails = 0;
    while !shared.is_ending() {
        let Err(error) = serve(shared, &mut server, &mut fails) else { return };
        shared.note_trouble(&shared.appending, "append to", &error);
        let pause = PAUSES[fails.min(PAUSES.len() - 1)];
        fails += 1;
        shared.pause(pause);
    }
}

/// Appends by one connection, until the node ends or something fails.
fn serve(shared: &Shared, server: &mut Server, fails: &mut usize) -> Result<(), RedisError> {
    let mut session = server.connect()?;
    let script = session.load_script(APPEND)?;
    // The life for which it appends: in another one the server may lack what it had of this node.
    let mut life = begin_if_due(&mut session, shared)?;
    shared.outbox.rewind();
    shared.counters.reconnects.fetch_add(1, Ordering::Relaxed);
    // Until the server has one batch in this life: it takes the first one whatever its serial, so no later one may
    // be on the way.
    let mut is_first = true;
    let keys = shared.keys();
    loop {
        // Asked before a batch is taken: what was not found by then is in no life before this one.
        let read_life = shared.reached().epoch;
        if read_life > life {
            life = begin_if_due(&mut session, shared)?;
            shared.outbox.rewind();
            is_first = true;
        }
        let parcels = shared.outbox.take(IDLE, if is_first { 1 } else { SEND_BATCHES_MAX });
        if parcels.is_empty() {
            if shared.is_ending() {
                return Ok(());
            }
            () = redis::cmd("PING").query::<String>(&mut session.connection).map(drop)?;
            shared.note_well(&shared.appending, "append to");
            *fails = 0;
            continue;
        }
        match append(&mut session, &script, &keys, shared, (life, read_life), &parcels)? {
            Answer::Kept => {
                is_first = false;
                *fails = 0;
                shared.note_well(&shared.appending, "append to");
            }
            Answer::Stale => {
                life = begin_if_due(&mut session, shared)?;
                shared.outbox.rewind();
                is_first = true;
            }
            Answer::Gap => return Err(malformed("an earlier batch of this node is missing")),
        }
    }
}

/// Batches that are sent at a time.
const SEND_BATCHES_MAX: usize = 4;

/// Appends batches for a life, by a node whose reader has come to another one or the same; an answer that is not the
/// one that is wished for is the first such.
fn append(
    session: &mut Session,
    script: &str,
    keys: &Keys,
    shared: &Shared,
    (life, read_life): (u64, u64),
    parcels: &[Parcel],
) -> Result<Answer, RedisError> {
    let mut commands = redis::Pipeline::with_capacity(parcels.len());
    for parcel in parcels {
        let command = commands.cmd("EVALSHA");
        command.arg(script).arg(4);
        command.arg(&keys.order).arg(&keys.stream).arg(&keys.node).arg(&keys.rules);
        command.arg(&session.run).arg(life);
        command.arg(&shared.producer).arg(parcel.serial).arg(parcel.items).arg(&**parcel.bytes);
        command.arg(read_life);
        for (subscription, rule) in &parcel.rules {
            command.arg(subscription).arg(rule.as_deref().unwrap_or_default());
        }
    }
    let answers = session.ask_all(&commands)?;
    for (parcel, answer) in parcels.iter().zip(answers) {
        let words = match answer {
            Value::ServerError(error) => return Err(error.into()),
            Value::Array(words) => words,
            _ => return Err(malformed("an append was answered with no list")),
        };
        match words.first() {
            Some(Value::BulkString(word)) if word == b"ok" || word == b"had" => {
                shared.outbox.note_kept(parcel.serial);
                shared.counters.appended_batches.fetch_add(1, Ordering::Relaxed);
            }
            Some(Value::BulkString(word)) if word == b"stale" => return Ok(Answer::Stale),
            Some(Value::BulkString(word)) if word == b"gap" => return Ok(Answer::Gap),
            _ => return Err(malformed("an append was answered with an unknown word")),
        }
    }
    Ok(Answer::Kept)
}

impl Shared {
    /// Notes that the server does not serve, and says so in the log once.
    pub(super) fn note_trouble(&self, health: &super::Health, to: &str, error: &RedisError) {
        let what = match is_passing(error) {
            true => format!("the cluster's server is not ready ({error})"),
            false => format!("this node cannot {to} the cluster's stream ({error})"),
        };
        let since = health.trouble().map(|trouble| trouble.since);
        if health.note(what.clone()) {
            log::error!("{what}; it tries again until that is mended");
        }
        if since.is_some_and(|since| since.elapsed() >= PATIENCE) {
            self.outbox.wake_publishers();
        }
    }

    pub(super) fn note_well(&self, health: &super::Health, to: &str) {
        if let Some(time) = health.note_well() {
            log::info!("this node can {to} the cluster's stream again, after {time:.1?}");
        }
    }

    /// Waits, but not when the node ends.
    pub(super) fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.is_ending() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
    }
}
