//! Listeners across the border: TCP, Unix domain sockets, and descriptors that listen already.

use std::ffi::{c_char, OsStr};
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::answer;
use super::fields::write_bytes;
use super::hub::{live, FanfareHub};
use super::lent::{with_copies, Lent};
use super::listen_options::FanfareListenOptions;
use super::listeners::Listeners;
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::listener::{ListenOptions, Listener};

/// A listener of a hub, by value: it need not be freed, and one that is closed is an error and nothing
/// worse. No hub has one whose `id` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FanfareListener {
    /// What tells it from the hub's others; it is never used again.
    pub id: u64,
}

/// More than the longest text that an IPv6 address with a zone and a port, or the path of a Unix domain
/// socket, has.
const ADDR_BYTES_MAX: usize = 256;

/// Accepts clients on an address: an IP address and a port such as `127.0.0.1:8080` or `[::]:8080`;
/// `unix:/run/app.sock`, a Unix domain socket, whose file has the permissions of the options and is
/// removed with the listener; or, on Linux, `unix:@name`, an abstract name. At most 256 bytes; the name
/// of a host is refused, since looking one up could block. With port 0 the system chooses a port.
///
/// `options` may be NULL for the defaults: streams at `/events?topic=NAME`. On success `*listener_out`
/// is the listener, and `*port_out` its port, or 0 for a Unix domain socket; either may be NULL. The
/// listener is there until `fanfare_listener_close`, or until the hub is closed. A hub may have several.
///
/// Threads: any, several at once. Ownership: `addr` and `options` stay the caller's, the listener is the
/// hub's. Errors: `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_ADDRESS`, `FANFARE_ERR_CLOSED`,
/// `FANFARE_ERR_FORKED`, `FANFARE_ERR_BUSY`, `FANFARE_ERR_SYSTEM`; or `FANFARE_ERR_OPTIONS`, and
/// `fanfare_listen_options_problem` says which.
///
/// # Safety
///
/// `hub` has to be a live hub, `addr` as many readable bytes as it says, `options` NULL or as
/// `FanfareListenOptions` says, and the outputs NULL or writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_listen(
    hub: *const FanfareHub,
    addr: FanfareText,
    options: *const FanfareListenOptions,
    listener_out: *mut FanfareListener,
    port_out: *mut u16,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (hub, options) = unsafe { (live(hub)?, FanfareListenOptions::read(options)?) };
        let options = with_hosts_of(hub, options);
        let addr = Lent::new(addr, ADDR_BYTES_MAX, Status::FANFARE_ERR_ADDRESS)?;
        let listen = |[addr]: [Option<&[u8]>; 1]| {
            let listener = open(hub, addr.unwrap_or_default(), options)?;
            // SAFETY: NULL or writable as the caller promises.
            unsafe { keep(hub, listener, Listeners::add, listener_out, port_out) };
            Ok(())
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies([addr], listen) }
    })
}

/// Accepts clients at a socket that listens already, of TCP or a Unix domain: one that the program has
/// bound, or that systemd has handed to it. It is made non-blocking and close-on-exec. When the listener
/// is closed the socket is closed but not shut down, so that another process that has it goes on to
/// accept, and no file is removed.
///
/// Threads: any, several at once. Ownership: `fd` is the hub's when this returns `FANFARE_OK`, and
/// nobody else may close it; otherwise it stays the caller's, and may be non-blocking and close-on-exec
/// then. The one exception is `FANFARE_ERR_PANIC`, after which the caller must neither use nor close it.
/// Errors: `FANFARE_ERR_ADDRESS` when it is no socket that listens, and as of `fanfare_hub_listen`.
///
/// # Safety
///
/// As of `fanfare_hub_listen`; and `fd` has to be a descriptor that the caller may give away.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_listen_on(
    hub: *const FanfareHub,
    fd: libc::c_int,
    options: *const FanfareListenOptions,
    listener_out: *mut FanfareListener,
    port_out: *mut u16,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (hub, options) = unsafe { (live(hub)?, FanfareListenOptions::read(options)?) };
        let options = with_hosts_of(hub, options);
        if fd < 0 {
            return Err(Status::FANFARE_ERR_ADDRESS);
        }
        // SAFETY: it is the caller's to give away, and given back below where it is not taken.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        match hub.hub.listen_on(socket, options) {
            Ok(listener) => {
                // SAFETY: NULL or writable as the caller promises.
                unsafe { keep(hub, listener, Listeners::add_lent, listener_out, port_out) };
                Ok(())
            }
            Err(refused) => {
                let _ = refused.socket.into_raw_fd();
                Err(refused.error.into())
            }
        }
    })
}

/// Writes where a listener listens into a buffer of `size` bytes, as `fanfare_hub_listen` takes it:
/// `127.0.0.1:4711`, `unix:/run/app.sock`. There is no NUL at its end. `*length_out` is its length, also
/// when the buffer is too small; `buffer` may be NULL if `size` is 0. The bytes of a path and of an
/// abstract name, `unix:@NAME`, are as they are in the system: they need not be UTF-8, and an abstract name
/// may have NULs in it.
///
/// Threads: any, several at once. Ownership: the buffer stays the caller's. Errors:
/// `FANFARE_ERR_BUFFER`, `FANFARE_ERR_STALE` when the listener is closed, `FANFARE_ERR_ARGUMENT` or
/// `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `hub` has to be a live hub, `buffer` to have `size` writable bytes, and `length_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_listener_address(
    hub: *const FanfareHub,
    listener: FanfareListener,
    buffer: *mut c_char,
    size: usize,
    length_out: *mut usize,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { live(hub) }?;
        let addr = hub.listeners().get(listener.id).map(|it| it.addr().to_bytes());
        let addr = addr.ok_or(Status::FANFARE_ERR_STALE)?;
        // SAFETY: as the caller promises.
        unsafe { write_bytes(&addr, buffer, size, length_out) }
    })
}

/// Closes a listener: no more clients are accepted there, and its address is free. Streams that are
/// open stay open.
///
/// Threads: any, several at once. Ownership: the listener is gone. Errors: `FANFARE_ERR_STALE` when it
/// is closed already, `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `hub` has to be a live hub.
#[no_mangle]
pub unsafe extern "C" fn fanfare_listener_close(
    hub: *const FanfareHub,
    listener: FanfareListener,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let hub = unsafe { live(hub) }?;
        let closed = hub.listeners().remove(listener.id);
        // It is closed when this is dropped, without the lock.
        closed.map(drop).ok_or(Status::FANFARE_ERR_STALE)
    })
}

/// Opens a listener at an address.
fn open(hub: &FanfareHub, addr: &[u8], options: ListenOptions) -> Result<Listener, Status> {
    let wrong = Status::FANFARE_ERR_ADDRESS;
    let opened = match addr.strip_prefix(b"unix:") {
        Some(b"" | b"@") => return Err(wrong),
        Some([b'@', name @ ..]) => {
            hub.hub.listen_unix(OsStr::from_bytes(&[b"\0", name].concat()), options)
        }
        Some(path) if path.contains(&0) => return Err(wrong),
        Some(path) => hub.hub.listen_unix(Path::new(OsStr::from_bytes(path)), options),
        None => {
            // An address and not a name: to look one up could block.
            let addr = std::str::from_utf8(addr).ok().and_then(|addr| addr.parse().ok());
            hub.hub.listen(addr.ok_or(wrong).map(|addr: SocketAddr| addr)?, options)
        }
    };
    opened.map_err(Status::from)
}

/// The options of a listener, which has the hub's word on hosts if they have none of their own.
fn with_hosts_of(hub: &FanfareHub, options: ListenOptions) -> ListenOptions {
    match options.hosts.is_empty() {
        true => options.hosts(hub.listen_options.hosts.clone()),
        false => options,
    }
}

/// Keeps a listener with its hub, and tells the caller of it.
///
/// # Safety
///
/// The outputs have to be NULL or writable.
unsafe fn keep(
    hub: &FanfareHub,
    listener: Listener,
    add: fn(&mut Listeners, Listener) -> u64,
    listener_out: *mut FanfareListener,
    port_out: *mut u16,
) {
    let port = listener.addr().tcp().map_or(0, |addr| addr.port());
    let id = add(&mut hub.listeners(), listener);
    // SAFETY: not NULL, and writable as the caller promises.
    unsafe {
        if !listener_out.is_null() {
            *listener_out = FanfareListener { id };
        }
        if !port_out.is_null() {
            *port_out = port;
        }
    }
}
