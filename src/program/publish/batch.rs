//! Lines that are sent with one request.

use std::time::Duration;

use fanfare::Topic;
use hyper::body::Bytes;
use serde::Serialize;

/// The most lines of a batch.
const LINES_MAX: usize = 256;
/// The number of bytes with which a batch is full. One line may have more.
const BYTES_MAX: usize = 256 << 10;

/// What all events have in common.
pub(super) struct Template<'a> {
    /// At least one.
    pub(super) topics: &'a [Topic],
    pub(super) event: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    /// Over which each event is spread.
    pub(super) window: Option<Duration>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<Vec<&'a str>>,
    data: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    /// In milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<u128>,
}

impl Template<'_> {
    /// An event with this data, as a line of JSON.
    pub(super) fn line(&self, data: &str) -> String {
        let &Template { topics, event, key, window } = self;
        let window = window.map(|window| window.as_millis());
        // A server of before events of several topics knows `topic` alone.
        let (topic, topics) = match topics {
            [only] => (Some(only.as_str()), None),
            several => (None, Some(several.iter().map(Topic::as_str).collect())),
        };
        let line = serde_json::to_string(&Line { topic, topics, data, event, key, window });
        let mut line = line.expect("a struct of strings is always JSON");
        line.push('\n');
        line
    }

    /// A line that finishes the topic, of which there is one.
    pub(super) fn last_line(&self) -> String {
        serde_json::json!({ "topic": self.topics[0].as_str(), "finish": true }).to_string() + "\n"
    }
}

/// Events that the server does not have, in their order.
#[derive(Default)]
pub(super) struct Batch {
    text: Vec<u8>,
    /// Of each event the number of its line in the input, and where it ends in `text`.
    events: Vec<(u64, usize)>,
}

impl Batch {
    pub(super) fn push(&mut self, number: u64, line: &str) {
        self.text.extend_from_slice(line.as_bytes());
        self.events.push((number, self.text.len()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= LINES_MAX || self.text.len() >= BYTES_MAX
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// The number of the first event's line in the input.
    pub(super) fn first_number(&self) -> Option<u64> {
        self.events.first().map(|&(number, _)| number)
    }

    /// The content of a request for all of it.
    pub(super) fn content(&self) -> Bytes {
        Bytes::copy_from_slice(&self.text)
    }

    /// Forgets the first `count` events, since the server has them.
    pub(super) fn drop_first(&mut self, count: usize) {
        let count = count.min(self.events.len());
        let Some(&(_, end)) = self.events[..count].last() else { return };
        self.text.drain(..end);
        self.events.drain(..count);
        for (_, event_end) in &mut self.events {
            *event_end -= end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_the_server_has_are_forgotten_and_the_rest_kept_whole() {
        let mut batch = Batch::default();
        for (number, line) in [(3, "a\n"), (4, "bb\n"), (7, "ccc\n")] {
            batch.push(number, line);
        }
        batch.drop_first(0);
        assert_eq!((batch.len(), batch.first_number()), (3, Some(3)));
        batch.drop_first(2);
        assert_eq!((batch.len(), batch.first_number()), (1, Some(7)));
        assert_eq!(batch.content(), "ccc\n");
        batch.push(8, "d\n");
        batch.drop_first(1);
        assert_eq!(batch.content(), "d\n");
        batch.drop_first(9);
        assert!(batch.is_empty() && batch.content().is_empty());
    }

    #[test]
    fn a_line_is_json_whatever_is_in_it() {
        let topics = ["t", "u"].map(|name| Topic::new(name).unwrap());
        let (topics, window) = (&topics[..], None);
        let template = Template { topics, event: None, key: Some("k"), window };
        assert_eq!(template.line("a"), "{\"topics\":[\"t\",\"u\"],\"data\":\"a\",\"key\":\"k\"}\n");
        let template = Template { topics: &topics[..1], event: Some("e\"x"), key: None, window };
        let line = template.line("a\tb\u{1}\"ü");
        assert_eq!(line, "{\"topic\":\"t\",\"data\":\"a\\tb\\u0001\\\"ü\",\"event\":\"e\\\"x\"}\n");
    }

    #[test]
    fn a_batch_is_full_by_lines_or_by_bytes() {
        let mut batch = Batch::default();
        batch.push(1, &"x".repeat(BYTES_MAX));
        assert!(batch.is_full());
        let mut batch = Batch::default();
        for number in 0..LINES_MAX as u64 {
            assert!(!batch.is_full());
            batch.push(number, "x");
        }
        assert!(batch.is_full());
    }
}
