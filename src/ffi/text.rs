//! Texts across the border: pointer and length.

use std::ffi::c_char;

/// A text, or bytes, by pointer and length: UTF-8 that needs no NUL at its end, and in which a NUL
/// is a character like any other.
///
/// {NULL, 0} is no text at all. A pointer that is not NULL with a length of 0 is the empty text;
/// where a text may be absent, such as in an event, the two differ. NULL with any other length is
/// `FANFARE_ERR_ARGUMENT`, as is a length of more than half of the address space.
///
/// A text that is passed to a function stays the caller's. It is copied before the function
/// returns, and need not live longer. A text that a function gives out is never freed by itself: it is
/// static, or in the memory of an object or a struct, as the function or the struct says, and valid as
/// long as that.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareText {
    /// Its first byte, or NULL.
    pub data: *const c_char,
    /// Its length in bytes.
    pub length: usize,
}

impl FanfareText {
    /// No text at all.
    pub(super) const NONE: FanfareText = FanfareText { data: std::ptr::null(), length: 0 };

    /// A text that is given out.
    pub(super) const fn of_static(text: &'static str) -> FanfareText {
        FanfareText { data: text.as_ptr().cast(), length: text.len() }
    }
}
