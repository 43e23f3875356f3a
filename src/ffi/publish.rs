//! Publishing across the border.

use super::answer;
use super::event::{FanfareEvent, FanfareEventId};
use super::hub::{live, FanfareHub};
use super::lent::{with_copies, Lent};
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use super::topic::{topic_of, FanfareTopic};
use crate::topic::Topic;

/// Publishes an event to every client that wants the topic, which is 1 to 256 bytes of UTF-8
/// without control characters, '+' and '#'. Never waits for a client. On success `*id_out`, unless
/// `id_out` is NULL, is the hub's id of the event, also when the event has an id of the
/// publisher's.
///
/// Threads: any, several at once; every client gets all events in one order. Ownership: `topic`,
/// `event` and its texts stay the caller's. Errors, after each of which nothing was published to
/// any client: `FANFARE_ERR_FULL` when too many bytes wait to be sent (try again a little later),
/// `FANFARE_ERR_TOPIC`, `FANFARE_ERR_EVENT`, `FANFARE_ERR_UTF8`, `FANFARE_ERR_TOO_LARGE`,
/// `FANFARE_ERR_FINISHED`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_CLOSED`, `FANFARE_ERR_FORKED` or
/// `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `hub` has to be a live hub, `topic` as many readable bytes as it says, `event` to point to
/// `event->size` readable bytes whose texts are as they say, and `id_out` to be NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_publish(
    hub: *const FanfareHub,
    topic: FanfareText,
    event: *const FanfareEvent,
    id_out: *mut FanfareEventId,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (hub, event) = unsafe { (&live(hub)?.hub, FanfareEvent::read(event)?) };
        let topic = Lent::new(topic, Topic::BYTES_MAX, Status::FANFARE_ERR_TOPIC)?;
        let [data, name, id, key, comment] = event.lent(hub.options().event_bytes_max)?;
        let publish = |[topic, texts @ ..]: [Option<&[u8]>; 6]| {
            let topic = Topic::from_utf8(topic.ok_or(Status::FANFARE_ERR_TOPIC)?)?;
            let published = hub.publish(&topic, event.event(texts)?)?;
            // SAFETY: NULL or writable, as the caller promises.
            unsafe { FanfareEventId::put(published.id(), id_out) };
            Ok(())
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies([topic, data, name, id, key, comment], publish) }
    })
}

/// Publishes an event as `fanfare_hub_publish` does, to the topic of a handle. It is the faster way
/// for a topic that is published to often, since the name was checked when the handle was made, and
/// the handle remembers where in the hub the topic is.
///
/// Threads: any, several at once, also with the same handle. Ownership: `topic`, `event` and its texts
/// stay the caller's. Errors: as `fanfare_hub_publish`, without `FANFARE_ERR_TOPIC`.
///
/// # Safety
///
/// `hub` has to be a live hub, `topic` a live topic, `event` to point to `event->size` readable bytes
/// whose texts are as they say, and `id_out` to be NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_publish_to(
    hub: *const FanfareHub,
    topic: *const FanfareTopic,
    event: *const FanfareEvent,
    id_out: *mut FanfareEventId,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (hub, topic) = unsafe { (&live(hub)?.hub, topic_of(topic)?) };
        // SAFETY: as the caller promises.
        let event = unsafe { FanfareEvent::read(event) }?;
        let texts = event.lent(hub.options().event_bytes_max)?;
        let publish = |texts: [Option<&[u8]>; 5]| {
            let published = hub.publish(topic, event.event(texts)?)?;
            // SAFETY: NULL or writable, as the caller promises.
            unsafe { FanfareEventId::put(published.id(), id_out) };
            Ok(())
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies(texts, publish) }
    })
}
