//! Streams that the host reads itself: the queue between a shard and a reader, and what the shard
//! makes of a reader that reads, stops, or is gone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Wake};

use bytes::Bytes;

use crate::pull::{Pull, Put, Read};

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
