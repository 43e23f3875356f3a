//! What an order knows beside the events that it keeps, in the form in which its journal has it: what was
//! forgotten of each topic, and the rules. It stands for all items whose records the
//! journal has dropped.
//!
//! It is gathered in parts, so that no publisher waits for long: each topic's part is right at the
//! moment when it was gathered. Events of a topic up to what the summary says are forgotten, whether
//! the journal still has them or not.

use std::sync::Arc;

use bytes::BufMut;

use super::history::{Forgotten, ForgottenOfTopic};
use super::item::{
    put_optional, put_options, put_text, put_times, put_topics, Fields, Malformed, Times,
};
use crate::filter::Subscription;
use crate::options::TopicOptions;
use crate::topic::Topic;

/// The version of the form.
const VERSION: u8 = 1;

#[derive(Debug, Default, PartialEq)]
pub(super) struct Summary {
    pub(super) times: Option<Times>,
    /// The rules, and up to which number of the order they are these.
    pub(super) rules: Vec<(Subscription, TopicOptions)>,
    pub(super) rules_to: u64,
    /// Up to which number events of topics that are not named were forgotten.
    pub(super) others_to: u64,
    /// Up to which number events of lists of topics that are not named were forgotten.
    pub(super) lists_to: u64,
    /// The topics of which events were forgotten.
    pub(super) topics: Vec<(Topic, ForgottenOfTopic)>,
    /// The lists of topics of which events were forgotten by all of their topics.
    pub(super) lists: Vec<(Arc<[Topic]>, Forgotten)>,
}

impl Summary {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put_optional(&mut bytes, self.times.as_ref(), put_times);
        bytes.put_u64_le(self.rules_to);
        bytes.put_u32_le(self.rules.len() as u32);
        for (subscription, options) in &self.rules {
            put_text(&mut bytes, subscription.as_str());
            put_options(&mut bytes, options);
        }
        bytes.put_u64_le(self.others_to);
        bytes.put_u64_le(self.lists_to);
        bytes.put_u32_le(self.topics.len() as u32);
        for (topic, forgotten) in &self.topics {
            put_text(&mut bytes, topic.as_str());
            put_forgotten(&mut bytes, forgotten.own);
            put_forgotten(&mut bytes, forgotten.shared);
        }
        bytes.put_u32_le(self.lists.len() as u32);
        for (topics, gone) in &self.lists {
            put_topics(&mut bytes, topics);
            put_forgotten(&mut bytes, *gone);
        }
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Summary, Malformed> {
        let mut fields = Fields(bytes);
        if fields.u8()? != VERSION {
            return Err(Malformed("a summary of a version that this one does not know"));
        }
        let times = fields.optional(Fields::times)?;
        let rules_to = fields.u64()?;
        let rules = (0..fields.u32()?)
            .map(|_| Ok((fields.subscription()?, fields.options()?)))
            .collect::<Result<_, Malformed>>()?;
        let (others_to, lists_to) = (fields.u64()?, fields.u64()?);
        let topics = (0..fields.u32()?)
            .map(|_| {
                let topic = fields.topic()?;
                let (own, shared) = (read_forgotten(&mut fields)?, read_forgotten(&mut fields)?);
                Ok((topic, ForgottenOfTopic { own, shared }))
            })
            .collect::<Result<_, Malformed>>()?;
        let lists = (0..fields.u32()?)
            .map(|_| Ok((fields.topics()?.into(), read_forgotten(&mut fields)?)))
            .collect::<Result<_, Malformed>>()?;
        Ok(Summary { times, rules, rules_to, others_to, lists_to, topics, lists })
    }
}

fn put_forgotten(bytes: &mut Vec<u8>, forgotten: Forgotten) {
    bytes.put_u64_le(forgotten.to);
    put_optional(bytes, forgotten.known, |bytes, (first, count)| {
        bytes.put_u64_le(first);
        bytes.put_u64_le(count);
    });
}

fn read_forgotten(fields: &mut Fields<'_>) -> Result<Forgotten, Malformed> {
    let to = fields.u64()?;
    let known = fields.optional(|fields| Ok((fields.u64()?, fields.u64()?)))?;
    Ok(Forgotten { to, known })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use std::time::Duration;

    #[test]
    fn a_summary_is_read_as_it_was_written_and_no_part_of_it_is_one() {
        let known = Forgotten { to: 9, known: Some((2, 5)) };
        let unknown = Forgotten { to: 12, known: None };
        let summary = Summary {
            times: Some(Times { at_ns: 5, unix_ns: 1_700_000_000_000_000_000 }),
            rules: vec![(
                Subscription::new("run/#").unwrap(),
                TopicOptions::default()
                    .history_events_max(3)
                    .history_age_max(Duration::from_secs(9))
                    .policy(Policy::Conflate),
            )],
            rules_to: 11,
            others_to: 3,
            lists_to: 4,
            topics: vec![
                (Topic::new("a").unwrap(), ForgottenOfTopic { own: known, shared: unknown }),
                (Topic::new("b").unwrap(), ForgottenOfTopic { own: unknown, ..Default::default() }),
            ],
            lists: vec![(["a", "b"].map(|name| Topic::new(name).unwrap()).into(), known)],
        };
        let bytes = summary.encode();
        assert_eq!(Summary::read(&bytes), Ok(summary));
        for len in 0..bytes.len() {
            assert!(Summary::read(&bytes[..len]).is_err(), "its first {len} bytes");
        }
    }
}
