//! Streams that the host reads itself: the queue between a shard and a reader, and what the shard
//! makes of a reader that reads, stops, or is gone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Wake};

use bytes::Bytes;

use super::World;
use crate::frame::Wire;
use crate::metrics::DisconnectReason;
use crate::options::Options;
use crate::pull::{Pull, Put, Read};
use crate::shard::connection::slots::Key;
use crate::shard::connection::State;
use crate::shard::{Peer, PullRequest, StreamRequest};
use crate::topic::Topic;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn put(pull: &Pull<u8>, bytes: usize) -> Put {
    pull.put(bytes, || Bytes::from(vec![b'x'; bytes]))
}

fn read(pull: &Pull<u8>) -> Option<(usize, Option<u64>)> {
    match pull.read() {
        Read::Batch(batch, id) => Some((batch.len(), id)),
        Read::End(_) | Read::Nothing => None,
    }
}

#[test]
fn it_takes_batches_up_to_its_bound_or_one_that_is_larger() {
    let pull = Pull::new(1_000);
    assert_eq!(put(&pull, 5_000), Put::Taken);
    assert_eq!(put(&pull, 0), Put::Full);
    assert_eq!(read(&pull), Some((5_000, None)), "the shard does not have it yet");
    let each = 250 - 64;
    assert!((0..4).all(|_| put(&pull, each) == Put::Taken));
    assert_eq!(put(&pull, 0), Put::Full);
}

#[test]
fn a_shard_that_found_it_full_is_told_once_when_half_of_it_is_free() {
    let pull = Pull::new(1_000);
    assert!(pull.begin(7));
    let each = 250 - 64;
    (0..4).for_each(|_| assert_eq!(put(&pull, each), Put::Taken));
    assert_eq!(put(&pull, each), Put::Full);
    let told: Vec<_> = std::iter::from_fn(|| read(&pull)).map(|(_, id)| id).collect();
    assert_eq!(told, [None, Some(7), None, None]);
    // It has not looked yet.
    (0..5).for_each(|_| _ = put(&pull, each));
    assert!((0..4).all(|_| read(&pull) == Some((each, None))));
    assert!(!pull.look());
    assert_eq!(put(&pull, 2_000), Put::Taken);
    assert_eq!(put(&pull, 2_000), Put::Full);
    assert_eq!(read(&pull), Some((2_000, Some(7))));
}

#[test]
fn a_reader_that_waits_is_woken_once_and_the_last_that_polled() {
    let pull = Pull::new(1_000);
    let (first, second) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    for wakes in [&first, &second, &second] {
        let waker = wakes.clone().into();
        assert!(pull.poll_read(&mut Context::from_waker(&waker)).is_pending());
    }
    (0..3).for_each(|_| assert_eq!(put(&pull, 1), Put::Taken));
    pull.end(1);
    let count = |wakes: &Wakes| wakes.0.load(Ordering::SeqCst);
    assert_eq!((count(&first), count(&second)), (0, 1));
}

#[test]
fn what_was_taken_is_read_before_the_end_and_the_first_reason_counts() {
    let pull = Pull::new(1_000);
    put(&pull, 1);
    pull.end(1);
    pull.end(2);
    assert_eq!(pull.end_reason(), None);
    assert_eq!(read(&pull), Some((1, None)));
    assert_eq!((pull.read(), pull.end_reason()), (Read::End(1), Some(1)));
}

#[test]
fn an_abandoned_one_takes_nothing_and_the_shard_is_told_unless_it_has_ended_it() {
    let pull = Pull::<u8>::new(1_000);
    pull.begin(7);
    put(&pull, 1);
    assert_eq!(pull.abandon(), Some(7));
    assert_eq!(put(&pull, 1), Put::Abandoned);
    assert!(pull.look() && pull.waiting().is_empty());
    let early = Pull::<u8>::new(1_000);
    assert_eq!(early.abandon(), None);
    assert!(!early.begin(7));
    assert_eq!(Pull::ended(1).abandon(), None);
}

type Queue = Arc<Pull<DisconnectReason>>;

/// A stream of the topic `a` that is to begin.
fn request(world: &World, bytes_max: usize) -> (Queue, PullRequest) {
    let queue = Arc::new(Pull::new(bytes_max));
    let wanted = StreamRequest::new(Vec::new(), vec![Topic::new("a").unwrap()], Wire::Plain);
    let (limits, now) = (world.shared.limits(), world.shared.order.moment());
    let Ok(request) = PullRequest::reserve(limits, now, queue.clone(), wanted, Peer::known(None))
    else {
        panic!("there is space for it");
    };
    (queue, request)
}

fn begin(world: &mut World, bytes_max: usize) -> (Queue, Key) {
    let (queue, request) = request(world, bytes_max);
    (queue, world.shard.begin_pull(request))
}

fn all(queue: &Queue) -> Vec<Bytes> {
    std::iter::from_fn(|| match queue.read() {
        Read::Batch(batch, _) => Some(batch),
        Read::End(_) | Read::Nothing => None,
    })
    .collect()
}

fn text(queue: &Queue) -> String {
    String::from_utf8(all(queue).concat()).unwrap()
}

#[test]
fn what_is_published_between_the_hosts_call_and_the_shards_turn_is_sent() {
    let mut world = World::new(Options::default());
    let (queue, early) = request(&world, 10_000);
    for data in ["one", "two"] {
        assert!(world.publish(0, data));
    }
    world.shard.begin_pull(early);
    assert!(world.publish(0, "three"));
    world.settle();
    let text = text(&queue);
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(data, ["one", "two", "three"]);
}

#[test]
fn what_is_not_kept_of_that_is_told_as_a_gap() {
    let mut world = World::new(Options { history_events_max: 0, ..Options::default() });
    for publishes in [false, true] {
        let (queue, early) = request(&world, 10_000);
        assert!(!publishes || world.publish(0, "x"));
        world.shard.begin_pull(early);
        world.settle();
        let text = text(&queue);
        assert_eq!(text.contains("event: fanfare-gap"), publishes, "{text}");
    }
}

#[test]
fn several_events_are_copied_once_for_all_readers_of_an_audience() {
    let mut world = World::new(Options::default());
    let streams: Vec<_> = (0..100).map(|_| begin(&mut world, 10_000).0).collect();
    streams.iter().for_each(|queue| drop(all(queue)));
    (0..3).for_each(|_| assert!(world.publish(0, "x")));
    world.settle();
    let batches: Vec<_> = streams.iter().flat_map(all).collect();
    assert_eq!(batches.len(), 100);
    assert!(batches.iter().all(|batch| batch.as_ptr() == batches[0].as_ptr()));
    assert_eq!(batches[0].windows(8).filter(|some| some == b"data: x\n").count(), 3);
}

#[test]
fn a_reader_whose_queue_is_full_lags_and_is_a_member_again_when_it_has_read() {
    let mut world = World::new(Options::default());
    let (queue, key) = begin(&mut world, 1);
    drop(all(&queue));
    let is_member =
        |world: &World| matches!(world.shard.connections[key.index].state, State::Live(_));
    for _ in 0..2 {
        assert!(world.publish(0, "x"));
        world.settle();
    }
    assert!(!is_member(&world));
    let Read::Batch(first, Some(id)) = queue.read() else { panic!("the shard is told") };
    assert!(first.ends_with(b"data: x\n\n"));
    let id = crate::lifecycle::ConnectionId::from_u64(id);
    assert!(world.shared.links[0].tell(crate::shard::Told::HasNews(id)).is_ok());
    assert!(!world.shard.park(), "it is not to sleep");
    world.settle();
    assert!(is_member(&world));
    assert!(text(&queue).ends_with("data: x\n\n"));
}

#[test]
fn a_reader_that_is_gone_before_its_stream_begins_leaves_nothing() {
    let mut world = World::new(Options::default());
    let (queue, early) = request(&world, 1);
    assert_eq!(queue.abandon(), None);
    world.shard.begin_pull(early);
    assert!(world.shard.connections.is_empty() && world.shard.connections.pulls.is_empty());
    assert_eq!(world.shared.subscription_limits.taken(), 0);
    assert_eq!(world.shard.link().counters.pending_connections.value(), 0);
}

#[test]
fn streams_without_a_descriptor_do_not_take_those_of_sockets() {
    let mut world = World::new(Options { connections_max: 3, ..Options::default() });
    let held: Vec<_> = (0..3).map(|_| begin(&mut world, 1).0).collect();
    let wanted = StreamRequest::new(Vec::new(), vec![Topic::new("a").unwrap()], Wire::Plain);
    let (limits, now) = (world.shared.limits(), world.shared.order.moment());
    let more = PullRequest::reserve(limits, now, held[0].clone(), wanted, Peer::known(None));
    assert!(more.is_err(), "there are as many as there may be");
    assert!(!world.shared.connection_limits.is_exceeded());
}
