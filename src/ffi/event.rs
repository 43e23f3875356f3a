//! An event across the border.

use std::borrow::Cow;
use std::ffi::c_char;
use std::mem::{offset_of, MaybeUninit};
use std::time::Duration;

use super::lent::{copy_struct, Lent};
use super::status::{
    Status, FANFARE_ERR_ARGUMENT, FANFARE_ERR_EVENT, FANFARE_ERR_TOO_LARGE, FANFARE_ERR_UTF8,
};
use crate::event::Event;

/// What is published. Set `size` to `sizeof(fanfare_event)` and everything else to zero, and then
/// fill in what the event has. All texts are UTF-8, need no NUL at their end, stay the caller's,
/// and are copied before the call returns. A NULL text is one that the event does not have; its
/// length has to be 0.
///
/// The struct grows at its end only, by fields of which zero means what it is without them. An event
/// with a field that the library does not know and that is not zero is refused, with
/// `FANFARE_ERR_EVENT`.
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
    /// A copy of the caller's event, whose texts are the caller's still.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_ARGUMENT` when it is NULL or of a size that no version has, and
    /// `FANFARE_ERR_EVENT` when it has something that only a later version knows.
    ///
    /// # Safety
    ///
    /// `event` has to be NULL, or to point to `event->size` readable bytes.
    pub(super) unsafe fn read(event: *const FanfareEvent) -> Result<FanfareEvent, Status> {
        if event.is_null() {
            return Err(Status(FANFARE_ERR_ARGUMENT));
        }
        // SAFETY: zero is a valid value of every field.
        let mut given = unsafe { MaybeUninit::<FanfareEvent>::zeroed().assume_init() };
        // SAFETY: as the caller promises; any bytes are valid numbers and pointers.
        unsafe { copy_struct(event, SIZE_MIN, &mut given, FANFARE_ERR_EVENT) }?;
        Ok(given)
    }

    /// Its texts: data, name, id and key.
    ///
    /// # Errors
    ///
    /// When one is longer than any that is taken, or has a length that is impossible.
    pub(super) fn lent(&self, data_bytes_max: usize) -> Result<[Option<Lent>; 4], Status> {
        let field = |lent| Lent::new(lent, Event::FIELD_BYTES_MAX, FANFARE_ERR_EVENT);
        Ok([
            Lent::new((self.data, self.data_len), data_bytes_max, FANFARE_ERR_TOO_LARGE)?,
            field((self.name, self.name_len))?,
            field((self.id, self.id_len))?,
            field((self.key, self.key_len))?,
        ])
    }

    /// The event, with copies of the texts that [`FanfareEvent::lent`] has named.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_UTF8`.
    pub(super) fn event<'a>(&self, texts: [Option<&'a [u8]>; 4]) -> Result<Event<'a>, Status> {
        let [data, name, id, key] = texts;
        Ok(Event {
            data: text(data)?,
            name: text(name)?,
            id: text(id)?,
            retry: (self.retry_ms > 0).then(|| Duration::from_millis(self.retry_ms.into())),
            key: text(key)?,
            comment: None,
        })
    }
}

fn text(bytes: Option<&[u8]>) -> Result<Option<Cow<'_, str>>, Status> {
    bytes
        .map(|bytes| std::str::from_utf8(bytes).map(Cow::Borrowed))
        .transpose()
        .map_err(|_| Status(FANFARE_ERR_UTF8))
}
