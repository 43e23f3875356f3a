//! What a call is lent: texts, lists and structs in memory of exactly their size, so that a sanitizer
//! sees a read beyond it.

use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error, Layout};
use std::ptr;

use fanfare::ffi::FanfareStatusCode::{self as Status, *};
use fanfare::ffi::FanfareText;

use crate::input::Input;

/// Memory that lives for one step.
#[derive(Default)]
pub(crate) struct Memory {
    texts: Vec<Box<[u8]>>,
    structs: Vec<(*mut u8, Layout)>,
}

/// A struct as it is lent, and how the library has to understand it.
pub(crate) struct Lent<T> {
    pointer: *const T,
    /// The error that its size, or what is behind the known part, has to lead to.
    pub(crate) fault: Option<Status>,
    /// What there is of it: a field behind its size is zero.
    pub(crate) effective: T,
}

impl<T> Lent<T> {
    pub(crate) fn as_ptr(&self) -> *const T {
        self.pointer
    }

    /// The error that a call has to return that writes to it: it does not look at what is beyond.
    pub(crate) fn fault_of_output(&self) -> Option<Status> {
        self.fault.filter(|&fault| fault == FANFARE_ERR_ARGUMENT)
    }

    pub(crate) fn as_mut_ptr(&self) -> *mut T {
        self.pointer.cast_mut()
    }
}

impl Memory {
    /// The bytes as they are lent.
    pub(crate) fn text(&mut self, bytes: &[u8]) -> FanfareText {
        self.texts.push(bytes.into());
        let lent = self.texts.last().expect("it was put there");
        FanfareText { data: lent.as_ptr().cast(), length: lent.len() }
    }

    /// A text that is often the one that is given, sometimes none, and rarely impossible.
    pub(crate) fn any_text(&mut self, input: &mut Input<'_>, bytes: &[u8]) -> FanfareText {
        match input.byte() {
            255 => FanfareText { data: ptr::null(), length: 1 },
            254 => FanfareText { length: usize::MAX, ..self.text(bytes) },
            253 => FanfareText { data: ptr::null(), length: 0 },
            _ => self.text(bytes),
        }
    }

    /// A list of values; NULL for none.
    pub(crate) fn list<T: Copy>(&mut self, values: &[T]) -> *const T {
        if values.is_empty() {
            return ptr::null();
        }
        let bytes = self.allocate(size_of_val(values), align_of::<T>()).cast::<T>();
        // SAFETY: as many bytes were allocated.
        unsafe { ptr::copy_nonoverlapping(values.as_ptr(), bytes, values.len()) };
        bytes
    }

    /// A struct that begins with its size, of a size that may be less or more than that which is known,
    /// or none. `size_min` is its smallest, and `unknown` the error for what is set beyond.
    pub(crate) fn sized<T: Copy>(
        &mut self,
        input: &mut Input<'_>,
        value: &T,
        size_min: usize,
        unknown: Status,
    ) -> Lent<T> {
        let known = size_of::<T>();
        let (size, is_set) = match input.byte() {
            248 => (size_min - 1, false),
            249 => (size_min + input.below(known - size_min + 1), false),
            250 => (known + 1 + input.below(200), false),
            251 => (known + 1 + input.below(200), true),
            252 => (4096, input.is_odd()),
            253 => (4097, false),
            254 => (usize::MAX, false),
            255 => (input.below(8), false),
            _ => (known, false),
        };
        let readable = size.clamp(size_of::<usize>(), 4096);
        let memory = self.allocate(readable, 16);
        let is_size = (size_min..=4096).contains(&size);
        // SAFETY: zero is a valid value of the plain structs that cross the border.
        let mut effective: T = unsafe { std::mem::zeroed() };
        // SAFETY: `memory` has `readable` bytes, `effective` and `value` have `known`.
        unsafe {
            ptr::copy_nonoverlapping(ptr::from_ref(value).cast(), memory, known.min(readable));
            memory.cast::<usize>().write(size);
            if is_set && readable > known {
                memory.add(readable - 1).write(1);
            }
            let copied = known.min(readable);
            ptr::copy_nonoverlapping(memory, ptr::from_mut(&mut effective).cast::<u8>(), copied);
        }
        let is_unknown = is_set && size > known;
        let fault = match (is_size, is_unknown) {
            (false, _) => Some(FANFARE_ERR_ARGUMENT),
            (true, true) => Some(unknown),
            (true, false) => None,
        };
        Lent { pointer: memory.cast(), fault, effective }
    }

    /// A struct of the right size, for a call that writes to it.
    pub(crate) fn writable<T: Copy>(&mut self, input: &mut Input<'_>, size_min: usize) -> Lent<T> {
        // SAFETY: zero is a valid value of the plain structs that cross the border.
        let zero: T = unsafe { std::mem::zeroed() };
        self.sized(input, &zero, size_min, FANFARE_OK)
    }

    fn allocate(&mut self, bytes: usize, align: usize) -> *mut u8 {
        let layout = Layout::from_size_align(bytes.max(1), align).expect("a small layout");
        // SAFETY: the layout has a size.
        let memory = unsafe { alloc_zeroed(layout) };
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        self.structs.push((memory, layout));
        memory
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for (memory, layout) in self.structs.drain(..) {
            // SAFETY: it was allocated with this layout, and is freed once.
            unsafe { dealloc(memory, layout) };
        }
    }
}

/// What a text has to be understood as.
///
/// # Errors
///
/// `FANFARE_ERR_ARGUMENT` for one that is impossible.
pub(crate) fn understood(text: FanfareText) -> Result<Option<Vec<u8>>, Status> {
    match (text.data.is_null(), text.length) {
        (true, 0) => Ok(None),
        (true, _) => Err(FANFARE_ERR_ARGUMENT),
        (false, length) if isize::try_from(length).is_err() => Err(FANFARE_ERR_ARGUMENT),
        (false, length) => {
            // SAFETY: every other text of a sequence is of `Memory`.
            let bytes = unsafe { std::slice::from_raw_parts(text.data.cast::<u8>(), length) };
            Ok(Some(bytes.to_owned()))
        }
    }
}
