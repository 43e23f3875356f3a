//! An event across the border, and its id.

use std::borrow::Cow;
use std::ffi::c_char;
use std::mem::{offset_of, MaybeUninit};
use std::time::Duration;

use super::lent::{copy_struct, Lent};
use super::status::Status;
use super::text::FanfareText;
use crate::event::Event;
use crate::id::EventId;

/// What is published. `fanfare_event_of` makes one that has data alone; fill in what else it has.
/// Without that helper set all of it to zero, and `size` to `sizeof(fanfare_event)`. The texts stay
/// the caller's. A text of {NULL, 0} is one that the event does not have.
///
/// The struct grows at its end only, by fields of which zero means that the event does not have
/// them. An event with a field that is not zero and that the library does not know is refused with
/// `FANFARE_ERR_EVENT`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareEvent {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The data, of at most the option event_bytes_max bytes. CR, LF and CRLF in it are line
    /// breaks. The empty text is empty data, which a client gets; no text is no data, which fires
    /// nothing in a client.
    pub data: FanfareText,
    /// The event's name: 1 to 256 bytes without CR, LF or NUL. Without one it is a "message".
    pub name: FanfareText,
    /// An id of the publisher's, which clients see instead of the hub's: 1 to 256 bytes without
    /// control characters, and without a space at either end.
    pub id: FanfareText,
    /// What the event is about: of events with one key only the newest matters. 1 to 256 bytes. It
    /// is not sent.
    pub key: FanfareText,
    /// The reconnection time that clients are to use from now on, in milliseconds; 0 for none.
    pub retry_ms: u32,
    /// A text that clients ignore, each of its lines as a comment. Data and comment together have at
    /// most the option event_bytes_max bytes.
    pub comment: FanfareText,
    /// The clients that are there are sent the event evenly over this time, at most 300,000 ms, for
    /// what a crowd acts on, such as "fetch the new configuration"; 0 is at once. A later event for a
    /// client takes it along. Such events wait in backlogs of their own.
    pub window_ms: u64,
}

/// The size that the struct had in the ABI's first version, without padding.
const SIZE_MIN: usize = offset_of!(FanfareEvent, retry_ms) + size_of::<u32>();

/// The most bytes of a `fanfare_event_id`.
pub const FANFARE_EVENT_ID_BYTES_MAX: usize = 64;

/// The hub's id of an event: an opaque text, which clients send back as `Last-Event-ID`. Its form
/// may change with any version; nothing but equality may be read from it. Printable ASCII, without
/// comma or space, and without a NUL at its end; print it with
/// `printf("%.*s", (int)id.length, id.text)`.
///
/// A length of 0 means that the event is accepted but its id is not known yet. A hub of its own knows every
/// id at once. A hub of a cluster gets its ids from the cluster's server: `fanfare_hub_publish`,
/// `fanfare_hub_publish_to`, and other functions with a timeout of 0, return before the id is known; those
/// that wait know it, unless their time was over before.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareEventId {
    /// The length of the text in bytes, 0 to 64.
    pub length: u8,
    /// The text. The bytes after its length are zero, so that equal ids are equal structs.
    pub text: [c_char; FANFARE_EVENT_ID_BYTES_MAX],
}

/// The steps are always inlined: moving what they return takes as long as some of them.
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
    #[inline(always)]
    pub(super) unsafe fn read(event: *const FanfareEvent) -> Result<FanfareEvent, Status> {
        if event.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: zero is a valid value of every field.
        let mut given = unsafe { MaybeUninit::<FanfareEvent>::zeroed().assume_init() };
        // SAFETY: as the caller promises; any bytes are valid numbers and pointers.
        unsafe { copy_struct(event, SIZE_MIN, &mut given, Status::FANFARE_ERR_EVENT) }?;
        Ok(given)
    }

    /// Its texts: data, name, id, key and comment.
    ///
    /// # Errors
    ///
    /// When one is longer than any that is taken, or has a length that is impossible.
    #[inline(always)]
    pub(super) fn lent(&self, data_bytes_max: usize) -> Result<[Option<Lent>; 5], Status> {
        let field = |text| Lent::new(text, Event::FIELD_BYTES_MAX, Status::FANFARE_ERR_EVENT);
        Ok([
            Lent::new(self.data, data_bytes_max, Status::FANFARE_ERR_TOO_LARGE)?,
            field(self.name)?,
            field(self.id)?,
            field(self.key)?,
            Lent::new(self.comment, data_bytes_max, Status::FANFARE_ERR_TOO_LARGE)?,
        ])
    }

    /// The event, with copies of the texts that [`FanfareEvent::lent`] has named.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_UTF8`.
    #[inline(always)]
    pub(super) fn event<'a>(&self, texts: [Option<&'a [u8]>; 5]) -> Result<Event<'a>, Status> {
        let [data, name, id, key, comment] = texts;
        Ok(Event {
            data: text(data)?,
            name: text(name)?,
            id: text(id)?,
            retry: (self.retry_ms > 0).then(|| Duration::from_millis(self.retry_ms.into())),
            key: text(key)?,
            comment: text(comment)?,
            window: Duration::from_millis(self.window_ms),
        })
    }
}

#[inline(always)]
fn text(bytes: Option<&[u8]>) -> Result<Option<Cow<'_, str>>, Status> {
    bytes
        .map(|bytes| std::str::from_utf8(bytes).map(Cow::Borrowed))
        .transpose()
        .map_err(|_| Status::FANFARE_ERR_UTF8)
}

impl FanfareEventId {
    /// An id, or that it is not known.
    pub(super) fn of(id: Option<EventId>) -> FanfareEventId {
        let mut buffer = [0; EventId::OWN_BYTES_MAX];
        let length = id.map_or(0, |id| id.write(&mut buffer));
        let mut text = [0; FANFARE_EVENT_ID_BYTES_MAX];
        for (to, byte) in text.iter_mut().zip(buffer) {
            *to = byte as c_char;
        }
        FanfareEventId { length: length as u8, text } // of some 30 bytes at most
    }

    /// Writes an id, or that it is not known, where the caller wants it, if anywhere.
    ///
    /// # Safety
    ///
    /// `id_out` has to be NULL or writable.
    #[inline]
    pub(super) unsafe fn put(id: Option<EventId>, id_out: *mut FanfareEventId) {
        if !id_out.is_null() {
            // SAFETY: writable as the caller promises.
            unsafe { *id_out = FanfareEventId::of(id) };
        }
    }
}

const _: () = assert!(EventId::BYTES_MAX == FANFARE_EVENT_ID_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Epoch;

    #[test]
    fn an_id_is_its_text_and_zeros_behind_it_and_empty_when_it_is_not_known() {
        for sequence in [1, 1234, u64::MAX] {
            let id = EventId { epoch: Epoch::random(), sequence };
            let written = FanfareEventId::of(Some(id));
            let bytes = written.text.map(|byte| byte as u8);
            let (text, rest) = bytes.split_at(written.length.into());
            assert_eq!(text, id.to_string().as_bytes());
            assert!(rest.iter().all(|&byte| byte == 0));
        }
        let unknown = FanfareEventId::of(None);
        assert!(unknown.length == 0 && unknown.text.iter().all(|&byte| byte == 0));
    }
}
