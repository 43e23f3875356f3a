//! What a hub is asked and told of itself: connections, rules, counts, listeners.

use std::mem::offset_of;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::ptr;

use fanfare::ffi::FanfareStatusCode::*;
use fanfare::ffi::*;
use fanfare::Topic as Name;

use crate::expect::{verdict, Expected, Verdict};
use crate::input::Input;
use crate::memory::{understood, Memory};
use crate::streams::{self, is_subscription, subscriptions};
use crate::tokens::Access;
use crate::world::{Hub, World};

/// The most listeners of a hub: each has a descriptor.
const LISTENERS_MAX: usize = 3;

/// What a question to the shards may be answered with.
fn asked(expected: Expected) -> Expected {
    expected.chance_if(true, FANFARE_ERR_BUSY).chance_if(true, FANFARE_ERR_TIMEOUT)
}

pub(crate) fn hub_connections(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    // SAFETY: zero is a valid value.
    let mut filter: FanfareConnectionFilter = unsafe { std::mem::zeroed() };
    filter.size = size_of::<FanfareConnectionFilter>();
    let choices = input.byte();
    if choices & 1 != 0 {
        let text = input.topic();
        filter.subscription = memory.any_text(input, &text);
    }
    if choices & 2 != 0 {
        let text = input.text();
        filter.tag = memory.any_text(input, &text);
    }
    filter.limit = u64::from(choices >> 6);
    filter.lagging = u32::from(choices >> 2 & 3);
    filter.slowest_first = u32::from(choices >> 4 & 3);
    let minimum = offset_of!(FanfareConnectionFilter, slowest_first) + size_of::<u32>();
    let lent = memory.sized(input, &filter, minimum, FANFARE_ERR_OPTIONS);
    let (is_null, is_out_null) = (input.is_odd(), input.rarely());
    let (hub, met) = world.hub(input);
    let mut met = asked(met).fault_if(is_out_null, FANFARE_ERR_ARGUMENT);
    if !is_null {
        let FanfareConnectionFilter { subscription, tag, lagging, slowest_first, .. } =
            lent.effective;
        let (subscription, tag) = (understood(subscription), understood(tag));
        met = met
            .fault(lent.fault)
            .fault(subscription.as_ref().err().copied())
            .fault(tag.as_ref().err().copied())
            .fault_if(lagging > 1 || slowest_first > 1, FANFARE_ERR_OPTIONS);
        let subscription = subscription.ok().flatten();
        let is_none = subscription.is_some_and(|text| !is_subscription(Some(text)));
        met = met.fault_if(is_none, FANFARE_ERR_SUBSCRIPTION);
        let tag = tag.ok().flatten().unwrap_or_default();
        let is_tag = std::str::from_utf8(&tag).is_ok();
        met = met.fault_if(!is_tag, FANFARE_ERR_UTF8);
        // A tag that no client can have is found with none, or refused.
        met = met.chance_if(true, FANFARE_ERR_ARGUMENT);
    }
    let mut list = ptr::null_mut();
    let out = if is_out_null { ptr::null_mut() } else { &raw mut list };
    let filter = if is_null { ptr::null() } else { lent.as_ptr() };
    // SAFETY: NULL or live, and what is lent is as it says.
    let status = unsafe { fanfare_hub_connections(Hub::pointer(&hub), filter, out) };
    let is_ok = met.check("fanfare_hub_connections", status);
    assert_eq!(!list.is_null(), is_ok);
    let id = read_connections(list, input, &mut memory);
    let mut one = ptr::null_mut();
    let id = id.unwrap_or(input.number());
    let (hub, met) = world.hub(input);
    let met = asked(met).chance_if(true, FANFARE_ERR_STALE);
    let pointer = Hub::pointer(&hub);
    // SAFETY: NULL or live, and writable.
    let status = unsafe { fanfare_hub_connection(pointer, id, &mut one) };
    met.check("fanfare_hub_connection", status);
    read_connections(one, input, &mut memory);
    change_connection(hub, id, input);
}

/// Reads a list, also beyond its end, frees it, and gives the id of one of its connections.
fn read_connections(
    list: *mut FanfareConnections,
    input: &mut Input<'_>,
    memory: &mut Memory,
) -> Option<u64> {
    // SAFETY: NULL or a list.
    let count = unsafe { fanfare_connections_count(list) };
    let minimum = offset_of!(FanfareConnection, policy) + size_of::<i32>();
    let lent = memory.writable::<FanfareConnection>(input, minimum);
    let index = input.below(count + 2);
    let expected = Expected::default()
        .fault_if(list.is_null() || index >= count, FANFARE_ERR_ARGUMENT)
        .fault(lent.fault_of_output());
    // SAFETY: NULL or a list, and writable as far as it says.
    let status = unsafe { fanfare_connections_get(list, index, lent.as_mut_ptr()) };
    let mut id = None;
    if expected.check("fanfare_connections_get", status) {
        // SAFETY: the struct has at least what the first version had; it is written.
        let connection = unsafe { ptr::read(lent.as_ptr()) };
        assert!(understood(connection.tag).is_ok() && understood(connection.addr).is_ok());
        // SAFETY: the list has as many.
        let wanted = unsafe {
            std::slice::from_raw_parts(connection.subscriptions, connection.subscriptions_count)
        };
        assert!(wanted.iter().all(|text| understood(*text).is_ok_and(is_subscription)));
        id = Some(connection.id);
    }
    // SAFETY: NULL, or a list that nothing uses any more.
    unsafe { fanfare_connections_free(list) };
    id
}

/// Disconnects connections, or gives one other subscriptions.
fn change_connection(hub: Option<&mut Hub>, id: u64, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let met = Expected::default()
        .fault_if(hub.is_none(), FANFARE_ERR_ARGUMENT)
        .fault_if(hub.as_ref().is_some_and(|hub| hub.is_closed), FANFARE_ERR_CLOSED);
    let met = asked(met);
    let (pointer, retry, mut count) = (Hub::pointer(&hub), input.number(), u64::MAX);
    // What ends connections ends streams.
    if let Some(hub) = hub {
        hub.is_exact = false;
    }
    // A time that is too long is refused.
    let met = met.chance_if(retry > 0, FANFARE_ERR_ARGUMENT);
    let out = if input.rarely() { ptr::null_mut() } else { &raw mut count };
    let text = input.topic();
    let text = memory.any_text(input, &text);
    let fault = understood(text).err();
    match input.byte() % 8 {
        0 => {
            // SAFETY: NULL or live.
            let status = unsafe { fanfare_hub_disconnect(pointer, id, retry) };
            met.chance_if(true, FANFARE_ERR_STALE).check("fanfare_hub_disconnect", status);
        }
        1 => {
            let met = met.fault(fault).chance_if(true, FANFARE_ERR_ARGUMENT);
            let met = met.chance_if(true, FANFARE_ERR_UTF8);
            // SAFETY: NULL or live, NULL or writable, and the text is as it says.
            let status = unsafe { fanfare_hub_disconnect_tag(pointer, text, retry, out) };
            met.check("fanfare_hub_disconnect_tag", status);
        }
        2 => {
            let is_subscription = understood(text).is_ok_and(is_subscription);
            let met = met.fault(fault).fault_if(!is_subscription, FANFARE_ERR_SUBSCRIPTION);
            let met = met.chance_if(out.is_null(), FANFARE_ERR_ARGUMENT);
            // SAFETY: as above.
            let status = unsafe { fanfare_hub_disconnect_subscription(pointer, text, retry, out) };
            met.check("fanfare_hub_disconnect_subscription", status);
        }
        3 => {
            let met = met.chance_if(out.is_null(), FANFARE_ERR_ARGUMENT);
            // SAFETY: as above.
            let status = unsafe { fanfare_hub_disconnect_all(pointer, retry, out) };
            met.check("fanfare_hub_disconnect_all", status);
        }
        _ => {
            let (texts, faults) = subscriptions(input, &mut memory);
            let met = met.and(faults).chance_if(true, FANFARE_ERR_STALE);
            let list = memory.list(&texts);
            // SAFETY: NULL or live, and the list is as long as it says.
            let status = unsafe { fanfare_hub_set_subscriptions(pointer, id, list, texts.len()) };
            met.check("fanfare_hub_set_subscriptions", status);
        }
    }
}

pub(crate) fn hub_subscribers(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let text = input.topic();
    let text = memory.any_text(input, &text);
    let is_topic =
        understood(text).is_ok_and(|name| name.is_some_and(|name| Name::from_utf8(&name).is_ok()));
    let (hub, met) = world.hub(input);
    let (pointer, mut count, mut list) = (Hub::pointer(&hub), u64::MAX, ptr::null_mut());
    let met = asked(met);
    let faults =
        Expected::default().fault(understood(text).err()).fault_if(!is_topic, FANFARE_ERR_TOPIC);
    if input.is_odd() {
        // SAFETY: NULL or live, the text is as it says, and writable.
        let status = unsafe { fanfare_hub_subscribers(pointer, text, &mut count) };
        let is_ok = met.and(faults).check("fanfare_hub_subscribers", status);
        assert_eq!(count != u64::MAX, is_ok);
        return;
    }
    let limit = input.number() as usize;
    // SAFETY: NULL or live, and writable.
    let status = unsafe { fanfare_hub_subscription_counts(pointer, limit, &mut list) };
    let is_ok = met.check("fanfare_hub_subscription_counts", status);
    assert_eq!(!list.is_null(), is_ok);
    // SAFETY: NULL or a list.
    let count = unsafe { fanfare_subscription_counts_count(list) };
    let index = input.below(count + 2);
    let lent =
        memory.writable::<FanfareSubscriptionCount>(input, size_of::<FanfareSubscriptionCount>());
    let expected = Expected::default()
        .fault_if(list.is_null() || index >= count, FANFARE_ERR_ARGUMENT)
        .fault(lent.fault_of_output());
    // SAFETY: NULL or a list, and writable as far as it says; then the list is freed.
    unsafe {
        let status = fanfare_subscription_counts_get(list, index, lent.as_mut_ptr());
        if expected.check("fanfare_subscription_counts_get", status) {
            let counted = ptr::read(lent.as_ptr());
            assert!(counted.subscribers > 0);
            assert!(understood(counted.subscription).is_ok_and(is_subscription));
        }
        fanfare_subscription_counts_free(list);
    }
}

pub(crate) fn hub_rules(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    // SAFETY: zero is a valid value.
    let mut options: FanfareTopicOptions = unsafe { std::mem::zeroed() };
    options.size = size_of::<FanfareTopicOptions>();
    // SAFETY: the struct says its own size.
    Expected::default()
        .check("fanfare_topic_options_init", unsafe { fanfare_topic_options_init(&mut options) });
    let value = input.number();
    match input.byte() % 8 {
        0 => options.history_events_max = value,
        1 => options.history_bytes_max = value,
        2 => options.history_age_max_ms = value,
        3 => options.finished_age_max_ms = value,
        4 => options.policy = value as u32,
        5 => options.reserved = u32::from(input.rarely()),
        _ => {}
    }
    let minimum = offset_of!(FanfareTopicOptions, reserved) + size_of::<u32>();
    let lent = memory.sized(input, &options, minimum, FANFARE_ERR_OPTIONS);
    let verdict = verdict("fanfare_topic_options_problem", fanfare_topic_options_problem, &lent);
    let text = input.topic();
    let text = memory.any_text(input, &text);
    let is_subscription = understood(text).is_ok_and(is_subscription);
    let faults = Expected::default()
        .fault(understood(text).err())
        .fault_if(!is_subscription, FANFARE_ERR_SUBSCRIPTION);
    let (mut hub, _) = world.hub(input);
    let met = Expected::default().fault_if(hub.is_none(), FANFARE_ERR_ARGUMENT);
    if let Some(hub) = &mut hub {
        // A finished topic may be forgotten sooner, and a stream lose what it lags behind.
        hub.is_exact = false;
        if options.finished_age_max_ms != u64::MAX {
            hub.forgets_finished = true;
        }
    }
    let pointer = Hub::pointer(&hub);
    match input.byte() % 3 {
        0 => {
            let met = met
                .and(faults)
                .verdict(verdict, FANFARE_ERR_OPTIONS)
                .chance_if(true, FANFARE_ERR_OPTIONS)
                .chance_if(true, FANFARE_ERR_LIMIT);
            // SAFETY: NULL or live, and what is lent is as it says.
            let status = unsafe { fanfare_hub_set_rule(pointer, text, lent.as_ptr()) };
            met.check("fanfare_hub_set_rule", status);
        }
        1 => {
            let mut removed = 7;
            // SAFETY: as above.
            let status = unsafe { fanfare_hub_remove_rule(pointer, text, &mut removed) };
            let is_ok = met.and(faults).check("fanfare_hub_remove_rule", status);
            assert!(if is_ok { removed <= 1 } else { removed == 7 });
        }
        _ => {
            let mut rules = ptr::null_mut();
            // SAFETY: as above, and writable.
            let status = unsafe { fanfare_hub_rules(pointer, &mut rules) };
            assert_eq!(met.check("fanfare_hub_rules", status), !rules.is_null());
            // SAFETY: NULL or a list.
            let count = unsafe { fanfare_rules_count(rules) };
            let index = input.below(count + 2);
            let lent = memory.writable::<FanfareRule>(input, size_of::<FanfareRule>());
            let expected = Expected::default()
                .fault_if(index >= count, FANFARE_ERR_ARGUMENT)
                .fault(lent.fault_of_output());
            // SAFETY: NULL or a list, and writable as far as it says; then the list is freed.
            unsafe {
                let status = fanfare_rules_get(rules, index, lent.as_mut_ptr());
                if expected.check("fanfare_rules_get", status) {
                    let rule = ptr::read(lent.as_ptr());
                    assert!(understood(rule.subscription).is_ok_and(self::is_subscription));
                }
                fanfare_rules_free(rules);
            }
        }
    }
}

pub(crate) fn hub_counts(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let (hub, _) = world.hub(input);
    let met = Expected::default().fault_if(hub.is_none(), FANFARE_ERR_ARGUMENT);
    let pointer = Hub::pointer(&hub);
    if input.is_odd() {
        let minimum = offset_of!(FanfareMetrics, latency_sum_ns) + size_of::<u64>();
        let lent = memory.writable::<FanfareMetrics>(input, minimum);
        // SAFETY: NULL or live, and writable as far as it says.
        let status = unsafe { fanfare_hub_metrics(pointer, lent.as_mut_ptr()) };
        met.fault(lent.fault_of_output()).check("fanfare_hub_metrics", status);
        return;
    }
    let size = input.below(200) * 200;
    let (mut buffer, mut length) = (vec![0_u8; size + 1], usize::MAX);
    *buffer.last_mut().expect("a byte") = 0xa5;
    let met = met.chance_if(true, FANFARE_ERR_BUFFER);
    // SAFETY: NULL or live, and there are as many bytes.
    let status =
        unsafe { fanfare_hub_prometheus(pointer, buffer.as_mut_ptr().cast(), size, &mut length) };
    let is_ok = met.check("fanfare_hub_prometheus", status);
    assert_eq!(buffer[size], 0xa5);
    assert!(hub.is_none() || is_ok == (length <= size), "{length} bytes in {size}");
    assert!(!is_ok || std::str::from_utf8(&buffer[..length]).is_ok());
}

/// Options of a listener that say any of a few things.
fn listen_options(
    input: &mut Input<'_>,
    memory: &mut Memory,
    access: &Access,
) -> FanfareListenOptions {
    // SAFETY: zero is a valid value, and the struct says its own size.
    let mut options: FanfareListenOptions = unsafe { std::mem::zeroed() };
    options.size = size_of::<FanfareListenOptions>();
    // SAFETY: the struct says its own size.
    Expected::default()
        .check("fanfare_listen_options_init", unsafe { fanfare_listen_options_init(&mut options) });
    let (value, text) = (input.number(), input.text());
    let text = memory.any_text(input, &text);
    let list = memory.list(&[text]);
    match input.byte() {
        0 => options.path = text,
        1 => options.health_path = text,
        2 => (options.cors_origins, options.cors_origins_count) = (list, 1),
        3 => (options.hosts, options.hosts_count) = (list, 1),
        4 => (options.trusted_proxies, options.trusted_proxies_count) = (list, 1),
        5 => options.forwarded_header = value as u32,
        6 => options.socket_mode = value as u32,
        7 => options.overload = value as u32,
        8 => options.start = value as u32,
        9 => options.policies = value as u32,
        10 => options.head_bytes_max = value,
        11 => options.keepalive_ms = value,
        12 => options.authorizer = access.authorizer(),
        16 => options.fallback = access.fallback(),
        13 => {
            // SAFETY: zero is a valid value.
            let mut route: FanfareRoute = unsafe { std::mem::zeroed() };
            route.size = size_of::<FanfareRoute>();
            (route.path, route.subscriptions, route.subscriptions_count) = (text, list, 1);
            (route.post, route.query_topics) = (value as u32 % 3, value as u32 % 4);
            (options.routes, options.routes_count) = (memory.list(&[route]), 1);
        }
        14 => {
            let header = FanfareHeader { name: text, value: text };
            (options.headers, options.headers_count) = (memory.list(&[header]), 1);
        }
        15 => options.cors_credentials = value as u32,
        _ => {}
    }
    options
}

/// Listens on the loopback or at a descriptor, asks for the address, and closes listeners.
pub(crate) fn hub_listen(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let options = listen_options(input, &mut memory, &world.access);
    let minimum = offset_of!(FanfareListenOptions, user_timeout_ms) + size_of::<u64>();
    let lent = memory.sized(input, &options, minimum, FANFARE_ERR_OPTIONS);
    let is_null = input.is_odd();
    let verdict = match is_null {
        true => Verdict::Good,
        false => verdict("fanfare_listen_options_problem", fanfare_listen_options_problem, &lent),
    };
    let options = if is_null { ptr::null() } else { lent.as_ptr() };
    // Nothing but the loopback is to be listened on.
    let addr: &[u8] = match input.byte() % 8 {
        0 => b"[::1]:0",
        1 => b"127.0.0.1:1x",
        2 => b"localhost:0",
        3 => b"",
        4 => b"unix:",
        _ => b"127.0.0.1:0",
    };
    let is_addr = addr.ends_with(b"1]:0") || addr.ends_with(b".1:0");
    let text = memory.any_text(input, addr);
    let (hub, met) = world.hub(input);
    let met = met
        .verdict(verdict, FANFARE_ERR_OPTIONS)
        // Where there is no IPv6, and where many inputs use up the system's ports.
        .chance_if(true, FANFARE_ERR_SYSTEM)
        .chance_if(addr.starts_with(b"["), FANFARE_ERR_ADDRESS);
    let pointer = Hub::pointer(&hub);
    let (mut listener, mut port) = (FanfareListener { id: 0 }, 0);
    if hub.as_ref().is_some_and(|hub| hub.listeners.len() >= LISTENERS_MAX) {
        // Below one is closed.
    } else if input.byte() % 4 == 3 {
        let is_listening = input.is_odd();
        let fd = match is_listening {
            true => TcpListener::bind("127.0.0.1:0").map(OwnedFd::from),
            false => UnixStream::pair().map(|(end, _)| OwnedFd::from(end)),
        };
        let Ok(fd) = fd else { return };
        let fd = fd.into_raw_fd();
        let met = met.fault_if(!is_listening, FANFARE_ERR_ADDRESS);
        // SAFETY: NULL or live; what is lent is as it says; the descriptor is this step's.
        let status =
            unsafe { fanfare_hub_listen_on(pointer, fd, options, &mut listener, &mut port) };
        if !met.check("fanfare_hub_listen_on", status) {
            // SAFETY: the library has not taken it.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    } else {
        let met = met.fault(understood(text).err()).fault_if(
            !is_addr || understood(text).is_ok_and(|addr| addr.is_none()),
            FANFARE_ERR_ADDRESS,
        );
        // SAFETY: NULL or live, and what is lent is as it says.
        let status =
            unsafe { fanfare_hub_listen(pointer, text, options, &mut listener, &mut port) };
        assert_eq!(met.check("fanfare_hub_listen", status), port != 0);
    }
    let Some(hub) = hub else { return };
    if listener.id != 0 {
        hub.listeners.push(listener);
    }
    close_listener(hub, input);
}

/// Asks for a listener's address, and closes one now and then.
fn close_listener(hub: &mut Hub, input: &mut Input<'_>) {
    let at = input.below(hub.listeners.len() + 1);
    let known = hub.listeners.get(at).copied();
    let listener = known.unwrap_or(FanfareListener { id: input.number() });
    let is_open = hub.listeners.iter().any(|open| open.id == listener.id) && !hub.is_closed;
    let expected = || Expected::default().chance_if(!is_open, FANFARE_ERR_STALE);
    let (mut buffer, size, mut length) = ([0_u8; 64], input.below(64), usize::MAX);
    // SAFETY: live, and there are as many bytes.
    let status = unsafe {
        fanfare_listener_address(
            hub.handle,
            listener,
            buffer.as_mut_ptr().cast(),
            size,
            &mut length,
        )
    };
    let is_ok =
        expected().chance_if(is_open, FANFARE_ERR_BUFFER).check("fanfare_listener_address", status);
    assert!(!is_ok || length <= size);
    ask_listener(hub, listener, expected(), input);
    if input.byte() % 4 == 3 || hub.listeners.len() >= LISTENERS_MAX {
        // SAFETY: live.
        let status = unsafe { fanfare_listener_close(hub.handle, listener) };
        expected().check("fanfare_listener_close", status);
        hub.listeners.retain(|open| open.id != listener.id);
        if hub.listeners.len() >= LISTENERS_MAX {
            let first = hub.listeners.remove(0);
            // SAFETY: live.
            let status = unsafe { fanfare_listener_close(hub.handle, first) };
            Expected::default()
                .chance_if(hub.is_closed, FANFARE_ERR_STALE)
                .check("fanfare_listener_close", status);
        }
    }
}

/// Asks a listener what is for it, and hands it a connection of which something was read.
fn ask_listener(
    hub: &mut Hub,
    listener: FanfareListener,
    expected: Expected,
    input: &mut Input<'_>,
) {
    let mut memory = Memory::default();
    let bytes = input.text();
    let text = memory.any_text(input, &bytes);
    let (mut has, is_null) = (7, input.rarely());
    let out = if is_null { ptr::null_mut() } else { &raw mut has };
    let expected = expected
        // NULL is no path, no host, and no bytes.
        .chance_if(understood(text).is_ok_and(|text| text.is_none()), FANFARE_ERR_ARGUMENT)
        .fault(understood(text).err());
    match input.byte() % 3 {
        0 => {
            let expected = expected.fault_if(is_null, FANFARE_ERR_ARGUMENT);
            // SAFETY: live; the text is as it says; NULL or writable.
            let status =
                unsafe { fanfare_listener_has_streams_at(hub.handle, listener, text, out) };
            assert_eq!(has <= 1, expected.check("fanfare_listener_has_streams_at", status));
        }
        1 => {
            let expected = expected.fault_if(is_null, FANFARE_ERR_ARGUMENT);
            // SAFETY: as above.
            let status = unsafe { fanfare_listener_is_named(hub.handle, listener, text, out) };
            assert_eq!(has <= 1, expected.check("fanfare_listener_is_named", status));
        }
        _ => {
            let Ok((_ours, end)) = UnixStream::pair() else { return };
            let (fd, addr) = (end.into_raw_fd(), memory.text(b"127.0.0.1:9"));
            // SAFETY: zero is a valid value.
            let mut request: FanfareAdmitRequest = unsafe { std::mem::zeroed() };
            request.size = size_of::<FanfareAdmitRequest>();
            (request.read, request.addr) = (text, addr);
            let is_plain = !input.rarely();
            if !is_plain {
                request.peer = text;
                (request.is_proxy, request.reserved) = (input.number() as u32, input.byte().into());
            }
            let minimum = offset_of!(FanfareAdmitRequest, reserved) + size_of::<u32>();
            let lent = memory.sized(input, &request, minimum, FANFARE_ERR_REQUEST);
            let expected = expected
                .fault(lent.fault)
                .chance_if(!is_plain, FANFARE_ERR_REQUEST)
                .chance_if(!is_plain, FANFARE_ERR_ADDRESS)
                .fault_if(hub.is_closed, FANFARE_ERR_CLOSED)
                .chance_if(true, FANFARE_ERR_BUSY)
                .chance_if(true, FANFARE_ERR_LIMIT);
            // SAFETY: live; what is lent is as it says; the descriptor is this step's.
            let status = unsafe { fanfare_listener_admit(hub.handle, listener, fd, lent.as_ptr()) };
            if expected.check("fanfare_listener_admit", status) {
                hub.has_connections = true;
            } else {
                // SAFETY: the library has not taken it.
                drop(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
}

/// Hands a socket over, whose client sends nothing, or something, or is gone.
pub(crate) fn hub_adopt(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let (topics, faults) = subscriptions(input, &mut memory);
    // SAFETY: zero is a valid value.
    let mut request: FanfareAdoptRequest = unsafe { std::mem::zeroed() };
    request.size = size_of::<FanfareAdoptRequest>();
    (request.topics, request.topics_count) = (memory.list(&topics), topics.len());
    let (options, _) = streams::options(input, &mut memory);
    request.options = memory.list(&[options]);
    let is_plain = input.byte() % 4 != 3;
    if !is_plain {
        let text = input.text();
        let text = memory.any_text(input, &text);
        let value = input.number();
        match input.byte() % 6 {
            0 => request.method = text,
            1 => request.version = text,
            2 => {
                let header = FanfareHeader { name: text, value: text };
                (request.headers, request.headers_count) = (memory.list(&[header]), 1);
            }
            3 => request.read_ahead_bytes = value as _,
            4 => request.is_tls = value as u32 % 3,
            _ => request.has_unread_content = value as u32 % 3,
        }
    }
    let minimum = offset_of!(FanfareAdoptRequest, has_unread_content) + size_of::<u32>();
    let lent = memory.sized(input, &request, minimum, FANFARE_ERR_REQUEST);
    let is_socket = !input.rarely();
    let (ours, fd) = match UnixStream::pair() {
        Ok((ours, end)) => (ours, end.into_raw_fd()),
        Err(_) => return,
    };
    if input.rarely() {
        use std::io::Write;
        // It has not been read by the host: whether that is refused is the engine's.
        let _ = (&ours).write(b"x");
    }
    let (hub, met) = world.hub(input);
    let mut met = met
        .and(faults)
        .fault(lent.fault)
        .fault_if(!is_socket, FANFARE_ERR_SOCKET)
        .chance_if(true, FANFARE_ERR_OPTIONS)
        .chance_if(true, FANFARE_ERR_ARGUMENT)
        .chance_if(true, FANFARE_ERR_SOCKET_READ)
        .chance_if(true, FANFARE_ERR_LIMIT)
        .chance_if(true, FANFARE_ERR_BUSY);
    for chance in [FANFARE_ERR_REQUEST, FANFARE_ERR_SOCKET_TLS] {
        met = met.chance_if(!is_plain, chance);
    }
    let given = if is_socket { fd } else { -1 - (input.byte() as i32) };
    // SAFETY: NULL or live; what is lent is as it says; the descriptor is this step's, or none.
    let status = unsafe { fanfare_hub_adopt(Hub::pointer(&hub), given, lent.as_ptr()) };
    if met.check("fanfare_hub_adopt", status) {
        hub.expect("NULL is refused").has_connections = true;
    } else {
        // SAFETY: the library has not taken it.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
}
