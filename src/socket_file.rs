//! The file of a Unix domain socket: bound with its permissions, in place of one that a dead server
//! has left, and removed at the end. The program has this file as a module too.
//!
//! A socket's file looks the same from when its server has died and from before its server listens:
//! a client is refused. So a server holds a lock on the directory while it looks, removes, binds
//! and listens. Of servers that start at one path at once, one gets it, and the others find it
//! live.
//!
//! A server that ends removes its file first and closes the socket behind that: while the socket is
//! open it is live, so that no other server replaces the file, and no other file has its identity.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{flock, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketType};

/// How many connections may wait to be accepted; the system has a bound of its own.
const BACKLOG: i32 = 4096;
/// How long a server that starts waits for the directory. Others hold it for less than a
/// millisecond.
const START_WAIT_MAX: Duration = Duration::from_secs(5);
/// How often it is tried meanwhile.
const TRY_EVERY: Duration = Duration::from_millis(1);

/// A socket's file, removed with this, unless another server has its own at the path by then.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// The identity of the file.
    id: (u64, u64),
    is_removed: AtomicBool,
}

impl SocketFile {
    /// Binds a socket to a path and listens. The file has exactly these permission bits before the
    /// first client can connect. It is to be dropped before the socket.
    ///
    /// # Errors
    ///
    /// When another server listens there, there is a file that is no socket, the path cannot be
    /// bound, or another program keeps the directory locked for some seconds.
    pub(crate) fn listen(path: &Path, mode: u32) -> io::Result<(SocketFile, UnixListener)> {
        let addr = SocketAddrUnix::new(path)?;
        let _lock = DirectoryLock::take(path, START_WAIT_MAX)?;
        let socket = stream_socket()?;
        match net::bind(&socket, &addr) {
            Err(Errno::ADDRINUSE) => {
                remove_stale(path, &addr)?;
                net::bind(&socket, &addr)?;
            }
            bound => bound?,
        }
        let file = std::fs::symlink_metadata(path)?;
        let id = (file.dev(), file.ino());
        let is_removed = AtomicBool::new(false);
        let file = SocketFile { path: path.to_owned(), id, is_removed };
        let permissions = std::fs::Permissions::from_mode(mode);
        // From here on an error removes the file.
        std::fs::set_permissions(path, permissions)?;
        // Until now nobody could connect.
        net::listen(&socket, BACKLOG)?;
        Ok((file, socket.into()))
    }

    /// Removes the file, the first time that it is called.
    pub(crate) fn remove(&self) {
        if self.is_removed.swap(true, Ordering::Relaxed) {
            return;
        }
        let file = std::fs::symlink_metadata(&self.path);
        if file.is_ok_and(|file| (file.dev(), file.ino()) == self.id) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// An exclusive lock on the directory of a socket's file, which servers hold that start there; none
/// where the directory cannot be read, or its file system has no locks.
struct DirectoryLock(Option<File>);

impl DirectoryLock {
    /// Waits for the lock, some time at most.
    fn take(path: &Path, wait_max: Duration) -> io::Result<DirectoryLock> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(directory) = rustix::fs::open(parent, flags, Mode::empty()) else {
            return Ok(DirectoryLock(None));
        };
        let directory = File::from(directory);
        let since = Instant::now();
        loop {
            match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(DirectoryLock(Some(directory))),
                Err(Errno::WOULDBLOCK | Errno::INTR) if since.elapsed() < wait_max => {
                    std::thread::sleep(TRY_EVERY);
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    let why = format!(
                        "another program keeps {} locked (flock); end it, or choose a path in a \
                         directory of the server's own",
                        parent.display()
                    );
                    return Err(io::Error::new(ErrorKind::TimedOut, why));
                }
                Err(_) => return Ok(DirectoryLock(None)),
            }
        }
    }
}

impl Drop for DirectoryLock {
    /// Closing alone would not do while a child of a fork has the descriptor too.
    fn drop(&mut self) {
        if let Some(directory) = &self.0 {
            let _ = flock(directory, FlockOperation::Unlock);
        }
    }
}

fn stream_socket() -> io::Result<OwnedFd> {
    let socket = net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// Removes a socket's file that no server listens at any more.
fn remove_stale(path: &Path, addr: &SocketAddrUnix) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => {}
        Ok(_) => {
            let why = "there is a file of this name that is no socket";
            return Err(io::Error::new(ErrorKind::AlreadyExists, why));
        }
        // It is gone meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let is_live = || io::Error::new(ErrorKind::AddrInUse, "another server listens there");
    match net::connect(&stream_socket()?, addr) {
        Err(Errno::CONNREFUSED) => match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        Err(Errno::NOENT) => Ok(()),
        // With `AGAIN` as many wait there as may.
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS) => Err(is_live()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Barrier;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    fn path_of(test: &str) -> PathBuf {
        std::env::temp_dir().join(format!("fanfare-{test}-{}.sock", std::process::id()))
    }

    #[test]
    fn a_dead_servers_socket_is_replaced_and_a_live_ones_is_not() {
        let path = path_of("stale");
        drop(UnixListener::bind(&path).unwrap());
        let (file, listener) = SocketFile::listen(&path, 0o600).unwrap();
        assert_eq!(mode(&path), 0o600);
        let error = SocketFile::listen(&path, 0o600).unwrap_err();
        assert!(error.to_string().contains("another server listens there"), "{error}");
        drop((file, listener));
        assert!(!path.exists());
        let (_file, _listener) = SocketFile::listen(&path, 0o666).unwrap();
        assert_eq!(mode(&path), 0o666);
    }

    #[test]
    fn a_server_whose_queue_is_full_is_live() {
        let path = path_of("full");
        let (_file, listener) = SocketFile::listen(&path, 0o600).unwrap();
        net::listen(&listener, 0).unwrap();
        let addr = SocketAddrUnix::new(&path).unwrap();
        let mut waiting = Vec::new();
        loop {
            let client = stream_socket().unwrap();
            match net::connect(&client, &addr) {
                Ok(()) => waiting.push(client),
                Err(error) => break assert_eq!(error, Errno::AGAIN),
            }
            assert!(waiting.len() < 1_000, "the queue does not become full");
        }
        let error = SocketFile::listen(&path, 0o600).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }

    /// A directory for one test alone, so that nothing else locks it.
    fn directory_of(test: &str) -> PathBuf {
        let directory = path_of(test).with_extension("dir");
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn of_servers_that_start_at_one_stale_path_at_once_one_wins() {
        const THREADS: usize = 8;
        let directory = directory_of("race");
        let path = directory.join("a.sock");
        for _ in 0..300 {
            drop(UnixListener::bind(&path).unwrap());
            let barrier = Barrier::new(THREADS);
            let start = || {
                barrier.wait();
                SocketFile::listen(&path, 0o600)
            };
            let started: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(start)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let (won, lost): (Vec<_>, Vec<_>) = started.into_iter().partition(Result::is_ok);
            assert_eq!(won.len(), 1);
            for error in lost.into_iter().map(Result::unwrap_err) {
                assert!(error.to_string().contains("another server listens there"), "{error}");
            }
            let _client = UnixStream::connect(&path).unwrap();
            // Clients that looked whether it is live may be before this one.
            assert!(won[0].as_ref().unwrap().1.accept().is_ok());
            drop(won);
            assert!(!path.exists());
        }
        std::fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn a_server_that_ends_does_not_take_the_file_of_the_one_that_replaces_it() {
        let directory = directory_of("replaced");
        let path = directory.join("a.sock");
        for _ in 0..300 {
            let (file, listener) = SocketFile::listen(&path, 0o600).unwrap();
            let since = Instant::now();
            let (_file, _listener) = std::thread::scope(|scope| {
                scope.spawn(move || drop((file, listener)));
                loop {
                    match SocketFile::listen(&path, 0o600) {
                        Ok(started) => break started,
                        Err(error) => assert!(since.elapsed() < START_WAIT_MAX, "{error}"),
                    }
                }
            });
            UnixStream::connect(&path).unwrap();
        }
        std::fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn a_directory_that_stays_locked_is_an_error_that_says_so_and_no_server_waits_for_it_to_end() {
        let directory = directory_of("locked");
        let path = directory.join("a.sock");
        let (file, listener) = SocketFile::listen(&path, 0o600).unwrap();
        let held = File::open(&directory).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        let error = DirectoryLock::take(&path, Duration::from_millis(10)).err().unwrap();
        assert!(error.to_string().contains("keeps") && error.to_string().contains("locked"));
        drop((file, listener));
        assert!(!path.exists());
        drop(held);
        let lock = DirectoryLock::take(&path, START_WAIT_MAX).unwrap();
        assert!(lock.0.is_some());
        drop(lock);
        std::fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn a_server_starts_also_in_a_directory_that_it_may_not_read() {
        let directory = directory_of("unread");
        let of_mode = |mode| std::fs::set_permissions(&directory, PermissionsExt::from_mode(mode));
        of_mode(0o300).unwrap();
        let started = SocketFile::listen(&directory.join("a.sock"), 0o600);
        of_mode(0o700).unwrap();
        drop(started.unwrap());
        std::fs::remove_dir(&directory).unwrap();
        let none = DirectoryLock::take(Path::new("/no/such/a.sock"), Duration::ZERO).unwrap();
        assert!(none.0.is_none());
        let here = DirectoryLock::take(Path::new("a.sock"), START_WAIT_MAX).unwrap();
        assert!(here.0.is_some());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let path = path_of("text");
        std::fs::write(&path, "something of a user's").unwrap();
        let error = SocketFile::listen(&path, 0o600).unwrap_err();
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "something of a user's");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_file_of_a_later_server_is_not_removed() {
        let path = path_of("later");
        let (file, listener) = SocketFile::listen(&path, 0o600).unwrap();
        // As an administrator may, while the server runs.
        let kept = path.with_extension("kept");
        std::fs::rename(&path, &kept).unwrap();
        let (other, _other_listener) = SocketFile::listen(&path, 0o600).unwrap();
        drop((file, listener));
        assert!(path.exists());
        other.remove();
        assert!(!path.exists());
        // And once it is removed, the path is another's, whatever identity its file has.
        std::fs::rename(&kept, &path).unwrap();
        drop(other);
        assert!(path.exists());
        std::fs::remove_file(&path).unwrap();
    }
}
