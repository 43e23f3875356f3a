//! What a host asks of a shard, and what the shard has found until it answers.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Sender;

use crate::filter::Subscription;
use crate::lifecycle::{
    ConnectionFilter, ConnectionId, ConnectionInfo, ConnectionSelector, SubscriptionCount,
};
use crate::shard::lagging::state::Lag;
use crate::topic::Topic;

/// What a host wants to know, or to have done.
#[derive(Clone)]
pub(crate) enum Query {
    Connections(ConnectionFilter),
    /// The same list, and how many there are beyond it.
    Census(ConnectionFilter),
    Connection(ConnectionId),
    Subscribers(Topic),
    Subscriptions,
    Disconnect {
        selector: ConnectionSelector,
        retry: Duration,
    },
    Subscribe {
        id: ConnectionId,
        subscriptions: Arc<[Subscription]>,
    },
}

/// The answer of one shard.
pub(crate) enum Answer {
    /// It has too many queries already.
    Busy,
    /// The connection has something to take first.
    TooEarly,
    Connections(Vec<ConnectionInfo>),
    Census(Census),
    Count(u64),
    Subscriptions(Vec<SubscriptionCount>),
}

/// How many connections there are of a selection, and some of them.
#[derive(Default)]
pub(crate) struct Census {
    pub(crate) count: u64,
    pub(crate) connections: Vec<ConnectionInfo>,
}

/// A query, and the channel for its answers, which has capacity for one of each shard.
pub(crate) struct QueryRequest {
    pub(crate) query: Query,
    pub(crate) answer: Sender<Answer>,
}

/// A query that is being answered.
pub(in crate::shard) struct RunningQuery {
    pub(in crate::shard) task: Task,
    pub(in crate::shard) answer: Sender<Answer>,
}

/// What a shard does for a query, and how far it is with that.
pub(in crate::shard) enum Task {
    List { filter: ConnectionFilter, at: u32, list: List },
    Describe(ConnectionId),
    CountSubscribers(Topic),
    CountSubscriptions { next_key: u32, counts: Vec<SubscriptionCount> },
    DisconnectOne { id: ConnectionId, retry: Duration },
    DisconnectAll(Disconnecting),
    Subscribe { id: ConnectionId, subscriptions: Arc<[Subscription]> },
}

/// Connections that are being disconnected.
pub(in crate::shard) struct Disconnecting {
    pub(in crate::shard) selector: ConnectionSelector,
    pub(in crate::shard) retry: Duration,
    /// When the query came, in milliseconds since the hub's start.
    pub(in crate::shard) since_ms: u64,
    /// Where in the slab it goes on.
    pub(in crate::shard) at: u32,
    pub(in crate::shard) count: u64,
}

/// A list of a bounded number of connections.
pub(in crate::shard) struct List {
    limit: usize,
    found: Found,
    /// How many were looked for, where that is to be known.
    count: Option<u64>,
}

enum Found {
    Any(Vec<ConnectionInfo>),
    /// The slowest so far, the least slow of them on top.
    Slowest(BinaryHeap<Reverse<Ranked>>),
}

/// A connection, ordered by its lag.
struct Ranked(ConnectionInfo);

impl RunningQuery {
    pub(in crate::shard) fn new(request: QueryRequest, now_ms: u64) -> RunningQuery {
        let QueryRequest { query, answer } = request;
        let task = match query {
            Query::Connections(filter) => {
                let list = List::new(&filter, None);
                Task::List { filter, at: 0, list }
            }
            Query::Census(filter) => {
                let list = List::new(&filter, Some(0));
                Task::List { filter, at: 0, list }
            }
            Query::Connection(id) => Task::Describe(id),
            Query::Subscribers(topic) => Task::CountSubscribers(topic),
            Query::Subscriptions => Task::CountSubscriptions { next_key: 0, counts: Vec::new() },
            Query::Disconnect { selector: ConnectionSelector::One(id), retry } => {
                Task::DisconnectOne { id, retry }
            }
            Query::Disconnect { selector, retry } => {
                let since_ms = now_ms;
                Task::DisconnectAll(Disconnecting { selector, retry, since_ms, at: 0, count: 0 })
            }
            Query::Subscribe { id, subscriptions } => Task::Subscribe { id, subscriptions },
        };
        RunningQuery { task, answer }
    }
}

impl List {
    fn new(filter: &ConnectionFilter, count: Option<u64>) -> List {
        let found = match filter.slowest_first {
            true => Found::Slowest(BinaryHeap::new()),
            false => Found::Any(Vec::new()),
        };
        List { limit: filter.limit.min(ConnectionFilter::LIMIT_MAX), found, count }
    }

    /// Whether no other connection can get into it, or has to be counted.
    pub(in crate::shard) fn is_full(&self) -> bool {
        match &self.found {
            _ if self.count.is_some() => false,
            Found::Any(found) => found.len() >= self.limit,
            Found::Slowest(_) => self.limit == 0,
        }
    }

    /// Counts a connection, and says whether one with this lag gets into it.
    pub(in crate::shard) fn takes(&mut self, find_lag: impl FnOnce() -> Lag) -> bool {
        if let Some(count) = &mut self.count {
            *count += 1;
        }
        let slowest = match &self.found {
            Found::Any(found) => return found.len() < self.limit,
            Found::Slowest(_) if self.limit == 0 => return false,
            Found::Slowest(slowest) => slowest,
        };
        let least = slowest.peek().filter(|_| slowest.len() >= self.limit);
        least.is_none_or(|Reverse(least)| find_lag() > least.lag())
    }

    pub(in crate::shard) fn push(&mut self, info: ConnectionInfo) {
        match &mut self.found {
            Found::Any(found) => found.push(info),
            Found::Slowest(slowest) => {
                slowest.push(Reverse(Ranked(info)));
                if slowest.len() > self.limit {
                    slowest.pop();
                }
            }
        }
    }

    /// Takes all that it has.
    pub(in crate::shard) fn take(&mut self) -> Answer {
        let connections = match &mut self.found {
            Found::Any(found) => std::mem::take(found),
            Found::Slowest(slowest) => {
                let slowest = std::mem::take(slowest).into_iter();
                slowest.map(|Reverse(Ranked(info))| info).collect()
            }
        };
        match self.count {
            Some(count) => Answer::Census(Census { count, connections }),
            None => Answer::Connections(connections),
        }
    }
}

impl Ranked {
    fn lag(&self) -> Lag {
        let ConnectionInfo { lag_age, lag_events, lag_bytes, .. } = &self.0;
        // It was made of nanoseconds in 64 bits.
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
