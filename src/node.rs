//! A hub as a node of its cluster: what the cluster's threads need of it, and what its host asks of the cluster.

use std::cmp::Reverse;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_channel::Receiver;
use async_io::Timer;
use futures_lite::future;

use crate::admin::ask;
use crate::cluster::{Asked, Cluster, ClusterConnections, Finding, Node, Question};
use crate::hub::{in_thread, Hub};
use crate::lifecycle::{AdminError, ConnectionFilter, ConnectionSelector};
use crate::metrics::Metrics;
use crate::options::jittered;
use crate::order::Order;
use crate::receive;
use crate::shard::{Answer, Census, Command, Link, Query, QueryRequest, Shared};
use crate::topic::Topic;

/// How long a hub that closes waits for the server of its cluster.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a node whose clients miss something waits for a shard to send its clients away before it looks whether the
/// hub is closed; before it asks again one that had too much to do; and before the log says so.
const SEND_AWAY_SLICE: Duration = Duration::from_millis(100);
const SEND_AWAY_PAUSE: Duration = Duration::from_millis(10);
const SEND_AWAY_NOTE: Duration = Duration::from_secs(2);
/// How much longer than it said a host waits for what is known of a question.
const ASK_GRACE: Duration = Duration::from_millis(250);

impl Hub {
    /// Why the server of the hub's cluster does not serve it at the moment, in words; `None` while all is well, and
    /// for a hub without [`Options::cluster`](crate::Options).
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// assert_eq!(Hub::start(Options::default())?.cluster_trouble(), None);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn cluster_trouble(&self) -> Option<String> {
        Some(self.shared().cluster.as_ref()?.trouble()?.what)
    }

    /// The name of this node in its cluster, drawn at random when the hub started: 16 hexadecimal digits. `None` for a
    /// hub without [`Options::cluster`](crate::Options).
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, Options};
    ///
    /// assert_eq!(Hub::start(Options::default())?.cluster_node(), None);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn cluster_node(&self) -> Option<&str> {
        Some(self.shared().cluster.as_ref()?.node())
    }

    /// Counts the connections of a selection on all nodes of the hub's cluster, and lists some: of more than
    /// `filter.limit`, which is at most [`ClusterConnections::LIMIT_MAX`] here, those that lag most if
    /// `filter.slowest_first`, and otherwise any.
    ///
    /// The nodes are asked through the cluster's server, and waited for until `timeout` is over, from
    /// [`ClusterConnections::TIME_MIN`] to [`ClusterConnections::TIME_MAX`]. That takes a few milliseconds if all
    /// answer, and the call returns a quarter of a second after the time at the latest. Nodes that have not answered
    /// are in [`ClusterConnections::missing`], as one that is cut off from the server is for 10 seconds. Each node
    /// answers for its connections as they are at that moment: a client that goes from a node to another meanwhile may
    /// be counted at both or at neither.
    ///
    /// May be called from any thread; up to [`AdminError::CLUSTER_QUESTIONS_MAX`] questions may be on their way at
    /// once, and each has a thread of its own for its time. Blocks the calling thread, so it must not be one that
    /// drives a shard: there use [`Hub::cluster_connections_async`].
    ///
    /// # Errors
    ///
    /// [`AdminError::NoCluster`], [`AdminError::TooManyQuestions`] at once, and [`AdminError::Unreachable`] within
    /// the time: the cluster's server is away, or does not let this node ask. Nodes that are missing are no error.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{AdminError, ConnectionFilter, Hub, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let of_user_7 = ConnectionFilter::default().tag("7");
    /// match hub.cluster_connections(&of_user_7, Duration::from_secs(2)) {
    ///     Ok(found) if found.missing.is_empty() => println!("{} connections", found.count),
    ///     Ok(found) => println!("at least {} connections", found.count),
    ///     Err(error) => assert_eq!(error, AdminError::NoCluster),
    /// }
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    pub fn cluster_connections(
        &self,
        filter: &ConnectionFilter,
        timeout: Duration,
    ) -> Result<ClusterConnections, AdminError> {
        self.wait_for_nodes(Question::Connections(limited(filter)), timeout)
    }

    /// Asks all nodes as [`Hub::cluster_connections`], under any executor. Dropping the future ends the question.
    ///
    /// # Errors
    ///
    /// As [`Hub::cluster_connections`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{AdminError, ConnectionFilter, Hub, Options};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let all = ConnectionFilter::default().limit(0);
    /// let found = hub.cluster_connections_async(&all, Duration::from_secs(2));
    /// assert_eq!(smol::block_on(found), Err(AdminError::NoCluster));
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    pub async fn cluster_connections_async(
        &self,
        filter: &ConnectionFilter,
        timeout: Duration,
    ) -> Result<ClusterConnections, AdminError> {
        self.await_nodes(Question::Connections(limited(filter)), timeout).await
    }

    /// Counts the connections on all nodes of the hub's cluster that get a topic's events, by its name or by filters,
    /// each once; none is listed. Asks and waits as [`Hub::cluster_connections`].
    ///
    /// # Errors
    ///
    /// As [`Hub::cluster_connections`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use fanfare::{ClusterOptions, Hub, Options, Topic};
    ///
    /// let hub = Hub::start(Options::default().cluster(ClusterOptions::new("redis://127.0.0.1")))?;
    /// let found = hub.cluster_subscribers(&Topic::new("rooms/42")?, Duration::from_secs(2))?;
    /// println!("{} are in the room", found.count);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cluster_subscribers(
        &self,
        topic: &Topic,
        timeout: Duration,
    ) -> Result<ClusterConnections, AdminError> {
        self.wait_for_nodes(Question::Subscribers(topic.clone()), timeout)
    }

    /// Counts as [`Hub::cluster_subscribers`], under any executor. Dropping the future ends the question.
    ///
    /// # Errors
    ///
    /// As [`Hub::cluster_connections`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::{AdminError, Hub, Options, Topic};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let topic = Topic::new("rooms/42")?;
    /// let found = hub.cluster_subscribers_async(&topic, Duration::from_secs(2));
    /// assert_eq!(smol::block_on(found), Err(AdminError::NoCluster));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn cluster_subscribers_async(
        &self,
        topic: &Topic,
        timeout: Duration,
    ) -> Result<ClusterConnections, AdminError> {
        self.await_nodes(Question::Subscribers(topic.clone()), timeout).await
    }

    fn wait_for_nodes(
        &self,
        question: Question,
        timeout: Duration,
    ) -> Result<ClusterConnections, AdminError> {
        let timeout = waiting(timeout);
        let asked = self.ask_nodes(question, timeout)?;
        let found = async { asked.recv().await.ok() };
        receive::within(timeout + ASK_GRACE, found).unwrap_or_else(|| Err(unanswered()))
    }

    async fn await_nodes(
        &self,
        question: Question,
        timeout: Duration,
    ) -> Result<ClusterConnections, AdminError> {
        let timeout = waiting(timeout);
        let asked = self.ask_nodes(question, timeout)?;
        let too_late = async {
            Timer::after(timeout + ASK_GRACE).await;
            Err(unanswered())
        };
        let found = async { asked.recv().await.unwrap_or_else(|_| Err(unanswered())) };
        future::or(found, too_late).await
    }

    fn ask_nodes(&self, question: Question, timeout: Duration) -> Result<Asked, AdminError> {
        let cluster = self.shared().cluster.as_ref().ok_or(AdminError::NoCluster)?;
        cluster.ask(self.share(), question, timeout)
    }

    /// Has the cluster's server take what waits for it.
    pub(crate) async fn leave_cluster_async(&self) {
        if self.shared().cluster.is_some() {
            let shared = self.share();
            in_thread(move || shared.cluster.iter().for_each(leave)).await;
        }
    }
}

/// Where a shard answers a query; `None` if it takes none now.
fn ask_shard(link: &Link, query: &Query) -> Option<Receiver<Answer>> {
    let (answer, answers) = async_channel::bounded(1);
    let request = QueryRequest { query: query.clone(), answer };
    link.command(Command::Query(Box::new(request))).ok().map(|()| answers)
}

/// A cluster's reader applies what it reads, without keeping the hub.
impl Node for Shared {
    fn order(&self) -> &Order {
        &self.order
    }

    /// Waits for each shard, as long as the hub is not closed: what is applied to the order behind it would be sent to
    /// clients that miss something before.
    fn send_clients_away(&self) {
        let retry = jittered(self.options.retry / 2);
        let query = Query::Disconnect { selector: ConnectionSelector::All, retry };
        let begun = Instant::now();
        let mut is_told = false;
        let mut asked: Vec<_> = self.links.iter().map(|link| ask_shard(link, &query)).collect();
        for (link, asked) in self.links.iter().zip(&mut asked) {
            while link.is_alive() && !self.closing.load(Ordering::SeqCst) {
                let answer = async { asked.as_ref()?.recv().await.ok() };
                match receive::within(SEND_AWAY_SLICE, answer) {
                    Some(Answer::Count(_)) => break,
                    // It had too much to do.
                    Some(_) => *asked = None,
                    None => {}
                }
                if asked.as_ref().is_none_or(Receiver::is_closed) {
                    std::thread::sleep(SEND_AWAY_PAUSE);
                    *asked = ask_shard(link, &query);
                }
                if !is_told && begun.elapsed() >= SEND_AWAY_NOTE {
                    is_told = true;
                    log::warn!("a shard has not sent its clients away yet; this node waits for it");
                }
            }
        }
    }

    fn find<'a>(&'a self, question: &'a Question) -> Finding<'a> {
        let query = match question {
            Question::Connections(filter) => Query::Census(filter.clone()),
            Question::Subscribers(topic) => Query::Subscribers(topic.clone()),
        };
        Box::pin(async move {
            let mut sum = Census::default();
            for answer in ask(self, None, query).await.ok()? {
                match answer {
                    Answer::Census(Census { count, connections }) => {
                        sum.count += count;
                        sum.connections.extend(connections);
                    }
                    Answer::Count(count) => sum.count += count,
                    _ => {}
                }
            }
            if let Question::Connections(filter) = question {
                if filter.slowest_first {
                    sum.connections.sort_by_key(|info| Reverse((info.lag_age, info.lag_events)));
                }
                sum.connections.truncate(filter.limit);
            }
            Some(sum)
        })
    }
}

/// How long nodes are waited for.
fn waiting(timeout: Duration) -> Duration {
    timeout.clamp(ClusterConnections::TIME_MIN, ClusterConnections::TIME_MAX)
}

fn limited(filter: &ConnectionFilter) -> ConnectionFilter {
    filter.clone().limit(filter.limit.min(ClusterConnections::LIMIT_MAX))
}

/// The thread that asks is held up where it cannot be bounded, as by the system's resolver.
fn unanswered() -> AdminError {
    AdminError::Unreachable { reason: "there was no connection to it in time".to_owned() }
}

/// Has the cluster's server take what waits for it.
pub(crate) fn leave(cluster: &Cluster) {
    if !cluster.close(CLOSE_TIME_MAX) {
        log::error!("the cluster's server did not take all that was published; that is lost");
    }
}

/// Adds what was counted of the hub's cluster.
pub(crate) fn add_to(metrics: &mut Metrics, shared: &Shared) {
    if let Some(cluster) = &shared.cluster {
        let stats = cluster.stats();
        metrics.cluster_failing = u64::from(cluster.trouble().is_some());
        metrics.cluster_backlog_bytes = stats.backlog_bytes as u64;
        metrics.cluster_batches = stats.appended_batches;
        metrics.cluster_items = stats.read_items;
        metrics.cluster_refused_items = stats.refused_items;
        metrics.cluster_connects = stats.reconnects;
        metrics.cluster_losses = stats.lost_ranges;
    }
}
