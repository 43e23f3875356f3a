//! What a client is granted, and what one is told that gets no stream, across the border.

use std::mem::offset_of;
use std::time::SystemTime;

use super::answer;
use super::choices::{policy, start, FanfarePolicy, FanfareStart};
use super::fields::{over_defaults, subscriptions, tell_problem, Field, TEXT_BYTES_MAX};
use super::header_field::FanfareHeader;
use super::options::Refused;
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::authorizer::Refusal;
use crate::grant::Grant;
use crate::stream_options::StreamOptions;

/// What a client may do whose request for a stream is authorized. `fanfare_grant_of` makes one for some
/// topics; without that helper set all of it to zero, and `size` to `sizeof(fanfare_grant)`.
///
/// A request that names topics and filters has to stay within `topics`: otherwise its client is answered
/// 403. A request that names none is subscribed to all of `topics`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareGrant {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The topics and filters that the stream may be subscribed to.
    pub topics: *const FanfareText,
    /// How many there are, at most 1,024.
    pub topics_count: usize,
    /// Header fields of the stream's answer, which replace the listener's of their names.
    pub headers: *const FanfareHeader,
    /// How many there are, at most 32, and 4 KiB of them.
    pub headers_count: usize,
    /// The label by which the connection is found again, 1 to 256 bytes without control characters.
    /// Default: the request's own.
    pub tag: FanfareText,
    /// When the stream ends, in milliseconds since 1970; 0 for never.
    pub expires_at_unix_ms: u64,
    /// 1: the request may name any topics and filters.
    pub any_topics: u32,
    /// What happens to the connection when it lags too far. Default: what the request and the hub say.
    pub policy: FanfarePolicy,
    /// Where the stream begins of a client without an id, and of one whose id is gone, whatever its
    /// request says. Default: what the request and the listener say.
    pub start: FanfareStart,
    /// For `FANFARE_START_LAST`.
    pub start_last: u32,
}

/// What a client is told that gets no stream. `fanfare_refusal_of` makes one of a status; without that
/// helper set all of it to zero, and `size` to `sizeof(fanfare_refusal)`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareRefusal {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// Header fields of the answer, such as `WWW-Authenticate` of a 401, or `Retry-After`.
    pub headers: *const FanfareHeader,
    /// How many there are, at most 32, and 4 KiB of them.
    pub headers_count: usize,
    /// The content, plain text of at most 4 KiB; a 204 has none.
    pub text: FanfareText,
    /// The status: 204, which an `EventSource` takes for the end of the stream, or 300 to 599.
    pub status: u32,
    /// 0; keeps the struct's end where it is on every system.
    pub reserved: u32,
}

/// The sizes that the structs had in the ABI's first version.
const GRANT_SIZE_MIN: usize = offset_of!(FanfareGrant, start_last) + size_of::<u32>();
const REFUSAL_SIZE_MIN: usize = offset_of!(FanfareRefusal, reserved) + size_of::<u32>();

const TOPICS: Field = Field { name: "topics", bounds: "at most 1,024 topics and filters" };
const HEADERS: Field = Field {
    name: "headers",
    bounds:
        "at most 32 and 4 KiB: names are tokens, values visible ASCII, spaces and tabs, and none \
             is one that the engine writes itself",
};
const TAG: Field = Field { name: "tag", bounds: "1 to 256 bytes without control characters" };
const EXPIRES_AT: Field =
    Field { name: "expires_at_unix_ms", bounds: "a time that the system has" };
const ANY_TOPICS: Field = Field { name: "any_topics", bounds: "0 or 1" };
const TEXT: Field = Field { name: "text", bounds: "at most 4 KiB of UTF-8" };
const STATUS: Field = Field { name: "status", bounds: "204, or 300 to 599" };
const RESERVED: Field = Field { name: "reserved", bounds: "0" };
const SUBSCRIPTIONS_MAX: usize = 1_024;

/// Finds the first part of a grant that is wrong: `*name_out` is its name in the struct, and
/// `*bounds_out` what it may be. Both are {NULL, 0} when all is within its bounds. A time that has
/// passed is no error: such a grant allows nothing.
///
/// Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
/// `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `grant` has to point to `grant->size` readable bytes whose texts and lists are as they say, and the
/// others to writable texts.
#[no_mangle]
pub unsafe extern "C" fn fanfare_grant_problem(
    grant: *const FanfareGrant,
    name_out: *mut FanfareText,
    bounds_out: *mut FanfareText,
) -> FanfareStatus {
    answer(|| {
        if grant.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { tell_problem(|| FanfareGrant::parts(grant), name_out, bounds_out) }
    })
}

/// Finds the first part of a refusal that is wrong, as `fanfare_grant_problem` does.
///
/// Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
/// `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `refusal` has to point to `refusal->size` readable bytes whose texts and lists are as they say, and
/// the others to writable texts.
#[no_mangle]
pub unsafe extern "C" fn fanfare_refusal_problem(
    refusal: *const FanfareRefusal,
    name_out: *mut FanfareText,
    bounds_out: *mut FanfareText,
) -> FanfareStatus {
    answer(|| {
        if refusal.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { tell_problem(|| FanfareRefusal::parts(refusal), name_out, bounds_out) }
    })
}

/// A part that is wrong is told by the code of grants, and not by that of options.
fn status_of(refused: Refused) -> Status {
    match refused {
        Refused::Option { .. } => Status::FANFARE_ERR_GRANT,
        Refused::Size(status) => status,
    }
}

impl FanfareGrant {
    pub(super) const BLANK: FanfareGrant = FanfareGrant {
        size: size_of::<FanfareGrant>(),
        topics: std::ptr::null(),
        topics_count: 0,
        headers: std::ptr::null(),
        headers_count: 0,
        tag: FanfareText::NONE,
        expires_at_unix_ms: 0,
        any_topics: 0,
        policy: 0,
        start: 0,
        start_last: 0,
    };
    /// The size that the struct had in the ABI's first version.
    #[cfg(feature = "tickets")]
    pub(super) const SIZE_MIN: usize = GRANT_SIZE_MIN;

    /// The caller's grant, checked.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_GRANT`, `FANFARE_ERR_ARGUMENT` also for NULL, `FANFARE_ERR_SYSTEM`.
    ///
    /// # Safety
    ///
    /// `grant` has to be NULL, or to point to `grant->size` readable bytes whose texts and lists are as
    /// they say.
    pub(super) unsafe fn read(grant: *const FanfareGrant) -> Result<Grant, Status> {
        if grant.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { FanfareGrant::parts(grant) }.map_err(status_of)
    }

    /// # Safety
    ///
    /// As of [`FanfareGrant::read`]; it must not be NULL.
    unsafe fn parts(grant: *const FanfareGrant) -> Result<Grant, Refused> {
        // SAFETY: as the caller promises, for all of these.
        let (read, topics, headers, tag) = unsafe {
            let read = over_defaults(grant, GRANT_SIZE_MIN, FanfareGrant::BLANK)?;
            let topics = subscriptions(read.topics, read.topics_count, SUBSCRIPTIONS_MAX);
            let topics = topics.map_err(|status| match status {
                Status::FANFARE_ERR_TOO_MANY | Status::FANFARE_ERR_SUBSCRIPTION => TOPICS.refused(),
                status => Refused::Size(status),
            })?;
            let headers = HEADERS.headers(read.headers, read.headers_count)?;
            (read, topics, headers, TAG.text(read.tag, StreamOptions::TAG_BYTES_MAX)?)
        };
        let mut grant = Grant::new(topics).headers(headers);
        grant.tag = tag.map(Into::into);
        grant.any_topics = ANY_TOPICS.flag(read.any_topics)?;
        grant.start = start("start", read.start, read.start_last)?;
        grant.policy = policy(read.policy)?;
        grant.expires_at = EXPIRES_AT.time(read.expires_at_unix_ms)?;
        grant.check().map_err(|error| Field::of(error, &[], &[HEADERS]))?;
        Ok(grant)
    }
}

impl FanfareRefusal {
    const BLANK: FanfareRefusal = FanfareRefusal {
        size: size_of::<FanfareRefusal>(),
        headers: std::ptr::null(),
        headers_count: 0,
        text: FanfareText::NONE,
        status: 0,
        reserved: 0,
    };

    /// The caller's refusal, checked.
    ///
    /// # Errors
    ///
    /// As of [`FanfareGrant::read`].
    ///
    /// # Safety
    ///
    /// `refusal` has to be NULL, or to point to `refusal->size` readable bytes whose texts and lists are
    /// as they say.
    pub(super) unsafe fn read(refusal: *const FanfareRefusal) -> Result<Refusal, Status> {
        if refusal.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { FanfareRefusal::parts(refusal) }.map_err(status_of)
    }

    /// # Safety
    ///
    /// As of [`FanfareRefusal::read`]; it must not be NULL.
    unsafe fn parts(refusal: *const FanfareRefusal) -> Result<Refusal, Refused> {
        // SAFETY: as the caller promises, for all of these.
        let (read, headers, text) = unsafe {
            let read = over_defaults(refusal, REFUSAL_SIZE_MIN, FanfareRefusal::BLANK)?;
            let headers = HEADERS.headers(read.headers, read.headers_count)?;
            (read, headers, TEXT.text(read.text, TEXT_BYTES_MAX)?)
        };
        if read.reserved != 0 {
            return Err(RESERVED.refused());
        }
        let status = u16::try_from(read.status).map_err(|_| STATUS.refused())?;
        let refusal = Refusal::new(status).headers(headers).text(text.unwrap_or_default());
        refusal.check().map_err(|error| Field::of(error, &[], &[HEADERS]))?;
        Ok(refusal)
    }
}

/// A point in time as it crosses the border; 0 is none.
pub(super) fn unix_ms(time: Option<SystemTime>) -> u64 {
    let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
