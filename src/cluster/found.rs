//! What the nodes of a cluster have said of their connections.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::lifecycle::{ConnectionFilter, ConnectionInfo};
use crate::shard::Census;

/// How many connections the nodes of a cluster have, and which; see
/// [`Hub::cluster_connections`](crate::Hub::cluster_connections).
///
/// # Examples
///
/// ```no_run
/// # use std::time::Duration;
/// use fanfare::{ClusterConnections, ClusterOptions, ConnectionFilter, Hub, Options};
///
/// let hub = Hub::start(Options::default().cluster(ClusterOptions::new("redis://127.0.0.1")))?;
/// let found: ClusterConnections =
///     hub.cluster_connections(&ConnectionFilter::default(), Duration::from_secs(2))?;
/// if !found.missing.is_empty() {
///     println!("{} of {} nodes answered", found.answered, found.nodes);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterConnections {
    /// How many nodes the cluster has, with this one: those that have shown in the last
    /// [`ClusterConnections::NODE_TIME_MAX`] that they are there, and have not ended in order since.
    pub nodes: usize,
    /// How many of them have answered in time.
    pub answered: usize,
    /// The names of those that have not, in their order.
    pub missing: Vec<Arc<str>>,
    /// The number of connections that the nodes have which answered, listed or not.
    pub count: u64,
    /// Some of them, at most as many as were asked for.
    pub connections: Vec<ClusterConnection>,
}

/// A connection of a cluster, as it was at one moment.
///
/// # Examples
///
/// ```
/// use fanfare::{ClusterConnection, ClusterConnections};
///
/// fn names(found: &ClusterConnections) -> Vec<String> {
///     let name = |one: &ClusterConnection| format!("{} at {}", one.connection.id, one.node);
///     found.connections.iter().map(name).collect()
/// }
/// # assert!(names(&ClusterConnections::default()).is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterConnection {
    /// The name of its node, as [`Hub::cluster_node`](crate::Hub::cluster_node) says it there.
    pub node: Arc<str>,
    /// What it is like. Its id is one of that node, and may be another connection's elsewhere.
    pub connection: ConnectionInfo,
}

impl ClusterConnections {
    /// The shortest time for which nodes are waited for, 50 milliseconds; a shorter one counts as this.
    pub const TIME_MIN: Duration = Duration::from_millis(50);
    /// The longest time for which nodes are waited for, 10 seconds; a longer one counts as this.
    pub const TIME_MAX: Duration = Duration::from_secs(10);
    /// How many connections are listed at most, 10,000; a larger limit counts as this.
    pub const LIMIT_MAX: usize = 10_000;
    /// How many bytes of descriptions a node sends at most, 2 MiB; what is beyond is counted, and not listed.
    pub const NODE_BYTES_MAX: usize = 2 << 20;
    /// After which time a node that shows nothing of itself is not one of the cluster's any more, 10 seconds.
    pub const NODE_TIME_MAX: Duration = Duration::from_secs(10);
}

/// What is asked of all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// How many connections there are of a selection, and which.
    Connections(ConnectionFilter),
    /// How many connections get a topic's events.
    Subscribers(crate::topic::Topic),
}

/// Gathers the answers to a question.
#[cfg_attr(not(feature = "cluster"), allow(dead_code, reason = "a cluster's nodes alone use it"))]
pub(super) struct Gathering {
    limit: usize,
    is_slowest_first: bool,
    /// Nodes that have not answered.
    missing: BTreeSet<Arc<str>>,
    answered: BTreeSet<Arc<str>>,
    count: u64,
    connections: Vec<ClusterConnection>,
}

#[cfg_attr(not(feature = "cluster"), allow(dead_code, reason = "a cluster's nodes alone use it"))]
impl Gathering {
    pub(super) fn new(question: &Question, nodes: impl Iterator<Item = Arc<str>>) -> Gathering {
        let (limit, is_slowest_first) = match question {
            Question::Connections(filter) => (filter.limit, filter.slowest_first),
            Question::Subscribers(_) => (0, false),
        };
        Gathering {
            limit,
            is_slowest_first,
            missing: nodes.collect(),
            answered: BTreeSet::new(),
            count: 0,
            connections: Vec::new(),
        }
    }

    /// Takes a node's answer, once. One that has come since the question was asked counts too.
    pub(super) fn take(&mut self, node: &Arc<str>, census: Census) {
        if !self.answered.insert(node.clone()) {
            return;
        }
        self.missing.remove(node);
        self.count += census.count;
        let connections = census.connections.into_iter();
        self.connections.extend(
            connections.map(|connection| ClusterConnection { node: node.clone(), connection }),
        );
        if self.is_slowest_first {
            let lag = |one: &ClusterConnection| {
                Reverse((one.connection.lag_age, one.connection.lag_events))
            };
            self.connections.sort_by_key(lag);
        }
        self.connections.truncate(self.limit);
    }

    pub(super) fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }

    pub(super) fn end(self) -> ClusterConnections {
        ClusterConnections {
            nodes: self.missing.len() + self.answered.len(),
            answered: self.answered.len(),
            missing: self.missing.into_iter().collect(),
            count: self.count,
            connections: self.connections,
        }
    }
}
