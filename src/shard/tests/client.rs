//! A client of the random tests: its sink, what it is to receive and what it has.

use std::io;
use std::sync::{Arc, Mutex};

use super::TOPICS;
use crate::envelope::Envelope;
use crate::frame::Wire;
use crate::metrics::DisconnectReason;
use crate::pull::{Pull, Read};
use crate::shard::connection::sent::Sent;
use crate::shard::connection::slots::Key;
use crate::shard::connection::Sink;

/// The far end of a scripted sink, which takes `capacity` more bytes.
#[derive(Default)]
pub(super) struct Far {
    pub(super) received: Vec<u8>,
    pub(super) capacity: usize,
    pub(super) broken: bool,
    /// The queue that it reads, if it is no sink that takes bytes by itself.
    pub(super) queue: Option<Arc<Pull<DisconnectReason>>>,
}

pub(super) struct TestClient {
    pub(super) key: Key,
    pub(super) far: Arc<Mutex<Far>>,
    /// The bare stream that it is to receive.
    pub(super) expected: Vec<u8>,
    pub(super) topics: Vec<usize>,
    pub(super) wire: Wire,
    pub(super) envelope: Envelope,
    /// Whether it has filters, so that it is never complete.
    pub(super) has_filters: bool,
    /// Its topics that are not finished, as far as that concerns it.
    pub(super) open: Vec<usize>,
    /// When the last of its topics was finished.
    pub(super) complete_at: Option<u64>,
    /// Whether it was sent something of the past.
    pub(super) returned: bool,
    /// Whether it was sent something of the past when all of its topics were finished, and was
    /// given others since.
    pub(super) has_more: bool,
}

impl Far {
    /// Reads its queue as far as it takes bytes, or leaves it when it is broken. Returns the id to
    /// tell the shard, if it has to be told something.
    pub(super) fn read(&mut self) -> Option<u64> {
        let queue = self.queue.take_if(|_| self.broken);
        if let Some(queue) = queue {
            self.received.extend(queue.waiting());
            return queue.abandon();
        }
        let (queue, mut told) = (self.queue.clone()?, None);
        while self.capacity > 0 {
            let Read::Batch(batch, id) = queue.read() else { break };
            assert!(!batch.is_empty());
            self.capacity -= batch.len().min(self.capacity);
            self.received.extend_from_slice(&batch);
            told = told.or(id);
        }
        told
    }
}

impl TestClient {
    /// What it was sent: what its sink took.
    pub(super) fn received(&self) -> Vec<u8> {
        let far = self.far.lock().unwrap();
        let waiting = far.queue.as_ref().map(|queue| queue.waiting());
        [&far.received[..], &waiting.unwrap_or_default()].concat()
    }

    /// A block with an id and one line of data, as the client is to get it.
    pub(super) fn shown(&self, topics: &[usize], block: &str) -> String {
        if self.envelope == Envelope::None {
            return block.to_owned();
        }
        let (id, data) = block.split_once("\ndata: ").expect("it has data");
        let id = id.strip_prefix("id: ").expect("it begins with its id");
        let (data, end) = data.split_at(data.trim_end().len());
        let mut names: Vec<&str> = topics.iter().map(|&topic| TOPICS[topic]).collect();
        names.sort_unstable();
        // These texts are escaped as in Rust.
        let names = match names[..] {
            [topic] => format!("\"topic\":{topic:?}"),
            _ => format!("\"topic\":{:?},\"topics\":{names:?}", names[0]).replace(", ", ","),
        };
        format!("id: {id}\ndata: {{{names},\"id\":{id:?},\"data\":{data:?}}}{end}")
    }

    /// Whether the events and bytes that it was sent are those that its far end has. A block that
    /// is not whole may be an event's or not.
    pub(super) fn has(&self, sent: Sent) -> bool {
        let received = body(&self.received(), self.wire);
        let text = String::from_utf8(received).unwrap();
        let text = text.strip_prefix("head\n").unwrap_or_default();
        let mut blocks: Vec<&str> = text.split_inclusive("\n\n").collect();
        let rest = blocks.pop_if(|block| !block.ends_with("\n\n")).unwrap_or_default();
        let is_event =
            |block: &&str| block.contains("data: ") && !block.contains("event: fanfare-gap");
        let events: Vec<&str> = blocks.into_iter().filter(is_event).collect();
        let bytes: usize = events.iter().map(|event| event.len()).sum();
        let all_bytes = [bytes as u64, (bytes + rest.len()) as u64];
        sent.events == events.len() as u64 && all_bytes.contains(&sent.bytes)
    }
}

/// A sink that takes a number of bytes, and its far end.
pub(super) fn scripted(capacity: usize) -> (Sink, Arc<Mutex<Far>>) {
    let far = Arc::new(Mutex::new(Far { capacity, ..Far::default() }));
    let sink = Sink::Scripted(Box::new({
        let far = far.clone();
        move |bytes| {
            let mut far = far.lock().unwrap();
            if far.broken {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if far.capacity == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let taken = far.capacity.min(bytes.len());
            far.capacity -= taken;
            far.received.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
    }));
    (sink, far)
}

/// Takes the chunks' heads and tails off, also of a last chunk that is not whole.
pub(super) fn body(received: &[u8], wire: Wire) -> Vec<u8> {
    if wire == Wire::Plain {
        return received.to_vec();
    }
    let (mut rest, mut body) = (received, Vec::new());
    while let Some(at) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&rest[..at]).expect("a chunk's size is text");
        let size = usize::from_str_radix(size, 16).expect("a chunk's size is a number");
        let content = &rest[at + 2..];
        if content.len() < size + 2 {
            body.extend_from_slice(&content[..size.min(content.len())]);
            return body;
        }
        assert_eq!(&content[size..size + 2], b"\r\n");
        body.extend_from_slice(&content[..size]);
        rest = &content[size + 2..];
    }
    body
}
