//! Every interleaving of sources that call a host and of a host that waits at a wire and drains:
//! nothing lies in a source while the host waits.

use std::collections::VecDeque;

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::bounded;
use crate::ready::{Place, Ready, Wire};

/// Replaces the pair of sockets: a count of bytes that can be waited for. Loom reports a deadlock
/// when the host waits and nothing more is sent.
#[derive(Clone)]
struct Bytes(Arc<(Mutex<usize>, Condvar)>);

impl Bytes {
    fn new() -> Bytes {
        Bytes(Arc::new((Mutex::new(0), Condvar::new())))
    }

    /// As `poll` does. As a runtime does that reads, if `is_read`.
    fn wait(&self, is_read: bool) {
        let (bytes, sent) = &*self.0;
        let mut bytes = bytes.lock().unwrap();
        while *bytes == 0 {
            bytes = sent.wait(bytes).unwrap();
        }
        assert_eq!(*bytes, 1, "one byte at most is there");
        if is_read {
            *bytes = 0;
        }
    }
}

impl Wire for Bytes {
    fn send(&self) -> bool {
        let (bytes, sent) = &*self.0;
        *bytes.lock().unwrap() += 1;
        sent.notify_one();
        true
    }

    fn empty(&self) {
        *self.0 .0.lock().unwrap() = 0;
    }
}

/// Something that items are put into, after which the host is called.
struct Source {
    place: std::sync::Arc<Place>,
    items: Mutex<VecDeque<u32>>,
}

impl Source {
    fn new(key: u64) -> Source {
        let place = std::sync::Arc::new(Place::new(key));
        Source { place, items: Mutex::new(VecDeque::new()) }
    }

    fn put(&self, item: u32, ready: &Ready<Bytes>) {
        self.items.lock().unwrap().push_back(item);
        ready.call(&self.place);
    }
}

/// Drains at most `at_once` items each time that there is something to read, until it has all.
fn host(
    ready: &Ready<Bytes>,
    bytes: &Bytes,
    sources: &[Source],
    (wanted, at_once, is_read): (usize, usize, bool),
) -> Vec<u32> {
    let mut got = Vec::new();
    while got.len() < wanted {
        bytes.wait(is_read);
        let drain = ready.drain();
        let room = got.len() + at_once;
        while got.len() < room {
            let Some(place) = drain.take() else { break };
            let item = sources[place.key as usize].items.lock().unwrap().pop_front();
            if let Some(item) = item {
                got.push(item);
                // There may be more.
                ready.call(&place);
            }
        }
    }
    got
}

/// Sources with these items, each of a thread of its own.
fn drained(items: &'static [&'static [u32]], at_once: usize, is_read: bool) -> Vec<u32> {
    let bytes = Bytes::new();
    let ready = Arc::new(Ready::new(bytes.clone()));
    let sources: Arc<Vec<Source>> = Arc::new((0..items.len() as u64).map(Source::new).collect());
    let threads: Vec<_> = (0..items.len())
        .map(|nth| {
            let (ready, sources) = (ready.clone(), sources.clone());
            thread::spawn(move || {
                items[nth].iter().for_each(|&item| sources[nth].put(item, &ready))
            })
        })
        .collect();
    let wanted = items.iter().map(|items| items.len()).sum();
    let got = host(&ready, &bytes, &sources, (wanted, at_once, is_read));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    got
}

#[test]
fn a_host_that_waits_is_called_for_each_item_of_a_source() {
    for is_read in [false, true] {
        loom::model(move || assert_eq!(drained(&[&[1, 2]], 8, is_read), [1, 2]));
    }
}

#[test]
fn a_host_that_takes_few_at_once_is_called_for_the_rest() {
    for is_read in [false, true] {
        bounded().check(move || assert_eq!(drained(&[&[1, 2, 3]], 1, is_read), [1, 2, 3]));
    }
}

#[test]
fn of_two_sources_nothing_is_lost_and_each_keeps_its_order() {
    for is_read in [false, true] {
        bounded().check(move || {
            let got = drained(&[&[10, 11], &[20, 21]], 2, is_read);
            for first in [10, 20] {
                let of_one: Vec<u32> =
                    got.iter().copied().filter(|item| item / 10 == first / 10).collect();
                assert_eq!(of_one, [first, first + 1]);
            }
        });
    }
}

#[test]
fn nothing_is_sent_once_the_wire_is_closed() {
    loom::model(|| {
        let bytes = Bytes::new();
        let ready = Arc::new(Ready::new(bytes.clone()));
        let source = Arc::new(Source::new(0));
        let thread = thread::spawn({
            let (ready, source) = (ready.clone(), source.clone());
            move || source.put(1, &ready)
        });
        ready.close();
        assert!(ready.with_wire(|_| ()).is_none());
        thread.join().unwrap();
        ready.retain(0, |_| false);
        let drain = ready.drain();
        assert!(drain.places() == 0 && drain.take().is_none());
    });
}
