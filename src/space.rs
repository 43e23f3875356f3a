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
            let order = hub.as_ref().map(|hub| &hub.order);
            let listen =
                |order: &crate::order::Order| order.listen_for_space(&self.topics, self.is_spread);
            match order.and_then(listen) {
                Some(listeners) => self.wait = Some(Wait::any(listeners)),
                None => return Poll::Ready(()),
            }
        }
    }
}
