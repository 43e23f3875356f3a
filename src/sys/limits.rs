//! How many descriptors the process may have.

use std::mem::MaybeUninit;

/// What is assumed where the system does not say how many are open.
const OPEN_ASSUMED: usize = 64;

/// The most descriptors that the process may have, as the limit is now; `None` for no bound.
pub(crate) fn descriptors_max() -> Option<usize> {
    let mut limit = MaybeUninit::<libc::rlimit>::zeroed();
    // SAFETY: `limit` outlives the call, which writes it if it succeeds.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) } == 0;
    // SAFETY: both fields are numbers, initialised to zero or by the system.
    let limit = unsafe { limit.assume_init() };
    if !known || limit.rlim_cur == libc::RLIM_INFINITY {
        return None;
    }
    Some(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

/// How many it has.
pub(crate) fn descriptors_open() -> usize {
    // Reading the directory takes one more.
    std::fs::read_dir("/dev/fd").map_or(OPEN_ASSUMED, |all| all.count().saturating_sub(1))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_limit_and_what_is_open_are_known() {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let soft = line.split_whitespace().next().unwrap();
        assert_eq!(descriptors_max(), soft.parse().ok());
        let open = descriptors_open();
        // Standard input and outputs, and whatever other tests have at the moment.
        assert!(open >= 3 && open <= descriptors_max().unwrap_or(usize::MAX), "{open}");
    }
}
