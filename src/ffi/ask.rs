//! Requests for streams that the host is asked about, across the border: they come as notices, and are
//! answered by their ids.

use std::mem::offset_of;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use futures_core::Stream;

use super::answer;
use super::authorizer::FanfareAuthorizer;
use super::fields::{init, over_defaults, tell_problem, Field};
use super::grant::{unix_ms, FanfareGrant, FanfareRefusal};
use super::kept::Kept;
use super::notice::{FanfareNotice, FanfareRequest, Kind};
use super::notices::{live, FanfareNotices};
use super::options::{Number, Refused};
use super::pending::Pending;
use super::queue::{Next, Source};
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::authorizer::{AskOptions, AuthorizationRequest, AuthorizationRequests, Authorizer};

/// What bounds the requests that the program is asked about. `fanfare_ask_options_defaults` makes one
/// with every default.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareAskOptions {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The most requests that wait for an answer at once, of all listeners with the authorizer. One
    /// beyond them is told to come again, as by `fanfare_authorizer_give_up`.
    /// Bounds: 1 to 65,536. Default: 1,024.
    pub waiting_max: u64,
    /// The longest time that a request waits for its answer. Then its client is told to come again.
    /// Bounds: 10 ms to 10 min. Default: 5 s.
    pub timeout_ms: u64,
}

/// The size that the struct had in the ABI's first version.
const SIZE_MIN: usize = offset_of!(FanfareAskOptions, timeout_ms) + size_of::<u64>();
const TIMES: [&str; 1] = ["timeout_ms"];

/// Fills in the defaults. `options->size` has to be set before, and stays as it is.
///
/// Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when
/// `options` is NULL or its size is that of no version.
///
/// # Safety
///
/// `options` has to point to `options->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_ask_options_init(
    options: *mut FanfareAskOptions,
) -> FanfareStatus {
    // SAFETY: as the caller promises.
    answer(|| unsafe { init(options, SIZE_MIN, FanfareAskOptions::default()) })
}

/// Finds the first option that `fanfare_authorizer_new_ask` would refuse: `*name_out` is its name in the
/// struct, and `*bounds_out` what it may be. Both are {NULL, 0} when every option is within its bounds.
///
/// Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
/// `FANFARE_ERR_ARGUMENT`.
///
/// # Safety
///
/// `options` has to point to `options->size` readable bytes, and the others to writable texts.
#[no_mangle]
pub unsafe extern "C" fn fanfare_ask_options_problem(
    options: *const FanfareAskOptions,
    name_out: *mut FanfareText,
    bounds_out: *mut FanfareText,
) -> FanfareStatus {
    answer(|| {
        if options.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { tell_problem(|| FanfareAskOptions::read(options), name_out, bounds_out) }
    })
}

/// Makes an authorizer that asks the program: each request for a stream of a listener that has it comes
/// as a notice FANFARE_NOTICE_AUTHORIZATION with `token`, whose `id` is the request's, and the client
/// waits until it is answered with `fanfare_authorizer_allow` or `fanfare_authorizer_refuse`. A client
/// that waits for longer than the options allow is told to come again, as by
/// `fanfare_authorizer_give_up`. `options` may be NULL for the defaults. On success `*authorizer_out` is the authorizer.
///
/// The program keeps the authorizer for as long as it answers. When it is freed, or its token is removed
/// from the queue, or the queue is freed, clients that come afterwards are told to come again.
///
/// Threads: any; waits for a drain of the queue that is under way. Ownership: the options stay the
/// caller's; the authorizer is the caller's, to be freed with `fanfare_authorizer_free`. Errors:
/// `FANFARE_ERR_OPTIONS`, and `fanfare_ask_options_problem` says which; `FANFARE_ERR_LIMIT` when the queue
/// has too many sources; `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `notices` has to be live, `options` NULL or to point to `options->size` readable bytes, and
/// `authorizer_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_authorizer_new_ask(
    notices: *const FanfareNotices,
    token: u64,
    options: *const FanfareAskOptions,
    authorizer_out: *mut *mut FanfareAuthorizer,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (queue, options) = unsafe { (live(notices)?, FanfareAskOptions::read(options)?) };
        if authorizer_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let asking = Authorizer::ask(options).map_err(|_| Status::FANFARE_ERR_OPTIONS)?;
        let (authorizer, requests) = asking;
        let pending = Arc::new(Pending::new(requests.ending()));
        let source = Asking { requests: received(requests), pending: pending.clone() };
        queue.add(token, Box::new(source))?;
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *authorizer_out = FanfareAuthorizer::asking(authorizer, pending) };
        Ok(())
    })
}

/// Lets the client of a request have a stream within a grant. A request for topics that the grant does
/// not cover is answered 403, and so is one whose grant has expired. Never waits.
///
/// Threads: any, several at once; of several answers to one request the first counts. Ownership: the
/// grant stays the caller's. Errors: `FANFARE_ERR_STALE` when the request was answered, has waited for
/// too long, or its client has left; `FANFARE_ERR_GRANT`, and `fanfare_grant_problem` says why, after
/// which the request still waits; `FANFARE_ERR_ARGUMENT`, also for an authorizer that does not ask;
/// `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `authorizer` has to be live, and `grant` as `FanfareGrant` says.
#[no_mangle]
pub unsafe extern "C" fn fanfare_authorizer_allow(
    authorizer: *const FanfareAuthorizer,
    id: u64,
    grant: *const FanfareGrant,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (pending, grant) =
            unsafe { (FanfareAuthorizer::pending(authorizer)?, FanfareGrant::read(grant)?) };
        pending.answer(id, |request| request.allow_in_time(grant).ok())
    })
}

/// Refuses the client of a request a stream. Never waits.
///
/// Threads: any, several at once; of several answers to one request the first counts. Ownership: the
/// refusal stays the caller's. Errors: `FANFARE_ERR_STALE` as of `fanfare_authorizer_allow`;
/// `FANFARE_ERR_GRANT`, and `fanfare_refusal_problem` says why, after which the request still waits;
/// `FANFARE_ERR_ARGUMENT`, also for an authorizer that does not ask; `FANFARE_ERR_FORKED` or
/// `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `authorizer` has to be live, and `refusal` as `FanfareRefusal` says.
#[no_mangle]
pub unsafe extern "C" fn fanfare_authorizer_refuse(
    authorizer: *const FanfareAuthorizer,
    id: u64,
    refusal: *const FanfareRefusal,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (pending, refusal) =
            unsafe { (FanfareAuthorizer::pending(authorizer)?, FanfareRefusal::read(refusal)?) };
        pending.answer(id, |request| request.refuse_in_time(refusal).ok())
    })
}

/// Gives up a request, about which the program cannot decide now: its client is told to come again, at
/// once. A 503 would keep an `EventSource` away for good, so a `GET` that names `text/event-stream` in
/// its `Accept` is told as `overload` of the listener's options says, and any other request 503 with
/// `Retry-After`. Never waits.
///
/// Threads: any, several at once; of several answers to one request the first counts. Ownership:
/// nothing changes. Errors: `FANFARE_ERR_STALE` as of `fanfare_authorizer_allow`;
/// `FANFARE_ERR_ARGUMENT`, also for an authorizer that does not ask; or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `authorizer` has to be live.
#[no_mangle]
pub unsafe extern "C" fn fanfare_authorizer_give_up(
    authorizer: *const FanfareAuthorizer,
    id: u64,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        unsafe { FanfareAuthorizer::pending(authorizer) }?.give_up(id)
    })
}

impl Default for FanfareAskOptions {
    fn default() -> FanfareAskOptions {
        let options = AskOptions::default();
        FanfareAskOptions {
            size: size_of::<FanfareAskOptions>(),
            waiting_max: options.waiting_max.to_number(),
            timeout_ms: options.timeout.to_number(),
        }
    }
}

impl FanfareAskOptions {
    /// # Safety
    ///
    /// `options` has to be NULL, or to point to `options->size` readable bytes.
    unsafe fn read(options: *const FanfareAskOptions) -> Result<AskOptions, Refused> {
        // SAFETY: as the caller promises.
        let read = unsafe { over_defaults(options, SIZE_MIN, FanfareAskOptions::default()) }?;
        let options = AskOptions::default()
            .waiting_max(Number::of_number(read.waiting_max))
            .timeout(Number::of_number(read.timeout_ms));
        options.check().map_err(|error| Field::of(error, &TIMES, &[]))?;
        Ok(options)
    }
}

/// The requests, as they come.
type Received = Pin<Box<dyn Stream<Item = AuthorizationRequest> + Send>>;

fn received(requests: AuthorizationRequests) -> Received {
    Box::pin(futures_lite::stream::unfold(requests, |requests| async move {
        let request = requests.next_async().await?;
        Some((request, requests))
    }))
}

/// The source of requests.
struct Asking {
    requests: Received,
    pending: Arc<Pending>,
}

impl Source for Asking {
    fn next(&mut self, waker: &Waker, kept: &mut Kept) -> Next {
        if !self.pending.is_open(waker) {
            return Next::Ended;
        }
        let request = match self.requests.as_mut().poll_next(&mut Context::from_waker(waker)) {
            Poll::Ready(Some(request)) => request,
            Poll::Ready(None) => return Next::Ended,
            Poll::Pending => return Next::Nothing,
        };
        let notice = notice_of(&request, kept);
        match self.pending.add(request) {
            Some(id) => Next::Notice(FanfareNotice { id, ..notice }),
            None => Next::Ended,
        }
    }
}

/// What the host is told of a request.
fn notice_of(request: &AuthorizationRequest, kept: &mut Kept) -> FanfareNotice {
    let subscriptions = request.subscriptions().iter().map(|wanted| wanted.as_str());
    let (subscriptions, subscriptions_count) = kept.texts(subscriptions);
    let (headers, headers_count) = kept.headers(request.headers());
    let asked = FanfareRequest {
        size: size_of::<FanfareRequest>(),
        method: kept.text(request.method()),
        path: kept.text(request.path()),
        query: kept.text(request.query()),
        headers,
        headers_count,
        content: kept.bytes(request.content()),
        last_event_id: kept.optional(request.last_event_id()),
    };
    FanfareNotice {
        at_unix_ms: unix_ms(Some(SystemTime::now())),
        addr: kept.shown(request.addr()),
        subscriptions,
        subscriptions_count,
        request: kept.request(asked),
        ..FanfareNotice::of(Kind::FANFARE_NOTICE_AUTHORIZATION)
    }
}
