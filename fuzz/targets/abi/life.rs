//! Making, closing and freeing; and the functions of no handle.

use std::ffi::CStr;
use std::mem::{offset_of, MaybeUninit};
use std::ptr;

use fanfare::ffi::*;
use fanfare::Topic as Name;
use FanfareStatusCode::*;

use crate::expect::Expected;
use crate::input::Input;
use crate::memory::{understood, Memory};
use crate::world::{Hub, Topic, World};

/// The most of each kind at once.
const HUBS_MAX: usize = 2;
const TOPICS_MAX: usize = 4;
/// What the struct of options had in the first version.
const OPTIONS_BYTES_MIN: usize = offset_of!(FanfareOptions, finished_age_max_ms) + size_of::<u64>();

/// Options that are at their defaults, but for one shard, and for what the input changes.
fn options(input: &mut Input<'_>) -> FanfareOptions {
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
    if input.is_odd() {
        options.history_events_max = input.below(4) as u64;
    }
    if input.rarely() {
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
            _ => options.any_host = value,
        }
    }
    options
}

/// Makes a hub, if `fanfare_options_problem` says that it can be made.
pub(crate) fn hub_new(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let options = options(input);
    let lent = memory.sized(input, &options, OPTIONS_BYTES_MIN, FANFARE_ERR_OPTIONS);
    let (mut name, mut bounds) = (memory.text(b""), memory.text(b""));
    let is_null = input.rarely();
    let given = if is_null { ptr::null() } else { lent.as_ptr() };
    // SAFETY: the struct is as it says, and the outputs can be written to.
    let problem = unsafe { fanfare_options_problem(given, &mut name, &mut bounds) };
    if !is_null && lent.fault.is_some() {
        Expected::default().fault(lent.fault).check("fanfare_options_problem", problem);
    }
    if problem == FANFARE_ERR_OPTIONS as FanfareStatus {
        let name = understood(name).ok().flatten().expect("a name");
        assert!(!name.is_empty() && std::str::from_utf8(&name).is_ok());
    }
    let out_is_null = input.rarely() && input.is_odd();
    if problem != FANFARE_OK as FanfareStatus || out_is_null {
        let mut untouched = ptr::dangling_mut::<FanfareHub>();
        let out = if out_is_null { ptr::null_mut() } else { &raw mut untouched };
        // SAFETY: as above.
        let status = unsafe { fanfare_hub_new(given, out) };
        assert!(
            status == problem || out_is_null && status == FANFARE_ERR_ARGUMENT as FanfareStatus,
            "fanfare_hub_new returned {status}, and fanfare_options_problem {problem}",
        );
        assert_eq!(untouched, ptr::dangling_mut());
        return;
    }
    // The default is a shard for each core.
    let few = if is_null || lent.effective.shards > 2 { &raw const options } else { given };
    if world.hubs.len() < HUBS_MAX {
        let mut handle = ptr::null_mut();
        // SAFETY: as above.
        let status = unsafe { fanfare_hub_new(few, &mut handle) };
        assert_eq!(status, FANFARE_OK as FanfareStatus);
        // SAFETY: a struct of options whose size was taken.
        let event_bytes_max = unsafe { event_bytes_max(few) };
        world.hubs.push(Hub {
            handle,
            is_closed: false,
            event_bytes_max,
            finished: Default::default(),
            watchers: 0,
        });
    }
}

/// # Safety
///
/// The struct has to have the option.
unsafe fn event_bytes_max(options: *const FanfareOptions) -> usize {
    // SAFETY: as the caller promises.
    usize::try_from(unsafe { (*options).event_bytes_max }).expect("64 bits")
}

pub(crate) fn hub_close(world: &mut World, input: &mut Input<'_>) {
    let (hub, _) = world.hub(input);
    // SAFETY: NULL or live.
    let status = unsafe { fanfare_hub_close(Hub::pointer(&hub)) };
    let expected = Expected::default().fault_if(hub.is_none(), FANFARE_ERR_ARGUMENT);
    if expected.check("fanfare_hub_close", status) {
        hub.expect("NULL is refused").is_closed = true;
    }
}

pub(crate) fn hub_free(world: &mut World, input: &mut Input<'_>) {
    let at = input.below(world.hubs.len());
    let handle = match world.hubs.is_empty() || input.rarely() {
        true => ptr::null_mut(),
        false => world.hubs.remove(at).handle,
    };
    // SAFETY: NULL, or live and not used any more.
    unsafe { fanfare_hub_free(handle) };
}

pub(crate) fn hub_listen(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let (hub, expected) = world.hub(input);
    // Not any address: nothing but the loopback is to be listened on.
    let addr = match input.byte() % 8 {
        0 => b"[::1]:0".to_vec(),
        1 => b"127.0.0.1:1x".to_vec(),
        2 => b"localhost:0".to_vec(),
        3 => vec![b'1'; 257],
        4 => Vec::new(),
        _ => b"127.0.0.1:0".to_vec(),
    };
    let is_addr = addr.ends_with(b"]:0") || addr.ends_with(b"1:0");
    let lent = memory.any_text(input, &addr);
    let expected = expected
        .fault(understood(lent).err())
        .fault_if(understood(lent).is_ok_and(|addr| addr.is_none()) || !is_addr, FANFARE_ERR_ADDRESS)
        // Where there is no IPv6, and where many inputs use up the system's ports.
        .chance_if(addr.starts_with(b"["), FANFARE_ERR_ADDRESS)
        .chance_if(true, FANFARE_ERR_SYSTEM);
    let mut port = 0;
    let out = if input.rarely() { ptr::null_mut() } else { &raw mut port };
    // SAFETY: NULL or live; the text is as it says; NULL or writable.
    let status = unsafe { fanfare_hub_listen(Hub::pointer(&hub), lent, out) };
    let is_ok = expected.check("fanfare_hub_listen", status);
    assert_eq!(port != 0, is_ok && !out.is_null());
}

pub(crate) fn topic_new(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let name = input.topic();
    let lent = memory.any_text(input, &name);
    let is_topic = understood(lent)
        .is_ok_and(|name| name.is_some_and(|name| Name::from_utf8(&name).is_ok()));
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
    let name = understood(fanfare_disconnect_reason_name(input.number() as i32));
    assert!(name.is_ok_and(|name| name.is_some_and(|name| !name.is_empty())));
    let status = input.number() as i32;
    for status in [status, status.wrapping_neg()] {
        // SAFETY: it is a static text that ends with a NUL.
        let text = unsafe { CStr::from_ptr(fanfare_strerror(status)) };
        assert!(!text.is_empty() && text.to_str().is_ok());
    }
    let mut memory = Memory::default();
    // SAFETY: zero is a valid value.
    let zero: FanfareOptions = unsafe { MaybeUninit::zeroed().assume_init() };
    let lent = memory.sized(input, &zero, OPTIONS_BYTES_MIN, FANFARE_OK);
    let is_null = input.rarely();
    let options = if is_null { ptr::null_mut() } else { lent.as_mut_ptr() };
    // SAFETY: NULL, or writable as far as it says.
    let status = unsafe { fanfare_options_init(options) };
    Expected::default()
        .fault_if(is_null, FANFARE_ERR_ARGUMENT)
        // What is beyond is overwritten, and not looked at.
        .fault(lent.fault.filter(|&fault| fault == FANFARE_ERR_ARGUMENT))
        .check("fanfare_options_init", status);
}
