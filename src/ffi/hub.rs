//! The hub across the border.

use std::ffi::c_char;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use super::answer;
use super::event::FanfareEvent;
use super::lent::{with_copies, Lent};
use super::options::FanfareOptions;
use super::origin::Origin;
use super::status::{
    Status, FANFARE_ERR_ADDRESS, FANFARE_ERR_ARGUMENT, FANFARE_ERR_FORKED, FANFARE_ERR_SYSTEM,
    FANFARE_ERR_TOPIC,
};
use crate::hub::Hub;
use crate::listener::{ListenOptions, Listener};
use crate::sys::fork;
use crate::topic::Topic;

/// The engine. Made by `fanfare_hub_new`, freed by `fanfare_hub_free`; all other functions may be
/// called with it from any thread at once.
#[derive(Debug)]
pub struct FanfareHub {
    hub: Hub,
    listen_options: ListenOptions,
    listeners: Mutex<Vec<Listener>>,
    /// The process that has its threads.
    origin: Origin,
}

/// The longest text that an IPv6 address with a zone and a port has, and more.
const ADDR_BYTES_MAX: usize = 256;

/// Makes a hub and starts its threads. `options` may be NULL for the defaults, and stays the
/// caller's. On success `*hub_out` is a hub that the caller owns and has to free with
/// `fanfare_hub_free`.
///
/// Returns `FANFARE_OK`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_OPTIONS` or `FANFARE_ERR_SYSTEM`.
/// Thread-safe.
///
/// # Safety
///
/// `options` has to be NULL or to point to `options->size` readable bytes, and `hub_out` to point
/// to a writable pointer.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_new(
    options: *const FanfareOptions,
    hub_out: *mut *mut FanfareHub,
) -> i32 {
    answer(|| {
        if hub_out.is_null() {
            return Err(Status(FANFARE_ERR_ARGUMENT));
        }
        // SAFETY: as the caller promises.
        let (options, listen_options) = unsafe { FanfareOptions::read(options) }?;
        fork::watch().map_err(|_| Status(FANFARE_ERR_SYSTEM))?;
        let (origin, listeners) = (Origin::here(), Mutex::default());
        let hub = FanfareHub { hub: Hub::start(options)?, listen_options, listeners, origin };
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *hub_out = Box::into_raw(Box::new(hub)) };
        Ok(())
    })
}

/// Closes a hub and frees it: what was published is sent for at most two seconds more, then every
/// connection is closed and the threads have ended when this returns. NULL does nothing. No other
/// call with this hub may be under way, or come afterwards.
///
/// In a child of the process, whether `fork`, `_Fork` or the system call has made it, a hub of the
/// parent's is left as it is. The child has the connections' sockets as well, until it ends or
/// executes another program. After a `fork` the parent's disconnections reach clients even so; after
/// the others, of which the library is not told, only once the child has the sockets no longer.
///
/// # Safety
///
/// `hub` has to be NULL, or a hub that was not freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_free(hub: *mut FanfareHub) {
    answer(|| {
        // SAFETY: NULL, or a live hub as the caller promises.
        match unsafe { hub.as_ref() } {
            Some(live) if live.origin.is_here() => {
                // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
                drop(unsafe { Box::from_raw(hub) });
            }
            _ => {}
        }
        Ok(())
    });
}

/// Accepts clients on an address such as `127.0.0.1:8080` or `[::]:8080`, until the hub is freed;
/// streams have the path `/events?topic=NAME`. On a loopback address only requests are served whose
/// `Host` is right there, see `any_host`. With port 0 the system chooses one. On success
/// `*port_out`, unless `port_out` is NULL, is the port. `addr` is an address and a port, not a name,
/// of `addr_len` bytes; it needs no NUL, and stays the caller's.
///
/// Returns `FANFARE_OK`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_ADDRESS`, `FANFARE_ERR_FORKED` or
/// `FANFARE_ERR_SYSTEM`. Thread-safe.
///
/// # Safety
///
/// `hub` has to be a live hub, `addr` to point to `addr_len` readable bytes, and `port_out` to be
/// NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_listen(
    hub: *const FanfareHub,
    addr: *const c_char,
    addr_len: usize,
    port_out: *mut u16,
) -> i32 {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { live(hub) }?;
        let addr = Lent::new((addr, addr_len), ADDR_BYTES_MAX, FANFARE_ERR_ADDRESS)?;
        let listen = |[addr]: [Option<&[u8]>; 1]| {
            let addr = addr.and_then(|addr| std::str::from_utf8(addr).ok());
            // An address and not a name: to look one up could block.
            let addr = addr.and_then(|addr| addr.parse::<SocketAddr>().ok());
            let addr = addr.ok_or(Status(FANFARE_ERR_ADDRESS))?;
            let listener = hub.hub.listen(addr, hub.listen_options.clone())?;
            let port = listener.local_addr().port();
            hub.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
            if !port_out.is_null() {
                // SAFETY: writable as the caller promises.
                unsafe { *port_out = port };
            }
            Ok(())
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies([addr], listen) }
    })
}

/// Publishes an event to a topic, to every client that wants it. Never blocks. `topic` is 1 to
/// 256 bytes of UTF-8 without control characters, '+' and '#'; it and `event` stay the caller's.
/// On success `*sequence_out`, unless `sequence_out` is NULL, is the event's number in the hub's
/// total order, from 1.
///
/// Returns `FANFARE_OK`, or `FANFARE_ERR_FULL` when too much waits to be sent (try again a little
/// later), `FANFARE_ERR_TOPIC`, `FANFARE_ERR_EVENT`, `FANFARE_ERR_UTF8`, `FANFARE_ERR_TOO_LARGE`,
/// `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_CLOSED` or `FANFARE_ERR_FORKED`; then nothing was
/// published anywhere. Thread-safe.
///
/// # Safety
///
/// `hub` has to be a live hub, `topic` to point to `topic_len` readable bytes, `event` to
/// `event->size` readable bytes whose texts are as it says, and `sequence_out` to be NULL or
/// writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_publish(
    hub: *const FanfareHub,
    topic: *const c_char,
    topic_len: usize,
    event: *const FanfareEvent,
    sequence_out: *mut u64,
) -> i32 {
    answer(|| {
        // SAFETY: as the caller promises.
        let (hub, event) = unsafe { (&live(hub)?.hub, FanfareEvent::read(event)?) };
        let topic = Lent::new((topic, topic_len), Topic::BYTES_MAX, FANFARE_ERR_TOPIC)?;
        let [data, name, id, key] = event.lent(hub.options().event_bytes_max)?;
        let publish = |[topic, texts @ ..]: [Option<&[u8]>; 5]| {
            let topic = Topic::from_utf8(topic.ok_or(Status(FANFARE_ERR_TOPIC))?)?;
            let id = hub.publish(&topic, event.event(texts)?)?;
            if !sequence_out.is_null() {
                // SAFETY: writable as the caller promises.
                unsafe { *sequence_out = id.sequence() };
            }
            Ok(())
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies([topic, data, name, id, key], publish) }
    })
}

/// The hub behind a pointer.
///
/// # Safety
///
/// `hub` has to be NULL, or to be live for as long as `'a`.
unsafe fn live<'a>(hub: *const FanfareHub) -> Result<&'a FanfareHub, Status> {
    // SAFETY: as the caller promises.
    match unsafe { hub.as_ref() } {
        None => Err(Status(FANFARE_ERR_ARGUMENT)),
        Some(hub) if !hub.origin.is_here() => Err(Status(FANFARE_ERR_FORKED)),
        Some(hub) => Ok(hub),
    }
}
