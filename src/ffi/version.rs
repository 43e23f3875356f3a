//! Which ABI this is.

/// The version of this header's ABI. It changes when a program that was built with an older header
/// could not run with a newer library; from the first release on, before which it stays 1.
pub const FANFARE_ABI_VERSION: u32 = 1;

/// Returns the `FANFARE_ABI_VERSION` of the library that is loaded. A program compares it with that
/// of its header before it calls anything else.
///
/// Threads: any. Errors: none.
#[no_mangle]
pub extern "C" fn fanfare_abi_version() -> u32 {
    FANFARE_ABI_VERSION
}
