//! How a host ends connections, and changes what they get: across the border.

use std::sync::Arc;
use std::time::Duration;

use super::answer;
use super::hub::{live, FanfareHub};
use super::lent::{copies, copy_array, with_copies, Lent};
use super::notice::FanfareConnectionId;
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use super::watch::with_subscription;
use crate::filter::Subscription;
use crate::lifecycle::{AdminError, ConnectionId, ConnectionSelector};
use crate::stream_options::StreamOptions;
use crate::topic::Topic;

/// A tag that a client may have; `FANFARE_ERR_ARGUMENT` for any other.
pub(super) fn tag_of(bytes: &[u8]) -> Result<Arc<str>, Status> {
    let tag = std::str::from_utf8(bytes).map_err(|_| Status::FANFARE_ERR_UTF8)?;
    let tag = Arc::from(tag);
    let checked = StreamOptions::check_tag(Some(&tag));
    checked.map(|()| tag).map_err(|_| Status::FANFARE_ERR_ARGUMENT)
}

/// Ends one connection. Its client is told to come back after a random time, from `retry_ms` to twice
/// that, at most 1 day; 0 tells nothing. Then its stream ends, for the reason
/// `FANFARE_DISCONNECT_KICKED`. An `EventSource` comes back by itself, so this alone keeps no client
/// out.
///
/// Threads: any, several at once; blocks for a moment, and at most 10 seconds. Errors:
/// `FANFARE_ERR_STALE` when it has ended already; `FANFARE_ERR_BUSY` when 64 such questions wait
/// already; `FANFARE_ERR_TIMEOUT`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or
/// `FANFARE_ERR_CLOSED`.
///
/// # Safety
///
/// `hub` has to be a live hub.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_disconnect(
    hub: *const FanfareHub,
    id: FanfareConnectionId,
    retry_ms: u64,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { live(hub) }?.open()?;
        let one = ConnectionSelector::One(ConnectionId::from_u64(id));
        match hub.disconnect(&one, Duration::from_millis(retry_ms))? {
            0 => Err(Status::FANFARE_ERR_STALE),
            _ => Ok(()),
        }
    })
}

/// Ends all connections with a tag, as `fanfare_hub_disconnect` does: those that are there when it is
/// called, and none that has come back meanwhile. On success `*count_out`, unless `count_out` is
/// NULL, is how many those were, which may be 0.
///
/// Threads: any, several at once; blocks as `fanfare_hub_connections` does. Ownership: `tag` stays
/// the caller's. Errors, after which some may have been ended: `FANFARE_ERR_BUSY` or
/// `FANFARE_ERR_TIMEOUT`. Others: `FANFARE_ERR_UTF8` for a tag that is not, `FANFARE_ERR_ARGUMENT`,
/// also for no tag and for one that no client can have, which is empty, longer than 256 bytes or has a
/// control character, `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
///
/// # Safety
///
/// `hub` has to be a live hub, `tag` as many readable bytes as it says, and `count_out` to be NULL or
/// writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_disconnect_tag(
    hub: *const FanfareHub,
    tag: FanfareText,
    retry_ms: u64,
    count_out: *mut u64,
) -> FanfareStatus {
    answer(|| {
        let tag = Lent::new(tag, StreamOptions::TAG_BYTES_MAX, Status::FANFARE_ERR_ARGUMENT)?;
        let end = |[tag]: [Option<&[u8]>; 1]| {
            let tag = tag_of(tag.ok_or(Status::FANFARE_ERR_ARGUMENT)?)?;
            // SAFETY: as the caller promises.
            unsafe { disconnect(hub, &ConnectionSelector::Tag(tag), retry_ms, count_out) }
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies([tag], end) }
    })
}

/// Ends all connections with a subscription, as `fanfare_hub_disconnect` does: those that are there
/// when it is called. A connection that gets a topic by a filter is meant by that filter, and not by
/// the topic. On success `*count_out`, unless `count_out` is NULL, is how many those were, which may
/// be 0.
///
/// Threads: any, several at once; blocks as `fanfare_hub_connections` does. Ownership: `subscription`
/// stays the caller's. Errors, after which some may have been ended: `FANFARE_ERR_BUSY` or
/// `FANFARE_ERR_TIMEOUT`. Others: `FANFARE_ERR_SUBSCRIPTION`, `FANFARE_ERR_ARGUMENT`,
/// `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
///
/// # Safety
///
/// `hub` has to be a live hub, `subscription` as many readable bytes as it says, and `count_out` to
/// be NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_disconnect_subscription(
    hub: *const FanfareHub,
    subscription: FanfareText,
    retry_ms: u64,
    count_out: *mut u64,
) -> FanfareStatus {
    answer(|| {
        let end = |subscription: &Subscription| {
            let selector = ConnectionSelector::Subscription(subscription.clone());
            // SAFETY: as the caller promises.
            unsafe { disconnect(hub, &selector, retry_ms, count_out) }
        };
        // SAFETY: as the caller promises.
        unsafe { with_subscription(subscription, end) }
    })
}

/// Ends all connections, as `fanfare_hub_disconnect` does: those that are there when it is called.
/// On success `*count_out`, unless `count_out` is NULL, is how many those were.
///
/// Threads: any, several at once; blocks as `fanfare_hub_connections` does. Errors, after which some
/// may have been ended: `FANFARE_ERR_BUSY` or `FANFARE_ERR_TIMEOUT`. Others: `FANFARE_ERR_ARGUMENT`,
/// `FANFARE_ERR_FORKED` or `FANFARE_ERR_CLOSED`.
///
/// # Safety
///
/// `hub` has to be a live hub, and `count_out` to be NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_disconnect_all(
    hub: *const FanfareHub,
    retry_ms: u64,
    count_out: *mut u64,
) -> FanfareStatus {
    // SAFETY: as the caller promises.
    answer(|| unsafe { disconnect(hub, &ConnectionSelector::All, retry_ms, count_out) })
}

/// Changes what a connection gets to the events of these topics and filters, from 1 to 65,536 of
/// them; one that is there twice counts once. It happens between two events: what was published
/// before goes by the old ones, what is published after it by the new ones, and of a topic that it
/// keeps nothing is lost or doubled. The client is not told, and asks for the topics of its URL when
/// it comes back.
///
/// Threads: any, several at once; blocks for a moment, and at most 10 seconds. Ownership: the list
/// and its texts stay the caller's. Errors: `FANFARE_ERR_STALE` when the connection has ended;
/// `FANFARE_ERR_SUBSCRIPTION` when one is no topic and no filter, or there is none;
/// `FANFARE_ERR_TOO_MANY`; `FANFARE_ERR_BUSY`, also when the client is still being sent what it has
/// missed; `FANFARE_ERR_TIMEOUT`, after which it may have been changed; `FANFARE_ERR_ARGUMENT`,
/// `FANFARE_ERR_FORKED`, `FANFARE_ERR_CLOSED` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `hub` has to be a live hub, and `subscriptions` to be as many texts as `subscriptions_count` says,
/// each of as many readable bytes as it says.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_set_subscriptions(
    hub: *const FanfareHub,
    id: FanfareConnectionId,
    subscriptions: *const FanfareText,
    subscriptions_count: usize,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { live(hub) }?.open()?;
        if subscriptions_count > AdminError::SUBSCRIPTIONS_AT_ONCE_MAX {
            return Err(Status::FANFARE_ERR_TOO_MANY);
        }
        // SAFETY: as the caller promises; any bytes are valid pointers and lengths.
        let texts = unsafe { copy_array(subscriptions, subscriptions_count) }?;
        let lent = |text| {
            let lent = Lent::new(text, Topic::BYTES_MAX, Status::FANFARE_ERR_SUBSCRIPTION)?;
            lent.ok_or(Status::FANFARE_ERR_SUBSCRIPTION)
        };
        let lent = texts.into_iter().map(lent).collect::<Result<Vec<_>, _>>()?;
        // SAFETY: as the caller promises.
        let own = unsafe { copies(&lent) }?;
        let read = own.iter().map(|text| Subscription::from_utf8(text));
        let wanted = read.collect::<Result<Vec<_>, _>>();
        let wanted = wanted.map_err(|_| Status::FANFARE_ERR_SUBSCRIPTION)?;
        match hub.set_subscriptions(ConnectionId::from_u64(id), &wanted)? {
            true => Ok(()),
            false => Err(Status::FANFARE_ERR_STALE),
        }
    })
}

/// # Safety
///
/// `hub` has to be NULL or a live hub, and `count_out` to be NULL or writable.
unsafe fn disconnect(
    hub: *const FanfareHub,
    selector: &ConnectionSelector,
    retry_ms: u64,
    count_out: *mut u64,
) -> Result<(), Status> {
    // SAFETY: as the caller promises.
    let hub = unsafe { live(hub) }?.open()?;
    let count = hub.disconnect(selector, Duration::from_millis(retry_ms))?;
    if !count_out.is_null() {
        // SAFETY: writable as the caller promises.
        unsafe { *count_out = count };
    }
    Ok(())
}

impl From<AdminError> for Status {
    fn from(error: AdminError) -> Status {
        match error {
            AdminError::Busy | AdminError::CatchingUp => Status::FANFARE_ERR_BUSY,
            AdminError::TooManyQuestions => Status::FANFARE_ERR_BUSY,
            AdminError::TooLate => Status::FANFARE_ERR_TIMEOUT,
            AdminError::NoCluster | AdminError::Unreachable { .. } => Status::FANFARE_ERR_CLUSTER,
            AdminError::NoSubscription => Status::FANFARE_ERR_SUBSCRIPTION,
            AdminError::TooManySubscriptions => Status::FANFARE_ERR_TOO_MANY,
        }
    }
}
