//! A shard that fills the queue of a stream, and the host's reader: neither sleeps while the other
//! has done something for it, and each is told once.

use std::sync::Arc as StdArc;
use std::task::{Context, Poll, Wake};

use bytes::Bytes;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::bounded;
use crate::pull::{Pull, Put, Read};

/// Why a stream ended.
const OVER: u8 = 1;

/// What tells the shard something: a list of ids, as the channel of a shard's link is one.
#[derive(Default)]
struct Told(Mutex<Vec<u64>>);

impl Told {
    fn tell(&self, id: Option<u64>) {
        self.0.lock().unwrap().extend(id);
    }

    fn take(&self) -> Option<u64> {
        self.0.lock().unwrap().pop()
    }
}

/// Counts how often a reader is woken.
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: StdArc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn put(pull: &Pull<u8>) -> Put {
    pull.put(1, || Bytes::from_static(b"x"))
}

/// Reads under loom's executor, which sleeps until it is woken. Returns the number of batches.
async fn read_all(pull: &Pull<u8>, told: &Told) -> usize {
    let mut batches = 0;
    loop {
        match std::future::poll_fn(|context| pull.poll_read(context)).await {
            Read::Batch(_, id) => {
                told.tell(id);
                batches += 1;
            }
            Read::End(_) => return batches,
            Read::Nothing => unreachable!("it waits then"),
        }
    }
}

#[test]
fn a_reader_that_waits_is_woken_by_each_batch_and_by_the_end() {
    bounded().check(|| {
        let pull = Arc::new(Pull::new(1_000));
        let shard = thread::spawn({
            let pull = pull.clone();
            move || {
                assert_eq!([put(&pull), put(&pull)], [Put::Taken, Put::Taken]);
                pull.end(OVER);
            }
        });
        let batches = loom::future::block_on(read_all(&pull, &Told::default()));
        assert_eq!(batches, 2);
        shard.join().unwrap();
    });
}

#[test]
fn a_shard_that_found_the_queue_full_is_told_once_when_the_reader_has_made_room() {
    bounded().check(|| {
        // One batch fills it.
        let (pull, told) = (Arc::new(Pull::<u8>::new(1)), Arc::new(Told::default()));
        assert!(pull.begin(7));
        assert_eq!(put(&pull), Put::Taken);
        let reader = thread::spawn({
            let (pull, told) = (pull.clone(), told.clone());
            move || {
                if let Read::Batch(_, id) = pull.read() {
                    told.tell(id);
                }
            }
        });
        let put = put(&pull);
        reader.join().unwrap();
        // Either there was room by then, or it is told that there is.
        let expected = match put {
            Put::Full => Some(7),
            _ => None,
        };
        assert_eq!((told.take(), told.take()), (expected, None));
        assert!(!pull.look());
    });
}

#[test]
fn a_shard_is_told_of_a_reader_that_is_gone_unless_it_learns_that_when_it_begins_or_has_ended_it() {
    bounded().check(|| {
        let (pull, told) = (Arc::new(Pull::<u8>::new(1)), Arc::new(Told::default()));
        let reader = thread::spawn({
            let (pull, told) = (pull.clone(), told.clone());
            move || told.tell(pull.abandon())
        });
        let begins = pull.begin(7);
        let taken = begins.then(|| put(&pull));
        reader.join().unwrap();
        let is_told = told.take() == Some(7);
        assert_eq!(is_told, begins, "it learns of it once");
        assert!(pull.look() && put(&pull) == Put::Abandoned);
        assert_ne!(taken, Some(Put::Full));
    });
}

#[test]
fn a_reader_is_woken_once_for_several_batches_that_come_before_it_reads() {
    bounded().check(|| {
        let pull = Arc::new(Pull::<u8>::new(1_000));
        let wakes = StdArc::new(Wakes(AtomicUsize::new(0)));
        let shard = thread::spawn({
            let pull = pull.clone();
            move || assert_eq!([put(&pull), put(&pull)], [Put::Taken, Put::Taken])
        });
        let waker = wakes.clone().into();
        let is_pending = pull.poll_read(&mut Context::from_waker(&waker)) == Poll::Pending;
        shard.join().unwrap();
        assert_eq!(wakes.0.load(Ordering::SeqCst), usize::from(is_pending));
    });
}
