//! What a queue of notices is told of a hub: its connections, and which topics are wanted.

use std::time::{Duration, SystemTime};

use futures_lite::stream::unfold;

use super::answer;
use super::hub::{live, FanfareHub};
use super::kept::Kept;
use super::lent::{with_copies, Lent};
use super::notice::{FanfareNotice, Kind};
use super::notices::{live as live_notices, FanfareNotices};
use super::queue::stream;
use super::reason::number_of;
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::filter::Subscription;
use crate::interest::{InterestError, InterestKind, InterestNotice};
use crate::notices::{Notice, NoticeKind};
use crate::topic::Topic;

/// The notices that wait at most where the host does not say how many.
const CAPACITY: usize = 10_000;

/// From now on, a notice of each connection of a hub that becomes an event stream, and of each that
/// ends: `FANFARE_NOTICE_CONNECTED` and `FANFARE_NOTICE_DISCONNECTED`, in this order for each
/// connection, with `token`. Connections that are there already are told of when they end. At most
/// `capacity` notices wait, up to 1,048,576; 0 is 10,000. One that finds as many waiting is lost; the
/// next one has in `lost` how many were.
///
/// A hub tells one queue: where it has told another one before, that gets
/// `FANFARE_NOTICE_ENDED` and nothing more.
///
/// Threads: any. Ownership: both stay the caller's. Errors, after each of which the queue of before is
/// told as it was: `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED`, `FANFARE_ERR_CLOSED`, or
/// `FANFARE_ERR_LIMIT` when the queue has 1,048,576 sources.
///
/// # Safety
///
/// `hub` has to be a live hub, and `notices` a live queue.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_watch_connections(
    hub: *const FanfareHub,
    notices: *const FanfareNotices,
    token: u64,
    capacity: usize,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (hub, queue) = unsafe { (live(hub)?.open()?, live_notices(notices)?) };
        let next = |notices: crate::notices::Notices| async {
            Some((notices.next_async().await?, notices))
        };
        // From this moment on the queue of before is told no more.
        let watch = || hub.notices(if capacity == 0 { CAPACITY } else { capacity });
        queue.add_made(token, || Ok(stream(unfold(watch(), next), of_connection)))
    })
}

/// From now on, a notice when a topic gets its first subscriber and when it has lost its last:
/// `FANFARE_NOTICE_WANTED` and `FANFARE_NOTICE_UNWANTED`, which alternate for each topic and filter,
/// with `token`; so that a host produces only what is watched. `subscription` says which topics:
/// one, or all of a filter such as `sensor/#`. First of all comes what has a subscriber already.
/// Clients' filters that could match such a topic are told as they are, and the host compares them
/// with its own topics.
///
/// `grace_ms`, at most 3,600,000, is how long a topic has to be without subscribers before that is
/// told: a client that comes back within it changes nothing. No notice is lost; a host that drains
/// slowly is told how it is now, and not of what came and went meanwhile. When the hub is closed,
/// all that was wanted is told as unwanted, and then comes `FANFARE_NOTICE_ENDED`.
///
/// Threads: any, several at once; visits all topics that begin as `subscription` does, some 6 ms per
/// 10,000. Ownership: both stay the caller's. `fanfare_notices_remove` ends it. Errors:
/// `FANFARE_ERR_SUBSCRIPTION`; `FANFARE_ERR_LIMIT` when the hub has 64 of these or the queue
/// 1,048,576 sources; `FANFARE_ERR_ARGUMENT`, also for a `grace_ms` that is too long;
/// `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
///
/// # Safety
///
/// `hub` has to be a live hub, `notices` a live queue, and `subscription` as many readable bytes as
/// it says.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_watch_interest(
    hub: *const FanfareHub,
    notices: *const FanfareNotices,
    token: u64,
    subscription: FanfareText,
    grace_ms: u64,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (hub, queue) = unsafe { (live(hub)?.open()?, live_notices(notices)?) };
        let watch = |subscription: &Subscription| {
            let watched = hub.watch_interest(subscription, Duration::from_millis(grace_ms));
            let interest = watched.map_err(|error| match error {
                InterestError::TooManyWatchers => Status::FANFARE_ERR_LIMIT,
                InterestError::GraceTooLong => Status::FANFARE_ERR_ARGUMENT,
            })?;
            let next = |interest: crate::interest::InterestNotices| async {
                Some((interest.next_async().await?, interest))
            };
            queue.add(token, stream(unfold(interest, next), of_interest))
        };
        // SAFETY: as the caller promises.
        unsafe { with_subscription(subscription, watch) }
    })
}

/// Has a caller's topic or filter used.
///
/// # Errors
///
/// `FANFARE_ERR_SUBSCRIPTION`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_SYSTEM`, and what its use
/// returns.
///
/// # Safety
///
/// `text` has to be as many readable bytes as it says.
pub(super) unsafe fn with_subscription(
    text: FanfareText,
    used: impl FnOnce(&Subscription) -> Result<(), Status>,
) -> Result<(), Status> {
    let lent = Lent::new(text, Topic::BYTES_MAX, Status::FANFARE_ERR_SUBSCRIPTION)?;
    let read = |[text]: [Option<&[u8]>; 1]| {
        let subscription = text.and_then(|text| Subscription::from_utf8(text).ok());
        used(&subscription.ok_or(Status::FANFARE_ERR_SUBSCRIPTION)?)
    };
    // SAFETY: as the caller promises.
    unsafe { with_copies([lent], read) }
}

fn of_connection(notice: Notice, kept: &mut Kept) -> FanfareNotice {
    let kind = match notice.kind {
        NoticeKind::Connected => Kind::FANFARE_NOTICE_CONNECTED,
        NoticeKind::Disconnected { .. } => Kind::FANFARE_NOTICE_DISCONNECTED,
    };
    let subscriptions = notice.subscriptions.iter().map(Subscription::as_str);
    let (subscriptions, subscriptions_count) = kept.texts(subscriptions);
    let told = FanfareNotice {
        id: notice.id.to_u64(),
        at_unix_ms: unix_ms(notice.at),
        lost: notice.lost_before,
        tag: kept.optional(notice.tag.as_deref()),
        addr: kept.shown(notice.addr),
        subscriptions,
        subscriptions_count,
        ..FanfareNotice::of(kind)
    };
    match notice.kind {
        NoticeKind::Connected => told,
        NoticeKind::Disconnected { lasted, events, bytes, reason } => {
            let (reason, lasted_ms) = (number_of(reason), ms(lasted));
            FanfareNotice { reason, lasted_ms, events, bytes, ..told }
        }
    }
}

fn of_interest(notice: InterestNotice, kept: &mut Kept) -> FanfareNotice {
    let kind = match notice.kind {
        InterestKind::Subscribed => Kind::FANFARE_NOTICE_WANTED,
        InterestKind::Unsubscribed => Kind::FANFARE_NOTICE_UNWANTED,
    };
    let (subscriptions, subscriptions_count) = kept.texts([notice.subscription.as_str()]);
    FanfareNotice {
        at_unix_ms: unix_ms(notice.at),
        subscriptions,
        subscriptions_count,
        ..FanfareNotice::of(kind)
    }
}

/// A moment in milliseconds since the beginning of 1970, or that if it was before.
pub(super) fn unix_ms(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, ms)
}

/// A time in milliseconds.
pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::{
        fanfare_hub_free, fanfare_hub_new, fanfare_notices_drain, fanfare_notices_free,
        fanfare_notices_new,
    };

    #[test]
    fn a_watch_that_fails_leaves_the_one_of_before() {
        let (mut hub, mut queues) = (std::ptr::null_mut(), [std::ptr::null_mut(); 2]);
        // SAFETY: the pointers are writable, and what they point to is live until it is freed.
        unsafe {
            assert_eq!(fanfare_hub_new(std::ptr::null(), &mut hub), 0);
            for queue in &mut queues {
                assert_eq!(fanfare_notices_new(queue), 0);
            }
            assert_eq!(fanfare_hub_watch_connections(hub, queues[0], 7, 0), 0);
            let full = live_notices(queues[1]).unwrap();
            let mut signals = Vec::new();
            while let Ok(signal) = full.signal(1, Kind::FANFARE_NOTICE_READABLE) {
                signals.push(signal);
            }
            let refused = fanfare_hub_watch_connections(hub, queues[1], 8, 0);
            assert_eq!(refused, Status::FANFARE_ERR_LIMIT as FanfareStatus);

            let topic: Subscription = "t".parse().unwrap();
            let stream = live(hub).unwrap().hub.subscribe([topic], Default::default()).unwrap();
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            let (mut notice, mut count) = (FanfareNotice::of(Kind::FANFARE_NOTICE_ENDED), 0);
            while count == 0 {
                assert!(std::time::Instant::now() < deadline, "no notice comes");
                std::thread::yield_now();
                let size = size_of::<FanfareNotice>();
                let status = fanfare_notices_drain(queues[0], &mut notice, size, 1, &mut count);
                assert_eq!(status, 0);
            }
            let connected = Kind::FANFARE_NOTICE_CONNECTED as i32;
            assert_eq!((notice.kind, notice.token), (connected, 7));
            // A place that is free again is taken.
            signals.pop();
            assert_eq!(fanfare_hub_watch_connections(hub, queues[1], 8, 0), 0);
            drop((stream, signals));
            fanfare_hub_free(hub);
            queues.into_iter().for_each(|queue| fanfare_notices_free(queue));
        }
    }
}
