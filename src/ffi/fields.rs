//! The fields of a caller's structs that are more than a number: texts, lists, flags, names and points
//! in time. Each is copied once, and checked as far as its form says; bounds are the engine's.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use super::header_field::FanfareHeader;
use super::lent::{copies, copy_array, copy_struct, struct_size, Lent};
use super::options::Refused;
use super::status::Status;
use super::text::FanfareText;
use crate::filter::Subscription;
use crate::http::field::FIELDS_MAX;
use crate::options::OptionsError;
use crate::topic::Topic;

/// The most bytes of a text of options that has no smaller bound.
pub(super) const TEXT_BYTES_MAX: usize = 4 << 10;
/// The most structs of one list, each of which may say that it is as large as 4 KiB.
const STRUCTS_MAX: usize = 1_024;

/// A field of a caller's struct, and what it may be.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) bounds: &'static str,
}

impl Field {
    pub(super) fn refused(self) -> Refused {
        Refused::Option { name: self.name, bounds: self.bounds }
    }

    /// A text; `None` if it is {NULL, 0}.
    ///
    /// # Safety
    ///
    /// It has to be as many readable bytes as it says.
    pub(super) unsafe fn text(
        self,
        given: FanfareText,
        bytes_max: usize,
    ) -> Result<Option<String>, Refused> {
        // SAFETY: as the caller promises.
        let bytes = unsafe { self.bytes(given, bytes_max) }?;
        bytes.map(|bytes| self.utf8(bytes)).transpose()
    }

    /// Bytes that may be anything; `None` if they are {NULL, 0}.
    ///
    /// # Safety
    ///
    /// They have to be as many readable bytes as they say.
    pub(super) unsafe fn bytes(
        self,
        given: FanfareText,
        bytes_max: usize,
    ) -> Result<Option<Box<[u8]>>, Refused> {
        // SAFETY: as the caller promises.
        Ok(unsafe { self.copied(&[given], bytes_max) }?.pop().flatten())
    }

    /// A list of texts; `None` if it is {NULL, 0}. A list that is none of it has a pointer.
    ///
    /// # Safety
    ///
    /// It has to be NULL or `count` readable texts, each as many readable bytes as it says.
    pub(super) unsafe fn texts(
        self,
        given: *const FanfareText,
        count: usize,
        count_max: usize,
    ) -> Result<Option<Vec<String>>, Refused> {
        if given.is_null() && count == 0 {
            return Ok(None);
        }
        if count > count_max {
            return Err(self.refused());
        }
        // SAFETY: as the caller promises.
        let given = unsafe { copy_array(given, count) }.map_err(Refused::Size)?;
        // SAFETY: as the caller promises.
        let copied = unsafe { self.copied(&given, TEXT_BYTES_MAX) }?;
        let texts = copied.into_iter().map(|bytes| self.utf8(bytes.unwrap_or_default()));
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// Header fields; more than an answer may have are refused here.
    ///
    /// # Safety
    ///
    /// It has to be NULL or `count` readable structs, whose texts are as they say.
    pub(super) unsafe fn headers(
        self,
        given: *const FanfareHeader,
        count: usize,
    ) -> Result<Vec<(String, String)>, Refused> {
        if count > FIELDS_MAX {
            return Err(self.refused());
        }
        // SAFETY: as the caller promises.
        let given = unsafe { copy_array(given, count) }.map_err(Refused::Size)?;
        let flat: Vec<FanfareText> = given.iter().flat_map(|it| [it.name, it.value]).collect();
        // SAFETY: as the caller promises.
        let copied = unsafe { self.copied(&flat, TEXT_BYTES_MAX) }?;
        let mut texts = copied.into_iter().map(|bytes| self.utf8(bytes.unwrap_or_default()));
        let mut headers = Vec::with_capacity(count);
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            headers.push((name?, value?));
        }
        Ok(headers)
    }

    pub(super) fn flag(self, given: u32) -> Result<bool, Refused> {
        match given {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.refused()),
        }
    }

    /// One of the names that have a number each, from 1 on; `None` is the default.
    pub(super) fn choice<T: Copy>(self, given: u32, names: &[T]) -> Result<Option<T>, Refused> {
        let index = usize::try_from(given).map_err(|_| self.refused())?;
        match index.checked_sub(1) {
            None => Ok(None),
            Some(index) => names.get(index).copied().map(Some).ok_or_else(|| self.refused()),
        }
    }

    /// A point in time, in milliseconds since 1970; `None` if it is 0.
    pub(super) fn time(self, unix_ms: u64) -> Result<Option<SystemTime>, Refused> {
        if unix_ms == 0 {
            return Ok(None);
        }
        let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms));
        time.map(Some).ok_or_else(|| self.refused())
    }

    /// The error of a check by the engine: by the field's name here, where that has a unit, and with
    /// bounds that are static.
    pub(super) fn of(error: OptionsError, times: &[&'static str], fields: &[Field]) -> Refused {
        let is_it = |time: &&&str| {
            let name = time.strip_suffix("_ms").unwrap_or(time);
            name.strip_suffix("_unix").unwrap_or(name) == error.option
        };
        let name = times.iter().find(is_it).map_or(error.option, |time| time);
        let field = fields.iter().find(|field| field.name == name);
        let bounds = match (error.bounds, field) {
            (Cow::Borrowed(bounds), _) => bounds,
            (Cow::Owned(_), Some(field)) => field.bounds,
            (Cow::Owned(_), None) => "as docs/options.md says",
        };
        Refused::Option { name, bounds }
    }

    /// # Safety
    ///
    /// Each text has to be as many readable bytes as it says.
    unsafe fn copied(
        self,
        given: &[FanfareText],
        bytes_max: usize,
    ) -> Result<Vec<Option<Box<[u8]>>>, Refused> {
        let lent = |text: &FanfareText| match Lent::new(*text, bytes_max, TOO_LONG) {
            Err(TOO_LONG) => Err(self.refused()),
            lent => lent.map_err(Refused::Size),
        };
        let lent = given.iter().map(lent).collect::<Result<Vec<_>, _>>()?;
        let present: Vec<Lent> = lent.iter().copied().flatten().collect();
        // SAFETY: as the caller promises.
        let mut copied = unsafe { copies(&present) }.map_err(Refused::Size)?.into_iter();
        Ok(lent.into_iter().map(|lent| lent.and_then(|_| copied.next())).collect())
    }

    fn utf8(self, bytes: Box<[u8]>) -> Result<String, Refused> {
        String::from_utf8(bytes.into()).map_err(|_| self.refused())
    }
}

/// What stands for a text that is too long until its field's name is told instead.
const TOO_LONG: Status = Status::FANFARE_ERR_TOO_LARGE;

/// Topics and filters that the caller names, of which there may be `count_max`.
///
/// # Errors
///
/// `FANFARE_ERR_TOO_MANY`, `FANFARE_ERR_SUBSCRIPTION`, `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// It has to be NULL or `count` readable texts, each as many readable bytes as it says.
pub(super) unsafe fn subscriptions(
    given: *const FanfareText,
    count: usize,
    count_max: usize,
) -> Result<Vec<Subscription>, Status> {
    if count > count_max {
        return Err(Status::FANFARE_ERR_TOO_MANY);
    }
    // SAFETY: as the caller promises.
    let given = unsafe { copy_array(given, count) }?;
    let none = Status::FANFARE_ERR_SUBSCRIPTION;
    let lent = |text: &FanfareText| Lent::new(*text, Topic::BYTES_MAX, none)?.ok_or(none);
    let lent = given.iter().map(lent).collect::<Result<Vec<_>, _>>()?;
    // SAFETY: as the caller promises.
    let copied = unsafe { copies(&lent) }?;
    let subscriptions = copied.iter().map(|text| Subscription::from_utf8(text).map_err(|_| none));
    subscriptions.collect()
}

/// Copies a list of structs that each begin with their size, and lie that far apart: all have the
/// size of the first.
///
/// # Errors
///
/// `FANFARE_ERR_ARGUMENT`; `FANFARE_ERR_TOO_MANY`; `unknown`, as `copy_struct` says.
///
/// # Safety
///
/// It has to be NULL, or `count` readable structs of the size that they say; any bytes have to be a
/// valid `T`.
pub(super) unsafe fn structs<T: Copy>(
    given: *const T,
    count: usize,
    size_min: usize,
    blank: T,
    unknown: Status,
) -> Result<Vec<T>, Status> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > STRUCTS_MAX {
        return Err(Status::FANFARE_ERR_TOO_MANY);
    }
    if given.is_null() {
        return Err(Status::FANFARE_ERR_ARGUMENT);
    }
    // SAFETY: as the caller promises; there is a first one.
    let size = unsafe { struct_size(given, size_min) }?;
    let mut all = Vec::with_capacity(count);
    for index in 0..count {
        let mut known = blank;
        // SAFETY: all have the size of the first, so that the caller has as many bytes.
        unsafe {
            let at = given.cast::<u8>().add(index * size).cast::<T>();
            if struct_size(at, size_min)? != size {
                return Err(Status::FANFARE_ERR_ARGUMENT);
            }
            copy_struct(at, size_min, &mut known, unknown)?;
        }
        all.push(known);
    }
    Ok(all)
}

/// Copies a struct of options over their defaults; NULL is the defaults alone.
///
/// # Errors
///
/// When the size is that of no version, or something is set that only a later version knows.
///
/// # Safety
///
/// `given` has to be NULL, or to point to as many readable bytes as the `usize` at its beginning
/// says; any bytes have to be a valid `T`.
pub(super) unsafe fn over_defaults<T: Copy>(
    given: *const T,
    size_min: usize,
    defaults: T,
) -> Result<T, Refused> {
    const LATER: Field =
        Field { name: "size", bounds: "that of a struct whose options this library knows all" };
    let mut read = defaults;
    if given.is_null() {
        return Ok(read);
    }
    // SAFETY: as the caller promises.
    match unsafe { copy_struct(given, size_min, &mut read, Status::FANFARE_ERR_OPTIONS) } {
        Ok(()) => Ok(read),
        Err(Status::FANFARE_ERR_OPTIONS) => Err(LATER.refused()),
        Err(status) => Err(Refused::Size(status)),
    }
}

/// Fills a caller's struct with defaults, but for its size; what the library does not know of it
/// becomes zero.
///
/// # Errors
///
/// `FANFARE_ERR_ARGUMENT` when it is NULL or of a size that no version has.
///
/// # Safety
///
/// `given` has to be NULL, or to point to as many writable bytes as the `usize` at its beginning says,
/// and `T` has to begin with its size.
pub(super) unsafe fn init<T: Copy>(
    given: *mut T,
    size_min: usize,
    defaults: T,
) -> Result<(), Status> {
    if given.is_null() {
        return Err(Status::FANFARE_ERR_ARGUMENT);
    }
    // SAFETY: not NULL, and the caller's struct begins with its size.
    let size = unsafe { struct_size(given, size_min) }?;
    let bytes = size.min(size_of::<T>());
    let (from, to) = ((&raw const defaults).cast::<u8>(), given.cast::<u8>());
    let skipped = size_of::<usize>();
    // SAFETY: the caller's struct has `size` bytes, and ours at least as many as are copied.
    unsafe {
        std::ptr::copy_nonoverlapping(from.add(skipped), to.add(skipped), bytes - skipped);
        to.add(bytes).write_bytes(0, size - bytes);
    }
    Ok(())
}

/// Tells a caller what is wrong with a struct: a field's name and what it may be, or nothing.
///
/// # Errors
///
/// `FANFARE_ERR_ARGUMENT` when an output is NULL, and what is wrong but no field's value.
///
/// # Safety
///
/// The outputs have to be NULL or writable.
pub(super) unsafe fn tell_problem<T>(
    read: impl FnOnce() -> Result<T, Refused>,
    name_out: *mut FanfareText,
    bounds_out: *mut FanfareText,
) -> Result<(), Status> {
    if name_out.is_null() || bounds_out.is_null() {
        return Err(Status::FANFARE_ERR_ARGUMENT);
    }
    let (name, bounds) = match read() {
        Ok(_) => (FanfareText::NONE, FanfareText::NONE),
        Err(Refused::Size(status)) => return Err(status),
        Err(Refused::Option { name, bounds }) => {
            (FanfareText::of_static(name), FanfareText::of_static(bounds))
        }
    };
    // SAFETY: not NULL, and writable as the caller promises.
    unsafe {
        *name_out = name;
        *bounds_out = bounds;
    }
    Ok(())
}

/// Writes a text into a caller's buffer, without a NUL, and its length to `length_out` in any case.
///
/// # Errors
///
/// `FANFARE_ERR_BUFFER` when the buffer is too small; `FANFARE_ERR_ARGUMENT` when `length_out` is
/// NULL, or `buffer` is and has a size.
///
/// # Safety
///
/// `buffer` has to be NULL or `size` writable bytes, and `length_out` NULL or writable.
pub(super) unsafe fn write_text(
    text: &str,
    buffer: *mut std::ffi::c_char,
    size: usize,
    length_out: *mut usize,
) -> Result<(), Status> {
    // SAFETY: as the caller promises.
    unsafe { write_bytes(text.as_bytes(), buffer, size, length_out) }
}

/// The same of bytes that may be anything.
///
/// # Errors
///
/// As [`write_text`].
///
/// # Safety
///
/// As for [`write_text`].
pub(super) unsafe fn write_bytes(
    text: &[u8],
    buffer: *mut std::ffi::c_char,
    size: usize,
    length_out: *mut usize,
) -> Result<(), Status> {
    if length_out.is_null() || buffer.is_null() && size > 0 {
        return Err(Status::FANFARE_ERR_ARGUMENT);
    }
    // SAFETY: not NULL, and writable as the caller promises.
    unsafe { *length_out = text.len() };
    if text.len() > size {
        return Err(Status::FANFARE_ERR_BUFFER);
    }
    // SAFETY: the buffer has at least as many bytes as the text, unless that is empty.
    unsafe {
        if !text.is_empty() {
            std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast::<u8>(), text.len());
        }
    }
    Ok(())
}
