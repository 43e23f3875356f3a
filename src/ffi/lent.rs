//! What a caller lends for the length of a call: copied once, and only the copy is looked at.
//!
//! The caller's memory may change while it is read: another of its threads writes to it, or another
//! process that shares it. What was checked there would not be what is used afterwards: text that
//! is not UTF-8 any more in a `&str`, which is undefined behaviour, or a line break that injects a
//! field. So no reference is ever made to the caller's memory. Each byte of it is read once, into
//! memory of this call's own, which no other thread knows; a text that changed meanwhile is a
//! mixture of before and after, and is then checked like any other.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{compiler_fence, Ordering};

use super::status::Status;
use super::text::FanfareText;

/// A text or bytes that the caller lends, not looked at yet.
#[derive(Clone, Copy)]
pub(super) struct Lent {
    pointer: *const u8,
    len: usize,
}

impl Lent {
    /// `None` when the caller gave NULL.
    ///
    /// # Errors
    ///
    /// `FANFARE_ERR_ARGUMENT` when the length is none that memory has, and `too_long` when it is
    /// more than `len_max`: so nothing is copied that is refused in any case.
    #[inline(always)]
    pub(super) fn new(
        text: FanfareText,
        len_max: usize,
        too_long: Status,
    ) -> Result<Option<Lent>, Status> {
        match (text.data.is_null(), text.length) {
            (true, 0) => Ok(None),
            (true, _) => Err(Status::FANFARE_ERR_ARGUMENT),
            (false, len) if isize::try_from(len).is_err() => Err(Status::FANFARE_ERR_ARGUMENT),
            (false, len) if len > len_max => Err(too_long),
            (false, len) => Ok(Some(Lent { pointer: text.data.cast(), len })),
        }
    }
}

/// Bytes that need no allocation: those of most events.
const SMALL_BYTES: usize = 8 << 10;
/// Where a copy begins is a multiple of this: the check for UTF-8 is slower anywhere else.
const ALIGNMENT: usize = 16;

/// Memory for these, where a copy may begin.
#[repr(align(16))]
struct Small {
    _bytes: [u8; SMALL_BYTES],
}

const _: () = assert!(align_of::<Small>() == ALIGNMENT && size_of::<Small>() == SMALL_BYTES);

/// Copies texts, and has the copies used.
///
/// # Errors
///
/// `FANFARE_ERR_SYSTEM` when there is no memory for them, and what their use returns.
///
/// # Safety
///
/// Each text has to be as many readable bytes as it has been said to be. They may change meanwhile.
#[inline(always)]
pub(super) unsafe fn with_copies<const N: usize>(
    texts: [Option<Lent>; N],
    used: impl FnOnce([Option<&[u8]>; N]) -> Result<(), Status>,
) -> Result<(), Status> {
    let (mut small, mut large) = (MaybeUninit::<Small>::uninit(), Vec::<u8>::new());
    let mut bytes = 0;
    for text in texts.iter().flatten() {
        bytes += text.len.next_multiple_of(ALIGNMENT);
    }
    let mut own = small.as_mut_ptr().cast::<u8>();
    if bytes > SMALL_BYTES {
        large.try_reserve_exact(bytes).map_err(|_| Status::FANFARE_ERR_SYSTEM)?;
        own = large.as_mut_ptr();
    }
    let mut copies = [None; N];
    for (copy, text) in copies.iter_mut().zip(texts) {
        let Some(Lent { pointer, len }) = text else { continue };
        // SAFETY: the caller promises `len` readable bytes, and from `own` on there are at least as
        // many that are this call's alone. Bytes that another thread writes to at the same time are
        // copied as they were before or after: any byte is a valid `u8`, and nothing is concluded
        // from one before it is copied.
        unsafe {
            ptr::copy_nonoverlapping(pointer, own, len);
            *copy = Some(std::slice::from_raw_parts(own, len));
            own = own.add(len.next_multiple_of(ALIGNMENT));
        }
    }
    settle();
    used(copies)
}

/// Copies the texts of a list, each on its own.
///
/// # Errors
///
/// `FANFARE_ERR_SYSTEM` when there is no memory for them.
///
/// # Safety
///
/// Each text has to be as many readable bytes as it has been said to be. They may change meanwhile.
pub(super) unsafe fn copies(texts: &[Lent]) -> Result<Vec<Box<[u8]>>, Status> {
    let mut all = Vec::new();
    all.try_reserve_exact(texts.len()).map_err(|_| Status::FANFARE_ERR_SYSTEM)?;
    for &Lent { pointer, len } in texts {
        // SAFETY: as the caller promises.
        all.push(unsafe { copy_array(pointer, len) }?.into_boxed_slice());
    }
    Ok(all)
}

/// A copy of an array of the caller's: `count` values at `given`, which may be NULL if there are none.
/// Its length is to be bounded before.
///
/// # Errors
///
/// `FANFARE_ERR_ARGUMENT` when it is NULL and has a length, or one that memory has not;
/// `FANFARE_ERR_SYSTEM` when there is no memory for it.
///
/// # Safety
///
/// `given` has to be NULL, or to point to `count` readable values of which any bytes are valid.
pub(super) unsafe fn copy_array<T: Copy>(given: *const T, count: usize) -> Result<Vec<T>, Status> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let bytes = count.checked_mul(size_of::<T>());
    let fits = bytes.is_some_and(|bytes| isize::try_from(bytes).is_ok());
    if given.is_null() || !fits {
        return Err(Status::FANFARE_ERR_ARGUMENT);
    }
    let mut own = Vec::<T>::new();
    own.try_reserve_exact(count).map_err(|_| Status::FANFARE_ERR_SYSTEM)?;
    // SAFETY: the caller promises `count` values there, and here is memory for as many, which is this
    // call's alone. They are copied as bytes, so that the caller's need no alignment; any are valid,
    // also those that another thread writes to at the same time.
    unsafe {
        let bytes = count * size_of::<T>();
        ptr::copy_nonoverlapping(given.cast::<u8>(), own.as_mut_ptr().cast::<u8>(), bytes);
        own.set_len(count);
    }
    settle();
    Ok(own)
}

/// A copy of one value of the caller's that has no size of its own.
///
/// # Safety
///
/// `given` has to point to a readable value of which any bytes are valid.
pub(super) unsafe fn copy_one<T: Copy>(given: *const T) -> T {
    let mut own = MaybeUninit::<T>::uninit();
    // SAFETY: the caller promises a value there, and any bytes are one. They are copied as bytes, so
    // that the caller's needs no alignment.
    let own = unsafe {
        ptr::copy_nonoverlapping(given.cast::<u8>(), own.as_mut_ptr().cast::<u8>(), size_of::<T>());
        own.assume_init()
    };
    settle();
    own
}

/// The largest size that a struct may say it has: more than any version's, and little enough that
/// one which was never set is found out.
const STRUCT_BYTES_MAX: usize = 4096;

/// The size that a caller's struct says it has.
///
/// # Errors
///
/// `FANFARE_ERR_ARGUMENT` when no version has that size.
///
/// # Safety
///
/// `given` has to point to a struct that begins with its size, a `usize`.
#[inline]
pub(super) unsafe fn struct_size<T>(given: *const T, size_min: usize) -> Result<usize, Status> {
    // SAFETY: as the caller promises. Volatile, so that it is read here and nowhere else; and as bytes,
    // since a struct of an array may begin anywhere.
    let size = unsafe { given.cast::<[u8; size_of::<usize>()]>().read_volatile() };
    let size = usize::from_ne_bytes(size);
    match (size_min..=STRUCT_BYTES_MAX).contains(&size) {
        true => Ok(size),
        false => Err(Status::FANFARE_ERR_ARGUMENT),
    }
}

/// Copies a caller's struct over `known`, whose fields beyond the caller's size stay as they are.
///
/// # Errors
///
/// `FANFARE_ERR_ARGUMENT` when no version has its size; `unknown` when it is larger than the struct
/// is here, and not all of what is beyond is zero: something is asked for that would be lost.
///
/// # Safety
///
/// `given` has to point to as many readable bytes as the `usize` at its beginning says, and any
/// bytes have to be a valid `T`.
#[inline]
pub(super) unsafe fn copy_struct<T: Copy>(
    given: *const T,
    size_min: usize,
    known: &mut T,
    unknown: Status,
) -> Result<(), Status> {
    // SAFETY: as the caller promises.
    let size = unsafe { struct_size(given, size_min) }?;
    let given = given.cast::<u8>();
    let own = ptr::from_mut(known).cast::<u8>();
    if size == size_of::<T>() {
        // As a rule. The size is known when this is compiled, which saves a call.
        // SAFETY: the caller's struct has as many bytes as ours, and any are valid: also those that
        // another thread writes to at the same time.
        unsafe { ptr::copy_nonoverlapping(given, own, size_of::<T>()) };
        settle();
        return Ok(());
    }
    let bytes = size.min(size_of::<T>());
    // SAFETY: the caller's struct has `size` bytes, ours at least as many as are copied, and any are
    // valid, as above.
    unsafe { ptr::copy_nonoverlapping(given, own, bytes) };
    settle();
    // SAFETY: the caller's struct has `size` bytes.
    let is_set = |at: usize| unsafe { given.add(at).read_volatile() } != 0;
    match (bytes..size).any(is_set) {
        true => Err(unknown),
        false => Ok(()),
    }
}

/// Has what was copied be read from the copy. A compiler that knew that no thread writes to the
/// original in between could read that once more.
fn settle() {
    compiler_fence(Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lent(text: &[u8]) -> Option<Lent> {
        let text = FanfareText { data: text.as_ptr().cast(), length: text.len() };
        Lent::new(text, usize::MAX, Status::FANFARE_ERR_TOPIC).ok().flatten()
    }

    #[test]
    fn texts_are_copied_side_by_side_whether_they_are_small_or_large() {
        for len in [0, 1, SMALL_BYTES - 48, SMALL_BYTES - 32, SMALL_BYTES - 31, 1 << 20] {
            let long = vec![b'x'; len];
            let texts = [lent(b"ab"), None, lent(&long), lent(b""), lent(b"cd")];
            let used = |copies: [Option<&[u8]>; 5]| {
                assert_eq!(copies, [Some(&b"ab"[..]), None, Some(&long), Some(b""), Some(b"cd")]);
                Ok(())
            };
            // SAFETY: they are slices that outlive the call.
            assert_eq!(unsafe { with_copies(texts, used) }, Ok(()));
        }
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_looked_at() {
        let nowhere = ptr::dangling();
        let refused = |data, length| {
            Lent::new(FanfareText { data, length }, 256, Status::FANFARE_ERR_TOPIC).err()
        };
        assert_eq!(refused(nowhere, 257), Some(Status::FANFARE_ERR_TOPIC));
        assert_eq!(refused(nowhere, usize::MAX), Some(Status::FANFARE_ERR_ARGUMENT));
        assert_eq!(refused(ptr::null(), 1), Some(Status::FANFARE_ERR_ARGUMENT));
        assert_eq!(refused(nowhere, 256), None);
    }
}
