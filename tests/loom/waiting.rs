//! Publishers that find a full backlog and wait, and shards that remove bytes from it: no publisher
//! sleeps while there is space, or after the hub was closed.

use event_listener::Listener as _;
use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::backlog::Backlog;
use crate::bounded;

/// The part of a hub's order that a publisher uses when it looks for space in the backlogs.
struct Order {
    topic_backlog: Backlog,
    hub_backlog: Backlog,
    is_closed: Mutex<bool>,
}

#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Full,
    Closed,
}

impl Order {
    /// An order with one topic whose backlog is full: `topic_bytes_max` bytes, which shards have to
    /// send.
    fn full(topic_bytes_max: usize, hub_bytes_max: usize) -> Arc<Order> {
        let (topic_backlog, hub_backlog) =
            (Backlog::new(topic_bytes_max), Backlog::new(hub_bytes_max));
        topic_backlog.add(topic_bytes_max);
        hub_backlog.add(topic_bytes_max);
        Arc::new(Order { topic_backlog, hub_backlog, is_closed: Mutex::new(false) })
    }

    /// As `Order::publish` does: returns a listener if there is no space.
    fn publish(&self, bytes: usize) -> Result<(), (Refused, Option<crate::sync::EventListener>)> {
        let is_closed = self.is_closed.lock().unwrap();
        if *is_closed {
            return Err((Refused::Closed, None));
        }
        match self.topic_backlog.listen_if_full().or_else(|| self.hub_backlog.listen_if_full()) {
            Some(listener) => Err((Refused::Full, Some(listener))),
            None => {
                self.topic_backlog.add(bytes);
                self.hub_backlog.add(bytes);
                Ok(())
            }
        }
    }

    /// As `Hub::publish_wait` does.
    fn publish_wait(&self, bytes: usize) -> Result<(), Refused> {
        loop {
            match self.publish(bytes) {
                Err((Refused::Full, Some(listener))) => listener.wait(),
                result => return result.map_err(|(refused, _)| refused),
            }
        }
    }

    /// As `Hub::publish_async` does.
    async fn publish_async(&self, bytes: usize) -> Result<(), Refused> {
        loop {
            match self.publish(bytes) {
                Err((Refused::Full, Some(listener))) => listener.await,
                result => return result.map_err(|(refused, _)| refused),
            }
        }
    }

    /// As a shard does that has sent an event.
    fn remove(&self, bytes: usize) {
        self.topic_backlog.remove(bytes);
        self.hub_backlog.remove(bytes);
    }

    /// As `Order::close` does.
    fn close(&self) {
        *self.is_closed.lock().unwrap() = true;
        self.topic_backlog.notify_all();
        self.hub_backlog.notify_all();
    }
}

/// A shard that has sent events of these sizes, one after another.
fn shard<const EVENTS: usize>(
    order: &Arc<Order>,
    bytes: [usize; EVENTS],
) -> thread::JoinHandle<()> {
    let order = order.clone();
    thread::spawn(move || bytes.into_iter().for_each(|bytes| order.remove(bytes)))
}

#[test]
fn a_publisher_does_not_sleep_when_bytes_were_removed() {
    loom::model(|| {
        let order = Order::full(1, 8);
        let shard = shard(&order, [1]);
        assert_eq!(order.publish_wait(1), Ok(()));
        shard.join().unwrap();
        assert_eq!((order.topic_backlog.bytes(), order.hub_backlog.bytes()), (1, 1));
    });
}

#[test]
fn a_future_that_publishes_does_not_sleep_when_bytes_were_removed() {
    bounded().check(|| {
        let order = Order::full(1, 8);
        let shard = shard(&order, [1]);
        assert_eq!(loom::future::block_on(order.publish_async(1)), Ok(()));
        shard.join().unwrap();
    });
}

#[test]
fn a_publisher_finds_space_in_its_topics_backlog_and_then_in_the_hubs() {
    bounded().check(|| {
        let order = Order::full(1, 1);
        let shard = shard(&order, [1]);
        assert_eq!(order.publish_wait(1), Ok(()));
        shard.join().unwrap();
    });
}

#[test]
fn a_publisher_is_woken_by_the_one_event_of_many_that_makes_an_eighth_free() {
    bounded().check(|| {
        let order = Order::full(8, 100);
        let shard = shard(&order, [1, 1, 1]);
        assert_eq!(order.publish_wait(1), Ok(()));
        shard.join().unwrap();
    });
}

#[test]
fn of_two_shards_that_remove_bytes_at_once_one_wakes_the_publisher() {
    bounded().check(|| {
        let order = Order::full(16, 100);
        let shards = [[2], [2]].map(|bytes| shard(&order, bytes));
        assert_eq!(order.publish_wait(1), Ok(()));
        for shard in shards {
            shard.join().unwrap();
        }
    });
}

#[test]
fn all_publishers_that_wait_are_woken_by_one_shard() {
    bounded().check(|| {
        let order = Order::full(2, 100);
        let other = thread::spawn({
            let order = order.clone();
            move || order.publish_wait(1)
        });
        let shard = shard(&order, [2]);
        assert_eq!(order.publish_wait(1), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
        shard.join().unwrap();
    });
}

#[test]
fn a_publisher_does_not_sleep_through_a_close() {
    bounded().check(|| {
        let order = Order::full(1, 1);
        let host = thread::spawn({
            let order = order.clone();
            move || order.close()
        });
        assert_eq!(order.publish_wait(1), Err(Refused::Closed));
        host.join().unwrap();
    });
}
