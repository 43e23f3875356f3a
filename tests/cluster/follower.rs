//! Nodes in the test's process, and clients of them that come back to another one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use fanfare::{ClusterOptions, EventStream, Hub, Options, StreamOptions, Subscription, Topic};

use crate::support::sse::{Message, Parser};
use crate::support::{one_shard, DEADLINE};

pub fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// A node's options that keep everything that a test publishes.
pub fn options(cluster: ClusterOptions) -> Options {
    one_shard()
        .history_events_max(1_000_000)
        .history_age_max(Duration::from_secs(3600))
        .cluster(cluster)
}

pub fn cluster(url: impl Into<String>) -> ClusterOptions {
    ClusterOptions::new(url).answer_timeout(Duration::from_millis(500))
}

pub fn node(url: impl Into<String>) -> Hub {
    Hub::start(options(cluster(url))).expect("the node joins")
}

/// A client that remembers all that it was sent over all its streams.
pub struct Follower {
    topics: Vec<Subscription>,
    stream: Option<EventStream>,
    parser: Parser,
    messages: VecDeque<Message>,
    /// The ids and the data of its events.
    pub events: Vec<(String, String)>,
    pub gaps: Vec<String>,
    last_id: String,
    /// Whether its stream has ended.
    pub is_ended: bool,
    /// Whether it was told that nothing will come, which a server does with 204.
    pub is_complete: bool,
}

impl Follower {
    /// A client that wants everything that is kept.
    pub fn of(hub: &Hub, topics: &[&str]) -> Follower {
        let topics = topics.iter().map(|topic| topic.parse().unwrap()).collect();
        let mut follower = Follower {
            topics,
            stream: None,
            parser: Parser::default(),
            messages: VecDeque::new(),
            events: Vec::new(),
            gaps: Vec::new(),
            last_id: String::new(),
            is_ended: false,
            is_complete: false,
        };
        follower.go_to(hub);
        follower
    }

    /// Comes to a node with the id that it has.
    pub fn go_to(&mut self, hub: &Hub) {
        let options = match &*self.last_id {
            "" => StreamOptions::default().start(fanfare::StartAt::Earliest),
            id => StreamOptions::default().last_event_id(id),
        };
        self.parser = Parser::default();
        self.parser.last_id.clone_from(&self.last_id);
        self.stream = None;
        let stream = hub.subscribe(self.topics.clone(), options).expect("the hub is there");
        (self.is_ended, self.is_complete) = (false, stream.is_complete());
        self.stream = Some(stream);
    }

    /// Goes away, with the id that it has.
    pub fn leave(&mut self) {
        self.stream = None;
    }

    /// Goes away, and forgets all that it had behind an event.
    pub fn go_back_to(&mut self, (id, _): &(String, String)) {
        self.leave();
        self.last_id.clone_from(id);
    }

    pub fn has_id(&self) -> bool {
        !self.last_id.is_empty()
    }

    /// How many blocks of its stream moved its id alone.
    pub fn id_blocks(&self) -> usize {
        self.parser.id_blocks
    }

    pub fn topics(&self) -> &[Subscription] {
        &self.topics
    }

    /// The id of the newest event of a topic, which has this data.
    pub fn find_id(hub: &Hub, topic: &str, data: &str) -> String {
        let mut client = Follower::of(hub, &[topic]);
        client.wait_for_data(hub, data);
        client.events.pop().expect("it has come").0
    }

    /// Forgets its stream, and has this id.
    pub fn come_with(&mut self, id: &str) {
        (self.stream, self.is_ended) = (None, true);
        id.clone_into(&mut self.last_id);
    }

    /// Takes what comes within a time; false if nothing did.
    pub fn receive(&mut self, within: Duration) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let Some(Ok(batch)) = stream.wait(within) else {
            self.is_ended |= stream.end_reason().is_some();
            return false;
        };
        self.parser.feed(&batch, &mut self.messages);
        if let Some(id) = self.parser.ids.last().filter(|id| !id.is_empty()) {
            self.last_id.clone_from(id);
        }
        self.parser.ids.clear();
        for message in self.messages.drain(..) {
            match message.name.as_str() {
                "fanfare-gap" => self.gaps.push(message.data),
                _ => self.events.push((message.last_id, message.data)),
            }
        }
        true
    }

    /// Takes all until there are so many events in all. Comes back to the node when it is sent away.
    pub fn wait_for(&mut self, hub: &Hub, count: usize) {
        self.wait_until(hub, |follower| follower.events.len() >= count);
        assert_eq!(self.events.len(), count, "{:?}", self.events.last());
    }

    /// Takes all until an event with this data has come.
    pub fn wait_for_data(&mut self, hub: &Hub, data: &str) {
        self.wait_until(hub, |follower| {
            follower.events.last().is_some_and(|(_, last)| last == data)
        });
    }

    pub fn wait_until(&mut self, hub: &Hub, condition: impl Fn(&Follower) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(
                start.elapsed() < DEADLINE,
                "waited in vain: {} events, the last {:?}, gaps {:?}",
                self.events.len(),
                self.events.last(),
                self.gaps
            );
            if !self.receive(Duration::from_millis(50)) && self.is_ended {
                std::thread::sleep(Duration::from_millis(5));
                self.go_to(hub);
            }
        }
    }

    pub fn data(&self) -> Vec<&str> {
        self.events.iter().map(|(_, data)| &**data).collect()
    }

    /// Each event's data as a number.
    pub fn numbers(&self) -> Vec<u64> {
        self.events.iter().map(|(_, data)| data.parse().unwrap()).collect()
    }

    /// Whether it is told of a loss.
    pub fn is_told_lost(&self) -> bool {
        self.gaps.iter().any(|gap| gap.contains(r#""reason":"lost""#))
    }
}
