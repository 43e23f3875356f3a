//! What the nodes of a cluster tell each other, as bytes, in little-endian. A node appends items to the cluster's
//! stream before they have numbers; each node applies them to its order:
//!
//! ```text
//!   event      1  window_ns u64  topics u16 [text]...  parts
//!   finished   2  topic [text]  the last event's [parts]?
//!   rule       3  subscription [text]  options, or none if it was removed
//!
//!   parts      custom id [text]?  key [text]?  u32 bytes, the encoded fields
//!   text       u32 bytes, UTF-8            ?  u8, 0 or 1, and if that is 1 what stands before it
//! ```

use std::sync::Arc;

use bytes::BufMut;

use super::item::{put_optional, put_options, put_text, put_topics, Fields, Malformed};
use crate::filter::Subscription;
use crate::frame::Draft;
use crate::options::TopicOptions;
use crate::topic::Topic;

const EVENT: u8 = 1;
const FINISHED: u8 = 2;
const RULE: u8 = 3;

/// Something that takes a number in a cluster's order.
pub(crate) enum ClusterItem {
    /// An event of one topic or several: these are in the order of their names.
    Event { topics: Arc<[Topic]>, draft: Draft, window_ns: u64 },
    /// A topic is finished, with a last event if there is one.
    Finished { topic: Topic, last: Option<Draft> },
    /// A rule was set, or removed.
    Rule { subscription: Subscription, options: Option<TopicOptions> },
}

impl ClusterItem {
    /// Appends the bytes of an event, before its draft is given away.
    pub(crate) fn put_event(bytes: &mut Vec<u8>, topics: &[Topic], draft: &Draft, window_ns: u64) {
        bytes.put_u8(EVENT);
        bytes.put_u64_le(window_ns);
        put_topics(bytes, topics);
        put_parts(bytes, draft);
    }

    pub(crate) fn put_finished(bytes: &mut Vec<u8>, topic: &Topic, last: Option<&Draft>) {
        bytes.put_u8(FINISHED);
        put_text(bytes, topic.as_str());
        put_optional(bytes, last, put_parts);
    }

    pub(crate) fn put_rule(
        bytes: &mut Vec<u8>,
        subscription: &Subscription,
        options: Option<&TopicOptions>,
    ) {
        bytes.put_u8(RULE);
        put_text(bytes, subscription.as_str());
        put_optional(bytes, options, put_options);
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<ClusterItem, Malformed> {
        let mut fields = Fields(bytes);
        let item = match fields.u8()? {
            EVENT => {
                let (window_ns, topics) = (fields.u64()?, Arc::<[Topic]>::from(fields.topics()?));
                let several = (topics.len() > 1).then(|| topics.clone());
                ClusterItem::Event { draft: read_parts(&mut fields, several)?, topics, window_ns }
            }
            FINISHED => {
                let topic = fields.topic()?;
                let last = fields.optional(|fields| read_parts(fields, None))?;
                ClusterItem::Finished { topic, last }
            }
            RULE => {
                let subscription = fields.subscription()?;
                ClusterItem::Rule { subscription, options: fields.optional(Fields::options)? }
            }
            _ => return Err(Malformed("an item of a kind that this version does not know")),
        };
        match fields.0.is_empty() {
            true => Ok(item),
            false => Err(Malformed("an item with more than belongs to it")),
        }
    }
}

fn put_parts(bytes: &mut Vec<u8>, draft: &Draft) {
    put_optional(bytes, draft.custom_id(), |bytes, id| put_text(bytes, id));
    put_optional(bytes, draft.key(), put_text);
    let fields = draft.fields();
    // At most `Options::event_bytes_max` and the names of fields.
    bytes.put_u32_le(fields.len() as u32);
    bytes.put_slice(fields);
}

fn read_parts(fields: &mut Fields<'_>, topics: Option<Arc<[Topic]>>) -> Result<Draft, Malformed> {
    let custom_id = fields.optional(Fields::text)?;
    let key = fields.optional(Fields::text)?;
    let len = fields.u32()? as usize;
    Ok(Draft::of_parts(fields.bytes(len)?, custom_id, key, topics))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::id::Epoch;

    fn topic(name: &str) -> Topic {
        Topic::new(name).unwrap()
    }

    fn frame_of(draft: Draft) -> String {
        let frame = draft.stamp(Epoch::from_bytes(*b"00000000").unwrap(), 7, 0);
        format!("{:?} {:?} {:?}", frame.key(), frame.custom_id(), frame)
    }

    #[test]
    fn an_item_is_read_as_it_was_written_and_cut_short_is_none() {
        let event = Event::new("a\nb").with_name("n").with_key("k").with_id("own");
        let draft = || {
            let mut draft = Draft::encode(&event, 100).unwrap();
            draft.scope_key(&topic("one"));
            draft
        };
        let (mut one, mut several, mut end, mut rule) = (vec![], vec![], vec![], vec![]);
        ClusterItem::put_event(&mut one, &[topic("one")], &draft(), 9);
        ClusterItem::put_event(&mut several, &[topic("a"), topic("b")], &draft(), 0);
        ClusterItem::put_finished(&mut end, &topic("one"), Some(&draft()));
        let filter: Subscription = "a/#".parse().unwrap();
        let options = TopicOptions::default().history_events_max(3);
        ClusterItem::put_rule(&mut rule, &filter, Some(&options));
        let expected = frame_of(draft());
        match ClusterItem::read(&one).unwrap() {
            ClusterItem::Event { topics, draft, window_ns: 9 } => {
                assert_eq!((&*topics, draft.topics()), (&[topic("one")][..], None));
                assert_eq!(frame_of(draft), expected);
            }
            _ => panic!("it is an event"),
        }
        match ClusterItem::read(&several).unwrap() {
            ClusterItem::Event { topics, draft, .. } => {
                assert_eq!(draft.topics(), Some(&topics));
                assert_eq!(topics.len(), 2);
            }
            _ => panic!("it is an event"),
        }
        match ClusterItem::read(&end).unwrap() {
            ClusterItem::Finished { last: Some(last), .. } => assert_eq!(frame_of(last), expected),
            _ => panic!("it is an end"),
        }
        match ClusterItem::read(&rule).unwrap() {
            ClusterItem::Rule { subscription, options: read } => {
                assert_eq!((subscription, read), (filter, Some(options)));
            }
            _ => panic!("it is a rule"),
        }
        for whole in [one, several, end, rule] {
            for len in 0..whole.len() {
                assert!(ClusterItem::read(&whole[..len]).is_err(), "{len} of {}", whole.len());
            }
            assert!(ClusterItem::read(&[&whole[..], b"x"].concat()).is_err());
        }
    }
}
