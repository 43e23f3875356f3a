//! Authorizers across the border: what decides which client gets which stream.

use std::sync::Arc;

use super::answer;
use super::origin::Origin;
use super::pending::Pending;
use super::status::Status;
use crate::authorizer::Authorizer;

/// What decides which client gets which stream; a listener's options take it. Opaque, and always used
/// by pointer, `fanfare_authorizer_free` frees it. Several listeners may have the same one.
#[derive(Debug)]
pub struct FanfareAuthorizer {
    authorizer: Authorizer,
    /// What the host was asked and has not answered, of one that asks.
    pending: Option<Arc<Pending>>,
    /// The process that it was made in.
    origin: Origin,
}

/// Frees an authorizer. Listeners that have it keep it; of one that asks, requests that wait, and
/// those that come to its listeners afterwards, are told to come again. NULL does nothing.
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
                let authorizer = unsafe { Box::from_raw(authorizer) };
                if let Some(pending) = &authorizer.pending {
                    pending.close();
                }
            }
            _ => {}
        }
        Ok(())
    });
}

impl FanfareAuthorizer {
    #[cfg(feature = "tickets")]
    pub(super) fn new(authorizer: Authorizer) -> *mut FanfareAuthorizer {
        FanfareAuthorizer::of(authorizer, None)
    }

    /// One that asks the host.
    pub(super) fn asking(authorizer: Authorizer, pending: Arc<Pending>) -> *mut FanfareAuthorizer {
        FanfareAuthorizer::of(authorizer, Some(pending))
    }

    fn of(authorizer: Authorizer, pending: Option<Arc<Pending>>) -> *mut FanfareAuthorizer {
        let origin = Origin::here();
        Box::into_raw(Box::new(FanfareAuthorizer { authorizer, pending, origin }))
    }

    /// What the host was asked by the authorizer behind a pointer.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_ARGUMENT` when it does not ask, and as of [`FanfareAuthorizer::read`].
    ///
    /// # Safety
    ///
    /// `authorizer` has to be NULL, or to be live for as long as `'a`.
    pub(super) unsafe fn pending<'a>(
        authorizer: *const FanfareAuthorizer,
    ) -> Result<&'a Pending, Status> {
        // SAFETY: as the caller promises.
        match unsafe { authorizer.as_ref() } {
            Some(it) if !it.origin.is_here() => Err(Status::FANFARE_ERR_FORKED),
            Some(FanfareAuthorizer { pending: Some(pending), .. }) => Ok(pending),
            _ => Err(Status::FANFARE_ERR_ARGUMENT),
        }
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
