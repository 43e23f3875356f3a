//! Finishing a topic across the border.

use super::answer;
use super::event::{FanfareEvent, FanfareEventId};
use super::hub::{live, FanfareHub};
use super::lent::{with_copies, Lent};
use super::patience::Patience;
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use super::topic::{handle_of, FanfareTopic};
use crate::event::Event;
use crate::hub::Hub;
use crate::topic::Topic;

/// Finishes a topic, with a last event unless `last` is NULL: nothing can be published to it any more.
/// A client all of whose topics are finished is sent everything, and then its stream ends; one that
/// comes later and would be sent nothing gets the status 204, after which an EventSource stays closed. A
/// client with a filter goes on, since the filter may match other topics. The topic is forgotten after
/// the time of the option finished_age_max_ms; then its name is free.
///
/// The last event and the end come both or not at all, and no event comes between them. A topic that
/// nothing was published to can be finished as well. With a last event the call waits for at most
/// `timeout_ms` while too many bytes wait to be sent; 0 does not wait, and `UINT64_MAX` has no bound. On
/// success `*id_out`, unless `id_out` is NULL, is the id of the last event, or else of the end, which no
/// client sees.
///
/// Threads: any, several at once; with a last event it may wait for clients. Ownership: `topic`, `last`
/// and its texts stay the caller's. Errors, after each of which the topic is as it was:
/// `FANFARE_ERR_FINISHED` if it is finished already; `FANFARE_ERR_TIMEOUT` when there was no space within
/// the time, or `FANFARE_ERR_FULL` when there was no time; `FANFARE_ERR_EVENT` also for a last event with
/// a window; and those of `fanfare_hub_publish`.
///
/// # Safety
///
/// `hub` has to be a live hub, `topic` as many readable bytes as it says, `last` to be NULL or to point
/// to `last->size` readable bytes whose texts are as they say, and `id_out` to be NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_finish(
    hub: *const FanfareHub,
    topic: FanfareText,
    last: *const FanfareEvent,
    timeout_ms: u64,
    id_out: *mut FanfareEventId,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { &live(hub)?.hub };
        let topic = Lent::new(topic, Topic::BYTES_MAX, Status::FANFARE_ERR_TOPIC)?;
        let finish = |[topic]: [Option<&[u8]>; 1]| {
            let topic = Topic::from_utf8(topic.ok_or(Status::FANFARE_ERR_TOPIC)?)?;
            // SAFETY: as the caller promises.
            unsafe { finish(hub, &topic, last, timeout_ms, id_out) }
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies([topic], finish) }
    })
}

/// Finishes a topic as `fanfare_hub_finish` does, by its handle. The handle is as good afterwards, for
/// when the name is free again.
///
/// Threads: any, several at once, also with the same handle; with a last event it may wait for clients.
/// Ownership: `topic`, `last` and its texts stay the caller's. Errors: as `fanfare_hub_finish`, without
/// `FANFARE_ERR_TOPIC`.
///
/// # Safety
///
/// `hub` has to be a live hub, `topic` a live topic, `last` to be NULL or to point to `last->size`
/// readable bytes whose texts are as they say, and `id_out` to be NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_finish_topic(
    hub: *const FanfareHub,
    topic: *const FanfareTopic,
    last: *const FanfareEvent,
    timeout_ms: u64,
    id_out: *mut FanfareEventId,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        unsafe { finish(&live(hub)?.hub, handle_of(topic)?.topic(), last, timeout_ms, id_out) }
    })
}

/// Finishes a topic, with the caller's event if there is one.
///
/// # Safety
///
/// `last` has to be NULL or to point to `last->size` readable bytes whose texts are as they say, and
/// `id_out` to be NULL or writable.
unsafe fn finish(
    hub: &Hub,
    topic: &Topic,
    last: *const FanfareEvent,
    timeout_ms: u64,
    id_out: *mut FanfareEventId,
) -> Result<(), Status> {
    let finish = |last: Option<Event<'_>>| {
        let patience = Patience::of(timeout_ms);
        let finished = match patience.is_none() {
            true => hub.finish(topic, last),
            false => hub.finish_wait(topic, last, patience.left()),
        };
        let finished = finished.map_err(|error| patience.refused(error))?;
        // SAFETY: NULL or writable, as the caller promises.
        unsafe { FanfareEventId::put(finished.id(), id_out) };
        Ok(())
    };
    if last.is_null() {
        return finish(None);
    }
    // SAFETY: as the caller promises.
    let last = unsafe { FanfareEvent::read(last) }?;
    let texts = last.lent(hub.options().event_bytes_max)?;
    // SAFETY: as the caller promises.
    unsafe { with_copies(texts, |texts| finish(Some(last.event(texts)?))) }
}
