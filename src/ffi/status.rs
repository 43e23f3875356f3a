//! The codes that functions return. Negative ones are errors; none is ever renumbered.

use std::ffi::c_char;

use crate::event::EventError;
use crate::hub::{PublishError, StartError};
use crate::listener::ListenError;
use crate::topic::TopicError;

/// The version of this header's ABI. It changes when a program built with an older header could
/// not run with a newer library; compare it with what `fanfare_abi_version` returns.
pub const FANFARE_ABI_VERSION: u32 = 1;

/// All went well.
pub const FANFARE_OK: i32 = 0;
/// The library has a defect and panicked; the call may have had no effect.
pub const FANFARE_ERR_PANIC: i32 = -1;
/// A pointer is NULL that must not be, a length is impossible, or a struct's size is unknown.
pub const FANFARE_ERR_ARGUMENT: i32 = -2;
/// The hub was made before a fork; make a new one in the child.
pub const FANFARE_ERR_FORKED: i32 = -3;
/// The hub is closed.
pub const FANFARE_ERR_CLOSED: i32 = -4;
/// Too much waits to be sent; nothing was published, try again a little later.
pub const FANFARE_ERR_FULL: i32 = -5;
/// The topic is empty, longer than 256 bytes, not UTF-8, or has a forbidden character.
pub const FANFARE_ERR_TOPIC: i32 = -6;
/// The event is empty, a field of it is too long or has a character that no client gets back, its
/// name is that of the engine's own events, or it has a field that only a newer library knows.
pub const FANFARE_ERR_EVENT: i32 = -7;
/// The event's text is not UTF-8.
pub const FANFARE_ERR_UTF8: i32 = -8;
/// The event is larger than the option event_bytes_max.
pub const FANFARE_ERR_TOO_LARGE: i32 = -9;
/// An option is out of its bounds, or one is set that only a newer library knows.
pub const FANFARE_ERR_OPTIONS: i32 = -10;
/// The address is not one, is in use, or may not be bound.
pub const FANFARE_ERR_ADDRESS: i32 = -11;
/// The system is out of descriptors, threads or memory.
pub const FANFARE_ERR_SYSTEM: i32 = -12;

/// One of the codes above that is not `FANFARE_OK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status(pub(super) i32);

/// Returns `FANFARE_ABI_VERSION` of the library that is loaded. Thread-safe.
#[no_mangle]
pub extern "C" fn fanfare_abi_version() -> u32 {
    FANFARE_ABI_VERSION
}

/// Returns a sentence that says what a code means and what to do. The text is static: it is never
/// freed, and never NULL, whatever the code. Thread-safe.
#[no_mangle]
pub extern "C" fn fanfare_strerror(code: i32) -> *const c_char {
    let text = match code {
        FANFARE_OK => c"success",
        FANFARE_ERR_PANIC => c"the library has a defect and panicked; please report it",
        FANFARE_ERR_ARGUMENT => c"an argument is NULL, or a length or struct size is impossible",
        FANFARE_ERR_FORKED => c"the hub was made before a fork; make a new one in the child",
        FANFARE_ERR_CLOSED => c"the hub is closed",
        FANFARE_ERR_FULL => c"too much waits to be sent; try again a little later",
        FANFARE_ERR_TOPIC => c"the topic must be 1 to 256 bytes of UTF-8 without control characters, '+' and '#'",
        FANFARE_ERR_EVENT => c"the event is empty, or its name, id or key is empty, longer than 256 bytes, has a forbidden character or is reserved, or a field is set that only a newer library knows",
        FANFARE_ERR_UTF8 => c"the event's text is not UTF-8; encode it as such",
        FANFARE_ERR_TOO_LARGE => c"the event is larger than the option event_bytes_max",
        FANFARE_ERR_OPTIONS => c"an option is out of its bounds, which the header names, or one is set that only a newer library knows",
        FANFARE_ERR_ADDRESS => c"the address is not one, is in use, or may not be bound",
        FANFARE_ERR_SYSTEM => c"the system is out of descriptors, threads or memory",
        _ => c"no code of this library",
    };
    text.as_ptr()
}

impl From<EventError> for Status {
    fn from(error: EventError) -> Status {
        Status(match error {
            EventError::NotUtf8 { .. } => FANFARE_ERR_UTF8,
            EventError::TooLarge { .. } => FANFARE_ERR_TOO_LARGE,
            _ => FANFARE_ERR_EVENT,
        })
    }
}

impl From<TopicError> for Status {
    fn from(_: TopicError) -> Status {
        Status(FANFARE_ERR_TOPIC)
    }
}

impl From<PublishError> for Status {
    fn from(error: PublishError) -> Status {
        match error {
            PublishError::Full => Status(FANFARE_ERR_FULL),
            PublishError::Closed => Status(FANFARE_ERR_CLOSED),
            PublishError::Invalid(error) => error.into(),
        }
    }
}

impl From<StartError> for Status {
    fn from(error: StartError) -> Status {
        Status(match error {
            StartError::Options(_) => FANFARE_ERR_OPTIONS,
            StartError::System(_) => FANFARE_ERR_SYSTEM,
        })
    }
}

impl From<ListenError> for Status {
    fn from(error: ListenError) -> Status {
        Status(match error {
            ListenError::Bind(error) => match error.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                    FANFARE_ERR_SYSTEM
                }
                _ => FANFARE_ERR_ADDRESS,
            },
            ListenError::Options { .. } => FANFARE_ERR_OPTIONS,
            ListenError::Closed => FANFARE_ERR_CLOSED,
            ListenError::Busy => FANFARE_ERR_SYSTEM,
        })
    }
}
