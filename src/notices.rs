//! Notices: what a host is told about connections that come and go, through a bounded queue.
//!
//! Shards never wait for the host: a notice that finds the queue full is lost, and counted. Without
//! a receiver no notice is made, and a connection costs one load of an atomic.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_channel::TrySendError;

use crate::bounded::{bounded, Receiver, Sender};
use crate::filter::Subscription;
use crate::lifecycle::ConnectionId;
use crate::metrics::DisconnectReason;
use crate::receive;

/// A connection came or went; see [`Hub::notices`](crate::Hub::notices).
///
/// # Examples
///
/// ```
/// use fanfare::{Notice, NoticeKind};
///
/// fn log(notice: &Notice) {
///     let tag = notice.tag.as_deref().unwrap_or("-");
///     match notice.kind {
///         NoticeKind::Connected => println!("{} {tag} has come", notice.id),
///         NoticeKind::Disconnected { reason, .. } => {
///             println!("{} {tag} has gone: {reason}", notice.id);
///         }
///         _ => {}
///     }
/// }
/// # let _ = log;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// What happened.
    pub kind: NoticeKind,
    /// The connection's id.
    pub id: ConnectionId,
    /// What it is, or was, subscribed to, each once, in no order.
    pub subscriptions: Vec<Subscription>,
    /// The client's address, as a trusted proxy says it; `None` if it has none, as at a Unix
    /// domain socket.
    pub addr: Option<SocketAddr>,
    /// What the client calls itself. A label that any client can claim, see
    /// [`ListenOptions`](crate::ListenOptions).
    pub tag: Option<Arc<str>>,
    /// When it happened.
    pub at: SystemTime,
    /// How many notices were lost since the one before, because the queue was full.
    pub lost_before: u64,
}

/// What a [`Notice`] is about.
///
/// # Examples
///
/// ```
/// use fanfare::NoticeKind;
///
/// let events_sent = |kind: NoticeKind| match kind {
///     NoticeKind::Disconnected { events, .. } => events,
///     _ => 0,
/// };
/// assert_eq!(events_sent(NoticeKind::Connected), 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoticeKind {
    /// It became an event stream; it is sent its response's head at this moment.
    Connected,
    /// It ended.
    #[non_exhaustive]
    Disconnected {
        /// For how long it was an event stream.
        lasted: Duration,
        /// The number of events that its socket took whole.
        events: u64,
        /// Bytes of events that its socket took, in the envelope that its client asked for: of the
        /// bare event stream, without the sizes and ends of chunks, the response's head,
        /// reconnection times and heartbeats.
        bytes: u64,
        /// Why it ended.
        reason: DisconnectReason,
    },
}

/// Where a host receives [`Notice`]s, see [`Hub::notices`](crate::Hub::notices). An iterator over
/// it blocks for the next one, and ends with the hub. Clones share one queue: each notice goes to
/// one of them.
///
/// # Examples
///
/// ```
/// use fanfare::{Hub, Options};
///
/// let hub = Hub::start(Options::default())?;
/// let mut notices = hub.notices(1_000);
/// hub.close();
/// assert_eq!(notices.next(), None);
/// # Ok::<(), fanfare::StartError>(())
/// ```
#[derive(Clone)]
#[must_use = "dropping the receiver ends the notices"]
pub struct Notices {
    receiver: Receiver<Notice>,
}

impl Notices {
    /// The next notice, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Hub, Options};
    /// # let hub = Hub::start(Options::default())?;
    /// let notices = hub.notices(1_000);
    /// assert_eq!(notices.try_next(), None);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn try_next(&self) -> Option<Notice> {
        self.receiver.try_recv().ok()
    }

    /// The next notice, for which it waits at most `timeout`; `None` when none came, or when no
    /// more will come. Blocks the calling thread, so it must not be one that drives a shard: there
    /// use [`Notices::next_async`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::{Hub, Options};
    /// # let hub = Hub::start(Options::default())?;
    /// let notices = hub.notices(1_000);
    /// assert_eq!(notices.wait(Duration::from_millis(10)), None);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> Option<Notice> {
        receive::wait(&self.receiver, timeout)
    }

    /// The next notice, under any executor; `None` when none will come any more. Dropping the
    /// future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Hub, Options};
    /// # let hub = Hub::start(Options::default())?;
    /// let notices = hub.notices(1_000);
    /// smol::block_on(hub.close_async());
    /// assert_eq!(smol::block_on(notices.next_async()), None);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    pub async fn next_async(&self) -> Option<Notice> {
        self.receiver.recv().await.ok()
    }

    /// The number of notices that wait to be received.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Hub, Options};
    /// # let hub = Hub::start(Options::default())?;
    /// assert_eq!(hub.notices(1_000).waiting(), 0);
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.receiver.len()
    }

    /// Whether none will come any more: the hub's shards have ended, or another receiver has the
    /// notices now.
    ///
    /// # Examples
    ///
    /// ```
    /// # use fanfare::{Hub, Options};
    /// # let hub = Hub::start(Options::default())?;
    /// let earlier = hub.notices(1_000);
    /// let notices = hub.notices(1_000);
    /// assert!(earlier.is_ended() && !notices.is_ended());
    /// # Ok::<(), fanfare::StartError>(())
    /// ```
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.receiver.is_closed() && self.receiver.is_empty()
    }
}

impl Iterator for Notices {
    type Item = Notice;

    fn next(&mut self) -> Option<Notice> {
        self.receiver.recv_blocking().ok()
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

/// The shards' end.
pub(crate) struct NoticeQueue {
    /// Whether there is a receiver.
    wanted: AtomicBool,
    sender: Mutex<Option<Sender<Notice>>>,
    /// The number of notices that were lost since the last one that was not.
    lost: AtomicU64,
    lost_ever: AtomicU64,
    /// Shards that have not ended.
    shards: AtomicUsize,
}

impl NoticeQueue {
    /// The largest capacity.
    pub(crate) const CAPACITY_MAX: usize = 1 << 20;

    pub(crate) fn new(shards: usize) -> NoticeQueue {
        NoticeQueue {
            wanted: AtomicBool::new(false),
            sender: Mutex::default(),
            lost: AtomicU64::new(0),
            lost_ever: AtomicU64::new(0),
            shards: AtomicUsize::new(shards),
        }
    }

    /// Makes a new queue; the receiver of the one before gets no more notices.
    pub(crate) fn open(&self, capacity: usize) -> Notices {
        let capacity = capacity.clamp(1, NoticeQueue::CAPACITY_MAX);
        let (sender, receiver) = bounded(capacity);
        let before = self.sender().replace(sender);
        self.lost.store(0, Ordering::Relaxed);
        self.wanted.store(true, Ordering::Relaxed);
        drop(before);
        if self.shards.load(Ordering::SeqCst) == 0 {
            self.close();
        }
        Notices { receiver }
    }

    /// Whether there is a receiver.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Puts a notice, or counts it as lost.
    pub(crate) fn put(&self, mut notice: Notice) {
        // The lock is not held while the notice is put: that may wake a task, which may ask for a
        // new queue.
        let Some(sender) = self.sender().clone() else { return };
        let lost = self.lost.swap(0, Ordering::Relaxed);
        notice.lost_before = lost;
        match sender.try_send(notice) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(lost + 1, Ordering::Relaxed);
                self.lost_ever.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySendError::Closed(_)) => self.forget(&sender),
        }
    }

    /// How many were ever lost.
    pub(crate) fn lost_ever(&self) -> u64 {
        self.lost_ever.load(Ordering::Relaxed)
    }

    /// Whether a shard has not ended.
    pub(crate) fn has_shards(&self) -> bool {
        self.shards.load(Ordering::SeqCst) > 0
    }

    /// A shard has ended; with the last one there are no more notices.
    pub(crate) fn leave(&self) {
        if self.shards.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.close();
        }
    }

    /// This sender has no receiver any more.
    fn forget(&self, gone: &Sender<Notice>) {
        let mut sender = self.sender();
        if sender.as_ref().is_some_and(|sender| sender.same_channel(gone)) {
            *sender = None;
            self.wanted.store(false, Ordering::Relaxed);
        }
    }

    fn close(&self) {
        self.wanted.store(false, Ordering::Relaxed);
        let sender = self.sender().take();
        drop(sender);
    }

    fn sender(&self) -> MutexGuard<'_, Option<Sender<Notice>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(nth: u64) -> Notice {
        Notice {
            kind: NoticeKind::Connected,
            id: ConnectionId::from_u64(nth),
            subscriptions: Vec::new(),
            addr: Some(SocketAddr::from(([127, 0, 0, 1], 1))),
            tag: None,
            at: SystemTime::now(),
            lost_before: 0,
        }
    }

    #[test]
    fn the_next_notice_that_fits_says_how_many_were_lost_before_it() {
        let queue = NoticeQueue::new(1);
        let notices = queue.open(2);
        (1..=5).for_each(|nth| queue.put(notice(nth)));
        assert_eq!((queue.lost_ever(), notices.waiting()), (3, 2));
        let next = || notices.try_next().map(|notice| (notice.id.to_u64(), notice.lost_before));
        assert_eq!([next(), next(), next()], [Some((1, 0)), Some((2, 0)), None]);
        (6..=7).for_each(|nth| queue.put(notice(nth)));
        assert_eq!([next(), next()], [Some((6, 3)), Some((7, 0))]);
    }

    #[test]
    fn nothing_is_wanted_once_the_receiver_is_gone_and_another_may_come() {
        let queue = NoticeQueue::new(1);
        assert!(!queue.is_wanted());
        let first = queue.open(1);
        let second = queue.open(1);
        assert!(first.is_ended() && !second.is_ended() && queue.is_wanted());
        drop((first, second));
        queue.put(notice(1));
        assert!(!queue.is_wanted());
        let third = queue.open(0);
        queue.put(notice(2));
        queue.leave();
        assert_eq!(third.map(|notice| notice.id.to_u64()).collect::<Vec<_>>(), [2]);
        assert!(queue.open(1).is_ended());
    }
}
