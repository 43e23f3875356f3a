//! Texts that are given out, and the memory that they are in: valid until it is cleared.

use std::{fmt, ptr};

use super::header_field::FanfareHeader;
use super::lent::struct_size;
use super::log_record::FanfareLogRecord;
use super::notice::FanfareRequest;
use super::status::Status;
use super::text::FanfareText;

/// What one piece of memory is for, in bytes; a text that is longer has a piece of its own.
const PIECE_BYTES: usize = 16 << 10;

/// Copies of texts, and lists of them, that stay where they are until all are cleared.
#[derive(Default)]
pub(super) struct Kept {
    bytes: Pieces<u8>,
    texts: Pieces<FanfareText>,
    headers: Pieces<FanfareHeader>,
    requests: Pieces<FanfareRequest>,
    records: Pieces<FanfareLogRecord>,
}

// SAFETY: the pointers in its texts and structs point to its own memory, or to static texts.
unsafe impl Send for Kept {}

impl Kept {
    /// A text that is given out.
    pub(super) fn text(&mut self, text: &str) -> FanfareText {
        self.bytes(text.as_bytes())
    }

    /// A text that may be absent.
    pub(super) fn optional(&mut self, text: Option<&str>) -> FanfareText {
        text.map_or(FanfareText::NONE, |text| self.text(text))
    }

    /// What `Display` writes, as a text that is given out.
    pub(super) fn shown(&mut self, value: Option<impl ToString>) -> FanfareText {
        value.map_or(FanfareText::NONE, |value| self.text(&value.to_string()))
    }

    /// A list of texts that is given out: where it is, and its length.
    pub(super) fn texts<'a>(
        &mut self,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> (*const FanfareText, usize) {
        let list: Vec<FanfareText> = texts.into_iter().map(|text| self.text(text)).collect();
        match list.is_empty() {
            true => (ptr::null(), 0),
            false => (self.texts.keep(&list), list.len()),
        }
    }

    /// Bytes that are given out, and may be anything.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> FanfareText {
        if bytes.is_empty() {
            return FanfareText::of_static("");
        }
        FanfareText { data: self.bytes.keep(bytes).cast(), length: bytes.len() }
    }

    /// Header fields that are given out: where they are, and their number.
    pub(super) fn headers<'a>(
        &mut self,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> (*const FanfareHeader, usize) {
        let list: Vec<FanfareHeader> = headers
            .map(|(name, value)| FanfareHeader { name: self.text(name), value: self.text(value) })
            .collect();
        match list.is_empty() {
            true => (std::ptr::null(), 0),
            false => (self.headers.keep(&list), list.len()),
        }
    }

    /// A request that is given out.
    pub(super) fn request(&mut self, request: FanfareRequest) -> *const FanfareRequest {
        self.requests.keep(&[request])
    }

    /// A record of the log that is given out.
    pub(super) fn record(&mut self, record: FanfareLogRecord) -> *const FanfareLogRecord {
        self.records.keep(&[record])
    }

    /// Nothing that was given out is valid any more.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.texts.clear();
        self.headers.clear();
        self.requests.clear();
        self.records.clear();
    }
}

/// A list that is given out as an object: structs, and the texts that they point to.
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    /// What the items point to.
    _kept: Kept,
}

impl<T: Copy> List<T> {
    /// A list of what `make` makes of values.
    pub(super) fn of<V>(values: Vec<V>, make: impl Fn(&V, &mut Kept) -> T) -> List<T> {
        let mut kept = Kept::default();
        let items = values.iter().map(|value| make(value, &mut kept)).collect();
        List { items, _kept: kept }
    }

    /// Writes the item at an index into a caller's struct, which begins with its size.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_ARGUMENT` when there is none, or the size is that of no version.
    ///
    /// # Safety
    ///
    /// `to` has to be NULL, or to point to as many writable bytes as the `usize` at its beginning
    /// says; and `T` to begin with its size and to have no padding.
    pub(super) unsafe fn get(
        &self,
        index: usize,
        to: *mut T,
        size_min: usize,
    ) -> Result<(), Status> {
        let item = self.items.get(index).filter(|_| !to.is_null());
        let item = item.ok_or(Status::FANFARE_ERR_ARGUMENT)?;
        // SAFETY: not NULL, and as the caller promises.
        let size = unsafe { struct_size(to, size_min) }?;
        let (known, from) = (size.min(size_of::<T>()), ptr::from_ref(item).cast::<u8>());
        // SAFETY: the caller's struct has `size` bytes, and ours at least as many as are copied. What
        // the struct says of its size stays.
        unsafe {
            let (to, after) = (to.cast::<u8>(), size_of::<usize>());
            ptr::copy_nonoverlapping(from.add(after), to.add(after), known - after);
            to.add(known).write_bytes(0, size - known);
        }
        Ok(())
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("items", &self.items.len()).finish_non_exhaustive()
    }
}

/// Memory in pieces that never move.
struct Pieces<T>(Vec<Vec<T>>);

impl<T> Default for Pieces<T> {
    fn default() -> Pieces<T> {
        Pieces(Vec::new())
    }
}

impl<T: Copy> Pieces<T> {
    fn keep(&mut self, items: &[T]) -> *const T {
        let has_room = |piece: &Vec<T>| piece.capacity() - piece.len() >= items.len();
        if !self.0.last().is_some_and(has_room) {
            let capacity = items.len().max(PIECE_BYTES / size_of::<T>());
            self.0.push(Vec::with_capacity(capacity));
        }
        let piece = self.0.last_mut().expect("there is one with room");
        // Within the capacity: what was kept before stays where it is.
        let at = piece.len();
        piece.extend_from_slice(items);
        piece.as_ptr().wrapping_add(at)
    }

    /// Keeps one piece for what comes, if it is none that was made for one long text.
    fn clear(&mut self) {
        self.0.truncate(1);
        self.0.retain(|piece| piece.capacity() <= PIECE_BYTES / size_of::<T>());
        self.0.iter_mut().for_each(Vec::clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: FanfareText) -> String {
        // SAFETY: the tests look at texts before they clear them.
        let bytes = unsafe { std::slice::from_raw_parts(text.data.cast::<u8>(), text.length) };
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn texts_stay_where_they_are_however_many_follow() {
        let mut kept = Kept::default();
        for _ in 0..3 {
            let expected: Vec<String> =
                (0..10_000).map(|nth| nth.to_string().repeat(nth % 7)).collect();
            let texts: Vec<FanfareText> = expected.iter().map(|text| kept.text(text)).collect();
            let long = "x".repeat(3 * PIECE_BYTES);
            let long_text = kept.text(&long);
            let (list, count) = kept.texts(expected.iter().map(String::as_str));
            assert_eq!(count, expected.len());
            // SAFETY: it is a list of `count` texts.
            let list = unsafe { std::slice::from_raw_parts(list, count) };
            for (nth, text) in expected.iter().enumerate() {
                assert_eq!((read(texts[nth]), read(list[nth])), (text.clone(), text.clone()));
                assert!(!texts[nth].data.is_null(), "an empty text is no absent one");
            }
            assert_eq!(read(long_text), long);
            kept.clear();
            assert!(kept.bytes.0.len() <= 1 && kept.texts.0.len() <= 1);
        }
        assert!(kept.optional(None).data.is_null());
        assert_eq!(kept.texts([]).1, 0);
    }
}
