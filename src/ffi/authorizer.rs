//! Authorizers across the border: what decides which client gets which stream.

use super::answer;
use super::origin::Origin;
use super::status::Status;
use crate::authorizer::Authorizer;

/// What decides which client gets which stream; a listener's options take it. Opaque, and always used
/// by pointer, `fanfare_authorizer_free` frees it. Several listeners may have the same one.
#[derive(Debug)]
pub struct FanfareAuthorizer {
    authorizer: Authorizer,
    /// The process that it was made in.
    origin: Origin,
}

/// Frees an authorizer. Listeners that have it keep it. NULL does nothing.
///
/// Threads: any one, while no other call with this authorizer is under way, and none comes afterwards.
/// Ownership: the authorizer is gone. Errors: none. In a child of the process one of the parent's is
/// left as it is.
///
/// # Safety
///
/// `authorizer` has to be NULL, or an authorizer that was not freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_authorizer_free(authorizer: *mut FanfareAuthorizer) {
    answer(|| {
        // SAFETY: NULL, or a live authorizer as the caller promises.
        match unsafe { authorizer.as_ref() } {
            Some(live) if live.origin.is_here() => {
                // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
                drop(unsafe { Box::from_raw(authorizer) });
            }
            _ => {}
        }
        Ok(())
    });
}

impl FanfareAuthorizer {
    pub(super) fn new(authorizer: Authorizer) -> *mut FanfareAuthorizer {
        Box::into_raw(Box::new(FanfareAuthorizer { authorizer, origin: Origin::here() }))
    }

    /// What is behind a pointer; NULL allows all.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_FORKED` when it is of another process.
    ///
    /// # Safety
    ///
    /// `authorizer` has to be NULL or live.
    pub(super) unsafe fn read(authorizer: *const FanfareAuthorizer) -> Result<Authorizer, Status> {
        // SAFETY: as the caller promises.
        match unsafe { authorizer.as_ref() } {
            None => Ok(Authorizer::allow_all()),
            Some(it) if !it.origin.is_here() => Err(Status::FANFARE_ERR_FORKED),
            Some(it) => Ok(it.authorizer.clone()),
        }
    }
}
