//! Questions to all nodes and their answers as bytes, in little-endian:
//!
//! ```text
//!   question   version u8   1 connections  filter      2 subscribers  topic [text]
//!   filter     subscription [text]?  tag [text]?  lagging u8  slowest_first u8  limit u32
//!   answer     version u8   count u64   connections u32 [connection]...
//!   connection id u64  subscriptions u32 [text]...  address [text]?  tag [text]?  since_us u64  events u64
//!              bytes u64  state u8  lag_events u64  lag_bytes u64  lag_ns u64  policy [text]
//! ```
//!
//! A text and a field that may be missing (`?`) are as in the items of the stream.

use std::time::{Duration, SystemTime};

use bytes::BufMut;

use super::found::Question;
use super::ClusterConnections;
use crate::filter::Subscription;
use crate::lifecycle::{ConnectionFilter, ConnectionId, ConnectionInfo, ConnectionState};
use crate::order::{put_optional, put_text, Fields, Malformed};
use crate::shard::Census;
use crate::stream_options::StreamOptions;
use crate::topic::Topic;

/// Of both; it grows when either has another form.
const VERSION: u8 = 1;
const CONNECTIONS: u8 = 1;
const SUBSCRIBERS: u8 = 2;

impl Question {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        match self {
            Question::Connections(filter) => {
                let ConnectionFilter { subscription, tag, lagging, slowest_first, limit } = filter;
                bytes.put_u8(CONNECTIONS);
                let subscription = subscription.as_ref().map(Subscription::as_str);
                put_optional(&mut bytes, subscription, put_text_of);
                // No connection has a longer one, or none with no bytes.
                let tag = tag.as_deref().map(|tag| match tag.len() {
                    ..=StreamOptions::TAG_BYTES_MAX => tag,
                    _ => "",
                });
                put_optional(&mut bytes, tag, put_text_of);
                bytes.put_u8(u8::from(*lagging));
                bytes.put_u8(u8::from(*slowest_first));
                bytes.put_u32_le((*limit).min(ClusterConnections::LIMIT_MAX) as u32);
            }
            Question::Subscribers(topic) => {
                bytes.put_u8(SUBSCRIBERS);
                put_text(&mut bytes, topic.as_str());
            }
        }
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Question, Malformed> {
        let mut fields = fields_of(bytes)?;
        let question = match fields.u8()? {
            CONNECTIONS => Question::Connections(ConnectionFilter {
                subscription: fields.optional(Fields::subscription)?,
                tag: fields.optional(Fields::text)?.map(Into::into),
                lagging: fields.u8()? != 0,
                slowest_first: fields.u8()? != 0,
                limit: (fields.u32()? as usize).min(ClusterConnections::LIMIT_MAX),
            }),
            SUBSCRIBERS => {
                let topic = Topic::new(fields.text()?);
                Question::Subscribers(topic.map_err(|_| Malformed("a name that is no topic"))?)
            }
            _ => return Err(Malformed("a question that this version does not know")),
        };
        ended(&fields).map(|()| question)
    }
}

/// An answer; connections that do not fit into it are counted alone.
pub(super) fn write_answer(census: &Census) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.put_u64_le(census.count);
    let count_at = bytes.len();
    bytes.put_u32_le(0);
    let (mut listed, mut one) = (0_u32, Vec::new());
    for info in &census.connections {
        one.clear();
        put_connection(&mut one, info);
        if bytes.len() + one.len() <= ClusterConnections::NODE_BYTES_MAX {
            bytes.extend_from_slice(&one);
            listed += 1;
        }
    }
    bytes[count_at..count_at + 4].copy_from_slice(&listed.to_le_bytes());
    bytes
}

pub(super) fn read_answer(bytes: &[u8]) -> Result<Census, Malformed> {
    let mut fields = fields_of(bytes)?;
    let (count, listed) = (fields.u64()?, fields.u32()?);
    let connections =
        (0..listed).map(|_| read_connection(&mut fields)).collect::<Result<Vec<_>, _>>()?;
    ended(&fields).map(|()| Census { count, connections })
}

fn put_text_of(bytes: &mut Vec<u8>, text: &str) {
    put_text(bytes, text);
}

fn put_connection(bytes: &mut Vec<u8>, info: &ConnectionInfo) {
    bytes.put_u64_le(info.id.to_u64());
    bytes.put_u32_le(info.subscriptions.len() as u32);
    for subscription in &info.subscriptions {
        put_text(bytes, subscription.as_str());
    }
    let addr = info.addr.map(|addr| addr.to_string());
    put_optional(bytes, addr.as_deref(), put_text_of);
    put_optional(bytes, info.tag.as_deref(), put_text_of);
    let since = info.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    bytes.put_u64_le(since.as_micros() as u64);
    bytes.put_u64_le(info.events);
    bytes.put_u64_le(info.bytes);
    bytes.put_u8(match info.state {
        ConnectionState::Live => 0,
        ConnectionState::Lagging => 1,
        ConnectionState::Replaying => 2,
    });
    bytes.put_u64_le(info.lag_events);
    bytes.put_u64_le(info.lag_bytes);
    // It was made of nanoseconds in 64 bits.
    bytes.put_u64_le(info.lag_age.as_nanos() as u64);
    put_text(bytes, info.policy.as_str());
}

fn read_connection(fields: &mut Fields<'_>) -> Result<ConnectionInfo, Malformed> {
    let id = ConnectionId::from_u64(fields.u64()?);
    let subscriptions =
        (0..fields.u32()?).map(|_| fields.subscription()).collect::<Result<Vec<_>, _>>()?;
    let addr = fields.optional(|fields| {
        fields.text()?.parse().map_err(|_| Malformed("a text that is no address"))
    })?;
    Ok(ConnectionInfo {
        id,
        subscriptions,
        addr,
        tag: fields.optional(Fields::text)?.map(Into::into),
        since: SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_micros(fields.u64()?))
            .ok_or(Malformed("a time that is none"))?,
        events: fields.u64()?,
        bytes: fields.u64()?,
        state: match fields.u8()? {
            0 => ConnectionState::Live,
            1 => ConnectionState::Lagging,
            2 => ConnectionState::Replaying,
            _ => return Err(Malformed("a state that this version does not know")),
        },
        lag_events: fields.u64()?,
        lag_bytes: fields.u64()?,
        lag_age: Duration::from_nanos(fields.u64()?),
        policy: fields
            .text()?
            .parse()
            .map_err(|_| Malformed("a policy that this version does not know"))?,
    })
}

fn fields_of(bytes: &[u8]) -> Result<Fields<'_>, Malformed> {
    let mut fields = Fields(bytes);
    match fields.u8()? {
        VERSION => Ok(fields),
        _ => Err(Malformed("it is of another version")),
    }
}

fn ended(fields: &Fields<'_>) -> Result<(), Malformed> {
    match fields.0.is_empty() {
        true => Ok(()),
        false => Err(Malformed("it has more than belongs to it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    fn info(nth: u64, topics: usize) -> ConnectionInfo {
        ConnectionInfo {
            id: ConnectionId::from_u64(nth << 32),
            subscriptions: (0..topics).map(|nth| format!("{nth:0>250}").parse().unwrap()).collect(),
            addr: (nth % 2 == 0).then(|| "[::1]:8080".parse().unwrap()),
            tag: (nth % 3 == 0).then(|| "größe".into()),
            since: SystemTime::UNIX_EPOCH + Duration::from_micros(nth),
            events: nth,
            bytes: nth + 1,
            state: [ConnectionState::Live, ConnectionState::Lagging, ConnectionState::Replaying]
                [nth as usize % 3],
            lag_events: nth + 2,
            lag_bytes: nth + 3,
            lag_age: Duration::from_nanos(nth + 4),
            policy: Policy::all().nth(nth as usize % 3).unwrap(),
        }
    }

    #[test]
    fn questions_and_answers_are_read_as_they_were_written_and_cut_short_are_none() {
        let some = ConnectionFilter::slowest(7)
            .tag("t")
            .subscription("a/#".parse::<Subscription>().unwrap());
        let all = ConnectionFilter::default().limit(usize::MAX);
        let topic = Topic::new("a").unwrap();
        for question in [Question::Connections(some), Question::Subscribers(topic)] {
            let bytes = question.write();
            assert_eq!(Question::read(&bytes).unwrap(), question);
            assert!((0..bytes.len()).all(|len| Question::read(&bytes[..len]).is_err()));
            assert!(Question::read(&[&bytes[..], b"x"].concat()).is_err());
        }
        let Ok(Question::Connections(read)) = Question::read(&Question::Connections(all).write())
        else {
            panic!("it is about connections")
        };
        assert_eq!(read.limit, ClusterConnections::LIMIT_MAX);
        let connections: Vec<_> = (0..6).map(|nth| info(nth, nth as usize)).collect();
        let bytes = write_answer(&Census { count: 9, connections: connections.clone() });
        let read = read_answer(&bytes).unwrap();
        assert_eq!((read.count, read.connections), (9, connections));
        assert!((0..bytes.len()).all(|len| read_answer(&bytes[..len]).is_err()));
        let other = [&[VERSION + 1], &bytes[1..]].concat();
        assert!(read_answer(&other).is_err() && Question::read(&other).is_err());
    }

    #[test]
    fn what_does_not_fit_into_an_answer_is_counted() {
        let connections = vec![info(0, 2), info(1, 20_000), info(2, 2)];
        let bytes = write_answer(&Census { count: 3, connections: connections.clone() });
        let read = read_answer(&bytes).unwrap();
        assert_eq!(read.count, 3);
        assert_eq!(read.connections, [connections[0].clone(), connections[2].clone()]);
        let connections: Vec<_> = (0..10_000).map(|nth| info(nth, 2)).collect();
        let bytes = write_answer(&Census { count: 10_000, connections });
        assert!(bytes.len() <= ClusterConnections::NODE_BYTES_MAX);
        let read = read_answer(&bytes).unwrap();
        assert_eq!(read.count, 10_000);
        assert!((3_000..9_999).contains(&read.connections.len()), "{}", read.connections.len());
    }
}
