//! Waiting for space in the backlog, or for the end of a topic.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::order::Order;
use crate::sync::EventListener;
use crate::topic::Topic;

/// The wait of a publisher that found the backlog full: ready when it is worth another try.
pub(crate) struct Wait {
    listeners: Vec<EventListener>,
}

impl Wait {
    /// `space` was given with the refusal. `None` when one of the topics is finished, which the next try finds.
    pub(crate) fn new(order: &Order, topics: &[Topic], space: EventListener) -> Option<Wait> {
        let mut listeners = order.listen_for_finishes(topics)?;
        listeners.push(space);
        Some(Wait { listeners })
    }

    /// The wait for one of several.
    #[cfg(feature = "capi")]
    pub(crate) fn any(listeners: Vec<EventListener>) -> Wait {
        Wait { listeners }
    }

    /// Blocks the thread; false if nothing has come until a deadline.
    pub(crate) fn block(mut self, deadline: Option<Instant>) -> bool {
        let (parker, unparker) = parking::pair();
        let waker = Waker::from(unparker);
        let mut context = Context::from_waker(&waker);
        loop {
            if Pin::new(&mut self).poll(&mut context).is_ready() {
                return true;
            }
            match deadline {
                None => parker.park(),
                Some(deadline) if Instant::now() >= deadline => return false,
                Some(deadline) => {
                    parker.park_deadline(deadline);
                }
            }
        }
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut listeners = self.listeners.iter_mut();
        match listeners.any(|listener| Pin::new(listener).poll(context).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}
