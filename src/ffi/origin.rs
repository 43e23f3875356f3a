//! In which process a hub was made: the child of a fork has the hub's memory, and not its threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

use crate::sys::fork::FORKS;

/// The process that something was made in.
///
/// Handlers of `pthread_atfork` see what `fork` makes, but not children of `_Fork` or of the system
/// call itself. So it is a number in a page of memory that the kernel clears in every child
/// (`MADV_WIPEONFORK`, Linux 4.14): to look is to read it. Where there is no such page, the process
/// is known by its id, which costs a system call. A child that shares its parent's memory (`vfork`)
/// is the same process here: the hub's threads are there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    Life { mark: &'static AtomicU64, life: u64 },
    Process { pid: libc::pid_t, forks: u32 },
}

impl Origin {
    /// This process.
    pub(super) fn here() -> Origin {
        static MARK: OnceLock<Option<&'static AtomicU64>> = OnceLock::new();
        match *MARK.get_or_init(new_mark) {
            Some(mark) => Origin::Life { mark, life: life_of(mark) },
            None => Origin::of_process(),
        }
    }

    fn of_process() -> Origin {
        // SAFETY: takes nothing, and always succeeds.
        let pid = unsafe { libc::getpid() };
        Origin::Process { pid, forks: FORKS.load(Ordering::Relaxed) }
    }

    /// Whether it is still this process.
    pub(super) fn is_here(&self) -> bool {
        match *self {
            Origin::Life { mark, life } => mark.load(Ordering::Relaxed) == life,
            Origin::Process { pid, forks } => {
                // SAFETY: takes nothing, and always succeeds.
                let same = unsafe { libc::getpid() } == pid;
                same && FORKS.load(Ordering::Relaxed) == forks
            }
        }
    }
}

/// The number in a mark. A child finds zero, and takes a number that no ancestor of it has had.
fn life_of(mark: &AtomicU64) -> u64 {
    static LIVES: AtomicU64 = AtomicU64::new(0);
    match mark.load(Ordering::Relaxed) {
        0 => {
            let life = LIVES.fetch_add(1, Ordering::Relaxed) + 1;
            let earlier = mark.compare_exchange(0, life, Ordering::Relaxed, Ordering::Relaxed);
            earlier.err().unwrap_or(life)
        }
        life => life,
    }
}

/// A number in a page of its own that is zero in every child.
#[cfg(target_os = "linux")]
fn new_mark() -> Option<&'static AtomicU64> {
    // The smallest size of a page; the kernel rounds it up.
    const PAGE_BYTES: usize = 4096;
    // SAFETY: a new mapping, at an address that the kernel chooses. It is never unmapped.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            PAGE_BYTES,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: it is the mapping from above.
    if unsafe { libc::madvise(page, PAGE_BYTES, libc::MADV_WIPEONFORK) } != 0 {
        // SAFETY: it is the mapping from above, and nothing refers to it.
        unsafe { libc::munmap(page, PAGE_BYTES) };
        return None;
    }
    // SAFETY: the page is readable, writable, zero, aligned, there for ever, and used as an atomic
    // alone.
    Some(unsafe { &*page.cast::<AtomicU64>() })
}

#[cfg(not(target_os = "linux"))]
fn new_mark() -> Option<&'static AtomicU64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io;

    use super::*;

    /// What a child that is made by the bare system call finds: whether it is here.
    fn in_bare_child(look: impl FnOnce() -> bool) -> bool {
        // SAFETY: as `fork` does it, without anything of the C library's. The child only looks at
        // atomics and ends at once.
        let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        if child == 0 {
            let code = i32::from(look());
            // SAFETY: ends the child without anything of the parent's running in it.
            unsafe { libc::_exit(code) };
        }
        let (child, mut status) = (libc::pid_t::try_from(child).unwrap(), 0);
        assert!(child > 0, "{}", io::Error::last_os_error());
        // SAFETY: the child is this test's own, and `status` outlives the call.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFEXITED(status), "it ended with {status}");
        libc::WEXITSTATUS(status) == 1
    }

    #[test]
    fn a_child_of_the_bare_system_call_is_another_process_with_and_without_a_mark() {
        let origins = [Origin::here(), Origin::of_process()];
        assert!(matches!(origins[0], Origin::Life { .. }), "Linux has wiped pages since 4.14");
        for origin in origins {
            assert!(origin.is_here());
            assert!(!in_bare_child(|| origin.is_here()), "{origin:?}");
            assert!(in_bare_child(|| Origin::here().is_here()), "a child is where it is");
            assert!(origin.is_here());
        }
        let of_child_is_parents = in_bare_child(|| {
            let of_child = Origin::here();
            !in_bare_child(|| of_child.is_here() || origins[0].is_here()) && of_child.is_here()
        });
        assert!(of_child_is_parents, "a child's child is neither of its ancestors");
    }
}
