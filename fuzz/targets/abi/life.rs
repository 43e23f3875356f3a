//! Making, closing and freeing; and the functions of no handle.

use std::ffi::CStr;
use std::mem::{offset_of, MaybeUninit};
use std::ptr;

use fanfare::ffi::FanfareStatusCode::*;
use fanfare::ffi::*;
use fanfare::{Filter, Topic as Name};

use crate::expect::{verdict, Expected, Verdict};
use crate::input::Input;
use crate::memory::{understood, Memory};
use crate::streams::is_subscription;
use crate::world::{Hub, Topic, World};

/// The most of each kind at once.
const HUBS_MAX: usize = 2;
const TOPICS_MAX: usize = 4;
/// What the struct of options had in the first version.
const OPTIONS_BYTES_MIN: usize = offset_of!(FanfareOptions, finished_age_max_ms) + size_of::<u64>();

/// Options that are at their defaults, but for one shard, and for what the input changes; and whether
/// that is nothing by which a stream may lose an event.
fn options(input: &mut Input<'_>) -> (FanfareOptions, bool) {
    // SAFETY: the struct says its own size.
    let mut options = unsafe {
        let mut options: FanfareOptions = MaybeUninit::zeroed().assume_init();
        options.size = size_of::<FanfareOptions>();
        assert_eq!(fanfare_options_init(&mut options), FANFARE_OK as FanfareStatus);
        options
    };
    options.shards = 1;
    if input.is_odd() {
        options.event_bytes_max = input.below(64) as u64;
    }
    if input.is_odd() {
        options.topic_backlog_bytes_max = 1 + input.below(256) as u64;
    }
    let keeps_few = input.is_odd();
    if keeps_few {
        options.history_events_max = input.below(4) as u64;
    }
    let is_plain = !input.rarely();
    if !is_plain {
        let value = input.number();
        match input.byte() % 12 {
            0 => options.heartbeat_ms = value,
            1 => options.retry_ms = value,
            2 => options.event_bytes_max = value,
            3 => options.batch_bytes_max = value,
            4 => options.history_age_max_ms = value,
            5 => options.lag_age_max_ms = value,
            6 => options.lag_grace_percent = value,
            7 => options.stall_time_max_ms = value,
            8 => options.connections_max = value,
            9 => options.backlog_bytes_max = value,
            10 => options.shards = value.min(2),
            _ => options.any_host = value as u32,
        }
    }
    (options, is_plain && !keeps_few)
}

/// Makes a hub, if `fanfare_options_problem` finds nothing wrong with its options.
pub(crate) fn hub_new(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let (options, is_plain) = options(input);
    let lent = memory.sized(input, &options, OPTIONS_BYTES_MIN, FANFARE_ERR_OPTIONS);
    let verdict = verdict("fanfare_options_problem", fanfare_options_problem, &lent);
    let is_null = input.rarely() && input.is_odd();
    if verdict != Verdict::Good || is_null {
        let mut untouched = ptr::dangling_mut::<FanfareHub>();
        let out = if is_null { ptr::null_mut() } else { &raw mut untouched };
        let expected = Expected::default()
            .verdict(verdict, FANFARE_ERR_OPTIONS)
            .fault_if(is_null, FANFARE_ERR_ARGUMENT);
        // SAFETY: the struct is as it says; NULL or writable.
        let status = unsafe { fanfare_hub_new(lent.as_ptr(), out) };
        expected.check("fanfare_hub_new", status);
        assert_eq!(untouched, ptr::dangling_mut());
        return;
    }
    if world.hubs.len() < HUBS_MAX {
        let mut handle = ptr::null_mut();
        // SAFETY: as above.
        let status = unsafe { fanfare_hub_new(lent.as_ptr(), &mut handle) };
        Expected::default().check("fanfare_hub_new", status);
        let event_bytes_max = lent.effective.event_bytes_max;
        let event_bytes_max = usize::try_from(event_bytes_max).expect("64 bits");
        world.hubs.push(Hub::new(handle, event_bytes_max, is_plain));
    }
}

pub(crate) fn hub_close(world: &mut World, input: &mut Input<'_>) {
    world.let_go(input);
    let (hub, _) = world.hub(input);
    // SAFETY: NULL or live.
    let status = unsafe { fanfare_hub_close(Hub::pointer(&hub)) };
    let expected = Expected::default().fault_if(hub.is_none(), FANFARE_ERR_ARGUMENT);
    if expected.check("fanfare_hub_close", status) {
        hub.expect("NULL is refused").is_closed = true;
    }
}

pub(crate) fn hub_free(world: &mut World, input: &mut Input<'_>) {
    world.let_go(input);
    let at = input.below(world.hubs.len());
    let handle = match world.hubs.is_empty() || input.rarely() {
        true => ptr::null_mut(),
        false => world.hubs.remove(at).handle,
    };
    // Another hub may get its address, of which the streams that are left are none.
    for stream in world.streams.iter_mut().filter(|stream| ptr::eq(stream.hub, handle)) {
        stream.hub = ptr::null();
    }
    // SAFETY: NULL, or live and not used any more.
    unsafe { fanfare_hub_free(handle) };
}

pub(crate) fn topic_new(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let name = input.topic();
    let lent = memory.any_text(input, &name);
    let is_topic =
        understood(lent).is_ok_and(|name| name.is_some_and(|name| Name::from_utf8(&name).is_ok()));
    let is_null = input.rarely();
    let expected = Expected::default()
        .fault(understood(lent).err())
        .fault_if(!is_topic, FANFARE_ERR_TOPIC)
        .fault_if(is_null, FANFARE_ERR_ARGUMENT);
    let mut handle = ptr::null_mut();
    let out = if is_null { ptr::null_mut() } else { &raw mut handle };
    // SAFETY: the text is as it says; NULL or writable.
    let status = unsafe { fanfare_topic_new(lent, out) };
    let is_ok = expected.check("fanfare_topic_new", status);
    assert_eq!(!handle.is_null(), is_ok);
    if is_ok {
        world.topics.push(Topic { handle, name });
    }
    if world.topics.len() > TOPICS_MAX {
        let first = world.topics.remove(0);
        // SAFETY: live and not used any more.
        unsafe { fanfare_topic_free(first.handle) };
    }
}

pub(crate) fn topic_free(world: &mut World, input: &mut Input<'_>) {
    let at = input.below(world.topics.len());
    let handle = match world.topics.is_empty() || input.rarely() {
        true => ptr::null_mut(),
        false => world.topics.remove(at).handle,
    };
    // SAFETY: NULL, or live and not used any more.
    unsafe { fanfare_topic_free(handle) };
}

pub(crate) fn of_no_handle(_: &mut World, input: &mut Input<'_>) {
    assert_eq!(fanfare_abi_version(), FANFARE_ABI_VERSION);
    let number = input.number() as i32;
    for name in [
        fanfare_disconnect_reason_name(number),
        fanfare_gap_reason_name(number),
        fanfare_connection_state_name(number),
    ] {
        assert!(understood(name).is_ok_and(|name| name.is_some_and(|name| !name.is_empty())));
    }
    let status = input.number() as i32;
    for status in [status, status.wrapping_neg()] {
        // SAFETY: it is a static text that ends with a NUL.
        let text = unsafe { CStr::from_ptr(fanfare_strerror(status)) };
        assert!(!text.is_empty() && text.to_str().is_ok());
    }
    covers(input);
}

/// Whether a topic or filter stands for all that another one does.
fn covers(input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let texts = [input.topic(), input.topic()];
    let lent = texts.map(|text| memory.any_text(input, &text));
    let (mut covers, is_null) = (7, input.rarely());
    let out = if is_null { ptr::null_mut() } else { &raw mut covers };
    let mut expected = Expected::default().fault_if(is_null, FANFARE_ERR_ARGUMENT);
    for text in lent {
        let is_subscription = understood(text).is_ok_and(is_subscription);
        expected = expected
            .fault(understood(text).err())
            .fault_if(!is_subscription, FANFARE_ERR_SUBSCRIPTION);
    }
    let [one, other] = lent.map(|text| understood(text).ok().flatten());
    // SAFETY: the texts are as they say; NULL or writable.
    let status = unsafe { fanfare_subscription_covers(lent[0], lent[1], out) };
    if !expected.check("fanfare_subscription_covers", status) {
        assert_eq!(covers, 7);
        return;
    }
    let (one, other) = (one.expect("NULL is refused"), other.expect("NULL is refused"));
    match (Filter::from_utf8(&one), Name::from_utf8(&other)) {
        (Ok(filter), Ok(topic)) => assert_eq!(covers == 1, filter.matches(&topic)),
        _ => assert!(covers <= 1 && (covers == 1 || one != other)),
    }
}

pub(crate) fn hub_drain(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    // SAFETY: zero is a valid value.
    let mut options: FanfareDrainOptions = unsafe { std::mem::zeroed() };
    options.size = size_of::<FanfareDrainOptions>();
    // SAFETY: the struct says its own size.
    let status = unsafe { fanfare_drain_options_init(&mut options) };
    Expected::default().check("fanfare_drain_options_init", status);
    (options.window_ms, options.grace_ms) = (input.timeout(), input.timeout());
    if input.is_odd() {
        options.retry_ms = input.number();
    }
    let minimum = offset_of!(FanfareDrainOptions, retry_ms) + size_of::<u64>();
    let lent = memory.sized(input, &options, minimum, FANFARE_ERR_OPTIONS);
    let verdict = verdict("fanfare_drain_options_problem", fanfare_drain_options_problem, &lent);
    let drained = memory.writable(input, size_of::<FanfareDrained>());
    world.let_go(input);
    let (hub, _) = world.hub(input);
    let expected = Expected::default()
        .fault_if(hub.is_none(), FANFARE_ERR_ARGUMENT)
        .fault(drained.fault_of_output())
        .verdict(verdict, FANFARE_ERR_OPTIONS);
    // SAFETY: NULL or live, and the structs are as they say.
    let status =
        unsafe { fanfare_hub_drain(Hub::pointer(&hub), lent.as_ptr(), drained.as_mut_ptr()) };
    if expected.check("fanfare_hub_drain", status) {
        let hub = hub.expect("NULL is refused");
        (hub.is_closed, hub.is_exact) = (true, false);
    }
}

/// Has a function write the defaults of a struct of any size.
fn init<T: Copy>(
    input: &mut Input<'_>,
    call: &str,
    size_min: usize,
    function: unsafe extern "C" fn(*mut T) -> FanfareStatus,
) {
    let mut memory = Memory::default();
    let lent = memory.writable::<T>(input, size_min);
    let is_null = input.rarely();
    let options = if is_null { ptr::null_mut() } else { lent.as_mut_ptr() };
    let expected =
        Expected::default().fault_if(is_null, FANFARE_ERR_ARGUMENT).fault(lent.fault_of_output());
    // SAFETY: NULL, or writable as far as it says.
    expected.check(call, unsafe { function(options) });
}

pub(crate) fn defaults(_: &mut World, input: &mut Input<'_>) {
    macro_rules! inits {
        ($($function:ident $type:ident $last:ident $last_type:ident;)*) => {
            $(if input.is_odd() {
                let size_min = offset_of!($type, $last) + size_of::<$last_type>();
                init::<$type>(input, stringify!($function), size_min, $function);
            })*
        };
    }
    inits! {
        fanfare_options_init FanfareOptions finished_age_max_ms u64;
        fanfare_topic_options_init FanfareTopicOptions reserved u32;
        fanfare_drain_options_init FanfareDrainOptions retry_ms u64;
        fanfare_listen_options_init FanfareListenOptions user_timeout_ms u64;
        fanfare_stream_options_init FanfareStreamOptions queue_bytes_max u64;
        fanfare_token_options_init FanfareTokenOptions leeway_ms u64;
        fanfare_ticket_options_init FanfareTicketOptions first_use_time_max_ms u64;
        fanfare_ask_options_init FanfareAskOptions timeout_ms u64;
    }
}
