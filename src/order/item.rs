//! What an order writes into its journal, and how it is written: items, each of which has taken a number in
//! the order. A number is the journal's own field; what follows is an item's payload, in little-endian:
//!
//! ```text
//!   event      1  at_ns u64  topics u16 [text]...  custom id [text]?  key [text]?  the event stream's bytes
//!   finished   2  at_ns u64  topic [text]
//!   rule       3  subscription [text]  options, or none if it was removed
//!   time       4  at_ns u64  unix_ns u64
//!   passed     5  at_ns u64  topics u16 [text]...
//!
//!   text       u32 bytes, UTF-8            ?  u8, 0 or 1, and if that is 1 what stands before it
//! ```
//!
//! An event's bytes are those that clients are sent without framing, its `id:` line included: a client that
//! comes back in a later life of the hub is sent the same bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, TryGetError};

use crate::filter::Subscription;
use crate::frame::Frame;
use crate::journal::Record;
use crate::options::TopicOptions;
use crate::topic::Topic;

const EVENT: u8 = 1;
const FINISHED: u8 = 2;
const RULE: u8 = 3;
const TIME: u8 = 4;
const PASSED: u8 = 5;

/// A longer event is not copied into the journal's queue, while the order is locked, but shared.
const COPIED_BYTES_MAX: usize = 4096;

/// Something that takes a number in the order.
pub(crate) enum Item<'a> {
    /// An event that is kept. Its frame knows its topics if they are several.
    Event { topic: &'a Topic, frame: &'a Frame },
    /// An event of which nothing is kept, since its topics' rules say so: it is known that it was there.
    Passed { topics: &'a [Topic], number: u64, at_ns: u64 },
    /// The mark of a topic that is finished.
    Finished { topic: &'a Topic, number: u64, at_ns: u64 },
    /// A rule was set, or removed.
    Rule { number: u64, subscription: &'a Subscription, options: Option<&'a TopicOptions> },
    /// What the clocks said at the same moment: the hub's, and the time of day since 1970.
    Time { number: u64, times: Times },
}

/// The same moment on the hub's clock and by the time of day, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) at_ns: u64,
    pub(crate) unix_ns: u64,
}

/// An item that was read.
pub(super) enum ReadItem<'a> {
    Event(ReadEvent<'a>),
    Passed { topics: Vec<Topic>, at_ns: u64 },
    Finished { topic: Topic, at_ns: u64 },
    Rule { subscription: Subscription, options: Option<TopicOptions> },
    Time(Times),
}

pub(super) struct ReadEvent<'a> {
    pub(super) at_ns: u64,
    /// In the order of their names; one at least.
    pub(super) topics: Vec<Topic>,
    pub(super) custom_id: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    pub(super) plain: &'a [u8],
}

/// A payload is none that this version has written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl Record for Item<'_> {
    fn number(&self) -> u64 {
        match self {
            Item::Event { frame, .. } => frame.sequence(),
            Item::Passed { number, .. }
            | Item::Finished { number, .. }
            | Item::Rule { number, .. }
            | Item::Time { number, .. } => *number,
        }
    }

    fn encode(&self, payload: &mut Vec<u8>) -> Option<Bytes> {
        match self {
            Item::Event { topic, frame } => return put_event(payload, topic, frame),
            Item::Passed { topics, at_ns, .. } => {
                payload.put_u8(PASSED);
                payload.put_u64_le(*at_ns);
                put_topics(payload, topics);
            }
            Item::Finished { topic, at_ns, .. } => {
                payload.put_u8(FINISHED);
                payload.put_u64_le(*at_ns);
                put_text(payload, topic.as_str());
            }
            Item::Rule { subscription, options, .. } => {
                payload.put_u8(RULE);
                put_text(payload, subscription.as_str());
                put_optional(payload, *options, put_options);
            }
            Item::Time { times, .. } => {
                payload.put_u8(TIME);
                put_times(payload, times);
            }
        }
        None
    }
}

/// Appends an event, or all of it but its bytes, if these are many.
fn put_event(payload: &mut Vec<u8>, topic: &Topic, frame: &Frame) -> Option<Bytes> {
    payload.put_u8(EVENT);
    payload.put_u64_le(frame.at_ns());
    let topics = frame.topics().map_or(std::slice::from_ref(topic), |several| &several[..]);
    put_topics(payload, topics);
    put_optional(payload, frame.custom_id(), |payload, id| put_text(payload, id));
    put_optional(payload, frame.key(), put_text);
    if frame.plain().len() > COPIED_BYTES_MAX {
        return Some(Bytes::from_owner(Plain(frame.clone())));
    }
    payload.put_slice(frame.plain());
    None
}

/// The bytes of an event, as a part of its frame.
struct Plain(Frame);

impl AsRef<[u8]> for Plain {
    fn as_ref(&self) -> &[u8] {
        self.0.plain()
    }
}

pub(super) fn put_topics(payload: &mut Vec<u8>, topics: &[Topic]) {
    // At most `Event::TOPICS_MAX`.
    payload.put_u16_le(topics.len() as u16);
    topics.iter().for_each(|topic| put_text(payload, topic.as_str()));
}

impl<'a> ReadItem<'a> {
    pub(super) fn read(payload: &'a [u8]) -> Result<ReadItem<'a>, Malformed> {
        let mut fields = Fields(payload);
        Ok(match fields.u8()? {
            EVENT => ReadItem::Event(ReadEvent::read(fields)?),
            PASSED => {
                let at_ns = fields.u64()?;
                ReadItem::Passed { at_ns, topics: fields.topics()? }
            }
            FINISHED => {
                let at_ns = fields.u64()?;
                ReadItem::Finished { at_ns, topic: fields.topic()? }
            }
            RULE => {
                let subscription = fields.subscription()?;
                ReadItem::Rule { subscription, options: fields.optional(Fields::options)? }
            }
            TIME => ReadItem::Time(fields.times()?),
            _ => return Err(Malformed("an item of a kind that this version does not know")),
        })
    }
}

impl<'a> ReadEvent<'a> {
    fn read(mut fields: Fields<'a>) -> Result<ReadEvent<'a>, Malformed> {
        let (at_ns, topics) = (fields.u64()?, fields.topics()?);
        let custom_id = fields.optional(Fields::text)?;
        let key = fields.optional(Fields::text)?;
        Ok(ReadEvent { at_ns, topics, custom_id, key, plain: fields.0 })
    }

    /// The event as a frame, as it was in the life in which it was published.
    pub(super) fn frame(&self, number: u64, list: Option<(u32, Arc<[Topic]>)>) -> Frame {
        Frame::restored(self.plain, self.custom_id, self.key, list, number, self.at_ns)
    }
}

/// What is left of a payload.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.0.try_get_u8()?)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(self.0.try_get_u16_le()?)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(self.0.try_get_u32_le()?)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(self.0.try_get_u64_le()?)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) =
            self.0.split_at_checked(len).ok_or(Malformed("it ends in the middle of a field"))?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        let len = self.u32()? as usize;
        std::str::from_utf8(self.bytes(len)?).map_err(|_| Malformed("a text that is not UTF-8"))
    }

    pub(super) fn topic(&mut self) -> Result<Topic, Malformed> {
        Topic::new(self.text()?).map_err(|_| Malformed("a name that is no topic"))
    }

    /// Topics in the order of their names, each once.
    pub(super) fn topics(&mut self) -> Result<Vec<Topic>, Malformed> {
        let topics = (0..self.u16()?).map(|_| self.topic()).collect::<Result<Vec<Topic>, _>>()?;
        match topics.is_sorted_by(|a, b| a < b) && !topics.is_empty() {
            true => Ok(topics),
            false => Err(Malformed("an event without topics, or with the same twice")),
        }
    }

    pub(crate) fn subscription(&mut self) -> Result<Subscription, Malformed> {
        Subscription::new(self.text()?).map_err(|_| Malformed("a text that is no subscription"))
    }

    pub(crate) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Fields<'a>) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Malformed("a field that is neither there nor not there")),
        }
    }

    pub(super) fn times(&mut self) -> Result<Times, Malformed> {
        Ok(Times { at_ns: self.u64()?, unix_ns: self.u64()? })
    }

    pub(super) fn options(&mut self) -> Result<TopicOptions, Malformed> {
        let count = |fields: &mut Fields<'a>| fields.u64().map(|count| count as usize);
        let time = |fields: &mut Fields<'a>| fields.u64().map(Duration::from_nanos);
        let history_events_max = self.optional(count)?;
        let history_bytes_max = self.optional(count)?;
        let history_age_max = self.optional(time)?;
        let finished_age_max = self.optional(time)?;
        let policy = self.optional(|fields| {
            fields
                .text()?
                .parse()
                .map_err(|_| Malformed("a policy that this version does not know"))
        })?;
        let options = TopicOptions {
            history_events_max,
            history_bytes_max,
            history_age_max,
            finished_age_max,
            policy,
        };
        options.check().map_err(|_| Malformed("a rule whose options are out of bounds"))?;
        Ok(options)
    }
}

impl From<TryGetError> for Malformed {
    fn from(_: TryGetError) -> Malformed {
        Malformed("it ends in the middle of a field")
    }
}

pub(crate) fn put_text(payload: &mut Vec<u8>, text: &str) {
    payload.put_u32_le(text.len() as u32);
    payload.put_slice(text.as_bytes());
}

pub(crate) fn put_optional<T>(
    payload: &mut Vec<u8>,
    value: Option<T>,
    put: impl FnOnce(&mut Vec<u8>, T),
) {
    payload.put_u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put(payload, value);
    }
}

pub(super) fn put_times(payload: &mut Vec<u8>, times: &Times) {
    payload.put_u64_le(times.at_ns);
    payload.put_u64_le(times.unix_ns);
}

pub(super) fn put_options(payload: &mut Vec<u8>, options: &TopicOptions) {
    let TopicOptions {
        history_events_max,
        history_bytes_max,
        history_age_max,
        finished_age_max,
        policy,
    } = options;
    let count = |payload: &mut Vec<u8>, count: usize| payload.put_u64_le(count as u64);
    // At most some days.
    let time = |payload: &mut Vec<u8>, time: Duration| payload.put_u64_le(time.as_nanos() as u64);
    put_optional(payload, *history_events_max, count);
    put_optional(payload, *history_bytes_max, count);
    put_optional(payload, *history_age_max, time);
    put_optional(payload, *finished_age_max, time);
    put_optional(payload, *policy, |payload, policy| put_text(payload, policy.as_str()));
}
