//! How a shard answers what a host asks about its connections, or wants to have done with them.
//!
//! To go through 100,000 connections takes milliseconds, for which no event is to wait. So a query
//! is answered in steps, a bounded share each turn, by a walk along the slab; several at once take
//! turns. A connection that comes or goes meanwhile is in the answer or is not. A query is dropped
//! when its host does not wait for the answer any more.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::filter::Subscription;
use crate::lifecycle::{
    ConnectionFilter, ConnectionId, ConnectionInfo, ConnectionSelector, SubscriptionCount,
};
use crate::metrics::DisconnectReason;
use crate::shard::admin::query::{Answer, Disconnecting, List, QueryRequest, RunningQuery, Task};
use crate::shard::admin::resubscribe::Resubscribed;
use crate::shard::connection::slots::Key;
use crate::shard::connection::State;
use crate::shard::Shard;
use crate::topic::Topic;

/// Queries that a shard answers at once.
const QUERIES_MAX: usize = 64;
/// The work of one turn for all queries, in entries that are looked at.
const COST_MAX: usize = 4096;
/// What it costs to describe a connection, and to disconnect one, in the same units.
const INFO_COST: usize = 16;
const FAREWELL_COST: usize = 16;
/// What it costs to change a connection's topics, beside what depends on their number and on what
/// waits.
const RESUBSCRIBE_COST: usize = 64;
/// Events whose bytes are added up at the cost of one entry.
const EVENTS_PER_COST: u64 = 64;

impl Shard {
    /// Takes a query; when there are too many, it is answered at once.
    pub(in crate::shard) fn take_query(&mut self, request: QueryRequest) {
        if self.queries.len() >= QUERIES_MAX {
            // The channel has capacity for an answer of each shard.
            let _ = request.answer.try_send(Answer::Busy);
            return;
        }
        self.queries.push_back(RunningQuery::new(request, self.now_ns / 1_000_000));
    }

    /// Goes on with all queries, a bounded share; true when there is more.
    pub(in crate::shard) fn answer_queries(&mut self) -> bool {
        let mut budget = COST_MAX;
        while budget > 0 {
            let Some(mut query) = self.queries.pop_front() else { break };
            if query.answer.is_closed() {
                continue;
            }
            match self.advance(&mut query.task, &mut budget) {
                // The channel has capacity for an answer of each shard. The host may have stopped
                // waiting.
                Some(answer) => drop(query.answer.try_send(answer)),
                None => self.queries.push_back(query),
            }
        }
        !self.queries.is_empty()
    }

    /// One step for a query; its answer when that was the last.
    fn advance(&mut self, task: &mut Task, budget: &mut usize) -> Option<Answer> {
        match task {
            Task::List { filter, at, list } => {
                let is_over =
                    self.walk(filter.subscription.as_ref(), at, budget, |shard, index| {
                        shard.consider(index, filter, list)
                    });
                is_over.then(|| list.take())
            }
            Task::Describe(id) => {
                let info = self.stream_of(*id).map(|index| self.info_of(index));
                *budget = budget.saturating_sub(info.as_ref().map_or(1, cost_of));
                Some(Answer::Connections(info.into_iter().collect()))
            }
            Task::CountSubscribers(topic) => {
                let (subscribers, cost) = self.count_subscribers(topic);
                *budget = budget.saturating_sub(cost);
                Some(Answer::Count(subscribers))
            }
            Task::CountSubscriptions { next_key, counts } => {
                let is_over = self.count_subscriptions(counts, next_key, budget);
                is_over.then(|| Answer::Subscriptions(std::mem::take(counts)))
            }
            Task::DisconnectOne { id, retry } => {
                let stream = self.stream_of(*id);
                stream.inspect(|&index| self.kick(index, *retry));
                *budget = budget.saturating_sub(FAREWELL_COST);
                Some(Answer::Count(u64::from(stream.is_some())))
            }
            Task::DisconnectAll(disconnecting) => {
                let is_over = self.disconnect_all(disconnecting, budget);
                is_over.then_some(Answer::Count(disconnecting.count))
            }
            Task::Subscribe { id, subscriptions } => {
                let (answer, cost) = self.subscribe(*id, subscriptions);
                *budget = budget.saturating_sub(RESUBSCRIBE_COST + cost);
                Some(answer)
            }
        }
    }

    /// Visits streams, those with a subscription if one is given, until the budget is used up; true
    /// at the end of the slab, or when `visit` breaks. A visit returns what it cost.
    fn walk(
        &mut self,
        subscription: Option<&Subscription>,
        at: &mut u32,
        budget: &mut usize,
        mut visit: impl FnMut(&mut Shard, u32) -> ControlFlow<(), usize>,
    ) -> bool {
        let key = match subscription.map(|what| self.audiences.routes().find(what)) {
            // No stream has it.
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
                    ControlFlow::Break(()) => return true,
                    ControlFlow::Continue(cost) => *budget = budget.saturating_sub(cost),
                }
            }
        }
        true
    }

    /// Takes a connection into a list, if it belongs there, and returns what that has cost.
    fn consider(
        &self,
        index: u32,
        filter: &ConnectionFilter,
        list: &mut List,
    ) -> ControlFlow<(), usize> {
        if list.is_full() {
            return ControlFlow::Break(());
        }
        let lags = !matches!(self.connections[index].state, State::Live(_));
        let has_tag = filter.tag.is_none() || self.record(index).tag() == filter.tag.as_ref();
        if !has_tag || filter.lagging && !lags {
            return ControlFlow::Continue(0);
        }
        if !list.takes(|| self.lag_of(index)) {
            return ControlFlow::Continue(1);
        }
        let info = self.info_of(index);
        let cost = cost_of(&info);
        list.push(info);
        ControlFlow::Continue(cost)
    }

    /// Disconnects selected connections that existed when the query came; true when these were all.
    fn disconnect_all(&mut self, disconnecting: &mut Disconnecting, budget: &mut usize) -> bool {
        let Disconnecting { selector, retry, since_ms, at, count } = disconnecting;
        let (subscription, tag) = match selector {
            ConnectionSelector::Subscription(subscription) => (Some(&*subscription), None),
            ConnectionSelector::Tag(tag) => (None, Some(&*tag)),
            _ => (None, None),
        };
        self.walk(subscription, at, budget, |shard, index| {
            let record = shard.record(index);
            let has_tag = tag.is_none() || record.tag() == tag;
            // A client that has come back already has another connection.
            if !has_tag || record.since_ms() > *since_ms {
                return ControlFlow::Continue(0);
            }
            shard.kick(index, *retry);
            *count += 1;
            ControlFlow::Continue(FAREWELL_COST)
        })
    }

    fn count_subscriptions(
        &self,
        counts: &mut Vec<SubscriptionCount>,
        at: &mut u32,
        budget: &mut usize,
    ) -> bool {
        while *at < self.audiences.routes().keys_end() {
            if *budget == 0 {
                return false;
            }
            if let Some(subscribed) = self.audiences.routes().at(*at) {
                let subscription = subscribed.what.clone();
                let subscribers = subscribed.members as u64;
                counts.push(SubscriptionCount { subscription, subscribers });
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
        let members: usize =
            keys.iter().map(|&key| self.audiences.routes().subscribed(key).members).sum();
        // A stream with several of the subscriptions is counted with one besides that of the most
        // audiences.
        let others = keys.split_last().map_or(&[][..], |(_, others)| others);
        let others =
            others.iter().flat_map(|&key| &self.audiences.routes().subscribed(key).audiences);
        let others: HashSet<u32> = others.copied().collect();
        let twice = others.iter().map(|&audience| {
            let audience = &self.audiences[audience];
            let times = keys.iter().filter(|key| audience.wanted.contains(key)).count();
            (times - 1) * audience.len()
        });
        ((members - twice.sum::<usize>()) as u64, 1 + others.len())
    }

    /// Has the stream of an id get what is published to other subscriptions. Returns what that has
    /// cost, besides.
    fn subscribe(&mut self, id: ConnectionId, subscriptions: &[Subscription]) -> (Answer, usize) {
        let Some(index) = self.stream_of(id) else { return (Answer::Count(0), 0) };
        match self.resubscribe(self.connections.key_at(index), subscriptions) {
            Resubscribed::Done { cost } => (Answer::Count(1), cost),
            Resubscribed::TooEarly => (Answer::TooEarly, subscriptions.len()),
            Resubscribed::Gone => (Answer::Count(0), 0),
        }
    }

    /// Where the stream of an id is, if it has not ended.
    fn stream_of(&mut self, id: ConnectionId) -> Option<u32> {
        let key = Key { index: id.index(), generation: id.generation() };
        let is_mine = id.shard() == self.id;
        let stream = self.connections.get_mut(key).filter(|_| is_mine)?;
        stream.audience().map(|_| key.index)
    }

    /// Disconnects a stream because the host or its authorizer says so, whether its client can be
    /// told or not.
    pub(in crate::shard) fn kick(&mut self, index: u32, retry: Duration) {
        let key = self.connections.key_at(index);
        self.send_waiting(index);
        if self.connections.get_mut(key).is_none() {
            return;
        }
        let _ = self.say_farewell(index, retry);
        self.disconnect(index, DisconnectReason::Kicked);
    }
}

/// What it has cost to describe a connection.
fn cost_of(info: &ConnectionInfo) -> usize {
    INFO_COST + info.subscriptions.len() + (info.lag_events / EVENTS_PER_COST) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Wire;
    use crate::options::Options;
    use crate::shard::admin::query::Query;
    use crate::shard::tests::World;
    use crate::shard::{Command, Next};

    const CONNECTIONS: usize = 3 * COST_MAX;

    fn world() -> World {
        let mut world = World::new(Options::default());
        (0..CONNECTIONS).for_each(|_| world.join(vec![0], Wire::Plain, usize::MAX / 2));
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
    fn a_query_about_many_connections_takes_several_turns_and_does_not_delay_short_ones() {
        let mut world = world();
        let filter = ConnectionFilter { limit: CONNECTIONS, ..ConnectionFilter::default() };
        let list = ask(&world, Query::Connections(filter));
        let count = ask(&world, Query::Subscribers(Topic::new("a").unwrap()));
        assert!(turns(&mut world, &count) <= 3);
        assert!(list.is_empty());
        assert!(turns(&mut world, &list) >= CONNECTIONS * INFO_COST / COST_MAX / 2);
        let Ok(Answer::Connections(list)) = list.try_recv() else { panic!("it is a list") };
        assert_eq!(list.len(), CONNECTIONS);
        let Ok(Answer::Count(count)) = count.try_recv() else { panic!("it is a count") };
        assert_eq!(count, CONNECTIONS as u64);
    }

    #[test]
    fn a_census_counts_beyond_its_list() {
        let mut world = world();
        for slowest_first in [false, true] {
            for limit in [0, 5] {
                let filter = ConnectionFilter { limit, slowest_first, ..Default::default() };
                let answers = ask(&world, Query::Census(filter));
                turns(&mut world, &answers);
                let Ok(Answer::Census(census)) = answers.try_recv() else { panic!("a census") };
                let found = (census.count, census.connections.len());
                assert_eq!(found, (CONNECTIONS as u64, limit), "{slowest_first}");
            }
        }
    }

    #[test]
    fn a_query_is_dropped_when_its_host_does_not_wait_for_the_answer() {
        let mut world = world();
        let query = Query::Disconnect { selector: ConnectionSelector::All, retry: Duration::ZERO };
        let answers = ask(&world, query);
        world.shard.turn().unwrap();
        let counters = &world.shard.link().counters;
        let gone = CONNECTIONS as u64 - counters.connections.value();
        assert!((1..CONNECTIONS as u64 / 2).contains(&gone), "{gone}");
        drop(answers);
        while world.shard.turn().unwrap() == Next::Now {}
        assert!(world.shard.queries.is_empty());
        assert_eq!(world.shard.link().counters.connections.value(), CONNECTIONS as u64 - gone);
    }

    #[test]
    fn too_many_queries_at_once_are_refused() {
        let mut world = world();
        let query = || Query::Disconnect {
            selector: ConnectionSelector::Tag("no connection's".into()),
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
