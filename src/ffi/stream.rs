//! Streams that the host reads itself, across the border.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;

use super::answer;
use super::fields::subscriptions;
use super::header_field::FanfareHeader;
use super::hub::{live, FanfareHub};
use super::notice::{FanfareConnectionId, Kind};
use super::notices::{self, FanfareNotices};
use super::origin::Origin;
use super::queue::Signal;
use super::reason::{number_of, FanfareDisconnectReason};
use super::status::{FanfareStatus, Status};
use super::stream_options::FanfareStreamOptions;
use super::text::FanfareText;
use crate::event_stream::{is_cut, Disconnected, EventStream, StreamState};
use crate::lifecycle::ConnectionId;
use crate::subscribe::SubscribeError;

/// The event stream of one client, which the program sends to it by its own server, over any protocol:
/// HTTP/2, TLS, a connection of another kind. Opaque, and always used by pointer.
/// `fanfare_hub_subscribe` makes it and `fanfare_stream_free` frees it. It may outlive its hub, and
/// ends then.
#[derive(Debug)]
pub struct FanfareStream {
    inner: Mutex<Inner>,
    /// What can be told of it while another thread reads.
    state: StreamState,
    /// The process that has the threads of its hub.
    origin: Origin,
}

#[derive(Debug)]
struct Inner {
    stream: EventStream,
    /// What the caller reads.
    batch: Bytes,
    /// What the host is told by when there is something to read again.
    readable: Option<Signal>,
}

impl Inner {
    /// The next batch, if there is one. If there is none, the host is told once there is.
    fn try_next(&mut self) -> Option<Result<Bytes, Disconnected>> {
        let Some(readable) = &self.readable else { return self.stream.try_next() };
        match Pin::new(&mut self.stream).poll_next(&mut Context::from_waker(readable.waker())) {
            Poll::Ready(next) => next,
            Poll::Pending => None,
        }
    }
}

/// The most topics and filters of one stream.
const SUBSCRIPTIONS_MAX: usize = 65_536;

/// Subscribes the program itself to topics and filters, of which there may be 1 to 65,536: what a
/// client's connection would be sent, without the head of a response, comes out of the stream. What is
/// published after this has returned is in it; but a hub that keeps few events or none may tell a gap
/// instead of what was published before its thread has begun the stream. It counts as a connection, and
/// the same bounds, policies, heartbeats and notices hold for it. `options` may be NULL. Waits for nothing. On success
/// `*stream_out` is the stream.
///
/// Threads: any, several at once. Ownership: what is passed stays the caller's; the stream is the
/// caller's, to be freed with `fanfare_stream_free`. Errors: `FANFARE_ERR_SUBSCRIPTION`,
/// `FANFARE_ERR_TOO_MANY`, `FANFARE_ERR_LIMIT`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_CLOSED`,
/// `FANFARE_ERR_FORKED`, `FANFARE_ERR_SYSTEM`; or `FANFARE_ERR_OPTIONS`, and
/// `fanfare_stream_options_problem` says which.
///
/// # Safety
///
/// `hub` has to be a live hub, `topics` to point to `topics_count` texts that are as they say, `options`
/// to be NULL or as `FanfareStreamOptions` says, and `stream_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_hub_subscribe(
    hub: *const FanfareHub,
    topics: *const FanfareText,
    topics_count: usize,
    options: *const FanfareStreamOptions,
    stream_out: *mut *mut FanfareStream,
) -> FanfareStatus {
    answer(|| {
        if stream_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        let (hub, wanted, options) = unsafe {
            let hub = live(hub)?;
            let wanted = subscriptions(topics, topics_count, SUBSCRIPTIONS_MAX)?;
            (hub, wanted, FanfareStreamOptions::read(options)?)
        };
        let stream = hub.hub.subscribe(wanted, options)?;
        let inner = Inner { stream, batch: Bytes::new(), readable: None };
        let state = inner.stream.state();
        let stream = FanfareStream { inner: Mutex::new(inner), state, origin: Origin::here() };
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *stream_out = Box::into_raw(Box::new(stream)) };
        Ok(())
    })
}

/// Takes the next batch: bytes of whole events, as they are to be sent. Waits at most `timeout_ms` for
/// it; 0 does not wait at all, and `UINT64_MAX` has no bound. On success `*batch_out` is the batch, which
/// is shared with other streams and was not copied: it may be read until the next call of this function
/// with the stream, or until the stream is freed, and must not be written to.
///
/// Threads: any, one at a time. Ownership: the batch is the stream's. Errors: `FANFARE_ERR_TIMEOUT` when
/// none came in this time; `FANFARE_ERR_ENDED` when none will come, and `fanfare_stream_end` says why;
/// `FANFARE_ERR_BUSY` when another thread is in a call with the stream; `FANFARE_ERR_ARGUMENT` or
/// `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `stream` has to be a live stream, and `batch_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_stream_next(
    stream: *const FanfareStream,
    timeout_ms: u64,
    batch_out: *mut FanfareText,
) -> FanfareStatus {
    answer(|| {
        if batch_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        let mut inner = unsafe { lock(stream) }?;
        // What was read is given back before anything is waited for.
        inner.batch = Bytes::new();
        let mut next = None;
        if timeout_ms > 0 {
            next = inner.stream.wait(Duration::from_millis(timeout_ms));
        }
        let next = next.or_else(|| inner.try_next());
        match next {
            Some(Ok(batch)) => inner.batch = batch,
            Some(Err(_)) => return Err(Status::FANFARE_ERR_ENDED),
            None if inner.stream.end_reason().is_some() => return Err(Status::FANFARE_ERR_ENDED),
            None => return Err(Status::FANFARE_ERR_TIMEOUT),
        }
        let (data, length) = (inner.batch.as_ptr().cast(), inner.batch.len());
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *batch_out = FanfareText { data, length } };
        Ok(())
    })
}

/// Has a queue of notices tell when there is something to read of a stream, or it has ended: by
/// FANFARE_NOTICE_READABLE with `token`, at first in any case. It comes again only after
/// `fanfare_stream_next` has returned `FANFARE_ERR_TIMEOUT`: so read until then. A stream tells one
/// queue; another call takes it from the queue of before.
///
/// Threads: any, one at a time; waits for a drain of the queue that is under way. Ownership: nothing
/// changes; the stream may be freed, and the queue, in any order. Errors: `FANFARE_ERR_LIMIT` when the
/// queue has too many sources; `FANFARE_ERR_BUSY` when another thread is in a call with the stream;
/// `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `stream` has to be a live stream, and `notices` a live queue.
#[no_mangle]
pub unsafe extern "C" fn fanfare_stream_notify(
    stream: *const FanfareStream,
    notices: *const FanfareNotices,
    token: u64,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (mut inner, queue) = unsafe { (lock(stream)?, notices::live(notices)?) };
        let readable = queue.signal(token, Kind::FANFARE_NOTICE_READABLE)?;
        readable.waker().wake_by_ref();
        inner.readable = Some(readable);
        Ok(())
    })
}

/// Gives the id of a stream among the hub's connections. `*id_out` is 0 as long as the engine has not
/// taken it over, which is before its first batch comes.
///
/// Threads: any, several at once, also while another thread waits in `fanfare_stream_next`. Ownership:
/// nothing changes. Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `stream` has to be a live stream, and `id_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_stream_id(
    stream: *const FanfareStream,
    id_out: *mut FanfareConnectionId,
) -> FanfareStatus {
    answer(|| {
        if id_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        let id = unsafe { live_stream(stream) }?.state.id();
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *id_out = id.map_or(0, ConnectionId::to_u64) };
        Ok(())
    })
}

/// Tells why a stream has ended, once all of it was read: `*reason_out` is the reason, or 0 as long as
/// there is, or may be, something to read. `*is_cut_out`, unless it is NULL, is 1 when something may be
/// missing at the end, which a server passes on as a broken response: an HTTP/2 stream that is reset, a
/// body without its last chunk. It is 0 for an end that is in order.
///
/// Threads: any, several at once, also while another thread waits in `fanfare_stream_next`. Ownership:
/// nothing changes. Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `stream` has to be a live stream, `reason_out` to be writable, and `is_cut_out` to be NULL or
/// writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_stream_end(
    stream: *const FanfareStream,
    reason_out: *mut FanfareDisconnectReason,
    is_cut_out: *mut u32,
) -> FanfareStatus {
    answer(|| {
        if reason_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        let reason = unsafe { live_stream(stream) }?.state.end_reason();
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe {
            *reason_out = reason.map_or(0, number_of);
            if !is_cut_out.is_null() {
                *is_cut_out = reason.is_some_and(is_cut).into();
            }
        }
        Ok(())
    })
}

/// Tells whether a stream is empty, and always was: all of its topics were finished before, and its
/// client has had everything. `*is_complete_out` is 1 then, and else 0. A server answers the request
/// with the status 204, so that an `EventSource` does not come back.
///
/// Threads: any, several at once, also while another thread waits in `fanfare_stream_next`. Ownership:
/// nothing changes. Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `stream` has to be a live stream, and `is_complete_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_stream_is_complete(
    stream: *const FanfareStream,
    is_complete_out: *mut u32,
) -> FanfareStatus {
    answer(|| {
        if is_complete_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        let is_complete = unsafe { live_stream(stream) }?.state.is_complete();
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *is_complete_out = is_complete.into() };
        Ok(())
    })
}

/// Gives the header fields of a response that is a stream: its type, which browsers are not to guess,
/// and what keeps proxies and caches from storing, compressing or holding back the events.
/// `*headers_out` are `*count_out` of them.
///
/// Threads: any. Ownership: the header fields are static. Errors: `FANFARE_ERR_ARGUMENT`.
///
/// # Safety
///
/// `headers_out` and `count_out` have to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_stream_headers(
    headers_out: *mut *const FanfareHeader,
    count_out: *mut usize,
) -> FanfareStatus {
    answer(|| {
        if headers_out.is_null() || count_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe {
            *headers_out = HEADERS.0.as_ptr();
            *count_out = HEADERS.0.len();
        }
        Ok(())
    })
}

/// Frees a stream, which ends its connection: its client is gone. NULL does nothing.
///
/// Threads: any one, while no other call with this stream is under way, and none comes afterwards; waits
/// for a drain of the queue of `fanfare_stream_notify` that is under way. Ownership: the stream and its
/// batch are gone. Errors: none. In a child of the process a stream of the parent's is left as it is.
///
/// # Safety
///
/// `stream` has to be NULL, or a stream that was not freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_stream_free(stream: *mut FanfareStream) {
    answer(|| {
        // SAFETY: NULL, or a live stream as the caller promises.
        match unsafe { stream.as_ref() } {
            Some(live) if live.origin.is_here() => {
                // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
                drop(unsafe { Box::from_raw(stream) });
            }
            _ => {}
        }
        Ok(())
    });
}

/// The header fields of a stream as they are given out.
struct Headers([FanfareHeader; EventStream::HEADERS.len()]);

// SAFETY: the texts are static, and nobody writes to them.
unsafe impl Sync for Headers {}

static HEADERS: Headers = {
    let [a, b, c, d] = EventStream::HEADERS;
    Headers([header(a), header(b), header(c), header(d)])
};

const fn header((name, value): (&'static str, &'static str)) -> FanfareHeader {
    FanfareHeader { name: FanfareText::of_static(name), value: FanfareText::of_static(value) }
}

/// The stream behind a pointer.
///
/// # Safety
///
/// `stream` has to be NULL, or to be live for as long as `'a`.
unsafe fn live_stream<'a>(stream: *const FanfareStream) -> Result<&'a FanfareStream, Status> {
    // SAFETY: as the caller promises.
    match unsafe { stream.as_ref() } {
        None => Err(Status::FANFARE_ERR_ARGUMENT),
        Some(stream) if !stream.origin.is_here() => Err(Status::FANFARE_ERR_FORKED),
        Some(stream) => Ok(stream),
    }
}

/// What is behind a pointer to a stream, for this call alone.
///
/// # Safety
///
/// `stream` has to be NULL, or to be live for as long as `'a`.
unsafe fn lock<'a>(stream: *const FanfareStream) -> Result<MutexGuard<'a, Inner>, Status> {
    // SAFETY: as the caller promises.
    match unsafe { live_stream(stream) }?.inner.try_lock() {
        Ok(inner) => Ok(inner),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(Status::FANFARE_ERR_BUSY),
    }
}

impl From<SubscribeError> for Status {
    fn from(error: SubscribeError) -> Status {
        match error {
            SubscribeError::Options(_) => Status::FANFARE_ERR_OPTIONS,
            SubscribeError::NoSubscription => Status::FANFARE_ERR_SUBSCRIPTION,
            SubscribeError::TooManySubscriptions | SubscribeError::TooManyConnections => {
                Status::FANFARE_ERR_LIMIT
            }
            SubscribeError::Closed => Status::FANFARE_ERR_CLOSED,
        }
    }
}
