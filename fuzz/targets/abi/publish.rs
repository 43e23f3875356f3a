//! Publishing in all its forms.

use std::mem::offset_of;
use std::ptr;

use fanfare::ffi::FanfareStatusCode::{self as Status, *};
use fanfare::ffi::*;
use fanfare::fuzzing::Frame;
use fanfare::{Event, Topic as Name};

use crate::expect::Expected;
use crate::given::Given;
use crate::input::Input;
use crate::memory::{understood, Lent, Memory};
use crate::world::{Hub, World};

/// What an event had in the first version.
const EVENT_BYTES_MIN: usize = offset_of!(FanfareEvent, retry_ms) + size_of::<u32>();
/// Names that are the engine's.
const RESERVED: [&str; 2] = ["fanfare-gap", "fanfare-heartbeat"];

/// An event as it is lent; rarely NULL.
fn event(memory: &mut Memory, input: &mut Input<'_>) -> Option<Lent<FanfareEvent>> {
    if input.rarely() {
        return None;
    }
    let mut field = |may_be: bool, input: &mut Input<'_>| match may_be {
        true => {
            let text = input.text();
            memory.any_text(input, &text)
        }
        false => FanfareText { data: ptr::null(), length: 0 },
    };
    let has = input.byte();
    let data = field(has % 8 != 7, input);
    let [name, id, key, comment] = [8, 16, 32, 64].map(|bit| field(has & bit != 0, input));
    let retry_ms = if has & 128 != 0 { input.number() as u32 } else { 0 };
    let window_ms = if input.rarely() { input.number() } else { 0 };
    let size = size_of::<FanfareEvent>();
    let event = FanfareEvent { size, data, name, id, key, retry_ms, comment, window_ms };
    Some(memory.sized(input, &event, EVENT_BYTES_MIN, FANFARE_ERR_EVENT))
}

fn pointer(event: &Option<Lent<FanfareEvent>>) -> *const FanfareEvent {
    event.as_ref().map_or(ptr::null(), Lent::as_ptr)
}

/// What is wrong with an event for a hub, if anything, and what a client is to get of it.
fn checked(event: &Option<Lent<FanfareEvent>>, data_bytes_max: usize) -> (Vec<Status>, Given) {
    let Some(event) = event else { return (vec![FANFARE_ERR_ARGUMENT], Given::default()) };
    let mut faults: Vec<Status> = event.fault.into_iter().collect();
    let FanfareEvent { data, name, id, key, retry_ms, comment, window_ms, .. } = event.effective;
    let texts = [data, name, id, key, comment].map(understood);
    faults.extend(texts.iter().filter_map(|text| text.as_ref().err().copied()));
    let texts = texts.map(|text| text.ok().flatten());
    let bytes = |text: &Option<Vec<u8>>| text.as_ref().map_or(0, Vec::len);
    if bytes(&texts[0]) + bytes(&texts[4]) > data_bytes_max {
        faults.push(FANFARE_ERR_TOO_LARGE);
    }
    if texts[1..4].iter().any(|text| bytes(text) > 256) {
        faults.push(FANFARE_ERR_EVENT);
    }
    let texts = texts.map(|text| text.map(String::from_utf8).transpose());
    if texts.iter().any(Result::is_err) {
        faults.push(FANFARE_ERR_UTF8);
    }
    let [data, name, id, key, comment] = texts.map(|text| text.ok().flatten());
    let is_reserved = name.as_ref().is_some_and(|name| RESERVED.contains(&&**name));
    let retry = (retry_ms > 0).then_some(retry_ms.into());
    let given = Given { data, name, id, key, comment, retry };
    let is_encoded = faults.is_empty() && Frame::encode(&given.event(), 1).is_ok();
    if !is_encoded || is_reserved || window_ms > Event::WINDOW_MAX.as_millis() as u64 {
        faults.push(FANFARE_ERR_EVENT);
    }
    (faults, given)
}

/// What is to be expected of publishing an event to a hub, but for the topics.
fn expected(
    hub: &mut Option<&mut Hub>,
    mut expected: Expected,
    event: &Option<Lent<FanfareEvent>>,
) -> (Expected, Given) {
    let data_bytes_max = hub.as_ref().map_or(usize::MAX, |hub| hub.event_bytes_max);
    let (faults, given) = checked(event, data_bytes_max);
    for fault in faults {
        expected = expected.fault(fault);
    }
    if let Some(hub) = hub {
        // An event that waits for its time comes in another order.
        hub.is_exact &= event.as_ref().is_none_or(|event| event.effective.window_ms == 0);
        for chance in [FANFARE_ERR_FULL, FANFARE_ERR_TIMEOUT] {
            expected = expected.chance_if(hub.has_connections, chance);
        }
    }
    (expected, given)
}

/// What a topic adds to that.
fn to_topic(expected: Expected, hub: &mut Option<&mut Hub>, topic: &Option<Vec<u8>>) -> Expected {
    if let Some(hub) = hub {
        // Streams of `#` do not get what such a topic has.
        hub.is_exact &= !topic.as_ref().is_some_and(|name| name.starts_with(b"$"));
    }
    let is_finished =
        |hub: &&mut Hub| topic.as_ref().is_some_and(|name| hub.finished.contains(name));
    let is_finished = hub.as_ref().is_some_and(is_finished);
    let is_forgotten = hub.as_ref().is_some_and(|hub| hub.forgets_finished);
    expected
        .fault_if(is_finished && !is_forgotten, FANFARE_ERR_FINISHED)
        .chance_if(is_finished, FANFARE_ERR_FINISHED)
}

/// A topic by name, as it is lent, and the faults of that.
fn named(
    memory: &mut Memory,
    input: &mut Input<'_>,
    expected: Expected,
) -> (FanfareText, Option<Vec<u8>>, Expected) {
    let name = input.topic();
    let lent = memory.any_text(input, &name);
    let name = understood(lent);
    let fault = name.as_ref().err().copied();
    let name = name.ok().flatten();
    let is_topic = name.as_ref().is_some_and(|name| Name::from_utf8(name).is_ok());
    (lent, name, expected.fault(fault).fault_if(!is_topic, FANFARE_ERR_TOPIC))
}

pub(crate) fn hub_publish(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let (mut hub, met) = world.hub(input);
    let event = event(&mut memory, input);
    let (lent, name, met) = named(&mut memory, input, met);
    let (met, given) = expected(&mut hub, met, &event);
    let met = to_topic(met, &mut hub, &name);
    let mut id = untouched();
    let hub = Hub::pointer(&hub);
    // SAFETY: the handles are NULL or live, and what is lent is as it says.
    let status = unsafe { fanfare_hub_publish(hub, lent, pointer(&event), &mut id) };
    let is_ok = met.check("fanfare_hub_publish", status);
    check_id(&id, is_ok);
    if is_ok {
        world.published(hub, &given, &id);
    }
}

pub(crate) fn hub_publish_to(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let (topic, name) = world.topic(input);
    let (mut hub, met) = world.hub(input);
    let event = event(&mut memory, input);
    let met = met.fault_if(name.is_none(), FANFARE_ERR_ARGUMENT);
    let (met, given) = expected(&mut hub, met, &event);
    let met = to_topic(met, &mut hub, &name);
    let mut id = untouched();
    let hub = Hub::pointer(&hub);
    // SAFETY: the handles are NULL or live, and what is lent is as it says.
    let status = unsafe { fanfare_hub_publish_to(hub, topic, pointer(&event), &mut id) };
    let is_ok = met.check("fanfare_hub_publish_to", status);
    check_id(&id, is_ok);
    if is_ok {
        world.published(hub, &given, &id);
    }
}

pub(crate) fn hub_finish(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let (topic, topic_name) = world.topic(input);
    let (mut hub, met) = world.hub(input);
    let last = if input.is_odd() { event(&mut memory, input) } else { None };
    let (met, given) = match last {
        Some(_) => expected(&mut hub, met, &last),
        None => (met, Given::default()),
    };
    let has_window = last.as_ref().is_some_and(|last| last.effective.window_ms > 0);
    let met = met.fault_if(has_window, FANFARE_ERR_EVENT);
    let (timeout, mut id) = (input.timeout(), untouched());
    let pointers = (Hub::pointer(&hub), pointer(&last));
    let (status, name, met) = if input.is_odd() {
        let (lent, name, met) = named(&mut memory, input, met);
        // SAFETY: the handles are NULL or live, and what is lent is as it says.
        let status = unsafe { fanfare_hub_finish(pointers.0, lent, pointers.1, timeout, &mut id) };
        (status, name, met)
    } else {
        let met = met.fault_if(topic_name.is_none(), FANFARE_ERR_ARGUMENT);
        // SAFETY: as above.
        let status =
            unsafe { fanfare_hub_finish_topic(pointers.0, topic, pointers.1, timeout, &mut id) };
        (status, topic_name, met)
    };
    let met = to_topic(met, &mut hub, &name);
    let is_ok = met.check("fanfare_hub_finish", status);
    check_id(&id, is_ok);
    if is_ok {
        hub.expect("NULL is refused").finished.extend(name);
        if last.is_some() {
            world.published(pointers.0, &given, &id);
        }
    }
}

/// Asks to be told of space for topics by names and by handles or for none, and an event or none.
pub(crate) fn notify_space(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let handles: Vec<_> = (0..input.below(3)).map(|_| world.topic(input)).collect();
    let mut queues = std::mem::take(&mut world.queues);
    let (notices, watching) = crate::notices::queue(&mut queues, input);
    let (hub, _) = world.hub(input);
    let event = event(&mut memory, input);
    // The hub may be closed.
    let mut expected = Expected::default()
        .fault_if(hub.is_none() || notices.is_null(), FANFARE_ERR_ARGUMENT)
        .fault(event.as_ref().and_then(|event| event.fault));
    let mut names = Vec::new();
    for _ in 0..if input.rarely() { 65 } else { input.below(3) } {
        let (lent, _, met) = named(&mut memory, input, expected);
        expected = met;
        names.push(lent);
    }
    let count = names.len() + handles.len();
    expected = expected
        .fault_if(handles.iter().any(|(_, name)| name.is_none()), FANFARE_ERR_ARGUMENT)
        .fault_if(count > Event::TOPICS_MAX, FANFARE_ERR_TOO_MANY);
    let pointers: Vec<_> = handles.iter().map(|(handle, _)| *handle).collect();
    let publication = FanfarePublication {
        topics: memory.list(&names),
        topics_count: names.len(),
        handles: memory.list(&pointers),
        handles_count: pointers.len(),
        event: pointer(&event),
    };
    let token = u64::from(input.byte() % 4);
    // SAFETY: NULL or live, and what is lent is as it says.
    let status =
        unsafe { fanfare_hub_notify_space(Hub::pointer(&hub), notices, token, &publication) };
    if expected.check("fanfare_hub_notify_space", status) {
        watching.expect("NULL is refused").may_have(token);
    }
    world.queues = queues;
}

/// Publishes one or several events, each to several topics, by names and by handles.
pub(crate) fn hub_publish_many(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let count = input.below(4);
    let is_one = input.is_odd();
    let handles: Vec<Vec<_>> = (0..count.max(1))
        .map(|_| (0..input.below(3)).map(|_| world.topic(input)).collect())
        .collect();
    let (mut hub, met) = world.hub(input);
    let is_closed = met.is_faulty();
    let (mut publications, mut each, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for handles in handles {
        let event = event(&mut memory, input);
        let (mut expected, given) = expected(&mut hub, Expected::default(), &event);
        let mut names = Vec::new();
        let names_count = if input.rarely() { 65 } else { input.below(3) };
        for _ in 0..names_count {
            let (lent, name, met) = named(&mut memory, input, expected);
            expected = to_topic(met, &mut hub, &name);
            names.push(lent);
        }
        for (_, name) in &handles {
            expected =
                to_topic(expected, &mut hub, name).fault_if(name.is_none(), FANFARE_ERR_ARGUMENT);
        }
        let topics_count = names.len() + handles.len();
        expected = expected
            .fault_if(topics_count == 0, FANFARE_ERR_ARGUMENT)
            .fault_if(topics_count > Event::TOPICS_MAX, FANFARE_ERR_TOO_MANY);
        let pointers: Vec<_> = handles.iter().map(|(handle, _)| *handle).collect();
        publications.push(FanfarePublication {
            topics: memory.list(&names),
            topics_count: names.len(),
            handles: memory.list(&pointers),
            handles_count: pointers.len(),
            event: pointer(&event),
        });
        each.push(expected);
        events.push((event, given));
    }
    let (timeout, hub) = (input.timeout(), Hub::pointer(&hub));
    if is_one {
        let mut id = untouched();
        let is_null = input.rarely();
        let publication = if is_null { ptr::null() } else { memory.list(&publications[..1]) };
        // SAFETY: NULL or live, and what is lent is as it says.
        let status = unsafe { fanfare_hub_publish_wait(hub, publication, timeout, &mut id) };
        let mut met = each.swap_remove(0).fault_if(is_null, FANFARE_ERR_ARGUMENT);
        if is_closed {
            met = met.fault(FANFARE_ERR_CLOSED).fault_if(hub.is_null(), FANFARE_ERR_ARGUMENT);
        }
        let is_ok = met.check("fanfare_hub_publish_wait", status);
        check_id(&id, is_ok);
        if is_ok {
            world.published(hub, &events[0].1, &id);
        }
        return;
    }
    let (mut ids, mut published) = ([untouched(); 4], usize::MAX);
    let ids_out = ids.as_mut_ptr();
    let count_out = if input.rarely() { ptr::null_mut() } else { &raw mut published };
    let list = memory.list(&publications[..count]);
    // SAFETY: as above, and there are as many ids.
    let status = unsafe { fanfare_hub_publish_many(hub, list, count, timeout, ids_out, count_out) };
    if count_out.is_null() {
        Expected::default().fault(FANFARE_ERR_ARGUMENT).check("fanfare_hub_publish_many", status);
        return;
    }
    // A closed hub may be found out with the first event, and with none it need not be.
    let first_faulty = each[..count].iter().position(Expected::is_faulty);
    if is_closed && count > 0 {
        let met = each.swap_remove(0).fault(FANFARE_ERR_CLOSED);
        let met = met.fault_if(hub.is_null(), FANFARE_ERR_ARGUMENT);
        met.check("fanfare_hub_publish_many", status);
        assert_eq!(published, 0);
    } else if hub.is_null() {
        assert_eq!((status, published), (FANFARE_ERR_ARGUMENT as FanfareStatus, 0));
    } else {
        assert!(published <= first_faulty.unwrap_or(count), "{published} were published");
        match each.get(published).filter(|_| published < count) {
            Some(met) => assert!(!met.check("fanfare_hub_publish_many", status)),
            None => assert!(Expected::default().check("fanfare_hub_publish_many", status)),
        }
    }
    for (at, id) in ids.iter().enumerate() {
        check_id(id, at < published);
    }
    for (id, (_, given)) in ids.iter().zip(&events).take(published) {
        world.published(hub, given, id);
    }
}

/// An id that no call has written.
fn untouched() -> FanfareEventId {
    FanfareEventId { length: 0xa5, text: [0; FANFARE_EVENT_ID_BYTES_MAX] }
}

/// An id is written on success, and only then.
fn check_id(id: &FanfareEventId, is_written: bool) {
    assert_eq!(id.length != 0xa5, is_written, "{id:?}");
    assert!(!is_written || (1..=64).contains(&id.length), "{id:?}");
}

/// Asks a hub without a journal to write it.
pub fn hub_flush(world: &mut World, input: &mut Input<'_>) {
    let (hub, met) = world.hub(input);
    // SAFETY: the hub is NULL or live.
    let status = unsafe { fanfare_hub_flush(Hub::pointer(&hub), input.timeout()) };
    met.fault_if(true, FANFARE_ERR_JOURNAL).check("fanfare_hub_flush", status);
}
