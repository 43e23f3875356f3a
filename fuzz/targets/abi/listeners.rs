//! The ways in for clients: listeners, and connections that are handed over.

use std::mem::offset_of;
use std::net::TcpListener;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::ptr;

use fanfare::ffi::FanfareStatusCode::*;
use fanfare::ffi::*;

use crate::expect::{verdict, Expected, Verdict};
use crate::input::Input;
use crate::memory::{understood, Memory};
use crate::streams::{self, subscriptions};
use crate::tokens::Access;
use crate::world::{Hub, World};

/// The most listeners of a hub: each has a descriptor.
const LISTENERS_MAX: usize = 3;

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
