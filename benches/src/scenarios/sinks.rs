//! What the engine itself costs: deliveries to connections without sockets, in one shard that is
//! driven by hand. Their sinks take everything, and keep a checksum of it.
//!
//! One topic that all want: a delivery's cost and a connection's memory from few connections to
//! many. Figures of one size come from a process of its own ([`measure`]).

use std::collections::HashMap;
use std::iter::repeat_n;
use std::time::Instant;

use fanfare::internals::{self, Checksum, Workbench};
use fanfare::{EventId, Options, Topic};
use serde_json::json;

use crate::load::{Settings, DATA_BYTES_MIN};
use crate::metric::Unit;
use crate::scenarios::alone::{
    compare_with_first, resident_bytes, sizes, AloneArgs, Figure, Subject,
};
use crate::scenarios::Part;
use crate::subject::write_data;
use crate::Error;

pub(crate) const CONNECTIONS_MAX: usize = 10_000_000;
/// How many different data there are. All events differ by their ids.
const TEXTS: u64 = 256;
/// The least number of passes that are timed.
const PASSES_MIN: usize = 3;
/// As how many deliveries one send of a batch counts: it costs more than the send of a lone event.
const BATCH_SHARE: usize = 8;

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct SinksArgs {
    /// How many connections; several numbers are measured in turn
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
    sizes: Vec<usize>,
    #[command(flatten)]
    load: SinksLoad,
    #[command(flatten)]
    alone: AloneArgs,
}

/// What is delivered.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct SinksLoad {
    /// Length of an event's data, in bytes
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// Events that are published before one pass, in the part with batches
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Deliveries that each part makes, about
    #[arg(long, default_value_t = 20_000_000)]
    deliveries: usize,
}

/// One measurement; the scenario starts this.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct MeasureArgs {
    #[arg(long)]
    connections: usize,
    #[command(flatten)]
    load: SinksLoad,
}

impl SinksArgs {
    /// What the scenario is run with when it is asked for by its name.
    pub(crate) fn of(part: &Part, alone: AloneArgs) -> Result<Self, Error> {
        let Settings { batch, deliveries, .. } = part.settings;
        let load = SinksLoad {
            bytes: part.load.bytes,
            batch: batch.unwrap_or(128),
            deliveries: deliveries.unwrap_or(20_000_000),
        };
        Ok(Self { sizes: sizes(&part.subjects)?, load, alone })
    }
}

const FIGURES: [Figure; 9] = [
    ("delivery_ns", "delivery", Unit::Nanoseconds),
    ("delivery_in_batch_ns", "delivery of an event in a batch", Unit::Nanoseconds),
    ("send_of_batch_ns", "delivery of a batch", Unit::Nanoseconds),
    ("delivery_shuffled_ns", "delivery, members in no order", Unit::Nanoseconds),
    ("sink_ns", "of a delivery, the sink's own", Unit::Nanoseconds),
    ("join_ns", "join", Unit::Nanoseconds),
    ("bytes_per_connection", "RssAnon/connection", Unit::Bytes),
    ("bytes_per_connection_after", "the same, after all", Unit::Bytes),
    ("deliveries", "deliveries, all verified", Unit::Count),
];

/// Measures each size in turn.
pub(crate) fn sinks(args: &SinksArgs) -> Result<(), Error> {
    let load = &args.load;
    let subjects = args.sizes.iter().map(|&size| {
        check(size, load)?;
        let options = [
            ("--connections", size),
            ("--bytes", load.bytes),
            ("--batch", load.batch),
            ("--deliveries", load.deliveries),
        ];
        Subject::this_program(&size.to_string(), "sinks-measure", &options)
    });
    let subjects: Vec<Subject> = subjects.collect::<Result<_, _>>()?;
    let parameters = json!({
        "connections": args.sizes,
        "bytes": load.bytes,
        "batch": load.batch,
        "deliveries": load.deliveries,
    });
    args.alone.repeat("sinks", parameters, &subjects, &FIGURES, compare_with_first)
}

fn check(connections: usize, load: &SinksLoad) -> Result<(), Error> {
    if connections == 0 || connections > CONNECTIONS_MAX {
        return Err(format!("--sizes must be 1 to {CONNECTIONS_MAX}").into());
    }
    // So that a batch takes what was published for it, with the chunk's head and tail, and nothing
    // is accepted beyond the backlog of one topic.
    let bytes_max =
        Options::default().batch_bytes_max.min(Options::default().topic_backlog_bytes_max);
    if load.batch == 0 || load.batch.saturating_mul(load.bytes + 64) > bytes_max {
        return Err(
            format!("--batch must be at least 1, and --bytes of all below {bytes_max}").into()
        );
    }
    if load.bytes < DATA_BYTES_MIN || load.deliveries == 0 {
        return Err(
            format!("--bytes must be at least {DATA_BYTES_MIN}, --deliveries at least 1").into()
        );
    }
    Ok(())
}

/// Measures one size, and prints the figures.
pub(crate) fn measure(args: &MeasureArgs) -> Result<(), Error> {
    check(args.connections, &args.load)?;
    let (count, load) = (args.connections, &args.load);
    let passes = (load.deliveries / count).max(PASSES_MIN);
    let batches = (load.deliveries / BATCH_SHARE / count).clamp(PASSES_MIN, 10_000);

    let mut stage = Stage::new(count, load.bytes)?;
    let before = resident_bytes()?;
    let join_ns = stage.join_all()?;
    let joined = resident_bytes()?;
    let alone = stage.deliver(passes, 1)?;
    let batched = stage.deliver(batches, load.batch)?;
    let after = resident_bytes()?;
    let sink_ns = stage.sinks_alone(passes);
    stage.shuffle()?;
    let shuffled = stage.deliver(passes, 1)?;
    stage.verify()?;

    let each = |bytes: u64| bytes.saturating_sub(before) as f64 / count as f64;
    let sends = |passes: usize| (passes * count) as f64;
    println!(
        "{}",
        json!({
            "delivery_ns": alone / sends(passes),
            "delivery_in_batch_ns": batched / sends(batches) / load.batch as f64,
            "send_of_batch_ns": batched / sends(batches),
            "delivery_shuffled_ns": shuffled / sends(passes),
            "sink_ns": sink_ns / sends(passes),
            "join_ns": join_ns / count as f64,
            "bytes_per_connection": each(joined),
            "bytes_per_connection_after": each(after),
            "deliveries": stage.delivered,
        })
    );
    Ok(())
}

/// A hub with one shard, the connections there, and what each of them is to have been sent.
struct Stage {
    workbench: Workbench,
    topic: Topic,
    texts: Vec<String>,
    /// For each connection its key, and the last event that was published before it joined.
    keys: Vec<(u64, u64)>,
    /// How many passes there were, of how many events each. Sequence numbers have no gaps, and a
    /// number decides over its event's text, so this says all that was published.
    parts: Vec<(usize, usize)>,
    epoch: String,
    sequence: u64,
    delivered: u64,
}

impl Stage {
    fn new(connections: usize, bytes: usize) -> Result<Stage, Error> {
        let mut text = String::new();
        let texts = (0..TEXTS).map(|number| {
            write_data(&mut text, number, 0, bytes);
            text.clone()
        });
        let texts = texts.collect();
        let workbench = Workbench::new(quiet(connections), true)?;
        let topic = Topic::new("all")?;
        let first = workbench.hub().publish(&topic, "no client is here yet")?;
        let first = first.id().expect("the hub makes its ids");
        let epoch = epoch_of(first);
        Ok(Stage {
            workbench,
            topic,
            texts,
            // Written to, so that its memory is there before any is measured.
            keys: vec![(1, 1); connections],
            parts: Vec::with_capacity(8),
            epoch,
            sequence: internals::sequence(first),
            delivered: 0,
        })
    }

    /// Has all connections join; how long that takes, in nanoseconds.
    fn join_all(&mut self) -> Result<f64, Error> {
        let topics = [self.topic.clone()];
        let begun = Instant::now();
        for key in &mut self.keys {
            *key = (self.workbench.join(0, &topics).ok_or("too many connections")?, self.sequence);
        }
        Ok(begun.elapsed().as_nanos() as f64)
    }

    /// Publishes `batch` events at a time, has each batch delivered, and returns how long that
    /// takes, in nanoseconds.
    fn deliver(&mut self, passes: usize, batch: usize) -> Result<f64, Error> {
        self.parts.push((passes, batch));
        let begun = Instant::now();
        for _ in 0..passes {
            for _ in 0..batch {
                self.sequence += 1;
                let text = text_of(&self.texts, self.sequence);
                let published = self.workbench.hub().publish(&self.topic, text)?;
                let id = published.id().expect("the hub makes its ids");
                if internals::sequence(id) != self.sequence {
                    return Err(format!("{id} instead of number {}", self.sequence).into());
                }
            }
            self.workbench.settle()?;
        }
        let elapsed = begun.elapsed().as_nanos() as f64;
        self.delivered += (passes * batch * self.keys.len()) as u64;
        Ok(elapsed)
    }

    /// A bare loop over as many sinks as there are connections: how much of a delivery is the
    /// sink's own work.
    fn sinks_alone(&self, passes: usize) -> f64 {
        let mut sinks = vec![Checksum::default(); self.keys.len()];
        let sends: Vec<Vec<u8>> =
            self.sends_since(self.sequence_before_all()).take(TEXTS as usize).collect();
        let begun = Instant::now();
        for send in sends.iter().cycle().take(passes) {
            for sink in &mut sinks {
                sink.add(std::hint::black_box(send));
            }
        }
        let elapsed = begun.elapsed().as_nanos() as f64;
        assert!(sinks.iter().all(|sink| *sink == sinks[0]), "all were sent the same");
        elapsed
    }

    /// Every other connection, drawn at random, ends, and as many join: the order of the members
    /// and that of the slab have nothing in common any more.
    fn shuffle(&mut self) -> Result<(), Error> {
        self.verify()?;
        fastrand::Rng::with_seed(3).shuffle(&mut self.keys);
        let (leaving, topics) = (self.keys.len() / 2, [self.topic.clone()]);
        for (key, _) in &self.keys[..leaving] {
            self.workbench.leave(0, *key);
        }
        for key in &mut self.keys[..leaving] {
            *key = (self.workbench.join(0, &topics).ok_or("too many connections")?, self.sequence);
        }
        Ok(())
    }

    /// Whether every connection was sent what was published since it joined, as it was published,
    /// once, in order; and whether the engine has counted that.
    fn verify(&mut self) -> Result<(), Error> {
        let mut expected: HashMap<u64, Checksum> = HashMap::new();
        for nth in 0..self.keys.len() {
            let (key, since) = self.keys[nth];
            let expected = match expected.get(&since) {
                Some(expected) => *expected,
                None => *expected.entry(since).or_insert(self.expected_since(since)),
            };
            if self.workbench.checksum(0, key) != Some(expected) {
                return Err(format!("connection {nth} was sent something else than was published: lost, doubled, reordered or damaged").into());
            }
        }
        let metrics = self.workbench.hub().metrics();
        let counted = (metrics.delivered_events, metrics.connections, metrics.lagging_connections);
        let right = (self.delivered, self.keys.len() as u64, 0);
        if counted != right {
            return Err(
                format!("deliveries, connections, laggards: {counted:?}, not {right:?}").into()
            );
        }
        Ok(())
    }

    fn expected_since(&self, since: u64) -> Checksum {
        let mut checksum = Checksum::default();
        checksum.add(&welcome_of(self.workbench.head(), &self.epoch, since));
        self.sends_since(since).for_each(|send| checksum.add(&send));
        checksum
    }

    /// What one connection is to be sent, pass by pass, of all events after a number: written
    /// down without the engine's help.
    fn sends_since(&self, since: u64) -> impl Iterator<Item = Vec<u8>> + '_ {
        let batches = self.parts.iter().flat_map(|&(passes, batch)| repeat_n(batch as u64, passes));
        let mut last = self.sequence_before_all();
        let passes = batches.map(move |batch| {
            last += batch;
            last + 1 - batch..=last
        });
        passes.filter(move |pass| *pass.start() > since).map(|pass| {
            let events = pass.map(|sequence| (sequence, text_of(&self.texts, sequence)));
            chunk_of(&self.epoch, events)
        })
    }

    /// The last event that was published before the first connection joined.
    fn sequence_before_all(&self) -> u64 {
        let published: usize = self.parts.iter().map(|(passes, batch)| passes * batch).sum();
        self.sequence - published as u64
    }
}

fn text_of(texts: &[String], sequence: u64) -> &str {
    &texts[(sequence % TEXTS) as usize]
}

/// The first bytes of a connection that joins after the event with number `sequence`: the
/// response's head, and the id to come back with.
pub(crate) fn welcome_of(head: &[u8], epoch: &str, sequence: u64) -> Vec<u8> {
    let id = format!("id: {epoch}-{sequence}\n\n");
    [head, format!("{:x}\r\n{id}\r\n", id.len()).as_bytes()].concat()
}

/// Events as one chunk of a chunked response.
pub(crate) fn chunk_of<'a>(epoch: &str, events: impl Iterator<Item = (u64, &'a str)>) -> Vec<u8> {
    let text: String = events
        .map(|(sequence, text)| format!("id: {epoch}-{sequence}\ndata: {text}\n\n"))
        .collect();
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// What an event's id begins with.
pub(crate) fn epoch_of(id: EventId) -> String {
    let id = id.to_string();
    id.split_once('-').map_or_else(String::new, |(epoch, _)| epoch.to_owned())
}

/// One shard, at most `connections` connections, and no heartbeats, which would be deliveries of
/// nothing that was published.
pub(crate) fn quiet(connections: usize) -> Options {
    Options::default().shards(1).connections_max(connections).heartbeat(std::time::Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage() -> Stage {
        let mut stage = Stage::new(10, 64).unwrap();
        stage.join_all().unwrap();
        stage.deliver(3, 1).unwrap();
        stage.deliver(2, 5).unwrap();
        stage
    }

    #[test]
    fn all_sinks_were_sent_what_was_published_also_after_half_of_them_were_replaced() {
        let mut stage = stage();
        stage.shuffle().unwrap();
        stage.deliver(3, 1).unwrap();
        stage.verify().unwrap();
        assert_eq!(stage.delivered, 160);
    }

    #[test]
    fn a_delivery_that_one_missed_or_had_twice_is_found() {
        let mut missed = stage();
        let topics = [missed.topic.clone()];
        // It comes late, and is said to have been there from the first event on.
        missed.workbench.leave(0, missed.keys[7].0);
        missed.keys[7].0 = missed.workbench.join(0, &topics).unwrap();
        assert!(missed.verify().unwrap_err().to_string().starts_with("connection 7 "));

        let mut doubled = stage();
        doubled.workbench.hub().publish(&doubled.topic, text_of(&doubled.texts, 2)).unwrap();
        doubled.workbench.settle().unwrap();
        assert!(doubled.verify().unwrap_err().to_string().starts_with("connection 0 "));
    }
}
