//! The allocator's free memory.

/// Has the allocator give free memory back to the system, where it does not do so by itself: the
/// GNU C library's keeps what is free between what is in use. That takes milliseconds for each 100
/// MB, for which other threads that allocate may wait. Nothing happens where a program has another
/// allocator.
pub(crate) fn release_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: The function takes the allocator's own locks, and may be called from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
