//! What the journal does with files. Tests put faults between it and its files here, and what a
//! loss of power leaves.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::Arc;

use crate::sys::MappedNumber;

/// The files of one folder, by their names in it.
pub(super) trait Disk: Send + Sync + 'static {
    fn names(&self) -> io::Result<Vec<String>>;

    /// Opens a file to be read from its beginning; returns its size as well.
    fn read(&self, name: &str) -> io::Result<(Box<dyn Read + Send>, u64)>;

    /// Makes an empty file, in place of one that has this name.
    fn create(&self, name: &str) -> io::Result<Box<dyn Output>>;

    /// Gives a file another name, in place of a file that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Has the disk have the names as they are now: what was made, renamed and removed.
    fn sync_names(&self) -> io::Result<()>;

    /// Has the disk have what other processes have written to a file.
    fn sync_file(&self, name: &str) -> io::Result<()>;

    /// The number at an offset of a file, shared with it.
    fn map(&self, name: &str, offset: usize) -> io::Result<Number>;

    /// Where a file is, for messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// A file that is being written, from its beginning to its end.
pub(super) trait Output: Send {
    /// Writes some of the bytes, at least one; returns how many.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Has the disk have all that was written.
    fn sync(&mut self) -> io::Result<()>;
}

/// A number that is stored without a system call.
#[derive(Debug)]
pub(super) enum Number {
    /// In a file: it survives the process.
    Mapped(MappedNumber),
    /// In memory.
    Own(Arc<AtomicU64>),
}

impl Number {
    #[inline]
    pub(super) fn atomic(&self) -> &AtomicU64 {
        match self {
            Number::Mapped(mapped) => mapped.number(),
            Number::Own(number) => number,
        }
    }
}

impl dyn Output {
    /// Writes all of the bytes. After an error some of them may be written.
    pub(super) fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl dyn Disk {
    /// Writes a whole small file in place of the one of this name: after a loss of power it is
    /// either of the two.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = format!("{name}{TEMPORARY}");
        let mut file = self.create(&new)?;
        file.write_all(bytes)?;
        file.sync()?;
        drop(file);
        self.rename(&new, name)?;
        self.sync_names()
    }

    /// Has the disk have the beginning of a file that is not written to any more. If it does not say
    /// that it has, or a sync of the file has failed before, after which none can be believed, the
    /// file is replaced by a copy of what the system has of it.
    pub(super) fn secure(&self, name: &str, bytes: u64, is_suspect: bool) -> io::Result<()> {
        if !is_suspect && self.sync_file(name).is_ok() {
            return Ok(());
        }
        let copy = format!("{name}{TEMPORARY}");
        let mut file = self.create(&copy)?;
        let mut input = self.read(name)?.0.take(bytes);
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => file.write_all(&buffer[..count])?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        file.sync()?;
        drop(file);
        self.rename(&copy, name)?;
        self.sync_names()
    }

    /// All of a small file, of at most so many bytes; `None` if there is none of this name.
    pub(super) fn read_small(&self, name: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        let (file, _) = match self.read(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut bytes = Vec::new();
        file.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

/// The end of the name of a file that is to replace another; one that is found is left over.
pub(super) const TEMPORARY: &str = ".tmp";

/// How much is copied at once.
const COPY_BYTES: usize = 1 << 20;

/// The system's files.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The folder itself, to sync its names.
    opened: File,
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Folder> {
        Ok(Folder { path: path.to_owned(), opened: File::open(path)? })
    }

    /// Whether a mapped page can be relied on. On file systems that write what is changed to a new
    /// place, storing to a page fails with a signal when the disk is full, and one of the network
    /// may keep a page to itself.
    fn can_map(&self) -> bool {
        #[cfg(target_os = "linux")]
        {
            /// btrfs, ZFS, bcachefs, NFS, SMB, CIFS, Ceph, 9p.
            const OTHERS: [u64; 8] = [
                0x9123_683E,
                0x2FC1_2FC1,
                0xCA45_1A4E,
                0x6969,
                0xFE53_4D42,
                0xFF53_4D42,
                0x00C3_6400,
                0x0102_1997,
            ];
            // The type's width differs from machine to machine, and is 32 bits of use.
            let of = rustix::fs::fstatfs(&self.opened).map(|it| it.f_type as u64 & 0xFFFF_FFFF);
            !of.is_ok_and(|of| OTHERS.contains(&of))
        }
        #[cfg(not(target_os = "linux"))]
        true
    }
}

impl Disk for Folder {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            // No file of the journal has a name that is no text.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let file = File::open(self.path(name))?;
        let bytes = file.metadata()?.len();
        Ok((Box::new(file), bytes))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Output>> {
        let mut options = File::options();
        // What is kept of events is nobody's but this user's.
        options.write(true).create(true).truncate(true).mode(0o600);
        Ok(Box::new(options.open(self.path(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.opened.sync_all()
    }

    fn sync_file(&self, name: &str) -> io::Result<()> {
        File::open(self.path(name))?.sync_data()
    }

    fn map(&self, name: &str, offset: usize) -> io::Result<Number> {
        if !self.can_map() {
            return Err(ErrorKind::Unsupported.into());
        }
        let file = File::options().read(true).write(true).open(self.path(name))?;
        Ok(Number::Mapped(MappedNumber::map(&file, offset)?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Output for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
