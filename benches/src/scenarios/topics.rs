//! Many topics, without sockets: what it costs to have one, and to publish to any of them.
//!
//! Each connection wants one topic; an event goes to a topic drawn at random. Figures of one number
//! of topics come from a process of its own ([`measure`]).

use std::collections::HashMap;
use std::time::Instant;

use fanfare::internals::{self, Checksum, Workbench};
use fanfare::{Event, Topic};
use serde_json::json;

use crate::load::DATA_BYTES_MIN;
use crate::metric::Unit;
use crate::scenarios::alone::{
    compare_with_first, resident_bytes, sizes, AloneArgs, Figure, Subject,
};
use crate::scenarios::sinks::{chunk_of, epoch_of, quiet, welcome_of, CONNECTIONS_MAX};
use crate::scenarios::Part;
use crate::subject::write_data;
use crate::Error;

/// Events whose publisher goes on without the shard's having a turn.
const GROUP: usize = 64;
const BYTES_MAX: usize = 256;

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct TopicsArgs {
    /// How many topics; several numbers are measured in turn
    #[arg(long, value_delimiter = ',', default_values_t = [10, 1_000, 100_000, 1_000_000])]
    topics: Vec<usize>,
    /// How many connections in all, for every number of topics; by default one a topic
    #[arg(long)]
    connections: Option<usize>,
    #[command(flatten)]
    load: TopicsLoad,
    #[command(flatten)]
    alone: AloneArgs,
}

/// What is delivered.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct TopicsLoad {
    /// Length of an event's data, in bytes
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// How many events each part publishes
    #[arg(long, default_value_t = 500_000)]
    events: usize,
}

/// One measurement; the scenario starts this.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct MeasureArgs {
    #[arg(long)]
    topics: usize,
    #[arg(long)]
    connections: usize,
    #[command(flatten)]
    load: TopicsLoad,
}

impl TopicsArgs {
    /// What the scenario is run with when it is asked for by its name.
    pub(crate) fn of(part: &Part, alone: AloneArgs) -> Result<Self, Error> {
        let events = part.load.events;
        let events = if events == 0 { 500_000 } else { usize::try_from(events)? };
        let load = TopicsLoad { bytes: part.load.bytes, events };
        Ok(Self { topics: sizes(&part.subjects)?, connections: None, load, alone })
    }
}

const FIGURES: [Figure; 6] = [
    ("event_ns", "publish and deliver one", Unit::Nanoseconds),
    ("event_in_group_ns", "the same, of 64 at once", Unit::Nanoseconds),
    ("join_ns", "join", Unit::Nanoseconds),
    ("bytes_per_topic", "RssAnon/topic with its connections", Unit::Bytes),
    ("bytes_per_topic_after", "the same, after all", Unit::Bytes),
    ("deliveries", "deliveries, all verified", Unit::Count),
];

/// Measures each number of topics in turn.
pub(crate) fn topics(args: &TopicsArgs) -> Result<(), Error> {
    let load = &args.load;
    let subjects = args.topics.iter().map(|&topics| {
        let connections = args.connections.unwrap_or(topics);
        check(topics, connections, load)?;
        let options = [
            ("--topics", topics),
            ("--connections", connections),
            ("--bytes", load.bytes),
            ("--events", load.events),
        ];
        Subject::this_program(&topics.to_string(), "topics-sinks-measure", &options)
    });
    let subjects: Vec<Subject> = subjects.collect::<Result<_, _>>()?;
    let parameters = json!({
        "topics": args.topics,
        "connections": args.connections,
        "bytes": load.bytes,
        "events": load.events,
    });
    args.alone.repeat("topics-sinks", parameters, &subjects, &FIGURES, compare_with_first)
}

fn check(topics: usize, connections: usize, load: &TopicsLoad) -> Result<(), Error> {
    if topics == 0 || topics > connections || connections > CONNECTIONS_MAX {
        let bounds = format!("1 to {CONNECTIONS_MAX}, and --connections no fewer");
        return Err(format!("--topics must be {bounds}").into());
    }
    // So that a topic's backlog takes a whole group, and a batch holds it.
    if !(DATA_BYTES_MIN..=BYTES_MAX).contains(&load.bytes) || load.events < GROUP {
        let bounds = format!("{DATA_BYTES_MIN} to {BYTES_MAX}, --events at least {GROUP}");
        return Err(format!("--bytes must be {bounds}").into());
    }
    Ok(())
}

/// Measures one number of topics, and prints the figures.
pub(crate) fn measure(args: &MeasureArgs) -> Result<(), Error> {
    check(args.topics, args.connections, &args.load)?;
    let mut stage = Stage::new(args)?;
    let before = resident_bytes()?;
    let join_ns = stage.join_all()?;
    let joined = resident_bytes()?;
    let single_ns = stage.deliver(1)?;
    let grouped_ns = stage.deliver(GROUP)?;
    let after = resident_bytes()?;
    stage.verify()?;

    let each = |bytes: u64| bytes.saturating_sub(before) as f64 / args.topics as f64;
    let events = stage.events.len() as f64;
    println!(
        "{}",
        json!({
            "event_ns": single_ns / events,
            "event_in_group_ns": grouped_ns / events,
            "join_ns": join_ns / args.connections as f64,
            "bytes_per_topic": each(joined),
            "bytes_per_topic_after": each(after),
            "deliveries": stage.workbench.hub().metrics().delivered_events,
        })
    );
    Ok(())
}

/// A hub with one shard, the topics there, and what their connections are to have been sent.
struct Stage {
    workbench: Workbench,
    text: String,
    topics: Vec<Topic>,
    /// For each connection its key; connection `n` wants topic `n % topics`.
    keys: Vec<u64>,
    /// The topic of each event that a part publishes.
    events: Vec<u32>,
    /// For each part so far how many events were published at once.
    parts: Vec<usize>,
}

impl Stage {
    fn new(args: &MeasureArgs) -> Result<Stage, Error> {
        let mut text = String::new();
        write_data(&mut text, 0, 0, args.load.bytes);
        let mut random = fastrand::Rng::with_seed(5);
        let events = (0..args.load.events).map(|_| random.usize(..args.topics) as u32);
        Ok(Stage {
            workbench: Workbench::new(quiet(args.connections), true)?,
            text,
            // Written to, so that their memory is there before any is measured. The names are the
            // engine's to pay for: usually they come with a request.
            topics: vec![Topic::new("none yet")?; args.topics],
            keys: vec![1; args.connections],
            events: events.collect(),
            parts: Vec::with_capacity(2),
        })
    }

    /// Has all connections join; how long that takes, in nanoseconds.
    fn join_all(&mut self) -> Result<f64, Error> {
        let begun = Instant::now();
        for (nth, key) in self.keys.iter_mut().enumerate() {
            let topic = nth % self.topics.len();
            if topic == nth {
                self.topics[topic] = Topic::new(&format!("user/{nth}"))?;
            }
            let wanted = std::slice::from_ref(&self.topics[topic]);
            *key = self.workbench.join(0, wanted).ok_or("too many connections")?;
        }
        Ok(begun.elapsed().as_nanos() as f64)
    }

    /// Publishes all events, `group` at a time, and has them delivered. Returns how long that
    /// takes, in nanoseconds.
    fn deliver(&mut self, group: usize) -> Result<f64, Error> {
        self.parts.push(group);
        let begun = Instant::now();
        for events in self.events.chunks(group) {
            for &topic in events {
                let event = Event::new(self.text.as_str());
                let published = self.workbench.hub().publish(&self.topics[topic as usize], event);
                published.map_err(|error| error.to_string())?;
            }
            self.workbench.settle()?;
        }
        Ok(begun.elapsed().as_nanos() as f64)
    }

    /// Whether every connection was sent what was published to its topic and nothing else, once,
    /// in order.
    fn verify(&mut self) -> Result<(), Error> {
        let last = self.workbench.hub().publish(&self.topics[0], "to read the epoch off");
        let last = last.map_err(|error| error.to_string())?;
        let last = last.id().expect("the hub makes its ids");
        let published = (self.events.len() * self.parts.len()) as u64;
        if internals::sequence(last) != published + 1 {
            return Err(format!("{last} comes after {published} events").into());
        }
        let expected = self.expected(&epoch_of(last));
        for (nth, &key) in self.keys.iter().enumerate() {
            if self.workbench.checksum(0, key) != Some(expected[nth % expected.len()]) {
                let what = "was sent something else than was published";
                return Err(format!("connection {nth} of {}: {what}", self.keys.len()).into());
            }
        }
        Ok(())
    }

    /// What a connection of each topic is to be sent, written down without the engine's help.
    fn expected(&self, epoch: &str) -> Vec<Checksum> {
        let mut head = Checksum::default();
        head.add(&welcome_of(self.workbench.head(), epoch, 0));
        let mut expected = vec![head; self.topics.len()];
        let mut sequence = 0;
        for &group in &self.parts {
            for events in self.events.chunks(group) {
                let mut of_topics: HashMap<u32, Vec<u64>> = HashMap::new();
                for &topic in events {
                    sequence += 1;
                    of_topics.entry(topic).or_default().push(sequence);
                }
                for (topic, sequences) in of_topics {
                    let events = sequences.into_iter().map(|sequence| (sequence, &*self.text));
                    expected[topic as usize].add(&chunk_of(epoch, events));
                }
            }
        }
        expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_is_sent_the_events_of_its_topic_and_a_wrong_one_is_found() {
        let load = TopicsLoad { bytes: 64, events: 200 };
        let mut stage = Stage::new(&MeasureArgs { topics: 3, connections: 7, load }).unwrap();
        stage.join_all().unwrap();
        stage.deliver(1).unwrap();
        stage.deliver(GROUP).unwrap();
        let hub = stage.workbench.hub();
        // Three connections want topic 0, two each of the others.
        let wanted = |&topic: &u32| if topic == 0 { 3 } else { 2 };
        let deliveries: u64 = stage.events.iter().map(wanted).sum();
        assert_eq!(hub.metrics().delivered_events, 2 * deliveries);
        stage.verify().unwrap();
        stage.events.swap_remove(17);
        stage.workbench.settle().unwrap();
        assert!(stage.verify().is_err());
    }
}
