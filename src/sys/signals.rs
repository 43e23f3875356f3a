//! Signals, of which the engine wants none.

use std::mem::MaybeUninit;

/// What a thread does to itself, and has to be told.
const FAULTS: [libc::c_int; 5] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP];

/// Runs something with all signals but faults blocked on this thread. Threads that are spawned in
/// it start so, and never run a handler of the host's.
pub(crate) fn while_blocked<T>(run: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets outlive the calls; `sigfillset` initialises the one that is read.
    let blocked = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for fault in FAULTS {
            libc::sigdelset(all.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) == 0
    };
    let result = run();
    if blocked {
        // SAFETY: the call that succeeded has initialised `before`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    result
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn blocked_signals() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    }

    #[test]
    fn a_thread_that_is_spawned_meanwhile_gets_no_signals_and_this_one_does_again() {
        let before = blocked_signals();
        let spawned = while_blocked(|| std::thread::spawn(blocked_signals));
        let sigterm = 1 << (libc::SIGTERM - 1);
        assert_ne!(spawned.join().unwrap() & sigterm, 0);
        assert_eq!(blocked_signals(), before);
    }
}
