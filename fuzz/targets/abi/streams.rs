//! Streams that the host reads, and what they have to give.

use std::collections::VecDeque;
use std::ptr;

use fanfare::ffi::FanfareStatusCode::*;
use fanfare::ffi::*;
use fanfare::{Filter, Topic as Name};

use crate::expect::{verdict, Expected, Verdict};
use crate::given::Given;
use crate::input::Input;
use crate::memory::{understood, Memory};
use crate::notices;
use crate::sse::{Message, Parser};
use crate::world::{Hub, World};

/// The most streams at once.
const STREAMS_MAX: usize = 4;
/// How long an event that is published may take to a stream. Long, as a machine may be slow.
const DEADLINE_MS: u64 = 5_000;

pub(crate) struct Stream {
    pub(crate) handle: *mut FanfareStream,
    pub(crate) hub: *const FanfareHub,
    /// Whether it gets all that is published.
    is_of_all: bool,
    parser: Parser,
    read: VecDeque<Message>,
    /// What is published and not read yet.
    expected: VecDeque<Message>,
    has_ended: bool,
}

impl Stream {
    /// Reads until all is there that was published, and compares it.
    pub(crate) fn read_exactly(&mut self) {
        if !self.is_of_all || self.has_ended {
            return;
        }
        while self.read.len() < self.expected.len() {
            let status = self.next(DEADLINE_MS);
            assert_eq!(status, FANFARE_OK as FanfareStatus, "{:?}", self.expected);
        }
        assert_eq!(self.read, self.expected);
        self.read.clear();
        self.expected.clear();
    }

    /// Reads a batch.
    fn next(&mut self, timeout_ms: u64) -> FanfareStatus {
        let mut batch = FanfareText { data: ptr::null(), length: 0 };
        // SAFETY: live, and writable.
        let status = unsafe { fanfare_stream_next(self.handle, timeout_ms, &mut batch) };
        Expected::default()
            .chance_if(true, FANFARE_ERR_TIMEOUT)
            .chance_if(true, FANFARE_ERR_ENDED)
            .check("fanfare_stream_next", status);
        self.has_ended |= status == FANFARE_ERR_ENDED as FanfareStatus;
        let bytes = understood(batch).expect("a text");
        assert_eq!(bytes.is_some(), status == FANFARE_OK as FanfareStatus);
        self.parser.feed(&bytes.unwrap_or_default(), &mut self.read);
        status
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: live, and nothing uses it any more.
        unsafe { fanfare_stream_free(self.handle) };
    }
}

impl World {
    /// What the streams of a hub have to give of an event that was published. Without an id the event
    /// is one whose id the caller did not ask for.
    pub(crate) fn published(&mut self, hub: *const FanfareHub, given: &Given, id: &FanfareEventId) {
        let bytes = id.text.map(|byte| byte as u8);
        let id = std::str::from_utf8(&bytes[..usize::from(id.length)]).expect("ASCII");
        let id = given.id.as_deref().unwrap_or(id);
        for stream in self.streams.iter_mut().filter(|stream| ptr::eq(stream.hub, hub)) {
            stream.expected.extend(given.message(id));
        }
    }
}

/// Options of a stream, of which any field may be set, and whether the stream is an ordinary one.
pub(crate) fn options(input: &mut Input<'_>, memory: &mut Memory) -> (FanfareStreamOptions, bool) {
    // SAFETY: zero is a valid value.
    let mut options: FanfareStreamOptions = unsafe { std::mem::zeroed() };
    options.size = size_of::<FanfareStreamOptions>();
    if input.byte() % 4 != 3 {
        return (options, true);
    }
    let value = input.number();
    let text = input.text();
    let text = memory.any_text(input, &text);
    match input.byte() % 13 {
        0 => options.last_event_id = text,
        1 => options.tag = text,
        2 => options.addr = text,
        3 => options.start = value as u32,
        4 => options.gap_start = value as u32,
        5 => options.policy = (value as u32) % 5,
        6 => options.heartbeat_form = (value as u32) % 5,
        7 => options.envelope = (value as u32) % 4,
        8 => options.reserved = (value as u32) % 2,
        9 => options.expires_at_unix_ms = value,
        10 => options.queue_bytes_max = value,
        11 => options.start_last = value as u32,
        _ => options.gap_start_last = value as u32,
    }
    (options, false)
}

/// Topics and filters, and the faults of them.
pub(crate) fn subscriptions(
    input: &mut Input<'_>,
    memory: &mut Memory,
) -> (Vec<FanfareText>, Expected) {
    let mut expected = Expected::default();
    let texts: Vec<FanfareText> = (0..input.below(3))
        .map(|_| {
            let text = input.topic();
            memory.any_text(input, &text)
        })
        .collect();
    for &text in &texts {
        let is_subscription = understood(text).is_ok_and(is_subscription);
        expected = expected
            .fault(understood(text).err())
            .fault_if(!is_subscription, FANFARE_ERR_SUBSCRIPTION);
    }
    let is_none = texts.is_empty();
    (texts, expected.fault_if(is_none, FANFARE_ERR_SUBSCRIPTION))
}

pub(crate) fn is_subscription(text: Option<Vec<u8>>) -> bool {
    let text = text.map(String::from_utf8).and_then(Result::ok);
    text.is_some_and(|text| Name::new(&text).is_ok() || Filter::new(&text).is_ok())
}

/// Subscribes to all topics, or to some.
pub(crate) fn hub_subscribe(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let is_of_all = input.is_odd();
    let (options, is_plain) = options(input, &mut memory);
    let minimum = std::mem::offset_of!(FanfareStreamOptions, queue_bytes_max) + 8;
    let lent = memory.sized(input, &options, minimum, FANFARE_ERR_OPTIONS);
    let is_null = input.is_odd();
    let verdict = match is_null {
        true => Verdict::Good,
        false => verdict("fanfare_stream_options_problem", fanfare_stream_options_problem, &lent),
    };
    let (topics, faults) = match is_of_all {
        true => (vec![memory.text(b"#")], Expected::default()),
        false => subscriptions(input, &mut memory),
    };
    let list = memory.list(&topics);
    let is_full = world.streams.len() >= STREAMS_MAX;
    let (hub, met) = world.hub(input);
    let met = met
        .and(faults)
        .verdict(verdict, FANFARE_ERR_OPTIONS)
        .fault_if(is_full, FANFARE_ERR_ARGUMENT)
        .chance_if(hub.as_ref().is_some_and(|hub| !hub.is_exact), FANFARE_ERR_LIMIT);
    let mut handle = ptr::null_mut();
    let out = if is_full { ptr::null_mut() } else { &raw mut handle };
    let options = if is_null { ptr::null() } else { lent.as_ptr() };
    let pointer = Hub::pointer(&hub);
    // SAFETY: NULL or live, and what is lent is as it says.
    let status = unsafe { fanfare_hub_subscribe(pointer, list, topics.len(), options, out) };
    if met.check("fanfare_hub_subscribe", status) {
        hub.expect("NULL is refused").has_connections = true;
        world.streams.push(Stream {
            handle,
            hub: pointer,
            is_of_all: is_of_all && (is_null || is_plain),
            parser: Parser::default(),
            read: VecDeque::new(),
            expected: VecDeque::new(),
            has_ended: false,
        });
    }
}

/// Reads a stream, asks for its end, and whether it was empty.
pub(crate) fn stream_read(world: &mut World, input: &mut Input<'_>) {
    let at = input.below(world.streams.len());
    let (mut reason, mut is_cut, mut is_complete) = (-1, 7, 7);
    if input.rarely() || world.streams.is_empty() {
        let mut batch = FanfareText { data: ptr::null(), length: 0 };
        // SAFETY: NULL is refused.
        let statuses = unsafe {
            [
                fanfare_stream_next(ptr::null(), 0, &mut batch),
                fanfare_stream_end(ptr::null(), &mut reason, &mut is_cut),
                fanfare_stream_is_complete(ptr::null(), &mut is_complete),
            ]
        };
        assert_eq!(statuses, [FANFARE_ERR_ARGUMENT as FanfareStatus; 3]);
        return;
    }
    let stream = &mut world.streams[at];
    let timeout = input.timeout();
    stream.next(timeout);
    // SAFETY: live, and writable or NULL.
    let (end, complete) = unsafe {
        let cut = if input.is_odd() { ptr::null_mut() } else { &raw mut is_cut };
        (
            fanfare_stream_end(stream.handle, &mut reason, cut),
            fanfare_stream_is_complete(stream.handle, &mut is_complete),
        )
    };
    Expected::default().check("fanfare_stream_end", end);
    Expected::default().check("fanfare_stream_is_complete", complete);
    assert!(reason >= 0 && is_complete <= 1 && [0, 1, 7].contains(&is_cut));
    assert!(!stream.has_ended || reason > 0);
}

/// Has a queue tell when a stream can be read, and asks for the stream's id.
pub(crate) fn stream_notify(world: &mut World, input: &mut Input<'_>) {
    let at = input.below(world.streams.len());
    let stream = world.streams.get(at).filter(|_| !input.rarely());
    let stream = stream.map_or(ptr::null(), |stream| stream.handle.cast_const());
    let token = u64::from(input.byte() % 4);
    let (notices, queue) = notices::queue(&mut world.queues, input);
    let is_none = || Expected::default().fault_if(stream.is_null(), FANFARE_ERR_ARGUMENT);
    let expected = is_none().fault_if(notices.is_null(), FANFARE_ERR_ARGUMENT);
    // SAFETY: NULL or live.
    let status = unsafe { fanfare_stream_notify(stream, notices, token) };
    if expected.check("fanfare_stream_notify", status) {
        queue.expect("NULL is refused").may_have(token);
    }
    let mut id = u64::MAX;
    // SAFETY: NULL or live, and writable.
    let status = unsafe { fanfare_stream_id(stream, &mut id) };
    assert_eq!(is_none().check("fanfare_stream_id", status), id != u64::MAX);
}

pub(crate) fn stream_free(world: &mut World, input: &mut Input<'_>) {
    let at = input.below(world.streams.len());
    match world.streams.is_empty() || input.rarely() {
        // SAFETY: NULL does nothing.
        true => unsafe { fanfare_stream_free(ptr::null_mut()) },
        false => drop(world.streams.remove(at)),
    }
}

pub(crate) fn read_exactly(world: &mut World, _: &mut Input<'_>) {
    world.read_exactly();
}

pub(crate) fn stream_headers(_: &mut World, input: &mut Input<'_>) {
    let (mut headers, mut count) = (ptr::null(), 0);
    let is_null = input.rarely();
    let out = if is_null { ptr::null_mut() } else { &raw mut headers };
    // SAFETY: NULL or writable.
    let status = unsafe { fanfare_stream_headers(out, &mut count) };
    let expected = Expected::default().fault_if(is_null, FANFARE_ERR_ARGUMENT);
    if expected.check("fanfare_stream_headers", status) {
        // SAFETY: the library says that there are as many.
        let headers = unsafe { std::slice::from_raw_parts(headers, count) };
        assert!(headers
            .iter()
            .all(|header| understood(header.name).is_ok_and(|name| name.is_some())));
    }
}
