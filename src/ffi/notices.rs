//! The queue of notices across the border.

use std::ffi::c_int;
use std::mem::offset_of;
use std::sync::Arc;

use super::answer;
use super::doorbell::Doorbell;
use super::notice::FanfareNotice;
use super::origin::Origin;
use super::queue::Queue;
use super::status::{FanfareStatus, Status};

/// A queue of notices: what a host is told of its hubs. Opaque, and always used by pointer.
/// `fanfare_notices_new` makes it and `fanfare_notices_free` frees it.
///
/// A host adds what it wants to be told of, each with a token of its own choice, which comes back
/// in each notice; waits until the doorbell, a descriptor, is readable; and drains the queue. No
/// thread of the library waits for that or calls the host: what a slow host cannot be told is
/// bounded, and counted in the next notice.
///
/// The doorbell is readable from the first notice that waits until a drain has taken the last one.
/// It is one end of a pair of connected stream sockets that do not block, so that every event loop
/// takes it:
///
/// - poll, epoll, kqueue, select, asyncio's add_reader: wait until it is readable, drain, wait
///   again. Nothing has to be read from it; a drain empties it. Edge-triggered works as well: each
///   drain that leaves notices makes a new edge.
/// - Runtimes that read what they wait at, such as libuv's streams, Node.js's net.Socket and Go's
///   os.File: drain after each read, whatever was read. A drain that leaves notices sends a byte
///   again, so that one drain for each read is enough.
/// - Threads: one thread that waits in poll and drains.
///
/// The descriptor is the queue's, which closes it when it is freed. A runtime that closes what it
/// waits at gets a duplicate, made by dup, which is as good. Do not write to it or shut it down. It
/// may be readable although nothing waits: a drain then gives 0 notices.
#[derive(Debug)]
pub struct FanfareNotices {
    queue: Arc<Queue>,
    /// The process that has its sources.
    origin: Origin,
}

/// The size that a notice had in the ABI's first version.
const NOTICE_BYTES_MIN: usize = offset_of!(FanfareNotice, bytes) + size_of::<u64>();
/// The largest size that a notice may have, so that a mistaken one is found out.
const NOTICE_BYTES_MAX: usize = 4096;

/// Makes a queue of notices, which is told of nothing yet. On success `*notices_out` is the queue.
///
/// Threads: any. Ownership: the queue is the caller's, to be freed with `fanfare_notices_free`. It
/// is independent of hubs: one queue may be told of several, and either may be freed first.
/// Errors: `FANFARE_ERR_ARGUMENT`; `FANFARE_ERR_SYSTEM` when there are no descriptors.
///
/// # Safety
///
/// `notices_out` has to be NULL or to point to a writable pointer.
#[no_mangle]
pub unsafe extern "C" fn fanfare_notices_new(
    notices_out: *mut *mut FanfareNotices,
) -> FanfareStatus {
    answer(|| {
        if notices_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let doorbell = Doorbell::new().map_err(|_| Status::FANFARE_ERR_SYSTEM)?;
        let notices = FanfareNotices { queue: Queue::new(doorbell), origin: Origin::here() };
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *notices_out = Box::into_raw(Box::new(notices)) };
        Ok(())
    })
}

/// Frees a queue with all that it was to be told of, and closes its descriptor. NULL does nothing.
///
/// Threads: any one, while no other call with this queue is under way, and none comes afterwards; of a
/// queue that gets the log it waits for callbacks of the log that run.
/// Ownership: the queue is gone, with the texts of the last drain. Errors: none. In a child of the
/// process that has made it, it is left as it is.
///
/// # Safety
///
/// `notices` has to be NULL, or a queue that was not freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_notices_free(notices: *mut FanfareNotices) {
    answer(|| {
        // SAFETY: NULL, or a live queue as the caller promises.
        match unsafe { notices.as_ref() } {
            Some(live) if live.origin.is_here() => {
                // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
                unsafe { Box::from_raw(notices) }.queue.close();
            }
            _ => {}
        }
        Ok(())
    });
}

/// Gives the descriptor that is readable while notices wait. `*fd_out` is the same each time.
///
/// Threads: any. Ownership: the descriptor is the queue's: do not close it, see `fanfare_notices`.
/// Errors: `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `notices` has to be a live queue, and `fd_out` to point to a writable int.
#[no_mangle]
pub unsafe extern "C" fn fanfare_notices_doorbell(
    notices: *const FanfareNotices,
    fd_out: *mut c_int,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let queue = unsafe { live(notices) }?;
        if fd_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *fd_out = queue.fd().ok_or(Status::FANFARE_ERR_CLOSED)? };
        Ok(())
    })
}

/// Takes the next notices, at most `capacity`, into an array of the caller's. `notice_size` is the
/// size of each of its elements as the caller knows it: `sizeof(fanfare_notice)`. What the library
/// does not know of a larger one is set to zero. On success `*count_out` is the number of notices,
/// which may be 0. If more wait, the doorbell stays readable, so that the caller may do something
/// else before the next drain.
///
/// Notices of one source come in their order; sources take turns.
///
/// Threads: any one at a time, since each drain ends the life of what the one before has given.
/// Never waits for a notice. Ownership: the array is the caller's, and the texts in the notices are
/// the queue's, valid until its next drain or its end. Errors: `FANFARE_ERR_ARGUMENT`, also for a
/// `notice_size` that no version has; `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `notices` has to be a live queue, `array` to point to `capacity` times `notice_size` writable
/// bytes, and `count_out` to a writable number.
#[no_mangle]
pub unsafe extern "C" fn fanfare_notices_drain(
    notices: *const FanfareNotices,
    array: *mut FanfareNotice,
    notice_size: usize,
    capacity: usize,
    count_out: *mut usize,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let queue = unsafe { live(notices) }?;
        let is_size = (NOTICE_BYTES_MIN..=NOTICE_BYTES_MAX).contains(&notice_size);
        let bytes = notice_size.checked_mul(capacity).and_then(|bytes| isize::try_from(bytes).ok());
        if count_out.is_null() || (array.is_null() && capacity > 0) || !is_size || bytes.is_none() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let count = queue.drain(capacity, |nth, notice| {
            let known = notice_size.min(size_of::<FanfareNotice>());
            // SAFETY: `nth` is less than `capacity`, and the caller promises as many elements of
            // `notice_size` bytes, which need no alignment when they are written as bytes.
            unsafe {
                let to = array.cast::<u8>().add(nth * notice_size);
                std::ptr::copy_nonoverlapping((&raw const notice).cast::<u8>(), to, known);
                to.add(known).write_bytes(0, notice_size - known);
            }
        });
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *count_out = count };
        Ok(())
    })
}

/// Ends all sources with a token: nothing more is told of them, and what was not drained is
/// dropped. A stream that the host reads is not ended by this.
///
/// Threads: any, several at once; waits for a drain that is under way, and of a source of the log for
/// callbacks of the log that run. Errors: `FANFARE_ERR_STALE` when no source has the token; `FANFARE_ERR_ARGUMENT` or
/// `FANFARE_ERR_FORKED`.
///
/// # Safety
///
/// `notices` has to be a live queue.
#[no_mangle]
pub unsafe extern "C" fn fanfare_notices_remove(
    notices: *const FanfareNotices,
    token: u64,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        match unsafe { live(notices) }?.remove_all(token) {
            0 => Err(Status::FANFARE_ERR_STALE),
            _ => Ok(()),
        }
    })
}

/// The queue behind a pointer.
///
/// # Safety
///
/// `notices` has to be NULL, or to be live for as long as `'a`.
pub(super) unsafe fn live<'a>(notices: *const FanfareNotices) -> Result<&'a Arc<Queue>, Status> {
    // SAFETY: as the caller promises.
    match unsafe { notices.as_ref() } {
        None => Err(Status::FANFARE_ERR_ARGUMENT),
        Some(notices) if !notices.origin.is_here() => Err(Status::FANFARE_ERR_FORKED),
        Some(notices) => Ok(&notices.queue),
    }
}
