//! An event across the border.

use std::borrow::Cow;
use std::ffi::c_char;
use std::mem::offset_of;
use std::time::Duration;

use super::borrowed;
use super::status::{Status, FANFARE_ERR_ARGUMENT, FANFARE_ERR_UTF8};
use crate::event::Event;

/// What is published. Set `size` to `sizeof(fanfare_event)` and everything else to zero, and then
/// fill in what the event has. All texts are UTF-8, need no NUL at their end, stay the caller's,
/// and are copied before the call returns. A NULL text is one that the event does not have; its
/// length has to be 0. The struct grows at its end only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareEvent {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The data. CR, LF and CRLF in it are line breaks. With a length of 0, a pointer that is not
    /// NULL is empty data, which a client gets, and NULL is none at all, which fires nothing.
    pub data: *const c_char,
    /// Its length in bytes, at most the option event_bytes_max.
    pub data_len: usize,
    /// The event's name: 1 to 256 bytes without CR, LF or NUL. Without one it is a "message".
    pub name: *const c_char,
    /// Its length in bytes.
    pub name_len: usize,
    /// An id of the publisher's own, instead of the hub's: 1 to 256 bytes without control
    /// characters, and without a space at either end.
    pub id: *const c_char,
    /// Its length in bytes.
    pub id_len: usize,
    /// What the event is about: of events with one key only the newest matters. 1 to 256 bytes.
    pub key: *const c_char,
    /// Its length in bytes.
    pub key_len: usize,
    /// The reconnection time that clients are to use from now on, in milliseconds; 0 for none.
    pub retry_ms: u32,
}

/// The size that the struct had in the ABI's first version, without padding.
const SIZE_MIN: usize = offset_of!(FanfareEvent, retry_ms) + size_of::<u32>();

impl FanfareEvent {
    /// The caller's event, with its texts borrowed.
    ///
    /// # Safety
    ///
    /// `event` has to be NULL, or to point to `event->size` readable bytes whose pointers, unless
    /// NULL, point to as many readable bytes as their lengths say, all for as long as `'a`.
    pub(super) unsafe fn read<'a>(event: *const FanfareEvent) -> Result<Event<'a>, Status> {
        // SAFETY: not NULL, and the caller's struct begins with its size.
        if event.is_null() || unsafe { (*event).size } < SIZE_MIN {
            return Err(Status(FANFARE_ERR_ARGUMENT));
        }
        let mut copy = std::mem::MaybeUninit::<FanfareEvent>::zeroed();
        // SAFETY: the caller's struct has `size` bytes, ours at least as many as are copied; zero
        // is a valid value of every field.
        let given = unsafe {
            let bytes = (*event).size.min(size_of::<FanfareEvent>());
            std::ptr::copy_nonoverlapping(event.cast(), copy.as_mut_ptr().cast::<u8>(), bytes);
            copy.assume_init()
        };
        // SAFETY: as the caller promises, for each text.
        let text = |pointer, len| unsafe { text(pointer, len) };
        Ok(Event {
            data: text(given.data, given.data_len)?,
            name: text(given.name, given.name_len)?,
            id: text(given.id, given.id_len)?,
            retry: (given.retry_ms > 0).then(|| Duration::from_millis(given.retry_ms.into())),
            key: text(given.key, given.key_len)?,
            comment: None,
        })
    }
}

/// # Safety
///
/// As [`borrowed`].
unsafe fn text<'a>(pointer: *const c_char, len: usize) -> Result<Option<Cow<'a, str>>, Status> {
    // SAFETY: as the caller promises.
    let bytes = unsafe { borrowed(pointer, len) }?;
    bytes
        .map(|bytes| std::str::from_utf8(bytes).map(Cow::Borrowed))
        .transpose()
        .map_err(|_| Status(FANFARE_ERR_UTF8))
}
