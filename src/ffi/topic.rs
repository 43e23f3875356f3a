//! A topic that the caller keeps, so that its name is checked once.

use super::answer;
use super::lent::{with_copies, Lent};
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::topic::Topic;
use crate::topic_handle::TopicHandle;

/// A topic by handle: its name was checked, and need not be checked again each time. Opaque, and
/// always used by pointer. `fanfare_topic_new` makes it and `fanfare_topic_free` frees it. It belongs
/// to no hub: one handle serves any number of hubs, lives as long as the program likes, and keeps
/// nothing in a hub. It is as good in the child of a fork.
#[derive(Debug)]
pub struct FanfareTopic {
    handle: TopicHandle,
}

/// Makes a handle of a topic, whose name is 1 to 256 bytes of UTF-8 without control characters, '+'
/// and '#'. On success `*topic_out` is the handle.
///
/// Threads: any. Ownership: `name` stays the caller's; the handle is the caller's, to be freed with
/// `fanfare_topic_free`. Errors: `FANFARE_ERR_TOPIC`, `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `name` has to be as many readable bytes as it says, and `topic_out` to point to a writable pointer.
#[no_mangle]
pub unsafe extern "C" fn fanfare_topic_new(
    name: FanfareText,
    topic_out: *mut *mut FanfareTopic,
) -> FanfareStatus {
    answer(|| {
        if topic_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let name = Lent::new(name, Topic::BYTES_MAX, Status::FANFARE_ERR_TOPIC)?;
        let make = |[name]: [Option<&[u8]>; 1]| {
            let topic = Topic::from_utf8(name.ok_or(Status::FANFARE_ERR_TOPIC)?)?;
            let handle = TopicHandle::new(topic);
            // SAFETY: not NULL, and writable as the caller promises.
            unsafe { *topic_out = Box::into_raw(Box::new(FanfareTopic { handle })) };
            Ok(())
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies([name], make) }
    })
}

/// Frees a handle of a topic. What was published with it stays. NULL does nothing.
///
/// Threads: any one, while no other call with this handle is under way, and none comes afterwards.
/// Ownership: the handle is gone. Errors: none.
///
/// # Safety
///
/// `topic` has to be NULL, or a topic that was not freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_topic_free(topic: *mut FanfareTopic) {
    answer(|| {
        if !topic.is_null() {
            // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
            drop(unsafe { Box::from_raw(topic) });
        }
        Ok(())
    });
}

/// The topic behind a pointer.
///
/// # Safety
///
/// `topic` has to be NULL, or to be live for as long as `'a`.
pub(super) unsafe fn handle_of<'a>(topic: *const FanfareTopic) -> Result<&'a TopicHandle, Status> {
    // SAFETY: as the caller promises.
    let topic = unsafe { topic.as_ref() };
    topic.map(|topic| &topic.handle).ok_or(Status::FANFARE_ERR_ARGUMENT)
}
