//! A notice to a publisher that found the backlog full, once there is space.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use super::answer;
use super::hub::{live, FanfareHub};
use super::kept::Kept;
use super::lent::copy_one;
use super::notice::{FanfareNotice, Kind};
use super::notices::{live as live_notices, FanfareNotices};
use super::publish::FanfarePublication;
use super::queue::{Next, Source};
use super::status::{FanfareStatus, Status};
use super::watch::unix_ms;
use crate::space::Space;

/// The most asks of one hub that wait.
const WAITING_MAX: usize = 65_536;

/// Asks to be told once when there is space for what was refused with `FANFARE_ERR_FULL`: by
/// `FANFARE_NOTICE_SPACE` with `token`. It is for event loops, which neither wait in
/// `fanfare_hub_publish_wait` nor try again from time to time. The publication is the one that was
/// refused, for its topics, and for whether its event is spread over a time; its event may be NULL, for
/// an event that is not, or for the end of a topic. Without topics the ask is for space of the hub alone.
///
/// The notice comes when each of the topics and the hub have space at the same time, whatever the size of
/// the event: at once if they have already. Another publisher may be faster then, so publish, and ask
/// again if that is refused. The notice also comes when there is nothing to wait for any more: when the hub
/// is closed, and when one of the topics is finished. It comes once and no other follows it;
/// `fanfare_notices_remove` takes the ask back.
///
/// Threads: any, several at once; waits for a drain of the queue that is under way, and for another
/// publisher. Ownership: what is passed stays the caller's. Errors: `FANFARE_ERR_LIMIT` when 65,536 asks
/// of the hub wait, or the queue has 1,048,576 sources; `FANFARE_ERR_TOO_MANY`, `FANFARE_ERR_TOPIC`,
/// `FANFARE_ERR_EVENT` and `FANFARE_ERR_ARGUMENT` as of `fanfare_hub_publish_wait`;
/// `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `hub` has to be a live hub, `notices` a live queue, and `publication` to point to one whose lists are as
/// long as they say, of readable texts and of live topics, and whose event is NULL or `event->size`
/// readable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_notify_space(
    hub: *const FanfareHub,
    notices: *const FanfareNotices,
    token: u64,
    publication: *const FanfarePublication,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (hub, queue) = unsafe { (live(hub)?, live_notices(notices)?) };
        if publication.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: not NULL, and as the caller promises; any bytes are valid pointers and numbers.
        let (topics, is_spread) = unsafe { copy_one(publication).destination() }?;
        let place = Place::take(&hub.waiting_for_space)?;
        let space = hub.hub.space(topics, is_spread);
        queue.add(token, Box::new(Asked { space, _place: place }))
    })
}

/// One of the asks that a hub may have.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>) -> Result<Place, Status> {
        let more = |count: usize| (count < WAITING_MAX).then_some(count + 1);
        match taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Place(taken.clone())),
            Err(_) => Err(Status::FANFARE_ERR_LIMIT),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The source of the one notice.
struct Asked {
    space: Space,
    _place: Place,
}

impl Source for Asked {
    fn next(&mut self, waker: &Waker, _: &mut Kept) -> Next {
        match self.space.poll(&mut Context::from_waker(waker)) {
            Poll::Pending => Next::Nothing,
            Poll::Ready(()) => Next::Only(FanfareNotice {
                at_unix_ms: unix_ms(SystemTime::now()),
                ..FanfareNotice::of(Kind::FANFARE_NOTICE_SPACE)
            }),
        }
    }
}
