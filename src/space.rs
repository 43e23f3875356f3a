//! Waiting for space in the backlog, for a host that is told of it instead of a publisher that waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll};

use crate::hub::Hub;
use crate::shard::Shared;
use crate::sync::EventListener;
use crate::topic::Topic;

/// The wait for space of some topics. It does not keep the hub.
pub(crate) struct Space {
    hub: Weak<Shared>,
    topics: Vec<Topic>,
    /// Whether the event is to be spread over a time.
    is_spread: bool,
    listener: Option<EventListener>,
}

impl Hub {
    /// The wait for a moment at which an event of these topics finds space.
    pub(crate) fn space(&self, topics: Vec<Topic>, is_spread: bool) -> Space {
        Space { hub: self.downgrade(), topics, is_spread, listener: None }
    }
}

impl Space {
    /// Ready when there is space, and when a publisher would wait for nothing: the hub is closed or
    /// gone, or a topic is finished.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(listener) = &mut self.listener {
                std::task::ready!(Pin::new(listener).poll(context));
                self.listener = None;
            }
            // Another publisher may have been faster.
            let hub = self.hub.upgrade();
            let order = hub.as_ref().map(|hub| &hub.order);
            let listen =
                |order: &crate::order::Order| order.listen_for_space(&self.topics, self.is_spread);
            match order.and_then(listen) {
                Some(listener) => self.listener = Some(listener),
                None => return Poll::Ready(()),
            }
        }
    }
}
