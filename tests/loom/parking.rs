//! Every interleaving of publishers that fill an inbox and a shard that empties it and goes to
//! sleep: nothing that was put is left lying while the shard sleeps.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

use crate::bounded;
use crate::inbox::{Inbox, Wake};

/// Replaces the poller: a wake stays until it is taken, as an eventfd's does. Loom reports a
/// deadlock when the shard waits and no publisher wakes it.
#[derive(Clone)]
struct Bell(Arc<Notify>);

impl Wake for Bell {
    fn wake(&self) {
        self.0.notify();
    }
}

fn shard(inbox: &Inbox<u32, Bell>, bell: &Bell, wanted: usize) -> Vec<u32> {
    let (mut got, mut taken) = (Vec::new(), Vec::new());
    loop {
        inbox.take(&mut taken);
        got.append(&mut taken);
        if got.len() == wanted {
            return got;
        }
        if inbox.park() {
            bell.0.wait();
            inbox.unpark();
        }
    }
}

#[test]
fn a_shard_never_sleeps_over_an_item() {
    loom::model(|| {
        let bell = Bell(Arc::new(Notify::new()));
        let inbox = Arc::new(Inbox::new(bell.clone()));
        let publisher = thread::spawn({
            let inbox = inbox.clone();
            move || {
                for item in 0..2 {
                    if inbox.put(item) {
                        inbox.wake();
                    }
                }
            }
        });
        assert_eq!(shard(&inbox, &bell, 2), [0, 1]);
        publisher.join().unwrap();
    });
}

#[test]
fn two_publishers_lose_nothing_and_each_keeps_its_order() {
    bounded().check(|| {
        let bell = Bell(Arc::new(Notify::new()));
        let inbox = Arc::new(Inbox::new(bell.clone()));
        let publishers = [10, 20].map(|first| {
            let inbox = inbox.clone();
            thread::spawn(move || {
                for item in first..first + 2 {
                    if inbox.put(item) {
                        inbox.wake();
                    }
                }
            })
        });
        let got = shard(&inbox, &bell, 4);
        for first in [10, 20] {
            let of_one: Vec<u32> = got.iter().copied().filter(|i| i / 10 == first / 10).collect();
            assert_eq!(of_one, [first, first + 1]);
        }
        for publisher in publishers {
            publisher.join().unwrap();
        }
    });
}

#[test]
fn a_shard_never_sleeps_over_something_that_is_not_in_its_inbox() {
    loom::model(|| {
        let bell = Bell(Arc::new(Notify::new()));
        let inbox: Arc<Inbox<u32, Bell>> = Arc::new(Inbox::new(bell.clone()));
        let closing = Arc::new(AtomicBool::new(false));
        let host = thread::spawn({
            let (inbox, closing) = (inbox.clone(), closing.clone());
            move || {
                closing.store(true, Ordering::SeqCst);
                inbox.ring();
            }
        });
        // As `Shard::park` does: first it says that it sleeps, and then it looks around.
        while !closing.load(Ordering::SeqCst) {
            if inbox.park() {
                if !closing.load(Ordering::SeqCst) {
                    bell.0.wait();
                }
                inbox.unpark();
            }
        }
        host.join().unwrap();
    });
}
