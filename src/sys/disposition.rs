//! What the process was started with: signals that its parent made it ignore. Used by the program,
//! which asks before it installs handlers.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// Whether a signal is ignored, as SIGHUP is under `nohup`.
pub(crate) fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is set; `action` outlives the call, which writes it if it succeeds.
    let known = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } == 0;
    // SAFETY: all bytes are initialised, zero or by the system; zero is valid for every field.
    known && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
