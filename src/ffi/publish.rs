//! Publishing across the border: to one topic, to several, many at once, and waiting for space.

use super::answer;
use super::event::{FanfareEvent, FanfareEventId};
use super::hub::{live, FanfareHub};
use super::lent::{copies, copy_array, copy_one, with_copies, Lent};
use super::patience::Patience;
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use super::topic::{handle_of, FanfareTopic};
use crate::event::Event;
use crate::hub::Hub;
use crate::publish::Published;
use crate::topic::Topic;
use crate::topic_handle::TopicHandle;

/// Publishes an event to every client that wants the topic, which is 1 to 256 bytes of UTF-8
/// without control characters, '+' and '#'. Never waits for a client. On success `*id_out`, unless
/// `id_out` is NULL, is the hub's id of the event, also when the event has an id of the
/// publisher's. In a cluster it has the length 0: the event is on its way to the cluster's server, which gives
/// it its id.
///
/// Threads: any, several at once; every client gets all events in one order. Ownership: `topic`,
/// `event` and its texts stay the caller's. Errors, after each of which nothing was published to
/// any client: `FANFARE_ERR_FULL` when too many bytes wait to be sent (try again a little later, or when
/// `fanfare_hub_notify_space` says so),
/// `FANFARE_ERR_TOPIC`, `FANFARE_ERR_EVENT`, `FANFARE_ERR_UTF8`, `FANFARE_ERR_TOO_LARGE`,
/// `FANFARE_ERR_FINISHED`, `FANFARE_ERR_JOURNAL` or `FANFARE_ERR_CLUSTER` when the disk or the cluster's
/// server has taken nothing for ten seconds, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_CLOSED`,
/// `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
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
        let (hub, topic) = unsafe { (&live(hub)?.hub, handle_of(topic)?) };
        // SAFETY: as the caller promises.
        let event = unsafe { FanfareEvent::read(event) }?;
        let texts = event.lent(hub.options().event_bytes_max)?;
        let publish = |texts: [Option<&[u8]>; 5]| {
            let published = hub.publish_by_handle(topic, &event.event(texts)?)?;
            // SAFETY: NULL or writable, as the caller promises.
            unsafe { FanfareEventId::put(published.id(), id_out) };
            Ok(())
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies(texts, publish) }
    })
}

/// An event, and the topics that it is published to: names, or handles, or some of both, 1 to 64 in
/// all. `fanfare_publication_of` and `fanfare_publication_to` make one. What it points to stays the
/// caller's. It has no size, since it never grows: so it can stand in an array.
///
/// An event of several topics is one event, with one id: it is published to all of them or to none. A
/// client that wants several of them is sent it once. A topic that is given twice counts once, and the
/// order of the topics has no meaning. A key belongs to the list of topics: an event replaces only
/// events that were published to exactly the same ones.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfarePublication {
    /// Names of topics, or NULL if there are none.
    pub topics: *const FanfareText,
    /// How many they are.
    pub topics_count: usize,
    /// Handles of topics, or NULL if there are none.
    pub handles: *const *const FanfareTopic,
    /// How many they are.
    pub handles_count: usize,
    /// The event.
    pub event: *const FanfareEvent,
}

/// Publishes an event to one topic or to several, and waits for at most `timeout_ms` while too many
/// bytes wait to be sent: until each of the topics and the hub have space at the same time. 0 does not
/// wait, and `UINT64_MAX` has no bound. Otherwise it is as `fanfare_hub_publish`.
///
/// Within the same time it then waits until the event is as safe as the option durability promises, or in a
/// cluster until the event's id is known. When that time is over the event is published all the same, and the
/// call succeeds.
///
/// With a timeout a topic is looked up by its name, also when its handle is given. A program that
/// publishes to a topic often tries `fanfare_hub_publish_to` first, and calls this after
/// `FANFARE_ERR_FULL` alone.
///
/// Threads: any, several at once; it waits for clients. Ownership: the publication and what it points
/// to stay the caller's. Errors, after each of which nothing was published to any client:
/// `FANFARE_ERR_TIMEOUT` when there was no space within the time, or `FANFARE_ERR_FULL` when there was
/// no time; `FANFARE_ERR_TOO_MANY` when there are more than 64 topics; `FANFARE_ERR_ARGUMENT` also when
/// there is none; `FANFARE_ERR_FINISHED` when one of the topics is finished; and those of
/// `fanfare_hub_publish`.
///
/// # Safety
///
/// `hub` has to be a live hub, `publication` to point to one whose lists are as long as they say, of
/// readable texts and of live topics, and whose event is as for `fanfare_hub_publish`, and `id_out` to
/// be NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_publish_wait(
    hub: *const FanfareHub,
    publication: *const FanfarePublication,
    timeout_ms: u64,
    id_out: *mut FanfareEventId,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { &live(hub)?.hub };
        if publication.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: not NULL, and as the caller promises; any bytes are valid pointers and numbers.
        unsafe { copy_one(publication).publish(hub, Patience::of(timeout_ms), id_out) }
    })
}

/// Publishes many events, one after another, each to its topics, in one call instead of one for each.
/// Other threads' events may come between them. It ends with the first event that
/// is refused: the ones before it are published, each to all of its topics, and that one and the ones
/// behind it are not. The whole call waits for at most `timeout_ms`, as `fanfare_hub_publish_wait` does;
/// only with 0 is the topic of a single handle found without its name. With a timeout each event is waited for
/// before the next: with a data_dir or in a cluster it is faster to publish them with 0, and then to call
/// `fanfare_hub_flush`.
///
/// `*count_out` is how many events were published, and is written in any case, also with an error, which
/// is then that of the event at this index. So a program that got `FANFARE_ERR_FULL` or
/// `FANFARE_ERR_TIMEOUT` goes on from there later. `ids_out` is NULL, or has space for
/// `publications_count` ids, of which the first `*count_out` are written.
///
/// Threads: any, several at once; it waits for clients. Ownership: the publications and what they point
/// to stay the caller's. Errors: as `fanfare_hub_publish_wait`; `FANFARE_ERR_ARGUMENT` also when
/// `count_out` is NULL, and nothing is published then.
///
/// # Safety
///
/// `hub` has to be a live hub, `publications` to point to `publications_count` of them, each as for
/// `fanfare_hub_publish_wait`, `ids_out` to be NULL or to point to as many writable ids, and `count_out`
/// to be NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_publish_many(
    hub: *const FanfareHub,
    publications: *const FanfarePublication,
    publications_count: usize,
    timeout_ms: u64,
    ids_out: *mut FanfareEventId,
    count_out: *mut usize,
) -> FanfareStatus {
    answer(|| {
        if count_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *count_out = 0 };
        // SAFETY: as the caller promises.
        let hub = unsafe { &live(hub)?.hub };
        let bytes = publications_count.checked_mul(size_of::<FanfarePublication>());
        let is_possible = bytes.is_some_and(|bytes| isize::try_from(bytes).is_ok());
        if !is_possible || publications.is_null() && publications_count > 0 {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let patience = Patience::of(timeout_ms);
        for index in 0..publications_count {
            // SAFETY: the caller promises as many publications, and as many ids if there are any.
            unsafe {
                let id_out = match ids_out.is_null() {
                    true => ids_out,
                    false => ids_out.add(index),
                };
                copy_one(publications.add(index)).publish(hub, patience, id_out)?;
                *count_out = index + 1;
            }
        }
        Ok(())
    })
}

impl FanfarePublication {
    /// Publishes it.
    ///
    /// # Safety
    ///
    /// Its lists have to be as long as they say, of readable texts and live topics, and its event as
    /// readable as it says; `id_out` has to be NULL or writable.
    unsafe fn publish(
        &self,
        hub: &Hub,
        patience: Patience,
        id_out: *mut FanfareEventId,
    ) -> Result<(), Status> {
        // SAFETY: as the caller promises.
        let event = unsafe { FanfareEvent::read(self.event) }?;
        let texts = event.lent(hub.options().event_bytes_max)?;
        // SAFETY: as the caller promises.
        let topics = unsafe { self.topics() }?;
        let publish = |texts: [Option<&[u8]>; 5]| {
            let published = topics.publish(hub, event.event(texts)?, patience)?;
            // SAFETY: NULL or writable, as the caller promises.
            unsafe { FanfareEventId::put(published.id(), id_out) };
            Ok(())
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies(texts, publish) }
    }

    /// Its topics, and whether its event is spread over a time. It need have no event, and no topics.
    ///
    /// # Safety
    ///
    /// As for [`FanfarePublication::publish`].
    pub(super) unsafe fn destination(&self) -> Result<(Vec<Topic>, bool), Status> {
        let is_spread = match self.event.is_null() {
            true => false,
            // SAFETY: as the caller promises.
            false => unsafe { FanfareEvent::read(self.event) }?.window_ms > 0,
        };
        if (self.topics_count, self.handles_count) == (0, 0) {
            return Ok((Vec::new(), is_spread));
        }
        // SAFETY: as the caller promises.
        match unsafe { self.topics() }? {
            Topics::Handle(handle) => Ok((vec![handle.topic().clone()], is_spread)),
            Topics::Several(topics) => Ok((topics, is_spread)),
        }
    }

    /// Its topics.
    ///
    /// # Safety
    ///
    /// As for [`FanfarePublication::publish`], for as long as `'a`.
    unsafe fn topics<'a>(&self) -> Result<Topics<'a>, Status> {
        match self.topics_count.checked_add(self.handles_count) {
            Some(0) => return Err(Status::FANFARE_ERR_ARGUMENT),
            Some(count) if count <= Event::TOPICS_MAX => {}
            _ => return Err(Status::FANFARE_ERR_TOO_MANY),
        }
        if (self.topics_count, self.handles_count) == (0, 1) && !self.handles.is_null() {
            // SAFETY: the caller promises one handle there, which is NULL or live.
            return Ok(Topics::Handle(unsafe { handle_of(copy_one(self.handles)) }?));
        }
        let mut topics = Vec::with_capacity(self.topics_count + self.handles_count);
        // SAFETY: the caller promises as many texts; any bytes are valid ones.
        let names = unsafe { copy_array(self.topics, self.topics_count) }?;
        let lent = |&name: &FanfareText| {
            let name = Lent::new(name, Topic::BYTES_MAX, Status::FANFARE_ERR_TOPIC)?;
            name.ok_or(Status::FANFARE_ERR_TOPIC)
        };
        let names = names.iter().map(lent).collect::<Result<Vec<_>, _>>()?;
        // SAFETY: the caller promises that the texts are readable.
        for name in unsafe { copies(&names) }? {
            topics.push(Topic::from_utf8(&name)?);
        }
        // SAFETY: the caller promises as many handles; any bytes are valid pointers.
        for handle in unsafe { copy_array(self.handles, self.handles_count) }? {
            // SAFETY: NULL or live, as the caller promises.
            topics.push(unsafe { handle_of(handle) }?.topic().clone());
        }
        Ok(Topics::Several(topics))
    }
}

/// What an event is published to.
enum Topics<'a> {
    Handle(&'a TopicHandle),
    Several(Vec<Topic>),
}

impl Topics<'_> {
    fn publish(
        &self,
        hub: &Hub,
        event: Event<'_>,
        patience: Patience,
    ) -> Result<Published, Status> {
        let published = match (self, patience.is_none()) {
            (Topics::Handle(handle), true) => hub.publish_by_handle(handle, &event),
            (Topics::Handle(handle), false) => {
                hub.publish_wait(handle.topic(), event, patience.left())
            }
            (Topics::Several(topics), true) => hub.publish_to(topics, event),
            (Topics::Several(topics), false) => hub.publish_to_wait(topics, event, patience.left()),
        };
        published.map_err(|error| patience.refused(error))
    }
}
