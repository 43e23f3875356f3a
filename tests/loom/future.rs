//! Every interleaving of publishers that fill an inbox and a shard that is a future, as in
//! `src/drive.rs`: a publisher that wakes it wakes its task, or its poller when it comes too late
//! for that.

use std::sync::Arc as StdArc;
use std::task;

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

use crate::bounded;
use crate::inbox::{Inbox, Wake};
use crate::waker::ShardWaker;

/// What the thread that polls the future sleeps on. Loom reports a deadlock when it waits and
/// nobody wakes it.
#[derive(Clone)]
struct Bell(Arc<Notify>);

/// Wakes the task.
struct Task(Bell);

impl task::Wake for Task {
    fn wake(self: StdArc<Task>) {
        self.0 .0.notify();
    }
}

/// Replaces the poller and the one that polls it: readable until the shard's turn, and until then
/// the task is woken.
#[derive(Clone)]
struct Poller {
    readable: Arc<AtomicBool>,
    bell: Bell,
}

impl Wake for Poller {
    fn wake(&self) {
        self.readable.store(true, Ordering::SeqCst);
        self.bell.0.notify();
    }
}

struct Fixture {
    bell: Bell,
    poller: Poller,
    inbox: Arc<Inbox<u32, ShardWaker<Poller>>>,
}

impl Fixture {
    fn new() -> Fixture {
        let bell = Bell(Arc::new(Notify::new()));
        let poller = Poller { readable: Arc::new(AtomicBool::new(false)), bell: bell.clone() };
        let inbox = Arc::new(Inbox::new(ShardWaker::new(poller.clone())));
        Fixture { bell, poller, inbox }
    }

    fn publisher(&self, item: u32) -> thread::JoinHandle<()> {
        let inbox = self.inbox.clone();
        thread::spawn(move || {
            if inbox.put(item) {
                inbox.wake();
            }
        })
    }

    /// Takes turns and parks between them until it has all items.
    fn drive(&self, wanted: usize) -> Vec<u32> {
        let (mut got, mut taken) = (Vec::new(), Vec::new());
        let waker = task::Waker::from(StdArc::new(Task(self.bell.clone())));
        loop {
            self.poller.readable.store(false, Ordering::SeqCst);
            self.inbox.take(&mut taken);
            got.append(&mut taken);
            if got.len() == wanted {
                return got;
            }
            self.inbox.waker().set_task(&waker);
            if self.inbox.park() {
                loop {
                    if self.poller.readable.load(Ordering::SeqCst) {
                        break;
                    }
                    self.bell.0.wait();
                    if !self.inbox.waker().renew_task(&waker) {
                        break;
                    }
                }
            }
            self.inbox.unpark();
            self.inbox.waker().forget_task();
        }
    }
}

#[test]
fn a_future_never_sleeps_over_an_item_whichever_way_it_is_woken() {
    bounded().check(|| {
        let fixture = Fixture::new();
        let publishers = [0, 1].map(|item| fixture.publisher(item));
        let mut got = fixture.drive(2);
        got.sort_unstable();
        assert_eq!(got, [0, 1]);
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    });
}

#[test]
fn a_future_that_is_polled_for_nothing_loses_no_wake() {
    bounded().check(|| {
        let fixture = Fixture::new();
        let publisher = fixture.publisher(0);
        let nothing = thread::spawn({
            let bell = fixture.bell.clone();
            move || bell.0.notify()
        });
        assert_eq!(fixture.drive(1), [0]);
        publisher.join().unwrap();
        nothing.join().unwrap();
    });
}
