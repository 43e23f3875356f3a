//! Topics that are finished, forgotten, and begun anew: what the model knows of them, and single cases.

use super::*;
use crate::frame::LAST_CHUNK;

/// What has become of a topic.
#[derive(Clone, Copy, Debug)]
pub(super) enum Life {
    Open,
    Finished,
    /// It was finished, and that is forgotten since a number; nothing was published since.
    Forgotten(u64),
}

impl TestClient {
    /// Whether it may have been sent something of other topics that have the names of its finished
    /// ones, as a client may that was sent something of the past until then.
    pub(super) fn may_have_more(&self) -> bool {
        self.returned && self.complete_at.is_some()
    }

    /// A stream ends when all of its topics are finished, with the end of its body.
    pub(super) fn check_end(&self) {
        assert!(self.complete_at.is_some(), "not all of its topics are finished: {:?}", self.open);
        let far = self.far.lock().unwrap();
        let ends = far.received.ends_with(LAST_CHUNK);
        assert_eq!(ends, self.wire == Wire::Chunked, "the end of its body");
    }
}

impl World {
    /// A client has other topics from now on.
    pub(super) fn begin_topics(&self, client: &mut TestClient, wanted: &[Subscription]) {
        client.has_filters = wanted.iter().any(|what| matches!(what, Subscription::Filter(_)));
        let is_open = |&&topic: &&usize| !matches!(self.topics[topic], Life::Finished);
        client.open = client.topics.iter().filter(is_open).copied().collect();
        let is_complete = client.open.is_empty() && !client.has_filters;
        client.complete_at = is_complete.then(|| self.shared.order.sequence());
    }

    /// Notes which clients are to get an event.
    pub(super) fn note_published(&mut self, id: EventId, topic: usize, data: &str) {
        let text = format!("id: {id}\ndata: {data}\n\n");
        let wants = |client: &&mut TestClient| {
            client.topics.contains(&topic) && client.complete_at.is_none()
        };
        for client in self.clients.values_mut().filter(wants) {
            client.expected.extend_from_slice(client.shown(topic, &text).as_bytes());
        }
        self.published.push((id.sequence, topic, text));
    }

    /// Something comes of a topic, so that it is one that is not finished.
    pub(super) fn note_open(&mut self, topic: usize) {
        if let Life::Forgotten(_) = std::mem::replace(&mut self.topics[topic], Life::Open) {
            for client in self.clients.values_mut() {
                let counts = client.topics.contains(&topic) && !client.open.contains(&topic);
                if counts && client.complete_at.is_none() {
                    client.open.push(topic);
                }
            }
        }
    }

    /// Finishes a topic; false if there is no space for the last event.
    pub(super) fn finish(&mut self, topic: usize, last: Option<&str>) -> bool {
        let name = Topic::new(TOPICS[topic]).unwrap();
        let draft = last.map(|data| Draft::encode(&Event::new(data), 1 << 20).unwrap());
        let order = &self.shared.order;
        let finished = match (self.topics[topic], draft) {
            (Life::Forgotten(number), None) => order.reopen(&name, None, number),
            (Life::Forgotten(number), Some(draft)) => {
                // First one event, then the end.
                let Ok(id) = order.reopen(&name, Some(draft), number) else { return false };
                self.note_open(topic);
                self.note_published(id, topic, last.expect("there is one"));
                return self.finish(topic, None);
            }
            (Life::Open | Life::Finished, draft) => order.finish(&name, draft),
        };
        match finished {
            Ok(id) => {
                self.note_open(topic);
                if let Some(data) = last {
                    self.note_published(id, topic, data);
                }
            }
            Err(Refused::Full(..)) => return false,
            Err(Refused::Finished) => panic!("it is finished once"),
            Err(Refused::Closed) => unreachable!("the hub is not closed"),
        }
        self.topics[topic] = Life::Finished;
        let number = self.shared.order.sequence();
        for client in self.clients.values_mut().filter(|client| client.complete_at.is_none()) {
            client.open.retain(|&open| open != topic);
            if client.open.is_empty() && !client.has_filters {
                client.complete_at = Some(number);
            }
        }
        true
    }

    /// The time of a finished topic is over, which is longer than the mark waits in an inbox.
    pub(super) fn forget(&mut self, topic: usize) {
        self.shard.take_inbox();
        let number = self.shared.order.forget_finished(&Topic::new(TOPICS[topic]).unwrap());
        self.topics[topic] = Life::Forgotten(number);
    }

    /// Finishes some topic, or forgets one that is finished.
    pub(super) fn end_or_begin(&mut self, random: &mut fastrand::Rng) {
        let topic = random.usize(..TOPICS.len());
        let last = random.bool().then(|| "last".repeat(random.usize(1..20)));
        match self.topics[topic] {
            Life::Finished => self.forget(topic),
            Life::Open | Life::Forgotten(_) => drop(self.finish(topic, last.as_deref())),
        }
    }

    pub(super) fn end_or_begin_without_event(&mut self, topic: usize) {
        match self.topics[topic] {
            Life::Finished => self.forget(topic),
            Life::Open | Life::Forgotten(_) => drop(self.finish(topic, None)),
        }
    }

    /// Checks what clients have received whose streams have ended, and forgets them.
    pub(super) fn check_ended(&mut self) {
        for (_, client) in std::mem::take(&mut self.ended) {
            let received = body(&client.far.lock().unwrap().received, client.wire);
            let is_right = match client.may_have_more() {
                true => received.starts_with(&client.expected),
                false => received == client.expected,
            };
            let texts = [&received, &client.expected].map(|bytes| String::from_utf8_lossy(bytes));
            assert!(is_right, "{:?}: {} is not {}", client.topics, texts[0], texts[1]);
        }
    }
}
