//! Waiting for space in the backlog, for a host that is told of it instead of a publisher that waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll};

use crate::hub::Hub;
use crate::publish::Wait;
use crate::shard::Shared;
use crate::topic::Topic;

/// The wait for space of some topics. It does not keep the hub.
pub(crate) struct Space {
    hub: Weak<Shared>,
    topics: Vec<Topic>,
    /// Whether the event is to be spread over a time.
    is_spread: bool,
    wait: Option<Wait>,
}

impl Hub {
    /// The wait for a moment at which an event of these topics finds space.
    pub(crate) fn space(&self, topics: Vec<Topic>, is_spread: bool) -> Space {
        Space { hub: self.downgrade(), topics, is_spread, wait: None }
    }
}

impl Space {
    /// Ready when there is space, and when a publisher would wait for nothing: the hub is closed or
    /// gone, or a topic is finished.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(wait) = &mut self.wait {
                std::task::ready!(Pin::new(wait).poll(context));
                self.wait = None;
            }
            // Another publisher may have been faster.
            let hub = self.hub.upgrade();
            match hub.and_then(|hub| self.wait_of(&hub)) {
                Some(wait) => self.wait = Some(wait),
                None => return Poll::Ready(()),
            }
        }
    }

    /// What is to be waited for, of the backlogs, of the journal and of a cluster's server.
    fn wait_of(&self, hub: &Shared) -> Option<Wait> {
        if let Some(listeners) = hub.order.listen_for_space(&self.topics, self.is_spread) {
            return Some(Wait::any(listeners));
        }
        let space = hub.cluster.as_ref()?.listen_if_full()?;
        Wait::new(&hub.order, &self.topics, space)
    }
}
