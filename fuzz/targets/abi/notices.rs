//! Queues of notices, and what they are told of.

use std::collections::HashSet;
use std::mem::offset_of;
use std::ptr;

use fanfare::ffi::FanfareStatusCode::*;
use fanfare::ffi::*;

use crate::expect::Expected;
use crate::input::Input;
use crate::memory::{understood, Memory};
use crate::streams::is_subscription;
use crate::world::{Hub, World};

/// The most queues at once.
const QUEUES_MAX: usize = 2;
/// What a notice had in the first version.
const NOTICE_BYTES_MIN: usize = offset_of!(FanfareNotice, bytes) + size_of::<u64>();
/// The most watchers of a hub.
const WATCHERS_MAX: usize = 64;

pub(crate) struct Queue {
    pub(crate) handle: *mut FanfareNotices,
    /// The tokens that a source may have, or have had.
    tokens: HashSet<u64>,
}

pub(crate) fn notices_new(world: &mut World, input: &mut Input<'_>) {
    if input.rarely() {
        // SAFETY: NULL is refused.
        let status = unsafe { fanfare_notices_new(ptr::null_mut()) };
        Expected::default().fault(FANFARE_ERR_ARGUMENT).check("fanfare_notices_new", status);
    }
    if world.queues.len() < QUEUES_MAX {
        let mut handle = ptr::null_mut();
        // SAFETY: writable.
        let status = unsafe { fanfare_notices_new(&mut handle) };
        Expected::default().check("fanfare_notices_new", status);
        world.queues.push(Queue { handle, tokens: HashSet::new() });
    }
}

pub(crate) fn notices_free(world: &mut World, input: &mut Input<'_>) {
    let at = input.below(world.queues.len());
    let handle = match world.queues.is_empty() || input.rarely() {
        true => ptr::null_mut(),
        false => world.queues.remove(at).handle,
    };
    // SAFETY: NULL, or live and not used any more.
    unsafe { fanfare_notices_free(handle) };
}

impl Queue {
    pub(crate) fn may_have(&mut self, token: u64) {
        self.tokens.insert(token);
    }
}

/// A queue of the sequence, or NULL, and what a call with it has to meet in any case.
pub(crate) fn queue<'w>(
    queues: &'w mut [Queue],
    input: &mut Input<'_>,
) -> (*const FanfareNotices, Option<&'w mut Queue>) {
    let at = input.below(queues.len());
    match queues.get_mut(at) {
        Some(queue) if !input.rarely() => (queue.handle, Some(queue)),
        _ => (ptr::null(), None),
    }
}

pub(crate) fn hub_watch(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let mut queues = std::mem::take(&mut world.queues);
    let (notices, watching) = queue(&mut queues, input);
    let (hub, met) = world.hub(input);
    let met = met.fault_if(notices.is_null(), FANFARE_ERR_ARGUMENT);
    let (token, pointer) = (u64::from(input.byte() % 4), Hub::pointer(&hub));
    let is_ok = if input.is_odd() {
        // A queue of any length: it has no memory of that length.
        let capacity = input.number() as usize;
        // SAFETY: NULL or live.
        let status = unsafe { fanfare_hub_watch_connections(pointer, notices, token, capacity) };
        met.check("fanfare_hub_watch_connections", status)
    } else {
        let subscription = if input.is_odd() { b"#".to_vec() } else { input.topic() };
        let lent = memory.any_text(input, &subscription);
        let grace = input.number();
        let is_subscription = understood(lent).is_ok_and(is_subscription);
        let met = met
            .fault(understood(lent).err())
            .fault_if(!is_subscription, FANFARE_ERR_SUBSCRIPTION)
            .fault_if(grace > 3_600_000, FANFARE_ERR_ARGUMENT)
            .chance_if(hub.is_some_and(|hub| hub.watchers >= WATCHERS_MAX), FANFARE_ERR_LIMIT);
        // SAFETY: NULL or live, and the text is as it says.
        let status = unsafe { fanfare_hub_watch_interest(pointer, notices, token, lent, grace) };
        met.check("fanfare_hub_watch_interest", status)
    };
    if is_ok {
        watching.expect("NULL is refused").tokens.insert(token);
        for hub in &mut world.hubs {
            hub.watchers += usize::from(ptr::eq(hub.handle, pointer));
        }
    }
    world.queues = queues;
}

pub(crate) fn notices_remove(world: &mut World, input: &mut Input<'_>) {
    let (notices, watching) = queue(&mut world.queues, input);
    let token = u64::from(input.byte() % 5);
    let has_had = watching.as_ref().is_some_and(|queue| queue.tokens.contains(&token));
    let expected = Expected::default()
        .fault_if(notices.is_null(), FANFARE_ERR_ARGUMENT)
        .fault_if(!notices.is_null() && !has_had, FANFARE_ERR_STALE)
        // A source may have ended with its hub.
        .chance_if(has_had, FANFARE_ERR_STALE);
    // SAFETY: NULL or live.
    let status = unsafe { fanfare_notices_remove(notices, token) };
    if expected.check("fanfare_notices_remove", status) {
        watching.expect("NULL is refused").tokens.remove(&token);
    }
}

/// Drains into an array whose elements are of an older or a newer version, or of none.
pub(crate) fn notices_drain(world: &mut World, input: &mut Input<'_>) {
    let (notices, watching) = queue(&mut world.queues, input);
    let known = size_of::<FanfareNotice>();
    let size = match input.byte() {
        240..=243 => NOTICE_BYTES_MIN + 8 * input.below(4),
        244 => known + input.below(64),
        245 => NOTICE_BYTES_MIN - 1,
        246 => 4097,
        247 => 0,
        _ => known,
    };
    let capacity = if input.rarely() { usize::MAX } else { input.below(6) };
    let is_size = (NOTICE_BYTES_MIN..=4096).contains(&size);
    let is_possible = capacity != usize::MAX;
    let (mut count, is_null) = (usize::MAX, input.rarely());
    // Behind what may be written is what must not be.
    let bytes = if is_possible && is_size { size * capacity } else { 0 };
    let mut array = vec![0xa5_u8; bytes + 16];
    let start = if input.rarely() { ptr::null_mut() } else { array.as_mut_ptr() };
    let expected = Expected::default()
        .fault_if(notices.is_null() || is_null || !is_size || !is_possible, FANFARE_ERR_ARGUMENT)
        .fault_if(start.is_null() && capacity > 0, FANFARE_ERR_ARGUMENT);
    let count_out = if is_null { ptr::null_mut() } else { &raw mut count };
    // SAFETY: NULL or live, and as many bytes can be written.
    let status = unsafe { fanfare_notices_drain(notices, start.cast(), size, capacity, count_out) };
    let is_ok = expected.check("fanfare_notices_drain", status);
    assert_eq!(count != usize::MAX, is_ok);
    let written = if is_ok { count * size } else { 0 };
    assert!(written <= bytes && array[written..].iter().all(|&byte| byte == 0xa5));
    if !is_ok || count == 0 {
        return;
    }
    let watching = watching.expect("NULL is refused");
    for notice in array[..written].chunks_exact(size) {
        check_notice(notice, &watching.tokens);
    }
}

/// A notice's fields are those of its kind, and its texts can be read.
fn check_notice(bytes: &[u8], tokens: &HashSet<u64>) {
    let known = size_of::<FanfareNotice>().min(bytes.len());
    assert!(bytes[known..].iter().all(|&byte| byte == 0), "what is not known is zero");
    // SAFETY: zero is a valid value, and what the library has written is one.
    let notice = unsafe {
        let mut notice: FanfareNotice = std::mem::zeroed();
        ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut notice).cast::<u8>(), known);
        notice
    };
    assert!(tokens.contains(&notice.token), "{notice:?}");
    assert!((1..=10).contains(&notice.kind), "{notice:?}");
    let mut texts = vec![notice.tag, notice.addr, notice.peer];
    // SAFETY: NULL, or the queue has it until its next drain.
    if let Some(record) = unsafe { notice.log.as_ref() } {
        assert!(record.message.length <= FANFARE_LOG_BYTES_MAX, "{notice:?}");
        texts.extend([record.target, record.message]);
    }
    if notice.subscriptions_count > 0 {
        // SAFETY: the queue has as many, until its next drain.
        texts.extend_from_slice(unsafe {
            std::slice::from_raw_parts(notice.subscriptions, notice.subscriptions_count)
        });
    }
    for text in texts {
        let text = understood(text).expect("a text").unwrap_or_default();
        assert!(std::str::from_utf8(&text).is_ok(), "{notice:?}");
    }
}

/// Asks for the log as notices, at most 16 queues at once.
pub(crate) fn log_watch(world: &mut World, input: &mut Input<'_>) {
    let (notices, watching) = queue(&mut world.queues, input);
    let token = u64::from(input.byte() % 4);
    let level = if input.rarely() { input.number() as i32 } else { i32::from(input.byte() % 6) };
    let capacity = if input.rarely() { input.number() as usize } else { input.below(4) };
    let expected = Expected::default()
        .fault_if(notices.is_null(), FANFARE_ERR_ARGUMENT)
        .fault_if(!(1..=5).contains(&level) || capacity > 65_536, FANFARE_ERR_ARGUMENT)
        .chance_if(true, FANFARE_ERR_LIMIT);
    // SAFETY: NULL or live.
    let status = unsafe { fanfare_log_watch(notices, token, level, capacity) };
    if expected.check("fanfare_log_watch", status) {
        watching.expect("NULL is refused").may_have(token);
    }
}

pub(crate) fn notices_doorbell(world: &mut World, input: &mut Input<'_>) {
    let (notices, _) = queue(&mut world.queues, input);
    let (mut fd, is_null) = (-1, input.rarely());
    let out = if is_null { ptr::null_mut() } else { &raw mut fd };
    let expected = Expected::default().fault_if(notices.is_null() || is_null, FANFARE_ERR_ARGUMENT);
    // SAFETY: NULL or live; NULL or writable.
    let status = unsafe { fanfare_notices_doorbell(notices, out) };
    assert_eq!(expected.check("fanfare_notices_doorbell", status), fd >= 0);
}
