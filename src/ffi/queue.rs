//! A queue of notices: sources of any kind, each of which wakes the host through one doorbell.
//!
//! A source is asked only when its waker was woken since it last had nothing, so that thousands of
//! streams in one queue cost nothing while they are silent. To plug something in: [`Queue::add`]
//! takes a [`Source`], of which [`stream`] makes one of anything that is polled with a waker;
//! [`Queue::signal`] gives a waker, and each time that it is woken the host gets one notice.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;

use super::doorbell::Doorbell;
use super::kept::Kept;
use super::notice::{FanfareNotice, Kind};
use super::ready::{Place, Ready};
use super::status::Status;

/// The most sources of a queue.
const SOURCES_MAX: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };
/// How many notices a source gives before it is another one's turn.
const NOTICES_PER_TURN: usize = 64;

/// Where notices come from.
pub(super) trait Source: Send {
    /// The next notice, whose texts are put into `kept`. The source is asked again after one, and
    /// otherwise once `waker` is woken.
    fn next(&mut self, waker: &Waker, kept: &mut Kept) -> Next;
}

/// What a source says.
pub(super) enum Next {
    /// A notice; there may be more.
    Notice(FanfareNotice),
    /// A notice, and nothing more until the waker is woken: also if that was while this was said.
    Last(FanfareNotice),
    /// A notice, and nothing any more, which the host knows. The source is dropped.
    Only(FanfareNotice),
    /// Nothing until the waker is woken.
    Nothing,
    /// Nothing any more. The host is told so, and the source is dropped.
    Ended,
}

/// A queue of notices, which a host drains.
pub(super) struct Queue {
    ready: Arc<Ready<Doorbell>>,
    sources: Mutex<Sources>,
}

#[derive(Default)]
struct Sources {
    entries: HashMap<u64, Entry>,
    last_key: u64,
    /// The texts of the last drain.
    kept: Kept,
}

struct Entry {
    token: u64,
    waker: Waker,
    source: Box<dyn Source>,
}

/// A source of one notice each time that its waker is woken. Dropping it takes it out of the queue.
pub(super) struct Signal {
    queue: Weak<Queue>,
    key: u64,
    waker: Waker,
}

impl Queue {
    pub(super) fn new(doorbell: Doorbell) -> Arc<Queue> {
        Arc::new(Queue { ready: Arc::new(Ready::new(doorbell)), sources: Mutex::default() })
    }

    /// The descriptor that becomes readable, unless the queue is closed.
    pub(super) fn fd(&self) -> Option<libc::c_int> {
        self.ready.with_wire(Doorbell::host_fd)
    }

    /// Adds a source, whose notices have a token. The host is told to drain: it may have something.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_LIMIT` when there are too many.
    pub(super) fn add(&self, token: u64, source: Box<dyn Source>) -> Result<(), Status> {
        self.add_made(token, || Ok(source))
    }

    /// The same of a source that is made when there is room for it: so that what it takes from another one
    /// stays there otherwise.
    ///
    /// # Errors
    ///
    /// As [`Queue::add`], and what `make` returns.
    pub(super) fn add_made(
        &self,
        token: u64,
        make: impl FnOnce() -> Result<Box<dyn Source>, Status>,
    ) -> Result<(), Status> {
        let mut sources = self.sources();
        sources.expect_room()?;
        let place = sources.add(token, make()?, &self.ready)?;
        drop(sources);
        self.ready.call(&place);
        Ok(())
    }

    /// Adds a source of one notice of a kind each time that its waker is woken.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_LIMIT` when there are too many sources.
    pub(super) fn signal(self: &Arc<Queue>, token: u64, kind: Kind) -> Result<Signal, Status> {
        let mut sources = self.sources();
        let key = sources.add(token, Box::new(Signalled(kind)), &self.ready)?.key;
        let waker = sources.entries[&key].waker.clone();
        Ok(Signal { queue: Arc::downgrade(self), key, waker })
    }

    /// Takes out all sources with a token, and returns how many.
    pub(super) fn remove_all(&self, token: u64) -> usize {
        let mut sources = self.sources();
        let entries = &mut sources.entries;
        let with_token = entries.iter().filter(|(_, entry)| entry.token == token);
        let keys: Vec<u64> = with_token.map(|(&key, _)| key).collect();
        let removed: Vec<Entry> = keys.iter().filter_map(|key| entries.remove(key)).collect();
        self.leave_line(&sources);
        // To drop one may take locks of the engine's.
        drop(sources);
        removed.len()
    }

    fn remove(&self, key: u64) {
        let mut sources = self.sources();
        let removed = sources.entries.remove(&key);
        self.leave_line(&sources);
        drop(sources);
        drop(removed);
    }

    /// Has the line forget sources that are gone, so that it is bounded also if the host does not
    /// drain.
    fn leave_line(&self, sources: &Sources) {
        let entries = &sources.entries;
        self.ready.retain(entries.len(), |key| entries.contains_key(&key));
    }

    /// Gives the next notices to `give`, at most `notices_max`. Texts of the drain before are
    /// invalid from now on. When something is left, the doorbell rings again.
    pub(super) fn drain(
        &self,
        notices_max: usize,
        mut give: impl FnMut(usize, FanfareNotice),
    ) -> usize {
        let mut sources = self.sources();
        let Sources { entries, kept, .. } = &mut *sources;
        kept.clear();
        let drain = self.ready.drain();
        let mut count = 0;
        // Each turn gives a notice, or is one of a source that was woken for nothing or is gone.
        for _ in 0..notices_max.saturating_add(drain.places()) {
            let Some(place) = (count < notices_max).then(|| drain.take()).flatten() else { break };
            let Some(entry) = entries.get_mut(&place.key) else { continue };
            let turn = NOTICES_PER_TURN.min(notices_max - count);
            let left = entry.turn(turn, kept, |notice| {
                give(count, notice);
                count += 1;
            });
            match left {
                Left::More => self.ready.call(&place),
                Left::Nothing => {}
                Left::Ended => drop(entries.remove(&place.key)),
            }
        }
        count
    }

    /// Drops all sources, and the texts of the last drain, and closes the descriptor.
    pub(super) fn close(&self) {
        self.ready.close();
        let sources = std::mem::take(&mut *self.sources());
        drop(sources);
    }

    /// A panic in a source leaves the others right.
    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("fd", &self.fd()).finish_non_exhaustive()
    }
}

impl Sources {
    fn expect_room(&self) -> Result<(), Status> {
        match self.entries.len() < SOURCES_MAX {
            true => Ok(()),
            false => Err(Status::FANFARE_ERR_LIMIT),
        }
    }

    fn add(
        &mut self,
        token: u64,
        source: Box<dyn Source>,
        ready: &Arc<Ready<Doorbell>>,
    ) -> Result<Arc<Place>, Status> {
        self.expect_room()?;
        self.last_key += 1;
        let place = Arc::new(Place::new(self.last_key));
        let caller = Caller { ready: Arc::downgrade(ready), place: place.clone() };
        let entry = Entry { token, waker: Arc::new(caller).into(), source };
        self.entries.insert(self.last_key, entry);
        Ok(place)
    }
}

/// What a source has after its turn.
enum Left {
    More,
    Nothing,
    Ended,
}

impl Entry {
    /// Gives the source's next notices, at most `notices_max`, which is at least 1.
    fn turn(
        &mut self,
        notices_max: usize,
        kept: &mut Kept,
        mut give: impl FnMut(FanfareNotice),
    ) -> Left {
        let token = self.token;
        let mut give = |notice| give(FanfareNotice { token, ..notice });
        for _ in 0..notices_max {
            match self.source.next(&self.waker, kept) {
                Next::Notice(notice) => give(notice),
                Next::Last(notice) => {
                    give(notice);
                    return Left::Nothing;
                }
                Next::Only(notice) => {
                    give(notice);
                    return Left::Ended;
                }
                Next::Nothing => return Left::Nothing,
                Next::Ended => {
                    give(FanfareNotice::of(Kind::FANFARE_NOTICE_ENDED));
                    return Left::Ended;
                }
            }
        }
        Left::More
    }
}

/// Wakes the host for a source. It keeps neither the source nor the descriptor.
struct Caller {
    ready: Weak<Ready<Doorbell>>,
    place: Arc<Place>,
}

impl Wake for Caller {
    fn wake(self: Arc<Caller>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Caller>) {
        if let Some(ready) = self.ready.upgrade() {
            ready.call(&self.place);
        }
    }
}

impl Signal {
    /// Each time that it is woken, the host gets a notice.
    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.upgrade() {
            queue.remove(self.key);
        }
    }
}

struct Signalled(Kind);

impl Source for Signalled {
    fn next(&mut self, _: &Waker, _: &mut Kept) -> Next {
        Next::Last(FanfareNotice::of(self.0))
    }
}

/// A source of what a stream gives, each item made a notice of.
pub(super) fn stream<S>(
    stream: S,
    notice_of: impl FnMut(S::Item, &mut Kept) -> FanfareNotice + Send + 'static,
) -> Box<dyn Source>
where
    S: Stream + Send + 'static,
{
    Box::new(Polled { stream: Box::pin(stream), notice_of })
}

struct Polled<S, F> {
    stream: Pin<Box<S>>,
    notice_of: F,
}

impl<S, F> Source for Polled<S, F>
where
    S: Stream + Send,
    F: FnMut(S::Item, &mut Kept) -> FanfareNotice + Send,
{
    fn next(&mut self, waker: &Waker, kept: &mut Kept) -> Next {
        match self.stream.as_mut().poll_next(&mut Context::from_waker(waker)) {
            Poll::Ready(Some(item)) => Next::Notice((self.notice_of)(item, kept)),
            Poll::Ready(None) => Next::Ended,
            Poll::Pending => Next::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use async_channel::{Receiver, Sender};

    use super::*;

    fn queue() -> Arc<Queue> {
        Queue::new(Doorbell::new().unwrap())
    }

    /// Whether the host is to drain.
    fn is_ringing(queue: &Queue) -> bool {
        let mut polled = libc::pollfd { fd: queue.fd().unwrap(), events: libc::POLLIN, revents: 0 };
        // SAFETY: it is one descriptor, which is open.
        unsafe { libc::poll(&raw mut polled, 1, 0) == 1 }
    }

    /// Drains, and returns the tokens and ids of the notices.
    fn drained(queue: &Queue, notices_max: usize) -> Vec<(u64, u64)> {
        let mut notices = Vec::new();
        let count = queue.drain(notices_max, |nth, notice| {
            assert_eq!(nth, notices.len());
            notices.push((notice.token, notice.id));
        });
        assert_eq!(count, notices.len());
        notices
    }

    fn notice_of(id: u64, _: &mut Kept) -> FanfareNotice {
        FanfareNotice { id, ..FanfareNotice::of(Kind::FANFARE_NOTICE_CONNECTED) }
    }

    fn channel(queue: &Queue, token: u64) -> Sender<u64> {
        let (sender, receiver): (_, Receiver<u64>) = async_channel::unbounded();
        queue.add(token, stream(receiver, notice_of)).unwrap();
        sender
    }

    #[test]
    fn the_doorbell_rings_from_the_first_notice_to_the_drain_that_takes_the_last() {
        let queue = queue();
        assert!(!is_ringing(&queue));
        let sender = channel(&queue, 7);
        assert_eq!((is_ringing(&queue), drained(&queue, 9)), (true, vec![]));
        assert!(!is_ringing(&queue));
        for id in 0..3 {
            sender.try_send(id).unwrap();
            assert!(is_ringing(&queue));
        }
        assert_eq!((drained(&queue, 0), is_ringing(&queue)), (vec![], true));
        assert_eq!((drained(&queue, 2), is_ringing(&queue)), (vec![(7, 0), (7, 1)], true));
        assert_eq!((drained(&queue, 2), is_ringing(&queue)), (vec![(7, 2)], false));
        drop(sender);
        assert!(is_ringing(&queue));
        let mut kinds = Vec::new();
        queue.drain(9, |_, notice| kinds.push(notice.kind));
        assert_eq!(kinds, [Kind::FANFARE_NOTICE_ENDED as i32]);
        assert_eq!((queue.remove_all(7), is_ringing(&queue)), (0, false));
    }

    #[test]
    fn sources_take_turns_and_each_keeps_its_order() {
        let queue = queue();
        let senders = [1, 2].map(|token| channel(&queue, token));
        for id in 0..1_000 {
            senders.iter().for_each(|sender| sender.try_send(id).unwrap());
        }
        let mut all = drained(&queue, NOTICES_PER_TURN + 1);
        assert_eq!(all.last(), Some(&(2, 0)), "the second does not wait for the first's last");
        while is_ringing(&queue) {
            all.extend(drained(&queue, 100));
        }
        for token in [1, 2] {
            let of_one = all.iter().filter(|(other, _)| *other == token).map(|(_, id)| *id);
            assert!(of_one.eq(0..1_000));
        }
    }

    #[test]
    fn a_signal_is_one_notice_each_time_that_it_is_woken_and_none_when_it_is_dropped() {
        let queue = queue();
        let signals: Vec<Signal> = (0..3)
            .map(|token| queue.signal(token, Kind::FANFARE_NOTICE_READABLE).unwrap())
            .collect();
        assert!(!is_ringing(&queue));
        signals[1].waker().wake_by_ref();
        signals[1].waker().wake_by_ref();
        assert_eq!((drained(&queue, 9), is_ringing(&queue)), (vec![(1, 0)], false));
        signals[2].waker().wake_by_ref();
        signals[1].waker().wake_by_ref();
        // What has come is told after another drain, and a wake in between is one of its own.
        assert_eq!(drained(&queue, 1), [(2, 0)]);
        signals[2].waker().wake_by_ref();
        assert_eq!(drained(&queue, 9), [(1, 0), (2, 0)]);
        let waker = signals[0].waker().clone();
        waker.wake_by_ref();
        drop(signals);
        assert_eq!((drained(&queue, 9), is_ringing(&queue)), (vec![], false));
        queue.close();
        waker.wake();
        assert_eq!(queue.fd(), None);
    }

    #[test]
    fn sources_that_are_gone_leave_the_line_also_when_the_host_does_not_drain() {
        let queue = queue();
        for token in 0..100_000 {
            queue.signal(token, Kind::FANFARE_NOTICE_READABLE).unwrap().waker().wake_by_ref();
        }
        assert!(queue.ready.drain().places() <= 1_000);
        assert_eq!((drained(&queue, 9), is_ringing(&queue)), (vec![], false));
    }

    #[test]
    fn threads_that_put_and_a_host_that_polls_or_reads_lose_nothing() {
        const EACH: u64 = 20_000;
        for is_read in [false, true] {
            let queue = queue();
            let fd = queue.fd().unwrap();
            let threads: Vec<_> = (0..3)
                .map(|token| {
                    let sender = channel(&queue, token);
                    std::thread::spawn(move || {
                        (0..EACH).for_each(|id| sender.try_send(id).unwrap());
                    })
                })
                .collect();
            let (mut next, mut ended) = ([0; 3], 0);
            while ended < 3 {
                let mut polled = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
                // SAFETY: it is one descriptor, which is open.
                let count = unsafe { libc::poll(&raw mut polled, 1, 30_000) };
                assert_eq!(count, 1, "notices wait, and the doorbell does not ring: {next:?}");
                if is_read {
                    let mut bytes = [0_u8; 16];
                    // SAFETY: they are as many bytes, and the descriptor is open.
                    assert_eq!(unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), 16) }, 1);
                }
                queue.drain(5, |_, notice| {
                    let next = &mut next[notice.token as usize];
                    if notice.kind == Kind::FANFARE_NOTICE_ENDED as i32 {
                        assert_eq!(*next, EACH);
                        ended += 1;
                    } else {
                        assert_eq!(notice.id, *next);
                        *next += 1;
                    }
                });
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    }
}
