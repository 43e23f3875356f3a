//! Connections whose requests are for paths without streams, across the border: they come as notices,
//! and the host takes their descriptors.

use std::collections::HashMap;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use futures_core::Stream;

use super::answer;
use super::grant::unix_ms;
use super::kept::Kept;
use super::notice::{FanfareNotice, FanfareRequest, Kind};
use super::notices::{live, FanfareNotices};
use super::origin::Origin;
use super::queue::{Next, Source};
use super::status::{FanfareStatus, Status};
use crate::bounded::WeakReceiver;
use crate::fallback::{fallback, Fallback, UnhandledRequest, UnhandledRequests};
use crate::receive;

/// Where a listener's connections go whose requests are for paths without streams, so that a server of
/// the program's own answers them on the same port; a listener's options take it. Opaque, and always
/// used by pointer. `fanfare_fallback_new` makes it and `fanfare_fallback_free` frees it. Several
/// listeners may have the same one.
#[derive(Debug)]
pub struct FanfareFallback {
    fallback: Fallback,
    waiting: Arc<Waiting>,
    /// The process that it was made in.
    origin: Origin,
}

/// The most connections that wait for the host.
const CAPACITY_MAX: usize = 65_536;

/// Makes a fallback: each connection with a request for a path without streams comes as a notice
/// FANFARE_NOTICE_UNHANDLED with `token`, whose `id` is the connection's, and waits until the program
/// takes its descriptor with `fanfare_fallback_take`. At most `capacity` connections wait to be told of,
/// and as many to be taken, 1 to 65,536; requests beyond them are answered 503. They do not count as
/// connections of the hub. On success `*fallback_out` is the fallback.
///
/// Threads: any; waits for a drain of the queue that is under way. Ownership: the fallback is the
/// caller's, to be freed with `fanfare_fallback_free`. Errors: `FANFARE_ERR_OPTIONS` when the capacity is
/// out of its bounds; `FANFARE_ERR_LIMIT` when the queue has too many sources; `FANFARE_ERR_ARGUMENT` or
/// `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `notices` has to be live, and `fallback_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_fallback_new(
    notices: *const FanfareNotices,
    token: u64,
    capacity: usize,
    fallback_out: *mut *mut FanfareFallback,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let queue = unsafe { live(notices) }?;
        if fallback_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        if !(1..=CAPACITY_MAX).contains(&capacity) {
            return Err(Status::FANFARE_ERR_OPTIONS);
        }
        let (fallback, requests) = fallback(capacity);
        let waiting =
            Arc::new(Waiting { capacity, table: Mutex::default(), queued: requests.ending() });
        let source = Unhandled { requests: received(requests), waiting: waiting.clone() };
        queue.add(token, Box::new(source))?;
        let fallback = FanfareFallback { fallback, waiting, origin: Origin::here() };
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *fallback_out = Box::into_raw(Box::new(fallback)) };
        Ok(())
    })
}

/// Takes the descriptor of a connection that a notice has told of: `*fd_out` is its socket, which is
/// non-blocking. What was read of it is in the notice, `request->content`. A client that asks for events
/// on it later is given back with `fanfare_listener_admit`, and the notice's `addr`, `peer` and `is_proxy`.
///
/// A connection that a notice has told of is held until it is taken, without a limit of time, also when
/// the fallback's token is removed from the queue meanwhile; `fanfare_fallback_free` closes those that are
/// left.
///
/// Threads: any, several at once. Ownership: the descriptor is the caller's. Errors: `FANFARE_ERR_STALE`
/// when it was taken already; `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `fallback` has to be live, and `fd_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_fallback_take(
    fallback: *const FanfareFallback,
    id: u64,
    fd_out: *mut libc::c_int,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let fallback = unsafe { FanfareFallback::live(fallback) }?;
        if fd_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let request = fallback.waiting.take(id).ok_or(Status::FANFARE_ERR_STALE)?;
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *fd_out = OwnedFd::from(request.stream).into_raw_fd() };
        Ok(())
    })
}

/// Frees a fallback, and closes the connections that wait to be taken. Requests that come afterwards to
/// listeners that have it are answered 503. NULL does nothing.
///
/// Threads: any one, while no other call with this fallback is under way, and none comes afterwards.
/// Ownership: the fallback is gone. Errors: none. In a child of the process one of the parent's is left
/// as it is.
///
/// # Safety
///
/// `fallback` has to be NULL, or a fallback that was not freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_fallback_free(fallback: *mut FanfareFallback) {
    answer(|| {
        // SAFETY: NULL, or a live fallback as the caller promises.
        match unsafe { fallback.as_ref() } {
            Some(live) if live.origin.is_here() => {
                // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
                unsafe { Box::from_raw(fallback) }.waiting.close();
            }
            _ => {}
        }
        Ok(())
    });
}

impl FanfareFallback {
    /// What a listener's options take; NULL is none.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_FORKED` when it is of another process.
    ///
    /// # Safety
    ///
    /// `fallback` has to be NULL or live.
    pub(super) unsafe fn read(
        fallback: *const FanfareFallback,
    ) -> Result<Option<Fallback>, Status> {
        if fallback.is_null() {
            return Ok(None);
        }
        // SAFETY: as the caller promises.
        let fallback = unsafe { FanfareFallback::live(fallback) }?;
        Ok(Some(fallback.fallback.clone()))
    }

    /// # Safety
    ///
    /// `fallback` has to be NULL, or to be live for as long as `'a`.
    unsafe fn live<'a>(fallback: *const FanfareFallback) -> Result<&'a FanfareFallback, Status> {
        // SAFETY: as the caller promises.
        match unsafe { fallback.as_ref() } {
            None => Err(Status::FANFARE_ERR_ARGUMENT),
            Some(fallback) if !fallback.origin.is_here() => Err(Status::FANFARE_ERR_FORKED),
            Some(fallback) => Ok(fallback),
        }
    }
}

/// The connections that the host was told of and has not taken, by their ids.
#[derive(Debug)]
struct Waiting {
    capacity: usize,
    table: Mutex<Table>,
    /// Those that the host was not told of yet.
    queued: WeakReceiver<UnhandledRequest>,
}

#[derive(Debug, Default)]
struct Table {
    requests: HashMap<u64, UnhandledRequest>,
    last_id: u64,
    is_closed: bool,
    /// What wakes the source when there is room again, or this is closed.
    source: Option<Waker>,
}

/// What a source of connections may do.
enum Room {
    Some,
    None,
    Closed,
}

impl Waiting {
    fn room(&self, source: &Waker) -> Room {
        let mut table = self.table();
        if table.source.is_none() {
            table.source = Some(source.clone());
        }
        match (table.is_closed, table.requests.len() < self.capacity) {
            (true, _) => Room::Closed,
            (false, true) => Room::Some,
            (false, false) => Room::None,
        }
    }

    /// Keeps a connection, for which there is room; `None`, and it is closed, when this is.
    fn add(&self, request: UnhandledRequest) -> Option<u64> {
        let mut table = self.table();
        if table.is_closed {
            return None;
        }
        table.last_id += 1;
        let id = table.last_id;
        table.requests.insert(id, request);
        Some(id)
    }

    fn take(&self, id: u64) -> Option<UnhandledRequest> {
        let mut table = self.table();
        let was_full = table.requests.len() >= self.capacity;
        let request = table.requests.remove(&id)?;
        let source = table.source.clone().filter(|_| was_full);
        drop(table);
        if let Some(source) = source {
            source.wake();
        }
        Some(request)
    }

    fn close(&self) {
        let mut table = self.table();
        table.is_closed = true;
        let (left, source) = (std::mem::take(&mut table.requests), table.source.take());
        drop(table);
        drop(left);
        receive::end(&self.queued);
        if let Some(source) = source {
            source.wake();
        }
    }

    /// Nothing that is done under the lock panics but for want of memory.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connections, as they come.
type Received = Pin<Box<dyn Stream<Item = UnhandledRequest> + Send>>;

fn received(requests: UnhandledRequests) -> Received {
    Box::pin(futures_lite::stream::unfold(requests, |requests| async move {
        let request = requests.next_async().await?;
        Some((request, requests))
    }))
}

/// The source of connections.
struct Unhandled {
    requests: Received,
    waiting: Arc<Waiting>,
}

impl Source for Unhandled {
    fn next(&mut self, waker: &Waker, kept: &mut Kept) -> Next {
        match self.waiting.room(waker) {
            Room::Some => {}
            Room::None => return Next::Nothing,
            Room::Closed => return Next::Ended,
        }
        let request = match self.requests.as_mut().poll_next(&mut Context::from_waker(waker)) {
            Poll::Ready(Some(request)) => request,
            Poll::Ready(None) => return Next::Ended,
            Poll::Pending => return Next::Nothing,
        };
        let read = FanfareRequest { content: kept.bytes(&request.read), ..FanfareRequest::NONE };
        let notice = FanfareNotice {
            at_unix_ms: unix_ms(Some(SystemTime::now())),
            addr: kept.shown(request.addr),
            request: kept.request(read),
            peer: kept.shown(request.peer),
            is_proxy: request.is_proxy.into(),
            ..FanfareNotice::of(Kind::FANFARE_NOTICE_UNHANDLED)
        };
        match self.waiting.add(request) {
            Some(id) => Next::Notice(FanfareNotice { id, ..notice }),
            None => Next::Ended,
        }
    }
}
