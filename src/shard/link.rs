//! What a shard shares with its hub, and the way to it from other threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::cluster::Cluster;
use crate::metrics::Counters;
use crate::notices::NoticeQueue;
use crate::options::Options;
use crate::order::{Order, ShardInbox};
use crate::resume::Resume;
use crate::shard::admin::drain::Drain;
use crate::shard::admin::query::QueryRequest;
use crate::shard::connection::peer::Peer;
use crate::shard::entry::adopted::Adopted;
use crate::shard::entry::handshake::Acceptor;
use crate::shard::entry::limits::{ConnectionLimits, SubscriptionLimits};
use crate::shard::entry::spares::Spares;
use crate::shard::entry::told::Told;
use crate::sys::Stream;
use crate::tuning::ShardTuning;

/// Commands that may wait for a shard.
const COMMANDS_MAX: usize = 1024;

/// What all shards of a hub share, and its handles with them.
pub(crate) struct Shared {
    pub(crate) order: Order,
    /// Where the order comes from, if the hub is a node of a cluster.
    pub(crate) cluster: Option<Cluster>,
    pub(crate) options: Options,
    pub(crate) tuning: ShardTuning,
    pub(crate) connection_limits: ConnectionLimits,
    pub(crate) subscription_limits: SubscriptionLimits,
    /// For when there are no other descriptors.
    pub(crate) spares: Spares,
    pub(crate) links: Box<[Link]>,
    pub(crate) closing: AtomicBool,
    /// Set once, when the hub is drained.
    pub(crate) drain: OnceLock<Drain>,
    /// Notified when a shard that drains has no stream any more, and when a shard has ended.
    pub(crate) emptied: event_listener::Event,
    /// Requests for streams that were answered with the status 204.
    pub(crate) finished_answers: AtomicU64,
    pub(crate) authorizations: Authorizations,
    pub(crate) notices: NoticeQueue,
}

/// What authorizers have refused, and what the host has not answered.
#[derive(Default)]
pub(crate) struct Authorizations {
    /// Requests for streams that were refused.
    pub(crate) denied: AtomicU64,
    /// Requests for streams about which the host was to be asked, and has not answered.
    pub(crate) failed: AtomicU64,
    /// Answers of the host for which no connection waited.
    pub(crate) late: AtomicU64,
}

/// The way to one shard from any thread.
pub(crate) struct Link {
    pub(crate) inbox: Arc<ShardInbox>,
    pub(crate) counters: Counters,
    commands: async_channel::Sender<Command>,
    pub(in crate::shard) orders: async_channel::Receiver<Command>,
    /// What the shard is told of single connections.
    tellers: async_channel::Sender<Told>,
    pub(in crate::shard) told: async_channel::Receiver<Told>,
}

pub(crate) enum Command {
    /// Accept through an acceptor.
    Accept(Arc<Acceptor>),
    /// Stop polling the acceptors that are closed.
    RemoveClosed,
    /// Serve a connection with what was read from it; `counted` if its limits count it already.
    Serve { stream: Stream, read: Vec<u8>, peer: Peer, acceptor: Arc<Acceptor>, counted: bool },
    /// Serve a connection that a host has handed over.
    Adopt(Box<Adopted>),
    /// See that grace times of watchers end, which a shard has begun that has ended since.
    EndGraces,
    /// Say something about the connections, or end some.
    Query(Box<QueryRequest>),
    /// Do what a test says.
    #[cfg(test)]
    Try(Box<dyn FnOnce(&mut super::Shard) + Send>),
}

impl Shared {
    /// Whether a client is to come again in a moment, since this hub is a node of a cluster that has read less
    /// than the client.
    pub(crate) fn is_behind(&self, resume: &Resume) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.is_behind(&self.order, resume))
    }

    /// Those on connections and on subscriptions.
    pub(crate) fn limits(&self) -> (&ConnectionLimits, &SubscriptionLimits) {
        (&self.connection_limits, &self.subscription_limits)
    }

    /// Whether there is a shard that accepts connections.
    pub(crate) fn is_served(&self) -> bool {
        !self.is_ending() && self.links.iter().any(Link::is_alive)
    }

    /// Whether no connection is accepted any more.
    pub(crate) fn is_ending(&self) -> bool {
        self.closing.load(Ordering::SeqCst) || self.drain.get().is_some()
    }
}

impl Link {
    pub(crate) fn new(inbox: Arc<ShardInbox>) -> Link {
        let (commands, orders) = async_channel::bounded(COMMANDS_MAX);
        let (tellers, told) = async_channel::unbounded();
        let counters = Counters::default();
        Link { inbox, counters, commands, orders, tellers, told }
    }

    /// Whether there is a shard at the other end.
    pub(crate) fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    /// How many connections the shard has, and how many commands wait for it, each of which may
    /// bring one more.
    pub(crate) fn load(&self) -> u64 {
        let here = self.counters.connections.value() + self.counters.pending_connections.value();
        here + self.commands.len() as u64
    }

    /// Tells the shard something of a connection; returns it when there is no shard.
    pub(crate) fn tell(&self, told: Told) -> Result<(), Told> {
        self.tellers.try_send(told).map_err(async_channel::TrySendError::into_inner)?;
        self.inbox.ring();
        Ok(())
    }

    /// Gives the shard a command; returns it when too many wait already.
    pub(crate) fn command(&self, command: Command) -> Result<(), Command> {
        self.commands.try_send(command).map_err(async_channel::TrySendError::into_inner)?;
        self.inbox.ring();
        Ok(())
    }
}
