//! Connections that a listener is to serve though another server has accepted them, across the border.

use std::mem::offset_of;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use rustix::net::{self, AddressFamily, SocketType};

use super::answer;
use super::fields::{over_defaults, Field};
use super::hub::{live, FanfareHub};
use super::lent::{with_copies, Lent};
use super::listener::FanfareListener;
use super::options::Refused;
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::client_stream::ClientStream;
use crate::fallback::UnhandledRequest;
use crate::listener::{AdmitError, Listener};

/// More than a listener's options take of a request: its head and its content.
const READ_BYTES_MAX: usize = 4 << 20;
/// More than the longest address.
const ADDR_BYTES_MAX: usize = 1 << 10;
/// More than the longest path, and the longest name of a host.
const TARGET_BYTES_MAX: usize = 64 << 10;

/// A connection that the program's own server has accepted, or has taken of a fallback, and that a
/// listener is to serve. `fanfare_admit_request_of` makes one of what was read; fill in what else there
/// is. Without that helper set all of it to zero, and `size` to `sizeof(fanfare_admit_request)`.
///
/// A connection of a fallback's notice is given back as the notice says: with its `addr`, `peer` and
/// `is_proxy`. They are the connection's also for its later requests.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareAdmitRequest {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// What was read of the connection and not answered: nothing, or the beginning of a request, or all
    /// of one; at most 4 MiB. A header of the PROXY protocol is not a part of it.
    pub read: FanfareText,
    /// The client's address and port, such as `192.0.2.1:50000`. Default: the socket's peer.
    pub addr: FanfareText,
    /// Where the connection is from, if that is another address: a proxy of the listener's option
    /// trusted_proxies, whose header field says anew with each request who the client is. Default:
    /// `addr`.
    pub peer: FanfareText,
    /// 1: the connection is from a proxy that speaks for clients which it does not name, and no bound
    /// per address holds for it. 0: it is not.
    pub is_proxy: u32,
    /// 0; keeps the struct's end where it is on every system.
    pub reserved: u32,
}

/// The size that the struct had in the ABI's first version.
const SIZE_MIN: usize = offset_of!(FanfareAdmitRequest, reserved) + size_of::<u32>();

const IS_PROXY: Field = Field { name: "is_proxy", bounds: "0 or 1" };

/// Has a listener serve a connection as if it had just accepted it: for a client that asks for events on
/// a connection that the program's own server has accepted. The listener reads the request, asks its
/// authorizer, and answers. Never blocks.
///
/// Threads: any, several at once. Ownership: `fd` is the hub's when this returns `FANFARE_OK`, and nobody
/// else may close it; otherwise it stays the caller's, and may be non-blocking then. The one exception is
/// `FANFARE_ERR_PANIC`, after which the caller must neither use nor close it. What else is passed stays the
/// caller's. Errors:
/// `FANFARE_ERR_STALE` when the listener is closed; `FANFARE_ERR_SOCKET` when it is no connected socket of
/// TCP or of a Unix domain; `FANFARE_ERR_TOO_LARGE` when more than 4 MiB were read;
/// `FANFARE_ERR_ADDRESS` for `addr` or `peer`; `FANFARE_ERR_REQUEST` when is_proxy or reserved is out of
/// its bounds, or something is set that only a newer library knows; `FANFARE_ERR_BUSY`,
/// `FANFARE_ERR_CLOSED`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `hub` has to be a live hub, `fd` a descriptor that the caller may give away, and `request` to point to
/// `request->size` readable bytes whose texts are as they say.
#[no_mangle]
pub unsafe extern "C" fn fanfare_listener_admit(
    hub: *const FanfareHub,
    listener: FanfareListener,
    fd: libc::c_int,
    request: *const FanfareAdmitRequest,
) -> FanfareStatus {
    answer(|| {
        if request.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        let (hub, request) = unsafe { (live(hub)?, FanfareAdmitRequest::copy(request)?) };
        let read = Lent::new(request.read, READ_BYTES_MAX, Status::FANFARE_ERR_TOO_LARGE)?;
        let addr = Lent::new(request.addr, ADDR_BYTES_MAX, Status::FANFARE_ERR_ADDRESS)?;
        let peer = Lent::new(request.peer, ADDR_BYTES_MAX, Status::FANFARE_ERR_ADDRESS)?;
        let admit = |[read, addr, peer]: [Option<&[u8]>; 3]| {
            let given = Given {
                read: read.unwrap_or_default().to_owned(),
                addr: address(addr)?,
                peer: address(peer)?,
                is_proxy: request.is_proxy == 1,
            };
            let listeners = hub.listeners();
            let listener = listeners.get(listener.id).ok_or(Status::FANFARE_ERR_STALE)?;
            // SAFETY: it is the caller's to give away, and given back where it is not taken.
            unsafe { admit(listener, fd, given) }
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies([read, addr, peer], admit) }
    })
}

/// Tells whether a listener has streams at a path: `*has_out` is 1 then, and else 0. The path is that of
/// a request's target, percent-encoded and without the query. Requests for such a path, with any method,
/// are for `fanfare_listener_admit`.
///
/// Threads: any, several at once. Ownership: what is passed stays the caller's. Errors:
/// `FANFARE_ERR_STALE` when the listener is closed, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or
/// `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `hub` has to be a live hub, `path` as many readable bytes as it says, and `has_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_listener_has_streams_at(
    hub: *const FanfareHub,
    listener: FanfareListener,
    path: FanfareText,
    has_out: *mut u32,
) -> FanfareStatus {
    // SAFETY: as the caller promises.
    answer(|| unsafe { tell(hub, listener, path, has_out, Listener::has_streams_at) })
}

/// Tells whether a request with this `Host`, with or without a port, is for a listener, as its option
/// `hosts` says: `*is_out` is 1 then, and else 0, also for what is no host.
///
/// Threads: any, several at once. Ownership: what is passed stays the caller's. Errors:
/// `FANFARE_ERR_STALE` when the listener is closed, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or
/// `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `hub` has to be a live hub, `host` as many readable bytes as it says, and `is_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_listener_is_named(
    hub: *const FanfareHub,
    listener: FanfareListener,
    host: FanfareText,
    is_out: *mut u32,
) -> FanfareStatus {
    // SAFETY: as the caller promises.
    answer(|| unsafe { tell(hub, listener, host, is_out, Listener::is_named) })
}

/// Asks a listener something of a text. One that is too long, or not UTF-8, is none of its.
///
/// # Safety
///
/// `hub` has to be NULL or live, the text as it says, and the output NULL or writable.
unsafe fn tell(
    hub: *const FanfareHub,
    listener: FanfareListener,
    text: FanfareText,
    out: *mut u32,
    is_so: impl FnOnce(&Listener, &str) -> bool,
) -> Result<(), Status> {
    // SAFETY: as the caller promises.
    let hub = unsafe { live(hub) }?;
    if out.is_null() {
        return Err(Status::FANFARE_ERR_ARGUMENT);
    }
    let text = match Lent::new(text, TARGET_BYTES_MAX, Status::FANFARE_ERR_TOO_LARGE) {
        Err(Status::FANFARE_ERR_TOO_LARGE) => None,
        text => text?,
    };
    let ask = |[text]: [Option<&[u8]>; 1]| {
        let listeners = hub.listeners();
        let listener = listeners.get(listener.id).ok_or(Status::FANFARE_ERR_STALE)?;
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        let is_so = text.is_some_and(|text| is_so(listener, text));
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *out = is_so.into() };
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { with_copies([text], ask) }
}

impl FanfareAdmitRequest {
    const BLANK: FanfareAdmitRequest = FanfareAdmitRequest {
        size: 0,
        read: FanfareText::NONE,
        addr: FanfareText::NONE,
        peer: FanfareText::NONE,
        is_proxy: 0,
        reserved: 0,
    };

    /// The caller's struct, whose flags are as they have to be.
    ///
    /// # Safety
    ///
    /// `request` has to point to `request->size` readable bytes.
    unsafe fn copy(request: *const FanfareAdmitRequest) -> Result<FanfareAdmitRequest, Status> {
        let wrong = |refused| match refused {
            Refused::Option { .. } => Status::FANFARE_ERR_REQUEST,
            Refused::Size(status) => status,
        };
        // SAFETY: as the caller promises.
        let read = unsafe { over_defaults(request, SIZE_MIN, FanfareAdmitRequest::BLANK) };
        let read = read.map_err(wrong)?;
        IS_PROXY.flag(read.is_proxy).map_err(wrong)?;
        match read.reserved {
            0 => Ok(read),
            _ => Err(Status::FANFARE_ERR_REQUEST),
        }
    }
}

/// What is known of a connection that is handed over.
struct Given {
    read: Vec<u8>,
    addr: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    is_proxy: bool,
}

fn address(text: Option<&[u8]>) -> Result<Option<SocketAddr>, Status> {
    let parse = |text| std::str::from_utf8(text).ok()?.parse().ok();
    text.map(|text| parse(text).ok_or(Status::FANFARE_ERR_ADDRESS)).transpose()
}

/// Hands a descriptor to a listener; it stays the caller's where that does not take it.
///
/// # Safety
///
/// It has to be a descriptor that the caller may give away.
unsafe fn admit(listener: &Listener, fd: libc::c_int, given: Given) -> Result<(), Status> {
    if fd < 0 {
        return Err(Status::FANFARE_ERR_SOCKET);
    }
    // SAFETY: it is the caller's, and not closed by anybody while it is looked at.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let wrong = |_| Status::FANFARE_ERR_SOCKET;
    let peer = net::getpeername(borrowed).map_err(wrong)?;
    let family = net::getsockname(borrowed).map_err(wrong)?.address_family();
    let is_known =
        [AddressFamily::UNIX, AddressFamily::INET, AddressFamily::INET6].contains(&family);
    if !is_known || net::sockopt::socket_type(borrowed) != Ok(SocketType::STREAM) {
        return Err(Status::FANFARE_ERR_SOCKET);
    }
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    // SAFETY: it is the caller's to give away.
    let stream = ClientStream::of(unsafe { OwnedFd::from_raw_fd(fd) });
    // Its family was known just now.
    let stream = stream.map_err(|_| Status::FANFARE_ERR_SYSTEM)?;
    let mut request = UnhandledRequest::new(stream, given.addr.or(peer), given.read);
    request.peer = given.peer.or(request.addr);
    request.is_proxy = given.is_proxy;
    listener.admit(request).map_err(|error| {
        let status = match &error {
            AdmitError::Closed(_) => Status::FANFARE_ERR_CLOSED,
            AdmitError::Busy(_) => Status::FANFARE_ERR_BUSY,
            AdmitError::System { .. } => Status::FANFARE_ERR_SYSTEM,
        };
        let _ = OwnedFd::from(error.into_request().stream).into_raw_fd();
        status
    })
}
