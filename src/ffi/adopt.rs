//! Connections that a host's own server hands over, across the border.

use std::mem::offset_of;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use super::answer;
use super::fields::{over_defaults, subscriptions, Field, TEXT_BYTES_MAX};
use super::header_field::FanfareHeader;
use super::hub::{live, FanfareHub};
use super::options::{Number, Refused};
use super::status::{FanfareStatus, Status};
use super::stream_options::FanfareStreamOptions;
use super::text::FanfareText;
use crate::adopt::{AdoptErrorKind, AdoptRequest, HttpVersion};

/// A request for a stream that the program's own server has read and authorized, and whose connection
/// it hands over. `fanfare_adopt_request_of` makes a `GET` of HTTP/1.1 for some topics; fill in what
/// else there is. Without that helper set all of it to zero, and `size` to
/// `sizeof(fanfare_adopt_request)`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareAdoptRequest {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The topics and filters that the stream is subscribed to.
    pub topics: *const FanfareText,
    /// How many there are: 1 to 65,536.
    pub topics_count: usize,
    /// Where the stream begins, and how it is served; NULL for the defaults.
    pub options: *const FanfareStreamOptions,
    /// The request's method: `GET`, or `POST` whose content was read whole. Default: `GET`.
    pub method: FanfareText,
    /// The request's version of HTTP as servers name it: `HTTP/1.1`, `1.0`. Default: HTTP/1.1.
    pub version: FanfareText,
    /// Header fields of the answer beside the engine's own, those of CORS and `Vary` included.
    pub headers: *const FanfareHeader,
    /// How many there are, at most 32, and 4 KiB of them.
    pub headers_count: usize,
    /// How many bytes behind the request the server has read from the socket into a buffer of its own:
    /// more than 0 are refused.
    pub read_ahead_bytes: u64,
    /// 1: the connection is encrypted by the server, and is refused.
    pub is_tls: u32,
    /// 1: some of the request's content was not read from the socket, and it is refused.
    pub has_unread_content: u32,
}

/// The size that the struct had in the ABI's first version.
const SIZE_MIN: usize = offset_of!(FanfareAdoptRequest, has_unread_content) + size_of::<u32>();

const METHOD: Field = Field { name: "method", bounds: "GET or POST" };
const VERSION: Field = Field { name: "version", bounds: "HTTP/1.1 or HTTP/1.0" };
const HEADERS: Field = Field { name: "headers", bounds: "at most 32 and 4 KiB" };
const IS_TLS: Field = Field { name: "is_tls", bounds: "0 or 1" };
const HAS_UNREAD: Field = Field { name: "has_unread_content", bounds: "0 or 1" };
const SUBSCRIPTIONS_MAX: usize = 65_536;

/// Makes an event stream of a connection that the program's own server has accepted, and whose request
/// it has read and authorized: a connected socket of TCP or of a Unix domain, of plain HTTP/1.1 or
/// HTTP/1.0, with nothing written to it that is not sent and nothing that waits to be read. The engine
/// writes the whole answer, its head included. Duplicates of the descriptor may stay open, but nobody
/// else may read from the socket, write to it or shut it down any more. Never blocks.
///
/// Threads: any, several at once. Ownership: `fd` is the hub's when this returns `FANFARE_OK`, and nobody
/// else may close it. Otherwise it stays the caller's, nothing was written to it, and the caller answers
/// the request, as a rule with 503 or 500. The one exception is `FANFARE_ERR_PANIC`, after which the
/// caller must neither use nor close it. What else is passed stays the caller's. Errors:
/// `FANFARE_ERR_SOCKET`, `FANFARE_ERR_SOCKET_TLS`, `FANFARE_ERR_SOCKET_READ`,
/// `FANFARE_ERR_SOCKET_UNSENT`; `FANFARE_ERR_REQUEST` for a method, a version or a header field;
/// `FANFARE_ERR_SUBSCRIPTION`, `FANFARE_ERR_TOO_MANY`, `FANFARE_ERR_OPTIONS` as of
/// `fanfare_hub_subscribe`; `FANFARE_ERR_LIMIT`, `FANFARE_ERR_BUSY`, `FANFARE_ERR_CLOSED`,
/// `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `hub` has to be a live hub, `fd` a descriptor that the caller may give away, and `request` to point
/// to `request->size` readable bytes whose texts, lists and options are as they say.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_adopt(
    hub: *const FanfareHub,
    fd: libc::c_int,
    request: *const FanfareAdoptRequest,
) -> FanfareStatus {
    answer(|| {
        if request.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        let (hub, request) = unsafe { (live(hub)?, FanfareAdoptRequest::read(request)?) };
        if fd < 0 {
            return Err(Status::FANFARE_ERR_SOCKET);
        }
        // SAFETY: it is the caller's to give away, and given back below where it is not taken.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        hub.hub.adopt(socket, request).map_err(|error| {
            let status = status_of(error.kind());
            let _ = error.into_socket().into_raw_fd();
            status
        })
    })
}

impl FanfareAdoptRequest {
    const BLANK: FanfareAdoptRequest = FanfareAdoptRequest {
        size: 0,
        topics: std::ptr::null(),
        topics_count: 0,
        options: std::ptr::null(),
        method: FanfareText::NONE,
        version: FanfareText::NONE,
        headers: std::ptr::null(),
        headers_count: 0,
        read_ahead_bytes: 0,
        is_tls: 0,
        has_unread_content: 0,
    };

    /// # Safety
    ///
    /// `request` has to point to `request->size` readable bytes whose texts, lists and options are as
    /// they say.
    unsafe fn read(request: *const FanfareAdoptRequest) -> Result<AdoptRequest, Status> {
        let wrong = |refused| match refused {
            Refused::Option { .. } => Status::FANFARE_ERR_REQUEST,
            Refused::Size(status) => status,
        };
        // SAFETY: as the caller promises, for all of these.
        unsafe {
            let blank = FanfareAdoptRequest::BLANK;
            let read = over_defaults(request, SIZE_MIN, blank).map_err(wrong)?;
            let wanted = subscriptions(read.topics, read.topics_count, SUBSCRIPTIONS_MAX)?;
            if wanted.is_empty() {
                return Err(Status::FANFARE_ERR_SUBSCRIPTION);
            }
            let options = FanfareStreamOptions::read(read.options)?;
            let headers = HEADERS.headers(read.headers, read.headers_count).map_err(wrong)?;
            let mut request = AdoptRequest::new(wanted).options(options).headers(headers);
            if let Some(method) = METHOD.text(read.method, TEXT_BYTES_MAX).map_err(wrong)? {
                request.method = method;
            }
            if let Some(version) = VERSION.text(read.version, TEXT_BYTES_MAX).map_err(wrong)? {
                let version = version.parse::<HttpVersion>();
                request.version = version.map_err(|_| Status::FANFARE_ERR_REQUEST)?;
            }
            request.tls = IS_TLS.flag(read.is_tls).map_err(wrong)?;
            let has_unread = HAS_UNREAD.flag(read.has_unread_content).map_err(wrong)?;
            request.has_unread_content = has_unread;
            request.read_ahead_bytes = Number::of_number(read.read_ahead_bytes);
            Ok(request)
        }
    }
}

fn status_of(kind: &AdoptErrorKind) -> Status {
    match kind {
        AdoptErrorKind::NotASocket
        | AdoptErrorKind::NotAStream
        | AdoptErrorKind::OtherFamily
        | AdoptErrorKind::Listening
        | AdoptErrorKind::NotConnected
        | AdoptErrorKind::ShutDown => Status::FANFARE_ERR_SOCKET,
        AdoptErrorKind::Tls => Status::FANFARE_ERR_SOCKET_TLS,
        AdoptErrorKind::UnreadContent
        | AdoptErrorKind::ReadAhead { .. }
        | AdoptErrorKind::Waiting => Status::FANFARE_ERR_SOCKET_READ,
        AdoptErrorKind::Unsent { .. } => Status::FANFARE_ERR_SOCKET_UNSENT,
        AdoptErrorKind::Method { .. } | AdoptErrorKind::Request(_) => Status::FANFARE_ERR_REQUEST,
        AdoptErrorKind::Limit { .. } => Status::FANFARE_ERR_LIMIT,
        AdoptErrorKind::Busy => Status::FANFARE_ERR_BUSY,
        AdoptErrorKind::Closed => Status::FANFARE_ERR_CLOSED,
        AdoptErrorKind::System(_) => Status::FANFARE_ERR_SYSTEM,
    }
}
