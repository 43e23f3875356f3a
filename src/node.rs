//! A hub as a node of its cluster: what the cluster's threads need of it, and what its host asks of the cluster.

use std::time::Duration;

use crate::cluster::{Cluster, Node};
use crate::hub::{in_thread, Hub};
use crate::lifecycle::ConnectionSelector;
use crate::metrics::Metrics;
use crate::options::jittered;
use crate::order::Order;
use crate::receive;
use crate::shard::{Command, Query, QueryRequest, Shared};

/// How long a hub that closes waits for the server of its cluster.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a node whose clients miss something waits until they are sent away.
const SEND_AWAY_TIME_MAX: Duration = Duration::from_secs(2);

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

    /// Has the cluster's server take what waits for it.
    pub(crate) async fn leave_cluster_async(&self) {
        if self.shared().cluster.is_some() {
            let shared = self.share();
            in_thread(move || shared.cluster.iter().for_each(leave)).await;
        }
    }
}

/// A cluster's reader applies what it reads, without keeping the hub.
impl Node for Shared {
    fn order(&self) -> &Order {
        &self.order
    }

    fn send_clients_away(&self) {
        let query = Query::Disconnect {
            selector: ConnectionSelector::All,
            retry: jittered(self.options.retry / 2),
        };
        let (answer, answers) = async_channel::bounded(self.links.len());
        for link in &self.links {
            let request = QueryRequest { query: query.clone(), answer: answer.clone() };
            // Clients of a shard that takes no more commands stay, and are not told: the log says so.
            if link.command(Command::Query(Box::new(request))).is_err() && link.is_alive() {
                log::error!("a shard was too busy to send its clients away");
            }
        }
        drop(answer);
        let all = async {
            while answers.recv().await.is_ok() {}
            Some(())
        };
        _ = receive::within(SEND_AWAY_TIME_MAX, all);
    }
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
