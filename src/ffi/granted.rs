//! What a token or a ticket grants, as it is given out.

use super::answer;
use super::choices::{number_of_policy, number_of_start};
use super::fields::init;
use super::grant::{unix_ms, FanfareGrant};
use super::header_field::FanfareHeader;
use super::origin::Origin;
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::grant::Grant;
use crate::tickets::Lease;

/// What a token or a ticket grants. Opaque, and always used by pointer; `fanfare_granted_free` frees it.
/// That of a ticket that was redeemed also says, for as long as it is not freed, that the ticket's stream is
/// connected: a program that opens streams itself keeps it as long as the stream's connection.
#[derive(Debug)]
pub struct FanfareGranted {
    grant: Grant,
    topics: Box<[FanfareText]>,
    headers: Box<[FanfareHeader]>,
    lease: Option<Lease>,
    origin: Origin,
}

/// Writes what is granted into a struct of the caller's, of which `size` has to be set. Its texts and
/// lists are those of what is granted.
///
/// Threads: any, several at once. Ownership: the struct is the caller's, its texts and lists are valid
/// until `fanfare_granted_free`. Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `granted` has to be live, and `grant_out` to point to `grant_out->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_granted_grant(
    granted: *const FanfareGranted,
    grant_out: *mut FanfareGrant,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let granted = unsafe { FanfareGranted::live(granted) }?;
        let grant = &granted.grant;
        let tag = grant.tag.as_deref();
        let (start, start_last) = number_of_start(grant.start);
        let given = FanfareGrant {
            topics: granted.topics.as_ptr(),
            topics_count: granted.topics.len(),
            headers: granted.headers.as_ptr(),
            headers_count: granted.headers.len(),
            tag: tag.map_or(FanfareText::NONE, text_of),
            expires_at_unix_ms: unix_ms(grant.expires_at),
            any_topics: grant.any_topics.into(),
            policy: grant.policy.map_or(0, number_of_policy),
            start,
            start_last,
            ..FanfareGrant::BLANK
        };
        // SAFETY: as the caller promises.
        unsafe { init(grant_out, FanfareGrant::SIZE_MIN, given) }
    })
}

/// Tells whether a ticket's stream is still that of this connection: `*is_current_out` is 0 when the
/// client has come back with the same ticket, and this connection is to be ended. It is 1 for a token, and
/// for a ticket that was looked up.
///
/// Threads: any, several at once. Ownership: nothing changes. Errors: `FANFARE_ERR_ARGUMENT` or
/// `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `granted` has to be live, and `is_current_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_granted_is_current(
    granted: *const FanfareGranted,
    is_current_out: *mut u32,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let granted = unsafe { FanfareGranted::live(granted) }?;
        if is_current_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let is_current = granted.lease.as_ref().is_none_or(Lease::is_current);
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *is_current_out = is_current.into() };
        Ok(())
    })
}

/// Frees what was granted. That of a ticket that was redeemed says with this that the stream's connection
/// has ended, and the ticket may be used again. NULL does nothing.
///
/// Threads: any one, while no other call with it is under way, and none comes afterwards. Ownership: it
/// is gone, with its texts and lists. Errors: none. In a child of the process that of the parent's is
/// left as it is.
///
/// # Safety
///
/// `granted` has to be NULL, or not to have been freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_granted_free(granted: *mut FanfareGranted) {
    answer(|| {
        // SAFETY: NULL, or live as the caller promises.
        match unsafe { granted.as_ref() } {
            Some(live) if live.origin.is_here() => {
                // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
                drop(unsafe { Box::from_raw(granted) });
            }
            _ => {}
        }
        Ok(())
    });
}

impl FanfareGranted {
    pub(super) fn new(grant: Grant, lease: Option<Lease>) -> *mut FanfareGranted {
        // The texts stay where they are: each is in memory of its own.
        let topics = grant.subscriptions.iter().map(|it| text_of(it.as_str())).collect();
        let field = |(name, value): &(String, String)| FanfareHeader {
            name: text_of(name),
            value: text_of(value),
        };
        let headers = grant.headers.iter().map(field).collect();
        let granted = FanfareGranted { grant, topics, headers, lease, origin: Origin::here() };
        Box::into_raw(Box::new(granted))
    }

    /// # Safety
    ///
    /// `granted` has to be NULL, or to be live for as long as `'a`.
    unsafe fn live<'a>(granted: *const FanfareGranted) -> Result<&'a FanfareGranted, Status> {
        // SAFETY: as the caller promises.
        match unsafe { granted.as_ref() } {
            None => Err(Status::FANFARE_ERR_ARGUMENT),
            Some(granted) if !granted.origin.is_here() => Err(Status::FANFARE_ERR_FORKED),
            Some(granted) => Ok(granted),
        }
    }
}

fn text_of(text: &str) -> FanfareText {
    FanfareText { data: text.as_ptr().cast(), length: text.len() }
}
