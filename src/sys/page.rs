//! A page of a file that is mapped: what is stored there is in the file without a system call, also
//! when the process is killed.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// A number in a file's first bytes, mapped and shared.
#[derive(Debug)]
pub(crate) struct MappedNumber {
    page: NonNull<libc::c_void>,
    /// Where the number is in the page.
    offset: usize,
}

impl MappedNumber {
    /// How much of the file is mapped: the file has to have this size, and keep it.
    pub(crate) const FILE_BYTES: usize = 4096;

    /// Maps the number of eight bytes at an offset, which is a multiple of eight.
    ///
    /// # Errors
    ///
    /// When the file is shorter than [`MappedNumber::FILE_BYTES`], or its file system cannot share
    /// what is mapped with the file.
    pub(crate) fn map(file: &File, offset: usize) -> io::Result<MappedNumber> {
        assert!(offset % 8 == 0 && offset + 8 <= MappedNumber::FILE_BYTES);
        if file.metadata()?.len() < MappedNumber::FILE_BYTES as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: the system chooses where the mapping is, so that no other memory is touched; the
        // descriptor is open.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                MappedNumber::FILE_BYTES,
                protection,
                flags,
                file.as_raw_fd(),
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let page = NonNull::new(page).ok_or(io::ErrorKind::Other)?;
        Ok(MappedNumber { page, offset })
    }

    /// The number itself, in the byte order of the machine.
    #[inline]
    pub(crate) fn number(&self) -> &AtomicU64 {
        // SAFETY: the mapping begins at a page and is at least `offset + 8` bytes long, the offset
        // is a multiple of eight, and it lives as long as `self`. In this process the number is
        // reached only as an atomic. Another process that writes the file can change it, as it
        // could any atomic of shared memory.
        unsafe { AtomicU64::from_ptr(self.page.as_ptr().cast::<u8>().add(self.offset).cast()) }
    }
}

// SAFETY: the mapping belongs to the process, not to a thread, and is reached by an atomic alone.
unsafe impl Send for MappedNumber {}
// SAFETY: as above.
unsafe impl Sync for MappedNumber {}

impl Drop for MappedNumber {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `map` made, which nothing borrows any more.
        unsafe { libc::munmap(self.page.as_ptr(), MappedNumber::FILE_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn what_is_stored_in_a_mapped_number_is_in_the_file() {
        let path = std::env::temp_dir().join(format!("fanfare-page-{}", std::process::id()));
        let mut options = File::options();
        let mut file =
            options.read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(MappedNumber::map(&file, 16).is_err(), "an empty file");
        file.set_len(MappedNumber::FILE_BYTES as u64).unwrap();
        let mapped = MappedNumber::map(&file, 16).unwrap();
        mapped.number().store(0x0102_0304_0506_0708, Ordering::Release);
        let mut bytes = [0; 24];
        file.rewind().unwrap();
        file.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes[..16], [0; 16]);
        assert_eq!(bytes[16..], 0x0102_0304_0506_0708_u64.to_ne_bytes());
    }
}
