//! One notice across the border.

use super::header_field::FanfareHeader;
use super::log_record::FanfareLogRecord;
use super::reason::FanfareDisconnectReason;
use super::text::FanfareText;

/// Names one connection of a hub for as long as it lives, and nothing afterwards: the id of a
/// connection that has ended is refused with `FANFARE_ERR_STALE`, also when another connection has
/// its place. 0 is the id of none. Ids have no order, and each hub has its own.
pub type FanfareConnectionId = u64;

/// What a notice is about: one of the constants of `fanfare_notice_kind_code`. A newer library may
/// have kinds that this header does not have; leave those out.
pub type FanfareNoticeKind = i32;

/// The values of a `fanfare_notice_kind`.
#[repr(C)]
#[allow(non_camel_case_types)] // They are C's names, which are the same in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanfareNoticeKindCode {
    /// A connection became an event stream: `id`, `tag`, `addr` and `subscriptions` are its own.
    FANFARE_NOTICE_CONNECTED = 1,
    /// A connection ended: also `reason`, `lasted_ms`, `events` and `bytes` are set.
    FANFARE_NOTICE_DISCONNECTED = 2,
    /// What `subscriptions` has, one topic or filter, got its first subscriber.
    FANFARE_NOTICE_WANTED = 3,
    /// What `subscriptions` has, one topic or filter, has had no subscriber for the grace time.
    FANFARE_NOTICE_UNWANTED = 4,
    /// A request for a stream waits for the host's answer: `id` is the request's, `request` what it
    /// says, `addr` its client's, and `subscriptions` what the stream would be subscribed to, which is
    /// nothing if the client leaves it to the grant. `fanfare_authorizer_new_ask` says how it is
    /// answered.
    FANFARE_NOTICE_AUTHORIZATION = 5,
    /// A stream that the host reads has something to read, or has ended. It comes once, and again
    /// only after the host has read all there was.
    FANFARE_NOTICE_READABLE = 6,
    /// No more notices of the source with this token come: its hub is closed, or the connections'
    /// notices of the hub go elsewhere.
    FANFARE_NOTICE_ENDED = 7,
    /// A connection with a request for a path without streams waits for the host: `id` is the
    /// connection's, `addr` its client's, `peer` and `is_proxy` say who sends it, and `request->content`,
    /// of which nothing else is set, is what was read of it: at least the request's head.
    /// `fanfare_fallback_new` says how it is taken.
    FANFARE_NOTICE_UNHANDLED = 8,
    /// There is space for what a publisher has found no space for, see `fanfare_hub_notify_space`. It
    /// comes once.
    FANFARE_NOTICE_SPACE = 9,
    /// A record of the library's log, `log`; see `fanfare_log_watch`.
    FANFARE_NOTICE_LOG = 10,
}

/// A kind, inside of the library.
pub(super) use FanfareNoticeKindCode as Kind;

/// Something that happened, as `fanfare_notices_drain` writes it. What a kind does not have is zero,
/// or {NULL, 0}. The texts are the queue's, and valid until the next drain of the queue.
///
/// The struct grows at its end only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareNotice {
    /// What happened; it says which of the fields are set.
    pub kind: FanfareNoticeKind,
    /// Why a connection ended.
    pub reason: FanfareDisconnectReason,
    /// What the host has given with the source, such as the hub that it belongs to.
    pub token: u64,
    /// The connection, a `fanfare_connection_id`, or the request for a stream.
    pub id: u64,
    /// When it happened, in milliseconds since 1970-01-01 00:00 UTC.
    pub at_unix_ms: u64,
    /// The notices of this source that were lost since the one before, because its queue was full.
    pub lost: u64,
    /// What the client calls itself. A label that any client can claim; no text if it has none.
    pub tag: FanfareText,
    /// The client's address and port, such as `192.0.2.7:50000` or `[2001:db8::7]:50000`; no text if it
    /// has none, as at a Unix domain socket.
    pub addr: FanfareText,
    /// What a connection is, or was, subscribed to, each once, in no order.
    pub subscriptions: *const FanfareText,
    /// The number of these.
    pub subscriptions_count: usize,
    /// For how long a connection was an event stream, in milliseconds.
    pub lasted_ms: u64,
    /// The number of events that its socket took whole.
    pub events: u64,
    /// Bytes of events that its socket took, without what HTTP adds, and without heartbeats.
    pub bytes: u64,
    /// What a request for a stream says; NULL where there is none.
    pub request: *const FanfareRequest,
    /// Where a connection of a fallback is from, if a header field of the request has said `addr`: then it
    /// is a proxy's, and a later request on it may be another client's. Otherwise the same as `addr`.
    pub peer: FanfareText,
    /// 1: the `addr` of a connection of a fallback is that of a trusted proxy which names no client. 0: it
    /// is a client's.
    pub is_proxy: u32,
    /// 0.
    pub reserved: u32,
    /// A record of the log; NULL where there is none.
    pub log: *const FanfareLogRecord,
}

/// What a request for a stream says. Its texts are the queue's, and valid until the next drain.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareRequest {
    /// The size of the struct as the library knows it, in bytes.
    pub size: usize,
    /// The method: `GET`, `HEAD`, or `POST` where the route has it.
    pub method: FanfareText,
    /// The path of the target, percent-encoded.
    pub path: FanfareText,
    /// The query of the target as it was sent, without its `?`.
    pub query: FanfareText,
    /// All header fields, in their order. A value that is not UTF-8 is read as ISO-8859-1.
    pub headers: *const FanfareHeader,
    /// How many there are.
    pub headers_count: usize,
    /// The content of a `POST`; the empty text for `GET`. It may be any bytes.
    pub content: FanfareText,
    /// The id of the last event that the client had, if it comes back. It is what the client says.
    pub last_event_id: FanfareText,
}

impl FanfareRequest {
    /// A request of which nothing is known.
    pub(super) const NONE: FanfareRequest = FanfareRequest {
        size: size_of::<FanfareRequest>(),
        method: FanfareText::NONE,
        path: FanfareText::NONE,
        query: FanfareText::NONE,
        headers: std::ptr::null(),
        headers_count: 0,
        content: FanfareText::NONE,
        last_event_id: FanfareText::NONE,
    };
}

impl FanfareNotice {
    /// A notice of which nothing else is known. The queue fills in the token.
    pub(super) fn of(kind: Kind) -> FanfareNotice {
        FanfareNotice {
            kind: kind as FanfareNoticeKind,
            reason: 0,
            token: 0,
            id: 0,
            at_unix_ms: 0,
            lost: 0,
            tag: FanfareText::NONE,
            addr: FanfareText::NONE,
            subscriptions: std::ptr::null(),
            subscriptions_count: 0,
            lasted_ms: 0,
            events: 0,
            bytes: 0,
            request: std::ptr::null(),
            peer: FanfareText::NONE,
            is_proxy: 0,
            reserved: 0,
            log: std::ptr::null(),
        }
    }
}
