//! What a host asks about a shard's connections, or wants to have done with them.
//!
//! To go through 100,000 connections takes milliseconds, for which nobody is to wait. So a question
//! is answered in steps, a bounded share each turn, by a walk along the slab; several at once take
//! turns. Those who come and go meanwhile are in the answer or are not. A question is dropped when
//! nobody waits for its answer any more.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_channel::Sender;

use crate::filter::Subscription;
use crate::lifecycle::{
    ConnectionFilter, ConnectionId, ConnectionInfo, ConnectionSelector, TopicCount,
};
use crate::metrics::DisconnectReason;
use crate::shard::admin::describe::Lag;
use crate::shard::admin::resubscribe::Resubscribed;
use crate::shard::connection::slots::Key;
use crate::shard::connection::State;
use crate::shard::Shard;
use crate::topic::Topic;

/// Questions that a shard answers at once.
const QUERIES_MAX: usize = 64;
/// What one turn does for all questions, in entries that are looked at.
const COST_MAX: usize = 4096;
/// What it costs to describe a connection, and to send one away, in the same units.
const INFO_COST: usize = 16;
const FAREWELL_COST: usize = 16;
/// What it costs to give one other topics, beside what depends on how many and on what waits.
const RESUBSCRIBE_COST: usize = 64;
/// Events whose bytes are added up at the cost of one entry.
const EVENTS_PER_COST: u64 = 64;

/// What a host wants to know, or to have done.
#[derive(Clone)]
pub(crate) enum Query {
    Connections(ConnectionFilter),
    Subscribers(Topic),
    Topics,
    Disconnect { who: ConnectionSelector, retry: Duration },
    Subscribe { id: ConnectionId, wanted: Arc<[Subscription]> },
}

/// What one shard says to it.
pub(crate) enum Answer {
    /// It has too many questions already.
    Busy,
    /// The connection has something to take first.
    TooEarly,
    Connections(Vec<ConnectionInfo>),
    Count(u64),
    Topics(Vec<TopicCount>),
}

/// A question, and where its answer goes, which has room for one of each shard.
pub(crate) struct QueryRequest {
    pub(crate) query: Query,
    pub(crate) answer: Sender<Answer>,
}

/// A question that is being answered.
pub(in crate::shard) struct RunningQuery {
    request: QueryRequest,
    /// Where in the slab it goes on.
    at: u32,
    /// When it came, in milliseconds since the hub's start.
    since_ms: u64,
    found: Found,
}

enum Found {
    Any(Vec<ConnectionInfo>),
    /// The slowest so far, the least slow of them on top.
    Slowest(BinaryHeap<Reverse<Ranked>>),
    Count(u64),
    Topics(Vec<TopicCount>),
    TooEarly,
}

/// A connection, ordered by its lag.
struct Ranked(ConnectionInfo);

impl Shard {
    /// Takes a question; when there are too many, it is answered at once.
    pub(in crate::shard) fn take_query(&mut self, request: QueryRequest) {
        if self.queries.len() >= QUERIES_MAX {
            // It has room for an answer of each shard.
            let _ = request.answer.try_send(Answer::Busy);
            return;
        }
        let found = match &request.query {
            Query::Connections(filter) if filter.slowest_first => Found::Slowest(BinaryHeap::new()),
            Query::Connections(_) => Found::Any(Vec::new()),
            Query::Subscribers(_) | Query::Disconnect { .. } | Query::Subscribe { .. } => {
                Found::Count(0)
            }
            Query::Topics => Found::Topics(Vec::new()),
        };
        let since_ms = self.now_ns / 1_000_000;
        self.queries.push_back(RunningQuery { request, at: 0, since_ms, found });
    }

    /// Goes on with what was asked, a bounded share; true when there is more.
    pub(in crate::shard) fn answer_queries(&mut self) -> bool {
        let mut budget = COST_MAX;
        while budget > 0 {
            let Some(mut query) = self.queries.pop_front() else { break };
            if query.request.answer.is_closed() {
                continue;
            }
            match self.advance_query(&mut query, &mut budget) {
                true => query.finish(),
                false => self.queries.push_back(query),
            }
        }
        !self.queries.is_empty()
    }

    /// One step; true when that was the last.
    fn advance_query(&mut self, query: &mut RunningQuery, budget: &mut usize) -> bool {
        let RunningQuery { request, at, since_ms, found } = query;
        match (&request.query, found) {
            (Query::Subscribers(topic), Found::Count(count)) => {
                let (subscribers, cost) = self.count_subscribers(topic);
                *count = subscribers;
                *budget = budget.saturating_sub(cost);
                true
            }
            (Query::Topics, Found::Topics(counts)) => self.count_topics(counts, at, budget),
            (Query::Connections(filter), found) => {
                self.walk(filter.topic.as_ref(), at, budget, |shard, index| {
                    shard.consider(index, filter, found)
                })
            }
            (
                &Query::Disconnect { who: ConnectionSelector::One(id), retry },
                Found::Count(count),
            ) => {
                if let Some(index) = self.stream_of(id) {
                    self.kick(index, retry);
                    *count += 1;
                }
                *budget = budget.saturating_sub(FAREWELL_COST);
                true
            }
            (Query::Subscribe { id, wanted }, found) => {
                let (now_found, cost) = match self.subscribe(*id, wanted) {
                    Resubscribed::Done { cost } => (Found::Count(1), RESUBSCRIBE_COST + cost),
                    Resubscribed::TooEarly => (Found::TooEarly, RESUBSCRIBE_COST + wanted.len()),
                    Resubscribed::Gone => (Found::Count(0), RESUBSCRIBE_COST),
                };
                *found = now_found;
                *budget = budget.saturating_sub(cost);
                true
            }
            (Query::Disconnect { who, retry }, Found::Count(count)) => {
                let topic = match who {
                    ConnectionSelector::Topic(topic) => Some(topic),
                    _ => None,
                };
                self.walk(topic, at, budget, |shard, index| {
                    let record = shard.record(index);
                    let has_tag = match who {
                        ConnectionSelector::Tag(tag) => record.tag() == Some(tag),
                        _ => true,
                    };
                    // Who has come back already is another one.
                    if !has_tag || record.since_ms() > *since_ms {
                        return 0;
                    }
                    shard.kick(index, *retry);
                    *count += 1;
                    FAREWELL_COST
                })
            }
            (Query::Subscribers(_) | Query::Topics | Query::Disconnect { .. }, _) => {
                unreachable!("what is found is of the query's kind")
            }
        }
    }

    /// Visits streams, those with a subscription if one is given, until the budget is used up; true
    /// at the end of the slab, or when the visitor has seen enough. It says what its visit has cost,
    /// and `usize::MAX` that it has.
    fn walk(
        &mut self,
        wanted: Option<&Subscription>,
        at: &mut u32,
        budget: &mut usize,
        mut visit: impl FnMut(&mut Shard, u32) -> usize,
    ) -> bool {
        let key = match wanted.map(|wanted| self.audiences.routes().find(wanted)) {
            // Nobody has it.
            Some(None) => return true,
            Some(key) => key,
            None => None,
        };
        while *at < self.connections.end() {
            if *budget == 0 {
                return false;
            }
            let index = *at;
            *at += 1;
            *budget -= 1;
            let audience = self.connections.at(index).and_then(|connection| connection.audience());
            let Some(audience) = audience else { continue };
            let wants = |key: u32| self.audiences[audience].wanted.contains(&key);
            if key.is_none_or(wants) {
                match visit(self, index) {
                    usize::MAX => return true,
                    cost => *budget = budget.saturating_sub(cost),
                }
            }
        }
        true
    }

    /// Takes a connection into a list, if it belongs there, and says what that has cost.
    fn consider(&self, index: u32, filter: &ConnectionFilter, found: &mut Found) -> usize {
        let limit = filter.limit.min(ConnectionFilter::LIMIT_MAX);
        let lagging = !matches!(self.connections[index].state, State::Live(_));
        let has_tag = filter.tag.is_none() || self.record(index).tag() == filter.tag.as_ref();
        let is_full = match found {
            Found::Any(found) => found.len() >= limit,
            _ => limit == 0,
        };
        if is_full {
            return usize::MAX;
        }
        if !has_tag || filter.lagging && !lagging {
            return 0;
        }
        if let Found::Slowest(slowest) = found {
            let least = slowest.peek().filter(|_| slowest.len() >= limit);
            if least.is_some_and(|Reverse(least)| self.lag_of(index) <= least.lag()) {
                return 1;
            }
        }
        let info = self.info_of(index);
        let cost = INFO_COST + info.topics.len() + (info.lag_events / EVENTS_PER_COST) as usize;
        match found {
            Found::Any(found) => found.push(info),
            Found::Slowest(slowest) => {
                slowest.push(Reverse(Ranked(info)));
                if slowest.len() > limit {
                    slowest.pop();
                }
            }
            Found::Count(_) | Found::Topics(_) | Found::TooEarly => {
                unreachable!("it is a list of connections")
            }
        }
        cost
    }

    fn count_topics(&self, counts: &mut Vec<TopicCount>, at: &mut u32, budget: &mut usize) -> bool {
        while *at < self.audiences.routes().keys_end() {
            if *budget == 0 {
                return false;
            }
            if let Some(subscribed) = self.audiences.routes().at(*at) {
                let (topic, subscribers) = (subscribed.what.clone(), subscribed.members as u64);
                counts.push(TopicCount { topic, subscribers });
            }
            *at += 1;
            *budget -= 1;
        }
        true
    }

    /// How many streams get a topic's events, each counted once whatever it has subscribed to, and
    /// what it has cost to find out.
    fn count_subscribers(&self, topic: &Topic) -> (u64, usize) {
        let mut keys = self.audiences.routes().matching(topic);
        keys.sort_by_key(|&key| self.audiences.routes().subscribed(key).audiences.len());
        let peak: usize =
            keys.iter().map(|&key| self.audiences.routes().subscribed(key).members).sum();
        // Who is in several crowds is in one besides that of the most audiences.
        let others = keys.split_last().map_or(&[][..], |(_, others)| others);
        let others =
            others.iter().flat_map(|&key| &self.audiences.routes().subscribed(key).audiences);
        let others: HashSet<u32> = others.copied().collect();
        let twice = others.iter().map(|&audience| {
            let audience = &self.audiences[audience];
            let times = keys.iter().filter(|key| audience.wanted.contains(key)).count();
            (times - 1) * audience.len()
        });
        ((peak - twice.sum::<usize>()) as u64, 1 + others.len())
    }

    /// Gives the stream of an id other topics.
    fn subscribe(&mut self, id: ConnectionId, wanted: &[Subscription]) -> Resubscribed {
        match self.stream_of(id) {
            Some(index) => self.resubscribe(self.connections.key_at(index), wanted),
            None => Resubscribed::Gone,
        }
    }

    /// Where the stream of an id is, if it has not ended.
    fn stream_of(&mut self, id: ConnectionId) -> Option<u32> {
        let key = Key { index: id.index(), generation: id.generation() };
        let is_mine = id.shard() == self.id;
        let stream = self.connections.get_mut(key).filter(|_| is_mine)?;
        stream.audience().map(|_| key.index)
    }

    /// Sends a stream away because the host wants it to, whether it gets to know that or not.
    fn kick(&mut self, index: u32, retry: Duration) {
        let _ = self.say_farewell(index, retry);
        self.disconnect(index, DisconnectReason::Kicked);
    }
}

impl RunningQuery {
    fn finish(self) {
        let answer = match self.found {
            Found::Any(found) => Answer::Connections(found),
            Found::Slowest(slowest) => {
                Answer::Connections(slowest.into_iter().map(|Reverse(Ranked(info))| info).collect())
            }
            Found::Count(count) => Answer::Count(count),
            Found::Topics(counts) => Answer::Topics(counts),
            Found::TooEarly => Answer::TooEarly,
        };
        // It has room for an answer of each shard; perhaps nobody waits for it any more.
        let _ = self.request.answer.try_send(answer);
    }
}

impl Ranked {
    fn lag(&self) -> Lag {
        // It was made of nanoseconds in 64 bits.
        let ConnectionInfo { lag_age, lag_events, lag_bytes, .. } = &self.0;
        Lag { age_ns: lag_age.as_nanos() as u64, events: *lag_events, bytes: *lag_bytes }
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> Ordering {
        self.lag().cmp(&other.lag())
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Wire;
    use crate::options::Options;
    use crate::shard::tests::World;
    use crate::shard::{Command, Next};

    const CROWD: usize = 3 * COST_MAX;

    fn world() -> World {
        let mut world = World::new(Options::default());
        (0..CROWD).for_each(|_| world.join(vec![0], Wire::Plain, usize::MAX / 2));
        world
    }

    fn ask(world: &World, query: Query) -> async_channel::Receiver<Answer> {
        let (answer, answers) = async_channel::bounded(1);
        let request = Command::Query(Box::new(QueryRequest { query, answer }));
        assert!(world.shard.link().command(request).is_ok());
        answers
    }

    /// How many turns pass until there is an answer.
    fn turns(world: &mut World, answers: &async_channel::Receiver<Answer>) -> usize {
        let mut turns = 0;
        while answers.is_empty() {
            world.shard.turn().unwrap();
            turns += 1;
            assert!(turns < 10_000, "it is never answered");
        }
        turns
    }

    #[test]
    fn a_question_about_a_crowd_takes_several_turns_and_short_ones_are_not_delayed_by_it() {
        let mut world = world();
        let filter = ConnectionFilter { limit: CROWD, ..ConnectionFilter::default() };
        let list = ask(&world, Query::Connections(filter));
        let count = ask(&world, Query::Subscribers(Topic::new("a").unwrap()));
        assert!(turns(&mut world, &count) <= 3);
        assert!(list.is_empty());
        assert!(turns(&mut world, &list) >= CROWD * INFO_COST / COST_MAX / 2);
        let Ok(Answer::Connections(list)) = list.try_recv() else { panic!("it is a list") };
        assert_eq!(list.len(), CROWD);
        let Ok(Answer::Count(count)) = count.try_recv() else { panic!("it is a count") };
        assert_eq!(count, CROWD as u64);
    }

    #[test]
    fn a_question_is_dropped_when_nobody_waits_for_the_answer() {
        let mut world = world();
        let query = Query::Disconnect { who: ConnectionSelector::All, retry: Duration::ZERO };
        let answers = ask(&world, query);
        world.shard.turn().unwrap();
        let counters = &world.shard.link().counters;
        let gone = CROWD as u64 - counters.connections.value();
        assert!((1..CROWD as u64 / 2).contains(&gone), "{gone}");
        drop(answers);
        while world.shard.turn().unwrap() == Next::Now {}
        assert!(world.shard.queries.is_empty());
        assert_eq!(world.shard.link().counters.connections.value(), CROWD as u64 - gone);
    }

    #[test]
    fn too_many_questions_at_once_are_refused() {
        let mut world = world();
        let query = || Query::Disconnect {
            who: ConnectionSelector::Tag("nobody's".into()),
            retry: Duration::ZERO,
        };
        let all: Vec<_> = (0..2 * QUERIES_MAX).map(|_| ask(&world, query())).collect();
        let (mut counts, mut busy) = (0, 0);
        for answers in all {
            turns(&mut world, &answers);
            match answers.try_recv() {
                Ok(Answer::Count(0)) => counts += 1,
                Ok(Answer::Busy) => busy += 1,
                _ => panic!("it is neither"),
            }
        }
        assert!(busy > 0 && counts >= QUERIES_MAX, "{busy} {counts}");
    }
}
