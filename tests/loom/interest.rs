//! Threads of the engine that owe a host notices, and the host that takes them: it does not sleep
//! while there is one, nor after the end.

use loom::sync::Arc;
use loom::thread;

use crate::bounded;
use crate::queue::Queue;

/// What is owed, and whether the hub has ended. Replaces a watcher's table.
#[derive(Default)]
struct Owed {
    items: Vec<u32>,
    is_ended: bool,
}

impl Owed {
    fn next_or_end(&mut self) -> Option<Option<u32>> {
        match self.items.pop() {
            None if !self.is_ended => None,
            next => Some(next),
        }
    }
}

/// As a shard does that has noted something under the hub's lock.
fn owe(queue: &Queue<Owed>, item: u32) {
    queue.with(|owed| owed.items.push(item));
    queue.notify();
}

fn take(queue: &Queue<Owed>) -> Option<u32> {
    loom::future::block_on(queue.take(Owed::next_or_end))
}

#[test]
fn a_host_never_sleeps_over_a_notice() {
    loom::model(|| {
        let queue = Arc::new(Queue::new(Owed::default()));
        let shard = thread::spawn({
            let queue = queue.clone();
            move || owe(&queue, 7)
        });
        assert_eq!(take(&queue), Some(7));
        shard.join().unwrap();
    });
}

#[test]
fn a_host_is_woken_for_the_last_notice_and_for_the_end() {
    bounded().check(|| {
        let queue = Arc::new(Queue::new(Owed::default()));
        let shard = thread::spawn({
            let queue = queue.clone();
            move || {
                owe(&queue, 7);
                queue.with(|owed| owed.is_ended = true);
                queue.notify();
            }
        });
        assert_eq!((take(&queue), take(&queue)), (Some(7), None));
        shard.join().unwrap();
    });
}

#[test]
fn a_host_takes_what_two_shards_owe_it() {
    bounded().check(|| {
        let queue = Arc::new(Queue::new(Owed::default()));
        let shards = [1, 2].map(|item| {
            let queue = queue.clone();
            thread::spawn(move || owe(&queue, item))
        });
        assert_eq!(take(&queue).unwrap() + take(&queue).unwrap(), 3);
        shards.into_iter().for_each(|shard| shard.join().unwrap());
    });
}

#[test]
fn of_two_receivers_that_wait_each_is_woken_for_its_notice() {
    bounded().check(|| {
        let queue = Arc::new(Queue::new(Owed::default()));
        let other = thread::spawn({
            let queue = queue.clone();
            move || take(&queue)
        });
        let shard = thread::spawn({
            let queue = queue.clone();
            move || {
                queue.with(|owed| owed.items.extend([1, 2]));
                queue.notify();
            }
        });
        let sum = take(&queue).unwrap() + other.join().unwrap().unwrap();
        shard.join().unwrap();
        assert_eq!(sum, 3);
    });
}
